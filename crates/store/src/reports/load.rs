//! Curves of calls in progress and calls a second, from samples: the most of each minute.

use super::{Asked, Dimension, Found, Totals};
use crate::sql::Value;
use crate::{ChangeError, Store, StoreError};
use std::collections::BTreeMap;
use vocab::Utc;

/// Samples older than this are deleted.
const KEPT_MINUTES: i64 = 400 * 24 * 60;

impl Store {
    /// Notes how many calls were up, and came in within a second, at most in the minute of this time.
    pub fn note_load(&self, at: Utc, calls: u32, cps: u32) -> Result<(), StoreError> {
        let minute = at.0.div_euclid(60_000_000);
        self.write(|db| {
            let values: [Value<'_>; 3] = [minute.into(), calls.into(), cps.into()];
            let sql = "INSERT INTO load_sample (minute, kind, place, calls, cps) VALUES (?1, 'switch', 0, ?2, ?3)
                       ON CONFLICT (minute, kind, place) DO UPDATE SET calls = MAX(load_sample.calls, excluded.calls),
                       cps = MAX(load_sample.cps, excluded.cps)";
            db.run(sql, &values)?;
            db.run("DELETE FROM load_sample WHERE minute < ?1", &[(minute - KEPT_MINUTES).into()])?;
            Ok(())
        })
    }
}

pub(super) fn find(store: &Store, asked: &Asked<'_>) -> Result<Vec<Found>, ChangeError> {
    let sql =
        "SELECT minute, calls, cps FROM load_sample WHERE minute >= ?1 AND minute < ?2 AND kind = 'switch'";
    let by_minute = asked.group.contains(&Dimension::Minute);
    Ok(store.read(|db| {
        let mut found: BTreeMap<(usize, i64), Totals> = BTreeMap::new();
        for (bucket, time) in asked.buckets.iter().enumerate() {
            db.each(sql, &[(time.from / 60).into(), (time.to / 60).into()], |row| {
                let minute = if by_minute { row.int(0)? } else { 0 };
                let totals = found.entry((bucket, minute)).or_default();
                totals.most_calls = totals.most_calls.max(row.int(1)?.into());
                totals.most_cps = totals.most_cps.max(row.int(2)?.into());
                Ok(())
            })?;
        }
        let label = |bucket: usize, minute: i64| match by_minute {
            true => super::window::rfc3339(minute * 60),
            false => asked.buckets.get(bucket).map(|b| b.label.clone()).unwrap_or_default(),
        };
        let row = |((bucket, minute), totals)| Found { bucket, labels: vec![label(bucket, minute)], totals };
        Ok(found.into_iter().map(row).collect())
    })?)
}
