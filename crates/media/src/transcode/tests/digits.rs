//! The matrix of `MED-17`: every way a digit may come, to every way it may go, across codecs and without conversion,
//! on good lines and bad ones. Each digit comes out once, as long as it was pressed.

use super::*;
use crate::contract::JitterRules;
use crate::digits::DigitRules;
use codec::dtmf::{Detector, Heard};

const METHODS: [Method; 3] = [Method::Events, Method::Info, Method::Inband];
/// Digits and how long they are pressed, ms. Two equal ones follow each other.
const KEYS: [(u8, u32); 5] = [(5, 100), (5, 100), (0, 60), (11, 260), (15, 120)];
const REST_MS: u32 = 100;
const BUFFER: JitterRules = JitterRules { adaptive: true, min_ms: 20, max_ms: 200, start_ms: 60 };

fn coding_for(codec: Kind, receive: Method, send: Method) -> Coding {
    let digits = DigitRules { receive: Some(receive), listens: receive == Method::Inband, send };
    let events = (receive == Method::Events || send == Method::Events).then_some(101);
    Coding { events, events_told: events, digits, ..Coding::new(codec) }
}

/// 20 ms of the sender's stream: speech, or what a key makes of it.
struct Sender {
    coding: Coding,
    method: Method,
    encoder: Encoder,
    sequence: u16,
    timestamp: u32,
}

impl Sender {
    fn packet(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let packet = packet(&Coding { payload_type, ..self.coding }, self.sequence, timestamp, payload);
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }

    fn speech(&mut self, pcm: &[i16]) -> Vec<u8> {
        let mut payload = [0; 160];
        let mut length = 0;
        for frame in pcm.as_chunks::<FRAME>().0 {
            length += self.encoder.encode(frame, &mut payload[length..]);
        }
        let timestamp = self.timestamp;
        self.packet(self.coding.payload_type, timestamp, &payload[..length])
    }
}

/// How the network treats packets.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Line {
    Good,
    /// Each packet comes twice.
    Doubled,
    /// Every fifth packet is lost.
    Lossy,
}

struct Played {
    world: World,
    /// Told by signalling: digit, ms.
    told: Vec<(u8, u32)>,
}

fn play(from: Coding, to: Coding, method: Method, line: Line) -> Played {
    let codec = from.codec.unwrap();
    let mut sender =
        Sender { coding: from, method, encoder: Encoder::new(codec), sequence: 9, timestamp: 16_000 };
    let mut played = Played { world: World::new(from, to), told: Vec::new() };
    let mut count = 0u32;
    let mut deliver = |played: &mut Played, packets: &[Vec<u8>]| {
        for packet in packets {
            count += 1;
            match line {
                Line::Lossy if count % 5 == 3 => continue,
                Line::Doubled => {
                    played.world.hear(packet);
                    played.world.hear(packet);
                }
                Line::Good | Line::Lossy => played.world.hear(packet),
            }
            played.fetch();
        }
        played.world.wait(20);
        played.fetch();
    };
    let rest = |sender: &mut Sender,
                played: &mut Played,
                ms: u32,
                deliver: &mut dyn FnMut(&mut Played, &[Vec<u8>])| {
        for _ in 0..ms / 20 {
            let quiet = sender.speech(&[40; 160]);
            deliver(played, &[quiet]);
            sender.timestamp += 160;
        }
    };
    rest(&mut sender, &mut played, 200, &mut deliver);
    for (digit, ms) in KEYS {
        let began = sender.timestamp;
        let mut tone = Tone::new(digit).unwrap();
        if sender.method == Method::Info {
            played.world.press(digit, ms);
        }
        for n in 1..=ms / 20 {
            let packets = match sender.method {
                Method::Events => {
                    let last = n == ms / 20;
                    let duration = u16::try_from(n * 160).unwrap().to_be_bytes();
                    let end = if last { 0x80 } else { 0 };
                    let payload = [digit, end | 10, duration[0], duration[1]];
                    (0..if last { 3 } else { 1 }).map(|_| sender.packet(101, began, &payload)).collect()
                }
                Method::Inband => {
                    let pcm: Vec<i16> = (0..160).map(|_| tone.next_sample()).collect();
                    vec![sender.speech(&pcm)]
                }
                Method::Info => vec![sender.speech(&[40; 160])],
            };
            deliver(&mut played, &packets);
            sender.timestamp += 160;
        }
        rest(&mut sender, &mut played, REST_MS, &mut deliver);
    }
    rest(&mut sender, &mut played, 600, &mut deliver);
    played
}

impl World {
    fn press(&mut self, digit: u8, ms: u32) {
        self.transcoder.press(self.now, Digit(digit), Duration::from_millis(ms.into()));
    }
}

impl Played {
    fn fetch(&mut self) {
        let told = self.world.transcoder.pressed.take();
        self.told.extend(told.map(|(digit, ms)| (digit.0, ms)));
    }

    /// What the receiver makes of it by this method.
    fn received(&self, to: &Coding, method: Method) -> Vec<(u8, u32)> {
        match method {
            Method::Info => self.told.clone(),
            Method::Inband => tones_in(&self.world.heard(to)),
            Method::Events => {
                let mut digits: Vec<(u32, u8, u32)> = Vec::new();
                for p in &self.world.out {
                    let header = RtpHeader::parse(p).unwrap();
                    if header.payload_type != 101 {
                        continue;
                    }
                    let length = u32::from(u16::from_be_bytes([p[14], p[15]])) / 8;
                    match digits.last_mut() {
                        Some(last) if last.0 == header.timestamp => last.2 = last.2.max(length),
                        _ => digits.push((header.timestamp, p[12], length)),
                    }
                }
                digits.into_iter().map(|(_, digit, ms)| (digit, ms)).collect()
            }
        }
    }
}

fn tones_in(pcm: &[i16]) -> Vec<(u8, u32)> {
    let mut heard = Vec::new();
    Detector::default().hear(pcm, &mut |event| {
        if let Heard::Released(digit, samples) = event {
            heard.push((digit, samples / 8));
        }
    });
    heard
}

#[test]
fn every_method_to_every_method() {
    for (codec_a, codec_b) in [
        (Kind::Pcma, Kind::Pcma),
        (Kind::Pcma, Kind::Pcmu),
        (Kind::Pcmu, Kind::G722),
        (Kind::Pcma, Kind::G729),
    ] {
        for (receive, send) in METHODS.into_iter().flat_map(|r| METHODS.map(|s| (r, s))) {
            let ways =
                [Line::Good, Line::Doubled, Line::Lossy].map(|line| [(line, None), (line, Some(BUFFER))]);
            for (line, jitter) in ways.into_iter().flatten() {
                // A tone with holes is no tone; and G.729 is not made for tones.
                // Signalling to signalling does not come by here.
                if (receive == Method::Info && send == Method::Info)
                    || (receive == Method::Inband && line == Line::Lossy)
                    || (codec_b == Kind::G729 && send == Method::Inband)
                {
                    continue;
                }
                let name = format!("{codec_a:?} {receive:?} to {codec_b:?} {send:?}, {line:?}, {jitter:?}");
                let from = Coding { jitter, ..coding_for(codec_a, receive, Method::Events) };
                let to = coding_for(codec_b, Method::Events, send);
                let played = play(from, to, receive, line);
                let received = played.received(&to, send);
                let digits: Vec<u8> = received.iter().map(|(digit, _)| *digit).collect();
                assert_eq!(digits, KEYS.map(|(digit, _)| digit), "{name}: {received:?}");
                for ((_, ms), (digit, pressed)) in received.iter().zip(KEYS) {
                    assert!(ms.abs_diff(pressed) <= 22, "{name}: {digit} of {pressed} ms is {ms} ms");
                }
                let headers = played.world.headers();
                let in_row = headers.windows(2).all(|p| p[1].sequence == p[0].sequence.wrapping_add(1));
                assert!(in_row || line == Line::Lossy, "{name}");
                if send != Method::Inband {
                    assert_eq!(tones_in(&played.world.heard(&to)), [], "{name}: it is not told twice");
                }
            }
        }
    }
}

/// `MED-16`: the first method is locked; a peer that sends two at once is heard once.
#[test]
fn the_first_method_is_locked() {
    let all = DigitRules { receive: None, listens: true, send: Method::Events };
    let from = Coding { events: Some(101), digits: all, ..Coding::new(Kind::Pcma) };
    let to = Coding { digits: DigitRules { send: Method::Info, ..all }, ..from };
    let mut both = play(from, to, Method::Events, Line::Good);
    assert_eq!(both.told.len(), KEYS.len());
    assert_eq!(both.world.transcoder.lock, Lock(Some(Method::Events)));
    // The same peer's tones are not heeded now.
    let mut tone = Tone::new(1).unwrap();
    let mut encoder = Encoder::new(Kind::Pcma);
    for n in 0..20u16 {
        let pcm: Vec<i16> = (0..160).map(|_| tone.next_sample()).collect();
        let mut payload = [0; 160];
        for (half, frame) in pcm.as_chunks::<FRAME>().0.iter().enumerate() {
            encoder.encode(frame, &mut payload[half * 80..]);
        }
        both.world.hear(&packet(&from, 3000 + n, 90_000 + u32::from(n) * 160, &payload));
        both.world.wait(20);
        both.fetch();
    }
    assert_eq!(both.told.len(), KEYS.len());
}

/// Signalling's digits reach a peer although nothing else is sent.
#[test]
fn digits_without_speech() {
    let from = coding_for(Kind::Pcma, Method::Info, Method::Events);
    let to = coding_for(Kind::Pcma, Method::Events, Method::Events);
    let mut played = Played { world: World::new(from, to), told: Vec::new() };
    played.world.now = Tick(5_000_000);
    for (digit, ms) in KEYS {
        played.world.press(digit, ms);
    }
    played.world.wait(2000);
    let digits: Vec<u8> = played.received(&to, Method::Events).iter().map(|(digit, _)| *digit).collect();
    assert_eq!(digits, KEYS.map(|(digit, _)| digit));
    let ends = played.world.out.iter().filter(|p| p[13] & 0x80 != 0).count();
    assert_eq!(ends, 3 * KEYS.len(), "each end is told three times");
}
