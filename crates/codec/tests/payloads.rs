//! Any payload, any codec (`R-44`), and speech through every pair of codecs.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use codec::{Decoder, Encoder, FRAME, Kind};
use proptest::prelude::*;

fn decoded(decoder: &mut Decoder, payload: &[u8]) -> Vec<i16> {
    let mut pcm = Vec::new();
    decoder.decode(payload, &mut |samples| pcm.extend_from_slice(samples));
    pcm
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_payload_is_its_time_long(payloads in proptest::collection::vec((0u8..4, proptest::collection::vec(any::<u8>(), 0..1500)), 1..6)) {
        for kind in Kind::ALL {
            let (mut decoder, mut encoder) = (Decoder::new(kind), Encoder::new(kind));
            for (action, payload) in &payloads {
                let mut frame = [0; FRAME];
                match action {
                    0 => decoder.conceal(&mut frame),
                    1 => decoder.silence(&mut frame),
                    _ => {
                        let pcm = decoded(&mut decoder, payload);
                        let want = match kind {
                            Kind::G729 => FRAME * (payload.len() / 10 + usize::from(payload.len() % 10 == 2)),
                            _ => payload.len(),
                        };
                        prop_assert_eq!(pcm.len(), want);
                        frame = pcm.first_chunk().copied().unwrap_or(frame);
                    }
                }
                let mut out = [0; 100];
                prop_assert_eq!(encoder.encode(&frame, &mut out), kind.frame_bytes());
                prop_assert_eq!(encoder.encode(&frame, &mut out[..9]), 0);
            }
        }
    }
}

/// A voice-like sound: harmonics of a gliding pitch under a formant, with pauses.
fn voice(samples: usize) -> Vec<i16> {
    let mut phase = 0.0;
    (0..samples)
        .map(|n| {
            let t = n as f64 / 8000.0;
            phase += (110.0 + 30.0 * (t * 3.0).sin()) / 8000.0;
            let sum: f64 = (1..20)
                .map(|k| {
                    let formant = (-((f64::from(k) * 120.0 - 600.0) / 500.0).powi(2)).exp() + 0.05;
                    formant * (phase * std::f64::consts::TAU * f64::from(k)).sin()
                })
                .sum();
            let syllable = (t * 8.0).sin().max(0.0).sqrt();
            (sum * syllable * 4000.0) as i16
        })
        .collect()
}

/// Loudness of each 10 ms in dB.
fn envelope(pcm: &[i16]) -> Vec<f64> {
    let power = |frame: &[i16]| frame.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / FRAME as f64;
    pcm.chunks_exact(FRAME).map(|frame| 10.0 * (power(frame) + 1.0).log10()).collect()
}

#[test]
fn speech_survives_every_pair() {
    let speech = voice(24_000);
    for first in Kind::ALL {
        for second in Kind::ALL {
            let mut pcm = speech.clone();
            for kind in [first, second] {
                let (mut encoder, mut decoder) = (Encoder::new(kind), Decoder::new(kind));
                let mut out = [0; 100];
                pcm = pcm
                    .as_chunks::<FRAME>()
                    .0
                    .iter()
                    .flat_map(|frame| {
                        let bytes = encoder.encode(frame, &mut out);
                        decoded(&mut decoder, &out[..bytes])
                    })
                    .collect();
            }
            let (before, after) = (envelope(&speech), envelope(&pcm));
            // Codecs may be late by one frame each.
            let distance = |lag: usize| {
                let loud = before.iter().zip(&after[lag..]).filter(|(b, _)| **b > 40.0);
                let (sum, count) = loud.fold((0.0, 0.0), |(s, c), (b, a)| (s + (b - a).abs(), c + 1.0));
                sum / count
            };
            let best = (0..3).map(distance).fold(f64::MAX, f64::min);
            let tolerance = if first == Kind::G729 || second == Kind::G729 { 3.5 } else { 1.0 };
            assert!(best < tolerance, "{} to {}: {best:.2} dB apart", first.name(), second.name());
        }
    }
}
