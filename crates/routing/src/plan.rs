//! The route plan: routing gateways by called prefix, built once and shared.

use smallvec::SmallVec;
use std::sync::Arc;
use vocab::prefix::{PrefixError, pack_prefix};
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
    table: PrefixTable<SmallVec<[u32; 4]>>,
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
        let mut grouped: Vec<(u128, SmallVec<[u32; 4]>)> = Vec::new();
        for (key, index) in entries {
            match grouped.last_mut() {
                Some((last, list)) if *last == key => list.push(index),
                _ => grouped.push((key, SmallVec::from_slice(&[index]))),
            }
        }
        Ok(Plan { gateways, table: PrefixTable::build(grouped) })
    }

    /// Gateways that take the number, longest prefix first, each once with its longest prefix.
    pub(crate) fn matching(&self, digits: &str) -> SmallVec<[(vocab::prefix::Matched, &Arc<Gateway>); 8]> {
        let mut found: SmallVec<[(vocab::prefix::Matched, &Arc<Gateway>); 8]> = SmallVec::new();
        for (prefix, indices) in self.table.matches(digits) {
            for gateway in indices.iter().filter_map(|i| self.gateways.get(*i as usize)) {
                if found.iter().all(|(_, seen)| seen.id != gateway.id) {
                    found.push((prefix, gateway));
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
