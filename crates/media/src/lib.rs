//! RTP and RTCP sessions: latching, relay, counters, port leases. No sockets.
//!
//! Three parts, each usable alone:
//! * [`lease`]: the brain's store of ports that the media threads have already opened, so that no call waits for a
//!   bind (`MED-2`).
//! * [`contract`]: what the brain says to the media threads and hears from them.
//! * [`session`]: the decision for each packet: from whom it is taken, to whom it goes, what it adds to the
//!   statistics (`MED-3`, `MED-5`, `MED-7`, `MED-8`). [`session::Relay`] is handed bytes and the time; the program's
//!   media threads do the system calls around it.

pub mod contract;
mod latch;
pub mod lease;
mod reception;
mod rtcp;
pub mod rtp;
pub mod session;

pub use contract::{Latch, MediaCommand, MediaEvent, SessionStatistics, Side, SideConfig, SideStatistics};
pub use lease::{PortLease, PortPool};
pub use session::{DropReason, Relay, RelayEvent, Verdict};
