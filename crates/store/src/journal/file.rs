//! A segment as it is written: whole blocks, each write on disk when it returns.
//!
//! One call (`O_DSYNC`) instead of a write and an fdatasync, and past the page cache (`O_DIRECT`) where the file
//! system can: for the few kilobytes of a batch the cache costs more than the write. The block in which the last
//! batch ended is written again with the next one; what stood in it stays byte for byte the same, so that a torn
//! write cannot harm it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Writes begin and end at multiples of this: the size of a page, and of a sector of any disk.
pub(super) const BLOCK: usize = 4096;
/// Longest single write. A batch that is longer takes several.
const PIECE: usize = 1 << 20;

/// A file open for appending.
#[derive(Debug)]
pub(super) struct SegmentFile {
    file: File,
    /// What was appended so far ends here.
    end: u64,
    /// The bytes of the last block up to `end`.
    last_block: Vec<u8>,
    out: AlignedBuffer,
}

impl SegmentFile {
    /// Opens an existing file that is to go on at `end`.
    pub fn open(path: &Path, end: u64) -> io::Result<SegmentFile> {
        let begun = end % BLOCK as u64;
        let mut last_block = vec![0; usize::try_from(begun).unwrap_or(0)];
        File::open(path)?.read_exact_at(&mut last_block, end - begun)?;
        Ok(SegmentFile { file: open_durable(path)?, end, last_block, out: AlignedBuffer::default() })
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// Writes `bytes` behind what was written before; they are on disk when this returns. After an error the same
    /// bytes, or more, may be written again.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut at, mut last_block) = (self.end, self.last_block.clone());
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(PIECE));
            let from = at - last_block.len() as u64;
            let content = self.out.fill(&[&last_block, piece]);
            self.file.write_all_at(content, from)?;
            let used = last_block.len() + piece.len();
            last_block = content.get(used - used % BLOCK..used).unwrap_or_default().to_vec();
            at += piece.len() as u64;
            rest = after;
        }
        (self.end, self.last_block) = (at, last_block);
        Ok(())
    }

    /// Gives back what was reserved and is not used.
    pub fn trim(&self) -> io::Result<()> {
        self.file.set_len(self.end)
    }

    /// For tests: the same file behind another handle.
    #[cfg(test)]
    pub fn replace_handle(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }
}

/// Not every file system has direct writes; those that are only durable do as well.
fn open_durable(path: &Path) -> io::Result<File> {
    // Of libc, because `rustix` calls by this name what syncs the file's times too, which is a second write.
    let open = |flags| OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    match open(libc::O_DSYNC | libc::O_DIRECT) {
        Err(e) if e.kind() == ErrorKind::InvalidInput => open(libc::O_DSYNC),
        other => other,
    }
}

/// Memory that begins at a multiple of [`BLOCK`], as direct writes demand.
#[derive(Debug, Default)]
struct AlignedBuffer {
    bytes: Vec<u8>,
}

impl AlignedBuffer {
    /// The parts one after the other, and zeros up to a whole block.
    fn fill(&mut self, parts: &[&[u8]]) -> &[u8] {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let blocks = length.next_multiple_of(BLOCK);
        if self.bytes.len() < blocks + BLOCK {
            self.bytes = vec![0; blocks + BLOCK];
        }
        let start = self.bytes.as_ptr().align_offset(BLOCK).min(BLOCK);
        let target = self.bytes.get_mut(start..start + blocks).unwrap_or_default();
        let mut at = 0;
        for part in parts {
            if let Some(room) = target.get_mut(at..at + part.len()) {
                room.copy_from_slice(part);
            }
            at += part.len();
        }
        target.get_mut(length..).unwrap_or_default().fill(0);
        target
    }
}
