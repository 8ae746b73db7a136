//! A call from end to end, over each transport, with its record and its price.

use crate::harness::*;
use std::net::SocketAddr;

#[test]
fn a_call_over_udp_is_routed_priced_and_recorded() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let vendor = vendor(&switch, 1);
    caller(&switch, &["-m", "1", "-d", "1500"]).start().assert_succeeded();

    let cdr = &switch.cdrs(1)[0];
    assert_eq!((&cdr["end_reason"], &cdr["ended_by"]), (&"normal_release".into(), &"caller".into()));
    assert_eq!((&cdr["caller"], &cdr["callee"]), (&"15551234".into(), &"8801712345678".into()));
    // 1.5 s are two started seconds; 0.036 a minute is 0.0012 for two, and 0.020 is 0.0007, rounded up.
    assert_eq!(
        (&cdr["billed_s"], &cdr["fee"], &cdr["cost"]),
        (&2.into(), &"0.0012".into(), &"0.0007".into())
    );
    assert_eq!(cdr["profit"], "0.0005");
    assert_eq!(switch.balance("acme"), "9.9988");
    let shown = switch.json(&["cdr", "show", cdr["id"].as_str().unwrap()]);
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(shown["rate"]["prefix"], "88017");
    // The two sides of a call are different dialogs.
    let (a, b) = (cdr["call_id_a"].as_str().unwrap(), cdr["call_id_b"].as_str().unwrap());
    assert!(a != b && vendor.call_ids("INVITE", "INVITE").contains(b));
    switch.check();
}

#[test]
fn tcp_on_either_side_or_both() {
    let switch = Switch::start();
    let vendors = |transport: &str| {
        let text = business(switch.net, "10.00");
        text.replace("priority = 1", &format!("priority = 1\ntransport = \"{transport}\""))
    };
    let from = SocketAddr::from((switch.net.customer(), 5090));
    for (n, (customer, vendor)) in [("t1", "tcp"), ("u1", "tcp"), ("t1", "udp")].into_iter().enumerate() {
        switch.apply(&vendors(vendor));
        let listens = if vendor == "tcp" { "t1" } else { "u1" };
        let taken = sipp("uas.xml", switch.net.vendor(1)).with(&["-t", listens]).listen();
        let target = switch.sip(if customer == "t1" { "tcp" } else { "udp" }).to_string();
        let args = ["-t", customer, "-s", "8801712345678", "-m", "3", "-d", "200", &target];
        sipp("uac.xml", from).with(&args).start().assert_succeeded();
        let cdrs = switch.cdrs(3 * (n + 1));
        assert!(cdrs.iter().all(|c| c["end_reason"] == "normal_release"), "{customer} {vendor}: {cdrs:?}");
        drop(taken);
    }
    switch.check();
}

#[test]
fn calls_between_ipv6_and_ipv4() {
    let switch = Switch::start_with(&["--listen", "udp:[::1]:0"]);
    let text = business(switch.net, "10.00").replace(&switch.net.customer().to_string(), "::1");
    switch.apply(&text);
    let _vendor = vendor(&switch, 1);
    let listeners = switch.run["listeners"].to_string();
    let v6 = listeners.split('"').find_map(|l| l.strip_prefix("udp [::1]:")).unwrap().to_string();
    let target = format!("[::1]:{v6}");
    let free = std::net::UdpSocket::bind("[::1]:0").unwrap().local_addr().unwrap();
    let args = ["-s", "8801712345678", "-m", "2", "-d", "200", &target];
    sipp("uac.xml", free).with(&args).start().assert_succeeded();
    let cdrs = switch.cdrs(2);
    assert!(cdrs.iter().all(|c| c["end_reason"] == "normal_release"), "{cdrs:?}");
}

#[test]
fn a_stranger_gets_no_call_and_no_answer() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let from = SocketAddr::from((switch.net.stranger(), 5090));
    let target = switch.sip("udp").to_string();
    let args = ["-s", "8801712345678", "-m", "1", "-timeout", "2s", "-timeout_error", &target];
    let mut stranger = sipp("uac.xml", from).with(&args).start();
    // SIPp's own exit code says nothing here.
    stranger.succeeded();
    assert!(!stranger.call_ids("INVITE", "INVITE").is_empty());
    assert!(stranger.messages().iter().all(|m| !m.starts_with("SIP/2.0")));
    assert_eq!(switch.cdrs(0).len(), 0);
}
