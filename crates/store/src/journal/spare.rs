//! The next segment, made ahead of need: its space reserved and filled with zeros.
//!
//! Reserved, so that calls in progress can be recorded when the disk is full. Filled, because the first write to a
//! block that is only reserved changes the file's map of blocks as well, which makes each write to the journal about
//! twice as dear. Filling 64 MiB takes its time, so the program has a thread for it ([`Spare::keep_made`]).

use super::spare_path;
use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between tries while the disk is full.
const RETRY: Duration = Duration::from_millis(500);
/// Zeros in one write. Each is brought to disk before the next, so that the journal's own writes never wait long.
const PIECE: usize = 1 << 20;

/// Shared by the journal and whoever fills the file.
#[derive(Clone, Debug)]
pub struct Spare(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    bytes: u64,
    shared: Mutex<Shared>,
    changed: Condvar,
}

#[derive(Debug)]
struct Shared {
    state: State,
    /// Somebody runs [`Spare::keep_made`].
    kept: bool,
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It could not be made.
    Absent,
    /// The one before has just become the current segment; the next is being made.
    Wanted,
    /// Its space is taken; being filled.
    Reserved,
    Ready,
}

impl Spare {
    /// A spare that an earlier process has left is taken as it is.
    pub(super) fn find(dir: &Path, bytes: u32) -> Spare {
        let bytes = u64::from(bytes);
        // One that was not finished, and one of another size: made anew.
        let _ = fs::remove_file(unfinished_path(dir));
        let ready = fs::metadata(spare_path(dir)).is_ok_and(|m| m.is_file() && m.len() == bytes);
        let state = if ready { State::Ready } else { State::Absent };
        let shared = Mutex::new(Shared { state, kept: false, closed: false });
        Spare(Arc::new(Inner { dir: dir.to_path_buf(), bytes, shared, changed: Condvar::new() }))
    }

    /// Is there space for another segment, as far as is known?
    pub(super) fn has_room(&self) -> bool {
        self.lock().state != State::Absent
    }

    fn is_reserved(&self) -> bool {
        matches!(self.lock().state, State::Reserved | State::Ready)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.lock().state == State::Ready
    }

    /// Makes it if it is not there, unless there is a thread for that.
    pub(super) fn make_unless_kept(&self) {
        if !self.lock().kept {
            self.make();
        }
    }

    /// Gives it a new name.
    pub(super) fn take(&self, name: &Path) -> io::Result<()> {
        fs::rename(spare_path(&self.0.dir), name)?;
        self.set(State::Wanted);
        Ok(())
    }

    /// Makes it, and makes it again whenever it has been taken, until [`Spare::close`].
    pub fn keep_made(&self) {
        self.lock().kept = true;
        loop {
            let busy = |s: &mut Shared| s.state == State::Ready && !s.closed;
            let waited = self.0.changed.wait_while(self.lock(), busy);
            let mut shared = waited.unwrap_or_else(PoisonError::into_inner);
            if shared.closed {
                shared.kept = false;
                return;
            }
            drop(shared);
            if !self.make() {
                let closed = |s: &mut Shared| !s.closed;
                drop(self.0.changed.wait_timeout_while(self.lock(), RETRY, closed));
            }
        }
    }

    /// Ends [`Spare::keep_made`].
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    /// Takes the space, if it is not taken yet. Quick.
    pub(super) fn reserve(&self) -> bool {
        if self.is_reserved() {
            return true;
        }
        let path = unfinished_path(&self.0.dir);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let reserved =
            file.and_then(|file| match fallocate(&file, FallocateFlags::empty(), 0, self.0.bytes) {
                // Some file systems cannot reserve; the zeros take the space as well.
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => file.sync_all(),
                Err(error) => Err(error.into()),
            });
        self.reached(State::Reserved, reserved)
    }

    fn make(&self) -> bool {
        if self.is_ready() {
            return true;
        }
        if !self.reserve() {
            return false;
        }
        let (unfinished, ready) = (unfinished_path(&self.0.dir), spare_path(&self.0.dir));
        let filled = OpenOptions::new().write(true).open(&unfinished).and_then(|file| {
            fill_with_zeros(&file, 0, self.0.bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, &ready)
        });
        self.reached(State::Ready, filled)
    }

    /// Takes note of how a step went. What has failed leaves nothing behind.
    fn reached(&self, state: State, outcome: io::Result<()>) -> bool {
        if let Err(error) = &outcome {
            tracing::debug!(%error, "no spare journal file");
            let _ = fs::remove_file(unfinished_path(&self.0.dir));
        }
        self.set(if outcome.is_ok() { state } else { State::Absent });
        outcome.is_ok()
    }

    fn set(&self, state: State) {
        self.lock().state = state;
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For tests: as if the file had got lost.
    #[cfg(test)]
    pub fn lose(&self) {
        self.set(State::Absent);
    }
}

fn unfinished_path(dir: &Path) -> PathBuf {
    dir.join("spare.new")
}

/// Writes zeros from one offset to another, and brings them to disk.
pub(super) fn fill_with_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; PIECE];
    let mut at = from;
    while at < to {
        let step = usize::try_from(to - at).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all_at(zeros.get(..step).unwrap_or_default(), at)?;
        file.sync_data()?;
        at += step as u64;
        // Direct writes would have to throw these pages out of the cache one by one. Only advice: no error of ours.
        let _ = fadvise(file, 0, None, Advice::DontNeed);
    }
    Ok(())
}
