//! The contract between a leg and the brain. A leg is one side of a call: a dialog with one peer.
//!
//! The engine of a protocol owns transactions, retransmissions and message formats. The brain owns call logic,
//! money, routing and every timer that is about the *call* (ringing, answer, length); it speaks only in the
//! commands and events below. Rules that keep both sides honest:
//!
//! - A leg lives from `Setup` (ingress) or `Place` (egress) until the engine emits [`LegEvent::Ended`], which it
//!   does exactly once for every leg, after the last thing it will ever say about it. The brain may forget a leg
//!   only then; commands for a leg that is gone are ignored.
//! - At most one offer is open on a leg. The engine answers a second one with 491 (RFC 6337) itself.
//! - The brain never sees retransmissions.

use crate::id::LegId;
use crate::identity::{ReceivedIdentity, SentIdentity};
use crate::net::{Flow, Transport};
use crate::session::SessionDescription;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

/// A call that arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    pub flow: Flow,
    /// The peer's identifier of the call (SIP Call-ID).
    pub call_id: String,
    pub numbers: SetupNumbers,
    pub identity: ReceivedIdentity,
    /// `None`: the offer will come from our side (delayed offer), the answer with [`LegEvent::Confirmed`].
    pub session: Option<SessionDescription>,
    /// Digest credentials, if the caller sent any.
    pub credentials: Option<Arc<dyn Credentials>>,
    pub max_forwards: u8,
    pub user_agent: Option<String>,
    /// The peer asks for reliable provisional responses (SIP `Require: 100rel`).
    pub wants_reliable: bool,
    /// Headers that the engine does not interpret, in order, for pass-through by rule.
    pub extra_headers: Vec<(String, String)>,
    /// Session-Expires of a caller that knows session timers (RFC 4028).
    pub session_expires_s: Option<u32>,
}

/// Who calls whom, in every place where the peer may have written it (`SIG-14`). User parts, unescaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetupNumbers {
    /// From.
    pub from: String,
    pub from_display: Option<String>,
    /// To.
    pub to: String,
    /// Request-URI.
    pub requested: String,
    /// P-Asserted-Identity, Remote-Party-ID.
    pub asserted: Option<String>,
    pub remote_party: Option<String>,
    /// P-Preferred-Identity.
    pub preferred: Option<String>,
    /// Who the call was diverted from last: Diversion (RFC 5806), History-Info (RFC 7044).
    pub diverted_from: Option<String>,
    /// Privacy header, as written.
    pub privacy: Option<String>,
}

/// What a caller presented to prove who it is; the engine knows the scheme, the brain knows the secret.
pub trait Credentials: std::fmt::Debug + Send + Sync {
    /// The name the caller claims.
    fn username(&self) -> &str;
    /// Does the response prove knowledge of the secret? Fresh means the nonce is ours and young enough.
    fn verify(&self, secret: &StoredSecret) -> CredentialsVerdict;
}

impl PartialEq for dyn Credentials {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(self, other)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsVerdict {
    Accepted,
    /// Right secret, old nonce: challenge again with stale=true.
    Stale,
    Wrong,
}

/// A password in the form that is stored: HA1 of digest, so that the text itself is nowhere (`SEC-2`).
/// Hex, lower case; over `username:realm:password` (RFC 7616 §3.4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSecret {
    pub ha1_md5: String,
    pub ha1_sha256: String,
}

/// Where and how to place a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    pub target: SocketAddr,
    pub transport: Transport,
    /// Which of our listeners to send from.
    pub listener: crate::net::ListenerId,
    /// Host part for Request-URI and To; the target address when absent.
    pub host: Option<String>,
    /// The Request-URI as a whole, when the peer has told us (its registered contact).
    pub uri: Option<String>,
    /// Proxies before the peer, from the Path of its registration (RFC 3327).
    pub routes: Vec<String>,
    pub called: String,
    /// To, when it shall differ from the Request-URI (`SIG-17`).
    pub to: Option<String>,
    pub caller: String,
    pub caller_display: Option<String>,
    /// Host part of From; our address when absent.
    pub from_host: Option<String>,
    pub identity: SentIdentity,
    pub session: Option<SessionDescription>,
    pub max_forwards: u8,
    pub credentials: Option<PlainCredentials>,
    /// How often a challenge is answered.
    pub authentication_retries: u8,
    /// Waits between copies of an unanswered request over an unreliable transport.
    pub resend_intervals_ms: Arc<[u32]>,
    pub request_address: RequestAddress,
    pub extra_headers: Vec<(String, String)>,
    /// Longest wait for a final response after `Cancel` before the leg is given up.
    pub cancel_timeout_ms: u32,
    pub session_terms: SessionTerms,
}

/// Session timers (RFC 4028) as we want them towards one peer (`SIG-22`, `SIG-23`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTerms {
    /// How long a session lives without being refreshed; 0: no session timers.
    pub ttl_s: u32,
    /// The shortest life that we accept.
    pub min_se_s: u32,
    /// Ours to refresh, it is refreshed so often in its life.
    pub segment: u32,
    pub refresher: Refresher,
    /// The session is given up so much before its life is over.
    pub early_hangup_s: u32,
    pub probe: ProbeBy,
}

impl Default for SessionTerms {
    fn default() -> SessionTerms {
        SessionTerms {
            ttl_s: 0,
            min_se_s: 90,
            segment: 2,
            refresher: Refresher::Auto,
            early_hangup_s: 0,
            probe: ProbeBy::Nothing,
        }
    }
}

/// Who is proposed to refresh a session: the side that sent the INVITE, or the one that answered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refresher {
    /// We, where we may choose.
    #[default]
    Auto,
    Caller,
    Callee,
}

/// How a peer without session timers is asked whether it still knows the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProbeBy {
    #[default]
    Nothing,
    Options,
    Reinvite,
}

/// Credentials we present to a vendor.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainCredentials {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for PlainCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlainCredentials({}, ***)", self.username)
    }
}

/// `SIG-13`: where responses to a peer go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyAddress {
    /// Where the request came from.
    #[default]
    Socket,
    /// Source address, port of the Via.
    ViaPort,
    /// Host and port of the Via, when it is an address.
    Via,
}

/// `SIG-13`: where our requests inside a dialog go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestAddress {
    /// Where the peer's messages of this dialog came from.
    #[default]
    Socket,
    /// Socket address, port of the Contact.
    ContactPort,
    /// Host and port of the Contact, when it is an address.
    Contact,
}

/// A refusal with its codes: what a peer sent, or what it is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// SIP status, 300–699.
    pub status: u16,
    /// Reason phrase; the standard one when `None`.
    pub phrase: Option<String>,
    /// Q.850 cause for, or from, the Reason header (RFC 3326).
    pub q850: Option<u8>,
    /// Text of the Reason header.
    pub text: Option<String>,
    pub retry_after_s: Option<u32>,
    /// Contacts of a 3xx, as URIs in the order of preference.
    pub contacts: Vec<String>,
}

impl Refusal {
    pub fn status(status: u16) -> Refusal {
        Refusal { status, ..Refusal::default() }
    }
}

/// How an offer travels inside a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferBy {
    Reinvite,
    /// UPDATE where the peer allows it, else re-INVITE (`SIG-6`).
    Update,
}

/// What the brain tells a leg to do.
#[derive(Clone, Debug, PartialEq)]
pub enum LegCommand {
    // --- an arriving call, before its final response
    /// Ask for credentials; the leg ends and the call arrives anew with them.
    Challenge {
        status: u16,
        realm: String,
        stale: bool,
    },
    /// The session is shorter than we accept (422); the leg ends and the call arrives anew with a longer one.
    TooBrief {
        min_se_s: u32,
    },
    /// How this peer's session is to be kept up; known once it is known who calls.
    Terms(SessionTerms),
    /// 180.
    Alert {
        session: Option<SessionDescription>,
        reliable: bool,
    },
    /// 183.
    Progress {
        session: Option<SessionDescription>,
        reliable: bool,
    },
    /// 200. `session` is the answer, or the offer when the caller sent none.
    Answer {
        session: Option<SessionDescription>,
    },
    Refuse(Refusal),

    // --- a call we place
    Place(Box<Placement>),
    /// Give up before the answer. A 2xx that crosses it is acknowledged and released by the engine (`SIG-4`).
    Cancel {
        q850: Option<u8>,
    },
    /// The answer to an offer that came in the callee's 200 (delayed offer): goes into the ACK.
    Confirm {
        session: Option<SessionDescription>,
    },

    // --- inside the dialog, both kinds
    /// Offer a change; `None` asks the peer to offer (re-INVITE without a body).
    Offer {
        session: Option<SessionDescription>,
        by: OfferBy,
    },
    /// Accept the peer's offer (or answer its offerless re-INVITE with our offer).
    AcceptOffer {
        session: Option<SessionDescription>,
    },
    RefuseOffer(Refusal),
    /// Mid-call information, passed as it came (DTMF by INFO).
    Info {
        content_type: String,
        body: Vec<u8>,
    },
    /// Ask whether the peer still knows the call: [`LegEvent::Alive`], or `Failed(DialogLost)`. No word comes when it
    /// says nothing.
    Probe,
    /// End the dialog.
    Release {
        q850: Option<u8>,
        text: Option<String>,
    },
}

/// What a leg tells the brain.
#[derive(Clone, Debug, PartialEq)]
pub enum LegEvent {
    // --- an arriving call
    Setup(Box<Setup>),
    /// The caller gave up before the answer; the engine has answered everything. `Ended` follows.
    Cancelled {
        q850: Option<u8>,
    },
    /// The caller has acknowledged our 2xx; with the answer when ours was the offer. Comes once.
    Confirmed {
        session: Option<SessionDescription>,
    },

    // --- a call we place
    /// 100.
    Trying,
    /// 180, 181, 182.
    Alerting {
        session: Option<SessionDescription>,
        reliable: bool,
    },
    /// 183.
    Progress {
        session: Option<SessionDescription>,
        reliable: bool,
    },
    /// 2xx. `session` is the answer (`None` when it came in a reliable provisional), or the offer after a
    /// placement without one: then the ACK waits for [`LegCommand::Confirm`].
    Answered {
        session: Option<SessionDescription>,
    },
    /// Final refusal, also after `Cancel` (487 or whatever the peer sends). `Ended` follows.
    Refused(Refusal),

    // --- inside the dialog
    /// The peer offers a change; `None` for a re-INVITE without a body. Answer with `AcceptOffer`/`RefuseOffer`.
    Offered {
        session: Option<SessionDescription>,
        by: OfferBy,
    },
    /// Our offer was accepted. After our offerless `Offer`, `session` is the peer's offer and `Confirm` must follow.
    OfferAccepted {
        session: Option<SessionDescription>,
    },
    OfferRefused(Refusal),
    /// The ACK to our 2xx of an offerless re-INVITE, with the peer's answer.
    OfferConfirmed {
        session: Option<SessionDescription>,
    },
    Info {
        content_type: String,
        body: Vec<u8>,
    },
    /// The peer still knows the call, asked by [`LegCommand::Probe`].
    Alive,
    /// The peer ended the dialog; already answered. `Ended` follows.
    Released {
        q850: Option<u8>,
        text: Option<String>,
    },

    // --- failures
    /// Something went wrong that no message says. `Ended` follows.
    Failed(LegFailure),
    /// The leg is gone: nothing will follow.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegFailure {
    /// The list of resends ran out without any response.
    NoResponse,
    /// No connection could be made, or it broke, or ICMP said unreachable.
    Unreachable,
    /// Our 2xx was never acknowledged (RFC 3261 §13.3.1.4, 64×T1).
    NoAck,
    /// A request inside the dialog timed out or was answered 481/408: the peer has lost the call.
    DialogLost,
    /// The peer's messages made no sense.
    Protocol,
    /// Reliable provisional never acknowledged by PRACK.
    NoPrack,
    /// The session was not refreshed in time, or the peer had lost it when we did (RFC 4028).
    SessionExpired,
}

/// An event with its leg.
#[derive(Clone, Debug, PartialEq)]
pub struct FromLeg {
    pub leg: LegId,
    pub event: LegEvent,
}
