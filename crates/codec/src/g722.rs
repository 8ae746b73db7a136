//! G.722 at 64 kbit/s: two bands of 8 kHz, each ADPCM, split and joined by a quadrature mirror filter.
//!
//! Bit-exact by the block diagrams of G.722 §3 to §5: names in quotes are the Recommendation's sub-blocks. Samples are
//! 16 bits at 16 kHz; each byte is two of them, the lower band's code in the low six bits.

/// Samples in of which an encoder makes one byte.
pub const SAMPLES_PER_BYTE: usize = 2;

/// Transmit and receive quadrature mirror filter, one half of a symmetric whole (table 11).
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// "QUANTL": decision levels, and the codes of the intervals below and above zero (tables 14, 16).
const Q6: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121,
    1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
const LOW_NEGATIVE: [u8; 31] = [
    0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8,
    7, 6, 5, 4,
];
const LOW_POSITIVE: [u8; 31] = [
    0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37,
    36, 35, 34, 33, 32,
];
/// "INVQAL", "INVQBL", "INVQAH": inverse quantisers (tables 15, 17, 18).
const QM4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360,
    -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
    -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856,
    7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136,
    -432, -136,
];
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// "LOGSCL", "LOGSCH": what a code adds to the logarithm of the step.
const LOW_STEP: [i32; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const HIGH_STEP: [i32; 4] = [798, -214, 798, -214];
/// "SCALEL", "SCALEH": 2^(i/32) in units of 1/2048.
const POWER: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

fn saturate(value: i32) -> i32 {
    value.clamp(-32768, 32767)
}

/// "LIMIT": what leaves a band has 15 bits.
fn limit(value: i32) -> i32 {
    value.clamp(-16384, 16383)
}

#[expect(clippy::cast_possible_truncation, reason = "saturated just before")]
fn sample(value: i32) -> i16 {
    saturate(value) as i16
}

/// Adaptive predictor and step size of one band, alike in encoder and decoder.
#[derive(Clone, Debug)]
struct Band {
    /// Two poles and six zeros with what they are applied to, newest first.
    poles: [i32; 2],
    reconstructed: [i32; 2],
    partial: [i32; 2],
    zeros: [i32; 6],
    differences: [i32; 6],
    predicted: i32,
    predicted_by_zeros: i32,
    log_step: i32,
    step: i32,
}

impl Band {
    fn new(step: i32) -> Band {
        Band {
            poles: [0; 2],
            reconstructed: [0; 2],
            partial: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
            predicted: 0,
            predicted_by_zeros: 0,
            log_step: 0,
            step,
        }
    }

    /// "LOGSC", "SCALE": the step for the next sample.
    fn adapt_step(&mut self, change: i32, ceiling: i32, shift: i32) {
        self.log_step = (((self.log_step * 127) >> 7) + change).clamp(0, ceiling);
        let mantissa = POWER[((self.log_step >> 6) & 31).unsigned_abs() as usize];
        let shift = shift - (self.log_step >> 11);
        self.step = if shift < 0 { mantissa << -shift } else { mantissa >> shift } << 2;
    }

    /// §3.6.5: takes the quantised difference in and predicts the next sample.
    fn adapt_predictor(&mut self, difference: i32) {
        // "PARREC", "RECONS"
        let partial = saturate(self.predicted_by_zeros + difference);
        let reconstructed = saturate(self.predicted + difference);
        self.adapt_poles(partial);
        // "UPZERO"
        let gain = if difference == 0 { 0 } else { 128 };
        for (zero, &past) in self.zeros.iter_mut().zip(&self.differences) {
            let toward = if (past < 0) == (difference < 0) { gain } else { -gain };
            *zero = saturate(toward + ((*zero * 32640) >> 15));
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.partial = [partial, self.partial[0]];
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        // "FILTEP", "FILTEZ", "PREDIC"
        let term = |coefficient: i32, value: i32| (coefficient * saturate(2 * value)) >> 15;
        let by_poles =
            saturate(term(self.poles[0], self.reconstructed[0]) + term(self.poles[1], self.reconstructed[1]));
        let terms = self.zeros.iter().zip(&self.differences).map(|(&z, &d)| term(z, d));
        self.predicted_by_zeros = saturate(terms.sum());
        self.predicted = saturate(by_poles + self.predicted_by_zeros);
    }

    /// "UPPOL2", "UPPOL1"
    fn adapt_poles(&mut self, partial: i32) {
        let same = self.partial.map(|past| (past < 0) == (partial < 0));
        let first = saturate(self.poles[0] << 2);
        let first = if same[0] { -first } else { first }.min(32767);
        let second = (first >> 7) + if same[1] { 128 } else { -128 } + ((self.poles[1] * 32512) >> 15);
        let second = second.clamp(-12288, 12288);
        let limit = 15360 - second;
        let first = (if same[0] { 192 } else { -192 }) + ((self.poles[0] * 32640) >> 15);
        self.poles = [first.clamp(-limit, limit), second];
    }

    fn adapt_low(&mut self, code4: usize) {
        let difference = (self.step * QM4[code4 & 15]) >> 15;
        self.adapt_step(LOW_STEP[code4 & 15], 18432, 8);
        self.adapt_predictor(difference);
    }

    fn adapt_high(&mut self, code: usize) -> i32 {
        let difference = (self.step * QM2[code & 3]) >> 15;
        self.adapt_step(HIGH_STEP[code & 3], 22528, 10);
        self.adapt_predictor(difference);
        difference
    }
}

/// Both bands and the samples that the mirror filter looks back at, oldest first.
#[derive(Clone, Debug)]
struct Bands {
    low: Band,
    high: Band,
    history: [i32; 24],
}

impl Bands {
    fn new() -> Bands {
        // Initial steps: table 12.
        Bands { low: Band::new(32), high: Band::new(8), history: [0; 24] }
    }

    /// Takes two values in and gives the filter's two sums.
    fn filter(&mut self, pair: [i32; 2]) -> (i32, i32) {
        self.history.copy_within(2.., 0);
        self.history[22..].copy_from_slice(&pair);
        let (mut even, mut odd) = (0, 0);
        for (i, two) in self.history.as_chunks::<2>().0.iter().enumerate() {
            even += two[0] * QMF[i];
            odd += two[1] * QMF[11 - i];
        }
        (even, odd)
    }
}

#[derive(Clone, Debug)]
pub struct Encoder(Bands);

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder(Bands::new())
    }
}

impl Encoder {
    /// Two samples at 16 kHz become one byte.
    pub fn encode_pair(&mut self, pair: [i16; 2]) -> u8 {
        let bands = &mut self.0;
        let (even, odd) = bands.filter(pair.map(i32::from));
        let low = quantise_low(saturate(((even + odd) >> 14) - bands.low.predicted), bands.low.step);
        bands.low.adapt_low(usize::from(low >> 2));
        let high = quantise_high(saturate(((odd - even) >> 14) - bands.high.predicted), bands.high.step);
        bands.high.adapt_high(usize::from(high));
        high << 6 | low
    }
}

/// "QUANTL"
fn quantise_low(error: i32, step: i32) -> u8 {
    let magnitude = if error < 0 { !error } else { error };
    // Interval 1 begins at 0; there are 30.
    let interval = Q6[1..].partition_point(|&level| magnitude >= (level * step) >> 12) + 1;
    if error < 0 { LOW_NEGATIVE[interval] } else { LOW_POSITIVE[interval] }
}

/// "QUANTH"
fn quantise_high(error: i32, step: i32) -> u8 {
    let magnitude = if error < 0 { !error } else { error };
    let outer = magnitude >= (564 * step) >> 12;
    match (error < 0, outer) {
        (true, false) => 1,
        (true, true) => 0,
        (false, false) => 3,
        (false, true) => 2,
    }
}

impl Encoder {
    /// One sample at 8 kHz becomes one byte: it is the lower band, the upper one is empty.
    ///
    /// The mirror filter halves what it lets through, hence the shift. An encoder is used for one rate throughout.
    pub fn encode_narrow(&mut self, sample: i16) -> u8 {
        let bands = &mut self.0;
        let low = quantise_low(saturate((i32::from(sample) >> 1) - bands.low.predicted), bands.low.step);
        bands.low.adapt_low(usize::from(low >> 2));
        let high = quantise_high(saturate(-bands.high.predicted), bands.high.step);
        bands.high.adapt_high(usize::from(high));
        high << 6 | low
    }
}

#[derive(Clone, Debug)]
pub struct Decoder(Bands);

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder(Bands::new())
    }
}

impl Decoder {
    /// One byte becomes two samples at 16 kHz.
    pub fn decode_byte(&mut self, code: u8) -> [i16; 2] {
        let low = self.decode_low(code);
        let bands = &mut self.0;
        let predicted = bands.high.predicted;
        let high = limit(predicted + bands.high.adapt_high(usize::from(code >> 6)));
        let (even, odd) = bands.filter([low + high, low - high]);
        [sample(odd >> 11), sample(even >> 11)]
    }

    /// One byte becomes one sample at 8 kHz: the lower band alone. A decoder is used for one rate throughout.
    pub fn decode_narrow(&mut self, code: u8) -> i16 {
        sample(self.decode_low(code) << 1)
    }

    fn decode_low(&mut self, code: u8) -> i32 {
        let low = &mut self.0.low;
        let low_code = usize::from(code & 0x3f);
        let value = limit(low.predicted + ((low.step * QM6[low_code]) >> 15));
        low.adapt_low(low_code >> 2);
        value
    }
}
