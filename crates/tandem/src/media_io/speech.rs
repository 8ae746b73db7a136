//! Speech that is converted on its way: [`media::Transcoders`] with a session's sockets.
//!
//! One packet is one `sendto`: a converted packet costs a hundred times its system call.

use super::ports::PortPair;
use media::{Coding, Relay, Side, Transcoders};
use rustix::net::SendFlags;
use std::net::SocketAddr;
use vocab::Tick;

pub use media::TRANSCODE_TICK as TICK;

/// The converter of a session, if it needs one. Made when both sides are agreed, not for a packet.
#[derive(Default)]
pub struct Speech(Option<Box<Transcoders>>);

impl Speech {
    /// Follows what the sides agreed on; the same agreement again changes nothing. Says whether speech is converted.
    pub fn agree(&mut self, codings: Option<(Coding, Coding)>) -> bool {
        if self.0.as_ref().map(|t| t.codings()) != codings {
            self.0 = codings.map(|(a, b)| Box::new(Transcoders::new(a, b)));
        }
        self.0.is_some()
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
        let Some(transcoders) = &mut self.0 else { return };
        transcoders.handle_packet(now, side, packet, &mut |made| {
            if send(out, made, to) {
                relay.count_sent(side.other(), made.len());
            }
        });
    }

    /// What is due without a packet.
    pub fn go_on(&mut self, now: Tick, ports: [Option<&PortPair>; 2], relay: &mut Relay) {
        let Some(transcoders) = &mut self.0 else { return };
        transcoders.handle_timeout(now, &mut |side, made| {
            let port = ports[usize::from(side == Side::B)];
            if let (Some(port), Some(to)) = (port, relay.destination(side))
                && send(port, made, to)
            {
                relay.count_sent(side, made.len());
            }
        });
    }
}

/// What the kernel refuses is lost, as RTP may be.
fn send(port: &PortPair, packet: &[u8], to: SocketAddr) -> bool {
    rustix::net::sendto(port.socket(false), packet, SendFlags::DONTWAIT, &to).is_ok()
}
