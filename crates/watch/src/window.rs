//! Shares and rises over the last minutes, made from counters that only grow.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use vocab::Tick;

/// How far back is looked.
pub const SPAN: Duration = Duration::from_secs(300);
/// Samples that one subject keeps: those in between two are passed over.
const SAMPLES: usize = 64;
const SUBJECTS: usize = 20_000;

/// Counters of one subject, with what they were over the last minutes.
#[derive(Clone, Debug, Default)]
pub struct Windows<const N: usize> {
    subjects: BTreeMap<String, VecDeque<(Tick, [u64; N])>>,
}

impl<const N: usize> Windows<N> {
    /// Takes the counters of a moment; gives by how much they rose over the span (or since the first look).
    pub fn rise(&mut self, now: Tick, subject: &str, counters: [u64; N]) -> [u64; N] {
        if self.subjects.len() >= SUBJECTS && !self.subjects.contains_key(subject) {
            return [0; N];
        }
        let samples = self.subjects.entry(subject.to_owned()).or_default();
        // Counters that fell belong to another life of the subject.
        if samples.back().is_some_and(|(_, last)| last.iter().zip(&counters).any(|(l, c)| c < l)) {
            samples.clear();
        }
        let step = SPAN / u32::try_from(SAMPLES).unwrap_or(1);
        let apart = samples.back().is_none_or(|(at, _)| now.since(*at) >= step);
        while samples.get(1).is_some_and(|(at, _)| now.since(*at) >= SPAN) {
            samples.pop_front();
        }
        let first = samples.front().map_or(counters, |(_, first)| *first);
        if apart {
            samples.push_back((now, counters));
        }
        let mut rise = counters;
        for (now, then) in rise.iter_mut().zip(first) {
            *now = now.saturating_sub(then);
        }
        rise
    }

    /// Forgets subjects that are not among these.
    pub fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.subjects.retain(|name, _| is_there(name));
    }
}

/// `part` of a hundred of `whole`.
pub fn percent(part: u64, whole: u64) -> Option<i64> {
    let share = u128::from(part) * 100;
    share.checked_div(u128::from(whole)).and_then(|n| i64::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Tick {
        Tick(s * 1_000_000)
    }

    #[test]
    fn rises_are_of_the_last_five_minutes() {
        let mut windows = Windows::<1>::default();
        assert_eq!(windows.rise(at(0), "a", [100]), [0], "what was before is not of these minutes");
        assert_eq!(windows.rise(at(10), "a", [110]), [10]);
        for s in 2..=60 {
            windows.rise(at(s * 10), "a", [110]);
        }
        assert_eq!(windows.rise(at(610), "a", [115]), [5]);
        assert_eq!(windows.rise(at(611), "b", [5]), [0]);
        assert_eq!(windows.rise(at(620), "a", [3]), [0], "a counter began anew");
        windows.keep(|name| name == "b");
        assert_eq!(windows.subjects.len(), 1);
    }

    #[test]
    fn samples_are_bounded_however_often_one_looks() {
        let mut windows = Windows::<1>::default();
        for n in 0..100_000u64 {
            windows.rise(Tick(n * 10_000), "a", [n]);
        }
        assert!(windows.subjects["a"].len() <= SAMPLES + 2);
    }

    #[test]
    fn percent_of_nothing_is_unknown() {
        assert_eq!((percent(1, 0), percent(1, 3), percent(u64::MAX, u64::MAX)), (None, Some(33), Some(100)));
    }
}
