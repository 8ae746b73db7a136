//! Session timers and what vendors are told about callers, with SIPp on both sides.

use crate::harness::*;
use std::net::SocketAddr;

const OK: &str = r#"  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
MORE
Content-Length: 0

]]></send>
"#;

/// A vendor whose 200 has these headers, and which does `then` before the BYE.
fn timed_vendor(switch: &Switch, headers: &str, then: &str) -> Sipp {
    let change = |text: String| {
        let answer = format!("Allow: INVITE, ACK, BYE, UPDATE\n{headers}\nContent-Type: application/sdp");
        let text = text.replacen("Content-Type: application/sdp", &answer, 1);
        text.replace("  <recv request=\"BYE\"/>", &format!("{then}  <recv request=\"BYE\"/>"))
    };
    sipp_saying("uas.xml", switch.net.vendor(1), change).listen()
}

fn caller_saying(switch: &Switch, args: &[&str], change: impl FnOnce(String) -> String) -> SippOptions {
    let (target, from) = (switch.sip("udp").to_string(), SocketAddr::from((switch.net.customer(), 5090)));
    sipp_saying("uac.xml", from, change).with(&["-s", "8801712345678", "-m", "1"]).with(args).with(&[&target])
}

#[test]
fn a_session_is_refreshed_for_as_long_as_the_call_lasts() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    for (name, value) in [("SS_SIP_SESSION_TTL", "90"), ("SS_SIP_SESSION_UPDATE_SEGMENT", "10")] {
        switch.ok(&["param", "set", name, value]);
    }
    let refreshed = OK.replace("MORE", "Session-Expires: 90;refresher=uac");
    let update = format!("  <recv request=\"UPDATE\" timeout=\"20000\"/>\n{refreshed}");
    let vendor = timed_vendor(&switch, "Session-Expires: 90;refresher=uac", &update);
    caller_saying(&switch, &["-d", "13000"], |text| text).start().assert_succeeded();
    let messages = vendor.messages();
    let find = |start: &str| messages.iter().find(|m| m.starts_with(start)).unwrap();
    let (invite, update) = (find("INVITE "), find("UPDATE "));
    assert_eq!((header(invite, "Session-Expires"), header(invite, "Min-SE")), (Some("90"), Some("90")));
    assert_eq!(header(update, "Session-Expires"), Some("90;refresher=uac"));
    assert_eq!(switch.cdrs(1)[0]["end_reason"], "normal_release");
}

#[test]
fn a_session_that_nobody_refreshes_ends_on_both_sides() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    for (name, value) in [("SS_SIP_SESSION_TTL", "90"), ("SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP", "87")] {
        switch.ok(&["param", "set", name, value]);
    }
    let vendor = timed_vendor(&switch, "Session-Expires: 90;refresher=uas", "");
    let waiting = |text: String| {
        let (head, rest) = text.split_once("  <pause/>").unwrap();
        let (_, tail) = rest.split_once("  <recv response=\"200\" next=\"done\"/>").unwrap();
        let ok = OK.replace("MORE\n", "").replace("<send>", "<send next=\"done\">");
        format!("{head}  <recv request=\"BYE\" timeout=\"20000\"/>\n{ok}{tail}")
    };
    caller_saying(&switch, &[], waiting).start().assert_succeeded();
    let cdr = &switch.cdrs(1)[0];
    assert_eq!(
        (&cdr["end_reason"], &cdr["ended_by"]),
        (&"session_timeout".into(), &"switch".into()),
        "{cdr}"
    );
    eventually("the vendor's BYE", || vendor.messages().iter().any(|m| m.starts_with("BYE ")).then_some(()));
    switch.check();
}

#[test]
fn a_vendor_is_told_who_calls_as_it_wants_it() {
    let switch = Switch::start();
    let wanted = "asserted_identity = \"caller\"\nasserted_rewrite = [\"1555:+1555\"]\nprivacy = \"id\"\nextra_headers = [\"X-Trace\"]\n";
    switch.apply(&(business(switch.net, "10.00") + wanted));
    let vendor = vendor(&switch, 1);
    let traced =
        |text: String| text.replacen("Max-Forwards: 70", "Max-Forwards: 70\nX-Trace: 17\nX-Other: 18", 1);
    caller_saying(&switch, &["-d", "200"], traced).start().assert_succeeded();
    let messages = vendor.messages();
    let invite = messages.iter().find(|m| m.starts_with("INVITE ")).unwrap();
    let from = header(invite, "From").unwrap();
    assert!(from.starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag="), "{from}");
    assert_eq!(
        header(invite, "P-Asserted-Identity"),
        Some(&*format!("<sip:+15551234@{}>", switch.net.switch()))
    );
    let rest = ["Privacy", "X-Trace", "X-Other", "P-Preferred-Identity"].map(|name| header(invite, name));
    assert_eq!(rest, [Some("id"), Some("17"), None, None]);
}
