//! The encoder's search for the pitch: roughly in the weighted speech (§A.3.4), then around it (§A.3.7).

use super::excitation::{Excitation, LAG_MAX, LAG_MIN, Lag};
use super::fixed::{
    Double, divide, dot, dot_checked, energy, energy_saturated, fits, inverse_root, low, mult, norm,
    plain_dot, round, saturate16, shift_left, shift_right16,
};
use super::{FRAME, SUBFRAME};

/// Weighted speech that the longest lag needs.
pub const PAST: usize = LAG_MAX.unsigned_abs() as usize;
pub type Weighted = [i16; PAST + FRAME];

/// Every other sample is enough for the open loop: the signal as two of half the rate.
struct Decimated {
    even: [i16; 112],
    odd: [i16; 112],
    /// No sum over them can saturate.
    calm: bool,
}

impl Decimated {
    /// Scales to where sums fit and use their bits.
    fn new(signal: &Weighted) -> Decimated {
        let mut halves = Decimated { even: [0; 112], odd: [0; 112], calm: false };
        for (n, pair) in signal.chunks(2).enumerate() {
            halves.even[n] = pair[0];
            halves.odd[n] = pair.get(1).copied().unwrap_or(0);
        }
        let scale: fn(i16) -> i16 = match energy(0, &halves.even) {
            None => |x| x >> 3,
            Some(energy) if energy < 1 << 20 => |x| saturate16(i32::from(x) << 3),
            Some(_) => |x| x,
        };
        let (even, odd) = (halves.even.map(scale), halves.odd.map(scale));
        Decimated { even, odd, calm: fits(&even) && fits(&odd) }
    }

    /// The frame as it was `lag` samples ago.
    fn ago(&self, lag: i16) -> &[i16] {
        let from = PAST - usize::from(lag.unsigned_abs());
        let half = if from.is_multiple_of(2) { &self.even } else { &self.odd };
        &half[from / 2..from / 2 + FRAME / 2]
    }

    fn correlation(&self, lag: i16) -> i32 {
        let (now, ago) = (self.ago(0), self.ago(lag));
        if self.calm { plain_dot(now, ago) } else { dot(0, now, ago) }
    }

    fn best(&self, lags: impl Iterator<Item = i16>) -> (i16, i32) {
        let mut best = (0, i32::MIN);
        for lag in lags {
            let correlation = self.correlation(lag);
            if correlation > best.1 {
                best = (lag, correlation);
            }
        }
        best
    }

    /// Correlation by the root of the energy there.
    fn normalised(&self, (lag, correlation): (i16, i32)) -> (i16, i16) {
        let weight = inverse_root(energy_saturated(1, self.ago(lag)));
        (lag, low(Double::of(correlation).times(Double::of(weight))))
    }
}

/// §A.3.4: the best of three ranges; short lags are favoured, since a long one may be their multiple.
pub fn open_loop(signal: &Weighted) -> i16 {
    let halves = Decimated::new(signal);
    let mut short = halves.normalised(halves.best(20..40));
    let mut middle = halves.normalised(halves.best(40..80));
    let coarse = halves.best((80..143).step_by(2));
    let mut fine = coarse;
    for lag in [coarse.0 + 1, coarse.0 - 1] {
        let correlation = halves.correlation(lag);
        if correlation > fine.1 {
            fine = (lag, correlation);
        }
    }
    let long = halves.normalised(fine);
    let near = |multiple: i16, lag: i16, tolerance: i16| (multiple - lag).abs() < tolerance;
    for (times, tolerance) in [(2, 5), (3, 7)] {
        if near(times * middle.0, long.0, tolerance) {
            middle.1 = middle.1.saturating_add(long.1 >> 2);
        }
    }
    for (times, tolerance) in [(2, 5), (3, 7)] {
        if near(times * short.0, middle.0, tolerance) {
            // 0.2
            short.1 = short.1.saturating_add(mult(middle.1, 6554));
        }
    }
    let mut best = short;
    for other in [middle, long] {
        if other.1 > best.1 {
            best = other;
        }
    }
    best.0
}

/// Lags to be tried: lowest and highest.
pub type Range = (i16, i16);

/// Around the open loop's lag.
pub fn first_range(open_loop: i16) -> Range {
    let lowest = (open_loop - 3).max(LAG_MIN);
    if lowest + 6 > LAG_MAX { (LAG_MAX - 6, LAG_MAX) } else { (lowest, lowest + 6) }
}

/// The target filtered backward through the impulse response, in 14 bits (eq. (52) for what follows).
pub fn backward(target: &[i16; SUBFRAME], response: &[i16; SUBFRAME]) -> [i16; SUBFRAME] {
    let calm = fits(target) && fits(response);
    let sums: [i32; SUBFRAME] = std::array::from_fn(|n| {
        let (late, early) = (&target[n..], &response[..SUBFRAME - n]);
        if calm { plain_dot(late, early) } else { dot(0, late, early) }
    });
    let largest = sums.iter().map(|sum| sum.saturating_abs()).max().unwrap_or(0);
    let shift = 18 - norm(largest).min(16);
    sums.map(|sum| low(sum >> shift))
}

/// §A.3.7: the lag whose past excitation is most like the target. Leaves that excitation in the subframe.
pub fn closed_loop(
    excitation: &mut Excitation,
    start: usize,
    backward: &[i16; SUBFRAME],
    (lowest, highest): Range,
) -> Lag {
    let mut best = (i32::MIN, lowest);
    let calm = fits(&excitation.line) && fits(backward);
    for lag in lowest..=highest {
        let ago = excitation.ago(start, lag);
        let correlation = if calm { plain_dot(ago, backward) } else { dot(0, ago, backward) };
        if correlation > best.0 {
            best = (correlation, lag);
        }
    }
    let whole = best.1;
    let residual = *excitation.subframe(start);
    let mut try_lag = |thirds: i16| {
        // Lags below a subframe read this subframe's residual first.
        *excitation.subframe(start) = residual;
        let lag = Lag { whole, thirds };
        excitation.adapt(start, lag);
        let adapted = *excitation.subframe(start);
        (dot(0, &adapted, backward), lag, adapted)
    };
    let mut chosen = try_lag(0);
    // Long lags of the first subframe have no thirds.
    if start != 0 || whole <= 84 {
        for thirds in [-1, 1] {
            let tried = try_lag(thirds);
            if tried.0 > chosen.0 {
                chosen = tried;
            }
        }
    }
    *excitation.subframe(start) = chosen.2;
    chosen.1
}

/// §3.7.2: the eight bits of a first lag.
pub fn first_code(lag: Lag) -> u8 {
    let code = if lag.whole <= 85 { lag.whole * 3 - 58 + lag.thirds } else { lag.whole + 112 };
    code.to_le_bytes()[0]
}

/// The five bits of a second one.
pub fn second_code(lag: Lag, lowest: i16) -> u8 {
    ((lag.whole - lowest) * 3 + 2 + lag.thirds).to_le_bytes()[0]
}

/// A mantissa of 16 bits and its scale: value · 2^−scale.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scaled {
    pub mantissa: i16,
    pub scale: i32,
}

impl Scaled {
    /// Of a sum of doubled products.
    pub fn of(sum: i32, scale: i32) -> Scaled {
        let shift = norm(sum);
        Scaled { mantissa: round(shift_left(sum, shift)), scale: shift + scale }
    }
}

/// Energy of the filtered past excitation, its correlation with the target, and their quotient (eq. (43)).
pub struct PitchGain {
    pub energy: Scaled,
    pub correlation: Scaled,
    pub gain: i16,
}

pub fn pitch_gain(target: &[i16; SUBFRAME], filtered: &[i16; SUBFRAME]) -> PitchGain {
    // 1.2, Q14
    const GREATEST: i16 = 19661;
    let quarter = filtered.map(|y| y >> 2);
    let energy = match energy(1, filtered) {
        Some(sum) => Scaled::of(sum, -15),
        None => Scaled::of(energy_saturated(1, &quarter), -15 - 4),
    };
    let correlation = match dot_checked(0, target, filtered) {
        Some(sum) => Scaled::of(sum, -15),
        None => Scaled::of(dot(0, target, &quarter), -15 - 2),
    };
    if correlation.mantissa <= 0 {
        let correlation = Scaled { mantissa: correlation.mantissa, scale: 15 };
        return PitchGain { energy, correlation, gain: 0 };
    }
    let quotient = divide(correlation.mantissa >> 1, energy.mantissa);
    let gain = shift_right16(quotient, correlation.scale - energy.scale).min(GREATEST);
    PitchGain { energy, correlation, gain }
}

/// §3.9.2's taming: how far an error in the past excitation can have grown by long-term prediction.
#[derive(Clone, Debug)]
pub struct Taming([i32; 4]);

/// What an error is after this subframe, in Q14, relative to one bit.
const ONE: i32 = 0x4000;
const THRESHOLD: i32 = 983_040_000;

impl Default for Taming {
    fn default() -> Taming {
        Taming([ONE; 4])
    }
}

impl Taming {
    fn zones(&self, from: i16, to: i16) -> &[i32] {
        let zone = |sample: i16| usize::from(sample.max(0).unsigned_abs()) / SUBFRAME;
        &self.0[zone(from).min(3)..=zone(to).min(3)]
    }

    /// The pitch gain must stay below one.
    pub fn needed(&self, lag: Lag) -> bool {
        let whole = lag.whole + i16::from(lag.thirds > 0);
        self.zones(whole - 50, whole + 8).iter().any(|&error| error > THRESHOLD)
    }

    pub fn update(&mut self, gain: i16, lag: i16) {
        let grown = |error: i32| ONE.saturating_add(shift_left(Double::of(error).times16(gain), 1));
        let worst = if lag < 40 {
            let once = grown(self.0[0]);
            once.max(grown(once))
        } else {
            self.zones(lag - 40, lag - 1).iter().map(|&error| grown(error)).fold(-1, i32::max)
        };
        self.0.rotate_right(1);
        self.0[0] = worst.max(-1);
    }
}
