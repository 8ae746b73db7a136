//! Line spectrum pairs: their quantiser (§3.2.4), and the way from them to filter coefficients (§3.2.5, §3.2.6).

use super::ORDER;
use super::filter::Predictor;
use super::fixed::{Double, high, long_mult, low, mac, msu, mult, norm16, shift_left, shift_right};
use super::tables::{
    ARC_COSINE_SLOPE, COSINE, COSINE_SLOPE, LSF_RESET, LSP_FIRST, LSP_PREDICTOR, LSP_PREDICTOR_REST,
    LSP_PREDICTOR_REST_INVERSE, LSP_SECOND, SID_FIRST, SID_PREDICTOR_REST, SID_SECOND,
};

/// As cosines, Q15.
pub type Lsp = [i16; ORDER];
/// As frequencies, Q13.
pub type Lsf = [i16; ORDER];

pub const LSP_RESET: Lsp = [30000, 26000, 21000, 15000, 8000, 0, -8000, -15000, -21000, -26000];

/// Least distances between neighbours while quantising, and in the end; first and last frequency (Q13).
const GAP_FIRST: i16 = 10;
const GAP_SECOND: i16 = 5;
const GAP_STABLE: i16 = 321;
const LOWEST: i16 = 40;
const HIGHEST: i16 = 25681;

/// The four indices of one frame (table 8): which predictor, first stage, lower and upper half of the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LspCode {
    pub predictor: u8,
    pub first: u8,
    pub lower: u8,
    pub upper: u8,
}

/// The indices of a comfort noise frame (§B.4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoiseCode {
    pub blended: bool,
    pub first: u8,
    pub second: u8,
}

/// The quantiser's memory: what the last four frames put into the predictor, newest first.
#[derive(Clone, Debug)]
pub struct LspMemory {
    past: [Lsf; 4],
    last: Lsf,
    last_predictor: u8,
}

impl Default for LspMemory {
    fn default() -> LspMemory {
        LspMemory { past: [LSF_RESET; 4], last: LSF_RESET, last_predictor: 0 }
    }
}

fn row<const N: usize>(table: &'static [[i16; 10]; N], index: u8) -> &'static [i16; 10] {
    // Indices have as many bits as the table has rows; the mask only says so to the compiler.
    &table[usize::from(index) & (N - 1)]
}

impl LspMemory {
    /// §4.1.1: frequencies of a received frame, as cosines.
    pub fn decode(&mut self, code: LspCode) -> Lsp {
        let first = row(&LSP_FIRST, code.first);
        let mut sum = *first;
        for (n, value) in sum.iter_mut().enumerate() {
            let second = if n < ORDER / 2 { code.lower } else { code.upper };
            *value = value.saturating_add(row(&LSP_SECOND, second)[n]);
        }
        spread(&mut sum, GAP_FIRST, 1..ORDER);
        spread(&mut sum, GAP_SECOND, 1..ORDER);
        let lsf = self.accept(&sum, code.predictor);
        self.last = lsf;
        self.last_predictor = code.predictor;
        to_cosines(&lsf)
    }

    /// §B.4.2.2: frequencies of comfort noise, from fewer rows, by the first predictor or a blend of both.
    pub fn decode_noise(&mut self, code: NoiseCode) -> Lsp {
        let first = row(&LSP_FIRST, SID_FIRST[usize::from(code.first & 31)]);
        let second = SID_SECOND.each_ref().map(|rows| row(&LSP_SECOND, rows[usize::from(code.second & 15)]));
        let mut innovation = *first;
        for (n, value) in innovation.iter_mut().enumerate() {
            *value = value.saturating_add(second[usize::from(n >= ORDER / 2)][n]);
        }
        spread(&mut innovation, GAP_FIRST, 1..ORDER);
        let rest = &SID_PREDICTOR_REST[usize::from(code.blended)];
        let mut lsf = [0; ORDER];
        for (n, value) in lsf.iter_mut().enumerate() {
            let mut sum = long_mult(innovation[n], rest[n]);
            for (k, past) in self.past.iter().enumerate() {
                let taps = [LSP_PREDICTOR[0][k][n], LSP_PREDICTOR[1][k][n]];
                // 0.6 and 0.4
                let blend = high(mac(long_mult(taps[0], 19660), taps[1], 13107));
                sum = mac(sum, past[n], if code.blended { blend } else { taps[0] });
            }
            *value = high(sum);
        }
        self.push(innovation);
        stabilise(&mut lsf);
        self.last = lsf;
        to_cosines(&lsf)
    }

    /// §4.4.1: a frame is missing: its frequencies are those of the last one, and the memory is made to fit.
    pub fn conceal(&mut self) -> Lsp {
        let fitting = self.innovation(&self.last, self.last_predictor);
        self.push(fitting);
        to_cosines(&self.last)
    }

    /// Puts the quantised innovation in and gives the stable frequencies that follow from it.
    fn accept(&mut self, innovation: &Lsf, predictor: u8) -> Lsf {
        let mode = usize::from(predictor & 1);
        let mut lsf = [0; ORDER];
        for (n, value) in lsf.iter_mut().enumerate() {
            let mut sum = long_mult(innovation[n], LSP_PREDICTOR_REST[mode][n]);
            for (past, taps) in self.past.iter().zip(&LSP_PREDICTOR[mode]) {
                sum = mac(sum, past[n], taps[n]);
            }
            *value = high(sum);
        }
        self.push(*innovation);
        stabilise(&mut lsf);
        lsf
    }

    fn push(&mut self, innovation: Lsf) {
        self.past.rotate_right(1);
        self.past[0] = innovation;
    }

    /// What would have to be quantised to get `lsf` with this predictor.
    fn innovation(&self, lsf: &Lsf, predictor: u8) -> Lsf {
        let mode = usize::from(predictor & 1);
        let mut out = [0; ORDER];
        for (n, value) in out.iter_mut().enumerate() {
            let mut sum = i32::from(lsf[n]) << 16;
            for (past, taps) in self.past.iter().zip(&LSP_PREDICTOR[mode]) {
                sum = msu(sum, past[n], taps[n]);
            }
            let scaled = long_mult(high(sum), LSP_PREDICTOR_REST_INVERSE[mode][n]);
            *value = high(shift_left(scaled, 3));
        }
        out
    }

    /// §3.2.4: the nearest quantised frequencies, by both predictors in turn.
    pub fn encode(&mut self, lsp: &Lsp) -> (LspCode, Lsp) {
        let lsf = to_frequencies(lsp);
        let weights = weights(&lsf);
        let mut best = (i32::MAX, LspCode::default());
        for predictor in 0..2 {
            let (code, distance) = self.search(&lsf, &weights, predictor);
            if distance < best.0 || predictor == 0 {
                best = (distance, code);
            }
        }
        (best.1, self.decode(best.1))
    }

    fn search(&self, lsf: &Lsf, weights: &[i16; ORDER], predictor: u8) -> (LspCode, i32) {
        let target = self.innovation(lsf, predictor);
        let first = nearest(LSP_FIRST.iter().map(|row| {
            row.iter().zip(&target).fold(0, |sum, (&c, &t)| {
                let error = i32::from(t.saturating_sub(c));
                sum + u64::from((error * error).unsigned_abs())
            })
        }));
        let base = row(&LSP_FIRST, first);
        let rest: Lsf = std::array::from_fn(|n| target[n].saturating_sub(base[n]));
        let second = |half: std::ops::Range<usize>| {
            nearest(LSP_SECOND.iter().map(|row| {
                half.clone().fold(0, |sum, n| {
                    let error = rest[n].saturating_sub(row[n]);
                    sum + u64::from((i32::from(mult(weights[n], error)) * i32::from(error)).unsigned_abs())
                })
            }))
        };
        let lower = second(0..ORDER / 2);
        let upper = second(ORDER / 2..ORDER);
        let mut sum = *base;
        for (n, value) in sum.iter_mut().enumerate() {
            let second = if n < ORDER / 2 { lower } else { upper };
            *value = value.saturating_add(row(&LSP_SECOND, second)[n]);
        }
        spread(&mut sum, GAP_FIRST, 1..ORDER / 2);
        spread(&mut sum, GAP_FIRST, ORDER / 2..ORDER);
        spread(&mut sum, GAP_SECOND, 1..ORDER);
        let rest = &LSP_PREDICTOR_REST[usize::from(predictor & 1)];
        let distance = (0..ORDER).fold(0, |distance, n| {
            let error = mult(sum[n].saturating_sub(target[n]), rest[n]);
            let weighted = high(shift_left(long_mult(weights[n], error), 4));
            mac(distance, weighted, error)
        });
        (LspCode { predictor, first, lower, upper }, distance)
    }
}

/// Index of the first least distance. Distances are sums of products that are never negative, so that saturation on
/// the way is the same as saturation in the end.
fn nearest(distances: impl Iterator<Item = u64>) -> u8 {
    // Twice this is where sums saturate.
    let mut best = (1 << 30, 0);
    for (index, distance) in (0..).zip(distances) {
        if distance < best.0 {
            best = (distance, index);
        }
    }
    best.1
}

/// Moves neighbours apart that are nearer than `gap`.
fn spread(lsf: &mut Lsf, gap: i16, upper: std::ops::Range<usize>) {
    for n in upper {
        let move_by = (lsf[n - 1].saturating_sub(lsf[n]).saturating_add(gap)) >> 1;
        if move_by > 0 {
            lsf[n - 1] = lsf[n - 1].saturating_sub(move_by);
            lsf[n] = lsf[n].saturating_add(move_by);
        }
    }
}

/// Ordered, apart and within bounds, so that the filter made of them is stable.
fn stabilise(lsf: &mut Lsf) {
    for n in 1..ORDER {
        if lsf[n] < lsf[n - 1] {
            lsf.swap(n - 1, n);
        }
    }
    lsf[0] = lsf[0].max(LOWEST);
    for n in 1..ORDER {
        if i32::from(lsf[n]) - i32::from(lsf[n - 1]) < i32::from(GAP_STABLE) {
            lsf[n] = lsf[n - 1].saturating_add(GAP_STABLE);
        }
    }
    lsf[ORDER - 1] = lsf[ORDER - 1].min(HIGHEST);
}

/// Eq. (22): where neighbours are close the ear is sharp.
fn weights(lsf: &Lsf) -> [i16; ORDER] {
    // 0.04 π + 1 and 0.92 π − 1, Q13.
    const FIRST: i16 = 9221;
    const LAST: i16 = 15485;
    let mut weights = [0; ORDER];
    for (n, weight) in weights.iter_mut().enumerate() {
        let spare = if n == 0 {
            lsf[1].saturating_sub(FIRST)
        } else if n == ORDER - 1 {
            LAST.saturating_sub(lsf[n - 1])
        } else {
            lsf[n + 1].saturating_sub(lsf[n - 1]).saturating_sub(8192)
        };
        *weight = if spare > 0 {
            2048
        } else {
            // 10 · spare² + 1
            let square = high(shift_left(long_mult(spare, spare), 2));
            high(shift_left(long_mult(square, 20480), 2)).saturating_add(2048)
        };
    }
    for weight in &mut weights[4..6] {
        // · 1.2
        *weight = high(shift_left(long_mult(*weight, 19661), 1));
    }
    let norm = norm16(weights.iter().copied().max().unwrap_or(1));
    weights.map(|weight| low(i32::from(weight) << norm))
}

/// cos of the frequencies, by straight lines between 64 points.
fn to_cosines(lsf: &Lsf) -> Lsp {
    lsf.map(|frequency| {
        // 1/2π, Q17
        let scaled = mult(frequency, 20861);
        let index = usize::try_from(scaled >> 8).unwrap_or(0).min(63);
        let rest = long_mult(COSINE_SLOPE[index], scaled & 0xff);
        COSINE[index].saturating_add(low(rest >> 13))
    })
}

/// The inverse; the frequencies grow, so each search begins where the one before ended.
fn to_frequencies(lsp: &Lsp) -> Lsf {
    let mut lsf = [0; ORDER];
    let mut index = 63;
    for (value, frequency) in lsp.iter().zip(&mut lsf).rev() {
        while index > 0 && COSINE[index] < *value {
            index -= 1;
        }
        let rest = long_mult(ARC_COSINE_SLOPE[index], value.saturating_sub(COSINE[index]));
        let whole = low(i32::try_from(index).unwrap_or(0) << 9);
        // 2π, Q12
        *frequency = mult(whole.saturating_add(low(rest >> 12)), 25736);
    }
    lsf
}

/// §3.2.6: coefficients from the two polynomials that the pairs are roots of.
pub fn to_predictor(lsp: &Lsp) -> Predictor {
    let (mut sum, mut difference) = (polynomial(lsp, 0), polynomial(lsp, 1));
    for n in (1..6).rev() {
        sum[n] = sum[n].saturating_add(sum[n - 1]);
        difference[n] = difference[n].saturating_sub(difference[n - 1]);
    }
    let mut a = [4096; ORDER + 1];
    for n in 1..6 {
        let half = |value: i32| low((shift_right(value, 12) + 1) >> 1);
        a[n] = half(sum[n].saturating_add(difference[n]));
        a[ORDER + 1 - n] = half(sum[n].saturating_sub(difference[n]));
    }
    a
}

/// Product of (1 − 2 q z⁻¹ + z⁻²) over every other pair, Q24.
fn polynomial(lsp: &Lsp, first: usize) -> [i32; 6] {
    let mut f = [0; 6];
    f[0] = 1 << 24;
    f[1] = msu(0, lsp[first], 512);
    for n in 2..6 {
        let q = lsp[first + 2 * (n - 1)];
        f[n] = f[n - 2];
        for k in (2..=n).rev() {
            let product = shift_left(Double::of(f[k - 1]).times16(q), 1);
            f[k] = f[k].saturating_add(f[k - 2]).saturating_sub(product);
        }
        f[1] = msu(f[1], q, 512);
    }
    f
}

/// §3.2.5: coefficients of the two subframes, the first by the mean of the last frame's pairs and this one's.
pub fn interpolate(last: &Lsp, this: &Lsp) -> [Predictor; 2] {
    let mut middle = *this;
    for (value, &before) in middle.iter_mut().zip(last) {
        *value = (*value >> 1).saturating_add(before >> 1);
    }
    [to_predictor(&middle), to_predictor(this)]
}
