//! One call: its two legs, where it stands, and what it holds.

use crate::media_plan::MediaPlan;
use crate::phones::Place;
use crate::rewriting::Parties;
use crate::snapshot::{Account, MappingGateway, Phone, RoutingGateway, Snapshot};
use billing::ledger::ReservationId;
use billing::pricing::Rounding;
use billing::rate::{Rate, RateGroup};
use cdr::Attempt;
use routing::Candidate;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use vocab::explain::RouteExplanation;
use vocab::leg::{OfferBy, Refusal, Setup};
use vocab::prefix::{Matched, Packed};
use vocab::{CallId, DialString, EndReason, EndedBy, LegId, Now, Seq, SessionDescription, Tick, Utc};

/// A rate that applies to this call, with the group it was found in.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub group: Arc<RateGroup>,
    pub prefix: Matched,
    /// The number that was looked up.
    pub number: Packed,
    pub rate: Rate,
}

/// Somebody who pays for the call: the customer, or an agent above it (`BIL-9`).
#[derive(Debug)]
pub(crate) struct Payer {
    pub account: Arc<Account>,
    pub sale: Applied,
    pub reservation: Option<ReservationId>,
    /// Whole seconds of talk that are paid for; `None`: not bounded by this account's money.
    pub paid_s: Option<u64>,
}

/// Where a call stands. Each arm holds what exists only then.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Gateways are tried.
    Trying,
    /// A gateway answered; the caller's 200 waits for the journal.
    Answering {
        journaled: Seq,
        answer: Option<SessionDescription>,
    },
    Talking,
    /// Ended; the media threads still owe their figures.
    Closing(Box<Ending>),
    /// The CDR is on its way to disk.
    Recording(Seq),
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub reason: EndReason,
    pub by: EndedBy,
    pub at: Now,
    /// What the caller was told before the answer; 200 after it.
    pub sip_code: u16,
    pub q850: u8,
    pub text: Option<String>,
}

/// The attempt under way, or the one that was answered.
#[derive(Debug)]
pub(crate) struct Current {
    pub leg: LegId,
    pub gateway: Arc<RoutingGateway>,
    pub vendor: Arc<Account>,
    pub cost: Option<Applied>,
    pub record: Attempt,
    /// Any response came.
    pub heard: bool,
    /// It rang (180).
    pub rang: bool,
    pub sent_session: bool,
    pub sent_media: bool,
    /// The attempt counts against the gateway's limits; false once it is written down.
    pub slot_held: bool,
    /// 3xx followed so far.
    pub redirects: u32,
    /// The number of the gateway's pool that stands for the caller.
    pub pooled: Option<Arc<str>>,
    /// Other contacts that ring at the same time.
    pub forks: Vec<Fork>,
}

/// A contact that rings beside the attempt's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fork {
    pub leg: LegId,
    pub target: SocketAddr,
}

/// An offer of one leg that waits for the other leg's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PendingOffer {
    /// The leg that offered.
    pub from: LegId,
    pub by: OfferBy,
    /// The peer sent no offer and asks us for one (re-INVITE without a body).
    pub offerless: bool,
}

/// Kinds of deadlines a call can have, each at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// Nothing more came from the gateway.
    Progress,
    /// The held money must be extended, or the call cut.
    Credit,
    /// The longest call length is reached.
    Length,
    /// The media threads' figures are waited for no longer.
    Figures,
    /// After a restart: the peers are asked for the call; later, what they have not said counts.
    Doubt,
    /// The media doctor looks at the call.
    Doctor,
    /// The call is old enough for protected gateways (`RTE-8`).
    Protect,
}

pub(crate) const DEADLINES: usize = 7;

/// Of a call of the process before this one: is it still there? Its end may have fallen into the gap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubt {
    /// The last sign of life before the restart; what the call is charged up to when it has ended since.
    pub last: Now,
    pub asked: bool,
    /// Sides that have given no sign since.
    pub silent: [bool; 2],
    /// Media came from both sides before the restart, and from neither since.
    pub no_media: bool,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub id: CallId,
    pub a: LegId,
    pub setup: Box<Setup>,
    pub start: Now,
    pub ringing: Option<Utc>,
    pub pdd: Option<Duration>,
    pub answered: Option<Now>,
    /// The configuration the call began under; its rates and rules do not change during the call (`R-55`).
    pub snapshot: Arc<Snapshot>,
    pub gateway: Option<Arc<MappingGateway>>,
    pub account: Option<Arc<Account>>,
    /// The numbers as received; rules may change them.
    pub received: Option<Parties>,
    pub caller: String,
    pub called: Option<DialString>,
    /// Digits of both after the rules of the way in, by which they are counted.
    pub numbers: Option<[Box<str>; 2]>,
    /// They count against their limits.
    pub numbers_held: bool,
    /// What is drawn for this call follows from it.
    pub pick: u64,
    /// The customer, then its agents from the nearest to the topmost; empty until their rates are known.
    pub payers: Vec<Payer>,
    pub rounding: Rounding,
    pub explanation: RouteExplanation,
    pub candidates: VecDeque<Candidate>,
    /// The phone that is called, while it is one of ours.
    pub phone: Option<Arc<Phone>>,
    /// Contacts of the first candidate that have not rung yet.
    pub contacts: Option<Vec<Place>>,
    /// Phones that have sent the call on.
    pub forwards: Vec<u32>,
    pub current: Option<Current>,
    pub attempts: Vec<Attempt>,
    /// Gateways whose rules left no number.
    pub without_number: u32,
    /// The refusal of the last failed attempt, for the caller.
    pub last_failure: Option<(EndReason, Refusal)>,
    pub media: Option<MediaPlan>,
    /// Media of this call is relayed (as far as the gateways tried so far decide it).
    pub relayed: bool,
    pub phase: Phase,
    pub pending: Option<PendingOffer>,
    /// Its description, which holds once the other leg has agreed.
    pub offered: Option<SessionDescription>,
    /// The last offer and whose it is, as it came: its answer is read by it.
    pub offer: Option<(media::Side, SessionDescription)>,
    /// The answer that the gateway gave before its 200, which then has none.
    pub early_answer: Option<SessionDescription>,
    /// Latest codec of each side.
    pub codecs: [Option<Arc<str>>; 2],
    /// The caller has acknowledged our 200.
    pub confirmed: bool,
    pub slots_held: bool,
    /// It is among the next news already.
    pub in_news: bool,
    /// The journal has a `Placed` of it.
    pub noted: bool,
    /// When its media figures were last written down.
    pub figures_noted: Option<Tick>,
    pub doubt: Option<Doubt>,
    pub deadlines: [Option<Tick>; DEADLINES],
    /// What the media doctor has seen.
    pub silent: Vec<cdr::SilentSide>,
}

impl Call {
    pub fn new(id: CallId, a: LegId, setup: Box<Setup>, now: Now, snapshot: Arc<Snapshot>) -> Call {
        Call {
            id,
            a,
            setup,
            start: now,
            ringing: None,
            pdd: None,
            answered: None,
            snapshot,
            gateway: None,
            account: None,
            received: None,
            caller: String::new(),
            called: None,
            numbers: None,
            numbers_held: false,
            pick: 0,
            payers: Vec::new(),
            rounding: Rounding::default(),
            explanation: RouteExplanation::default(),
            candidates: VecDeque::new(),
            phone: None,
            contacts: None,
            forwards: Vec::new(),
            current: None,
            attempts: Vec::new(),
            without_number: 0,
            last_failure: None,
            media: None,
            relayed: false,
            phase: Phase::Trying,
            pending: None,
            offered: None,
            offer: None,
            early_answer: None,
            codecs: [None, None],
            confirmed: false,
            slots_held: false,
            in_news: false,
            noted: false,
            figures_noted: None,
            doubt: None,
            deadlines: [None; DEADLINES],
            silent: Vec::new(),
        }
    }

    /// The customer's rate.
    pub fn sale(&self) -> Option<&Applied> {
        self.payers.first().map(|payer| &payer.sale)
    }

    /// Whole seconds of talk that every payer has paid for; `None`: not bounded by money.
    pub fn paid_s(&self) -> Option<u64> {
        self.payers.iter().filter_map(|payer| payer.paid_s).min()
    }

    pub fn b(&self) -> Option<LegId> {
        self.current.as_ref().map(|c| c.leg)
    }

    pub fn is_b(&self, leg: LegId) -> bool {
        self.b() == Some(leg)
    }

    pub fn is_fork(&self, leg: LegId) -> bool {
        self.current.as_ref().is_some_and(|c| c.forks.iter().any(|fork| fork.leg == leg))
    }

    /// The leg across from `leg`.
    pub fn across(&self, leg: LegId) -> Option<LegId> {
        if leg == self.a { self.b() } else { Some(self.a) }
    }

    pub fn side(&self, leg: LegId) -> media::Side {
        if leg == self.a { media::Side::A } else { media::Side::B }
    }

    pub fn ended(&self) -> bool {
        matches!(self.phase, Phase::Closing(_) | Phase::Recording(_))
    }
}
