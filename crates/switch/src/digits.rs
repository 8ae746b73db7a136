//! Digits in SIP INFO: `application/dtmf-relay` and `application/dtmf`, read and written (`MED-15`).

use crate::brain::Switch;
use crate::call::Call;
use media::{Digit, MediaCommand, Method, Side};
use params::{DtmfMethod, Params};
use vocab::leg::LegCommand;
use vocab::{LegId, Now};

/// Where no length is said.
const USUAL_MS: u32 = 160;
/// RFC 4733 §3.2: flash.
const FLASH: u8 = 16;
const SIGNS: &[u8; 16] = b"0123456789*#ABCD";

/// A digit and its length in ms; `None` for what is no digit.
fn read(content_type: &str, body: &[u8]) -> Option<(Digit, u32)> {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let text = std::str::from_utf8(body).ok().filter(|t| t.len() <= 200)?;
    match kind.as_str() {
        "application/dtmf" => Some((event(text.trim())?, USUAL_MS)),
        "application/dtmf-relay" => {
            let field = |name: &str| {
                let mut fields = text.lines().filter_map(|line| line.split_once('='));
                fields.find(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
            };
            let length = field("duration").and_then(|d| d.parse().ok()).unwrap_or(USUAL_MS);
            Some((event(field("signal")?)?, length.clamp(50, 8000)))
        }
        _ => None,
    }
}

/// `5`, `*`, `#`, `A`; also their numbers from 10 on, and flash.
fn event(text: &str) -> Option<Digit> {
    let event = match text.as_bytes() {
        [b'!'] => FLASH,
        [sign] => u8::try_from(SIGNS.iter().position(|s| *s == sign.to_ascii_uppercase())?).ok()?,
        _ => text.parse().ok().filter(|n| (10..=FLASH).contains(n))?,
    };
    Some(Digit(event))
}

/// Content type and body of a digit.
fn write(digit: Digit, length_ms: u32, relay: bool) -> Option<(&'static str, String)> {
    let sign = match digit.0 {
        FLASH => "16".to_owned(),
        event => char::from(*SIGNS.get(usize::from(event))?).to_string(),
    };
    Some(match relay {
        true => ("application/dtmf-relay", format!("Signal={sign}\r\nDuration={length_ms}\r\n")),
        false => ("application/dtmf", sign),
    })
}

impl Switch {
    /// INFO of one side. A digit goes on as the other side takes digits, everything else as it came.
    pub(crate) fn on_info(
        &mut self,
        now: Now,
        call: &mut Call,
        leg: LegId,
        content_type: String,
        body: Vec<u8>,
    ) {
        let side = call.side(leg);
        let session = call.media.as_ref().filter(|_| call.relayed).and_then(|plan| plan.speaks());
        if let (Some((digit, length_ms)), Some(session)) = (read(&content_type, &body), session)
            && !self.takes_whatever_comes(call, leg)
        {
            let command = MediaCommand::Press { session, side, digit, length_ms };
            return self.emit(crate::Output::Media(command));
        }
        if let Some(other) = call.across(leg) {
            self.command(now, other, LegCommand::Info { content_type, body });
        }
    }

    /// A peer that announced nothing, neither events nor methods, and of which the settings say nothing, is given INFO
    /// as it comes rather than a tone.
    fn takes_whatever_comes(&self, call: &Call, from: LegId) -> bool {
        let Some(other) = call.across(from) else { return false };
        let to = call.side(other);
        let tones = call.media.as_ref().is_some_and(|plan| plan.digits_to(to) == Some(Method::Inband));
        let auto = self.params_of(call, to).is_some_and(|p| p.dtmf_send == DtmfMethod::Auto);
        tones && auto && self.endpoint.takes_info(other).is_none()
    }

    pub(crate) fn params_of<'a>(&self, call: &'a Call, side: Side) -> Option<&'a Params> {
        match side {
            Side::A => Some(call.gateway.as_ref().map_or(&call.snapshot.params, |g| &g.params)),
            Side::B => call.current.as_ref().map(|c| &*c.gateway.params),
        }
    }

    /// The media threads took a digit from one side that is to be told to the other by INFO.
    pub(crate) fn on_pressed(&mut self, now: Now, call: &mut Call, to: Side, digit: Digit, length_ms: u32) {
        if call.ended() {
            return;
        }
        let leg = if to == Side::A { Some(call.a) } else { call.b() };
        let (Some(leg), Some(params)) = (leg, self.params_of(call, to)) else { return };
        let relay = params.dtmf_send != DtmfMethod::Info;
        if let Some((content_type, body)) = write(digit, length_ms.max(1), relay) {
            let (content_type, body) = (content_type.to_owned(), body.into_bytes());
            self.command(now, leg, LegCommand::Info { content_type, body });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_and_written() {
        let relay = "application/dtmf-relay";
        for (kind, body, want) in [
            (relay, "Signal=5\r\nDuration=160\r\n", Some((5, 160))),
            (relay, "Signal= *\nDuration= 250", Some((10, 250))),
            (relay, "signal=11", Some((11, 160))),
            (relay, "Signal=d\r\nDuration=1", Some((15, 50))),
            (relay, "Signal=16\r\nDuration=99999", Some((16, 8000))),
            (relay, "Signal=17", None),
            (relay, "Signal=", None),
            (relay, "Duration=100", None),
            (relay, "5", None),
            ("Application/DTMF; charset=utf-8", "7", Some((7, 160))),
            ("application/dtmf", "#\r\n", Some((11, 160))),
            ("application/dtmf", "77", None),
            ("application/dtmf", "", None),
            ("application/media_control+xml", "5", None),
        ] {
            let read = read(kind, body.as_bytes()).map(|(digit, ms)| (digit.0, ms));
            assert_eq!(read, want, "{kind} {body:?}");
        }
        for event in 0..=16 {
            let (kind, body) = write(Digit(event), 120, true).unwrap();
            assert_eq!(read(kind, body.as_bytes()).map(|(d, ms)| (d.0, ms)), Some((event, 120)));
        }
        assert_eq!(write(Digit(17), 100, true), None);
        assert!(read(relay, &[0xff; 30]).is_none());
    }
}
