//! Reports (`BIL-21`): the table of them, and each made for a time, a time zone and a grouping.

use crate::body::Asked;
use crate::clock::Timestamp;
use crate::problem::Problem;
use crate::rights::{Action, Area, Right};
use crate::server::{Answer, Api};
use crate::sheet::{self, Xlsx};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use store::{Cell, Dimension, ReportQuery};
use utoipa::{IntoParams, ToSchema};

/// A figure of a report.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReportMeasure {
    pub name: String,
    /// count, seconds, milliseconds, minutes, percent, money or price (money for a minute).
    pub unit: String,
    pub help: String,
}

/// What a report is made of.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Report {
    pub name: String,
    pub title: String,
    /// What its rows are grouped by unless asked otherwise.
    pub group: Vec<String>,
    /// What they can be grouped by.
    pub dimensions: Vec<String>,
    /// What can be asked for by value.
    pub filters: Vec<String>,
    pub measures: Vec<ReportMeasure>,
    /// The measure to draw.
    pub chart: String,
}

/// A row of a report.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReportRow {
    /// Dimensions, then measures, as texts; amounts and ratios are exact decimals. `null`: there is none.
    pub cells: Vec<Option<String>>,
    /// Query of `/cdrs` that lists the calls of this row; `null` where calls cannot be told apart like that.
    pub cdrs: Option<String>,
}

/// A report that was made.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReportTable {
    pub name: String,
    pub title: String,
    pub from: Timestamp,
    /// Excluded.
    pub to: Timestamp,
    pub time_zone: String,
    /// The first columns.
    pub group: Vec<String>,
    /// The columns after them.
    pub measures: Vec<ReportMeasure>,
    pub rows: Vec<ReportRow>,
    /// One for each currency, or one.
    pub totals: Vec<ReportRow>,
    pub chart: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    #[default]
    Json,
    Csv,
    Xlsx,
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ReportAsked {
    /// A time, or a date in the time zone; the first of the month when absent.
    pub from: Option<String>,
    /// Excluded; now when absent.
    pub to: Option<String>,
    /// Time zone of days and hours, like Europe/Berlin; UTC when absent.
    pub tz: Option<String>,
    /// Dimensions by comma; those of the report when absent.
    pub group: Option<String>,
    #[serde(default)]
    #[param(inline)]
    pub format: FileFormat,
    pub account: Option<String>,
    pub vendor: Option<String>,
    pub mapping_gateway: Option<String>,
    pub routing_gateway: Option<String>,
    /// Prefix of the customer's rate.
    pub prefix: Option<String>,
    pub area: Option<String>,
    pub end_reason: Option<String>,
    pub currency: Option<String>,
}

/// How many records the sums were made anew from.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rebuilt {
    pub cdrs: u64,
}

/// Lists the reports.
#[utoipa::path(get, path = "/reports", tag = "reports", responses((status = 200, body = Vec<Report>)))]
pub(crate) async fn list_reports() -> Answer<Vec<Report>> {
    Ok(Json(store::REPORTS.iter().map(view).collect()))
}

/// Makes a report.
#[utoipa::path(get, path = "/reports/{name}", tag = "reports", params(("name" = String, Path), ReportAsked), responses((status = 200, body = ReportTable)))]
pub(crate) async fn make_report(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Asked(asked): Asked<ReportAsked>,
) -> Result<Response, Problem> {
    let report = store::report(&name).ok_or_else(|| Problem::not_found("report", &name))?;
    if asked.format != FileFormat::Json && !caller.may(Right(Area::Records, Action::Export)) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "You may not take records away as files."));
    }
    let format = asked.format;
    let query = query(asked, api.now());
    let table = api.store(move |store| store.report(report, &query)).await?;
    let file = |kind: &'static str, extension: &str, bytes: Vec<u8>| {
        let disposition = format!("attachment; filename=\"{name}.{extension}\"");
        ([(header::CONTENT_TYPE, kind.to_string()), (header::CONTENT_DISPOSITION, disposition)], bytes)
            .into_response()
    };
    match format {
        FileFormat::Json => Ok(Json(written(report, &table)).into_response()),
        FileFormat::Csv => Ok(file("text/csv; charset=utf-8", "csv", csv(&table)?)),
        FileFormat::Xlsx => {
            let bytes =
                tokio::task::spawn_blocking(move || xlsx(&table)).await.map_err(Problem::internal)??;
            Ok(file(XLSX, "xlsx", bytes))
        }
    }
}

pub(crate) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Makes the sums of all reports anew from the records, while calls go on.
#[utoipa::path(post, path = "/reports/rebuild", tag = "reports", responses((status = 200, body = Rebuilt)))]
pub(crate) async fn rebuild_reports(State(api): State<Api>) -> Answer<Rebuilt> {
    let cdrs = api.store(|store| store.rebuild_sums()).await?;
    Ok(Json(Rebuilt { cdrs }))
}

fn query(asked: ReportAsked, now: vocab::Utc) -> ReportQuery {
    let filters = [
        (Dimension::Account, asked.account),
        (Dimension::Vendor, asked.vendor),
        (Dimension::MappingGateway, asked.mapping_gateway),
        (Dimension::RoutingGateway, asked.routing_gateway),
        (Dimension::Prefix, asked.prefix),
        (Dimension::Area, asked.area),
        (Dimension::EndReason, asked.end_reason),
        (Dimension::Currency, asked.currency),
    ];
    let given =
        |(dimension, value): (Dimension, Option<String>)| Some((dimension, value.filter(|v| !v.is_empty())?));
    ReportQuery {
        from: asked.from,
        to: asked.to,
        time_zone: asked.tz,
        group: asked.group,
        filters: filters.into_iter().filter_map(given).collect(),
        now,
    }
}

fn view(report: &store::Report) -> Report {
    let names = |dimensions: &[Dimension]| dimensions.iter().map(|d| d.name().to_string()).collect();
    Report {
        name: report.name.into(),
        title: report.title.into(),
        group: names(report.group),
        dimensions: names(report.source.dimensions()),
        filters: names(report.source.filters()),
        measures: report.measures().map(measure).collect(),
        chart: report.chart.into(),
    }
}

fn measure(measure: &store::Measure) -> ReportMeasure {
    ReportMeasure { name: measure.name.into(), unit: measure.unit.name().into(), help: measure.help.into() }
}

fn written(report: &store::Report, table: &store::Table) -> ReportTable {
    let row = |row: &store::ReportRow| ReportRow {
        cells: row.cells.iter().map(|c| Some(c.to_string()).filter(|_| *c != Cell::Nothing)).collect(),
        cdrs: row.calls.as_ref().map(|query| encoded(query)),
    };
    ReportTable {
        name: report.name.into(),
        title: report.title.into(),
        from: Timestamp(table.from),
        to: Timestamp(table.to),
        time_zone: table.time_zone.clone(),
        group: table.group.iter().map(|d| d.name().to_string()).collect(),
        measures: table.measures.iter().map(|m| measure(m)).collect(),
        rows: table.rows.iter().map(row).collect(),
        totals: table.totals.iter().map(row).collect(),
        chart: report.chart.into(),
    }
}

/// As it stands behind the `?` of an address.
fn encoded(query: &[(&'static str, String)]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let value = |text: &str| -> String {
        text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    let pairs: Vec<String> = query.iter().map(|(name, text)| format!("{name}={}", value(text))).collect();
    pairs.join("&")
}

fn heading(table: &store::Table) -> Vec<sheet::Cell> {
    let dimensions = table.group.iter().map(|d| sheet::Cell::text(d.name()));
    dimensions.chain(table.measures.iter().map(|m| sheet::Cell::text(m.name))).collect()
}

fn cells(row: &store::ReportRow) -> Vec<sheet::Cell> {
    let cell = |cell: &Cell| match cell {
        Cell::Nothing => sheet::Cell::text(""),
        Cell::Text(text) => sheet::Cell::text(text),
        number => sheet::Cell::number(number),
    };
    row.cells.iter().map(cell).collect()
}

fn csv(table: &store::Table) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    let rows = table.rows.iter().map(cells);
    for line in std::iter::once(heading(table)).chain(rows) {
        sheet::csv_line(&mut out, &line).map_err(Problem::internal)?;
    }
    Ok(out)
}

fn xlsx(table: &store::Table) -> Result<Vec<u8>, Problem> {
    let mut book = Xlsx::new(heading(table)).map_err(Problem::internal)?;
    for row in &table.rows {
        book.line(&cells(row)).map_err(Problem::internal)?;
    }
    book.finish().map_err(Problem::internal)
}
