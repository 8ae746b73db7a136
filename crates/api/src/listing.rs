//! Lists: one page, one way of asking.

use crate::grid::{Asking, Cell, Direction, Grid, OneOrMany, SEARCH};
use crate::problem::Problem;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use utoipa::ToSchema;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Ask with it for the next page; `null` on the last.
    pub next_cursor: Option<String>,
    /// Rows on all pages; `null` where counting would cost too much.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    pub(crate) fn map<U>(self, each: impl Fn(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(each).collect(),
            next_cursor: self.next_cursor,
            total: self.total,
        }
    }
}

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 500;

/// What every list understands, and its own filters by column.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListQuery {
    limit: Option<u32>,
    pub cursor: Option<String>,
    pub sort: Option<String>,
    pub q: Option<String>,
    filters: Vec<(&'static str, String)>,
}

impl ListQuery {
    pub fn new(
        limit: Option<u32>,
        cursor: Option<String>,
        sort: Option<String>,
        q: Option<String>,
    ) -> ListQuery {
        let given = |text: Option<String>| text.filter(|t| !t.is_empty());
        ListQuery { limit, cursor: given(cursor), sort: given(sort), q: given(q), filters: Vec::new() }
    }

    /// With a filter, when it was given.
    pub fn with(mut self, column: &'static str, value: Option<impl ToString>) -> ListQuery {
        self.filters.extend(value.map(|v| (column, v.to_string())));
        self
    }

    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(DEFAULT_LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(usize::try_from(limit).unwrap_or_default()),
            limit => Err(Problem::field("limit", format!("{limit} is not allowed; expected 1–{MAX_LIMIT}"))),
        }
    }

    /// For lists that have one order only.
    pub fn only_sort(&self, order: &str) -> Result<(), Problem> {
        match self.sort.as_deref() {
            Some(other) if other != order => {
                Err(Problem::field("sort", format!("this list can only be sorted by {order:?}")))
            }
            _ => Ok(()),
        }
    }

    fn asking(&self) -> Asking {
        let one = |(name, value): &(&str, String)| (name.to_string(), OneOrMany::One(value.clone()));
        let mut asking = Asking { filter: self.filters.iter().map(one).collect(), sort: Vec::new() };
        if let Some(q) = &self.q {
            asking.filter.insert(SEARCH.to_string(), OneOrMany::One(q.clone()));
        }
        let columns = self.sort.iter().flat_map(|s| s.split(',')).map(str::trim);
        asking.sort = columns
            .map(|name| match name.strip_prefix('-') {
                Some(name) => (name.to_string(), Direction::Desc),
                None => (name.to_string(), Direction::Asc),
            })
            .collect();
        asking
    }
}

/// Where a page ended. A page after it is right whatever has come and gone in between.
#[derive(Serialize, Deserialize)]
struct Cursor<'a>(String, #[serde(borrow)] Vec<Cell<'a>>, u64);

/// One page of rows that are all in memory.
pub(crate) fn page<R, T>(
    grid: &'static Grid<R>,
    all: impl IntoIterator<Item = T>,
    of: impl Fn(&T) -> &R,
    query: &ListQuery,
) -> Result<Page<T>, Problem> {
    let limit = query.limit()?;
    let plan = grid.plan(&query.asking()).map_err(|(field, words)| Problem::field(field, words))?;
    let found = plan.select(all, &of);
    let total = u64::try_from(found.len()).ok();
    let text = query.cursor.as_deref().map(decode).transpose()?;
    let after = text.as_deref().map(|text| read_cursor(text, &plan.order())).transpose()?;
    let start = after.map_or(0, |at| {
        found.partition_point(|row| plan.compare(&plan.position(of(row)), &at) != Ordering::Greater)
    });
    let more = found.len() > start.saturating_add(limit);
    let items: Vec<T> = found.into_iter().skip(start).take(limit).collect();
    let last = items.last().filter(|_| more).map(|last| plan.position(of(last)));
    let next_cursor = last.map(|(cells, key)| encode(&Cursor(plan.order(), cells, key)));
    Ok(Page { items, next_cursor, total })
}

fn read_cursor<'a>(text: &'a str, order: &str) -> Result<(Vec<Cell<'a>>, u64), Problem> {
    match serde_json::from_str(text) {
        Ok(Cursor(made_for, cells, key)) if made_for == order => Ok((cells, key)),
        Ok(_) => Err(bad_cursor("the cursor belongs to another order of the list")),
        Err(_) => Err(bad_cursor("not a cursor of this list")),
    }
}

pub(crate) fn bad_cursor(words: &str) -> Problem {
    Problem::field("cursor", words).with_status(StatusCode::BAD_REQUEST)
}

fn encode(cursor: &Cursor<'_>) -> String {
    crate::token::hex(serde_json::to_string(cursor).unwrap_or_default().as_bytes())
}

fn decode(text: &str) -> Result<String, Problem> {
    let bytes = crate::token::unhex(text).and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.ok_or_else(|| bad_cursor("not a cursor of this list"))
}

/// Declares the query of a list: the common part and filters of its own.
macro_rules! list_query {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: Option<$type:ty>,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
        #[into_params(parameter_in = Query)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Rows on a page, 1 to 500; 100 when absent.
            #[param(minimum = 1, maximum = 500)]
            pub limit: Option<u32>,
            /// `next_cursor` of the page before.
            pub cursor: Option<String>,
            /// Columns, most important first, `-` for descending: `-start` or `name,-balance`.
            pub sort: Option<String>,
            /// Text to search for.
            pub q: Option<String>,
            $($(#[$field_doc])* pub $field: Option<$type>,)*
        }

        impl $name {
            /// The part that all lists have.
            fn list(&self) -> $crate::listing::ListQuery {
                $crate::listing::ListQuery::new(self.limit, self.cursor.clone(), self.sort.clone(), self.q.clone())
            }
        }
    };
}
pub(crate) use list_query;
