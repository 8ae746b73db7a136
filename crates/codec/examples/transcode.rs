//! Raw 16-bit samples to coded bytes and back, for comparing with other programs:
//! `transcode encode|decode pcma|pcmu|g722|g729 <in >out`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use codec::{g711, g722};
use std::io::{Read, Write};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).unwrap();
    let samples = || input.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect::<Vec<_>>();
    let bytes = |s: Vec<i16>| s.into_iter().flat_map(i16::to_le_bytes).collect::<Vec<u8>>();
    let out: Vec<u8> = match (args[1].as_str(), args[2].as_str()) {
        ("encode", "pcma") => samples().into_iter().map(g711::linear_to_alaw).collect(),
        ("encode", "pcmu") => samples().into_iter().map(g711::linear_to_ulaw).collect(),
        ("decode", "pcma") => bytes(input.iter().map(|&b| g711::alaw_to_linear(b)).collect()),
        ("decode", "pcmu") => bytes(input.iter().map(|&b| g711::ulaw_to_linear(b)).collect()),
        ("encode", "g722") => {
            let mut encoder = g722::Encoder::default();
            samples().as_chunks::<2>().0.iter().map(|&pair| encoder.encode_pair(pair)).collect()
        }
        ("decode", "g722") => {
            let mut decoder = g722::Decoder::default();
            bytes(input.iter().flat_map(|&b| decoder.decode_byte(b)).collect())
        }
        // Each frame behind a byte that says how long it is; 0 is silence that goes on.
        ("decode", "g729") => {
            let mut decoder = codec::Decoder::new(codec::Kind::G729);
            let (mut out, mut rest) = (Vec::new(), input.as_slice());
            while let Some((&length, tail)) = rest.split_first() {
                let (frame, tail) = tail.split_at(usize::from(length));
                rest = tail;
                if frame.is_empty() {
                    let mut silence = [0; codec::FRAME];
                    decoder.silence(&mut silence);
                    out.extend(silence);
                } else {
                    decoder.decode(frame, &mut |samples| out.extend_from_slice(samples));
                }
            }
            bytes(out)
        }
        _ => panic!("what?"),
    };
    std::io::stdout().write_all(&out).unwrap();
}
