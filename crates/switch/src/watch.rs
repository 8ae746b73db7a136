//! Numbers in use, and numbers that are barred for a time because of what they did (`RTE-5`, `RTE-10`).

use params::{BlackListMode, Params};
use std::collections::HashMap;
use std::time::Duration;
use vocab::explain::Whose;
use vocab::{Now, Tick, Utc};

/// Numbers of each side whose calls are counted, and those that are barred; more are not watched.
const MOST_COUNTED: usize = 200_000;
const MOST_BARRED: usize = 100_000;
/// What is over is looked for at most this often.
const SWEEP: Duration = Duration::from_secs(1);

/// What brings a number onto the dynamic black list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    /// One caller calls too often.
    CallerCalls,
    /// One number is called too often.
    CalledCalls,
    /// One number is called in vain too often.
    NoAnswer,
    /// One number is in too many calls at once.
    Concurrent,
}

impl Pattern {
    pub fn key(self) -> &'static str {
        match self {
            Pattern::CallerCalls => "caller_calls",
            Pattern::CalledCalls => "called_calls",
            Pattern::NoAnswer => "no_answer",
            Pattern::Concurrent => "concurrent",
        }
    }
}

/// A barred number with what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    pub whose: Whose,
    pub number: String,
    pub pattern: Pattern,
    pub since: Utc,
    /// Until then, in seconds from now.
    pub left_s: u64,
    /// Calls that were counted, and how many would have been allowed.
    pub count: u32,
    pub limit: u32,
    /// The time in which they were counted; 0: at once.
    pub interval_s: u32,
}

/// Calls of one number.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    calls: u32,
    second: u64,
    in_second: u32,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    until: Tick,
    calls: u32,
}

#[derive(Clone, Debug)]
struct Barred {
    pattern: Pattern,
    since: Utc,
    until: Tick,
    count: u32,
    limit: u32,
    interval_s: u32,
}

/// One rule of the dynamic black list.
#[derive(Clone, Copy)]
struct Rule {
    pattern: Pattern,
    interval_s: u32,
    limit: u32,
    expire_s: u32,
}

type ByNumber<T> = HashMap<Box<str>, T>;

/// All of it, by side: the caller's numbers first.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    usage: [ByNumber<Usage>; 2],
    counts: HashMap<Pattern, ByNumber<Count>>,
    barred: [ByNumber<Barred>; 2],
    swept: Tick,
}

fn side(whose: Whose) -> usize {
    usize::from(whose == Whose::Called)
}

const BOTH: [Whose; 2] = [Whose::Caller, Whose::Called];

impl Watch {
    /// Calls in progress of a number, and those of this second.
    pub fn usage(&self, now: Tick, whose: Whose, number: &str) -> (u32, u32) {
        let Some(usage) = self.usage[side(whose)].get(number) else { return (0, 0) };
        (usage.calls, if usage.second == now.0 / 1_000_000 { usage.in_second } else { 0 })
    }

    /// A call of both numbers has arrived.
    pub fn count(&mut self, now: Tick, numbers: [&str; 2]) {
        self.sweep(now);
        for (usage, number) in self.usage.iter_mut().zip(numbers) {
            if usage.len() >= MOST_COUNTED && !usage.contains_key(number) {
                continue;
            }
            let usage = usage.entry(number.into()).or_default();
            let second = now.0 / 1_000_000;
            if usage.second != second {
                (usage.second, usage.in_second) = (second, 0);
            }
            usage.in_second = usage.in_second.saturating_add(1);
        }
    }

    /// The call is in progress from now on, until [`Watch::leave`].
    pub fn enter(&mut self, numbers: [&str; 2]) {
        for (usage, number) in self.usage.iter_mut().zip(numbers) {
            usage.entry(number.into()).or_default().calls += 1;
        }
    }

    pub fn leave(&mut self, numbers: [&str; 2]) {
        for (usage, number) in self.usage.iter_mut().zip(numbers) {
            if let Some(usage) = usage.get_mut(number) {
                usage.calls = usage.calls.saturating_sub(1);
            }
        }
    }

    /// Drops what is over, so that there is room.
    fn sweep(&mut self, now: Tick) {
        if now.since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        let second = now.0 / 1_000_000;
        for usage in &mut self.usage {
            usage.retain(|_, u| u.calls > 0 || u.second == second);
        }
        if self.counts.values().any(|counts| counts.len() >= MOST_COUNTED / 2) {
            self.counts.values_mut().for_each(|counts| counts.retain(|_, c| c.until > now));
        }
        if self.barred.iter().any(|barred| !barred.is_empty()) {
            self.barred.iter_mut().for_each(|barred| barred.retain(|_, b| b.until > now));
        }
    }

    /// Counts a call that has just arrived, for the patterns of too many calls.
    pub fn note_call(&mut self, now: Now, params: &Params, numbers: [&str; 2]) {
        let rules = [caller_rule(params), called_rule(params)];
        for ((whose, number), rule) in BOTH.into_iter().zip(numbers).zip(rules) {
            self.note(now, rule, whose, number);
        }
        let limit = params.black_list_concurrent_limit;
        let rule = Rule {
            pattern: Pattern::Concurrent,
            interval_s: 0,
            limit,
            expire_s: params.black_list_concurrent_expire_s,
        };
        for (whose, number) in BOTH.into_iter().zip(numbers) {
            let calls = self.usage(now.tick, whose, number).0.saturating_add(1);
            if limit != 0 && calls > limit {
                self.bar(now, rule, whose, number, calls);
            }
        }
    }

    /// A call was answered, or not.
    pub fn note_end(&mut self, now: Now, params: &Params, called: &str, answered: bool) {
        if answered {
            self.counts.get_mut(&Pattern::NoAnswer).map(|counts| counts.remove(called));
        } else {
            self.note(now, no_answer_rule(params), Whose::Called, called);
        }
    }

    fn note(&mut self, now: Now, rule: Rule, whose: Whose, number: &str) {
        if rule.limit == 0 {
            return;
        }
        let counts = self.counts.entry(rule.pattern).or_default();
        if counts.len() >= MOST_COUNTED && !counts.contains_key(number) {
            return;
        }
        let until = now.tick + Duration::from_secs(rule.interval_s.into());
        let count = counts.entry(number.into()).or_insert(Count { until, calls: 0 });
        if count.until <= now.tick {
            *count = Count { until, calls: 0 };
        }
        count.calls = count.calls.saturating_add(1);
        let calls = count.calls;
        if calls > rule.limit {
            counts.remove(number);
            self.bar(now, rule, whose, number, calls);
        }
    }

    fn bar(&mut self, now: Now, rule: Rule, whose: Whose, number: &str, count: u32) {
        let barred = &mut self.barred[side(whose)];
        if barred.get(number).is_some_and(|b| b.until > now.tick) || barred.len() >= MOST_BARRED {
            return;
        }
        let until = now.tick + Duration::from_secs(rule.expire_s.into());
        let Rule { pattern, limit, interval_s, .. } = rule;
        barred.insert(number.into(), Barred { pattern, since: now.utc, until, count, limit, interval_s });
    }

    /// The bar that a call with these numbers runs into.
    pub fn barred(&self, now: Tick, numbers: [&str; 2]) -> Option<Bar> {
        BOTH.into_iter().zip(numbers).find_map(|(whose, number)| {
            let barred = self.barred[side(whose)].get(number).filter(|b| b.until > now)?;
            Some(shown(now, whose, number, barred))
        })
    }

    /// All bars, the latest first.
    pub fn bars(&self, now: Tick) -> Vec<Bar> {
        let mut all: Vec<Bar> = Vec::new();
        for (whose, barred) in BOTH.into_iter().zip(&self.barred) {
            let live = barred.iter().filter(|(_, b)| b.until > now);
            all.extend(live.map(|(number, b)| shown(now, whose, number, b)));
        }
        all.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.number.cmp(&b.number)));
        all
    }

    /// Takes a number off the list; false: it is not barred.
    pub fn unbar(&mut self, now: Tick, whose: Whose, number: &str) -> bool {
        self.barred[side(whose)].remove(number).is_some_and(|b| b.until > now)
    }
}

fn shown(now: Tick, whose: Whose, number: &str, b: &Barred) -> Bar {
    Bar {
        whose,
        number: number.to_owned(),
        pattern: b.pattern,
        since: b.since,
        left_s: u64::try_from(b.until.since(now).as_millis().div_ceil(1000)).unwrap_or(u64::MAX),
        count: b.count,
        limit: b.limit,
        interval_s: b.interval_s,
    }
}

impl Bar {
    /// What is known of it, in words.
    pub fn words(&self) -> String {
        let Bar { whose, number, count, limit, interval_s, left_s, .. } = self;
        let what = match self.pattern {
            Pattern::CallerCalls | Pattern::CalledCalls => format!("{count} calls in {interval_s} s"),
            Pattern::NoAnswer => format!("{count} calls without an answer in {interval_s} s"),
            Pattern::Concurrent => format!("{count} calls at once"),
        };
        format!("{whose} {number} is barred for {left_s} s more: {what}, {limit} are allowed")
    }
}

/// Does the dynamic black list watch the calls of a mapping gateway?
pub(crate) fn is_watching(params: &Params, asked_for: bool) -> bool {
    match params.black_list_dynamic_run_mode {
        BlackListMode::Off => false,
        BlackListMode::Global => true,
        BlackListMode::Standalone => asked_for,
    }
}

fn caller_rule(params: &Params) -> Rule {
    Rule {
        pattern: Pattern::CallerCalls,
        interval_s: params.black_list_caller_calls_interval_s,
        limit: params.black_list_caller_calls_limit,
        expire_s: params.black_list_caller_calls_expire_s,
    }
}

fn called_rule(params: &Params) -> Rule {
    Rule {
        pattern: Pattern::CalledCalls,
        interval_s: params.black_list_callee_calls_interval_s,
        limit: params.black_list_callee_calls_limit,
        expire_s: params.black_list_callee_calls_expire_s,
    }
}

fn no_answer_rule(params: &Params) -> Rule {
    Rule {
        pattern: Pattern::NoAnswer,
        interval_s: params.black_list_no_answer_interval_s,
        limit: params.black_list_no_answer_limit,
        expire_s: params.black_list_no_answer_expire_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Now {
        let us = second * 1_000_000;
        Now { tick: Tick(us), utc: Utc(i64::try_from(us).unwrap()) }
    }

    #[test]
    fn the_call_beyond_the_limit_bars_for_a_time() {
        let params = Params {
            black_list_caller_calls_limit: 3,
            black_list_caller_calls_interval_s: 10,
            black_list_caller_calls_expire_s: 60,
            ..Params::default()
        };
        let mut watch = Watch::default();
        let numbers = ["100", "200"];
        for second in [1, 2, 11, 12, 13] {
            watch.note_call(at(second), &params, numbers);
            assert_eq!(watch.barred(at(second).tick, numbers), None, "three in each ten seconds");
        }
        watch.note_call(at(14), &params, numbers);
        let bar = watch.barred(at(14).tick, numbers).unwrap();
        assert_eq!((bar.whose, bar.count, bar.limit, bar.left_s), (Whose::Caller, 4, 3, 60));
        assert_eq!(watch.barred(at(14).tick, ["101", "100"]), None, "another caller, another side");
        assert_eq!(watch.bars(at(14).tick), [bar]);
        assert!(watch.barred(at(73).tick, numbers).is_some());
        assert!(watch.barred(at(74).tick, numbers).is_none());
        assert!(!watch.unbar(at(74).tick, Whose::Caller, "100"));
    }

    #[test]
    fn answers_forgive_and_calls_at_once_do_not() {
        let params =
            Params { black_list_no_answer_limit: 1, black_list_concurrent_limit: 2, ..Params::default() };
        let mut watch = Watch::default();
        watch.note_end(at(1), &params, "200", false);
        watch.note_end(at(2), &params, "200", true);
        watch.note_end(at(3), &params, "200", false);
        assert_eq!(watch.bars(at(3).tick), []);
        watch.note_end(at(4), &params, "200", false);
        assert_eq!(watch.bars(at(4).tick)[0].pattern, Pattern::NoAnswer);
        assert!(watch.unbar(at(4).tick, Whose::Called, "200"));
        for _ in 0..2 {
            watch.note_call(at(5), &params, ["1", "2"]);
            watch.enter(["1", "2"]);
        }
        assert_eq!(watch.bars(at(5).tick), []);
        watch.note_call(at(5), &params, ["1", "3"]);
        let bars = watch.bars(at(5).tick);
        assert_eq!((bars.len(), bars[0].whose, bars[0].count), (1, Whose::Caller, 3));
    }
}
