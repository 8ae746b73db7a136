//! Records to a receiver of the operator's, by HTTP: each batch is sent until it is taken (any 2xx), in order, with
//! longer and longer waits. A batch that is sent again is the same, bears the same number, and so can be told from a
//! new one. What waits stays in the database: memory holds one batch.

use api::records::{self, STREAM, StreamState};
use std::time::Duration;
use store::Store;
use vocab::Seq;

/// Records of a delivery at most.
const BATCH: usize = 200;
const PERIOD: Duration = Duration::from_millis(300);
const ANSWER: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

enum Outcome {
    /// More may wait.
    Sent,
    Nothing,
    Failed,
}

pub async fn run(store: Store) {
    let mut failures = 0u32;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(ANSWER))
        .max_redirects(0)
        .proxy(None)
        .build()
        .into();
    loop {
        let (store, agent) = (store.clone(), agent.clone());
        let outcome = tokio::task::spawn_blocking(move || step(&store, &agent)).await;
        match outcome {
            Ok(Ok(Outcome::Sent)) => failures = 0,
            Ok(Ok(Outcome::Nothing)) => tokio::time::sleep(PERIOD).await,
            other => {
                if let Ok(Err(error)) = other {
                    tracing::error!(%error, "the stream of records cannot be read");
                }
                // 0.5, 1, 2 … 60 s.
                let wait = Duration::from_millis(500).saturating_mul(1 << failures.min(10));
                failures = failures.saturating_add(1);
                tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
            }
        }
    }
}

/// Sends one batch.
fn step(store: &Store, agent: &ureq::Agent) -> Result<Outcome, store::StoreError> {
    let params = store.config().params.clone();
    if !params.external_send_cdr || params.cdr_report_server.is_empty() {
        return Ok(Outcome::Nothing);
    }
    let Some(mut state) = store.place_of::<StreamState>(STREAM)? else {
        // From now on; what was before can be asked for.
        let secret = records::new_secret().unwrap_or_default();
        let state = StreamState { secret, after: store.applied()?, ..StreamState::default() };
        store.set_place(STREAM, Some(&state))?;
        return Ok(Outcome::Nothing);
    };
    let mut batch = store.cdrs_after(state.after, BATCH)?;
    if let Some(last) = state.batch {
        batch.retain(|(seq, _)| *seq <= last);
    }
    let Some(last) = batch.last().map(|(seq, _)| *seq) else { return Ok(Outcome::Nothing) };
    if state.batch.is_none() {
        let generation = state.generation;
        let noted = store.change_place::<StreamState>(STREAM, |now| {
            if now.generation == generation {
                now.batch = Some(last);
            }
        })?;
        match noted {
            Some(noted) if noted.generation == generation => state = noted,
            _ => return Ok(Outcome::Sent),
        }
    }
    let sent = send(agent, &params.cdr_report_server, &state, &batch);
    took(store, &state, last, batch.len() as u64, sent)
}

fn took(
    store: &Store,
    state: &StreamState,
    last: Seq,
    count: u64,
    sent: Result<(), String>,
) -> Result<Outcome, store::StoreError> {
    let failed = sent.is_err();
    if let Err(error) = &sent
        && state.failures == 0
    {
        tracing::warn!(%error, "the receiver of records does not take them; trying again");
    }
    store.change_place::<StreamState>(STREAM, |now| {
        if now.generation != state.generation {
            return;
        }
        match sent {
            Ok(()) => {
                now.after = last;
                now.batch = None;
                now.delivered = now.delivered.saturating_add(count);
                (now.failures, now.error) = (0, None);
            }
            Err(error) => {
                now.failures = now.failures.saturating_add(1);
                now.error = Some(error);
            }
        }
    })?;
    Ok(if failed { Outcome::Failed } else { Outcome::Sent })
}

fn send(
    agent: &ureq::Agent,
    url: &str,
    state: &StreamState,
    batch: &[(Seq, cdr::Cdr)],
) -> Result<(), String> {
    let delivery = records::delivery(state, batch);
    let time = (crate::clock::utc().0 / 1_000_000).to_string();
    let signature = records::signature(&state.secret, &time, &delivery.body);
    let answer = agent
        .post(url)
        .header("Content-Type", "application/json")
        .header("X-Tandem-Delivery", &delivery.id)
        .header("X-Tandem-Time", &time)
        .header("X-Tandem-Signature", &signature)
        .send(&delivery.body)
        .map_err(|e| e.to_string())?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("the receiver answers with status {status}")),
    }
}
