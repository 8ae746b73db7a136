//! In which order gateways of one prefix length and priority are tried (`RTE-4`).

use crate::decide::{Load, Offer};
use crate::plan::Gateway;
use smallvec::SmallVec;
use std::sync::Arc;
use vocab::Random;

/// What gateways of the same prefix length and priority are sorted by. Ties are broken by free capacity, then name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// As they stand in the configuration.
    Fixed,
    /// Each gets its share of the traffic.
    Weight,
    /// The cheapest first.
    Cost,
    /// The best answer-seizure ratio first, then the longest calls.
    Quality,
    /// The one that has waited longest for a call first.
    RoundRobin,
    /// The one with the smallest part of its lines in use first.
    LeastLoaded,
}

/// How attempts of late on a gateway went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Answered of a thousand attempts.
    pub asr_permille: u32,
    pub acd_s: u32,
}

impl Default for Quality {
    /// Nothing is known: the gateway gets its chance.
    fn default() -> Quality {
        Quality { asr_permille: 1000, acd_s: 0 }
    }
}

/// Policies of one decision: the first, the second, and what the system adds.
pub(crate) type Ranks = SmallVec<[i64; 2]>;

/// What a policy makes of a gateway: the lower, the earlier. `place` is its place in the configuration, `lot` what was
/// drawn for it.
pub(crate) fn rank(
    policy: Policy,
    gateway: &Gateway,
    offer: Offer,
    load: &dyn Load,
    standing: &crate::Standing,
    lot: u32,
) -> i64 {
    match policy {
        Policy::Fixed => i64::from(gateway.id.0),
        Policy::Weight => i64::from(lot),
        Policy::Cost => match offer {
            Offer::NoRate => i64::MAX,
            Offer::PerMinute { cost, .. } | Offer::OtherCurrency { cost } => cost.0,
        },
        Policy::Quality => {
            let quality = load.quality(gateway);
            -(i64::from(quality.asr_permille) << 32 | i64::from(quality.acd_s))
        }
        Policy::RoundRobin => i64::try_from(standing.last_turn).unwrap_or(i64::MAX),
        Policy::LeastLoaded => {
            let used = match gateway.max_concurrency {
                Some(limit) => i64::from(standing.calls) * 1_000_000 / i64::from(limit.max(1)),
                None => 0,
            };
            used << 32 | i64::from(standing.calls)
        }
    }
}

/// Draws an order in which each gateway comes first as often as its weight says, and likewise among those that are
/// left. The order holds within any part of the gateways, too.
pub(crate) fn lots(gateways: &[&Arc<Gateway>], pick: u64) -> Vec<u32> {
    let mut lots = vec![u32::MAX; gateways.len()];
    let weight = |g: &Arc<Gateway>| u64::from(g.terms.weight.max(1));
    let mut total: u64 = gateways.iter().map(|g| weight(g)).sum();
    let mut draw = Random::from_number(pick);
    for turn in 0..u32::try_from(gateways.len()).unwrap_or(u32::MAX) {
        let mut at = draw.below(total);
        for (lot, gateway) in lots.iter_mut().zip(gateways) {
            if *lot != u32::MAX {
                continue;
            }
            let share = weight(gateway);
            if at < share {
                *lot = turn;
                total -= share;
                break;
            }
            at -= share;
        }
    }
    lots
}
