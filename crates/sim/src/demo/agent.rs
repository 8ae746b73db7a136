//! All peers of the demo in one sans-IO machine.

use super::business::{CUSTOMERS, VENDORS};
use super::traffic::{self, Intention, Reaction};
use super::voice::{Law, Stream, Voice};
use crate::queue::Queue;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use vocab::leg::{
    FromLeg, LegCommand, LegEvent, Placement, PlainCredentials, Refusal, RequestAddress, Setup,
};
use vocab::net::LocalAddresses;
use vocab::session::{Attribute, Host};
use vocab::{Flow, LegId, ListenerId, MediaDescription, Now, Random, SessionDescription, Tick, Transport};

const PACKET_INTERVAL: Duration = Duration::from_millis(20);
/// An early-media announcement is a ring-back tone here; it sounds until the answer.
const EARLY_MEDIA_AFTER: Duration = Duration::from_millis(400);

/// What the program gives the demo.
#[derive(Clone, Debug)]
pub struct DemoConfig {
    /// Where the switch takes calls.
    pub switch: SocketAddr,
    /// UDP sockets: one for each of [`CUSTOMERS`], then one for each of [`VENDORS`].
    pub sip_sockets: Vec<SocketAddr>,
    /// UDP sockets for media; each call needs two.
    pub rtp_slots: Vec<SocketAddr>,
    pub calls_per_minute: u32,
    /// No new call while so many are up.
    pub max_calls: usize,
    pub seed: [u8; 16],
}

/// Something arrived.
#[derive(Debug)]
pub enum DemoInput<'a> {
    Sip { socket: usize, from: SocketAddr, bytes: &'a [u8] },
    Rtp { slot: usize, from: SocketAddr, bytes: &'a [u8] },
}

#[derive(Debug, PartialEq, Eq)]
pub enum DemoOutput {
    SendSip { socket: usize, to: SocketAddr, bytes: Vec<u8> },
    SendRtp { slot: usize, to: SocketAddr, bytes: Vec<u8> },
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub placed: u64,
    pub arrived: u64,
    pub answered: u64,
    pub rtp_sent: u64,
    pub rtp_received: u64,
}

#[derive(Debug)]
enum Timer {
    NextCall,
    GiveUp(LegId),
    HangUp(LegId),
    EarlyMedia(LegId),
    Answer(LegId),
    Refuse(LegId, u16),
}

/// One side of a call.
#[derive(Debug)]
struct Side {
    slot: usize,
    /// Where the switch wants our media.
    to: Option<SocketAddr>,
    stream: Option<Stream>,
    voice: usize,
    answered: bool,
    offer: Option<SessionDescription>,
    /// After the answer.
    hang_up_after: Option<Duration>,
}

/// Customers and vendors, and the calls between them through the switch.
pub struct DemoAgent {
    config: DemoConfig,
    endpoint: sip::Endpoint,
    sides: BTreeMap<LegId, Side>,
    free_slots: VecDeque<usize>,
    timers: Queue<Timer>,
    next_packets: Option<Tick>,
    outputs: VecDeque<DemoOutput>,
    voices: Vec<Voice>,
    random: Random,
    placing: bool,
    pub counters: Counters,
}

impl DemoAgent {
    pub fn new(now: Now, config: DemoConfig) -> DemoAgent {
        let mut random = Random::from_seed(config.seed);
        let listener = |(index, address): (usize, &SocketAddr)| sip::ListenerConfig {
            id: ListenerId(u16::try_from(index).unwrap_or(u16::MAX)),
            transport: Transport::Udp,
            port: address.port(),
            advertised: None,
            local: LocalAddresses {
                interfaces: Vec::new(),
                default_v4: Some(address.ip()).filter(|ip| ip.is_ipv4()),
                default_v6: Some(address.ip()).filter(|ip| ip.is_ipv6()),
            },
        };
        let endpoint_config = sip::Config {
            user_agent: "Demo".into(),
            listeners: config.sip_sockets.iter().enumerate().map(listener).collect(),
            resend_intervals_ms: resend_intervals(),
            challenge: None,
        };
        let mut timers = Queue::default();
        timers.put(now.tick, Timer::NextCall);
        DemoAgent {
            endpoint: sip::Endpoint::new(endpoint_config, random.fork()),
            sides: BTreeMap::new(),
            free_slots: (0..config.rtp_slots.len()).collect(),
            timers,
            next_packets: None,
            outputs: VecDeque::new(),
            voices: [105.0, 125.0, 180.0, 215.0].map(Voice::new).to_vec(),
            random,
            placing: true,
            counters: Counters::default(),
            config,
        }
    }

    pub fn handle_input(&mut self, now: Now, input: DemoInput<'_>) {
        match input {
            DemoInput::Sip { socket, from, bytes } => {
                let listener = ListenerId(u16::try_from(socket).unwrap_or(u16::MAX));
                let flow = Flow { listener, transport: Transport::Udp, remote: from, connection: 0 };
                self.endpoint.handle_message(now, flow, sip::PeerPolicy::default(), bytes);
                self.drain(now);
            }
            DemoInput::Rtp { .. } => self.counters.rtp_received += 1,
        }
    }

    pub fn poll_output(&mut self) -> Option<DemoOutput> {
        self.outputs.pop_front()
    }

    /// When [`DemoAgent::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Tick> {
        [self.endpoint.poll_timeout(), self.timers.due(), self.next_packets].into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Now) {
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now.tick) {
            self.endpoint.handle_timeout(now);
        }
        while let Some(timer) = self.timers.take(now.tick) {
            self.on_timer(now, timer);
        }
        self.drain(now);
        if self.next_packets.is_some_and(|at| at <= now.tick) {
            self.send_packets(now);
        }
    }

    /// Places no new calls and hangs up all there are.
    pub fn stop(&mut self, now: Now) {
        self.placing = false;
        let legs: Vec<LegId> = self.sides.keys().copied().collect();
        legs.into_iter().for_each(|leg| self.hang_up(now, leg));
        self.drain(now);
    }

    /// Sides of calls that are up; 0 after everything has ended.
    pub fn open_sides(&self) -> usize {
        self.sides.len()
    }

    fn on_timer(&mut self, now: Now, timer: Timer) {
        match timer {
            Timer::NextCall => self.next_call(now),
            Timer::HangUp(leg) => self.hang_up(now, leg),
            Timer::GiveUp(leg) => {
                if self.sides.get(&leg).is_some_and(|s| !s.answered) {
                    self.endpoint.command(now, leg, LegCommand::Cancel { q850: Some(16) });
                }
            }
            Timer::Refuse(leg, status) => {
                self.endpoint.command(now, leg, LegCommand::Refuse(Refusal::status(status)));
            }
            Timer::EarlyMedia(leg) => self.speak_early(now, leg),
            Timer::Answer(leg) => self.answer(now, leg),
        }
    }

    // --- placing calls

    fn next_call(&mut self, now: Now) {
        if !self.placing {
            return;
        }
        let mean_ms = 60_000 / u64::from(self.config.calls_per_minute.max(1));
        // Uneven arrivals around the mean.
        let wait = Duration::from_millis(mean_ms / 4 + self.random.below(mean_ms * 3 / 2 + 1));
        self.timers.put(now.tick + wait, Timer::NextCall);
        let room = self.sides.len() < 2 * self.config.max_calls && self.free_slots.len() >= 2;
        if room {
            let intention = traffic::intention(&mut self.random);
            self.place(now, intention);
        }
    }

    fn place(&mut self, now: Now, intention: Intention) {
        let Some(customer) = CUSTOMERS.get(intention.customer) else { return };
        let Some(slot) = self.free_slots.pop_front() else { return };
        let placement = Placement {
            target: self.config.switch,
            transport: Transport::Udp,
            listener: ListenerId(u16::try_from(intention.customer).unwrap_or(0)),
            host: None,
            uri: None,
            routes: Vec::new(),
            called: intention.called,
            to: None,
            caller: intention.caller,
            from_host: None,
            identity: Default::default(),
            caller_display: None,
            session: self.session(slot, &["8", "0", "101"]),
            max_forwards: 70,
            credentials: customer.password.map(|(username, password)| PlainCredentials {
                username: username.into(),
                password: password.into(),
            }),
            authentication_retries: 1,
            resend_intervals_ms: resend_intervals(),
            request_address: RequestAddress::Socket,
            extra_headers: Vec::new(),
            session_terms: Default::default(),
            cancel_timeout_ms: 32_000,
        };
        let leg = self.endpoint.place(now, placement);
        let side = self.side(slot, None, Some(intention.talk));
        self.sides.insert(leg, side);
        self.timers.put(now.tick + intention.give_up_after, Timer::GiveUp(leg));
        self.counters.placed += 1;
    }

    fn side(
        &mut self,
        slot: usize,
        offer: Option<SessionDescription>,
        hang_up_after: Option<Duration>,
    ) -> Side {
        let count = u64::try_from(self.voices.len()).unwrap_or(1);
        let voice = usize::try_from(self.random.below(count)).unwrap_or(0);
        Side { slot, to: None, stream: None, voice, answered: false, offer, hang_up_after }
    }

    // --- events

    fn drain(&mut self, now: Now) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                sip::Output::Send { flow, bytes } => {
                    let socket = usize::from(flow.listener.0);
                    self.outputs.push_back(DemoOutput::SendSip { socket, to: flow.remote, bytes });
                }
                sip::Output::Event(FromLeg { leg, event }) => self.on_event(now, leg, event),
                // Nobody registers with a demo's customer, and it asks nothing outside of calls.
                sip::Output::Register(_) | sip::Output::Errand(..) => {}
            }
        }
    }

    fn on_event(&mut self, now: Now, leg: LegId, event: LegEvent) {
        match event {
            LegEvent::Setup(setup) => self.on_setup(now, leg, &setup),
            LegEvent::Alerting { session, .. } | LegEvent::Progress { session, .. } => {
                // The switch's own media address is known from now on; a caller speaks after the answer only.
                if let (Some(side), Some(session)) = (self.sides.get_mut(&leg), session) {
                    side.to = session.media_address(0);
                }
            }
            LegEvent::Answered { session } => {
                self.counters.answered += 1;
                self.talk(now, leg, session.as_ref());
            }
            LegEvent::Confirmed { .. } => self.talk(now, leg, None),
            LegEvent::Offered { session, .. } => {
                let slot = self.sides.get(&leg).map(|s| s.slot);
                let answer = slot.and_then(|slot| match &session {
                    Some(offer) => self.session(slot, &[payload(law_of(offer)), "101"]),
                    None => self.session(slot, &["8", "0", "101"]),
                });
                self.endpoint.command(now, leg, LegCommand::AcceptOffer { session: answer });
            }
            LegEvent::Ended => self.forget(leg),
            LegEvent::Cancelled { .. }
            | LegEvent::Alive
            | LegEvent::Trying
            | LegEvent::Refused(_)
            | LegEvent::OfferAccepted { .. }
            | LegEvent::OfferRefused(_)
            | LegEvent::OfferConfirmed { .. }
            | LegEvent::Info { .. }
            | LegEvent::Released { .. }
            | LegEvent::Failed(_) => {}
        }
    }

    fn on_setup(&mut self, now: Now, leg: LegId, setup: &Setup) {
        self.counters.arrived += 1;
        let socket = usize::from(setup.flow.listener.0);
        let vendor = socket.checked_sub(CUSTOMERS.len()).and_then(|i| VENDORS.get(i));
        let (Some(vendor), Some(slot)) = (vendor, self.free_slots.pop_front()) else {
            return self.endpoint.command(now, leg, LegCommand::Refuse(Refusal::status(503)));
        };
        let reaction = traffic::reaction(vendor, &mut self.random);
        let hang_up_after = match reaction {
            Reaction::Answer { hang_up_after, .. } => hang_up_after,
            Reaction::Ring | Reaction::Refuse { .. } => None,
        };
        let side = self.side(slot, setup.session.clone(), hang_up_after);
        self.sides.insert(leg, side);
        let ringing = LegCommand::Alert { session: None, reliable: false };
        match reaction {
            Reaction::Answer { ring, early_media, .. } => {
                self.timers.put(now.tick + ring, Timer::Answer(leg));
                match early_media {
                    true => self.timers.put(now.tick + EARLY_MEDIA_AFTER, Timer::EarlyMedia(leg)),
                    false => self.endpoint.command(now, leg, ringing),
                }
            }
            Reaction::Ring => self.endpoint.command(now, leg, ringing),
            Reaction::Refuse { after, status } => {
                self.timers.put(now.tick + after, Timer::Refuse(leg, status));
            }
        }
    }

    fn own_answer(&self, leg: LegId) -> Option<SessionDescription> {
        let side = self.sides.get(&leg)?;
        match &side.offer {
            Some(offer) => self.session(side.slot, &[payload(law_of(offer)), "101"]),
            None => self.session(side.slot, &["8", "0", "101"]),
        }
    }

    fn speak_early(&mut self, now: Now, leg: LegId) {
        let session = self.own_answer(leg);
        if session.is_some() {
            self.endpoint.command(now, leg, LegCommand::Progress { session, reliable: false });
            self.start_stream(now, leg, None);
        }
    }

    fn answer(&mut self, now: Now, leg: LegId) {
        let session = self.own_answer(leg);
        if self.sides.contains_key(&leg) {
            self.endpoint.command(now, leg, LegCommand::Answer { session });
        }
    }

    /// Both sides know each other's address: media flows, and the end is in sight.
    fn talk(&mut self, now: Now, leg: LegId, session: Option<&SessionDescription>) {
        self.start_stream(now, leg, session);
        let Some(side) = self.sides.get_mut(&leg) else { return };
        side.answered = true;
        if let Some(after) = side.hang_up_after {
            self.timers.put(now.tick + after, Timer::HangUp(leg));
        }
    }

    fn start_stream(&mut self, now: Now, leg: LegId, session: Option<&SessionDescription>) {
        let seed = self.random.next_u64();
        let Some(side) = self.sides.get_mut(&leg) else { return };
        let Some(theirs) = session.or(side.offer.as_ref()) else { return };
        side.to = theirs.media_address(0).or(side.to);
        if side.stream.is_none() {
            side.stream = Some(Stream::new(law_of(theirs), seed));
        }
        self.next_packets.get_or_insert(now.tick);
    }

    fn hang_up(&mut self, now: Now, leg: LegId) {
        let Some(side) = self.sides.get(&leg) else { return };
        let (q850, text) = (Some(16), None);
        let command = match (side.answered, side.offer.is_some()) {
            (true, _) => LegCommand::Release { q850, text },
            (false, true) => LegCommand::Refuse(Refusal::status(480)),
            (false, false) => LegCommand::Cancel { q850 },
        };
        self.endpoint.command(now, leg, command);
    }

    fn forget(&mut self, leg: LegId) {
        if let Some(side) = self.sides.remove(&leg) {
            self.free_slots.push_back(side.slot);
        }
    }

    // --- media

    fn session(&self, slot: usize, formats: &[&str]) -> Option<SessionDescription> {
        let address = self.config.rtp_slots.get(slot)?;
        let attribute = |name: &str, value: &str| Attribute { name: name.into(), value: Some(value.into()) };
        let map = |format: &&str| match *format {
            "0" => attribute("rtpmap", "0 PCMU/8000"),
            "8" => attribute("rtpmap", "8 PCMA/8000"),
            other => attribute("rtpmap", &format!("{other} telephone-event/8000")),
        };
        let mut attributes: Vec<Attribute> = formats.iter().map(map).collect();
        attributes.push(attribute("ptime", "20"));
        Some(SessionDescription {
            address: Some(Host::Ip(address.ip())),
            media: vec![MediaDescription {
                kind: "audio".into(),
                port: address.port(),
                protocol: "RTP/AVP".into(),
                formats: formats.iter().map(|f| (*f).into()).collect(),
                address: None,
                direction: None,
                bandwidth: Vec::new(),
                attributes,
            }],
            ..SessionDescription::default()
        })
    }

    /// One packet on each stream; all streams keep the same beat, so that one wake-up serves them all.
    fn send_packets(&mut self, now: Now) {
        let mut active = false;
        for side in self.sides.values_mut() {
            let (Some(stream), Some(to), Some(voice)) =
                (&mut side.stream, side.to, self.voices.get(side.voice))
            else {
                continue;
            };
            active = true;
            let bytes = stream.packet(voice);
            self.outputs.push_back(DemoOutput::SendRtp { slot: side.slot, to, bytes });
            self.counters.rtp_sent += 1;
        }
        let next = self.next_packets.map(|at| at + PACKET_INTERVAL);
        // After a stall the beat starts anew instead of catching up with a burst.
        let late = next.is_some_and(|at| now.tick.since(at) > 5 * PACKET_INTERVAL);
        self.next_packets = if late { Some(now.tick + PACKET_INTERVAL) } else { next }.filter(|_| active);
    }
}

fn resend_intervals() -> Arc<[u32]> {
    [500, 1000, 2000, 4000, 4000, 4000, 4000, 4000].into()
}

fn law_of(session: &SessionDescription) -> Law {
    let first = session.media.first().and_then(|m| m.first_codec().map(str::to_string));
    if first.as_deref() == Some("PCMU") { Law::Mu } else { Law::A }
}

fn payload(law: Law) -> &'static str {
    match law {
        Law::Mu => "0",
        Law::A => "8",
    }
}
