//! The time of a report: its bounds in a time zone, the hours, days, weeks and months within, and which rows of sums
//! cover them.

use super::{Dimension, Query};
use crate::rollup::{LEVELS, QUARTER};
use crate::{ChangeError, Problem};
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan, Zoned};
use vocab::Utc;

/// Parts of a report's time at most.
const MAX_BUCKETS: usize = 20_000;
/// 2000-01-01 and 2100-01-01: before and after, zones are not told by whole quarters.
const KNOWN: std::ops::Range<i64> = 946_684_800..4_102_444_801;

/// From a second to another, excluded, in a time zone.
pub(super) struct Window {
    pub from: i64,
    pub to: i64,
    pub name: String,
    zone: TimeZone,
}

/// A part of the time of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub label: String,
    pub from: i64,
    pub to: i64,
}

impl Window {
    pub fn read(query: &Query) -> Result<Window, ChangeError> {
        let name = query.time_zone.as_deref().filter(|n| !n.is_empty()).unwrap_or("UTC");
        let zone = match name {
            "UTC" => TimeZone::UTC,
            name => TimeZoneDatabase::bundled().get(name).map_err(|_| {
                wrong("tz", format!("there is no time zone {name:?}; expected one like Europe/Berlin"))
            })?,
        };
        let now = query.now.0.div_euclid(1_000_000);
        let from = match &query.from {
            Some(text) => moment("from", text, &zone)?,
            None => month_of(now, &zone)?,
        };
        let to = match &query.to {
            Some(text) => moment("to", text, &zone)?,
            None => (now.div_euclid(QUARTER) + 1) * QUARTER,
        };
        for (field, second) in [("from", from), ("to", to)] {
            if second.rem_euclid(QUARTER) != 0 || !KNOWN.contains(&second) {
                return Err(wrong(field, "expected a whole quarter of an hour between 2000 and 2100".into()));
            }
        }
        if from >= to {
            return Err(wrong("to", "must be later than from".into()));
        }
        Ok(Window { from, to, name: name.to_string(), zone })
    }

    /// The parts that a dimension of time divides this into; the whole when there is none.
    pub fn buckets(&self, time: Option<Dimension>) -> Result<Vec<Bucket>, ChangeError> {
        let Some(time) = time else {
            return Ok(vec![Bucket { label: String::new(), from: self.from, to: self.to }]);
        };
        let (mut buckets, mut from) = (Vec::new(), self.from);
        while from < self.to {
            let at = zoned(from, &self.zone)?;
            let to = next(&at, time)?.clamp(from.saturating_add(1), self.to);
            if to.rem_euclid(QUARTER) != 0 || buckets.len() == MAX_BUCKETS {
                return Err(wrong(
                    "group",
                    format!("the time cannot be divided like this, or into more than {MAX_BUCKETS} parts"),
                ));
            }
            buckets.push(Bucket { label: label(&at, time), from, to });
            from = to;
        }
        Ok(buckets)
    }
}

/// Rows of sums that cover a time exactly: level, from, to; as few as there can be.
pub(super) fn cover(from: i64, to: i64) -> Vec<(i64, i64, i64)> {
    fn with(levels: &[i64], from: i64, to: i64, out: &mut Vec<(i64, i64, i64)>) {
        let Some((level, finer)) = levels.split_first() else { return };
        if from >= to {
            return;
        }
        let first = from.saturating_add(level - 1).div_euclid(*level).saturating_mul(*level);
        let last = to.div_euclid(*level).saturating_mul(*level);
        if first < last {
            with(finer, from, first, out);
            out.push((*level, first, last));
            with(finer, last, to, out);
        } else {
            with(finer, from, to, out);
        }
    }
    let mut out = Vec::new();
    with(&LEVELS, from, to, &mut out);
    out
}

fn wrong(field: &str, words: String) -> ChangeError {
    ChangeError::Invalid(vec![Problem::new(field, words)])
}

fn zoned(second: i64, zone: &TimeZone) -> Result<Zoned, ChangeError> {
    let at = Timestamp::from_second(second).map_err(|e| wrong("from", e.to_string()))?;
    Ok(at.to_zoned(zone.clone()))
}

/// The second at which a date begins there; days without midnight begin later.
fn begin(date: Date, zone: &TimeZone) -> Result<i64, ChangeError> {
    let start = date.to_zoned(zone.clone()).and_then(|at| at.start_of_day());
    start.map(|at| at.timestamp().as_second()).map_err(|e| wrong("from", e.to_string()))
}

fn moment(field: &str, text: &str, zone: &TimeZone) -> Result<i64, ChangeError> {
    if let Ok(date) = text.parse::<Date>()
        && text.len() <= 10
    {
        return begin(date, zone);
    }
    let at: Timestamp = text.parse().map_err(|_| {
        wrong(
            field,
            format!("{text:?} is neither a date like 2026-11-22 nor a time like 2026-11-22T16:00:00Z"),
        )
    })?;
    if at.subsec_nanosecond() != 0 {
        return Err(wrong(field, "expected a whole quarter of an hour".into()));
    }
    Ok(at.as_second())
}

fn month_of(second: i64, zone: &TimeZone) -> Result<i64, ChangeError> {
    begin(zoned(second, zone)?.date().first_of_month(), zone)
}

/// When the part that this moment is in ends.
fn next(at: &Zoned, time: Dimension) -> Result<i64, ChangeError> {
    let over = |span: jiff::Span, from: Date| from.checked_add(span).map_err(|e| wrong("to", e.to_string()));
    let date = at.date();
    let end = match time {
        Dimension::Minute => return Ok(at.timestamp().as_second().saturating_add(QUARTER)),
        Dimension::Day => over(1.day(), date)?,
        Dimension::Week => over((7 - i64::from(date.weekday().to_monday_zero_offset())).days(), date)?,
        Dimension::Month => over(1.month(), date.first_of_month())?,
        // By the clock on the wall: where it stands at the half when it is whole in UTC, the hours do too.
        _ => {
            let passed = i64::from(at.minute()) * 60 + i64::from(at.second());
            return Ok(at.timestamp().as_second().saturating_add(3600 - passed));
        }
    };
    begin(end, at.time_zone())
}

fn label(at: &Zoned, time: Dimension) -> String {
    match time {
        Dimension::Day | Dimension::Week => at.date().to_string(),
        Dimension::Month => format!("{:04}-{:02}", at.year(), at.month()),
        Dimension::HourOfDay => format!("{:02}", at.hour()),
        // With the offset: in autumn an hour comes twice.
        _ => at.strftime("%Y-%m-%dT%H:%M%:z").to_string(),
    }
}

pub(super) fn utc(second: i64) -> Utc {
    Utc(second.saturating_mul(1_000_000))
}

pub(super) fn rfc3339(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| String::new(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(zone: &str, from: &str, to: &str) -> Window {
        let text = |t: &str| Some(t.to_string());
        let query = Query { from: text(from), to: text(to), time_zone: text(zone), ..Query::default() };
        Window::read(&query).unwrap()
    }

    /// Lengths of days in hours, and hours of a day, across changes of the clocks.
    #[test]
    fn days_have_the_length_that_they_have() {
        for (zone, from, to, hours) in [
            ("Europe/Berlin", "2026-10-24", "2026-10-27", vec![24, 25, 24]),
            ("Europe/Berlin", "2026-03-28", "2026-03-31", vec![24, 23, 24]),
            ("America/New_York", "2026-11-01", "2026-11-02", vec![25]),
            ("Asia/Kolkata", "2026-11-01", "2026-11-03", vec![24, 24]),
            ("UTC", "2026-11-01T05:00:00Z", "2026-11-02T01:00:00Z", vec![19, 1]),
        ] {
            let days = window(zone, from, to).buckets(Some(Dimension::Day)).unwrap();
            let lengths: Vec<i64> = days.iter().map(|d| (d.to - d.from) / 3600).collect();
            assert_eq!(lengths, hours, "{zone} {from}");
            assert!(days.windows(2).all(|w| w[0].to == w[1].from), "{zone}: {days:?}");
        }
        let autumn = window("Europe/Berlin", "2026-10-25", "2026-10-26");
        let hours = autumn.buckets(Some(Dimension::Hour)).unwrap();
        let labels: Vec<&str> = hours.iter().map(|h| h.label.as_str()).collect();
        assert_eq!(
            (labels.len(), labels[2], labels[3]),
            (25, "2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00")
        );
        let kolkata = window("Asia/Kolkata", "2026-11-01", "2026-11-02");
        assert_eq!(kolkata.from.rem_euclid(3600), 1800);
        assert!(kolkata.buckets(Some(Dimension::Hour)).unwrap().iter().all(|h| h.to - h.from == 3600));
        let weeks = window("UTC", "2026-11-01", "2026-11-17").buckets(Some(Dimension::Week)).unwrap();
        let labels: Vec<&str> = weeks.iter().map(|w| w.label.as_str()).collect();
        assert_eq!(labels, ["2026-11-01", "2026-11-02", "2026-11-09", "2026-11-16"]);
        let months =
            window("Asia/Dhaka", "2026-01-31", "2026-03-01").buckets(Some(Dimension::Month)).unwrap();
        assert_eq!(months.iter().map(|m| m.label.as_str()).collect::<Vec<_>>(), ["2026-01", "2026-02"]);
    }

    #[test]
    fn rows_cover_a_time_without_gap_or_overlap() {
        let day = 86_400;
        assert_eq!(cover(0, 2 * day), [(day, 0, 2 * day)]);
        assert_eq!(cover(1800, 7200), [(900, 1800, 3600), (3600, 3600, 7200)]);
        for (from, to) in
            [(900, 5 * day + 2700), (day - 900, day + 900), (0, 900), (3600 * 5, day * 40 + 3600)]
        {
            let parts = cover(from, to);
            assert_eq!((parts.first().unwrap().1, parts.last().unwrap().2), (from, to));
            assert!(parts.windows(2).all(|w| w[0].2 == w[1].1), "{parts:?}");
            assert!(parts.iter().all(|(level, a, b)| a % level == 0 && b % level == 0), "{parts:?}");
            assert!(parts.len() <= 5);
        }
    }

    #[test]
    fn wrong_times_are_refused_by_field() {
        let refused = |zone: &str, from: &str, to: &str| {
            let text = |t: &str| Some(t.to_string());
            let query = Query { from: text(from), to: text(to), time_zone: text(zone), ..Query::default() };
            match Window::read(&query).err().unwrap() {
                ChangeError::Invalid(problems) => problems[0].field.clone(),
                other => panic!("{other}"),
            }
        };
        for (zone, from, to, field) in [
            ("Mars/Olympus", "2026-11-01", "2026-11-02", "tz"),
            ("UTC", "yesterday", "2026-11-02", "from"),
            ("UTC", "2026-11-01", "2026-11-01", "to"),
            ("UTC", "2026-11-02", "2026-11-01", "to"),
            ("UTC", "2026-11-01T00:07:00Z", "2026-11-02", "from"),
            ("UTC", "2026-11-01", "2026-11-31", "to"),
            ("UTC", "1850-11-01", "2026-11-01", "from"),
        ] {
            assert_eq!(refused(zone, from, to), field, "{zone} {from} {to}");
        }
    }
}
