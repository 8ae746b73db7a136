//! Pricing against exact fractions, by random cases around the edges.
//!
//! `TANDEM_CASES=10000000 cargo test -p billing --test fractions --release` for the long run.

// The lint exempts test functions only, not the functions that they share.
#![allow(clippy::unwrap_used)]

use billing::{Charge, Rate, Rounding, billed_seconds, charge, longest_affordable};
use std::time::Duration;
use vocab::{Money, MoneyError, Price, Random, RateSection};

fn cases() -> u64 {
    std::env::var("TANDEM_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000)
}

/// A fraction in lowest terms, denominator above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fraction(i128, i128);

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

impl Fraction {
    fn new(n: i128, d: i128) -> Fraction {
        let g = gcd(n, d).max(1);
        Fraction(n / g, d / g)
    }

    fn plus(self, other: Fraction) -> Fraction {
        Fraction::new(self.0 * other.1 + other.0 * self.1, self.1 * other.1)
    }

    fn times(self, n: i128) -> Fraction {
        Fraction::new(self.0 * n, self.1)
    }

    fn over(self, n: i128) -> Fraction {
        Fraction::new(self.0, self.1 * n)
    }

    fn is_above(self, other: Fraction) -> bool {
        self.0 * other.1 > other.0 * self.1
    }

    /// Smallest whole number not below this; for numbers not below zero.
    fn ceiling(self) -> i128 {
        self.0 / self.1 + i128::from(self.0 % self.1 != 0)
    }
}

/// In currency units.
fn of_money(m: Money) -> Fraction {
    Fraction::new(m.0, 100_000_000)
}

fn of_price(p: Price) -> Fraction {
    Fraction::new(p.0.into(), 10_000_000_000)
}

/// The policy once more, in the words of the trade and in fractions: periods are counted one by one where
/// there are few of them.
fn by_fractions(rate: &Rate, seconds: u64, rounding: &Rounding) -> Charge {
    if seconds == 0 || seconds <= u64::from(rate.free_seconds) {
        return Charge { amount: Money::ZERO, charged_seconds: 0 };
    }
    let per_second = of_price(rate.price_per_minute).over(60);
    let first = match rate.first_period_price {
        Some(price) => of_price(price),
        None => per_second.times(rate.first_period_s.into()),
    };
    let (charged_seconds, time) = after_first(rate, seconds);
    let mut exact = of_money(rate.connection_fee).plus(first).plus(time);
    if of_money(rate.minimum_charge).is_above(exact) {
        exact = of_money(rate.minimum_charge);
    }
    let step = if rounding.fee_unit == Money::ZERO {
        Fraction::new(1, 10i128.pow(rounding.fee_precision))
    } else {
        of_money(rounding.fee_unit)
    };
    let steps = exact.times(step.1).over(step.0).ceiling();
    let amount = step.times(steps);
    assert_eq!(100_000_000 % amount.1, 0, "a fee has at most 8 decimals");
    Charge { amount: Money(amount.0 * (100_000_000 / amount.1)), charged_seconds }
}

/// Where the charged time ends, and what the cycles after the first period cost: one by one where there are sections.
fn after_first(rate: &Rate, seconds: u64) -> (u64, Fraction) {
    let per_second = |price: Price| of_price(price).over(60);
    let first = u64::from(rate.first_period_s);
    if rate.sections.is_empty() {
        let cycles = count_cycles(seconds, first, rate.cycle_s.into());
        let time = per_second(rate.price_per_minute).times(rate.cycle_s.into()).times(cycles.into());
        return (first + cycles * u64::from(rate.cycle_s), time);
    }
    let (mut at, mut time) = (first, Fraction(0, 1));
    while at < seconds {
        let section = rate.section_at(at.try_into().unwrap());
        time = time.plus(per_second(section.price_per_minute).times(section.cycle.into()));
        at += u64::from(section.cycle);
    }
    (at, time)
}

fn count_cycles(seconds: u64, first: u64, cycle: u64) -> u64 {
    if seconds > 10_000 * cycle {
        return seconds.saturating_sub(first).div_ceil(cycle);
    }
    let (mut covered, mut cycles) = (first, 0);
    while covered < seconds {
        covered += cycle;
        cycles += 1;
    }
    cycles
}

fn pick<T: Copy>(r: &mut Random, from: &[T]) -> T {
    from[usize::try_from(r.below(from.len() as u64)).unwrap()]
}

fn number(r: &mut Random, below: u64) -> u32 {
    u32::try_from(r.below(below)).unwrap()
}

/// As likely small as large.
fn any_below_power(r: &mut Random, highest_power: u64) -> i128 {
    let magnitude = 10u64.pow(number(r, highest_power + 1));
    r.below(magnitude).into()
}

/// 0, 10⁻¹⁰, 10⁻⁹, common ones, 10⁶ a minute, or any with up to 10 decimals.
fn price(r: &mut Random) -> Price {
    let magnitude = 10u64.pow(number(r, 17));
    let any = i64::try_from(r.below(magnitude)).unwrap();
    Price(pick(r, &[0, 1, 10, 80_000_000, 360_000_000, 10_000_000_000_000_000, any, any, any, any]))
}

fn fee(r: &mut Random, highest_power: u64) -> Money {
    let any = any_below_power(r, highest_power);
    Money(pick(r, &[0, 0, 0, 1, 5_000_000, any, any]))
}

fn rate(r: &mut Random) -> Rate {
    let intervals = [(1, 1), (6, 6), (30, 6), (60, 1), (60, 60), (60, 6), (7, 13), (86_400, 86_400)];
    let any = (1 + number(r, 200), 1 + number(r, 200));
    let (first_period_s, cycle_s) = if r.below(4) == 0 { any } else { pick(r, &intervals) };
    let rate = Rate {
        area: "".into(),
        price_per_minute: price(r),
        first_period_s,
        first_period_price: (r.below(4) == 0).then(|| price(r)),
        cycle_s,
        connection_fee: fee(r, 19),
        minimum_charge: fee(r, 19),
        free_seconds: pick(r, &[0, 0, 0, 1, 5, 6, 60, 100]),
        locked: false,
        level: None,
        sections: [].into(),
    };
    assert_eq!(rate.validate(), Ok(()));
    rate
}

/// Up to four sections within the first hours.
fn with_sections(r: &mut Random, rate: Rate) -> Rate {
    let mut from = 0;
    let mut sections = Vec::new();
    for _ in 0..=r.below(4) {
        from += 1 + number(r, 2000);
        sections.push(RateSection { from, price_per_minute: price(r), cycle: 1 + number(r, 100) });
    }
    let rate = Rate { sections: sections.into(), ..rate };
    assert_eq!(rate.validate(), Ok(()));
    rate
}

fn rounding(r: &mut Random) -> Rounding {
    let units = [0, 0, 0, 1, 3, 500_000, 5_000_000, 100_000_000, 100_000_000_000_000];
    Rounding {
        free_time_s: pick(r, &[0, 0, 0, 1, 3, 60]),
        hold_time_precision_ms: pick(r, &[0, 1, 50, 500, 999]),
        fee_precision: number(r, 9),
        fee_unit: Money(pick(r, &units)),
    }
}

/// 0, 1 ms, a day, ten days, or any up to that.
fn talk(r: &mut Random) -> Duration {
    let magnitude = 10u64.pow(number(r, 12));
    let any = r.below(magnitude.min(864_000_000_000) + 1);
    let whole = r.below(864_000) * 1_000_000;
    Duration::from_micros(pick(r, &[0, 1_000, 86_400_000_000, 864_000_000_000, whole, any, any, any]))
}

/// From nothing to 10¹⁵ units.
fn available(r: &mut Random) -> Money {
    let any = any_below_power(r, 19);
    Money(pick(r, &[0, 1, 10i128.pow(23), any, any, any, any]))
}

#[test]
fn charges_are_exact() {
    let mut r = Random::from_number(53);
    for case in 0..cases() {
        let (rate, rounding, talk) = (rate(&mut r), rounding(&mut r), talk(&mut r));
        let seconds = billed_seconds(talk, &rounding);
        let got = charge(&rate, seconds, &rounding);
        assert_eq!(
            got,
            Ok(by_fractions(&rate, seconds, &rounding)),
            "case {case}: {talk:?} {rate:?} {rounding:?}"
        );
    }
}

#[test]
fn charges_of_sections_are_exact() {
    let mut r = Random::from_number(58);
    for case in 0..cases() / 50 {
        let rate = rate(&mut r);
        let (rate, rounding) = (with_sections(&mut r, rate), rounding(&mut r));
        let seconds = r.below(12_000);
        let got = charge(&rate, seconds, &rounding);
        let what = format!("case {case}: {seconds} s {rate:?} {rounding:?}");
        assert_eq!(got, Ok(by_fractions(&rate, seconds, &rounding)), "{what}");
        let available = available(&mut r);
        let longest = longest_affordable(&rate, available, &rounding, 20_000);
        let costs = |s: u64| charge(&rate, billed_seconds(Duration::from_secs(s), &rounding), &rounding);
        assert!(costs(longest).is_ok_and(|c| c.amount <= available), "{what}: {available} {longest}");
        assert!(
            longest == 20_000 || costs(longest + 1).is_ok_and(|c| c.amount > available),
            "{what}: {available} {longest}"
        );
    }
}

#[test]
fn seconds_are_exact() {
    let mut r = Random::from_number(54);
    for case in 0..cases() {
        let (rounding, talk) = (rounding(&mut r), talk(&mut r));
        let us = talk.as_micros();
        let started = us % 1_000_000;
        let counts = started > 0 && started >= u128::from(rounding.hold_time_precision_ms) * 1000;
        let want = (us / 1_000_000 + u128::from(counts)).saturating_sub(rounding.free_time_s.into());
        assert_eq!(u128::from(billed_seconds(talk, &rounding)), want, "case {case}: {talk:?} {rounding:?}");
    }
}

/// The longest affordable time is affordable, and one second more is not.
#[test]
fn affordable_time_is_exact() {
    let mut r = Random::from_number(55);
    let (mut capped, mut bounded, mut nothing) = (0, 0, 0);
    for case in 0..cases() {
        let (rate, rounding, available) = (rate(&mut r), rounding(&mut r), available(&mut r));
        let cap = pick(&mut r, &[0, 1, 60, 3_600, 864_000, 100_000_000_000]);
        let talk_s = longest_affordable(&rate, available, &rounding, cap);
        let costs = |s: u64| charge(&rate, billed_seconds(Duration::from_secs(s), &rounding), &rounding);
        let what = format!("case {case}: {available} {talk_s} s of {cap} {rate:?} {rounding:?}");
        assert!(talk_s <= cap, "{what}");
        assert!(costs(talk_s).is_ok_and(|c| c.amount <= available), "{what}: {:?}", costs(talk_s));
        if talk_s == cap {
            capped += 1;
        } else {
            assert!(costs(talk_s + 1).map_or(true, |c| c.amount > available), "{what}");
            bounded += 1;
            nothing += u64::from(talk_s == 0);
        }
    }
    // The cases are worth something only if both bounds are met often.
    assert!(capped > cases() / 10 && bounded > cases() / 10 && nothing > 0, "{capped} {bounded} {nothing}");
}

/// A longer call never costs less, and a fee is a whole number of steps.
#[test]
fn charges_never_fall() {
    let mut r = Random::from_number(56);
    for case in 0..cases() / 10 {
        let (rate, rounding) = (rate(&mut r), rounding(&mut r));
        let start = r.below(200);
        let costs = |s| charge(&rate, s, &rounding).unwrap();
        for s in start..start + 10 {
            assert!(costs(s).amount <= costs(s + 1).amount, "case {case}: {s} s {rate:?} {rounding:?}");
            assert!(costs(s).charged_seconds <= costs(s + 1).charged_seconds);
        }
    }
}

/// Whatever fields and amounts there are, entered or not: an error or a number within the limit, never a panic.
#[test]
fn extremes_are_errors() {
    let mut r = Random::from_number(57);
    let prices = [i64::MIN, -1, 0, 1, i64::MAX];
    let amounts = [i128::MIN, -1, 0, 1, Money::LIMIT.0, i128::MAX];
    let periods = [0, 1, u32::MAX];
    let mut overflows = 0;
    for _ in 0..cases() / 10 {
        let rate = Rate {
            area: "".into(),
            price_per_minute: Price(pick(&mut r, &prices)),
            first_period_s: pick(&mut r, &periods),
            first_period_price: (r.below(2) == 0).then(|| Price(pick(&mut r, &prices))),
            cycle_s: pick(&mut r, &periods),
            connection_fee: Money(pick(&mut r, &amounts)),
            minimum_charge: Money(pick(&mut r, &amounts)),
            free_seconds: pick(&mut r, &periods),
            locked: false,
            level: None,
            sections: [].into(),
        };
        let rounding = Rounding {
            free_time_s: pick(&mut r, &periods),
            hold_time_precision_ms: pick(&mut r, &periods),
            fee_precision: pick(&mut r, &periods),
            fee_unit: Money(pick(&mut r, &amounts)),
        };
        let money = Money(pick(&mut r, &amounts));
        let seconds = pick(&mut r, &[0, 1, u64::from(u32::MAX), u64::MAX]);
        match charge(&rate, seconds, &rounding) {
            Ok(c) => assert!(c.amount <= Money::LIMIT),
            Err(e) => {
                assert_eq!(e, MoneyError::Overflow);
                overflows += 1;
            }
        }
        assert!(longest_affordable(&rate, money, &rounding, seconds) <= seconds);
        let _ = billing::credit::first(&rate, &rounding, pick(&mut r, &periods), Some(money));
        let _ = billing::credit::more(&rate, &rounding, seconds, Some(money), pick(&mut r, &periods));
    }
    assert!(overflows > 0);
}
