//! Alarms (`DBG-9`): what began and ended, who has seen to it, and the rules and receivers that operators set.

use crate::audit::{self, Author, Deed};
use crate::cdrs::Page;
use crate::sql::{Connection, Row, Value};
use crate::store::now_ms;
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vocab::Utc;
use watch::{Kind, Rule, Severity};

/// Alarms that are kept after their end.
const KEPT: u64 = 10_000;
const SETTING: &str = "alarms";
const ALARM: &str = "SELECT id, kind, subject, began_at, ended_at, body FROM alarm";

/// One alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub id: u64,
    /// Key of its kind.
    pub kind: String,
    pub subject: String,
    pub began_at: Utc,
    /// `None`: open.
    pub ended_at: Option<Utc>,
    pub details: AlarmDetails,
}

/// What else is known of an alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmDetails {
    pub severity: Severity,
    /// The figure when it began, and the threshold of that moment.
    pub value: i64,
    pub threshold: i64,
    /// The figure when it ended.
    pub end_value: Option<i64>,
    pub acknowledged_at: Option<Utc>,
    pub acknowledged_by: Option<String>,
    pub note: String,
    /// Ids of the calls that it is about.
    #[serde(default)]
    pub evidence: Vec<String>,
}

/// Rules that differ from their defaults, and who is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlarmSettings {
    /// By key of the kind.
    pub rules: BTreeMap<String, Rule>,
    /// Addresses (`http://…`) that each begin and end is posted to.
    pub webhooks: Vec<String>,
    pub mail: Option<Mail>,
}

/// Delivery by e-mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// `host:port` of the relay.
    pub server: String,
    pub from: String,
    pub to: Vec<String>,
}

impl AlarmSettings {
    pub fn rule(&self, kind: Kind) -> Rule {
        self.rules.get(kind.key()).copied().unwrap_or(kind.facts().default)
    }
}

impl Store {
    pub fn alarm_settings(&self) -> Result<AlarmSettings, StoreError> {
        self.read(settings)
    }

    pub fn set_alarm_settings(&self, new: &AlarmSettings, by: impl Into<Author>) -> Result<(), StoreError> {
        let (by, body) = (by.into(), serde_json::to_string(new)?);
        let sql = "INSERT INTO setting (name, body) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET body = excluded.body";
        self.write(|db| {
            let before = serde_json::to_string(&settings(db)?)?;
            db.run(sql, &[SETTING.into(), (&body).into()])?;
            let deed = Deed {
                action: "update",
                kind: "alarm_rules",
                object: "alarms",
                before: Some(&before),
                after: Some(&body),
            };
            audit::write(db, &by, now_ms(), &deed)
        })
    }

    /// Notes that an alarm has begun; gives its id.
    pub fn begin_alarm(
        &self,
        kind: &str,
        subject: &str,
        at: Utc,
        details: &AlarmDetails,
    ) -> Result<u64, StoreError> {
        let body = serde_json::to_string(details)?;
        self.write(|db| {
            let last = db.first("SELECT COALESCE(MAX(id), 0) FROM alarm", &[], |row| row.unsigned(0))?;
            let id = last.unwrap_or(0) + 1;
            let row = [id.into(), kind.into(), subject.into(), at.0.into(), (&body).into()];
            db.run(
                "INSERT INTO alarm (id, kind, subject, began_at, body) VALUES (?1, ?2, ?3, ?4, ?5)",
                &row,
            )?;
            let oldest = id.saturating_sub(KEPT);
            db.run("DELETE FROM alarm WHERE id <= ?1 AND ended_at IS NOT NULL", &[oldest.into()])?;
            Ok(id)
        })
    }

    /// Notes that the open alarms of a kind and subject have ended; gives them.
    pub fn end_alarm(
        &self,
        kind: &str,
        subject: &str,
        at: Utc,
        value: Option<i64>,
    ) -> Result<Vec<Alarm>, StoreError> {
        let sql = format!("{ALARM} WHERE ended_at IS NULL AND kind = ?1 AND subject = ?2");
        self.write(|db| {
            let mut alarms = db.rows(&sql, &[kind.into(), subject.into()], read)?;
            for alarm in &mut alarms {
                alarm.ended_at = Some(at);
                alarm.details.end_value = value;
                let body = serde_json::to_string(&alarm.details)?;
                let row = [alarm.id.into(), at.0.into(), Value::from(body)];
                db.run("UPDATE alarm SET ended_at = ?2, body = ?3 WHERE id = ?1", &row)?;
            }
            Ok(alarms)
        })
    }

    /// Somebody has seen to an alarm. `None`: there is no such alarm.
    pub fn acknowledge_alarm(
        &self,
        id: u64,
        note: &str,
        by: impl Into<Author>,
    ) -> Result<Option<Alarm>, StoreError> {
        let by = by.into();
        self.write(|db| {
            let Some(mut alarm) = db.first(&format!("{ALARM} WHERE id = ?1"), &[id.into()], read)? else {
                return Ok(None);
            };
            let now = now_ms();
            alarm.details.acknowledged_at = Some(Utc::from_millis(now));
            alarm.details.acknowledged_by = Some(by.name.clone());
            alarm.details.note = note.to_owned();
            let body = serde_json::to_string(&alarm.details)?;
            db.run("UPDATE alarm SET body = ?2 WHERE id = ?1", &[id.into(), Value::from(&body)])?;
            let object = format!("{id} {} {}", alarm.kind, alarm.subject);
            let deed = Deed {
                action: "acknowledge",
                kind: "alarm",
                object: object.trim_end(),
                before: None,
                after: Some(&body),
            };
            audit::write(db, &by, now, &deed)?;
            Ok(Some(alarm))
        })
    }

    /// Alarms, the newest first.
    pub fn alarms(
        &self,
        only_open: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Alarm>, StoreError> {
        let before = cursor.and_then(|c| c.parse::<i64>().ok()).unwrap_or(i64::MAX);
        let open = if only_open { "AND ended_at IS NULL" } else { "" };
        let sql = format!("{ALARM} WHERE id < ?1 {open} ORDER BY id DESC LIMIT ?2");
        let limit = limit.max(1);
        let values = [before.into(), Value::from(limit as u64 + 1)];
        let mut items = self.read(|db| db.rows(&sql, &values, read))?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|a| a.id.to_string());
        Ok(Page { items, next })
    }

    pub fn open_alarms(&self) -> Result<u32, StoreError> {
        let sql = "SELECT COUNT(*) FROM alarm WHERE ended_at IS NULL";
        self.read(|db| Ok(db.first(sql, &[], |row| row.id(0))?.unwrap_or(0)))
    }
}

fn settings(db: &Connection) -> Result<AlarmSettings, StoreError> {
    let sql = "SELECT body FROM setting WHERE name = ?1";
    let found = db.first(sql, &[SETTING.into()], |row| Ok(serde_json::from_str(row.text(0)?)?))?;
    Ok(found.unwrap_or_default())
}

fn read(row: &Row<'_>) -> Result<Alarm, StoreError> {
    Ok(Alarm {
        id: row.unsigned(0)?,
        kind: row.text(1)?.to_owned(),
        subject: row.text(2)?.to_owned(),
        began_at: Utc(row.int(3)?),
        ended_at: row.optional_int(4)?.map(Utc),
        details: serde_json::from_str(row.text(5)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details() -> AlarmDetails {
        AlarmDetails {
            severity: Severity::Warning,
            value: 95,
            threshold: 90,
            end_value: None,
            acknowledged_at: None,
            acknowledged_by: None,
            note: String::new(),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn alarms_begin_are_seen_to_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let first = store.begin_alarm("cpu_high", "", Utc(5), &details()).unwrap();
        let second = store.begin_alarm("gateway_offline", "vendor-a-1", Utc(6), &details()).unwrap();
        assert_eq!(store.open_alarms().unwrap(), 2);
        let seen = store.acknowledge_alarm(second, "they know", "ops").unwrap().unwrap();
        assert_eq!(seen.details.acknowledged_by.as_deref(), Some("ops"));
        assert_eq!(store.acknowledge_alarm(99, "", "ops").unwrap(), None);
        let ended = store.end_alarm("gateway_offline", "vendor-a-1", Utc(9), Some(0)).unwrap();
        assert_eq!((ended[0].id, ended[0].details.note.as_str()), (second, "they know"));
        assert!(store.end_alarm("gateway_offline", "vendor-a-1", Utc(10), None).unwrap().is_empty());

        // It is all there after a restart, in pages.
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        let open = store.alarms(true, None, 10).unwrap();
        assert_eq!((open.items.len(), open.items[0].id, open.next), (1, first, None));
        let page = store.alarms(false, None, 1).unwrap();
        assert_eq!((page.items[0].id, page.items[0].ended_at), (second, Some(Utc(9))));
        let page = store.alarms(false, page.next.as_deref(), 1).unwrap();
        assert_eq!((page.items[0].id, page.next), (first, None));
    }

    #[test]
    fn rules_are_defaults_until_set() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut settings = store.alarm_settings().unwrap();
        assert_eq!(settings.rule(Kind::DiskLow), Kind::DiskLow.facts().default);
        let rule = Rule { threshold: 20, clear: 30, ..Kind::DiskLow.facts().default };
        settings.rules.insert("disk_low".into(), rule);
        settings.webhooks.push("http://127.0.0.1:1/".into());
        store.set_alarm_settings(&settings, "ops").unwrap();
        assert_eq!(store.alarm_settings().unwrap(), settings);
        assert_eq!(settings.rule(Kind::DiskLow).threshold, 20);
    }
}
