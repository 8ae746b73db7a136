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

use vocab::Seq;

pub(super) const HEADER: usize = 32;
pub(super) const RECORD_HEADER: usize = 20;
const MAGIC: &[u8; 4] = b"TNDJ";
const FORMAT: u32 = 1;

/// Longest payload. A CDR with fifty attempts and their texts stays far below.
pub(super) const MAX_PAYLOAD: usize = 4 << 20;

/// Format byte of a payload: an ordinary record.
pub(super) const PLAIN: u8 = 0x01;
/// A record of an older segment, repeated because its call is still up.
pub(super) const CARRIED: u8 = 0x81;

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
    pub batch: usize,
    pub payload: &'a [u8],
    /// Where the next record begins.
    pub end: usize,
}

/// The record at this offset, if a whole one with a good checksum stands there.
pub(super) fn entry_at(bytes: &[u8], offset: usize) -> Option<Entry<'_>> {
    let length = usize::try_from(u32_at(bytes, offset)?).ok()?;
    if length == 0 || length > MAX_PAYLOAD {
        return None;
    }
    let start = offset.checked_add(RECORD_HEADER)?;
    let end = start.checked_add(length)?;
    let payload = bytes.get(start..end)?;
    let sound = u32_at(bytes, offset + 4)? == checksum(bytes.get(offset..start)?, payload);
    let batch = usize::try_from(u32_at(bytes, offset + 16)?).ok()?;
    sound.then_some(Entry { seq: Seq(u64_at(bytes, offset + 8)?), batch, payload, end })
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
    /// Records follow that were written after the bad one had been made durable.
    Damaged,
}

/// Where the good records end, and how.
pub(super) fn tail(bytes: &[u8], end: usize) -> Tail {
    let rest = bytes.get(end..).unwrap_or_default();
    let Some(last) = rest.iter().rposition(|b| *b != 0) else { return Tail::Clean };
    let limit = end + last + 1;
    let mut at = end + 1;
    while at < limit {
        match entry_at(bytes, at) {
            Some(entry) if entry.batch > end => return Tail::Damaged,
            Some(entry) => at = entry.end,
            None => at += 1,
        }
    }
    Tail::Torn
}
