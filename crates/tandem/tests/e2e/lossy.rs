//! A network that loses, doubles, reorders and damages packets (R-20, R-21).
//!
//! `make rough` sets `TANDEM_LOSSY_CALLS` for the long run.

use crate::harness::*;
use netlab::{Direction, Faults, Relay, Wires, rtp};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A switch between two bad networks.
struct Rough {
    switch: Switch,
    customer: Relay,
    vendor: Relay,
    _vendor: Sipp,
}

impl Rough {
    fn new(faults: Faults, seed: u64) -> Rough {
        let switch = Switch::start();
        switch.apply(&business(switch.net, "1000.00"));
        // What the two peers see of each other is nothing but the switch: it answers to where requests came from.
        let host = |n: u8| SocketAddr::from((switch.net.ip(n), 0));
        let target = SocketAddr::from((switch.net.ip(51), 5080));
        let patient = ["-default_behaviors", "all,-abortunexp"];
        let vendor = sipp("uas-lossy.xml", target).with(&patient).listen();
        let to_switch =
            Wires { near: host(31), far: (switch.net.customer(), 5090).into(), target: switch.sip("udp") };
        let to_vendor = Wires { near: switch.net.vendor(1), far: host(41), target };
        let customer = Relay::start(to_switch, faults, seed).unwrap();
        let vendor_relay = Relay::start(to_vendor, faults, seed + 1).unwrap();
        Rough { switch, customer, vendor: vendor_relay, _vendor: vendor }
    }

    /// Places calls through the bad networks; says how many succeeded for the caller.
    fn calls(&self, count: usize, rate: usize) -> usize {
        let from = SocketAddr::from((self.switch.net.ip(12), 5070));
        let most = format!("{}s", count / rate + 60);
        let (count, rate) = (count.to_string(), rate.to_string());
        let target = self.customer.wires.near.to_string();
        // SIPp would give up a call at whatever it does not expect at that place, a late 100 for example. What counts
        // is that the 200 came.
        let args =
            ["-s", "8801712345678", "-m", &count, "-r", &rate, "-d", "500", "-trace_rtt", "-rtt_freq", "1"];
        let limit = ["-timeout", &most, "-recv_timeout", "40000", &target];
        let patient = ["-default_behaviors", "all,-abortunexp"];
        let mut sipp = sipp("uac-lossy.xml", from).with(&args).with(&patient).with(&limit).start();
        sipp.wait(Duration::from_secs(600));
        sipp.response_times_ms().len()
    }
}

/// Places `count` calls and checks that at least `percent` succeed and that records and money are right.
fn run(name: &str, faults: Faults, count: usize, rate: usize, percent: f64) {
    let rough = Rough::new(faults, 1);
    let succeeded = rough.calls(count, rate);
    let (switch, customer, vendor) = (rough.switch, rough.customer.stop(), rough.vendor.stop());
    let share = 100.0 * succeeded as f64 / count as f64;
    // Calls of which the caller knows no more end by themselves.
    eventually_within(Duration::from_secs(60), "all calls have ended", || {
        (switch.calls() == 0).then_some(())
    });
    // Records reach the database a little after their calls have ended.
    let answered_of = |cdrs: &[serde_json::Value]| cdrs.iter().filter(|c| c["answer"].is_string()).count();
    let cdrs = eventually("the records of all answered calls", || {
        Some(all_cdrs(&switch)).filter(|cdrs| answered_of(cdrs) >= succeeded)
    });
    let answered = answered_of(&cdrs);
    let counted = |d: &[Direction; 2]| {
        let sum = |f: fn(&Direction) -> u64| f(&d[0]) + f(&d[1]);
        format!(
            "{} packets, {} lost, {} twice, {} damaged",
            sum(|d| d.received),
            sum(|d| d.lost),
            sum(|d| d.duplicated),
            sum(|d| d.flipped)
        )
    };
    eprintln!(
        "{name}: {succeeded} of {count} calls ({share:.2} %), {} CDRs, {answered} answered",
        cdrs.len()
    );
    eprintln!("  customer's side: {}; vendor's side: {}", counted(&customer), counted(&vendor));
    // No call twice: neither by a copy of the INVITE, nor in the records.
    let mut ids: Vec<&str> = cdrs.iter().filter_map(|c| c["call_id_a"].as_str()).collect();
    let records = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), records, "a call has two CDRs");
    assert!(cdrs.len() <= count + usize::try_from(customer[0].flipped).unwrap(), "more CDRs than calls");
    assert!(answered >= succeeded, "{answered} answered CDRs of {succeeded} calls");
    switch.check();
    assert!(share >= percent, "{name}: {share:.2} % succeeded, wanted {percent} %");
}

fn all_cdrs(switch: &Switch) -> Vec<serde_json::Value> {
    switch.json(&["cdr", "list", "--limit", "50000"])["items"].as_array().unwrap().clone()
}

#[test]
fn calls_survive_a_bad_network() {
    let faults = Faults { loss: 500, duplicate: 1000, ..Faults::default() };
    run("5 % loss, 10 % twice", faults, 150, 50, 99.0);
}

#[test]
fn calls_survive_a_terrible_network() {
    let faults = Faults { loss: 2000, delay_max: Duration::from_millis(100), ..Faults::default() };
    run("20 % loss, delay", faults, 60, 20, 97.0);
}

/// `make rough`.
#[test]
fn the_table_of_r_20() {
    let Some(count) = std::env::var("TANDEM_LOSSY_CALLS").ok().and_then(|s| s.parse().ok()) else {
        eprintln!("SKIPPED: the long run is `make rough`");
        return;
    };
    let also = Faults {
        duplicate: 1000,
        reorder: 1000,
        flip: 100,
        delay_max: Duration::from_millis(400),
        ..Faults::default()
    };
    for (loss, percent) in [(100, 99.9), (500, 99.9), (1000, 99.0), (2000, 99.0)] {
        run(&format!("{} % loss", loss / 100), Faults::loss(loss), count, 50, percent);
    }
    run("10 % twice and reordered, 0 to 400 ms, 1 % damaged", also, count, 50, 95.0);
}

/// A free port of this address, for a socket that is opened later.
fn free_port(ip: std::net::Ipv4Addr) -> SocketAddr {
    UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap()
}

fn ear(ip: std::net::Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Takes what has come.
fn listen(socket: &UdpSocket, listener: &mut rtp::Listener) {
    let mut buffer = [0; 2048];
    while let Ok((length, _)) = socket.recv_from(&mut buffer) {
        listener.hear(Instant::now(), &buffer[..length]);
    }
}

/// R-21: what is lost before the switch is lost behind it, nothing else; and the CDR says so, over the wrap of the
/// sequence numbers.
#[test]
fn sound_from_a_bad_network_is_relayed_and_counted_exactly() {
    const PACKETS: u16 = 600;
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.ok(&["param", "set", "SS_MEDIAPROXYMODE", "Must On"]);
    let a = ear(switch.net.customer());
    let far = free_port(switch.net.ip(21));
    let vendor = sipp("uas.xml", switch.net.vendor(1)).media(far.port()).listen();
    let port = a.local_addr().unwrap().port();
    let mut caller = caller(&switch, &["-m", "1", "-d", "10000"]).media(port).start();
    let (to_a, to_b) = (caller.media_address("SIP/2.0 200"), vendor.media_address("INVITE"));
    let faults = Faults { loss: 500, delay_max: Duration::from_millis(8), ..Faults::default() };
    let wires = Wires { near: (switch.net.ip(61), 0).into(), far, target: to_b };
    let relay = Relay::start(wires, faults, 5).unwrap();
    let b = ear(switch.net.ip(62));
    let mut heard = rtp::Listener::new(8000);
    for n in 0..PACKETS {
        let (sequence, timestamp) = (65_300u16.wrapping_add(n), u32::from(n) * 80);
        b.send_to(&rtp::packet(sequence, timestamp, 7), relay.wires.near).unwrap();
        a.send_to(&rtp::packet(n, timestamp, 8), to_a).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        listen(&a, &mut heard);
    }
    std::thread::sleep(Duration::from_millis(200));
    listen(&a, &mut heard);
    let [truth, _] = relay.stop();
    caller.assert_succeeded();
    let id = switch.cdrs(1)[0]["id"].as_str().unwrap().to_string();
    let figures = switch.json(&["cdr", "show", &id])["media_b"].clone();
    eprintln!(
        "RTP: {} of {} lost on the way, the CDR says {}; jitter {} µs before the switch, the CDR says {}",
        truth.rtp_lost, truth.received, figures["lost"], truth.rtp_jitter_us, figures
    );
    assert_eq!(
        (figures["packets_in"].as_u64(), figures["lost"].as_u64()),
        (Some(truth.delivered), Some(truth.rtp_lost))
    );
    assert_eq!((heard.received(), heard.lost()), (truth.delivered, truth.rtp_lost));
    assert!(truth.rtp_lost > 10, "{truth:?}");
}

/// R-45: packets of a stranger at the port of one call take nothing from another call.
#[test]
fn a_flood_on_one_media_port_leaves_other_calls_alone() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.ok(&["param", "set", "SS_MEDIAPROXYMODE", "Must On"]);
    let (a, b) = (ear(switch.net.customer()), ear(switch.net.ip(21)));
    let port = |s: &UdpSocket| s.local_addr().unwrap().port();
    let _vendor = sipp("uas.xml", switch.net.vendor(1)).media(port(&b)).listen();
    let target = switch.sip("udp").to_string();
    let call = |sip_port: u16, rtp_port: u16| {
        let from = SocketAddr::from((switch.net.customer(), sip_port));
        let args = ["-s", "8801712345678", "-m", "1", "-d", "8000", &target];
        sipp("uac.xml", from).with(&args).media(rtp_port).start()
    };
    let (victim, mut other) = (call(5090, 9), call(5091, port(&a)));
    let (to_victim, to_other) = (victim.media_address("SIP/2.0 200"), other.media_address("SIP/2.0 200"));
    let stranger = switch.net.stranger();
    let flood =
        std::thread::spawn(move || rtp::flood(stranger, to_victim, 50_000, Duration::from_secs(4)).unwrap());
    let mut heard = rtp::Listener::new(8000);
    for n in 0..200u16 {
        a.send_to(&rtp::packet(n, u32::from(n) * 160, 7), to_other).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        listen(&b, &mut heard);
    }
    let sent = flood.join().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    listen(&b, &mut heard);
    heard.deviations_us.sort_unstable();
    let p99 = heard.deviations_us[heard.deviations_us.len() * 99 / 100];
    eprintln!(
        "RTP flood: {sent} packets in 4 s; the other call: {} lost, p99 {p99} µs off its pace",
        200 - heard.received()
    );
    assert_eq!((heard.received(), heard.lost()), (200, 0));
    assert!(sent > 20_000, "that was no flood: {sent}");
    other.assert_succeeded();
}
