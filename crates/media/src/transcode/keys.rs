//! Digits on their way through a [`Transcoder`]: from events, tones or signalling to whichever of them the other side
//! is given (`MED-17`).

use super::{Event, Expected, Transcoder, ahead};
use crate::contract::Coding;
use crate::digits::{Digit, Method, Played};
use crate::rtp::RtpHeader;
use codec::dtmf::{Detector, Heard};
use codec::{FRAME, Tone};
use std::time::Duration;
use vocab::Tick;

/// A packet of an event may make a tone this much longer (100 ms): its duration is the sender's word.
const TONE_STEP: u32 = 800;
/// An event of which nothing more came for this long is over: three updates of 50 ms.
const EVENT_PATIENCE: Duration = Duration::from_millis(150);

/// Tones are looked for where the settings say so, and where they are to become something else.
pub(super) fn detector(from: &Coding, to: &Coding) -> Option<Box<Detector>> {
    let wanted = from.digits.looks_for_tones() && to.digits.send != Method::Inband;
    (wanted && from.codec.is_some()).then(Box::default)
}

impl Transcoder {
    /// Signalling brought a digit.
    pub(super) fn press(&mut self, now: Tick, digit: Digit, length: Duration) {
        if !self.output.begun {
            self.output.begin_alone(now);
            self.heard = now;
        }
        self.player.press(digit.0, Some(length));
    }

    /// RFC 4733 §2.3: event, end bit and volume, duration.
    pub(super) fn hear_event(
        &mut self,
        now: Tick,
        header: &RtpHeader,
        payload: &[u8],
        send: &mut dyn FnMut(&[u8]),
    ) {
        let (Some(bytes), Some(expected)) = (payload.first_chunk::<4>(), self.expected) else { return };
        if !self.lock.admit(&self.from.digits, Method::Events) {
            return;
        }
        let known = self.event.filter(|event| event.timestamp == header.timestamp && event.digit == bytes[0]);
        if known.is_none() {
            self.finish_event();
        }
        let event = known.unwrap_or_else(|| Event {
            timestamp: header.timestamp,
            sent_timestamp: self
                .output
                .timestamp
                .wrapping_add(header.timestamp.wrapping_sub(expected.timestamp)),
            duration: 0,
            tone: None,
            digit: bytes[0],
            heard: now,
            over: false,
        });
        self.silence = None;
        match self.output.coding.digits.send {
            Method::Events => self.pass_event(now, event, known.is_none(), bytes, send),
            Method::Info => self.note_event(now, event, bytes),
            Method::Inband => self.sound_event(now, event, known.is_none(), (header, bytes), send),
        }
    }

    /// The event goes on as it is, under our numbers.
    fn pass_event(
        &mut self,
        now: Tick,
        event: Event,
        first: bool,
        bytes: &[u8; 4],
        send: &mut dyn FnMut(&[u8]),
    ) {
        let Some(payload_type) = self.output.coding.events else { return };
        self.output.flush(send);
        let timestamp = match self.passes {
            true => self.output.shifted(event.timestamp),
            false => event.sent_timestamp,
        };
        self.output.send_event((payload_type, first, timestamp), bytes, send);
        self.event = Some(Event { heard: now, over: true, ..event });
    }

    /// Signalling is told once, at the end, how long it was.
    fn note_event(&mut self, now: Tick, event: Event, bytes: &[u8; 4]) {
        let duration = u32::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        let duration = event.duration.max(duration);
        self.event = Some(Event { heard: now, duration, ..event });
        if bytes[1] & 0x80 != 0 {
            self.finish_event();
        }
    }

    fn sound_event(
        &mut self,
        now: Tick,
        mut event: Event,
        first: bool,
        (header, bytes): (&RtpHeader, &[u8; 4]),
        send: &mut dyn FnMut(&[u8]),
    ) {
        let Some(expected) = self.expected else { return };
        if first {
            event.tone = Tone::new(bytes[0]);
            let before = ahead(header.timestamp, expected.timestamp).max(0);
            self.output.skip(before.unsigned_abs(), send);
        }
        let duration = u32::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        let more = duration.saturating_sub(event.duration).min(TONE_STEP);
        if let Some(tone) = &mut event.tone {
            for _ in 0..more {
                self.output.put(&[tone.next_sample()], send);
            }
            event.duration += more;
            let end = header.timestamp.wrapping_add(event.duration);
            self.expected = Some(Expected { timestamp: end, ..self.expected.unwrap_or(expected) });
        }
        self.event = Some(Event { heard: now, over: true, ..event });
    }

    /// The end of an event was heard, or something else that shows it is over.
    pub(super) fn finish_event(&mut self) {
        let Some(event) = self.event.as_mut().filter(|e| !e.over) else { return };
        event.over = true;
        self.pressed = Some((Digit(event.digit), event.duration / 8));
    }

    /// Its last packets may all be lost.
    pub(super) fn miss_event(&mut self, now: Tick) {
        if self.event.is_some_and(|e| !e.over && now.since(e.heard) >= EVENT_PATIENCE) {
            self.finish_event();
        }
    }

    /// Speech that passes is decoded only to look for tones in it.
    pub(super) fn overhear(&mut self, header: &RtpHeader, payload: &[u8]) {
        let speech = header.payload_type == self.from.payload_type;
        let Some(decoder) = self.decoder.as_mut().filter(|_| speech && self.detector.is_some()) else {
            return;
        };
        let mut pcm = [0; FRAME * 6];
        let mut filled = 0;
        decoder.decode(payload, &mut |samples| {
            if let Some(place) = pcm.get_mut(filled..filled + samples.len()) {
                place.copy_from_slice(samples);
                filled += samples.len();
            }
        });
        self.listen(&pcm[..filled]);
    }

    /// Looks for tones in what was heard.
    pub(super) fn listen(&mut self, pcm: &[i16]) {
        let Some(detector) = self.detector.as_mut().filter(|_| !self.lock.excludes(Method::Inband)) else {
            return;
        };
        let mut heard = [None; 4];
        let mut count = 0;
        detector.hear(pcm, &mut |event| {
            if let Some(slot) = heard.get_mut(count) {
                *slot = Some(event);
                count += 1;
            }
        });
        let sounding = detector.is_sounding();
        for event in heard.into_iter().flatten() {
            self.take_tone(event);
        }
        self.output.muted = self.player.is_playing() || sounding;
    }

    fn take_tone(&mut self, event: Heard) {
        if !self.lock.admit(&self.from.digits, Method::Inband) {
            return;
        }
        match (event, self.output.coding.digits.send) {
            (Heard::Pressed(digit), Method::Events) => self.player.press(digit, None),
            (Heard::Released(_, length), Method::Events) => {
                self.player.release(Duration::from_micros(u64::from(length) * 125));
            }
            (Heard::Released(digit, length), Method::Info) => self.pressed = Some((Digit(digit), length / 8)),
            (Heard::Pressed(_), Method::Info) | (_, Method::Inband) => {}
        }
    }

    /// Goes on with the digit that is played.
    pub(super) fn play(&mut self, now: Tick, send: &mut dyn FnMut(&[u8])) {
        if self.player.begins(now) {
            // The digit takes the place of the speech; its time is now.
            let since = crate::digits::samples(now.since(self.heard));
            self.output.flush(send);
            self.output.muted = true;
            self.output.replaced = self.output.coding.digits.send == Method::Inband;
            self.digit_timestamp = self.output.timestamp.wrapping_add(since);
        }
        let as_tone = self.output.coding.digits.send == Method::Inband;
        while let Some(played) = self.player.play(now, as_tone) {
            match played {
                Played::Event { first, payload } => {
                    let Some(payload_type) = self.output.coding.events else { continue };
                    self.output.send_event((payload_type, first, self.digit_timestamp), &payload, send);
                }
                Played::Tone { samples } => {
                    for _ in 0..samples {
                        let sample = self.player.next_sample();
                        self.output.put(&[sample], send);
                    }
                }
                Played::Over => {
                    self.output.flush(send);
                    (self.output.muted, self.output.replaced) = (false, false);
                }
            }
        }
    }
}
