//! Gains of the two parts of the excitation: predicted, corrected by a two-stage codebook (§3.9).

use super::SUBFRAME;
use super::fixed::{
    Double, dot, energy_saturated, high, log2, long_mult, low, mac, mult, power_of_two, shift_left,
};
use super::tables::{GAIN_FIRST, GAIN_FIRST_ROW, GAIN_PREDICTOR, GAIN_SECOND, GAIN_SECOND_ROW};

/// −14 dB, Q10: what the predictor starts from, and its floor while frames are missing.
const FLOOR: i16 = -14336;

/// Gains of a subframe: of the past excitation Q14, of the pulses Q1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gains {
    pub pitch: i16,
    pub code: i16,
}

/// A gain with its own scale: `mantissa` / 2^`scale`.
#[derive(Clone, Copy, Debug)]
pub struct Predicted {
    pub mantissa: i16,
    pub scale: i32,
}

/// Errors of the last four subframes' predictions, newest first, in dB Q10.
#[derive(Clone, Debug)]
pub struct GainPredictor([i16; 4]);

impl Default for GainPredictor {
    fn default() -> GainPredictor {
        GainPredictor([FLOOR; 4])
    }
}

impl GainPredictor {
    /// Eq. (66) to (71): the gain that brings this code vector to the predicted energy.
    pub fn predict(&self, code: &[i16; SUBFRAME]) -> Predicted {
        let (whole, fraction) = log2(energy_saturated(0, code));
        // −10·log10(2) · log2(energy) + 30 dB + scales of the code vector: 127.298 dB.
        let own = Double { high: whole, low: fraction }.times16(-24660);
        let own = shift_left(mac(own, 32588, 32), 10);
        let decibels = high(dot(own, &GAIN_PREDICTOR, &self.0));
        // From dB to an exponent of two: log2(10) / 20.
        let exponent = Double::of(long_mult(decibels, 5439) >> 8);
        Predicted { mantissa: low(power_of_two(14, exponent.low)), scale: 14 - i32::from(exponent.high) }
    }

    /// Takes in by how much the prediction was corrected, Q13.
    pub fn update(&mut self, correction: i32) {
        let (whole, fraction) = log2(correction);
        let log = Double { high: whole.saturating_sub(13), low: fraction }.value();
        // 20·log10(2), Q12
        self.push(mult(high(shift_left(log, 13)), 24660));
    }

    /// §4.4.3: a frame is missing: 4 dB below the mean.
    pub fn update_missing(&mut self) {
        let sum: i32 = self.0.iter().map(|&e| i32::from(e)).sum();
        self.push(low(sum >> 2).saturating_sub(4096).max(FLOOR));
    }

    fn push(&mut self, error: i16) {
        self.0.rotate_right(1);
        self.0[0] = error;
    }
}

/// Both stages' rows added: pitch gain Q14, correction of the code gain Q13.
pub fn rows(first: usize, second: usize) -> (i16, i32) {
    let (a, b) = (GAIN_FIRST[first & 7], GAIN_SECOND[second & 15]);
    (a[0].saturating_add(b[0]), i32::from(a[1]) + i32::from(b[1]))
}

/// Eq. (74): the code gain from prediction and correction.
pub fn corrected(predicted: Predicted, correction: i32) -> i16 {
    let product = long_mult(low(correction >> 1), predicted.mantissa);
    high(shift_left(product, 4 - predicted.scale))
}

impl GainPredictor {
    /// §4.1.5
    pub fn decode(&mut self, index: u8, code: &[i16; SUBFRAME]) -> Gains {
        let row = |table: &[i16], code: u8| {
            usize::from(table[usize::from(code) & (table.len() - 1)].unsigned_abs())
        };
        let (pitch, correction) = rows(row(&GAIN_FIRST_ROW, index >> 4), row(&GAIN_SECOND_ROW, index & 15));
        let gains = Gains { pitch, code: corrected(self.predict(code), correction) };
        self.update(correction);
        gains
    }

    /// §4.4.2: a frame is missing: the last gains fade.
    pub fn conceal(&mut self, last: Gains) -> Gains {
        self.update_missing();
        // 0.9 and at most 0.9; 0.98.
        Gains { pitch: mult(last.pitch, 29491).min(29491), code: mult(last.code, 32111) }
    }
}
