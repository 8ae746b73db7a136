//! What the brain writes to the journal: the one ordered stream of facts.
//!
//! Of a call there are at most: `Placed` (one for each attempt), `Answered`, `Confirmed`, now and then `Figures`, and its
//! end, `Ended` or `Dropped`. What stands in one is not repeated in the next but in `Ended`, which is complete.

use crate::media_plan::StreamState;
use crate::registrar::Registered;
use billing::ledger::Posting;
use cdr::Cdr;
use media::SessionStatistics;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vocab::rating::RateSection;
use vocab::{CallId, Now, SessionDescription, Tick, Utc};

/// One journal record. The shell assigns nothing: sequence numbers come from the brain with the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A call is about to be connected. The 200 to the caller waits until this is on disk (`BIL-15`). After a crash such a
    /// record without its `Ended` is a call to be taken up. Written again when the call's dialogs or media change.
    Answered(Box<Answered>),
    /// A call is over. For a call that was answered, the postings that charge it stand in the same record, so that
    /// CDR and money can never part.
    Ended { cdr: Box<Cdr>, postings: Vec<Posting> },
    /// Money moved outside of calls: a payment, a correction, an opening balance.
    Posted(Posting),
    /// Sign of life, once a second while answered calls are up: bounds what a crash can cost.
    Alive { at: Moment },
    /// A call is sent to a gateway: with what a new process needs to cancel it on both sides.
    Placed(Box<Placed>),
    /// The caller has acknowledged our 200.
    Confirmed(CallId),
    /// Counters and learned addresses of a call's media.
    Figures { call: CallId, streams: Vec<SessionStatistics> },
    /// A placed call is over and leaves no CDR.
    Dropped(CallId),
    /// A registration changed. Its answer waits until this is on disk.
    Registered(Box<Registered>),
}

impl Record {
    /// The call it is about, and what it says about it.
    pub fn of_call(&self) -> Option<(CallId, CallRecord)> {
        match self {
            Record::Answered(answered) => Some((answered.call, CallRecord::Answered)),
            Record::Placed(placed) => Some((placed.cdr.call, CallRecord::Placed)),
            Record::Confirmed(call) => Some((*call, CallRecord::Confirmed)),
            Record::Figures { call, .. } => Some((*call, CallRecord::Figures)),
            Record::Dropped(call) => Some((*call, CallRecord::End)),
            Record::Ended { cdr, .. } => Some((cdr.call, CallRecord::End)),
            Record::Posted(_) | Record::Alive { .. } | Record::Registered(_) => None,
        }
    }
}

/// Of each kind a call has at most one that counts: the last. `End` makes all of them void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallRecord {
    Placed,
    Answered,
    Confirmed,
    Figures,
    End,
}

/// A moment by all clocks. Ticks of one boot of the machine compare across processes; of different boots, only the
/// calendar is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub utc: Utc,
    pub tick: Tick,
    pub boot: u64,
}

impl Moment {
    pub fn new(now: Now, boot: u64) -> Moment {
        Moment { utc: now.utc, tick: now.tick, boot }
    }
}

/// A call that is sent to a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The CDR as far as it is known; the attempt under way is its last.
    pub cdr: Cdr,
    pub a: sip::LegState,
    pub b: sip::LegState,
}

/// A call that is up: what its `Placed` does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub call: CallId,
    pub at: Moment,
    pub ringing: Option<Utc>,
    pub pdd_ms: Option<u64>,
    pub codecs: [Option<Arc<str>>; 2],
    /// Of the customer's and of the vendor's rate: what changes while the call lasts, known from the answer on.
    pub sections: [Vec<RateSection>; 2],
    /// The same of the agents' rates, from the nearest to the topmost.
    pub agents: Vec<Vec<RateSection>>,
    pub a: sip::LegState,
    pub b: sip::LegState,
    /// The caller has acknowledged our 200.
    pub confirmed: bool,
    /// The offer came from the gateway (the caller's INVITE had none).
    pub delayed: bool,
    /// What our 200 says, for as long as it is not acknowledged.
    pub answer: Option<SessionDescription>,
    /// By the place of the stream in the session description; `None`: not relayed.
    pub streams: Vec<Option<StreamState>>,
}

/// What the journal says of one call without an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenCall {
    pub placed: Option<Box<Placed>>,
    pub answered: Option<Box<Answered>>,
    pub confirmed: bool,
    pub figures: Vec<SessionStatistics>,
}

impl OpenCall {
    pub fn id(&self) -> Option<CallId> {
        let answered = self.answered.as_ref().map(|a| a.call);
        answered.or(self.placed.as_ref().map(|p| p.cdr.call))
    }

    /// Takes note of the next record of the call; false: it is over.
    pub fn note(&mut self, record: Record) -> bool {
        match record {
            Record::Placed(placed) => self.placed = Some(placed),
            Record::Answered(answered) => {
                // Figures name streams of the process that wrote them.
                self.figures.clear();
                self.answered = Some(answered);
            }
            Record::Confirmed(_) => self.confirmed = true,
            Record::Figures { streams, .. } => self.figures = streams,
            Record::Ended { .. } | Record::Dropped(_) => return false,
            Record::Posted(_) | Record::Alive { .. } | Record::Registered(_) => {}
        }
        true
    }
}
