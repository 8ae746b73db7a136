//! What two sides agree to exchange: media streams, their addresses and formats.
//!
//! Modelled on SDP (RFC 8866) because that is what both sides of most calls speak, but as structure: an H.323
//! leg builds the same from its logical channels. Lines that Tandem does not interpret are kept in order, so
//! that a session passes through unharmed (T.38, clear mode, vendor attributes).

use serde::{Deserialize, Serialize};
pub use smol_str::SmolStr;
use std::net::{IpAddr, SocketAddr};

/// An address in a `c=` line: mostly an IP, seldom a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Host {
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Ip(ip) => Some(*ip),
            Host::Name(_) => None,
        }
    }
}

/// RFC 3264 §5.1: seen from the side that wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    pub fn from_name(name: &str) -> Option<Direction> {
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            .into_iter()
            .find(|d| d.name() == name)
    }

    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
}

/// `a=name` or `a=name:value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    pub name: SmolStr,
    pub value: Option<SmolStr>,
}

/// One session description. The `o=` line is not kept: each leg writes its own (user, id, version), because a
/// back-to-back user agent is the origin of what it sends (RFC 3264 §8: the version grows by one per change).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDescription {
    /// Session-level `c=`, the default of every stream.
    pub address: Option<Host>,
    /// Session-level direction attribute, the default of every stream.
    pub direction: Option<Direction>,
    /// Session-level `b=` lines, values as written.
    pub bandwidth: Vec<SmolStr>,
    /// Session-level attributes other than the direction.
    pub attributes: Vec<Attribute>,
    pub media: Vec<MediaDescription>,
}

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaDescription {
    /// `audio`, `video`, `image`, … as written.
    pub kind: SmolStr,
    /// 0: the stream is refused or off.
    pub port: u16,
    /// `RTP/AVP`, `udptl`, … as written.
    pub protocol: SmolStr,
    /// Payload numbers or format names, in order of preference.
    pub formats: Vec<SmolStr>,
    /// This stream's `c=`, when it has its own.
    pub address: Option<Host>,
    pub direction: Option<Direction>,
    pub bandwidth: Vec<SmolStr>,
    /// All attributes but the direction, in order (`rtpmap`, `fmtp`, `ptime`, `rtcp`, …).
    pub attributes: Vec<Attribute>,
}

impl SessionDescription {
    /// Where the peer wants the media of stream `index`: its `c=` or the session's, with its port.
    /// `None` for a refused stream, a name, or a missing address.
    pub fn media_address(&self, index: usize) -> Option<SocketAddr> {
        let media = self.media.get(index)?;
        let host = media.address.as_ref().or(self.address.as_ref())?;
        (media.port != 0).then_some(SocketAddr::new(host.ip()?, media.port))
    }

    /// Direction of stream `index`: its own, else the session's, else sendrecv (RFC 8866 §6.7). An address of
    /// 0.0.0.0 is the old form of hold (RFC 2543 §B.5) and reads as inactive receiving.
    pub fn media_direction(&self, index: usize) -> Direction {
        let own = self.media.get(index).and_then(|m| m.direction).or(self.direction).unwrap_or_default();
        let held = self.media_address(index).is_some_and(|a| a.ip().is_unspecified());
        match (held, own) {
            (false, d) => d,
            (true, d) if d.sends() => Direction::SendOnly,
            (true, _) => Direction::Inactive,
        }
    }

    /// Index of the first audio stream that is not refused.
    pub fn audio(&self) -> Option<usize> {
        self.media.iter().position(|m| m.kind == "audio" && m.port != 0)
    }
}

impl MediaDescription {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.name == name).map(|a| a.value.as_deref().unwrap_or(""))
    }

    pub fn is_rtp(&self) -> bool {
        self.protocol.starts_with("RTP/")
    }

    /// The encoding name of a payload number: from `rtpmap`, else from the static table of RFC 3551 §6.
    pub fn encoding(&self, payload: &str) -> Option<&str> {
        let mapped = self.attributes.iter().filter(|a| a.name == "rtpmap").find_map(|a| {
            let (number, encoding) = a.value.as_deref()?.split_once(' ')?;
            (number == payload).then(|| encoding.trim().split('/').next().unwrap_or(""))
        });
        mapped.or(match payload {
            "0" => Some("PCMU"),
            "3" => Some("GSM"),
            "4" => Some("G723"),
            "8" => Some("PCMA"),
            "9" => Some("G722"),
            "13" => Some("CN"),
            "18" => Some("G729"),
            _ => None,
        })
    }

    /// The codec that will be used when this is an answer: the first format that is neither events nor noise.
    pub fn first_codec(&self) -> Option<&str> {
        self.formats
            .iter()
            .filter_map(|f| self.encoding(f))
            .find(|e| !e.eq_ignore_ascii_case("telephone-event") && !e.eq_ignore_ascii_case("CN"))
    }
}
