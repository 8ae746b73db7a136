//! Vendors' gateways beside calls: registration with them, gateways that register with us, OPTIONS.

use crate::device::Device;
use crate::harness::*;
use serde_json::Value;
use std::time::Duration;

fn gateway(switch: &Switch, name: &str) -> Value {
    let list = switch.json(&["registrations", "vendors"]);
    let found = list["items"].as_array().unwrap().iter().find(|g| g["name"] == name);
    found.expect("the gateway").clone()
}

#[test]
fn registers_with_a_vendor_and_takes_it_back_at_the_stop() {
    let mut switch = Switch::start();
    let vendor = Device::new(switch.net.ip(51), switch.sip("udp"), "registrar", "");
    let address = vendor.address();
    switch.apply(&format!(
        "{}[[routing_gateway]]\nname = \"carrier\"\naccount = \"vendor-a\"\naddress = \"{address}\"\n\
         prefixes = [\"99\"]\nusername = \"tandem1\"\nauthentication_user = \"auth1\"\npassword = \"pw\"\n\
         register = true\nregister_domain = \"carrier.example\"\nregister_expires = 60\n\
         [routing_gateway.parameters]\nSS_SIP_USER_AGENT_PRIVACY = \"Id\"\n",
        business(switch.net, "10.00")
    ));
    let first = vendor.expect("REGISTER sip:carrier.example");
    assert_eq!(header(&first, "Privacy"), Some("id"));
    assert!(header(&first, "To").unwrap().contains("sip:tandem1@carrier.example"), "{first}");
    let challenge = "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"\r\n";
    vendor.reply_with(&first, "401 Unauthorized", challenge, "");
    let second = vendor.expect("REGISTER");
    assert!(header(&second, "Authorization").unwrap().contains("username=\"auth1\""), "{second}");
    vendor.reply_with(&second, "423 Interval Too Brief", "Min-Expires: 120\r\n", "");
    let third = vendor.expect("REGISTER");
    assert_eq!(header(&third, "Expires"), Some("120"), "{third}");
    assert_eq!(header(&third, "Call-ID"), header(&first, "Call-ID"));
    vendor.reply_with(&third, "200 OK", "Expires: 120\r\n", "");
    let state = eventually("it is registered", || {
        Some(gateway(&switch, "carrier")).filter(|g| g["registration"] == "registered")
    });
    assert!(state["registration_expires_in_s"].as_u64().unwrap() <= 120, "{state}");
    switch.signal("-TERM");
    let last = vendor.expect("REGISTER");
    assert_eq!(header(&last, "Expires"), Some("0"), "{last}");
    vendor.reply(&last, "200 OK", "");
    switch.wait();
}

#[test]
fn a_refused_registration_is_shown_and_its_gateway_gets_no_calls() {
    let switch = Switch::start();
    let vendor = Device::new(switch.net.ip(51), switch.sip("udp"), "registrar", "");
    let text = business(switch.net, "10.00")
        .replace(&switch.net.vendor(1).to_string(), &vendor.address().to_string());
    switch.apply(
        &text.replace(
            "priority = 1",
            "priority = 1\nusername = \"tandem1\"\npassword = \"pw\"\nregister = true",
        ),
    );
    let first = vendor.expect("REGISTER");
    vendor.reply(&first, "403 Forbidden", "");
    let state = eventually("it has failed", || {
        Some(gateway(&switch, "vendor-a-1")).filter(|g| g["registration"] == "failed")
    });
    assert_eq!(state["registration_answer"], "403 Forbidden");
    assert!((1..=60).contains(&state["registration_retry_in_s"].as_u64().unwrap()), "{state}");
    assert!(!caller(&switch, &["-s", "8801712345678", "-m", "1"]).start().succeeded());
    assert_eq!(switch.cdrs(1)[0]["end_reason"], "all_gateways_offline");
}

#[test]
fn silent_gateways_go_offline_and_come_back() {
    let switch = Switch::start();
    let vendor = Device::new(switch.net.ip(51), switch.sip("udp"), "vendor", "");
    let text = business(switch.net, "10.00")
        .replace(&switch.net.vendor(1).to_string(), &vendor.address().to_string());
    switch.apply(&text.replace("priority = 1", "priority = 1\ncheck_interval = 5"));
    let state = |wanted: &str| {
        eventually_within(Duration::from_secs(40), wanted, || {
            Some(()).filter(|()| gateway(&switch, "vendor-a-1")["online"] == wanted)
        });
    };
    vendor.reply(&vendor.expect("OPTIONS"), "200 OK", "");
    state("online");
    state("offline");
    assert!(!caller(&switch, &["-s", "8801712345678", "-m", "1"]).start().succeeded());
    assert_eq!(switch.cdrs(1)[0]["end_reason"], "all_gateways_offline");
    // The next question, and not a copy of one that was given up.
    while !vendor.hears_nothing(Duration::from_millis(300)) {}
    vendor.reply(&vendor.expect("OPTIONS"), "404 Not Found", "");
    state("online");
}

#[test]
fn a_gateway_that_registers_is_called_where_it_is() {
    let switch = Switch::start();
    let address = format!("address = \"{}\"", switch.net.vendor(1));
    let text = business(switch.net, "10.00");
    assert!(text.contains(&address));
    switch.apply(&text.replace(&address, "dynamic = true\nusername = \"box\"\npassword = \"pw\""));
    assert!(!caller(&switch, &["-s", "8801712345678", "-m", "1"]).start().succeeded());
    let mut gateway = Device::new(switch.net.ip(52), switch.sip("udp"), "box", "pw");
    assert!(gateway.register(600).starts_with("SIP/2.0 200"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let invite = gateway.expect("INVITE sip:8801712345678@");
            gateway.reply(&invite, "200 OK", &gateway.sdp());
            gateway.expect("ACK");
            let bye = gateway.expect("BYE");
            gateway.reply(&bye, "200 OK", "");
        });
        caller(&switch, &["-s", "8801712345678", "-m", "1", "-d", "300"]).start().assert_succeeded();
    });
    assert_eq!(switch.cdrs(2)[1]["end_reason"], "normal_release");
}
