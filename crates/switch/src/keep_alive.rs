//! Rounds of datagrams that keep the way to devices behind NAT open (`SIG-12`).
//!
//! A round reaches every device once in a period, a batch at a time. When there are more devices than batches of a
//! period can hold, the round is cut off where it stands, the next one starts over, and the shortfall is counted.

use crate::brain::Switch;
use crate::interface::Output;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use vocab::{Flow, Now, Tick};

/// What the rounds have done since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepAliveCounters {
    /// Devices of the last round that began.
    pub devices: u32,
    pub sent: u64,
    pub rounds: u64,
    /// Rounds that could not reach every device in their period.
    pub short_rounds: u64,
    /// Devices that the last round which ended did not reach: an alarm while it is not 0.
    pub shortfall: u32,
}

#[derive(Debug, Default)]
pub(crate) struct KeepAlive {
    left: VecDeque<Flow>,
    next_batch: Tick,
    round_ends: Tick,
    pub counters: KeepAliveCounters,
}

impl KeepAlive {
    pub fn next_at(&self) -> Tick {
        if self.left.is_empty() { self.round_ends } else { self.next_batch.min(self.round_ends) }
    }

    /// A period is over: what was not reached stays unreached. `devices` are those of the next round.
    fn turn(&mut self, now: Tick, period: Duration, devices: Vec<Flow>) {
        let missed = u32::try_from(self.left.len()).unwrap_or(u32::MAX);
        self.counters.shortfall = missed;
        self.counters.short_rounds += u64::from(missed != 0);
        self.counters.devices = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        self.counters.rounds += u64::from(!devices.is_empty());
        self.left = devices.into();
        self.next_batch = now;
        self.round_ends = now + period;
    }

    fn batch(&mut self, now: Tick, size: usize, pause: Duration) -> Vec<Flow> {
        self.next_batch = now + pause;
        let batch: Vec<Flow> = self.left.drain(..size.min(self.left.len())).collect();
        self.counters.sent += u64::try_from(batch.len()).unwrap_or(0);
        batch
    }
}

impl Switch {
    pub(crate) fn keep_alive(&mut self, now: Now) {
        let params = self.snapshot.params.clone();
        let message = params.sip_nat_keep_alive_message.as_bytes();
        if now.tick >= self.keep_alive.round_ends {
            let devices = if message.is_empty() { Vec::new() } else { self.registrar.behind_nat() };
            let period = Duration::from_secs(params.sip_nat_keep_alive_period_s.into());
            self.keep_alive.turn(now.tick, period, devices);
        }
        if self.keep_alive.left.is_empty() || now.tick < self.keep_alive.next_batch {
            return;
        }
        let pause = Duration::from_millis(params.sip_nat_keep_alive_send_interval_ms.into());
        let size = usize::try_from(params.sip_nat_keep_alive_send_one_time).unwrap_or(usize::MAX);
        for flow in self.keep_alive.batch(now.tick, size, pause) {
            self.emit(Output::Send { flow, bytes: message.to_vec() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::{ListenerId, Transport};

    fn devices(count: u32) -> Vec<Flow> {
        let flow = |n: u32| Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            remote: (std::net::Ipv4Addr::from(0x0a00_0000 + n), 5060).into(),
            connection: 0,
        };
        (0..count).map(flow).collect()
    }

    /// Plays rounds with all devices known at each turn; the devices reached in each.
    fn play(count: u32, size: usize, pause_ms: u64, rounds: usize) -> (Vec<u64>, KeepAliveCounters) {
        let (mut keep, period, mut sent) = (KeepAlive::default(), Duration::from_secs(30), Vec::new());
        let mut now = Tick(0);
        keep.turn(now, period, devices(count));
        let mut before = 0;
        while sent.len() < rounds {
            if now >= keep.round_ends {
                sent.push(keep.counters.sent - before);
                before = keep.counters.sent;
                keep.turn(now, period, devices(count));
            }
            if !keep.left.is_empty() && now >= keep.next_batch {
                keep.batch(now, size, Duration::from_millis(pause_ms));
            }
            now = keep.next_at();
        }
        (sent, keep.counters)
    }

    #[test]
    fn fifty_thousand_devices_in_batches() {
        // 3000 each 500 ms: 17 batches in 8 s reach all of them.
        let (sent, counters) = play(50_000, 3000, 500, 3);
        assert_eq!(sent, [50_000; 3]);
        assert_eq!((counters.shortfall, counters.short_rounds), (0, 0));
        // 500 each 500 ms: 60 batches in 30 s reach 30,000; the other 20,000 are an alarm, each round anew.
        let (sent, counters) = play(50_000, 500, 500, 3);
        assert_eq!(sent, [30_000; 3]);
        assert_eq!((counters.shortfall, counters.short_rounds), (20_000, 3));
        assert_eq!(play(0, 500, 500, 2).1.shortfall, 0);
    }
}
