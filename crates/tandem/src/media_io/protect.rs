//! Packets of sessions with a protected side: opened before the relay reads them, sealed before they go.

use super::mmsg::{BUFFER, Batch};
use super::ports::PortPair;
use super::thread::Session;
use media::{DropReason, Relay, Side, Verdict};
use rustix::net::SendFlags;
use std::net::SocketAddr;
use vocab::Tick;

/// Handles packet `i` of the batch, as `Relay::handle_packet` does with a plain one. What is to be forwarded stands in
/// its place then.
pub fn take(
    now: Tick,
    session: &mut Session,
    batch: &mut Batch,
    i: usize,
    (side, rtcp): (Side, bool),
    out: Option<&PortPair>,
) -> Verdict {
    let mut buffer = [0; BUFFER];
    let Some((source, packet)) = batch.packet(i) else { return Verdict::Drop(DropReason::Invalid) };
    let Some(place) = buffer.get_mut(..packet.len()) else { return Verdict::Drop(DropReason::Invalid) };
    place.copy_from_slice(packet);
    let relay = &mut session.relay;
    let Some(opened) = relay.open(side, place) else { return Verdict::Drop(DropReason::WrongSource) };
    let verdict = relay.handle_packet(now, side, rtcp, source, opened);
    let len = opened.len();
    match (verdict, out) {
        (Verdict::Transcode { to }, Some(out)) => {
            session.speech.hear(now, side, &buffer[..len], (out, to), relay);
            verdict
        }
        (Verdict::Forward { .. }, Some(_)) => {
            let sealed = relay.seal(side.other(), &mut buffer, len);
            let ready = sealed.and_then(|len| buffer.get(..len)).is_some_and(|bytes| batch.replace(i, bytes));
            if ready { verdict } else { Verdict::Drop(DropReason::NoDestination) }
        }
        _ => verdict,
    }
}

/// Sends a packet of ours to the peer on `side`, protected if need be. What the kernel refuses is lost, as RTP may be.
pub fn send(
    relay: &mut Relay,
    side: Side,
    (port, rtcp): (&PortPair, bool),
    packet: &[u8],
    to: SocketAddr,
) -> bool {
    let sent = |bytes: &[u8]| rustix::net::sendto(port.socket(rtcp), bytes, SendFlags::DONTWAIT, &to).is_ok();
    if !relay.is_guarded() {
        return sent(packet);
    }
    let mut buffer = [0; BUFFER];
    let Some(place) = buffer.get_mut(..packet.len()) else { return false };
    place.copy_from_slice(packet);
    let sealed = relay.seal(side, &mut buffer, packet.len());
    sealed.and_then(|len| buffer.get(..len)).is_some_and(sent)
}
