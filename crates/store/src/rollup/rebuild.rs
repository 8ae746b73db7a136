//! Sums made anew from the records, and compared with those that are there.
//!
//! Day by day: a day's CDRs make exactly the rows of that day. Days whose CDRs were deleted by age keep their sums.

use super::{KEY_COLUMNS, Key, KeyIds, LedgerKey, LedgerSum, Pending, Sums, is_of_call, second};
use crate::ledger::{kind_of, kind_text};
use crate::sql::Connection;
use crate::{Store, StoreError, cdrs};
use billing::ledger::PostingKind;
use std::collections::BTreeMap;
use std::fmt::Debug;
use vocab::{Money, Utc};

const DAY_S: i64 = 86_400;
/// Rows of sums that are gathered before they are written.
const FLUSH: usize = 20_000;

/// Makes all sums anew, each day in a transaction of its own, so that records go on being applied in between. The
/// number of CDRs that were read.
pub(crate) fn rebuild(store: &Store) -> Result<u64, StoreError> {
    let days = store.read(cdrs::days)?;
    let mut count = 0;
    for day in days {
        count += store.write(|db| rebuild_day(db, day))?;
    }
    store.write(rebuild_other_money)?;
    Ok(count)
}

/// All of it in the transaction of the caller.
pub(crate) fn rebuild_within(db: &Connection) -> Result<(), StoreError> {
    for day in cdrs::days(db)? {
        rebuild_day(db, day)?;
    }
    rebuild_other_money(db)
}

fn rebuild_day(db: &Connection, day: i64) -> Result<u64, StoreError> {
    let bounds = [(day * DAY_S).into(), ((day + 1) * DAY_S).into()];
    db.run("DELETE FROM rollup WHERE level IN (86400, 3600, 900) AND slot >= ?1 AND slot < ?2", &bounds)?;
    for kind in kinds_of_calls() {
        let [from, to] = bounds.clone();
        let sql = "DELETE FROM ledger_rollup WHERE level IN (86400, 3600, 900) AND slot >= ?1 AND slot < ?2 AND kind = ?3";
        db.run(sql, &[from, to, kind_text(kind).into()])?;
    }
    let (mut pending, mut ids, mut count) = (Pending::default(), KeyIds::new(), 0);
    cdrs::each(db, day, |_, cdr| {
        pending.add_cdr(cdr);
        count += 1;
        if pending.len() >= FLUSH {
            std::mem::take(&mut pending).flush(db, &mut ids)?;
        }
        Ok(())
    })?;
    money_of_calls(db, day, &mut pending)?;
    pending.flush(db, &mut ids)?;
    Ok(count)
}

/// Money that belongs to no call's record.
fn rebuild_other_money(db: &Connection) -> Result<(), StoreError> {
    let of_calls = kinds_of_calls().map(|k| format!("'{}'", kind_text(k))).collect::<Vec<_>>().join(", ");
    db.run(&format!("DELETE FROM ledger_rollup WHERE kind NOT IN ({of_calls})"), &[])?;
    let mut pending = Pending::default();
    other_money(db, &mut pending)?;
    pending.flush(db, &mut KeyIds::new())
}

fn kinds_of_calls() -> impl Iterator<Item = PostingKind> {
    crate::ledger::kinds().filter(|kind| is_of_call(*kind))
}

fn money_of_calls(db: &Connection, day: i64, pending: &mut Pending) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT c.start_ms, e.book, e.currency, e.kind, e.amount FROM {} c JOIN ledger_entry e ON e.seq = c.seq
         WHERE e.call_id = c.call_id",
        cdrs::table(day)
    );
    db.each(&sql, &[], |row| {
        let kind = kind_of(row.text(3)?)?;
        if is_of_call(kind) {
            let key = LedgerKey {
                book: row.text(1)?.to_string(),
                currency: row.text(2)?.to_string(),
                kind: kind_text(kind),
            };
            let amount: Money = row.parsed(4)?;
            pending.add_money(second(Utc::from_millis(row.int(0)?)), key, amount.0);
        }
        Ok(())
    })
}

fn other_money(db: &Connection, pending: &mut Pending) -> Result<(), StoreError> {
    let sql = "SELECT posted_at, book, currency, kind, amount FROM ledger_entry";
    db.each(sql, &[], |row| {
        let kind = kind_of(row.text(3)?)?;
        if !is_of_call(kind) {
            let key = LedgerKey {
                book: row.text(1)?.to_string(),
                currency: row.text(2)?.to_string(),
                kind: kind_text(kind),
            };
            let amount: Money = row.parsed(4)?;
            pending.add_money(second(Utc::from_millis(row.int(0)?)), key, amount.0);
        }
        Ok(())
    })
}

/// What differs between the sums and the records, in words; how many rows were compared.
pub(crate) fn compare(db: &Connection, mut fault: impl FnMut(String)) -> Result<u64, StoreError> {
    let mut rows = 0;
    for day in cdrs::days(db)? {
        let mut made = Pending::default();
        cdrs::each(db, day, |_, cdr| {
            made.add_cdr(cdr);
            Ok(())
        })?;
        money_of_calls(db, day, &mut made)?;
        let (from, to) = (day * DAY_S, (day + 1) * DAY_S);
        rows += different(&made.calls, &stored_calls(db, from, to)?, &mut fault);
        rows += different(&made.money, &stored_money(db, from, to, true)?, &mut fault);
    }
    let mut made = Pending::default();
    other_money(db, &mut made)?;
    rows += different(&made.money, &stored_money(db, i64::MIN, i64::MAX, false)?, &mut fault);
    Ok(rows)
}

fn stored_calls(db: &Connection, from: i64, to: i64) -> Result<BTreeMap<(i64, i64, Key), Sums>, StoreError> {
    let sums: Vec<String> = Sums::COLUMNS.iter().map(|c| format!("r.{c}")).collect();
    let sql = format!(
        "SELECT r.level, r.slot, {KEY_COLUMNS}, {} FROM rollup r JOIN rollup_key k ON k.id = r.key_id
         WHERE r.level IN (86400, 3600, 900) AND r.slot >= ?1 AND r.slot < ?2",
        sums.join(", ")
    );
    let mut found = BTreeMap::new();
    db.each(&sql, &[from.into(), to.into()], |row| {
        found.insert((row.int(0)?, row.int(1)?, Key::read(row, 2)?), Sums::read(row, 13)?);
        Ok(())
    })?;
    Ok(found)
}

fn stored_money(
    db: &Connection,
    from: i64,
    to: i64,
    of_calls: bool,
) -> Result<BTreeMap<(i64, i64, LedgerKey), LedgerSum>, StoreError> {
    let sql = "SELECT level, slot, book, currency, kind, entries, amount_hi, amount_lo FROM ledger_rollup
               WHERE level IN (86400, 3600, 900) AND slot >= ?1 AND slot < ?2";
    let mut found = BTreeMap::new();
    db.each(sql, &[from.into(), to.into()], |row| {
        let kind = kind_of(row.text(4)?)?;
        if is_of_call(kind) == of_calls {
            let (book, currency) = (row.text(2)?.to_string(), row.text(3)?.to_string());
            let key = LedgerKey { book, currency, kind: kind_text(kind) };
            let sum = LedgerSum { entries: row.int(5)?, hi: row.int(6)?, lo: row.int(7)? };
            found.insert((row.int(0)?, row.int(1)?, key), sum);
        }
        Ok(())
    })?;
    Ok(found)
}

fn different<K: Ord + Debug, V: PartialEq + Debug + Default>(
    made: &BTreeMap<K, V>,
    stored: &BTreeMap<K, V>,
    fault: &mut impl FnMut(String),
) -> u64 {
    for (key, sums) in made {
        match stored.get(key) {
            Some(found) if found == sums => {}
            Some(found) => fault(format!("{key:?}: {found:?}, the records say {sums:?}")),
            None => fault(format!("{key:?}: missing, the records say {sums:?}")),
        }
    }
    for (key, found) in stored.iter().filter(|(key, _)| !made.contains_key(key)) {
        fault(format!("{key:?}: {found:?}, the records have nothing"));
    }
    made.len() as u64
}
