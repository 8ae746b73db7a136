//! Digits by every method to every method, between two peers of the same codec, as packets and messages show them.

use crate::harness::*;
use codec::dtmf::{Detector, Heard};
use codec::{Decoder, Encoder, FRAME, Kind, Tone};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Event and packets of 20 ms it lasts.
const KEYS: [(u8, usize); 2] = [(5, 5), (11, 8)];
/// Packets of speech before, between and after them.
const REST: usize = 20;

fn info(cseq: usize, sign: char, ms: usize) -> String {
    format!(
        "<send retrans=\"500\"><![CDATA[\nINFO [next_url] SIP/2.0\n\
         Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n[routes]\n\
         From: \"alice\" <sip:15551234@[local_ip]:[local_port]>;tag=[pid]T[call_number]\n\
         To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]\nCall-ID: [call_id]\n\
         CSeq: {cseq} INFO\nMax-Forwards: 70\nContent-Type: application/dtmf-relay\nContent-Length: [len]\n\n\
         Signal={sign}\nDuration={ms}\n]]></send>\n<recv response=\"200\"/>\n<pause milliseconds=\"400\"/>\n"
    )
}

/// The caller, which presses the keys by INFO if that is its way.
fn caller_pressing(switch: &Switch, by_info: bool, rtp_port: u16) -> Sipp {
    let target = switch.sip("udp").to_string();
    let from = SocketAddr::from((switch.net.customer(), 5090));
    let change = |text: String| {
        if !by_info {
            return text;
        }
        let infos = format!("<pause milliseconds=\"500\"/>{}{}", info(2, '5', 100), info(3, '#', 160));
        text.replacen("<pause/>", &format!("{infos}<pause/>"), 1).replace("CSeq: 2 BYE", "CSeq: 9 BYE")
    };
    let sipp = sipp_saying("uac.xml", from, change).with(&["-s", "8801712345678", "-m", "1", "-d", "1500"]);
    sipp.with(&[&target]).media(rtp_port).start()
}

/// The vendor, which is told of digits by INFO if that is its way.
fn vendor_told(switch: &Switch, by_info: bool, rtp_port: u16) -> Sipp {
    let answer = "<recv request=\"INFO\"/><send><![CDATA[\nSIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n\
                  [last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n]]></send>\n";
    let infos = if by_info { answer.repeat(KEYS.len()) } else { String::new() };
    let change =
        |text: String| text.replace("<recv request=\"BYE\"/>", &format!("{infos}<recv request=\"BYE\"/>"));
    sipp_saying("uas.xml", switch.net.vendor(1), change).media(rtp_port).listen()
}

/// What the caller's telephone sends: speech, and keys as events or tones.
fn packets(method: &str) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(Kind::Pcma);
    let (mut sequence, mut timestamp, mut out) = (100u16, 8000u32, Vec::new());
    let mut put = |kind: u8, timestamp: u32, payload: &[u8]| {
        let mut bytes = vec![0x80, kind];
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend([5, 5, 5, 5]);
        bytes.extend_from_slice(payload);
        sequence += 1;
        out.push(bytes);
    };
    let mut speech = |pcm: &[i16]| {
        let mut payload = [0; 160];
        for (n, frame) in pcm.as_chunks::<FRAME>().0.iter().enumerate() {
            encoder.encode(frame, &mut payload[n * 80..]);
        }
        payload
    };
    for (key, length) in KEYS.into_iter().chain([(0, 0)]) {
        for _ in 0..REST {
            put(8, timestamp, &speech(&[60; 160]));
            timestamp += 160;
        }
        let (began, mut tone) = (timestamp, Tone::new(key).unwrap());
        for n in 1..=length {
            let pcm: Vec<i16> = (0..160).map(|_| tone.next_sample()).collect();
            match method {
                "RFC2833" => {
                    let [high, low] = u16::try_from(n * 160).unwrap().to_be_bytes();
                    let end = if n == length { 0x80 } else { 0 };
                    for _ in 0..if n == length { 3 } else { 1 } {
                        put(101, began, &[key, end | 10, high, low]);
                    }
                }
                "Inband" => put(8, timestamp, &speech(&pcm)),
                _ => put(8, timestamp, &speech(&[60; 160])),
            }
            timestamp += 160;
        }
    }
    out
}

fn socket(ip: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Digit and length in ms of each that the vendor got by this method.
fn received(method: &str, heard: &[Vec<u8>], vendor: &Sipp) -> Vec<(u8, u32)> {
    match method {
        "INFO" => {
            let messages = vendor.messages();
            let infos = messages.iter().filter(|m| m.starts_with("INFO"));
            let value =
                |m: &str, name: &str| m.lines().find_map(|l| l.strip_prefix(name)).map(str::to_string);
            infos
                .map(|m| {
                    let sign = value(m, "Signal=").unwrap();
                    let digit = if sign == "#" { 11 } else { sign.parse().unwrap() };
                    (digit, value(m, "Duration=").unwrap().parse().unwrap())
                })
                .collect()
        }
        "RFC2833" => {
            let mut digits: Vec<(&[u8], u8, u32)> = Vec::new();
            for p in heard.iter().filter(|p| p[1] & 0x7f == 101) {
                let length = u32::from(u16::from_be_bytes([p[14], p[15]])) / 8;
                match digits.last_mut() {
                    Some(last) if last.0 == &p[4..8] => last.2 = last.2.max(length),
                    _ => digits.push((&p[4..8], p[12], length)),
                }
            }
            digits.into_iter().map(|(_, digit, length)| (digit, length)).collect()
        }
        _ => {
            let (mut decoder, mut detector) = (Decoder::new(Kind::Pcma), Detector::default());
            let mut digits = Vec::new();
            for p in heard.iter().filter(|p| p[1] & 0x7f == 8) {
                decoder.decode(&p[12..], &mut |pcm| {
                    detector.hear(pcm, &mut |event| {
                        if let Heard::Released(digit, samples) = event {
                            digits.push((digit, samples / 8));
                        }
                    });
                });
            }
            digits
        }
    }
}

fn run(switch: &Switch, from: &str, to: &str, calls: usize) {
    let name = format!("{from} to {to}");
    switch.ok(&["param", "set", "SS_DTMF_SEND", to]);
    let (a, b) = (socket(switch.net.customer().into()), socket(switch.net.vendor(1).ip()));
    let port = |s: &UdpSocket| s.local_addr().unwrap().port();
    let vendor = vendor_told(switch, to == "INFO", port(&b));
    let mut caller = caller_pressing(switch, from == "INFO", port(&a));
    let to_a = caller.media_address("SIP/2.0 200");
    let mut heard = Vec::new();
    let started = Instant::now();
    let mut take = || {
        let mut buffer = [0; 2048];
        while let Ok((length, _)) = b.recv_from(&mut buffer) {
            // RTCP stands on another port.
            heard.push(buffer[..length].to_vec());
        }
    };
    for (n, packet) in (1u32..).zip(packets(from)) {
        a.send_to(&packet, to_a).unwrap();
        take();
        let due = Duration::from_millis(20) * n;
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
    caller.assert_succeeded();
    take();
    let got = received(to, &heard, &vendor);
    let pressed: Vec<u8> = KEYS.iter().map(|(key, _)| *key).collect();
    assert_eq!(got.iter().map(|(key, _)| *key).collect::<Vec<_>>(), pressed, "{name}: {got:?}");
    for ((_, ms), (_, length)) in got.iter().zip(KEYS) {
        // Digits that are played by the clock are as exact as a busy machine lets them be.
        let wanted = u32::try_from(length * 20).unwrap();
        assert!(ms.abs_diff(wanted) <= 40, "{name}: {ms} ms for {wanted}");
    }
    for other in ["RFC2833", "Inband", "INFO"].into_iter().filter(|other| *other != to) {
        assert_eq!(received(other, &heard, &vendor), [], "{name}: also by {other}");
    }
    let id = switch.cdrs(calls).pop().unwrap()["id"].as_str().unwrap().to_string();
    let cdr = switch.json(&["cdr", "show", &id]);
    assert_eq!((&cdr["media_a"]["dtmf"], &cdr["media_b"]["dtmf"]), (&from.into(), &to.into()), "{name}");
    assert!(cdr["media_a"]["mos_in"].as_f64().is_some_and(|mos| mos > 3.5), "{name}: {}", cdr["media_a"]);
    assert!(!switch.log().contains("Signal="), "digits are not written down");
}

fn run_all(from: &str) {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.ok(&["param", "set", "SS_DTMF_INBAND", "On"]);
    for (calls, to) in (1..).zip(["RFC2833", "INFO", "Inband"]) {
        run(&switch, from, to, calls);
    }
}

#[test]
fn events_become_anything() {
    run_all("RFC2833");
}

#[test]
fn info_becomes_anything() {
    run_all("INFO");
}

#[test]
fn tones_become_anything() {
    run_all("Inband");
}
