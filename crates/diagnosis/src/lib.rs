//! What was seen of a call, and what is wrong with it, in plain words (`DBG-1` to `DBG-6`, `BEY-12`, `BEY-13`).
//!
//! | module | what |
//! | --- | --- |
//! | [`capture`] | a bounded store of the messages and events of calls and registrations |
//! | [`mask`] | secrets and digits are taken out before anything is kept |
//! | [`ladder`] | both legs on one time axis; session descriptions side by side |
//! | [`findings`] | what is wrong with a call |
//! | [`registration`] | what is wrong with a registration |
//! | [`doctor`] | which side is silent and why, while the call is up |
//! | [`pcap`], [`text`], [`hep`] | forms that others read |
//!
//! Everything is a function of bytes and times that are given.

pub mod capture;
pub mod doctor;
pub mod findings;
pub mod hep;
pub mod ladder;
pub mod mask;
pub mod pcap;
pub mod registration;
pub mod text;

pub use capture::{Capture, CaptureStore, Filter, Leg, MediaSample, Message};
pub use doctor::{Silence, SilentSide};
pub use findings::{Finding, Severity};
pub use media::Side;

use std::sync::Arc;
use vocab::{EndReason, Money};

/// What happened to a call inside the switch, told as it happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A leg with this Call-ID belongs to the call; of the vendor's side with the gateway's name.
    Leg {
        side: Side,
        call_id: Arc<str>,
        peer: Option<Arc<str>>,
    },
    /// Whose call it is.
    Parties {
        account: Option<Arc<str>>,
        gateway: Option<Arc<str>>,
        caller: Arc<str>,
        called: Arc<str>,
    },
    /// Why a leg failed without a message.
    LegFailed {
        side: Side,
        why: &'static str,
    },
    /// A timer of the call machine struck.
    Timer(&'static str),
    /// Money is held for the call: in all, and up to which second of talk (`None`: not bounded).
    Held {
        amount: Money,
        until_s: Option<u64>,
    },
    Answered,
    /// The first media packet of a side.
    FirstMedia(Side),
    /// Nothing has come from a side for as long as is watched.
    MediaStopped(Side),
    /// The media doctor's word.
    Silent(SilentSide),
    Ended {
        reason: EndReason,
        answered: bool,
    },
    Charged {
        sale: Option<Money>,
        cost: Option<Money>,
    },
}

impl Event {
    /// In plain words, for a line in a trace.
    pub fn words(&self) -> String {
        let side = |side: &Side| if *side == Side::A { "caller" } else { "gateway" };
        let money = |m: &Option<Money>| m.map_or_else(|| "nothing".to_owned(), |m| m.to_string());
        match self {
            Event::Leg { side: s, call_id, peer: Some(peer) } => {
                format!("routing: {} {peer} is tried, Call-ID {call_id}", side(s))
            }
            Event::Leg { side: s, call_id, peer: None } => {
                format!("routing: {} leg, Call-ID {call_id}", side(s))
            }
            Event::Parties { account, gateway, caller, called } => format!(
                "routing: {caller} calls {called}; account {}, mapping gateway {}",
                account.as_deref().unwrap_or("unknown"),
                gateway.as_deref().unwrap_or("unknown"),
            ),
            Event::LegFailed { side: s, why } => format!("signalling: {} leg failed: {why}", side(s)),
            Event::Timer(what) => format!("timer: {what}"),
            Event::Held { amount, until_s: Some(s) } => {
                format!("billing: {amount} held, paid up to {s} s of talk")
            }
            Event::Held { amount, until_s: None } => format!("billing: {amount} held, no limit"),
            Event::Answered => "switching: answered".to_owned(),
            Event::FirstMedia(s) => format!("media: first packet from the {}", side(s)),
            Event::MediaStopped(s) => format!("media: nothing from the {} any more", side(s)),
            Event::Silent(silent) => format!("media: {}", silent.words()),
            Event::Ended { reason, answered } => {
                let was = if *answered { "answered" } else { "not answered" };
                format!("switching: ended ({was}): {}", reason.row().words)
            }
            Event::Charged { sale, cost } => {
                format!("billing: charged {}, cost {}", money(sale), money(cost))
            }
        }
    }
}
