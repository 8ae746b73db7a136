//! Timers: a heap with lazy deletion. Whoever sets a timer counts a generation up; an entry of an older
//! generation is dropped when it comes to the top. Equal times fire in the order in which they were set.

use crate::slab::Key;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
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
}

impl LegTimer {
    pub const COUNT: usize = 4;
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
    order: u64,
}

impl Timers {
    pub fn set(&mut self, at: Tick, of: TimerOf, generation: u32) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, of, generation }));
    }

    /// The earliest entry; it may turn out to be out of date.
    pub fn next_at(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse(e)| e.at)
    }

    pub fn pop_due(&mut self, now: Tick) -> Option<(TimerOf, u32)> {
        let due = self.heap.peek().is_some_and(|Reverse(e)| e.at <= now);
        due.then(|| self.heap.pop())?.map(|Reverse(e)| (e.of, e.generation))
    }
}
