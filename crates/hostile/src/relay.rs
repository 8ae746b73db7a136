//! Media packets in a session, with changing descriptions and time.

use media::rtp::RtpHeader;
use media::{Latch, PortLease, Relay, Side, SideConfig, Verdict};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use vocab::{MediaSessionId, Tick};

/// Where packets come from: the two peers, other ports of theirs, a neighbour, a stranger.
const SOURCES: [&str; 6] =
    ["10.1.0.1:4000", "10.2.0.1:4000", "10.1.0.1:4002", "10.2.0.1:4001", "10.1.0.9:4000", "10.9.0.1:4000"];

fn source(n: u8) -> SocketAddr {
    SOURCES[usize::from(n) % SOURCES.len()].parse().unwrap()
}

struct Bench {
    relay: Relay,
    configs: [SideConfig; 2],
    now: Tick,
    /// Packets that went out, by the side that they went to.
    forwarded: [u64; 2],
}

fn side_config(side: u8) -> SideConfig {
    let index = u32::from(side);
    let local = SocketAddr::from(([192, 0, 2, 1], 10_000 + 2 * u16::from(side)));
    let remote = Some(source(side));
    let latch = Latch::LearnFrom(source(side).ip());
    SideConfig { remote, latch, ..SideConfig::new(PortLease { thread: 0, index, local }) }
}

impl Bench {
    fn new() -> Bench {
        let configs = [side_config(0), side_config(1)];
        let now = Tick(1_000_000);
        Bench { relay: Relay::new(now, configs[0], Some(configs[1])), configs, now, forwarded: [0; 2] }
    }

    fn packet(&mut self, side: Side, rtcp_port: bool, from: SocketAddr, bytes: &[u8]) {
        let verdict = self.relay.handle_packet(self.now, side, rtcp_port, from, bytes);
        while self.relay.poll_event().is_some() {}
        let Verdict::Forward { to, .. } = verdict else { return };
        let toward = usize::from(side == Side::A);
        assert!(may_hear(&self.configs[toward], to), "{to} hears a call of {:?}", self.configs[toward]);
        self.forwarded[toward] += 1;
    }

    fn configure(&mut self, side: u8, remote: u8, latch: u8, relearn: bool) {
        let index = usize::from(side & 1);
        let config = &mut self.configs[index];
        config.remote = if remote == 0xff { None } else { Some(source(remote)) };
        config.relearn = relearn;
        config.rtcp_mux = latch & 4 != 0;
        config.receives = latch & 8 == 0;
        config.sends = latch & 16 == 0;
        config.rtp = latch & 32 == 0;
        config.latch = match latch & 3 {
            0 => Latch::Fixed,
            1 => Latch::Learn,
            _ => Latch::LearnFrom(source(side & 1).ip()),
        };
        let side = if index == 0 { Side::A } else { Side::B };
        self.relay.set_side(self.now, side, self.configs[index]);
    }

    fn judge(&self) {
        let figures = self.relay.statistics(MediaSessionId(1));
        let out = [figures.a, figures.b].map(|side| side.packets_out + side.rtcp_out);
        assert_eq!(out, self.forwarded, "every packet is counted once");
    }
}

/// `MED-3`: who may be sent the media of this side.
fn may_hear(config: &SideConfig, to: SocketAddr) -> bool {
    let told = config.remote.is_some_and(|r| {
        r.ip() == to.ip() && (r.port() == to.port() || r.port().checked_add(1) == Some(to.port()))
    });
    told || match config.latch {
        Latch::Fixed => false,
        Latch::Learn => true,
        Latch::LearnFrom(ip) => {
            let ip: IpAddr = ip;
            to.ip() == ip
        }
    }
}

/// Steps of four bytes and a payload: what, from where, after how many ms, how long.
fn play(bytes: &[u8], rtcp_port: bool) {
    let mut bench = Bench::new();
    let mut rest = bytes;
    while let [what, from, wait, length, tail @ ..] = rest {
        let payload = &tail[..usize::from(*length).min(tail.len())];
        rest = &tail[payload.len()..];
        bench.now = bench.now + Duration::from_millis(u64::from(*wait));
        let side = if what & 1 == 0 { Side::A } else { Side::B };
        match what >> 5 {
            7 => bench.configure(what & 1, *from, *length, what & 2 != 0),
            6 => {
                bench.now = bench.now + Duration::from_millis(u64::from(*wait) * 100);
                bench.relay.handle_timeout(bench.now);
            }
            _ => bench.packet(side, rtcp_port && what & 2 == 0, source(*from), payload),
        }
    }
    bench.judge();
}

pub fn rtp(bytes: &[u8]) {
    if let Some(header) = RtpHeader::parse(bytes) {
        assert!(header.payload_len <= bytes.len() - 12);
    }
    play(bytes, false);
}

pub fn rtcp(bytes: &[u8]) {
    let mut bench = Bench::new();
    // As one packet after media, so that reports are looked at, then as steps.
    let sound = [[0x80, 8, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4].as_slice(), &[0; 160]].concat();
    bench.packet(Side::A, false, source(0), &sound);
    for (side, from) in [(Side::A, 2), (Side::B, 3), (Side::A, 0)] {
        bench.packet(side, true, source(from), bytes);
        bench.packet(side, false, source(from), bytes);
    }
    bench.relay.statistics(MediaSessionId(1));
    play(bytes, true);
}
