//! Two files in rotation: the newest history is always there, and disk use is bounded.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// On a disk with less room than this, journal and database have the first right to it.
const RESERVE: u64 = 128 << 20;
/// Bytes between two looks at the room on the disk.
const LOOK_EVERY: u64 = 1 << 20;
/// After an error nothing is tried for this long.
const PAUSE: Duration = Duration::from_secs(5);

/// `NAME.log` and, before it, `NAME.1.log`.
#[derive(Debug)]
pub struct TwoFiles {
    folder: PathBuf,
    name: &'static str,
    size: u64,
    file: Option<File>,
    written: u64,
    until_look: u64,
    failed_at: Option<Instant>,
}

impl TwoFiles {
    pub fn new(folder: &Path, name: &'static str, size: u64) -> TwoFiles {
        TwoFiles {
            folder: folder.to_path_buf(),
            name,
            size,
            file: None,
            written: 0,
            until_look: 0,
            failed_at: None,
        }
    }

    pub fn set_size(&mut self, size: u64) {
        self.size = size;
    }

    /// Older file first.
    pub fn paths(folder: &Path, name: &str) -> [PathBuf; 2] {
        [folder.join(format!("{name}.1.log")), folder.join(format!("{name}.log"))]
    }

    /// Writes all of it or nothing. For a while after an error it is an error at once.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.failed_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(io::Error::other("the disk failed or was full a moment ago"));
        }
        self.failed_at = None;
        let outcome = self.try_write(bytes);
        if outcome.is_err() {
            (self.file, self.failed_at) = (None, Some(Instant::now()));
        }
        outcome
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let [old, current] = TwoFiles::paths(&self.folder, self.name);
        if self.file.is_some() && self.written > 0 && self.written.saturating_add(length) > self.size {
            self.file = None;
            std::fs::rename(&current, &old)?;
        }
        // Somebody may have taken the file away.
        if self.file.is_some() && !current.exists() {
            (self.file, self.until_look) = (None, 0);
        }
        if self.until_look < length {
            self.look()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                std::fs::create_dir_all(&self.folder)?;
                let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&current)?;
                self.written = file.metadata()?.len();
                self.file.insert(file)
            }
        };
        file.write_all(bytes)?;
        self.written = self.written.saturating_add(length);
        self.until_look = self.until_look.saturating_sub(length);
        Ok(())
    }

    fn look(&mut self) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let disk = rustix::fs::statvfs(&self.folder)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < RESERVE {
            return Err(io::Error::other("too little room on the disk"));
        }
        self.until_look = LOOK_EVERY;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = TwoFiles::new(folder.path(), "t", 1000);
        for n in 0..100u8 {
            files.write(&[n; 90]).unwrap();
        }
        let [old, current] = TwoFiles::paths(folder.path(), "t");
        let (old, current) = (std::fs::read(old).unwrap(), std::fs::read(current).unwrap());
        assert!(old.len() <= 1000 && current.len() <= 1000 && old.len() > 900);
        assert_eq!((current.last(), old.last().map(|n| n + 1)), (Some(&99), current.first().copied()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        // A new process goes on where the last one was.
        TwoFiles::new(folder.path(), "t", 1000).write(b"x").unwrap();
        assert_eq!(std::fs::read(&TwoFiles::paths(folder.path(), "t")[1]).unwrap().len(), current.len() + 1);
    }

    #[test]
    fn an_error_is_followed_by_a_pause() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        let mut files = TwoFiles::new(&blocked, "t", 1000);
        assert!(files.write(b"x").is_err());
        assert!(files.write(b"x").unwrap_err().to_string().contains("a moment ago"));
    }
}
