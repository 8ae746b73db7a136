//! Rate groups: named tables of prefixes and prices.

use super::same_variants;
use crate::body::Asked;
use crate::body::Body;
use crate::documents;
use crate::grid::{Cell, Column, Direction, Grid};
use crate::listing;
use crate::listing::Page;
use crate::listing::list_query;
use crate::problem::Problem;
use crate::server::Answer;
use crate::server::Api;
use crate::server::versioned;
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::Response;
use billing::Percent;
use serde::Deserialize;
use serde::Serialize;
use store::{Config, Stored, config};
use utoipa::ToSchema;
use vocab::Currency;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateGroupInput {
    pub name: String,
    #[schema(value_type = String, examples("USD"))]
    pub currency: Currency,
    /// Where the hours of its rates are, as in the tz database.
    #[serde(default = "utc")]
    #[schema(examples("Europe/Berlin"))]
    pub time_zone: String,
    /// Does a change of the rate count for calls that are up?
    #[serde(default)]
    pub price_change: PriceChange,
    /// The rate group whose rates hold where this one has none.
    #[serde(default)]
    pub inherits: Option<String>,
    /// What is added to inherited prices, in per cent.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("12.5"))]
    pub mark_up: Percent,
    /// Decimals to which inherited prices are rounded up.
    #[serde(default = "six")]
    pub mark_up_decimals: u32,
    #[serde(default)]
    pub notes: String,
}

fn utc() -> String {
    "UTC".into()
}

fn six() -> u32 {
    6
}

/// What a call pays whose rate changes while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriceChange {
    /// The rate of its start to the end.
    #[default]
    NextCall,
    /// Each cycle the rate of the moment at which it begins.
    NextCycle,
}

/// A named table of prefixes and prices.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RateGroup {
    pub id: String,
    pub name: String,
    pub currency: String,
    pub time_zone: String,
    pub price_change: PriceChange,
    pub inherits: Option<String>,
    pub mark_up: String,
    pub mark_up_decimals: u32,
    pub notes: String,
    pub rates_count: u32,
    pub version: String,
}

list_query! {
    pub struct RateGroupsQuery {
        pub currency: Option<String>,
    }
}

/// Lists rate groups.
#[utoipa::path(get, path = "/rate-groups", tag = "rate_groups", params(RateGroupsQuery), responses((status = 200, body = Page<RateGroup>)))]
pub(crate) async fn list_rate_groups(
    State(api): State<Api>,
    Asked(query): Asked<RateGroupsQuery>,
) -> Answer<Page<RateGroup>> {
    let config = api.store.config();
    let all = config.rate_groups.iter().map(|stored| view(stored, &config));
    let asked = query.list().with("currency", query.currency.as_ref());
    listing::page(&GRID, all, |group| group, &asked).map(Json)
}

/// Creates a rate group.
#[utoipa::path(post, path = "/rate-groups", tag = "rate_groups", request_body = RateGroupInput, responses((status = 201, body = RateGroup, headers(("ETag" = String)))))]
pub(crate) async fn create_rate_group(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<RateGroupInput>,
) -> Result<Response, Problem> {
    let stored = documents::create::<config::RateGroup>(&api, caller, input.into()).await?;
    let version = stored.version;
    Ok(versioned(StatusCode::CREATED, version, view(&stored, &api.store.config())))
}

/// Reads a rate group, by id or name.
#[utoipa::path(get, path = "/rate-groups/{id}", tag = "rate_groups", params(("id" = String, Path, description = "Id or name")), responses((status = 200, body = RateGroup, headers(("ETag" = String)))))]
pub(crate) async fn get_rate_group(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = documents::find::<config::RateGroup>(&api, &id)?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &api.store.config())))
}

/// Replaces a rate group.
#[utoipa::path(put, path = "/rate-groups/{id}", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), ("If-Match" = String, Header, description = "The version that was read, in quotes")), request_body = RateGroupInput, responses((status = 200, body = RateGroup, headers(("ETag" = String)))))]
pub(crate) async fn update_rate_group(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<RateGroupInput>,
) -> Result<Response, Problem> {
    let stored = documents::replace::<config::RateGroup>(&api, caller, &id, &headers, input.into()).await?;
    let version = stored.version;
    Ok(versioned(StatusCode::OK, version, view(&stored, &api.store.config())))
}

/// Deletes a rate group that nothing refers to.
#[utoipa::path(delete, path = "/rate-groups/{id}", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "The version that was read, in quotes")), responses((status = 204)))]
pub(crate) async fn delete_rate_group(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    documents::delete::<config::RateGroup>(&api, caller, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

static GRID: Grid<RateGroup> = Grid {
    columns: &[
        Column::text("name", |g| Cell::text(&g.name)),
        Column::plain("id", |g| Cell::maybe_number(g.id.parse::<u32>().ok())),
        Column::plain("currency", |g| Cell::text(&g.currency)),
        Column::plain("rates_count", |g| Cell::number(g.rates_count)),
        Column::text("notes", |g| Cell::text(&g.notes)),
    ],
    key: |g| g.id.parse().unwrap_or_default(),
    default_sort: &[("name", Direction::Asc)],
};

fn view(stored: &Stored<config::RateGroup>, config: &Config) -> RateGroup {
    let count = config.sheets.get(&stored.id).map_or(0, |sheet| sheet.count);
    RateGroup {
        id: stored.id.to_string(),
        name: stored.document.name.clone(),
        currency: stored.document.currency.to_string(),
        time_zone: stored.document.time_zone.clone(),
        price_change: stored.document.price_change.into(),
        inherits: stored.document.inherits.clone(),
        mark_up: stored.document.mark_up.to_string(),
        mark_up_decimals: stored.document.mark_up_decimals,
        notes: stored.document.notes.clone(),
        rates_count: u32::try_from(count).unwrap_or(u32::MAX),
        version: stored.version.to_string(),
    }
}

impl From<RateGroupInput> for config::RateGroup {
    fn from(input: RateGroupInput) -> config::RateGroup {
        config::RateGroup {
            name: input.name,
            currency: input.currency,
            time_zone: input.time_zone,
            price_change: input.price_change.into(),
            inherits: input.inherits,
            mark_up: input.mark_up,
            mark_up_decimals: input.mark_up_decimals,
            notes: input.notes,
        }
    }
}

same_variants!(PriceChange, billing::PriceChange { NextCall, NextCycle });
