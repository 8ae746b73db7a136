//! What the API needs of the program around it: a way to the brain, and what the shell itself knows.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use switch::{ControlReply, ControlRequest};
use vocab::{Seq, Transport, Utc};

/// The way to the running brain. The program implements it; tests bring their own.
pub trait Brain: Send + Sync + 'static {
    /// Carries out one request. Money that moves is on disk when the reply comes.
    fn control(&self, request: ControlRequest) -> Reply;
    /// What the shell knows.
    fn status(&self) -> ShellStatus;
}

pub type Reply = Pin<Box<dyn Future<Output = Result<ControlReply, BrainGone>> + Send>>;

/// The brain takes no more requests: the program is about to end, or its queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrainGone;

#[derive(Clone, Debug, PartialEq)]
pub struct ShellStatus {
    pub version: String,
    pub started_at: Utc,
    pub listeners: Vec<Listener>,
    /// First and last port for media.
    pub media_ports: (u16, u16),
    pub media_ports_used: u32,
    /// Last record in the journal.
    pub last_seq: Seq,
    /// Last record that is in the database.
    pub applied_seq: Seq,
    /// The disk takes no more records.
    pub journal_stopped: bool,
    pub demo: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    pub transport: Transport,
    pub address: SocketAddr,
    /// What stands in our messages, where it differs.
    pub advertised: Option<String>,
}
