//! What a message carries: nothing, a session description, or something else.

use crate::header;
use crate::message::{HeaderName, Message};
use crate::sdp::{self, SdpError};
use memchr::memmem;
use vocab::SessionDescription;

#[derive(Debug, PartialEq)]
pub(crate) enum Body {
    None,
    Session(SessionDescription),
    BadSession(SdpError),
    Unknown,
}

impl Body {
    /// An absent Content-Type with a body is taken for SDP, which is what old gateways mean by it.
    pub fn of(message: &Message) -> Body {
        let body = message.body();
        if body.iter().all(u8::is_ascii_whitespace) {
            return Body::None;
        }
        let encoded =
            message.get(HeaderName::ContentEncoding).is_some_and(|e| !e.eq_ignore_ascii_case("identity"));
        let (kind, params) = media_type(message.get(HeaderName::ContentType).unwrap_or(sdp::CONTENT_TYPE));
        match () {
            () if encoded => Body::Unknown,
            () if kind.eq_ignore_ascii_case(sdp::CONTENT_TYPE) => session(body),
            () if starts_with_ignoring_case(kind, "multipart/") => {
                let boundary = header::param(params, "boundary").map(header::unquote);
                let part = boundary.and_then(|b| sdp_part(body, b.as_bytes()));
                part.map_or(Body::Unknown, session)
            }
            () => Body::Unknown,
        }
    }

    /// The session of a response or an ACK, where anything else reads as none.
    pub fn session_of(message: &Message) -> Option<SessionDescription> {
        match Body::of(message) {
            Body::Session(s) => Some(s),
            Body::None | Body::BadSession(_) | Body::Unknown => None,
        }
    }
}

fn session(body: &[u8]) -> Body {
    match sdp::parse(body) {
        Ok(s) => Body::Session(s),
        Err(e) => Body::BadSession(e),
    }
}

fn media_type(value: &str) -> (&str, &str) {
    let (kind, params) = value.split_once(';').unwrap_or((value, ""));
    (kind.trim(), params)
}

fn starts_with_ignoring_case(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|t| t.eq_ignore_ascii_case(start))
}

/// The first part of a multipart body (RFC 2046 §5.1.1) that is SDP. Parts inside parts are not searched.
fn sdp_part<'a>(body: &'a [u8], boundary: &[u8]) -> Option<&'a [u8]> {
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let delimiter = [b"--", boundary].concat();
    let finder = memmem::Finder::new(&delimiter);
    let mut rest = body.get(finder.find(body)? + delimiter.len()..)?;
    while let Some(end) = finder.find(rest) {
        if let Some(content) = sdp_content(rest.get(..end)?) {
            return Some(content);
        }
        rest = rest.get(end + delimiter.len()..)?;
    }
    None
}

/// The content of a part whose own headers say SDP.
fn sdp_content(part: &[u8]) -> Option<&[u8]> {
    let (end, gap) = match memmem::find(part, b"\r\n\r\n") {
        Some(end) => (end, 4),
        None => (memmem::find(part, b"\n\n")?, 2),
    };
    let head = std::str::from_utf8(part.get(..end)?).ok()?;
    let is_sdp = head.lines().filter_map(|l| l.split_once(':')).any(|(name, value)| {
        let named = name.trim().eq_ignore_ascii_case("content-type") || name.trim().eq_ignore_ascii_case("c");
        named && media_type(value).0.eq_ignore_ascii_case(sdp::CONTENT_TYPE)
    });
    is_sdp.then(|| part.get(end + gap..)).flatten()
}

/// May the answer be SDP (RFC 3261 §20.1)? An empty Accept is taken for none.
pub(crate) fn accepts_sdp(message: &Message) -> bool {
    let mut ranges = message.list(HeaderName::Accept).map(|a| media_type(a).0).peekable();
    ranges.peek().is_none()
        || ranges.any(|r| {
            r == "*/*" || r.eq_ignore_ascii_case("application/*") || r.eq_ignore_ascii_case(sdp::CONTENT_TYPE)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Builder;

    fn body(content_type: &str, body: &str) -> Body {
        let bytes = Builder::response(200, "OK").finish_with(content_type, body.as_bytes());
        Body::of(&Message::parse(&bytes).unwrap())
    }

    #[test]
    fn kinds_of_body() {
        let sdp = "v=0\r\nm=audio 1 RTP/AVP 0\r\n";
        let multipart = format!(
            "preamble\r\n--b1\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b1\r\nc: application/sdp\r\n\r\n{sdp}\r\n--b1--\r\n"
        );
        for (content_type, text, session) in [
            ("application/sdp", sdp, true),
            ("Application/SDP; charset=x", sdp, true),
            ("multipart/mixed;boundary=\"b1\"", multipart.as_str(), true),
            ("multipart/mixed", multipart.as_str(), false),
            ("multipart/mixed;boundary=b2", multipart.as_str(), false),
            ("text/plain", sdp, false),
        ] {
            match body(content_type, text) {
                Body::Session(s) => assert!(session && s.media.len() == 1, "{content_type}"),
                other => assert!(!session && other == Body::Unknown, "{content_type}"),
            }
        }
        assert_eq!(body("application/sdp", "\r\n"), Body::None);
        assert_eq!(body("application/sdp", "junk"), Body::BadSession(SdpError::NotSdp));
    }
}
