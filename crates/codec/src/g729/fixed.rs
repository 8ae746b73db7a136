//! Fixed-point arithmetic of G.729 (§5, tables 10 and 11): 16 and 32 bit fractions that saturate, and the functions
//! made of them. Bit-exactness hangs on every one: where the Recommendation truncates, so do we.

use super::tables::{INVERSE_ROOT, LOGARITHM, POWER};

/// The low half of a value that is known to fit, or whose upper bits the Recommendation drops.
#[expect(
    clippy::cast_possible_truncation,
    reason = "this is the one place where bits are dropped on purpose"
)]
#[inline(always)]
pub fn low(value: i32) -> i16 {
    value as i16
}

#[inline(always)]
pub fn saturate16(value: i32) -> i16 {
    low(value.clamp(-32768, 32767))
}

#[expect(clippy::cast_possible_truncation, reason = "clamped just before")]
#[inline(always)]
pub fn saturate32(value: i64) -> i32 {
    value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// Fraction × fraction, truncated.
#[inline(always)]
pub fn mult(a: i16, b: i16) -> i16 {
    saturate16((i32::from(a) * i32::from(b)) >> 15)
}

/// Fraction × fraction, rounded.
#[inline(always)]
pub fn mult_round(a: i16, b: i16) -> i16 {
    saturate16((i32::from(a) * i32::from(b) + 0x4000) >> 15)
}

/// Fraction × fraction with all bits.
#[inline(always)]
pub fn long_mult(a: i16, b: i16) -> i32 {
    (i32::from(a) * i32::from(b)).saturating_mul(2)
}

#[inline(always)]
pub fn mac(sum: i32, a: i16, b: i16) -> i32 {
    sum.saturating_add(long_mult(a, b))
}

#[inline(always)]
pub fn msu(sum: i32, a: i16, b: i16) -> i32 {
    sum.saturating_sub(long_mult(a, b))
}

#[inline(always)]
pub fn high(value: i32) -> i16 {
    low(value >> 16)
}

#[inline(always)]
pub fn round(value: i32) -> i16 {
    high(value.saturating_add(0x8000))
}

/// Shifts left, or right by a negative amount; saturates.
pub fn shift_left(value: i32, by: i32) -> i32 {
    if by < 0 { shift_right(value, -by) } else { saturate32(i64::from(value) << by.min(32)) }
}

/// Shifts right, or left by a negative amount.
pub fn shift_right(value: i32, by: i32) -> i32 {
    if by < 0 { shift_left(value, -by) } else { value >> by.min(31) }
}

pub fn shift_right16(value: i16, by: i32) -> i16 {
    if by < 0 { saturate16(saturate32(i64::from(value) << (-by).min(32))) } else { value >> by.min(15) }
}

/// Bits by which a value may be shifted left without loss; 0 for 0.
#[inline(always)]
pub fn norm(value: i32) -> i32 {
    let folded = value ^ (value >> 31);
    if value == 0 { 0 } else { folded.leading_zeros().cast_signed() - 1 }
}

#[inline(always)]
pub fn norm16(value: i16) -> i32 {
    let folded = value ^ (value >> 15);
    if value == 0 { 0 } else { folded.leading_zeros().cast_signed() - 1 }
}

/// Quotient of two positive fractions, the first not greater.
pub fn divide(numerator: i16, denominator: i16) -> i16 {
    if numerator >= denominator || denominator <= 0 {
        return i16::MAX;
    }
    low((i32::from(numerator.max(0)) << 15) / i32::from(denominator))
}

/// A 32-bit value as two 16-bit factors, `high · 2¹⁶ + low · 2`: the "double precision format" of §5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Double {
    pub high: i16,
    pub low: i16,
}

impl Double {
    #[inline(always)]
    pub fn of(value: i32) -> Double {
        Double { high: high(value), low: low((value >> 1) & 0x7fff) }
    }

    #[inline(always)]
    pub fn value(self) -> i32 {
        (i32::from(self.high) << 16) + (i32::from(self.low) << 1)
    }

    /// × a fraction. The factors above never overflow the sum but at the very ends.
    #[inline(always)]
    pub fn times16(self, factor: i16) -> i32 {
        long_mult(self.high, factor).saturating_add(i32::from(mult(self.low, factor)) << 1)
    }

    #[inline(always)]
    pub fn times(self, other: Double) -> i32 {
        long_mult(self.high, other.high)
            .saturating_add(i32::from(mult(self.high, other.low)) << 1)
            .saturating_add(i32::from(mult(self.low, other.high)) << 1)
    }
}

/// Quotient of two positive 32-bit fractions, the divisor normalised: one step of Newton's from a 16-bit inverse.
pub fn divide32(numerator: i32, denominator: Double) -> i32 {
    let guess = divide(0x3fff, denominator.high);
    let inverse = Double::of(0x7fff_ffff_i32.saturating_sub(denominator.times16(guess)));
    let inverse = Double::of(inverse.times16(guess));
    shift_left(Double::of(numerator).times(inverse), 2)
}

/// Table value at `index`, moved toward the next one by `fraction` / 2¹⁵, in the upper half of the result.
fn interpolate(table: &[i16], index: i32, fraction: i16) -> i32 {
    let at = |i: i32| usize::try_from(i).ok().and_then(|i| table.get(i)).copied().unwrap_or(0);
    let here = at(index);
    (i32::from(here) << 16).saturating_sub(long_mult(here.wrapping_sub(at(index + 1)), fraction))
}

/// Index of five bits and fraction of fifteen in the upper part of a value.
fn index_and_fraction(value: i32) -> (i32, i16) {
    (value >> 16, low((value >> 1) & 0x7fff))
}

/// 2^(exponent + fraction / 2¹⁵)
pub fn power_of_two(exponent: i32, fraction: i16) -> i32 {
    let (index, rest) = index_and_fraction(long_mult(fraction, 32));
    let mantissa = interpolate(&POWER, index, rest);
    let by = 30 - exponent;
    if by > 31 {
        return 0;
    }
    // Rounded when shifted right.
    let shifted = shift_right(mantissa, by);
    if by > 0 && mantissa & (1 << (by - 1)) != 0 { shifted + 1 } else { shifted }
}

/// log2 as whole part and fraction / 2¹⁵; (0, 0) for what has no logarithm.
pub fn log2(value: i32) -> (i16, i16) {
    if value <= 0 {
        return (0, 0);
    }
    let exponent = norm(value);
    let (index, rest) = index_and_fraction((value << exponent) >> 9);
    (low(30 - exponent), high(interpolate(&LOGARITHM, index - 32, rest)))
}

/// 1/√value
pub fn inverse_root(value: i32) -> i32 {
    if value <= 0 {
        return 0x3fff_ffff;
    }
    let norm = norm(value);
    let exponent = 30 - norm;
    let mantissa = value << norm;
    let mantissa = if exponent & 1 == 0 { mantissa >> 1 } else { mantissa };
    let (index, rest) = index_and_fraction(mantissa >> 9);
    interpolate(&INVERSE_ROOT, index - 16, rest) >> ((exponent >> 1) + 1)
}

/// Sum of products as `mac` in a row would make it.
///
/// Saturation in the middle of a sum shows in the result, so the quick way is taken only when no partial sum can get
/// there, which is nearly always.
#[inline]
pub fn dot(start: i32, a: &[i16], b: &[i16]) -> i32 {
    quick_dot(start, a, b).unwrap_or_else(|| a.iter().zip(b).fold(start, |sum, (&x, &y)| mac(sum, x, y)))
}

/// Sum of products of signals whose energies both fit ([`fits`]): then no partial sum can saturate (Cauchy and
/// Schwarz), and the sum may be taken in any order.
#[inline]
pub fn plain_dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(&x, &y)| i32::from(x) * i32::from(y)).fold(0i32, i32::wrapping_add).wrapping_mul(2)
}

/// The energy of the signal is below saturation.
pub fn fits(signal: &[i16]) -> bool {
    energy(0, signal).is_some()
}

/// The same, or `None` where `mac` would have saturated on the way.
pub fn dot_checked(start: i32, a: &[i16], b: &[i16]) -> Option<i32> {
    quick_dot(start, a, b).or_else(|| {
        a.iter()
            .zip(b)
            .try_fold(start, |sum, (&x, &y)| sum.checked_add((i32::from(x) * i32::from(y)).checked_mul(2)?))
    })
}

#[inline]
fn quick_dot(start: i32, a: &[i16], b: &[i16]) -> Option<i32> {
    let mut sum = 0i64;
    let mut magnitude = 0i64;
    for (&x, &y) in a.iter().zip(b) {
        let product = i32::from(x) * i32::from(y);
        sum += i64::from(product);
        magnitude += i64::from(product.unsigned_abs());
    }
    let safe = 2 * magnitude + i64::from(start.unsigned_abs()) <= i64::from(i32::MAX);
    safe.then(|| saturate32(i64::from(start) + 2 * sum))
}

/// `start` + energy, or `None` when it does not fit.
#[inline]
pub fn energy(start: i32, signal: &[i16]) -> Option<i32> {
    let sum: i64 = signal.iter().map(|&x| i64::from(i32::from(x) * i32::from(x))).sum();
    i32::try_from(i64::from(start) + 2 * sum).ok()
}

/// `start` + energy, at most the largest value.
#[inline]
pub fn energy_saturated(start: i32, signal: &[i16]) -> i32 {
    energy(start, signal).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_and_shifts() {
        for (value, want) in [(0, 0), (1, 30), (-1, 31), (0x4000_0000, 0), (i32::MIN, 0), (i32::MAX, 0)] {
            assert_eq!(norm(value), want, "{value}");
        }
        assert_eq!(shift_left(0x4000_0000, 1), i32::MAX);
        assert_eq!(shift_left(-3, -1), -2);
        assert_eq!(shift_right(1, -40), i32::MAX);
        assert_eq!(round(i32::MAX), i16::MAX);
        assert_eq!(mult(i16::MIN, i16::MIN), i16::MAX);
    }

    #[test]
    fn functions_are_near_the_true_ones() {
        for value in [1, 2, 3, 100, 12_345, 1 << 20, 0x3fff_ffff, i32::MAX] {
            let (whole, fraction) = log2(value);
            let got = f64::from(whole) + f64::from(fraction) / 32768.0;
            assert!((got - f64::from(value).log2()).abs() < 0.001, "log2 {value}: {got}");
            // Q30 of 1/√ for a Q31 value.
            let root = f64::from(inverse_root(value)) / f64::from(1 << 30);
            let true_root = (f64::from(value) / 1.0).sqrt().recip();
            assert!((root / true_root - 1.0).abs() < 0.01 || root < 1e-4, "1/√{value}: {root} {true_root}");
        }
        assert_eq!(power_of_two(14, 0), 16384);
    }

    #[test]
    fn a_dot_product_saturates_in_the_middle() {
        let a = [i16::MAX, i16::MAX, i16::MAX];
        let b = [i16::MAX, i16::MAX, i16::MIN];
        assert_eq!(dot(0, &a, &b), i32::MAX - 2 * 32767 * 32768);
    }
}
