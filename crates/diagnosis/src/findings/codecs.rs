//! What the sides could not agree on: codecs, digits, encryption.

use super::{BOTH, Case, Finding};
use crate::Side;
use crate::ladder::Seen;
use vocab::session::MediaDescription;
use vocab::{EndReason, SessionDescription};

pub(super) fn findings(case: &Case<'_>, found: &mut Vec<Finding>) {
    let encryption = encryption(case);
    // Where encryption is the quarrel, the codecs are not.
    if encryption.is_none() {
        found.extend(codecs(case));
    }
    found.extend(encryption);
    found.extend(digits(case));
}

fn audio(session: &SessionDescription) -> Option<&MediaDescription> {
    session.media.get(session.audio()?)
}

fn names(media: &MediaDescription) -> Vec<String> {
    let named = media.formats.iter().map(|f| media.encoding(f).unwrap_or(f).to_owned());
    named.filter(|n| !n.eq_ignore_ascii_case("telephone-event") && !n.eq_ignore_ascii_case("CN")).collect()
}

/// The first description that a side sent us.
fn first<'a, 'b>(case: &'a Case<'b>, side: Side) -> Option<&'a Seen<'b>> {
    case.of(side, true).find(|s| s.session.is_some())
}

fn described<'a>(case: &'a Case<'_>, side: Side) -> Option<&'a MediaDescription> {
    audio(first(case, side)?.session.as_ref()?)
}

fn list(media: Option<&MediaDescription>) -> String {
    match media.map(names) {
        Some(names) if !names.is_empty() => names.join(", "),
        _ => "none".to_owned(),
    }
}

fn codecs(case: &Case<'_>) -> Option<Finding> {
    let refused = case.of(Side::B, true).find(|s| matches!(s.status(), Some(415 | 488 | 606)));
    let mismatch = case.cdr.end_reason == EndReason::CodecMismatch
        || case.cdr.attempts.iter().any(|a| matches!(a.sip_code, 415 | 488 | 606));
    if !mismatch || case.answered() {
        return None;
    }
    let offered = list(described(case, Side::A));
    let text = match refused {
        Some(seen) => {
            let sent = case.of(Side::B, false).find_map(|s| audio(s.session.as_ref()?));
            format!(
                "{} refused the codecs with {}: the caller offers {offered}, sent on were {}",
                case.who(Side::B),
                seen.label(),
                list(sent)
            )
        }
        None => format!(
            "no codec in common: the caller offers {offered}; the settings of the gateways let none of them through"
        ),
    };
    Some(Finding::fault(
        "codec_mismatch",
        None,
        text,
        "Allow a codec that both have (SS_SIP_CODECS), or conversion (SS_CODEC_CONVERSION) on both gateways.",
    ))
}

/// Plain and encrypted media met.
fn encryption(case: &Case<'_>) -> Option<Finding> {
    let secure = |m: &MediaDescription| m.protocol.contains("SAVP");
    let wants = |side| described(case, side).map(secure);
    let refused =
        case.seen.iter().any(|s| matches!(s.status(), Some(415 | 488 | 606)) && s.method() == "INVITE");
    let sent_secure = case.of(Side::B, false).find_map(|s| audio(s.session.as_ref()?)).map(secure);
    let advice = "Set encryption of media alike on both gateways, or let one of them be without.";
    let fault = |side, text| Some(Finding::fault("encryption_mismatch", Some(side), text, advice));
    match (wants(Side::A), wants(Side::B)) {
        (Some(true), None) if refused && !case.answered() && sent_secure != Some(false) => {
            let text = format!(
                "the caller demands encrypted media (RTP/SAVP), and {} refused it",
                case.who(Side::B)
            );
            fault(Side::A, text)
        }
        (Some(false), None) if refused && !case.answered() && sent_secure == Some(true) => {
            let text = format!("encrypted media was offered to {}, which refused it", case.who(Side::B));
            fault(Side::B, text)
        }
        (Some(a), Some(b)) if a != b && sent_secure == Some(a) => {
            let (yes, no) = if a { (Side::A, Side::B) } else { (Side::B, Side::A) };
            let text = format!(
                "{} wants encrypted media and {} does not: neither understands the other",
                case.who(yes),
                case.who(no)
            );
            fault(yes, text)
        }
        _ => None,
    }
}

/// Payload type of telephone events.
fn events(media: &MediaDescription) -> Option<&str> {
    media
        .formats
        .iter()
        .find(|f| media.encoding(f).is_some_and(|e| e.eq_ignore_ascii_case("telephone-event")))
        .map(|f| f.as_str())
}

fn digits(case: &Case<'_>) -> Option<Finding> {
    if !case.answered() {
        return None;
    }
    let [a, b] = BOTH.map(|side| described(case, side));
    let (a, b) = (a?, b?);
    let sent_by_info = |side| case.of(side, true).any(|s| s.is_request("INFO") && about_digits(s));
    let advice = "Set the way of digits of both gateways alike, or let the switch convert.";
    for side in BOTH {
        let other = if side == Side::A { b } else { a };
        let refused = case
            .of(other_side(side), true)
            .any(|s| s.method() == "INFO" && s.status().is_some_and(|c| c >= 300));
        if sent_by_info(side) && (events(other).is_some() || refused) {
            let text = format!(
                "{} sends digits as INFO, and {} takes them as telephone events",
                case.who(side),
                case.who(other_side(side))
            );
            return Some(Finding::fault("dtmf_method", Some(side), text, advice));
        }
    }
    match (events(a), events(b)) {
        (Some(_), None) | (None, Some(_)) => {
            let (yes, no) = if events(a).is_some() { (Side::A, Side::B) } else { (Side::B, Side::A) };
            // The switch makes events into tones where it converts speech.
            let converted = case.cdr.a.codec != case.cdr.b.codec;
            let text = format!(
                "{} sends digits as telephone events, and {} does not know them",
                case.who(yes),
                case.who(no)
            );
            (!converted).then(|| Finding::warning("dtmf_method", Some(no), text, advice))
        }
        (Some(of_a), Some(of_b)) if of_a != of_b && answer_as_sent(case, of_b) => Some(Finding::warning(
            "dtmf_payload",
            Some(Side::B),
            format!(
                "telephone events are payload type {of_a} at the caller and {of_b} at {}",
                case.who(Side::B)
            ),
            "Peers that send by their own number instead of the other's are not understood: set one number on both sides.",
        )),
        _ => None,
    }
}

/// Does the caller's answer bear the gateway's number, so that it was not translated?
fn answer_as_sent(case: &Case<'_>, number: &str) -> bool {
    let ours = case.of(Side::A, false).filter_map(|s| audio(s.session.as_ref()?)).next_back();
    ours.and_then(events) == Some(number)
}

fn about_digits(seen: &Seen<'_>) -> bool {
    let kind = seen.header("Content-Type").unwrap_or_default().to_ascii_lowercase();
    kind.contains("dtmf") || kind.contains("telephone-event")
}

fn other_side(side: Side) -> Side {
    side.other()
}
