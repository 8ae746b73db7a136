//! One face for all codecs: payloads of any length to samples, frames of 10 ms to bytes.

use crate::conceal::Concealer;
use crate::{g711, g722, g729};
use serde::{Deserialize, Serialize};

/// Samples of 10 ms, the step in which everything here goes.
pub const FRAME: usize = 80;

/// A codec that we can put speech into and get speech out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Pcmu,
    Pcma,
    G722,
    G729,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Pcmu, Kind::Pcma, Kind::G722, Kind::G729];

    /// The encoding name of RFC 3551 §6.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pcmu => "PCMU",
            Kind::Pcma => "PCMA",
            Kind::G722 => "G722",
            Kind::G729 => "G729",
        }
    }

    /// Its payload type where none is agreed (RFC 3551 §6).
    pub fn static_payload_type(self) -> u8 {
        match self {
            Kind::Pcmu => 0,
            Kind::Pcma => 8,
            Kind::G722 => 9,
            Kind::G729 => 18,
        }
    }

    pub fn from_name(name: &str) -> Option<Kind> {
        // G729A is not a registered name, but some send it.
        let name = if name.eq_ignore_ascii_case("G729A") { "G729" } else { name };
        Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of 10 ms.
    pub fn frame_bytes(self) -> usize {
        match self {
            Kind::Pcmu | Kind::Pcma | Kind::G722 => 80,
            Kind::G729 => g729::BYTES,
        }
    }
}

/// Speech from payloads of one codec.
#[derive(Clone, Debug)]
pub struct Decoder {
    codec: Decoding,
    concealer: Concealer,
    noise: Noise,
}

/// White noise at a level, where the codec itself describes none (RFC 3389).
#[derive(Clone, Copy, Debug)]
struct Noise {
    state: u32,
    /// Peak of evenly spread samples; 0: nothing is known.
    peak: i32,
}

impl Noise {
    fn next(&mut self) -> i16 {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let upper = (self.state >> 16).cast_signed() - 0x8000;
        g729::saturate16((upper * (self.peak >> 1)) >> 14)
    }
}

#[derive(Clone, Debug)]
enum Decoding {
    Pcmu,
    Pcma,
    G722(Box<g722::Decoder>),
    G729(Box<g729::Decoder>),
}

impl Decoder {
    pub fn new(kind: Kind) -> Decoder {
        let codec = match kind {
            Kind::Pcmu => Decoding::Pcmu,
            Kind::Pcma => Decoding::Pcma,
            Kind::G722 => Decoding::G722(Box::default()),
            Kind::G729 => Decoding::G729(Box::default()),
        };
        Decoder { codec, concealer: Concealer::default(), noise: Noise { state: 1, peak: 0 } }
    }

    /// Gives the samples of a payload to `sink`, at most 10 ms at a time. What does not fill a frame of a codec that
    /// has frames is dropped.
    pub fn decode(&mut self, payload: &[u8], sink: &mut dyn FnMut(&[i16])) {
        let Decoding::G729(decoder) = &mut self.codec else {
            return self.decode_samples(payload, sink);
        };
        let (frames, rest) = payload.as_chunks::<{ g729::BYTES }>();
        let mut out = [0; FRAME];
        for frame in frames {
            decoder.decode(Some(&g729::Frame::read(frame)), &mut out);
            sink(&out);
        }
        // RFC 3551 §4.5.6: a comfort noise frame comes last.
        if let &[a, b] = rest {
            decoder.silence(Some(&g729::Sid::read([a, b])), &mut out);
            sink(&out);
        }
    }

    /// Codecs whose every byte is a sample.
    fn decode_samples(&mut self, payload: &[u8], sink: &mut dyn FnMut(&[i16])) {
        let mut out = [0; FRAME];
        for chunk in payload.chunks(FRAME) {
            for (sample, &byte) in out.iter_mut().zip(chunk) {
                *sample = match &mut self.codec {
                    Decoding::Pcmu => g711::ulaw_to_linear(byte),
                    Decoding::Pcma => g711::alaw_to_linear(byte),
                    Decoding::G722(decoder) => decoder.decode_narrow(byte),
                    Decoding::G729(_) => 0,
                };
            }
            let samples = &mut out[..chunk.len()];
            self.concealer.heard(samples);
            sink(samples);
        }
    }

    /// 10 ms were lost.
    pub fn conceal(&mut self, out: &mut [i16; FRAME]) {
        match &mut self.codec {
            Decoding::G729(decoder) => decoder.decode(None, out),
            _ => self.concealer.lost(out),
        }
    }

    /// The far end is silent and sends nothing: its noise goes on, as far as the codec describes it.
    pub fn silence(&mut self, out: &mut [i16; FRAME]) {
        match &mut self.codec {
            Decoding::G729(decoder) => decoder.silence(None, out),
            _ => out.fill_with(|| self.noise.next()),
        }
    }

    /// RFC 3389 §3: the far end's silence is noise of this many dB below overload.
    #[expect(clippy::cast_possible_truncation, reason = "at most 32768 √3")]
    pub fn describe_noise(&mut self, level: u8) {
        self.noise.peak = (32768.0 * 3f32.sqrt() * 10f32.powf(-f32::from(level) / 20.0)) as i32;
    }

    /// After this payload nothing comes until the far end speaks again.
    pub fn announces_silence(&self, payload: &[u8]) -> bool {
        matches!(self.codec, Decoding::G729(_)) && payload.len() % g729::BYTES == g729::SID_BYTES
    }
}

/// Payload bytes from speech.
#[derive(Clone, Debug)]
pub enum Encoder {
    Pcmu,
    Pcma,
    G722(Box<g722::Encoder>),
    G729(Box<g729::Encoder>),
}

impl Encoder {
    pub fn new(kind: Kind) -> Encoder {
        match kind {
            Kind::Pcmu => Encoder::Pcmu,
            Kind::Pcma => Encoder::Pcma,
            Kind::G722 => Encoder::G722(Box::default()),
            Kind::G729 => Encoder::G729(Box::default()),
        }
    }

    /// Writes 10 ms to the front of `out` and says how many bytes they are; none when `out` is too short.
    pub fn encode(&mut self, pcm: &[i16; FRAME], out: &mut [u8]) -> usize {
        if let Encoder::G729(encoder) = self {
            let Some(out) = out.first_chunk_mut::<{ g729::BYTES }>() else { return 0 };
            *out = encoder.encode(pcm).write();
            return g729::BYTES;
        }
        let Some(out) = out.first_chunk_mut::<FRAME>() else { return 0 };
        for (byte, &sample) in out.iter_mut().zip(pcm) {
            *byte = match self {
                Encoder::Pcmu => g711::linear_to_ulaw(sample),
                Encoder::Pcma => g711::linear_to_alaw(sample),
                Encoder::G722(encoder) => encoder.encode_narrow(sample),
                Encoder::G729(_) => 0,
            };
        }
        FRAME
    }
}
