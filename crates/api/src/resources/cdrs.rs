//! Call detail records (`BIL-19`).

use super::calls::MediaPath;
use super::calls::{call_id, jitter_ms, score, tenths_ms};
use super::rates::RateSection;
use super::same_variants;
use super::simulate;
use super::simulate::RouteExplanation;
use crate::body::Asked;
use crate::clock::Timestamp;
use crate::documents;
use crate::grid::{Cell, Column, Direction, Grid};
use crate::listing::Page;
use crate::listing::list_query;
use crate::problem::Problem;
use crate::resources::held::{Held, held};
use crate::server::Answer;
use crate::server::Api;
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use cdr::{LegRecord, Named, Priced};
use serde::Deserialize;
use serde::Serialize;
use store::{CdrFilter, config};
use utoipa::ToSchema;
use vocab::{AccountId, EndReason, MappingGatewayId, RoutingGatewayId};
use vocab::{Money, Price};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    Caller,
    Callee,
    Switch,
}

/// The terms by which one side of a call was priced.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CdrRate {
    pub rate_group: String,
    pub prefix: String,
    pub area: String,
    #[schema(value_type = String)]
    pub price_per_minute: Price,
    pub first_period: u32,
    pub cycle: u32,
    #[schema(value_type = Option<String>)]
    pub first_period_price: Option<Price>,
    #[schema(value_type = String)]
    pub connection_fee: Money,
    #[schema(value_type = String)]
    pub minimum_charge: Money,
    pub free_seconds: u32,
    /// How far the destination is.
    #[schema(value_type = Option<String>)]
    pub level: Option<vocab::CallLevel>,
    /// Prices of later parts of the call.
    pub sections: Vec<RateSection>,
    pub currency: String,
    /// Talk time in whole seconds after rounding.
    pub billed_s: u64,
    /// Seconds charged after periods and cycles.
    pub charged_s: u64,
    #[schema(value_type = String)]
    pub amount: Money,
}

/// An agent's part in a call of an account below it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AgentShare {
    pub id: String,
    pub account: String,
    /// What the agent pays.
    #[schema(value_type = String)]
    pub fee: Money,
    /// What the account directly below it pays, less its own fee.
    #[schema(value_type = String)]
    pub commission: Money,
    pub rate: CdrRate,
}

/// Media of one side as the relay saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct MediaFigures {
    /// From the peer.
    pub packets_in: u64,
    /// To the peer.
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Packets that the peer sent and that never came.
    pub lost: u64,
    /// From a wrong source, dropped.
    pub rejected: u64,
    pub jitter_ms: f64,
    pub jitter_max_ms: f64,
    /// To the peer and back, from RTCP.
    pub rtt_ms: Option<f64>,
    /// What the peer says it lost of the packets to it, and their jitter.
    pub reported_lost: Option<u32>,
    pub reported_jitter_ms: Option<f64>,
    /// Mean opinion score (G.107) of what came from the peer, and of what it got.
    pub mos_in: Option<f64>,
    pub mos_out: Option<f64>,
    /// How digits travel on this side: RFC2833, INFO or Inband.
    pub dtmf: Option<String>,
    pub remote: Option<String>,
}

/// One try at one routing gateway.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Attempt {
    pub gateway: String,
    pub account: String,
    pub called: String,
    pub caller: String,
    pub start: Timestamp,
    pub ringing: Option<Timestamp>,
    pub end: Timestamp,
    /// "answered" or the key of an end reason.
    pub result: String,
    /// Status from the gateway; 0 when none came.
    pub sip_code: u16,
    pub q850: u8,
    pub text: Option<String>,
    pub call_id: String,
    pub remote: Option<String>,
}

/// A call detail record.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Cdr {
    pub id: String,
    pub start: Timestamp,
    pub ringing: Option<Timestamp>,
    pub answer: Option<Timestamp>,
    pub end: Timestamp,
    pub pdd_ms: Option<u64>,
    pub duration_ms: u64,
    /// Seconds charged to the customer.
    pub billed_s: u64,
    pub caller: String,
    pub callee: String,
    pub caller_sent: Option<String>,
    pub callee_sent: Option<String>,
    pub account: Option<String>,
    pub vendor: Option<String>,
    pub mapping_gateway: Option<String>,
    pub routing_gateway: Option<String>,
    /// Key of the table of end reasons.
    pub end_reason: String,
    pub ended_by: EndedBy,
    /// Status sent to the caller before the answer; 200 when answered.
    pub sip_code: u16,
    pub q850: u8,
    /// The peer's own words, or the owner of a limit, or the operator's reason.
    pub end_text: Option<String>,
    pub rate: Option<CdrRate>,
    pub cost_rate: Option<CdrRate>,
    /// What the customer pays.
    #[schema(value_type = Option<String>)]
    pub fee: Option<Money>,
    /// Tax on the fee, by the account's tax rate; not part of it.
    #[schema(value_type = Option<String>)]
    pub tax: Option<Money>,
    /// The agents above the customer, from the nearest to the topmost.
    pub agents: Vec<AgentShare>,
    /// What the vendor is owed.
    #[schema(value_type = Option<String>)]
    pub cost: Option<Money>,
    /// `null` where fee and cost stand in different currencies.
    #[schema(value_type = Option<String>)]
    pub profit: Option<Money>,
    /// The call was sold for less than it cost.
    pub below_cost: bool,
    pub currency: Option<String>,
    pub codec_a: Option<String>,
    pub codec_b: Option<String>,
    pub media: MediaPath,
    pub media_a: MediaFigures,
    pub media_b: MediaFigures,
    pub call_id_a: String,
    pub call_id_b: String,
    pub remote_a: Option<String>,
    pub remote_b: Option<String>,
    pub user_agent_a: Option<String>,
    pub user_agent_b: Option<String>,
    /// How many gateways were tried.
    pub attempts_count: u32,
}

/// A call detail record with its attempts and the explanation of its route.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CdrDetail {
    #[serde(flatten)]
    pub cdr: Cdr,
    pub attempts: Vec<Attempt>,
    /// What reratings have changed of its prices since.
    pub corrections: Vec<CdrCorrection>,
    pub route: RouteExplanation,
    /// Sides that were not heard, or not well, and why.
    pub silent: Vec<SilentSide>,
}

/// A side that was not heard, or not well, and why.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SilentSide {
    /// "caller" or "gateway".
    pub side: String,
    /// Stable key.
    pub why: String,
    pub text: String,
    /// When it was seen, since the answer.
    pub from_ms: u64,
    /// When it was over; `null`: it still is, or was so at the end.
    pub until_ms: Option<u64>,
}

impl From<&cdr::SilentSide> for SilentSide {
    fn from(silent: &cdr::SilentSide) -> SilentSide {
        SilentSide {
            side: if silent.gateway { "gateway" } else { "caller" }.to_owned(),
            why: silent.why.clone(),
            text: silent.words.clone(),
            from_ms: silent.from_ms,
            until_ms: silent.until_ms,
        }
    }
}

/// A price of the call that was put right later.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CdrCorrection {
    pub rerating: String,
    pub account: String,
    #[schema(value_type = String)]
    pub before: Money,
    #[schema(value_type = String)]
    pub after: Money,
}

list_query! {
    pub struct CdrsQuery {
        /// Calls that began at this time or later.
        pub from: Option<Timestamp>,
        /// Calls that began before this time.
        pub to: Option<Timestamp>,
        /// The customer's, by name or id.
        pub account: Option<String>,
        /// The vendor's account, by name or id.
        pub vendor: Option<String>,
        pub mapping_gateway: Option<String>,
        pub routing_gateway: Option<String>,
        /// Begin of the caller's number.
        pub caller: Option<String>,
        /// Begin of the called number, as received or as sent.
        pub callee: Option<String>,
        /// Part of the caller's or the called number.
        pub number: Option<String>,
        pub end_reason: Option<String>,
        pub ended_by: Option<EndedBy>,
        pub answered: Option<bool>,
        pub min_duration_s: Option<u32>,
        /// Calls whose profit is below zero, or others.
        pub below_cost: Option<bool>,
        pub max_duration_s: Option<u32>,
        /// Prefix and area of the customer's rate.
        pub prefix: Option<String>,
        pub area: Option<String>,
        /// Of the fee, or of the cost where nothing was sold.
        pub currency: Option<String>,
        /// Call-ID of one of the two sides.
        pub call_id: Option<String>,
        pub sip_code: Option<u16>,
        pub q850: Option<u8>,
        /// The fee is at least, and at most, this amount.
        pub min_fee: Option<String>,
        pub max_fee: Option<String>,
    }
}

/// What the records of a query add up to.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CdrTotals {
    pub calls: u64,
    pub answered: u64,
    pub duration_ms: u64,
    pub money: Vec<CdrMoney>,
}

/// Sums in one currency.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CdrMoney {
    pub currency: String,
    /// `null` for those who are not shown it.
    #[schema(value_type = Option<String>)]
    pub fee: Option<Money>,
    #[schema(value_type = Option<String>)]
    pub cost: Option<Money>,
}

/// Lists call detail records, the newest first.
#[utoipa::path(get, path = "/cdrs", tag = "cdrs", params(CdrsQuery), responses((status = 200, body = Page<Cdr>)))]
pub(crate) async fn list_cdrs(
    State(api): State<Api>,
    caller: Caller,
    Asked(query): Asked<CdrsQuery>,
) -> Answer<Page<Cdr>> {
    let asked = query.list();
    asked.only_sort("-start")?;
    let limit = asked.limit()?;
    let held = held(&api, &caller);
    let filter = asked_for(&api, held.as_ref(), query)?;
    let page = api.store(move |store| store.cdrs(&filter, asked.cursor.as_deref(), limit)).await?;
    let mut items: Vec<Cdr> = page.items.iter().map(summary).collect();
    if let Some(held) = &held {
        items.iter_mut().for_each(|record| held.mask_record(record));
    }
    Ok(Json(Page { items, next_cursor: page.next, total: None }))
}

/// What the records of a query add up to.
#[utoipa::path(get, path = "/cdr-totals", tag = "cdrs", params(CdrsQuery), responses((status = 200, body = CdrTotals)))]
pub(crate) async fn total_cdrs(
    State(api): State<Api>,
    caller: Caller,
    Asked(query): Asked<CdrsQuery>,
) -> Answer<CdrTotals> {
    let held = held(&api, &caller);
    let filter = asked_for(&api, held.as_ref(), query)?;
    let totals = api.store(move |store| store.cdr_totals(&filter)).await?;
    let (fees, costs) = held.as_ref().map_or((true, true), |held| held.sees_fees_and_costs());
    let money = totals.money.into_iter().map(|(currency, (fee, cost))| CdrMoney {
        currency: currency.to_string(),
        fee: Some(fee).filter(|_| fees),
        cost: Some(cost).filter(|_| costs),
    });
    Ok(Json(CdrTotals {
        calls: totals.calls,
        answered: totals.answered,
        duration_ms: totals.talk_ms,
        money: money.collect(),
    }))
}

/// What may be asked for, narrowed to what the caller may see.
pub(crate) fn asked_for(api: &Api, held: Option<&Held>, query: CdrsQuery) -> Result<CdrFilter, Problem> {
    if let Some(held) = held {
        let given = [
            ("vendor", query.vendor.is_some()),
            ("routing_gateway", query.routing_gateway.is_some()),
            ("account", query.account.is_some()),
            ("mapping_gateway", query.mapping_gateway.is_some()),
            ("prefix", query.prefix.is_some()),
            ("area", query.area.is_some()),
            ("currency", query.currency.is_some()),
            ("min_fee", query.min_fee.is_some()),
            ("max_fee", query.max_fee.is_some()),
            ("call_id", query.call_id.is_some()),
            ("q", query.q.is_some()),
            ("below_cost", query.below_cost.is_some()),
        ];
        held.refuse_probing(&given, query.sort.as_deref())?;
    }
    let mut query = query;
    // Whether there is an account of this name is told of its own only.
    let account = query.account.take_if(|_| held.is_some());
    let mut filter = filter(api, query)?;
    let params = api.store.config().params.clone();
    let now = api.now();
    let hour = u32::try_from(now.0.div_euclid(3_600_000_000).rem_euclid(24)).unwrap_or(0);
    if params.query_cdr_deny_time.contains(hour) {
        let words = "Records cannot be queried at this hour (SERVER_QUERY_CDR_DENY_TIME).";
        return Err(Problem::new(StatusCode::FORBIDDEN, words));
    }
    let most = i64::from(params.query_cdr_max_day_interval).saturating_mul(86_400_000_000);
    let span = filter.from.map_or(i64::MAX, |from| filter.to.unwrap_or(now).0.saturating_sub(from.0));
    if most > 0 && span > most {
        let days = params.query_cdr_max_day_interval;
        let words =
            format!("at most {days} days can be asked for at once (SERVER_QUERY_CDR_MAX_DAY_INTERVAL)");
        return Err(Problem::field("from", words));
    }
    if let Some(held) = held {
        held.narrow(&mut filter);
        let known = |name: &String| documents::find::<config::Account>(api, name).map(|stored| stored.id);
        // No account has the number 0, so an unknown one has no calls either.
        filter.account = account.map(|name| AccountId(known(&name).unwrap_or(0)));
    }
    Ok(filter)
}

/// Reads a call detail record with its attempts and the explanation of its route.
#[utoipa::path(get, path = "/cdrs/{id}", tag = "cdrs", params(("id" = String, Path)), responses((status = 200, body = CdrDetail)))]
pub(crate) async fn get_cdr(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<CdrDetail> {
    let call = call_id(&id)?;
    let found = api.store(move |store| store.cdr(call)).await?;
    let held = held(&api, &caller);
    let found = found.filter(|record| held.as_ref().is_none_or(|held| held.owns_record(record)));
    let record = found.ok_or_else(|| Problem::not_found("call detail record", &id))?;
    let config = api.store.config();
    let corrections = api.store(move |store| store.corrections_of(call)).await?;
    let corrections = corrections.into_iter().map(|one| CdrCorrection {
        account: config.accounts.get(one.account.0).map_or_else(String::new, |a| a.document.name.clone()),
        rerating: one.rerating,
        before: one.before,
        after: one.after,
    });
    let mut detail = detail(&record);
    detail.corrections = corrections.collect();
    if let Some(held) = &held {
        held.mask_detail(&mut detail);
    }
    Ok(Json(detail))
}

pub(crate) fn detail(record: &cdr::Cdr) -> CdrDetail {
    CdrDetail {
        corrections: Vec::new(),
        cdr: summary(record),
        attempts: record.attempts.iter().map(attempt).collect(),
        route: simulate::explanation(&record.route),
        silent: record.silent.iter().map(SilentSide::from).collect(),
    }
}

fn filter(api: &Api, query: CdrsQuery) -> Result<CdrFilter, Problem> {
    let account = |field: &str, key: Option<String>| {
        named::<config::Account>(api, field, key).map(|id| id.map(AccountId))
    };
    let end_reason = query.end_reason.map(|key| {
        EndReason::from_key(&key)
            .ok_or_else(|| Problem::field("end_reason", "is not in the table of end reasons"))
    });
    let fee = |field: &str, text: Option<String>| {
        let read = text.map(|text| Money::parse(&text));
        read.transpose().map_err(|e| Problem::field(field, e.to_string()))
    };
    let currency = query.currency.map(|text| {
        let read = vocab::Currency::parse(&text);
        read.ok_or_else(|| Problem::field("currency", "expected three capital letters, like USD"))
    });
    Ok(CdrFilter {
        within: Vec::new(),
        prefix: query.prefix,
        area: query.area,
        currency: currency.transpose()?,
        call_id: query.call_id,
        sip_code: query.sip_code,
        q850: query.q850,
        max_talk_ms: query.max_duration_s.map(|s| u64::from(s) * 1000),
        min_fee: fee("min_fee", query.min_fee)?,
        max_fee: fee("max_fee", query.max_fee)?,
        from: query.from.map(|t| t.0),
        to: query.to.map(|t| t.0),
        account: account("account", query.account)?,
        vendor: account("vendor", query.vendor)?,
        mapping_gateway: named::<config::MappingGateway>(api, "mapping_gateway", query.mapping_gateway)?
            .map(MappingGatewayId),
        routing_gateway: named::<config::RoutingGateway>(api, "routing_gateway", query.routing_gateway)?
            .map(RoutingGatewayId),
        caller: query.caller,
        callee: query.callee,
        number: query.number,
        end_reason: end_reason.transpose()?,
        ended_by: query.ended_by.map(vocab::EndedBy::from),
        answered: query.answered,
        min_talk_ms: query.min_duration_s.map(|s| u64::from(s) * 1000),
        below_cost: query.below_cost,
        text: query.q.filter(|q| !q.is_empty()),
    })
}

/// The id of the document that a filter names. A name that nobody has is said, not taken for "no calls".
fn named<T: store::Document>(api: &Api, field: &str, key: Option<String>) -> Result<Option<u32>, Problem> {
    let found = key.map(|key| documents::find::<T>(api, &key).map(|stored| stored.id));
    found.transpose().map_err(|problem| Problem::field(field, problem.detail))
}

/// Columns of the live tail.
pub(crate) static GRID: Grid<cdr::Cdr> = Grid {
    columns: &[
        Column::plain("start", |c| Cell::number(c.start.0)),
        Column::plain("end", |c| Cell::number(c.end.0)),
        Column::plain("id", |c| Cell::number(c.call.0)),
        Column::dialled("caller", |c| Cell::text(&c.caller.received)),
        Column::dialled("callee", |c| Cell::text(&c.called.received)),
        Column::text("account", |c| name(c.account.as_ref())),
        Column::text("vendor", |c| name(c.vendor.as_ref())),
        Column::text("mapping_gateway", |c| name(c.mapping_gateway.as_ref())),
        Column::text("routing_gateway", |c| name(c.routing_gateway.as_ref())),
        Column::plain("end_reason", |c| Cell::text(c.end_reason.key())),
        Column::plain("ended_by", |c| Cell::text(EndedBy::from(c.ended_by).key())),
        Column::plain("answered", |c| Cell::switch(c.answer.is_some())),
        Column::plain("sip_code", |c| Cell::number(c.sip_code)),
        Column::plain("q850", |c| Cell::number(c.q850)),
        Column::plain("duration_ms", |c| Cell::number(c.talk_ms)),
        Column::plain("pdd_ms", |c| Cell::maybe_number(c.pdd_ms)),
        Column::plain("fee", |c| Cell::maybe_number(c.sale.as_ref().map(|s| s.amount.0))),
        Column::plain("cost", |c| Cell::maybe_number(c.cost.as_ref().map(|s| s.amount.0))),
        Column::plain("profit", |c| Cell::maybe_number(c.profit.map(|p| p.0))),
    ],
    key: |c| c.call.0,
    default_sort: &[("start", Direction::Desc), ("id", Direction::Desc)],
};

fn name<I>(named: Option<&Named<I>>) -> Cell<'_> {
    Cell::maybe(named.map(|n| n.name.as_ref()))
}

impl EndedBy {
    pub fn key(self) -> &'static str {
        match self {
            EndedBy::Caller => "caller",
            EndedBy::Callee => "callee",
            EndedBy::Switch => "switch",
        }
    }
}

/// A record without its attempts and its route.
pub(crate) fn summary(record: &cdr::Cdr) -> Cdr {
    fn text<I>(named: &Option<Named<I>>) -> Option<String> {
        named.as_ref().map(|n| n.name.to_string())
    }
    let currency = record.sale.as_ref().or(record.cost.as_ref()).map(|p| p.currency.to_string());
    Cdr {
        id: record.call.to_string(),
        start: record.start.into(),
        ringing: record.ringing.map(Timestamp),
        answer: record.answer.map(Timestamp),
        end: record.end.into(),
        pdd_ms: record.pdd_ms,
        duration_ms: record.talk_ms,
        billed_s: record.sale.as_ref().map_or(0, |s| s.charged_s),
        caller: record.caller.received.clone(),
        callee: record.called.received.clone(),
        caller_sent: record.caller.sent.clone(),
        callee_sent: record.called.sent.clone(),
        account: text(&record.account),
        vendor: text(&record.vendor),
        mapping_gateway: text(&record.mapping_gateway),
        routing_gateway: text(&record.routing_gateway),
        end_reason: record.end_reason.key().to_string(),
        ended_by: record.ended_by.into(),
        sip_code: record.sip_code,
        q850: record.q850,
        end_text: record.end_text.clone(),
        rate: record.sale.as_ref().map(rate),
        cost_rate: record.cost.as_ref().map(rate),
        fee: record.sale.as_ref().map(|s| s.amount),
        tax: record.tax,
        agents: record.agents.iter().map(agent_share).collect(),
        cost: record.cost.as_ref().map(|c| c.amount),
        profit: record.profit,
        below_cost: record.profit.is_some_and(Money::is_negative),
        currency,
        codec_a: record.a.codec.clone(),
        codec_b: record.b.codec.clone(),
        media: if record.media_relayed { MediaPath::Relayed } else { MediaPath::Direct },
        media_a: media(&record.a),
        media_b: media(&record.b),
        call_id_a: record.a.call_id.clone(),
        call_id_b: record.b.call_id.clone(),
        remote_a: record.a.remote.map(|r| r.to_string()),
        remote_b: record.b.remote.map(|r| r.to_string()),
        user_agent_a: record.a.user_agent.clone(),
        user_agent_b: record.b.user_agent.clone(),
        attempts_count: u32::try_from(record.attempts.len()).unwrap_or(u32::MAX),
    }
}

fn agent_share(share: &cdr::AgentShare) -> AgentShare {
    AgentShare {
        id: share.account.id.to_string(),
        account: share.account.name.to_string(),
        fee: share.price.amount,
        commission: share.commission,
        rate: rate(&share.price),
    }
}

pub(crate) fn rate(priced: &Priced) -> CdrRate {
    CdrRate {
        rate_group: priced.rate_group.name.to_string(),
        prefix: priced.prefix.clone(),
        area: priced.area.to_string(),
        price_per_minute: priced.price_per_minute,
        first_period: priced.first_period_s,
        cycle: priced.cycle_s,
        first_period_price: priced.first_period_price,
        connection_fee: priced.connection_fee,
        minimum_charge: priced.minimum_charge,
        free_seconds: priced.free_seconds,
        level: priced.level,
        sections: priced.sections.iter().copied().map(RateSection::from).collect(),
        currency: priced.currency.to_string(),
        billed_s: priced.billed_s,
        charged_s: priced.charged_s,
        amount: priced.amount,
    }
}

fn media(leg: &LegRecord) -> MediaFigures {
    MediaFigures {
        packets_in: leg.media.packets_in,
        packets_out: leg.media.packets_out,
        bytes_in: leg.media.bytes_in,
        bytes_out: leg.media.bytes_out,
        lost: leg.media.lost,
        rejected: leg.media.rejected,
        jitter_ms: jitter_ms(&leg.media),
        jitter_max_ms: tenths_ms(leg.media.jitter_max_us),
        rtt_ms: leg.media.rtt_us.map(tenths_ms),
        reported_lost: leg.media.reported_lost,
        reported_jitter_ms: leg.media.reported_jitter_us.map(tenths_ms),
        mos_in: leg.media.mos_in.map(score),
        mos_out: leg.media.mos_out.map(score),
        dtmf: leg.media.dtmf.as_ref().map(|d| d.to_string()),
        remote: leg.media.remote.map(|r| r.to_string()),
    }
}

fn attempt(attempt: &cdr::Attempt) -> Attempt {
    Attempt {
        gateway: attempt.gateway.name.to_string(),
        account: attempt.account.name.to_string(),
        called: attempt.called.clone(),
        caller: attempt.caller.clone(),
        start: attempt.start.into(),
        ringing: attempt.ringing.map(Timestamp),
        end: attempt.end.into(),
        result: attempt.result.key().to_string(),
        sip_code: attempt.sip_code,
        q850: attempt.q850,
        text: attempt.text.clone(),
        call_id: attempt.call_id.clone(),
        remote: attempt.remote.map(|r| r.to_string()),
    }
}

same_variants!(EndedBy, vocab::EndedBy { Caller, Callee, Switch });
