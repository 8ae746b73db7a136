//! Phones: one user's number, password and wishes (`SIG-9`).

use super::documents::{own_names, rate_groups, texts, yes};
use super::{Account, Config, Document, GatewaySecret, Password, Reference, Secrets, Table, validate};
use crate::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vocab::CallLevel;

/// Who has a number of ours, registers and calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phone {
    /// Its number; also what it registers.
    pub number: String,
    /// Who pays for its calls.
    pub account: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The name in the digest; the number when absent.
    #[serde(default)]
    pub username: Option<String>,
    /// Entered in clear, kept as [`GatewaySecret`].
    #[serde(default, skip_serializing)]
    pub password: Option<Password>,
    #[serde(default)]
    pub secret: Option<GatewaySecret>,
    /// Shown to those whom it calls; the number when absent.
    #[serde(default)]
    pub display_number: Option<String>,
    /// Calls from and to it at once.
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    /// Devices that may be registered at once.
    #[serde(default = "five")]
    pub max_contacts: u32,
    /// Prefixes that it may call; empty: all.
    #[serde(default)]
    pub allowed_destinations: Vec<String>,
    #[serde(default)]
    pub forward_always: Option<String>,
    #[serde(default)]
    pub forward_busy: Option<String>,
    #[serde(default)]
    pub forward_no_answer: Option<String>,
    #[serde(default)]
    pub forward_not_reachable: Option<String>,
    /// Seconds that it rings.
    #[serde(default)]
    pub ring_seconds: Option<u32>,
    /// Callers hear busy, or what `forward_busy` says.
    #[serde(default)]
    pub do_not_disturb: bool,
    /// Rates of this phone, which stand before those of the account.
    #[serde(default)]
    pub rate_group: Option<String>,
    /// The farthest destinations that it may call.
    #[serde(default)]
    pub call_level: Option<CallLevel>,
    #[serde(default, deserialize_with = "texts")]
    pub parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub notes: String,
}

fn five() -> u32 {
    5
}

impl Phone {
    /// What it says in the digest.
    pub fn username(&self) -> &str {
        self.username.as_deref().filter(|u| !u.is_empty()).unwrap_or(&self.number)
    }
}

impl Document for Phone {
    const KIND: &'static str = "phone";
    const TITLE: &'static str = "phone";
    const REQUIRED: &'static [&'static str] = &["number", "account"];
    const INPUT_ONLY: &'static [&'static str] = &["password"];

    fn example() -> Phone {
        Phone {
            number: "1".into(),
            account: "x".into(),
            enabled: true,
            username: None,
            password: None,
            secret: None,
            display_number: None,
            max_concurrency: None,
            max_contacts: five(),
            allowed_destinations: Vec::new(),
            forward_always: None,
            forward_busy: None,
            forward_no_answer: None,
            forward_not_reachable: None,
            ring_seconds: None,
            do_not_disturb: false,
            rate_group: None,
            call_level: None,
            parameters: BTreeMap::new(),
            notes: String::new(),
        }
    }

    fn name(&self) -> &str {
        &self.number
    }

    fn references(&mut self) -> Vec<Reference<'_>> {
        let mut all = rate_groups([&mut self.rate_group]);
        all.push(Reference { kind: Account::KIND, name: &mut self.account });
        all
    }

    fn table(config: &Config) -> &Table<Phone> {
        &config.phones
    }

    fn table_mut(config: &mut Config) -> &mut Table<Phone> {
        &mut config.phones
    }

    /// HA1 is over the name as well (RFC 7616 §3.4.2), so another name needs the password again.
    fn prepare(&mut self, before: Option<&Phone>, secrets: &Secrets) -> Vec<Problem> {
        own_names(&mut self.parameters);
        if let Some(password) = self.password.take() {
            self.secret = Some(secrets.digest(self.username(), &password));
        }
        let Some(before) = before.filter(|_| self.secret.is_none()) else { return Vec::new() };
        if before.secret.is_some() && before.username() != self.username() {
            return vec![Problem::new("password", "another username needs the password again")];
        }
        self.secret.clone_from(&before.secret);
        Vec::new()
    }

    fn validate(&self, id: u32, config: &Config) -> Vec<Problem> {
        validate::phone(self, id, config)
    }
}
