//! Linear prediction analysis (§3.2): from windowed speech to coefficients and their line spectrum pairs.

use super::ORDER;
use super::filter::Predictor;
use super::fixed::{
    Double, divide, divide32, energy, high, long_mult, low, mac, msu, mult_round, norm, norm16, plain_dot,
    round, shift_left,
};
use super::lsp::Lsp;
use super::tables::{GRID, LAG_WINDOW_HIGH, LAG_WINDOW_LOW, WINDOW};

/// Samples that the analysis looks at: 120 of the past, the frame, 40 to come.
pub const SPAN: usize = 240;

/// §3.2.1: autocorrelation of windowed speech, lag window applied, scaled so that the first uses all bits.
fn autocorrelation(speech: &[i16; SPAN]) -> [Double; ORDER + 1] {
    let mut windowed: [i16; SPAN] = std::array::from_fn(|n| mult_round(speech[n], WINDOW[n]));
    let whole = loop {
        match energy(1, &windowed) {
            Some(whole) => break whole,
            None => windowed = windowed.map(|x| x >> 2),
        }
    };
    let shift = norm(whole);
    let mut r = [Double::of(whole << shift); ORDER + 1];
    for lag in 1..=ORDER {
        // Its energy fits, so this does too.
        let sum = plain_dot(&windowed[lag..], &windowed[..SPAN - lag]);
        let window = Double { high: LAG_WINDOW_HIGH[lag - 1], low: LAG_WINDOW_LOW[lag - 1] };
        r[lag] = Double::of(Double::of(shift_left(sum, shift)).times(window));
    }
    r
}

/// 1 − k², as a fraction.
fn one_minus_square(k: Double) -> Double {
    Double::of(i32::MAX.saturating_sub(k.times(k).saturating_abs()))
}

/// §3.2.2: Levinson and Durbin's recursion. `None` when the filter would be unstable.
fn levinson(r: &[Double; ORDER + 1]) -> Option<Predictor> {
    let quotient = |numerator: i32, denominator: Double| {
        let magnitude = divide32(numerator.saturating_abs(), denominator);
        if numerator > 0 { -magnitude } else { magnitude }
    };
    let first = quotient(r[1].value(), r[0]);
    let k = Double::of(first);
    // Q27
    let mut a = [Double::default(); ORDER + 1];
    a[1] = Double::of(first >> 4);
    let error = r[0].times(one_minus_square(k));
    let mut scale = norm(error);
    let mut error = Double::of(error << scale);
    for i in 2..=ORDER {
        let sum = (1..i).fold(0i32, |sum, j| sum.saturating_add(r[j].times(a[i - j])));
        let sum = shift_left(sum, 4).saturating_add(r[i].value());
        let reflection = shift_left(quotient(sum, error), scale);
        let k = Double::of(reflection);
        if k.high.saturating_abs() > 32750 {
            return None;
        }
        let before = a;
        for j in 1..i {
            a[j] = Double::of(k.times(before[i - j]).saturating_add(before[j].value()));
        }
        a[i] = Double::of(reflection >> 4);
        let rest = error.times(one_minus_square(k));
        let shift = norm(rest);
        error = Double::of(rest << shift);
        scale += shift;
    }
    let mut predictor = [4096; ORDER + 1];
    for (tap, a) in predictor.iter_mut().zip(&a).skip(1) {
        *tap = round(shift_left(a.value(), 1));
    }
    Some(predictor)
}

/// Keeps what stands in for an unstable filter and for pairs that cannot be found.
#[derive(Clone, Debug)]
pub struct Analysis {
    predictor: Predictor,
    lsp: Lsp,
}

impl Default for Analysis {
    fn default() -> Analysis {
        let mut predictor = [0; ORDER + 1];
        predictor[0] = 4096;
        Analysis { predictor, lsp: super::lsp::LSP_RESET }
    }
}

impl Analysis {
    pub fn analyse(&mut self, speech: &[i16; SPAN]) -> Lsp {
        if let Some(predictor) = levinson(&autocorrelation(speech)) {
            self.predictor = predictor;
        }
        if let Some(lsp) = line_spectrum_pairs(&self.predictor) {
            self.lsp = lsp;
        }
        self.lsp
    }
}

/// A polynomial of §3.2.3 and the scale of its coefficients.
struct Polynomial {
    f: [i16; 6],
    /// Q10 instead of Q11: it would not fit otherwise.
    halved: bool,
}

impl Polynomial {
    /// Chebyshev's recursion at `x`.
    fn at(&self, x: i16) -> i16 {
        let unit = if self.halved { 128 } else { 256 };
        let mut before = Double { high: unit, low: 0 };
        let mut now = Double::of(mac(long_mult(x, unit * 2), self.f[1], 4096));
        let step = |now: Double, before: Double, shift: i32, c: i16, scale: i16| {
            let sum = shift_left(now.times16(x), shift);
            let sum = mac(sum, before.high, i16::MIN);
            mac(msu(sum, before.low, 1), c, scale)
        };
        for &c in &self.f[2..5] {
            let next = Double::of(step(now, before, 1, c, 4096));
            before = now;
            now = next;
        }
        let last = step(now, before, 0, self.f[5], 2048);
        high(shift_left(last, if self.halved { 7 } else { 6 }))
    }
}

/// Sum and difference polynomials, divided by their known roots; `None` when 16 bits do not hold them.
fn polynomials(a: &Predictor, halved: bool) -> Option<[Polynomial; 2]> {
    let factor = if halved { 1 } else { 2 };
    let mut f = [[1024 * factor; 6]; 2];
    for n in 0..5 {
        let (early, late) = (i32::from(a[n + 1]), i32::from(a[ORDER - n]));
        // Half or a quarter of the sum, truncated.
        let half = |value: i32| i16::try_from((value * i32::from(factor)) >> 2).ok();
        f[0][n + 1] = half(early + late)?.checked_sub(f[0][n])?;
        f[1][n + 1] = half(early - late)?.checked_add(f[1][n])?;
    }
    Some(f.map(|f| Polynomial { f, halved }))
}

/// §3.2.3: the roots of both polynomials in turn, looked for on a grid.
fn line_spectrum_pairs(a: &Predictor) -> Option<Lsp> {
    let polynomials = polynomials(a, false).or_else(|| polynomials(a, true))?;
    let mut lsp = [0; ORDER];
    let mut found = 0;
    let (mut x_low, mut y_low) = (GRID[0], polynomials[0].at(GRID[0]));
    for &x in &GRID[1..] {
        let (x_high, y_high) = (x_low, y_low);
        let polynomial = &polynomials[found % 2];
        (x_low, y_low) = (x, polynomial.at(x));
        if i32::from(y_low) * i32::from(y_high) > 0 {
            continue;
        }
        let root = refine(polynomial, (x_low, y_low), (x_high, y_high));
        lsp[found] = root;
        found += 1;
        if found == ORDER {
            return Some(lsp);
        }
        (x_low, y_low) = (root, polynomials[found % 2].at(root));
    }
    None
}

/// Halves the interval twice (Annex A), then goes along the straight line.
fn refine(polynomial: &Polynomial, mut below: (i16, i16), mut above: (i16, i16)) -> i16 {
    for _ in 0..2 {
        let x = (below.0 >> 1) + (above.0 >> 1);
        let y = polynomial.at(x);
        if i32::from(below.1) * i32::from(y) <= 0 { above = (x, y) } else { below = (x, y) }
    }
    let width = above.0.saturating_sub(below.0);
    let height = above.1.saturating_sub(below.1);
    if height == 0 {
        return below.0;
    }
    let magnitude = height.saturating_abs();
    let shift = norm16(magnitude);
    let inverse = divide(16383, low(i32::from(magnitude) << shift));
    let slope = low(long_mult(width, inverse) >> (20 - shift));
    let slope = if height < 0 { slope.wrapping_neg() } else { slope };
    below.0.saturating_sub(low(long_mult(below.1, slope) >> 11))
}
