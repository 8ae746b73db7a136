//! Money in the database: lines, balances, keys, and payments that are still to be made.

use crate::sql::{Connection, Row, Value, crc};
use crate::{Page, Store, StoreError};
use billing::ledger::{Book, Posting, PostingKind};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use vocab::{AccountId, CallId, Currency, Money, Seq, Utc};

/// One line of an account's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    pub seq: Seq,
    /// Position among the lines of the same journal record.
    pub line: u32,
    pub at: Utc,
    pub kind: PostingKind,
    pub amount: Money,
    pub balance_after: Money,
    pub currency: Currency,
    pub call: Option<CallId>,
    pub by: String,
    pub note: String,
    pub key: Option<String>,
}

/// An opening balance that was ordered with its account and is not yet posted. The program makes the payment through
/// the brain with this key; repeating it is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingPayment {
    pub account: AccountId,
    pub amount: Money,
    pub key: String,
    pub by: String,
}

impl Store {
    /// The lines of an account, newest first.
    pub fn ledger(
        &self,
        account: AccountId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<LedgerLine>, StoreError> {
        let (seq, line) = cursor.and_then(read_cursor).unwrap_or((i64::MAX, i64::MAX));
        let sql = format!(
            "SELECT {LINE_COLUMNS}, crc FROM ledger_entry
             WHERE book = ?1 AND (seq < ?2 OR (seq = ?2 AND line < ?3)) ORDER BY seq DESC, line DESC LIMIT ?4"
        );
        let book = book_text(Book::Account(account));
        let limit = limit.max(1);
        let values = [book.into(), seq.into(), line.into(), Value::from(limit as u64 + 1)];
        let mut items = self.read(|db| db.rows(&sql, &values, read_line))?;
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next = last.map(|l| format!("{}-{}", l.seq, l.line));
        Ok(Page { items, next })
    }

    /// The lines of accounts that a call made.
    pub fn ledger_of_call(&self, call: CallId) -> Result<Vec<LedgerLine>, StoreError> {
        let sql = format!(
            "SELECT {LINE_COLUMNS}, crc FROM ledger_entry WHERE seq = ?1 AND call_id = ?2 ORDER BY line"
        );
        self.read(|db| match crate::cdrs::find(db, call)? {
            Some((seq, _)) => db.rows(&sql, &[seq.0.into(), call.0.into()], read_line),
            None => Ok(Vec::new()),
        })
    }

    /// Balances as far as the journal has been applied; the brain knows the newest ones.
    pub fn balances(&self) -> Result<BTreeMap<Book, Money>, StoreError> {
        Ok(self.read(balances)?.into_iter().map(|(book, (_, amount))| (book, amount)).collect())
    }

    /// The posting that was made with this idempotency key.
    pub fn posting_by_key(&self, key: &str) -> Result<Option<(Seq, Posting)>, StoreError> {
        let sql = "SELECT posting_key, seq, body, crc FROM posting WHERE posting_key = ?1";
        let found = self.read(|db| db.first(sql, &[key.into()], read_posting))?;
        Ok(found.map(|(_, seq, posting)| (seq, posting)))
    }

    /// Opening balances that have not been posted, in the order in which they were ordered.
    pub fn pending_payments(&self) -> Result<Vec<PendingPayment>, StoreError> {
        self.read(pending_payments)
    }

    /// How far the journal has been applied.
    pub fn applied(&self) -> Result<Seq, StoreError> {
        self.read(watermark)
    }
}

pub(crate) fn pending_payments(db: &Connection) -> Result<Vec<PendingPayment>, StoreError> {
    let sql = "SELECT posting_key, account_id, amount, ordered_by, crc FROM pending_payment
               ORDER BY ordered_at, account_id";
    db.rows(sql, &[], |row| {
        row.verify(4)?;
        Ok(PendingPayment {
            account: AccountId(row.id(1)?),
            amount: row.parsed(2)?,
            key: row.text(0)?.to_string(),
            by: row.text(3)?.to_string(),
        })
    })
}

/// Keyed postings, the newest ones in the order of the journal.
pub(crate) fn keyed_postings(
    db: &Connection,
    limit: usize,
) -> Result<Vec<(String, Seq, Posting)>, StoreError> {
    let sql = "SELECT posting_key, seq, body, crc FROM posting ORDER BY seq DESC LIMIT ?1";
    let mut newest = db.rows(sql, &[Value::from(limit as u64)], read_posting)?;
    newest.reverse();
    Ok(newest)
}

fn read_posting(row: &Row<'_>) -> Result<(String, Seq, Posting), StoreError> {
    row.verify(3)?;
    Ok((row.text(0)?.to_string(), Seq(row.unsigned(1)?), posting_of(row.text(2)?)?))
}

/// The first versions did not write the currency down by itself; it stands in the book on the other side.
fn posting_of(text: &str) -> Result<Posting, StoreError> {
    let mut posting: serde_json::Value = serde_json::from_str(text)?;
    if posting.get("currency").is_none() {
        let entries = posting["entries"].as_array().into_iter().flatten();
        let books = entries.filter_map(|entry| entry["book"].as_object()).flatten();
        let found = books.filter(|(book, _)| *book != "account").map(|(_, currency)| currency.clone()).next();
        posting["currency"] = found.unwrap_or_default();
    }
    Ok(serde_json::from_value(posting)?)
}

/// The reader of the journal that fills this database.
const READER: &str = "database";

pub(crate) fn watermark(db: &Connection) -> Result<Seq, StoreError> {
    let sql = "SELECT reader, seq, crc FROM watermark WHERE reader = ?1";
    let found = db.first(sql, &[READER.into()], |row| {
        row.verify(2)?;
        row.unsigned(1)
    })?;
    Ok(Seq(found.unwrap_or(0)))
}

pub(crate) fn set_watermark(db: &Connection, seq: Seq) -> Result<(), StoreError> {
    let sql = "INSERT INTO watermark (reader, seq, crc) VALUES (?1, ?2, ?3)
               ON CONFLICT (reader) DO UPDATE SET seq = excluded.seq, crc = excluded.crc";
    let mut row = vec![READER.into(), seq.0.into()];
    row.push(crc(&row));
    db.run(sql, &row).map(|_| ())
}

pub(crate) fn balances(db: &Connection) -> Result<BTreeMap<Book, (Currency, Money)>, StoreError> {
    let mut all = BTreeMap::new();
    db.each("SELECT book, currency, amount, crc FROM balance", &[], |row| {
        row.verify(3)?;
        all.insert(read_book(row.text(0)?)?, (read_currency(row.text(1)?)?, row.parsed(2)?));
        Ok(())
    })?;
    Ok(all)
}

pub(crate) fn write_balance(
    db: &Connection,
    book: Book,
    currency: Currency,
    amount: Money,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO balance (book, currency, amount, crc) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (book) DO UPDATE SET currency = excluded.currency, amount = excluded.amount,
                 crc = excluded.crc";
    let mut row = vec![book_text(book).into(), currency.as_str().into(), amount.to_string().into()];
    row.push(crc(&row));
    db.run(sql, &row).map(|_| ())
}

/// Lines on their way into the ledger, many with one statement.
#[derive(Default)]
pub(crate) struct Lines<'a> {
    values: Vec<Value<'a>>,
}

/// Values of a line: [`LINE_COLUMNS`] and the checksum.
const LINE_VALUES: usize = 13;
/// Lines in one statement.
const LINES_AT_ONCE: usize = 16;

impl<'a> Lines<'a> {
    /// Adds the lines of one posting, beginning with line number `line`; the next free one.
    pub fn add(
        &mut self,
        db: &Connection,
        seq: Seq,
        mut line: u32,
        posting: &'a Posting,
    ) -> Result<u32, StoreError> {
        let currency = posting.currency;
        for entry in &posting.entries {
            let start = self.values.len();
            self.values.extend([
                seq.0.into(),
                line.into(),
                book_text(entry.book).into(),
                currency_text(currency),
                entry.amount.to_string().into(),
                entry.balance_after.to_string().into(),
                kind_text(posting.kind).into(),
                posting.call.map(|c| c.0).into(),
                posting.at.millis().into(),
                Value::from(&posting.by),
                Value::from(&posting.note),
                posting.key.as_ref().into(),
            ]);
            let crc = crc(self.values.iter().skip(start));
            self.values.push(crc);
            line += 1;
        }
        if let Some(key) = &posting.key {
            write_key(db, seq, key, posting)?;
        }
        if self.values.len() >= LINES_AT_ONCE * LINE_VALUES {
            self.flush(db)?;
        }
        Ok(line)
    }

    /// Writes what has been added.
    pub fn flush(&mut self, db: &Connection) -> Result<(), StoreError> {
        static SQL: LazyLock<[String; 2]> = LazyLock::new(|| [insert_lines(1), insert_lines(LINES_AT_ONCE)]);
        let [one, many] = &*SQL;
        let mut chunks = self.values.chunks_exact(LINES_AT_ONCE * LINE_VALUES);
        for chunk in &mut chunks {
            db.run(many, chunk)?;
        }
        for line in chunks.remainder().chunks(LINE_VALUES) {
            db.run(one, line)?;
        }
        self.values.clear();
        Ok(())
    }
}

fn insert_lines(count: usize) -> String {
    let line = |n: usize| {
        let places: Vec<String> = (1..=LINE_VALUES).map(|i| format!("?{}", n * LINE_VALUES + i)).collect();
        format!("({})", places.join(", "))
    };
    let lines: Vec<String> = (0..count).map(line).collect();
    format!("INSERT INTO ledger_entry ({LINE_COLUMNS}, crc) VALUES {}", lines.join(", "))
}

fn write_key(db: &Connection, seq: Seq, key: &str, posting: &Posting) -> Result<(), StoreError> {
    let mut row = vec![key.into(), seq.0.into(), serde_json::to_string(posting)?.into()];
    row.push(crc(&row));
    let sql = "INSERT INTO posting (posting_key, seq, body, crc) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (posting_key) DO NOTHING";
    if db.run(sql, &row)? == 0 {
        tracing::error!(key, %seq, "a posting with this key was made before");
    }
    db.run("DELETE FROM pending_payment WHERE posting_key = ?1", &[key.into()]).map(|_| ())
}

/// Columns of a line, in the order of its checksum.
pub(crate) const LINE_COLUMNS: &str =
    "seq, line, book, currency, amount, balance_after, kind, call_id, posted_at,
    posted_by, note, posting_key";

/// Reads [`LINE_COLUMNS`] and the checksum.
fn read_line(row: &Row<'_>) -> Result<LedgerLine, StoreError> {
    row.verify(12)?;
    Ok(LedgerLine {
        seq: Seq(row.unsigned(0)?),
        line: row.id(1)?,
        currency: read_currency(row.text(3)?)?,
        amount: row.parsed(4)?,
        balance_after: row.parsed(5)?,
        kind: kind_of(row.text(6)?)?,
        call: row.optional_unsigned(7)?.map(CallId),
        at: Utc::from_millis(row.int(8)?),
        by: row.text(9)?.to_string(),
        note: row.text(10)?.to_string(),
        key: row.optional_text(11)?.map(str::to_string),
    })
}

fn read_cursor(text: &str) -> Option<(i64, i64)> {
    let (seq, line) = text.split_once('-')?;
    Some((seq.parse().ok()?, line.parse().ok()?))
}

pub(crate) fn book_text(book: Book) -> String {
    match book {
        Book::Account(id) => format!("account:{id}"),
        Book::Cash(c) => format!("cash:{c}"),
        Book::Revenue(c) => format!("revenue:{c}"),
        Book::Cost(c) => format!("cost:{c}"),
        Book::Income { agent, currency } => format!("income:{currency}:{agent}"),
    }
}

pub(crate) fn read_book(text: &str) -> Result<Book, StoreError> {
    let read = || {
        let (kind, of) = text.split_once(':')?;
        Some(match kind {
            "account" => Book::Account(AccountId(of.parse().ok()?)),
            "cash" => Book::Cash(Currency::parse(of)?),
            "revenue" => Book::Revenue(Currency::parse(of)?),
            "cost" => Book::Cost(Currency::parse(of)?),
            "income" => {
                let (currency, agent) = of.split_once(':')?;
                Book::Income { agent: AccountId(agent.parse().ok()?), currency: Currency::parse(currency)? }
            }
            _ => return None,
        })
    };
    read().ok_or_else(|| StoreError::corrupt(format!("{text:?} is no book")))
}

fn currency_text(currency: Currency) -> Value<'static> {
    currency.as_str().to_string().into()
}

pub(crate) fn read_currency(text: &str) -> Result<Currency, StoreError> {
    Currency::parse(text).ok_or_else(|| StoreError::corrupt(format!("{text:?} is no currency")))
}

const KINDS: [(PostingKind, &str); 10] = [
    (PostingKind::Opening, "opening"),
    (PostingKind::Payment, "payment"),
    (PostingKind::Refund, "refund"),
    (PostingKind::Correction, "correction"),
    (PostingKind::CallCharge, "call_charge"),
    (PostingKind::CallCost, "call_cost"),
    (PostingKind::AgentCharge, "agent_charge"),
    (PostingKind::Credit, "credit"),
    (PostingKind::Payout, "payout"),
    (PostingKind::Transfer, "transfer"),
];

pub(crate) fn kind_text(kind: PostingKind) -> &'static str {
    KINDS.iter().find(|(k, _)| *k == kind).map_or("", |(_, text)| text)
}

pub(crate) fn kinds() -> impl Iterator<Item = PostingKind> {
    KINDS.iter().map(|(kind, _)| *kind)
}

pub(crate) fn kind_of(text: &str) -> Result<PostingKind, StoreError> {
    let found = KINDS.iter().find(|(_, t)| *t == text).map(|(kind, _)| *kind);
    found.ok_or_else(|| StoreError::corrupt(format!("{text:?} is no kind of posting")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_and_kinds_round_trip() {
        for book in [
            Book::Account(AccountId(7)),
            Book::Cash(Currency::USD),
            Book::Revenue(Currency::USD),
            Book::Cost(Currency::USD),
            Book::Income { agent: AccountId(7), currency: Currency::USD },
        ] {
            assert_eq!(read_book(&book_text(book)).unwrap(), book);
        }
        for (kind, text) in KINDS {
            assert_eq!(kind_of(text).unwrap(), kind);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{text:?}"));
        }
        assert!(read_book("account:").is_err() && read_book("tips:USD").is_err() && kind_of("gift").is_err());
    }
}
