//! Two peers without a codec in common: what one says the other hears.

use crate::harness::*;
use codec::{Decoder, Encoder, FRAME, Kind};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// 20 ms each.
const PACKETS: u16 = 100;

/// Bursts of a voice-like buzz, different for each speaker.
fn speech(pitch: f64) -> Vec<i16> {
    let sample = |n: usize| {
        let t = n as f64 / 8000.0;
        let buzz: f64 =
            (1..15).map(|k| (t * pitch * f64::from(k) * std::f64::consts::TAU).sin() / f64::from(k)).sum();
        let burst = (t * pitch / 20.0).sin().max(0.0).sqrt();
        #[expect(clippy::cast_possible_truncation)]
        let sample = (buzz * burst * 7000.0) as i16;
        sample
    };
    (0..usize::from(PACKETS) * 160).map(sample).collect()
}

struct Peer {
    socket: UdpSocket,
    kind: Kind,
    says: Vec<i16>,
    heard: Vec<u8>,
}

impl Peer {
    fn new(ip: IpAddr, kind: Kind, pitch: f64) -> Peer {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Peer { socket, kind, says: speech(pitch), heard: Vec::new() }
    }

    fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    fn packets(&self) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(self.kind);
        let mut packet = |n: u16, pcm: &[i16]| {
            let mut bytes = vec![0x80, self.kind.static_payload_type()];
            bytes.extend(n.to_be_bytes());
            bytes.extend((u32::from(n) * 160).to_be_bytes());
            bytes.extend([7; 4]);
            let mut out = [0; FRAME];
            for frame in pcm.as_chunks::<FRAME>().0 {
                let length = encoder.encode(frame, &mut out);
                bytes.extend(&out[..length]);
            }
            bytes
        };
        (0..PACKETS).zip(self.says.chunks(160)).map(|(n, pcm)| packet(n, pcm)).collect()
    }

    /// The next packet: of this peer's codec, from where the switch said.
    fn hear(&mut self, number: u16, from: SocketAddr) {
        let mut buffer = [0; 2048];
        let (length, source) =
            self.socket.recv_from(&mut buffer).unwrap_or_else(|e| panic!("packet {number}: {e}"));
        assert_eq!(source, from);
        let want = (12 + 2 * self.kind.frame_bytes(), self.kind.static_payload_type());
        assert_eq!((length, buffer[1] & 0x7f), want, "packet {number} for {}", self.kind.name());
        self.heard.extend(&buffer[12..length]);
    }

    /// As sound, by ffmpeg where it is installed and has the codec: it is none of ours.
    fn sound(&self) -> Vec<i16> {
        let format = match self.kind {
            Kind::Pcma => "-f alaw -ar 8000",
            Kind::Pcmu => "-f mulaw -ar 8000",
            Kind::G722 => "-f g722",
            Kind::G729 => "-f g729",
        };
        ffmpeg(format, &self.heard).unwrap_or_else(|| {
            let mut pcm = Vec::new();
            Decoder::new(self.kind).decode(&self.heard, &mut |samples| pcm.extend_from_slice(samples));
            pcm
        })
    }
}

fn ffmpeg(format: &str, bytes: &[u8]) -> Option<Vec<i16>> {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(format.split(' '))
        .args(["-i", "-", "-f", "s16le", "-ar", "8000", "-ac", "1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    let samples = output.stdout.as_chunks::<2>().0.iter().map(|&b| i16::from_le_bytes(b));
    output.status.success().then(|| samples.collect())
}

/// Mean distance of the loudness of 10 ms frames in dB, where something was said; the best of a few delays.
fn distance(said: &[i16], heard: &[i16]) -> f64 {
    let loudness = |pcm: &[i16]| -> Vec<f64> {
        let power = |f: &[i16]| f.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / f.len() as f64;
        pcm.chunks_exact(FRAME).map(|f| 10.0 * (power(f) + 1.0).log10()).collect()
    };
    let (said, heard) = (loudness(said), loudness(heard));
    let apart = |delay: usize| {
        let pairs = said.iter().zip(heard.iter().skip(delay)).filter(|(said, _)| **said > 50.0);
        let (sum, count) = pairs.fold((0.0, 0.0), |(s, n), (a, b)| (s + (a - b).abs(), n + 1.0));
        sum / count
    };
    (0..4).map(apart).fold(f64::MAX, f64::min)
}

#[test]
fn speech_is_heard_across_codecs() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.ok(&["param", "set", "SS_MEDIAPROXYMODE", "Must On"]);
    switch.ok(&["param", "set", "SS_CODEC_CONVERSION", "On"]);
    for (number, (kind_a, formats_a, kind_b, formats_b)) in (1..).zip([
        (Kind::Pcma, "8 101", Kind::G729, "18 101"),
        (Kind::G729, "18 101", Kind::Pcmu, "0 101"),
        (Kind::Pcmu, "0 101", Kind::G722, "9 101"),
    ]) {
        let name = format!("{} and {}", kind_a.name(), kind_b.name());
        let mut a = Peer::new(switch.net.customer().into(), kind_a, 160.0);
        let mut b = Peer::new(switch.net.vendor(1).ip(), kind_b, 110.0);
        let vendor = sipp("uas.xml", switch.net.vendor(1)).media(b.port()).formats(formats_b).listen();
        let caller = caller(&switch, &["-m", "1", "-d", "4000"]).media(a.port()).formats(formats_a);
        let mut caller = caller.start();
        let to_a = caller.media_address("SIP/2.0 200");
        let to_b = vendor.media_address("INVITE");
        let started = Instant::now();
        for (n, (from_a, from_b)) in (1u32..).zip(a.packets().iter().zip(b.packets())) {
            a.socket.send_to(from_a, to_a).unwrap();
            b.socket.send_to(&from_b, to_b).unwrap();
            std::thread::sleep((Duration::from_millis(20) * n).saturating_sub(started.elapsed()));
        }
        for n in 0..PACKETS {
            b.hear(n, to_b);
            a.hear(n, to_a);
        }
        for (speaker, hearer) in [(&a, &b), (&b, &a)] {
            let apart = distance(&speaker.says, &hearer.sound());
            assert!(apart < 3.5, "{name}: what {} hears is {apart:.1} dB off", hearer.kind.name());
        }
        caller.assert_succeeded();
        let id = switch.cdrs(number).pop().unwrap()["id"].as_str().unwrap().to_string();
        let cdr = switch.json(&["cdr", "show", &id]);
        assert_eq!(
            (&cdr["codec_a"], &cdr["codec_b"]),
            (&kind_a.name().into(), &kind_b.name().into()),
            "{name}"
        );
        // What is missing at the end of a stream is made up for a while.
        let sent = cdr["media_b"]["packets_out"].as_u64().unwrap();
        assert!((u64::from(PACKETS)..=u64::from(PACKETS) + 6).contains(&sent), "{name}: {sent}");
    }
}

#[test]
fn without_a_common_codec_a_call_ends_with_488() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.ok(&["param", "set", "SS_SIP_CODECS", "G729"]);
    let _vendor = vendor(&switch, 1);
    let mut caller = caller(&switch, &["-m", "1", "-d", "1000"]).formats("8 0 101").start();
    assert!(!caller.succeeded());
    let cdr = &switch.cdrs(1)[0];
    assert_eq!((&cdr["end_reason"], &cdr["sip_code"]), (&"codec_mismatch".into(), &488.into()));
}
