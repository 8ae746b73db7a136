//! A network that loses, doubles, reorders and damages packets (R-20, R-21).
//!
//! `make rough` sets `TANDEM_LOSSY_CALLS` for the long run.

use crate::harness::*;
use netlab::{Direction, Faults, Relay, Wires};
use std::net::SocketAddr;
use std::time::Duration;

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
        let vendor = sipp("uas-lossy.xml", target).listen();
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
        // SIPp gives up a call at whatever it does not expect at that place, a late 100 for example: what counts is
        // that the 200 came.
        let args =
            ["-s", "8801712345678", "-m", &count, "-r", &rate, "-d", "500", "-trace_rtt", "-rtt_freq", "1"];
        let limit = ["-timeout", &most, "-recv_timeout", "40000", &target];
        let mut sipp = sipp("uac-lossy.xml", from).with(&args).with(&limit).start();
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
    let cdrs = all_cdrs(&switch);
    let answered = cdrs.iter().filter(|c| c["answer"].is_string()).count();
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
    run("20 % loss, delay", faults, 60, 20, 95.0);
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
