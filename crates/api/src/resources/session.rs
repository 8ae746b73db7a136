//! Signing in and out.

use crate::body::Body;
use crate::problem::Problem;
use crate::server::Api;
use crate::sign_in::Caller;
use crate::sign_in::{self, Source};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Deserialize;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInInput {
    pub username: String,
    pub password: String,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct User {
    pub name: String,
    /// "administrator" may do everything, any other role may look.
    pub role: String,
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
    let (user, token) = match sign_in::sign_in(&api, &input.username, input.password, source).await {
        Ok(signed_in) => signed_in,
        Err(refusal) => return Ok(refusal),
    };
    let cookie = sign_in::cookie(&api, &token, api.settings.session_length);
    let user = User { name: user.name, role: user.role };
    with_cookie(axum::Json(SignedIn { user, token }).into_response(), &cookie)
}

/// Says who is signed in.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, body = Session)))]
pub(crate) async fn get_session(caller: Caller) -> Json<Session> {
    Json(Session { user: User { name: caller.user, role: caller.role } })
}

/// Signs out: the token is worth nothing from now on.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204)))]
pub(crate) async fn sign_out(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    sign_in::sign_out(&api, caller).await?;
    let cookie = sign_in::cookie(&api, "", Duration::ZERO);
    with_cookie(StatusCode::NO_CONTENT.into_response(), &cookie)
}

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, Problem> {
    let value = HeaderValue::from_str(cookie).map_err(Problem::internal)?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response)
}
