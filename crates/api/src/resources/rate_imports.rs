//! Vendors' rate files into a rate group, and customers' rates made from them: read, looked at, applied, undone
//! (`BIL-6`, `BIL-7`).

use crate::body::{Asked, Body};
use crate::clock::Timestamp;
use crate::documents;
use crate::problem::Problem;
use crate::server::{Answer, Api};
use crate::sign_in::Caller;
use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use billing::{Making, Percent};
use deck::{DateOrder, DecimalMark, Mapping};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::config;
use store::imports::{DeckImport, ImportOrder, MakingOrder};
use utoipa::{IntoParams, ToSchema};
use vocab::Price;

/// Largest file: five million rows.
const LARGEST_FILE: usize = 256 << 20;
/// A file that takes longer to arrive is given up.
const ARRIVAL: Duration = Duration::from_secs(600);

/// How a file is to be read. What is not said is found out; what could mean two things is refused.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// Name of the file.
    pub name: Option<String>,
    /// The file is the whole deck: what it does not name is gone.
    pub replace: bool,
    /// From when rates hold whose rows have no date.
    pub effective: Option<Timestamp>,
    /// `point` or `comma`.
    #[param(value_type = Option<String>)]
    pub decimal_mark: Option<DecimalMark>,
    /// `day_first` or `month_first`.
    #[param(value_type = Option<String>)]
    pub date_order: Option<DateOrder>,
    /// Prices of 0 are meant so.
    pub free_is_meant: bool,
    /// Increments of rows that have none, like `60/6`.
    pub increments: Option<String>,
    /// Headings by field, as JSON: `{"codes": "Nummer", "price": "Netto"}`.
    pub columns: Option<String>,
}

/// Customers' rates from those of another group. One of margin, mark-up and amount.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeRatesInput {
    /// The rate group with the costs.
    pub from: String,
    /// price = cost / (1 − margin), in per cent.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("25"))]
    pub margin: Option<Percent>,
    /// price = cost × (1 + mark-up), in per cent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub mark_up: Option<Percent>,
    /// price = cost + amount.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub amount: Option<Price>,
    /// Prices are rounded up to so many decimals.
    #[serde(default = "four")]
    pub decimals: u32,
    /// The lowest price.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub floor: Option<Price>,
    /// Only prefixes that begin so; none: all.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Rates that are not made are gone.
    #[serde(default)]
    pub replace: bool,
    #[serde(default)]
    pub effective: Option<Timestamp>,
}

fn four() -> u32 {
    4
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyImportInput {
    /// Rows with faults are left out; otherwise they stop the whole.
    #[serde(default)]
    pub skip_bad_rows: bool,
}

/// What is wrong with a row.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ImportFault {
    /// 0: the file as a whole.
    pub line: u32,
    /// As spreadsheets name them; empty: the row as a whole.
    pub column: String,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RateDifference {
    pub prefix: String,
    pub area: String,
    /// `null`: new.
    #[schema(value_type = Option<String>)]
    pub before: Option<Price>,
    /// `null`: gone.
    #[schema(value_type = Option<String>)]
    pub after: Option<Price>,
}

/// A customer's price below what this group would charge.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PriceBelowCost {
    pub rate_group: String,
    pub prefix: String,
    #[schema(value_type = String)]
    pub price: Price,
    #[schema(value_type = String)]
    pub cost: Price,
}

/// Rates on their way into a group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RateImport {
    pub id: String,
    pub name: String,
    /// `reading`, `ready`, `failed`, `applied` or `undone`.
    pub state: String,
    pub started_at: Timestamp,
    pub started_by: String,
    pub applied_by: Option<String>,
    pub replace: bool,
    /// So far.
    pub rows_read: u64,
    pub good_rows: u64,
    pub bad_rows: u64,
    /// Rows without codes and prices.
    pub notes: u64,
    pub codes: u64,
    pub heading_line: u32,
    /// Headings by field, as they were found: learned for the next file once this one is applied.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub columns: Mapping,
    #[schema(value_type = Option<String>)]
    pub decimal_mark: Option<DecimalMark>,
    #[schema(value_type = Option<String>)]
    pub date_order: Option<DateOrder>,
    /// Why the file as a whole cannot be read.
    pub failure: Option<ImportFault>,
    /// Of the rows; at most 1,000.
    pub faults: Vec<ImportFault>,
    pub new: u64,
    pub gone: u64,
    pub dearer: u64,
    pub cheaper: u64,
    /// The same price with other terms.
    pub changed: u64,
    pub same: u64,
    /// At most 1,000.
    pub differences: Vec<RateDifference>,
    pub below_cost_count: u64,
    /// At most 1,000.
    pub below_cost: Vec<PriceBelowCost>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RateImports {
    pub items: Vec<RateImport>,
}

/// Reads a vendor's file (CSV or XLSX) for a rate group. Nothing changes until it is applied; ask again until it is `ready`.
#[utoipa::path(post, path = "/rate-groups/{id}/imports", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), ImportQuery), request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 202, body = RateImport)))]
pub(crate) async fn import_rates(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Asked(query): Asked<ImportQuery>,
    request: Request,
) -> Result<(StatusCode, Json<RateImport>), Problem> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    let name = query.name.clone().unwrap_or_default();
    let order = order(query)?;
    let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The file took too long to arrive.");
    let arrived = tokio::time::timeout(ARRIVAL, to_bytes(request.into_body(), LARGEST_FILE)).await;
    let file = arrived.map_err(slow)?.map_err(|_| {
        let words = format!("The file did not arrive whole, or is larger than {LARGEST_FILE} bytes.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, words)
    })?;
    begin(api, caller, group, name, order, file).await
}

/// Makes rates from those of another group. Nothing changes until they are applied.
#[utoipa::path(post, path = "/rate-groups/{id}/made-rates", tag = "rate_groups", params(("id" = String, Path, description = "Id or name")), request_body = MakeRatesInput, responses((status = 202, body = RateImport)))]
pub(crate) async fn make_rates(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(input): Body<MakeRatesInput>,
) -> Result<(StatusCode, Json<RateImport>), Problem> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    let config = api.store.config();
    let from = config.rate_groups.find(&input.from);
    let from = from.ok_or_else(|| Problem::field("from", "there is no such rate group"))?.id;
    let making = match (input.margin, input.mark_up, input.amount) {
        (Some(margin), None, None) => Making::Margin(margin),
        (None, Some(mark_up), None) => Making::MarkUp(mark_up),
        (None, None, Some(amount)) => Making::Amount(amount),
        _ => return Err(Problem::field("margin", "expected one of margin, mark_up and amount")),
    };
    let (decimals, floor, prefixes) = (input.decimals, input.floor, input.prefixes);
    let order = ImportOrder {
        replace: input.replace,
        effective_ms: input.effective.map(|t| t.0.millis()),
        making: Some(MakingOrder { from_group: from, prefixes, making, decimals, floor }),
        ..ImportOrder::default()
    };
    begin(api, caller, group, format!("made from {}", input.from), order, axum::body::Bytes::new()).await
}

async fn begin(
    api: Api,
    caller: Caller,
    group: u32,
    name: String,
    order: ImportOrder,
    file: axum::body::Bytes,
) -> Result<(StatusCode, Json<RateImport>), Problem> {
    let begun = api.store(move |store| store.begin_import(group, &name, order, &caller.user)).await?;
    let (store, id) = (api.store.clone(), begun.id);
    // It goes on by itself; its outcome stands in the import.
    tokio::task::spawn_blocking(move || {
        if let Err(error) = store.run_import(group, id, &file) {
            tracing::error!(import = id, ?error, "an import of rates failed");
            store.fail_import(id);
        }
    });
    Ok((StatusCode::ACCEPTED, Json(view(begun))))
}

/// Lists the latest imports of a rate group, the newest first.
#[utoipa::path(get, path = "/rate-groups/{id}/imports", tag = "rate_groups", params(("id" = String, Path, description = "Id or name")), responses((status = 200, body = RateImports)))]
pub(crate) async fn list_rate_imports(State(api): State<Api>, Path(id): Path<String>) -> Answer<RateImports> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    let found = api.store(move |store| store.deck_imports(group)).await?;
    Ok(Json(RateImports { items: found.into_iter().map(view).collect() }))
}

/// Reads an import: how far it is, what is wrong, what it would change.
#[utoipa::path(get, path = "/rate-groups/{id}/imports/{import}", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), ("import" = u32, Path)), responses((status = 200, body = RateImport)))]
pub(crate) async fn get_rate_import(
    State(api): State<Api>,
    Path((id, import)): Path<(String, u32)>,
) -> Answer<RateImport> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    let found = api.store(move |store| store.deck_import(group, import)).await?;
    Ok(Json(view(found)))
}

/// Makes the rates that were read those of the group, all at once. 412 when the group has changed since they were compared with it.
#[utoipa::path(post, path = "/rate-groups/{id}/imports/{import}/apply", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), ("import" = u32, Path)), request_body = ApplyImportInput, responses((status = 200, body = RateImport)))]
pub(crate) async fn apply_rate_import(
    State(api): State<Api>,
    caller: Caller,
    Path((id, import)): Path<(String, u32)>,
    Body(input): Body<ApplyImportInput>,
) -> Answer<RateImport> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    let apply = move |store: &store::Store| store.apply_import(group, import, input.skip_bad_rows, &caller);
    Ok(Json(view(api.change(apply).await?)))
}

/// Puts the rates back as they were before an import. 412 when the group has changed since.
#[utoipa::path(post, path = "/rate-groups/{id}/imports/{import}/undo", tag = "rate_groups", params(("id" = String, Path, description = "Id or name"), ("import" = u32, Path)), responses((status = 200, body = RateImport)))]
pub(crate) async fn undo_rate_import(
    State(api): State<Api>,
    caller: Caller,
    Path((id, import)): Path<(String, u32)>,
) -> Answer<RateImport> {
    let group = documents::find::<config::RateGroup>(&api, &id)?.id;
    let undo = move |store: &store::Store| store.undo_import(group, import, &caller);
    Ok(Json(view(api.change(undo).await?)))
}

fn order(query: ImportQuery) -> Result<ImportOrder, Problem> {
    let mapping = query.columns.map(|text| serde_json::from_str::<Mapping>(&text)).transpose();
    let mapping = mapping.map_err(|e| Problem::field("columns", e.to_string()))?;
    let increments = query.increments.map(|text| deck::value::increments(&text)).transpose();
    let increments = increments.map_err(|words| Problem::field("increments", words))?;
    let file = deck::Options {
        mapping,
        decimal_mark: query.decimal_mark,
        date_order: query.date_order,
        free_is_meant: query.free_is_meant,
        increments,
    };
    let effective_ms = query.effective.map(|t| t.0.millis());
    Ok(ImportOrder { file, replace: query.replace, effective_ms, making: None })
}

fn fault(fault: deck::Fault) -> ImportFault {
    ImportFault { line: fault.line, column: fault.column, reason: fault.reason }
}

fn view(import: DeckImport) -> RateImport {
    let body = import.body;
    let (summary, counts) = (body.summary, body.counts);
    let difference = |d: store::imports::Difference| RateDifference {
        prefix: d.prefix,
        area: d.area,
        before: d.before,
        after: d.after,
    };
    let below = |b: store::imports::BelowCost| PriceBelowCost {
        rate_group: b.rate_group,
        prefix: b.prefix,
        price: b.price,
        cost: b.cost,
    };
    RateImport {
        id: import.id.to_string(),
        name: import.name,
        state: import.state.key().to_string(),
        started_at: Timestamp(import.started_at),
        started_by: import.started_by,
        applied_by: body.applied_by,
        replace: body.order.replace,
        rows_read: body.rows_read,
        good_rows: summary.good_rows,
        bad_rows: summary.bad_rows,
        notes: summary.notes,
        codes: summary.codes,
        heading_line: summary.heading_line,
        columns: summary.mapping,
        decimal_mark: summary.decimal_mark,
        date_order: summary.date_order,
        failure: body.failure.map(fault),
        faults: summary.faults.into_iter().map(fault).collect(),
        new: counts.new,
        gone: counts.gone,
        dearer: counts.dearer,
        cheaper: counts.cheaper,
        changed: counts.changed,
        same: counts.same,
        differences: body.differences.into_iter().map(difference).collect(),
        below_cost_count: body.below_cost_count,
        below_cost: body.below_cost.into_iter().map(below).collect(),
    }
}
