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
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// How long an answer of the name service is used.
const REFRESH: Duration = Duration::from_secs(60);
/// A name service that is silent is asked again at the next round.
const LOOKUP_TIME: Duration = Duration::from_secs(10);

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
        loop {
            let changed = tokio::select! {
                change = changes.recv() => match change {
                    Some(()) => true,
                    None => return,
                },
                _ = ticks.tick() => false,
            };
            // A change is in force at once with the addresses that are known; unknown names follow.
            if changed {
                self.configure(resolved.clone()).await;
            }
            let fresh = resolve(self.store.host_names(), &resolved).await;
            if fresh != resolved {
                resolved = fresh;
                self.configure(resolved.clone()).await;
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

/// Looks all names up at the same time. A name that cannot be resolved now keeps the address it had.
async fn resolve(names: Vec<String>, before: &Resolved) -> Resolved {
    let lookups: Vec<_> = names.into_iter().map(|name| tokio::spawn(look_up(name))).collect();
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
async fn look_up(name: String) -> (String, Option<IpAddr>) {
    let found = match timeout(LOOKUP_TIME, tokio::net::lookup_host((name.as_str(), 0))).await {
        Ok(Ok(addresses)) => addresses.map(|a| a.ip().to_canonical()).min_by_key(|ip| (ip.is_ipv6(), *ip)),
        _ => None,
    };
    (name, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_that_fail_keep_their_address() {
        let old: IpAddr = "10.0.0.9".parse().unwrap();
        let before = Resolved::from([("nowhere.invalid".to_string(), old)]);
        let names = vec!["localhost".to_string(), "nowhere.invalid".to_string(), "other.invalid".to_string()];
        let got = resolve(names, &before).await;
        assert!(got["localhost"].is_loopback());
        assert_eq!((got.get("nowhere.invalid"), got.get("other.invalid")), (Some(&old), None));
    }
}
