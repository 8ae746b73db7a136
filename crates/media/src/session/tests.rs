//! Scenario tables for latching, hold, silence and RTCP, and properties over random traffic.

use super::*;
use crate::rtcp::tests::{receiver_report, sender_report};
use proptest::prelude::*;

const RIGHT: &str = "10.0.0.1:4000";
const RIGHT_RTCP: &str = "10.0.0.1:4001";
/// Where the right peer's packets come from when it is behind NAT.
const NAT: &str = "198.51.100.7:62000";
const VENDOR: &str = "10.0.0.2:5000";
const ATTACKER: &str = "127.0.0.9:9000";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn lease(index: u32) -> PortLease {
    let port = 10_000 + 2 * u16::try_from(index).unwrap();
    PortLease { thread: 0, index, local: SocketAddr::new("0.0.0.0".parse().unwrap(), port) }
}

fn side(index: u32, remote: &str, latch: Latch) -> SideConfig {
    SideConfig { remote: Some(addr(remote)), latch, ..SideConfig::new(lease(index)) }
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut p = vec![0x80, 8];
    p.extend_from_slice(&sequence.to_be_bytes());
    p.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    p.extend_from_slice(&ssrc.to_be_bytes());
    p.resize(172, 0xd5);
    p
}

fn ms(n: u64) -> Tick {
    Tick(1_000_000_000 + n * 1000)
}

/// A relay with side A as given and a fixed vendor on side B, with a clock that a table can move.
struct World {
    relay: Relay,
    now: u64,
    a: SideConfig,
    sequences: [u16; 4],
}

impl World {
    fn new(latch: Latch) -> World {
        let a = side(0, RIGHT, latch);
        let relay = Relay::new(ms(0), a, Some(side(1, VENDOR, Latch::Fixed)));
        World { relay, now: 0, a, sequences: [100, 200, 300, 400] }
    }

    /// `count` packets 20 ms apart from one of four streams; how many were relayed.
    fn send(&mut self, source: &str, stream: usize, count: u16) -> u16 {
        let mut relayed = 0;
        for _ in 0..count {
            self.now += 20;
            let sequence = self.sequences[stream];
            self.sequences[stream] = sequence.wrapping_add(1);
            let packet = rtp(u32::try_from(stream).unwrap(), sequence);
            let verdict = self.relay.handle_packet(ms(self.now), Side::A, false, addr(source), &packet);
            relayed += u16::from(verdict == Verdict::Forward { to: addr(VENDOR), rtcp: false });
        }
        relayed
    }

    /// Where the vendor's media goes now.
    fn toward_a(&mut self) -> String {
        match self.relay.handle_packet(ms(self.now), Side::B, false, addr(VENDOR), &rtp(9, 1)) {
            Verdict::Forward { to, rtcp: false } => to.to_string(),
            other => format!("{other:?}"),
        }
    }

    fn new_sdp(&mut self, remote: &str, relearn: bool) {
        self.a = SideConfig { remote: Some(addr(remote)), relearn, ..self.a };
        self.relay.set_side(ms(self.now), Side::A, self.a);
    }

    /// Runs steps written as words; see the tables.
    fn run(&mut self, steps: &str) -> String {
        let mut log = Vec::new();
        for step in steps.split(',').map(str::trim) {
            let words: Vec<&str> = step.split(' ').collect();
            match words[..] {
                [source, stream, count] => {
                    let n = self.send(named(source), stream.parse().unwrap(), count.parse().unwrap());
                    log.push(n.to_string());
                }
                ["wait", time] => self.now += time.parse::<u64>().unwrap(),
                ["sdp", remote] => self.new_sdp(named(remote), false),
                ["relearn", remote] => self.new_sdp(named(remote), true),
                ["to?"] => log.push(self.toward_a()),
                _ => panic!("{step}"),
            }
        }
        log.join(" ")
    }
}

fn named(name: &str) -> &str {
    match name {
        "right" => RIGHT,
        "nat" => NAT,
        "nat-port" => "198.51.100.7:62999",
        "moved" => "10.0.0.77:4000",
        "attacker" => ATTACKER,
        "attacker2" => "127.0.0.9:9002",
        other => other,
    }
}

#[test]
fn latching_scenarios() {
    let from = |ip: &str| Latch::LearnFrom(ip.parse().unwrap());
    // Steps: SOURCE STREAM COUNT (logs how many were relayed), `wait MS`, `sdp X` and `relearn X` (new SDP), `to?`
    // (logs where media to A goes).
    for (name, latch, steps, want) in [
        ("fixed: the right peer", Latch::Fixed, "to?, right 0 3, to?", "10.0.0.1:4000 3 10.0.0.1:4000"),
        ("fixed: an attacker, R-40", Latch::Fixed, "attacker 1 50, to?", "0 10.0.0.1:4000"),
        (
            "fixed: right SSRC and sequence, R-41",
            Latch::Fixed,
            "right 0 9, attacker 0 50, to?",
            "9 0 10.0.0.1:4000",
        ),
        ("fixed: never relearns", Latch::Fixed, "right 0 9, wait 60000, nat 0 9", "9 0"),
        (
            "fixed: follows SDP",
            Latch::Fixed,
            "right 0 2, sdp moved, right 0 2, moved 1 2, to?",
            "2 0 2 10.0.0.77:4000",
        ),
        ("SDP address at once", Latch::Learn, "right 0 1, to?", "1 10.0.0.1:4000"),
        (
            "behind NAT after four",
            Latch::Learn,
            "to?, nat 0 3, to?, nat 0 2, to?",
            "10.0.0.1:4000 0 10.0.0.1:4000 2 198.51.100.7:62000",
        ),
        ("locked by SDP address, R-41", Latch::Learn, "right 0 1, attacker 0 90, to?", "1 0 10.0.0.1:4000"),
        ("locked behind NAT, R-41", Latch::Learn, "nat 0 4, attacker 0 90, to?", "1 0 198.51.100.7:62000"),
        (
            "right peer displaces an early attacker",
            Latch::Learn,
            "attacker 1 5, right 0 1, to?, attacker 1 50, to?",
            "2 1 10.0.0.1:4000 0 10.0.0.1:4000",
        ),
        (
            "a slow sprayer never locks",
            Latch::Learn,
            "attacker 1 1, wait 300, attacker 1 1, wait 300, attacker 1 1, wait 300, attacker 1 1, wait 300, attacker 1 1",
            "0 0 0 0 0",
        ),
        (
            "a sprayer of ten packets a second never locks",
            Latch::Learn,
            "attacker 1 1, wait 80, attacker 1 1, wait 80, attacker 1 1, wait 80, attacker 1 1, wait 80, attacker 1 1",
            "0 0 0 0 0",
        ),
        (
            "60 ms of audio in each packet",
            Latch::Learn,
            "nat 1 1, wait 40, nat 1 1, wait 40, nat 1 1, wait 40, nat 1 1, to?",
            "0 0 0 1 198.51.100.7:62000",
        ),
        (
            "two streams of one source are no row",
            Latch::Learn,
            "nat 0 1, nat 1 1, nat 0 1, nat 1 1, nat 0 1, nat 1 1",
            "0 0 0 0 0 0",
        ),
        (
            "a sprayer does not keep the peer out",
            Latch::Learn,
            "nat 0 1, attacker 1 1, nat 0 1, attacker2 2 1, nat 0 1, attacker 3 1, nat 0 1, to?",
            "0 0 0 0 0 0 1 198.51.100.7:62000",
        ),
        ("new source number of the locked peer", Latch::Learn, "right 0 5, right 1 5", "5 5"),
        (
            "NAT rebind within 10 s",
            Latch::Learn,
            "nat 0 5, wait 9800, nat-port 0 8, to?",
            "2 0 198.51.100.7:62000",
        ),
        (
            "NAT rebind after 10 s",
            Latch::Learn,
            "nat 0 5, wait 10000, nat-port 0 5, to?",
            "2 2 198.51.100.7:62999",
        ),
        (
            "another address after 10 s",
            Latch::Learn,
            "nat 0 5, wait 90000, attacker 0 90, to?",
            "2 0 198.51.100.7:62000",
        ),
        (
            "new SDP, other address",
            Latch::Learn,
            "nat 0 5, relearn moved, to?, nat 0 2, moved 1 2, to?",
            "2 10.0.0.77:4000 0 2 10.0.0.77:4000",
        ),
        (
            "new SDP, same address: nothing is lost",
            Latch::Learn,
            "nat 0 5, relearn right, to?, nat 0 5, to?",
            "2 198.51.100.7:62000 5 198.51.100.7:62000",
        ),
        (
            "new SDP, same address, an attacker tries",
            Latch::Learn,
            "nat 0 5, relearn right, attacker 1 1, nat 0 1, attacker 1 1, nat 0 1, attacker 1 1, nat 0 1, attacker 1 1, to?",
            "2 0 1 0 1 0 1 0 198.51.100.7:62000",
        ),
        (
            "new SDP, same address, the NAT moved",
            Latch::Learn,
            "nat 0 5, relearn right, wait 500, nat-port 0 6, to?",
            "2 3 198.51.100.7:62999",
        ),
        (
            "the window after new SDP ends",
            Latch::Learn,
            "nat 0 5, relearn right, wait 5000, nat-port 0 6",
            "2 0",
        ),
        (
            "SDP without relearning",
            Latch::Learn,
            "nat 0 5, sdp moved, nat 0 5, to?",
            "2 5 198.51.100.7:62000",
        ),
        (
            "hold by 0.0.0.0 keeps what was learned",
            Latch::Learn,
            "nat 0 5, sdp 0.0.0.0:4000, to?",
            "2 198.51.100.7:62000",
        ),
        ("signalling address: the peer", from("198.51.100.7"), "nat 0 5, to?", "2 198.51.100.7:62000"),
        ("signalling address: the SDP's too", from("198.51.100.7"), "right 0 5, to?", "5 10.0.0.1:4000"),
        ("signalling address: an attacker", from("198.51.100.7"), "attacker 0 50, to?", "0 10.0.0.1:4000"),
    ] {
        assert_eq!(World::new(latch).run(steps), want, "{name}");
    }
}

#[test]
fn nothing_goes_to_unusable_addresses() {
    for remote in [
        "0.0.0.0:4000",
        "10.0.0.1:0",
        "224.0.0.1:4000",
        "255.255.255.255:4000",
        "[::]:4000",
        "[ff02::1]:4000",
    ] {
        let a = side(0, remote, Latch::Learn);
        let mut relay = Relay::new(ms(0), a, Some(side(1, VENDOR, Latch::Fixed)));
        let verdict = relay.handle_packet(ms(1), Side::B, false, addr(VENDOR), &rtp(1, 1));
        assert_eq!(verdict, Verdict::Drop(DropReason::NoDestination), "{remote}");
    }
}

#[test]
fn rtcp_paths() {
    let report = sender_report(1);
    let nat_rtcp = "198.51.100.7:62001";
    let forward = |to: &str, rtcp| Verdict::Forward { to: addr(to), rtcp };
    let wrong = Verdict::Drop(DropReason::WrongSource);
    // RTCP from A, by the port it came to; what happens.
    let mut w = World::new(Latch::Learn);
    let from_a = |w: &mut World, rtcp, source: &str| {
        w.relay.handle_packet(ms(w.now), Side::A, rtcp, addr(source), &report)
    };
    assert_eq!(from_a(&mut w, true, ATTACKER), wrong, "before any media");
    assert_eq!(from_a(&mut w, true, nat_rtcp), wrong, "before any media");
    assert_eq!(from_a(&mut w, true, RIGHT_RTCP), forward("10.0.0.2:5001", true), "signalled");
    assert_eq!(from_a(&mut w, false, RIGHT), forward("10.0.0.2:5001", true), "on the media port");
    assert_eq!(from_a(&mut w, false, ATTACKER), wrong);
    assert_eq!(
        w.relay.handle_packet(ms(0), Side::A, true, addr(RIGHT_RTCP), &rtp(1, 1)),
        Verdict::Drop(DropReason::Invalid)
    );

    let mut w = World::new(Latch::Learn);
    w.send(NAT, 0, 5);
    let from_b =
        |w: &mut World| w.relay.handle_packet(ms(w.now), Side::B, true, addr("10.0.0.2:5001"), &report);
    assert_eq!(from_b(&mut w), forward(RIGHT_RTCP, true), "RTCP not learned yet: signalled");
    assert_eq!(from_a(&mut w, true, nat_rtcp), forward("10.0.0.2:5001", true), "beside the learned media");
    assert_eq!(from_b(&mut w), forward(nat_rtcp, true));
    assert_eq!(from_a(&mut w, true, ATTACKER), wrong);

    // An attacker was first; the right peer's first media packet takes the RTCP from it too.
    let mut w = World::new(Latch::Learn);
    w.send(ATTACKER, 1, 4);
    let attacker_rtcp = "127.0.0.9:9001";
    assert_eq!(from_a(&mut w, true, attacker_rtcp), forward("10.0.0.2:5001", true));
    assert_eq!(from_b(&mut w), forward(attacker_rtcp, true));
    w.send(RIGHT, 0, 1);
    assert_eq!(from_b(&mut w), forward(RIGHT_RTCP, true));
    assert_eq!(from_a(&mut w, true, attacker_rtcp), wrong);

    // One side multiplexes, the other does not.
    let mut w = World::new(Latch::Learn);
    w.a.rtcp_mux = true;
    w.relay.set_side(ms(0), Side::A, w.a);
    assert_eq!(from_b(&mut w), forward(RIGHT, false));
    assert_eq!(from_a(&mut w, false, RIGHT), forward("10.0.0.2:5001", true));
    let statistics = w.relay.statistics(MediaSessionId(1));
    assert_eq!((statistics.a.rtcp_in, statistics.a.rtcp_out, statistics.a.packets_in), (1, 1, 0));

    // `a=rtcp` names another port.
    w.a = SideConfig { rtcp_mux: false, rtcp_remote: Some(addr("10.0.0.1:7777")), ..w.a };
    w.relay.set_side(ms(0), Side::A, w.a);
    assert_eq!(from_b(&mut w), forward("10.0.0.1:7777", true));
}

#[test]
fn round_trip_and_reported_loss() {
    let mut w = World::new(Latch::Fixed);
    let vendor = addr("10.0.0.2:5001");
    w.relay.handle_packet(ms(1000), Side::B, true, vendor, &sender_report(0x1234_5678));
    // The caller held it for half a second; its answer came 580 ms after we had passed the report on.
    for (name, report, want) in [
        ("about another report", receiver_report(0, 0x1111, 0), None),
        ("ours", receiver_report(17, 0x1234_5678, 32_768), Some(80_000)),
    ] {
        w.relay.handle_packet(ms(1580), Side::A, true, addr(RIGHT_RTCP), &report);
        assert_eq!(w.relay.statistics(MediaSessionId(1)).a.rtt_us, want, "{name}");
    }
    assert_eq!(w.relay.statistics(MediaSessionId(1)).a.reported_lost, Some(17));
    // More delay than time: a lying peer has no negative round trip.
    w.relay.handle_packet(
        ms(1580),
        Side::A,
        true,
        addr(RIGHT_RTCP),
        &receiver_report(0, 0x1234_5678, u32::MAX),
    );
    assert_eq!(w.relay.statistics(MediaSessionId(1)).a.rtt_us, Some(0));
}

#[test]
fn hold_and_missing_sides() {
    let mut w = World::new(Latch::Fixed);
    for (sends, receives, want) in
        [(true, true, (1, true)), (false, true, (0, true)), (true, false, (1, false))]
    {
        w.a = SideConfig { sends, receives, ..w.a };
        w.relay.set_side(ms(w.now), Side::A, w.a);
        let (from_a, to_a) = (w.send(RIGHT, 0, 1), w.toward_a() == RIGHT);
        assert_eq!((from_a, to_a), want, "sends {sends}, receives {receives}");
        let report = w.relay.handle_packet(ms(w.now), Side::A, true, addr(RIGHT_RTCP), &sender_report(1));
        assert!(matches!(report, Verdict::Forward { .. }), "RTCP flows on hold");
    }
    let mut alone = Relay::new(ms(0), w.a, None);
    let no_side = Verdict::Drop(DropReason::NoSide);
    assert_eq!(alone.handle_packet(ms(0), Side::A, false, addr(RIGHT), &rtp(1, 1)), no_side);
    assert_eq!(alone.handle_packet(ms(0), Side::B, false, addr(RIGHT), &rtp(1, 1)), no_side);
    assert_eq!(alone.poll_event(), Some(RelayEvent::FirstPacket(Side::A)));
    assert_eq!(alone.statistics(MediaSessionId(1)).a.packets_in, 1);
}

#[test]
fn failover_starts_the_side_anew() {
    let mut w = World::new(Latch::Fixed);
    assert_eq!(w.toward_a(), RIGHT);
    assert_eq!(w.relay.lease(Side::B), Some(lease(1)));
    let next = side(2, "10.0.0.3:5000", Latch::Fixed);
    assert_eq!(w.relay.set_side(ms(0), Side::B, next), Some(lease(1)));
    assert_eq!(w.relay.set_side(ms(0), Side::B, next), None, "the same lease is only refreshed");
    assert_eq!(w.toward_a(), "Drop(WrongSource)", "the failed vendor");
    let verdict = w.relay.handle_packet(ms(0), Side::A, false, addr(RIGHT), &rtp(1, 1));
    assert_eq!(verdict, Verdict::Forward { to: addr("10.0.0.3:5000"), rtcp: false });
    let b = w.relay.statistics(MediaSessionId(1)).b;
    assert_eq!((b.packets_in, b.packets_out, b.rejected), (0, 1, 1));
}

#[test]
fn first_packets_and_silence_are_told_once() {
    let mut w = World::new(Latch::Fixed);
    w.a.watch = Some(5000);
    w.relay.set_side(ms(0), Side::A, w.a);
    let events = |w: &mut World, at: u64| {
        w.now = at;
        w.relay.handle_timeout(ms(at));
        std::iter::from_fn(|| w.relay.poll_event()).collect::<Vec<_>>()
    };
    assert_eq!(events(&mut w, 4999), []);
    assert_eq!(events(&mut w, 5000), [RelayEvent::Silent(Side::A)], "silent from the start");
    assert_eq!(events(&mut w, 9000), [], "once");
    w.send(RIGHT, 0, 2);
    assert_eq!(events(&mut w, 9100), [RelayEvent::FirstPacket(Side::A)]);
    assert_eq!(events(&mut w, 14_039), [], "5 s since the last packet are not over");
    assert_eq!(events(&mut w, 14_040), [RelayEvent::Silent(Side::A)]);
    w.send(ATTACKER, 1, 5);
    w.relay.handle_packet(ms(w.now), Side::A, true, addr(RIGHT_RTCP), &sender_report(1));
    assert_eq!(events(&mut w, 20_000), [], "neither an attacker nor RTCP ends the silence");
    // Hold takes the watch away; after it the time runs from the resume on.
    for (watch, at, want) in [
        (None, 60_000, vec![]),
        (Some(5000), 64_999, vec![]),
        (Some(5000), 65_000, vec![RelayEvent::Silent(Side::A)]),
    ] {
        w.a.watch = watch;
        w.relay.set_side(ms(w.now), Side::A, w.a);
        assert_eq!(events(&mut w, at), want, "{watch:?} at {at}");
    }
}

#[test]
fn streams_that_are_not_rtp_pass_whole() {
    let mut w = World::new(Latch::Learn);
    assert_eq!(
        w.relay.handle_packet(ms(0), Side::A, false, addr(RIGHT), b"\0\x01\x05hello"),
        Verdict::Drop(DropReason::Invalid)
    );
    w.a.rtp = false;
    w.relay.set_side(ms(0), Side::A, w.a);
    let udptl = |w: &mut World, source: &str| {
        w.relay.handle_packet(ms(1), Side::A, false, addr(source), b"\0\x01\x05hello")
    };
    assert!(matches!(udptl(&mut w, RIGHT), Verdict::Forward { .. }));
    assert_eq!(udptl(&mut w, ATTACKER), Verdict::Drop(DropReason::WrongSource));
    let a = w.relay.statistics(MediaSessionId(1)).a;
    assert_eq!((a.packets_in, a.bytes_in, a.rejected, a.invalid), (1, 8, 1, 1));
}

#[test]
fn statistics_count_what_was_relayed() {
    let mut w = World::new(Latch::Fixed);
    assert!(!w.relay.take_changed());
    w.send(RIGHT, 0, 10);
    w.sequences[0] += 3;
    w.send(RIGHT, 0, 10);
    w.send(ATTACKER, 0, 7);
    assert!(w.relay.take_changed() && !w.relay.take_changed());
    let s = w.relay.statistics(MediaSessionId(5));
    assert_eq!(s.session, MediaSessionId(5));
    assert_eq!((s.a.packets_in, s.a.bytes_in, s.a.lost, s.a.rejected), (20, 20 * 172, 3, 7));
    assert_eq!((s.b.packets_out, s.b.bytes_out, s.b.packets_in), (20, 20 * 172, 0));
    assert_eq!((s.a.payload_type, s.a.latched), (Some(8), Some(addr(RIGHT))));
}

/// What a hostile network may do to side A.
fn traffic() -> impl Strategy<Value = (u8, bool, Vec<u8>, u32)> {
    let near_rtp = (prop::collection::vec(any::<u8>(), 0..80), any::<u8>()).prop_map(|(mut bytes, kind)| {
        if let [first, second, ..] = &mut bytes[..] {
            (*first, *second) = (0x80 | (*first & 0x3f), if kind < 100 { 200 + kind % 8 } else { 8 });
        }
        bytes
    });
    let packet = prop_oneof![prop::collection::vec(any::<u8>(), 0..80), near_rtp];
    (0u8..4, any::<bool>(), packet, 0u32..3_000_000)
}

proptest! {
    #[test]
    fn random_packets_never_panic_nor_leave_the_known_addresses(
        packets in prop::collection::vec(traffic(), 0..200),
        fixed in any::<bool>(),
        is_rtp in any::<bool>(),
    ) {
        let mut w = World::new(if fixed { Latch::Fixed } else { Latch::Learn });
        w.a.rtp = is_rtp;
        w.relay.set_side(ms(0), Side::A, w.a);
        let mut now = 0u64;
        let mut taken = 0;
        for (who, rtcp, packet, pause) in packets {
            now += u64::from(pause);
            let (side, source) = match who {
                0 => (Side::A, if rtcp { RIGHT_RTCP } else { RIGHT }),
                1 => (Side::A, ATTACKER),
                2 => (Side::A, NAT),
                _ => (Side::B, VENDOR),
            };
            let verdict = w.relay.handle_packet(Tick(now), side, rtcp, addr(source), &packet);
            if let Verdict::Forward { to, .. } = verdict {
                taken += 1;
                let allowed: &[&str] = match (side, fixed) {
                    (Side::A, _) => &[VENDOR, "10.0.0.2:5001"],
                    (Side::B, true) => &[RIGHT, RIGHT_RTCP],
                    (Side::B, false) => &[RIGHT, RIGHT_RTCP, ATTACKER, NAT],
                };
                prop_assert!(allowed.contains(&to.to_string().as_str()), "{} from {:?}", to, side);
                prop_assert!(!(fixed && who != 0 && side == Side::A), "a stranger was relayed");
            }
            w.relay.handle_timeout(Tick(now));
            while w.relay.poll_event().is_some() {}
        }
        let s = w.relay.statistics(MediaSessionId(1));
        let out = [s.a, s.b].iter().map(|s| s.packets_out + s.rtcp_out).sum::<u64>();
        prop_assert_eq!(out, taken);
    }
}

/// `MED-8`: while speech is converted, reports end here and ours take their place.
#[test]
fn converted_streams_have_reports_of_their_own() {
    let coding = |codec: codec::Kind| Some(Coding::new(codec));
    let a = SideConfig { coding: coding(codec::Kind::Pcma), ..side(0, RIGHT, Latch::Fixed) };
    let b = SideConfig { coding: coding(codec::Kind::G729), ..side(1, VENDOR, Latch::Fixed) };
    let mut relay = Relay::new(ms(0), a, Some(b));
    assert!(relay.codings().is_some());
    for n in (0..10u16).filter(|n| *n != 4) {
        let verdict = relay.handle_packet(ms(u64::from(n) * 20), Side::A, false, addr(RIGHT), &rtp(1, n));
        assert_eq!(verdict, Verdict::Transcode { to: addr(VENDOR) });
        relay.count_sent(Side::B, 32);
    }
    let theirs = relay.handle_packet(ms(200), Side::A, true, addr(RIGHT_RTCP), &sender_report(77));
    assert_eq!(theirs, Verdict::Drop(DropReason::Terminated));
    let ours = relay.report(ms(210), Side::A, (5, 160)).unwrap();
    assert_eq!((ours.to, ours.rtcp), (addr(RIGHT_RTCP), true));
    let read = rtcp::reports(ours.bytes());
    let block = read.block.unwrap();
    assert_eq!((block.lost, block.last_sender_report, block.delay), (1, 77, 655));
    assert_eq!(ours.bytes()[32], 25, "a tenth of 256");
    let answer = receiver_report(2, read.sender_time.unwrap(), 655);
    relay.handle_packet(ms(250), Side::A, true, addr(RIGHT_RTCP), &answer);
    let figures = relay.statistics(MediaSessionId(1)).a;
    assert!(figures.rtt_us.is_some_and(|rtt| (29_000..31_000).contains(&rtt)), "{figures:?}");
    assert_eq!((figures.reported_lost, figures.rtcp_in, figures.rtcp_out), (Some(2), 2, 1));
    let again = relay.report(ms(300), Side::A, (5, 160)).unwrap();
    assert_eq!(again.bytes()[32], 0, "nothing new was lost");
}
