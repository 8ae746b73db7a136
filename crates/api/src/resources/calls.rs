//! Calls in progress.

use super::cdrs::SilentSide;
use super::unexpected;
use crate::body::Asked;
use crate::body::Body;
use crate::clock::Timestamp;
use crate::grid::{Cell, Column, Direction, Grid};
use crate::listing;
use crate::listing::Page;
use crate::listing::list_query;
use crate::live::board::LiveEntry;
use crate::problem::Problem;
use crate::resources::held::held;
use crate::server::Answer;
use crate::server::Api;
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use billing::{Rate, Rounding};
use cdr::{MediaFigures, Priced};
use params::Params;
use serde::Deserialize;
use serde::Serialize;
use store::{Author, Deed};
use switch::live::LiveLeg;
use switch::{ControlReply, ControlRequest};
use utoipa::ToSchema;
use vocab::{CallId, Utc};
use vocab::{Money, Price};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    Setup,
    Ringing,
    Talking,
    Held,
    Ending,
    /// Over; only in held live views, until they are let go.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaPath {
    Relayed,
    Direct,
}

/// One side of a call in progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct CallLeg {
    pub call_id: String,
    /// Signalling address of the peer.
    pub remote: Option<String>,
    pub codec: Option<String>,
    /// From the peer.
    pub packets_in: u64,
    /// To the peer.
    pub packets_out: u64,
    /// Of what the peer sent; `null` before its first packet.
    pub loss_percent: Option<f64>,
    pub jitter_ms: Option<f64>,
    /// To the peer and back, from RTCP.
    pub rtt_ms: Option<f64>,
    /// Mean opinion score (G.107) of what came from the peer, and of what it got.
    pub mos_in: Option<f64>,
    pub mos_out: Option<f64>,
    /// How digits travel on this side: RFC2833, INFO or Inband.
    pub dtmf: Option<String>,
    pub media_remote: Option<String>,
}

/// A call in progress.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Call {
    pub id: String,
    pub state: CallState,
    pub start: Timestamp,
    pub answer: Option<Timestamp>,
    /// Since the answer; 0 before.
    pub duration_s: u64,
    pub caller: String,
    pub callee: String,
    pub account: Option<String>,
    pub mapping_gateway: Option<String>,
    pub routing_gateway: Option<String>,
    pub vendor: Option<String>,
    /// Number of the gateway now tried, from 1; 0 before the first.
    pub attempt: u32,
    /// Of the caller's side, and with a slash of the other side where it differs.
    pub codec: Option<String>,
    pub pdd_ms: Option<u64>,
    pub a: CallLeg,
    pub b: CallLeg,
    /// Per minute.
    #[schema(value_type = Option<String>)]
    pub rate: Option<Price>,
    /// Per minute.
    #[schema(value_type = Option<String>)]
    pub cost_rate: Option<Price>,
    /// What the call would cost if it ended now.
    #[schema(value_type = Option<String>)]
    pub charged_so_far: Option<Money>,
    /// Money held for the call.
    #[schema(value_type = String)]
    pub reserved: Money,
    pub media: MediaPath,
    /// Sides that are not heard, or were not, and why.
    pub silent: Vec<SilentSide>,
    /// Set when the call is over: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
}

list_query! {
    pub struct CallsQuery {
        pub state: Option<CallState>,
        pub account: Option<String>,
        pub vendor: Option<String>,
        pub mapping_gateway: Option<String>,
        pub routing_gateway: Option<String>,
        pub caller: Option<String>,
        pub callee: Option<String>,
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisconnectInput {
    /// Stands in the CDR.
    pub reason: String,
}

/// Lists calls in progress, the oldest first.
#[utoipa::path(get, path = "/calls", tag = "calls", params(CallsQuery), responses((status = 200, body = Page<Call>)))]
pub(crate) async fn list_calls(
    State(api): State<Api>,
    caller: Caller,
    Asked(query): Asked<CallsQuery>,
) -> Answer<Page<Call>> {
    let asked = query
        .list()
        .with("state", query.state.map(CallState::key))
        .with("account", query.account.as_ref())
        .with("vendor", query.vendor.as_ref())
        .with("mapping_gateway", query.mapping_gateway.as_ref())
        .with("routing_gateway", query.routing_gateway.as_ref())
        .with("caller", query.caller.as_ref())
        .with("callee", query.callee.as_ref());
    let held = held(&api, &caller);
    if let Some(held) = &held {
        let given = [
            ("vendor", query.vendor.is_some()),
            ("routing_gateway", query.routing_gateway.is_some()),
            ("account", query.account.is_some()),
            ("mapping_gateway", query.mapping_gateway.is_some()),
            ("q", query.q.is_some()),
        ];
        held.refuse_probing(&given, query.sort.as_deref())?;
    }
    let mut calls = api.board.calls();
    if let Some(held) = &held {
        calls.retain(|entry| held.owns_call(&entry.call));
    }
    let found = listing::page(&GRID, calls, |entry| entry.as_ref(), &asked)?;
    let (now, config) = (api.now(), api.store.config());
    Ok(Json(found.map(|entry| {
        let mut call = show(&entry, now, &config.params);
        if let Some(held) = &held {
            held.mask_call(&mut call);
        }
        call
    })))
}

/// Reads a call in progress.
#[utoipa::path(get, path = "/calls/{id}", tag = "calls", params(("id" = String, Path)), responses((status = 200, body = Call)))]
pub(crate) async fn get_call(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Answer<Call> {
    let held = held(&api, &caller);
    let found = api.board.call(call_id(&id)?);
    let found = found.filter(|entry| held.as_ref().is_none_or(|held| held.owns_call(&entry.call)));
    let entry = found.ok_or_else(|| Problem::not_found("call in progress", &id))?;
    let mut call = show(&entry, api.now(), &api.store.config().params);
    if let Some(held) = &held {
        held.mask_call(&mut call);
    }
    Ok(Json(call))
}

/// Ends a call.
#[utoipa::path(post, path = "/calls/{id}/disconnect", tag = "calls", params(("id" = String, Path)), request_body = DisconnectInput, responses((status = 204)))]
pub(crate) async fn disconnect_call(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(input): Body<DisconnectInput>,
) -> Result<StatusCode, Problem> {
    let call = call_id(&id)?;
    if input.reason.chars().count() > LONGEST_REASON {
        return Err(Problem::field("reason", format!("longer than {LONGEST_REASON} characters")));
    }
    let (by, reason) = (caller.user.clone(), input.reason.clone());
    match api.control(ControlRequest::Disconnect { call, by, reason }).await? {
        ControlReply::Disconnecting => {
            let after = serde_json::json!({ "reason": input.reason }).to_string();
            let author = Author::from(&caller);
            api.store(move |store| {
                let (action, after) = ("disconnect", Some(after.as_str()));
                store.note(&author, &Deed { action, kind: "call", object: &id, before: None, after })
            })
            .await?;
            Ok(StatusCode::NO_CONTENT)
        }
        ControlReply::NoSuchCall => Err(Problem::not_found("call in progress", &id)),
        other => Err(unexpected(&other)),
    }
}

const LONGEST_REASON: usize = 200;

/// The number in an id; any other text is no call's.
pub(crate) fn call_id(text: &str) -> Result<CallId, Problem> {
    text.parse().map(CallId).map_err(|_| Problem::not_found("call", text))
}

impl CallState {
    fn key(self) -> &'static str {
        match self {
            CallState::Setup => "setup",
            CallState::Ringing => "ringing",
            CallState::Talking => "talking",
            CallState::Held => "held",
            CallState::Ending => "ending",
            CallState::Ended => "ended",
        }
    }
}

pub(crate) static GRID: Grid<LiveEntry> = Grid {
    columns: &[
        Column::plain("start", |e| Cell::number(e.call.start.0)),
        Column::plain("state", |e| Cell::text(CallState::from(e.call.state).key())),
        Column::dialled("caller", |e| Cell::text(&e.call.caller)),
        Column::dialled("callee", |e| Cell::text(&e.call.called)),
        Column::text("account", |e| Cell::maybe(e.call.account.as_deref())),
        Column::text("mapping_gateway", |e| Cell::maybe(e.call.mapping_gateway.as_deref())),
        Column::text("routing_gateway", |e| Cell::maybe(e.call.routing_gateway.as_deref())),
        Column::text("vendor", |e| Cell::maybe(e.call.vendor.as_deref())),
        Column::plain("id", |e| Cell::number(e.call.call.0)),
        Column::plain("answer", |e| Cell::maybe_number(e.call.answer.map(|t| t.0))),
        // The earlier the answer, the longer the talk.
        Column::plain("duration_s", |e| Cell::maybe_number(e.call.answer.map(|t| -i128::from(t.0)))),
        Column::plain("attempt", |e| Cell::number(e.call.attempt)),
        Column::plain("codec", |e| Cell::maybe(e.call.a.codec.as_deref())),
        Column::plain("pdd_ms", |e| Cell::maybe_number(e.call.pdd_ms)),
        Column::plain("rate", |e| Cell::maybe_number(e.call.price.as_ref().map(|p| p.price_per_minute.0))),
        Column::plain("cost_rate", |e| Cell::maybe_number(e.call.cost_per_minute.map(|p| p.0))),
        Column::plain("reserved", |e| Cell::number(e.call.reserved.0)),
        Column::plain("media", |e| Cell::text(if e.call.media_relayed { "relayed" } else { "direct" })),
        // Of the worse side.
        Column::plain("jitter_ms", |e| Cell::number(e.a.jitter_us.max(e.b.jitter_us))),
        Column::plain("loss_percent", |e| Cell::number(lost_ppm(&e.a).max(lost_ppm(&e.b)))),
        Column::plain("mos", |e| Cell::maybe_number(worst_mos(&e.a, &e.b))),
        Column::text("a.call_id", |e| Cell::text(&e.call.a.call_id)),
        Column::text("b.call_id", |e| Cell::text(&e.call.b.call_id)),
    ],
    key: |e| e.call.call.0,
    default_sort: &[("start", Direction::Asc)],
};

/// Of all directions, in hundredths.
fn worst_mos(a: &MediaFigures, b: &MediaFigures) -> Option<u16> {
    [a.mos_in, a.mos_out, b.mos_in, b.mos_out].into_iter().flatten().min()
}

/// Packets lost of a million.
fn lost_ppm(figures: &MediaFigures) -> u64 {
    let sent = figures.packets_in.saturating_add(figures.lost);
    figures.lost.saturating_mul(1_000_000).checked_div(sent).unwrap_or(0)
}

/// A number with one decimal, for the screen.
#[allow(clippy::cast_precision_loss, reason = "one decimal of a figure for the screen")]
pub(crate) fn tenths(tenths: u64) -> f64 {
    tenths as f64 / 10.0
}

pub(crate) fn jitter_ms(figures: &MediaFigures) -> f64 {
    tenths_ms(figures.jitter_us)
}

pub(crate) fn tenths_ms(us: u32) -> f64 {
    tenths(u64::from(us / 100))
}

/// A mean opinion score from hundredths.
pub(crate) fn score(hundredths: u16) -> f64 {
    f64::from(hundredths) / 100.0
}

/// A call in progress as of now.
pub(crate) fn show(entry: &LiveEntry, now: Utc, params: &Params) -> Call {
    let call = &entry.call;
    let talk_ms = call.answer.map_or(0, |a| u64::try_from(now.0.saturating_sub(a.0)).unwrap_or(0) / 1000);
    let text = |t: &Option<std::sync::Arc<str>>| t.as_ref().map(|t| t.to_string());
    Call {
        id: call.call.to_string(),
        state: call.state.into(),
        start: call.start.into(),
        answer: call.answer.map(Timestamp),
        duration_s: talk_ms / 1000,
        caller: call.caller.to_string(),
        callee: call.called.to_string(),
        account: text(&call.account),
        mapping_gateway: text(&call.mapping_gateway),
        routing_gateway: text(&call.routing_gateway),
        vendor: text(&call.vendor),
        attempt: call.attempt,
        codec: codec(call.a.codec.as_deref(), call.b.codec.as_deref()),
        pdd_ms: call.pdd_ms,
        a: leg(&call.a, &entry.a),
        b: leg(&call.b, &entry.b),
        rate: call.price.as_ref().map(|p| p.price_per_minute),
        cost_rate: call.cost_per_minute,
        charged_so_far: call.price.as_ref().and_then(|p| charged(p, talk_ms, params)),
        reserved: call.reserved,
        media: if call.media_relayed { MediaPath::Relayed } else { MediaPath::Direct },
        silent: call.silent.iter().map(SilentSide::from).collect(),
        end_reason: None,
    }
}

fn codec(a: Option<&str>, b: Option<&str>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => Some(format!("{a}/{b}")),
        (a, b) => a.or(b).map(str::to_string),
    }
}

fn leg(leg: &LiveLeg, figures: &MediaFigures) -> CallLeg {
    let heard = figures.packets_in > 0;
    CallLeg {
        call_id: leg.call_id.to_string(),
        remote: leg.remote.map(|r| r.to_string()),
        codec: leg.codec.as_ref().map(|c| c.to_string()),
        packets_in: figures.packets_in,
        packets_out: figures.packets_out,
        loss_percent: heard.then(|| tenths(lost_ppm(figures) / 1000)),
        jitter_ms: heard.then(|| jitter_ms(figures)),
        rtt_ms: figures.rtt_us.map(tenths_ms),
        mos_in: figures.mos_in.map(score),
        mos_out: figures.mos_out.map(score),
        dtmf: figures.dtmf.as_ref().map(|d| d.to_string()),
        media_remote: figures.remote.map(|r| r.to_string()),
    }
}

/// What the call would cost if it ended now, by the function that will price it.
fn charged(price: &Priced, talk_ms: u64, params: &Params) -> Option<Money> {
    let rounding = Rounding {
        free_time_s: params.billing_free_time_s,
        hold_time_precision_ms: params.billing_hold_time_precision_ms,
        fee_precision: params.billing_fee_precision,
        fee_unit: params.billing_fee_unit,
    };
    let rate = Rate {
        area: price.area.clone(),
        price_per_minute: price.price_per_minute,
        first_period_s: price.first_period_s,
        first_period_price: price.first_period_price,
        cycle_s: price.cycle_s,
        connection_fee: price.connection_fee,
        minimum_charge: price.minimum_charge,
        free_seconds: price.free_seconds,
        locked: false,
        level: price.level,
        sections: price.sections.as_slice().into(),
    };
    let seconds = billing::billed_seconds(std::time::Duration::from_millis(talk_ms), &rounding);
    billing::charge(&rate, seconds, &rounding).ok().map(|charge| charge.amount)
}

impl From<switch::live::CallState> for CallState {
    fn from(state: switch::live::CallState) -> CallState {
        match state {
            switch::live::CallState::Setup => CallState::Setup,
            switch::live::CallState::Ringing => CallState::Ringing,
            switch::live::CallState::Talking => CallState::Talking,
            switch::live::CallState::Held => CallState::Held,
            switch::live::CallState::Ending => CallState::Ending,
        }
    }
}
