//! The one place that knows which database is underneath.
//!
//! Everything else in this crate speaks plain SQL through [`Connection`]: numbered placeholders (`?1`), upserts in
//! the common `ON CONFLICT … DO UPDATE` form, whole numbers and text only (money is decimal text, times are integers,
//! truth is 0 or 1). A second database needs this module once more, not a second copy of any query.

pub(crate) mod migrations;

use crate::StoreError;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OpenFlags, ToSql};
use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

/// A value bound to a placeholder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Text(Cow<'a, str>),
}

impl From<i64> for Value<'_> {
    fn from(n: i64) -> Self {
        Value::Int(n)
    }
}

impl From<u32> for Value<'_> {
    fn from(n: u32) -> Self {
        Value::Int(i64::from(n))
    }
}

impl From<u16> for Value<'_> {
    fn from(n: u16) -> Self {
        Value::Int(i64::from(n))
    }
}

impl From<bool> for Value<'_> {
    fn from(b: bool) -> Self {
        Value::Int(i64::from(b))
    }
}

/// Sequence numbers, call ids and counters stay far below 2⁶³.
impl From<u64> for Value<'_> {
    fn from(n: u64) -> Self {
        Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(s: &'a str) -> Self {
        Value::Text(Cow::Borrowed(s))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(s: &'a String) -> Self {
        Value::Text(Cow::Borrowed(s))
    }
}

impl From<String> for Value<'_> {
    fn from(s: String) -> Self {
        Value::Text(Cow::Owned(s))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(o: Option<T>) -> Self {
        o.map_or(Value::Null, Into::into)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.borrowed()))
    }
}

impl Value<'_> {
    fn borrowed(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Int(n) => ValueRef::Integer(*n),
            Value::Text(s) => ValueRef::Text(s.as_bytes()),
        }
    }
}

/// Checksum of the contents of a row, to be stored in its column `crc`. The database itself has none: a spoilt sector
/// would else change a price or a balance unseen (`R-14`).
pub(crate) fn crc<'v>(values: impl IntoIterator<Item = &'v Value<'v>>) -> Value<'static> {
    let mut hasher = crc32fast::Hasher::new();
    values.into_iter().for_each(|value| hash(&mut hasher, value.borrowed()));
    Value::Int(i64::from(hasher.finalize()))
}

/// Type, length and contents, so that no two rows look alike.
fn hash(hasher: &mut crc32fast::Hasher, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => hasher.update(&[0]),
        ValueRef::Integer(n) => {
            hasher.update(&[1]);
            hasher.update(&n.to_le_bytes());
        }
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            hasher.update(&[2]);
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        // Never written; a type of its own makes it differ from anything that was.
        ValueRef::Real(_) => hasher.update(&[3]),
    }
}

/// A row of a result; columns are counted from 0.
pub(crate) struct Row<'a>(&'a rusqlite::Row<'a>);

impl Row<'_> {
    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        Ok(self.0.get(column)?)
    }

    /// Compares the columns before this one with the checksum in it.
    pub fn verify(&self, crc_column: usize) -> Result<(), StoreError> {
        self.verify_first(crc_column, crc_column)
    }

    /// Compares the first columns with the checksum in this one.
    pub fn verify_first(&self, columns: usize, crc_column: usize) -> Result<(), StoreError> {
        let mut hasher = crc32fast::Hasher::new();
        for column in 0..columns {
            hash(&mut hasher, self.0.get_ref(column)?);
        }
        if self.int(crc_column)? == i64::from(hasher.finalize()) {
            Ok(())
        } else {
            Err(StoreError::corrupt("a row does not match its checksum"))
        }
    }

    /// Do the first columns hold exactly these values?
    pub fn holds(&self, values: &[Value<'_>]) -> Result<bool, StoreError> {
        for (column, value) in values.iter().enumerate() {
            if self.0.get_ref(column)? != value.borrowed() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub fn unsigned(&self, column: usize) -> Result<u64, StoreError> {
        u64::try_from(self.int(column)?)
            .map_err(|_| StoreError::corrupt("a negative number where none can be"))
    }

    pub fn optional_unsigned(&self, column: usize) -> Result<Option<u64>, StoreError> {
        match self.0.get_ref(column)? {
            ValueRef::Null => Ok(None),
            _ => self.unsigned(column).map(Some),
        }
    }

    pub fn optional_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.0.get(column)?)
    }

    pub fn id(&self, column: usize) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|_| StoreError::corrupt("an id out of range"))
    }

    pub fn truth(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    pub fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.0.get_ref(column)?.as_str().map_err(|e| StoreError::corrupt(format!("column {column}: {e}")))
    }

    pub fn optional_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get_ref(column)? {
            ValueRef::Null => Ok(None),
            _ => self.text(column).map(Some),
        }
    }

    /// A column of decimal text or another type that reads itself from text.
    pub fn parsed<T: std::str::FromStr>(&self, column: usize) -> Result<T, StoreError> {
        let text = self.text(column)?;
        text.parse().map_err(|_| StoreError::corrupt(format!("{text:?} is not what column {column} holds")))
    }
}

/// A connection to the database.
pub(crate) struct Connection(rusqlite::Connection);

/// How long a connection waits for another's lock before it gives up.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// Day partitions have their own statements; this many are kept compiled.
const STATEMENTS: usize = 256;

impl Connection {
    /// The writer: makes the database when absent.
    pub fn writer(path: &Path) -> Result<Connection, StoreError> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(LOCK_WAIT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // WAL: readers never wait for the writer. FULL: a commit is on disk when it returns, so that the journal may
        // forget what was applied.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;
             PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -32768; PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON;",
        )?;
        Ok(Connection(connection))
    }

    pub fn reader(path: &Path) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(LOCK_WAIT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch(
            "PRAGMA query_only = ON; PRAGMA cache_size = -16384; PRAGMA cell_size_check = ON;",
        )?;
        Ok(Connection(connection))
    }

    /// A reader that may write another file.
    pub fn reader_for_copy(path: &Path) -> Result<Connection, StoreError> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(LOCK_WAIT)?;
        Ok(Connection(connection))
    }

    /// Runs a statement; the number of rows it changed.
    pub fn run(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, StoreError> {
        Ok(self.0.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values))?)
    }

    /// Runs statements that define tables and indexes.
    pub fn define(&self, ddl: &str) -> Result<(), StoreError> {
        Ok(self.0.execute_batch(&in_dialect(ddl))?)
    }

    /// Calls `each` for every row of the result.
    pub fn each(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            each(&Row(row))?;
        }
        Ok(())
    }

    pub fn rows<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.each(sql, values, |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// The first row of the result.
    pub fn first<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        rows.next()?.map(|row| read(&Row(row))).transpose()
    }

    /// Runs `work` in one transaction: all of it, or, on an error, nothing.
    pub fn transaction<T, E: From<StoreError>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.begin("BEGIN IMMEDIATE", work)
    }

    /// Runs several reads on one unchanging view of the data.
    pub fn view<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.begin("BEGIN", work)
    }

    fn begin<T, E: From<StoreError>>(
        &self,
        begin: &str,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.0.execute_batch(begin).map_err(StoreError::from)?;
        let undo = Undo(&self.0);
        let value = work()?;
        std::mem::forget(undo);
        if let Err(e) = self.0.execute_batch("COMMIT") {
            drop(Undo(&self.0));
            return Err(StoreError::from(e).into());
        }
        Ok(value)
    }

    /// Names of the tables that begin with these letters.
    pub fn tables(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let sql =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, ?2) = ?1 ORDER BY name";
        self.rows(sql, &[prefix.into(), (prefix.len() as u64).into()], |row| Ok(row.text(0)?.to_string()))
    }

    /// What the database finds wrong with its own file; empty when sound.
    pub fn self_check(&self) -> Result<Vec<String>, StoreError> {
        let lines = self.rows("PRAGMA integrity_check(20)", &[], |row| Ok(row.text(0)?.to_string()))?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// Writes a consistent copy of the whole database to a new file, while others read and write.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        self.run("VACUUM INTO ?1", &[path.to_string_lossy().into_owned().into()]).map(|_| ())
    }
}

/// Rolls back when dropped, so that a panic inside a transaction leaves nothing open either.
struct Undo<'a>(&'a rusqlite::Connection);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // Without an open transaction this is an error of no interest.
        let _ = self.0.execute_batch("ROLLBACK");
    }
}

/// SQLite makes a key the row's own number only under this name of the type; all its integers have 64 bits. Tables
/// marked as clustered are kept in the order of their key.
fn in_dialect(ddl: &str) -> String {
    ddl.replace("BIGINT", "INTEGER").replace("/* clustered */", "WITHOUT ROWID")
}

/// `%` and `_` in `text` stand for themselves; used with `ESCAPE '!'`.
pub(crate) fn like_literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            out.push('!');
        }
        out.push(c);
    }
    out
}
