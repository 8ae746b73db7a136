//! A call we place: from our INVITE to its final response, with forks, challenges and CANCEL.

use crate::body::Body;
use crate::core::{Core, ViaLine, refusal_of};
use crate::header::number;
use crate::leg::{Abilities, Leg, Offer, OurOffer, Phase, ReleaseReason, Unconfirmed};
use crate::message::{Builder, HeaderName, Message, Method};
use crate::sdp::Origin;
use crate::session_timer::SessionTimer;
use crate::slab::Key;
use crate::timers::LegTimer;
use crate::transaction::{ClientFailure, Delivery, Purpose};
use crate::uri;
use std::time::Duration;
use vocab::identity::{Claim, hides_caller};
use vocab::leg::{LegEvent, LegFailure, Placement, Refusal};
use vocab::{Flow, SessionDescription};

/// Early dialogs of one INVITE that are told apart.
const MAX_FORKS: usize = 16;

#[derive(Debug)]
pub(crate) struct Calling {
    pub client: Key,
    placement: Placement,
    cseq: u32,
    /// The answer to our offer came in a reliable provisional response.
    answered: bool,
    cancelled: bool,
    told_trying: bool,
    /// To tags with the last RSeq of each fork.
    early: Vec<(Box<str>, u32)>,
    /// The last response that was told, so that copies are not.
    last: Option<(u16, Option<SessionDescription>)>,
    /// What an unreliable provisional response announced, for peers that leave it out of the 2xx.
    preview: Option<SessionDescription>,
}

/// RFC 3323 §4.1.1.3: the host of a caller who is not to be known.
const NOBODY: &str = "anonymous.invalid";

/// `user@host` of a party. Only nobody brings a host of its own: a caller could write any other one there, and sign
/// with a name that is not his (`R-34`).
fn party(user: &str, host: &str) -> String {
    let own = user.rsplit_once('@').filter(|(_, own)| *own == NOBODY);
    let (user, host) = own.unwrap_or((user, host));
    let mut out = String::with_capacity(user.len() + host.len() + 8);
    out.push_str("sip:");
    if !user.is_empty() {
        uri::escape_user(&mut out, user);
        out.push('@');
    }
    out.extend(host.chars().filter(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>')));
    out
}

impl Leg {
    /// Makes the leg and sends the INVITE. `None` when there is no way to write our own address.
    pub fn depart(core: &mut Core, key: Key, tag: u64, placement: Placement) -> Option<Leg> {
        let flow = Flow {
            listener: placement.listener,
            transport: placement.transport,
            remote: placement.target,
            connection: 0,
        };
        let here = core.here(flow.listener, flow.remote.ip())?;
        let target = target_host(&placement);
        let requested = placement.uri.clone().unwrap_or_else(|| party(&placement.called, &target));
        let to = party(placement.to.as_deref().unwrap_or(&placement.called), &target);
        let our_host = here.rsplit_once(':').map_or(&*here, |(host, _)| host);
        let caller = party(&placement.caller, placement.from_host.as_deref().unwrap_or(our_host));
        let mut call_id = String::with_capacity(32);
        for half in [core.random.next_u64(), core.random.next_u64()] {
            call_id.push_str(std::str::from_utf8(&crate::hex_u64(half)).unwrap_or_default());
        }
        let mut leg = Leg {
            key,
            call_id: call_id.into(),
            local_tag: tag,
            remote_tag: None,
            local_uri: caller.into(),
            remote_uri: to.into(),
            remote_target: requested.into(),
            routes: Vec::new(),
            flow,
            home: flow.remote.ip(),
            here: here.into(),
            request_address: placement.request_address,
            local_cseq: 0,
            remote_cseq: None,
            resend: placement.resend_intervals_ms.clone(),
            sdp: Origin::new(core.random.next_u64()),
            peer: Abilities::default(),
            offer: if placement.session.is_some() { Offer::InInvite { ours: true } } else { Offer::Closed },
            credentials: placement.credentials.clone(),
            owns_call_id: true,
            // Until the INVITE is out, two lines on.
            phase: Phase::Ending,
            unacknowledged: None,
            unconfirmed: None,
            queued_offer: None,
            release: None,
            session: SessionTimer::new(placement.session_terms),
            authentication: None,
            authentication_tries: 0,
            realm: None,
            open: true,
            gone: false,
            generations: Default::default(),
        };
        leg.send_invite(core, placement);
        Some(leg)
    }

    fn send_invite(&mut self, core: &mut Core, placement: Placement) {
        let cseq = self.next_cseq();
        let branch = core.random.next_u64();
        let via = ViaLine { transport: self.flow.transport, here: &self.here, branch };
        let mut b = core.begin_request("INVITE", &self.remote_target, &via, placement.max_forwards);
        for route in &placement.routes {
            b.header("Route", route);
        }
        b.raw("From: ");
        if let Some(display) = placement.caller_display.as_deref().filter(|d| !d.is_empty()) {
            b.quoted(display).raw(" ");
        }
        b.raw("<")
            .text(&self.local_uri)
            .raw(">;tag=")
            .hex(self.local_tag)
            .raw("\r\nTo: <")
            .text(&self.remote_uri);
        b.raw(">\r\nCall-ID: ")
            .raw(&self.call_id)
            .raw("\r\nCSeq: ")
            .number(u64::from(cseq))
            .raw(" INVITE\r\n");
        // Without an offer of ours a reliable 18x could carry the peer's, and PRACK would need our answer.
        let offers = placement.session.is_some();
        self.abilities(&mut b, if offers { self.supported() } else { self.supported_inside() });
        self.write_proposal(&mut b);
        core.write_user_agent(&mut b, "User-Agent");
        let uri = self.remote_target.to_string();
        self.write_authentication(core, &mut b, Method::Invite, uri);
        self.write_sent_identity(&mut b, &placement);
        write_extra_headers(&mut b, &placement.extra_headers);
        let bytes = self.finish(b, placement.session.as_ref());
        self.note_ours(placement.session.as_ref());
        let client = self.send_request(core, Purpose::Invite, branch, self.flow, bytes);
        self.phase = Phase::Calling(Box::new(Calling {
            client,
            placement,
            cseq,
            answered: false,
            cancelled: false,
            told_trying: false,
            early: Vec::new(),
            last: None,
            preview: None,
        }));
    }

    /// `SIG-15`.
    fn write_sent_identity(&self, b: &mut Builder, placement: &Placement) {
        let identity = &placement.identity;
        let here = self.here.rsplit_once(':').map_or(&*self.here, |(host, _)| host);
        let host = placement.from_host.as_deref().unwrap_or(here);
        let hidden = identity.privacy.as_deref().is_some_and(hides_caller);
        write_claim(b, "P-Asserted-Identity", &identity.asserted, host, "");
        write_claim(b, "P-Preferred-Identity", &identity.preferred, host, "");
        let words = if hidden {
            ";party=calling;privacy=full;screen=yes"
        } else {
            ";party=calling;privacy=off;screen=yes"
        };
        write_claim(b, "Remote-Party-ID", &identity.remote_party, host, words);
        if let Some(privacy) = &identity.privacy {
            b.header("Privacy", privacy);
        }
    }

    fn calling(&mut self) -> Option<&mut Calling> {
        match &mut self.phase {
            Phase::Calling(calling) => Some(calling),
            Phase::Incoming(_) | Phase::Established | Phase::Ending => None,
        }
    }

    /// Does the peer's tag belong to an early dialog of ours?
    pub fn is_early_tag(&self, tag: &str) -> bool {
        matches!(&self.phase, Phase::Calling(c) if c.early.iter().any(|(t, _)| **t == *tag))
    }

    pub fn on_invite_response(
        &mut self,
        core: &mut Core,
        delivery: Delivery,
        flow: Flow,
        response: &Message,
    ) {
        if !matches!(&self.phase, Phase::Calling(c) if c.client == delivery.client) {
            return;
        }
        match response.status().unwrap_or(500) {
            100 => self.on_trying(core),
            ..200 => self.on_provisional(core, flow, response),
            200..300 => self.on_answer(core, flow, response),
            _ => self.on_refusal(core, response),
        }
    }

    fn on_trying(&mut self, core: &mut Core) {
        let Some(calling) = self.calling() else { return };
        if !std::mem::replace(&mut calling.told_trying, true) {
            self.emit(core, LegEvent::Trying);
        }
    }

    /// Which dialog the peer means (RFC 3261 §12.1.2); forks take turns until one of them answers.
    fn learn_dialog(&mut self, flow: Flow, response: &Message) {
        self.flow = flow;
        self.remote_tag = response.to().and_then(|t| t.tag()).map(Into::into);
        self.refresh_target(response);
        self.learn_abilities(response);
        let mut routes: Vec<Box<str>> = response.list(HeaderName::RecordRoute).map(Into::into).collect();
        routes.reverse();
        self.routes = routes;
    }

    fn on_provisional(&mut self, core: &mut Core, flow: Flow, response: &Message) {
        let status = response.status().unwrap_or(183);
        let tag: Box<str> = response.to().and_then(|t| t.tag()).unwrap_or_default().into();
        let rseq = response.get(HeaderName::RSeq).and_then(number).and_then(|n| u32::try_from(n).ok());
        let required = response.lists_token(HeaderName::Require, "100rel");
        let Some(calling) = self.calling() else { return };
        let offered = calling.placement.session.is_some();
        let reliable = rseq.filter(|_| required && offered && !tag.is_empty());
        if !tag.is_empty() && !calling.accept_early(tag, reliable) {
            return;
        }
        self.learn_dialog(flow, response);
        if let Some(rseq) = reliable {
            self.send_prack(core, rseq);
        }
        self.tell_provisional(core, status, Body::session_of(response), reliable.is_some());
    }

    fn tell_provisional(
        &mut self,
        core: &mut Core,
        status: u16,
        session: Option<SessionDescription>,
        reliable: bool,
    ) {
        let Some(calling) = self.calling() else { return };
        let told = (status, session.clone());
        // 199 (RFC 6228) ends one fork; the final response says what matters.
        if calling.last.as_ref() == Some(&told) || status == 199 {
            return;
        }
        calling.last = Some(told);
        if session.is_some() {
            calling.preview = session.clone();
            calling.answered |= reliable;
            if reliable {
                self.offer = Offer::Closed;
            }
            self.note_theirs(session.as_ref());
        }
        let event = match status {
            180..=182 => LegEvent::Alerting { session, reliable },
            _ => LegEvent::Progress { session, reliable },
        };
        self.emit(core, event);
    }

    fn send_prack(&mut self, core: &mut Core, rseq: u32) {
        let Some(invite) = self.calling().map(|c| c.cseq) else { return };
        let cseq = self.next_cseq();
        let (mut b, branch, flow) = self.begin_request(core, Method::Prack, cseq);
        b.raw("RAck: ").number(u64::from(rseq)).raw(" ").number(u64::from(invite)).raw(" INVITE\r\n");
        self.send_request(core, Purpose::Prack, branch, flow, b.finish());
    }

    fn on_answer(&mut self, core: &mut Core, flow: Flow, response: &Message) {
        let Some(calling) = self.calling() else { return };
        let (client, cseq) = (calling.client, calling.cseq);
        if calling.cancelled {
            core.release_answer(client, flow, response);
            let text = Some("The answer crossed the cancellation".to_owned());
            self.emit(core, LegEvent::Refused(Refusal { text, ..Refusal::status(487) }));
            self.end_and_go(core);
            return;
        }
        let (offered, answered) = (calling.placement.session.is_some(), calling.answered);
        let preview = calling.preview.take();
        let session = match Body::session_of(response) {
            Some(session) => Some(session),
            None if offered && !answered => preview,
            None => None,
        };
        // Either side of the exchange is missing: no media could ever flow.
        if session.is_none() && !answered {
            core.release_answer(client, flow, response);
            self.emit(core, LegEvent::Failed(LegFailure::Protocol));
            self.end_and_go(core);
            return;
        }
        self.learn_dialog(flow, response);
        self.phase = Phase::Established;
        self.authentication_tries = 0;
        self.note_theirs(session.as_ref());
        self.on_proposal_answered(core, response);
        if offered {
            self.send_ack(core, client, cseq, None);
            // An UPDATE of the early dialog may still be open, with its own end.
            if matches!(self.offer, Offer::InInvite { .. }) {
                self.offer = Offer::Closed;
            }
        } else {
            self.offer = Offer::InInvite { ours: false };
            self.unconfirmed = Some(Unconfirmed { client, cseq });
        }
        self.emit(core, LegEvent::Answered { session: session.filter(|_| !answered) });
    }

    fn on_refusal(&mut self, core: &mut Core, response: &Message) {
        let Some(calling) = self.calling() else { return };
        let challenged = matches!(response.status(), Some(401 | 407)) && !calling.cancelled;
        let at_most = calling.placement.authentication_retries;
        let brief = response.status() == Some(422) && !calling.cancelled;
        if challenged && self.take_challenge(response, at_most) || brief && self.lengthen(response) {
            self.send_invite_again(core);
            return;
        }
        self.emit(core, LegEvent::Refused(refusal_of(response)));
        self.end_and_go(core);
    }

    /// With what the refusal asked for.
    fn send_invite_again(&mut self, core: &mut Core) {
        let Phase::Calling(calling) = std::mem::replace(&mut self.phase, Phase::Ending) else { return };
        self.remote_tag = None;
        self.routes = Vec::new();
        self.send_invite(core, calling.placement);
        if let Some(again) = self.calling() {
            again.told_trying = calling.told_trying;
        }
    }

    pub fn on_invite_failure(&mut self, core: &mut Core, delivery: Delivery, failure: ClientFailure) {
        if !matches!(&self.phase, Phase::Calling(c) if c.client == delivery.client) {
            return;
        }
        let failure = match failure {
            ClientFailure::Timeout => LegFailure::NoResponse,
            ClientFailure::Unreachable => LegFailure::Unreachable,
        };
        self.emit(core, LegEvent::Failed(failure));
        self.end_and_go(core);
    }

    pub fn cancel(&mut self, core: &mut Core, reason: &ReleaseReason) {
        let Some(calling) = self.calling() else { return };
        if std::mem::replace(&mut calling.cancelled, true) {
            return;
        }
        let patience = Duration::from_millis(u64::from(calling.placement.cancel_timeout_ms));
        core.cancel_client(calling.client, reason.q850);
        self.set_timer(core, LegTimer::Cancel, patience);
    }

    pub fn cancel_timer(&mut self, core: &mut Core) {
        let Some(client) = self.calling().map(|c| c.client) else { return };
        core.abandon_client(client);
        self.emit(core, LegEvent::Failed(LegFailure::NoResponse));
        self.end_and_go(core);
    }

    pub fn send_ack(
        &mut self,
        core: &mut Core,
        client: Key,
        cseq: u32,
        session: Option<&SessionDescription>,
    ) {
        let (b, _, flow) = self.begin_request(core, Method::Ack, cseq);
        let bytes = self.finish(b, session);
        core.keep_ack(client, self.remote_tag.as_deref().unwrap_or_default(), flow, &bytes);
        core.send(flow, bytes);
    }

    pub fn confirm(&mut self, core: &mut Core, session: Option<&SessionDescription>) {
        let Some(open) = self.unconfirmed.take() else { return };
        self.send_ack(core, open.client, open.cseq, session);
        self.note_ours(session);
        self.offer = Offer::Closed;
        if let Some(offer) = self.queued_offer.take() {
            self.start_offer(core, offer);
        }
    }

    /// Early in the call only UPDATE can carry an offer, and only when the INVITE's own is done (RFC 3311 §5.1).
    pub fn may_update_early(&self, offer: &OurOffer) -> bool {
        let dialog = match &self.phase {
            Phase::Incoming(_) => true,
            Phase::Calling(calling) => calling.answered && !calling.cancelled,
            Phase::Established | Phase::Ending => false,
        };
        dialog && self.peer.update && offer.session.is_some()
    }
}

impl Calling {
    /// Nothing has come from beyond the gateway: a 100 is its own, any other provisional response need not be.
    pub fn is_unheard(&self) -> bool {
        self.early.is_empty() && self.last.is_none()
    }

    /// Of the process before this one; only ever to be cancelled.
    pub fn taken_up(client: Key, cseq: u32, flow: Flow) -> Calling {
        let placement = Placement {
            target: flow.remote,
            transport: flow.transport,
            listener: flow.listener,
            host: None,
            uri: None,
            routes: Vec::new(),
            called: String::new(),
            to: None,
            caller: String::new(),
            caller_display: None,
            from_host: None,
            identity: Default::default(),
            session: None,
            max_forwards: 70,
            credentials: None,
            authentication_retries: 0,
            resend_intervals_ms: [].into(),
            request_address: Default::default(),
            extra_headers: Vec::new(),
            cancel_timeout_ms: 32_000,
            session_terms: Default::default(),
        };
        Calling {
            client,
            placement,
            cseq,
            answered: false,
            cancelled: false,
            told_trying: true,
            early: Vec::new(),
            last: None,
            preview: None,
        }
    }

    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    /// Notes a provisional response of a fork. False: a copy, or out of order (RFC 3262 §4).
    fn accept_early(&mut self, tag: Box<str>, rseq: Option<u32>) -> bool {
        let known = self.early.len();
        match self.early.iter_mut().find(|(t, _)| *t == tag) {
            Some((_, last)) => match rseq {
                Some(rseq) if *last != 0 && rseq != last.wrapping_add(1) => false,
                Some(rseq) => {
                    *last = rseq;
                    true
                }
                None => true,
            },
            None if known < MAX_FORKS => {
                self.early.push((tag, rseq.unwrap_or(0)));
                true
            }
            None => false,
        }
    }
}

/// Host part for Request-URI and To.
fn target_host(placement: &Placement) -> String {
    if let Some(host) = &placement.host {
        return host.clone();
    }
    let mut out = String::with_capacity(24);
    uri::push_ip(&mut out, placement.target.ip());
    if placement.target.port() != 5060 {
        out.push(':');
        out.push_str(itoa::Buffer::new().format(placement.target.port()));
    }
    out
}

fn write_claim(b: &mut Builder, name: &str, claim: &Claim, host: &str, params: &str) {
    match claim {
        Claim::Nothing => {}
        Claim::Number(number) => {
            b.raw(name).raw(": <").text(&party(number, host)).raw(">").raw(params).raw("\r\n");
        }
        Claim::AsReceived(values) => values.iter().for_each(|value| {
            b.header(name, value);
        }),
    }
}

/// Headers that belong to one dialog, one hop or one body: beyond us they would say something untrue.
const NOT_PASSABLE: [&str; 16] = [
    "Replaces",
    "Join",
    "Target-Dialog",
    "Refer-To",
    "Refer-Sub",
    "Path",
    "Service-Route",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Proxy-Authentication-Info",
    "Max-Breadth",
    "Flow-Timer",
    "Content-Language",
    "Content-Transfer-Encoding",
    "Content-ID",
];

/// May a header of an INVITE be passed on (`SIG-18`)? Never one that the engine owns.
pub fn is_passable(name: &str) -> bool {
    let token =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b));
    token
        && matches!(HeaderName::from_name(name), HeaderName::Other | HeaderName::AcceptLanguage)
        && !NOT_PASSABLE.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Headers passed through by rule.
fn write_extra_headers(b: &mut Builder, headers: &[(String, String)]) {
    for (name, value) in headers {
        if is_passable(name) && !value.contains('\0') {
            b.header(name, value);
        }
    }
}
