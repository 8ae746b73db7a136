use super::*;

mod digits;
mod jitter;

use crate::digits::DigitRules;
use codec::{Encoder, Kind};

fn coding(codec: Kind, packet_ms: u8) -> Coding {
    Coding { packet_ms, events: Some(101), ..Coding::new(codec) }
}

fn inband(coding: Coding) -> Coding {
    let digits = DigitRules { send: Method::Inband, ..DigitRules::EVENTS };
    Coding { events: None, digits, ..coding }
}

/// A sender's packet.
fn packet(coding: &Coding, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, coding.payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend([1, 2, 3, 4]);
    bytes.extend_from_slice(payload);
    bytes
}

#[expect(clippy::cast_possible_truncation)]
fn tone(from: u32, count: usize) -> Vec<i16> {
    (0..count).map(|n| ((f64::from(from) + n as f64) * 0.35).sin() * 8000.0).map(|s| s as i16).collect()
}

/// A stream of a steady tone in packets of a coding.
fn stream(coding: &Coding, packets: u16) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(coding.codec.unwrap());
    let frames = u32::from(coding.packet_ms / 10);
    (0..packets)
        .map(|n| {
            let at = 5000 + u32::from(n) * frames * 80;
            let pcm = tone(at, usize::from(coding.packet_ms) * 8);
            let mut payload = vec![0; 480];
            let mut length = 0;
            for frame in pcm.as_chunks::<FRAME>().0 {
                length += encoder.encode(frame, &mut payload[length..]);
            }
            packet(coding, 65_530u16.wrapping_add(n), at, &payload[..length])
        })
        .collect()
}

struct World {
    transcoder: Transcoder,
    now: Tick,
    out: Vec<Vec<u8>>,
}

impl World {
    fn new(from: Coding, to: Coding) -> World {
        World { transcoder: Transcoder::new(from, to), now: Tick::default(), out: Vec::new() }
    }

    fn hear(&mut self, packet: &[u8]) {
        let out = &mut self.out;
        self.transcoder.handle_packet(self.now, packet, &mut |p| out.push(p.to_vec()));
    }

    fn wait(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.now = self.now + TICK;
            let out = &mut self.out;
            self.transcoder.handle_timeout(self.now, &mut |p| out.push(p.to_vec()));
        }
    }

    fn headers(&self) -> Vec<RtpHeader> {
        self.out.iter().map(|p| RtpHeader::parse(p).unwrap()).collect()
    }

    /// What a receiver hears of it.
    fn heard(&self, coding: &Coding) -> Vec<i16> {
        let mut decoder = Decoder::new(coding.codec.unwrap());
        let mut pcm = Vec::new();
        for p in &self.out {
            let header = RtpHeader::parse(p).unwrap();
            if header.payload_type == coding.payload_type {
                decoder.decode(payload(&header, p).unwrap(), &mut |s| pcm.extend_from_slice(s));
            }
        }
        pcm
    }
}

fn power(pcm: &[i16]) -> f64 {
    pcm.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / pcm.len().max(1) as f64
}

/// How much of the power is in the tone that was sent, and its loudness relative to what was sent.
fn purity(pcm: &[i16]) -> (f64, f64) {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &s) in pcm.iter().enumerate() {
        re += f64::from(s) * (n as f64 * 0.35).cos();
        im += f64::from(s) * (n as f64 * 0.35).sin();
    }
    let count = pcm.len() as f64;
    ((re * re + im * im) * 2.0 / (count * count) / power(pcm), power(pcm).sqrt() / (8000.0 / 2f64.sqrt()))
}

/// Every pair of codecs and packet lengths: the tone comes out, numbered and timed as it should be.
#[test]
fn a_tone_goes_in_and_a_tone_comes_out() {
    for from in Kind::ALL.map(|k| coding(k, 20)) {
        for to in Kind::ALL.into_iter().flat_map(|k| [10, 20, 30, 60].map(|ms| coding(k, ms))) {
            let name = format!("{:?} to {:?} of {} ms", from.codec, to.codec, to.packet_ms);
            let mut world = World::new(from, to);
            for packet in stream(&from, 60) {
                world.hear(&packet);
                world.wait(20);
            }
            let headers = world.headers();
            assert_eq!(headers.len(), 1200 / usize::from(to.packet_ms), "{name}");
            assert!(headers[0].marker && headers[1..].iter().all(|h| !h.marker), "{name}");
            assert_eq!(headers[0].timestamp, 5000, "{name}");
            for pair in headers.windows(2) {
                assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "{name}");
                assert_eq!(pair[1].timestamp, pair[0].timestamp + 8 * u32::from(to.packet_ms), "{name}");
                assert_eq!((pair[1].ssrc, pair[1].payload_type), (pair[0].ssrc, to.payload_type), "{name}");
            }
            assert_eq!(headers[0].ssrc == 0x0102_0304, from.carries_like(&to), "{name}");
            let (purity, loudness) = purity(&world.heard(&to)[2000..]);
            assert!(purity > 0.9 && (0.8..1.2).contains(&loudness), "{name}: {purity} {loudness}");
        }
    }
}

#[test]
fn order_is_mended_and_loss_concealed() {
    let (from, to) = (coding(Kind::Pcma, 20), coding(Kind::Pcmu, 20));
    let sent = stream(&from, 50);
    let play = |order: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut packets = sent.clone();
        order(&mut packets);
        let mut world = World::new(from, to);
        for packet in &packets {
            world.hear(packet);
            world.wait(20);
        }
        world.wait(100);
        world
    };
    let straight = play(&|_| ());
    for (name, world) in [
        ("swapped", play(&|p| p.swap(10, 11))),
        ("twice", play(&|p| p.insert(11, p[10].clone()))),
        (
            "swapped and twice",
            play(&|p| {
                p.swap(20, 21);
                p.insert(23, p[20].clone());
            }),
        ),
    ] {
        assert_eq!(world.out, straight.out, "{name}");
    }
    for lost in [1..2usize, 3..4, 20..23, 40..41] {
        let world = play(&|p| drop(p.drain(lost.clone())));
        assert_eq!(world.headers().len(), 50, "{lost:?}: as much time as was sent");
        let pcm = world.heard(&to);
        let hole = &pcm[lost.start * 160..lost.start * 160 + 160];
        assert!(power(hole) > power(&pcm) / 4.0, "{lost:?}: no hole is heard");
    }
    let gone = play(&|p| drop(p.drain(20..45)));
    let headers = gone.headers();
    assert!(headers.len() < 50 && headers.last().map(|h| h.timestamp) == Some(5000 + 49 * 160));
}

#[test]
fn a_new_stream_goes_on_after_the_old_one() {
    let (from, to) = (coding(Kind::Pcma, 20), coding(Kind::G729, 20));
    let mut world = World::new(from, to);
    let packets = stream(&from, 5);
    packets.iter().for_each(|p| world.hear(p));
    world.wait(400);
    for p in &packets {
        let mut other = p.clone();
        other[8] = 99;
        other[4] = 77;
        world.hear(&other);
    }
    let headers = world.headers();
    assert_eq!(headers.len(), 10);
    assert_eq!((headers[5].ssrc, headers[5].marker), (headers[0].ssrc, true));
    assert_eq!(headers[5].timestamp, headers[4].timestamp + 160 + 3200);
    assert_eq!(headers[5].sequence, headers[4].sequence.wrapping_add(1));
}

#[test]
fn events_pass_with_our_numbers() {
    let (from, mut to) = (coding(Kind::Pcma, 20), coding(Kind::G729, 20));
    to.events = Some(97);
    let mut world = World::new(from, to);
    let audio = stream(&from, 2);
    audio.iter().for_each(|p| world.hear(p));
    let event = Coding { payload_type: 101, ..from };
    let mut next = 65_532u16;
    for (duration, end) in [(160u16, 0), (320, 0), (480, 0x80), (480, 0x80), (480, 0x80)] {
        let [high, low] = duration.to_be_bytes();
        world.hear(&packet(&event, next, 5320, &[5, end | 10, high, low]));
        next = next.wrapping_add(1);
    }
    world.hear(&packet(&from, next, 5320 + 800, &[0xd5; 160]));
    let headers = world.headers();
    let events: Vec<_> = headers.iter().filter(|h| h.payload_type == 97).collect();
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|h| h.timestamp == 5320) && events[0].marker && !events[1].marker);
    assert_eq!(world.out[4][12..], [5, 0x80 | 10, 1, 0xe0], "the event itself is untouched");
    assert!(headers.windows(2).all(|p| p[1].sequence == p[0].sequence.wrapping_add(1)));
    assert_eq!(headers.last().map(|h| (h.timestamp, h.marker)), Some((6120, true)));
}

#[test]
fn events_become_tones_where_there_are_none() {
    let (from, to) = (coding(Kind::G729, 20), inband(coding(Kind::Pcmu, 20)));
    let mut world = World::new(from, to);
    let event = Coding { payload_type: 101, ..from };
    let mut durations: Vec<(u16, u8)> = (1..=5).map(|n| (n * 160, 0)).collect();
    durations.extend([(800, 0x80); 3]);
    for (n, (duration, end)) in (0..).zip(durations) {
        let [high, low] = duration.to_be_bytes();
        world.hear(&packet(&event, n, 5000, &[1, end | 10, high, low]));
    }
    let pcm = world.heard(&to);
    assert_eq!(pcm.len(), 800, "once, and as long as it was");
    assert!(power(&pcm).sqrt() > 5000.0);
    // A wild duration does not fill the line.
    world.hear(&packet(&event, 8, 9000, &[2, 10, 0xff, 0xff]));
    assert!(world.heard(&to).len() <= 1600);
}

#[test]
fn silence_that_is_described_is_heard_in_time() {
    let to = coding(Kind::Pcma, 20);
    let g729 = coding(Kind::G729, 20);
    let mut world = World::new(g729, to);
    let sid = [0b0000_1100, 0b0001_1110];
    world.hear(&packet(&g729, 1, 1000, &[[0x55; 10].as_slice(), &sid].concat()));
    world.wait(400);
    let frames = world.headers().len();
    assert!((19..=21).contains(&frames), "a packet each 20 ms: {frames}");
    world.hear(&packet(&g729, 2, 1000 + 3360, &[0x55; 20]));
    let headers = world.headers();
    assert!(headers.windows(2).all(|p| p[1].timestamp == p[0].timestamp + 160));

    let pcmu = coding(Kind::Pcmu, 20);
    let mut world = World::new(pcmu, to);
    let mut cn = packet(&pcmu, 1, 1000, &[40]);
    cn[1] = 13;
    world.hear(&cn);
    world.wait(200);
    let level = 20.0 * (power(&world.heard(&to)).sqrt() / 32768.0).log10();
    assert!((-43.0..-37.0).contains(&level), "{level} dB");
}

#[test]
fn gain_is_heard() {
    let (from, mut to) = (coding(Kind::Pcma, 20), coding(Kind::Pcma, 30));
    to.gain_db = 6;
    let mut world = World::new(from, to);
    stream(&from, 30).iter().for_each(|p| world.hear(p));
    let (_, loudness) = purity(&world.heard(&to)[800..]);
    assert!((1.9..2.1).contains(&loudness), "{loudness}");
}

proptest::proptest! {
    /// `R-44`: whatever comes, nothing panics and what goes out is bounded by what came in.
    #[test]
    fn anything_may_come(
        from in 0usize..4,
        to in 0usize..4,
        packets in proptest::collection::vec(
            (0u16..12, 0u32..4000, 0u8..5, proptest::collection::vec(0u8.., 0..300)),
            1..60,
        ),
    ) {
        let (from, to) = (coding(Kind::ALL[from], 20), coding(Kind::ALL[to], 30));
        let mut world = World::new(from, to);
        for (sequence, timestamp, kind, bytes) in packets {
            let payload_type = [from.payload_type, 101, 13, 77, from.payload_type][usize::from(kind)];
            let mut p = packet(&Coding { payload_type, ..from }, sequence, timestamp, &bytes);
            if kind == 4 {
                p[0] = bytes.first().copied().unwrap_or(0x80);
            }
            let before = world.out.len();
            world.hear(&p);
            proptest::prop_assert!(world.out.len() - before < 400);
            world.wait(10);
        }
        let headers = world.headers();
        proptest::prop_assert!(headers.windows(2).all(|p| p[1].sequence == p[0].sequence.wrapping_add(1)));
    }
}
