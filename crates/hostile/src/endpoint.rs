//! Messages as the SIP engine meets them: in transactions and dialogs, with credentials and bodies.

use sip::{Builder, Config, Endpoint, ListenerConfig, Message, Output, PeerPolicy, stored_secret};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use vocab::leg::{FromLeg, LegCommand, LegEvent, Placement, PlainCredentials, RequestAddress};
use vocab::net::LocalAddresses;
use vocab::{Flow, LegId, ListenerId, Now, Random, Tick, Transport, Utc};

const PEER: &str = "10.0.0.2:5060";
const SDP: &str = "v=0\r\nc=IN IP4 10.0.0.2\r\nm=audio 4000 RTP/AVP 8\r\n";

struct Bench {
    end: Endpoint,
    now: Tick,
    sent: Vec<Vec<u8>>,
    legs: BTreeSet<LegId>,
}

impl Bench {
    fn new() -> Bench {
        let own = "10.0.0.1".parse().unwrap();
        let local = LocalAddresses { interfaces: Vec::new(), default_v4: Some(own), default_v6: None };
        let listener = ListenerConfig {
            id: ListenerId(0),
            transport: Transport::Udp,
            port: 5060,
            advertised: None,
            local,
        };
        let config = Config {
            user_agent: "Tandem".into(),
            listeners: vec![listener],
            resend_intervals_ms: Arc::new([500, 1000]),
            challenge: None,
        };
        let end = Endpoint::new(config, Random::from_number(1));
        Bench { end, now: Tick(1_000_000), sent: Vec::new(), legs: BTreeSet::new() }
    }

    fn clock(&self) -> Now {
        Now { tick: self.now, utc: Utc(0) }
    }

    fn place(&mut self) {
        let leg = self.end.place(self.clock(), placement());
        self.legs.insert(leg);
        self.drain();
    }

    fn receive(&mut self, bytes: &[u8]) {
        let remote: SocketAddr = PEER.parse().unwrap();
        let flow = Flow { listener: ListenerId(0), transport: Transport::Udp, remote, connection: 0 };
        self.end.handle_message(self.clock(), flow, PeerPolicy::default(), bytes);
        self.drain();
        self.now.0 += 1000;
    }

    /// Answers every call and accepts every change; what the engine sends must be readable.
    fn drain(&mut self) {
        while let Some(output) = self.end.poll_output() {
            let FromLeg { leg, event } = match output {
                Output::Send { bytes, .. } => {
                    Message::parse(&bytes).expect("what we send can be read");
                    self.sent.push(bytes);
                    continue;
                }
                Output::Event(event) => event,
                Output::Register(asked) => {
                    if let Some(credentials) = &asked.credentials {
                        let _ =
                            credentials.verify(&stored_secret(credentials.username(), "tandem", "secret"));
                    }
                    let contacts = match asked.contacts {
                        sip::Contacts::Update(contacts) => contacts,
                        sip::Contacts::Query | sip::Contacts::RemoveAll => Vec::new(),
                    };
                    let answer = sip::RegistrationAnswer::Accepted { contacts, path: asked.path };
                    self.end.answer_registration(self.clock(), asked.id, &answer);
                    continue;
                }
                Output::Errand(..) => continue,
            };
            self.legs.insert(leg);
            let clock = self.clock();
            let mut command = |command| self.end.command(clock, leg, command);
            match event {
                LegEvent::Setup(setup) => {
                    if let Some(credentials) = &setup.credentials {
                        let _ =
                            credentials.verify(&stored_secret(credentials.username(), "tandem", "secret"));
                    }
                    command(LegCommand::Progress { session: setup.session.clone(), reliable: true });
                    command(LegCommand::Answer { session: setup.session });
                }
                LegEvent::Offered { session, .. } => command(LegCommand::AcceptOffer { session }),
                LegEvent::Answered { session } => command(LegCommand::Confirm { session }),
                _ => {}
            }
        }
    }

    /// Hangs up and lets all timers run out. Nothing may be left.
    fn run_out(mut self) {
        for leg in std::mem::take(&mut self.legs) {
            self.end.command(self.clock(), leg, LegCommand::Release { q850: None, text: None });
            self.drain();
        }
        let mut turns = 0;
        while let Some(at) = self.end.poll_timeout() {
            self.now = self.now.max(at);
            self.end.handle_timeout(self.clock());
            self.drain();
            turns += 1;
            assert!(turns < 100_000, "the timers never end");
        }
        let held = self.end.statistics();
        assert_eq!((held.legs, held.transactions), (0, 0), "left over: {held:?}");
    }
}

/// Messages in a row, parted by lines of three equal signs. `@B` in them stands for the last branch of ours, `@T` for our last tag,
/// `@C` for our last Call-ID: so that seeds can go on with a call.
pub fn dialog(bytes: &[u8]) {
    let mut bench = Bench::new();
    bench.place();
    for part in split(bytes, b"===\n").into_iter().take(12) {
        let message = fill_in(part, &bench.sent);
        bench.receive(&message);
    }
    bench.run_out();
}

/// The pieces between copies of a mark.
pub fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Vec<&'a [u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(mark.len()).position(|w| w == mark) {
        parts.push(&rest[..at]);
        rest = &rest[at + mark.len()..];
    }
    parts.push(rest);
    parts
}

fn fill_in(part: &[u8], sent: &[Vec<u8>]) -> Vec<u8> {
    let last = sent.last().and_then(|bytes| Message::parse(bytes).ok());
    let value = |mark: u8| -> String {
        let Some(last) = &last else { return "x".into() };
        let ours = |name: &str| {
            let party = if last.is_request() { last.from() } else { last.to() };
            let branch = last.top_via().and_then(|v| v.branch());
            let found = match name {
                "tag" => party.and_then(|p| p.tag()),
                "branch" => branch,
                _ => last.call_id(),
            };
            found.unwrap_or("x").to_owned()
        };
        match mark {
            b'T' => ours("tag"),
            b'B' => ours("branch"),
            _ => ours("call-id"),
        }
    };
    substitute(part, value)
}

/// Replaces `@` and a capital letter by what `value` gives for the letter, and lone line feeds by CR LF.
pub fn substitute(part: &[u8], value: impl Fn(u8) -> String) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len() + 64);
    let mut bytes = part.iter().copied().peekable();
    let mut before = 0;
    while let Some(byte) = bytes.next() {
        match byte {
            b'@' if bytes.peek().is_some_and(u8::is_ascii_uppercase) => {
                out.extend_from_slice(value(bytes.next().unwrap_or_default()).as_bytes());
            }
            b'\n' if before != b'\r' => out.extend_from_slice(b"\r\n"),
            other => out.push(other),
        }
        before = byte;
    }
    out
}

fn placement() -> Placement {
    Placement {
        target: PEER.parse().unwrap(),
        transport: Transport::Udp,
        listener: ListenerId(0),
        host: None,
        uri: None,
        routes: Vec::new(),
        called: "8801712345678".into(),
        to: None,
        caller: "4930123456".into(),
        caller_display: None,
        from_host: None,
        identity: Default::default(),
        session: sip::sdp::parse(SDP.as_bytes()).ok(),
        max_forwards: 69,
        credentials: Some(PlainCredentials { username: "u".into(), password: "geheim".into() }),
        authentication_retries: 3,
        resend_intervals_ms: Arc::new([500, 1000]),
        request_address: RequestAddress::Contact,
        extra_headers: Vec::new(),
        session_terms: Default::default(),
        cancel_timeout_ms: 1000,
    }
}

/// A vendor's challenge: whatever it says, our answer can be read and holds no password.
pub fn challenge(bytes: &[u8]) {
    let mut bench = Bench::new();
    bench.place();
    for (status, name) in [(407, "Proxy-Authenticate"), (401, "WWW-Authenticate")] {
        let invite = bench.sent.iter().rev().find(|b| b.starts_with(b"INVITE ")).expect("an INVITE").clone();
        let invite = Message::parse(&invite).expect("our INVITE");
        let mut b = Builder::response(status, "No");
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            b.header(name, invite.header(name).unwrap_or_default());
        }
        b.header("To", "<sip:8801712345678@10.0.0.2>;tag=x").header(name, &String::from_utf8_lossy(bytes));
        let response = b.finish();
        bench.receive(&response);
    }
    for sent in &bench.sent {
        let message = Message::parse(sent).expect("our message");
        let printed = String::from_utf8_lossy(&message.print()).into_owned();
        assert!(bytes.windows(6).any(|w| w == b"geheim") || !printed.contains("geheim"), "{printed}");
        let answers = message.headers("Proxy-Authorization").len() + message.headers("Authorization").len();
        assert!(answers <= 2);
    }
    bench.run_out();
}

fn invite(extra: &[(&str, &str)], content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut b = Builder::request("INVITE", "sip:880@10.0.0.1");
    b.header("Via", "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKa").header("From", "<sip:1@10.0.0.2>;tag=a");
    b.header("To", "<sip:880@10.0.0.1>").header("Call-ID", "a").header("CSeq", "1 INVITE");
    b.header("Contact", "<sip:1@10.0.0.2>").header("Max-Forwards", "70");
    for (name, value) in extra {
        b.header(name, value);
    }
    b.finish_with(content_type, body)
}

/// A caller's credentials.
pub fn credentials(bytes: &[u8]) {
    let mut bench = Bench::new();
    let value = String::from_utf8_lossy(bytes);
    bench.receive(&invite(&[("Proxy-Authorization", &value)], "application/sdp", SDP.as_bytes()));
    bench.run_out();
}

/// A body of any kind: the first line is its Content-Type.
pub fn multipart(bytes: &[u8]) {
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (kind, body) = bytes.split_at(end);
    let mut bench = Bench::new();
    let body = substitute(body.get(1..).unwrap_or_default(), |_| String::new());
    bench.receive(&invite(&[], &String::from_utf8_lossy(kind), &body));
    bench.run_out();
}
