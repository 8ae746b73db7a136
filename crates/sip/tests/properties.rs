//! Whatever comes: no panic, no lasting state, and what we print reads back the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use common::{A, B, address, config, flow};
use proptest::prelude::*;
use sip::framing::{Frame, Framer};
use sip::{Endpoint, Message, Output, PeerPolicy, peek, sdp};
use vocab::leg::{FromLeg, LegCommand, LegEvent};
use vocab::{Now, Random, Tick, Transport, Utc};

const SEEDS: [&str; 6] = [
    "INVITE sip:8801;x@10.0.0.1:5060;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKa1;rport\r\nMax-Forwards: 70\r\nFrom: \"A, \\\"b\\\"\" <sip:1@10.0.0.2>;tag=f1\r\nTo: <sip:8801@10.0.0.1>\r\nCall-ID: c1@10.0.0.2\r\nCSeq: 1 INVITE\r\nContact: <sip:1@10.0.0.2:5060>\r\nSupported: 100rel, timer\r\nAllow: INVITE, UPDATE\r\nProxy-Authorization: Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"0\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\nContent-Type: application/sdp\r\nContent-Length: 104\r\n\r\nv=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA\r\n",
    "SIP/2.0 200 OK\r\nv: SIP/2.0/TCP [2001:db8::1]:5061;branch=z9hG4bK0123456789abcdef;received=10.0.0.1\r\nf: <sip:1@h>;tag=1\r\nt: <sip:2@h>;tag=2\r\ni: c\r\nCSeq: 1 INVITE\r\nm: <sip:2@h>;q=0.5, <sip:3@h>\r\nRecord-Route: <sip:p1;lr>,\r\n <sip:p2;lr>\r\nl: 0\r\n\r\n",
    "BYE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKb\r\nFrom: <sip:1@h>;tag=1\r\nTo: <sip:2@h>;tag=0123456789abcdef\r\nCall-ID: c\r\nCSeq: 2 BYE\r\nReason: Q.850;cause=16;text=\"x\"\r\n\r\n",
    "CANCEL sip:8801@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKa1\r\nFrom: <sip:1@10.0.0.2>;tag=f1\r\nTo: <sip:8801@10.0.0.1>\r\nCall-ID: c1@10.0.0.2\r\nCSeq: 1 CANCEL\r\n\r\n",
    "PRACK sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKc\r\nFrom: <sip:1@h>;tag=1\r\nTo: <tel:+1;ext=2>;tag=2\r\nCall-ID: c\r\nCSeq: 3 PRACK\r\nRAck: 1 1 INVITE\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--",
    "INVITE tel:+4930;phone-context=de SIP/2.0\r\nVia: SIP / 2.0 / UDP h\r\nFrom: sip:1@h\r\nTo: A B <sip:2@h>\r\nCall-ID: old\r\nCSeq: 1 INVITE\r\n\r\n",
];

/// Bytes changed, removed, doubled or replaced by ones that matter.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let interesting = prop::sample::select(b"\r\n\0 \t:;,<>\"\\@/=%[]-0Z\xff\xc3".to_vec());
    let edit = (any::<prop::sample::Index>(), 0u8..4, interesting, 1usize..40);
    (prop::sample::select(SEEDS.to_vec()), prop::collection::vec(edit, 1..6)).prop_map(|(seed, edits)| {
        let mut bytes = seed.as_bytes().to_vec();
        for (at, kind, byte, n) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + n).min(bytes.len());
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => drop(bytes.drain(at..end)),
                2 => bytes.insert(at, byte),
                _ => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    })
}

fn now(ms: u64) -> Now {
    Now { tick: Tick(ms * 1000), utc: Utc(0) }
}

/// Feeds messages, answers every call that comes of them, and lets everything run out.
fn survive(messages: &[Vec<u8>]) {
    let mut end = Endpoint::new(config(A, Transport::Udp), Random::from_number(1));
    let drain = |end: &mut Endpoint, ms: u64| {
        while let Some(output) = end.poll_output() {
            match output {
                Output::Event(FromLeg { leg, event: LegEvent::Setup(setup) }) => {
                    end.command(
                        now(ms),
                        leg,
                        LegCommand::Progress { session: setup.session.clone(), reliable: true },
                    );
                    end.command(now(ms), leg, LegCommand::Answer { session: setup.session });
                }
                Output::Event(_) | Output::Register(_) | Output::Errand(..) => {}
                Output::Send { bytes, .. } => assert!(Message::parse(&bytes).is_ok()),
            }
        }
    };
    for (ms, bytes) in (0..).zip(messages) {
        end.handle_message(now(ms), flow(address(B), Transport::Udp), PeerPolicy::default(), bytes);
        drain(&mut end, ms);
    }
    while let Some(at) = end.poll_timeout() {
        end.handle_timeout(Now { tick: at, utc: Utc(0) });
        drain(&mut end, at.0 / 1000);
    }
    assert_eq!((end.statistics().legs, end.statistics().transactions), (0, 0));
}

fn frame(bytes: &[u8], step: usize) -> (usize, bool) {
    let (mut framer, mut buffer, mut count) = (Framer::default(), Vec::new(), 0);
    for piece in bytes.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match framer.next(&buffer) {
                Frame::NeedMore => break,
                Frame::KeepAlive { length, .. } => drop(buffer.drain(..length)),
                Frame::Message { length } => {
                    buffer.drain(..length);
                    count += 1;
                }
                Frame::Broken => return (count, true),
            }
        }
    }
    (count, false)
}

/// Mutations of broken seeds would not reach far.
#[test]
fn the_seeds_are_sound() {
    for seed in SEEDS {
        assert_eq!(Message::parse(seed.as_bytes()).map(|m| m.check()).ok(), Some(Ok(())), "{seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = peek(&bytes);
        let _ = sdp::parse(&bytes);
        prop_assert_eq!(frame(&bytes, 1), frame(&bytes, 600));
        survive(&[bytes]);
    }

    #[test]
    fn mutated_messages(messages in prop::collection::vec(mutated(), 1..6)) {
        for bytes in &messages {
            let _ = peek(bytes);
            prop_assert_eq!(frame(bytes, 1), frame(bytes, 7));
        }
        survive(&messages);
    }

    #[test]
    fn what_is_printed_reads_back(bytes in mutated()) {
        if let Ok(message) = Message::parse(&bytes) {
            let printed = message.print();
            let again = Message::parse(&printed).expect("printed messages can be read");
            prop_assert_eq!(again.print(), printed.clone());
            prop_assert_eq!(again.body(), message.body());
            let own = |m: &Message| m.fields().filter(|(id, _, _)| *id != sip::message::HeaderName::ContentLength).map(|(_, n, v)| (n.to_owned(), v.to_owned())).collect::<Vec<_>>();
            prop_assert_eq!(own(&again), own(&message));
        }
        if let Ok(session) = sdp::parse(&bytes) {
            let printed = sdp::print(&session, 1, 1);
            prop_assert_eq!(sdp::print(&sdp::parse(printed.as_bytes()).expect("reads"), 1, 1), printed);
        }
    }
}
