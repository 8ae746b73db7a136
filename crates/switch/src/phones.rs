//! Calls to phones (`SIG-9`): may it ring, where does it ring, and where does the call go when it does not.

use crate::brain::Switch;
use crate::call::{Call, Fork};
use crate::ingress::{Asked, Rejection};
use crate::registrar::Registrant;
use crate::rewriting::Parties;
use crate::snapshot::{Phone, RoutingGateway, Snapshot, phone_of};
use params::ForwardDisplay;
use std::net::SocketAddr;
use std::sync::Arc;
use vocab::leg::{LegCommand, LegEvent};
use vocab::{
    DialString, EndReason, EndedBy, LegId, ListenerId, MappingGatewayId, Now, RoutingGatewayId, Transport,
};

/// Phones that may send one call on, one after the other.
const MAX_FORWARDS: usize = 5;

/// Where an attempt goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub target: SocketAddr,
    pub transport: Transport,
    /// `None`: whichever of ours fits.
    pub listener: Option<ListenerId>,
    /// The contact, as the device wrote it.
    pub uri: Option<String>,
    pub routes: Vec<String>,
    pub q: u16,
}

/// Why a call does not stay with a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detour {
    Always,
    Busy,
    NoAnswer,
    NotReachable,
}

impl Detour {
    fn words(self) -> &'static str {
        match self {
            Detour::Always => "always",
            Detour::Busy => "when busy",
            Detour::NoAnswer => "when nobody answers",
            Detour::NotReachable => "when it cannot be reached",
        }
    }

    fn target(self, phone: &Phone) -> Option<&str> {
        let forwards = &phone.forwards;
        match self {
            Detour::Always => forwards.always.as_deref(),
            Detour::Busy => forwards.busy.as_deref(),
            Detour::NoAnswer => forwards.no_answer.as_deref(),
            Detour::NotReachable => forwards.not_reachable.as_deref(),
        }
    }
}

impl Switch {
    /// Sends an admitted call on its way: to a phone of ours, or to the gateways.
    pub(crate) fn set_out(&mut self, now: Now, call: &mut Call) {
        let Some(phone) = call.phone.clone() else { return self.next_attempt(now, call) };
        let obstacle = self.obstacle(now, &phone);
        let Some((detour, reason)) = obstacle else { return self.next_attempt(now, call) };
        if !self.take_detour(now, call, &phone, detour) {
            let end = self.ending(now, reason, EndedBy::Switch);
            self.end_call(now, call, end);
        }
    }

    /// What keeps a phone from ringing.
    fn obstacle(&self, now: Now, phone: &Phone) -> Option<(Detour, EndReason)> {
        let full = phone.max_calls.is_some_and(|most| self.phone_calls(phone.id) >= most);
        match () {
            () if !phone.enabled => Some((Detour::NotReachable, EndReason::CalleeNotOnline)),
            () if phone.forwards.always.is_some() => Some((Detour::Always, EndReason::CalleeUnavailable)),
            () if phone.do_not_disturb => Some((Detour::Busy, EndReason::CalleeBusy)),
            () if !self.registrar.is_registered(now.utc, Registrant::Phone(phone.id)) => {
                Some((Detour::NotReachable, EndReason::CalleeNotOnline))
            }
            () if full => Some((Detour::Busy, EndReason::CalleeBusy)),
            () => None,
        }
    }

    /// Calls that a phone is in, both ways.
    pub(crate) fn phone_calls(&self, id: u32) -> u32 {
        let (trunk, line) = (MappingGatewayId(phone_of(id)), RoutingGatewayId(phone_of(id)));
        self.meters.mapping(trunk).calls + self.meters.routing(line).calls
    }

    /// After an attempt at a phone failed: another contact, or another number. True when the call goes on.
    pub(crate) fn after_phone(
        &mut self,
        now: Now,
        call: &mut Call,
        reason: EndReason,
        status: u16,
        rang: bool,
    ) -> bool {
        let Some(phone) = call.phone.clone() else { return false };
        if call.contacts.is_some() && status < 600 && reason != EndReason::CalleeBusy {
            self.next_attempt(now, call);
            return true;
        }
        let detour = match reason {
            EndReason::CalleeBusy | EndReason::CalleeRejected => Detour::Busy,
            EndReason::NoAnswer => Detour::NoAnswer,
            EndReason::CalleeUnavailable if rang => Detour::NoAnswer,
            _ => Detour::NotReachable,
        };
        self.take_detour(now, call, &phone, detour)
    }

    /// Forwards the call if the phone wants that. True when the call is dealt with, one way or the other.
    fn take_detour(&mut self, now: Now, call: &mut Call, phone: &Arc<Phone>, detour: Detour) -> bool {
        let Some(target) = detour.target(phone) else { return false };
        match self.forward(now, call, phone, target, detour) {
            Ok(()) => self.set_out(now, call),
            Err(rejection) => self.reject(now, call, rejection),
        }
        true
    }

    /// Those who would have paid pay no more: their holds and their slots are given back.
    fn let_go(&mut self, call: &mut Call) {
        let payers = std::mem::take(&mut call.payers);
        for held in payers.iter().filter_map(|payer| payer.reservation) {
            // It is this call's own, so it is there.
            let _ = self.ledger.release(held);
        }
        if call.slots_held {
            self.meters.leave_accounts(&payers);
        }
    }

    /// From here on the call is the phone's: it goes where the phone may call, at the phone's expense.
    fn forward(
        &mut self,
        now: Now,
        call: &mut Call,
        phone: &Arc<Phone>,
        target: &str,
        detour: Detour,
    ) -> Result<(), Rejection> {
        let words = format!("{} forwards {} to {target}", phone.number, detour.words());
        call.explanation.step("forwarded", true, words);
        call.forwards.push(phone.id);
        if call.forwards.len() > MAX_FORWARDS {
            return Err(EndReason::TooManyForwards.into());
        }
        let number = DialString::parse(target).map_err(|_| EndReason::NumberUnknown)?;
        let snapshot = call.snapshot.clone();
        if snapshot.phone_by_number(number.digits()).is_some_and(|next| call.forwards.contains(&next.id)) {
            return Err(EndReason::ForwardLoop.into());
        }
        self.let_go(call);
        call.contacts = None;
        if snapshot.params.call_forward_display == ForwardDisplay::Own {
            call.caller = phone.display.to_string();
        }
        let parties = Parties { caller: call.caller.clone(), called: number };
        let asked = Asked { received: &parties, parties: &parties, pick: call.pick };
        let route = self.evaluate(now, &snapshot, &phone.trunk, asked, &mut call.explanation)?;
        call.account = route.payers.first().map(|(account, _)| account.clone());
        call.called = Some(route.called);
        call.candidates = route.ranked.into();
        call.phone = route.phone;
        self.reserve_first(call, route.payers)?;
        if call.slots_held {
            self.meters.enter_accounts(&call.payers);
        }
        Ok(())
    }

    // --- where to

    /// Where a gateway's calls go now; the best place first.
    pub(crate) fn places(&self, now: Now, gateway: &RoutingGateway) -> Vec<Place> {
        let Some(who) = registrant_of(gateway) else {
            let fixed = |target| Place {
                target,
                transport: gateway.transport,
                listener: None,
                uri: None,
                routes: Vec::new(),
                q: 1000,
            };
            return gateway.target.map(fixed).into_iter().collect();
        };
        let place = |b: &crate::registrar::Binding| Place {
            target: b.target(),
            transport: b.flow.transport,
            listener: Some(b.flow.listener),
            uri: Some(b.uri.clone()),
            routes: b.path.clone(),
            q: b.q,
        };
        let mut places: Vec<Place> = self.registrar.bindings(now.utc, who).into_iter().map(place).collect();
        if !matches!(who, Registrant::Phone(_)) {
            // The number that is called belongs into the Request-URI of a trunk, not the name that it registered.
            places.iter_mut().for_each(|p| p.uri = None);
        }
        places
    }

    pub(crate) fn is_reachable(&self, now: Now, gateway: &RoutingGateway) -> bool {
        match registrant_of(gateway) {
            Some(who) => self.registrar.is_registered(now.utc, who),
            None => gateway.target.is_some() && self.vendors.is_usable(gateway),
        }
    }

    // --- forks

    /// An event of a contact that rings beside the first one.
    pub(crate) fn on_fork_event(&mut self, now: Now, call: &mut Call, leg: LegId, event: LegEvent) {
        match event {
            LegEvent::Trying => self.on_trying(now, call),
            // Media before the answer is heard from the first one only.
            LegEvent::Alerting { .. } => self.on_progress(now, call, true, None, false),
            LegEvent::Answered { session } => {
                self.prefer_fork(call, leg);
                self.on_answered(now, call, session);
            }
            LegEvent::Refused(refusal) if refusal.status >= 600 => self.on_refused(now, call, refusal),
            LegEvent::Refused(_) | LegEvent::Failed(_) => {
                if let Some(current) = &mut call.current {
                    current.forks.retain(|fork| fork.leg != leg);
                }
            }
            _ => {}
        }
    }

    /// This contact is the one to talk to.
    fn prefer_fork(&mut self, call: &mut Call, leg: LegId) {
        let call_id = self.endpoint.call_id(leg).unwrap_or_default().to_owned();
        let Some(current) = &mut call.current else { return };
        let Some(fork) = current.forks.iter_mut().find(|fork| fork.leg == leg) else { return };
        let before = std::mem::replace(&mut current.leg, leg);
        let target = fork.target;
        *fork = Fork { leg: before, target: current.record.remote.unwrap_or(target) };
        current.record.remote = Some(target);
        current.record.call_id = call_id;
        if let Some(plan) = &mut call.media {
            plan.turn_to(target.ip());
        }
        call.early_answer = None;
    }

    /// The first contact is out; another one that still rings takes its place. False: none does.
    pub(crate) fn promote_fork(&mut self, call: &mut Call) -> bool {
        let Some(fork) = call.current.as_ref().and_then(|c| c.forks.first()).copied() else { return false };
        self.prefer_fork(call, fork.leg);
        if let Some(current) = &mut call.current {
            current.forks.remove(0);
        }
        true
    }

    /// Those that were not chosen stop ringing.
    pub(crate) fn cancel_forks(&mut self, now: Now, call: &mut Call, q850: Option<u8>) {
        let forks = call.current.as_mut().map(|c| std::mem::take(&mut c.forks)).unwrap_or_default();
        for fork in forks {
            self.command(now, fork.leg, LegCommand::Cancel { q850 });
        }
    }

    /// Rings the other contacts that are as good as the first.
    pub(crate) fn ring_forks(
        &mut self,
        now: Now,
        call: &mut Call,
        gateway: &RoutingGateway,
        places: &[Place],
        numbers: &Parties,
        offer: Option<&vocab::SessionDescription>,
    ) -> Vec<Fork> {
        let ring = |place: &Place| {
            let leg = self.place(now, call, gateway, place, numbers, offer);
            Fork { leg, target: place.target }
        };
        places.iter().map(ring).collect()
    }
}

/// Who has to be registered for this gateway to be reached.
fn registrant_of(gateway: &RoutingGateway) -> Option<Registrant> {
    match gateway.phone {
        Some(id) => Some(Registrant::Phone(id)),
        None => gateway.login.as_ref().map(|_| Registrant::RoutingGateway(gateway.route.id.0)),
    }
}

/// The number that a phone shows, whatever it wrote into its From.
pub(crate) fn caller_of_phone(snapshot: &Snapshot, trunk: MappingGatewayId) -> Option<String> {
    snapshot.phone_of_trunk(trunk).map(|phone| phone.display.to_string())
}
