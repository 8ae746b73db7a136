//! The contract between the brain and the media threads: commands down, events up, all plain data.

use crate::digits::{Digit, DigitRules, Method};
use crate::lease::PortLease;
use crate::srtp::Cipher;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use vocab::MediaSessionId;

/// What the brain asks of the media threads. All leases of one session belong to one thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaCommand {
    /// Make this many more port pairs ready; answered by `Ready`, and by `PrepareFailed` for what is missing.
    Prepare { count: u32, v6: bool },
    /// Start relaying. Without `b` the session only listens on side A until `SetSide` brings the other one.
    Open { session: MediaSessionId, a: SideConfig, b: Option<SideConfig> },
    /// Go on with a session of the process before this one, on the same ports: they are opened first, then peers' addresses
    /// and counters are as in `figures`. Comes before any `Prepare`, with leases of [`crate::PortPool::take_up`].
    /// Answered by `FirstPacket` of each side that is heard again, or by `ReopenFailed`.
    Reopen { session: MediaSessionId, a: SideConfig, b: SideConfig, figures: Box<SessionStatistics> },
    /// Replace one side, or set or refresh its remote after SDP. A fresh lease (failover) starts the side anew, so
    /// that a failed vendor's late packets never reach the caller; its old port goes into quarantine.
    SetSide { session: MediaSessionId, side: Side, config: SideConfig },
    /// The peer on `side` has pressed a digit, as its signalling says. It goes on to the other side, unless digits of
    /// this one are taken another way (`MED-16`).
    Press { session: MediaSessionId, side: Side, digit: Digit, length_ms: u32 },
    /// End the session; answered by `Closed`. Its ports are reported `Ready` again after their quarantine.
    Close { session: MediaSessionId },
}

/// What the media threads tell the brain.
#[allow(
    clippy::large_enum_variant,
    reason = "one `Closed` a call: an allocation would cost more than the copy"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaEvent {
    /// Port pairs that may be leased: newly opened, or back from quarantine.
    Ready(Vec<PortLease>),
    /// The range is used up, or the system refused more sockets.
    PrepareFailed { wanted: u32, v6: bool },
    /// The ports of a session cannot be opened again; there is no such session, and they are not on lease.
    ReopenFailed { session: MediaSessionId },
    /// The first valid media packet from this side, since `Open` or `Reopen`.
    FirstPacket { session: MediaSessionId, side: Side },
    /// Nothing came from this side for as long as its `watch` says. Told once until media comes again.
    Silent { session: MediaSessionId, side: Side },
    /// A digit of the other side is to be told to this one by signalling.
    Pressed { session: MediaSessionId, to: Side, digit: Digit, length_ms: u32 },
    /// Sessions that changed since the last report, about once a second.
    Statistics(Vec<SessionStatistics>),
    /// The final figures, answering `Close`.
    Closed(SessionStatistics),
}

/// Of a session: A is the caller's side, B the vendor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    A,
    B,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

/// From which address a peer's media is taken (`MED-3`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latch {
    /// Only ever from and to the address in its SDP.
    Fixed,
    /// Symmetric RTP: from the SDP address at once, from another one after a few consistent RTP packets.
    Learn,
    /// As `Learn`, but other addresses only with this IP: where the signalling of a peer behind NAT comes from.
    LearnFrom(IpAddr),
}

/// One side of a session as SDP agreed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideConfig {
    /// Our port pair towards this peer.
    pub lease: PortLease,
    /// Where the peer's SDP wants its media; `None` until known.
    pub remote: Option<SocketAddr>,
    /// From `a=rtcp` (RFC 3605); `None`: one above the media port.
    pub rtcp_remote: Option<SocketAddr>,
    /// RFC 5761: RTCP to this peer goes through the media port.
    pub rtcp_mux: bool,
    pub latch: Latch,
    /// This configuration comes from new SDP: the address may be learned again.
    pub relearn: bool,
    /// The peer may send to us (it is not on hold).
    pub sends: bool,
    /// We forward to the peer.
    pub receives: bool,
    /// Milliseconds without media from this peer after which `Silent` is told; `None` on hold or when off.
    pub watch: Option<u32>,
    /// Clock of the RTP timestamps in Hz, for the jitter.
    pub clock_rate: u32,
    /// How speech is carried to and from this peer. Where both sides have one and they differ, the media threads
    /// convert (`MED-10`); otherwise packets pass as they are.
    pub coding: Option<Coding>,
    /// What protects the packets to and from this peer. Keys are written nowhere but into session descriptions.
    #[serde(skip)]
    pub cipher: Option<Cipher>,
    /// The stream is RTP. Otherwise (UDPTL of T.38) datagrams pass without a look inside.
    pub rtp: bool,
}

impl SideConfig {
    /// An audio side on this port, both ways, learning, with an unknown peer.
    pub fn new(lease: PortLease) -> SideConfig {
        SideConfig {
            lease,
            remote: None,
            rtcp_remote: None,
            rtcp_mux: false,
            latch: Latch::Learn,
            relearn: false,
            sends: true,
            receives: true,
            watch: None,
            clock_rate: 8000,
            coding: None,
            cipher: None,
            rtp: true,
        }
    }
}

/// How speech and digits are carried on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coding {
    /// `None`: one that we cannot make; its packets pass.
    pub codec: Option<codec::Kind>,
    pub payload_type: u8,
    /// Speech in a packet that we send, in ms: a multiple of 10 up to 60.
    pub packet_ms: u8,
    /// Payload type of telephone events (RFC 4733) to this peer, when they were agreed.
    pub events: Option<u8>,
    /// The one that this peer was told; it may send either.
    pub events_told: Option<u8>,
    /// How much louder speech is made that we send, in dB (`SS_VOICEGAIN`).
    pub gain_db: i8,
    pub digits: DigitRules,
    /// The buffer for packets of this peer, where speech is converted; `None`: each is converted when it comes.
    pub jitter: Option<JitterRules>,
}

/// How deep a jitter buffer is (`MED-13`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JitterRules {
    /// It follows the network; otherwise it stays as at the start.
    pub adaptive: bool,
    pub min_ms: u16,
    pub max_ms: u16,
    pub start_ms: u16,
}

impl Coding {
    /// A codec under its usual number, in packets of 20 ms, without events.
    pub fn new(codec: codec::Kind) -> Coding {
        Coding {
            codec: Some(codec),
            payload_type: codec.static_payload_type(),
            packet_ms: 20,
            events: None,
            events_told: None,
            gain_db: 0,
            digits: DigitRules::EVENTS,
            jitter: None,
        }
    }

    pub fn is_event(&self, payload_type: u8) -> bool {
        [self.events, self.events_told].contains(&Some(payload_type))
    }

    /// Speech needs no conversion between the two.
    pub fn carries_like(&self, to: &Coding) -> bool {
        self.codec == to.codec && self.packet_ms == to.packet_ms && self.gain_db == 0 && to.gain_db == 0
    }

    /// Packets from here may go to `to` untouched.
    pub fn passes_to(&self, to: &Coding) -> bool {
        let has_events = self.events.is_some() || self.events_told.is_some();
        let events_pass = self.digits.takes_events()
            && to.digits.send == Method::Events
            && to.events.is_some_and(|number| {
                [self.events, self.events_told].into_iter().flatten().all(|own| own == number)
            });
        self.carries_like(to) && !self.digits.looks_for_tones() && (!has_events || events_pass)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatistics {
    pub session: MediaSessionId,
    pub a: SideStatistics,
    pub b: SideStatistics,
}

/// Figures of one side. "In" is from this peer to us, "out" from us to this peer. RTP only, unless it says RTCP;
/// bytes are those of the UDP payload. Since the side's lease was put in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideStatistics {
    pub packets_in: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub bytes_out: u64,
    pub rtcp_in: u64,
    pub rtcp_out: u64,
    /// Missing sequence numbers (RFC 3550 A.3, but with duplicates told apart).
    pub lost: u64,
    pub duplicated: u64,
    /// Came after a packet with a higher sequence number.
    pub reordered: u64,
    /// Dropped: not from the peer.
    pub rejected: u64,
    /// Dropped: from anywhere, but not RTP or RTCP.
    pub invalid: u64,
    /// Interarrival jitter now (RFC 3550 A.8), and the highest it has been.
    pub jitter_us: u32,
    pub jitter_max_us: u32,
    /// Round trip between us and this peer, from its RTCP reports.
    pub rtt_us: Option<u32>,
    /// What the peer reports as lost of the packets sent to it (cumulative, may be negative by duplicates).
    pub reported_lost: Option<i32>,
    /// Of the last packet that was audio: neither an event nor comfort noise.
    pub payload_type: Option<u8>,
    /// The address that this side is locked to.
    pub latched: Option<SocketAddr>,
    /// How digits of this peer came (`MED-16`).
    pub digits: Option<Method>,
    /// Jitter of the packets to this peer, as it reports it.
    pub reported_jitter_us: Option<u32>,
    /// Of protected streams: how often the sequence number has turned, of packets to this peer and from it.
    pub turns: (u32, u32),
}
