//! The end of a call: both legs released, figures collected, priced, settled, written down.

use crate::brain::{FIGURES_WAIT, Switch, Waiting};
use crate::call::{Applied, Call, Deadline, Ending, Phase};
use crate::record::Record;
use billing::ledger::Settlement;
use billing::pricing::{self, Rounding};
use cdr::{AttemptResult, CDR_VERSION, Cdr, LegRecord, MediaFigures, Named, Numbers, Priced};
use media::SideStatistics;
use params::Params;
use std::time::Duration;
use vocab::leg::{LegCommand, Refusal};
use vocab::{EndReason, EndedBy, Money, MoneyError, Now};

/// Clocks that are corrected little by little drift apart by less.
const CLOCK_TOLERANCE_US: i64 = 2_000_000;

pub(crate) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn rounding(params: &Params) -> Rounding {
    Rounding {
        free_time_s: params.billing_free_time_s,
        hold_time_precision_ms: params.billing_hold_time_precision_ms,
        fee_precision: params.billing_fee_precision,
        fee_unit: params.billing_fee_unit,
    }
}

impl Switch {
    /// Ends the call: tells both sides, closes the media, then waits for its figures to settle.
    pub(crate) fn end_call(&mut self, now: Now, call: &mut Call, end: Ending) {
        if call.ended() {
            return;
        }
        let connected = matches!(call.phase, Phase::Talking);
        if connected {
            self.release_legs(now, call, end.q850, end.text.as_ref());
        } else {
            self.refuse_caller(now, call, &end);
            self.give_up_callee(now, call, &end);
        }
        let answered = connected && call.answered.is_some();
        if !answered {
            call.answered = None;
        }
        let result = if answered { AttemptResult::Answered } else { AttemptResult::Failed(end.reason) };
        self.close_attempt(now, call, result, &Refusal::default());
        for deadline in
            [Deadline::Progress, Deadline::Credit, Deadline::Length, Deadline::Doubt, Deadline::Protect]
        {
            self.set_deadline(call, deadline, None);
        }
        call.phase = Phase::Closing(Box::new(end));
        self.show(call);
        let mut ports = std::mem::take(&mut self.ports);
        let mut awaited = 0;
        if let Some(plan) = &mut call.media {
            let unheard = plan.close(&mut ports, &mut |command| self.emit(crate::Output::Media(command)));
            for session in unheard {
                self.media_sessions.remove(&session);
            }
            awaited = plan.closing;
        }
        self.ports = ports;
        if awaited == 0 {
            self.settle(now, call);
        } else {
            self.set_deadline(call, Deadline::Figures, Some(now.tick + FIGURES_WAIT));
        }
    }

    fn refuse_caller(&mut self, now: Now, call: &mut Call, end: &Ending) {
        if end.reason == EndReason::CallerCancelled {
            return;
        }
        let refusal = Refusal {
            status: if end.sip_code >= 300 { end.sip_code } else { 480 },
            q850: Some(end.q850),
            text: Some(end.text.clone().unwrap_or_else(|| end.reason.row().words.to_owned())),
            retry_after_s: is_limit(end.reason).then_some(1),
            ..Refusal::default()
        };
        self.command(now, call.a, LegCommand::Refuse(refusal));
    }

    fn give_up_callee(&mut self, now: Now, call: &mut Call, end: &Ending) {
        let Some(current) = call.current.as_ref().filter(|c| c.slot_held) else { return };
        let leg = current.leg;
        if matches!(call.phase, Phase::Answering { .. }) {
            self.command(now, leg, LegCommand::Release { q850: Some(end.q850), text: end.text.clone() });
        } else {
            self.command(now, leg, LegCommand::Cancel { q850: Some(end.q850) });
        }
    }

    /// Prices, settles and records. Comes once for each call.
    pub(crate) fn settle(&mut self, now: Now, call: &mut Call) {
        let Phase::Closing(end) = &call.phase else { return };
        let end = end.clone();
        mark_clock(now, call);
        let talk = call.answered.map_or(Duration::ZERO, |at| end.at.tick.since(at.tick));
        let mut cdr = self.cdr(call, &end, talk);
        // Money that was not held is not charged, however late a timer or a BYE was.
        let paid_s = call.paid_s.filter(|_| self.is_cut_by_money(call));
        let money = price(call, talk, paid_s);
        let (sale, cost) = match money {
            Ok(priced) => priced,
            Err(MoneyError::NotANumber | MoneyError::TooManyDecimals(_) | MoneyError::Overflow) => {
                // A price beyond what money can hold is refused at entry; should one get here, it is never wrapped.
                cdr.end_text = Some("the charge is too large to be booked".to_owned());
                (None, None)
            }
        };
        let amount = |p: &Option<Priced>| p.as_ref().map_or(Money::ZERO, |p| p.amount);
        let settlement = Settlement {
            call: call.id,
            at: end.at.utc,
            reservation: call.reservation.take(),
            charge: call.account.as_ref().map(|a| (a.id, amount(&sale))),
            cost: call.current.as_ref().map(|c| (c.vendor.id, amount(&cost))),
        };
        let reservation = settlement.reservation;
        let postings = self.ledger.settle(settlement).unwrap_or_else(|error| {
            cdr.end_text = Some(format!("not booked: {error}"));
            reservation.map(|r| self.ledger.release(r));
            Vec::new()
        });
        let booked = !postings.is_empty() || (amount(&sale) == Money::ZERO && amount(&cost) == Money::ZERO);
        if booked {
            let told = call.snapshot.params.billing_profit_calculate;
            cdr.profit = profit(sale.as_ref(), cost.as_ref()).filter(|_| told);
            self.count_turnover(sale.as_ref(), cost.as_ref());
            cdr.sale = sale;
            cdr.cost = cost;
        }
        self.note_outcome(now, call);
        self.free_slots(call, talk);
        if self.is_recorded(call, &end) {
            let record = Record::Ended { cdr: Box::new(cdr), postings };
            let seq = self.journal(record, Some(Waiting::Call(call.id)));
            call.phase = Phase::Recording(seq);
        } else {
            if call.noted {
                self.journal(Record::Dropped(call.id), None);
            }
            call.phase = Phase::Recording(self.journaled);
            self.show(call);
        }
    }

    /// Which calls leave a CDR (`SERVER_BILLING_RECORD_…`). Answered calls always do.
    fn is_recorded(&self, call: &Call, end: &Ending) -> bool {
        let params = &call.snapshot.params;
        let illegal = matches!(end.reason, EndReason::UnknownSource | EndReason::AuthenticationFailed);
        if call.answered.is_some() {
            true
        } else if illegal {
            params.billing_record_illegal_call
        } else if end.by == EndedBy::Switch {
            params.billing_record_server_hang_up
        } else {
            params.billing_record_zero_hold_time
        }
    }

    fn free_slots(&mut self, call: &mut Call, talk: Duration) {
        self.release_numbers(call);
        let Some(gateway) = &call.gateway else { return };
        if std::mem::replace(&mut call.slots_held, false) {
            self.meters.leave(gateway.id, gateway.account, call.answered.is_some(), millis(talk));
        }
    }

    fn count_turnover(&mut self, sale: Option<&Priced>, cost: Option<&Priced>) {
        for (priced, is_sale) in [(sale, true), (cost, false)] {
            let Some(priced) = priced else { continue };
            let (revenue, spent) = self.turnover.entry(priced.currency).or_default();
            let sum = if is_sale { revenue } else { spent };
            sum.0 = sum.0.saturating_add(priced.amount.0);
        }
    }

    fn cdr(&self, call: &Call, end: &Ending, talk: Duration) -> Cdr {
        let mut cdr = draft(end.at, call);
        cdr.end = end.at.utc;
        cdr.talk_ms = millis(talk);
        cdr.end_reason = end.reason;
        cdr.ended_by = end.by;
        cdr.sip_code = if call.answered.is_some() { 200 } else { end.sip_code };
        cdr.q850 = end.q850;
        cdr.end_text = end.text.clone();
        cdr
    }
}

/// Says in the explanation that the calendar clock was set while the call was up: its times do not tell its length then,
/// the monotonic clock does (`R-08`).
fn mark_clock(now: Now, call: &mut Call) {
    let calendar = now.utc.0.saturating_sub(call.start.utc.0);
    let passed = i64::try_from(now.tick.since(call.start.tick).as_micros()).unwrap_or(i64::MAX);
    let set_by = calendar.saturating_sub(passed);
    if set_by.abs() > CLOCK_TOLERANCE_US {
        let words = format!("the calendar clock was set by {:+} s during the call", set_by / 1_000_000);
        call.explanation.step("clock", false, words);
    }
}

/// The CDR of a call as far as it is known; what ends it is filled in later.
pub(crate) fn draft(now: Now, call: &Call) -> Cdr {
    let current = call.current.as_ref();
    let received = call.received.as_ref();
    let named = |g: &crate::snapshot::RoutingGateway| Named { id: g.route.id, name: g.route.name.clone() };
    let mut attempts = call.attempts.clone();
    attempts.extend(current.filter(|c| c.slot_held).map(|c| c.record.clone()));
    Cdr {
        version: CDR_VERSION,
        call: call.id,
        start: call.start.utc,
        ringing: call.ringing,
        answer: call.answered.map(|at| at.utc),
        end: now.utc,
        pdd_ms: call.pdd.map(millis),
        talk_ms: 0,
        caller: Numbers {
            received: received.map_or(&call.caller, |r| &r.caller).clone(),
            sent: current.map(|c| c.record.caller.clone()),
        },
        called: Numbers {
            received: match received.map(|r| &r.called).or(call.called.as_ref()) {
                Some(called) => called.as_str().to_owned(),
                None => call.setup.numbers.requested.clone(),
            },
            sent: current.map(|c| c.record.called.clone()),
        },
        account: call.account.as_ref().map(|a| Named { id: a.id, name: a.name.clone() }),
        mapping_gateway: call.gateway.as_ref().map(|g| Named { id: g.id, name: g.name.clone() }),
        vendor: current.map(|c| Named { id: c.vendor.id, name: c.vendor.name.clone() }),
        routing_gateway: current.map(|c| named(&c.gateway)),
        sale: call.sale.as_ref().map(priced_nothing),
        cost: current.and_then(|c| c.cost.as_ref()).map(priced_nothing),
        profit: None,
        end_reason: EndReason::InternalError,
        ended_by: EndedBy::Switch,
        sip_code: 0,
        q850: 0,
        end_text: None,
        a: leg_record(call, media::Side::A),
        b: leg_record(call, media::Side::B),
        media_relayed: call.relayed,
        attempts,
        route: call.explanation.clone(),
    }
}

fn leg_record(call: &Call, side: media::Side) -> LegRecord {
    let is_a = side == media::Side::A;
    let attempt = call.current.as_ref();
    let setup = &call.setup;
    LegRecord {
        call_id: if is_a {
            setup.call_id.clone()
        } else {
            attempt.map(|c| c.record.call_id.clone()).unwrap_or_default()
        },
        remote: if is_a { Some(setup.flow.remote) } else { attempt.and_then(|c| c.record.remote) },
        transport: if is_a { Some(setup.flow.transport) } else { attempt.map(|c| c.gateway.transport) },
        user_agent: setup.user_agent.clone().filter(|_| is_a),
        codec: call.codecs[usize::from(!is_a)].as_deref().map(str::to_owned),
        media: figures(call, side),
    }
}

/// Figures of all streams of one side together; jitter and address are those of the first.
pub(crate) fn figures(call: &Call, side: media::Side) -> MediaFigures {
    let streams = call.media.iter().flat_map(|plan| &plan.statistics);
    let sides = streams.map(|s| if side == media::Side::A { &s.a } else { &s.b });
    sides.fold(MediaFigures::default(), |mut sum, s: &SideStatistics| {
        sum.packets_in += s.packets_in;
        sum.bytes_in += s.bytes_in;
        sum.packets_out += s.packets_out;
        sum.bytes_out += s.bytes_out;
        sum.lost += s.lost;
        sum.rejected += s.rejected;
        sum.jitter_us = if sum.jitter_us == 0 { s.jitter_us } else { sum.jitter_us };
        sum.remote = sum.remote.or(s.latched);
        sum
    })
}

/// The terms of a rate with nothing charged yet.
pub(crate) fn priced_nothing(applied: &Applied) -> Priced {
    let rate = &applied.rate;
    Priced {
        rate_group: Named { id: applied.group.id, name: applied.group.name.clone() },
        prefix: applied.prefix.to_string(),
        area: rate.area.clone(),
        price_per_minute: rate.price_per_minute,
        first_period_s: rate.first_period_s,
        first_period_price: rate.first_period_price,
        cycle_s: rate.cycle_s,
        connection_fee: rate.connection_fee,
        minimum_charge: rate.minimum_charge,
        free_seconds: rate.free_seconds,
        level: rate.level,
        sections: rate.sections.to_vec(),
        currency: applied.group.currency,
        billed_s: 0,
        charged_s: 0,
        amount: Money::ZERO,
    }
}

/// Both sides' prices of a talk. The customer is charged for `paid_s` seconds of talk at most.
fn price(
    call: &Call,
    talk: Duration,
    paid_s: Option<u64>,
) -> Result<(Option<Priced>, Option<Priced>), MoneyError> {
    let cost_of = call.current.as_ref().and_then(|c| c.cost.as_ref());
    let bound = paid_s.map(|s| s.saturating_sub(call.rounding.free_time_s.into()));
    let billed = pricing::billed_seconds(talk, &call.rounding);
    let sale = call
        .sale
        .as_ref()
        .map(|s| charged(s, billed.min(bound.unwrap_or(billed)), &call.rounding))
        .transpose()?;
    let cost = cost_of.map(|c| charged(c, billed, &call.rounding)).transpose()?;
    Ok((sale, cost))
}

fn charged(applied: &Applied, billed_s: u64, rounding: &Rounding) -> Result<Priced, MoneyError> {
    let charge = pricing::charge(&applied.rate, billed_s, rounding)?;
    let mut priced = priced_nothing(applied);
    priced.billed_s = billed_s;
    priced.charged_s = charge.charged_seconds;
    priced.amount = charge.amount;
    Ok(priced)
}

/// Sale less cost in one currency.
pub(crate) fn profit(sale: Option<&Priced>, cost: Option<&Priced>) -> Option<Money> {
    match (sale, cost) {
        (Some(sale), Some(cost)) if sale.currency == cost.currency => {
            sale.amount.checked_sub(cost.amount).ok()
        }
        (Some(sale), None) => Some(sale.amount),
        _ => None,
    }
}

fn is_limit(reason: EndReason) -> bool {
    matches!(
        reason,
        EndReason::GatewayCpsLimit
            | EndReason::GatewayConcurrencyLimit
            | EndReason::AccountLimit
            | EndReason::NumberLimit
            | EndReason::SystemLimit
            | EndReason::AllGatewaysBusy
    )
}
