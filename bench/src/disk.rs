//! How many calls a second can be written down? Through the journal, which is what an answer waits for, and through
//! the reader of the journal that fills the database.

use crate::Outcome;
use crate::clock::cpu_seconds;
use crate::ground::Ground;
use crate::report::{Section, Table, figure, grouped, times};
use billing::ledger::{Book, Entry, Posting, PostingKind};
use cdr::{Attempt, AttemptResult, CDR_VERSION, Cdr, LegRecord, MediaFigures, Named, Numbers, Priced};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use store::{Journal, JournalOptions, Store};
use switch::record::{Answered, Placed};
use switch::{Moment, Record};
use vocab::explain::{CandidateNote, RouteExplanation, Step, Verdict};
use vocab::leg::Placement;
use vocab::net::LocalAddresses;
use vocab::{
    AccountId, CallId, Currency, EndReason, EndedBy, ListenerId, MappingGatewayId, Money, Price, Random,
    RateGroupId, RoutingGatewayId, Seq, Transport, Utc,
};

/// Calls that end within one gathering of records.
const GROUPS: [u64; 4] = [1, 8, 64, 512];
/// Calls in one transaction of the database.
const TRANSACTION: u64 = 500;
/// Records of a call.
const RECORDS: u64 = 4;

pub fn run(ground: &Ground) -> Outcome<Section> {
    let time = Duration::from_millis(if ground.quick { 200 } else { 1500 });
    let mut per_call = 0;
    for record in &records(1)? {
        per_call += postcard::to_stdvec(record)?.len() + RECORD_HEAD;
    }
    let mut section = Section::new(&format!(
        "Each call is four records: sent to a gateway, answered, acknowledged, and its end with CDR and postings; {per_call} bytes in \
         the journal. Journal: records of a group of calls are appended, one fdatasync makes them durable, then the next \
         group. Database: the journal's records go into CDR partitions, ledger and balances, {TRANSACTION} calls a \
         transaction. Floor: the same bytes for the same group in one write to a file of zeros, and fdatasync.",
    ));
    let mut table = Table::new(&[
        "",
        "calls in a group",
        "calls a second",
        "µs a call",
        "CPU µs a call",
        "time to the floor",
    ]);
    let mut figures = Vec::new();
    for group in GROUPS {
        let floor = floor(&ground.folder("disk-floor")?, usize::try_from(group)? * per_call, group, time)?;
        let journal = journal(&ground.folder("disk-journal")?, group, time)?;
        add(&mut table, &mut figures, "floor: write and fdatasync", group, &floor, &floor);
        add(&mut table, &mut figures, "Tandem: journal", group, &journal, &floor);
    }
    let group = TRANSACTION;
    let floor = floor(&ground.folder("disk-floor")?, usize::try_from(group)? * per_call, group, time)?;
    let applied = apply(&ground.folder("disk-database")?, time * 2)?;
    add(&mut table, &mut figures, "floor: write and fdatasync", group, &floor, &floor);
    add(&mut table, &mut figures, "Tandem: database", group, &applied, &floor);
    section.tables.push(table);
    section.figures = json!({ "bytes_per_call": per_call, "results": figures });
    Ok(section)
}

struct Rate {
    calls: u64,
    seconds: f64,
    cpu_seconds: f64,
}

impl Rate {
    fn us(&self) -> f64 {
        self.seconds * 1e6 / self.calls.max(1) as f64
    }
}

fn add(table: &mut Table, figures: &mut Vec<Value>, name: &str, group: u64, rate: &Rate, floor: &Rate) {
    let cpu = rate.cpu_seconds * 1e6 / rate.calls.max(1) as f64;
    let a_second = rate.calls as f64 / rate.seconds;
    table.row([
        name.to_owned(),
        grouped(group),
        format!("**{}**", figure(a_second)),
        figure(rate.us()),
        figure(cpu),
        times(rate.us(), floor.us()),
    ]);
    figures
        .push(json!({ "name": name, "group": group, "calls_per_second": a_second, "cpu_us_per_call": cpu }));
}

/// Repeats `write`, which writes a group of calls, until the time is over.
fn measure(time: Duration, group: u64, mut write: impl FnMut(u64) -> Outcome<()>) -> Outcome<Rate> {
    write(0)?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut groups = 0;
    while start.elapsed() < time {
        groups += 1;
        write(groups)?;
    }
    Ok(Rate {
        calls: groups * group,
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds() - cpu,
    })
}

/// Records are made beforehand, so that only taking and writing them is measured.
fn made(group: u64, first_call: u64) -> Outcome<Vec<(Seq, Record)>> {
    let mut all = Vec::new();
    for call in first_call..first_call + group {
        let seqs = (call - 1) * RECORDS + 1..;
        all.extend(seqs.map(Seq).zip(records(call)?));
    }
    Ok(all)
}

fn journal(folder: &Path, group: u64, time: Duration) -> Outcome<Rate> {
    let (mut journal, _) = Journal::open(folder, JournalOptions::default())?;
    let spare = journal.spare();
    let keeper = std::thread::spawn(move || spare.keep_made());
    let mut records = made(group, 1)?;
    let rate = measure(time, group, |n| {
        for ((seq, _), i) in records.iter_mut().zip(1..) {
            *seq = Seq(n * group * RECORDS + i);
        }
        journal.append(&records)?;
        let synced = journal.sync()?;
        // What is on disk is in the database soon after; otherwise files would pile up.
        journal.forget(synced)?;
        Ok(())
    });
    drop(journal);
    keeper.join().map_err(|_| "the thread that makes journal files panicked")?;
    rate
}

/// Files of the journal's size, as it makes them.
const SEGMENT: u64 = 64 << 20;
/// What the journal puts before each record: its length, checksum, number, batch and format.
const RECORD_HEAD: usize = 21;

fn floor(folder: &Path, bytes: usize, group: u64, time: Duration) -> Outcome<Rate> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(folder.join("floor"))?;
    fresh(&file)?;
    let data = vec![0xa5; bytes];
    let mut at = 0;
    measure(time, group, |_| {
        if at + bytes as u64 > SEGMENT {
            at = 0;
            fresh(&file)?;
        }
        file.write_all_at(&data, at)?;
        file.sync_data()?;
        at += bytes as u64;
        Ok(())
    })
}

/// Blocks that hold data already are cheaper to write: filled with zeros, as the journal's files are.
fn fresh(file: &File) -> Outcome<()> {
    file.set_len(0)?;
    let zeros = vec![0; 1 << 20];
    for at in (0..SEGMENT).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(())
}

fn apply(folder: &Path, time: Duration) -> Outcome<Rate> {
    let store = Store::open(folder)?;
    let mut applier = store.applier();
    let (mut seconds, mut cpu, mut calls) = (0.0, 0.0, 0);
    while seconds < time.as_secs_f64() {
        let records = made(TRANSACTION, calls + 1)?;
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        applier.apply(&records)?;
        seconds += start.elapsed().as_secs_f64();
        cpu += cpu_seconds() - cpu_start;
        calls += TRANSACTION;
    }
    Ok(Rate { calls, seconds, cpu_seconds: cpu })
}

// ------------------------------------------------------------------------------------------------ a call's records

const START: i64 = 1_900_000_000_000_000;

fn at(ms: i64) -> Utc {
    Utc(START + ms * 1000)
}

fn address(last: u8, port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::from(([198, 51, 100, last], port)))
}

fn named<I>(id: I, name: &str) -> Named<I> {
    Named { id, name: name.into() }
}

fn records(call: u64) -> Outcome<[Record; 4]> {
    let cdr = cdr(call);
    let early = Cdr { sale: None, cost: None, profit: None, talk_ms: 0, ..cdr.clone() };
    let postings = postings(call);
    let (a, b) = (dialog()?, dialog()?);
    let answered = Answered {
        call: CallId(call),
        at: Moment::default(),
        ringing: cdr.ringing,
        pdd_ms: cdr.pdd_ms,
        codecs: [None, None],
        sections: [Vec::new(), Vec::new()],
        agents: Vec::new(),
        a: a.clone(),
        b: b.clone(),
        confirmed: false,
        delayed: false,
        answer: None,
        streams: Vec::new(),
    };
    Ok([
        Record::Placed(Box::new(Placed { cdr: early, a, b })),
        Record::Answered(Box::new(answered)),
        Record::Confirmed(CallId(call)),
        Record::Ended { cdr: Box::new(cdr), postings },
    ])
}

/// A call that has ended.
pub(crate) fn ended(call: u64) -> (Cdr, Vec<Posting>) {
    (cdr(call), postings(call))
}

fn postings(call: u64) -> Vec<Posting> {
    let posting = |kind, account, counterpart, amount: i128| Posting {
        kind,
        currency: Currency::USD,
        entries: vec![
            Entry {
                book: Book::Account(account),
                amount: Money(amount),
                balance_after: Money(10i128.pow(12)),
            },
            Entry { book: counterpart, amount: Money(-amount), balance_after: Money(10i128.pow(12)) },
        ],
        call: Some(CallId(call)),
        at: at(61_000),
        by: "switch".to_owned(),
        note: String::new(),
        key: None,
    };
    vec![
        posting(PostingKind::CallCharge, AccountId(1), Book::Revenue(Currency::USD), -3_000_000),
        posting(PostingKind::CallCost, AccountId(2), Book::Cost(Currency::USD), 2_000_000),
    ]
}

/// A leg as it is written down.
fn dialog() -> Outcome<sip::LegState> {
    let local = LocalAddresses { default_v4: Some("203.0.113.5".parse()?), ..LocalAddresses::default() };
    let (id, transport) = (ListenerId(0), Transport::Udp);
    let listener = sip::ListenerConfig { id, transport, port: 5060, advertised: None, local };
    let resend: std::sync::Arc<[u32]> = [500].into();
    let config = sip::Config {
        user_agent: String::new(),
        challenge: None,
        listeners: vec![listener],
        resend_intervals_ms: resend.clone(),
    };
    let placement = Placement {
        target: "198.51.100.7:5060".parse()?,
        transport,
        listener: id,
        host: None,
        uri: None,
        routes: Vec::new(),
        called: "8801712345678".to_owned(),
        to: None,
        caller: "4930123456".to_owned(),
        caller_display: None,
        from_host: None,
        identity: Default::default(),
        session: None,
        max_forwards: 70,
        credentials: None,
        authentication_retries: 0,
        resend_intervals_ms: resend,
        request_address: Default::default(),
        extra_headers: Vec::new(),
        session_terms: Default::default(),
        cancel_timeout_ms: 1000,
    };
    let mut endpoint = sip::Endpoint::new(config, Random::from_number(1));
    let leg = endpoint.place(vocab::Now::default(), placement);
    Ok(endpoint.leg_state(leg).ok_or("the engine places no call")?)
}

fn priced(id: u32, name: &str, amount: i128) -> Option<Priced> {
    Some(Priced {
        rate_group: named(RateGroupId(id), name),
        prefix: "88017".to_owned(),
        area: "Bangladesh mobile".into(),
        price_per_minute: Price(300_000_000),
        first_period_s: 60,
        first_period_price: None,
        cycle_s: 6,
        connection_fee: Money::ZERO,
        minimum_charge: Money::ZERO,
        free_seconds: 0,
        level: None,
        sections: Vec::new(),
        currency: Currency::USD,
        billed_s: 60,
        charged_s: 60,
        amount: Money(amount),
    })
}

fn leg(last: u8) -> LegRecord {
    LegRecord {
        call_id: format!("a84b4c76e66710f25e1c0c2d4a19e0f{last}@198.51.100.10"),
        remote: address(last, 5060),
        transport: Some(Transport::Udp),
        user_agent: Some("Asterisk PBX 18.20.2".to_owned()),
        codec: Some("PCMA/8000".to_owned()),
        media: MediaFigures {
            packets_in: 3000,
            bytes_in: 516_000,
            packets_out: 3000,
            bytes_out: 516_000,
            jitter_us: 120,
            remote: address(last, 14_382),
            ..MediaFigures::default()
        },
    }
}

fn route() -> RouteExplanation {
    let step = |name: &'static str, detail: &str| Step {
        step: name.into(),
        passed: true,
        detail: detail.to_owned().into(),
    };
    let candidate = |id: u32, verdict| CandidateNote {
        gateway: RoutingGatewayId(id),
        name: format!("vendor-{id}-1").into(),
        account: AccountId(id),
        prefix: "880".parse().unwrap_or_default(),
        priority: id,
        cost_per_minute: Some(Price(200_000_000)),
        margin_per_minute: Some(Price(100_000_000)),
        verdict,
    };
    RouteExplanation {
        steps: vec![
            step("mapping gateway", "customer-pbx"),
            step("numbers", "442071234567 calls +8801712345678"),
            step("calls a second of the mapping gateway", "40 of 100"),
            step("calls of the mapping gateway", "400 of 1000"),
            step("account", "customer is normal"),
            step("customer rate", "retail prefix 88017 at 0.0300 per minute"),
            step("routing gateways", "2 of 3 can take the call"),
        ],
        candidates: vec![
            candidate(2, Verdict::Kept),
            candidate(3, Verdict::Kept),
            candidate(4, Verdict::ConcurrencyFull { calls: 200, limit: 200 }),
        ],
    }
}

fn cdr(call: u64) -> Cdr {
    Cdr {
        version: CDR_VERSION,
        call: CallId(call),
        start: at(0),
        ringing: Some(at(400)),
        answer: Some(at(1_000)),
        end: at(61_000),
        pdd_ms: Some(400),
        talk_ms: 60_000,
        caller: Numbers { received: "442071234567".to_owned(), sent: Some("442071234567".to_owned()) },
        called: Numbers { received: "+8801712345678".to_owned(), sent: Some("8801712345678".to_owned()) },
        account: Some(named(AccountId(1), "customer")),
        mapping_gateway: Some(named(MappingGatewayId(1), "customer-pbx")),
        vendor: Some(named(AccountId(2), "vendor-2")),
        routing_gateway: Some(named(RoutingGatewayId(2), "vendor-2-1")),
        sale: priced(1, "retail", 3_000_000),
        cost: priced(2, "vendor-2", 2_000_000),
        profit: Some(Money(1_000_000)),
        agents: Vec::new(),
        tax: None,
        end_reason: EndReason::NormalRelease,
        ended_by: EndedBy::Caller,
        sip_code: 200,
        q850: 16,
        end_text: None,
        a: leg(1),
        b: leg(2),
        media_relayed: true,
        silent: Vec::new(),
        attempts: vec![Attempt {
            gateway: named(RoutingGatewayId(2), "vendor-2-1"),
            account: named(AccountId(2), "vendor-2"),
            called: "8801712345678".to_owned(),
            caller: "442071234567".to_owned(),
            call_id: "b84b4c76e66710f25e1c0c2d4a19e0f1@203.0.113.5".to_owned(),
            remote: address(2, 5060),
            start: at(2),
            ringing: Some(at(400)),
            end: at(1_000),
            result: AttemptResult::Answered,
            sip_code: 200,
            q850: 0,
            text: None,
        }],
        route: route(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_follow_one_another() {
        let all = made(3, 5).unwrap();
        assert_eq!(all.iter().map(|(s, _)| s.0).collect::<Vec<_>>(), (17..29).collect::<Vec<_>>());
        assert!(
            matches!(&all[3].1, Record::Ended { postings, .. } if postings.iter().all(Posting::is_balanced))
        );
    }
}
