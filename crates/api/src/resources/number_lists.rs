//! Number lists.

use crate::body::{Asked, Body, TextFile};
use crate::documents;
use crate::grid::{Cell, Column, Direction, Grid};
use crate::listing::{self, Page, list_query};
use crate::problem::{FieldProblem, Problem};
use crate::server::{Answer, Api, Inner, versioned};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{Stored, config};
use utoipa::{IntoParams, ToSchema};

/// A number list as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct NumberList {
    pub id: String,
    #[serde(flatten)]
    pub document: config::NumberList,
    pub version: String,
    /// How many numbers and beginnings of numbers it has.
    pub numbers_count: u64,
}

list_query! {
    pub struct NumberListsQuery {}
}

/// Lists number lists.
#[utoipa::path(get, path = "/number-lists", tag = "number_lists", params(NumberListsQuery), responses((status = 200, body = Page<NumberList>)))]
pub(crate) async fn list_number_lists(
    State(api): State<Api>,
    Asked(query): Asked<NumberListsQuery>,
) -> Answer<Page<NumberList>> {
    let known = known(&api).await?;
    let config = api.store.config();
    let all = config.number_lists.iter().map(|stored| view(stored, &known));
    listing::page(&GRID, all, |row| row, &query.list()).map(Json)
}

/// Creates a number list.
#[utoipa::path(post, path = "/number-lists", tag = "number_lists", request_body = config::NumberList, responses((status = 201, body = NumberList, headers(("ETag" = String)))))]
pub(crate) async fn create_number_list(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<config::NumberList>,
) -> Result<Response, Problem> {
    let stored = documents::create(&api, caller, input).await?;
    let known = known(&api).await.unwrap_or_default();
    Ok(versioned(StatusCode::CREATED, stored.version, view(&stored, &known)))
}

/// Reads a number list, by id or name.
#[utoipa::path(get, path = "/number-lists/{id}", tag = "number_lists", params(("id" = String, Path, description = "Id or name")), responses((status = 200, body = NumberList, headers(("ETag" = String)))))]
pub(crate) async fn get_number_list(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = documents::find::<config::NumberList>(&api, &id)?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &known(&api).await?)))
}

/// Replaces a number list.
#[utoipa::path(put, path = "/number-lists/{id}", tag = "number_lists", params(("id" = String, Path, description = "Id or name"), ("If-Match" = String, Header, description = "The version that was read, in quotes")), request_body = config::NumberList, responses((status = 200, body = NumberList, headers(("ETag" = String)))))]
pub(crate) async fn update_number_list(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<config::NumberList>,
) -> Result<Response, Problem> {
    let stored = documents::replace(&api, caller, &id, &headers, input).await?;
    let known = known(&api).await.unwrap_or_default();
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &known)))
}

/// Deletes a number list that nothing refers to.
#[utoipa::path(delete, path = "/number-lists/{id}", tag = "number_lists", params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "The version that was read, in quotes")), responses((status = 204)))]
pub(crate) async fn delete_number_list(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    documents::delete::<config::NumberList>(&api, caller, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

static GRID: Grid<NumberList> = Grid {
    columns: &[
        Column::text("name", |row| Cell::text(&row.document.name)),
        Column::plain("id", |row| Cell::maybe_number(row.id.parse::<u32>().ok())),
        Column::plain("numbers_count", |row| Cell::number(row.numbers_count)),
        Column::text("notes", |row| Cell::text(&row.document.notes)),
    ],
    key: |row| row.id.parse().unwrap_or_default(),
    default_sort: &[("name", Direction::Asc)],
};

/// Counts by id.
type Known = BTreeMap<u32, store::config::Sheet>;

async fn known(api: &Inner) -> Result<Known, Problem> {
    Ok(api.store.config().list_sheets.clone())
}

fn view(stored: &Stored<config::NumberList>, known: &Known) -> NumberList {
    NumberList {
        id: stored.id.to_string(),
        document: stored.document.clone(),
        version: stored.version.to_string(),
        numbers_count: known.get(&stored.id).map_or(0, |sheet| sheet.count),
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Numbers {
    /// Numbers, and with `*` at the end beginnings of numbers.
    pub items: Vec<String>,
    /// For `after`, when there are more.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NumbersQuery {
    /// Those that begin so.
    pub begin: Option<String>,
    /// Those behind this one.
    pub after: Option<String>,
    /// 1 to 1000; 100 when absent.
    pub limit: Option<u32>,
}

/// Lists numbers of a list, in order.
#[utoipa::path(get, path = "/number-lists/{id}/numbers", tag = "number_lists", params(("id" = String, Path, description = "Id or name"), NumbersQuery), responses((status = 200, body = Numbers)))]
pub(crate) async fn list_numbers(
    State(api): State<Api>,
    Path(id): Path<String>,
    Asked(query): Asked<NumbersQuery>,
) -> Answer<Numbers> {
    let list = documents::find::<config::NumberList>(&api, &id)?.id;
    let limit = query.limit.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(Problem::field("limit", "expected 1–1000"));
    }
    let begin = query.begin.unwrap_or_default();
    let read = move |store: &store::Store| {
        store.numbers(list, &begin, query.after.as_deref(), limit.saturating_add(1))
    };
    let mut items = api.store(read).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().cloned().filter(|_| more);
    Ok(Json(Numbers { items, next }))
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NumbersImportQuery {
    /// Numbers that are not in the file leave the list.
    pub replace: Option<bool>,
    /// Bad lines are left out; otherwise nothing is taken when one is bad.
    pub good_lines_only: Option<bool>,
}

/// What reading a file has done.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct NumbersImport {
    pub added: u64,
    /// In the list already, or twice in the file.
    pub known: u64,
    pub removed: u64,
    /// Bad lines that were left out.
    pub left_out: Vec<FieldProblem>,
}

/// Reads a file of numbers into a list: one a line, `8801712345678`, or `88017*` for all that begin so.
#[utoipa::path(post, path = "/number-lists/{id}/numbers", tag = "number_lists", params(("id" = String, Path, description = "Id or name"), NumbersImportQuery), request_body(content = String, content_type = "text/plain"), responses((status = 200, body = NumbersImport)))]
pub(crate) async fn import_numbers(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Asked(query): Asked<NumbersImportQuery>,
    TextFile(text): TextFile,
) -> Answer<NumbersImport> {
    let list = documents::find::<config::NumberList>(&api, &id)?.id;
    let mode = store::ListImportMode {
        replace: query.replace.unwrap_or(false),
        good_lines_only: query.good_lines_only.unwrap_or(false),
    };
    let done = api.change(move |store| store.import_numbers(list, &text, mode, &caller)).await?;
    let left_out = done
        .left_out
        .into_iter()
        .map(|p| FieldProblem { line: p.line, ..FieldProblem::new(p.field, p.message) });
    Ok(Json(NumbersImport {
        added: done.added,
        known: done.known,
        removed: done.removed,
        left_out: left_out.collect(),
    }))
}

/// Takes one number, or beginning of numbers with `*`, out of a list.
#[utoipa::path(delete, path = "/number-lists/{id}/numbers/{number}", tag = "number_lists", params(("id" = String, Path, description = "Id or name"), ("number" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete_number(
    State(api): State<Api>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let list = documents::find::<config::NumberList>(&api, &id)?.id;
    api.change(move |store| store.remove_number(list, &number, &caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}
