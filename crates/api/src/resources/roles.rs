//! Roles: what the users who have them may do (`SEC-8`).

use crate::body::Body;
use crate::problem::{FieldProblem, Problem};
use crate::rights::{self, BUILT_IN, Right};
use crate::server::{Answer, Api};
use crate::sign_in::{self, Caller};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Role {
    pub name: String,
    /// Like `accounts.edit`.
    pub rights: Vec<String>,
    pub note: String,
    /// Comes with the program and cannot be changed.
    pub built_in: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Roles {
    pub items: Vec<Role>,
    /// Every right there is.
    pub rights: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleInput {
    pub rights: Vec<String>,
    #[serde(default)]
    pub note: String,
}

/// Lists the roles and the rights that there are.
#[utoipa::path(get, path = "/roles", tag = "users", responses((status = 200, body = Roles)))]
pub(crate) async fn list_roles(State(api): State<Api>) -> Answer<Roles> {
    let own = api.store(|store| store.roles()).await?;
    let built_in = BUILT_IN.iter().filter_map(|name| {
        let rights = rights::built_in(name)?.iter().map(ToString::to_string).collect();
        Some(Role { name: (*name).to_string(), rights, note: String::new(), built_in: true })
    });
    let items = built_in.chain(own.into_iter().map(view)).collect();
    Ok(Json(Roles { items, rights: Right::all().map(|r| r.to_string()).collect() }))
}

/// Creates a role, or replaces the one of this name. It acts at once for all who have it.
#[utoipa::path(put, path = "/roles/{role}", tag = "users", params(("role" = String, Path)), request_body = RoleInput, responses((status = 200, body = Role)))]
pub(crate) async fn put_role(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(input): Body<RoleInput>,
) -> Answer<Role> {
    changeable(&name)?;
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    if !(1..=64).contains(&name.chars().count()) || !name.chars().all(allowed) {
        return Err(Problem::field("role", "expected 1–64 letters, digits, blanks, dashes and underscores"));
    }
    check(&input.rights)?;
    sign_in::outranks(&api, &caller, &name).await?;
    sign_in::within_own(&caller, &input.rights.iter().filter_map(|r| Right::parse(r)).collect::<Vec<_>>())?;
    let role = store::Role { name, rights: input.rights, note: input.note };
    let stored = role.clone();
    api.store(move |store| store.set_role(&stored, &caller)).await?;
    Ok(Json(view(role)))
}

/// Deletes a role that nobody has.
#[utoipa::path(delete, path = "/roles/{role}", tag = "users", params(("role" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete_role(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    changeable(&name)?;
    sign_in::outranks(&api, &caller, &name).await?;
    let users = api.store(|store| store.users()).await?;
    let holders: Vec<String> = users.into_iter().filter(|u| u.role == name).map(|u| u.name).collect();
    if !holders.is_empty() {
        let words = format!("It is still the role of {}.", holders.join(", "));
        return Err(Problem::new(StatusCode::CONFLICT, words));
    }
    let wanted = name.clone();
    match api.store(move |store| store.delete_role(&wanted, &caller)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("role", &name)),
    }
}

fn changeable(name: &str) -> Result<(), Problem> {
    match BUILT_IN.contains(&name) {
        true => {
            Err(Problem::new(StatusCode::CONFLICT, "This role comes with the program; make one of your own."))
        }
        false => Ok(()),
    }
}

/// Each right must be one that there is.
pub(crate) fn check(rights: &[String]) -> Result<(), Problem> {
    let unknown = |(i, text): (usize, &String)| match Right::parse(text) {
        Some(_) => None,
        None => Some(FieldProblem::new(format!("rights[{i}]"), format!("there is no right {text:?}"))),
    };
    let problems: Vec<FieldProblem> = rights.iter().enumerate().filter_map(unknown).collect();
    if problems.is_empty() { Ok(()) } else { Err(Problem::fields(problems)) }
}

fn view(role: store::Role) -> Role {
    Role { name: role.name, rights: role.rights, note: role.note, built_in: false }
}
