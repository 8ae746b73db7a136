//! The media threads of the simulated world: they answer the brain's commands as the real ones do, and count
//! packets of peers that send at an even pace, without moving a single one.

use media::{
    Digit, Lock, MediaCommand, MediaEvent, Method, PortLease, SessionStatistics, Side, SideConfig,
    SideStatistics,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use vocab::{MediaSessionId, Tick};

/// 20 ms of G.711 in an RTP packet.
const PACKET_INTERVAL: Duration = Duration::from_millis(20);
const PACKET_BYTES: u64 = 172;
/// From command to answer.
const LATENCY: Duration = Duration::from_millis(1);
/// A port rests this long before it may serve another call.
const QUARANTINE: Duration = Duration::from_secs(2);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct MediaPlane {
    next_v4: u32,
    next_v6: u32,
    /// One past the last port.
    end: u32,
    /// Ports of calls that were up when the process before died.
    reopened: BTreeSet<(bool, u16)>,
    sessions: BTreeMap<MediaSessionId, Session>,
    /// By the address that the peer sends from.
    senders: BTreeMap<SocketAddr, Sender>,
    answers: BTreeMap<(Tick, u64), MediaEvent>,
    answer_count: u64,
    report: Tick,
}

#[derive(Debug)]
struct Session {
    a: Half,
    b: Option<Half>,
    changed: bool,
}

#[derive(Debug)]
struct Half {
    config: SideConfig,
    figures: SideStatistics,
    /// Start of the wait for media: when the watch was set, or the last packet.
    quiet_since: Tick,
    /// Media has come in this process.
    heard_now: bool,
    told_first: bool,
    told_silent: bool,
}

#[derive(Debug)]
struct Sender {
    to: SocketAddr,
    next: Tick,
}

impl MediaPlane {
    /// Ports `start..=end`, as pairs.
    pub fn new(start: u16, end: u16) -> MediaPlane {
        let start = u32::from(start).next_multiple_of(2);
        MediaPlane {
            next_v4: start,
            next_v6: start,
            end: u32::from(end) + 1,
            reopened: BTreeSet::new(),
            sessions: BTreeMap::new(),
            senders: BTreeMap::new(),
            answers: BTreeMap::new(),
            answer_count: 0,
            report: Tick(0),
        }
    }

    /// The process died: sessions are gone, and whoever sends goes on sending into the void.
    pub fn restart(&mut self, start: u16, end: u16) {
        *self = MediaPlane { senders: std::mem::take(&mut self.senders), ..MediaPlane::new(start, end) };
    }

    /// Sessions in being.
    pub fn open(&self) -> usize {
        self.sessions.len()
    }

    /// A peer starts sending, or with `None` stops.
    pub fn send(&mut self, now: Tick, from: SocketAddr, to: Option<SocketAddr>) {
        self.advance(now);
        match to {
            Some(to) => {
                self.senders.insert(from, Sender { to, next: now });
            }
            None => {
                self.senders.remove(&from);
            }
        }
    }

    /// How many packets have been forwarded to a peer's address by sessions in being.
    pub fn heard(&mut self, now: Tick, at: SocketAddr) -> u64 {
        self.advance(now);
        let halves = self.sessions.values().flat_map(|s| std::iter::once(&s.a).chain(&s.b));
        halves.filter(|h| h.destination() == Some(at)).map(|h| h.figures.packets_out).sum()
    }

    pub fn handle_command(&mut self, now: Tick, command: MediaCommand) {
        self.advance(now);
        match command {
            MediaCommand::Prepare { count, v6 } => self.prepare(now, count, v6),
            MediaCommand::Open { session, a, b } => {
                let opened = Session { a: Half::new(a, now), b: b.map(|b| Half::new(b, now)), changed: true };
                let old = self.sessions.insert(session, opened);
                assert!(old.is_none(), "media session {session} opened twice");
            }
            MediaCommand::Reopen { session, a, b, figures } => self.reopen(now, session, (a, b), &figures),
            MediaCommand::SetSide { session, side, config } => self.set_side(now, session, side, config),
            MediaCommand::Press { session, side, digit, length_ms } => {
                self.press(now, session, side, digit, length_ms);
            }
            MediaCommand::Close { session } => self.close(now, session),
        }
    }

    fn prepare(&mut self, now: Tick, count: u32, v6: bool) {
        let (next, wildcard) = match v6 {
            true => (&mut self.next_v6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            false => (&mut self.next_v4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        };
        let mut leases = Vec::new();
        let mut missing = count;
        while missing > 0 && *next + 1 < self.end {
            let port = u16::try_from(*next).unwrap_or(u16::MAX);
            *next += 2;
            if !self.reopened.contains(&(v6, port)) {
                let local = SocketAddr::new(wildcard, port);
                leases.push(PortLease { thread: 0, index: u32::from(port), local });
                missing -= 1;
            }
        }
        if !leases.is_empty() {
            self.answer(now + LATENCY, MediaEvent::Ready(leases));
        }
        if missing > 0 {
            self.answer(now + LATENCY, MediaEvent::PrepareFailed { wanted: missing, v6 });
        }
    }

    fn reopen(
        &mut self,
        now: Tick,
        id: MediaSessionId,
        (a, b): (SideConfig, SideConfig),
        figures: &SessionStatistics,
    ) {
        for lease in [a.lease, b.lease] {
            self.reopened.insert((lease.is_v6(), lease.local.port()));
        }
        let half = |config, figures| Half { figures, ..Half::new(config, now) };
        let session = Session { a: half(a, figures.a), b: Some(half(b, figures.b)), changed: true };
        let old = self.sessions.insert(id, session);
        assert!(old.is_none(), "media session {id} opened twice");
    }

    fn set_side(&mut self, now: Tick, id: MediaSessionId, side: Side, config: SideConfig) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.changed = true;
        let slot = match (side, &mut session.b) {
            (Side::A, _) => &mut session.a,
            (Side::B, Some(b)) => b,
            (Side::B, none) => {
                *none = Some(Half::new(config, now));
                return;
            }
        };
        if slot.config.lease == config.lease {
            slot.reconfigure(config, now);
            return;
        }
        let old = std::mem::replace(slot, Half::new(config, now)).config.lease;
        self.answer(now + QUARANTINE, MediaEvent::Ready(vec![old]));
    }

    /// A digit that is to go on as signalling does so; otherwise it is in packets, which nobody here looks at.
    fn press(&mut self, now: Tick, session: MediaSessionId, side: Side, digit: Digit, length_ms: u32) {
        let Some(known) = self.sessions.get_mut(&session) else { return };
        let (from, to) = match (side, &mut known.b) {
            (Side::A, Some(b)) => (&mut known.a, b),
            (Side::B, Some(b)) => (b, &mut known.a),
            (_, None) => return,
        };
        let (Some(coding), Some(other)) = (from.config.coding, to.config.coding) else { return };
        let mut lock = Lock(from.figures.digits);
        let taken = lock.admit(&coding.digits, Method::Info);
        from.figures.digits = lock.0;
        if taken && other.digits.send == Method::Info {
            let to = side.other();
            self.answer(now + LATENCY, MediaEvent::Pressed { session, to, digit, length_ms });
        }
    }

    fn close(&mut self, now: Tick, id: MediaSessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.answer(now + LATENCY, MediaEvent::Closed(session.figures(id)));
        let leases = std::iter::once(&session.a).chain(&session.b).map(|h| h.config.lease).collect();
        self.answer(now + QUARANTINE, MediaEvent::Ready(leases));
    }

    fn answer(&mut self, at: Tick, event: MediaEvent) {
        self.answer_count += 1;
        self.answers.insert((at, self.answer_count), event);
    }

    /// When there is something to tell.
    pub fn poll_timeout(&self) -> Option<Tick> {
        let answer = self.answers.first_key_value().map(|((at, _), _)| *at);
        let report = (!self.sessions.is_empty()).then_some(self.report);
        let halves = self.sessions.values().flat_map(|s| std::iter::once(&s.a).chain(&s.b));
        let news = halves.filter_map(|h| h.next_news(&self.senders)).min();
        [answer, report, news].into_iter().flatten().min()
    }

    /// Everything that is to be told by now.
    pub fn handle_timeout(&mut self, now: Tick) -> Vec<MediaEvent> {
        self.advance(now);
        let mut events = Vec::new();
        while let Some(entry) = self.answers.first_entry().filter(|e| e.key().0 <= now) {
            events.push(entry.remove());
        }
        for (id, session) in &mut self.sessions {
            session.news(*id, now, &mut events);
        }
        if now >= self.report && !self.sessions.is_empty() {
            self.report = now + REPORT_INTERVAL;
            let figures = |(id, s): (&MediaSessionId, &mut Session)| {
                std::mem::take(&mut s.changed).then(|| s.figures(*id))
            };
            let figures: Vec<_> = self.sessions.iter_mut().filter_map(figures).collect();
            if !figures.is_empty() {
                events.push(MediaEvent::Statistics(figures));
            }
        }
        events
    }

    /// Counts the packets that have been sent since the last look.
    fn advance(&mut self, now: Tick) {
        for (from, sender) in &mut self.senders {
            let due = now.since(sender.next).as_micros() / PACKET_INTERVAL.as_micros();
            if sender.next > now {
                continue;
            }
            let count = u32::try_from(due + 1).unwrap_or(u32::MAX);
            let last = sender.next + PACKET_INTERVAL * (count - 1);
            sender.next = last + PACKET_INTERVAL;
            let session = self.sessions.values_mut().find(|s| s.side_at(sender.to).is_some());
            if let Some(session) = session {
                session.take(*from, sender.to, u64::from(count), last);
            }
        }
    }
}

impl Session {
    fn side_at(&self, to: SocketAddr) -> Option<Side> {
        let at = |h: &Half| is_at(h.config.lease, to);
        match (at(&self.a), self.b.as_ref().is_some_and(at)) {
            (true, _) => Some(Side::A),
            (_, true) => Some(Side::B),
            (false, false) => None,
        }
    }

    fn take(&mut self, from: SocketAddr, to: SocketAddr, count: u64, last: Tick) {
        self.changed = true;
        let (receiver, other) = match self.side_at(to) {
            Some(Side::A) => (&mut self.a, self.b.as_mut()),
            Some(Side::B) => match &mut self.b {
                Some(b) => (b, Some(&mut self.a)),
                None => return,
            },
            None => return,
        };
        let figures = &mut receiver.figures;
        if *figures.latched.get_or_insert(from) != from || !receiver.config.sends {
            figures.rejected += count;
            return;
        }
        receiver.heard_now = true;
        figures.packets_in += count;
        figures.bytes_in += count * PACKET_BYTES;
        figures.payload_type = Some(8);
        (receiver.quiet_since, receiver.told_silent) = (last, false);
        if let Some(other) = other.filter(|o| o.config.receives && o.destination().is_some()) {
            other.figures.packets_out += count;
            other.figures.bytes_out += count * PACKET_BYTES;
        }
    }

    fn figures(&self, session: MediaSessionId) -> SessionStatistics {
        let b = self.b.as_ref().map(|b| b.figures).unwrap_or_default();
        SessionStatistics { session, a: self.a.figures, b }
    }

    fn news(&mut self, session: MediaSessionId, now: Tick, events: &mut Vec<MediaEvent>) {
        for (side, half) in [(Side::A, Some(&mut self.a)), (Side::B, self.b.as_mut())] {
            let Some(half) = half else { continue };
            if half.heard_now && !half.told_first {
                half.told_first = true;
                events.push(MediaEvent::FirstPacket { session, side });
            }
            if half.silent_at().is_some_and(|at| at <= now) {
                half.told_silent = true;
                events.push(MediaEvent::Silent { session, side });
            }
        }
    }
}

impl Half {
    fn new(config: SideConfig, now: Tick) -> Half {
        let figures = SideStatistics::default();
        Half { config, figures, quiet_since: now, heard_now: false, told_first: false, told_silent: false }
    }

    fn reconfigure(&mut self, config: SideConfig, now: Tick) {
        if config.watch.is_some() && self.config.watch.is_none() {
            (self.quiet_since, self.told_silent) = (now, false);
        }
        if config.relearn {
            self.figures.latched = None;
        }
        self.config = config;
    }

    fn destination(&self) -> Option<SocketAddr> {
        self.figures.latched.or(self.config.remote)
    }

    fn silent_at(&self) -> Option<Tick> {
        let watch = self.config.watch.filter(|_| !self.told_silent)?;
        Some(self.quiet_since + Duration::from_millis(u64::from(watch)))
    }

    /// When this side's first packet or its silence will be noticed.
    fn next_news(&self, senders: &BTreeMap<SocketAddr, Sender>) -> Option<Tick> {
        let sender = senders.values().find(|s| is_at(self.config.lease, s.to) && self.config.sends);
        match sender {
            Some(sender) if !self.told_first => Some(sender.next),
            Some(sender) => self.silent_at().map(|at| at.max(sender.next)),
            None => self.silent_at(),
        }
    }
}

/// IPv4 and IPv6 have ports of their own.
fn is_at(lease: PortLease, to: SocketAddr) -> bool {
    lease.local.port() == to.port() && lease.local.is_ipv4() == to.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Tick {
        Tick(ms * 1000)
    }

    fn run(plane: &mut MediaPlane, until: Tick) -> Vec<(u64, MediaEvent)> {
        let mut seen = Vec::new();
        while let Some(due) = plane.poll_timeout().filter(|due| *due <= until) {
            seen.extend(plane.handle_timeout(due).into_iter().map(|e| (due.0 / 1000, e)));
        }
        seen
    }

    #[test]
    fn relays_counts_and_notices_silence() {
        let mut plane = MediaPlane::new(10_000, 10_007);
        plane.handle_command(at(0), MediaCommand::Prepare { count: 9, v6: false });
        let prepared = run(&mut plane, at(10));
        let (_, MediaEvent::Ready(leases)) = &prepared[0] else { panic!("{prepared:?}") };
        assert_eq!(leases.len(), 4);
        assert_eq!(prepared[1].1, MediaEvent::PrepareFailed { wanted: 5, v6: false });

        let (alice, vendor): (SocketAddr, SocketAddr) =
            ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:4000".parse().unwrap());
        let side =
            |lease, remote, watch| SideConfig { remote: Some(remote), watch, ..SideConfig::new(lease) };
        let (session, a) = (MediaSessionId(1), side(leases[0], alice, Some(5_000)));
        let b = Some(side(leases[1], vendor, None));
        plane.handle_command(at(10), MediaCommand::Open { session, a, b });
        plane.send(at(20), alice, Some("192.0.2.1:10000".parse().unwrap()));
        let seen = run(&mut plane, at(1_010));
        assert!(seen.contains(&(20, MediaEvent::FirstPacket { session, side: Side::A })), "{seen:?}");
        assert_eq!(plane.heard(at(1_020), vendor), 51);

        plane.send(at(1_030), alice, None);
        let silent =
            run(&mut plane, at(9_000)).into_iter().find(|(_, e)| matches!(e, MediaEvent::Silent { .. }));
        assert_eq!(silent, Some((6_020, MediaEvent::Silent { session, side: Side::A })));
        plane.handle_command(at(9_000), MediaCommand::Close { session });
        let closed = run(&mut plane, at(12_000));
        let (_, MediaEvent::Closed(figures)) = closed[0].clone() else { panic!("{closed:?}") };
        assert_eq!((figures.a.packets_in, figures.b.packets_out, figures.b.packets_in), (51, 51, 0));
        assert_eq!(closed[1], (11_000, MediaEvent::Ready(vec![leases[0], leases[1]])));
        assert_eq!(plane.open(), 0);
    }
}
