//! Plays a scenario against a world and judges it.

use super::grammar::{Check, Details, Line, Operator, Scenario, Step, What, Who};
use crate::business::{Business, Party};
use crate::digest;
use crate::facts;
use crate::peer::{Dialog, Identity, Offer};
use crate::wire::{self, Message, Sdp};
use crate::world::{Happening, SIP_PORT, SWITCH_V4, SWITCH_V6, World};
use billing::PostingKind;
use billing::ledger::Book;
use cdr::Cdr;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use switch::live::LiveUpdate;
use switch::{ControlId, ControlReply, ControlRequest};
use vocab::{AccountId, CallId, Money, Tick};

/// How long an expected message may take when the line does not say.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nothing may come at the end before the switch must be idle: longer than every transaction (64×T1) and
/// the life of a closed dialog.
const AFTERMATH: Duration = Duration::from_secs(70);

/// Seed of all scenarios: none may depend on it.
const SEED: u64 = 1;

/// Runs one scenario; an error says what went wrong and prints the ladder. A scenario with an open bug must fail, so
/// that its mark goes when the bug does.
pub fn run(scenario: &Scenario) -> Result<(), String> {
    match (play(scenario), &scenario.open_bug) {
        (Ok(()), Some(bug)) => {
            Err(format!("scenario {:?} holds; remove its mark \"bug: {bug}\"\n", scenario.name))
        }
        (Err(_), Some(_)) => Ok(()),
        (verdict, None) => verdict,
    }
}

fn play(scenario: &Scenario) -> Result<(), String> {
    let mut runner = Runner::new(scenario)?;
    for line in &scenario.steps {
        if let Err(error) = runner.step(&line.step) {
            return Err(runner.report(scenario, Some(line), &error));
        }
    }
    runner.aftermath().map_err(|error| runner.report(scenario, None, &error))
}

/// A message that a peer got.
#[derive(Debug)]
struct Received {
    at: Tick,
    call: u32,
    message: Message,
    resent: bool,
}

/// One for each algorithm, and how often they were answered.
#[derive(Debug, Default)]
struct Challenges {
    status: u16,
    values: Vec<String>,
    answered: u32,
}

struct Runner {
    world: World,
    calls: BTreeMap<Who, Dialog>,
    inbox: BTreeMap<String, VecDeque<Received>>,
    /// All that a peer ever got, to tell retransmissions.
    seen: BTreeMap<String, Vec<Vec<u8>>>,
    last_sent: BTreeMap<String, Vec<u8>>,
    /// The latest challenges of each call.
    challenges: BTreeMap<Who, Challenges>,
    /// When the last step ended.
    mark: Tick,
    /// CDRs that `cdr:` lines have accounted for.
    cdrs_read: usize,
    latest_call: Option<CallId>,
    asked: VecDeque<ControlId>,
    replies: BTreeMap<ControlId, ControlReply>,
    rungs: Vec<String>,
}

impl Runner {
    fn new(scenario: &Scenario) -> Result<Runner, String> {
        let within = |e| format!("scenario {:?}: {e}", scenario.name);
        let business = Business::parse(&scenario.config).map_err(within)?;
        let world = World::new(business, SEED).map_err(within)?;
        let mark = world.now();
        Ok(Runner {
            world,
            calls: BTreeMap::new(),
            inbox: BTreeMap::new(),
            seen: BTreeMap::new(),
            last_sent: BTreeMap::new(),
            challenges: BTreeMap::new(),
            mark,
            cdrs_read: 0,
            latest_call: None,
            asked: VecDeque::new(),
            replies: BTreeMap::new(),
            rungs: Vec::new(),
        })
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(who, what, details) => self.send(who, what, details),
            Step::Expect(who, what, details) => {
                (0..details.times).try_for_each(|_| self.expect(who, what, details))
            }
            Step::Wait { time, resends } => self.wait(*time, *resends),
            Step::Audio(who, on) => self.audio(who, *on),
            Step::Config(text) => self.world.configure(text),
            Step::Operator(operator) => self.operate(operator),
            Step::Reply(want) => self.reply(want),
            Step::DiskFull(full) => {
                self.world.set_disk_full(*full);
                Ok(())
            }
            Step::Unreachable(party, gone) => self.unreachable(party, *gone),
            Step::Clock(by_s) => {
                self.world.set_clock(*by_s);
                Ok(())
            }
            Step::Crash(gap) => {
                self.rungs.push(format!("{} crash", self.stamp(self.world.now())));
                self.world.crash(*gap);
                Ok(())
            }
            Step::State(checks) => self.state(checks),
            Step::Cdr(checks) => self.cdr(checks),
            Step::Ledger(checks) => self.ledger(checks),
        }?;
        self.mark = self.world.now();
        Ok(())
    }

    fn party(&self, name: &str) -> Result<Party, String> {
        self.world.business.parties.get(name).cloned().ok_or_else(|| format!("there is no peer {name:?}"))
    }

    fn identity(&self, name: &str) -> Result<(Identity, Party), String> {
        let party = self.party(name)?;
        let identity = Identity { name: name.into(), address: party.address, transport: party.transport };
        Ok((identity, party))
    }

    // --- sending

    fn send(&mut self, who: &Who, what: &What, details: &Details) -> Result<(), String> {
        let (identity, _) = self.identity(&who.party)?;
        let party = self.party(details.at.as_ref().unwrap_or(&who.party))?;
        let bytes = match what {
            What::Again => self.last_sent.get(&who.party).cloned().ok_or("nothing was sent before")?,
            What::Copy(of) => self.last_sent.get(of).cloned().ok_or("it has sent nothing")?,
            What::Raw(text) => text.replace('|', "\r\n").into_bytes(),
            What::Request(method) => self.compose(who, &identity, method, details)?.to_bytes(),
            What::Response(status, method) => {
                self.respond(who, *status, method.as_deref(), details)?.to_bytes()
            }
        };
        self.rung(&who.party, who.call, "->", &bytes, self.world.now(), "");
        self.last_sent.insert(who.party.clone(), bytes.clone());
        self.world.send(party.address, party.transport, bytes);
        Ok(())
    }

    fn compose(
        &mut self,
        who: &Who,
        identity: &Identity,
        method: &str,
        details: &Details,
    ) -> Result<Message, String> {
        let offer = details.offer.as_ref();
        if !self.calls.contains_key(who) {
            let called = details.number.as_deref().unwrap_or("1000");
            let from = details.from.as_deref().unwrap_or("4930100");
            let ip = match identity.address.is_ipv4() {
                true => IpAddr::V4(SWITCH_V4),
                false => IpAddr::V6(SWITCH_V6),
            };
            let mut dialog = Dialog::calling(identity, who.call, from, called, SocketAddr::new(ip, SIP_PORT));
            if let Some(name) = &details.name {
                dialog.local = format!("\"{name}\" {}", dialog.local);
            }
            self.calls.insert(who.clone(), dialog);
        }
        let credentials = match &details.auth {
            Some(given) => Some(self.credentials(who, given.as_ref(), &details.algorithm)?),
            None => None,
        };
        let dialog = self.calls.get_mut(who).ok_or("no such call")?;
        let none = || format!("{method} without an INVITE");
        let mut message = match (method, credentials) {
            ("ACK", _) => {
                let accepted = dialog.accepted();
                dialog.ack(accepted, offer).ok_or_else(none)?
            }
            ("CANCEL", _) => dialog.cancel().ok_or_else(none)?,
            ("INVITE", Some((name, value))) => dialog.invite_again(name, value).ok_or_else(none)?,
            _ => dialog.request(method, offer),
        };
        let given = |name: &str| details.headers.iter().any(|(n, _)| n == name);
        message.headers.retain(|(name, _)| name != "Max-Forwards" || !given(name));
        message.headers.extend(details.headers.iter().cloned());
        if let Some(body) = &details.body {
            message.body.clone_from(body);
        }
        dialog.remember(&message);
        Ok(message)
    }

    fn credentials(
        &mut self,
        who: &Who,
        given: Option<&(String, String)>,
        algorithm: &str,
    ) -> Result<(&'static str, String), String> {
        let own = self.party(&who.party)?.credentials;
        let (username, password) = given.or(own.as_ref()).ok_or("this peer has no password")?.clone();
        let uri = self.calls.get(who).and_then(|d| d.invite.as_ref()).map(|i| i.uri().to_string());
        let uri = uri.unwrap_or_default();
        let challenges = self.challenges.get_mut(who).ok_or("nobody has asked for credentials")?;
        challenges.answered += 1;
        let challenge = challenges.values.iter().find(|c| c.contains(algorithm));
        let challenge = challenge.ok_or("there is no challenge with this algorithm")?;
        let answer = digest::Answer {
            username: &username,
            password: &password,
            method: "INVITE",
            uri: &uri,
            nonce_count: challenges.answered,
        };
        let name = if challenges.status == 407 { "Proxy-Authorization" } else { "Authorization" };
        Ok((name, answer.to(challenge)))
    }

    fn respond(
        &mut self,
        who: &Who,
        status: u16,
        method: Option<&str>,
        details: &Details,
    ) -> Result<Message, String> {
        let dialog = self.calls.get_mut(who).ok_or("this peer has no such call")?;
        let open = dialog.open_requests.iter().rev();
        let request = open.chain(&dialog.answered).find(|r| method.is_none_or(|m| r.method() == m)).cloned();
        let request = request.ok_or("there is no request to answer")?;
        let mut message = dialog.respond(&request, status, details.offer.as_ref(), &details.fork);
        if details.reliable {
            message = dialog.make_reliable(message);
        }
        message.headers.extend(details.headers.iter().cloned());
        Ok(message)
    }

    fn audio(&mut self, who: &Who, on: bool) -> Result<(), String> {
        let dialog = self.calls.get(who).ok_or("no such call")?;
        let to = dialog.remote_sdp.as_ref().and_then(|sdp| sdp.media);
        if on && to.is_none() {
            return Err("no SDP has come that says where to".into());
        }
        self.world.audio(dialog.media, to.filter(|_| on));
        Ok(())
    }

    // --- receiving

    /// Lets the world go on until something happens, at most until then.
    fn pump(&mut self, until: Tick) -> Result<bool, String> {
        let Some(happening) = self.world.next(until) else { return Ok(false) };
        match happening {
            Happening::Message { to, bytes } => self.receive(to, bytes)?,
            Happening::Reply(id, reply) => {
                self.replies.insert(id, reply);
            }
            Happening::Live(LiveUpdate::Call(live)) => self.latest_call = Some(live.call),
            Happening::Live(_) | Happening::Wake(_) => {}
        }
        Ok(true)
    }

    fn receive(&mut self, to: SocketAddr, bytes: Vec<u8>) -> Result<(), String> {
        let parties = &self.world.business.parties;
        let found = parties.iter().find(|(_, p)| p.address == to).map(|(name, _)| name.clone());
        let name = found.ok_or_else(|| format!("a message to {to}, where nobody lives: {}", head(&bytes)))?;
        let message =
            Message::parse(&bytes).map_err(|e| format!("{name} got nonsense ({e}): {}", head(&bytes)))?;
        let seen = self.seen.entry(name.clone()).or_default();
        let resent = seen.contains(&bytes);
        seen.push(bytes.clone());
        let call = self.bind(&name, &message)?;
        let at = self.world.now();
        self.rung(&name, call, "<-", &bytes, at, if resent { "(resent)" } else { "" });
        let faults = wire::faults(&message);
        if !faults.is_empty() {
            return Err(format!("a message that is not strict: {}\n{message}", faults.join("; ")));
        }
        self.inbox.entry(name).or_default().push_back(Received { at, call, message, resent });
        Ok(())
    }

    /// Which call of the peer a message belongs to; a first INVITE begins one.
    fn bind(&mut self, party: &str, message: &Message) -> Result<u32, String> {
        let own = self.calls.iter().filter(|(who, _)| who.party == party);
        if let Some((who, _)) = own.clone().find(|(_, d)| d.id == message.call_id()) {
            return Ok(who.call);
        }
        let (identity, _) = self.identity(party)?;
        let call = own.map(|(who, _)| who.call).max().unwrap_or(0) + 1;
        let who = Who { party: party.to_string(), call };
        let mut dialog = Dialog::called(&identity, call, message);
        if !message.is_request() {
            // The answer to a copied request carries the tag of its first sender.
            dialog.local_tag = message.tag("From").unwrap_or_default().to_string();
        }
        self.calls.insert(who, dialog);
        Ok(call)
    }

    fn expect(&mut self, who: &Who, what: &What, details: &Details) -> Result<(), String> {
        let latest = details.after.map_or(self.mark + PATIENCE, |(_, most)| self.mark + most);
        let is_there = |r: &Runner| {
            let mut inbox = r.inbox.get(&who.party).into_iter().flatten();
            inbox.any(|m| m.call == who.call)
        };
        while !is_there(self) {
            if !self.pump(latest)? {
                return Err("it does not come".into());
            }
        }
        let inbox = self.inbox.get_mut(&who.party).ok_or("it does not come")?;
        let index = inbox.iter().position(|m| m.call == who.call).ok_or("it does not come")?;
        let received = inbox.remove(index).ok_or("it does not come")?;
        self.judge(who, what, details, &received)?;
        self.learn(who, &received.message);
        if details.times > 1 {
            self.mark = self.world.now();
        }
        Ok(())
    }

    fn judge(&self, who: &Who, what: &What, details: &Details, received: &Received) -> Result<(), String> {
        let message = &received.message;
        let dialog = self.calls.get(who).ok_or("no such call")?;
        let same = match what {
            What::Request(method) => message.is_request() && message.method() == method,
            What::Response(status, method) => {
                let open = || dialog.open_methods.last().map(String::as_str).unwrap_or("INVITE");
                let method = method.as_deref().unwrap_or_else(open);
                message.status() == *status && (details.resent || message.method() == method)
            }
            What::Again | What::Copy(_) | What::Raw(_) => return Err("cannot be expected".into()),
        };
        let is = |ok: bool, words: String| if ok { Ok(()) } else { Err(words) };
        is(same, format!("got {} ({})", message.start, message.method()))?;
        is(received.resent == details.resent, format!("a retransmission: {}", received.resent))?;
        if let Some((least, most)) = details.after {
            let since = received.at.since(self.mark);
            is((least..=most).contains(&since), format!("it came after {since:?}"))?;
        }
        if let Some(number) = &details.number {
            is(wire::user_of(message.uri()) == number, format!("Request-URI is {}", message.uri()))?;
        }
        if let Some(from) = &details.from {
            let got = wire::user_of(wire::uri_of(message.header("From").unwrap_or("")));
            is(got == from, format!("From is {got}"))?;
        }
        self.judge_dialog(dialog, details, message)?;
        match &details.body {
            Some(text) => is(message.body == *text, format!("the body is {:?}", message.body))?,
            None => judge_body(details.offer.as_ref(), message)?,
        }
        for (name, text) in &details.headers {
            let found = message.all(name).any(|v| v.contains(text.as_str()));
            is(found, format!("{name} is {:?}", message.all(name).collect::<Vec<_>>()))?;
        }
        for name in &details.absent {
            is(message.header(name).is_none(), format!("there is a {name}"))?;
        }
        is(!details.reliable || message.header("RSeq").is_some(), "it is not reliable".into())?;
        if details.auth.is_some() {
            self.judge_credentials(who, message)?;
        }
        Ok(())
    }

    /// Tags: ours as we gave it, the switch's the same for the whole call.
    fn judge_dialog(&self, dialog: &Dialog, details: &Details, message: &Message) -> Result<(), String> {
        let begins = message.is_request() && message.tag("To").is_none();
        if !begins && !dialog.is_ours(message, &details.fork) {
            return Err(format!("not the tag of this peer: {message}"));
        }
        let theirs = if message.is_request() { message.tag("From") } else { message.tag("To") };
        let early =
            message.is_request() || (message.method() == "INVITE" && (101..300).contains(&message.status()));
        match (&dialog.remote_tag, theirs) {
            (Some(known), Some(tag)) if early && known != tag => {
                Err(format!("the tag of the switch changed from {known} to {tag}"))
            }
            _ => Ok(()),
        }
    }

    fn judge_credentials(&self, who: &Who, message: &Message) -> Result<(), String> {
        let party = self.party(&who.party)?;
        let (user, password) = party.credentials.ok_or("this peer has no password")?;
        let value = message.header("Authorization").or(message.header("Proxy-Authorization"));
        let value = value.ok_or("no credentials")?;
        let right = digest::is_right(value, &user, &password, message.method());
        if right { Ok(()) } else { Err(format!("wrong credentials {value:?}")) }
    }

    fn learn(&mut self, who: &Who, message: &Message) {
        if matches!(message.status(), 401 | 407) {
            let both = message.all("WWW-Authenticate").chain(message.all("Proxy-Authenticate"));
            let values = both.map(str::to_string).collect();
            let challenges = Challenges { status: message.status(), values, answered: 0 };
            self.challenges.insert(who.clone(), challenges);
        }
        if let Some(dialog) = self.calls.get_mut(who) {
            dialog.note(message);
        }
    }

    fn wait(&mut self, time: Duration, resends: bool) -> Result<(), String> {
        let until = self.world.now() + time;
        loop {
            for (party, inbox) in &mut self.inbox {
                inbox.retain(|m| !(resends && m.resent));
                if let Some(received) = inbox.front() {
                    return Err(format!(
                        "{party} got a message that nobody expects: {}",
                        received.message.start
                    ));
                }
            }
            if !self.pump(until)? {
                return Ok(());
            }
        }
    }

    // --- operators, disk

    fn account(&self, name: &str) -> Result<AccountId, String> {
        self.world.business.account(name).ok_or_else(|| format!("no account {name}"))
    }

    fn operate(&mut self, operator: &Operator) -> Result<(), String> {
        let by = "operator".to_string();
        let request = match operator {
            Operator::Kill => {
                while self.pump(self.world.now())? {}
                let call = self.latest_call.unwrap_or_default();
                ControlRequest::Disconnect { call, by, reason: "by script".into() }
            }
            Operator::Drain => ControlRequest::Drain,
            Operator::HangUpAll => ControlRequest::HangUpAll,
            Operator::Pay { account, amount, kind, key } => ControlRequest::Pay {
                account: self.account(account)?,
                kind: match kind.as_str() {
                    "refund" => PostingKind::Refund,
                    "correct" => PostingKind::Correction,
                    _ => PostingKind::Payment,
                },
                amount: Money::parse(amount).map_err(|e| e.to_string())?,
                by,
                note: String::new(),
                key: key.clone(),
            },
            Operator::Transfer { from, to, amount, key } => ControlRequest::Transfer {
                from: self.account(from)?,
                to: self.account(to)?,
                amount: Money::parse(amount).map_err(|e| e.to_string())?,
                by,
                note: String::new(),
                key: key.clone(),
            },
        };
        let id = self.world.control(request);
        self.asked.push_back(id);
        Ok(())
    }

    fn reply(&mut self, want: &str) -> Result<(), String> {
        let id = self.asked.pop_front().ok_or("nothing was asked")?;
        while !self.replies.contains_key(&id) {
            if !self.pump(self.mark + PATIENCE)? {
                return Err("no reply".into());
            }
        }
        let reply = self.replies.remove(&id).ok_or("no reply")?;
        let got = match &reply {
            ControlReply::Paid { repeated: true, .. } => "repeated",
            ControlReply::Paid { .. } => "paid",
            ControlReply::Refused(_) => "refused",
            ControlReply::Disconnecting => "disconnecting",
            ControlReply::NoSuchCall => "no-such-call",
            ControlReply::Done => "done",
            _ => "another",
        };
        if got == want { Ok(()) } else { Err(format!("the reply is {reply:?}")) }
    }

    fn unreachable(&mut self, party: &str, gone: bool) -> Result<(), String> {
        let address = self.party(party)?.address;
        match gone {
            true => self.world.unreachable.insert(address),
            false => self.world.unreachable.remove(&address),
        };
        Ok(())
    }

    // --- facts

    fn cdr(&mut self, checks: &[Check]) -> Result<(), String> {
        let limit = self.world.now() + PATIENCE + PATIENCE;
        while self.world.cdrs().count() <= self.cdrs_read {
            if !self.pump(limit)? {
                return Err("there is no CDR".into());
            }
        }
        let cdr = self.world.cdrs().nth(self.cdrs_read).cloned().ok_or("there is no CDR")?;
        self.cdrs_read += 1;
        facts::judge_charge(&cdr, &self.world.business.parameters()?)?;
        let failed: Vec<String> =
            checks.iter().filter_map(|c| compare(c, facts::of_cdr(&cdr, &c.key)).err()).collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("{}\n{}", failed.join("; "), summary(&cdr))) }
    }

    fn ledger(&mut self, checks: &[Check]) -> Result<(), String> {
        for check in checks {
            let id =
                self.world.business.account(&check.key).ok_or_else(|| format!("no account {}", check.key))?;
            let balance = self.world.switch().ledger().balance(Book::Account(id));
            let want = Money::parse(&check.value).map_err(|e| format!("{}: {e}", check.value))?;
            if balance != want {
                return Err(format!("the balance of {} is {balance}", check.key));
            }
        }
        Ok(())
    }

    fn state(&mut self, checks: &[Check]) -> Result<(), String> {
        while self.pump(self.world.now())? {}
        for check in checks {
            let value = self.state_value(&check.key)?;
            compare(check, Some(value))?;
        }
        Ok(())
    }

    fn state_value(&mut self, key: &str) -> Result<String, String> {
        let footprint = self.world.switch().footprint();
        let ledger = self.world.switch().ledger();
        Ok(match key.split_once('.').unwrap_or((key, "")) {
            ("calls", _) => footprint.calls.to_string(),
            ("legs", _) => footprint.legs.to_string(),
            ("ports", _) => footprint.ports.to_string(),
            ("reservations", _) => ledger.open_reservations().to_string(),
            ("reserved", name) => {
                let id = self.world.business.account(name).ok_or_else(|| format!("no account {name}"))?;
                ledger.reserved(id).to_string()
            }
            ("heard", name) => {
                let (party, call) = name.split_once('#').unwrap_or((name, "1"));
                let call = call.parse().map_err(|_| "which call?")?;
                let who = Who { party: party.into(), call };
                let media = self.calls.get(&who).ok_or("no such call")?.media;
                self.world.heard(media).to_string()
            }
            _ => return Err(format!("no state {key:?}")),
        })
    }

    /// After the last step: nothing more comes, everything is accounted for, and the switch is idle.
    fn aftermath(&mut self) -> Result<(), String> {
        self.wait(AFTERMATH, false)?;
        let unread: Vec<String> = self.world.cdrs().skip(self.cdrs_read).map(summary).collect();
        if !unread.is_empty() {
            return Err(format!("CDRs that no line accounts for:\n{}", unread.join("\n")));
        }
        facts::idle(&self.world)
    }

    // --- telling

    fn stamp(&self, at: Tick) -> String {
        format!("{:>9.3}", at.since(Tick(0)).as_secs_f64())
    }

    fn rung(&mut self, party: &str, call: u32, arrow: &str, bytes: &[u8], at: Tick, note: &str) {
        let call = if call == 1 { String::new() } else { format!("#{call}") };
        let what = Message::parse(bytes).map_or_else(|_| head(bytes), |m| shown(&m));
        let line = format!("{} {party}{call} {arrow} {what} {note}", self.stamp(at));
        self.rungs.push(line.trim_end().to_string());
    }

    fn report(&self, scenario: &Scenario, line: Option<&Line>, error: &str) -> String {
        let mut text = format!("scenario {:?}", scenario.name);
        match line {
            Some(line) => writeln!(text, ", line {}: {}", line.number, line.text),
            None => writeln!(text, ", after the last step"),
        }
        .unwrap_or_default();
        let _ = writeln!(text, "  {error}");
        for rung in &self.rungs {
            let _ = writeln!(text, "  {rung}");
        }
        for (party, inbox) in &self.inbox {
            for received in inbox {
                let _ = writeln!(text, "  not yet expected by {party}: {}", received.message.start);
            }
        }
        text
    }
}

fn judge_body(want: Option<&Offer>, message: &Message) -> Result<(), String> {
    let got = (!message.body.is_empty()).then(|| Sdp::parse(&message.body));
    match (want, got) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(format!("with a body:\n{}", message.body)),
        (Some(_), None) => Err("without a session description".into()),
        (Some(_), Some(None)) => Err(format!("with a body that is no SDP:\n{}", message.body)),
        (Some(want), Some(Some(got))) => {
            let formats = *want == Offer { direction: want.direction.clone(), ..Offer::default() }
                || want.formats == got.formats;
            match want.direction == got.direction && formats {
                true => Ok(()),
                false => Err(format!("the description says {} {}", got.direction, got.formats)),
            }
        }
    }
}

fn compare(check: &Check, value: Option<String>) -> Result<(), String> {
    let value = value.ok_or_else(|| format!("there is no {:?}", check.key))?;
    let numbers = || Some((Money::parse(&value).ok()?, Money::parse(&check.value).ok()?));
    let holds = match check.relation {
        "~" => value.contains(&check.value),
        ">=" => numbers().is_some_and(|(got, want)| got >= want),
        "<=" => numbers().is_some_and(|(got, want)| got <= want),
        relation => {
            let equal = numbers().map_or(value == check.value, |(got, want)| got == want);
            equal == (relation == "=")
        }
    };
    let Check { key, relation, value: want } = check;
    if holds { Ok(()) } else { Err(format!("{key} is {value}, not {relation}{want}")) }
}

fn head(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or("").chars().take(80).collect()
}

fn shown(message: &Message) -> String {
    let (number, method) = message.cseq();
    let sdp = Sdp::parse(&message.body);
    let sdp = sdp.map_or(String::new(), |s| format!(" sdp={} {:?}", s.direction, s.media));
    let reason = message.header("Reason").map_or(String::new(), |r| format!(" [{r}]"));
    match message.is_request() {
        true => format!("{method} {} cseq={number}{sdp}{reason}", message.uri()),
        false => format!("{} ({number} {method}){sdp}{reason}", message.start.trim_start_matches("SIP/2.0 ")),
    }
}

fn summary(cdr: &Cdr) -> String {
    let keys = [
        "end_reason",
        "ended_by",
        "sip_code",
        "q850",
        "talk_ms",
        "billed",
        "fee",
        "cost",
        "attempts",
        "results",
        "text",
    ];
    let facts = keys.iter().filter_map(|key| Some(format!("{key}={}", facts::of_cdr(cdr, key)?)));
    format!("  CDR: {}", facts.collect::<Vec<_>>().join(" "))
}
