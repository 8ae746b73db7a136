//! Time as an argument. Durations come from [`Tick`] (monotonic), calendar times from [`Utc`].

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::time::Duration;

/// Monotonic time in microseconds since an arbitrary start (the process, or the simulated world).
/// Survives clock changes; means nothing after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tick(pub u64);

impl Tick {
    /// Time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;
    fn add(self, d: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Tick> for Tick {
    type Output = Duration;
    fn sub(self, earlier: Tick) -> Duration {
        self.since(earlier)
    }
}

/// Calendar time in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Utc(pub i64);

impl Utc {
    /// Milliseconds since the epoch, the resolution of CDRs.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Days since the epoch: the partition a CDR belongs to.
    pub fn day(self) -> i64 {
        self.0.div_euclid(86_400_000_000)
    }

    pub fn from_millis(ms: i64) -> Utc {
        Utc(ms.saturating_mul(1000))
    }
}

impl Add<Duration> for Utc {
    type Output = Utc;
    fn add(self, d: Duration) -> Utc {
        Utc(self.0.saturating_add(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// The moment at which an input is handled: both clocks, read once by the shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub tick: Tick,
    pub utc: Utc,
}
