//! Rows of reports about money: what moved on accounts, and what stands on them.

use super::names::{Names, number_of};
use super::window::cover;
use super::{Asked, Dimension, Found, Totals};
use crate::config::Account;
use crate::ledger::{book_text, read_book};
use crate::rollup::wide;
use crate::{ChangeError, Store};
use billing::ledger::Book;
use std::collections::BTreeMap;
use vocab::{AccountId, Money};

const SELECT: &str = "SELECT book, currency, kind, entries, amount_hi, amount_lo FROM ledger_rollup
    WHERE level = ?1 AND slot >= ?2 AND slot < ?3 AND book LIKE 'account:%'";

/// Accounts by what moved on them.
pub(super) fn entries(store: &Store, asked: &Asked<'_>) -> Result<Vec<Found>, ChangeError> {
    let config = store.config();
    let (mut account, mut currency) = (None, None);
    for (dimension, value) in asked.filters {
        match dimension {
            Dimension::Account => {
                account = Some(number_of::<Account>(&config, dimension.name(), value)?);
            }
            _ => currency = Some(value.as_str()),
        }
    }
    let only = account.map(|id| book_text(Book::Account(AccountId(id))));
    Ok(store.read(|db| {
        let mut found: BTreeMap<(usize, String, String), Totals> = BTreeMap::new();
        let mut each = |bucket: usize, level: i64, from: i64, to: i64, before: bool| {
            db.each(SELECT, &[level.into(), from.into(), to.into()], |row| {
                let (book, of, kind) = (row.text(0)?, row.text(1)?, row.text(2)?);
                if only.as_deref().is_some_and(|only| only != book) || currency.is_some_and(|c| c != of) {
                    return Ok(());
                }
                let totals = found.entry((bucket, book.to_string(), of.to_string())).or_default();
                let amount = wide(row.int(4)?, row.int(5)?);
                let sum = match kind {
                    _ if before => &mut totals.opening,
                    "payment" => &mut totals.payments,
                    "refund" => &mut totals.refunds,
                    "correction" => &mut totals.corrections,
                    "call_charge" | "agent_charge" => &mut totals.charges,
                    "call_cost" => &mut totals.costs,
                    _ => &mut totals.other,
                };
                *sum = sum.saturating_add(amount);
                totals.balance = totals.balance.saturating_add(amount);
                if !before {
                    totals.entries = totals.entries.saturating_add(i128::from(row.int(3)?));
                }
                Ok(())
            })
        };
        for (bucket, time) in asked.buckets.iter().enumerate() {
            for (level, from, to) in cover(time.from, time.to) {
                each(bucket, level, from, to, false)?;
            }
        }
        // What stood there before is of interest where the time is one piece.
        if asked.buckets.len() == 1 {
            for (level, from, to) in cover(0, asked.window.from) {
                each(0, level, from, to, true)?;
            }
        }
        let mut names = Names::new(db, &config);
        let mut rows: BTreeMap<Vec<String>, Found> = BTreeMap::new();
        for ((bucket, book, currency), totals) in found {
            let Book::Account(account) = read_book(&book)? else { continue };
            let mut labels = Vec::with_capacity(asked.group.len());
            for dimension in &asked.group {
                labels.push(match dimension {
                    Dimension::Account => names.account(account.0)?,
                    Dimension::Currency => currency.clone(),
                    _ => asked.buckets.get(bucket).map(|b| b.label.clone()).unwrap_or_default(),
                });
            }
            let row =
                rows.entry(labels.clone()).or_insert(Found { bucket, labels, totals: Totals::default() });
            row.totals.merge(&totals);
        }
        Ok(rows.into_values().collect())
    })?)
}

/// Balances as they are now.
pub(super) fn balances(store: &Store, asked: &Asked<'_>) -> Result<Vec<Found>, ChangeError> {
    let config = store.config();
    let mut only = None;
    for (dimension, value) in asked.filters {
        only = Some(number_of::<Account>(&config, dimension.name(), value)?);
    }
    let balances = store.balances()?;
    let accounts = config.accounts.iter().filter(|a| only.is_none_or(|id| id == a.id));
    let row = |stored: &std::sync::Arc<crate::Stored<Account>>| {
        let balance = balances.get(&Book::Account(AccountId(stored.id))).copied().unwrap_or(Money::ZERO);
        let account = &stored.document;
        let credit = match (account.payment, account.credit_limit) {
            (_, Some(limit)) => Some(limit.0),
            (billing::PaymentMode::Prepaid, None) => Some(0),
            (billing::PaymentMode::Postpaid, None) => None,
        };
        let label = |dimension: &Dimension| match dimension {
            Dimension::Account => account.name.clone(),
            _ => account.currency.to_string(),
        };
        let totals = Totals { balance: balance.0, credit, ..Totals::default() };
        Found { bucket: 0, labels: asked.group.iter().map(label).collect(), totals }
    };
    let customers = accounts.filter(|a| a.document.kind == crate::config::AccountKind::Customer);
    Ok(customers.map(row).collect())
}
