//! What can be said of a CDR and of an idle switch, worked out apart from the code under test.

use crate::world::World;
use cdr::{Cdr, Priced};
use params::Params;
use vocab::{EndedBy, Money};

/// A field of the CDR by the name that ladders use.
pub fn of_cdr(cdr: &Cdr, key: &str) -> Option<String> {
    let name = |n: Option<&str>| n.unwrap_or("none").to_string();
    let amount = |p: &Option<Priced>| p.as_ref().map_or(Money::ZERO, |p| p.amount).to_string();
    let list = |items: Vec<String>| if items.is_empty() { "none".to_string() } else { items.join(",") };
    Some(match key {
        "attempts" => cdr.attempts.len().to_string(),
        "results" => list(cdr.attempts.iter().map(|a| a.result.key().to_string()).collect()),
        "codes" => list(cdr.attempts.iter().map(|a| a.sip_code.to_string()).collect()),
        "gateways" => list(cdr.attempts.iter().map(|a| a.gateway.name.to_string()).collect()),
        "routing_gateway" => name(cdr.routing_gateway.as_ref().map(|n| &*n.name)),
        "mapping_gateway" => name(cdr.mapping_gateway.as_ref().map(|n| &*n.name)),
        "account" => name(cdr.account.as_ref().map(|n| &*n.name)),
        "vendor" => name(cdr.vendor.as_ref().map(|n| &*n.name)),
        "end_reason" => cdr.end_reason.key().to_string(),
        "ended_by" => match cdr.ended_by {
            EndedBy::Caller => "caller",
            EndedBy::Callee => "callee",
            EndedBy::Switch => "switch",
        }
        .to_string(),
        "sip_code" => cdr.sip_code.to_string(),
        "q850" => cdr.q850.to_string(),
        "answered" => if cdr.answer.is_some() { "yes" } else { "no" }.to_string(),
        "rang" => if cdr.ringing.is_some() { "yes" } else { "no" }.to_string(),
        "talk" => ((cdr.talk_ms + 500) / 1000).to_string(),
        "talk_ms" => cdr.talk_ms.to_string(),
        "pdd_ms" => cdr.pdd_ms.map_or("none".into(), |p| p.to_string()),
        "billed" => cdr.sale.as_ref().map_or("none".into(), |p| p.billed_s.to_string()),
        "charged" => cdr.sale.as_ref().map_or("none".into(), |p| p.charged_s.to_string()),
        "prefix" => cdr.sale.as_ref().map_or("none".into(), |p| p.prefix.clone()),
        "fee" => amount(&cdr.sale),
        "cost" => amount(&cdr.cost),
        "agents" => {
            let share =
                |a: &cdr::AgentShare| format!("{}:{}:{}", a.account.name, a.price.amount, a.commission);
            list(cdr.agents.iter().map(share).collect())
        }
        "tax" => cdr.tax.map_or("none".into(), |t| t.to_string()),
        "profit" => cdr.profit.map_or("none".into(), |p| p.to_string()),
        "caller" => cdr.caller.received.clone(),
        "called" => cdr.called.received.clone(),
        "called_sent" => name(cdr.called.sent.as_deref()),
        "text" => name(cdr.end_text.as_deref()),
        "clock" => {
            let noted = cdr.route.steps.iter().find(|s| s.step == "clock").map(|s| s.detail.to_string());
            name(noted.as_deref())
        }
        "codec_a" => name(cdr.a.codec.as_deref()),
        "codec_b" => name(cdr.b.codec.as_deref()),
        "relayed" => if cdr.media_relayed { "yes" } else { "no" }.to_string(),
        "a_in" => cdr.a.media.packets_in.to_string(),
        "a_out" => cdr.a.media.packets_out.to_string(),
        "b_in" => cdr.b.media.packets_in.to_string(),
        "b_out" => cdr.b.media.packets_out.to_string(),
        _ => return None,
    })
}

/// I3: what the CDR says was charged follows from its own terms, worked out with fractions.
pub fn judge_charge(cdr: &Cdr, params: &Params) -> Result<(), String> {
    let sale = cdr.sale.iter().map(|priced| ("sale", priced));
    let agents = cdr.agents.iter().map(|agent| ("agent", &agent.price));
    for (side, priced) in sale.chain(agents).chain(cdr.cost.iter().map(|priced| ("cost", priced))) {
        let billed = billed_seconds(cdr.talk_ms, params);
        if priced.billed_s > billed || (side == "cost" && priced.billed_s != billed) {
            return Err(format!("{side}: {} s billed of a talk of {} ms", priced.billed_s, cdr.talk_ms));
        }
        let want = charge(priced, params);
        if priced.amount != want {
            return Err(format!("{side}: charged {}, should be {want}: {priced:?}", priced.amount));
        }
    }
    let prices = cdr.sale.iter().chain(cdr.agents.iter().map(|agent| &agent.price));
    for (below, agent) in prices.zip(&cdr.agents) {
        if agent.commission.0 != below.amount.0 - agent.price.amount.0
            || agent.price.billed_s != below.billed_s
        {
            return Err(format!("{agent:?} above a price of {}", below.amount));
        }
    }
    Ok(())
}

fn billed_seconds(talk_ms: u64, params: &Params) -> u64 {
    let (rest, from) = (talk_ms % 1000, u64::from(params.billing_hold_time_precision_ms));
    let started = rest > 0 && rest >= from;
    (talk_ms / 1000 + u64::from(started)).saturating_sub(params.billing_free_time_s.into())
}

/// A fee in 10⁻⁸ of the currency, from billed seconds: numerators over a common denominator of 60 × 10¹⁰.
fn charge(priced: &Priced, params: &Params) -> Money {
    let seconds = priced.billed_s;
    if seconds == 0 || seconds <= u64::from(priced.free_seconds) {
        return Money::ZERO;
    }
    let first = u64::from(priced.first_period_s);
    // Cycle by cycle, each at the price and of the length of its beginning.
    let (mut at, mut beyond) = (first, 0);
    while at < seconds {
        let later = priced.sections.iter().rev().find(|s| u64::from(s.from) <= at);
        let (price, cycle) =
            later.map_or((priced.price_per_minute, priced.cycle_s), |s| (s.price_per_minute, s.cycle));
        beyond += i128::from(price.0) * i128::from(cycle);
        at += u64::from(cycle);
    }
    let per_minute = i128::from(priced.price_per_minute.0);
    let first_price = match priced.first_period_price {
        Some(price) => i128::from(price.0) * 60,
        None => per_minute * i128::from(first),
    };
    // In units of 10⁻¹⁰ / 60: a hundredth of a unit of money is 60 of them.
    let talk = first_price + beyond;
    let fee = talk + priced.connection_fee.0 * 6_000;
    let fee = fee.max(priced.minimum_charge.0 * 6_000);
    let unit = match params.billing_fee_unit {
        Money(0) => 10i128.pow(8 - params.billing_fee_precision),
        Money(unit) => unit,
    };
    let step = 6_000 * unit;
    let steps = fee / step + i128::from(fee % step != 0);
    Money(steps * unit)
}

/// I1, I4, I6: books balance, and nothing is held when no call is up.
pub fn idle(world: &World) -> Result<(), String> {
    let footprint = world.switch().footprint();
    let ledger = world.switch().ledger();
    let held = [
        ("calls", footprint.calls),
        ("legs", footprint.legs),
        ("media sessions", footprint.media_sessions),
        ("ports", usize::try_from(footprint.ports).unwrap_or(usize::MAX)),
        ("waits for the journal", footprint.waiting),
        ("reservations", ledger.open_reservations()),
        ("sessions of the media threads", world.media_sessions()),
    ];
    for (what, count) in held {
        if count != 0 {
            return Err(format!("the switch is not idle: {count} {what}; {footprint:?}"));
        }
    }
    books(world)
}

/// I1: entries sum to zero, and every balance is the sum of its entries.
pub fn books(world: &World) -> Result<(), String> {
    let restored = crate::disk::restore(world.disk.written());
    let ledger = world.switch().ledger();
    if !ledger.sum_is_zero() {
        return Err(format!("the books do not sum to zero: {:?}", ledger.sums()));
    }
    for (book, balance) in &restored.balances {
        if ledger.balance(*book) != *balance {
            return Err(format!("{book:?} is {}, its entries sum to {balance}", ledger.balance(*book)));
        }
    }
    for (_, record) in world.disk.written() {
        if let Some(posting) = crate::disk::postings(record).iter().find(|p| !p.is_balanced()) {
            return Err(format!("a posting that is not balanced: {posting:?}"));
        }
    }
    Ok(())
}
