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
    pub protection: ProtectionStatus,
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

/// Messages of unknown sources since the start of the process. Figures that grow fast tell of a flood.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProtectionStatus {
    /// Handed on: they may belong to a call, or sign in.
    pub passed: u64,
    /// Dropped: nothing that an unknown source may send.
    pub unwanted: u64,
    /// Dropped: the source sent more than its share.
    pub over_source_limit: u64,
    /// Dropped: all unknown sources together sent too much.
    pub over_total_limit: u64,
    /// Dropped: the mark of a scanner.
    pub scanners: u64,
    /// Dropped: the source had failed to sign in too often.
    pub suspended: u64,
    /// Times that a source was suspended.
    pub suspensions: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Addresses that signed in lately, or take part in a call, without being a gateway's.
    pub guests: u32,
}

impl From<switch::live::GuardCounters> for ProtectionStatus {
    fn from(c: switch::live::GuardCounters) -> ProtectionStatus {
        ProtectionStatus {
            passed: c.passed,
            unwanted: c.unwanted,
            over_source_limit: c.over_source_limit,
            over_total_limit: c.over_total_limit,
            scanners: c.scanners,
            suspended: c.suspended,
            suspensions: c.suspensions,
            bytes_in: c.bytes_in,
            bytes_out: c.bytes_out,
            guests: c.guests,
        }
    }
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
        protection: api.board.guard().into(),
        demo: shell.demo,
    })
}
