//! From talk time to a charge (`BIL-8`), and from money to talk time (`BIL-12`).
//!
//! The policy, in order: talk time is rounded to whole seconds; free time is taken off; nothing is charged for
//! no time, nor within the grace of the rate; otherwise the first period and whole cycles, each at the price of the
//! section in which it begins, plus the connection fee, at least the minimum charge. The exact amount is a fraction and is rounded once, at the end, up to the
//! fee unit. It never falls when a call gets longer.

use crate::rate::Rate;
use std::time::Duration;
use vocab::{Money, MoneyError};

/// How time and fees are rounded: the `SERVER_BILLING_…` parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounding {
    /// Taken off every call.
    pub free_time_s: u32,
    /// A started second counts as a whole one from this fraction on.
    pub hold_time_precision_ms: u32,
    /// Decimals of a fee, at most [`Money::DECIMALS`].
    pub fee_precision: u32,
    /// Step to which fees are rounded up; zero: one unit of the precision.
    pub fee_unit: Money,
}

/// The defaults of the parameters.
impl Default for Rounding {
    fn default() -> Rounding {
        Rounding { free_time_s: 0, hold_time_precision_ms: 50, fee_precision: 4, fee_unit: Money::ZERO }
    }
}

impl Rounding {
    /// The step of fees, in units of [`Money`]; above 0.
    fn step(&self) -> i128 {
        if self.fee_unit > Money::ZERO {
            self.fee_unit.0
        } else {
            10i128.pow(Money::DECIMALS.saturating_sub(self.fee_precision))
        }
    }
}

/// What a call costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    pub amount: Money,
    /// The first period and whole cycles that were charged; 0 for a call that costs nothing for its shortness.
    pub charged_seconds: u64,
}

/// Whole seconds that count for pricing: a started second counts from the precision on (with precision 0, at
/// all), then free time is taken off.
pub fn billed_seconds(talk: Duration, rounding: &Rounding) -> u64 {
    let fraction = talk.subsec_nanos();
    let counts = fraction > 0
        && Duration::from_nanos(fraction.into())
            >= Duration::from_millis(rounding.hold_time_precision_ms.into());
    let seconds = talk.as_secs().saturating_add(u64::from(counts));
    seconds.saturating_sub(rounding.free_time_s.into())
}

/// The charge for this many billed seconds. An amount above [`Money::LIMIT`] is an error, never a wrong number.
pub fn charge(rate: &Rate, seconds: u64, rounding: &Rounding) -> Result<Charge, MoneyError> {
    if seconds <= u64::from(rate.free_seconds) {
        return Ok(Charge::default());
    }
    let charged_seconds = rate.whole_periods(seconds).ok_or(MoneyError::Overflow)?;
    let exact = exact_charge(rate, charged_seconds).ok_or(MoneyError::Overflow)?;
    let amount = round_up(exact, rounding).ok_or(MoneyError::Overflow)?;
    Ok(Charge { amount, charged_seconds })
}

/// The most talk time, in whole seconds up to `cap_s`, that costs no more than is available. Exactly: one
/// second more would cost more (or reaches the cap).
pub fn longest_affordable(rate: &Rate, available: Money, rounding: &Rounding, cap_s: u64) -> u64 {
    if available.is_negative() {
        return 0;
    }
    let billed = affordable_seconds(rate, available, rounding);
    billed.saturating_add(rounding.free_time_s.into()).min(cap_s)
}

/// The shortest time for which the full first charge of a rate is due, as whole periods: money for less than
/// this is not enough to start a call.
pub fn first_unit_seconds(rate: &Rate) -> u64 {
    let beyond_grace = u64::from(rate.free_seconds) + 1;
    rate.whole_periods(beyond_grace).unwrap_or(beyond_grace)
}

/// Exact amounts are whole numbers of 1/6000 of a unit of [`Money`]: prices have two decimals more (100), and
/// are per minute while time is in seconds (60).
const PARTS: i128 = 60 * 10i128.pow(vocab::Price::DECIMALS - Money::DECIMALS);

/// The charge in [`PARTS`] of a unit, before rounding. `None` on overflow.
fn exact_charge(rate: &Rate, charged_seconds: u64) -> Option<i128> {
    let mut total = first_charge(rate)?;
    for run in rate.runs() {
        let Some(left) = charged_seconds.checked_sub(run.start).filter(|left| *left > 0) else { break };
        let seconds = run.cycles.map_or(left, |n| n.saturating_mul(run.cycle).min(left));
        total = total.checked_add(i128::from(run.price.0).checked_mul(seconds.into())?)?;
    }
    Some(total.max(rate.minimum_charge.0.checked_mul(PARTS)?))
}

/// Connection fee and first period in [`PARTS`] of a unit.
fn first_charge(rate: &Rate) -> Option<i128> {
    let first_period = match rate.first_period_price {
        Some(price) => i128::from(price.0) * 60,
        None => i128::from(rate.price_per_minute.0) * i128::from(rate.first_period_s),
    };
    rate.connection_fee.0.checked_mul(PARTS)?.checked_add(first_period)
}

/// Up to the next whole fee unit.
fn round_up(exact: i128, rounding: &Rounding) -> Option<Money> {
    let step = rounding.step();
    let parts = PARTS.checked_mul(step)?;
    let steps = exact.div_euclid(parts) + i128::from(exact.rem_euclid(parts) != 0);
    steps.checked_mul(step).map(Money).filter(|m| *m <= Money::LIMIT)
}

/// Billed seconds that cost no more than this.
fn affordable_seconds(rate: &Rate, available: Money, rounding: &Rounding) -> u64 {
    let grace = u64::from(rate.free_seconds);
    // A charge rounded up to the step is within the money exactly if the exact one is within the last whole
    // step below the money; and none above the limit is ever charged.
    let most = available.min(Money::LIMIT).0;
    let budget = (most - most % rounding.step()) * PARTS;
    let unaffordable_minimum = rate.minimum_charge.0.checked_mul(PARTS).is_none_or(|min| min > budget);
    let left = first_charge(rate).map(|first| budget - first).filter(|left| *left >= 0);
    let Some(left) = left.filter(|_| !unaffordable_minimum) else { return grace };
    within_runs(rate, left).max(grace)
}

/// The end of the last cycle that this pays for, in [`PARTS`] of a unit, after the first period.
fn within_runs(rate: &Rate, mut left: i128) -> u64 {
    let mut end = u64::from(rate.first_period_s);
    for run in rate.runs() {
        let price = i128::from(run.price.0).saturating_mul(run.cycle.into());
        let payable = if price <= 0 { u64::MAX } else { u64::try_from(left / price).unwrap_or(u64::MAX) };
        let cycles = run.cycles.map_or(payable, |n| n.min(payable));
        end = run.start.saturating_add(cycles.saturating_mul(run.cycle));
        if run.cycles != Some(cycles) {
            break;
        }
        left = left.saturating_sub(price.saturating_mul(cycles.into()));
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::{Price, RateSection};

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    /// "60/6 0.03", with optional "fee=", "min=", "free=", "first=".
    fn rate(text: &str) -> Rate {
        let mut words = text.split(' ');
        let (first, cycle) = words.next().unwrap().split_once('/').unwrap();
        let mut rate = Rate {
            area: "".into(),
            price_per_minute: Price::parse(words.next().unwrap()).unwrap(),
            first_period_s: first.parse().unwrap(),
            first_period_price: None,
            cycle_s: cycle.parse().unwrap(),
            connection_fee: Money::ZERO,
            minimum_charge: Money::ZERO,
            free_seconds: 0,
            locked: false,
            level: None,
            sections: [].into(),
        };
        for word in words {
            match word.split_once('=').unwrap() {
                // Section: "at=600:0.02/6".
                ("at", v) => {
                    let (from, terms) = v.split_once(':').unwrap();
                    let (price, cycle) = terms.split_once('/').unwrap();
                    let section = RateSection {
                        from: from.parse().unwrap(),
                        price_per_minute: Price::parse(price).unwrap(),
                        cycle: cycle.parse().unwrap(),
                    };
                    rate.sections = rate.sections.iter().copied().chain([section]).collect();
                }
                ("fee", v) => rate.connection_fee = money(v),
                ("min", v) => rate.minimum_charge = money(v),
                ("free", v) => rate.free_seconds = v.parse().unwrap(),
                ("first", v) => rate.first_period_price = Some(Price::parse(v).unwrap()),
                other => panic!("{other:?}"),
            }
        }
        rate.validate().unwrap();
        rate
    }

    /// "precision=8", "unit=0.05", "time=0" (hold time precision), "free=3".
    fn rounding(text: &str) -> Rounding {
        let mut r = Rounding::default();
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            match word.split_once('=').unwrap() {
                ("precision", v) => r.fee_precision = v.parse().unwrap(),
                ("unit", v) => r.fee_unit = money(v),
                ("time", v) => r.hold_time_precision_ms = v.parse().unwrap(),
                ("free", v) => r.free_time_s = v.parse().unwrap(),
                other => panic!("{other:?}"),
            }
        }
        r
    }

    #[test]
    fn started_seconds_count_from_the_fraction_on() {
        for (how, talk_us, want) in [
            ("", 0, 0),
            ("", 1_000, 0),
            ("", 49_999, 0),
            ("", 50_000, 1),
            ("", 1_000_000, 1),
            ("", 1_049_999, 1),
            ("", 1_050_000, 2),
            ("", 59_999_999, 60),
            ("time=0", 0, 0),
            ("time=0", 1, 1),
            ("time=0", 1_000_000, 1),
            ("time=0", 1_000_001, 2),
            ("time=999", 998_999, 0),
            ("time=999", 999_000, 1),
            ("free=3", 2_000_000, 0),
            ("free=3", 3_049_999, 0),
            ("free=3", 3_050_000, 1),
            ("free=3", 63_000_000, 60),
            ("", 86_400_000_000, 86_400),
            ("", 864_000_000_000, 864_000),
        ] {
            assert_eq!(
                billed_seconds(Duration::from_micros(talk_us), &rounding(how)),
                want,
                "{talk_us} {how}"
            );
        }
        assert_eq!(billed_seconds(Duration::MAX, &rounding("")), u64::MAX);
    }

    /// rate, rounding, then seconds with their charged seconds and amounts.
    type Priced = (&'static str, &'static str, &'static [(u64, u64, &'static str)]);

    #[rustfmt::skip]
    const TABLE: &[Priced] = &[
        ("1/1 0.06", "", &[(0, 0, "0"), (1, 1, "0.001"), (2, 2, "0.002"), (59, 59, "0.059"), (60, 60, "0.06"), (61, 61, "0.061"), (86_400, 86_400, "86.4"), (864_000, 864_000, "864")]),
        ("6/6 0.06", "", &[(0, 0, "0"), (1, 6, "0.006"), (5, 6, "0.006"), (6, 6, "0.006"), (7, 12, "0.012"), (12, 12, "0.012"), (13, 18, "0.018"), (60, 60, "0.06"), (61, 66, "0.066")]),
        ("30/6 0.06", "", &[(0, 0, "0"), (1, 30, "0.03"), (30, 30, "0.03"), (31, 36, "0.036"), (36, 36, "0.036"), (37, 42, "0.042"), (60, 60, "0.06"), (61, 66, "0.066")]),
        ("60/1 0.06", "", &[(0, 0, "0"), (1, 60, "0.06"), (60, 60, "0.06"), (61, 61, "0.061"), (119, 119, "0.119")]),
        ("60/60 0.06", "", &[(0, 0, "0"), (1, 60, "0.06"), (60, 60, "0.06"), (61, 120, "0.12"), (120, 120, "0.12"), (121, 180, "0.18")]),
        ("60/6 0.03", "", &[(0, 0, "0"), (1, 60, "0.03"), (60, 60, "0.03"), (61, 66, "0.033"), (66, 66, "0.033"), (67, 72, "0.036")]),
        ("7/13 0.06", "", &[(1, 7, "0.007"), (7, 7, "0.007"), (8, 20, "0.02"), (20, 20, "0.02"), (21, 33, "0.033")]),
        ("1/1 0.036", "", &[(1, 1, "0.0006"), (100, 100, "0.06")]),
        // Rounding up, once, at the end.
        ("1/1 0.01", "", &[(1, 1, "0.0002"), (2, 2, "0.0004"), (3, 3, "0.0005"), (6, 6, "0.001"), (60, 60, "0.01"), (61, 61, "0.0102")]),
        ("1/1 0.01", "precision=2", &[(0, 0, "0"), (1, 1, "0.01"), (60, 60, "0.01"), (61, 61, "0.02")]),
        ("1/1 0.01", "precision=0", &[(1, 1, "1"), (6_000, 6_000, "1"), (6_001, 6_001, "2")]),
        ("1/1 0.01", "precision=8", &[(1, 1, "0.00016667"), (3, 3, "0.0005")]),
        ("1/1 0.01", "unit=0.05", &[(1, 1, "0.05"), (300, 300, "0.05"), (301, 301, "0.1")]),
        ("1/1 0.01", "unit=0.05 precision=8", &[(300, 300, "0.05"), (301, 301, "0.1")]),
        ("1/1 0.0000000001", "precision=8", &[(1, 1, "0.00000001"), (6_000, 6_000, "0.00000001"), (6_001, 6_001, "0.00000002")]),
        ("1/1 0.000000001", "", &[(1, 1, "0.0001"), (864_000, 864_000, "0.0001")]),
        ("1/1 1000000", "", &[(1, 1, "16666.6667"), (3, 3, "50000"), (864_000, 864_000, "14400000000")]),
        ("1/1 0", "", &[(0, 0, "0"), (1, 1, "0"), (864_000, 864_000, "0")]),
        // First period at its own price.
        ("60/60 0.06 first=0.1", "", &[(0, 0, "0"), (1, 60, "0.1"), (60, 60, "0.1"), (61, 120, "0.16")]),
        ("30/6 0.06 first=0", "", &[(30, 30, "0"), (31, 36, "0.006")]),
        // Connection fee and minimum charge.
        ("1/1 0.06 fee=0.05", "", &[(0, 0, "0"), (1, 1, "0.051"), (60, 60, "0.11")]),
        ("1/1 0.06 min=0.02", "", &[(0, 0, "0"), (1, 1, "0.02"), (20, 20, "0.02"), (21, 21, "0.021")]),
        ("1/1 0.06 fee=0.05 min=0.06", "", &[(1, 1, "0.06"), (10, 10, "0.06"), (11, 11, "0.061")]),
        ("60/60 0.06 min=0.000055", "", &[(1, 60, "0.06")]),
        ("1/1 0 min=0.000055", "", &[(1, 1, "0.0001")]),
        // Grace: free up to the limit, then everything from the start is charged.
        ("6/6 0.06 free=5 fee=0.01", "", &[(0, 0, "0"), (5, 0, "0"), (6, 6, "0.016")]),
        ("1/1 0.06 free=10", "", &[(10, 0, "0"), (11, 11, "0.011")]),
        ("1/1 0.06 free=10 min=1", "", &[(10, 0, "0"), (11, 11, "1")]),
    ];

    #[test]
    fn charges() {
        for (r, how, rows) in TABLE {
            for (seconds, charged_seconds, amount) in *rows {
                let want = Charge { amount: money(amount), charged_seconds: *charged_seconds };
                assert_eq!(charge(&rate(r), *seconds, &rounding(how)), Ok(want), "{r} | {how} | {seconds} s");
            }
        }
    }

    #[test]
    fn overflow_is_an_error() {
        let dear = rate("1/1 900000000");
        assert_eq!(charge(&dear, u64::MAX, &rounding("")), Err(MoneyError::Overflow));
        assert_eq!(charge(&rate("60/60 0"), u64::MAX, &rounding("")), Err(MoneyError::Overflow));
        let unchecked = Rate { connection_fee: Money(i128::MAX), ..rate("1/1 1") };
        assert_eq!(charge(&unchecked, 1, &rounding("")), Err(MoneyError::Overflow));
        assert_eq!(longest_affordable(&unchecked, Money::LIMIT, &rounding(""), 100), 0);
        let unchecked = Rate { cycle_s: 0, price_per_minute: Price(i64::MIN), ..rate("1/1 1") };
        assert_eq!(charge(&unchecked, 5, &rounding("")).map(|c| c.amount), Ok(Money::ZERO));
        assert_eq!(longest_affordable(&unchecked, Money::ZERO, &rounding(""), 100), 100);
    }

    /// What `validate` lets in can be priced for any talk time that a clock can measure.
    #[test]
    fn an_entered_rate_cannot_overflow() {
        let mut dearest = rate("86400/86400 1 fee=1000000000000000 min=1000000000000000");
        dearest.price_per_minute = Price(i64::MAX);
        dearest.first_period_price = Some(Price(i64::MAX));
        dearest.validate().unwrap();
        assert!(charge(&dearest, u64::from(u32::MAX), &rounding("unit=1000000")).is_ok());
    }

    #[test]
    fn later_parts_have_their_own_price() {
        for (r, seconds, want, charged) in [
            ("60/6 0.06 at=120:0.03/30", 60, "0.06", 60),
            ("60/6 0.06 at=120:0.03/30", 119, "0.12", 120),
            ("60/6 0.06 at=120:0.03/30", 120, "0.12", 120),
            ("60/6 0.06 at=120:0.03/30", 121, "0.135", 150),
            ("60/6 0.06 at=120:0.03/30 at=180:0/1", 1000, "0.15", 1000),
            // A cycle that has begun is not cut short.
            ("1/50 0.06 at=60:0.6/1", 51, "0.051", 51),
            ("1/50 0.06 at=60:0.6/1", 52, "0.101", 101),
            ("1/50 0.06 at=60:0.6/1", 102, "0.111", 102),
            // Sections within the first period begin after it, the last one of them counts.
            ("60/60 0.06 at=10:0.6/1 at=20:0.3/1", 61, "0.065", 61),
            ("60/60 0.06 at=10:0.6/1 at=20:0.3/1", 60, "0.06", 60),
            ("1/1 0.06 at=864000:0.6/1", 100, "0.1", 100),
        ] {
            let rate = rate(r);
            let got = charge(&rate, seconds, &rounding("precision=8")).unwrap();
            assert_eq!((got.amount, got.charged_seconds), (money(want), charged), "{r} {seconds} s");
            assert_eq!(rate.last_boundary(charged), charged, "{r}");
            let least = longest_affordable(&rate, got.amount, &rounding("precision=8"), 1_000_000);
            assert!(least >= seconds, "{r}: {least}");
        }
    }

    #[test]
    fn affordable_time() {
        for (r, how, available, cap, want) in [
            ("1/1 0.06", "", "10", 100_000, 10_000),
            ("1/1 0.06", "", "10", 600, 600),
            ("1/1 0.06", "", "0", 600, 0),
            ("1/1 0.06", "", "-1", 600, 0),
            ("1/1 0.06", "", "0.0009", 600, 0),
            ("1/1 0.06", "", "0.001", 600, 1),
            ("60/60 0.06", "", "0.119", 600, 60),
            ("60/60 0.06", "", "0.12", 600, 120),
            ("60/6 0.06", "", "0.0659", 600, 60),
            ("60/6 0.06", "", "0.066", 600, 66),
            ("1/1 0.01", "precision=2", "0.019", 600, 60),
            ("1/1 0.06 fee=0.05", "", "0.05", 600, 0),
            ("1/1 0.06 fee=0.05", "", "0.06", 600, 10),
            ("1/1 0.06 min=0.02", "", "0.0199", 600, 0),
            ("1/1 0.06 min=0.02", "", "0.02", 600, 20),
            ("1/1 0.06 free=10", "", "0", 600, 10),
            ("1/1 0.06 free=10", "", "0.005", 600, 10),
            ("6/6 0.06 free=10", "", "0.006", 600, 10),
            ("1/1 0.06 free=10", "", "0.015", 600, 15),
            ("1/1 0.06", "free=5", "0.01", 600, 15),
            ("1/1 0.06", "free=5", "0", 600, 5),
            ("1/1 0", "", "0", 600, 600),
            ("1/1 0", "", "-0.00000001", 600, 0),
            ("1/1 0.0000000001", "precision=8", "1000000000000000", u64::MAX, u64::MAX),
            ("1/1 1000000", "", "1000000000000000", u64::MAX, 60_000_000_000),
        ] {
            let got = longest_affordable(&rate(r), money(available), &rounding(how), cap);
            assert_eq!(got, want, "{r} | {how} | {available} | cap {cap}");
        }
    }

    #[test]
    fn first_units() {
        for (r, want) in [
            ("1/1 1", 1),
            ("60/60 1", 60),
            ("30/6 1", 30),
            ("1/1 1 free=10", 11),
            ("6/6 1 free=5", 6),
            ("6/6 1 free=6", 12),
            ("60/60 1 free=10", 60),
        ] {
            assert_eq!(first_unit_seconds(&rate(r)), want, "{r}");
        }
    }
}
