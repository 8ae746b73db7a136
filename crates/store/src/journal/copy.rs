//! Reading a journal beside a switch that writes it: copies for backups, and looking for damage.

use super::segment::{HEADER, Reader, Tail};
use super::{JournalError, decode, io_error, is_carried, read_header, segment_files, sync_dir};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use vocab::Seq;

/// While somebody holds this, no file of the journal is deleted. The lock ends with its holder.
pub(crate) fn hold(dir: &Path) -> Result<File, JournalError> {
    let (path, file) = open_hold(dir)?;
    flock(&file, FlockOperation::LockShared).map_err(|e| io_error("holding", &path)(e.into()))?;
    Ok(file)
}

/// Does nobody hold the files?
pub(super) fn may_delete(dir: &Path) -> bool {
    open_hold(dir).is_ok_and(|(_, file)| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

fn open_hold(dir: &Path) -> Result<(PathBuf, File), JournalError> {
    let path = dir.join("hold");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(io_error("opening", &path))?;
    Ok((path, file))
}

/// Copies the good records of all files; the last of them, and the bytes. A file that is being written is copied as
/// far as it is written.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(Seq, u64), JournalError> {
    fs::create_dir_all(to).map_err(io_error("making", to))?;
    let mut scan = Scan::default();
    let files = segment_files(from)?;
    for (index, (number, path)) in files.iter().enumerate() {
        let Some(end) = scan.file(path, *number, index + 1 == files.len())? else { continue };
        let target = to.join(path.file_name().unwrap_or_default());
        copy_bytes(path, &target, end).map_err(io_error("writing", &target))?;
        scan.bytes += end;
    }
    sync_dir(to)?;
    Ok((scan.last, scan.bytes))
}

/// Reads every record, and says how many there are.
pub(crate) fn inspect(dir: &Path) -> Result<u64, JournalError> {
    let mut scan = Scan::default();
    let files = segment_files(dir)?;
    for (index, (number, path)) in files.iter().enumerate() {
        scan.file(path, *number, index + 1 == files.len())?;
    }
    Ok(scan.records)
}

#[derive(Default)]
struct Scan {
    begun: bool,
    last: Seq,
    records: u64,
    bytes: u64,
}

impl Scan {
    /// Where the good records of a file end; `None` for one that has only been begun.
    fn file(&mut self, path: &Path, number: u32, is_last: bool) -> Result<Option<u64>, JournalError> {
        let mut reader = Reader::open(path).map_err(io_error("reading", path))?;
        let header = match read_header(&mut reader, path) {
            Err(_) if is_last && self.begun => return Ok(None),
            header => header?,
        };
        let damaged = |offset| JournalError::Damaged { file: path.to_path_buf(), offset };
        if header.number != number {
            return Err(damaged(0));
        }
        if self.begun && header.previous != self.last {
            let (expected, found) = (header.previous, self.last);
            return Err(JournalError::Gap { file: path.to_path_buf(), expected, found });
        }
        (self.begun, self.last) = (true, self.last.max(header.previous));
        let mut at = HEADER as u64;
        while let Some(entry) = reader.entry(at).map_err(io_error("reading", path))? {
            decode(&entry, path, at)?;
            if !is_carried(&entry) {
                if entry.seq <= self.last {
                    return Err(damaged(at));
                }
                self.last = entry.seq;
                self.records += 1;
            }
            at = entry.end;
        }
        // Behind the end of the last file the switch may be writing right now.
        let tail = if is_last { Tail::Clean } else { reader.tail(at).map_err(io_error("reading", path))? };
        match tail {
            Tail::Damaged { .. } => Err(damaged(at)),
            Tail::Clean | Tail::Torn => Ok(Some(at)),
        }
    }
}

fn copy_bytes(from: &Path, to: &Path, length: u64) -> io::Result<()> {
    let mut target = OpenOptions::new().create_new(true).write(true).open(to)?;
    io::copy(&mut File::open(from)?.take(length), &mut target)?;
    target.sync_all()
}
