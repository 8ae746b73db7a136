//! The torture messages of RFC 4475 and RFC 5118, from `../shared/data` (or `TANDEM_SHARED`) when it is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use common::{A, config, flow};
use sip::framing::{Frame, Framer};
use sip::{Builder, Endpoint, Message, Output, PeerPolicy};
use std::net::SocketAddr;
use std::path::PathBuf;
use vocab::leg::{FromLeg, LegCommand, LegEvent, Refusal};
use vocab::{Now, Random, Tick, Transport, Utc};

struct Row {
    folder: &'static str,
    file: String,
    parser: String,
    allowed: String,
    bytes: Vec<u8>,
}

const POLICY: [u16; 19] =
    [200, 300, 302, 401, 403, 404, 405, 407, 408, 416, 480, 481, 484, 486, 488, 489, 501, 503, 603];

fn rows() -> Option<Vec<Row>> {
    let shared = std::env::var("TANDEM_SHARED").map(PathBuf::from);
    let shared =
        shared.unwrap_or_else(|_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let mut rows = Vec::new();
    for folder in ["rfc4475", "rfc5118"] {
        let path = shared.join("data").join(folder);
        let Ok(table) = std::fs::read_to_string(path.join("EXPECTED.tsv")) else {
            eprintln!("SKIPPED: no {} here; set TANDEM_SHARED", path.display());
            return None;
        };
        for line in table.lines().skip(1) {
            let columns: Vec<&str> = line.split('\t').collect();
            let bytes = std::fs::read(path.join(columns[0])).unwrap();
            rows.push(Row {
                folder,
                file: columns[0].into(),
                parser: columns[3].into(),
                allowed: columns[4].into(),
                bytes,
            });
        }
    }
    assert_eq!(rows.len(), 61);
    Some(rows)
}

/// Files whose column says "accept (syntax)": the text can be taken apart, but the message breaks a rule.
fn parses(bytes: &[u8]) -> bool {
    Message::parse(bytes).is_ok_and(|m| m.check().is_ok())
}

#[test]
fn the_parser_agrees_with_the_table() {
    for row in rows().unwrap_or_default() {
        match row.parser.as_str() {
            "accept" => assert!(parses(&row.bytes), "{}", row.file),
            "reject" => assert!(!parses(&row.bytes), "{}", row.file),
            "accept (syntax)" => assert!(Message::parse(&row.bytes).is_ok(), "{}", row.file),
            _ => {}
        }
    }
}

fn peer(folder: &str) -> SocketAddr {
    if folder == "rfc5118" { "[2001:db8::77]:5061" } else { "10.0.0.2:5061" }.parse().unwrap()
}

fn now(ms: u64) -> Now {
    Now { tick: Tick(1_000_000 + ms * 1000), utc: Utc(0) }
}

/// Runs until silence; every call that arrives is refused with 404. Returns what was sent: flow and message.
fn settle(end: &mut Endpoint) -> Vec<(SocketAddr, Message<'static>)> {
    let mut sent = Vec::new();
    while let Some(output) = end.poll_output() {
        match output {
            Output::Send { flow, bytes } => {
                sent.push((flow.remote, Message::parse(&bytes).unwrap().into_owned()))
            }
            Output::Event(FromLeg { leg, event: LegEvent::Setup(_) }) => {
                end.command(now(0), leg, LegCommand::Refuse(Refusal::status(404)));
            }
            Output::Event(_) | Output::Register(_) | Output::Errand(..) => {}
        }
    }
    sent
}

fn options(n: usize) -> Vec<u8> {
    let mut b = Builder::request("OPTIONS", "sip:tandem@10.0.0.1");
    b.header("Via", &format!("SIP/2.0/UDP 10.0.0.2:5061;branch=z9hG4bKalive{n}"));
    b.header("From", "<sip:x@y>;tag=1").header("To", "<sip:x@z>").header("Call-ID", &format!("alive{n}"));
    b.header("CSeq", "1 OPTIONS");
    b.finish()
}

fn assert_alive(end: &mut Endpoint, transport: Transport, n: usize) {
    end.handle_message(now(1), flow(peer(""), transport), PeerPolicy::default(), &options(n));
    let sent = settle(end);
    assert_eq!(sent.iter().map(|(_, m)| m.status()).collect::<Vec<_>>(), [Some(200)]);
    assert!(sent[0].1.header("Allow").is_some_and(|a| a.contains("INVITE")));
}

fn allowed(row: &Row, status: u16) -> bool {
    let bare: String = row.allowed.split('(').map(|p| p.rsplit(')').next().unwrap_or(p)).collect();
    bare.split([',', ' ', ';']).map(str::trim).any(|word| match word {
        "policy" => POLICY.contains(&status),
        word => word.parse() == Ok(status),
    })
}

#[test]
fn every_message_gets_an_allowed_answer_over_udp() {
    let mut end = Endpoint::new(config(A, Transport::Udp), Random::from_number(1));
    for (n, row) in rows().unwrap_or_default().iter().enumerate() {
        let from = peer(row.folder);
        end.handle_message(now(0), flow(from, Transport::Udp), PeerPolicy::default(), &row.bytes);
        let sent = settle(&mut end);
        let finals: Vec<u16> = sent.iter().filter_map(|(_, m)| m.status()).filter(|s| *s >= 200).collect();
        assert!(sent.iter().all(|(to, _)| *to == from), "{}", row.file);
        // What we copy from a message without a To cannot have one.
        let whole = sent.iter().all(|(_, m)| m.check().is_ok() || matches!(m.status(), Some(400 | 505)));
        assert!(whole, "{}", row.file);
        if row.allowed.starts_with("none") {
            assert!(sent.is_empty(), "{}: {finals:?}", row.file);
        } else {
            assert_eq!(finals.len(), 1, "{}", row.file);
            assert!(allowed(row, finals[0]), "{}: {} is not in {}", row.file, finals[0], row.allowed);
        }
        assert_alive(&mut end, Transport::Udp, n);
    }
    for ms in 0..80 {
        end.handle_timeout(now(ms * 1000));
        settle(&mut end);
    }
    let s = end.statistics();
    assert_eq!((s.legs, s.transactions, s.dialogs), (0, 0, 0));
}

/// Cuts a stream that arrives in pieces; `Err` when it must be closed.
fn cut(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, ()> {
    let (mut framer, mut buffer, mut out) = (Framer::default(), Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match framer.next(&buffer) {
                Frame::NeedMore => break,
                Frame::KeepAlive { length, .. } => drop(buffer.drain(..length)),
                Frame::Message { length } => out.push(buffer.drain(..length).collect()),
                Frame::Broken => return Err(()),
            }
        }
    }
    Ok(out)
}

#[test]
fn over_tcp_alone_glued_and_byte_by_byte() {
    for row in rows().unwrap_or_default() {
        let alone = cut(&[&row.bytes]);
        let bytes: Vec<&[u8]> = row.bytes.chunks(1).collect();
        assert_eq!(cut(&bytes), alone, "{}", row.file);
        let must_close = ["ncl.dat", "mcl01.dat"].contains(&row.file.as_str());
        assert!(!must_close || alone.is_err(), "{}", row.file);
        if row.file == "clerr.dat" {
            // More was promised than came: the shell closes when its patience ends.
            assert_eq!(alone, Ok(vec![]));
        }
        let glued = [row.bytes.as_slice(), &row.bytes].concat();
        if let Ok(alone) = alone.filter_single() {
            assert_eq!(cut(&[&glued]).map(|m| m.len()), Ok(alone * 2), "{}", row.file);
        }
        let mut end = Endpoint::new(config(A, Transport::Tcp), Random::from_number(1));
        for message in cut(&[&glued]).unwrap_or_default() {
            end.handle_message(
                now(0),
                flow(peer(row.folder), Transport::Tcp),
                PeerPolicy::default(),
                &message,
            );
            settle(&mut end);
        }
        assert_alive(&mut end, Transport::Tcp, 0);
    }
}

trait FilterSingle {
    fn filter_single(self) -> Result<usize, ()>;
}

impl FilterSingle for Result<Vec<Vec<u8>>, ()> {
    /// How many messages, when the stream ended with the last of them.
    fn filter_single(self) -> Result<usize, ()> {
        self.ok().filter(|m| !m.is_empty()).map(|m| m.len()).ok_or(())
    }
}

/// The column `must_never`, where it can be seen here.
#[test]
fn what_must_never_happen() {
    let Some(rows) = rows() else { return };
    let message = |file: &str| Message::parse(&rows.iter().find(|r| r.file == file).unwrap().bytes).unwrap();
    let setup = |file: &str| {
        let mut end = Endpoint::new(config(A, Transport::Udp), Random::from_number(1));
        let row = rows.iter().find(|r| r.file == file).unwrap();
        end.handle_message(now(0), flow(peer(row.folder), Transport::Udp), PeerPolicy::default(), &row.bytes);
        let outputs: Vec<Output> = std::iter::from_fn(|| end.poll_output()).collect();
        let first = format!("{:?}", outputs.first());
        let found = outputs.into_iter().find_map(|o| match o {
            Output::Event(FromLeg { event: LegEvent::Setup(s), .. }) => Some(s),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{file} sets nothing up: {first:?}"))
    };
    let wsinv = message("wsinv.dat");
    assert_eq!(wsinv.header("UnknownHeaderWithUnusualValue"), Some(";;,,;;,;"));
    assert_eq!(
        wsinv.header("NewFangledHeader").map(|v| v.split_whitespace().collect::<Vec<_>>().join(" ")),
        Some("newfangled value continued newfangled value".into())
    );
    assert_eq!((wsinv.cseq().unwrap().number, wsinv.header("Max-Forwards")), (9, Some("0068")));
    assert_eq!(wsinv.from().unwrap().display_name().as_deref(), Some("J Rosenberg \\\""));
    assert!(message("intmeth.dat").to().unwrap().display_name().unwrap().ends_with("DEL:\u{7f}"));
    assert_eq!(message("intmeth.dat").method(), sip::Method::Other);
    let esc01 = setup("esc01.dat").numbers;
    assert_eq!(
        (esc01.requested.as_str(), esc01.to.as_str(), esc01.from.as_str()),
        ("sips:user@example.com", "user", "I have spaces")
    );
    assert_eq!(message("escnull.dat").headers("Contact").len(), 2);
    assert_eq!(message("esc02.dat").headers("Contact").len(), 2);
    assert_eq!(message("dblreq.dat").body(), b"");
    assert!(message("mpart01.dat").body().contains(&0) && message("mpart01.dat").body().len() > 500);
    let longreq = setup("longreq.dat");
    assert!(longreq.call_id.ends_with("longcallid") && longreq.numbers.from.len() > 100);
    assert_eq!(
        setup("ipv6-in-sdp.dat").session.unwrap().media_address(0),
        "[2001:db8::20]:6000".parse().ok()
    );
    let two = setup("mult-ip-in-sdp.dat").session.unwrap();
    assert_eq!(
        (two.media_address(0), two.media_address(1)),
        ("192.0.2.1:22334".parse().ok(), "[2001:db8::1]:6024".parse().ok())
    );
    let semi = message("semiuri.dat");
    assert_eq!(sip::uri::Uri::parse(semi.request_uri()).unwrap().user_unescaped(), "user;par=u@example.net");
}
