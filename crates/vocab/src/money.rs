//! Money as integers with a unit. No float ever touches it; every operation that can overflow says so.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount in 10⁻⁸ of a currency unit. The fee precision parameter allows at most 8 decimals, so every
/// fee, balance and reservation is exact. 128 bits: a balance of 10¹⁵ units is far from the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub i128);

/// A price in 10⁻¹⁰ of a currency unit (per minute, per period, per call: the field's name says which).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(pub i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyError {
    /// Not of the form `[-]digits[.digits]`.
    NotANumber,
    /// More decimals than the unit can hold; they would be lost.
    TooManyDecimals(u32),
    /// Outside of what the type can hold.
    Overflow,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MoneyError::NotANumber => {
                write!(f, "not an amount; expected digits with an optional decimal point, like \"12.50\"")
            }
            MoneyError::TooManyDecimals(max) => write!(f, "more than {max} decimals"),
            MoneyError::Overflow => write!(f, "the amount is too large"),
        }
    }
}

impl std::error::Error for MoneyError {}

/// Reads `[-]digits[.digits]` into units of 10^-`decimals`.
fn parse_decimal(text: &str, decimals: u32) -> Result<i128, MoneyError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let well_formed = !whole.is_empty()
        && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        && !(digits.contains('.') && fraction.is_empty());
    if !well_formed {
        return Err(MoneyError::NotANumber);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > decimals as usize {
        return Err(MoneyError::TooManyDecimals(decimals));
    }
    let padding = std::iter::repeat_n(b'0', decimals as usize - fraction.len());
    let mut n: i128 = 0;
    for b in whole.bytes().chain(fraction.bytes()).chain(padding) {
        n = n
            .checked_mul(10)
            .and_then(|n| n.checked_add(i128::from(b - b'0')))
            .ok_or(MoneyError::Overflow)?;
    }
    Ok(if negative { -n } else { n })
}

/// Writes units of 10^-`decimals` with at least `least` decimals and no further trailing zeros. A record of a call
/// has dozens of amounts, so this does without the slow formatting of wide numbers.
fn write_decimal(f: &mut fmt::Formatter<'_>, n: i128, decimals: u32, least: u32) -> fmt::Result {
    let mut text = Backwards::default();
    let (mut whole, mut fraction) = div_rem(n.unsigned_abs(), 10u64.pow(decimals));
    for place in (1..=decimals).rev() {
        let digit = fraction % 10;
        fraction /= 10;
        if digit != 0 || place <= least || !text.is_empty() {
            text.put(digit);
        }
    }
    if !text.is_empty() {
        text.put_byte(b'.');
    }
    loop {
        let (rest, digit) = div_rem(whole, 10);
        text.put(digit);
        whole = rest;
        if whole == 0 {
            break;
        }
    }
    if n < 0 {
        text.put_byte(b'-');
    }
    f.write_str(text.as_str())
}

/// Nearly all amounts fit into 64 bits, where a division is many times faster.
fn div_rem(n: u128, by: u64) -> (u128, u64) {
    match u64::try_from(n) {
        Ok(n) => (u128::from(n / by), n % by),
        Err(_) => (n / u128::from(by), u64::try_from(n % u128::from(by)).unwrap_or(0)),
    }
}

/// Text that grows from its end.
struct Backwards {
    /// An `i128` has at most 39 digits; a point and a sign come with it.
    bytes: [u8; 48],
    start: usize,
}

impl Default for Backwards {
    fn default() -> Self {
        Backwards { bytes: [0; 48], start: 48 }
    }
}

impl Backwards {
    fn put(&mut self, digit: u64) {
        self.put_byte(b'0' + u8::try_from(digit).unwrap_or(0));
    }

    fn put_byte(&mut self, byte: u8) {
        if let Some(place) = self.start.checked_sub(1) {
            self.bytes[place] = byte;
            self.start = place;
        }
    }

    fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    fn as_str(&self) -> &str {
        self.bytes.get(self.start..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl Money {
    pub const ZERO: Money = Money(0);
    pub const DECIMALS: u32 = 8;
    /// Largest amount that may be entered: 10²⁰ currency units, so that sums of many entries cannot overflow.
    pub const LIMIT: Money = Money(10i128.pow(28));

    pub fn parse(text: &str) -> Result<Money, MoneyError> {
        let m = Money(parse_decimal(text, Self::DECIMALS)?);
        if m.0.abs() > Self::LIMIT.0 { Err(MoneyError::Overflow) } else { Ok(m) }
    }

    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.0.checked_add(other.0).map(Money).ok_or(MoneyError::Overflow)
    }

    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.0.checked_sub(other.0).map(Money).ok_or(MoneyError::Overflow)
    }

    pub fn checked_neg(self) -> Result<Money, MoneyError> {
        self.0.checked_neg().map(Money).ok_or(MoneyError::Overflow)
    }

    pub fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl Price {
    pub const ZERO: Price = Price(0);
    pub const DECIMALS: u32 = 10;

    pub fn parse(text: &str) -> Result<Price, MoneyError> {
        i64::try_from(parse_decimal(text, Self::DECIMALS)?).map(Price).map_err(|_| MoneyError::Overflow)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, Self::DECIMALS, 2)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, i128::from(self.0), Self::DECIMALS, 4)
    }
}

/// Serialised as decimal text for people (JSON, TOML) and as integers for machines (the journal).
macro_rules! serde_decimal {
    ($name:ident, $inner:ty) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { self.0.serialize(s) }
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if !d.is_human_readable() {
                    return <$inner>::deserialize(d).map($name);
                }
                let text = String::deserialize(d)?;
                $name::parse(&text).map_err(|e| serde::de::Error::custom(format!("{text:?}: {e}")))
            }
        }
        impl std::str::FromStr for $name {
            type Err = MoneyError;
            fn from_str(s: &str) -> Result<Self, MoneyError> {
                $name::parse(s)
            }
        }
    };
}
serde_decimal!(Money, i128);
serde_decimal!(Price, i64);

/// ISO 4217 letters, upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    pub const USD: Currency = Currency(*b"USD");

    pub fn parse(text: &str) -> Option<Currency> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Currency(bytes))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        Currency::parse(&s)
            .ok_or_else(|| format!("{s:?} is not a currency; expected three capital letters like \"USD\""))
    }
}

impl From<Currency> for String {
    fn from(c: Currency) -> String {
        c.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_round_trips() {
        for (text, units, shown) in [
            ("0", 0, "0.00"),
            ("10.00", 1_000_000_000, "10.00"),
            ("-0.5", -50_000_000, "-0.50"),
            ("0.00000001", 1, "0.00000001"),
            ("1000000000000000", 10i128.pow(23), "1000000000000000.00"),
            ("1.2345000000000", 123_450_000, "1.2345"),
        ] {
            let m = Money::parse(text).unwrap();
            assert_eq!((m.0, m.to_string().as_str()), (units, shown), "{text}");
            assert_eq!(Money::parse(&m.to_string()), Ok(m));
        }
    }

    /// The text says what the integer says, also at the ends of the range.
    #[test]
    fn text_of_any_integer() {
        let plain = |n: i128| {
            let digits = format!("{:09}", n.unsigned_abs());
            let (whole, fraction) = digits.split_at(digits.len() - 8);
            let kept = fraction.trim_end_matches('0').len().max(2);
            format!("{}{whole}.{}", if n < 0 { "-" } else { "" }, &fraction[..kept])
        };
        let mut n: i128 = 1;
        for _ in 0..127 {
            for n in [n, -n, n - 1, n + 1, n / 3, i128::MAX / n.max(1), i128::MIN / n.max(1)] {
                assert_eq!(Money(n).to_string(), plain(n));
            }
            n = n.wrapping_mul(2);
        }
        assert_eq!(Price(i64::MIN).to_string(), "-922337203.6854775808");
        assert_eq!(Price(5).to_string(), "0.0000000005");
        assert_eq!(Price(0).to_string(), "0.0000");
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, want) in [
            ("", MoneyError::NotANumber),
            ("-", MoneyError::NotANumber),
            ("1,5", MoneyError::NotANumber),
            ("1.", MoneyError::NotANumber),
            (".5", MoneyError::NotANumber),
            ("NaN", MoneyError::NotANumber),
            ("1e400", MoneyError::NotANumber),
            ("+1", MoneyError::NotANumber),
            ("--1", MoneyError::NotANumber),
            ("0.000000001", MoneyError::TooManyDecimals(8)),
            ("1000000000000000000000", MoneyError::Overflow),
            ("999999999999999999999999999999999999999999", MoneyError::Overflow),
        ] {
            assert_eq!(Money::parse(text), Err(want), "{text}");
        }
        assert_eq!(Price::parse("1000000000"), Err(MoneyError::Overflow));
        assert_eq!(Price::parse("0.0000000001"), Ok(Price(1)));
        assert_eq!(Price::parse("1000000"), Ok(Price(10_000_000_000_000_000)));
    }
}
