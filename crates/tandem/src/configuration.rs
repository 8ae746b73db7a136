//! From the stored configuration to the brain: host names of gateways are looked up, and a new snapshot is built,
//! whenever the configuration changes or a name means another address. Neither happens on the signalling thread
//! (`R-28`). Opening balances that came with new accounts are paid in.

use crate::signalling::{Control, Inbox};
use crate::tcp::TcpSender;
use billing::ledger::PostingKind;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{PendingPayment, Store};
use switch::{ControlReply, ControlRequest, Snapshot};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

/// How long an answer of the name service is used.
const REFRESH: Duration = Duration::from_secs(60);
/// A name service that is silent is asked again at the next round.
const LOOKUP_TIME: Duration = Duration::from_secs(10);

/// Names asked for at a time: each that hangs holds a thread of those that build snapshots, too.
const LOOKUPS: usize = 16;

pub type Resolved = HashMap<String, IpAddr>;

/// Passes on each change of the configuration, from a thread of its own because the store's channel blocks.
pub fn watch(store: &Store) -> mpsc::Receiver<()> {
    let changes = store.watch();
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        while changes.recv().is_ok() {
            // One notice is enough, however many changes it stands for.
            if matches!(sender.try_send(()), Err(mpsc::error::TrySendError::Closed(()))) {
                return;
            }
        }
    });
    receiver
}

/// Brings the stored configuration into force.
pub struct Configurator {
    pub store: Store,
    pub inbox: Arc<Inbox>,
    pub tcp: TcpSender,
    /// Version of the configuration that is in force, opening balances included.
    pub in_force: watch::Sender<u64>,
}

impl Configurator {
    /// Keeps the brain up to date until the task is dropped.
    pub async fn run(self, mut changes: mpsc::Receiver<()>) {
        let mut resolved = Resolved::new();
        let mut ticks = tokio::time::interval(REFRESH);
        let mut lookups = tokio::task::JoinSet::new();
        let (room, mut asked) = (Arc::new(Semaphore::new(LOOKUPS)), Vec::new());
        loop {
            // A name service that hangs holds up nothing but its own answer (`R-28`).
            let names = tokio::select! {
                change = changes.recv() => {
                    if change.is_none() {
                        return;
                    }
                    // In force at once with the addresses that are known; unknown names follow.
                    self.configure(resolved.clone()).await;
                    self.store.host_names()
                }
                _ = ticks.tick() => self.store.host_names(),
                Some(Ok(fresh)) = lookups.join_next() => {
                    if fresh != resolved {
                        resolved = fresh;
                        self.configure(resolved.clone()).await;
                    }
                    continue;
                }
            };
            // The latest names count: who is still asked for older ones is not waited for.
            if lookups.is_empty() || names != asked {
                lookups.abort_all();
                asked.clone_from(&names);
                lookups.spawn(resolve(names, resolved.clone(), look_up, room.clone()));
            }
        }
    }

    async fn configure(&self, resolved: Resolved) {
        let store = self.store.clone();
        // A large rate group takes a while to build: not on a thread that serves the API.
        match tokio::task::spawn_blocking(move || build(&store, &resolved)).await {
            Ok(Ok(snapshot)) => {
                let version = snapshot.version;
                self.tcp.configure(snapshot.clone());
                self.inbox.configure(snapshot);
                self.pay_opening_balances().await;
                self.in_force.send_replace(version);
            }
            Ok(Err(error)) => tracing::error!(%error, "the configuration cannot be put into force"),
            Err(error) => tracing::error!(%error, "building the configuration"),
        }
    }

    /// Pays in what was ordered with new accounts, now or before a crash. The key makes repetition harmless.
    pub async fn pay_opening_balances(&self) {
        let pending = match self.store.pending_payments() {
            Ok(pending) => pending,
            Err(error) => return tracing::error!(%error, "opening balances cannot be read"),
        };
        for PendingPayment { account, amount, key, by } in pending {
            let (note, key) = ("opening balance".into(), Some(key));
            let request = ControlRequest::Pay { account, kind: PostingKind::Payment, amount, by, note, key };
            let (reply, answer) = oneshot::channel();
            self.inbox.control(Control { request, reply });
            match answer.await {
                Ok(ControlReply::Paid { .. }) => {}
                Ok(ControlReply::Refused(why)) => {
                    tracing::error!(%account, %why, "opening balance not paid in")
                }
                Ok(_) | Err(_) => tracing::error!(%account, "opening balance not paid in"),
            }
        }
    }
}

pub fn build(store: &Store, resolved: &Resolved) -> Result<Arc<Snapshot>, String> {
    store.snapshot(resolved).map_err(|e| e.to_string())
}

/// Looks the names up, some at the same time. A name that cannot be resolved now keeps the address it had.
async fn resolve<F>(
    names: Vec<String>,
    before: Resolved,
    look_up: fn(String) -> F,
    room: Arc<Semaphore>,
) -> Resolved
where
    F: Future<Output = Option<IpAddr>> + Send + 'static,
{
    let ask = |name: String| {
        let room = room.clone();
        tokio::spawn(async move {
            let _place = room.acquire().await;
            let found = timeout(LOOKUP_TIME, look_up(name.clone())).await.ok().flatten();
            (name, found)
        })
    };
    let lookups: Vec<_> = names.into_iter().map(ask).collect();
    let mut resolved = Resolved::new();
    for lookup in lookups {
        let Ok((name, found)) = lookup.await else { continue };
        match found.or_else(|| before.get(&name).copied()) {
            Some(ip) => drop(resolved.insert(name, ip)),
            None => tracing::warn!(%name, "the host name of a gateway cannot be resolved"),
        }
    }
    resolved
}

/// IPv4 first where there is both; the lowest of several, so that the choice is the same each time.
async fn look_up(name: String) -> Option<IpAddr> {
    let addresses = tokio::net::lookup_host((name.as_str(), 0)).await.ok()?;
    addresses.map(|a| a.ip().to_canonical()).min_by_key(|ip| (ip.is_ipv6(), *ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn names_that_fail_keep_their_address() {
        let old: IpAddr = "10.0.0.9".parse().unwrap();
        let before = Resolved::from([("nowhere.invalid".to_string(), old)]);
        let names = vec!["localhost".to_string(), "nowhere.invalid".to_string(), "other.invalid".to_string()];
        let got = resolve(names, before, look_up, Arc::new(Semaphore::new(4))).await;
        assert!(got["localhost"].is_loopback());
        assert_eq!((got.get("nowhere.invalid"), got.get("other.invalid")), (Some(&old), None));
    }

    /// A name service that hangs for some names and refuses to be asked for many at a time.
    async fn half_dead(name: String) -> Option<IpAddr> {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        assert!(ASKED.fetch_add(1, Ordering::SeqCst) < 16, "too many names at a time");
        if name.starts_with("dead") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ASKED.fetch_sub(1, Ordering::SeqCst);
        "10.0.0.1".parse().ok().filter(|_| name.starts_with("good"))
    }

    #[tokio::test]
    async fn names_are_asked_for_a_few_at_a_time() {
        let names = (0..40).map(|n| format!("dead{n}.example")).chain(["good.example".to_string()]);
        let room = Arc::new(Semaphore::new(LOOKUPS));
        let got = resolve(names.collect(), Resolved::new(), half_dead, room).await;
        assert_eq!(got.keys().collect::<Vec<_>>(), ["good.example"]);
    }
}
