//! From which address a stream is taken, and to which it is sent back (`MED-3`, `R-40` to `R-42`).
//!
//! The rules, strictest first:
//! * The locked address is taken. Nobody else is, except by the rules below.
//! * The address in the SDP is taken at once, whoever is locked: an attacker who came first loses the stream with the
//!   right peer's first packet. (Who can forge that address could also reach a peer of fixed address.)
//! * A stranger is learned after [`PROBATION`] consistent RTP packets, and only while nobody is locked, or after
//!   [`LONG_SILENCE`] of the locked address from the same IP, or for [`RELEARN_WINDOW`] after new SDP when the locked
//!   address has stopped. Until then its packets are dropped, and nothing is ever sent to it.

use crate::contract::Latch;
use crate::rtp::RtpHeader;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use vocab::Tick;

/// Packets in a row that make a stranger the peer: 80 ms of a usual stream.
const PROBATION: u8 = 4;
/// Longest pause within a row: above the usual packetisation times and their jitter, below the rounds of one who sprays
/// 20,000 packets a second over the ports of 500 calls (`R-40`).
const PROBATION_GAP: Duration = Duration::from_millis(90);
/// Lost packets forgiven within a row.
const PROBATION_MISSING: u16 = 3;
/// `R-42`: after this silence the peer may come back from another port of its address.
const LONG_SILENCE: Duration = Duration::from_secs(10);
/// After new SDP the peer may move for this long …
const RELEARN_WINDOW: Duration = Duration::from_secs(5);
/// … once its old address has been silent for this long.
const RELEARN_SILENCE: Duration = Duration::from_millis(500);
/// Strangers on probation side by side, so that one who sprays the port does not keep the right peer out.
const CANDIDATES: usize = 4;

/// What makes packets of a stranger belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Rtp {
        ssrc: u32,
        payload_type: u8,
        sequence: u16,
    },
    /// A stream that is not RTP: the address alone.
    Opaque,
}

impl Mark {
    pub fn of(header: &RtpHeader) -> Mark {
        Mark::Rtp { ssrc: header.ssrc, payload_type: header.payload_type, sequence: header.sequence }
    }

    fn continues(self, before: Mark) -> bool {
        match (before, self) {
            (Mark::Opaque, Mark::Opaque) => true,
            (
                Mark::Rtp { ssrc, payload_type, sequence },
                Mark::Rtp { ssrc: now_ssrc, payload_type: now_type, sequence: now_sequence },
            ) => {
                let step = now_sequence.wrapping_sub(sequence);
                ssrc == now_ssrc && payload_type == now_type && (1..=PROBATION_MISSING + 1).contains(&step)
            }
            (Mark::Rtp { .. }, Mark::Opaque) | (Mark::Opaque, Mark::Rtp { .. }) => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    address: SocketAddr,
    heard: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: SocketAddr,
    mark: Mark,
    heard: Tick,
    row: u8,
}

/// One peer's address for one kind of packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// From SDP.
    signalled: Option<SocketAddr>,
    lock: Option<Lock>,
    candidates: [Option<Candidate>; CANDIDATES],
    relearn_until: Tick,
}

impl Path {
    /// Where to send: the learned address, else the signalled one, never anywhere else.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.locked().or(self.signalled)
    }

    pub fn locked(&self) -> Option<SocketAddr> {
        self.lock.map(|lock| lock.address)
    }

    /// New or refreshed SDP.
    pub fn signal(&mut self, now: Tick, remote: Option<SocketAddr>, latch: Latch, relearn: bool) {
        let remote = remote.filter(usable);
        let moved = matches!((self.signalled, remote), (Some(old), Some(new)) if !same(old, new));
        self.signalled = remote;
        self.candidates = Default::default();
        let stays = self.lock.is_some_and(|lock| match latch {
            Latch::Fixed => self.is_signalled(lock.address),
            Latch::Learn => !(relearn && moved) || self.is_signalled(lock.address),
            Latch::LearnFrom(ip) => {
                self.is_signalled(lock.address) || (lock.address.ip() == ip && !(relearn && moved))
            }
        });
        if !stays {
            self.lock = None;
        }
        if relearn {
            self.relearn_until = now + RELEARN_WINDOW;
        }
    }

    /// The address was locked to this one by the process before.
    pub fn resume(&mut self, now: Tick, locked: Option<SocketAddr>) {
        self.lock = locked.map(|address| Lock { address, heard: now });
    }

    /// Is a packet from `source` taken?
    pub fn admit(&mut self, now: Tick, latch: Latch, source: SocketAddr, mark: Mark) -> bool {
        if self.admit_known(now, source) {
            return true;
        }
        let learns = match latch {
            Latch::Fixed => false,
            Latch::Learn => true,
            Latch::LearnFrom(ip) => source.ip() == ip,
        };
        if !learns || !self.may_learn(now, source) || !self.on_probation(now, source, mark) {
            return false;
        }
        self.lock_to(now, source);
        true
    }

    /// The same for RTCP on a port of its own, which has no row of sequence numbers: a stranger is learned when it has
    /// the IP that the media is locked to.
    pub fn admit_beside(&mut self, now: Tick, media: &Path, latch: Latch, source: SocketAddr) -> bool {
        self.stay_beside(media);
        if self.admit_known(now, source) {
            return true;
        }
        let of_the_peer = latch != Latch::Fixed && media.locked().is_some_and(|m| m.ip() == source.ip());
        if !of_the_peer || !self.may_learn(now, source) {
            return false;
        }
        self.lock_to(now, source);
        true
    }

    /// Forgets an address that was learned beside media that has since moved to another IP.
    pub fn stay_beside(&mut self, media: &Path) {
        let ip = media.locked().map(|m| m.ip());
        if self.lock.is_some_and(|l| Some(l.address.ip()) != ip && !self.is_signalled(l.address)) {
            self.lock = None;
        }
    }

    /// The locked address, and the signalled one.
    fn admit_known(&mut self, now: Tick, source: SocketAddr) -> bool {
        if let Some(lock) = self.lock.as_mut().filter(|lock| lock.address == source) {
            lock.heard = now;
            return true;
        }
        let known = self.is_signalled(source);
        if known {
            self.lock_to(now, source);
        }
        known
    }

    fn may_learn(&self, now: Tick, source: SocketAddr) -> bool {
        let Some(lock) = self.lock else { return true };
        let silence = now.since(lock.heard);
        (silence >= LONG_SILENCE && lock.address.ip() == source.ip())
            || (now < self.relearn_until && silence >= RELEARN_SILENCE)
    }

    /// Counts a row of packets; true when it is long enough.
    fn on_probation(&mut self, now: Tick, source: SocketAddr, mark: Mark) -> bool {
        let known = self.candidates.iter().position(|c| c.is_some_and(|c| c.source == source));
        // A newcomer takes a free place or that of the one heard longest ago.
        let oldest = || (0..CANDIDATES).min_by_key(|i| self.candidates[*i].map(|c| c.heard));
        let Some(slot) = known.or_else(oldest).and_then(|i| self.candidates.get_mut(i)) else { return false };
        let row = match slot {
            Some(c)
                if c.source == source && mark.continues(c.mark) && now.since(c.heard) <= PROBATION_GAP =>
            {
                c.row.saturating_add(1)
            }
            _ => 1,
        };
        *slot = Some(Candidate { source, mark, heard: now, row });
        row >= PROBATION
    }

    fn lock_to(&mut self, now: Tick, address: SocketAddr) {
        self.lock = Some(Lock { address, heard: now });
        self.candidates = Default::default();
        self.relearn_until = Tick::default();
    }

    fn is_signalled(&self, address: SocketAddr) -> bool {
        self.signalled.is_some_and(|s| same(s, address))
    }
}

/// Equal in IP and port: SDP knows no scope of a link-local address.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip() == b.ip()
}

/// Media is not sent to "nowhere" (the old form of hold), nor to groups of hosts.
fn usable(address: &SocketAddr) -> bool {
    let broadcast = matches!(address.ip(), IpAddr::V4(ip) if ip.is_broadcast());
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast() && !broadcast
}
