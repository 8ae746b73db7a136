//! What is yet to happen, in order of time; events of one moment in the order in which they were put.

use std::collections::BTreeMap;
use vocab::Tick;

#[derive(Debug)]
pub struct Queue<E> {
    events: BTreeMap<(Tick, u64), E>,
    next: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue { events: BTreeMap::new(), next: 0 }
    }
}

impl<E> Queue<E> {
    pub fn put(&mut self, at: Tick, event: E) {
        self.next += 1;
        self.events.insert((at, self.next), event);
    }

    pub fn due(&self) -> Option<Tick> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next event, if its time has come.
    pub fn take(&mut self, now: Tick) -> Option<E> {
        let entry = self.events.first_entry().filter(|e| e.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Forgets events.
    pub fn retain(&mut self, mut keep: impl FnMut(&E) -> bool) {
        self.events.retain(|_, e| keep(e));
    }
}
