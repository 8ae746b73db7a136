//! The shape of the database, as numbered steps from the first version on. A step that was released never changes.

use super::Connection;
use crate::StoreError;

struct Migration {
    version: u32,
    name: &'static str,
    ddl: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "first tables", ddl: include_str!("0001.sql") },
    Migration { version: 2, name: "rates at times", ddl: include_str!("0002.sql") },
    Migration { version: 3, name: "people and audit", ddl: include_str!("0003.sql") },
    Migration { version: 4, name: "imports of rates", ddl: include_str!("0004.sql") },
    Migration { version: 5, name: "versions of the configuration", ddl: include_str!("0005.sql") },
    Migration { version: 6, name: "registrations", ddl: include_str!("0006.sql") },
    Migration { version: 7, name: "numbers of lists", ddl: include_str!("0007.sql") },
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
            let row = [step.version.into(), step.name.into(), now_ms.into()];
            db.run("INSERT INTO migration (version, name, applied_at) VALUES (?1, ?2, ?3)", &row)?;
            Ok::<(), StoreError>(())
        })?;
    }
    Ok(())
}

pub(crate) fn version(db: &Connection) -> Result<u32, StoreError> {
    Ok(db.first("SELECT COALESCE(MAX(version), 0) FROM migration", &[], |row| row.id(0))?.unwrap_or(0))
}
