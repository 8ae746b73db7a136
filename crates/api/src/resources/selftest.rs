//! The self-test (`DBG-11`): a call through the running switch, by its own peers.

use crate::brain::SelfTest;
use crate::problem::Problem;
use crate::server::{Answer, Api};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Places a call through the switch with its own customer and vendor, and says step by step what was seen: signalling,
/// audio both ways, a digit, record and charge. Takes a few seconds; nobody's money is touched.
#[utoipa::path(post, path = "/selftest", tag = "system", responses((status = 200, body = SelfTest)))]
pub(crate) async fn run_self_test(State(api): State<Api>) -> Answer<SelfTest> {
    let busy = || Problem::new(StatusCode::CONFLICT, "A self-test is under way, or cannot be made here.");
    api.brain.self_test().await.map(Json).ok_or_else(busy)
}
