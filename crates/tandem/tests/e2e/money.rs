//! Agents, top-ups during a call, and payments over connections that break.

use crate::harness::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// The example business with an agent above the customer; what the agent has lasts for eight seconds.
fn with_agent(switch: &Switch) -> String {
    let business = business(switch.net, "1.00").replace(
        "rate_group = \"retail\"\n",
        "rate_group = \"retail\"\nagent = \"reseller\"\ntax_rate = \"19\"\nlow_balance = \"5\"\n",
    );
    business
        + r#"
[[account]]
name = "reseller"
kind = "agent"
currency = "USD"
rate_group = "resale"
opening_balance = "0.004"

[[rate_group]]
name = "resale"
rates = [{ prefix = "880", price_per_minute = "0.0300" }]
"#
}

#[test]
fn a_payment_to_the_agent_during_the_call_extends_it_and_each_level_is_charged() {
    let switch = Switch::start();
    switch.apply(&with_agent(&switch));
    let _vendor = vendor(&switch, 1);
    let mut caller = caller(&switch, &["-m", "1", "-d", "12000"]).start();
    eventually("the call is up", || (switch.calls() == 1).then_some(()));
    switch.ok(&["account", "pay", "reseller", "1.00"]);
    caller.assert_succeeded();

    let cdr = &switch.cdrs(1)[0];
    assert_eq!(cdr["end_reason"], "normal_release", "{cdr:#}");
    let units = |text: &serde_json::Value| {
        let (whole, rest) = text.as_str().unwrap().split_once('.').unwrap();
        format!("{whole}{rest:0<8}").parse::<i64>().unwrap()
    };
    let (billed, agent) = (cdr["billed_s"].as_i64().unwrap(), &cdr["agents"][0]);
    assert!(billed >= 12, "{cdr:#}");
    // 0.0360 and 0.0300 a minute, by the second, in 10⁻⁸.
    assert_eq!((units(&cdr["fee"]), units(&agent["fee"])), (billed * 60_000, billed * 50_000), "{cdr:#}");
    assert_eq!((agent["account"].as_str(), units(&agent["commission"])), (Some("reseller"), billed * 10_000));
    // 0.0200 a minute: up to the next 10⁻⁴.
    let cost = (billed * 2_000_000 + 60 * 10_000 - 1) / (60 * 10_000) * 10_000;
    assert_eq!((units(&cdr["cost"]), units(&cdr["profit"])), (cost, billed * 50_000 - cost));
    assert_eq!(units(&cdr["tax"]), billed * 60_000 * 19 / 100);
    for (account, left) in [
        ("acme", 100_000_000 - billed * 60_000),
        ("reseller", 100_400_000 - billed * 50_000),
        ("vendor-a", cost),
    ] {
        assert_eq!(units(&switch.balance(account).into()), left, "{account}");
    }
    let reseller = switch.json(&["account", "show", "reseller"]);
    assert_eq!(units(&reseller["account"]["income"]), billed * 60_000);
    let low = switch.json(&["account", "low"]);
    assert_eq!(low["items"][0]["name"], "acme", "{low:#}");
    switch.ok(&["account", "transfer", "reseller", "acme", "0.50", "--note", "help"]);
    // The ledger follows the journal.
    eventually("the transfer stands in the ledger", || {
        let shown = switch.json(&["account", "show", "acme"]);
        let newest = &shown["ledger"]["items"][0];
        (newest["kind"] == "transfer" && newest["note"] == "help").then_some(())
    });
    switch.check();
}

/// Hands one request on and swallows the answer, as a connection does that breaks after the commit.
fn breaks_after_the_request(to: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(to).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut bytes = [0u8; 16 * 1024];
        while let Ok(n) = client.read(&mut bytes) {
            if n == 0 {
                break;
            }
            server.write_all(&bytes[..n]).unwrap();
        }
        // The switch has answered, so what it answers is on disk; nobody hears of it.
        let told = server.read(&mut bytes).unwrap();
        assert!(bytes[..told].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes[..told]));
    });
    (address, thread)
}

/// R-57.
#[test]
fn a_payment_whose_answer_was_lost_is_posted_once() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "1.00"));
    let api = switch.run["api"].as_str().unwrap().trim_start_matches("http://").to_string();
    let (broken, thread) = breaks_after_the_request(api.parse().unwrap());
    let broken = broken.to_string();
    let pay = ["account", "pay", "acme", "5.00", "--note", "wire 7", "--key", "wire-7"];
    switch.refused(&[&pay[..], &["--api", &broken]].concat());
    thread.join().unwrap();
    switch.ok(&pay);
    assert_eq!(switch.balance("acme"), "6.00");
    switch.crash_and_restart();
    switch.ok(&pay);
    assert_eq!(switch.balance("acme"), "6.00");
    let (_, words) =
        switch.refused(&["account", "pay", "acme", "6.00", "--note", "wire 7", "--key", "wire-7"]);
    assert!(words.contains("was used for another payment"), "{words}");
    switch.check();
}
