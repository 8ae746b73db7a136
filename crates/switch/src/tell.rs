//! What happens to a call, told to whoever looks into it (`DBG-1`, `DBG-3`); and the media doctor's visits (`BEY-13`).

use crate::brain::Switch;
use crate::call::{Call, Deadline, Phase};
use crate::interface::Output;
use crate::settle;
use cdr::{Attempt, SilentSide};
use diagnosis::{Event, Side, doctor};
use std::sync::Arc;
use std::time::Duration;
use vocab::{CallId, Now};

/// Between two visits of the doctor: at first, and later.
const VISITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Up to here it is at first.
const AT_FIRST_MS: u64 = 6_000;
/// Different findings of one call that are kept.
const MOST_SILENCES: usize = 8;

impl Switch {
    pub(crate) fn tell(&mut self, call: CallId, event: Event) {
        self.emit(Output::Told { call, event });
    }

    pub(crate) fn tell_begin(&mut self, call: &Call) {
        let call_id = Arc::from(call.setup.call_id.as_str());
        self.tell(call.id, Event::Leg { side: Side::A, call_id, peer: None });
    }

    /// Whose call it is, once that is known.
    pub(crate) fn tell_parties(&mut self, call: &Call) {
        let requested = call.setup.numbers.requested.as_str();
        let event = Event::Parties {
            account: call.account.as_ref().map(|a| a.name.clone()),
            gateway: call.gateway.as_ref().map(|g| g.name.clone()),
            caller: call.caller.as_str().into(),
            called: call.called.as_ref().map_or(requested, |c| c.as_str()).into(),
        };
        self.tell(call.id, event);
    }

    /// A call of the process before this one, of which only what comes from now on is seen.
    pub(crate) fn tell_restored(&mut self, call: &Call) {
        self.tell_begin(call);
        self.tell_parties(call);
        if let Some(current) = &call.current {
            let record = current.record.clone();
            self.tell_attempt(call.id, &record);
        }
        self.tell(call.id, Event::Timer("the call was taken up after a restart"));
    }

    pub(crate) fn tell_attempt(&mut self, call: CallId, attempt: &Attempt) {
        let (call_id, peer) = (attempt.call_id.as_str().into(), Some(attempt.gateway.name.clone()));
        self.tell(call, Event::Leg { side: Side::B, call_id, peer });
    }

    pub(crate) fn tell_timer(&mut self, call: &Call, deadline: Deadline) {
        let what = match deadline {
            Deadline::Progress => "the gateway's time to answer is over",
            Deadline::Credit => "the held money must be extended",
            Deadline::Length => "the longest call length is reached",
            Deadline::Protect => "protected gateways may be tried now",
            Deadline::Figures => "figures of the media are waited for no longer",
            Deadline::Doubt => "after a restart: is the call still there?",
            // Every few seconds, and of no interest when it finds nothing.
            Deadline::Doctor => return,
        };
        self.tell(call.id, Event::Timer(what));
    }

    /// The call is up: the doctor comes.
    pub(crate) fn call_doctor(&mut self, now: Now, call: &mut Call) {
        if call.relayed {
            self.set_deadline(call, Deadline::Doctor, Some(now.tick + Duration::from_secs(doctor::AFTER_S)));
        }
    }

    pub(crate) fn on_doctor_deadline(&mut self, now: Now, call: &mut Call) {
        if !matches!(call.phase, Phase::Talking) {
            return;
        }
        self.examine(now, call);
        let early = since_answer_ms(now, call) < AT_FIRST_MS;
        let wait = VISITS[usize::from(!early)];
        self.set_deadline(call, Deadline::Doctor, Some(now.tick + wait));
    }

    fn examine(&mut self, now: Now, call: &mut Call) {
        let Some(plan) = call.media.as_ref().filter(|_| call.relayed) else { return };
        let (found, at_ms) = (plan.examine(now.tick), since_answer_ms(now, call));
        let mut changed = false;
        for open in call.silent.iter_mut().filter(|s| s.until_ms.is_none()) {
            let still = found.iter().any(|f| is_same(open, f));
            if !still {
                open.until_ms = Some(at_ms);
                changed = true;
            }
        }
        for silent in found {
            let known = call.silent.iter().any(|s| s.until_ms.is_none() && is_same(s, &silent));
            if known || call.silent.len() >= MOST_SILENCES {
                continue;
            }
            changed = true;
            call.silent.push(SilentSide {
                gateway: silent.side == Side::B,
                why: silent.why.key().to_owned(),
                words: silent.words(),
                from_ms: at_ms,
                until_ms: None,
            });
            self.tell(call.id, Event::Silent(silent));
        }
        if changed {
            self.show(call);
        }
    }
}

fn is_same(known: &SilentSide, found: &diagnosis::SilentSide) -> bool {
    known.gateway == (found.side == Side::B) && known.why == found.why.key()
}

fn since_answer_ms(now: Now, call: &Call) -> u64 {
    call.answered.map_or(0, |at| settle::millis(now.tick.since(at.tick)))
}
