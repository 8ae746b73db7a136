//! Digits that a caller presses (DTMF): by which of three ways they are taken from a side and given to the other
//! (`MED-15` to `MED-20`), and the playing of those that come without a stream of their own.

use crate::contract::Side;
use codec::Tone;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use vocab::Tick;

/// How a digit travels (`MED-15`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Telephone events in the RTP stream (RFC 4733, before it RFC 2833).
    Events,
    /// SIP INFO.
    Info,
    /// Tones in the speech.
    Inband,
}

impl Method {
    /// The operators' word.
    pub fn name(self) -> &'static str {
        match self {
            Method::Events => "RFC2833",
            Method::Info => "INFO",
            Method::Inband => "Inband",
        }
    }
}

/// One side's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigitRules {
    /// The only method that is heeded; `None`: whichever comes first (`MED-16`).
    pub receive: Option<Method>,
    /// Tones are looked for in the speech of this side (`MED-20`).
    pub listens: bool,
    pub send: Method,
}

impl DigitRules {
    /// Events both ways.
    pub const EVENTS: DigitRules = DigitRules { receive: None, listens: false, send: Method::Events };

    fn may_hear(&self, method: Method) -> bool {
        self.receive.is_none_or(|only| only == method)
    }

    /// Is there anything to listen for?
    pub fn looks_for_tones(&self) -> bool {
        self.receive == Some(Method::Inband) || (self.listens && self.may_hear(Method::Inband))
    }

    pub fn takes_events(&self) -> bool {
        self.may_hear(Method::Events)
    }
}

/// The method that a side was first heard by, which all others are ignored for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock(pub Option<Method>);

impl Lock {
    /// Is a digit by this method taken?
    pub fn admit(&mut self, rules: &DigitRules, method: Method) -> bool {
        rules.may_hear(method) && *self.0.get_or_insert(method) == method
    }

    pub fn excludes(&self, method: Method) -> bool {
        self.0.is_some_and(|locked| locked != method)
    }
}

/// A digit, by its event number (RFC 4733 §3.2). It may be part of a PIN, so it is not written where people read.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digit(pub u8);

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digit(*)")
    }
}

/// A digit that was taken from one side and is to be given to the other by signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    /// The side that is to be told.
    pub to: Side,
    pub digit: Digit,
    pub length_ms: u32,
}

/// Digits that wait to be played.
const WAITING: usize = 32;
/// Lengths that are played, whatever was asked for.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(8);
/// Between two digits.
const PAUSE: Duration = Duration::from_millis(60);
/// An event is told this often (RFC 4733 §2.5.1.2).
const UPDATE: Duration = Duration::from_millis(20);
/// Its end is told three times (§2.5.1.4).
const ENDS: u8 = 3;

#[derive(Clone, Debug)]
struct Playing {
    digit: u8,
    since: Tick,
    /// When it ends; `None`: not known yet.
    until: Option<Tick>,
    next: Tick,
    /// Ends told so far.
    ends: u8,
    begun: bool,
    tone: Option<Tone>,
}

/// What is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    /// A packet of an event: is it the first one, its payload, and for how long the digit has been played.
    Event {
        first: bool,
        payload: [u8; 4],
    },
    /// So many samples of tone.
    Tone {
        samples: u32,
    },
    Over,
}

/// Plays digits one after the other, by the clock.
#[derive(Clone, Debug, Default)]
pub struct Player {
    waiting: VecDeque<(u8, Option<Duration>)>,
    playing: Option<Playing>,
    rest_until: Tick,
}

impl Player {
    /// A digit of known length, or one whose end will be told. Too many at once are dropped.
    pub fn press(&mut self, digit: u8, length: Option<Duration>) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back((digit, length.map(|l| l.clamp(SHORTEST, LONGEST))));
        }
    }

    /// The digit without an end has ended, after this long.
    pub fn release(&mut self, length: Duration) {
        let length = length.clamp(SHORTEST, LONGEST);
        if let Some(waiting) = self.waiting.iter_mut().find(|(_, length)| length.is_none()) {
            waiting.1 = Some(length);
        } else if let Some(playing) = self.playing.as_mut().filter(|p| p.until.is_none()) {
            playing.until = Some(playing.since + length);
        }
    }

    /// A digit sounds: speech is not to.
    pub fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    /// May the next digit begin? What it begins with is asked for by `play`.
    pub fn begins(&mut self, now: Tick) -> bool {
        if self.playing.is_some() || now < self.rest_until {
            return false;
        }
        let Some((digit, length)) = self.waiting.pop_front() else { return false };
        self.playing = Some(Playing {
            digit,
            since: now,
            until: length.map(|l| now + l),
            next: now,
            ends: 0,
            begun: false,
            tone: Tone::new(digit),
        });
        true
    }

    /// The next thing to send of what is played, if it is due.
    pub fn play(&mut self, now: Tick, as_tone: bool) -> Option<Played> {
        let playing = self.playing.as_mut()?;
        if playing.next > now {
            return None;
        }
        let longest = playing.since + LONGEST;
        let until = playing.until.unwrap_or(longest).min(longest);
        if as_tone { playing.tone_until(now, until) } else { playing.event_until(now, until) }.or_else(|| {
            self.rest_until = now + PAUSE;
            self.playing = None;
            Some(Played::Over)
        })
    }

    pub fn next_sample(&mut self) -> i16 {
        let tone = self.playing.as_mut().and_then(|p| p.tone.as_mut());
        tone.map_or(0, Tone::next_sample)
    }
}

impl Playing {
    fn tone_until(&mut self, now: Tick, until: Tick) -> Option<Played> {
        if self.next >= until {
            return None;
        }
        // Tones are made a little ahead, so that packets do not wait for the next look.
        let end = (now + UPDATE).min(until);
        let from = std::mem::replace(&mut self.next, end);
        Some(Played::Tone { samples: samples(end.since(from)) })
    }

    fn event_until(&mut self, now: Tick, until: Tick) -> Option<Played> {
        if self.ends == ENDS {
            return None;
        }
        let over = now >= until;
        let length = samples(now.min(until).since(self.since)).max(80);
        self.ends += u8::from(over);
        self.next = now + UPDATE;
        let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        let first = !std::mem::replace(&mut self.begun, true);
        // −10 dBm0, as most do.
        let payload = [self.digit, if over { 0x80 | 10 } else { 10 }, high, low];
        Some(Played::Event { first, payload })
    }
}

/// Of 8000 a second.
pub fn samples(time: Duration) -> u32 {
    u32::try_from(time.as_micros() / 125).unwrap_or(u32::MAX)
}
