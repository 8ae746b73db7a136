//! The beat of the live views: all clients draw at the same moment, so that each order is made once for all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Number of the beat. Who is too slow for one sees only the latest.
pub(crate) type Beat = u64;

pub(crate) struct Pulse {
    interval: Duration,
    /// Beats are never numbered twice, so that nothing made in an older one is taken for new.
    beats: Arc<AtomicU64>,
    /// The beats are sent by a task that ends after its last listener.
    running: Mutex<Option<watch::Receiver<Beat>>>,
}

impl Pulse {
    pub fn new(interval: Duration) -> Pulse {
        Pulse { interval, beats: Arc::default(), running: Mutex::new(None) }
    }

    /// Beats from now on. The first listener starts them.
    pub fn listen(&self) -> watch::Receiver<Beat> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = running.as_ref().filter(|r| r.has_changed().is_ok()) {
            return receiver.clone();
        }
        let (interval, beats) = (self.interval, self.beats.clone());
        let next = move || beats.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = watch::channel(next());
        *running = Some(receiver.clone());
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            ticks.tick().await;
            // One receiver is the pulse's own.
            while sender.receiver_count() > 1 {
                ticks.tick().await;
                sender.send_replace(next());
            }
        });
        receiver
    }
}
