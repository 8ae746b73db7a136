//! Storms: thousands of peers that repeat themselves and acknowledge nothing (`R-24`), a gateway that has gone mad (`R-25`).
//! On virtual time.

use super::{HELD, endpoint, invite, sdp};
use sim::business::Business;
use sim::wire::Message;
use sim::world::{Happening, World};
use sip::{Endpoint, Output, PeerPolicy};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use vocab::leg::{FromLeg, LegCommand, LegEvent};
use vocab::{Flow, LegId, ListenerId, Now, SessionDescription, Tick, Transport, Utc};

const PEERS: u16 = 2_000;
/// Each INVITE comes once and is repeated so often, as RFC 3261 §17.1.1.2 has it: 0.5, 1, 2, 4, 8 and 16 s apart.
const COPIES_AFTER_MS: [u64; 7] = [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500];

struct Storm {
    end: Endpoint,
    now: Now,
    calls: Vec<(LegId, Option<SessionDescription>)>,
    /// When a 200 to an INVITE was sent, for each peer.
    answers: BTreeMap<SocketAddr, Vec<Tick>>,
    sent: usize,
}

impl Storm {
    fn new() -> Storm {
        let now = Now { tick: Tick(1_000_000), utc: Utc(0) };
        Storm { end: endpoint(), now, calls: Vec::new(), answers: BTreeMap::new(), sent: 0 }
    }

    fn drain(&mut self) {
        while let Some(output) = self.end.poll_output() {
            match output {
                Output::Event(FromLeg { leg, event: LegEvent::Setup(setup) }) => {
                    self.calls.push((leg, setup.session));
                }
                Output::Event(_) | Output::Register(_) | Output::Errand(..) => {}
                Output::Send { flow, bytes } => {
                    self.sent += 1;
                    let text = String::from_utf8_lossy(&bytes);
                    if text.starts_with("SIP/2.0 200") && text.contains("CSeq: 1 INVITE") {
                        self.answers.entry(flow.remote).or_default().push(self.now.tick);
                    }
                }
            }
        }
    }

    /// Lets time go by up to this moment, timer by timer.
    fn pass_to(&mut self, tick: Tick) {
        while let Some(at) = self.end.poll_timeout().filter(|at| *at <= tick) {
            self.now = Now { tick: at.max(self.now.tick), ..self.now };
            self.end.handle_timeout(self.now);
            self.drain();
        }
        self.now = Now { tick, ..self.now };
    }

    /// One INVITE of each peer, the same in each round.
    fn invites(&mut self, round: u8) {
        for n in 0..PEERS {
            let [high, low] = n.to_be_bytes();
            let remote = SocketAddr::from((Ipv4Addr::new(10, round, high, low), 5060));
            let flow = Flow { listener: ListenerId(0), transport: Transport::Udp, remote, connection: 0 };
            let text =
                invite("", "application/sdp", &sdp("")).replace("BRANCH", &format!("storm{round}x{n}"));
            self.end.handle_message(self.now, flow, PeerPolicy::default(), text.as_bytes());
            self.drain();
        }
    }
}

#[test]
fn copies_open_no_second_call_and_answers_are_not_repeated_for_ever() {
    let peers = usize::from(PEERS);
    let mut storm = Storm::new();
    let before = HELD.get().0;
    let most = storm_of_copies(&mut storm, 1);
    assert_eq!(storm.calls.len(), peers, "a copy opened a call");
    let each = (most - before).cast_unsigned() / peers;
    println!(
        "{PEERS} INVITEs with {} copies each: {each} bytes for one that waits",
        COPIES_AFTER_MS.len() - 1
    );
    assert!(each <= 8 << 10, "{each} bytes for a pending transaction");

    answer_all(&mut storm);
    // What is kept for the next storm does not grow with it.
    let left = (HELD.get().0 - before).cast_unsigned();
    storm_of_copies(&mut storm, 2);
    answer_all(&mut storm);
    let then = (HELD.get().0 - before).cast_unsigned();
    println!("{left} bytes are held after the storm, {then} after the next one");
    assert!(then <= left + left / 10 && left <= peers * 2048);
}

/// Every call is answered, and nobody acknowledges.
fn answer_all(storm: &mut Storm) {
    let peers = usize::from(PEERS);
    let answered = storm.now.tick;
    for (leg, session) in std::mem::take(&mut storm.calls) {
        storm.end.command(storm.now, leg, LegCommand::Answer { session });
    }
    storm.drain();
    storm.pass_to(answered + Duration::from_secs(120));
    let times: Vec<&Tick> = storm.answers.values().flatten().collect();
    let last = times.iter().map(|at| at.since(answered)).max().unwrap();
    println!("{} answers of 200 in all, the last after {last:?}; {} messages sent", times.len(), storm.sent);
    assert!(times.len() >= 8 * peers, "they are repeated: {}", times.len());
    assert!(last >= Duration::from_secs(24) && last <= Duration::from_secs(32), "{last:?}");
    storm.answers.clear();
    let sent = storm.sent;
    storm.pass_to(storm.now.tick + Duration::from_secs(600));
    assert_eq!(storm.sent, sent, "nothing is sent any more");
    storm.answers.clear();
}

/// What is held at most while the INVITEs come again and again.
fn storm_of_copies(storm: &mut Storm, round: u8) -> isize {
    let (start, mut most) = (storm.now.tick, 0);
    for after in COPIES_AFTER_MS {
        storm.pass_to(start + Duration::from_millis(after));
        storm.invites(round);
        // What the test itself keeps of each call is no part of the transaction.
        let kept: Vec<_> = std::mem::take(&mut storm.calls);
        let own: isize = {
            let before = HELD.get().0;
            let copy: Vec<_> = kept.iter().map(|(leg, session)| (*leg, session.clone())).collect();
            let size = HELD.get().0 - before;
            drop(copy);
            size
        };
        most = most.max(HELD.get().0 - own);
        storm.calls = kept;
    }
    most
}

const BUSINESS: &str = "
customer acme prepaid 100000.00 880=0.0600/6/6
customer beta prepaid 100000.00 880=0.0600/6/6
caller mad of acme max_cps 50
caller calm of beta
vendor v1 prio 1 880=0.0200/1/1
";

fn call_of(n: usize, from: SocketAddr) -> Vec<u8> {
    let body = format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n",
        from.ip()
    );
    format!(
        "INVITE sip:880171@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n}\r\nFrom: <sip:1@{from}>;tag={n}\r\n\
         To: <sip:880171@10.0.0.1>\r\nCall-ID: {n}@{from}\r\nCSeq: 1 INVITE\r\nContact: <sip:1@{from}>\r\nMax-Forwards: 70\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A gateway that calls twenty times as fast as it may: the limit holds to 2 %, the others do not notice.
#[test]
fn a_gateway_over_its_calls_a_second_is_held_to_them() {
    const SECONDS: usize = 5;
    let mut world = World::new(Business::parse(BUSINESS).unwrap(), 1).unwrap();
    let of = |world: &World, name: &str| world.business.parties.get(name).cloned().unwrap();
    let (mad, calm, vendor) = (of(&world, "mad"), of(&world, "calm"), of(&world, "v1").address);
    // Calls a second are counted in whole seconds.
    while world.next(Tick(2_000_000)).is_some() {}
    let mut refused: BTreeMap<SocketAddr, BTreeSet<String>> = BTreeMap::new();
    let (mut placed, mut advised) = (BTreeSet::new(), 0);
    for ms in 0..SECONDS * 1000 {
        world.send(mad.address, mad.transport, call_of(ms, mad.address));
        if ms % 100 == 0 {
            world.send(calm.address, calm.transport, call_of(ms, calm.address));
        }
        let until = world.now() + Duration::from_millis(1);
        while let Some(happening) = world.next(until) {
            let Happening::Message { to, bytes } = happening else { continue };
            let Ok(message) = Message::parse(&bytes) else { continue };
            let id = message.header("Call-ID").unwrap_or_default().to_owned();
            if to == vendor && bytes.starts_with(b"INVITE") {
                placed.insert(id);
            } else if bytes.starts_with(b"SIP/2.0 503") && refused.entry(to).or_default().insert(id) {
                advised += usize::from(message.header("Retry-After").is_some());
            }
        }
    }
    let (none, limit) = (BTreeSet::new(), 50 * SECONDS);
    let turned_away = refused.get(&mad.address).unwrap_or(&none).len();
    let taken = placed.len() - 10 * SECONDS;
    println!(
        "1,000 calls a second of 50 allowed: {taken} taken of {limit}, {turned_away} refused, {advised} told when to come again"
    );
    assert!(taken.abs_diff(limit) * 100 <= 2 * limit, "{taken} taken, {limit} allowed");
    assert!(turned_away + taken >= SECONDS * 1000 - 5, "{turned_away} refused");
    assert_eq!(advised, turned_away, "each is told when to come again");
    assert!(!refused.contains_key(&calm.address), "the other gateway is left alone");
}
