//! Networks that the kernel is to take nothing from (`SEC-5`).

use crate::audit::{self, Author, Deed};
use crate::sql::Connection;
use crate::store::now_ms;
use crate::{Store, StoreError};

const SETTING: &str = "denied_networks";

impl Store {
    pub fn denied_networks(&self) -> Result<Vec<String>, StoreError> {
        self.read(read)
    }

    pub fn set_denied_networks(&self, networks: &[String], by: impl Into<Author>) -> Result<(), StoreError> {
        let (by, body) = (by.into(), serde_json::to_string(networks)?);
        let sql = "INSERT INTO setting (name, body) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET body = excluded.body";
        self.write(|db| {
            let before = serde_json::to_string(&read(db)?)?;
            db.run(sql, &[SETTING.into(), (&body).into()])?;
            let deed = Deed {
                action: "update",
                kind: "firewall",
                object: "denied networks",
                before: Some(&before),
                after: Some(&body),
            };
            audit::write(db, &by, now_ms(), &deed)
        })
    }
}

fn read(db: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT body FROM setting WHERE name = ?1";
    let found = db.first(sql, &[SETTING.into()], |row| Ok(serde_json::from_str(row.text(0)?)?))?;
    Ok(found.unwrap_or_default())
}
