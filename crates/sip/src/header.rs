//! What header values mean. Everything borrows from the message.

use crate::message::{HeaderName, Message, Problem};
use crate::uri::{self, Uri};
use std::borrow::Cow;

/// A decimal number; blanks around it, nothing else. Too long is `None`, never a wrapped value.
pub fn number(text: &str) -> Option<u64> {
    let text = text.trim_ascii();
    let digit = |n: u64, b: u8| n.checked_mul(10)?.checked_add(u64::from(char::from(b).to_digit(10)?));
    if text.is_empty() { None } else { text.bytes().try_fold(0, digit) }
}

/// The one Content-Length. Two that differ are the stuff of request smuggling, so they are an error.
pub fn content_length(message: &Message) -> Result<Option<usize>, Problem> {
    let mut found = None;
    for text in message.all(HeaderName::ContentLength) {
        let n = number(text).and_then(|n| usize::try_from(n).ok()).ok_or(Problem::ContentLength)?;
        if found.is_some_and(|f| f != n) {
            return Err(Problem::ContentLength);
        }
        found = Some(n);
    }
    Ok(found)
}

/// Cuts a text at a separator outside quotes and angle brackets. Pieces are trimmed; empty ones are kept, the
/// caller knows whether they are harmless.
pub fn split_outside(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = find_outside(current, separator);
        rest = end.and_then(|e| current.get(e + 1..));
        Some(current.get(..end.unwrap_or(current.len())).unwrap_or_default().trim_ascii())
    })
}

/// Cuts a comma-separated list.
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    split_outside(text, b',')
}

fn find_outside(text: &str, wanted: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let found = bytes.iter().position(|b| *b == wanted)?;
    // Without anything that opens before it, the first one is the one.
    let before = bytes.get(..found).unwrap_or_default();
    if !before.iter().any(|b| matches!(b, b'"' | b'<')) {
        return Some(found);
    }
    let (mut quoted, mut angle, mut escaped) = (false, false, false);
    for (i, b) in text.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !angle => quoted = !quoted,
            _ if quoted => {}
            b if b == wanted && !angle => return Some(i),
            b'<' => angle = true,
            b'>' => angle = false,
            _ => {}
        }
    }
    None
}

/// `;name=value` parameters. Quotes are kept in the value; see [`unquote`].
pub fn params(text: &str) -> impl Iterator<Item = (&str, &str)> {
    split_outside(text, b';').filter(|p| !p.is_empty()).map(name_and_value)
}

fn name_and_value(param: &str) -> (&str, &str) {
    match cut(param, b'=') {
        Some((name, value)) => (name.trim_ascii_end(), value.trim_ascii_start()),
        None => (param, ""),
    }
}

/// What stands before and after the first byte `at`, an ASCII character. Values are short: a plain loop is faster
/// than anything that has to be set up.
pub(crate) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| b == at)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// The same at the first blank.
fn cut_at_blank(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| b.is_ascii_whitespace())?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

pub fn param<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    params(text).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
}

/// The inside of a quoted string; other text as it is.
pub fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(out)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    pub number: u32,
    pub method: &'a str,
}

impl<'a> CSeq<'a> {
    pub fn parse(text: &'a str) -> Option<CSeq<'a>> {
        let (digits, method) = cut_at_blank(text)?;
        let method = method.trim_ascii();
        // RFC 3261 §8.1.1.5: under 2^31; up to 2^32-1 is read.
        let number = u32::try_from(number(digits)?).ok()?;
        let one_word = !method.is_empty() && !method.bytes().any(|b| b.is_ascii_whitespace());
        one_word.then_some(CSeq { number, method })
    }
}

/// RFC 3262 §7.2: `response-number cseq-number method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    pub rseq: u32,
    pub cseq: CSeq<'a>,
}

impl<'a> RAck<'a> {
    pub fn parse(text: &'a str) -> Option<RAck<'a>> {
        let (rseq, rest) = cut_at_blank(text.trim_ascii())?;
        Some(RAck { rseq: u32::try_from(number(rseq)?).ok()?, cseq: CSeq::parse(rest.trim_ascii_start())? })
    }
}

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    pub transport: &'a str,
    pub host: &'a str,
    pub port: Option<u16>,
    /// Everything before the parameters, as written.
    pub before_params: &'a str,
    pub params: &'a str,
    pub(crate) branch: Option<&'a str>,
    /// The sender asks for the port its message came from (RFC 3581).
    pub(crate) rport: bool,
}

impl<'a> Via<'a> {
    pub fn parse(text: &'a str) -> Option<Via<'a>> {
        let (before_params, params) = cut(text, b';').unwrap_or((text, ""));
        let (protocol, rest) = cut(before_params, b'/')?;
        let (version, rest) = cut(rest, b'/')?;
        let (transport, sent_by) = cut_at_blank(rest.trim_ascii_start())?;
        let (host, port) = uri::host_and_port(sent_by)?;
        let sip = protocol.trim_ascii().eq_ignore_ascii_case("SIP") && version.trim_ascii() == "2.0";
        if !sip || transport.is_empty() {
            return None;
        }
        let before_params = before_params.trim_ascii_end();
        let mut via = Via { transport, host, port, before_params, params, branch: None, rport: false };
        if params.is_empty() {
            return Some(via);
        }
        for param in split_outside(params, b';') {
            if param.is_empty() {
                return None;
            }
            match name_and_value(param) {
                (name, value) if name.eq_ignore_ascii_case("branch") => {
                    via.branch = via.branch.or(Some(value))
                }
                (name, _) => via.rport |= name.eq_ignore_ascii_case("rport"),
            }
        }
        Some(via)
    }

    pub fn param(&self, name: &str) -> Option<&'a str> {
        param(self.params, name)
    }

    pub fn branch(&self) -> Option<&'a str> {
        self.branch.filter(|b| !b.is_empty())
    }
}

/// From, To, Contact, Route and their like: `"display" <uri>;params` or `uri;params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// As written, with its quotes.
    pub display: &'a str,
    pub uri: &'a str,
    /// Parameters of the header, without the first `;`.
    pub params: &'a str,
    pub(crate) tag: Option<&'a str>,
}

impl<'a> NameAddr<'a> {
    /// Blanks inside the brackets are cut, commas in an unquoted display name are read (RFC 4475 §3.1.2.14–15);
    /// an open quote is not (§3.1.2.6).
    pub fn parse(text: &'a str) -> Option<NameAddr<'a>> {
        let text = text.trim_ascii();
        let open = find_outside_quotes(text, b'<')?;
        let Some(open) = open else { return Self::parse_bare(text) };
        let close = open + text.get(open..)?.bytes().position(|b| b == b'>')?;
        let rest = text.get(close + 1..)?.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(';') {
            return None;
        }
        find_outside_quotes(rest, b'<')?;
        let display = text.get(..open)?.trim_ascii();
        Self::of(display, text.get(open + 1..close)?.trim_ascii(), rest.strip_prefix(';').unwrap_or_default())
    }

    /// Without brackets every parameter belongs to the header, not to the URI (RFC 3261 §20.10).
    fn parse_bare(text: &'a str) -> Option<NameAddr<'a>> {
        let (uri, params) = cut(text, b';').unwrap_or((text, ""));
        Self::of("", uri.trim_ascii_end(), params)
    }

    fn of(display: &'a str, uri: &'a str, params: &'a str) -> Option<NameAddr<'a>> {
        Uri::parse(uri)?;
        Some(NameAddr { display, uri, params, tag: param(params, "tag") })
    }

    pub fn tag(&self) -> Option<&'a str> {
        self.tag.filter(|t| !t.is_empty())
    }

    pub fn display_name(&self) -> Option<String> {
        (!self.display.is_empty()).then(|| unquote(self.display).into_owned()).filter(|d| !d.is_empty())
    }
}

/// Place of a byte outside quotes; the outer `None` means an open quote.
fn find_outside_quotes(text: &str, wanted: u8) -> Option<Option<usize>> {
    let (mut quoted, mut escaped) = (false, false);
    for (i, b) in text.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b if b == wanted && !quoted => return Some(Some(i)),
            _ => {}
        }
    }
    if quoted { None } else { Some(None) }
}

/// RFC 3326: the Q.850 cause, and the text of the first value that has one.
pub fn reason(message: &Message) -> (Option<u8>, Option<String>) {
    let (mut q850, mut text) = (None, None);
    for value in message.list(HeaderName::Reason) {
        let (protocol, rest) = value.split_once(';').unwrap_or((value, ""));
        if protocol.trim().eq_ignore_ascii_case("Q.850") && q850.is_none() {
            q850 =
                param(rest, "cause").and_then(number).and_then(|n| u8::try_from(n).ok()).filter(|n| *n < 128);
        }
        text = text.or_else(|| param(rest, "text").map(|t| unquote(t).into_owned()));
    }
    (q850, text)
}

/// Seconds of a Retry-After, which may carry a comment and parameters.
pub fn retry_after(message: &Message) -> Option<u32> {
    let text = message.get(HeaderName::RetryAfter)?;
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    u32::try_from(number(digits)?).ok()
}

/// Contacts of a redirection, best first (`q`, then order; RFC 3261 §20.10).
pub fn contacts(message: &Message) -> Vec<String> {
    let mut found: Vec<(u32, String)> = message
        .list(HeaderName::Contact)
        .filter_map(NameAddr::parse)
        .map(|c| (quality(param(c.params, "q")), c.uri.to_owned()))
        .collect();
    found.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    found.into_iter().map(|(_, uri)| uri).collect()
}

/// `q` in thousandths; 1 when absent or unreadable.
pub(crate) fn quality(text: Option<&str>) -> u32 {
    let Some((whole, fraction)) = text.map(|t| t.split_once('.').unwrap_or((t, ""))) else { return 1000 };
    let thousandths = format!("{fraction:0<3}");
    let fraction = thousandths.get(..3).and_then(number).and_then(|n| u32::try_from(n).ok());
    match (whole.trim(), fraction) {
        ("0", Some(f)) => f,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_outside_quotes_and_brackets() {
        for (text, want) in [
            ("a, b ,c", vec!["a", "b", "c"]),
            (
                "\"x, \\\", y\" <sip:a,b@h>;q=1, <sip:c@h>",
                vec!["\"x, \\\", y\" <sip:a,b@h>;q=1", "<sip:c@h>"],
            ),
            ("", vec![""]),
            ("a,,", vec!["a", "", ""]),
        ] {
            assert_eq!(split_list(text).collect::<Vec<_>>(), want, "{text}");
        }
    }

    #[test]
    fn vias() {
        for (text, want) in [
            (
                "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1;rport",
                Some(("UDP", "10.0.0.1", Some(5070), Some("z9hG4bK1"))),
            ),
            (
                "SIP  /   2.0 /UDP    192.0.2.2;branch=390skdjuw",
                Some(("UDP", "192.0.2.2", None, Some("390skdjuw"))),
            ),
            (
                "SIP/2.0/TCP [2001:db8::9:1]:6050 ; branch = x",
                Some(("TCP", "2001:db8::9:1", Some(6050), Some("x"))),
            ),
            ("SIP/2.0/UDP host", Some(("UDP", "host", None, None))),
            ("SIP/2.0/UDP 192.0.2.15;;", None),
            ("", None),
            ("SIP/2.0/UDP", None),
            ("SIP/2.0/UDP a b", None),
            ("HTTP/2.0/UDP a", None),
        ] {
            let got = Via::parse(text).map(|v| (v.transport, v.host, v.port, v.branch()));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn names_and_addresses() {
        for (text, want) in [
            ("<sip:a@h>;tag=1", Some(("", "sip:a@h", Some("1")))),
            ("sip:a@h ;  tag = 2", Some(("", "sip:a@h", Some("2")))),
            ("\"J \\\\\\\"\"  <sip:a@h;x=y> ; tag=3", Some(("J \\\"", "sip:a@h;x=y", Some("3")))),
            ("Bell, Alexander <sip:a@h>;tag=43", Some(("Bell, Alexander", "sip:a@h", Some("43")))),
            ("caller<sip:a@h>", Some(("caller", "sip:a@h", None))),
            ("\"Watson\" < sip:t@h >", Some(("Watson", "sip:t@h", None))),
            ("<tel:+123;phone-context=x>", Some(("", "tel:+123;phone-context=x", None))),
            ("\"Mr. J. User <sip:j@h>", None),
            ("<sip:a@h", None),
            ("<>", None),
            ("<sip:a@h> junk", None),
        ] {
            let got = NameAddr::parse(text);
            let got = got.as_ref().map(|n| (n.display_name().unwrap_or_default(), n.uri, n.tag()));
            assert_eq!(got, want.map(|(d, u, t)| (d.to_owned(), u, t)), "{text}");
        }
    }

    #[test]
    fn numbers_never_wrap() {
        for (text, want) in
            [("0009\t INVITE", Some(9)), ("4294967296 INVITE", None), ("-1 INVITE", None), ("1", None)]
        {
            assert_eq!(CSeq::parse(text).map(|c| c.number), want, "{text}");
        }
        assert_eq!(RAck::parse("776656 1 INVITE").map(|r| (r.rseq, r.cseq.number)), Some((776_656, 1)));
        assert_eq!(number("36893488147419103232"), None);
    }

    #[test]
    fn quality_of_contacts() {
        for (text, want) in
            [(None, 1000), (Some("0.5"), 500), (Some("1.0"), 1000), (Some("0"), 0), (Some("0.3333"), 333)]
        {
            assert_eq!(quality(text), want, "{text:?}");
        }
    }
}
