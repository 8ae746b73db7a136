//! Trying gateways: place, listen, give up, go on to the next (`RTE-9`, `SIG-5`).

use crate::brain::Switch;
use crate::call::{Call, Current, Deadline, Ending, Phase};
use crate::codecs;
use crate::identity;
use crate::media_plan::{self, MediaPlan, NoPorts, Party};
use crate::phones::Place;
use crate::rewriting::{self, Parties};
use crate::settle;
use crate::snapshot::RoutingGateway;
use crate::talk::failure_words;
use crate::tariff;
use cdr::{Attempt, AttemptResult, Named};
use diagnosis::Event;
use media::Side;
use params::{NoTimerProbe, Params, SessionRefresher};
use routing::Candidate;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use vocab::explain::Verdict;
use vocab::leg::{LegCommand, LegFailure, Placement, ProbeBy, Refresher, Refusal, SessionTerms};
use vocab::{DialString, EndReason, EndedBy, Now, SessionDescription, Transport, cause};

/// Contacts followed for one attempt at most, so that two gateways cannot send a call round for ever.
const MAX_REDIRECTS: u32 = 3;
/// RFC 3261 §8.1.1.6: whatever a caller allows, no call goes further.
const MOST_HOPS: u8 = 70;
/// A gateway that asks for a longer rest is tried again after this.
const LONGEST_REST_S: u32 = 3600;
/// How long a gateway may take to give a final response to CANCEL (RFC 3261 §9.1: 64×T1).
const CANCEL_TIMEOUT_MS: u32 = 32_000;

const NO_ENCRYPTION: &str = "the peer's encryption of media is not what SS_SRTP says";

/// Why a gateway was not tried.
enum NotPlaced {
    Ports,
    /// Nothing may be offered that both sides' settings let through (`MED-10`).
    Codecs,
    /// The caller's media is encrypted, or is not, against the setting of its gateway (`MED-23`).
    Encryption,
    /// In words, what speaks against it.
    Skipped(String),
}

fn mapping_params(call: &Call) -> &Params {
    call.gateway.as_ref().map_or(&call.snapshot.params, |gateway| &gateway.params)
}

/// Both sides as far as media is concerned, if this gateway is tried.
fn parties(call: &Call, gateway: &RoutingGateway, target: SocketAddr) -> (Party, Party) {
    let party = |signalling, params: &Params| Party {
        signalling,
        mode: params.mediaproxymode,
        moves: params.media_move,
        srtp: params.srtp,
    };
    (party(call.setup.flow.remote.ip(), mapping_params(call)), party(target.ip(), &gateway.params))
}

/// How the session with a peer is kept up (`SIG-22`).
pub(crate) fn session_terms(params: &Params) -> SessionTerms {
    SessionTerms {
        ttl_s: params.sip_session_ttl_s,
        min_se_s: params.sip_session_min_se_s,
        segment: params.sip_session_update_segment,
        refresher: match params.sip_session_refresher {
            SessionRefresher::Auto => Refresher::Auto,
            SessionRefresher::Uac => Refresher::Caller,
            SessionRefresher::Uas => Refresher::Callee,
        },
        early_hangup_s: params.sip_session_timeout_early_hangup_s,
        probe: match params.sip_no_timer_probe {
            NoTimerProbe::Off => ProbeBy::Nothing,
            NoTimerProbe::Options => ProbeBy::Options,
            NoTimerProbe::Reinvite => ProbeBy::Reinvite,
        },
    }
}

/// Is media relayed, if this gateway is tried (`MED-1`)?
fn relayed(call: &Call, gateway: &RoutingGateway, (a, b): (Party, Party)) -> bool {
    let Some(mapping) = &call.gateway else { return false };
    let params = &call.snapshot.params;
    // Whoever allows conversion wants the relay that it needs.
    let rules = [&mapping.params, &gateway.params].map(|params| codecs::Rules::of(params));
    let watched = params.media_check_timeout_s != 0
        || media_plan::protects((a, b))
        || codecs::may_convert(&rules[0], &rules[1])
        || rules.iter().any(|r| r.digits.needs_relay());
    media_plan::relayed(a, b, params.media_proxy_behind_nat, watched, call.setup.session.as_ref())
}

/// What speaks against this gateway as far as encryption of media goes (`MED-23`).
fn protection_fault(call: &Call, sides: (Party, Party)) -> Option<NotPlaced> {
    if !media_plan::protects(sides) {
        return None;
    }
    if !call.relayed {
        let required = [sides.0, sides.1].iter().any(|party| party.srtp == params::Srtp::Required);
        return required.then(|| NotPlaced::Skipped("SRTP is required, and media is not relayed".into()));
    }
    let offer = call.setup.session.as_ref()?;
    (!media_plan::is_acceptable(sides.0.srtp, offer)).then_some(NotPlaced::Encryption)
}

impl Switch {
    /// Places the call at the next candidate that has room, or ends it.
    pub(crate) fn next_attempt(&mut self, now: Now, call: &mut Call) {
        while let Some(candidate) = call.candidates.pop_front() {
            if let Some(until) = self.protected_until(now, call, &candidate) {
                call.candidates.push_front(candidate);
                // What the gateway before still sends concerns nobody.
                call.current = None;
                return self.set_deadline(call, Deadline::Protect, Some(until));
            }
            let verdict = self.has_room(now, &candidate.gateway);
            if verdict != Verdict::Kept {
                call.explanation.step("skipped", false, format!("{}: {verdict:?}", candidate.gateway.name));
                continue;
            }
            match self.attempt(now, call, &candidate) {
                Ok(()) => return self.show(call),
                Err(NotPlaced::Codecs) => {
                    let text = format!("{}: no codec in common", candidate.gateway.name);
                    call.explanation.step("skipped", false, text);
                    call.last_failure = Some((EndReason::CodecMismatch, Refusal::status(488)));
                }
                Err(NotPlaced::Encryption) => {
                    let text = format!("{}: {NO_ENCRYPTION}", candidate.gateway.name);
                    call.explanation.step("skipped", false, text);
                    let refusal = Refusal { text: Some(NO_ENCRYPTION.into()), ..Refusal::status(488) };
                    call.last_failure = Some((EndReason::CodecMismatch, refusal));
                }
                Err(NotPlaced::Skipped(why)) => {
                    let words = format!("{}: {why}", candidate.gateway.name);
                    call.explanation.step("skipped", false, words);
                }
                Err(NotPlaced::Ports) => {
                    let end = self.ending(now, EndReason::NoMediaPorts, EndedBy::Switch);
                    return self.end_call(now, call, end);
                }
            }
        }
        let end = self.exhausted(now, call);
        self.end_call(now, call, end);
    }

    /// `RTE-8`: a protected gateway waits until the call is old enough, and until every other one was tried.
    fn protected_until(&self, now: Now, call: &mut Call, candidate: &Candidate) -> Option<vocab::Tick> {
        if !candidate.gateway.terms.protected {
            return None;
        }
        let own = call.snapshot.routing_gateways.get(&candidate.gateway.id);
        let own = own.map_or(0, |g| g.params.try_protect_route_delay_s);
        // Whoever of the two sides asks for the longer wait gets it.
        let delay_s = own.max(mapping_params(call).try_protect_route_delay_s);
        let until = call.start.tick + Duration::from_secs(delay_s.into());
        if until <= now.tick {
            return None;
        }
        let words = format!("{} waits until the call is {delay_s} s old", candidate.gateway.name);
        call.explanation.step("protected gateway", true, words);
        Some(until)
    }

    /// Nobody is left to try.
    fn exhausted(&self, now: Now, call: &mut Call) -> Ending {
        let Some((reason, refusal)) = call.last_failure.take() else {
            if call.without_number > 0 {
                return self.ending(now, EndReason::NoNumberLeft, EndedBy::Switch);
            }
            return self.ending(now, EndReason::AllGatewaysBusy, EndedBy::Switch);
        };
        // What the called party or its network said stands; where the gateways themselves failed, and several did,
        // that is the finding.
        let of_gateway = matches!(
            reason,
            EndReason::GatewayFailure
                | EndReason::InviteTimeout
                | EndReason::ResponseTimeout
                | EndReason::ProtocolError
        );
        let reason =
            if of_gateway && call.attempts.len() > 1 { EndReason::AllGatewaysFailed } else { reason };
        self.ending_by_refusal(now, reason, &refusal)
    }

    /// The end of a call by a gateway's refusal: its codes reach the caller.
    fn ending_by_refusal(&self, now: Now, reason: EndReason, refusal: &Refusal) -> Ending {
        let mut end = self.ending(now, reason, reason.row().by);
        // 401 and 407 were for us, 3xx was for us: the caller could do nothing with them.
        end.sip_code = match refusal.status {
            0 => end.sip_code,
            300..=399 | 401 | 407 => 503,
            status => status,
        };
        end.q850 = refusal.q850.unwrap_or(match refusal.status {
            0 => end.q850,
            status if end.q850 == 0 => cause::q850_from_sip(status),
            _ => end.q850,
        });
        end.text = refusal.text.clone().or(refusal.phrase.clone());
        end
    }

    fn attempt(&mut self, now: Now, call: &mut Call, candidate: &Candidate) -> Result<(), NotPlaced> {
        let snapshot = call.snapshot.clone();
        let Some(gateway) = snapshot.routing_gateways.get(&candidate.gateway.id).cloned() else {
            return Err(NotPlaced::Skipped("it is gone".into()));
        };
        let mut places = call.contacts.take().unwrap_or_else(|| self.places(now, &gateway));
        let (Some(best), Some(vendor)) = (places.first(), snapshot.accounts.get(&gateway.route.account))
        else {
            return Err(NotPlaced::Skipped("it cannot be reached".into()));
        };
        // Those that are as good as the best ring together, the others when none of these answers (RFC 3261 §16.6).
        let (target, q) = (best.target, best.q);
        let others = places.split_off(places.iter().take_while(|p| p.q == q).count());
        if !others.is_empty() {
            call.candidates.push_front(candidate.clone());
            call.contacts = Some(others);
        }
        let Some(called) = call.called.clone() else { return Err(NotPlaced::Skipped("no number".into())) };
        let numbers = Parties { caller: call.caller.clone(), called };
        let name = gateway.route.name.clone();
        let tell = |step, words| call.explanation.step(step, true, format!("for {name}: {words}"));
        let at = (call.pick, call.start.utc);
        let mut sent = match rewriting::outgoing(&snapshot, &gateway, &numbers, at, tell) {
            Ok(sent) => sent,
            Err(error) => {
                call.without_number += 1;
                return Err(NotPlaced::Skipped(error.to_string()));
            }
        };
        let sides = parties(call, &gateway, target);
        call.relayed = relayed(call, &gateway, sides);
        if let Some(fault) = protection_fault(call, sides) {
            return Err(fault);
        }
        let offered = match &call.setup.session {
            Some(offer) => {
                let sides = [codecs::Rules::of(mapping_params(call)), codecs::Rules::of(&gateway.params)];
                let crossed =
                    self.sides(call, &sides, Side::A).offer(offer).map_err(|_| NotPlaced::Codecs)?;
                call.offer = Some((Side::A, offer.clone()));
                Some(crossed)
            }
            None => None,
        };
        self.plan_media(call, sides).map_err(|NoPorts| NotPlaced::Ports)?;
        let priced = if gateway.rate_rewritten { &sent.called } else { &numbers.called };
        // A phone of ours costs nothing: its account's rates are what it pays, not what it is paid.
        let cost = match gateway.phone {
            Some(_) => None,
            None => tariff::cost_of(&snapshot, &gateway, priced, call.start.utc),
        };
        let Some(first) = places.first() else { return Err(NotPlaced::Skipped("no place".into())) };
        let pooled = self.pooled_caller(call, &gateway)?;
        if let Some(number) = &pooled {
            sent.caller = number.to_string();
        }
        let leg = self.place(now, call, &gateway, first, &sent, offered.as_ref());
        let rest = places.get(1..).unwrap_or_default();
        let forks = self.ring_forks(now, call, &gateway, rest, &sent, offered.as_ref());
        let record = self.attempt_record(now, &gateway, &vendor.name, leg, target, sent);
        self.tell_attempt(call.id, &record);
        self.meters.enter_routing(&gateway.route, now.tick);
        let wait = Duration::from_secs(gateway.params.sip_timeout_invite_s.into());
        call.current = Some(Current {
            leg,
            gateway,
            vendor: vendor.clone(),
            cost,
            record,
            heard: false,
            rang: false,
            sent_session: false,
            sent_media: false,
            slot_held: true,
            redirects: 0,
            forks,
            pooled,
        });
        self.set_deadline(call, Deadline::Progress, Some(now.tick + wait));
        self.note_placed(now, call);
        Ok(())
    }

    /// The number that stands for the caller at a gateway with a pool (`SIG-19`).
    fn pooled_caller(
        &mut self,
        call: &mut Call,
        gateway: &RoutingGateway,
    ) -> Result<Option<Arc<str>>, NotPlaced> {
        let pool = &gateway.identity.pool;
        if pool.numbers.is_empty() {
            return Ok(None);
        }
        match self.pools.take(gateway.route.id, pool, call.pick) {
            Some(number) => {
                let words = format!("for {}: {number} of its pool", gateway.route.name);
                call.explanation.step("caller", true, words);
                Ok(Some(number))
            }
            None => Err(NotPlaced::Skipped("every caller number of its pool is in use".into())),
        }
    }

    /// Gets ports for this attempt, if media is relayed.
    fn plan_media(&mut self, call: &mut Call, (a, b): (Party, Party)) -> Result<(), NoPorts> {
        if !call.relayed {
            return Ok(());
        }
        let mut plan = match call.media.take() {
            Some(mut plan) => {
                let mut commands = Vec::new();
                let mut random = self.random.fork();
                let renewed = plan.renew_b(b, &mut random, &mut self.ports, &mut |c| commands.push(c));
                commands.into_iter().for_each(|c| self.emit(crate::Output::Media(c)));
                call.media = Some(plan);
                renewed?;
                return Ok(());
            }
            None => MediaPlan::new(a, b),
        };
        let leased = match &call.setup.session {
            Some(offer) => self.lease_streams(call, &mut plan, offer),
            None => Ok(()),
        };
        call.media = Some(plan);
        leased?;
        if let Some(offer) = call.setup.session.clone() {
            self.apply_session(call, media::Side::A, &offer);
        }
        Ok(())
    }

    pub(crate) fn lease_streams(
        &mut self,
        call: &Call,
        plan: &mut MediaPlan,
        session: &SessionDescription,
    ) -> Result<(), NoPorts> {
        let mut ports = std::mem::take(&mut self.ports);
        let mut random = self.random.fork();
        let leased = plan.lease(session, &mut random, &mut ports, || self.next_media_session());
        self.ports = ports;
        for session in leased? {
            self.media_sessions.insert(session, call.id);
        }
        self.ask_for_ports();
        Ok(())
    }

    pub(crate) fn place(
        &mut self,
        now: Now,
        call: &mut Call,
        gateway: &RoutingGateway,
        place: &Place,
        numbers: &Parties,
        offer: Option<&SessionDescription>,
    ) -> vocab::LegId {
        let target = place.target;
        let session = offer.map(|offer| self.toward(call, media::Side::B, target.ip(), offer));
        let told = identity::told(call, gateway, numbers);
        let placement = Placement {
            target,
            transport: place.transport,
            listener: place.listener.unwrap_or_else(|| self.listener_for(place.transport, target)),
            host: gateway.request_host(),
            uri: place.uri.clone(),
            routes: place.routes.clone(),
            called: numbers.called.as_str().to_owned(),
            to: told.to,
            caller: told.caller,
            caller_display: told.display,
            from_host: told.from_host,
            identity: told.identity,
            session,
            max_forwards: call.setup.max_forwards.min(MOST_HOPS).saturating_sub(1),
            credentials: gateway.credentials.clone(),
            authentication_retries: u8::try_from(gateway.params.sip_authentication_retry).unwrap_or(u8::MAX),
            resend_intervals_ms: gateway.params.sip_resend_interval_ms.clone(),
            request_address: gateway.request_address,
            extra_headers: told.extra_headers,
            cancel_timeout_ms: CANCEL_TIMEOUT_MS,
            session_terms: session_terms(&gateway.params),
        };
        let leg = self.endpoint.place(now, placement);
        self.legs.insert(leg, call.id);
        leg
    }

    /// A listener of the gateway's transport and address family; the first one when none fits.
    pub(crate) fn listener_for(&self, transport: Transport, target: SocketAddr) -> vocab::ListenerId {
        let fits = |l: &&sip::ListenerConfig| {
            l.transport == transport
                && l.local.toward(target.ip()).is_some_and(|ip| ip.is_ipv4() == target.is_ipv4())
        };
        let by_transport = |l: &&sip::ListenerConfig| l.transport == transport;
        let listeners = &self.config.listeners;
        let found = listeners.iter().find(fits).or_else(|| listeners.iter().find(by_transport));
        found.map(|l| l.id).unwrap_or_default()
    }

    fn attempt_record(
        &self,
        now: Now,
        gateway: &RoutingGateway,
        vendor: &Arc<str>,
        leg: vocab::LegId,
        target: SocketAddr,
        sent: Parties,
    ) -> Attempt {
        Attempt {
            gateway: Named { id: gateway.route.id, name: gateway.route.name.clone() },
            account: Named { id: gateway.route.account, name: vendor.clone() },
            called: sent.called.as_str().to_owned(),
            caller: sent.caller,
            call_id: self.endpoint.call_id(leg).unwrap_or_default().to_owned(),
            remote: Some(target),
            start: now.utc,
            ringing: None,
            end: now.utc,
            result: AttemptResult::Answered,
            sip_code: 0,
            q850: 0,
            text: None,
        }
    }

    /// 100: the gateway is there.
    pub(crate) fn on_trying(&mut self, now: Now, call: &mut Call) {
        let Some(current) = &mut call.current else { return };
        current.heard = true;
        let wait = Duration::from_secs(current.gateway.params.sip_timeout_trying_s.into());
        self.set_deadline(call, Deadline::Progress, Some(now.tick + wait));
    }

    /// 180 or 183 from the gateway, passed to the caller.
    pub(crate) fn on_progress(
        &mut self,
        now: Now,
        call: &mut Call,
        alerting: bool,
        session: Option<SessionDescription>,
        reliable: bool,
    ) {
        if !matches!(call.phase, Phase::Trying) {
            return;
        }
        let Some(current) = &mut call.current else { return };
        current.heard = true;
        current.rang |= alerting;
        current.sent_session |= session.is_some();
        if alerting {
            current.record.ringing.get_or_insert(now.utc);
            call.ringing.get_or_insert(now.utc);
        }
        let params = &current.gateway.params;
        let wait_s = match (alerting || current.rang, current.sent_session) {
            (true, _) => params.sip_timeout_ringing_s,
            (false, true) => params.sip_timeout_session_progress_sdp_s,
            (false, false) => params.sip_timeout_session_progress_s,
        };
        // PDD ends with the first sign that the far end was reached.
        call.pdd.get_or_insert(now.tick.since(call.start.tick));
        self.set_deadline(call, Deadline::Progress, Some(now.tick + Duration::from_secs(wait_s.into())));
        let session = session.map(|s| self.cross_answer(call, Side::B, &s));
        if session.is_some() {
            call.early_answer.clone_from(&session);
        }
        let command = if alerting {
            LegCommand::Alert { session, reliable }
        } else {
            LegCommand::Progress { session, reliable }
        };
        self.command(now, call.a, command);
        self.show(call);
    }

    /// 2xx from the gateway. The caller hears of it when the record is on disk (`BIL-15`).
    pub(crate) fn on_answered(&mut self, now: Now, call: &mut Call, session: Option<SessionDescription>) {
        if !matches!(call.phase, Phase::Trying) {
            return;
        }
        self.set_deadline(call, Deadline::Progress, None);
        self.cancel_forks(now, call, None);
        call.answered = Some(now);
        self.tell(call.id, Event::Answered);
        tariff::through_call(call, now.utc);
        call.pdd.get_or_insert(now.tick.since(call.start.tick));
        if let Some(current) = &mut call.current {
            current.record.sip_code = 200;
        }
        let delayed = call.setup.session.is_none();
        if delayed
            && let Some(offer) = &session
            && self.open_delayed(call, offer).is_err()
        {
            let end = self.ending(now, EndReason::NoMediaPorts, EndedBy::Switch);
            call.answered = None;
            return self.end_call(now, call, end);
        }
        let answer = match session {
            Some(offer) if delayed => Some(self.cross_delayed(call, Side::B, &offer)),
            Some(answer) => Some(self.cross_answer(call, Side::B, &answer)),
            None => call.early_answer.take(),
        };
        if call.media.as_ref().is_some_and(|plan| plan.lacks_keys(Side::B)) {
            call.answered = None;
            let mut end = self.ending(now, EndReason::CodecMismatch, EndedBy::Switch);
            end.text = Some(NO_ENCRYPTION.into());
            return self.end_call(now, call, end);
        }
        let Some(record) = self.answered_record(call, answer.clone()) else {
            // The engine has no such leg: nobody to connect.
            call.answered = None;
            let end = self.ending(now, EndReason::InternalError, EndedBy::Switch);
            return self.end_call(now, call, end);
        };
        let journaled = self.journal(record, Some(crate::brain::Waiting::Call(call.id)));
        call.phase = Phase::Answering { journaled, answer };
        self.show(call);
    }

    /// With a delayed offer the first description comes from the gateway.
    fn open_delayed(&mut self, call: &mut Call, offer: &SessionDescription) -> Result<(), NoPorts> {
        let Some(mut plan) = call.media.take() else { return Ok(()) };
        let leased = self.lease_streams(call, &mut plan, offer);
        call.media = Some(plan);
        leased
    }

    /// The gateway refused.
    pub(crate) fn on_refused(&mut self, now: Now, call: &mut Call, refusal: Refusal) {
        if !matches!(call.phase, Phase::Trying) {
            return;
        }
        if (300..400).contains(&refusal.status) && self.follow_redirect(now, call, &refusal) {
            return;
        }
        if refusal.status < 600 && self.promote_fork(call) {
            return;
        }
        if let Some((gateway, seconds)) = self.wants_rest(call, &refusal) {
            let rest = Duration::from_secs(seconds.into());
            self.meters.routing.entry(gateway).or_default().rest(now.tick, rest);
            let words = format!("{} wants no calls for {seconds} s", refusal.status);
            call.explanation.step("gateway rests", true, words);
        }
        let reason = EndReason::from_sip(refusal.status);
        self.attempt_failed(now, call, reason, refusal);
    }

    /// RFC 3261 §21.5.4: a 503 with Retry-After speaks for the whole gateway. Of other statuses it concerns the user.
    fn wants_rest(&self, call: &Call, refusal: &Refusal) -> Option<(vocab::RoutingGatewayId, u32)> {
        let seconds = refusal.retry_after_s.filter(|s| *s > 0 && refusal.status == 503)?;
        Some((call.current.as_ref()?.gateway.route.id, seconds.min(LONGEST_REST_S)))
    }

    /// 3xx: the same gateway may name another number or place, when its owner allows it (`SIG-4`). Only contacts at
    /// addresses that are the gateway's own are followed: a call must not be sent where no rate and no trust exist.
    fn follow_redirect(&mut self, now: Now, call: &mut Call, refusal: &Refusal) -> bool {
        let Some(current) = &call.current else { return false };
        let (gateway, redirects) = (current.gateway.clone(), current.redirects + 1);
        let caller = current.record.caller.clone();
        let Some(target) = gateway.target else { return false };
        if !gateway.follow_redirects || redirects > MAX_REDIRECTS {
            return false;
        }
        let contacts = refusal.contacts.iter().filter_map(|uri| sip::uri::Uri::parse(uri));
        let mut reachable = contacts.filter_map(|uri| {
            let place = uri.host_ip().map(|ip| SocketAddr::new(ip, uri.port().unwrap_or(5060)));
            let own = place.is_some_and(|p| p.ip().to_canonical() == target.ip().to_canonical());
            let number = DialString::parse(&uri.user_unescaped()).ok()?;
            (own || gateway.host.as_deref() == Some(uri.host())).then(|| (place.unwrap_or(target), number))
        });
        let Some((place, number)) = reachable.next() else { return false };
        let rules = self.rules(call);
        let offer = call.setup.session.as_ref();
        let offer = offer.and_then(|offer| self.sides(call, &rules, Side::A).offer(offer).ok());
        let sent = Parties { caller, called: number.clone() };
        let way = Place {
            target: place,
            transport: gateway.transport,
            listener: None,
            uri: None,
            routes: Vec::new(),
            q: 1000,
        };
        let leg = self.place(now, call, &gateway, &way, &sent, offer.as_ref());
        let wait = Duration::from_secs(gateway.params.sip_timeout_invite_s.into());
        let call_id = self.endpoint.call_id(leg).unwrap_or_default().to_owned();
        let snapshot = call.snapshot.clone();
        let id = call.id;
        if let Some(current) = &mut call.current {
            current.leg = leg;
            current.redirects = redirects;
            current.heard = false;
            // The vendor bills the number that it is sent.
            current.cost = tariff::cost_of(&snapshot, &gateway, &number, call.start.utc);
            current.record.called = number.as_str().to_owned();
            current.record.call_id = call_id;
            current.record.remote = Some(place);
            let record = current.record.clone();
            self.tell_attempt(id, &record);
        }
        self.set_deadline(call, Deadline::Progress, Some(now.tick + wait));
        self.note_placed(now, call);
        true
    }

    /// The attempt's leg failed without a message.
    pub(crate) fn on_attempt_leg_failed(&mut self, now: Now, call: &mut Call, failure: LegFailure) {
        if self.promote_fork(call) {
            return;
        }
        self.tell(call.id, Event::LegFailed { side: Side::B, why: failure_words(failure) });
        let reason = match failure {
            LegFailure::NoResponse | LegFailure::Unreachable => EndReason::InviteTimeout,
            LegFailure::NoAck
            | LegFailure::DialogLost
            | LegFailure::NoPrack
            | LegFailure::Protocol
            | LegFailure::SessionExpired => EndReason::ProtocolError,
        };
        self.attempt_failed(now, call, reason, Refusal::default());
    }

    /// One of the time-outs of `SIG-5` struck: cancel the attempt, then go on or end.
    pub(crate) fn on_progress_deadline(&mut self, now: Now, call: &mut Call) {
        let Some(current) = &call.current else { return };
        let reason = match (current.rang, current.heard) {
            (true, _) => EndReason::NoAnswer,
            (false, true) => EndReason::ResponseTimeout,
            (false, false) => EndReason::InviteTimeout,
        };
        self.command(now, current.leg, LegCommand::Cancel { q850: Some(reason.row().q850) });
        self.attempt_failed(now, call, reason, Refusal::default());
    }

    fn attempt_failed(&mut self, now: Now, call: &mut Call, reason: EndReason, refusal: Refusal) {
        let stop = self.stop_rule(call, reason, refusal.status);
        let rang = call.current.as_ref().is_some_and(|c| c.rang);
        call.early_answer = None;
        self.close_attempt(now, call, AttemptResult::Failed(reason), &refusal);
        self.set_deadline(call, Deadline::Progress, None);
        if self.after_phone(now, call, reason, refusal.status, rang) {
            return;
        }
        if let Some(rule) = stop {
            if !call.candidates.is_empty() {
                call.explanation.step("no further gateway", false, rule);
            }
            let end = self.ending_by_refusal(now, reason, &refusal);
            return self.end_call(now, call, end);
        }
        call.last_failure = Some((reason, refusal));
        self.next_attempt(now, call);
    }

    /// The rule that forbids another gateway after this failure, if one does.
    fn stop_rule(&self, call: &Call, reason: EndReason, status: u16) -> Option<&'static str> {
        let current = call.current.as_ref()?;
        let params = &current.gateway.params;
        let busy = reason == EndReason::CalleeBusy;
        if busy && params.gateway_switch_stop_after_user_busy {
            return Some("the called party is busy");
        }
        let tried = u32::try_from(call.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        if params.gateway_switch_limit != 0 && tried >= params.gateway_switch_limit {
            return Some("the limit of gateways is reached");
        }
        if let Some(codes) = &current.gateway.failover_codes
            && status != 0
            && !codes.contains(&status)
        {
            return Some("the status is not in the gateway's failover list");
        }
        if current.gateway.failover_codes.is_none() && reason.row().next == cause::Next::No {
            return Some("the failure is final");
        }
        if params.gateway_switch_until_connect {
            return None;
        }
        if params.gateway_switch_stop_after_rtp_start && current.sent_media {
            return Some("media from the gateway was heard");
        }
        if params.sip_stop_switch_after_sdp && current.sent_session {
            return Some("the gateway sent SDP");
        }
        current.rang.then_some("the called party was rung")
    }

    /// Writes the attempt down and gives its slot back.
    pub(crate) fn close_attempt(
        &mut self,
        now: Now,
        call: &mut Call,
        result: AttemptResult,
        refusal: &Refusal,
    ) {
        self.cancel_forks(now, call, None);
        let destination = call.sale().map(|sale| sale.prefix);
        let Some(current) = &mut call.current else { return };
        if !std::mem::replace(&mut current.slot_held, false) {
            return;
        }
        if let Some(number) = current.pooled.take() {
            self.pools.give_back(current.gateway.route.id, number);
        }
        let record = &mut current.record;
        record.end = now.utc;
        record.result = result;
        if let AttemptResult::Failed(reason) = result {
            record.sip_code = refusal.status;
            record.q850 = refusal.q850.unwrap_or(match (reason.row().q850, refusal.status) {
                (0, status) if status != 0 => cause::q850_from_sip(status),
                (own, _) => own,
            });
            record.text = refusal.text.clone().or(refusal.phrase.clone());
        }
        call.attempts.push(record.clone());
        let answered = result == AttemptResult::Answered;
        let talk_ms = call.answered.map_or(0, |at| settle::millis(now.tick.since(at.tick)));
        let talk_ms = if answered { talk_ms } else { 0 };
        self.meters.leave_routing(&current.gateway.route, answered, talk_ms);
        // A call that the caller took back says nothing about the gateway.
        let counts = result != AttemptResult::Failed(EndReason::CallerCancelled);
        if current.gateway.params.gateway_asr_calculate && counts {
            let outcome = (answered, Duration::from_millis(talk_ms));
            let (id, params) = (current.gateway.route.id, &call.snapshot.params);
            self.qualities.add(now.tick, params, id, destination, outcome);
        }
    }
}
