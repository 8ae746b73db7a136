//! Floods of SIP from many addresses of this machine, at a steady rate, with an account of what came back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use vocab::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Register,
    Options,
    Invite,
    /// Answers each challenge with a wrong password for a name that exists.
    WrongPassword,
    Message,
    Subscribe,
    /// Requests that claim to belong to a call.
    Bye,
    /// Bytes.
    Random,
    /// All of them in turn.
    Mixed,
}

const ALL: [Kind; 8] = [
    Kind::Register,
    Kind::Options,
    Kind::Invite,
    Kind::WrongPassword,
    Kind::Message,
    Kind::Subscribe,
    Kind::Bye,
    Kind::Random,
];

#[derive(Clone, Debug)]
pub struct Flood {
    pub kind: Kind,
    pub target: SocketAddr,
    pub sources: Vec<Ipv4Addr>,
    /// Messages a second, all sources together.
    pub rate: u32,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub sent: u64,
    pub bytes_sent: u64,
    pub answers: u64,
    pub bytes_answered: u64,
    /// What the machine could not send in time.
    pub late: u64,
}

/// One address that takes part.
struct Source {
    socket: UdpSocket,
    ip: Ipv4Addr,
    /// Of the last challenge.
    nonce: Option<String>,
}

/// Messages leave in steps of this.
const STEP: Duration = Duration::from_millis(1);
/// What could not be sent for this long is left out.
const PATIENCE_MS: u64 = 50;

impl Flood {
    /// Sends for so long.
    pub fn run(&self, duration: Duration) -> io::Result<Report> {
        let open = |ip: &Ipv4Addr| {
            let socket = UdpSocket::bind((*ip, 0))?;
            socket.set_nonblocking(true)?;
            Ok(Source { socket, ip: *ip, nonce: None })
        };
        let mut sources = self.sources.iter().map(open).collect::<io::Result<Vec<_>>>()?;
        let (mut report, mut random) = (Report::default(), Random::from_number(self.seed));
        let start = Instant::now();
        let mut done = 0u64;
        while start.elapsed() < duration {
            let due = u64::from(self.rate) * millis(start.elapsed()) / 1000;
            let most = u64::from(self.rate) * PATIENCE_MS / 1000 + 1;
            if due - done > most {
                report.late += due - done - most;
                done = due - most;
            }
            for n in done..due {
                self.send(&mut sources, n, &mut random, &mut report);
            }
            done = due;
            std::thread::sleep(STEP);
        }
        std::thread::sleep(Duration::from_millis(100));
        sources.iter_mut().for_each(|s| s.drain(&mut report));
        Ok(report)
    }

    fn send(&self, sources: &mut [Source], n: u64, random: &mut Random, report: &mut Report) {
        let index = usize::try_from(n % sources.len().max(1) as u64).unwrap_or(0);
        let Some(source) = sources.get_mut(index) else { return };
        source.drain(report);
        let kind =
            if self.kind == Kind::Mixed { ALL[usize::try_from(n % 8).unwrap_or(0)] } else { self.kind };
        let bytes = message(kind, source, n, random);
        if source.socket.send_to(&bytes, self.target).is_ok() {
            report.sent += 1;
            report.bytes_sent += bytes.len() as u64;
        }
    }
}

impl Source {
    fn drain(&mut self, report: &mut Report) {
        let mut buffer = [0; 4096];
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            report.answers += 1;
            report.bytes_answered += length as u64;
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
            if let Some((_, rest)) = text.split_once("nonce=\"") {
                self.nonce = rest.split('"').next().map(str::to_owned);
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 18 101\r\n\
                   a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n";

fn message(kind: Kind, source: &Source, n: u64, random: &mut Random) -> Vec<u8> {
    let (method, tag, more, body) = match kind {
        Kind::Register => ("REGISTER", "", "Expires: 3600\r\n".to_owned(), ""),
        Kind::Options => ("OPTIONS", "", String::new(), ""),
        Kind::Invite => ("INVITE", "", String::new(), SDP),
        Kind::WrongPassword => ("INVITE", "", credentials(source), SDP),
        Kind::Message => ("MESSAGE", "", String::new(), "hello"),
        Kind::Subscribe => ("SUBSCRIBE", "", "Event: presence\r\n".to_owned(), ""),
        Kind::Bye => ("BYE", ";tag=0123456789abcdef", String::new(), ""),
        Kind::Random | Kind::Mixed => return noise(random),
    };
    let (ip, id) = (source.ip, random.next_u64());
    format!(
        "{method} sip:88017{n:08}@h SIP/2.0\r\nVia: SIP/2.0/UDP {ip};rport;branch=z9hG4bK{id:x}\r\nMax-Forwards: 70\r\n\
         From: <sip:{n}@{ip}>;tag={id:x}\r\nTo: <sip:88017{n:08}@h>{tag}\r\nCall-ID: {id:x}@{ip}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:{n}@{ip}>\r\nUser-Agent: Phone 1.0\r\n{more}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn credentials(source: &Source) -> String {
    let Some(nonce) = &source.nonce else { return String::new() };
    format!(
        "Proxy-Authorization: Digest username=\"acme\", realm=\"tandem\", nonce=\"{nonce}\", uri=\"sip:h\", \
         response=\"0123456789abcdef0123456789abcdef\"\r\n"
    )
}

fn noise(random: &mut Random) -> Vec<u8> {
    let length = 1 + random.below(1200);
    (0..length.div_ceil(8)).flat_map(|_| random.next_u64().to_be_bytes()).collect()
}
