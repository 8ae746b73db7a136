//! From the brain's facts to the disk: the journal thread makes them durable, the applier thread brings them into the
//! database.
//!
//! The journal thread takes everything that waits, writes it with one `fdatasync`, and tells the brain how far the
//! disk has it. The applier may lag: it is fed from memory while it keeps up, and from the journal's files when it
//! does not, so that memory is bounded and the brain never waits for the database.

use crate::signalling::Inbox;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::journal::{RecordsAfter, Spare};
use store::{Journal, JournalError};
use switch::Record;
use vocab::Seq;

/// Between tries while the disk is full.
const RETRY: Duration = Duration::from_millis(500);
/// Between looks at things that nobody announces: files that are needed no more, an applier that lags.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Records that wait in memory for the applier, at most; beyond it reads the journal.
const APPLIER_BOUND: usize = 20_000;
/// Records in one transaction of the applier.
const APPLIER_BATCH: usize = 2000;
/// From one transaction of the applier to the next, while records keep coming: it costs the same for one and for
/// hundreds.
const APPLIER_INTERVAL: Duration = Duration::from_millis(400);
/// What comes after a rest waits for this long only: often more follows at once.
const APPLIER_GATHERS: Duration = Duration::from_millis(50);
/// Between tries of a transaction that failed.
const APPLIER_RETRY: Duration = Duration::from_secs(1);

pub type Records = Vec<(Seq, Record)>;

/// Records on their way to the disk. Bounded by the brain, which takes no new calls when too many wait.
#[derive(Debug, Default)]
pub struct JournalQueue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    records: Records,
    closed: bool,
    /// The journal thread waits to be woken.
    parked: bool,
}

impl JournalQueue {
    /// Takes all of `records`.
    pub fn push(&self, records: &mut Records) {
        if records.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        waiting.records.append(records);
        // Waking costs a system call, and a thread that is at work or gathers looks by itself.
        let wake = std::mem::take(&mut waiting.parked);
        drop(waiting);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Records that wait.
    pub fn depth(&self) -> usize {
        self.lock().records.len()
    }

    /// Nothing will follow: the journal thread ends when all is written.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Waits for records, but not longer than `limit`. `None` when the queue is closed and empty.
    fn take(&self, limit: Duration) -> Option<Records> {
        let mut waiting = self.lock();
        if waiting.records.is_empty() && !waiting.closed && !limit.is_zero() {
            waiting.parked = true;
            let nothing = |w: &mut Waiting| w.records.is_empty() && !w.closed;
            let waited = self.arrived.wait_timeout_while(waiting, limit, nothing);
            (waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
            waiting.parked = false;
        }
        let records = std::mem::take(&mut waiting.records);
        (!records.is_empty() || !waiting.closed).then_some(records)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The journal thread.
pub struct Writer {
    journal: Journal,
    queue: Arc<JournalQueue>,
    inbox: Arc<Inbox>,
    applier: Arc<ApplierQueue>,
    feed: Feed,
    gather: Duration,
    /// What the brain was told last.
    told_stopped: bool,
    last_housekeeping: Instant,
}

/// Where the applier's records come from.
enum Feed {
    Memory,
    /// It lagged too far: from the files, until it has caught up.
    Files(RecordsAfter),
}

impl Writer {
    pub fn new(
        journal: Journal,
        queue: Arc<JournalQueue>,
        inbox: Arc<Inbox>,
        applier: Arc<ApplierQueue>,
        gather: Duration,
    ) -> Writer {
        let now = Instant::now();
        Writer {
            journal,
            queue,
            inbox,
            applier,
            feed: Feed::Memory,
            gather,
            told_stopped: false,
            last_housekeeping: now,
        }
    }

    /// Runs until the queue is closed and everything in it is on disk. An error is final: nothing was acknowledged
    /// that is not durable, and nothing may be from now on (`R-07`).
    pub fn run(mut self) -> Result<(), JournalError> {
        self.tell(!self.journal.room());
        while let Some(records) = self.queue.take(HOUSEKEEPING) {
            if !records.is_empty() {
                self.write(records)?;
                // The first record after a rest goes to disk at once. Those that follow it share the next write.
                std::thread::sleep(self.gather);
            }
            if self.last_housekeeping.elapsed() >= HOUSEKEEPING {
                self.keep_house()?;
            }
        }
        self.applier.close();
        Ok(())
    }

    /// The next journal file, to be kept made by a thread of its own until the journal thread has ended.
    pub fn spare(&self) -> Spare {
        self.journal.spare()
    }

    fn write(&mut self, mut records: Records) -> Result<(), JournalError> {
        self.journal.append(&records)?;
        self.sync(&mut records)?;
        self.inbox.journaled(self.journal.synced());
        self.tell(!self.journal.room());
        if matches!(self.feed, Feed::Memory) && !self.applier.push(records) {
            self.feed = Feed::Files(self.journal.records_after(self.applier.last_pushed()));
        }
        Ok(())
    }

    /// Waits for space when there is none; the brain takes no new calls meanwhile. What arrives until then joins
    /// `records`: the applier must be given it too.
    fn sync(&mut self, records: &mut Records) -> Result<(), JournalError> {
        loop {
            match self.journal.sync() {
                Ok(_) => return Ok(()),
                Err(JournalError::Full { .. }) => {
                    self.tell(true);
                    std::thread::sleep(RETRY);
                    let mut more = self.queue.take(Duration::ZERO).unwrap_or_default();
                    self.journal.append(&more)?;
                    records.append(&mut more);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn tell(&mut self, stopped: bool) {
        if stopped != self.told_stopped {
            self.told_stopped = stopped;
            if stopped {
                tracing::error!("the disk is full: new calls are refused until there is space");
            } else {
                tracing::warn!("the disk has space again: new calls are taken");
            }
            self.inbox.journal_stopped(stopped);
        }
    }

    fn keep_house(&mut self) -> Result<(), JournalError> {
        self.last_housekeeping = Instant::now();
        self.tell(!self.journal.room());
        if let Err(error) = self.journal.forget(self.applier.applied()) {
            tracing::warn!(%error, "a journal file that is needed no more stays");
        }
        self.feed_from_files()
    }

    /// Hands the applier what fits, and returns to memory when it has everything.
    fn feed_from_files(&mut self) -> Result<(), JournalError> {
        let Feed::Files(records) = &mut self.feed else { return Ok(()) };
        while self.applier.has_room() {
            let batch = records.by_ref().take(APPLIER_BATCH).collect::<Result<Records, _>>()?;
            if !batch.is_empty() {
                self.applier.push(batch);
            } else if self.applier.last_pushed() < self.journal.synced() {
                *records = self.journal.records_after(self.applier.last_pushed());
            } else {
                self.feed = Feed::Memory;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Durable records on their way into the database.
#[derive(Debug)]
pub struct ApplierQueue {
    batches: Mutex<Batches>,
    arrived: Condvar,
    last_pushed: AtomicU64,
    applied: AtomicU64,
}

#[derive(Debug, Default)]
struct Batches {
    records: VecDeque<(Seq, Record)>,
    closed: bool,
    /// The applier thread waits to be woken.
    parked: bool,
}

impl ApplierQueue {
    /// Everything up to `applied` is in the database.
    pub fn new(applied: Seq) -> ApplierQueue {
        ApplierQueue {
            batches: Mutex::default(),
            arrived: Condvar::new(),
            last_pushed: AtomicU64::new(applied.0),
            applied: AtomicU64::new(applied.0),
        }
    }

    /// Takes the records, or nothing when too many wait already.
    fn push(&self, records: Records) -> bool {
        let Some(last) = records.last().map(|(seq, _)| *seq) else { return true };
        let mut batches = self.lock();
        if batches.records.len() >= APPLIER_BOUND {
            return false;
        }
        batches.records.extend(records);
        let wake = std::mem::take(&mut batches.parked);
        drop(batches);
        self.last_pushed.store(last.0, Ordering::Release);
        if wake {
            self.arrived.notify_one();
        }
        true
    }

    fn has_room(&self) -> bool {
        self.lock().records.len() < APPLIER_BOUND
    }

    fn last_pushed(&self) -> Seq {
        Seq(self.last_pushed.load(Ordering::Acquire))
    }

    /// Everything up to here is in the database.
    pub fn applied(&self) -> Seq {
        Seq(self.applied.load(Ordering::Acquire))
    }

    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// The applier thread: until the queue is closed and empty. `apply` brings a batch into the database, whole or
    /// not at all, and says why when it cannot; `done` is given what is in.
    pub fn run(&self, mut apply: impl FnMut(&Records) -> Result<(), String>, mut done: impl FnMut(Records)) {
        let mut last_applied = Instant::now();
        while let Some(batch) = self.take(last_applied) {
            last_applied = Instant::now();
            let Some(last) = batch.last().map(|(seq, _)| *seq) else { continue };
            while let Err(error) = apply(&batch) {
                if self.lock().closed {
                    // The journal still has it; the next start brings it in.
                    tracing::error!(%error, "records are not yet in the database");
                    return;
                }
                tracing::error!(%error, "the database does not take records; trying again");
                std::thread::sleep(APPLIER_RETRY);
            }
            self.applied.store(last.0, Ordering::Release);
            done(batch);
        }
    }

    /// Waits for records. They gather until an interval has passed since the last ones were taken.
    fn take(&self, last: Instant) -> Option<Records> {
        let mut batches = self.lock();
        if batches.records.is_empty() && !batches.closed {
            batches.parked = true;
            let nothing = |b: &mut Batches| b.records.is_empty() && !b.closed;
            batches = self.arrived.wait_while(batches, nothing).unwrap_or_else(PoisonError::into_inner);
            batches.parked = false;
        }
        if !batches.closed && batches.records.len() < APPLIER_BATCH {
            drop(batches);
            std::thread::sleep(APPLIER_INTERVAL.saturating_sub(last.elapsed()).max(APPLIER_GATHERS));
            batches = self.lock();
        }
        let count = batches.records.len().min(APPLIER_BATCH);
        let batch: Records = batches.records.drain(..count).collect();
        (!batch.is_empty() || !batches.closed).then_some(batch)
    }

    fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::JournalOptions;
    use vocab::Utc;

    fn alive(seqs: std::ops::RangeInclusive<u64>) -> Records {
        let at = |n| switch::Moment { utc: Utc(i64::try_from(n).unwrap()), ..Default::default() };
        seqs.map(|n| (Seq(n), Record::Alive { at: at(n) })).collect()
    }

    struct Bench {
        dir: tempfile::TempDir,
        queue: Arc<JournalQueue>,
        inbox: Arc<Inbox>,
        applier: Arc<ApplierQueue>,
    }

    impl Bench {
        fn new() -> (Bench, Writer) {
            let dir = tempfile::tempdir().unwrap();
            let (journal, _) = Journal::open(dir.path(), JournalOptions { segment_bytes: 1 << 20 }).unwrap();
            let bench = Bench {
                dir,
                queue: Arc::default(),
                inbox: Arc::new(Inbox::new().unwrap()),
                applier: Arc::new(ApplierQueue::new(Seq(0))),
            };
            let writer = Writer::new(
                journal,
                bench.queue.clone(),
                bench.inbox.clone(),
                bench.applier.clone(),
                Duration::ZERO,
            );
            (bench, writer)
        }

        fn applied(&self) -> Vec<u64> {
            let mut got = Vec::new();
            self.applier.run(|_| Ok(()), |batch| got.extend(batch.iter().map(|(seq, _)| seq.0)));
            got
        }
    }

    #[test]
    fn records_reach_disk_brain_and_database() {
        let (bench, writer) = Bench::new();
        bench.queue.push(&mut alive(1..=3));
        bench.queue.push(&mut alive(4..=5));
        bench.queue.close();
        writer.run().unwrap();
        assert_eq!(bench.inbox.last_journaled(), Seq(5));
        assert_eq!(bench.applied(), [1, 2, 3, 4, 5]);
        assert_eq!(bench.applier.applied(), Seq(5));
        let (_, found) = Journal::open(bench.dir.path(), JournalOptions::default()).unwrap();
        assert_eq!(found.last_seq, Seq(5));
    }

    #[test]
    fn an_applier_that_lags_is_fed_from_the_files_without_a_gap() {
        let (bench, mut writer) = Bench::new();
        let bound = APPLIER_BOUND as u64;
        writer.write(alive(1..=bound)).unwrap();
        writer.write(alive(bound + 1..=bound + 10)).unwrap();
        writer.write(alive(bound + 11..=bound + 20)).unwrap();
        assert!(matches!(writer.feed, Feed::Files(_)));
        assert_eq!(bench.applier.last_pushed(), Seq(bound));
        let mut got: Vec<u64> = Vec::new();
        let take = |got: &mut Vec<u64>| {
            got.extend(bench.applier.take(Instant::now()).unwrap().iter().map(|(seq, _)| seq.0))
        };
        take(&mut got);
        writer.keep_house().unwrap();
        assert!(matches!(writer.feed, Feed::Memory));
        writer.write(alive(bound + 21..=bound + 21)).unwrap();
        bench.queue.close();
        writer.run().unwrap();
        got.extend(bench.applied());
        assert_eq!(got, (1..=bound + 21).collect::<Vec<_>>());
    }

    #[test]
    fn what_the_database_does_not_take_at_the_end_is_left_in_the_journal() {
        let (bench, mut writer) = Bench::new();
        writer.write(alive(1..=1)).unwrap();
        let mut tries = 0;
        let applier = bench.applier.clone();
        let failing = |_: &Records| {
            tries += 1;
            applier.close();
            Err("busy".into())
        };
        bench.applier.run(failing, |_| panic!("it was not applied"));
        // Closed while it failed: left to the next start, which reads the journal.
        assert_eq!((tries, bench.applier.applied()), (1, Seq(0)));
    }
}
