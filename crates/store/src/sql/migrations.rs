//! The shape of the database, as numbered steps from the first version on. A step that was released never changes.

use super::Connection;
use crate::StoreError;

type Step = fn(&Connection) -> Result<(), StoreError>;

struct Migration {
    version: u32,
    name: &'static str,
    ddl: &'static str,
    /// What needs more than SQL, in the same transaction.
    then: Option<Step>,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "first tables", ddl: include_str!("0001.sql"), then: None },
    Migration { version: 2, name: "rates at times", ddl: include_str!("0002.sql"), then: None },
    Migration { version: 3, name: "people and audit", ddl: include_str!("0003.sql"), then: None },
    Migration { version: 4, name: "imports of rates", ddl: include_str!("0004.sql"), then: None },
    Migration {
        version: 5,
        name: "versions of the configuration",
        ddl: include_str!("0005.sql"),
        then: None,
    },
    Migration { version: 6, name: "registrations", ddl: include_str!("0006.sql"), then: None },
    Migration { version: 7, name: "server monitor", ddl: include_str!("0007.sql"), then: None },
    Migration { version: 8, name: "sums for reports", ddl: include_str!("0008.sql"), then: Some(sum_up) },
    Migration { version: 9, name: "usage of accounts", ddl: include_str!("0009.sql"), then: None },
    Migration { version: 10, name: "reratings", ddl: include_str!("0010.sql"), then: None },
    Migration { version: 11, name: "numbers of lists", ddl: include_str!("0011.sql"), then: None },
    Migration { version: 12, name: "alarms", ddl: include_str!("0012.sql"), then: None },
];

/// Brings the database to the version of this program; each step is one transaction.
pub(crate) fn migrate(db: &Connection, now_ms: i64) -> Result<(), StoreError> {
    db.define(
        "CREATE TABLE IF NOT EXISTS migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL);",
    )?;
    let known = MIGRATIONS.last().map_or(0, |m| m.version);
    let found = version(db)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for step in MIGRATIONS.iter().filter(|m| m.version > found) {
        db.transaction(|| {
            db.define(step.ddl)?;
            step.then.map_or(Ok(()), |then| then(db))?;
            let row = [step.version.into(), step.name.into(), now_ms.into()];
            db.run("INSERT INTO migration (version, name, applied_at) VALUES (?1, ?2, ?3)", &row)?;
            Ok::<(), StoreError>(())
        })?;
    }
    Ok(())
}

/// CDRs get more columns to be found by, and everything its sums.
fn sum_up(db: &Connection) -> Result<(), StoreError> {
    crate::cdrs::bring_up(db)?;
    crate::rollup::rebuild_within(db)
}

pub(crate) fn version(db: &Connection) -> Result<u32, StoreError> {
    Ok(db.first("SELECT COALESCE(MAX(version), 0) FROM migration", &[], |row| row.id(0))?.unwrap_or(0))
}
