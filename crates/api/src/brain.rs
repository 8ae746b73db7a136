//! What the API needs of the program around it: a way to the brain, and what the shell itself knows.

use crate::seeing::Seeing;
use serde::Serialize;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use switch::{ControlReply, ControlRequest};
use utoipa::ToSchema;
use vocab::{Seq, Transport, Utc};

/// The way to the running brain. The program implements it; tests bring their own.
pub trait Brain: Send + Sync + 'static {
    /// Carries out one request. Money that moves is on disk when the reply comes.
    fn control(&self, request: ControlRequest) -> Reply;
    /// What the shell knows.
    fn status(&self) -> ShellStatus;
    /// Places a call through the switch; nothing while another one is under way.
    fn self_test(&self) -> Pin<Box<dyn Future<Output = Option<SelfTest>> + Send>> {
        Box::pin(std::future::ready(None))
    }
    /// Alarms that are open.
    fn open_alarms(&self) -> u32 {
        0
    }
    /// Who watches the wire, where somebody does.
    fn seeing(&self) -> Option<Arc<dyn Seeing>> {
        None
    }
}

pub type Reply = Pin<Box<dyn Future<Output = Result<ControlReply, BrainGone>> + Send>>;

/// What a self-test saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SelfTest {
    pub passed: bool,
    pub steps: Vec<SelfTestStep>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SelfTestStep {
    pub step: String,
    pub passed: bool,
    /// In words.
    pub text: String,
}

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
