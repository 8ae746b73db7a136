//! Everything that looks on: captures and traces, the log files, the monitor, alarms. No call waits for any of it.

use crate::alarms::Watcher;
use crate::journal::JournalQueue;
use crate::monitor::Monitor;
use crate::operator::Operator;
use crate::program::{Fault, thread};
use crate::trace::{Mailbox, Observer, Observing};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tokio::sync::mpsc::UnboundedSender;
use vocab::ListenerId;

pub struct Watching {
    pub captures: Arc<Mailbox>,
    pub observer: Arc<Observer>,
    data: PathBuf,
    stop: Arc<AtomicBool>,
}

impl Watching {
    pub fn new(data: &Path) -> Watching {
        let captures = Arc::new(Mailbox::default());
        let observer = Arc::new(Observer::new(data.to_path_buf(), captures.clone()));
        Watching { captures, observer, data: data.to_path_buf(), stop: Arc::default() }
    }

    /// Starts the threads. `listeners`: where each is reached, for what captures say.
    pub fn start(
        &self,
        operator: &Operator,
        listeners: HashMap<ListenerId, SocketAddr>,
        journal: &Arc<JournalQueue>,
        fault: &UnboundedSender<Fault>,
    ) -> Result<Vec<JoinHandle<()>>, String> {
        let params = || {
            let store = operator.store.clone();
            move || store.config().params.clone()
        };
        crate::log::write_files(&self.data, params()).map_err(|e| format!("starting the log thread: {e}"))?;
        let observing = Observing {
            mailbox: self.captures.clone(),
            observer: self.observer.clone(),
            listeners,
            params: Box::new(params()),
        };
        let monitor = Monitor {
            store: operator.store.clone(),
            observer: self.observer.clone(),
            inbox: operator.inbox.clone(),
            journal: journal.clone(),
            applied: operator.applied.clone(),
            data: self.data.clone(),
            stop: self.stop.clone(),
        };
        let watcher = Watcher { operator: operator.clone(), stop: self.stop.clone() };
        Ok(vec![
            thread("alarms", fault, move || watcher.run())?,
            thread("monitor", fault, move || {
                monitor.run();
                Ok(())
            })?,
            thread("capture", fault, move || observing.run().map_err(|e| format!("capture: {e}")))?,
        ])
    }

    /// To be called when nothing more will be told; the threads end.
    pub fn stop(&self) {
        self.captures.close();
        self.stop.store(true, Ordering::Relaxed);
    }
}
