//! Records as they leave: lines of CSV, and signed deliveries.

use crate::resources::cdrs::{self, Cdr};
use crate::sheet::{self, Cell};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use vocab::Seq;

type Field = (&'static str, fn(&Cdr) -> Cell);

fn of_rate(rate: &Option<cdrs::CdrRate>, field: impl Fn(&cdrs::CdrRate) -> Cell) -> Cell {
    rate.as_ref().map_or(Cell::text(""), field)
}

/// The columns of files of records.
static FIELDS: &[Field] = &[
    ("id", |c| Cell::text(&c.id)),
    ("start", |c| Cell::text(c.start.to_string())),
    ("ringing", |c| Cell::maybe(c.ringing.map(|t| t.to_string()))),
    ("answer", |c| Cell::maybe(c.answer.map(|t| t.to_string()))),
    ("end", |c| Cell::text(c.end.to_string())),
    ("pdd_ms", |c| Cell::maybe_number(c.pdd_ms)),
    ("duration_ms", |c| Cell::number(c.duration_ms)),
    ("billed_s", |c| Cell::number(c.billed_s)),
    ("caller", |c| Cell::text(&c.caller)),
    ("callee", |c| Cell::text(&c.callee)),
    ("caller_sent", |c| Cell::maybe(c.caller_sent.clone())),
    ("callee_sent", |c| Cell::maybe(c.callee_sent.clone())),
    ("account", |c| Cell::maybe(c.account.clone())),
    ("mapping_gateway", |c| Cell::maybe(c.mapping_gateway.clone())),
    ("vendor", |c| Cell::maybe(c.vendor.clone())),
    ("routing_gateway", |c| Cell::maybe(c.routing_gateway.clone())),
    ("prefix", |c| of_rate(&c.rate, |r| Cell::text(&r.prefix))),
    ("area", |c| of_rate(&c.rate, |r| Cell::text(&r.area))),
    ("price_per_minute", |c| of_rate(&c.rate, |r| Cell::number(r.price_per_minute))),
    ("fee", |c| Cell::maybe_number(c.fee)),
    ("currency", |c| of_rate(&c.rate, |r| Cell::text(&r.currency))),
    ("cost_prefix", |c| of_rate(&c.cost_rate, |r| Cell::text(&r.prefix))),
    ("cost_per_minute", |c| of_rate(&c.cost_rate, |r| Cell::number(r.price_per_minute))),
    ("cost", |c| Cell::maybe_number(c.cost)),
    ("cost_currency", |c| of_rate(&c.cost_rate, |r| Cell::text(&r.currency))),
    ("profit", |c| Cell::maybe_number(c.profit)),
    ("end_reason", |c| Cell::text(&c.end_reason)),
    ("ended_by", |c| Cell::text(c.ended_by.key())),
    ("sip_code", |c| Cell::number(c.sip_code)),
    ("q850", |c| Cell::number(c.q850)),
    ("end_text", |c| Cell::maybe(c.end_text.clone())),
    ("attempts", |c| Cell::number(c.attempts_count)),
    ("call_id_a", |c| Cell::text(&c.call_id_a)),
    ("call_id_b", |c| Cell::text(&c.call_id_b)),
    ("remote_a", |c| Cell::maybe(c.remote_a.clone())),
    ("remote_b", |c| Cell::maybe(c.remote_b.clone())),
    ("user_agent_a", |c| Cell::maybe(c.user_agent_a.clone())),
    ("user_agent_b", |c| Cell::maybe(c.user_agent_b.clone())),
    ("codec_a", |c| Cell::maybe(c.codec_a.clone())),
    ("codec_b", |c| Cell::maybe(c.codec_b.clone())),
    ("packets_in_a", |c| Cell::number(c.media_a.packets_in)),
    ("packets_in_b", |c| Cell::number(c.media_b.packets_in)),
    ("lost_a", |c| Cell::number(c.media_a.lost)),
    ("lost_b", |c| Cell::number(c.media_b.lost)),
    ("jitter_ms_a", |c| Cell::number(c.media_a.jitter_ms)),
    ("jitter_ms_b", |c| Cell::number(c.media_b.jitter_ms)),
];

pub(crate) fn heading() -> Vec<Cell> {
    FIELDS.iter().map(|(name, _)| Cell::text(*name)).collect()
}

pub(crate) fn cells(record: &Cdr) -> Vec<Cell> {
    FIELDS.iter().map(|(_, of)| of(record)).collect()
}

/// The first line of a file of records.
pub fn csv_heading(out: &mut impl std::io::Write) -> std::io::Result<()> {
    sheet::csv_line(out, &heading())
}

pub fn csv_record(out: &mut impl std::io::Write, record: &cdr::Cdr) -> std::io::Result<()> {
    sheet::csv_line(out, &cells(&cdrs::summary(record)))
}

/// Name under which the stream of records keeps its place.
pub const STREAM: &str = "cdr_stream";

/// The place of the stream of records. A batch that was begun is sent again just as it was until it is taken: its
/// number tells the receiver whether it has it already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// Signs what is sent.
    pub secret: String,
    /// Everything up to here was taken.
    pub after: Seq,
    /// The last record of the batch that was begun.
    pub batch: Option<Seq>,
    /// Grows when the place is set anew, so that an answer to what was sent before moves nothing.
    pub generation: u64,
    pub delivered: u64,
    pub failures: u64,
    pub error: Option<String>,
}

/// What is sent.
#[derive(Debug)]
pub struct Delivery {
    /// The same for the same records.
    pub id: String,
    pub body: String,
}

#[derive(Serialize)]
struct Sent {
    seq: String,
    #[serde(flatten)]
    record: Cdr,
}

/// A batch of records, as JSON.
pub fn delivery(state: &StreamState, records: &[(Seq, cdr::Cdr)]) -> Delivery {
    let id =
        format!("{}-{}-{}", state.generation, state.after, records.last().map_or(Seq(0), |(seq, _)| *seq));
    let sent: Vec<Sent> =
        records.iter().map(|(seq, cdr)| Sent { seq: seq.to_string(), record: cdrs::summary(cdr) }).collect();
    let body = serde_json::json!({ "delivery": id, "cdrs": sent }).to_string();
    Delivery { id, body }
}

/// HMAC-SHA256 of the time, a point and the body, in hex.
pub fn signature(secret: &str, time: &str, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    crate::token::hex(&mac.finalize().into_bytes())
}

/// A new secret.
pub fn new_secret() -> Option<String> {
    crate::token::random()
}
