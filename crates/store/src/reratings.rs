//! Past calls priced again (`BIL-11`): CDRs stay as they were, what a run changes stands beside them.

use crate::sql::{Connection, Row, Value, crc};
use crate::{ChangeError, Problem, Store, StoreError};
use std::collections::BTreeMap;
use vocab::{AccountId, CallId, Money, Utc};

/// How far a run is. Its corrections count from the moment it is written down, because then they will be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReratingState {
    /// Written down; its entries are being posted.
    Posting,
    Applied,
    /// Its entries are being taken back.
    Undoing,
    Undone,
}

const STATES: [(ReratingState, &str); 4] = [
    (ReratingState::Posting, "posting"),
    (ReratingState::Applied, "applied"),
    (ReratingState::Undoing, "undoing"),
    (ReratingState::Undone, "undone"),
];

impl ReratingState {
    pub fn key(self) -> &'static str {
        STATES.iter().find(|(state, _)| *state == self).map_or("", |(_, key)| key)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerating {
    pub name: String,
    pub state: ReratingState,
    /// What was asked for, as the API has it.
    pub request: String,
    pub at: Utc,
    pub by: String,
}

/// One account's price of one call, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCorrection {
    pub call: CallId,
    pub account: AccountId,
    /// What the account is owed, not what it pays.
    pub vendor: bool,
    pub rerating: String,
    pub before: Money,
    pub after: Money,
}

/// Which prices of calls runs have changed, by how much in all.
pub type Corrected = BTreeMap<(CallId, AccountId, bool), Money>;

impl Store {
    /// All runs, the newest first.
    pub fn reratings(&self) -> Result<Vec<Rerating>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM rerating ORDER BY made_at DESC, name");
        self.read(|db| db.rows(&sql, &[], read))
    }

    pub fn rerating(&self, name: &str) -> Result<Option<Rerating>, StoreError> {
        self.read(|db| find(db, name))
    }

    /// What a run changes, call by call, from the first on.
    pub fn rerating_calls(&self, name: &str, limit: usize) -> Result<Vec<CallCorrection>, StoreError> {
        let sql =
            format!("SELECT {CALL_COLUMNS} FROM rerating_call WHERE rerating = ?1 ORDER BY call_id LIMIT ?2");
        self.read(|db| db.rows(&sql, &[name.into(), Value::from(limit as u64)], read_call))
    }

    /// What runs that count have changed of one call.
    pub fn corrections_of(&self, call: CallId) -> Result<Vec<CallCorrection>, StoreError> {
        let sql = format!(
            "SELECT {CALL_COLUMNS} FROM rerating_call WHERE call_id = ?1
             AND rerating IN (SELECT name FROM rerating WHERE state IN ('posting', 'applied')) ORDER BY rerating"
        );
        self.read(|db| db.rows(&sql, &[call.0.into()], read_call))
    }

    /// By how much runs that count have changed the prices of calls between these two.
    pub fn corrected(&self, first: CallId, last: CallId) -> Result<Corrected, StoreError> {
        let sql = format!(
            "SELECT {CALL_COLUMNS} FROM rerating_call WHERE call_id >= ?1 AND call_id <= ?2
             AND rerating IN (SELECT name FROM rerating WHERE state IN ('posting', 'applied'))"
        );
        let all = self.read(|db| db.rows(&sql, &[first.0.into(), last.0.into()], read_call))?;
        let mut corrected = Corrected::new();
        for one in all {
            let sum = corrected.entry((one.call, one.account, one.vendor)).or_default();
            *sum = Money(sum.0.saturating_add(one.after.0.saturating_sub(one.before.0)));
        }
        Ok(corrected)
    }

    /// Names this moment of all runs: a run that was worked out at another moment is not written down.
    pub fn reratings_version(&self) -> Result<u64, StoreError> {
        self.read(version)
    }

    /// Writes a run down with all that it changes, unless there is one of this name: then that one is the answer.
    pub fn begin_rerating(
        &self,
        run: &Rerating,
        calls: &[CallCorrection],
        seen: u64,
    ) -> Result<Rerating, ChangeError> {
        let begun = self.write(|db| {
            if let Some(known) = find(db, &run.name)? {
                return Ok(Some(known));
            }
            if version(db)? != seen {
                return Ok(None);
            }
            write_run(db, run)?;
            for one in calls {
                write_call(db, one)?;
            }
            Ok(Some(run.clone()))
        })?;
        let words = "other calls were priced again meanwhile; try it once more";
        begun.ok_or_else(|| ChangeError::Invalid(vec![Problem::new("name", words)]))
    }

    pub fn set_rerating_state(
        &self,
        name: &str,
        state: ReratingState,
    ) -> Result<Option<Rerating>, StoreError> {
        self.write(|db| {
            let Some(mut run) = find(db, name)? else { return Ok(None) };
            run.state = state;
            db.run("DELETE FROM rerating WHERE name = ?1", &[name.into()])?;
            write_run(db, &run)?;
            Ok(Some(run))
        })
    }

    /// What a run changes of each account's balance: above zero is paid in.
    pub fn rerating_totals(&self, name: &str) -> Result<BTreeMap<AccountId, Money>, StoreError> {
        let mut totals = BTreeMap::new();
        for one in self.rerating_calls(name, usize::MAX >> 1)? {
            let more = one.after.0.saturating_sub(one.before.0);
            let sum: &mut Money = totals.entry(one.account).or_default();
            sum.0 = sum.0.saturating_add(if one.vendor { more } else { more.saturating_neg() });
        }
        Ok(totals)
    }
}

fn version(db: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT COUNT(*) + COUNT(CASE WHEN state IN ('undoing', 'undone') THEN 1 END) FROM rerating";
    Ok(db.first(sql, &[], |row| row.unsigned(0))?.unwrap_or(0))
}

const COLUMNS: &str = "name, state, request, made_at, made_by, crc";
const CALL_COLUMNS: &str = "call_id, account_id, vendor, rerating, before_amount, after_amount, crc";

fn find(db: &Connection, name: &str) -> Result<Option<Rerating>, StoreError> {
    db.first(&format!("SELECT {COLUMNS} FROM rerating WHERE name = ?1"), &[name.into()], read)
}

fn read(row: &Row<'_>) -> Result<Rerating, StoreError> {
    row.verify(5)?;
    let key = row.text(1)?;
    let state = STATES.iter().find(|(_, known)| *known == key).map(|(state, _)| *state);
    Ok(Rerating {
        name: row.text(0)?.to_string(),
        state: state.ok_or_else(|| StoreError::corrupt(format!("{key:?} is no state of a rerating")))?,
        request: row.text(2)?.to_string(),
        at: Utc::from_millis(row.int(3)?),
        by: row.text(4)?.to_string(),
    })
}

fn read_call(row: &Row<'_>) -> Result<CallCorrection, StoreError> {
    row.verify(6)?;
    Ok(CallCorrection {
        call: CallId(row.unsigned(0)?),
        account: AccountId(row.id(1)?),
        vendor: row.truth(2)?,
        rerating: row.text(3)?.to_string(),
        before: row.parsed(4)?,
        after: row.parsed(5)?,
    })
}

fn write_run(db: &Connection, run: &Rerating) -> Result<(), StoreError> {
    let mut row: Vec<Value<'_>> = vec![
        (&run.name).into(),
        run.state.key().into(),
        (&run.request).into(),
        run.at.millis().into(),
        (&run.by).into(),
    ];
    row.push(crc(&row));
    let sql =
        "INSERT INTO rerating (name, state, request, made_at, made_by, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    db.run(sql, &row).map(|_| ())
}

fn write_call(db: &Connection, one: &CallCorrection) -> Result<(), StoreError> {
    let (before, after) = (one.before.to_string(), one.after.to_string());
    let mut row: Vec<Value<'_>> = vec![
        one.call.0.into(),
        one.account.0.into(),
        i64::from(one.vendor).into(),
        (&one.rerating).into(),
        before.into(),
        after.into(),
    ];
    row.push(crc(&row));
    let sql =
        "INSERT INTO rerating_call (call_id, account_id, vendor, rerating, before_amount, after_amount, crc)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    db.run(sql, &row).map(|_| ())
}
