//! Mending a damaged journal: what can still be read is kept, what cannot is named, the damaged file is left beside.
//!
//! Opening refuses a journal that is damaged inside, because going on as if nothing had happened would lose calls
//! and money unseen. Which of them are lost is for a person to see before the switch goes on.

use super::segment::{CARRIED, HEADER, Header, HeaderError, RECORD_HEADER, Reader, Tail, seal};
use super::{JournalError, Recovery, decode, io_error, lock, segment_files, sync_dir};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use switch::Record;
use vocab::Seq;

/// Something that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    pub file: PathBuf,
    pub offset: u64,
    /// Bytes passed over; 0 when records are missing between two files.
    pub bytes: u64,
    /// The last good record before and the first one after. Those between are lost. None after: it is not known how
    /// many stood at the end.
    pub after: Seq,
    pub before: Option<Seq>,
}

impl Loss {
    /// How many records are gone.
    pub fn records(&self) -> Option<u64> {
        self.before.map(|before| before.0.saturating_sub(self.after.0).saturating_sub(1))
    }

    /// Does a reader that has come to `applied` have them all?
    pub fn is_harmless(&self, applied: Seq) -> bool {
        self.records() == Some(0) || self.before.is_some_and(|before| before.0 <= applied.0.saturating_add(1))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { file, offset, bytes, after, .. } = self;
        let first = after.0.saturating_add(1);
        write!(f, "{} at offset {offset}: {bytes} bytes cannot be read: ", file.display())?;
        match (self.records(), self.before) {
            (Some(0), _) => write!(f, "no record is lost"),
            (Some(1), _) => write!(f, "record {first} is lost"),
            (Some(_), Some(before)) => {
                write!(f, "records {first} to {} are lost", before.0.saturating_sub(1))
            }
            _ => write!(f, "records from {first} on may be lost"),
        }
    }
}

/// What is wrong with a journal, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// Files, and good records in them.
    pub files: usize,
    pub records: u64,
    pub last: Seq,
    pub losses: Vec<Loss>,
    /// Where the damaged files are kept; empty when nothing was to be changed.
    pub kept: Vec<PathBuf>,
}

/// Looks at every byte of the journal in `dir`; with `write`, puts files without the damage in the place of damaged
/// ones, which stay beside them as `….damaged`. Nobody else may have the folder open.
pub fn repair(dir: &Path, write: bool) -> Result<Repair, JournalError> {
    let _lock = lock(dir)?;
    let mut repair = Repair::default();
    let files = segment_files(dir)?;
    let count = files.len();
    for (index, (number, path)) in files.iter().enumerate() {
        let mut salvage = Salvage::read(path, *number, repair.last, index == 0, index + 1 == count)?;
        repair.files += 1;
        repair.records += salvage.records;
        repair.last = repair.last.max(salvage.last);
        let damaged = !salvage.losses.is_empty();
        // How many are lost at the end of a file, the header of the next one tells.
        if let (Some(open), Some(gap)) = (repair.losses.last_mut(), salvage.losses.first())
            && open.before.is_none()
        {
            open.before = gap.before;
            salvage.losses.remove(0);
        }
        repair.losses.extend(salvage.losses);
        if damaged && write {
            repair.kept.push(replace(path, &salvage.content)?);
        }
    }
    if write && !repair.kept.is_empty() {
        sync_dir(dir)?;
        let mut verify = Recovery::default();
        for (index, (number, path)) in files.iter().enumerate() {
            verify.read_segment(path, *number, index + 1 == count)?;
        }
    }
    Ok(repair)
}

/// What can be read of one file.
struct Salvage {
    /// The file as it is to be. Held whole: this is no work for a running switch.
    content: Vec<u8>,
    records: u64,
    last: Seq,
    losses: Vec<Loss>,
}

impl Salvage {
    fn read(
        path: &Path,
        number: u32,
        previous: Seq,
        is_first: bool,
        is_last: bool,
    ) -> Result<Salvage, JournalError> {
        let mut reader = Reader::open(path).map_err(io_error("reading", path))?;
        let mut salvage = Salvage { content: Vec::new(), records: 0, last: previous, losses: Vec::new() };
        let loss =
            |offset, bytes, after, before| Loss { file: path.to_path_buf(), offset, bytes, after, before };
        match reader.header().map_err(io_error("reading", path))? {
            Ok(header) if header.number == number => {
                if is_first {
                    salvage.last = header.previous;
                } else if header.previous != previous {
                    let before = Some(Seq(header.previous.0.saturating_add(1)));
                    salvage.losses.push(loss(0, 0, previous, before));
                }
            }
            Err(HeaderError::Format(n)) => {
                let why = format!("journal format {n} is not known to this program");
                return Err(JournalError::Unreadable { file: path.to_path_buf(), offset: 0, why });
            }
            // What it said follows from the files around it.
            Ok(_) | Err(HeaderError::Broken) => {
                salvage.losses.push(loss(
                    0,
                    HEADER as u64,
                    previous,
                    Some(Seq(previous.0.saturating_add(1))),
                ));
            }
        }
        Header { number, previous: salvage.last.max(previous) }.write(&mut salvage.content);
        let mut at = HEADER as u64;
        loop {
            if let Some(end) = salvage.take(&mut reader, at, path)? {
                at = end;
                continue;
            }
            let after = salvage.last;
            let Some(next) = salvage.next_good(&mut reader, at, path)? else {
                let tail = reader.tail(at).map_err(io_error("reading", path))?;
                // A torn end is what a crash leaves in the last file: nothing in it was acknowledged.
                if tail != Tail::Clean && !is_last {
                    salvage.losses.push(loss(at, reader.length() - at, after, None));
                }
                return Ok(salvage);
            };
            let entry = reader.entry(next).map_err(io_error("reading", path))?;
            let found = entry.map(|e| e.seq);
            // A good record of the very batch that a crash has torn in the last file is no damage.
            if is_last && reader.tail(at).map_err(io_error("reading", path))? == Tail::Torn {
                return Ok(salvage);
            }
            salvage.losses.push(loss(at, next - at, after, found));
            at = next;
        }
    }

    /// Copies the record at this offset, if a good one that follows the last is there; where it ends.
    fn take(&mut self, reader: &mut Reader, at: u64, path: &Path) -> Result<Option<u64>, JournalError> {
        let Some(entry) = reader.entry(at).map_err(io_error("reading", path))? else { return Ok(None) };
        let carried = entry.payload.first() == Some(&CARRIED);
        if !carried && entry.seq <= self.last {
            return Ok(None);
        }
        let _: Record = decode(&entry, path, at)?;
        let start = self.content.len();
        self.content.resize(start + RECORD_HEADER, 0);
        self.content.extend_from_slice(entry.payload);
        // Each record is a batch of its own now: all of them are to be on disk.
        let batch = if carried { 0 } else { u32::try_from(start).unwrap_or(u32::MAX) };
        seal(self.content.get_mut(start..).unwrap_or_default(), entry.seq, batch);
        if !carried {
            self.last = entry.seq;
            self.records += 1;
        }
        Ok(Some(entry.end))
    }

    /// The next good record behind `at`.
    fn next_good(&self, reader: &mut Reader, at: u64, path: &Path) -> Result<Option<u64>, JournalError> {
        let Some(limit) = reader.last_content(at).map_err(io_error("reading", path))? else {
            return Ok(None);
        };
        for next in at + 1..limit {
            let entry = reader.entry(next).map_err(io_error("reading", path))?;
            if entry.is_some_and(|e| e.seq > self.last || e.payload.first() == Some(&CARRIED)) {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }
}

/// Puts a file of this content in the place of another, which is kept under the name that is returned.
fn replace(path: &Path, content: &[u8]) -> Result<PathBuf, JournalError> {
    let mut kept = path.with_extension("damaged");
    for n in 2.. {
        if !kept.exists() {
            break;
        }
        kept = path.with_extension(format!("damaged-{n}"));
    }
    let new = path.with_extension("repaired");
    let written = OpenOptions::new().create(true).truncate(true).write(true).open(&new);
    written
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .map_err(io_error("writing", &new))?;
    fs::hard_link(path, &kept).map_err(io_error("keeping", path))?;
    fs::rename(&new, path).map_err(io_error("replacing", path))?;
    Ok(kept)
}
