//! The journal: the one ordered stream of facts, in append-only files.
//!
//! Nothing is promised to anybody before its record is here: an answered call waits for [`Journal::sync`]. The
//! database is only a reader that may lag; what it has not yet taken is read again after a crash. Synchronous on
//! purpose: the threads live in the program.
//!
//! Files are preallocated, and one more is kept ready, so that calls in progress can still be recorded when the
//! disk is full: when the spare cannot be made ([`Journal::room`] is false) the brain takes no new calls.

mod copy;
mod file;
mod open_calls;
mod repair;
mod segment;
mod spare;
#[cfg(test)]
mod tests;

pub(crate) use copy::{copy, hold, inspect};
use file::SegmentFile;
use open_calls::OpenCalls;
pub use repair::{Loss, Repair, repair};
use rustix::fs::{FlockOperation, flock};
use segment::{CARRIED, Entry, HEADER, Header, HeaderError, PLAIN, RECORD_HEADER, Reader, Tail, seal};
pub use spare::Spare;
use spare::fill_with_zeros;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use switch::{Moment, OpenCall, Record};
use vocab::Seq;

/// Sizes of the files.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// Bytes reserved for each segment, and so for the spare one.
    pub segment_bytes: u32,
}

impl Default for JournalOptions {
    fn default() -> Self {
        JournalOptions { segment_bytes: 64 << 20 }
    }
}

/// The very first segment is small, so that a new folder is ready at once.
const FIRST_SEGMENT: u32 = 4 << 20;

/// Bytes of the buffer of pending records that are kept between writes.
const PENDING_KEPT: usize = 1 << 20;

/// A segment may outgrow its reservation when no spare can be made, but never beyond this.
const SEGMENT_LIMIT: u64 = 2 << 30;

#[derive(Debug)]
pub enum JournalError {
    /// The system refused; what was being done, and to which file.
    Io { doing: &'static str, file: PathBuf, error: io::Error },
    /// No space left. Nothing was lost: the records are still in memory, and `sync` may be called again.
    Full { file: PathBuf },
    /// An earlier write failed. What the disk holds is unknown until the journal is opened anew, so
    /// nothing more is written and nothing acknowledged (`R-07`).
    Stopped,
    /// Another process has this folder open.
    InUse { dir: PathBuf },
    /// A record is bad although later ones are good: no torn write, but damage.
    Damaged { file: PathBuf, offset: u64 },
    /// Records are missing between two files.
    Gap { file: PathBuf, expected: Seq, found: Seq },
    /// The checksum is good, but this program cannot read it: written by a newer one.
    Unreadable { file: PathBuf, offset: u64, why: String },
    /// A record that does not follow the last one, or is too long: a fault of the caller, nothing was taken.
    Refused { seq: Seq, why: &'static str },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Io { doing, file, error } => {
                write!(f, "journal: {doing} {} failed: {error}", file.display())
            }
            JournalError::Full { file } => write!(f, "journal: no space left for {}", file.display()),
            JournalError::Stopped => {
                write!(f, "journal: stopped after a failed write; start again to go on from what is on disk")
            }
            JournalError::InUse { dir } => {
                write!(f, "journal: {} is in use by another process", dir.display())
            }
            JournalError::Damaged { file, offset } => write!(
                f,
                "journal: {} is damaged at offset {offset}: good records follow it, so it is no unfinished write; nothing was changed, see `tandem journal repair`",
                file.display()
            ),
            JournalError::Gap { file, expected, found } => write!(
                f,
                "journal: records {} to {expected} are missing before {}; nothing was changed, see `tandem journal repair`",
                found.0.saturating_add(1),
                file.display()
            ),
            JournalError::Unreadable { file, offset, why } => {
                write!(
                    f,
                    "journal: {} cannot be read at offset {offset}: {why}; nothing was changed",
                    file.display()
                )
            }
            JournalError::Refused { seq, why } => write!(f, "journal: record {seq} refused: {why}"),
        }
    }
}

impl std::error::Error for JournalError {}

fn io_error<'a>(doing: &'static str, file: &'a Path) -> impl FnOnce(io::Error) -> JournalError + 'a {
    move |error| JournalError::Io { doing, file: file.to_path_buf(), error }
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub last_seq: Seq,
    /// The last sign of life.
    pub last_alive: Option<Moment>,
    /// Calls without an end, in order.
    pub open: Vec<OpenCall>,
    /// An unfinished write was cut off: file, offset, bytes.
    pub cut: Option<(PathBuf, u64, u64)>,
}

/// A file that is complete.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    last: Seq,
}

/// The writer.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    options: JournalOptions,
    /// Older files, oldest first.
    complete: Vec<Segment>,
    path: PathBuf,
    /// All that was written to it is durable.
    file: SegmentFile,
    number: u32,
    /// Length of the current file with what is reserved.
    capacity: u64,
    /// Records that are not yet written: their bytes with free space for headers, and where each begins.
    pending: Vec<u8>,
    starts: Vec<(Seq, usize)>,
    last: Seq,
    synced: Seq,
    open: OpenCalls,
    spare: Spare,
    stopped: bool,
    /// Held for its lock.
    _lock: File,
}

impl Journal {
    /// Opens the journal in `dir`, which is made when absent. An unfinished write at the very end is cut off;
    /// damage anywhere else is an error and changes nothing.
    pub fn open(dir: &Path, options: JournalOptions) -> Result<(Journal, Recovered), JournalError> {
        fs::create_dir_all(dir).map_err(io_error("making", dir))?;
        let lock = lock(dir)?;
        let mut recovery = Recovery::default();
        let mut files = segment_files(dir)?;
        drop_unborn_segment(&mut files, &mut recovery)?;
        let count = files.len();
        for (index, (number, path)) in files.iter().enumerate() {
            recovery.read_segment(path, *number, index + 1 == count)?;
        }
        let mut journal = match (files.last(), recovery.current_end) {
            (Some((number, path)), Some(end)) => {
                Journal::resume(dir, options, lock, (*number, path.clone()), end)?
            }
            _ => Journal::begin(dir, options, lock)?,
        };
        journal.complete = recovery.complete;
        journal.open = recovery.open;
        (journal.last, journal.synced) = (recovery.last, recovery.last);
        journal.spare.reserve();
        let recovered = Recovered {
            last_seq: journal.last,
            last_alive: journal.open.last_alive(),
            open: journal.open.calls(),
            cut: recovery.cut,
        };
        Ok((journal, recovered))
    }

    /// Goes on with an existing file after its last good record.
    fn resume(
        dir: &Path,
        options: JournalOptions,
        lock: File,
        (number, path): (u32, PathBuf),
        end: End,
    ) -> Result<Journal, JournalError> {
        let file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(io_error("opening", &path))?;
        let length = file.metadata().map_err(io_error("reading", &path))?.len();
        let wanted = length.max(u64::from(options.segment_bytes.min(FIRST_SEGMENT)));
        if !end.clean || length < wanted {
            // Whatever stands behind the last good record must not come back after later appends.
            file.set_len(end.at).map_err(io_error("cutting", &path))?;
            // Without space the file grows as it is written; `room` then says so.
            let _ = fill_with_zeros(&file, end.at, wanted);
            file.sync_all().map_err(io_error("syncing", &path))?;
        }
        Journal::at(dir, options, lock, (number, path), end.at)
    }

    /// Begins the first file.
    fn begin(dir: &Path, options: JournalOptions, lock: File) -> Result<Journal, JournalError> {
        let path = segment_path(dir, 1);
        let mut top = Vec::new();
        Header { number: 1, previous: Seq(0) }.write(&mut top);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let length = u64::from(options.segment_bytes.min(FIRST_SEGMENT));
        file.and_then(|file| {
            file.write_all_at(&top, 0)?;
            fill_with_zeros(&file, top.len() as u64, length)?;
            file.sync_all()
        })
        .map_err(io_error("beginning", &path))?;
        sync_dir(dir)?;
        Journal::at(dir, options, lock, (1, path), top.len() as u64)
    }

    fn at(
        dir: &Path,
        options: JournalOptions,
        lock: File,
        (number, path): (u32, PathBuf),
        end: u64,
    ) -> Result<Journal, JournalError> {
        let file = SegmentFile::open(&path, end).map_err(io_error("opening", &path))?;
        let capacity = fs::metadata(&path).map_err(io_error("reading", &path))?.len();
        Ok(Journal {
            dir: dir.to_path_buf(),
            options,
            complete: Vec::new(),
            path,
            file,
            number,
            capacity,
            pending: Vec::new(),
            starts: Vec::new(),
            last: Seq(0),
            synced: Seq(0),
            open: OpenCalls::default(),
            spare: Spare::find(dir, options.segment_bytes),
            stopped: false,
            _lock: lock,
        })
    }

    /// Takes records, in order; they are durable after the next [`Journal::sync`].
    pub fn append(&mut self, records: &[(Seq, Record)]) -> Result<(), JournalError> {
        if self.stopped {
            return Err(JournalError::Stopped);
        }
        records.iter().try_for_each(|(seq, record)| self.append_one(*seq, record))
    }

    fn append_one(&mut self, seq: Seq, record: &Record) -> Result<(), JournalError> {
        if seq <= self.last {
            return Err(JournalError::Refused { seq, why: "its number does not follow the last one" });
        }
        let start = self.pending.len();
        self.pending.resize(start + RECORD_HEADER, 0);
        self.pending.push(PLAIN);
        let written = postcard::to_io(record, &mut self.pending).is_ok();
        let payload = self.pending.get(start + RECORD_HEADER..).unwrap_or_default();
        if !written || payload.len() > segment::MAX_PAYLOAD {
            self.pending.truncate(start);
            return Err(JournalError::Refused { seq, why: "it is too long" });
        }
        self.open.note(seq, record, payload);
        self.starts.push((seq, start));
        self.last = seq;
        Ok(())
    }

    /// Makes everything appended so far durable and returns the last sequence number that is.
    ///
    /// After [`JournalError::Full`] nothing is lost and the call may be repeated when there is space; after any
    /// other error the journal has stopped for good.
    pub fn sync(&mut self) -> Result<Seq, JournalError> {
        if self.stopped {
            return Err(JournalError::Stopped);
        }
        if self.starts.is_empty() {
            return Ok(self.synced);
        }
        let after = self.file.end() + self.pending.len() as u64;
        if after > self.capacity && self.file.end() > HEADER as u64 && self.next_is_ready() {
            self.rotate()?;
        }
        self.write_pending()?;
        self.synced = self.last;
        Ok(self.synced)
    }

    fn write_pending(&mut self) -> Result<(), JournalError> {
        let after = self.file.end() + self.pending.len() as u64;
        let (Ok(batch), true) = (u32::try_from(self.file.end()), after <= SEGMENT_LIMIT) else {
            return Err(JournalError::Full { file: self.path.clone() });
        };
        let ends = self.starts.iter().skip(1).map(|(_, start)| *start).chain([self.pending.len()]);
        for ((seq, start), end) in self.starts.iter().zip(ends) {
            if let Some(record) = self.pending.get_mut(*start..end) {
                seal(record, *seq, batch);
            }
        }
        // The kernel reports a lost write once and then forgets it: a second try could succeed and lie.
        match self.file.append(&self.pending) {
            Err(e) if e.kind() == ErrorKind::StorageFull => {
                return Err(JournalError::Full { file: self.path.clone() });
            }
            other => self.stop_on_error("writing", other)?,
        }
        self.pending.clear();
        // A backlog that has passed need not be kept in memory.
        self.pending.shrink_to(PENDING_KEPT);
        self.starts.clear();
        Ok(())
    }

    fn stop_on_error(&mut self, doing: &'static str, result: io::Result<()>) -> Result<(), JournalError> {
        self.stopped |= result.is_err();
        result.map_err(io_error(doing, &self.path))
    }

    /// Moves on to the spare segment. It begins with the records of calls that have no end yet and the last
    /// sign of life, so that older files are needed no more once the database has read them.
    fn rotate(&mut self) -> Result<(), JournalError> {
        let number = self.number.saturating_add(1);
        let path = segment_path(&self.dir, number);
        let mut top = Vec::new();
        Header { number, previous: self.synced }.write(&mut top);
        for (seq, payload) in self.open.carried() {
            let start = top.len();
            top.resize(start + RECORD_HEADER, 0);
            top.push(CARRIED);
            top.extend_from_slice(payload);
            seal(top.get_mut(start..).unwrap_or_default(), seq, 0);
        }
        let switched = self.spare.take(&path).and_then(|()| {
            let mut file = SegmentFile::open(&path, 0)?;
            file.append(&top)?;
            Ok(file)
        });
        let file = match switched {
            Ok(file) => file,
            Err(error) => return self.stop_on_error("beginning", Err(error)),
        };
        let synced = sync_dir(&self.dir);
        self.stopped |= synced.is_err();
        synced?;
        // If it fails, zeros stay: harmless.
        let _ = self.file.trim();
        let old = std::mem::replace(&mut self.path, path);
        self.complete.push(Segment { path: old, last: self.synced });
        self.file = file;
        self.number = number;
        self.capacity = u64::from(self.options.segment_bytes);
        self.spare.make_unless_kept();
        Ok(())
    }

    fn next_is_ready(&self) -> bool {
        self.spare.make_unless_kept();
        self.spare.is_ready()
    }

    /// Is the space of the next segment reserved? While it is not, the brain should take no new calls.
    pub fn room(&self) -> bool {
        self.spare.has_room()
    }

    /// The next segment, to be kept made by a thread. Without one it is made when it is needed.
    pub fn spare(&self) -> Spare {
        self.spare.clone()
    }

    /// Deletes files whose records are all in the database.
    pub fn forget(&mut self, applied: Seq) -> Result<(), JournalError> {
        if self.complete.first().is_none_or(|s| s.last > applied) || !copy::may_delete(&self.dir) {
            return Ok(());
        }
        while let Some(oldest) = self.complete.first().filter(|s| s.last <= applied) {
            fs::remove_file(&oldest.path).map_err(io_error("removing", &oldest.path))?;
            self.complete.remove(0);
        }
        Ok(())
    }

    /// The last sequence number taken, and the last that is durable.
    pub fn last(&self) -> Seq {
        self.last
    }

    pub fn synced(&self) -> Seq {
        self.synced
    }

    /// Calls that are up according to the journal.
    pub fn open_calls(&self) -> usize {
        self.open.len()
    }

    /// The durable records after `seq`, read from the files.
    pub fn records_after(&self, seq: Seq) -> RecordsAfter {
        let needed = self.complete.iter().filter(|s| s.last > seq).map(|s| s.path.clone());
        let files: Vec<PathBuf> = needed.chain([self.path.clone()]).rev().collect();
        RecordsAfter { after: seq, until: self.synced, files, path: PathBuf::new(), reader: None, at: 0 }
    }
}

impl Drop for Journal {
    /// A journal that is gone needs no spare.
    fn drop(&mut self) {
        self.spare.close();
    }
}

/// Reads records back, in pieces.
pub struct RecordsAfter {
    after: Seq,
    until: Seq,
    /// Still to be read, the next one last.
    files: Vec<PathBuf>,
    path: PathBuf,
    reader: Option<Reader>,
    at: u64,
}

impl RecordsAfter {
    fn advance(&mut self) -> Result<Option<(Seq, Record)>, JournalError> {
        loop {
            let entry = match &mut self.reader {
                Some(reader) => reader.entry(self.at).map_err(io_error("reading", &self.path))?,
                None => None,
            };
            let Some(entry) = entry else {
                let Some(path) = self.files.pop() else { return Ok(None) };
                self.reader = Some(Reader::open(&path).map_err(io_error("reading", &path))?);
                (self.path, self.at) = (path, HEADER as u64);
                continue;
            };
            let offset = std::mem::replace(&mut self.at, entry.end);
            if entry.seq > self.after && entry.seq <= self.until && !is_carried(&entry) {
                let record = decode(&entry, &self.path, offset)?;
                return Ok(Some((entry.seq, record)));
            }
        }
    }
}

impl Iterator for RecordsAfter {
    type Item = Result<(Seq, Record), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

fn is_carried(entry: &Entry<'_>) -> bool {
    entry.payload.first() == Some(&CARRIED)
}

fn decode(entry: &Entry<'_>, path: &Path, offset: u64) -> Result<Record, JournalError> {
    let unreadable = |why: String| JournalError::Unreadable { file: path.to_path_buf(), offset, why };
    match entry.payload.split_first() {
        Some((&(PLAIN | CARRIED), body)) => {
            postcard::from_bytes(body).map_err(|e| unreadable(format!("no known record ({e})")))
        }
        Some((format, _)) => Err(unreadable(format!("record format {format} is not known to this program"))),
        None => Err(unreadable("an empty record".into())),
    }
}

/// Where the good records of the last file end, and whether nothing but zeros follows.
#[derive(Clone, Copy)]
struct End {
    at: u64,
    clean: bool,
}

/// State while the files are read at the start.
#[derive(Default)]
struct Recovery {
    complete: Vec<Segment>,
    open: OpenCalls,
    last: Seq,
    /// A file has been read; its header must follow on `last`.
    begun: bool,
    current_end: Option<End>,
    /// Where an older file ends in a piece of a record.
    torn: Option<(PathBuf, u64)>,
    cut: Option<(PathBuf, u64, u64)>,
}

impl Recovery {
    fn read_segment(&mut self, path: &Path, number: u32, is_last: bool) -> Result<(), JournalError> {
        let mut reader = Reader::open(path).map_err(io_error("reading", path))?;
        let header = read_header(&mut reader, path)?;
        if header.number != number {
            return Err(damaged(path, 0));
        }
        if self.begun && header.previous != self.last {
            let (expected, found) = (header.previous, self.last);
            let gap = JournalError::Gap { file: path.to_path_buf(), expected, found };
            return Err(self.torn.take().map_or(gap, |(file, offset)| damaged(&file, offset)));
        }
        (self.begun, self.last) = (true, self.last.max(header.previous));
        let end = self.read_records(&mut reader, path)?;
        let tail = reader.tail(end).map_err(io_error("reading", path))?;
        match tail {
            Tail::Clean => {}
            Tail::Torn if is_last => self.cut = Some((path.to_path_buf(), end, reader.length() - end)),
            // A write that failed for want of space may have left a piece behind before the spare file was taken.
            // Whether anything is missing, the next file's header tells.
            Tail::Torn => self.torn = Some((path.to_path_buf(), end)),
            Tail::Damaged { .. } => return Err(damaged(path, end)),
        }
        if is_last {
            self.current_end = Some(End { at: end, clean: tail == Tail::Clean });
        } else {
            self.complete.push(Segment { path: path.to_path_buf(), last: self.last });
        }
        Ok(())
    }

    /// Takes in all good records and returns where they end.
    fn read_records(&mut self, reader: &mut Reader, path: &Path) -> Result<u64, JournalError> {
        let mut at = HEADER as u64;
        while let Some(entry) = reader.entry(at).map_err(io_error("reading", path))? {
            let record = decode(&entry, path, at)?;
            if !is_carried(&entry) {
                if entry.seq <= self.last {
                    return Err(damaged(path, at));
                }
                self.last = entry.seq;
            }
            self.open.note(entry.seq, &record, entry.payload);
            at = entry.end;
        }
        Ok(at)
    }
}

fn damaged(path: &Path, offset: u64) -> JournalError {
    JournalError::Damaged { file: path.to_path_buf(), offset }
}

fn read_header(reader: &mut Reader, path: &Path) -> Result<Header, JournalError> {
    let header = reader.header().map_err(io_error("reading", path))?;
    header.map_err(|e| match e {
        HeaderError::Broken => damaged(path, 0),
        HeaderError::Format(n) => JournalError::Unreadable {
            file: path.to_path_buf(),
            offset: 0,
            why: format!("journal format {n} is not known to this program"),
        },
    })
}

/// A crash may leave a last file whose header was never completed. Nothing acknowledged can be in it, because its
/// header is made durable before the first record: unless records stand in it, it is taken away.
fn drop_unborn_segment(files: &mut Vec<(u32, PathBuf)>, recovery: &mut Recovery) -> Result<(), JournalError> {
    let Some((_, path)) = files.last() else { return Ok(()) };
    let mut reader = Reader::open(path).map_err(io_error("reading", path))?;
    let header = reader.header().map_err(io_error("reading", path))?;
    if header != Err(HeaderError::Broken) {
        return Ok(());
    }
    // Seen from the top of the file, any record of a batch after the first proves that the header was whole once.
    let tail = reader.tail(0).map_err(io_error("reading", path))?;
    if matches!(tail, Tail::Damaged { .. }) {
        return Err(damaged(path, 0));
    }
    recovery.cut = Some((path.clone(), 0, reader.length()));
    fs::remove_file(path).map_err(io_error("removing", path))?;
    files.pop();
    Ok(())
}

fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_error("opening", &path))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| JournalError::InUse { dir: dir.to_path_buf() })?;
    Ok(file)
}

fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

fn spare_path(dir: &Path) -> PathBuf {
    dir.join("spare")
}

/// Numbers and paths of the segments, in order.
fn segment_files(dir: &Path) -> Result<Vec<(u32, PathBuf)>, JournalError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("reading", dir))? {
        let path = entry.map_err(io_error("reading", dir))?.path();
        let is_log = path.extension().is_some_and(|e| e == "log");
        let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok());
        if let (true, Some(number)) = (is_log, number) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(io_error("syncing", dir))
}
