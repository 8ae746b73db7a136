//! The virtual-time world: one switch, its disk, its media threads, and the network around it.
//!
//! The world knows no peers. Whoever plays them takes [`Happening`]s from [`World::next`] and answers with
//! [`World::send`], [`World::audio`] and [`World::wake_at`].

use crate::business::Business;
use crate::disk::{self, Disk};
use crate::media::MediaPlane;
use crate::net::{Connections, Link};
use crate::queue::Queue;
use cdr::Cdr;
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use switch::interface::MediaAddressing;
use switch::live::LiveUpdate;
use switch::{
    ControlId, ControlReply, ControlRequest, Input, Output, Record, Restore, Snapshot, Switch, SwitchConfig,
};
use vocab::net::LocalAddresses;
use vocab::{Flow, ListenerId, Now, Random, Seq, Tick, Transport, Utc};

/// The address of the switch.
pub const SWITCH_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const SWITCH_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub const SIP_PORT: u16 = 5060;
/// 2026-03-01T00:00:00Z, the calendar time at which every world begins.
pub(crate) const EPOCH: Utc = Utc(1_772_323_200_000_000);
/// A switch that wants to be woken this often at one moment will never stop.
const SPIN_LIMIT: u32 = 10_000;

/// What concerns the players of peers and operators.
#[derive(Debug)]
pub enum Happening {
    /// A message of the switch reached this address.
    Message {
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// The moment that [`World::wake_at`] asked for.
    Wake(u64),
    Reply(ControlId, ControlReply),
    Live(LiveUpdate),
}

#[derive(Debug)]
enum Event {
    ToSwitch { flow: Flow, bytes: Vec<u8> },
    ToPeer { flow: Flow, bytes: Vec<u8> },
    Closed(Flow),
    Wake(u64),
}

pub struct World {
    pub business: Business,
    /// Faults of the network.
    pub link: Link,
    /// Nobody listens there: ICMP says so, connections are refused.
    pub unreachable: BTreeSet<SocketAddr>,
    pub disk: Disk,
    now: Tick,
    switch: Switch,
    snapshot: Arc<Snapshot>,
    media: MediaPlane,
    ports: (u16, u16),
    queue: Queue<Event>,
    connections: Connections,
    happenings: VecDeque<Happening>,
    random: Random,
    next_control: u64,
    spins: (Tick, u32),
    trace: Trace,
    pub crashes: u32,
    /// Dead until then.
    down_until: Option<Tick>,
    boot: u64,
    /// How far the calendar clock is off.
    clock_set_us: i64,
}

/// A running hash of everything the switch ever said, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trace(u64);

impl Trace {
    /// FNV-1a; only equality matters.
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl World {
    pub fn new(business: Business, seed: u64) -> Result<World, String> {
        let snapshot = business.snapshot()?;
        let params = business.parameters()?;
        let ports = (params.mediaproxyport_start, params.mediaproxyport_end);
        let mut random = Random::from_number(seed);
        let disk = Disk::new(random.fork());
        let switch = Switch::new(
            Now { tick: Tick(0), utc: EPOCH },
            config(&mut random, 1),
            Restore::default(),
            snapshot.clone(),
        );
        let mut world = World {
            business,
            link: Link::GOOD,
            unreachable: BTreeSet::new(),
            disk,
            now: Tick(0),
            switch,
            snapshot,
            media: MediaPlane::new(ports.0, ports.1),
            ports,
            queue: Queue::default(),
            connections: Connections::default(),
            happenings: VecDeque::new(),
            random,
            next_control: 0,
            spins: (Tick(0), 0),
            trace: Trace(0xcbf2_9ce4_8422_2325),
            crashes: 0,
            down_until: None,
            boot: 1,
            clock_set_us: 0,
        };
        world.drain();
        world.pay_in()?;
        Ok(world)
    }

    /// Opening balances come in as postings, so that the journal alone tells every balance.
    fn pay_in(&mut self) -> Result<(), String> {
        for (account, amount) in self.business.openings() {
            let kind = billing::PostingKind::Opening;
            let (by, note, key) = ("opening".into(), String::new(), None);
            self.control(ControlRequest::Pay { account, kind, amount, by, note, key });
        }
        self.pass(Duration::from_millis(100));
        let refused = self.happenings.drain(..).find_map(|h| match h {
            Happening::Reply(_, ControlReply::Refused(words)) => Some(words),
            _ => None,
        });
        refused.map_or(Ok(()), Err)
    }

    /// Lets time pass without looking; happenings are kept.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut kept = VecDeque::new();
        while let Some(happening) = self.next(until) {
            kept.push_back(happening);
        }
        self.happenings = kept;
    }

    pub fn now(&self) -> Tick {
        self.now
    }

    fn clock(&self) -> Now {
        let utc = EPOCH + Duration::from_micros(self.now.0);
        Now { tick: self.now, utc: Utc(utc.0.saturating_add(self.clock_set_us)) }
    }

    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Media sessions that the media threads hold.
    pub fn media_sessions(&self) -> usize {
        self.media.open()
    }

    /// Hash over every output so far: equal runs have equal hashes.
    pub fn trace_hash(&self) -> u64 {
        self.trace.0
    }

    /// CDRs that are on disk, in order.
    pub fn cdrs(&self) -> impl Iterator<Item = &Cdr> {
        self.disk.records().iter().filter_map(|(_, record)| match record {
            Record::Ended { cdr, .. } => Some(&**cdr),
            _ => None,
        })
    }

    /// The next thing that happens outside of the switch, up to and including `until`. With `None` it is `until`.
    pub fn next(&mut self, until: Tick) -> Option<Happening> {
        loop {
            if let Some(happening) = self.happenings.pop_front() {
                return Some(happening);
            }
            let Some(due) = self.due().filter(|due| *due <= until) else {
                self.now = self.now.max(until);
                return None;
            };
            self.now = self.now.max(due);
            self.step();
        }
    }

    fn due(&self) -> Option<Tick> {
        let all = [
            self.queue.due(),
            self.down_until.or_else(|| self.switch.poll_timeout()),
            self.media.poll_timeout(),
            self.disk.poll_timeout(),
        ];
        all.into_iter().flatten().min()
    }

    /// Lets one thing happen that is due now.
    fn step(&mut self) {
        let (now, clock) = (self.now, self.clock());
        if let Some(until) = self.down_until
            && until <= now
        {
            self.start_again();
        } else if self.disk.poll_timeout().is_some_and(|at| at <= now) {
            if let Some(seq) = self.disk.handle_timeout(now) {
                self.input(Input::Journaled(seq));
            }
        } else if self.media.poll_timeout().is_some_and(|at| at <= now) {
            for event in self.media.handle_timeout(now) {
                self.input(Input::Media(event));
            }
        } else if let Some(event) = self.queue.take(now) {
            self.event(event);
        } else if !self.is_down() && self.switch.poll_timeout().is_some_and(|at| at <= now) {
            self.spins = if self.spins.0 == now { (now, self.spins.1 + 1) } else { (now, 0) };
            assert!(self.spins.1 < SPIN_LIMIT, "the switch spins at {now:?}");
            self.switch.handle_timeout(clock);
            self.drain();
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::ToSwitch { flow, bytes } => self.input(Input::Message { flow, bytes: &bytes }),
            Event::ToPeer { flow, bytes } => {
                self.happenings.push_back(Happening::Message { to: flow.remote, bytes });
            }
            Event::Closed(flow) => self.input(Input::FlowClosed { flow }),
            Event::Wake(token) => self.happenings.push_back(Happening::Wake(token)),
        }
    }

    fn input(&mut self, input: Input<'_>) {
        if self.is_down() {
            return;
        }
        let clock = self.clock();
        self.switch.handle_input(clock, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.switch.poll_output() {
            self.note(&output);
            match output {
                Output::Send { flow, bytes } => self.deliver(flow, bytes),
                Output::Media(command) => self.media.handle_command(self.now, command),
                Output::Journal { seq, record } => self.append(seq, record),
                Output::Reply { id, reply } => self.happenings.push_back(Happening::Reply(id, reply)),
                Output::Told { .. } => {}
            }
        }
        let mut news = Vec::new();
        self.switch.take_news(&mut news);
        for update in news {
            self.trace.add(format!("{:?}{update:?}", self.now).as_bytes());
            self.happenings.push_back(Happening::Live(update));
        }
    }

    fn append(&mut self, seq: Seq, record: Record) {
        self.disk.append(self.now, seq, record);
    }

    fn note(&mut self, output: &Output) {
        self.trace.add(&self.now.0.to_be_bytes());
        let mut text = String::new();
        match output {
            Output::Send { flow, bytes } => {
                let _ = write!(text, "{flow:?}");
                self.trace.add(bytes);
            }
            Output::Media(command) => {
                let _ = write!(text, "{command:?}");
            }
            Output::Journal { seq, record } => {
                let _ = write!(text, "{seq:?}{record:?}");
            }
            Output::Reply { id, reply } => {
                let _ = write!(text, "{id:?}{reply:?}");
            }
            Output::Told { call, event } => {
                let _ = write!(text, "{call:?}{event:?}");
            }
        }
        self.trace.add(text.as_bytes());
    }

    fn deliver(&mut self, mut flow: Flow, bytes: Vec<u8>) {
        if self.unreachable.contains(&flow.remote) {
            let at = self.now + self.link.delay_min;
            return self.queue.put(at, Event::Closed(flow));
        }
        if flow.transport.is_reliable() {
            flow.connection = connection(flow.remote);
            let at = self.connections.arrival(flow.connection, false, &self.link, self.now, &mut self.random);
            return self.queue.put(at, Event::ToPeer { flow, bytes });
        }
        for at in self.link.arrivals(self.now, &mut self.random) {
            self.queue.put(at, Event::ToPeer { flow, bytes: bytes.clone() });
        }
    }

    /// A peer sends a message to the switch.
    pub fn send(&mut self, from: SocketAddr, transport: Transport, mut bytes: Vec<u8>) {
        let reliable = transport.is_reliable();
        let listener = u16::from(reliable) + if from.is_ipv4() { 0 } else { 2 };
        let connection = if reliable { connection(from) } else { 0 };
        let flow = Flow { listener: ListenerId(listener), transport, remote: from, connection };
        if reliable {
            let at = self.connections.arrival(connection, true, &self.link, self.now, &mut self.random);
            return self.queue.put(at, Event::ToSwitch { flow, bytes });
        }
        self.link.damage(&mut bytes, &mut self.random);
        for at in self.link.arrivals(self.now, &mut self.random) {
            self.queue.put(at, Event::ToSwitch { flow, bytes: bytes.clone() });
        }
    }

    /// A peer starts or stops sending media from this address.
    pub fn audio(&mut self, from: SocketAddr, to: Option<SocketAddr>) {
        self.media.send(self.now, from, to);
    }

    /// Packets that reached this media address.
    pub fn heard(&mut self, at: SocketAddr) -> u64 {
        self.media.heard(self.now, at)
    }

    pub fn wake_at(&mut self, at: Tick, token: u64) {
        self.queue.put(at.max(self.now), Event::Wake(token));
    }

    pub fn control(&mut self, request: ControlRequest) -> ControlId {
        self.next_control += 1;
        let id = ControlId(self.next_control);
        self.input(Input::Control { id, request });
        id
    }

    /// Changes the configuration; see [`Business::change`]. Opening balances of new accounts are paid in.
    pub fn configure(&mut self, text: &str) -> Result<(), String> {
        let known: Vec<_> = self.business.openings();
        self.business.change(text)?;
        self.snapshot = self.business.snapshot()?;
        self.input(Input::Configure(self.snapshot.clone()));
        for (account, amount) in self.business.openings() {
            if known.iter().all(|(id, _)| *id != account) {
                let kind = billing::PostingKind::Opening;
                let (by, note, key) = ("opening".into(), String::new(), None);
                self.control(ControlRequest::Pay { account, kind, amount, by, note, key });
            }
        }
        Ok(())
    }

    /// Somebody sets the calendar clock.
    pub fn set_clock(&mut self, by_s: i64) {
        self.clock_set_us = self.clock_set_us.saturating_add(by_s.saturating_mul(1_000_000));
    }

    /// The disk is full, or has room again.
    pub fn set_disk_full(&mut self, full: bool) {
        self.disk.set_full(self.now, full);
        self.input(Input::JournalStopped(full));
    }

    /// `kill -9`, and a new start after a while: only the disk's durable records survive, and what is under way on the
    /// network. What arrives meanwhile finds nobody.
    pub fn crash(&mut self, gap: Duration) {
        self.crashes += 1;
        self.disk.crash();
        self.media.restart(self.ports.0, self.ports.1);
        self.queue.retain(|event| match event {
            Event::ToSwitch { flow, .. } | Event::ToPeer { flow, .. } | Event::Closed(flow) => {
                flow.transport == Transport::Udp
            }
            Event::Wake(_) => true,
        });
        self.down_until = Some(self.now + gap);
        if gap.is_zero() {
            self.start_again();
        }
    }

    /// Is there no process at the moment?
    pub fn is_down(&self) -> bool {
        self.down_until.is_some()
    }

    fn start_again(&mut self) {
        self.down_until = None;
        // Sometimes the whole machine was restarted, and ticks of before mean nothing.
        if self.random.below(3) == 0 {
            self.boot += 1;
        }
        let restore = disk::restore(self.disk.records());
        let config = config(&mut self.random, self.boot);
        self.switch = Switch::new(self.clock(), config, restore, self.snapshot.clone());
        self.drain();
    }
}

/// One connection for each peer is enough.
fn connection(remote: SocketAddr) -> u64 {
    let host = match remote.ip() {
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        IpAddr::V6(ip) => u64::try_from(u128::from(ip) & u128::from(u32::MAX)).unwrap_or(0) | 1 << 40,
    };
    host << 16 | u64::from(remote.port())
}

fn config(random: &mut Random, boot: u64) -> SwitchConfig {
    let local = LocalAddresses {
        interfaces: Vec::new(),
        default_v4: Some(IpAddr::V4(SWITCH_V4)),
        default_v6: Some(IpAddr::V6(SWITCH_V6)),
    };
    let mut seed = [0; 16];
    for chunk in seed.chunks_mut(8) {
        chunk.copy_from_slice(&random.next_u64().to_be_bytes());
    }
    SwitchConfig {
        listeners: listeners(),
        media: MediaAddressing { local, advertised_v4: None, advertised_v6: None },
        media_families: [true, true],
        media_threads: 1,
        boot,
        seed,
        seal: [5; 32],
    }
}

/// UDP and TCP on IPv4, then on IPv6.
fn listeners() -> Vec<sip::ListenerConfig> {
    let all =
        [(Transport::Udp, true), (Transport::Tcp, true), (Transport::Udp, false), (Transport::Tcp, false)];
    let listener = |(index, (transport, v4)): (u16, (Transport, bool))| sip::ListenerConfig {
        id: ListenerId(index),
        transport,
        port: SIP_PORT,
        advertised: None,
        local: LocalAddresses {
            interfaces: Vec::new(),
            default_v4: v4.then_some(IpAddr::V4(SWITCH_V4)),
            default_v6: (!v4).then_some(IpAddr::V6(SWITCH_V6)),
        },
    };
    (0u16..).zip(all).map(listener).collect()
}
