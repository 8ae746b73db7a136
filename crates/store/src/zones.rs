//! Time zones from the tz database that is built into the program, so that every machine has the same.

use billing::Zone;
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;

/// Changes of the clocks are known up to here: 2100-01-01.
const KNOWN_UNTIL_S: i64 = 4_102_444_800;

/// The zone of a name like "Europe/Berlin"; `None`: there is none.
pub(crate) fn zone(name: &str) -> Option<Zone> {
    if name == "UTC" {
        return Some(Zone::utc());
    }
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    let start = Timestamp::UNIX_EPOCH;
    let changes =
        zone.following(start).map(|change| (change.timestamp().as_second(), change.offset().seconds()));
    let changes = changes.take_while(|(second, _)| *second < KNOWN_UNTIL_S).collect();
    Some(Zone::new(name, zone.to_offset(start).seconds(), changes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::Utc;

    /// The changes of 2026 as the governments have announced them; the same figures stand in `billing`'s tests.
    #[test]
    fn clocks_change_when_they_should() {
        for (name, second, before, after) in [
            ("Europe/London", 1_774_746_000, 0, 3600),
            ("Europe/London", 1_792_890_000, 3600, 0),
            ("America/New_York", 1_772_953_200, -18_000, -14_400),
            ("America/New_York", 1_793_512_800, -14_400, -18_000),
            ("Australia/Lord_Howe", 1_775_314_800, 39_600, 37_800),
            ("Australia/Lord_Howe", 1_791_041_400, 37_800, 39_600),
            ("America/Santiago", 1_775_358_000, -10_800, -14_400),
            ("America/Santiago", 1_788_667_200, -14_400, -10_800),
        ] {
            let zone = zone(name).unwrap();
            let offset = |second: i64| zone.offset_s(Utc(second * 1_000_000));
            assert_eq!((offset(second - 1), offset(second)), (before, after), "{name} {second}");
        }
        assert_eq!(zone("Asia/Dhaka").unwrap().offset_s(Utc(1_774_746_000_000_000)), 21_600);
        assert!(zone("Europe/Nowhere").is_none());
        assert!(zone("").is_none());
    }
}
