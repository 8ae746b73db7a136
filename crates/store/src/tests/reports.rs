//! A month of calls: CDRs, ledger and every report say the same, to the unit (`BIL-23`).

use super::{file, store};
use crate::samples::{self, Books};
use crate::{CdrFilter, Cell, REPORTS, ReportQuery, Store, Table, report};
use billing::ledger::Book;
use cdr::{AttemptResult, Cdr};
use rusqlite::Connection;
use std::collections::BTreeMap;
use switch::Record;
use vocab::{AccountId, Currency, EndReason, MappingGatewayId, Money, Random, RoutingGatewayId, Seq, Utc};

const EUR: &str = "EUR";
/// 2026-10-01T00:00:00Z in seconds.
const OCTOBER: i64 = 1_790_812_800;
const CALLS: u64 = 1500;

const BUSINESS: &str = r#"
[[account]]
name = "acme"
kind = "customer"
currency = "USD"
[[account]]
name = "vendor-a"
kind = "vendor"
currency = "USD"
[[account]]
name = "berlin"
kind = "customer"
currency = "EUR"
[[account]]
name = "vendor-b"
kind = "vendor"
currency = "EUR"
"#;

/// Calls of two customers in two currencies over two vendors in two currencies, spread over October; some fail at the
/// first gateway, some altogether, some are sold below their cost.
fn calls() -> Vec<Cdr> {
    let mut random = Random::from_number(7);
    let mut below = |n: u64| i64::try_from(random.below(n)).unwrap();
    let mut all = Vec::new();
    for n in 1..=CALLS {
        let mut cdr = samples::cdr(n);
        let shift = OCTOBER * 1_000_000 + below(31 * 86_400) * 1_000_000 + below(1_000_000) - cdr.start.0;
        let moved = |at: Utc| Utc(at.0 + shift);
        cdr.start = moved(cdr.start);
        cdr.end = moved(cdr.end);
        cdr.answer = cdr.answer.map(moved);
        cdr.ringing = cdr.ringing.map(moved);
        let (customer, vendor) = (below(2), below(2));
        let currency = |n| if n == 0 { Currency::USD } else { Currency::parse(EUR).unwrap() };
        if customer == 1 {
            cdr.account = Some(cdr::Named { id: AccountId(3), name: "berlin".into() });
            cdr.mapping_gateway = Some(cdr::Named { id: MappingGatewayId(2), name: "b".into() });
        }
        if vendor == 1 {
            cdr.vendor = Some(cdr::Named { id: AccountId(4), name: "vendor-b".into() });
            cdr.routing_gateway = Some(cdr::Named { id: RoutingGatewayId(2), name: "b-1".into() });
        }
        let (sale, cost) = (cdr.sale.as_mut().unwrap(), cdr.cost.as_mut().unwrap());
        (sale.currency, cost.currency) = (currency(customer), currency(vendor));
        sale.amount = Money(i128::from(below(9_000_000)));
        cost.amount = Money(i128::from(below(8_000_000)));
        sale.prefix = ["880", "44", "4420"][usize::try_from(below(3)).unwrap()].into();
        sale.area = if sale.prefix == "880" { "Bangladesh".into() } else { "United Kingdom".into() };
        cdr.profit = None;
        match below(5) {
            0 => {
                cdr.answer = None;
                cdr.talk_ms = 0;
                (cdr.sale, cdr.cost) = (None, None);
                cdr.end_reason = EndReason::CalleeBusy;
                cdr.attempts.iter_mut().for_each(|a| a.result = AttemptResult::Failed(EndReason::CalleeBusy));
            }
            1 => {
                (cdr.sale, cdr.cost, cdr.answer, cdr.account, cdr.vendor) = (None, None, None, None, None);
                cdr.attempts.clear();
                cdr.end_reason = EndReason::UnknownSource;
            }
            _ => {}
        }
        all.push(cdr);
    }
    all
}

fn month() -> (tempfile::TempDir, Store, Vec<Cdr>) {
    let (dir, store) = store();
    store.apply(&[file("business.toml", BUSINESS)], false, "test").unwrap();
    let calls = calls();
    let (mut books, mut records) = (Books::default(), Vec::new());
    for (n, cdr) in calls.iter().enumerate() {
        if n % 100 == 0 {
            let at = Utc(cdr.start.0);
            records.push(books.pay_at(1, 700_000_000 + n as i128, Currency::USD, at));
        }
        records.push(books.settle(cdr.clone()));
    }
    let records: Vec<(Seq, Record)> = (1..).map(Seq).zip(records).collect();
    let mut applier = store.applier();
    for batch in records.chunks(97) {
        applier.apply(batch).unwrap();
        // Handed in again, as after a crash.
        store.applier().apply(batch).unwrap();
    }
    (dir, store, calls)
}

fn october(zone: &str, group: Option<&str>) -> ReportQuery {
    let text = |t: &str| Some(t.to_string());
    ReportQuery {
        from: text("2026-09-30"),
        to: text("2026-11-02"),
        time_zone: text(zone),
        group: group.map(str::to_string),
        ..ReportQuery::default()
    }
}

fn made(store: &Store, name: &str, query: &ReportQuery) -> Table {
    store.report(report(name).unwrap(), query).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Sums of a measure over the rows, by currency.
fn sums(table: &Table, measure: &str) -> BTreeMap<String, i128> {
    let place = table.group.len() + table.measures.iter().position(|m| m.name == measure).unwrap();
    let currency = table.group.iter().position(|d| d.name() == "currency");
    let mut sums = BTreeMap::new();
    for row in &table.rows {
        let key = currency.map_or(String::new(), |c| row.cells[c].to_string());
        let n = match &row.cells[place] {
            Cell::Whole(n) => *n,
            Cell::Money(m) => m.0,
            other => panic!("{measure}: {other:?}"),
        };
        *sums.entry(key).or_default() += n;
    }
    sums.retain(|_, n| *n != 0);
    for total in &table.totals {
        let key = currency.map_or(String::new(), |c| total.cells[c].to_string());
        let shown = match &total.cells[place] {
            Cell::Whole(n) => *n,
            Cell::Money(m) => m.0,
            other => panic!("{measure}: {other:?}"),
        };
        assert_eq!(sums.get(&key).copied().unwrap_or(0), shown, "total of {measure} in {key:?}");
    }
    sums
}

/// What the CDRs themselves say.
fn from_cdrs(calls: &[Cdr], of: impl Fn(&Cdr) -> Option<(Currency, i128)>) -> BTreeMap<String, i128> {
    let mut sums = BTreeMap::new();
    for (currency, n) in calls.iter().filter_map(of) {
        *sums.entry(currency.to_string()).or_default() += n;
    }
    sums
}

#[test]
fn cdrs_ledger_and_every_report_agree_to_the_unit() {
    let (_dir, store, calls) = month();
    let revenue = from_cdrs(&calls, |c| c.sale.as_ref().map(|p| (p.currency, p.amount.0)));
    let cost = from_cdrs(&calls, |c| c.cost.as_ref().map(|p| (p.currency, p.amount.0)));
    assert!(revenue.len() == 2 && cost.len() == 2);
    // What is stored is what was made.
    assert_eq!(store.cdr_days().unwrap().iter().map(|(_, n)| n).sum::<u64>(), CALLS);
    let balances = store.balances().unwrap();
    for (currency, sum) in &revenue {
        assert_eq!(balances[&Book::Revenue(Currency::parse(currency).unwrap())], Money(*sum));
    }
    for (currency, sum) in &cost {
        assert_eq!(balances[&Book::Cost(Currency::parse(currency).unwrap())], Money(-*sum));
    }
    for zone in ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"] {
        for report in REPORTS {
            let has = |name: &str| report.measures().any(|m| m.name == name);
            for group in [None, Some("day"), Some("hour_of_day,account"), Some("")] {
                if report.name == "rate_deviation" || group == Some("hour_of_day,account") && !has("calls") {
                    continue;
                }
                if group.is_some()
                    && report.group.first().is_some_and(|d| !report.source.dimensions().contains(d))
                {
                    continue;
                }
                if group == Some("day") && !report.source.dimensions().iter().any(|d| d.name() == "day") {
                    continue;
                }
                let mut query = october(zone, group);
                if report.name == "low_balances" {
                    query.group = None;
                }
                let table = made(&store, report.name, &query);
                let what = format!("{} {zone} {group:?}", report.name);
                if has("revenue") {
                    assert_eq!(sums(&table, "revenue"), revenue, "{what}");
                }
                if has("cost") {
                    assert_eq!(sums(&table, "cost"), cost, "{what}");
                }
                if has("charges") {
                    let charged: BTreeMap<_, _> = revenue.iter().map(|(c, n)| (c.clone(), -n)).collect();
                    assert_eq!(sums(&table, "charges"), charged, "{what}");
                    assert_eq!(sums(&table, "costs"), cost, "{what}");
                }
                if has("calls") {
                    assert_eq!(sums(&table, "calls").values().sum::<i128>(), i128::from(CALLS), "{what}");
                }
            }
        }
    }
}

/// Any part of the time: the report of a day, in its own zone, is what the CDR query of that day adds up to, and each
/// row opens to its calls.
#[test]
fn a_row_opens_to_the_calls_that_it_sums_up() {
    let (_dir, store, _) = month();
    let mut opened = 0;
    for (name, zone, group) in [
        ("gateway_bill", "Europe/Berlin", "day,account"),
        ("profit_by_destination", "Asia/Kolkata", "week,area,prefix"),
        ("end_reasons", "UTC", "end_reason"),
    ] {
        let table = made(&store, name, &october(zone, Some(group)));
        let calls_at = table.group.len() + table.measures.iter().position(|m| m.name == "calls").unwrap();
        for row in &table.rows {
            let Some(query) = &row.calls else { continue };
            let mut filter = CdrFilter::default();
            for (field, value) in query {
                let at = || Some(Utc(value.parse::<jiff::Timestamp>().unwrap().as_microsecond()));
                let account = |name: &str| store.config().accounts.find(name).map(|a| AccountId(a.id));
                match *field {
                    "from" => filter.from = at(),
                    "to" => filter.to = at(),
                    "account" => filter.account = account(value),
                    "prefix" => filter.prefix = Some(value.clone()),
                    "area" => filter.area = Some(value.clone()),
                    "end_reason" => filter.end_reason = EndReason::from_key(value),
                    "currency" => filter.currency = Currency::parse(value),
                    other => panic!("{other}"),
                }
            }
            let found = store.cdrs(&filter, None, 1000).unwrap().items.len();
            let totals = store.cdr_totals(&filter).unwrap();
            assert_eq!(Cell::Whole(totals.calls.into()), row.cells[calls_at], "{name} {query:?}");
            assert!(found == 1000 || found as u64 == totals.calls, "{name} {query:?}: {found}");
            opened += 1;
        }
    }
    assert!(opened > 80, "{opened}");
}

#[test]
fn sums_are_made_anew_bit_for_bit_and_damage_is_found() {
    let (dir, store, _) = month();
    let wrong = || {
        let findings = store.check().unwrap();
        findings.into_iter().filter(|f| !f.ok).map(|f| f.check).collect::<Vec<_>>()
    };
    assert_eq!(wrong(), [""; 0]);
    let contents = || {
        let db = Connection::open(dir.path().join("tandem.db")).unwrap();
        let mut all = Vec::new();
        for sql in [
            "SELECT * FROM rollup r JOIN rollup_key k ON k.id = r.key_id ORDER BY level, slot, key_id",
            "SELECT * FROM ledger_rollup ORDER BY level, slot, book, currency, kind",
        ] {
            let mut statement = db.prepare(sql).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                all.push((0..columns).map(|c| format!("{:?}", row.get_ref(c).unwrap())).collect::<Vec<_>>());
            }
        }
        all
    };
    let before = contents();
    assert!(before.len() > 1000);
    assert_eq!(store.rebuild_sums().unwrap(), CALLS);
    assert!(contents() == before, "made anew, the sums differ");
    for damage in [
        "UPDATE rollup SET revenue_lo = revenue_lo + 1 WHERE level = 900 AND slot = (SELECT MAX(slot) FROM rollup)",
        "DELETE FROM rollup WHERE level = 86400 AND slot = (SELECT MIN(slot) FROM rollup WHERE level = 86400)",
        "UPDATE ledger_rollup SET amount_hi = amount_hi + 1 WHERE kind = 'payment' AND level = 3600",
        "DELETE FROM ledger_rollup WHERE kind = 'call_cost' AND level = 900",
    ] {
        let db = Connection::open(dir.path().join("tandem.db")).unwrap();
        assert!(db.execute(damage, []).unwrap() > 0, "{damage}");
        assert_eq!(wrong(), ["sums for reports"], "{damage}");
        store.rebuild_sums().unwrap();
        assert_eq!(wrong(), [""; 0], "{damage}");
        assert!(contents() == before, "{damage}");
    }
}

#[test]
fn ratios_are_rounded_and_never_divide_by_nothing() {
    let (_dir, store, calls) = month();
    let table = made(&store, "quality_by_hour", &october("UTC", Some("")));
    let cell = |name: &str| {
        let place = table.group.len() + table.measures.iter().position(|m| m.name == name).unwrap();
        table.totals[0].cells[place].to_string()
    };
    let answered = calls.iter().filter(|c| c.answer.is_some()).count();
    let exact = (answered * 1_000_000 / calls.len() + 5) / 10 * 10;
    let percent = format!("{}.{:02}", exact / 10_000, exact / 100 % 100);
    assert!(cell("asr") == percent || cell("asr").starts_with(&percent[..4]), "{} {percent}", cell("asr"));
    let talk: u64 = calls.iter().map(|c| c.talk_ms).sum();
    assert_eq!(cell("acd_s"), ((talk + answered as u64 * 500) / (answered as u64 * 1000)).to_string());
    // Nothing happened: no rows, no division.
    let mut empty = october("UTC", None);
    (empty.from, empty.to) = (Some("2025-01-01".into()), Some("2025-01-02".into()));
    for report in REPORTS {
        let table = store.report(report, &empty).unwrap();
        assert!(
            table.rows.is_empty()
                || report.name == "low_balances"
                || report.name == "account_clearing_balance"
        );
    }
}

#[test]
fn what_is_asked_wrongly_is_refused_by_field() {
    let (_dir, store) = store();
    for (set, field) in [
        ((|q: &mut ReportQuery| q.group = Some("colour".into())) as fn(&mut ReportQuery), "group"),
        (|q| q.group = Some("day,hour".into()), "group"),
        (|q| q.filters = vec![(crate::Dimension::Account, "nobody".into())], "account"),
        (|q| q.filters = vec![(crate::Dimension::EndReason, "bored".into())], "end_reason"),
        (|q| q.filters = vec![(crate::Dimension::Hour, "1".into())], "hour"),
        (|q| (q.from, q.group) = (Some("2001-01-01".into()), Some("hour".into())), "group"),
    ] {
        let mut query = october("UTC", None);
        set(&mut query);
        match store.report(report("gateway_bill").unwrap(), &query) {
            Err(crate::ChangeError::Invalid(problems)) => assert_eq!(problems[0].field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}
