//! The server monitor (`DBG-10`): figures now and their history; and the system log (`DBG-8`).

use super::analysis::{plain, seeing};
use super::traces::tail;
use crate::body::{Asked, Body};
use crate::clock::Timestamp;
use crate::metrics::{METRICS, MetricKind};
use crate::problem::Problem;
use crate::seeing::LogLevels;
use crate::server::{Answer, Api};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{Author, Deed, Sample};
use utoipa::{IntoParams, ToSchema};
use vocab::Utc;

/// Figures at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MonitorSample {
    pub at: Timestamp,
    /// By the keys of `metrics`.
    pub values: BTreeMap<String, i64>,
}

/// What a figure means.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MonitorMetric {
    pub key: String,
    /// Its name for Prometheus, with a label where several are one metric there.
    pub name: String,
    pub label: String,
    /// Only grows while the process runs.
    pub counter: bool,
    /// Divide a value by this for the unit in the name.
    pub per_unit: u32,
    pub help: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Monitor {
    pub now: MonitorSample,
    pub metrics: Vec<MonitorMetric>,
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MonitorQuery {
    /// Seconds between samples: 10 (kept for an hour), 60 (a day) or 600 (30 days); 10 when absent.
    pub step: Option<u32>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// Levels of the log: of everything, and of modules that have their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// error, warn, info, debug, trace or off; `null`: as the settings (terminal) and SS_TRACE_MASK (files) say.
    #[serde(default)]
    pub level: Option<String>,
    /// Like `{"sip": "debug", "tandem::tcp": "info"}`.
    #[serde(default)]
    pub modules: BTreeMap<String, String>,
}

/// The figures of this moment, and what they mean.
#[utoipa::path(get, path = "/monitor", tag = "system", responses((status = 200, body = Monitor)))]
pub(crate) async fn get_monitor(State(api): State<Api>) -> Answer<Monitor> {
    let sample = seeing(&api)?.sample().unwrap_or_default();
    let metric = |m: &crate::metrics::Metric| MonitorMetric {
        key: m.key.to_owned(),
        name: m.name.to_owned(),
        label: m.label.to_owned(),
        counter: m.kind == MetricKind::Counter,
        per_unit: m.per_unit,
        help: m.help.to_owned(),
    };
    Ok(Json(Monitor { now: show(sample), metrics: METRICS.iter().map(metric).collect() }))
}

/// The history: each value is the mean of its step, of counters the last.
#[utoipa::path(get, path = "/monitor/history", tag = "system", params(MonitorQuery), responses((status = 200, body = Vec<MonitorSample>)))]
pub(crate) async fn monitor_history(
    State(api): State<Api>,
    Asked(query): Asked<MonitorQuery>,
) -> Answer<Vec<MonitorSample>> {
    let step = query.step.unwrap_or(10);
    if !store::MONITOR_STEPS.iter().any(|(known, _)| *known == step) {
        return Err(Problem::field("step", "expected 10, 60 or 600"));
    }
    let (from, to) = (query.from.map_or(Utc(0), |t| t.0), query.to.map_or(Utc(i64::MAX), |t| t.0));
    let samples = api.store(move |store| store.samples(step, from, to)).await?;
    Ok(Json(samples.into_iter().map(show).collect()))
}

fn show(sample: Sample) -> MonitorSample {
    MonitorSample { at: sample.at.into(), values: sample.values }
}

/// What is logged.
#[utoipa::path(get, path = "/log", tag = "system", responses((status = 200, body = LogSettings)))]
pub(crate) async fn get_log(State(api): State<Api>) -> Answer<LogSettings> {
    let LogLevels { level, modules } = seeing(&api)?.log_levels();
    Ok(Json(LogSettings { level, modules }))
}

/// Logs other levels from now on, until the next start.
#[utoipa::path(put, path = "/log", tag = "system", request_body = LogSettings, responses((status = 200, body = LogSettings)))]
pub(crate) async fn set_log(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<LogSettings>,
) -> Answer<LogSettings> {
    let levels = check(&input)?;
    seeing(&api)?.set_log_levels(levels).map_err(|words| Problem::field("modules", words))?;
    let (author, after) = (Author::from(&caller), serde_json::to_string(&input).map_err(Problem::internal)?);
    api.store(move |store| {
        let after = Some(after.as_str());
        store.note(&author, &Deed { action: "set", kind: "log", object: "levels", before: None, after })
    })
    .await?;
    get_log(State(api)).await
}

/// The newest 16 MB of the log files.
#[utoipa::path(get, path = "/log/text", tag = "system", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn read_log(State(api): State<Api>) -> Result<Response, Problem> {
    let files = seeing(&api)?.log_files();
    let text = tokio::task::spawn_blocking(move || tail(&files)).await.map_err(Problem::internal)?;
    Ok(plain(text.map_err(Problem::internal)?))
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const MOST_MODULES: usize = 50;

fn check(input: &LogSettings) -> Result<LogLevels, Problem> {
    let known = |level: &String| LEVELS.contains(&level.as_str());
    let expected = || format!("expected one of {}", LEVELS.join(", "));
    if input.level.as_ref().is_some_and(|l| !known(l)) {
        return Err(Problem::field("level", expected()));
    }
    if input.modules.len() > MOST_MODULES {
        return Err(Problem::field("modules", format!("more than {MOST_MODULES}")));
    }
    for (module, level) in &input.modules {
        let plain = !module.is_empty()
            && module.len() <= 100
            && module.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
        if !plain {
            return Err(Problem::field("modules", "expected names of modules, like sip or tandem::tcp"));
        }
        if !known(level) {
            return Err(Problem::field(format!("modules.{module}"), expected()));
        }
    }
    Ok(LogLevels { level: input.level.clone(), modules: input.modules.clone() })
}
