//! The second vendor gets the call when the first fails.

use crate::harness::*;

fn two_vendors(switch: &Switch) {
    let second =
        include_str!("scenarios/vendor-b.toml").replace("VENDOR-B", &switch.net.vendor(2).to_string());
    switch.apply(&(business(switch.net, "10.00") + &second));
}

fn ladder(switch: &Switch) -> Vec<(String, String, u64)> {
    let id = switch.cdrs(1)[0]["id"].as_str().unwrap().to_string();
    let shown = switch.json(&["cdr", "show", &id]);
    let attempt = |a: &serde_json::Value| {
        let text = |name: &str| a[name].as_str().unwrap_or_default().to_string();
        (text("gateway"), text("result"), a["sip_code"].as_u64().unwrap_or(0))
    };
    shown["attempts"].as_array().unwrap().iter().map(attempt).collect()
}

#[test]
fn after_a_503() {
    let switch = Switch::start();
    two_vendors(&switch);
    let _first = sipp("uas-503.xml", switch.net.vendor(1)).listen();
    let _second = vendor(&switch, 2);
    caller(&switch, &["-m", "1", "-d", "300"]).start().assert_succeeded();
    let want = [("vendor-a-1", "gateway_failure", 503), ("vendor-b-1", "answered", 200)];
    assert_eq!(ladder(&switch), want.map(|(g, r, c)| (g.to_string(), r.to_string(), c)));
    switch.check();
}

#[test]
fn at_once_when_nobody_is_there() {
    let switch = Switch::start();
    two_vendors(&switch);
    // ICMP says so; the ten seconds of SS_SIP_TIMEOUT_INVITE are not waited for.
    let _second = vendor(&switch, 2);
    let before = std::time::Instant::now();
    caller(&switch, &["-m", "1", "-d", "300"]).start().assert_succeeded();
    assert!(before.elapsed().as_secs() < 8);
    let ladder = ladder(&switch);
    let gateways: Vec<_> = ladder.iter().map(|(g, ..)| g.as_str()).collect();
    assert_eq!((gateways, ladder[1].1.as_str()), (vec!["vendor-a-1", "vendor-b-1"], "answered"));
}

#[test]
fn in_time_when_the_first_is_silent() {
    let switch = Switch::start();
    two_vendors(&switch);
    switch.ok(&["param", "set", "SS_SIP_TIMEOUT_INVITE", "1"]);
    // Takes datagrams and says nothing.
    let _silent = std::net::UdpSocket::bind(switch.net.vendor(1)).unwrap();
    let _second = vendor(&switch, 2);
    caller(&switch, &["-m", "1", "-d", "300"]).start().assert_succeeded();
    let ladder = ladder(&switch);
    assert_eq!((ladder[0].1.as_str(), ladder[1].1.as_str()), ("invite_timeout", "answered"));
}
