//! What was seen of a call and what is wrong with it (`DBG-3` to `DBG-6`, `BEY-12`).

use super::calls::call_id;
use super::cdrs::{self, CdrDetail};
use super::ledger::LedgerEntry;
use super::unexpected;
use crate::body::Asked;
use crate::clock::Timestamp;
use crate::problem::Problem;
use crate::seeing::Seeing;
use crate::server::{Answer, Api};
use crate::zip::Zip;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use diagnosis::capture::Kind;
use diagnosis::findings::{Case, findings};
use diagnosis::{Capture, Event, Filter, Severity, ladder, pcap, registration, text};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use switch::{ControlReply, ControlRequest};
use utoipa::{IntoParams, ToSchema};
use vocab::CallId;

/// Captures in one answer or file.
const MOST: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// It broke the call, or made it useless.
    Fault,
    /// It may, or will another time.
    Warning,
}

/// Something that is wrong, in plain words.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CallFinding {
    /// Stable key.
    pub key: String,
    pub severity: FindingSeverity,
    /// "caller" or "gateway", where one can tell.
    pub side: Option<String>,
    pub text: String,
    /// What to do about it.
    pub advice: String,
}

/// One arrow of the ladder, or something that happened inside the switch (both ends are the switch's lane).
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LadderRow {
    pub at: Timestamp,
    /// Since the first row.
    pub after_ms: u64,
    /// Places in `lanes`.
    pub from: usize,
    pub to: usize,
    pub label: String,
    /// The message, secrets and digits masked.
    pub text: Option<String>,
    pub transport: Option<String>,
    pub source: Option<String>,
    pub destination: Option<String>,
    /// Sent or received before.
    pub again: bool,
}

/// A line as it was received and as it was sent on.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SessionLine {
    pub received: Option<String>,
    pub sent: Option<String>,
    pub changed: bool,
}

/// A session description of one side beside what the other side was sent.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SessionComparison {
    pub received: String,
    pub sent: String,
    pub lines: Vec<SessionLine>,
    /// What changed, in words.
    pub changes: Vec<String>,
}

/// Something that was decided or booked while the call went on.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CallEvent {
    pub at: Timestamp,
    /// "routing", "billing", "timer", "media", "signalling" or "switching".
    pub area: String,
    pub text: String,
}

/// Media of both sides at a moment; figures since the start of the call.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MediaPoint {
    pub at: Timestamp,
    pub packets_in_a: u64,
    pub packets_in_b: u64,
    pub lost_a: u64,
    pub lost_b: u64,
    pub jitter_us_a: u32,
    pub jitter_us_b: u32,
}

/// A call taken apart.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CallAnalysis {
    pub id: String,
    /// Still up: figures and findings are of this moment.
    pub live: bool,
    /// Its messages are still held; without them only the record speaks.
    pub captured: bool,
    /// Messages beyond what is held of one call.
    pub left_out: u32,
    pub findings: Vec<CallFinding>,
    /// The caller, the switch, then each gateway that was tried.
    pub lanes: Vec<String>,
    pub ladder: Vec<LadderRow>,
    pub sessions: Vec<SessionComparison>,
    /// Routing, billing, timers and media, in the order of time.
    pub events: Vec<CallEvent>,
    pub media: Vec<MediaPoint>,
    /// The record, as far as it is known; with the routing decision.
    pub record: CdrDetail,
}

/// Filters of captures; every part that is given must fit.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CapturesQuery {
    pub account: Option<String>,
    /// Mapping or routing gateway.
    pub gateway: Option<String>,
    /// Part of the caller's or called number.
    pub number: Option<String>,
    /// IP address of a peer.
    pub address: Option<String>,
    /// 1 to 1000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
}

/// A registration as it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RegistrationAnalysis {
    /// Who registers.
    pub user: String,
    /// With us; else we at somebody else.
    pub incoming: bool,
    pub source: String,
    pub contact: Option<String>,
    pub user_agent: Option<String>,
    /// The last final response.
    pub status: Option<u16>,
    /// Seconds that were granted.
    pub expires_s: Option<u32>,
    pub behind_nat: bool,
    pub first: Timestamp,
    pub last: Timestamp,
    pub requests: usize,
    pub findings: Vec<CallFinding>,
    pub ladder: Vec<LadderRow>,
}

/// What is known of a call.
struct Known {
    record: cdr::Cdr,
    live: bool,
    capture: Option<Capture>,
}

/// Takes a call apart: ladder, session descriptions, what was decided, media, and what is wrong with it.
#[utoipa::path(get, path = "/calls/{id}/analysis", tag = "calls", params(("id" = String, Path)), responses((status = 200, body = CallAnalysis)))]
pub(crate) async fn analyse_call(State(api): State<Api>, Path(id): Path<String>) -> Answer<CallAnalysis> {
    Ok(Json(analysis(&known(&api, &id).await?)))
}

/// The same for a call of which there is a record.
#[utoipa::path(get, path = "/cdrs/{id}/analysis", tag = "cdrs", params(("id" = String, Path)), responses((status = 200, body = CallAnalysis)))]
pub(crate) async fn analyse_record(State(api): State<Api>, Path(id): Path<String>) -> Answer<CallAnalysis> {
    Ok(Json(analysis(&known(&api, &id).await?)))
}

/// The messages of a call as a pcap file.
#[utoipa::path(get, path = "/calls/{id}/pcap", tag = "calls", params(("id" = String, Path)), responses((status = 200, body = Vec<u8>, content_type = "application/vnd.tcpdump.pcap")))]
pub(crate) async fn call_pcap(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let capture = held_capture(&api, &id)?;
    Ok(pcap_file(&format!("call-{id}.pcap"), &[capture]))
}

/// The messages and events of a call as text.
#[utoipa::path(get, path = "/calls/{id}/text", tag = "calls", params(("id" = String, Path)), responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn call_text(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let capture = held_capture(&api, &id)?;
    Ok(plain(format!("{}\n{}", text::drawn(&capture), text::whole(&capture))))
}

/// One file with everything about a call: pcap, ladder, record, decision, ledger lines, media, findings.
#[utoipa::path(get, path = "/calls/{id}/evidence", tag = "calls", params(("id" = String, Path)), responses((status = 200, body = Vec<u8>, content_type = "application/zip")))]
pub(crate) async fn call_evidence(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let known = known(&api, &id).await?;
    let call = known.record.call;
    let lines = api.store(move |store| store.ledger_of_call(call)).await?;
    let lines: Vec<LedgerEntry> = lines.into_iter().map(LedgerEntry::from).collect();
    let zip = evidence(&known, &lines).map_err(Problem::internal)?;
    Ok(download(&format!("call-{id}.zip"), "application/zip", zip))
}

/// The messages of all calls that fit, newest first, as one pcap file.
#[utoipa::path(get, path = "/captures/pcap", tag = "calls", params(CapturesQuery), responses((status = 200, body = Vec<u8>, content_type = "application/vnd.tcpdump.pcap")))]
pub(crate) async fn captures_pcap(
    State(api): State<Api>,
    Asked(query): Asked<CapturesQuery>,
) -> Result<Response, Problem> {
    Ok(pcap_file("calls.pcap", &captures(&api, Kind::Call, query)?))
}

/// The same as text.
#[utoipa::path(get, path = "/captures/text", tag = "calls", params(CapturesQuery), responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn captures_text(
    State(api): State<Api>,
    Asked(query): Asked<CapturesQuery>,
) -> Result<Response, Problem> {
    let captures = captures(&api, Kind::Call, query)?;
    let parts = captures.iter().map(|c| format!("{}\n{}", text::drawn(c), text::whole(c)));
    Ok(plain(parts.collect::<Vec<_>>().join("\n")))
}

/// Registrations seen lately, failed ones longest, with what is wrong with them. `number` is part of the user's name.
#[utoipa::path(get, path = "/captures/registrations", tag = "calls", params(CapturesQuery), responses((status = 200, body = Vec<RegistrationAnalysis>)))]
pub(crate) async fn list_registration_captures(
    State(api): State<Api>,
    Asked(query): Asked<CapturesQuery>,
) -> Answer<Vec<RegistrationAnalysis>> {
    let captures = captures(&api, Kind::Register, query)?;
    Ok(Json(captures.iter().filter_map(shown_registration).collect()))
}

pub(crate) fn seeing(api: &Api) -> Result<Arc<dyn Seeing>, Problem> {
    let missing = || Problem::new(StatusCode::NOT_FOUND, "Messages are not kept here.");
    api.brain.seeing().ok_or_else(missing)
}

fn captures(api: &Api, kind: Kind, query: CapturesQuery) -> Result<Vec<Capture>, Problem> {
    let most = query.limit.unwrap_or(100);
    if most == 0 || most > MOST {
        return Err(Problem::field("limit", format!("expected 1–{MOST}")));
    }
    let filter = filter(query.account, query.gateway, query.number, query.address)?;
    Ok(seeing(api)?.captures(kind, &filter, most))
}

pub(crate) fn filter(
    account: Option<String>,
    gateway: Option<String>,
    number: Option<String>,
    address: Option<String>,
) -> Result<Filter, Problem> {
    let given = |text: Option<String>| text.filter(|t| !t.is_empty());
    let address = given(address)
        .map(|text| {
            let wrong = |_| Problem::field("address", "expected an IP address like 192.0.2.1");
            text.parse::<IpAddr>().map_err(wrong)
        })
        .transpose()?;
    Ok(Filter { account: given(account), gateway: given(gateway), number: given(number), address })
}

fn held_capture(api: &Api, id: &str) -> Result<Capture, Problem> {
    let call = call_id(id)?;
    let gone = || Problem::new(StatusCode::NOT_FOUND, "The messages of this call are not held (any more).");
    seeing(api)?.capture(call).ok_or_else(gone)
}

async fn known(api: &Api, id: &str) -> Result<Known, Problem> {
    let call = call_id(id)?;
    let capture = api.brain.seeing().and_then(|seeing| seeing.capture(call));
    if let Some(record) = api.store(move |store| store.cdr(call)).await? {
        return Ok(Known { record, live: false, capture });
    }
    match api.control(ControlRequest::Describe(call)).await? {
        ControlReply::Described(record) => Ok(Known { record: *record, live: true, capture }),
        ControlReply::NoSuchCall => just_ended(api, call, capture, id).await,
        other => Err(unexpected(&other)),
    }
}

/// Between the end of a call and its record in the database there is a moment.
async fn just_ended(api: &Api, call: CallId, capture: Option<Capture>, id: &str) -> Result<Known, Problem> {
    match api.store(move |store| store.cdr(call)).await? {
        Some(record) => Ok(Known { record, live: false, capture }),
        None => Err(Problem::not_found("call", id)),
    }
}

fn analysis(known: &Known) -> CallAnalysis {
    let capture = known.capture.as_ref();
    let drawn = capture.map(ladder::ladder).unwrap_or_default();
    let compared = capture.map(ladder::comparisons).unwrap_or_default();
    let case = Case::new(&known.record, capture, known.live);
    CallAnalysis {
        id: known.record.call.to_string(),
        live: known.live,
        captured: capture.is_some_and(|c| !c.messages.is_empty()),
        left_out: capture.map_or(0, |c| c.left_out),
        findings: findings(&case).iter().map(shown_finding).collect(),
        lanes: drawn.lanes,
        ladder: drawn.rows.into_iter().map(shown_row).collect(),
        sessions: compared.into_iter().map(shown_comparison).collect(),
        events: capture.map(events).unwrap_or_default(),
        media: capture.map(media).unwrap_or_default(),
        record: cdrs::detail(&known.record),
    }
}

fn shown_finding(finding: &diagnosis::Finding) -> CallFinding {
    let side = |side| if side == diagnosis::Side::A { "caller" } else { "gateway" };
    CallFinding {
        key: finding.key.to_owned(),
        severity: match finding.severity {
            Severity::Fault => FindingSeverity::Fault,
            Severity::Warning => FindingSeverity::Warning,
        },
        side: finding.side.map(|s| side(s).to_owned()),
        text: finding.text.clone(),
        advice: finding.advice.to_owned(),
    }
}

fn shown_row(row: ladder::Row) -> LadderRow {
    LadderRow {
        at: row.at.into(),
        after_ms: row.after_ms,
        from: row.from,
        to: row.to,
        label: row.label,
        text: row.text,
        transport: row.transport,
        source: row.source,
        destination: row.destination,
        again: row.again,
    }
}

fn shown_comparison(comparison: ladder::Comparison) -> SessionComparison {
    let line = |l: ladder::LinePair| SessionLine { received: l.received, sent: l.sent, changed: l.changed };
    SessionComparison {
        received: comparison.received,
        sent: comparison.sent,
        lines: comparison.lines.into_iter().map(line).collect(),
        changes: comparison.changes,
    }
}

fn events(capture: &Capture) -> Vec<CallEvent> {
    let shown = |(at, event): &(vocab::Utc, Event)| {
        let words = event.words();
        let (area, text) = words.split_once(": ").unwrap_or(("switching", &words));
        CallEvent { at: (*at).into(), area: area.to_owned(), text: text.to_owned() }
    };
    capture.events.iter().map(shown).collect()
}

fn media(capture: &Capture) -> Vec<MediaPoint> {
    let point = |s: &diagnosis::MediaSample| MediaPoint {
        at: s.at.into(),
        packets_in_a: s.packets_in[0],
        packets_in_b: s.packets_in[1],
        lost_a: s.lost[0],
        lost_b: s.lost[1],
        jitter_us_a: s.jitter_us[0],
        jitter_us_b: s.jitter_us[1],
    };
    capture.media.iter().map(point).collect()
}

fn shown_registration(capture: &Capture) -> Option<RegistrationAnalysis> {
    let found = registration::registration(capture)?;
    Some(RegistrationAnalysis {
        user: found.user,
        incoming: found.incoming,
        source: found.source,
        contact: found.contact,
        user_agent: found.user_agent,
        status: found.status,
        expires_s: found.expires_s,
        behind_nat: found.behind_nat,
        first: found.first.into(),
        last: found.last.into(),
        requests: found.requests,
        findings: found.findings.iter().map(shown_finding).collect(),
        ladder: ladder::ladder(capture).rows.into_iter().map(shown_row).collect(),
    })
}

fn evidence(known: &Known, lines: &[LedgerEntry]) -> std::io::Result<Vec<u8>> {
    let analysis = analysis(known);
    let mut zip = Zip::default();
    let mut json = |name: &str, value: serde_json::Result<Vec<u8>>| {
        zip.add(name, &value.map_err(std::io::Error::other)?)
    };
    json("record.json", serde_json::to_vec_pretty(&analysis.record))?;
    json("decision.json", serde_json::to_vec_pretty(&analysis.record.route))?;
    json("findings.json", serde_json::to_vec_pretty(&analysis.findings))?;
    json("events.json", serde_json::to_vec_pretty(&analysis.events))?;
    json("sessions.json", serde_json::to_vec_pretty(&analysis.sessions))?;
    json("media.json", serde_json::to_vec_pretty(&analysis.media))?;
    json("ledger.json", serde_json::to_vec_pretty(lines))?;
    if let Some(capture) = &known.capture {
        zip.add("messages.pcap", &pcap::file([capture]))?;
        zip.add("ladder.txt", format!("{}\n{}", text::drawn(capture), text::whole(capture)).as_bytes())?;
    }
    Ok(zip.finish())
}

fn pcap_file(name: &str, captures: &[Capture]) -> Response {
    download(name, "application/vnd.tcpdump.pcap", pcap::file(captures))
}

fn download(name: &str, kind: &'static str, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], bytes)
        .into_response()
}

pub(crate) fn plain(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
