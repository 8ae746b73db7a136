//! Capacity counters: calls in progress and calls a second, for the switch, accounts and gateways (`RTE-5`).

use crate::call::Payer;
use crate::interface::Load;
use routing::Gateway;
use std::hash::Hash;
use std::time::Duration;
use vocab::{AccountId, GatewayGroupId, IdMap, MappingGatewayId, RoutingGatewayId, Tick};

/// Counts of one thing that has limits. Calls a second are counted in whole seconds of the monotonic clock, so a
/// limit of n lets exactly n calls pass in each second (`SEC-6`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    pub calls: u32,
    second: u64,
    in_second: u32,
    last_second: u32,
    pub attempts: u64,
    pub answered: u64,
    pub talk_ms: u64,
    /// When it got its last call, in the count of all attempts.
    pub last_turn: u64,
    /// It wants no calls before this moment (Retry-After).
    rests_until: Option<Tick>,
}

impl Meter {
    /// No calls for this long, or longer if that was said before.
    pub fn rest(&mut self, now: Tick, time: Duration) {
        self.rests_until = self.rests_until.max(Some(now + time));
    }

    /// How long no calls are wanted, in whole seconds, a started one counting.
    pub fn resting_s(&self, now: Tick) -> u32 {
        let left =
            self.rests_until.filter(|until| *until > now).map_or(Duration::ZERO, |until| until.since(now));
        u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
    }

    fn turn(&mut self, now: Tick) {
        let second = now.0 / 1_000_000;
        if second != self.second {
            self.last_second = if second == self.second + 1 { self.in_second } else { 0 };
            self.second = second;
            self.in_second = 0;
        }
    }

    /// A call arrived, or was sent.
    pub fn count(&mut self, now: Tick) {
        self.turn(now);
        self.in_second += 1;
        self.attempts += 1;
    }

    /// Calls so far in the current second.
    pub fn in_second(&self, now: Tick) -> u32 {
        if now.0 / 1_000_000 == self.second { self.in_second } else { 0 }
    }

    /// Calls in the last full second.
    pub fn cps(&mut self, now: Tick) -> u32 {
        self.turn(now);
        self.last_second
    }

    pub fn load(&mut self, now: Tick) -> Load {
        Load {
            calls: self.calls,
            cps: self.cps(now),
            attempts: self.attempts,
            answered: self.answered,
            talk_ms: self.talk_ms,
            resting_s: self.resting_s(now),
        }
    }

    fn ended(&mut self, answered: bool, talk_ms: u64) {
        self.calls = self.calls.saturating_sub(1);
        self.answered += u64::from(answered);
        self.talk_ms += talk_ms;
    }
}

/// All meters.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub system: Meter,
    pub mapping: IdMap<MappingGatewayId, Meter>,
    pub routing: IdMap<RoutingGatewayId, Meter>,
    pub accounts: IdMap<AccountId, Meter>,
    pub groups: IdMap<GatewayGroupId, Meter>,
    /// All attempts so far.
    turns: u64,
}

impl Meters {
    pub fn routing(&self, id: RoutingGatewayId) -> Meter {
        self.routing.get(&id).copied().unwrap_or_default()
    }

    pub fn mapping(&self, id: MappingGatewayId) -> Meter {
        self.mapping.get(&id).copied().unwrap_or_default()
    }

    pub fn account(&self, id: AccountId) -> Meter {
        self.accounts.get(&id).copied().unwrap_or_default()
    }

    /// A call takes its slots on the customer's side: of the gateway, the account, and all agents above it.
    pub fn enter(&mut self, mapping: MappingGatewayId, payers: &[Payer]) {
        self.system.calls += 1;
        self.mapping.entry(mapping).or_default().calls += 1;
        self.enter_accounts(payers);
    }

    pub fn enter_accounts(&mut self, payers: &[Payer]) {
        for payer in payers {
            self.accounts.entry(payer.account.id).or_default().calls += 1;
        }
    }

    /// The call goes on at the expense of others.
    pub fn leave_accounts(&mut self, payers: &[Payer]) {
        for payer in payers {
            let meter = self.accounts.entry(payer.account.id).or_default();
            meter.calls = meter.calls.saturating_sub(1);
        }
    }

    pub fn leave(&mut self, mapping: MappingGatewayId, payers: &[Payer], answered: bool, talk_ms: u64) {
        self.system.ended(answered, talk_ms);
        self.mapping.entry(mapping).or_default().ended(answered, talk_ms);
        for payer in payers {
            self.accounts.entry(payer.account.id).or_default().ended(answered, talk_ms);
        }
    }

    pub fn group(&self, id: GatewayGroupId) -> Meter {
        self.groups.get(&id).copied().unwrap_or_default()
    }

    /// An attempt takes its slot on the vendor's side.
    pub fn enter_routing(&mut self, gateway: &Gateway, now: Tick) {
        self.turns += 1;
        let turn = self.turns;
        self.each_routing(gateway, |meter| {
            meter.calls += 1;
            meter.last_turn = turn;
            meter.count(now);
        });
    }

    /// A call of the process before this one has its slot again; it was counted as an attempt there.
    pub fn resume_routing(&mut self, gateway: &Gateway) {
        self.each_routing(gateway, |meter| meter.calls += 1);
    }

    pub fn leave_routing(&mut self, gateway: &Gateway, answered: bool, talk_ms: u64) {
        self.each_routing(gateway, |meter| meter.ended(answered, talk_ms));
    }

    /// The meters of a gateway and of its groups.
    fn each_routing(&mut self, gateway: &Gateway, mut change: impl FnMut(&mut Meter)) {
        change(self.routing.entry(gateway.id).or_default());
        gateway.terms.groups.iter().for_each(|group| change(self.groups.entry(*group).or_default()));
    }
}

/// Loads of a map of meters, in the order of their ids.
pub(crate) fn listed<I: Copy + Eq + Hash + Ord>(map: &mut IdMap<I, Meter>, now: Tick) -> Vec<(I, Load)> {
    let mut all: Vec<_> = map.iter_mut().map(|(id, meter)| (*id, meter.load(now))).collect();
    all.sort_by_key(|(id, _)| *id);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_a_second_are_exact() {
        let mut m = Meter::default();
        for t in [1_000_000, 1_500_000, 1_999_999] {
            m.count(Tick(t));
        }
        assert_eq!(m.in_second(Tick(1_999_999)), 3);
        assert_eq!(m.in_second(Tick(2_000_000)), 0);
        assert_eq!(m.cps(Tick(2_000_000)), 3);
        assert_eq!(m.cps(Tick(3_000_000)), 0);
        m.count(Tick(9_000_000));
        assert_eq!(m.cps(Tick(9_000_000)), 0, "the second before was silent");
    }
}
