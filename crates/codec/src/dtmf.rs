//! Hears DTMF digits in speech (Q.23, with the limits of Q.24).
//!
//! Every 5 ms the last 20 ms are compared with the eight tones. A window counts when one row and one column stand out,
//! are of like loudness (twist), hold nearly all of the sound, and are at the right frequency: how far the phase of a
//! tone turns from one window to the next tells its frequency far more finely than its strength does. Speech has such
//! moments too, but not for as long as the shortest digit.

use std::sync::LazyLock;

const WINDOW: usize = 160;
const HOP: usize = 40;
const TONES: [f32; 8] = [697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0];
/// Events of RFC 4733 §3.2 by row and column.
const PAD: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];
/// Weakest tone: −31 dBm0, where the peak of 0 dBm0 is 22,826 and a tone of peak 1 has the power (N/4)².
const WEAKEST: f32 = 643.0 * 643.0 * 1600.0;
/// Column over row, row over column, as power: 6 dB and 9.5 dB. Q.24 wants at least 4 and 8.
const HIGH_TWIST: f32 = 3.98;
const LOW_TWIST: f32 = 8.91;
/// Share of the two tones in all that is heard.
const PURITY: f32 = 0.72;
/// Farthest from the right frequency: 1.5 % must be taken, 3.5 % must not.
const OFF_FREQUENCY: f32 = 0.025;
/// Windows of full loudness that make a digit: 40 ms have seven, 23 ms have four.
const ENOUGH: usize = 6;
/// Windows remembered until then.
const RUN: usize = 16;
/// Windows without the digit that end it: an interruption of 10 ms does not, a pause of 40 ms does.
const PAUSE: u32 = 6;
/// A window reaches half its power when so much of it is in the tone; so the tone began as long before its end …
const ATTACK: u64 = 96;
/// … and ended as long before the end of the last one.
const RELEASE: u64 = 64;

static HANN: LazyLock<[f32; WINDOW]> = LazyLock::new(|| {
    let mut window = [0.0; WINDOW];
    for (n, w) in (0u16..).zip(&mut window) {
        *w = 0.5 - 0.5 * (std::f32::consts::TAU * (f32::from(n) + 0.5) / 160.0).cos();
    }
    window
});

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Pressed(u8),
    /// The digit and its length in samples.
    Released(u8, u32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Complex {
    re: f32,
    im: f32,
}

impl Complex {
    fn power(self) -> f32 {
        self.re * self.re + self.im * self.im
    }

    /// The angle from `before` to this.
    fn turn(self, before: Complex) -> f32 {
        let re = self.re * before.re + self.im * before.im;
        let im = self.im * before.re - self.re * before.im;
        im.atan2(re)
    }
}

/// A digit that is or may be sounding.
#[derive(Clone, Copy, Debug)]
struct Current {
    digit: u8,
    /// Power of its windows until it was told.
    run: [f32; RUN],
    length: usize,
    loudest: f32,
    told: bool,
    began: u64,
    /// End of the last window that held it.
    last: u64,
    missing: u32,
}

#[derive(Clone, Debug)]
pub struct Detector {
    recent: [f32; WINDOW],
    pending: usize,
    /// Samples heard.
    count: u64,
    before: [Complex; 8],
    current: Option<Current>,
}

impl Default for Detector {
    fn default() -> Detector {
        Detector {
            recent: [0.0; WINDOW],
            pending: 0,
            count: 0,
            before: [Complex::default(); 8],
            current: None,
        }
    }
}

impl Detector {
    /// Takes in samples and tells what begins and ends in them.
    pub fn hear(&mut self, pcm: &[i16], sink: &mut dyn FnMut(Heard)) {
        for &sample in pcm {
            let place = WINDOW - HOP + self.pending;
            if let Some(slot) = self.recent.get_mut(place) {
                *slot = f32::from(sample);
            }
            self.pending += 1;
            self.count += 1;
            if self.pending == HOP {
                self.pending = 0;
                self.look(sink);
                self.recent.copy_within(HOP.., 0);
            }
        }
    }

    /// A tone sounds that is a digit, or is about to become one: speech is to be muted.
    pub fn is_sounding(&self) -> bool {
        self.current.is_some_and(|c| c.missing < PAUSE && (c.told || c.length >= 3))
    }

    fn look(&mut self, sink: &mut dyn FnMut(Heard)) {
        let found = self.window();
        if let Some(mut current) = self.current {
            match found {
                Some((digit, power)) if digit == current.digit && power * 4.0 > current.loudest => {
                    current.go_on(self.count, power, sink);
                    self.current = Some(current);
                    return;
                }
                _ => current.missing += 1,
            }
            let over = current.missing >= PAUSE || !current.told;
            self.current = (!over).then_some(current);
            if !over {
                return;
            }
            if current.told {
                let end = current.last.saturating_sub(RELEASE);
                let length = u32::try_from(end.saturating_sub(current.began)).unwrap_or(u32::MAX);
                sink(Heard::Released(current.digit, length));
            }
        }
        self.current = found.map(|(digit, power)| Current::new(digit, power, self.count));
    }

    /// The digit in the last 20 ms, and the power of its louder tone.
    fn window(&mut self) -> Option<(u8, f32)> {
        let mut energy = 0.0;
        let mut shaped = [0.0; WINDOW];
        for ((out, sample), weight) in shaped.iter_mut().zip(&self.recent).zip(HANN.iter()) {
            *out = sample * weight;
            energy += *out * *out;
        }
        // Silence is not looked at.
        if energy < 3.0 * WEAKEST / 160.0 {
            self.before = [Complex::default(); 8];
            return None;
        }
        let tones = TONES.map(|frequency| goertzel(&shaped, frequency));
        let before = std::mem::replace(&mut self.before, tones);
        let (row, row_power) = loudest(&tones[..4])?;
        let (column, column_power) = loudest(&tones[4..])?;
        let (low, high) = (row, column + 4);
        let row_power = row_power / response(&tones, &before, low)?;
        let column_power = column_power / response(&tones, &before, high)?;
        let twisted = column_power > HIGH_TWIST * row_power || row_power > LOW_TWIST * column_power;
        let weak = row_power.min(column_power) < WEAKEST;
        // Σ of a squared Hann window is 3N/8; a tone of power P has the energy 3P/N.
        let pure = 3.0 * (row_power + column_power) / 160.0 >= PURITY * energy;
        if twisted || weak || !pure {
            return None;
        }
        Some((*PAD.get(row)?.get(column)?, row_power.max(column_power)))
    }
}

impl Current {
    fn new(digit: u8, power: f32, now: u64) -> Current {
        let mut run = [0.0; RUN];
        run[0] = power;
        Current { digit, run, length: 1, loudest: power, told: false, began: 0, last: now, missing: 0 }
    }

    fn go_on(&mut self, now: u64, power: f32, sink: &mut dyn FnMut(Heard)) {
        self.missing = 0;
        self.loudest = self.loudest.max(power);
        // Windows that only touch the end of the tone do not lengthen it.
        if power * 2.0 >= self.loudest {
            self.last = now;
        }
        if self.told {
            return;
        }
        if self.length == RUN {
            self.run.copy_within(1.., 0);
            self.length -= 1;
        }
        if let Some(slot) = self.run.get_mut(self.length) {
            *slot = power;
        }
        self.length += 1;
        let full = self.run[..self.length].iter().filter(|p| **p * 2.0 >= self.loudest).count();
        if full >= ENOUGH {
            self.told = true;
            let windows = u64::try_from(full - 1).unwrap_or(0) * 40;
            self.began = now.saturating_sub(windows).saturating_sub(ATTACK);
            sink(Heard::Pressed(self.digit));
        }
    }
}

/// The tone of this frequency at the end of the window (Goertzel's recursion).
fn goertzel(samples: &[f32; WINDOW], frequency: f32) -> Complex {
    let step = std::f32::consts::TAU * frequency / 8000.0;
    let factor = 2.0 * step.cos();
    let (mut last, mut before) = (0.0f32, 0.0f32);
    for sample in samples {
        (last, before) = (factor * last - before + sample, last);
    }
    Complex { re: last - before * step.cos(), im: before * step.sin() }
}

fn loudest(tones: &[Complex]) -> Option<(usize, f32)> {
    let powers = tones.iter().map(|t| t.power()).enumerate();
    powers.max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// How much of the power of a tone the window shows, as far off as it is; `None`: too far off.
fn response(tones: &[Complex; 8], before: &[Complex; 8], index: usize) -> Option<f32> {
    let (frequency, now, before) = (*TONES.get(index)?, *tones.get(index)?, *before.get(index)?);
    let expected = std::f32::consts::TAU * frequency * 40.0 / 8000.0;
    let turn = now.turn(before) - expected;
    let turn = turn - (turn / std::f32::consts::TAU).round() * std::f32::consts::TAU;
    let off = turn * 8000.0 / 40.0 / std::f32::consts::TAU;
    if before.power() == 0.0 || off.abs() > OFF_FREQUENCY * frequency {
        return None;
    }
    // The Hann window's response, in bins of 50 Hz.
    let bins = (off / 50.0).abs().min(0.95);
    let angle = std::f32::consts::PI * bins;
    let amplitude = if bins < 1e-3 { 1.0 } else { angle.sin() / angle / (1.0 - bins * bins) };
    Some(amplitude * amplitude)
}

#[cfg(test)]
mod tests;
