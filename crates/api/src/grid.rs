//! Tables of rows with named columns: filtered, searched and sorted alike in lists and in live views.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One value of a row. Nothing sorts before everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Cell<'a> {
    Nothing,
    Number(i128),
    Text(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    pub fn text(text: &'a str) -> Cell<'a> {
        Cell::Text(Cow::Borrowed(text))
    }

    pub fn number(number: impl Into<i128>) -> Cell<'a> {
        Cell::Number(number.into())
    }

    pub fn maybe(text: Option<&'a str>) -> Cell<'a> {
        text.map_or(Cell::Nothing, Cell::text)
    }

    pub fn maybe_number(number: Option<impl Into<i128>>) -> Cell<'a> {
        number.map_or(Cell::Nothing, Cell::number)
    }

    pub fn switch(on: bool) -> Cell<'a> {
        Cell::text(if on { "true" } else { "false" })
    }

    /// As filters and searches see it.
    fn shown(&self) -> Cow<'_, str> {
        match self {
            Cell::Nothing => Cow::Borrowed(""),
            Cell::Number(n) => Cow::Owned(n.to_string()),
            Cell::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// How a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Whole,
    /// Numbers are asked for by their beginning.
    Start,
}

pub(crate) struct Column<R> {
    pub name: &'static str,
    pub cell: for<'a> fn(&'a R) -> Cell<'a>,
    pub compare: Match,
    /// `q` looks here.
    pub searched: bool,
}

impl<R> Column<R> {
    /// A text that `q` looks into.
    pub const fn text(name: &'static str, cell: for<'a> fn(&'a R) -> Cell<'a>) -> Column<R> {
        Column { name, cell, compare: Match::Whole, searched: true }
    }

    /// A telephone number.
    pub const fn dialled(name: &'static str, cell: for<'a> fn(&'a R) -> Cell<'a>) -> Column<R> {
        Column { name, cell, compare: Match::Start, searched: true }
    }

    /// Anything that is sorted by and filtered for, but not searched.
    pub const fn plain(name: &'static str, cell: for<'a> fn(&'a R) -> Cell<'a>) -> Column<R> {
        Column { name, cell, compare: Match::Whole, searched: false }
    }
}

/// A kind of rows.
pub(crate) struct Grid<R: 'static> {
    pub columns: &'static [Column<R>],
    /// Unique; decides between rows that are otherwise equal.
    pub key: fn(&R) -> u64,
    pub default_sort: &'static [(&'static str, Direction)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Asc,
    Desc,
}

/// One value, or several of which one is enough.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn values(&self) -> &[String] {
        match self {
            OneOrMany::One(value) => std::slice::from_ref(value),
            OneOrMany::Many(values) => values,
        }
    }
}

/// A question to a grid, as it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Asking {
    pub filter: BTreeMap<String, OneOrMany>,
    pub sort: Vec<(String, Direction)>,
}

/// Name of the filter that searches.
pub(crate) const SEARCH: &str = "q";

/// What a client may ask in one question.
const MAX_SORTS: usize = 8;
const MAX_VALUES: usize = 200;

/// The question, understood.
pub(crate) struct Plan<R: 'static> {
    grid: &'static Grid<R>,
    filters: Vec<(&'static Column<R>, Vec<String>)>,
    needle: Option<String>,
    sort: Vec<(&'static Column<R>, Direction)>,
}

impl<R> Grid<R> {
    /// An unknown column is an error: the field (filter or sort) and the words.
    pub fn plan(&'static self, asking: &Asking) -> Result<Plan<R>, (String, String)> {
        let mut plan = Plan { grid: self, filters: Vec::new(), needle: None, sort: Vec::new() };
        for (name, wanted) in &asking.filter {
            if wanted.values().len() > MAX_VALUES {
                return Err((name.clone(), format!("more than {MAX_VALUES} values")));
            }
            let lowered: Vec<String> = wanted.values().iter().map(|v| v.to_lowercase()).collect();
            if name == SEARCH {
                plan.needle = Some(lowered.join(" ")).filter(|n| !n.is_empty());
                continue;
            }
            plan.filters.push((self.column(name).ok_or_else(|| self.unknown(name))?, lowered));
        }
        if asking.sort.len() > MAX_SORTS {
            return Err(("sort".into(), format!("more than {MAX_SORTS} columns")));
        }
        for (name, direction) in &asking.sort {
            let column = self.column(name).ok_or_else(|| ("sort".to_string(), self.unknown(name).1))?;
            plan.sort.push((column, *direction));
        }
        if plan.sort.is_empty() {
            let named = self.default_sort.iter().filter_map(|(name, d)| Some((self.column(name)?, *d)));
            plan.sort.extend(named);
        }
        Ok(plan)
    }

    fn column(&self, name: &str) -> Option<&'static Column<R>> {
        self.columns.iter().find(|c| c.name == name)
    }

    fn unknown(&self, name: &str) -> (String, String) {
        let name: String = name.chars().take(80).collect();
        let known: Vec<&str> = self.columns.iter().map(|c| c.name).collect();
        let words = format!("there is no column {name:?}; there are {}", known.join(", "));
        (name, words)
    }
}

/// Where a row stands in the order: its cells of the sorted columns, and its key.
pub(crate) type Position<'a> = (Vec<Cell<'a>>, u64);

impl<R> Plan<R> {
    pub fn matches(&self, row: &R) -> bool {
        self.filters.iter().all(|(column, wanted)| {
            let cell = (column.cell)(row);
            let shown = cell.shown().to_lowercase();
            wanted.iter().any(|w| match column.compare {
                Match::Whole => shown == *w,
                Match::Start => shown.trim_start_matches('+').starts_with(w.trim_start_matches('+')),
            })
        }) && self.needle.as_ref().is_none_or(|needle| self.contains(row, needle))
    }

    fn contains(&self, row: &R, needle: &str) -> bool {
        let searched = self.grid.columns.iter().filter(|c| c.searched);
        searched.into_iter().any(|c| (c.cell)(row).shown().to_lowercase().contains(needle))
    }

    pub fn position<'a>(&self, row: &'a R) -> Position<'a> {
        (self.sort.iter().map(|(column, _)| (column.cell)(row)).collect(), (self.grid.key)(row))
    }

    pub fn compare(&self, a: &Position<'_>, b: &Position<'_>) -> Ordering {
        let by_column =
            self.sort.iter().zip(a.0.iter().zip(&b.0)).map(|((_, direction), (x, y))| match direction {
                Direction::Asc => x.cmp(y),
                Direction::Desc => y.cmp(x),
            });
        by_column.fold(Ordering::Equal, Ordering::then).then(a.1.cmp(&b.1))
    }

    /// The matching rows in order. `of` finds the row in whatever carries it.
    pub fn select<T>(&self, all: impl IntoIterator<Item = T>, of: impl Fn(&T) -> &R) -> Vec<T> {
        let found: Vec<T> = all.into_iter().filter(|t| self.matches(of(t))).collect();
        // Each row's place is worked out once, not in every comparison.
        let mut order: Vec<(Position<'_>, usize)> =
            found.iter().enumerate().map(|(i, t)| (self.position(of(t)), i)).collect();
        order.sort_by(|a, b| self.compare(&a.0, &b.0));
        let order: Vec<usize> = order.into_iter().map(|(_, i)| i).collect();
        let mut found: Vec<Option<T>> = found.into_iter().map(Some).collect();
        order.into_iter().filter_map(|i| found.get_mut(i).and_then(Option::take)).collect()
    }

    /// How the rows are sorted, as text: cursors of one order make no sense in another.
    pub fn order(&self) -> String {
        let names = self.sort.iter().map(|(c, d)| match d {
            Direction::Asc => c.name.to_string(),
            Direction::Desc => format!("-{}", c.name),
        });
        names.collect::<Vec<_>>().join(",")
    }
}
