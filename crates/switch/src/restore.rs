//! Across a restart: what is written down of a call while it lives, and how the next process takes it up.
//!
//! Calls that were up go on: dialogs, media ports, holds and deadlines as they were. Their peers are asked whether they
//! still know the call (OPTIONS), because its end may have fallen into the time without a process; a call that is gone
//! is charged up to the last sign of life before it. Calls that were being set up are ended on both sides.

use crate::attempt::session_terms;
use crate::brain::Switch;
use crate::call::{Applied, Call, Current, Deadline, Doubt, Ending, Payer, Phase};
use crate::interface::{Output, Restore};
use crate::media_plan::{MediaPlan, Party};
use crate::record::{Answered, Moment, OpenCall, Placed, Record};
use crate::settle;
use crate::snapshot::{Account, MappingGateway, RoutingGateway};
use billing::ledger::Settlement;
use billing::pricing;
use billing::rate::{Rate, RateGroup, RateTable};
use cdr::{Attempt, Cdr, Priced};
use media::{SessionStatistics, Side};
use sip::{LegState, PeerTerms};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use vocab::leg::{LegCommand, Setup, SetupNumbers};
use vocab::prefix::Packed;
use vocab::{
    DialString, EndReason, EndedBy, LegId, MediaSessionId, Money, Now, SessionDescription, Tick, Utc,
};

/// Between the questions to the peers of one call and of the next: thousands at once would flood them.
const ASK_INTERVAL: Duration = Duration::from_millis(1);
/// A peer that has given no sign of life for this long after the question has lost the call.
const DOUBT: Duration = Duration::from_secs(20);
/// Between two notes of a call's media figures.
const FIGURES_INTERVAL: Duration = Duration::from_secs(10);
const GAP_WORDS: &str = "the call ended while the switch was restarting; charged to the last sign of life";
const SETUP_WORDS: &str = "the switch was restarted while the call was being set up";
const CHANGED_WORDS: &str = "the switch was restarted, and what the call used is no longer configured; charged to the last sign of life";

/// Everything of the configuration that a call needs.
struct Parties {
    gateway: Arc<MappingGateway>,
    account: Arc<Account>,
    agents: Vec<Arc<Account>>,
    routing: Arc<RoutingGateway>,
    vendor: Arc<Account>,
}

/// Puts moments of the process before on this one's clocks.
struct Rebase {
    now: Now,
    boot: u64,
    alive: Option<Moment>,
}

impl Rebase {
    /// Within one boot ticks go on. Across boots: by the ticks up to the last sign of life, and by the calendar from there
    /// on, which a clock set meanwhile makes wrong; never by less than nothing.
    fn tick(&self, at: Moment) -> Tick {
        if at.boot == self.boot {
            return at.tick.min(self.now.tick);
        }
        let calendar = |from: Utc| micros(self.now.utc.0.saturating_sub(from.0));
        let ago = match self.alive.filter(|alive| alive.boot == at.boot && alive.tick >= at.tick) {
            Some(alive) => alive.tick.since(at.tick) + calendar(alive.utc),
            None => calendar(at.utc),
        };
        earlier(self.now.tick, ago)
    }

    fn now(&self, at: Moment) -> Now {
        Now { tick: self.tick(at), utc: at.utc }
    }

    /// The last sign of life of a call that was answered then.
    fn last_life(&self, answered: Moment) -> Now {
        let answered = self.now(answered);
        let alive = self.alive.map(|alive| self.now(alive)).filter(|alive| alive.tick >= answered.tick);
        alive.unwrap_or(answered)
    }
}

fn micros(n: i64) -> Duration {
    Duration::from_micros(u64::try_from(n).unwrap_or(0))
}

fn earlier(tick: Tick, by: Duration) -> Tick {
    Tick(tick.0.saturating_sub(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
}

// --- while the call lives

impl Switch {
    /// Writes down that the call is sent to a gateway.
    pub(crate) fn note_placed(&mut self, now: Now, call: &mut Call) {
        let legs = (self.endpoint.leg_state(call.a), call.b().and_then(|b| self.endpoint.leg_state(b)));
        let (Some(a), Some(b)) = legs else { return };
        call.noted = true;
        self.journal(Record::Placed(Box::new(Placed { cdr: settle::draft(now, call), a, b })), None);
    }

    /// What is written down of an answered call.
    pub(crate) fn answered_record(&self, call: &Call, answer: Option<SessionDescription>) -> Option<Record> {
        let a = self.endpoint.answered_leg_state(call.a)?;
        let b = self.endpoint.answered_leg_state(call.b()?)?;
        let cost = call.current.as_ref().and_then(|c| c.cost.as_ref());
        Some(Record::Answered(Box::new(Answered {
            call: call.id,
            at: Moment::new(call.answered?, self.config.boot),
            ringing: call.ringing,
            pdd_ms: call.pdd.map(settle::millis),
            codecs: call.codecs.clone(),
            sections: [call.sale(), cost].map(|of| of.map_or(Vec::new(), |of| of.rate.sections.to_vec())),
            agents: call.payers.iter().skip(1).map(|agent| agent.sale.rate.sections.to_vec()).collect(),
            a,
            b,
            confirmed: call.confirmed,
            delayed: call.setup.session.is_none(),
            answer: answer.filter(|_| !call.confirmed).map(crate::media_plan::without_keys),
            streams: call.media.as_ref().map(|plan| plan.states(&self.config.seal)).unwrap_or_default(),
        })))
    }

    /// The dialogs or the media of a call that is up have changed.
    pub(crate) fn note_change(&mut self, call: &Call) {
        if !matches!(call.phase, Phase::Talking) || !call.confirmed {
            return;
        }
        if let Some(record) = self.answered_record(call, None) {
            self.journal(record, None);
        }
    }

    /// Media figures are written down once both peers were heard, or one from an address of its own, and now and then.
    pub(crate) fn note_figures(&mut self, now: Now, call: &mut Call, figures: &SessionStatistics) {
        let Some(plan) = call.media.as_ref().filter(|_| matches!(call.phase, Phase::Talking)) else { return };
        let due = match call.figures_noted {
            Some(last) => now.tick.since(last) >= FIGURES_INTERVAL,
            None => plan.learned(figures) || (figures.a.packets_in > 0 && figures.b.packets_in > 0),
        };
        if due {
            call.figures_noted = Some(now.tick);
            self.journal(Record::Figures { call: call.id, streams: plan.statistics.clone() }, None);
        }
    }
}

// --- after the restart

impl Switch {
    pub(crate) fn restore(&mut self, now: Now, restore: Restore) {
        for (book, balance) in restore.balances {
            self.ledger.open_balance(book, balance);
        }
        for (key, seq, posting) in restore.keys {
            self.keys.insert(key, (seq, posting));
        }
        restore.used.into_iter().for_each(|used| self.add_usage(used));
        let rebase = Rebase { now, boot: self.config.boot, alive: restore.last_alive };
        let mut asked = now.tick;
        for open in restore.open_calls {
            let Some(placed) = open.placed.clone() else { continue };
            self.last_call_id = self.last_call_id.max(placed.cdr.call);
            asked = asked + ASK_INTERVAL;
            // A panic here would come back at each start: the call is given up instead, with its record.
            let again = || self.take_up(&rebase, *placed.clone(), open.clone(), asked);
            if catch_unwind(AssertUnwindSafe(again)).is_err() {
                let give_up = || self.close_unknown(&rebase, *placed, open, false);
                let _ = catch_unwind(AssertUnwindSafe(give_up));
            }
        }
        self.drain_endpoint(now);
    }

    fn take_up(&mut self, rebase: &Rebase, placed: Placed, open: OpenCall, ask_at: Tick) {
        let now = rebase.now;
        let confirmed = open.confirmed || open.answered.as_ref().is_some_and(|a| a.confirmed);
        let Some(parties) = self.parties(&placed.cdr) else {
            return self.close_unknown(rebase, placed, open, confirmed);
        };
        let (a, b) = leg_states(&placed, open.answered.as_deref(), confirmed);
        let flow = a.flow();
        let resend = parties.routing.params.sip_resend_interval_ms.clone();
        let credentials = parties.routing.credentials.clone();
        let session = session_terms(&parties.gateway.params);
        let a = self.endpoint.take_up(now, a, PeerTerms { session, ..PeerTerms::default() });
        let session = session_terms(&parties.routing.params);
        let terms = PeerTerms { resend_intervals_ms: Some(resend), credentials, session };
        let b = self.endpoint.take_up(now, b, terms);
        let (Some(a), Some(b)) = (a, b) else { return self.close_unknown(rebase, placed, open, confirmed) };
        let mut call = self.call_again(rebase, placed, &parties, (a, b), flow);
        self.legs.insert(a, call.id);
        self.legs.insert(b, call.id);
        self.tell_restored(&call);
        match open.answered {
            Some(answered) => {
                self.go_on(rebase, &mut call, *answered, confirmed, &open.figures, ask_at);
            }
            None => {
                let mut end = self.ending(now, EndReason::InternalError, EndedBy::Switch);
                end.text = Some(SETUP_WORDS.to_owned());
                self.end_call(now, &mut call, end);
            }
        }
        self.calls.insert(call.id, call);
    }

    fn parties(&self, cdr: &Cdr) -> Option<Parties> {
        let snapshot = &self.snapshot;
        Some(Parties {
            gateway: snapshot.mapping_gateway(cdr.mapping_gateway.as_ref()?.id)?.clone(),
            account: snapshot.accounts.get(&cdr.account.as_ref()?.id)?.clone(),
            agents: cdr
                .agents
                .iter()
                .map(|agent| snapshot.accounts.get(&agent.account.id).cloned())
                .collect::<Option<_>>()?,
            routing: snapshot.routing_gateways.get(&cdr.routing_gateway.as_ref()?.id)?.clone(),
            vendor: snapshot.accounts.get(&cdr.vendor.as_ref()?.id)?.clone(),
        })
    }

    /// The call as it was when it was placed, with its slots.
    fn call_again(
        &mut self,
        rebase: &Rebase,
        placed: Placed,
        parties: &Parties,
        (a, b): (LegId, LegId),
        flow: vocab::Flow,
    ) -> Box<Call> {
        let mut cdr = placed.cdr;
        // What was before the answer matters to nothing but the CDR: by the calendar.
        let ago = micros(rebase.now.utc.0.saturating_sub(cdr.start.0));
        let start = Now { tick: earlier(rebase.now.tick, ago), utc: cdr.start };
        let setup = Box::new(setup_again(&mut cdr, flow));
        let mut call = Box::new(Call::new(cdr.call, a, setup, start, self.snapshot.clone()));
        call.noted = true;
        call.ringing = cdr.ringing;
        call.pdd = cdr.pdd_ms.map(Duration::from_millis);
        call.caller = std::mem::take(&mut cdr.caller.received);
        call.called = DialString::parse(&cdr.called.received).ok();
        call.rounding = settle::rounding(&parties.gateway.params);
        call.gateway = Some(parties.gateway.clone());
        call.account = Some(parties.account.clone());
        let number = call.called.as_ref().map_or("", |called| called.digits()).to_owned();
        let payers = std::iter::once(&parties.account).chain(&parties.agents);
        let prices = cdr.sale.iter().chain(cdr.agents.iter().map(|agent| &agent.price));
        let payer = |(account, priced): (&Arc<Account>, &Priced)| Payer {
            account: account.clone(),
            sale: applied_again(priced, &number),
            reservation: None,
            paid_s: None,
        };
        call.payers = payers.zip(prices).map(payer).collect();
        call.relayed = cdr.media_relayed;
        call.explanation = std::mem::take(&mut cdr.route);
        call.explanation.step("restart", true, "the call was taken up by a new process");
        let record = cdr.attempts.pop().unwrap_or_else(|| attempt_again(&cdr, parties));
        call.attempts = std::mem::take(&mut cdr.attempts);
        let (id, pool) = (parties.routing.route.id, &parties.routing.identity.pool);
        let pooled = self.pools.take_again(id, pool, &record.caller);
        call.current = Some(Current {
            leg: b,
            gateway: parties.routing.clone(),
            vendor: parties.vendor.clone(),
            cost: cdr.cost.as_ref().map(|priced| applied_again(priced, &number)),
            record,
            heard: true,
            rang: false,
            sent_session: false,
            sent_media: false,
            slot_held: true,
            redirects: 0,
            forks: Vec::new(),
            pooled,
        });
        call.slots_held = true;
        self.meters.enter(parties.gateway.id, &call.payers);
        self.hold_numbers(&mut call);
        self.meters.resume_routing(&parties.routing.route);
        call
    }

    /// Goes on with an answered call.
    fn go_on(
        &mut self,
        rebase: &Rebase,
        call: &mut Call,
        answered: Answered,
        confirmed: bool,
        figures: &[SessionStatistics],
        ask_at: Tick,
    ) {
        let now = rebase.now;
        call.answered = Some(rebase.now(answered.at));
        call.ringing = answered.ringing;
        call.pdd = answered.pdd_ms.map(Duration::from_millis);
        call.codecs = answered.codecs;
        call.confirmed = confirmed;
        let [sale, cost] = answered.sections;
        for (payer, sections) in call.payers.iter_mut().zip(std::iter::once(sale).chain(answered.agents)) {
            payer.sale.rate.sections = sections.as_slice().into();
        }
        if let Some(current) = &mut call.current {
            current.record.sip_code = 200;
            if let Some(applied) = &mut current.cost {
                applied.rate.sections = cost.as_slice().into();
            }
        }
        self.media_again(call, answered.streams, figures);
        call.phase = Phase::Talking;
        let last = rebase.last_life(answered.at);
        self.hold_again(now, call, last);
        if answered.delayed && !confirmed {
            // The gateway's ACK was to carry the caller's answer, which never came to this process.
            let mut end = self.ending(now, EndReason::InternalError, EndedBy::Switch);
            (end.at, end.text) = (last, Some(SETUP_WORDS.to_owned()));
            return self.end_call(now, call, end);
        }
        let heard = |side: fn(&SessionStatistics) -> u64| figures.iter().any(|f| side(f) > 0);
        let both = heard(|f| f.a.packets_in) && heard(|f| f.b.packets_in);
        let talking = call.media.as_ref().is_some_and(MediaPlan::talking);
        call.doubt = Some(Doubt { last, asked: false, silent: [true; 2], no_media: both && talking });
        self.set_deadline(call, Deadline::Doubt, Some(ask_at));
        self.watch_credit(call);
        self.set_length_deadline(call);
        self.call_doctor(now, call);
        // Whether the INVITE had an offer matters until its ACK.
        call.setup.session = (!answered.delayed).then(SessionDescription::default);
        // With the numbers that this process goes on from, so that the next one does not use them twice.
        if let Some(record) = self.answered_record(call, answered.answer.clone()) {
            self.journal(record, None);
        }
        if !confirmed {
            let mut session = answered.answer;
            if let (Some(session), Some(plan)) = (&mut session, &call.media) {
                plan.write_keys(session, Side::A);
            }
            self.command(now, call.a, LegCommand::Answer { session });
        }
        self.show(call);
    }

    fn media_again(
        &mut self,
        call: &mut Call,
        streams: Vec<Option<crate::media_plan::StreamState>>,
        figures: &[SessionStatistics],
    ) {
        if !call.relayed {
            return;
        }
        let mut ports = std::mem::take(&mut self.ports);
        let mut commands = Vec::new();
        let signalling = call.setup.flow.remote.ip();
        let callee = call.current.as_ref().and_then(|c| c.record.remote).map_or(signalling, |at| at.ip());
        let threads = self.config.media_threads;
        let party = |signalling, params: &params::Params| Party {
            signalling,
            mode: params.mediaproxymode,
            moves: params.media_move,
            srtp: params.srtp,
        };
        let own = &call.snapshot.params;
        let a = party(signalling, call.gateway.as_ref().map_or(own, |g| &g.params));
        let b = party(callee, call.current.as_ref().map_or(own, |c| &c.gateway.params));
        let plan = MediaPlan::resume(
            (a, b),
            (streams, self.config.seal),
            figures,
            |lease| ports.take_up(lease, threads),
            || self.next_media_session(),
            &mut |command| commands.push(command),
        );
        self.ports = ports;
        for session in plan.sessions() {
            self.media_sessions.insert(session, call.id);
        }
        commands.into_iter().for_each(|command| self.emit(Output::Media(command)));
        call.media = Some(plan);
    }

    /// Holds the money of the talk so far again. The next slice is asked for when all calls have theirs.
    fn hold_again(&mut self, now: Now, call: &mut Call, last: Now) {
        let Some(answered) = call.answered else { return };
        let rounding = call.rounding;
        let seconds = |until: Now| until.tick.since(answered.tick).as_micros().div_ceil(1_000_000);
        let whole = |until: Now| u64::try_from(seconds(until)).unwrap_or(u64::MAX);
        let free = u64::from(rounding.free_time_s);
        for payer in &mut call.payers {
            let Some(available) = self.spendable(&payer.account, now.utc) else { continue };
            let price = |talk_s: u64| {
                pricing::charge(&payer.sale.rate, talk_s.saturating_sub(free), &rounding)
                    .map(|c| (talk_s, c.amount))
            };
            // The hold of the process before covered the talk up to the last sign of life; what came after may be more
            // than there is, and is then not charged.
            let (talk_s, amount) = match (price(whole(now)), price(whole(last))) {
                (Ok((talk_s, due)), _) if due <= available => (talk_s, due),
                (_, Ok((talk_s, due))) => (talk_s, due.min(available.max(Money::ZERO))),
                (_, Err(_)) => (0, Money::ZERO),
            };
            payer.paid_s = Some(talk_s);
            // Refused when the account is over its limit: the call is then cut at once.
            payer.reservation = self.ledger.reserve(payer.account.id, amount).ok();
        }
    }

    /// What a call used is not there any more: both sides are told, and it is charged up to its last sign of life.
    fn close_unknown(&mut self, rebase: &Rebase, placed: Placed, open: OpenCall, confirmed: bool) {
        let now = rebase.now;
        let (a, b) = leg_states(&placed, open.answered.as_deref(), confirmed);
        for state in [a, b] {
            if let Some(leg) = self.endpoint.take_up(now, state, PeerTerms::default()) {
                self.command(now, leg, LegCommand::Release { q850: Some(41), text: None });
            }
        }
        let mut cdr = placed.cdr;
        let mut talk = Duration::ZERO;
        cdr.end = now.utc;
        cdr.end_text = Some(CHANGED_WORDS.to_owned());
        if let Some(answered) = open.answered {
            let last = rebase.last_life(answered.at);
            talk = last.tick.since(rebase.tick(answered.at));
            for (priced, sections) in [&mut cdr.sale, &mut cdr.cost].into_iter().zip(answered.sections) {
                if let Some(priced) = priced {
                    priced.sections = sections;
                }
            }
            for (agent, sections) in cdr.agents.iter_mut().zip(answered.agents) {
                agent.price.sections = sections;
            }
            (cdr.answer, cdr.end) = (Some(answered.at.utc), last.utc);
            (cdr.ringing, cdr.pdd_ms) = (answered.ringing, answered.pdd_ms);
        }
        self.charge_unknown(&mut cdr, talk);
        cdr.talk_ms = settle::millis(talk);
        cdr.end_reason = EndReason::InternalError;
        cdr.ended_by = EndedBy::Switch;
        cdr.sip_code = if cdr.answer.is_some() { 200 } else { EndReason::InternalError.row().sip };
        cdr.q850 = EndReason::InternalError.row().q850;
        let amount = |p: &Option<Priced>| p.as_ref().map_or(Money::ZERO, |p| p.amount);
        let settlement = Settlement {
            call: cdr.call,
            at: cdr.end,
            reservations: Vec::new(),
            charges: cdr
                .account
                .iter()
                .map(|a| (a.id, amount(&cdr.sale)))
                .chain(cdr.agents.iter().map(|agent| (agent.account.id, agent.price.amount)))
                .collect(),
            cost: cdr.vendor.as_ref().map(|v| (v.id, amount(&cdr.cost))),
        };
        let postings = self.ledger.settle(&settlement).unwrap_or_else(|error| {
            cdr.end_text = Some(format!("not booked: {error}"));
            Vec::new()
        });
        self.count_usage(&cdr);
        self.journal(Record::Ended { cdr: Box::new(cdr), postings }, None);
    }

    fn charge_unknown(&self, cdr: &mut Cdr, talk: Duration) {
        let rounding = settle::rounding(&self.snapshot.params);
        let billed = pricing::billed_seconds(talk, &rounding);
        let agents = cdr.agents.iter_mut().map(|agent| &mut agent.price);
        for priced in [&mut cdr.sale, &mut cdr.cost].into_iter().flatten().chain(agents) {
            if let Ok(charge) = pricing::charge(&rate_of(priced), billed, &rounding) {
                priced.billed_s = billed;
                priced.charged_s = charge.charged_seconds;
                priced.amount = charge.amount;
            }
        }
        let mut below = cdr.sale.as_ref().map_or(Money::ZERO, |sale| sale.amount);
        for agent in &mut cdr.agents {
            agent.commission = Money(below.0.saturating_sub(agent.price.amount.0));
            below = agent.price.amount;
        }
        cdr.profit = settle::profit(cdr.revenue(), cdr.cost.as_ref());
    }
}

// --- is the call still there?

impl Switch {
    /// A side gave a sign of life: by a message, or by media.
    pub(crate) fn sign_of_life(call: &mut Call, side: Side, media: bool) {
        let Some(doubt) = &mut call.doubt else { return };
        doubt.silent[usize::from(side == Side::B)] = false;
        doubt.no_media &= !media;
        if doubt.silent == [false; 2] && !doubt.no_media {
            call.doubt = None;
        }
    }

    /// The end that a side told may have been earlier: in the time without a process.
    pub(crate) fn date_back(&self, call: &Call, side: Side, end: &mut Ending) {
        let Some(doubt) = call.doubt.filter(|d| d.silent[usize::from(side == Side::B)]) else { return };
        end.at = doubt.last;
        end.reason = EndReason::NormalRelease;
        end.q850 = EndReason::NormalRelease.row().q850;
        end.text = Some(GAP_WORDS.to_owned());
    }

    pub(crate) fn on_doubt_deadline(&mut self, now: Now, call: &mut Call) {
        let Some(doubt) = &mut call.doubt else { return };
        let silent = doubt.silent;
        if !std::mem::replace(&mut doubt.asked, true) {
            let legs = [Some(call.a).filter(|_| call.confirmed), call.b()];
            for leg in legs.into_iter().flatten() {
                self.command(now, leg, LegCommand::Probe);
            }
            return self.set_deadline(call, Deadline::Doubt, Some(now.tick + DOUBT));
        }
        if silent == [false; 2] && !doubt.no_media {
            return;
        }
        let (last, by) = (doubt.last, if silent[0] { EndedBy::Caller } else { EndedBy::Callee });
        let mut end = self.ending(now, EndReason::NormalRelease, by);
        (end.at, end.text) = (last, Some(GAP_WORDS.to_owned()));
        self.end_call(now, call, end);
    }

    /// Somebody else has taken the ports of this call: a call nobody hears is ended.
    pub(crate) fn on_reopen_failed(&mut self, now: Now, call: &mut Call, session: MediaSessionId) {
        let mut ports = std::mem::take(&mut self.ports);
        if let Some(plan) = &mut call.media {
            plan.lose(session, &mut ports);
        }
        self.ports = ports;
        self.media_sessions.remove(&session);
        let mut end = self.ending(now, EndReason::InternalError, EndedBy::Switch);
        end.at = call.doubt.map_or(now, |doubt| doubt.last);
        end.text = Some("the media ports of the call could not be opened again after a restart".to_owned());
        self.end_call(now, call, end);
    }
}

/// Both legs as they were last written down.
fn leg_states(placed: &Placed, answered: Option<&Answered>, confirmed: bool) -> (LegState, LegState) {
    match answered {
        Some(answered) if confirmed => (answered.a.clone(), answered.b.clone()),
        // The caller's INVITE waits for a 200 that it can take in.
        Some(answered) => (answered.a.clone().with_invite_of(&placed.a), answered.b.clone()),
        None => (placed.a.clone(), placed.b.clone()),
    }
}

fn setup_again(cdr: &mut Cdr, flow: vocab::Flow) -> Setup {
    Setup {
        flow: vocab::Flow { remote: cdr.a.remote.unwrap_or(flow.remote), ..flow },
        call_id: std::mem::take(&mut cdr.a.call_id),
        numbers: SetupNumbers { requested: cdr.called.received.clone(), ..SetupNumbers::default() },
        session: None,
        credentials: None,
        max_forwards: 70,
        user_agent: cdr.a.user_agent.take(),
        wants_reliable: false,
        session_expires_s: None,
        identity: Default::default(),
        extra_headers: Vec::new(),
    }
}

/// An attempt that the draft does not have; it always does.
fn attempt_again(cdr: &Cdr, parties: &Parties) -> Attempt {
    let route = &parties.routing.route;
    Attempt {
        gateway: cdr::Named { id: route.id, name: route.name.clone() },
        account: cdr::Named { id: parties.vendor.id, name: parties.vendor.name.clone() },
        called: cdr.called.sent.clone().unwrap_or_default(),
        caller: cdr.caller.sent.clone().unwrap_or_default(),
        call_id: cdr.b.call_id.clone(),
        remote: cdr.b.remote,
        start: cdr.start,
        ringing: cdr.ringing,
        end: cdr.end,
        result: cdr::AttemptResult::Answered,
        sip_code: 0,
        q850: 0,
        text: None,
    }
}

/// The terms of a price, as the call began with them (`R-55`).
fn applied_again(priced: &Priced, called: &str) -> Applied {
    let group = &priced.rate_group;
    let table = Arc::new(RateTable::default());
    Applied {
        group: Arc::new(RateGroup::new(group.id, &group.name, priced.currency, table)),
        prefix: priced.prefix.parse().unwrap_or_default(),
        number: Packed::of(called),
        rate: rate_of(priced),
    }
}

/// The rate that a price was made from.
fn rate_of(priced: &Priced) -> Rate {
    Rate {
        area: priced.area.clone(),
        price_per_minute: priced.price_per_minute,
        first_period_s: priced.first_period_s,
        first_period_price: priced.first_period_price,
        cycle_s: priced.cycle_s,
        connection_fee: priced.connection_fee,
        minimum_charge: priced.minimum_charge,
        free_seconds: priced.free_seconds,
        locked: false,
        level: priced.level,
        sections: priced.sections.as_slice().into(),
    }
}
