//! Calls in progress and totals, told to the outside as they change.

use crate::brain::Switch;
use crate::call::{Call, Phase};
use crate::live::{CallState, LiveCall, LiveLeg, LiveUpdate, Totals};
use crate::record::{Moment, Record};
use crate::settle;
use media::Side;
use std::sync::Arc;
use vocab::{CallId, Money, Now};

/// What the outside has not been told yet. A call is only named here: it is described when somebody asks, once for all
/// that has happened to it in the meantime.
#[derive(Debug, Default)]
pub(crate) struct News {
    calls: Vec<CallId>,
    figures: Vec<LiveUpdate>,
    totals: Option<Totals>,
}

impl Switch {
    /// Is there anything to tell?
    pub fn has_news(&self) -> bool {
        let News { calls, figures, totals } = &self.news;
        !calls.is_empty() || !figures.is_empty() || totals.is_some()
    }

    /// What has changed since the last time. To be asked for as often as somebody looks, at least once a second.
    pub fn take_news(&mut self, into: &mut Vec<LiveUpdate>) {
        let News { calls, figures, totals } = std::mem::take(&mut self.news);
        for id in calls {
            if let Some(call) = self.calls.get_mut(&id) {
                call.in_news = false;
            }
            into.push(match self.calls.get(&id) {
                Some(call) => LiveUpdate::Call(Box::new(self.live_call(call))),
                None => LiveUpdate::Ended(id),
            });
        }
        into.extend(figures);
        into.extend(totals.map(LiveUpdate::Totals));
    }

    /// The call has changed, or is about to be forgotten.
    pub(crate) fn show(&mut self, call: &mut Call) {
        if !std::mem::replace(&mut call.in_news, true) {
            self.news.calls.push(call.id);
        }
    }

    pub(crate) fn show_media(&mut self, call: &Call) {
        let (a, b) = (settle::figures(call, Side::A), settle::figures(call, Side::B));
        self.news.figures.push(LiveUpdate::Media { call: call.id, a, b });
    }

    pub(crate) fn live_call(&self, call: &Call) -> LiveCall {
        let current = call.current.as_ref();
        let attempt = call.attempts.len() + usize::from(current.is_some_and(|c| c.slot_held));
        LiveCall {
            call: call.id,
            state: state_of(call),
            start: call.start.utc,
            answer: call.answered.map(|at| at.utc),
            caller: Arc::from(call.caller.as_str()),
            called: Arc::from(
                call.called.as_ref().map_or(call.setup.numbers.requested.as_str(), |c| c.as_str()),
            ),
            account: call.account.as_ref().map(|a| a.name.clone()),
            mapping_gateway: call.gateway.as_ref().map(|g| g.name.clone()),
            routing_gateway: current.map(|c| c.gateway.route.name.clone()),
            vendor: current.map(|c| c.vendor.name.clone()),
            attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
            pdd_ms: call.pdd.map(settle::millis),
            a: LiveLeg {
                call_id: Arc::from(call.setup.call_id.as_str()),
                remote: Some(call.setup.flow.remote),
                codec: call.codecs[0].clone(),
            },
            b: LiveLeg {
                call_id: Arc::from(current.map_or("", |c| c.record.call_id.as_str())),
                remote: current.and_then(|c| c.record.remote),
                codec: call.codecs[1].clone(),
            },
            price: call.sale().map(settle::priced_nothing),
            cost_per_minute: current.and_then(|c| c.cost.as_ref()).map(|c| c.rate.price_per_minute),
            reserved: call
                .payers
                .first()
                .and_then(|payer| payer.reservation)
                .map_or(Money::ZERO, |r| self.ledger.held_by(r)),
            paid_until_s: call.paid_s(),
            media_relayed: call.relayed,
            silent: call.silent.clone(),
        }
    }

    pub(crate) fn every_second(&mut self, now: Now) {
        let talking = self.calls.values().filter(|c| matches!(c.phase, Phase::Talking)).count();
        if talking > 0 {
            self.journal(Record::Alive { at: Moment::new(now, self.config.boot) }, None);
        }
        let totals = Totals {
            at: now.utc,
            calls: u32::try_from(self.calls.len()).unwrap_or(u32::MAX),
            talking: u32::try_from(talking).unwrap_or(u32::MAX),
            cps: self.meters.system.cps(now.tick),
            attempts: self.meters.system.attempts,
            answered: self.meters.system.answered,
            talk_ms: self.meters.system.talk_ms,
            money: self.turnover.iter().map(|(c, (revenue, cost))| (*c, *revenue, *cost)).collect(),
            media_ports_used: self.ports.used(),
            journal_stopped: self.journal_stopped,
            guard: self.guard.counters(),
            sip: self.endpoint.statistics(),
        };
        self.news.totals = Some(totals);
    }
}

fn state_of(call: &Call) -> CallState {
    let held = call.media.as_ref().is_some_and(|plan| call.relayed && !plan.talking());
    match &call.phase {
        Phase::Trying | Phase::Answering { .. } if call.ringing.is_some() => CallState::Ringing,
        Phase::Trying | Phase::Answering { .. } => CallState::Setup,
        Phase::Talking if held => CallState::Held,
        Phase::Talking => CallState::Talking,
        Phase::Closing(_) | Phase::Recording(_) => CallState::Ending,
    }
}
