//! What values a parameter may have, and how each type is read from and written to text.

use serde::Serialize;
use std::sync::Arc;
use vocab::Money;

/// The values that a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Kind {
    /// A whole number from `min` to `max`; also 0 if it has a meaning of its own.
    Whole {
        min: u32,
        max: u32,
        zero: Option<&'static str>,
    },
    /// On or Off.
    Switch,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Printable ASCII of at most this length: it goes into a header, so no line ends.
    /// A name or address for the host part of a URI.
    HostName,
    Text {
        min_length: usize,
        max_length: usize,
    },
    /// An amount of money from 0 to `max`.
    Amount {
        max: Money,
    },
    /// Waits in seconds, in order.
    Intervals,
    /// DSCP; a number above 63 is the whole TOS byte of the older system.
    Dscp,
    /// Hours of the day, by comma, also as ranges; none at all too.
    Hours,
}

/// Hours of the day: bit 0 is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hours(pub u32);

impl Hours {
    /// From 0 to 23.
    pub fn contains(self, hour: u32) -> bool {
        hour < 24 && self.0 & (1 << hour) != 0
    }
}

impl Value for Hours {
    fn read(text: &str, _: &Kind) -> Option<Hours> {
        let mut hours = Hours(0);
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (decimal(first.trim())?, decimal(last.trim())?);
            if first > last || last > 23 {
                return None;
            }
            (first..=last).for_each(|hour| hours.0 |= 1 << hour);
        }
        Some(hours)
    }

    fn write(&self) -> String {
        let hours: Vec<String> = (0..24).filter(|h| self.contains(*h)).map(|h| h.to_string()).collect();
        hours.join(",")
    }
}

/// Bounds of one wait of [`Kind::Intervals`] in ms: shorter ones flood the peer, longer ones outlast any
/// transaction (RFC 3261 §17.1.1.2: 32 s).
const INTERVAL_MS: std::ops::RangeInclusive<u32> = 100..=32_000;
const MAX_INTERVALS: usize = 10;

impl Kind {
    pub(crate) const fn whole(min: u32, max: u32) -> Kind {
        Kind::Whole { min, max, zero: None }
    }

    /// A whole number, or 0 with this meaning.
    pub(crate) const fn or_zero(zero: &'static str, min: u32, max: u32) -> Kind {
        Kind::Whole { min, max, zero: Some(zero) }
    }

    /// The allowed values in words.
    pub fn in_words(&self, unit: &str) -> String {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        match self {
            Kind::Whole { min, max, zero: None } => format!("{min}–{max}{unit}"),
            Kind::Whole { min, max, zero: Some(meaning) } => format!("0 ({meaning}) or {min}–{max}{unit}"),
            Kind::Switch => "On or Off".to_string(),
            Kind::Choice(choices) => match choices.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                _ => choices.concat(),
            },
            Kind::Text { min_length, max_length } => {
                format!("{min_length}–{max_length} printable ASCII characters")
            }
            Kind::HostName => "a host name or address, or nothing".to_string(),
            Kind::Amount { max } => format!("an amount from 0.00 to {max}"),
            Kind::Intervals => format!("1–{MAX_INTERVALS} waits of 0.1–32 s, separated by commas"),
            Kind::Hours => "hours from 0 to 23, like 8,9,18-20, or none".to_string(),
            Kind::Dscp => "DSCP 0–63, or an old TOS byte 64–255 or 0x40–0xff".to_string(),
        }
    }

    /// Reads a whole number of this kind.
    fn number(&self, text: &str) -> Option<u32> {
        match self {
            Kind::Whole { min, max, zero } => {
                let by_word = zero.filter(|word| word.eq_ignore_ascii_case(text)).map(|_| 0);
                let number =
                    decimal(text).filter(|n| (min..=max).contains(&n) || (*n == 0 && zero.is_some()));
                by_word.or(number)
            }
            Kind::Choice(choices) => decimal(choices.iter().find(|c| **c == text)?),
            Kind::Dscp => dscp(text),
            Kind::Switch
            | Kind::Text { .. }
            | Kind::HostName
            | Kind::Amount { .. }
            | Kind::Intervals
            | Kind::Hours => None,
        }
    }
}

/// Digits only: `str::parse` would also take a plus sign.
fn decimal(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn dscp(text: &str) -> Option<u32> {
    let n = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None => decimal(text)?,
    };
    match n {
        0..=63 => Some(n),
        64..=255 => Some(n >> 2),
        _ => None,
    }
}

/// A type that a parameter can have.
pub(crate) trait Value: Sized {
    /// `None` if the text is not one of the values of this kind.
    fn read(text: &str, kind: &Kind) -> Option<Self>;
    fn write(&self) -> String;
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn read(text: &str, kind: &Kind) -> Option<Self> {
                <$type>::try_from(kind.number(text)?).ok()
            }
            fn write(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole_numbers!(u8, u16, u32);

impl Value for i8 {
    fn read(text: &str, kind: &Kind) -> Option<i8> {
        let Kind::Choice(choices) = kind else { return None };
        let plain = text.strip_prefix('+').unwrap_or(text);
        choices.iter().find(|choice| **choice == plain)?.parse().ok()
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    fn read(text: &str, _: &Kind) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            "on" | "1" | "true" | "yes" => Some(true),
            "off" | "0" | "false" | "no" => Some(false),
            _ => None,
        }
    }

    fn write(&self) -> String {
        if *self { "On" } else { "Off" }.to_string()
    }
}

impl Value for Money {
    fn read(text: &str, kind: &Kind) -> Option<Money> {
        let Kind::Amount { max } = kind else { return None };
        Money::parse(text).ok().filter(|m| (Money::ZERO..=*max).contains(m))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// RFC 1123 §2.1, an address, or nothing.
fn is_host(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let v6 = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    text.is_empty()
        || v6.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
        || text.len() <= 253 && text.split('.').all(label)
}

impl Value for Arc<str> {
    fn read(text: &str, kind: &Kind) -> Option<Arc<str>> {
        if *kind == Kind::HostName {
            return is_host(text).then(|| text.into());
        }
        let Kind::Text { min_length, max_length } = kind else { return None };
        let fits = (*min_length..=*max_length).contains(&text.len());
        (fits && text.bytes().all(|b| matches!(b, b' '..=b'~'))).then(|| text.into())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Value for Arc<[u32]> {
    fn read(text: &str, _: &Kind) -> Option<Arc<[u32]>> {
        if text.split(',').count() > MAX_INTERVALS {
            return None;
        }
        text.split(',').map(|wait| seconds_as_ms(wait.trim()).filter(|ms| INTERVAL_MS.contains(ms))).collect()
    }

    fn write(&self) -> String {
        let waits: Vec<String> = self.iter().map(|ms| ms_as_seconds(*ms)).collect();
        waits.join(",")
    }
}

/// "0.25" is 250. At most three decimals, so that nothing is lost.
fn seconds_as_ms(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 3 {
        return None;
    }
    decimal(whole)?.checked_mul(1000)?.checked_add(decimal(&format!("{fraction:0<3}"))?)
}

fn ms_as_seconds(ms: u32) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// An enumeration whose texts are numbered from 0, as the older system stored them.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            pub const TEXTS: &[&str] = &[$($text),*];
            pub const ALL: &[$name] = &[$($name::$variant),*];
        }

        impl $crate::kind::Value for $name {
            fn read(text: &str, _: &$crate::Kind) -> Option<$name> {
                $crate::kind::position(text, $name::TEXTS).and_then(|i| $name::ALL.get(i).copied())
            }
            fn write(&self) -> String {
                match self { $($name::$variant => $text.to_string(),)* }
            }
        }
    };
}
pub(crate) use choices;

/// Position of a choice given by its text, in any case and with or without blanks, or by its number.
pub(crate) fn position(text: &str, choices: &[&str]) -> Option<usize> {
    let wanted = text.replace([' ', '-', '_'], "");
    choices
        .iter()
        .position(|choice| choice.replace(' ', "").eq_ignore_ascii_case(&wanted))
        .or_else(|| decimal(text).and_then(|n| usize::try_from(n).ok()))
        .filter(|i| *i < choices.len())
}
