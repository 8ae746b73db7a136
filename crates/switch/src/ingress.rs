//! A call arrives: who is it, whom does it want, may it call, what will it pay, where could it go?
//!
//! [`evaluate`] is the same function for live calls and for the simulation of routes (`RTE-14`).

use crate::attempt::session_terms;
use crate::brain::Switch;
use crate::call::{Applied, Call, Ending};
use crate::interface::Simulation;
use crate::market::{LiveLoad, LiveMarket};
use crate::phones;
use crate::rewriting::{self, Parties};
use crate::screen;
use crate::settle;
use crate::snapshot::{Account, Authentication, CalledSource, CallerSource, MappingGateway, Phone, Snapshot};
use crate::tariff;
use routing::{Candidate, Request};
use std::sync::Arc;
use std::time::Duration;
use vocab::explain::{Detail, RouteExplanation};
use vocab::leg::{CredentialsVerdict, LegCommand, Setup};
use vocab::number::NumberError;
use vocab::prefix::Packed;
use vocab::{AccountId, DialString, EndReason, EndedBy, MappingGatewayId, Now, Utc};

/// A call that is not let in: the reason, the status where it differs from the table's, and words.
pub(crate) struct Rejection {
    pub reason: EndReason,
    pub sip: Option<u16>,
    pub text: Option<String>,
}

impl From<EndReason> for Rejection {
    fn from(reason: EndReason) -> Rejection {
        Rejection { reason, sip: None, text: None }
    }
}

/// Wrong answers to challenges are forgotten after this, and when there are too many to remember.
const WRONG_ANSWER_MEMORY: Duration = Duration::from_secs(60);
const WRONG_ANSWERS_KEPT: usize = 10_000;

/// Who is calling.
enum Identity {
    Known(Arc<MappingGateway>),
    Challenge { stale: bool },
    Unknown,
    WrongPassword,
}

/// What is known once a call may be routed.
pub(crate) struct Route {
    /// The customer and its agents upward, with what each pays.
    pub payers: Vec<(Arc<Account>, Applied)>,
    /// The called number by which the way was chosen.
    pub called: DialString,
    pub ranked: Vec<Candidate>,
    /// The number is a phone's of ours.
    pub phone: Option<Arc<Phone>>,
}

/// A call as it is evaluated: its numbers as received and after the rules of the way in.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub received: &'a Parties,
    pub parties: &'a Parties,
    pub pick: u64,
}

impl Switch {
    pub(crate) fn begin(&mut self, now: Now, call: &mut Call) {
        let gateway = match self.identify(now, &call.setup) {
            Identity::Known(gateway) => gateway,
            Identity::Challenge { stale } => return self.challenge(now, call, stale),
            Identity::Unknown => return self.reject(now, call, EndReason::UnknownSource.into()),
            Identity::WrongPassword => return self.reject(now, call, EndReason::AuthenticationFailed.into()),
        };
        let terms = session_terms(&gateway.params);
        if terms.ttl_s != 0 && call.setup.session_expires_s.is_some_and(|s| s < terms.min_se_s) {
            return self.ask_for_longer(now, call, terms.min_se_s);
        }
        self.command(now, call.a, LegCommand::Terms(terms));
        call.gateway = Some(gateway.clone());
        call.explanation.step("mapping gateway", true, gateway.name.clone());
        let admitted = self.admit(now, call, &gateway);
        self.tell_parties(call);
        if let Err(rejection) = admitted {
            return self.reject(now, call, rejection);
        }
        self.set_out(now, call);
    }

    fn identify(&mut self, now: Now, setup: &Setup) -> Identity {
        let snapshot = self.snapshot.clone();
        if let Some(gateway) = best_by_prefix(snapshot.mapping_by_source(setup.flow.remote), setup) {
            return Identity::Known(gateway.clone());
        }
        if !snapshot.has_password_gateways() {
            return Identity::Unknown;
        }
        let Some(credentials) = &setup.credentials else { return Identity::Challenge { stale: false } };
        let Some(gateway) = snapshot.mapping_by_username(credentials.username()) else {
            return self.count_wrong_answer(now, setup);
        };
        let Authentication::Password { secret, .. } = &gateway.authentication else {
            return Identity::Unknown;
        };
        match credentials.verify(secret) {
            CredentialsVerdict::Accepted => {
                self.guard.signed_in(now.tick, setup.flow.remote.ip());
                Identity::Known(gateway.clone())
            }
            CredentialsVerdict::Stale => Identity::Challenge { stale: true },
            CredentialsVerdict::Wrong => self.count_wrong_answer(now, setup),
        }
    }

    /// A wrong answer is challenged again a few times, then refused (`SS_SIP_AUTHENTICATION_RETRY`). Unknown names go
    /// the same way as wrong passwords, so that nobody learns which names exist.
    fn count_wrong_answer(&mut self, now: Now, setup: &Setup) -> Identity {
        self.guard.sign_in_failed(now.tick, &self.snapshot.params, setup.flow.remote.ip());
        if self.wrong_answers.len() >= WRONG_ANSWERS_KEPT {
            self.wrong_answers.retain(|_, (_, at)| now.tick.since(*at) < WRONG_ANSWER_MEMORY);
        }
        if self.wrong_answers.len() >= WRONG_ANSWERS_KEPT {
            return Identity::WrongPassword;
        }
        let entry = self.wrong_answers.entry(setup.call_id.clone()).or_insert((0, now.tick));
        *entry = (entry.0 + 1, now.tick);
        if entry.0 >= self.snapshot.params.sip_authentication_retry {
            self.wrong_answers.remove(&setup.call_id);
            return Identity::WrongPassword;
        }
        Identity::Challenge { stale: false }
    }

    /// The caller will come again with credentials; this round leaves no trace but its count.
    fn challenge(&mut self, now: Now, call: &mut Call, stale: bool) {
        let status = self.snapshot.params.sip_authentication_code;
        let realm = self.snapshot.realm.to_string();
        self.command(now, call.a, LegCommand::Challenge { status, realm, stale });
        call.phase = crate::call::Phase::Recording(self.journaled);
    }

    /// The caller will come again with a session that is long enough (`SIG-22`); no trace of this round either.
    fn ask_for_longer(&mut self, now: Now, call: &mut Call, min_se_s: u32) {
        self.command(now, call.a, LegCommand::TooBrief { min_se_s });
        call.phase = crate::call::Phase::Recording(self.journaled);
    }

    /// All checks of `RTE-1` up to the ranked plan, then the money and the slots.
    fn admit(&mut self, now: Now, call: &mut Call, gateway: &Arc<MappingGateway>) -> Result<(), Rejection> {
        let own = phones::caller_of_phone(&call.snapshot, gateway.id);
        call.caller = own.unwrap_or_else(|| caller_of(gateway, &call.setup));
        let called = called_of(gateway, &call.setup).to_owned();
        let number = DialString::parse(&called).map_err(no_number)?;
        let numbers = Detail::Numbers { caller: call.caller.clone(), called: number.clone() };
        call.explanation.step("numbers", true, numbers);
        if let Some(from) = &call.setup.numbers.diverted_from {
            call.explanation.step("diverted", true, format!("from {from}"));
        }
        call.received = Some(Parties { caller: call.caller.clone(), called: number.clone() });
        call.called = Some(number.clone());
        call.pick = self.random.next_u64();
        call.rounding = settle::rounding(&gateway.params);
        let source = call.setup.flow.remote.ip();
        let offer = call.setup.session.as_ref();
        if offer.is_some_and(|o| self.config.media.is_pointed_at(o, source, &self.ports)) {
            return Err(Rejection {
                reason: EndReason::ProtocolError,
                sip: Some(488),
                text: Some("the session description names a media address of this switch".to_owned()),
            });
        }
        if let Some(account) = call.snapshot.accounts.get(&gateway.account) {
            call.account = Some(account.clone());
            for (agent, _) in call.snapshot.agents_of(account) {
                self.meters.accounts.entry(agent).or_default().count(now.tick);
            }
        }
        self.meters.mapping.entry(gateway.id).or_default().count(now.tick);
        self.meters.accounts.entry(gateway.account).or_default().count(now.tick);
        if self.draining {
            return Err(EndReason::ShuttingDown.into());
        }
        if !self.journal_has_room() {
            return Err(Rejection {
                reason: EndReason::SystemLimit,
                sip: None,
                text: Some("records cannot be written to disk".to_owned()),
            });
        }
        let snapshot = call.snapshot.clone();
        let parties = Parties { caller: std::mem::take(&mut call.caller), called: number };
        let received = parties.clone();
        screen::check_gateway(now, &snapshot, gateway, &received, &mut call.explanation)?;
        let parties = rewritten(now, &snapshot, gateway, parties, call.pick, &mut call.explanation)?;
        call.caller.clone_from(&parties.caller);
        call.called = Some(parties.called.clone());
        self.count_numbers(now, call, gateway);
        let call_of = Asked { received: &received, parties: &parties, pick: call.pick };
        let route = self.evaluate(now, &snapshot, gateway, call_of, &mut call.explanation)?;
        call.candidates = route.ranked.into();
        call.phone = route.phone;
        self.reserve_first(call, route.payers)?;
        call.slots_held = true;
        self.meters.enter(gateway.id, &call.payers);
        self.hold_numbers(call);
        // With a proportional prefix before it, which priced nothing.
        call.called = Some(route.called);
        Ok(())
    }

    /// The checks and the decision, without holding anything.
    pub(crate) fn evaluate(
        &self,
        now: Now,
        snapshot: &Snapshot,
        gateway: &MappingGateway,
        Asked { received, parties, pick }: Asked<'_>,
        why: &mut RouteExplanation,
    ) -> Result<Route, Rejection> {
        self.check_limits(now, snapshot, gateway, why)?;
        let account = usable_account(now, snapshot, gateway.account, why)?;
        self.check_account_limits(now, &account, why)?;
        let agents = self.usable_agents(now, snapshot, &account, why)?;
        self.check_numbers(now, snapshot, gateway, (received, parties), why)?;
        let sale = priced(now, snapshot, gateway, &account, &parties.called, why)?;
        let (destination, level) = (sale.prefix, sale.rate.level);
        let own_phone = own_phone(snapshot, gateway, &parties.called, why)?;
        let mut payers = vec![(account, sale)];
        for agent in agents {
            let number = Packed::of(parties.called.digits());
            let price = agent_price(snapshot, &agent, number, now.utc, why)?;
            payers.push((agent, price));
        }
        if let Some(phone) = own_phone {
            let called = parties.called.clone();
            let prefix_length = u32::try_from(called.digits().len()).unwrap_or(0);
            let line = Candidate { gateway: phone.line.route.clone(), prefix_length };
            return Ok(Route { payers, called, ranked: vec![line], phone: Some(phone) });
        }
        let Some((topmost, revenue)) = payers.last() else { return Err(EndReason::InternalError.into()) };
        let added = screen::proportional(gateway, &parties.called, pick, why)?;
        let called = added.unwrap_or_else(|| parties.called.clone());
        let caller = screen::digits_of(&parties.caller);
        let market = LiveMarket {
            snapshot,
            sale: revenue,
            currency: topmost.terms.currency,
            called: &called,
            number: Packed::of(called.digits()),
            at: now.utc,
            pick,
        };
        let load = LiveLoad {
            switch: self,
            snapshot,
            now,
            destination: Some(destination),
            caller: &caller,
            called: called.digits(),
        };
        let request = Request {
            caller: &caller,
            called: &called,
            from: gateway.id,
            access: &gateway.calling.access,
            level,
            policies: &snapshot.policies(gateway),
            pick,
        };
        let decision = routing::decide(&snapshot.plan, &request, &load, &market);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let gateways =
            Detail::Gateways { kept: count(decision.ranked.len()), matched: count(decision.notes.len()) };
        why.step("routing gateways", decision.failure.is_none(), gateways);
        why.candidates = decision.notes;
        match decision.failure {
            Some(reason) => Err(reason.into()),
            None => Ok(Route { payers, called, ranked: decision.ranked, phone: None }),
        }
    }

    /// Limits of the switch and of the mapping gateway. The call itself is already counted in the current second.
    fn check_limits(
        &self,
        now: Now,
        snapshot: &Snapshot,
        gateway: &MappingGateway,
        why: &mut RouteExplanation,
    ) -> Result<(), Rejection> {
        let params = &snapshot.params;
        let bound = |limit: u32| (limit != 0).then_some(limit);
        let system = &self.meters.system;
        within(why, "calls a second of the switch", system.in_second(now.tick), bound(params.max_cps), true)
            .ok_or(EndReason::SystemLimit)?;
        within(why, "calls of the switch", system.calls, bound(params.max_concurrency), false)
            .ok_or(EndReason::SystemLimit)?;
        let meter = self.meters.mapping(gateway.id);
        within(
            why,
            "calls a second of the mapping gateway",
            meter.in_second(now.tick),
            gateway.max_cps,
            true,
        )
        .ok_or(EndReason::GatewayCpsLimit)?;
        if let Some(phone) = snapshot.phone_of_trunk(gateway.id) {
            let calls = self.phone_calls(phone.id);
            return within(why, "calls of the phone", calls, phone.max_calls, false)
                .ok_or(EndReason::PhoneLimit.into());
        }
        within(why, "calls of the mapping gateway", meter.calls, gateway.max_concurrency, false)
            .ok_or(EndReason::GatewayConcurrencyLimit)?;
        Ok(())
    }

    fn check_account_limits(
        &self,
        now: Now,
        account: &Account,
        why: &mut RouteExplanation,
    ) -> Result<(), Rejection> {
        let meter = self.meters.account(account.id);
        within(why, "calls a second of the account", meter.in_second(now.tick), account.max_cps, true)
            .ok_or(EndReason::AccountLimit)?;
        within(why, "calls of the account", meter.calls, account.max_concurrency, false)
            .ok_or(EndReason::AccountLimit)?;
        if let Some(left) = self.seconds_left(account, now.utc) {
            why.step("minutes of the account", left > 0, format!("{left} s left"));
            if left == 0 {
                return Err(EndReason::AccountMinutesUsed.into());
            }
        }
        Ok(())
    }

    /// The agents above the account, from the nearest to the topmost, if each of them may call now (`BIL-9`).
    fn usable_agents(
        &self,
        now: Now,
        snapshot: &Snapshot,
        account: &Account,
        why: &mut RouteExplanation,
    ) -> Result<Vec<Arc<Account>>, Rejection> {
        let mut agents = Vec::new();
        for (id, _) in snapshot.agents_of(account) {
            let agent = usable_account(now, snapshot, id, why)?;
            self.check_account_limits(now, &agent, why)?;
            agents.push(agent);
        }
        Ok(agents)
    }

    /// `RTE-14`: the decision for a call that is not placed.
    pub(crate) fn simulate(
        &self,
        now: Now,
        gateway: MappingGatewayId,
        caller: &str,
        called: &str,
    ) -> Result<Simulation, String> {
        let snapshot = self.snapshot.clone();
        let gateway = snapshot.mapping_gateway(gateway).ok_or("no such mapping gateway")?;
        let number = DialString::parse(called).map_err(|e| format!("called: {e}"))?;
        let mut explanation = RouteExplanation::default();
        explanation.step("mapping gateway", gateway.enabled, gateway.name.clone());
        let numbers = Detail::Numbers { caller: caller.to_owned(), called: number.clone() };
        explanation.step("numbers", true, numbers);
        // Nothing is changed by a simulation, so what would be drawn follows from the moment.
        let pick = now.tick.0;
        let outcome = if gateway.enabled {
            let parties = Parties { caller: caller.to_owned(), called: number };
            self.weigh(now, &snapshot, gateway, (parties, pick), &mut explanation)
        } else {
            Err(EndReason::UnknownSource.into())
        };
        let (route, parties) = match outcome {
            Ok(found) => found,
            Err(rejection) => {
                return Ok(Simulation {
                    failure: Some(rejection.reason),
                    explanation,
                    rate: None,
                    plan: Vec::new(),
                });
            }
        };
        let rounding = settle::rounding(&gateway.params);
        let mut failure = None;
        for (level, (account, sale)) in route.payers.iter().enumerate() {
            let affordable = self.affordable_first(account, sale, &rounding, now.utc);
            let whose = if level == 0 { String::new() } else { format!("agent {}: ", account.name) };
            let words = format!("{whose}{}", self.money_words(account, now.utc));
            explanation.step("money", affordable.is_ok(), words);
            failure = failure.or(affordable.err());
        }
        for candidate in &route.ranked {
            let Some(vendor) = snapshot.routing_gateways.get(&candidate.gateway.id) else { continue };
            let tell = |step, words| {
                explanation.step(step, true, format!("for {}: {words}", candidate.gateway.name))
            };
            let draw = (pick, now.utc);
            if let Err(error) = rewriting::outgoing(&snapshot, vendor, &parties, draw, tell) {
                explanation.step("skipped", false, format!("{}: {error}", candidate.gateway.name));
            }
        }
        Ok(Simulation {
            failure,
            explanation,
            rate: route.payers.first().map(|(_, sale)| settle::priced_nothing(sale)),
            plan: route.ranked.iter().map(|c| c.gateway.name.clone()).collect(),
        })
    }

    /// What [`Switch::admit`] does to the numbers and to find a route, for a call that is not placed.
    fn weigh(
        &self,
        now: Now,
        snapshot: &Snapshot,
        gateway: &MappingGateway,
        (received, pick): (Parties, u64),
        why: &mut RouteExplanation,
    ) -> Result<(Route, Parties), Rejection> {
        screen::check_gateway(now, snapshot, gateway, &received, why)?;
        let mut parties = rewritten(now, snapshot, gateway, received.clone(), pick, why)?;
        let asked = Asked { received: &received, parties: &parties, pick };
        let route = self.evaluate(now, snapshot, gateway, asked, why)?;
        parties.called = route.called.clone();
        Ok((route, parties))
    }

    /// Refuses a call that was not let in.
    pub(crate) fn reject(&mut self, now: Now, call: &mut Call, rejection: Rejection) {
        let mut end: Ending = self.ending(now, rejection.reason, EndedBy::Switch);
        end.sip_code = rejection.sip.unwrap_or(end.sip_code);
        end.text = rejection.text;
        self.end_call(now, call, end);
    }
}

fn no_number(error: NumberError) -> Rejection {
    Rejection { reason: EndReason::NumberUnknown, sip: Some(484), text: Some(error.to_string()) }
}

/// The numbers after the rules of the way in.
fn rewritten(
    now: Now,
    snapshot: &Snapshot,
    gateway: &MappingGateway,
    parties: Parties,
    pick: u64,
    why: &mut RouteExplanation,
) -> Result<Parties, Rejection> {
    rewriting::incoming(snapshot, gateway, parties, (pick, now.utc), why).map_err(|error| {
        why.step("rewritten number", false, error.to_string());
        no_number(error)
    })
}

/// One limit, with its explanation. `counted`: the call itself is already in `used`.
pub(crate) fn within(
    why: &mut RouteExplanation,
    name: &'static str,
    used: u32,
    limit: Option<u32>,
    counted: bool,
) -> Option<()> {
    let Some(limit) = limit else { return Some(()) };
    let passed = if counted { used <= limit } else { used < limit };
    why.step(name, passed, Detail::Use { used, limit });
    passed.then_some(())
}

/// The phone of this switch that is called; an error: the calling phone may not call there.
fn own_phone(
    snapshot: &Snapshot,
    gateway: &MappingGateway,
    called: &DialString,
    why: &mut RouteExplanation,
) -> Result<Option<Arc<Phone>>, Rejection> {
    if let Some(barred) = snapshot.phone_of_trunk(gateway.id).filter(|p| !p.may_call(called.digits())) {
        why.step("allowed destinations", false, format!("phone {} may not call there", barred.number));
        return Err(EndReason::CalleeBarred.into());
    }
    let Some(phone) = snapshot.phone_by_number(called.digits()) else { return Ok(None) };
    why.step("phone", true, format!("{} is a phone of this switch", phone.number));
    Ok(Some(phone.clone()))
}

/// The customer's rate, unless it is locked or too far for the gateway.
fn priced(
    now: Now,
    snapshot: &Snapshot,
    gateway: &MappingGateway,
    account: &Account,
    called: &DialString,
    why: &mut RouteExplanation,
) -> Result<Applied, Rejection> {
    let sale = tariff::sale(snapshot, gateway, account, Packed::of(called.digits()), now.utc);
    let passed = sale.as_ref().is_some_and(|s| !s.rate.locked);
    let found = sale.as_ref().map(|s| Detail::Rate {
        group: s.group.name.clone(),
        prefix: s.prefix,
        per_minute: s.rate.price_per_minute,
        locked: s.rate.locked,
    });
    why.step("customer rate", passed, found.unwrap_or("the account has no rate for this number".into()));
    let Some(sale) = sale.filter(|s| !s.rate.locked) else {
        return Err(EndReason::NoMatchingRate.into());
    };
    if gateway.call_level.zip(sale.rate.level).is_some_and(|(may, needs)| needs > may) {
        why.step("call level", false, "the destination is beyond the gateway's call level");
        return Err(EndReason::CallLevelTooLow.into());
    }
    Ok(sale)
}

fn usable_account(
    now: Now,
    snapshot: &Snapshot,
    id: AccountId,
    why: &mut RouteExplanation,
) -> Result<Arc<Account>, Rejection> {
    let Some(account) = snapshot.accounts.get(&id) else {
        why.step("account", false, "the gateway's account is gone");
        return Err(EndReason::AccountLocked.into());
    };
    let (passed, state) = match (account.locked, account.expired(now.utc)) {
        (true, _) => (Err(EndReason::AccountLocked), "locked"),
        (_, true) => (Err(EndReason::AccountExpired), "expired"),
        _ => (Ok(account.clone()), "normal"),
    };
    why.step("account", passed.is_ok(), Detail::Account { name: account.name.clone(), state: state.into() });
    Ok(passed?)
}

/// What an agent above the customer pays.
fn agent_price(
    snapshot: &Snapshot,
    agent: &Account,
    number: Packed,
    at: Utc,
    why: &mut RouteExplanation,
) -> Result<Applied, Rejection> {
    match tariff::agent_price(snapshot, agent, number, at).filter(|price| !price.rate.locked) {
        Some(price) => {
            let minute = price.rate.price_per_minute;
            why.step("agent rate", true, format!("{}: {} at {minute} a minute", agent.name, price.prefix));
            Ok(price)
        }
        None => {
            why.step("agent rate", false, format!("agent {} has no rate for this number", agent.name));
            Err(EndReason::NoMatchingRate.into())
        }
    }
}

/// Of several gateways at one address, the one whose called prefix fits best; one without prefixes takes any number.
/// The number is the one that will be priced: `8-801…` may not pass for another customer's (`R-34`).
fn best_by_prefix<'a>(
    gateways: impl Iterator<Item = &'a Arc<MappingGateway>>,
    setup: &Setup,
) -> Option<&'a Arc<MappingGateway>> {
    let fit = |g: &MappingGateway| match g.called_prefixes.as_slice() {
        [] => Some(0),
        list => {
            let called = DialString::parse(called_of(g, setup)).ok()?;
            list.iter().filter(|p| called.digits().starts_with(p.as_str())).map(|p| p.len() + 1).max()
        }
    };
    let mut best: Option<(usize, &Arc<MappingGateway>)> = None;
    for gateway in gateways {
        let Some(length) = fit(gateway) else { continue };
        if best.is_none_or(|(most, _)| length > most) {
            best = Some((length, gateway));
        }
    }
    best.map(|(_, gateway)| gateway)
}

fn caller_of(gateway: &MappingGateway, setup: &Setup) -> String {
    let numbers = &setup.numbers;
    let chosen = match gateway.caller_source {
        CallerSource::From => None,
        CallerSource::Display => numbers.from_display.as_ref(),
        CallerSource::Asserted => numbers.asserted.as_ref(),
        CallerSource::RemoteParty => numbers.remote_party.as_ref(),
        CallerSource::Preferred => numbers.preferred.as_ref(),
    };
    chosen.unwrap_or(&numbers.from).clone()
}

fn called_of<'a>(gateway: &MappingGateway, setup: &'a Setup) -> &'a str {
    match gateway.called_source {
        CalledSource::RequestUri => &setup.numbers.requested,
        CalledSource::To => &setup.numbers.to,
        CalledSource::Diversion => setup.numbers.diverted_from.as_ref().unwrap_or(&setup.numbers.requested),
    }
}
