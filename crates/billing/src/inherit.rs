//! Rates taken over from another group with a mark-up (`BIL-5`), and what margins make of prices (`BIL-7`).

use crate::rate::{Rate, RateGroup};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use vocab::prefix::{Matched, Packed};
use vocab::{Money, Price, RateSection, Utc};

/// Per cent, in units of 10⁻⁴: 12.5 % is 125,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(pub i64);

impl Percent {
    pub const ZERO: Percent = Percent(0);
    pub const HUNDRED: Percent = Percent(1_000_000);
    const DECIMALS: usize = 4;

    /// Reads "12.5" or "-3"; at most four decimals.
    pub fn parse(text: &str) -> Option<Percent> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || whole.len() > 9 || fraction.len() > Self::DECIMALS {
            return None;
        }
        let fraction: i64 = format!("{fraction:0<4}").parse().ok()?;
        Some(Percent(sign * (whole.parse::<i64>().ok()? * 10_000 + fraction)))
    }
}

impl Percent {
    /// This share of an amount, rounded half up; `None` for no share, or beyond what money can hold.
    pub fn of(self, amount: Money) -> Option<Money> {
        let whole = i128::from(Self::HUNDRED.0);
        let exact = amount.0.checked_mul(i128::from(self.0))?.checked_add(whole / 2)?;
        (self != Self::ZERO).then_some(Money(exact.div_euclid(whole)))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, n) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let fraction = format!("{:04}", n % 10_000);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{fraction}", n / 10_000)
    }
}

impl TryFrom<String> for Percent {
    type Error = String;
    fn try_from(text: String) -> Result<Percent, String> {
        let words =
            || format!("{text:?} is no percentage; expected one like \"12.5\", with at most 4 decimals");
        Percent::parse(&text).ok_or_else(words)
    }
}

impl From<Percent> for String {
    fn from(p: Percent) -> String {
        p.to_string()
    }
}

/// How a price is made from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Making {
    /// price = cost / (1 − margin): the margin is a share of the price.
    Margin(Percent),
    /// price = cost × (1 + mark-up): the mark-up is a share of the cost.
    MarkUp(Percent),
    /// price = cost + amount per minute.
    Amount(Price),
}

impl Making {
    /// A margin of all or more makes no price, and a mark-up below −100 % a negative one.
    pub fn is_sound(self) -> bool {
        match self {
            Making::Margin(p) => p < Percent::HUNDRED,
            Making::MarkUp(p) => p.0 >= -Percent::HUNDRED.0,
            Making::Amount(_) => true,
        }
    }

    /// The price rounded up to this many decimals. `None`: unsound, negative, or beyond what a price can hold.
    pub fn price(self, cost: Price, decimals: u32) -> Option<Price> {
        let (numerator, denominator) = match self {
            Making::Margin(p) => (Percent::HUNDRED.0, Percent::HUNDRED.0.checked_sub(p.0)?),
            Making::MarkUp(p) => (Percent::HUNDRED.0.checked_add(p.0)?, Percent::HUNDRED.0),
            Making::Amount(_) => (1, 1),
        };
        if !self.is_sound() || denominator <= 0 {
            return None;
        }
        let plus = if let Making::Amount(amount) = self { i128::from(amount.0) } else { 0 };
        let exact = (i128::from(cost.0) + plus).checked_mul(numerator.into())?;
        let step = 10i128.checked_pow(Price::DECIMALS.saturating_sub(decimals))?;
        let steps = ceiling(exact, i128::from(denominator).checked_mul(step)?);
        let price = i64::try_from(steps.checked_mul(step)?).ok()?;
        (price >= 0).then_some(Price(price))
    }
}

/// Quotient rounded up; the divisor is above 0.
fn ceiling(n: i128, d: i128) -> i128 {
    n.div_euclid(d) + i128::from(n.rem_euclid(d) != 0)
}

/// The other group, and how its prices become those of this one.
#[derive(Clone, Debug)]
pub struct Inherited {
    pub group: Arc<RateGroup>,
    pub mark_up: Percent,
    /// Decimals of prices after the mark-up, rounded up.
    pub decimals: u32,
}

impl Inherited {
    pub(crate) fn at(&self, number: Packed, at: Utc) -> Option<(Matched, Cow<'_, Rate>)> {
        let (prefix, rate) = self.group.at(number, at)?;
        if self.mark_up == Percent::ZERO {
            return Some((prefix, rate));
        }
        Some((prefix, Cow::Owned(self.marked_up(rate.into_owned())?)))
    }

    /// Every price and fee with the mark-up. `None` where one becomes too large: then there is no rate, rather than a
    /// wrong one.
    fn marked_up(&self, rate: Rate) -> Option<Rate> {
        let making = Making::MarkUp(self.mark_up);
        let price = |p: Price| making.price(p, self.decimals);
        let sections: Option<Vec<RateSection>> = rate
            .sections
            .iter()
            .map(|s| Some(RateSection { price_per_minute: price(s.price_per_minute)?, ..*s }))
            .collect();
        Some(Rate {
            price_per_minute: price(rate.price_per_minute)?,
            first_period_price: rate.first_period_price.map(|p| price(p).ok_or(())).transpose().ok()?,
            connection_fee: self.fee(rate.connection_fee)?,
            minimum_charge: self.fee(rate.minimum_charge)?,
            sections: sections?.into(),
            ..rate
        })
    }

    fn fee(&self, fee: Money) -> Option<Money> {
        let exact = fee.0.checked_mul((Percent::HUNDRED.0.checked_add(self.mark_up.0)?).into())?;
        let step = 10i128.checked_pow(Money::DECIMALS.saturating_sub(self.decimals))?;
        let steps = ceiling(exact, i128::from(Percent::HUNDRED.0).checked_mul(step)?);
        steps.checked_mul(step).map(Money).filter(|m| *m <= crate::rate::HIGHEST_FEE && !m.is_negative())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    #[test]
    fn percents_round_trip() {
        for (text, units) in
            [("0", 0), ("10", 100_000), ("12.5", 125_000), ("-3", -30_000), ("0.0001", 1), ("-0.5", -5_000)]
        {
            assert_eq!(Percent::parse(text), Some(Percent(units)), "{text}");
            assert_eq!(Percent(units).to_string(), text);
        }
        for text in ["", "-", "1.", ".5", "1,5", "0.00001", "1e3", "+1", "--1", "9999999999", "NaN"] {
            assert_eq!(Percent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn prices_are_made() {
        let percent = |text| Percent::parse(text).unwrap();
        for (making, cost, decimals, want) in [
            // BIL-7: a 25 % margin on 0.008 is 0.01067.
            (Making::Margin(percent("25")), "0.008", 5, Some("0.01067")),
            (Making::Margin(percent("25")), "0.008", 10, Some("0.0106666667")),
            (Making::Margin(percent("25")), "0.0075", 4, Some("0.01")),
            (Making::Margin(percent("0")), "0.008", 4, Some("0.008")),
            (Making::Margin(percent("-25")), "0.01", 4, Some("0.008")),
            (Making::Margin(percent("100")), "0.01", 4, None),
            (Making::Margin(percent("99.9999")), "0.01", 4, Some("10000")),
            (Making::Margin(percent("101")), "0.01", 4, None),
            (Making::MarkUp(percent("25")), "0.008", 4, Some("0.01")),
            (Making::MarkUp(percent("10")), "0.0001", 4, Some("0.0002")),
            (Making::MarkUp(percent("-100")), "0.01", 4, Some("0")),
            (Making::MarkUp(percent("-101")), "0.01", 4, None),
            (Making::MarkUp(percent("10")), "0", 4, Some("0")),
            (Making::Amount(price("0.005")), "0.01", 4, Some("0.015")),
            (Making::Amount(price("-0.02")), "0.01", 4, None),
            (Making::MarkUp(percent("900")), "922337203", 4, None),
        ] {
            assert_eq!(making.price(price(cost), decimals), want.map(price), "{making:?} {cost} {decimals}");
        }
        assert_eq!(Making::MarkUp(Percent(i64::MAX)).price(Price(i64::MAX), 0), None);
    }
}
