//! The brain's inputs and outputs.

use crate::keep_alive::KeepAliveCounters;
use crate::record::{Moment, OpenCall, Record};
use crate::registrar::{Binding, Registered, Registrant};
use crate::snapshot::Snapshot;
use crate::vendors::{OnlineState, OutboundState};
use crate::watch::Bar;
use billing::ledger::{Book, Posting, PostingKind};
use media::{MediaCommand, MediaEvent};
use std::net::IpAddr;
use std::sync::Arc;
use vocab::explain::{RouteExplanation, Whose};
use vocab::net::LocalAddresses;
use vocab::{
    AccountId, CallId, EndReason, Flow, GatewayGroupId, MappingGatewayId, Money, RoutingGatewayId, Seq, Utc,
};

/// What the brain must know at its start and cannot learn later.
#[derive(Clone, Debug)]
pub struct SwitchConfig {
    pub listeners: Vec<sip::ListenerConfig>,
    pub media: MediaAddressing,
    /// Whether the media threads can open ports of IPv4 and of IPv6.
    pub media_families: [bool; 2],
    /// How many media threads there are.
    pub media_threads: u8,
    /// Names this run of the machine: ticks of one boot compare across restarts of the process.
    pub boot: u64,
    /// Seed of everything random. From the system in the program, a number in tests.
    pub seed: [u8; 16],
    /// Seals what is secret in the journal. The same for all processes on one data folder.
    pub seal: [u8; 32],
}

/// Which of our addresses stands in session descriptions.
#[derive(Clone, Debug, Default)]
pub struct MediaAddressing {
    pub local: LocalAddresses,
    /// Public addresses behind 1:1 NAT, used towards peers that are not on a local network.
    pub advertised_v4: Option<IpAddr>,
    pub advertised_v6: Option<IpAddr>,
}

/// State from before the start, read by the shell from database and journal.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    /// Last sequence number in the journal; the brain continues with the next.
    pub last_seq: Seq,
    pub balances: Vec<(Book, Money)>,
    /// Calls without an end.
    pub open_calls: Vec<OpenCall>,
    /// The last sign of life in the journal.
    pub last_alive: Option<Moment>,
    /// Idempotency keys of past postings with their sequence numbers.
    pub keys: Vec<(String, Seq, Posting)>,
    /// What was registered.
    pub registrations: Vec<Registered>,
    /// What calls have used, in the order of time, from a month ago on.
    pub used: Vec<Used>,
}

/// Talk and money of an account's finished calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub account: AccountId,
    pub at: Utc,
    pub seconds: u64,
    pub amount: Money,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ControlId(pub u64);

// An input lives on the stack for one call of `handle_input`; boxing a part of it would cost more than its size.
#[allow(clippy::large_enum_variant)]
pub enum Input<'a> {
    /// A datagram, or one framed message of a connection.
    Message {
        flow: Flow,
        bytes: &'a [u8],
    },
    /// Bytes of a connection that are no SIP; the shell closes it.
    StreamError {
        flow: Flow,
    },
    /// A connection is gone or could not be made; or ICMP says that nobody listens at a UDP address.
    FlowClosed {
        flow: Flow,
    },
    Media(MediaEvent),
    /// Everything up to this record is on disk.
    Journaled(Seq),
    /// The journal cannot take more (disk full or failing): refuse new calls until it can.
    JournalStopped(bool),
    Configure(Arc<Snapshot>),
    Control {
        id: ControlId,
        request: ControlRequest,
    },
}

#[allow(
    clippy::large_enum_variant,
    reason = "media commands are two a call: an allocation would cost more than the copy"
)]
pub enum Output {
    Send {
        flow: Flow,
        bytes: Vec<u8>,
    },
    Media(MediaCommand),
    Journal {
        seq: Seq,
        record: Record,
    },
    Reply {
        id: ControlId,
        reply: ControlReply,
    },
    /// What happened to a call, for whoever looks into it. Comes before the messages that follow from it.
    Told {
        call: CallId,
        event: diagnosis::Event,
    },
}

/// Requests of operators. Answered by one [`Output::Reply`] each, those that move money after the disk has it.
#[derive(Clone, Debug)]
pub enum ControlRequest {
    Pay {
        account: AccountId,
        kind: PostingKind,
        amount: Money,
        by: String,
        note: String,
        key: Option<String>,
    },
    Transfer {
        from: AccountId,
        to: AccountId,
        amount: Money,
        by: String,
        note: String,
        key: Option<String>,
    },
    Disconnect {
        call: CallId,
        by: String,
        reason: String,
    },
    Simulate {
        gateway: MappingGatewayId,
        caller: String,
        called: String,
    },
    /// Balances, holds and load; of all accounts when the list is empty.
    Balances(Vec<AccountId>),
    /// Load of all gateways.
    GatewayLoad,
    /// Who is registered, and what keeps the ways to them open.
    Registrations,
    /// Takes a registration away.
    Unregister(Registrant),
    /// Takes our registrations with vendors back; for the stop.
    UnregisterEverywhere,
    /// The record of a call in progress as far as it is known.
    Describe(CallId),
    /// Have all calls in progress among the next [`crate::Switch::take_news`].
    ResendLive,
    /// The numbers that the dynamic black list bars.
    BlackList,
    /// Take a number off the dynamic black list.
    Unbar {
        whose: Whose,
        number: String,
    },
    /// Take no new calls; reply when the last one has ended.
    Drain,
    /// End all calls now, with their CDRs; reply when all are on disk.
    HangUpAll,
}

#[derive(Clone, Debug)]
pub enum ControlReply {
    Paid {
        seq: Seq,
        posting: Posting,
        repeated: bool,
    },
    /// The request could not be carried out; in words.
    Refused(String),
    Disconnecting,
    NoSuchCall,
    Described(Box<cdr::Cdr>),
    Simulated(Box<Simulation>),
    Balances(Vec<AccountState>),
    GatewayLoad {
        mapping: Vec<(MappingGatewayId, Load)>,
        routing: Vec<(RoutingGatewayId, Load)>,
        vendors: Vec<(RoutingGatewayId, VendorState)>,
        groups: Vec<(GatewayGroupId, Load)>,
    },
    Registrations {
        list: Vec<RegistrationState>,
        keep_alive: KeepAliveCounters,
    },
    BlackList(Vec<Bar>),
    NotBarred,
    Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    pub account: AccountId,
    pub balance: Money,
    pub reserved: Money,
    /// What may still be spent; `None`: no bound.
    pub available: Option<Money>,
    /// What the accounts directly below an agent were charged for their calls.
    pub income: Money,
    pub calls: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub calls: u32,
    pub cps: u32,
    /// Since the start of the process.
    pub attempts: u64,
    pub answered: u64,
    pub talk_ms: u64,
    /// Seconds for which it wants no calls (Retry-After).
    pub resting_s: u32,
}

/// A registrant with its contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationState {
    pub who: Registrant,
    /// The phone's number, or the gateway's name.
    pub name: Arc<str>,
    pub bindings: Vec<Binding>,
    /// Calls in progress.
    pub calls: u32,
}

/// What is known of a vendor's trunk beside its calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VendorState {
    pub online: OnlineState,
    /// To our OPTIONS.
    pub last_answer: Option<Utc>,
    pub registration: OutboundState,
    /// Of the last answer to our REGISTER; 0: none came.
    pub status: u16,
    pub words: String,
    pub expires_in_s: Option<u32>,
    pub retry_in_s: Option<u32>,
}

/// The answer of `RTE-14`.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// `None`: the call would be placed.
    pub failure: Option<EndReason>,
    pub explanation: RouteExplanation,
    /// The customer's price of the call.
    pub rate: Option<cdr::Priced>,
    /// Gateways in the order in which they would be tried.
    pub plan: Vec<Arc<str>>,
}
