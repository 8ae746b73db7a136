//! Prices by prefix (`BIL-4`, `BIL-5`).

use crate::calendar::{Hours, Zone};
use crate::inherit::Inherited;
use crate::pricing::{Rounding, charge};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use vocab::prefix::{Matched, Packed, PrefixError, PrefixTable, pack_prefix};
use vocab::{CallLevel, Currency, Money, Price, RateGroupId, RateSection, Utc};

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
    /// How far the destination is; callers of a lower level may not call it.
    pub level: Option<CallLevel>,
    /// Other prices and cycles for later parts of the call, in order. A cycle that has begun is not cut short.
    pub sections: Arc<[RateSection]>,
}

/// When a rate holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Validity {
    pub from: Option<Utc>,
    pub until: Option<Utc>,
    /// In the time zone of the rate group.
    pub hours: Hours,
}

impl Validity {
    pub fn holds(&self, at: Utc, zone: &Zone) -> bool {
        self.from.is_none_or(|from| from <= at)
            && self.until.is_none_or(|until| at < until)
            && (self.hours.is_always() || self.hours.contains(zone.minute_of_week(at)))
    }

    /// The most specific first: the fewest hours, then the latest beginning (`BIL-4`).
    fn rank(&self) -> (u32, std::cmp::Reverse<Option<Utc>>) {
        (self.hours.minutes(), std::cmp::Reverse(self.from))
    }
}

/// Why a rate cannot be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateError {
    /// The named period has no length, so that a call would never reach its end.
    ZeroInterval(&'static str),
    TooLong(&'static str),
    Negative(&'static str),
    TooDear(&'static str),
    /// The rate would end before it begins.
    EndsFirst,
    /// Sections begin above 0, one after the other.
    SectionOrder,
    TooManySections,
    /// Too many rates of one prefix, at different times.
    TooManyTimes,
    Prefix(PrefixError),
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RateError::ZeroInterval(field) => write!(f, "{field} is 0; expected 1–{LONGEST_PERIOD_S} s"),
            RateError::TooLong(field) => write!(f, "{field} is longer than {LONGEST_PERIOD_S} s"),
            RateError::Negative(field) => write!(f, "{field} is negative"),
            RateError::TooDear(field) => write!(f, "{field} is above {HIGHEST_FEE}"),
            RateError::EndsFirst => write!(f, "the rate ends before it begins"),
            RateError::SectionOrder => {
                write!(f, "sections must begin after 0 s, each later than the one before")
            }
            RateError::TooManySections => write!(f, "more than {MOST_SECTIONS} sections"),
            RateError::TooManyTimes => {
                write!(f, "more than {MOST_TIMES} rates of one prefix at different times")
            }
            RateError::Prefix(e) => write!(f, "prefix: {e}"),
        }
    }
}

impl std::error::Error for RateError {}

/// A day: longer than any call, so longer periods can only be mistakes.
pub const LONGEST_PERIOD_S: u32 = 86_400;

/// Sections of one rate, as entered.
pub const MOST_SECTIONS: usize = 50;
/// Rates of one prefix that hold at different times.
pub const MOST_TIMES: usize = 100;
/// The latest second at which a section may begin: 10 days.
const LATEST_SECTION_S: u32 = 10 * LONGEST_PERIOD_S;

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
        self.validate_sections()
    }

    fn validate_sections(&self) -> Result<(), RateError> {
        if self.sections.len() > MOST_SECTIONS {
            return Err(RateError::TooManySections);
        }
        let mut before = 0;
        for section in self.sections.iter() {
            if section.from <= before {
                return Err(RateError::SectionOrder);
            }
            before = section.from;
            if section.cycle == 0 {
                return Err(RateError::ZeroInterval("the cycle of a section"));
            }
            if section.cycle > LONGEST_PERIOD_S {
                return Err(RateError::TooLong("the cycle of a section"));
            }
            if section.price_per_minute < Price::ZERO {
                return Err(RateError::Negative("the price of a section"));
            }
        }
        if before > LATEST_SECTION_S { Err(RateError::TooLong("the beginning of a section")) } else { Ok(()) }
    }

    /// What the first minute costs, to 8 decimals: what rates are compared by.
    pub fn first_minute(&self) -> Money {
        let exact =
            Rounding { free_time_s: 0, hold_time_precision_ms: 0, fee_precision: 8, fee_unit: Money::ZERO };
        charge(self, 60, &exact).map_or(Money::LIMIT, |charge| charge.amount)
    }

    /// What a cycle costs that begins at this second of the call.
    pub fn section_at(&self, second: u32) -> RateSection {
        let own = RateSection { from: 0, price_per_minute: self.price_per_minute, cycle: self.cycle_s };
        self.sections.iter().rev().find(|s| s.from <= second).copied().unwrap_or(own)
    }

    /// Runs of equal cycles after the first period, in order; the last one has no end.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run> {
        let mut at = Some(u64::from(self.first_period_s));
        let mut price = self.price_per_minute;
        let mut cycle = self.cycle_s;
        let mut later = self.sections.iter();
        std::iter::from_fn(move || {
            loop {
                let start = at?;
                // An unchecked rate with a cycle of 0 must not stop the program; `validate` refuses it at entry.
                let mut run = Run { start, cycle: u64::from(cycle.max(1)), price, cycles: None };
                let Some(next) = later.next() else {
                    at = None;
                    return Some(run);
                };
                (price, cycle) = (next.price_per_minute, next.cycle);
                let cycles = u64::from(next.from).saturating_sub(start).div_ceil(run.cycle);
                if cycles > 0 {
                    at = Some(start.saturating_add(cycles.saturating_mul(run.cycle)));
                    run.cycles = Some(cycles);
                    return Some(run);
                }
            }
        })
    }

    /// The end of the period that covers this second: the first one, or a cycle. `None` on overflow.
    pub(crate) fn whole_periods(&self, seconds: u64) -> Option<u64> {
        if seconds <= u64::from(self.first_period_s) {
            return Some(self.first_period_s.into());
        }
        let run = self.run_at(seconds)?;
        seconds.checked_sub(run.start)?.div_ceil(run.cycle).checked_mul(run.cycle)?.checked_add(run.start)
    }

    /// The last end of a period that is not above this; 0 within the first one.
    pub(crate) fn last_boundary(&self, seconds: u64) -> u64 {
        if seconds < u64::from(self.first_period_s) {
            return 0;
        }
        self.run_at(seconds).map_or(0, |run| seconds - seconds.saturating_sub(run.start) % run.cycle)
    }

    /// The run in which this second, beyond the first period, lies or ends.
    fn run_at(&self, seconds: u64) -> Option<Run> {
        self.runs().find(|run| run.end().is_none_or(|end| seconds <= end))
    }
}

/// Cycles of one price, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Second at which the first of them begins.
    pub start: u64,
    pub cycle: u64,
    pub price: Price,
    /// `None`: to the end of the call.
    pub cycles: Option<u64>,
}

impl Run {
    pub fn end(&self) -> Option<u64> {
        self.cycles.map(|n| self.start.saturating_add(n.saturating_mul(self.cycle)))
    }
}

/// What is earned on a minute sold at one rate and bought at another; negative is a loss (`BIL-18`).
pub fn margin_per_minute(sell: &Rate, buy: &Rate) -> Price {
    Price(sell.price_per_minute.0.saturating_sub(buy.price_per_minute.0))
}

/// Rates by prefix; the longest prefix wins, then the most specific time. Built once, then immutable and shared.
/// Decks repeat few distinct rates over many prefixes, so each distinct one is kept once and a prefix costs 17 bytes.
#[derive(Clone, Default)]
pub struct RateTable {
    prefixes: PrefixTable<Offered>,
    offers: Vec<Offer>,
    /// Offers of prefixes that have several, the most specific first.
    several: Vec<Box<[u32]>>,
}

/// A rate with the time when it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    pub when: Validity,
    pub rate: Rate,
}

/// What a prefix leads to: an index of `offers`, or with [`SEVERAL`] one of `several`.
type Offered = u32;
const SEVERAL: u32 = 1 << 31;

impl RateTable {
    /// Builds a table of checked rates that always hold. Of equal prefixes the last wins.
    pub fn build<'a>(rows: impl IntoIterator<Item = (&'a str, Rate)>) -> Result<RateTable, RateError> {
        let mut builder = RateTableBuilder::default();
        for (prefix, rate) in rows {
            builder.add(prefix, Validity::default(), rate)?;
        }
        Ok(builder.build())
    }

    /// The rate for this number at this moment, locked or not. A prefix whose rates do not hold then is passed over.
    pub fn at(&self, number: Packed, at: Utc, zone: &Zone) -> Option<(Matched, &Rate)> {
        self.prefixes.matches_of(number).find_map(|(prefix, offered)| {
            let offer = self.offers(*offered).find(|o| o.when.holds(at, zone))?;
            Some((prefix, &offer.rate))
        })
    }

    /// Has the number's places in many tables at hand before they are asked one by one.
    pub fn warm<'a>(tables: impl IntoIterator<Item = &'a RateTable>, number: Packed) {
        vocab::prefix::warm(tables.into_iter().map(|table| &table.prefixes), number);
    }

    /// All offers that concern this number at any time.
    pub(crate) fn concerning(&self, number: Packed) -> impl Iterator<Item = &Offer> {
        self.prefixes.matches_of(number).flat_map(|(_, offered)| self.offers(*offered))
    }

    /// All rates in order of their prefixes.
    pub fn iter(&self) -> impl Iterator<Item = (Matched, &Offer)> {
        self.prefixes.iter().flat_map(|(prefix, offered)| self.offers(*offered).map(move |o| (prefix, o)))
    }

    /// Number of prefixes.
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    fn offers(&self, offered: Offered) -> impl Iterator<Item = &Offer> {
        let several = (offered & SEVERAL != 0).then(|| self.several.get((offered & !SEVERAL) as usize));
        let list = several.flatten().map(|list| list.iter().copied());
        let one = (offered & SEVERAL == 0).then_some(offered);
        list.into_iter().flatten().chain(one).filter_map(|i| self.offers.get(i as usize))
    }
}

/// A million lines are not for a log.
impl fmt::Debug for RateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateTable({} prefixes, {} rates)", self.len(), self.offers.len())
    }
}

/// Takes rows one by one, so that a deck is never in memory twice.
#[derive(Default)]
pub struct RateTableBuilder {
    prefixes: Vec<(u128, u32)>,
    offers: Vec<Offer>,
    known: HashMap<Offer, u32>,
    areas: HashSet<Arc<str>>,
}

impl RateTableBuilder {
    pub fn add(&mut self, prefix: &str, when: Validity, rate: Rate) -> Result<(), RateError> {
        let key = pack_prefix(prefix).map_err(RateError::Prefix)?;
        let mut offer = Offer { when, rate };
        let index = match self.known.get(&offer) {
            Some(index) => *index,
            None => {
                offer.rate.validate()?;
                if offer.when.from.zip(offer.when.until).is_some_and(|(from, until)| until <= from) {
                    return Err(RateError::EndsFirst);
                }
                offer.rate.area = self.shared_area(offer.rate.area);
                // More than 2³¹ distinct rates do not fit into memory.
                let index = u32::try_from(self.offers.len()).unwrap_or(u32::MAX) & !SEVERAL;
                self.offers.push(offer.clone());
                self.known.insert(offer, index);
                index
            }
        };
        self.prefixes.push((key, index));
        Ok(())
    }

    pub fn build(mut self) -> RateTable {
        self.offers.shrink_to_fit();
        self.prefixes.sort_by_key(|(key, _)| *key);
        let mut several = Vec::new();
        let offers = &self.offers;
        let grouped = self.prefixes.chunk_by(|a, b| a.0 == b.0).filter_map(|rows| {
            let key = rows.first()?.0;
            Some((key, together(rows, offers, &mut several)?))
        });
        let prefixes = PrefixTable::build(grouped.collect::<Vec<_>>());
        RateTable { prefixes, offers: self.offers, several }
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

/// What the rows of one prefix lead to: of those that hold from the same moment at the same hours, the last.
fn together(rows: &[(u128, u32)], offers: &[Offer], several: &mut Vec<Box<[u32]>>) -> Option<Offered> {
    if let [(_, only)] = rows {
        return Some(*only);
    }
    let when = |index: u32| offers.get(index as usize).map(|o| &o.when);
    let key = |index: u32| when(index).map(|w| (w.from, &w.hours));
    let mut kept: Vec<u32> = Vec::new();
    for (_, index) in rows {
        kept.retain(|other| key(*other) != key(*index));
        kept.push(*index);
    }
    kept.sort_by_key(|index| when(*index).map(Validity::rank));
    match kept.as_slice() {
        [only] => Some(*only),
        _ => {
            several.push(kept.into());
            u32::try_from(several.len() - 1).ok().map(|i| i | SEVERAL)
        }
    }
}

/// What a call pays whose rate changes while it runs (`BIL-8`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceChange {
    /// The rate of its start to the end.
    #[default]
    NextCall,
    /// Each cycle the rate of the moment at which it begins.
    NextCycle,
}

/// A named table of prefixes and prices in one currency.
#[derive(Clone, Debug)]
pub struct RateGroup {
    pub id: RateGroupId,
    pub name: Arc<str>,
    pub currency: Currency,
    pub table: Arc<RateTable>,
    /// Where the hours of its rates are.
    pub zone: Arc<Zone>,
    pub price_change: PriceChange,
    /// The group whose rates hold where this one has none.
    pub inherited: Option<Inherited>,
}

impl RateGroup {
    /// A group that inherits nothing, with its hours in UTC.
    pub fn new(id: RateGroupId, name: &str, currency: Currency, table: Arc<RateTable>) -> RateGroup {
        let zone = Arc::new(Zone::utc());
        let price_change = PriceChange::NextCall;
        RateGroup { id, name: name.into(), currency, table, zone, price_change, inherited: None }
    }

    /// The rate for this number at this moment, locked or not: of its own rates and those that it inherits, the one
    /// of the longest prefix, and of equal prefixes its own.
    pub fn at(&self, number: Packed, at: Utc) -> Option<(Matched, Cow<'_, Rate>)> {
        let own = self.table.at(number, at, &self.zone);
        let other = self.inherited.as_ref().and_then(|inherited| inherited.at(number, at));
        match (own, other) {
            (Some((prefix, _)), Some(other)) if other.0.len() > prefix.len() => Some(other),
            (Some((prefix, rate)), _) => Some((prefix, Cow::Borrowed(rate))),
            (None, other) => other,
        }
    }
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
            level: None,
            sections: [].into(),
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
            let found = table
                .at(Packed::of(number), Utc(0), &Zone::utc())
                .map(|(p, r)| (p.to_string(), r.price_per_minute));
            let want = want.map(|(p, price)| (p.to_string(), Price::parse(price).unwrap()));
            assert_eq!(found, want, "{number}");
        }
        assert_eq!(table.len(), 3);
        assert_eq!(table.iter().map(|(p, _)| p.to_string()).collect::<Vec<_>>(), ["44", "880", "88017"]);
    }

    fn section(from: u32, per_minute: &str, cycle: u32) -> RateSection {
        RateSection { from, price_per_minute: Price::parse(per_minute).unwrap(), cycle }
    }

    #[test]
    fn sections_are_checked() {
        for (sections, want) in [
            (vec![section(60, "0.1", 6), section(120, "0", 1)], Ok(())),
            (vec![section(0, "0.1", 6)], Err(RateError::SectionOrder)),
            (vec![section(60, "0.1", 6), section(60, "0.2", 6)], Err(RateError::SectionOrder)),
            (vec![section(60, "0.1", 0)], Err(RateError::ZeroInterval("the cycle of a section"))),
            (vec![section(60, "0.1", 86_401)], Err(RateError::TooLong("the cycle of a section"))),
            (vec![section(864_001, "0.1", 1)], Err(RateError::TooLong("the beginning of a section"))),
            (vec![section(60, "-0.1", 1)], Err(RateError::Negative("the price of a section"))),
            ((1..=51).map(|n| section(n, "0.1", 1)).collect(), Err(RateError::TooManySections)),
        ] {
            let r = Rate { sections: sections.clone().into(), ..rate("x", "0.01") };
            assert_eq!(r.validate(), want, "{sections:?}");
        }
    }

    /// Which of the rates of a number holds, at which time: the longest prefix that has one, the fewest hours, the
    /// latest beginning.
    #[test]
    fn the_most_specific_time_wins() {
        let second = |n: i64| Utc(n * 1_000_000);
        let when = |from: Option<i64>, until: Option<i64>, hours: &str| Validity {
            from: from.map(second),
            until: until.map(second),
            hours: Hours::parse(hours).unwrap(),
        };
        // The epoch was a Thursday, 00:00.
        let mut builder = RateTableBuilder::default();
        for (prefix, when, price) in [
            ("88", when(None, None, ""), "0.01"),
            ("880", when(None, Some(10 * 86_400), ""), "0.02"),
            ("880", when(Some(86_400), None, ""), "0.03"),
            ("880", when(Some(86_400), Some(9 * 86_400), "Fri-Sun 08:00-18:00"), "0.04"),
            ("880", when(None, None, "Sat 10:00-11:00"), "0.05"),
            ("880", when(None, None, "Sat 10:00-11:00"), "0.06"),
            ("44", when(Some(5), Some(6), ""), "0.07"),
        ] {
            builder.add(prefix, when, rate("x", price)).unwrap();
        }
        let table = builder.build();
        assert_eq!((table.len(), table.iter().count()), (3, 6));
        for (number, at, want) in [
            ("8801", 0, Some("0.02")),
            ("8801", 86_399, Some("0.02")),
            ("8801", 86_400, Some("0.03")),
            ("8801", 86_400 + 8 * 3600, Some("0.04")),
            ("8801", 86_400 + 18 * 3600, Some("0.03")),
            ("8801", 2 * 86_400 + 10 * 3600, Some("0.06")),
            ("8801", 2 * 86_400 + 11 * 3600, Some("0.04")),
            ("8801", 9 * 86_400 + 11 * 3600, Some("0.03")),
            ("8809", 11 * 86_400, Some("0.03")),
            ("881", 0, Some("0.01")),
            ("44", 4, None),
            ("44", 5, Some("0.07")),
            ("44", 6, None),
        ] {
            let found =
                table.at(Packed::of(number), second(at), &Zone::utc()).map(|(_, r)| r.price_per_minute);
            assert_eq!(found, want.map(|p| Price::parse(p).unwrap()), "{number} at {at}");
        }
        let ended = when(Some(6), Some(6), "");
        assert_eq!(RateTableBuilder::default().add("1", ended, rate("x", "1")), Err(RateError::EndsFirst));
    }

    #[test]
    fn what_is_not_its_own_is_inherited() {
        let group = |id, rows: &[(&str, &str)], inherited| {
            let rows = rows.iter().map(|(prefix, price)| (*prefix, rate("x", price)));
            let table = RateTable::build(rows).unwrap().into();
            RateGroup { inherited, ..RateGroup::new(RateGroupId(id), "g", Currency::USD, table) }
        };
        let from = |group: RateGroup, percent: &str, decimals| {
            let mark_up = crate::Percent::parse(percent).unwrap();
            Some(Inherited { group: group.into(), mark_up, decimals })
        };
        let base = group(1, &[("880", "0.02"), ("8801", "0.0301"), ("44", "0.01"), ("7", "900000000")], None);
        let reseller = group(2, &[("880", "0.05"), ("33", "0.04")], from(base, "10", 4));
        let shop = group(3, &[("33", "0.09")], from(reseller, "-50", 10));
        for (number, want) in [
            ("8809", Some("0.025")),
            ("8801", Some("0.0166")),
            ("44", Some("0.0055")),
            ("33", Some("0.09")),
            ("1", None),
            // The mark-up would take it beyond what a price can hold: no rate rather than a wrong one.
            ("7", None),
        ] {
            let found = shop.at(Packed::of(number), Utc(0)).map(|(_, r)| r.price_per_minute);
            assert_eq!(found, want.map(|p| Price::parse(p).unwrap()), "{number}");
        }
    }

    #[test]
    fn equal_rates_are_kept_once() {
        let rows: Vec<(String, Rate)> = (0..10_000)
            .map(|i| (format!("{i:05}"), rate(["A", "B"][i % 2], ["0.1", "0.2", "0.3"][i % 3])))
            .collect();
        let table = RateTable::build(rows.iter().map(|(p, r)| (p.as_str(), r.clone()))).unwrap();
        assert_eq!((table.len(), table.offers.len()), (10_000, 6));
        for (prefix, rate) in &rows {
            assert_eq!(table.at(Packed::of(prefix), Utc(0), &Zone::utc()).map(|(_, r)| r), Some(rate));
        }
        let areas: HashSet<*const u8> = table.offers.iter().map(|o| o.rate.area.as_ptr()).collect();
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
