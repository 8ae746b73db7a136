//! Numbers that are barred for a time because of what they did (`RTE-10`).

use super::unexpected;
use crate::clock::Timestamp;
use crate::problem::Problem;
use crate::server::{Answer, Api};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use switch::{ControlReply, ControlRequest};
use utoipa::ToSchema;
use vocab::explain;

/// Which number of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    Caller,
    Called,
}

super::same_variants!(Whose, explain::Whose { Caller, Called });

/// A barred number, with what was seen of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BarredNumber {
    pub whose: Whose,
    pub number: String,
    /// `caller_calls`, `called_calls`, `no_answer` or `concurrent`.
    pub pattern: String,
    pub since: Timestamp,
    /// Seconds for which it is barred from now on.
    pub left_s: u64,
    /// Calls that were counted, and how many would have been allowed.
    pub count: u32,
    pub limit: u32,
    /// The time in which they were counted, in seconds; 0: at once.
    pub interval_s: u32,
    pub words: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DynamicBlackList {
    pub items: Vec<BarredNumber>,
}

/// Lists the numbers that are barred now, the latest first.
#[utoipa::path(get, path = "/dynamic-black-list", tag = "number_lists", responses((status = 200, body = DynamicBlackList)))]
pub(crate) async fn list_dynamic_black_list(State(api): State<Api>) -> Answer<DynamicBlackList> {
    let bars = match api.control(ControlRequest::BlackList).await? {
        ControlReply::BlackList(bars) => bars,
        other => return Err(unexpected(&other)),
    };
    let view = |bar: switch::Bar| BarredNumber {
        words: bar.words(),
        whose: bar.whose.into(),
        pattern: bar.pattern.key().to_owned(),
        since: bar.since.into(),
        left_s: bar.left_s,
        count: bar.count,
        limit: bar.limit,
        interval_s: bar.interval_s,
        number: bar.number,
    };
    Ok(Json(DynamicBlackList { items: bars.into_iter().map(view).collect() }))
}

/// Takes a number off the dynamic black list.
#[utoipa::path(delete, path = "/dynamic-black-list/{whose}/{number}", tag = "number_lists", params(("whose" = Whose, Path), ("number" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete_dynamic_black_list_number(
    State(api): State<Api>,
    Path((whose, number)): Path<(Whose, String)>,
) -> Result<StatusCode, Problem> {
    let request = ControlRequest::Unbar { whose: whose.into(), number: number.clone() };
    match api.control(request).await? {
        ControlReply::Done => Ok(StatusCode::NO_CONTENT),
        ControlReply::NotBarred => Err(Problem::not_found("barred number", &number)),
        other => Err(unexpected(&other)),
    }
}
