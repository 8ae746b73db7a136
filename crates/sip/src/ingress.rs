//! A call that arrives: from the INVITE to our final response, with reliable provisional responses (RFC 3262).

use crate::body::Body;
use crate::core::{Core, write_reason};
use crate::digest::{self, DigestCredentials};
use crate::endpoint::PeerPolicy;
use crate::header::{self, NameAddr, RAck, number};
use crate::leg::{Abilities, Leg, Offer, Phase, Unacknowledged};
use crate::message::{HeaderName, Message};
use crate::sdp::Origin;
use crate::session_timer::{Asked, SessionTimer};
use crate::slab::Key;
use crate::timers::LegTimer;
use crate::transaction::{LIFE, T1, T2};
use crate::uri::Uri;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use vocab::identity::ReceivedIdentity;
use vocab::leg::{Credentials, LegEvent, LegFailure, OfferBy, Refusal, Setup, SetupNumbers};
use vocab::{Flow, SessionDescription, Tick};

/// Provisional responses that wait for the PRACK of the one before them.
const MAX_QUEUED: usize = 8;

/// Offer and answer of the INVITE itself, seen from the one who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exchange {
    /// The caller's offer waits for our answer.
    Received,
    /// The caller sent none: the offer is ours to make.
    Absent,
    /// Our part travels in a reliable provisional that waits for its PRACK.
    Sent,
    Complete,
}

#[derive(Debug)]
struct Outstanding {
    rseq: u32,
    bytes: Vec<u8>,
    interval: Duration,
    deadline: Tick,
    with_session: bool,
    /// The session was an offer: the PRACK must bring the answer.
    offered: bool,
}

#[derive(Debug)]
pub(crate) struct Incoming {
    pub server: Key,
    cseq: u32,
    exchange: Exchange,
    requires_reliable: bool,
    rseq: u32,
    outstanding: Option<Outstanding>,
    queue: VecDeque<(u16, Option<SessionDescription>)>,
    /// A 2xx that waits for a PRACK (RFC 3262 §3).
    answer: Option<Option<SessionDescription>>,
}

impl Incoming {
    /// Of the process before this one. A reliable provisional whose PRACK is missing counts as received: the final
    /// response follows at once.
    pub fn taken_up(server: Key, cseq: u32, complete: bool) -> Incoming {
        let exchange = if complete { Exchange::Complete } else { Exchange::Received };
        Incoming {
            server,
            cseq,
            exchange,
            requires_reliable: false,
            rseq: 0,
            outstanding: None,
            queue: VecDeque::new(),
            answer: None,
        }
    }

    /// Is the exchange of sessions done, as far as the final response is concerned?
    pub fn complete(&self) -> bool {
        matches!(self.exchange, Exchange::Sent | Exchange::Complete)
    }
}

/// What opens an arriving leg, besides the request.
pub(crate) struct Arrival {
    pub key: Key,
    pub server: Key,
    pub tag: u64,
    pub flow: Flow,
    pub here: String,
    pub policy: PeerPolicy,
    pub session: Option<SessionDescription>,
}

impl Leg {
    /// Makes the leg and tells the brain.
    pub fn arrive(core: &mut Core, request: &Message, arrival: Arrival) -> Option<Leg> {
        let Arrival { key, server, tag, flow, here, policy, session } = arrival;
        let (from, to, cseq) = (request.from()?, request.to()?, request.cseq()?.number);
        let requires_reliable = request.lists_token(HeaderName::Require, "100rel");
        let mut leg = Leg {
            key,
            call_id: request.call_id()?.into(),
            local_tag: tag,
            remote_tag: from.tag().map(Into::into),
            local_uri: to.uri.into(),
            remote_uri: from.uri.into(),
            remote_target: from.uri.into(),
            routes: request.list(HeaderName::RecordRoute).map(Into::into).collect(),
            flow,
            home: flow.remote.ip(),
            here: here.into(),
            request_address: policy.request_address,
            local_cseq: 0,
            remote_cseq: Some(cseq),
            resend: core.config.resend_intervals_ms.clone(),
            sdp: Origin::new(core.random.next_u64()),
            peer: Abilities {
                update: false,
                info: None,
                reliable: requires_reliable || request.lists_token(HeaderName::Supported, "100rel"),
            },
            phase: Phase::Incoming(Box::new(Incoming {
                server,
                cseq,
                exchange: if session.is_some() { Exchange::Received } else { Exchange::Absent },
                requires_reliable,
                rseq: 0,
                outstanding: None,
                queue: VecDeque::new(),
                answer: None,
            })),
            offer: if session.is_some() { Offer::InInvite { ours: false } } else { Offer::Closed },
            owns_call_id: false,
            unacknowledged: None,
            unconfirmed: None,
            queued_offer: None,
            release: None,
            session: SessionTimer::asked(request),
            credentials: None,
            authentication: None,
            authentication_tries: 0,
            realm: None,
            open: true,
            gone: false,
            generations: Default::default(),
        };
        leg.refresh_target(request);
        leg.learn_abilities(request);
        leg.note_theirs(session.as_ref());
        let setup = setup(core, request, flow, session, requires_reliable);
        leg.emit(core, LegEvent::Setup(Box::new(setup)));
        Some(leg)
    }

    fn incoming(&mut self) -> Option<&mut Incoming> {
        match &mut self.phase {
            Phase::Incoming(incoming) => Some(incoming),
            Phase::Calling(_) | Phase::Established | Phase::Ending => None,
        }
    }

    pub fn challenge(&mut self, core: &mut Core, status: u16, realm: &str, stale: bool) {
        let Some(server) = self.incoming().map(|i| i.server) else { return };
        let status = if status == 401 { 401 } else { 407 };
        let Some(flow) = core.server_flow(server) else { return };
        let salt = core.random.next_u64();
        let nonce = core.nonces.make(core.now.tick, salt, flow.remote.ip());
        if let Some(mut b) = core.begin_response(server, status, None) {
            digest::write_challenges(&mut b, status, realm, &nonce, stale);
            core.send_response(server, status, b.finish());
        }
        self.end_and_go(core);
    }

    pub fn refuse(&mut self, core: &mut Core, refusal: &Refusal) {
        let Some(server) = self.incoming().map(|i| i.server) else { return };
        send_refusal(core, server, refusal);
        self.end_and_go(core);
    }

    pub fn provisional(
        &mut self,
        core: &mut Core,
        status: u16,
        session: Option<SessionDescription>,
        reliable: bool,
    ) {
        let supports = self.peer.reliable;
        let Some(incoming) = self.incoming() else { return };
        let reliable = incoming.requires_reliable || (reliable && supports);
        if reliable && incoming.outstanding.is_some() {
            if incoming.queue.len() < MAX_QUEUED {
                incoming.queue.push_back((status, session));
            }
            return;
        }
        let (server, exchange) = (incoming.server, incoming.exchange);
        // An offer may not travel in a response that can get lost (RFC 3261 §13.2.1).
        let fits = match exchange {
            Exchange::Received => true,
            Exchange::Absent => reliable,
            Exchange::Sent | Exchange::Complete => false,
        };
        let session = session.filter(|_| fits);
        let Some(mut b) = core.begin_response(server, status, None) else { return };
        self.abilities(&mut b, self.supported());
        self.note_ours(session.as_ref());
        if !reliable {
            let bytes = self.finish(b, session.as_ref());
            core.send_response(server, status, bytes);
            return;
        }
        let Some(rseq) = self.next_rseq(core) else { return };
        b.raw("Require: 100rel\r\n").number_header("RSeq", u64::from(rseq));
        let bytes = self.finish(b, session.as_ref());
        core.send_response(server, status, bytes.clone());
        self.await_prack(core, rseq, bytes, session.is_some());
    }

    /// RFC 3262 §3: the first is random below 2^31, each next one greater by one.
    fn next_rseq(&mut self, core: &mut Core) -> Option<u32> {
        let start = u32::try_from(core.random.below(1 << 31)).unwrap_or(1);
        let incoming = self.incoming()?;
        incoming.rseq = if incoming.rseq == 0 { start.max(1) } else { incoming.rseq.saturating_add(1) };
        Some(incoming.rseq)
    }

    fn await_prack(&mut self, core: &mut Core, rseq: u32, bytes: Vec<u8>, with_session: bool) {
        let deadline = core.now.tick + LIFE;
        let Some(incoming) = self.incoming() else { return };
        let offered = with_session && incoming.exchange == Exchange::Absent;
        incoming.outstanding =
            Some(Outstanding { rseq, bytes, interval: T1, deadline, with_session, offered });
        if with_session {
            incoming.exchange = Exchange::Sent;
            self.offer = Offer::InInvite { ours: offered };
        }
        self.set_timer(core, LegTimer::Provisional, T1);
    }

    pub fn provisional_timer(&mut self, core: &mut Core) {
        let now = core.now.tick;
        let Some(incoming) = self.incoming() else { return };
        let server = incoming.server;
        let Some(outstanding) = incoming.outstanding.as_mut() else { return };
        if now >= outstanding.deadline {
            self.no_prack(core, server);
            return;
        }
        outstanding.interval *= 2;
        let (after, bytes) =
            (outstanding.interval.min(outstanding.deadline.since(now)), outstanding.bytes.clone());
        if let Some(flow) = core.server_flow(server) {
            core.statistics.retransmissions_out += 1;
            core.send(flow, bytes);
        }
        self.set_timer(core, LegTimer::Provisional, after);
    }

    /// RFC 3262 §3: the INVITE is refused with a 5xx.
    fn no_prack(&mut self, core: &mut Core, server: Key) {
        send_refusal(core, server, &Refusal { text: Some("No PRACK".into()), ..Refusal::status(504) });
        self.emit(core, LegEvent::Failed(LegFailure::NoPrack));
        self.end_and_go(core);
    }

    pub fn on_prack(&mut self, core: &mut Core, request: &Message, server: Key) {
        let late = self.unacknowledged.is_some();
        let rack = request.get(HeaderName::RAck).and_then(RAck::parse);
        let Some(incoming) = self.incoming() else {
            // The 2xx has overtaken the PRACK of a provisional response without a session.
            core.respond(server, if late { 200 } else { 481 }, &[]);
            return;
        };
        let cseq = incoming.cseq;
        let fits = |o: &Outstanding| {
            rack.is_some_and(|r| r.rseq == o.rseq && r.cseq.number == cseq && r.cseq.method == "INVITE")
        };
        if !incoming.outstanding.as_ref().is_some_and(fits) {
            core.respond(server, 481, &[]);
            return;
        }
        let Some(outstanding) = incoming.outstanding.take() else { return };
        self.stop_timer(LegTimer::Provisional);
        if outstanding.with_session {
            self.complete_exchange();
        }
        match Body::of(request) {
            Body::Session(session) if outstanding.offered => {
                core.respond(server, 200, &[]);
                self.note_theirs(Some(&session));
                self.emit(core, LegEvent::OfferAccepted { session: Some(session) });
            }
            // RFC 3262 §5: once our answer is out, a PRACK may carry the next offer.
            Body::Session(session) if matches!(self.offer, Offer::Closed) => {
                self.offer = Offer::Theirs { server, by: OfferBy::Update, empty: false, cseq };
                self.note_offered(&session);
                self.emit(core, LegEvent::Offered { session: Some(session), by: OfferBy::Update });
            }
            Body::None | Body::Session(_) => core.respond(server, 200, &[]),
            Body::BadSession(_) | Body::Unknown => {
                core.respond(server, 415, &[("Accept", crate::sdp::CONTENT_TYPE)])
            }
        }
        self.after_prack(core);
    }

    /// Of a call that has not been answered: is the INVITE's own exchange done? Of any other it is.
    pub fn exchange_complete(&self) -> bool {
        !matches!(&self.phase, Phase::Incoming(i) if i.exchange != Exchange::Complete)
    }

    fn complete_exchange(&mut self) {
        self.offer = Offer::Closed;
        if let Some(incoming) = self.incoming() {
            incoming.exchange = Exchange::Complete;
        }
    }

    fn after_prack(&mut self, core: &mut Core) {
        let Some(incoming) = self.incoming() else { return };
        if let Some(session) = incoming.answer.take() {
            self.answer(core, session);
        } else if let Some((status, session)) = incoming.queue.pop_front() {
            self.provisional(core, status, session, true);
        }
    }

    pub fn answer(&mut self, core: &mut Core, session: Option<SessionDescription>) {
        let Some(incoming) = self.incoming() else { return };
        if incoming.outstanding.as_ref().is_some_and(|o| o.with_session) {
            incoming.answer = Some(session);
            return;
        }
        let (server, cseq, exchange) = (incoming.server, incoming.cseq, incoming.exchange);
        let session = session.filter(|_| matches!(exchange, Exchange::Received | Exchange::Absent));
        let offered = exchange == Exchange::Absent && session.is_some();
        self.stop_timer(LegTimer::Provisional);
        // An offer in a PRACK or UPDATE that the brain did not answer ends with the early dialog.
        if matches!(self.offer, Offer::InInvite { .. }) {
            self.offer = Offer::Closed;
        }
        self.phase = Phase::Established;
        self.send_answer(core, server, cseq, session.as_ref(), offered, true);
    }

    /// A 2xx to an INVITE, repeated until its ACK comes, also over TCP (RFC 3261 §13.3.1.4).
    pub fn send_answer(
        &mut self,
        core: &mut Core,
        server: Key,
        cseq: u32,
        session: Option<&SessionDescription>,
        offered: bool,
        initial: bool,
    ) {
        let (Some(mut b), Some(flow)) = (core.begin_response(server, 200, None), core.server_flow(server))
        else {
            return;
        };
        self.abilities(&mut b, self.supported());
        self.agree_on_timer(core);
        self.write_agreed(&mut b);
        let bytes = self.finish(b, session);
        self.note_ours(session);
        core.send_response(server, 200, bytes.clone());
        let deadline = core.now.tick + LIFE;
        self.unacknowledged =
            Some(Unacknowledged { cseq, bytes, flow, interval: T1, deadline, offered, initial });
        if offered {
            self.offer = Offer::InInvite { ours: true };
        }
        self.set_timer(core, LegTimer::Answer, T1);
    }

    pub fn answer_timer(&mut self, core: &mut Core) {
        let now = core.now.tick;
        let Some(open) = self.unacknowledged.as_mut() else { return };
        if now >= open.deadline {
            self.unacknowledged = None;
            self.no_ack(core);
            return;
        }
        open.interval = (open.interval * 2).min(T2);
        let (after, flow, bytes) =
            (open.interval.min(open.deadline.since(now)), open.flow, open.bytes.clone());
        core.statistics.retransmissions_out += 1;
        core.send(flow, bytes);
        self.set_timer(core, LegTimer::Answer, after);
    }

    fn no_ack(&mut self, core: &mut Core) {
        let reason = self.release.take();
        if reason.is_none() {
            self.emit(core, LegEvent::Failed(LegFailure::NoAck));
        }
        self.send_bye(core, reason.unwrap_or_default());
        self.end(core);
    }

    pub fn on_ack(&mut self, core: &mut Core, ack: &Message, flow: Flow) {
        let cseq = ack.cseq().map(|c| c.number);
        if !self.accept_source(flow) {
            return;
        }
        let Some(open) = self.unacknowledged.take_if(|u| cseq == Some(u.cseq)) else { return };
        self.stop_timer(LegTimer::Answer);
        let session = if open.offered { Body::session_of(ack) } else { None };
        if open.offered {
            self.offer = Offer::Closed;
            self.note_theirs(session.as_ref());
        }
        if open.initial {
            self.emit(core, LegEvent::Confirmed { session });
        } else if open.offered {
            self.emit(core, LegEvent::OfferConfirmed { session });
        }
        if let Some(reason) = self.release.take() {
            self.send_bye(core, reason);
        } else if let Some(offer) = self.queued_offer.take() {
            self.start_offer(core, offer);
        }
    }

    pub fn on_cancel(&mut self, core: &mut Core, cancel: &Message) {
        // A CANCEL of a re-INVITE has no effect: the other leg may have taken the offer already, and a
        // completed exchange leaves both sides with the same session.
        let Some(server) = self.incoming().map(|i| i.server) else { return };
        core.respond(server, 487, &[]);
        let (q850, _) = crate::header::reason(cancel);
        self.emit(core, LegEvent::Cancelled { q850 });
        self.end_and_go(core);
    }
}

/// A final response of 300 and above.
pub(crate) fn send_refusal(core: &mut Core, server: Key, refusal: &Refusal) {
    let status = if (300..700).contains(&refusal.status) { refusal.status } else { 500 };
    let Some(mut b) = core.begin_response(server, status, refusal.phrase.as_deref()) else { return };
    write_reason(&mut b, refusal.q850, refusal.text.as_deref(), status);
    if let Some(seconds) = refusal.retry_after_s {
        b.number_header("Retry-After", u64::from(seconds));
    }
    for contact in &refusal.contacts {
        b.raw("Contact: <").text(contact).raw(">\r\n");
    }
    core.send_response(server, status, b.finish());
}

fn setup(
    core: &Core,
    request: &Message,
    flow: Flow,
    session: Option<SessionDescription>,
    wants_reliable: bool,
) -> Setup {
    let credentials = DigestCredentials::of(request, &core.nonces, core.now.tick, flow.remote.ip());
    let max_forwards = request.get(HeaderName::MaxForwards).and_then(number).unwrap_or(70);
    let extra = request.fields().filter(|(_, name, _)| crate::egress::is_passable(name));
    Setup {
        flow,
        call_id: request.call_id().unwrap_or_default().to_owned(),
        numbers: numbers(request),
        identity: identity(request),
        session,
        credentials: credentials.map(|c| Arc::new(c) as Arc<dyn Credentials>),
        max_forwards: u8::try_from(max_forwards).unwrap_or(u8::MAX),
        user_agent: request.get(HeaderName::UserAgent).map(str::to_owned),
        wants_reliable,
        extra_headers: extra.map(|(_, name, value)| (name.to_owned(), value.to_owned())).collect(),
        session_expires_s: Asked::of(request).kept_interval(),
    }
}

/// More identities than any honest caller has.
const MAX_IDENTITIES: usize = 4;

fn identity(request: &Message) -> ReceivedIdentity {
    let all = |name| request.all(name).take(MAX_IDENTITIES).map(str::to_owned).collect();
    ReceivedIdentity {
        asserted: all(HeaderName::AssertedIdentity),
        preferred: all(HeaderName::PreferredIdentity),
        remote_party: all(HeaderName::RemotePartyId),
    }
}

/// Diversion names the latest diversion first (RFC 5806 §4), History-Info the target before last (RFC 7044 §5).
fn diverted_from(request: &Message) -> Option<String> {
    let number = |value: &str| Some(user_of(NameAddr::parse(value)?.uri)).filter(|user| !user.is_empty());
    let header = |name| request.header(name);
    if let Some(diversion) = header("Diversion") {
        return header::split_list(diversion).next().and_then(number);
    }
    let history = request.headers("History-Info").join(",");
    let entries: Vec<&str> = header::split_list(&history).filter(|e| !e.is_empty()).collect();
    entries.len().checked_sub(2).and_then(|before_last| number(entries.get(before_last)?))
}

fn user_of(uri: &str) -> String {
    Uri::parse(uri).map(|u| u.user_unescaped()).unwrap_or_default()
}

fn numbers(request: &Message) -> SetupNumbers {
    // RFC 3325 §9.1 allows a sip and a tel identity; the first speaks.
    let first = |name| request.list(name).next().and_then(NameAddr::parse).map(|n| user_of(n.uri));
    let from = request.from();
    SetupNumbers {
        from: from.map(|f| user_of(f.uri)).unwrap_or_default(),
        from_display: from.and_then(|f| f.display_name()),
        to: request.to().map(|t| user_of(t.uri)).unwrap_or_default(),
        requested: user_of(request.request_uri()),
        asserted: first(HeaderName::AssertedIdentity),
        remote_party: first(HeaderName::RemotePartyId),
        preferred: first(HeaderName::PreferredIdentity),
        diverted_from: diverted_from(request),
        privacy: request.get(HeaderName::Privacy).map(str::to_owned),
    }
}
