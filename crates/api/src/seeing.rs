//! What the API needs of whoever watches the wire: captures and traces.

use diagnosis::capture::Kind;
use diagnosis::{Capture, Filter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use store::Sample;
use utoipa::ToSchema;
use vocab::{CallId, Utc};

/// Captures and traces. The program implements it.
pub trait Seeing: Send + Sync + 'static {
    fn capture(&self, call: CallId) -> Option<Capture>;
    /// The newest that fit, newest first.
    fn captures(&self, kind: Kind, filter: &Filter, most: usize) -> Vec<Capture>;
    fn traces(&self) -> Vec<TraceState>;
    /// Switches a trace on or off.
    fn set_trace(&self, kind: TraceKind, order: Option<TraceOrder>);
    /// The two files of a trace, older first; they need not be there.
    fn trace_files(&self, kind: TraceKind) -> Vec<PathBuf>;
    fn figures(&self) -> SeeingFigures;
    /// The newest figures of the monitor.
    fn sample(&self) -> Option<Sample>;
    fn log_levels(&self) -> LogLevels;
    /// An error says what cannot be read.
    fn set_log_levels(&self, levels: LogLevels) -> Result<(), String>;
    /// The two log files, older first.
    fn log_files(&self) -> Vec<PathBuf>;
}

/// Levels of the log that are set at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLevels {
    pub level: Option<String>,
    pub modules: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TraceKind {
    Calls,
    Registers,
}

/// What a trace is to hold, and how long it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceOrder {
    pub filter: Filter,
    pub until: Option<Utc>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TraceState {
    pub kind: TraceKind,
    /// `None`: off.
    pub order: Option<TraceOrder>,
    pub file_bytes: u64,
    /// Messages and events since the start of the process.
    pub written: u64,
    pub dropped: u64,
    /// The disk took nothing the last time.
    pub failing: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeeingFigures {
    pub captures: usize,
    pub capture_bytes: usize,
    pub mailbox_depth: usize,
    pub mailbox_dropped: u64,
    pub trace_dropped: u64,
    pub hep_sent: u64,
    pub hep_failed: u64,
}
