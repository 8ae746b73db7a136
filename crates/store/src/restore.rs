//! What the brain must know at the start: from the database, and from what the journal holds beyond it.

use crate::journal::{Journal, JournalError, Recovered};
use crate::ledger::{balances, keyed_postings, watermark};
use crate::{Applier, Store, StoreError};
use std::fmt;
use switch::{Record, Restore};
use vocab::Seq;

/// Records are applied in transactions of this size.
const BATCH: usize = 2000;
/// Idempotency keys that the brain is given. Older ones are found by [`Store::posting_by_key`], which whoever takes
/// payments asks first.
const KEYS: usize = 100_000;

#[derive(Debug)]
pub enum RestoreError {
    Journal(JournalError),
    Store(StoreError),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Journal(e) => e.fmt(f),
            RestoreError::Store(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for RestoreError {}

impl From<JournalError> for RestoreError {
    fn from(e: JournalError) -> Self {
        RestoreError::Journal(e)
    }
}

impl From<StoreError> for RestoreError {
    fn from(e: StoreError) -> Self {
        RestoreError::Store(e)
    }
}

impl Store {
    /// Applies what the journal holds beyond the database, and reads the state from which the brain goes on.
    pub fn restore(
        &self,
        journal: &Journal,
        recovered: Recovered,
    ) -> Result<(Restore, Applier), RestoreError> {
        let mut applier = self.applier();
        let mut applied = self.applied()?;
        if applied > recovered.last_seq {
            // The journal's end is gone, but what it said is in the database; only numbers may not be used again.
            tracing::warn!(journal = %recovered.last_seq, database = %applied, "the journal ends before the database");
        }
        let mut batch: Vec<(Seq, Record)> = Vec::with_capacity(BATCH);
        for record in journal.records_after(applied) {
            batch.push(record?);
            if batch.len() == BATCH {
                applied = applier.apply(&batch)?;
                batch.clear();
            }
        }
        if !batch.is_empty() {
            applied = applier.apply(&batch)?;
        }
        let state = self.read(|db| {
            Ok(Restore {
                last_seq: recovered.last_seq.max(watermark(db)?),
                balances: balances(db)?.into_iter().map(|(book, (_, amount))| (book, amount)).collect(),
                open_calls: recovered.open,
                last_alive: recovered.last_alive,
                keys: keyed_postings(db, KEYS)?,
                registrations: crate::registrations::all(db)?,
                used: crate::usage::recent(db)?,
            })
        })?;
        tracing::info!(%applied, open_calls = state.open_calls.len(), "state restored");
        Ok((state, applier))
    }
}
