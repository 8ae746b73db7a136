//! CDRs on their way out: in the order of the journal, from where a reader stopped. Each reader keeps its place in the
//! database, so that a restart neither loses nor doubles a record.

use crate::cdrs::{self, CHECKED};
use crate::{Store, StoreError};
use cdr::Cdr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vocab::Seq;

impl Store {
    /// The next CDRs after a record of the journal, in its order; as many as asked for, or all there are.
    pub fn cdrs_after(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, Cdr)>, StoreError> {
        self.read(|db| {
            let mut found: Vec<(Seq, Cdr)> = Vec::new();
            // A call may have begun on an earlier day than calls that ended before it.
            for day in cdrs::days(db)? {
                let sql = format!(
                    "SELECT {CHECKED} FROM {} WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                    cdrs::table(day)
                );
                db.each(&sql, &[after.0.into(), (limit as u64).into()], |row| {
                    found.push(cdrs::read(row)?);
                    Ok(())
                })?;
            }
            found.sort_by_key(|(seq, _)| *seq);
            found.truncate(limit);
            Ok(found)
        })
    }

    /// What a reader has noted about itself.
    pub fn place_of<T: DeserializeOwned>(&self, reader: &str) -> Result<Option<T>, StoreError> {
        let sql = "SELECT body FROM setting WHERE name = ?1";
        let body = self.read(|db| db.first(sql, &[reader.into()], |row| Ok(row.text(0)?.to_string())))?;
        body.map(|text| serde_json::from_str(&text).map_err(StoreError::from)).transpose()
    }

    /// Notes it durably, or forgets it.
    pub fn set_place<T: Serialize>(&self, reader: &str, state: Option<&T>) -> Result<(), StoreError> {
        let body = state.map(serde_json::to_string).transpose()?;
        self.write(|db| {
            match &body {
                Some(body) => db.run(
                    "INSERT INTO setting (name, body) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET body = excluded.body",
                    &[reader.into(), body.into()],
                )?,
                None => db.run("DELETE FROM setting WHERE name = ?1", &[reader.into()])?,
            };
            Ok(())
        })
    }

    /// Changes what is noted, if it is still there; nobody else changes it in between.
    pub fn change_place<T: Serialize + DeserializeOwned>(
        &self,
        reader: &str,
        change: impl FnOnce(&mut T),
    ) -> Result<Option<T>, StoreError> {
        self.write(|db| {
            let sql = "SELECT body FROM setting WHERE name = ?1";
            let body = db.first(sql, &[reader.into()], |row| Ok(row.text(0)?.to_string()))?;
            let Some(body) = body else { return Ok(None) };
            let mut state: T = serde_json::from_str(&body)?;
            change(&mut state);
            let body = serde_json::to_string(&state)?;
            db.run("UPDATE setting SET body = ?2 WHERE name = ?1", &[reader.into(), body.into()])?;
            Ok(Some(state))
        })
    }
}
