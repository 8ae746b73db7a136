//! From the signalling thread to the capture thread: two buffers that change places.

use diagnosis::Event;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vocab::{CallId, Flow, Utc};

/// Bytes and entries of one buffer: a tenth of a second brings less on any machine.
const BYTES: usize = 8 << 20;
const ENTRIES: usize = 20_000;

#[derive(Debug)]
pub enum Entry {
    /// A message, by its place in [`Batch::bytes`].
    Message {
        at: Utc,
        incoming: bool,
        flow: Flow,
        start: usize,
        length: usize,
    },
    Told {
        at: Utc,
        call: CallId,
        event: Event,
    },
}

#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub entries: Vec<Entry>,
}

impl Batch {
    /// With all the room that it will ever have: filling it allocates nothing.
    pub fn roomy() -> Batch {
        Batch { bytes: Vec::with_capacity(BYTES), entries: Vec::with_capacity(ENTRIES) }
    }
}

#[derive(Debug)]
pub struct Mailbox {
    filling: Mutex<Batch>,
    dropped: AtomicU64,
    closed: AtomicBool,
}

impl Default for Mailbox {
    fn default() -> Mailbox {
        Mailbox {
            filling: Mutex::new(Batch::roomy()),
            dropped: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }
}

impl Mailbox {
    pub fn message(&self, at: Utc, incoming: bool, flow: Flow, bytes: &[u8]) {
        let mut batch = self.lock();
        if batch.entries.len() >= ENTRIES || batch.bytes.len() + bytes.len() > BYTES {
            drop(batch);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (start, length) = (batch.bytes.len(), bytes.len());
        batch.bytes.extend_from_slice(bytes);
        batch.entries.push(Entry::Message { at, incoming, flow, start, length });
    }

    pub fn told(&self, at: Utc, call: CallId, event: Event) {
        let mut batch = self.lock();
        if batch.entries.len() >= ENTRIES {
            drop(batch);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        batch.entries.push(Entry::Told { at, call, event });
    }

    /// Takes all that is there, in exchange for an emptied buffer.
    pub fn take(&self, batch: &mut Batch) {
        batch.bytes.clear();
        batch.entries.clear();
        std::mem::swap(&mut *self.lock(), batch);
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many entries wait.
    pub fn depth(&self) -> usize {
        self.lock().entries.len()
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::{ListenerId, Transport};

    #[test]
    fn what_has_no_room_is_counted() {
        let mailbox = Mailbox::default();
        let remote = "127.0.0.1:9".parse().unwrap();
        let flow = Flow { listener: ListenerId(0), transport: Transport::Udp, remote, connection: 0 };
        let bytes = vec![7; 1 << 20];
        (0..10).for_each(|_| mailbox.message(Utc(0), true, flow, &bytes));
        let mut batch = Batch::roomy();
        mailbox.take(&mut batch);
        assert_eq!((batch.entries.len(), mailbox.dropped(), batch.bytes.capacity()), (8, 2, BYTES));
        mailbox.take(&mut batch);
        assert!(batch.entries.is_empty());
    }

    /// The figure of the always-on ring, for `docs/performance.md`: `cargo test --release -p tandem mailbox -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    #[allow(clippy::print_stdout)]
    fn cost_of_a_message() {
        let (mailbox, mut batch) = (Mailbox::default(), Batch::roomy());
        let remote = "127.0.0.1:9".parse().unwrap();
        let flow = Flow { listener: ListenerId(0), transport: Transport::Udp, remote, connection: 0 };
        let bytes = vec![7; 800];
        let started = std::time::Instant::now();
        for _ in 0..100 {
            (0..5000).for_each(|_| mailbox.message(Utc(0), true, flow, &bytes));
            mailbox.take(&mut batch);
        }
        println!("{} ns for each message of 800 bytes", started.elapsed().as_nanos() / 500_000);
    }
}
