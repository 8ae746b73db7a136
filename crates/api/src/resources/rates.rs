//! The rates of one rate group (`BIL-4`).

use crate::body::Asked;
use crate::body::Body;
use crate::body::LARGE;
use crate::clock::Timestamp;
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
use billing::Hours;
use serde::Deserialize;
use serde::Serialize;
use store::config;
use utoipa::{IntoParams, ToSchema};
use vocab::{CallLevel, Money, Price};

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
    /// How far the destination is: `net`, `local`, `domestic` or `international`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub level: Option<CallLevel>,
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
    /// Times of the week in the time zone of the group; empty: always.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("Mon-Fri 08:00-18:00, Sat 08:00-12:00"))]
    pub hours: Hours,
    /// Other prices and cycles for later parts of a call.
    #[serde(default)]
    pub sections: Vec<RateSection>,
}

/// From this second of a call on, cycles that begin cost this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSection {
    pub from: u32,
    #[schema(value_type = String, examples("0.0200"))]
    pub price_per_minute: Price,
    pub cycle: u32,
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
    let after = after.transpose()?.map(|c| c.split_once('~').unwrap_or((c, "")));
    let after = after.map(|(prefix, variant)| (prefix.to_string(), variant.to_string()));
    if query.prefix.is_some() && asked.q.is_some() {
        return Err(Problem::field("q", "ask for a prefix or search, not both"));
    }
    // Searching rates means asking for a prefix: names of areas have no index yet.
    let starts = query.prefix.or(asked.q).unwrap_or_default();
    let total = starts.is_empty().then(|| api.store.config().sheets.get(&group.id).map_or(0, |s| s.count));
    let found = api
        .store(move |store| {
            let after = after.as_ref().map(|(prefix, variant)| (prefix.as_str(), variant.as_str()));
            store.rates(group.id, &starts, after, limit + 1)
        })
        .await?;
    let more = found.len() > limit;
    let last = found.get(limit.saturating_sub(1)).filter(|_| more);
    let next_cursor = last.map(|last| match last.variant().as_str() {
        "" => format!("={}", last.prefix),
        variant => format!("={}~{variant}", last.prefix),
    });
    let items: Vec<Rate> = found.into_iter().take(limit).map(Rate::from).collect();
    Ok(Json(Page { items, next_cursor, total }))
}

/// Creates the rate of a prefix, or replaces the one that begins to hold at the same time and hours.
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
    api.change(move |store| store.put_rate(group, rate, &caller)).await?;
    Ok(Json(input))
}

/// Which of the rates of a prefix.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RateTime {
    /// As in the rate; absent: the one without a beginning.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    /// As in the rate; absent: the one that holds at all hours.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    pub hours: Hours,
}

/// Deletes the rate of a prefix.
#[utoipa::path(delete, path = "/rate-groups/{id}/rates/{prefix}", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), ("prefix" = String, Path, description = "`default` for the empty prefix"), RateTime), responses((status = 204)))]
pub(crate) async fn delete_rate(
    State(api): State<Api>,
    caller: Caller,
    Path((id, prefix)): Path<(String, String)>,
    Asked(time): Asked<RateTime>,
) -> Result<StatusCode, Problem> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    let prefix = in_path(&prefix).to_string();
    let variant = config::Rate::variant_of(time.valid_from.map(|t| t.0), &time.hours);
    api.change(move |store| store.delete_rate(group, &prefix, &variant, &caller)).await?;
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
    api.change(move |store| store.replace_rates(group, rates, &caller)).await?;
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
            level: rate.level,
            valid_from: rate.valid_from.map(|t| t.0),
            valid_until: rate.valid_until.map(|t| t.0),
            hours: rate.hours,
            sections: rate.sections.into_iter().map(RateSection::into).collect(),
        }
    }
}

impl From<RateSection> for vocab::RateSection {
    fn from(s: RateSection) -> vocab::RateSection {
        vocab::RateSection { from: s.from, price_per_minute: s.price_per_minute, cycle: s.cycle }
    }
}

impl From<vocab::RateSection> for RateSection {
    fn from(s: vocab::RateSection) -> RateSection {
        RateSection { from: s.from, price_per_minute: s.price_per_minute, cycle: s.cycle }
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
            level: rate.level,
            valid_from: rate.valid_from.map(Timestamp),
            valid_until: rate.valid_until.map(Timestamp),
            hours: rate.hours,
            sections: rate.sections.into_iter().map(RateSection::from).collect(),
        }
    }
}
