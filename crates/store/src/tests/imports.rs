//! Decks: read, compared, applied, undone; customers' rates made from them.

use super::{file, store};
use crate::config::Rate;
use crate::imports::{Counts, DeckImport, ImportOrder, ImportState, MakingOrder};
use crate::{ChangeError, Store};
use billing::{Making, Percent};
use vocab::Price;

const BUSINESS: &str = r#"
[[rate_group]]
name = "vendor"
time_zone = "Europe/London"
rates = [
  { prefix = "44", area = "UK", price_per_minute = "0.01" },
  { prefix = "447", area = "UK mobile", price_per_minute = "0.02", first_period = 60, cycle = 60 },
  { prefix = "880", area = "Bangladesh", price_per_minute = "0.02" },
  { prefix = "880", area = "Bangladesh", price_per_minute = "0.01", hours = "Sat-Sun" },
]
[[rate_group]]
name = "retail"
rates = [{ prefix = "44", price_per_minute = "0.012" }, { prefix = "880", price_per_minute = "0.05" }]
[[account]]
name = "acme"
kind = "customer"
currency = "USD"
rate_group = "retail"
"#;

fn business() -> (tempfile::TempDir, Store) {
    let (dir, store) = store();
    store.apply(&[file("b.toml", BUSINESS)], false, "test").unwrap();
    (dir, store)
}

fn import(store: &Store, text: &str, order: ImportOrder) -> DeckImport {
    let begun = store.begin_import(1, "deck.csv", order, "test").unwrap();
    assert_eq!(begun.state, ImportState::Reading);
    let done = store.run_import(1, begun.id, text.as_bytes()).unwrap();
    assert_eq!(store.deck_import(1, begun.id).unwrap(), done);
    done
}

/// "447 0.0200 60/60", with "locked" and times behind it.
fn rates(store: &Store, group: u32) -> Vec<String> {
    let one = |r: Rate| {
        let locked = if r.locked { " locked" } else { "" };
        let from = r.valid_from.map(|_| " later").unwrap_or_default();
        let hours = if r.hours.is_always() { "" } else { " hours" };
        format!("{} {} {}/{}{locked}{from}{hours}", r.prefix, r.price_per_minute, r.first_period, r.cycle)
    };
    store.rates(group, "", None, 10_000).unwrap().into_iter().map(one).collect()
}

const DECK: &str = "Rates of Carrier X\ncode,destination,rate,increment,status\n\
    44,UK,0.011,1/1,increase\n447,UK mobile,0.02,60/60,\n4475,UK special,0.3,60/60,new\n880,Bangladesh,,1/1,blocked\n";

#[test]
fn a_deck_is_compared_applied_and_undone() {
    let (_dir, store) = business();
    let before = rates(&store, 1);
    let whole = ImportOrder { replace: true, ..ImportOrder::default() };
    let ready = import(&store, DECK, whole);
    assert_eq!(
        (ready.state, ready.body.summary.good_rows, ready.body.summary.bad_rows),
        (ImportState::Ready, 4, 0)
    );
    let want = Counts { new: 1, gone: 1, dearer: 1, cheaper: 0, changed: 1, same: 1 };
    assert_eq!(ready.body.counts, want, "{:#?}", ready.body.differences);
    // 0.012 is above 0.011, 0.05 has no cost while it is blocked.
    assert_eq!(ready.body.below_cost_count, 0);
    assert_eq!(rates(&store, 1), before, "nothing has changed yet");

    let applied = store.apply_import(1, ready.id, false, "test").unwrap();
    assert_eq!(applied.state, ImportState::Applied);
    let after = ["44 0.0110 1/1", "447 0.0200 60/60", "4475 0.3000 60/60", "880 0.0200 1/1 locked"];
    assert_eq!(rates(&store, 1), after);
    assert_eq!(store.config().sheets[&1].count, 4);
    assert!(store.check().unwrap().iter().all(|f| f.ok), "{:?}", store.check().unwrap());
    assert!(matches!(store.apply_import(1, ready.id, false, "test"), Err(ChangeError::Invalid(_))));

    store.undo_import(1, ready.id, "test").unwrap();
    assert_eq!(rates(&store, 1), before);
    assert_eq!(store.config().sheets[&1].count, 4);
    assert!(store.check().unwrap().iter().all(|f| f.ok));
    assert!(matches!(store.undo_import(1, ready.id, "test"), Err(ChangeError::Invalid(_))));
}

#[test]
fn a_part_of_a_deck_leaves_the_rest() {
    let (_dir, store) = business();
    let ready =
        import(&store, "code;rate;status\n44;0,009;\n447;;deleted\n33;0,5;\n", ImportOrder::default());
    let want = Counts { new: 1, gone: 1, dearer: 0, cheaper: 1, changed: 0, same: 0 };
    assert_eq!(ready.body.counts, want);
    store.apply_import(1, ready.id, false, "test").unwrap();
    assert_eq!(
        rates(&store, 1),
        ["33 0.5000 1/1", "44 0.0090 1/1", "880 0.0200 1/1", "880 0.0100 1/1 hours"]
    );
}

#[test]
fn rates_come_at_their_dates() {
    let (_dir, store) = business();
    let deck = "code,rate,effective date\n44,0.011,2099-01-01\n447,0.019,2020-01-01\n";
    let ready = import(&store, deck, ImportOrder { replace: true, ..ImportOrder::default() });
    // 880 is not in the deck: both of its rates go.
    assert_eq!(ready.body.counts, Counts { gone: 2, dearer: 1, cheaper: 1, ..Counts::default() });
    store.apply_import(1, ready.id, false, "test").unwrap();
    assert_eq!(rates(&store, 1), ["44 0.0100 1/1", "44 0.0110 1/1 later", "447 0.0190 1/1"]);
    let again = import(
        &store,
        "code,rate\n44,0.012\n",
        ImportOrder { effective_ms: Some(4_102_444_800_000), ..ImportOrder::default() },
    );
    store.apply_import(1, again.id, false, "test").unwrap();
    assert_eq!(
        rates(&store, 1),
        ["44 0.0100 1/1", "44 0.0110 1/1 later", "44 0.0120 1/1 later", "447 0.0190 1/1"]
    );
}

#[test]
fn bad_rows_stop_all_unless_the_good_ones_are_asked_for() {
    let (_dir, store) = business();
    let before = rates(&store, 1);
    let deck = "code,rate\n44,0.011\n447,zero\n33,0\n44,0.5\n";
    let ready = import(&store, deck, ImportOrder::default());
    let faults: Vec<(u32, &str)> =
        ready.body.summary.faults.iter().map(|f| (f.line, f.column.as_str())).collect();
    assert_eq!(faults, [(3, "B"), (4, "B"), (5, "A")], "{:?}", ready.body.summary.faults);
    assert!(
        matches!(store.apply_import(1, ready.id, false, "test"), Err(ChangeError::Invalid(p)) if p[0].field == "skip_bad_rows")
    );
    assert_eq!(rates(&store, 1), before);
    store.apply_import(1, ready.id, true, "test").unwrap();
    assert_eq!(rates(&store, 1)[0], "44 0.0110 1/1");
    for bad in ["", "no table at all", "code,rate\n1,0.\u{0}0\n"] {
        let failed = import(&store, bad, ImportOrder::default());
        assert!(failed.state == ImportState::Failed && failed.body.failure.is_some(), "{bad:?}");
        assert!(matches!(store.apply_import(1, failed.id, true, "test"), Err(ChangeError::Invalid(_))));
    }
}

#[test]
fn nothing_is_lost_that_was_done_meanwhile() {
    let (_dir, store) = business();
    let one = import(&store, DECK, ImportOrder::default());
    let two = import(&store, DECK, ImportOrder::default());
    store.apply_import(1, one.id, false, "test").unwrap();
    assert!(matches!(store.apply_import(1, two.id, false, "test"), Err(ChangeError::Conflict { .. })));
    store
        .put_rate(1, Rate { prefix: "1".into(), price_per_minute: Price(1), ..Rate::example() }, "test")
        .unwrap();
    assert!(matches!(store.undo_import(1, one.id, "test"), Err(ChangeError::Conflict { .. })));
    assert!(matches!(store.deck_import(2, one.id), Err(ChangeError::NotFound)));
    assert!(matches!(store.begin_import(9, "x", ImportOrder::default(), "test"), Err(ChangeError::NotFound)));
    for _ in 0..12 {
        import(&store, DECK, ImportOrder::default());
    }
    assert_eq!(store.deck_imports(1).unwrap().len(), 10);
}

#[test]
fn columns_are_learned_and_prices_below_cost_told() {
    let (_dir, store) = business();
    let strange = "Nummer;Netto\n44;0,02\n880;0,01\n";
    assert_eq!(import(&store, strange, ImportOrder::default()).state, ImportState::Failed);
    let columns = [(deck::Field::Codes, "Nummer"), (deck::Field::Price, "Netto")];
    let mapping = deck::Mapping(columns.into_iter().map(|(f, h)| (f, h.to_string())).collect());
    let order = ImportOrder {
        file: deck::Options { mapping: Some(mapping), ..deck::Options::default() },
        ..ImportOrder::default()
    };
    let first = import(&store, strange, order);
    assert_eq!((first.body.below_cost_count, first.body.below_cost[0].prefix.as_str()), (1, "44"));
    store.apply_import(1, first.id, false, "test").unwrap();
    let next = import(&store, "Netto;x;Nummer\n0,03;;44\n", ImportOrder::default());
    assert_eq!((next.state, next.body.counts.dearer), (ImportState::Ready, 1));
    // Where the learned columns are not, the usual names are looked for.
    assert_eq!(import(&store, DECK, ImportOrder::default()).state, ImportState::Ready);
}

#[test]
fn customers_rates_are_made() {
    let (_dir, store) = business();
    let make = |making: Making, floor: Option<&str>, prefixes: &[&str]| {
        let making = MakingOrder {
            from_group: 1,
            prefixes: prefixes.iter().map(|p| p.to_string()).collect(),
            making,
            decimals: 4,
            floor: floor.map(|f| Price::parse(f).unwrap()),
        };
        let order = ImportOrder { making: Some(making), ..ImportOrder::default() };
        let begun = store.begin_import(2, "made", order, "test").unwrap();
        store.run_import(2, begun.id, &[]).unwrap()
    };
    let percent = |text| Percent::parse(text).unwrap();
    let made = make(Making::Margin(percent("25")), Some("0.02"), &[]);
    store.apply_import(2, made.id, false, "test").unwrap();
    let want = ["44 0.0200 1/1", "447 0.0267 60/60", "880 0.0267 1/1", "880 0.0200 1/1 hours"];
    assert_eq!(rates(&store, 2), want);
    let made = make(Making::MarkUp(percent("100")), None, &["44"]);
    assert_eq!(made.body.counts, Counts { dearer: 1, same: 1, ..Counts::default() }.clone());
    let bad = make(Making::Amount(Price::parse("-0.015").unwrap()), None, &[]);
    assert_eq!((bad.body.summary.bad_rows, bad.body.summary.good_rows), (2, 2));
    let circle = ImportOrder {
        making: Some(MakingOrder {
            from_group: 2,
            prefixes: vec![],
            making: Making::Margin(percent("100")),
            decimals: 11,
            floor: None,
        }),
        ..ImportOrder::default()
    };
    let refused = store.begin_import(2, "x", circle, "test");
    assert!(matches!(refused, Err(ChangeError::Invalid(p)) if p.len() == 3));
}

/// Not a check: what a large deck costs; a million with `TANDEM_RATES=1000000` and `--nocapture`.
#[test]
fn speed_of_large_decks() {
    use std::fmt::Write;
    let count: u32 = std::env::var("TANDEM_RATES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let (_dir, store) = business();
    let mut text = "code,destination,rate,increment\n".to_string();
    for n in 0..count {
        writeln!(text, "{},Area {},0.{:04},60/6", 10_000_000 + n, n % 500, 1 + n % 977).unwrap();
    }
    let start = std::time::Instant::now();
    let ready = import(&store, &text, ImportOrder { replace: true, ..ImportOrder::default() });
    println!("{count} rows read and compared in {:?}", start.elapsed());
    assert_eq!(ready.body.counts.new, u64::from(count));
    let start = std::time::Instant::now();
    store.apply_import(1, ready.id, false, "test").unwrap();
    println!("applied in {:?}", start.elapsed());
    let start = std::time::Instant::now();
    store.undo_import(1, ready.id, "test").unwrap();
    println!("undone in {:?}", start.elapsed());
    assert_eq!(rates(&store, 1).len(), 4);
}
