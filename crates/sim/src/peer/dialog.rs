//! One call as a peer sees it: identifiers, numbers and addresses of the dialog, and the messages made from them.
//! No timers and no judgement: whoever plays the peer decides what to send.

use crate::wire::{self, Message, Sdp};
use std::net::SocketAddr;
use vocab::Transport;

/// Who and where a peer is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub name: String,
    pub address: SocketAddr,
    pub transport: Transport,
}

/// A session description to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub direction: String,
    pub formats: String,
    /// Where media is wanted, if not at the peer's own place.
    pub media: Option<SocketAddr>,
}

impl Default for Offer {
    fn default() -> Offer {
        Offer { direction: "sendrecv".into(), formats: "8 0 101".into(), media: None }
    }
}

#[derive(Clone, Debug)]
pub struct Dialog {
    pub id: String,
    who: Identity,
    /// From of our requests, without the tag.
    pub local: String,
    remote: String,
    pub local_tag: String,
    pub remote_tag: Option<String>,
    cseq: u32,
    branches: u32,
    /// Request-URI of our requests.
    target: String,
    /// Our latest INVITE.
    pub invite: Option<Message>,
    /// Requests of the other side that have no final response yet, oldest first.
    pub open_requests: Vec<Message>,
    /// Requests that have one, for answering once more as another fork.
    pub answered: Vec<Message>,
    /// Our requests that have no final response yet, by method, oldest first.
    pub open_methods: Vec<String>,
    /// Where we take media.
    pub media: SocketAddr,
    sdp_version: u32,
    /// The other side's latest description.
    pub remote_sdp: Option<Sdp>,
    /// RSeq of the last reliable provisional in each direction, with the CSeq that it answers.
    rseq: u32,
    reliable: Option<(u32, u32)>,
    /// Final response to our latest INVITE; 0 while there is none.
    invite_status: u16,
}

impl Dialog {
    /// A call that this peer will place; `number` tells its calls apart.
    pub fn calling(who: &Identity, number: u32, from: &str, called: &str, switch: SocketAddr) -> Dialog {
        let id = format!("{}-{number}@sim", who.name);
        let (local, remote) = (format!("<sip:{from}@{}>", who.address), format!("<sip:{called}@{switch}>"));
        let target = format!("sip:{called}@{switch}");
        Dialog::new(who, number, id, local, remote, target)
    }

    /// A call that arrived with this INVITE.
    pub fn called(who: &Identity, number: u32, invite: &Message) -> Dialog {
        let bare = |name| strip_tag(invite.header(name).unwrap_or(""));
        let (local, remote) = (bare("To"), bare("From"));
        let target = invite.contact().unwrap_or("sip:nobody@invalid").to_string();
        let mut dialog = Dialog::new(who, number, invite.call_id().into(), local, remote, target);
        dialog.remote_tag = invite.tag("From").map(str::to_string);
        dialog
    }

    fn new(who: &Identity, number: u32, id: String, local: String, remote: String, target: String) -> Dialog {
        let port = u16::try_from(20_000 + 2 * (number % 10_000)).unwrap_or(20_000);
        Dialog {
            id,
            who: who.clone(),
            local,
            remote,
            local_tag: format!("{}-{number}", who.name),
            remote_tag: None,
            cseq: 0,
            branches: 0,
            target,
            invite: None,
            open_requests: Vec::new(),
            answered: Vec::new(),
            open_methods: Vec::new(),
            media: SocketAddr::new(who.address.ip(), port),
            sdp_version: 0,
            remote_sdp: None,
            rseq: 0,
            reliable: None,
            invite_status: 0,
        }
    }

    fn contact(&self) -> String {
        let transport = if self.who.transport == Transport::Tcp { ";transport=tcp" } else { "" };
        format!("<sip:{}@{}{transport}>", self.who.name, self.who.address)
    }

    fn body(&mut self, offer: Option<&Offer>) -> Option<String> {
        let offer = offer?;
        self.sdp_version += 1;
        Some(wire::audio(
            offer.media.unwrap_or(self.media),
            &offer.direction,
            &offer.formats,
            self.sdp_version,
        ))
    }

    fn branch(&mut self) -> String {
        self.branches += 1;
        format!("z9hG4bK-{}-{}", self.local_tag, self.branches)
    }

    fn compose(&self, method: &str, uri: &str, cseq: u32, branch: &str) -> Message {
        let via = self.who.transport.via_name();
        let to = match &self.remote_tag {
            Some(tag) => format!("{};tag={tag}", self.remote),
            None => self.remote.clone(),
        };
        Message::request(method, uri)
            .with("Via", format!("SIP/2.0/{via} {};branch={branch};rport", self.who.address))
            .with("Max-Forwards", "70")
            .with("From", format!("{};tag={}", self.local, self.local_tag))
            .with("To", to)
            .with("Call-ID", self.id.clone())
            .with("CSeq", format!("{cseq} {method}"))
    }

    /// Any request but ACK and CANCEL: the first INVITE, or one inside the dialog.
    pub fn request(&mut self, method: &str, offer: Option<&Offer>) -> Message {
        self.cseq += 1;
        let (branch, body) = (self.branch(), self.body(offer));
        let mut message = self.compose(method, &self.target, self.cseq, &branch);
        if matches!(method, "INVITE" | "UPDATE") {
            message = message
                .with("Contact", self.contact())
                .with("Allow", "INVITE, ACK, CANCEL, BYE, UPDATE, PRACK");
        }
        if method == "PRACK"
            && let Some((rseq, cseq)) = self.reliable.take()
        {
            message = message.with("RAck", format!("{rseq} {cseq} INVITE"));
        }
        self.open_methods.push(method.to_string());
        let message = message.with_body(body);
        self.remember(&message);
        message
    }

    /// Keeps an INVITE as it is sent, with headers added to it: its ACK, its CANCEL and its repetition follow it.
    pub fn remember(&mut self, message: &Message) {
        if message.method() == "INVITE" {
            self.invite = Some(message.clone());
            self.invite_status = 0;
        }
    }

    /// Was our latest INVITE accepted?
    pub fn accepted(&self) -> bool {
        (200..300).contains(&self.invite_status)
    }

    /// The latest INVITE once more with credentials (RFC 3261 §22.2): same call, next CSeq.
    pub fn invite_again(&mut self, name: &str, credentials: String) -> Option<Message> {
        let mut message = self.invite.clone()?;
        self.cseq += 1;
        let branch = self.branch();
        let fresh = self.compose("INVITE", message.uri(), self.cseq, &branch);
        message.headers.retain(|(n, _)| !n.ends_with("uthorization"));
        for header in ["Via", "CSeq", "To"] {
            let value = fresh.header(header).unwrap_or("").to_string();
            message.headers.iter_mut().filter(|(n, _)| n == header).for_each(|(_, v)| v.clone_from(&value));
        }
        let message = message.with(name, credentials);
        self.remember(&message);
        self.open_methods.push("INVITE".into());
        Some(message)
    }

    /// ACK for the latest INVITE: its own transaction after a 2xx, the INVITE's otherwise (RFC 3261 §17.1.1.3).
    pub fn ack(&mut self, accepted: bool, offer: Option<&Offer>) -> Option<Message> {
        let invite = self.invite.clone()?;
        let (cseq, _) = invite.cseq();
        if accepted {
            let (branch, body) = (self.branch(), self.body(offer));
            return Some(self.compose("ACK", &self.target, cseq, &branch).with_body(body));
        }
        Some(self.compose("ACK", invite.uri(), cseq, invite.branch()))
    }

    /// CANCEL for the latest INVITE: everything but the method is the INVITE's (RFC 3261 §9.1).
    pub fn cancel(&mut self) -> Option<Message> {
        let invite = self.invite.clone()?;
        self.open_methods.push("CANCEL".into());
        let tag = self.remote_tag.take();
        let message = self.compose("CANCEL", invite.uri(), invite.cseq().0, invite.branch());
        self.remote_tag = tag;
        Some(message)
    }

    /// A response to a request of the other side. `fork` makes our tag another one.
    pub fn respond(&mut self, request: &Message, status: u16, offer: Option<&Offer>, fork: &str) -> Message {
        let body = self.body(offer);
        let mut message = Message::response(status, wire::phrase(status));
        for via in request.all("Via") {
            message = message.with("Via", via);
        }
        let to = request.header("To").unwrap_or("");
        let to = match request.tag("To") {
            None if status > 100 => format!("{to};tag={}{fork}", self.local_tag),
            _ => to.to_string(),
        };
        message = message
            .with("From", request.header("From").unwrap_or(""))
            .with("To", to)
            .with("Call-ID", request.call_id())
            .with("CSeq", request.header("CSeq").unwrap_or(""));
        if matches!(request.method(), "INVITE" | "UPDATE") && (101..300).contains(&status) {
            message = message.with("Contact", self.contact());
        }
        if status >= 200 {
            let branch = request.branch().to_string();
            self.open_requests.retain(|r| r.branch() != branch || r.method() != request.method());
            self.answered.push(request.clone());
        }
        message.with_body(body)
    }

    /// Makes a provisional reliable (RFC 3262 §3).
    pub fn make_reliable(&mut self, response: Message) -> Message {
        self.rseq += 1;
        response.with("Require", "100rel").with("RSeq", self.rseq.to_string())
    }

    /// Learns from a message of the other side.
    pub fn note(&mut self, message: &Message) {
        if !message.is_request() {
            let method = message.method().to_string();
            if message.status() >= 200
                && let Some(at) = self.open_methods.iter().position(|m| *m == method)
            {
                self.open_methods.remove(at);
            }
            if method == "INVITE" && message.status() >= 200 {
                self.invite_status = message.status();
            }
            if method == "INVITE" && (101..300).contains(&message.status()) {
                self.remote_tag = message.tag("To").map(str::to_string);
                if let Some(contact) = message.contact() {
                    self.target = contact.to_string();
                }
            }
            if let Some(rseq) = message.header("RSeq").and_then(|r| r.parse().ok()) {
                self.reliable = Some((rseq, message.cseq().0));
            }
        } else if message.method() != "ACK" {
            if let Some(contact) = message.contact() {
                self.target = contact.to_string();
            }
            self.open_requests.push(message.clone());
        }
        if !message.body.is_empty()
            && let Some(sdp) = Sdp::parse(&message.body)
        {
            self.remote_sdp = Some(sdp);
        }
    }

    /// Does an in-dialog message carry our tag, with this ending?
    pub fn is_ours(&self, message: &Message, fork: &str) -> bool {
        let name = if message.is_request() { "To" } else { "From" };
        message.tag(name) == Some(format!("{}{fork}", self.local_tag).as_str())
    }
}

fn strip_tag(address: &str) -> String {
    address.split(";tag=").next().unwrap_or("").to_string()
}
