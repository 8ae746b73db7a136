//! Addresses and flows, as data.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Index of a listening socket in the configuration's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListenerId(pub u16);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    Wss,
}

impl Transport {
    /// As written in a Via header.
    pub fn via_name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// What a `sip:` URI says of it (RFC 3261 §19.1.1). RFC 7118 §5.2.4 has one word for both kinds of WebSocket.
    pub fn uri_parameter(self) -> &'static str {
        match self {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
            Transport::Ws | Transport::Wss => ";transport=ws",
        }
    }

    /// RFC 3261 §19.1.2.
    pub fn default_port(self) -> u16 {
        if self.is_secure() { 5061 } else { 5060 }
    }

    pub fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// RFC 7118 §5: it is always the browser that connects.
    pub fn is_websocket(self) -> bool {
        matches!(self, Transport::Ws | Transport::Wss)
    }

    /// RFC 3261 §17: reliable transports need no retransmission.
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        })
    }
}

/// The way a message came, or is to go: our listener, the peer's address, and for connections their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flow {
    pub listener: ListenerId,
    pub transport: Transport,
    pub remote: SocketAddr,
    /// Number of the connection; 0 for UDP, and for "connect when there is none to this address".
    pub connection: u64,
}

/// Unmapped form of an address: `::ffff:a.b.c.d` is `a.b.c.d`, so that one peer is never two in a trust list.
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// A CIDR block; a single address is a block of full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    pub address: IpAddr,
    pub length: u8,
}

impl Cidr {
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, length) = match text.split_once('/') {
            Some((a, l)) => (a.parse::<IpAddr>().ok()?.to_canonical(), Some(l.parse::<u8>().ok()?)),
            None => (text.parse::<IpAddr>().ok()?.to_canonical(), None),
        };
        let full = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(full);
        (length <= full).then_some(Cidr { address, length })
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                u32::from(a) & mask == u32::from(b) & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                u128::from(a) & mask == u128::from(b) & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = if self.address.is_ipv4() { 32 } else { 128 };
        if self.length == full {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

/// Our own addresses, to answer "which of them would `remote` reach us at?" without a system call.
/// The shell fills it from the interface list; the order is by preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    /// The networks we are on, with our address in each.
    pub interfaces: Vec<(Cidr, IpAddr)>,
    /// Our address towards the rest of the world, IPv4 and IPv6.
    pub default_v4: Option<IpAddr>,
    pub default_v6: Option<IpAddr>,
}

impl LocalAddresses {
    pub fn toward(&self, remote: IpAddr) -> Option<IpAddr> {
        let remote = remote.to_canonical();
        let on_link = self.interfaces.iter().filter(|(net, _)| net.contains(remote));
        let nearest = on_link.max_by_key(|(net, _)| net.length).map(|(_, ip)| *ip);
        nearest.or(if remote.is_ipv4() { self.default_v4 } else { self.default_v6 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidr_blocks() {
        for (block, ip, want) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("10.0.0.0/8", "10.200.3.4", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("::1", "::1", true),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
        ] {
            let cidr = Cidr::parse(block).unwrap();
            assert_eq!(cidr.contains(ip.parse().unwrap()), want, "{block} {ip}");
        }
        assert_eq!(Cidr::parse("10.0.0.0/33"), None);
        assert_eq!(Cidr::parse("10.0.0"), None);
    }
}
