//! Talk and money of each account by the quarter of an hour: what daily and monthly limits go on from after a restart.
//! Quarters, because no time zone begins its days between them.

use crate::StoreError;
use crate::sql::{Connection, Value, crc};
use cdr::Cdr;
use std::collections::BTreeMap;
use switch::interface::Used;
use vocab::{AccountId, Money, Utc};

const QUARTER_US: i64 = 15 * 60 * 1_000_000;
/// The longest month, and a day for time zones.
const KEPT_US: i64 = 32 * 86_400 * 1_000_000;

/// What calls have used, not yet written.
#[derive(Default)]
pub(crate) struct Usage {
    by_quarter: BTreeMap<(AccountId, i64), (u64, Money)>,
}

impl Usage {
    pub fn add(&mut self, cdr: &Cdr) {
        let quarter = cdr.end.0.div_euclid(QUARTER_US);
        for (account, billed_s, amount) in cdr.used() {
            let sum = self.by_quarter.entry((account, quarter)).or_default();
            sum.0 = sum.0.saturating_add(billed_s);
            sum.1 = Money(sum.1.0.saturating_add(amount.0));
        }
    }

    pub fn write(&mut self, db: &Connection) -> Result<(), StoreError> {
        for ((account, quarter), (seconds, amount)) in std::mem::take(&mut self.by_quarter) {
            let sql = "SELECT account_id, quarter, seconds, amount, crc FROM account_usage
                       WHERE account_id = ?1 AND quarter = ?2";
            let key = [account.0.into(), quarter.into()];
            let before = db.first(sql, &key, |row| {
                row.verify(4)?;
                Ok((row.unsigned(2)?, row.parsed::<Money>(3)?))
            })?;
            let (old_s, old) = before.unwrap_or_default();
            let amount = Money(old.0.saturating_add(amount.0)).to_string();
            let mut row: Vec<Value<'_>> =
                vec![account.0.into(), quarter.into(), old_s.saturating_add(seconds).into(), amount.into()];
            row.push(crc(&row));
            let sql = "INSERT INTO account_usage (account_id, quarter, seconds, amount, crc) VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT (account_id, quarter) DO UPDATE SET seconds = excluded.seconds,
                         amount = excluded.amount, crc = excluded.crc";
            db.run(sql, &row)?;
        }
        Ok(())
    }
}

/// What may still count for a day or a month, in the order of time.
pub(crate) fn recent(db: &Connection) -> Result<Vec<Used>, StoreError> {
    let sql = "SELECT account_id, quarter, seconds, amount, crc FROM account_usage
               WHERE quarter >= (SELECT COALESCE(MAX(quarter), 0) FROM account_usage) - ?1 ORDER BY quarter";
    db.rows(sql, &[(KEPT_US / QUARTER_US).into()], |row| {
        row.verify(4)?;
        Ok(Used {
            account: AccountId(row.id(0)?),
            at: Utc(row.int(1)?.saturating_mul(QUARTER_US)),
            seconds: row.unsigned(2)?,
            amount: row.parsed(3)?,
        })
    })
}
