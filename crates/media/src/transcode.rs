//! Speech from one leg's codec to the other's: packets and time in, packets out.
//!
//! Converted speech waits for its time in a buffer ([`playout`]), and what has not come by then is made up (`MED-13`).
//! Where there is no buffer, a packet is decoded when it comes and leaves as soon as it fills a packet of the other side;
//! sequence gaps wait for one more packet, then they are losses. Timestamp gaps without a sequence gap are silence that
//! was not sent.
//!
//! Where both sides carry speech alike, and only digits are taken in one way and given in another, packets pass as they
//! are, with our numbers where packets are added ([`Output::pass`]). What becomes of digits stands in [`keys`].

mod keys;
mod output;
mod playout;

use crate::contract::{Coding, Side};
use crate::digits::{Digit, Lock, Method, Player, Press};
use crate::rtp::{RtpHeader, payload};
use codec::{Decoder, FRAME, Tone, dtmf};
use output::Output;
use playout::Playout;
use std::collections::VecDeque;
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
/// 10 ms, on the clock of 8000 Hz that all these codecs have (G.722 too: RFC 3551 §4.5.2).
const SAMPLES: u32 = 80;

/// Both directions of a session.
#[derive(Clone, Debug)]
pub struct Transcoders {
    codings: (Coding, Coding),
    /// From A to B, from B to A.
    directions: [Transcoder; 2],
    presses: VecDeque<Press>,
}

/// Digits that wait to be fetched by `poll_press`.
const PRESSES: usize = 32;

impl Transcoders {
    pub fn new(a: Coding, b: Coding) -> Transcoders {
        let directions = [Transcoder::new(a, b), Transcoder::new(b, a)];
        Transcoders { codings: (a, b), directions, presses: VecDeque::new() }
    }

    pub fn codings(&self) -> (Coding, Coding) {
        self.codings
    }

    /// A packet came from `side`; what it makes for the other one goes to `send`. `lock` says by which method digits of
    /// this side are taken.
    pub fn handle_packet(
        &mut self,
        now: Tick,
        side: Side,
        packet: &[u8],
        lock: &mut Lock,
        send: &mut dyn FnMut(&[u8]),
    ) {
        let transcoder = &mut self.directions[usize::from(side == Side::B)];
        transcoder.lock = *lock;
        transcoder.handle_packet(now, packet, send);
        *lock = transcoder.lock;
        self.collect(side);
    }

    /// The peer on `side` has pressed a digit, as signalling says.
    pub fn press(&mut self, now: Tick, side: Side, digit: Digit, length: Duration) {
        self.directions[usize::from(side == Side::B)].press(now, digit, length);
    }

    /// A digit that is to be told by signalling.
    pub fn poll_press(&mut self) -> Option<Press> {
        self.presses.pop_front()
    }

    fn collect(&mut self, from: Side) {
        let transcoder = &mut self.directions[usize::from(from == Side::B)];
        if let Some((digit, length_ms)) = transcoder.pressed.take().filter(|_| self.presses.len() < PRESSES) {
            self.presses.push_back(Press { to: from.other(), digit, length_ms });
        }
    }

    /// The stream made for `side`: its name, and its time now. `None` before it began.
    pub fn stream(&self, now: Tick, side: Side) -> Option<(u32, u32)> {
        let transcoder = &self.directions[usize::from(side == Side::A)];
        let output = &transcoder.output;
        let since = samples(now.since(transcoder.heard));
        output.begun.then(|| (output.ssrc, output.timestamp.wrapping_add(since)))
    }

    /// Goes on with what waits or is silent; packets are for the side named. `locks` are those of A and of B.
    pub fn handle_timeout(&mut self, now: Tick, locks: &mut [Lock; 2], send: &mut dyn FnMut(Side, &[u8])) {
        let directions = self.directions.iter_mut().zip(locks).zip([Side::B, Side::A]);
        for ((transcoder, lock), to) in directions {
            transcoder.lock = *lock;
            transcoder.handle_timeout(now, &mut |packet| send(to, packet));
            *lock = transcoder.lock;
        }
        [Side::A, Side::B].into_iter().for_each(|side| self.collect(side));
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
    digit: u8,
    heard: Tick,
    /// Its end has been heard, or was taken for heard.
    over: bool,
}

#[derive(Clone, Debug)]
struct Transcoder {
    from: Coding,
    /// Packets of speech go on as they are.
    passes: bool,
    decoder: Option<Decoder>,
    detector: Option<Box<dtmf::Detector>>,
    lock: Lock,
    player: Player,
    /// Timestamp of the digit that is played.
    digit_timestamp: u32,
    /// A digit for signalling and its length in ms, until it is fetched.
    pressed: Option<(Digit, u32)>,
    expected: Option<Expected>,
    held: Box<Held>,
    /// Packets wait here for their time, where a buffer is wanted.
    playout: Option<Box<Playout>>,
    /// Frames made up since the last one that was heard.
    concealed: u8,
    silence: Option<Silence>,
    event: Option<Event>,
    /// When a packet was last heard, which in a buffer is later than it came.
    heard: Tick,
    output: Output,
}

/// How far `to` is ahead of `from` on a clock that wraps.
fn ahead(to: u32, from: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

use crate::digits::samples;

impl Transcoder {
    fn new(from: Coding, to: Coding) -> Transcoder {
        let passes = from.carries_like(&to) && to.digits.send != Method::Inband;
        Transcoder {
            from,
            passes,
            decoder: from.codec.map(Decoder::new),
            detector: keys::detector(&from, &to),
            lock: Lock::default(),
            player: Player::default(),
            digit_timestamp: 0,
            pressed: None,
            expected: None,
            held: Box::new(Held { header: None, payload: [0; LONGEST_PAYLOAD], since: Tick::default() }),
            playout: (!passes).then_some(from.jitter).flatten().map(|rules| Box::new(Playout::new(rules))),
            concealed: 0,
            silence: None,
            event: None,
            heard: Tick::default(),
            output: Output::new(to),
        }
    }

    fn handle_packet(&mut self, now: Tick, packet: &[u8], send: &mut dyn FnMut(&[u8])) {
        let Some(header) = RtpHeader::parse(packet) else { return };
        let Some(payload) = payload(&header, packet).filter(|p| p.len() <= LONGEST_PAYLOAD) else { return };
        match &mut self.playout {
            Some(playout) => {
                let timed = !self.from.is_event(header.payload_type);
                playout.insert(now, &header, payload, timed);
            }
            None => {
                self.admit(now, &header, payload, send);
                self.heard = now;
            }
        }
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
        match (self.output.begun, self.passes) {
            (false, false) => self.output.begin(header),
            (false, true) => self.output.begin_as(header),
            (true, _) => {
                self.output.skip(samples(now.since(self.heard)), send);
                self.output.shift_to(header.timestamp);
            }
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
        let missing = header.sequence.wrapping_sub(expected.sequence);
        expected.sequence = header.sequence.wrapping_add(1);
        if self.from.is_event(header.payload_type) {
            self.hear_event(now, header, payload, send);
        } else if self.passes {
            self.finish_event();
            self.overhear(header, payload);
            self.output.pass(header, missing, payload, send);
        } else if header.payload_type == self.from.payload_type {
            self.finish_event();
            self.hear(now, header, payload, missing != 0, send);
        } else if header.payload_type == COMFORT_NOISE
            && let (Some(&level), Some(decoder)) = (payload.first(), &mut self.decoder)
        {
            decoder.describe_noise(level & 0x7f);
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
        let (Some(expected), Some(decoder)) = (self.expected, &mut self.decoder) else { return };
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
                decoder.conceal(&mut frame)
            } else {
                decoder.silence(&mut frame)
            }
            self.output.say(&frame, send);
        }
        if gap > made_up * SAMPLES {
            self.output.skip(gap - made_up * SAMPLES, send);
        }
        let mut count = 0u32;
        let mut pcm = [0; FRAME * 6];
        let mut filled = 0;
        decoder.decode(payload, &mut |samples| {
            count = count.saturating_add(u32::try_from(samples.len()).unwrap_or(0));
            if let Some(place) = pcm.get_mut(filled..filled + samples.len()) {
                place.copy_from_slice(samples);
                filled += samples.len();
            }
        });
        let silent = decoder.announces_silence(payload);
        self.silence = silent.then_some(Silence { due: now + TICK });
        if let Some(expected) = &mut self.expected {
            expected.timestamp = header.timestamp.wrapping_add(count);
        }
        let heard = &pcm[..filled];
        self.listen(heard);
        self.output.say(heard, send);
    }

    fn handle_timeout(&mut self, now: Tick, send: &mut dyn FnMut(&[u8])) {
        if self.held.header.is_some() && now.since(self.held.since) >= PATIENCE {
            self.release(now, send);
        }
        self.play_out(now, send);
        self.play(now, send);
        self.miss_event(now);
        for _ in 0..SILENCE_AT_ONCE {
            let Some(silence) = self.silence.as_mut().filter(|silence| silence.due <= now) else { return };
            silence.due = silence.due + TICK;
            let mut frame = [0; FRAME];
            let Some(decoder) = &mut self.decoder else { return };
            decoder.silence(&mut frame);
            self.output.say(&frame, send);
            if let Some(expected) = &mut self.expected {
                expected.timestamp = expected.timestamp.wrapping_add(SAMPLES);
            }
        }
    }
}

/// The clocked buffer.
impl Transcoder {
    /// Hears what is due, and makes up what is due and has not come.
    fn play_out(&mut self, now: Tick, send: &mut dyn FnMut(&[u8])) {
        let Some(mut playout) = self.playout.take() else { return };
        while let Some(waiting) = playout.take(now) {
            if self.distance(&waiting.header).is_none() {
                self.restart(now, &waiting.header, send);
            }
            if self.is_made_up(&waiting.header)
                && let Some(expected) = &mut self.expected
            {
                expected.sequence = waiting.header.sequence.wrapping_add(1);
                continue;
            }
            self.concealed = 0;
            self.accept(now, &waiting.header, waiting.payload(), send);
            self.heard = now;
        }
        while self.expected.is_some_and(|e| playout.is_due(now, e.timestamp)) && self.make_up(now, send) {}
        self.playout = Some(playout);
    }

    /// Was something else put in the place of this packet of speech?
    fn is_made_up(&self, header: &RtpHeader) -> bool {
        let early = self.expected.map_or(0, |e| ahead(e.timestamp, header.timestamp));
        let made_up = i32::from(self.concealed) * SAMPLES.cast_signed();
        !self.from.is_event(header.payload_type) && (1..=made_up).contains(&early)
    }

    /// 10 ms for what is missing; false when there is nothing to make up any more.
    fn make_up(&mut self, now: Tick, send: &mut dyn FnMut(&[u8])) -> bool {
        let paused = self.silence.is_some() || self.event.is_some() || self.concealed >= MADE_UP_MOST;
        let (Some(expected), Some(decoder), false) = (&mut self.expected, &mut self.decoder, paused) else {
            return false;
        };
        let mut frame = [0; FRAME];
        decoder.conceal(&mut frame);
        expected.timestamp = expected.timestamp.wrapping_add(SAMPLES);
        self.concealed += 1;
        self.heard = now;
        self.output.say(&frame, send);
        true
    }
}

/// Frames made up in a row: what is missing for longer is a pause.
const MADE_UP_MOST: u8 = 10;
/// RFC 3389's static payload type.
const COMFORT_NOISE: u8 = 13;
/// Silence made up in one go after the thread was late.
const SILENCE_AT_ONCE: usize = 5;

fn ahead16(to: u16, from: u16) -> i16 {
    to.wrapping_sub(from).cast_signed()
}

#[cfg(test)]
mod tests;
