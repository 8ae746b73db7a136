//! The call detail record: written once for each call, never changed, complete in itself.
//!
//! It keeps ids *and* names, rates and causes as they were, so that it can be read, billed and disputed without
//! the configuration of its day.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use vocab::explain::RouteExplanation;
use vocab::{
    AccountId, CallId, CallLevel, Currency, EndReason, EndedBy, MappingGatewayId, Money, Price, RateGroupId,
    RateSection, RoutingGatewayId, Utc,
};

/// Version of [`Cdr`]'s shape; grows with each change that older readers could misread.
pub const CDR_VERSION: u16 = 2;

/// An id with the name it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<I> {
    pub id: I,
    pub name: Arc<str>,
}

/// One call (`BIL-19`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cdr {
    pub version: u16,
    pub call: CallId,
    /// Arrival of the INVITE.
    pub start: Utc,
    pub ringing: Option<Utc>,
    pub answer: Option<Utc>,
    pub end: Utc,
    /// INVITE to first ringing or progress, milliseconds.
    pub pdd_ms: Option<u64>,
    /// Answer to release by the monotonic clock, milliseconds; 0 when not answered.
    pub talk_ms: u64,
    pub caller: Numbers,
    pub called: Numbers,
    pub account: Option<Named<AccountId>>,
    pub mapping_gateway: Option<Named<MappingGatewayId>>,
    /// Of the last attempt.
    pub vendor: Option<Named<AccountId>>,
    pub routing_gateway: Option<Named<RoutingGatewayId>>,
    /// What the customer pays.
    pub sale: Option<Priced>,
    /// What the agents above the customer pay, from the nearest to the topmost.
    #[serde(default)]
    pub agents: Vec<AgentShare>,
    /// Tax on the sale by the customer's tax rate; it is not taken from the balance.
    #[serde(default)]
    pub tax: Option<Money>,
    /// What the vendor is owed.
    pub cost: Option<Priced>,
    /// What we are paid (by the topmost agent, or the customer) less cost; `None` where they stand in different currencies.
    pub profit: Option<Money>,
    pub end_reason: EndReason,
    pub ended_by: EndedBy,
    /// Status sent to the caller before the answer, 200 when answered.
    pub sip_code: u16,
    pub q850: u8,
    /// The peer's own words, or the owner of a limit, or the operator's reason.
    pub end_text: Option<String>,
    pub a: LegRecord,
    pub b: LegRecord,
    pub media_relayed: bool,
    /// What the media doctor saw (`BEY-13`).
    #[serde(default)]
    pub silent: Vec<SilentSide>,
    pub attempts: Vec<Attempt>,
    pub route: RouteExplanation,
}

/// A number in each stage (`BIL-19`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    pub received: String,
    /// As sent to the last gateway tried.
    pub sent: Option<String>,
}

/// One side's price of the call, with the terms that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priced {
    pub rate_group: Named<RateGroupId>,
    pub prefix: String,
    pub area: Arc<str>,
    pub price_per_minute: Price,
    pub first_period_s: u32,
    pub first_period_price: Option<Price>,
    pub cycle_s: u32,
    pub connection_fee: Money,
    pub minimum_charge: Money,
    pub free_seconds: u32,
    /// How far the destination is.
    #[serde(default)]
    pub level: Option<CallLevel>,
    /// Prices of later parts of the call; those of a change of the rate that did not come in time too.
    #[serde(default)]
    pub sections: Vec<RateSection>,
    pub currency: Currency,
    /// Talk time in whole seconds after rounding.
    pub billed_s: u64,
    /// Seconds charged after periods and cycles.
    pub charged_s: u64,
    pub amount: Money,
}

/// An agent's part in a call of an account below it (`BIL-9`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentShare {
    pub account: Named<AccountId>,
    /// What it pays.
    pub price: Priced,
    /// What the account directly below it pays, less that.
    pub commission: Money,
}

/// One side of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegRecord {
    pub call_id: String,
    pub remote: Option<SocketAddr>,
    pub transport: Option<vocab::Transport>,
    pub user_agent: Option<String>,
    pub codec: Option<String>,
    pub media: MediaFigures,
}

/// Media of one side as the relay saw it (`MED-7`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFigures {
    /// From the peer.
    pub packets_in: u64,
    pub bytes_in: u64,
    /// To the peer.
    pub packets_out: u64,
    pub bytes_out: u64,
    /// Packets that the peer sent and that never came.
    pub lost: u64,
    /// From a wrong source, dropped.
    pub rejected: u64,
    /// Interarrival jitter (RFC 3550 §A.8), microseconds.
    pub jitter_us: u32,
    /// Where the peer's media came from.
    pub remote: Option<SocketAddr>,
    /// The highest it was.
    #[serde(default)]
    pub jitter_max_us: u32,
    /// Between us and the peer and back, from RTCP.
    #[serde(default)]
    pub rtt_us: Option<u32>,
    /// What the peer says it lost of the packets to it, and their jitter.
    #[serde(default)]
    pub reported_lost: Option<u32>,
    #[serde(default)]
    pub reported_jitter_us: Option<u32>,
    /// Mean opinion score in hundredths (G.107) of what came, and of what the peer got, as far as it reports.
    #[serde(default)]
    pub mos_in: Option<u16>,
    #[serde(default)]
    pub mos_out: Option<u16>,
    /// How digits travel on this leg: as the peer sent them, else as they would be sent to it (`MED-21`).
    #[serde(default)]
    pub dtmf: Option<vocab::session::SmolStr>,
}

/// A side that was not heard, or not well, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentSide {
    /// The gateway's side; else the caller's.
    pub gateway: bool,
    /// Stable key.
    pub why: String,
    pub words: String,
    /// From the answer on, milliseconds: when it was seen, and when it was over (`None`: at the end of the call not yet).
    pub from_ms: u64,
    pub until_ms: Option<u64>,
}

/// One try at one routing gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub gateway: Named<RoutingGatewayId>,
    pub account: Named<AccountId>,
    pub called: String,
    pub caller: String,
    pub call_id: String,
    pub remote: Option<SocketAddr>,
    pub start: Utc,
    pub ringing: Option<Utc>,
    pub end: Utc,
    pub result: AttemptResult,
    /// Status from the gateway; 0 when none came.
    pub sip_code: u16,
    pub q850: u8,
    pub text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    Answered,
    Failed(EndReason),
}

impl Cdr {
    /// Seconds and money that count for the limits of each account on the customer's side.
    pub fn used(&self) -> impl Iterator<Item = (AccountId, u64, Money)> {
        let own = self.account.iter().zip(&self.sale).map(|(account, price)| (account.id, price));
        let agents = self.agents.iter().map(|agent| (agent.account.id, &agent.price));
        own.chain(agents).filter(|(_, p)| p.billed_s > 0).map(|(id, p)| (id, p.billed_s, p.amount))
    }

    /// What we are paid for the call: by the topmost agent, or by the customer.
    pub fn revenue(&self) -> Option<&Priced> {
        self.agents.last().map(|agent| &agent.price).or(self.sale.as_ref())
    }
}

impl AttemptResult {
    /// Stable key for API and storage.
    pub fn key(self) -> &'static str {
        match self {
            AttemptResult::Answered => "answered",
            AttemptResult::Failed(reason) => reason.key(),
        }
    }
}
