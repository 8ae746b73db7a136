//! The engine: for each rule and subject the calls of a sliding window, in bounded memory.

use super::{Call, Finding, Kind, Measure, Rule};
use std::collections::{HashMap, VecDeque};
use vocab::{CallId, Utc};

/// Accounts or gateways that one rule follows; others are passed over.
const SUBJECTS: usize = 5_000;
/// Calls of one window that are kept.
const CALLS: usize = 4_096;
/// Destinations of one account that are remembered.
const AREAS: usize = 1_024;
const EVIDENCE: usize = 20;
/// Windows before the present one that a rise is measured by.
const BEFORE: usize = 6;
/// A conversation of up to this length is short.
const SHORT_MS: u64 = 10_000;
/// An answer that comes so fast is no person's.
const AT_ONCE_MS: u64 = 1_000;
/// As far as the next number of a row may be away.
const STEP: u64 = 5;

#[derive(Clone, Debug)]
struct Seen {
    call: CallId,
    at: Utc,
    suspect: bool,
    called: Box<str>,
    spent: i64,
}

#[derive(Clone, Debug, Default)]
struct Window {
    calls: VecDeque<Seen>,
    suspects: i64,
    spent: i64,
    /// Spend of windows that have passed, the latest last; and the number of the present one.
    before: VecDeque<i64>,
    number: i64,
    /// First call to each area.
    areas: HashMap<Box<str>, Utc>,
    all_calls: i64,
    /// Nothing more is said until then.
    quiet_until: Option<Utc>,
}

/// Rules with what they have seen.
#[derive(Clone, Debug)]
pub struct Engine {
    rules: Vec<(Kind, Rule, HashMap<String, Window>)>,
}

impl Engine {
    pub fn new(rules: impl IntoIterator<Item = (Kind, Rule)>) -> Engine {
        Engine { rules: rules.into_iter().map(|(kind, rule)| (kind, rule, HashMap::new())).collect() }
    }

    /// Takes a call that has ended; calls come in the order of their ends, or nearly so.
    pub fn take(&mut self, call: &Call) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (kind, rule, windows) in &mut self.rules {
            let subject = if *kind == Kind::FalseAnswers { &call.gateway } else { &call.account };
            if subject.is_empty() || (windows.len() >= SUBJECTS && !windows.contains_key(subject)) {
                continue;
            }
            let window = windows.entry(subject.clone()).or_default();
            if let Some(finding) = window.take(*kind, rule, subject, call) {
                findings.push(finding);
            }
        }
        findings
    }
}

/// Is the call suspect? `None`: it does not count for this rule.
fn suspicion(kind: Kind, rule: &Rule, call: &Call) -> Option<bool> {
    let answered = call.answer_ms.is_some();
    match kind {
        Kind::SpendRise => (call.spent > 0).then_some(true),
        Kind::Velocity | Kind::Sequential => Some(true),
        Kind::CostlyDestinations => rule.prefixes.iter().any(|p| call.called.starts_with(p)).then_some(true),
        Kind::FewNumbers => (call.talk_ms <= SHORT_MS).then_some(true),
        // The window knows the areas.
        Kind::NewDestination => (!call.area.is_empty()).then_some(true),
        Kind::ShortCalls => answered.then_some(call.talk_ms <= SHORT_MS),
        Kind::OutOfHours => within(rule.hours?, call.start).then_some(true),
        Kind::FalseAnswers => {
            let at_once = call.answer_ms? <= AT_ONCE_MS;
            Some(at_once && call.hung_up_by_caller && call.talk_ms <= SHORT_MS)
        }
        Kind::Failures => Some(!answered),
    }
}

/// Hours from 22 to 5 go over midnight.
fn within((from, to): (u8, u8), at: Utc) -> bool {
    let hour = at.0.div_euclid(3_600_000_000).rem_euclid(24);
    let (from, to) = (i64::from(from), i64::from(to));
    if from <= to { (from..to).contains(&hour) } else { hour >= from || hour < to }
}

impl Window {
    fn take(&mut self, kind: Kind, rule: &Rule, subject: &str, call: &Call) -> Option<Finding> {
        let suspect = suspicion(kind, rule, call)?;
        self.all_calls = self.all_calls.saturating_add(1);
        if kind == Kind::NewDestination && !self.is_new_area(rule, call) {
            return None;
        }
        let span = i64::from(rule.window_s) * 1_000_000;
        if kind == Kind::SpendRise {
            self.turn(call.end.0.div_euclid(span));
        } else {
            while self.calls.front().is_some_and(|s| s.at.0.saturating_add(span) <= call.end.0) {
                self.forget();
            }
        }
        if kind == Kind::Sequential && !self.goes_on(&call.called) {
            self.clear();
        }
        if self.calls.len() >= CALLS {
            self.forget();
        }
        self.suspects += i64::from(suspect);
        self.spent = self.spent.saturating_add(if suspect { call.spent } else { 0 });
        let called = call.called.as_str().into();
        self.calls.push_back(Seen { call: call.call, at: call.end, suspect, called, spent: call.spent });
        let value = self.value(kind, rule, call)?;
        if value < rule.threshold || self.quiet_until.is_some_and(|until| call.end < until) {
            return None;
        }
        self.quiet_until = Some(Utc(call.end.0.saturating_add(span)));
        Some(self.finding(kind, rule, subject, call, value))
    }

    /// The figure; `None` while there are too few calls to say anything.
    fn value(&self, kind: Kind, rule: &Rule, call: &Call) -> Option<i64> {
        let all = i64::try_from(self.calls.len()).unwrap_or(i64::MAX);
        match kind.facts().measure {
            Measure::Count | Measure::Row => Some(self.suspects),
            Measure::Share => (all >= rule.least.max(1)).then(|| self.suspects * 100 / all),
            Measure::SameNumber => {
                let same = self.calls.iter().filter(|s| s.suspect && *s.called == *call.called);
                i64::try_from(same.count()).ok()
            }
            Measure::Rise => {
                let known = i64::try_from(self.before.len()).unwrap_or(i64::MAX);
                let sum = self.before.iter().fold(0i64, |sum, spent| sum.saturating_add(*spent));
                // Without a past there is nothing that it could have risen above.
                let mean = sum.checked_div(known)?.max(1);
                (self.spent >= rule.least).then(|| self.spent.saturating_mul(100) / mean)
            }
        }
    }

    fn finding(&self, kind: Kind, rule: &Rule, subject: &str, call: &Call, value: i64) -> Finding {
        let same_number = kind.facts().measure == Measure::SameNumber;
        let is_evidence = |s: &&Seen| s.suspect && (!same_number || *s.called == *call.called);
        let suspects: Vec<&Seen> = self.calls.iter().filter(is_evidence).collect();
        let first = suspects.first().map_or(call.end, |s| s.at);
        let skipped = suspects.len().saturating_sub(EVIDENCE);
        Finding {
            kind,
            subject: subject.to_owned(),
            at: call.end,
            value,
            threshold: rule.threshold,
            after_s: u64::try_from(call.end.0.saturating_sub(first.0)).unwrap_or(0) / 1_000_000,
            spent: suspects.iter().fold(0, |sum: i64, s| sum.saturating_add(s.spent)),
            evidence: suspects.iter().skip(skipped).map(|s| s.call).collect(),
        }
    }

    /// New is an area that was first called within the window, by an account that had called others before.
    fn is_new_area(&mut self, rule: &Rule, call: &Call) -> bool {
        if !self.areas.contains_key(call.area.as_str()) {
            if self.areas.len() >= AREAS {
                return false;
            }
            // What an account calls at first is its business, and no change of it.
            let known = if self.all_calls > rule.least { call.end } else { Utc(i64::MIN) };
            self.areas.insert(call.area.as_str().into(), known);
        }
        let first = self.areas.get(call.area.as_str()).map_or(i64::MIN, |at| at.0);
        first.saturating_add(i64::from(rule.window_s) * 1_000_000) > call.end.0
    }

    /// Begins the present window of a rise; windows without calls were windows without spend.
    fn turn(&mut self, number: i64) {
        if self.calls.is_empty() && self.before.is_empty() {
            self.number = number;
            return;
        }
        let passed = number.saturating_sub(self.number).max(0);
        for n in 0..passed.min(BEFORE as i64 + 1) {
            self.before.push_back(if n == 0 { self.spent } else { 0 });
            if self.before.len() > BEFORE {
                self.before.pop_front();
            }
        }
        if passed > 0 {
            self.clear();
            self.number = number;
        }
    }

    /// Is the number a little above the last one?
    fn goes_on(&self, called: &str) -> bool {
        let last = self.calls.back().map(|s| &*s.called);
        match (last.map(str::parse::<u64>), called.parse::<u64>()) {
            (None, _) => true,
            (Some(Ok(last)), Ok(this)) => this > last && this - last <= STEP,
            _ => false,
        }
    }

    fn clear(&mut self) {
        self.calls.clear();
        (self.suspects, self.spent) = (0, 0);
    }

    fn forget(&mut self) {
        if let Some(seen) = self.calls.pop_front().filter(|s| s.suspect) {
            self.suspects -= 1;
            self.spent = self.spent.saturating_sub(seen.spent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::KINDS;
    use super::*;

    const HOUR: i64 = 3600;
    /// 2026-11-23, 10:00 UTC.
    const MORNING: i64 = 1_795_428_000;

    fn call(n: u64, s: i64, called: &str) -> Call {
        Call {
            call: CallId(n),
            start: Utc((MORNING + s) * 1_000_000),
            end: Utc((MORNING + s) * 1_000_000),
            account: "acme".into(),
            gateway: "vendor-a-1".into(),
            called: called.into(),
            area: called.get(..3).unwrap_or_default().into(),
            answer_ms: Some(8_000),
            talk_ms: 120_000,
            spent: 10,
            hung_up_by_caller: true,
        }
    }

    fn all() -> Engine {
        Engine::new(KINDS.iter().map(|f| (f.kind, f.kind.default_rule())))
    }

    /// Half a day of business: two calls a minute to three countries, some of which fail.
    fn business() -> Vec<Call> {
        let numbers = ["4420700000", "4930123400", "8801712300"];
        let one = |n: u64| {
            let at = i64::try_from(n).unwrap() * 30;
            let called = format!("{}{:02}", numbers[usize::try_from(n % 3).unwrap()], n * 37 % 100);
            let answer_ms = (n % 5 > 1).then_some(5_000 + n % 7 * 1000);
            let talk_ms = if answer_ms.is_some() { 20_000 + n % 11 * 20_000 } else { 0 };
            Call { answer_ms, talk_ms, spent: i64::from(answer_ms.is_some()) * 10, ..call(n, at, &called) }
        };
        (0..1440).map(one).collect()
    }

    fn run(engine: &mut Engine, calls: &[Call]) -> Vec<Finding> {
        calls.iter().flat_map(|c| engine.take(c)).collect()
    }

    /// Fraud planted after business hours of a day: what is found, and when.
    fn planted(fraud: impl Fn(u64) -> Call, count: u64) -> Vec<Finding> {
        let mut engine = all();
        assert_eq!(run(&mut engine, &business()), [], "business as usual");
        run(&mut engine, &(0..count).map(fraud).collect::<Vec<_>>())
    }

    fn of(findings: &[Finding], kind: Kind) -> &Finding {
        findings.iter().find(|f| f.kind == kind).unwrap_or_else(|| panic!("{kind:?}: {findings:?}"))
    }

    fn after(n: u64, seconds_apart: i64) -> i64 {
        12 * HOUR + i64::try_from(n).unwrap() * seconds_apart
    }

    #[test]
    fn the_table_is_sound() {
        for facts in KINDS {
            assert_eq!(Kind::from_key(facts.key), Some(facts.kind));
            assert_eq!(facts.kind.default_rule().fault(), None, "{}", facts.key);
        }
        let rule = Kind::Velocity.default_rule();
        for (bad, field) in [
            (Rule { threshold: 0, ..rule.clone() }, "threshold"),
            (Rule { window_s: 0, ..rule.clone() }, "window_s"),
            (Rule { prefixes: vec!["88x".into()], ..rule.clone() }, "prefixes"),
            (Rule { hours: Some((25, 3)), ..rule }, "hours"),
        ] {
            assert_eq!(bad.fault().map(|f| f.0), Some(field));
        }
    }

    #[test]
    fn revenue_share_is_seen_within_minutes_and_a_small_loss() {
        let dear = |n| Call { spent: 200, ..call(9000 + n, after(n, 30), "88213000001") };
        let findings = planted(dear, 200);
        let costly = of(&findings, Kind::CostlyDestinations);
        assert_eq!((costly.value, costly.after_s, costly.spent, costly.evidence.len()), (5, 120, 1000, 5));
        assert_eq!(of(&findings, Kind::NewDestination).after_s, 120);
        // An hour of business is some 7 currency units.
        let rise = of(&findings, Kind::SpendRise);
        assert!(rise.spent <= 4000 && rise.after_s <= 600, "{rise:?}");
    }

    #[test]
    fn call_backs_rows_and_short_calls() {
        let back = |n| Call { talk_ms: 3_000, ..call(9000 + n, after(n, 5), "4420700099") };
        let findings = planted(back, 100);
        let few = of(&findings, Kind::FewNumbers);
        assert_eq!((few.value, few.after_s, few.evidence.len()), (20, 95, 20));
        let row = |n| call(9000 + n, after(n, 5), &(442_070_001_000 + n * 2).to_string());
        assert_eq!(of(&planted(row, 30), Kind::Sequential).after_s, 95);
        let short = |n| Call { talk_ms: 2_000, ..call(9000 + n, after(n, 5), &format!("4420{}", n * 7919)) };
        assert!(of(&planted(short, 300), Kind::ShortCalls).value >= 60);
    }

    #[test]
    fn many_calls_at_night_failures_and_false_answers() {
        let fast = |n: u64| {
            let at = 12 * HOUR + i64::try_from(n / 20).unwrap();
            call(9000 + n, at, &format!("4420{}", n * 7919))
        };
        // Calls of the business just before are in the same window.
        assert!(of(&planted(fast, 1000), Kind::Velocity).after_s < 60);
        let night = |n| {
            // 01:00 on the next day.
            call(9000 + n, 15 * HOUR + after(n, 60) - 12 * HOUR, &format!("4420{}", n * 7919))
        };
        assert_eq!(of(&planted(night, 60), Kind::OutOfHours).after_s, 19 * 60);
        let dead = |n| Call {
            answer_ms: None,
            talk_ms: 0,
            spent: 0,
            ..call(9000 + n, after(n, 1), &format!("4420{}", n * 7919))
        };
        assert!(of(&planted(dead, 400), Kind::Failures).value >= 90);
        let lying = |n| Call {
            answer_ms: Some(200),
            talk_ms: 4_000,
            ..call(9000 + n, after(n, 10), &format!("4420{}", n * 7919))
        };
        let findings = planted(lying, 300);
        assert_eq!(of(&findings, Kind::FalseAnswers).subject, "vendor-a-1");
    }

    #[test]
    fn one_finding_for_each_window_and_bounded_memory() {
        let rule = Rule { threshold: 10, ..Kind::Velocity.default_rule() };
        let mut engine = Engine::new([(Kind::Velocity, rule)]);
        let calls: Vec<Call> = (0..40_000).map(|n| call(n, i64::try_from(n / 200).unwrap(), "44")).collect();
        let findings = run(&mut engine, &calls);
        assert_eq!(findings.len(), 4, "200 seconds, one finding a minute");
        for n in 0..10_000u64 {
            engine.take(&Call { account: n.to_string(), ..call(n, 300, "44") });
        }
        let (_, _, windows) = &engine.rules[0];
        assert!(windows.len() <= SUBJECTS);
        assert!(windows.values().all(|w| w.calls.len() <= CALLS));
    }
}
