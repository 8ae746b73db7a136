//! Versions of the configuration: what each change made different, what lies between two, and taking one back
//! (`BEY-11`).

use crate::body::{Asked, Body};
use crate::clock::Timestamp;
use crate::listing::{Page, list_query};
use crate::problem::Problem;
use crate::server::{Answer, Api};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// One version of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ConfigChange {
    pub version: String,
    pub at: Timestamp,
    pub author: String,
    /// Address that the request came from; empty: the switch itself.
    pub source: String,
    /// The version that this one takes back.
    pub undoes: Option<String>,
    pub items: Vec<ConfigDifference>,
}

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ConfigDifference {
    /// `account`, `routing_gateway`, `parameter`, `rates`, …
    pub kind: String,
    pub name: String,
    /// As it was, with secrets hidden; `null`: it was not there. Rates with neither side came by file.
    pub before: Option<Value>,
    /// As it became; `null`: it is gone.
    pub after: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ConfigComparison {
    pub from: String,
    pub to: String,
    pub items: Vec<ConfigDifference>,
}

list_query! {
    pub struct ChangeQuery {
        pub author: Option<String>,
        /// Changes of something of this kind.
        pub kind: Option<String>,
        /// Changes of something of this name.
        pub name: Option<String>,
    }
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CompareQuery {
    /// The state after this version; 0: nothing.
    pub from: u64,
    /// The state after this one; the present when absent.
    pub to: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoInput {
    /// Say whether it could be done, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct UndoResult {
    /// False for a dry run.
    pub applied: bool,
    /// The version that is in force now.
    pub version: String,
}

/// Lists the versions of the configuration, the newest first.
#[utoipa::path(get, path = "/changes", tag = "configuration", params(ChangeQuery), responses((status = 200, body = Page<ConfigChange>)))]
pub(crate) async fn list_changes(
    State(api): State<Api>,
    Asked(query): Asked<ChangeQuery>,
) -> Answer<Page<ConfigChange>> {
    let asked = query.list();
    asked.only_sort("-version")?;
    let limit = asked.limit()?;
    if asked.q.is_some() {
        return Err(Problem::field("q", "versions cannot be searched; filter by author, kind or name"));
    }
    let filter = store::ChangeFilter { author: query.author, kind: query.kind, name: query.name };
    let page = api.store(move |store| store.changes(&filter, asked.cursor.as_deref(), limit)).await?;
    let items = page.items.into_iter().map(view).collect();
    Ok(Json(Page { items, next_cursor: page.next, total: None }))
}

/// Shows one version.
#[utoipa::path(get, path = "/changes/{version}", tag = "configuration", params(("version" = u64, Path)), responses((status = 200, body = ConfigChange)))]
pub(crate) async fn get_change(State(api): State<Api>, Path(version): Path<String>) -> Answer<ConfigChange> {
    let number = number(&version)?;
    let found = api.store(move |store| store.one_change(number)).await?;
    Ok(Json(view(found.ok_or_else(|| Problem::not_found("version", &version))?)))
}

/// What is different between two versions.
#[utoipa::path(get, path = "/changes/compare", tag = "configuration", params(CompareQuery), responses((status = 200, body = ConfigComparison)))]
pub(crate) async fn compare_changes(
    State(api): State<Api>,
    Asked(query): Asked<CompareQuery>,
) -> Answer<ConfigComparison> {
    let from = query.from;
    let to = query.to.unwrap_or_else(|| api.store.config().version);
    if from > to {
        return Err(Problem::field("from", format!("expected at most {to}, the version to compare with")));
    }
    let items = api.store(move |store| store.compare_versions(from, to)).await?;
    let items = items.into_iter().map(difference).collect();
    Ok(Json(ConfigComparison { from: from.to_string(), to: to.to_string(), items }))
}

/// Takes a version back: all that it changed is as it was before, in one new version.
#[utoipa::path(post, path = "/changes/{version}/undo", tag = "configuration", params(("version" = u64, Path)), request_body = UndoInput, responses((status = 200, body = UndoResult)))]
pub(crate) async fn undo_change(
    State(api): State<Api>,
    caller: Caller,
    Path(version): Path<String>,
    Body(input): Body<UndoInput>,
) -> Answer<UndoResult> {
    let (number, dry_run) = (number(&version)?, input.dry_run);
    let work = move |store: &store::Store| store.undo(number, dry_run, &caller);
    let now = if dry_run { api.store(work).await? } else { api.change(work).await? };
    Ok(Json(UndoResult { applied: !dry_run, version: now.to_string() }))
}

fn number(version: &str) -> Result<u64, Problem> {
    version.parse().map_err(|_| Problem::not_found("version", version))
}

fn view(change: store::Version) -> ConfigChange {
    ConfigChange {
        version: change.version.to_string(),
        at: change.at.into(),
        author: change.author,
        source: change.source,
        undoes: change.undoes.map(|v| v.to_string()),
        items: change.items.into_iter().map(difference).collect(),
    }
}

/// Documents and rates are JSON; the value of a parameter is a text.
fn difference(item: store::Item) -> ConfigDifference {
    let parameter = item.kind == "parameter";
    let json = |text: Option<String>| {
        text.map(|t| match parameter {
            true => Value::String(t),
            false => serde_json::from_str(&t).unwrap_or(Value::String(t)),
        })
    };
    ConfigDifference { kind: item.kind, name: item.name, before: json(item.before), after: json(item.after) }
}
