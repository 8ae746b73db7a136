//! The state of the program.

use super::routing_gateways::Transport;
use crate::clock::Timestamp;
use crate::server::Api;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// The program and its surroundings.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Status {
    pub version: String,
    pub started_at: Timestamp,
    pub now: Timestamp,
    pub listeners: Vec<ListenerStatus>,
    pub media: MediaStatus,
    pub journal: JournalStatus,
    /// Simulated customers and vendors are placing calls.
    pub demo: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ListenerStatus {
    pub transport: Transport,
    pub address: String,
    /// The address that stands in our messages, where it differs.
    pub advertised: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MediaStatus {
    pub ports_from: u16,
    pub ports_to: u16,
    pub ports_used: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JournalStatus {
    pub last_seq: String,
    /// Up to here everything is in the database.
    pub applied_seq: String,
    pub state: JournalState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    Writing,
    /// The disk takes no more: new calls are refused.
    Stopped,
}

/// Reads the state of the program.
#[utoipa::path(get, path = "/status", tag = "system", responses((status = 200, body = Status)))]
pub(crate) async fn get_status(State(api): State<Api>) -> Json<Status> {
    let shell = api.brain.status();
    let listener = |l: crate::brain::Listener| ListenerStatus {
        transport: l.transport.into(),
        address: l.address.to_string(),
        advertised: l.advertised,
    };
    Json(Status {
        version: shell.version,
        started_at: shell.started_at.into(),
        now: api.now().into(),
        listeners: shell.listeners.into_iter().map(listener).collect(),
        media: MediaStatus {
            ports_from: shell.media_ports.0,
            ports_to: shell.media_ports.1,
            ports_used: shell.media_ports_used,
        },
        journal: JournalStatus {
            last_seq: shell.last_seq.to_string(),
            applied_seq: shell.applied_seq.to_string(),
            state: if shell.journal_stopped { JournalState::Stopped } else { JournalState::Writing },
        },
        demo: shell.demo,
    })
}
