//! Something to hear: a voice-like sound in G.711, and the RTP stream that carries it.

use std::f64::consts::TAU;

/// 20 ms at 8 kHz.
pub const FRAME: usize = 160;
/// The sound repeats after so many frames (4 s).
const FRAMES: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// µ-law, payload type 0.
    Mu,
    /// A-law, payload type 8.
    A,
}

impl Law {
    pub fn payload_type(self) -> u8 {
        match self {
            Law::Mu => 0,
            Law::A => 8,
        }
    }
}

/// One speaker's loop of sound, ready to send.
#[derive(Clone, Debug)]
pub struct Voice {
    mu: Vec<u8>,
    a: Vec<u8>,
}

impl Voice {
    /// A speaker with this pitch in Hz: harmonics under two formants, in syllables and pauses.
    pub fn new(pitch: f64) -> Voice {
        let samples: Vec<i16> = (0..FRAMES * FRAME).map(|n| sample(n, pitch)).collect();
        Voice {
            mu: samples.iter().map(|s| mu_law(*s)).collect(),
            a: samples.iter().map(|s| a_law(*s)).collect(),
        }
    }

    pub fn frame(&self, law: Law, index: u32) -> &[u8] {
        let bytes = if law == Law::Mu { &self.mu } else { &self.a };
        let start = usize::try_from(index).unwrap_or(0) % FRAMES * FRAME;
        bytes.get(start..start + FRAME).unwrap_or_default()
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn sample(n: usize, pitch: f64) -> i16 {
    let t = n as f64 / 8000.0;
    // Three syllables a second, and one second of silence in four.
    let syllable = (TAU * 1.5 * t).sin().abs().powf(1.5);
    let speaking = if t % 4.0 < 3.0 { 1.0 } else { 0.0 };
    let vowel = 500.0 + 250.0 * (TAU * 0.7 * t).sin();
    let sound: f64 = (1..12)
        .map(|k| {
            let f = pitch * f64::from(k);
            let formant = |centre: f64, width: f64| (-((f - centre) / width).powi(2)).exp();
            (TAU * f * t).sin() * (formant(vowel, 150.0) + 0.5 * formant(1500.0, 250.0))
        })
        .sum();
    (sound * syllable * speaking * 5000.0).clamp(-32_000.0, 32_000.0) as i16
}

/// G.711 µ-law of a linear sample (ITU-T G.711 table 2a, from the segment description).
fn mu_law(sample: i16) -> u8 {
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let segment = (7..15).rev().find(|bit| magnitude >> bit != 0).unwrap_or(7) - 7;
    let step = (magnitude >> (segment + 3)) & 15;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !u8::try_from(sign | segment << 4 | step).unwrap_or(0)
}

/// G.711 A-law of a linear sample (table 1a): 13 bits, even bits inverted.
fn a_law(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let magnitude = if sample >= 0 { i32::from(sample) >> 4 } else { (-1 - i32::from(sample)) >> 4 };
    let segment = (4..11).rev().find(|bit| magnitude >> bit != 0).map_or(0, |bit| bit - 3);
    let step = if segment < 2 { magnitude } else { magnitude >> (segment - 1) } & 15;
    (u8::try_from(sign | segment << 4 | step).unwrap_or(0)) ^ 0x55
}

/// One stream of packets: sequence and timestamp as RFC 3550 §5.1 has them.
#[derive(Clone, Debug)]
pub struct Stream {
    pub law: Law,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    sent: u32,
}

impl Stream {
    /// Random beginnings, so that streams cannot be mistaken for each other.
    pub fn new(law: Law, random: u64) -> Stream {
        let low = |n: u64| u32::try_from(n & u64::from(u32::MAX)).unwrap_or(0);
        let sequence = u16::try_from(random >> 48 & 0x7fff).unwrap_or(0);
        Stream { law, ssrc: low(random), sequence, timestamp: low(random >> 20), sent: 0 }
    }

    /// The next packet; called every 20 ms.
    pub fn packet(&mut self, voice: &Voice) -> Vec<u8> {
        let marker = if self.sent == 0 { 0x80 } else { 0 };
        let mut packet = Vec::with_capacity(12 + FRAME);
        packet.extend([0x80, marker | self.law.payload_type()]);
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(voice.frame(self.law, self.sent));
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        self.sent = self.sent.wrapping_add(1);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::rtp::RtpHeader;

    #[test]
    fn companding_matches_known_points() {
        // Silence and the ends of the range, both signs.
        for (sample, mu, a) in [
            (0, 0xff, 0xd5),
            (-1, 0x7f, 0x55),
            (32_767, 0x80, 0xaa),
            (-32_768, 0x00, 0x2a),
            (1000, 0xce, 0xfa),
        ] {
            assert_eq!((mu_law(sample), a_law(sample)), (mu, a), "{sample}");
        }
    }

    #[test]
    fn packets_follow_each_other() {
        let voice = Voice::new(120.0);
        for law in [Law::Mu, Law::A] {
            let mut stream = Stream::new(law, 0xffff_0123_4567_89ab);
            let mut last = RtpHeader::parse(&stream.packet(&voice)).unwrap();
            for _ in 0..70_000 {
                let packet = stream.packet(&voice);
                assert_eq!(packet.len(), 172);
                let header = RtpHeader::parse(&packet).unwrap();
                assert_eq!(header.sequence, last.sequence.wrapping_add(1));
                assert_eq!(header.timestamp, last.timestamp.wrapping_add(160));
                assert_eq!((header.ssrc, header.payload_type), (last.ssrc, law.payload_type()));
                last = header;
            }
        }
        let loud = |f: u32| voice.frame(Law::A, f).iter().any(|b| (b ^ 0x55) & 0x70 >= 0x50);
        assert!((0..FRAMES).any(|f| loud(u32::try_from(f).unwrap())));
    }
}
