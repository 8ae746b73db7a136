//! Typed identifiers. Configuration ids are database keys; call ids are unique over restarts.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}

ids! {
    /// Who is billed.
    AccountId(u32);
    /// A trunk on the customer's side.
    MappingGatewayId(u32);
    /// A trunk on the vendor's side.
    RoutingGatewayId(u32);
    /// A named table of prefixes and prices.
    RateGroupId(u32);
    /// Routing gateways with lines in common.
    GatewayGroupId(u32);
    /// Working hours and holidays.
    CalendarId(u32);
    /// A black or white list.
    NumberListId(u32);
    /// One call through the switch, unique for the life of the data folder: start in µs since 2020 shifted
    /// by 10 bits, plus a counter. Fits a positive 64-bit integer; APIs carry it as text.
    CallId(u64);
    /// One side of a call, unique within one run of the brain.
    LegId(u64);
    /// One media relay, unique within one run of the brain.
    MediaSessionId(u64);
    /// Position in the journal; starts at 1 and never repeats in a data folder.
    Seq(u64);
}
