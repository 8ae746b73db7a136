//! Who changed what, from where (`SEC-9`). Rows are written in the transaction of the change itself, so neither can be
//! without the other, and nothing here can change or remove one.

use crate::cdrs::Page;
use crate::sql::{Connection, Row, Value, crc};
use crate::{Store, StoreError};
use std::net::IpAddr;
use vocab::Utc;

/// Who does something, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    /// `None`: from within.
    pub source: Option<IpAddr>,
}

impl From<&str> for Author {
    fn from(name: &str) -> Author {
        Author { name: name.to_string(), source: None }
    }
}

impl From<&String> for Author {
    fn from(name: &String) -> Author {
        Author::from(name.as_str())
    }
}

/// One thing that was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deed<'a> {
    /// `create`, `update`, `delete`, `sign_in`, …
    pub action: &'a str,
    /// What kind of thing it was done to: `account`, `user`, `parameter`, …
    pub kind: &'a str,
    /// Its name.
    pub object: &'a str,
    /// JSON; secrets are replaced here.
    pub before: Option<&'a str>,
    pub after: Option<&'a str>,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub seq: u64,
    pub at: Utc,
    pub author: String,
    /// Empty: from within.
    pub source: String,
    pub action: String,
    pub kind: String,
    pub object: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// Which rows; an empty filter takes all.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub author: Option<String>,
    pub kind: Option<String>,
    pub object: Option<String>,
    pub action: Option<String>,
    /// At or after.
    pub from: Option<Utc>,
    /// Before.
    pub to: Option<Utc>,
}

impl Store {
    /// Notes something that changed nothing in the configuration: a payment, a sign-in.
    pub fn note(&self, author: &Author, deed: &Deed<'_>) -> Result<(), StoreError> {
        self.write(|db| write(db, author, crate::store::now_ms(), deed))
    }

    /// The log, newest first.
    pub fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>, StoreError> {
        let before = cursor.and_then(|c| c.parse().ok()).unwrap_or(i64::MAX);
        let mut sql = String::from(
            "SELECT seq, happened_at, author, source, action, kind, object, before, after, crc FROM audit WHERE seq < ?1",
        );
        let mut values: Vec<Value<'_>> = vec![before.into()];
        let texts = [
            ("author", &filter.author),
            ("kind", &filter.kind),
            ("object", &filter.object),
            ("action", &filter.action),
        ];
        for (column, wanted) in texts {
            if let Some(wanted) = wanted {
                values.push(Value::from(wanted));
                sql += &format!(" AND {column} = ?{}", values.len());
            }
        }
        for (condition, at) in [("happened_at >=", filter.from), ("happened_at <", filter.to)] {
            if let Some(at) = at {
                values.push(at.millis().into());
                sql += &format!(" AND {condition} ?{}", values.len());
            }
        }
        values.push(i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX).into());
        sql += &format!(" ORDER BY seq DESC LIMIT ?{}", values.len());
        let mut items = self.read(|db| db.rows(&sql, &values, read))?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.seq.to_string());
        Ok(Page { items, next })
    }
}

pub(crate) fn write(db: &Connection, author: &Author, at: i64, deed: &Deed<'_>) -> Result<(), StoreError> {
    let last = db.first("SELECT COALESCE(MAX(seq), 0) FROM audit", &[], |row| row.int(0))?.unwrap_or(0);
    let source = author.source.map(|s| s.to_string()).unwrap_or_default();
    let (before, after) = (deed.before.map(without_secrets), deed.after.map(without_secrets));
    let mut row = vec![
        (last + 1).into(),
        at.into(),
        Value::from(&author.name),
        source.into(),
        deed.action.into(),
        deed.kind.into(),
        deed.object.into(),
        before.into(),
        after.into(),
    ];
    row.push(crc(&row));
    let sql = "INSERT INTO audit (seq, happened_at, author, source, action, kind, object, before, after, crc)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    db.run(sql, &row).map(|_| ())
}

fn read(row: &Row<'_>) -> Result<AuditEntry, StoreError> {
    row.verify(9)?;
    let optional = |column| Ok::<_, StoreError>(row.optional_text(column)?.map(str::to_string));
    Ok(AuditEntry {
        seq: row.unsigned(0)?,
        at: Utc::from_millis(row.int(1)?),
        author: row.text(2)?.to_string(),
        source: row.text(3)?.to_string(),
        action: row.text(4)?.to_string(),
        kind: row.text(5)?.to_string(),
        object: row.text(6)?.to_string(),
        before: optional(7)?,
        after: optional(8)?,
    })
}

/// Fields that hold a secret in any form.
const SECRET: [&str; 5] = ["password", "secret", "sealed_password", "password_hash", "totp"];

/// The same JSON, with a changed secret recognisable as changed but not to be read.
pub(crate) fn without_secrets(json: &str) -> String {
    fn hide(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                for (name, value) in map.iter_mut() {
                    match SECRET.contains(&name.as_str()) && !value.is_null() {
                        true => *value = serde_json::Value::from("***"),
                        false => hide(value),
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(hide),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::from_str(json) else { return json.to_string() };
    hide(&mut value);
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_at_any_depth() {
        let json = r#"{"name":"a","secret":{"ha1":"x"},"list":[{"password":"y"}],"totp":null}"#;
        let shown: serde_json::Value = serde_json::from_str(&without_secrets(json)).unwrap();
        let want =
            serde_json::json!({"name": "a", "secret": "***", "list": [{"password": "***"}], "totp": null});
        assert_eq!(shown, want);
        assert_eq!(without_secrets("no json"), "no json");
    }
}
