//! The excitation: past excitation at the pitch lag (§3.7.1) plus four pulses (§3.8).

use super::filter::sharpen;
use super::fixed::{long_mult, mac, plain_dot, round, shift_left};
use super::tables::INTERPOLATION;
use super::{FRAME, SUBFRAME};

/// Shortest and longest pitch lag, in samples.
pub const LAG_MIN: i16 = 20;
pub const LAG_MAX: i16 = 143;
/// Taps of the interpolation to one side, and their distance in the table: thirds of a sample.
const TAPS: usize = 10;
const THIRDS: usize = 3;
/// Past excitation that the longest lag and the filter reach.
pub const PAST: usize = 143 + TAPS + 1;

/// A pitch lag: whole samples and thirds, −1 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    pub whole: i16,
    pub thirds: i16,
}

impl Lag {
    /// Thirds reach to 19 1/3 and to 143 2/3, which is a third below 144.
    pub fn samples(self) -> usize {
        usize::from(self.whole.clamp(LAG_MIN - 1, LAG_MAX + 1).unsigned_abs())
    }
}

/// Past and present excitation.
#[derive(Clone, Debug)]
pub struct Excitation {
    pub line: [i16; PAST + FRAME],
}

impl Default for Excitation {
    fn default() -> Excitation {
        Excitation { line: [0; PAST + FRAME] }
    }
}

impl Excitation {
    /// The subframe that begins at `start` of this frame.
    pub fn subframe(&mut self, start: usize) -> &mut [i16; SUBFRAME] {
        let (chunks, _) = self.line[PAST + start..].as_chunks_mut();
        &mut chunks[0]
    }

    /// Eq. (40): the past at the lag, interpolated. A lag below a subframe reads what this call has just written.
    pub fn adapt(&mut self, start: usize, lag: Lag) {
        let origin = PAST + start - lag.samples();
        // A third later in the past is a third less of lag.
        let (origin, phase) = match lag.thirds {
            0 => (origin, 0),
            1 => (origin - 1, 2),
            _ => (origin, 1),
        };
        let taps: [i16; 2 * TAPS] = std::array::from_fn(|k| match k.checked_sub(TAPS) {
            Some(after) => INTERPOLATION[THIRDS - phase + after * THIRDS],
            None => INTERPOLATION[phase + (TAPS - 1 - k) * THIRDS],
        });
        for n in 0..SUBFRAME {
            let at = origin + n;
            let Some(window) = self.line[at + 1 - TAPS..].first_chunk::<{ 2 * TAPS }>() else { return };
            self.line[PAST + start + n] = round(interpolated(window, &taps));
        }
    }

    /// The subframe that lies `lag` samples before the one at `start`.
    pub fn ago(&self, start: usize, lag: i16) -> &[i16] {
        let from = PAST + start - usize::from(lag.clamp(LAG_MIN, LAG_MAX).unsigned_abs());
        &self.line[from..from + SUBFRAME]
    }

    /// Eq. (75): both parts by their gains, Q14 and Q1.
    pub fn mix(&mut self, start: usize, code: &[i16; SUBFRAME], pitch_gain: i16, code_gain: i16) {
        for (e, &c) in self.subframe(start).iter_mut().zip(code) {
            let sum = mac(long_mult(*e, pitch_gain), c, code_gain);
            *e = round(shift_left(sum, 1));
        }
    }

    pub fn next_frame(&mut self) {
        self.line.copy_within(FRAME.., 0);
    }

    /// §4.1.6 of the Annex's software: an excitation that overflows the synthesis is taken down by 12 dB.
    pub fn quieten(&mut self) {
        for e in &mut self.line {
            *e >>= 2;
        }
    }
}

/// The magnitudes of one phase's taps add up to less than this.
const TAPS_SUM: i32 = 60_000;
/// Samples up to here cannot make a sum saturate.
const CALM: i16 = 17_800;
const _: () = assert!(2 * CALM as i64 * TAPS_SUM as i64 <= i32::MAX as i64);

#[inline]
fn interpolated(window: &[i16; 2 * TAPS], taps: &[i16; 2 * TAPS]) -> i32 {
    let peak = window.iter().fold(0, |peak: i16, &x| peak.max(x.saturating_abs()));
    if peak <= CALM {
        return plain_dot(window, taps);
    }
    // From the middle outward, as the Recommendation's sum runs: it may saturate on the way.
    (0..TAPS).fold(0, |sum, k| {
        let sum = mac(sum, window[TAPS - 1 - k], taps[TAPS - 1 - k]);
        mac(sum, window[TAPS + k], taps[TAPS + k])
    })
}

/// Pulses of §3.8 on the wire: 13 bits of positions, 4 of signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PulseCode {
    pub positions: u16,
    pub signs: u8,
}

/// Pulse heights, Q13.
const PLUS: i16 = 8191;
const MINUS: i16 = -8192;

impl PulseCode {
    pub fn places(self) -> [usize; 4] {
        let part = |shift: u16| usize::from(self.positions >> shift & 7);
        let track = usize::from(self.positions >> 9 & 1);
        [5 * part(0), 5 * part(3) + 1, 5 * part(6) + 2, 5 * part(10) + 3 + track]
    }

    /// The code vector, with the pitch of lags below a subframe in it.
    pub fn vector(self, lag: usize, sharpness: i16) -> [i16; SUBFRAME] {
        let mut code = [0; SUBFRAME];
        for (n, place) in self.places().into_iter().enumerate() {
            code[place] = if self.signs >> n & 1 == 1 { PLUS } else { MINUS };
        }
        sharpen(&mut code, lag, sharpness);
        code
    }
}

impl PulseCode {
    /// The inverse of `places`.
    pub fn positions_of(places: [usize; 4]) -> u16 {
        let [a, b, c, d] = places.map(|place| u16::try_from(place / 5).unwrap_or(0));
        let second_track = u16::from(places[3] % 5 == 4);
        a | b << 3 | c << 6 | second_track << 9 | d << 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taps_are_as_small_as_they_are_taken_to_be() {
        for phase in 0..THIRDS {
            let taps = (0..TAPS).flat_map(|k| [phase + k * THIRDS, THIRDS - phase + k * THIRDS]);
            let sum: i32 = taps.map(|at| i32::from(INTERPOLATION[at]).abs()).sum();
            assert!(sum <= TAPS_SUM, "{phase}: {sum}");
        }
    }

    #[test]
    fn every_place_has_its_code() {
        for positions in 0..1 << 13 {
            let code = PulseCode { positions, signs: 0 };
            assert_eq!(PulseCode::positions_of(code.places()), positions);
        }
    }
}
