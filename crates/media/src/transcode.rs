//! Speech from one leg's codec to the other's: packets and time in, packets out.
//!
//! Driven by arrival: a packet is decoded when its turn comes and leaves as soon as it fills a packet of the other
//! side, so that nothing is added to the delay but a rest of a packet. Sequence gaps wait for one more packet, then
//! they are losses and concealed (`MED-13`); timestamp gaps without a sequence gap are silence that was not sent. The
//! jitter of the network passes on to the far end's buffer, as through a relay.
//!
//! Telephone events pass with our sequence, time and payload type; towards a side without them they become tones.

use crate::contract::{Coding, Side};
use crate::rtp::{RtpHeader, payload};
use codec::{Decoder, Encoder, FRAME, Tone};
use std::time::Duration;
use vocab::Tick;

/// How often [`Transcoders::handle_timeout`] wants to be called.
pub const TICK: Duration = Duration::from_millis(10);
/// A packet behind a gap waits this long for what is missing, then goes on without.
const PATIENCE: Duration = Duration::from_millis(60);
/// More loss than this is not concealed: the timestamp jumps.
const CONCEALED_MOST: u32 = 20 * SAMPLES;
/// Sequence jumps beyond this are a new stream (RFC 3550 A.1: MAX_DROPOUT is larger, but speech is long gone by then).
const JUMP: u16 = 200;
/// Payloads longer than this are nobody's speech.
const LONGEST_PAYLOAD: usize = 1500;
const LONGEST_PACKET: usize = 12 + 6 * FRAME;
/// 10 ms, on the clock of 8000 Hz that all these codecs have (G.722 too: RFC 3551 §4.5.2).
const SAMPLES: u32 = 80;

/// Both directions of a session.
#[derive(Clone, Debug)]
pub struct Transcoders {
    codings: (Coding, Coding),
    /// From A to B, from B to A.
    directions: [Transcoder; 2],
}

impl Transcoders {
    pub fn new(a: Coding, b: Coding) -> Transcoders {
        Transcoders { codings: (a, b), directions: [Transcoder::new(a, b), Transcoder::new(b, a)] }
    }

    pub fn codings(&self) -> (Coding, Coding) {
        self.codings
    }

    /// A packet came from `side`; what it makes for the other one goes to `send`.
    pub fn handle_packet(&mut self, now: Tick, side: Side, packet: &[u8], send: &mut dyn FnMut(&[u8])) {
        self.directions[usize::from(side == Side::B)].handle_packet(now, packet, send);
    }

    /// The stream made for `side`: its name, and its time now. `None` before it began.
    pub fn stream(&self, now: Tick, side: Side) -> Option<(u32, u32)> {
        let transcoder = &self.directions[usize::from(side == Side::A)];
        let output = &transcoder.output;
        let since = samples(now.since(transcoder.heard));
        transcoder.expected.map(|_| (output.ssrc, output.timestamp.wrapping_add(since)))
    }

    /// Goes on with what waits or is silent; packets are for the side named.
    pub fn handle_timeout(&mut self, now: Tick, send: &mut dyn FnMut(Side, &[u8])) {
        for (transcoder, to) in self.directions.iter_mut().zip([Side::B, Side::A]) {
            transcoder.handle_timeout(now, &mut |packet| send(to, packet));
        }
    }
}

/// What is expected next of the incoming stream.
#[derive(Clone, Copy, Debug)]
struct Expected {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

/// A packet that waits for the one before it.
#[derive(Clone, Debug)]
struct Held {
    header: Option<RtpHeader>,
    payload: [u8; LONGEST_PAYLOAD],
    since: Tick,
}

/// The far end described its silence and sends nothing.
#[derive(Clone, Copy, Debug)]
struct Silence {
    /// When the next 10 ms of it are due.
    due: Tick,
}

/// An event as it is heard.
#[derive(Clone, Copy, Debug)]
struct Event {
    timestamp: u32,
    /// Timestamp it has on the way out.
    sent_timestamp: u32,
    /// Samples of it so far.
    duration: u32,
    tone: Option<Tone>,
}

#[derive(Clone, Debug)]
struct Transcoder {
    from: Coding,
    decoder: Decoder,
    expected: Option<Expected>,
    held: Box<Held>,
    silence: Option<Silence>,
    event: Option<Event>,
    heard: Tick,
    output: Output,
}

/// The outgoing stream.
#[derive(Clone, Debug)]
struct Output {
    coding: Coding,
    encoder: Encoder,
    /// Q12
    gain: i32,
    ssrc: u32,
    sequence: u16,
    /// Of the next sample that is put in, and of the first one in the packet under way.
    timestamp: u32,
    packet_timestamp: u32,
    /// The next packet begins a talkspurt.
    marker: bool,
    frame: [i16; FRAME],
    filled: usize,
    packet: [u8; LONGEST_PACKET],
    /// Payload bytes in it.
    length: usize,
}

impl Output {
    fn new(coding: Coding) -> Output {
        Output {
            coding,
            encoder: Encoder::new(coding.codec),
            gain: gain(coding.gain_db),
            ssrc: 0,
            sequence: 0,
            timestamp: 0,
            packet_timestamp: 0,
            marker: true,
            frame: [0; FRAME],
            filled: 0,
            packet: [0; LONGEST_PACKET],
            length: 0,
        }
    }

    /// The stream has the sender's clock; its name and numbers are ours.
    fn begin(&mut self, header: &RtpHeader) {
        self.ssrc = header.ssrc.wrapping_mul(0x9e37_79b1) ^ 0x5741_4e44;
        self.sequence = header.sequence ^ 0x2a5c;
        self.timestamp = header.timestamp;
    }

    fn put(&mut self, samples: &[i16], send: &mut dyn FnMut(&[u8])) {
        for &sample in samples {
            self.frame[self.filled] = louder(sample, self.gain);
            self.filled += 1;
            self.timestamp = self.timestamp.wrapping_add(1);
            if self.filled == FRAME {
                self.filled = 0;
                self.encode(send);
            }
        }
    }

    fn encode(&mut self, send: &mut dyn FnMut(&[u8])) {
        if self.length == 0 {
            self.packet_timestamp = self.timestamp.wrapping_sub(SAMPLES);
        }
        let Some(room) = self.packet.get_mut(12 + self.length..) else { return };
        self.length += self.encoder.encode(&self.frame, room);
        let frames = usize::from(self.coding.packet_ms / 10).clamp(1, 6);
        if self.length >= frames * self.coding.codec.frame_bytes() {
            self.flush(send);
        }
    }

    /// Sends the frames that are complete, be they fewer than agreed.
    fn flush(&mut self, send: &mut dyn FnMut(&[u8])) {
        if self.length == 0 {
            return;
        }
        let length = 12 + std::mem::take(&mut self.length);
        let marker = std::mem::take(&mut self.marker);
        let header = self.header(self.coding.payload_type, marker, self.packet_timestamp);
        self.packet[..12].copy_from_slice(&header);
        send(&self.packet[..length]);
    }

    /// Nothing is sent for this long: the receiver sees it in the timestamp.
    fn skip(&mut self, samples: u32, send: &mut dyn FnMut(&[u8])) {
        self.flush(send);
        self.filled = 0;
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.marker = true;
    }

    fn header(&mut self, payload_type: u8, marker: bool, timestamp: u32) -> [u8; 12] {
        let mut header = [0; 12];
        header[0] = 0x80;
        header[1] = payload_type | if marker { 0x80 } else { 0 };
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..].copy_from_slice(&self.ssrc.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        header
    }

    fn send_event(
        &mut self,
        (payload_type, marker, timestamp): (u8, bool, u32),
        payload: &[u8; 4],
        send: &mut dyn FnMut(&[u8]),
    ) {
        let mut packet = [0; 16];
        packet[..12].copy_from_slice(&self.header(payload_type, marker, timestamp));
        packet[12..].copy_from_slice(payload);
        send(&packet);
    }
}

/// Q12 of a gain in dB.
#[expect(clippy::cast_possible_truncation, reason = "between 0.1 and 10")]
fn gain(db: i8) -> i32 {
    (10f32.powf(f32::from(db.clamp(-20, 20)) / 20.0) * 4096.0).round() as i32
}

#[expect(clippy::cast_possible_truncation, reason = "clamped")]
fn louder(sample: i16, gain: i32) -> i16 {
    if gain == 4096 { sample } else { ((i32::from(sample) * gain) >> 12).clamp(-32768, 32767) as i16 }
}

/// How far `to` is ahead of `from` on a clock that wraps.
fn ahead(to: u32, from: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

fn samples(time: Duration) -> u32 {
    u32::try_from(time.as_micros() / 125).unwrap_or(u32::MAX)
}

impl Transcoder {
    fn new(from: Coding, to: Coding) -> Transcoder {
        Transcoder {
            from,
            decoder: Decoder::new(from.codec),
            expected: None,
            held: Box::new(Held { header: None, payload: [0; LONGEST_PAYLOAD], since: Tick::default() }),
            silence: None,
            event: None,
            heard: Tick::default(),
            output: Output::new(to),
        }
    }

    fn handle_packet(&mut self, now: Tick, packet: &[u8], send: &mut dyn FnMut(&[u8])) {
        let Some(header) = RtpHeader::parse(packet) else { return };
        let Some(payload) = payload(&header, packet).filter(|p| p.len() <= LONGEST_PAYLOAD) else { return };
        self.admit(now, &header, payload, send);
        self.heard = now;
    }

    /// Puts packets in their order.
    fn admit(&mut self, now: Tick, header: &RtpHeader, payload: &[u8], send: &mut dyn FnMut(&[u8])) {
        let distance = self.distance(header);
        match distance {
            Some(0) => {
                self.accept(now, header, payload, send);
                if self.held.header.is_some_and(|held| self.distance(&held) == Some(0)) {
                    self.release(now, send);
                }
            }
            // Came twice, or when its time was over.
            Some(late) if late < 0 => {}
            Some(_) if self.held.header.is_some() => {
                // Two packets are behind the gap: what is missing is lost.
                let held = self.held.header;
                if held.is_some_and(|held| ahead16(header.sequence, held.sequence) < 0) {
                    // The later of the two came first.
                    self.accept(now, header, payload, send);
                    return self.release(now, send);
                }
                self.release(now, send);
                if held.is_none_or(|held| held.sequence != header.sequence) {
                    self.admit(now, header, payload, send);
                }
            }
            Some(_) => {
                self.held.header = Some(*header);
                self.held.since = now;
                self.held.payload[..payload.len()].copy_from_slice(payload);
            }
            None => {
                self.restart(now, header, send);
                self.accept(now, header, payload, send);
            }
        }
    }

    /// Packets missing before this one; `None` when it belongs to another stream.
    fn distance(&self, header: &RtpHeader) -> Option<i16> {
        let expected = self.expected.filter(|e| e.ssrc == header.ssrc)?;
        let distance = ahead16(header.sequence, expected.sequence);
        (distance.unsigned_abs() < JUMP).then_some(distance)
    }

    /// A new stream goes on where the old one ended, as much later as it is.
    fn restart(&mut self, now: Tick, header: &RtpHeader, send: &mut dyn FnMut(&[u8])) {
        match self.expected {
            None => self.output.begin(header),
            Some(_) => self.output.skip(samples(now.since(self.heard)), send),
        }
        self.held.header = None;
        (self.silence, self.event) = (None, None);
        let RtpHeader { ssrc, sequence, timestamp, .. } = *header;
        self.expected = Some(Expected { ssrc, sequence, timestamp });
    }

    /// The held packet's turn has come.
    fn release(&mut self, now: Tick, send: &mut dyn FnMut(&[u8])) {
        let Some(header) = self.held.header.take() else { return };
        let bytes = self.held.payload;
        if let Some(payload) = bytes.get(..header.payload_len) {
            self.accept(now, &header, payload, send);
        }
    }

    fn accept(&mut self, now: Tick, header: &RtpHeader, payload: &[u8], send: &mut dyn FnMut(&[u8])) {
        let Some(expected) = &mut self.expected else { return };
        let lost = header.sequence != expected.sequence;
        expected.sequence = header.sequence.wrapping_add(1);
        if header.payload_type == self.from.payload_type {
            self.hear(now, header, payload, lost, send);
        } else if Some(header.payload_type) == self.from.events {
            self.hear_event(header, payload, send);
        } else if header.payload_type == COMFORT_NOISE
            && let Some(&level) = payload.first()
        {
            self.decoder.describe_noise(level & 0x7f);
            self.silence = Some(Silence { due: now });
        }
    }

    fn hear(
        &mut self,
        now: Tick,
        header: &RtpHeader,
        payload: &[u8],
        lost: bool,
        send: &mut dyn FnMut(&[u8]),
    ) {
        let Some(expected) = self.expected else { return };
        let gap = ahead(header.timestamp, expected.timestamp);
        if gap < 0 && self.event.is_some_and(|event| event.tone.is_some()) {
            // The tone of an event is in its place already.
            return;
        }
        self.event = None;
        let gap = gap.max(0).unsigned_abs();
        let made_up = if lost || self.silence.is_some() { gap.min(CONCEALED_MOST) / SAMPLES } else { 0 };
        for _ in 0..made_up {
            let mut frame = [0; FRAME];
            if lost {
                self.decoder.conceal(&mut frame)
            } else {
                self.decoder.silence(&mut frame)
            }
            self.output.put(&frame, send);
        }
        if gap > made_up * SAMPLES {
            self.output.skip(gap - made_up * SAMPLES, send);
        }
        let mut count = 0u32;
        let output = &mut self.output;
        self.decoder.decode(payload, &mut |samples| {
            output.put(samples, send);
            count = count.saturating_add(u32::try_from(samples.len()).unwrap_or(0));
        });
        let silent = self.decoder.announces_silence(payload);
        self.silence = silent.then_some(Silence { due: now + TICK });
        if let Some(expected) = &mut self.expected {
            expected.timestamp = header.timestamp.wrapping_add(count);
        }
    }

    /// RFC 4733 §2.3: event, end bit and volume, duration.
    fn hear_event(&mut self, header: &RtpHeader, payload: &[u8], send: &mut dyn FnMut(&[u8])) {
        let (Some(bytes), Some(expected)) = (payload.first_chunk::<4>(), self.expected) else { return };
        let duration = u32::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        let known = self.event.filter(|event| event.timestamp == header.timestamp);
        let mut event = known.unwrap_or_else(|| {
            let sent_timestamp =
                self.output.timestamp.wrapping_add(header.timestamp.wrapping_sub(expected.timestamp));
            Event { timestamp: header.timestamp, sent_timestamp, duration: 0, tone: None }
        });
        self.silence = None;
        match self.output.coding.events {
            Some(payload_type) => {
                self.output.flush(send);
                let place = (payload_type, known.is_none(), event.sent_timestamp);
                self.output.send_event(place, bytes, send);
            }
            None => {
                if known.is_none() {
                    event.tone = Tone::new(bytes[0]);
                    let before = ahead(header.timestamp, expected.timestamp).max(0);
                    self.output.skip(before.unsigned_abs(), send);
                }
                let more = duration.saturating_sub(event.duration).min(TONE_STEP);
                if let Some(tone) = &mut event.tone {
                    for _ in 0..more {
                        self.output.put(&[tone.next_sample()], send);
                    }
                    event.duration += more;
                    let end = header.timestamp.wrapping_add(event.duration);
                    self.expected = Some(Expected { timestamp: end, ..self.expected.unwrap_or(expected) });
                }
            }
        }
        self.event = Some(event);
    }

    fn handle_timeout(&mut self, now: Tick, send: &mut dyn FnMut(&[u8])) {
        if self.held.header.is_some() && now.since(self.held.since) >= PATIENCE {
            self.release(now, send);
        }
        for _ in 0..SILENCE_AT_ONCE {
            let Some(silence) = self.silence.as_mut().filter(|silence| silence.due <= now) else { return };
            silence.due = silence.due + TICK;
            let mut frame = [0; FRAME];
            self.decoder.silence(&mut frame);
            self.output.put(&frame, send);
            if let Some(expected) = &mut self.expected {
                expected.timestamp = expected.timestamp.wrapping_add(SAMPLES);
            }
        }
    }
}

/// RFC 3389's static payload type.
const COMFORT_NOISE: u8 = 13;
/// A packet of an event may make it this much longer (100 ms): its duration is the sender's word.
const TONE_STEP: u32 = 800;
/// Silence made up in one go after the thread was late.
const SILENCE_AT_ONCE: usize = 5;

fn ahead16(to: u16, from: u16) -> i16 {
    to.wrapping_sub(from).cast_signed()
}

#[cfg(test)]
mod tests;
