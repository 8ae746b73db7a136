//! What people and peers write by hand: numbers, prefixes, prices, addresses, parameters.

use billing::pricing::{self, Rounding};
use billing::rate::{Rate, RateTable};
use params::Params;
use std::time::Duration;
use vocab::net::Cidr;
use vocab::prefix::{PrefixTable, pack_prefix};
use vocab::{Currency, DialString, Money, Price};

/// Lines: a dialled number, then prefixes, one on each.
pub fn number(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let prefixes: Vec<&str> = lines.take(200).collect();
    let packed: Vec<(u128, &str)> =
        prefixes.iter().filter_map(|p| Some((pack_prefix(p).ok()?, *p))).collect();
    let table = PrefixTable::build(packed.iter().copied());
    if let Ok(number) = DialString::parse(first) {
        assert_eq!(DialString::parse(number.as_str()).as_ref(), Ok(&number), "read twice");
        assert!(number.as_str().len() <= DialString::MAX);
        let fits = packed.iter().filter(|(_, p)| number.digits().starts_with(p));
        let best = fits.map(|(_, p)| p.len()).max();
        let found = table.longest(number.digits()).map(|(prefix, _)| prefix.to_string().len());
        assert_eq!(found, best, "the longest prefix of {number}");
    }
    let _ = RateTable::build(prefixes.iter().map(|p| (*p, free())));
    if let Some(cidr) = Cidr::parse(first) {
        assert_eq!(Cidr::parse(&cidr.to_string()), Some(cidr));
    }
    if let Some(currency) = Currency::parse(first) {
        assert_eq!(currency.as_str(), first);
    }
    let settings: Vec<(&str, &str)> = prefixes.iter().filter_map(|l| l.split_once('=')).collect();
    if let Ok(params) = Params::default().with_overrides(settings.iter().copied(), false) {
        let written: Vec<(&str, String)> = params.iter().collect();
        let written = written.iter().map(|(name, text)| (*name, text.as_str()));
        let again = Params::default().with_overrides(written, false).expect("what is written can be read");
        assert_eq!(again, params);
    }
}

fn free() -> Rate {
    Rate {
        area: "".into(),
        price_per_minute: Price(0),
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

/// Words: price, fee, first period, cycle, free seconds, talk in ms, money there is. An accepted rate can always be
/// charged, never gets cheaper by talking longer, and what is affordable can be paid.
pub fn price(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next().unwrap_or("0");
    let (price, fee) = (Price::parse(next()), Money::parse(next()));
    if let Ok(price) = price {
        assert_eq!(Price::parse(&price.to_string()), Ok(price));
    }
    if let Ok(fee) = fee {
        assert_eq!(Money::parse(&fee.to_string()), Ok(fee));
        let _ = (fee.checked_add(fee), fee.checked_sub(fee), fee.checked_neg());
    }
    let mut number = || next().parse::<u64>().unwrap_or(0);
    let mut small = || u32::try_from(number()).unwrap_or(u32::MAX);
    let (first_period_s, cycle_s, free_seconds) = (small(), small(), small());
    let (talk, money) = (Duration::from_millis(number()), Money(i128::from(number())));
    let (Ok(price_per_minute), Ok(connection_fee)) = (price, fee) else { return };
    let rate = Rate { price_per_minute, connection_fee, first_period_s, cycle_s, free_seconds, ..free() };
    if rate.validate().is_err() {
        return;
    }
    let rounding = Rounding::default();
    let seconds = pricing::billed_seconds(talk, &rounding);
    let charge = |s: u64| pricing::charge(&rate, s, &rounding);
    if let (Ok(now), Ok(later)) = (charge(seconds), charge(seconds.saturating_add(61))) {
        assert!(now.amount <= later.amount && !now.amount.is_negative());
    }
    assert!(seconds > 86_400 || charge(seconds).is_ok(), "an accepted rate cannot be charged");
    let affordable = pricing::longest_affordable(&rate, money, &rounding, 86_400);
    if affordable > 0 {
        assert!(charge(affordable).expect("affordable").amount <= money.max(Money::ZERO));
    }
}
