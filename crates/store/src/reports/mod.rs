//! Reports (`BIL-21`): one table of them, made from the sums of [`crate::rollup`], so that a month of a hundred million
//! calls costs no more than a month of a thousand.
//!
//! A report is a source, dimensions to group by, and measures; each measure is one function of the sums of a row. A
//! currency is never added to another: reports with money have a row for each.

mod calls;
mod load;
mod money;
mod names;
mod table;
mod window;

pub use table::{Dimension, Measure, REPORTS, Report, Source, Unit, report};

use crate::rollup::Sums;
use crate::{ChangeError, Problem, Store, StoreError};
use std::fmt;
use vocab::{Money, Utc};
use window::{Bucket, Window};

/// Rows of one report at most; who needs more asks for less at a time.
const MAX_ROWS: usize = 50_000;

/// What is asked for, as it came.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// A time, or a date in the time zone; from the first of the month when absent.
    pub from: Option<String>,
    /// Excluded; until now when absent.
    pub to: Option<String>,
    /// Of the tz database; UTC when absent.
    pub time_zone: Option<String>,
    /// Dimensions; those of the report when absent.
    pub group: Option<String>,
    pub filters: Vec<(Dimension, String)>,
    pub now: Utc,
}

/// A report that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub from: Utc,
    pub to: Utc,
    pub time_zone: String,
    pub group: Vec<Dimension>,
    pub measures: Vec<&'static Measure>,
    pub rows: Vec<Row>,
    /// Of all rows: one for each currency, or one.
    pub totals: Vec<Row>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Dimensions, then measures.
    pub cells: Vec<Cell>,
    /// The query that lists the calls of this row; `None` where calls cannot be told apart like that.
    pub calls: Option<Vec<(&'static str, String)>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Nothing,
    Text(String),
    Whole(i128),
    Money(Money),
    /// A number in units of 10 to the minus `decimals`.
    Decimal {
        number: i128,
        decimals: u32,
    },
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Nothing => Ok(()),
            Cell::Text(text) => f.write_str(text),
            Cell::Whole(n) => n.fmt(f),
            Cell::Money(money) => money.fmt(f),
            Cell::Decimal { number, decimals } => {
                let base = 10u128.saturating_pow(*decimals);
                let (sign, number) = (if *number < 0 { "-" } else { "" }, number.unsigned_abs());
                write!(f, "{sign}{}.{:0width$}", number / base, number % base, width = *decimals as usize)
            }
        }
    }
}

/// What measures are made of, over all that falls into a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    calls: i128,
    answered: i128,
    effective: i128,
    talk_ms: i128,
    billed_s: i128,
    cost_s: i128,
    pdd_ms: i128,
    pdd_calls: i128,
    revenue: i128,
    cost: i128,
    /// Only of calls whose revenue and cost stand in one currency.
    profit: i128,
    loss_calls: i128,
    loss: i128,
    /// Calls of the whole report.
    all_calls: i128,
    /// How long the time of the row is.
    length_s: i128,
    opening: i128,
    payments: i128,
    refunds: i128,
    corrections: i128,
    charges: i128,
    costs: i128,
    other: i128,
    entries: i128,
    balance: i128,
    credit: Option<i128>,
    most_calls: i128,
    most_cps: i128,
}

impl Totals {
    fn add_calls(&mut self, sums: &Sums) {
        for (total, sum) in [
            (&mut self.calls, sums.calls),
            (&mut self.answered, sums.answered),
            (&mut self.effective, sums.effective),
            (&mut self.talk_ms, sums.talk_ms),
            (&mut self.billed_s, sums.billed_s),
            (&mut self.pdd_ms, sums.pdd_ms),
            (&mut self.pdd_calls, sums.pdd_calls),
            (&mut self.loss_calls, sums.loss_calls),
        ] {
            *total = total.saturating_add(i128::from(sum));
        }
        self.revenue = self.revenue.saturating_add(sums.revenue());
        self.loss = self.loss.saturating_add(sums.loss());
    }

    fn add_cost(&mut self, sums: &Sums) {
        self.cost_s = self.cost_s.saturating_add(i128::from(sums.cost_s));
        self.cost = self.cost.saturating_add(sums.cost());
    }

    /// Both rows together. Peaks are the higher of the two; lengths of time are the caller's.
    fn merge(&mut self, other: &Totals) {
        for (total, n) in [
            (&mut self.calls, other.calls),
            (&mut self.answered, other.answered),
            (&mut self.effective, other.effective),
            (&mut self.talk_ms, other.talk_ms),
            (&mut self.billed_s, other.billed_s),
            (&mut self.cost_s, other.cost_s),
            (&mut self.pdd_ms, other.pdd_ms),
            (&mut self.pdd_calls, other.pdd_calls),
            (&mut self.revenue, other.revenue),
            (&mut self.cost, other.cost),
            (&mut self.profit, other.profit),
            (&mut self.loss_calls, other.loss_calls),
            (&mut self.loss, other.loss),
            (&mut self.opening, other.opening),
            (&mut self.payments, other.payments),
            (&mut self.refunds, other.refunds),
            (&mut self.corrections, other.corrections),
            (&mut self.charges, other.charges),
            (&mut self.costs, other.costs),
            (&mut self.other, other.other),
            (&mut self.entries, other.entries),
            (&mut self.balance, other.balance),
        ] {
            *total = total.saturating_add(n);
        }
        self.most_calls = self.most_calls.max(other.most_calls);
        self.most_cps = self.most_cps.max(other.most_cps);
    }
}

/// A query that was understood.
struct Asked<'a> {
    report: &'static Report,
    window: Window,
    buckets: Vec<Bucket>,
    group: Vec<Dimension>,
    filters: &'a [(Dimension, String)],
}

/// A row before its cells are written: the texts of its dimensions, and where among the buckets it is.
struct Found {
    bucket: usize,
    labels: Vec<String>,
    totals: Totals,
}

impl Store {
    /// Makes a report. What is wrong with the query is told by field.
    pub fn report(&self, report: &'static Report, query: &Query) -> Result<Table, ChangeError> {
        let window = Window::read(query)?;
        let group = table::group_of(report, query.group.as_deref())?;
        for (dimension, _) in &query.filters {
            if !report.source.filters().contains(dimension) {
                let words = format!("the report {} cannot be filtered by this", report.name);
                return Err(vec![Problem::new(dimension.name(), words)].into());
            }
        }
        let time = group.iter().copied().find(|d| d.is_time());
        let buckets = window.buckets(time)?;
        let asked = Asked { report, window, buckets, group, filters: &query.filters };
        let mut found = match report.source {
            Source::Calls | Source::Attempts => calls::find(self, &asked)?,
            Source::Ledger => money::entries(self, &asked)?,
            Source::Balances => money::balances(self, &asked)?,
            Source::Load => load::find(self, &asked)?,
        };
        found.retain(|row| (report.keep)(&row.totals));
        if found.len() > MAX_ROWS {
            let words = format!(
                "this makes {} rows, more than {MAX_ROWS}: ask for less time or fewer dimensions",
                found.len()
            );
            return Err(vec![Problem::new("group", words)].into());
        }
        Ok(asked.written(found))
    }

    /// Makes all sums anew from CDRs and ledger entries, while records go on being applied; the number of CDRs read.
    pub fn rebuild_sums(&self) -> Result<u64, StoreError> {
        crate::rollup::rebuild(self)
    }
}

impl Asked<'_> {
    fn written(&self, mut found: Vec<Found>) -> Table {
        found.sort_by(|a, b| (&a.labels, a.bucket).cmp(&(&b.labels, b.bucket)));
        if self.group.first().is_some_and(|d| d.is_time()) {
            found.sort_by_key(|row| row.bucket);
        }
        let all_calls = found.iter().fold(0i128, |sum, row| sum.saturating_add(row.totals.calls));
        let mut totals: Vec<Found> = Vec::new();
        let currency = self.group.iter().position(|d| *d == Dimension::Currency);
        for row in &mut found {
            row.totals.all_calls = all_calls;
            let labels: Vec<String> =
                currency.and_then(|place| row.labels.get(place).cloned()).into_iter().collect();
            match totals.iter_mut().find(|t| t.labels == labels) {
                Some(total) => total.totals.merge(&row.totals),
                None => totals.push(Found { bucket: 0, labels, totals: row.totals }),
            }
        }
        for total in &mut totals {
            total.totals.length_s = i128::from(self.window.to - self.window.from);
            let label = total.labels.pop();
            total.labels = vec![String::new(); self.group.len()];
            if let (Some(place), Some(label)) = (currency, label) {
                total.labels[place] = label;
            }
        }
        totals.sort_by(|a, b| a.labels.cmp(&b.labels));
        Table {
            from: window::utc(self.window.from),
            to: window::utc(self.window.to),
            time_zone: self.window.name.clone(),
            group: self.group.clone(),
            measures: self.report.measures().collect(),
            rows: found.iter().map(|row| self.row(row, true)).collect(),
            totals: totals.iter().map(|row| self.row(row, false)).collect(),
        }
    }

    fn row(&self, found: &Found, linked: bool) -> Row {
        let text = |label: &String| if label.is_empty() { Cell::Nothing } else { Cell::Text(label.clone()) };
        let mut cells: Vec<Cell> = found.labels.iter().map(text).collect();
        cells.extend(self.report.measures().map(|m| (m.of)(&found.totals)));
        Row { cells, calls: self.calls_of(found).filter(|_| linked) }
    }

    /// The query that finds the calls of a row.
    fn calls_of(&self, row: &Found) -> Option<Vec<(&'static str, String)>> {
        if self.report.source != Source::Calls || self.group.contains(&Dimension::HourOfDay) {
            return None;
        }
        let time = self.buckets.get(row.bucket)?;
        let text = |second: i64| window::rfc3339(second);
        let mut query = vec![("from", text(time.from)), ("to", text(time.to))];
        query.extend(self.filters.iter().map(|(d, value)| (d.name(), value.clone())));
        for (dimension, label) in self.group.iter().zip(&row.labels) {
            if dimension.is_time() {
                continue;
            }
            if *dimension == Dimension::CostPrefix {
                return None;
            }
            // "None at all" cannot be asked for.
            if label.is_empty() || label.starts_with('#') {
                return None;
            }
            query.retain(|(name, _)| *name != dimension.name());
            query.push((dimension.name(), label.clone()));
        }
        Some(query)
    }
}
