//! Rules of the fraud watch that are switched on (`SEC-7`).

use crate::audit::{self, Author, Deed};
use crate::sql::Connection;
use crate::store::now_ms;
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use watch::fraud::{Kind, Rule};

const SETTING: &str = "fraud";

/// What is done beside the alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FraudAction {
    #[default]
    Alarm,
    /// The account is locked: it places no more calls.
    LockAccount,
}

/// A rule as it is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FraudRule {
    pub enabled: bool,
    pub action: FraudAction,
    pub rule: Rule,
}

/// Rules that were set, by key of their kind; the others are off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FraudRules(pub BTreeMap<String, FraudRule>);

impl FraudRules {
    pub fn rule(&self, kind: Kind) -> FraudRule {
        let unset = || FraudRule { enabled: false, action: FraudAction::Alarm, rule: kind.default_rule() };
        self.0.get(kind.key()).cloned().unwrap_or_else(unset)
    }
}

impl Store {
    pub fn fraud_rules(&self) -> Result<FraudRules, StoreError> {
        self.read(read)
    }

    pub fn set_fraud_rules(&self, rules: &FraudRules, by: impl Into<Author>) -> Result<(), StoreError> {
        let (by, body) = (by.into(), serde_json::to_string(rules)?);
        let sql = "INSERT INTO setting (name, body) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET body = excluded.body";
        self.write(|db| {
            let before = serde_json::to_string(&read(db)?)?;
            db.run(sql, &[SETTING.into(), (&body).into()])?;
            let deed = Deed {
                action: "update",
                kind: "fraud_rules",
                object: "fraud",
                before: Some(&before),
                after: Some(&body),
            };
            audit::write(db, &by, now_ms(), &deed)
        })
    }
}

fn read(db: &Connection) -> Result<FraudRules, StoreError> {
    let sql = "SELECT body FROM setting WHERE name = ?1";
    let found = db.first(sql, &[SETTING.into()], |row| Ok(serde_json::from_str(row.text(0)?)?))?;
    Ok(found.unwrap_or_default())
}
