//! Money held while a call runs: the first unit before any INVITE leaves, then slices ahead of the talk (`BIL-12`).

use crate::brain::Switch;
use crate::call::{Applied, Call, Deadline, Payer};
use crate::ingress::Rejection;
use crate::snapshot::{Account, MappingGateway};
use billing::ReservationId;
use billing::credit::{self, Credit};
use billing::pricing::Rounding;
use diagnosis::Event;
use params::OverdraftPolicy;
use std::sync::Arc;
use std::time::Duration;
use vocab::leg::LegCommand;
use vocab::{EndReason, EndedBy, Money, Now, Tick, Utc};

/// The hold is extended this long before it is used up: time for a late timer, short enough that little is held.
const LEAD: Duration = Duration::from_millis(1500);

/// When to look after a hold that is used up then.
fn ahead(until: Tick) -> Tick {
    Tick(until.0.saturating_sub(u64::try_from(LEAD.as_micros()).unwrap_or(0)))
}

impl Switch {
    /// May the account start this call? What it would have to hold, `None` when money does not bound it.
    pub(crate) fn affordable_first(
        &self,
        account: &Account,
        sale: &Applied,
        rounding: &Rounding,
        at: Utc,
    ) -> Result<Option<(u64, Money)>, EndReason> {
        let advance_s = self.snapshot.params.billing_prevent_overdraft_advance_time_s;
        match credit::first(&sale.rate, rounding, advance_s, self.spendable(account, at)) {
            Credit::Unlimited => Ok(None),
            Credit::Until { talk_s, amount } => Ok(Some((talk_s, amount))),
            Credit::Exhausted => Err(self.short_of(account, at)),
        }
    }

    pub(crate) fn money_words(&self, account: &Account, at: Utc) -> String {
        match self.spendable(account, at) {
            Some(available) => format!("{available} {} available", account.terms.currency),
            None => "no limit".to_owned(),
        }
    }

    /// Holds the money of the first unit on every level, or refuses the call and holds nothing.
    pub(crate) fn reserve_first(
        &mut self,
        call: &mut Call,
        payers: Vec<(Arc<Account>, Applied)>,
    ) -> Result<(), Rejection> {
        for (account, sale) in payers {
            let held = self.hold_first(call, &account, &sale);
            match held {
                Ok((reservation, paid_s)) => {
                    call.payers.push(Payer { account, sale, reservation, paid_s });
                }
                Err(rejection) => {
                    for reservation in call.payers.drain(..).filter_map(|payer| payer.reservation) {
                        // It was made a moment ago.
                        let _ = self.ledger.release(reservation);
                    }
                    return Err(rejection);
                }
            }
        }
        Ok(())
    }

    fn hold_first(
        &mut self,
        call: &mut Call,
        account: &Account,
        sale: &Applied,
    ) -> Result<(Option<ReservationId>, Option<u64>), Rejection> {
        // Of an agent's money its name is told, which stands in the explanation alone.
        let whose = if call.payers.is_empty() { String::new() } else { format!("agent {}: ", account.name) };
        let hold = match self.affordable_first(account, sale, &call.rounding, call.start.utc) {
            Ok(hold) => hold,
            Err(reason) => {
                call.explanation.step(
                    "money",
                    false,
                    format!("{whose}{}", self.money_words(account, call.start.utc)),
                );
                return Err(reason.into());
            }
        };
        let Some((seconds, amount)) = hold else {
            call.explanation.step("money", true, format!("{whose}no limit"));
            return Ok((None, None));
        };
        let reservation = self.ledger.reserve(account.id, amount).map_err(|error| Rejection {
            reason: EndReason::InsufficientBalance,
            sip: None,
            text: Some(error.to_string()),
        })?;
        call.explanation.step("money", true, format!("{whose}{amount} held for {seconds} s"));
        if call.payers.is_empty() {
            self.tell(call.id, Event::Held { amount, until_s: Some(seconds) });
        }
        Ok((Some(reservation), Some(seconds)))
    }

    /// Is the call ended when this payer's money is? Otherwise only new calls are refused (`BIL-13`).
    pub(crate) fn is_cut_by_money(call: &Call, payer: &Payer) -> bool {
        payer.account.anti_overdraft && call.snapshot.params.billing_overdraft_policy == OverdraftPolicy::Cut
    }

    /// Money that was not held is not charged, however late a timer or a BYE was: the talk that may be charged, on all
    /// levels alike.
    pub(crate) fn chargeable_s(call: &Call) -> Option<u64> {
        let cut = call.payers.iter().filter(|payer| Self::is_cut_by_money(call, payer));
        cut.filter_map(|payer| payer.paid_s).min()
    }

    /// The moment up to which this payer has paid the talk.
    fn paid_until(call: &Call, payer: &Payer) -> Option<Tick> {
        Some(call.answered?.tick + Duration::from_secs(payer.paid_s?))
    }

    pub(crate) fn watch_credit(&mut self, call: &mut Call) {
        let next = call.payers.iter().filter_map(|payer| Self::paid_until(call, payer)).map(ahead).min();
        self.set_deadline(call, Deadline::Credit, next);
    }

    /// The hold of a payer runs out soon, or now: extend it, or cut the call at the last paid second.
    pub(crate) fn on_credit_deadline(&mut self, now: Now, call: &mut Call) {
        let mut next: Option<Tick> = None;
        let mut sooner = |at: Tick| next = Some(next.map_or(at, |next| next.min(at)));
        for level in 0..call.payers.len() {
            let until = |call: &Call| call.payers.get(level).and_then(|payer| Self::paid_until(call, payer));
            let Some(end) = until(call) else { continue };
            if ahead(end) > now.tick {
                sooner(ahead(end));
            } else if self.extend_hold(now, call, level) {
                until(call).map(ahead).into_iter().for_each(&mut sooner);
            } else if !call.payers.get(level).is_some_and(|payer| Self::is_cut_by_money(call, payer)) {
                // The older system's way: the call may finish, what it talks beyond its hold is charged all the same.
                call.payers.iter_mut().skip(level).take(1).for_each(|payer| payer.paid_s = None);
            } else if now.tick < end {
                // A payment may still arrive before the last paid second; then the call goes on (`BEY-1`).
                sooner(end);
            } else {
                if let Some(agent) = call.payers.get(level).filter(|_| level > 0) {
                    let words = format!("agent {}: used up", agent.account.name);
                    call.explanation.step("money", false, words);
                }
                let short = call.payers.get(level).map(|payer| self.short_of(&payer.account, now.utc));
                let reason = match short {
                    Some(EndReason::AccountMoneyUsed) => EndReason::AccountMoneyUsed,
                    _ => EndReason::BalanceExhausted,
                };
                let end = self.ending(now, reason, EndedBy::Switch);
                return self.end_call(now, call, end);
            }
        }
        self.set_deadline(call, Deadline::Credit, next);
    }

    fn extend_hold(&mut self, now: Now, call: &mut Call, level: usize) -> bool {
        let rounding = call.rounding;
        let Some(payer) = call.payers.get_mut(level) else { return false };
        let (Some(reservation), Some(paid_s)) = (payer.reservation, payer.paid_s) else { return false };
        let available = self.spendable(&payer.account, now.utc);
        let open = self.ledger.reservations(payer.account.id);
        match credit::more(&payer.sale.rate, &rounding, paid_s, available, open) {
            Credit::Unlimited => {
                payer.paid_s = None;
                true
            }
            Credit::Until { talk_s, amount } if self.ledger.extend(reservation, amount).is_ok() => {
                payer.paid_s = Some(talk_s);
                if level == 0 {
                    self.tell(call.id, Event::Held { amount, until_s: Some(talk_s) });
                }
                true
            }
            Credit::Until { .. } | Credit::Exhausted => false,
        }
    }

    /// The longest call length that applies, from the answer on; its owner is named when it strikes (`SIG-24`).
    pub(crate) fn set_length_deadline(&mut self, call: &mut Call) {
        let Some(answered) = call.answered else { return };
        let limit = self.length_limit(call, answered.utc);
        let limit = limit.map(|(seconds, ..)| answered.tick + Duration::from_secs(seconds));
        self.set_deadline(call, Deadline::Length, limit);
    }

    fn length_limit(&self, call: &Call, at: Utc) -> Option<(u64, &'static str, EndReason)> {
        let of_gateway = |g: Option<&MappingGateway>| g.map(|g| g.params.max_call_duration_s);
        let limits = [
            (Some(call.snapshot.params.max_call_duration_s), "the switch"),
            (of_gateway(call.gateway.as_deref()), "the mapping gateway"),
            (call.current.as_ref().map(|c| c.gateway.params.max_call_duration_s), "the routing gateway"),
            (call.account.as_ref().and_then(|a| a.max_call_duration_s), "the account"),
            (self.no_timer_limit(call), "a peer without session timers"),
        ];
        let set = limits.into_iter().filter_map(|(limit, owner)| Some((limit.filter(|l| *l != 0)?, owner)));
        let set = set.map(|(limit, owner)| (u64::from(limit), owner, EndReason::MaxDuration));
        let minutes = call.payers.iter().filter_map(|payer| self.seconds_left(&payer.account, at));
        let minutes = minutes.map(|left| (left, "the minutes of the account", EndReason::AccountMinutesUsed));
        set.chain(minutes).min_by_key(|(limit, ..)| *limit)
    }

    /// `SIG-23`: what bounds the call when one of its peers has no session timer.
    fn no_timer_limit(&self, call: &Call) -> Option<u32> {
        let legs = [Some(call.a), call.b()];
        let untimed = legs.into_iter().flatten().any(|leg| !self.endpoint.has_session_timer(leg));
        untimed.then_some(call.snapshot.params.sip_no_timer_reinvite_interval_s)
    }

    pub(crate) fn on_length_deadline(&mut self, now: Now, call: &mut Call) {
        let (Some(answered), Some((seconds, owner, reason))) =
            (call.answered, self.length_limit(call, now.utc))
        else {
            return;
        };
        let due = answered.tick + Duration::from_secs(seconds);
        if due > now.tick {
            // A new day has brought new minutes.
            return self.set_deadline(call, Deadline::Length, Some(due));
        }
        let mut end = self.ending(now, reason, EndedBy::Switch);
        end.text = Some(format!("{seconds} s, the limit of {owner}"));
        self.end_call(now, call, end);
    }

    /// Ends the dialog on both sides, whatever state each leg is in.
    pub(crate) fn release_legs(&mut self, now: Now, call: &mut Call, q850: u8, text: Option<&String>) {
        let release = || LegCommand::Release { q850: Some(q850), text: text.cloned() };
        self.command(now, call.a, release());
        if let Some(b) = call.b() {
            self.command(now, b, release());
        }
    }
}
