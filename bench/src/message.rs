//! What does it cost to read and to write a real INVITE?

use crate::Outcome;
use crate::clock::nanoseconds;
use crate::ground::Ground;
use crate::invite;
use crate::report::{Section, Table, figure, times};
use memchr::memchr;
use serde_json::json;
use sip::message::{Builder, Message};
use sip::sdp;
use std::hint::black_box;

pub fn run(ground: &Ground) -> Outcome<Section> {
    let text = invite::text();
    let body = invite::body();
    let count = if ground.quick { 10_000 } else { 200_000 };
    let mut section = Section::new(&format!(
        "One thread, nanoseconds for an INVITE of {} bytes with {} header lines and a session description of {} bytes; \
         the middle one of three rounds of {count}.",
        text.len(),
        text.split("\r\n\r\n").next().unwrap_or_default().lines().count() - 1,
        body.len(),
    ));
    let message = Message::parse(text.as_bytes()).map_err(|e| format!("{e:?}"))?;
    let session = sdp::parse(body.as_bytes()).map_err(|e| format!("{e:?}"))?;
    let mut origin = sdp::Origin::new(1);
    if write(&message).len() != text.len() || origin.print(&session).is_empty() {
        section.invalid("what is written is not what was read");
    }
    let bytes = text.as_bytes();
    let scan = nanoseconds(count, |_| scan_lines(black_box(bytes)));
    let copy = nanoseconds(count, |_| black_box(bytes).to_vec());
    let rows = [
        ("floor of reading: memchr for the ends and colons of lines", scan, scan),
        (
            "parse: every header found and named, text and body taken over",
            nanoseconds(count, |_| Message::parse(black_box(bytes))),
            scan,
        ),
        (
            "parse and check: mandatory headers read as well",
            nanoseconds(count, |_| Message::parse(black_box(bytes)).map(|m| m.check())),
            scan,
        ),
        (
            "parse of the session description",
            nanoseconds(count, |_| sdp::parse(black_box(body.as_bytes()))),
            scan,
        ),
        ("floor of writing: a copy of the bytes", copy, copy),
        ("write: request line, all headers, body", nanoseconds(count, |_| write(black_box(&message))), copy),
        ("write of the session description", nanoseconds(count, |_| origin.print(black_box(&session))), copy),
    ];
    let mut table = Table::new(&["", "ns", "to its floor"]);
    let mut figures = Vec::new();
    for (name, ns, floor) in rows {
        table.row([name.to_owned(), format!("**{}**", figure(ns)), times(ns, floor)]);
        figures.push(json!({ "name": name, "ns": ns }));
    }
    section.tables.push(table);
    section.figures = json!({ "bytes": text.len(), "results": figures });
    Ok(section)
}

/// The least that finds the header lines of a message: where each begins, ends and has its colon.
fn scan_lines(bytes: &[u8]) -> usize {
    let (mut at, mut sum) = (0, 0);
    while let Some(end) = bytes.get(at..).and_then(|rest| memchr(b'\n', rest)) {
        let line = bytes.get(at..at + end).unwrap_or_default();
        sum += memchr(b':', line).unwrap_or(0);
        if line.len() <= 1 {
            break;
        }
        at += end + 1;
    }
    sum
}

/// The message again, as the switch writes one: from its parts.
fn write(message: &Message) -> Vec<u8> {
    let mut b = Builder::request(message.method().name(), message.request_uri());
    for (_, name, value) in message.fields() {
        if name != "Content-Type" && name != "Content-Length" {
            b.header(name, value);
        }
    }
    b.finish_with(sdp::CONTENT_TYPE, message.body())
}
