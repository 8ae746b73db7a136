//! Records on their way out of the switch: files by interval, a stream to a receiver, and samples of the load. None of
//! it is waited for by anybody: it reads what the database has, and keeps its place there.

mod files;
mod stream;

use crate::clock;
use crate::operator::Facts;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::runtime::Handle;

/// Between looks at what is to be done.
const PERIOD: Duration = Duration::from_millis(500);
const SAMPLES: Duration = Duration::from_secs(10);

/// Starts the tasks; they end with the runtime, wherever they are: what is half done is finished at the next start.
pub fn start(runtime: &Handle, store: &Store, folder: PathBuf, facts: Arc<Facts>) {
    let files = store.clone();
    runtime.spawn(async move {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (store, folder) = (files.clone(), folder.clone());
            let work = move || files::tick(&store, &folder, clock::utc());
            if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
                tracing::error!(%error, "the file of records is not written; trying again");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
    });
    runtime.spawn(stream::run(store.clone()));
    let samples = store.clone();
    runtime.spawn(async move {
        let mut ticks = tokio::time::interval(SAMPLES);
        loop {
            ticks.tick().await;
            let (store, (calls, cps)) = (samples.clone(), facts.take_peaks());
            let noted = tokio::task::spawn_blocking(move || store.note_load(clock::utc(), calls, cps)).await;
            if let Ok(Err(error)) = noted {
                tracing::warn!(%error, "a sample of the load is lost");
            }
        }
    });
}
