//! The data folder: one process at a time, the token of local commands, and where the running switch listens.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOCK: &str = "lock";
const TOKEN: &str = "local.token";
const RUN: &str = "run.json";

/// What a running switch writes down for the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub pid: u32,
    /// URL of API and console.
    pub api: String,
    /// `udp 0.0.0.0:5060`, …
    pub listeners: Vec<String>,
    pub version: String,
}

/// An open data folder. Nobody else has it while this value lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and takes it.
    pub fn open(path: &Path) -> Result<Folder, String> {
        let failed =
            |doing: &str, e: std::io::Error| format!("{doing} the data folder {}: {e}", path.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| failed("making", e))?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(path.join(LOCK)).map_err(|e| failed("opening", e))?;
        for last_try in [false, false, false, false, true] {
            match lock.try_lock() {
                Ok(()) => return Ok(Folder { path: path.to_path_buf(), _lock: lock }),
                // Somebody who asks whether a switch is running holds the lock for a moment.
                Err(fs::TryLockError::WouldBlock) if !last_try => {
                    std::thread::sleep(Duration::from_millis(30))
                }
                Err(fs::TryLockError::WouldBlock) => break,
                Err(fs::TryLockError::Error(e)) => return Err(failed("locking", e)),
            }
        }
        Err(in_use(path))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes known where this process listens.
    pub fn announce(&self, run: &Run) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(run)?;
        self.write_private(RUN, &text)
    }

    pub fn write_token(&self, token: &str) -> std::io::Result<()> {
        self.write_private(TOKEN, token)
    }

    /// Whole or not at all, readable by its owner only (`R-76`).
    fn write_private(&self, name: &str, text: &str) -> std::io::Result<()> {
        let aside = self.path.join(format!("{name}.new"));
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&aside, self.path.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A process that is gone listens nowhere and accepts no token.
        for name in [RUN, TOKEN] {
            let _ = fs::remove_file(self.path.join(name));
        }
    }
}

fn in_use(path: &Path) -> String {
    let by = match read_run(path) {
        Ok(run) => format!("process {} (API at {})", run.pid, run.api),
        Err(_) => "another process".to_string(),
    };
    format!("the data folder {} is in use by {by}", path.display())
}

fn read_run(path: &Path) -> Result<Run, String> {
    let text = fs::read_to_string(path.join(RUN)).map_err(|e| e.to_string())?;
    serde_json::from_str(&text).map_err(|e| e.to_string())
}

/// The switch that runs on this folder, seen from another process.
pub fn running(path: &Path) -> Result<Run, String> {
    let none = || {
        format!(
            "no switch runs on the data folder {}; start one with `tandem serve`, or name another with --data or --api",
            path.display()
        )
    };
    let run = read_run(path).map_err(|_| none())?;
    // After a crash the file is still there, but nobody holds the lock.
    let lock = File::open(path.join(LOCK)).map_err(|_| none())?;
    match lock.try_lock_shared() {
        Err(fs::TryLockError::WouldBlock) => Ok(run),
        _ => Err(none()),
    }
}

pub fn read_token(path: &Path) -> std::io::Result<String> {
    Ok(fs::read_to_string(path.join(TOKEN))?.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/data");
        assert!(running(&path).is_err());
        let folder = Folder::open(&path).unwrap();
        let run = Run { pid: 7, api: "http://127.0.0.1:1".into(), listeners: vec![], version: "0".into() };
        folder.announce(&run).unwrap();
        folder.write_token("secret").unwrap();
        assert_eq!(running(&path), Ok(run));
        let second = Folder::open(&path).unwrap_err();
        assert!(second.contains("in use by process 7 (API at http://127.0.0.1:1)"), "{second}");
        assert_eq!(read_token(&path).unwrap(), "secret");
        let mode = fs::metadata(path.join(TOKEN)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(folder);
        assert!(running(&path).is_err() && read_token(&path).is_err());
        Folder::open(&path).unwrap();
    }

    #[test]
    fn a_crash_leaves_nothing_that_misleads() {
        let dir = tempfile::tempdir().unwrap();
        let run = Run { pid: 7, api: "x".into(), listeners: vec![], version: "0".into() };
        fs::write(dir.path().join(RUN), serde_json::to_string(&run).unwrap()).unwrap();
        fs::write(dir.path().join(LOCK), "").unwrap();
        assert!(running(dir.path()).unwrap_err().contains("no switch runs"));
    }
}
