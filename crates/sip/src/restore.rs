//! Legs across a restart of the process: what is written down of a leg, and how it is taken up again.
//!
//! Transactions are not written down. Of an established dialog nothing of them is missed: requests of the peer that come
//! again are new ones to us, and a 2xx that comes again gets its ACK. An INVITE that still waits for its final response
//! is made anew from what identifies it, so that it can be answered or cancelled.

use crate::core::{Core, ViaLine, Way, reply_flow};
use crate::egress::Calling;
use crate::endpoint::Endpoint;
use crate::header::NameAddr;
use crate::ingress::Incoming;
use crate::leg::{Abilities, Leg, Offer, Phase};
use crate::message::Message;
use crate::sdp::Origin;
use crate::session_timer::{SessionState, SessionTimer};
use crate::slab::Key;
use crate::uri::Uri;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use vocab::leg::{PlainCredentials, ReplyAddress, RequestAddress, SessionTerms};
use vocab::{Flow, LegId, Now};

/// How far our CSeq jumps at a restart: more requests than a call makes between two notes of its state (RFC 3261
/// §12.2.1.1 wants it to grow, not to be without gaps).
const CSEQ_JUMP: u32 = 1000;

/// What is to be known of a leg to go on with it in another process. No secrets: credentials come from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegState {
    flow: Flow,
    home: IpAddr,
    call_id: Box<str>,
    owns_call_id: bool,
    local_tag: u64,
    remote_tag: Option<Box<str>>,
    local_uri: Box<str>,
    remote_uri: Box<str>,
    remote_target: Box<str>,
    routes: Vec<Box<str>>,
    here: Box<str>,
    request_address: RequestAddress,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    /// Id and version of the sessions we wrote.
    origin: (u64, u64),
    update: bool,
    info: Option<bool>,
    reliable: bool,
    realm: Option<Box<str>>,
    session: Option<Box<SessionState>>,
    invite: Invite,
}

/// The INVITE that opened the leg, while it is not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Invite {
    Answered,
    /// The peer's, which waits for our final response. `complete`: the sessions have been exchanged before it.
    Arrived {
        head: Box<[u8]>,
        reply: Flow,
        complete: bool,
    },
    /// Ours.
    Placed {
        branch: u64,
        cseq: u32,
    },
}

impl LegState {
    pub fn flow(&self) -> Flow {
        self.flow
    }

    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The same leg as of now, but with the INVITE of `earlier`, which had not been answered then.
    pub fn with_invite_of(self, earlier: &LegState) -> LegState {
        LegState { invite: earlier.invite.clone(), ..self }
    }
}

/// What the configuration says about the peer of a leg that is taken up.
#[derive(Clone, Debug, Default)]
pub struct PeerTerms {
    /// Waits between copies of an unanswered request; of the endpoint's configuration when empty.
    pub resend_intervals_ms: Option<Arc<[u32]>>,
    pub credentials: Option<PlainCredentials>,
    pub session: SessionTerms,
}

impl Endpoint {
    /// What is to be written down of a leg.
    pub fn leg_state(&self, leg: LegId) -> Option<LegState> {
        self.state_of(leg, false)
    }

    /// The same, as if its INVITE had been answered and acknowledged.
    pub fn answered_leg_state(&self, leg: LegId) -> Option<LegState> {
        self.state_of(leg, true)
    }

    fn state_of(&self, leg: LegId, answered: bool) -> Option<LegState> {
        let leg = self.legs.get(leg.0)?;
        let invite = match &leg.phase {
            Phase::Incoming(incoming) if !answered => Invite::Arrived {
                head: self.core.server_head(incoming.server)?.into(),
                reply: self.core.server_flow(incoming.server)?,
                complete: incoming.complete(),
            },
            Phase::Calling(calling) if !answered => {
                Invite::Placed { branch: self.core.client_branch(calling.client)?, cseq: calling.cseq() }
            }
            _ => Invite::Answered,
        };
        Some(leg.state(invite))
    }

    /// Takes up a leg of the process before this one. `None` when nothing sensible can be made of its state.
    pub fn take_up(&mut self, now: Now, state: LegState, terms: PeerTerms) -> Option<LegId> {
        self.core.now = now;
        let key = self.legs.next_key();
        if self.tags.contains_key(&state.local_tag) {
            return None;
        }
        let leg = Leg::take_up(&mut self.core, key, state, terms)?;
        self.tags.insert(leg.local_tag, key);
        self.legs.insert(Box::new(leg));
        Some(LegId(key))
    }
}

impl Leg {
    fn state(&self, invite: Invite) -> LegState {
        LegState {
            flow: self.flow,
            home: self.home,
            call_id: self.call_id.clone(),
            owns_call_id: self.owns_call_id,
            local_tag: self.local_tag,
            remote_tag: self.remote_tag.clone(),
            local_uri: self.local_uri.clone(),
            remote_uri: self.remote_uri.clone(),
            remote_target: self.remote_target.clone(),
            routes: self.routes.clone(),
            here: self.here.clone(),
            request_address: self.request_address,
            local_cseq: self.local_cseq,
            remote_cseq: self.remote_cseq,
            origin: self.sdp.numbers(),
            update: self.peer.update,
            info: self.peer.info,
            reliable: self.peer.reliable,
            realm: self.realm.clone(),
            session: self.session.state(),
            invite,
        }
    }

    fn take_up(core: &mut Core, key: Key, state: LegState, terms: PeerTerms) -> Option<Leg> {
        let (id, version) = state.origin;
        let mut leg = Leg {
            key,
            call_id: state.call_id,
            owns_call_id: state.owns_call_id,
            local_tag: state.local_tag,
            remote_tag: state.remote_tag,
            local_uri: state.local_uri,
            remote_uri: state.remote_uri,
            remote_target: state.remote_target,
            routes: state.routes,
            flow: state.flow,
            home: state.home,
            here: state.here,
            request_address: state.request_address,
            local_cseq: state.local_cseq.saturating_add(CSEQ_JUMP),
            remote_cseq: state.remote_cseq,
            resend: terms.resend_intervals_ms.unwrap_or_else(|| core.config.resend_intervals_ms.clone()),
            sdp: Origin::resume(id, version),
            peer: Abilities { update: state.update, info: state.info, reliable: state.reliable },
            phase: Phase::Established,
            offer: Offer::Closed,
            unacknowledged: None,
            unconfirmed: None,
            queued_offer: None,
            release: None,
            session: SessionTimer::taken_up(terms.session, state.session),
            credentials: terms.credentials,
            realm: state.realm,
            authentication: None,
            authentication_tries: 0,
            open: true,
            gone: false,
            generations: Default::default(),
        };
        leg.leave_connection();
        match state.invite {
            Invite::Answered => leg.resume_timer(core),
            Invite::Arrived { head, reply, complete } => leg.owe_answer(core, &head, reply, complete)?,
            Invite::Placed { branch, cseq } => leg.await_answer(core, branch, cseq),
        }
        core.note_connection(leg.flow);
        Some(leg)
    }

    /// Connections ended with the process. A new one can only be made to where the peer listens.
    fn leave_connection(&mut self) {
        if !self.flow.transport.is_reliable() {
            return;
        }
        self.flow.connection = 0;
        let next = self.routes.first().and_then(|r| NameAddr::parse(r)).map(|r| r.uri);
        if let Some(uri) = Uri::parse(next.unwrap_or(&self.remote_target)) {
            self.flow = self.toward(&uri, RequestAddress::Contact);
        }
    }

    /// The peer waits for our final response.
    fn owe_answer(&mut self, core: &mut Core, head: &[u8], reply: Flow, complete: bool) -> Option<()> {
        let request = Message::parse(head).ok()?;
        let via = request.top_via()?;
        let cseq = request.cseq()?.number;
        let mut way = Way { source: reply, reply };
        if reply.transport.is_reliable() {
            // RFC 3261 §18.2.2: the connection is gone, so to the port of the Via.
            let datagrams = Flow { transport: vocab::Transport::Udp, ..reply };
            let there = reply_flow(&request, datagrams, ReplyAddress::ViaPort).remote;
            way.reply = Flow { remote: there, connection: 0, ..reply };
        }
        let key = core.invite_key(&request, &via, way.source);
        let server = core.start_server(&request, key, way, self.local_tag);
        core.set_server_leg(server, self.key);
        self.phase = Phase::Incoming(Box::new(Incoming::taken_up(server, cseq, complete)));
        self.offer = if complete { Offer::Closed } else { Offer::InInvite { ours: false } };
        Some(())
    }

    /// We wait for the peer's: there is nothing left to do but to cancel.
    fn await_answer(&mut self, core: &mut Core, branch: u64, cseq: u32) {
        let via = ViaLine { transport: self.flow.transport, here: &self.here, branch };
        let mut b = core.begin_request("INVITE", &self.remote_target, &via, 70);
        self.write_identity(&mut b, crate::message::Method::Invite, cseq);
        let (head, resend) = (b.finish(), self.resend.clone());
        let client = core.take_up_client(self.key, self.flow, branch, head, resend);
        self.phase = Phase::Calling(Box::new(Calling::taken_up(client, cseq, self.flow)));
    }
}
