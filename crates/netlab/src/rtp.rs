//! RTP packets with numbers that can be followed, and a listener that keeps account of them.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A packet of 20 ms of A-law (RFC 3550 §5.1).
pub fn packet(sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, 8];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([0xd5; 160]);
    bytes
}

/// Sends packets from a new port of this address, so many a second as the machine manages up to `rate`; says how many.
pub fn flood(from: Ipv4Addr, to: SocketAddr, rate: u32, duration: Duration) -> io::Result<u64> {
    let socket = UdpSocket::bind((from, 0))?;
    let (start, mut sent) = (Instant::now(), 0u64);
    while start.elapsed() < duration {
        let due = u64::from(rate) * u64::try_from(start.elapsed().as_millis()).unwrap_or(0) / 1000;
        for n in sent..due {
            let sequence = u16::try_from(n % 65_536).unwrap_or(0);
            // What the other side's buffer does not take is lost, which is not our concern.
            let _ = socket.send_to(&packet(sequence, u32::from(sequence) * 160, 99), to);
        }
        sent = due.max(sent);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(sent)
}

/// What one receiver of a stream sees.
#[derive(Debug)]
pub struct Listener {
    clock_rate: u32,
    first: Option<u64>,
    highest: u64,
    seen: HashSet<u64>,
    last: Option<(Instant, u32)>,
    jitter: f64,
    /// Every deviation from the pace of the sender, microseconds.
    pub deviations_us: Vec<u64>,
}

impl Listener {
    pub fn new(clock_rate: u32) -> Listener {
        Listener {
            clock_rate,
            first: None,
            highest: 0,
            seen: HashSet::new(),
            last: None,
            jitter: 0.0,
            deviations_us: Vec::new(),
        }
    }

    pub fn hear(&mut self, now: Instant, bytes: &[u8]) {
        let (Some([0x80, _, s1, s2, t1, t2, t3, t4]), true) = (bytes.first_chunk::<8>(), bytes.len() >= 12)
        else {
            return;
        };
        let sequence = u64::from(u16::from_be_bytes([*s1, *s2]));
        // The number nearest to the highest one, over wraps.
        let base = self.highest & !0xffff;
        let near = [base.saturating_sub(0x1_0000), base, base + 0x1_0000];
        let extended = near.into_iter().map(|b| b + sequence).min_by_key(|n| n.abs_diff(self.highest));
        let extended = if self.first.is_none() { sequence } else { extended.unwrap_or(sequence) };
        self.first = Some(self.first.map_or(extended, |f| f.min(extended)));
        self.highest = self.highest.max(extended);
        self.seen.insert(extended);
        self.take_time(now, u32::from_be_bytes([*t1, *t2, *t3, *t4]));
    }

    fn take_time(&mut self, now: Instant, timestamp: u32) {
        if let Some((then, before)) = self.last {
            let passed = now.duration_since(then).as_secs_f64();
            let wanted = f64::from(timestamp.wrapping_sub(before).cast_signed()) / f64::from(self.clock_rate);
            let deviation = (passed - wanted).abs();
            self.jitter += (deviation - self.jitter) / 16.0;
            self.deviations_us.push(micros(deviation));
        }
        self.last = Some((now, timestamp));
    }

    pub fn received(&self) -> u64 {
        self.seen.len() as u64
    }

    pub fn lost(&self) -> u64 {
        self.first.map_or(0, |first| self.highest - first + 1 - self.received())
    }

    pub fn jitter_us(&self) -> u32 {
        u32::try_from(micros(self.jitter)).unwrap_or(u32::MAX)
    }
}

// A second is 10^6 microseconds; negative values do not come here.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_over_the_wrap_and_jitter_by_the_formula() {
        let mut listener = Listener::new(8000);
        let start = Instant::now();
        for n in 0..2000u32 {
            let sequence = u16::try_from((65_000 + n) % 65_536).unwrap();
            if n % 10 != 3 {
                // Every second packet is 4 ms late.
                let late = if n % 2 == 0 { 4 } else { 0 };
                let at = start + Duration::from_millis(u64::from(n * 20 + late));
                listener.hear(at, &packet(sequence, n * 160, 1));
            }
        }
        assert_eq!((listener.received(), listener.lost()), (1800, 200));
        assert!((3_000..=4_100).contains(&listener.jitter_us()), "{}", listener.jitter_us());
    }
}
