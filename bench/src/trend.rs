//! How steeply do points rise? Theil–Sen: the middle one of the slopes of all pairs, which outliers do not move, with
//! its 95 % interval (Sen 1968).

/// A slope and the interval it is in with 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    pub slope: f64,
    pub low: f64,
    pub high: f64,
}

/// More points than this are thinned: the number of pairs grows with the square.
const MOST_POINTS: usize = 1_000;

/// None for fewer than ten points.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Trend> {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let points: Vec<(f64, f64)> = points.iter().step_by(step).copied().collect();
    if points.len() < 10 {
        return None;
    }
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (i, (x, y)) in points.iter().enumerate() {
        slopes.extend(points.iter().skip(i + 1).filter(|(u, _)| u > x).map(|(u, v)| (v - y) / (u - x)));
    }
    slopes.sort_by(f64::total_cmp);
    let (n, pairs) = (points.len() as f64, slopes.len() as f64);
    // Kendall's statistic under no trend is normal with this deviation.
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    #[allow(clippy::cast_possible_truncation, reason = "a rank among the slopes, which are counted in usize")]
    let at = |rank: f64| slopes.get(rank.clamp(0.0, pairs - 1.0) as usize).copied();
    let half = 1.96 * deviation / 2.0;
    Some(Trend { slope: at(pairs / 2.0)?, low: at(pairs / 2.0 - half)?, high: at(pairs / 2.0 + half)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_below_outliers() {
        let mut points: Vec<(f64, f64)> =
            (0..200).map(|i| (f64::from(i), 5.0 + 0.5 * f64::from(i))).collect();
        for i in (0..200).step_by(17) {
            points[i].1 = 1e6;
        }
        let t = theil_sen(&points).unwrap();
        assert!((t.slope - 0.5).abs() < 1e-6 && t.low <= t.slope && t.slope <= t.high, "{t:?}");
        assert!(theil_sen(&points[..5]).is_none());
    }

    #[test]
    fn noise_without_a_trend_has_zero_in_its_interval() {
        let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 20);
        let points: Vec<(f64, f64)> = (0..3000).map(|i| (f64::from(i), noise(i))).collect();
        let t = theil_sen(&points).unwrap();
        assert!(t.low < 0.0 && t.high > 0.0, "{t:?}");
    }
}
