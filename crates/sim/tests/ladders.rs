//! Every scenario of `scenarios/*.ladder`. `TANDEM_LADDER=words` runs those whose name contains the words. And chains of
//! agents five deep, with rates and talk times at random (`R-58`).

mod identity;

use std::path::Path;
use vocab::{Money, Random};

#[test]
fn all_scenarios_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let only = std::env::var("TANDEM_LADDER").unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let (mut count, mut failed) = (0, Vec::new());
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "ladder")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).unwrap();
        let scenarios = sim::ladder::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        for scenario in scenarios.iter().filter(|s| s.name.contains(&only)) {
            count += 1;
            if let Err(error) = sim::ladder::run(scenario) {
                failed.push(format!("{name}: {error}"));
            }
        }
    }
    assert!(count > 0, "no scenario in {}", folder.display());
    assert!(failed.is_empty(), "{} of {count} scenarios failed\n\n{}", failed.len(), failed.join("\n"));
}

const DEPTH: usize = 5;

/// A rate in 10⁻⁴ a minute, first period, cycle.
#[derive(Clone, Copy)]
struct Terms {
    price: u64,
    first: u64,
    cycle: u64,
}

impl Terms {
    fn draw(random: &mut Random) -> Terms {
        let pick = |list: [u64; 5], random: &mut Random| list[usize::try_from(random.below(5)).unwrap_or(0)];
        let (first, cycle) = (pick([1, 6, 30, 60, 7], random), pick([1, 6, 60, 13, 1], random));
        Terms { price: 1 + random.below(900), first, cycle }
    }

    fn words(self) -> String {
        format!("880={}.{:04}/{}/{}", self.price / 10_000, self.price % 10_000, self.first, self.cycle)
    }

    /// By plain counting: cycle after cycle until the talk is covered, then up to the next 10⁻⁴.
    fn charge(self, talk_s: u64) -> Money {
        let mut seconds = self.first;
        while seconds < talk_s {
            seconds += self.cycle;
        }
        Money(i128::from((self.price * seconds).div_ceil(60)) * 10_000)
    }
}

#[test]
fn chains_of_agents_five_deep_are_exact_on_every_level() {
    let mut random = Random::from_number(58);
    for round in 0..60 {
        let levels: Vec<Terms> = (0..=DEPTH).map(|_| Terms::draw(&mut random)).collect();
        let (vendor, talk_s) = (Terms::draw(&mut random), 1 + random.below(200));
        let mut text = format!("scenario chain {round}\nconfig: param SS_MEDIAPROXYMODE=Off\n");
        for (i, terms) in levels.iter().enumerate() {
            let (kind, name) =
                if i == 0 { ("customer", "acme".to_string()) } else { ("agent", format!("a{i}")) };
            let under = if i < DEPTH { format!("under a{}", i + 1) } else { String::new() };
            let payment = if random.below(3) == 0 { "postpaid" } else { "prepaid 100.00" };
            text += &format!("config: {kind} {name} {payment} {under} {}\n", terms.words());
        }
        text += &format!("config: vendor v1 prio 1 {}\n", vendor.words());
        text +=
            "alice -> INVITE 8801712345678 sdp\nalice <- 100\nv1 <- INVITE sdp\nv1 -> 200 sdp\nv1 <- ACK\n";
        text += &format!("alice <- 200 sdp\nalice -> ACK\nwait {talk_s}\n");
        text += "alice -> BYE\nalice <- 200\nv1 <- BYE\nv1 -> 200\n";
        let fees: Vec<Money> = levels.iter().map(|terms| terms.charge(talk_s)).collect();
        let share = |i: usize| format!("a{i}:{}:{}", fees[i], Money(fees[i - 1].0 - fees[i].0));
        let shares: Vec<String> = (1..=DEPTH).map(share).collect();
        let (cost, profit) = (vendor.charge(talk_s), Money(fees[DEPTH].0 - vendor.charge(talk_s).0));
        text += &format!("cdr: fee={} cost={cost} profit={profit} agents={}\n", fees[0], shares.join(","));
        text += &format!("ledger: v1={cost}\nstate: reservations=0\n");
        let scenario = sim::ladder::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        sim::ladder::run(&scenario[0]).unwrap_or_else(|e| panic!("{e}\n{text}"));
    }
}
