//! Requests that are too long for a datagram, and responses from where nobody was asked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{config, placement, session};
use sip::{Config, Endpoint, ListenerConfig, Message, Output, PeerPolicy, Standing, StrangerReply};
use std::net::SocketAddr;
use std::time::Duration;
use vocab::leg::{LegCommand, LegEvent};
use vocab::{Flow, LegId, ListenerId, Now, Random, SessionDescription, Tick, Transport, Utc};

const VENDOR: &str = "10.0.0.2:5060";
const OK: &str = "Contact: <sip:b@10.0.0.2:5060>\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 6000 RTP/AVP 8\r\n";

struct Caller {
    end: Endpoint,
    now: Tick,
}

impl Caller {
    fn new(tcp: bool) -> Caller {
        let mut config: Config = config(common::A, Transport::Udp);
        if tcp {
            let beside = ListenerConfig {
                id: ListenerId(1),
                transport: Transport::Tcp,
                port: 5070,
                ..config.listeners[0].clone()
            };
            config.listeners.push(beside);
        }
        Caller { end: Endpoint::new(config, Random::from_number(5)), now: Tick(1_000_000) }
    }

    fn time(&self) -> Now {
        Now { tick: self.now, utc: Utc(0) }
    }

    fn place(&mut self, session: Option<SessionDescription>) -> LegId {
        let mut call = placement(Transport::Udp);
        call.session = session;
        self.end.place(self.time(), call)
    }

    /// What goes out now, and the events.
    fn drain(&mut self) -> (Vec<(Flow, Vec<u8>)>, Vec<LegEvent>) {
        let (mut sent, mut events) = (Vec::new(), Vec::new());
        while let Some(output) = self.end.poll_output() {
            match output {
                Output::Send { flow, bytes } => sent.push((flow, bytes)),
                Output::Event(event) => events.push(event.event),
                Output::Register(_) | Output::Errand(..) => {}
            }
        }
        (sent, events)
    }

    fn one(&mut self) -> (Flow, Vec<u8>) {
        let (mut sent, _) = self.drain();
        assert_eq!(sent.len(), 1);
        sent.remove(0)
    }

    fn answer(&mut self, flow: Flow, policy: PeerPolicy, request: &[u8], status: &str, rest: &str) {
        let request = Message::parse(request).unwrap();
        let line = |name: &str| format!("{name}: {}\r\n", request.header(name).unwrap());
        let lines: String = ["Via", "From", "Call-ID", "CSeq"].into_iter().map(line).collect();
        let to = request.header("To").unwrap();
        let tag = if to.contains("tag=") { "" } else { ";tag=b" };
        let text = format!("SIP/2.0 {status}\r\n{lines}To: {to}{tag}\r\n{rest}");
        self.end.handle_message(self.time(), flow, policy, text.as_bytes());
    }
}

/// With so many codecs that no datagram holds it.
fn long_session() -> Option<SessionDescription> {
    let mut session = session(4000)?;
    for n in 0..60 {
        let attribute = vocab::session::Attribute {
            name: "fmtp".into(),
            value: Some(format!("{n} mode-set=0,2,4,7").into()),
        };
        session.media[0].attributes.push(attribute);
    }
    Some(session)
}

fn via(bytes: &[u8]) -> String {
    Message::parse(bytes).unwrap().header("Via").unwrap().to_owned()
}

#[test]
fn a_long_request_goes_over_tcp_and_the_dialog_stays_on_udp() {
    let mut caller = Caller::new(true);
    let leg = caller.place(long_session());
    let (flow, invite) = caller.one();
    assert_eq!((flow.transport, flow.listener, flow.connection), (Transport::Tcp, ListenerId(1), 0));
    assert!(
        invite.len() > 1300 && via(&invite).starts_with("SIP/2.0/TCP 10.0.0.1:5070;"),
        "{}",
        via(&invite)
    );
    assert_eq!(Message::parse(&invite).unwrap().header("Contact"), Some("<sip:10.0.0.1:5060>"));
    let back = Flow { connection: 9, ..flow };
    caller.answer(back, PeerPolicy::default(), &invite, "180 Ringing", "\r\n");
    caller.answer(back, PeerPolicy::default(), &invite, "200 OK", OK);
    let (ack, ack_bytes) = caller.one();
    assert_eq!((ack.transport, ack.listener, ack.connection), (Transport::Udp, ListenerId(0), 0));
    assert!(ack_bytes.starts_with(b"ACK ") && via(&ack_bytes).starts_with("SIP/2.0/UDP 10.0.0.1:5060;"));
    let time = caller.time();
    caller.end.command(time, leg, LegCommand::Release { q850: None, text: None });
    let (bye, bytes) = caller.one();
    assert!(bytes.starts_with(b"BYE ") && bye.transport == Transport::Udp);
}

#[test]
fn where_tcp_is_refused_udp_takes_over_and_is_remembered() {
    let mut caller = Caller::new(true);
    caller.place(long_session());
    let (tcp, streamed) = caller.one();
    let time = caller.time();
    caller.end.handle_flow_closed(time, tcp);
    let (udp, datagram) = caller.one();
    assert_eq!((udp.transport, udp.listener), (Transport::Udp, ListenerId(0)));
    assert!(via(&datagram).starts_with("SIP/2.0/UDP 10.0.0.1:5060;"), "{}", via(&datagram));
    let branch = |bytes: &[u8]| via(bytes).split_once("branch=").unwrap().1.to_owned();
    assert_eq!(branch(&streamed), branch(&datagram));
    // Over UDP it is repeated, and a second end of the connection changes nothing.
    caller.end.handle_flow_closed(time, tcp);
    assert_eq!(caller.drain(), (vec![], vec![]));
    caller.now = caller.now + Duration::from_millis(500);
    let time = caller.time();
    caller.end.handle_timeout(time);
    assert_eq!(caller.one(), (udp, datagram));
    caller.place(long_session());
    assert_eq!(caller.one().0.transport, Transport::Udp);
    caller.now = caller.now + Duration::from_secs(601);
    caller.place(long_session());
    assert_eq!(caller.one().0.transport, Transport::Tcp);
}

#[test]
fn a_connection_lost_after_an_answer_is_no_refusal() {
    let mut caller = Caller::new(true);
    caller.place(long_session());
    let (tcp, invite) = caller.one();
    caller.answer(Flow { connection: 9, ..tcp }, PeerPolicy::default(), &invite, "100 Trying", "\r\n");
    caller.drain();
    let time = caller.time();
    caller.end.handle_flow_closed(time, Flow { connection: 9, ..tcp });
    let (sent, events) = caller.drain();
    assert_eq!(sent, vec![]);
    assert!(matches!(events.as_slice(), [LegEvent::Failed(_), LegEvent::Ended]), "{events:?}");
}

#[test]
fn short_requests_and_switches_without_tcp_stay_on_udp() {
    let mut caller = Caller::new(true);
    caller.place(session(4000));
    assert_eq!(caller.one().0.transport, Transport::Udp);
    let mut without = Caller::new(false);
    without.place(long_session());
    let (flow, bytes) = without.one();
    assert!(flow.transport == Transport::Udp && via(&bytes).starts_with("SIP/2.0/UDP"));
}

/// `R-33`: a branch that was overheard is of no use elsewhere.
#[test]
fn only_who_was_asked_may_answer() {
    let stranger = PeerPolicy {
        standing: Standing::Stranger { reply: StrangerReply::Silence, credit: u32::MAX },
        ..PeerPolicy::default()
    };
    for (source, policy, taken) in [
        (VENDOR, stranger, true),
        ("10.0.0.2:33000", stranger, true),
        ("[::ffff:10.0.0.2]:5060", stranger, true),
        ("10.0.0.3:5060", stranger, false),
        ("10.0.0.3:5060", PeerPolicy::default(), false),
    ] {
        for status in ["180 Ringing", "200 OK", "486 Busy Here"] {
            let mut caller = Caller::new(false);
            caller.place(session(4000));
            let (flow, invite) = caller.one();
            let remote: SocketAddr = source.parse().unwrap();
            let body = if status.starts_with('2') { OK } else { "\r\n" };
            caller.answer(Flow { remote, ..flow }, policy, &invite, status, body);
            let (sent, events) = caller.drain();
            assert_eq!(!events.is_empty(), taken, "{source} {status}: {events:?}");
            assert!(taken || sent.is_empty(), "{source} {status}: {sent:?}");
            assert_eq!(caller.end.statistics().foreign_responses, u64::from(!taken));
        }
    }
}
