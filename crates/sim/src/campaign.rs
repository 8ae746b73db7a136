//! Random runs of the whole switch with everything going wrong, judged by the oracle of `R-63`. A run is its seed.

use crate::business::{Business, Role};
use crate::facts;
use crate::net::Link;
use crate::peer::{Act, Agent, AnswerPlan, CallPlan, Identity, Response, Truth};
use crate::queue::Queue;
use crate::wire::{self, Message};
use crate::world::{Happening, SIP_PORT, SWITCH_V4, World};
use billing::PostingKind;
use billing::ledger::Book;
use cdr::Cdr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use switch::{ControlRequest, Record};
use vocab::{EndReason, Money, Random, Tick};

/// Two prepaid customers, one of them poor, one post-paid; four agents above the first; three vendors.
const BUSINESS: &str = "
customer acme prepaid 50.00 under a1 retail 880=0.0300/60/6 44=0.0120/1/1 1=0.01/6/6/fee:0.005
customer beta prepaid 0.20 880=0.0600/1/1 44=0.0300/30/6/min:0.01 1=0.02/1/1/free:2
customer gama postpaid max_calls 6 880=0.0320/1/1 44=0.0150/60/60
agent a1 prepaid 0.90 under a2 880=0.0290/6/6 44=0.0110/1/1 1=0.0090/6/6
agent a2 postpaid under a3 880=0.0280/30/6 44=0.0105/60/1 1=0.0085/1/1/fee:0.002
agent a3 postpaid credit 2.00 under a4 880=0.0275/1/1 44=0.0100/6/6 1=0.0080/1/1
agent a4 prepaid 30.00 880=0.0270/60/60 44=0.0095/1/1 1=0.0075/1/1
caller alice of acme
caller bob of beta password beta:secret
caller carol of gama max_cps 4 tcp
vendor v1 prio 1 880=0.0200/1/1 44=0.0080/1/1 SS_SIP_TIMEOUT_RINGING=20
vendor v2 prio 2 880=0.0250/60/1 44=0.0090/1/1 1=0.004/1/1 max_calls 8 SS_SIP_TIMEOUT_RINGING=20
vendor v3 prio 3 tcp 880=0.0280/6/6 44=0.0100/1/1 1=0.006/1/1 redirects
stranger mallory
param SS_MEDIAPROXYMODE=On SS_MAX_CALL_DURATION=90
";

/// New calls come for this long.
const WORKLOAD: Duration = Duration::from_secs(60);
/// After the last call everything must come to an end by itself: ringing, media watch, longest call, transactions.
const AFTERMATH: Duration = Duration::from_secs(260);

/// The customer with the longest row of agents, and these.
const MOST_PAYERS: usize = 5;

/// The way to a peer and back, and its thoughts.
const REACTION: Duration = Duration::from_millis(500);
/// A second crash after less than this meets calls still in doubt.
const CALM: Duration = Duration::from_secs(5);

/// What a run was like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub hash: u64,
    pub calls: usize,
    pub answered: usize,
    pub cdrs: usize,
    pub crashes: u32,
    /// Answered calls that a crash did not end.
    pub survived: usize,
}

/// One line of the run's ladder.
struct Rung {
    at: Tick,
    call_id: String,
    text: String,
}

enum Job {
    Call,
    Crash,
    /// The process is there again.
    Started,
    Pay,
    Configure,
    Kill,
    Garbage,
}

struct Campaign {
    world: World,
    agents: BTreeMap<String, Agent>,
    jobs: Queue<Job>,
    random: Random,
    rungs: Vec<Rung>,
    /// What peers have sent lately, as raw material for nonsense.
    heard: Vec<Vec<u8>>,
    latest_call: vocab::CallId,
    /// Times without a process.
    killed: Vec<(Tick, Tick)>,
    perfect: bool,
    nonsense: bool,
}

/// Runs one seed. An error is the verdict of the oracle with the ladder of the call that it concerns.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let mut campaign = Campaign::new(seed)?;
    let verdict = campaign.play().and_then(|()| campaign.judge());
    verdict.map_err(|verdict| campaign.report(seed, &verdict))
}

/// What the oracle found, and the Call-ID that it is about.
struct Verdict {
    text: String,
    call_id: Option<String>,
}

impl From<String> for Verdict {
    fn from(text: String) -> Verdict {
        Verdict { text, call_id: None }
    }
}

fn about(call_id: &str, text: String) -> Verdict {
    Verdict { text, call_id: Some(call_id.to_string()) }
}

impl Campaign {
    fn new(seed: u64) -> Result<Campaign, String> {
        let mut random = Random::from_number(seed);
        let mut world = World::new(Business::parse(BUSINESS)?, random.next_u64())?;
        let perfect = random.below(4) == 0;
        if !perfect {
            world.link = bad_link(&mut random);
            world.disk.delay_max = Duration::from_millis(2 + random.below(300));
        }
        let switch = SocketAddr::new(IpAddr::V4(SWITCH_V4), SIP_PORT);
        let mut agents = BTreeMap::new();
        for (name, party) in &world.business.parties {
            let who = Identity { name: name.clone(), address: party.address, transport: party.transport };
            let mut agent = Agent::new(who, switch);
            if party.role == Role::Caller {
                agent.credentials.clone_from(&party.credentials);
            } else {
                agent.answer_plans = (0..400).map(|_| answer_plan(&mut random)).collect();
            }
            agents.insert(name.clone(), agent);
        }
        let mut jobs = Queue::default();
        let start = world.now();
        let count = 20 + random.below(60);
        let moment = |random: &mut Random| start + share(WORKLOAD, random);
        for _ in 0..count {
            jobs.put(moment(&mut random), Job::Call);
        }
        for _ in 0..random.below(4) {
            jobs.put(moment(&mut random), Job::Pay);
            jobs.put(moment(&mut random), Job::Configure);
            jobs.put(moment(&mut random), Job::Kill);
        }
        let nonsense = random.below(2) == 0;
        for _ in 0..if nonsense { 1 + random.below(40) } else { 0 } {
            jobs.put(moment(&mut random), Job::Garbage);
        }
        let crashes = if random.below(3) == 0 { 1 + random.below(3) } else { 0 };
        for _ in 0..crashes {
            jobs.put(moment(&mut random) + share(WORKLOAD, &mut random), Job::Crash);
        }
        let latest_call = vocab::CallId(0);
        Ok(Campaign {
            world,
            agents,
            jobs,
            random,
            rungs: Vec::new(),
            heard: Vec::new(),
            latest_call,
            killed: Vec::new(),
            perfect,
            nonsense,
        })
    }

    // --- playing

    fn play(&mut self) -> Result<(), Verdict> {
        let end = self.world.now() + WORKLOAD + WORKLOAD + AFTERMATH;
        loop {
            let agents = self.agents.values().filter_map(Agent::poll_timeout).min();
            let due = [agents, self.jobs.due()].into_iter().flatten().min().unwrap_or(end).min(end);
            match self.world.next(due) {
                Some(Happening::Message { to, bytes }) => self.deliver(to, &bytes)?,
                Some(Happening::Live(switch::live::LiveUpdate::Call(call))) => self.latest_call = call.call,
                Some(_) => {}
                None if due == end => return Ok(()),
                None => {
                    while let Some(job) = self.jobs.take(self.world.now()) {
                        self.job(job)?;
                    }
                    let now = self.world.now();
                    self.agents.values_mut().for_each(|agent| agent.handle_timeout(now));
                }
            }
            self.act();
            let footprint = self.world.switch().footprint();
            let held = self.world.switch().ledger().open_reservations();
            if held > footprint.calls * MOST_PAYERS {
                return Err(format!("I4: {held} reservations for {} calls", footprint.calls).into());
            }
        }
    }

    fn deliver(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<(), Verdict> {
        let now = self.world.now();
        let agent = self.agents.values_mut().find(|a| a.who.address == to);
        let Some(agent) = agent else { return Err(format!("a message to {to}, where nobody lives").into()) };
        let message = Message::parse(bytes).map_err(|e| format!("{} got nonsense: {e}", agent.who.name))?;
        note(&mut self.rungs, now, &agent.who.name, "<-", &message);
        // What reacts to nonsense repeats some of it; runs without any are held to strict form.
        let strict = self.world.link.damage == 0 && !self.nonsense;
        let faults = if strict { wire::faults(&message) } else { Vec::new() };
        if !faults.is_empty() {
            return Err(about(message.call_id(), format!("not strict: {}\n{message}", faults.join("; "))));
        }
        agent.handle_message(now, bytes);
        Ok(())
    }

    fn act(&mut self) {
        let now = self.world.now();
        for agent in self.agents.values_mut() {
            while let Some(act) = agent.poll_act() {
                match act {
                    Act::Audio { from, to } => self.world.audio(from, to),
                    Act::Send(bytes) => {
                        if let Ok(message) = Message::parse(&bytes) {
                            note(&mut self.rungs, now, &agent.who.name, "->", &message);
                        }
                        if self.heard.len() < 200 {
                            self.heard.push(bytes.clone());
                        }
                        self.world.send(agent.who.address, agent.who.transport, bytes);
                    }
                }
            }
        }
    }

    fn job(&mut self, job: Job) -> Result<(), Verdict> {
        match job {
            Job::Call => {
                let callers = ["alice", "alice", "bob", "carol"];
                let name = callers[usize::try_from(self.random.below(4)).unwrap_or(0)];
                let plan = call_plan(&mut self.random);
                let now = self.world.now();
                if let Some(agent) = self.agents.get_mut(name) {
                    agent.call(now, plan);
                }
            }
            Job::Crash => {
                self.rungs.push(Rung { at: self.world.now(), call_id: String::new(), text: "crash".into() });
                let gap = Duration::from_millis(self.random.below(3000));
                self.killed.push((self.world.now(), self.world.now() + gap));
                self.world.crash(gap);
                self.jobs.put(self.world.now() + gap, Job::Started);
            }
            Job::Started => {
                if !self.world.is_down() {
                    facts::books(&self.world).map_err(|e| format!("after a crash: {e}"))?;
                }
            }
            Job::Pay => {
                let account = self.world.business.account("beta").unwrap_or_default();
                let amount = Money(i128::from(1 + self.random.below(20)) * 1_000_000);
                let key = Some(format!("k{}", self.random.below(3)));
                let kind = PostingKind::Payment;
                let (by, note) = ("campaign".into(), String::new());
                self.world.control(ControlRequest::Pay { account, kind, amount, by, note, key });
            }
            Job::Configure => {
                let change = match self.random.below(3) {
                    0 => "vendor v1 disabled prio 1 880=0.0200/1/1 44=0.0080/1/1",
                    1 => "vendor v1 prio 1 880=0.0210/6/6 44=0.0080/1/1 SS_SIP_TIMEOUT_RINGING=20",
                    _ => "customer gama postpaid max_calls 3 880=0.0330/1/1 44=0.0150/60/60",
                };
                self.world.configure(change)?;
            }
            Job::Garbage => self.garbage(),
            Job::Kill => {
                let (call, by, reason) = (self.latest_call, "campaign".into(), String::new());
                self.world.control(ControlRequest::Disconnect { call, by, reason });
            }
        }
        Ok(())
    }

    /// A message of the run, cut, bent, glued or from the wrong side: by a stranger, or by a vendor gone mad. Not by
    /// a caller: what it sends is a call, however odd.
    fn garbage(&mut self) {
        let parties = self.world.business.parties.values().filter(|p| p.role != Role::Caller);
        let parties: Vec<_> = parties.cloned().collect();
        let pick = |n: usize, random: &mut Random| {
            usize::try_from(random.below(u64::try_from(n).unwrap_or(1))).unwrap_or(0)
        };
        let Some(party) = parties.get(pick(parties.len(), &mut self.random)) else { return };
        let mut bytes = self.heard.get(pick(self.heard.len(), &mut self.random)).cloned().unwrap_or_default();
        for _ in 0..self.random.below(4) {
            let at = pick(bytes.len(), &mut self.random);
            match self.random.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_within(at..),
                _ => {
                    let value = u8::try_from(self.random.below(256)).unwrap_or(0);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = value;
                    }
                }
            }
        }
        self.world.send(party.address, party.transport, bytes);
    }

    // --- judging

    fn judge(&self) -> Result<Outcome, Verdict> {
        facts::idle(&self.world).map_err(|e| format!("I4/I6: {e}"))?;
        if !self.world.disk.is_idle() {
            return Err("records that never became durable".to_string().into());
        }
        self.judge_records()?;
        self.judge_balances()?;
        let answered = self.judge_truths()?;
        Ok(Outcome {
            hash: self.world.trace_hash(),
            calls: self.callers().count(),
            answered,
            cdrs: self.world.cdrs().count(),
            crashes: self.world.crashes,
            survived: self.world.cdrs().filter(|cdr| survived(cdr)).count(),
        })
    }

    fn callers(&self) -> impl Iterator<Item = (SocketAddr, &Truth)> {
        let all = self.agents.values().flat_map(|a| a.truths().map(|truth| (a.who.address, truth)));
        all.filter(|(_, (_, is_caller))| *is_caller).map(|(address, (truth, _))| (address, truth))
    }

    /// I2 and I3: each call one CDR, each charge as its terms say, each posting as its CDR says.
    fn judge_records(&self) -> Result<(), Verdict> {
        let (mut open, mut ended) = (BTreeMap::new(), BTreeSet::new());
        for (_, record) in self.world.disk.records() {
            match record {
                Record::Answered(answered) => {
                    open.insert(answered.call, answered.a.call_id().to_string());
                }
                Record::Ended { cdr, postings } => {
                    open.remove(&cdr.call);
                    let id = &cdr.a.call_id;
                    if !ended.insert(cdr.call) {
                        return Err(about(id, format!("I2: two CDRs of call {}", cdr.call)));
                    }
                    facts::judge_charge(cdr, &self.world.business.parameters()?)
                        .map_err(|e| about(id, format!("I3: {e}")))?;
                    judge_postings(cdr, postings).map_err(|e| about(id, format!("I3: {e}")))?;
                    self.judge_reason(cdr)?;
                }
                Record::Posted(_) | Record::Alive { .. } | Record::Placed(_) => {}
                Record::Confirmed(_) | Record::Figures { .. } | Record::Dropped(_) => {}
                Record::Registered(_) => {}
            }
        }
        match open.first_key_value() {
            Some((call, id)) => Err(about(id, format!("I2: call {call} was answered and has no CDR"))),
            None => Ok(()),
        }
    }

    /// I7: a panic that was confined to its call is a panic still.
    fn judge_reason(&self, cdr: &Cdr) -> Result<(), Verdict> {
        // A restart ends calls that are being set up, and no others.
        let restarted =
            cdr.end_text.as_deref().is_some_and(|t| t.contains("restarted while the call was being"));
        if cdr.end_reason == EndReason::InternalError && !restarted {
            return Err(about(&cdr.a.call_id, format!("I7: internal error: {:?}", cdr.end_text)));
        }
        Ok(())
    }

    /// I5: no prepaid balance below zero, at any entry. A crash charges calls up to the last sign of life, which can
    /// be a little more than was held.
    fn judge_balances(&self) -> Result<(), Verdict> {
        let quantum =
            if self.world.crashes > 0 { Money::parse("0.10").unwrap_or_default() } else { Money::ZERO };
        let prepaid: Vec<_> =
            ["acme", "beta", "a1", "a4"].iter().filter_map(|n| self.world.business.account(n)).collect();
        for (_, record) in self.world.disk.records() {
            for entry in crate::disk::postings(record).iter().flat_map(|p| &p.entries) {
                let guarded = matches!(entry.book, Book::Account(id) if prepaid.contains(&id));
                if guarded && entry.balance_after.0 < -quantum.0 {
                    return Err(format!("I5: {:?} fell to {}", entry.book, entry.balance_after).into());
                }
            }
        }
        Ok(())
    }

    /// I2 from outside: who heard a 200 has exactly one CDR, and its talk time is what the caller saw.
    fn judge_truths(&self) -> Result<usize, Verdict> {
        let mut cdrs: BTreeMap<(&str, Option<SocketAddr>), Vec<&Cdr>> = BTreeMap::new();
        for cdr in self.world.cdrs().filter(|c| c.answer.is_some()) {
            cdrs.entry((&cdr.a.call_id, cdr.a.remote)).or_default().push(cdr);
        }
        let mut answered = 0;
        for (address, truth) in self.callers() {
            let id = truth.call_id.as_str();
            let own = cdrs.get(&(id, Some(address))).map_or(&[][..], Vec::as_slice);
            match (truth.answered, own) {
                (None, []) => {}
                (None, [_]) if !self.perfect || self.world.crashes > 0 => {}
                (Some(at), [cdr]) => {
                    answered += 1;
                    self.judge_talk(truth, at, cdr)?;
                }
                (_, own) => {
                    let text = format!("I2: answered {:?}, {} CDRs", truth.answered, own.len());
                    return Err(about(id, text));
                }
            }
        }
        Ok(answered)
    }

    /// The talk time is what both peers saw. A call whose end fell into a time without a process is charged up to the last
    /// sign of life before it, which comes once a second.
    fn judge_talk(&self, truth: &Truth, answered: Tick, cdr: &Cdr) -> Result<(), Verdict> {
        let ends = [truth.ended, self.ended_at_vendor(&cdr.b.call_id)];
        let Some(ended) = ends.into_iter().flatten().min() else { return Ok(()) };
        if !self.perfect || truth.unacknowledged || self.is_crash_upon_crash() {
            return Ok(());
        }
        let seen = millis(ended.since(answered));
        let told = i64::try_from(cdr.talk_ms).unwrap_or(i64::MAX);
        let gap =
            self.killed.iter().find(|(killed, start)| *killed <= ended + REACTION && in_gap(*start, ended));
        // The caller hangs up some ms after the switch answers it; the way there and the disk are in between.
        let least = match gap {
            Some((killed, _)) => millis(killed.since(answered)).min(seen) - 1100,
            None => seen - 100,
        };
        // A 200 that the process before did not get out reaches the caller late.
        let late = self.killed.iter().find(|(killed, start)| *killed <= answered && in_gap(*start, answered));
        let most = seen + 100 + late.map_or(0, |(killed, _)| millis(answered.since(*killed)));
        if told < least || told > most {
            let text = format!("the peers talked {seen} ms, the CDR says {told}, not {least} to {most}");
            return Err(about(&truth.call_id, text));
        }
        Ok(())
    }

    fn ended_at_vendor(&self, call_id: &str) -> Option<Tick> {
        let mut all = self.agents.values().flat_map(Agent::truths);
        all.find(|(truth, is_caller)| !is_caller && truth.call_id == call_id)?.0.ended
    }

    /// Two crashes so close that the first could not be got over: what was in doubt stays so.
    fn is_crash_upon_crash(&self) -> bool {
        self.killed.windows(2).any(|w| matches!(w, [(_, start), (killed, _)] if killed.since(*start) < CALM))
    }

    fn report(&self, seed: u64, verdict: &Verdict) -> String {
        let mut text = format!("seed {seed}: {}\n", verdict.text);
        let a = verdict.call_id.as_deref();
        let mut ids: BTreeSet<&str> = a.into_iter().chain([""]).collect();
        let own = self.world.cdrs().filter(|c| Some(c.a.call_id.as_str()) == a);
        ids.extend(own.flat_map(|c| &c.attempts).map(|attempt| attempt.call_id.as_str()));
        for rung in self.rungs.iter().filter(|r| ids.contains(r.call_id.as_str())) {
            let _ = writeln!(text, "  {:>9.3} {}", rung.at.since(Tick(0)).as_secs_f64(), rung.text);
        }
        text
    }
}

fn survived(cdr: &Cdr) -> bool {
    let again = cdr.route.steps.iter().any(|s| s.step == "restart");
    again && cdr.answer.is_some() && cdr.end_reason != EndReason::InternalError
}

/// Did this happen before the process that started then could know better?
fn in_gap(start: Tick, at: Tick) -> bool {
    at <= start + REACTION
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn note(rungs: &mut Vec<Rung>, at: Tick, name: &str, arrow: &str, message: &Message) {
    let (number, method) = message.cseq();
    let text = format!("{name} {arrow} {} ({number} {method})", message.start.replace("SIP/2.0", "").trim());
    rungs.push(Rung { at, call_id: message.call_id().to_string(), text });
}

fn judge_postings(cdr: &Cdr, postings: &[billing::Posting]) -> Result<(), String> {
    let one = |priced: &Option<cdr::Priced>| priced.as_ref().map_or(Money::ZERO, |p| p.amount);
    let agents = Money(cdr.agents.iter().map(|agent| agent.price.amount.0).sum());
    for (kind, amount) in [
        (PostingKind::CallCharge, one(&cdr.sale)),
        (PostingKind::AgentCharge, agents),
        (PostingKind::CallCost, one(&cdr.cost)),
    ] {
        let booked: i128 = postings
            .iter()
            .filter(|p| p.kind == kind)
            .filter_map(|p| p.entries.iter().find(|e| matches!(e.book, Book::Account(_))))
            .map(|e| e.amount.0.abs())
            .sum();
        if booked != amount.0 {
            return Err(format!("{kind:?}: the CDR says {amount}, booked is {}", Money(booked)));
        }
    }
    Ok(())
}

fn share(whole: Duration, random: &mut Random) -> Duration {
    Duration::from_micros(random.below(u64::try_from(whole.as_micros()).unwrap_or(0)))
}

/// up to 20 % loss, 10 % doubles, delays up to 400 ms (and so reordering), sometimes damage.
fn bad_link(random: &mut Random) -> Link {
    let delay_min = Duration::from_millis(1 + random.below(20));
    Link {
        loss: random.below(201),
        duplication: random.below(101),
        damage: if random.below(4) == 0 { random.below(11) } else { 0 },
        delay_min,
        delay_max: delay_min + Duration::from_millis(random.below(380)),
    }
}

fn one_in(n: u64, random: &mut Random) -> bool {
    random.below(n) == 0
}

fn seconds(least: u64, most: u64, random: &mut Random) -> Duration {
    Duration::from_millis(least * 1000 + random.below((most - least) * 1000))
}

fn call_plan(random: &mut Random) -> CallPlan {
    let prefix = ["88017", "880", "4420", "4479", "1212", "999"];
    let prefix = prefix[usize::try_from(random.below(6)).unwrap_or(0)];
    CallPlan {
        from: format!("49301{:05}", random.below(100_000)),
        called: format!("{prefix}{:07}", random.below(10_000_000)),
        delayed_offer: one_in(12, random),
        cancel_after: one_in(6, random).then(|| seconds(0, 12, random)),
        hang_up_after: (!one_in(8, random)).then(|| seconds(0, 40, random)),
        hold_after: one_in(8, random).then(|| seconds(1, 6, random)),
        acknowledges: !one_in(20, random),
        answers_bye: !one_in(20, random),
        media: !one_in(10, random),
    }
}

fn answer_plan(random: &mut Random) -> AnswerPlan {
    let mut at = Duration::ZERO;
    let mut responses = Vec::new();
    let mut then = |status: u16, sdp: bool, wait: Duration| {
        at += wait;
        responses.push(Response { after: at, status, sdp, fork: "", headers: Vec::new() });
    };
    let soon = Duration::from_millis(random.below(300));
    let ring = seconds(0, 8, random);
    match random.below(20) {
        // Dead.
        0 => {}
        // Takes it and falls silent.
        1 => then(100, false, soon),
        2 => then(503, false, soon),
        3 => {
            then(180, false, soon);
            then(503, false, ring);
        }
        4 => {
            then(100, false, soon);
            then(486, false, ring);
        }
        5 => then(404, false, soon),
        6 => then(603, false, soon),
        7 => then(302, false, soon),
        // Rings for ever.
        8 => then(180, false, soon),
        9 | 10 => {
            then(183, true, soon);
            then(200, true, ring);
        }
        // Answers at once.
        11 => then(200, true, soon),
        12 => {
            then(180, false, soon);
            then(200, true, ring);
            then(200, true, Duration::from_millis(50));
        }
        _ => {
            then(100, false, Duration::ZERO);
            then(180, false, soon);
            then(200, true, ring);
        }
    }
    if let [.., first, second] = responses.as_mut_slice()
        && (first.status, second.status) == (200, 200)
    {
        second.fork = "-b";
    }
    for response in responses.iter_mut().filter(|r| r.status == 302) {
        response.headers.push(("Contact".into(), "<sip:8801711111111@10.2.0.3:5060>".into()));
    }
    AnswerPlan {
        responses,
        hang_up_after: one_in(3, random).then(|| seconds(0, 40, random)),
        hold_after: one_in(8, random).then(|| seconds(1, 6, random)),
        answers_bye: !one_in(20, random),
        media: !one_in(10, random),
    }
}
