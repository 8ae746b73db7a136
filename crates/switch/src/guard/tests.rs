use super::*;
use crate::snapshot::{Authentication, CalledSource, CallerSource, MappingGateway};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use vocab::leg::{ReplyAddress, RequestAddress, StoredSecret};
use vocab::net::Cidr;
use vocab::{AccountId, ListenerId, MappingGatewayId, Transport};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn gateway(id: u32, authentication: Authentication) -> Arc<MappingGateway> {
    Arc::new(MappingGateway {
        id: MappingGatewayId(id),
        name: "g".into(),
        account: AccountId(1),
        enabled: true,
        authentication,
        called_prefixes: Vec::new(),
        caller_source: CallerSource::From,
        called_source: CalledSource::RequestUri,
        support_privacy: false,
        rewriting: routing::Rewriting::default(),
        reply_address: ReplyAddress::Socket,
        request_address: RequestAddress::default(),
        max_concurrency: None,
        max_cps: None,
        rate_group: None,
        call_level: None,
        calling: Default::default(),
        params: Arc::default(),
    })
}

fn snapshot() -> Snapshot {
    let by_address = Authentication::Ip(vec![Cidr { address: GATEWAY.into(), length: 32 }]);
    let secret = StoredSecret { ha1_md5: String::new(), ha1_sha256: String::new() };
    let by_password = Authentication::Password { username: "u".into(), secret };
    Snapshot::default().with_mapping_gateways(vec![gateway(1, by_address), gateway(2, by_password)])
}

fn from(ip: Ipv4Addr) -> Flow {
    let remote = SocketAddr::from((ip, 5060));
    Flow { listener: ListenerId(0), transport: Transport::Udp, remote, connection: 0 }
}

fn message(method: &str, more: &str) -> Vec<u8> {
    format!("{method} sip:1@h SIP/2.0\r\nFrom: <sip:2@h>;tag=1\r\nTo: <sip:1@h>{more}\r\n\r\n").into_bytes()
}

fn at(ms: u64) -> Tick {
    Tick(1_000_000_000 + ms * 1000)
}

/// How many of these messages are heard, sent from each of these sources in turn at this many a second.
fn flood(guard: &mut Guard, sources: &[Ipv4Addr], bytes: &[u8], rate: u64, seconds: u64) -> u64 {
    let snapshot = snapshot();
    let sent = sources.iter().cycle().zip(0..rate * seconds);
    let heard = sent
        .filter(|(ip, n)| guard.judge(at(n * 1000 / rate), &snapshot, from(**ip), bytes) != Verdict::Drop);
    heard.count() as u64
}

fn many(count: u32) -> Vec<Ipv4Addr> {
    (0..count).map(|n| Ipv4Addr::from(0x7f10_0000 + n)).collect()
}

#[test]
fn one_stranger_is_held_to_its_rate_and_gateways_are_not() {
    let mut guard = Guard::new(1);
    let invite = message("INVITE", "");
    assert_eq!(flood(&mut guard, &many(1), &invite, 10_000, 10), 50 + 199);
    assert_eq!(flood(&mut guard, &[GATEWAY], &invite, 10_000, 1), 10_000);
    let counters = guard.counters();
    assert_eq!((counters.passed, counters.over_source_limit), (249, 100_000 - 249));
}

#[test]
fn many_strangers_are_held_to_a_total() {
    let mut guard = Guard::new(1);
    let heard = flood(&mut guard, &many(1000), &message("INVITE", ""), 20_000, 10);
    // Two budgets of 500 a second with half a second's worth at once; that of newcomers ends when all were heard.
    assert!((5_000..=11_000).contains(&heard), "{heard}");
    assert!(guard.counters().over_total_limit > 150_000);
}

#[test]
fn somebody_new_is_heard_in_a_flood_of_others() {
    let (mut guard, snapshot) = (Guard::new(1), snapshot());
    let invite = message("INVITE", "");
    flood(&mut guard, &many(1000), &invite, 10_000, 20);
    let new = from(Ipv4Addr::new(192, 0, 2, 7));
    for n in 0..4 {
        flood_at(&mut guard, &snapshot, 20_000 + n * 100);
        assert_ne!(guard.judge(at(20_000 + n * 100), &snapshot, new, &invite), Verdict::Drop, "message {n}");
    }
}

/// A tenth of a second of the flood.
fn flood_at(guard: &mut Guard, snapshot: &Snapshot, ms: u64) {
    for ip in many(1000) {
        guard.judge(at(ms), snapshot, from(ip), &message("INVITE", ""));
    }
}

#[test]
fn guests_are_heard_however_many_addresses_are_forged() {
    let (mut guard, snapshot) = (Guard::new(1), snapshot());
    let guest = Ipv4Addr::new(192, 0, 2, 7);
    guard.signed_in(at(0), guest.into());
    // Every message from another address: all count as new.
    for n in 0..100_000u32 {
        guard.judge(
            at(u64::from(n / 100)),
            &snapshot,
            from(Ipv4Addr::from(0x2000_0000 + n)),
            b"INVITE x SIP/2.0\r\n",
        );
    }
    assert_eq!(flood(&mut guard, &[guest], &message("INVITE", ""), 1000, 2), 2000);
}

#[test]
fn what_strangers_may_not_say_is_dropped_unread() {
    let (mut guard, snapshot) = (Guard::new(1), snapshot());
    let stranger = from(Ipv4Addr::new(192, 0, 2, 7));
    let mut heard = |bytes: &[u8]| guard.judge(at(0), &snapshot, stranger, bytes) != Verdict::Drop;
    for method in ["OPTIONS", "MESSAGE", "SUBSCRIBE", "invite", "\0\0\0\0"] {
        assert!(!heard(&message(method, "")), "{method}");
    }
    assert!(!heard(b"SIP") && !heard(b""));
    assert!(!heard(&message("INVITE", "\r\nUser-Agent: Friendly-Scanner")));
    assert!(!heard(b"INVITE sip:1@h SIP/2.0\r\nFrom: <sip:sipvicious@h>\r\n\r\n"));
    assert!(heard(&message("INVITE", "\r\nUser-Agent: Friend")));
    assert!(heard(&message("REGISTER", "")), "somebody may sign in");
    assert!(heard(&message("BYE", ";tag=2")) && heard(b"SIP/2.0 200 OK\r\n\r\n"));
    let counters = guard.counters();
    assert_eq!((counters.unwanted, counters.scanners, counters.passed), (7, 2, 4));
}

#[test]
fn who_fails_too_often_opens_nothing_but_keeps_what_it_has() {
    let (mut guard, snapshot) = (Guard::new(1), snapshot());
    let (bad, other) = (Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(192, 0, 2, 8));
    let params = Params::default();
    for _ in 0..5 {
        guard.sign_in_failed(at(0), &params, bad.into());
    }
    // A success between failures starts the count anew.
    guard.strangers.forgive(bad.into());
    (0..6).for_each(|_| guard.sign_in_failed(at(0), &params, bad.into()));
    let mut heard = |ms, ip, bytes: &[u8]| guard.judge(at(ms), &snapshot, from(ip), bytes) != Verdict::Drop;
    assert!(!heard(1, bad, &message("INVITE", "")) && heard(1, bad, &message("BYE", ";tag=2")));
    assert!(heard(1, other, &message("INVITE", "")));
    assert!(!heard(179_000, bad, &message("INVITE", "")) && heard(181_000, bad, &message("INVITE", "")));
    assert_eq!((guard.counters().suspensions, guard.counters().suspended), (1, 2));
}

#[test]
fn a_stranger_is_answered_no_more_than_it_sent() {
    let (mut guard, snapshot) = (Guard::new(1), snapshot());
    let stranger = from(Ipv4Addr::new(192, 0, 2, 7));
    let bytes = message("INVITE", "");
    let credit = |guard: &mut Guard| match guard.judge(at(0), &snapshot, stranger, &bytes) {
        Verdict::Stranger(PeerPolicy { standing: Standing::Stranger { credit, .. }, .. }) => credit as usize,
        other => panic!("{other:?}"),
    };
    assert_eq!((credit(&mut guard), credit(&mut guard)), (bytes.len(), 2 * bytes.len()));
    guard.heard(at(0), stranger.remote.ip(), Heard { recognised: false, answered: 100 });
    assert_eq!(credit(&mut guard), 3 * bytes.len() - 100);
}
