//! Messages of sources that are not known: no state before the sender has shown that it is where it says.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is a failure")]

mod common;

use common::{A, config};
use sip::{Challenge, Endpoint, Heard, Message, Output, PeerPolicy, Standing, StrangerReply};
use vocab::leg::LegEvent;
use vocab::{Flow, ListenerId, Now, Random, Tick, Transport};

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

fn endpoint() -> Endpoint {
    let mut config = config(A, Transport::Udp);
    config.challenge = Some(Challenge { status: 407, realm: "tandem".into() });
    Endpoint::new(config, Random::from_number(1))
}

fn request(method: &str, cseq: u32, to_tag: &str, more: &str, body: &str) -> String {
    format!(
        "{method} sip:123@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK{cseq}{method}\r\n\
         From: <sip:bob@10.0.0.9>;tag=f\r\nTo: <sip:123@10.0.0.1>{to_tag}\r\nCall-ID: call1\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:bob@10.0.0.9>\r\nMax-Forwards: 70\r\n{more}\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What a message of a stranger brings: responses and events.
fn say(end: &mut Endpoint, reply: StrangerReply, credit: usize, text: &str) -> (Heard, Vec<Output>) {
    let remote = "10.0.0.9:5060".parse().unwrap();
    let flow = Flow { listener: ListenerId(0), transport: Transport::Udp, remote, connection: 0 };
    let standing = Standing::Stranger { reply, credit: u32::try_from(credit).unwrap() };
    let policy = PeerPolicy { standing, ..PeerPolicy::default() };
    let now = Now { tick: Tick(5_000_000), ..Now::default() };
    let heard = end.handle_message(now, flow, policy, text.as_bytes());
    (heard, std::iter::from_fn(|| end.poll_output()).collect())
}

fn sent(outputs: &[Output]) -> Vec<&[u8]> {
    let sent = outputs.iter().filter_map(|o| match o {
        Output::Send { bytes, .. } => Some(bytes.as_slice()),
        Output::Event(_) | Output::Register(_) | Output::Errand(..) => None,
    });
    sent.collect()
}

fn status(outputs: &[Output]) -> Option<u16> {
    sent(outputs).first().and_then(|bytes| Message::parse(bytes).unwrap().status())
}

#[test]
fn an_invite_is_challenged_without_state_until_it_proves_its_address() {
    let mut end = endpoint();
    let first = request("INVITE", 1, "", "", SDP);
    let (heard, outputs) = say(&mut end, StrangerReply::Challenge, 1500, &first);
    let [challenge] = &sent(&outputs)[..] else { panic!("{outputs:?}") };
    let challenge = Message::parse(challenge).unwrap();
    assert_eq!((challenge.status(), heard.recognised), (Some(407), false));
    let statistics = end.statistics();
    assert_eq!((statistics.transactions, statistics.legs, end.poll_timeout()), (0, 0, None));

    // A nonce that was sent to somebody else proves nothing.
    let nonce = challenge.header("Proxy-Authenticate").unwrap().split('"').nth(3).unwrap().to_owned();
    let with = |nonce: &str| {
        let line = format!(
            "Proxy-Authorization: Digest username=\"u\", realm=\"tandem\", nonce=\"{nonce}\", uri=\"sip:h\", response=\"0\"\r\n"
        );
        request("INVITE", 2, "", &line, SDP)
    };
    let forged = nonce.replace(|c: char| c.is_ascii_digit(), "f");
    let (_, outputs) = say(&mut end, StrangerReply::Challenge, 1500, &with(&forged));
    assert_eq!(status(&outputs), Some(407));
    assert!(String::from_utf8_lossy(sent(&outputs)[0]).contains("stale=true"));
    assert_eq!(end.statistics().legs, 0);
    let (_, outputs) = say(&mut end, StrangerReply::Challenge, 1500, &with(&nonce));
    let setup = |o: &Output| matches!(o, Output::Event(e) if matches!(e.event, LegEvent::Setup(_)));
    assert!(outputs.iter().any(setup), "{outputs:?}");
}

#[test]
fn no_answer_is_longer_than_the_credit() {
    let mut end = endpoint();
    let invite = request("INVITE", 1, "", "", SDP);
    let mut lengths = Vec::new();
    for credit in 0..1000 {
        let (heard, outputs) = say(&mut end, StrangerReply::Challenge, credit, &invite);
        let bytes: usize =
            outputs.iter().map(|o| if let Output::Send { bytes, .. } = o { bytes.len() } else { 0 }).sum();
        assert!(bytes <= credit && heard.answered as usize == bytes);
        lengths.push(bytes);
    }
    lengths.dedup();
    // Nothing, the least that serves, all.
    assert_eq!(lengths.len(), 3, "{lengths:?}");
    assert!(lengths[1] < invite.len(), "an INVITE with an offer is answered at once");
}

#[test]
fn what_belongs_to_nothing_is_met_with_silence() {
    let mut end = endpoint();
    for (reply, text) in [
        (StrangerReply::Silence, request("INVITE", 1, "", "", SDP)),
        (StrangerReply::Challenge, request("OPTIONS", 1, "", "", "")),
        (StrangerReply::Silence, request("BYE", 1, ";tag=0123456789abcdef", "", "")),
        (StrangerReply::Challenge, request("CANCEL", 1, "", "", "")),
        (StrangerReply::Challenge, request("ACK", 1, "", "", "")),
        (StrangerReply::Challenge, request("INVITE", 1, "", "", SDP).replace("CSeq: 1", "CSeq: x")),
        (
            StrangerReply::Silence,
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK0123456789abcdef\r\n\r\n".into(),
        ),
    ] {
        let (heard, outputs) = say(&mut end, reply, 100_000, &text);
        assert_eq!((heard, outputs), (Heard::default(), Vec::new()), "{text}");
    }
    let (_, outputs) = say(&mut end, StrangerReply::Forbid, 100_000, &request("OPTIONS", 1, "", "", ""));
    assert_eq!(status(&outputs), Some(403));
    assert_eq!(end.statistics().transactions, 0);
}
