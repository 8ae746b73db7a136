//! What becomes of a call's rate while it runs: where its group says so, each cycle costs what a call costs that
//! starts at the moment at which the cycle begins (`BIL-8`, R-56).

use crate::rate::{PriceChange, Rate, RateGroup, Validity};
use std::borrow::Cow;
use std::time::Duration;
use vocab::prefix::Packed;
use vocab::{RateSection, Utc};

/// Changes further ahead are not looked for; what then holds, holds to the end of the call.
pub const AHEAD: Duration = Duration::from_secs(2 * 86_400);
const AHEAD_S: i64 = 2 * 86_400;
/// Moments that are looked at: far more than a sane table has, so that a mad one stops nothing.
const MOST_CHANGES: usize = 500;
const SECOND_US: i64 = 1_000_000;

impl RateGroup {
    /// The rate of a call to this number that was answered now: `rate` from its start, with a section for each change
    /// that lies ahead. The first period, fees and grace stay those of the start, because they are held and promised
    /// before. A destination that is locked or loses its rate meanwhile keeps its last price.
    pub fn through(&self, number: Packed, rate: &Rate, answered: Utc) -> Rate {
        if self.price_change == PriceChange::NextCall {
            return rate.clone();
        }
        let mut moments = Vec::new();
        self.moments(number, answered, answered + AHEAD, &mut moments);
        moments.sort_unstable();
        moments.dedup();
        moments.truncate(MOST_CHANGES);
        let mut sections: Vec<RateSection> = Vec::new();
        let mut holds = Cow::Borrowed(rate);
        let mut since = 0;
        // What holds at the answer may differ from what held when the call came in.
        for moment in std::iter::once(answered).chain(moments) {
            let Some((_, next)) = self.at(number, moment).filter(|(_, next)| !next.locked) else { continue };
            if next == holds {
                continue;
            }
            let from = seconds_up(answered, moment);
            add(&mut sections, &holds, since, Some(from));
            (holds, since) = (next, from);
        }
        add(&mut sections, &holds, since, None);
        // Of changes within one second the last counts.
        sections.dedup_by(|later, earlier| {
            let same = later.from == earlier.from;
            if same {
                *earlier = *later;
            }
            same
        });
        let own = RateSection { from: 0, price_per_minute: rate.price_per_minute, cycle: rate.cycle_s };
        let mut before = own;
        sections.retain(|s| {
            let differs = (s.price_per_minute, s.cycle) != (before.price_per_minute, before.cycle);
            before = *s;
            differs
        });
        Rate { sections: sections.into(), ..rate.clone() }
    }

    /// Moments after `from`, up to `to`, at which the rate of this number may become another.
    fn moments(&self, number: Packed, from: Utc, to: Utc, moments: &mut Vec<Utc>) {
        let mut timed = false;
        for offer in self.table.concerning(number) {
            let Validity { from: begins, until, hours } = &offer.when;
            moments.extend([*begins, *until].into_iter().flatten().filter(|at| *at > from && *at <= to));
            for edge in hours.edges() {
                timed = true;
                moments.extend(self.zone.moments_of(edge, from, to));
            }
        }
        if timed {
            moments.extend(self.zone.changes_between(from, to));
        }
        if let Some(inherited) = &self.inherited {
            inherited.group.moments(number, from, to, moments);
        }
    }
}

/// The sections of a rate that holds from `since` up to `until`, seconds of the call.
fn add(sections: &mut Vec<RateSection>, rate: &Rate, since: u32, until: Option<u32>) {
    sections.push(RateSection { from: since, ..rate.section_at(since) });
    let later = rate.sections.iter().filter(|s| s.from > since && until.is_none_or(|until| s.from < until));
    sections.extend(later);
}

/// The first whole second of the call that is not before the moment.
fn seconds_up(answered: Utc, moment: Utc) -> u32 {
    let us = moment.0.saturating_sub(answered.0).clamp(0, AHEAD_S * SECOND_US);
    u32::try_from((us + SECOND_US - 1) / SECOND_US).unwrap_or(0)
}
