//! Finding calls among many, and reports over them: beside the same sums in plain SQLite, which knows no sums made
//! beforehand. `BENCH_CDRS` says how many calls there are.

use crate::Outcome;
use crate::disk;
use crate::ground::Ground;
use crate::report::{Section, Table, figure, grouped, times};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use store::{CdrFilter, ReportQuery, Store};
use switch::Record;
use vocab::{AccountId, EndReason, RoutingGatewayId, Seq, Utc};

const USUAL: u64 = 200_000;
const QUICK: u64 = 4000;
/// Over so many days.
const DAYS: u64 = 30;
/// 2026-11-01.
const FIRST_DAY: i64 = 20_758;
const DAY_US: i64 = 86_400_000_000;
const BATCH: u64 = 2000;
/// Of each query: how many times it is asked; the median counts.
const TRIES: usize = 5;

pub fn run(ground: &Ground) -> Outcome<Section> {
    let asked = std::env::var("BENCH_CDRS").ok().and_then(|text| text.parse().ok());
    let count = asked.unwrap_or(if ground.quick { QUICK } else { USUAL });
    let folder = ground.folder("reports")?;
    let store = Store::open(&folder)?;
    let began = Instant::now();
    fill(&store, count)?;
    let filling = began.elapsed().as_secs_f64();
    let mut section = Section::new(&format!(
        "{} calls of 40 customers over 20 gateways to 200 prefixes on {DAYS} days, written through the reader of the \
         journal ({} a second, with all their indexes and sums). Median of {TRIES}, the database in the page cache.",
        grouped(count),
        figure(count as f64 / filling),
    ));
    let mut table = Table::new(&["", "ms"]);
    let mut figures = Vec::new();
    for (name, filter) in filters() {
        let ms = median(|| Ok(store.cdrs(&filter, None, 100).map(|_| ())?))?;
        table.row([format!("first page: {name}"), figure(ms)]);
        figures.push(json!({ "query": name, "ms": ms }));
    }
    let ms = median(|| Ok(store.cdr_totals(&CdrFilter::default()).map(|_| ())?))?;
    table.row(["totals of all calls".to_owned(), figure(ms)]);
    section.tables.push(table);
    let plain = median(|| plain(ground, &folder))?;
    let mut table = Table::new(&["report over the month", "ms", "plain SQLite to it"]);
    for (name, group, zone) in [
        ("profit_by_customer", None, "UTC"),
        ("profit_by_customer", Some("day,account"), "Asia/Kolkata"),
        ("profit_by_destination", None, "UTC"),
        ("quality_by_hour", None, "Europe/Berlin"),
        ("account_clearing_balance", None, "UTC"),
    ] {
        let query = ReportQuery {
            from: Some("2026-11-01".to_owned()),
            to: Some("2026-12-01".to_owned()),
            time_zone: Some(zone.to_owned()),
            group: group.map(str::to_owned),
            ..ReportQuery::default()
        };
        let report = store::report(name).ok_or("no such report")?;
        let ms = median(|| Ok(store.report(report, &query).map(|_| ())?))?;
        let name = format!("{name} by {} in {zone}", group.unwrap_or("its dimensions"));
        table.row([name.clone(), figure(ms), times(plain, ms)]);
        figures.push(json!({ "report": name, "ms": ms }));
    }
    table.row(["plain SQLite: sums by customer over the CDRs".to_owned(), figure(plain), "1".to_owned()]);
    section.tables.push(table);
    section.figures = json!({ "cdrs": count, "plain_ms": plain, "results": Value::Array(figures) });
    Ok(section)
}

fn fill(store: &Store, count: u64) -> Outcome<()> {
    let mut applier = store.applier();
    for first in (0..count).step_by(usize::try_from(BATCH)?) {
        let mut batch = Vec::new();
        for n in first..(first + BATCH).min(count) {
            batch.push((Seq(n + 1), ended(n, count)?));
        }
        applier.apply(&batch)?;
    }
    Ok(())
}

fn ended(n: u64, count: u64) -> Outcome<Record> {
    let at = FIRST_DAY * DAY_US
        + i64::try_from(
            u128::from(n) * u128::from(DAYS) * DAY_US.unsigned_abs() as u128 / u128::from(count),
        )?;
    let (mut cdr, postings) = disk::ended(n + 1);
    let shift = at - cdr.start.0;
    let moved = |t: Utc| Utc(t.0 + shift);
    (cdr.start, cdr.end) = (moved(cdr.start), moved(cdr.end));
    cdr.answer = cdr.answer.map(moved);
    cdr.ringing = cdr.ringing.map(moved);
    let mixed = u32::try_from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)?;
    if let Some(account) = &mut cdr.account {
        account.id = AccountId(1 + mixed % 40);
    }
    if let Some(gateway) = &mut cdr.routing_gateway {
        gateway.id = RoutingGatewayId(1 + mixed / 40 % 20);
    }
    if let Some(sale) = &mut cdr.sale {
        sale.prefix = (100 + mixed / 800 % 200).to_string();
    }
    cdr.caller.received = format!("4930{:07}", mixed % 10_000_000);
    cdr.called.received = format!("880{:09}", u64::from(mixed) * 31 % 1_000_000_000);
    if mixed % 5 < 2 {
        (cdr.answer, cdr.talk_ms, cdr.end_reason) = (None, 0, EndReason::NoAnswer);
        (cdr.sale, cdr.cost, cdr.profit) = (None, None, None);
        return Ok(Record::Ended { cdr: Box::new(cdr), postings: Vec::new() });
    }
    Ok(Record::Ended { cdr: Box::new(cdr), postings })
}

fn filters() -> Vec<(&'static str, CdrFilter)> {
    let none = CdrFilter::default;
    vec![
        ("all calls", none()),
        ("one customer", CdrFilter { account: Some(AccountId(7)), ..none() }),
        (
            "answered over one gateway",
            CdrFilter { answered: Some(true), routing_gateway: Some(RoutingGatewayId(3)), ..none() },
        ),
        ("a caller that called once", CdrFilter { caller: Some("49300001234".to_owned()), ..none() }),
        ("a part of a number", CdrFilter { number: Some("9990001".to_owned()), ..none() }),
        ("a Call-ID that is not there", CdrFilter { call_id: Some("none@nowhere".to_owned()), ..none() }),
        ("an end reason that is not there", CdrFilter { end_reason: Some(EndReason::ForwardLoop), ..none() }),
    ]
}

fn median(mut work: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    let mut all = Vec::new();
    for _ in 0..TRIES {
        let start = Instant::now();
        work()?;
        all.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    all.sort_by(f64::total_cmp);
    Ok(all.get(TRIES / 2).copied().unwrap_or_default())
}

/// The same sums straight from the CDRs.
fn plain(ground: &Ground, folder: &Path) -> Outcome<()> {
    let days: Vec<String> = (1..=DAYS).map(|day| format!("SELECT * FROM cdr_202611{day:02}")).collect();
    let file = ground.fill("report.sql", folder, &[("DAYS", days.join(" UNION ALL "))])?;
    let out = Command::new("sqlite3")
        .arg(folder.join("tandem.db"))
        .arg(format!(".read {}", file.display()))
        .output()?;
    match out.status.success() && !out.stdout.is_empty() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned().into()),
    }
}
