//! Tests as data in the language of the trade: call flows as ladders, in text files.
//!
//! ```text
//! scenario failover on 503
//! config: customer acme prepaid 10.00 retail 880=0.0300/60/6 ; vendor v1 prio 1 880=0.02/1/1
//! config: vendor v2 prio 2 880=0.025/1/1
//! alice -> INVITE 8801712345678 sdp     # a peer sends
//! alice <- 100                          # a peer must get this next
//! v1 <- INVITE sdp
//! v1 -> 503
//! v1 <- ACK
//! v2 <- INVITE sdp
//! wait 61                               # nothing may come meanwhile
//! v2 <- CANCEL after 20                 # comes 20 s after the step before
//! cdr: attempts=2 end_reason=response_timeout
//! ledger: acme=10.00
//! ```
//!
//! The runner is strict. Peers do nothing by themselves; every message that the switch sends must be expected, in the
//! order in which it comes to that peer; each CDR must be accounted for; and in the end the switch must be idle: no
//! calls, legs, ports, reservations. The whole grammar stands in `scenarios/README.md`.

mod grammar;
mod runner;

pub use grammar::{Scenario, parse};
pub use runner::run;
