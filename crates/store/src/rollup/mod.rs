//! Sums from which reports are made: kept by the applier in the transaction of the records that they sum up, so each
//! record is in them exactly once, and made anew from the records at any time, to the unit.
//!
//! A row covers a quarter of an hour, an hour or a day (UTC) of one combination of customer, gateways, vendor,
//! destination, end reason and currencies. A call belongs to the time of its start, in every report; so does the money
//! of its own postings, whatever second they were made in. Quarters, because no time zone of today is off by less.
//!
//! Attempts at routing gateways are rows of their own, without money: a gateway that failed is not the one that the CDR
//! names, and its figures are worth as much.

mod rebuild;
mod sums;

pub(crate) use rebuild::{compare, rebuild, rebuild_within};
pub(crate) use sums::{LedgerSum, Sums, wide};

use crate::StoreError;
use crate::ledger::{book_text, kind_text};
use crate::sql::{Connection, Value};
use billing::ledger::{Posting, PostingKind};
use cdr::{AttemptResult, Cdr};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::LazyLock;
use vocab::{EndReason, Utc};

/// Lengths of time that rows cover, in seconds, the longest first; each is a whole number of the next.
pub(crate) const LEVELS: [i64; 3] = [86_400, 3600, QUARTER];
pub(crate) const QUARTER: i64 = 900;

/// What a row sums up.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub source: String,
    /// 0 where there is none.
    pub account: u32,
    pub mapping_gateway: u32,
    pub vendor: u32,
    pub routing_gateway: u32,
    /// Of the customer's rate.
    pub prefix: String,
    pub area: String,
    pub cost_prefix: String,
    pub end_reason: String,
    /// Of the sale, and of the cost; empty where there is none.
    pub currency: String,
    pub cost_currency: String,
}

pub(crate) const CALL: &str = "call";
pub(crate) const ATTEMPT: &str = "attempt";

pub(crate) const KEY_COLUMNS: &str = "source, account_id, mapping_gateway_id, vendor_id, routing_gateway_id, prefix, area, \
                                      cost_prefix, end_reason, currency, cost_currency";

impl Key {
    fn of(cdr: &Cdr) -> Key {
        let currency = |p: &Option<cdr::Priced>| p.as_ref().map_or(String::new(), |p| p.currency.to_string());
        Key {
            source: CALL.into(),
            account: cdr.account.as_ref().map_or(0, |n| n.id.0),
            mapping_gateway: cdr.mapping_gateway.as_ref().map_or(0, |n| n.id.0),
            vendor: cdr.vendor.as_ref().map_or(0, |n| n.id.0),
            routing_gateway: cdr.routing_gateway.as_ref().map_or(0, |n| n.id.0),
            prefix: cdr.sale.as_ref().map_or(String::new(), |p| p.prefix.clone()),
            area: cdr.sale.as_ref().map_or(String::new(), |p| p.area.to_string()),
            cost_prefix: cdr.cost.as_ref().map_or(String::new(), |p| p.prefix.clone()),
            end_reason: cdr.end_reason.key().into(),
            currency: currency(&cdr.sale),
            cost_currency: currency(&cdr.cost),
        }
    }

    fn values(&self) -> [Value<'_>; 11] {
        [
            (&self.source).into(),
            self.account.into(),
            self.mapping_gateway.into(),
            self.vendor.into(),
            self.routing_gateway.into(),
            (&self.prefix).into(),
            (&self.area).into(),
            (&self.cost_prefix).into(),
            (&self.end_reason).into(),
            (&self.currency).into(),
            (&self.cost_currency).into(),
        ]
    }

    /// From [`KEY_COLUMNS`], the first of which is this column.
    pub fn read(row: &crate::sql::Row<'_>, first: usize) -> Result<Key, StoreError> {
        let text = |column| row.text(first + column).map(str::to_string);
        Ok(Key {
            source: text(0)?,
            account: row.id(first + 1)?,
            mapping_gateway: row.id(first + 2)?,
            vendor: row.id(first + 3)?,
            routing_gateway: row.id(first + 4)?,
            prefix: text(5)?,
            area: text(6)?,
            cost_prefix: text(7)?,
            end_reason: text(8)?,
            currency: text(9)?,
            cost_currency: text(10)?,
        })
    }
}

/// Money of one book, of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LedgerKey {
    pub book: String,
    pub currency: String,
    pub kind: &'static str,
}

/// Sums of a batch of records, on their way into the tables.
#[derive(Default)]
pub(crate) struct Pending {
    pub(super) calls: BTreeMap<(i64, i64, Key), Sums>,
    pub(super) money: BTreeMap<(i64, i64, LedgerKey), LedgerSum>,
}

/// Numbers of keys, as they stand in the table.
pub(crate) type KeyIds = HashMap<Key, i64>;
/// Numbers kept in memory at most.
const KEYS_KEPT: usize = 200_000;

/// The second in which something happened.
pub(crate) fn second(at: Utc) -> i64 {
    at.0.div_euclid(1_000_000)
}

/// Are the postings of this kind part of a call's record? Their time is that of the call.
pub(crate) fn is_of_call(kind: PostingKind) -> bool {
    matches!(kind, PostingKind::CallCharge | PostingKind::AgentCharge | PostingKind::CallCost)
}

/// Did the network do its part (ITU-T E.425, network effectiveness)? Nobody at home, busy and "no" are the callee's.
fn is_effective(answered: bool, rang: bool, reason: EndReason) -> bool {
    use EndReason::{CalleeBusy, CalleeRejected, NoAnswer};
    answered || rang || matches!(reason, CalleeBusy | CalleeRejected | NoAnswer)
}

impl Pending {
    pub fn add_cdr(&mut self, cdr: &Cdr) {
        let key = Key::of(cdr);
        for attempt in &cdr.attempts {
            let (answered, reason) = match attempt.result {
                AttemptResult::Answered => (true, cdr.end_reason),
                AttemptResult::Failed(reason) => (false, reason),
            };
            let pdd = attempt.ringing.map(|at| at.0.saturating_sub(attempt.start.0).max(0) / 1000);
            let sums = Sums {
                calls: 1,
                answered: i64::from(answered),
                effective: i64::from(is_effective(answered, attempt.ringing.is_some(), reason)),
                talk_ms: if answered { whole(cdr.talk_ms) } else { 0 },
                pdd_ms: pdd.unwrap_or(0),
                pdd_calls: i64::from(pdd.is_some()),
                ..Sums::default()
            };
            let key = Key {
                source: ATTEMPT.into(),
                vendor: attempt.account.id.0,
                routing_gateway: attempt.gateway.id.0,
                end_reason: reason.key().into(),
                cost_prefix: String::new(),
                cost_currency: String::new(),
                ..key.clone()
            };
            self.add(cdr.start, key, &sums);
        }
        self.add(cdr.start, key, &Sums::of(cdr));
    }

    fn add(&mut self, at: Utc, key: Key, sums: &Sums) {
        for level in LEVELS {
            let slot = second(at).div_euclid(level) * level;
            self.calls.entry((level, slot, key.clone())).or_default().add(sums);
        }
    }

    /// `at` is the start of the call when the posting belongs to its record.
    pub fn add_posting(&mut self, at: Utc, posting: &Posting) -> Result<(), StoreError> {
        let currency = posting.currency.to_string();
        for entry in &posting.entries {
            let key = LedgerKey {
                book: book_text(entry.book),
                currency: currency.clone(),
                kind: kind_text(posting.kind),
            };
            self.add_money(second(at), key, entry.amount.0);
        }
        Ok(())
    }

    fn add_money(&mut self, second: i64, key: LedgerKey, amount: i128) {
        for level in LEVELS {
            let slot = second.div_euclid(level) * level;
            self.money.entry((level, slot, key.clone())).or_default().add(amount);
        }
    }

    pub fn len(&self) -> usize {
        self.calls.len() + self.money.len()
    }

    /// Adds everything to the tables.
    pub fn flush(self, db: &Connection, ids: &mut KeyIds) -> Result<(), StoreError> {
        if ids.len() > KEYS_KEPT {
            ids.clear();
        }
        for ((level, slot, key), sums) in &self.calls {
            let id = match ids.get(key) {
                Some(id) => *id,
                None => {
                    let id = key_id(db, key)?;
                    ids.insert(key.clone(), id);
                    id
                }
            };
            let mut values = vec![Value::from(*level), (*slot).into(), id.into()];
            values.extend(sums.values().map(Value::from));
            db.run(&ADD_CALLS, &values)?;
        }
        for ((level, slot, key), sum) in &self.money {
            let mut values: Vec<Value<'_>> = vec![(*level).into(), (*slot).into()];
            values.extend([(&key.book).into(), (&key.currency).into(), key.kind.into()]);
            values.extend([sum.entries.into(), sum.hi.into(), sum.lo.into()]);
            db.run(ADD_MONEY, &values)?;
        }
        Ok(())
    }
}

fn key_id(db: &Connection, key: &Key) -> Result<i64, StoreError> {
    static INSERT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO rollup_key ({KEY_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT ({KEY_COLUMNS}) DO NOTHING"
        )
    });
    let values = key.values();
    db.run(&INSERT, &values)?;
    let find = "SELECT id FROM rollup_key WHERE source = ?1 AND account_id = ?2 AND mapping_gateway_id = ?3
        AND vendor_id = ?4 AND routing_gateway_id = ?5 AND prefix = ?6 AND area = ?7 AND cost_prefix = ?8
        AND end_reason = ?9 AND currency = ?10 AND cost_currency = ?11";
    let found = db.first(find, &values, |row| row.int(0))?;
    found.ok_or_else(|| StoreError::corrupt("a key of the sums is missing"))
}

/// Adds to a row, or makes it.
static ADD_CALLS: LazyLock<String> = LazyLock::new(|| {
    let mut sql =
        format!("INSERT INTO rollup (level, slot, key_id, {}) VALUES (?1, ?2, ?3", Sums::COLUMNS.join(", "));
    for place in 4..4 + Sums::COLUMNS.len() {
        let _ = write!(sql, ", ?{place}");
    }
    sql += ") ON CONFLICT (level, slot, key_id) DO UPDATE SET ";
    let sets: Vec<String> =
        Sums::COLUMNS.iter().map(|c| format!("{c} = rollup.{c} + excluded.{c}")).collect();
    sql + &sets.join(", ")
});

const ADD_MONEY: &str = "INSERT INTO ledger_rollup (level, slot, book, currency, kind, entries, amount_hi, amount_lo)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (level, slot, book, currency, kind) DO UPDATE SET entries = ledger_rollup.entries + excluded.entries,
    amount_hi = ledger_rollup.amount_hi + excluded.amount_hi, amount_lo = ledger_rollup.amount_lo + excluded.amount_lo";

pub(crate) fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
