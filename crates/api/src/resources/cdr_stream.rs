//! The stream of records to a receiver of the operator's: where it stands, and setting it back.

use crate::body::Body;
use crate::problem::Problem;
use crate::records::{STREAM, StreamState, new_secret};
use crate::server::{Answer, Api};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vocab::Seq;

/// Where the stream of records stands. It is switched on by EXTERNAL_SEND_CDR and goes to
/// SERVER_CDR_REAL_TIME_REPORT_SERVER.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CdrStream {
    pub enabled: bool,
    pub url: String,
    /// Each delivery bears `X-Tandem-Signature`: HMAC-SHA256 with this secret of `X-Tandem-Time`, a point and the body.
    pub secret: String,
    /// Number of the last record that was taken.
    pub after: String,
    /// Does a record wait?
    pub waiting: bool,
    pub delivered: u64,
    /// Tries in a row that failed, and why the last one did.
    pub failures: u64,
    pub error: Option<String>,
}

/// From where the records are to be sent again.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CdrStreamPlace {
    /// Number of the last record that is not to be sent; "0" is everything.
    pub after: String,
}

/// Says where the stream of records stands.
#[utoipa::path(get, path = "/cdr-stream", tag = "cdrs", responses((status = 200, body = CdrStream)))]
pub(crate) async fn get_cdr_stream(State(api): State<Api>) -> Answer<CdrStream> {
    let view = api.store(read).await?;
    Ok(Json(view))
}

/// Sets the place of the stream: what comes after it is sent, whether it was sent before or not.
#[utoipa::path(put, path = "/cdr-stream", tag = "cdrs", request_body = CdrStreamPlace, responses((status = 200, body = CdrStream)))]
pub(crate) async fn set_cdr_stream(
    State(api): State<Api>,
    Body(place): Body<CdrStreamPlace>,
) -> Answer<CdrStream> {
    let after =
        place.after.parse::<u64>().map_err(|_| Problem::field("after", "expected the number of a record"))?;
    let view = api
        .store(move |store| {
            let last = store.applied()?;
            if store.place_of::<StreamState>(STREAM)?.is_none() {
                let secret = new_secret().unwrap_or_default();
                store.set_place(
                    STREAM,
                    Some(&StreamState { secret, after: last, ..StreamState::default() }),
                )?;
            }
            store.change_place::<StreamState>(STREAM, |state| {
                state.after = Seq(after).min(last);
                state.batch = None;
                state.generation += 1;
                state.failures = 0;
                state.error = None;
            })?;
            read(store)
        })
        .await?;
    Ok(Json(view))
}

fn read(store: &store::Store) -> Result<CdrStream, store::StoreError> {
    let state: StreamState = store.place_of(STREAM)?.unwrap_or_default();
    let params = store.config().params.clone();
    let waiting = !state.secret.is_empty() && !store.cdrs_after(state.after, 1)?.is_empty();
    Ok(CdrStream {
        enabled: params.external_send_cdr,
        url: params.cdr_report_server.to_string(),
        secret: state.secret,
        after: state.after.to_string(),
        waiting,
        delivered: state.delivered,
        failures: state.failures,
        error: state.error,
    })
}
