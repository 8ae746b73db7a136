//! One decision: match, filter, sort, explain.

use crate::order::{self, Policy, Quality, Ranks};
use crate::plan::{Gateway, Match, Plan, PrefixMode};
use smallvec::SmallVec;
use std::cmp::{Ordering, Reverse};
use std::sync::Arc;
use vocab::explain::{CandidateNote, Verdict};
use vocab::prefix::Matched;
use vocab::{
    CalendarId, CallLevel, DialString, EndReason, GatewayGroupId, MappingGatewayId, Price, RoutingGatewayId,
};

/// What is asked: a call, and what its mapping gateway may use.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Digits of the caller's number.
    pub caller: &'a str,
    pub called: &'a DialString,
    pub from: MappingGatewayId,
    pub access: &'a Access,
    /// How far the destination is.
    pub level: Option<CallLevel>,
    /// What gateways of one rank are sorted by, in turn.
    pub policies: &'a [Policy],
    /// What is drawn follows from it.
    pub pick: u64,
}

/// Routing gateways that a mapping gateway may use (`RTE-8`); empty lists allow all and forbid none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    pub groups_allowed: Vec<GatewayGroupId>,
    pub groups_forbidden: Vec<GatewayGroupId>,
    pub gateways_allowed: Vec<RoutingGatewayId>,
    pub gateways_forbidden: Vec<RoutingGatewayId>,
}

impl Access {
    /// May calls of the mapping gateway go to this gateway, as far as both sides say?
    pub fn permits(&self, from: MappingGatewayId, gateway: &Gateway) -> bool {
        let terms = &gateway.terms;
        let named = |groups: &[GatewayGroupId]| terms.groups.iter().any(|g| groups.contains(g));
        // Either way of being allowed is enough; being forbidden by any is too much.
        let unrestricted = self.groups_allowed.is_empty() && self.gateways_allowed.is_empty();
        let allowed =
            unrestricted || named(&self.groups_allowed) || self.gateways_allowed.contains(&gateway.id);
        let forbidden = named(&self.groups_forbidden) || self.gateways_forbidden.contains(&gateway.id);
        let wanted = terms.callers_allowed.is_empty() || terms.callers_allowed.contains(&from);
        allowed && !forbidden && wanted && !terms.callers_forbidden.contains(&from)
    }
}

/// Live load, as the brain counts it, and what else changes from moment to moment.
pub trait Load {
    fn standing(&self, gateway: &Gateway) -> Standing;

    fn quality(&self, _: &Gateway) -> Quality {
        Quality::default()
    }

    /// The name of the calendar, when this is not one of its times.
    fn closed(&self, _: CalendarId) -> Option<Arc<str>> {
        None
    }

    /// What else speaks against the gateway for this call: its lists, its groups.
    fn objection(&self, _: &Gateway) -> Option<Verdict> {
        None
    }
}

/// How a gateway stands at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Calls in progress on the gateway.
    pub calls: u32,
    /// Calls sent to the gateway in the current second.
    pub cps: u32,
    pub reachable: bool,
    /// Is the vendor's account usable (not locked, not expired)?
    pub account_usable: bool,
    /// When it got its last call, in the count of all.
    pub last_turn: u64,
    /// Seconds for which it wants no calls (Retry-After).
    pub resting_s: u32,
}

/// Prices of this call.
pub trait Market {
    /// These gateways will be asked for.
    fn prepare(&self, _: &mut dyn Iterator<Item = &Gateway>) {}

    /// The clearing price of the gateway's account for the number.
    fn offer(&self, gateway: &Gateway) -> Offer;
}

/// What carrying the call through a gateway would cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The account has no rate for this number, or it is locked.
    NoRate,
    /// Per minute; the margin is against the customer's price of this call.
    PerMinute { cost: Price, margin: Price },
    /// Priced, but in another currency than the customer's: the margin is unknown.
    OtherCurrency { cost: Price },
}

/// A gateway to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub gateway: Arc<Gateway>,
    /// Length of the prefix that matched.
    pub prefix_length: u32,
}

/// Gateways in the order to try, what was thought of each, and the end reason when none is left.
#[derive(Clone, Debug)]
pub struct Decision {
    pub ranked: Vec<Candidate>,
    pub notes: Vec<CandidateNote>,
    pub failure: Option<EndReason>,
}

/// A gateway under consideration.
struct Judged<'a> {
    gateway: &'a Arc<Gateway>,
    prefix: Matched,
    priority: u32,
    mode: PrefixMode,
    offer: Offer,
    verdict: Verdict,
    ranks: Ranks,
    free: u32,
}

impl Judged<'_> {
    fn kept(&self) -> bool {
        self.verdict == Verdict::Kept
    }

    /// By prefix length, priority, policies, free capacity, name (`RTE-4`).
    fn compare(&self, other: &Judged<'_>) -> Ordering {
        let before = |j: &Judged<'_>| (Reverse(j.prefix.len()), j.priority);
        before(self)
            .cmp(&before(other))
            .then_with(|| self.ranks.cmp(&other.ranks))
            .then_with(|| other.free.cmp(&self.free))
            .then_with(|| self.gateway.name.cmp(&other.gateway.name))
    }

    /// Those to try first: ordinary ones, then the reserve, then those left out.
    fn place(&self) -> u8 {
        match (self.kept(), self.gateway.terms.protected) {
            (true, false) => 0,
            (true, true) => 1,
            (false, _) => 2,
        }
    }

    fn note(self) -> CandidateNote {
        let (cost, margin) = match self.offer {
            Offer::NoRate => (None, None),
            Offer::PerMinute { cost, margin } => (Some(cost), Some(margin)),
            Offer::OtherCurrency { cost } => (Some(cost), None),
        };
        CandidateNote {
            gateway: self.gateway.id,
            name: self.gateway.name.clone(),
            account: self.gateway.account,
            prefix: self.prefix,
            priority: self.priority,
            cost_per_minute: cost,
            margin_per_minute: margin,
            verdict: self.verdict,
        }
    }
}

/// Ranks the gateways for a call.
pub fn decide(plan: &Plan, request: &Request<'_>, load: &dyn Load, market: &dyn Market) -> Decision {
    let matching = plan.matching(request.called.digits(), |calendar| load.closed(calendar).is_none());
    let lots = if request.policies.contains(&Policy::Weight) {
        let gateways: Vec<&Arc<Gateway>> = matching.iter().map(|m| m.gateway).collect();
        order::lots(&gateways, request.pick)
    } else {
        Vec::new()
    };
    market.prepare(&mut matching.iter().map(|found| found.gateway.as_ref()));
    let mut judged: SmallVec<[Judged<'_>; 16]> = SmallVec::new();
    for (place, found) in matching.iter().enumerate() {
        let gateway = found.gateway;
        let standing = load.standing(gateway);
        let offer = market.offer(gateway);
        let lot = lots.get(place).copied().unwrap_or(0);
        let rank = |policy: &Policy| order::rank(*policy, gateway, offer, load, &standing, lot);
        judged.push(Judged {
            gateway,
            prefix: found.prefix,
            priority: found.terms.and_then(|t| t.priority).unwrap_or(gateway.priority),
            mode: found.terms.and_then(|t| t.mode).unwrap_or(gateway.terms.mode),
            offer,
            verdict: judge(request, found, &standing, offer, load),
            ranks: request.policies.iter().map(rank).collect(),
            free: gateway.max_concurrency.unwrap_or(u32::MAX).saturating_sub(standing.calls),
        });
    }
    judged.sort_unstable_by(Judged::compare);
    terminate(&mut judged);
    judged.sort_by_key(Judged::place);
    let failure = failure_of(&judged);
    let ranked = judged
        .iter()
        .take_while(|j| j.kept())
        .map(|j| Candidate { gateway: j.gateway.clone(), prefix_length: j.prefix.len() })
        .collect();
    Decision { ranked, notes: judged.into_iter().map(Judged::note).collect(), failure }
}

/// The first gateway of a prefix decides whether shorter prefixes follow. One that is off or not meant for the caller
/// decides nothing; one that is only full does, or calls would leak to where they should not go.
fn terminate(sorted: &mut [Judged<'_>]) {
    let decides = |j: &Judged<'_>| {
        !matches!(
            j.verdict,
            Verdict::Disabled
                | Verdict::AccountUnusable
                | Verdict::NotForCaller
                | Verdict::OutOfHours { .. }
                | Verdict::NumberRefused { .. }
                | Verdict::LevelTooLow
        )
    };
    let mut length = None;
    let mut ended_at = None;
    for one in sorted {
        let this = one.prefix.len();
        if ended_at.is_some_and(|end| this < end) {
            if one.kept() {
                one.verdict = Verdict::Terminated;
            }
        } else if length != Some(this) && decides(one) {
            length = Some(this);
            ended_at = (one.mode == PrefixMode::Terminate).then_some(this);
        }
    }
}

/// The first rule that speaks against the gateway.
fn judge(
    request: &Request<'_>,
    found: &Match<'_>,
    standing: &Standing,
    offer: Offer,
    load: &dyn Load,
) -> Verdict {
    let gateway = found.gateway;
    if !gateway.enabled {
        return Verdict::Disabled;
    }
    if !request.access.permits(request.from, gateway) {
        return Verdict::NotForCaller;
    }
    if gateway.terms.call_level.zip(request.level).is_some_and(|(may, needs)| needs > may) {
        return Verdict::LevelTooLow;
    }
    if let Some((whose, fault)) = gateway.terms.numbers.fault(request.caller, request.called.digits()) {
        return Verdict::NumberRefused { whose, fault };
    }
    let calendars = [gateway.terms.calendar, found.terms.and_then(|t| t.calendar)];
    if let Some(calendar) = calendars.into_iter().flatten().find_map(|calendar| load.closed(calendar)) {
        return Verdict::OutOfHours { calendar };
    }
    if !standing.account_usable {
        return Verdict::AccountUnusable;
    }
    if !standing.reachable {
        return Verdict::Unreachable;
    }
    if let Some(verdict) = judge_price(gateway, offer) {
        return verdict;
    }
    match judge_load(gateway, standing) {
        Verdict::Kept => load.objection(gateway).unwrap_or(Verdict::Kept),
        verdict => verdict,
    }
}

/// Is there room on the gateway at this moment? Asked again just before each attempt.
pub fn judge_load(gateway: &Gateway, standing: &Standing) -> Verdict {
    let Standing { calls, cps, resting_s, .. } = *standing;
    if resting_s > 0 {
        return Verdict::Resting { seconds: resting_s };
    }
    if let Some(limit) = gateway.max_concurrency.filter(|limit| calls >= *limit) {
        return Verdict::ConcurrencyFull { calls, limit };
    }
    if let Some(limit) = gateway.max_cps.filter(|limit| cps >= *limit) {
        return Verdict::CpsFull { cps, limit };
    }
    Verdict::Kept
}

fn judge_price(gateway: &Gateway, offer: Offer) -> Option<Verdict> {
    let guards = &gateway.guards;
    let cost = match offer {
        Offer::NoRate => return guards.check_rate.then_some(Verdict::NoClearingRate),
        Offer::PerMinute { cost, .. } | Offer::OtherCurrency { cost } => cost,
    };
    if let Some(highest) = guards.max_price_per_minute.filter(|highest| cost > *highest) {
        return Some(Verdict::PriceTooHigh { price: cost, highest });
    }
    let lowest = guards.lowest_profit_per_minute?;
    match offer {
        Offer::PerMinute { margin, .. } if margin < lowest => Some(Verdict::MarginTooLow { margin, lowest }),
        Offer::OtherCurrency { .. } => Some(Verdict::CurrencyDiffers),
        Offer::PerMinute { .. } | Offer::NoRate => None,
    }
}

/// `RTE-13`: the reasons are distinct. Room beats price beats reach: the most hopeful obstacle is named. Where rules
/// about numbers, callers and levels leave nobody, no gateway matches this call.
fn failure_of(judged: &[Judged<'_>]) -> Option<EndReason> {
    let any = |f: fn(&Verdict) -> bool| judged.iter().any(|j| f(&j.verdict));
    if any(|v| *v == Verdict::Kept) {
        return None;
    }
    let by_room = |v: &Verdict| {
        matches!(
            v,
            Verdict::ConcurrencyFull { .. }
                | Verdict::CpsFull { .. }
                | Verdict::GroupFull { .. }
                | Verdict::GroupCpsFull { .. }
                | Verdict::LinesReserved { .. }
                | Verdict::Resting { .. }
        )
    };
    let by_price = |v: &Verdict| {
        matches!(
            v,
            Verdict::MarginTooLow { .. }
                | Verdict::PriceTooHigh { .. }
                | Verdict::NoClearingRate
                | Verdict::CurrencyDiffers
        )
    };
    let by_reach = |v: &Verdict| {
        matches!(
            v,
            Verdict::Disabled | Verdict::Unreachable | Verdict::AccountUnusable | Verdict::OutOfHours { .. }
        )
    };
    Some(if any(by_room) {
        EndReason::AllGatewaysBusy
    } else if any(by_price) {
        EndReason::AllGatewaysRefusedByMargin
    } else if any(by_reach) {
        EndReason::AllGatewaysOffline
    } else {
        EndReason::NoAvailableRouter
    })
}

#[cfg(test)]
mod tests;
