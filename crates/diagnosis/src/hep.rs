//! HEP3, the encapsulation that Homer takes: one datagram for a message, with the addresses, the time, and one
//! correlation id for both legs of a call.

use crate::capture::Message;
use std::net::{IpAddr, SocketAddr};
use vocab::Transport;

/// What is longer is cut off, so that the whole fits into a datagram.
const LONGEST_PAYLOAD: usize = 60_000;

/// Chunk types of the generic vendor (0).
mod chunk {
    pub const FAMILY: u16 = 1;
    pub const PROTOCOL: u16 = 2;
    pub const SOURCE_V4: u16 = 3;
    pub const DESTINATION_V4: u16 = 4;
    pub const SOURCE_V6: u16 = 5;
    pub const DESTINATION_V6: u16 = 6;
    pub const SOURCE_PORT: u16 = 7;
    pub const DESTINATION_PORT: u16 = 8;
    pub const SECONDS: u16 = 9;
    pub const MICROSECONDS: u16 = 10;
    pub const KIND: u16 = 11;
    pub const AGENT: u16 = 12;
    pub const PAYLOAD: u16 = 15;
    pub const CORRELATION: u16 = 17;
}

/// Kind of payload: SIP.
const SIP: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Writes the packet into `out`, which is emptied first.
pub fn encode(out: &mut Vec<u8>, message: &Message, agent: u32, correlation: &str) {
    let (source, destination) = match message.incoming {
        true => (message.remote, message.local),
        false => (message.local, message.remote),
    };
    out.clear();
    out.extend(b"HEP3\0\0");
    let v4 = source.is_ipv4() && destination.is_ipv4();
    put(out, chunk::FAMILY, &[if v4 { IPV4 } else { IPV6 }]);
    put(out, chunk::PROTOCOL, &[if message.transport == Transport::Udp { 17 } else { 6 }]);
    put_address(out, v4, source, chunk::SOURCE_V4, chunk::SOURCE_V6);
    put_address(out, v4, destination, chunk::DESTINATION_V4, chunk::DESTINATION_V6);
    put(out, chunk::SOURCE_PORT, &source.port().to_be_bytes());
    put(out, chunk::DESTINATION_PORT, &destination.port().to_be_bytes());
    let seconds = u32::try_from(message.at.0.div_euclid(1_000_000)).unwrap_or(0);
    let micros = u32::try_from(message.at.0.rem_euclid(1_000_000)).unwrap_or(0);
    put(out, chunk::SECONDS, &seconds.to_be_bytes());
    put(out, chunk::MICROSECONDS, &micros.to_be_bytes());
    put(out, chunk::KIND, &[SIP]);
    put(out, chunk::AGENT, &agent.to_be_bytes());
    put(out, chunk::CORRELATION, correlation.as_bytes().get(..1024).unwrap_or(correlation.as_bytes()));
    put(out, chunk::PAYLOAD, message.bytes.get(..LONGEST_PAYLOAD).unwrap_or(&message.bytes));
    let length = u16::try_from(out.len()).unwrap_or(u16::MAX).to_be_bytes();
    out[4..6].copy_from_slice(&length);
}

fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 6).unwrap_or(u16::MAX);
    out.extend([0, 0]);
    out.extend(kind.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend(value);
}

fn put_address(out: &mut Vec<u8>, v4: bool, address: SocketAddr, kind_v4: u16, kind_v6: u16) {
    match address.ip() {
        IpAddr::V4(ip) if v4 => put(out, kind_v4, &ip.octets()),
        IpAddr::V4(ip) => put(out, kind_v6, &ip.to_ipv6_mapped().octets()),
        IpAddr::V6(ip) => put(out, kind_v6, &ip.octets()),
    }
}
