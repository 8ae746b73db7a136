//! Timers: a heap with lazy deletion. Whoever sets a timer counts a generation up; an entry of an older
//! generation is dropped when it comes to the top. Equal times fire in the order in which they were set.

use crate::slab::Key;
use crate::transaction::LIFE;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;
use vocab::Tick;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LegTimer {
    /// The next copy of a 2xx whose ACK is missing.
    Answer,
    /// The next copy of a reliable provisional response.
    Provisional,
    /// The end of the patience after a CANCEL.
    Cancel,
    /// Another try of an offer that met 491.
    Offer,
    /// The session is to be refreshed, or is over.
    Session,
}

impl LegTimer {
    pub const COUNT: usize = 5;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerOf {
    Client(Key),
    Server(Key),
    Leg(Key, LegTimer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Tick,
    order: u64,
    of: TimerOf,
    generation: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    /// Those that last as long as a transaction is remembered: by far the most, and each due after the one before.
    lives: VecDeque<Entry>,
    order: u64,
    /// The heap is cleared of what is out of date when it is longer than this.
    sweep_at: usize,
}

/// So many entries are never too many.
const FEW: usize = 4096;

impl Timers {
    pub fn set(&mut self, now: Tick, after: Duration, of: TimerOf, generation: u32) {
        self.order += 1;
        let entry = Entry { at: now + after, order: self.order, of, generation };
        if after == LIFE && self.lives.back().is_none_or(|last| last.at <= entry.at) {
            self.lives.push_back(entry);
        } else {
            self.heap.push(Reverse(entry));
        }
    }

    /// Drops entries for which nobody waits, when they may be many: those of session timers outlive short calls by far.
    pub fn sweep(&mut self, awaited: impl Fn(TimerOf, u32) -> bool) {
        if self.heap.len() > self.sweep_at.max(FEW) {
            self.heap.retain(|Reverse(entry)| awaited(entry.of, entry.generation));
            self.sweep_at = self.heap.len() * 2;
        }
    }

    /// The earliest entry; it may turn out to be out of date.
    pub fn next_at(&self) -> Option<Tick> {
        self.first().map(|(entry, _)| entry.at)
    }

    pub fn pop_due(&mut self, now: Tick) -> Option<(TimerOf, u32)> {
        let (_, is_life) = self.first().filter(|(entry, _)| entry.at <= now)?;
        let entry = if is_life { self.lives.pop_front()? } else { self.heap.pop()?.0 };
        Some((entry.of, entry.generation))
    }

    /// The earliest entry, and whether it is one of `lives`.
    fn first(&self) -> Option<(&Entry, bool)> {
        let sooner = self.heap.peek().map(|Reverse(entry)| (entry, false));
        let life = self.lives.front().map(|entry| (entry, true));
        [sooner, life].into_iter().flatten().min_by_key(|(entry, _)| (entry.at, entry.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_time_and_equal_ones_in_order() {
        let mut timers = Timers::default();
        let second = |n: u64| Duration::from_secs(n);
        for (i, (now, after)) in [(0, 32), (1, 31), (0, 5), (2, 32), (1, 32), (2, 30)].into_iter().enumerate()
        {
            let of = TimerOf::Server(i as Key);
            timers.set(Tick(now * 1_000_000), second(after), of, 0);
        }
        let mut got = Vec::new();
        for now in 0..40 {
            while let Some((TimerOf::Server(key), _)) = timers.pop_due(Tick(now * 1_000_000)) {
                got.push((now, key));
            }
        }
        assert_eq!(got, [(5, 2), (32, 0), (32, 1), (32, 5), (33, 4), (34, 3)]);
        assert_eq!(timers.next_at(), None);
    }
}
