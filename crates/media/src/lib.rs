//! RTP and RTCP sessions: latching, relay, counters, port leases. No sockets.
//!
//! Four parts, each usable alone:
//! * [`lease`]: the brain's store of ports that the media threads have already opened, so that no call waits for a
//!   bind (`MED-2`).
//! * [`contract`]: what the brain says to the media threads and hears from them.
//! * [`session`]: the decision for each packet: from whom it is taken, to whom it goes, what it adds to the
//!   statistics (`MED-3`, `MED-5`, `MED-7`, `MED-8`). [`session::Relay`] is handed bytes and the time; the program's
//!   media threads do the system calls around it.
//! * [`digits`]: how digits travel, and the playing of those that come by signalling (`MED-15` to `MED-20`).
//! * [`quality`]: what the figures of a stream say of how it is heard (`MED-7`).
//! * [`srtp`]: encrypted streams, by keys that signalling agreed on (`MED-23`).
//! * [`transcode`]: what becomes of speech between two sides that do not carry it alike (`MED-10` to `MED-13`).

pub mod contract;
pub mod digits;
mod latch;
pub mod lease;
pub mod quality;
mod reception;
mod rtcp;
pub mod rtp;
pub mod session;
pub mod srtp;
mod transcode;

pub use contract::{
    Coding, JitterRules, Latch, MediaCommand, MediaEvent, SessionStatistics, Side, SideConfig, SideStatistics,
};
pub use digits::{Digit, DigitRules, Lock, Method, Press};
pub use lease::{PortLease, PortPool};
pub use session::{DropReason, OwnCompound, Relay, RelayEvent, Verdict};
pub use srtp::{Cipher, Key, Suite};
pub use transcode::{TICK as TRANSCODE_TICK, Transcoders};
