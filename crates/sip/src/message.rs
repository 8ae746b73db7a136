//! SIP messages: read leniently into one table over one buffer, written strictly.
//!
//! [`Message::parse`] only finds out where things are. It keeps every header in order, known or not, and
//! remembers the first thing that is wrong ([`Problem`]), because a broken request can often still be answered.
//! What a header means is asked later ([`crate::header`]), and only of the headers that matter.

use crate::header::{self, CSeq, NameAddr, Via};
use crate::uri::Uri;
use memchr::{memchr, memchr_iter, memchr2};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// Longest start line and headers together.
pub const MAX_HEAD: usize = 65_535;
/// Longest body.
pub const MAX_BODY: usize = 65_536;
/// Most header lines.
pub const MAX_HEADERS: usize = 512;

/// Longest From, To and Call-ID: they are kept as long as the dialog and stand in all its messages (`R-32`).
const MAX_IDENTITY: usize = 4096;

/// Most proxies that want to stay in the path of a dialog.
const MAX_ROUTES: usize = 64;

/// RFC 3261 §8.1.1.7: marks a branch as unique over the world.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Message,
    Subscribe,
    Notify,
    Refer,
    Publish,
    Other,
}

const METHODS: &[(&str, Method)] = &[
    ("INVITE", Method::Invite),
    ("ACK", Method::Ack),
    ("BYE", Method::Bye),
    ("CANCEL", Method::Cancel),
    ("OPTIONS", Method::Options),
    ("REGISTER", Method::Register),
    ("PRACK", Method::Prack),
    ("UPDATE", Method::Update),
    ("INFO", Method::Info),
    ("MESSAGE", Method::Message),
    ("SUBSCRIBE", Method::Subscribe),
    ("NOTIFY", Method::Notify),
    ("REFER", Method::Refer),
    ("PUBLISH", Method::Publish),
];

impl Method {
    /// Methods are case-sensitive (RFC 3261 §7.1).
    pub fn from_name(name: &str) -> Method {
        METHODS.iter().find(|(n, _)| *n == name).map_or(Method::Other, |(_, m)| *m)
    }

    /// The name; empty for [`Method::Other`], whose name is only in its message.
    pub fn name(self) -> &'static str {
        METHODS.iter().find(|(_, m)| *m == self).map_or("", |(n, _)| n)
    }
}

macro_rules! header_names {
    ($($variant:ident $name:literal $($compact:literal)?;)*) => {
        /// Headers that the engine reads or writes; every other name is `Other`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum HeaderName { $($variant,)* Other }

        const HEADER_NAMES: &[(&str, &str, HeaderName)] =
            &[$(($name, concat!($($compact)?), HeaderName::$variant),)*];
    };
}

header_names! {
    Via "Via" "v";
    From "From" "f";
    To "To" "t";
    CallId "Call-ID" "i";
    CSeq "CSeq";
    Contact "Contact" "m";
    MaxForwards "Max-Forwards";
    ContentLength "Content-Length" "l";
    ContentType "Content-Type" "c";
    ContentEncoding "Content-Encoding" "e";
    ContentDisposition "Content-Disposition";
    Route "Route";
    RecordRoute "Record-Route";
    Require "Require";
    ProxyRequire "Proxy-Require";
    Supported "Supported" "k";
    Unsupported "Unsupported";
    Allow "Allow";
    AllowEvents "Allow-Events" "u";
    Accept "Accept";
    AcceptEncoding "Accept-Encoding";
    AcceptLanguage "Accept-Language";
    UserAgent "User-Agent";
    Server "Server";
    Authorization "Authorization";
    ProxyAuthorization "Proxy-Authorization";
    WwwAuthenticate "WWW-Authenticate";
    ProxyAuthenticate "Proxy-Authenticate";
    AuthenticationInfo "Authentication-Info";
    RSeq "RSeq";
    RAck "RAck";
    Reason "Reason";
    RetryAfter "Retry-After";
    Warning "Warning";
    Expires "Expires";
    Date "Date";
    Timestamp "Timestamp";
    MimeVersion "MIME-Version";
    SessionExpires "Session-Expires" "x";
    MinSe "Min-SE";
    Privacy "Privacy";
    AssertedIdentity "P-Asserted-Identity";
    PreferredIdentity "P-Preferred-Identity";
    RemotePartyId "Remote-Party-ID";
}

/// Places for names, long and compact: a header is looked up for every line of every message.
const PLACES: usize = 256;
const NO_ROW: u8 = u8::MAX;

/// Rows of the table of names by [`place_of`], moved on to the next free place where two meet.
static ROWS: [u8; PLACES] = {
    let mut rows = [NO_ROW; PLACES];
    let mut row = 0;
    while row < HEADER_NAMES.len() {
        let (long, compact, _) = HEADER_NAMES[row];
        put(&mut rows, long.as_bytes(), row);
        if !compact.is_empty() {
            put(&mut rows, compact.as_bytes(), row);
        }
        row += 1;
    }
    rows
};

const fn put(rows: &mut [u8; PLACES], name: &[u8], row: usize) {
    let mut place = place_of(name[0], name[name.len() - 1], name.len());
    while rows[place] != NO_ROW {
        place = (place + 1) % PLACES;
    }
    assert!(row < NO_ROW as usize);
    #[allow(clippy::cast_possible_truncation)] // Checked on the line above.
    let row = row as u8;
    rows[place] = row;
}

/// The weights keep all names of the table apart; a new one may share a place with another.
const fn place_of(first: u8, last: u8, length: usize) -> usize {
    (length + (first | 0x20) as usize * 20 + (last | 0x20) as usize * 26) % PLACES
}

impl HeaderName {
    pub fn from_name(name: &str) -> HeaderName {
        Self::from_bytes(name.as_bytes())
    }

    fn from_bytes(name: &[u8]) -> HeaderName {
        let (Some(first), Some(last)) = (name.first(), name.last()) else { return HeaderName::Other };
        let mut place = place_of(*first, *last, name.len());
        while let Some((long, compact, id)) = HEADER_NAMES.get(usize::from(ROWS[place])) {
            let known = if name.len() == 1 { compact } else { long }.as_bytes();
            // Nearly everybody writes names as the RFC does.
            if known == name || known.eq_ignore_ascii_case(name) {
                return *id;
            }
            place = (place + 1) % PLACES;
        }
        HeaderName::Other
    }
}

/// One header line; offsets into the head.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: HeaderName,
    name_start: u16,
    name_length: u16,
    value_start: u16,
    value_length: u16,
}

/// Why there is no message at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Neither a request line nor a status line.
    StartLine,
    TooLarge,
    TooManyHeaders,
    /// A status outside 100..=699, or not three digits.
    Status,
}

/// The first thing that is wrong with a message that could be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// SIP, but not 2.0.
    Version,
    RequestLine,
    RequestUri,
    HeaderLine,
    ContentLength,
    ShortBody,
    Missing(&'static str),
    Repeated(&'static str),
    Bad(&'static str),
    CSeqMethod,
}

impl Problem {
    /// The status that says so.
    pub fn status(self) -> u16 {
        if self == Problem::Version { 505 } else { 400 }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Version => write!(f, "Version Not Supported"),
            Problem::RequestLine => write!(f, "Bad Request Line"),
            Problem::RequestUri => write!(f, "Bad Request-URI"),
            Problem::HeaderLine => write!(f, "Header Line Without Colon"),
            Problem::ContentLength => write!(f, "Bad Content-Length"),
            Problem::ShortBody => write!(f, "Body Shorter Than Content-Length"),
            Problem::Missing(name) => write!(f, "Missing {name}"),
            Problem::Repeated(name) => write!(f, "Repeated {name}"),
            Problem::Bad(name) => write!(f, "Bad {name}"),
            Problem::CSeqMethod => write!(f, "CSeq Method Does Not Match"),
        }
    }
}

/// Offsets into the head.
#[derive(Clone, Copy, Debug)]
enum Start {
    Request { method: Method, method_end: u16, uri_start: u16, uri_end: u16 },
    Response { status: u16, phrase_start: u16, phrase_end: u16 },
}

/// A message, read. Offsets are kept, text is not copied unless it had to be mended.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    head: Cow<'a, str>,
    start: Start,
    fields: Fields,
    body: Cow<'a, [u8]>,
    problem: Option<Problem>,
    parts: Parts,
}

type Fields = SmallVec<[Field; 32]>;

/// What nearly every step asks of a message, taken apart once; `None` where it is missing or makes no sense.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    cseq: Option<(u32, Span)>,
    from: Option<Address>,
    to: Option<Address>,
    via: Option<Hop>,
}

/// A piece of the head.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    length: u16,
}

impl Span {
    /// `part` must be cut out of `head`.
    fn of(part: &str, head: &str) -> Span {
        let offset = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
        // Heads are no longer than MAX_HEAD.
        let start = u16::try_from(offset).unwrap_or(0);
        Span { start, length: u16::try_from(part.len()).unwrap_or(0) }
    }

    fn text(self, head: &str) -> &str {
        let start = usize::from(self.start);
        head.get(start..start + usize::from(self.length)).unwrap_or_default()
    }
}

/// A [`NameAddr`] as pieces of the head.
#[derive(Clone, Copy, Debug)]
struct Address {
    display: Span,
    uri: Span,
    params: Span,
    tag: Option<Span>,
}

impl Address {
    fn of(text: &str, head: &str) -> Option<Address> {
        let read = NameAddr::parse(text)?;
        let span = |part: &str| Span::of(part, head);
        let (display, uri, params) = (span(read.display), span(read.uri), span(read.params));
        Some(Address { display, uri, params, tag: read.tag().map(span) })
    }

    fn text(self, head: &str) -> NameAddr<'_> {
        NameAddr {
            display: self.display.text(head),
            uri: self.uri.text(head),
            params: self.params.text(head),
            tag: self.tag.map(|t| t.text(head)),
        }
    }
}

/// A [`Via`] as pieces of the head.
#[derive(Clone, Copy, Debug)]
struct Hop {
    transport: Span,
    host: Span,
    port: Option<u16>,
    before_params: Span,
    params: Span,
    branch: Option<Span>,
    rport: bool,
}

impl Hop {
    fn of(text: &str, head: &str) -> Option<Hop> {
        let read = Via::parse(header::split_list(text).next()?)?;
        let span = |part: &str| Span::of(part, head);
        Some(Hop {
            transport: span(read.transport),
            host: span(read.host),
            port: read.port,
            before_params: span(read.before_params),
            params: span(read.params),
            branch: read.branch().map(span),
            rport: read.rport,
        })
    }

    fn text(self, head: &str) -> Via<'_> {
        Via {
            transport: self.transport.text(head),
            host: self.host.text(head),
            port: self.port,
            before_params: self.before_params.text(head),
            params: self.params.text(head),
            branch: self.branch.map(|b| b.text(head)),
            rport: self.rport,
        }
    }
}

impl<'a> Message<'a> {
    /// Reads one message: a datagram, or what [`crate::framing`] cut out of a stream.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let skipped = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let bytes = bytes.get(skipped..).unwrap_or_default();
        let scan = Scan::of(bytes)?;
        let (raw, rest) = bytes.split_at_checked(scan.head_length).unwrap_or((bytes, &[]));
        let head = match scan.unclean {
            true => String::from_utf8(unfold(raw, &scan.fields)).ok().map(Cow::Owned),
            false => std::str::from_utf8(raw).ok().map(Cow::Borrowed),
        };
        let Some(head) = head else { return Self::parse_lossy(raw, rest) };
        let body = Cow::Borrowed(&[][..]);
        let Scan { start, fields, problem, .. } = scan;
        let mut message = Message { head, start, fields, body, problem, parts: Parts::default() };
        message.take_body(rest)?;
        message.parts = message.take_apart();
        Ok(message)
    }

    /// Old equipment sends Latin-1 display names. What is not UTF-8 becomes U+FFFD and is never relayed.
    fn parse_lossy(head: &[u8], body: &[u8]) -> Result<Message<'a>, ParseError> {
        let mut clean = String::from_utf8_lossy(head).into_owned().into_bytes();
        if clean.len() > MAX_HEAD {
            return Err(ParseError::TooLarge);
        }
        clean.extend_from_slice(body);
        Message::parse(&clean).map(Message::into_owned)
    }

    /// The same message without the bytes it was read from.
    pub fn into_owned(self) -> Message<'static> {
        Message {
            head: Cow::Owned(self.head.into_owned()),
            body: Cow::Owned(self.body.into_owned()),
            start: self.start,
            fields: self.fields,
            problem: self.problem,
            parts: self.parts,
        }
    }

    fn take_body(&mut self, rest: &'a [u8]) -> Result<(), ParseError> {
        let length = match header::content_length(self) {
            Ok(Some(n)) => n,
            // RFC 3261 §18.3: over datagrams the body goes to the end of the packet.
            Ok(None) => rest.len(),
            Err(problem) => {
                self.problem.get_or_insert(problem);
                return Ok(());
            }
        };
        match rest.get(..length) {
            Some(body) if body.len() <= MAX_BODY => self.body = Cow::Borrowed(body),
            Some(_) => return Err(ParseError::TooLarge),
            None => {
                self.problem.get_or_insert(Problem::ShortBody);
            }
        }
        Ok(())
    }

    fn take_apart(&self) -> Parts {
        let head = &*self.head;
        let value = |name| self.get(name);
        let cseq = value(HeaderName::CSeq).and_then(CSeq::parse);
        Parts {
            cseq: cseq.map(|c| (c.number, Span::of(c.method, head))),
            from: value(HeaderName::From).and_then(|text| Address::of(text, head)),
            to: value(HeaderName::To).and_then(|text| Address::of(text, head)),
            via: value(HeaderName::Via).and_then(|text| Hop::of(text, head)),
        }
    }

    fn text(&self, start: u16, end: u16) -> &str {
        self.head.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }

    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The method of a request; of a response the one its CSeq names.
    pub fn method(&self) -> Method {
        match self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => self.cseq().map_or(Method::Other, |c| Method::from_name(c.method)),
        }
    }

    /// The method of a request as written; empty for a response.
    pub fn method_name(&self) -> &str {
        match self.start {
            Start::Request { method_end, .. } => self.text(0, method_end),
            Start::Response { .. } => "",
        }
    }

    /// The Request-URI as written; empty for a response.
    pub fn request_uri(&self) -> &str {
        match self.start {
            Start::Request { uri_start, uri_end, .. } => self.text(uri_start, uri_end),
            Start::Response { .. } => "",
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    pub fn phrase(&self) -> &str {
        match self.start {
            Start::Request { .. } => "",
            Start::Response { phrase_start, phrase_end, .. } => self.text(phrase_start, phrase_end),
        }
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Trimmed again: a value that begins on a folded line begins with what was its line end.
    fn value_of(&self, field: &Field) -> &str {
        self.text(field.value_start, field.value_start.saturating_add(field.value_length)).trim_ascii()
    }

    fn name_of(&self, field: &Field) -> &str {
        self.text(field.name_start, field.name_start.saturating_add(field.name_length))
    }

    /// First value of a header the engine knows.
    pub fn get(&self, name: HeaderName) -> Option<&str> {
        self.fields.iter().find(|f| f.name == name).map(|f| self.value_of(f))
    }

    /// All lines of a header the engine knows.
    pub fn all(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |f| f.name == name).map(|f| self.value_of(f))
    }

    fn is_named(&self, field: &Field, id: HeaderName, name: &str) -> bool {
        match id {
            HeaderName::Other => field.name == id && self.name_of(field).eq_ignore_ascii_case(name),
            known => field.name == known,
        }
    }

    /// First value of any header, by long name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let id = HeaderName::from_name(name);
        self.fields.iter().find(|f| self.is_named(f, id, name)).map(|f| self.value_of(f))
    }

    /// All lines of any header, by long name (compact ones are found too).
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let id = HeaderName::from_name(name);
        self.fields.iter().filter(|f| self.is_named(f, id, name)).map(|f| self.value_of(f)).collect()
    }

    /// Every header line in order: what it is, its name as written, its value.
    pub fn fields(&self) -> impl Iterator<Item = (HeaderName, &str, &str)> {
        self.fields.iter().map(|f| (f.name, self.name_of(f), self.value_of(f)))
    }

    /// Values of a list header over all its lines.
    pub fn list(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.all(name).flat_map(header::split_list).filter(|v| !v.is_empty())
    }

    /// Does a header of tokens (Supported, Require, Allow) hold this one?
    pub fn lists_token(&self, name: HeaderName, token: &str) -> bool {
        self.list(name).any(|t| t.eq_ignore_ascii_case(token))
    }

    pub fn cseq(&self) -> Option<CSeq<'_>> {
        self.parts.cseq.map(|(number, method)| CSeq { number, method: method.text(&self.head) })
    }

    pub fn top_via(&self) -> Option<Via<'_>> {
        self.parts.via.map(|via| via.text(&self.head))
    }

    pub fn from(&self) -> Option<NameAddr<'_>> {
        self.parts.from.map(|from| from.text(&self.head))
    }

    pub fn to(&self) -> Option<NameAddr<'_>> {
        self.parts.to.map(|to| to.text(&self.head))
    }

    pub fn call_id(&self) -> Option<&str> {
        self.get(HeaderName::CallId)
    }

    /// Is everything there that a message needs, once, and readable?
    pub fn check(&self) -> Result<(), Problem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.check_counts()?;
        self.check_values()?;
        if let Start::Request { method, .. } = self.start {
            self.check_request(method)?;
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), Problem> {
        const SINGLE: [(HeaderName, &str, bool); 8] = [
            (HeaderName::From, "From", true),
            (HeaderName::To, "To", true),
            (HeaderName::CallId, "Call-ID", true),
            (HeaderName::CSeq, "CSeq", true),
            (HeaderName::MaxForwards, "Max-Forwards", false),
            (HeaderName::ContentType, "Content-Type", false),
            (HeaderName::RSeq, "RSeq", false),
            (HeaderName::RAck, "RAck", false),
        ];
        let mut counts = [0u16; SINGLE.len()];
        let mut vias = false;
        for field in &self.fields {
            vias |= field.name == HeaderName::Via;
            let place = SINGLE.iter().position(|(n, _, _)| *n == field.name);
            if let Some(count) = place.and_then(|p| counts.get_mut(p)) {
                *count += 1;
            }
        }
        for ((_, name, required), count) in SINGLE.iter().zip(counts) {
            match count {
                0 if *required => return Err(Problem::Missing(name)),
                0 | 1 => {}
                _ => return Err(Problem::Repeated(name)),
            }
        }
        if vias { Ok(()) } else { Err(Problem::Missing("Via")) }
    }

    fn check_values(&self) -> Result<(), Problem> {
        let Parts { cseq, from, to, via } = self.parts;
        cseq.ok_or(Problem::Bad("CSeq"))?;
        from.ok_or(Problem::Bad("From"))?;
        to.ok_or(Problem::Bad("To"))?;
        if self.call_id().is_none_or(str::is_empty) {
            return Err(Problem::Bad("Call-ID"));
        }
        if let Some((_, name)) = self.oversized_identity() {
            return Err(Problem::Bad(name));
        }
        if self.list(HeaderName::RecordRoute).nth(MAX_ROUTES).is_some() {
            return Err(Problem::Bad("Record-Route"));
        }
        via.ok_or(Problem::Bad("Via"))?;
        // The first value of the first line was read above.
        let mut others = header::split_list(self.get(HeaderName::Via).unwrap_or_default()).skip(1);
        others.try_for_each(|v| Via::parse(v).map(|_| ())).ok_or(Problem::Bad("Via"))
    }

    fn oversized_identity(&self) -> Option<(HeaderName, &'static str)> {
        let all = [(HeaderName::From, "From"), (HeaderName::To, "To"), (HeaderName::CallId, "Call-ID")];
        all.into_iter().find(|(id, _)| self.get(*id).is_some_and(|value| value.len() > MAX_IDENTITY))
    }

    /// Can a response be written at all? It repeats these headers.
    pub(crate) fn is_answerable(&self) -> bool {
        self.get(HeaderName::Via).is_some() && self.oversized_identity().is_none()
    }

    fn check_request(&self, method: Method) -> Result<(), Problem> {
        if let Some(text) = self.get(HeaderName::MaxForwards) {
            header::number(text).filter(|n| *n <= 255).ok_or(Problem::Bad("Max-Forwards"))?;
        }
        let named = self.cseq().map(|c| c.method).unwrap_or_default();
        let same = if method == Method::Other { named == self.method_name() } else { named == method.name() };
        if !same {
            return Err(Problem::CSeqMethod);
        }
        match Uri::parse(self.request_uri()) {
            // RFC 3261 §19.1.1: no headers in a Request-URI; a smuggled Route must not be followed.
            Some(uri) if uri.headers.is_none() => Ok(()),
            _ => Err(Problem::RequestUri),
        }
    }
}

/// The result of the single pass over the head.
struct Scan {
    start: Start,
    fields: Fields,
    /// Start of the body.
    head_length: usize,
    /// There are folded lines or stray control characters.
    unclean: bool,
    problem: Option<Problem>,
}

impl Scan {
    fn of(bytes: &[u8]) -> Result<Scan, ParseError> {
        let (first, mut at) = line(bytes, 0).ok_or(ParseError::StartLine)?;
        if at > MAX_HEAD {
            return Err(ParseError::TooLarge);
        }
        let (start, problem) = start_line(first)?;
        let mut scan = Scan { start, fields: Fields::new(), head_length: at, unclean: false, problem };
        while let Some((text, next)) = line(bytes, at) {
            if next > MAX_HEAD {
                return Err(ParseError::TooLarge);
            }
            scan.head_length = next;
            if text.is_empty() {
                break;
            }
            scan.take_line(text, at)?;
            at = next;
        }
        let head = bytes.get(..scan.head_length).unwrap_or_default();
        scan.unclean |= has_stray_return(head);
        Ok(scan)
    }

    fn take_line(&mut self, text: &[u8], at: usize) -> Result<(), ParseError> {
        if matches!(text.first(), Some(b' ' | b'\t')) {
            return self.continue_line(text, at);
        }
        if self.fields.len() >= MAX_HEADERS {
            return Err(ParseError::TooManyHeaders);
        }
        match field(text, at) {
            Some(field) => self.fields.push(field),
            None => {
                self.problem.get_or_insert(Problem::HeaderLine);
            }
        }
        Ok(())
    }

    /// RFC 3261 §7.3.1: a line that starts with a blank goes on with the one before.
    fn continue_line(&mut self, text: &[u8], at: usize) -> Result<(), ParseError> {
        self.unclean = true;
        let end = at + text.trim_ascii_end().len();
        match self.fields.last_mut() {
            Some(field) => {
                let length = end.saturating_sub(usize::from(field.value_start));
                field.value_length = u16::try_from(length).map_err(|_| ParseError::TooLarge)?;
            }
            None => {
                self.problem.get_or_insert(Problem::HeaderLine);
            }
        }
        Ok(())
    }
}

/// Is there a carriage return that ends no line?
fn has_stray_return(head: &[u8]) -> bool {
    memchr_iter(b'\r', head).any(|at| !matches!(head.get(at + 1), Some(b'\n')))
}

/// The line at an offset without its end (CRLF, or the bare LF of old software), and where the next one starts.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..).filter(|r| !r.is_empty())?;
    let (text, length) = match memchr(b'\n', rest) {
        Some(end) => (rest.get(..end)?, end + 1),
        None => (rest, rest.len()),
    };
    Some((text.strip_suffix(b"\r").unwrap_or(text), at + length))
}

fn field(text: &[u8], at: usize) -> Option<Field> {
    let colon = text.iter().position(|b| *b == b':')?;
    let name = text.get(..colon)?.trim_ascii_end();
    let rest = text.get(colon + 1..)?.trim_ascii_end();
    let value = rest.trim_ascii_start();
    let lead = rest.len() - value.len();
    if name.is_empty() || name.iter().any(|b| b.is_ascii_whitespace()) {
        return None;
    }
    Some(Field {
        name: HeaderName::from_bytes(name),
        name_start: u16::try_from(at).ok()?,
        name_length: u16::try_from(name.len()).ok()?,
        value_start: u16::try_from(at + colon + 1 + lead).ok()?,
        value_length: u16::try_from(value.len()).ok()?,
    })
}

fn start_line(text: &[u8]) -> Result<(Start, Option<Problem>), ParseError> {
    if text.get(..4).is_some_and(|v| v.eq_ignore_ascii_case(b"SIP/")) {
        return status_line(text).map(|start| (start, None));
    }
    request_line(text)
}

fn status_line(text: &[u8]) -> Result<Start, ParseError> {
    let rest = text.get(7..).filter(|_| text.get(..7).is_some_and(|v| v.eq_ignore_ascii_case(b"SIP/2.0")));
    let rest = rest.ok_or(ParseError::StartLine)?;
    let rest = rest.strip_prefix(b" ").ok_or(ParseError::StartLine)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let status =
        std::str::from_utf8(rest.get(..digits).unwrap_or_default()).ok().and_then(|d| d.parse().ok());
    let status = status.filter(|s| digits == 3 && (100..700).contains(s)).ok_or(ParseError::Status)?;
    let after = rest.get(3..).unwrap_or_default();
    if !after.is_empty() && after.first() != Some(&b' ') {
        return Err(ParseError::Status);
    }
    let offset = |n: usize| u16::try_from(n).map_err(|_| ParseError::TooLarge);
    let phrase_start = offset((text.len() - after.trim_ascii_start().len()).min(text.len()))?;
    let phrase_end = offset(text.trim_ascii_end().len())?.max(phrase_start);
    Ok(Start::Response { status, phrase_start, phrase_end })
}

/// `METHOD uri SIP/2.0`. More blanks than one between the parts are read (`lwsstart` of RFC 4475), blanks
/// inside the URI are not.
fn request_line(text: &[u8]) -> Result<(Start, Option<Problem>), ParseError> {
    let method_end = memchr(b' ', text).ok_or(ParseError::StartLine)?;
    let trimmed = text.trim_ascii_end();
    let version_start = memchr::memrchr(b' ', trimmed).ok_or(ParseError::StartLine)? + 1;
    let version = trimmed.get(version_start..).unwrap_or_default();
    let version_ok = version.eq_ignore_ascii_case(b"SIP/2.0");
    let name = text.get(..method_end).unwrap_or_default();
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(b);
    if name.is_empty()
        || !name.iter().all(is_token)
        || !version.get(..4).is_some_and(|v| v.eq_ignore_ascii_case(b"SIP/"))
    {
        return Err(ParseError::StartLine);
    }
    let between = text.get(method_end..version_start).unwrap_or_default();
    let uri_start = method_end + between.len() - between.trim_ascii_start().len();
    let uri = between.trim_ascii();
    let problem = match () {
        () if !version_ok => Some(Problem::Version),
        () if uri.is_empty() || uri.iter().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) => {
            Some(Problem::RequestLine)
        }
        () => None,
    };
    let offset = |n: usize| u16::try_from(n).map_err(|_| ParseError::TooLarge);
    let method = Method::from_name(std::str::from_utf8(name).unwrap_or_default());
    let start = Start::Request {
        method,
        method_end: offset(method_end)?,
        uri_start: offset(uri_start)?,
        uri_end: offset(uri_start + uri.len())?,
    };
    Ok((start, problem))
}

/// A copy of the head in which line ends inside values are blanks: the values read as one line, nothing moves,
/// and a lone CR cannot travel on to a peer that takes it for a line end.
fn unfold(raw: &[u8], fields: &[Field]) -> Vec<u8> {
    let mut head = raw.to_vec();
    for field in fields {
        let start = usize::from(field.value_start);
        let range = start..start + usize::from(field.value_length);
        let value = head.get_mut(range).unwrap_or_default();
        value.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
    }
    head
}

/// Writes a message from top to bottom into one buffer. Values are cleaned of line ends, so nothing that comes
/// from outside can add a header.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    pub fn request(method: &str, uri: &str) -> Builder {
        let mut b = Builder { bytes: Vec::with_capacity(1024) };
        b.text(method).raw(" ").text(uri).raw(" SIP/2.0\r\n");
        b
    }

    pub fn response(status: u16, phrase: &str) -> Builder {
        let mut b = Builder { bytes: Vec::with_capacity(1024) };
        b.raw("SIP/2.0 ").number(u64::from(status)).raw(" ").text(phrase).raw("\r\n");
        b
    }

    /// Lines for other messages.
    pub(crate) fn part() -> Builder {
        Builder { bytes: Vec::with_capacity(512) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One header line.
    pub fn header(&mut self, name: &str, value: &str) -> &mut Builder {
        self.raw(name).raw(": ").text(value).raw("\r\n")
    }

    pub fn number_header(&mut self, name: &str, value: u64) -> &mut Builder {
        self.raw(name).raw(": ").number(value).raw("\r\n")
    }

    /// Text as it is: constants, and lines that were cleaned before.
    pub fn raw(&mut self, text: &str) -> &mut Builder {
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// Text from outside: line ends become blanks.
    pub fn text(&mut self, text: &str) -> &mut Builder {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text.as_bytes());
        if memchr2(b'\r', b'\n', text.as_bytes()).is_some() {
            let written = self.bytes.get_mut(start..).unwrap_or_default();
            written.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
        }
        self
    }

    /// Lines of another builder.
    pub(crate) fn append(&mut self, lines: &Builder) -> &mut Builder {
        self.bytes.extend_from_slice(&lines.bytes);
        self
    }

    /// Inside a quoted string.
    pub fn quoted(&mut self, text: &str) -> &mut Builder {
        self.raw("\"");
        for c in text.chars() {
            if c == '"' || c == '\\' {
                self.raw("\\");
            }
            if !c.is_control() {
                self.raw(c.encode_utf8(&mut [0; 4]));
            }
        }
        self.raw("\"")
    }

    pub fn number(&mut self, n: u64) -> &mut Builder {
        let mut buffer = itoa::Buffer::new();
        self.raw(buffer.format(n))
    }

    pub fn hex(&mut self, n: u64) -> &mut Builder {
        self.bytes.extend_from_slice(&crate::hex_u64(n));
        self
    }

    /// Ends the message without a body.
    pub fn finish(mut self) -> Vec<u8> {
        self.raw("Content-Length: 0\r\n\r\n");
        self.bytes
    }

    /// Ends the message with a body.
    pub fn finish_with(mut self, content_type: &str, body: &[u8]) -> Vec<u8> {
        self.header("Content-Type", content_type)
            .number_header("Content-Length", body.len() as u64)
            .raw("\r\n");
        self.bytes.extend_from_slice(body);
        self.bytes
    }
}

impl Message<'_> {
    /// The message as we would send it: same headers in the same order, one line each, our Content-Length.
    pub fn print(&self) -> Vec<u8> {
        let mut b = match self.start {
            Start::Request { .. } => Builder::request(self.method_name(), self.request_uri()),
            Start::Response { status, .. } => Builder::response(status, self.phrase()),
        };
        for (id, name, value) in self.fields() {
            if id != HeaderName::ContentLength {
                b.header(name, value);
            }
        }
        b.number_header("Content-Length", self.body.len() as u64).raw("\r\n");
        b.bytes.extend_from_slice(&self.body);
        b.bytes
    }
}

/// What a packet looks like, from its first line and three headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peek<'a> {
    /// There is a request or status line.
    pub looks_like_sip: bool,
    pub is_response: bool,
    /// Of a request, as written.
    pub method: &'a str,
    /// There is a tag in To.
    pub in_dialog: bool,
    /// User part of From, as written.
    pub from_user: Option<&'a str>,
    pub user_agent: Option<&'a str>,
}

/// How far [`peek`] looks: a flood of long packets must stay as cheap as one of short ones.
const PEEK_BYTES: usize = 2048;

/// A cheap look before any parsing, for the guard.
pub fn peek(bytes: &[u8]) -> Peek<'_> {
    let start = bytes.iter().take(8).take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let bytes = bytes.get(start..).unwrap_or_default();
    let head = bytes.get(..PEEK_BYTES).unwrap_or(bytes);
    let mut peek = Peek::default();
    let Some((first, mut at)) = line(head, 0) else { return peek };
    match start_line(first) {
        Ok((Start::Request { method_end, .. }, _)) => {
            let method = first.get(..usize::from(method_end)).unwrap_or_default();
            peek.method = std::str::from_utf8(method).unwrap_or_default();
            peek.looks_like_sip = true;
        }
        Ok((Start::Response { .. }, _)) => return Peek { looks_like_sip: true, is_response: true, ..peek },
        Err(_) => return peek,
    }
    while let Some((text, next)) = line(head, at) {
        at = next;
        let Ok(text) = std::str::from_utf8(text) else { continue };
        match text.split_once(':') {
            _ if text.is_empty() => break,
            None => {}
            Some((name, value)) => peek_header(&mut peek, name.trim_end(), value),
        }
    }
    peek
}

fn peek_header<'a>(peek: &mut Peek<'a>, name: &str, value: &'a str) {
    match HeaderName::from_name(name) {
        HeaderName::To => peek.in_dialog = NameAddr::parse(value).is_some_and(|n| n.tag().is_some()),
        HeaderName::From => {
            peek.from_user = NameAddr::parse(value).and_then(|n| Uri::parse(n.uri)).and_then(|u| u.user);
        }
        HeaderName::UserAgent => peek.user_agent = Some(value.trim()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: x\r\n";

    fn request(line: &str, more: &str) -> Result<Result<(), Problem>, ParseError> {
        Message::parse(format!("{line}\r\n{HEAD}{more}").as_bytes()).map(|m| m.check())
    }

    #[test]
    fn what_is_wrong_is_found() {
        let options = "OPTIONS sip:a@h SIP/2.0";
        for (line, more, want) in [
            (options, "CSeq: 1 OPTIONS\r\n\r\n", Ok(Ok(()))),
            (options, "CSeq: 1 OPTIONS\r\n", Ok(Ok(()))),
            ("OPTIONS  sip:a@h  SIP/2.0 ", "CSeq: 1 OPTIONS\r\n\r\n", Ok(Ok(()))),
            (options, "cseq : 0009\r\n  OPTIONS\r\n\r\n", Ok(Ok(()))),
            (options, "\r\n", Ok(Err(Problem::Missing("CSeq")))),
            (options, "CSeq: 1 INVITE\r\n\r\n", Ok(Err(Problem::CSeqMethod))),
            (options, "CSeq: 1 OPTIONS\r\ni: y\r\n\r\n", Ok(Err(Problem::Repeated("Call-ID")))),
            (options, "CSeq: 1 OPTIONS\r\nnonsense\r\n\r\n", Ok(Err(Problem::HeaderLine))),
            (options, "CSeq: 1 OPTIONS\r\nl: 9\r\n\r\nabc", Ok(Err(Problem::ShortBody))),
            (options, "CSeq: 1 OPTIONS\r\nl: -9\r\n\r\nabc", Ok(Err(Problem::ContentLength))),
            (options, "CSeq: 1 OPTIONS\r\nMax-Forwards: 256\r\n\r\n", Ok(Err(Problem::Bad("Max-Forwards")))),
            ("OPTIONS sip:a@h SIP/3.0", "CSeq: 1 OPTIONS\r\n\r\n", Ok(Err(Problem::Version))),
            ("OPTIONS sip:a@h?x=y SIP/2.0", "CSeq: 1 OPTIONS\r\n\r\n", Ok(Err(Problem::RequestUri))),
            ("OPTIONS sip:a @h SIP/2.0", "CSeq: 1 OPTIONS\r\n\r\n", Ok(Err(Problem::RequestLine))),
            ("SIP/2.0 200", "CSeq: 1 OPTIONS\r\n\r\n", Ok(Ok(()))),
            ("SIP/2.0 099 x", "\r\n", Err(ParseError::Status)),
            ("SIP/2.0 4294967301 x", "\r\n", Err(ParseError::Status)),
            ("hello", "\r\n", Err(ParseError::StartLine)),
        ] {
            assert_eq!(request(line, more), want, "{line} {more}");
        }
    }

    #[test]
    fn folded_values_read_as_one_line() {
        let text =
            format!("OPTIONS sip:a@h SIP/2.0\r\n{HEAD}s: one\r\n two\r\n\tthree \r\nX-A: b\rc\r\n\r\n");
        let m = Message::parse(text.as_bytes()).unwrap();
        assert_eq!(m.header("s"), Some("one   two  \tthree"));
        assert_eq!(m.header("x-a"), Some("b c"));
        let mut latin: Vec<u8> = text.replace("one", "\u{1}").into_bytes();
        latin.iter_mut().filter(|b| **b == 1).for_each(|b| *b = 0xe9);
        let lossy = Message::parse(&latin).unwrap();
        assert_eq!(lossy.header("s"), Some("\u{fffd}   two  \tthree"));
    }

    #[test]
    fn limits_hold() {
        let many = format!("OPTIONS sip:a@h SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(Message::parse(many.as_bytes()).err(), Some(ParseError::TooManyHeaders));
        let long = format!("OPTIONS sip:a@h SIP/2.0\r\nX: {}\r\n\r\n", "y".repeat(MAX_HEAD));
        assert_eq!(Message::parse(long.as_bytes()).err(), Some(ParseError::TooLarge));
        let body = format!("OPTIONS sip:a@h SIP/2.0\r\n\r\n{}", "y".repeat(MAX_BODY + 1));
        assert_eq!(Message::parse(body.as_bytes()).err(), Some(ParseError::TooLarge));
    }

    #[test]
    fn a_glance_at_a_packet() {
        let text = format!("INVITE sip:a@h SIP/2.0\r\n{HEAD}User-Agent: friendly-scanner\r\n\r\n");
        let invite = Peek {
            looks_like_sip: true,
            method: "INVITE",
            from_user: Some("a"),
            user_agent: Some("friendly-scanner"),
            ..Peek::default()
        };
        assert_eq!(peek(text.as_bytes()), invite);
        let bye = text.replace("INVITE", "BYE").replace("To: <sip:b@h>", "t: <sip:b@h>;tag=2");
        assert!(peek(bye.as_bytes()).in_dialog && peek(bye.as_bytes()).method == "BYE");
        assert!(peek(b"SIP/2.0 200 OK\r\n\r\n").is_response);
        for garbage in [&b""[..], b"\r\n\r\n", b"HELLO", b"\0\0\0\0", b"\xff\xfe"] {
            assert_eq!(peek(garbage), Peek::default());
        }
    }
}
