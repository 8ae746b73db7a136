//! Post-filter of Annex A (§A.4.2): brings out pitch and formants, which hides the coding noise.

use super::excitation::LAG_MAX;
use super::filter::{HighPass, HighPassTaps, Predictor, impulse_response, residual, synthesis, weight};
use super::fixed::{
    divide, dot, energy_saturated, fits, high, inverse_root, long_mult, mult, norm, plain_dot, round,
    shift_left, shift_right,
};
use super::{FRAME, ORDER, SUBFRAME};

/// γn = 0.55, γd = 0.7, γt = 0.8 (Q15).
const GAMMA_NUMERATOR: i16 = 18022;
const GAMMA_DENOMINATOR: i16 = 22938;
const TILT: i16 = 26214;
/// γp = 0.5; 1/(1 + γp) and γp/(1 + γp).
const PITCH_SHARE: i16 = 16384;
const STRONGEST: (i16, i16) = (21845, 10923);
/// Of the impulse response that the tilt is measured on.
const RESPONSE: usize = 22;
/// Gain control: 0.9 of the old gain, 0.1 of the new one.
const GAIN_KEPT: i16 = 29491;
const GAIN_NEW: i16 = 3276;

const PAST: usize = LAG_MAX.unsigned_abs() as usize;

/// 100 Hz high-pass of §4.2.5, whose result is doubled.
const OUTPUT_TAPS: HighPassTaps =
    HighPassTaps { numerator: [7699, -15398, 7699], feedback: [15836, -7667], shift: 2 };

#[derive(Clone, Debug)]
pub struct PostFilter {
    /// Synthesis of this frame behind the last ten samples of the one before.
    speech: [i16; ORDER + FRAME],
    /// Residual and its quarter, of which correlations cannot overflow.
    residual: [i16; PAST + SUBFRAME],
    quarter: [i16; PAST + SUBFRAME],
    synthesis: [i16; ORDER],
    tilt: i16,
    gain: i16,
    output: HighPass,
}

impl Default for PostFilter {
    fn default() -> PostFilter {
        PostFilter {
            speech: [0; ORDER + FRAME],
            residual: [0; PAST + SUBFRAME],
            quarter: [0; PAST + SUBFRAME],
            synthesis: [0; ORDER],
            tilt: 0,
            gain: 4096,
            output: HighPass::default(),
        }
    }
}

impl PostFilter {
    /// Filters a frame; `lags` are the whole pitch lags of the two subframes.
    pub fn filter(
        &mut self,
        speech: &[i16; FRAME],
        a: &[Predictor; 2],
        lags: [i16; 2],
        out: &mut [i16; FRAME],
    ) {
        self.speech[ORDER..].copy_from_slice(speech);
        for (n, subframe) in out.as_chunks_mut::<SUBFRAME>().0.iter_mut().enumerate().take(2) {
            self.subframe(n * SUBFRAME, &a[n], lags[n], subframe);
        }
        self.speech.copy_within(FRAME.., 0);
        for y in out {
            *y = round(shift_left(self.output.step(&OUTPUT_TAPS, *y), 1));
        }
    }

    fn subframe(&mut self, start: usize, a: &Predictor, lag: i16, out: &mut [i16; SUBFRAME]) {
        let numerator = weight(a, GAMMA_NUMERATOR);
        let denominator = weight(a, GAMMA_DENOMINATOR);
        let window = &self.speech[start..start + ORDER + SUBFRAME];
        residual(&numerator, window, &mut self.residual[PAST..]);
        for (q, &r) in self.quarter[PAST..].iter_mut().zip(&self.residual[PAST..]) {
            *q = r >> 2;
        }
        let mut excitation = self.emphasise_pitch(lag);
        let response = impulse_response(&numerator, &denominator);
        self.flatten(&response[..RESPONSE], &mut excitation);
        synthesis(&denominator, &excitation, out, &mut self.synthesis);
        let from = ORDER + start;
        self.level(from, out);
        self.residual.copy_within(SUBFRAME.., 0);
        self.quarter.copy_within(SUBFRAME.., 0);
    }

    /// §A.4.2.1: the residual plus itself one pitch period ago, if that is like it.
    fn emphasise_pitch(&self, lag: i16) -> [i16; SUBFRAME] {
        let now = &self.quarter[PAST..];
        let ago = |lag: usize| &self.quarter[PAST - lag..PAST - lag + SUBFRAME];
        let last = lag.saturating_add(3).clamp(6, LAG_MAX);
        let candidates = usize::from((last - 6).unsigned_abs())..=usize::from(last.unsigned_abs());
        let mut best = (i32::MIN, *candidates.start());
        let calm = fits(&self.quarter);
        for lag in candidates {
            let correlation = if calm { plain_dot(now, ago(lag)) } else { dot(0, now, ago(lag)) };
            if correlation > best.0 {
                best = (correlation, lag);
            }
        }
        let (correlation, lag) = (best.0.max(0), best.1);
        let energy_ago = energy_saturated(1, ago(lag));
        let energy_now = energy_saturated(1, now);
        let shift = norm(correlation.max(energy_ago).max(energy_now));
        let scaled = |value: i32| round(shift_left(value, shift));
        let (correlation, energy_ago, energy_now) =
            (scaled(correlation), scaled(energy_ago), scaled(energy_now));
        let mut out = [0; SUBFRAME];
        out.copy_from_slice(&self.residual[PAST..]);
        // A prediction gain below 3 dB is not worth it.
        if long_mult(correlation, correlation) < long_mult(energy_ago, energy_now) >> 1 {
            return out;
        }
        let (own, past) = if correlation > energy_ago {
            STRONGEST
        } else {
            let share = mult(correlation, PITCH_SHARE) >> 1;
            let whole = share.saturating_add(energy_ago >> 1);
            let past = if whole > 0 { divide(share, whole) } else { 0 };
            (32767 - past, past)
        };
        for (n, y) in out.iter_mut().enumerate() {
            *y = mult(own, *y).saturating_add(mult(past, self.residual[PAST + n - lag]));
        }
        out
    }

    /// §A.4.2.3: takes out the tilt that the formant filter brings in.
    fn flatten(&mut self, response: &[i16], signal: &mut [i16; SUBFRAME]) {
        let own = high(energy_saturated(0, response));
        let next = high(dot(0, response, &response[1..]));
        let tilt = if next > 0 { divide(mult(next, TILT), own) } else { 0 };
        let last = signal[SUBFRAME - 1];
        for n in (1..SUBFRAME).rev() {
            signal[n] = signal[n].saturating_sub(mult(tilt, signal[n - 1]));
        }
        signal[0] = signal[0].saturating_sub(mult(tilt, self.tilt));
        self.tilt = last;
    }

    /// §A.4.2.4: as loud as before the filter.
    fn level(&mut self, from: usize, out: &mut [i16; SUBFRAME]) {
        let energy = |signal: &[i16]| {
            let quarter: [i16; SUBFRAME] = std::array::from_fn(|n| signal[n] >> 2);
            energy_saturated(0, &quarter)
        };
        let (energy_in, energy_out) = (energy(&self.speech[from..from + SUBFRAME]), energy(out));
        if energy_out == 0 {
            self.gain = 0;
            return;
        }
        let mut new = 0;
        if energy_in != 0 {
            let shift_out = norm(energy_out) - 1;
            let shift_in = norm(energy_in);
            let quotient =
                divide(round(shift_left(energy_out, shift_out)), round(shift_left(energy_in, shift_in)));
            let ratio = shift_right(i32::from(quotient) << 7, shift_out - shift_in);
            new = mult(round(shift_left(inverse_root(ratio), 9)), GAIN_NEW);
        }
        for y in out {
            self.gain = mult(self.gain, GAIN_KEPT).saturating_add(new);
            *y = high(shift_left(long_mult(*y, self.gain), 3));
        }
    }
}
