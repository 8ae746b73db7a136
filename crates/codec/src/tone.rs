//! DTMF tones (Q.23): two sine waves for a digit.

/// Events of RFC 4733 §3.2 that are digits, by number: 0–9, *, #, A–D.
pub const DIGITS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// Row and column of each digit on the pad, and their frequencies.
const PLACES: [(usize, usize); 16] = [
    (3, 1),
    (0, 0),
    (0, 1),
    (0, 2),
    (1, 0),
    (1, 1),
    (1, 2),
    (2, 0),
    (2, 1),
    (2, 2),
    (3, 0),
    (3, 2),
    (0, 3),
    (1, 3),
    (2, 3),
    (3, 3),
];
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// −9 dBm0 and −7 dBm0 as peaks of 16-bit samples, where 3.14 dBm0 is the loudest sine.
const ROW_PEAK: f32 = 8099.0;
const COLUMN_PEAK: f32 = 10196.0;

/// A sine wave by its recursion: sin(n+1) = 2 cos(w) sin(n) − sin(n−1).
#[derive(Clone, Copy, Debug)]
struct Sine {
    factor: f32,
    last: f32,
    before: f32,
}

impl Sine {
    fn new(frequency: f32, peak: f32) -> Sine {
        let step = std::f32::consts::TAU * frequency / 8000.0;
        Sine { factor: 2.0 * step.cos(), last: 0.0, before: -peak * step.sin() }
    }

    fn next(&mut self) -> f32 {
        let now = self.last;
        (self.last, self.before) = (self.factor * now - self.before, now);
        now
    }
}

/// The sound of one digit, from its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Tone {
    row: Sine,
    column: Sine,
}

impl Tone {
    /// `None` for events that are no digits.
    pub fn new(event: u8) -> Option<Tone> {
        let &(row, column) = PLACES.get(usize::from(event))?;
        Some(Tone { row: Sine::new(ROWS[row], ROW_PEAK), column: Sine::new(COLUMNS[column], COLUMN_PEAK) })
    }

    #[expect(clippy::cast_possible_truncation, reason = "two peaks together are below 16 bits")]
    pub fn next_sample(&mut self) -> i16 {
        (self.row.next() + self.column.next()) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power at a frequency, by correlation with it.
    fn power(samples: &[i16], frequency: f32) -> f32 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, &s) in (0u16..).zip(samples) {
            let angle = std::f32::consts::TAU * frequency * f32::from(n) / 8000.0;
            re += f32::from(s) * angle.cos();
            im += f32::from(s) * angle.sin();
        }
        (re * re + im * im).sqrt()
    }

    #[test]
    fn each_digit_has_its_two_tones() {
        for event in 0..16u8 {
            let mut tone = Tone::new(event).unwrap();
            let samples: Vec<i16> = (0..800).map(|_| tone.next_sample()).collect();
            let loudest = |of: &[f32]| {
                (0..4).max_by(|&a, &b| power(&samples, of[a]).total_cmp(&power(&samples, of[b])))
            };
            let (row, column) = PLACES[usize::from(event)];
            assert_eq!((loudest(&ROWS), loudest(&COLUMNS)), (Some(row), Some(column)), "{event}");
        }
        assert!(Tone::new(16).is_none());
    }
}
