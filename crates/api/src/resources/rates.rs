//! The rates of one rate group (`BIL-4`).

use crate::body::Asked;
use crate::body::Body;
use crate::body::LARGE;
use crate::documents;
use crate::listing::Page;
use crate::listing::bad_cursor;
use crate::listing::list_query;
use crate::problem::Problem;
use crate::server::Answer;
use crate::server::Api;
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde::Serialize;
use store::config;
use utoipa::ToSchema;
use vocab::{Money, Price};

/// The price of one prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Digits, `*` and `#`; empty: every number.
    #[schema(examples("88017"))]
    pub prefix: String,
    #[serde(default)]
    pub area: String,
    #[schema(value_type = String, examples("0.0360"))]
    pub price_per_minute: Price,
    /// Seconds that are charged at once when the call is answered.
    #[serde(default = "super::one")]
    pub first_period: u32,
    /// Seconds that are charged at once after that.
    #[serde(default = "super::one")]
    pub cycle: u32,
    /// Price of the first period as a whole; `null`: by the minute.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub first_period_price: Option<Price>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub connection_fee: Money,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub minimum_charge: Money,
    #[serde(default)]
    pub free_seconds: u32,
    /// Calls to this prefix are refused as if it had no rate.
    #[serde(default)]
    pub locked: bool,
}

list_query! {
    pub struct RatesQuery {
        /// Prefixes that begin with these digits.
        pub prefix: Option<String>,
    }
}

/// Lists the rates of a group in the order of their prefixes.
#[utoipa::path(get, path = "/rate-groups/{id}/rates", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), RatesQuery), responses((status = 200, body = Page<Rate>)))]
pub(crate) async fn list_rates(
    State(api): State<Api>,
    Path(id): Path<String>,
    Asked(query): Asked<RatesQuery>,
) -> Answer<Page<Rate>> {
    let group = documents::find::<config::RateGroup>(&api, &id)?;
    let asked = query.list();
    asked.only_sort("prefix")?;
    let limit = asked.limit()?;
    let after = asked
        .cursor
        .as_deref()
        .map(|c| c.strip_prefix('=').ok_or_else(|| bad_cursor("not a cursor of this list")));
    let after = after.transpose()?.map(str::to_string);
    if query.prefix.is_some() && asked.q.is_some() {
        return Err(Problem::field("q", "ask for a prefix or search, not both"));
    }
    // Searching rates means asking for a prefix: names of areas have no index yet.
    let starts = query.prefix.or(asked.q).unwrap_or_default();
    let total = starts.is_empty().then(|| api.store.config().sheets.get(&group.id).map_or(0, |s| s.count));
    let found = api.store(move |store| store.rates(group.id, &starts, after.as_deref(), limit + 1)).await?;
    let more = found.len() > limit;
    let items: Vec<Rate> = found.into_iter().take(limit).map(Rate::from).collect();
    let next_cursor = items.last().filter(|_| more).map(|last| format!("={}", last.prefix));
    Ok(Json(Page { items, next_cursor, total }))
}

/// Creates or replaces the rate of a prefix.
#[utoipa::path(put, path = "/rate-groups/{id}/rates/{prefix}", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), ("prefix" = String, Path, description = "As in the body; `default` for the empty prefix")), request_body = Rate, responses((status = 200, body = Rate)))]
pub(crate) async fn put_rate(
    State(api): State<Api>,
    caller: Caller,
    Path((id, prefix)): Path<(String, String)>,
    Body(input): Body<Rate>,
) -> Answer<Rate> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    if input.prefix != in_path(&prefix) {
        return Err(Problem::field("prefix", "is not the prefix of the address"));
    }
    let rate = config::Rate::from(input.clone());
    api.change(move |store| store.put_rate(group, rate, &caller.user)).await?;
    Ok(Json(input))
}

/// Deletes the rate of a prefix.
#[utoipa::path(delete, path = "/rate-groups/{id}/rates/{prefix}", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), ("prefix" = String, Path, description = "`default` for the empty prefix")), responses((status = 204)))]
pub(crate) async fn delete_rate(
    State(api): State<Api>,
    caller: Caller,
    Path((id, prefix)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    let prefix = in_path(&prefix).to_string();
    api.change(move |store| store.delete_rate(group, &prefix, &caller.user)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RatesInput {
    pub rates: Vec<Rate>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RatesResult {
    pub rates_count: u32,
}

/// Makes these the rates of a group: all of them or nothing is changed.
#[utoipa::path(put, path = "/rate-groups/{id}/rates", tag = "rate_groups", params(("id" = String, Path, description = "Id or name")), request_body = RatesInput, responses((status = 200, body = RatesResult)))]
pub(crate) async fn replace_rates(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(input): Body<RatesInput, LARGE>,
) -> Answer<RatesResult> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    let rates: Vec<config::Rate> = input.rates.into_iter().map(config::Rate::from).collect();
    let rates_count = u32::try_from(rates.len()).unwrap_or(u32::MAX);
    api.change(move |store| store.replace_rates(group, rates, &caller.user)).await?;
    Ok(Json(RatesResult { rates_count }))
}

/// The empty prefix cannot stand in an address.
const EMPTY: &str = "default";

fn in_path(prefix: &str) -> &str {
    if prefix == EMPTY { "" } else { prefix }
}

impl From<Rate> for config::Rate {
    fn from(rate: Rate) -> config::Rate {
        config::Rate {
            prefix: rate.prefix,
            area: rate.area,
            price_per_minute: rate.price_per_minute,
            first_period: rate.first_period,
            cycle: rate.cycle,
            first_period_price: rate.first_period_price,
            connection_fee: rate.connection_fee,
            minimum_charge: rate.minimum_charge,
            free_seconds: rate.free_seconds,
            locked: rate.locked,
        }
    }
}

impl From<config::Rate> for Rate {
    fn from(rate: config::Rate) -> Rate {
        Rate {
            prefix: rate.prefix,
            area: rate.area,
            price_per_minute: rate.price_per_minute,
            first_period: rate.first_period,
            cycle: rate.cycle,
            first_period_price: rate.first_period_price,
            connection_fee: rate.connection_fee,
            minimum_charge: rate.minimum_charge,
            free_seconds: rate.free_seconds,
            locked: rate.locked,
        }
    }
}
