//! The call trace and the trace of registrations (`DBG-1`): switched on with a filter and a time, and read.

use super::analysis::{filter, plain, seeing};
use crate::body::Body;
use crate::clock::Timestamp;
use crate::problem::Problem;
use crate::seeing::{TraceKind, TraceOrder, TraceState};
use crate::server::{Answer, Api};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek, SeekFrom};
use store::{Author, Deed};
use utoipa::ToSchema;
use vocab::Utc;

const LONGEST_MINUTES: u32 = 7 * 24 * 60;
/// The end of the trace that one answer holds.
const TAIL: u64 = 16 << 20;

/// A trace: what it holds and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Trace {
    pub kind: TraceKind,
    pub on: bool,
    /// Until somebody switches it off when `null`.
    pub until: Option<Timestamp>,
    pub account: Option<String>,
    pub gateway: Option<String>,
    pub number: Option<String>,
    pub address: Option<String>,
    /// Of both files.
    pub file_bytes: u64,
    /// Messages and events since the start of the switch.
    pub written: u64,
    /// Lost because disk or memory had no room; calls are never kept waiting.
    pub dropped: u64,
    /// The disk took nothing the last time.
    pub failing: bool,
}

/// What a trace is to hold; every part that is given must fit. Everything when none is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceInput {
    /// Switches itself off after so many minutes; absent: when somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Mapping or routing gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Part of the caller's or called number, or of the name that registers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// IP address of a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Lists both traces.
#[utoipa::path(get, path = "/traces", tag = "system", responses((status = 200, body = Vec<Trace>)))]
pub(crate) async fn list_traces(State(api): State<Api>) -> Answer<Vec<Trace>> {
    Ok(Json(seeing(&api)?.traces().into_iter().map(show).collect()))
}

/// Switches a trace on, or gives it another filter or time.
#[utoipa::path(put, path = "/traces/{kind}", tag = "system", params(("kind" = TraceKind, Path)), request_body = TraceInput, responses((status = 204)))]
pub(crate) async fn start_trace(
    State(api): State<Api>,
    caller: Caller,
    Path(kind): Path<String>,
    Body(input): Body<TraceInput>,
) -> Result<StatusCode, Problem> {
    let kind = read(&kind)?;
    if input.minutes.is_some_and(|m| m == 0 || m > LONGEST_MINUTES) {
        return Err(Problem::field("minutes", format!("expected 1–{LONGEST_MINUTES}")));
    }
    let after = serde_json::to_string(&input).map_err(Problem::internal)?;
    let until = input.minutes.map(|m| Utc(api.now().0 + i64::from(m) * 60_000_000));
    let filter = filter(input.account, input.gateway, input.number, input.address)?;
    note(&api, &caller, "trace_on", kind, Some(after)).await?;
    seeing(&api)?.set_trace(kind, Some(TraceOrder { filter, until }));
    Ok(StatusCode::NO_CONTENT)
}

/// Switches a trace off; what it has written stays.
#[utoipa::path(delete, path = "/traces/{kind}", tag = "system", params(("kind" = TraceKind, Path)), responses((status = 204)))]
pub(crate) async fn stop_trace(
    State(api): State<Api>,
    caller: Caller,
    Path(kind): Path<String>,
) -> Result<StatusCode, Problem> {
    let kind = read(&kind)?;
    note(&api, &caller, "trace_off", kind, None).await?;
    seeing(&api)?.set_trace(kind, None);
    Ok(StatusCode::NO_CONTENT)
}

/// The newest 16 MB of a trace.
#[utoipa::path(get, path = "/traces/{kind}/text", tag = "system", params(("kind" = TraceKind, Path)), responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn read_trace(
    State(api): State<Api>,
    Path(kind): Path<String>,
) -> Result<Response, Problem> {
    let files = seeing(&api)?.trace_files(read(&kind)?);
    let text = tokio::task::spawn_blocking(move || tail(&files)).await.map_err(Problem::internal)?;
    Ok(plain(text.map_err(Problem::internal)?))
}

fn read(kind: &str) -> Result<TraceKind, Problem> {
    match kind {
        "calls" => Ok(TraceKind::Calls),
        "registers" => Ok(TraceKind::Registers),
        _ => Err(Problem::not_found("trace", kind)),
    }
}

async fn note(
    api: &Api,
    caller: &Caller,
    action: &'static str,
    kind: TraceKind,
    after: Option<String>,
) -> Result<(), Problem> {
    let author = Author::from(caller);
    let object = if kind == TraceKind::Calls { "calls" } else { "registers" };
    api.store(move |store| {
        store.note(&author, &Deed { action, kind: "trace", object, before: None, after: after.as_deref() })
    })
    .await
}

/// The end of the files, one after the other.
pub(crate) fn tail(files: &[std::path::PathBuf]) -> std::io::Result<String> {
    let mut text = String::new();
    let mut room = TAIL;
    for path in files.iter().rev() {
        let mut file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(room)))?;
        let mut bytes = Vec::new();
        file.take(room).read_to_end(&mut bytes)?;
        room = room.saturating_sub(length);
        text.insert_str(0, &String::from_utf8_lossy(&bytes));
    }
    Ok(text)
}

fn show(state: TraceState) -> Trace {
    let on = state.order.is_some();
    let TraceOrder { filter, until } = state.order.unwrap_or_default();
    Trace {
        kind: state.kind,
        on,
        until: until.map(Timestamp),
        account: filter.account,
        gateway: filter.gateway,
        number: filter.number,
        address: filter.address.map(|a| a.to_string()),
        file_bytes: state.file_bytes,
        written: state.written,
        dropped: state.dropped,
        failing: state.failing,
    }
}
