//! Requests of ours outside of calls: REGISTER with a vendor (RFC 3261 §10.2) and OPTIONS to see whether it is there.

use crate::core::{Core, ViaLine};
use crate::digest::Answer;
use crate::header::{self, number};
use crate::message::{HeaderName, Message};
use crate::slab::Key;
use crate::transaction::{ClientFailure, Outgoing, Purpose};
use crate::uri;
use std::net::SocketAddr;
use std::sync::Arc;
use vocab::leg::PlainCredentials;
use vocab::{Flow, ListenerId, Transport};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrandId(pub(crate) Key);

/// What is asked, and of whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub target: SocketAddr,
    pub transport: Transport,
    pub listener: ListenerId,
    /// Host part of Request-URI and To; the target when absent.
    pub host: Option<String>,
    pub kind: RequestKind,
    pub resend_intervals_ms: Arc<[u32]>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RequestKind {
    Options,
    Register(Box<Register>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Register {
    /// The name that is registered.
    pub user: String,
    pub credentials: PlainCredentials,
    /// How often a challenge is answered.
    pub authentication_retries: u8,
    /// 0 takes the registration back; `None` lets the registrar choose.
    pub expires_s: Option<u32>,
    /// RFC 3261 §10.2: all of one registration have the same, and the next number.
    pub call_id: String,
    pub cseq: u32,
    /// `Privacy` header.
    pub privacy: Option<&'static str>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Response {
        status: u16,
        phrase: String,
        /// Of a 200 to REGISTER: how long ours is registered.
        expires_s: Option<u32>,
        min_expires_s: Option<u32>,
        /// The number of the last REGISTER that was sent.
        cseq: u32,
    },
    NoResponse,
    Unreachable,
}

#[derive(Debug)]
pub(crate) struct Errand {
    request: Request,
    client: Key,
    tag: u64,
    here: String,
    answer: Option<Answer>,
    tries: u8,
}

impl Errand {
    /// `None` when we have no address for the way there.
    pub fn start(core: &mut Core, key: Key, request: Request) -> Option<Errand> {
        let here = core.here(request.listener, request.target.ip())?;
        let tag = core.random.next_u64();
        let mut errand = Errand { request, client: 0, tag, here, answer: None, tries: 0 };
        errand.send(core, key);
        Some(errand)
    }

    fn send(&mut self, core: &mut Core, key: Key) {
        let branch = core.random.next_u64();
        let request = &self.request;
        let flow = Flow {
            listener: request.listener,
            transport: request.transport,
            remote: request.target,
            connection: 0,
        };
        let host = request.host.clone().unwrap_or_else(|| host_of(request.target));
        let target = format!("sip:{host}");
        let via = ViaLine { transport: request.transport, here: &self.here, branch };
        let method = purpose(&request.kind).method().name();
        let mut b = core.begin_request(method, &target, &via, 70);
        let our_host = self.here.rsplit_once(':').map_or(&*self.here, |(host, _)| host);
        match &request.kind {
            RequestKind::Options => {
                b.raw("From: <sip:").raw(our_host).raw(">;tag=").hex(self.tag);
                b.raw("\r\nTo: <").text(&target).raw(">\r\nCall-ID: ").hex(self.tag).hex(key);
                b.raw("\r\nCSeq: 1 OPTIONS\r\nContact: <sip:")
                    .raw(&self.here)
                    .raw(request.transport.uri_parameter())
                    .raw(">\r\nAccept: application/sdp\r\n");
            }
            RequestKind::Register(register) => {
                let mut user = String::new();
                uri::escape_user(&mut user, &register.user);
                let domain = host.rsplit_once(':').map_or(&*host, |(name, port)| {
                    if port.bytes().all(|b| b.is_ascii_digit()) { name } else { &*host }
                });
                b.raw("From: <sip:").text(&user).raw("@").text(domain).raw(">;tag=").hex(self.tag);
                b.raw("\r\nTo: <sip:").text(&user).raw("@").text(domain).raw(">\r\n");
                b.header("Call-ID", &register.call_id);
                b.raw("CSeq: ").number(u64::from(register.cseq)).raw(" REGISTER\r\n");
                b.raw("Contact: <sip:").text(&user).raw("@").raw(&self.here);
                b.raw(request.transport.uri_parameter()).raw(">\r\n");
                if let Some(expires) = register.expires_s {
                    b.number_header("Expires", u64::from(expires));
                }
                if let Some(privacy) = register.privacy {
                    b.header("Privacy", privacy);
                }
                if let Some(answer) = &mut self.answer {
                    let cnonce = core.random.next_u64();
                    answer.write(&mut b, &register.credentials, method, &target, cnonce);
                }
            }
        }
        core.write_user_agent(&mut b, "User-Agent");
        let (purpose, resend) = (purpose(&request.kind), request.resend_intervals_ms.clone());
        let bytes = b.finish();
        self.client = core.start_client(Outgoing { purpose, leg: Some(key), flow, branch, bytes, resend });
    }

    /// The outcome, or `None` when it goes on.
    pub fn on_response(
        &mut self,
        core: &mut Core,
        key: Key,
        client: Key,
        response: &Message,
    ) -> Option<Outcome> {
        if client != self.client {
            return None;
        }
        let status = response.status().unwrap_or(500);
        if status < 200 {
            return None;
        }
        if matches!(status, 401 | 407) && self.takes_challenge(response) {
            self.send(core, key);
            return None;
        }
        let min_expires = response.header("Min-Expires").and_then(number);
        Some(Outcome::Response {
            status,
            phrase: response.phrase().to_owned(),
            expires_s: self.granted(response),
            min_expires_s: min_expires.and_then(|n| u32::try_from(n).ok()),
            cseq: match &self.request.kind {
                RequestKind::Register(register) => register.cseq,
                RequestKind::Options => 0,
            },
        })
    }

    /// Answers a challenge, as often as is allowed: with wrong credentials it would go round for ever.
    fn takes_challenge(&mut self, response: &Message) -> bool {
        let RequestKind::Register(register) = &mut self.request.kind else { return false };
        if self.tries >= register.authentication_retries {
            return false;
        }
        let Some(answer) = Answer::to(response, None) else { return false };
        self.tries += 1;
        self.answer = Some(answer);
        register.cseq = register.cseq.wrapping_add(1);
        true
    }

    /// RFC 3261 §10.2.4: of our own contact, or of all.
    fn granted(&self, response: &Message) -> Option<u32> {
        let own = |c: &header::NameAddr<'_>| {
            let place = uri::Uri::parse(c.uri).map(|u| (u.host(), u.port().unwrap_or(5060)));
            let here = uri::host_and_port(&self.here).map(|(host, port)| (host, port.unwrap_or(5060)));
            place == here
        };
        let contacts = || response.list(HeaderName::Contact).filter_map(header::NameAddr::parse);
        let only = contacts().count() == 1;
        let ours = contacts().find(|c| only || own(c)).and_then(|c| header::param(c.params, "expires"));
        let text = ours.or_else(|| response.get(HeaderName::Expires));
        text.and_then(number).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    }

    pub fn failed(failure: ClientFailure) -> Outcome {
        match failure {
            ClientFailure::Timeout => Outcome::NoResponse,
            ClientFailure::Unreachable => Outcome::Unreachable,
        }
    }
}

fn purpose(kind: &RequestKind) -> Purpose {
    match kind {
        RequestKind::Options => Purpose::Check,
        RequestKind::Register(_) => Purpose::Register,
    }
}

fn host_of(target: SocketAddr) -> String {
    let mut out = String::with_capacity(24);
    uri::push_ip(&mut out, target.ip());
    if target.port() != 5060 {
        out.push(':');
        out.push_str(itoa::Buffer::new().format(target.port()));
    }
    out
}
