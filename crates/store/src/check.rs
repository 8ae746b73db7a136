//! Is everything that is stored consistent? (`R-14`, the oracle's I1 and I2.) Reads only.

use crate::ledger::{LINE_COLUMNS, balances, book_text, keyed_postings, read_book, read_currency, watermark};
use crate::sql::Connection;
use crate::{Store, StoreError, cdrs};
use billing::ledger::{Book, PostingKind};
use cdr::Cdr;
use std::collections::BTreeMap;
use vocab::{CallId, Currency, Money, Seq};

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    pub ok: bool,
    /// What was looked at, or the first few things that are wrong.
    pub detail: String,
}

/// Faults of one check that are told one by one.
const TOLD: usize = 10;

/// Collects the faults of one check.
#[derive(Default)]
struct Faults {
    told: Vec<String>,
    count: u64,
}

impl Faults {
    fn add(&mut self, fault: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(fault());
        }
    }

    fn finding(self, check: &'static str, looked_at: String) -> Finding {
        let more = self.count - self.told.len() as u64;
        let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
        let ok = self.count == 0;
        Finding { check, ok, detail: if ok { looked_at } else { format!("{}{rest}", self.told.join("; ")) } }
    }
}

impl Store {
    /// Runs all checks of the database on one unchanging view of it.
    pub fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.read(|db| {
            let mut findings = vec![told("database file", file_is_sound(db)), self.journal_is_sound()];
            match ledger_adds_up(db) {
                Ok(all) => findings.extend(all),
                Err(e) => findings.push(told("ledger entries", Err(e))),
            }
            findings.push(told("configuration", configuration_is_sound(db, &self.config())));
            findings.push(told("idempotency keys", keys_are_sound(db)));
            findings.push(told("calls and their charges", calls_match_money(db)));
            findings.push(told("charges and their calls", money_matches_calls(db)));
            findings.push(told("no call twice", no_call_twice(db)));
            // Sums of records that are wrong themselves would only repeat what was said.
            if findings.iter().all(|f| f.ok) {
                findings.push(told("sums for reports", sums_match_records(db)));
            }
            Ok(findings)
        })
    }

    /// Every record of the journal's files can be read, also while they are written.
    fn journal_is_sound(&self) -> Finding {
        let check = "journal files";
        let dir = self.journal_folder();
        if !dir.is_dir() {
            return Finding { check, ok: true, detail: "none".into() };
        }
        match crate::journal::inspect(&dir) {
            Ok(records) => Finding { check, ok: true, detail: format!("{records} records") },
            Err(error) => Finding { check, ok: false, detail: error.to_string() },
        }
    }

    /// Compares the journal's end and open calls, as the program knows them, with the database.
    pub fn check_journal(
        &self,
        journal_last: Seq,
        open_calls: &[CallId],
    ) -> Result<Vec<Finding>, StoreError> {
        self.read(|db| {
            let applied = watermark(db)?;
            let behind = Finding {
                check: "journal and database",
                ok: applied <= journal_last,
                detail: format!(
                    "the journal ends at {journal_last}, the database has applied up to {applied}"
                ),
            };
            let mut faults = Faults::default();
            for call in open_calls {
                if let Some((seq, _)) = cdrs::find(db, *call)? {
                    faults.add(|| format!("call {call} is open, but record {seq} ended it"));
                }
            }
            let open = faults.finding("open calls", format!("{} calls are open", open_calls.len()));
            Ok(vec![behind, open])
        })
    }
}

/// What cannot be read is a finding too.
fn told(check: &'static str, result: Result<Finding, StoreError>) -> Finding {
    result.unwrap_or_else(|e| Finding { check, ok: false, detail: e.to_string() })
}

fn file_is_sound(db: &Connection) -> Result<Finding, StoreError> {
    let mut faults = Faults::default();
    for line in db.self_check()? {
        faults.add(|| line);
    }
    Ok(faults.finding("database file", "every page is sound".into()))
}

/// Every keyed posting can be read and its lines are in the ledger.
fn keys_are_sound(db: &Connection) -> Result<Finding, StoreError> {
    let mut faults = Faults::default();
    let postings = keyed_postings(db, usize::MAX)?;
    for (key, seq, posting) in &postings {
        let sql = "SELECT COUNT(*) FROM ledger_entry WHERE seq = ?1 AND posting_key = ?2";
        let lines = db.first(sql, &[seq.0.into(), key.into()], |row| row.unsigned(0))?.unwrap_or(0);
        if lines != posting.entries.len() as u64 {
            faults.add(|| {
                format!("key {key:?}: {lines} lines in record {seq}, expected {}", posting.entries.len())
            });
        }
    }
    Ok(faults.finding("idempotency keys", format!("{} keys", postings.len())))
}

/// The stored documents, all rates and due payments can be read and are valid; what is in memory is the same.
fn configuration_is_sound(db: &Connection, current: &crate::Config) -> Result<Finding, StoreError> {
    let config = crate::edit::Edit::load(db, current.realm.clone())?;
    for group in config.rate_groups.iter() {
        let mut count = 0;
        crate::rates::each_rate(db, group.id, |_| {
            count += 1;
            Ok(())
        })?;
        let told = config.sheets.get(&group.id).copied().unwrap_or_default().count;
        if told != count {
            let words = format!("rate group {:?} has {count} rates, expected {told}", group.document.name);
            return Err(StoreError::corrupt(words));
        }
    }
    crate::ledger::pending_payments(db)?;
    Ok(documents_are_valid(&config))
}

fn documents_are_valid(config: &crate::Config) -> Finding {
    use crate::config::Document;
    fn check<T: Document>(config: &crate::Config, faults: &mut Faults, count: &mut usize) {
        for stored in T::table(config).iter() {
            *count += 1;
            for problem in stored.document.validate(stored.id, config) {
                faults.add(|| format!("{} {:?}: {problem}", T::TITLE, stored.document.name()));
            }
        }
    }
    let (mut faults, mut count) = (Faults::default(), 0);
    check::<crate::config::Account>(config, &mut faults, &mut count);
    check::<crate::config::RateGroup>(config, &mut faults, &mut count);
    check::<crate::config::MappingGateway>(config, &mut faults, &mut count);
    check::<crate::config::RoutingGateway>(config, &mut faults, &mut count);
    check::<crate::config::Phone>(config, &mut faults, &mut count);
    check::<crate::config::GatewayGroup>(config, &mut faults, &mut count);
    check::<crate::config::Calendar>(config, &mut faults, &mut count);
    check::<crate::config::NumberList>(config, &mut faults, &mut count);
    faults.finding("configuration", format!("{count} documents"))
}

/// Sums of entries, in plain integers of 10⁻⁸.
#[derive(Default)]
struct Sums {
    books: BTreeMap<Book, (Currency, i128, Money)>,
    currencies: BTreeMap<Currency, i128>,
    entries: u64,
}

/// Each balance is the sum of its entries, each entry carries its balance on, and all entries add up to zero.
fn ledger_adds_up(db: &Connection) -> Result<Vec<Finding>, StoreError> {
    let mut sums = Sums::default();
    let mut chain = Faults::default();
    let sql = format!("SELECT {LINE_COLUMNS}, crc FROM ledger_entry ORDER BY seq, line");
    db.each(&sql, &[], |row| {
        row.verify(12)?;
        let (book, currency) = (read_book(row.text(2)?)?, read_currency(row.text(3)?)?);
        let (amount, after): (Money, Money) = (row.parsed(4)?, row.parsed(5)?);
        let sum = sums.books.entry(book).or_insert((currency, 0, Money::ZERO));
        sum.1 = sum.1.saturating_add(amount.0);
        sum.2 = after;
        if sum.1 != after.0 || sum.0 != currency {
            let (seq, expected) = (row.int(0)?, Money(sum.1));
            chain.add(|| {
                format!("record {seq}: {} says {after} {currency}, expected {expected}", book_text(book))
            });
            // Told once; later entries are compared with what was written here.
            sum.1 = after.0;
        }
        let total = sums.currencies.entry(currency).or_insert(0);
        *total = total.saturating_add(amount.0);
        sums.entries += 1;
        Ok(())
    })?;
    let mut stored = balances(db)?;
    let mut balance = Faults::default();
    for (book, (_, _, last)) in &sums.books {
        let found = stored.remove(book).map_or(Money::ZERO, |(_, amount)| amount);
        if found != *last {
            balance.add(|| format!("{}: the balance is {found}, its entries say {last}", book_text(*book)));
        }
    }
    for (book, (_, amount)) in stored.into_iter().filter(|(_, (_, amount))| *amount != Money::ZERO) {
        balance.add(|| format!("{}: the balance is {amount}, but there are no entries", book_text(book)));
    }
    let mut zero = Faults::default();
    for (currency, sum) in sums.currencies.iter().filter(|(_, sum)| **sum != 0) {
        zero.add(|| format!("all entries in {currency} add up to {}, expected 0", Money(*sum)));
    }
    Ok(vec![
        chain.finding("ledger entries", format!("{} entries", sums.entries)),
        balance.finding("balances", format!("{} balances", sums.books.len())),
        zero.finding("double entry", format!("{} currencies", sums.currencies.len())),
    ])
}

/// What a CDR says was charged on each level, and what it cost; without amounts of zero.
fn amounts(cdr: &Cdr) -> [(PostingKind, Vec<i128>); 3] {
    fn all<'a>(prices: impl IntoIterator<Item = &'a cdr::Priced>) -> Vec<i128> {
        prices.into_iter().map(|p| p.amount.0).filter(|amount| *amount != 0).collect()
    }
    [
        (PostingKind::CallCharge, all(&cdr.sale)),
        (PostingKind::AgentCharge, all(cdr.agents.iter().map(|agent| &agent.price))),
        (PostingKind::CallCost, all(&cdr.cost)),
    ]
}

/// The lines on accounts that one record posted: kind and amount by call.
fn posted(db: &Connection, seq: Seq, call: CallId) -> Result<Vec<(String, Money)>, StoreError> {
    let sql = "SELECT kind, amount FROM ledger_entry WHERE seq = ?1 AND call_id = ?2 AND book LIKE 'account:%' ORDER BY line";
    db.rows(sql, &[seq.0.into(), call.0.into()], |row| Ok((row.text(0)?.to_string(), row.parsed(1)?)))
}

/// Every CDR has exactly the postings that its prices say.
fn calls_match_money(db: &Connection) -> Result<Finding, StoreError> {
    let (mut faults, mut count) = (Faults::default(), 0u64);
    for day in cdrs::days(db)? {
        cdrs::each(db, day, |seq, cdr| {
            count += 1;
            let lines = posted(db, seq, cdr.call)?;
            for (kind, wanted) in amounts(cdr) {
                let text = crate::ledger::kind_text(kind);
                let of_kind: Vec<i128> =
                    lines.iter().filter(|(k, _)| k == text).map(|(_, m)| m.0.abs()).collect();
                if of_kind != wanted {
                    let list = |amounts: &[i128]| {
                        let texts: Vec<String> = amounts.iter().map(|m| Money(*m).to_string()).collect();
                        texts.join(", ")
                    };
                    let call = cdr.call;
                    faults.add(|| {
                        let (wanted, found) = (list(&wanted), list(&of_kind));
                        format!("call {call}: its CDR says {text} [{wanted}], posted is [{found}]")
                    });
                }
            }
            Ok(())
        })?;
    }
    Ok(faults.finding("calls and their charges", format!("{count} CDRs")))
}

/// Every posting for a call has the CDR of that call in the same record.
fn money_matches_calls(db: &Connection) -> Result<Finding, StoreError> {
    let (mut faults, mut count) = (Faults::default(), 0u64);
    let sql = "SELECT DISTINCT seq, call_id FROM ledger_entry WHERE call_id IS NOT NULL ORDER BY seq";
    db.each(sql, &[], |row| {
        let (seq, call) = (Seq(row.unsigned(0)?), CallId(row.unsigned(1)?));
        count += 1;
        match seq_of_call(db, call)? {
            Some(found) if found == seq => {}
            Some(found) => {
                faults.add(|| format!("call {call} was charged by record {seq}, but ended by {found}"))
            }
            None => faults.add(|| format!("call {call} was charged by record {seq}, but has no CDR")),
        }
        Ok(())
    })?;
    Ok(faults.finding("charges and their calls", format!("{count} charged calls")))
}

fn seq_of_call(db: &Connection, call: CallId) -> Result<Option<Seq>, StoreError> {
    let mut days = cdrs::days(db)?;
    let likely = cdrs::day_of_call(call);
    days.sort_by_key(|day| day.abs_diff(likely));
    for day in days {
        let sql = format!("SELECT seq FROM {} WHERE call_id = ?1", cdrs::table(day));
        if let Some(seq) = db.first(&sql, &[call.0.into()], |row| row.unsigned(0))? {
            return Ok(Some(Seq(seq)));
        }
    }
    Ok(None)
}

/// What reports are made from is what the records say, to the unit.
fn sums_match_records(db: &Connection) -> Result<Finding, StoreError> {
    let mut faults = Faults::default();
    let rows = crate::rollup::compare(db, |fault| faults.add(|| fault))?;
    Ok(faults.finding("sums for reports", format!("{rows} rows")))
}

/// Within a day the key forbids it; days are compared where their ids overlap.
fn no_call_twice(db: &Connection) -> Result<Finding, StoreError> {
    let mut faults = Faults::default();
    let mut ranges: Vec<(i64, i64, i64)> = Vec::new();
    for day in cdrs::days(db)? {
        let sql = format!("SELECT MIN(call_id), MAX(call_id) FROM {}", cdrs::table(day));
        let range = db.first(&sql, &[], |row| Ok((row.optional_int(0)?, row.optional_int(1)?)))?;
        if let Some((Some(low), Some(high))) = range {
            ranges.push((day, low, high));
        }
    }
    for (i, (day, low, high)) in ranges.iter().enumerate() {
        for (other, _, _) in ranges.iter().skip(i + 1).filter(|(_, l, h)| l <= high && h >= low) {
            let (a, b) = (cdrs::table(*day), cdrs::table(*other));
            let sql = format!("SELECT {a}.call_id FROM {a} JOIN {b} ON {b}.call_id = {a}.call_id");
            db.each(&sql, &[], |row| {
                let call = row.int(0)?;
                faults.add(|| format!("call {call} stands in {a} and in {b}"));
                Ok(())
            })?;
        }
    }
    Ok(faults.finding("no call twice", format!("{} days", ranges.len())))
}
