//! From where console and API may be reached (`SEC-8`).

use crate::body::Body;
use crate::problem::Problem;
use crate::resources::keys::check_networks;
use crate::server::{Answer, Api};
use crate::sign_in::{self, Caller};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The allow list. Empty: from anywhere. The command line on the machine itself always gets in.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Access {
    pub networks: Vec<String>,
    /// From where this was asked.
    pub your_address: String,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessInput {
    /// Addresses or CIDR blocks.
    pub networks: Vec<String>,
    /// Yes, even if it locks me out.
    #[serde(default)]
    pub confirm: bool,
}

/// Reads the allow list.
#[utoipa::path(get, path = "/access", tag = "users", responses((status = 200, body = Access)))]
pub(crate) async fn get_access(State(api): State<Api>, caller: Caller) -> Answer<Access> {
    let networks = api.store(|store| store.access()).await?;
    Ok(Json(Access { networks, your_address: caller.source.to_string() }))
}

/// Replaces the allow list. One that locks out whoever sends it is refused (409) until it is confirmed.
#[utoipa::path(put, path = "/access", tag = "users", request_body = AccessInput, responses((status = 200, body = Access)))]
pub(crate) async fn set_access(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<AccessInput>,
) -> Answer<Access> {
    check_networks(&input.networks)?;
    let your_address = caller.source.to_string();
    let stays = input.networks.is_empty() || sign_in::within(&input.networks, caller.source);
    if !stays && !input.confirm {
        let words = format!("Your own address {your_address} is not in the list: you would be locked out.");
        return Err(Problem::field("networks", words).with_status(StatusCode::CONFLICT));
    }
    let networks = input.networks.clone();
    api.store(move |store| store.set_access(&networks, &caller)).await?;
    Ok(Json(Access { networks: input.networks, your_address }))
}
