//! One decision: match, filter, sort, explain.

use crate::plan::{Gateway, Plan};
use smallvec::SmallVec;
use std::cmp::{Ordering, Reverse};
use std::sync::Arc;
use vocab::explain::{CandidateNote, Verdict};
use vocab::prefix::Matched;
use vocab::{DialString, EndReason, Price};

/// Live load, as the brain counts it.
pub trait Load {
    fn standing(&self, gateway: &Gateway) -> Standing;
}

/// How a gateway stands at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Calls in progress on the gateway.
    pub calls: u32,
    /// Calls sent to the gateway in the current second.
    pub cps: u32,
    pub reachable: bool,
    /// Is the vendor's account usable (not locked, not expired)?
    pub account_usable: bool,
}

/// Prices of this call.
pub trait Market {
    /// The clearing price of the gateway's account for the number.
    fn offer(&self, gateway: &Gateway) -> Offer;
}

/// What carrying the call through a gateway would cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The account has no rate for this number, or it is locked.
    NoRate,
    /// Per minute; the margin is against the customer's price of this call.
    PerMinute { cost: Price, margin: Price },
    /// Priced, but in another currency than the customer's: the margin is unknown.
    OtherCurrency { cost: Price },
}

/// A gateway to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub gateway: Arc<Gateway>,
    /// Length of the prefix that matched.
    pub prefix_length: u32,
}

/// Gateways in the order to try, what was thought of each, and the end reason when none is left.
#[derive(Clone, Debug)]
pub struct Decision {
    pub ranked: Vec<Candidate>,
    pub notes: Vec<CandidateNote>,
    pub failure: Option<EndReason>,
}

/// A gateway under consideration.
struct Judged<'a> {
    gateway: &'a Arc<Gateway>,
    prefix: Matched,
    offer: Offer,
    verdict: Verdict,
    free: u32,
}

impl Judged<'_> {
    fn kept(&self) -> bool {
        self.verdict == Verdict::Kept
    }

    /// Kept ones first, then by prefix length, priority, free capacity, name (`RTE-4`).
    fn compare(&self, other: &Judged<'_>) -> Ordering {
        let order =
            |j: &Judged<'_>| (!j.kept(), Reverse(j.prefix.len()), j.gateway.priority, Reverse(j.free));
        order(self).cmp(&order(other)).then_with(|| self.gateway.name.cmp(&other.gateway.name))
    }

    fn note(self) -> CandidateNote {
        let (cost, margin) = match self.offer {
            Offer::NoRate => (None, None),
            Offer::PerMinute { cost, margin } => (Some(cost), Some(margin)),
            Offer::OtherCurrency { cost } => (Some(cost), None),
        };
        CandidateNote {
            gateway: self.gateway.id,
            name: self.gateway.name.clone(),
            account: self.gateway.account,
            prefix: self.prefix,
            priority: self.gateway.priority,
            cost_per_minute: cost,
            margin_per_minute: margin,
            verdict: self.verdict,
        }
    }
}

/// Ranks the gateways for a number.
pub fn decide(plan: &Plan, called: &DialString, load: &dyn Load, market: &dyn Market) -> Decision {
    let matching = plan.matching(called.digits());
    let mut judged: SmallVec<[Judged<'_>; 16]> = SmallVec::new();
    for found in matching {
        let Some(gateway) = plan.gateways().get(found.index as usize) else { continue };
        let standing = load.standing(gateway);
        let offer = market.offer(gateway);
        judged.push(Judged {
            gateway,
            prefix: found.prefix,
            offer,
            verdict: judge(gateway, &standing, offer),
            free: gateway.max_concurrency.unwrap_or(u32::MAX).saturating_sub(standing.calls),
        });
    }
    judged.sort_unstable_by(Judged::compare);
    let failure = failure_of(&judged);
    let ranked = judged
        .iter()
        .take_while(|j| j.kept())
        .map(|j| Candidate { gateway: j.gateway.clone(), prefix_length: j.prefix.len() })
        .collect();
    Decision { ranked, notes: judged.into_iter().map(Judged::note).collect(), failure }
}

/// The first rule that speaks against the gateway.
fn judge(gateway: &Gateway, standing: &Standing, offer: Offer) -> Verdict {
    if !gateway.enabled {
        return Verdict::Disabled;
    }
    if !standing.account_usable {
        return Verdict::AccountUnusable;
    }
    if !standing.reachable {
        return Verdict::Unreachable;
    }
    if let Some(verdict) = judge_price(gateway, offer) {
        return verdict;
    }
    judge_load(gateway, standing)
}

/// Is there room on the gateway at this moment? Asked again just before each attempt.
pub fn judge_load(gateway: &Gateway, standing: &Standing) -> Verdict {
    let Standing { calls, cps, .. } = *standing;
    if let Some(limit) = gateway.max_concurrency.filter(|limit| calls >= *limit) {
        return Verdict::ConcurrencyFull { calls, limit };
    }
    if let Some(limit) = gateway.max_cps.filter(|limit| cps >= *limit) {
        return Verdict::CpsFull { cps, limit };
    }
    Verdict::Kept
}

fn judge_price(gateway: &Gateway, offer: Offer) -> Option<Verdict> {
    let guards = &gateway.guards;
    let cost = match offer {
        Offer::NoRate => return guards.check_rate.then_some(Verdict::NoClearingRate),
        Offer::PerMinute { cost, .. } | Offer::OtherCurrency { cost } => cost,
    };
    if let Some(highest) = guards.max_price_per_minute.filter(|highest| cost > *highest) {
        return Some(Verdict::PriceTooHigh { price: cost, highest });
    }
    let lowest = guards.lowest_profit_per_minute?;
    match offer {
        Offer::PerMinute { margin, .. } if margin < lowest => Some(Verdict::MarginTooLow { margin, lowest }),
        Offer::OtherCurrency { .. } => Some(Verdict::CurrencyDiffers),
        Offer::PerMinute { .. } | Offer::NoRate => None,
    }
}

/// `RTE-13`: the reasons are distinct. Room beats price beats reach: the most hopeful obstacle is named.
fn failure_of(judged: &[Judged<'_>]) -> Option<EndReason> {
    let any = |f: fn(&Verdict) -> bool| judged.iter().any(|j| f(&j.verdict));
    if judged.is_empty() {
        return Some(EndReason::NoAvailableRouter);
    }
    if any(|v| *v == Verdict::Kept) {
        return None;
    }
    if any(|v| matches!(v, Verdict::ConcurrencyFull { .. } | Verdict::CpsFull { .. })) {
        return Some(EndReason::AllGatewaysBusy);
    }
    let by_price = |v: &Verdict| {
        matches!(
            v,
            Verdict::MarginTooLow { .. }
                | Verdict::PriceTooHigh { .. }
                | Verdict::NoClearingRate
                | Verdict::CurrencyDiffers
        )
    };
    Some(if any(by_price) { EndReason::AllGatewaysRefusedByMargin } else { EndReason::AllGatewaysOffline })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Guards;
    use std::collections::HashMap;
    use vocab::{AccountId, RoutingGatewayId};

    #[derive(Default)]
    struct World {
        calls: HashMap<u32, u32>,
        cps: HashMap<u32, u32>,
        down: Vec<u32>,
        costs: HashMap<u32, &'static str>,
    }

    impl Load for World {
        fn standing(&self, g: &Gateway) -> Standing {
            Standing {
                calls: *self.calls.get(&g.id.0).unwrap_or(&0),
                cps: *self.cps.get(&g.id.0).unwrap_or(&0),
                reachable: !self.down.contains(&g.id.0),
                account_usable: g.account != AccountId(99),
            }
        }
    }

    impl Market for World {
        /// The customer always pays 0.03.
        fn offer(&self, g: &Gateway) -> Offer {
            let Some(cost) = self.costs.get(&g.id.0) else { return Offer::NoRate };
            let cost = Price::parse(cost).unwrap();
            Offer::PerMinute { cost, margin: Price(Price::parse("0.03").unwrap().0 - cost.0) }
        }
    }

    fn gateway(id: u32, prefixes: &[&str], priority: u32) -> Gateway {
        Gateway {
            id: RoutingGatewayId(id),
            name: format!("v{id}").into(),
            account: AccountId(1),
            enabled: true,
            prefixes: prefixes.iter().map(|p| p.to_string()).collect(),
            priority,
            max_concurrency: None,
            max_cps: None,
            guards: Guards::default(),
        }
    }

    fn order(world: &World, gateways: Vec<Gateway>, called: &str) -> (String, Option<EndReason>) {
        let plan = Plan::build(gateways.into_iter().map(Arc::new).collect()).unwrap();
        let d = decide(&plan, &DialString::parse(called).unwrap(), world, world);
        let names: Vec<_> = d.ranked.iter().map(|c| c.gateway.name.to_string()).collect();
        (names.join(" "), d.failure)
    }

    #[test]
    fn longest_prefix_then_priority_then_free_capacity_then_name() {
        let mut world = World::default();
        let all = || {
            vec![
                gateway(1, &["880"], 1),
                gateway(2, &["88017"], 5),
                gateway(3, &["880", "88017"], 7),
                gateway(4, &[""], 0),
                gateway(5, &["44"], 0),
            ]
        };
        assert_eq!(order(&world, all(), "8801712345678").0, "v2 v3 v1 v4");
        assert_eq!(order(&world, all(), "+8801712345678").0, "v2 v3 v1 v4");
        assert_eq!(order(&world, all(), "8802").0, "v1 v3 v4");
        let mut equal = vec![gateway(1, &["880"], 1), gateway(2, &["880"], 1)];
        assert_eq!(order(&world, equal.clone(), "8801").0, "v1 v2");
        world.calls.insert(1, 4);
        equal.iter_mut().for_each(|g| g.max_concurrency = Some(10));
        assert_eq!(order(&world, equal, "8801").0, "v2 v1");
    }

    /// One row per rule of `RTE-5`, `RTE-7`, `RTE-13`.
    #[test]
    fn reasons_for_leaving_a_gateway_out() {
        use EndReason::*;
        type Change = fn(&mut Gateway, &mut World);
        let rows: &[(&str, Change, Option<EndReason>)] = &[
            ("plain", |_, _| (), None),
            ("disabled", |g, _| g.enabled = false, Some(AllGatewaysOffline)),
            ("unreachable", |_, w| w.down.push(1), Some(AllGatewaysOffline)),
            ("vendor locked", |g, _| g.account = AccountId(99), Some(AllGatewaysOffline)),
            (
                "below the concurrency limit",
                |g, w| {
                    g.max_concurrency = Some(3);
                    w.calls.insert(1, 2);
                },
                None,
            ),
            (
                "at the concurrency limit",
                |g, w| {
                    g.max_concurrency = Some(3);
                    w.calls.insert(1, 3);
                },
                Some(AllGatewaysBusy),
            ),
            (
                "at the CPS limit",
                |g, w| {
                    g.max_cps = Some(2);
                    w.cps.insert(1, 2);
                },
                Some(AllGatewaysBusy),
            ),
            (
                "no clearing rate, not checked",
                |_, w| {
                    w.costs.clear();
                },
                None,
            ),
            (
                "no clearing rate, checked",
                |g, w| {
                    w.costs.clear();
                    g.guards.check_rate = true;
                },
                Some(AllGatewaysRefusedByMargin),
            ),
            (
                "margin exactly at the floor",
                |g, _| g.guards.lowest_profit_per_minute = Some(Price::parse("0.01").unwrap()),
                None,
            ),
            (
                "margin below the floor",
                |g, _| g.guards.lowest_profit_per_minute = Some(Price::parse("0.0101").unwrap()),
                Some(AllGatewaysRefusedByMargin),
            ),
            (
                "negative floor allowed",
                |g, w| {
                    w.costs.insert(1, "0.031");
                    g.guards.lowest_profit_per_minute = Some(Price::parse("-0.001").unwrap());
                },
                None,
            ),
            (
                "negative margin refused",
                |g, w| {
                    w.costs.insert(1, "0.031");
                    g.guards.lowest_profit_per_minute = Some(Price::ZERO);
                },
                Some(AllGatewaysRefusedByMargin),
            ),
            (
                "dearer than allowed",
                |g, _| g.guards.max_price_per_minute = Some(Price::parse("0.0199").unwrap()),
                Some(AllGatewaysRefusedByMargin),
            ),
        ];
        for (name, change, want) in rows {
            let mut world = World { costs: HashMap::from([(1, "0.02")]), ..World::default() };
            let mut g = gateway(1, &["880"], 1);
            change(&mut g, &mut world);
            let (ranked, failure) = order(&world, vec![g], "8801");
            assert_eq!((failure, ranked.is_empty()), (*want, want.is_some()), "{name}");
        }
        assert_eq!(order(&World::default(), vec![gateway(1, &["44"], 1)], "8801").1, Some(NoAvailableRouter));
    }
}
