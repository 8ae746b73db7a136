//! What is done for vendors' trunks beside calls: registration with them (`SIG-8`) and the question whether they are
//! there (`SIG-11`).

use crate::brain::Switch;
use crate::interface::VendorState;
use crate::snapshot::{OutboundRegistration, RoutingGateway, Snapshot};
use params::UserAgentPrivacy;
use sip::errand::{ErrandId, Outcome, Register, Request, RequestKind};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use vocab::{Now, RoutingGatewayId, Tick, Utc};

/// Questions in a row without an answer before a trunk is offline, and answers before it is online again.
const MISSES: u32 = 2;
const HITS: u32 = 1;
/// Until it is known better, a trunk that fell silent is asked more often.
const RECHECK: Duration = Duration::from_secs(10);
/// Waits between copies of an OPTIONS: who is there answers at once, and who is not shall be known soon.
const CHECK_RESENDS_MS: [u32; 3] = [500, 1000, 2000];
/// How many times longer the wait after failures may become.
const MAX_BACK_OFF: u32 = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnlineState {
    /// Nobody asks.
    #[default]
    Unchecked,
    /// Asked, and no answer yet: taken for online.
    Unknown,
    Online,
    Offline,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutboundState {
    #[default]
    NotWanted,
    Trying,
    Registered,
    /// It is tried again later.
    Failed,
}

#[derive(Debug, Default)]
struct Vendor {
    online: OnlineState,
    next_check: Tick,
    check: Option<ErrandId>,
    misses: u32,
    hits: u32,
    last_answer: Option<Utc>,
    registration: Outbound,
}

#[derive(Debug, Default)]
struct Outbound {
    /// What was asked for; a change begins anew.
    wanted: Option<OutboundRegistration>,
    state: OutboundState,
    errand: Option<ErrandId>,
    call_id: String,
    cseq: u32,
    next: Tick,
    expires: Option<Tick>,
    failures: u32,
    /// Of the last answer.
    status: u16,
    words: String,
    /// The vendor's shortest time (423).
    min_expires_s: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Vendors {
    table: BTreeMap<RoutingGatewayId, Vendor>,
    errands: HashMap<ErrandId, (RoutingGatewayId, bool)>,
}

impl Vendors {
    pub fn is_usable(&self, gateway: &RoutingGateway) -> bool {
        let fit =
            |v: &Vendor| v.online != OnlineState::Offline && v.registration.state != OutboundState::Failed;
        self.table.get(&gateway.route.id).is_none_or(fit)
    }

    pub fn states(&self, now: Now) -> Vec<(RoutingGatewayId, VendorState)> {
        let left = |v: &Vendor| v.registration.expires.map(|at| at.since(now.tick).as_secs());
        let state = |v: &Vendor| VendorState {
            online: v.online,
            last_answer: v.last_answer,
            registration: v.registration.state,
            status: v.registration.status,
            words: v.registration.words.clone(),
            expires_in_s: left(v).and_then(|s| u32::try_from(s).ok()),
            retry_in_s: (v.registration.state == OutboundState::Failed)
                .then(|| u32::try_from(v.registration.next.since(now.tick).as_secs()).unwrap_or(u32::MAX)),
        };
        self.table.iter().map(|(id, v)| (*id, state(v))).collect()
    }
}

impl Switch {
    /// Once a second: whose turn is it?
    pub(crate) fn look_after_vendors(&mut self, now: Now) {
        let snapshot = self.snapshot.clone();
        let gone = |id: &RoutingGatewayId| !snapshot.routing_gateways.contains_key(id);
        self.vendors.table.retain(|id, _| !gone(id));
        for (id, gateway) in &snapshot.vendor_gateways {
            let watched = gateway.check_interval_s != 0 || gateway.registration.is_some();
            if !watched && !self.vendors.table.contains_key(id) {
                continue;
            }
            self.check_vendor(now, *id, gateway);
            self.register_with(now, *id, gateway);
        }
    }

    fn check_vendor(&mut self, now: Now, id: RoutingGatewayId, gateway: &RoutingGateway) {
        let vendor = self.vendors.table.entry(id).or_default();
        if gateway.check_interval_s == 0 || !gateway.route.enabled {
            (vendor.online, vendor.misses, vendor.hits) = (OnlineState::Unchecked, 0, 0);
            return;
        }
        if vendor.online == OnlineState::Unchecked {
            vendor.online = OnlineState::Unknown;
            // Spread, so that not all trunks are asked in one moment.
            let spread = u64::from(id.0) % 10;
            vendor.next_check = now.tick + Duration::from_millis(spread * 100);
        }
        if vendor.check.is_some() || now.tick < vendor.next_check {
            return;
        }
        vendor.next_check = now.tick + Duration::from_secs(gateway.check_interval_s.into());
        let Some(request) = self.request_to(now, gateway, RequestKind::Options) else { return };
        let errand = self.endpoint.send_request(now, request);
        self.vendors.errands.insert(errand, (id, true));
        if let Some(vendor) = self.vendors.table.get_mut(&id) {
            vendor.check = Some(errand);
        }
    }

    fn request_to(&self, now: Now, gateway: &RoutingGateway, kind: RequestKind) -> Option<Request> {
        let place = self.places(now, gateway).into_iter().next()?;
        let host = match &gateway.registration {
            Some(registration) => Some(registration.domain.clone()),
            None => gateway.host.clone(),
        };
        let listener = place.listener.unwrap_or_else(|| self.listener_for(gateway.transport, place.target));
        let resend = match kind {
            RequestKind::Options => CHECK_RESENDS_MS.into(),
            RequestKind::Register(_) => gateway.params.sip_resend_interval_ms.clone(),
        };
        Some(Request {
            target: place.target,
            transport: place.transport,
            listener,
            host: host.filter(|h| !h.is_empty()),
            kind,
            resend_intervals_ms: resend,
        })
    }

    pub(crate) fn on_errand(&mut self, now: Now, errand: ErrandId, outcome: Outcome) {
        let Some((id, is_check)) = self.vendors.errands.remove(&errand) else { return };
        let snapshot = self.snapshot.clone();
        let Some(vendor) = self.vendors.table.get_mut(&id) else { return };
        if is_check {
            return vendor.checked(now, &outcome);
        }
        let Some(gateway) = snapshot.routing_gateways.get(&id) else { return };
        if vendor.registration.errand == Some(errand) {
            vendor.registration.answered(now, gateway, &outcome);
        }
    }

    fn register_with(&mut self, now: Now, id: RoutingGatewayId, gateway: &RoutingGateway) {
        let wanted = gateway.registration.as_ref().filter(|_| gateway.route.enabled && !self.draining);
        let Some(vendor) = self.vendors.table.get_mut(&id) else { return };
        let outbound = &mut vendor.registration;
        if outbound.wanted.as_ref() != wanted {
            let fresh = format!("{:016x}{:08x}", self.random.next_u64(), id.0);
            let state = if wanted.is_some() { OutboundState::Trying } else { OutboundState::NotWanted };
            *outbound = Outbound { wanted: wanted.cloned(), state, call_id: fresh, ..Outbound::default() };
        }
        if wanted.is_none() || outbound.errand.is_some() || now.tick < outbound.next {
            return;
        }
        if outbound.expires.is_some_and(|at| now.tick >= at) {
            outbound.expires = None;
            outbound.state = OutboundState::Trying;
        }
        let asked = match gateway.params.sip_user_agent_expire_s {
            0 => gateway.registration.as_ref().and_then(|r| r.expires_s).unwrap_or(3600),
            seconds => gateway.registration.as_ref().and_then(|r| r.expires_s).unwrap_or(seconds),
        };
        let expires_s = asked.max(outbound.min_expires_s);
        self.send_register(now, id, gateway, expires_s);
    }

    fn send_register(&mut self, now: Now, id: RoutingGatewayId, gateway: &RoutingGateway, expires_s: u32) {
        let Some(registration) = &gateway.registration else { return };
        let Some(outbound) = self.vendors.table.get_mut(&id).map(|v| &mut v.registration) else { return };
        outbound.cseq = outbound.cseq.wrapping_add(1);
        let params = &gateway.params;
        let register = Register {
            user: registration.user.clone(),
            credentials: registration.credentials.clone(),
            authentication_retries: u8::try_from(params.sip_authentication_retry).unwrap_or(u8::MAX),
            expires_s: Some(expires_s),
            call_id: outbound.call_id.clone(),
            cseq: outbound.cseq,
            privacy: match params.sip_user_agent_privacy {
                UserAgentPrivacy::Ignore => None,
                UserAgentPrivacy::None => Some("none"),
                UserAgentPrivacy::Id => Some("id"),
            },
        };
        let Some(request) = self.request_to(now, gateway, RequestKind::Register(Box::new(register))) else {
            return;
        };
        let errand = self.endpoint.send_request(now, request);
        self.vendors.errands.insert(errand, (id, false));
        if let Some(vendor) = self.vendors.table.get_mut(&id) {
            vendor.registration.errand = Some(errand);
        }
    }

    /// At the stop (`SS_SIP_USER_AGENT_SEND_UNREGISTER`).
    pub(crate) fn unregister_everywhere(&mut self, now: Now) {
        let snapshot: std::sync::Arc<Snapshot> = self.snapshot.clone();
        let registered = |v: &&RoutingGatewayId| {
            self.vendors.table.get(v).is_some_and(|v| v.registration.state == OutboundState::Registered)
        };
        let ids: Vec<RoutingGatewayId> =
            snapshot.vendor_gateways.keys().filter(registered).copied().collect();
        for id in ids {
            let Some(gateway) = snapshot.routing_gateways.get(&id) else { continue };
            if !gateway.params.sip_user_agent_send_unregister {
                continue;
            }
            self.send_register(now, id, gateway, 0);
            if let Some(vendor) = self.vendors.table.get_mut(&id) {
                vendor.registration.state = OutboundState::NotWanted;
                vendor.registration.expires = None;
            }
        }
    }
}

impl Vendor {
    /// Any answer shows that somebody is there; 408 and 503 come from a proxy that found nobody, or from one that
    /// wants no calls.
    fn checked(&mut self, now: Now, outcome: &Outcome) {
        self.check = None;
        let there = matches!(outcome, Outcome::Response { status, .. } if !matches!(status, 408 | 503));
        if there {
            (self.misses, self.hits) = (0, self.hits.saturating_add(1));
            self.last_answer = Some(now.utc);
            if self.hits >= HITS {
                self.online = OnlineState::Online;
            }
            return;
        }
        (self.misses, self.hits) = (self.misses.saturating_add(1), 0);
        if self.misses >= MISSES {
            self.online = OnlineState::Offline;
        }
        self.next_check = self.next_check.min(now.tick + RECHECK);
    }
}

impl Outbound {
    fn answered(&mut self, now: Now, gateway: &RoutingGateway, outcome: &Outcome) {
        self.errand = None;
        let (status, words) = match outcome {
            Outcome::Response { status, phrase, cseq, .. } => {
                self.cseq = self.cseq.max(*cseq);
                (*status, phrase.clone())
            }
            Outcome::NoResponse => (0, "no response".to_owned()),
            Outcome::Unreachable => (0, "unreachable".to_owned()),
        };
        (self.status, self.words) = (status, words);
        if let Outcome::Response { status: 423, min_expires_s: Some(min), .. } = outcome
            && *min > self.min_expires_s
        {
            // RFC 3261 §10.2.8: at once, with what the vendor wants.
            self.min_expires_s = *min;
            self.next = now.tick;
            return;
        }
        if let Outcome::Response { status: 200..300, expires_s, .. } = outcome {
            if self.state == OutboundState::NotWanted {
                return;
            }
            let granted = expires_s.unwrap_or(3600).max(1);
            self.state = OutboundState::Registered;
            self.failures = 0;
            self.expires = Some(now.tick + Duration::from_secs(granted.into()));
            self.next = now.tick + refresh_after(granted);
            return;
        }
        if self.state == OutboundState::NotWanted {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let lasts = self.expires.is_some_and(|at| now.tick < at);
        self.state = if lasts { OutboundState::Registered } else { OutboundState::Failed };
        let times = 1_u32.checked_shl(self.failures - 1).unwrap_or(u32::MAX).clamp(1, MAX_BACK_OFF);
        let delay = gateway.params.sip_user_agent_retry_delay_s.saturating_mul(times);
        self.next = now.tick + Duration::from_secs(delay.into());
    }
}

/// Well before the end: a tenth earlier, at least five seconds, so that a lost message can be repeated.
fn refresh_after(granted_s: u32) -> Duration {
    let early = (granted_s / 10).clamp(5, 60).min(granted_s / 2);
    Duration::from_secs(granted_s.saturating_sub(early).max(1).into())
}
