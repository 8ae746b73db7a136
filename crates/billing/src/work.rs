//! Work calendars: hours of the week in a time zone, with holidays and days that have hours of their own (`RTE-6`).

use crate::calendar::{Hours, Zone};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use vocab::Utc;

const DAY_S: i64 = 86_400;

/// When something holds. The local time decides, so that 08:00 is 08:00 on either side of a change of the clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkCalendar {
    pub name: Arc<str>,
    pub zone: Arc<Zone>,
    /// Hours of ordinary days.
    pub hours: Hours,
    /// Days on which nothing holds.
    pub holidays: Vec<Day>,
    /// Days with hours of their own, which stand before the others.
    pub special_days: Vec<(Day, Hours)>,
}

impl WorkCalendar {
    pub fn is_open(&self, at: Utc) -> bool {
        let second = at.0.div_euclid(1_000_000).saturating_add(self.zone.offset_s(at).into());
        let date = Date::of_days(second.div_euclid(DAY_S));
        let minute = self.zone.minute_of_week(at);
        if let Some((_, hours)) = self.special_days.iter().find(|(day, _)| day.is(date)) {
            return hours.contains(minute);
        }
        !self.holidays.iter().any(|day| day.is(date)) && self.hours.contains(minute)
    }
}

/// A date of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: i64,
    month: u8,
    day: u8,
}

impl Date {
    /// From days since 1970-01-01, by counting years that begin on 1 March, so that leap days come last.
    fn of_days(days: i64) -> Date {
        let days = days.saturating_add(719_468);
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let small = |n: i64| u8::try_from(n).unwrap_or(0);
        Date { year: era * 400 + year + i64::from(month <= 2), month: small(month), day: small(day) }
    }
}

/// One date, or the same day of every year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day {
    /// `None`: every year.
    year: Option<u16>,
    month: u8,
    day: u8,
}

/// Why a text is no day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayError(String);

impl fmt::Display for DayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; expected a day like \"2026-12-25\", or \"12-25\" for every year", self.0)
    }
}

impl std::error::Error for DayError {}

impl Day {
    pub fn parse(text: &str) -> Result<Day, DayError> {
        let bad = || DayError(format!("{text:?} is no day"));
        let parts: Vec<&str> = text.trim().split('-').collect();
        let (year, month, day) = match parts.as_slice() {
            [month, day] => (None, *month, *day),
            [year, month, day] => (Some(number(year, 4).ok_or_else(bad)?), *month, *day),
            _ => return Err(bad()),
        };
        let small = |text| number(text, 2).and_then(|n| u8::try_from(n).ok()).ok_or_else(bad);
        let (month, day) = (small(month)?, small(day)?);
        let leap = year.is_none_or(|y| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return Err(DayError(format!("{text:?}: there is no month {month}"))),
        };
        if day == 0 || day > days {
            return Err(DayError(format!("{text:?}: this month has {days} days")));
        }
        Ok(Day { year, month, day })
    }

    fn is(self, date: Date) -> bool {
        self.month == date.month
            && self.day == date.day
            && self.year.is_none_or(|year| i64::from(year) == date.year)
    }
}

fn number(text: &str, digits: usize) -> Option<u16> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(year) = self.year {
            write!(f, "{year:04}-")?;
        }
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

impl TryFrom<String> for Day {
    type Error = DayError;
    fn try_from(text: String) -> Result<Day, DayError> {
        Day::parse(&text)
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_impossible_ones_refused() {
        for text in ["2026-12-25", "12-25", "02-29", "2028-02-29", "2000-02-29"] {
            assert_eq!(Day::parse(text).unwrap().to_string(), text);
        }
        for (text, words) in [
            ("2026-02-29", "this month has 28 days"),
            ("2100-02-29", "this month has 28 days"),
            ("02-30", "this month has 29 days"),
            ("2026-13-01", "there is no month 13"),
            ("2026-04-31", "this month has 30 days"),
            ("00-10", "there is no month 0"),
            ("01-00", "this month has 31 days"),
            ("26-12-25", "is no day"),
            ("2026/12/25", "is no day"),
            ("", "is no day"),
        ] {
            let error = Day::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn dates_of_days() {
        for (days, want) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (19_782, (2024, 2, 29)),
            (20_454, (2026, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            let date = Date::of_days(days);
            assert_eq!((date.year, date.month, date.day), want, "{days}");
        }
    }

    #[test]
    fn hours_holidays_and_changes_of_the_clocks() {
        let berlin = Zone::new("Europe/Berlin", 3600, vec![(1_774_746_000, 7200), (1_792_890_000, 3600)]);
        let calendar = WorkCalendar {
            name: "office".into(),
            zone: Arc::new(berlin),
            hours: Hours::parse("Mon-Fri 08:00-18:00, Sat 22:00-06:00").unwrap(),
            holidays: vec![Day::parse("05-01").unwrap(), Day::parse("2026-12-25").unwrap()],
            special_days: vec![(Day::parse("12-24").unwrap(), Hours::parse("08:00-12:00").unwrap())],
        };
        for (utc, second, want) in [
            ("Fri 2026-03-27 06:59:59Z is 07:59:59", 1_774_594_799, false),
            ("a second later it is 08:00", 1_774_594_800, true),
            ("Mon 2026-03-30 06:00Z is 08:00 in summer", 1_774_850_400, true),
            ("and a second before it is not", 1_774_850_399, false),
            ("Sat 2026-03-28 21:30Z is 22:30", 1_774_733_400, true),
            ("Sun 2026-03-29 03:30Z is 05:30, after the change", 1_774_755_000, true),
            ("Sun 2026-03-29 04:00Z is 06:00", 1_774_756_800, false),
            ("Fri 2026-05-01 10:00Z is a holiday", 1_777_629_600, false),
            ("Fri 2027-12-24 10:00Z has hours of its own", 1_829_642_400, true),
            ("and is over at 12:00", 1_829_646_000, false),
        ] {
            assert_eq!(calendar.is_open(Utc(second * 1_000_000)), want, "{utc}");
        }
    }
}
