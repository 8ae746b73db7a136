//! Everything together: messages in, messages and events out.

use crate::body::{Body, accepts_sdp};
use crate::core::{ALLOW, Core, Reply, SUPPORTED, Way, parse_hex, reply_flow};
use crate::digest::DigestCredentials;
use crate::errand::{Errand, ErrandId, Outcome, Request};
use crate::header::{Via, number};
use crate::ingress::Arrival;
use crate::leg::{Leg, Offer, Phase};
use crate::message::{HeaderName, Message, Method};
use crate::register::{self, Registration, RegistrationAnswer, RegistrationId};
use crate::sdp::CONTENT_TYPE;
use crate::slab::{Key, Slab};
use crate::timers::TimerOf;
use crate::transaction::{ClientFailure, Delivery, Matched, RequestKey};
use crate::uri::{Scheme, Uri};
use std::sync::Arc;
use vocab::leg::{FromLeg, LegCommand, LegEvent, LegFailure, Placement, ReplyAddress, RequestAddress};
use vocab::net::LocalAddresses;
use vocab::{Flow, IdMap, LegId, ListenerId, Now, Random, SessionDescription, Tick, Transport};

/// Extensions named in a 420: enough to tell why.
const MAX_UNSUPPORTED: usize = 16;

#[derive(Clone, Debug)]
pub struct Config {
    /// User-Agent and Server; not written when empty.
    pub user_agent: String,
    pub listeners: Vec<ListenerConfig>,
    /// Waits between copies of an unanswered request inside the dialogs of arrived calls. Placed calls bring their own.
    pub resend_intervals_ms: Arc<[u32]>,
    /// How callers that may sign in are challenged; `None`: nobody may.
    pub challenge: Option<Challenge>,
}

/// What stands in a challenge, besides the nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// 401 or 407.
    pub status: u16,
    pub realm: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct ListenerConfig {
    pub id: ListenerId,
    pub transport: Transport,
    pub port: u16,
    /// `host` or `host:port` in Via and Contact, instead of the local address.
    pub advertised: Option<String>,
    pub local: LocalAddresses,
}

/// Habits of the peer a message comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerPolicy {
    pub reply_address: ReplyAddress,
    pub request_address: RequestAddress,
    pub standing: Standing,
}

/// How well the source of a message is known before the message is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    #[default]
    Known,
    /// What belongs to nothing that we have opens nothing and gets `reply`, in no more than `credit` bytes: an address
    /// may be forged, and nobody shall be hit through us harder than directly (`R-23`).
    Stranger { reply: StrangerReply, credit: u32 },
}

/// What a stranger's new INVITE gets, without any state of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrangerReply {
    Silence,
    /// RFC 3261 §22.1: a challenge, until it comes with credentials for a nonce that was sent to this very address.
    Challenge,
    /// 403.
    Forbid,
}

/// What came of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// It answered a request of ours or belonged to a dialog, which nobody can guess: its source is a peer of ours.
    pub recognised: bool,
    /// Bytes sent back without any state.
    pub answered: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Send {
        flow: Flow,
        bytes: Vec<u8>,
    },
    Event(FromLeg),
    /// Somebody wants to be registered; [`Endpoint::answer_registration`] owes the answer.
    Register(Box<Registration>),
    /// What came of a request outside of calls.
    Errand(ErrandId, Outcome),
}

/// Counters since the start, and what there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub received: u64,
    pub sent: u64,
    /// Copies received and recognised.
    pub retransmissions_in: u64,
    pub retransmissions_out: u64,
    /// Messages that could not be read; those that could be answered were.
    pub malformed: u64,
    /// Responses from where nobody was asked.
    pub foreign_responses: u64,
    pub transactions: usize,
    /// Legs with an answer.
    pub dialogs: usize,
    pub legs: usize,
}

/// The engine. Every method is an input; afterwards the caller drains [`Endpoint::poll_output`] and asks
/// [`Endpoint::poll_timeout`] when to come back.
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) core: Core,
    pub(crate) legs: Slab<Box<Leg>>,
    /// Legs by our tag, which is random and so cannot be guessed.
    pub(crate) tags: IdMap<u64, Key>,
    errands: Slab<Errand>,
}

impl Endpoint {
    pub fn new(config: Config, random: Random) -> Endpoint {
        Endpoint {
            core: Core::new(config, random),
            legs: Slab::default(),
            tags: IdMap::default(),
            errands: Slab::default(),
        }
    }

    pub fn set_config(&mut self, config: Config) {
        self.core.config = config;
    }

    /// One datagram, or one message cut out of a stream.
    pub fn handle_message(&mut self, now: Now, flow: Flow, policy: PeerPolicy, bytes: &[u8]) -> Heard {
        self.core.now = now;
        self.core.heard = Heard::default();
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Heard::default();
        }
        self.core.statistics.received += 1;
        match Message::parse(bytes) {
            Ok(message) if message.is_request() => self.on_request(flow, policy, &message),
            Ok(message) => self.on_response(flow, &message),
            Err(_) => self.core.statistics.malformed += 1,
        }
        self.core.heard
    }

    /// Bytes on a connection that cannot be framed. The shell closes it.
    pub fn handle_stream_error(&mut self, now: Now, flow: Flow) {
        self.core.now = now;
        self.core.statistics.received += 1;
        self.core.statistics.malformed += 1;
        self.handle_flow_closed(now, flow);
    }

    /// A connection is gone or could not be made; for UDP, nobody listens there.
    pub fn handle_flow_closed(&mut self, now: Now, flow: Flow) {
        self.core.now = now;
        for delivery in self.core.fail_flow(flow) {
            if self.errand_failed(delivery, ClientFailure::Unreachable) {
                continue;
            }
            self.with_leg(delivery.leg, |leg, core| {
                leg.on_failure(core, delivery, ClientFailure::Unreachable)
            });
        }
        if flow.transport.is_reliable() && self.core.call_connections.remove(&flow.remote) {
            let there = self.legs.iter().filter(|(_, leg)| leg.flow.remote == flow.remote);
            let keys: Vec<Key> = there.map(|(key, _)| key).collect();
            for key in keys {
                self.with_leg(key, |leg, _| leg.flow_closed(flow));
            }
        }
    }

    /// Places a call; its events come under the returned name.
    pub fn place(&mut self, now: Now, placement: Placement) -> LegId {
        self.core.now = now;
        let key = self.legs.next_key();
        let tag = self.core.random.next_u64();
        match Leg::depart(&mut self.core, key, tag, placement) {
            Some(leg) => {
                self.legs.insert(Box::new(leg));
                self.tags.insert(tag, key);
            }
            None => {
                self.core.emit(key, LegEvent::Failed(LegFailure::Unreachable));
                self.core.emit(key, LegEvent::Ended);
                // The name is spent, though there never was a leg.
                self.legs.skip_key();
            }
        }
        LegId(key)
    }

    pub fn command(&mut self, now: Now, leg: LegId, command: LegCommand) {
        self.core.now = now;
        self.with_leg(leg.0, |leg, core| leg.command(core, command));
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.core.outputs.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] wants to be called. Sometimes early, never late.
    pub fn poll_timeout(&self) -> Option<Tick> {
        self.core.timers.next_at()
    }

    pub fn handle_timeout(&mut self, now: Now) {
        self.core.now = now;
        let legs = &self.legs;
        self.core.timers.sweep(|of, generation| match of {
            TimerOf::Leg(key, timer) => {
                legs.get(key).is_some_and(|leg| leg.generations[timer as usize] == generation)
            }
            TimerOf::Client(_) | TimerOf::Server(_) => true,
        });
        while let Some((of, generation)) = self.core.timers.pop_due(now.tick) {
            match of {
                TimerOf::Server(key) => self.core.server_timer(key, generation),
                TimerOf::Client(key) => {
                    if let Some(delivery) = self.core.client_timer(key, generation)
                        && !self.errand_failed(delivery, ClientFailure::Timeout)
                    {
                        self.with_leg(delivery.leg, |leg, core| {
                            leg.on_failure(core, delivery, ClientFailure::Timeout);
                        });
                    }
                }
                TimerOf::Leg(key, timer) => {
                    self.with_leg(key, |leg, core| leg.on_timer(core, timer, generation))
                }
            }
        }
    }

    pub fn statistics(&self) -> Statistics {
        let answered = |leg: &Leg| matches!(leg.phase, Phase::Established);
        Statistics {
            transactions: self.core.clients.len() + self.core.servers.len(),
            dialogs: self.legs.iter().filter(|(_, leg)| answered(leg)).count(),
            legs: self.legs.len(),
            ..self.core.statistics
        }
    }

    pub fn call_id(&self, leg: LegId) -> Option<&str> {
        self.legs.get(leg.0).map(|l| &*l.call_id)
    }

    /// Has the peer of this leg agreed on a session timer, or will it with our answer?
    pub fn has_session_timer(&self, leg: LegId) -> bool {
        self.legs.get(leg.0).is_some_and(|leg| leg.session.outlook().is_some())
    }

    /// Does the peer take INFO? `None`: it has not said what it takes.
    pub fn takes_info(&self, leg: LegId) -> Option<bool> {
        self.legs.get(leg.0).and_then(|l| l.peer.info)
    }

    fn with_leg(&mut self, key: Key, act: impl FnOnce(&mut Leg, &mut Core)) {
        let Some(leg) = self.legs.get_mut(key) else { return };
        act(leg, &mut self.core);
        if leg.gone {
            self.remove_leg(key);
        }
    }

    fn remove_leg(&mut self, key: Key) {
        let Some(leg) = self.legs.remove(key) else { return };
        self.tags.remove(&leg.local_tag);
        if let Offer::Ours(offer) = &leg.offer {
            self.core.abandon_client(offer.client);
        }
    }

    fn on_response(&mut self, flow: Flow, response: &Message) {
        if response.check().is_err() {
            self.core.statistics.malformed += 1;
            return;
        }
        let Some((delivery, flow)) = self.core.client_response(flow, response) else {
            return self.on_stray(flow, response);
        };
        self.core.heard.recognised = true;
        if delivery.purpose.is_errand() {
            return self.on_errand_response(delivery, response);
        }
        if self.legs.get(delivery.leg).is_some() {
            self.with_leg(delivery.leg, |leg, core| leg.on_response(core, delivery, flow, response));
        } else {
            self.answer_for_lost_leg(delivery, flow, response);
        }
    }

    /// A response that no leg waits for. A 2xx to an INVITE wants its ACK in any case.
    fn on_stray(&mut self, flow: Flow, response: &Message) {
        let accepted = response.status().is_some_and(|s| (200..300).contains(&s));
        if !accepted || response.method() != Method::Invite || self.core.knows_client(response) {
            return;
        }
        let tag = response.from().and_then(|f| parse_hex(f.tag()?));
        let Some(key) = tag.and_then(|tag| self.tags.get(&tag)).copied() else { return };
        if self.legs.get(key).is_some_and(|leg| Some(&*leg.call_id) == response.call_id()) {
            self.with_leg(key, |leg, core| leg.acknowledge_stray(core, response, flow));
        }
    }

    /// A 2xx must be acknowledged even when the leg that asked is gone.
    fn answer_for_lost_leg(&mut self, delivery: Delivery, flow: Flow, response: &Message) {
        let accepted = response.status().is_some_and(|s| (200..300).contains(&s));
        if accepted && delivery.purpose.method() == Method::Invite {
            self.core.release_answer(delivery.client, flow, response);
        }
    }

    fn on_request(&mut self, flow: Flow, policy: PeerPolicy, request: &Message) {
        let method = request.method();
        let way = Way { source: flow, reply: reply_flow(request, flow, policy.reply_address) };
        let known = policy.standing == Standing::Known;
        if let Err(problem) = request.check() {
            self.core.statistics.malformed += 1;
            // Without a Via it is not even known what an answer should look like.
            if known && method != Method::Ack && request.is_answerable() {
                let phrase = problem.to_string();
                let answer = Reply { phrase: Some(&phrase), ..Reply::status(problem.status()) };
                self.core.respond_statelessly(way, request, &answer);
            }
            return;
        }
        let Some(via) = request.top_via() else { return };
        let Matched::New(key) = self.core.server_request(request, &via, flow) else { return };
        let hop = Hop { way, policy, via, key };
        let in_dialog = request.to().is_some_and(|t| t.tag().is_some());
        if let Standing::Stranger { reply, credit } = policy.standing
            && !in_dialog
            && !matches!(method, Method::Ack | Method::Cancel)
            && !self.brings_fresh_credentials(flow, reply, request)
        {
            self.answer_stranger(&hop, request, reply, credit);
            return;
        }
        match method {
            Method::Ack => self.on_ack(&hop, request),
            Method::Cancel => self.on_cancel(&hop, request),
            Method::Register => self.on_register(&hop, request),
            Method::Message | Method::Subscribe | Method::Notify => self.not_allowed(&hop, request),
            Method::Refer | Method::Publish => self.not_allowed(&hop, request),
            Method::Other => {
                self.core.respond_statelessly(way, request, &Reply::with(501, &[("Allow", ALLOW)]))
            }
            Method::Invite
            | Method::Bye
            | Method::Options
            | Method::Prack
            | Method::Update
            | Method::Info => {
                if in_dialog {
                    self.on_dialog_request(&hop, request);
                } else {
                    self.on_new_request(&hop, request);
                }
            }
        }
    }

    fn on_register(&mut self, hop: &Hop<'_>, request: &Message) {
        if self.core.config.challenge.is_none() {
            return self.not_allowed(hop, request);
        }
        let required: Vec<&str> =
            request.list(HeaderName::Require).filter(|t| !t.eq_ignore_ascii_case("path")).collect();
        if !required.is_empty() {
            let list = required.into_iter().take(MAX_UNSUPPORTED).collect::<Vec<_>>().join(", ");
            self.core.respond_statelessly(hop.way, request, &Reply::with(420, &[("Unsupported", &list)]));
            return;
        }
        if let Some(registration) = Registration::arrive(&mut self.core, request, hop.way, hop.key) {
            self.core.outputs.push_back(Output::Register(Box::new(registration)));
        }
    }

    pub fn answer_registration(&mut self, now: Now, id: RegistrationId, answer: &RegistrationAnswer) {
        self.core.now = now;
        register::answer(&mut self.core, id, answer);
    }

    /// Sends a request outside of calls; its outcome comes under the returned name, exactly once.
    pub fn send_request(&mut self, now: Now, request: Request) -> ErrandId {
        self.core.now = now;
        let key = self.errands.next_key();
        match Errand::start(&mut self.core, key, request) {
            Some(errand) => {
                self.errands.insert(errand);
            }
            None => {
                self.errands.skip_key();
                self.core.outputs.push_back(Output::Errand(ErrandId(key), Outcome::Unreachable));
            }
        }
        ErrandId(key)
    }

    fn on_errand_response(&mut self, delivery: Delivery, response: &Message) {
        let Some(errand) = self.errands.get_mut(delivery.leg) else { return };
        if let Some(outcome) = errand.on_response(&mut self.core, delivery.leg, delivery.client, response) {
            self.end_errand(delivery.leg, outcome);
        }
    }

    /// True when the request was one outside of calls.
    fn errand_failed(&mut self, delivery: Delivery, failure: ClientFailure) -> bool {
        let is_errand = delivery.purpose.is_errand();
        if is_errand {
            self.end_errand(delivery.leg, Errand::failed(failure));
        }
        is_errand
    }

    fn end_errand(&mut self, key: Key, outcome: Outcome) {
        if self.errands.remove(key).is_some() {
            self.core.outputs.push_back(Output::Errand(ErrandId(key), outcome));
        }
    }

    fn not_allowed(&mut self, hop: &Hop<'_>, request: &Message) {
        self.core.respond_statelessly(hop.way, request, &Reply::with(405, &[("Allow", ALLOW)]));
    }

    /// Did the sender get our challenge at the address that it claims to have?
    fn brings_fresh_credentials(&self, flow: Flow, reply: StrangerReply, request: &Message) -> bool {
        let (nonces, now) = (&self.core.nonces, self.core.now.tick);
        reply == StrangerReply::Challenge
            && matches!(request.method(), Method::Invite | Method::Register)
            && DigestCredentials::of(request, nonces, now, flow.remote.ip()).is_some_and(|c| c.is_fresh())
    }

    /// RFC 3261 §26.3.2.4: nothing is kept for a request that nobody answers for yet.
    fn answer_stranger(&mut self, hop: &Hop<'_>, request: &Message, reply: StrangerReply, credit: u32) {
        let room = usize::try_from(credit).unwrap_or(usize::MAX);
        match (reply, &self.core.config.challenge) {
            (StrangerReply::Forbid, _) => self.core.forbid(hop.way, request, room),
            (StrangerReply::Challenge, Some(challenge))
                if matches!(request.method(), Method::Invite | Method::Register) =>
            {
                let mut challenge = challenge.clone();
                if request.method() == Method::Register {
                    challenge.status = 401;
                }
                self.core.challenge_statelessly(hop.way, request, &challenge, room);
            }
            (StrangerReply::Challenge | StrangerReply::Silence, _) => {}
        }
    }

    /// The leg whose dialog a request names, by both tags and the Call-ID.
    fn dialog_of(&self, request: &Message) -> Option<Key> {
        let (from, to) = (request.from()?, request.to()?);
        let key = *self.tags.get(&parse_hex(to.tag()?)?)?;
        let leg = self.legs.get(key).filter(|l| Some(&*l.call_id) == request.call_id())?;
        let known =
            leg.remote_tag.as_deref() == from.tag() || from.tag().is_some_and(|t| leg.is_early_tag(t));
        known.then_some(key)
    }

    fn on_ack(&mut self, hop: &Hop<'_>, request: &Message) {
        if let Some(key) = self.dialog_of(request) {
            self.with_leg(key, |leg, core| leg.on_ack(core, request, hop.way.source));
        }
    }

    fn on_cancel(&mut self, hop: &Hop<'_>, request: &Message) {
        let Some((tag, leg)) = self.core.cancelled_invite(request, &hop.via, hop.way.source) else {
            self.not_ours(hop, request);
            return;
        };
        self.core.respond_with_tag(hop.way, request, &Reply::status(200), tag);
        if let Some(key) = leg {
            self.with_leg(key, |leg, core| leg.on_cancel(core, request));
        }
    }

    /// Strangers are not told what there is and what is not.
    fn not_ours(&mut self, hop: &Hop<'_>, request: &Message) {
        if hop.policy.standing == Standing::Known {
            self.core.respond_statelessly(hop.way, request, &Reply::status(481));
        }
    }

    fn on_dialog_request(&mut self, hop: &Hop<'_>, request: &Message) {
        let Some(key) = self.dialog_of(request) else {
            self.not_ours(hop, request);
            return;
        };
        let Some(leg) = self.legs.get_mut(key) else { return };
        let cseq = request.cseq().map_or(0, |c| c.number);
        // Tags cannot be guessed, but they can be overheard: the dialog stays with its peer (`R-33`).
        if !leg.accept_source(hop.way.source) {
            if hop.policy.standing == Standing::Known {
                self.core.respond_statelessly(hop.way, request, &Reply::status(403));
            }
            return;
        }
        if leg.remote_cseq.is_some_and(|last| cseq <= last) {
            self.core.respond_statelessly(hop.way, request, &Reply::status(500));
            return;
        }
        self.core.heard.recognised = true;
        leg.remote_cseq = Some(cseq);
        let tag = leg.local_tag;
        if self.refuse_extensions(hop, request) {
            return;
        }
        let server = self.core.start_server(request, hop.key, hop.way, tag);
        self.core.set_server_leg(server, key);
        self.with_leg(key, |leg, core| leg.on_request(core, request, server));
    }

    /// RFC 3261 §8.2.2.3. True when the request was refused.
    fn refuse_extensions(&mut self, hop: &Hop<'_>, request: &Message) -> bool {
        let required = request.list(HeaderName::Require);
        let unknown: Vec<&str> = required.filter(|t| !is_supported(t)).take(MAX_UNSUPPORTED).collect();
        if unknown.is_empty() {
            return false;
        }
        let list = unknown.join(", ");
        self.core.respond_statelessly(hop.way, request, &Reply::with(420, &[("Unsupported", &list)]));
        true
    }

    fn on_new_request(&mut self, hop: &Hop<'_>, request: &Message) {
        let scheme = Uri::parse(request.request_uri()).map(|u| u.scheme());
        if !matches!(scheme, Some(Scheme::Sip | Scheme::Sips | Scheme::Tel)) {
            self.core.respond_statelessly(hop.way, request, &Reply::status(416));
            return;
        }
        if self.refuse_extensions(hop, request) {
            return;
        }
        match request.method() {
            Method::Invite => self.on_invite(hop, request),
            Method::Options => {
                let headers = [("Allow", ALLOW), ("Accept", CONTENT_TYPE), ("Supported", SUPPORTED)];
                self.core.respond_statelessly(hop.way, request, &Reply::with(200, &headers));
            }
            _ => self.core.respond_statelessly(hop.way, request, &Reply::status(481)),
        }
    }

    fn on_invite(&mut self, hop: &Hop<'_>, request: &Message) {
        let session = match self.invite_session(request) {
            Ok(session) => session,
            Err(reply) => {
                self.core.respond_statelessly(hop.way, request, &reply);
                return;
            }
        };
        let Some(here) = self.core.here(hop.way.source.listener, hop.way.source.remote.ip()) else {
            self.core.respond_statelessly(hop.way, request, &Reply::status(500));
            return;
        };
        let tag = self.core.random.next_u64();
        let server = self.core.start_server(request, hop.key, hop.way, tag);
        // At once: what the call needs first (an account, a disk) may take its time.
        self.core.respond(server, 100, &[]);
        let key = self.legs.next_key();
        self.core.set_server_leg(server, key);
        let arrival = Arrival { key, server, tag, flow: hop.way.source, here, policy: hop.policy, session };
        if let Some(leg) = Leg::arrive(&mut self.core, request, arrival) {
            self.legs.insert(Box::new(leg));
            self.tags.insert(tag, key);
        }
    }

    /// The offer of a new INVITE, or why it cannot be taken.
    fn invite_session(&self, request: &Message) -> Result<Option<SessionDescription>, Reply<'static>> {
        if request.get(HeaderName::MaxForwards).and_then(number) == Some(0) {
            return Err(Reply::status(483));
        }
        if self.core.is_merged(request) {
            return Err(Reply::status(482));
        }
        let body = match Body::of(request) {
            Body::None => None,
            Body::Session(session) => Some(session),
            Body::BadSession(_) => {
                return Err(Reply { phrase: Some("Bad Session Description"), ..Reply::status(400) });
            }
            Body::Unknown => return Err(Reply::with(415, &[("Accept", CONTENT_TYPE)])),
        };
        if accepts_sdp(request) { Ok(body) } else { Err(Reply::status(406)) }
    }
}

fn is_supported(extension: &str) -> bool {
    SUPPORTED.split(", ").any(|own| own.eq_ignore_ascii_case(extension))
}

/// How a request came and what is to be done about the way back.
struct Hop<'a> {
    way: Way,
    policy: PeerPolicy,
    via: Via<'a>,
    key: RequestKey,
}
