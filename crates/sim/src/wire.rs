//! SIP as text, for the peers of the simulated world.
//!
//! Deliberately apart from crate `sip`: a peer that shared the switch's parser and writer would share its mistakes
//! and never see them. It reads only the strict form that the switch promises to send, and [`faults`] says where a
//! message falls short of it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One message, headers in order, names as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Request or status line, without its line end.
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Message {
    pub fn request(method: &str, uri: &str) -> Message {
        Message { start: format!("{method} {uri} SIP/2.0"), headers: Vec::new(), body: String::new() }
    }

    pub fn response(status: u16, phrase: &str) -> Message {
        Message { start: format!("SIP/2.0 {status} {phrase}"), headers: Vec::new(), body: String::new() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Message {
        self.headers.push((name.to_string(), value.into()));
        self
    }

    pub fn with_body(mut self, body: Option<String>) -> Message {
        if let Some(body) = body {
            self.headers.push(("Content-Type".into(), "application/sdp".into()));
            self.body = body;
        }
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// 0 for a request.
    pub fn status(&self) -> u16 {
        self.start.strip_prefix("SIP/2.0 ").and_then(|s| s.get(..3)).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    pub fn is_request(&self) -> bool {
        self.status() == 0
    }

    /// Method of a request, or of the request that a response answers.
    pub fn method(&self) -> &str {
        match self.is_request() {
            true => self.start.split(' ').next().unwrap_or(""),
            false => self.cseq().1,
        }
    }

    /// Request-URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    pub fn cseq(&self) -> (u32, &str) {
        let (number, method) = self.header("CSeq").and_then(|c| c.split_once(' ')).unwrap_or(("0", ""));
        (number.parse().unwrap_or(0), method)
    }

    pub fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or("")
    }

    /// Tag of `From` or `To`.
    pub fn tag(&self, name: &str) -> Option<&str> {
        parameter(self.header(name)?, "tag")
    }

    pub fn branch(&self) -> &str {
        self.header("Via").and_then(|v| parameter(v, "branch")).unwrap_or("")
    }

    /// URI of the Contact.
    pub fn contact(&self) -> Option<&str> {
        self.header("Contact").map(uri_of)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    pub fn parse(bytes: &[u8]) -> Result<Message, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_string())?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or("no empty line after the headers")?;
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or("").to_string();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in {line:?}"))?;
            Ok((name.trim_end().to_string(), value.trim().to_string()))
        });
        Ok(Message { start, headers: headers.collect::<Result<_, String>>()?, body: body.to_string() })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\r\n", self.start)?;
        for (name, value) in self.headers.iter().filter(|(n, _)| n != "Content-Length") {
            write!(f, "{name}: {value}\r\n")?;
        }
        write!(f, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}

/// `sip:a@b` of `"A" <sip:a@b>;tag=x`.
pub fn uri_of(address: &str) -> &str {
    let open = address.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    open.map_or_else(|| address.split(';').next().unwrap_or(""), |(uri, _)| uri)
}

/// User part of a SIP URI.
pub fn user_of(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user)
}

/// A parameter behind the last `>`, or of a value without one.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let after = value.rsplit_once('>').map_or(value, |(_, after)| after);
    after.split(';').skip(1).find_map(|p| {
        let (n, v) = p.trim().split_once('=')?;
        n.eq_ignore_ascii_case(name).then_some(v)
    })
}

/// A parameter of a comma-separated list as in `Digest a="x", b=y`.
pub fn list_parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let list = value.split_once(' ').map_or(value, |(_, list)| list);
    list.split(',').find_map(|p| {
        let (n, v) = p.trim().split_once('=')?;
        n.eq_ignore_ascii_case(name).then(|| v.trim_matches('"'))
    })
}

/// Where the first stream of a session description wants its media, and its direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp {
    pub media: Option<SocketAddr>,
    pub direction: String,
    pub formats: String,
    pub kind: String,
}

impl Sdp {
    pub fn parse(body: &str) -> Option<Sdp> {
        let mut host: Option<IpAddr> = None;
        let mut sdp =
            Sdp { media: None, direction: "sendrecv".into(), formats: String::new(), kind: String::new() };
        let mut port: Option<u16> = None;
        for line in body.lines() {
            match line.split_once('=')? {
                ("c", c) => host = c.split(' ').nth(2).and_then(|h| h.parse().ok()).or(host),
                ("m", m) if port.is_none() => {
                    let mut words = m.splitn(4, ' ');
                    sdp.kind = words.next()?.to_string();
                    port = words.next()?.parse().ok();
                    sdp.formats = words.nth(1).unwrap_or("").to_string();
                }
                ("m", _) => break,
                ("a", "sendrecv" | "sendonly" | "recvonly" | "inactive") => {
                    sdp.direction = line.get(2..).unwrap_or("").to_string();
                }
                _ => {}
            }
        }
        let port = port?;
        sdp.media = host.filter(|_| port != 0).map(|ip| SocketAddr::new(ip, port));
        Some(sdp)
    }
}

/// An audio description as a plain user agent writes it.
pub fn audio(media: SocketAddr, direction: &str, formats: &str, version: u32) -> String {
    let ip = media.ip();
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    let mut maps = String::new();
    for format in formats.split(' ') {
        let name = match format {
            "0" => "PCMU/8000",
            "8" => "PCMA/8000",
            "18" => "G729/8000",
            "101" => "telephone-event/8000",
            _ => continue,
        };
        maps.push_str(&format!("a=rtpmap:{format} {name}\r\n"));
    }
    format!(
        "v=0\r\no=peer {} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {} RTP/AVP {formats}\r\n{maps}a=ptime:20\r\na={direction}\r\n",
        media.port(),
        media.port(),
    )
}

/// Everything that is wrong with a message which claims to be strict (RFC 3261 §8.1.1, §8.2.6, §20).
pub fn faults(message: &Message) -> Vec<String> {
    let mut found = Vec::new();
    let mut demand = |ok: bool, fault: &str| {
        if !ok {
            found.push(fault.to_string());
        }
    };
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        demand(message.header(name).is_some_and(|v| !v.is_empty()), &format!("no {name}"));
    }
    for name in ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Contact", "Content-Type"]
    {
        demand(message.all(name).count() <= 1, &format!("{name} more than once"));
    }
    let length: Option<usize> = message.header("Content-Length").and_then(|l| l.parse().ok());
    demand(length == Some(message.body.len()), "Content-Length is not the length of the body");
    demand(
        message.body.is_empty() || message.header("Content-Type").is_some(),
        "a body without Content-Type",
    );
    demand(message.branch().starts_with("z9hG4bK"), "a branch without the magic cookie");
    demand(message.tag("From").is_some(), "no tag in From");
    if message.is_request() {
        demand(message.cseq().1 == message.method(), "CSeq names another method");
        demand(message.header("Max-Forwards").is_some(), "no Max-Forwards");
        let targets = matches!(message.method(), "INVITE" | "UPDATE");
        demand(!targets || message.contact().is_some(), "no Contact");
    } else {
        demand(message.status() == 100 || message.tag("To").is_some(), "no tag in To");
        let dialog = message.method() == "INVITE" && (101..300).contains(&message.status());
        demand(!dialog || message.contact().is_some(), "no Contact in a response that makes a dialog");
    }
    if message.header("Content-Type") == Some("application/sdp") {
        found.extend(sdp_faults(&message.body));
    }
    found
}

/// RFC 8866 §9: lines in order, line ends, one `c=` in reach of each stream.
fn sdp_faults(body: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !body.ends_with("\r\n") || body.replace("\r\n", "").contains(['\r', '\n']) {
        found.push("SDP lines do not end in CR LF".into());
    }
    let kinds: String = body.lines().filter_map(|l| l.chars().next()).collect();
    if !kinds.starts_with("vos") || !kinds.contains('t') {
        found.push(format!("SDP lines in the order {kinds}"));
    }
    let session = kinds.split('m').next().unwrap_or("");
    let every_stream_has_one = kinds.split('m').skip(1).all(|stream| stream.contains('c'));
    if !session.contains('c') && !every_stream_has_one {
        found.push("SDP without c=".into());
    }
    found
}

/// Standard reason phrases, for reading ladders.
pub fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        183 => "Session Progress",
        200 => "OK",
        302 => "Moved Temporarily",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Message {
        let media = "10.0.0.1:4000".parse().unwrap();
        Message::request("INVITE", "sip:880@10.0.0.9")
            .with("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKx;rport")
            .with("Max-Forwards", "70")
            .with("From", "\"A\" <sip:100@10.0.0.1>;tag=f1")
            .with("To", "<sip:880@10.0.0.9>")
            .with("Call-ID", "c1")
            .with("CSeq", "7 INVITE")
            .with("Contact", "<sip:100@10.0.0.1:5060>")
            .with_body(Some(audio(media, "sendonly", "8 101", 1)))
    }

    #[test]
    fn reads_what_it_writes() {
        let written = invite();
        let read = Message::parse(&written.to_bytes()).unwrap();
        assert_eq!((read.method(), read.status(), read.cseq()), ("INVITE", 0, (7, "INVITE")));
        assert_eq!((read.tag("From"), read.tag("To"), read.branch()), (Some("f1"), None, "z9hG4bKx"));
        assert_eq!((read.contact(), user_of(read.uri())), (Some("sip:100@10.0.0.1:5060"), "880"));
        assert_eq!(read.body, written.body);
        let sdp = Sdp::parse(&read.body).unwrap();
        assert_eq!((sdp.media, sdp.direction.as_str()), ("10.0.0.1:4000".parse().ok(), "sendonly"));
        assert_eq!((sdp.formats.as_str(), sdp.kind.as_str()), ("8 101", "audio"));
        assert!(faults(&read).is_empty(), "{:?}", faults(&read));
    }

    /// Taking away or bending one header must be seen.
    #[test]
    fn faults_are_named() {
        let whole = Message::parse(&invite().to_bytes()).unwrap();
        for (name, _) in whole.headers.clone() {
            let mut cut = whole.clone();
            cut.headers.retain(|(n, _)| *n != name);
            assert!(!faults(&cut).is_empty(), "without {name}");
        }
        for (from, to) in [
            ("7 INVITE", "7 ACK"),
            ("z9hG4bK", "x"),
            ("c=IN IP4 10.0.0.1\r\n", ""),
            ("Contact: <sip:100@10.0.0.1:5060>", "Contact: <sip:a@b>\r\nContact: <sip:a@b>"),
        ] {
            let bent = whole.to_string().replace("Content-Length: ", "X-Length: ").replace(from, to);
            let bent = Message::parse(bent.as_bytes()).unwrap();
            let length = bent.body.len().to_string();
            assert!(!faults(&bent.with("Content-Length", length)).is_empty(), "{from} → {to}");
        }
        assert!(Message::parse(b"INVITE x SIP/2.0\r\n").is_err());
    }
}
