//! Records into CDRs and money, and back out of the database.

use super::{scratch, store};
use crate::samples::{self, Books, DAY};
use crate::{CdrFilter, Journal, JournalOptions, Store};
use billing::ledger::Book;
use cdr::Cdr;
use std::path::Path;
use switch::Record;
use vocab::{AccountId, CallId, EndReason, EndedBy, Money, Random, Seq, Utc};

const ACME: Book = Book::Account(AccountId(1));

fn calls_of(store: &Store, filter: &CdrFilter) -> Vec<u64> {
    store.cdrs(filter, None, 1000).unwrap().items.iter().map(|cdr| cdr.call.0).collect()
}

#[test]
fn records_are_applied_once_however_often_they_come() {
    let (dir, store) = store();
    let records = Books::default().traffic(1, 200);
    let mut applier = store.applier();
    assert_eq!(applier.apply(&records[..50]).unwrap(), Seq(50));
    let balances = store.balances().unwrap();
    assert_eq!(applier.apply(&records[..50]).unwrap(), Seq(50));
    assert_eq!(applier.apply(&records[30..120]).unwrap(), Seq(120));
    // Another applier, and another process, go on where the first stopped.
    assert_eq!(store.applier().apply(&records[..130]).unwrap(), Seq(130));
    assert_eq!(applier.apply(&records[100..140]).unwrap(), Seq(140));
    drop((applier, store));
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.applied().unwrap(), Seq(140));
    assert_eq!(store.applier().apply(&records).unwrap(), Seq(200));
    assert_ne!(store.balances().unwrap(), balances);
    // 20 payments of 10.00, 160 calls at 0.033 and 0.022.
    let balances = store.balances().unwrap();
    assert_eq!(balances[&ACME], Money(20 * 1_000_000_000 - 160 * 3_300_000));
    assert_eq!(balances[&Book::Account(AccountId(2))], Money(160 * 2_200_000));
    assert_eq!(balances.values().map(|m| m.0).sum::<i128>(), 0);
    assert_eq!(store.cdr_days().unwrap(), [(DAY, 180)]);
    let findings = store.check().unwrap();
    assert!(findings.iter().all(|f| f.ok), "{findings:#?}");
    let (seq, posting) = store.posting_by_key("key-10").unwrap().unwrap();
    assert_eq!((seq, posting.key.as_deref()), (Seq(10), Some("key-10")));
    assert_eq!(store.posting_by_key("key-11").unwrap(), None);
}

#[test]
fn a_cdr_comes_back_as_it_was() {
    let (_dir, store) = store();
    let mut books = Books::default();
    let mut odd = samples::cdr(5);
    odd.end_text = Some("<script>alert(1)</script> '; DROP TABLE cdr; -- \u{1F4DE}\0".into());
    let (plain, unanswered) = (samples::cdr(6), samples::unanswered(7));
    let records: Vec<_> =
        (1..).map(Seq).zip([&odd, &plain, &unanswered].map(|c| books.end(c.clone()))).collect();
    store.applier().apply(&records).unwrap();
    for cdr in [odd, plain, unanswered] {
        assert_eq!(store.cdr(cdr.call).unwrap(), Some(cdr));
    }
    assert_eq!(store.cdr(CallId(8)).unwrap(), None);
    assert_eq!(store.cdr(CallId(u64::MAX)).unwrap(), None);
}

/// Calls over four days, some of them in between without any.
fn four_days(store: &Store) -> Vec<Cdr> {
    let mut books = Books::default();
    let mut all = Vec::new();
    for (i, day) in [0i64, 1, 4, 5].into_iter().enumerate() {
        for n in 0..25u64 {
            let call = (i as u64 * 100 + n) << 10;
            let mut cdr = if n % 5 == 0 { samples::unanswered(call) } else { samples::cdr(call) };
            cdr.start = Utc::from_millis((DAY + day) * 86_400_000 + i64::try_from(n).unwrap() * 1000);
            all.push(cdr);
        }
    }
    let records: Vec<_> = (1..).map(Seq).zip(all.iter().map(|c| books.end(c.clone()))).collect();
    store.applier().apply(&records).unwrap();
    all.reverse();
    all
}

#[test]
fn pages_follow_each_other_over_days() {
    let (_dir, store) = store();
    let all = four_days(&store);
    for limit in [1, 7, 25, 26, 99, 100, 1000] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let page = store.cdrs(&CdrFilter::default(), cursor.as_deref(), limit).unwrap();
            assert!(page.items.len() <= limit);
            seen.extend(page.items);
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "in pages of {limit}");
        assert_eq!(pages, 100usize.div_ceil(limit), "in pages of {limit}");
    }
    assert_eq!(store.cdrs(&CdrFilter::default(), Some("nonsense"), 1000).unwrap().items.len(), 100);
}

#[test]
fn filters_choose() {
    let (_dir, store) = store();
    let mut books = Books::default();
    let base = samples::cdr(1);
    let mut other = samples::cdr(2);
    other.account.as_mut().unwrap().id = AccountId(9);
    other.caller.received = "33100%_".into();
    other.called.received = "+4420".into();
    other.called.sent = Some("0044".into());
    other.talk_ms = 500;
    other.profit = Some(vocab::Money(-1));
    other.end_text = Some("Straße closed".into());
    let busy = samples::unanswered(3);
    let records: Vec<_> = (1..).map(Seq).zip([base, other, busy].map(|c| books.end(c))).collect();
    store.applier().apply(&records).unwrap();
    let start = |ms: i64| Some(Utc::from_millis(DAY * 86_400_000 + 36_000_000 + ms));
    type Set = fn(&mut CdrFilter);
    let cases: &[(Set, &[u64])] = &[
        (|_| (), &[3, 2, 1]),
        (|f| f.account = Some(AccountId(9)), &[2]),
        (|f| f.account = Some(AccountId(8)), &[]),
        (|f| f.vendor = Some(AccountId(2)), &[3, 2, 1]),
        (|f| f.caller = Some("+4420".into()), &[3, 1]),
        (|f| f.caller = Some("33100%_".into()), &[2]),
        (|f| f.caller = Some("%".into()), &[]),
        (|f| f.callee = Some("4420".into()), &[2]),
        (|f| f.callee = Some("0044".into()), &[2]),
        (|f| f.number = Some("712345".into()), &[3, 1]),
        (|f| f.number = Some("100".into()), &[2]),
        (|f| f.end_reason = Some(EndReason::CalleeBusy), &[3]),
        (|f| f.ended_by = Some(EndedBy::Caller), &[2, 1]),
        (|f| f.answered = Some(true), &[2, 1]),
        (|f| f.answered = Some(false), &[3]),
        (|f| f.min_talk_ms = Some(501), &[1]),
        (|f| f.below_cost = Some(true), &[2]),
        (|f| f.below_cost = Some(false), &[3, 1]),
        (|f| f.within = vec![AccountId(7), AccountId(9)], &[2]),
        (|f| f.within = vec![AccountId(7)], &[]),
        (|f| f.text = Some("CLOSED".into()), &[2]),
        (|f| f.text = Some("' OR 1=1 --".into()), &[]),
        (|f| (f.answered, f.account) = (Some(true), Some(AccountId(1))), &[1]),
    ];
    for (i, (set, want)) in cases.iter().enumerate() {
        let mut filter = CdrFilter::default();
        set(&mut filter);
        assert_eq!(calls_of(&store, &filter), *want, "case {i}");
    }
    for (from, to, want) in [
        (start(1), None, vec![3, 2, 1]),
        (start(2), None, vec![3, 2]),
        (None, start(2), vec![1]),
        (start(2), start(3), vec![2]),
        (start(86_400_000), None, vec![]),
    ] {
        let filter = CdrFilter { from, to, ..CdrFilter::default() };
        assert_eq!(calls_of(&store, &filter), want, "{from:?} to {to:?}");
    }
}

#[test]
fn ledgers_are_read_in_pages() {
    let (_dir, store) = store();
    let records = Books::default().traffic(1, 100);
    store.applier().apply(&records).unwrap();
    let (mut lines, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = store.ledger(AccountId(1), cursor.as_deref(), 7).unwrap();
        lines.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(lines.len(), 90);
    assert_eq!(lines[0].balance_after, store.balances().unwrap()[&ACME]);
    assert!(lines.windows(2).all(|w| w[0].balance_after.0 - w[0].amount.0 == w[1].balance_after.0));
    assert_eq!(store.ledger(AccountId(77), None, 10).unwrap().items, []);
}

fn open_journal(dir: &Path) -> (Journal, crate::journal::Recovered) {
    Journal::open(&dir.join("journal"), JournalOptions { segment_bytes: 64 << 10 }).unwrap()
}

/// The process dies at any point between journal, database and the deletion of old files: nothing is lost, nothing
/// comes twice.
#[test]
fn crashes_between_journal_and_database() {
    for seed in 0..30 {
        let dir = scratch();
        let mut random = Random::from_number(seed);
        let mut books = Books::default();
        let records = books.traffic(1, 300);
        let mut synced = 0;
        while synced < records.len() {
            let store = Store::open(dir.path()).unwrap();
            let (mut journal, recovered) = open_journal(dir.path());
            let (restored, mut applier) = store.restore(&journal, recovered).unwrap();
            assert_eq!(restored.last_seq, Seq(synced as u64), "seed {seed}");
            for _ in 0..random.below(8) {
                let to = (synced + usize::try_from(random.below(40) + 1).unwrap()).min(records.len());
                journal.append(&records[synced..to]).unwrap();
                if random.below(6) == 0 {
                    break;
                }
                journal.sync().unwrap();
                let batch = &records[synced..to];
                synced = to;
                if random.below(2) == 0 {
                    let tail: Result<Vec<_>, _> = journal.records_after(store.applied().unwrap()).collect();
                    let applied = applier.apply(&tail.unwrap()).unwrap();
                    assert_eq!(applied, batch.last().unwrap().0);
                    if random.below(2) == 0 {
                        journal.forget(applied).unwrap();
                    }
                }
                if synced == records.len() {
                    break;
                }
            }
        }
        let store = Store::open(dir.path()).unwrap();
        let (journal, recovered) = open_journal(dir.path());
        let (restored, _) = store.restore(&journal, recovered).unwrap();
        assert_eq!(restored.last_seq, Seq(300));
        assert_eq!(restored.keys.len(), 30);
        assert_eq!(store.cdr_days().unwrap(), [(DAY, 270)], "seed {seed}");
        let findings = store.check().unwrap();
        assert!(findings.iter().all(|f| f.ok), "seed {seed}: {findings:#?}");
        let acme = restored.balances.iter().find(|(book, _)| *book == ACME).unwrap().1;
        assert_eq!(acme, Money(30 * 1_000_000_000 - 240 * 3_300_000), "seed {seed}");
    }
}

#[test]
fn open_calls_and_the_last_sign_of_life_are_restored() {
    let (dir, store) = store();
    let (mut journal, _) = open_journal(dir.path());
    let mut books = Books::default();
    let placed = |seq: u64, call: u64| (Seq(seq), samples::placed(samples::cdr(call)));
    let at = switch::Moment { utc: Utc(77), ..Default::default() };
    let records = [
        placed(1, 11),
        placed(2, 12),
        (Seq(3), Record::Alive { at }),
        (Seq(4), books.end(samples::cdr(11))),
        (Seq(5), books.pay(1, Money(5), "k")),
    ];
    journal.append(&records).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let (journal, recovered) = open_journal(dir.path());
    let (restored, _) = store.restore(&journal, recovered).unwrap();
    let open: Vec<CallId> = restored.open_calls.iter().filter_map(switch::OpenCall::id).collect();
    assert_eq!((open.as_slice(), restored.last_alive), ([CallId(12)].as_slice(), Some(at)));
    assert_eq!(restored.keys[0].0, "k");
    let findings = store.check_journal(journal.last(), &open).unwrap();
    assert!(findings.iter().all(|f| f.ok), "{findings:?}");
    let findings = store.check_journal(Seq(4), &[CallId(11)]).unwrap();
    assert!(findings.iter().all(|f| !f.ok), "{findings:?}");
    // The journal is gone: numbers go on behind what the database has.
    drop(journal);
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let (journal, recovered) = open_journal(dir.path());
    let (restored, _) = store.restore(&journal, recovered).unwrap();
    assert_eq!(restored.last_seq, Seq(5));
}

/// Not a check: prints what the database takes, for a look with `--nocapture`.
#[test]
fn speed_of_applying() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let records = Books::default().traffic(1, 20_000);
    let mut applier = store.applier();
    let start = std::time::Instant::now();
    for batch in records.chunks(2000) {
        applier.apply(batch).unwrap();
    }
    let took = start.elapsed();
    println!("20,000 records in {took:?}: {:.0} a second", 20_000.0 / took.as_secs_f64());
    let start = std::time::Instant::now();
    let page = store.cdrs(&CdrFilter::default(), None, 50).unwrap();
    println!("first page of {} in {:?}", page.items.len(), start.elapsed());
    let start = std::time::Instant::now();
    assert!(store.check().unwrap().iter().all(|f| f.ok));
    println!("check in {:?}", start.elapsed());
}
