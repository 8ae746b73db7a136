//! A user agent that lives by itself: places and takes calls by plan, with the retransmissions of RFC 3261, well
//! behaved or not. Sans-IO: messages and time in, messages and media out.

use super::dialog::{Dialog, Identity, Offer};
use crate::digest;
use crate::queue::Queue;
use crate::wire::{Message, Sdp};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use vocab::Tick;

/// RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);
const HOLD: Duration = Duration::from_secs(2);

/// What a caller will do.
#[derive(Clone, Debug)]
pub struct CallPlan {
    pub from: String,
    pub called: String,
    pub delayed_offer: bool,
    pub cancel_after: Option<Duration>,
    /// After the answer.
    pub hang_up_after: Option<Duration>,
    pub hold_after: Option<Duration>,
    pub acknowledges: bool,
    pub answers_bye: bool,
    pub media: bool,
}

/// What a called side will do.
#[derive(Clone, Debug)]
pub struct AnswerPlan {
    /// Responses with their times after the INVITE.
    pub responses: Vec<Response>,
    pub hang_up_after: Option<Duration>,
    pub hold_after: Option<Duration>,
    pub answers_bye: bool,
    pub media: bool,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub after: Duration,
    pub status: u16,
    pub sdp: bool,
    /// Ending of the tag of a fork.
    pub fork: &'static str,
    pub headers: Vec<(String, String)>,
}

/// What the agent wants done.
#[derive(Debug)]
pub enum Act {
    Send(Vec<u8>),
    Audio { from: SocketAddr, to: Option<SocketAddr> },
}

/// What really happened, for the oracle.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub call_id: String,
    pub placed: Tick,
    /// When the 2xx arrived.
    pub answered: Option<Tick>,
    /// When the call was hung up here, or the other side's BYE arrived.
    pub ended: Option<Tick>,
    /// Final response to the INVITE; 0 for none.
    pub status: u16,
    /// This side withholds its ACK, so the other may not hang up for a while (RFC 3261 §15).
    pub unacknowledged: bool,
}

#[derive(Clone, Debug)]
enum Timer {
    Resend(String),
    ResendFinal(u32),
    Respond(usize),
    Cancel,
    HangUp,
    Hold,
    Resume,
}

struct Pending {
    bytes: Vec<u8>,
    method: String,
    interval: Duration,
    since: Tick,
}

struct Plan {
    hang_up_after: Option<Duration>,
    hold_after: Option<Duration>,
    acknowledges: bool,
    answers_bye: bool,
    media: bool,
    delayed_offer: bool,
    responses: Vec<Response>,
}

struct Call {
    dialog: Dialog,
    plan: Plan,
    truth: Truth,
    is_caller: bool,
    /// The INVITE that arrived and began the call.
    invite: Option<Message>,
    /// Our requests without a final response, by branch.
    pending: BTreeMap<String, Pending>,
    /// Our responses, by branch and method, for repeated requests.
    responses: BTreeMap<(String, String), Vec<u8>>,
    /// Our final response to an INVITE that waits for its ACK, with its generation, interval and start.
    unacknowledged: Option<(u32, Vec<u8>, Duration, Tick)>,
    generation: u32,
    /// ACKs that we sent, by CSeq of the INVITE, for repeated final responses.
    acks: BTreeMap<u32, Vec<u8>>,
    cancelled: bool,
    challenged: u32,
    over: bool,
}

pub struct Agent {
    pub who: Identity,
    switch: SocketAddr,
    pub credentials: Option<(String, String)>,
    calls: BTreeMap<String, Call>,
    timers: Queue<(String, Timer)>,
    acts: VecDeque<Act>,
    count: u32,
    /// Plans for calls that will arrive, first come first served; the last one stays.
    pub answer_plans: VecDeque<AnswerPlan>,
}

impl Agent {
    pub fn new(who: Identity, switch: SocketAddr) -> Agent {
        Agent {
            who,
            switch,
            credentials: None,
            calls: BTreeMap::new(),
            timers: Queue::default(),
            acts: VecDeque::new(),
            count: 0,
            answer_plans: VecDeque::new(),
        }
    }

    pub fn truths(&self) -> impl Iterator<Item = (&Truth, bool)> {
        self.calls.values().map(|c| (&c.truth, c.is_caller))
    }

    pub fn poll_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Tick> {
        self.timers.due()
    }

    // --- calling

    pub fn call(&mut self, now: Tick, plan: CallPlan) {
        self.count += 1;
        let mut dialog = Dialog::calling(&self.who, self.count, &plan.from, &plan.called, self.switch);
        let offer = (!plan.delayed_offer).then(Offer::default);
        let invite = dialog.request("INVITE", offer.as_ref());
        let id = dialog.id.clone();
        let unacknowledged = !plan.acknowledges;
        let truth = Truth { call_id: id.clone(), placed: now, unacknowledged, ..Truth::default() };
        if let Some(after) = plan.cancel_after {
            self.timers.put(now + after, (id.clone(), Timer::Cancel));
        }
        let plan = Plan {
            hang_up_after: plan.hang_up_after,
            hold_after: plan.hold_after,
            acknowledges: plan.acknowledges,
            answers_bye: plan.answers_bye,
            media: plan.media,
            delayed_offer: plan.delayed_offer,
            responses: Vec::new(),
        };
        let mut call = Call::new(dialog, plan, truth, true);
        self.request(now, &mut call, invite);
        self.calls.insert(id, call);
    }

    fn request(&mut self, now: Tick, call: &mut Call, message: Message) {
        let (branch, bytes) = (message.branch().to_string(), message.to_bytes());
        self.acts.push_back(Act::Send(bytes.clone()));
        self.timers.put(now + T1, (call.dialog.id.clone(), Timer::Resend(branch.clone())));
        let method = message.method().to_string();
        call.pending.insert(branch, Pending { bytes, method, interval: T1, since: now });
    }

    // --- messages

    /// A message arrived. Nonsense is ignored: who sent it will send again.
    pub fn handle_message(&mut self, now: Tick, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let id = message.call_id().to_string();
        let mut call = match self.calls.remove(&id) {
            Some(call) => call,
            None if message.method() == "INVITE" && message.is_request() => {
                match self.take_call(&message, now) {
                    Some(call) => call,
                    None => return,
                }
            }
            None if message.is_request() && message.method() != "ACK" => {
                let mut dialog = Dialog::called(&self.who, 0, &message);
                let gone = dialog.respond(&message, 481, None, "");
                return self.acts.push_back(Act::Send(gone.to_bytes()));
            }
            None => return,
        };
        if message.is_request() {
            self.on_request(now, &mut call, message);
        } else {
            self.on_response(now, &mut call, message);
        }
        self.calls.insert(id, call);
    }

    fn take_call(&mut self, invite: &Message, now: Tick) -> Option<Call> {
        let plan = match self.answer_plans.len() {
            0 => return None,
            1 => self.answer_plans.front().cloned()?,
            _ => self.answer_plans.pop_front()?,
        };
        self.count += 1;
        let dialog = Dialog::called(&self.who, self.count, invite);
        let truth = Truth { call_id: dialog.id.clone(), placed: now, ..Truth::default() };
        for (index, response) in plan.responses.iter().enumerate() {
            self.timers.put(now + response.after, (dialog.id.clone(), Timer::Respond(index)));
        }
        let plan = Plan {
            hang_up_after: plan.hang_up_after,
            hold_after: plan.hold_after,
            acknowledges: true,
            answers_bye: plan.answers_bye,
            media: plan.media,
            delayed_offer: false,
            responses: plan.responses,
        };
        Some(Call::new(dialog, plan, truth, false))
    }

    fn on_request(&mut self, now: Tick, call: &mut Call, message: Message) {
        let key = (message.branch().to_string(), message.method().to_string());
        if let Some(bytes) = call.responses.get(&key) {
            return self.acts.push_back(Act::Send(bytes.clone()));
        }
        if message.tag("To").is_some() && !call.dialog.is_ours(&message, "") {
            // For a fork, which does whatever it is asked to.
            if message.method() != "ACK" {
                self.respond(now, call, &message, 200, None, "");
            }
            return;
        }
        match message.method() {
            "INVITE" if call.invite.is_none() && !call.is_caller => {
                call.dialog.note(&message);
                call.invite = Some(message);
            }
            // A copy of the INVITE that began the call, before it had any response.
            "INVITE" if call.invite.as_ref().is_some_and(|i| i.branch() == message.branch()) => {}
            "ACK" => self.on_ack(now, call, &message),
            "CANCEL" => self.on_cancel(now, call, &message),
            "BYE" => {
                if call.plan.answers_bye {
                    self.respond(now, call, &message, 200, None, "");
                }
                self.end(now, call);
            }
            "INVITE" | "UPDATE" => {
                call.dialog.note(&message);
                let glare = call.pending.values().any(|p| p.method == "INVITE");
                let offered = Sdp::parse(&message.body).map(|s| s.direction);
                let direction = match offered.as_deref() {
                    Some("sendonly") => "recvonly",
                    Some("recvonly") => "sendonly",
                    Some("inactive") => "inactive",
                    _ => "sendrecv",
                };
                let answer = Offer { direction: direction.into(), ..Offer::default() };
                let wanted = message.method() == "INVITE" || offered.is_some();
                match glare {
                    true => self.respond(now, call, &message, 491, None, ""),
                    false => self.respond(now, call, &message, 200, wanted.then_some(&answer), ""),
                }
            }
            // RFC 3261 §12.2.2: a dialog that is over, or never was, is not known.
            "OPTIONS" if call.over || call.truth.status != 200 => {
                self.respond(now, call, &message, 481, None, "");
            }
            _ => self.respond(now, call, &message, 200, None, ""),
        }
    }

    fn respond(
        &mut self,
        now: Tick,
        call: &mut Call,
        request: &Message,
        status: u16,
        offer: Option<&Offer>,
        fork: &str,
    ) {
        let response = call.dialog.respond(request, status, offer, fork);
        self.answer(now, call, request, response);
    }

    fn answer(&mut self, now: Tick, call: &mut Call, request: &Message, response: Message) {
        let bytes = response.to_bytes();
        let key = (request.branch().to_string(), request.method().to_string());
        call.responses.insert(key, bytes.clone());
        self.acts.push_back(Act::Send(bytes.clone()));
        if request.method() == "INVITE" && response.status() >= 200 {
            call.generation += 1;
            call.unacknowledged = Some((call.generation, bytes, T1, now));
            self.timers.put(now + T1, (call.dialog.id.clone(), Timer::ResendFinal(call.generation)));
        }
    }

    fn on_ack(&mut self, now: Tick, call: &mut Call, message: &Message) {
        if call.unacknowledged.take().is_none() || call.is_caller {
            return;
        }
        if let Some(sdp) = Sdp::parse(&message.body) {
            call.dialog.remote_sdp = Some(sdp);
        }
        if call.truth.status == 200 && call.truth.answered.is_none() {
            call.truth.answered = Some(now);
            self.start_talk(now, call);
        }
    }

    fn on_cancel(&mut self, now: Tick, call: &mut Call, message: &Message) {
        self.respond(now, call, message, 200, None, "");
        if call.truth.status == 0
            && let Some(invite) = call.invite.clone()
        {
            call.truth.status = 487;
            self.respond(now, call, &invite, 487, None, "");
            self.end(now, call);
        }
    }

    fn on_response(&mut self, now: Tick, call: &mut Call, message: Message) {
        let (cseq, method) = (message.cseq().0, message.method().to_string());
        if let Some(ack) = call.acks.get(&cseq).filter(|_| method == "INVITE" && message.status() >= 200) {
            return self.acts.push_back(Act::Send(ack.clone()));
        }
        let Some(pending) = call.pending.get_mut(message.branch()) else { return };
        if message.status() < 200 {
            // RFC 3261 §17.1.1.2: a provisional ends the copies of an INVITE.
            if method == "INVITE" {
                pending.interval = Duration::ZERO;
            }
            return call.dialog.note(&message);
        }
        let first = call.truth.status == 0;
        call.pending.remove(message.branch());
        call.dialog.note(&message);
        if method == "INVITE" {
            self.on_final(now, call, &message, first);
        }
    }

    fn on_final(&mut self, now: Tick, call: &mut Call, message: &Message, first: bool) {
        let accepted = message.status() < 300;
        let answer = (first && accepted && call.plan.delayed_offer).then(Offer::default);
        if (call.plan.acknowledges || !accepted)
            && let Some(ack) = call.dialog.ack(accepted, answer.as_ref())
        {
            let bytes = ack.to_bytes();
            call.acks.insert(message.cseq().0, bytes.clone());
            self.acts.push_back(Act::Send(bytes));
        }
        if !first {
            return;
        }
        if matches!(message.status(), 401 | 407) && call.challenged < 2 && self.credentials.is_some() {
            return self.sign_in(now, call, message);
        }
        call.truth.status = message.status();
        if !accepted {
            return self.end(now, call);
        }
        call.truth.answered = Some(now);
        if call.cancelled {
            return self.hang_up(now, call);
        }
        self.start_talk(now, call);
    }

    fn sign_in(&mut self, now: Tick, call: &mut Call, message: &Message) {
        call.challenged += 1;
        let proxy = message.status() == 407;
        let (asked, given) = match proxy {
            true => ("Proxy-Authenticate", "Proxy-Authorization"),
            false => ("WWW-Authenticate", "Authorization"),
        };
        let (Some(challenge), Some((username, password)), Some(invite)) =
            (message.header(asked), &self.credentials, &call.dialog.invite)
        else {
            return;
        };
        let answer =
            digest::Answer { username, password, method: "INVITE", uri: invite.uri(), nonce_count: 1 };
        let value = answer.to(challenge);
        if let Some(again) = call.dialog.invite_again(given, value) {
            self.request(now, call, again);
        }
    }

    fn start_talk(&mut self, now: Tick, call: &mut Call) {
        let id = || call.dialog.id.clone();
        for (after, timer) in [(call.plan.hang_up_after, Timer::HangUp), (call.plan.hold_after, Timer::Hold)]
        {
            if let Some(after) = after {
                self.timers.put(now + after, (id(), timer));
            }
        }
        let to = call.dialog.remote_sdp.as_ref().and_then(|s| s.media);
        if call.plan.media && to.is_some() {
            self.acts.push_back(Act::Audio { from: call.dialog.media, to });
        }
    }

    fn hang_up(&mut self, now: Tick, call: &mut Call) {
        if !call.over {
            let bye = call.dialog.request("BYE", None);
            self.request(now, call, bye);
            self.end(now, call);
        }
    }

    fn end(&mut self, now: Tick, call: &mut Call) {
        if !std::mem::replace(&mut call.over, true) {
            call.truth.ended = Some(now);
            self.acts.push_back(Act::Audio { from: call.dialog.media, to: None });
        }
    }

    // --- timers

    pub fn handle_timeout(&mut self, now: Tick) {
        while let Some((id, timer)) = self.timers.take(now) {
            let Some(mut call) = self.calls.remove(&id) else { continue };
            self.on_timer(now, &mut call, timer);
            self.calls.insert(id, call);
        }
    }

    fn on_timer(&mut self, now: Tick, call: &mut Call, timer: Timer) {
        match timer {
            Timer::Resend(branch) => self.resend(now, call, branch),
            Timer::ResendFinal(generation) => self.resend_final(now, call, generation),
            Timer::Respond(index) => self.respond_by_plan(now, call, index),
            Timer::Cancel => {
                if call.truth.status == 0 && !std::mem::replace(&mut call.cancelled, true) {
                    self.cancel(now, call);
                }
            }
            Timer::HangUp => self.hang_up(now, call),
            Timer::Hold | Timer::Resume if call.over => {}
            Timer::Hold => {
                self.reinvite(now, call, "sendonly");
                self.timers.put(now + HOLD, (call.dialog.id.clone(), Timer::Resume));
            }
            Timer::Resume => self.reinvite(now, call, "sendrecv"),
        }
    }

    /// RFC 3261 §9.1: a CANCEL waits for the first provisional.
    fn cancel(&mut self, now: Tick, call: &mut Call) {
        let heard = call.pending.values().any(|p| p.method == "INVITE" && p.interval.is_zero());
        if !heard {
            call.cancelled = false;
            let waiting = call.pending.values().any(|p| p.method == "INVITE");
            if waiting {
                self.timers.put(now + T1, (call.dialog.id.clone(), Timer::Cancel));
            }
            return;
        }
        if let Some(cancel) = call.dialog.cancel() {
            // It shares its branch with the INVITE; its copies are few, so it gets no transaction of its own.
            self.acts.push_back(Act::Send(cancel.to_bytes()));
            self.acts.push_back(Act::Send(cancel.to_bytes()));
            self.acts.push_back(Act::Send(cancel.to_bytes()));
        }
    }

    fn reinvite(&mut self, now: Tick, call: &mut Call, direction: &str) {
        if call.pending.is_empty() && call.truth.answered.is_some() {
            let offer = Offer { direction: direction.into(), ..Offer::default() };
            let invite = call.dialog.request("INVITE", Some(&offer));
            self.request(now, call, invite);
        }
    }

    fn resend(&mut self, now: Tick, call: &mut Call, branch: String) {
        let Some(pending) = call.pending.get_mut(&branch) else { return };
        let proceeding = pending.interval.is_zero();
        if proceeding {
            return;
        }
        if now.since(pending.since) >= GIVE_UP {
            let method = call.pending.remove(&branch).map(|p| p.method);
            if method.as_deref() == Some("INVITE") && call.truth.status == 0 {
                self.end(now, call);
            }
            return;
        }
        pending.interval = match pending.method.as_str() {
            "INVITE" => pending.interval * 2,
            _ => (pending.interval * 2).min(T2),
        };
        self.acts.push_back(Act::Send(pending.bytes.clone()));
        self.timers.put(now + pending.interval, (call.dialog.id.clone(), Timer::Resend(branch)));
    }

    fn resend_final(&mut self, now: Tick, call: &mut Call, generation: u32) {
        let Some((latest, bytes, interval, since)) = &mut call.unacknowledged else { return };
        if *latest != generation {
            return;
        }
        if now.since(*since) >= GIVE_UP {
            call.unacknowledged = None;
            // RFC 3261 §13.3.1.4: a 2xx that nobody acknowledges ends with BYE.
            if call.truth.status == 200 {
                self.hang_up(now, call);
            }
            return;
        }
        *interval = (*interval * 2).min(T2);
        let next = now + *interval;
        self.acts.push_back(Act::Send(bytes.clone()));
        self.timers.put(next, (call.dialog.id.clone(), Timer::ResendFinal(generation)));
    }

    fn respond_by_plan(&mut self, now: Tick, call: &mut Call, index: usize) {
        let (Some(response), Some(invite)) = (call.plan.responses.get(index).cloned(), call.invite.clone())
        else {
            return;
        };
        let forked = !response.fork.is_empty() && call.truth.status == 200;
        if call.truth.status != 0 && !forked {
            return;
        }
        let offer = response.sdp.then(Offer::default);
        let mut message = call.dialog.respond(&invite, response.status, offer.as_ref(), response.fork);
        message.headers.extend(response.headers);
        if forked {
            return self.acts.push_back(Act::Send(message.to_bytes()));
        }
        if response.status >= 200 {
            call.truth.status = response.status;
        }
        self.answer(now, call, &invite, message);
        if response.status >= 300 {
            self.end(now, call);
        }
    }
}

impl Call {
    fn new(dialog: Dialog, plan: Plan, truth: Truth, is_caller: bool) -> Call {
        Call {
            dialog,
            plan,
            truth,
            is_caller,
            invite: None,
            pending: BTreeMap::new(),
            responses: BTreeMap::new(),
            unacknowledged: None,
            generation: 0,
            acks: BTreeMap::new(),
            cancelled: false,
            challenged: 0,
            over: false,
        }
    }
}
