//! The bytes of one journal file, and what a scan makes of them.
//!
//! ```text
//! segment:  magic "TNDJ" | crc32 | format u32 | number u32 | last seq before this segment u64 | 8 bytes 0
//! record:   payload length u32 | crc32 | seq u64 | offset of its batch u32 | payload
//! payload:  format byte | postcard of `switch::Record`
//! ```
//! All numbers are little-endian; a crc32 covers everything of its header but itself, and the payload.
//!
//! A batch is what one fdatasync makes durable. Each record says where its batch begins, so that after a crash a
//! torn write (good records of the same, never acknowledged batch may follow a bad one, because the kernel writes
//! pages in any order) can be told from damage (records of a *later* batch follow: the bad one was on disk once).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use vocab::Seq;

pub(super) const HEADER: usize = 32;
pub(super) const RECORD_HEADER: usize = 20;
const MAGIC: &[u8; 4] = b"TNDJ";
const FORMAT: u32 = 1;

/// Longest payload. A CDR with fifty attempts and their texts stays far below.
pub(super) const MAX_PAYLOAD: usize = 4 << 20;

/// Format byte of a payload: an ordinary record.
pub(super) const PLAIN: u8 = 0x02;
/// A record of an older segment, repeated because its call has no end yet.
pub(super) const CARRIED: u8 = 0x82;

/// What stands at the top of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub number: u32,
    /// Sequence number of the last record of the segment before.
    pub previous: Seq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Not written, or torn.
    Broken,
    /// Of a newer program.
    Format(u32),
}

impl Header {
    pub fn write(self, out: &mut Vec<u8>) {
        let mut rest = Vec::with_capacity(HEADER);
        rest.extend_from_slice(&FORMAT.to_le_bytes());
        rest.extend_from_slice(&self.number.to_le_bytes());
        rest.extend_from_slice(&self.previous.0.to_le_bytes());
        rest.extend_from_slice(&[0; 8]);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&crc32fast::hash(&rest).to_le_bytes());
        out.extend_from_slice(&rest);
    }

    pub fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
        let rest = bytes.get(8..HEADER).ok_or(HeaderError::Broken)?;
        let sound = bytes.starts_with(MAGIC) && u32_at(bytes, 4) == Some(crc32fast::hash(rest));
        let (Some(format), Some(number), Some(previous), true) =
            (u32_at(bytes, 8), u32_at(bytes, 12), u64_at(bytes, 16), sound)
        else {
            return Err(HeaderError::Broken);
        };
        if format == FORMAT {
            Ok(Header { number, previous: Seq(previous) })
        } else {
            Err(HeaderError::Format(format))
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_le_bytes(field))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field: [u8; 8] = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
    Some(u64::from_le_bytes(field))
}

/// One whole record with a good checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub seq: Seq,
    /// Where its batch begins in the file.
    pub batch: u64,
    pub payload: &'a [u8],
    /// Where the next record begins.
    pub end: u64,
}

/// The length of the payload, if this can be the header of a record at this offset.
fn plausible_length(header: &[u8], offset: u64) -> Option<usize> {
    let length = usize::try_from(u32_at(header, 0)?).ok()?;
    // A batch begins where one of its records does, and none later.
    let batch = u64::from(u32_at(header, 16)?);
    (length > 0 && length <= MAX_PAYLOAD && batch <= offset).then_some(length)
}

/// The record in these bytes, which begin at `offset` of the file, if its checksum is good.
fn entry_in(bytes: &[u8], offset: u64) -> Option<Entry<'_>> {
    let (header, payload) = bytes.split_at_checked(RECORD_HEADER)?;
    let sound = u32_at(header, 4)? == checksum(header, payload);
    let (seq, batch) = (Seq(u64_at(header, 8)?), u64::from(u32_at(header, 16)?));
    sound.then_some(Entry { seq, batch, payload, end: offset.checked_add(bytes.len() as u64)? })
}

/// Over the length, the sequence number, the batch and the payload.
fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header.get(..4).unwrap_or_default());
    crc.update(header.get(8..RECORD_HEADER).unwrap_or_default());
    crc.update(payload);
    crc.finalize()
}

/// Fills in the header of a record whose payload already stands behind [`RECORD_HEADER`] free bytes.
pub(super) fn seal(record: &mut [u8], seq: Seq, batch: u32) {
    let Some((header, payload)) = record.split_at_mut_checked(RECORD_HEADER) else { return };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[8..16].copy_from_slice(&seq.0.to_le_bytes());
    header[16..].copy_from_slice(&batch.to_le_bytes());
    let crc = checksum(header, payload);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing but zeros, or nothing at all, after the last record.
    Clean,
    /// An unfinished write.
    Torn,
    /// Records follow that were written after the bad one had been made durable; the first of them is here.
    Damaged { next: u64 },
}

/// Reads a segment a piece at a time, so that no more of it is in memory than a record needs.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    length: u64,
    /// Bytes of the file from `start` on.
    window: Vec<u8>,
    start: u64,
}

/// What is read at once.
const PIECE: usize = 128 << 10;

impl Reader {
    pub fn open(path: &Path) -> io::Result<Reader> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Reader { file, length, window: Vec::new(), start: 0 })
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn header(&mut self) -> io::Result<Result<Header, HeaderError>> {
        let whole = self.load(0, HEADER)?;
        Ok(if whole { Header::read(self.loaded(0, HEADER)) } else { Err(HeaderError::Broken) })
    }

    /// The record at this offset, if a whole one with a good checksum stands there.
    pub fn entry(&mut self, offset: u64) -> io::Result<Option<Entry<'_>>> {
        if !self.load(offset, RECORD_HEADER)? {
            return Ok(None);
        }
        let Some(length) = plausible_length(self.loaded(offset, RECORD_HEADER), offset) else {
            return Ok(None);
        };
        let length = RECORD_HEADER + length;
        if !self.load(offset, length)? {
            return Ok(None);
        }
        Ok(entry_in(self.loaded(offset, length), offset))
    }

    /// How the segment ends when its good records end here.
    pub fn tail(&mut self, end: u64) -> io::Result<Tail> {
        let Some(limit) = self.last_content(end)? else { return Ok(Tail::Clean) };
        let mut at = end + 1;
        while at < limit {
            match self.entry(at)? {
                Some(entry) if entry.batch > end => return Ok(Tail::Damaged { next: at }),
                Some(entry) => at = entry.end,
                None => at += 1,
            }
        }
        Ok(Tail::Torn)
    }

    /// The end of what is not zero, if anything behind `from` is not.
    pub fn last_content(&mut self, from: u64) -> io::Result<Option<u64>> {
        let (mut at, mut last) = (from, None);
        while at < self.length {
            let step = usize::try_from(self.length - at).unwrap_or(PIECE).min(PIECE);
            self.load(at, step)?;
            if let Some(found) = self.loaded(at, step).iter().rposition(|b| *b != 0) {
                last = Some(at + found as u64 + 1);
            }
            at += step as u64;
        }
        Ok(last)
    }

    /// Makes sure that these bytes are in the window; false when the file is too short.
    fn load(&mut self, offset: u64, length: usize) -> io::Result<bool> {
        let end = offset.saturating_add(length as u64);
        if end > self.length {
            return Ok(false);
        }
        if offset >= self.start && end <= self.start + self.window.len() as u64 {
            return Ok(true);
        }
        let rest = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
        self.window.clear();
        self.window.resize(length.max(PIECE).min(rest), 0);
        self.start = offset;
        self.file.read_exact_at(&mut self.window, offset)?;
        Ok(true)
    }

    /// Bytes that are in the window.
    fn loaded(&self, offset: u64, length: usize) -> &[u8] {
        let at = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        self.window.get(at..at.saturating_add(length)).unwrap_or_default()
    }
}
