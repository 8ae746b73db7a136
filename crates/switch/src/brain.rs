//! The composition: inputs to the engine or the call they belong to, outputs in the order they arose.

use crate::call::{Call, DEADLINES, Deadline, Ending, Phase};
use crate::guard::{Guard, Verdict};
use crate::identity::PoolUse;
use crate::interface::{ControlId, Input, Output, Restore, SwitchConfig};
use crate::keep_alive::KeepAlive;
use crate::load::Meters;
use crate::quality::Qualities;
use crate::quota::Usage;
use crate::record::Record;
use crate::registrar::Registrar;
use crate::show::News;
use crate::snapshot::Snapshot;
use crate::vendors::Vendors;
use crate::watch::Watch;
use billing::ledger::Ledger;
use diagnosis::Event;
use media::{MediaCommand, MediaEvent, PortPool};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use vocab::leg::{FromLeg, LegCommand, LegEvent};
use vocab::{
    AccountId, CallId, Currency, EndReason, EndedBy, Flow, IdMap, LegId, MediaSessionId, Money, Now, Random,
    Seq, Tick,
};

/// New calls are refused while more records than this wait for the disk (`R-06`): bounds the memory of the queue.
const JOURNAL_BACKLOG: u64 = 20_000;
/// How long the media threads may take to hand over a call's figures.
pub(crate) const FIGURES_WAIT: Duration = Duration::from_secs(1);
/// 2020-01-01T00:00:00Z in microseconds: call ids count from here.
const CALL_ID_EPOCH: i64 = 1_577_836_800_000_000;

/// The switch as one state machine. Feed it with [`Switch::handle_input`] and [`Switch::handle_timeout`], then drain
/// [`Switch::poll_output`]; come back at [`Switch::poll_timeout`].
pub struct Switch {
    pub(crate) config: SwitchConfig,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) endpoint: sip::Endpoint,
    pub(crate) ledger: Ledger,
    pub(crate) meters: Meters,
    pub(crate) ports: PortPool,
    pub(crate) calls: IdMap<CallId, Box<Call>>,
    pub(crate) legs: IdMap<LegId, CallId>,
    pub(crate) media_sessions: IdMap<MediaSessionId, CallId>,
    deadlines: BinaryHeap<Reverse<(Tick, CallId, Deadline)>>,
    next_second: Tick,
    outputs: VecDeque<Output>,
    pub(crate) news: News,
    pub(crate) seq: Seq,
    pub(crate) journaled: Seq,
    waiting: BTreeMap<Seq, Waiting>,
    /// Repeated requests whose first one is still on its way to the disk.
    repeated: Vec<(Seq, ControlId, crate::interface::ControlReply)>,
    pub(crate) journal_stopped: bool,
    pub(crate) draining: bool,
    pub(crate) drain_waiters: Vec<ControlId>,
    /// Postings by idempotency key.
    pub(crate) keys: HashMap<String, (Seq, billing::ledger::Posting)>,
    /// Wrong answers to challenges, by Call-ID of the caller.
    pub(crate) wrong_answers: HashMap<String, (u32, Tick)>,
    /// Revenue and cost since the start, by currency.
    pub(crate) turnover: BTreeMap<Currency, (Money, Money)>,
    pub(crate) usage: HashMap<AccountId, Usage>,
    pub(crate) last_call_id: CallId,
    next_media_session: u64,
    pub(crate) guard: Guard,
    pub(crate) registrar: Registrar,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) vendors: Vendors,
    pub(crate) pools: PoolUse,
    /// How gateways have done of late.
    pub(crate) qualities: Qualities,
    /// Numbers in use, and those barred for a time.
    pub(crate) watch: Watch,
    /// For what rules draw.
    pub(crate) random: Random,
    /// The last message was not dropped unread.
    heard: bool,
}

/// What waits for a record to be on disk.
pub(crate) enum Waiting {
    /// The caller's 200, or the end of a call.
    Call(CallId),
    Reply(ControlId, crate::interface::ControlReply),
    Registration(Box<(sip::RegistrationId, sip::RegistrationAnswer)>),
}

impl Switch {
    /// Goes on from `restore`: calls that were up are taken up again, those that were being set up are ended.
    pub fn new(now: Now, config: SwitchConfig, mut restore: Restore, snapshot: Arc<Snapshot>) -> Switch {
        let mut random = Random::from_seed(config.seed);
        let endpoint = sip::Endpoint::new(endpoint_config(&config, &snapshot), random.fork());
        let mut switch = Switch {
            endpoint,
            ledger: Ledger::default(),
            meters: Meters::default(),
            ports: PortPool::new(),
            calls: IdMap::default(),
            legs: IdMap::default(),
            media_sessions: IdMap::default(),
            deadlines: BinaryHeap::new(),
            next_second: Tick(0),
            outputs: VecDeque::new(),
            news: News::default(),
            seq: restore.last_seq,
            journaled: restore.last_seq,
            waiting: BTreeMap::new(),
            repeated: Vec::new(),
            journal_stopped: false,
            draining: false,
            drain_waiters: Vec::new(),
            keys: HashMap::new(),
            wrong_answers: HashMap::new(),
            turnover: BTreeMap::new(),
            usage: HashMap::new(),
            last_call_id: CallId(0),
            next_media_session: 0,
            qualities: Qualities::default(),
            watch: Watch::default(),
            guard: Guard::new(random.next_u64()),
            registrar: Registrar::default(),
            keep_alive: KeepAlive::default(),
            vendors: Vendors::default(),
            pools: PoolUse::default(),
            random,
            heard: false,
            config,
            snapshot: snapshot.clone(),
        };
        switch.set_accounts(&snapshot);
        switch.registrar.restore(now.utc, std::mem::take(&mut restore.registrations));
        switch.forget_unknown_registrants(&snapshot);
        switch.restore(now, restore);
        // Only now, because calls of the process before have the first right to their ports.
        switch.ask_for_ports();
        switch
    }

    /// Handles one input. Drain [`Switch::poll_output`] afterwards (or after a batch of inputs).
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Message { flow, bytes } => self.on_message(now, flow, bytes),
            Input::StreamError { flow } => self.endpoint.handle_stream_error(now, flow),
            Input::FlowClosed { flow } => self.endpoint.handle_flow_closed(now, flow),
            Input::Media(event) => self.on_media(now, event),
            Input::Journaled(seq) => self.on_journaled(now, seq),
            Input::JournalStopped(stopped) => self.journal_stopped = stopped,
            Input::Configure(snapshot) => {
                self.endpoint.set_config(endpoint_config(&self.config, &snapshot));
                self.adopt(snapshot);
            }
            Input::Control { id, request } => self.on_control(now, id, request),
        }
        self.drain_endpoint(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Switch::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Tick> {
        let regular = self.next_second.min(self.keep_alive.next_at());
        let own = self.deadlines.peek().map_or(regular, |Reverse((at, ..))| (*at).min(regular));
        Some(self.endpoint.poll_timeout().map_or(own, |at| at.min(own)))
    }

    pub fn handle_timeout(&mut self, now: Now) {
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now.tick) {
            self.endpoint.handle_timeout(now);
            self.drain_endpoint(now);
        }
        while let Some(Reverse((at, call, deadline))) = self.deadlines.peek().copied() {
            if at > now.tick {
                break;
            }
            self.deadlines.pop();
            let due = |c: &Call| c.deadlines[deadline as usize] == Some(at);
            if self.calls.get(&call).is_some_and(|c| due(c)) {
                self.with_call(now, call, |switch, call| {
                    call.deadlines[deadline as usize] = None;
                    switch.on_deadline(now, call, deadline);
                });
            }
        }
        self.keep_alive(now);
        self.drain_endpoint(now);
        if now.tick >= self.next_second {
            self.next_second = now.tick + Duration::from_secs(1);
            self.registrar.expire(now.utc);
            self.look_after_vendors(now);
            self.drain_endpoint(now);
            self.sweep_deadlines();
            self.every_second(now);
        }
    }

    /// Deadlines of calls that are over would stay until they are due, hours perhaps.
    fn sweep_deadlines(&mut self) {
        if self.deadlines.len() > 4096 + 2 * DEADLINES * self.calls.len() {
            let calls = &self.calls;
            self.deadlines.retain(|Reverse((at, call, deadline))| {
                calls.get(call).is_some_and(|c| c.deadlines[*deadline as usize] == Some(*at))
            });
        }
    }

    fn on_message(&mut self, now: Now, flow: Flow, bytes: &[u8]) {
        match self.guard.judge(now.tick, &self.snapshot, flow, bytes) {
            Verdict::Known(policy) => {
                self.endpoint.handle_message(now, flow, policy, bytes);
            }
            Verdict::Stranger(policy) => {
                let heard = self.endpoint.handle_message(now, flow, policy, bytes);
                self.guard.heard(now.tick, flow.remote.ip(), heard);
            }
            Verdict::Drop => {
                self.heard = false;
                return;
            }
        }
        self.heard = true;
    }

    /// Was the last message read? What the guard drops is not worth keeping.
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    fn on_media(&mut self, now: Now, event: MediaEvent) {
        match event {
            MediaEvent::Ready(leases) => leases.into_iter().for_each(|lease| self.ports.add_ready(lease)),
            MediaEvent::PrepareFailed { wanted, v6 } => self.ports.prepare_failed(wanted, v6),
            MediaEvent::FirstPacket { session, side } => self.with_session(now, session, |switch, call| {
                switch.tell(call.id, Event::FirstMedia(side));
                switch.on_first_packet(call, side);
            }),
            MediaEvent::ReopenFailed { session } => self.with_session(now, session, |switch, call| {
                switch.on_reopen_failed(now, call, session);
            }),
            MediaEvent::Pressed { session, to, digit, length_ms } => {
                self.with_session(now, session, |switch, call| {
                    switch.on_pressed(now, call, to, digit, length_ms);
                })
            }
            MediaEvent::Silent { session, side } => self.with_session(now, session, |switch, call| {
                switch.tell(call.id, Event::MediaStopped(side));
                switch.on_silence(now, call, side);
            }),
            MediaEvent::Statistics(all) => {
                for figures in all {
                    self.with_session(now, figures.session, |switch, call| {
                        switch.on_figures(now, call, figures, false);
                    });
                }
            }
            MediaEvent::Closed(figures) => {
                self.with_session(now, figures.session, |switch, call| {
                    switch.on_figures(now, call, figures, true);
                });
                self.media_sessions.remove(&figures.session);
            }
        }
        self.ask_for_ports();
    }

    /// Keeps port pairs ready ahead of need, in the address families that a listener can bring calls of.
    pub(crate) fn ask_for_ports(&mut self) {
        for v6 in [false, true] {
            let family_used = self.config.media_families[usize::from(v6)];
            if let Some(count) = family_used.then(|| self.ports.low_water(v6)).flatten() {
                self.emit(Output::Media(MediaCommand::Prepare { count, v6 }));
            }
        }
    }

    fn with_session(&mut self, now: Now, session: MediaSessionId, f: impl FnOnce(&mut Switch, &mut Call)) {
        if let Some(call) = self.media_sessions.get(&session).copied() {
            self.with_call(now, call, f);
        }
    }

    /// Runs `f` on a call. A panic in it is our bug and ends that call alone, with a CDR.
    pub(crate) fn with_call(&mut self, now: Now, id: CallId, f: impl FnOnce(&mut Switch, &mut Call)) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        let confined = catch_unwind(AssertUnwindSafe(|| f(self, &mut call)));
        if confined.is_err() {
            self.confine(now, &mut call);
        }
        self.keep(call);
    }

    fn confine(&mut self, now: Now, call: &mut Call) {
        if call.ended() {
            return;
        }
        let end = self.ending(now, EndReason::InternalError, EndedBy::Switch);
        // Should ending it fail as well, the call is at least not left in the air.
        if catch_unwind(AssertUnwindSafe(|| self.end_call(now, call, end))).is_err() {
            call.phase = Phase::Recording(self.journaled);
        }
    }

    fn keep(&mut self, call: Box<Call>) {
        let done = matches!(call.phase, Phase::Recording(seq) if seq <= self.journaled);
        if !done {
            self.calls.insert(call.id, call);
        } else if self.draining && self.calls.is_empty() {
            self.reply_drained();
        }
    }

    /// Hands the engine's events to their calls and its messages to the shell, until it is quiet.
    pub(crate) fn drain_endpoint(&mut self, now: Now) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                sip::Output::Send { flow, bytes } => self.emit(Output::Send { flow, bytes }),
                sip::Output::Event(event) => self.on_leg_event(now, event),
                sip::Output::Register(asked) => self.on_register(now, &asked),
                sip::Output::Errand(errand, outcome) => self.on_errand(now, errand, outcome),
            }
        }
    }

    fn on_leg_event(&mut self, now: Now, FromLeg { leg, event }: FromLeg) {
        match event {
            LegEvent::Setup(setup) => self.on_setup(now, leg, setup),
            LegEvent::Ended => {
                self.legs.remove(&leg);
            }
            event => {
                if let Some(call) = self.legs.get(&leg).copied() {
                    self.with_call(now, call, |switch, call| switch.on_call_event(now, call, leg, event));
                }
            }
        }
    }

    fn on_setup(&mut self, now: Now, leg: LegId, setup: Box<vocab::leg::Setup>) {
        let id = self.new_call_id(now);
        self.meters.system.count(now.tick);
        let call = Box::new(Call::new(id, leg, setup, now, self.snapshot.clone()));
        self.legs.insert(leg, id);
        self.calls.insert(id, call);
        self.with_call(now, id, |switch, call| {
            switch.tell_begin(call);
            switch.begin(now, call);
        });
    }

    fn on_journaled(&mut self, now: Now, seq: Seq) {
        self.journaled = self.journaled.max(seq);
        for (_, id, reply) in self.repeated.extract_if(.., |(at, ..)| *at <= seq).collect::<Vec<_>>() {
            self.emit(Output::Reply { id, reply });
        }
        while let Some(entry) = self.waiting.first_entry() {
            if *entry.key() > seq {
                break;
            }
            match entry.remove() {
                Waiting::Reply(id, reply) => self.emit(Output::Reply { id, reply }),
                Waiting::Registration(answered) => {
                    let (id, answer) = *answered;
                    self.endpoint.answer_registration(now, id, &answer);
                }
                Waiting::Call(call) => {
                    self.with_call(now, call, |switch, call| switch.on_recorded(now, call))
                }
            }
        }
    }

    pub(crate) fn also_waiting(&mut self, seq: Seq, id: ControlId, reply: crate::interface::ControlReply) {
        self.repeated.push((seq, id, reply));
    }

    pub(crate) fn command(&mut self, now: Now, leg: LegId, command: LegCommand) {
        self.endpoint.command(now, leg, command);
    }

    pub(crate) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Writes a record; what `waiting` says happens when it is on disk.
    pub(crate) fn journal(&mut self, record: Record, waiting: Option<Waiting>) -> Seq {
        self.seq = Seq(self.seq.0 + 1);
        if let Some(waiting) = waiting {
            self.waiting.insert(self.seq, waiting);
        }
        self.emit(Output::Journal { seq: self.seq, record });
        self.seq
    }

    /// May a new call be promised to the disk?
    pub(crate) fn journal_has_room(&self) -> bool {
        !self.journal_stopped && self.seq.0 - self.journaled.0 < JOURNAL_BACKLOG
    }

    pub(crate) fn set_deadline(&mut self, call: &mut Call, deadline: Deadline, at: Option<Tick>) {
        call.deadlines[deadline as usize] = at;
        if let Some(at) = at {
            self.deadlines.push(Reverse((at, call.id, deadline)));
        }
    }

    pub(crate) fn next_media_session(&mut self) -> MediaSessionId {
        self.next_media_session += 1;
        MediaSessionId(self.next_media_session)
    }

    fn new_call_id(&mut self, now: Now) -> CallId {
        let since = u64::try_from(now.utc.0.saturating_sub(CALL_ID_EPOCH)).unwrap_or(0);
        self.last_call_id = CallId((since << 10).max(self.last_call_id.0 + 1));
        self.last_call_id
    }

    pub(crate) fn ending(&self, now: Now, reason: EndReason, by: EndedBy) -> Ending {
        let row = reason.row();
        Ending { reason, by, at: now, sip_code: row.sip, q850: row.q850, text: None }
    }

    fn adopt(&mut self, snapshot: Arc<Snapshot>) {
        self.set_accounts(&snapshot);
        self.forget_unknown_registrants(&snapshot);
        self.snapshot = snapshot;
        self.ask_for_ports();
    }

    fn set_accounts(&mut self, snapshot: &Snapshot) {
        for account in snapshot.accounts.values() {
            // A refused change of currency is refused where it is entered; here the old terms stay.
            let _ = self.ledger.set_account(account.id, account.terms);
        }
    }

    /// Calls in progress.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Ports on lease, legs known to calls, and what the SIP engine holds: for checks that all is given back.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            calls: self.calls.len(),
            legs: self.legs.len(),
            media_sessions: self.media_sessions.len(),
            ports: self.ports.used(),
            waiting: self.waiting.len(),
            pooled: self.pools.used(),
            sip: self.endpoint.statistics(),
        }
    }
}

/// What the switch holds at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    pub calls: usize,
    pub legs: usize,
    pub media_sessions: usize,
    pub ports: u32,
    pub waiting: usize,
    /// Numbers of caller pools in use.
    pub pooled: usize,
    pub sip: sip::Statistics,
}

fn endpoint_config(config: &SwitchConfig, snapshot: &Snapshot) -> sip::Config {
    sip::Config {
        user_agent: snapshot.params.sip_user_agent.to_string(),
        listeners: config.listeners.clone(),
        resend_intervals_ms: snapshot.params.sip_resend_interval_ms.clone(),
        challenge: snapshot.has_password_gateways().then(|| sip::Challenge {
            status: snapshot.params.sip_authentication_code,
            realm: snapshot.realm.clone(),
        }),
    }
}
