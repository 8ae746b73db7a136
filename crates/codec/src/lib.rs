//! Speech codecs as pure code: samples in, bytes out, and back. No allocation for a frame, no panic for any input.
//!
//! Telephone speech: everything is 8000 samples a second at the seam between two codecs. G.722 brings and takes its
//! lower band there, which is telephone speech by construction.

mod conceal;
pub mod dtmf;
pub mod g711;
pub mod g722;
pub mod g729;
mod stream;
mod tone;

pub use conceal::Concealer;
pub use stream::{Decoder, Encoder, FRAME, Kind};
pub use tone::{DIGITS, Tone};
