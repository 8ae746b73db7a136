//! The clocked jitter buffer (`MED-13`): each packet waits until its time has come, counted from the packets that
//! travelled fastest. What comes later than the buffer is deep is lost.
//!
//! The stream that goes out is numbered by its samples, so the depth may change at any time without a sample being
//! added or taken away: packets merely leave a little earlier or later.

use super::{JUMP, ahead, ahead16};
use crate::contract::JitterRules;
use crate::rtp::RtpHeader;
use std::collections::VecDeque;
use vocab::Tick;

/// Longest payload that is kept: 60 ms of G.711.
const LONGEST: usize = 480;
/// Packets kept: 500 ms of 10 ms.
const PACKETS: usize = 50;
/// Packets after which the fastest way is measured anew: clocks drift, ways change.
const EPOCH: u32 = 250;
/// Ways that differ by more (5 s) are another clock.
const WAY_MOST: u32 = 40_000;
/// Samples in a ms.
const MS: i32 = 8;

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub header: RtpHeader,
    payload: [u8; LONGEST],
}

impl Waiting {
    pub fn payload(&self) -> &[u8] {
        self.payload.get(..self.header.payload_len).unwrap_or_default()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Playout {
    rules: JitterRules,
    waiting: VecDeque<Waiting>,
    ssrc: Option<u32>,
    /// Arrival less timestamp of the first packet: what the ways of all others are compared with.
    origin: u32,
    /// The fastest way of this epoch and of the one before.
    fastest: (i32, i32),
    epoch: u32,
    depth: i32,
    /// Sequence number of the last packet that was given out.
    last: Option<u16>,
}

impl Playout {
    pub fn new(rules: JitterRules) -> Playout {
        Playout {
            rules,
            waiting: VecDeque::with_capacity(PACKETS),
            ssrc: None,
            origin: 0,
            fastest: (0, 0),
            epoch: 0,
            depth: i32::from(rules.start_ms) * MS,
            last: None,
        }
    }

    /// Takes a packet in. A stream that begins anew throws the old one's rest away. Packets of an event all bear the
    /// time of its beginning (RFC 4733 §2.2), so they are not `timed` and say nothing about their way.
    pub fn insert(&mut self, now: Tick, header: &RtpHeader, payload: &[u8], timed: bool) {
        let transit = clock(now).wrapping_sub(header.timestamp);
        let way = ahead(transit, self.origin);
        let step = self.last.map_or(1, |last| ahead16(header.sequence, last));
        let other = self.ssrc != Some(header.ssrc) || step.unsigned_abs() >= JUMP;
        if other || (timed && way.unsigned_abs() > WAY_MOST) {
            self.waiting.clear();
            (self.ssrc, self.origin, self.last) = (Some(header.ssrc), transit, None);
            (self.fastest, self.epoch) = ((0, 0), 0);
            return self.keep(header, payload);
        }
        if timed {
            self.measure(way);
        }
        if step > 0 {
            self.keep(header, payload);
        }
    }

    fn measure(&mut self, way: i32) {
        self.epoch += 1;
        if self.epoch == EPOCH {
            self.epoch = 0;
            self.fastest = (way, self.fastest.0);
        }
        self.fastest.0 = self.fastest.0.min(way);
        if !self.rules.adaptive {
            return;
        }
        // As deep as the slowest packet was behind the fastest; then slowly less deep.
        let behind = way - self.fastest.0.min(self.fastest.1) + 10 * MS;
        let (least, most) = (i32::from(self.rules.min_ms) * MS, i32::from(self.rules.max_ms) * MS);
        self.depth = behind.max(self.depth - 1).min(most).max(least);
    }

    #[cfg(test)]
    pub fn depth(&self) -> i32 {
        self.depth
    }

    fn keep(&mut self, header: &RtpHeader, payload: &[u8]) {
        if payload.len() > LONGEST || self.waiting.len() == PACKETS {
            return;
        }
        let distance = |w: &Waiting| ahead16(header.sequence, w.header.sequence);
        let place = self.waiting.iter().rposition(|w| distance(w) >= 0).map_or(0, |before| before + 1);
        if place.checked_sub(1).and_then(|p| self.waiting.get(p)).is_some_and(|w| distance(w) == 0) {
            return;
        }
        let mut waiting = Waiting { header: *header, payload: [0; LONGEST] };
        if let Some(room) = waiting.payload.get_mut(..payload.len()) {
            room.copy_from_slice(payload);
        }
        self.waiting.insert(place, waiting);
    }

    /// The next packet whose time has come.
    pub fn take(&mut self, now: Tick) -> Option<Waiting> {
        let due = self.waiting.front().is_some_and(|w| self.is_due(now, w.header.timestamp));
        let next = if due { self.waiting.pop_front() } else { None }?;
        self.last = Some(next.header.sequence);
        Some(next)
    }

    /// Should what has this timestamp be heard by now?
    pub fn is_due(&self, now: Tick, timestamp: u32) -> bool {
        let way = ahead(clock(now).wrapping_sub(timestamp), self.origin);
        way >= self.fastest.0.min(self.fastest.1) + self.depth
    }
}

/// Samples of 8000 a second.
fn clock(now: Tick) -> u32 {
    u32::try_from((now.0 / 125) & 0xffff_ffff).unwrap_or(0)
}
