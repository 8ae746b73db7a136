//! The encoder of Annex A (§A.3).

use super::analysis::{Analysis, SPAN};
use super::decoder::second_lag_floor;
use super::excitation::Excitation;
use super::filter::{
    HighPass, HighPassTaps, Predictor, impulse_response, residual, synthesis, synthesis_checked, weight,
};
use super::fixed::{high, long_mult, mult, round, shift_left};
use super::frame::{Frame, Subframe};
use super::gain::{GainPredictor, Gains};
use super::lsp::{LSP_RESET, Lsp, LspMemory, interpolate};
use super::pitch_search::{
    self, PAST, Range, Taming, Weighted, backward, closed_loop, first_range, open_loop, pitch_gain,
};
use super::{FRAME, ORDER, SHARPEST, SOFTEST, SUBFRAME, gain_search, pulse_search};

/// γ = 0.75 of the weighting filter, and 0.7 of the low-pass in front of the open loop.
const GAMMA: i16 = 24576;
const LOW_PASS: i16 = 22938;
/// Where the frame begins in the speech that is kept.
const NOW: usize = 120;
/// Greatest pitch gain while taming, 0.95 Q14.
const TAMED: i16 = 15564;

/// 140 Hz high-pass of §3.1, which also halves.
const INPUT_TAPS: HighPassTaps =
    HighPassTaps { numerator: [1899, -3798, 1899], feedback: [7807, -3733], shift: 3 };

#[derive(Clone, Debug)]
pub struct Encoder {
    input: HighPass,
    speech: [i16; SPAN],
    analysis: Analysis,
    lsp_memory: LspMemory,
    lsp: Lsp,
    weighted: Weighted,
    weighting: [i16; ORDER],
    /// Difference of weighted speech and weighted synthesis: where the target's filter starts from.
    error: [i16; ORDER],
    excitation: Excitation,
    gain_predictor: GainPredictor,
    taming: Taming,
    sharpness: i16,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder {
            input: HighPass::default(),
            speech: [0; SPAN],
            analysis: Analysis::default(),
            lsp_memory: LspMemory::default(),
            lsp: LSP_RESET,
            weighted: [0; PAST + FRAME],
            weighting: [0; ORDER],
            error: [0; ORDER],
            excitation: Excitation::default(),
            gain_predictor: GainPredictor::default(),
            taming: Taming::default(),
            sharpness: SOFTEST,
        }
    }
}

impl Encoder {
    /// A frame of 10 ms; its speech is heard 5 ms later than it went in.
    pub fn encode(&mut self, pcm: &[i16; FRAME]) -> Frame {
        self.speech.copy_within(FRAME.., 0);
        for (s, &x) in self.speech[SPAN - FRAME..].iter_mut().zip(pcm) {
            *s = round(self.input.step(&INPUT_TAPS, x));
        }
        let lsp = self.analysis.analyse(&self.speech);
        let (code, quantised) = self.lsp_memory.encode(&lsp);
        let a = interpolate(&self.lsp, &quantised);
        self.lsp = quantised;
        let weights = a.map(|a| weight(&a, GAMMA));
        for n in 0..2 {
            self.weigh(n * SUBFRAME, &a[n], &weights[n]);
        }
        let open_loop = open_loop(&self.weighted);
        let mut frame = Frame { lsp: code, ..Frame::default() };
        let mut range = first_range(open_loop);
        for (n, weight) in weights.iter().enumerate() {
            let (subframe, lag) = self.subframe(n * SUBFRAME, weight, range);
            frame.subframes[n] = subframe;
            let lowest = second_lag_floor(lag);
            range = (lowest, lowest + 9);
        }
        frame.parity = Frame::parity_of(frame.subframes[0].lag);
        self.weighted.copy_within(FRAME.., 0);
        self.excitation.next_frame();
        frame
    }

    /// Residual into the excitation, and weighted speech for the open loop.
    fn weigh(&mut self, start: usize, a: &Predictor, weight: &Predictor) {
        let window = &self.speech[NOW - ORDER + start..NOW + start + SUBFRAME];
        let excitation = self.excitation.subframe(start);
        residual(a, window, excitation);
        let mut smooth = *weight;
        for n in 1..=ORDER {
            smooth[n] = weight[n].saturating_sub(mult(weight[n - 1], LOW_PASS));
        }
        if let Some(out) = self.weighted[PAST + start..].first_chunk_mut() {
            synthesis(&smooth, excitation, out, &mut self.weighting);
        }
    }

    fn subframe(&mut self, start: usize, weight: &Predictor, range: Range) -> (Subframe, i16) {
        let response = impulse_response(&[4096], weight);
        let mut target = [0; SUBFRAME];
        let _ = synthesis_checked(weight, self.excitation.subframe(start), &mut target, &self.error);
        let lag = closed_loop(&mut self.excitation, start, &backward(&target, &response), range);
        let mut filtered = [0; SUBFRAME];
        let _ = synthesis_checked(weight, self.excitation.subframe(start), &mut filtered, &[0; ORDER]);
        let mut pitch = pitch_gain(&target, &filtered);
        let tame = self.taming.needed(lag);
        if tame {
            pitch.gain = pitch.gain.min(TAMED);
        }
        let rest = std::array::from_fn(|n| target[n].saturating_sub(scaled(filtered[n], pitch.gain, 1)));
        let (pulses, filtered_code) = pulse_search::search(&rest, &response, lag.samples(), self.sharpness);
        let code = pulses.vector(lag.samples(), self.sharpness);
        let (index, gains) = gain_search::search(
            &mut self.gain_predictor,
            &code,
            &target,
            (&pitch, &filtered),
            &filtered_code,
            tame,
        );
        self.sharpness = gains.pitch.clamp(SOFTEST, SHARPEST);
        self.excitation.mix(start, &code, gains.pitch, gains.code);
        self.taming.update(gains.pitch, lag.whole);
        self.keep_error(&target, &filtered, &filtered_code, gains);
        let lag_code =
            if start == 0 { pitch_search::first_code(lag) } else { pitch_search::second_code(lag, range.0) };
        (Subframe { lag: lag_code, pulses, gains: index }, lag.whole)
    }

    /// §A.3.10
    fn keep_error(
        &mut self,
        target: &[i16; SUBFRAME],
        filtered: &[i16; SUBFRAME],
        code: &[i16; SUBFRAME],
        gains: Gains,
    ) {
        for (n, error) in (SUBFRAME - ORDER..).zip(&mut self.error) {
            let made = scaled(filtered[n], gains.pitch, 1).saturating_add(scaled(code[n], gains.code, 2));
            *error = target[n].saturating_sub(made);
        }
    }
}

/// A product in the upper half after a shift.
fn scaled(value: i16, gain: i16, shift: i32) -> i16 {
    high(shift_left(long_mult(value, gain), shift))
}
