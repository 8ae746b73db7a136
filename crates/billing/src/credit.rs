//! How much talk time is reserved ahead (`BIL-12`, `BIL-13`), so that calls sharing one balance end together.
//!
//! A call starts with its first billable unit and nothing more: a balance for ten first units carries exactly
//! ten calls. While it runs it asks for more whenever its time runs out, and gets at most half of its share of
//! what is left, down to one cycle. So the last of the money is dealt out in the smallest pieces, and calls end
//! within a cycle of each other.

use crate::pricing::{self, Rounding, charge, longest_affordable};
use crate::rate::Rate;
use vocab::Money;

/// Most talk time reserved at once, in seconds. Longer: less work for the switch, but more money is held by
/// calls that end before they use it. Ten seconds cost one timer per call and ten seconds.
pub const SLICE_S: u64 = 10;

/// What an account's money allows a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// No bound by money; nothing needs to be reserved.
    Unlimited,
    /// Up to this much talk time in total, for which this much is reserved in total.
    Until { talk_s: u64, amount: Money },
    /// Not even one unit more: the call is refused, or ends when its reserved time does.
    Exhausted,
}

/// For a new call: the first billable unit, or the advance time in whole periods if that is longer.
/// `available` as [`crate::Ledger::available`] says.
pub fn first(rate: &Rate, rounding: &Rounding, advance_s: u32, available: Option<Money>) -> Credit {
    let Some(available) = available else { return Credit::Unlimited };
    let seconds = pricing::first_unit_seconds(rate).max(advance_s.into());
    match whole(rate, rounding, seconds) {
        Some((billed, amount)) if amount <= available => until(billed, amount, rounding),
        Some(_) | None => Credit::Exhausted,
    }
}

/// For a call that has `reserved_s` of talk time reserved, on an account with this many calls open (itself
/// among them): up to [`SLICE_S`] more, within half of its share of what is available, and at least one cycle.
pub fn more(
    rate: &Rate,
    rounding: &Rounding,
    reserved_s: u64,
    available: Option<Money>,
    open_calls: u32,
) -> Credit {
    let Some(available) = available else { return Credit::Unlimited };
    let available = available.max(Money::ZERO);
    let billed = reserved_s.saturating_sub(rounding.free_time_s.into());
    let Ok(held) = charge(rate, billed, rounding) else { return Credit::Exhausted };
    let Some((one_unit, price)) = whole(rate, rounding, billed.saturating_add(1)) else {
        return Credit::Exhausted;
    };
    if price.0.saturating_sub(held.amount.0) > available.0 {
        return Credit::Exhausted;
    }
    let share = available.0 / (2 * i128::from(open_calls.max(1)));
    let budget = Money(held.amount.0.saturating_add(share));
    let free = u64::from(rounding.free_time_s);
    let cap = billed.saturating_add(SLICE_S).saturating_add(free);
    let affordable = longest_affordable(rate, budget, rounding, cap).saturating_sub(free);
    match charge(rate, rate.last_boundary(affordable), rounding) {
        Ok(slice) if slice.charged_seconds > one_unit => until(slice.charged_seconds, slice.amount, rounding),
        Ok(_) | Err(_) => until(one_unit, price, rounding),
    }
}

fn until(billed: u64, amount: Money, rounding: &Rounding) -> Credit {
    Credit::Until { talk_s: billed.saturating_add(rounding.free_time_s.into()), amount }
}

/// The whole periods that cover these billed seconds, beyond any grace, and their charge. `None`: not to be
/// priced.
fn whole(rate: &Rate, rounding: &Rounding, seconds: u64) -> Option<(u64, Money)> {
    let seconds = seconds.max(pricing::first_unit_seconds(rate));
    let charged = charge(rate, seconds, rounding).ok()?;
    Some((charged.charged_seconds, charged.amount))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::Price;

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    /// A minute costs 0.60, a second 0.01.
    fn rate(first_period_s: u32, cycle_s: u32) -> Rate {
        Rate {
            area: "".into(),
            price_per_minute: Price::parse("0.6").unwrap(),
            first_period_s,
            first_period_price: None,
            cycle_s,
            connection_fee: Money::ZERO,
            minimum_charge: Money::ZERO,
            free_seconds: 0,
            locked: false,
            level: None,
            sections: [].into(),
        }
    }

    fn to(talk_s: u64, amount: &str) -> Credit {
        Credit::Until { talk_s, amount: money(amount) }
    }

    #[test]
    fn a_call_starts_with_its_first_unit() {
        let with_fee = Rate { connection_fee: money("1"), ..rate(30, 6) };
        let with_grace = Rate { free_seconds: 10, ..rate(6, 6) };
        let free = Rate { price_per_minute: Price::ZERO, ..rate(1, 1) };
        for (rate, free_time_s, advance_s, available, want) in [
            (&rate(1, 1), 0, 0, "10", to(1, "0.01")),
            (&rate(1, 1), 0, 0, "0.01", to(1, "0.01")),
            (&rate(1, 1), 0, 0, "0.0099", Credit::Exhausted),
            (&rate(60, 60), 0, 0, "0.6", to(60, "0.6")),
            (&rate(60, 60), 0, 0, "0.5999", Credit::Exhausted),
            (&rate(1, 1), 0, 45, "10", to(45, "0.45")),
            (&rate(60, 6), 0, 45, "10", to(60, "0.6")),
            (&rate(60, 6), 0, 61, "10", to(66, "0.66")),
            (&rate(60, 6), 0, 61, "0.65", Credit::Exhausted),
            (&rate(1, 1), 3, 0, "10", to(4, "0.01")),
            (&with_fee, 0, 0, "1.3", to(30, "1.3")),
            (&with_fee, 0, 0, "1.29", Credit::Exhausted),
            (&with_grace, 0, 0, "10", to(12, "0.12")),
            (&free, 0, 0, "0", to(1, "0")),
            (&free, 0, 0, "-0.01", Credit::Exhausted),
        ] {
            let rounding = Rounding { free_time_s, ..Rounding::default() };
            let got = first(rate, &rounding, advance_s, Some(money(available)));
            assert_eq!(got, want, "{rate:?} {free_time_s} {advance_s} {available}");
        }
        assert_eq!(first(&rate(1, 1), &Rounding::default(), 0, None), Credit::Unlimited);
    }

    #[test]
    fn more_is_dealt_by_share() {
        let free = Rate { price_per_minute: Price::ZERO, ..rate(1, 1) };
        for (rate, reserved_s, available, open, want) in [
            (&rate(1, 1), 1, "10", 1, to(11, "0.11")),
            (&rate(1, 1), 11, "10", 1, to(21, "0.21")),
            (&rate(1, 1), 11, "0.1", 1, to(16, "0.16")),
            (&rate(1, 1), 11, "0.1", 2, to(13, "0.13")),
            (&rate(1, 1), 11, "0.1", 10, to(12, "0.12")),
            (&rate(1, 1), 11, "0.01", 10, to(12, "0.12")),
            (&rate(1, 1), 11, "0.0099", 1, Credit::Exhausted),
            (&rate(1, 1), 11, "0", 1, Credit::Exhausted),
            (&rate(1, 1), 11, "-1", 1, Credit::Exhausted),
            (&rate(60, 6), 60, "10", 1, to(66, "0.66")),
            (&rate(60, 6), 60, "0.05", 1, Credit::Exhausted),
            (&rate(60, 60), 60, "10", 1, to(120, "1.2")),
            (&rate(60, 60), 60, "0.59", 1, Credit::Exhausted),
            (&rate(3, 3), 3, "10", 1, to(12, "0.12")),
            (&rate(1, 1), 1, "10", 0, to(11, "0.11")),
            (&free, 11, "0", 5, to(21, "0")),
            (&free, 11, "-3", 5, to(21, "0")),
        ] {
            let got = more(rate, &Rounding::default(), reserved_s, Some(money(available)), open);
            assert_eq!(got, want, "{}/{} {reserved_s} {available} {open}", rate.first_period_s, rate.cycle_s);
        }
        assert_eq!(more(&rate(1, 1), &Rounding::default(), 1, None, 1), Credit::Unlimited);
        let late = more(&rate(60, 60), &Rounding::default(), u64::MAX, Some(Money::LIMIT), 1);
        assert_eq!(late, Credit::Exhausted);
    }

    #[test]
    fn free_time_stands_outside_of_the_price() {
        let rounding = Rounding { free_time_s: 3, ..Rounding::default() };
        let start = first(&rate(6, 6), &rounding, 0, Some(money("10")));
        assert_eq!(start, to(9, "0.06"));
        assert_eq!(more(&rate(6, 6), &rounding, 9, Some(money("10")), 1), to(15, "0.12"));
    }
}
