//! The engine over real sockets on loopback.

use super::*;
use media::{Latch, MediaEvent, PortLease, PortPool, SessionStatistics, Side, SideConfig};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use vocab::MediaSessionId;

const SESSION: MediaSessionId = MediaSessionId(7);
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for a packet over loopback; waited for only where nothing may come.
const NOTHING: Duration = Duration::from_millis(50);

/// Engine, pool and events, as the brain would hold them.
struct World {
    engine: MediaEngine,
    events: Receiver<MediaEvent>,
    pool: PortPool,
}

impl World {
    /// Tests run side by side, so each has its own ports.
    fn new(port_start: u16, pairs: u16, threads: u8) -> World {
        World::bound("127.0.0.1", Some("::1"), port_start, pairs, threads)
    }

    fn bound(v4: &str, v6: Option<&str>, port_start: u16, pairs: u16, threads: u8) -> World {
        let (sender, events) = channel();
        let settings = MediaSettings {
            bind_v4: v4.parse().unwrap(),
            bind_v6: v6.map(|ip| ip.parse().unwrap()),
            port_start,
            port_end: port_start + pairs * 2 - 1,
            threads,
            dscp: 46,
        };
        let engine = MediaEngine::start(settings, move |event| drop(sender.send(event))).unwrap();
        World { engine, events, pool: PortPool::new() }
    }

    fn send(&self, command: MediaCommand) {
        self.engine.send(command).unwrap();
    }

    /// The next event that is not a regular report; ready ports go into the pool.
    fn event(&mut self) -> MediaEvent {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("an event") {
                MediaEvent::Statistics(_) => {}
                MediaEvent::Ready(leases) => {
                    leases.iter().for_each(|l| self.pool.add_ready(*l));
                    return MediaEvent::Ready(leases);
                }
                event => return event,
            }
        }
    }

    fn prepare(&mut self, count: u32, v6: bool) {
        self.send(MediaCommand::Prepare { count, v6 });
        while self.pool.ready(v6) < count {
            self.event();
        }
    }

    fn close(&mut self) -> SessionStatistics {
        self.send(MediaCommand::Close { session: SESSION });
        loop {
            if let MediaEvent::Closed(statistics) = self.event() {
                return statistics;
            }
        }
    }

    /// Commands are carried out in order, so when this has an effect, those before it have too.
    fn settle(&mut self, v6: bool) {
        let ready = self.pool.ready(v6);
        self.send(MediaCommand::Prepare { count: 1, v6 });
        while self.pool.ready(v6) == ready {
            self.event();
        }
    }
}

/// A peer with an RTP and an RTCP port.
struct Peer {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Peer {
    fn new(ip: &str) -> Peer {
        let socket = || {
            let socket = UdpSocket::bind((ip, 0)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        Peer { rtp: socket(), rtcp: socket() }
    }

    fn side(&self, lease: PortLease, latch: Latch) -> SideConfig {
        SideConfig {
            remote: Some(self.rtp.local_addr().unwrap()),
            rtcp_remote: Some(self.rtcp.local_addr().unwrap()),
            latch,
            ..SideConfig::new(lease)
        }
    }
}

fn rtp(ssrc: u8, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, ssrc]);
    packet.resize(172, ssrc);
    packet
}

fn received(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (len, from) = socket.recv_from(&mut buffer).expect("a packet");
    (buffer[..len].to_vec(), from)
}

fn nothing_comes(socket: &UdpSocket) {
    socket.set_read_timeout(Some(NOTHING)).unwrap();
    assert!(socket.recv_from(&mut [0; 2048]).is_err(), "something came");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
}

#[test]
fn relays_both_ways_over_v4_v6_and_between() {
    for (port, ip_a, ip_b) in
        [(21_000, "127.0.0.1", "127.0.0.1"), (21_100, "::1", "::1"), (21_200, "127.0.0.1", "::1")]
    {
        let mut world = World::new(port, 20, 1);
        let (a, b) = (Peer::new(ip_a), Peer::new(ip_b));
        let lease = |world: &mut World, peer: &Peer| {
            let v6 = peer.rtp.local_addr().unwrap().is_ipv6();
            world.prepare(2, v6);
            world.pool.lease(v6).unwrap()
        };
        let (lease_a, lease_b) = (lease(&mut world, &a), lease(&mut world, &b));
        assert_eq!(lease_a.local.port() % 2, 0);
        let (side_a, side_b) = (a.side(lease_a, Latch::Learn), b.side(lease_b, Latch::Fixed));
        world.send(MediaCommand::Open { session: SESSION, a: side_a, b: Some(side_b) });
        world.settle(false);
        for n in 0..500u16 {
            // Across the wrap of the sequence number.
            let (forth, back) = (rtp(1, n.wrapping_add(65_300)), rtp(2, n));
            a.rtp.send_to(&forth, lease_a.local).unwrap();
            b.rtp.send_to(&back, lease_b.local).unwrap();
            assert_eq!(received(&b.rtp), (forth, lease_b.local));
            assert_eq!(received(&a.rtp), (back, lease_a.local));
            if n % 100 == 0 {
                let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
                a.rtcp.send_to(&report, lease_a.rtcp_local()).unwrap();
                assert_eq!(received(&b.rtcp), (report.to_vec(), lease_b.rtcp_local()));
                b.rtcp.send_to(&report, lease_b.rtcp_local()).unwrap();
                assert_eq!(received(&a.rtcp), (report.to_vec(), lease_a.rtcp_local()));
            }
        }
        let closed = world.close();
        for side in [closed.a, closed.b] {
            assert_eq!((side.packets_in, side.packets_out, side.lost), (500, 500, 0), "{ip_a} {ip_b}");
            assert_eq!((side.bytes_in, side.bytes_out), (500 * 172, 500 * 172));
            assert_eq!((side.rtcp_in, side.rtcp_out, side.payload_type), (5, 5, Some(8)));
        }
        assert_eq!(closed.a.latched, Some(a.rtp.local_addr().unwrap()));
        world.engine.stop();
    }
}

#[test]
fn wildcard_ports_carry_media() {
    let mut world = World::bound("0.0.0.0", Some("::"), 21_300, 20, 1);
    let (a, b) = (Peer::new("127.0.0.1"), Peer::new("::1"));
    world.prepare(1, false);
    world.prepare(1, true);
    let (lease_a, lease_b) = (world.pool.lease(false).unwrap(), world.pool.lease(true).unwrap());
    assert!(lease_a.local.ip().is_unspecified() && lease_b.local.ip().is_unspecified());
    assert_eq!(lease_a.local.port(), lease_b.local.port(), "the families do not stand in each other's way");
    let sides = (a.side(lease_a, Latch::Fixed), b.side(lease_b, Latch::Fixed));
    world.send(MediaCommand::Open { session: SESSION, a: sides.0, b: Some(sides.1) });
    world.settle(false);
    a.rtp.send_to(&rtp(1, 1), ("127.0.0.1", lease_a.local.port())).unwrap();
    let (packet, from) = received(&b.rtp);
    assert_eq!((packet, from), (rtp(1, 1), SocketAddr::new("::1".parse().unwrap(), lease_b.local.port())));
}

#[test]
fn strangers_are_not_relayed_and_a_flood_is_survived() {
    let mut world = World::new(21_400, 20, 1);
    world.prepare(4, false);
    let (a, b) = (Peer::new("127.0.0.1"), Peer::new("127.0.0.2"));
    let (lease_a, lease_b) = (world.pool.lease(false).unwrap(), world.pool.lease(false).unwrap());
    let sides = (a.side(lease_a, Latch::Learn), b.side(lease_b, Latch::Fixed));
    world.send(MediaCommand::Open { session: SESSION, a: sides.0, b: Some(sides.1) });
    world.settle(false);
    // The right peer comes first, then an injector with its SSRC and sequence, more than fit in a batch.
    a.rtp.send_to(&rtp(1, 0), lease_a.local).unwrap();
    assert_eq!(received(&b.rtp).0, rtp(1, 0));
    let injector = Peer::new("127.0.0.9");
    for n in 1..300 {
        for socket in [&injector.rtp, &injector.rtcp] {
            socket.send_to(&rtp(1, n), lease_a.local).unwrap();
            socket.send_to(&rtp(1, n), lease_b.local).unwrap();
            socket.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], lease_a.rtcp_local()).unwrap();
        }
    }
    a.rtp.send_to(&rtp(1, 1), lease_a.local).unwrap();
    assert_eq!(received(&b.rtp).0, rtp(1, 1));
    b.rtp.send_to(&rtp(2, 1), lease_b.local).unwrap();
    assert_eq!(received(&a.rtp).0, rtp(2, 1));
    for socket in [&a.rtcp, &b.rtcp, &injector.rtp, &injector.rtcp] {
        nothing_comes(socket);
    }
    let closed = world.close();
    assert_eq!((closed.a.packets_in, closed.a.lost, closed.b.packets_out), (2, 0, 2));
    assert!(closed.a.rejected > 0 && closed.b.rejected > 0);
}

#[test]
fn failover_moves_to_a_fresh_port() {
    let mut world = World::new(21_500, 20, 1);
    world.prepare(4, false);
    let mut lease = || world.pool.lease(false).unwrap();
    let (lease_a, lease_b, lease_c) = (lease(), lease(), lease());
    let (a, failed, next) = (Peer::new("127.0.0.1"), Peer::new("127.0.0.2"), Peer::new("127.0.0.3"));
    let b = failed.side(lease_b, Latch::Learn);
    world.send(MediaCommand::Open { session: SESSION, a: a.side(lease_a, Latch::Learn), b: None });
    world.send(MediaCommand::SetSide { session: SESSION, side: Side::B, config: b });
    world.settle(false);
    failed.rtp.send_to(&rtp(2, 1), lease_b.local).unwrap();
    assert_eq!(received(&a.rtp).0, rtp(2, 1));
    assert_eq!(world.event(), MediaEvent::FirstPacket { session: SESSION, side: Side::B });

    let b = next.side(lease_c, Latch::Learn);
    world.send(MediaCommand::SetSide { session: SESSION, side: Side::B, config: b });
    world.settle(false);
    failed.rtp.send_to(&rtp(2, 2), lease_b.local).unwrap();
    failed.rtp.send_to(&rtp(2, 3), lease_c.local).unwrap();
    next.rtp.send_to(&rtp(3, 1), lease_c.local).unwrap();
    assert_eq!(received(&a.rtp).0, rtp(3, 1), "the failed vendor's packets do not come through");
    assert_eq!(world.event(), MediaEvent::FirstPacket { session: SESSION, side: Side::B });
    a.rtp.send_to(&rtp(1, 1), lease_a.local).unwrap();
    assert_eq!(received(&next.rtp).0, rtp(1, 1));
    let closed = world.close();
    assert_eq!((closed.b.packets_in, closed.b.rejected, closed.a.packets_out), (1, 1, 2));
    // All three pairs come back, the failed vendor's first.
    let mut back = Vec::new();
    while back.len() < 3 {
        if let MediaEvent::Ready(leases) = world.event() {
            back.extend(leases);
        }
    }
    assert_eq!(back, [lease_b, lease_a, lease_c]);
}

#[test]
fn a_reused_port_has_nothing_of_the_call_before() {
    let mut world = World::new(21_600, 2, 1);
    let (a, b) = (Peer::new("127.0.0.1"), Peer::new("127.0.0.2"));
    world.prepare(2, false);
    for round in 0..2u8 {
        let (lease_a, lease_b) = (world.pool.lease(false).unwrap(), world.pool.lease(false).unwrap());
        let sides = (a.side(lease_a, Latch::Fixed), b.side(lease_b, Latch::Fixed));
        // Before the call: the ports are deaf, so these must not count for anything.
        for n in 0..20 {
            a.rtp.send_to(&rtp(90, n), lease_a.local).unwrap();
        }
        world.send(MediaCommand::Open { session: SESSION, a: sides.0, b: Some(sides.1) });
        // Nothing is left to prepare, and the answer says that the session is open.
        world.send(MediaCommand::Prepare { count: 1, v6: false });
        assert_eq!(world.event(), MediaEvent::PrepareFailed { wanted: 1, v6: false });
        a.rtp.send_to(&rtp(round, 1), lease_a.local).unwrap();
        assert_eq!(received(&b.rtp).0, rtp(round, 1));
        assert_eq!(world.close().a.packets_in, 1, "round {round}");
        while world.pool.ready(false) < 2 {
            world.event();
        }
    }
}

#[test]
fn the_range_ends_and_taken_ports_are_skipped() {
    // Another program holds the RTCP port of the second pair.
    let taken = UdpSocket::bind("127.0.0.1:21703").unwrap();
    let mut world = World::new(21_700, 5, 2);
    world.send(MediaCommand::Prepare { count: 9, v6: false });
    let (mut ports, mut missing) = (Vec::new(), 0);
    while ports.len() < 4 || missing < 5 {
        match world.event() {
            MediaEvent::Ready(leases) => ports.extend(leases.iter().map(|l| (l.local.port(), l.thread))),
            MediaEvent::PrepareFailed { wanted, v6: false } => missing += wanted,
            other => panic!("{other:?}"),
        }
    }
    ports.sort_unstable();
    assert_eq!((&ports[..], missing), (&[(21_700, 0), (21_704, 0), (21_706, 1), (21_708, 0)][..], 5));
    // It lets go of it.
    drop(taken);
    world.send(MediaCommand::Prepare { count: 2, v6: false });
    let lease = loop {
        match world.event() {
            MediaEvent::Ready(leases) => break leases[0],
            MediaEvent::PrepareFailed { wanted: 1, v6: false } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((lease.local.port(), lease.thread), (21_702, 1));
    // There is no IPv6 without an address for it.
    let mut without = World::bound("127.0.0.1", None, 21_720, 2, 1);
    without.send(MediaCommand::Prepare { count: 3, v6: true });
    assert_eq!(without.event(), MediaEvent::PrepareFailed { wanted: 3, v6: true });
}

#[test]
fn silence_and_statistics_are_reported() {
    let mut world = World::new(21_800, 4, 1);
    world.prepare(3, false);
    let (a, b) = (Peer::new("127.0.0.1"), Peer::new("127.0.0.2"));
    let (lease_a, lease_b) = (world.pool.lease(false).unwrap(), world.pool.lease(false).unwrap());
    let side_a = SideConfig { watch: Some(200), ..a.side(lease_a, Latch::Fixed) };
    world.send(MediaCommand::Open { session: SESSION, a: side_a, b: Some(b.side(lease_b, Latch::Fixed)) });
    world.settle(false);
    b.rtp.send_to(&rtp(2, 1), lease_b.local).unwrap();
    let (mut silent, mut reported) = (false, false);
    while !(silent && reported) {
        match world.events.recv_timeout(PATIENCE).unwrap() {
            MediaEvent::Silent { session: SESSION, side: Side::A } => silent = true,
            MediaEvent::Statistics(all) => reported |= all[0].session == SESSION && all.len() == 1,
            MediaEvent::Silent { side: Side::B, .. } => panic!("B is not watched"),
            _ => {}
        }
    }
}

#[test]
fn wrong_commands_change_nothing() {
    let mut world = World::new(21_900, 6, 1);
    world.prepare(3, false);
    let (a, b) = (Peer::new("127.0.0.1"), Peer::new("127.0.0.2"));
    let (lease_a, lease_b) = (world.pool.lease(false).unwrap(), world.pool.lease(false).unwrap());
    let sides = (a.side(lease_a, Latch::Fixed), b.side(lease_b, Latch::Fixed));
    let foreign = SideConfig::new(PortLease { index: 99, ..lease_a });
    let other_thread = SideConfig::new(PortLease { thread: 9, ..lease_a });
    let (other, third) = (MediaSessionId(8), MediaSessionId(9));
    for command in [
        MediaCommand::Open { session: other, a: foreign, b: None },
        MediaCommand::Close { session: other },
        MediaCommand::Open { session: third, a: other_thread, b: None },
        MediaCommand::Close { session: third },
        MediaCommand::SetSide { session: third, side: Side::A, config: sides.0 },
        MediaCommand::Open { session: SESSION, a: sides.0, b: Some(sides.1) },
        MediaCommand::Open { session: SESSION, a: sides.0, b: None },
        MediaCommand::Open { session: other, a: sides.0, b: None },
        MediaCommand::Close { session: other },
        MediaCommand::SetSide { session: SESSION, side: Side::B, config: foreign },
        MediaCommand::SetSide { session: SESSION, side: Side::B, config: SideConfig::new(lease_a) },
    ] {
        world.send(command);
    }
    // Whatever was wrong with an `Open`, its `Close` is answered.
    for session in [other, third, other] {
        assert!(matches!(world.event(), MediaEvent::Closed(s) if s.session == session));
    }
    world.settle(false);
    a.rtp.send_to(&rtp(1, 1), lease_a.local).unwrap();
    assert_eq!(received(&b.rtp).0, rtp(1, 1));
    assert_eq!(world.close().b.packets_out, 1);
}

#[test]
fn speech_is_converted_between_codecs() {
    let mut world = World::new(21_950, 6, 1);
    world.prepare(2, false);
    let (a, b) = (Peer::new("127.0.0.1"), Peer::new("127.0.0.2"));
    let (lease_a, lease_b) = (world.pool.lease(false).unwrap(), world.pool.lease(false).unwrap());
    let coding = |codec: codec::Kind| Some(media::Coding::new(codec));
    let side_a = SideConfig { coding: coding(codec::Kind::Pcma), ..a.side(lease_a, Latch::Fixed) };
    let side_b = b.side(lease_b, Latch::Fixed);
    world.send(MediaCommand::Open { session: SESSION, a: side_a, b: Some(side_b) });
    let config = SideConfig { coding: coding(codec::Kind::G729), ..side_b };
    world.send(MediaCommand::SetSide { session: SESSION, side: Side::B, config });
    world.settle(false);
    for n in 0..10 {
        a.rtp.send_to(&rtp(1, n), lease_a.local).unwrap();
        let (packet, from) = received(&b.rtp);
        assert_eq!((packet.len(), packet[1] & 0x7f, from), (32, 18, lease_b.local));
        let mut answer = rtp(2, n);
        answer[1] = 18;
        answer.truncate(32);
        b.rtp.send_to(&answer, lease_b.local).unwrap();
        let (packet, from) = received(&a.rtp);
        assert_eq!((packet.len(), packet[1] & 0x7f, from), (172, 8, lease_a.local));
    }
    // A comfort noise frame: 20 ms of it go on by themselves.
    let mut silence = rtp(2, 10);
    silence[1] = 18;
    silence.truncate(14);
    b.rtp.send_to(&silence, lease_b.local).unwrap();
    (0..3).for_each(|_| assert_eq!(received(&a.rtp).0.len(), 172));
    a.rtcp.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], lease_a.rtcp_local()).unwrap();
    // Reports of the peers end at the switch, which sends its own.
    let (report, from) = received(&b.rtcp);
    assert_eq!((report[1], report.len(), from), (200, 72, lease_b.rtcp_local()));
    let closed = world.close();
    assert_eq!((closed.b.packets_out, closed.b.bytes_out, closed.b.packets_in), (10, 320, 11));
    assert!(closed.a.packets_out >= 13 && closed.b.rtcp_out >= 1);
}
