//! Loss concealment for codecs that have none of their own: the last pitch period goes on, and fades.
//!
//! The idea of G.711 Appendix I without its delay: the period is looked for in what was heard last and repeated; from
//! 10 ms on it grows quieter, after 60 ms it is silent.

/// Pitch periods looked for, in samples at 8 kHz: 5 to 15 ms.
const SHORTEST: usize = 40;
const LONGEST: usize = 120;
/// What the search compares: 20 ms.
const COMPARED: usize = 160;
const HISTORY: usize = COMPARED + LONGEST + LONGEST;
/// Full loudness for 10 ms, then down to nothing in 50 ms.
const FULL: usize = 80;
const FADE: usize = 400;
/// Samples over which the invented goes over into the heard.
const BLEND: usize = 40;

/// Remembers what was heard and goes on with it.
#[derive(Clone, Debug)]
pub struct Concealer {
    history: [i16; HISTORY],
    period: [i16; LONGEST],
    length: usize,
    /// Samples invented since the last heard one.
    invented: usize,
    /// What bridges the step between the last heard sample and the period.
    step: i32,
}

impl Default for Concealer {
    fn default() -> Concealer {
        Concealer { history: [0; HISTORY], period: [0; LONGEST], length: SHORTEST, invented: 0, step: 0 }
    }
}

impl Concealer {
    /// Heard samples pass through; the first ones after a loss are blended with what was invented.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if self.invented > 0 {
            for (n, sample) in (0i32..).zip(samples.iter_mut().take(BLEND)) {
                let invented = i32::from(self.next());
                let (old, new) = (40 - n, n);
                *sample = clamp((invented * old + i32::from(*sample) * new) / 40);
            }
            self.invented = 0;
        }
        let keep = samples.len().min(HISTORY);
        self.history.copy_within(keep.., 0);
        self.history[HISTORY - keep..].copy_from_slice(&samples[samples.len() - keep..]);
    }

    /// Makes up samples that were lost.
    pub fn lost(&mut self, samples: &mut [i16]) {
        if self.invented == 0 {
            self.find_period();
        }
        for sample in samples {
            *sample = self.next();
        }
    }

    fn next(&mut self) -> i16 {
        let n = self.invented;
        self.invented = self.invented.saturating_add(1);
        let bridge = if n < BLEND { self.step * i32::try_from(BLEND - n).unwrap_or(0) / 40 } else { 0 };
        let sample = i32::from(self.period[n % self.length]) + bridge;
        let faded = n.saturating_sub(FULL).min(FADE);
        let loudness = i32::try_from(FADE - faded).unwrap_or(0);
        clamp(sample * loudness / 400)
    }

    fn find_period(&mut self) {
        let end = HISTORY;
        let recent = &self.history[end - COMPARED..];
        let mut best = (0, 1, SHORTEST);
        for lag in SHORTEST..=LONGEST {
            let before = &self.history[end - COMPARED - lag..end - lag];
            let product = |a: &[i16], b: &[i16]| -> i64 {
                a.iter().zip(b).map(|(&x, &y)| i64::from(i32::from(x) * i32::from(y))).sum()
            };
            let correlation = product(recent, before).max(0) >> 16;
            let energy = (product(before, before) >> 16) + 1;
            // Greatest correlation² / energy; both are below 2²².
            if correlation * correlation * best.1 > best.0 * energy {
                best = (correlation * correlation, energy, lag);
            }
        }
        self.length = best.2;
        let (start, quarter) = (end - self.length, self.length / 4);
        for n in 0..self.length {
            let own = i32::from(self.history[start + n]);
            // The end of the period goes over into what came before its beginning, so that it can be repeated.
            let from = self.length - quarter;
            let value = if n < from {
                own
            } else {
                let weight = i32::try_from(n - from + 1).unwrap_or(0);
                let whole = i32::try_from(quarter).unwrap_or(1).max(1);
                let before = i32::from(self.history[start + n - self.length]);
                (own * (whole - weight) + before * weight) / whole
            };
            self.period[n] = clamp(value);
        }
        self.step = i32::from(self.history[end - 1]) - i32::from(self.history[start - 1]);
    }
}

fn clamp(value: i32) -> i16 {
    super::g729::saturate16(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::cast_possible_truncation)]
    fn tone(from: usize, count: usize) -> Vec<i16> {
        (from..from + count).map(|n| ((n as f64 * 0.11).sin() * 9000.0) as i16).collect()
    }

    fn power(samples: &[i16]) -> f64 {
        samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len() as f64
    }

    #[test]
    fn a_tone_goes_on_and_then_fades() {
        let mut concealer = Concealer::default();
        concealer.heard(&mut tone(0, 800));
        let mut made = vec![0; 560];
        concealer.lost(&mut made);
        let missing = tone(800, 80);
        let error: Vec<i16> = made.iter().zip(&missing).map(|(a, b)| a - b).collect();
        assert!(power(&error) < power(&missing) / 20.0, "the first 10 ms are nearly what was lost");
        assert!(made[500..].iter().all(|&s| s == 0), "60 ms later it is silent");
        let mut back = tone(1360, 160);
        concealer.heard(&mut back);
        assert_eq!(back[40..], tone(1360, 160)[40..]);
    }

    #[test]
    fn silence_stays_silent() {
        let mut made = [1; 80];
        Concealer::default().lost(&mut made);
        assert_eq!(made, [0; 80]);
    }
}
