//! SIP as a sans-IO endpoint: messages, transactions, dialogs, offers and answers, digest.

mod body;
mod core;
mod dialog;
pub mod digest;
mod egress;
mod endpoint;
pub mod errand;
pub mod framing;
pub mod header;
mod ingress;
mod large;
mod leg;
pub mod message;
pub mod register;
mod restore;
pub mod sdp;
mod session_timer;
mod slab;
mod timers;
mod transaction;
pub mod uri;

pub use digest::stored_secret;
pub use egress::is_passable;
pub use endpoint::{
    Challenge, Config, Endpoint, Heard, ListenerConfig, Output, PeerPolicy, Standing, Statistics,
    StrangerReply,
};
pub use framing::{Frame, Framer};
pub use message::{Builder, Message, Method, Peek, peek};
pub use register::{Contacts, Registration, RegistrationAnswer, RegistrationId};
pub use restore::{LegState, PeerTerms};

/// 16 hexadecimal digits.
pub(crate) fn hex_u64(n: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 16];
    for (i, place) in out.iter_mut().enumerate() {
        *place = DIGITS[((n >> (60 - 4 * i)) & 15) as usize];
    }
    out
}
