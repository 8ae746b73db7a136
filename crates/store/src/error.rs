//! What can go wrong, and whose fault it is.

use std::fmt;
use std::path::PathBuf;

/// The database failed, or what it holds makes no sense. One line each.
#[derive(Debug)]
pub enum StoreError {
    /// A file of the data folder could not be used.
    Io {
        doing: &'static str,
        file: PathBuf,
        error: std::io::Error,
    },
    /// The data folder was written by a newer program.
    Newer {
        found: u32,
        known: u32,
    },
    Database(rusqlite::Error),
    /// The disk failed beneath the database. What it holds is unknown until it is opened anew, so nothing more is
    /// written (`R-07`).
    Failed(String),
    /// Stored data that this program could not have written.
    Corrupt(String),
    /// The stored secrets cannot be opened with the key file.
    Key(String),
}

impl StoreError {
    pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
        StoreError::Corrupt(what.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io { doing, file, error } => write!(f, "{doing} {} failed: {error}", file.display()),
            StoreError::Newer { found, known } => write!(
                f,
                "the data folder was written by a newer Tandem (database version {found}, this program knows {known})"
            ),
            StoreError::Database(e) => write!(f, "database: {e}"),
            StoreError::Failed(why) => {
                write!(f, "database: {why}; start again to go on from what is on disk")
            }
            StoreError::Corrupt(what) => write!(f, "database: damaged contents: {what}"),
            StoreError::Key(why) => write!(f, "key file: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> StoreError {
        // A want of space that shows only when the file is synced is no failure of the disk.
        let no_space = || std::io::Error::last_os_error().kind() == std::io::ErrorKind::StorageFull;
        match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::SystemIoFailure) if !no_space() => StoreError::Failed(e.to_string()),
            _ => StoreError::Database(e),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(e: serde_json::Error) -> StoreError {
        StoreError::corrupt(e.to_string())
    }
}

/// What is wrong with a document or a file, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// The document, like `account "acme"`; empty when the file itself is wrong.
    pub document: String,
    /// The field at fault, like `addresses[1]`; empty when it is none in particular.
    pub field: String,
    /// What is wrong and what is expected.
    pub message: String,
}

impl Problem {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { field: field.into(), message: message.into(), ..Problem::default() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if self.file.is_some() || self.line.is_some() {
            f.write_str(" ")?;
        }
        for part in [&self.document, &self.field].into_iter().filter(|p| !p.is_empty()) {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Why a change of the configuration was refused. Nothing was changed.
#[derive(Debug)]
pub enum ChangeError {
    NotFound,
    /// Somebody else changed it first.
    Conflict {
        current_version: u64,
    },
    /// Others need it; each as `mapping gateway "acme-pbx"`.
    Referenced {
        by: Vec<String>,
    },
    Invalid(Vec<Problem>),
    Storage(StoreError),
}

impl From<StoreError> for ChangeError {
    fn from(e: StoreError) -> ChangeError {
        ChangeError::Storage(e)
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::NotFound => write!(f, "not found"),
            ChangeError::Conflict { current_version } => {
                write!(f, "changed by somebody else; the current version is {current_version}")
            }
            ChangeError::Referenced { by } => write!(f, "still used by {}", by.join(", ")),
            ChangeError::Invalid(problems) => {
                let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
                f.write_str(&lines.join("; "))
            }
            ChangeError::Storage(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for ChangeError {}
