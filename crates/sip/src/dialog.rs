//! Inside the dialog: offers both ways, INFO, BYE.

use crate::body::Body;
use crate::core::{ALLOW, Core, SUPPORTED, refusal_of, write_reason};
use crate::ingress::send_refusal;
use crate::leg::{Leg, Offer, OurOffer, Phase, ReleaseReason, Unconfirmed};
use crate::message::{HeaderName, Message, Method};
use crate::sdp::CONTENT_TYPE;
use crate::slab::Key;
use crate::timers::LegTimer;
use crate::transaction::{ClientFailure, Delivery, Purpose};
use std::time::Duration;
use vocab::leg::{LegEvent, LegFailure, OfferBy, Refusal};
use vocab::{Flow, SessionDescription};

/// How often an offer is tried against 491.
const MAX_OFFER_TRIES: u8 = 5;
/// Challenges answered inside a dialog before something succeeds.
const MAX_CHALLENGES: u8 = 3;

/// Why an offer of the peer cannot be taken now.
enum Busy {
    /// Ours is open: 491.
    Ours,
    /// Theirs is: 500 with Retry-After (RFC 3311 §5.2, RFC 3261 §14.2).
    Theirs,
}

fn cseq_of(message: &Message) -> u32 {
    message.cseq().map_or(0, |c| c.number)
}

impl Leg {
    pub fn on_request(&mut self, core: &mut Core, request: &Message, server: Key) {
        match request.method() {
            Method::Bye => self.on_bye(core, request, server),
            Method::Invite => self.on_reinvite(core, request, server),
            Method::Update => self.on_update(core, request, server),
            Method::Prack => self.on_prack(core, request, server),
            Method::Info => self.on_info(core, request, server),
            Method::Options => {
                let headers = [("Allow", ALLOW), ("Accept", CONTENT_TYPE), ("Supported", SUPPORTED)];
                core.respond(server, 200, &headers);
            }
            // Sorted out before; CANCEL and ACK have their own ways.
            Method::Ack | Method::Cancel | Method::Register | Method::Message | Method::Subscribe => {}
            Method::Notify | Method::Refer | Method::Publish | Method::Other => {}
        }
    }

    fn on_bye(&mut self, core: &mut Core, request: &Message, server: Key) {
        match &self.phase {
            // The callee may not end an early dialog by BYE (RFC 3261 §15).
            Phase::Calling(_) => core.respond(server, 481, &[]),
            Phase::Incoming(incoming) => {
                let invite = incoming.server;
                core.respond(server, 200, &[]);
                self.close_peer_offer(core);
                core.respond(invite, 487, &[]);
                let (q850, _) = crate::header::reason(request);
                self.emit(core, LegEvent::Cancelled { q850 });
                self.end_and_go(core);
            }
            Phase::Ending => {
                core.respond(server, 200, &[]);
                // Both sides hang up at once. A BYE of ours that still waits for an ACK need not go any more.
                self.gone |= self.unacknowledged.is_some();
            }
            Phase::Established => {
                core.respond(server, 200, &[]);
                self.close_peer_offer(core);
                self.flush_confirmation(core);
                let (q850, text) = crate::header::reason(request);
                self.emit(core, LegEvent::Released { q850, text });
                self.end_and_go(core);
            }
        }
    }

    /// An offer of the peer that will not be answered any more.
    pub fn close_peer_offer(&mut self, core: &mut Core) {
        if let Offer::Theirs { server, .. } = self.offer {
            core.respond(server, 487, &[]);
            self.offer = Offer::Closed;
        }
    }

    /// A 2xx of the peer must be acknowledged even if nobody has answered its offer.
    fn flush_confirmation(&mut self, core: &mut Core) {
        if let Some(open) = self.unconfirmed.take() {
            self.send_ack(core, open.client, open.cseq, None);
        }
    }

    fn busy(&self) -> Option<Busy> {
        match &self.offer {
            Offer::Closed | Offer::Waiting(_) => None,
            Offer::Ours(_) | Offer::InInvite { ours: true } => Some(Busy::Ours),
            Offer::Theirs { .. } | Offer::InInvite { ours: false } => Some(Busy::Theirs),
        }
    }

    fn answer_busy(&self, core: &mut Core, server: Key, busy: &Busy) {
        match busy {
            Busy::Ours => core.respond(server, 491, &[]),
            Busy::Theirs => {
                let seconds = core.random.below(10).to_string();
                core.respond(server, 500, &[("Retry-After", &seconds)]);
            }
        }
    }

    fn on_reinvite(&mut self, core: &mut Core, request: &Message, server: Key) {
        let refused = match &self.phase {
            Phase::Ending => {
                core.respond(server, 481, &[]);
                return;
            }
            Phase::Incoming(_) => Some(Busy::Theirs),
            Phase::Calling(_) => Some(Busy::Ours),
            Phase::Established if self.unacknowledged.is_some() || self.unconfirmed.is_some() => {
                Some(Busy::Ours)
            }
            Phase::Established => self.busy(),
        };
        if let Some(busy) = refused {
            self.answer_busy(core, server, &busy);
            return;
        }
        let session = match Body::of(request) {
            Body::None => None,
            Body::Session(session) => Some(session),
            Body::BadSession(_) => return core.respond(server, 488, &[]),
            Body::Unknown => return core.respond(server, 415, &[("Accept", CONTENT_TYPE)]),
        };
        if self.refuse_brief(core, request, server) {
            return;
        }
        // The other leg must agree first; the peer need not repeat itself meanwhile.
        core.respond(server, 100, &[]);
        self.refresh_target(request);
        self.learn_abilities(request);
        if let Some(answer) = self.answer_to_refresh(session.as_ref()) {
            self.send_answer(core, server, cseq_of(request), Some(&answer), false, false);
            return;
        }
        self.drop_waiting_offer(core);
        self.offer =
            Offer::Theirs { server, by: OfferBy::Reinvite, empty: session.is_none(), cseq: cseq_of(request) };
        self.emit(core, LegEvent::Offered { session, by: OfferBy::Reinvite });
    }

    /// The peer was faster with its change: ours would undo it, so the brain must decide anew.
    fn drop_waiting_offer(&mut self, core: &mut Core) {
        match std::mem::replace(&mut self.offer, Offer::Closed) {
            Offer::Waiting(offer) => {
                self.stop_timer(LegTimer::Offer);
                self.tell_refused(core, &offer, Refusal::status(491));
            }
            other => self.offer = other,
        }
    }

    fn on_update(&mut self, core: &mut Core, request: &Message, server: Key) {
        if matches!(self.phase, Phase::Ending) {
            core.respond(server, 481, &[]);
            return;
        }
        let session = match Body::of(request) {
            Body::None => {
                if self.refuse_brief(core, request, server) {
                    return;
                }
                self.refresh_target(request);
                self.respond_to_update(core, server, None);
                return;
            }
            Body::Session(session) => session,
            Body::BadSession(_) => return core.respond(server, 488, &[]),
            Body::Unknown => return core.respond(server, 415, &[("Accept", CONTENT_TYPE)]),
        };
        if let Some(busy) = self.busy() {
            self.answer_busy(core, server, &busy);
            return;
        }
        // An offer cannot come before the INVITE's own exchange has begun.
        if matches!(&self.phase, Phase::Incoming(_)) && !self.exchange_complete() {
            self.answer_busy(core, server, &Busy::Theirs);
            return;
        }
        if self.refuse_brief(core, request, server) {
            return;
        }
        self.refresh_target(request);
        self.learn_abilities(request);
        if let Some(answer) = self.answer_to_refresh(Some(&session)) {
            self.respond_to_update(core, server, Some(&answer));
            return;
        }
        self.drop_waiting_offer(core);
        self.offer = Offer::Theirs { server, by: OfferBy::Update, empty: false, cseq: cseq_of(request) };
        self.emit(core, LegEvent::Offered { session: Some(session), by: OfferBy::Update });
    }

    fn respond_to_update(&mut self, core: &mut Core, server: Key, session: Option<&SessionDescription>) {
        let Some(mut b) = core.begin_response(server, 200, None) else { return };
        self.abilities(&mut b, self.supported());
        self.agree_on_timer(core);
        self.write_agreed(&mut b);
        let bytes = self.finish(b, session);
        core.send_response(server, 200, bytes);
        self.note_ours(session);
    }

    fn on_info(&mut self, core: &mut Core, request: &Message, server: Key) {
        core.respond(server, 200, &[]);
        let content_type = request.get(HeaderName::ContentType);
        if let Some(content_type) = content_type.filter(|_| !request.body().is_empty()) {
            let content_type = content_type.to_owned();
            self.emit(core, LegEvent::Info { content_type, body: request.body().to_vec() });
        }
    }

    pub fn accept_offer(&mut self, core: &mut Core, session: Option<&SessionDescription>) {
        let Offer::Theirs { server, by, empty, cseq } = self.offer else { return };
        self.offer = Offer::Closed;
        self.session.take_offered();
        match by {
            OfferBy::Update => self.respond_to_update(core, server, session),
            OfferBy::Reinvite => {
                self.send_answer(core, server, cseq, session, empty && session.is_some(), false);
            }
        }
    }

    pub fn refuse_offer(&mut self, core: &mut Core, refusal: &Refusal) {
        let Offer::Theirs { server, .. } = self.offer else { return };
        self.offer = Offer::Closed;
        self.session.forget_offered();
        send_refusal(core, server, refusal);
    }

    pub fn send_info(&mut self, core: &mut Core, content_type: &str, body: &[u8]) {
        if !matches!(self.phase, Phase::Established) {
            return;
        }
        let cseq = self.next_cseq();
        let (b, branch, flow) = self.begin_request(core, Method::Info, cseq);
        self.send_request(core, Purpose::Info, branch, flow, b.finish_with(content_type, body));
    }

    /// OPTIONS inside the dialog (RFC 3261 §11): a peer that has lost it says 481.
    pub fn probe(&mut self, core: &mut Core) {
        if !matches!(self.phase, Phase::Established) {
            return;
        }
        let cseq = self.next_cseq();
        let (mut b, branch, flow) = self.begin_request(core, Method::Options, cseq);
        self.contact(&mut b);
        b.header("Accept", CONTENT_TYPE);
        self.send_request(core, Purpose::Options, branch, flow, b.finish());
    }

    fn on_probe_response(&mut self, core: &mut Core, response: &Message) {
        match response.status() {
            Some(408 | 481) if matches!(self.phase, Phase::Established) => self.lost(core),
            Some(408 | 481) | None => {}
            Some(_) => self.emit(core, LegEvent::Alive),
        }
    }

    /// A 2xx to an INVITE that no transaction of this process has sent: the one before us asked for it, or the peer has
    /// not heard our ACK for longer than any transaction lives. It wants its ACK all the same (RFC 3261 §13.2.2.4).
    pub fn acknowledge_stray(&mut self, core: &mut Core, response: &Message, flow: Flow) {
        let of_dialog = self.remote_tag.as_deref() == response.to().and_then(|t| t.tag());
        if !of_dialog || !matches!(self.phase, Phase::Established) || !self.accept_source(flow) {
            return;
        }
        let (b, _, flow) = self.begin_request(core, Method::Ack, cseq_of(response));
        core.send(flow, b.finish());
    }

    /// Sends an offer of ours, keeps it until an ACK has come, or says that the peer is busy.
    pub fn start_offer(&mut self, core: &mut Core, offer: OurOffer) {
        let update = offer.by == OfferBy::Update && self.peer.update && offer.session.is_some();
        let closed = matches!(self.offer, Offer::Closed);
        let may = match &self.phase {
            Phase::Established => {
                let waits = self.unacknowledged.is_some() || self.unconfirmed.is_some();
                if waits && (!update || !closed) && self.queued_offer.is_none() {
                    self.queued_offer = Some(offer);
                    return;
                }
                closed && (update || !waits)
            }
            Phase::Incoming(_) | Phase::Calling(_) => {
                closed && self.may_update_early(&offer) && self.exchange_complete()
            }
            Phase::Ending => return,
        };
        if may {
            self.send_offer(core, offer, update);
        } else {
            self.tell_refused(core, &offer, Refusal::status(491));
        }
    }

    /// A refresh that was refused is tried again, for as long as the session lives.
    fn tell_refused(&mut self, core: &mut Core, offer: &OurOffer, refusal: Refusal) {
        if offer.refresh {
            self.refresh_later(core);
        } else {
            self.emit(core, LegEvent::OfferRefused(refusal));
        }
    }

    pub fn send_offer(&mut self, core: &mut Core, mut offer: OurOffer, update: bool) {
        let (method, purpose) = match update {
            true => (Method::Update, Purpose::Update),
            false => (Method::Invite, Purpose::Reinvite),
        };
        let cseq = self.next_cseq();
        let (mut b, branch, flow) = self.begin_request(core, method, cseq);
        self.abilities(&mut b, self.supported_inside());
        self.write_renewal(&mut b);
        let bytes = self.finish(b, offer.session.as_ref());
        offer.client = self.send_request(core, purpose, branch, flow, bytes);
        self.offer = Offer::Ours(offer);
    }

    pub fn on_offer_response(&mut self, core: &mut Core, delivery: Delivery, response: &Message) {
        let status = response.status().unwrap_or(500);
        if status < 200 {
            return;
        }
        let offer = match std::mem::replace(&mut self.offer, Offer::Closed) {
            Offer::Ours(offer) if offer.client == delivery.client => offer,
            other => {
                // The leg has gone on to something else (it is ending): a 2xx wants its ACK all the same.
                self.offer = other;
                if delivery.purpose == Purpose::Reinvite && status < 300 {
                    self.send_ack(core, delivery.client, cseq_of(response), None);
                }
                return;
            }
        };
        match status {
            ..300 => self.offer_accepted(core, delivery, &offer, response),
            _ => self.offer_refused(core, delivery, offer, response),
        }
    }

    fn offer_accepted(&mut self, core: &mut Core, delivery: Delivery, offer: &OurOffer, response: &Message) {
        self.refresh_target(response);
        self.learn_abilities(response);
        self.authentication_tries = 0;
        self.on_renewed(core, response);
        let session = Body::session_of(response);
        self.note_ours(offer.session.as_ref());
        self.note_theirs(session.as_ref());
        if delivery.purpose == Purpose::Reinvite {
            let cseq = cseq_of(response);
            if offer.session.is_none() && session.is_some() {
                self.offer = Offer::InInvite { ours: false };
                self.unconfirmed = Some(Unconfirmed { client: delivery.client, cseq });
            } else {
                self.send_ack(core, delivery.client, cseq, None);
            }
        }
        if !offer.refresh {
            self.emit(core, LegEvent::OfferAccepted { session });
        }
    }

    fn offer_refused(
        &mut self,
        core: &mut Core,
        delivery: Delivery,
        mut offer: OurOffer,
        response: &Message,
    ) {
        let established = matches!(self.phase, Phase::Established);
        match response.status().unwrap_or(500) {
            491 if offer.tries < MAX_OFFER_TRIES => {
                offer.tries += 1;
                self.wait_after_glare(core, offer);
            }
            481 | 408 if established && offer.refresh => self.expire(core),
            481 | 408 if established => self.lost(core),
            422 if offer.tries < MAX_OFFER_TRIES && self.lengthen(response) => {
                offer.tries += 1;
                self.send_offer(core, offer, delivery.purpose == Purpose::Update);
            }
            401 | 407 if self.take_challenge(response, MAX_CHALLENGES) => {
                self.send_offer(core, offer, delivery.purpose == Purpose::Update);
            }
            405 | 501 if delivery.purpose == Purpose::Update && established => {
                self.peer.update = false;
                offer.by = OfferBy::Reinvite;
                self.start_offer(core, offer);
            }
            _ => self.tell_refused(core, &offer, refusal_of(response)),
        }
    }

    /// RFC 3261 §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other side up to 2 s, in steps of 10 ms.
    fn wait_after_glare(&mut self, core: &mut Core, offer: OurOffer) {
        let tens = if self.owns_call_id { 210 + core.random.below(191) } else { core.random.below(201) };
        self.offer = Offer::Waiting(offer);
        self.set_timer(core, LegTimer::Offer, Duration::from_millis(tens * 10));
    }

    pub fn offer_timer(&mut self, core: &mut Core) {
        match std::mem::replace(&mut self.offer, Offer::Closed) {
            Offer::Waiting(offer) => self.start_offer(core, offer),
            other => self.offer = other,
        }
    }

    pub fn on_offer_failure(&mut self, core: &mut Core, delivery: Delivery, failure: ClientFailure) {
        let offer = match std::mem::replace(&mut self.offer, Offer::Closed) {
            Offer::Ours(offer) if offer.client == delivery.client => offer,
            other => {
                self.offer = other;
                return;
            }
        };
        match (failure, &self.phase) {
            (ClientFailure::Timeout, Phase::Established) if offer.refresh => self.expire(core),
            (ClientFailure::Unreachable, _) if offer.refresh => self.refresh_later(core),
            // RFC 3261 §12.2.1.2: no answer at all ends the dialog.
            (ClientFailure::Timeout, Phase::Established) => self.lost(core),
            (ClientFailure::Timeout, _) => self.emit(core, LegEvent::OfferRefused(Refusal::status(408))),
            (ClientFailure::Unreachable, _) => self.emit(core, LegEvent::OfferRefused(Refusal::status(503))),
        }
    }

    /// The peer has lost the call. A BYE may still tell a peer that only half forgot.
    pub fn lost(&mut self, core: &mut Core) {
        self.emit(core, LegEvent::Failed(LegFailure::DialogLost));
        self.send_bye(core, ReleaseReason::default());
        self.end(core);
    }

    pub fn release(&mut self, core: &mut Core, reason: ReleaseReason) {
        match &self.phase {
            Phase::Incoming(_) => {
                let refusal = Refusal { q850: reason.q850, text: reason.text, ..Refusal::status(480) };
                self.refuse(core, &refusal);
            }
            Phase::Calling(_) => self.cancel(core, &reason),
            // RFC 3261 §15: no BYE before the ACK of our 2xx, or the end of the wait for it.
            Phase::Established if self.unacknowledged.as_ref().is_some_and(|u| u.initial) => {
                self.close_peer_offer(core);
                self.phase = Phase::Ending;
                self.release = Some(reason);
                self.end(core);
            }
            Phase::Established => {
                self.send_bye(core, reason);
                self.end(core);
            }
            Phase::Ending => {}
        }
    }

    pub fn send_bye(&mut self, core: &mut Core, reason: ReleaseReason) {
        self.close_peer_offer(core);
        self.flush_confirmation(core);
        self.stop_timer(LegTimer::Answer);
        self.stop_timer(LegTimer::Offer);
        self.stop_timer(LegTimer::Session);
        self.unacknowledged = None;
        self.phase = Phase::Ending;
        let cseq = self.next_cseq();
        let (mut b, branch, flow) = self.begin_request(core, Method::Bye, cseq);
        write_reason(&mut b, reason.q850, reason.text.as_deref(), 200);
        self.release = Some(reason);
        self.send_request(core, Purpose::Bye, branch, flow, b.finish());
    }

    pub fn on_bye_response(&mut self, core: &mut Core, response: &Message) {
        let status = response.status().unwrap_or(500);
        if matches!(status, 401 | 407) && self.take_challenge(response, MAX_CHALLENGES) {
            let reason = self.release.take().unwrap_or_default();
            self.send_bye(core, reason);
            return;
        }
        self.gone = true;
    }

    /// A response to a request of this leg.
    pub fn on_response(&mut self, core: &mut Core, delivery: Delivery, flow: Flow, response: &Message) {
        // A connection that was made for us is the dialog's from now on.
        if flow.transport.is_reliable() && self.flow.remote == flow.remote {
            self.flow.connection = flow.connection;
        }
        match delivery.purpose {
            Purpose::Invite => self.on_invite_response(core, delivery, flow, response),
            Purpose::Reinvite | Purpose::Update => self.on_offer_response(core, delivery, response),
            Purpose::Bye => self.on_bye_response(core, response),
            Purpose::Options => self.on_probe_response(core, response),
            Purpose::Refresh | Purpose::Ping => self.on_refresh_response(core, delivery, response),
            Purpose::Info => {
                let established = matches!(self.phase, Phase::Established);
                if established && matches!(response.status(), Some(408 | 481)) {
                    self.lost(core);
                }
            }
            // The INVITE decides; a CANCEL has no leg, nor has a request outside of calls.
            Purpose::Prack | Purpose::Cancel | Purpose::Check | Purpose::Register => {}
        }
    }

    pub fn on_failure(&mut self, core: &mut Core, delivery: Delivery, failure: ClientFailure) {
        match delivery.purpose {
            Purpose::Invite => self.on_invite_failure(core, delivery, failure),
            Purpose::Reinvite | Purpose::Update => self.on_offer_failure(core, delivery, failure),
            Purpose::Bye => self.gone = true,
            Purpose::Refresh | Purpose::Ping => self.on_refresh_failure(core, failure),
            Purpose::Info => {
                if failure == ClientFailure::Timeout && matches!(self.phase, Phase::Established) {
                    self.lost(core);
                }
            }
            // That nothing answers a probe is for the brain to judge.
            Purpose::Prack | Purpose::Cancel | Purpose::Options => {}
            Purpose::Check | Purpose::Register => {}
        }
    }
}
