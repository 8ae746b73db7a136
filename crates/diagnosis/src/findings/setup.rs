//! Why a call did not come about: gateways that do not answer or are full, refused passwords, the caller's number.

use super::{Case, Finding};
use crate::Side;
use cdr::{Attempt, AttemptResult};
use vocab::EndReason;

pub(super) fn findings(case: &Case<'_>, found: &mut Vec<Finding>) {
    for attempt in &case.cdr.attempts {
        found.extend(no_answer(case, attempt));
        found.extend(overloaded(attempt));
        found.extend(password_refused(case, attempt));
        found.extend(caller_refused(attempt));
    }
    found.extend(all_overloaded(case));
    found.extend(fell_silent(case));
    found.extend(caller_number(case));
    found.extend(two_callers(case));
}

fn of_attempt<'a, 'b>(
    case: &'a Case<'b>,
    attempt: &'a Attempt,
    incoming: bool,
) -> impl Iterator<Item = &'a crate::ladder::Seen<'b>> {
    case.of(Side::B, incoming)
        .filter(move |s| s.parsed.as_ref().and_then(|p| p.call_id()) == Some(attempt.call_id.as_str()))
}

/// 408 by our own timer: the gateway was never heard.
fn no_answer(case: &Case<'_>, attempt: &Attempt) -> Option<Finding> {
    if attempt.result != AttemptResult::Failed(EndReason::InviteTimeout) || attempt.sip_code != 0 {
        return None;
    }
    let sent = of_attempt(case, attempt, false).filter(|s| s.is_request("INVITE")).count();
    let address = attempt.remote.map_or_else(|| "its address".to_owned(), |a| a.to_string());
    let times = match sent {
        0 => String::new(),
        1 => "to one INVITE ".to_owned(),
        n => format!("to {n} INVITEs "),
    };
    Some(Finding::fault(
        "gateway_no_answer",
        Some(Side::B),
        format!(
            "gateway {}: no answer {times}at {address}: firewall, wrong address, or it is down",
            attempt.gateway.name
        ),
        "Check the address and port of the gateway, and whether both firewalls let SIP through both ways.",
    ))
}

/// 100 came, and then nothing.
fn fell_silent(case: &Case<'_>) -> Option<Finding> {
    let attempt =
        case.cdr.attempts.iter().find(|a| a.result == AttemptResult::Failed(EndReason::ResponseTimeout))?;
    let own = attempt.sip_code == 0;
    let text = match own {
        true => {
            format!("gateway {} took the call (100 Trying) and then said nothing more", attempt.gateway.name)
        }
        false => format!("gateway {} answered 408: its own next hop did not answer", attempt.gateway.name),
    };
    Some(Finding::fault(
        "gateway_fell_silent",
        Some(Side::B),
        text,
        "The vendor's own route failed. Give the vendor the Call-ID, and put another gateway before this one.",
    ))
}

fn is_overload(attempt: &Attempt) -> bool {
    attempt.sip_code == 503
}

fn overloaded(attempt: &Attempt) -> Option<Finding> {
    is_overload(attempt).then(|| {
        let words = attempt.text.as_ref().map(|t| format!(" ({t})")).unwrap_or_default();
        Finding::warning(
            "gateway_unavailable",
            Some(Side::B),
            format!(
                "gateway {} answered 503{words}: it is full, or out of service for this destination",
                attempt.gateway.name
            ),
            "Compare the gateway's concurrency and calls per second with what the vendor has agreed to.",
        )
    })
}

fn all_overloaded(case: &Case<'_>) -> Option<Finding> {
    let attempts = &case.cdr.attempts;
    (attempts.len() > 1 && attempts.iter().all(is_overload)).then(|| {
        Finding::fault(
            "all_gateways_unavailable",
            Some(Side::B),
            format!("all {} gateways that were tried answered 503", attempts.len()),
            "The destination may be down everywhere, or the same carrier stands behind all of them.",
        )
    })
}

/// Challenged again after our credentials.
fn password_refused(case: &Case<'_>, attempt: &Attempt) -> Option<Finding> {
    let challenged = matches!(attempt.sip_code, 401 | 407);
    let with_credentials = of_attempt(case, attempt, false)
        .any(|s| s.header("Authorization").is_some() || s.header("Proxy-Authorization").is_some());
    challenged.then(|| {
        let what = match with_credentials {
            true => "refused the password that we sent",
            false => "asks for a password, and none is set",
        };
        Finding::fault(
            "gateway_password",
            Some(Side::B),
            format!("gateway {} {what}", attempt.gateway.name),
            "Enter user name and password as the vendor gave them, or have the vendor trust our address.",
        )
    })
}

const ABOUT_CALLERS: [&str; 6] = ["caller", "calling", "cli ", "clid", "a-number", "anonymous"];

fn caller_refused(attempt: &Attempt) -> Option<Finding> {
    let words = attempt.text.as_deref().unwrap_or_default().to_ascii_lowercase();
    let said = ABOUT_CALLERS.iter().any(|w| format!("{words} ").contains(w));
    let failed = matches!(attempt.result, AttemptResult::Failed(_)) && attempt.sip_code >= 300;
    // RFC 5079: anonymity is disallowed.
    (failed && (said || attempt.sip_code == 433)).then(|| {
        Finding::fault(
            "caller_number_refused",
            Some(Side::B),
            format!(
                "gateway {} refused the caller's number {} with {} {}",
                attempt.gateway.name,
                shown(&attempt.caller),
                attempt.sip_code,
                attempt.text.as_deref().unwrap_or_default()
            ),
            "Send a number that the vendor accepts: see the rules for callers' numbers of the gateway.",
        )
    })
}

fn shown(number: &str) -> String {
    if number.is_empty() { "(none)".to_owned() } else { number.to_owned() }
}

/// What is sent as the caller's number is none.
fn caller_number(case: &Case<'_>) -> Option<Finding> {
    let sent = case.cdr.caller.sent.as_deref()?;
    let digits = sent.trim_start_matches('+');
    let is_number = digits.len() >= 3 && digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit());
    (!is_number).then(|| {
        Finding::warning(
            "caller_number_odd",
            Some(Side::A),
            format!("the caller's number that was sent, {}, is no telephone number", shown(sent)),
            "Many networks refuse such calls or show a wrong number. Correct it at the customer, or by a rule for callers' numbers.",
        )
    })
}

/// From and P-Asserted-Identity of the caller's INVITE name different numbers.
fn two_callers(case: &Case<'_>) -> Option<Finding> {
    let invite = case.of(Side::A, true).find(|s| s.is_request("INVITE"))?;
    let user = |value: &str| {
        let address = sip::header::NameAddr::parse(value)?;
        Some(sip::uri::Uri::parse(address.uri)?.user_unescaped().trim_start_matches('+').to_owned())
    };
    let (from, identity) = (user(invite.header("From")?)?, user(invite.header("P-Asserted-Identity")?)?);
    let hidden = from.eq_ignore_ascii_case("anonymous");
    (from != identity && !hidden).then(|| {
        Finding::warning(
            "caller_number_two",
            Some(Side::A),
            format!(
                "the caller sends two numbers: {from} in From and {identity} in P-Asserted-Identity; {} was sent on",
                shown(case.cdr.caller.sent.as_deref().unwrap_or(&case.cdr.caller.received))
            ),
            "If the called party sees the wrong one, say in the gateway's settings which of them counts.",
        )
    })
}
