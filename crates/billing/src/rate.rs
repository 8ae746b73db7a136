//! Prices by prefix (`BIL-4`, `BIL-5`).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use vocab::prefix::{Matched, Packed, PrefixError, PrefixTable, pack_prefix};
use vocab::{Currency, Money, Price, RateGroupId};

/// What a destination costs. "60/6" in the notation of the trade is a first period of 60 s and a cycle of 6 s.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Name of the destination, for people.
    pub area: Arc<str>,
    pub price_per_minute: Price,
    /// Charged whole from the first second on.
    pub first_period_s: u32,
    /// Price of the whole first period. `None`: its share of the minute's price.
    pub first_period_price: Option<Price>,
    /// After the first period, charged whole once started.
    pub cycle_s: u32,
    /// Added to every call that is charged.
    pub connection_fee: Money,
    /// A call that is charged costs no less.
    pub minimum_charge: Money,
    /// Grace: a call of up to this length costs nothing.
    pub free_seconds: u32,
    /// The destination is barred.
    pub locked: bool,
}

/// Why a rate cannot be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateError {
    /// The named period has no length, so that a call would never reach its end.
    ZeroInterval(&'static str),
    TooLong(&'static str),
    Negative(&'static str),
    TooDear(&'static str),
    Prefix(PrefixError),
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RateError::ZeroInterval(field) => write!(f, "{field} is 0; expected 1–{LONGEST_PERIOD_S} s"),
            RateError::TooLong(field) => write!(f, "{field} is longer than {LONGEST_PERIOD_S} s"),
            RateError::Negative(field) => write!(f, "{field} is negative"),
            RateError::TooDear(field) => write!(f, "{field} is above {HIGHEST_FEE}"),
            RateError::Prefix(e) => write!(f, "prefix: {e}"),
        }
    }
}

impl std::error::Error for RateError {}

/// A day: longer than any call, so longer periods can only be mistakes.
pub const LONGEST_PERIOD_S: u32 = 86_400;

/// 10¹⁵ currency units. With prices bounded by their type this keeps the charge for any talk time below
/// [`Money::LIMIT`], so that pricing with an entered rate cannot overflow.
pub const HIGHEST_FEE: Money = Money(10i128.pow(15 + Money::DECIMALS));

impl Rate {
    /// Checks what was entered.
    pub fn validate(&self) -> Result<(), RateError> {
        for (field, seconds) in [("the first period", self.first_period_s), ("the cycle", self.cycle_s)] {
            if seconds == 0 {
                return Err(RateError::ZeroInterval(field));
            }
        }
        for (field, seconds) in [
            ("the first period", self.first_period_s),
            ("the cycle", self.cycle_s),
            ("the free time", self.free_seconds),
        ] {
            if seconds > LONGEST_PERIOD_S {
                return Err(RateError::TooLong(field));
            }
        }
        let first = self.first_period_price.unwrap_or_default();
        for (field, price) in
            [("the price per minute", self.price_per_minute), ("the price of the first period", first)]
        {
            if price < Price::ZERO {
                return Err(RateError::Negative(field));
            }
        }
        for (field, fee) in
            [("the connection fee", self.connection_fee), ("the minimum charge", self.minimum_charge)]
        {
            if fee.is_negative() {
                return Err(RateError::Negative(field));
            }
            if fee > HIGHEST_FEE {
                return Err(RateError::TooDear(field));
            }
        }
        Ok(())
    }

    /// The whole periods that cover this time: the first one, then cycles. `None` on overflow.
    pub(crate) fn whole_periods(&self, seconds: u64) -> Option<u64> {
        let (first, cycle) = (u64::from(self.first_period_s), self.cycle());
        match seconds.checked_sub(first) {
            None | Some(0) => Some(first),
            Some(rest) => rest.div_ceil(cycle).checked_mul(cycle)?.checked_add(first),
        }
    }

    /// An unchecked rate with a cycle of 0 must not stop the program; `validate` has refused it at entry.
    pub(crate) fn cycle(&self) -> u64 {
        u64::from(self.cycle_s.max(1))
    }
}

/// What is earned on a minute sold at one rate and bought at another; negative is a loss (`BIL-18`).
pub fn margin_per_minute(sell: &Rate, buy: &Rate) -> Price {
    Price(sell.price_per_minute.0.saturating_sub(buy.price_per_minute.0))
}

/// Rates by prefix; the longest prefix wins. Built once, then immutable and shared. Decks repeat few distinct
/// rates over many prefixes, so each distinct one is kept once and a prefix costs 17 bytes.
#[derive(Clone, Default)]
pub struct RateTable {
    prefixes: PrefixTable<u32>,
    rates: Vec<Rate>,
}

impl RateTable {
    /// Builds a table of checked rates. Of equal prefixes the last wins.
    pub fn build<'a>(rows: impl IntoIterator<Item = (&'a str, Rate)>) -> Result<RateTable, RateError> {
        let mut builder = RateTableBuilder::default();
        for (prefix, rate) in rows {
            builder.add(prefix, rate)?;
        }
        Ok(builder.build())
    }

    /// The rate of the longest prefix of these digits, locked or not.
    pub fn longest(&self, digits: &str) -> Option<(Matched, &Rate)> {
        self.longest_of(Packed::of(digits))
    }

    /// The same for a number that was packed once for several tables.
    pub fn longest_of(&self, number: Packed) -> Option<(Matched, &Rate)> {
        let (prefix, index) = self.prefixes.longest_of(number)?;
        Some((prefix, self.rate(*index)?))
    }

    /// All rates in order of their prefixes.
    pub fn iter(&self) -> impl Iterator<Item = (Matched, &Rate)> {
        self.prefixes.iter().filter_map(|(prefix, index)| Some((prefix, self.rate(*index)?)))
    }

    /// Number of prefixes.
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    fn rate(&self, index: u32) -> Option<&Rate> {
        self.rates.get(usize::try_from(index).ok()?)
    }
}

/// A million lines are not for a log.
impl fmt::Debug for RateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateTable({} prefixes, {} rates)", self.len(), self.rates.len())
    }
}

/// Takes rows one by one, so that a deck is never in memory twice.
#[derive(Default)]
pub struct RateTableBuilder {
    prefixes: Vec<(u128, u32)>,
    rates: Vec<Rate>,
    known: HashMap<Rate, u32>,
    areas: HashSet<Arc<str>>,
}

impl RateTableBuilder {
    pub fn add(&mut self, prefix: &str, mut rate: Rate) -> Result<(), RateError> {
        let key = pack_prefix(prefix).map_err(RateError::Prefix)?;
        let index = match self.known.get(&rate) {
            Some(index) => *index,
            None => {
                rate.validate()?;
                rate.area = self.shared_area(rate.area);
                // More than 2³² distinct rates do not fit into memory.
                let index = u32::try_from(self.rates.len()).unwrap_or(u32::MAX);
                self.rates.push(rate.clone());
                self.known.insert(rate, index);
                index
            }
        };
        self.prefixes.push((key, index));
        Ok(())
    }

    pub fn build(mut self) -> RateTable {
        self.rates.shrink_to_fit();
        RateTable { prefixes: PrefixTable::build(self.prefixes), rates: self.rates }
    }

    fn shared_area(&mut self, area: Arc<str>) -> Arc<str> {
        match self.areas.get(&area) {
            Some(shared) => shared.clone(),
            None => {
                self.areas.insert(area.clone());
                area
            }
        }
    }
}

/// A named table of prefixes and prices in one currency.
#[derive(Clone, Debug)]
pub struct RateGroup {
    pub id: RateGroupId,
    pub name: Arc<str>,
    pub currency: Currency,
    pub table: Arc<RateTable>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(area: &str, per_minute: &str) -> Rate {
        Rate {
            area: area.into(),
            price_per_minute: Price::parse(per_minute).unwrap(),
            first_period_s: 1,
            first_period_price: None,
            cycle_s: 1,
            connection_fee: Money::ZERO,
            minimum_charge: Money::ZERO,
            free_seconds: 0,
            locked: false,
        }
    }

    #[test]
    fn nonsense_is_refused_at_entry() {
        type Change = fn(&mut Rate);
        let cases: &[(Change, Result<(), RateError>)] = &[
            (|_| (), Ok(())),
            (|r| r.price_per_minute = Price::ZERO, Ok(())),
            (|r| r.price_per_minute = Price(i64::MAX), Ok(())),
            (|r| r.first_period_s = 0, Err(RateError::ZeroInterval("the first period"))),
            (|r| r.cycle_s = 0, Err(RateError::ZeroInterval("the cycle"))),
            (|r| r.cycle_s = 86_401, Err(RateError::TooLong("the cycle"))),
            (|r| r.free_seconds = 86_401, Err(RateError::TooLong("the free time"))),
            (|r| r.price_per_minute = Price(-1), Err(RateError::Negative("the price per minute"))),
            (
                |r| r.first_period_price = Some(Price(-1)),
                Err(RateError::Negative("the price of the first period")),
            ),
            (|r| r.connection_fee = Money(-1), Err(RateError::Negative("the connection fee"))),
            (|r| r.minimum_charge = Money(-1), Err(RateError::Negative("the minimum charge"))),
            (|r| r.minimum_charge = Money::LIMIT, Err(RateError::TooDear("the minimum charge"))),
        ];
        for (i, (change, want)) in cases.iter().enumerate() {
            let mut r = rate("x", "0.01");
            change(&mut r);
            assert_eq!(r.validate(), *want, "case {i}");
            assert_eq!(RateTable::build([("1", r)]).map(|t| t.len()), want.map(|()| 1), "case {i}");
        }
        let bad_prefix = RateTable::build([("88x", rate("x", "1"))]).unwrap_err();
        assert_eq!(bad_prefix, RateError::Prefix(PrefixError::BadCharacter('x')));
    }

    #[test]
    fn longest_prefix_wins_and_the_last_of_equals() {
        let table = RateTable::build([
            ("880", rate("Bangladesh", "0.03")),
            ("88017", rate("Bangladesh mobile", "0.04")),
            ("88017", rate("Bangladesh mobile", "0.036")),
            ("44", rate("United Kingdom", "0.012")),
        ])
        .unwrap();
        for (number, want) in [
            ("8801712345678", Some(("88017", "0.036"))),
            ("8802", Some(("880", "0.03"))),
            ("447700", Some(("44", "0.012"))),
            ("33", None),
            ("", None),
        ] {
            let found = table.longest(number).map(|(p, r)| (p.to_string(), r.price_per_minute));
            let want = want.map(|(p, price)| (p.to_string(), Price::parse(price).unwrap()));
            assert_eq!(found, want, "{number}");
        }
        assert_eq!(table.len(), 3);
        assert_eq!(table.iter().map(|(p, _)| p.to_string()).collect::<Vec<_>>(), ["44", "880", "88017"]);
    }

    #[test]
    fn equal_rates_are_kept_once() {
        let rows: Vec<(String, Rate)> = (0..10_000)
            .map(|i| (format!("{i:05}"), rate(["A", "B"][i % 2], ["0.1", "0.2", "0.3"][i % 3])))
            .collect();
        let table = RateTable::build(rows.iter().map(|(p, r)| (p.as_str(), r.clone()))).unwrap();
        assert_eq!((table.len(), table.rates.len()), (10_000, 6));
        for (prefix, rate) in &rows {
            assert_eq!(table.longest(prefix).map(|(_, r)| r), Some(rate));
        }
        let areas: HashSet<*const u8> = table.rates.iter().map(|r| r.area.as_ptr()).collect();
        assert_eq!(areas.len(), 2);
    }

    #[test]
    fn margin_may_be_negative() {
        for (sell, buy, want) in [("0.03", "0.02", "0.01"), ("0.02", "0.03", "-0.01"), ("0", "0", "0")] {
            let margin = margin_per_minute(&rate("s", sell), &rate("b", buy));
            assert_eq!(margin, Price::parse(want).unwrap(), "{sell} - {buy}");
        }
    }
}
