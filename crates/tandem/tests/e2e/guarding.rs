//! Alarms with their delivery, and the kernel's filter.

use crate::harness::*;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A server whose connections are handled one after the other; what each said comes out.
fn server(handle: impl Fn(TcpStream) -> Option<String> + Send + 'static) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            if let Some(said) = handle(stream)
                && sender.send(said).is_err()
            {
                return;
            }
        }
    });
    (address, receiver)
}

/// Takes one POST and gives its body.
fn take_post(stream: TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").ok()?;
    String::from_utf8(body).ok()
}

/// Takes one mail as a relay does, and gives envelope and message.
fn take_mail(stream: TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    let (mut said, mut in_data) = (String::new(), false);
    stream.write_all(b"220-relay\r\n220 ready\r\n").ok()?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        said.push_str(&line);
        let answer: &[u8] = match (in_data, line.trim_end()) {
            (true, ".") => b"250 taken\r\n",
            (true, _) => continue,
            (false, "DATA") => b"354 go on\r\n",
            (false, "QUIT") => {
                let _ = stream.write_all(b"221 bye\r\n");
                return Some(said);
            }
            (false, _) => b"250-yes\r\n250 yes\r\n",
        };
        in_data = line.trim_end() == "DATA";
        stream.write_all(answer).ok()?;
    }
}

fn next(from: &Receiver<String>) -> String {
    from.recv_timeout(Duration::from_secs(30)).expect("a notice")
}

/// The next notice of this kind.
fn posted(from: &Receiver<String>, kind: &str) -> Value {
    loop {
        let notice: Value = serde_json::from_str(&next(from)).unwrap();
        if notice["kind"] == kind {
            return notice;
        }
    }
}

fn open(switch: &Switch, kind: &str) -> Option<Value> {
    let list = switch.json(&["alarms", "list"]);
    list["items"].as_array().unwrap().iter().find(|a| a["kind"] == kind).cloned()
}

#[test]
fn a_low_balance_is_told_stored_seen_to_and_over() {
    let mut switch = Switch::start();
    let (hook, posts) = server(take_post);
    let (relay, mails) = server(take_mail);
    // Nobody listens there: it must harm neither the others nor the switch.
    let dead = {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", nobody.local_addr().unwrap())
    };
    switch.ok(&["alarms", "set", "delivery_failing", "--threshold", "2"]);
    let (hook, relay) = (format!("http://{hook}/alarms"), relay.to_string());
    let to = ["--mail-from", "switch@example.net", "--mail-to", "noc@example.net"];
    switch.ok(&[
        &["alarms", "deliver", "--webhook", &hook, "--webhook", &dead, "--mail-server", &relay],
        &to[..],
    ]
    .concat());
    switch.apply(&business(switch.net, "3.00"));

    let began = posted(&posts, "customer_balance_low");
    assert_eq!((&began["event"], &began["subject"]), (&"began".into(), &"acme".into()));
    assert_eq!((&began["value"], &began["threshold"]), (&300.into(), &500.into()));
    let mail = next(&mails);
    assert!(
        mail.contains("MAIL FROM:<switch@example.net>") && mail.contains("RCPT TO:<noc@example.net>"),
        "{mail}"
    );
    assert!(mail.contains("customer_balance_low") && mail.contains("Where: acme"), "{mail}");

    let alarm = eventually("the alarm is listed", || open(&switch, "customer_balance_low"));
    let id = alarm["id"].as_str().unwrap().to_owned();
    assert_eq!(began["id"], alarm["id"]);
    switch.ok(&["alarms", "acknowledge", &id, "--note", "money is on its way"]);
    eventually("the dead receiver is an alarm", || {
        open(&switch, "delivery_failing").filter(|a| a["subject"] == dead.as_str())
    });

    // It is the same alarm after a crash, and nobody is told twice.
    switch.crash_and_restart();
    let alarm = open(&switch, "customer_balance_low").expect("the alarm is open");
    assert_eq!((&alarm["id"], &alarm["note"]), (&id.as_str().into(), &"money is on its way".into()));
    switch.ok(&["account", "pay", "acme", "2.50"]);
    std::thread::sleep(Duration::from_secs(5));
    assert!(
        open(&switch, "customer_balance_low").is_some(),
        "5.50 is beyond the threshold, and not far enough"
    );
    switch.ok(&["account", "pay", "acme", "0.50"]);
    let ended = posted(&posts, "customer_balance_low");
    assert_eq!(
        (&ended["event"], &ended["id"], &ended["value"]),
        (&"ended".into(), &alarm["id"], &600.into())
    );
    assert!(open(&switch, "customer_balance_low").is_none());
    let all = switch.json(&["alarms", "list", "--all"]);
    let past = all["items"].as_array().unwrap().iter().find(|a| a["id"] == alarm["id"]).unwrap();
    assert!(past["ended_at"].is_string() && past["acknowledged_by"].is_string(), "{past}");
    switch.check();
}

#[test]
fn a_silent_gateway_is_an_alarm_and_rules_are_checked() {
    let switch = Switch::start();
    switch.ok(&["alarms", "set", "gateway_offline", "--hold", "0"]);
    let (code, words) = switch.refused(&["alarms", "set", "cpu_high", "--threshold", "50", "--clear", "60"]);
    assert!(code != Some(0) && words.contains("rules.cpu_high.clear"), "{words}");
    let (_, words) = switch.refused(&["alarms", "deliver", "--webhook", "ftp://x/"]);
    assert!(words.contains("webhooks.0"), "{words}");
    switch.apply(&business(switch.net, "10.00").replace("priority = 1", "priority = 1\ncheck_interval = 5"));
    let alarm = eventually_within(Duration::from_secs(60), "the gateway is offline", || {
        open(&switch, "gateway_offline")
    });
    assert_eq!((&alarm["subject"], &alarm["severity"]), (&"vendor-a-1".into(), &"critical".into()));
    switch.ok(&["alarms", "set", "gateway_offline", "--off"]);
    eventually("a rule that is off has no alarms", || {
        open(&switch, "gateway_offline").is_none().then_some(())
    });
}

#[test]
fn fraud_is_tried_on_the_past_then_watched_and_the_account_locked() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let vendor = vendor(&switch, 1);
    let calls = |count: &str| caller(&switch, &["-m", count]).start().succeeded();
    assert!(calls("4"));
    switch.cdrs(4);
    let rule = ["few_numbers", "--threshold", "4"];
    let trial = switch.json(&[&["fraud", "try"], &rule[..]].concat());
    assert_eq!((&trial["calls"], &trial["complete"]), (&4.into(), &true.into()));
    let finding = &trial["findings"][0];
    assert_eq!((&finding["subject"], &finding["value"]), (&"acme".into(), &4.into()));
    assert_eq!(finding["evidence"].as_array().unwrap().len(), 4);
    let stricter = switch.json(&["fraud", "try", "few_numbers", "--threshold", "5"]);
    assert_eq!(stricter["findings"], Value::Array(Vec::new()));
    assert!(open(&switch, "fraud").is_none(), "a trial changes nothing");

    // By now those calls have passed the watch, which had no rule; then it has one.
    std::thread::sleep(Duration::from_secs(3));
    switch.ok(&[&["fraud", "set"], &rule[..], &["--action", "lock_account", "--on"]].concat());
    std::thread::sleep(Duration::from_secs(3));
    assert!(calls("4"));
    let alarm = eventually("the fraud is an alarm", || open(&switch, "fraud"));
    assert_eq!(alarm["subject"], "few_numbers acme");
    let evidence = alarm["evidence"].as_array().unwrap();
    let records = switch.cdrs(8);
    assert!(
        evidence.len() == 4 && evidence.iter().all(|id| records.iter().any(|r| r["id"] == *id)),
        "{alarm}"
    );
    // What is refused with 403 is as it should be for this scenario.
    assert!(calls("1"));
    assert_eq!(switch.cdrs(9)[8]["end_reason"], "account_locked");
    drop(vendor);
    let (_, words) = switch.refused(&["fraud", "set", "false_answers", "--action", "lock_account"]);
    assert!(words.contains("rules.false_answers.action"), "{words}");
    switch.check();
}

/// A network of its own, with a peer behind a wire; gone when dropped.
struct Namespace {
    holders: [Child; 2],
    nft: PathBuf,
}

impl Namespace {
    /// The peer has the addresses 10.99.0.2 to 10.99.0.4.
    fn new(folder: &Path) -> Namespace {
        let holder =
            || Command::new("unshare").args(["-n", "sleep", "300"]).stdin(Stdio::null()).spawn().unwrap();
        let holders = [holder(), holder()];
        let [here, there] = [holders[0].id(), holders[1].id()];
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        for id in [here, there] {
            eventually("a namespace", || {
                std::fs::read_link(format!("/proc/{id}/ns/net")).ok().filter(|ns| *ns != own)
            });
        }
        let nft = folder.join("nft");
        std::fs::write(&nft, format!("#!/bin/sh\nexec nsenter -t {here} -n nft \"$@\"\n")).unwrap();
        std::fs::set_permissions(&nft, std::fs::Permissions::from_mode(0o755)).unwrap();
        let namespace = Namespace { holders, nft };
        namespace.run(0, &format!("ip link add v0 type veth peer name v1 netns {there}"));
        namespace.run(0, "ip addr add 10.99.0.1/24 dev v0; ip link set v0 up; ip link set lo up");
        namespace.run(1, "ip addr add 10.99.0.2/24 dev v1; ip addr add 10.99.0.3/24 dev v1");
        namespace.run(1, "ip addr add 10.99.0.4/24 dev v1; ip link set v1 up");
        namespace
    }

    fn run(&self, side: usize, script: &str) -> String {
        let id = self.holders[side].id().to_string();
        let output = Command::new("nsenter").args(["-t", &id, "-n", "bash", "-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sends so many UDP packets from this address.
    fn send(&self, from: &str, port: u16, count: u32) {
        self.run(1, &format!("ip route replace 10.99.0.0/24 dev v1 src {from}"));
        self.run(1, &format!("for i in $(seq {count}); do echo x > /dev/udp/10.99.0.1/{port} || :; done"));
    }

    /// Packets that the rule with these words has counted.
    fn counted(&self, words: &str) -> u32 {
        let rules = self.run(0, "nft list table inet tandem");
        let line = rules.lines().find(|l| l.contains(words)).unwrap_or_else(|| panic!("{words}: {rules}"));
        let (_, rest) = line.split_once("counter packets ").unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

#[test]
fn the_kernel_lets_gateways_pass_and_holds_strangers() {
    let switch = Switch::start();
    let namespace = Namespace::new(switch.dir.path());
    switch.apply(&business(switch.net, "10.00").replace(&switch.net.customer().to_string(), "10.99.0.2"));
    switch.ok(&["firewall", "deny", "10.99.0.3"]);
    namespace
        .run(0, "nft add table inet other; nft add chain inet other c; nft add rule inet other c accept");
    let others = namespace.run(0, "nft list ruleset");
    let nft = namespace.nft.to_str().unwrap();
    switch.ok(&["firewall", "apply", "--nft", nft]);
    switch.ok(&["firewall", "apply", "--nft", nft]);

    let port = switch.sip("udp").port();
    for (from, count) in [("10.99.0.2", 300), ("10.99.0.3", 30), ("10.99.0.4", 300)] {
        namespace.send(from, port, count);
    }
    // All of a gateway, nothing of who is denied, and of a stranger what he may send at once.
    assert_eq!(namespace.counted("ip saddr @allow4"), 300);
    assert_eq!(namespace.counted("ip saddr @deny4"), 30);
    let dropped = namespace.counted("update @strangers4");
    assert!((1..=250).contains(&dropped), "{dropped}");

    switch.ok(&["firewall", "allow", "10.99.0.3"]);
    let script = switch.ok(&["firewall", "show"]);
    assert!(script.contains("set deny4 { type ipv4_addr; flags interval; auto-merge; }"), "{script}");
    let (_, words) = switch.refused(&["firewall", "deny", "10.99.0.3; flush ruleset"]);
    assert!(words.contains("deny.0"), "{words}");
    switch.ok(&["firewall", "remove", "--nft", nft]);
    switch.ok(&["firewall", "remove", "--nft", nft]);
    assert_eq!(namespace.run(0, "nft list ruleset"), others);
}
