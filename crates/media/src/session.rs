//! One relayed session: the decision for each packet, as a pure state machine.
//!
//! `handle_packet` says where a packet goes; `handle_timeout` watches for silence; `poll_event` tells what the brain
//! should know. Nothing here allocates.

use crate::contract::{Coding, Latch, SessionStatistics, Side, SideConfig, SideStatistics};
use crate::digits::{Lock, Method};
use crate::latch::{Mark, Path};
use crate::lease::PortLease;
use crate::reception::Reception;
use crate::rtcp::{self, Heard, OWN_REPORT, OwnReport, name_of};
use crate::rtp::{RtpHeader, is_rtcp};
use crate::srtp::Guard;
use std::net::SocketAddr;
use std::time::Duration;
use vocab::{MediaSessionId, Tick};

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it, from the other side's RTCP port if `rtcp`, else from its RTP port.
    Forward {
        to: SocketAddr,
        rtcp: bool,
    },
    /// Convert what it carries and send that from the other side's RTP port.
    Transcode {
        to: SocketAddr,
    },
    Drop(DropReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// There is no such side, or no other side yet.
    NoSide,
    /// Not from the peer (`MED-3`).
    WrongSource,
    /// Neither RTP nor RTCP, on a stream that is.
    Invalid,
    /// The peer may not send now, or the other one is not to receive (hold).
    Direction,
    /// The other side's address is not known yet.
    NoDestination,
    /// Reports are about a stream that ends here, since speech is converted.
    Terminated,
}

/// A compound packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnCompound {
    bytes: [u8; OWN_REPORT],
    length: usize,
    pub to: SocketAddr,
    /// From the RTCP port, else from the RTP port.
    pub rtcp: bool,
}

impl OwnCompound {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length.min(OWN_REPORT)]
    }
}

/// What happened that the brain should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayEvent {
    FirstPacket(Side),
    Silent(Side),
}

/// How a datagram reads.
#[derive(Clone, Copy, Debug)]
enum Content {
    Rtp(RtpHeader),
    Rtcp,
    Opaque,
}

#[derive(Clone, Copy, Debug)]
struct SideState {
    config: SideConfig,
    rtp: Path,
    rtcp: Path,
    reception: Reception,
    packets_out: u64,
    bytes_out: u64,
    rtcp_in: u64,
    rtcp_out: u64,
    rejected: u64,
    invalid: u64,
    /// The last sender report passed on to this peer, and when: its receiver report will name it.
    report_sent: Option<(u32, Tick)>,
    /// This peer's last sender report, and when it came.
    report_heard: Option<(u32, Tick)>,
    /// Expected and lost at our last report to this peer.
    reported: (u64, u64),
    rtt_us: Option<u32>,
    reported_lost: Option<i32>,
    reported_jitter_us: Option<u32>,
    digits: Lock,
    /// When media last came, or the watch began.
    heard: Tick,
    /// Told as silent since then.
    silent: bool,
    /// Media has come since this process has the side.
    met: bool,
    /// A first packet came / silence began, and `poll_event` has not told it yet.
    tell_first: bool,
    tell_silent: bool,
}

impl SideState {
    fn new(now: Tick, config: SideConfig) -> SideState {
        let mut side = SideState {
            config,
            rtp: Path::default(),
            rtcp: Path::default(),
            reception: Reception::default(),
            packets_out: 0,
            bytes_out: 0,
            rtcp_in: 0,
            rtcp_out: 0,
            rejected: 0,
            invalid: 0,
            report_sent: None,
            report_heard: None,
            reported: (0, 0),
            rtt_us: None,
            reported_lost: None,
            reported_jitter_us: None,
            digits: Lock::default(),
            heard: now,
            silent: false,
            met: false,
            tell_first: false,
            tell_silent: false,
        };
        side.configure(now, config);
        side
    }

    fn configure(&mut self, now: Tick, config: SideConfig) {
        // Whoever is watched anew (resume after hold) has the whole time again.
        if config.watch != self.config.watch {
            self.heard = now;
            self.silent = false;
            self.tell_silent = false;
        }
        self.config = config;
        self.rtp.signal(now, config.remote, config.latch, config.relearn);
        let above = |r: SocketAddr| Some(SocketAddr::new(r.ip(), r.port().checked_add(1)?));
        let rtcp_remote = config.rtcp_remote.or_else(|| config.remote.and_then(above));
        self.rtcp.signal(now, rtcp_remote, config.latch, config.relearn);
    }

    fn content(&self, rtcp_port: bool, packet: &[u8]) -> Option<Content> {
        if !self.config.rtp {
            return Some(Content::Opaque);
        }
        // RFC 5761 §4: RTCP on the media port can be told apart, negotiated or not.
        if is_rtcp(packet) {
            return Some(Content::Rtcp);
        }
        RtpHeader::parse(packet).filter(|_| !rtcp_port).map(Content::Rtp)
    }

    fn admit(&mut self, now: Tick, rtcp_port: bool, source: SocketAddr, content: Content) -> bool {
        let latch = self.config.latch;
        match content {
            _ if rtcp_port => self.rtcp.admit_beside(now, &self.rtp, latch, source),
            Content::Rtp(header) => self.rtp.admit(now, latch, source, Mark::of(&header)),
            Content::Opaque => self.rtp.admit(now, latch, source, Mark::Opaque),
            // RTCP does not open the media port to a stranger.
            Content::Rtcp => self.rtp.admit(now, Latch::Fixed, source, Mark::Opaque),
        }
    }

    /// As another process left it.
    fn resume(now: Tick, config: SideConfig, figures: &SideStatistics) -> SideState {
        let mut side = SideState::new(now, config);
        side.reception = Reception::resume(figures, config.clock_rate);
        side.rtp.resume(now, figures.latched);
        side.packets_out = figures.packets_out;
        side.bytes_out = figures.bytes_out;
        side.rtcp_in = figures.rtcp_in;
        side.rtcp_out = figures.rtcp_out;
        side.rejected = figures.rejected;
        side.invalid = figures.invalid;
        side.rtt_us = figures.rtt_us;
        side.reported_lost = figures.reported_lost;
        side.reported_jitter_us = figures.reported_jitter_us;
        side.digits = Lock(figures.digits);
        side
    }

    fn media_came(&mut self, now: Tick) {
        self.tell_first |= !std::mem::replace(&mut self.met, true);
        self.heard = now;
        self.silent = false;
        self.tell_silent = false;
    }

    fn take_rtp(&mut self, now: Tick, header: &RtpHeader, len: usize) {
        self.media_came(now);
        self.reception.receive(now, header, len, self.config.clock_rate);
        if let Some(coding) = self.config.coding.as_ref().filter(|c| c.is_event(header.payload_type)) {
            self.digits.admit(&coding.digits, Method::Events);
        }
    }

    fn take_opaque(&mut self, now: Tick, len: usize) {
        self.media_came(now);
        self.reception.packets += 1;
        self.reception.bytes = self.reception.bytes.saturating_add(length(len));
    }

    /// Reads the peer's reports and returns the name of its sender report.
    fn take_rtcp(&mut self, now: Tick, packet: &[u8]) -> Option<u32> {
        self.rtcp_in += 1;
        let reports = rtcp::reports(packet);
        if let Some(block) = reports.block {
            self.reported_lost = Some(block.lost);
            let jitter = u64::from(block.jitter) * 1_000_000 / u64::from(self.config.clock_rate.max(1));
            self.reported_jitter_us = Some(u32::try_from(jitter).unwrap_or(u32::MAX));
            // RFC 3550 §6.4.1: round trip = arrival − last sender report − delay since it.
            if let Some((_, sent)) = self.report_sent.filter(|(name, _)| *name == block.last_sender_report) {
                let held = Duration::from_micros(u64::from(block.delay) * 1_000_000 / 65_536);
                let trip = now.since(sent).saturating_sub(held);
                self.rtt_us = Some(u32::try_from(trip.as_micros()).unwrap_or(u32::MAX));
            }
        }
        self.report_heard = reports.sender_time.map(|name| (name, now)).or(self.report_heard);
        reports.sender_time
    }

    /// What we heard of this peer since the last report to it.
    fn heard(&mut self) -> Option<Heard> {
        let (ssrc, highest, jitter, expected) = self.reception.heard()?;
        let lost = self.reception.lost();
        let since = (expected.saturating_sub(self.reported.0), lost.saturating_sub(self.reported.1));
        self.reported = (expected, lost);
        let fraction = since.1.saturating_mul(256).checked_div(since.0).unwrap_or(0).min(255);
        Some(Heard {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(255),
            lost: u32::try_from(lost).unwrap_or(u32::MAX),
            highest,
            jitter,
            sender: self.report_heard,
        })
    }

    fn send_media(&mut self, len: usize) -> Verdict {
        if !self.config.receives {
            return Verdict::Drop(DropReason::Direction);
        }
        let Some(to) = self.rtp.destination() else { return Verdict::Drop(DropReason::NoDestination) };
        self.packets_out += 1;
        self.bytes_out = self.bytes_out.saturating_add(length(len));
        Verdict::Forward { to, rtcp: false }
    }

    fn convert_media(&mut self) -> Verdict {
        if !self.config.receives {
            return Verdict::Drop(DropReason::Direction);
        }
        match self.rtp.destination() {
            Some(to) => Verdict::Transcode { to },
            None => Verdict::Drop(DropReason::NoDestination),
        }
    }

    /// RTCP flows on hold too (RFC 3264 §5.1).
    fn send_rtcp(&mut self, now: Tick, sender_time: Option<u32>) -> Verdict {
        self.rtcp.stay_beside(&self.rtp);
        let (path, rtcp) = if self.config.rtcp_mux { (&self.rtp, false) } else { (&self.rtcp, true) };
        let Some(to) = path.destination() else { return Verdict::Drop(DropReason::NoDestination) };
        self.rtcp_out += 1;
        if let Some(name) = sender_time {
            self.report_sent = Some((name, now));
        }
        Verdict::Forward { to, rtcp }
    }

    fn watch(&mut self, now: Tick) {
        let Some(limit) = self.config.watch else { return };
        if !self.silent && now.since(self.heard) >= Duration::from_millis(u64::from(limit)) {
            self.silent = true;
            self.tell_silent = true;
        }
    }

    fn statistics(&self) -> SideStatistics {
        SideStatistics {
            packets_in: self.reception.packets,
            bytes_in: self.reception.bytes,
            packets_out: self.packets_out,
            bytes_out: self.bytes_out,
            rtcp_in: self.rtcp_in,
            rtcp_out: self.rtcp_out,
            lost: self.reception.lost(),
            duplicated: self.reception.duplicated,
            reordered: self.reception.reordered,
            rejected: self.rejected,
            invalid: self.invalid,
            jitter_us: self.reception.jitter_us(self.config.clock_rate),
            jitter_max_us: self.reception.jitter_max_us(self.config.clock_rate),
            rtt_us: self.rtt_us,
            reported_lost: self.reported_lost,
            payload_type: self.reception.payload_type,
            latched: self.rtp.locked(),
            digits: self.digits.0,
            reported_jitter_us: self.reported_jitter_us,
            turns: (0, 0),
        }
    }
}

/// A session between two peers.
#[derive(Clone, Debug)]
pub struct Relay {
    a: SideState,
    b: Option<SideState>,
    /// Something was counted since `take_changed`.
    changed: bool,
    /// `poll_event` has something.
    pending: bool,
    /// Packets are added to the streams, so nothing passes untouched any more.
    adds: bool,
    /// What opens and seals the packets of A and B.
    guards: [Option<Box<Guard>>; 2],
}

impl Relay {
    pub fn new(now: Tick, a: SideConfig, b: Option<SideConfig>) -> Relay {
        let guard = |config: SideConfig| config.cipher.map(|cipher| Box::new(Guard::new(cipher, (0, 0))));
        let guards = [guard(a), b.and_then(guard)];
        let b = b.map(|config| SideState::new(now, config));
        Relay { a: SideState::new(now, a), b, changed: false, pending: false, adds: false, guards }
    }

    /// Goes on with a session of the process before this one.
    pub fn resume(now: Tick, a: SideConfig, b: SideConfig, figures: &SessionStatistics) -> Relay {
        let guard = |config: SideConfig, known: &SideStatistics| {
            config.cipher.map(|cipher| Box::new(Guard::new(cipher, known.turns)))
        };
        let guards = [guard(a, &figures.a), guard(b, &figures.b)];
        let b = Some(SideState::resume(now, b, &figures.b));
        let a = SideState::resume(now, a, &figures.a);
        Relay { a, b, changed: false, pending: false, adds: false, guards }
    }

    /// The ports towards one side.
    pub fn lease(&self, side: Side) -> Option<PortLease> {
        match side {
            Side::A => Some(self.a.config.lease),
            Side::B => self.b.map(|b| b.config.lease),
        }
    }

    /// New SDP, or a new peer when the lease is another one. Returns a lease that is no longer used.
    pub fn set_side(&mut self, now: Tick, side: Side, config: SideConfig) -> Option<PortLease> {
        let guard = &mut self.guards[usize::from(side == Side::B)];
        match (guard.as_mut(), config.cipher) {
            (Some(guard), Some(cipher)) => guard.follow(cipher),
            (_, cipher) => *guard = cipher.map(|cipher| Box::new(Guard::new(cipher, (0, 0)))),
        }
        let slot = match (side, &mut self.b) {
            (Side::A, _) => &mut self.a,
            (Side::B, Some(b)) => b,
            (Side::B, empty) => {
                *empty = Some(SideState::new(now, config));
                return None;
            }
        };
        let old = slot.config.lease;
        if old == config.lease {
            slot.configure(now, config);
            return None;
        }
        *slot = SideState::new(now, config);
        Some(old)
    }

    /// Must packets of some side be opened or sealed?
    pub fn is_guarded(&self) -> bool {
        self.guards.iter().any(Option::is_some)
    }

    /// Takes the protection off a packet that came from `side`, in place; what is left of it. `None`: it is not the
    /// peer's, and counted as rejected.
    pub fn open<'a>(&mut self, side: Side, packet: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let index = usize::from(side == Side::B);
        let peer = if side == Side::A { Some(&mut self.a) } else { self.b.as_mut() };
        let (Some(guard), Some(peer)) = (&mut self.guards[index], peer) else { return Some(packet) };
        if !peer.config.rtp {
            return Some(packet);
        }
        match guard.open(packet, is_rtcp(packet)) {
            Ok(len) => packet.get_mut(..len),
            Err(_) => {
                peer.rejected += 1;
                self.changed = true;
                None
            }
        }
    }

    /// Protects the first `len` bytes for `side`; their number then. `None`: they may not be sent.
    pub fn seal(&mut self, side: Side, buffer: &mut [u8], len: usize) -> Option<usize> {
        let index = usize::from(side == Side::B);
        let peer = if side == Side::A { Some(&self.a) } else { self.b.as_ref() };
        match (&mut self.guards[index], peer) {
            (Some(guard), Some(peer)) if peer.config.rtp => {
                let rtcp = is_rtcp(buffer.get(..len)?);
                guard.seal(buffer, len, rtcp).ok()
            }
            _ => Some(len),
        }
    }

    /// A datagram came from `source` to the port towards `side`, to the RTCP port if `rtcp`.
    pub fn handle_packet(
        &mut self,
        now: Tick,
        side: Side,
        rtcp: bool,
        source: SocketAddr,
        packet: &[u8],
    ) -> Verdict {
        let (from, to) = match (side, &mut self.b) {
            (Side::A, b) => (&mut self.a, b.as_mut()),
            (Side::B, Some(b)) => (b, Some(&mut self.a)),
            (Side::B, None) => return Verdict::Drop(DropReason::NoSide),
        };
        self.changed = true;
        let Some(content) = from.content(rtcp, packet) else {
            from.invalid += 1;
            return Verdict::Drop(DropReason::Invalid);
        };
        if !from.admit(now, rtcp, source, content) {
            from.rejected += 1;
            return Verdict::Drop(DropReason::WrongSource);
        }
        let sender_time = match content {
            Content::Rtp(header) => {
                from.take_rtp(now, &header, packet.len());
                None
            }
            Content::Opaque => {
                from.take_opaque(now, packet.len());
                None
            }
            Content::Rtcp => from.take_rtcp(now, packet),
        };
        self.pending |= from.tell_first;
        let Some(to) = to else { return Verdict::Drop(DropReason::NoSide) };
        if from.config.rtp && converts(&from.config, &to.config, self.adds) {
            return match content {
                Content::Rtp(_) if from.config.sends => to.convert_media(),
                Content::Rtp(_) => Verdict::Drop(DropReason::Direction),
                Content::Rtcp | Content::Opaque => Verdict::Drop(DropReason::Terminated),
            };
        }
        match content {
            Content::Rtcp => to.send_rtcp(now, sender_time),
            Content::Rtp(_) | Content::Opaque if !from.config.sends => Verdict::Drop(DropReason::Direction),
            Content::Rtp(_) | Content::Opaque => to.send_media(packet.len()),
        }
    }

    /// What each side's speech is carried by, when it must be converted between them.
    pub fn codings(&self) -> Option<(Coding, Coding)> {
        let b = self.b.as_ref()?;
        converts(&self.a.config, &b.config, self.adds).then_some(())?;
        Some((self.a.config.coding?, b.config.coding?))
    }

    /// How each side carries speech and digits, as far as it was agreed.
    pub fn agreed(&self) -> Option<(Coding, Coding)> {
        Some((self.a.config.coding?, self.b.as_ref()?.config.coding?))
    }

    /// From now on packets are added to the streams of both sides.
    pub fn add_packets(&mut self) {
        self.adds = true;
    }

    /// By which method digits of this side are taken.
    pub fn digits(&mut self, side: Side) -> Option<&mut Lock> {
        self.changed = true;
        match side {
            Side::A => Some(&mut self.a.digits),
            Side::B => self.b.as_mut().map(|b| &mut b.digits),
        }
    }

    /// Where converted speech for `side` goes, when it may be sent now.
    pub fn destination(&self, side: Side) -> Option<SocketAddr> {
        let (to, from) = match side {
            Side::A => (Some(&self.a), self.b.as_ref()),
            Side::B => (self.b.as_ref(), Some(&self.a)),
        };
        let (to, from) = (to?, from?);
        (to.config.receives && from.config.sends).then(|| to.rtp.destination()).flatten()
    }

    /// Our report to the peer on `side`, about the stream we make for it (its name, and its time now) and the one that
    /// comes from it: bytes, their number, where to, and whether from the RTCP port. RFC 3550 §6.4.
    pub fn report(&mut self, now: Tick, side: Side, stream: (u32, u32)) -> Option<OwnCompound> {
        let peer = match side {
            Side::A => &mut self.a,
            Side::B => self.b.as_mut()?,
        };
        let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
        let report = OwnReport {
            ssrc: stream.0,
            now,
            timestamp: stream.1,
            packets: low(peer.packets_out),
            bytes: low(peer.bytes_out.saturating_sub(12 * peer.packets_out)),
            heard: peer.heard(),
        };
        let Verdict::Forward { to, rtcp } = peer.send_rtcp(now, Some(name_of(now))) else { return None };
        let (bytes, length) = report.write();
        Some(OwnCompound { bytes, length, to, rtcp })
    }

    /// A packet that was made for `side` was sent.
    pub fn count_sent(&mut self, side: Side, len: usize) {
        let to = match side {
            Side::A => Some(&mut self.a),
            Side::B => self.b.as_mut(),
        };
        if let Some(to) = to {
            to.packets_out += 1;
            to.bytes_out = to.bytes_out.saturating_add(length(len));
            self.changed = true;
        }
    }

    /// To be called now and then; silence is noticed with the precision of these calls.
    pub fn handle_timeout(&mut self, now: Tick) {
        for side in std::iter::once(&mut self.a).chain(&mut self.b) {
            side.watch(now);
            self.pending |= side.tell_silent;
        }
    }

    pub fn poll_event(&mut self) -> Option<RelayEvent> {
        if !self.pending {
            return None;
        }
        let sides = std::iter::once((Side::A, &mut self.a)).chain(self.b.as_mut().map(|b| (Side::B, b)));
        for (name, side) in sides {
            if std::mem::take(&mut side.tell_first) {
                return Some(RelayEvent::FirstPacket(name));
            }
            if std::mem::take(&mut side.tell_silent) {
                return Some(RelayEvent::Silent(name));
            }
        }
        self.pending = false;
        None
    }

    pub fn statistics(&self, session: MediaSessionId) -> SessionStatistics {
        let mut a = self.a.statistics();
        let mut b = self.b.as_ref().map(SideState::statistics).unwrap_or_default();
        for (side, guard) in [&mut a, &mut b].into_iter().zip(&self.guards) {
            side.turns = guard.as_ref().map_or((0, 0), |guard| guard.turns());
        }
        SessionStatistics { session, a, b }
    }

    /// Has anything been counted since the last call?
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// Packets between the two must be made anew.
fn converts(a: &SideConfig, b: &SideConfig, adds: bool) -> bool {
    matches!((&a.coding, &b.coding), (Some(a), Some(b)) if adds || !a.passes_to(b) || !b.passes_to(a))
}

fn length(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
