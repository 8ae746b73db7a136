//! Which row is the heading, and what its columns mean.

use crate::table::Cell;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Stands before the codes.
    CountryCode,
    Codes,
    Area,
    Price,
    /// "60/6", or one number for both.
    Increments,
    FirstPeriod,
    Cycle,
    ConnectionFee,
    From,
    Until,
    /// Open, blocked, deleted, in words.
    State,
}

/// Headings after [`plain`], each with its meaning; a whole heading before one that begins or ends so.
const WORDS: &[(&str, Field)] = &[
    ("countrycode", Field::CountryCode),
    ("cc", Field::CountryCode),
    ("code", Field::Codes),
    ("codes", Field::Codes),
    ("prefix", Field::Codes),
    ("prefixes", Field::Codes),
    ("dialcode", Field::Codes),
    ("dialcodes", Field::Codes),
    ("dialprefix", Field::Codes),
    ("dialingcode", Field::Codes),
    ("destinationcode", Field::Codes),
    ("areacode", Field::Codes),
    ("areacodes", Field::Codes),
    ("citycode", Field::Codes),
    ("breakout", Field::Codes),
    ("breakouts", Field::Codes),
    ("vorwahl", Field::Codes),
    ("codigo", Field::Codes),
    ("prefijo", Field::Codes),
    ("indicatif", Field::Codes),
    ("country", Field::Area),
    ("destination", Field::Area),
    ("destinationname", Field::Area),
    ("area", Field::Area),
    ("areaname", Field::Area),
    ("name", Field::Area),
    ("description", Field::Area),
    ("zone", Field::Area),
    ("region", Field::Area),
    ("ziel", Field::Area),
    ("destino", Field::Area),
    ("pais", Field::Area),
    ("price", Field::Price),
    ("rate", Field::Price),
    ("rates", Field::Price),
    ("newrate", Field::Price),
    ("newprice", Field::Price),
    ("rateperminute", Field::Price),
    ("priceperminute", Field::Price),
    ("permin", Field::Price),
    ("cost", Field::Price),
    ("tariff", Field::Price),
    ("preis", Field::Price),
    ("precio", Field::Price),
    ("tarifa", Field::Price),
    ("prix", Field::Price),
    ("increment", Field::Increments),
    ("increments", Field::Increments),
    ("billingincrement", Field::Increments),
    ("billingincrements", Field::Increments),
    ("billing", Field::Increments),
    ("billinginterval", Field::Increments),
    ("interval", Field::Increments),
    ("taktung", Field::Increments),
    ("rounding", Field::Increments),
    ("firstperiod", Field::FirstPeriod),
    ("firstinterval", Field::FirstPeriod),
    ("firstincrement", Field::FirstPeriod),
    ("initialinterval", Field::FirstPeriod),
    ("initialincrement", Field::FirstPeriod),
    ("initial", Field::FirstPeriod),
    ("interval1", Field::FirstPeriod),
    ("minimum", Field::FirstPeriod),
    ("minimumtime", Field::FirstPeriod),
    ("minimumduration", Field::FirstPeriod),
    ("minduration", Field::FirstPeriod),
    ("cycle", Field::Cycle),
    ("nextinterval", Field::Cycle),
    ("nextincrement", Field::Cycle),
    ("intervaln", Field::Cycle),
    ("interval2", Field::Cycle),
    ("subsequent", Field::Cycle),
    ("additional", Field::Cycle),
    ("additionalincrement", Field::Cycle),
    ("subsequentinterval", Field::Cycle),
    ("subsequentincrement", Field::Cycle),
    ("connectionfee", Field::ConnectionFee),
    ("connectfee", Field::ConnectionFee),
    ("setupfee", Field::ConnectionFee),
    ("connectioncharge", Field::ConnectionFee),
    ("effective", Field::From),
    ("effectivedate", Field::From),
    ("effectivefrom", Field::From),
    ("validfrom", Field::From),
    ("startdate", Field::From),
    ("from", Field::From),
    ("date", Field::From),
    ("gultigab", Field::From),
    ("until", Field::Until),
    ("validto", Field::Until),
    ("validuntil", Field::Until),
    ("enddate", Field::Until),
    ("expiry", Field::Until),
    ("expirydate", Field::Until),
    ("status", Field::State),
    ("state", Field::State),
    ("change", Field::State),
    ("changes", Field::State),
    ("action", Field::State),
    ("changetype", Field::State),
    ("ratechange", Field::State),
    ("locked", Field::State),
    ("blocked", Field::State),
];

/// A heading without case, blanks, marks, accents of the common kind, and what stands in brackets ("Rate (USD/min)").
pub fn plain(heading: &str) -> String {
    let mut depth = 0u32;
    let mut out = String::new();
    for c in heading.chars().flat_map(char::to_lowercase).take(200) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            'á' | 'à' | 'â' | 'ä' => out.push('a'),
            'é' | 'è' | 'ê' => out.push('e'),
            'í' | 'î' => out.push('i'),
            'ó' | 'ô' | 'ö' => out.push('o'),
            'ú' | 'û' | 'ü' => out.push('u'),
            'ñ' => out.push('n'),
            c if c.is_alphanumeric() => out.push(c),
            _ => {}
        }
    }
    out
}

/// Units and currencies that stand beside the meaning: "rate usd/min", "price per minute in EUR".
const BESIDE: [&str; 14] = [
    "usdmin",
    "eurmin",
    "gbpmin",
    "perminute",
    "permin",
    "usd",
    "eur",
    "gbp",
    "min",
    "minute",
    "in",
    "sec",
    "seconds",
    "s",
];

fn meaning(heading: &str) -> Option<Field> {
    let mut word = plain(heading);
    loop {
        if let Some((_, field)) = WORDS.iter().find(|(known, _)| *known == word) {
            return Some(*field);
        }
        let shorter = BESIDE.iter().find_map(|beside| {
            let rest = word.strip_suffix(beside).or_else(|| word.strip_prefix(beside))?;
            (!rest.is_empty()).then(|| rest.to_string())
        });
        word = shorter?;
    }
}

/// What the columns of a vendor's files mean, by their headings: learned from one file, used for the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping(pub BTreeMap<Field, String>);

/// Where each field stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Row of the heading.
    pub heading: u32,
    pub columns: BTreeMap<Field, usize>,
    pub mapping: Mapping,
}

impl Layout {
    /// The layout that a row would be the heading of; `None`: it is no heading. A file needs codes and prices at least.
    pub fn of(row: u32, cells: &[Cell], given: Option<&Mapping>) -> Option<Layout> {
        let mut layout = Layout { heading: row, columns: BTreeMap::new(), mapping: Mapping::default() };
        for (column, cell) in cells.iter().enumerate() {
            let heading = cell.text();
            let field = match given {
                Some(mapping) => mapping.0.iter().find(|(_, h)| plain(h) == plain(heading)).map(|(f, _)| *f),
                None => meaning(heading),
            };
            let Some(field) = field.filter(|_| !heading.is_empty()) else { continue };
            // Of two columns of one meaning the first counts, but a new rate before an old one.
            let newer = plain(heading).starts_with("new");
            if newer || !layout.columns.contains_key(&field) {
                layout.columns.insert(field, column);
                layout.mapping.0.insert(field, heading.to_string());
            }
        }
        // A column of countries' codes alone is the column of codes.
        if !layout.columns.contains_key(&Field::Codes)
            && let Some(column) = layout.columns.remove(&Field::CountryCode)
        {
            let heading = layout.mapping.0.remove(&Field::CountryCode).unwrap_or_default();
            layout.columns.insert(Field::Codes, column);
            layout.mapping.0.insert(Field::Codes, heading);
        }
        let needed = [Field::Codes, Field::Price].iter().all(|f| layout.columns.contains_key(f));
        let complete = given.is_none_or(|mapping| layout.columns.len() == mapping.0.len());
        (needed && complete).then_some(layout)
    }

    pub fn cell<'a>(&self, field: Field, cells: &'a [Cell]) -> Option<&'a Cell> {
        cells.get(*self.columns.get(&field)?).filter(|cell| !cell.is_empty())
    }
}

/// Heading of a column as spreadsheets count them: A, B … AA.
pub fn column_name(mut column: usize) -> String {
    let mut name = String::new();
    loop {
        let letter = u8::try_from(column % 26).unwrap_or(0);
        name.insert(0, char::from(b'A' + letter));
        match (column / 26).checked_sub(1) {
            Some(more) => column = more,
            None => return name,
        }
    }
}
