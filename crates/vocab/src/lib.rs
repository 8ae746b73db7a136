//! The nouns of the trade and the contract between a leg and the brain.
//!
//! Everything here is plain data: no I/O, no clock, no randomness. The signalling engines (`sip`, later
//! `h323`) speak [`leg::LegCommand`] and [`leg::LegEvent`], so that the brain never asks which protocol a
//! leg uses; money looks alike everywhere because there is one [`Money`] and one [`Price`].

pub mod cause;
pub mod explain;
pub mod hash;
pub mod id;
pub mod identity;
pub mod leg;
pub mod money;
pub mod net;
pub mod number;
pub mod prefix;
pub mod random;
pub mod rating;
pub mod session;
pub mod time;

pub use cause::{EndReason, EndedBy, Next};
pub use hash::IdMap;
pub use id::*;
pub use money::{Currency, Money, MoneyError, Price};
pub use net::{Flow, ListenerId, Transport};
pub use number::DialString;
pub use prefix::PrefixTable;
pub use random::Random;
pub use rating::{CallLevel, RateSection};
pub use session::{Direction, MediaDescription, SessionDescription};
pub use time::{Now, Tick, Utc};
