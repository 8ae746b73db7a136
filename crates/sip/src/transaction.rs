//! Transactions (RFC 3261 §17, RFC 6026): retransmission, matching, and the ACK of failed INVITEs.

use crate::core::{Core, Echo, Secret, ViaLine, Way, is_sendable, parse_hex, standard_phrase};
use crate::header::Via;
use crate::large::Datagram;
use crate::message::{Builder, HeaderName, MAGIC_COOKIE, Message, Method};
use crate::slab::Key;
use crate::timers::TimerOf;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use vocab::{Flow, Tick};

pub(crate) const T1: Duration = Duration::from_millis(500);
pub(crate) const T2: Duration = Duration::from_secs(4);
const T4: Duration = Duration::from_secs(5);
/// 64×T1: nothing of a transaction is on the wire any more.
pub(crate) const LIFE: Duration = Duration::from_secs(32);
/// Answers of more forks than this are not kept apart.
const MAX_FORKS: usize = 16;

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Invite,
    Reinvite,
    Update,
    Prack,
    Info,
    Options,
    /// UPDATE without a session, to refresh it.
    Refresh,
    /// OPTIONS instead, for a peer without session timers.
    Ping,
    Bye,
    Cancel,
    /// OPTIONS and REGISTER outside of calls; their `leg` is an errand.
    Check,
    Register,
}

impl Purpose {
    pub fn method(self) -> Method {
        match self {
            Purpose::Invite | Purpose::Reinvite => Method::Invite,
            Purpose::Update | Purpose::Refresh => Method::Update,
            Purpose::Prack => Method::Prack,
            Purpose::Info => Method::Info,
            Purpose::Options | Purpose::Ping | Purpose::Check => Method::Options,
            Purpose::Bye => Method::Bye,
            Purpose::Cancel => Method::Cancel,
            Purpose::Register => Method::Register,
        }
    }

    pub fn is_errand(self) -> bool {
        matches!(self, Purpose::Check | Purpose::Register)
    }

    fn is_invite(self) -> bool {
        matches!(self, Purpose::Invite | Purpose::Reinvite)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    Calling,
    Proceeding,
    /// Final refusal of an INVITE: its copies get the ACK again.
    Completed,
    /// RFC 6026 §7.2: a 2xx leaves the transaction in Accepted, because forked answers may still arrive.
    Accepted,
}

/// RFC 3261 §9.1: a CANCEL may only follow a provisional response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancelling {
    No,
    Wanted { q850: Option<u8> },
    Sent,
}

#[derive(Debug)]
pub(crate) struct ClientTransaction {
    branch: u64,
    purpose: Purpose,
    flow: Flow,
    /// Its place among those that wait for this peer.
    waiting: Option<usize>,
    /// It goes over TCP for its length alone.
    datagram: Option<Datagram>,
    /// Kept for up to 32 s, by thousands: no byte more than needed.
    bytes: Box<[u8]>,
    leg: Option<Key>,
    state: ClientState,
    resend: Arc<[u32]>,
    sent: usize,
    generation: u32,
    cancelling: Cancelling,
    /// To tag of the 2xx that made the dialog.
    winner: Option<Box<str>>,
    /// For copies of final responses; seldom more than one.
    acks: SmallVec<[Ack; 1]>,
}

#[derive(Debug)]
struct Ack {
    /// Of the response's To.
    tag: Box<str>,
    flow: Flow,
    bytes: Box<[u8]>,
}

/// A request to be sent.
pub(crate) struct Outgoing {
    pub purpose: Purpose,
    pub leg: Option<Key>,
    pub flow: Flow,
    pub branch: u64,
    pub bytes: Vec<u8>,
    pub resend: Arc<[u32]>,
}

/// A response or failure for the leg that sent the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub leg: Key,
    pub client: Key,
    pub purpose: Purpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientFailure {
    Timeout,
    Unreachable,
}

fn wait(list: &[u32], n: usize) -> Duration {
    // After the last copy the peer gets once more the time of the last interval.
    let ms = list.get(n).or(list.last()).copied().unwrap_or(32_000);
    Duration::from_millis(u64::from(ms))
}

fn total(list: &[u32]) -> Duration {
    (0..=list.len()).map(|n| wait(list, n)).fold(Duration::ZERO, Duration::saturating_add)
}

impl Core {
    pub fn start_client(&mut self, out: Outgoing) -> Key {
        let Outgoing { purpose, leg, flow, branch, bytes, resend } = out;
        let (flow, bytes, datagram) = self.fit_transport(flow, branch, bytes);
        let first = if flow.transport.is_reliable() { total(&resend) } else { wait(&resend, 0) };
        let key = self.clients.insert(ClientTransaction {
            branch,
            purpose,
            flow,
            waiting: None,
            datagram,
            bytes: bytes.as_slice().into(),
            leg,
            state: ClientState::Calling,
            resend,
            sent: 0,
            generation: 0,
            cancelling: Cancelling::No,
            winner: None,
            acks: SmallVec::new(),
        });
        self.send(flow, bytes);
        self.branches.insert((branch, purpose == Purpose::Cancel), key);
        self.list_waiting(key, flow);
        self.note_connection(flow);
        self.set_timer(first, TimerOf::Client(key), 0);
        key
    }

    fn list_waiting(&mut self, key: Key, flow: Flow) {
        let there = self.waiting.entry((flow.transport, flow.remote)).or_default();
        there.push(key);
        if let Some(t) = self.clients.get_mut(key) {
            t.waiting = Some(there.len() - 1);
        }
    }

    /// It waits for nothing that could fail any more.
    fn unlist_waiting(&mut self, key: Key) {
        let Some(t) = self.clients.get_mut(key) else { return };
        let (Some(place), peer) = (t.waiting.take(), (t.flow.transport, t.flow.remote)) else { return };
        let Some(there) = self.waiting.get_mut(&peer).filter(|there| place < there.len()) else { return };
        there.swap_remove(place);
        match there.get(place).copied() {
            Some(moved) => {
                if let Some(t) = self.clients.get_mut(moved) {
                    t.waiting = Some(place);
                }
            }
            None if there.is_empty() => {
                self.waiting.remove(&peer);
            }
            None => {}
        }
    }

    /// An INVITE of the process before this one, which is now to be cancelled. `head` is as much of it as CANCEL and ACK
    /// repeat. Whether a provisional response had come is not known; where the INVITE itself was lost, the CANCEL
    /// meets 481.
    pub fn take_up_client(
        &mut self,
        leg: Key,
        flow: Flow,
        branch: u64,
        head: Vec<u8>,
        resend: Arc<[u32]>,
    ) -> Key {
        let key = self.clients.insert(ClientTransaction {
            branch,
            purpose: Purpose::Invite,
            flow,
            waiting: None,
            datagram: None,
            bytes: head.into(),
            leg: Some(leg),
            state: ClientState::Proceeding,
            resend,
            sent: 0,
            generation: 0,
            cancelling: Cancelling::No,
            winner: None,
            acks: SmallVec::new(),
        });
        self.branches.insert((branch, false), key);
        self.list_waiting(key, flow);
        self.note_connection(flow);
        self.set_timer(LIFE, TimerOf::Client(key), 0);
        key
    }

    fn remove_client(&mut self, key: Key) {
        self.unlist_waiting(key);
        if let Some(t) = self.clients.remove(key) {
            self.branches.remove(&(t.branch, t.purpose == Purpose::Cancel));
        }
    }

    /// Starts the timer anew; earlier ones no longer count.
    fn rearm_client(&mut self, key: Key, after: Duration) {
        let Some(t) = self.clients.get_mut(key) else { return };
        t.generation = t.generation.wrapping_add(1);
        let generation = t.generation;
        self.set_timer(after, TimerOf::Client(key), generation);
    }

    /// A timer of a client transaction. `Some` when its leg must hear of a time-out.
    pub fn client_timer(&mut self, key: Key, generation: u32) -> Option<Delivery> {
        let t = self.clients.get_mut(key).filter(|t| t.generation == generation)?;
        // One that is to be cancelled, or whose leg is gone, is only waited for.
        let wanted = t.cancelling == Cancelling::No && (t.leg.is_some() || !t.purpose.is_invite());
        let resends = wanted && !t.flow.transport.is_reliable() && t.sent < t.resend.len();
        let waits = match t.state {
            ClientState::Calling => true,
            ClientState::Proceeding => !t.purpose.is_invite(),
            ClientState::Completed | ClientState::Accepted => false,
        };
        if !waits || !resends {
            let delivery =
                t.leg.filter(|_| waits).map(|leg| Delivery { leg, client: key, purpose: t.purpose });
            self.remove_client(key);
            return delivery;
        }
        t.sent += 1;
        let (flow, bytes, after) = (t.flow, t.bytes.to_vec(), wait(&t.resend, t.sent));
        self.statistics.retransmissions_out += 1;
        self.send(flow, bytes);
        self.set_timer(after, TimerOf::Client(key), generation);
        None
    }

    /// Asks for the end of an INVITE. The CANCEL goes out at once or after the first provisional response.
    pub fn cancel_client(&mut self, key: Key, q850: Option<u8>) {
        let Some(t) = self.clients.get_mut(key) else { return };
        match (t.state, t.cancelling) {
            (ClientState::Proceeding, Cancelling::No) => self.send_cancel(key, q850),
            (ClientState::Calling, Cancelling::No) => {
                t.cancelling = Cancelling::Wanted { q850 };
                // No further copies: if the first was lost, nobody need be rung up only to be cancelled.
                self.rearm_client(key, LIFE);
            }
            _ => {}
        }
    }

    /// The leg is gone; what still comes is answered without it, for the time it can come.
    pub fn abandon_client(&mut self, key: Key) {
        let Some(t) = self.clients.get_mut(key) else { return };
        t.leg = None;
        if matches!(t.state, ClientState::Calling | ClientState::Proceeding) {
            self.rearm_client(key, LIFE);
        }
    }

    fn send_cancel(&mut self, key: Key, q850: Option<u8>) {
        let Some(t) = self.clients.get_mut(key) else { return };
        t.cancelling = Cancelling::Sent;
        let (flow, branch, resend) = (t.flow, t.branch, t.resend.clone());
        let Ok(invite) = Message::parse(&t.bytes) else { return };
        let Some(mut b) = same_hop_request(&invite, "CANCEL", invite.get(HeaderName::To).unwrap_or_default())
        else {
            return;
        };
        crate::core::write_reason(&mut b, q850, None, 487);
        self.write_user_agent(&mut b, "User-Agent");
        let bytes = b.finish();
        self.start_client(Outgoing { purpose: Purpose::Cancel, leg: None, flow, branch, bytes, resend });
    }

    /// Is there a transaction that this response belongs to?
    pub fn knows_client(&self, response: &Message) -> bool {
        let branch = response.top_via().and_then(|via| parse_hex(via.branch()?.strip_prefix(MAGIC_COOKIE)?));
        branch.is_some_and(|b| self.branches.contains_key(&(b, response.method() == Method::Cancel)))
    }

    pub fn client_branch(&self, key: Key) -> Option<u64> {
        self.clients.get(key).map(|t| t.branch)
    }

    /// Finds the transaction of a response and lets it react. `Some` when the leg must see the response, with the way
    /// on which its dialog goes on.
    pub fn client_response(&mut self, flow: Flow, response: &Message) -> Option<(Delivery, Flow)> {
        let branch = response.top_via()?.branch()?.strip_prefix(MAGIC_COOKIE).and_then(parse_hex)?;
        let method = response.method();
        let key = *self.branches.get(&(branch, method == Method::Cancel))?;
        let t = self.clients.get_mut(key).filter(|t| t.purpose.method() == method)?;
        // A branch can be overheard: only who was asked may answer (`R-33`).
        if t.flow.remote.ip().to_canonical() != flow.remote.ip().to_canonical() {
            self.statistics.foreign_responses += 1;
            return None;
        }
        // The connection that was made for this request is the one to go on with.
        if flow.transport.is_reliable() && t.flow.connection == 0 {
            t.flow.connection = flow.connection;
        }
        let mut flow = flow;
        if let Some(datagram) = &mut t.datagram {
            flow = datagram.flow;
            datagram.bytes = Box::default();
        }
        let status = response.status()?;
        let delivery = match (t.purpose.is_invite(), status) {
            (true, ..200) => self.invite_provisional(key),
            (true, 200..300) => self.invite_accepted(key, flow, response),
            (true, _) => self.invite_refused(key, response),
            (false, ..200) => {
                t.state = ClientState::Proceeding;
                None
            }
            (false, _) => {
                let delivery = t.leg.map(|leg| Delivery { leg, client: key, purpose: t.purpose });
                // Timer K only absorbs copies; without the transaction they match nothing and are dropped too.
                self.remove_client(key);
                delivery
            }
        };
        Some((delivery?, flow))
    }

    fn invite_provisional(&mut self, key: Key) -> Option<Delivery> {
        let t = self.clients.get_mut(key)?;
        match t.state {
            ClientState::Calling => {
                t.state = ClientState::Proceeding;
                t.generation = t.generation.wrapping_add(1);
                let abandoned = t.leg.is_none();
                if let Cancelling::Wanted { q850 } = t.cancelling {
                    self.send_cancel(key, q850);
                }
                if abandoned {
                    self.rearm_client(key, LIFE);
                }
            }
            ClientState::Proceeding => {}
            ClientState::Completed | ClientState::Accepted => return None,
        }
        let t = self.clients.get(key)?;
        Some(Delivery { leg: t.leg?, client: key, purpose: t.purpose })
    }

    fn invite_accepted(&mut self, key: Key, flow: Flow, response: &Message) -> Option<Delivery> {
        let tag = response.to().and_then(|t| t.tag()).unwrap_or_default();
        let t = self.clients.get_mut(key)?;
        match t.state {
            ClientState::Calling | ClientState::Proceeding => {
                t.state = ClientState::Accepted;
                t.bytes = Box::default();
                t.winner = Some(tag.into());
                let delivery = t.leg.map(|leg| Delivery { leg, client: key, purpose: t.purpose });
                self.unlist_waiting(key);
                self.rearm_client(key, LIFE);
                if delivery.is_none() {
                    self.release_answer(key, flow, response);
                }
                delivery
            }
            ClientState::Accepted => {
                if let Some(ack) = t.acks.iter().find(|ack| *ack.tag == *tag) {
                    let (flow, ack) = (ack.flow, ack.bytes.to_vec());
                    self.statistics.retransmissions_in += 1;
                    self.send(flow, ack);
                } else if t.winner.as_deref() != Some(tag) && t.acks.len() < MAX_FORKS {
                    // Another fork has answered too: only one can have the call (RFC 3261 §13.2.2.4).
                    self.release_answer(key, flow, response);
                }
                None
            }
            ClientState::Completed => None,
        }
    }

    /// The leg's ACK of a 2xx, for copies of the 2xx.
    pub fn keep_ack(&mut self, key: Key, tag: &str, flow: Flow, ack: &[u8]) {
        if let Some(t) = self.clients.get_mut(key) {
            t.acks.push(Ack { tag: tag.into(), flow, bytes: ack.into() });
        }
    }

    /// Acknowledges a 2xx nobody wants and ends its dialog, from what stands in the response alone.
    pub fn release_answer(&mut self, key: Key, flow: Flow, response: &Message) {
        let Some(t) = self.clients.get(key) else { return };
        let (resend, initial) = (t.resend.clone(), t.purpose == Purpose::Invite);
        let tag = response.to().and_then(|t| t.tag()).unwrap_or_default();
        let Some(ack) = self.request_from_answer(flow, response, Method::Ack) else { return };
        self.keep_ack(key, tag, flow, &ack.1);
        self.send(flow, ack.1);
        // A 2xx to a re-INVITE whose leg is gone: the BYE is on its way already.
        if !initial {
            return;
        }
        if let Some((branch, bytes)) = self.request_from_answer(flow, response, Method::Bye) {
            self.start_client(Outgoing { purpose: Purpose::Bye, leg: None, flow, branch, bytes, resend });
        }
    }

    fn request_from_answer(
        &mut self,
        flow: Flow,
        response: &Message,
        method: Method,
    ) -> Option<(u64, Vec<u8>)> {
        let here = self.here(flow.listener, flow.remote.ip())?;
        let cseq = response.cseq()?.number;
        let to = response.to()?;
        let contact = response.list(HeaderName::Contact).next().and_then(crate::header::NameAddr::parse);
        let branch = self.random.next_u64();
        let via = ViaLine { transport: flow.transport, here: &here, branch };
        let mut b = self.begin_request(method.name(), contact.map_or(to.uri, |c| c.uri), &via, 70);
        let routes: Vec<&str> = response.list(HeaderName::RecordRoute).collect();
        for route in routes.iter().rev() {
            b.header("Route", route);
        }
        b.header("From", response.get(HeaderName::From)?).header("To", response.get(HeaderName::To)?);
        b.header("Call-ID", response.call_id()?);
        let number = if method == Method::Ack { cseq } else { cseq.saturating_add(1) };
        b.raw("CSeq: ").number(u64::from(number)).raw(" ").raw(method.name()).raw("\r\n");
        self.write_user_agent(&mut b, "User-Agent");
        Some((branch, b.finish()))
    }

    fn invite_refused(&mut self, key: Key, response: &Message) -> Option<Delivery> {
        let t = self.clients.get_mut(key)?;
        match t.state {
            ClientState::Calling | ClientState::Proceeding => {}
            ClientState::Completed => {
                let again = t.acks.first().map(|ack| (ack.flow, ack.bytes.to_vec()));
                if let Some((flow, ack)) = again {
                    self.statistics.retransmissions_in += 1;
                    self.send(flow, ack);
                }
                return None;
            }
            ClientState::Accepted => return None,
        }
        let bytes = std::mem::take(&mut t.bytes);
        let invite = Message::parse(&bytes).ok();
        t.state = ClientState::Completed;
        let (flow, leg, purpose) = (t.flow, t.leg, t.purpose);
        let to = response.get(HeaderName::To).unwrap_or_default();
        if let Some(ack) = invite.and_then(|i| same_hop_request(&i, "ACK", to)) {
            let ack = ack.finish();
            self.keep_ack(key, "", flow, &ack);
            self.send(flow, ack);
        }
        if flow.transport.is_reliable() {
            self.remove_client(key);
        } else {
            self.unlist_waiting(key);
            self.rearm_client(key, LIFE);
        }
        Some(Delivery { leg: leg?, client: key, purpose })
    }

    /// A connection broke or nobody listens: what waits for an answer there will not get one.
    pub fn fail_flow(&mut self, flow: Flow) -> Vec<Delivery> {
        let hit = |t: &ClientTransaction| {
            let connection =
                t.flow.connection == flow.connection || t.flow.connection == 0 || flow.connection == 0;
            let waits = match t.state {
                ClientState::Calling => true,
                ClientState::Proceeding => flow.transport.is_reliable(),
                ClientState::Completed | ClientState::Accepted => false,
            };
            connection && waits
        };
        let Some(there) = self.waiting.get(&(flow.transport, flow.remote)) else { return Vec::new() };
        let hit: Vec<Key> =
            there.iter().copied().filter(|key| self.clients.get(*key).is_some_and(hit)).collect();
        let mut deliveries = Vec::new();
        for key in hit {
            if self.fall_back(key) {
                continue;
            }
            let waiting = self.clients.get(key).and_then(|t| Some((t.leg?, t.purpose)));
            deliveries.extend(waiting.map(|(leg, purpose)| Delivery { leg, client: key, purpose }));
            self.remove_client(key);
        }
        deliveries
    }

    /// RFC 3261 §18.1.1: a request that went over TCP for its length alone, and was never heard of, is tried over UDP.
    fn fall_back(&mut self, key: Key) -> bool {
        let calling =
            |t: &&mut ClientTransaction| t.state == ClientState::Calling && t.cancelling == Cancelling::No;
        let Some(t) = self.clients.get_mut(key).filter(calling) else { return false };
        let Some(Datagram { flow, bytes }) = t.datagram.take_if(|d| !d.bytes.is_empty()) else {
            return false;
        };
        let (again, after) = (bytes.to_vec(), wait(&t.resend, 0));
        self.remember_refusal(flow.remote);
        self.unlist_waiting(key);
        if let Some(t) = self.clients.get_mut(key) {
            (t.flow, t.bytes) = (flow, bytes);
        }
        self.list_waiting(key, flow);
        self.rearm_client(key, after);
        self.send(flow, again);
        true
    }
}

/// ACK of a refusal and CANCEL: the INVITE's own Request-URI, top Via, Route, From, Call-ID and CSeq number
/// (RFC 3261 §9.1, §17.1.1.3).
fn same_hop_request(invite: &Message, method: &str, to: &str) -> Option<Builder> {
    let mut b = Builder::request(method, invite.request_uri());
    b.header("Via", invite.get(HeaderName::Via)?);
    for route in invite.all(HeaderName::Route) {
        b.header("Route", route);
    }
    b.raw("Max-Forwards: 70\r\n").header("From", invite.get(HeaderName::From)?).header("To", to);
    b.header("Call-ID", invite.call_id()?);
    b.raw("CSeq: ").number(u64::from(invite.cseq()?.number)).raw(" ").raw(method).raw("\r\n");
    Some(b)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerState {
    Proceeding,
    /// A final response was sent: copies of the request get it again.
    Completed,
    /// The ACK of our refusal is here.
    Confirmed,
    /// RFC 6026 §7.1: a 2xx was sent; the leg repeats it, copies of the INVITE are swallowed.
    Accepted,
}

#[derive(Debug)]
pub(crate) struct ServerTransaction {
    key: RequestKey,
    merge_key: Option<RequestKey>,
    is_invite: bool,
    flow: Flow,
    state: ServerState,
    leg: Option<Key>,
    /// Until the final response.
    echo: Option<Echo>,
    tag: u64,
    last: Box<[u8]>,
    interval: Duration,
    deadline: Tick,
    generation: u32,
}

/// What the ACK or the copy of a request has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matched {
    New(RequestKey),
    /// The transaction has dealt with it.
    Absorbed,
}

/// What identifies a request, as a keyed hash: nobody can aim at another's, and two of a million transactions meet
/// by chance once in some hundred years.
pub(crate) type RequestKey = u64;

/// The key of RFC 3261 §17.2.3: branch and sent-by; for RFC 2543 peers without the cookie everything that
/// identifies the request. The source address is part of it, so that a stranger cannot reach into a transaction
/// with a guessed branch.
fn server_key(secret: Secret, request: &Message, via: &Via<'_>, flow: Flow, method: Method) -> RequestKey {
    // The ACK of a refusal belongs to its INVITE.
    let method = if method == Method::Ack { Method::Invite } else { method };
    let hop = (flow.remote.ip().to_canonical(), method, via.host, via.port);
    match via.branch() {
        Some(branch) if branch.len() > MAGIC_COOKIE.len() && branch.starts_with(MAGIC_COOKIE) => {
            secret.hash(&(hop, branch))
        }
        other => {
            let call = (request.call_id(), request.from().and_then(|f| f.tag()));
            let request = (request.request_uri(), request.cseq().map(|c| c.number));
            secret.hash(&(hop, other, call, request))
        }
    }
}

impl Core {
    /// What an INVITE and its copies are found by.
    pub fn invite_key(&self, request: &Message, via: &Via<'_>, flow: Flow) -> RequestKey {
        server_key(self.secret, request, via, flow, Method::Invite)
    }

    /// Is this a copy of a request we know, or the ACK of a refusal?
    pub fn server_request(&mut self, request: &Message, via: &Via<'_>, flow: Flow) -> Matched {
        let method = request.method();
        let name = server_key(self.secret, request, via, flow, method);
        let known = self.server_keys.get(&name).copied();
        let Some((key, t)) = known.and_then(|key| Some((key, self.servers.get_mut(key)?))) else {
            return Matched::New(name);
        };
        if method == Method::Ack {
            return if self.server_ack(key) { Matched::Absorbed } else { Matched::New(name) };
        }
        let again = match t.state {
            ServerState::Proceeding | ServerState::Completed => t.last.to_vec(),
            ServerState::Confirmed | ServerState::Accepted => Vec::new(),
        };
        let flow = t.flow;
        self.statistics.retransmissions_in += 1;
        if !again.is_empty() {
            self.statistics.retransmissions_out += 1;
            self.send(flow, again);
        }
        Matched::Absorbed
    }

    /// False: the ACK is for a leg.
    fn server_ack(&mut self, key: Key) -> bool {
        let Some(t) = self.servers.get_mut(key) else { return false };
        match t.state {
            ServerState::Completed if t.is_invite => {
                t.state = ServerState::Confirmed;
                t.last = Box::default();
                // Timer I: copies of the ACK, and late copies of the INVITE that must not open a new call.
                self.rearm_server(key, T4);
                true
            }
            ServerState::Confirmed => true,
            // RFC 2543 peers send the ACK of a 2xx with the branch of the INVITE: that one is for the leg.
            ServerState::Accepted | ServerState::Completed | ServerState::Proceeding => false,
        }
    }

    /// Opens a server transaction.
    pub fn start_server(&mut self, request: &Message, key: RequestKey, way: Way, tag: u64) -> Key {
        self.note_connection(way.source);
        let method = request.method();
        let opens = method == Method::Invite && request.to().is_some_and(|t| t.tag().is_none());
        let merge_key = opens.then(|| merge_key(self.secret, request));
        let slot = self.servers.insert(ServerTransaction {
            key,
            merge_key,
            is_invite: method == Method::Invite,
            flow: way.reply,
            state: ServerState::Proceeding,
            leg: None,
            echo: Some(Echo::of(request, way.source)),
            tag,
            last: Box::default(),
            interval: T1,
            deadline: Tick(u64::MAX),
            generation: 0,
        });
        self.server_keys.insert(key, slot);
        if let Some(merge_key) = merge_key {
            self.merge_keys.insert(merge_key, slot);
        }
        slot
    }

    pub fn set_server_leg(&mut self, key: Key, leg: Key) {
        if let Some(t) = self.servers.get_mut(key) {
            t.leg = Some(leg);
        }
    }

    /// RFC 3261 §8.2.2.2: the same request over another way.
    pub fn is_merged(&self, request: &Message) -> bool {
        self.merge_keys.contains_key(&merge_key(self.secret, request))
    }

    /// The INVITE a CANCEL means, if it still waits for its final response, and its leg; for the answer its tag.
    pub fn cancelled_invite(
        &self,
        cancel: &Message,
        via: &Via<'_>,
        flow: Flow,
    ) -> Option<(u64, Option<Key>)> {
        let key = server_key(self.secret, cancel, via, flow, Method::Invite);
        let t = self.servers.get(*self.server_keys.get(&key)?)?;
        Some((t.tag, t.leg.filter(|_| t.state == ServerState::Proceeding)))
    }

    /// The beginning of a response, up to the header lines that depend on what it is.
    pub fn begin_response(&self, key: Key, status: u16, phrase: Option<&str>) -> Option<Builder> {
        let t = self.servers.get(key)?;
        let echo = t.echo.as_ref()?;
        let mut b = echo.begin(status, phrase.unwrap_or_else(|| standard_phrase(status)), t.tag);
        if t.is_invite && status > 100 && status < 300 {
            echo.write_record_routes(&mut b);
        }
        self.write_user_agent(&mut b, "Server");
        Some(b)
    }

    /// A response of headers only.
    pub fn respond(&mut self, key: Key, status: u16, headers: &[(&str, &str)]) {
        let Some(mut b) = self.begin_response(key, status, None) else { return };
        for (name, value) in headers {
            b.header(name, value);
        }
        self.send_response(key, status, b.finish());
    }

    pub fn send_response(&mut self, key: Key, status: u16, bytes: Vec<u8>) {
        let Some(t) = self.servers.get_mut(key).filter(|t| t.state == ServerState::Proceeding) else {
            return;
        };
        let (flow, reliable) = (t.flow, t.flow.transport.is_reliable());
        let after = match (t.is_invite, status) {
            (_, ..200) => None,
            (true, 200..300) => {
                t.state = ServerState::Accepted;
                Some(LIFE)
            }
            (true, _) => {
                t.state = ServerState::Completed;
                t.deadline = self.now.tick + LIFE;
                Some(if reliable { LIFE } else { T1 })
            }
            (false, _) => {
                t.state = ServerState::Completed;
                Some(if reliable { Duration::ZERO } else { LIFE })
            }
        };
        t.last = if t.state == ServerState::Accepted { Box::default() } else { bytes.as_slice().into() };
        if after.is_some() {
            t.echo = None;
        }
        if is_sendable(flow.remote.ip()) {
            self.send(flow, bytes);
        }
        match after {
            None => {}
            Some(Duration::ZERO) => self.remove_server(key),
            Some(after) => self.rearm_server(key, after),
        }
    }

    fn rearm_server(&mut self, key: Key, after: Duration) {
        let Some(t) = self.servers.get_mut(key) else { return };
        t.generation = t.generation.wrapping_add(1);
        let generation = t.generation;
        self.set_timer(after, TimerOf::Server(key), generation);
    }

    pub(crate) fn remove_server(&mut self, key: Key) {
        let Some(t) = self.servers.remove(key) else { return };
        self.server_keys.remove(&t.key);
        let merge_key = t.merge_key.filter(|merge_key| self.merge_keys.get(merge_key) == Some(&key));
        if let Some(merge_key) = merge_key {
            self.merge_keys.remove(&merge_key);
        }
    }

    /// The lines of a request that identify it and that its responses repeat.
    pub fn server_head(&self, key: Key) -> Option<Vec<u8>> {
        Some(self.servers.get(key)?.echo.as_ref()?.request("INVITE"))
    }

    /// Where responses of a transaction go, for copies that a leg sends itself.
    pub fn server_flow(&self, key: Key) -> Option<Flow> {
        self.servers.get(key).map(|t| t.flow)
    }

    pub fn server_timer(&mut self, key: Key, generation: u32) {
        let now = self.now.tick;
        let Some(t) = self.servers.get_mut(key).filter(|t| t.generation == generation) else { return };
        let resends = t.is_invite && t.state == ServerState::Completed && now < t.deadline;
        if !resends || t.flow.transport.is_reliable() {
            self.remove_server(key);
            return;
        }
        t.interval = (t.interval * 2).min(T2);
        let (flow, bytes) = (t.flow, t.last.to_vec());
        let after = t.interval.min(t.deadline.since(now));
        self.statistics.retransmissions_out += 1;
        self.send(flow, bytes);
        self.set_timer(after, TimerOf::Server(key), generation);
    }
}

fn merge_key(secret: Secret, request: &Message) -> RequestKey {
    let from = request.from().and_then(|f| f.tag());
    secret.hash(&(request.call_id(), from, request.cseq().map(|c| c.number)))
}
