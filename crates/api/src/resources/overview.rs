//! The figures of the first page.

use crate::clock::Timestamp;
use crate::server::Api;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use store::Config;
use utoipa::ToSchema;
use vocab::Currency;
use vocab::Money;

/// Figures of the whole switch. Attempts, answers and money are of today (since midnight UTC).
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Totals {
    pub t: Timestamp,
    pub calls: u32,
    pub cps: u32,
    pub attempts: u64,
    pub answered: u64,
    /// Answered of a hundred attempts, with one decimal.
    pub asr: Option<String>,
    /// Average length of an answered call in seconds.
    pub acd_s: Option<u64>,
    #[schema(value_type = String)]
    pub revenue: Money,
    #[schema(value_type = String)]
    pub cost: Money,
    #[schema(value_type = String)]
    pub profit: Money,
    /// Alarms that are open.
    pub alarms: u32,
}

/// Five seconds of the last fifteen minutes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SeriesPoint {
    /// Begin of the step.
    pub t: Timestamp,
    /// Highest number of calls at once.
    pub calls: u32,
    /// Highest number of calls that arrived in one second.
    pub cps: u32,
    /// Calls that arrived in the step.
    pub attempts: u64,
    /// Calls that were answered in the step.
    pub answered: u64,
    /// Of calls that ended in the step.
    #[schema(value_type = String)]
    pub revenue: Money,
    #[schema(value_type = String)]
    pub cost: Money,
    #[schema(value_type = String)]
    pub profit: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TopCustomer {
    pub account: String,
    /// Calls that ended today.
    pub calls: u64,
    /// Talk time in seconds.
    pub minutes_s: u64,
    #[schema(value_type = String)]
    pub revenue: Money,
}

/// Attempts at one routing gateway in calls that ended today.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct GatewayFigures {
    pub gateway: String,
    pub attempts: u64,
    pub answered: u64,
    pub asr: Option<String>,
    pub acd_s: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Overview {
    pub totals: Totals,
    pub series: Vec<SeriesPoint>,
    /// By revenue.
    pub top_customers: Vec<TopCustomer>,
    /// By attempts.
    pub gateways: Vec<GatewayFigures>,
    /// Of all money here: the currency that most accounts have.
    pub currency: String,
}

/// Reads the figures of the first page.
#[utoipa::path(get, path = "/overview", tag = "system", responses((status = 200, body = Overview)))]
pub(crate) async fn get_overview(State(api): State<Api>) -> Json<Overview> {
    let currency = main_currency(&api.store.config());
    let mut overview = api.board.overview(api.now(), currency);
    overview.totals.alarms = api.brain.open_alarms();
    Json(overview)
}

/// The currency that most accounts have; of several, the first in the alphabet.
pub(crate) fn main_currency(config: &Config) -> Currency {
    let mut accounts: BTreeMap<Currency, u32> = BTreeMap::new();
    for account in config.accounts.iter() {
        *accounts.entry(account.document.currency).or_default() += 1;
    }
    let most = accounts.into_iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(Currency::USD, |(currency, _)| currency)
}
