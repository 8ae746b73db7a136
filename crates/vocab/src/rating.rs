//! Words of rates that documents, prices and records of calls share.

use crate::Price;
use serde::{Deserialize, Serialize};

/// From this second of the talk on, each cycle that begins costs this (`BIL-4`: per-section prices of long calls; also
/// what a call pays after the price of its destination has changed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateSection {
    /// Seconds of charged time.
    pub from: u32,
    pub price_per_minute: Price,
    /// Seconds that are charged whole once started.
    pub cycle: u32,
}

/// How far a destination is, the nearest first; also how far a device may call (call level).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallLevel {
    Net,
    Local,
    Domestic,
    International,
}

impl CallLevel {
    pub const ALL: [CallLevel; 4] =
        [CallLevel::Net, CallLevel::Local, CallLevel::Domestic, CallLevel::International];

    /// Stable key for API, files and storage.
    pub fn key(self) -> &'static str {
        match self {
            CallLevel::Net => "net",
            CallLevel::Local => "local",
            CallLevel::Domestic => "domestic",
            CallLevel::International => "international",
        }
    }
}
