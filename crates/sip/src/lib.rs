//! SIP as a sans-IO endpoint: messages, transactions, dialogs, offers and answers, digest.

pub mod digest;
pub mod framing;
pub mod header;
pub mod message;
pub mod sdp;
mod slab;
pub mod uri;

/// 16 hexadecimal digits.
pub(crate) fn hex_u64(n: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 16];
    for (i, place) in out.iter_mut().enumerate() {
        *place = DIGITS[((n >> (60 - 4 * i)) & 15) as usize];
    }
    out
}
