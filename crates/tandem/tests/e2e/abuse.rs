//! Peers and clocks that no one would build on purpose: rings of switches (R-36), sprayers of media (R-40), calendars that
//! jump (R-08).

use crate::harness::*;
use netlab::rtp;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The business of the tests with one more customer address, and its vendor at `vendor`.
fn ring_business(of: &Switch, other: &Switch) -> String {
    let customers = format!("{}\", \"{}", of.net.customer(), other.net.switch());
    include_str!("scenarios/business.toml")
        .replace("CUSTOMER", &customers)
        .replace("VENDOR-A", &other.sip("udp").to_string())
        .replace("BALANCE", "1000.00")
}

/// Two switches that are each other's vendor: a call goes round until its hops are used up, is refused, and costs nothing.
#[test]
fn a_call_in_a_ring_of_two_switches_ends() {
    let (one, two) = (Switch::start(), Switch::start());
    one.apply(&ring_business(&one, &two));
    two.apply(&ring_business(&two, &one));
    let mut caller = caller(&one, &["-m", "1", "-d", "100", "-recv_timeout", "30000"]).start();
    caller.wait(Duration::from_secs(60));
    let finals: Vec<String> = caller
        .messages()
        .into_iter()
        .filter(|m| m.starts_with("SIP/2.0 ") && !m.starts_with("SIP/2.0 1"))
        .collect();
    assert!(!finals.is_empty() && !finals.iter().any(|m| m.starts_with("SIP/2.0 2")), "{finals:?}");
    let mut hops = 0;
    for switch in [&one, &two] {
        eventually("no call is left", || (switch.calls() == 0).then_some(()));
        let list = || switch.json(&["cdr", "list", "--limit", "1000"])["items"].as_array().unwrap().clone();
        // Records reach the database a little after their calls have ended.
        eventually("the records of the call", || (!list().is_empty()).then_some(()));
        std::thread::sleep(Duration::from_millis(1000));
        let cdrs = list();
        assert!(cdrs.iter().all(|c| c["answer"].is_null()), "{cdrs:#?}");
        hops += cdrs.len();
        assert_eq!(switch.balance("acme"), "1000.00");
        switch.check();
    }
    let status = finals[0].lines().next().unwrap_or_default();
    println!("the ring was gone round {hops} hops, the caller was told {status:?}");
    assert!((2..=71).contains(&hops), "{hops} hops");
}

/// Sends RTP and RTCP to every media port in turn, and counts what comes back.
fn spray(from: std::net::Ipv4Addr, to: std::net::Ipv4Addr, stop: &AtomicBool) -> (u64, u64) {
    const PORTS: std::ops::Range<u16> = 20_000..40_000;
    const AT_ONCE: usize = 400;
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let (mut sent, mut heard) = (0, 0);
    // A sender report (RFC 3550 §6.4.1) of nothing.
    let report = [&[0x80, 200, 0, 6][..], &[0; 24]].concat();
    let mut ports = PORTS.cycle();
    while !stop.load(Ordering::Relaxed) {
        let pause = Instant::now() + Duration::from_millis(20);
        for port in ports.by_ref().take(AT_ONCE) {
            let sequence = u16::try_from(sent % 65_536).unwrap();
            let packet = rtp::packet(sequence, u32::from(sequence) * 160, 0xbad);
            let bytes = if port % 2 == 0 { &packet } else { &report };
            sent += u64::from(socket.send_to(bytes, (to, port)).is_ok());
        }
        let mut buffer = [0; 2048];
        while socket.recv_from(&mut buffer).is_ok() {
            heard += 1;
        }
        std::thread::sleep(pause.saturating_duration_since(Instant::now()));
    }
    (sent, heard)
}

/// A stranger who sprays all ports while calls are set up and while they talk gets nothing and disturbs nothing.
#[test]
fn a_sprayer_of_all_media_ports_hears_nothing() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    switch.ok(&["param", "set", "SS_MEDIAPROXYMODE", "Must On"]);
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, from, to) = (stop.clone(), switch.net.ip(9), switch.net.switch());
    let sprayer = std::thread::spawn(move || spray(from, to, &stopped));
    let socket = |ip| {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let (a, b) = (socket(switch.net.customer()), socket(switch.net.ip(21)));
    let port = |s: &UdpSocket| s.local_addr().unwrap().port();
    let _vendor = sipp("uas.xml", switch.net.vendor(1)).media(port(&b)).listen();
    let mut many = caller(&switch, &["-m", "100", "-r", "50", "-d", "4000"]).media(port(&a)).start();
    eventually("100 calls are up", || (many.call_ids("SIP/2.0 200", "INVITE").len() == 100).then_some(()));
    // Sound of one call passes whole meanwhile.
    let to_a = many.media_address("SIP/2.0 200");
    let mut heard = rtp::Listener::new(8000);
    let mut buffer = [0; 2048];
    for n in 0..100u16 {
        a.send_to(&rtp::packet(n, u32::from(n) * 160, 7), to_a).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        while let Ok((length, _)) = b.recv_from(&mut buffer) {
            heard.hear(Instant::now(), &buffer[..length]);
        }
    }
    many.assert_succeeded();
    stop.store(true, Ordering::Relaxed);
    let (sent, came) = sprayer.join().unwrap();
    while let Ok((length, _)) = b.recv_from(&mut buffer) {
        heard.hear(Instant::now(), &buffer[..length]);
    }
    let cdrs = switch.cdrs(100);
    let details: Vec<_> =
        cdrs.iter().map(|c| switch.json(&["cdr", "show", c["id"].as_str().unwrap()])).take(20).collect();
    let of =
        |side: &str, figure: &str| -> u64 { details.iter().map(|c| c[side][figure].as_u64().unwrap()).sum() };
    let rejected = of("media_a", "rejected") + of("media_b", "rejected");
    println!(
        "{sent} packets sprayed, {came} came back, {rejected} turned away by 20 of the calls; of the caller's 100 {} passed",
        heard.received()
    );
    assert!(sent > 10_000 && rejected > 0, "that was no spray: {sent}, {rejected}");
    assert_eq!((came, heard.received(), heard.lost()), (0, 100, 0));
    assert_eq!(of("media_b", "packets_in"), 0, "nothing of the sprayer is taken for the vendor's");
    switch.check();
}

/// The calendar jumps by hours and days while calls are up: they are charged for what was talked, and nothing hangs.
#[test]
fn a_calendar_that_jumps_changes_no_talk_time() {
    let library = Path::new("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1");
    if !library.exists() {
        eprintln!("SKIPPED: libfaketime is not there (apt-get install faketime)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offset");
    let set = |offset: &str| {
        // In one step: half an offset would be another one.
        let new = folder.path().join("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(&new, &file).unwrap();
    };
    set("+0");
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let faked = [
        ("LD_PRELOAD", text(library)),
        ("FAKETIME_TIMESTAMP_FILE", text(&file)),
        ("FAKETIME_NO_CACHE", "1".into()),
        // A clock that is set moves the calendar only.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("DONT_FAKE_MONOTONIC", "1".into()),
    ];
    let switch = Switch::start_in_environment(&faked);
    switch.apply(&business(switch.net, "1000.00"));
    let _vendor = vendor(&switch, 1);
    let mut caller = caller(&switch, &["-m", "4", "-r", "1", "-d", "4000"]).start();
    for offset in ["+3600", "-3600", "+86400", "-0", "+31536000"] {
        std::thread::sleep(Duration::from_millis(1300));
        set(offset);
    }
    caller.assert_succeeded();
    let cdrs = switch.cdrs(4);
    let talked: Vec<u64> = cdrs.iter().map(|c| c["duration_ms"].as_u64().unwrap()).collect();
    println!("calls of 4 s while the calendar jumped: {talked:?} ms");
    // The switch's time is from the vendor's 200 to the caller's BYE; a busy machine makes it longer, nothing shorter.
    assert!(talked.iter().all(|ms| (3900..15_000).contains(ms)), "{talked:?}");
    let year = |c: &serde_json::Value| c["start"].as_str().unwrap()[..10].to_string();
    let days: std::collections::BTreeSet<String> = cdrs.iter().map(year).collect();
    assert!(days.len() >= 2, "the calendar did jump: {days:?}");
    switch.check();
}
