//! A phone on a UDP socket: registers, calls, is called, and says exactly what a test wants said.

use crate::harness::header;
use sim::digest::Answer;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Between two copies of a request (RFC 3261 T1). A stranger's first short REGISTER may get no answer, because
/// nobody is sent more bytes than came from there.
const T1: Duration = Duration::from_millis(500);
const TRIES: usize = 20;

pub struct Device {
    pub socket: UdpSocket,
    pub switch: SocketAddr,
    pub number: String,
    pub password: String,
    pub call_id: String,
    pub cseq: u32,
    last: String,
}

impl Device {
    pub fn new(ip: Ipv4Addr, switch: SocketAddr, number: &str, password: &str) -> Device {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(T1)).unwrap();
        let call_id = format!("{number}-{}", socket.local_addr().unwrap());
        Device {
            socket,
            switch,
            number: number.into(),
            password: password.into(),
            call_id,
            cseq: 0,
            last: String::new(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.number, self.address())
    }

    pub fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.switch).unwrap();
    }

    pub fn receive(&self) -> Option<String> {
        let mut buffer = [0; 65_536];
        let (length, _) = self.socket.recv_from(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Nothing comes for a while.
    pub fn hears_nothing(&self, wait: Duration) -> bool {
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let heard = self.receive();
        self.socket.set_read_timeout(Some(T1)).unwrap();
        heard.is_none()
    }

    /// The next message that begins like this; others are passed over.
    pub fn expect(&self, start: &str) -> String {
        for _ in 0..2 * TRIES {
            if let Some(message) = self.receive().filter(|m| m.starts_with(start)) {
                return message;
            }
        }
        panic!("{}: no {start}", self.number);
    }

    /// The final response to a request of this method and number.
    pub fn final_response(&self, method: &str, cseq: u32) -> Option<String> {
        for _ in 0..TRIES {
            let Some(message) = self.receive() else {
                self.send(&self.last);
                continue;
            };
            let ours = header(&message, "CSeq").is_some_and(|c| c == format!("{cseq} {method}"));
            if ours && message.starts_with("SIP/2.0 ") && !message.starts_with("SIP/2.0 1") {
                return Some(message);
            }
        }
        None
    }

    fn request(&mut self, method: &str, uri: &str, to: &str, more: &str, body: &str) -> String {
        self.cseq += 1;
        let (me, n, id, number) = (self.address(), self.cseq, &self.call_id, &self.number);
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bK-{n}-{method}-{id}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{number}@tandem>;tag=t{number}\r\nTo: {to}\r\nCall-ID: {id}\r\n\
             CSeq: {n} {method}\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.last.clone_from(&text);
        text
    }

    pub fn answer_to(&self, challenge: &str, method: &str, uri: &str, count: u32) -> String {
        let (name, header_name) = match header(challenge, "WWW-Authenticate") {
            Some(_) => ("WWW-Authenticate", "Authorization"),
            None => ("Proxy-Authenticate", "Proxy-Authorization"),
        };
        let challenge = header(challenge, name).expect("a challenge");
        let (username, password) = (&*self.number, &*self.password);
        let answer = Answer { username, password, method, uri, nonce_count: count };
        format!("{header_name}: {}\r\n", answer.to(challenge))
    }

    /// A REGISTER without credentials, or with some.
    pub fn send_register(&mut self, more: &str) -> u32 {
        let to = format!("<sip:{}@tandem>", self.number);
        let text = self.request("REGISTER", "sip:tandem", &to, more, "");
        self.send(&text);
        self.cseq
    }

    /// The whole of a registration; its last response.
    pub fn register_with(&mut self, more: &str) -> String {
        let cseq = self.send_register(more);
        let challenge = self.final_response("REGISTER", cseq).expect("an answer to REGISTER");
        if !challenge.starts_with("SIP/2.0 401") {
            return challenge;
        }
        let authorization = self.answer_to(&challenge, "REGISTER", "sip:tandem", 1);
        let cseq = self.send_register(&format!("{authorization}{more}"));
        self.final_response("REGISTER", cseq).expect("an answer to REGISTER")
    }

    pub fn register(&mut self, expires: u32) -> String {
        self.register_with(&format!("Contact: {}\r\nExpires: {expires}\r\n", self.contact()))
    }

    pub fn sdp(&self) -> String {
        let ip = self.address().ip();
        format!("v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n")
    }

    /// Calls with digest; the final response, acknowledged.
    pub fn call(&mut self, number: &str) -> String {
        self.call_id = format!("{}-call-{}", self.call_id, self.cseq);
        let (uri, to) = (format!("sip:{number}@tandem"), format!("<sip:{number}@tandem>"));
        let contact = format!("Contact: {}\r\n", self.contact());
        let sdp = self.sdp();
        let first = self.request("INVITE", &uri, &to, &contact, &sdp);
        self.send(&first);
        let mut response = self.final_response("INVITE", self.cseq).expect("an answer");
        self.acknowledge(&response, &uri);
        if response.starts_with("SIP/2.0 407") {
            let authorization = self.answer_to(&response, "INVITE", &uri, 1);
            let again = self.request("INVITE", &uri, &to, &format!("{authorization}{contact}"), &sdp);
            self.send(&again);
            response = self.final_response("INVITE", self.cseq).expect("an answer");
            self.acknowledge(&response, &uri);
        }
        response
    }

    fn acknowledge(&self, response: &str, uri: &str) {
        let (me, n, id) = (self.address(), self.cseq, &self.call_id);
        let get = |name| header(response, name).unwrap_or_default();
        let branch = if response.starts_with("SIP/2.0 2") { "ACK" } else { "INVITE" };
        self.send(&format!(
            "ACK {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bK-{n}-{branch}-{id}\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {id}\r\nCSeq: {n} ACK\r\nContent-Length: 0\r\n\r\n",
            get("From"),
            get("To")
        ));
    }

    /// Ends the call that this response answered.
    pub fn hang_up(&mut self, response: &str) -> String {
        let to = header(response, "To").unwrap().to_owned();
        let text = self.request("BYE", "sip:tandem", &to, "", "");
        self.send(&text);
        self.final_response("BYE", self.cseq).expect("an answer to BYE")
    }

    /// Answers a request that came.
    pub fn reply(&self, request: &str, status: &str, body: &str) {
        self.reply_with(request, status, "", body);
    }

    /// The same with more header lines.
    pub fn reply_with(&self, request: &str, status: &str, more: &str, body: &str) {
        let get = |name| header(request, name).unwrap_or_default();
        let vias: String = request
            .lines()
            .filter(|l| l.starts_with("Via:"))
            .map(|l| format!("{}\r\n", l.trim_end()))
            .collect();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let tag = if get("To").contains(";tag=") {
            String::new()
        } else {
            format!(";tag=u{}", self.address().port())
        };
        self.send(&format!(
            "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: {}\r\n{more}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            get("From"),
            get("To"),
            get("Call-ID"),
            get("CSeq"),
            self.contact(),
            body.len()
        ));
    }
}
