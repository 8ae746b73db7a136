//! Tables as files: CSV and XLSX, written row by row.
//!
//! Texts come from peers (names, numbers, words of a refusal), and spreadsheets run what begins like a formula. In CSV
//! such a text gets an apostrophe before it, which spreadsheets show as text; in XLSX every text is marked as one.

use rust_xlsxwriter::{Workbook, XlsxError};
use std::io::{self, Write};

/// A cell of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    /// Our own figure, in decimal digits.
    Number(String),
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    pub fn maybe(text: Option<impl Into<String>>) -> Cell {
        Cell::Text(text.map(Into::into).unwrap_or_default())
    }

    pub fn number(number: impl ToString) -> Cell {
        Cell::Number(number.to_string())
    }

    pub fn maybe_number(number: Option<impl ToString>) -> Cell {
        number.map_or(Cell::Text(String::new()), Cell::number)
    }
}

/// Would a spreadsheet run it? A telephone number with its + is a number and nothing else.
fn runs(text: &str) -> bool {
    let dialled = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !text.strip_prefix('+').is_some_and(dialled)
}

/// One line of CSV (RFC 4180).
pub(crate) fn csv_line(out: &mut impl Write, cells: &[Cell]) -> io::Result<()> {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        match cell {
            Cell::Number(number) => out.write_all(number.as_bytes())?,
            Cell::Text(text) => {
                let guarded = if runs(text) { format!("'{text}") } else { text.clone() };
                if guarded.contains([',', '"', '\n', '\r', ';', '\t']) {
                    write!(out, "\"{}\"", guarded.replace('"', "\"\""))?;
                } else {
                    out.write_all(guarded.as_bytes())?;
                }
            }
        }
    }
    out.write_all(b"\r\n")
}

/// Rows of a sheet at most, the heading among them; the next sheet takes the rest.
const SHEET_ROWS: u32 = 1_048_576;
/// Characters of a cell at most.
const CELL_LENGTH: usize = 32_000;

/// A spreadsheet in the making. Its rows go to a temporary file as they come.
pub(crate) struct Xlsx {
    book: Workbook,
    heading: Vec<Cell>,
    row: u32,
    sheets: usize,
}

impl Xlsx {
    pub fn new(heading: Vec<Cell>) -> Result<Xlsx, XlsxError> {
        let mut xlsx = Xlsx { book: Workbook::new(), heading, row: 0, sheets: 0 };
        xlsx.add_sheet()?;
        Ok(xlsx)
    }

    fn add_sheet(&mut self) -> Result<(), XlsxError> {
        self.book.add_worksheet_with_constant_memory()?;
        self.sheets += 1;
        self.row = 0;
        let heading = self.heading.clone();
        self.write(&heading)
    }

    pub fn line(&mut self, cells: &[Cell]) -> Result<(), XlsxError> {
        if self.row == SHEET_ROWS {
            self.add_sheet()?;
        }
        self.write(cells)
    }

    fn write(&mut self, cells: &[Cell]) -> Result<(), XlsxError> {
        let sheet = self.book.worksheet_from_index(self.sheets - 1)?;
        for (column, cell) in (0u16..).zip(cells) {
            match cell {
                Cell::Text(text) if text.is_empty() => {}
                Cell::Text(text) => {
                    let short: String = text.chars().take(CELL_LENGTH).filter(|c| !c.is_control()).collect();
                    sheet.write_string(self.row, column, short)?;
                }
                // The format knows numbers of 15 digits only; longer ones stay exact as text.
                Cell::Number(number) => match number.parse::<f64>() {
                    Ok(n) if number.bytes().filter(u8::is_ascii_digit).count() <= 15 => {
                        sheet.write_number(self.row, column, n)?;
                    }
                    _ => {
                        sheet.write_string(self.row, column, number)?;
                    }
                },
            }
        }
        self.row += 1;
        Ok(())
    }

    pub fn finish(mut self) -> Result<Vec<u8>, XlsxError> {
        self.book.save_to_buffer()
    }

    pub fn save(mut self, path: &std::path::Path) -> Result<(), XlsxError> {
        self.book.save(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_a_spreadsheet_would_run_are_disarmed() {
        for (cell, want) in [
            (Cell::text("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0"),
            (Cell::text("@SUM(A1)"), "'@SUM(A1)"),
            (Cell::text("-2+3"), "'-2+3"),
            (Cell::text("+44*1"), "'+44*1"),
            (Cell::text("\t=1"), "\"'\t=1\""),
            (Cell::text("+442070000000"), "+442070000000"),
            (Cell::text("a, \"b\"\nc"), "\"a, \"\"b\"\"\nc\""),
            (Cell::number("-5.00"), "-5.00"),
            (Cell::text(""), ""),
        ] {
            let mut out = Vec::new();
            csv_line(&mut out, &[cell]).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), format!("{want}\r\n"));
        }
    }
}
