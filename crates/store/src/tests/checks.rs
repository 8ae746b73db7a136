//! Planted damage is found; old data is read.

use super::{business, scratch, store};
use crate::samples::{self, Books};
use crate::sql::{Value, crc};
use crate::{CdrFilter, Journal, JournalOptions, Store, StoreError};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use vocab::{AccountId, CallId, Money, Seq};

fn failing(store: &Store) -> Vec<&'static str> {
    store.check().unwrap().into_iter().filter(|f| !f.ok).map(|f| f.check).collect()
}

/// Gives every row a good checksum, so that only the sense of its contents can tell.
fn seal_again(db: &Connection) {
    let crc = |c: &rusqlite::functions::Context<'_>| {
        let values = (0..c.len()).map(|i| match c.get_raw(i) {
            ValueRef::Integer(n) => Value::from(n),
            ValueRef::Text(text) => Value::from(std::str::from_utf8(text).unwrap()),
            _ => Value::Null,
        });
        match crc(&values.collect::<Vec<_>>()) {
            Value::Int(n) => Ok(n),
            _ => unreachable!(),
        }
    };
    db.create_scalar_function("crc", -1, FunctionFlags::default(), crc).unwrap();
    db.execute_batch(
        "UPDATE balance SET crc = crc(book, currency, amount);
         UPDATE ledger_entry SET crc = crc(seq, line, book, currency, amount, balance_after, kind, call_id, posted_at,
           posted_by, note, posting_key);
         UPDATE cdr_20261122 SET crc = crc(call_id, seq, body);
         UPDATE document SET crc = crc(kind, id, version, body, name);
         UPDATE posting SET crc = crc(posting_key, seq, body);
         UPDATE rate SET crc = crc(group_id, prefix, area, price_per_minute, first_period, cycle, first_period_price,
           connection_fee, minimum_charge, free_seconds, locked);",
    )
    .unwrap();
}

#[test]
fn rows_that_differ_from_their_checksum_are_not_read() {
    for (damage, want) in [
        ("UPDATE balance SET amount = '1.00' WHERE book = 'account:1'", "ledger entries"),
        ("UPDATE ledger_entry SET note = 'x' WHERE seq = 10", "ledger entries"),
        ("UPDATE cdr_20261122 SET body = replace(body, 'PCMA', 'PCMU')", "calls and their charges"),
        ("UPDATE document SET body = replace(body, '5080', '5081')", "configuration"),
        ("UPDATE rate SET price_per_minute = '0.0001' WHERE prefix = '880'", "configuration"),
        ("UPDATE posting SET body = replace(body, 'admin', 'eve')", "idempotency keys"),
        ("UPDATE parameter SET body = '5'", "configuration"),
        ("UPDATE pending_payment SET amount = '99.00'", "configuration"),
    ] {
        let (dir, store) = store();
        business(&store);
        store.set_parameter("SS_MAX_CPS", "100", "test").unwrap();
        store.applier().apply(&Books::default().traffic(1, 40)).unwrap();
        let changed = Connection::open(dir.path().join("tandem.db")).unwrap().execute(damage, []).unwrap();
        assert!(changed > 0, "{damage}");
        assert_eq!(failing(&store), [want], "{damage}");
        assert!(contents(&store).is_err() || want == "configuration", "{damage}");
    }
    let (dir, store) = store();
    store.applier().apply(&Books::default().traffic(1, 40)).unwrap();
    Connection::open(dir.path().join("tandem.db"))
        .unwrap()
        .execute("UPDATE watermark SET seq = 20", [])
        .unwrap();
    assert!(store.applied().is_err());
}

#[test]
fn planted_damage_is_found() {
    let cases: &[(&str, &[&str])] = &[
        ("UPDATE balance SET amount = '99999.00' WHERE book = 'account:1'", &["balances"]),
        ("DELETE FROM balance WHERE book = 'account:1'", &["balances"]),
        ("INSERT INTO balance VALUES ('account:5', 'USD', '1.00', 0)", &["balances"]),
        (
            "UPDATE ledger_entry SET amount = '1.00' WHERE seq = 10 AND book = 'account:1'",
            &["ledger entries", "double entry"],
        ),
        ("DELETE FROM ledger_entry WHERE seq = 10", &["ledger entries", "idempotency keys"]),
        (
            "DELETE FROM ledger_entry WHERE seq = 12 AND kind = 'call_charge'",
            &["ledger entries", "calls and their charges"],
        ),
        ("DELETE FROM cdr_20261122 WHERE call_id = 12", &["charges and their calls"]),
        (
            "UPDATE cdr_20261122 SET seq = 999 WHERE call_id = 12",
            &["calls and their charges", "charges and their calls"],
        ),
        (
            "UPDATE cdr_20261122 SET body = replace(body, '\"0.033\"', '\"0.034\"') WHERE call_id = 12",
            &["calls and their charges"],
        ),
        ("CREATE TABLE cdr_20261123 AS SELECT * FROM cdr_20261122 WHERE call_id = 11", &["no call twice"]),
        ("UPDATE document SET body = replace(body, '127.0.0.1:5080', 'nowhere:x')", &["configuration"]),
        (
            "UPDATE rate SET prefix = '8801' WHERE prefix = '880'; DELETE FROM rate WHERE prefix = '44'",
            &["configuration"],
        ),
        ("UPDATE posting SET seq = 11 WHERE posting_key = 'key-10'", &["idempotency keys"]),
        ("UPDATE cdr_20261122 SET caller = '33' WHERE call_id = 12", &["calls and their charges"]),
    ];
    for (damage, want) in cases {
        let (dir, store) = store();
        business(&store);
        store.applier().apply(&Books::default().traffic(1, 40)).unwrap();
        assert_eq!(failing(&store), [""; 0], "before {damage}");
        let db = Connection::open(dir.path().join("tandem.db")).unwrap();
        db.execute_batch(damage).unwrap();
        seal_again(&db);
        assert_eq!(failing(&store), *want, "{damage}");
    }
}

/// Everything that can be read from the store, to be compared.
fn contents(store: &Store) -> Result<String, StoreError> {
    let mut all = format!("{:?} {:?} {:?}", store.balances()?, store.pending_payments()?, store.export()?);
    for account in [1, 2] {
        all += &format!("{:?}", store.ledger(AccountId(account), None, 100_000)?);
    }
    let mut cursor = None;
    loop {
        let page = store.cdrs(&CdrFilter::default(), cursor.as_deref(), 1000)?;
        all += &format!("{:?}", page.items);
        for n in (10..300).step_by(10) {
            all += &format!("{:?}", store.posting_by_key(&format!("key-{n}"))?);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

/// Noise in the file is refused, found by the check, or has hit nothing that can be read (`R-14`).
#[test]
fn a_spoilt_file_is_never_served_as_sound() {
    let (dir, store) = store();
    business(&store);
    store.applier().apply(&Books::default().traffic(1, 300)).unwrap();
    let want = contents(&store).unwrap();
    drop(store);
    let path = dir.path().join("tandem.db");
    let good = std::fs::read(&path).unwrap();
    let mut random = vocab::Random::from_number(1);
    let (mut found, mut harmless) = (0, 0);
    for seed in 0..100 {
        let mut bad = good.clone();
        let at = usize::try_from(random.below(good.len() as u64 - 64)).unwrap();
        for byte in &mut bad[at..at + 64] {
            *byte = u8::try_from(random.below(256)).unwrap();
        }
        std::fs::write(&path, &bad).unwrap();
        let opened = Store::open(dir.path());
        let sound = opened.as_ref().is_ok_and(|s| s.check().is_ok_and(|f| f.iter().all(|f| f.ok)));
        if sound {
            assert_eq!(contents(&opened.unwrap()).unwrap(), want, "seed {seed}: noise at {at}");
            harmless += 1;
        } else {
            found += 1;
        }
    }
    assert!(found > harmless, "{found} found, {harmless} without effect");
}

#[test]
fn a_newer_database_is_refused_in_one_line() {
    let (dir, store) = store();
    drop(store);
    let db = Connection::open(dir.path().join("tandem.db")).unwrap();
    db.execute("INSERT INTO migration VALUES (9999, 'from the future', 0)", []).unwrap();
    let error = Store::open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 9999, .. }), "{error}");
    assert!(!error.to_string().contains('\n'));
}

/// A data folder of the first version, as it was written then.
#[test]
fn the_first_version_is_read() {
    let dir = scratch();
    let path = dir.path().join("tandem.db");
    Connection::open(&path).unwrap().execute_batch(include_str!("../../fixtures/version-1.sql")).unwrap();
    std::fs::write(dir.path().join("secret.key"), "07".repeat(32)).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let config = store.config();
    let acme = config.accounts.named("acme").unwrap();
    assert_eq!((config.accounts.len(), config.routing_gateways.len(), acme.version), (3, 2, 1));
    assert_eq!(store.rates(config.rate_groups.named("retail").unwrap().id, "", None, 10).unwrap().len(), 3);
    assert_eq!(store.cdr(CallId(12)).unwrap(), Some(cdr::Cdr { version: 1, ..samples::cdr(12) }));
    assert_eq!(store.ledger(AccountId(1), None, 100).unwrap().items.len(), 18);
    assert_eq!(store.applied().unwrap(), Seq(20));
    assert_eq!(failing(&store), [""; 0]);
    assert_eq!(store.pending_payments().unwrap()[0].amount, Money(1_000_000_000));
    assert!(store.snapshot(&Default::default()).is_ok());
}

/// Writes the data of `the_first_version_is_read`; run once for each new version, with the folder to write to.
#[test]
fn write_fixture() {
    let Some(dir) = std::env::var_os("TANDEM_WRITE_FIXTURE") else { return };
    let dir = std::path::Path::new(&dir);
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("secret.key"), "07".repeat(32)).unwrap();
    let store = Store::open(dir).unwrap();
    business(&store);
    store.applier().apply(&Books::default().traffic(1, 20)).unwrap();
    store.set_parameter("SS_MAX_CPS", "100", "test").unwrap();
}

#[test]
fn a_backup_under_load_is_consistent() {
    let (dir, store) = store();
    business(&store);
    let records = Books::default().traffic(1, 3000);
    let options = JournalOptions { segment_bytes: 256 << 10 };
    let (mut journal, _) = Journal::open(&dir.path().join("journal"), options).unwrap();
    let copy = dir.path().join("copy");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut applier = store.applier();
            records.chunks(100).for_each(|batch| {
                journal.append(batch).unwrap();
                journal.sync().unwrap();
                let applied = applier.apply(batch).unwrap();
                journal.forget(applied).unwrap();
            });
        });
        while store.applied().unwrap() < Seq(300) {
            std::thread::yield_now();
        }
        let made = crate::backup(dir.path(), &copy).unwrap();
        assert!(made.applied >= Seq(300) && made.last >= made.applied, "{made:?}");
    });
    assert!(crate::backup(dir.path(), &copy).is_err(), "never over what is there");
    let new = dir.path().join("new");
    let restored = crate::restore(&copy, &new, Some(&dir.path().join("secret.key"))).unwrap();
    assert!(restored.findings.iter().all(|f| f.ok), "{restored:?}");
    assert!(crate::restore(&copy, &new, None).is_err(), "never over what is there");
    let again = Store::open(&new).unwrap();
    assert_eq!(again.config().accounts.len(), 3);
    // What came later brings the copy up to date.
    again.applier().apply(&records).unwrap();
    assert_eq!(again.balances().unwrap(), store.balances().unwrap());
}

/// Not a check of time: prints what a restore costs, for a look with `--nocapture`.
#[test]
fn speed_of_backup_and_restore() {
    let (dir, store) = store();
    business(&store);
    let calls = 20_000;
    let records = Books::default().traffic(1, calls);
    let (mut journal, _) = Journal::open(&dir.path().join("journal"), JournalOptions::default()).unwrap();
    journal.append(&records).unwrap();
    journal.sync().unwrap();
    store.applier().apply(&records).unwrap();
    let start = std::time::Instant::now();
    crate::backup(dir.path(), &dir.path().join("copy")).unwrap();
    let backed_up = start.elapsed();
    let restored = crate::restore(&dir.path().join("copy"), &dir.path().join("new"), None).unwrap();
    assert!(restored.findings.iter().all(|f| f.ok), "{restored:?}");
    println!(
        "R-13: {calls} records: backup {backed_up:?}, restore with all checks {:?}",
        start.elapsed() - backed_up
    );
}
