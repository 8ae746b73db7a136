//! Statistics of one received RTP stream: loss with wrap-around (RFC 3550 A.1, A.3) and jitter (A.8).

use crate::rtp::RtpHeader;
use vocab::Tick;

/// RFC 3550 A.1: a gap up to this is loss; beyond it the sender may have started anew.
const MAX_DROPOUT: u16 = 3000;
/// How far back a packet is told late from duplicated: the width of the window.
const WINDOW: u16 = 128;
/// A jump of the transit time beyond this many seconds is a new timestamp base, not jitter.
const MAX_TRANSIT_JUMP_S: u32 = 5;
/// Where extended sequence numbers start, so that packets from before the first one have a number too.
const START: u64 = 1 << 32;

/// An unbroken run of sequence numbers of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    ssrc: u32,
    /// Lowest and highest extended sequence number.
    base: u64,
    max: u64,
    /// Bit n: the packet `max - n` has come.
    seen: u128,
    /// Distinct packets.
    unique: u64,
    /// The number that, should it come next, proves that the sender started anew.
    restart_at: Option<u16>,
}

impl Run {
    fn start(header: &RtpHeader) -> Run {
        let first = START | u64::from(header.sequence);
        Run { ssrc: header.ssrc, base: first, max: first, seen: 1, unique: 1, restart_at: None }
    }

    fn lost(&self) -> u64 {
        (self.max - self.base + 1).saturating_sub(self.unique)
    }
}

/// What a sequence number turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Next,
    Duplicate,
    Late,
    /// Far off: counted only when the next packet continues from it.
    Stray,
}

#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    /// Arrival minus timestamp of the last packet, in timestamp units, and that packet's timestamp.
    last: Option<(u32, u32)>,
    /// In 1/16 of a timestamp unit, as RFC 3550 A.8 keeps it.
    scaled: u32,
    max_scaled: u32,
}

impl Jitter {
    fn resume(jitter_us: u32, max_us: u32, clock_rate: u32) -> Jitter {
        let scaled = |us: u32| {
            let units = u64::from(us) * 16 * u64::from(clock_rate) / 1_000_000;
            u32::try_from(units).unwrap_or(u32::MAX)
        };
        Jitter { last: None, scaled: scaled(jitter_us), max_scaled: scaled(max_us) }
    }
}

/// Figures of what came from one side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reception {
    pub packets: u64,
    pub bytes: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub payload_type: Option<u8>,
    run: Option<Run>,
    /// Lost in runs that are over.
    lost_before: u64,
    jitter: Jitter,
}

impl Reception {
    /// Goes on counting where another process stopped. Its run of sequence numbers is over: what it lost is lost.
    pub fn resume(figures: &crate::SideStatistics, clock_rate: u32) -> Reception {
        Reception {
            packets: figures.packets_in,
            bytes: figures.bytes_in,
            duplicated: figures.duplicated,
            reordered: figures.reordered,
            payload_type: figures.payload_type,
            lost_before: figures.lost,
            jitter: Jitter::resume(figures.jitter_us, figures.jitter_max_us, clock_rate),
            ..Reception::default()
        }
    }

    /// Takes in one accepted packet. `len` is the whole packet's.
    pub fn receive(&mut self, now: Tick, header: &RtpHeader, len: usize, clock_rate: u32) {
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(u64::try_from(len).unwrap_or(0));
        let place = self.place(header);
        match place {
            Place::Next | Place::Stray => {}
            Place::Duplicate => self.duplicated += 1,
            Place::Late => self.reordered += 1,
        }
        if matches!(place, Place::Next | Place::Late) {
            self.jitter.receive(now, header.timestamp, clock_rate);
        }
        // An event's payload is 4 bytes (RFC 4733 §2.3) and 13 is comfort noise: neither is the codec.
        if header.payload_len > 4 && header.payload_type != 13 {
            self.payload_type = Some(header.payload_type);
        }
    }

    /// Sequence numbers that never came.
    pub fn lost(&self) -> u64 {
        self.lost_before.saturating_add(self.run.map_or(0, |run| run.lost()))
    }

    /// For our report on the stream (RFC 3550 A.3): its name, highest number and jitter, and how many were expected.
    pub fn heard(&self) -> Option<(u32, u32, u32, u64)> {
        let run = self.run?;
        let highest = u32::try_from(run.max & 0xffff_ffff).ok()?;
        Some((run.ssrc, highest, self.jitter.scaled / 16, run.max - run.base + 1))
    }

    pub fn jitter_us(&self, clock_rate: u32) -> u32 {
        microseconds(self.jitter.scaled, clock_rate)
    }

    pub fn jitter_max_us(&self, clock_rate: u32) -> u32 {
        microseconds(self.jitter.max_scaled, clock_rate)
    }

    /// A new source, or the first: no loss arises between two sources.
    fn start(&mut self, header: &RtpHeader) {
        self.lost_before = self.lost();
        self.run = Some(Run::start(header));
        self.jitter.last = None;
    }

    fn place(&mut self, header: &RtpHeader) -> Place {
        let Some(run) = self.run.as_mut().filter(|run| run.ssrc == header.ssrc) else {
            self.start(header);
            return Place::Next;
        };
        let ahead = header.sequence.wrapping_sub(low_16(run.max));
        let behind = ahead.wrapping_neg();
        let place = if behind < WINDOW {
            run.take_late(behind)
        } else if ahead < MAX_DROPOUT {
            run.take_next(ahead)
        } else {
            Place::Stray
        };
        match place {
            Place::Stray if run.restart_at == Some(header.sequence) => self.restart(header),
            Place::Stray => run.restart_at = Some(header.sequence.wrapping_add(1)),
            Place::Next | Place::Duplicate | Place::Late => run.restart_at = None,
        }
        place
    }

    /// RFC 3550 A.1: two packets in a row from elsewhere: the sender started anew, and both count.
    fn restart(&mut self, header: &RtpHeader) {
        self.start(header);
        if let Some(run) = &mut self.run {
            run.base -= 1;
            run.unique = 2;
            run.seen = 0b11;
        }
    }
}

impl Run {
    fn take_next(&mut self, ahead: u16) -> Place {
        self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
        self.max += u64::from(ahead);
        self.unique += 1;
        Place::Next
    }

    fn take_late(&mut self, behind: u16) -> Place {
        let bit = 1 << behind;
        if self.seen & bit != 0 {
            return Place::Duplicate;
        }
        self.seen |= bit;
        self.unique += 1;
        self.base = self.base.min(self.max - u64::from(behind));
        Place::Late
    }
}

impl Jitter {
    fn receive(&mut self, now: Tick, timestamp: u32, clock_rate: u32) {
        let arrival = low_32(now.0.wrapping_mul(u64::from(clock_rate)) / 1_000_000);
        let transit = arrival.wrapping_sub(timestamp);
        if let Some((before, stamp)) = self.last {
            // Packets of one event or one picture share a timestamp: their spacing says nothing about the network.
            if stamp == timestamp {
                return;
            }
            let change = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            if change < clock_rate.saturating_mul(MAX_TRANSIT_JUMP_S) {
                let decay = self.scaled.saturating_add(8) >> 4;
                self.scaled = self.scaled.saturating_add(change) - decay.min(self.scaled);
                self.max_scaled = self.max_scaled.max(self.scaled);
            }
        }
        self.last = Some((transit, timestamp));
    }
}

fn microseconds(scaled: u32, clock_rate: u32) -> u32 {
    let per_second = u64::from(scaled) * 1_000_000 / 16;
    u32::try_from(per_second / u64::from(clock_rate.max(1))).unwrap_or(u32::MAX)
}

fn low_16(n: u64) -> u16 {
    u16::try_from(n & 0xffff).unwrap_or(0)
}

fn low_32(n: u64) -> u32 {
    u32::try_from(n & 0xffff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn header(ssrc: u32, sequence: u16, timestamp: u32) -> RtpHeader {
        RtpHeader { marker: false, payload_type: 8, sequence, timestamp, ssrc, payload_len: 160 }
    }

    fn feed(packets: &[(u32, u16)]) -> Reception {
        let mut r = Reception::default();
        for (n, (ssrc, sequence)) in packets.iter().enumerate() {
            let n = u32::try_from(n).unwrap();
            r.receive(Tick(u64::from(n) * 20_000), &header(*ssrc, *sequence, n * 160), 172, 8000);
        }
        r
    }

    #[test]
    fn counts_loss_duplicates_and_order() {
        let one = |sequences: &[u16]| sequences.iter().map(|s| (1, *s)).collect::<Vec<_>>();
        for (name, packets, lost, duplicated, reordered) in [
            ("in order", one(&[1, 2, 3, 4]), 0, 0, 0),
            ("one lost", one(&[1, 2, 4]), 1, 0, 0),
            ("one late", one(&[1, 3, 2, 4]), 0, 0, 1),
            ("one twice", one(&[1, 2, 2, 3]), 0, 1, 0),
            ("late and twice", one(&[1, 3, 2, 2, 4]), 0, 1, 1),
            ("lost does not hide behind a duplicate", one(&[1, 2, 2, 4]), 1, 1, 0),
            ("before the first", one(&[5, 4, 6]), 0, 0, 1),
            ("wrap", one(&[65_534, 65_535, 0, 1]), 0, 0, 0),
            ("lost at the wrap", one(&[65_534, 1]), 2, 0, 0),
            ("late over the wrap", one(&[65_535, 1, 0]), 0, 0, 1),
            ("first is 0, one from before", one(&[0, 65_535, 1]), 0, 0, 1),
            ("a stray packet", one(&[1, 2, 40_000, 3, 4]), 0, 0, 0),
            ("the sender starts anew", one(&[1, 2, 40_000, 40_001, 40_003]), 1, 0, 0),
            ("a new source", vec![(1, 1), (1, 3), (2, 40_000), (2, 40_001)], 1, 0, 0),
            ("a big gap", one(&[1, 2001]), 1999, 0, 0),
        ] {
            let r = feed(&packets);
            assert_eq!((r.lost(), r.duplicated, r.reordered), (lost, duplicated, reordered), "{name}");
            assert_eq!(r.packets, packets.len() as u64, "{name}");
        }
    }

    #[test]
    fn jitter_follows_the_formula() {
        // Every second packet 8 ms late: |D| is 64 units at 8 kHz for each packet, so the filter approaches 64.
        let mut r = Reception::default();
        for n in 0..1000u32 {
            let late = if n % 2 == 1 { 8_000 } else { 0 };
            // The timestamps wrap on the way.
            let timestamp = (u32::MAX - 50 * 160).wrapping_add(n * 160);
            let now = Tick(1_000_000 + u64::from(n) * 20_000 + late);
            r.receive(now, &header(1, u16::try_from(n).unwrap(), timestamp), 172, 8000);
        }
        let jitter = r.jitter_us(8000);
        assert!((7_500..=8_100).contains(&jitter), "{jitter}");
    }

    #[test]
    fn events_and_new_timestamp_bases_are_no_jitter() {
        let mut r = Reception::default();
        let at = |n: u32| Tick(u64::from(n) * 20_000);
        let sequence = |n: u32| u16::try_from(n).unwrap();
        for n in 0..50u32 {
            // 10 to 19 are an event: one timestamp for all. From 30 on the sender uses another base.
            let timestamp = match n {
                10..20 => 10 * 160,
                30.. => 900_000_000 + n * 160,
                _ => n * 160,
            };
            r.receive(at(n), &header(1, sequence(n), timestamp), 172, 8000);
        }
        assert_eq!(r.jitter_max_us(8000), 0);
    }

    #[test]
    fn events_and_noise_are_not_the_codec() {
        let mut r = Reception::default();
        for (payload_type, payload_len) in [(8, 160), (101, 4), (13, 10), (0, 0)] {
            let h = RtpHeader { payload_type, payload_len, ..header(1, 1, 1) };
            r.receive(Tick(0), &h, 172, 8000);
        }
        assert_eq!(r.payload_type, Some(8));
    }

    proptest! {
        /// A sender numbers packets from anywhere; the network loses, repeats and shuffles them.
        #[test]
        fn agrees_with_a_reference(
            start in any::<u16>(),
            fates in prop::collection::vec((0u8..100, 0usize..20), 1..2000),
        ) {
            let mut arrivals: Vec<(usize, u16)> = Vec::new();
            for (n, (fate, delay)) in fates.iter().enumerate() {
                let sequence = start.wrapping_add(u16::try_from(n).unwrap());
                let copies = match fate { 0..10 => 0, 10..15 => 2, _ => 1 };
                let late = if *fate >= 90 { *delay } else { 0 };
                arrivals.extend(std::iter::repeat_n((n + late, sequence), copies));
            }
            arrivals.sort_by_key(|(at, _)| *at);
            let offsets: Vec<u64> =
                arrivals.iter().map(|(_, s)| u64::from(s.wrapping_sub(start))).collect();
            let r = feed(&arrivals.iter().map(|(_, s)| (1, *s)).collect::<Vec<_>>());

            let distinct: BTreeSet<u64> = offsets.iter().copied().collect();
            let span = distinct.last().zip(distinct.first()).map_or(0, |(l, f)| l - f + 1);
            prop_assert_eq!(r.packets, offsets.len() as u64);
            prop_assert_eq!(r.lost(), span - distinct.len() as u64);
            prop_assert_eq!(r.duplicated, (offsets.len() - distinct.len()) as u64);
            let (mut highest, mut seen, mut late) = (None, BTreeSet::new(), 0);
            for o in &offsets {
                late += u64::from(seen.insert(*o) && highest.is_some_and(|h| *o < h));
                highest = highest.max(Some(*o));
            }
            prop_assert_eq!(r.reordered, late);
        }

        #[test]
        fn never_panics(
            packets in prop::collection::vec((0u32..3, any::<u16>(), any::<u32>(), any::<u64>()), 0..300),
            clock_rate in any::<u32>(),
        ) {
            let mut r = Reception::default();
            for (ssrc, sequence, timestamp, now) in packets {
                r.receive(Tick(now), &header(ssrc, sequence, timestamp), 172, clock_rate);
                r.jitter_us(clock_rate);
            }
            prop_assert!(r.lost() <= r.packets * u64::from(MAX_DROPOUT));
        }
    }
}
