//! Who is registered where (`SIG-10`): phones, and gateways that register with us. Pure: the journal, the clock and the
//! wire belong to the callers.

use serde::{Deserialize, Serialize};
use sip::register::ContactUpdate;
use sip::uri::Uri;
use sip::{Contacts, Registration, RegistrationAnswer};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;
use vocab::{Flow, Transport, Utc};

/// RFC 3261 §10.3 step 7: shorter ones are answered 423. No longer than the shortest bound that may be set.
const MIN_EXPIRES_S: u32 = 30;

/// Whose registration it is, by the id of its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Registrant {
    Phone(u32),
    MappingGateway(u32),
    RoutingGateway(u32),
}

/// One contact of a registrant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub uri: String,
    /// In thousandths; the higher is tried first.
    pub q: u16,
    pub expires: Utc,
    /// The way the REGISTER came.
    pub flow: Flow,
    pub path: Vec<String>,
    pub call_id: String,
    pub cseq: u32,
    pub user_agent: Option<String>,
    /// The device believes to be where it is not (`SIG-12`).
    pub behind_nat: bool,
    pub since: Utc,
    pub renewed: Utc,
}

/// All contacts of a registrant, as they are from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    pub who: Registrant,
    pub bindings: Vec<Binding>,
}

/// What the parameters allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub expire_s: u32,
    pub nat_expire_s: u32,
    pub replace: bool,
    pub max_contacts: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Registrar {
    table: HashMap<Registrant, Vec<Binding>>,
    expiries: BinaryHeap<Reverse<(Utc, Registrant)>>,
}

impl Registrar {
    /// Takes up what was registered before a restart.
    pub fn restore(&mut self, now: Utc, all: Vec<Registered>) {
        for Registered { who, mut bindings } in all {
            bindings.retain(|b| b.expires > now);
            self.put(who, bindings);
        }
    }

    fn put(&mut self, who: Registrant, bindings: Vec<Binding>) {
        self.expiries.extend(bindings.iter().map(|b| Reverse((b.expires, who))));
        if bindings.is_empty() {
            self.table.remove(&who);
        } else {
            self.table.insert(who, bindings);
        }
    }

    /// What a REGISTER whose sender has proved who it is makes of the table; an error: the answer, nothing has changed.
    pub fn update(
        &mut self,
        now: Utc,
        who: Registrant,
        asked: &Registration,
        bounds: Bounds,
    ) -> Result<Registered, RegistrationAnswer> {
        let mut bindings = self.table.get(&who).cloned().unwrap_or_default();
        bindings.retain(|b| b.expires > now);
        match &asked.contacts {
            Contacts::Query => return Ok(Registered { who, bindings }),
            Contacts::RemoveAll => {
                if bindings.iter().any(|b| is_out_of_order(b, asked)) {
                    return Err(refused(500, "Out of order"));
                }
                bindings.clear();
            }
            Contacts::Update(list) => {
                for contact in list {
                    change(now, &mut bindings, contact, asked, bounds)?;
                }
            }
        }
        // RFC 3261 §10.3: all of it, or nothing.
        self.put(who, bindings.clone());
        Ok(Registered { who, bindings })
    }

    pub fn remove(&mut self, who: Registrant) -> bool {
        self.table.remove(&who).is_some()
    }

    /// Drops what has run out, and whom `keep` does not know any more.
    pub fn expire(&mut self, now: Utc) {
        while let Some(Reverse((at, who))) = self.expiries.peek().copied() {
            if at > now {
                break;
            }
            self.expiries.pop();
            let Some(bindings) = self.table.get_mut(&who) else { continue };
            bindings.retain(|b| b.expires > now);
            if bindings.is_empty() {
                self.table.remove(&who);
            }
        }
    }

    pub fn retain(&mut self, mut keep: impl FnMut(Registrant) -> bool) {
        self.table.retain(|who, _| keep(*who));
    }

    /// Contacts that hold now, the best first.
    pub fn bindings(&self, now: Utc, who: Registrant) -> Vec<&Binding> {
        let mut found: Vec<&Binding> =
            self.table.get(&who).into_iter().flatten().filter(|b| b.expires > now).collect();
        found.sort_by_key(|b| Reverse(b.q));
        found
    }

    pub fn is_registered(&self, now: Utc, who: Registrant) -> bool {
        self.table.get(&who).is_some_and(|all| all.iter().any(|b| b.expires > now))
    }

    pub fn all(&self) -> Vec<Registered> {
        let mut all: Vec<Registered> =
            self.table.iter().map(|(who, b)| Registered { who: *who, bindings: b.clone() }).collect();
        all.sort_by_key(|r| r.who);
        all
    }

    /// Where devices behind NAT are kept reachable, in a fixed order.
    pub fn behind_nat(&self) -> Vec<Flow> {
        let held = self.table.values().flatten();
        let mut flows: Vec<Flow> =
            held.filter(|b| b.behind_nat && b.flow.transport == Transport::Udp).map(|b| b.flow).collect();
        flows.sort_by_key(|f| f.remote);
        flows.dedup_by_key(|f| f.remote);
        flows
    }
}

fn refused(status: u16, phrase: &'static str) -> RegistrationAnswer {
    RegistrationAnswer::Refused { status, phrase: Some(phrase) }
}

/// RFC 3261 §10.3 step 7: a request that is older than what it would change.
fn is_out_of_order(binding: &Binding, asked: &Registration) -> bool {
    binding.call_id == asked.call_id && asked.cseq <= binding.cseq
}

fn change(
    now: Utc,
    bindings: &mut Vec<Binding>,
    contact: &ContactUpdate,
    asked: &Registration,
    bounds: Bounds,
) -> Result<(), RegistrationAnswer> {
    let at = bindings.iter().position(|b| is_same_place(&b.uri, &contact.uri));
    let known = at.and_then(|i| bindings.get(i));
    if known.is_some_and(|b| is_out_of_order(b, asked)) {
        return Err(refused(500, "Out of order"));
    }
    let behind_nat = is_behind_nat(&contact.uri, asked);
    let longest = if behind_nat { bounds.nat_expire_s.min(bounds.expire_s) } else { bounds.expire_s };
    let wanted = contact.expires_s.unwrap_or(longest);
    if wanted == 0 {
        if let Some(at) = at {
            bindings.remove(at);
        }
        return Ok(());
    }
    if wanted < MIN_EXPIRES_S {
        return Err(RegistrationAnswer::TooBrief { min_expires_s: MIN_EXPIRES_S });
    }
    let binding = Binding {
        uri: contact.uri.clone(),
        q: contact.q,
        expires: now + Duration::from_secs(wanted.min(longest).into()),
        flow: asked.flow,
        path: asked.path.clone(),
        call_id: asked.call_id.clone(),
        cseq: asked.cseq,
        user_agent: asked.user_agent.clone(),
        behind_nat,
        since: known.map_or(now, |b| b.since),
        renewed: now,
    };
    if let Some(place) = at.and_then(|i| bindings.get_mut(i)) {
        *place = binding;
        return Ok(());
    }
    let of_others = |b: &Binding| b.call_id != asked.call_id;
    if !bounds.replace && bindings.iter().any(of_others) {
        return Err(refused(403, "Registered elsewhere"));
    }
    if bindings.len() >= bounds.max_contacts.max(1) {
        let oldest = bindings.iter().enumerate().filter(|(_, b)| of_others(b)).min_by_key(|(_, b)| b.renewed);
        let Some((oldest, _)) = oldest else { return Err(refused(403, "Too many contacts")) };
        bindings.remove(oldest);
    }
    bindings.push(binding);
    Ok(())
}

/// RFC 3261 §19.1.4, as far as it tells one device's contacts from another's.
fn is_same_place(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (Uri::parse(one), Uri::parse(other)) else { return one == other };
    let transport = |u: &Uri<'_>| u.param("transport").map(str::to_ascii_lowercase);
    one.scheme() == other.scheme()
        && one.user_unescaped() == other.user_unescaped()
        && one.host().eq_ignore_ascii_case(other.host())
        && one.port() == other.port()
        && transport(&one) == transport(&other)
}

/// `SIG-12`: Contact or Via name another address than the one that the request came from. Behind a proxy that asks to
/// be passed (Path) the source is the proxy's.
fn is_behind_nat(contact: &str, asked: &Registration) -> bool {
    if !asked.path.is_empty() {
        return false;
    }
    let source = asked.flow.remote.ip().to_canonical();
    let contact = Uri::parse(contact).and_then(|u| u.host_ip());
    contact != Some(source) || asked.sent_by.is_some_and(|ip| ip.to_canonical() != source)
}

impl Binding {
    /// Where a request to this contact is sent. A device may name another port of its own address; to other
    /// addresses than the one that knew the password nothing is ever sent.
    pub fn target(&self) -> SocketAddr {
        let remote = self.flow.remote;
        if self.behind_nat || self.flow.transport != Transport::Udp || !self.path.is_empty() {
            return remote;
        }
        let port = Uri::parse(&self.uri).map(|u| u.port().unwrap_or(5060));
        port.filter(|port| *port != 0).map_or(remote, |port| SocketAddr::new(remote.ip(), port))
    }
}

/// The answer that names all contacts with the time they have left.
pub(crate) fn accepted(now: Utc, registered: &Registered, asked: &Registration) -> RegistrationAnswer {
    let left = |b: &Binding| u32::try_from((b.expires.0 - now.0) / 1_000_000).unwrap_or(0);
    let contact = |b: &Binding| ContactUpdate { uri: b.uri.clone(), q: b.q, expires_s: Some(left(b)) };
    RegistrationAnswer::Accepted {
        contacts: registered.bindings.iter().map(contact).collect(),
        path: if asked.supports_path { asked.path.clone() } else { Vec::new() },
    }
}
