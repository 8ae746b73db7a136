//! The handle that everybody else holds: one writer, readers that never wait for it, the configuration in memory.

use crate::audit::Author;
use crate::config::{Document, Rate, Secrets, Stored};
use crate::edit::Edit;
use crate::sql::{Connection, migrations};
use crate::{ChangeError, Config, Problem, StoreError};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use vocab::Seq;

/// The data folder's database. Cheap to clone, for any thread.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

pub(crate) struct Inner {
    path: PathBuf,
    /// Connections at rest. Dropped before the writer, so that the last one to close can tidy the write-ahead log.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
    config: ArcSwap<Config>,
    secrets: Secrets,
    watchers: Mutex<Vec<Sender<u64>>>,
    /// Why nothing more is written, once the disk has failed; and who is to be told.
    failed: OnceLock<String>,
    told: OnceLock<Told>,
    /// Rate tables of the last snapshot, by group, with the version they were built from.
    pub(crate) sheets: Mutex<BTreeMap<u32, (u64, Arc<billing::RateTable>)>>,
    /// Number lists of the last snapshot, with the version they were built from.
    pub(crate) number_lists: Mutex<BTreeMap<u32, (u64, Arc<routing::NumberList>)>>,
}

type Told = Box<dyn Fn(&str) + Send + Sync>;

/// Readers that are kept open; more are made when all are busy.
const READERS_KEPT: usize = 8;
/// Digest realm of a new data folder. Secrets are good for one realm only, so it never changes afterwards.
const REALM: &str = "tandem";

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock was held left no half-made change: transactions roll back, the rest are plain values.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Store {
    /// Opens the data folder, which is made when absent, and brings its database up to date.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        let io = |doing, file: &Path| {
            let file = file.to_path_buf();
            move |error| StoreError::Io { doing, file, error }
        };
        std::fs::create_dir_all(dir).map_err(io("making", dir))?;
        let path = dir.join("tandem.db");
        // Numbers, names and hashes are nobody else's business; the write-ahead log takes the mode of the database.
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.open(&path).map_err(io("opening", &path))?;
        let writer = Connection::writer(&path)?;
        migrations::migrate(&writer, now_ms())?;
        crate::imports::end_interrupted(&writer)?;
        let realm = realm(&writer)?;
        let secrets = Secrets::open_or_make(&dir.join("secret.key"), realm.clone())?;
        let config = Edit::load(&writer, realm)?;
        Ok(Store(Arc::new(Inner {
            path,
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            config: ArcSwap::from_pointee(config),
            secrets,
            watchers: Mutex::new(Vec::new()),
            failed: OnceLock::new(),
            told: OnceLock::new(),
            sheets: Mutex::new(BTreeMap::new()),
            number_lists: Mutex::new(BTreeMap::new()),
        })))
    }

    /// The configuration as it is now.
    pub fn config(&self) -> Arc<Config> {
        self.0.config.load_full()
    }

    /// Version numbers of the configuration, one for each change from now on.
    pub fn watch(&self) -> Receiver<u64> {
        let (sender, receiver) = channel();
        lock(&self.0.watchers).push(sender);
        receiver
    }

    /// Host names that need to be looked up for [`Store::snapshot`].
    pub fn host_names(&self) -> Vec<String> {
        self.config().host_names()
    }

    /// Creates a document (`id` is `None`) or replaces one. With `expected_version`, only if nobody else has changed
    /// it since.
    pub fn put<T: Document>(
        &self,
        id: Option<u32>,
        expected_version: Option<u64>,
        document: T,
        by: impl Into<Author>,
    ) -> Result<Stored<T>, ChangeError> {
        self.change(by, |edit| edit.put(id, expected_version, document)).map(|stored| (*stored).clone())
    }

    /// Deletes a document that nothing refers to.
    pub fn delete<T: Document>(
        &self,
        id: u32,
        expected_version: Option<u64>,
        by: impl Into<Author>,
    ) -> Result<(), ChangeError> {
        self.change(by, |edit| edit.delete::<T>(id, expected_version))
    }

    /// Adds a rate to a group, or replaces the one of the same prefix that begins to hold at the same time and hours.
    pub fn put_rate(&self, group: u32, rate: Rate, by: impl Into<Author>) -> Result<(), ChangeError> {
        self.change(by, |edit| edit.put_rate(group, &rate))
    }

    pub fn delete_rate(
        &self,
        group: u32,
        prefix: &str,
        variant: &str,
        by: impl Into<Author>,
    ) -> Result<(), ChangeError> {
        self.change(by, |edit| edit.delete_rate(group, prefix, variant))
    }

    /// Makes these the rates of a group, all at once. Of rates that are already so, nothing is written.
    pub fn replace_rates(
        &self,
        group: u32,
        rates: Vec<Rate>,
        by: impl Into<Author>,
    ) -> Result<(), ChangeError> {
        self.change(by, |edit| edit.replace_rates(group, rates).map(|_| ()))
    }

    /// Rates of a group in order of their prefixes: those that begin with `prefix_starts`, after the one of this prefix
    /// and variant.
    pub fn rates(
        &self,
        group: u32,
        prefix_starts: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Rate>, StoreError> {
        self.read(|db| crate::rates::rates(db, group, prefix_starts, after, limit))
    }

    /// One rate, by its exact prefix and [`Rate::variant`].
    pub fn rate(&self, group: u32, prefix: &str, variant: &str) -> Result<Option<Rate>, StoreError> {
        self.read(|db| crate::rates::rate(db, group, prefix, variant))
    }

    /// Sets a system parameter, by any of its names. Its default value unsets it.
    pub fn set_parameter(&self, name: &str, value: &str, by: impl Into<Author>) -> Result<(), ChangeError> {
        self.change(by, |edit| edit.set_parameter(name, value))
    }

    /// Carries out a change in one transaction and makes it the configuration.
    pub(crate) fn change<T>(
        &self,
        by: impl Into<Author>,
        work: impl FnOnce(&mut Edit<'_>) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        let by = by.into();
        let writer = self.writer()?;
        let before = self.config();
        let mut draft = (*before).clone();
        let changed = writer.transaction(|| {
            let mut edit = Edit::new(&writer, &mut draft, &self.0.secrets, &by, now_ms());
            let value = work(&mut edit)?;
            edit.finish()?;
            Ok::<T, ChangeError>(value)
        });
        if let Err(ChangeError::Storage(error)) = &changed {
            self.note_failure(error);
        }
        let value = changed?;
        let version = draft.version;
        if version != before.version {
            self.0.config.store(Arc::new(draft));
            lock(&self.0.watchers).retain(|watcher| watcher.send(version).is_ok());
        }
        Ok(value)
    }

    /// The same; with `dry_run` only tried: everything is checked and nothing kept.
    pub(crate) fn try_change<T>(
        &self,
        by: impl Into<Author>,
        dry_run: bool,
        work: impl FnOnce(&mut Edit<'_>) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        let mut tried = None;
        let done = self.change(by, |edit| {
            let value = work(edit)?;
            if dry_run {
                tried = Some(value);
                // Any error rolls back; this one is taken out again below.
                return Err(ChangeError::NotFound);
            }
            Ok(value)
        });
        tried.map_or(done, Ok)
    }

    /// Runs a query on a connection of its own.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = lock(&self.0.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => Connection::reader(&self.0.path)?,
        };
        let result = connection.view(|| work(&connection));
        let mut readers = lock(&self.0.readers);
        if readers.len() < READERS_KEPT {
            readers.push(connection);
        }
        result
    }

    /// Runs something that is no change of the configuration in one transaction of the writer.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let writer = self.writer()?;
        let outcome = writer.transaction(|| work(&writer));
        outcome.inspect_err(|error| self.note_failure(error))
    }

    /// The writer, unless the disk has failed: SQLite would go on after a failed fsync, and what it then takes for
    /// written need not be.
    fn writer(&self) -> Result<MutexGuard<'_, Connection>, StoreError> {
        let writer = lock(&self.0.writer);
        match self.0.failed.get() {
            Some(why) => Err(StoreError::Failed(why.clone())),
            None => Ok(writer),
        }
    }

    fn note_failure(&self, error: &StoreError) {
        let StoreError::Failed(why) = error else { return };
        if self.0.failed.set(why.clone()).is_ok()
            && let Some(tell) = self.0.told.get()
        {
            tell(&error.to_string());
        }
    }

    /// Calls `tell` with a line when the disk fails beneath the database. From then on nothing can be changed: the
    /// process is to end, and the next start goes on from what is on disk. The first caller is the one that is told.
    pub fn on_failure(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.0.told.set(Box::new(tell));
    }

    pub(crate) fn journal_folder(&self) -> PathBuf {
        self.0.path.with_file_name("journal")
    }

    /// Where files of records are made for those who ask for them; nothing in it outlives the process.
    pub fn exports_folder(&self) -> PathBuf {
        self.0.path.with_file_name("exports")
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }
}

/// How far the database of a data folder has applied the journal. Reads only.
pub fn applied(dir: &Path) -> Result<Seq, StoreError> {
    crate::ledger::watermark(&Connection::reader(&dir.join("tandem.db"))?)
}

/// The realm of this data folder; a new one gets it now.
fn realm(db: &Connection) -> Result<Arc<str>, StoreError> {
    let insert = "INSERT INTO setting (name, body) VALUES ('realm', ?1) ON CONFLICT (name) DO NOTHING";
    db.run(insert, &[REALM.into()])?;
    let found =
        db.first("SELECT body FROM setting WHERE name = 'realm'", &[], |row| Ok(Arc::from(row.text(0)?)))?;
    found.ok_or_else(|| StoreError::corrupt("the realm is missing"))
}

impl From<Vec<Problem>> for ChangeError {
    fn from(problems: Vec<Problem>) -> ChangeError {
        ChangeError::Invalid(problems)
    }
}
