//! Linear prediction filters. Coefficients are Q12 with the leading 1.

use super::fixed::{low, mac, msu, mult, round, saturate16, shift_left};
use super::{ORDER, SUBFRAME};

/// A(z): ten taps behind the leading one.
pub type Predictor = [i16; ORDER + 1];

/// A(z/γ)
pub fn weight(a: &Predictor, gamma: i16) -> Predictor {
    let mut weighted = *a;
    let mut factor = gamma;
    for tap in &mut weighted[1..] {
        *tap = mult_full(*tap, factor);
        factor = mult_full(factor, gamma);
    }
    weighted
}

/// Rounded product of which the overflow of −1 · −1 cannot occur.
fn mult_full(a: i16, b: i16) -> i16 {
    low((i32::from(a) * i32::from(b) + 0x4000) >> 15)
}

/// Sum of the taps' magnitudes: bounds what a partial sum of the filter can be.
fn magnitude(a: &Predictor) -> i64 {
    a[1..].iter().map(|&tap| i64::from(tap).abs()).sum()
}

fn peak(signal: &[i16]) -> i64 {
    signal.iter().map(|&x| i64::from(x).abs()).max().unwrap_or(0)
}

/// Largest sum of products that stays inside 32 bits after doubling, with its rounding.
const SAFE: i64 = (1 << 30) - 1;

/// A(z): `signal` has ten samples of history in front; gives as many as are behind them.
pub fn residual(a: &Predictor, signal: &[i16], out: &mut [i16]) {
    let safe = (magnitude(a) + 4096) * peak(signal) <= SAFE;
    for (window, y) in signal.windows(ORDER + 1).zip(out) {
        let newest_first = window.iter().rev();
        let sum = if safe {
            2 * newest_first.zip(a).map(|(&x, &tap)| i32::from(x) * i32::from(tap)).sum::<i32>()
        } else {
            newest_first.zip(a).fold(0, |sum, (&x, &tap)| mac(sum, x, tap))
        };
        *y = round(shift_left(sum, 3));
    }
}

/// 1/A(z) from `memory`, the last ten outputs. Says whether anything saturated.
#[must_use]
pub fn synthesis_checked(
    a: &Predictor,
    input: &[i16; SUBFRAME],
    out: &mut [i16; SUBFRAME],
    memory: &[i16; ORDER],
) -> bool {
    let mut line = [0; ORDER + SUBFRAME];
    line[..ORDER].copy_from_slice(memory);
    let taps = magnitude(a);
    // 4096 · the largest input, and the largest output so far.
    let drive = 4096 * peak(input);
    let mut peak = peak(memory);
    let mut overflow = false;
    // Past outputs in registers, newest first: through memory each sample would wait for the one before.
    let mut recent: [i32; ORDER] = std::array::from_fn(|k| i32::from(memory[ORDER - 1 - k]));
    let wide: [i32; ORDER] = std::array::from_fn(|k| i32::from(a[k + 1]));
    for (n, &x) in input.iter().enumerate() {
        let safe = drive + taps * peak <= SAFE;
        let sum = if safe {
            // The newest last, since it is ready last.
            let older: i32 = (1..ORDER).map(|k| recent[k] * wide[k]).sum();
            2 * (i32::from(x) * 4096 - older - recent[0] * wide[0])
        } else {
            let past = &line[n..n + ORDER];
            let start = i32::from(x) * 8192;
            let (mut sum, mut exact) = (start, i64::from(start));
            for (&y, &tap) in past.iter().rev().zip(&a[1..]) {
                sum = msu(sum, tap, y);
                exact -= 2 * i64::from(tap) * i64::from(y);
                overflow |= exact != i64::from(sum);
            }
            sum
        };
        let scaled = shift_left(sum, 3);
        overflow |= i64::from(scaled) != i64::from(sum) << 3 || scaled > i32::MAX - 0x8000;
        let y = round(scaled);
        peak = peak.max(i64::from(y).abs());
        line[n + ORDER] = y;
        recent.copy_within(..ORDER - 1, 1);
        recent[0] = i32::from(y);
    }
    out.copy_from_slice(&line[ORDER..]);
    overflow
}

/// 1/A(z); the memory moves on.
pub fn synthesis(
    a: &Predictor,
    input: &[i16; SUBFRAME],
    out: &mut [i16; SUBFRAME],
    memory: &mut [i16; ORDER],
) {
    let _ = synthesis_checked(a, input, out, memory);
    memory.copy_from_slice(&out[SUBFRAME - ORDER..]);
}

/// First samples of the impulse response of (1 + `numerator`(z)) / `a`(z), from a numerator of ten taps or less.
pub fn impulse_response(numerator: &[i16], a: &Predictor) -> [i16; SUBFRAME] {
    let mut input = [0; SUBFRAME];
    for (x, &n) in input.iter_mut().zip(numerator) {
        *x = n;
    }
    let mut out = [0; SUBFRAME];
    let _ = synthesis_checked(a, &input, &mut out, &[0; ORDER]);
    out
}

/// Adds the pitch contribution to a code vector: 1/(1 − β z^−T) for as long as it is shorter than a subframe.
pub fn sharpen(signal: &mut [i16; SUBFRAME], lag: usize, sharpness: i16) {
    // From Q14 to Q15.
    let beta = saturate16(i32::from(sharpness) << 1);
    for n in lag..SUBFRAME {
        signal[n] = signal[n].saturating_add(mult(signal[n - lag], beta));
    }
}

/// Second-order high-pass of §3.1 and §4.2.5; the feedback is kept in 32 bits.
#[derive(Clone, Debug, Default)]
pub struct HighPass {
    inputs: [i16; 2],
    outputs: [super::fixed::Double; 2],
}

/// Numerator and feedback of a high-pass, and by how much its sum is shifted to come to Q31.
pub struct HighPassTaps {
    pub numerator: [i16; 3],
    pub feedback: [i16; 2],
    pub shift: i32,
}

impl HighPass {
    /// The filtered sample in the upper half.
    #[inline]
    pub fn step(&mut self, taps: &HighPassTaps, x: i16) -> i32 {
        let sum = self.outputs[0].times16(taps.feedback[0]);
        let sum = sum.saturating_add(self.outputs[1].times16(taps.feedback[1]));
        let sum = mac(sum, x, taps.numerator[0]);
        let sum = mac(sum, self.inputs[0], taps.numerator[1]);
        let sum = mac(sum, self.inputs[1], taps.numerator[2]);
        let y = shift_left(sum, taps.shift);
        self.inputs = [x, self.inputs[0]];
        self.outputs = [super::fixed::Double::of(y), self.outputs[0]];
        y
    }
}
