//! The operators' way to the brain: what the API's requests become.

use crate::journal::ApplierQueue;
use crate::program::Addresses;
use crate::signalling::{Control, Inbox};
use crate::trace::Observer;
use api::{Brain, BrainGone, Reply, ShellStatus};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use store::Store;
use switch::live::LiveUpdate;
use switch::{ControlReply, ControlRequest};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use vocab::Utc;

/// How long a request waits for the configuration that was there before it to be in force.
const IN_FORCE_TIME: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Operator {
    pub inbox: Arc<Inbox>,
    pub store: Store,
    /// Version of the configuration that the brain has.
    pub in_force: watch::Receiver<u64>,
    pub facts: Arc<Facts>,
    pub applied: Arc<ApplierQueue>,
    pub started_at: Utc,
    pub addresses: Addresses,
    pub demo: bool,
    pub observer: Arc<Observer>,
}

/// What the brain last told about itself.
#[derive(Debug, Default)]
pub struct Facts {
    media_ports_used: AtomicU32,
    journal_stopped: AtomicBool,
    most_calls: AtomicU32,
    most_cps: AtomicU32,
}

impl Facts {
    /// The most calls in progress and within a second, since this was asked last.
    pub fn take_peaks(&self) -> (u32, u32) {
        (self.most_calls.swap(0, Ordering::Relaxed), self.most_cps.swap(0, Ordering::Relaxed))
    }

    pub fn note(&self, update: &LiveUpdate) {
        if let LiveUpdate::Totals(totals) = update {
            self.media_ports_used.store(totals.media_ports_used, Ordering::Relaxed);
            self.journal_stopped.store(totals.journal_stopped, Ordering::Relaxed);
            self.most_calls.fetch_max(totals.calls, Ordering::Relaxed);
            self.most_cps.fetch_max(totals.cps, Ordering::Relaxed);
        }
    }
}

impl Operator {
    /// Asks the brain, once it has the configuration that is stored now: who has just made an account can pay into it.
    pub fn request(
        &self,
        request: ControlRequest,
    ) -> impl Future<Output = Result<ControlReply, BrainGone>> + Send + 'static {
        let (inbox, mut in_force) = (self.inbox.clone(), self.in_force.clone());
        let version = self.store.config().version;
        async move {
            // After that time it goes on without: the brain will say what it does not know.
            let _ = timeout(IN_FORCE_TIME, in_force.wait_for(|v| *v >= version)).await;
            let (reply, answer) = oneshot::channel();
            if !inbox.control(Control { request, reply }) {
                return Err(BrainGone);
            }
            answer.await.map_err(|_| BrainGone)
        }
    }
}

impl Brain for Operator {
    fn control(&self, request: ControlRequest) -> Reply {
        Box::pin(self.request(request))
    }

    fn self_test(&self) -> Pin<Box<dyn Future<Output = Option<api::SelfTest>> + Send>> {
        let operator = self.clone();
        Box::pin(async move {
            let runtime = tokio::runtime::Handle::current();
            let test = move || crate::selftest::run(operator, runtime);
            tokio::task::spawn_blocking(test).await.ok().flatten()
        })
    }

    fn open_alarms(&self) -> u32 {
        self.observer.open_alarms()
    }

    fn seeing(&self) -> Option<Arc<dyn api::Seeing>> {
        Some(self.observer.clone())
    }

    fn status(&self) -> ShellStatus {
        ShellStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            listeners: self.addresses.listeners.clone(),
            media_ports: (self.addresses.media_ports.first, self.addresses.media_ports.last),
            media_ports_used: self.facts.media_ports_used.load(Ordering::Relaxed),
            last_seq: self.inbox.last_journaled(),
            applied_seq: self.applied.applied(),
            journal_stopped: self.facts.journal_stopped.load(Ordering::Relaxed),
            demo: self.demo,
        }
    }
}
