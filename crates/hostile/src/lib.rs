//! Every place where bytes from outside come in, as a function of those bytes (`R-31`).
//!
//! A target panics when something is wrong: a panic of the code under test, or a broken promise (what is printed reads
//! back the same, nothing is held when all is over). `fuzz/` runs the targets under libFuzzer; the test of this crate
//! replays the corpora of `fuzz/corpus` through the very same functions. A new parser gets a target here and a folder
//! of seeds there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is what a target has to say")]

mod endpoint;
mod files;
mod messages;
mod relay;
mod rest;
mod scripts;
mod texts;

/// Name of a target, as of its corpus, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("message", messages::message),
    ("uri", messages::uri),
    ("sdp", messages::session_description),
    ("stream", messages::stream),
    ("challenge", endpoint::challenge),
    ("credentials", endpoint::credentials),
    ("multipart", endpoint::multipart),
    ("dialog", endpoint::dialog),
    ("rtp", relay::rtp),
    ("rtcp", relay::rtcp),
    ("number", texts::number),
    ("price", texts::price),
    ("business", files::business),
    ("document", files::document),
    ("journal", files::journal),
    ("api", rest::api),
    ("switch", scripts::switch),
];

/// The target of this name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}
