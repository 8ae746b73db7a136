//! What is wrong with a registration (`DBG-6`): from the REGISTER dialog alone.

use crate::capture::Capture;
use crate::doctor::is_private;
use crate::findings::{Finding, Severity};
use crate::ladder::{self, Seen};
use serde::Serialize;
use vocab::Utc;

/// A registration as it was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Registration {
    /// Who registers.
    pub user: String,
    /// True: with us; false: we at somebody else.
    pub incoming: bool,
    pub source: String,
    pub contact: Option<String>,
    pub user_agent: Option<String>,
    /// The last final response.
    pub status: Option<u16>,
    /// What the last 200 granted, in seconds.
    pub expires_s: Option<u32>,
    /// Contact and source differ: there is NAT between.
    pub behind_nat: bool,
    pub first: Utc,
    pub last: Utc,
    pub requests: usize,
    pub findings: Vec<Finding>,
}

/// `None` when the capture has no REGISTER.
pub fn registration(capture: &Capture) -> Option<Registration> {
    let seen = ladder::read(capture);
    let requests: Vec<&Seen<'_>> = seen.iter().filter(|s| s.is_request("REGISTER")).collect();
    let (first, last) = (*requests.first()?, *requests.last()?);
    let finals: Vec<&Seen<'_>> = seen.iter().filter(|s| s.status().is_some_and(|c| c >= 200)).collect();
    let contact = last.header("Contact").and_then(sip::header::NameAddr::parse);
    let host = contact.as_ref().and_then(|c| sip::uri::Uri::parse(c.uri)?.host_ip());
    let source = last.message.remote;
    let registration = Registration {
        user: crate::capture::to_user(&first.message.bytes),
        incoming: first.message.incoming,
        source: source.to_string(),
        contact: last.header("Contact").map(str::to_owned),
        user_agent: last.header("User-Agent").map(str::to_owned),
        status: finals.last().and_then(|s| s.status()),
        expires_s: finals.iter().rev().find(|s| s.status() == Some(200)).and_then(|s| granted(s)),
        behind_nat: first.message.incoming
            && host.is_some_and(|ip| ip.to_canonical() != source.ip().to_canonical() && is_private(ip)),
        first: first.message.at,
        last: seen.last().map_or(last.message.at, |s| s.message.at),
        requests: requests.len(),
        findings: findings(&requests, &finals),
    };
    Some(registration)
}

fn granted(ok: &Seen<'_>) -> Option<u32> {
    let contact = ok.header("Contact").and_then(|c| sip::header::param(c, "expires"));
    contact.or(ok.header("Expires"))?.trim().parse().ok()
}

fn findings(requests: &[&Seen<'_>], finals: &[&Seen<'_>]) -> Vec<Finding> {
    let with_credentials =
        |s: &&&Seen<'_>| s.header("Authorization").is_some() || s.header("Proxy-Authorization").is_some();
    let fault = |key, text: String, advice| {
        vec![Finding { key, severity: Severity::Fault, side: None, text, advice }]
    };
    let Some(last) = finals.last() else {
        let text = format!("{} REGISTER requests had no answer", requests.len());
        return match requests.len() >= 3 {
            true => fault("register_no_answer", text, "Firewall or wrong address: nothing comes back."),
            false => Vec::new(),
        };
    };
    let proven = requests.iter().filter(with_credentials).count();
    match last.status().unwrap_or(0) {
        401 | 407 if proven > 0 => fault(
            "register_wrong_password",
            format!(
                "{proven} attempts with credentials were challenged again: the password or the user name is wrong"
            ),
            "Enter user name and password anew on both sides.",
        ),
        401 | 407 if requests.len() >= 3 => fault(
            "register_no_credentials",
            "it is asked for a password and never sends one".to_owned(),
            "Set user name and password in the phone.",
        ),
        status @ (403 | 404) => fault(
            "register_refused",
            format!("refused with {status} {}", last.parsed.as_ref().map_or("", |p| p.phrase())),
            "The name is unknown, locked, or suspended after too many wrong passwords.",
        ),
        423 => fault(
            "register_interval_too_brief",
            format!(
                "refused with 423: at least {} s are wanted",
                last.header("Min-Expires").unwrap_or("more")
            ),
            "Set a longer registration interval in the phone.",
        ),
        200 if last.message.incoming != requests[0].message.incoming && granted(last) == Some(0) => {
            Vec::new()
        }
        status if status >= 300 && !matches!(status, 401 | 407) => fault(
            "register_failed",
            format!("refused with {}", last.label()),
            "The registrar cannot take registrations at the moment.",
        ),
        _ => Vec::new(),
    }
}
