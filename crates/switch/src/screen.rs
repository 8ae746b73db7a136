//! Who may call whom, before anything is priced: times, number rules, black and white lists, bounds of single numbers
//! (`RTE-5`, `RTE-6`, `RTE-10`). Nothing here changes anything, so that simulations take the same way.

use crate::brain::Switch;
use crate::call::Call;
use crate::ingress::{Rejection, within};
use crate::rewriting::Parties;
use crate::snapshot::{MappingGateway, Snapshot};
use crate::watch::is_watching;
use vocab::explain::{Detail, RouteExplanation, Whose};
use vocab::{DialString, EndReason, Now, Random};

/// Digits of a caller's number; a text that is no number stays what it is.
pub(crate) fn digits_of(caller: &str) -> String {
    DialString::parse(caller).map_or_else(|_| caller.to_owned(), |number| number.digits().to_owned())
}

fn barred(whose: Whose) -> EndReason {
    match whose {
        Whose::Caller => EndReason::CallerBarred,
        Whose::Called => EndReason::CalleeBarred,
    }
}

/// Times and numbers that the mapping gateway may call at, from and to. The numbers are those received.
pub(crate) fn check_gateway(
    now: Now,
    snapshot: &Snapshot,
    gateway: &MappingGateway,
    received: &Parties,
    why: &mut RouteExplanation,
) -> Result<(), Rejection> {
    let calling = &gateway.calling;
    if let Some(calendar) = calling.calendar.and_then(|id| snapshot.calendars.get(&id)) {
        let open = calendar.is_open(now.utc);
        why.step("calendar of the mapping gateway", open, calendar.name.clone());
        if !open {
            let text = Some(format!("outside of the hours of {}", calendar.name));
            return Err(Rejection { reason: EndReason::CallerBarred, sip: None, text });
        }
    }
    if let Some((whose, fault)) =
        calling.numbers.fault(&digits_of(&received.caller), received.called.digits())
    {
        why.step("number rules of the mapping gateway", false, format!("{whose} {fault}"));
        return Err(barred(whose).into());
    }
    Ok(())
}

/// Puts one of the mapping gateway's proportional prefixes before the called number.
pub(crate) fn proportional(
    gateway: &MappingGateway,
    called: &DialString,
    pick: u64,
    why: &mut RouteExplanation,
) -> Result<Option<DialString>, Rejection> {
    let shares = &gateway.calling.proportional;
    let total: u64 = shares.iter().map(|(_, share)| u64::from(*share)).sum();
    // Not the draw that rules begin with.
    let mut at = Random::from_number(!pick).below(total);
    for (prefix, share) in shares {
        if at >= u64::from(*share) {
            at -= u64::from(*share);
            continue;
        }
        let number = DialString::parse(&format!("{prefix}{}", called.digits()));
        why.step("proportional prefix", number.is_ok(), format!("{prefix}, {share} of {total}"));
        let number = number.map_err(|_| Rejection::from(EndReason::NumberUnknown))?;
        return Ok((!prefix.is_empty()).then_some(number));
    }
    Ok(None)
}

impl Switch {
    /// Lists and bounds for the two numbers, in the forms that were received and that rules made of them.
    pub(crate) fn check_numbers(
        &self,
        now: Now,
        snapshot: &Snapshot,
        gateway: &MappingGateway,
        (received, parties): (&Parties, &Parties),
        why: &mut RouteExplanation,
    ) -> Result<(), Rejection> {
        let callers = [digits_of(&received.caller), digits_of(&parties.caller)];
        let callers = [callers[0].as_str(), callers[1].as_str()];
        let called = [received.called.digits(), parties.called.digits()];
        let account = snapshot.accounts.get(&gateway.account).map(|a| &a.lists);
        let levels = [
            ("lists of the switch", Some(&snapshot.lists)),
            ("lists of the account", account),
            ("lists of the mapping gateway", Some(&gateway.calling.lists)),
        ];
        for (step, lists) in levels {
            let Some(lists) = lists.filter(|lists| !lists.is_empty()) else { continue };
            let found = snapshot.listed(lists, &callers, &called);
            let words = match &found {
                Some((whose, list)) => format!("{whose} by {list}").into(),
                None => Detail::from("passed"),
            };
            why.step(step, found.is_none(), words);
            if let Some((whose, list)) = found {
                let text = Some(format!("list {list}"));
                return Err(Rejection { reason: barred(whose), sip: None, text });
            }
        }
        self.check_watch(now, snapshot, gateway, [callers[1], called[1]], why)
    }

    fn check_watch(
        &self,
        now: Now,
        snapshot: &Snapshot,
        gateway: &MappingGateway,
        numbers: [&str; 2],
        why: &mut RouteExplanation,
    ) -> Result<(), Rejection> {
        if is_watching(&snapshot.params, gateway.calling.dynamic_black_list)
            && let Some(bar) = self.watch.barred(now.tick, numbers)
        {
            why.step("dynamic black list", false, bar.words());
            return Err(Rejection { reason: barred(bar.whose), sip: None, text: Some(bar.words()) });
        }
        let limits = &gateway.calling.number_limits;
        let sides = [
            (Whose::Caller, limits.caller_cps, limits.caller_calls),
            (Whose::Called, limits.called_cps, limits.called_calls),
        ];
        for ((whose, max_cps, max_calls), number) in sides.into_iter().zip(numbers) {
            let (calls, cps) = self.watch.usage(now.tick, whose, number);
            let names = match whose {
                Whose::Caller => ["calls a second of the caller's number", "calls of the caller's number"],
                Whose::Called => ["calls a second of the called number", "calls of the called number"],
            };
            within(why, names[0], cps, max_cps, true).ok_or(EndReason::NumberLimit)?;
            within(why, names[1], calls, max_calls, false).ok_or(EndReason::NumberLimit)?;
        }
        Ok(())
    }

    /// Counts a call that has arrived, for the bounds of its numbers and for the dynamic black list.
    pub(crate) fn count_numbers(&mut self, now: Now, call: &mut Call, gateway: &MappingGateway) {
        let watching = is_watching(&call.snapshot.params, gateway.calling.dynamic_black_list);
        let counting = call.snapshot.counts_numbers();
        if !watching && !counting {
            return;
        }
        call.numbers = numbers_of(call);
        let Some([caller, called]) = &call.numbers else { return };
        if counting {
            self.watch.count(now.tick, [caller, called]);
        }
        if watching {
            self.watch.note_call(now, &call.snapshot.params, [caller, called]);
        }
    }

    /// The call counts against its numbers from now on.
    pub(crate) fn hold_numbers(&mut self, call: &mut Call) {
        if !call.snapshot.counts_numbers() {
            return;
        }
        if call.numbers.is_none() {
            call.numbers = numbers_of(call);
        }
        if let Some([caller, called]) = &call.numbers {
            self.watch.enter([caller, called]);
            call.numbers_held = true;
        }
    }

    pub(crate) fn release_numbers(&mut self, call: &mut Call) {
        let held = std::mem::replace(&mut call.numbers_held, false);
        if let Some([caller, called]) = call.numbers.as_ref().filter(|_| held) {
            self.watch.leave([caller, called]);
        }
    }

    /// A call that went to a gateway has ended, answered or not.
    pub(crate) fn note_outcome(&mut self, now: Now, call: &Call) {
        let Some(gateway) = call.gateway.as_ref().filter(|_| !call.attempts.is_empty()) else { return };
        let params = &call.snapshot.params;
        let watching = is_watching(params, gateway.calling.dynamic_black_list);
        if let Some([_, called]) = call.numbers.as_ref().filter(|_| watching) {
            self.watch.note_end(now, params, called, call.answered.is_some());
        }
    }
}

/// Both numbers as they count: after the rules of the way in.
fn numbers_of(call: &Call) -> Option<[Box<str>; 2]> {
    let called = call.called.as_ref()?;
    Some([digits_of(&call.caller).into(), called.digits().into()])
}
