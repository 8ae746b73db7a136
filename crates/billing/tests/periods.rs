//! Rates that change while calls run: hours, dates, midnight and the changes of the clocks of 2026 in four zones.
//!
//! The oracle knows one sentence only: after the first period each cycle costs what a call costs that starts when the
//! cycle begins.

// The lint exempts test functions only, not the functions that they share.
#![allow(clippy::unwrap_used)]

use billing::rate::RateTableBuilder;
use billing::{Hours, PriceChange, Rate, RateGroup, Rounding, Validity, Zone, charge};
use std::sync::Arc;
use vocab::prefix::Packed;
use vocab::{Currency, Money, Price, Random, RateGroupId, RateSection, Utc};

const SECOND: i64 = 1_000_000;

/// Zone, offset before, and both changes of 2026.
fn zones() -> [Zone; 4] {
    [
        Zone::new("Europe/London", 0, vec![(1_774_746_000, 3600), (1_792_890_000, 0)]),
        Zone::new("America/New_York", -18_000, vec![(1_772_953_200, -14_400), (1_793_512_800, -18_000)]),
        // Half an hour only.
        Zone::new("Australia/Lord_Howe", 39_600, vec![(1_775_314_800, 37_800), (1_791_041_400, 39_600)]),
        Zone::new("America/Santiago", -10_800, vec![(1_775_358_000, -14_400), (1_788_667_200, -10_800)]),
    ]
}

const CHANGES: [[i64; 2]; 4] = [
    [1_774_746_000, 1_792_890_000],
    [1_772_953_200, 1_793_512_800],
    [1_775_314_800, 1_791_041_400],
    [1_775_358_000, 1_788_667_200],
];

fn rate(per_minute: i64, first_period_s: u32, cycle_s: u32) -> Rate {
    Rate {
        area: "".into(),
        price_per_minute: Price(per_minute),
        first_period_s,
        first_period_price: None,
        cycle_s,
        connection_fee: Money::ZERO,
        minimum_charge: Money::ZERO,
        free_seconds: 0,
        locked: false,
        level: None,
        sections: [].into(),
    }
}

fn group(zone: Zone, rows: Vec<(&str, Validity, Rate)>) -> RateGroup {
    let mut builder = RateTableBuilder::default();
    for (prefix, when, rate) in rows {
        builder.add(prefix, when, rate).unwrap();
    }
    let table = Arc::new(builder.build());
    let group = RateGroup::new(RateGroupId(1), "g", Currency::USD, table);
    RateGroup { zone: zone.into(), price_change: PriceChange::NextCycle, ..group }
}

fn at_hours(hours: &str) -> Validity {
    Validity { hours: Hours::parse(hours).unwrap(), ..Validity::default() }
}

/// What talking costs, by the sentence above, in units of 10⁻¹⁰ a minute times seconds.
fn by_hand(group: &RateGroup, digits: &str, answered: Utc, seconds: u64) -> i128 {
    let (_, start) = group.at(Packed::of(digits), answered).unwrap();
    let mut total = i128::from(start.price_per_minute.0) * i128::from(start.first_period_s);
    let mut at = u64::from(start.first_period_s);
    let mut holds = start.into_owned();
    while at < seconds {
        let moment = Utc(answered.0 + i64::try_from(at).unwrap() * SECOND);
        let now = group.at(Packed::of(digits), moment).map(|(_, r)| r.into_owned());
        holds = now.filter(|r| !r.locked).unwrap_or(holds);
        let section = holds.section_at(at.try_into().unwrap());
        total += i128::from(section.price_per_minute.0) * i128::from(section.cycle);
        at += u64::from(section.cycle);
    }
    total
}

fn exact() -> Rounding {
    Rounding { fee_precision: 8, ..Rounding::default() }
}

/// Rounded up once, to 8 decimals.
fn as_money(total: i128) -> Money {
    Money((total + 5999) / 6000)
}

#[test]
fn every_second_around_every_change_of_the_clocks() {
    for (zone, changes) in zones().into_iter().zip(CHANGES) {
        for change in changes {
            // Peak from half past one: where clocks jump over it or pass it twice.
            for hours in ["01:30-05:00", "Sun 02:15-02:45", "Mon-Sat 00:00-24:00", "00:00-01:45, 23:00-24:00"]
            {
                let rows = vec![
                    ("880", Validity::default(), rate(600_000_000, 1, 1)),
                    ("880", at_hours(hours), rate(1_200_000_000, 1, 1)),
                ];
                let group = group(zone.clone(), rows);
                for before_s in [0, 1, 59, 1800, 3599, 3600, 7200, 86_399] {
                    let answered = Utc((change - before_s) * SECOND);
                    let (_, start) = group.at(Packed::of("8801"), answered).unwrap();
                    let rate = group.through(Packed::of("8801"), &start, answered);
                    for seconds in [1, 2, 59, 60, 61, 1799, 1801, 3600, 3601, 5400, 7201, 14_400] {
                        let want = as_money(by_hand(&group, "8801", answered, seconds));
                        let got = charge(&rate, seconds, &exact()).unwrap();
                        assert_eq!(
                            (got.amount, got.charged_seconds),
                            (want, seconds),
                            "{} {hours} {before_s} s before {change}, {seconds} s",
                            zone.name()
                        );
                    }
                }
            }
        }
    }
}

/// London, Sunday 29 March 2026: at 01:00 it becomes 02:00. The older rate holds to the second before.
#[test]
fn the_skipped_hour_in_plain_figures() {
    let [london, ..] = zones();
    let rows = vec![
        ("", Validity::default(), rate(600_000_000, 1, 1)),
        ("", at_hours("Sun 02:00-03:00"), rate(1_200_000_000, 1, 1)),
    ];
    let group = group(london, rows);
    // 00:59:50 local; 10 s later it is 02:00:00, an hour later 03:00:00.
    let answered = Utc(1_774_745_990 * SECOND);
    let rate = group.through(Packed::of("1"), &group.at(Packed::of("1"), answered).unwrap().1, answered);
    for (seconds, want) in [(10, "0.01"), (11, "0.012"), (3610, "7.21"), (3611, "7.211")] {
        assert_eq!(
            charge(&rate, seconds, &exact()).unwrap().amount,
            Money::parse(want).unwrap(),
            "{seconds} s"
        );
    }
    let fixed = RateGroup { price_change: PriceChange::NextCall, ..group };
    let rate = fixed.through(Packed::of("1"), &fixed.at(Packed::of("1"), answered).unwrap().1, answered);
    assert_eq!(charge(&rate, 3611, &exact()).unwrap().amount, Money::parse("3.611").unwrap());
}

/// Effective dates, hours, sections, locks, shorter prefixes and other cycles, at random.
#[test]
fn random_tables_agree_with_the_sentence() {
    let mut r = Random::from_number(56);
    let number = |r: &mut Random, below: u64| u32::try_from(r.below(below)).unwrap();
    let mut crossed = 0;
    for case in 0..3000 {
        let zone = zones()[usize::try_from(r.below(4)).unwrap()].clone();
        let start = CHANGES[usize::try_from(r.below(4)).unwrap()][usize::try_from(r.below(2)).unwrap()];
        let answered = Utc((start + i64::from(number(&mut r, 20_000)) - 10_000) * SECOND
            + i64::from(number(&mut r, 1_000_000)));
        let mut rows = vec![("8", Validity::default(), rate(700_000_000, 30, 6))];
        for _ in 0..r.below(6) {
            let mut when = Validity::default();
            let around =
                |r: &mut Random| Some(Utc(answered.0 + (i64::from(number(r, 20_000)) - 8_000) * SECOND + 7));
            if r.below(2) == 0 {
                when.from = around(&mut r);
            }
            if r.below(3) == 0 {
                when.until = Some(Utc(
                    when.from.map_or(answered.0, |f| f.0) + i64::from(1 + number(&mut r, 9_000)) * SECOND
                ));
            }
            if r.below(2) == 0 {
                let from = number(&mut r, 1440);
                let to = number(&mut r, 1440);
                let text = format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60);
                when.hours = Hours::parse(&text).unwrap();
            }
            let mut own = rate(
                i64::from(number(&mut r, 1000)) * 6_000_000,
                1 + number(&mut r, 60),
                1 + number(&mut r, 60),
            );
            own.locked = r.below(6) == 0;
            if r.below(3) == 0 {
                let section = RateSection {
                    from: 1 + number(&mut r, 5000),
                    price_per_minute: Price(6_000_000),
                    cycle: 1 + number(&mut r, 9),
                };
                own.sections = [section].into();
            }
            rows.push((if r.below(2) == 0 { "88" } else { "880" }, when, own));
        }
        let group = group(zone, rows);
        let Some((_, first)) = group.at(Packed::of("8801"), answered).filter(|(_, f)| !f.locked) else {
            continue;
        };
        let rate = group.through(Packed::of("8801"), &first, answered);
        crossed += u32::from(rate.sections.len() > first.sections.len());
        for _ in 0..5 {
            let seconds = 1 + r.below(15_000);
            let want = as_money(by_hand(&group, "8801", answered, seconds));
            assert_eq!(
                charge(&rate, seconds, &exact()).unwrap().amount,
                want,
                "case {case}: {seconds} s {rate:?}"
            );
        }
    }
    assert!(crossed > 500, "only {crossed} calls crossed a change");
}
