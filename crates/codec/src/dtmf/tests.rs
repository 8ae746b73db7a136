use super::*;

/// Peak of a tone of this level in dBm0.
fn peak(level: f64) -> f64 {
    22_826.0 * 10f64.powf(level / 20.0)
}

/// Even noise from −1 to 1.
struct Random(u32);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0 >> 8) / 8_388_608.0 - 1.0
    }
}

#[derive(Clone, Copy)]
struct Press {
    digit: u8,
    ms: f64,
    /// Deviation of both frequencies.
    off: f64,
    row: f64,
    column: f64,
    /// Level of noise in dBm0.
    noise: f64,
    /// A hole in the middle, ms.
    hole: f64,
    /// Samples by which it is shifted against the windows.
    shift: usize,
}

const PLAIN: Press =
    Press { digit: 5, ms: 50.0, off: 0.0, row: -9.0, column: -7.0, noise: -90.0, hole: 0.0, shift: 0 };

fn place(digit: u8) -> (usize, usize) {
    (0..16).map(|n| (n / 4, n % 4)).find(|&(r, c)| PAD[r][c] == digit).unwrap()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn sound(p: Press) -> Vec<i16> {
    let (row, column) = place(p.digit);
    let (low, high) = (f64::from(TONES[row]) * (1.0 + p.off), f64::from(TONES[column + 4]) * (1.0 + p.off));
    let mut random = Random(u32::from(p.digit) + p.shift as u32);
    let length = (p.ms * 8.0) as usize;
    let hole = (p.hole * 8.0) as usize;
    let sample = |n: usize| {
        let at = n.checked_sub(400 + p.shift).filter(|at| *at < length);
        let at = at.filter(|at| at.abs_diff(length / 2) * 2 >= hole.max(1) || hole == 0);
        let tones = at.map_or(0.0, |at| {
            let t = at as f64 * std::f64::consts::TAU / 8000.0;
            peak(p.row) * (t * low).sin() + peak(p.column) * (t * high).sin()
        });
        // Even noise has a third of the power of its peak.
        (tones + random.next() * peak(p.noise) / 2f64.sqrt() * 3f64.sqrt()).clamp(-32768.0, 32767.0) as i16
    };
    (0..1600 + length).map(sample).collect()
}

fn heard(pcm: &[i16]) -> Vec<Heard> {
    let mut events = Vec::new();
    Detector::default().hear(pcm, &mut |event| events.push(event));
    events
}

/// How many of the sixteen digits, each at eight places against the windows, are heard right and once.
fn share(press: Press) -> (usize, usize) {
    let (mut right, mut wrong) = (0, 0);
    for digit in 0..16 {
        for shift in (0..40).step_by(5) {
            let events = heard(&sound(Press { digit, shift, ..press }));
            let pressed: Vec<_> = events.iter().filter(|e| matches!(e, Heard::Pressed(_))).collect();
            match pressed.as_slice() {
                [] => {}
                [Heard::Pressed(d)] if *d == digit => right += 1,
                _ => wrong += 1,
            }
        }
    }
    (right, wrong)
}

const ALL: usize = 16 * 8;

#[test]
fn what_q24_wants_taken_is_taken() {
    for (name, press) in [
        ("plain", PLAIN),
        ("40 ms", Press { ms: 40.0, ..PLAIN }),
        ("long", Press { ms: 900.0, ..PLAIN }),
        ("1.5 % high", Press { off: 0.015, ..PLAIN }),
        ("1.5 % low", Press { off: -0.015, ..PLAIN }),
        ("1.5 % high, 40 ms", Press { off: 0.015, ms: 40.0, ..PLAIN }),
        ("loud", Press { row: 0.0, column: 0.0, ..PLAIN }),
        ("faint", Press { row: -25.0, column: -25.0, ..PLAIN }),
        ("high 4 dB louder", Press { row: -14.0, column: -10.0, ..PLAIN }),
        ("low 8 dB louder", Press { row: -8.0, column: -16.0, ..PLAIN }),
        ("low 8 dB louder, 1.5 % off", Press { row: -8.0, column: -16.0, off: -0.015, ..PLAIN }),
        ("noise 15 dB below", Press { noise: -22.0, ..PLAIN }),
        ("interrupted for 10 ms", Press { ms: 120.0, hole: 10.0, ..PLAIN }),
    ] {
        assert_eq!(share(press), (ALL, 0), "{name}");
    }
}

#[test]
fn what_q24_wants_left_is_left() {
    for (name, press) in [
        ("23 ms", Press { ms: 23.0, ..PLAIN }),
        ("3.5 % high", Press { off: 0.035, ms: 200.0, ..PLAIN }),
        ("3.5 % low", Press { off: -0.035, ms: 200.0, ..PLAIN }),
        ("too faint", Press { row: -40.0, column: -40.0, ..PLAIN }),
        ("high far louder", Press { row: -22.0, column: -10.0, ..PLAIN }),
        ("low far louder", Press { row: -8.0, column: -22.0, ..PLAIN }),
    ] {
        assert_eq!(share(press), (0, 0), "{name}");
    }
}

#[test]
fn lengths_are_told() {
    for ms in [40.0, 60.0, 100.0, 257.0, 1000.0] {
        for shift in [0, 13, 27] {
            let events = heard(&sound(Press { ms, shift, ..PLAIN }));
            let [Heard::Pressed(5), Heard::Released(5, samples)] = events.as_slice() else {
                panic!("{events:?}")
            };
            let off = f64::from(*samples) / 8.0 - ms;
            assert!(off.abs() < 9.0, "{ms} ms are heard as {off:+} ms");
        }
    }
}

/// A row of digits, and the same one twice, with the shortest pause.
#[test]
fn digits_in_a_row() {
    let mut pcm = Vec::new();
    for digit in [1, 1, 2, 15, 0, 0] {
        let one = sound(Press { digit, ms: 40.0, ..PLAIN });
        pcm.extend_from_slice(&one[400..400 + 320 + 320]);
    }
    let digits: Vec<u8> =
        heard(&pcm).iter().filter_map(|e| if let Heard::Pressed(d) = e { Some(*d) } else { None }).collect();
    assert_eq!(digits, [1, 1, 2, 15, 0, 0]);
}

/// Voices with gliding pitch and wandering formants, a minute of each of some speakers: nobody presses a key.
#[test]
#[expect(clippy::cast_possible_truncation)]
fn speech_presses_no_keys() {
    for speaker in 0..6u32 {
        let mut random = Random(speaker * 77 + 5);
        let base = 90.0 + 30.0 * f64::from(speaker);
        let (mut pitch, mut phase) = (base, 0.0);
        let mut formants = [(600.0, 0.0, 0.0), (1300.0, 0.0, 0.0), (2500.0, 0.0, 0.0)];
        let mut targets = [600.0, 1300.0, 2500.0];
        let mut pcm = Vec::with_capacity(480_000);
        for n in 0..480_000u32 {
            if n % 1200 == 0 {
                targets = [
                    550.0 + 300.0 * random.next(),
                    1450.0 + 600.0 * random.next(),
                    2600.0 + 500.0 * random.next(),
                ];
                pitch = base * (1.0 + 0.3 * random.next());
            }
            phase += pitch / 8000.0;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= pulse;
            let mut value = pulse * 2600.0 + random.next() * 20.0;
            for ((frequency, last, before), target) in formants.iter_mut().zip(targets) {
                *frequency += (target - *frequency) * 0.001;
                let radius = 0.985f64;
                let step = std::f64::consts::TAU * *frequency / 8000.0;
                let next = value + 2.0 * radius * step.cos() * *last - radius * radius * *before;
                (*before, *last) = (*last, next);
                value = next * 0.35;
            }
            let syllable = (f64::from(n) / 1900.0).sin().max(0.0);
            pcm.push((value * syllable).clamp(-32768.0, 32767.0) as i16);
        }
        assert_eq!(heard(&pcm), [], "speaker {speaker}");
    }
}

/// Dial and busy tones, two tones that are no digit, noise.
#[test]
#[expect(clippy::cast_possible_truncation)]
fn other_tones_are_no_digits() {
    for tones in
        [[350.0, 440.0], [425.0, 425.0], [480.0, 620.0], [697.0, 770.0], [1209.0, 1336.0], [1100.0, 2100.0]]
    {
        let sample = |n: u32| {
            let t = f64::from(n) * std::f64::consts::TAU / 8000.0;
            (tones.iter().map(|f| 8000.0 * (t * f).sin()).sum::<f64>()) as i16
        };
        assert_eq!(heard(&(0..16_000).map(sample).collect::<Vec<_>>()), [], "{tones:?}");
    }
    let mut random = Random(3);
    let noise: Vec<i16> = (0..800_000).map(|_| (random.next() * 12_000.0) as i16).collect();
    assert_eq!(heard(&noise), []);
}
