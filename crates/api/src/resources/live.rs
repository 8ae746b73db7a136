//! Live views over one WebSocket for each browser tab.

use super::calls::Call;
use super::cdrs::Cdr;
use super::overview::{SeriesPoint, Totals};
use crate::clock::Timestamp;
use crate::grid::{Direction, OneOrMany};
use crate::live::socket;
use crate::problem::Problem;
use crate::server::Api;
use crate::sign_in::Caller;
use axum::extract::State;
use axum::extract::WebSocketUpgrade;
use axum::response::Response;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a client sends over the live WebSocket.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum LiveCommand {
    /// Show this window of a topic from now on, at most once a second. The same id replaces the view.
    View(LiveView),
    Drop {
        id: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveView {
    /// Chosen by the client, from 1; 0 is the totals' own.
    pub id: u32,
    pub topic: LiveTopic,
    /// Values by column, one or several to choose from; `q` searches all texts.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, serde_json::Value>)]
    pub filter: BTreeMap<String, OneOrMany>,
    /// Columns with "asc" or "desc", most important first.
    #[serde(default)]
    #[schema(value_type = Vec<Vec<String>>)]
    pub sort: Vec<(String, Direction)>,
    #[serde(default)]
    pub off: u32,
    /// Rows, 1 to 200.
    #[serde(default = "window")]
    pub n: u32,
    /// Keep the order and the rows as they are; their values still move.
    #[serde(default)]
    pub hold: bool,
}

/// Rows of a window when the client does not say.
fn window() -> u32 {
    64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LiveTopic {
    Totals,
    Calls,
    CdrTail,
}

/// What the switch sends for a view.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LiveFrame {
    pub id: u32,
    /// Grows by one with each frame of the view; a gap means that frames were dropped for a slow client.
    pub seq: u64,
    pub t: Timestamp,
    /// Rows that match the filter.
    pub total: u32,
    pub off: u32,
    /// `Call` for the topic calls, `Cdr` for cdr-tail.
    pub rows: Vec<LiveRow>,
    /// Ids of held rows that are over.
    pub gone: Vec<String>,
    /// Matching rows that wait until the view is let go.
    pub fresh: u32,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum LiveRow {
    Call(Box<Call>),
    Cdr(Box<Cdr>),
}

/// Sent each second with id 0 to clients that have a view of the topic totals.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LiveTotals {
    /// Always 0.
    pub id: u32,
    pub t: Timestamp,
    pub totals: Totals,
    /// The step of the series that ended last.
    pub point: Option<SeriesPoint>,
}

/// Sent when a command cannot be carried out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LiveError {
    /// Of the view that was asked for; 0 when the command could not be read.
    pub id: u32,
    pub t: Timestamp,
    pub error: String,
}

/// Opens the live WebSocket: takes `LiveCommand`, sends `LiveFrame`, `LiveTotals` (each second) and `LiveError`.
#[utoipa::path(get, path = "/live", tag = "live", responses((status = 101)))]
pub(crate) async fn open_live(
    State(api): State<Api>,
    caller: Caller,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let upgrade = upgrade.max_message_size(LONGEST_COMMAND).max_frame_size(LONGEST_COMMAND);
    Ok(upgrade.on_upgrade(move |socket| socket::attend(api, socket, caller)))
}

const LONGEST_COMMAND: usize = 64 << 10;
