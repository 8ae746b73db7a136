//! CDRs in partitions by day of their start (UTC). What is filtered and sorted by has a column; the record itself is
//! kept whole beside it.
//!
//! Call ids grow with time, so within a day their order is the order of the calls, and a page is found by its last
//! call id. A page looks at as few days as it needs, newest first.

use crate::sql::{Connection, Row, Value, crc, like_literal};
use crate::{Store, StoreError};
use cdr::Cdr;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};
use time::Date;
use vocab::{
    AccountId, CallId, Currency, EndReason, EndedBy, MappingGatewayId, Money, RoutingGatewayId, Seq, Utc,
};

/// A part of a list, and where the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// For the next page; `None` after the last.
    pub next: Option<String>,
}

/// Which CDRs. Everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CdrFilter {
    /// Start at or after.
    pub from: Option<Utc>,
    /// Start before.
    pub to: Option<Utc>,
    pub account: Option<AccountId>,
    /// The customer's account is one of these; of any, when there are none.
    pub within: Vec<AccountId>,
    pub mapping_gateway: Option<MappingGatewayId>,
    pub routing_gateway: Option<RoutingGatewayId>,
    /// The vendor's account.
    pub vendor: Option<AccountId>,
    /// The caller's number begins with this, as received; a leading + does not matter.
    pub caller: Option<String>,
    /// The called number begins with this, as received or as sent.
    pub callee: Option<String>,
    /// Caller or called number contains this.
    pub number: Option<String>,
    /// Prefix and area of the customer's rate.
    pub prefix: Option<String>,
    pub area: Option<String>,
    /// Of the sale, or of the cost where nothing was sold.
    pub currency: Option<Currency>,
    /// Call-ID of one of the sides.
    pub call_id: Option<String>,
    /// SIP status and Q.850 cause.
    pub sip_code: Option<u16>,
    pub q850: Option<u8>,
    pub end_reason: Option<EndReason>,
    pub ended_by: Option<EndedBy>,
    pub answered: Option<bool>,
    pub min_talk_ms: Option<u64>,
    /// Sold for less than it cost (`BIL-18`), or not.
    pub below_cost: Option<bool>,
    pub max_talk_ms: Option<u64>,
    /// At least, and at most, this was charged.
    pub min_fee: Option<Money>,
    pub max_fee: Option<Money>,
    /// Stands anywhere in the record: names, Call-IDs, addresses, words.
    pub text: Option<String>,
}

/// A day's table, and the statement that writes to it.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    insert: String,
}

/// Longest page.
const MAX_PAGE: usize = 1000;
/// After so long a page ends where it is, if so many days were looked through.
const PAGE_TIME: Duration = Duration::from_millis(120);
const DAYS_LOOKED: usize = 4;

/// What the CDRs of a query add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CdrTotals {
    pub calls: u64,
    pub answered: u64,
    pub talk_ms: u64,
    /// Fees and costs by currency.
    pub money: BTreeMap<Currency, (Money, Money)>,
}

impl Store {
    /// CDRs, newest first.
    pub fn cdrs(
        &self,
        filter: &CdrFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Cdr>, StoreError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let after = cursor.and_then(read_cursor);
        self.read(|db| {
            let (mut found, mut looked) = (Vec::<(i64, Cdr)>::new(), 0);
            let began = Instant::now();
            for day in days(db)?.into_iter().rev() {
                let before_call = match after {
                    Some((last_day, _)) if day > last_day => continue,
                    Some((last_day, call)) if day == last_day => Some(call),
                    _ => None,
                };
                if !filter.covers(day) {
                    continue;
                }
                if looked >= DAYS_LOOKED && began.elapsed() > PAGE_TIME {
                    // What was found so far, and a cursor to go on from: better than to keep the reader waiting.
                    let next = Some(format!("{day}-{}", i64::MAX));
                    return Ok(Page { items: found.into_iter().map(|(_, cdr)| cdr).collect(), next });
                }
                filter.read_day(db, day, before_call, limit + 1 - found.len(), &mut found)?;
                looked += 1;
                if found.len() > limit {
                    break;
                }
            }
            let more = found.len() > limit;
            found.truncate(limit);
            let next = found.last().filter(|_| more).map(|(day, cdr)| format!("{day}-{}", cdr.call));
            Ok(Page { items: found.into_iter().map(|(_, cdr)| cdr).collect(), next })
        })
    }

    /// What all CDRs of a query add up to.
    pub fn cdr_totals(&self, filter: &CdrFilter) -> Result<CdrTotals, StoreError> {
        self.read(|db| {
            let mut totals = CdrTotals::default();
            for day in days(db)?.into_iter().filter(|day| filter.covers(*day)) {
                let query = filter.query(None);
                let sql = format!(
                    "SELECT currency, cost_currency, COUNT(*), COUNT(answer_ms), SUM(talk_ms), SUM(fee), SUM(expense) \
                     FROM {} WHERE 1 = 1{} GROUP BY currency, cost_currency",
                    table(day),
                    query.conditions
                );
                db.each(&sql, &query.values, |row| totals.add(row))?;
            }
            Ok(totals)
        })
    }

    pub fn cdr(&self, call: CallId) -> Result<Option<Cdr>, StoreError> {
        self.read(|db| find(db, call).map(|found| found.map(|(_, cdr)| cdr)))
    }

    /// How many CDRs each day holds, oldest first; days since 1970.
    pub fn cdr_days(&self) -> Result<Vec<(i64, u64)>, StoreError> {
        self.read(|db| days(db)?.into_iter().map(|day| Ok((day, count(db, day)?))).collect())
    }
}

impl CdrTotals {
    fn add(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        self.calls += row.unsigned(2)?;
        self.answered += row.unsigned(3)?;
        self.talk_ms = self.talk_ms.saturating_add(row.unsigned(4)?);
        let sums = [row.optional_int(5)?, row.optional_int(6)?];
        for (column, sum) in sums.into_iter().enumerate() {
            let (Some(currency), Some(sum)) = (row.optional_text(column)?, sum) else { continue };
            let (fee, cost) = self.money.entry(crate::ledger::read_currency(currency)?).or_default();
            let total = if column == 0 { fee } else { cost };
            *total = total.checked_add(Money(sum.into())).map_err(|e| StoreError::corrupt(e.to_string()))?;
        }
        Ok(())
    }
}

pub(crate) fn count(db: &Connection, day: i64) -> Result<u64, StoreError> {
    let sql = format!("SELECT COUNT(*) FROM {}", table(day));
    Ok(db.first(&sql, &[], |row| row.unsigned(0))?.unwrap_or(0))
}

/// What is read of a CDR: its key, its record in the journal, itself, and the checksum of these.
pub(crate) const CHECKED: &str = "call_id, seq, body, crc";

pub(crate) fn read(row: &Row<'_>) -> Result<(Seq, Cdr), StoreError> {
    row.verify(3)?;
    Ok((Seq(row.unsigned(1)?), serde_json::from_str(row.text(2)?)?))
}

/// Calls by their id; the day in the id is where to look first.
pub(crate) fn find(db: &Connection, call: CallId) -> Result<Option<(Seq, Cdr)>, StoreError> {
    let likely = day_of_call(call);
    let mut days = days(db)?;
    days.sort_by_key(|day| day.abs_diff(likely));
    for day in days {
        let sql = format!("SELECT {CHECKED} FROM {} WHERE call_id = ?1", table(day));
        let found = db.first(&sql, &[call.0.into()], read)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The day in a call id: microseconds since 2020, shifted by ten bits.
pub(crate) fn day_of_call(call: CallId) -> i64 {
    /// Days from 1970 to 2020.
    const DAYS_TO_2020: i64 = 18_262;
    DAYS_TO_2020 + i64::try_from((call.0 >> 10) / 86_400_000_000).unwrap_or(0)
}

impl CdrFilter {
    fn covers(&self, day: i64) -> bool {
        let first = self.from.is_none_or(|from| day >= from.day());
        // A bound at midnight excludes the day that begins there.
        let last = self.to.is_none_or(|to| day <= Utc(to.0.saturating_sub(1)).day());
        first && last
    }

    /// Everything but the days.
    fn query(&self, before_call: Option<i64>) -> Query<'_> {
        let mut query = Query::default();
        query.when(before_call, "call_id < ?");
        query.when(self.from.map(utc_ms), "start_ms >= ?");
        query.when(self.to.map(utc_ms), "start_ms < ?");
        query.when(self.account.map(|id| id.0), "account_id = ?");
        if !self.within.is_empty() {
            let ids: Vec<String> = self.within.iter().map(AccountId::to_string).collect();
            query.conditions.push_str(&format!(" AND account_id IN ({})", ids.join(", ")));
        }
        query.when(self.mapping_gateway.map(|id| id.0), "mapping_gateway_id = ?");
        query.when(self.routing_gateway.map(|id| id.0), "routing_gateway_id = ?");
        query.when(self.vendor.map(|id| id.0), "vendor_id = ?");
        // A range, because an index serves it.
        query.when(self.caller.as_deref().map(plain), "caller >= ?");
        query.when(self.caller.as_deref().map(|n| format!("{}\u{10ffff}", plain(n))), "caller < ?");
        let callee = self.callee.as_deref().map(starting);
        query.when(callee, "(called LIKE ? ESCAPE '!' OR called_sent LIKE ? ESCAPE '!')");
        let number = self.number.as_deref().map(|n| containing(plain(n)));
        query.when(
            number,
            "(caller LIKE ? ESCAPE '!' OR called LIKE ? ESCAPE '!' OR called_sent LIKE ? ESCAPE '!')",
        );
        query.when(self.prefix.as_deref(), "prefix = ?");
        query.when(self.area.as_deref(), "area = ?");
        query.when(self.currency.map(|c| c.to_string()), "currency = ?");
        query.when(self.call_id.as_deref(), "(call_id_a = ? OR call_id_b = ?)");
        query.when(self.sip_code, "sip_code = ?");
        query.when(self.q850.map(u32::from), "q850 = ?");
        query.when(self.end_reason.map(EndReason::key), "end_reason = ?");
        query.when(self.ended_by.map(ended_by_text), "ended_by = ?");
        query.when(self.answered.filter(|yes| *yes).map(i64::from), "answer_ms IS NOT NULL AND ? = 1");
        query.when(self.answered.filter(|yes| !*yes).map(i64::from), "answer_ms IS NULL AND ? = 0");
        query.when(self.min_talk_ms, "talk_ms >= ?");
        // A profit is written as a decimal, below zero with a minus in front.
        query.when(self.below_cost.filter(|yes| *yes).map(|_| "-%"), "profit LIKE ?");
        query
            .when(self.below_cost.filter(|yes| !*yes).map(|_| "-%"), "(profit IS NULL OR profit NOT LIKE ?)");
        query.when(self.max_talk_ms, "talk_ms <= ?");
        query.when(self.min_fee.map(units), "fee >= ?");
        query.when(self.max_fee.map(units), "fee <= ?");
        query.when(
            self.text.as_deref().map(|t| containing(&t.to_lowercase())),
            "LOWER(body) LIKE ? ESCAPE '!'",
        );
        query
    }

    fn read_day(
        &self,
        db: &Connection,
        day: i64,
        before_call: Option<i64>,
        limit: usize,
        found: &mut Vec<(i64, Cdr)>,
    ) -> Result<(), StoreError> {
        let mut query = self.query(before_call);
        query.values.push(Value::from(limit as u64));
        let table = table(day);
        // The narrow index holds all that is filtered by but the record's own text, in the order of the calls: a day is
        // looked through without touching the records, twenty times as large. Few calls have these ids or numbers, and
        // these have an index of their own.
        let narrow = match self.text.is_some() || self.call_id.is_some() || self.caller.is_some() {
            true => String::new(),
            false => format!(" INDEXED BY {table}_narrow"),
        };
        let sql = format!(
            "SELECT {CHECKED} FROM {table} WHERE call_id IN (SELECT call_id FROM {table}{narrow} WHERE 1 = 1{} \
             ORDER BY call_id DESC LIMIT ?{}) ORDER BY call_id DESC",
            query.conditions,
            query.values.len()
        );
        db.each(&sql, &query.values, |row| {
            found.push((day, read(row)?.1));
            Ok(())
        })
    }
}

/// Conditions with their values, numbered in the order in which they come.
#[derive(Default)]
struct Query<'a> {
    conditions: String,
    values: Vec<Value<'a>>,
}

impl<'a> Query<'a> {
    /// Adds the condition when there is a value; every `?` in it stands for the same one.
    fn when(&mut self, value: Option<impl Into<Value<'a>>>, condition: &str) {
        let Some(value) = value else { return };
        self.values.push(value.into());
        let numbered = condition.replace('?', &format!("?{}", self.values.len()));
        // Writing to a string cannot fail.
        let _ = write!(self.conditions, " AND {numbered}");
    }
}

fn utc_ms(utc: Utc) -> i64 {
    // Times are kept in whole milliseconds, so a bound in between belongs to the next one.
    utc.0.saturating_add(999).div_euclid(1000)
}

fn plain(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

fn starting(number: &str) -> String {
    format!("{}%", like_literal(plain(number)))
}

fn containing(text: &str) -> String {
    format!("%{}%", like_literal(text))
}

fn read_cursor(text: &str) -> Option<(i64, i64)> {
    let (day, call) = text.rsplit_once('-')?;
    Some((day.parse().ok()?, call.parse().ok()?))
}

const PREFIX: &str = "cdr_";

/// Name of a day's table, like `cdr_20261122`.
pub(crate) fn table(day: i64) -> String {
    /// Julian day number of 1970-01-01.
    const EPOCH: i64 = 2_440_588;
    let date = i32::try_from(day.saturating_add(EPOCH)).ok().and_then(|d| Date::from_julian_day(d).ok());
    let date = date.filter(|d| (0..=9999).contains(&d.year())).unwrap_or(Date::MIN);
    format!("{PREFIX}{:04}{:02}{:02}", date.year().unsigned_abs(), u8::from(date.month()), date.day())
}

/// Days that have a table, oldest first.
pub(crate) fn days(db: &Connection) -> Result<Vec<i64>, StoreError> {
    Ok(db.tables(PREFIX)?.iter().filter_map(|name| day_of_table(name)).collect())
}

fn day_of_table(name: &str) -> Option<i64> {
    let digits = name.strip_prefix(PREFIX).filter(|d| d.len() == 8)?;
    let month = time::Month::try_from(digits.get(4..6)?.parse::<u8>().ok()?).ok()?;
    let date =
        Date::from_calendar_date(digits.get(..4)?.parse().ok()?, month, digits.get(6..)?.parse().ok()?)
            .ok()?;
    Some(i64::from(date.to_julian_day()) - 2_440_588)
}

/// Makes a day's table unless it is there.
pub(crate) fn make_partition(db: &Connection, day: i64) -> Result<Partition, StoreError> {
    let table = table(day);
    // What a list is filtered by stands before the record, whose end lies on pages of its own.
    db.define(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (
           call_id BIGINT PRIMARY KEY, seq BIGINT NOT NULL, start_ms BIGINT NOT NULL, answer_ms BIGINT,
           end_ms BIGINT NOT NULL, talk_ms BIGINT NOT NULL, account_id BIGINT, mapping_gateway_id BIGINT,
           vendor_id BIGINT, routing_gateway_id BIGINT, caller TEXT NOT NULL, called TEXT NOT NULL, called_sent TEXT,
           end_reason TEXT NOT NULL, ended_by TEXT NOT NULL, sip_code BIGINT NOT NULL, q850 BIGINT NOT NULL,
           currency TEXT, cost_currency TEXT, prefix TEXT, area TEXT, fee BIGINT, expense BIGINT, call_id_a TEXT,
           call_id_b TEXT, charge TEXT, cost TEXT, profit TEXT, crc BIGINT NOT NULL, body TEXT NOT NULL
         );
         CREATE INDEX IF NOT EXISTS {table}_account ON {table} (account_id, call_id);
         CREATE INDEX IF NOT EXISTS {table}_seq ON {table} (seq);
         CREATE INDEX IF NOT EXISTS {table}_caller ON {table} (caller);
         CREATE INDEX IF NOT EXISTS {table}_a ON {table} (call_id_a);
         CREATE INDEX IF NOT EXISTS {table}_b ON {table} (call_id_b);
         CREATE INDEX IF NOT EXISTS {table}_narrow ON {table} (call_id, start_ms, answer_ms, talk_ms, account_id,
           mapping_gateway_id, vendor_id, routing_gateway_id, caller, called, called_sent, end_reason, ended_by, sip_code,
           q850, currency, cost_currency, prefix, area, fee, expense);"
    ))?;
    let values: Vec<String> = (1..=COLUMN_COUNT).map(|n| format!("?{n}")).collect();
    let insert = format!(
        "INSERT INTO {table} ({COLUMNS}) VALUES ({}) ON CONFLICT (call_id) DO NOTHING",
        values.join(", ")
    );
    Ok(Partition { insert })
}

/// All columns, in the order of [`row_of`].
const COLUMNS: &str = "call_id, seq, body, crc, start_ms, answer_ms, end_ms, talk_ms, account_id, mapping_gateway_id,
    vendor_id, routing_gateway_id, caller, called, called_sent, end_reason, ended_by, sip_code, q850, currency,
    cost_currency, prefix, area, fee, expense, call_id_a, call_id_b, charge, cost, profit";
const COLUMN_COUNT: usize = 30;

/// Gives the tables of an earlier version the columns and indexes of this one.
pub(crate) fn bring_up(db: &Connection) -> Result<(), StoreError> {
    for day in days(db)? {
        let name = table(day);
        db.define(&format!("ALTER TABLE {name} RENAME TO old_{name}; DROP INDEX IF EXISTS {name}_account;"))?;
        let partition = make_partition(db, day)?;
        db.each(&format!("SELECT {CHECKED} FROM old_{name}"), &[], |row| {
            let (seq, cdr) = read(row)?;
            write(db, &partition, seq, &cdr).map(|_| ())
        })?;
        db.define(&format!("DROP TABLE old_{name};"))?;
    }
    Ok(())
}

/// Calls `each` for every CDR of a day, with its record in the journal. A row whose columns do not say what the CDR
/// says is an error.
pub(crate) fn each(
    db: &Connection,
    day: i64,
    mut each: impl FnMut(Seq, &Cdr) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM {}", table(day));
    db.each(&sql, &[], |row| {
        let (seq, cdr) = read(row)?;
        if !row.holds(&row_of(seq, &cdr, row.text(2)?))? {
            return Err(StoreError::corrupt(format!("the columns of call {} differ from its CDR", cdr.call)));
        }
        each(seq, &cdr)
    })
}

/// Was it written? A call has one CDR only.
pub(crate) fn write(db: &Connection, partition: &Partition, seq: Seq, cdr: &Cdr) -> Result<bool, StoreError> {
    let body = serde_json::to_string(cdr)?;
    let written = db.run(&partition.insert, &row_of(seq, cdr, &body))? > 0;
    if !written {
        tracing::error!(call = %cdr.call, %seq, "the call has a CDR already; this one is left out");
    }
    Ok(written)
}

fn row_of<'a>(seq: Seq, cdr: &'a Cdr, body: &'a str) -> [Value<'a>; COLUMN_COUNT] {
    let money = |priced: &Option<cdr::Priced>| Value::from(priced.as_ref().map(|p| p.amount.to_string()));
    let currency: Option<Currency> = cdr.sale.as_ref().or(cdr.cost.as_ref()).map(|p| p.currency);
    let call_id =
        |leg: &'a cdr::LegRecord| Value::from(Some(leg.call_id.as_str()).filter(|id| !id.is_empty()));
    let checked = [cdr.call.0.into(), seq.0.into(), body.into()];
    let crc = crc(&checked);
    let [call, seq, body] = checked;
    [
        call,
        seq,
        body,
        crc,
        cdr.start.millis().into(),
        cdr.answer.map(Utc::millis).into(),
        cdr.end.millis().into(),
        cdr.talk_ms.into(),
        cdr.account.as_ref().map(|n| n.id.0).into(),
        cdr.mapping_gateway.as_ref().map(|n| n.id.0).into(),
        cdr.vendor.as_ref().map(|n| n.id.0).into(),
        cdr.routing_gateway.as_ref().map(|n| n.id.0).into(),
        plain(&cdr.caller.received).into(),
        plain(&cdr.called.received).into(),
        cdr.called.sent.as_deref().map(plain).into(),
        cdr.end_reason.key().into(),
        ended_by_text(cdr.ended_by).into(),
        cdr.sip_code.into(),
        u32::from(cdr.q850).into(),
        currency.map(|c| c.to_string()).into(),
        cdr.cost.as_ref().map(|p| p.currency.to_string()).into(),
        cdr.sale.as_ref().map(|p| &p.prefix).into(),
        cdr.sale.as_ref().map(|p| p.area.as_ref()).into(),
        cdr.sale.as_ref().map(|p| units(p.amount)).into(),
        cdr.cost.as_ref().map(|p| units(p.amount)).into(),
        call_id(&cdr.a),
        call_id(&cdr.b),
        money(&cdr.sale),
        money(&cdr.cost),
        cdr.profit.map(|p: Money| p.to_string()).into(),
    ]
}

/// For comparing and adding up: 10⁻⁸ of the currency, up to what a column can hold.
fn units(amount: Money) -> i64 {
    i64::try_from(amount.0).unwrap_or(i64::MAX)
}

fn ended_by_text(by: EndedBy) -> &'static str {
    match by {
        EndedBy::Caller => "caller",
        EndedBy::Callee => "callee",
        EndedBy::Switch => "switch",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_tables_match() {
        for (day, name) in
            [(0, "cdr_19700101"), (18_262, "cdr_20200101"), (20_779, "cdr_20261122"), (-1, "cdr_19691231")]
        {
            assert_eq!(table(day), name);
            assert_eq!(day_of_table(name), Some(day));
        }
        for name in ["cdr_2026", "cdr_20261301", "cdr_2026112x", "cdr_20260230", "other"] {
            assert_eq!(day_of_table(name), None, "{name}");
        }
        assert_eq!(day_of_call(CallId(1 << 10)), 18_262);
        assert_eq!(day_of_call(CallId((86_400_000_000 * 3 + 5) << 10)), 18_265);
    }

    #[test]
    fn bounds_of_a_filter_choose_the_days() {
        let day = |n: i64| Utc(n * 86_400_000_000);
        let filter = CdrFilter { from: Some(day(10)), to: Some(day(12)), ..CdrFilter::default() };
        let covered: Vec<i64> = (8..15).filter(|d| filter.covers(*d)).collect();
        assert_eq!(covered, [10, 11]);
        assert!(CdrFilter::default().covers(0));
    }
}
