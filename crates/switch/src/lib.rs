//! The brain: every call, every credit reservation and every capacity counter, as one pure state machine.
//!
//! It does no I/O, reads no clock, draws no random number. Bytes, time, configuration and answers come in through
//! [`Switch::handle_input`]; datagrams, media commands, journal records and replies go out through
//! [`Switch::poll_output`]. The same code runs in the program and, on virtual time, in the simulator.
//!
//! The way of one INVITE: `guard` (who is this?) → `sip::Endpoint` → `ingress` (which gateway, which account, may
//! it call?) → `routing::decide` → `credit` (reserve) → `call` (attempts, media, answer) → `settle` (price, CDR).

mod attempt;
mod brain;
mod call;
mod codecs;
mod control;
mod credit;
mod digits;
mod guard;
mod identity;
mod ingress;
pub mod interface;
mod keep_alive;
pub mod live;
mod load;
mod market;
mod media_plan;
mod phones;
mod quality;
mod quota;
pub mod record;
pub mod registrar;
mod registration;
pub mod rerate;
mod restore;
mod rewriting;
mod screen;
mod secure;
mod settle;
mod show;
pub mod snapshot;
mod talk;
mod tariff;
mod tell;
pub mod vendors;
mod watch;

pub use brain::{Footprint, Switch};
pub use interface::{ControlId, ControlReply, ControlRequest, Input, Output, Restore, SwitchConfig};
pub use keep_alive::KeepAliveCounters;
pub use media_plan::StreamState;
pub use record::{Moment, OpenCall, Record};
pub use registrar::{Binding, Registered, Registrant};
pub use sip::is_passable;
pub use snapshot::{Account, MappingGateway, Phone, RoutingGateway, Snapshot};
pub use watch::{Bar, Pattern};
