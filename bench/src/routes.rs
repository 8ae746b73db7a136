//! Routing decisions and rate look-ups over very large decks.

use crate::Outcome;
use crate::business::{
    CUSTOMER, Code, MOST_DIGITS, Numbers, TRUNK, account, codes, deck, gateway, rate_group, routing_gateway,
    trunk,
};
use crate::clock::{memory_available, nanoseconds};
use crate::ground::Ground;
use crate::heap::kept;
use crate::report::{Section, Table, figure, grouped, times};
use billing::Zone;
use billing::ledger::Book;
use billing::rate::RateTable;
use routing::{Access, Gateway, Load, Market, Offer, Plan, Request, Standing};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use switch::interface::MediaAddressing;
use switch::{
    ControlId, ControlReply, ControlRequest, Input, Output, Restore, Snapshot, Switch, SwitchConfig,
};
use vocab::prefix::Packed;
use vocab::{AccountId, DialString, Money, Now, Price, RoutingGatewayId, Tick, Utc};

const VENDORS: usize = 200;
/// Vendors that sell each code.
const SELLERS: usize = 8;

pub fn run(ground: &Ground) -> Outcome<Section> {
    let sizes: &[usize] = if ground.quick { &[100_000] } else { &[1_000_000, 10_000_000] };
    let mut section = Section::new(&format!(
        "One thread, random numbers, so that most of what is touched is in no cache. Rate look-up: the longest of n \
         prefixes of one deck. Decision: {VENDORS} vendors with n prefixes in all, each code sold by {SELLERS} of them, \
         every vendor with a deck of its own; all candidates are priced, judged, sorted and explained. The floors answer \
         the same question from the simplest fitting containers of the standard library: a hash map (with a \
         multiplying hash) probed once for each length, and a B-tree; for decisions such a hash map that holds \
         vendors and prices beneath each prefix, no checks, no explanation.",
    ));
    let columns = ["prefixes", "", "ns", "to the floor", "memory MiB", "bytes a prefix"];
    let mut tables = [Table::new(&columns), Table::new(&columns)];
    let mut figures = Vec::new();
    for size in sizes.iter().copied() {
        // Measured: about 400 bytes a prefix at the highest point.
        if memory_available()? < size as u64 * 600 {
            section.invalid(&format!("too little memory for {} prefixes", grouped(size as u64)));
            continue;
        }
        let world = World::build(size)?;
        let rows = world.rates()?;
        add(&mut tables[0], size, &rows, &mut figures, "rate look-up");
        let (rows, candidates) = world.decisions(&mut section)?;
        add(&mut tables[1], size, &rows, &mut figures, "decision");
        section.note(format!(
            "{} prefixes: {} gateways matched a number on average.",
            grouped(size as u64),
            figure(candidates)
        ));
    }
    let all = decide_among_all()?;
    section.note(format!("A decision in which all {VENDORS} vendors match: {} µs.", figure(all / 1000.0)));
    figures.push(json!({ "name": "decision, all vendors match", "candidates": VENDORS, "ns": all }));
    section.tables.extend(tables);
    section.figures = json!({ "results": figures });
    Ok(section)
}

/// A way to answer: nanoseconds and bytes. The first row is the floor.
struct Row {
    name: &'static str,
    ns: f64,
    bytes: u64,
}

fn add(table: &mut Table, size: usize, rows: &[Row], figures: &mut Vec<Value>, what: &str) {
    let floor = rows.first().map_or(0.0, |r| r.ns);
    for row in rows {
        table.row([
            grouped(size as u64),
            row.name.to_owned(),
            format!("**{}**", figure(row.ns)),
            times(row.ns, floor),
            figure(row.bytes as f64 / f64::from(1 << 20)),
            figure(row.bytes as f64 / size as f64),
        ]);
        figures.push(
            json!({ "what": what, "name": row.name, "prefixes": size, "ns": row.ns, "bytes": row.bytes }),
        );
    }
}

struct World {
    /// Codes of the customer's deck; every eighth is sold by vendors.
    codes: Vec<Code>,
    sale: Arc<RateTable>,
    sale_bytes: u64,
    /// Prefixes of each vendor.
    sold: Vec<Vec<Code>>,
}

impl World {
    fn build(size: usize) -> Outcome<World> {
        let codes = codes(size, 1);
        let (sale, sale_bytes) = kept(|| deck(codes.iter().copied(), 100).map(Arc::new));
        let sale = sale?;
        let mut sold = vec![Vec::new(); VENDORS];
        for (i, code) in codes.iter().step_by(SELLERS).enumerate() {
            for s in 0..SELLERS {
                sold[(i * 7 + s * (VENDORS / SELLERS)) % VENDORS].push(*code);
            }
        }
        Ok(World { codes, sale, sale_bytes, sold })
    }

    fn rates(&self) -> Outcome<Vec<Row>> {
        let numbers = Numbers::below(&self.codes, 1_000_000, 2);
        let count = numbers.count();
        let utc = Zone::utc();
        let indexed = || self.codes.iter().zip(0..).map(|(code, i)| (code.0, i));
        let (map, map_bytes) = kept(|| indexed().collect::<Hashed<u32>>());
        let hashed = nanoseconds(count, |i| longest_hashed(&map, Code::of(numbers.get(i))));
        let agree = (0..1000).all(|i| {
            let found =
                longest_hashed(&map, Code::of(numbers.get(i))).and_then(|at| self.codes.get(*at as usize));
            let ours = self.sale.at(Packed::of(numbers.get(i)), Utc(0), &utc).map(|(m, _)| m.len());
            found.map(|c| c.length()) == ours
        });
        if !agree {
            return Err("the floor and the rate table find different prefixes".into());
        }
        drop(map);
        let (tree, tree_bytes) = kept(|| indexed().collect::<BTreeMap<u64, u32>>());
        let in_tree = nanoseconds(count, |i| longest_in_tree(&tree, Code::of(numbers.get(i))));
        drop(tree);
        let ours = nanoseconds(count, |i| {
            self.sale.at(Packed::of(numbers.get(i)), Utc(0), &utc).map(|(_, r)| r.price_per_minute)
        });
        Ok(vec![
            Row { name: "floor: hash map, a probe for each length", ns: hashed, bytes: map_bytes },
            Row { name: "floor: B-tree", ns: in_tree, bytes: tree_bytes },
            Row { name: "Tandem: rate look-up", ns: ours, bytes: self.sale_bytes },
        ])
    }

    fn decisions(&self, section: &mut Section) -> Outcome<(Vec<Row>, f64)> {
        let sold: Vec<Code> = self.codes.iter().step_by(SELLERS).copied().collect();
        let numbers = Numbers::below(&sold, 100_000, 3);
        let dialled: Vec<DialString> =
            (0..numbers.count()).filter_map(|i| DialString::parse(numbers.get(i)).ok()).collect();
        let count = dialled.len();

        let (floor, floor_bytes) = kept(|| FloorPlan::build(self));
        let floor_ns = nanoseconds(count, |i| floor.decide(Code::of(numbers.get(i))).len());
        let sample: Vec<usize> = (0..1000).map(|i| floor.decide(Code::of(numbers.get(i))).len()).collect();
        drop(floor);

        let (snapshot, snapshot_bytes) = kept(|| snapshot(self).map(Arc::new));
        let snapshot = snapshot?;
        let ours = nanoseconds(count, |i| decide(&snapshot, &dialled[i]).ranked.len());
        let found: Vec<usize> = (0..1000).map(|i| decide(&snapshot, &dialled[i]).ranked.len()).collect();
        if found != sample {
            section.invalid("the floor and the plan find different candidates");
        }
        let average = found.iter().sum::<usize>() as f64 / found.len() as f64;
        let mut switch = switch(snapshot.clone());
        let mut refused = 0;
        let whole = nanoseconds(count, |i| refused += usize::from(!simulate(&mut switch, numbers.get(i))));
        if refused > 0 {
            section.invalid(&format!("{refused} simulated calls were refused"));
        }
        let rows = vec![
            Row {
                name: "floor: hash map, a probe for each length, sorted",
                ns: floor_ns,
                bytes: floor_bytes,
            },
            Row { name: "Tandem: routing decision", ns: ours, bytes: snapshot_bytes },
            Row {
                name: "Tandem: the same with gateway, account, limits, customer rate, money",
                ns: whole,
                bytes: snapshot_bytes + self.sale_bytes,
            },
        ];
        Ok((rows, average))
    }
}

// ------------------------------------------------------------------------------------------------------- floors

/// Multiplies and folds; enough for keys that nobody chose to hurt.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }

    fn write_u64(&mut self, n: u64) {
        let mixed = (self.0 ^ n ^ (n >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Hashed<V> = HashMap<u64, V, BuildHasherDefault<Multiply>>;

fn longest_hashed<V>(map: &Hashed<V>, number: Code) -> Option<&V> {
    (1..=number.length().min(MOST_DIGITS)).rev().find_map(|length| map.get(&number.cut(length).0))
}

/// The greatest key not above the number; where it is no prefix, what both have in common is tried next.
fn longest_in_tree(tree: &BTreeMap<u64, u32>, number: Code) -> Option<u32> {
    let mut upto = number;
    loop {
        let (key, value) = tree.range(..=upto.0).next_back()?;
        let common = (key ^ number.0).leading_zeros() / 4;
        let length = Code(*key).length();
        if common >= length {
            return Some(*value);
        }
        upto = number.cut(common);
    }
}

/// Vendors and prices beneath each prefix.
struct FloorPlan(Hashed<Box<[(u8, u32)]>>);

impl FloorPlan {
    fn build(world: &World) -> FloorPlan {
        let mut lists: Hashed<Vec<(u8, u32)>> = Hashed::default();
        for (vendor, codes) in world.sold.iter().enumerate() {
            for code in codes {
                let entry = (u8::try_from(vendor).unwrap_or(0), u32::try_from(code.0 >> 40).unwrap_or(0));
                lists.entry(code.0).or_default().push(entry);
            }
        }
        FloorPlan(lists.into_iter().map(|(code, list)| (code, list.into_boxed_slice())).collect())
    }

    /// Candidates: length of the prefix, vendor, price; in order.
    fn decide(&self, number: Code) -> Vec<(u32, u8, u32)> {
        let mut seen = [false; 256];
        let mut found = Vec::with_capacity(32);
        for length in (1..=number.length().min(MOST_DIGITS)).rev() {
            for (vendor, price) in self.0.get(&number.cut(length).0).into_iter().flatten() {
                if !std::mem::replace(&mut seen[usize::from(*vendor)], true) {
                    found.push((length, *vendor, *price));
                }
            }
        }
        found.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        found
    }
}

// ----------------------------------------------------------------------------------------------- what is measured

struct Quiet;

impl Load for Quiet {
    fn standing(&self, _: &Gateway) -> Standing {
        Standing { calls: 0, cps: 0, reachable: true, account_usable: true, last_turn: 0, resting_s: 0 }
    }
}

/// Vendors' prices of a number, as the switch looks them up.
struct Decks<'a> {
    snapshot: &'a Snapshot,
    called: Packed,
}

impl Market for Decks<'_> {
    fn prepare(&self, gateways: &mut dyn Iterator<Item = &Gateway>) {
        let sellers = gateways.filter_map(|gateway| self.snapshot.seller(gateway.id));
        let tables = sellers.filter_map(|seller| seller.tables.first()).map(|group| group.table.as_ref());
        RateTable::warm(tables, self.called);
    }

    fn offer(&self, gateway: &Gateway) -> Offer {
        let group = self.snapshot.seller(gateway.id).and_then(|seller| seller.tables.first());
        let Some((_, rate)) = group.and_then(|g| g.at(self.called, Utc(0))) else {
            return Offer::NoRate;
        };
        Offer::PerMinute { cost: rate.price_per_minute, margin: Price::ZERO }
    }
}

fn decide(snapshot: &Snapshot, called: &DialString) -> routing::Decision {
    let access = Access::default();
    let request = Request {
        caller: "442070000001",
        called,
        from: TRUNK,
        access: &access,
        level: None,
        policies: &[],
        pick: 0,
    };
    routing::decide(
        &snapshot.plan,
        &request,
        &Quiet,
        &Decks { snapshot, called: Packed::of(called.digits()) },
    )
}

fn snapshot(world: &World) -> Outcome<Snapshot> {
    let mut all = Snapshot::default();
    let mut routes = Vec::new();
    for (codes, id) in world.sold.iter().zip(1..) {
        let prefixes: Vec<String> = codes
            .iter()
            .map(|code| {
                let mut text = String::new();
                code.push_to(&mut text);
                text
            })
            .collect();
        let (group_id, group) = rate_group(id, Arc::new(deck(codes.iter().copied(), u64::from(id % 7))?));
        all.rate_groups.insert(group_id, group);
        all.accounts.insert(AccountId(id), account(AccountId(id), format!("vendor-{id}"), group_id));
        let route = Arc::new(gateway(id, prefixes));
        all.routing_gateways.insert(RoutingGatewayId(id), routing_gateway(route.clone()));
        routes.push(route);
    }
    let (group_id, group) = rate_group(CUSTOMER.0, world.sale.clone());
    all.rate_groups.insert(group_id, group);
    all.accounts.insert(CUSTOMER, account(CUSTOMER, "customer".to_owned(), group_id));
    all.plan = Arc::new(Plan::build(routes).map_err(|(name, e)| format!("{name}: {e}"))?);
    Ok(all.with_mapping_gateways(vec![trunk()]))
}

fn switch(snapshot: Arc<Snapshot>) -> Switch {
    let config = SwitchConfig {
        listeners: Vec::new(),
        media: MediaAddressing::default(),
        media_families: [false, false],
        media_threads: 1,
        boot: 1,
        seed: [7; 16],
        seal: [1; 32],
    };
    let money = Money(10i128.pow(14));
    let restore = Restore { balances: vec![(Book::Account(CUSTOMER), money)], ..Restore::default() };
    Switch::new(vocab::Now::default(), config, restore, snapshot)
}

/// The decision for a call that is not placed (`RTE-14`); false when it would be refused.
fn simulate(switch: &mut Switch, called: &str) -> bool {
    let request = ControlRequest::Simulate {
        gateway: TRUNK,
        caller: "442070000001".to_owned(),
        called: called.to_owned(),
    };
    let now = Now { tick: Tick(1_000_000), utc: Utc(1_900_000_000_000_000) };
    switch.handle_input(now, Input::Control { id: ControlId(1), request });
    let mut placed = false;
    while let Some(output) = switch.poll_output() {
        if let Output::Reply { reply: ControlReply::Simulated(s), .. } = output {
            placed = s.failure.is_none();
        }
    }
    placed
}

/// The worst case: everybody sells it.
fn decide_among_all() -> Outcome<f64> {
    let mut all = Snapshot::default();
    let mut routes = Vec::new();
    for (_, id) in (0..VENDORS).zip(1..) {
        let (group_id, group) =
            rate_group(id, Arc::new(deck([Code::of("880"), Code::of("88017")], u64::from(id))?));
        all.rate_groups.insert(group_id, group);
        all.accounts.insert(AccountId(id), account(AccountId(id), format!("vendor-{id}"), group_id));
        let route = Arc::new(gateway(id, vec!["880".to_owned()]));
        all.routing_gateways.insert(RoutingGatewayId(id), routing_gateway(route.clone()));
        routes.push(route);
    }
    all.plan = Arc::new(Plan::build(routes).map_err(|(name, e)| format!("{name}: {e}"))?);
    let all = all.with_mapping_gateways(Vec::new());
    let called = DialString::parse("8801712345678").map_err(|e| e.to_string())?;
    if decide(&all, &called).ranked.len() != VENDORS {
        return Err("not all vendors match".into());
    }
    Ok(nanoseconds(2_000, |_| decide(&all, &called).ranked.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_and_switch_find_the_same() {
        let world = World::build(20_000).unwrap();
        assert_eq!(world.rates().unwrap().len(), 3);
        let mut section = Section::new("");
        let (rows, candidates) = world.decisions(&mut section).unwrap();
        assert!(section.valid, "{:?}", section.notes);
        assert_eq!(rows.len(), 3);
        assert!(candidates >= SELLERS as f64);
        assert!(decide_among_all().unwrap() > 0.0);
    }

    #[test]
    fn longest_in_a_tree() {
        let tree: BTreeMap<u64, u32> =
            ["44", "880", "8801", "88017"].iter().zip(0..).map(|(t, i)| (Code::of(t).0, i)).collect();
        for (number, want) in [
            ("8801712", Some(3)),
            ("88018", Some(2)),
            ("8802", Some(1)),
            ("881", None),
            ("447", Some(0)),
            ("1", None),
        ] {
            assert_eq!(longest_in_tree(&tree, Code::of(number)), want, "{number}");
        }
    }
}
