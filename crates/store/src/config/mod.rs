//! The configuration as documents: what stands in TOML files, in the bodies of the API and in the database.
//!
//! A document refers to others by name; renaming one follows it everywhere. A new setting is a new field with a
//! serde default and needs no migration. [`Config`] is all of them at one moment, immutable.

mod documents;
mod phone;
mod read;
mod route_checks;
mod routes;
mod secrets;
mod validate;

pub(crate) use documents::moment_text;
pub use documents::{
    Account, AccountKind, AccountStatus, Authentication, CalledSource, CallerSource, MappingGateway, Rate,
    RateGroup, RoutingGateway, Target,
};
pub use phone::Phone;
pub use read::from_json;
pub(crate) use read::{did_you_mean, known_fields};
pub use routes::{
    Calendar, CallerRouting, GatewayGroup, GatewayRouting, ListRules, NumberLimits, NumberList, NumberRule,
    NumberRules, PrefixMode, PrefixRule, ProportionalPrefix, RoutePolicy, ScheduledRewrite, SpecialDay,
    SystemUse,
};
pub(crate) use secrets::Secrets;
pub use secrets::{GatewaySecret, Password};
pub(crate) use validate::{check_parameters, check_rate};

use crate::Problem;
use params::Params;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A document with its key and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored<T> {
    pub id: u32,
    /// Grows by one with each change; for `If-Match`.
    pub version: u64,
    pub document: T,
}

/// A reference to another document by name, that a rename may rewrite.
pub struct Reference<'a> {
    pub kind: &'static str,
    pub name: &'a mut String,
}

/// A kind of document. Closed: the kinds of this crate are all there are.
pub trait Document: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in files and tables, like `mapping_gateway`.
    const KIND: &'static str;
    /// Its name in sentences, like `mapping gateway`.
    const TITLE: &'static str;
    /// Fields that must be given.
    const REQUIRED: &'static [&'static str];
    /// Fields that are read but never written.
    const INPUT_ONLY: &'static [&'static str] = &[];

    /// A document with every field valid, to read single fields against.
    fn example() -> Self;
    fn name(&self) -> &str;
    fn references(&mut self) -> Vec<Reference<'_>>;
    fn table(config: &Config) -> &Table<Self>;
    fn table_mut(config: &mut Config) -> &mut Table<Self>;
    /// Brings what was entered into the form that is stored: passwords are turned into secrets, what is not given
    /// again is taken from the version before.
    fn prepare(&mut self, _before: Option<&Self>, _secrets: &Secrets) -> Vec<Problem> {
        Vec::new()
    }
    /// The currency in which it counts money, for those that hold some.
    fn currency(&self) -> Option<vocab::Currency> {
        None
    }
    /// Money to be paid in when it is created.
    fn opening_balance(&self) -> Option<vocab::Money> {
        None
    }
    /// What is wrong with the document in this configuration, of which it is already a part.
    fn validate(&self, id: u32, config: &Config) -> Vec<Problem>;
}

/// All documents of one kind.
#[derive(Clone, Debug)]
pub struct Table<T> {
    by_id: BTreeMap<u32, Arc<Stored<T>>>,
    by_name: HashMap<String, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { by_id: BTreeMap::new(), by_name: HashMap::new() }
    }
}

impl<T: Document> Table<T> {
    pub fn get(&self, id: u32) -> Option<&Arc<Stored<T>>> {
        self.by_id.get(&id)
    }

    pub fn named(&self, name: &str) -> Option<&Arc<Stored<T>>> {
        self.by_name.get(name).and_then(|id| self.by_id.get(id))
    }

    /// By name, or else by id.
    pub fn find(&self, name_or_id: &str) -> Option<&Arc<Stored<T>>> {
        self.named(name_or_id).or_else(|| self.get(name_or_id.parse().ok()?))
    }

    /// In the order of their ids.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Stored<T>>> {
        self.by_id.values()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn put(&mut self, stored: Arc<Stored<T>>) {
        let name = stored.document.name().to_string();
        self.remove(stored.id);
        self.by_name.insert(name, stored.id);
        self.by_id.insert(stored.id, stored);
    }

    pub(crate) fn remove(&mut self, id: u32) {
        if let Some(old) = self.by_id.remove(&id) {
            self.by_name.remove(old.document.name());
        }
    }
}

/// Version and size of a group's rates, or of a list's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    pub version: u64,
    pub count: u64,
}

/// The whole configuration at one moment. The rates themselves stay in the database and in the snapshots.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Grows with each change of anything.
    pub version: u64,
    /// Digest realm of this data folder.
    pub realm: Arc<str>,
    pub accounts: Table<Account>,
    pub rate_groups: Table<RateGroup>,
    pub mapping_gateways: Table<MappingGateway>,
    pub routing_gateways: Table<RoutingGateway>,
    pub phones: Table<Phone>,
    pub gateway_groups: Table<GatewayGroup>,
    pub calendars: Table<Calendar>,
    pub number_lists: Table<NumberList>,
    /// Parameters that are set, by their own names.
    pub parameters: BTreeMap<String, String>,
    /// All parameters with their defaults.
    pub params: Arc<Params>,
    /// Rates by group id.
    pub sheets: BTreeMap<u32, Sheet>,
    /// Entries by number list.
    pub list_sheets: BTreeMap<u32, Sheet>,
}

impl Config {
    /// Who refers to the document of this kind and name, in words.
    pub(crate) fn references_to(&self, kind: &str, name: &str) -> Vec<String> {
        let mut all = Vec::new();
        each_kind!(T => collect_references(T::table(self), kind, name, &mut all));
        all
    }

    /// The account with this id and, of an agent, all accounts below it (`BIL-9`).
    pub fn below(&self, id: u32) -> std::collections::BTreeSet<u32> {
        let mut found = std::collections::BTreeSet::from([id]);
        let mut names: Vec<&str> =
            self.accounts.get(id).map(|a| a.document.name.as_str()).into_iter().collect();
        while let Some(agent) = names.pop() {
            let own = self.accounts.iter().filter(|a| a.document.agent.as_deref() == Some(agent));
            for account in own {
                if found.insert(account.id) {
                    names.push(&account.document.name);
                }
            }
        }
        found
    }

    /// Host names of routing gateways, which need to be looked up.
    pub fn host_names(&self) -> Vec<String> {
        let names = self.routing_gateways.iter().filter_map(|g| match g.document.target() {
            Some(Target::Name { host, .. }) => Some(host),
            Some(Target::Address(_)) | None => None,
        });
        let unique: std::collections::BTreeSet<String> = names.collect();
        unique.into_iter().collect()
    }
}

/// Does the same for every kind of document, in the order of their references: the one list of kinds.
macro_rules! each_kind {
    ($kind:ident => $do:expr) => {{
        {
            type $kind = $crate::config::Calendar;
            $do
        }
        {
            type $kind = $crate::config::NumberList;
            $do
        }
        {
            type $kind = $crate::config::GatewayGroup;
            $do
        }
        {
            type $kind = $crate::config::RateGroup;
            $do
        }
        {
            type $kind = $crate::config::Account;
            $do
        }
        {
            type $kind = $crate::config::MappingGateway;
            $do
        }
        {
            type $kind = $crate::config::RoutingGateway;
            $do
        }
        {
            type $kind = $crate::config::Phone;
            $do
        }
    }};
}
pub(crate) use each_kind;

/// Does this document refer to the one of this kind and name?
pub(crate) fn refers_to<T: Document>(document: &T, kind: &str, name: &str) -> bool {
    document.clone().references().iter().any(|r| r.kind == kind && r.name == name)
}

fn collect_references<T: Document>(table: &Table<T>, kind: &str, name: &str, all: &mut Vec<String>) {
    let found = table.iter().filter(|s| refers_to(&s.document, kind, name));
    all.extend(found.map(|s| format!("{} {:?}", T::TITLE, s.document.name())));
}
