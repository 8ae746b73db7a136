//! Single cells: prices, codes, increments, dates, states. What can be read in two ways is not read.

use crate::read::{DateOrder, DecimalMark, State};
use crate::table::Cell;
use vocab::prefix::MAX_PREFIX;
use vocab::{Price, Utc};

/// Codes of one row.
const MOST_CODES: u64 = 20_000;

/// Which decimal mark a price must have, if it tells.
pub fn decimal_mark(text: &str) -> Option<DecimalMark> {
    let text = number_text(text);
    match (text.rfind('.'), text.rfind(',')) {
        (Some(point), Some(comma)) => {
            Some(if point > comma { DecimalMark::Point } else { DecimalMark::Comma })
        }
        (Some(at), None) => one_mark(text, at).then_some(DecimalMark::Point),
        (None, Some(at)) => one_mark(text, at).then_some(DecimalMark::Comma),
        (None, None) => None,
    }
}

/// Is the only kind of mark surely a decimal one? Not if three digits follow one to three that are not 0.
fn one_mark(text: &str, at: usize) -> bool {
    let (whole, fraction) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
    let once = !whole.contains(['.', ',']);
    once && (fraction.len() != 3 || whole.is_empty() || whole.starts_with('0') || whole.len() > 3)
}

/// Without currencies and blanks.
fn number_text(text: &str) -> &str {
    let text = text.trim();
    let text = text.trim_matches(['$', '€', '£', ' ', '\u{a0}']);
    let text = ["USD", "EUR", "GBP", "usd", "eur", "gbp"]
        .iter()
        .fold(text, |t, c| t.strip_prefix(c).or_else(|| t.strip_suffix(c)).unwrap_or(t));
    text.trim_matches([' ', '\u{a0}'])
}

/// A price or fee as decimal text that [`Price::parse`] takes.
pub fn amount(text: &str, mark: Option<DecimalMark>) -> Result<String, String> {
    let bare = number_text(text);
    let shown: String = bare.chars().take(40).collect();
    let no_number = || format!("{shown:?} is no price");
    let well_formed = !bare.is_empty()
        && bare.len() <= 40
        && bare.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'\'' | b' ' | b'-'))
        && bare.bytes().any(|b| b.is_ascii_digit());
    if !well_formed {
        return Err(no_number());
    }
    if bare.contains('-') {
        return Err(format!("{shown:?} is negative"));
    }
    let mark = match (mark, bare.contains(['.', ','])) {
        (_, false) => DecimalMark::Point,
        (Some(mark), true) => mark,
        (None, true) => {
            return Err(format!(
                "{shown:?}: is its mark a decimal one or one of thousands? Say which mark the file has"
            ));
        }
    };
    let (decimal, thousands) = match mark {
        DecimalMark::Point => ('.', ','),
        DecimalMark::Comma => (',', '.'),
    };
    let (whole, fraction) = bare.split_once(decimal).unwrap_or((bare, ""));
    let groups: Vec<&str> = whole.split([thousands, '\'', ' ']).collect();
    let grouped = groups.iter().skip(1).all(|g| g.len() == 3) && groups.first().is_some_and(|g| g.len() <= 3);
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if !digits(fraction) || (groups.len() > 1 && !grouped) || !groups.iter().all(|g| digits(g)) {
        return Err(format!(
            "{shown:?} is no price with a decimal {}",
            if decimal == ',' { "comma" } else { "point" }
        ));
    }
    let whole: String = groups.concat();
    let whole = if whole.is_empty() { "0".to_string() } else { whole };
    let fraction = fraction.trim_end_matches('0');
    Ok(if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") })
}

/// A price per minute.
pub fn price(text: &str, mark: Option<DecimalMark>) -> Result<Price, String> {
    let decimal = amount(text, mark)?;
    Price::parse(&decimal).map_err(|e| format!("{decimal:?}: {e}"))
}

/// "60/6", "60+6", "60-6", "1/1", or one number for both; "30:6".
pub fn increments(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("{:?} are no increments; expected ones like \"60/6\"", short(text));
    let parts: Vec<&str> = text.split(['/', '+', '-', ':', '\\']).map(str::trim).collect();
    let seconds = |t: &str| period(t).map_err(|_| wrong());
    match parts.as_slice() {
        [both] => Ok((seconds(both)?, seconds(both)?)),
        [first, cycle] => Ok((seconds(first)?, seconds(cycle)?)),
        _ => Err(wrong()),
    }
}

/// Seconds from 1 to a day; "60", "60 s", "60 sec".
pub fn period(text: &str) -> Result<u32, String> {
    let bare = text.trim().trim_end_matches(|c: char| c.is_alphabetic() || c == '.').trim();
    let bare = bare.strip_suffix(".0").unwrap_or(bare);
    let seconds =
        bare.parse().ok().filter(|s| (1..=86_400).contains(s) && bare.bytes().all(|b| b.is_ascii_digit()));
    seconds.ok_or_else(|| format!("{:?} is no number of seconds from 1 to 86400", short(text)))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The codes of a cell, each after the country's: a list, with ranges.
pub fn codes(country: &str, text: &str) -> Result<Vec<String>, String> {
    let country = if country.is_empty() { String::new() } else { one_code(country)? };
    let mut all = Vec::new();
    if text.trim().is_empty() && !country.is_empty() {
        return Ok(vec![country]);
    }
    for part in text.split([',', ';', '|', '\n', '/', '&']).map(str::trim).filter(|p| !p.is_empty()) {
        match part.split_once(['-', '–', '—']) {
            Some((from, to)) => range(&country, from, to, &mut all)?,
            None => all.push(joined(&country, &one_code(part)?)),
        }
        if all.len() as u64 > MOST_CODES {
            return Err(format!("more than {MOST_CODES} codes in one row"));
        }
    }
    if all.is_empty() {
        return Err("no code".to_string());
    }
    match all.iter().find(|code| code.len() > MAX_PREFIX) {
        Some(long) => Err(format!("{:?} is longer than {MAX_PREFIX} digits", short(long))),
        None => Ok(all),
    }
}

/// A code that repeats the country's is not given it twice when a sheet lists whole codes beside the country's.
fn joined(country: &str, code: &str) -> String {
    if code.starts_with(country) { code.to_string() } else { format!("{country}{code}") }
}

/// Digits, with the usual decoration: "+880", "00880", "880 17", "(880)17", "880.0" of a spreadsheet.
fn one_code(text: &str) -> Result<String, String> {
    let wrong = |words: &str| Err(format!("{:?} {words}", short(text)));
    let text = text.trim();
    let text = text.strip_suffix(".0").unwrap_or(text);
    let international = text.starts_with('+') || text.starts_with("00");
    let groups: Vec<&str> = text.split([' ', '\u{a0}']).filter(|g| !g.is_empty()).collect();
    if groups.len() > 1 && !international && (groups.len() > 2 || groups.first().is_some_and(|g| g.len() > 3))
    {
        return wrong("has blanks; lists are written with commas");
    }
    let bare: String =
        groups.concat().trim_start_matches('+').chars().filter(|c| !matches!(c, '(' | ')')).collect();
    let bare = if bare.len() > 2 { bare.strip_prefix("00").unwrap_or(&bare) } else { &bare };
    match bare {
        "" => wrong("has no digits"),
        _ if bare.bytes().all(|b| b.is_ascii_digit()) => Ok(bare.to_string()),
        _ => wrong("is no code; expected digits"),
    }
}

/// "8801-8809"; "8801-9" means the same.
fn range(country: &str, from: &str, to: &str, all: &mut Vec<String>) -> Result<(), String> {
    let (from, to) = (one_code(from)?, one_code(to)?);
    let Some(kept) = from.len().checked_sub(to.len()) else {
        return Err(format!("the range from {from} to {to} ends with more digits than it begins"));
    };
    let to = format!("{}{to}", from.get(..kept).unwrap_or_default());
    let (Ok(first), Ok(last)) = (from.parse::<u64>(), to.parse::<u64>()) else {
        return Err(format!("the range from {from} to {to} is too long"));
    };
    if last < first || last - first >= MOST_CODES {
        return Err(format!(
            "the range from {from} to {to} has {}",
            if last < first { "its ends turned" } else { "too many codes" }
        ));
    }
    all.extend((first..=last).map(|n| joined(country, &format!("{n:0width$}", width = from.len()))));
    Ok(())
}

/// Open, blocked or deleted.
pub fn state(text: &str) -> Result<State, String> {
    let word: String = text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    Ok(match word.as_str() {
        "" | "open" | "active" | "new" | "current" | "unchanged" | "nochange" | "change" | "changed"
        | "increase" | "decrease" | "increased" | "decreased" | "up" | "down" | "same" | "no" | "false"
        | "0" | "unblocked" | "valid" | "added" | "add" | "update" | "updated" | "ok" | "newcode"
        | "codeadd" => State::Open,
        "blocked" | "block" | "barred" | "closed" | "locked" | "lock" | "noservice" | "suspended" | "yes"
        | "true" | "1" | "stopped" => State::Blocked,
        "deleted" | "delete" | "removed" | "remove" | "discontinued" | "withdrawn" | "expired"
        | "cancelled" | "end" | "ended" | "codedelete" => State::Deleted,
        _ => return Err(format!("{:?} is neither open, blocked nor deleted", short(text))),
    })
}

/// A local date and time: days since 1970-01-01 and seconds of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub day: i64,
    pub second: u32,
}

impl Local {
    /// The moment of this local time in a zone: of two, where clocks are put back, the first; of none, the change.
    pub fn in_zone(self, zone: &billing::Zone) -> Utc {
        let local_s = self.day.saturating_mul(86_400).saturating_add(self.second.into());
        let guess = |offset: i32| Utc(local_s.saturating_sub(offset.into()).saturating_mul(1_000_000));
        let before = zone.offset_s(guess(86_400));
        let after = zone.offset_s(guess(-86_400));
        let (early, late) = (guess(before.max(after)), guess(before.min(after)));
        if zone.offset_s(early) == before.max(after) { early } else { late }
    }
}

/// Which order dates must have, if one tells.
pub fn date_order(text: &str) -> Option<DateOrder> {
    let parts = numbers(text)?;
    match parts.as_slice() {
        [a, _, _, ..] if *a > 31 => None,
        [a, _, _, ..] if *a > 12 => Some(DateOrder::DayFirst),
        [_, b, _, ..] if *b > 12 => Some(DateOrder::MonthFirst),
        [_, _, _, ..] if text.contains('.') && !text.contains('/') => Some(DateOrder::DayFirst),
        _ => None,
    }
}

/// The numbers of a date that has only numbers.
fn numbers(text: &str) -> Option<Vec<u32>> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty());
    let parts: Option<Vec<u32>> =
        parts.take(8).map(|p| p.trim_end_matches(['T', 'Z']).parse().ok()).collect();
    parts.filter(|p| p.len() >= 3)
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// "2026-12-01", "01.12.2026", "12/01/2026 00:00", "1-Dec-2026", "Dec 1, 2026", "20261201"; a spreadsheet's date.
pub fn date(cell: &Cell, order: Option<DateOrder>) -> Result<Local, String> {
    let text = match cell {
        Cell::Date(days) => return excel_date(*days),
        Cell::Text(text) => text.trim(),
    };
    let wrong = || format!("{:?} is no date", short(text));
    if text.len() > 40 {
        return Err(wrong());
    }
    let spaced = text.replace('T', " ");
    let words: Vec<&str> =
        spaced.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty() && *p != "Z").collect();
    let month_name = words.iter().take(3).position(|w| w.chars().any(char::is_alphabetic));
    let whole = |at: usize| words.get(at).and_then(|w| w.parse::<u32>().ok()).ok_or_else(wrong);
    let (year, month, day, rest) = if let Some(at) = month_name {
        let name = words.get(at).map(|w| w.to_lowercase()).unwrap_or_default();
        let month = MONTHS.iter().position(|m| name.starts_with(m)).ok_or_else(wrong)?;
        let month = u32::try_from(month + 1).map_err(|_| wrong())?;
        let day_at = if at == 0 { 1 } else { 0 };
        (whole(2)?, month, whole(day_at)?, 3)
    } else if let [only, rest @ ..] = words.as_slice()
        && only.len() == 8
        && (rest.is_empty() || rest.len() > 1)
    {
        let n: u32 = only.parse().map_err(|_| wrong())?;
        (n / 10_000, n / 100 % 100, n % 100, 1)
    } else {
        let (a, b, c) = (whole(0)?, whole(1)?, whole(2)?);
        if a > 31 {
            (a, b, c, 3)
        } else {
            match order {
                Some(DateOrder::DayFirst) => (c, b, a, 3),
                Some(DateOrder::MonthFirst) => (c, a, b, 3),
                None => return Err(format!("{:?}: is the day first or the month? Say which", short(text))),
            }
        }
    };
    let year = if year < 100 { year + 2000 } else { year };
    let time: Vec<u32> = words.iter().skip(rest).take(3).map_while(|w| w.parse().ok()).collect();
    let at = |i: usize| time.get(i).copied().unwrap_or(0);
    if !(2000..=2100).contains(&year)
        || day == 0
        || day > days_of(year, month)
        || at(0) > 23
        || at(1) > 59
        || at(2) > 59
    {
        return Err(wrong());
    }
    Ok(Local { day: day_number(year, month, day), second: at(0) * 3600 + at(1) * 60 + at(2) })
}

/// Spreadsheets count days from 1899-12-30.
fn excel_date(days: f64) -> Result<Local, String> {
    if !(36_526.0..=73_415.0).contains(&days) {
        return Err(format!("{days} is no date from 2000 to 2100"));
    }
    // Within these bounds both fit; the fraction is rounded to seconds.
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let seconds = (days * 86_400.0).round() as i64;
    let second = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
    Ok(Local { day: seconds.div_euclid(86_400) - 25_569, second })
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// Days since 1970-01-01 of a date from 2000 on.
fn day_number(year: u32, month: u32, day: u32) -> i64 {
    let years = (2000..year).map(|y| if days_of(y, 2) == 29 { 366 } else { 365 }).sum::<i64>();
    let months = (1..month).map(|m| i64::from(days_of(year, m))).sum::<i64>();
    10_957 + years + months + i64::from(day) - 1
}
