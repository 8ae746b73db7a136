//! A whole file: found, understood, read row by row.

use crate::layout::{Field, Layout, Mapping, column_name};
use crate::table::{self, Cell, Unreadable};
use crate::value::{self, Local};
use crate::{MOST_FAULTS, MOST_ROWS};
use serde::{Deserialize, Serialize};
use vocab::{Money, Price};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecimalMark {
    Point,
    Comma,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    DayFirst,
    MonthFirst,
}

/// What the operator says about a file; what is not said is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Headings of the columns, as learned from an earlier file.
    pub mapping: Option<Mapping>,
    pub decimal_mark: Option<DecimalMark>,
    pub date_order: Option<DateOrder>,
    /// A price of 0 is meant so. Otherwise it is a fault: more often it is a column moved or a cell not filled.
    pub free_is_meant: bool,
    /// Increments of rows that have none.
    pub increments: Option<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Open,
    /// The vendor takes no calls there.
    Blocked,
    /// The code is no longer offered.
    Deleted,
}

/// One row, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub line: u32,
    pub codes: Vec<String>,
    pub area: String,
    /// `None` only where the row is blocked or deleted.
    pub price: Option<Price>,
    pub first_period: u32,
    pub cycle: u32,
    pub connection_fee: Money,
    pub from: Option<Local>,
    pub until: Option<Local>,
    pub state: State,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// 0: the file as a whole.
    pub line: u32,
    /// As spreadsheets name them; empty: the row as a whole.
    pub column: String,
    pub reason: String,
}

/// What came of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub heading_line: u32,
    pub mapping: Mapping,
    pub decimal_mark: Option<DecimalMark>,
    pub date_order: Option<DateOrder>,
    /// Rows below the heading that are not empty.
    pub rows: u64,
    pub good_rows: u64,
    pub bad_rows: u64,
    /// Rows without codes and prices: notes.
    pub notes: u64,
    pub codes: u64,
    /// The first of them.
    pub faults: Vec<Fault>,
}

impl Summary {
    /// A row as a whole is bad, for this reason.
    pub fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
    }
}

/// What the receiver of lines says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    /// The row cannot be used, for this reason in this field.
    Refused(Field, String),
    Stop,
}

/// Rows that are looked at to find the heading.
const HEADING_WITHIN: u32 = 100;
/// Rows below it that are looked at to find out decimal marks and the order of dates.
const SAMPLE: u64 = 20_000;

/// Reads a file and hands each good row to `each`. An `Err` is the reason why the whole file cannot be read; faults of
/// rows are in the summary.
pub fn read(
    bytes: &[u8],
    options: &Options,
    mut each: impl FnMut(Line) -> Outcome,
) -> Result<Summary, Fault> {
    let layout = layout(bytes, options)?;
    let mut summary =
        Summary { heading_line: layout.heading, mapping: layout.mapping.clone(), ..Summary::default() };
    (summary.decimal_mark, summary.date_order) = conventions(bytes, &layout, options)?;
    let mut stopped = false;
    let done = table::rows(bytes, |row, cells| {
        if row <= layout.heading {
            return true;
        }
        summary.rows += 1;
        if summary.rows > MOST_ROWS {
            return false;
        }
        if is_note(&layout, cells) {
            summary.notes += 1;
            return true;
        }
        let outcome = match line(row, &layout, cells, options, &summary) {
            Ok(line) => {
                let codes = line.codes.len() as u64;
                let outcome = each(line);
                if outcome == Outcome::Taken {
                    summary.codes += codes;
                }
                outcome
            }
            Err((field, reason)) => Outcome::Refused(field, reason),
        };
        match outcome {
            Outcome::Taken => summary.good_rows += 1,
            Outcome::Refused(field, reason) => {
                summary.bad_rows += 1;
                let column = layout.columns.get(&field).map(|c| column_name(*c)).unwrap_or_default();
                summary.fault(Fault { line: row, column, reason });
            }
            Outcome::Stop => stopped = true,
        }
        !stopped
    });
    done.map_err(whole)?;
    if summary.rows > MOST_ROWS {
        return Err(whole(Unreadable { line: 0, words: format!("more than {MOST_ROWS} rows") }));
    }
    if summary.good_rows + summary.bad_rows == 0 {
        let words = "there are no rates below the heading".to_string();
        return Err(whole(Unreadable { line: summary.heading_line, words }));
    }
    Ok(summary)
}

/// Has the file the columns that these options name?
pub fn fits(bytes: &[u8], options: &Options) -> bool {
    layout(bytes, options).is_ok()
}

fn whole(e: Unreadable) -> Fault {
    Fault { line: e.line, column: String::new(), reason: e.words }
}

fn layout(bytes: &[u8], options: &Options) -> Result<Layout, Fault> {
    let mut found: Option<Layout> = None;
    let mut looked = 0;
    let read = table::rows(bytes, |row, cells| {
        looked += 1;
        // The heading is the row that names most; a note that names one thing stands above it.
        if let Some(layout) = Layout::of(row, cells, options.mapping.as_ref())
            && found.as_ref().is_none_or(|f| layout.columns.len() > f.columns.len())
        {
            found = Some(layout);
        }
        looked < HEADING_WITHIN
    });
    read.map_err(whole)?;
    let words = match &options.mapping {
        Some(mapping) => {
            let headings: Vec<String> = mapping.0.values().map(|h| format!("{h:?}")).collect();
            format!("no row has the headings {}", headings.join(", "))
        }
        None => "no row names a column of codes and one of prices; say which columns they are".to_string(),
    };
    found.ok_or(Fault { line: 0, column: String::new(), reason: words })
}

/// Decimal mark and order of dates, as the first rows prove them.
fn conventions(
    bytes: &[u8],
    layout: &Layout,
    options: &Options,
) -> Result<(Option<DecimalMark>, Option<DateOrder>), Fault> {
    let (mut mark, mut order) = (options.decimal_mark, options.date_order);
    let mut looked = 0;
    let read = table::rows(bytes, |row, cells| {
        if row <= layout.heading {
            return true;
        }
        looked += 1;
        for field in [Field::Price, Field::ConnectionFee] {
            let text = layout.cell(field, cells).map_or("", Cell::text);
            mark = mark.or_else(|| value::decimal_mark(text));
        }
        for field in [Field::From, Field::Until] {
            let text = layout.cell(field, cells).map_or("", Cell::text);
            order = order.or_else(|| value::date_order(text));
        }
        looked < SAMPLE && (mark.is_none() || order.is_none())
    });
    read.map_err(whole)?;
    Ok((mark, order))
}

/// Rows without a price, and without anything like a code, are notes.
fn is_note(layout: &Layout, cells: &[Cell]) -> bool {
    if layout.cell(Field::Price, cells).is_some() {
        return false;
    }
    let text = |field| layout.cell(field, cells).map_or("", Cell::text);
    let (country, codes) = (text(Field::CountryCode), text(Field::Codes));
    let digits = [country, codes].iter().any(|t| t.bytes().any(|b| b.is_ascii_digit()));
    let alone = cells.iter().filter(|c| !c.is_empty()).count() == 1;
    value::codes(country, codes).is_err() && (!digits || alone)
}

fn line(
    row: u32,
    layout: &Layout,
    cells: &[Cell],
    options: &Options,
    found: &Summary,
) -> Result<Line, (Field, String)> {
    let cell = |field| layout.cell(field, cells);
    let text = |field| cell(field).map_or("", Cell::text);
    let at = |field: Field| move |reason: String| (field, reason);
    let codes = value::codes(text(Field::CountryCode), text(Field::Codes)).map_err(at(Field::Codes))?;
    let mut state = value::state(text(Field::State)).map_err(at(Field::State))?;
    let price_text = text(Field::Price);
    // Some write the word where the price would be.
    if price_text.chars().any(char::is_alphabetic)
        && let Ok(word @ (State::Blocked | State::Deleted)) = value::state(price_text)
    {
        state = word;
    }
    let price = match value::price(price_text, found.decimal_mark) {
        Ok(Price::ZERO) if !options.free_is_meant && state == State::Open => {
            return Err((Field::Price, "the price is 0; if free calls are meant, say so".to_string()));
        }
        Ok(price) => Some(price),
        Err(_) if state != State::Open => None,
        Err(reason) => return Err((Field::Price, reason)),
    };
    let (first_period, cycle) = periods(&text, options)?;
    let fee = match text(Field::ConnectionFee) {
        "" => Money::ZERO,
        fee => {
            let decimal = value::amount(fee, found.decimal_mark).map_err(at(Field::ConnectionFee))?;
            Money::parse(&decimal).map_err(|e| (Field::ConnectionFee, e.to_string()))?
        }
    };
    let date = |field| {
        let read = |c| value::date(c, found.date_order).map_err(at(field));
        cell(field).map(read).transpose()
    };
    Ok(Line {
        line: row,
        codes,
        area: text(Field::Area)
            .chars()
            .filter(|c| !c.is_control())
            .take(64)
            .collect::<String>()
            .trim()
            .to_string(),
        price,
        first_period,
        cycle,
        connection_fee: fee,
        from: date(Field::From)?,
        until: date(Field::Until)?,
        state,
    })
}

fn periods<'a>(text: &impl Fn(Field) -> &'a str, options: &Options) -> Result<(u32, u32), (Field, String)> {
    let default = options.increments.unwrap_or((1, 1));
    let both = match text(Field::Increments) {
        "" => default,
        increments => value::increments(increments).map_err(|e| (Field::Increments, e))?,
    };
    let one = |field: Field, otherwise: u32| match text(field) {
        "" => Ok(otherwise),
        seconds => value::period(seconds).map_err(|e| (field, e)),
    };
    Ok((one(Field::FirstPeriod, both.0)?, one(Field::Cycle, both.1)?))
}
