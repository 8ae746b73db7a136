//! SIP and tel URIs, taken apart without copying (RFC 3261 §19.1, RFC 3966).

use crate::header::{cut, number};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) user: Option<&'a str>,
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
    pub(crate) params: &'a str,
    pub(crate) headers: Option<&'a str>,
}

/// What a byte of a URI means to its parts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Break {
    No,
    At,
    Headers,
    Params,
    /// May stand nowhere.
    Never,
}

static BREAKS: [Break; 256] = {
    let mut breaks = [Break::No; 256];
    breaks[b'@' as usize] = Break::At;
    breaks[b'?' as usize] = Break::Headers;
    breaks[b';' as usize] = Break::Params;
    let mut never = b" \t\r\n\x0c<>".as_slice();
    while let [first, rest @ ..] = never {
        breaks[*first as usize] = Break::Never;
        never = rest;
    }
    breaks
};

impl<'a> Uri<'a> {
    pub fn parse(text: &'a str) -> Option<Uri<'a>> {
        let (scheme, rest) = cut(text, b':')?;
        let scheme_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.as_bytes().first()?.is_ascii_alphabetic() || !scheme.bytes().all(scheme_ok) {
            return None;
        }
        if rest.is_empty() {
            return None;
        }
        let readable = || !rest.bytes().any(|b| BREAKS[usize::from(b)] == Break::Never);
        match scheme {
            s if s.eq_ignore_ascii_case("sip") => Self::parse_sip(Scheme::Sip, rest),
            s if s.eq_ignore_ascii_case("sips") => Self::parse_sip(Scheme::Sips, rest),
            _ if !readable() => None,
            s if s.eq_ignore_ascii_case("tel") => {
                let (number, params) = cut(rest, b';').unwrap_or((rest, ""));
                let uri = Uri {
                    scheme: Scheme::Tel,
                    user: Some(number),
                    host: "",
                    port: None,
                    params,
                    headers: None,
                };
                (!number.is_empty()).then_some(uri)
            }
            _ => Some(Uri {
                scheme: Scheme::Other,
                user: None,
                host: "",
                port: None,
                params: "",
                headers: None,
            }),
        }
    }

    fn parse_sip(scheme: Scheme, rest: &'a str) -> Option<Uri<'a>> {
        let (mut at, mut headers, mut params) = (None, None, None);
        for (i, b) in rest.bytes().enumerate() {
            match BREAKS[usize::from(b)] {
                Break::No => {}
                Break::Never => return None,
                // A user part may hold `;` and `?` but no `@`; so the first `@` ends it.
                Break::At if at.is_none() => (at, headers, params) = (Some(i), None, None),
                Break::Headers if headers.is_none() => headers = Some(i),
                Break::Params if params.is_none() && headers.is_none() => params = Some(i),
                Break::At | Break::Headers | Break::Params => {}
            }
        }
        let end = headers.unwrap_or(rest.len());
        let host_end = params.unwrap_or(end);
        let (host, port) = host_and_port(rest.get(at.map_or(0, |at| at + 1)..host_end)?)?;
        let params = params.map_or(Some(""), |p| rest.get(p + 1..end))?;
        let headers = headers.and_then(|h| rest.get(h + 1..));
        let user = at.and_then(|at| rest.get(..at)).map(|u| cut(u, b':').map_or(u, |(user, _password)| user));
        Some(Uri { scheme, user, host, port, params, headers })
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// As written, with escapes; of a tel URI the number.
    pub fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// Brackets of IPv6 removed; empty for tel and unknown schemes.
    pub fn host(&self) -> &'a str {
        self.host
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// A parameter after the host; of a tel URI after the number.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.split(';').find_map(|p| {
            let (n, value) = p.split_once('=').unwrap_or((p, ""));
            n.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn host_ip(&self) -> Option<IpAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
    }

    /// The user part as a person dialled it: unescaped once, without the telephone parameters that routing
    /// proxies put there. Anything unknown stays, so that the reader of the number can refuse it.
    pub fn user_unescaped(&self) -> String {
        let user = self.user.unwrap_or_default();
        let mut parts = user.split(';');
        let mut out = unescape(parts.next().unwrap_or_default()).into_owned();
        for part in parts.filter(|p| !is_telephone_param(p)) {
            out.push(';');
            out.push_str(&unescape(part));
        }
        out
    }
}

/// RFC 3966 §3, RFC 4694, RFC 4904: parameters a telephone subscriber may carry.
fn is_telephone_param(param: &str) -> bool {
    const KNOWN: [&str; 12] = [
        "npdi",
        "rn",
        "rn-context",
        "cic",
        "cic-context",
        "tgrp",
        "trunk-context",
        "phone-context",
        "isub",
        "ext",
        "cpc",
        "oli",
    ];
    let name = param.split_once('=').map_or(param, |(n, _)| n);
    KNOWN.iter().any(|k| k.eq_ignore_ascii_case(name))
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`. The last group of a bare IPv6 address is never taken for a port
/// (RFC 5118 §4.2).
pub fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let text = text.trim_ascii();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = cut(rest, b']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest.trim_ascii())
        }
        None => {
            let end = text.bytes().position(|b| b == b':').unwrap_or(text.len());
            let (host, rest) = text.split_at_checked(end)?;
            let host = host.trim_ascii_end();
            let host_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            if host.is_empty() || !host.bytes().all(host_ok) {
                return None;
            }
            (host, rest)
        }
    };
    match port.strip_prefix(':') {
        Some(port) => Some((host, Some(number(port).and_then(|n| u16::try_from(n).ok())?))),
        None => port.is_empty().then_some((host, None)),
    }
}

fn hex_digit(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Percent escapes resolved, once. `%00` becomes a NUL inside the text and ends nothing; a `%` that starts no
/// escape stays as it is.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match tail {
            [a, b, ..] if first == b'%' => hex_digit(*a).zip(hex_digit(*b)).map(|(a, b)| a * 16 + b),
            _ => None,
        };
        out.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Escapes what may not stand in a user part (RFC 3261 §25.1 `user`).
pub fn escape_user(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(b >> 4)]));
            out.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
}

/// An address as a host part: IPv6 in brackets.
pub fn push_ip(out: &mut String, ip: IpAddr) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = match ip {
        IpAddr::V4(ip) => write!(out, "{ip}"),
        IpAddr::V6(ip) => write!(out, "[{ip}]"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_uri() {
        for (text, want) in [
            ("sip:alice@example.com", Some((Some("alice"), "example.com", None, ""))),
            ("SIP:8801@10.0.0.1:5070;user=phone", Some((Some("8801"), "10.0.0.1", Some(5070), "user=phone"))),
            ("sip:[2001:db8::10:5070]", Some((None, "2001:db8::10:5070", None, ""))),
            ("sip:[2001:db8::10]:5070", Some((None, "2001:db8::10", Some(5070), ""))),
            (
                "sip:user;par=u%40example.net@example.com",
                Some((Some("user;par=u%40example.net"), "example.com", None, "")),
            ),
            ("sip:u:secret@h;lr", Some((Some("u"), "h", None, "lr"))),
            ("tel:+4930123;phone-context=de", Some((Some("+4930123"), "", None, "phone-context=de"))),
            ("isbn:2983792873", Some((None, "", None, ""))),
            ("sip:2001:db8::10", None),
            ("sip:user@[2001:db8:::192.0.2.1]", None),
            ("sip:user@host:99999", None),
            ("sip:user@host:", None),
            ("sip:", None),
            ("<sip:user@example.com>", None),
            ("sip:user@example.com; lr", None),
            ("nothing", None),
        ] {
            let got = Uri::parse(text).map(|u| (u.user, u.host, u.port, u.params));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn dialled_numbers() {
        for (text, want) in [
            ("sip:null-%00-null@example.com", "null-\0-null"),
            ("sip:%2b880@h", "+880"),
            ("sip:value%2541@h", "value%41"),
            ("sip:100%@h", "100%"),
            ("sip:+1800;npdi;rn=+1300@h", "+1800"),
            ("sip:user;par=u%40example.net@h", "user;par=u@example.net"),
            ("sip:sips%3Auser%40example.com@example.net", "sips:user@example.com"),
            ("tel:+4930123;ext=5", "+4930123"),
            ("sip:h", ""),
        ] {
            assert_eq!(Uri::parse(text).unwrap().user_unescaped(), want, "{text}");
        }
        let mut out = String::new();
        escape_user(&mut out, "*21# é");
        assert_eq!(out, "*21%23%20%C3%A9");
    }
}
