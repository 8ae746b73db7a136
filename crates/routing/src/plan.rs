//! The route plan: routing gateways by called prefix, built once and shared.

use crate::numbers::NumberRules;
use smallvec::{SmallVec, smallvec};
use std::collections::HashMap;
use std::sync::Arc;
use vocab::prefix::{Matched, PrefixError, pack_prefix};
use vocab::{
    AccountId, CalendarId, CallLevel, GatewayGroupId, MappingGatewayId, PrefixTable, Price, RoutingGatewayId,
};

/// What routing needs to know of a routing gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub id: RoutingGatewayId,
    pub name: Arc<str>,
    /// The vendor's clearing account.
    pub account: AccountId,
    pub enabled: bool,
    /// Called prefixes that it takes; the empty prefix takes everything.
    pub prefixes: Vec<String>,
    /// Lower is tried first.
    pub priority: u32,
    pub max_concurrency: Option<u32>,
    pub max_cps: Option<u32>,
    pub guards: Guards,
    pub terms: Terms,
}

/// Margin guards of one gateway (`RTE-7`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Price of the caller minus price of clearing, per minute, may not be below this. May be negative.
    pub lowest_profit_per_minute: Option<Price>,
    /// Clearing price per minute may not be above this.
    pub max_price_per_minute: Option<Price>,
    /// Leave the gateway out when its account has no clearing rate for the number.
    pub check_rate: bool,
}

/// What a gateway takes, from whom and when, and how it stands among others. The default restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What happens after the gateways of its prefix have failed.
    pub mode: PrefixMode,
    /// Prefixes with terms of their own, besides [`Gateway::prefixes`]; sorted by [`PrefixTerms::prefix`].
    pub prefixes: Vec<PrefixTerms>,
    pub groups: Vec<GatewayGroupId>,
    /// Free lines of a group that are left for its other gateways.
    pub reserved_lines: u32,
    /// Its share of the traffic among others of its rank, with the policy that goes by weight; 0 counts as 1.
    pub weight: u32,
    /// The farthest destinations that it is used for.
    pub call_level: Option<CallLevel>,
    pub numbers: NumberRules,
    /// Mapping gateways whose calls it takes; empty: all.
    pub callers_allowed: Vec<MappingGatewayId>,
    pub callers_forbidden: Vec<MappingGatewayId>,
    /// A reserve, used when the others are exhausted (`RTE-8`).
    pub protected: bool,
    /// When it is used; `None`: always.
    pub calendar: Option<CalendarId>,
}

/// Whether shorter prefixes are tried after those of the longest have failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrefixMode {
    /// They are ("extension").
    #[default]
    Continue,
    Terminate,
}

/// One prefix of a gateway, with terms of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixTerms {
    pub prefix: String,
    pub priority: Option<u32>,
    pub mode: Option<PrefixMode>,
    /// When it is used; outside of it shorter prefixes of the gateway hold.
    pub calendar: Option<CalendarId>,
}

impl Gateway {
    /// All prefixes, whatever their terms.
    pub fn all_prefixes(&self) -> impl Iterator<Item = &String> {
        self.prefixes.iter().chain(self.terms.prefixes.iter().map(|p| &p.prefix))
    }

    /// The terms of the prefix that matched, when it has some.
    pub(crate) fn terms_of(&self, matched: Matched) -> Option<&PrefixTerms> {
        if self.terms.prefixes.is_empty() {
            return None;
        }
        matched.with_text(|text| {
            let found = self.terms.prefixes.binary_search_by(|p| p.prefix.as_str().cmp(text));
            found.ok().and_then(|i| self.terms.prefixes.get(i))
        })
    }
}

/// Gateways by prefix.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    gateways: Vec<Arc<Gateway>>,
    table: PrefixTable<Run>,
    /// Gateways beneath prefixes. Equal lists, of which there are many, stand here once.
    takers: Vec<u32>,
}

/// A piece of [`Plan::takers`].
#[derive(Clone, Copy, Debug)]
struct Run {
    start: u32,
    length: u32,
}

/// A gateway that takes the number, by the longest of its prefixes.
#[derive(Clone, Copy)]
pub(crate) struct Match<'a> {
    pub prefix: Matched,
    pub gateway: &'a Arc<Gateway>,
    pub terms: Option<&'a PrefixTerms>,
}

impl Plan {
    /// Builds the plan; a prefix that cannot work is an error that names the gateway.
    pub fn build(gateways: Vec<Arc<Gateway>>) -> Result<Plan, (Arc<str>, PrefixError)> {
        let mut entries: Vec<(u128, u32)> = Vec::new();
        for (index, gateway) in (0u32..).zip(&gateways) {
            for prefix in gateway.all_prefixes() {
                let key = pack_prefix(prefix).map_err(|e| (gateway.name.clone(), e))?;
                entries.push((key, index));
            }
        }
        entries.sort_unstable();
        entries.dedup();
        let mut takers = Vec::new();
        let mut known: HashMap<Vec<u32>, Run> = HashMap::new();
        let mut runs = Vec::new();
        for group in entries.chunk_by(|(a, _), (b, _)| a == b) {
            let list: Vec<u32> = group.iter().map(|(_, index)| *index).collect();
            let run = *known.entry(list).or_insert_with_key(|list| {
                let start = u32::try_from(takers.len()).unwrap_or(u32::MAX);
                takers.extend_from_slice(list);
                Run { start, length: u32::try_from(list.len()).unwrap_or(0) }
            });
            runs.extend(group.first().map(|(key, _)| (*key, run)));
        }
        Ok(Plan { gateways, table: PrefixTable::build(runs), takers })
    }

    /// Gateways that take the number, longest prefix first, each once with the longest of its prefixes whose
    /// calendar is open; with the longest of all where none is.
    pub(crate) fn matching(
        &self,
        digits: &str,
        is_open: impl Fn(CalendarId) -> bool,
    ) -> SmallVec<[Match<'_>; 16]> {
        let mut found: SmallVec<[Match<'_>; 16]> = SmallVec::new();
        let mut closed: SmallVec<[(u32, Match<'_>); 2]> = SmallVec::new();
        let mut seen: SmallVec<[u64; 8]> = smallvec![0; self.gateways.len().div_ceil(64)];
        for (prefix, run) in self.table.matches(digits) {
            let list = self.takers.iter().skip(run.start as usize).take(run.length as usize);
            for index in list.copied() {
                let Some(word) = seen.get_mut(index as usize / 64) else { continue };
                let bit = 1 << (index % 64);
                if *word & bit != 0 {
                    continue;
                }
                let Some(gateway) = self.gateways.get(index as usize) else { continue };
                let terms = gateway.terms_of(prefix);
                let this = Match { prefix, gateway, terms };
                if terms.and_then(|t| t.calendar).is_some_and(|calendar| !is_open(calendar)) {
                    closed.push((index, this));
                    continue;
                }
                *word |= bit;
                found.push(this);
            }
        }
        for (index, this) in closed {
            let Some(word) = seen.get_mut(index as usize / 64) else { continue };
            let bit = 1 << (index % 64);
            if *word & bit == 0 {
                *word |= bit;
                found.push(this);
            }
        }
        found
    }

    pub fn gateways(&self) -> &[Arc<Gateway>] {
        &self.gateways
    }

    /// Number of prefixes.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}
