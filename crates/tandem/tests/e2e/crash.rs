//! `kill -9` under load: calls that are up go on, and each is charged once and for the right time (`R-01`, `BEY-2`).

use crate::harness::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A number from the environment, for longer runs.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

fn talking_for(ms: u64) -> impl Fn(String) -> String {
    move |text| text.replace("\"TALK\"", &format!("\"{ms}\""))
}

/// A SIPp that calls over and over, answers OPTIONS, and hangs up after this time without a question.
fn restart_caller(switch: &Switch, port: u16, number: &str, talk_ms: u64, args: &[&str]) -> Sipp {
    let from = SocketAddr::from((switch.net.customer(), port));
    let target = switch.sip("udp").to_string();
    let options = sipp_saying("uac-restart.xml", from, talking_for(talk_ms)).with(&["-s", number]);
    options.with(args).with(&[&target]).start()
}

/// What a caller saw of one call: time of the answer, and of the first BYE in either direction.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    answered: Option<f64>,
    ended: Option<f64>,
    /// The BYE has its 200.
    settled: bool,
}

fn seen(sipp: &Sipp) -> BTreeMap<String, Seen> {
    let mut calls: BTreeMap<String, Seen> = BTreeMap::new();
    for (at, message) in sipp.timed_messages() {
        let (Some(id), Some(cseq)) = (header(&message, "Call-ID"), header(&message, "CSeq")) else {
            continue;
        };
        let call = calls.entry(id.to_string()).or_default();
        match (message.starts_with("SIP/2.0 200"), cseq.split(' ').nth(1)) {
            (true, Some("INVITE")) => call.answered = call.answered.or(Some(at)),
            (true, Some("BYE")) => call.settled = true,
            (false, Some("BYE")) if message.starts_with("BYE") => call.ended = call.ended.or(Some(at)),
            _ => {}
        }
    }
    calls
}

#[test]
fn calls_outlive_kill_9_under_load() {
    let kills = setting("TANDEM_KILLS", 5);
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let never = talking_for(600_000);
    let _vendor = sipp_saying("uas-restart.xml", switch.net.vendor(1), never).listen();
    // Talks longer than the time from one kill to the next.
    let calls = (kills * 40).to_string();
    let load = ["-m", calls.as_str(), "-r", "20", "-l", "500"];
    let mut caller = restart_caller(&switch, 5090, "8801712345678", 3000, &load);
    let mut seed = 0x5eed_u64;
    let mut starts = Vec::new();
    for _ in 0..kills {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(1200 + (seed >> 33) % 1200));
        starts.push(switch.crash_and_restart().as_millis());
    }
    let _ = caller.succeeded();
    let calls = seen(&caller);
    let answered: Vec<_> = calls.iter().filter(|(_, seen)| seen.answered.is_some()).collect();
    let records = eventually("the calls are settled", || {
        let list = switch.json(&["cdr", "list", "--answered", "true", "--limit", "5000"]);
        let mut records: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for cdr in list["items"].as_array().unwrap() {
            records.entry(cdr["call_id_a"].as_str().unwrap().to_string()).or_default().push(cdr.clone());
        }
        (switch.calls() == 0 && answered.iter().all(|(id, _)| records.contains_key(*id))).then_some(records)
    });
    let unsettled: Vec<_> = answered.iter().filter(|(_, seen)| !seen.settled).collect();
    let mut worst = 0.0_f64;
    for (id, seen) in &answered {
        assert_eq!(records[*id].len(), 1, "{id} has one record");
        let cdr = &records[*id][0];
        let (Some(from), Some(to)) = (seen.answered, seen.ended) else { continue };
        let talked = (to - from).rem_euclid(86_400.0);
        let told = cdr["duration_ms"].as_f64().unwrap() / 1000.0;
        worst = worst.max((talked - told).abs());
    }
    println!(
        "{kills} kills, {} of {} calls answered, {} could not be ended by their caller; ready after {starts:?} ms; talk \
         times differ from the caller's by {worst:.2} s at most",
        answered.len(),
        calls.len(),
        unsettled.len(),
    );
    assert!(answered.len() > 20 * usize::try_from(kills).unwrap(), "{} calls were answered", answered.len());
    assert!(unsettled.len() * 1000 <= answered.len(), "99.9 % can be ended: {unsettled:?}");
    // A BYE sent while nobody was there is charged up to the last sign of life, a second before at most.
    let longest_gap = f64::from(u32::try_from(*starts.iter().max().unwrap()).unwrap()) / 1000.0;
    assert!(worst < longest_gap + 1.5, "a talk time is wrong by {worst} s");
    switch.check();
    let account = switch.json(&["account", "show", "acme"]);
    assert_eq!(account["account"]["reserved"], "0.00");
}

#[test]
fn the_called_party_can_hang_up_after_a_restart() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let vendor = sipp_saying("uas-restart.xml", switch.net.vendor(1), talking_for(2000)).listen();
    let mut caller = restart_caller(&switch, 5090, "8801712345678", 600_000, &["-m", "10", "-r", "20"]);
    eventually("the calls are up", || {
        let calls = switch.json(&["calls", "list"]);
        let talking = calls["items"].as_array().unwrap().iter().filter(|c| c["state"] == "talking").count();
        (talking == 10).then_some(())
    });
    switch.crash_and_restart();
    caller.assert_succeeded();
    assert_eq!(vendor.call_ids("SIP/2.0 200", "BYE").len(), 10);
    for cdr in switch.cdrs(10) {
        assert_eq!((&cdr["end_reason"], &cdr["ended_by"]), (&"normal_release".into(), &"callee".into()));
    }
    switch.check();
}

#[test]
fn calls_being_set_up_are_ended_on_both_sides() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let mut vendor = sipp("uas-ringing.xml", switch.net.vendor(1)).with(&["-m", "5"]).listen();
    let mut caller = restart_caller(&switch, 5090, "8801712345678", 1000, &["-m", "5", "-r", "50"]);
    eventually("five calls ring", || (caller.call_ids("SIP/2.0 180", "INVITE").len() == 5).then_some(()));
    switch.crash_and_restart();
    caller.assert_succeeded();
    vendor.assert_succeeded();
    assert_eq!(caller.call_ids("SIP/2.0 500", "INVITE").len(), 5);
    for cdr in switch.cdrs(5) {
        assert_eq!((&cdr["end_reason"], &cdr["fee"]), (&"internal_error".into(), &"0.00".into()), "{cdr}");
    }
    assert_eq!(switch.balance("acme"), "10.00");
    switch.check();
}

/// In seconds, UTC, as SIPp tells it.
fn time_of_day() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs_f64() % 86_400.0
}

/// A caller that dies with its calls while the switch is away: nobody will ever send a BYE.
#[test]
fn calls_whose_end_fell_into_the_gap_are_found_out() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let _vendor = sipp_saying("uas-restart.xml", switch.net.vendor(1), talking_for(600_000)).listen();
    let caller = restart_caller(&switch, 5090, "8801712345678", 600_000, &["-m", "5", "-r", "50"]);
    eventually("five calls are answered", || (caller.call_ids("ACK", "ACK").len() == 5).then_some(()));
    std::thread::sleep(Duration::from_millis(2500));
    let answers = seen(&caller);
    let killed = time_of_day();
    switch.kill();
    drop(caller);
    let started = Instant::now();
    switch.restart();
    let cdrs = eventually_within(Duration::from_secs(60), "they are ended", || {
        let list = switch.json(&["cdr", "list", "--limit", "100"]);
        let items = list["items"].as_array().unwrap().clone();
        (items.len() == 5).then_some(items)
    });
    println!("found out {:.1} s after the start", started.elapsed().as_secs_f64());
    for cdr in &cdrs {
        assert!(answers[cdr["call_id_a"].as_str().unwrap()].answered.is_some(), "{:#?}", answers);
        let talked = killed - answers[cdr["call_id_a"].as_str().unwrap()].answered.unwrap();
        let told = cdr["duration_ms"].as_f64().unwrap() / 1000.0;
        println!("talked {talked:.2} s, charged for {told:.2} s");
        assert!(told <= talked + 0.2 && told >= talked - 2.0, "{cdr}");
    }
    switch.check();
}

/// R-01: media is there again after a second, on the same ports, with the same counters.
#[test]
fn media_goes_on_through_the_same_ports() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.ok(&["param", "set", "SS_MEDIAPROXYMODE", "Must On"]);
    let socket = |ip: std::net::IpAddr| {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        socket
    };
    let (a, b) = (socket(switch.net.customer().into()), socket(switch.net.vendor(1).ip()));
    let port = |s: &UdpSocket| s.local_addr().unwrap().port();
    let never = talking_for(600_000);
    let vendor = sipp_saying("uas-restart.xml", switch.net.vendor(1), &never).media(port(&b)).listen();
    let from = SocketAddr::from((switch.net.customer(), 5090));
    let target = switch.sip("udp").to_string();
    let caller =
        sipp_saying("uac-restart.xml", from, &never).with(&["-s", "8801712345678", "-m", "1", &target]);
    let caller = caller.media(port(&a)).start();
    let (to_a, to_b) = (caller.media_address("SIP/2.0 200"), vendor.media_address("INVITE"));
    let speech = Speech::start(a, to_a, b, to_b);
    std::thread::sleep(Duration::from_secs(3));
    switch.crash_and_restart();
    std::thread::sleep(Duration::from_secs(3));
    let gaps = speech.stop();
    println!("longest silence in an unbroken stream: {:?} ms and {:?} ms", gaps[0].0, gaps[1].0);
    assert!(gaps.iter().all(|(gap, after)| *gap < 10_000 && *after > 50), "{gaps:?}");
    switch.ok(&["calls", "kill", "--all"]);
    let id = switch.cdrs(1)[0]["id"].as_str().unwrap().to_string();
    let cdr = switch.json(&["cdr", "show", &id]);
    for side in ["media_a", "media_b"] {
        // Written down when both were heard, within a second or two of the answer.
        assert!(cdr[side]["packets_in"].as_u64().unwrap() > 100, "{}", cdr[side]);
    }
}

/// Two peers that send a packet each 20 ms whatever happens.
struct Speech {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: std::thread::JoinHandle<[(u128, usize); 2]>,
}

impl Speech {
    fn start(a: UdpSocket, to_a: SocketAddr, b: UdpSocket, to_b: SocketAddr) -> Speech {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            // Longest silence and packets after it, by the side that hears.
            let mut heard = [(0u128, 0usize); 2];
            let mut last = [Instant::now(); 2];
            let mut buffer = [0; 2048];
            for n in 0u16.. {
                if stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let mut packet = vec![0x80, 8];
                packet.extend(n.to_be_bytes());
                packet.extend((u32::from(n) * 160).to_be_bytes());
                packet.extend([1; 164]);
                // Refused while nobody listens: goes on all the same.
                let _ = a.send_to(&packet, to_a);
                let _ = b.send_to(&packet, to_b);
                let next = Instant::now() + Duration::from_millis(20);
                while Instant::now() < next {
                    for (i, socket) in [&a, &b].into_iter().enumerate() {
                        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                            assert_eq!(from, [to_a, to_b][i], "from the same port as before");
                            let silence = last[i].elapsed().as_millis();
                            last[i] = Instant::now();
                            heard[i] = if silence > heard[i].0 {
                                (silence, 0)
                            } else {
                                (heard[i].0, heard[i].1 + 1)
                            };
                        }
                    }
                }
            }
            heard
        });
        Speech { stop, thread }
    }

    fn stop(self) -> [(u128, usize); 2] {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// R-01: ready again within 2 s with 2,000 dialogs (`TANDEM_DIALOGS=2000`).
#[test]
fn a_start_with_many_calls_is_quick() {
    let dialogs = usize::try_from(setting("TANDEM_DIALOGS", 200)).unwrap();
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "100000.00"));
    let _vendor = sipp_saying("uas-restart.xml", switch.net.vendor(1), talking_for(600_000)).listen();
    let count = dialogs.to_string();
    let load = ["-m", count.as_str(), "-r", "100", "-l", count.as_str()];
    let _caller = restart_caller(&switch, 5090, "8801712345678", 600_000, &load);
    let talking = |switch: &Switch| {
        let calls = switch.json(&["calls", "list"]);
        let talking = calls["items"].as_array().unwrap().iter().filter(|c| c["state"] == "talking").count();
        (talking >= dialogs).then_some(())
    };
    let limit = Duration::from_secs(120);
    eventually_within(limit, "all calls are up", || talking(&switch));
    let ready = switch.crash_and_restart();
    eventually_within(limit, "all calls are up again", || talking(&switch));
    println!("ready again after {} ms with {dialogs} calls", ready.as_millis());
    switch.ok(&["calls", "kill", "--all"]);
    eventually_within(limit, "all are charged", || {
        (switch.json(&["account", "show", "acme"])["account"]["reserved"] == "0.00").then_some(())
    });
    switch.check();
}
