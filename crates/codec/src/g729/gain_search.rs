//! The encoder's choice of both gains at once (§3.9.2), from a few rows near the unquantised optimum.

use super::SUBFRAME;
use super::fixed::{
    Double, divide, dot, energy_saturated, high, long_mult, low, mult, norm, shift_left, shift_right,
};
use super::gain::{GainPredictor, Gains, Predicted, corrected, rows};
use super::pitch_search::{PitchGain, Scaled};
use super::tables::{GAIN_FIRST_CODE, GAIN_FIRST_THRESHOLD, GAIN_SECOND_CODE, GAIN_SECOND_THRESHOLD};

/// Rows of each stage that are tried.
const FIRST_TRIED: usize = 4;
const SECOND_TRIED: usize = 8;
/// Greatest pitch gain while taming: 0.94 Q9 for the optimum, 0.9999 Q14 for the quantised.
const TAMED_OPTIMUM: i16 = 481;
const TAMED: i16 = 16383;

/// Eq. (63) as a sum of terms: energy of y1, −2 x·y1, energy of y2, −2 x·y2, 2 y1·y2.
struct Terms([Scaled; 5]);

impl Terms {
    fn new(
        target: &[i16; SUBFRAME],
        pitch: &PitchGain,
        filtered_pitch: &[i16; SUBFRAME],
        filtered_code: &[i16; SUBFRAME],
    ) -> Terms {
        // Q12 to Q9: sums fit.
        let code = filtered_code.map(|y| y >> 3);
        let correlation = Scaled {
            mantissa: pitch.correlation.mantissa.saturating_neg(),
            scale: pitch.correlation.scale - 1,
        };
        let energy = Scaled::of(energy_saturated(1, &code), 19 - 16);
        let with_target = Scaled::of(dot(1, target, &code), 10 - 16);
        let with_pitch = Scaled::of(dot(1, filtered_pitch, &code), 10 - 16);
        Terms([
            pitch.energy,
            correlation,
            energy,
            Scaled { mantissa: with_target.mantissa.saturating_neg(), scale: with_target.scale - 1 },
            Scaled { mantissa: with_pitch.mantissa, scale: with_pitch.scale - 1 },
        ])
    }

    /// The optimum without quantisation: pitch gain Q9, code gain Q2.
    fn optimum(&self, tame: bool) -> (i16, i16) {
        let t = &self.0;
        let product = |a: usize, b: usize| (long_mult(t[a].mantissa, t[b].mantissa), t[a].scale + t[b].scale);
        let twice = |(value, scale): (i32, i32)| (value, scale + 1);
        // 4 c0 c2 − c4²
        let (whole, other) = (product(0, 2), twice(product(4, 4)));
        let whole = (whole.0, whole.1 - 1);
        let (difference, scale) = difference(whole, other, 0);
        let shift = norm(difference);
        let denominator = high(shift_left(difference, shift));
        let inverse = divide(16384, denominator).saturating_neg();
        let inverse_scale = 14 + 15 - (scale + shift - 16);
        let gain = |a: (i32, i32), b: (i32, i32), scale: i32| {
            let (difference, own) = self::difference(a, twice(b), 1);
            let shift = norm(difference);
            let numerator = high(shift_left(difference, shift));
            let right = own + shift - 16 + inverse_scale - (scale + 16 - 1);
            high(shift_right(long_mult(numerator, inverse), right))
        };
        let pitch = gain(product(2, 1), product(3, 4), 9);
        let code = gain(product(0, 3), product(1, 4), 2);
        (if tame { pitch.min(TAMED_OPTIMUM) } else { pitch }, code)
    }
}

/// a − b at the smaller scale, both shifted right by `spare` more.
fn difference(a: (i32, i32), b: (i32, i32), spare: i32) -> (i32, i32) {
    if a.1 > b.1 {
        (shift_right(a.0, a.1 - b.1 + spare).saturating_sub(b.0 >> spare), b.1 - spare)
    } else {
        ((a.0 >> spare).saturating_sub(shift_right(b.0, b.1 - a.1 + spare)), a.1 - spare)
    }
}

/// §3.9.3: the first of the rows to be tried in each stage, where the optimum lies in the codebook's skewed axes.
fn preselect(optimum: (i16, i16), predicted: Predicted) -> (usize, usize) {
    // The axes: Q10, Q14, Q16, Q19, two of them also in 32 bits; the inverse of their determinant, Q19.
    const PITCH: i16 = 31881;
    const CROSS: i16 = 31548;
    const PITCH_OFFSET: i32 = 1_731_217_536;
    const CODE_OFFSET: i32 = 1_822_990_272;
    const INVERSE: i16 = -17103;
    // Q4
    let gain = if predicted.scale >= 4 {
        predicted.mantissa >> (predicted.scale - 4).min(15)
    } else {
        high(shift_left(i32::from(predicted.mantissa), 20 - predicted.scale))
    };
    let along = long_mult(PITCH, optimum.0);
    let x = long_mult(high(along.saturating_add(CODE_OFFSET >> 15)), gain);
    let x = (i32::from(optimum.1) << 7).saturating_sub(x);
    let x = long_mult(high(shift_left(x, 2)), INVERSE);
    let y = mult(high(along.saturating_sub(PITCH_OFFSET >> 10)), gain);
    let y = long_mult(y, CROSS).saturating_sub(long_mult(PITCH, optimum.1) >> 3);
    let y = long_mult(high(shift_left(y, 2)), INVERSE);
    let passed = |value: i32, thresholds: &[i16], shift: i32| {
        let beyond = |threshold: i16| {
            let edge = long_mult(threshold, gain) >> shift;
            if gain > 0 { value > edge } else { value < edge }
        };
        thresholds.iter().take_while(|&&t| beyond(t)).count()
    };
    (passed(y, &GAIN_FIRST_THRESHOLD, 3), passed(x, &GAIN_SECOND_THRESHOLD, 5))
}

/// The seven bits and the gains they stand for.
pub fn search(
    predictor: &mut GainPredictor,
    code: &[i16; SUBFRAME],
    target: &[i16; SUBFRAME],
    (pitch, filtered_pitch): (&PitchGain, &[i16; SUBFRAME]),
    filtered_code: &[i16; SUBFRAME],
    tame: bool,
) -> (u8, Gains) {
    let predicted = predictor.predict(code);
    let terms = Terms::new(target, pitch, filtered_pitch, filtered_code);
    let (first, second) = preselect(terms.optimum(tame), predicted);
    // Scales of the five gains that the terms are multiplied with.
    let gain_scales = [13, 14, 2 * predicted.scale - 21, predicted.scale - 3, predicted.scale - 4];
    let scales: [i32; 5] = std::array::from_fn(|n| terms.0[n].scale + gain_scales[n]);
    let least = scales.iter().copied().min().unwrap_or(0);
    let weights: [Double; 5] = std::array::from_fn(|n| {
        Double::of(shift_right(i32::from(terms.0[n].mantissa) << 16, scales[n] - least))
    });
    let mut best = (i32::MAX, first, second);
    for a in first..first + FIRST_TRIED {
        for b in second..second + SECOND_TRIED {
            let (gain, correction) = rows(a, b);
            if tame && gain >= TAMED {
                continue;
            }
            let code = mult(predicted.mantissa, low(correction >> 1));
            let gains = [mult(gain, gain), gain, mult(code, code), code, mult(code, gain)];
            let error = weights.iter().zip(gains).fold(0i32, |sum, (w, g)| sum.saturating_add(w.times16(g)));
            if error < best.0 {
                best = (error, a, b);
            }
        }
    }
    let (_, first, second) = best;
    let (pitch, correction) = rows(first, second);
    let gains = Gains { pitch, code: corrected(predicted, correction) };
    predictor.update(correction);
    let index = GAIN_FIRST_CODE[first & 7] * 16 + GAIN_SECOND_CODE[second & 15];
    (index.to_le_bytes()[0], gains)
}
