//! The outgoing stream: its numbers and times, its packets.

use super::SAMPLES;
use crate::contract::Coding;
use crate::rtp::RtpHeader;
use codec::{Encoder, FRAME};
use vocab::Tick;

const LONGEST_PACKET: usize = 12 + 6 * FRAME;

/// The outgoing stream.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub coding: Coding,
    encoder: Option<Encoder>,
    /// Q12
    gain: i32,
    /// It has a name and numbers.
    pub begun: bool,
    pub ssrc: u32,
    sequence: u16,
    /// Of the next sample that is put in, and of the first one in the packet under way.
    pub timestamp: u32,
    packet_timestamp: u32,
    /// What is added to the sender's timestamps where its packets pass.
    shift: u32,
    /// A digit is played: speech is not put in.
    pub muted: bool,
    /// … as tones, which take the time of the speech.
    pub replaced: bool,
    /// The next packet begins a talkspurt.
    marker: bool,
    frame: [i16; FRAME],
    filled: usize,
    packet: [u8; LONGEST_PACKET],
    /// Payload bytes in it.
    length: usize,
}

impl Output {
    pub fn new(coding: Coding) -> Output {
        Output {
            coding,
            encoder: coding.codec.map(Encoder::new),
            gain: gain(coding.gain_db),
            begun: false,
            ssrc: 0,
            sequence: 0,
            timestamp: 0,
            packet_timestamp: 0,
            shift: 0,
            muted: false,
            replaced: false,
            marker: true,
            frame: [0; FRAME],
            filled: 0,
            packet: [0; LONGEST_PACKET],
            length: 0,
        }
    }

    /// The stream has the sender's clock; its name and numbers are ours.
    pub fn begin(&mut self, header: &RtpHeader) {
        self.begun = true;
        self.ssrc = header.ssrc.wrapping_mul(0x9e37_79b1) ^ 0x5741_4e44;
        self.sequence = header.sequence ^ 0x2a5c;
        self.timestamp = header.timestamp;
    }

    /// The stream is the sender's own, name and numbers too: whoever heard it so far hears no change.
    pub fn begin_as(&mut self, header: &RtpHeader) {
        self.begun = true;
        (self.ssrc, self.sequence, self.timestamp) = (header.ssrc, header.sequence, header.timestamp);
    }

    /// Nobody has sent anything yet, and there is something to say.
    pub fn begin_alone(&mut self, now: Tick) {
        let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
        self.begun = true;
        self.ssrc = low(now.0).wrapping_mul(0x9e37_79b1) ^ 0x4b45_5953;
        self.sequence = 1;
        self.timestamp = low(now.0 / 125);
    }

    /// The sender began anew: its times go on from ours.
    pub fn shift_to(&mut self, timestamp: u32) {
        self.shift = self.timestamp.wrapping_sub(timestamp);
    }

    pub fn shifted(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.shift)
    }

    /// A packet that goes on as it is; `missing` ones before it were lost, which the receiver is to see.
    pub fn pass(&mut self, header: &RtpHeader, missing: u16, payload: &[u8], send: &mut dyn FnMut(&[u8])) {
        let timestamp = self.shifted(header.timestamp);
        self.timestamp = timestamp.wrapping_add(u32::from(self.coding.packet_ms) * 8);
        if self.muted {
            self.marker = true;
            return;
        }
        self.sequence = self.sequence.wrapping_add(missing);
        let marker = std::mem::take(&mut self.marker) || header.marker;
        let mut packet = [0; 12 + super::LONGEST_PAYLOAD];
        packet[..12].copy_from_slice(&self.header(header.payload_type, marker, timestamp));
        let Some(place) = packet.get_mut(12..12 + payload.len()) else { return };
        place.copy_from_slice(payload);
        send(&packet[..12 + payload.len()]);
    }

    /// Speech; while a digit is played it is not heard.
    pub fn say(&mut self, samples: &[i16], send: &mut dyn FnMut(&[u8])) {
        if !self.muted {
            return self.put(samples, send);
        }
        if !self.replaced {
            self.skip(u32::try_from(samples.len()).unwrap_or(0), send);
        }
    }

    pub fn put(&mut self, samples: &[i16], send: &mut dyn FnMut(&[u8])) {
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
        let (Some(encoder), Some(codec)) = (&mut self.encoder, self.coding.codec) else { return };
        self.length += encoder.encode(&self.frame, room);
        let frames = usize::from(self.coding.packet_ms / 10).clamp(1, 6);
        if self.length >= frames * codec.frame_bytes() {
            self.flush(send);
        }
    }

    /// Sends the frames that are complete, be they fewer than agreed.
    pub fn flush(&mut self, send: &mut dyn FnMut(&[u8])) {
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
    pub fn skip(&mut self, samples: u32, send: &mut dyn FnMut(&[u8])) {
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

    pub fn send_event(
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
