//! Every finding has a call that produces it, and calls in good health have none. A scenario is written as it would be
//! drawn: who sent what, when, and what the record said.

#![allow(clippy::unwrap_used, reason = "a panic is a failure")]

use cdr::{Attempt, AttemptResult, Cdr, LegRecord, MediaFigures, Named, Numbers, SilentSide};
use diagnosis::capture::{CaptureStore, Message};
use diagnosis::findings::{Case, findings};
use diagnosis::{Event, Side};
use vocab::explain::RouteExplanation;
use vocab::{AccountId, CallId, EndReason, EndedBy, MappingGatewayId, RoutingGatewayId, Transport, Utc};

const CALL: CallId = CallId(7);

/// A call being written down.
struct Story {
    store: CaptureStore,
    cdr: Cdr,
    at_ms: i64,
}

fn named<I>(id: I, name: &str) -> Option<Named<I>> {
    Some(Named { id, name: name.into() })
}

fn leg(call_id: &str, remote: &str) -> LegRecord {
    let media = MediaFigures { packets_in: 500, packets_out: 500, ..MediaFigures::default() };
    LegRecord {
        call_id: call_id.to_owned(),
        remote: Some(remote.parse().unwrap()),
        codec: Some("PCMA".to_owned()),
        media,
        ..LegRecord::default()
    }
}

fn attempt(result: AttemptResult, sip_code: u16, text: &str) -> Attempt {
    Attempt {
        gateway: named(RoutingGatewayId(1), "v1").unwrap(),
        account: named(AccountId(2), "vendor").unwrap(),
        called: "4420".to_owned(),
        caller: "15551234".to_owned(),
        call_id: "b".to_owned(),
        remote: Some("198.51.100.2:5060".parse().unwrap()),
        start: Utc(0),
        ringing: None,
        end: Utc(0),
        result,
        sip_code,
        q850: 0,
        text: (!text.is_empty()).then(|| text.to_owned()),
    }
}

const A: &str = "203.0.113.9:5060";
const B: &str = "198.51.100.2:5060";

impl Story {
    /// A call of the caller at 203.0.113.9, for which gateway v1 at 198.51.100.2 is tried.
    fn new() -> Story {
        let cdr = Cdr {
            version: 1,
            call: CALL,
            start: Utc(0),
            ringing: None,
            answer: None,
            end: Utc(60_000_000),
            pdd_ms: None,
            talk_ms: 0,
            caller: Numbers { received: "15551234".into(), sent: Some("15551234".into()) },
            called: Numbers { received: "4420".into(), sent: Some("4420".into()) },
            account: named(AccountId(1), "acme"),
            mapping_gateway: named(MappingGatewayId(1), "pbx"),
            vendor: named(AccountId(2), "vendor"),
            routing_gateway: named(RoutingGatewayId(1), "v1"),
            sale: None,
            cost: None,
            profit: None,
            agents: Vec::new(),
            tax: None,
            end_reason: EndReason::NormalRelease,
            ended_by: EndedBy::Caller,
            sip_code: 200,
            q850: 16,
            end_text: None,
            a: leg("a", A),
            b: leg("b", B),
            media_relayed: true,
            silent: Vec::new(),
            attempts: vec![attempt(AttemptResult::Answered, 200, "")],
            route: RouteExplanation::default(),
        };
        let mut store = CaptureStore::default();
        store.event(Utc(0), CALL, Event::Leg { side: Side::A, call_id: "a".into(), peer: None });
        store.event(Utc(0), CALL, Event::Leg { side: Side::B, call_id: "b".into(), peer: Some("v1".into()) });
        Story { store, cdr, at_ms: 0 }
    }

    fn answered(mut self) -> Story {
        (self.cdr.answer, self.cdr.talk_ms) = (Some(Utc(1_000_000)), 30_000);
        self
    }

    fn failed(mut self, reason: EndReason, sip_code: u16, text: &str) -> Story {
        self.cdr.end_reason = reason;
        self.cdr.attempts = vec![attempt(AttemptResult::Failed(reason), sip_code, text)];
        self
    }

    /// `A> INVITE 1 INVITE | Header: x | sdp 10.0.0.1 8,101`: who, the way (`>` to the switch, `<` from it), the first
    /// line's start, the CSeq, more headers, a session description.
    fn says(mut self, line: &str) -> Story {
        self.at_ms += 100;
        let mut parts = line.split('|').map(str::trim);
        let words: Vec<&str> = parts.next().unwrap().split(' ').collect();
        let (side, incoming) =
            (if words[0].starts_with('A') { Side::A } else { Side::B }, words[0].ends_with('>'));
        let start = match words[1].parse::<u16>() {
            Ok(status) => format!("SIP/2.0 {status} Words"),
            Err(_) => format!("{} sip:4420@switch SIP/2.0", words[1]),
        };
        let (call_id, remote) = if side == Side::A { ("a", A) } else { ("b", B) };
        let in_dialog = words.get(4) == Some(&"in");
        let tag = if in_dialog || words[1].parse::<u16>().is_ok() { ";tag=t" } else { "" };
        let mut text = format!(
            "{start}\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bK{}{}\r\nFrom: <sip:15551234@x>;tag=f\r\nTo: <sip:4420@x>{tag}\r\nCall-ID: {call_id}\r\nCSeq: {} {}\r\n",
            words[2], words[3], words[2], words[3]
        );
        let mut body = String::new();
        for part in parts {
            match part.strip_prefix("sdp ") {
                Some(sdp) => body = session(sdp),
                None => text += &format!("{part}\r\n"),
            }
        }
        if !body.is_empty() {
            text += "Content-Type: application/sdp\r\n";
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.store.message(Message {
            at: Utc(self.at_ms * 1000),
            leg: 0,
            incoming,
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
            connection: 0,
            bytes: text.as_bytes().into(),
        });
        self
    }

    fn set(mut self, change: impl FnOnce(&mut Cdr)) -> Story {
        change(&mut self.cdr);
        self
    }

    /// Keys of the findings, and all of their texts.
    fn found(&self) -> (Vec<&'static str>, String) {
        let capture = self.store.of_call(CALL);
        let found = findings(&Case::new(&self.cdr, capture, false));
        let texts = found.iter().map(|f| f.text.as_str()).collect::<Vec<_>>().join("\n");
        (found.iter().map(|f| f.key).collect(), texts)
    }

    #[track_caller]
    fn has(&self, want: &str, words: &[&str]) {
        let (keys, text) = self.found();
        assert_eq!(keys, [want], "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} in {text}");
        }
    }
}

/// `ADDRESS FORMATS [PROTOCOL]`; payload 101 and 96 are telephone events.
fn session(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let protocol = words.get(2).unwrap_or(&"RTP/AVP");
    let formats = words[1].replace(',', " ");
    let mut body = format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 {protocol} {formats}\r\n",
        words[0]
    );
    for events in words[1].split(',').filter(|f| ["101", "96"].contains(f)) {
        body += &format!("a=rtpmap:{events} telephone-event/8000\r\n");
    }
    body
}

/// A call as it should be.
fn healthy() -> Story {
    Story::new()
        .answered()
        .says("A> INVITE 1 INVITE | Contact: <sip:x@203.0.113.9> | sdp 203.0.113.9 8,101")
        .says("B< INVITE 1 INVITE | sdp 192.0.2.1 8,101")
        .says("B> 200 1 INVITE | Contact: <sip:v@198.51.100.2> | sdp 198.51.100.2 8,101")
        .says("A< 200 1 INVITE | sdp 192.0.2.1 8,101")
        .says("A> ACK 1 ACK in")
        .says("B< ACK 1 ACK in")
}

#[test]
fn healthy_calls_have_none() {
    let nat = Story::new()
        .answered()
        .says("A> INVITE 1 INVITE | Contact: <sip:x@10.0.0.5> | sdp 10.0.0.5 8,101")
        .says("B< INVITE 1 INVITE | sdp 192.0.2.1 8,101")
        .says("B> 200 1 INVITE | sdp 198.51.100.2 8,101")
        .says("A< 200 1 INVITE | sdp 192.0.2.1 8,101")
        .says("A> ACK 1 ACK in")
        .set(|c| c.a.media.remote = Some("203.0.113.9:4000".parse().unwrap()));
    let lossy_path = healthy()
        .says("A< 200 1 INVITE | sdp 192.0.2.1 8,101")
        .says("A< BYE 2 BYE in")
        .says("A< BYE 2 BYE in")
        .says("A> 200 2 BYE");
    let busy = Story::new()
        .failed(EndReason::CalleeBusy, 486, "Busy Here")
        .says("A> INVITE 1 INVITE | sdp 203.0.113.9 8");
    let cancelled = Story::new().failed(EndReason::CallerCancelled, 487, "");
    let direct = healthy().set(|c| {
        c.media_relayed = false;
        (c.a.media, c.b.media) = Default::default();
    });
    let held = healthy().set(|c| {
        c.silent = vec![SilentSide {
            gateway: true,
            why: "on_hold".into(),
            words: String::new(),
            from_ms: 9,
            until_ms: None,
        }];
    });
    let refreshed = healthy()
        .says("A< UPDATE 2 UPDATE in | Session-Expires: 1800")
        .says("A> 200 2 UPDATE | Session-Expires: 1800");
    for (name, story) in [
        ("plain", healthy()),
        ("learned behind NAT", nat),
        ("with retransmissions", lossy_path),
        ("busy", busy),
        ("cancelled", cancelled),
        ("without relay", direct),
        ("on hold", held),
        ("refreshed", refreshed),
    ] {
        let (keys, text) = story.found();
        assert!(keys.is_empty(), "{name}: {text}");
    }
}

#[test]
fn audio() {
    let silent = |side: Side| {
        move |c: &mut Cdr| if side == Side::A { c.a.media.packets_in = 0 } else { c.b.media.packets_in = 0 }
    };
    healthy()
        .set(silent(Side::B))
        .has("one_way_audio", &["one-way", "nothing came from gateway v1", "500 packets were sent"]);
    healthy().set(silent(Side::A)).has("one_way_audio", &["nothing came from the caller"]);
    healthy().set(silent(Side::A)).set(silent(Side::B)).has("no_audio", &["not one packet"]);
    let private = Story::new()
        .answered()
        .says("A> INVITE 1 INVITE | sdp 203.0.113.9 8,101")
        .says("B> 200 1 INVITE | sdp 10.0.0.5 8,101")
        .set(silent(Side::B));
    let (keys, text) = private.found();
    assert_eq!(keys, ["one_way_audio", "private_sdp_address"]);
    assert!(
        text.contains("10.0.0.5") && text.contains("198.51.100.2") && text.contains("cannot arrive"),
        "{text}"
    );
    private.set(|c| c.media_relayed = false).has("private_sdp_address", &["10.0.0.5"]);
    healthy()
        .set(|c| c.b.media.rejected = 300)
        .has("media_elsewhere", &["300 packets for gateway v1", "another address"]);
    let elsewhere =
        healthy().set(silent(Side::B)).set(|c| c.a.media.remote = Some("203.0.113.77:9".parse().unwrap()));
    assert_eq!(elsewhere.found().0, ["one_way_audio", "media_elsewhere"]);
    healthy().set(|c| c.a.media.lost = 100).has("media_lossy", &["100 of 600 packets from the caller"]);
    for (why, key) in
        [("encrypted", "encryption_mismatch"), ("wrong_codec", "codec_wrong"), ("stopped", "media_stopped")]
    {
        let told = SilentSide {
            gateway: true,
            why: why.into(),
            words: "the words".into(),
            from_ms: 1,
            until_ms: None,
        };
        healthy().set(|c| c.silent = vec![told]).has(key, &["the words"]);
    }
}

#[test]
fn drops() {
    let no_ack = ["A< 200 1 INVITE"; 7].iter().fold(
        Story::new().answered().says("A> INVITE 1 INVITE | Contact: <sip:x@10.9.9.9> | sdp 203.0.113.9 8"),
        |story, line| story.says(line),
    );
    let ended = |c: &mut Cdr| {
        c.end_reason = EndReason::ProtocolError;
        c.end_text = Some("the 200 was never acknowledged".into());
    };
    no_ack.set(ended).has("no_ack", &["sent 7 times", "32 seconds", "10.9.9.9"]);
    // Without the messages the record is enough.
    Story::new().answered().set(ended).has("no_ack", &["no ACK came"]);
    let nat = Story::new()
        .answered()
        .says("A> INVITE 1 INVITE | Contact: <sip:x@10.0.0.5:5060> | sdp 203.0.113.9 8,101")
        .says("B> 200 1 INVITE | sdp 198.51.100.2 8,101")
        .says("A> ACK 1 ACK in");
    let nat = ["A< BYE 2 BYE in"; 5].iter().fold(nat, |story, line| story.says(line));
    nat.has("nat_binding_lost", &["behind NAT", "5 copies of BYE", "closed the way"]);
    let gone = ["B< BYE 2 BYE in"; 5].iter().fold(healthy(), |story, line| story.says(line));
    gone.has("peer_gone", &["gateway v1 did not answer 5 copies of BYE"]);
}

#[test]
fn session_timers() {
    let small = Story::new().failed(EndReason::GatewayFailure, 422, "Session Interval Too Small");
    small.says("B> 422 1 INVITE | Min-SE: 1800").has("session_timer_too_small", &["422", "1800"]);
    healthy()
        .says("A< UPDATE 2 UPDATE in")
        .says("A> 481 2 UPDATE")
        .has("session_refresh_refused", &["481", "the caller"]);
    let expired = healthy()
        .set(|c| c.end_reason = EndReason::SessionTimeout)
        .says("B> 200 1 INVITE | Session-Expires: 90");
    expired.has("session_not_refreshed", &["Session-Expires: 90"]);
}

#[test]
fn gateways() {
    let silent = Story::new().failed(EndReason::InviteTimeout, 0, "");
    let silent = ["B< INVITE 1 INVITE"; 7].iter().fold(silent, |story, line| story.says(line));
    silent.has("gateway_no_answer", &["no answer to 7 INVITEs", "198.51.100.2:5060", "firewall"]);
    Story::new().failed(EndReason::ResponseTimeout, 0, "").has("gateway_fell_silent", &["100 Trying"]);
    Story::new().failed(EndReason::ResponseTimeout, 408, "").has("gateway_fell_silent", &["408"]);
    Story::new().failed(EndReason::GatewayFailure, 503, "Full").has("gateway_unavailable", &["503 (Full)"]);
    let all = Story::new().failed(EndReason::GatewayFailure, 503, "").set(|c| {
        let again = c.attempts[0].clone();
        c.attempts.push(again);
    });
    assert_eq!(all.found().0[0], "all_gateways_unavailable");
    let password = Story::new().failed(EndReason::GatewayFailure, 401, "");
    let password = password.says("B< INVITE 2 INVITE | Authorization: Digest username=\"u\"");
    password.has("gateway_password", &["refused the password"]);
    Story::new().failed(EndReason::GatewayFailure, 407, "").has("gateway_password", &["none is set"]);
}

#[test]
fn callers() {
    Story::new()
        .failed(EndReason::CalleeRejected, 403, "Invalid CLI")
        .has("caller_number_refused", &["15551234", "403"]);
    Story::new().failed(EndReason::GatewayFailure, 433, "").has("caller_number_refused", &["433"]);
    healthy().set(|c| c.caller.sent = Some("anonymous".into())).has("caller_number_odd", &["anonymous"]);
    healthy().set(|c| c.caller.sent = Some(String::new())).has("caller_number_odd", &["(none)"]);
    let two = Story::new()
        .answered()
        .says("A> INVITE 1 INVITE | P-Asserted-Identity: <sip:+18005550000@x> | sdp 203.0.113.9 8");
    two.has("caller_number_two", &["15551234 in From", "18005550000 in P-Asserted-Identity"]);
}

#[test]
fn agreements() {
    let refused = Story::new()
        .failed(EndReason::CodecMismatch, 488, "")
        .says("A> INVITE 1 INVITE | sdp 203.0.113.9 18,4")
        .says("B< INVITE 1 INVITE | sdp 192.0.2.1 18,4")
        .says("B> 488 1 INVITE");
    refused.has("codec_mismatch", &["gateway v1 refused", "G729, G723"]);
    let ours = Story::new().set(|c| (c.end_reason, c.attempts) = (EndReason::CodecMismatch, Vec::new()));
    ours.says("A> INVITE 1 INVITE | sdp 203.0.113.9 8").has("codec_mismatch", &["the caller offers PCMA"]);
    let secure = Story::new()
        .failed(EndReason::CodecMismatch, 488, "")
        .says("A> INVITE 1 INVITE | sdp 203.0.113.9 8 RTP/SAVP")
        .says("B< INVITE 1 INVITE | sdp 192.0.2.1 8 RTP/SAVP")
        .says("B> 488 1 INVITE");
    secure.has("encryption_mismatch", &["the caller demands encrypted media"]);
    let without_events = Story::new()
        .answered()
        .says("A> INVITE 1 INVITE | sdp 203.0.113.9 8,101")
        .says("B> 200 1 INVITE | sdp 198.51.100.2 8");
    without_events.has("dtmf_method", &["gateway v1 does not know them"]);
    let info = healthy().says("A> INFO 2 INFO in | Content-Type: application/dtmf-relay");
    info.has("dtmf_method", &["the caller sends digits as INFO"]);
    let numbers = Story::new()
        .answered()
        .says("A> INVITE 1 INVITE | sdp 203.0.113.9 8,101")
        .says("B> 200 1 INVITE | sdp 198.51.100.2 8,96")
        .says("A< 200 1 INVITE | sdp 192.0.2.1 8,96");
    numbers.has("dtmf_payload", &["101 at the caller and 96"]);
}
