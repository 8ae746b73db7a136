//! The encoder's search for four pulses (§A.3.8): depth first, two at a time.

use super::SUBFRAME;
use super::excitation::PulseCode;
use super::filter::sharpen;
use super::fixed::{energy_saturated, high, long_mult, low, mac, msu, mult, norm, round, saturate16};
use super::pitch_search::backward;

/// Places of a track: every fifth.
const STEP: usize = 5;

/// What the search works on: |correlation| of each place with the target, its sign, and the energies of pairs of
/// places with the signs worked in.
struct Field {
    correlation: [i16; SUBFRAME],
    positive: [bool; SUBFRAME],
    energy: [[i16; SUBFRAME]; SUBFRAME],
}

/// A choice of pulses so far: sum of correlations, its square, the energy, and the places.
#[derive(Clone, Copy)]
struct Choice<const N: usize> {
    sum: i16,
    square: i16,
    energy: i16,
    places: [usize; N],
}

impl<const N: usize> Choice<N> {
    fn none() -> Choice<N> {
        Choice { sum: 0, square: -1, energy: 1, places: [0; N] }
    }

    /// square / energy is greater than the other's.
    fn beats(&self, other: &Choice<N>) -> bool {
        msu(long_mult(other.energy, self.square), other.square, self.energy) > 0
    }
}

fn track(number: usize) -> impl Iterator<Item = usize> {
    (number..SUBFRAME).step_by(STEP)
}

const HALF: i16 = 16384;
const QUARTER: i16 = 8192;
const EIGHTH: i16 = 4096;
const SIXTEENTH: i16 = 2048;

impl Field {
    fn new(response: &[i16; SUBFRAME], correlation: [i16; SUBFRAME]) -> Field {
        let positive = correlation.map(|c| c >= 0);
        let mut field = Field {
            correlation: correlation.map(i16::saturating_abs),
            positive,
            energy: [[0; SUBFRAME]; SUBFRAME],
        };
        let scaled = scale(response);
        // Signs of the places from the last to the first; the energy of the response fits, so sums do too.
        let signs: [i16; SUBFRAME] =
            std::array::from_fn(|n| if positive[SUBFRAME - 1 - n] { i16::MAX } else { i16::MIN });
        let mut sums = [0i32; SUBFRAME];
        for n in 0..SUBFRAME {
            let late = SUBFRAME - 1 - n;
            let row = &mut field.energy[late];
            let flip = if positive[late] { 0 } else { -1 };
            let places = scaled[n..].iter().zip(&signs[n..]).zip(&mut row[n..]);
            for (sum, ((&h, &sign), energy)) in sums.iter_mut().zip(places) {
                *sum += 2 * i32::from(scaled[n]) * i32::from(h);
                // × 1 or −1 as fractions, which is not quite the same as a sign.
                *energy = saturate16(((*sum >> 16) * i32::from(sign ^ flip)) >> 15);
            }
            row[n] = high(sums[0]);
        }
        field
    }

    /// Of a pair of places, or of one; kept by the later place, and by the earlier one from the end.
    #[inline]
    fn energy(&self, a: usize, b: usize) -> i16 {
        self.energy[a.max(b)][SUBFRAME - 1 - a.min(b)]
    }

    /// The two best-looking places of a track with all of another.
    fn first_pair(&self, few: usize, all: usize) -> Choice<2> {
        let mut best = Choice::none();
        let mut before = SUBFRAME;
        for _ in 0..2 {
            let mut peak = (-1, 0);
            for place in track(few).filter(|&p| p != before) {
                if self.correlation[place] > peak.0 {
                    peak = (self.correlation[place], place);
                }
            }
            let a = peak.1;
            before = a;
            let own = long_mult(self.energy(a, a), QUARTER);
            for b in track(all) {
                let sum = peak.0.saturating_add(self.correlation[b]);
                let energy = mac(mac(own, self.energy(b, b), QUARTER), self.energy(a, b), HALF);
                let choice = Choice { sum, square: mult(sum, sum), energy: round(energy), places: [a, b] };
                if choice.beats(&best) {
                    best = choice;
                }
            }
        }
        best
    }

    /// All places of two more tracks with a pair that is settled.
    fn second_pair(&self, first: &Choice<2>, outer: usize, inner: usize) -> Choice<4> {
        let [a, b] = first.places;
        let own = long_mult(first.energy, QUARTER);
        let with_first: [i16; SUBFRAME / STEP] = std::array::from_fn(|n| {
            let d = inner + n * STEP;
            let sum = long_mult(self.energy(d, d), EIGHTH);
            round(mac(mac(sum, self.energy(a, d), QUARTER), self.energy(b, d), QUARTER))
        });
        let mut best = Choice::none();
        for c in track(outer) {
            let sum = first.sum.saturating_add(self.correlation[c]);
            let energy = mac(own, self.energy(c, c), SIXTEENTH);
            let energy = mac(mac(energy, self.energy(a, c), EIGHTH), self.energy(b, c), EIGHTH);
            for (d, with) in track(inner).zip(with_first) {
                let sum = sum.saturating_add(self.correlation[d]);
                let energy = mac(mac(energy, self.energy(c, d), EIGHTH), with, HALF);
                let choice =
                    Choice { sum, square: mult(sum, sum), energy: round(energy), places: [a, b, c, d] };
                if choice.beats(&best) {
                    best = choice;
                }
            }
        }
        best
    }

    /// The best of four walks: twice for each of the two tracks of the last pulse. In the order of tracks.
    fn search(&self) -> [usize; 4] {
        let mut best = Choice::none();
        let mut places = [0, 1, 2, 3];
        for last in 3..5 {
            let choice = self.second_pair(&self.first_pair(2, last), 0, 1);
            if choice.beats(&best) {
                let [i2, i3, i0, i1] = choice.places;
                (best, places) = (choice, [i0, i1, i2, i3]);
            }
            let choice = self.second_pair(&self.first_pair(last, 0), 1, 2);
            if choice.beats(&best) {
                let [i3, i0, i1, i2] = choice.places;
                (best, places) = (choice, [i0, i1, i2, i3]);
            }
        }
        places
    }
}

/// The response with as many bits as its energy allows.
fn scale(response: &[i16; SUBFRAME]) -> [i16; SUBFRAME] {
    let energy = energy_saturated(0, response);
    if high(energy) > 32000 {
        return response.map(|h| h >> 1);
    }
    let shift = norm(energy) >> 1;
    response.map(|h| low(i32::from(h) << shift))
}

/// The pulses that come nearest to the target, and what they sound like through the filter.
pub fn search(
    target: &[i16; SUBFRAME],
    response: &[i16; SUBFRAME],
    lag: usize,
    sharpness: i16,
) -> (PulseCode, [i16; SUBFRAME]) {
    let mut response = *response;
    sharpen(&mut response, lag, sharpness);
    let field = Field::new(&response, backward(target, &response));
    let places = field.search();
    let mut filtered = [0i16; SUBFRAME];
    let mut code = PulseCode::default();
    for (n, place) in places.into_iter().enumerate() {
        let positive = field.positive[place];
        code.signs |= u8::from(positive) << n;
        for (y, &h) in filtered[place..].iter_mut().zip(&response) {
            *y = if positive { y.saturating_add(h) } else { y.saturating_sub(h) };
        }
    }
    code.positions = PulseCode::positions_of(places);
    (code, filtered)
}
