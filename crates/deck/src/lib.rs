//! Vendors' rate files as they are really sent (`BIL-6`, R-54): any order and naming of columns, any separator and
//! encoding, notes above and below, code lists and ranges, `60/6`, decimal commas, dates of all kinds, blocked rows.
//!
//! [`table`] turns bytes into rows of cells, [`layout`] finds the heading and what its columns mean, [`value`] reads
//! single cells, [`read`] puts them together: every row becomes codes with their terms, or faults with line, column
//! and reason. Nothing is guessed where a guess could change a price: what can be read in two ways is a fault.

pub mod layout;
pub mod read;
pub mod table;
pub mod value;

pub use layout::{Field, Mapping};
pub use read::{DateOrder, DecimalMark, Fault, Line, Options, Outcome, State, Summary, fits, read};

/// Cells of one row; more are no rate file.
pub(crate) const MOST_COLUMNS: usize = 200;
/// Characters of one cell; a list of codes can be long.
pub(crate) const LONGEST_CELL: usize = 64 * 1024;
/// Rows of one file.
pub const MOST_ROWS: u64 = 5_000_000;
/// Faults that are told one by one.
pub const MOST_FAULTS: usize = 1000;
