//! What transactions and legs share: the outside (configuration, randomness, time, outputs, timers) and the
//! texts that every message needs.

use crate::digest::{self, Algorithm, NonceMaker};
use crate::endpoint::{Challenge, Config, Heard, Output, Statistics};
use crate::message::{Builder, HeaderName, MAGIC_COOKIE, Message};
use crate::slab::{Key, Slab};
use crate::timers::{TimerOf, Timers};
use crate::transaction::{ClientTransaction, RequestKey, ServerTransaction};
use crate::uri;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use vocab::leg::{FromLeg, LegEvent, Refusal, ReplyAddress};
use vocab::{Flow, IdMap, LegId, ListenerId, Now, Random, Tick, Transport};

/// Methods we understand, as in Allow.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO";
pub(crate) const SUPPORTED: &str = "100rel, timer";

#[derive(Debug)]
pub(crate) struct Core {
    pub config: Config,
    pub random: Random,
    pub nonces: NonceMaker,
    pub now: Now,
    pub timers: Timers,
    pub outputs: VecDeque<Output>,
    pub statistics: Statistics,
    /// Of the message that is being handled.
    pub heard: Heard,
    pub clients: Slab<ClientTransaction>,
    /// Client transactions by branch; a CANCEL shares the branch of its INVITE.
    pub branches: IdMap<(u64, bool), Key>,
    /// Client transactions that wait, by where they went, for the time when nobody is there any more.
    pub waiting: HashMap<(Transport, SocketAddr), Vec<Key>>,
    /// Connections that calls have used. Those of mere visitors may come and go without a search.
    pub call_connections: HashSet<SocketAddr>,
    pub servers: Slab<ServerTransaction>,
    pub server_keys: IdMap<RequestKey, Key>,
    /// INVITEs that opened a call, by what RFC 3261 §8.2.2.2 compares to find merged requests.
    pub merge_keys: IdMap<RequestKey, Key>,
    pub secret: Secret,
    /// Peers that take no TCP, and until when that is believed.
    pub tcp_refusals: HashMap<SocketAddr, Tick>,
}

/// Makes keys of what strangers write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secret([u64; 2]);

impl Secret {
    fn new(random: &mut Random) -> Secret {
        Secret([random.next_u64(), random.next_u64()])
    }

    pub fn hash(self, value: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        value.hash(&mut hasher);
        hasher.finish()
    }
}

impl Core {
    pub fn new(config: Config, mut random: Random) -> Core {
        let nonces = NonceMaker::new(&mut random);
        let secret = Secret::new(&mut random);
        Core {
            config,
            random,
            nonces,
            now: Now::default(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            statistics: Statistics::default(),
            heard: Heard::default(),
            clients: Slab::default(),
            branches: IdMap::default(),
            waiting: HashMap::new(),
            call_connections: HashSet::new(),
            servers: Slab::default(),
            server_keys: IdMap::default(),
            merge_keys: IdMap::default(),
            secret,
            tcp_refusals: HashMap::new(),
        }
    }

    pub fn send(&mut self, flow: Flow, bytes: Vec<u8>) {
        self.statistics.sent += 1;
        self.outputs.push_back(Output::Send { flow, bytes });
    }

    pub fn note_connection(&mut self, flow: Flow) {
        if flow.transport.is_reliable() {
            self.call_connections.insert(flow.remote);
        }
    }

    pub fn emit(&mut self, leg: Key, event: LegEvent) {
        self.outputs.push_back(Output::Event(FromLeg { leg: LegId(leg), event }));
    }

    pub fn set_timer(&mut self, after: Duration, of: TimerOf, generation: u32) {
        self.timers.set(self.now.tick, after, of, generation);
    }

    /// `host:port` of a listener as `remote` shall see it; `None` when the listener is unknown or no address of
    /// ours fits the family of the peer.
    pub fn here(&self, listener: ListenerId, remote: IpAddr) -> Option<String> {
        let listener = self.config.listeners.iter().find(|l| l.id == listener)?;
        let mut out = String::with_capacity(24);
        match &listener.advertised {
            Some(host) => match host.parse::<Ipv6Addr>() {
                Ok(ip) => uri::push_ip(&mut out, IpAddr::V6(ip)),
                Err(_) => {
                    out.push_str(host);
                    if uri::host_and_port(host).is_some_and(|(_, port)| port.is_some()) {
                        return Some(out);
                    }
                }
            },
            None => uri::push_ip(&mut out, listener.local.toward(remote)?),
        }
        out.push(':');
        out.push_str(itoa::Buffer::new().format(listener.port));
        Some(out)
    }

    /// The first lines of a request of ours, up to Max-Forwards.
    pub fn begin_request(&self, method: &str, uri: &str, via: &ViaLine, max_forwards: u8) -> Builder {
        let mut b = Builder::request(method, uri);
        via.write(&mut b);
        b.number_header("Max-Forwards", u64::from(max_forwards));
        b
    }

    pub fn write_user_agent(&self, b: &mut Builder, name: &str) {
        if !self.config.user_agent.is_empty() {
            b.header(name, &self.config.user_agent);
        }
    }

    /// A response without any state: for requests that open nothing.
    pub fn respond_statelessly(&mut self, way: Way, request: &Message, reply: &Reply<'_>) {
        let tag = self.random.next_u64();
        self.respond_with_tag(way, request, reply, tag);
    }

    pub fn respond_with_tag(&mut self, way: Way, request: &Message, reply: &Reply<'_>, tag: u64) {
        if !is_sendable(way.reply.remote.ip()) {
            return;
        }
        let mut b = Echo::of(request, way.source).begin(reply.status, reply.phrase(), tag);
        self.write_user_agent(&mut b, "Server");
        for (name, value) in reply.headers {
            b.header(name, value);
        }
        self.send_stateless(way, b.finish());
    }

    fn send_stateless(&mut self, way: Way, bytes: Vec<u8>) {
        self.heard.answered = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.send(way.reply, bytes);
    }

    /// A 403 of at most `room` bytes.
    pub fn forbid(&mut self, way: Way, request: &Message, room: usize) {
        let tag = self.random.next_u64();
        let bytes = Echo::of(request, way.source).begin(403, standard_phrase(403), tag).finish();
        if bytes.len() <= room && is_sendable(way.reply.remote.ip()) {
            self.send_stateless(way, bytes);
        }
    }

    /// A challenge of at most `room` bytes: with all that belongs into it, or with the least that serves.
    pub fn challenge_statelessly(&mut self, way: Way, request: &Message, challenge: &Challenge, room: usize) {
        if !is_sendable(way.reply.remote.ip()) {
            return;
        }
        // RFC 7616 §3.3: stale says that new credentials will do. Whoever presents some learns no more from it.
        let stale = request.get(HeaderName::ProxyAuthorization).is_some()
            || request.get(HeaderName::Authorization).is_some();
        let salt = self.random.next_u64();
        let nonce = self.nonces.make(self.now.tick, salt, way.source.remote.ip());
        let (echo, tag) = (Echo::of(request, way.source), self.random.next_u64());
        for algorithms in [digest::algorithms_for(request), &[Algorithm::Md5]] {
            let mut b = echo.begin(challenge.status, standard_phrase(challenge.status), tag);
            let of = (challenge.status, &*challenge.realm, nonce.as_str());
            digest::write_some_challenges(&mut b, algorithms, of, stale);
            // Strangers are not told what we are (`SEC-1`).
            let bytes = b.finish();
            if bytes.len() <= room {
                self.send_stateless(way, bytes);
                return;
            }
        }
    }
}

/// Where a request came from and where its responses go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub source: Flow,
    pub reply: Flow,
}

/// A response that carries nothing but headers.
pub(crate) struct Reply<'a> {
    pub status: u16,
    pub phrase: Option<&'a str>,
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> Reply<'a> {
    pub fn status(status: u16) -> Reply<'a> {
        Reply { status, phrase: None, headers: &[] }
    }

    pub fn with(status: u16, headers: &'a [(&'a str, &'a str)]) -> Reply<'a> {
        Reply { status, phrase: None, headers }
    }

    fn phrase(&self) -> &'a str {
        self.phrase.unwrap_or_else(|| standard_phrase(self.status))
    }
}

/// The top Via of a request of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ViaLine<'a> {
    pub transport: Transport,
    pub here: &'a str,
    pub branch: u64,
}

impl ViaLine<'_> {
    pub fn write(&self, b: &mut Builder) {
        b.raw("Via: SIP/2.0/").raw(self.transport.via_name()).raw(" ").text(self.here);
        // RFC 3581: answers shall find their way back through a NAT.
        b.raw(";rport;branch=").raw(MAGIC_COOKIE).hex(self.branch).raw("\r\n");
    }
}

/// A branch or tag of ours, if it looks like one.
pub(crate) fn parse_hex(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| u64::from_str_radix(text, 16).ok())?
}

/// What every response copies from its request (RFC 3261 §8.2.6.2).
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    /// Via, From, Call-ID, CSeq and To lines, ready to send but for the end of To.
    lines: Builder,
    /// Record-Route lines, for responses that open a dialog.
    record_routes: Vec<String>,
    to: EchoedTo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EchoedTo {
    Absent,
    /// Our tag is to be added.
    Open,
    Tagged,
}

impl Echo {
    pub fn of(request: &Message, flow: Flow) -> Echo {
        let mut lines = Builder::part();
        let mut first = true;
        for value in request.all(HeaderName::Via) {
            if std::mem::take(&mut first) {
                write_top_via(&mut lines, request, value, flow);
            } else {
                lines.header("Via", value);
            }
        }
        for (name, id) in
            [("From", HeaderName::From), ("Call-ID", HeaderName::CallId), ("CSeq", HeaderName::CSeq)]
        {
            if let Some(value) = request.get(id) {
                lines.header(name, value);
            }
        }
        let value = request.get(HeaderName::To).unwrap_or_default();
        let to = match request.to().and_then(|t| t.tag()) {
            _ if value.is_empty() => EchoedTo::Absent,
            Some(_) => EchoedTo::Tagged,
            None => EchoedTo::Open,
        };
        if to != EchoedTo::Absent {
            lines.raw("To: ").text(value);
        }
        let record_routes = request.all(HeaderName::RecordRoute).map(str::to_owned).collect();
        Echo { lines, record_routes, to }
    }

    /// The beginning of a response.
    pub fn begin(&self, status: u16, phrase: &str, tag: u64) -> Builder {
        let mut b = Builder::response(status, phrase);
        b.append(&self.lines);
        if self.to == EchoedTo::Open && status > 100 {
            b.raw(";tag=").hex(tag);
        }
        if self.to != EchoedTo::Absent {
            b.raw("\r\n");
        }
        b
    }

    /// The request once more, as far as its responses need it.
    pub fn request(&self, method: &str) -> Vec<u8> {
        let mut b = Builder::request(method, "sip:earlier.invalid");
        b.append(&self.lines);
        if self.to != EchoedTo::Absent {
            b.raw("\r\n");
        }
        self.write_record_routes(&mut b);
        b.finish()
    }

    pub fn write_record_routes(&self, b: &mut Builder) {
        for value in &self.record_routes {
            b.header("Record-Route", value);
        }
    }
}

/// RFC 3261 §18.2.1 and RFC 3581 §4: say where the request really came from. Whatever the sender wrote there
/// itself is thrown away.
fn write_top_via(b: &mut Builder, request: &Message, value: &str, flow: Flow) {
    let Some(via) = request.top_via() else {
        b.header("Via", value);
        return;
    };
    let others = crate::header::split_list(value).skip(1);
    let source = flow.remote.ip().to_canonical();
    let wants_port = via.rport;
    let elsewhere = via.host.parse::<IpAddr>().map(|ip| ip.to_canonical()) != Ok(source);
    b.raw("Via: ").text(via.before_params);
    for (name, parameter) in crate::header::params(via.params) {
        if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
            continue;
        }
        b.raw(";").text(name);
        if !parameter.is_empty() {
            b.raw("=").text(parameter);
        }
    }
    if wants_port || elsewhere {
        // RFC 5118 §4.5: without brackets, though with them is read too.
        b.raw(";received=").raw(&source.to_string());
    }
    if wants_port {
        b.raw(";rport=").number(u64::from(flow.remote.port()));
    }
    others.for_each(|v| {
        b.raw(", ").text(v);
    });
    b.raw("\r\n");
}

/// `SIG-13`: where a response goes.
pub(crate) fn reply_flow(request: &Message, flow: Flow, policy: ReplyAddress) -> Flow {
    // RFC 3261 §18.2.2: over a connection, back on it.
    if flow.transport.is_reliable() || policy == ReplyAddress::Socket {
        return flow;
    }
    let Some(via) = request.top_via() else { return flow };
    let mut to = flow;
    to.remote.set_port(via.port.unwrap_or(5060));
    let host = via.host.parse::<IpAddr>().ok().filter(|ip| policy == ReplyAddress::Via && is_sendable(*ip));
    if let Some(ip) = host {
        to.remote.set_ip(ip.to_canonical());
    }
    to
}

/// Not broadcast, multicast or nowhere: those never answer for one peer.
pub(crate) fn is_sendable(ip: IpAddr) -> bool {
    let broadcast = matches!(ip.to_canonical(), IpAddr::V4(v4) if v4.is_broadcast());
    !broadcast && !ip.is_multicast() && !ip.is_unspecified()
}

/// RFC 3326, of a request that ends something.
pub(crate) fn write_reason(b: &mut Builder, q850: Option<u8>, text: Option<&str>, status: u16) {
    match (q850, text) {
        (None, None) => return,
        (Some(cause), _) => b.raw("Reason: Q.850;cause=").number(u64::from(cause)),
        (None, Some(_)) => b.raw("Reason: SIP;cause=").number(u64::from(status)),
    };
    if let Some(text) = text {
        b.raw(";text=").quoted(text);
    }
    b.raw("\r\n");
}

/// What a final response of 300 and above says.
pub(crate) fn refusal_of(response: &Message) -> Refusal {
    let status = response.status().unwrap_or(500);
    let (q850, text) = crate::header::reason(response);
    Refusal {
        status,
        phrase: Some(response.phrase().to_owned()).filter(|p| !p.is_empty()),
        q850,
        text,
        retry_after_s: crate::header::retry_after(response),
        contacts: if status < 400 { crate::header::contacts(response) } else { Vec::new() },
    }
}

pub(crate) fn standard_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        s if s < 200 => "Progress",
        s if s < 300 => "OK",
        s if s < 400 => "Redirected",
        s if s < 500 => "Request Failed",
        s if s < 600 => "Server Failure",
        _ => "Global Failure",
    }
}
