//! The end of a call: both legs released, figures collected, priced, settled, written down.

use crate::brain::{FIGURES_WAIT, Switch, Waiting};
use crate::call::{Applied, Call, Deadline, Ending, Payer, Phase};
use crate::record::Record;
use billing::ledger::Settlement;
use billing::pricing::{self, Rounding};
use cdr::{AgentShare, AttemptResult, CDR_VERSION, Cdr, LegRecord, MediaFigures, Named, Numbers, Priced};
use diagnosis::Event;
use media::SideStatistics;
use params::Params;
use std::time::Duration;
use vocab::leg::{LegCommand, Refusal};
use vocab::{AccountId, EndReason, EndedBy, Money, MoneyError, Now};

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
        self.tell(call.id, Event::Ended { reason: end.reason, answered });
        use Deadline::{Credit, Doctor, Doubt, Length, Progress, Protect};
        for deadline in [Progress, Credit, Length, Doubt, Doctor, Protect] {
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
        let bill = bill(call, talk, Self::chargeable_s(call)).unwrap_or_else(|_| {
            // A price beyond what money can hold is refused at entry; should one get here, it is never wrapped.
            cdr.end_text = Some("the charge is too large to be booked".to_owned());
            Bill::default()
        });
        let settlement = Settlement {
            call: call.id,
            at: end.at.utc,
            reservations: call.payers.iter_mut().filter_map(|payer| payer.reservation.take()).collect(),
            charges: charges(&call.payers, &bill.sales),
            cost: call.current.as_ref().map(|c| c.vendor.id).zip(bill.cost.as_ref().map(|c| c.amount)),
        };
        let postings = self.ledger.settle(&settlement);
        let booked = postings.is_ok();
        let postings = postings.unwrap_or_else(|error| {
            cdr.end_text = Some(format!("not booked: {error}"));
            for reservation in &settlement.reservations {
                let _ = self.ledger.release(*reservation);
            }
            Vec::new()
        });
        let charged = |p: Option<&Priced>| p.map(|p| p.amount).filter(|_| booked && call.answered.is_some());
        let (sale, cost) = (charged(bill.sales.first()), charged(bill.cost.as_ref()));
        self.tell(call.id, Event::Charged { sale, cost });
        if booked {
            self.count_turnover(&bill);
            bill.write(call, &mut cdr);
            self.count_usage(&cdr);
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
            self.meters.leave(gateway.id, &call.payers, call.answered.is_some(), millis(talk));
        }
    }

    fn count_turnover(&mut self, bill: &Bill) {
        for (priced, is_sale) in [(bill.sales.last(), true), (bill.cost.as_ref(), false)] {
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
        sale: call.sale().map(priced_nothing),
        agents: shares(&call.payers, call.payers.iter().map(|payer| priced_nothing(&payer.sale)).collect()),
        tax: None,
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
        silent: call.silent.clone(),
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

/// Figures of all streams of one side together; jitter, round trip and address are those of the first.
pub(crate) fn figures(call: &Call, side: media::Side) -> MediaFigures {
    let streams = call.media.iter().flat_map(|plan| &plan.statistics);
    let sides = streams.map(|s| if side == media::Side::A { &s.a } else { &s.b });
    let mut sum = sides.fold(MediaFigures::default(), |mut sum, s: &SideStatistics| {
        sum.packets_in += s.packets_in;
        sum.bytes_in += s.bytes_in;
        sum.packets_out += s.packets_out;
        sum.bytes_out += s.bytes_out;
        sum.lost += s.lost;
        sum.rejected += s.rejected;
        sum.jitter_us = if sum.jitter_us == 0 { s.jitter_us } else { sum.jitter_us };
        sum.jitter_max_us = sum.jitter_max_us.max(s.jitter_max_us);
        sum.rtt_us = sum.rtt_us.or(s.rtt_us);
        sum.reported_lost = sum.reported_lost.or(s.reported_lost.map(|lost| lost.max(0).unsigned_abs()));
        sum.reported_jitter_us = sum.reported_jitter_us.or(s.reported_jitter_us);
        sum.remote = sum.remote.or(s.latched);
        sum.dtmf = sum.dtmf.or(s.digits.map(|method| method.name().into()));
        sum
    });
    let planned = || call.media.as_ref()?.digits_to(side).map(|method| method.name().into());
    sum.dtmf = sum.dtmf.or_else(planned);
    judge(call.codecs[usize::from(side == media::Side::B)].as_deref().unwrap_or(""), &mut sum);
    sum
}

/// What the figures say of how each direction is heard (`MED-7`).
fn judge(codec: &str, sum: &mut MediaFigures) {
    let micros = |us: u32| Duration::from_micros(us.into());
    let round_trip = sum.rtt_us.map(micros);
    let stream = |received, lost: u64, jitter_us: u32| media::quality::Stream {
        codec,
        received,
        lost,
        jitter: micros(jitter_us),
        round_trip,
    };
    sum.mos_in = media::quality::mos(&stream(sum.packets_in, sum.lost, sum.jitter_us));
    sum.mos_out = sum.reported_lost.and_then(|lost| {
        let lost = u64::from(lost).min(sum.packets_out);
        media::quality::mos(&stream(sum.packets_out - lost, lost, sum.reported_jitter_us.unwrap_or(0)))
    });
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

/// What a talk costs everybody.
#[derive(Default)]
struct Bill {
    /// By payer: of the customer, then of its agents.
    sales: Vec<Priced>,
    cost: Option<Priced>,
}

impl Bill {
    fn write(self, call: &Call, cdr: &mut Cdr) {
        let told = call.snapshot.params.billing_profit_calculate;
        cdr.profit = profit(self.sales.last(), self.cost.as_ref()).filter(|_| told);
        cdr.sale = self.sales.first().cloned();
        cdr.tax = call.account.as_ref().zip(cdr.sale.as_ref()).and_then(|(a, s)| a.tax_rate.of(s.amount));
        cdr.agents = shares(&call.payers, self.sales);
        cdr.cost = self.cost;
    }
}

/// The prices of a talk. The payers are charged for `paid_s` seconds of talk at most.
fn bill(call: &Call, talk: Duration, paid_s: Option<u64>) -> Result<Bill, MoneyError> {
    let bound = paid_s.map(|s| s.saturating_sub(call.rounding.free_time_s.into()));
    let billed = pricing::billed_seconds(talk, &call.rounding);
    let sold = billed.min(bound.unwrap_or(billed));
    let sales = call.payers.iter().map(|payer| charged(&payer.sale, sold, &call.rounding));
    let cost = call.current.as_ref().and_then(|c| c.cost.as_ref());
    Ok(Bill {
        sales: sales.collect::<Result<_, _>>()?,
        cost: cost.map(|c| charged(c, billed, &call.rounding)).transpose()?,
    })
}

fn charges(payers: &[Payer], sales: &[Priced]) -> Vec<(AccountId, Money)> {
    payers
        .iter()
        .enumerate()
        .map(|(i, p)| (p.account.id, sales.get(i).map_or(Money::ZERO, |s| s.amount)))
        .collect()
}

/// The agents' parts of a call, of everybody's prices.
fn shares(payers: &[Payer], sales: Vec<Priced>) -> Vec<AgentShare> {
    let below: Vec<Money> = sales.iter().map(|sale| sale.amount).collect();
    let agents = payers.iter().zip(sales).zip(std::iter::once(Money::ZERO).chain(below));
    let share = |((payer, price), below): ((&Payer, Priced), Money)| AgentShare {
        account: Named { id: payer.account.id, name: payer.account.name.clone() },
        commission: Money(below.0.saturating_sub(price.amount.0)),
        price,
    };
    agents.skip(1).map(share).collect()
}

fn charged(applied: &Applied, billed_s: u64, rounding: &Rounding) -> Result<Priced, MoneyError> {
    let charge = pricing::charge(&applied.rate, billed_s, rounding)?;
    let mut priced = priced_nothing(applied);
    priced.billed_s = billed_s;
    priced.charged_s = charge.charged_seconds;
    priced.amount = charge.amount;
    Ok(priced)
}

/// What we are paid less cost, in one currency.
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
