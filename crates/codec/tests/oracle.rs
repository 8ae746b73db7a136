//! Our codecs beside ffmpeg's, byte for byte. Without ffmpeg these tests say so and prove nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_truncation)]

use codec::{g711, g722};
use std::io::Write;
use std::process::{Command, Stdio};

/// Speech-like: three gliding tones under a slow envelope, some noise, full scale now and then.
fn sound(samples: usize) -> Vec<i16> {
    let mut seed = 1u32;
    let mut out = Vec::with_capacity(samples);
    for n in 0..samples {
        let t = n as f64 / 16000.0;
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(seed >> 16) / 32768.0 - 1.0;
        let voice = (t * 900.0 * (1.0 + t.sin() * 0.3)).sin() + (t * 5000.0).sin() + (t * 31000.0).sin();
        let level = 15000.0 * (0.5 + 0.5 * (t * 7.0).sin()).powi(3);
        out.push((level * (voice + noise)).clamp(-32768.0, 32767.0) as i16);
    }
    out
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// What `ffmpeg` makes of `input`; `None` when it is not installed.
fn ffmpeg(arguments: &str, input: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new("ffmpeg")
        .args("-v error -nostdin".split(' '))
        .args(arguments.split(' '))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: ffmpeg is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(out.status.success());
    Some(out.stdout)
}

#[test]
fn g722_is_that_of_ffmpeg_both_ways() {
    let pcm = sound(160_000);
    let mut encoder = g722::Encoder::default();
    let coded: Vec<u8> = pcm.as_chunks::<2>().0.iter().map(|&pair| encoder.encode_pair(pair)).collect();
    let mut decoder = g722::Decoder::default();
    let decoded: Vec<i16> = coded.iter().flat_map(|&byte| decoder.decode_byte(byte)).collect();
    let Some(theirs) = ffmpeg("-f s16le -ar 16000 -ac 1 -i - -f g722", &bytes(&pcm)) else { return };
    assert!(coded == theirs, "encoder");
    let theirs = ffmpeg("-f g722 -i - -f s16le", &coded).unwrap();
    assert!(bytes(&decoded) == theirs, "decoder");
}

#[test]
fn g711_decodes_as_ffmpeg() {
    let codes: Vec<u8> = (0..=255).collect();
    for (format, decode) in
        [("alaw", g711::alaw_to_linear as fn(u8) -> i16), ("mulaw", g711::ulaw_to_linear as fn(u8) -> i16)]
    {
        let ours: Vec<i16> = codes.iter().map(|&c| decode(c)).collect();
        let Some(theirs) = ffmpeg(&format!("-f {format} -ar 8000 -ac 1 -i - -f s16le"), &codes) else {
            return;
        };
        assert_eq!(bytes(&ours), theirs, "{format}");
    }
}
