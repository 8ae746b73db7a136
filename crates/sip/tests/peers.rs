//! Odd and hostile peers, played by hand against one endpoint.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use common::*;
use sip::{Builder, Config, Endpoint, Message, Output, PeerPolicy, sdp, stored_secret};
use std::net::SocketAddr;
use vocab::Transport::{self, Tcp, Udp};
use vocab::leg::LegCommand::*;
use vocab::leg::*;
use vocab::{LegId, Random};

const SDP: &str = "v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 6000 RTP/AVP 8\r\n";

/// A world whose side B is the test.
fn manual(transport: Transport) -> World {
    let mut world = World::new(transport);
    world.manual_b = true;
    world
}

fn answer() -> LegCommand {
    Answer { session: session(5000) }
}

fn bye() -> LegCommand {
    Release { q850: None, text: None }
}

/// A response of B to a request of A, with more headers.
fn respond(request: &Message, status: u16, tag: &str, more: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut b = Builder::response(status, "X");
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        for value in request.headers(name) {
            b.header(name, value);
        }
    }
    let to = request.header("To").unwrap();
    b.header(
        "To",
        &if to.contains("tag=") || tag.is_empty() { to.to_owned() } else { format!("{to};tag={tag}") },
    );
    for (n, v) in more {
        b.header(n, v);
    }
    if body.is_empty() { b.finish() } else { b.finish_with(sdp::CONTENT_TYPE, body.as_bytes()) }
}

const CONTACT: (&str, &str) = ("Contact", "<sip:bob@10.0.0.2:5060>");

/// An INVITE of B to A.
fn invite(branch: &str, more: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut b = Builder::request("INVITE", "sip:123@10.0.0.1");
    b.header("Via", &format!("SIP/2.0/UDP 10.0.0.2:5060;branch={branch}"));
    b.header("From", "<sip:bob@10.0.0.2>;tag=bt").header("To", "<sip:123@10.0.0.1>");
    b.header("Call-ID", "call1");
    if !more.iter().any(|(n, _)| *n == "CSeq") {
        b.header("CSeq", "10 INVITE");
    }
    if !more.iter().any(|(n, _)| *n == "Contact") {
        b.header("Contact", "<sip:bob@10.0.0.2:5060>");
    }
    for (n, v) in more {
        b.header(n, v);
    }
    if body.is_empty() { b.finish() } else { b.finish_with(sdp::CONTENT_TYPE, body.as_bytes()) }
}

/// A request of B in the dialog that A's 2xx (or reliable 18x) made.
fn in_dialog(
    made_by: &Message,
    method: &str,
    cseq: u32,
    branch: &str,
    more: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let mut b = Builder::request(method, "sip:10.0.0.1:5060");
    b.header("Via", &format!("SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{branch}"));
    for name in ["From", "To", "Call-ID"] {
        b.header(name, made_by.header(name).unwrap());
    }
    b.header("CSeq", &format!("{cseq} {method}")).header("Contact", "<sip:bob@10.0.0.2:5060>");
    for (n, v) in more {
        b.header(n, v);
    }
    if body.is_empty() { b.finish() } else { b.finish_with(sdp::CONTENT_TYPE, body.as_bytes()) }
}

fn from_b(world: &mut World, bytes: &[u8]) {
    world.inject(A, address(B), bytes);
}

/// A call of B that A's brain has answered and B has acknowledged.
fn established_from_b(world: &mut World) -> (LegId, Message<'static>) {
    from_b(world, &invite("z9hG4bKi1", &[], SDP));
    let leg = world.last_leg[A].unwrap();
    world.command(A, leg, answer());
    let ok = world.packet(A, "200", 0);
    from_b(world, &in_dialog(&ok, "ACK", 10, "k1", &[], ""));
    assert_eq!(world.events(A), "Setup+ Confirmed");
    (leg, ok)
}

/// A call that A has placed and B has answered.
fn established_to_b(world: &mut World, change: impl FnOnce(&mut Placement)) -> (LegId, Message<'static>) {
    let mut p = placement(world.transport);
    change(&mut p);
    let leg = world.place(p);
    let invite = world.packet(A, "INVITE", 0);
    from_b(world, &respond(&invite, 200, "t1", &[CONTACT], SDP));
    assert_eq!(world.events(A), "Answered+");
    (leg, invite)
}

#[test]
fn what_an_invite_of_ours_says() {
    let mut world = manual(Udp);
    world.place(placement(Udp));
    let m = world.packet(A, "INVITE", 0);
    assert_eq!(m.request_uri(), "sip:8801712345678@10.0.0.2");
    assert_eq!(m.header("To"), Some("<sip:8801712345678@10.0.0.2>"));
    assert!(m.header("From").unwrap().starts_with("\"Al \\\"x\\\"\" <sip:4930123456@10.0.0.1>;tag="));
    assert_eq!(m.header("Contact"), Some("<sip:10.0.0.1:5060>"));
    assert_eq!(
        (m.header("Max-Forwards"), m.header("X-Trace"), m.header("Supported")),
        (Some("69"), Some("1"), Some("100rel"))
    );
    assert!(m.headers("Via").len() == 1 && m.header("Via").unwrap().contains(";rport;branch=z9hG4bK"));
    assert!(m.header("Call-ID").unwrap().len() >= 16 && m.from().unwrap().tag().unwrap().len() >= 16);
    assert!(sdp::parse(m.body()).is_ok());
}

#[test]
fn forms_of_placements() {
    for (change, uri, from, supported) in [
        (
            (|p| p.session = None) as fn(&mut Placement),
            "sip:8801712345678@10.0.0.2",
            "sip:4930123456@10.0.0.1",
            None,
        ),
        (
            |p| p.host = Some("carrier.example".into()),
            "sip:8801712345678@carrier.example",
            "sip:4930123456@10.0.0.1",
            Some("100rel"),
        ),
        (|p| p.called = "*21#".into(), "sip:*21%23@10.0.0.2", "sip:4930123456@10.0.0.1", Some("100rel")),
        (
            |p| p.caller = "anonymous@anonymous.invalid".into(),
            "sip:8801712345678@10.0.0.2",
            "sip:anonymous@anonymous.invalid",
            Some("100rel"),
        ),
        (
            |p| p.caller = "x\r\nEvil: 1".into(),
            "sip:8801712345678@10.0.0.2",
            "sip:x%0D%0AEvil%3A%201@10.0.0.1",
            Some("100rel"),
        ),
        (
            |p| p.target = "10.0.0.2:5070".parse().unwrap(),
            "sip:8801712345678@10.0.0.2:5070",
            "sip:4930123456@10.0.0.1",
            Some("100rel"),
        ),
    ] {
        let mut world = manual(Udp);
        let mut p = placement(Udp);
        change(&mut p);
        world.place(p);
        let m = world.packet(A, "INVITE", 0);
        assert_eq!((m.request_uri(), m.from().unwrap().uri, m.header("Supported")), (uri, from, supported));
        assert_eq!(m.header("Evil"), None);
    }
}

#[test]
fn advertised_addresses() {
    for (advertised, here) in [
        (None, "10.0.0.1:5060"),
        (Some("203.0.113.5"), "203.0.113.5:5060"),
        (Some("sip.example:5099"), "sip.example:5099"),
        (Some("2001:db8::5"), "[2001:db8::5]:5060"),
    ] {
        let mut world = manual(Udp);
        let mut c: Config = config(A, Udp);
        c.listeners[0].advertised = advertised.map(str::to_owned);
        world.ends[A].set_config(c);
        world.place(placement(Udp));
        let m = world.packet(A, "INVITE", 0);
        assert_eq!(m.header("Contact"), Some(format!("<sip:{here}>").as_str()));
        assert!(m.header("Via").unwrap().starts_with(&format!("SIP/2.0/UDP {here};")));
    }
    let mut world = manual(Udp);
    let leg = world.place(Placement { listener: vocab::ListenerId(9), ..placement(Udp) });
    assert_eq!(world.events(A), "Failed:Unreachable Ended");
    assert_ne!(world.place(placement(Udp)), leg);
}

/// What happens to a call of ours when B says this and nothing more.
#[test]
fn failures_of_placed_calls() {
    let challenge = ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\"");
    for (name, response, cancel, events, wire) in [
        (
            "silence",
            None,
            None,
            "Failed:NoResponse Ended",
            "a>INVITE a>INVITE a>INVITE a>INVITE a>INVITE a>INVITE a>INVITE",
        ),
        ("silence and a cancel", None, Some(100), "Failed:NoResponse Ended", "a>INVITE"),
        (
            "100 and a cancel that is not answered",
            Some((100, None)),
            Some(100),
            "Trying Failed:NoResponse Ended",
            "a>INVITE a>CANCEL a>CANCEL a>CANCEL a>CANCEL a>CANCEL a>CANCEL a>CANCEL",
        ),
        (
            "486 with a reason",
            Some((486, Some(("Reason", "Q.850;cause=17;text=\"busy\"")))),
            None,
            "Refused:486 Ended",
            "a>INVITE a>ACK",
        ),
        (
            "a challenge to a call without credentials",
            Some((401, Some(challenge))),
            None,
            "Refused:401 Ended",
            "a>INVITE a>ACK",
        ),
        (
            "200 without a session",
            Some((200, None)),
            None,
            "Failed:Protocol Ended",
            "a>INVITE a>ACK a>BYE a>BYE a>BYE a>BYE a>BYE a>BYE a>BYE",
        ),
    ] {
        let mut world = manual(Udp);
        let leg = world.place(placement(Udp));
        let invite = world.packet(A, "INVITE", 0);
        if let Some((status, header)) = response {
            let headers: Vec<(&str, &str)> = header.into_iter().chain([CONTACT]).collect();
            from_b(&mut world, &respond(&invite, status, if status > 100 { "t1" } else { "" }, &headers, ""));
        }
        if let Some(ms) = cancel {
            world.run_for(ms);
            world.command(A, leg, Cancel { q850: None });
        }
        world.run();
        assert_eq!((world.events(A), world.log()), (events.to_owned(), wire.to_owned()), "{name}");
        world.assert_empty();
    }
}

#[test]
fn refusals_carry_their_reasons() {
    let mut world = manual(Udp);
    world.place(placement(Udp));
    let invite = world.packet(A, "INVITE", 0);
    let more = [
        ("Reason", "SIP;cause=302"),
        ("Reason", "Q.850;cause=34;text=\"no circuit\""),
        ("Retry-After", "30 (soon);duration=5"),
    ];
    from_b(&mut world, &respond(&invite, 503, "t", &more, ""));
    let want = Refusal {
        status: 503,
        phrase: Some("X".into()),
        q850: Some(34),
        text: Some("no circuit".into()),
        retry_after_s: Some(30),
        contacts: vec![],
    };
    assert_eq!(world.raw[0].2, LegEvent::Refused(want));
    let mut world = manual(Udp);
    world.place(placement(Udp));
    let invite = world.packet(A, "INVITE", 0);
    let contact = ("Contact", "<sip:1@h>;q=0.5, \"b, c\" <sip:2@h>;q=0.9, sip:3@h;q=0.5");
    from_b(&mut world, &respond(&invite, 302, "t", &[contact], ""));
    let LegEvent::Refused(refusal) = &world.raw[0].2 else { panic!() };
    assert_eq!(refusal.contacts, ["sip:2@h", "sip:1@h", "sip:3@h"]);
}

#[test]
fn forks_that_answer_too_are_released() {
    let mut world = manual(Udp);
    let (leg, invite) = established_to_b(&mut world, |_| {});
    let second = respond(
        &invite,
        200,
        "t2",
        &[("Contact", "<sip:other@10.0.0.2:5099>"), ("Record-Route", "<sip:p1;lr>, <sip:p2;lr>")],
        SDP,
    );
    from_b(&mut world, &second);
    from_b(&mut world, &second);
    from_b(&mut world, &respond(&invite, 200, "t1", &[CONTACT], SDP));
    assert_eq!(world.log(), "a>INVITE a>ACK a>ACK a>BYE a>ACK a>ACK");
    let loser = world.packet(A, "BYE", 0);
    assert_eq!((loser.request_uri(), loser.to().unwrap().tag()), ("sip:other@10.0.0.2:5099", Some("t2")));
    assert_eq!(loser.headers("Route"), ["<sip:p2;lr>", "<sip:p1;lr>"]);
    assert_eq!(world.packet(A, "ACK", 3).to().unwrap().tag(), Some("t1"));
    assert_eq!(world.events(A), "Answered+");
    world.command(A, leg, bye());
    assert_eq!(world.packet(A, "BYE", 1).to().unwrap().tag(), Some("t1"));
    world.run();
    world.assert_empty();
}

#[test]
fn a_late_answer_of_a_given_up_call_is_released() {
    let mut world = manual(Udp);
    let leg = world.place(placement(Udp));
    let invite = world.packet(A, "INVITE", 0);
    world.command(A, leg, Cancel { q850: None });
    world.run_for(11_000);
    assert_eq!(world.events(A), "Failed:NoResponse Ended");
    from_b(&mut world, &respond(&invite, 180, "t1", &[], ""));
    assert_eq!(world.log(), "a>INVITE a>CANCEL");
    from_b(&mut world, &respond(&invite, 200, "t1", &[CONTACT], SDP));
    assert!(world.log().ends_with("a>ACK a>BYE"), "{}", world.log());
    world.run();
    world.assert_empty();
}

#[test]
fn reliable_provisionals_in_order_and_once() {
    let mut world = manual(Udp);
    world.place(placement(Udp));
    let invite = world.packet(A, "INVITE", 0);
    let reliable = |rseq: &str, status, body| {
        respond(&invite, status, "t1", &[CONTACT, ("Require", "100rel"), ("RSeq", rseq)], body)
    };
    from_b(&mut world, &reliable("7", 183, SDP));
    from_b(&mut world, &reliable("7", 183, SDP));
    from_b(&mut world, &reliable("9", 180, ""));
    assert_eq!(world.events(A), "Progress+");
    from_b(&mut world, &reliable("8", 180, ""));
    assert_eq!(
        (world.events(A), world.log()),
        ("Progress+ Alerting".into(), "a>INVITE a>PRACK a>PRACK".into())
    );
    assert_eq!(world.packet(A, "PRACK", 0).header("RAck"), Some("7 1 INVITE"));
    from_b(&mut world, &respond(&invite, 200, "t1", &[CONTACT], ""));
    assert_eq!(world.raw[2].2, LegEvent::Answered { session: None });
    // Without an offer of ours, nothing is acknowledged: it could be an offer that only we can answer.
    let mut world = manual(Udp);
    world.place(Placement { session: None, ..placement(Udp) });
    let invite = world.packet(A, "INVITE", 0);
    from_b(&mut world, &respond(&invite, 183, "t1", &[CONTACT, ("Require", "100rel"), ("RSeq", "1")], SDP));
    assert_eq!((world.events(A), world.log()), ("Progress+".into(), "a>INVITE".into()));
}

#[test]
fn an_answer_only_in_the_unreliable_183_is_taken() {
    let mut world = manual(Udp);
    world.place(placement(Udp));
    let invite = world.packet(A, "INVITE", 0);
    from_b(&mut world, &respond(&invite, 183, "t1", &[CONTACT], SDP));
    from_b(&mut world, &respond(&invite, 200, "t1", &[CONTACT], ""));
    assert_eq!(world.events(A), "Progress+ Answered+");
}

#[test]
fn an_answer_without_ack() {
    let mut world = manual(Udp);
    from_b(&mut world, &invite("z9hG4bKi1", &[], SDP));
    let leg = world.last_leg[A].unwrap();
    world.command(A, leg, answer());
    world.run();
    assert_eq!(world.events(A), "Setup+ Failed:NoAck Ended");
    let (answers, byes) = (
        world.log.iter().filter(|l| *l == "a>200").count(),
        world.log.iter().filter(|l| *l == "a>BYE").count(),
    );
    assert!(answers == 11 && byes == 7, "{}", world.log());
    world.assert_empty();
}

#[test]
fn a_reliable_183_without_prack() {
    let mut world = manual(Udp);
    from_b(&mut world, &invite("z9hG4bKi1", &[("Require", "100rel")], SDP));
    let leg = world.last_leg[A].unwrap();
    world.command(A, leg, Progress { session: session(5000), reliable: false });
    assert_eq!(world.packet(A, "183", 0).header("Require"), Some("100rel"));
    world.command(A, leg, answer());
    world.run();
    assert_eq!(world.events(A), "Setup+ Failed:NoPrack Ended");
    assert!(world.log().contains("a>504") && !world.log().contains("a>200"), "the 2xx waits for the PRACK");
    world.assert_empty();
}

#[test]
fn an_offer_in_a_reliable_183() {
    let mut world = manual(Udp);
    from_b(&mut world, &invite("z9hG4bKi1", &[("Require", "100rel")], ""));
    let leg = world.last_leg[A].unwrap();
    world.command(A, leg, Progress { session: session(5000), reliable: true });
    let made = world.packet(A, "183", 0);
    let rack = format!("{} 10 INVITE", made.header("RSeq").unwrap());
    from_b(&mut world, &in_dialog(&made, "PRACK", 11, "p0", &[("RAck", "1 10 INVITE")], SDP));
    from_b(&mut world, &in_dialog(&made, "PRACK", 12, "p1", &[("RAck", &rack)], SDP));
    world.command(A, leg, answer());
    from_b(&mut world, &in_dialog(&made, "ACK", 10, "k", &[], ""));
    assert_eq!(world.events(A), "Setup OfferAccepted+ Confirmed");
    assert_eq!(world.log(), "a>100 a>183 a>481 a>200 a>200");
    assert!(world.packet(A, "200", 1).body().is_empty());
}

#[test]
fn digest_of_a_caller() {
    for (password, want) in [("right", CredentialsVerdict::Accepted), ("wrong", CredentialsVerdict::Wrong)] {
        let mut world = World::new(Udp);
        let credentials = Some(PlainCredentials { username: "u".into(), password: password.into() });
        world.reactions.push((
            B,
            "Setup",
            0,
            vec![Challenge { status: 407, realm: "tandem".into(), stale: false }],
        ));
        world.reactions.push((B, "Setup", 0, vec![Refuse(Refusal::status(404))]));
        world.place(Placement { credentials, ..placement(Udp) });
        world.run();
        assert_eq!(world.log(), "a>INVITE b>100 b>407 a>ACK a>INVITE b>100 b>404 a>ACK");
        assert_eq!(
            (world.events(A), world.events(B)),
            ("Trying Refused:404 Ended".into(), "Setup+ Ended Setup+ Ended".into())
        );
        let challenges = world.packet(B, "407", 0);
        assert_eq!(challenges.headers("Proxy-Authenticate").len(), 2);
        let setups: Vec<&Setup> = world
            .raw
            .iter()
            .filter_map(|(_, _, e)| if let LegEvent::Setup(s) = e { Some(&**s) } else { None })
            .collect();
        assert!(setups[0].credentials.is_none());
        let given = setups[1].credentials.as_ref().unwrap();
        assert_eq!(given.username(), "u");
        assert_eq!(given.verify(&stored_secret("u", "tandem", "right")), want);
        // Our own client takes the stronger of the two.
        let second = world.packet(A, "INVITE", 1);
        assert!(second.header("Proxy-Authorization").unwrap().contains("algorithm=SHA-256"));
        assert_eq!(second.cseq().unwrap().number, 2);
        world.assert_empty();
    }
}

#[test]
fn challenges_are_answered_so_often_and_only_with_credentials() {
    let challenge = ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"");
    let mut world = manual(Udp);
    let credentials = Some(PlainCredentials { username: "u".into(), password: "p".into() });
    world.place(Placement { credentials, authentication_retries: 2, ..placement(Udp) });
    for n in 0..3 {
        let invite = world.packet(A, "INVITE", n);
        assert_eq!(invite.header("Authorization").is_some(), n > 0);
        from_b(&mut world, &respond(&invite, 401, "t", &[challenge], ""));
    }
    assert_eq!(
        (world.events(A), world.log()),
        ("Refused:401 Ended".into(), "a>INVITE a>ACK a>INVITE a>ACK a>INVITE a>ACK".into())
    );
}

/// `R-35`: what a challenge must be like to be answered. Each row: credentials, what comes before, where the Contact of
/// the 200 points, the realm that asks for the BYE again; how many BYEs, the last one with credentials if there are two.
#[test]
fn no_credential_goes_to_a_stranger() {
    let ask = |realm: &str| format!("Digest realm=\"{realm}\", nonce=\"n\", qop=\"auth\"");
    let who = || Some(PlainCredentials { username: "u".into(), password: "p".into() });
    for (name, credentials, asked_before, contact, realm, byes) in [
        ("the carrier asks again", who(), Some("r"), "10.0.0.2", "r", 2),
        ("we have none", None, None, "10.0.0.2", "r", 1),
        ("nobody asked for the INVITE", who(), None, "10.0.0.2", "r", 1),
        ("another realm", who(), Some("r"), "10.0.0.2", "R", 1),
        ("the dialog has gone elsewhere", who(), Some("r"), "10.9.0.9", "r", 1),
    ] {
        let mut world = manual(Udp);
        let request_address = RequestAddress::Contact;
        let leg = world.place(Placement { credentials, request_address, ..placement(Udp) });
        let mut invite = world.packet(A, "INVITE", 0);
        if let Some(realm) = asked_before {
            from_b(&mut world, &respond(&invite, 407, "t", &[("Proxy-Authenticate", &ask(realm))], ""));
            invite = world.packet(A, "INVITE", 1);
            assert!(invite.header("Proxy-Authorization").is_some());
        }
        let contact = format!("<sip:b@{contact}>");
        from_b(&mut world, &respond(&invite, 200, "t1", &[("Contact", &contact)], SDP));
        world.command(A, leg, bye());
        let first = world.packet(A, "BYE", 0);
        assert!(first.header("Proxy-Authorization").is_none(), "{name}");
        from_b(&mut world, &respond(&first, 407, "t1", &[("Proxy-Authenticate", &ask(realm))], ""));
        assert_eq!(world.log.iter().filter(|l| *l == "a>BYE").count(), byes, "{name}");
        if byes == 2 {
            assert!(world.packet(A, "BYE", 1).header("Proxy-Authorization").is_some(), "{name}");
        }
    }
}

/// A challenge to the INVITE after the called side was heard does not come from the carrier.
#[test]
fn a_challenge_from_beyond_the_carrier_is_not_answered() {
    let challenge = ("Proxy-Authenticate", "Digest realm=\"r\", nonce=\"n\"");
    let credentials = || Some(PlainCredentials { username: "u".into(), password: "p".into() });
    for (heard, invites) in [(None, 2), (Some(100), 2), (Some(180), 1), (Some(183), 1)] {
        let mut world = manual(Udp);
        world.place(Placement { credentials: credentials(), ..placement(Udp) });
        let invite = world.packet(A, "INVITE", 0);
        if let Some(status) = heard {
            from_b(&mut world, &respond(&invite, status, "t", &[], ""));
        }
        from_b(&mut world, &respond(&invite, 407, "t", &[challenge], ""));
        assert_eq!(world.log.iter().filter(|l| *l == "a>INVITE").count(), invites, "{heard:?}");
    }
}

#[test]
fn requests_that_are_answered_without_the_brain() {
    let long = "x".repeat(300);
    for (name, method, more, want) in [
        ("capabilities", "OPTIONS", vec![], 200),
        ("unknown extension", "OPTIONS", vec![("Require", "foo, 100rel")], 420),
        ("a dialog that is not", "BYE", vec![], 481),
        ("nothing to cancel", "CANCEL", vec![], 481),
        ("known, not done", "REGISTER", vec![], 405),
        ("unknown", "FOO", vec![], 501),
        ("no hops left", "INVITE", vec![("Max-Forwards", "0")], 483),
        ("foreign body", "INVITE", vec![("Content-Type", "text/plain")], 200),
        ("long header", "OPTIONS", vec![("X", long.as_str())], 200),
    ] {
        let mut world = manual(Udp);
        let mut b = Builder::request(method, "sip:123@10.0.0.1");
        b.header("Via", "SIP/2.0/UDP 192.168.1.1:9999;rport;branch=z9hG4bKx;received=6.6.6.6");
        b.header("From", "<sip:bob@10.0.0.2>;tag=bt")
            .header("To", "<sip:123@10.0.0.1>")
            .header("Call-ID", "c");
        b.header("CSeq", &format!("1 {method}"));
        for (n, v) in more {
            b.header(n, v);
        }
        from_b(&mut world, &b.finish());
        let Some((_, bytes)) = world.packets.first() else { panic!("{name}: no answer") };
        let m = Message::parse(bytes).unwrap();
        if name == "foreign body" {
            assert_eq!(m.status(), Some(100), "an empty body has no type");
            continue;
        }
        assert_eq!(m.status(), Some(want), "{name}");
        assert_eq!(
            m.header("Via"),
            Some("SIP/2.0/UDP 192.168.1.1:9999;branch=z9hG4bKx;received=10.0.0.2;rport=5060")
        );
        assert!(m.to().unwrap().tag().is_some());
        if want == 420 {
            assert_eq!(m.header("Unsupported"), Some("foo"));
        }
    }
}

#[test]
fn copies_and_merged_requests() {
    let mut world = manual(Udp);
    let first = invite("z9hG4bKi1", &[], SDP);
    from_b(&mut world, &first);
    from_b(&mut world, &first);
    from_b(&mut world, &invite("z9hG4bKi2", &[], SDP));
    assert_eq!((world.events(A), world.log()), ("Setup+".into(), "a>100 a>100 a>482".into()));
    assert_eq!(world.ends[A].statistics().retransmissions_in, 1);
    // RFC 2543: no cookie; copies, CANCEL and ACK are found by the rest.
    let mut world = manual(Udp);
    let old =
        String::from_utf8(invite("x", &[], SDP)).unwrap().replace(";branch=x", "").replace(";tag=bt", "");
    from_b(&mut world, old.as_bytes());
    from_b(&mut world, old.as_bytes());
    let leg = world.last_leg[A].unwrap();
    world.command(A, leg, Refuse(Refusal::status(486)));
    let refused = world.packet(A, "486", 0);
    let ack = old
        .replace("INVITE", "ACK")
        .replace("To: <sip:123@10.0.0.1>", &format!("To: {}", refused.header("To").unwrap()));
    from_b(&mut world, ack.as_bytes());
    world.run();
    assert_eq!((world.events(A), world.log()), ("Setup+ Ended".into(), "a>100 a>100 a>486".into()));
    world.assert_empty();
}

#[test]
fn strangers_in_a_dialog() {
    let stranger: SocketAddr = "10.6.6.6:5060".parse().unwrap();
    let mut world = manual(Udp);
    let (leg, ok) = established_from_b(&mut world);
    world.inject(A, stranger, &in_dialog(&ok, "BYE", 11, "s1", &[], ""));
    let guessed = String::from_utf8(in_dialog(&ok, "BYE", 11, "s2", &[], "")).unwrap();
    let tag = ok.to().unwrap().tag().unwrap().to_owned();
    from_b(&mut world, guessed.replace(&tag, "0123456789abcdef").as_bytes());
    from_b(&mut world, guessed.replace("tag=bt", "tag=other").as_bytes());
    from_b(&mut world, guessed.replace("call1", "call2").as_bytes());
    let statuses: Vec<_> =
        world.packets.iter().map(|(_, b)| Message::parse(b).unwrap().status().unwrap()).collect();
    assert_eq!(statuses, [100, 200, 403, 481, 481, 481]);
    // The same address behind another port is the same peer, and hears from us there.
    let moved: SocketAddr = "10.0.0.2:6060".parse().unwrap();
    world.inject(A, moved, &in_dialog(&ok, "INFO", 11, "m1", &[], ""));
    world.ends[A].command(world.time(), leg, bye());
    let Some(Output::Send { flow, .. }) = world.ends[A].poll_output() else { panic!() };
    assert_eq!(flow.remote, moved);
    // A CANCEL from elsewhere finds nothing either.
    let mut world = manual(Udp);
    from_b(&mut world, &invite("z9hG4bKi1", &[], SDP));
    let cancel = String::from_utf8(invite("z9hG4bKi1", &[], "")).unwrap().replace("INVITE", "CANCEL");
    world.inject(A, stranger, cancel.as_bytes());
    assert_eq!(world.events(A), "Setup+");
    from_b(&mut world, cancel.as_bytes());
    assert_eq!(world.events(A), "Setup+ Cancelled Ended");
}

#[test]
fn order_of_requests_in_a_dialog() {
    let mut world = manual(Udp);
    let (leg, ok) = established_from_b(&mut world);
    for (method, cseq, branch, want) in [
        ("INFO", 12, "1", "a>200"),
        ("INFO", 12, "1", "a>200"),
        ("INFO", 11, "2", "a>500"),
        ("UPDATE", 13, "3", "a>200"),
        ("OPTIONS", 14, "4", "a>200"),
        ("PRACK", 15, "5", "a>481"),
        ("REFER", 16, "6", "a>405"),
    ] {
        from_b(&mut world, &in_dialog(&ok, method, cseq, branch, &[], ""));
        assert_eq!(world.log.last().map(String::as_str), Some(want), "{method} {cseq}");
    }
    // Ours is open: 491. Theirs is open: 500 with Retry-After.
    world.command(A, leg, Offer { session: session(5002), by: OfferBy::Reinvite });
    from_b(&mut world, &in_dialog(&ok, "INVITE", 20, "7", &[], SDP));
    assert_eq!(world.log.last().unwrap(), "a>491");
    let ours = world.packet(A, "INVITE", 0);
    from_b(&mut world, &respond(&ours, 488, "", &[], ""));
    from_b(&mut world, &in_dialog(&ok, "INVITE", 21, "8", &[], SDP));
    from_b(&mut world, &in_dialog(&ok, "UPDATE", 22, "9", &[], SDP));
    assert_eq!(world.log.last().unwrap(), "a>500");
    assert!(world.packet(A, "500", 1).header("Retry-After").is_some());
    assert_eq!(world.events(A), "Setup+ Confirmed OfferRefused:488 Offered+");
    world.command(A, leg, Offer { session: session(5004), by: OfferBy::Reinvite });
    assert_eq!(world.events[A].last().unwrap(), "OfferRefused:491");
}

#[test]
fn peers_that_have_lost_the_call() {
    for (status, events) in [
        (Some(481), "Answered+ Failed:DialogLost Ended"),
        (None, "Answered+ Failed:DialogLost Ended"),
        (Some(500), "Answered+ OfferRefused:500"),
    ] {
        let mut world = manual(Udp);
        let (leg, _) = established_to_b(&mut world, |_| {});
        world.command(A, leg, Offer { session: session(4002), by: OfferBy::Update });
        let ours = world.packet(A, "INVITE", 1);
        if let Some(status) = status {
            from_b(&mut world, &respond(&ours, status, "t1", &[], ""));
        }
        world.run();
        assert_eq!(world.events(A), events);
        assert_eq!(world.log().contains("BYE"), status != Some(500));
    }
}

#[test]
fn update_falls_back_to_reinvite() {
    let mut world = manual(Udp);
    let leg = world.place(placement(Udp));
    let invite = world.packet(A, "INVITE", 0);
    from_b(&mut world, &respond(&invite, 200, "t1", &[CONTACT, ("Allow", "INVITE, UPDATE")], SDP));
    world.command(A, leg, Offer { session: session(4002), by: OfferBy::Update });
    let update = world.packet(A, "UPDATE", 0);
    from_b(&mut world, &respond(&update, 405, "t1", &[], ""));
    let again = world.packet(A, "INVITE", 1);
    from_b(&mut world, &respond(&again, 200, "t1", &[CONTACT], SDP));
    assert_eq!(world.events(A), "Answered+ OfferAccepted+");
    assert_eq!(again.to().unwrap().tag(), Some("t1"));
    let version = |m: &Message| {
        String::from_utf8_lossy(m.body())
            .lines()
            .nth(1)
            .unwrap()
            .split(' ')
            .nth(2)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!((version(&update), version(&again)), (version(&invite) + 1, version(&invite) + 1));
}

#[test]
fn routes_and_addresses_of_requests_in_a_dialog() {
    let contact = ("Contact", "<sip:bob@10.0.0.77:7777;x=y>");
    for (policy, routes, to, uri, first) in [
        (RequestAddress::Socket, None, "10.0.0.2:5060", "sip:bob@10.0.0.77:7777;x=y", None),
        (RequestAddress::ContactPort, None, "10.0.0.2:7777", "sip:bob@10.0.0.77:7777;x=y", None),
        (RequestAddress::Contact, None, "10.0.0.77:7777", "sip:bob@10.0.0.77:7777;x=y", None),
        (
            RequestAddress::Contact,
            Some("<sip:10.0.0.88;lr>, <sip:10.0.0.99;lr>"),
            "10.0.0.99:5060",
            "sip:bob@10.0.0.77:7777;x=y",
            Some("<sip:10.0.0.99;lr>"),
        ),
        (
            RequestAddress::Socket,
            Some("<sip:10.0.0.88;lr>"),
            "10.0.0.2:5060",
            "sip:bob@10.0.0.77:7777;x=y",
            Some("<sip:10.0.0.88;lr>"),
        ),
        (
            RequestAddress::Socket,
            Some("<sip:strict@10.0.0.88>"),
            "10.0.0.2:5060",
            "sip:strict@10.0.0.88",
            Some("<sip:bob@10.0.0.77:7777;x=y>"),
        ),
    ] {
        let mut world = manual(Udp);
        world.place(Placement { request_address: policy, ..placement(Udp) });
        let invite = world.packet(A, "INVITE", 0);
        let record: Vec<(&str, &str)> =
            routes.map(|r| ("Record-Route", r)).into_iter().chain([contact]).collect();
        let now = world.time();
        world.ends[A].handle_message(
            now,
            flow(address(B), Udp),
            PeerPolicy::default(),
            &respond(&invite, 200, "t1", &record, SDP),
        );
        let Some(Output::Send { flow, bytes }) = world.ends[A].poll_output() else { panic!() };
        let ack = Message::parse(&bytes).unwrap();
        assert_eq!(
            (flow.remote, ack.request_uri(), ack.header("Route")),
            (to.parse().unwrap(), uri, first),
            "{policy:?} {routes:?}"
        );
    }
}

#[test]
fn addresses_of_responses() {
    for (policy, via, to) in [
        (ReplyAddress::Socket, "10.0.0.50:9999", "10.0.0.2:5060"),
        (ReplyAddress::ViaPort, "10.0.0.50:9999", "10.0.0.2:9999"),
        (ReplyAddress::ViaPort, "host.example", "10.0.0.2:5060"),
        (ReplyAddress::Via, "10.0.0.50:9999", "10.0.0.50:9999"),
        (ReplyAddress::Via, "host.example:9999", "10.0.0.2:9999"),
        (ReplyAddress::Via, "255.255.255.255", "10.0.0.2:5060"),
    ] {
        let mut end = Endpoint::new(config(A, Udp), Random::from_number(1));
        let text = String::from_utf8(invite("z9hG4bK1", &[], SDP))
            .unwrap()
            .replace("UDP 10.0.0.2:5060", &format!("UDP {via}"));
        let policy = PeerPolicy { reply_address: policy, ..PeerPolicy::default() };
        end.handle_message(manual(Udp).time(), flow(address(B), Udp), policy, text.as_bytes());
        let Some(Output::Send { flow, .. }) = end.poll_output() else { panic!() };
        assert_eq!(flow.remote, to.parse().unwrap(), "{policy:?} {via}");
    }
}

#[test]
fn connections_that_break() {
    // Before any answer.
    let mut world = manual(Tcp);
    world.place(placement(Tcp));
    let now = world.time();
    world.ends[A].handle_flow_closed(now, flow(address(B), Tcp));
    world.run();
    assert_eq!(world.events(A), "Failed:Unreachable Ended");
    world.assert_empty();
    // ICMP while the call rings does not end it; before any answer it does.
    for (rings, events) in [(true, "Alerting"), (false, "Failed:Unreachable Ended")] {
        let mut world = manual(Udp);
        world.place(placement(Udp));
        let invite = world.packet(A, "INVITE", 0);
        if rings {
            from_b(&mut world, &respond(&invite, 180, "t", &[], ""));
        }
        let now = world.time();
        world.ends[A].handle_flow_closed(now, flow(address(B), Udp));
        world.run_for(1);
        let seen: Vec<_> = std::iter::from_fn(|| world.ends[A].poll_output()).collect();
        let told = world.events(A)
            + &seen
                .iter()
                .filter_map(|o| if let Output::Event(e) = o { Some(short(&e.event)) } else { None })
                .collect::<Vec<_>>()
                .join(" ");
        assert_eq!(told, events);
    }
    // In a call: the next request asks for a new connection to where the peer listens.
    let mut world = manual(Tcp);
    let (leg, _) = established_to_b(&mut world, |_| {});
    let now = world.time();
    world.ends[A].handle_flow_closed(now, flow(address(B), Tcp));
    world.ends[A].command(now, leg, bye());
    let sent: Vec<_> = std::iter::from_fn(|| world.ends[A].poll_output()).collect();
    let Some(Output::Send { flow, .. }) = sent.first() else { panic!("{sent:?}") };
    assert_eq!((flow.connection, flow.remote), (0, address(B)));
}

#[test]
fn a_setup_tells_everything() {
    let mut world = manual(Udp);
    let more = [
        ("P-Asserted-Identity", "\"A\" <sip:+491@h>, <tel:+492>"),
        ("Remote-Party-ID", "<sip:493@h>;party=calling"),
        ("Privacy", "id"),
        ("User-Agent", "SIPp"),
        ("X-One", "1"),
        ("Diversion", "<sip:7@h>;reason=unconditional"),
        ("Max-Forwards", "17"),
    ];
    let text = String::from_utf8(invite("z9hG4bKi1", &more, SDP)).unwrap();
    let text = text
        .replace("INVITE sip:123@10.0.0.1", "INVITE sip:%2B4912;npdi;rn=5@10.0.0.1;user=phone")
        .replace("To: <sip:123@10.0.0.1>", "To: <tel:+4913;phone-context=x>");
    from_b(&mut world, text.as_bytes());
    let LegEvent::Setup(setup) = &world.raw[0].2 else { panic!() };
    let n = &setup.numbers;
    assert_eq!((n.requested.as_str(), n.to.as_str(), n.from.as_str()), ("+4912", "+4913", "bob"));
    assert_eq!(
        (n.asserted.as_deref(), n.remote_party.as_deref(), n.privacy.as_deref()),
        (Some("+491"), Some("493"), Some("id"))
    );
    assert_eq!(
        (setup.max_forwards, setup.user_agent.as_deref(), setup.call_id.as_str()),
        (17, Some("SIPp"), "call1")
    );
    let extra: Vec<_> = setup.extra_headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(extra, [("X-One", "1"), ("Diversion", "<sip:7@h>;reason=unconditional")]);
    assert_eq!(world.ends[A].call_id(world.last_leg[A].unwrap()), Some("call1"));
}

#[test]
fn multipart_offers() {
    let part = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--b\r\nContent-Type: application/isup\r\n\r\n\u{1}\r\n--b--\r\n"
    );
    let text = String::from_utf8(invite("z9hG4bKi1", &[], &part)).unwrap();
    let mut world = manual(Udp);
    from_b(
        &mut world,
        text.replace("application/sdp\r\nContent-Length", "multipart/mixed;boundary=b\r\nContent-Length")
            .as_bytes(),
    );
    assert_eq!(world.events(A), "Setup+");
}

#[test]
fn hostile_sizes_take_linear_time() {
    let cost = |n: usize| {
        let mut text = String::from("INVITE sip:a@h SIP/2.0\r\n");
        text.push_str(&"Via: SIP/2.0/UDP a;branch=x,\r\n ".repeat(n));
        text.push_str("\r\n\r\n");
        let start = std::time::Instant::now();
        for _ in 0..20 {
            let _ = Message::parse(text.as_bytes()).map(|m| m.check());
        }
        start.elapsed()
    };
    cost(1000);
    let (small, large) = (cost(500), cost(1000));
    assert!(large < small * 4 + std::time::Duration::from_millis(20), "{small:?} {large:?}");
}
