//! What the legs say to each other through the brain: answers, changes, ends.

use crate::brain::Switch;
use crate::call::{Call, Deadline, PendingOffer, Phase};
use crate::codecs::{Mismatch, Rules, Sides};
use crate::record::Record;
use diagnosis::Event;
use media::Side;
use params::MediaCheck;
use std::net::IpAddr;
use std::sync::Arc;
use vocab::leg::{LegCommand, LegEvent, LegFailure, OfferBy, Refusal};
use vocab::{EndReason, EndedBy, LegId, Now, SessionDescription};

pub(crate) fn failure_words(failure: LegFailure) -> &'static str {
    match failure {
        LegFailure::SessionExpired => "the session was not refreshed",
        LegFailure::NoAck => "the 200 was never acknowledged",
        LegFailure::NoPrack => "a reliable response was never acknowledged",
        LegFailure::DialogLost => "the peer no longer knows the call",
        LegFailure::NoResponse => "no response inside the call",
        LegFailure::Unreachable => "the peer cannot be reached",
        LegFailure::Protocol => "the peer's messages made no sense",
    }
}

impl Switch {
    pub(crate) fn on_deadline(&mut self, now: Now, call: &mut Call, deadline: Deadline) {
        self.tell_timer(call, deadline);
        match deadline {
            Deadline::Doctor => self.on_doctor_deadline(now, call),
            Deadline::Progress => self.on_progress_deadline(now, call),
            Deadline::Credit => self.on_credit_deadline(now, call),
            Deadline::Length => self.on_length_deadline(now, call),
            Deadline::Figures => self.settle(now, call),
            Deadline::Doubt => self.on_doubt_deadline(now, call),
            Deadline::Protect => self.next_attempt(now, call),
        }
    }

    /// An event of one of the call's legs. Events of legs that were given up are stale and pass unheard.
    pub(crate) fn on_call_event(&mut self, now: Now, call: &mut Call, leg: LegId, event: LegEvent) {
        if call.ended() {
            return;
        }
        if call.is_fork(leg) && matches!(call.phase, Phase::Trying) {
            return self.on_fork_event(now, call, leg, event);
        }
        if !(leg == call.a || call.is_b(leg)) {
            return;
        }
        if !matches!(event, LegEvent::Released { .. } | LegEvent::Failed(_)) {
            let side = call.side(leg);
            Self::sign_of_life(call, side, false);
        }
        match event {
            // Handled before a call is known.
            LegEvent::Setup(_) | LegEvent::Ended | LegEvent::Alive => {}
            LegEvent::Trying => self.on_trying(now, call),
            LegEvent::Alerting { session, reliable } => self.on_progress(now, call, true, session, reliable),
            LegEvent::Progress { session, reliable } => self.on_progress(now, call, false, session, reliable),
            LegEvent::Answered { session } => self.on_answered(now, call, session),
            LegEvent::Refused(refusal) => self.on_refused(now, call, refusal),
            LegEvent::Cancelled { .. } => self.on_cancelled(now, call),
            LegEvent::Confirmed { session } => self.on_confirmed(now, call, session),
            LegEvent::Offered { session, by } => self.on_offered(now, call, leg, session, by),
            LegEvent::OfferAccepted { session } => self.on_offer_accepted(now, call, leg, session),
            LegEvent::OfferRefused(refusal) => self.on_offer_refused(now, call, refusal),
            LegEvent::OfferConfirmed { session } => self.on_offer_confirmed(now, call, leg, session),
            LegEvent::Info { content_type, body } => self.on_info(now, call, leg, content_type, body),
            LegEvent::Released { q850, text } => self.on_released(now, call, leg, q850, text),
            LegEvent::Failed(failure) => self.on_leg_failed(now, call, leg, failure),
        }
    }

    /// A record of the call is on disk.
    pub(crate) fn on_recorded(&mut self, now: Now, call: &mut Call) {
        let answer = match &mut call.phase {
            Phase::Answering { journaled, answer } if *journaled <= self.journaled => answer.take(),
            Phase::Recording(seq) if *seq <= self.journaled => return self.show(call),
            _ => return,
        };
        call.phase = Phase::Talking;
        self.command(now, call.a, LegCommand::Answer { session: answer });
        self.watch_credit(call);
        self.set_length_deadline(call);
        self.watch_media(call);
        self.call_doctor(now, call);
        self.show(call);
    }

    fn watch_media(&mut self, call: &mut Call) {
        let seconds = call.snapshot.params.media_check_timeout_s;
        let watch_ms = (seconds != 0).then(|| seconds.saturating_mul(1000));
        let check = |side| self.params_of(call, side).map_or(MediaCheck::Both, |p| p.media_check_direction);
        let [a, b] = [check(Side::A), check(Side::B)];
        let from = |check| matches!(check, MediaCheck::FromPeer | MediaCheck::Both);
        let to = |check| matches!(check, MediaCheck::ToPeer | MediaCheck::Both);
        let watched = [from(a) && to(b), from(b) && to(a)];
        let watches = watched.map(|watched| watch_ms.filter(|_| watched));
        self.with_media(call, |plan, out| plan.watch(watches, out));
    }

    /// CANCEL: nothing was connected, nothing is charged, even when the gateway has just answered (`SIG-4`).
    fn on_cancelled(&mut self, now: Now, call: &mut Call) {
        call.answered = None;
        let end = self.ending(now, EndReason::CallerCancelled, EndedBy::Caller);
        self.end_call(now, call, end);
    }

    /// The caller's ACK; with a delayed offer it carries the answer that the gateway's ACK waits for.
    fn on_confirmed(&mut self, now: Now, call: &mut Call, session: Option<SessionDescription>) {
        call.confirmed = true;
        // An answer that had to wait for a PRACK settles only now what the session timer is.
        self.set_length_deadline(call);
        self.journal(Record::Confirmed(call.id), None);
        if call.setup.session.is_some() {
            return;
        }
        let session = session.map(|s| self.cross_answer(call, Side::A, &s));
        if let Some(b) = call.b() {
            self.command(now, b, LegCommand::Confirm { session });
        }
        if call.media.as_ref().is_some_and(|plan| plan.lacks_keys(Side::A)) {
            let end = self.ending(now, EndReason::CodecMismatch, EndedBy::Switch);
            self.end_call(now, call, end);
        }
    }

    /// re-INVITE or UPDATE of one side goes to the other (`SIG-6`).
    fn on_offered(
        &mut self,
        now: Now,
        call: &mut Call,
        leg: LegId,
        session: Option<SessionDescription>,
        by: OfferBy,
    ) {
        let other = call.across(leg);
        let refusal = |status| LegCommand::RefuseOffer(Refusal::status(status));
        let Some(other) = other.filter(|_| !matches!(call.phase, Phase::Answering { .. })) else {
            return self.command(now, leg, refusal(491));
        };
        if call.pending.is_some() {
            // RFC 6337 §3: an offer of the other side is under way; the peer tries again.
            return self.command(now, leg, refusal(491));
        }
        if session.as_ref().is_some_and(|s| self.is_misdirected(call, call.side(leg), s)) {
            return self.command(now, leg, refusal(488));
        }
        if let (Some(offer), true) = (&session, call.relayed)
            && self.lease_more(call, offer).is_err()
        {
            return self.command(now, leg, refusal(503));
        }
        let side = call.side(leg);
        let crossed = session.as_ref().map(|s| self.cross_offer(call, side, s)).transpose();
        let Ok(crossed) = crossed else { return self.command(now, leg, refusal(488)) };
        call.pending = Some(PendingOffer { from: leg, by, offerless: session.is_none() });
        // RFC 3264 §8: until the other side agrees, and if it refuses, all stays as it was.
        call.offered = session;
        self.command(now, other, LegCommand::Offer { session: crossed, by });
    }

    fn on_offer_accepted(
        &mut self,
        now: Now,
        call: &mut Call,
        leg: LegId,
        session: Option<SessionDescription>,
    ) {
        let Some(pending) = call.pending.filter(|p| p.from != leg) else { return };
        if let (Some(offer), true, true) = (&session, pending.offerless, call.relayed)
            && self.lease_more(call, offer).is_err()
        {
            call.pending = None;
            return self.command(now, pending.from, LegCommand::RefuseOffer(Refusal::status(503)));
        }
        let side = call.side(leg);
        if let Some(offer) = call.offered.take() {
            self.apply_session(call, side.other(), &offer);
        }
        let session = session.map(|s| match pending.offerless {
            true => self.cross_delayed(call, side, &s),
            false => self.cross_answer(call, side, &s),
        });
        if !pending.offerless {
            call.pending = None;
        }
        self.command(now, pending.from, LegCommand::AcceptOffer { session });
        self.note_change(call);
        self.show(call);
    }

    /// The answer to an offer that the peer was asked for, in its ACK.
    fn on_offer_confirmed(
        &mut self,
        now: Now,
        call: &mut Call,
        leg: LegId,
        session: Option<SessionDescription>,
    ) {
        let Some(pending) = call.pending.take_if(|p| p.from == leg && p.offerless) else { return };
        let side = call.side(pending.from);
        let session = session.map(|s| self.cross_answer(call, side, &s));
        if let Some(other) = call.across(leg) {
            self.command(now, other, LegCommand::Confirm { session });
        }
        self.note_change(call);
        self.show(call);
    }

    fn on_offer_refused(&mut self, now: Now, call: &mut Call, refusal: Refusal) {
        if let Some(pending) = call.pending.take() {
            call.offered = None;
            self.command(now, pending.from, LegCommand::RefuseOffer(refusal));
        }
    }

    fn on_released(&mut self, now: Now, call: &mut Call, leg: LegId, q850: Option<u8>, text: Option<String>) {
        let by = if leg == call.a { EndedBy::Caller } else { EndedBy::Callee };
        let mut end = self.ending(now, EndReason::NormalRelease, by);
        end.q850 = q850.unwrap_or(end.q850);
        end.text = text;
        self.date_back(call, call.side(leg), &mut end);
        self.end_call(now, call, end);
    }

    fn on_leg_failed(&mut self, now: Now, call: &mut Call, leg: LegId, failure: LegFailure) {
        if leg != call.a && matches!(call.phase, Phase::Trying) {
            return self.on_attempt_leg_failed(now, call, failure);
        }
        let by = if leg == call.a { EndedBy::Caller } else { EndedBy::Callee };
        let mut end = match failure {
            LegFailure::SessionExpired => self.ending(now, EndReason::SessionTimeout, EndedBy::Switch),
            _ => self.ending(now, EndReason::ProtocolError, by),
        };
        end.text = Some(
            match failure {
                LegFailure::SessionExpired if leg == call.a => "the caller's session was not refreshed",
                LegFailure::SessionExpired => "the called party's session was not refreshed",
                other => failure_words(other),
            }
            .to_owned(),
        );
        self.tell(call.id, Event::LegFailed { side: call.side(leg), why: failure_words(failure) });
        self.date_back(call, call.side(leg), &mut end);
        self.end_call(now, call, end);
    }

    // --- media

    /// What the settings of both gateways say of codecs, of side A and of side B.
    pub(crate) fn rules(&self, call: &Call) -> [Rules; 2] {
        let a = call.gateway.as_ref().map_or(&call.snapshot.params, |g| &g.params);
        let b = call.current.as_ref().map_or(&call.snapshot.params, |c| &c.gateway.params);
        let mut rules = [Rules::of(a), Rules::of(b)];
        for (rules, leg) in rules.iter_mut().zip([Some(call.a), call.b()]) {
            rules.digits.takes_info = leg.and_then(|leg| self.endpoint.takes_info(leg)) == Some(true);
        }
        rules
    }

    /// The same, by who offers.
    pub(crate) fn sides<'a>(&self, call: &Call, rules: &'a [Rules; 2], offerer: Side) -> Sides<'a> {
        let [a, b] = rules;
        let (offerer, answerer) = if offerer == Side::A { (a, b) } else { (b, a) };
        Sides { offerer, answerer, relayed: call.relayed }
    }

    /// An offer from `side`, ready to be sent to the other side. Media follows it when it is accepted.
    fn cross_offer(
        &mut self,
        call: &mut Call,
        side: Side,
        offer: &SessionDescription,
    ) -> Result<SessionDescription, Mismatch> {
        let rules = self.rules(call);
        let crossed = self.sides(call, &rules, side).offer(offer)?;
        call.offer = Some((side, offer.clone()));
        let remote = self.remote_ip(call, side.other());
        Ok(self.toward(call, side.other(), remote, &crossed))
    }

    /// An offer that was asked for and cannot be refused any more; media follows it from now on. Without a common
    /// codec it crosses as it is, and the other side refuses it.
    pub(crate) fn cross_delayed(
        &mut self,
        call: &mut Call,
        side: Side,
        offer: &SessionDescription,
    ) -> SessionDescription {
        self.apply_session(call, side, offer);
        self.cross_offer(call, side, offer).unwrap_or_else(|Mismatch| {
            let remote = self.remote_ip(call, side.other());
            self.toward(call, side.other(), remote, offer)
        })
    }

    /// An answer from `side`, likewise. It settles whether speech is converted (`MED-10`).
    pub(crate) fn cross_answer(
        &mut self,
        call: &mut Call,
        side: Side,
        answer: &SessionDescription,
    ) -> SessionDescription {
        self.apply_session(call, side, answer);
        let rules = self.rules(call);
        let agreement = match &call.offer {
            Some((offerer, offer)) if *offerer != side => {
                Some(self.sides(call, &rules, *offerer).answer(offer, answer))
            }
            _ => None,
        };
        let codings = agreement.as_ref().and_then(|a| a.codings);
        // From offerer and answerer to A and B.
        let codings =
            codings.map(|(own, others)| if side == Side::B { [own, others] } else { [others, own] });
        if let Some([Some(a), Some(b)]) = codings.map(|c| c.map(|c| c.codec)) {
            call.codecs = [a, b].map(|codec| Some(codec.name().into()));
        }
        self.with_media(call, |plan, out| plan.agree(codings, out));
        let crossed = agreement.map_or_else(|| answer.clone(), |a| a.answer);
        let remote = self.remote_ip(call, side.other());
        self.toward(call, side.other(), remote, &crossed)
    }

    /// Takes note of what `side` wants.
    pub(crate) fn apply_session(&mut self, call: &mut Call, side: Side, session: &SessionDescription) {
        let codec = session.audio().and_then(|i| session.media.get(i)).and_then(|m| m.first_codec());
        call.codecs[usize::from(side == Side::B)] = codec.map(Arc::from);
        if side == Side::B {
            // An answer names the codec of both sides; without conversion they are the same.
            call.codecs[0] = codec.map(Arc::from);
        }
        if call.relayed {
            let believed = !self.points_at_us(call, side, session);
            self.with_media(call, |plan, out| plan.apply(side, session, believed, out));
        }
    }

    fn points_at_us(&self, call: &Call, side: Side, session: &SessionDescription) -> bool {
        self.config.media.is_pointed_at(session, self.remote_ip(call, side), &self.ports)
    }

    /// Does a change want media where it may not go, or in another form than it may?
    fn is_misdirected(&self, call: &Call, side: Side, session: &SessionDescription) -> bool {
        let plan = call.media.as_ref().filter(|_| call.relayed);
        plan.is_some_and(|plan| {
            plan.is_too_far(side, session)
                || plan.is_against_protection(side, session)
                || self.points_at_us(call, side, session)
        })
    }

    /// `session` as it is to be sent to the peer on side `side`.
    pub(crate) fn toward(
        &self,
        call: &Call,
        side: Side,
        remote: IpAddr,
        session: &SessionDescription,
    ) -> SessionDescription {
        match &call.media {
            Some(plan) if call.relayed => plan.rewrite(session, side, remote, &self.config.media),
            _ => session.clone(),
        }
    }

    fn remote_ip(&self, call: &Call, side: Side) -> IpAddr {
        let target = || call.current.as_ref().and_then(|c| c.record.remote);
        let remote = if side == Side::A { Some(call.setup.flow.remote) } else { target() };
        remote.unwrap_or(call.setup.flow.remote).ip()
    }

    fn lease_more(
        &mut self,
        call: &mut Call,
        session: &SessionDescription,
    ) -> Result<(), crate::media_plan::NoPorts> {
        let Some(mut plan) = call.media.take() else { return Ok(()) };
        let leased = self.lease_streams(call, &mut plan, session);
        call.media = Some(plan);
        leased
    }

    fn with_media(
        &mut self,
        call: &mut Call,
        f: impl FnOnce(&mut crate::media_plan::MediaPlan, &mut dyn FnMut(media::MediaCommand)),
    ) {
        if let Some(plan) = &mut call.media {
            f(plan, &mut |command| self.emit(crate::Output::Media(command)));
        }
    }

    pub(crate) fn on_first_packet(&mut self, call: &mut Call, side: Side) {
        Self::sign_of_life(call, side, true);
        if side == Side::B
            && let Some(current) = &mut call.current
        {
            current.sent_media = true;
        }
    }

    /// `MED-5`.
    pub(crate) fn on_silence(&mut self, now: Now, call: &mut Call, side: Side) {
        if !matches!(call.phase, Phase::Talking) {
            return;
        }
        let mut end = self.ending(now, EndReason::NoMediaTimeout, EndedBy::Switch);
        let who = if side == Side::A { "the caller" } else { "the called party" };
        end.text = Some(format!("nothing from {who} for {} s", call.snapshot.params.media_check_timeout_s));
        if let Some(doubt) = call.doubt.filter(|d| d.no_media) {
            end.at = doubt.last;
        }
        self.end_call(now, call, end);
    }

    pub(crate) fn on_figures(
        &mut self,
        now: Now,
        call: &mut Call,
        figures: media::SessionStatistics,
        last: bool,
    ) {
        let Some(plan) = &mut call.media else { return };
        plan.record(now.tick, figures);
        if last {
            plan.closing = plan.closing.saturating_sub(1);
            if plan.closing == 0 && matches!(call.phase, Phase::Closing(_)) {
                self.set_deadline(call, Deadline::Figures, None);
                self.settle(now, call);
            }
        } else {
            self.show_media(call);
            self.note_figures(now, call, &figures);
        }
    }
}
