//! What was seen of calls: analysis, exports, traces, HEP, and the media doctor.

use crate::harness::*;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sends A-law both ways at the pace of speech until dropped.
struct Voice {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// An RTP packet with this payload type and payload.
fn rtp(number: u16, payload_type: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(number.to_be_bytes());
    bytes.extend((u32::from(number) * 160).to_be_bytes());
    bytes.extend([9; 4]);
    bytes.resize(12 + length, 0xd5);
    bytes
}

impl Voice {
    fn new(socket: &UdpSocket, to: SocketAddr, packet: impl Fn(u16) -> Vec<u8> + Send + 'static) -> Voice {
        let (stop, socket) = (Arc::new(AtomicBool::new(false)), socket.try_clone().unwrap());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for n in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let bytes = packet(n);
                if !bytes.is_empty() {
                    socket.send_to(&bytes, to).unwrap();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Voice { stop, thread: Some(thread) }
    }

    fn speech(socket: &UdpSocket, to: SocketAddr) -> Voice {
        Voice::new(socket, to, |n| rtp(n, 8, 160))
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn socket(ip: Ipv4Addr) -> UdpSocket {
    UdpSocket::bind((ip, 0)).unwrap()
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

fn vendor_ip(switch: &Switch, n: u8) -> Ipv4Addr {
    match switch.net.vendor(n) {
        SocketAddr::V4(v4) => *v4.ip(),
        SocketAddr::V6(_) => unreachable!(),
    }
}

fn ready() -> Switch {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.ok(&["param", "set", "SS_MEDIAPROXYMODE", "Must On"]);
    switch
}

fn keys(analysis: &Value) -> Vec<String> {
    let findings = analysis["findings"].as_array().unwrap();
    findings.iter().map(|f| f["key"].as_str().unwrap().to_owned()).collect()
}

/// What tshark says of each packet that it takes for SIP.
fn tshark(file: &Path) -> Vec<String> {
    let output = Command::new("tshark")
        .args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-r"])
        .arg(file)
        .args(["-Y", "sip && !ip.checksum.status==0 && !udp.checksum.status==0"])
        .args([
            "-T",
            "fields",
            "-e",
            "ip.src",
            "-e",
            "ip.dst",
            "-e",
            "sip.Method",
            "-e",
            "sip.Status-Code",
            "-e",
            "sip.Call-ID",
        ])
        .output()
        .expect("tshark is needed (apt-get install tshark)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A decoder of HEP3 that knows nothing of the encoder: chunks of vendor 0 by their type.
fn hep(packet: &[u8]) -> std::collections::BTreeMap<u16, Vec<u8>> {
    assert_eq!(&packet[..4], b"HEP3");
    assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len());
    let (mut rest, mut chunks) = (&packet[6..], std::collections::BTreeMap::new());
    while !rest.is_empty() {
        let word = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
        let (vendor, kind, length) = (word(0), word(2), usize::from(word(4)));
        assert_eq!(vendor, 0);
        chunks.insert(kind, rest[6..length].to_vec());
        rest = &rest[length..];
    }
    chunks
}

#[test]
fn a_healthy_call_has_no_findings_and_leaves_as_files() {
    let switch = ready();
    let homer = socket(switch.net.ip(7));
    homer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let receiver = homer.local_addr().unwrap().to_string();
    switch.ok(&["param", "set", "SS_TRACE_HEP_SERVER", &receiver]);
    // The setting is looked at between two looks into the mailbox.
    std::thread::sleep(Duration::from_millis(300));
    let (a, b) = (socket(switch.net.customer()), socket(vendor_ip(&switch, 1)));
    let vendor = sipp("uas.xml", switch.net.vendor(1)).media(port(&b)).listen();
    let mut caller = caller(&switch, &["-m", "1", "-d", "4500"]).media(port(&a)).start();
    let (to_a, to_b) = (caller.media_address("SIP/2.0 200"), vendor.media_address("INVITE"));
    let voices = (Voice::speech(&a, to_a), Voice::speech(&b, to_b));
    let id = eventually("the call is up", || {
        Some(switch.json(&["calls", "list"])["items"][0]["id"].as_str()?.to_owned())
    });
    std::thread::sleep(Duration::from_millis(3800));
    let live = switch.json(&["calls", "analyse", &id]);
    assert_eq!((&live["live"], keys(&live)), (&true.into(), vec![]), "{live:#}");
    caller.assert_succeeded();
    drop(voices);

    let cdr = switch.cdrs(1).remove(0);
    let analysis = eventually("the last message is there", || {
        let analysis = switch.json(&["calls", "analyse", &id]);
        let rows = analysis["ladder"].as_array()?;
        let byes = rows.iter().filter(|r| r["label"].as_str().unwrap().starts_with("200 OK (BYE)")).count();
        (byes == 2).then_some(analysis)
    });
    assert_eq!((keys(&analysis), &analysis["record"]["silent"]), (vec![], &Value::Array(vec![])));
    assert_eq!(analysis["lanes"], serde_json::json!(["caller", "switch", "vendor-a-1"]));
    let offer = &analysis["sessions"][0];
    let changes = offer["changes"].to_string();
    assert!(changes.contains(&format!("audio: address {}:{}", switch.net.customer(), port(&a))), "{changes}");
    let events = analysis["events"].to_string();
    for part in ["vendor-a-1 is tried", "held", "charged 0.00", "first packet from the caller"] {
        assert!(events.contains(part), "{part}: {events}");
    }
    assert!(!analysis["media"].as_array().unwrap().is_empty());

    // pcap and text, of the call and by filter.
    let file = switch.file("call.pcap");
    switch.ok(&["calls", "pcap", &id, "-o", file.to_str().unwrap()]);
    let packets = tshark(&file);
    // Each side: INVITE, 100, 180, 200, ACK, BYE, 200.
    assert!(packets.len() >= 13, "{packets:#?}");
    let with = |words: &[&str]| packets.iter().filter(|p| words.iter().all(|w| p.contains(w))).count();
    let (a_ip, b_ip) = (switch.net.customer().to_string(), vendor_ip(&switch, 1).to_string());
    assert_eq!((with(&[&a_ip, "INVITE"]), with(&[&b_ip, "INVITE"])), (1, 1), "{packets:#?}");
    let b_id = cdr["call_id_b"].as_str().unwrap();
    assert!(with(&[b_id, &b_ip, "200"]) >= 1, "{packets:#?}");
    switch.ok(&["trace", "pcap", "-o", file.to_str().unwrap(), "--number", "880171234", "--account", "acme"]);
    assert_eq!(tshark(&file).len(), packets.len());
    switch.ok(&["trace", "pcap", "-o", file.to_str().unwrap(), "--number", "999"]);
    assert_eq!(tshark(&file).len(), 0);
    let text = switch.ok(&["calls", "text", &id]);
    assert!(text.contains("INVITE sip:8801712345678@") && text.contains("switch"), "{text}");

    // Everything in one file.
    let zip = switch.file("call.zip");
    switch.ok(&["calls", "evidence", &id, "-o", zip.to_str().unwrap()]);
    let into = switch.file("evidence");
    let unpacked =
        Command::new("unzip").arg("-q").arg(&zip).arg("-d").arg(&into).status().expect("unzip is needed");
    assert!(unpacked.success());
    assert_eq!(tshark(&into.join("messages.pcap")).len(), packets.len());
    let read =
        |name: &str| -> Value { serde_json::from_slice(&std::fs::read(into.join(name)).unwrap()).unwrap() };
    assert_eq!(read("record.json")["id"], id.as_str());
    assert!(read("decision.json")["candidates"][0]["gateway"] == "vendor-a-1");
    let ledger = read("ledger.json");
    // Charge and cost, each with its counter-entry.
    assert_eq!(ledger.as_array().unwrap().len(), 4, "{ledger:#}");
    assert!(read("media.json").as_array().is_some_and(|m| !m.is_empty()));

    // HEP: every message, one correlation id for both legs.
    let (mut buffer, mut correlations, mut seen) = ([0; 65_536], std::collections::BTreeSet::new(), 0);
    while seen < packets.len() {
        let (length, _) = homer.recv_from(&mut buffer).unwrap();
        let chunks = hep(&buffer[..length]);
        assert_eq!((&chunks[&1][..], &chunks[&2][..], &chunks[&11][..]), (&[2][..], &[17][..], &[1][..]));
        let payload = String::from_utf8(chunks[&15].clone()).unwrap();
        assert!(payload.contains("Call-ID"), "{payload}");
        assert_eq!(chunks[&12], 2001u32.to_be_bytes());
        correlations.insert(String::from_utf8(chunks[&17].clone()).unwrap());
        seen += 1;
    }
    assert_eq!(correlations.into_iter().collect::<Vec<_>>(), [cdr["call_id_a"].as_str().unwrap()]);
    switch.check();
}

/// How the vendor's side of a call is broken.
struct Broken {
    why: &'static str,
    findings: &'static [&'static str],
    /// The address in its session description, where it is another.
    address: Option<&'static str>,
    sends: fn(u16) -> Vec<u8>,
    from_elsewhere: bool,
}

const NOTHING: fn(u16) -> Vec<u8> = |_| Vec::new();

fn broken(why: &'static str, findings: &'static [&'static str], sends: fn(u16) -> Vec<u8>) -> Broken {
    Broken { why, findings, address: None, sends, from_elsewhere: false }
}

/// The doctor names each broken peer within five seconds of the answer, in the live call; the record keeps it.
#[test]
fn the_doctor_says_which_side_is_silent_and_why() {
    let cases = [
        broken("sends_nothing", &["one_way_audio"], NOTHING),
        Broken {
            address: Some("10.11.12.13"),
            ..broken("private_address", &["one_way_audio", "private_sdp_address"], NOTHING)
        },
        Broken {
            address: Some("0.0.0.0"),
            ..broken("no_address", &["one_way_audio", "no_sdp_address"], NOTHING)
        },
        Broken {
            from_elsewhere: true,
            ..broken("wrong_source", &["one_way_audio", "media_elsewhere"], |n| rtp(n, 8, 160))
        },
        broken("not_rtp", &["one_way_audio", "media_not_rtp"], |_| b"hello, hello, hello".to_vec()),
        broken("encrypted", &["encryption_mismatch"], |n| rtp(n, 8, 170)),
        broken("stopped", &["media_stopped"], |n| if n < 40 { rtp(n, 8, 160) } else { Vec::new() }),
        broken("lossy", &["media_lossy"], |n| rtp(n * 2, 8, 160)),
    ];
    for some in cases.chunks(4) {
        std::thread::scope(|scope| some.iter().for_each(|case| drop(scope.spawn(|| diagnose(case)))));
    }
}

fn diagnose(case: &Broken) {
    let switch = ready();
    let (a, b) = (socket(switch.net.customer()), socket(vendor_ip(&switch, 1)));
    let says = |text: String| match case.address {
        Some(ip) => text.replace("c=IN IP[local_ip_type] [local_ip]", &format!("c=IN IP4 {ip}")),
        None => text,
    };
    let vendor = sipp_saying("uas.xml", switch.net.vendor(1), says).media(port(&b)).listen();
    let mut caller = caller(&switch, &["-m", "1", "-d", "6000"]).media(port(&a)).start();
    let (to_a, to_b) = (caller.media_address("SIP/2.0 200"), vendor.media_address("INVITE"));
    let source = if case.from_elsewhere { socket(switch.net.stranger()) } else { b.try_clone().unwrap() };
    let voices = (Voice::speech(&a, to_a), Voice::new(&source, to_b, case.sends));
    let live = eventually_within(Duration::from_secs(6), case.why, || {
        let call = switch.json(&["calls", "list"])["items"][0].clone();
        (!call["silent"].as_array()?.is_empty()).then_some(call)
    });
    let found = &live["silent"][0];
    assert_eq!((&found["side"], &found["why"]), (&"gateway".into(), &case.why.into()), "{live:#}");
    assert!(found["from_ms"].as_u64().unwrap() <= 5000, "{found}");
    caller.assert_succeeded();
    drop(voices);
    let id = switch.cdrs(1)[0]["id"].as_str().unwrap().to_owned();
    let record = switch.json(&["cdr", "show", &id]);
    assert_eq!(record["silent"][0]["why"], case.why);
    assert_eq!(keys(&switch.json(&["calls", "analyse", &id])), case.findings, "{}", case.why);
}

#[test]
fn a_failed_call_is_explained_afterwards() {
    let switch = ready();
    switch.ok(&["param", "set", "SS_SIP_TIMEOUT_INVITE", "3"]);
    let deaf = UdpSocket::bind(switch.net.vendor(1)).unwrap();
    caller(&switch, &["-m", "1", "-d", "100"]).start().wait(Duration::from_secs(30));
    let id = switch.cdrs(1)[0]["id"].as_str().unwrap().to_owned();
    let analysis = switch.json(&["calls", "analyse", &id]);
    assert_eq!(keys(&analysis), ["gateway_no_answer"]);
    let text = analysis["findings"][0]["text"].as_str().unwrap();
    assert!(text.contains("no answer to") && text.contains("INVITEs") && text.contains("firewall"), "{text}");
    assert!(analysis["events"].to_string().contains("time to answer is over"), "{analysis:#}");
    let by_record = switch.ok(&["calls", "analyse", &id]);
    assert!(by_record.contains("INVITE +SDP (again)"), "{by_record}");

    drop(deaf);
    let _vendor = sipp("uas-503.xml", switch.net.vendor(1)).listen();
    caller(&switch, &["-m", "1", "-d", "100"]).start().wait(Duration::from_secs(30));
    let id = switch.cdrs(2)[1]["id"].as_str().unwrap().to_owned();
    assert_eq!(keys(&switch.json(&["calls", "analyse", &id])), ["gateway_unavailable"]);
}

#[test]
fn traces_hold_what_was_asked_and_a_full_disk_harms_no_call() {
    let switch = ready();
    let _vendor = vendor(&switch, 1);
    let call = |number: &str| {
        let target = switch.sip("udp").to_string();
        let from = SocketAddr::from((switch.net.customer(), 5090));
        sipp("uac.xml", from)
            .with(&["-s", number, "-m", "1", "-d", "100", &target])
            .start()
            .assert_succeeded();
    };
    switch.ok(&["trace", "on", "calls", "--number", "8801711", "--minutes", "5"]);
    std::thread::sleep(Duration::from_millis(200));
    call("8801722222222");
    call("8801711111111");
    let traced = eventually("the trace is written", || {
        let text = switch.ok(&["trace", "show", "calls"]);
        text.contains("billing: charged").then_some(text)
    });
    assert!(
        traced.contains("INVITE sip:8801711111111@") && traced.contains("routing: 15551234 calls"),
        "{traced}"
    );
    assert!(!traced.contains("8801722222222"), "{traced}");
    let state = switch.json(&["trace", "status"]);
    assert_eq!(
        (&state[0]["on"], &state[0]["number"], &state[0]["dropped"]),
        (&true.into(), &"8801711".into(), &0.into())
    );
    assert!(state[0]["until"].is_string());
    switch.ok(&["trace", "off", "calls"]);

    // A disk that takes nothing: the folder of the traces is gone, and a file stands in its place.
    std::fs::remove_dir_all(switch.data().join("trace")).unwrap();
    std::fs::write(switch.data().join("trace"), "").unwrap();
    switch.ok(&["trace", "on", "calls"]);
    std::thread::sleep(Duration::from_millis(200));
    call("8801711111111");
    switch.cdrs(3);
    eventually("it is shown", || {
        let state = switch.json(&["trace", "status"]);
        (state[0]["failing"] == true && state[0]["dropped"].as_u64()? > 0).then_some(())
    });
    switch.check();
}

/// What a scraper gets, with a token or without.
fn scrape(switch: &Switch, token: Option<&str>) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.get(format!("{}/metrics", switch.run["api"].as_str().unwrap()));
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

#[test]
fn the_monitor_fills_metrics_and_history_and_the_log_changes_levels() {
    let switch = ready();
    let _vendor = vendor(&switch, 1);
    caller(&switch, &["-m", "3", "-d", "200"]).start().assert_succeeded();
    switch.cdrs(3);
    let token = std::fs::read_to_string(switch.data().join("local.token")).unwrap();
    assert_eq!(scrape(&switch, None).0, 401);
    let text = eventually("the figures are there", || {
        let (status, text) = scrape(&switch, Some(token.trim()));
        assert_eq!(status, 200);
        text.contains("tandem_calls_answered_total 3").then_some(text)
    });
    for name in api::metric_names() {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} is missing:\n{text}");
    }
    assert!(
        text.contains("tandem_gateway_answered_total{gateway=\"vendor-a-1\",side=\"routing\"} 3"),
        "{text}"
    );
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    assert!(
        value("tandem_process_resident_memory_bytes ") > 1e6
            && value("tandem_process_cpu_seconds_total ") > 0.0
    );
    let history = eventually("a sample is in the history", || {
        let history = switch.json(&["monitor", "history"]);
        (!history.as_array()?.is_empty()).then_some(history)
    });
    assert!(history[0]["values"]["memory"].as_i64().unwrap() > 1_000_000);
    assert!(switch.ok(&["monitor", "now"]).contains("tandem_calls"));

    // The files hold what SS_TRACE_MASK says; a module can say more, from now on.
    assert!(!switch.ok(&["log", "show"]).contains("refused"));
    switch.ok(&["log", "set", "debug", "--module", "api"]);
    switch.refused(&["log", "set", "loud"]);
    switch.refused(&["log", "set", "debug", "--module", "a=b,c"]);
    switch.refused(&["account", "show", "nobody"]);
    eventually("the refusal is in the file", || {
        switch.ok(&["log", "show"]).contains("refused").then_some(())
    });
    assert_eq!(switch.json(&["log", "levels"])["modules"]["api"], "debug");
    switch.ok(&["log", "set", "default", "--module", "api"]);
    switch.ok(&["param", "set", "SS_TRACETOFILE", "Off"]);
    assert_eq!(switch.json(&["log", "levels"])["modules"], serde_json::json!({}));
}

#[test]
fn the_self_test_passes_leaves_nothing_behind_and_finds_what_is_broken() {
    let switch = ready();
    for _ in 0..2 {
        let test = switch.json(&["selftest"]);
        let steps: Vec<&str> =
            test["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
        let all = [
            "set-up",
            "signalling",
            "audio to the vendor",
            "audio to the customer",
            "digits",
            "release",
            "record",
            "charge",
            "clean-up",
        ];
        assert_eq!((&test["passed"], &steps[..]), (&true.into(), &all[..]), "{test:#}");
    }
    assert_eq!((switch.balance("acme"), switch.balance("vendor-a")), ("10.00".into(), "0.00".into()));
    for account in ["selftest-customer", "selftest-vendor"] {
        let shown = switch.json(&["account", "show", account]);
        assert_eq!(
            (&shown["account"]["balance"], &shown["account"]["state"]),
            (&"0.00".into(), &"locked".into())
        );
    }
    let left = switch.ok(&["export"]);
    assert!(!left.contains("[[mapping_gateway]]\nname = \"selftest") && !left.contains("99978"), "{left}");
    switch.check();

    // No call may come in: the test says where it ends, and cleans up all the same.
    switch.ok(&["param", "set", "SS_SIP_CODECS", "G729"]);
    let (_, said) = switch.refused(&["selftest"]);
    assert!(said.contains("the self-test failed"), "{said}");
    assert!(!switch.ok(&["export"]).contains("99978"));
    switch.check();
}
