//! Why a call that was up came down: no ACK, a closed NAT, session timers, a lost dialog.

use super::{BOTH, Case, Finding};
use crate::Side;
use crate::doctor::is_private;
use crate::ladder::Seen;
use vocab::EndReason;

pub(super) fn findings(case: &Case<'_>, found: &mut Vec<Finding>) {
    found.extend(no_ack(case));
    found.extend(session_timer(case));
    for side in BOTH {
        found.extend(unanswered_in_dialog(case, side));
    }
}

/// RFC 3261 §13.3.1.4: the 200 is sent again until the ACK comes, for 32 s.
fn no_ack(case: &Case<'_>) -> Option<Finding> {
    let ours = |s: &&Seen<'_>| s.status() == Some(200) && s.method() == "INVITE";
    let sent = case.of(Side::A, false).filter(ours).count();
    let acked = case.of(Side::A, true).any(|s| s.is_request("ACK"));
    let said = case.cdr.end_text.as_deref() == Some("the 200 was never acknowledged");
    let seen = sent >= 4 && !acked;
    if !case.answered() || !(said || seen) {
        return None;
    }
    let invite = case.of(Side::A, true).find(|s| s.is_request("INVITE"));
    let contact = invite.and_then(|i| i.header("Contact")).unwrap_or("unknown");
    let times = if sent > 0 { format!("sent {sent} times") } else { "sent again and again".to_owned() };
    Some(Finding::fault(
        "no_ack",
        Some(Side::A),
        format!(
            "the 200 to the caller was {times} and no ACK came, so the call was dropped after 32 seconds; the caller's Contact is {contact}"
        ),
        "The ACK goes to the address in our Contact: check the advertised address of this switch and the caller's firewall.",
    ))
}

fn session_timer(case: &Case<'_>) -> Option<Finding> {
    let advice =
        "Session timers of both sides must allow each other: see SS_SIP_SESSION_TTL and the peer's Min-SE.";
    let find = |side: Side, status: u16| case.of(side, true).find(|s| s.status() == Some(status));
    for side in BOTH {
        if let Some(small) = find(side, 422) {
            let wants = small.header("Min-SE").unwrap_or("a longer one");
            let text = format!(
                "{} refused the session timer with 422: it wants at least {wants} seconds",
                case.who(side)
            );
            // RFC 4028 §6: to be sent again with what it wants; then all is well.
            return (!case.answered())
                .then(|| Finding::fault("session_timer_too_small", Some(side), text, advice));
        }
        if let Some(refused) = refused_refresh(case, side) {
            let text = format!("{} refused the session refresh with {}", case.who(side), refused.label());
            return Some(Finding::fault("session_refresh_refused", Some(side), text, advice));
        }
    }
    (case.cdr.end_reason == EndReason::SessionTimeout).then(|| {
        let refresher = case.seen.iter().rev().find_map(|s| s.header("Session-Expires")).unwrap_or("unknown");
        let text =
            format!("no session refresh came in time (Session-Expires: {refresher}), so the call was ended");
        Finding::fault("session_not_refreshed", None, text, advice)
    })
}

/// A final refusal of an INVITE or UPDATE inside the dialog that says that the peer has lost it.
fn refused_refresh<'a, 'b>(case: &'a Case<'b>, side: Side) -> Option<&'a Seen<'b>> {
    let refresh = |s: &&Seen<'_>| matches!(s.method(), "INVITE" | "UPDATE") && is_in_dialog(s);
    case.of(side, true).filter(refresh).find(|s| matches!(s.status(), Some(408 | 481)))
}

/// A response to a request that we sent with a To tag.
fn is_in_dialog(response: &Seen<'_>) -> bool {
    response.cseq().is_some_and(|n| n > 1)
        && response.parsed.as_ref().is_some_and(|p| p.to().is_some_and(|t| t.tag().is_some()))
}

/// We asked inside the call, and nothing came back any more.
fn unanswered_in_dialog(case: &Case<'_>, side: Side) -> Option<Finding> {
    if !case.answered() || case.live {
        return None;
    }
    let asked: Vec<&Seen<'_>> = case
        .of(side, false)
        .filter(|s| ["BYE", "UPDATE", "OPTIONS"].iter().any(|m| s.is_request(m)) || is_reinvite(s))
        .collect();
    let first = asked.iter().find(|request| {
        let answered = case
            .of(side, true)
            .any(|s| s.status().is_some() && s.method() == request.method() && s.cseq() == request.cseq());
        let copies =
            asked.iter().filter(|s| s.method() == request.method() && s.cseq() == request.cseq()).count();
        !answered && copies >= 3
    })?;
    let copies = asked.iter().filter(|s| s.method() == first.method() && s.cseq() == first.cseq()).count();
    let behind_nat = case.of(side, true).any(|s| contact_is_private(s));
    let talked_s = first.message.at.0.saturating_sub(case.cdr.answer.map_or(0, |a| a.0)) / 1_000_000;
    let (key, text, advice) = match behind_nat {
        true => (
            "nat_binding_lost",
            format!(
                "{} is behind NAT and could not be reached any more {talked_s} s after the answer: {copies} copies of {} without an answer; its NAT has closed the way",
                case.who(side),
                first.method()
            ),
            "NAT forgets a silent UDP flow after some 30 seconds: have the peer send keep-alives or use TCP.",
        ),
        false => (
            "peer_gone",
            format!(
                "{} did not answer {copies} copies of {} inside the call",
                case.who(side),
                first.method()
            ),
            "The peer has restarted, or something on the way blocks requests from here: check its Contact and firewall.",
        ),
    };
    Some(Finding::fault(key, Some(side), text, advice))
}

fn is_reinvite(seen: &Seen<'_>) -> bool {
    seen.is_request("INVITE")
        && seen.parsed.as_ref().is_some_and(|p| p.to().is_some_and(|t| t.tag().is_some()))
}

/// The Contact has an address of a private network that is not the one it came from.
fn contact_is_private(seen: &Seen<'_>) -> bool {
    let Some(contact) = seen.header("Contact").and_then(sip::header::NameAddr::parse) else { return false };
    let ip = sip::uri::Uri::parse(contact.uri).and_then(|u| u.host_ip());
    ip.is_some_and(|ip| is_private(ip) && ip.to_canonical() != seen.message.remote.ip().to_canonical())
}
