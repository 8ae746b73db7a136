//! The customer and the vendor of the self-test: two UDP sockets each, and just as much SIP as one call takes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// 20 ms of speech each, both ways.
pub const PACKETS: u32 = 50;
/// The digit that is sent as a telephone event.
pub const DIGIT: u8 = 7;
const PCMA: u8 = 8;
const EVENTS: u8 = 101;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Loopback addresses of customer and vendor.
const CUSTOMER: Ipv4Addr = Ipv4Addr::new(127, 254, 254, 11);
const VENDOR: Ipv4Addr = Ipv4Addr::new(127, 254, 254, 21);

/// What the two heard.
#[derive(Debug, Default)]
pub struct Heard {
    pub answered: bool,
    /// In words.
    pub signalling: String,
    pub at_vendor: u32,
    pub at_customer: u32,
    pub digit: Option<u8>,
    pub released: bool,
}

pub struct Peers {
    switch: SocketAddr,
    customer: UdpSocket,
    vendor: UdpSocket,
    media_a: UdpSocket,
    media_b: UdpSocket,
}

/// A SIP message as far as this test reads it.
struct Text(String);

impl Text {
    fn header(&self, name: &str) -> &str {
        let value =
            |line: &'_ str| line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|_| ());
        let line = self.0.lines().find(|l| value(l).is_some());
        line.and_then(|l| l.split_once(':')).map_or("", |(_, v)| v.trim())
    }

    fn all(&self, name: &str) -> String {
        let is = |line: &&str| line.split_once(':').is_some_and(|(n, _)| n.eq_ignore_ascii_case(name));
        self.0.lines().filter(is).map(|l| format!("{l}\r\n")).collect()
    }

    fn media(&self) -> Option<SocketAddr> {
        let line = |start: &str| self.0.lines().find_map(|l| l.strip_prefix(start));
        let ip: IpAddr = line("c=IN IP4 ")?.trim().parse().ok()?;
        let port = line("m=audio ")?.split(' ').next()?.parse().ok()?;
        Some(SocketAddr::new(ip, port))
    }

    fn contact(&self) -> &str {
        self.header("Contact").trim_start_matches('<').split('>').next().unwrap_or("")
    }
}

impl Peers {
    pub fn bind(switch: SocketAddr) -> io::Result<Peers> {
        let bind = |ip: Ipv4Addr| {
            let socket = UdpSocket::bind((ip, 0))?;
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            io::Result::Ok(socket)
        };
        Ok(Peers {
            switch,
            customer: bind(CUSTOMER)?,
            vendor: bind(VENDOR)?,
            media_a: bind(CUSTOMER)?,
            media_b: bind(VENDOR)?,
        })
    }

    pub fn customer(&self) -> IpAddr {
        CUSTOMER.into()
    }

    pub fn vendor(&self) -> String {
        format!("{VENDOR}:{}", port(&self.vendor))
    }

    /// One call, from INVITE to BYE.
    pub fn call(&self, number: &str) -> Heard {
        let mut heard = Heard::default();
        match self.connect(number) {
            Ok((invite, answer, taken)) => {
                heard.answered = true;
                heard.signalling = "INVITE, ringing, answer and ACK passed".to_owned();
                if let (Some(to_a), Some(to_b)) = (answer.media(), taken.media()) {
                    self.talk(to_a, to_b, &mut heard);
                }
                heard.released = self.release(&invite, &answer);
            }
            Err(words) => heard.signalling = words,
        }
        heard
    }

    /// The INVITE that was sent, the 200 to it, and the INVITE that the vendor got.
    fn connect(&self, number: &str) -> Result<(Text, Text, Text), String> {
        let failed = |e: io::Error| format!("the message could not be sent: {e}");
        let own = format!("{CUSTOMER}:{}", port(&self.customer));
        let head = |method: &str, branch: &str| {
            format!(
                "{method} sip:{number}@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{branch}{number}\r\nMax-Forwards: 70\r\nFrom: <sip:1000@{own}>;tag=s{number}\r\nCall-ID: selftest-{number}\r\nContact: <sip:1000@{own}>\r\n",
                self.switch
            )
        };
        let body = session(CUSTOMER, port(&self.media_a));
        let invite = format!(
            "{}To: <sip:{number}@{}>\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            head("INVITE", "i"),
            self.switch,
            body.len()
        );
        self.customer.send_to(invite.as_bytes(), self.switch).map_err(failed)?;
        let no_call = |e: String| format!("{e}; the customer heard {}", self.said());
        let (taken, from) = receive(&self.vendor, |t| t.0.starts_with("INVITE "))
            .ok_or_else(|| no_call("no INVITE reached the vendor".into()))?;
        let body = session(VENDOR, port(&self.media_b));
        for (status, body) in [("180 Ringing", ""), ("200 OK", body.as_str())] {
            let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
            let response = format!(
                "SIP/2.0 {status}\r\n{}{}To: {};tag=v\r\n{}{}Contact: <sip:vendor@{}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
                taken.all("Via"),
                taken.all("From"),
                taken.header("To"),
                taken.all("Call-ID"),
                taken.all("CSeq"),
                self.vendor(),
                body.len()
            );
            self.vendor.send_to(response.as_bytes(), from).map_err(failed)?;
        }
        let (answer, _) =
            receive(&self.customer, |t| t.0.starts_with("SIP/2.0 2") && t.header("CSeq").ends_with("INVITE"))
                .ok_or("the answer did not reach the customer")?;
        let ack = format!(
            "{}To: {}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
            head("ACK", "a"),
            answer.header("To")
        )
        .replacen(&format!("sip:{number}@{}", self.switch), answer.contact(), 1);
        self.customer.send_to(ack.as_bytes(), self.switch).map_err(failed)?;
        receive(&self.vendor, |t| t.0.starts_with("ACK ")).ok_or("the ACK did not reach the vendor")?;
        Ok((Text(invite), answer, taken))
    }

    /// The last response that the customer got, if any.
    fn said(&self) -> String {
        let mut said = "nothing".to_owned();
        while let Some((text, _)) = receive_for(&self.customer, Duration::from_millis(50), |_| true) {
            said = text.0.lines().next().unwrap_or("").to_owned();
        }
        said
    }

    /// Both speak at once; the customer presses a key in between.
    fn talk(&self, to_a: SocketAddr, to_b: SocketAddr, heard: &mut Heard) {
        for n in 0..PACKETS {
            let _ = self.media_a.send_to(&speech(n, 0xa), to_a);
            let _ = self.media_b.send_to(&speech(n, 0xb), to_b);
            if n == PACKETS / 2 {
                // RFC 4733 §2.5.1.4: the last packet of an event is sent three times.
                for ended in [false, true, true, true] {
                    let _ = self.media_a.send_to(&key(n, ended), to_a);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let (a, b) = (self.media_a.try_clone(), self.media_b.try_clone());
        if let (Ok(a), Ok(b)) = (a, b) {
            (heard.at_customer, _) = listen(&a, 0xb);
            (heard.at_vendor, heard.digit) = listen(&b, 0xa);
        }
    }

    fn release(&self, invite: &Text, answer: &Text) -> bool {
        let bye = format!(
            "BYE {} SIP/2.0\r\n{}Max-Forwards: 70\r\n{}To: {}\r\n{}CSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
            answer.contact(),
            invite.all("Via").replacen("z9hG4bKi", "z9hG4bKb", 1),
            invite.all("From"),
            answer.header("To"),
            invite.all("Call-ID"),
        );
        if self.customer.send_to(bye.as_bytes(), self.switch).is_err() {
            return false;
        }
        let answered =
            receive(&self.customer, |t| t.0.starts_with("SIP/2.0 200") && t.header("CSeq").ends_with("BYE"));
        let Some((bye, from)) = receive(&self.vendor, |t| t.0.starts_with("BYE ")) else { return false };
        let names = ["Via", "From", "To", "Call-ID", "CSeq"];
        let lines: String = names.iter().map(|n| bye.all(n)).collect();
        let response = format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
        answered.is_some() && self.vendor.send_to(response.as_bytes(), from).is_ok()
    }
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().map_or(0, |a| a.port())
}

fn session(ip: Ipv4Addr, port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {PCMA} {EVENTS}\r\na=rtpmap:{PCMA} PCMA/8000\r\na=rtpmap:{EVENTS} telephone-event/8000\r\na=fmtp:{EVENTS} 0-15\r\na=ptime:20\r\n"
    )
}

fn header(number: u32, payload_type: u8, sender: u8) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(number.to_be_bytes().iter().skip(2));
    bytes.extend((number * 160).to_be_bytes());
    bytes.extend([sender; 4]);
    bytes
}

/// Sound that names its sender and its place.
fn speech(number: u32, sender: u8) -> Vec<u8> {
    let at = number + if number > PACKETS / 2 { 4 } else { 0 };
    let mut bytes = header(at, PCMA, sender);
    bytes.extend([sender ^ 0x55; 80]);
    bytes.extend([number.to_be_bytes()[3]; 80]);
    bytes
}

fn key(number: u32, ended: bool) -> Vec<u8> {
    let mut bytes = header(number + 1, EVENTS, 0xa);
    bytes.extend([DIGIT, if ended { 0x8a } else { 0x0a }, 0x03, 0x20]);
    bytes
}

/// Counts what was said by `sender`, and finds the key that was pressed.
fn listen(socket: &UdpSocket, sender: u8) -> (u32, Option<u8>) {
    let (mut count, mut digit, mut buffer) = (0, None, [0; 2048]);
    while let Ok((length, _)) = socket.recv_from(&mut buffer) {
        let packet = buffer.get(..length).unwrap_or_default();
        match packet.get(1).map(|b| b & 0x7f) {
            Some(PCMA) if packet.get(12..92) == Some(&[sender ^ 0x55; 80]) => count += 1,
            Some(EVENTS) => digit = packet.get(12).copied(),
            _ => {}
        }
    }
    (count, digit)
}

fn receive(socket: &UdpSocket, wanted: impl Fn(&Text) -> bool) -> Option<(Text, SocketAddr)> {
    receive_for(socket, PATIENCE, wanted)
}

/// The first message that is wanted; others are passed over.
fn receive_for(
    socket: &UdpSocket,
    limit: Duration,
    wanted: impl Fn(&Text) -> bool,
) -> Option<(Text, SocketAddr)> {
    let until = Instant::now() + limit;
    let mut buffer = vec![0; 65_536];
    while Instant::now() < until {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let text = Text(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned());
        if wanted(&text) {
            return Some((text, from));
        }
    }
    None
}
