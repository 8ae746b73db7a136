//! The way of live updates from the brain to the board of the API: a bounded list that the board empties ten times a
//! second. Nobody is woken for a screen. When the list is full, updates are dropped and the whole is asked for anew.

use crate::signalling::{Control, Inbox};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use switch::ControlRequest;
use switch::live::LiveUpdate;
use tokio::sync::oneshot;

/// Updates kept at most: more than a tenth of a second brings on any machine.
const BOUND: usize = 50_000;
const PERIOD: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub struct LiveQueue {
    updates: Mutex<Vec<LiveUpdate>>,
    missed: AtomicBool,
}

impl LiveQueue {
    /// Takes all of `updates`, or drops them when there are too many.
    pub fn push(&self, updates: &mut Vec<LiveUpdate>) {
        if updates.is_empty() {
            return;
        }
        let mut queued = self.updates.lock().unwrap_or_else(PoisonError::into_inner);
        if queued.len() + updates.len() > BOUND {
            self.missed.store(true, Ordering::Relaxed);
            updates.clear();
        } else {
            queued.append(updates);
        }
    }

    fn take(&self, into: &mut Vec<LiveUpdate>) {
        std::mem::swap(&mut *self.updates.lock().unwrap_or_else(PoisonError::into_inner), into);
    }

    /// Hands updates to the board until the task is dropped.
    pub async fn feed(self: Arc<LiveQueue>, inbox: Arc<Inbox>, mut board: impl FnMut(LiveUpdate)) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut updates = Vec::new();
        loop {
            ticks.tick().await;
            self.take(&mut updates);
            updates.drain(..).for_each(&mut board);
            if self.missed.swap(false, Ordering::Relaxed) {
                let (reply, _unread) = oneshot::channel();
                inbox.control(Control { request: ControlRequest::ResendLive, reply });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switch::live::Totals;

    #[test]
    fn too_many_updates_are_dropped_and_remembered() {
        let queue = LiveQueue::default();
        let many = |n| (0..n).map(|_| LiveUpdate::Totals(Totals::default())).collect::<Vec<_>>();
        queue.push(&mut many(BOUND));
        assert!(!queue.missed.load(Ordering::Relaxed));
        let mut more = many(1);
        queue.push(&mut more);
        let mut got = Vec::new();
        queue.take(&mut got);
        assert_eq!((got.len(), more.len(), queue.missed.load(Ordering::Relaxed)), (BOUND, 0, true));
    }
}
