//! SDP (RFC 8866), read leniently and written strictly.

use crate::header::cut;
use std::borrow::Cow;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use vocab::session::{Attribute, Direction, Host, MediaDescription, SessionDescription, SmolStr};

/// More sections than any honest offer has.
const MAX_MEDIA: usize = 32;
/// Lines; a conference with many codecs has a few hundred.
const MAX_LINES: usize = 2000;

/// Payload numbers have seven bits.
const MAX_FORMATS: usize = 128;

pub const CONTENT_TYPE: &str = "application/sdp";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpError {
    /// Not UTF-8 or no line that looks like SDP.
    NotSdp,
    TooLarge,
    /// The `m=` line with this number (from 1) cannot be read.
    BadMedia(usize),
}

/// Lines that are not understood are skipped; a missing `c=` is the reader's matter, some offers need none.
pub fn parse(body: &[u8]) -> Result<SessionDescription, SdpError> {
    let text = String::from_utf8_lossy(body);
    let mut session = SessionDescription::default();
    let mut known = false;
    for (i, line) in text.lines().enumerate() {
        if i >= MAX_LINES || session.media.len() > MAX_MEDIA {
            return Err(SdpError::TooLarge);
        }
        // What may not be written is not read either, so that what is passed on is what was understood.
        let line = clean(line);
        let Some((kind, value)) = cut(line.trim_ascii(), b'=') else { continue };
        let kind = kind.trim_ascii_end();
        known |= matches!(kind, "v" | "m");
        take_line(&mut session, kind, value.trim_ascii_start())?;
    }
    if known { Ok(session) } else { Err(SdpError::NotSdp) }
}

fn take_line(session: &mut SessionDescription, kind: &str, value: &str) -> Result<(), SdpError> {
    if kind == "m" {
        let number = session.media.len() + 1;
        let media = parse_media(value).ok_or(SdpError::BadMedia(number))?;
        if media.formats.len() > MAX_FORMATS {
            return Err(SdpError::TooLarge);
        }
        session.media.push(media);
        return Ok(());
    }
    let (address, direction, bandwidth, attributes) = match session.media.last_mut() {
        Some(m) => (&mut m.address, &mut m.direction, &mut m.bandwidth, &mut m.attributes),
        None => {
            (&mut session.address, &mut session.direction, &mut session.bandwidth, &mut session.attributes)
        }
    };
    match kind {
        "c" => *address = parse_address(value).or(address.take()),
        "b" => bandwidth.push(value.into()),
        "a" => {
            let (name, rest) = match cut(value, b':') {
                Some((name, rest)) => (name.trim_ascii_end(), Some(rest.trim_ascii_start().into())),
                None => (value, None),
            };
            match Direction::from_name(name).filter(|_| rest.is_none()) {
                Some(d) => *direction = Some(d),
                None => attributes.push(Attribute { name: name.into(), value: rest }),
            }
        }
        // v, o, s, t and whatever else: each leg writes its own.
        _ => {}
    }
    Ok(())
}

/// `IN IP4 10.0.0.1` or, for multicast, with `/ttl`. The family is that of the address, whatever the word says.
fn parse_address(value: &str) -> Option<Host> {
    let mut words = value.split_ascii_whitespace();
    let address = words.nth(2)?.split('/').next().filter(|a| !a.is_empty())?;
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    Some(match bare.parse::<IpAddr>() {
        Ok(ip) => Host::Ip(ip),
        Err(_) => Host::Name(address.to_owned()),
    })
}

fn parse_media(value: &str) -> Option<MediaDescription> {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next()?.into();
    let port = words.next()?.split('/').next()?.parse().ok()?;
    let protocol = words.next()?.into();
    Some(MediaDescription {
        kind,
        port,
        protocol,
        formats: words.take(MAX_FORMATS + 1).map(SmolStr::from).collect(),
        address: None,
        direction: None,
        bandwidth: Vec::new(),
        attributes: Vec::new(),
    })
}

/// Identity of the sessions a leg writes: one id for life, a version that grows by one with each change
/// (RFC 3264 §8).
#[derive(Clone, Debug)]
pub struct Origin {
    id: u64,
    version: u64,
    /// Hash of what was written last.
    last: Option<u64>,
}

impl Origin {
    pub fn new(id: u64) -> Origin {
        // Some readers keep ids in 32 bits with a sign.
        Origin { id: id & 0x7fff_ffff, version: id & 0x7fff_ffff, last: None }
    }

    /// Goes on where another process stopped. What it wrote last is not known, so the next session counts as changed.
    pub fn resume(id: u64, version: u64) -> Origin {
        Origin { id, version: version.saturating_add(1), last: None }
    }

    /// Id and version.
    pub fn numbers(&self) -> (u64, u64) {
        (self.id, self.version)
    }

    /// The session as text; the same session again gets the same version.
    pub fn print(&mut self, session: &SessionDescription) -> String {
        let text = print(session, self.id, self.version);
        match self.last {
            Some(last) if last != hash(&text) => self.version += 1,
            Some(_) => return text,
            None => {
                self.last = Some(hash(&text));
                return text;
            }
        }
        let text = print(session, self.id, self.version);
        self.last = Some(hash(&text));
        text
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

pub fn print(session: &SessionDescription, id: u64, version: u64) -> String {
    let mut out = String::with_capacity(512);
    // Writing to a String cannot fail.
    let _ = write_session(&mut out, session, id, version);
    out
}

fn write_session(out: &mut String, s: &SessionDescription, id: u64, version: u64) -> std::fmt::Result {
    write!(out, "v=0\r\no=- {id} {version} ")?;
    let first = s.media.first().and_then(|m| m.address.as_ref());
    let unspecified = Host::Ip(IpAddr::from([0, 0, 0, 0]));
    write_address(out, s.address.as_ref().or(first).unwrap_or(&unspecified))?;
    out.push_str("s=-\r\n");
    if let Some(address) = &s.address {
        out.push_str("c=");
        write_address(out, address)?;
    }
    write_lines(out, 'b', &s.bandwidth);
    out.push_str("t=0 0\r\n");
    write_attributes(out, &s.attributes, s.direction);
    s.media.iter().try_for_each(|m| write_media(out, m))
}

fn write_address(out: &mut String, host: &Host) -> std::fmt::Result {
    match host {
        Host::Ip(IpAddr::V4(ip)) => write!(out, "IN IP4 {ip}\r\n"),
        Host::Ip(IpAddr::V6(ip)) => write!(out, "IN IP6 {ip}\r\n"),
        Host::Name(name) => {
            out.push_str("IN IP4 ");
            push_clean(out, name);
            out.push_str("\r\n");
            Ok(())
        }
    }
}

/// Sessions may come from another protocol or from an operator's rule: no value may start a line of its own.
fn push_clean(out: &mut String, text: &str) {
    out.push_str(&clean(text));
}

fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        Cow::Owned(text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn write_lines(out: &mut String, kind: char, values: &[SmolStr]) {
    for value in values {
        out.push(kind);
        out.push('=');
        push_clean(out, value);
        out.push_str("\r\n");
    }
}

fn write_attributes(out: &mut String, attributes: &[Attribute], direction: Option<Direction>) {
    for a in attributes {
        out.push_str("a=");
        push_clean(out, &a.name);
        if let Some(value) = &a.value {
            out.push(':');
            push_clean(out, value);
        }
        out.push_str("\r\n");
    }
    if let Some(d) = direction {
        out.push_str("a=");
        out.push_str(d.name());
        out.push_str("\r\n");
    }
}

fn write_media(out: &mut String, m: &MediaDescription) -> std::fmt::Result {
    out.push_str("m=");
    push_clean(out, &m.kind);
    write!(out, " {} ", m.port)?;
    push_clean(out, &m.protocol);
    for format in &m.formats {
        out.push(' ');
        push_clean(out, format);
    }
    out.push_str("\r\n");
    if let Some(address) = &m.address {
        out.push_str("c=");
        write_address(out, address)?;
    }
    write_lines(out, 'b', &m.bandwidth);
    write_attributes(out, &m.attributes, m.direction);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_name_is_none() {
        for line in ["c=IN IP4 /127", "c=IN IP4", "c="] {
            let text = format!("v=0\r\n{line}\r\nm=audio 4000 RTP/AVP 8\r\n");
            assert_eq!(parse(text.as_bytes()).map(|s| s.address).ok(), Some(None), "{line}");
        }
    }

    const OFFER: &str = "v=0\r\no=bob 1 1 IN IP4 10.0.0.1\r\ns=call\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\na=sendonly\r\n\
        m=audio 4000/2 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=recvonly\r\n\
        m=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::1\r\nb=AS:64\r\n";

    #[test]
    fn reads_and_writes() {
        let session = parse(OFFER.as_bytes()).unwrap();
        assert_eq!(session.media_address(0), Some("10.0.0.1:4000".parse().unwrap()));
        assert_eq!(session.media_address(1), Some("[2001:db8::1]:6024".parse().unwrap()));
        assert_eq!(session.media_direction(0), Direction::RecvOnly);
        assert_eq!(session.media_direction(1), Direction::SendOnly);
        assert_eq!(session.media[0].formats, ["8", "0", "101"]);
        let printed = print(&session, 5, 6);
        assert!(printed.starts_with(
            "v=0\r\no=- 5 6 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\na=sendonly\r\n"
        ));
        assert!(printed.contains("c=IN IP6 2001:db8::1\r\n"));
        assert_eq!(parse(printed.as_bytes()).unwrap(), session);
    }

    #[test]
    fn odd_input() {
        for (text, want) in [
            ("v=0\nm=audio 1 RTP/AVP 0\n", Ok(1)),
            ("m=audio 1 RTP/AVP 0", Ok(1)),
            ("v=0\r\ngarbage\r\nz=\r\n= \r\n", Ok(0)),
            ("v=0\r\nm=audio x RTP/AVP 0\r\n", Err(SdpError::BadMedia(1))),
            ("v=0\r\nm=audio 70000 RTP/AVP 0\r\n", Err(SdpError::BadMedia(1))),
            ("hello", Err(SdpError::NotSdp)),
            ("", Err(SdpError::NotSdp)),
        ] {
            assert_eq!(parse(text.as_bytes()).map(|s| s.media.len()), want, "{text}");
        }
        let many = "m=audio 1 RTP/AVP 0\r\n".repeat(40);
        assert_eq!(parse(many.as_bytes()), Err(SdpError::TooLarge));
    }

    #[test]
    fn version_grows_by_one_on_change() {
        let mut origin = Origin::new(7);
        let mut session = parse(OFFER.as_bytes()).unwrap();
        let first = origin.print(&session);
        assert_eq!(origin.print(&session), first);
        session.media[0].port = 4002;
        assert!(first.contains("o=- 7 7 ") && origin.print(&session).contains("o=- 7 8 "));
    }

    #[test]
    fn a_value_cannot_start_a_line() {
        let mut session = parse(OFFER.as_bytes()).unwrap();
        session.media[0].kind = "audio\r\nm=x".into();
        assert!(!print(&session, 1, 1).contains("\r\nm=x"));
    }
}
