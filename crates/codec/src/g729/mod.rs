//! G.729 at 8 kbit/s with the reduced complexity of Annex A: our own implementation of the Recommendation's text,
//! tables and arithmetic; of Annex B the receiving side. Bit-exact with the ITU's test vectors (`tests/g729_vectors.rs`).
//!
//! Section and equation numbers are those of G.729 (03/96) and its Annex A.

mod analysis;
mod decoder;
mod encoder;
mod excitation;
mod filter;
mod fixed;
mod frame;
mod gain;
mod gain_search;
mod lsp;
mod pitch_search;
mod postfilter;
mod pulse_search;
mod tables;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub(crate) use fixed::saturate16;
pub use frame::{BYTES, Frame, SID_BYTES, Sid};

/// Samples of a frame and of each half.
pub const FRAME: usize = 80;
const SUBFRAME: usize = 40;
/// Of the linear prediction.
const ORDER: usize = 10;
/// Bounds of the pitch sharpening, Q14: 0.2 and 0.8.
const SOFTEST: i16 = 3277;
const SHARPEST: i16 = 13017;
