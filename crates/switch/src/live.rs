//! What the brain tells the outside about calls in progress, when it is asked what has changed. The receiver keeps its own table; the
//! brain never sorts or filters for a screen.

use cdr::{MediaFigures, Priced};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use vocab::{CallId, Money, Price, Utc};

#[derive(Clone, Debug)]
pub enum LiveUpdate {
    /// A call began or changed.
    Call(Box<LiveCall>),
    /// New media figures of a call.
    Media { call: CallId, a: MediaFigures, b: MediaFigures },
    /// A call is over and its CDR is on disk (or it leaves none). It may have come and gone unseen.
    Ended(CallId),
    /// Once a second.
    Totals(Totals),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    Setup,
    Ringing,
    Talking,
    Held,
    Ending,
}

/// A call in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveCall {
    pub call: CallId,
    pub state: CallState,
    pub start: Utc,
    pub answer: Option<Utc>,
    pub caller: Arc<str>,
    pub called: Arc<str>,
    pub account: Option<Arc<str>>,
    pub mapping_gateway: Option<Arc<str>>,
    pub routing_gateway: Option<Arc<str>>,
    pub vendor: Option<Arc<str>>,
    /// Number of the attempt now under way, from 1; 0 before the first.
    pub attempt: u32,
    pub pdd_ms: Option<u64>,
    pub a: LiveLeg,
    pub b: LiveLeg,
    /// The customer's terms; their amount is still zero.
    pub price: Option<Priced>,
    pub cost_per_minute: Option<Price>,
    /// Money held for the call.
    pub reserved: Money,
    /// Seconds of talk that are paid for at this moment; `None`: not bounded by money.
    pub paid_until_s: Option<u64>,
    pub media_relayed: bool,
    /// What the media doctor has seen.
    pub silent: Vec<cdr::SilentSide>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveLeg {
    pub call_id: Arc<str>,
    pub remote: Option<SocketAddr>,
    pub codec: Option<Arc<str>>,
}

/// Counters of the whole switch. Attempts, answers and money are since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub at: Utc,
    pub calls: u32,
    pub talking: u32,
    /// Calls that arrived in the last full second.
    pub cps: u32,
    pub attempts: u64,
    pub answered: u64,
    pub talk_ms: u64,
    /// By currency, in alphabetical order: revenue and cost.
    pub money: Vec<(vocab::Currency, Money, Money)>,
    pub media_ports_used: u32,
    pub journal_stopped: bool,
    pub guard: GuardCounters,
    pub sip: sip::Statistics,
}

/// What the guard has done with messages of unknown sources since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardCounters {
    /// Handed to the engine.
    pub passed: u64,
    /// Dropped: nothing that a stranger may send.
    pub unwanted: u64,
    /// Dropped: the source sent too much (`SEC-4`).
    pub over_source_limit: u64,
    /// Dropped: all unknown sources together sent too much.
    pub over_total_limit: u64,
    /// Dropped: the mark of a scanner.
    pub scanners: u64,
    /// Dropped: the source is suspended after failed sign-ins.
    pub suspended: u64,
    /// Times that a source was suspended.
    pub suspensions: u64,
    /// Bytes that unknown sources sent, and were sent.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Unknown addresses from which somebody has signed in lately, or that took part in a call.
    pub guests: u32,
}

impl GuardCounters {
    /// Messages that nobody read.
    pub fn dropped(&self) -> u64 {
        let limits = self.over_source_limit + self.over_total_limit;
        self.unwanted + limits + self.scanners + self.suspended
    }
}
