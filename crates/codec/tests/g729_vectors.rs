//! The ITU's vectors of Annex A, byte for byte. They are not ours to ship: without the folder this says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use codec::g729::{BYTES, Decoder, Encoder, FRAME, Frame};
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("TANDEM_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let folder = shared.join("data/g729");
    if !folder.is_dir() {
        println!("skipped: no vectors at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn words(path: PathBuf) -> Vec<i16> {
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    bytes.as_chunks::<2>().0.iter().map(|&b| i16::from_le_bytes(b)).collect()
}

/// A frame is 0x6b21, 80, and a word for each bit: 0x7f is 0, 0x81 is 1, 0 is lost.
fn frames(serial: &[i16]) -> Vec<Option<Frame>> {
    let read = |words: &[i16]| {
        let mut bytes = [0u8; BYTES];
        for (n, &bit) in words[2..].iter().enumerate() {
            match bit {
                0 => return None,
                0x81 => bytes[n / 8] |= 0x80 >> (n % 8),
                _ => {}
            }
        }
        Some(Frame::read(&bytes))
    };
    serial.chunks_exact(82).map(read).collect()
}

fn compare(name: &str, step: usize, got: &[i16], want: &[i16]) -> Result<(), String> {
    if let Some(n) = got.iter().zip(want).position(|(a, b)| a != b) {
        let equal = got.iter().zip(want).filter(|(a, b)| a == b).count();
        return Err(format!(
            "{name}: first difference at {n} (frame {}, +{}), {equal} of {} equal",
            n / step,
            n % step,
            want.len()
        ));
    }
    if got.len() != want.len() {
        return Err(format!("{name}: {} instead of {}", got.len(), want.len()));
    }
    Ok(())
}

const DECODED: [(&str, &str); 10] = [
    ("ALGTHM", "PST"),
    ("ERASURE", "PST"),
    ("FIXED", "PST"),
    ("LSP", "PST"),
    ("OVERFLOW", "PST"),
    ("PARITY", "PST"),
    ("PITCH", "PST"),
    ("SPEECH", "PST"),
    ("TAME", "PST"),
    ("TEST", "pst"),
];

#[test]
fn decodes_every_vector() {
    let Some(folder) = folder() else { return };
    let mut failures = Vec::new();
    for (name, extension) in DECODED {
        let mut decoder = Decoder::default();
        let mut got = Vec::new();
        for frame in frames(&words(folder.join(format!("{name}.BIT")))) {
            let mut out = [0; FRAME];
            decoder.decode(frame.as_ref(), &mut out);
            got.extend(out);
        }
        let want = words(folder.join(format!("{name}.{extension}")));
        failures.extend(compare(name, FRAME, &got, &want).err());
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

const ENCODED: [&str; 7] = ["ALGTHM", "FIXED", "LSP", "PITCH", "SPEECH", "TAME", "TEST"];

#[test]
fn encodes_every_vector() {
    let Some(folder) = folder() else { return };
    let mut failures = Vec::new();
    for name in ENCODED {
        let mut encoder = Encoder::default();
        let pcm = words(folder.join(format!("{name}.IN")));
        // A rest that does not fill a frame is not coded.
        let got: Vec<i16> = pcm
            .as_chunks::<FRAME>()
            .0
            .iter()
            .flat_map(|pcm| encoder.encode(pcm).write())
            .map(i16::from)
            .collect();
        let want = frames(&words(folder.join(format!("{name}.BIT"))));
        let want: Vec<i16> = want.iter().flat_map(|f| f.as_ref().unwrap().write()).map(i16::from).collect();
        failures.extend(compare(name, BYTES, &got, &want).err());
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
