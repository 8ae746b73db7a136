//! What goes in on one side comes out on the other.

use crate::harness::*;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const PACKETS: u16 = 50;

fn socket(ip: std::net::Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// An RTP packet of A-law (RFC 3550 §5.1) whose sound names its place and its sender.
fn packet(number: u16, sender: u8) -> Vec<u8> {
    let mut bytes = vec![0x80, 8];
    bytes.extend(number.to_be_bytes());
    bytes.extend((u32::from(number) * 160).to_be_bytes());
    bytes.extend([sender; 4]);
    bytes.extend((0..160u16).map(|i| u8::try_from((i * 7 + number * 13) % 251).unwrap() ^ sender));
    bytes
}

/// Sends both ways at the pace of speech and compares what arrives.
fn talk(a: (&UdpSocket, SocketAddr), b: (&UdpSocket, SocketAddr)) {
    let mut buffer = [0; 2048];
    for n in 0..PACKETS {
        a.0.send_to(&packet(n, 0xaa), a.1).unwrap();
        b.0.send_to(&packet(n, 0xbb), b.1).unwrap();
        for (to, switch_address, sender) in [(b.0, b.1, 0xaa), (a.0, a.1, 0xbb)] {
            let (length, from) = to.recv_from(&mut buffer).unwrap_or_else(|e| panic!("packet {n}: {e}"));
            assert_eq!(from, switch_address, "it comes from where the switch listens");
            let (got, sent) = (&buffer[..length], packet(n, sender));
            // The switch may write its own SSRC; the sound, its number and its time are the peer's.
            assert_eq!((&got[..8], &got[12..]), (&sent[..8], &sent[12..]), "packet {n} of {sender:x}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn audio_passes_both_ways_and_is_counted() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.ok(&["param", "set", "SS_MEDIAPROXYMODE", "Must On"]);
    let (a, b) = (socket(switch.net.customer()), socket(as_v4(switch.net.vendor(1))));
    let port = |s: &UdpSocket| s.local_addr().unwrap().port();
    let vendor = sipp("uas.xml", switch.net.vendor(1)).media(port(&b)).listen();
    let mut caller = caller(&switch, &["-m", "1", "-d", "3000"]).media(port(&a)).start();
    let to_a = caller.media_address("SIP/2.0 200");
    let to_b = vendor.media_address("INVITE");
    assert_eq!((to_a.port() % 2, to_b.port() % 2), (0, 0));

    // Somebody else sends to the same port: nobody hears it.
    let stranger = socket(switch.net.stranger());
    stranger.send_to(&packet(1000, 0xee), to_a).unwrap();
    talk((&a, to_a), (&b, to_b));
    let live = eventually("the figures are shown", || {
        let call = switch.json(&["calls", "list"])["items"][0].clone();
        (call["a"]["packets_in"].as_u64()? >= u64::from(PACKETS)).then_some(call)
    });
    assert_eq!((&live["state"], &live["media"]), (&"talking".into(), &"relayed".into()));

    caller.assert_succeeded();
    let id = switch.cdrs(1)[0]["id"].as_str().unwrap().to_string();
    let cdr = switch.json(&["cdr", "show", &id]);
    for side in ["media_a", "media_b"] {
        let figures = &cdr[side];
        assert_eq!(
            (&figures["packets_in"], &figures["packets_out"]),
            (&PACKETS.into(), &PACKETS.into()),
            "{side}"
        );
        assert_eq!(figures["lost"], 0, "{side}");
    }
}

fn as_v4(address: SocketAddr) -> std::net::Ipv4Addr {
    match address {
        SocketAddr::V4(v4) => *v4.ip(),
        SocketAddr::V6(_) => unreachable!(),
    }
}
