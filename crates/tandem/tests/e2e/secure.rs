//! SIP over TLS and over WebSocket. The other side of TLS is OpenSSL's, that of WebSocket a client library's.

use crate::harness::*;
use sim::digest::Answer;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

const WAIT: Duration = Duration::from_secs(20);
const CUSTOMER: &str = "127.0.0.1";

/// A peer that speaks through the standard input and output of a program.
struct Peer {
    child: Child,
    to: ChildStdin,
    messages: mpsc::Receiver<String>,
    transport: &'static str,
    address: String,
}

impl Peer {
    /// `openssl s_client`, with more arguments.
    fn client(switch: &Switch, args: &[&str]) -> Peer {
        let target = switch.sip("tls").to_string();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-connect", &target]).args(args);
        // What it calls itself is one of a kind, and stands in the names of its calls.
        static NEXT: AtomicU16 = AtomicU16::new(20_000);
        let address = format!("{CUSTOMER}:{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Peer::start(command, "TLS", address)
    }

    /// `openssl s_server` with the certificate of this name.
    fn server(address: SocketAddr, folder: &Path, name: &str) -> Peer {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-accept", &address.to_string()]);
        command.arg("-cert").arg(folder.join(format!("{name}.pem")));
        command.arg("-key").arg(folder.join(format!("{name}.key")));
        let peer = Peer::start(command, "TLS", address.to_string());
        eventually("openssl listens", || is_bound(address, true).then_some(()));
        peer
    }

    fn start(mut command: Command, transport: &'static str, address: String) -> Peer {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("openssl is needed");
        let to = child.stdin.take().unwrap();
        let mut from = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            while let Some(message) = read_message(&mut from) {
                let _ = sender.send(message);
            }
        });
        Peer { child, to, messages, transport, address }
    }

    fn send(&mut self, text: &str) {
        self.to.write_all(text.as_bytes()).unwrap();
        self.to.flush().unwrap();
    }

    /// The next message that begins like this; others are passed over.
    fn expect(&self, start: &str) -> String {
        loop {
            let message = self.messages.recv_timeout(WAIT).unwrap_or_else(|e| panic!("{start}: {e}"));
            if message.starts_with(start) {
                return message;
            }
        }
    }

    /// It has been told to go, and nothing was said to it.
    fn was_refused(mut self) -> bool {
        let child = &mut self.child;
        eventually("openssl ends", || child.try_wait().unwrap());
        self.messages.try_recv().is_err()
    }

    fn request(&self, method: &str, n: u32, to: &str, body: &str) -> String {
        request(self.transport, &self.address, method, n, to, body)
    }

    fn reply(&mut self, request: &str, status: &str, body: &str) {
        let text = response(self.transport, &self.address, request, status, body);
        self.send(&text);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_message(from: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head == "\r\n" {
            head.clear();
        }
    }
    let length = header(&head, "Content-Length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n";

/// RFC 7118 §5.2.4: one word for both kinds of WebSocket.
fn parameter(transport: &str) -> &str {
    match transport {
        "TLS" => "tls",
        _ => "ws",
    }
}

fn request(transport: &str, me: &str, method: &str, n: u32, to: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let parameter = parameter(transport);
    let branch = format!("{method}-{n}-{}", me.replace(':', "-"));
    format!(
        "{method} sip:8801712345678@tandem SIP/2.0\r\nVia: SIP/2.0/{transport} {me};rport;branch=z9hG4bK-{branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:15551234@{me}>;tag=caller\r\nTo: {to}\r\nCall-ID: {me}-call\r\nCSeq: {n} {method}\r\n\
         Contact: <sip:15551234@{me};transport={parameter}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn response(transport: &str, me: &str, request: &str, status: &str, body: &str) -> String {
    let get = |name| header(request, name).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let tag = if get("To").contains(";tag=") { "" } else { ";tag=callee" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:callee@{me};transport={}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        get("Via"),
        get("From"),
        get("To"),
        get("Call-ID"),
        get("CSeq"),
        parameter(transport),
        body.len()
    )
}

const TO: &str = "<sip:8801712345678@tandem>";

/// An authority and what it has issued: files NAME.pem and NAME.key, and `ca.pem`.
struct Certificates {
    folder: tempfile::TempDir,
    authority: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Certificates {
    fn new() -> Certificates {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
        let made = Certificates { folder: tempfile::tempdir().unwrap(), authority };
        std::fs::write(made.path("ca.pem"), made.authority.pem()).unwrap();
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn issue(&self, name: &str, subject: &str) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![subject.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
    }
}

/// With these lines under `[tls]`.
fn start(certificates: &Certificates, tls: &str) -> Switch {
    let config = certificates.text("tandem.toml");
    std::fs::write(&config, format!("[tls]\n{tls}\n")).unwrap();
    Switch::start_with(&["--config", &config, "--listen", "tls:127.0.0.1:0"])
}

/// The usual business; the customer is whoever comes from 127.0.0.1, the vendor has more lines.
fn business_with(switch: &Switch, vendor: &str) -> String {
    let text = business(switch.net, "10.00").replace(&switch.net.customer().to_string(), CUSTOMER);
    text.replace("priority = 1", &format!("priority = 1\n{vendor}"))
}

/// The caller's side of a whole call: the 200.
fn call(caller: &mut Peer, callee: &mut Peer) -> (String, String) {
    caller.send(&caller.request("INVITE", 1, TO, SDP));
    let invite = callee.expect("INVITE ");
    callee.reply(&invite, "200 OK", SDP);
    let ok = caller.expect("SIP/2.0 200");
    let to = header(&ok, "To").unwrap().to_owned();
    caller.send(&caller.request("ACK", 1, &to, ""));
    callee.expect("ACK ");
    caller.send(&caller.request("BYE", 2, &to, ""));
    caller.expect("SIP/2.0 200");
    let bye = callee.expect("BYE ");
    callee.reply(&bye, "200 OK", "");
    (invite, ok)
}

#[test]
fn a_call_over_tls_on_both_sides() {
    let certificates = Certificates::new();
    let switch = start(&certificates, &format!("vendor_authorities = \"{}\"", certificates.text("ca.pem")));
    switch.apply(&business_with(&switch, "transport = \"tls\""));
    let address = switch.net.vendor(1);
    certificates.issue("vendor", &address.ip().to_string());
    let mut vendor = Peer::server(address, certificates.folder.path(), "vendor");
    // Our own certificate, made at the start, is good for the address that we listen at.
    let own = switch.data().join("tls/certificate.pem");
    let verified = ["-CAfile", own.to_str().unwrap(), "-verify_return_error", "-verify_ip", "127.0.0.1"];
    for version in ["-tls1_2", "-tls1_3"] {
        let mut caller = Peer::client(&switch, &[&verified[..], &[version]].concat());
        let (invite, ok) = call(&mut caller, &mut vendor);
        assert!(header(&invite, "Via").unwrap().starts_with("SIP/2.0/TLS 127.0.0.1:"), "{invite}");
        assert!(header(&invite, "Contact").unwrap().ends_with(";transport=tls>"), "{invite}");
        let contact = format!("<sip:{};transport=tls>", switch.sip("tls"));
        assert_eq!(header(&ok, "Contact"), Some(&*contact), "{ok}");
        assert!(header(&ok, "Via").unwrap().starts_with("SIP/2.0/TLS "), "{ok}");
    }
    let cdrs = switch.cdrs(2);
    assert!(cdrs.iter().all(|c| c["end_reason"] == "normal_release"), "{cdrs:?}");

    // RFC 3261 §8.1.1.8: a secure request is answered with a secure Contact.
    let mut caller = Peer::client(&switch, &[]);
    let secure = caller.request("INVITE", 1, TO, SDP).replace("sip:", "sips:");
    caller.send(&secure);
    let invite = vendor.expect("INVITE ");
    vendor.reply(&invite, "200 OK", SDP);
    let ok = caller.expect("SIP/2.0 200");
    assert_eq!(header(&ok, "Contact"), Some(&*format!("<sips:{}>", switch.sip("tls"))), "{ok}");
    switch.check();
}

#[test]
fn a_vendor_must_show_a_certificate_that_is_trusted_unless_any_will_do() {
    let (trusted, others) = (Certificates::new(), Certificates::new());
    let switch = start(&trusted, &format!("vendor_authorities = \"{}\"", trusted.text("ca.pem")));
    let address = switch.net.vendor(1);
    trusted.issue("named", "someone.else.example");
    others.issue("foreign", &address.ip().to_string());
    switch.apply(&business_with(&switch, "transport = \"tls\""));
    for (n, (certificates, name)) in [(&trusted, "named"), (&others, "foreign")].into_iter().enumerate() {
        let vendor = Peer::server(address, certificates.folder.path(), name);
        let mut caller = Peer::client(&switch, &[]);
        caller.send(&caller.request("INVITE", 1, TO, SDP));
        caller.expect("SIP/2.0 408");
        assert!(vendor.messages.try_recv().is_err(), "{name}");
        assert_ne!(switch.cdrs(n + 1)[n]["end_reason"], "normal_release");
    }
    assert!(switch.log().contains("no TLS with this gateway"), "{}", switch.log());

    let any = "transport = \"tls\"\nparameters = { SS_SIP_TLS_VERIFY = \"Any\" }";
    switch.apply(&business_with(&switch, any));
    let mut vendor = Peer::server(address, others.folder.path(), "foreign");
    call(&mut Peer::client(&switch, &[]), &mut vendor);
    assert_eq!(switch.cdrs(3)[2]["end_reason"], "normal_release");
}

#[test]
fn certificates_of_clients_are_asked_for_and_ours_may_change() {
    let (first, second) = (Certificates::new(), Certificates::new());
    first.issue("switch", CUSTOMER);
    first.issue("client", "client.example");
    second.issue("switch", CUSTOMER);
    second.issue("client", "client.example");
    let [certificate, key, authorities] = ["switch.pem", "switch.key", "ca.pem"].map(|n| first.text(n));
    let lines =
        format!("certificate = \"{certificate}\"\nkey = \"{key}\"\nclient_authorities = \"{authorities}\"");
    let switch = start(&first, &lines);
    switch.apply(&business_with(&switch, ""));
    assert!(!switch.data().join("tls").exists());
    let client = |ours: &Certificates, theirs: &Certificates| {
        let [ca, pem, key] = [ours.text("ca.pem"), theirs.text("client.pem"), theirs.text("client.key")];
        Peer::client(&switch, &["-CAfile", &ca, "-verify_return_error", "-cert", &pem, "-key", &key])
    };
    assert!(Peer::client(&switch, &[]).was_refused());
    assert!(client(&first, &second).was_refused());
    let mut before = client(&first, &first);
    let options = |peer: &mut Peer, n| {
        peer.send(&peer.request("OPTIONS", n, TO, ""));
        peer.expect("SIP/2.0 200");
    };
    options(&mut before, 1);

    for (from, to) in [("switch.pem", certificate), ("switch.key", key)] {
        std::fs::copy(second.path(from), to).unwrap();
    }
    eventually("the new certificate is in force", || switch.log().contains("new certificates").then_some(()));
    options(&mut client(&second, &first), 1);
    assert!(client(&first, &first).was_refused());
    // Who was there before stays.
    options(&mut before, 2);
}

/// The client's end of a WebSocket.
struct Browser<S: Read + Write> {
    socket: WebSocket<S>,
    transport: &'static str,
}

impl<S: Read + Write> Browser<S> {
    fn open(stream: S, transport: &'static str, protocol: &str) -> Result<Browser<S>, String> {
        use tungstenite::client::IntoClientRequest;
        let mut request = "ws://localhost/anything".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().unwrap());
        let (socket, response) = tungstenite::client(request, stream).map_err(|e| e.to_string())?;
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
        Ok(Browser { socket, transport })
    }

    fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    fn receive(&mut self) -> String {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn expect(&mut self, start: &str) -> String {
        loop {
            let message = self.receive();
            if message.starts_with(start) {
                return message;
            }
            assert!(message.starts_with("SIP/2.0 1"), "{start}: {message}");
        }
    }

    /// A browser does not know its own address (RFC 7118 §5).
    fn request(&self, method: &str, n: u32, to: &str, body: &str) -> String {
        request(self.transport, "df7jal23ls0d.invalid", method, n, to, body)
    }

    fn reply(&mut self, request: &str, status: &str, body: &str) {
        let text = response(self.transport, "df7jal23ls0d.invalid", request, status, body);
        self.send(&text);
    }

    fn register(&mut self, number: &str, password: &str) {
        let to = format!("<sip:{number}@tandem>");
        let request = |browser: &Self, n| {
            let text = browser.request("REGISTER", n, &to, "");
            text.replace("<sip:15551234@df7jal23ls0d.invalid>;tag", &format!("{to};tag"))
                .replace("sip:8801712345678@tandem SIP", "sip:tandem SIP")
        };
        let first = request(self, 1);
        self.send(&first);
        let challenge = self.expect("SIP/2.0 401");
        let answer =
            Answer { username: number, password, method: "REGISTER", uri: "sip:tandem", nonce_count: 1 };
        let answer = answer.to(header(&challenge, "WWW-Authenticate").unwrap());
        let second = request(self, 2)
            .replace("Content-Length", &format!("Authorization: {answer}\r\nExpires: 600\r\nContent-Length"));
        self.send(&second);
        self.expect("SIP/2.0 200");
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream
}

/// A TLS connection that trusts the switch's own certificate and nothing else.
fn connect_securely(switch: &Switch) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(switch.data().join("tls/certificate.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    rustls::StreamOwned::new(connection, connect(switch.sip("wss")))
}

const PHONE: &str = "\n[[phone]]\nnumber = \"8801001\"\naccount = \"acme\"\npassword = \"s3cret-one\"\n";

#[test]
fn browsers_call_and_are_called_over_websocket() {
    let switch = Switch::start_with(&["--listen", "ws:127.0.0.1:0,wss:127.0.0.1:0"]);
    switch.apply(&format!("{}{PHONE}", business_with(&switch, "")));
    let _vendor = vendor(&switch, 1);

    // RFC 7118 §4: who speaks no SIP is not let in.
    let refused = Browser::open(connect(switch.sip("ws")), "WS", "chat").err().unwrap();
    assert!(refused.contains("400"), "{refused}");

    let mut callee = Browser::open(connect_securely(&switch), "WSS", "sip").unwrap();
    callee.register("8801001", "s3cret-one");
    let listed = switch.json(&["registrations", "list"]);
    assert_eq!(listed["items"][0]["contacts"][0]["transport"], "wss", "{listed}");

    let mut caller = Browser::open(connect(switch.sip("ws")), "WS", "chat, sip").unwrap();
    // To a vendor over UDP.
    caller.send(&caller.request("INVITE", 1, TO, SDP));
    let ok = caller.expect("SIP/2.0 200");
    let contact = format!("<sip:{};transport=ws>", switch.sip("ws"));
    assert_eq!(header(&ok, "Contact"), Some(&*contact), "{ok}");
    let to = header(&ok, "To").unwrap().to_owned();
    caller.send(&caller.request("ACK", 1, &to, ""));
    caller.send(&caller.request("BYE", 2, &to, ""));
    caller.expect("SIP/2.0 200");
    assert_eq!(switch.cdrs(1)[0]["end_reason"], "normal_release");

    // To the phone, over the connection that it has registered on.
    let dial = |text: String| text.replace("8801712345678", "8801001").replace("-call", "-second");
    caller.send(&dial(caller.request("INVITE", 1, TO, SDP)).replace("bK-INVITE", "bK-second"));
    let invite = callee.expect("INVITE sip:15551234@df7jal23ls0d.invalid;transport=ws ");
    assert!(header(&invite, "Via").unwrap().starts_with("SIP/2.0/WSS "), "{invite}");
    callee.reply(&invite, "200 OK", SDP);
    let ok = caller.expect("SIP/2.0 200");
    let to = header(&ok, "To").unwrap().to_owned();
    caller.send(&dial(caller.request("ACK", 1, &to, "")));
    callee.expect("ACK ");
    // The phone hangs up.
    let from = format!("{};tag=callee", header(&invite, "To").unwrap());
    let bye = callee.request("BYE", 7, header(&invite, "From").unwrap(), "");
    let bye = bye
        .replace("<sip:15551234@df7jal23ls0d.invalid>;tag=caller", &from)
        .replace("df7jal23ls0d.invalid-call", header(&invite, "Call-ID").unwrap());
    callee.send(&bye);
    callee.expect("SIP/2.0 200");
    let bye = caller.expect("BYE ");
    caller.reply(&bye, "200 OK", "");
    let cdr = &switch.cdrs(2)[1];
    assert_eq!((&cdr["end_reason"], &cdr["ended_by"]), (&"normal_release".into(), &"callee".into()));

    // RFC 5626 §3.5.1 and nonsense, in messages of their own.
    caller.send("\r\n\r\n");
    assert_eq!(caller.receive(), "\r\n");
    caller.send("nonsense");
    caller.send(&caller.request("OPTIONS", 3, TO, ""));
    caller.expect("SIP/2.0 200");
    switch.check();
}

/// Whatever is done to the TLS and WebSocket ports, calls over UDP go on.
#[test]
fn what_is_no_handshake_harms_nobody() {
    let switch = Switch::start_with(&["--listen", "tls:127.0.0.1:0,ws:127.0.0.1:0,wss:127.0.0.1:0"]);
    switch.apply(&business(switch.net, "10.00"));
    let _vendor = vendor(&switch, 1);
    let mut held = Vec::new();
    for transport in ["tls", "ws", "wss"] {
        for opening in
            ["", "OPTIONS sip:a@b SIP/2.0\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}", "GET / HTTP/1.1\r\nHost"]
        {
            // As many as one address may have, and more.
            for _ in 0..30 {
                let mut stream = connect(switch.sip(transport));
                let _ = stream.write_all(opening.as_bytes());
                held.push(stream);
            }
        }
    }
    caller(&switch, &["-m", "5", "-d", "200"]).start().assert_succeeded();
    assert!(switch.cdrs(5).iter().all(|c| c["end_reason"] == "normal_release"));
    for mut stream in held {
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    // The room that they took is free again.
    let own = switch.data().join("tls/certificate.pem");
    let mut peer = Peer::client(&switch, &["-CAfile", own.to_str().unwrap(), "-verify_return_error"]);
    let stranger = peer.request("OPTIONS", 1, TO, "");
    peer.send(&stranger);
    let _ = peer.messages.recv_timeout(Duration::from_secs(2));
    assert!(peer.child.try_wait().unwrap().is_none(), "the handshake failed");
}
