//! The media doctor (`BEY-13`): which side is silent and why, a few seconds after the answer.
//!
//! It looks at what each peer's session description says and at the figures of the relay. A side that may be silent,
//! because it is on hold, is not.

use media::{Side, SideConfig, SideStatistics};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How long after the answer it is asked first.
pub const AFTER_S: u64 = 3;
/// As many packets a second come of speech at least; fewer in three seconds than this is silence.
const FEW_PACKETS: u64 = 5;
/// Speech of which more than a quarter is lost is not understood.
const MUCH_LOST_PERCENT: u64 = 25;

/// Why a side is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// Nothing came, and its session description has an address that cannot be reached from outside.
    PrivateAddress,
    /// Nothing came, and its session description has no address.
    NoAddress,
    /// Its packets come from elsewhere than they may and are dropped.
    WrongSource,
    /// What comes is neither RTP nor RTCP.
    NotRtp,
    /// Only RTCP comes.
    OnlyRtcp,
    /// Packets are longer than speech of this codec is: they are encrypted, and that was not agreed.
    Encrypted,
    /// It sends a codec that was not agreed.
    WrongCodec,
    /// It sent, and has stopped.
    Stopped,
    /// More than a quarter of what it sends is lost on the way.
    Lossy,
    /// Its session description says that it sends nothing, or nothing now.
    OnHold,
    /// We do not know where to send what the other side says.
    NowhereToSend,
    /// Nothing came, and there is no other sign.
    SendsNothing,
}

/// The doctor's word on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentSide {
    pub side: Side,
    pub why: Silence,
}

impl Silence {
    pub fn key(self) -> &'static str {
        match self {
            Silence::PrivateAddress => "private_address",
            Silence::NoAddress => "no_address",
            Silence::WrongSource => "wrong_source",
            Silence::NotRtp => "not_rtp",
            Silence::OnlyRtcp => "only_rtcp",
            Silence::Encrypted => "encrypted",
            Silence::WrongCodec => "wrong_codec",
            Silence::Stopped => "stopped",
            Silence::Lossy => "lossy",
            Silence::OnHold => "on_hold",
            Silence::NowhereToSend => "nowhere_to_send",
            Silence::SendsNothing => "sends_nothing",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Silence::PrivateAddress => {
                "sends no media, and its session description has a private address that cannot be reached from outside"
            }
            Silence::NoAddress => "sends no media, and its session description has no address",
            Silence::WrongSource => {
                "sends its media from another address than its session description says, and it is dropped"
            }
            Silence::NotRtp => "sends packets to the media port that are no RTP",
            Silence::OnlyRtcp => "sends RTCP only, no speech",
            Silence::Encrypted => {
                "sends packets that are longer than its codec's: they seem to be encrypted, which was not agreed"
            }
            Silence::WrongCodec => "sends a codec that was not agreed",
            Silence::Stopped => "sent media and has stopped",
            Silence::Lossy => "is heard in pieces: more than a quarter of its packets are lost on the way",
            Silence::OnHold => "has put the call on hold: it sends nothing by its own session description",
            Silence::NowhereToSend => "cannot hear: where its media is to go is not known",
            Silence::SendsNothing => "sends no media at all",
        }
    }
}

impl SilentSide {
    pub fn words(&self) -> String {
        let who = if self.side == Side::A { "the caller" } else { "the gateway" };
        format!("{who} {}", self.why.words())
    }
}

/// What the doctor looks at: one side as it was agreed, with its figures.
#[derive(Clone, Copy, Debug)]
pub struct Patient<'a> {
    pub side: Side,
    pub config: &'a SideConfig,
    /// Address in its session description, as it was before the relay learned anything.
    pub described: Option<std::net::SocketAddr>,
    /// Where its signalling comes from.
    pub signalling: IpAddr,
    pub now: &'a SideStatistics,
    /// As they were a second or more before.
    pub before: &'a SideStatistics,
}

/// One side: `None` when it is heard.
pub fn examine(patient: &Patient<'_>) -> Option<SilentSide> {
    why(patient).map(|why| SilentSide { side: patient.side, why })
}

fn why(p: &Patient<'_>) -> Option<Silence> {
    let (now, before) = (p.now, p.before);
    if !p.config.rtp {
        return None;
    }
    let moving = now.packets_in > before.packets_in;
    if !p.config.sends {
        return (!moving).then_some(Silence::OnHold);
    }
    if now.packets_in < FEW_PACKETS {
        return Some(nothing_came(p));
    }
    if !moving {
        return Some(Silence::Stopped);
    }
    if wrong_codec(p) {
        return Some(Silence::WrongCodec);
    }
    if encrypted(p) {
        return Some(Silence::Encrypted);
    }
    let sent = now.packets_in.saturating_add(now.lost);
    if now.lost.saturating_mul(100) > sent.saturating_mul(MUCH_LOST_PERCENT) {
        return Some(Silence::Lossy);
    }
    (p.config.receives && p.config.remote.is_none() && now.latched.is_none())
        .then_some(Silence::NowhereToSend)
}

fn nothing_came(p: &Patient<'_>) -> Silence {
    let now = p.now;
    if now.rejected >= FEW_PACKETS {
        return Silence::WrongSource;
    }
    if now.invalid >= FEW_PACKETS {
        return Silence::NotRtp;
    }
    match p.described {
        None => return Silence::NoAddress,
        Some(address) if address.ip().is_unspecified() => return Silence::NoAddress,
        Some(address) if unreachable_from(address.ip(), p.signalling) => return Silence::PrivateAddress,
        Some(_) => {}
    }
    if now.rtcp_in > 0 { Silence::OnlyRtcp } else { Silence::SendsNothing }
}

/// An address that means something in its own network only.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // RFC 6598: shared by the customers of one carrier.
            let shared = a == 100 && (64..128).contains(&b);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Is this an address of a network of its own, while the peer signals from elsewhere?
pub fn unreachable_from(described: IpAddr, signalling: IpAddr) -> bool {
    let (described, signalling) = (described.to_canonical(), signalling.to_canonical());
    let same_kind = is_private(described) && is_private(signalling) && near(described, signalling);
    is_private(described) && described != signalling && !same_kind
}

/// In one network as far as one can tell from addresses: the same first two bytes, or six of IPv6.
fn near(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..2] == b.octets()[..2],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets()[..6] == b.octets()[..6],
        _ => false,
    }
}

fn wrong_codec(p: &Patient<'_>) -> bool {
    match (p.config.coding, p.now.payload_type) {
        (Some(agreed), Some(sent)) => sent != agreed.payload_type && Some(sent) != agreed.events,
        _ => false,
    }
}

/// Bytes of speech in a packet when nothing is added, by payload types whose rate is fixed (RFC 3551 §6).
fn whole_frames(payload_type: u8) -> Option<u64> {
    match payload_type {
        // Eight bytes a millisecond, in steps of ten.
        0 | 8 | 9 => Some(80),
        3 => Some(33),
        18 => Some(10),
        _ => None,
    }
}

/// SRTP adds 4 or 10 bytes of tag (RFC 3711 §4.2.1), which no whole number of frames leaves room for.
fn encrypted(p: &Patient<'_>) -> bool {
    let (packets, bytes) =
        (p.now.packets_in - p.before.packets_in, p.now.bytes_in.saturating_sub(p.before.bytes_in));
    let Some(frame) = p.now.payload_type.and_then(whole_frames) else { return false };
    let (Some(size), true) = (bytes.checked_div(packets), bytes.is_multiple_of(packets.max(1))) else {
        return false;
    };
    let speech = size.saturating_sub(12);
    // G.729 has frames of ten bytes, so that a tag of ten is no sign there.
    let tags: &[u64] = if frame == 10 { &[4] } else { &[4, 10] };
    tags.iter().any(|tag| speech > *tag && speech % frame == tag % frame && !speech.is_multiple_of(frame))
}
