//! CPU time of each codec for a second of speech, and what that makes in channels for one core:
//! `cargo run --release -p codec --example cost [seconds]`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_truncation)]

use codec::{Decoder, Encoder, FRAME, Kind};
use std::hint::black_box;

fn main() {
    let seconds: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(60);
    let pcm = speech(seconds * 8000);
    println!("{:5} {:>12} {:>12} {:>14}", "codec", "encode µs/s", "decode µs/s", "channels/core");
    for kind in Kind::ALL {
        let mut encoder = Encoder::new(kind);
        let mut coded = Vec::with_capacity(pcm.len());
        let mut out = [0; 100];
        let start = cpu_us();
        for frame in pcm.as_chunks::<FRAME>().0 {
            let bytes = encoder.encode(black_box(frame), &mut out);
            coded.extend_from_slice(&out[..bytes]);
        }
        let encode = (cpu_us() - start) / seconds as f64;
        let mut decoder = Decoder::new(kind);
        let start = cpu_us();
        for payload in coded.chunks(2 * kind.frame_bytes()) {
            decoder.decode(black_box(payload), &mut |samples| {
                black_box(samples);
            });
        }
        let decode = (cpu_us() - start) / seconds as f64;
        println!("{:5} {encode:12.0} {decode:12.0} {:14.0}", kind.name(), 1e6 / (encode + decode));
    }
}

/// CPU time of this thread, which does not run while others do.
fn cpu_us() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1000.0
}

/// The ITU's speech when it is there, else a buzz.
fn speech(samples: usize) -> Vec<i16> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/g729/SPEECH.IN");
    match std::fs::read(path) {
        Ok(bytes) => {
            let words = bytes.as_chunks::<2>().0.iter().map(|&b| i16::from_le_bytes(b));
            words.cycle().take(samples).collect()
        }
        Err(_) => (0..samples).map(|n| ((n * n / 97 % 4000) as i16 - 2000) * 4).collect(),
    }
}
