//! One side of a call: the dialog with one peer and what is open in it.
//!
//! The arriving part is in [`crate::ingress`], the placed part in [`crate::egress`]; what both have in common
//! once there is a dialog is in [`crate::dialog`].

use crate::core::{ALLOW, Core, ViaLine};
use crate::digest;
use crate::egress::Calling;
use crate::header::NameAddr;
use crate::ingress::Incoming;
use crate::message::{Builder, HeaderName, Message, Method};
use crate::sdp::{self, Origin};
use crate::session_timer::SessionTimer;
use crate::slab::Key;
use crate::timers::{LegTimer, TimerOf};
use crate::transaction::{Outgoing, Purpose};
use crate::uri::Uri;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use vocab::leg::{LegCommand, LegEvent, OfferBy, PlainCredentials, RequestAddress};
use vocab::{Flow, SessionDescription, Tick, Transport};

#[derive(Debug)]
pub(crate) enum Phase {
    /// The caller waits for our final response.
    Incoming(Box<Incoming>),
    /// We wait for the callee's.
    Calling(Box<Calling>),
    Established,
    /// Our BYE is on its way, or waits for the ACK without which it may not go.
    Ending,
}

/// The one exchange of offer and answer that may be open (RFC 6337).
#[derive(Debug)]
pub(crate) enum Offer {
    Closed,
    /// An exchange that ends with the answer in a response, PRACK or ACK of the INVITE at hand.
    InInvite {
        ours: bool,
    },
    Ours(OurOffer),
    /// Ours met 491 and waits for its next try; the peer's offer is welcome meanwhile.
    Waiting(OurOffer),
    Theirs {
        server: Key,
        by: OfferBy,
        empty: bool,
        cseq: u32,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct OurOffer {
    pub session: Option<SessionDescription>,
    pub by: OfferBy,
    pub tries: u8,
    pub client: Key,
    /// It only refreshes the session: the brain knows nothing of it.
    pub refresh: bool,
}

impl OurOffer {
    pub fn new(session: Option<SessionDescription>, by: OfferBy) -> OurOffer {
        OurOffer { session, by, tries: 0, client: 0, refresh: false }
    }
}

/// Our 2xx whose ACK has not come.
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    pub cseq: u32,
    pub bytes: Vec<u8>,
    pub flow: Flow,
    pub interval: Duration,
    pub deadline: Tick,
    /// The ACK must bring the answer.
    pub offered: bool,
    /// It answered the call, not a re-INVITE.
    pub initial: bool,
}

/// The peer's 2xx with an offer, whose ACK waits for our answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unconfirmed {
    pub client: Key,
    pub cseq: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Abilities {
    pub update: bool,
    /// It takes INFO; `None`: it has not said what it takes.
    pub info: Option<bool>,
    pub reliable: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ReleaseReason {
    pub q850: Option<u8>,
    pub text: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Leg {
    pub key: Key,
    pub call_id: Box<str>,
    /// We made it, so we are the one that waits longer after a glare.
    pub owns_call_id: bool,
    pub local_tag: u64,
    pub remote_tag: Option<Box<str>>,
    /// URIs of From and To in what we send.
    pub local_uri: Box<str>,
    pub remote_uri: Box<str>,
    pub remote_target: Box<str>,
    pub routes: Vec<Box<str>>,
    /// Where the peer's messages of this dialog come from.
    pub flow: Flow,
    /// The peer's address at the beginning.
    pub home: IpAddr,
    /// Our `host:port` as this peer sees it.
    pub here: Box<str>,
    pub request_address: RequestAddress,
    pub local_cseq: u32,
    pub remote_cseq: Option<u32>,
    pub resend: Arc<[u32]>,
    pub sdp: Origin,
    pub peer: Abilities,
    pub phase: Phase,
    pub offer: Offer,
    pub unacknowledged: Option<Unacknowledged>,
    pub unconfirmed: Option<Unconfirmed>,
    /// An offer that waits for an ACK.
    pub queued_offer: Option<OurOffer>,
    pub release: Option<ReleaseReason>,
    pub session: SessionTimer,
    pub credentials: Option<PlainCredentials>,
    pub authentication: Option<digest::Answer>,
    pub authentication_tries: u8,
    /// The realm that was answered: the carrier's, as far as this call is concerned.
    pub realm: Option<Box<str>>,
    /// The brain still listens.
    pub open: bool,
    /// Nothing keeps the leg any more.
    pub gone: bool,
    pub generations: [u32; LegTimer::COUNT],
}

impl Leg {
    pub fn emit(&self, core: &mut Core, event: LegEvent) {
        if self.open {
            core.emit(self.key, event);
        }
    }

    /// The last thing the brain hears.
    pub fn end(&mut self, core: &mut Core) {
        self.emit(core, LegEvent::Ended);
        self.open = false;
    }

    /// Ends without anything left to do on the wire.
    pub fn end_and_go(&mut self, core: &mut Core) {
        self.end(core);
        self.gone = true;
    }

    pub fn set_timer(&mut self, core: &mut Core, timer: LegTimer, after: Duration) {
        let generation = &mut self.generations[timer as usize];
        *generation = generation.wrapping_add(1);
        core.set_timer(after, TimerOf::Leg(self.key, timer), *generation);
    }

    pub fn stop_timer(&mut self, timer: LegTimer) {
        let generation = &mut self.generations[timer as usize];
        *generation = generation.wrapping_add(1);
    }

    pub fn command(&mut self, core: &mut Core, command: LegCommand) {
        if !self.open {
            return;
        }
        match command {
            LegCommand::Challenge { status, realm, stale } => self.challenge(core, status, &realm, stale),
            LegCommand::TooBrief { min_se_s } => self.refuse_brief_call(core, min_se_s),
            LegCommand::Terms(terms) => self.session.terms = terms,
            LegCommand::Alert { session, reliable } => self.provisional(core, 180, session, reliable),
            LegCommand::Progress { session, reliable } => self.provisional(core, 183, session, reliable),
            LegCommand::Answer { session } => self.answer(core, session),
            LegCommand::Refuse(refusal) => self.refuse(core, &refusal),
            // A leg exists from its placement on; `Endpoint::place` makes it.
            LegCommand::Place(_) => {}
            LegCommand::Cancel { q850 } => self.release(core, ReleaseReason { q850, text: None }),
            LegCommand::Confirm { session } => self.confirm(core, session.as_ref()),
            LegCommand::Offer { session, by } => {
                self.start_offer(core, OurOffer::new(session, by));
            }
            LegCommand::AcceptOffer { session } => self.accept_offer(core, session.as_ref()),
            LegCommand::RefuseOffer(refusal) => self.refuse_offer(core, &refusal),
            LegCommand::Info { content_type, body } => self.send_info(core, &content_type, &body),
            LegCommand::Probe => self.probe(core),
            LegCommand::Release { q850, text } => self.release(core, ReleaseReason { q850, text }),
        }
    }

    pub fn on_timer(&mut self, core: &mut Core, timer: LegTimer, generation: u32) {
        if self.generations[timer as usize] != generation {
            return;
        }
        match timer {
            LegTimer::Answer => self.answer_timer(core),
            LegTimer::Provisional => self.provisional_timer(core),
            LegTimer::Cancel => self.cancel_timer(core),
            LegTimer::Offer => self.offer_timer(core),
            LegTimer::Session => self.session_timer(core),
        }
    }

    pub fn contact(&self, b: &mut Builder) {
        // RFC 3261 §8.1.1.8: secure as far as the peer's side of the dialog is. `sips` has no `transport=tls` (§26.2.2).
        let secure = self.remote_target.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("sips:"));
        let parameter = match self.flow.transport {
            Transport::Tls if secure => "",
            transport => transport.uri_parameter(),
        };
        b.raw(if secure { "Contact: <sips:" } else { "Contact: <sip:" }).raw(&self.here);
        b.raw(parameter).raw(">\r\n");
    }

    /// Contact and what we can do: in INVITE, UPDATE and their answers.
    pub fn abilities(&self, b: &mut Builder, supported: &str) {
        self.contact(b);
        b.raw("Allow: ").raw(ALLOW).raw("\r\n");
        if !supported.is_empty() {
            b.raw("Supported: ").raw(supported).raw("\r\n");
        }
    }

    /// Ends a message, with a session when there is one.
    pub fn finish(&mut self, b: Builder, session: Option<&SessionDescription>) -> Vec<u8> {
        match session {
            Some(session) => b.finish_with(sdp::CONTENT_TYPE, self.sdp.print(session).as_bytes()),
            None => b.finish(),
        }
    }

    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.local_cseq
    }

    /// `SIG-13`: where our requests inside the dialog go.
    fn destination(&self) -> Flow {
        if self.request_address == RequestAddress::Socket {
            return self.flow;
        }
        let next = self.routes.first().and_then(|r| NameAddr::parse(r)).map(|r| r.uri);
        match Uri::parse(next.unwrap_or(&self.remote_target)) {
            Some(uri) => self.toward(&uri, self.request_address),
            None => self.flow,
        }
    }

    pub fn toward(&self, uri: &Uri<'_>, policy: RequestAddress) -> Flow {
        let mut flow = self.flow;
        flow.remote.set_port(uri.port().unwrap_or(self.flow.transport.default_port()));
        let ip = uri.host_ip().filter(|ip| crate::core::is_sendable(*ip));
        if let Some(ip) = ip.filter(|_| policy == RequestAddress::Contact) {
            flow.remote.set_ip(ip);
        }
        if flow.remote != self.flow.remote {
            flow.connection = 0;
        }
        flow
    }

    /// The connection of the dialog is gone. A new one can only be made to where the peer listens.
    pub fn flow_closed(&mut self, flow: Flow) {
        let same = self.flow.remote == flow.remote && self.flow.connection == flow.connection;
        if !same || !flow.transport.is_reliable() || self.flow.transport != flow.transport {
            return;
        }
        self.flow.connection = 0;
        if let Some(uri) = Uri::parse(&self.remote_target) {
            self.flow = self.toward(&uri, RequestAddress::Contact);
        }
    }

    /// Begins a request inside the dialog (RFC 3261 §12.2.1.1): the builder, its branch, where it goes.
    pub fn begin_request(&mut self, core: &mut Core, method: Method, cseq: u32) -> (Builder, u64, Flow) {
        let branch = core.random.next_u64();
        let flow = self.destination();
        let via = ViaLine { transport: flow.transport, here: &self.here, branch };
        let lr = |r: &str| {
            NameAddr::parse(r).and_then(|n| Uri::parse(n.uri)).is_some_and(|u| u.param("lr").is_some())
        };
        let strict = self.routes.first().filter(|r| !lr(r)).and_then(|r| NameAddr::parse(r)).map(|n| n.uri);
        let mut b = core.begin_request(method.name(), strict.unwrap_or(&self.remote_target), &via, 70);
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            b.header("Route", route);
        }
        if strict.is_some() {
            b.raw("Route: <").text(&self.remote_target).raw(">\r\n");
        }
        self.write_identity(&mut b, method, cseq);
        core.write_user_agent(&mut b, "User-Agent");
        if method != Method::Ack {
            self.write_authentication(core, &mut b, method, strict.unwrap_or(&self.remote_target).to_owned());
        }
        (b, branch, flow)
    }

    pub fn write_identity(&self, b: &mut Builder, method: Method, cseq: u32) {
        b.raw("From: <").text(&self.local_uri).raw(">;tag=").hex(self.local_tag).raw("\r\n");
        b.raw("To: <").text(&self.remote_uri).raw(">");
        if let Some(tag) = &self.remote_tag {
            b.raw(";tag=").text(tag);
        }
        b.raw("\r\n").header("Call-ID", &self.call_id);
        b.raw("CSeq: ").number(u64::from(cseq)).raw(" ").raw(method.name()).raw("\r\n");
    }

    /// The answer to the last challenge, once. Only legs that were placed with credentials ever have one.
    pub fn write_authentication(&mut self, core: &mut Core, b: &mut Builder, method: Method, uri: String) {
        if let (Some(mut answer), Some(who)) = (self.authentication.take(), &self.credentials) {
            answer.write(b, who, method.name(), &uri, core.random.next_u64());
        }
    }

    pub fn send_request(
        &self,
        core: &mut Core,
        purpose: Purpose,
        branch: u64,
        flow: Flow,
        bytes: Vec<u8>,
    ) -> Key {
        let resend = self.resend.clone();
        core.start_client(Outgoing { purpose, leg: Some(self.key), flow, branch, bytes, resend })
    }

    /// May a challenge be answered? `R-35`: only to the carrier itself. A challenge passed on through it comes from
    /// whoever was called, and could be our password's undoing. So: one realm for a call, never after the called side
    /// was heard, and inside the dialog only what the INVITE was asked for too, and only to where that went.
    pub fn take_challenge(&mut self, response: &Message, at_most: u8) -> bool {
        if self.credentials.is_none() || self.authentication_tries >= at_most {
            return false;
        }
        let of_the_carrier = match &self.phase {
            Phase::Calling(calling) => calling.is_unheard(),
            Phase::Incoming(_) => false,
            Phase::Established | Phase::Ending => {
                self.realm.is_some()
                    && self.destination().remote.ip().to_canonical() == self.home.to_canonical()
            }
        };
        let answer = if of_the_carrier { digest::Answer::to(response, self.realm.as_deref()) } else { None };
        if let Some(answer) = &answer {
            self.realm = Some(answer.realm().into());
        }
        self.authentication = answer;
        self.authentication_tries = self.authentication_tries.saturating_add(1);
        self.authentication.is_some()
    }

    /// RFC 3261 §12.2: requests of INVITE and UPDATE, and their 2xx, renew the peer's contact.
    pub fn refresh_target(&mut self, message: &Message) {
        let contact = message.list(HeaderName::Contact).next().and_then(NameAddr::parse);
        let named = contact.filter(|c| Uri::parse(c.uri).is_some_and(|u| !u.host().is_empty()));
        if let Some(contact) = named.filter(|c| *c.uri != *self.remote_target) {
            self.remote_target = contact.uri.into();
        }
    }

    /// What the peer says it can do; a message without Allow says nothing.
    pub fn learn_abilities(&mut self, message: &Message) {
        if message.get(HeaderName::Allow).is_some() {
            self.peer.update = message.lists_token(HeaderName::Allow, "UPDATE");
            self.peer.info = Some(message.lists_token(HeaderName::Allow, "INFO"));
        }
    }

    /// Is this a place where the peer of this dialog may write from? Its port may change behind a NAT.
    pub fn accept_source(&mut self, flow: Flow) -> bool {
        let ip = flow.remote.ip().to_canonical();
        if ip != self.flow.remote.ip().to_canonical() && ip != self.home.to_canonical() {
            return false;
        }
        self.flow = flow;
        true
    }
}
