//! Business files: applied, and written back.

use super::same_variants;
use crate::body::Body;
use crate::body::LARGE;
use crate::problem::Problem;
use crate::server::Answer;
use crate::server::Api;
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Deserialize;
use serde::Serialize;
use store::SourceFile;
use utoipa::ToSchema;

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyInput {
    pub files: Vec<ApplyFile>,
    /// Say what would change, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyFile {
    /// As it shall stand in messages.
    pub name: String,
    /// The whole file, TOML.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ApplyResult {
    /// False for a dry run.
    pub applied: bool,
    /// Empty when everything stood like this already.
    pub changes: Vec<Change>,
    /// Routes that customers had and have no more, in words.
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    Create,
    Update,
    /// An opening balance is paid in.
    Pay,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Change {
    pub action: ChangeAction,
    /// Like `account` or `rate_group`.
    pub kind: String,
    pub name: String,
    pub fields: Vec<FieldChange>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FieldChange {
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// Applies business files: all of it or nothing.
#[utoipa::path(post, path = "/apply", tag = "configuration", request_body = ApplyInput, responses((status = 200, body = ApplyResult)))]
pub(crate) async fn apply_files(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<ApplyInput, LARGE>,
) -> Answer<ApplyResult> {
    let files: Vec<SourceFile> =
        input.files.into_iter().map(|file| SourceFile { name: file.name, text: file.text }).collect();
    let dry_run = input.dry_run;
    let work = move |store: &store::Store| store.apply(&files, dry_run, &caller);
    let plan = if dry_run { api.store(work).await? } else { api.change(work).await? };
    let field = |f: store::FieldChange| FieldChange { field: f.field, before: f.before, after: f.after };
    let change = |c: store::Change| Change {
        action: c.action.into(),
        kind: c.kind.to_string(),
        name: c.name,
        fields: c.fields.into_iter().map(field).collect(),
    };
    Ok(Json(ApplyResult {
        applied: plan.applied,
        changes: plan.changes.into_iter().map(change).collect(),
        warnings: plan.warnings,
    }))
}

/// Writes the whole configuration as a business file.
#[utoipa::path(get, path = "/export", tag = "configuration", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn export(State(api): State<Api>) -> Result<Response, Problem> {
    let text = api.store(|store| store.export()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

same_variants!(ChangeAction, store::ChangeAction { Create, Update, Pay });
