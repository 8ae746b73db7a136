//! From bytes to rows of cells.

use crate::{LONGEST_CELL, MOST_COLUMNS};
use calamine::{DataRef, Reader, Xlsx};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::borrow::Cow;
use std::io::Cursor;

/// A cell as text, with what only a spreadsheet knows of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    /// Days since 1899-12-30, of a cell that is shown as a date.
    Date(f64),
}

impl Cell {
    pub fn text(&self) -> &str {
        match self {
            Cell::Text(text) => text.trim(),
            Cell::Date(_) => "",
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Cell::Text(text) if text.trim().is_empty())
    }
}

/// Why a file cannot be read at all, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub line: u32,
    pub words: String,
}

fn unreadable(line: u32, words: impl Into<String>) -> Unreadable {
    Unreadable { line, words: words.into() }
}

/// Unpacked XLSX parts together: more is no rate file but a bomb.
const MOST_UNPACKED: u64 = 1 << 30;

/// Calls `each` with the number and the cells of every row that is not empty, until it says `false`.
pub fn rows(bytes: &[u8], mut each: impl FnMut(u32, &[Cell]) -> bool) -> Result<(), Unreadable> {
    if bytes.is_empty() {
        return Err(unreadable(0, "the file is empty"));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return xlsx_rows(bytes, &mut each);
    }
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return Err(unreadable(0, "this is an XLS file of the time before 2007; save it as XLSX or CSV"));
    }
    let text = decode(bytes)?;
    csv_rows(&text, separator(&text), &mut each)
}

/// The text of a file in UTF-8, UTF-16 or, as Windows writes it, in code page 1252.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let (text, bad) = encoding.decode_without_bom_handling(bytes.get(mark..).unwrap_or_default());
        return no_controls(if bad { Err(()) } else { Ok(text) }, encoding);
    }
    // UTF-16 without a mark: every other byte of plain text is 0.
    let head = bytes.get(..bytes.len().min(200)).unwrap_or_default();
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
    let half = head.len() / 2;
    let encoding = match (zeros(0), zeros(1)) {
        (_, odd) if half > 1 && odd * 2 > half => UTF_16LE,
        (even, _) if half > 1 && even * 2 > half => UTF_16BE,
        _ if std::str::from_utf8(bytes).is_ok() => UTF_8,
        _ => WINDOWS_1252,
    };
    let (text, bad) = encoding.decode_without_bom_handling(bytes);
    no_controls(if bad { Err(()) } else { Ok(text) }, encoding)
}

fn no_controls<'a>(
    text: Result<Cow<'a, str>, ()>,
    encoding: &'static Encoding,
) -> Result<Cow<'a, str>, Unreadable> {
    let text = text.map_err(|()| unreadable(0, format!("this is no text in {}", encoding.name())))?;
    if let Some(at) = text.bytes().position(|b| b < 9 || (14..32).contains(&b)) {
        let line = text.get(..at).unwrap_or_default().bytes().filter(|b| *b == b'\n').count();
        let line = u32::try_from(line + 1).unwrap_or(u32::MAX);
        return Err(unreadable(line, "control characters stand here: this is no text file"));
    }
    Ok(text)
}

const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// The separator that divides the first rows most alike.
fn separator(text: &str) -> char {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).take(200).collect();
    let score = |separator: char| {
        let mut counts: Vec<usize> = lines.iter().map(|l| outside_quotes(l, separator)).collect();
        counts.sort_unstable();
        let mut best = 0;
        for chunk in counts.chunk_by(|a, b| a == b) {
            let columns = chunk.first().copied().unwrap_or(0);
            if columns > 0 {
                best = best.max(chunk.len() * 100 + columns.min(99));
            }
        }
        best
    };
    // The semicolon before the comma: where commas are decimal marks, both divide all rows alike.
    let order = ['\t', ';', '|', ','];
    order
        .into_iter()
        .rev()
        .max_by_key(|s| (score(*s), SEPARATORS.len() - order.iter().position(|o| o == s).unwrap_or(0)))
        .unwrap_or(',')
}

fn outside_quotes(line: &str, separator: char) -> usize {
    let mut quoted = false;
    let count = |c: char| {
        quoted ^= c == '"';
        !quoted && c == separator
    };
    line.chars().map(count).filter(|hit| *hit).count()
}

/// RFC 4180, and what is near it: quotes within a cell that does not begin with one are text.
fn csv_rows(
    text: &str,
    separator: char,
    each: &mut impl FnMut(u32, &[Cell]) -> bool,
) -> Result<(), Unreadable> {
    let mut cells: Vec<Cell> = Vec::new();
    let (mut line, mut begun) = (1u32, 1u32);
    let mut cell = String::new();
    let mut quoted = false;
    let mut was_quoted = false;
    let mut chars = text.chars().peekable();
    loop {
        let next = chars.next();
        match next {
            Some('"') if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            Some('"') if quoted => quoted = false,
            Some('"') if cell.trim().is_empty() && !was_quoted => {
                cell.clear();
                (quoted, was_quoted) = (true, true);
            }
            Some(c) if quoted || !(c == separator || c == '\n' || c == '\r') => cell.push(c),
            Some('\r') if chars.peek() == Some(&'\n') => {}
            _ => {
                if quoted {
                    return Err(unreadable(begun, "a quote opens here and is never closed"));
                }
                cells.push(Cell::Text(std::mem::take(&mut cell)));
                was_quoted = false;
                if next == Some(separator) {
                    if cells.len() > MOST_COLUMNS {
                        return Err(unreadable(begun, format!("more than {MOST_COLUMNS} columns")));
                    }
                    continue;
                }
                if cells.iter().any(|c| !c.is_empty()) && !each(begun, &cells) {
                    return Ok(());
                }
                cells.clear();
            }
        }
        if cell.len() > LONGEST_CELL {
            return Err(unreadable(begun, format!("a cell is longer than {LONGEST_CELL} characters")));
        }
        if next == Some('\n') || (next == Some('\r') && chars.peek() != Some(&'\n')) {
            line = line.saturating_add(1);
        }
        if cells.is_empty() && cell.is_empty() && !quoted {
            begun = line;
        }
        if next.is_none() {
            return Ok(());
        }
    }
}

fn xlsx_rows(bytes: &[u8], each: &mut impl FnMut(u32, &[Cell]) -> bool) -> Result<(), Unreadable> {
    let wrong = |e: calamine::XlsxError| unreadable(0, format!("the spreadsheet cannot be read: {e}"));
    if unpacked_size(bytes) > MOST_UNPACKED {
        return Err(unreadable(0, "the spreadsheet is too large when unpacked"));
    }
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(bytes)).map_err(wrong)?;
    let mut largest: Option<(u64, String)> = None;
    for name in book.sheet_names() {
        let Ok(reader) = book.worksheet_cells_reader(&name) else { continue };
        let size = u64::from(reader.dimensions().end.0) + 1;
        if largest.as_ref().is_none_or(|(most, _)| size > *most) {
            largest = Some((size, name));
        }
    }
    let (_, name) = largest.ok_or_else(|| unreadable(0, "the spreadsheet has no sheet"))?;
    let mut reader = book.worksheet_cells_reader(&name).map_err(wrong)?;
    let mut row = 0u32;
    let mut cells: Vec<Cell> = Vec::new();
    while let Some(cell) = reader.next_cell().map_err(wrong)? {
        let (at, column) = cell.get_position();
        if at != row {
            if cells.iter().any(|c| !c.is_empty()) && !each(row + 1, &cells) {
                return Ok(());
            }
            cells.clear();
            row = at;
        }
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if column >= MOST_COLUMNS {
            continue;
        }
        cells.resize(cells.len().max(column + 1), Cell::Text(String::new()));
        if let Some(place) = cells.get_mut(column) {
            *place = xlsx_cell(cell.get_value());
        }
    }
    if cells.iter().any(|c| !c.is_empty()) {
        each(row + 1, &cells);
    }
    Ok(())
}

/// Numbers as the shortest decimal that is the same number: what the sender typed.
fn xlsx_cell(value: &DataRef<'_>) -> Cell {
    match value {
        DataRef::String(text) => Cell::Text(text.clone()),
        DataRef::SharedString(text) => Cell::Text((*text).to_string()),
        DataRef::Float(n) => Cell::Text(number(*n)),
        DataRef::Int(n) => Cell::Text(n.to_string()),
        DataRef::Bool(yes) => Cell::Text(yes.to_string()),
        DataRef::DateTime(date) if date.is_datetime() => Cell::Date(date.as_f64()),
        DataRef::DateTime(date) => Cell::Text(number(date.as_f64())),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Cell::Text(text.clone()),
        DataRef::Error(error) => Cell::Text(format!("#{error:?}")),
        DataRef::Empty => Cell::Text(String::new()),
    }
}

/// Sums like 0.1 + 0.2 are kept as 0.30000000000000004; 15 digits are all that a spreadsheet shows.
fn number(n: f64) -> String {
    let exact = n.to_string();
    let digits = exact.bytes().filter(u8::is_ascii_digit).count();
    if digits <= 15 || !n.is_finite() {
        return exact;
    }
    let whole = exact.split('.').next().unwrap_or_default().trim_start_matches(['-', '0']).len();
    let rounded = format!("{n:.*}", 15usize.saturating_sub(whole.max(1)));
    match rounded.contains('.') {
        true => rounded.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => rounded,
    }
}

/// What the parts of a ZIP file say of their size, by its central directory.
fn unpacked_size(bytes: &[u8]) -> u64 {
    let mut total = 0u64;
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| find(rest, b"PK\x01\x02")) {
        at += found;
        let size = bytes.get(at + 24..at + 28).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        total = total.saturating_add(size.into());
        at += 4;
    }
    total
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}
