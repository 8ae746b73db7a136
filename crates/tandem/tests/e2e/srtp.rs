//! Media under keys (`MED-23`): what peers encrypt is opened, what goes to them is encrypted, and nothing else passes.

use crate::harness::*;
use media::srtp::{OVERHEAD, Streams};
use media::{Key, Suite};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

const LONG: Suite = Suite::AesCm128HmacSha1_80;
const SHORT: Suite = Suite::AesCm128HmacSha1_32;
const CALLER_KEY: [u8; 30] = *b"the caller's master key a salt";
const VENDOR_KEY: [u8; 30] = *b"some key of the vendor, a salt";

const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8; 30]) -> String {
    let word = |part: &[u8]| part.iter().fold(0usize, |word, byte| word << 8 | usize::from(*byte));
    let signs = |part| [18, 12, 6, 0].map(|shift| char::from(SIGNS[word(part) >> shift & 63]));
    bytes.chunks(3).flat_map(signs).collect()
}

fn unbase64(text: &str) -> [u8; 30] {
    let value = |sign: &u8| SIGNS.iter().position(|s| s == sign).unwrap();
    let word = |part: &[u8]| part.iter().fold(0, |word, sign| word << 6 | value(sign));
    let bytes = |part| [16, 8, 0].map(|shift| u8::try_from(word(part) >> shift & 255).unwrap());
    text.as_bytes().chunks(4).flat_map(bytes).collect::<Vec<u8>>().try_into().unwrap()
}

/// How a peer's session description has keys.
#[derive(Clone, Copy)]
struct Manner {
    profile: &'static str,
    tag: u32,
    suite: Suite,
    key: [u8; 30],
}

impl Manner {
    fn say(self, text: String) -> String {
        let key = base64(&self.key);
        let line = format!("[formats]\na=crypto:{} {} inline:{key}|2^48\n", self.tag, self.suite.name());
        let text = text.replace("RTP/AVP 8 101\n", "RTP/AVP [formats]\n");
        text.replace("RTP/AVP [formats]\n", &format!("{} {line}", self.profile))
    }
}

/// A party of a call: its socket, and what it seals and opens by.
struct Peer {
    socket: UdpSocket,
    sender: u8,
    manner: Option<Manner>,
    streams: Option<(Streams, Streams)>,
    switch: SocketAddr,
}

impl Peer {
    fn new(ip: IpAddr, sender: u8, manner: Option<Manner>) -> Peer {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Peer { socket, sender, manner, streams: None, switch: ([0, 0, 0, 0], 0).into() }
    }

    fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// The switch's session description came to this peer.
    fn meet(&mut self, sipp: &Sipp, start: &str) {
        self.switch = sipp.media_address(start);
        let message = sipp.messages().into_iter().find(|m| m.starts_with(start) && m.contains("m=audio"));
        let message = message.unwrap();
        let lines: Vec<_> = message.lines().filter(|l| l.starts_with("a=crypto:")).collect();
        let Some(manner) = self.manner else { return assert!(lines.is_empty(), "{message}") };
        assert!(message.contains(&format!(" {} ", manner.profile)), "{message}");
        let own = format!("a=crypto:{} {} inline:", manner.tag, manner.suite.name());
        let key =
            lines.iter().find_map(|line| line.strip_prefix(&own)).unwrap_or_else(|| panic!("{message}"));
        let streams = |key| Streams::new(manner.suite, &Key::new(key), 0).unwrap();
        self.streams = Some((streams(manner.key), streams(unbase64(key.trim()))));
    }

    fn seal(&mut self, number: u16) -> Vec<u8> {
        let mut bytes = packet(number, self.sender);
        if let Some((out, _)) = &mut self.streams {
            let len = bytes.len();
            bytes.resize(len + OVERHEAD, 0);
            let sealed = out.seal(&mut bytes, len, false).unwrap();
            bytes.truncate(sealed);
        }
        bytes
    }

    fn say(&mut self, number: u16) -> Vec<u8> {
        let bytes = self.seal(number);
        self.socket.send_to(&bytes, self.switch).unwrap();
        bytes
    }

    fn hear(&mut self, number: u16, sender: u8) {
        let mut buffer = [0; 2048];
        let (len, from) =
            self.socket.recv_from(&mut buffer).unwrap_or_else(|e| panic!("packet {number}: {e}"));
        assert_eq!(from, self.switch);
        let bytes = &mut buffer[..len];
        let want = packet(number, sender);
        let len = match &mut self.streams {
            Some((_, inward)) => {
                assert_ne!(bytes[12..len - 20], want[12..len - 20], "in clear");
                inward.open(bytes, false).unwrap_or_else(|e| panic!("packet {number}: {e:?}"))
            }
            None => len,
        };
        assert_eq!((&bytes[..8], &bytes[12..len]), (&want[..8], &want[12..]), "packet {number}");
    }

    fn hears_nothing(&self) {
        self.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert!(self.socket.recv_from(&mut [0; 2048]).is_err());
        self.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
}

/// An RTP packet of A-law whose sound names its place and its sender.
fn packet(number: u16, sender: u8) -> Vec<u8> {
    let mut bytes = vec![0x80, 8];
    bytes.extend(number.to_be_bytes());
    bytes.extend((u32::from(number) * 160).to_be_bytes());
    bytes.extend([sender; 4]);
    bytes.extend((0..160u32).map(|i| u8::try_from((i * 7 + u32::from(number) * 13) % 251).unwrap() ^ sender));
    bytes
}

fn talk(a: &mut Peer, b: &mut Peer, numbers: std::ops::Range<u16>) {
    for n in numbers {
        a.say(n);
        b.hear(n, a.sender);
        b.say(n);
        a.hear(n, b.sender);
    }
}

/// The business with `SS_SRTP` of caller and vendor.
fn settings(switch: &Switch, a: &str, b: &str) -> String {
    let own = |value: &str| format!("parameters = {{ SS_SRTP = \"{value}\" }}\n");
    business(switch.net, "10.00")
        .replace("name = \"acme-pbx\"\n", &format!("name = \"acme-pbx\"\n{}", own(a)))
        .replace("name = \"vendor-a-1\"\n", &format!("name = \"vendor-a-1\"\n{}", own(b)))
}

fn says(manner: Option<Manner>) -> impl Fn(String) -> String {
    move |text| manner.map_or(text.clone(), |manner| manner.say(text)).replace("TALK", "600000")
}

/// SIPp on both sides of a call, and both peers' media.
fn call(
    switch: &Switch,
    a: Option<Manner>,
    b: Option<Manner>,
    restart: bool,
    talk_ms: u32,
) -> (Sipp, Sipp, Peer, Peer) {
    let mut a = Peer::new(switch.net.customer().into(), 0xaa, a);
    let mut b = Peer::new(switch.net.vendor(1).ip(), 0xbb, b);
    let (uac, uas) = if restart { ("uac-restart.xml", "uas-restart.xml") } else { ("uac.xml", "uas.xml") };
    let vendor = sipp_saying(uas, switch.net.vendor(1), says(b.manner)).media(b.port()).listen();
    let from = SocketAddr::from((switch.net.customer(), 5090));
    let target = switch.sip("udp").to_string();
    let args = ["-s", "8801712345678", "-m", "1", "-d", &talk_ms.to_string(), &target];
    let caller = sipp_saying(uac, from, says(a.manner)).with(&args).media(a.port()).start();
    a.meet(&caller, "SIP/2.0 200");
    b.meet(&vendor, "INVITE");
    (caller, vendor, a, b)
}

fn manner(profile: &'static str, tag: u32, suite: Suite, key: [u8; 30]) -> Option<Manner> {
    Some(Manner { profile, tag, suite, key })
}

#[test]
fn sound_passes_between_all_kinds_of_legs() {
    let switch = Switch::start();
    for (a, b, a_says, b_says) in [
        ("Required", "Off", manner("RTP/SAVP", 5, LONG, CALLER_KEY), None),
        ("Off", "Required", None, manner("RTP/SAVP", 2, SHORT, VENDOR_KEY)),
        (
            "Optional",
            "Optional",
            manner("RTP/AVP", 1, SHORT, CALLER_KEY),
            manner("RTP/AVP", 1, LONG, VENDOR_KEY),
        ),
    ] {
        switch.apply(&settings(&switch, a, b));
        let (mut caller, _vendor, mut a, mut b) = call(&switch, a_says, b_says, false, 3000);
        talk(&mut a, &mut b, 0..40);
        caller.assert_succeeded();
    }
}

#[test]
fn what_is_not_the_peers_is_not_passed() {
    let switch = Switch::start();
    switch.apply(&settings(&switch, "Required", "Off"));
    let (mut caller, _vendor, mut a, mut b) =
        call(&switch, manner("RTP/SAVP", 1, LONG, CALLER_KEY), None, false, 3000);
    talk(&mut a, &mut b, 0..10);
    let good = a.say(10);
    b.hear(10, 0xaa);
    let mut forged = a.seal(11);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut foreign = Streams::new(LONG, &Key::new([1; 30]), 0).unwrap();
    let mut wrong_key = packet(12, 0xaa);
    wrong_key.resize(172 + OVERHEAD, 0);
    let len = foreign.seal(&mut wrong_key, 172, false).unwrap();
    for bad in [&good[..], &forged, &packet(11, 0xaa), &wrong_key[..len], &good[..20]] {
        a.socket.send_to(bad, a.switch).unwrap();
    }
    b.hears_nothing();
    // The call lives.
    talk(&mut a, &mut b, 13..20);
    caller.assert_succeeded();
    let id = switch.cdrs(1)[0]["id"].as_str().unwrap().to_string();
    let figures = switch.json(&["cdr", "show", &id])["media_a"].clone();
    assert_eq!(figures["rejected"], 5, "{figures}");
    assert_eq!(figures["packets_in"], 18, "{figures}");
}

#[test]
fn calls_against_the_setting_are_refused() {
    let switch = Switch::start();
    let keys = manner("RTP/SAVP", 1, LONG, CALLER_KEY);
    for (a, b, says_a) in [("Required", "Off", None), ("Off", "Optional", keys)] {
        switch.apply(&settings(&switch, a, b));
        let from = SocketAddr::from((switch.net.customer(), 5090));
        let target = switch.sip("udp").to_string();
        let args = ["-s", "8801712345678", "-m", "1", "-d", "100", &target];
        let expects = |text: String| says(says_a)(text).replace("response=\"403\"", "response=\"488\"");
        sipp_saying("uac.xml", from, expects).with(&args).start().assert_succeeded();
    }
    let codes: Vec<_> = switch.cdrs(2).iter().map(|cdr| cdr["sip_code"].clone()).collect();
    assert_eq!(codes, [488, 488]);
    // A vendor that answers a demand for keys without any.
    switch.apply(&settings(&switch, "Off", "Required"));
    let vendor = sipp("uas.xml", switch.net.vendor(1)).listen();
    let refused = |text: String| text.replace("response=\"403\"", "response=\"488\"");
    let from = SocketAddr::from((switch.net.customer(), 5090));
    let target = switch.sip("udp").to_string();
    let args = ["-s", "8801712345678", "-m", "1", "-d", "100", &target];
    sipp_saying("uac.xml", from, refused).with(&args).start().assert_succeeded();
    drop(vendor);
}

/// R-01 under keys: they are the same after a crash, and stand nowhere on the disk.
#[test]
fn keys_survive_a_crash_under_seal() {
    let mut switch = Switch::start();
    switch.apply(&settings(&switch, "Required", "Required"));
    let keys = (manner("RTP/SAVP", 1, LONG, CALLER_KEY), manner("RTP/SAVP", 1, LONG, VENDOR_KEY));
    let (_caller, _vendor, mut a, mut b) = call(&switch, keys.0, keys.1, true, 3000);
    talk(&mut a, &mut b, 0..50);
    // The figures are to be written down.
    std::thread::sleep(Duration::from_millis(2500));
    switch.crash_and_restart();
    talk(&mut a, &mut b, 50..100);
    eventually("the call is shown", || (switch.calls() == 1).then_some(()));
    switch.ok(&["calls", "kill", "--all"]);
    switch.cdrs(1);
    let texts = [base64(&CALLER_KEY), base64(&VENDOR_KEY)];
    let mut files = 0;
    let mut folders = vec![switch.dir.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let Ok(bytes) = std::fs::read(&entry) else { continue };
            files += 1;
            let shows = |key: &[u8]| bytes.windows(key.len()).any(|window| window == key);
            let found = shows(&CALLER_KEY) || shows(&VENDOR_KEY) || texts.iter().any(|t| shows(t.as_bytes()));
            assert!(!found, "{} shows a key", entry.display());
        }
    }
    assert!(files > 2);
}

/// Another implementation's packets: ffmpeg speaks A-law under SRTP, the vendor hears it in clear.
#[test]
fn ffmpeg_is_understood() {
    let switch = Switch::start();
    switch.apply(&settings(&switch, "Required", "Off"));
    for suite in [LONG, SHORT] {
        // Long enough for a slow start of ffmpeg.
        let (_caller, _vendor, a, b) =
            call(&switch, manner("RTP/SAVP", 1, suite, CALLER_KEY), None, false, 40_000);
        b.socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (port, target) = (a.port(), a.switch);
        drop(a.socket);
        let sound = ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000:duration=10"];
        let form = ["-c:a", "pcm_alaw", "-ar", "8000", "-f", "rtp", "-srtp_out_suite", suite.name()];
        let url = format!("srtp://{target}?localrtpport={port}&localaddr={}", switch.net.customer());
        let mut speaker = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
            .args(sound)
            .args(form)
            .args(["-srtp_out_params", &base64(&CALLER_KEY), &url])
            .stdout(Stdio::null())
            .spawn()
            .expect("ffmpeg is needed");
        let mut loud = 0;
        for _ in 0..20 {
            let mut buffer = [0; 2048];
            let (len, _) = b.socket.recv_from(&mut buffer).expect("nothing came from ffmpeg");
            assert_eq!((buffer[0], buffer[1] & 0x7f), (0x80, 8));
            let mut heard = Vec::new();
            codec::Decoder::new(codec::Kind::Pcma)
                .decode(&buffer[12..len], &mut |pcm| heard.extend_from_slice(pcm));
            // A sine crosses zero 880 times a second; noise would do so every other sample.
            let crossings = heard.windows(2).filter(|w| (w[0] < 0) != (w[1] < 0)).count();
            loud += usize::from(crossings > 0 && crossings * 8000 / heard.len() < 1200);
        }
        assert!(loud >= 18, "{loud} of 20 packets sound like the sine");
        speaker.kill().unwrap();
        speaker.wait().unwrap();
        switch.ok(&["calls", "kill", "--all"]);
        eventually("the call is over", || (switch.calls() == 0).then_some(()));
    }
}
