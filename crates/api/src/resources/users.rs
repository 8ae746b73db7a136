//! Users of console and API (`SEC-8`).

use crate::body::Body;
use crate::clock::Timestamp;
use crate::documents;
use crate::problem::Problem;
use crate::rights::{ADMINISTRATOR, BUILT_IN};
use crate::server::{Answer, Api, Inner};
use crate::sign_in::{self, Caller};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{User as Stored, UserDetails, config};
use utoipa::ToSchema;

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ConsoleUser {
    pub name: String,
    pub role: String,
    pub disabled: bool,
    /// Sees nothing but this account's part.
    pub account: Option<String>,
    pub note: String,
    /// Signs in with a second factor.
    pub second_factor: bool,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUserInput {
    /// 1 to 64 letters, digits, dots, dashes and underscores.
    pub name: String,
    pub password: String,
    pub role: String,
    /// Name or id of the account that the user is held to.
    #[serde(default)]
    pub account: Option<String>,
    #[serde(default)]
    pub note: String,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserInput {
    pub role: String,
    #[serde(default)]
    pub disabled: bool,
    #[serde(default)]
    pub account: Option<String>,
    #[serde(default)]
    pub note: String,
    /// A new password; absent: as it was.
    #[serde(default)]
    pub password: Option<String>,
    /// Takes the second factor away, for somebody who has lost it.
    #[serde(default)]
    pub reset_second_factor: bool,
}

/// Lists the users.
#[utoipa::path(get, path = "/users", tag = "users", responses((status = 200, body = Vec<ConsoleUser>)))]
pub(crate) async fn list_users(State(api): State<Api>) -> Answer<Vec<ConsoleUser>> {
    let users = api.store(|store| store.users()).await?;
    Ok(Json(users.into_iter().map(|user| view(&api, user)).collect()))
}

/// Creates a user.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewUserInput, responses((status = 201, body = ConsoleUser)))]
pub(crate) async fn create_user(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<NewUserInput>,
) -> Result<(StatusCode, Json<ConsoleUser>), Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !(1..=64).contains(&input.name.len()) || !input.name.chars().all(allowed) {
        return Err(Problem::field("name", "expected 1–64 letters, digits, dots, dashes and underscores"));
    }
    if find(&api, &input.name).await.is_ok() {
        return Err(Problem::field("name", "there is a user of this name already"));
    }
    check_role(&api, &caller, &input.role).await?;
    let account = account(&api, input.account.as_deref())?;
    let user = Stored {
        password_hash: hashed(&api, &input.name, input.password, "password").await?,
        name: input.name,
        role: input.role,
        created_at: api.now(),
        details: UserDetails { account, note: input.note, ..UserDetails::default() },
    };
    let stored = user.clone();
    api.store(move |store| store.set_user(&stored, &caller)).await?;
    Ok((StatusCode::CREATED, Json(view(&api, user))))
}

/// Reads a user.
#[utoipa::path(get, path = "/users/{user}", tag = "users", params(("user" = String, Path)), responses((status = 200, body = ConsoleUser)))]
pub(crate) async fn get_user(State(api): State<Api>, Path(name): Path<String>) -> Answer<ConsoleUser> {
    Ok(Json(view(&api, find(&api, &name).await?)))
}

/// Changes a user. Sessions end when the password, the role or the account changes.
#[utoipa::path(put, path = "/users/{user}", tag = "users", params(("user" = String, Path)), request_body = UserInput, responses((status = 200, body = ConsoleUser)))]
pub(crate) async fn update_user(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(input): Body<UserInput>,
) -> Answer<ConsoleUser> {
    let before = find(&api, &name).await?;
    sign_in::outranks(&api, &caller, &before.role).await?;
    check_role(&api, &caller, &input.role).await?;
    let account = account(&api, input.account.as_deref())?;
    let stays = input.role == ADMINISTRATOR && !input.disabled && account.is_none();
    if !stays {
        spare_last_administrator(&api, &before).await?;
    }
    let hash = match input.password {
        Some(password) => Some(hashed(&api, &name, password, "password").await?),
        None => None,
    };
    let ends =
        hash.is_some() || before.role != input.role || before.details.account != account || input.disabled;
    let user = change(&api, &caller, &name, move |user| {
        user.role = input.role;
        user.password_hash = hash.unwrap_or_else(|| std::mem::take(&mut user.password_hash));
        user.details.disabled = input.disabled;
        user.details.account = account;
        user.details.note = input.note;
        if input.reset_second_factor {
            user.details.totp = None;
        }
    })
    .await?;
    if ends {
        api.store(move |store| store.delete_sessions(&name, &caller.token)).await?;
    }
    Ok(Json(view(&api, user)))
}

/// Deletes a user with all sessions and keys.
#[utoipa::path(delete, path = "/users/{user}", tag = "users", params(("user" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete_user(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let user = find(&api, &name).await?;
    sign_in::outranks(&api, &caller, &user.role).await?;
    spare_last_administrator(&api, &user).await?;
    if user.name == caller.user {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "Nobody can delete the user that they are signed in as.",
        ));
    }
    api.store(move |store| store.delete_user(&name, &caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes a user under the name of the caller.
pub(crate) async fn change(
    api: &Inner,
    caller: &Caller,
    name: &str,
    work: impl FnOnce(&mut Stored) + Send + 'static,
) -> Result<Stored, Problem> {
    let mut user = find(api, name).await?;
    let caller = caller.clone();
    api.store(move |store| {
        work(&mut user);
        store.set_user(&user, &caller).map(|()| user)
    })
    .await
}

/// Gives a user another password and ends all sessions but the caller's.
pub(crate) async fn set_password(
    api: &Inner,
    caller: &Caller,
    name: &str,
    password: String,
    field: &'static str,
) -> Result<(), Problem> {
    let hash = hashed(api, name, password, field).await?;
    change(api, caller, name, |user| user.password_hash = hash).await?;
    let (name, token) = (name.to_string(), caller.token.clone());
    api.store(move |store| store.delete_sessions(&name, &token)).await.map(|_| ())
}

async fn hashed(api: &Inner, name: &str, password: String, field: &'static str) -> Result<String, Problem> {
    if let Some(words) = sign_in::weakness(name, &password) {
        return Err(Problem::field(field, words));
    }
    let _turn = api.sign_in.turn().await?;
    let done = tokio::task::spawn_blocking(move || sign_in::hash_password(&password)).await;
    done.map_err(Problem::internal)?.map_err(Problem::internal)
}

async fn find(api: &Inner, name: &str) -> Result<Stored, Problem> {
    let wanted = name.to_string();
    let found = api.store(move |store| store.user(&wanted)).await?;
    found.ok_or_else(|| Problem::not_found("user", name))
}

/// There must be such a role, and the caller must have all its rights.
async fn check_role(api: &Inner, caller: &Caller, role: &str) -> Result<(), Problem> {
    let wanted = role.to_string();
    if !BUILT_IN.contains(&role) && api.store(move |store| store.role(&wanted)).await?.is_none() {
        let known = BUILT_IN.join(", ");
        return Err(Problem::field(
            "role",
            format!("there is no such role; expected {known} or one of your own"),
        ));
    }
    sign_in::outranks(api, caller, role).await
}

fn account(api: &Inner, key: Option<&str>) -> Result<Option<u32>, Problem> {
    let Some(key) = key.filter(|k| !k.is_empty()) else { return Ok(None) };
    let found = documents::find::<config::Account>(api, key);
    found.map(|a| Some(a.id)).map_err(|_| Problem::field("account", "there is no such account"))
}

/// Without an administrator nobody could make another.
async fn spare_last_administrator(api: &Inner, user: &Stored) -> Result<(), Problem> {
    let may = |u: &Stored| u.role == ADMINISTRATOR && !u.details.disabled && u.details.account.is_none();
    let users = api.store(|store| store.users()).await?;
    match may(user) && users.iter().filter(|u| may(u)).count() == 1 {
        true => {
            Err(Problem::new(StatusCode::CONFLICT, "This is the last administrator; make another one first."))
        }
        false => Ok(()),
    }
}

fn view(api: &Inner, user: Stored) -> ConsoleUser {
    let config = api.store.config();
    let name = |id: u32| config.accounts.get(id).map_or(id.to_string(), |a| a.document.name.clone());
    ConsoleUser {
        name: user.name,
        role: user.role,
        disabled: user.details.disabled,
        account: user.details.account.map(name),
        note: user.details.note,
        second_factor: user.details.totp.is_some(),
        created_at: user.created_at.into(),
    }
}
