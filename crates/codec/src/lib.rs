//! Speech codecs as pure code: samples in, bytes out, and back. No allocation for a frame, no panic for any input.

pub mod g711;
pub mod g722;
pub mod g729;
