//! Everything that reaches the signalling thread from other threads, taken in one grip per turn.
//!
//! | what | bound | when full |
//! | --- | --- | --- |
//! | messages of connections | [`STREAM_BYTES`] | the connection's task waits, and with it the peer |
//! | ends of connections | one for each connection | – |
//! | media events | [`MEDIA_EVENTS`] | figures are dropped (newer ones follow), events are kept |
//! | requests of operators | [`CONTROLS`] | refused as busy |
//! | snapshots, journal state | the latest | replaced |
//!
//! Waking costs a system call on both sides, so it is done only while the thread sleeps, once.

use media::MediaEvent;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use switch::{ControlReply, ControlRequest, Snapshot};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use vocab::{Flow, Seq};

const STREAM_BYTES: usize = 8 << 20;
const MEDIA_EVENTS: usize = 100_000;
const CONTROLS: usize = 10_000;

/// From a connection, or about one.
#[derive(Debug)]
pub enum StreamEvent {
    Message {
        flow: Flow,
        bytes: Vec<u8>,
        /// Given back when it has been handled: each connection has so many under way and no more.
        permit: Option<OwnedSemaphorePermit>,
    },
    /// What came is no SIP.
    Broken {
        flow: Flow,
    },
    Closed {
        flow: Flow,
    },
}

/// An operator's request, and where its answer goes.
#[derive(Debug)]
pub struct Control {
    pub request: ControlRequest,
    pub reply: oneshot::Sender<ControlReply>,
}

/// What one turn takes.
#[derive(Debug, Default)]
pub struct Taken {
    pub streams: VecDeque<StreamEvent>,
    stream_bytes: usize,
    pub media: VecDeque<MediaEvent>,
    pub controls: VecDeque<Control>,
    pub snapshot: Option<Arc<Snapshot>>,
    pub journal_stopped: Option<bool>,
    /// Leave the loop.
    pub stop: bool,
    /// Nobody will take anything any more.
    stopped: bool,
}

#[derive(Debug)]
pub struct Inbox {
    waiting: Mutex<Taken>,
    /// Something is in `waiting`: looked at without the lock.
    filled: AtomicBool,
    /// Everything up to this record is on disk.
    journaled: AtomicU64,
    asleep: AtomicBool,
    bell: OwnedFd,
}

impl Inbox {
    pub fn new() -> std::io::Result<Inbox> {
        Ok(Inbox {
            waiting: Mutex::default(),
            filled: AtomicBool::new(false),
            journaled: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Gives the event back when there is no room for it now.
    pub fn stream(&self, event: StreamEvent) -> Result<(), StreamEvent> {
        let mut waiting = self.lock();
        if let StreamEvent::Message { bytes, .. } = &event {
            // The first always fits, however long.
            if waiting.stream_bytes > 0 && waiting.stream_bytes + bytes.len() > STREAM_BYTES {
                return Err(event);
            }
            waiting.stream_bytes += bytes.len();
        }
        waiting.streams.push_back(event);
        self.filled(waiting);
        Ok(())
    }

    pub fn media(&self, event: MediaEvent) {
        let mut waiting = self.lock();
        if waiting.media.len() < MEDIA_EVENTS || !matches!(event, MediaEvent::Statistics(_)) {
            waiting.media.push_back(event);
            self.filled(waiting);
        }
    }

    /// False when there are too many already, or none is taken any more.
    pub fn control(&self, control: Control) -> bool {
        let mut waiting = self.lock();
        let room = waiting.controls.len() < CONTROLS && !waiting.stopped;
        if room {
            waiting.controls.push_back(control);
            self.filled(waiting);
        }
        room
    }

    pub fn configure(&self, snapshot: Arc<Snapshot>) {
        let mut waiting = self.lock();
        waiting.snapshot = Some(snapshot);
        self.filled(waiting);
    }

    pub fn journaled(&self, seq: Seq) {
        self.journaled.store(seq.0, Ordering::Release);
        self.ring();
    }

    pub fn journal_stopped(&self, stopped: bool) {
        let mut waiting = self.lock();
        waiting.journal_stopped = Some(stopped);
        self.filled(waiting);
    }

    pub fn stop(&self) {
        let mut waiting = self.lock();
        waiting.stop = true;
        self.filled(waiting);
    }

    /// For the signalling thread: takes all that waits, in exchange for a value in which at most events of connections
    /// are left. While there are some, no more are taken.
    pub fn take(&self, empty: &mut Taken) {
        if !self.filled.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut waiting = self.lock();
        let leftover = std::mem::take(&mut empty.streams);
        std::mem::swap(&mut *waiting, empty);
        waiting.stopped = empty.stop;
        if leftover.is_empty() {
            empty.stream_bytes = 0;
        } else {
            waiting.streams = std::mem::replace(&mut empty.streams, leftover);
            waiting.stream_bytes = std::mem::take(&mut empty.stream_bytes);
            // To be looked at again.
            self.filled.store(true, Ordering::SeqCst);
        }
    }

    /// Entries that wait for the signalling thread.
    pub fn depth(&self) -> usize {
        let waiting = self.lock();
        waiting.streams.len() + waiting.media.len() + waiting.controls.len()
    }

    pub fn last_journaled(&self) -> Seq {
        Seq(self.journaled.load(Ordering::Acquire))
    }

    /// For the signalling thread, before it sleeps: false when something has come in the meantime. `journaled` is
    /// what it has seen of the journal.
    pub fn may_sleep(&self, journaled: Seq) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let quiet =
            !self.filled.load(Ordering::SeqCst) && self.journaled.load(Ordering::SeqCst) == journaled.0;
        if !quiet {
            self.asleep.store(false, Ordering::SeqCst);
        }
        quiet
    }

    pub fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Becomes readable when somebody rings. To be watched edge-triggered: it is never read.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn filled(&self, waiting: MutexGuard<'_, Taken>) {
        drop(waiting);
        self.filled.store(true, Ordering::SeqCst);
        self.ring();
    }

    fn ring(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            // The counter is full after 2⁶⁴ − 2 rings; until then the write cannot fail.
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Every change under the lock is a single push: a panic elsewhere leaves nothing half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::{ListenerId, Transport};

    fn message(length: usize) -> StreamEvent {
        let remote = "127.0.0.1:9".parse().unwrap();
        let flow = Flow { listener: ListenerId(0), transport: Transport::Tcp, remote, connection: 1 };
        StreamEvent::Message { flow, bytes: vec![0; length], permit: None }
    }

    #[test]
    fn streams_wait_when_there_is_no_room() {
        let inbox = Inbox::new().unwrap();
        inbox.stream(message(STREAM_BYTES + 1)).unwrap();
        assert!(inbox.stream(message(1)).is_err());
        let mut taken = Taken::default();
        inbox.take(&mut taken);
        assert_eq!(taken.streams.len(), 1);
        inbox.stream(message(1)).unwrap();
    }

    #[test]
    fn what_is_left_over_comes_first() {
        let inbox = Inbox::new().unwrap();
        for length in 1..=3 {
            inbox.stream(message(length)).unwrap();
        }
        let mut taken = Taken::default();
        let mut lengths = Vec::new();
        inbox.take(&mut taken);
        inbox.stream(message(4)).unwrap();
        while !taken.streams.is_empty() {
            let Some(StreamEvent::Message { bytes, .. }) = taken.streams.pop_front() else { panic!() };
            lengths.push(bytes.len());
            inbox.take(&mut taken);
        }
        assert_eq!(lengths, [1, 2, 3, 4]);
        assert!(inbox.may_sleep(Seq(0)));
    }

    #[test]
    fn nothing_that_comes_before_sleep_is_missed() {
        let inbox = Inbox::new().unwrap();
        let mut taken = Taken::default();
        assert!(inbox.may_sleep(Seq(0)));
        inbox.awake();
        inbox.stop();
        assert!(!inbox.may_sleep(Seq(0)));
        inbox.take(&mut taken);
        assert!(taken.stop && inbox.may_sleep(Seq(0)));
        inbox.journaled(Seq(7));
        assert!(!inbox.may_sleep(Seq(0)) && inbox.may_sleep(Seq(7)));
    }

    #[test]
    fn the_bell_rings_once_for_a_sleeper() {
        let inbox = Inbox::new().unwrap();
        let rung = || {
            let mut count = [0u8; 8];
            rustix::io::read(&inbox.bell, &mut count).ok().map(|_| u64::from_ne_bytes(count))
        };
        inbox.stop();
        assert_eq!(rung(), None);
        let mut taken = Taken::default();
        inbox.take(&mut taken);
        assert!(inbox.may_sleep(Seq(0)));
        inbox.stop();
        inbox.journaled(Seq(1));
        assert_eq!(rung(), Some(1));
    }
}

/// Waiting for events in tests, without a signalling thread.
#[cfg(test)]
pub mod testing {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    pub trait Listen {
        fn next_event(&self) -> StreamEvent;

        fn next_message(&self) -> (Flow, Vec<u8>) {
            match self.next_event() {
                StreamEvent::Message { flow, bytes, .. } => (flow, bytes),
                other => panic!("{other:?}"),
            }
        }

        fn next_closed(&self) -> Flow {
            match self.next_event() {
                StreamEvent::Closed { flow } => flow,
                other => panic!("{other:?}"),
            }
        }

        fn next_broken(&self) -> Flow {
            match self.next_event() {
                StreamEvent::Broken { flow } => flow,
                other => panic!("{other:?}"),
            }
        }
    }

    impl Listen for Inbox {
        fn next_event(&self) -> StreamEvent {
            for _ in 0..20 {
                if let Some(event) = self.lock().streams.pop_front() {
                    return event;
                }
                self.filled.store(false, Ordering::SeqCst);
                if self.lock().streams.is_empty() && self.may_sleep(Seq(0)) {
                    let mut fds = [PollFd::new(&self.bell, PollFlags::IN)];
                    let limit = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
                    poll(&mut fds, Some(&limit)).unwrap();
                    let _ = rustix::io::read(&self.bell, &mut [0u8; 8]);
                }
            }
            panic!("nothing came");
        }
    }
}
