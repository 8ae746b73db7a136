//! Rates at times, inheritance, private rates: from documents to what the brain looks up.

use super::{business, file, scratch, store};
use crate::config::{Rate, RateGroup};
use crate::sql::{Connection, Value, crc, migrations};
use crate::{ChangeError, Store};
use std::collections::HashMap;
use vocab::prefix::Packed;
use vocab::{Price, RateGroupId, Utc};

fn faults<T: std::fmt::Debug>(result: Result<T, ChangeError>) -> Vec<String> {
    match result.unwrap_err() {
        ChangeError::Invalid(problems) => problems.into_iter().map(|p| p.field).collect(),
        other => panic!("{other:?}"),
    }
}

fn apply(store: &Store, text: &str) -> Result<crate::Plan, ChangeError> {
    store.apply(&[file("b.toml", text)], false, "test")
}

const GROUPS: &str = r#"
[[rate_group]]
name = "base"
time_zone = "Europe/London"
price_change = "next_cycle"
rates = [
  { prefix = "880", price_per_minute = "0.02", level = "international" },
  { prefix = "880", price_per_minute = "0.01", hours = "Sat-Sun" },
  { prefix = "880", price_per_minute = "0.03", valid_from = "2026-07-01T00:00:00Z", valid_until = "2026-08-01T00:00:00Z",
    sections = [{ from = 60, price_per_minute = "0.015", cycle = 6 }] },
]
[[rate_group]]
name = "reseller"
inherits = "base"
mark_up = "10"
mark_up_decimals = 4
rates = [{ prefix = "44", price_per_minute = "0.05" }]
"#;

#[test]
fn rates_at_times_are_stored_found_and_exported() {
    let (dir, store) = store();
    let plan = apply(&store, GROUPS).unwrap();
    assert!(
        plan.changes[0].fields.iter().any(|f| f.field == "rates.880 at Sat-Sun 00:00-24:00"),
        "{plan:#?}"
    );
    assert_eq!(apply(&store, GROUPS).unwrap().changes, []);
    let exported = store.export().unwrap();
    assert_eq!(apply(&store, &exported).unwrap().changes, [], "{exported}");
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert!(store.check().unwrap().iter().all(|f| f.ok));
    let snapshot = store.snapshot(&HashMap::new()).unwrap();
    let ids = ["base", "reseller"].map(|name| store.config().rate_groups.named(name).unwrap().id);
    // 2026-06-26 was a Friday; in London it is an hour later.
    for (group, utc, want) in [
        (0, "2026-06-26T22:59:59Z", "0.02"),
        (0, "2026-06-26T23:00:00Z", "0.01"),
        (0, "2026-06-28T22:59:59Z", "0.01"),
        (0, "2026-06-28T23:00:00Z", "0.02"),
        (0, "2026-07-01T00:00:00Z", "0.03"),
        (0, "2026-07-31T22:59:59Z", "0.03"),
        (0, "2026-08-03T00:00:00Z", "0.02"),
        (1, "2026-06-26T22:59:59Z", "0.022"),
        (1, "2026-06-26T23:00:00Z", "0.011"),
    ] {
        let at: time::OffsetDateTime =
            time::OffsetDateTime::parse(utc, &time::format_description::well_known::Rfc3339).unwrap();
        let at = Utc(at.unix_timestamp() * 1_000_000);
        let found = snapshot.rate_groups[&RateGroupId(ids[group])].at(Packed::of("8801"), at);
        assert_eq!(found.unwrap().1.price_per_minute, Price::parse(want).unwrap(), "{group} {utc}");
    }
    let listed = store.rates(ids[0], "", None, 10).unwrap();
    assert_eq!(listed.len(), 3);
    let (first, rest) = (&listed[0], &listed[1..]);
    let variant = first.variant();
    assert_eq!(store.rates(ids[0], "88", Some(("880", &variant)), 10).unwrap(), rest);
    assert_eq!(store.rate(ids[0], "880", &rest[1].variant()).unwrap().as_ref(), Some(&rest[1]));
    store.delete_rate(ids[0], "880", &rest[0].variant(), "test").unwrap();
    assert_eq!(store.config().sheets[&ids[0]].count, 2);
}

#[test]
fn groups_that_make_no_sense_are_refused() {
    let (_dir, store) = store();
    business(&store);
    apply(&store, GROUPS).unwrap();
    for (text, want) in [
        ("name = \"x\"\ntime_zone = \"Mars/Base\"", vec!["time_zone"]),
        ("name = \"x\"\nmark_up = \"-101\"", vec!["mark_up"]),
        ("name = \"x\"\nmark_up = \"ten\"", vec!["mark_up"]),
        ("name = \"x\"\nmark_up_decimals = 11", vec!["mark_up_decimals"]),
        ("name = \"x\"\ninherits = \"nobody\"", vec!["inherits"]),
        ("name = \"x\"\ninherits = \"x\"", vec!["inherits"]),
        ("name = \"x\"\ncurrency = \"EUR\"\ninherits = \"base\"", vec!["inherits"]),
        ("name = \"base\"\ninherits = \"reseller\"", vec!["inherits", "inherits"]),
        ("name = \"base\"\ncurrency = \"EUR\"", vec!["currency"]),
        (
            "name = \"x\"\nrates = [{ prefix = \"1\", price_per_minute = \"1\", hours = \"Xxx\" }]",
            vec!["rates[0].hours"],
        ),
        (
            "name = \"x\"\nrates = [{ prefix = \"1\", price_per_minute = \"1\", sections = [{ from = 0, price_per_minute = \"1\", cycle = 1 }] }]",
            vec!["rates[0].sections"],
        ),
        (
            "name = \"x\"\nrates = [{ prefix = \"1\", price_per_minute = \"1\", valid_from = \"2026-02-01T00:00:00Z\", valid_until = \"2026-01-01T00:00:00Z\" }]",
            vec!["rates[0].valid_until"],
        ),
        (
            "name = \"x\"\nrates = [{ prefix = \"1\", price_per_minute = \"1\", hours = \"Sat\" }, { prefix = \"1\", price_per_minute = \"2\", hours = \"Sat 00:00-24:00\" }]",
            vec!["rates[1].prefix"],
        ),
    ] {
        let found = apply(&store, &format!("[[rate_group]]\n{text}\n"));
        let mut found = faults(found);
        found.dedup();
        assert!(want.iter().all(|w| found.contains(&w.to_string())) || found == want, "{text}: {found:?}");
    }
    // A group in another currency than the account of the gateway that uses it.
    apply(&store, "[[rate_group]]\nname = \"euro\"\ncurrency = \"EUR\"\n").unwrap();
    let mapping = store.config().mapping_gateways.named("acme-pbx").unwrap().document.clone();
    let id = store.config().mapping_gateways.named("acme-pbx").unwrap().id;
    let with =
        |group: &str| crate::config::MappingGateway { rate_group: Some(group.into()), ..mapping.clone() };
    assert_eq!(faults(store.put(Some(id), None, with("euro"), "test")), ["rate_group"]);
    store.put(Some(id), None, with("base"), "test").unwrap();
    let group = store.config().rate_groups.named("base").unwrap().clone();
    assert!(
        matches!(store.delete::<RateGroup>(group.id, None, "test"), Err(ChangeError::Referenced { by }) if by.len() == 2)
    );
    // A rename is followed by those that inherit and by gateways.
    store
        .put(Some(group.id), None, RateGroup { name: "basis".into(), ..group.document.clone() }, "test")
        .unwrap();
    let config = store.config();
    assert_eq!(config.rate_groups.named("reseller").unwrap().document.inherits.as_deref(), Some("basis"));
    assert_eq!(
        config.mapping_gateways.named("acme-pbx").unwrap().document.rate_group.as_deref(),
        Some("basis")
    );
}

#[test]
fn a_prefix_has_so_many_rates_at_most() {
    let (_dir, store) = store();
    apply(&store, "[[rate_group]]\nname = \"g\"\n").unwrap();
    let rate = |n: i64| Rate { prefix: "1".into(), valid_from: Some(Utc(n * 1_000_000)), ..Rate::example() };
    let many: Vec<Rate> = (0..100).map(rate).collect();
    assert_eq!(faults(store.replace_rates(1, many, "test")), ["rates[99].prefix"]);
    store.replace_rates(1, (0..99).map(rate).collect(), "test").unwrap();
    store.put_rate(1, Rate { prefix: "1".into(), ..Rate::example() }, "test").unwrap();
    assert_eq!(faults(store.put_rate(1, rate(500), "test")), ["prefix"]);
    store.put_rate(1, rate(5), "test").unwrap();
}

/// Rates of the first version of the database are read with the checksums they were written with.
#[test]
fn an_older_database_is_brought_up_to_date() {
    let dir = scratch();
    let path = dir.path().join("tandem.db");
    {
        let db = Connection::writer(&path).unwrap();
        db.define("CREATE TABLE migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL);")
            .unwrap();
        db.define(include_str!("../sql/0001.sql")).unwrap();
        db.run("INSERT INTO migration VALUES (1, 'first tables', 0)", &[]).unwrap();
        let mut row: Vec<Value<'_>> = vec![1u32.into(), "880".into(), "Bangladesh".into(), "0.0300".into()];
        row.extend([60u32.into(), 6u32.into(), Value::from(None::<String>), "0.00".into(), "0.00".into()]);
        row.extend([0u32.into(), false.into()]);
        row.push(crc(&row));
        db.run("INSERT INTO rate VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)", &row).unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    let rates = store.rates(1, "", None, 10).unwrap();
    assert_eq!((rates.len(), rates[0].area.as_str(), rates[0].cycle), (1, "Bangladesh", 6));
    let db = Connection::writer(&path).unwrap();
    assert!(migrations::version(&db).unwrap() >= 2);
}
