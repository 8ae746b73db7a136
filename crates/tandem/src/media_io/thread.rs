//! One media thread: its sockets, its sessions, and the loop around them.

use super::mmsg::{BATCH, Batch};
use super::ports::{Opened, PortPair, Unopened};
use super::protect;
use super::speech::{self, Speech};
use super::{Doorbell, MediaSettings};
use media::{
    Digit, MediaCommand, MediaEvent, Method, PortLease, Press, Relay, RelayEvent, Side, SideConfig, Verdict,
};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};
use vocab::{MediaSessionId, Tick};

/// A closed pair rests this long, until the last packets of its call have died out.
const QUARANTINE: Duration = Duration::from_secs(2);
/// Sessions are looked after (silence, statistics) in this many slices …
const SLICES: usize = 10;
/// … one of them each time: every session once a second.
const SLICE: Duration = Duration::from_millis(100);
/// Ports tried per round of the loop: some 20 µs each, so that media never waits long for the opening of a block.
const OPENINGS: usize = 8;
/// Under load, the time from one round of the loop to the next: packets that come meanwhile share one wake-up …
const ROUND: Duration = Duration::from_millis(1);
/// … and load is this many packets in a [`SLICE`]: some 40 calls. Below, each packet is sent on at once.
const LOAD: usize = 400;
/// Readiness events taken at once.
const EVENTS: usize = 512;
/// Sessions in one report.
const REPORT: usize = 512;
/// Batches thrown away when a pair is closed: more than its receive buffer holds.
const DRAIN: usize = 64;

/// Token of the doorbell; sockets have `index · 2 + rtcp`.
const DOORBELL: u64 = u64::MAX;

/// The thread's end of the command channel.
pub struct CommandLine {
    pub doorbell: Arc<Doorbell>,
    pub commands: Receiver<MediaCommand>,
}

/// An epoll that a doorbell wakes.
pub fn epoll_with(doorbell: &Doorbell) -> io::Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &doorbell.event, epoll::EventData::new_u64(DOORBELL), epoll::EventFlags::IN)?;
    Ok(epoll)
}

struct Port {
    pair: PortPair,
    /// The session's slot, and which side of it.
    user: Option<(usize, Side)>,
    /// The socket filter is in place.
    deaf: bool,
}

pub(super) struct Session {
    pub id: MediaSessionId,
    pub relay: Relay,
    /// Converts between the sides, where they do not carry speech alike.
    pub speech: Speech,
}

pub struct MediaThread {
    number: u8,
    dscp: u8,
    started: Instant,
    /// When this round of the loop began.
    now: Tick,
    epoll: OwnedFd,
    events: Arc<dyn Fn(MediaEvent) + Send + Sync>,
    /// By the number in their lease. Empty where a pair of the process before could not be opened again.
    ports: Vec<Option<Port>>,
    unopened: [Unopened; 2],
    /// Closed pairs and when they are ready again, in that order.
    resting: VecDeque<(Tick, PortLease)>,
    sessions: Vec<Option<Session>>,
    free: Vec<usize>,
    by_id: HashMap<MediaSessionId, usize>,
    /// Sockets with more than a batch waiting. They are edge-triggered, so nobody else remembers them.
    unfinished: Vec<u64>,
    /// Those of the round before, being served; two lists that change places, so that neither is made anew.
    continued: Vec<u64>,
    batch: Batch,
    next_slice: Tick,
    slice: usize,
    /// Sessions that convert speech, and when they are next looked after.
    speaking: Vec<usize>,
    next_speech: Tick,
    /// Packets received in this slice of time, and whether those of the last one were a load.
    received: usize,
    loaded: bool,
}

impl MediaThread {
    pub fn new(
        number: u8,
        settings: MediaSettings,
        started: Instant,
        epoll: OwnedFd,
        events: Arc<dyn Fn(MediaEvent) + Send + Sync>,
    ) -> MediaThread {
        MediaThread {
            number,
            dscp: settings.dscp,
            started,
            now: Tick::default(),
            epoll,
            events,
            ports: Vec::new(),
            unopened: [false, true].map(|v6| Unopened::new(&settings, number, v6)),
            resting: VecDeque::new(),
            sessions: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            unfinished: Vec::new(),
            continued: Vec::new(),
            batch: Batch::default(),
            next_slice: Tick::default(),
            slice: 0,
            speaking: Vec::new(),
            next_speech: Tick::default(),
            received: 0,
            loaded: false,
        }
    }

    /// Runs until the command channel is closed.
    pub fn run(mut self, line: &CommandLine) {
        let mut ready = Vec::with_capacity(EVENTS);
        loop {
            let timeout = self.timeout();
            match epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "epoll_wait");
                    return;
                }
            }
            // One reading for all packets of a round: they waited for it together.
            self.now = Tick::default() + self.started.elapsed();
            std::mem::swap(&mut self.unfinished, &mut self.continued);
            while let Some(token) = self.continued.pop() {
                self.serve_guarded(token);
            }
            let mut rung = false;
            for event in ready.drain(..) {
                match event.data.u64() {
                    DOORBELL => rung = true,
                    token => self.serve_guarded(token),
                }
            }
            if rung && !self.obey(line) {
                return;
            }
            self.open_ports();
            self.handle_timeout();
            self.rest_of_round();
        }
    }

    /// Lets packets gather under load. A wake-up costs as much as a packet, so many should share one.
    fn rest_of_round(&self) {
        if self.loaded && self.unfinished.is_empty() {
            let taken = self.started.elapsed().saturating_sub(self.now.since(Tick::default()));
            std::thread::sleep(ROUND.saturating_sub(taken));
        }
    }

    pub(super) fn emit(&self, event: MediaEvent) {
        (self.events)(event);
    }

    /// How long nothing needs to be done.
    fn timeout(&self) -> Timespec {
        let busy = !self.unfinished.is_empty() || self.unopened.iter().any(Unopened::wants);
        let slice = (!self.by_id.is_empty()).then_some(self.next_slice);
        let speech = (!self.speaking.is_empty()).then_some(self.next_speech);
        let rested = self.resting.front().map(|(at, _)| *at);
        let wait = match slice.into_iter().chain(speech).chain(rested).min() {
            _ if busy => Duration::ZERO,
            Some(at) => at.since(Tick::default() + self.started.elapsed()),
            None => Duration::from_secs(3600),
        };
        Timespec::try_from(wait).unwrap_or_default()
    }
}

/// Packets.
impl MediaThread {
    /// A panic is our bug, and ends one call instead of all.
    fn serve_guarded(&mut self, token: u64) {
        if std::panic::catch_unwind(AssertUnwindSafe(|| self.serve(token))).is_err() {
            tracing::error!(token, "panic while relaying; the session is closed");
            if let Some((slot, _)) = self.port_of(token).and_then(|(port, _)| port.user) {
                self.close_slot(slot);
            }
        }
    }

    fn port_of(&self, token: u64) -> Option<(&Port, bool)> {
        let index = usize::try_from(token / 2).ok()?;
        Some((self.ports.get(index)?.as_ref()?, token % 2 == 1))
    }

    /// Relays one batch from one socket.
    fn serve(&mut self, token: u64) {
        let Some((index, rtcp)) = usize::try_from(token / 2).ok().map(|i| (i, token % 2 == 1)) else {
            return;
        };
        let Some(Some(port)) = self.ports.get(index) else { return };
        let Ok(received) = self.batch.receive(port.pair.socket(rtcp).as_fd()) else { return };
        self.received += received;
        if received == BATCH {
            self.unfinished.push(token);
        }
        let Some((slot, side)) = port.user else { return self.deafen(index) };
        let Some(Some(session)) = self.sessions.get_mut(slot) else { return };
        let lease = session.relay.lease(side.other());
        let out = lease.and_then(|l| self.ports.get(usize::try_from(l.index).ok()?)?.as_ref());
        let out = out.filter(|port| port.user == Some((slot, side.other())));
        let mut out_rtcp = false;
        let guarded = session.relay.is_guarded();
        for i in 0..received {
            let verdict = if guarded {
                let out = out.map(|port| &port.pair);
                protect::take(self.now, session, &mut self.batch, i, (side, rtcp), out)
            } else {
                let Some((source, packet)) = self.batch.packet(i) else { continue };
                let verdict = session.relay.handle_packet(self.now, side, rtcp, source, packet);
                if let (Verdict::Transcode { to }, Some(out)) = (verdict, out) {
                    session.speech.hear(self.now, side, packet, (&out.pair, to), &mut session.relay);
                }
                verdict
            };
            let (Verdict::Forward { to, rtcp }, Some(out)) = (verdict, out) else { continue };
            if rtcp != out_rtcp {
                self.batch.send(out.pair.socket(out_rtcp).as_fd());
                out_rtcp = rtcp;
            }
            self.batch.queue(i, to);
        }
        if let Some(out) = out {
            self.batch.send(out.pair.socket(out_rtcp).as_fd());
        }
        while let Some(press) = session.speech.poll_press() {
            (self.events)(pressed(session.id, press));
        }
        while let Some(event) = session.relay.poll_event() {
            (self.events)(told(session.id, event));
        }
    }
}

fn pressed(session: MediaSessionId, Press { to, digit, length_ms }: Press) -> MediaEvent {
    MediaEvent::Pressed { session, to, digit, length_ms }
}

fn told(session: MediaSessionId, event: RelayEvent) -> MediaEvent {
    match event {
        RelayEvent::FirstPacket(side) => MediaEvent::FirstPacket { session, side },
        RelayEvent::Silent(side) => MediaEvent::Silent { session, side },
    }
}

/// Commands.
impl MediaThread {
    /// Carries out what waits; false when the engine is to stop.
    fn obey(&mut self, line: &CommandLine) -> bool {
        line.doorbell.silence();
        loop {
            match line.commands.try_recv() {
                Ok(command) => self.handle_command(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn handle_command(&mut self, command: MediaCommand) {
        match command {
            MediaCommand::Prepare { count, v6 } => self.unopened[usize::from(v6)].want(count),
            MediaCommand::Open { session, a, b } => self.open(session, a, b),
            MediaCommand::Reopen { session, a, b, figures } => self.reopen(session, a, b, &figures),
            MediaCommand::SetSide { session, side, config } => self.set_side(session, side, config),
            MediaCommand::Press { session, side, digit, length_ms } => {
                self.press(session, side, digit, length_ms);
            }
            MediaCommand::Close { session } => {
                if let Some(slot) = self.by_id.get(&session).copied() {
                    self.close_slot(slot);
                }
            }
        }
    }

    fn open(&mut self, id: MediaSessionId, a: SideConfig, b: Option<SideConfig>) {
        if self.by_id.contains_key(&id) {
            tracing::error!(%id, "media session opened twice");
            return;
        }
        let slot =
            self.add_session(Session { id, relay: Relay::new(self.now, a, b), speech: Speech::default() });
        self.connect(a.lease, slot, Side::A);
        if let Some(b) = b {
            self.connect(b.lease, slot, Side::B);
        }
        self.agree_speech(slot);
    }

    /// Begins or ends conversion of speech as both sides now are.
    pub(super) fn agree_speech(&mut self, slot: usize) {
        let Some(Some(session)) = self.sessions.get_mut(slot) else { return };
        self.speaking.retain(|speaking| *speaking != slot);
        if session.speech.agree(session.relay.codings()) {
            self.speaking.push(slot);
        }
    }

    pub(super) fn add_session(&mut self, session: Session) -> usize {
        let slot = self.free.pop().unwrap_or(self.sessions.len());
        self.by_id.insert(session.id, slot);
        match self.sessions.get_mut(slot) {
            Some(empty) => *empty = Some(session),
            None => self.sessions.push(Some(session)),
        }
        slot
    }

    fn set_side(&mut self, id: MediaSessionId, side: Side, config: SideConfig) {
        let Some(slot) = self.by_id.get(&id).copied() else { return };
        if !self.usable(config.lease, Some((slot, side))) {
            tracing::error!(%id, ?config, "media side set with a lease that is not free");
            return;
        }
        let now = self.now;
        let Some(Some(session)) = self.sessions.get_mut(slot) else { return };
        let retired = session.relay.set_side(now, side, config);
        self.connect(config.lease, slot, side);
        if let Some(lease) = retired {
            self.disconnect(lease, slot);
        }
        self.agree_speech(slot);
    }

    /// A digit that signalling brought goes on to the other side as that one wants it.
    fn press(&mut self, id: MediaSessionId, side: Side, digit: Digit, length_ms: u32) {
        let Some(slot) = self.by_id.get(&id).copied() else { return };
        let Some(Some(session)) = self.sessions.get_mut(slot) else { return };
        let Some((a, b)) = session.relay.agreed() else { return };
        let (from, to) = if side == Side::A { (a, b) } else { (b, a) };
        let taken = session.relay.digits(side).is_some_and(|lock| lock.admit(&from.digits, Method::Info));
        if !taken {
            return;
        }
        if to.digits.send == Method::Info {
            return self.emit(pressed(id, Press { to: side.other(), digit, length_ms }));
        }
        session.relay.add_packets();
        self.agree_speech(slot);
        let now = self.now;
        if let Some(Some(session)) = self.sessions.get_mut(slot) {
            session.speech.press(now, side, digit, Duration::from_millis(length_ms.into()));
        }
    }

    /// Is the lease one of ours, and unused but for `user`?
    fn usable(&self, lease: PortLease, user: Option<(usize, Side)>) -> bool {
        let port = usize::try_from(lease.index).ok().and_then(|i| self.ports.get(i)?.as_ref());
        port.is_some_and(|port| port.pair.lease == lease && (port.user.is_none() || port.user == user))
    }

    fn port_mut(&mut self, lease: PortLease) -> Option<&mut Port> {
        self.ports.get_mut(usize::try_from(lease.index).ok()?)?.as_mut()
    }

    /// Gives the pair to a side, which hears from now on. With a lease that is not free the side stays deaf and mute,
    /// but the session lives, so that its `Close` is answered.
    pub(super) fn connect(&mut self, lease: PortLease, slot: usize, side: Side) {
        if !self.usable(lease, Some((slot, side))) {
            tracing::error!(?lease, "media session opened with a lease that is not free");
            return;
        }
        let Some(port) = self.port_mut(lease) else { return };
        port.user = Some((slot, side));
        if std::mem::take(&mut port.deaf)
            && let Err(error) = port.pair.hear()
        {
            tracing::error!(%error, ?lease, "media port stays deaf");
        }
    }

    /// Something came to a pair that nobody uses: the kernel drops the rest. Only then, because a filter costs more to
    /// put in place than a call without such packets costs altogether.
    fn deafen(&mut self, index: usize) {
        let Some(Some(port)) = self.ports.get_mut(index) else { return };
        if std::mem::replace(&mut port.deaf, true) {
            return;
        }
        if let Err(error) = port.pair.deafen() {
            tracing::error!(%error, lease = ?port.pair.lease, "media port cannot be deafened");
        }
        let Some(Some(port)) = self.ports.get(index) else { return };
        for socket in [&port.pair.rtp, &port.pair.rtcp] {
            let full = |batch: &mut Batch| matches!(batch.receive(socket.as_fd()), Ok(BATCH));
            (0..DRAIN).take_while(|_| full(&mut self.batch)).for_each(drop);
        }
    }

    /// Takes the pair from its side and lets it rest. What still waits in it is thrown away when it is served.
    fn disconnect(&mut self, lease: PortLease, slot: usize) {
        let Some(port) = self.port_mut(lease) else { return };
        if port.user.is_none_or(|(user, _)| user != slot) {
            return;
        }
        port.user = None;
        self.rest(lease);
    }

    pub(super) fn rest(&mut self, lease: PortLease) {
        self.resting.push_back((self.now + QUARANTINE, lease));
    }

    pub(super) fn now(&self) -> Tick {
        self.now
    }

    pub(super) fn dscp(&self) -> u8 {
        self.dscp
    }

    pub(super) fn has_port(&self, index: u32) -> bool {
        usize::try_from(index).is_ok_and(|i| self.ports.get(i).is_some_and(Option::is_some))
    }

    /// Adds a pair that was not asked for by `Prepare`.
    pub(super) fn place_port(&mut self, pair: PortPair) -> bool {
        let (local, v6) = (pair.lease.local, pair.lease.is_v6());
        self.unopened[usize::from(v6)].opened_elsewhere(local);
        self.add_port(pair).is_some()
    }

    fn close_slot(&mut self, slot: usize) {
        let Some(session) = self.sessions.get_mut(slot).and_then(Option::take) else { return };
        self.free.push(slot);
        self.speaking.retain(|speaking| *speaking != slot);
        self.by_id.remove(&session.id);
        for lease in [Side::A, Side::B].into_iter().filter_map(|side| session.relay.lease(side)) {
            self.disconnect(lease, slot);
        }
        self.emit(MediaEvent::Closed(session.relay.statistics(session.id)));
    }
}

/// Ports and time.
impl MediaThread {
    /// A few of the ports that are wanted.
    fn open_ports(&mut self) {
        for v6 in [false, true] {
            if self.unopened[usize::from(v6)].wants() {
                self.open_family(v6);
            }
        }
    }

    fn open_family(&mut self, v6: bool) {
        let mut ready = Vec::new();
        for _ in 0..OPENINGS {
            let Ok(index) = u32::try_from(self.ports.len()) else { break };
            match self.unopened[usize::from(v6)].open_next(self.number, index, self.dscp) {
                Opened::Pair(pair) => ready.extend(self.add_port(pair)),
                Opened::Taken => {}
                Opened::Failed(wanted) => {
                    self.emit(MediaEvent::PrepareFailed { wanted, v6 });
                    break;
                }
                Opened::Done => break,
            }
        }
        if !ready.is_empty() {
            self.emit(MediaEvent::Ready(ready));
        }
    }

    fn add_port(&mut self, pair: PortPair) -> Option<PortLease> {
        let lease = pair.lease;
        for rtcp in [false, true] {
            let token = epoll::EventData::new_u64(u64::from(lease.index) * 2 + u64::from(rtcp));
            // Edge-triggered: a socket read empty is not looked at again by the next wait.
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            if let Err(error) = epoll::add(&self.epoll, pair.socket(rtcp), token, flags) {
                tracing::error!(%error, "epoll_ctl");
                return None;
            }
        }
        let place = usize::try_from(lease.index).ok()?;
        if self.ports.len() <= place {
            self.ports.resize_with(place + 1, || None);
        }
        *self.ports.get_mut(place)? = Some(Port { pair, user: None, deaf: false });
        Some(lease)
    }

    fn handle_timeout(&mut self) {
        let now = self.now;
        self.release_rested(now);
        if !self.speaking.is_empty() && now >= self.next_speech {
            self.next_speech = now + speech::TICK;
            self.look_after_speech(now);
        }
        if now >= self.next_slice {
            self.next_slice = now + SLICE;
            self.loaded = std::mem::take(&mut self.received) >= LOAD;
            self.look_after_slice(now);
        }
    }

    fn release_rested(&mut self, now: Tick) {
        let due = self.resting.iter().take_while(|(at, _)| *at <= now).count();
        if due > 0 {
            let leases = self.resting.drain(..due).map(|(_, lease)| lease).collect();
            self.emit(MediaEvent::Ready(leases));
        }
    }

    /// Speech that waits for a packet or goes on by itself.
    fn look_after_speech(&mut self, now: Tick) {
        for &slot in &self.speaking {
            let Some(Some(session)) = self.sessions.get_mut(slot) else { continue };
            let ports = [Side::A, Side::B].map(|side| {
                let lease = session.relay.lease(side)?;
                let port = self.ports.get(usize::try_from(lease.index).ok()?)?.as_ref()?;
                (port.user == Some((slot, side))).then_some(&port.pair)
            });
            session.speech.go_on(now, ports, &mut session.relay);
            while let Some(press) = session.speech.poll_press() {
                (self.events)(pressed(session.id, press));
            }
        }
    }

    /// Silence and statistics of a tenth of the sessions.
    fn look_after_slice(&mut self, now: Tick) {
        self.slice = (self.slice + 1) % SLICES;
        let mut changed = Vec::new();
        for session in self.sessions.iter_mut().skip(self.slice).step_by(SLICES).flatten() {
            session.relay.handle_timeout(now);
            while let Some(event) = session.relay.poll_event() {
                (self.events)(told(session.id, event));
            }
            if session.relay.take_changed() {
                changed.push(session.relay.statistics(session.id));
            }
        }
        for report in changed.chunks(REPORT) {
            self.emit(MediaEvent::Statistics(report.to_vec()));
        }
    }
}
