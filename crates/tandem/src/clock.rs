//! The one place that reads the clocks.

use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};
use vocab::{Now, Tick, Utc};

/// Ticks begin here at the boot of the machine, so that moments before it can be told too: those of calls that outlive
/// a reboot.
const BOOT_TICK: u64 = 1 << 50;

/// Both clocks. The monotonic one is the machine's, so that it goes on across a restart of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    boot: u64,
}

impl Clock {
    pub fn start() -> Clock {
        // Without a name of the boot each process is taken for another one: the calendar then tells what passed between.
        let id =
            std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_else(|_| utc().0.to_be_bytes().into());
        // Two boots of one machine need other names, nothing more: FNV-1a.
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Clock { boot: id.iter().fold(0xcbf2_9ce4_8422_2325, fold) }
    }

    pub fn now(&self) -> Now {
        let since_boot = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(since_boot.tv_sec).unwrap_or(0);
        let micros = u64::try_from(since_boot.tv_nsec / 1000).unwrap_or(0);
        Now { tick: Tick(BOOT_TICK + seconds * 1_000_000 + micros), utc: utc() }
    }

    /// Names this run of the machine.
    pub fn boot(&self) -> u64 {
        self.boot
    }
}

/// Calendar time.
pub fn utc() -> Utc {
    // Before 1970 the clock is wrong anyway.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Utc(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
