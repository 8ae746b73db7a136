//! Verification of stored data.

use crate::server::Answer;
use crate::server::Api;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// Result of the verification of stored data.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CheckResult {
    pub ok: bool,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Finding {
    pub check: String,
    pub ok: bool,
    pub detail: String,
}

/// Verifies stored data: balances against entries, answered calls against CDRs.
#[utoipa::path(post, path = "/check", tag = "system", responses((status = 200, body = CheckResult)))]
pub(crate) async fn check(State(api): State<Api>) -> Answer<CheckResult> {
    let found = api.store(|store| store.check()).await?;
    let findings: Vec<Finding> = found
        .into_iter()
        .map(|f| Finding { check: f.check.to_string(), ok: f.ok, detail: f.detail })
        .collect();
    Ok(Json(CheckResult { ok: findings.iter().all(|f| f.ok), findings }))
}
