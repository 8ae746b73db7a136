//! The decoder of Annex A (§A.4).

use super::excitation::{Excitation, LAG_MAX, LAG_MIN, Lag, PulseCode};
use super::filter::{Predictor, synthesis_checked};
use super::fixed::{saturate16, saturate32};
use super::frame::{Frame, Sid, Subframe};
use super::gain::{GainPredictor, Gains};
use super::lsp::{LSP_RESET, Lsp, LspMemory, interpolate};
use super::postfilter::PostFilter;
use super::tables::SID_GAIN;
use super::{FRAME, ORDER, SHARPEST, SOFTEST, SUBFRAME};

#[derive(Clone, Debug)]
pub struct Decoder {
    lsp_memory: LspMemory,
    lsp: Lsp,
    excitation: Excitation,
    synthesis: [i16; ORDER],
    gain_predictor: GainPredictor,
    gains: Gains,
    sharpness: i16,
    /// Whole lag of the subframe before, for when none is received.
    lag: i16,
    noise: Noise,
    comfort: Comfort,
    post_filter: PostFilter,
}

/// What is known of the far end's background noise (Annex B).
#[derive(Clone, Debug)]
struct Comfort {
    lsp: Lsp,
    /// Root of the mean energy of the excitation, Q3: as last received, and as it is now.
    wanted: i16,
    gain: i16,
    /// The last frame was noise too.
    running: bool,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            lsp_memory: LspMemory::default(),
            lsp: LSP_RESET,
            excitation: Excitation::default(),
            synthesis: [0; ORDER],
            gain_predictor: GainPredictor::default(),
            gains: Gains::default(),
            sharpness: SOFTEST,
            lag: 60,
            noise: Noise(21845),
            comfort: Comfort { lsp: LSP_RESET, wanted: 0, gain: 0, running: false },
            post_filter: PostFilter::default(),
        }
    }
}

/// Eq. (96)
#[derive(Clone, Debug)]
struct Noise(u16);

impl Noise {
    fn next(&mut self) -> u16 {
        self.0 = self.0.wrapping_mul(31821).wrapping_add(13849);
        self.0
    }

    /// Nearly Gaussian: the sum of four evenly spread values, whose root mean square is 37837; `gain` is Q3.
    fn sample(&mut self, gain: i32) -> i16 {
        let sum: i64 = (0..4).map(|_| i64::from(self.next().cast_signed())).sum();
        saturate16(saturate32(sum * i64::from(gain) / (8 * 37837)))
    }
}

impl Decoder {
    /// A frame of 10 ms; `None` when it is missing.
    pub fn decode(&mut self, frame: Option<&Frame>, out: &mut [i16; FRAME]) {
        self.comfort.running = false;
        let lsp = match frame {
            Some(frame) => self.lsp_memory.decode(frame.lsp),
            None => self.lsp_memory.conceal(),
        };
        let a = interpolate(&self.lsp, &lsp);
        self.lsp = lsp;
        let mut speech = [0; FRAME];
        let mut lags = [0; 2];
        let mut first_lag = self.lag;
        for n in 0..2 {
            let subframe = frame.map(|f| &f.subframes[n]);
            let lag = match subframe {
                Some(s) if n == 0 && frame.is_some_and(Frame::parity_holds) => Some(first_lag_of(s.lag)),
                Some(s) if n == 1 => Some(second_lag_of(s.lag, first_lag)),
                _ => None,
            };
            let lag = self.follow(lag);
            first_lag = lag.whole;
            lags[n] = lag.whole;
            let (before, after) = speech.split_at_mut(SUBFRAME);
            let half = if n == 0 { before } else { after };
            if let Some(out) = half.first_chunk_mut() {
                self.subframe(n * SUBFRAME, subframe, lag, &a[n], out);
            }
        }
        self.excitation.next_frame();
        self.post_filter.filter(&speech, &a, lags, out);
    }

    /// 10 ms of the far end's silence: with a description of it, or as it was described before (§B.4.4).
    ///
    /// The noise is white through the described envelope. It is not the bits of the ITU's software, which nobody can
    /// hear in noise.
    pub fn silence(&mut self, sid: Option<&Sid>, out: &mut [i16; FRAME]) {
        if let Some(sid) = sid {
            self.comfort.lsp = self.lsp_memory.decode_noise(sid.lsp);
            self.comfort.wanted = SID_GAIN[usize::from(sid.gain & 31)];
        }
        let (now, wanted) = (i32::from(self.comfort.gain), i32::from(self.comfort.wanted));
        let gain = if self.comfort.running { (7 * now + wanted) >> 3 } else { wanted };
        self.comfort.gain = saturate16(gain);
        self.comfort.running = true;
        let a = interpolate(&self.lsp, &self.comfort.lsp);
        self.lsp = self.comfort.lsp;
        let mut speech = [0; FRAME];
        let halves = speech.as_chunks_mut::<SUBFRAME>().0;
        for ((n, half), a) in halves.iter_mut().enumerate().zip(&a) {
            for e in self.excitation.subframe(n * SUBFRAME) {
                *e = self.noise.sample(gain);
            }
            if synthesis_checked(a, self.excitation.subframe(n * SUBFRAME), half, &self.synthesis) {
                self.excitation.quieten();
                let _ = synthesis_checked(a, self.excitation.subframe(n * SUBFRAME), half, &self.synthesis);
            }
            self.synthesis.copy_from_slice(&half[SUBFRAME - ORDER..]);
        }
        self.excitation.next_frame();
        self.sharpness = SOFTEST;
        self.post_filter.filter(&speech, &a, [self.lag; 2], out);
    }

    /// The lag to use: the received one, or the last one, which grows by one each time (§4.4.2).
    fn follow(&mut self, received: Option<Lag>) -> Lag {
        match received {
            Some(lag) => {
                self.lag = lag.whole;
                lag
            }
            None => {
                let lag = Lag { whole: self.lag, thirds: 0 };
                self.lag = (self.lag + 1).min(LAG_MAX);
                lag
            }
        }
    }

    fn subframe(
        &mut self,
        start: usize,
        received: Option<&Subframe>,
        lag: Lag,
        a: &Predictor,
        out: &mut [i16; SUBFRAME],
    ) {
        self.excitation.adapt(start, lag);
        let pulses = match received {
            Some(s) => s.pulses,
            None => {
                let positions = self.noise.next() & 0x1fff;
                PulseCode { positions, signs: (self.noise.next() & 15).to_le_bytes()[0] }
            }
        };
        let code = pulses.vector(lag.samples(), self.sharpness);
        self.gains = match received {
            Some(s) => self.gain_predictor.decode(s.gains, &code),
            None => self.gain_predictor.conceal(self.gains),
        };
        self.sharpness = self.gains.pitch.clamp(SOFTEST, SHARPEST);
        self.excitation.mix(start, &code, self.gains.pitch, self.gains.code);
        if synthesis_checked(a, self.excitation.subframe(start), out, &self.synthesis) {
            self.excitation.quieten();
            let _ = synthesis_checked(a, self.excitation.subframe(start), out, &self.synthesis);
        }
        self.synthesis.copy_from_slice(&out[SUBFRAME - ORDER..]);
    }
}

/// §4.1.3: eight bits: thirds up to 85, whole lags beyond.
fn first_lag_of(index: u8) -> Lag {
    let index = i16::from(index);
    if index < 197 {
        let whole = (index + 2) / 3 + 19;
        Lag { whole, thirds: index - whole * 3 + 58 }
    } else {
        Lag { whole: index - 112, thirds: 0 }
    }
}

/// Lowest lag that the second subframe can have, by the first one's.
pub fn second_lag_floor(first: i16) -> i16 {
    (first - 5).clamp(LAG_MIN, LAG_MAX - 9)
}

/// Five bits, near the first subframe's lag.
fn second_lag_of(index: u8, first: i16) -> Lag {
    let index = i16::from(index & 31);
    let step = (index + 2) / 3 - 1;
    Lag { whole: step + second_lag_floor(first), thirds: index - 2 - step * 3 }
}
