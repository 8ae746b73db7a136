//! API keys: tokens for programs, with no more rights than they need (`SEC-8`).

use crate::body::Body;
use crate::clock::Timestamp;
use crate::problem::{FieldProblem, Problem};
use crate::resources::roles;
use crate::server::{Answer, Api};
use crate::sign_in::{self, Caller};
use crate::token;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{Token, TokenDetails, TokenKind};
use utoipa::ToSchema;
use vocab::net::Cidr;

/// An API key. The key itself is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ApiKey {
    pub id: String,
    pub name: String,
    /// Acts under this name, with at most this user's rights.
    pub user: String,
    /// No more than these rights; `null`: all that the user has.
    pub rights: Option<Vec<String>>,
    /// Good from these networks only; empty: from anywhere.
    pub networks: Vec<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NewApiKey {
    #[serde(flatten)]
    pub key: ApiKey,
    /// For `Authorization: Bearer`. It is nowhere else.
    pub token: String,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyInput {
    pub name: String,
    /// Absent: whoever asks.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub rights: Option<Vec<String>>,
    /// Addresses or CIDR blocks.
    #[serde(default)]
    pub networks: Vec<String>,
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// Letters of a token's hash by which it is named.
const ID: usize = 16;

/// Lists the keys.
#[utoipa::path(get, path = "/keys", tag = "users", responses((status = 200, body = Vec<ApiKey>)))]
pub(crate) async fn list_keys(State(api): State<Api>) -> Answer<Vec<ApiKey>> {
    let tokens = api.store(|store| store.all_tokens()).await?;
    Ok(Json(tokens.into_iter().filter(|t| t.details.kind == TokenKind::Key).map(view).collect()))
}

/// Makes a key. Its text is in the answer and nowhere else.
#[utoipa::path(post, path = "/keys", tag = "users", request_body = ApiKeyInput, responses((status = 201, body = NewApiKey)))]
pub(crate) async fn create_key(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<ApiKeyInput>,
) -> Result<(StatusCode, Json<NewApiKey>), Problem> {
    if !(1..=64).contains(&input.name.chars().count()) {
        return Err(Problem::field("name", "expected 1–64 characters"));
    }
    input.rights.as_deref().map_or(Ok(()), roles::check)?;
    check_networks(&input.networks)?;
    let now = api.now();
    if input.expires_at.is_some_and(|at| at.0 <= now) {
        return Err(Problem::field("expires_at", "is in the past"));
    }
    let user = input.user.unwrap_or_else(|| caller.user.clone());
    let wanted = user.clone();
    let Some(owner) = api.store(move |store| store.user(&wanted)).await? else {
        return Err(Problem::field("user", "there is no such user"));
    };
    let mut given = api.store(move |store| sign_in::rights_of(store, &owner.role)).await?;
    given.retain(|right| input.rights.as_ref().is_none_or(|only| only.contains(&right.to_string())));
    sign_in::within_own(&caller, &given)?;
    let text = token::random().ok_or_else(|| Problem::internal("the system gives no random numbers"))?;
    let details = TokenDetails { kind: TokenKind::Key, rights: input.rights, networks: input.networks };
    let record = Token {
        hash: token::hash(&text),
        user,
        note: input.name,
        created_at: now,
        expires_at: input.expires_at.map(|t| t.0),
        details,
    };
    let stored = record.clone();
    api.store(move |store| store.add_token(&stored, &caller)).await?;
    Ok((StatusCode::CREATED, Json(NewApiKey { key: view(record), token: text })))
}

/// Deletes a key: it is worth nothing from now on.
#[utoipa::path(delete, path = "/keys/{key}", tag = "users", params(("key" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete_key(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let tokens = api.store(|store| store.all_tokens()).await?;
    let is_meant = |t: &Token| t.details.kind == TokenKind::Key && t.hash.get(..ID) == Some(&id);
    let found = tokens.into_iter().find(is_meant).ok_or_else(|| Problem::not_found("key", &id))?;
    let owner = found.user.clone();
    if let Some(owner) = api.store(move |store| store.user(&owner)).await? {
        sign_in::outranks(&api, &caller, &owner.role).await?;
    }
    api.store(move |store| store.delete_token(&found.hash, &caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Each must be an address or a CIDR block.
pub(crate) fn check_networks(networks: &[String]) -> Result<(), Problem> {
    let wrong = |(i, text): (usize, &String)| match Cidr::parse(text) {
        Some(_) => None,
        None => Some(FieldProblem::new(
            format!("networks[{i}]"),
            format!("{text:?} is no address and no CIDR block like 192.0.2.0/24"),
        )),
    };
    let problems: Vec<FieldProblem> = networks.iter().enumerate().filter_map(wrong).collect();
    if problems.is_empty() { Ok(()) } else { Err(Problem::fields(problems)) }
}

fn view(token: Token) -> ApiKey {
    ApiKey {
        id: token.hash.chars().take(ID).collect(),
        name: token.note,
        user: token.user,
        rights: token.details.rights,
        networks: token.details.networks,
        created_at: token.created_at.into(),
        expires_at: token.expires_at.map(Timestamp),
    }
}
