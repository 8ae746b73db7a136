//! the messages of RFC 4475 and RFC 5118, sent to the running program. Each gets an allowed answer or none, and
//! the switch lives on.

use crate::harness::*;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

struct Case {
    file: String,
    allowed: String,
}

fn cases(folder: &Path) -> Vec<Case> {
    let table = std::fs::read_to_string(folder.join("EXPECTED.tsv")).unwrap();
    let rows = table.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>());
    rows.map(|r| Case { file: r[0].to_string(), allowed: r[4].to_string() }).collect()
}

/// Status of the next response with this Call-ID suffix, if one comes soon.
fn status(socket: &UdpSocket) -> Option<u16> {
    let mut buffer = [0; 65_536];
    loop {
        let length = socket.recv(&mut buffer).ok()?;
        let text = String::from_utf8_lossy(&buffer[..length]).to_string();
        let status: u16 = text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
        // What is still under way from the message before would be taken for the answer to this one.
        if status >= 200 {
            return Some(status);
        }
    }
}

fn life_sign(socket: &UdpSocket, n: usize) -> bool {
    let local = socket.local_addr().unwrap();
    let text = format!(
        "OPTIONS sip:ping SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKlife{n};rport\r\nFrom: <sip:a@{local}>;tag={n}\r\n\
         To: <sip:ping>\r\nCall-ID: life-{n}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send(text.as_bytes()).unwrap();
    let mut buffer = [0; 65_536];
    while let Ok(length) = socket.recv(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]).to_string();
        if text.starts_with("SIP/2.0 200") && text.contains(&format!("life-{n}")) {
            return true;
        }
    }
    false
}

#[test]
fn every_torture_message_is_survived() {
    let folders = ["data/rfc4475", "data/rfc5118"].map(shared);
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let _vendor = vendor(&switch, 1);
    let mut n = 0;
    for folder in folders.into_iter().flatten() {
        for case in cases(&folder) {
            n += 1;
            // A socket for each: nothing of one message is taken for another's.
            let connect = || {
                let socket = UdpSocket::bind((switch.net.customer(), 0)).unwrap();
                socket.connect(switch.sip("udp")).unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(2000))).unwrap();
                socket
            };
            let socket = connect();
            socket.send(&std::fs::read(folder.join(&case.file)).unwrap()).unwrap();
            let ping = connect();
            assert!(life_sign(&ping, n), "{}: the switch no longer answers", case.file);
            // After the life sign, so an answer is there already, if there is to be one.
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let got = status(&socket);
            assert!(is_allowed(&case.allowed, got), "{}: {got:?}, allowed: {}", case.file, case.allowed);
        }
    }
    eventually("no call is left", || (switch.calls() == 0).then_some(()));
    switch.check();
}

/// `400,policy`, `none (a response)`, … A policy is any refusal but one that blames the message or ourselves; and
/// responses go where the Via says, which is mostly not here.
fn is_allowed(allowed: &str, got: Option<u16>) -> bool {
    let listed = allowed.split([',', ' ']).any(|word| Some(word) == got.map(|s| s.to_string()).as_deref());
    match got {
        None => true,
        Some(_) if listed => true,
        Some(status) => allowed.contains("policy") && status != 400 && status != 500,
    }
}

#[test]
fn random_bytes_and_half_messages_over_tcp_and_udp() {
    use std::io::{Read, Write};
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let socket = UdpSocket::bind((switch.net.customer(), 0)).unwrap();
    socket.connect(switch.sip("udp")).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(2000))).unwrap();
    let mut state = 1u64;
    let mut random = |length: usize| -> Vec<u8> {
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u8::try_from(state >> 56).unwrap()
        };
        (0..length).map(next).collect()
    };
    for length in [0, 1, 2, 3, 100, 1500, 9000, 65_000] {
        socket.send(&random(length)).unwrap();
    }
    for head in [
        "INVITE sip:1@h SIP/2.0\r\n",
        "\r\n\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
        "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP",
    ] {
        socket.send(head.as_bytes()).unwrap();
    }
    assert!(life_sign(&socket, 1));
    for bytes in [
        random(5000),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"INVITE sip:1@h SIP/2.0\r\nContent-Length: -1\r\n\r\n".to_vec(),
    ] {
        let mut stream = std::net::TcpStream::connect(switch.sip("tcp")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        stream.write_all(&bytes).unwrap();
        // Closed by the switch, perhaps after a 400.
        let mut rest = Vec::new();
        let closed = stream.read_to_end(&mut rest).map_err(|e| e.kind());
        assert!(matches!(closed, Ok(_) | Err(std::io::ErrorKind::ConnectionReset)), "{closed:?}");
    }
    assert!(life_sign(&socket, 2));
}
