use super::*;
use crate::numbers::NumberRule;
use crate::plan::{Guards, PrefixTerms, Terms};
use std::collections::HashMap;
use vocab::AccountId;

#[derive(Default)]
struct World {
    calls: HashMap<u32, u32>,
    cps: HashMap<u32, u32>,
    down: Vec<u32>,
    costs: HashMap<u32, &'static str>,
    turns: HashMap<u32, u64>,
    quality: HashMap<u32, (u32, u32)>,
}

const CLOSED: CalendarId = CalendarId(9);

impl Load for World {
    fn standing(&self, g: &Gateway) -> Standing {
        Standing {
            calls: *self.calls.get(&g.id.0).unwrap_or(&0),
            cps: *self.cps.get(&g.id.0).unwrap_or(&0),
            reachable: !self.down.contains(&g.id.0),
            account_usable: g.account != AccountId(99),
            last_turn: *self.turns.get(&g.id.0).unwrap_or(&0),
            resting_s: 0,
        }
    }

    fn quality(&self, g: &Gateway) -> Quality {
        let known = self.quality.get(&g.id.0).copied();
        known.map_or(Quality::default(), |(asr_permille, acd_s)| Quality { asr_permille, acd_s })
    }

    fn closed(&self, calendar: CalendarId) -> Option<Arc<str>> {
        (calendar == CLOSED).then(|| "office".into())
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
        terms: Terms::default(),
    }
}

fn order(world: &World, gateways: Vec<Gateway>, called: &str) -> (String, Option<EndReason>) {
    by_policies(world, gateways, called, &[], 0)
}

fn by_policies(
    world: &World,
    gateways: Vec<Gateway>,
    called: &str,
    policies: &[Policy],
    pick: u64,
) -> (String, Option<EndReason>) {
    let plan = Plan::build(gateways.into_iter().map(Arc::new).collect()).unwrap();
    let called = DialString::parse(called).unwrap();
    let access = Access {
        groups_forbidden: vec![GatewayGroupId(6)],
        gateways_forbidden: vec![RoutingGatewayId(66)],
        ..Access::default()
    };
    let (from, level) = (MappingGatewayId(1), Some(CallLevel::Domestic));
    let request = Request { caller: "4420", called: &called, from, access: &access, level, policies, pick };
    let d = decide(&plan, &request, world, world);
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

fn three() -> Vec<Gateway> {
    (1..=3).map(|id| gateway(id, &["880"], 1)).collect()
}

#[test]
fn policies_sort_within_prefix_and_priority() {
    let world = World {
        costs: HashMap::from([(1, "0.02"), (2, "0.01"), (3, "0.015")]),
        turns: HashMap::from([(1, 5), (2, 9), (3, 7)]),
        quality: HashMap::from([(1, (400, 60)), (2, (400, 90)), (3, (600, 10))]),
        calls: HashMap::from([(1, 5), (2, 2), (3, 4)]),
        ..World::default()
    };
    let limited = || {
        let mut all = three();
        all.iter_mut().zip([10, 3, 20]).for_each(|(g, limit)| g.max_concurrency = Some(limit));
        all
    };
    for (policies, want) in [
        (&[][..], "v3 v1 v2"),
        (&[Policy::Fixed], "v1 v2 v3"),
        (&[Policy::Cost], "v2 v3 v1"),
        (&[Policy::Quality], "v3 v2 v1"),
        (&[Policy::RoundRobin], "v1 v3 v2"),
        (&[Policy::LeastLoaded], "v3 v1 v2"),
        (&[Policy::Quality, Policy::Cost], "v3 v2 v1"),
    ] {
        assert_eq!(by_policies(&world, limited(), "8801", policies, 0).0, want, "{policies:?}");
    }
    let mut all = limited();
    all[0].priority = 0;
    assert_eq!(by_policies(&world, all, "8801", &[Policy::Cost], 0).0, "v1 v2 v3", "priority comes first");
}

#[test]
fn weights_are_shares_of_the_traffic() {
    let world = World::default();
    let mut first = HashMap::new();
    for pick in 0..6000 {
        let mut all = three();
        all.iter_mut().zip([1, 2, 3]).for_each(|(g, weight)| g.terms.weight = weight);
        let (order, _) = by_policies(&world, all, "8801", &[Policy::Weight], pick);
        assert_eq!(order.len(), 8, "everyone stays a candidate");
        *first.entry(order[..2].to_owned()).or_insert(0) += 1;
    }
    for (name, share) in [("v1", 1000), ("v2", 2000), ("v3", 3000)] {
        assert!((share - 150..share + 150).contains(&first[name]), "{first:?}");
    }
}

#[test]
fn the_first_of_a_prefix_decides_whether_shorter_ones_follow() {
    let world = World::default();
    type Change = fn(&mut [Gateway]);
    let rows: &[(&str, Change, &str)] = &[
        ("all continue", |_| (), "v1 v2 v3 v4"),
        ("the first terminates", |g| g[0].terms.mode = PrefixMode::Terminate, "v1 v2"),
        ("only the second would", |g| g[1].terms.mode = PrefixMode::Terminate, "v1 v2 v3 v4"),
        ("a shorter one does", |g| g[2].terms.mode = PrefixMode::Terminate, "v1 v2 v3"),
        (
            "one that is off decides nothing",
            |g| {
                g[0].terms.mode = PrefixMode::Terminate;
                g[0].enabled = false;
            },
            "v2 v3 v4",
        ),
        (
            "one that is full does",
            |g| {
                g[0].terms.mode = PrefixMode::Terminate;
                g[0].max_concurrency = Some(0);
            },
            "v2",
        ),
        (
            "by the prefix's own mode",
            |g| g[0].terms.prefixes = vec![terms("900800", None, Some(PrefixMode::Terminate), None)],
            "v1",
        ),
        (
            "by the prefix's own priority",
            |g| g[1].terms.prefixes = vec![terms("9008", Some(0), None, None)],
            "v2 v1 v3 v4",
        ),
        (
            "out of hours the next prefix holds",
            |g| g[1].terms.prefixes = vec![terms("900800", None, None, Some(CLOSED))],
            "v1 v2 v3 v4",
        ),
    ];
    for (name, change, want) in rows {
        let mut all = vec![
            gateway(1, &["9008"], 1),
            gateway(2, &["9008"], 2),
            gateway(3, &["900"], 1),
            gateway(4, &["9"], 1),
        ];
        change(&mut all);
        assert_eq!(order(&world, all, "90080001").0, *want, "{name}");
    }
}

fn terms(
    prefix: &str,
    priority: Option<u32>,
    mode: Option<PrefixMode>,
    calendar: Option<CalendarId>,
) -> PrefixTerms {
    PrefixTerms { prefix: prefix.to_owned(), priority, mode, calendar }
}

#[test]
fn rules_about_callers_levels_and_numbers() {
    use EndReason::*;
    type Change = fn(&mut Gateway);
    let rows: &[(&str, Change, Option<EndReason>)] = &[
        ("its group is forbidden", |g| g.terms.groups.push(GatewayGroupId(6)), Some(NoAvailableRouter)),
        ("itself is forbidden", |g| g.id = RoutingGatewayId(66), Some(NoAvailableRouter)),
        ("another group is not", |g| g.terms.groups.push(GatewayGroupId(7)), None),
        (
            "it takes calls of others",
            |g| g.terms.callers_allowed.push(MappingGatewayId(2)),
            Some(NoAvailableRouter),
        ),
        ("it takes calls of this one", |g| g.terms.callers_allowed.push(MappingGatewayId(1)), None),
        (
            "it does not take calls of this one",
            |g| g.terms.callers_forbidden.push(MappingGatewayId(1)),
            Some(NoAvailableRouter),
        ),
        ("too far", |g| g.terms.call_level = Some(CallLevel::Local), Some(NoAvailableRouter)),
        ("far enough", |g| g.terms.call_level = Some(CallLevel::Domestic), None),
        (
            "the caller's number is denied",
            |g| g.terms.numbers.caller = NumberRule { denied: vec!["44".into()], ..NumberRule::default() },
            Some(NoAvailableRouter),
        ),
        (
            "its only prefix is out of hours",
            |g| {
                g.prefixes.clear();
                g.terms.prefixes = vec![terms("880", None, None, Some(CLOSED))];
            },
            Some(AllGatewaysOffline),
        ),
    ];
    for (name, change, want) in rows {
        let mut g = gateway(1, &["880"], 1);
        change(&mut g);
        assert_eq!(order(&World::default(), vec![g], "8801").1, *want, "{name}");
    }
    let mut all = three();
    all[0].terms.protected = true;
    assert_eq!(order(&World::default(), all, "8801").0, "v2 v3 v1", "the reserve comes last");
}
