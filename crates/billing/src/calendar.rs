//! Local time without a clock: what time of the week it is somewhere (`BIL-4`, R-56).
//!
//! A [`Zone`] is a list of the moments at which its clocks were or will be changed, so that nothing here asks the
//! system. [`Hours`] are the times of the week at which a rate holds, in the local time of its rate group: at a
//! change of the clocks the local time decides, so that 08:00 is 08:00 on either side of it; an hour that is
//! skipped does not occur, and an hour that comes twice holds twice.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use vocab::Utc;

const SECOND_US: i64 = 1_000_000;
const MINUTES_OF_DAY: u32 = 24 * 60;
pub const MINUTES_OF_WEEK: u32 = 7 * MINUTES_OF_DAY;
/// Hours of one rate: more would be a list of exceptions, which is what dates are for.
const MOST_SPANS: usize = 50;

/// A time zone: its name and its offsets from UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: Arc<str>,
    /// Offset east of UTC before the first change, seconds.
    first: i32,
    /// Unix seconds at which the offset becomes this, in order.
    changes: Arc<[(i64, i32)]>,
}

impl Zone {
    pub fn utc() -> Zone {
        Zone::new("UTC", 0, Vec::new())
    }

    /// `changes` in the order of time: Unix seconds and the offset from then on.
    pub fn new(name: &str, first: i32, changes: Vec<(i64, i32)>) -> Zone {
        Zone { name: name.into(), first, changes: changes.into() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seconds east of UTC at this moment.
    pub fn offset_s(&self, at: Utc) -> i32 {
        let second = at.0.div_euclid(SECOND_US);
        let passed = self.changes.partition_point(|(when, _)| *when <= second);
        passed.checked_sub(1).and_then(|i| self.changes.get(i)).map_or(self.first, |(_, offset)| *offset)
    }

    /// The local day: days since 1970-01-01.
    pub fn day(&self, at: Utc) -> i64 {
        at.0.div_euclid(SECOND_US).saturating_add(self.offset_s(at).into()).div_euclid(86_400)
    }

    /// The local month: months since year 0.
    pub fn month(&self, at: Utc) -> i64 {
        // Howard Hinnant's days_from_civil, backwards: years begin in March, so that leap days come last.
        let day = self.day(at).saturating_add(719_468);
        let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        (era * 400 + year) * 12 + from_march + 2
    }

    /// Minutes since Monday 00:00, local time.
    pub fn minute_of_week(&self, at: Utc) -> u32 {
        let local_s = at.0.div_euclid(SECOND_US).saturating_add(self.offset_s(at).into());
        // 1970-01-01 was a Thursday.
        let minute = local_s.div_euclid(60).saturating_add(3 * i64::from(MINUTES_OF_DAY));
        u32::try_from(minute.rem_euclid(MINUTES_OF_WEEK.into())).unwrap_or(0)
    }

    /// Changes of the clocks after `from`, up to `to`.
    pub(crate) fn changes_between(&self, from: Utc, to: Utc) -> impl Iterator<Item = Utc> {
        let all = self.changes.iter().map(|(second, _)| Utc(second.saturating_mul(SECOND_US)));
        all.filter(move |at| *at > from && *at <= to)
    }

    /// Moments after `from`, up to `to`, that may be this minute of the local week: one for each offset that is in
    /// force at an end of the time between, so that none is missed where the clocks change.
    pub(crate) fn moments_of(&self, minute: u32, from: Utc, to: Utc) -> Vec<Utc> {
        let mut moments = Vec::new();
        let offsets = std::iter::once(self.offset_s(from))
            .chain(self.changes_between(from, to).map(|at| self.offset_s(at)));
        let mut seen = Vec::new();
        for offset in offsets {
            if seen.contains(&offset) {
                continue;
            }
            seen.push(offset);
            // Monday 1970-01-05 00:00, then week by week.
            let week_us = i64::from(MINUTES_OF_WEEK) * 60 * SECOND_US;
            let first = (i64::from(4 * MINUTES_OF_DAY + minute) * 60 - i64::from(offset)) * SECOND_US;
            let weeks = (from.0.saturating_sub(first)).div_euclid(week_us).saturating_add(1);
            let mut at = first.saturating_add(weeks.saturating_mul(week_us));
            while at <= to.0 {
                moments.push(Utc(at));
                at = at.saturating_add(week_us);
            }
        }
        moments
    }
}

/// Times of the week, as spans of minutes since Monday 00:00, in order, apart from each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours(Arc<[(u32, u32)]>);

/// Why a text is no list of hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoursError(String);

impl fmt::Display for HoursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; expected hours like \"Mon-Fri 08:00-18:00, Sat 08:00-12:00\"", self.0)
    }
}

impl std::error::Error for HoursError {}

impl TryFrom<String> for Hours {
    type Error = HoursError;
    fn try_from(text: String) -> Result<Hours, HoursError> {
        Hours::parse(&text)
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> String {
        hours.to_string()
    }
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Hours {
    /// Reads "Mon-Fri 08:00-18:00, Sat 22:00-06:00": days, then a time; without days every day, without a time the
    /// whole day. A span that ends before it begins ends on the next day.
    pub fn parse(text: &str) -> Result<Hours, HoursError> {
        let mut week = vec![false; MINUTES_OF_WEEK as usize];
        let parts: Vec<&str> = text.split([',', ';']).map(str::trim).filter(|p| !p.is_empty()).collect();
        if parts.len() > MOST_SPANS {
            return Err(HoursError(format!("more than {MOST_SPANS} spans")));
        }
        for part in parts {
            mark(part, &mut week).ok_or_else(|| HoursError(format!("{part:?} is no span of hours")))?;
        }
        let spans = spans(&week);
        let always = spans.as_slice() == [(0, MINUTES_OF_WEEK)];
        Ok(if always { Hours::default() } else { Hours(spans.into()) })
    }

    /// At all times: no restriction.
    pub fn is_always(&self) -> bool {
        self.0.is_empty()
    }

    /// Minutes of the week: the fewer, the more specific.
    pub fn minutes(&self) -> u32 {
        if self.0.is_empty() { MINUTES_OF_WEEK } else { self.0.iter().map(|(from, to)| to - from).sum() }
    }

    pub fn contains(&self, minute_of_week: u32) -> bool {
        self.0.is_empty() || self.0.iter().any(|(from, to)| (*from..*to).contains(&minute_of_week))
    }

    /// Minutes of the week at which it begins or ends.
    pub(crate) fn edges(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(from, to)| [*from, *to % MINUTES_OF_WEEK])
    }
}

/// The one way to write it: days that have the same hours together.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_always() {
            return Ok(());
        }
        let of_day = |day: u32| -> Vec<(u32, u32)> {
            let (start, end) = (day * MINUTES_OF_DAY, (day + 1) * MINUTES_OF_DAY);
            let cut = self.0.iter().map(|(from, to)| ((*from).max(start), (*to).min(end)));
            cut.filter(|(from, to)| from < to).map(|(from, to)| (from - start, to - start)).collect()
        };
        let days: Vec<Vec<(u32, u32)>> = (0..7).map(of_day).collect();
        let mut first = true;
        let mut day = 0;
        while let Some(hours) = days.get(day) {
            let last = (day..7).take_while(|d| days.get(*d) == Some(hours)).last().unwrap_or(day);
            for (from, to) in hours {
                let comma = if first { "" } else { ", " };
                first = false;
                let name = |d: usize| DAYS.get(d).copied().unwrap_or_default();
                write!(f, "{comma}{}", name(day))?;
                if last > day {
                    write!(f, "-{}", name(last))?;
                }
                write!(f, " {}-{}", Clock(*from), Clock(*to))?;
            }
            day = last + 1;
        }
        Ok(())
    }
}

struct Clock(u32);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// Marks the minutes of one span like "Mon-Fri 08:00-18:00". `None`: it is none.
fn mark(part: &str, week: &mut [bool]) -> Option<()> {
    let (days, time) = match part.split_once(' ') {
        Some((days, time)) => (days, time.trim()),
        None if part.contains(':') => ("Mon-Sun", part),
        None => (part, "00:00-24:00"),
    };
    let (first, last) = match days.split_once('-') {
        Some((first, last)) => (day_number(first)?, day_number(last)?),
        None => (day_number(days)?, day_number(days)?),
    };
    let (from, to) = time.split_once('-')?;
    let (from, to) = (clock_minutes(from)?, clock_minutes(to)?);
    let length = if to > from { to - from } else { to + MINUTES_OF_DAY - from };
    if length > MINUTES_OF_DAY || from == MINUTES_OF_DAY {
        return None;
    }
    let days = (last + 7 - first) % 7 + 1;
    for day in (first..first + days).map(|d| d % 7) {
        for minute in (0..length).map(|m| (day * MINUTES_OF_DAY + from + m) % MINUTES_OF_WEEK) {
            *week.get_mut(minute as usize)? = true;
        }
    }
    Some(())
}

fn day_number(text: &str) -> Option<u32> {
    let given = text.trim().get(..3)?;
    let found = DAYS.iter().position(|d| d.eq_ignore_ascii_case(given))?;
    u32::try_from(found).ok()
}

fn clock_minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |t: &str| (1..=2).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && hours * 60 + minutes <= MINUTES_OF_DAY).then_some(hours * 60 + minutes)
}

fn spans(week: &[bool]) -> Vec<(u32, u32)> {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for (minute, marked) in (0..).zip(week) {
        match spans.last_mut() {
            Some((_, to)) if *marked && *to == minute => *to = minute + 1,
            _ if *marked => spans.push((minute, minute + 1)),
            _ => {}
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_and_written() {
        for (text, shown, minutes) in [
            ("", "", MINUTES_OF_WEEK),
            ("Mon-Sun", "", MINUTES_OF_WEEK),
            ("Mon-Fri 08:00-18:00", "Mon-Fri 08:00-18:00", 3000),
            ("mon-fri 8:00-18:00; Saturday 8:00-12:00", "Mon-Fri 08:00-18:00, Sat 08:00-12:00", 3240),
            ("22:00-06:00", "Mon-Sun 00:00-06:00, Mon-Sun 22:00-24:00", 3360),
            ("Sun 22:00-06:00", "Mon 00:00-06:00, Sun 22:00-24:00", 480),
            ("Sat-Mon", "Mon 00:00-24:00, Sat-Sun 00:00-24:00", 4320),
            ("Sun", "Sun 00:00-24:00", 1440),
            ("Tue 00:00-00:00", "Tue 00:00-24:00", 1440),
            ("Tue 10:00-11:00, Tue 10:30-12:00", "Tue 10:00-12:00", 120),
        ] {
            let hours = Hours::parse(text).unwrap();
            assert_eq!((hours.to_string().as_str(), hours.minutes()), (shown, minutes), "{text}");
            assert_eq!(Hours::parse(shown), Ok(hours));
        }
        for text in ["Xyz", "Mon 8-18", "Mon 25:00-26:00", "Mon 08:60-09:00", "Mon 24:00-02:00", "8:00", "Mo"]
        {
            assert!(Hours::parse(text).is_err(), "{text}");
        }
        let many = "Mon 00:00-00:01,".repeat(60);
        assert!(Hours::parse(&many).is_err());
    }

    #[test]
    fn the_week_is_local() {
        let berlin = Zone::new("Europe/Berlin", 3600, vec![(1_774_746_000, 7200), (1_792_890_000, 3600)]);
        for (utc_s, want) in [
            // 2026-03-29T00:59:59Z is 01:59:59, a second later it is 03:00.
            (1_774_745_999, 6 * 1440 + 119),
            (1_774_746_000, 6 * 1440 + 180),
            // 2026-10-25T00:59:59Z is 02:59:59, a second later it is 02:00 again.
            (1_792_889_999, 6 * 1440 + 179),
            (1_792_890_000, 6 * 1440 + 120),
            (0, 3 * 1440 + 60),
        ] {
            assert_eq!(berlin.minute_of_week(Utc(utc_s * SECOND_US)), want, "{utc_s}");
        }
        assert_eq!(Zone::utc().minute_of_week(Utc(-SECOND_US)), 3 * 1440 - 1);
        assert!(Zone::utc().minute_of_week(Utc(i64::MAX)) < MINUTES_OF_WEEK);
    }
}
