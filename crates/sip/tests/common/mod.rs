//! Two endpoints on a wire in memory, with virtual time.
#![allow(dead_code)]

use sip::{Config, Endpoint, LegState, ListenerConfig, Message, Output, PeerPolicy, PeerTerms, sdp};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use vocab::leg::*;
use vocab::net::{Cidr, LocalAddresses};
use vocab::{Flow, LegId, ListenerId, Now, Random, SessionDescription, Tick, Transport, Utc};

pub const A: usize = 0;
pub const B: usize = 1;
const LATENCY_US: u64 = 1000;

pub fn address(side: usize) -> SocketAddr {
    ["10.0.0.1:5060", "10.0.0.2:5060"][side].parse().unwrap()
}

pub fn config(side: usize, transport: Transport) -> Config {
    let ip = address(side).ip();
    let local = LocalAddresses {
        interfaces: vec![(Cidr { address: ip, length: 8 }, ip)],
        default_v4: Some(ip),
        default_v6: Some("2001:db8::1".parse().unwrap()),
    };
    Config {
        user_agent: "Tandem".into(),
        listeners: vec![ListenerConfig { id: ListenerId(0), transport, port: 5060, advertised: None, local }],
        resend_intervals_ms: intervals(),
        challenge: None,
    }
}

pub fn intervals() -> Arc<[u32]> {
    [500, 1000, 2000, 4000, 4000, 4000].into()
}

pub fn flow(remote: SocketAddr, transport: Transport) -> Flow {
    let connection = if transport == Transport::Tcp { 7 } else { 0 };
    Flow { listener: ListenerId(0), transport, remote, connection }
}

pub fn session(port: u16) -> Option<SessionDescription> {
    let text = format!(
        "v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio {port} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    );
    Some(sdp::parse(text.as_bytes()).unwrap())
}

pub fn placement(transport: Transport) -> Placement {
    Placement {
        target: address(B),
        transport,
        listener: ListenerId(0),
        host: None,
        uri: None,
        routes: Vec::new(),
        called: "8801712345678".into(),
        to: None,
        caller: "4930123456".into(),
        caller_display: Some("Al \"x\"".into()),
        from_host: None,
        identity: Default::default(),
        session: session(4000),
        max_forwards: 69,
        credentials: None,
        authentication_retries: 2,
        resend_intervals_ms: intervals(),
        request_address: RequestAddress::Socket,
        extra_headers: vec![("X-Trace".into(), "1".into()), ("Via".into(), "never".into())],
        cancel_timeout_ms: 10_000,
        session_terms: Default::default(),
    }
}

/// When this event comes on this side, these commands follow after a while (ms).
pub type Reaction = (usize, &'static str, u64, Vec<LegCommand>);

#[derive(Clone)]
struct Packet {
    at: Tick,
    to: usize,
    bytes: Vec<u8>,
    flow: Flow,
}

pub struct World {
    pub ends: [Endpoint; 2],
    pub transport: Transport,
    pub now: Tick,
    wire: Vec<Packet>,
    /// Numbers (from 1) of packets that get lost.
    pub lose: BTreeSet<usize>,
    /// Numbers of packets that arrive twice.
    pub double: BTreeSet<usize>,
    pub sent: usize,
    /// `a>INVITE b>180`.
    pub log: Vec<String>,
    pub packets: Vec<(usize, Vec<u8>)>,
    pub events: [Vec<String>; 2],
    pub raw: Vec<(usize, LegId, LegEvent)>,
    pub reactions: Vec<Reaction>,
    due: Vec<(Tick, usize, LegId, LegCommand)>,
    pub last_leg: [Option<LegId>; 2],
    /// Side B is played by the test, not by an endpoint.
    pub manual_b: bool,
    /// A bad network: a fifth lost, a tenth doubled, delays up to 400 ms and so out of order.
    pub chaos: Option<Random>,
}

impl World {
    pub fn new(transport: Transport) -> World {
        let end = |side: usize, seed| Endpoint::new(config(side, transport), Random::from_number(seed));
        World {
            ends: [end(A, 1), end(B, 2)],
            transport,
            now: Tick(1_000_000),
            wire: Vec::new(),
            lose: BTreeSet::new(),
            double: BTreeSet::new(),
            sent: 0,
            log: Vec::new(),
            packets: Vec::new(),
            events: [Vec::new(), Vec::new()],
            raw: Vec::new(),
            reactions: Vec::new(),
            due: Vec::new(),
            last_leg: [None, None],
            manual_b: false,
            chaos: None,
        }
    }

    pub fn time(&self) -> Now {
        Now { tick: self.now, utc: Utc(0) }
    }

    pub fn place(&mut self, placement: Placement) -> LegId {
        let leg = self.ends[A].place(self.time(), placement);
        self.last_leg[A] = Some(leg);
        self.drain();
        leg
    }

    pub fn command(&mut self, side: usize, leg: LegId, command: LegCommand) {
        let now = self.time();
        self.ends[side].command(now, leg, command);
        self.drain();
    }

    /// This side's process dies; the next one takes up this leg as it was written down, with what `change` knows better.
    pub fn restart(&mut self, side: usize, leg: LegId, change: impl FnOnce(LegState) -> LegState) -> LegId {
        let state = change(self.ends[side].leg_state(leg).unwrap());
        self.ends[side] = Endpoint::new(config(side, self.transport), Random::from_number(99));
        let now = self.time();
        let again = self.ends[side].take_up(now, state, PeerTerms::default()).unwrap();
        self.drain();
        again
    }

    /// A packet from outside, as if it came from the other side.
    pub fn inject(&mut self, to: usize, from: SocketAddr, bytes: &[u8]) {
        let flow = flow(from, self.transport);
        let now = self.time();
        self.ends[to].handle_message(now, flow, PeerPolicy::default(), bytes);
        self.drain();
    }

    fn drain(&mut self) {
        for side in [A, B] {
            while let Some(output) = self.ends[side].poll_output() {
                match output {
                    Output::Send { flow, bytes } => self.send(side, flow, bytes),
                    Output::Event(FromLeg { leg, event }) => self.on_event(side, leg, event),
                    Output::Register(_) | Output::Errand(..) => {}
                }
            }
        }
    }

    fn send(&mut self, side: usize, to: Flow, bytes: Vec<u8>) {
        let message = Message::parse(&bytes).expect("we write what we can read");
        message.check().unwrap_or_else(|p| panic!("{p}: {}", String::from_utf8_lossy(&bytes)));
        let name = message.status().map_or(message.method_name().to_owned(), |s| s.to_string());
        self.sent += 1;
        self.log.push(format!("{}>{name}", ["a", "b"][side]));
        self.packets.push((side, bytes.clone()));
        if self.lose.contains(&self.sent) || to.remote != address(1 - side) {
            return;
        }
        let mut latency = LATENCY_US;
        if let Some(random) = &mut self.chaos {
            if random.below(5) == 0 {
                return;
            }
            latency = random.below(400_000);
            if random.below(10) == 0 {
                self.double.insert(self.sent);
            }
        }
        let packet = Packet {
            at: Tick(self.now.0 + latency),
            to: 1 - side,
            bytes,
            flow: flow(address(side), self.transport),
        };
        if self.double.contains(&self.sent) {
            self.wire.push(packet.clone());
        }
        self.wire.push(packet);
    }

    fn on_event(&mut self, side: usize, leg: LegId, event: LegEvent) {
        self.last_leg[side] = Some(leg);
        let name = short(&event);
        self.events[side].push(name.clone());
        self.raw.push((side, leg, event));
        let plain = name.trim_end_matches('+').to_owned();
        if let Some(i) =
            self.reactions.iter().position(|(s, n, _, _)| *s == side && n.split('|').any(|n| n == plain))
        {
            let (_, _, after, commands) = self.reactions.remove(i);
            let at = Tick(self.now.0 + after * 1000);
            self.due.extend(commands.into_iter().map(|c| (at, side, leg, c)));
        }
    }

    fn next_time(&self) -> Option<Tick> {
        let wire = self.wire.iter().map(|p| p.at).min();
        let due = self.due.iter().map(|d| d.0).min();
        let timers = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
        [wire, due, timers].into_iter().flatten().min()
    }

    /// Runs until nothing is left to happen, or for a time.
    pub fn run_for(&mut self, ms: u64) {
        let end = Tick(self.now.0 + ms * 1000);
        while let Some(next) = self.next_time().filter(|t| *t <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    pub fn run(&mut self) {
        self.run_for(600_000);
    }

    fn step(&mut self) {
        let now = self.time();
        if let Some(i) = self.due.iter().position(|d| d.0 <= self.now) {
            let (_, side, leg, command) = self.due.remove(i);
            self.ends[side].command(now, leg, command);
        } else if let Some(i) =
            (0..self.wire.len()).filter(|i| self.wire[*i].at <= self.now).min_by_key(|i| self.wire[*i].at)
        {
            let packet = self.wire.remove(i);
            if packet.to == A || !self.manual_b {
                self.ends[packet.to].handle_message(now, packet.flow, PeerPolicy::default(), &packet.bytes);
            }
        } else {
            self.ends.iter_mut().for_each(|e| e.handle_timeout(now));
        }
        self.drain();
    }

    pub fn events(&self, side: usize) -> String {
        self.events[side].join(" ")
    }

    pub fn log(&self) -> String {
        self.log.join(" ")
    }

    /// After everything has run out, nothing may be left.
    pub fn assert_empty(&self) {
        for (side, end) in self.ends.iter().enumerate() {
            let s = end.statistics();
            assert_eq!((s.legs, s.transactions, s.dialogs), (0, 0, 0), "side {side}: {}", self.log());
        }
        for side in [A, B] {
            let ended = self.raw.iter().filter(|(s, _, e)| *s == side && *e == LegEvent::Ended).count();
            let legs: BTreeSet<_> =
                self.raw.iter().filter(|(s, _, _)| *s == side).map(|(_, l, _)| *l).collect();
            assert_eq!(ended, legs.len(), "each leg ends once: {}", self.events(side));
        }
    }

    /// The n-th packet of a side with this method or status.
    pub fn packet(&self, side: usize, name: &str, n: usize) -> Message<'static> {
        let all = self.packets.iter().filter(|(s, _)| *s == side).map(|(_, b)| Message::parse(b).unwrap());
        let is = |m: &Message| m.status().map_or(m.method_name() == name, |s| s.to_string() == name);
        let found = all.filter(is).nth(n).map(Message::into_owned);
        found.unwrap_or_else(|| panic!("no {name} in {}", self.log()))
    }
}

/// `Answered+`: the plus says that there is a session.
pub fn short(event: &LegEvent) -> String {
    let plus =
        |name: &str, s: &Option<SessionDescription>| format!("{name}{}", if s.is_some() { "+" } else { "" });
    match event {
        LegEvent::Setup(s) => plus("Setup", &s.session),
        LegEvent::Cancelled { .. } => "Cancelled".into(),
        LegEvent::Confirmed { session } => plus("Confirmed", session),
        LegEvent::Trying => "Trying".into(),
        LegEvent::Alerting { session, .. } => plus("Alerting", session),
        LegEvent::Progress { session, .. } => plus("Progress", session),
        LegEvent::Answered { session } => plus("Answered", session),
        LegEvent::Refused(r) => format!("Refused:{}", r.status),
        LegEvent::Offered { session, .. } => plus("Offered", session),
        LegEvent::OfferAccepted { session } => plus("OfferAccepted", session),
        LegEvent::OfferRefused(r) => format!("OfferRefused:{}", r.status),
        LegEvent::OfferConfirmed { session } => plus("OfferConfirmed", session),
        LegEvent::Info { .. } => "Info".into(),
        LegEvent::Alive => "Alive".into(),
        LegEvent::Released { .. } => "Released".into(),
        LegEvent::Failed(f) => format!("Failed:{f:?}"),
        LegEvent::Ended => "Ended".into(),
    }
}
