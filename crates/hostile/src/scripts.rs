//! The whole switch: messages of several peers, time, crashes, an operator; judged by the oracle I1–I8.
//!
//! A script is text. Each step begins with `>> ` and a word; what follows the line is the message of the peer it names:
//!
//! | step | meaning |
//! | --- | --- |
//! | `alice`, `bob`, `v1`, `v2`, `mallory` | that peer sends the message below |
//! | `wait 5000` | milliseconds pass |
//! | `talk v1`, `hush v1` | media starts or stops, to where the switch last said |
//! | `crash`, `kill`, `pay`, `full`, `ok` | the process dies; the operator ends the latest call, pays; the disk is full or no longer |
//!
//! In messages `@` and a letter stand for what the peer has heard last: of a request `@V` top Via, `@F` From, `@G` To, `@C`
//! Call-ID, `@Q` CSeq; `@W` and `@R` Via and CSeq of the last INVITE; `@O` To of the last response; `@K` the last Contact.

use crate::endpoint::{split, substitute};
use sim::business::Business;
use sim::facts;
use sim::wire::{Message, Sdp};
use sim::world::{Happening, World};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use switch::live::LiveUpdate;
use switch::{ControlRequest, Record};
use vocab::{CallId, EndReason, Money};

const BUSINESS: &str = "
customer acme prepaid 1.00 880=0.0600/6/6 44=0.0120/1/1/fee:0.01
customer beta prepaid 0.05 880=0.0600/1/1 44=0.0300/30/6
caller alice of acme
caller bob of beta password bob:secret
vendor v1 prio 1 880=0.0200/1/1 44=0.0080/1/1 redirects password tandem:geheim
vendor v2 prio 2 tcp 880=0.0250/6/6
stranger mallory
param SS_MEDIAPROXYMODE=On SS_MAX_CALL_DURATION=60 SS_SIP_TIMEOUT_RINGING=20 SS_MEDIA_CHECK_TIMEOUT=10
";

/// Longer than any call, and any transaction after it.
const AFTERMATH: Duration = Duration::from_secs(200);
const MAX_STEPS: usize = 60;
const MAX_BYTES: usize = 65_536;
const MAX_WAIT_MS: u64 = 120_000;

/// What a peer has heard last.
#[derive(Default)]
struct Heard {
    request: Option<Message>,
    invite: Option<Message>,
    response: Option<Message>,
    contact: String,
    media: Option<SocketAddr>,
}

struct Play {
    world: World,
    heard: BTreeMap<SocketAddr, Heard>,
    latest: CallId,
}

pub fn switch(bytes: &[u8]) {
    if bytes.len() > MAX_BYTES {
        return;
    }
    let world = World::new(Business::parse(BUSINESS).unwrap(), 1).unwrap();
    let mut play = Play { world, heard: BTreeMap::new(), latest: CallId(0) };
    for step in split(bytes, b">> ").into_iter().skip(1).take(MAX_STEPS) {
        play.step(step);
        play.pass(Duration::from_millis(10));
    }
    play.world.set_disk_full(false);
    play.pass(AFTERMATH);
    play.judge();
}

impl Play {
    fn step(&mut self, step: &[u8]) {
        let end = step.iter().position(|b| *b == b'\n').unwrap_or(step.len());
        let (line, body) = step.split_at(end);
        let line = String::from_utf8_lossy(line);
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match word {
            "wait" => self.pass(Duration::from_millis(rest.parse().unwrap_or(0).min(MAX_WAIT_MS))),
            "talk" | "hush" => self.media(rest, word == "talk"),
            "crash" if self.world.crashes < 2 => self.world.crash(Duration::ZERO),
            "full" | "ok" => self.world.set_disk_full(word == "full"),
            "kill" => self.operate(ControlRequest::Disconnect {
                call: self.latest,
                by: "fuzz".into(),
                reason: String::new(),
            }),
            "pay" => self.pay(),
            peer => self.send(peer, body.get(1..).unwrap_or_default()),
        }
    }

    fn operate(&mut self, request: ControlRequest) {
        self.world.control(request);
    }

    fn pay(&mut self) {
        let account = self.world.business.account("beta").unwrap_or_default();
        let (by, note, key) = ("fuzz".into(), String::new(), None);
        let kind = billing::PostingKind::Payment;
        self.operate(ControlRequest::Pay { account, kind, amount: Money(1_000_000), by, note, key });
    }

    fn send(&mut self, name: &str, message: &[u8]) {
        let Some(party) = self.world.business.parties.get(name).cloned() else { return };
        let heard = self.heard.entry(party.address).or_default();
        let of = |message: &Option<Message>, name: &str| {
            message.as_ref().and_then(|m| m.header(name)).unwrap_or("x").to_owned()
        };
        let bytes = substitute(message, |letter| match letter {
            b'V' => of(&heard.request, "Via"),
            b'F' => of(&heard.request, "From"),
            b'G' => of(&heard.request, "To"),
            b'C' => of(&heard.request, "Call-ID"),
            b'Q' => of(&heard.request, "CSeq"),
            b'W' => of(&heard.invite, "Via"),
            b'R' => of(&heard.invite, "CSeq"),
            b'O' => of(&heard.response, "To"),
            b'K' => heard.contact.clone(),
            other => char::from(other).to_string(),
        });
        self.world.send(party.address, party.transport, bytes);
    }

    fn media(&mut self, name: &str, on: bool) {
        let Some(party) = self.world.business.parties.get(name).cloned() else { return };
        let to = self.heard.get(&party.address).and_then(|h| h.media).filter(|_| on);
        self.world.audio(SocketAddr::new(party.address.ip(), 4000), to);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.world.now() + time;
        while let Some(happening) = self.world.next(until) {
            match happening {
                Happening::Message { to, bytes } => self.hear(to, &bytes),
                Happening::Live(LiveUpdate::Call(call)) => self.latest = call.call,
                _ => {}
            }
            let (held, calls) =
                (self.world.switch().ledger().open_reservations(), self.world.switch().calls());
            assert!(held <= calls, "I4: {held} reservations for {calls} calls");
        }
    }

    fn hear(&mut self, to: SocketAddr, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let known = self.world.business.parties.values().any(|p| p.address.ip() == to.ip());
        assert!(known || !text.contains("Authorization:"), "credentials went to {to}:\n{text}");
        let Ok(message) = Message::parse(bytes) else { panic!("the switch sent nonsense:\n{text}") };
        let heard = self.heard.entry(to).or_default();
        if let Some(contact) = message.contact() {
            heard.contact = contact.to_owned();
        }
        if let Some(sdp) = Sdp::parse(&message.body) {
            heard.media = sdp.media;
        }
        if !message.is_request() {
            heard.response = Some(message);
            return;
        }
        if message.method() == "INVITE" {
            heard.invite = Some(message.clone());
        }
        heard.request = Some(message);
    }

    fn judge(&self) {
        facts::idle(&self.world).unwrap_or_else(|e| panic!("I1/I4/I6: {e}"));
        let held = self.world.switch().footprint().sip;
        assert_eq!((held.legs, held.transactions), (0, 0), "I6/I8: {held:?}");
        let (mut open, mut ended) = (BTreeSet::new(), BTreeSet::new());
        for (_, record) in self.world.disk.records() {
            match record {
                Record::Answered(answered) => drop(open.insert(answered.call)),
                Record::Ended { cdr, .. } => {
                    open.remove(&cdr.call);
                    assert!(ended.insert(cdr.call), "I2: two CDRs of {}", cdr.call);
                    facts::judge_charge(cdr, &params::Params::default())
                        .unwrap_or_else(|e| panic!("I3: {e}"));
                    let restarted = cdr.end_text.as_deref().is_some_and(|t| t.contains("restart"));
                    assert!(
                        cdr.end_reason != EndReason::InternalError || restarted,
                        "I7: {:?}",
                        cdr.end_text
                    );
                }
                Record::Posted(_) | Record::Alive { .. } | Record::Placed(_) => {}
                Record::Confirmed(_) | Record::Figures { .. } | Record::Dropped(_) => {}
                Record::Registered(_) => {}
            }
        }
        assert!(open.is_empty(), "I2: answered, and no CDR: {open:?}");
        let quantum = if self.world.crashes > 0 { Money(10_000_000) } else { Money::ZERO };
        for name in ["acme", "beta"] {
            let account = self.world.business.account(name).unwrap_or_default();
            let balance = self.world.switch().ledger().balance(billing::ledger::Book::Account(account));
            assert!(balance.0 >= -quantum.0, "I5: {name} has {balance}");
        }
    }
}
