//! The always-on capture (`DBG-2`): messages and events of the calls in progress, of those that failed lately, and of
//! registrations, each within a budget of bytes. What is oldest goes first; calls that went well go before those that did not.

use crate::{Event, Side};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use vocab::{CallId, EndReason, Transport, Utc};

/// Messages and bytes of one conversation; what goes beyond is counted only.
const MOST_MESSAGES: usize = 400;
const MOST_BYTES: usize = 512 << 10;
const MOST_EVENTS: usize = 200;
/// Media samples of one call; when there are as many, every other one is left out.
const MOST_SAMPLES: usize = 32;
/// What a message costs besides its bytes.
const OVERHEAD: usize = 120;

/// One SIP message as it went over the wire, with secrets masked.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub at: Utc,
    /// Place in [`Capture::legs`].
    pub leg: usize,
    /// From the peer to us.
    pub incoming: bool,
    pub transport: Transport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub connection: u64,
    pub bytes: Arc<[u8]>,
}

/// One dialog of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    pub side: Side,
    pub call_id: Arc<str>,
    /// The gateway tried.
    pub peer: Option<Arc<str>>,
}

/// Media of both sides at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MediaSample {
    pub at: Utc,
    pub packets_in: [u64; 2],
    pub lost: [u64; 2],
    pub jitter_us: [u32; 2],
}

/// All that was seen of a call, or of dialogs outside of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    pub call: Option<CallId>,
    pub legs: Vec<Leg>,
    pub messages: Vec<Message>,
    pub events: Vec<(Utc, Event)>,
    pub media: Vec<MediaSample>,
    /// Messages beyond the bounds of one conversation.
    pub left_out: u32,
    pub kind: Kind,
    bytes: usize,
    shelf: Shelf,
    skipped_samples: u32,
    sample_every: u32,
    /// Is written to the trace, and how far it has been.
    pub(crate) traced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Call,
    Register,
    Other,
}

/// Which captures; every part that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub account: Option<String>,
    /// Mapping or routing.
    pub gateway: Option<String>,
    /// Occurs in the caller's or the called number, or in the name that registers.
    pub number: Option<String>,
    pub address: Option<IpAddr>,
}

/// Where a conversation stands in the order of what may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shelf {
    Live,
    Done,
    Failed,
    Register,
    FailedRegister,
    Other,
}

#[derive(Debug, Default)]
struct Row {
    order: VecDeque<u64>,
    bytes: usize,
}

/// Bytes kept on each shelf.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Calls in progress and calls that went well.
    pub calls: usize,
    pub failed: usize,
    pub registers: usize,
    pub other: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { calls: 48 << 20, failed: 24 << 20, registers: 8 << 20, other: 4 << 20 }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct CaptureStore {
    budget: Budget,
    conversations: HashMap<u64, Capture>,
    next: u64,
    by_call_id: HashMap<Arc<str>, (u64, usize)>,
    by_call: HashMap<CallId, u64>,
    rows: [Row; 6],
}

impl CaptureStore {
    pub fn new(budget: Budget) -> CaptureStore {
        CaptureStore { budget, ..CaptureStore::default() }
    }

    /// Takes a message in; gives the conversation that it belongs to. Its secrets have been masked.
    pub fn message(&mut self, mut message: Message) -> u64 {
        let call_id = call_id(&message.bytes).unwrap_or_default();
        let (id, leg) = match self.by_call_id.get(call_id) {
            Some(found) => *found,
            None => self.begin(call_id, &message.bytes),
        };
        message.leg = leg;
        if let Some(conversation) = self.conversations.get_mut(&id) {
            let bytes = message.bytes.len() + OVERHEAD;
            if conversation.messages.len() >= MOST_MESSAGES || conversation.bytes + bytes > MOST_BYTES {
                conversation.left_out = conversation.left_out.saturating_add(1);
                return id;
            }
            let failed_now = conversation.kind == Kind::Register && refused(&message.bytes);
            conversation.bytes += bytes;
            conversation.messages.push(message);
            let shelf = conversation.shelf;
            self.row(shelf).bytes += bytes;
            if failed_now && shelf == Shelf::Register {
                self.shelve(id, Shelf::FailedRegister);
            }
        }
        self.forget_oldest();
        id
    }

    /// Takes an event of a call in.
    pub fn event(&mut self, at: Utc, call: CallId, event: Event) -> Option<u64> {
        if let Event::Leg { side, call_id, peer } = &event {
            self.link(call, *side, call_id, peer.as_ref());
        }
        let id = *self.by_call.get(&call)?;
        let conversation = self.conversations.get_mut(&id)?;
        let end = match &event {
            Event::Ended { reason, answered } => Some(*answered && *reason == EndReason::NormalRelease),
            _ => None,
        };
        if conversation.events.len() < MOST_EVENTS || end.is_some() {
            conversation.events.push((at, event));
            conversation.bytes += OVERHEAD;
            let shelf = conversation.shelf;
            self.row(shelf).bytes += OVERHEAD;
        }
        match end {
            Some(true) => self.shelve(id, Shelf::Done),
            Some(false) => self.shelve(id, Shelf::Failed),
            None => {}
        }
        Some(id)
    }

    /// Takes figures of a call's media in, about once a second.
    pub fn media(&mut self, call: CallId, sample: MediaSample) {
        let Some(conversation) = self.by_call.get(&call).and_then(|id| self.conversations.get_mut(id)) else {
            return;
        };
        conversation.skipped_samples += 1;
        if conversation.skipped_samples < conversation.sample_every {
            return;
        }
        conversation.skipped_samples = 0;
        if conversation.media.len() >= MOST_SAMPLES {
            let mut place = 0;
            conversation.media.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            conversation.sample_every = conversation.sample_every.saturating_mul(2);
        }
        conversation.media.push(sample);
    }

    pub fn of_call(&self, call: CallId) -> Option<&Capture> {
        self.conversations.get(self.by_call.get(&call)?)
    }

    pub fn get(&self, id: u64) -> Option<&Capture> {
        self.conversations.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Capture> {
        self.conversations.get_mut(&id)
    }

    /// Marks a conversation as one that is written to the trace; false when it was already.
    pub fn start_tracing(&mut self, id: u64) -> bool {
        self.get_mut(id).is_some_and(|c| !std::mem::replace(&mut c.traced, true))
    }

    pub fn is_traced(&self, id: u64) -> bool {
        self.get(id).is_some_and(|c| c.traced)
    }

    /// No conversation of this kind is written to the trace any more.
    pub fn stop_tracing(&mut self, register: bool) {
        for c in self.conversations.values_mut().filter(|c| (c.kind == Kind::Register) == register) {
            c.traced = false;
        }
    }

    /// The newest captures that fit, newest first.
    pub fn find(&self, kind: Kind, filter: &Filter, most: usize) -> Vec<(u64, &Capture)> {
        let mut found: Vec<(u64, &Capture)> = self
            .conversations
            .iter()
            .filter(|(_, c)| c.kind == kind && filter.fits(c))
            .map(|(id, c)| (*id, c))
            .collect();
        found.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        found.truncate(most);
        found
    }

    /// Conversations and bytes held.
    pub fn size(&self) -> (usize, usize) {
        (self.conversations.len(), self.rows.iter().map(|r| r.bytes).sum())
    }

    fn begin(&mut self, call_id: &str, message: &[u8]) -> (u64, usize) {
        self.next += 1;
        let (id, call_id) = (self.next, Arc::<str>::from(call_id));
        let register = message.starts_with(b"REGISTER ") || is_register_response(message);
        let (kind, shelf) =
            if register { (Kind::Register, Shelf::Register) } else { (Kind::Other, Shelf::Other) };
        let leg = Leg { side: Side::A, call_id: call_id.clone(), peer: None };
        let conversation = Capture {
            call: None,
            legs: vec![leg],
            messages: Vec::new(),
            events: Vec::new(),
            media: Vec::new(),
            left_out: 0,
            kind,
            bytes: OVERHEAD,
            shelf,
            skipped_samples: 0,
            sample_every: 1,
            traced: false,
        };
        self.conversations.insert(id, conversation);
        self.by_call_id.insert(call_id, (id, 0));
        let row = self.row(shelf);
        row.order.push_back(id);
        row.bytes += OVERHEAD;
        (id, 0)
    }

    /// A leg belongs to a call from now on.
    fn link(&mut self, call: CallId, side: Side, call_id: &Arc<str>, peer: Option<&Arc<str>>) {
        if let Some(id) = self.by_call.get(&call).copied() {
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.legs.push(Leg { side, call_id: call_id.clone(), peer: peer.cloned() });
                let leg = conversation.legs.len() - 1;
                self.by_call_id.insert(call_id.clone(), (id, leg));
            }
            return;
        }
        let id = match self.by_call_id.get(call_id).copied() {
            Some((id, _)) if self.get(id).is_some_and(|c| c.call.is_none()) => id,
            Some((id, _)) => self.split(id, call_id),
            None => self.begin(call_id, b"").0,
        };
        if let Some(conversation) = self.conversations.get_mut(&id) {
            (conversation.call, conversation.kind) = (Some(call), Kind::Call);
            if let Some(leg) = conversation.legs.first_mut() {
                (leg.side, leg.peer) = (side, peer.cloned());
            }
        }
        self.by_call.insert(call, id);
        self.shelve(id, Shelf::Live);
    }

    /// A Call-ID is used again for another call: what came since its last INVITE is the new call's.
    fn split(&mut self, old: u64, call_id: &Arc<str>) -> u64 {
        self.by_call_id.remove(call_id);
        let (new, _) = self.begin(call_id, b"");
        let Some(conversation) = self.conversations.get_mut(&old) else { return new };
        let last = conversation.messages.iter().rposition(|m| m.incoming && m.bytes.starts_with(b"INVITE "));
        let mut moved = last.map(|at| conversation.messages.split_off(at)).unwrap_or_default();
        moved.iter_mut().for_each(|m| m.leg = 0);
        let bytes: usize = moved.iter().map(|m| m.bytes.len() + OVERHEAD).sum();
        conversation.bytes = conversation.bytes.saturating_sub(bytes);
        let (from, to) = (conversation.shelf, Shelf::Other);
        self.row(from).bytes = self.row(from).bytes.saturating_sub(bytes);
        self.row(to).bytes += bytes;
        if let Some(conversation) = self.conversations.get_mut(&new) {
            conversation.messages = moved;
            conversation.bytes += bytes;
        }
        new
    }

    fn row(&mut self, shelf: Shelf) -> &mut Row {
        &mut self.rows[shelf as usize]
    }

    fn shelve(&mut self, id: u64, to: Shelf) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let (from, bytes) = (std::mem::replace(&mut conversation.shelf, to), conversation.bytes);
        if from != to {
            self.row(from).bytes = self.row(from).bytes.saturating_sub(bytes);
            self.row(to).bytes += bytes;
            self.row(to).order.push_back(id);
        }
    }

    fn forget_oldest(&mut self) {
        let calls = |s: &mut CaptureStore| s.row(Shelf::Live).bytes + s.row(Shelf::Done).bytes;
        while calls(self) > self.budget.calls && (self.forget(Shelf::Done) || self.forget(Shelf::Live)) {}
        while self.row(Shelf::Failed).bytes > self.budget.failed && self.forget(Shelf::Failed) {}
        let registers =
            |s: &mut CaptureStore| s.row(Shelf::Register).bytes + s.row(Shelf::FailedRegister).bytes;
        while registers(self) > self.budget.registers
            && (self.forget(Shelf::Register) || self.forget(Shelf::FailedRegister))
        {}
        while self.row(Shelf::Other).bytes > self.budget.other && self.forget(Shelf::Other) {}
    }

    /// Drops the oldest conversation of a shelf; false when it is empty.
    fn forget(&mut self, shelf: Shelf) -> bool {
        while let Some(id) = self.row(shelf).order.pop_front() {
            // It may have moved to another shelf since.
            if self.get(id).is_none_or(|c| c.shelf != shelf) {
                continue;
            }
            if let Some(conversation) = self.conversations.remove(&id) {
                self.row(shelf).bytes = self.row(shelf).bytes.saturating_sub(conversation.bytes);
                for leg in &conversation.legs {
                    if self.by_call_id.get(&leg.call_id).is_some_and(|(of, _)| *of == id) {
                        self.by_call_id.remove(&leg.call_id);
                    }
                }
                if let Some(call) = conversation.call {
                    self.by_call.remove(&call);
                }
            }
            return true;
        }
        false
    }
}

impl Capture {
    /// Whose call it is, as last told.
    pub fn parties(&self) -> Option<(Option<&str>, Option<&str>, &str, &str)> {
        self.events.iter().rev().find_map(|(_, event)| match event {
            Event::Parties { account, gateway, caller, called } => {
                Some((account.as_deref(), gateway.as_deref(), caller.as_ref(), called.as_ref()))
            }
            _ => None,
        })
    }

    /// The one id by which both legs are found together: the caller's Call-ID.
    pub fn correlation(&self) -> &str {
        self.legs.first().map_or("", |leg| &leg.call_id)
    }

    /// Did it end otherwise than by a normal release after an answer, or was it refused?
    pub fn failed(&self) -> bool {
        matches!(self.shelf, Shelf::Failed | Shelf::FailedRegister)
    }
}

impl Filter {
    pub fn fits(&self, capture: &Capture) -> bool {
        let parties = capture.parties();
        let account = |wanted: &String| parties.is_some_and(|(a, ..)| a == Some(wanted));
        let gateway = |wanted: &String| {
            let mapping = parties.is_some_and(|(_, g, ..)| g == Some(wanted));
            mapping || capture.legs.iter().any(|l| l.peer.as_deref() == Some(wanted))
        };
        let number = |wanted: &String| match parties {
            Some((_, _, caller, called)) => {
                caller.contains(wanted.as_str()) || called.contains(wanted.as_str())
            }
            None => capture.messages.first().is_some_and(|m| to_user(&m.bytes).contains(wanted.as_str())),
        };
        let address = |wanted: &IpAddr| {
            capture.messages.iter().any(|m| m.remote.ip().to_canonical() == wanted.to_canonical())
        };
        self.account.as_ref().is_none_or(account)
            && self.gateway.as_ref().is_none_or(gateway)
            && self.number.as_ref().is_none_or(number)
            && self.address.as_ref().is_none_or(address)
    }
}

/// The user in the To header: of a REGISTER, whose it is.
pub(crate) fn to_user(bytes: &[u8]) -> String {
    let message = sip::Message::parse(bytes).ok();
    let user =
        message.and_then(|m| m.to().and_then(|to| Some(sip::uri::Uri::parse(to.uri)?.user_unescaped())));
    user.unwrap_or_default()
}

/// The Call-ID, found without parsing the rest.
pub fn call_id(bytes: &[u8]) -> Option<&str> {
    for line in bytes.split(|b| *b == b'\n') {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return None;
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let name = line.get(..colon)?.trim_ascii();
        if name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i") {
            return std::str::from_utf8(line.get(colon + 1..)?.trim_ascii()).ok();
        }
    }
    None
}

fn cseq_is_register(bytes: &[u8]) -> bool {
    let head = crate::mask::find(bytes, b"\r\n\r\n").map_or(bytes, |end| &bytes[..end]);
    head.split(|b| *b == b'\n').any(|line| {
        line.get(..5).is_some_and(|n| n.eq_ignore_ascii_case(b"cseq:"))
            && line.trim_ascii_end().ends_with(b"REGISTER")
    })
}

fn is_register_response(bytes: &[u8]) -> bool {
    bytes.starts_with(b"SIP/2.0 ") && cseq_is_register(bytes)
}

/// A final refusal that is no challenge; a challenge is the way of every registration.
fn refused(bytes: &[u8]) -> bool {
    let status = bytes.strip_prefix(b"SIP/2.0 ").and_then(|rest| rest.get(..3));
    let status: u16 = status.and_then(|s| std::str::from_utf8(s).ok()?.parse().ok()).unwrap_or(0);
    status >= 300 && !matches!(status, 401 | 407 | 423)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(call_id: &str, start: &str, incoming: bool) -> Message {
        let text = format!("{start}\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n");
        Message {
            at: Utc(0),
            leg: 0,
            incoming,
            transport: Transport::Udp,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: "10.0.0.2:5060".parse().unwrap(),
            connection: 0,
            bytes: text.as_bytes().into(),
        }
    }

    fn leg(side: Side, call_id: &str) -> Event {
        Event::Leg { side, call_id: call_id.into(), peer: None }
    }

    fn ended(reason: EndReason, answered: bool) -> Event {
        Event::Ended { reason, answered }
    }

    #[test]
    fn both_legs_are_one_capture() {
        let mut store = CaptureStore::default();
        store.message(message("a", "INVITE sip:1 SIP/2.0", true));
        store.event(Utc(1), CallId(1), leg(Side::A, "a"));
        store.event(Utc(2), CallId(1), leg(Side::B, "b"));
        store.message(message("b", "INVITE sip:2 SIP/2.0", false));
        store.message(message("other", "OPTIONS sip:2 SIP/2.0", true));
        let call = store.of_call(CallId(1)).unwrap();
        assert_eq!(call.messages.iter().map(|m| m.leg).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((call.correlation(), call.kind), ("a", Kind::Call));
        assert_eq!(store.find(Kind::Other, &Filter::default(), 9).len(), 1);
    }

    #[test]
    fn a_call_id_used_again_is_another_call() {
        let mut store = CaptureStore::default();
        store.message(message("a", "INVITE sip:1 SIP/2.0", true));
        store.event(Utc(1), CallId(1), leg(Side::A, "a"));
        store.event(Utc(1), CallId(1), ended(EndReason::CalleeBusy, false));
        store.message(message("a", "INVITE sip:1 SIP/2.0", true));
        store.event(Utc(1), CallId(2), leg(Side::A, "a"));
        for call in [1, 2] {
            assert_eq!(store.of_call(CallId(call)).unwrap().messages.len(), 1, "{call}");
        }
    }

    #[test]
    fn failed_calls_outlive_good_ones_and_all_is_bounded() {
        let budget = Budget { calls: 20_000, failed: 20_000, registers: 20_000, other: 20_000 };
        let mut store = CaptureStore::new(budget);
        for n in 0..1000u64 {
            let id = format!("c{n}");
            store.message(message(&id, "INVITE sip:1 SIP/2.0", true));
            store.event(Utc(1), CallId(n), leg(Side::A, &id));
            let end = if n == 900 {
                ended(EndReason::InviteTimeout, false)
            } else {
                ended(EndReason::NormalRelease, true)
            };
            store.event(Utc(2), CallId(n), end);
            store.message(message(&format!("o{n}"), "OPTIONS sip:1 SIP/2.0", true));
            store.message(message(&format!("r{n}"), "REGISTER sip:1 SIP/2.0", true));
        }
        assert!(store.of_call(CallId(900)).unwrap().failed());
        assert!(store.of_call(CallId(901)).is_none() && store.of_call(CallId(999)).is_some());
        let (count, bytes) = store.size();
        assert!(bytes <= 80_000 && count < 1000, "{count} {bytes}");
        assert_eq!(store.by_call_id.len(), count);
        let sum: usize = store.conversations.values().map(|c| c.bytes).sum();
        assert_eq!(sum, bytes);
    }

    #[test]
    fn one_conversation_is_bounded() {
        let mut store = CaptureStore::default();
        for _ in 0..2000 {
            store.message(message("a", "OPTIONS sip:1 SIP/2.0", true));
        }
        let capture = &store.find(Kind::Other, &Filter::default(), 9)[0].1;
        assert_eq!((capture.messages.len(), capture.left_out), (MOST_MESSAGES, 1600));
    }

    #[test]
    fn samples_thin_out() {
        let mut store = CaptureStore::default();
        store.event(Utc(1), CallId(1), leg(Side::A, "a"));
        for n in 0..3600 {
            store.media(CallId(1), MediaSample { at: Utc(n), ..MediaSample::default() });
        }
        let samples = &store.of_call(CallId(1)).unwrap().media;
        assert!(samples.len() <= MOST_SAMPLES && samples.len() >= MOST_SAMPLES / 2);
        assert!(samples.windows(2).all(|w| w[0].at < w[1].at) && samples[0].at == Utc(0));
    }

    #[test]
    fn call_ids_are_found() {
        assert_eq!(call_id(b"A\r\nI: x@y \r\n\r\n"), Some("x@y"));
        assert_eq!(call_id(b"A\r\nCALL-id:z\n\n"), Some("z"));
        assert_eq!(call_id(b"A\r\n\r\nCall-ID: body"), None);
        assert_eq!(call_id(b""), None);
    }
}
