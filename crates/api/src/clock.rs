//! Times as they stand in the API, and the one place that reads the clock.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use vocab::Utc;

/// Where the API takes the time from: the system in the program, a number in tests.
pub type Clock = Arc<dyn Fn() -> Utc + Send + Sync>;

pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Utc(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

/// A time: RFC 3339, UTC, with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, examples("2026-11-22T16:04:33.120Z"))]
pub struct Timestamp(pub Utc);

impl Timestamp {
    /// With or without an offset's minutes; the result is UTC.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos() / 1000).ok().map(|us| Timestamp(Utc(us)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.millis();
        let at =
            OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (at.date(), at.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            ms.rem_euclid(1000)
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(d)?;
        Timestamp::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is not a time; expected one like \"2026-11-22T16:04:33.120Z\""
            ))
        })
    }
}

impl From<Utc> for Timestamp {
    fn from(at: Utc) -> Timestamp {
        Timestamp(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        for (text, us, shown) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z"),
            ("2026-11-22T16:04:33.120Z", 1_795_363_473_120_000, "2026-11-22T16:04:33.120Z"),
            ("2026-11-22T18:04:33.1209+02:00", 1_795_363_473_120_900, "2026-11-22T16:04:33.120Z"),
            ("1969-12-31T23:59:59.999Z", -1000, "1969-12-31T23:59:59.999Z"),
        ] {
            let t = Timestamp::parse(text).unwrap();
            assert_eq!((t.0.0, t.to_string().as_str()), (us, shown), "{text}");
        }
        for text in ["", "2026-11-22", "2026-13-01T00:00:00Z", "16:04", "2026-11-22T16:04:33"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
