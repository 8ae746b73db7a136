//! The route plan: routing gateways by called prefix, built once and shared.

use smallvec::{SmallVec, smallvec};
use std::collections::HashMap;
use std::sync::Arc;
use vocab::prefix::{Matched, PrefixError, pack_prefix};
use vocab::{AccountId, PrefixTable, Price, RoutingGatewayId};

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Match {
    pub prefix: Matched,
    /// Its place among [`Plan::gateways`].
    pub index: u32,
}

impl Plan {
    /// Builds the plan; a prefix that cannot work is an error that names the gateway.
    pub fn build(gateways: Vec<Arc<Gateway>>) -> Result<Plan, (Arc<str>, PrefixError)> {
        let mut entries: Vec<(u128, u32)> = Vec::new();
        for (index, gateway) in (0u32..).zip(&gateways) {
            for prefix in &gateway.prefixes {
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

    /// Gateways that take the number, longest prefix first, each once with its longest prefix.
    pub(crate) fn matching(&self, digits: &str) -> SmallVec<[Match; 16]> {
        let mut found: SmallVec<[Match; 16]> = SmallVec::new();
        let mut seen: SmallVec<[u64; 8]> = smallvec![0; self.gateways.len().div_ceil(64)];
        for (prefix, run) in self.table.matches(digits) {
            let list = self.takers.iter().skip(run.start as usize).take(run.length as usize);
            for index in list.copied() {
                let Some(word) = seen.get_mut(index as usize / 64) else { continue };
                let bit = 1 << (index % 64);
                if *word & bit == 0 {
                    *word |= bit;
                    found.push(Match { prefix, index });
                }
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
