//! Captures as a pcap file of raw IP packets (link type 101), which Wireshark and tshark open as calls. Messages of
//! connections become TCP segments with running numbers.

use crate::capture::{Capture, Message};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use vocab::Transport;

const LINKTYPE_RAW: u32 = 101;
/// No IPv4 packet is longer.
const LONGEST: usize = 65_535;
/// What fits into one with the longest headers that we write.
const LONGEST_PAYLOAD: usize = LONGEST - 60;

/// The captures' messages, in the order of time.
pub fn file<'a>(captures: impl IntoIterator<Item = &'a Capture>) -> Vec<u8> {
    let mut messages: Vec<&Message> = captures.into_iter().flat_map(|c| &c.messages).collect();
    messages.sort_by_key(|m| m.at);
    let mut out = Vec::new();
    // Magic of microseconds, version 2.4, no offset of time zone, no accuracy, longest packet, link type.
    for word in [0xa1b2_c3d4, 0x0002_0004u32.rotate_left(16), 0, 0, 0x0004_0000, LINKTYPE_RAW] {
        out.extend(word.to_le_bytes());
    }
    let mut streams: HashMap<(SocketAddr, SocketAddr), u32> = HashMap::new();
    for message in messages {
        let (source, destination) =
            if message.incoming { (message.remote, message.local) } else { (message.local, message.remote) };
        for piece in message.bytes.chunks(LONGEST_PAYLOAD) {
            let packet = match message.transport {
                Transport::Udp => packet(source, destination, 17, &udp(source, destination, piece)),
                _ => {
                    let acknowledged = streams.get(&(destination, source)).copied().unwrap_or(1);
                    let sent = streams.entry((source, destination)).or_insert(1);
                    let segment = tcp(source, destination, *sent, acknowledged, piece);
                    *sent = sent.wrapping_add(u32::try_from(piece.len()).unwrap_or(0));
                    packet(source, destination, 6, &segment)
                }
            };
            record(&mut out, message.at.0, &packet);
        }
    }
    out
}

fn record(out: &mut Vec<u8>, at_us: i64, packet: &[u8]) {
    let seconds = u32::try_from(at_us.div_euclid(1_000_000)).unwrap_or(0);
    let micros = u32::try_from(at_us.rem_euclid(1_000_000)).unwrap_or(0);
    let length = u32::try_from(packet.len()).unwrap_or(0);
    for word in [seconds, micros, length, length] {
        out.extend(word.to_le_bytes());
    }
    out.extend(packet);
}

fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX);
    let mut datagram = Vec::with_capacity(payload.len() + 8);
    datagram.extend(source.port().to_be_bytes());
    datagram.extend(destination.port().to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let sum = checksum(&[&pseudo(source, destination, 17, datagram.len()), &datagram]);
    // RFC 768: 0 would mean that there is none.
    let sum = if sum == 0 { 0xffff } else { sum };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

fn tcp(
    source: SocketAddr,
    destination: SocketAddr,
    sequence: u32,
    acknowledged: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = Vec::with_capacity(payload.len() + 20);
    segment.extend(source.port().to_be_bytes());
    segment.extend(destination.port().to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledged.to_be_bytes());
    // Header of five words; PSH and ACK; a window.
    segment.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    let sum = checksum(&[&pseudo(source, destination, 6, segment.len()), &segment]);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// The IP packet. Addresses of different families are both written as IPv6.
fn packet(source: SocketAddr, destination: SocketAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 40);
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = u16::try_from(payload.len() + 20).unwrap_or(u16::MAX).to_be_bytes();
            out.extend([0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, protocol, 0, 0]);
            out.extend(from.octets());
            out.extend(to.octets());
            let sum = checksum(&[&out]);
            out[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (from, to) => {
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
            out.extend([0x60, 0, 0, 0, length[0], length[1], protocol, 64]);
            out.extend(v6(from));
            out.extend(v6(to));
        }
    }
    out.extend(payload);
    out
}

fn v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// What the checksums of UDP and TCP count besides their own bytes.
fn pseudo(source: SocketAddr, destination: SocketAddr, protocol: u8, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(0).to_be_bytes();
    let mut out = Vec::with_capacity(40);
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend(from.octets());
            out.extend(to.octets());
            out.extend([0, protocol, length[2], length[3]]);
        }
        (from, to) => {
            out.extend(v6(from));
            out.extend(v6(to));
            out.extend(length);
            out.extend([0, 0, 0, protocol]);
        }
    }
    out
}

/// RFC 1071. All parts but the last are of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_example() {
        // RFC 1071 §3.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        let header =
            [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
        assert_eq!(checksum(&[&header]), 0xb861);
    }
}
