//! The history of the server monitor (`DBG-10`): a bounded table, each step with its own span.

use crate::sql::Value;
use crate::{Store, StoreError};
use std::collections::BTreeMap;
use vocab::Utc;

/// Seconds from one sample to the next, and how many of them are kept: an hour, a day, 30 days.
pub const STEPS: [(u32, u64); 3] = [(10, 360), (60, 1440), (600, 4320)];

/// Figures at a moment, or over a step that ended then. What the keys mean stands in the table of metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub at: Utc,
    pub values: BTreeMap<String, i64>,
}

impl Store {
    /// Writes samples of these steps, and forgets what is beyond the span of each.
    pub fn add_samples(&self, samples: &[(u32, Sample)]) -> Result<(), StoreError> {
        self.write(|db| {
            for (step, sample) in samples {
                let body = serde_json::to_string(&sample.values)?;
                db.run(
                    "INSERT INTO monitor_sample (step_s, taken_at, body) VALUES (?1, ?2, ?3)
                     ON CONFLICT (step_s, taken_at) DO UPDATE SET body = excluded.body",
                    &[(*step).into(), sample.at.0.into(), Value::from(body)],
                )?;
                let kept = STEPS.iter().find(|(s, _)| s == step).map_or(0, |(_, kept)| *kept);
                let span = i64::from(*step) * i64::try_from(kept).unwrap_or(0) * 1_000_000;
                let oldest = sample.at.0.saturating_sub(span);
                db.run(
                    "DELETE FROM monitor_sample WHERE step_s = ?1 AND taken_at <= ?2",
                    &[(*step).into(), oldest.into()],
                )?;
            }
            Ok(())
        })
    }

    /// Samples of one step in a span, oldest first.
    pub fn samples(&self, step: u32, from: Utc, to: Utc) -> Result<Vec<Sample>, StoreError> {
        let sql = "SELECT taken_at, body FROM monitor_sample
                   WHERE step_s = ?1 AND taken_at >= ?2 AND taken_at < ?3 ORDER BY taken_at";
        self.read(|db| {
            db.rows(sql, &[step.into(), from.0.into(), to.0.into()], |row| {
                Ok(Sample { at: Utc(row.int(0)?), values: serde_json::from_str(row.text(1)?)? })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let sample = |n: i64| Sample { at: Utc(n * 10_000_000), values: [("calls".to_owned(), n)].into() };
        for n in 0..500 {
            store.add_samples(&[(10, sample(n))]).unwrap();
        }
        let all = store.samples(10, Utc(0), Utc(i64::MAX)).unwrap();
        assert_eq!((all.len(), all[0].values["calls"], all[359].values["calls"]), (360, 140, 499));
        assert_eq!(store.samples(10, Utc(4_000_000_000), Utc(4_100_000_000)).unwrap().len(), 10);
        assert!(store.samples(60, Utc(0), Utc(i64::MAX)).unwrap().is_empty());
    }
}
