//! Signing in and out.

use crate::body::Body;
use crate::problem::Problem;
use crate::resources::users;
use crate::rights::Rights;
use crate::server::Api;
use crate::sign_in::Caller;
use crate::sign_in::{self, Source};
use crate::totp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Deserialize;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use vocab::AccountId;

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInInput {
    pub username: String,
    pub password: String,
    /// The present code of the second factor, for users who have one.
    #[serde(default)]
    pub code: Option<String>,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct User {
    pub name: String,
    pub role: String,
    /// What the role allows, like `accounts.edit`.
    pub rights: Vec<String>,
    /// Sees nothing but this account's part.
    pub account: Option<String>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPasswordInput {
    pub old: String,
    pub new: String,
}

/// A second factor that was proposed: nothing holds until a code of it was sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SecondFactor {
    /// Base 32, to be typed into an authenticator app.
    pub secret: String,
    /// The same for a picture.
    pub uri: String,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorInput {
    pub secret: String,
    pub code: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SignedIn {
    pub user: User,
    /// For `Authorization: Bearer`; browsers use the cookie that comes along.
    pub token: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    pub user: User,
}

/// Signs in. At most ten tries a minute for a name from one address.
#[utoipa::path(post, path = "/session", tag = "session", security(()), request_body = SignInInput, responses((status = 200, body = SignedIn)))]
pub(crate) async fn sign_in(
    State(api): State<Api>,
    Source(source): Source,
    Body(input): Body<SignInInput>,
) -> Result<Response, Problem> {
    let name = input.username;
    let (user, token) = match sign_in::sign_in(&api, &name, input.password, input.code, source).await {
        Ok(signed_in) => signed_in,
        Err(refusal) => return Ok(refusal),
    };
    let cookie = sign_in::cookie(&api, &token, api.settings.session_length);
    let role = user.role.clone();
    let rights = api.store(move |store| sign_in::rights_of(store, &role)).await?;
    let user = shown(&api, user.name, user.role, &rights, user.details.account.map(AccountId));
    with_cookie(axum::Json(SignedIn { user, token }).into_response(), &cookie)
}

/// Says who is signed in.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, body = Session)))]
pub(crate) async fn get_session(State(api): State<Api>, caller: Caller) -> Json<Session> {
    Json(Session { user: shown(&api, caller.user, caller.role, &caller.rights, caller.account) })
}

fn shown(api: &Api, name: String, role: String, rights: &Rights, account: Option<AccountId>) -> User {
    let config = api.store.config();
    let account =
        account.map(|id| config.accounts.get(id.0).map_or(id.to_string(), |a| a.document.name.clone()));
    User { name, role, rights: rights.iter().map(ToString::to_string).collect(), account }
}

/// Signs out: the token is worth nothing from now on.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204)))]
pub(crate) async fn sign_out(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    sign_in::sign_out(&api, caller).await?;
    let cookie = sign_in::cookie(&api, "", Duration::ZERO);
    with_cookie(StatusCode::NO_CONTENT.into_response(), &cookie)
}

/// Changes the password of whoever is signed in, and ends all other sessions.
#[utoipa::path(put, path = "/session/password", tag = "session", request_body = OwnPasswordInput, responses((status = 204)))]
pub(crate) async fn change_password(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<OwnPasswordInput>,
) -> Result<StatusCode, Problem> {
    sign_in::in_person(&caller)?;
    if !sign_in::may_try(&api, &caller) {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many tries; wait a little."));
    }
    if !sign_in::is_password(&api, &caller.user, input.old).await? {
        return Err(Problem::field("old", "is not the present password"));
    }
    users::set_password(&api, &caller, &caller.user, input.new, "new").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Proposes a second factor for whoever is signed in.
#[utoipa::path(post, path = "/session/second-factor", tag = "session", responses((status = 200, body = SecondFactor)))]
pub(crate) async fn propose_second_factor(caller: Caller) -> Result<Json<SecondFactor>, Problem> {
    sign_in::in_person(&caller)?;
    let secret = totp::new_secret().ok_or_else(|| Problem::internal("the system gives no random numbers"))?;
    Ok(Json(SecondFactor { uri: totp::uri(&caller.user, &secret), secret }))
}

/// Takes the proposed second factor into use: from now on a sign-in needs its code.
#[utoipa::path(put, path = "/session/second-factor", tag = "session", request_body = SecondFactorInput, responses((status = 204)))]
pub(crate) async fn set_second_factor(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<SecondFactorInput>,
) -> Result<StatusCode, Problem> {
    sign_in::in_person(&caller)?;
    let Some(step) = totp::step_of(&input.secret, input.code.trim(), api.now()) else {
        return Err(Problem::field("code", "is not the present code of this secret"));
    };
    let sealed = api.store.seal(&input.secret);
    let sealed = sealed.ok_or_else(|| Problem::internal("the system gives no random numbers"))?;
    users::change(&api, &caller, &caller.user, move |user| {
        user.details.totp = Some(sealed);
        user.details.totp_step = step;
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the second factor up.
#[utoipa::path(delete, path = "/session/second-factor", tag = "session", responses((status = 204)))]
pub(crate) async fn drop_second_factor(
    State(api): State<Api>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    sign_in::in_person(&caller)?;
    users::change(&api, &caller, &caller.user, |user| user.details.totp = None).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, Problem> {
    let value = HeaderValue::from_str(cookie).map_err(Problem::internal)?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response)
}
