//! Session timers (RFC 4028): a session that nobody refreshes is over, so that a call whose peer is gone does not last
//! for ever. Each leg has its own; what one peer cannot do does not matter to the other.
//!
//! A peer that does not know session timers is never asked for any, and its call is not ended for want of them.

use crate::core::{Core, SUPPORTED};
use crate::header::{self, number};
use crate::leg::{Leg, Offer, OurOffer, Phase, ReleaseReason};
use crate::message::{Builder, HeaderName, Message, Method};
use crate::timers::LegTimer;
use crate::transaction::{ClientFailure, Delivery, Purpose};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;
use vocab::leg::{LegEvent, LegFailure, OfferBy, ProbeBy, Refresher, SessionTerms};
use vocab::session::MediaDescription;
use vocab::{SessionDescription, Tick};

/// RFC 4028 §4: no shorter session may be asked for.
const SHORTEST_S: u32 = 90;
/// A day; nobody means more.
const LONGEST_S: u32 = 86_400;
/// 422 responses that are heeded while one request is tried.
const MAX_LENGTHENED: u8 = 3;
/// A refresh that did not come through is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// Nothing is refreshed more often.
const SHORTEST_PERIOD: Duration = Duration::from_secs(5);
/// Q.850: recovery on timer expiry.
const TIMER_EXPIRY: u8 = 102;

/// What was agreed with the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Agreed {
    interval_s: u32,
    /// Refreshing is ours to do.
    by_us: bool,
}

/// What a request of the peer says of session timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    supported: bool,
    expires_s: Option<u32>,
    min_se_s: u32,
    /// Whether its sender wants to refresh.
    by_sender: Option<bool>,
}

/// Seconds of Session-Expires or Min-SE, before any parameters.
fn seconds(message: &Message, name: HeaderName) -> Option<u32> {
    let text = message.get(name)?;
    u32::try_from(number(text.split(';').next()?)?).ok()
}

impl Asked {
    pub fn of(message: &Message) -> Asked {
        let refresher = message.get(HeaderName::SessionExpires).and_then(|v| v.split_once(';'));
        let refresher = refresher.and_then(|(_, params)| header::param(params, "refresher"));
        Asked {
            supported: message.lists_token(HeaderName::Supported, "timer")
                || message.lists_token(HeaderName::Require, "timer"),
            expires_s: seconds(message, HeaderName::SessionExpires),
            min_se_s: seconds(message, HeaderName::MinSe).unwrap_or(0),
            by_sender: refresher.and_then(|r| match r.to_ascii_lowercase().as_str() {
                "uac" => Some(true),
                "uas" => Some(false),
                _ => None,
            }),
        }
    }

    /// The interval that may be refused with 422: its sender must know what that means (RFC 4028 §9).
    pub fn kept_interval(&self) -> Option<u32> {
        self.expires_s.filter(|_| self.supported)
    }
}

/// What is written down of a session timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionState {
    agreed: Agreed,
    ours: Option<Box<SessionDescription>>,
    theirs: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct SessionTimer {
    pub terms: SessionTerms,
    /// Of the peer's request that is being answered.
    asked: Option<Asked>,
    agreed: Option<Agreed>,
    /// What 422 responses have asked for.
    floor_s: u32,
    lengthened: u8,
    /// The session is over then.
    expires: Tick,
    /// The session as the peer has it from us: a re-INVITE that changes nothing says it again.
    ours: Option<Box<SessionDescription>>,
    /// Hash of the peer's: the same again changes nothing.
    theirs: Option<u64>,
    /// Hash of an offer that is not answered yet.
    offered: Option<u64>,
}

impl SessionTimer {
    pub fn new(terms: SessionTerms) -> SessionTimer {
        SessionTimer {
            terms,
            asked: None,
            agreed: None,
            floor_s: 0,
            lengthened: 0,
            expires: Tick(0),
            ours: None,
            theirs: None,
            offered: None,
        }
    }

    /// Of a call that arrives: its terms come when it is known whose it is.
    pub fn asked(request: &Message) -> SessionTimer {
        SessionTimer { asked: Some(Asked::of(request)), ..SessionTimer::new(SessionTerms::default()) }
    }

    pub fn taken_up(terms: SessionTerms, state: Option<Box<SessionState>>) -> SessionTimer {
        let timer = SessionTimer::new(terms);
        match state.map(|state| *state) {
            Some(SessionState { agreed, ours, theirs }) => {
                SessionTimer { agreed: Some(agreed), ours, theirs, ..timer }
            }
            None => timer,
        }
    }

    pub fn state(&self) -> Option<Box<SessionState>> {
        let agreed = self.outlook()?;
        Some(Box::new(SessionState { agreed, ours: self.ours.clone(), theirs: self.theirs }))
    }

    /// What is agreed, with the answer to the request at hand if there is one.
    pub fn outlook(&self) -> Option<Agreed> {
        match &self.asked {
            Some(asked) => self.answer_to(asked),
            None => self.agreed,
        }
    }

    /// RFC 4028 §9, table 2: what we answer to a request of the peer.
    fn answer_to(&self, asked: &Asked) -> Option<Agreed> {
        if self.terms.ttl_s == 0 {
            return None;
        }
        let ttl_s = self.ttl_s();
        match (asked.supported, asked.expires_s) {
            // A proxy wants a timer that the peer knows nothing of: then refreshing is ours.
            (false, Some(expires_s)) => {
                let interval_s = expires_s.clamp(SHORTEST_S, ttl_s.max(SHORTEST_S));
                Some(Agreed { interval_s, by_us: true })
            }
            // Said nothing inside a session that is timed: it goes on as it was.
            (false, None) => self.agreed,
            (true, expires_s) => {
                // RFC 4028 §9: never more than was asked for, never less than either side's Min-SE.
                let own_s = self.terms.min_se_s.max(SHORTEST_S);
                let shortest_s = asked.min_se_s.max(own_s).min(expires_s.unwrap_or(LONGEST_S));
                let interval_s = expires_s.unwrap_or(ttl_s).min(ttl_s).max(shortest_s).min(LONGEST_S);
                let by_us = match (asked.by_sender, self.agreed, self.terms.refresher) {
                    (Some(by_sender), ..) => !by_sender,
                    (None, Some(agreed), _) => agreed.by_us,
                    (None, None, Refresher::Caller) => false,
                    (None, None, Refresher::Auto | Refresher::Callee) => true,
                };
                Some(Agreed { interval_s, by_us })
            }
        }
    }

    /// What we propose.
    fn ttl_s(&self) -> u32 {
        self.terms.ttl_s.max(self.terms.min_se_s)
    }

    /// What we ask for now.
    fn interval_s(&self) -> u32 {
        self.agreed.map_or(self.ttl_s(), |a| a.interval_s).max(self.floor_s)
    }

    /// From a refresh to the moment at which the session is given up.
    fn life(&self) -> Duration {
        let interval_s = self.agreed.map_or(self.ttl_s(), |a| a.interval_s);
        let life_s = interval_s.saturating_sub(self.terms.early_hangup_s).max(1);
        Duration::from_secs(life_s.into())
    }

    fn period(&self) -> Duration {
        (self.life() / self.terms.segment.max(2)).max(SHORTEST_PERIOD)
    }

    /// The peer's offer holds from now on.
    pub fn take_offered(&mut self) {
        if let Some(offered) = self.offered.take() {
            self.theirs = Some(offered);
        }
    }

    pub fn forget_offered(&mut self) {
        (self.asked, self.offered) = (None, None);
    }
}

fn fingerprint(session: &SessionDescription) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(crate::sdp::print(session, 0, 0).as_bytes());
    hasher.finish()
}

/// Our session once more as the answer to the peer's, which it has agreed with before: of what we offered, only what the
/// peer took. `None` when that cannot be said without the other side of the call.
fn repeated(ours: &SessionDescription, theirs: &SessionDescription) -> Option<SessionDescription> {
    if ours.media.len() != theirs.media.len() {
        return None;
    }
    let mut answer = ours.clone();
    for (own, asked) in answer.media.iter_mut().zip(&theirs.media) {
        if asked.port == 0 {
            own.port = 0;
            continue;
        }
        own.formats.retain(|f| asked.formats.contains(f));
        if own.formats.is_empty() {
            return None;
        }
        drop_unused_attributes(own);
    }
    Some(answer)
}

fn drop_unused_attributes(media: &mut MediaDescription) {
    let formats = &media.formats;
    media.attributes.retain(|a| {
        let of_format = a.name == "rtpmap" || a.name == "fmtp";
        let format = a.value.as_deref().and_then(|v| v.split(' ').next()).unwrap_or_default();
        !of_format || formats.iter().any(|f| f == format)
    });
}

// --- what is written

impl Leg {
    /// Before the call is answered: RFC 3262 matters too.
    pub fn supported(&self) -> &'static str {
        if self.session.terms.ttl_s == 0 { "100rel" } else { SUPPORTED }
    }

    /// Afterwards, and where we make no offer.
    pub fn supported_inside(&self) -> &'static str {
        if self.session.terms.ttl_s == 0 { "" } else { "timer" }
    }

    /// In the INVITE that opens the call.
    pub fn write_proposal(&self, b: &mut Builder) {
        let session = &self.session;
        if session.terms.ttl_s == 0 {
            return;
        }
        b.raw("Session-Expires: ").number(u64::from(session.interval_s()));
        match session.terms.refresher {
            Refresher::Auto => b.raw("\r\n"),
            Refresher::Caller => b.raw(";refresher=uac\r\n"),
            Refresher::Callee => b.raw(";refresher=uas\r\n"),
        };
        self.write_min_se(b);
    }

    /// In requests inside the dialog that refresh the session, whatever else they are for.
    pub fn write_renewal(&self, b: &mut Builder) {
        let Some(agreed) = self.session.agreed else { return };
        b.raw("Session-Expires: ").number(u64::from(self.session.interval_s()));
        b.raw(if agreed.by_us { ";refresher=uac\r\n" } else { ";refresher=uas\r\n" });
        self.write_min_se(b);
    }

    fn write_min_se(&self, b: &mut Builder) {
        let session = &self.session;
        b.number_header("Min-SE", u64::from(session.terms.min_se_s.max(session.floor_s).max(SHORTEST_S)));
    }

    /// In 2xx responses. RFC 4028 §9: a peer that is to refresh must know it.
    pub fn write_agreed(&self, b: &mut Builder) {
        let Some(agreed) = self.session.agreed else { return };
        if !agreed.by_us {
            b.raw("Require: timer\r\n");
        }
        b.raw("Session-Expires: ").number(u64::from(agreed.interval_s));
        b.raw(if agreed.by_us { ";refresher=uas\r\n" } else { ";refresher=uac\r\n" });
    }

    pub fn note_ours(&mut self, session: Option<&SessionDescription>) {
        if let Some(session) = session {
            self.session.ours = Some(Box::new(session.clone()));
        }
    }

    /// The peer offers this; it holds when it is accepted.
    pub fn note_offered(&mut self, session: &SessionDescription) {
        self.session.offered = Some(fingerprint(session));
    }

    pub fn note_theirs(&mut self, session: Option<&SessionDescription>) {
        if let Some(session) = session {
            self.session.theirs = Some(fingerprint(session));
        }
    }
}

// --- what the peer asks for

impl Leg {
    /// The caller's session is too short.
    pub fn refuse_brief_call(&mut self, core: &mut Core, min_se_s: u32) {
        let Phase::Incoming(incoming) = &self.phase else { return };
        core.respond(incoming.server, 422, &[("Min-SE", &min_se_s.to_string())]);
        self.end_and_go(core);
    }

    /// Of a request inside the dialog. True when it was refused.
    pub fn refuse_brief(&mut self, core: &mut Core, request: &Message, server: crate::slab::Key) -> bool {
        let asked = Asked::of(request);
        let min_se_s = self.session.terms.min_se_s;
        if self.session.terms.ttl_s != 0 && asked.kept_interval().is_some_and(|s| s < min_se_s) {
            core.respond(server, 422, &[("Min-SE", &min_se_s.to_string())]);
            return true;
        }
        if matches!(self.phase, Phase::Established) {
            self.session.asked = Some(asked);
        }
        false
    }

    /// With our 2xx to a request of the peer.
    pub fn agree_on_timer(&mut self, core: &mut Core) {
        // An UPDATE before the answer settles nothing: the 2xx to the INVITE does.
        if !matches!(self.phase, Phase::Established) {
            return;
        }
        if let Some(asked) = self.session.asked.take() {
            self.session.agreed = self.session.answer_to(&asked);
        }
        self.restart_timer(core);
    }

    /// The answer to an offer that changes nothing, so that a refresh on one side does not bother the other.
    pub fn answer_to_refresh(&mut self, offer: Option<&SessionDescription>) -> Option<SessionDescription> {
        let offer = offer?;
        let told = fingerprint(offer);
        self.session.offered = Some(told);
        let timed = self.session.outlook().is_some() && matches!(self.phase, Phase::Established);
        if !timed || self.session.theirs != Some(told) {
            return None;
        }
        repeated(self.session.ours.as_deref()?, offer)
    }

    /// The 2xx to our INVITE. Without Session-Expires the peer knows no session timers (RFC 4028 §7.2).
    pub fn on_proposal_answered(&mut self, core: &mut Core, response: &Message) {
        if self.session.terms.ttl_s != 0 {
            self.session.agreed = proposal_answer(response, None);
        }
        self.restart_timer(core);
    }

    /// A 2xx inside the dialog.
    pub fn on_renewed(&mut self, core: &mut Core, response: &Message) {
        self.session.lengthened = 0;
        if let Some(agreed) = self.session.agreed {
            self.session.agreed = proposal_answer(response, Some(agreed.by_us)).or(Some(agreed));
        }
        self.restart_timer(core);
    }

    /// A 422. True when what it asks for can be had.
    pub fn lengthen(&mut self, response: &Message) -> bool {
        let wanted = seconds(response, HeaderName::MinSe).filter(|s| *s <= LONGEST_S);
        let session = &mut self.session;
        let Some(wanted) = wanted.filter(|s| *s > session.interval_s()) else { return false };
        if session.terms.ttl_s == 0 || session.lengthened >= MAX_LENGTHENED {
            return false;
        }
        session.lengthened += 1;
        session.floor_s = wanted;
        true
    }
}

/// What a 2xx to a request of ours settles. Whoever is not named as refresher: it is as before, or ours.
fn proposal_answer(response: &Message, by_us_before: Option<bool>) -> Option<Agreed> {
    let said = Asked::of(response);
    // Seen from the one who sent the request, which was us.
    let by_us = said.by_sender.or(by_us_before).unwrap_or(true);
    // A peer that names less than the RFC allows is humoured, but no call ends for it.
    let interval_s = said.expires_s?.clamp(if by_us { 2 } else { SHORTEST_S }, LONGEST_S);
    Some(Agreed { interval_s, by_us })
}

// --- keeping it up

impl Leg {
    fn restart_timer(&mut self, core: &mut Core) {
        let session = &mut self.session;
        let Some(agreed) = session.agreed else {
            self.restart_probe(core);
            return;
        };
        let (life, period) = (session.life(), session.period());
        session.expires = core.now.tick + life;
        self.set_timer(core, LegTimer::Session, if agreed.by_us { period.min(life) } else { life });
    }

    /// A peer without timers is asked as often as a session of it would be refreshed.
    fn restart_probe(&mut self, core: &mut Core) {
        let terms = &self.session.terms;
        if terms.probe == ProbeBy::Nothing || terms.ttl_s == 0 {
            self.stop_timer(LegTimer::Session);
            return;
        }
        let period = self.session.period();
        self.session.expires = Tick(u64::MAX);
        self.set_timer(core, LegTimer::Session, period);
    }

    /// After a restart of the process it is not known when the session was refreshed last. Thousands at once would be a flood.
    pub fn resume_timer(&mut self, core: &mut Core) {
        self.restart_timer(core);
        if self.session.agreed.is_some_and(|a| a.by_us) {
            let within = u64::try_from(self.session.period().as_millis() / 4).unwrap_or(0);
            let soon = Duration::from_millis(1000 + core.random.below(within.max(1)));
            self.set_timer(core, LegTimer::Session, soon);
        }
    }

    pub fn session_timer(&mut self, core: &mut Core) {
        if !matches!(self.phase, Phase::Established) {
            return;
        }
        if core.now.tick >= self.session.expires {
            self.expire(core);
            return;
        }
        let probe = if self.session.agreed.is_some() { ProbeBy::Nothing } else { self.session.terms.probe };
        // Should nothing come of it, the session ends when it ends.
        let left = self.session.expires.since(core.now.tick);
        self.set_timer(core, LegTimer::Session, left.min(Duration::from_secs(LONGEST_S.into())));
        match probe {
            ProbeBy::Options => self.send_bare(core, Method::Options, Purpose::Ping),
            ProbeBy::Nothing if self.peer.update => self.send_bare(core, Method::Update, Purpose::Refresh),
            ProbeBy::Nothing | ProbeBy::Reinvite => self.refresh_by_reinvite(core),
        }
    }

    /// RFC 4028 §7.4: UPDATE without an offer disturbs nothing.
    fn send_bare(&mut self, core: &mut Core, method: Method, purpose: Purpose) {
        let cseq = self.next_cseq();
        let (mut b, branch, flow) = self.begin_request(core, method, cseq);
        self.abilities(&mut b, self.supported_inside());
        self.write_renewal(&mut b);
        self.send_request(core, purpose, branch, flow, b.finish());
    }

    fn refresh_by_reinvite(&mut self, core: &mut Core) {
        let free = matches!(self.offer, Offer::Closed)
            && self.unacknowledged.is_none()
            && self.unconfirmed.is_none()
            && self.queued_offer.is_none();
        match self.session.ours.as_deref().filter(|_| free).cloned() {
            Some(ours) => {
                let offer = OurOffer { refresh: true, ..OurOffer::new(Some(ours), OfferBy::Reinvite) };
                self.send_offer(core, offer, false);
            }
            None => self.refresh_later(core),
        }
    }

    pub fn refresh_later(&mut self, core: &mut Core) {
        let left = self.session.expires.since(core.now.tick);
        self.set_timer(core, LegTimer::Session, left.min(AGAIN));
    }

    pub fn on_refresh_response(&mut self, core: &mut Core, delivery: Delivery, response: &Message) {
        if !matches!(self.phase, Phase::Established) {
            return;
        }
        match (response.status().unwrap_or(500), delivery.purpose) {
            (..200, _) => {}
            (408 | 481, _) => self.expire(core),
            (_, Purpose::Ping) => self.restart_timer(core),
            (..300, _) => {
                self.refresh_target(response);
                self.learn_abilities(response);
                self.authentication_tries = 0;
                self.on_renewed(core, response);
            }
            (401 | 407, _) if self.take_challenge(response, MAX_LENGTHENED) => {
                self.send_bare(core, Method::Update, Purpose::Refresh);
            }
            (422, _) if self.lengthen(response) => self.send_bare(core, Method::Update, Purpose::Refresh),
            (405 | 501, _) => {
                self.peer.update = false;
                self.refresh_by_reinvite(core);
            }
            _ => self.refresh_later(core),
        }
    }

    /// RFC 3261 §12.2.1.2: silence is as good as 408.
    pub fn on_refresh_failure(&mut self, core: &mut Core, failure: ClientFailure) {
        match (failure, &self.phase) {
            (ClientFailure::Timeout, Phase::Established) => self.expire(core),
            (ClientFailure::Unreachable, Phase::Established) => self.refresh_later(core),
            _ => {}
        }
    }

    /// The session is over.
    pub fn expire(&mut self, core: &mut Core) {
        self.emit(core, LegEvent::Failed(LegFailure::SessionExpired));
        let text = Some("Session not refreshed".to_owned());
        self.send_bye(core, ReleaseReason { q850: Some(TIMER_EXPIRY), text });
        self.end(core);
    }
}
