//! Both legs on one time axis, and session descriptions side by side (`DBG-3`).

use crate::Side;
use crate::capture::{Capture, Message};
use serde::Serialize;
use vocab::{SessionDescription, Utc};

/// A message with what findings ask of it.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    pub message: &'a Message,
    pub parsed: Option<sip::Message<'a>>,
    pub side: Side,
    pub session: Option<SessionDescription>,
    /// The same bytes went the same way before.
    pub again: bool,
}

impl Seen<'_> {
    pub fn status(&self) -> Option<u16> {
        self.parsed.as_ref()?.status()
    }

    /// Of a request its own, of a response that of its CSeq.
    pub fn method(&self) -> &str {
        let Some(parsed) = &self.parsed else { return "" };
        match parsed.is_request() {
            true => parsed.method_name(),
            false => parsed.cseq().map_or("", |c| c.method),
        }
    }

    pub fn is_request(&self, method: &str) -> bool {
        self.parsed.as_ref().is_some_and(|p| p.is_request()) && self.method() == method
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.parsed.as_ref()?.header(name)
    }

    pub fn cseq(&self) -> Option<u32> {
        self.parsed.as_ref()?.cseq().map(|c| c.number)
    }

    /// `INVITE sip:…` or `486 Busy Here`, short enough for an arrow.
    pub fn label(&self) -> String {
        let Some(parsed) = &self.parsed else { return "(no SIP)".to_owned() };
        let mut label = match parsed.status() {
            Some(status) => format!("{status} {} ({})", parsed.phrase(), self.method()),
            None => parsed.method_name().to_owned(),
        };
        if self.session.is_some() {
            label.push_str(" +SDP");
        }
        if self.again {
            label.push_str(" (again)");
        }
        label
    }
}

/// Reads the messages of a capture, in the order of time.
pub fn read(capture: &Capture) -> Vec<Seen<'_>> {
    let mut order: Vec<&Message> = capture.messages.iter().collect();
    order.sort_by_key(|m| m.at);
    let mut seen: Vec<Seen<'_>> = Vec::with_capacity(order.len());
    for message in order {
        let parsed = sip::Message::parse(&message.bytes).ok();
        let session = parsed.as_ref().filter(|p| has_session(p)).and_then(|p| sip::sdp::parse(p.body()).ok());
        let again =
            seen.iter().any(|s| s.message.incoming == message.incoming && s.message.bytes == message.bytes);
        let side = capture.legs.get(message.leg).map_or(Side::A, |l| l.side);
        seen.push(Seen { message, parsed, side, session, again });
    }
    seen
}

fn has_session(message: &sip::Message<'_>) -> bool {
    let kind = message.header("Content-Type").unwrap_or_default().to_ascii_lowercase();
    !message.body().is_empty() && kind.contains("application/sdp")
}

/// One line of the ladder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub at: Utc,
    /// Since the first row.
    pub after_ms: u64,
    /// Places in the list of lanes; both the switch's for what happens inside.
    pub from: usize,
    pub to: usize,
    pub label: String,
    /// The message as it was, secrets masked; nothing for what happens inside.
    pub text: Option<String>,
    pub transport: Option<String>,
    pub source: Option<String>,
    pub destination: Option<String>,
    pub again: bool,
}

/// The ladder: who stands where, and what went between them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ladder {
    /// The caller, the switch, then each leg to a gateway.
    pub lanes: Vec<String>,
    pub rows: Vec<Row>,
}

pub const SWITCH: usize = 1;

fn lane_of(capture: &Capture, leg: usize) -> usize {
    match capture.legs.get(leg).map(|l| l.side) {
        Some(Side::B) => {
            let before = capture.legs.iter().take(leg).filter(|l| l.side == Side::B).count();
            SWITCH + 1 + before
        }
        _ => 0,
    }
}

pub fn ladder(capture: &Capture) -> Ladder {
    let mut lanes = vec!["caller".to_owned(), "switch".to_owned()];
    let gateways = capture.legs.iter().filter(|l| l.side == Side::B);
    lanes.extend(gateways.map(|l| l.peer.as_deref().unwrap_or("gateway").to_owned()));
    let mut rows: Vec<Row> = Vec::new();
    for seen in read(capture) {
        let message = seen.message;
        let peer = lane_of(capture, message.leg);
        let (from, to) = if message.incoming { (peer, SWITCH) } else { (SWITCH, peer) };
        let (source, destination) =
            if message.incoming { (message.remote, message.local) } else { (message.local, message.remote) };
        rows.push(Row {
            at: message.at,
            after_ms: 0,
            from,
            to,
            label: seen.label(),
            text: Some(String::from_utf8_lossy(&message.bytes).into_owned()),
            transport: Some(message.transport.to_string()),
            source: Some(source.to_string()),
            destination: Some(destination.to_string()),
            again: seen.again,
        });
    }
    for (at, event) in &capture.events {
        rows.push(inside(*at, event.words()));
    }
    // Stable: what happened at one moment stays in the order in which it was taken down.
    rows.sort_by_key(|r| r.at);
    let start = rows.first().map_or(Utc(0), |r| r.at);
    for row in &mut rows {
        row.after_ms = u64::try_from(row.at.0.saturating_sub(start.0) / 1000).unwrap_or(0);
    }
    Ladder { lanes, rows }
}

fn inside(at: Utc, label: String) -> Row {
    Row {
        at,
        after_ms: 0,
        from: SWITCH,
        to: SWITCH,
        label,
        text: None,
        transport: None,
        source: None,
        destination: None,
        again: false,
    }
}

/// A session description as it came from one side and as it went to the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Label of the message that brought it, and of the one that took it on.
    pub received: String,
    pub sent: String,
    pub lines: Vec<LinePair>,
    /// What changed, in words.
    pub changes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinePair {
    pub received: Option<String>,
    pub sent: Option<String>,
    pub changed: bool,
}

/// Each description that we sent, beside the latest that came from the other side.
pub fn comparisons(capture: &Capture) -> Vec<Comparison> {
    let seen = read(capture);
    let mut latest: [Option<&Seen<'_>>; 2] = [None, None];
    let mut found = Vec::new();
    for s in seen.iter().filter(|s| s.session.is_some() && !s.again) {
        let side = usize::from(s.side == Side::B);
        if s.message.incoming {
            latest[side] = Some(s);
        } else if let Some(received) = latest[1 - side] {
            found.push(compare(received, s));
        }
    }
    found
}

fn compare(received: &Seen<'_>, sent: &Seen<'_>) -> Comparison {
    let lines = |s: &Seen<'_>| -> Vec<String> {
        let body = s.parsed.as_ref().map_or(&b""[..], |p| p.body());
        String::from_utf8_lossy(body).lines().map(|l| l.trim_end().to_owned()).collect()
    };
    let (left, mut right) = (lines(received), lines(sent).into_iter().map(Some).collect::<Vec<_>>());
    let mut pairs = Vec::new();
    for line in left {
        let exact = right.iter().position(|r| r.as_ref() == Some(&line));
        let alike = || right.iter().position(|r| r.as_ref().is_some_and(|r| stem(r) == stem(&line)));
        let partner = exact.or_else(alike).and_then(|at| right.get_mut(at)?.take());
        pairs.push(LinePair {
            changed: partner.as_ref() != Some(&line),
            received: Some(line),
            sent: partner,
        });
    }
    let added = right.into_iter().flatten();
    pairs.extend(added.map(|line| LinePair { received: None, sent: Some(line), changed: true }));
    Comparison {
        received: received.label(),
        sent: sent.label(),
        lines: pairs,
        changes: changes(received.session.as_ref(), sent.session.as_ref()),
    }
}

/// What a line is about: `c`, `m=audio`, `a=rtpmap:8`.
fn stem(line: &str) -> &str {
    let value = line.get(2..).unwrap_or("");
    let long = match line.as_bytes().first() {
        Some(b'm') => value.split(' ').next().map_or(0, str::len),
        Some(b'a') => {
            let name = value.split(':').next().map_or(0, str::len);
            let numbered = ["rtpmap", "fmtp"].contains(&value.get(..name).unwrap_or(""));
            if numbered { value.split(' ').next().map_or(name, str::len) } else { name }
        }
        _ => 0,
    };
    line.get(..2 + long).unwrap_or(line)
}

fn changes(received: Option<&SessionDescription>, sent: Option<&SessionDescription>) -> Vec<String> {
    let (Some(received), Some(sent)) = (received, sent) else { return Vec::new() };
    let mut words = Vec::new();
    for (n, (r, s)) in received.media.iter().zip(&sent.media).enumerate() {
        let (from, to) = (received.media_address(n), sent.media_address(n));
        if from != to {
            let text =
                |a: Option<std::net::SocketAddr>| a.map_or_else(|| "none".to_owned(), |a| a.to_string());
            words.push(format!("{}: address {} became {}", r.kind, text(from), text(to)));
        }
        let names = |m: &vocab::session::MediaDescription| -> Vec<String> {
            m.formats.iter().map(|f| m.encoding(f).unwrap_or(f).to_owned()).collect()
        };
        let (before, after) = (names(r), names(s));
        let gone: Vec<&str> = before.iter().filter(|c| !after.contains(c)).map(String::as_str).collect();
        let new: Vec<&str> = after.iter().filter(|c| !before.contains(c)).map(String::as_str).collect();
        if !gone.is_empty() {
            words.push(format!("{}: taken out: {}", r.kind, gone.join(", ")));
        }
        if !new.is_empty() {
            words.push(format!("{}: put in: {}", r.kind, new.join(", ")));
        }
        let (before, after) = (received.media_direction(n), sent.media_direction(n));
        if before != after {
            words.push(format!("{}: {} became {}", r.kind, before.name(), after.name()));
        }
        if r.protocol != s.protocol {
            words.push(format!("{}: {} became {}", r.kind, r.protocol, s.protocol));
        }
    }
    if received.media.len() != sent.media.len() {
        words.push(format!("{} streams became {}", received.media.len(), sent.media.len()));
    }
    words
}
