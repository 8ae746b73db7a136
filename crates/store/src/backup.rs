//! Backups of a data folder, taken while the switch runs, and putting them back (`R-13`).
//!
//! A backup is a copy of the database as it was at one moment, and the journal up to a later one: what the database
//! had not yet taken in then is replayed when it is restored. While it is taken the switch deletes no journal file.
//! The key file is not in it: a backup alone gives no password of a vendor away.

use crate::journal::{self, Journal, JournalOptions};
use crate::sql::Connection;
use crate::{Finding, RestoreError, Store, StoreError};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use switch::OpenCall;
use vocab::{CallId, Seq};

const DATABASE: &str = "tandem.db";
const JOURNAL: &str = "journal";
const KEY: &str = "secret.key";

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    pub database_bytes: u64,
    pub journal_bytes: u64,
    /// How far the database has applied the journal, and where the journal ends.
    pub applied: Seq,
    pub last: Seq,
}

/// What a restored folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Records of the journal that the database of the backup did not have.
    pub replayed: u64,
    pub open_calls: usize,
    pub findings: Vec<Finding>,
}

fn io<'a>(doing: &'static str, file: &'a Path) -> impl FnOnce(std::io::Error) -> StoreError + 'a {
    move |error| StoreError::Io { doing, file: file.to_path_buf(), error }
}

/// Copies the data folder `data` into the new folder `to`, while a switch runs on it or not.
pub fn backup(data: &Path, to: &Path) -> Result<Backup, RestoreError> {
    let database = data.join(DATABASE);
    if !database.is_file() {
        return Err(io("finding", &database)(ErrorKind::NotFound.into()).into());
    }
    new_folder(to)?;
    let _held = journal::hold(&data.join(JOURNAL))?;
    let copy = to.join(DATABASE);
    Connection::reader_for_copy(&database)?.copy_to(&copy)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o600)).map_err(io("protecting", &copy))?;
    File::open(&copy).and_then(|file| file.sync_all()).map_err(io("syncing", &copy))?;
    // After the database: the journal must reach at least as far.
    let (last, journal_bytes) = journal::copy(&data.join(JOURNAL), &to.join(JOURNAL))?;
    File::open(to).and_then(|folder| folder.sync_all()).map_err(io("syncing", to))?;
    let database_bytes = fs::metadata(&copy).map_err(io("reading", &copy))?.len();
    let applied = crate::ledger::watermark(&Connection::reader(&copy)?)?;
    Ok(Backup { database_bytes, journal_bytes, applied, last })
}

/// Makes the data folder `to` out of the backup `from`, replays the journal, and checks everything. `key` is the key
/// file of the old folder; without it the secrets of vendors cannot be opened.
pub fn restore(from: &Path, to: &Path, key: Option<&Path>) -> Result<Restored, RestoreError> {
    let database = from.join(DATABASE);
    if !database.is_file() {
        return Err(io("finding", &database)(ErrorKind::NotFound.into()).into());
    }
    new_folder(to)?;
    copy_private(&database, &to.join(DATABASE))?;
    if let Some(key) = key {
        copy_private(key, &to.join(KEY))?;
    }
    journal::copy(&from.join(JOURNAL), &to.join(JOURNAL))?;
    let store = Store::open(to)?;
    let before = store.applied()?;
    let (journal, recovered) = Journal::open(&to.join(JOURNAL), JournalOptions::default())?;
    let (state, _) = store.restore(&journal, recovered)?;
    let answered = state.open_calls.iter().filter(|call| call.answered.is_some());
    let open: Vec<CallId> = answered.filter_map(OpenCall::id).collect();
    let mut findings = store.check()?;
    findings.extend(store.check_journal(journal.last(), &open)?);
    let replayed = store.applied()?.0.saturating_sub(before.0);
    Ok(Restored { replayed, open_calls: open.len(), findings })
}

/// A folder that is not there yet, or is empty: nothing is ever written over.
fn new_folder(path: &Path) -> Result<(), StoreError> {
    if let Ok(mut entries) = fs::read_dir(path) {
        let empty = entries.next().is_none();
        return if empty { Ok(()) } else { Err(io("making", path)(ErrorKind::AlreadyExists.into())) };
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io("making", path))
}

fn copy_private(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut source = File::open(from).map_err(io("reading", from))?;
    let target = OpenOptions::new().create_new(true).write(true).mode(0o600).open(to);
    let mut target = target.map_err(io("making", to))?;
    std::io::copy(&mut source, &mut target).and_then(|_| target.sync_all()).map_err(io("writing", to))
}
