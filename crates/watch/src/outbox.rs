//! Notices on their way to receivers that may be dead: each receiver has a bounded queue of its own, and is left alone
//! for longer after each failure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use vocab::Tick;

/// Notices that wait for one receiver; the oldest make room.
pub const LONGEST: usize = 256;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
struct Queue<N> {
    waiting: VecDeque<N>,
    next_try: Tick,
    failures: u32,
}

/// Receivers by name, with what waits for each.
#[derive(Clone, Debug)]
pub struct Outbox<N> {
    queues: BTreeMap<String, Queue<N>>,
    dropped: u64,
}

impl<N> Default for Outbox<N> {
    fn default() -> Outbox<N> {
        Outbox { queues: BTreeMap::new(), dropped: 0 }
    }
}

impl<N: Clone> Outbox<N> {
    /// Has exactly these receivers from now on. What waited for one that is gone is gone too.
    pub fn receivers(&mut self, names: &[String]) {
        self.queues.retain(|name, _| names.contains(name));
        for name in names {
            let queue = || Queue { waiting: VecDeque::new(), next_try: Tick::default(), failures: 0 };
            self.queues.entry(name.clone()).or_insert_with(queue);
        }
    }

    pub fn push(&mut self, notice: &N) {
        for queue in self.queues.values_mut() {
            if queue.waiting.len() >= LONGEST {
                queue.waiting.pop_front();
                self.dropped += 1;
            }
            queue.waiting.push_back(notice.clone());
        }
    }

    /// The oldest notice of each receiver that may be tried now.
    pub fn due(&self, now: Tick) -> Vec<(String, N)> {
        let ready = self.queues.iter().filter(|(_, q)| q.next_try <= now);
        ready.filter_map(|(name, q)| Some((name.clone(), q.waiting.front()?.clone()))).collect()
    }

    /// The receiver has taken its oldest notice.
    pub fn taken(&mut self, name: &str) {
        if let Some(queue) = self.queues.get_mut(name) {
            queue.waiting.pop_front();
            queue.failures = 0;
        }
    }

    /// The receiver has not taken it: 1, 2, 4, … seconds of rest, 5 minutes at most.
    pub fn failed(&mut self, now: Tick, name: &str) {
        if let Some(queue) = self.queues.get_mut(name) {
            let wait = FIRST_WAIT.saturating_mul(1 << queue.failures.min(10)).min(LONGEST_WAIT);
            queue.failures = queue.failures.saturating_add(1);
            queue.next_try = now + wait;
        }
    }

    /// Receivers with their failures in a row.
    pub fn failures(&self) -> impl Iterator<Item = (&str, u32)> {
        self.queues.iter().map(|(name, q)| (name.as_str(), q.failures))
    }

    /// Notices that made room for others.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Tick {
        Tick(s * 1_000_000)
    }

    #[test]
    fn a_dead_receiver_holds_up_nobody_and_takes_bounded_room() {
        let mut outbox = Outbox::default();
        outbox.receivers(&["dead".into(), "well".into()]);
        for n in 0..1000 {
            outbox.push(&n);
            for (name, notice) in outbox.due(at(n)) {
                match name.as_str() {
                    "well" => {
                        assert_eq!(notice, n);
                        outbox.taken("well");
                    }
                    _ => outbox.failed(at(n), "dead"),
                }
            }
        }
        assert_eq!(outbox.queues["dead"].waiting.len(), LONGEST);
        assert_eq!(outbox.dropped(), 1000 - LONGEST as u64);
        let failures: Vec<_> = outbox.failures().collect();
        assert!(matches!(failures[..], [("dead", tries), ("well", 0)] if (9..14).contains(&tries)));
        outbox.receivers(&["well".into()]);
        assert!(outbox.due(at(5000)).is_empty());
    }

    #[test]
    fn what_failed_comes_again_in_order() {
        let mut outbox = Outbox::default();
        outbox.receivers(&["r".into()]);
        outbox.push(&1);
        outbox.push(&2);
        outbox.failed(at(0), "r");
        assert!(outbox.due(Tick(999_999)).is_empty());
        assert_eq!(outbox.due(at(1)), [("r".to_owned(), 1)]);
        outbox.taken("r");
        assert_eq!(outbox.due(at(1)), [("r".to_owned(), 2)]);
    }
}
