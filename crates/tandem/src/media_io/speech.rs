//! Speech that is converted on its way: [`media::Transcoders`] with a session's sockets.
//!
//! One packet is one `sendto`: a converted packet costs a hundred times its system call.

use super::ports::PortPair;
use super::protect;
use media::{Coding, Digit, Press, Relay, Side, Transcoders};
use std::net::SocketAddr;
use std::time::Duration;
use vocab::Tick;

pub use media::TRANSCODE_TICK as TICK;

/// Our reports go out this often (RFC 3550 §6.2: the least interval).
const REPORTS: Duration = Duration::from_secs(5);

/// The converter of a session, if it needs one. Made when both sides are agreed, not for a packet.
#[derive(Default)]
pub struct Speech {
    transcoders: Option<Box<Transcoders>>,
    next_report: Tick,
}

impl Speech {
    /// Follows what the sides agreed on; the same agreement again changes nothing. Says whether speech is converted.
    pub fn agree(&mut self, codings: Option<(Coding, Coding)>) -> bool {
        if self.transcoders.as_ref().map(|t| t.codings()) != codings {
            self.transcoders = codings.map(|(a, b)| Box::new(Transcoders::new(a, b)));
        }
        self.transcoders.is_some()
    }

    /// A packet came from `side`; what it becomes is sent `out` to the other one.
    pub fn hear(
        &mut self,
        now: Tick,
        side: Side,
        packet: &[u8],
        (out, to): (&PortPair, SocketAddr),
        relay: &mut Relay,
    ) {
        let Some(transcoders) = &mut self.transcoders else { return };
        let mut lock = relay.digits(side).copied().unwrap_or_default();
        transcoders.handle_packet(now, side, packet, &mut lock, &mut |made| {
            if protect::send(relay, side.other(), (out, false), made, to) {
                relay.count_sent(side.other(), made.len());
            }
        });
        if let Some(digits) = relay.digits(side) {
            *digits = lock;
        }
    }

    /// Signalling says that the peer on `side` has pressed a digit.
    pub fn press(&mut self, now: Tick, side: Side, digit: Digit, length: Duration) {
        if let Some(transcoders) = &mut self.transcoders {
            transcoders.press(now, side, digit, length);
        }
    }

    /// A digit that signalling is to tell.
    pub fn poll_press(&mut self) -> Option<Press> {
        self.transcoders.as_mut()?.poll_press()
    }

    /// What is due without a packet.
    pub fn go_on(&mut self, now: Tick, ports: [Option<&PortPair>; 2], relay: &mut Relay) {
        let Some(transcoders) = &mut self.transcoders else { return };
        let sides = [Side::A, Side::B];
        let mut locks = sides.map(|side| relay.digits(side).copied().unwrap_or_default());
        transcoders.handle_timeout(now, &mut locks, &mut |side, made| {
            let port = ports[usize::from(side == Side::B)];
            if let (Some(port), Some(to)) = (port, relay.destination(side))
                && protect::send(relay, side, (port, false), made, to)
            {
                relay.count_sent(side, made.len());
            }
        });
        for (side, lock) in sides.into_iter().zip(locks) {
            if let Some(digits) = relay.digits(side) {
                *digits = lock;
            }
        }
        if now < self.next_report {
            return;
        }
        self.next_report = now + REPORTS;
        for (side, port) in sides.into_iter().zip(ports) {
            let stream = transcoders.stream(now, side);
            let report = stream.and_then(|stream| relay.report(now, side, stream));
            if let (Some(report), Some(port)) = (report, port) {
                protect::send(relay, side, (port, report.rtcp), report.bytes(), report.to);
            }
        }
    }
}
