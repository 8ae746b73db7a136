//! The clocked buffer: what arrives unevenly leaves evenly.

use super::*;
use crate::contract::JitterRules;

const RULES: JitterRules = JitterRules { adaptive: true, min_ms: 20, max_ms: 200, start_ms: 60 };

struct Run {
    world: World,
    /// When each packet left, ms.
    left: Vec<u64>,
}

/// Packets of 20 ms, each as much later as `delay` says; `None`: lost.
fn run(rules: JitterRules, to: Kind, packets: u16, delay: impl Fn(u64) -> Option<u64>) -> Run {
    let from = Coding { jitter: Some(rules), ..coding(Kind::Pcma, 20) };
    let mut arrivals: Vec<(u64, Vec<u8>)> = (0u64..)
        .zip(stream(&from, packets))
        .filter_map(|(n, packet)| Some((1000 + n * 20 + delay(n)?, packet)))
        .collect();
    arrivals.sort_by_key(|(at, _)| *at);
    let mut run = Run { world: World::new(from, coding(to, 20)), left: Vec::new() };
    let end = 1000 + u64::from(packets) * 20 + 400;
    let mut next = arrivals.into_iter().peekable();
    for ms in 1000..end {
        run.world.now = Tick(ms * 1000);
        while let Some((_, packet)) = next.next_if(|(at, _)| *at <= ms) {
            run.world.hear(&packet);
        }
        if ms % 10 == 0 {
            let out = &mut run.world.out;
            run.world.transcoder.handle_timeout(run.world.now, &mut |p| out.push(p.to_vec()));
        }
        run.left.resize(run.world.out.len(), ms);
    }
    run
}

fn uneven(n: u64, most: u64) -> u64 {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % (most + 1)
}

#[test]
fn what_comes_unevenly_leaves_evenly() {
    for to in [Kind::Pcmu, Kind::G729, Kind::G722] {
        let run = run(RULES, to, 150, |n| Some(uneven(n, 45)));
        let gaps: Vec<u64> = run.left.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(gaps[20..140].iter().all(|gap| (10..=30).contains(gap)), "{to:?}: {gaps:?}");
        let headers = run.world.headers();
        assert!(headers.windows(2).all(|p| p[1].timestamp == p[0].timestamp + 160), "{to:?}");
        let heard = run.world.heard(&coding(to, 20));
        let (purity, loudness) = purity(&heard[4000..22_000]);
        assert!(purity > 0.9 && (0.8..1.2).contains(&loudness), "{to:?}: {purity} {loudness}");
    }
}

#[test]
fn loss_and_jitter_are_bridged_in_time() {
    let run = run(RULES, Kind::Pcmu, 200, |n| (n % 20 != 7).then(|| uneven(n, 30)));
    let headers = run.world.headers();
    assert!(headers.windows(2).all(|p| p[1].timestamp == p[0].timestamp + 160));
    let heard = run.world.heard(&coding(Kind::Pcmu, 20));
    assert!((32_000..=32_000 + 960).contains(&heard.len()), "{}", heard.len());
    let (purity, loudness) = purity(&heard[4000..30_000]);
    assert!(purity > 0.9 && (0.85..1.15).contains(&loudness), "{purity} {loudness}");
}

/// The depth follows the network, within its bounds; a fixed one does not.
#[test]
fn depth() {
    let wait = |rules: JitterRules, most: u64| {
        let run = run(rules, Kind::Pcmu, 400, |n| Some(uneven(n, most)));
        // Ready to leave when it has come at the latest; what is more is the buffer's.
        run.left[390] - (1000 + 390 * 20)
    };
    let calm = wait(RULES, 0);
    assert!((20..=50).contains(&calm), "{calm} ms without jitter");
    let rough = wait(RULES, 100);
    assert!((90..=160).contains(&rough), "{rough} ms with 100 ms of jitter");
    let fixed = JitterRules { adaptive: false, ..RULES };
    assert!((60..=90).contains(&wait(fixed, 0)));
    let bounded = wait(JitterRules { max_ms: 80, ..RULES }, 190);
    assert!(bounded <= 120, "{bounded} ms with at most 80");
}

/// Bursts after a stall: the stall is bridged, and nothing is said twice.
#[test]
fn a_stall() {
    let run = run(RULES, Kind::Pcmu, 200, |n| Some(if (100..110).contains(&n) { (110 - n) * 20 } else { 0 }));
    let heard = run.world.heard(&coding(Kind::Pcmu, 20));
    assert!((31_000..=33_600).contains(&heard.len()), "{}", heard.len());
}

impl World {
    /// Hears packets of 20 ms in time.
    fn converse(&mut self, packets: &[Vec<u8>]) {
        for packet in packets {
            self.hear(packet);
            self.wait(20);
        }
    }
}

/// A sender that begins anew, or whose numbers or times jump, is heard at once; a pause is seen in the timestamps.
#[test]
fn a_sender_begins_anew() {
    let from = Coding { jitter: Some(RULES), ..coding(Kind::Pcma, 20) };
    let restamped = |ssrc: u8, sequence: u16, timestamp: u32| -> Vec<Vec<u8>> {
        let mut packets = stream(&from, 50);
        for (n, p) in (0u16..).zip(&mut packets) {
            p[2..4].copy_from_slice(&sequence.wrapping_add(n).to_be_bytes());
            p[4..8].copy_from_slice(&timestamp.wrapping_add(u32::from(n) * 160).to_be_bytes());
            p[8..12].copy_from_slice(&[ssrc; 4]);
        }
        packets
    };
    for (name, ssrc, sequence, timestamp) in [
        ("another stream", 9, 3, 77),
        ("numbers go back", 5, 20_000, 113_000),
        ("times go back by a second", 5, 40_050, 92_000),
        ("times go far back", 5, 40_050, 10),
        ("times go far ahead", 5, 40_050, 9_000_000),
    ] {
        let mut world = World::new(from, coding(Kind::Pcmu, 20));
        world.converse(&restamped(5, 40_000, 100_000));
        world.wait(620);
        let before = world.out.len();
        assert!((50..=56).contains(&before), "{name}: {before}");
        world.converse(&restamped(ssrc, sequence, timestamp));
        world.wait(400);
        let headers = world.headers();
        let after = headers.len() - before;
        assert!((46..=60).contains(&after), "{name}: {after} of 50");
        assert!(headers.windows(2).all(|p| p[1].sequence == p[0].sequence.wrapping_add(1)), "{name}");
        if ssrc != 5 {
            let pause = ahead(headers[before].timestamp, headers[before - 1].timestamp) / 8;
            assert!((500..=720).contains(&pause), "{name}: {pause} ms");
        }
    }
}

/// RFC 4733 §2.2: all packets of an event have the time of its beginning. That is no jitter.
#[test]
fn a_long_key_does_not_deepen_the_buffer() {
    let from = Coding { jitter: Some(RULES), events: Some(101), ..coding(Kind::Pcma, 20) };
    let mut playout = Playout::new(RULES);
    let mut depth = 0;
    for (n, packet) in (0u64..).zip(stream(&from, 600)) {
        let mut header = RtpHeader::parse(&packet).unwrap();
        let event = (200..500).contains(&n);
        if event {
            header.timestamp = 5000 + 200 * 160;
        }
        let now = Tick(9_000_000 + n * 20_000);
        playout.insert(now, &header, &packet[12..], !event);
        while playout.take(now).is_some() {}
        if n == 199 {
            depth = playout.depth();
        }
    }
    assert!(playout.depth() <= depth, "{} and before {depth}", playout.depth());
}
