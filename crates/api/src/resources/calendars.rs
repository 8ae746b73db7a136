//! Calendars.

use crate::body::{Asked, Body};
use crate::documents;
use crate::grid::{Cell, Column, Direction, Grid};
use crate::listing::{self, Page, list_query};
use crate::problem::Problem;
use crate::server::{Answer, Api, Inner, versioned};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use store::{Stored, config};
use utoipa::ToSchema;
use vocab::Utc;

/// A calendar as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Calendar {
    pub id: String,
    #[serde(flatten)]
    pub document: config::Calendar,
    pub version: String,
    /// Is this one of its times?
    pub open: bool,
}

list_query! {
    pub struct CalendarsQuery {}
}

/// Lists calendars.
#[utoipa::path(get, path = "/calendars", tag = "calendars", params(CalendarsQuery), responses((status = 200, body = Page<Calendar>)))]
pub(crate) async fn list_calendars(
    State(api): State<Api>,
    Asked(query): Asked<CalendarsQuery>,
) -> Answer<Page<Calendar>> {
    let known = known(&api).await?;
    let config = api.store.config();
    let all = config.calendars.iter().map(|stored| view(stored, &known));
    listing::page(&GRID, all, |row| row, &query.list()).map(Json)
}

/// Creates a calendar.
#[utoipa::path(post, path = "/calendars", tag = "calendars", request_body = config::Calendar, responses((status = 201, body = Calendar, headers(("ETag" = String)))))]
pub(crate) async fn create_calendar(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<config::Calendar>,
) -> Result<Response, Problem> {
    let stored = documents::create(&api, caller, input).await?;
    let known = known(&api).await.unwrap_or_default();
    Ok(versioned(StatusCode::CREATED, stored.version, view(&stored, &known)))
}

/// Reads a calendar, by id or name.
#[utoipa::path(get, path = "/calendars/{id}", tag = "calendars", params(("id" = String, Path, description = "Id or name")), responses((status = 200, body = Calendar, headers(("ETag" = String)))))]
pub(crate) async fn get_calendar(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = documents::find::<config::Calendar>(&api, &id)?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &known(&api).await?)))
}

/// Replaces a calendar.
#[utoipa::path(put, path = "/calendars/{id}", tag = "calendars", params(("id" = String, Path, description = "Id or name"), ("If-Match" = String, Header, description = "The version that was read, in quotes")), request_body = config::Calendar, responses((status = 200, body = Calendar, headers(("ETag" = String)))))]
pub(crate) async fn update_calendar(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<config::Calendar>,
) -> Result<Response, Problem> {
    let stored = documents::replace(&api, caller, &id, &headers, input).await?;
    let known = known(&api).await.unwrap_or_default();
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &known)))
}

/// Deletes a calendar that nothing refers to.
#[utoipa::path(delete, path = "/calendars/{id}", tag = "calendars", params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "The version that was read, in quotes")), responses((status = 204)))]
pub(crate) async fn delete_calendar(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    documents::delete::<config::Calendar>(&api, caller, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

static GRID: Grid<Calendar> = Grid {
    columns: &[
        Column::text("name", |row| Cell::text(&row.document.name)),
        Column::plain("id", |row| Cell::maybe_number(row.id.parse::<u32>().ok())),
        Column::text("hours", |row| Cell::Text(row.document.hours.to_string().into())),
        Column::text("time_zone", |row| Cell::text(&row.document.time_zone)),
        Column::plain("open", |row| Cell::switch(row.open)),
        Column::text("notes", |row| Cell::text(&row.document.notes)),
    ],
    key: |row| row.id.parse().unwrap_or_default(),
    default_sort: &[("name", Direction::Asc)],
};

/// The moment at which it is asked.
type Known = Utc;

async fn known(api: &Inner) -> Result<Known, Problem> {
    Ok((api.settings.clock)())
}

fn view(stored: &Stored<config::Calendar>, known: &Known) -> Calendar {
    Calendar {
        id: stored.id.to_string(),
        document: stored.document.clone(),
        version: stored.version.to_string(),
        open: stored.document.is_open(*known),
    }
}
