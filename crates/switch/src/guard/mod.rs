//! Who may be heard at all, and how often: judged from the source address and a glance at the first lines, before any
//! parsing (`SEC-1`, `SEC-4`).
//!
//! | source | what it may send |
//! | --- | --- |
//! | gateways known by address | everything; their limits count calls |
//! | guests: somebody signed in from there lately, or it takes part in a call | what strangers may, without limits of rate |
//! | strangers | what may belong to a call, and where sign-in is possible new INVITEs: within the limits of one source, and of all strangers together, with room set aside for those not heard before |
//!
//! What a guest is cannot be forged: it takes a nonce that went to the address, or a tag or branch that only the peer
//! of a call has seen. So a flood with forged addresses takes nothing from gateways and guests.

mod sources;
mod suspects;

use crate::live::GuardCounters;
use crate::snapshot::Snapshot;
use params::Params;
use sip::{Heard, Peek, PeerPolicy, Standing, StrangerReply};
use sources::{Guests, Limit, Refused, Strangers};
use std::net::IpAddr;
pub(crate) use suspects::RegisterBounds;
use suspects::Suspects;
use vocab::{Flow, Tick};

/// What scanners write into User-Agent or From (`SEC-4`), lower case.
const SCANNERS: [&str; 10] = [
    "friendly-scanner",
    "sipvicious",
    "sundayddr",
    "sipcli",
    "sip-scan",
    "sipscan",
    "vaxsipuseragent",
    "sipsak",
    "iwar",
    "smap",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Known(PeerPolicy),
    /// Tell [`Guard::heard`] what came of it.
    Stranger(PeerPolicy),
    Drop,
}

/// What is remembered of sources that are no gateways. Bounded, whatever comes.
#[derive(Debug)]
pub(crate) struct Guard {
    strangers: Strangers,
    guests: Guests,
    /// Who failed to register, by address and name together.
    suspects: Suspects,
    counters: GuardCounters,
}

impl Guard {
    /// The number must be unknown to the outside: it keeps strangers from pushing a chosen other out of the table.
    pub fn new(secret: u64) -> Guard {
        Guard {
            strangers: Strangers::new(secret),
            guests: Guests::default(),
            suspects: Suspects::default(),
            counters: GuardCounters::default(),
        }
    }

    pub fn counters(&self) -> GuardCounters {
        GuardCounters { guests: self.guests.count(), ..self.counters }
    }

    pub fn judge(&mut self, now: Tick, snapshot: &Snapshot, flow: Flow, bytes: &[u8]) -> Verdict {
        if let Some(policy) = known(snapshot, flow) {
            return Verdict::Known(policy);
        }
        let ip = flow.remote.ip();
        self.counters.bytes_in += bytes.len() as u64;
        let guest = self.guests.contains(now, ip);
        let limits = Limits::of(&snapshot.params);
        if !guest && let Err(refused) = self.strangers.hear(now, ip, bytes.len(), limits.messages) {
            return self.refuse(refused);
        }
        let peek = sip::peek(bytes);
        if peek.method == "REGISTER"
            && peek.from_user.is_some_and(|name| self.suspects.is_suspended(now, ip, name))
        {
            return self.refuse(Refused::Suspended);
        }
        let Some(policy) = may_say(snapshot, &peek) else {
            self.counters.unwanted += 1;
            return Verdict::Drop;
        };
        if guest {
            self.counters.passed += 1;
            return Verdict::Stranger(with_credit(policy, u32::MAX));
        }
        if snapshot.params.flood_drop_scanners && is_scanner(&peek) {
            self.counters.scanners += 1;
            return Verdict::Drop;
        }
        match self.strangers.admit(now, ip, &limits, &peek) {
            Ok(_) if leaves_record(snapshot, &peek) => {
                self.counters.passed += 1;
                Verdict::Stranger(PeerPolicy::default())
            }
            Ok(credit) => {
                self.counters.passed += 1;
                Verdict::Stranger(with_credit(policy, credit))
            }
            Err(refused) => self.refuse(refused),
        }
    }

    fn refuse(&mut self, refused: Refused) -> Verdict {
        *match refused {
            Refused::Source => &mut self.counters.over_source_limit,
            Refused::Total => &mut self.counters.over_total_limit,
            Refused::Suspended => &mut self.counters.suspended,
        } += 1;
        Verdict::Drop
    }

    /// What came of a stranger's message.
    pub fn heard(&mut self, now: Tick, ip: IpAddr, heard: Heard) {
        if heard.recognised {
            self.guests.welcome(now, ip);
        }
        self.counters.bytes_out += u64::from(heard.answered);
        self.strangers.answered(ip, heard.answered);
    }

    /// The caller knew a password.
    pub fn signed_in(&mut self, now: Tick, ip: IpAddr) {
        self.guests.welcome(now, ip);
        self.strangers.forgive(ip);
    }

    /// `SEC-3`: by address and name together, so that a stranger cannot lock out a customer by failing on his name.
    pub fn register_failed(&mut self, now: Tick, ip: IpAddr, name: &str, bounds: RegisterBounds) {
        if self.suspects.failed(now, ip, name, bounds) {
            self.counters.suspensions += 1;
        }
    }

    pub fn register_accepted(&mut self, now: Tick, ip: IpAddr, name: &str) {
        self.suspects.forgive(ip, name);
        self.signed_in(now, ip);
    }

    pub fn is_register_suspended(&mut self, now: Tick, ip: IpAddr, name: &str) -> bool {
        let suspended = self.suspects.is_suspended(now, ip, name);
        self.counters.suspended += u64::from(suspended);
        suspended
    }

    /// `SEC-3`: too many wrong answers in a row, and the address may open nothing for a while.
    pub fn sign_in_failed(&mut self, now: Tick, params: &Params, ip: IpAddr) {
        let limit = params.authentication_max_retry;
        if limit != 0 && self.strangers.failed(now, ip, limit, params.authentication_failed_suspend_s) {
            self.counters.suspensions += 1;
        }
    }
}

/// The limits of strangers, from the parameters.
#[derive(Clone, Copy, Debug)]
struct Limits {
    messages: Limit,
    registers: Limit,
    total: Limit,
}

impl Limits {
    fn of(params: &Params) -> Limits {
        let total = params.flood_total_rate;
        Limits {
            messages: Limit { rate: params.flood_message_rate, burst: params.flood_message_burst },
            registers: Limit { rate: params.flood_register_rate, burst: params.flood_register_burst },
            total: Limit { rate: total, burst: total.div_ceil(2) },
        }
    }
}

/// The habits of the gateway at this address, if there is one.
fn known(snapshot: &Snapshot, flow: Flow) -> Option<PeerPolicy> {
    let policy = |reply_address, request_address| PeerPolicy {
        reply_address,
        request_address,
        standing: Standing::Known,
    };
    let mapping = snapshot.mapping_by_source(flow.remote).next();
    mapping.map(|g| policy(g.reply_address, g.request_address)).or_else(|| {
        let routing = snapshot.routing_by_source(flow.remote)?;
        Some(policy(routing.reply_address, routing.request_address))
    })
}

/// `SEC-1`: nothing is accepted from an unknown address unless it can still authenticate. A response is matched against
/// unguessable branches, a request inside a dialog against unguessable tags; the engine drops what fits none.
fn may_say(snapshot: &Snapshot, peek: &Peek<'_>) -> Option<StrangerReply> {
    let params = &snapshot.params;
    let sign_in =
        snapshot.has_password_gateways() && matches!(peek.method, "INVITE" | "ACK" | "CANCEL" | "REGISTER");
    match () {
        () if peek.is_response || peek.in_dialog => Some(StrangerReply::Silence),
        () if sign_in => Some(StrangerReply::Challenge),
        () if params.reply_unauthorized && peek.looks_like_sip => Some(StrangerReply::Forbid),
        () => None,
    }
}

/// Strangers' calls that leave a CDR go the way of all calls.
fn leaves_record(snapshot: &Snapshot, peek: &Peek<'_>) -> bool {
    let params = &snapshot.params;
    let recorded = params.reply_unauthorized && params.billing_record_illegal_call;
    recorded && !snapshot.has_password_gateways() && matches!(peek.method, "INVITE" | "ACK" | "CANCEL")
}

fn with_credit(reply: StrangerReply, credit: u32) -> PeerPolicy {
    PeerPolicy { standing: Standing::Stranger { reply, credit }, ..PeerPolicy::default() }
}

fn is_scanner(peek: &Peek<'_>) -> bool {
    let marked = |text: &str| {
        let lower = text.get(..64).unwrap_or(text).to_ascii_lowercase();
        SCANNERS.iter().any(|mark| lower.contains(mark))
    };
    peek.user_agent.is_some_and(marked) || peek.from_user.is_some_and(marked)
}

#[cfg(test)]
mod tests;
