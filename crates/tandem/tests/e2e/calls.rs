//! A call from end to end, over each transport, with its record and its price.

use crate::harness::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

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

/// RFC 3261 §18.1.1 (`SIG-1`): what no datagram holds goes over TCP, to a gateway that is otherwise reached over UDP.
#[test]
fn a_long_invite_goes_over_tcp_and_over_udp_where_tcp_is_refused() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let codecs: String = (0..60).map(|n| format!("a=fmtp:{n} mode-set=0,2,4,7\n")).collect();
    let scenario = switch.file("long.xml");
    let short = include_str!("scenarios/uac.xml");
    let described = "a=rtpmap:101 telephone-event/8000\n";
    assert!(short.contains(described));
    std::fs::write(&scenario, short.replace(described, &format!("{described}{codecs}"))).unwrap();
    let from = SocketAddr::from((switch.net.customer(), 5090));
    let target = switch.sip("udp").to_string();
    let long_call = || {
        let args = ["-s", "8801712345678", "-m", "1", "-d", "100", &target];
        sipp(scenario.to_str().unwrap(), from).with(&args).start()
    };

    let vendor = switch.net.vendor(1);
    let listener = TcpListener::bind(vendor).unwrap();
    let mut caller = long_call();
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut read_until = |end: &str| {
        let mut text = String::new();
        let mut piece = [0; 4096];
        while !text.contains(end) {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "closed after {text:?}");
            text += std::str::from_utf8(&piece[..count]).unwrap();
        }
        if text.starts_with("INVITE") {
            let echoed = ["Via", "From", "To", "Call-ID", "CSeq"];
            let lines: String = echoed
                .map(|n| format!("{n}: {}\r\n", header(&text, n).unwrap()))
                .concat()
                .replace(">\r\nCall", ">;tag=v\r\nCall");
            write!(stream, "SIP/2.0 486 Busy Here\r\n{lines}Content-Length: 0\r\n\r\n").unwrap();
        }
        text
    };
    let invite = read_until("a=fmtp:59 mode-set=0,2,4,7\r\n");
    assert!(invite.starts_with("INVITE ") && invite.len() > 1300, "{invite}");
    assert!(header(&invite, "Via").unwrap().starts_with("SIP/2.0/TCP "), "{invite}");
    let ack = read_until("\r\n\r\n");
    assert!(ack.starts_with("ACK ") && header(&ack, "Via") == header(&invite, "Via"), "{ack}");
    caller.succeeded();
    assert_eq!(switch.cdrs(1)[0]["end_reason"], "callee_busy");

    // Nobody listens there for TCP any more: the same call is answered over UDP, and a short one never leaves it.
    drop((listener, stream));
    let taken = sipp("uas.xml", vendor).listen();
    long_call().assert_succeeded();
    let invites: Vec<String> = taken.messages().into_iter().filter(|m| m.starts_with("INVITE")).collect();
    assert!(invites[0].len() > 1300 && header(&invites[0], "Via").unwrap().starts_with("SIP/2.0/UDP "));
    assert_eq!(switch.cdrs(2)[1]["end_reason"], "normal_release");
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
