//! Money held while a call runs: the first unit before any INVITE leaves, then slices ahead of the talk (`BIL-12`).

use crate::brain::Switch;
use crate::call::{Applied, Call, Deadline};
use crate::ingress::Rejection;
use crate::snapshot::{Account, MappingGateway};
use billing::credit::{self, Credit};
use billing::pricing::Rounding;
use diagnosis::Event;
use params::OverdraftPolicy;
use std::time::Duration;
use vocab::leg::LegCommand;
use vocab::{EndReason, EndedBy, Money, Now, Tick};

/// The hold is extended this long before it is used up: time for a late timer, short enough that little is held.
const LEAD: Duration = Duration::from_millis(1500);

impl Switch {
    /// May the account start this call? What it would have to hold, `None` when money does not bound it.
    pub(crate) fn affordable_first(
        &self,
        account: &Account,
        sale: &Applied,
        rounding: &Rounding,
    ) -> Result<Option<(u64, Money)>, EndReason> {
        let advance_s = self.snapshot.params.billing_prevent_overdraft_advance_time_s;
        let available = self.ledger.available(account.id);
        match credit::first(&sale.rate, rounding, advance_s, available) {
            Credit::Unlimited => Ok(None),
            Credit::Until { talk_s, amount } => Ok(Some((talk_s, amount))),
            Credit::Exhausted => Err(EndReason::InsufficientBalance),
        }
    }

    pub(crate) fn money_words(&self, account: &Account) -> String {
        match self.ledger.available(account.id) {
            Some(available) => format!("{available} {} available", account.terms.currency),
            None => "no limit".to_owned(),
        }
    }

    /// Holds the money of the first unit, or refuses the call.
    pub(crate) fn reserve_first(
        &mut self,
        call: &mut Call,
        account: &Account,
        sale: &Applied,
    ) -> Result<(), Rejection> {
        let hold = match self.affordable_first(account, sale, &call.rounding) {
            Ok(hold) => hold,
            Err(reason) => {
                call.explanation.step("money", false, self.money_words(account));
                return Err(reason.into());
            }
        };
        let Some((seconds, amount)) = hold else {
            call.explanation.step("money", true, "no limit");
            return Ok(());
        };
        let reservation = self.ledger.reserve(account.id, amount).map_err(|error| Rejection {
            reason: EndReason::InsufficientBalance,
            sip: None,
            text: Some(error.to_string()),
        })?;
        call.explanation.step("money", true, format!("{amount} held for {seconds} s"));
        call.reservation = Some(reservation);
        call.paid_s = Some(seconds);
        self.tell(call.id, Event::Held { amount, until_s: Some(seconds) });
        Ok(())
    }

    /// Is the call ended when its money is? Otherwise only new calls are refused (`BIL-13`).
    pub(crate) fn is_cut_by_money(&self, call: &Call) -> bool {
        let guarded = call.account.as_ref().is_some_and(|a| a.anti_overdraft);
        guarded && call.snapshot.params.billing_overdraft_policy == OverdraftPolicy::Cut
    }

    /// The moment up to which talk is paid.
    fn paid_until(call: &Call) -> Option<Tick> {
        Some(call.answered?.tick + Duration::from_secs(call.paid_s?))
    }

    pub(crate) fn watch_credit(&mut self, call: &mut Call) {
        let at = Self::paid_until(call)
            .map(|until| Tick(until.0.saturating_sub(u64::try_from(LEAD.as_micros()).unwrap_or(0))));
        self.set_deadline(call, Deadline::Credit, at);
    }

    /// The hold runs out soon, or now: extend it, or cut the call at the last paid second.
    pub(crate) fn on_credit_deadline(&mut self, now: Now, call: &mut Call) {
        let Some(until) = Self::paid_until(call) else { return };
        if self.extend_hold(call) {
            return self.watch_credit(call);
        }
        if !self.is_cut_by_money(call) {
            // The older system's way: the call may finish, what it talks beyond its hold is charged all the same.
            call.paid_s = None;
            return;
        }
        if now.tick < until {
            // A payment may still arrive before the last paid second; then the call goes on (`BEY-1`).
            return self.set_deadline(call, Deadline::Credit, Some(until));
        }
        let end = self.ending(now, EndReason::BalanceExhausted, EndedBy::Switch);
        self.end_call(now, call, end);
    }

    fn extend_hold(&mut self, call: &mut Call) -> bool {
        let (Some(account), Some(sale), Some(reservation), Some(paid_s)) =
            (&call.account, &call.sale, call.reservation, call.paid_s)
        else {
            return false;
        };
        let available = self.ledger.available(account.id);
        let open = self.ledger.reservations(account.id);
        match credit::more(&sale.rate, &call.rounding, paid_s, available, open) {
            Credit::Unlimited => {
                call.paid_s = None;
                true
            }
            Credit::Until { talk_s, amount } if self.ledger.extend(reservation, amount).is_ok() => {
                call.paid_s = Some(talk_s);
                let amount = self.ledger.held_by(reservation);
                self.tell(call.id, Event::Held { amount, until_s: Some(talk_s) });
                true
            }
            Credit::Until { .. } | Credit::Exhausted => false,
        }
    }

    /// The longest call length that applies, from the answer on; its owner is named when it strikes (`SIG-24`).
    pub(crate) fn set_length_deadline(&mut self, call: &mut Call) {
        let Some(answered) = call.answered else { return };
        let limit =
            self.length_limit(call).map(|(seconds, _)| answered.tick + Duration::from_secs(seconds.into()));
        self.set_deadline(call, Deadline::Length, limit);
    }

    fn length_limit(&self, call: &Call) -> Option<(u32, &'static str)> {
        let of_gateway = |g: Option<&MappingGateway>| g.map(|g| g.params.max_call_duration_s);
        let limits = [
            (Some(call.snapshot.params.max_call_duration_s), "the switch"),
            (of_gateway(call.gateway.as_deref()), "the mapping gateway"),
            (call.current.as_ref().map(|c| c.gateway.params.max_call_duration_s), "the routing gateway"),
        ];
        let set = limits.into_iter().filter_map(|(limit, owner)| Some((limit.filter(|l| *l != 0)?, owner)));
        set.min_by_key(|(limit, _)| *limit)
    }

    pub(crate) fn on_length_deadline(&mut self, now: Now, call: &mut Call) {
        let mut end = self.ending(now, EndReason::MaxDuration, EndedBy::Switch);
        end.text =
            self.length_limit(call).map(|(seconds, owner)| format!("{seconds} s, the limit of {owner}"));
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
