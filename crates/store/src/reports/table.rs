//! The table of reports, and what they are made of.

use super::{Cell, Totals};
use crate::{ChangeError, Problem};
use vocab::Money;

/// Where the figures of a report come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// One for each call.
    Calls,
    /// One for each try at a routing gateway.
    Attempts,
    /// Entries of accounts. Those of a call belong to the time of its start.
    Ledger,
    /// Balances as they are now.
    Balances,
    /// Samples of the load.
    Load,
}

macro_rules! dimensions {
    ($($(#[$doc:meta])* $variant:ident $name:literal;)*) => {
        /// What rows can be grouped by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Dimension { $($(#[$doc])* $variant,)* }

        impl Dimension {
            pub const ALL: &[Dimension] = &[$(Dimension::$variant,)*];

            pub fn name(self) -> &'static str {
                match self { $(Dimension::$variant => $name,)* }
            }
        }
    };
}

dimensions! {
    Minute "minute";
    Hour "hour";
    Day "day";
    /// From Monday.
    Week "week";
    Month "month";
    /// 00 to 23, of all days.
    HourOfDay "hour_of_day";
    /// The customer.
    Account "account";
    MappingGateway "mapping_gateway";
    Vendor "vendor";
    RoutingGateway "routing_gateway";
    /// Of the customer's rate.
    Prefix "prefix";
    Area "area";
    /// Of the vendor's rate.
    CostPrefix "cost_prefix";
    EndReason "end_reason";
    Currency "currency";
}

use Dimension::{
    Account, Area, CostPrefix, Currency, Day, EndReason, Hour, HourOfDay, MappingGateway, Minute, Month,
    Prefix, RoutingGateway, Vendor, Week,
};

impl Dimension {
    pub fn parse(name: &str) -> Option<Dimension> {
        Dimension::ALL.iter().copied().find(|d| d.name() == name)
    }

    pub fn is_time(self) -> bool {
        matches!(self, Minute | Hour | Day | Week | Month | HourOfDay)
    }
}

impl Source {
    /// What its rows can be grouped by.
    pub fn dimensions(self) -> &'static [Dimension] {
        match self {
            Source::Calls => &[
                Hour,
                Day,
                Week,
                Month,
                HourOfDay,
                Account,
                MappingGateway,
                Vendor,
                RoutingGateway,
                Prefix,
                Area,
                CostPrefix,
                EndReason,
                Currency,
            ],
            Source::Attempts => &[
                Hour,
                Day,
                Week,
                Month,
                HourOfDay,
                Account,
                MappingGateway,
                Vendor,
                RoutingGateway,
                Prefix,
                Area,
                EndReason,
            ],
            Source::Ledger => &[Hour, Day, Week, Month, Account, Currency],
            Source::Balances => &[Account, Currency],
            Source::Load => &[Minute, Hour, Day, Week, Month],
        }
    }

    /// What can be asked for by value.
    pub fn filters(self) -> &'static [Dimension] {
        match self {
            Source::Calls => {
                &[Account, MappingGateway, Vendor, RoutingGateway, Prefix, Area, EndReason, Currency]
            }
            Source::Attempts => &[Account, MappingGateway, Vendor, RoutingGateway, Prefix, Area, EndReason],
            Source::Ledger => &[Account, Currency],
            Source::Balances => &[Account],
            Source::Load => &[],
        }
    }
}

/// How a measure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Seconds,
    Milliseconds,
    Minutes,
    Percent,
    /// In the row's currency.
    Money,
    /// Money for a minute.
    Price,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Seconds => "seconds",
            Unit::Milliseconds => "milliseconds",
            Unit::Minutes => "minutes",
            Unit::Percent => "percent",
            Unit::Money => "money",
            Unit::Price => "price",
        }
    }
}

/// A figure of a row.
#[derive(Debug)]
pub struct Measure {
    pub name: &'static str,
    pub unit: Unit,
    pub help: &'static str,
    pub(super) of: fn(&Totals) -> Cell,
}

impl PartialEq for Measure {
    fn eq(&self, other: &Measure) -> bool {
        self.name == other.name
    }
}

/// `number` of `of`, rounded half up, in units of 10 to the minus `decimals`; nothing when there is nothing to divide by.
fn ratio(number: i128, of: i128, decimals: u32) -> Cell {
    let doubled = number.checked_mul(2 * 10i128.pow(decimals)).and_then(|n| n.checked_add(of));
    match (doubled, of) {
        (Some(n), of) if of > 0 => Cell::Decimal { number: n.div_euclid(2 * of), decimals },
        _ => Cell::Nothing,
    }
}

fn percent(number: i128, of: i128) -> Cell {
    number.checked_mul(100).map_or(Cell::Nothing, |n| ratio(n, of, 2))
}

fn average(sum: i128, count: i128) -> Cell {
    match ratio(sum, count, 0) {
        Cell::Decimal { number, .. } => Cell::Whole(number),
        other => other,
    }
}

/// Money for a minute, from money and seconds, with eight decimals.
fn per_minute(money: i128, seconds: i128) -> Cell {
    money.checked_mul(60).map_or(Cell::Nothing, |n| match average(n, seconds) {
        Cell::Whole(n) => Cell::Money(Money(n)),
        other => other,
    })
}

const fn money(amount: i128) -> Cell {
    Cell::Money(Money(amount))
}

macro_rules! measures {
    ($($name:literal $unit:ident $help:literal $of:expr;)*) => {
        /// Every measure.
        pub static MEASURES: &[Measure] =
            &[$(Measure { name: $name, unit: Unit::$unit, help: $help, of: $of },)*];
    };
}

measures! {
    "calls" Count "Calls, answered or not." |t| Cell::Whole(t.calls);
    "attempts" Count "Tries at routing gateways." |t| Cell::Whole(t.calls);
    "answered" Count "Answered calls." |t| Cell::Whole(t.answered);
    "share" Percent "Part of all calls of the report." |t| percent(t.calls, t.all_calls);
    "asr" Percent "Answer-seizure ratio: answered of all (ITU-T E.411)." |t| percent(t.answered, t.calls);
    "ner" Percent "Network effectiveness ratio: answered, rang, busy or rejected, of all (ITU-T E.425)."
        |t| percent(t.effective, t.calls);
    "acd_s" Seconds "Average length of answered calls." |t| average(t.talk_ms, t.answered.saturating_mul(1000));
    "pdd_ms" Milliseconds "Average time from the INVITE to the first ringing." |t| average(t.pdd_ms, t.pdd_calls);
    "talk_s" Seconds "Talk time." |t| average(t.talk_ms, 1000);
    "minutes" Minutes "Talk time in minutes." |t| ratio(t.talk_ms, 60_000, 2);
    "billed_s" Seconds "Seconds charged to customers." |t| Cell::Whole(t.billed_s);
    "cost_s" Seconds "Seconds charged by vendors." |t| Cell::Whole(t.cost_s);
    "concurrency" Count "Calls in progress on average (Erlang)." |t| ratio(t.talk_ms, t.length_s.saturating_mul(1000), 2);
    "revenue" Money "What customers pay." |t| money(t.revenue);
    "cost" Money "What vendors are owed." |t| money(t.cost);
    "profit" Money "Revenue less cost, of calls where both stand in one currency." |t| money(t.profit);
    "margin" Percent "Profit of revenue." |t| percent(t.profit, t.revenue);
    "price" Price "Revenue for a charged minute." |t| per_minute(t.revenue, t.billed_s);
    "cost_price" Price "Cost for a minute charged by the vendor." |t| per_minute(t.cost, t.cost_s);
    "break_even" Price "What a charged minute must bring for these calls to earn nothing and lose nothing."
        |t| per_minute(t.cost, t.billed_s);
    "loss_calls" Count "Calls that cost more than they were sold for." |t| Cell::Whole(t.loss_calls);
    "loss" Money "What was lost on them." |t| money(t.loss);
    "opening" Money "Balance before the time of the report." |t| money(t.opening);
    "payments" Money "Paid in." |t| money(t.payments);
    "refunds" Money "Paid out." |t| money(t.refunds);
    "corrections" Money "Corrections." |t| money(t.corrections);
    "charges" Money "Charged for calls." |t| money(t.charges);
    "costs" Money "Owed for calls." |t| money(t.costs);
    "other" Money "Opening balances, credits, transfers." |t| money(t.other);
    "closing" Money "Balance after the time of the report." |t| money(t.balance);
    "movement" Money "Sum of all entries." |t| money(t.balance);
    "entries" Count "Entries in the ledger." |t| Cell::Whole(t.entries);
    "balance" Money "Balance now." |t| money(t.balance);
    "credit_limit" Money "How far below zero it may go; nothing: no limit." |t| t.credit.map_or(Cell::Nothing, money);
    "available" Money "Balance and credit." |t| t.credit.map_or(Cell::Nothing, |c| money(t.balance.saturating_add(c)));
    "most_calls" Count "Most calls in progress at one time." |t| Cell::Whole(t.most_calls);
    "most_cps" Count "Most calls that came within one second." |t| Cell::Whole(t.most_cps);
}

pub(super) fn measure(name: &str) -> Option<&'static Measure> {
    MEASURES.iter().find(|m| m.name == name)
}

/// A report.
#[derive(Debug)]
pub struct Report {
    pub name: &'static str,
    pub title: &'static str,
    pub source: Source,
    /// Unless asked otherwise.
    pub group: &'static [Dimension],
    pub(super) measures: &'static [&'static str],
    /// The one to draw.
    pub chart: &'static str,
    /// Rows that are of interest.
    pub(super) keep: fn(&Totals) -> bool,
}

impl Report {
    pub fn measures(&self) -> impl Iterator<Item = &'static Measure> {
        self.measures.iter().filter_map(|name| measure(name))
    }

    /// Are there amounts in it? Then there is a row for each currency.
    pub fn has_money(&self) -> bool {
        let amount = |m: &'static Measure| matches!(m.unit, Unit::Money | Unit::Price);
        self.measures().any(amount)
    }
}

const fn all(_: &Totals) -> bool {
    true
}

const QUALITY: &[&str] = &["attempts", "answered", "asr", "ner", "acd_s", "pdd_ms", "talk_s"];
const CALL_QUALITY: &[&str] = &["calls", "answered", "asr", "ner", "acd_s", "pdd_ms", "talk_s"];
const PROFIT: &[&str] = &[
    "calls",
    "answered",
    "minutes",
    "billed_s",
    "revenue",
    "cost",
    "profit",
    "margin",
    "price",
    "cost_price",
];
const SALES: &[&str] = &["calls", "answered", "talk_s", "billed_s", "revenue", "price"];
const PURCHASES: &[&str] = &["calls", "answered", "talk_s", "cost_s", "cost", "cost_price"];

macro_rules! reports {
    ($($name:literal $title:literal $source:ident [$($dimension:ident),*] $measures:expr, $chart:literal $(, $keep:expr)?;)*) => {
        /// Every report.
        pub static REPORTS: &[Report] = &[$(Report {
            name: $name,
            title: $title,
            source: Source::$source,
            group: &[$($dimension),*],
            measures: $measures,
            chart: $chart,
            keep: reports!(@keep $($keep)?),
        },)*];
    };
    (@keep) => { all };
    (@keep $keep:expr) => { $keep };
}

reports! {
    "revenue_detail" "Revenue detail" Calls [Account, MappingGateway, Area, Prefix] SALES, "revenue";
    "gateway_bill" "Gateway bill" Calls [MappingGateway] SALES, "revenue";
    "clearing_account_detail" "Clearing account detail" Calls [Vendor, Area, CostPrefix] PURCHASES, "cost";
    "clearing_gateway_detail" "Clearing gateway detail" Calls [RoutingGateway, Area, CostPrefix] PURCHASES, "cost";
    "account_clearing_balance" "Account clearing balance" Ledger [Account]
        &["opening", "payments", "refunds", "corrections", "charges", "costs", "other", "closing", "entries"], "closing";
    "financial_settlement" "Financial settlement summary" Ledger [Month]
        &["payments", "refunds", "corrections", "charges", "costs", "other", "movement", "entries"], "movement";
    "profit_by_customer" "Profit by customer" Calls [Account] PROFIT, "profit";
    "profit_by_vendor" "Profit by vendor" Calls [Vendor] PROFIT, "profit";
    "profit_by_destination" "Profit by destination" Calls [Area, Prefix] PROFIT, "profit";
    "profit_by_hour" "Profit by hour" Calls [Hour] PROFIT, "profit";
    "profit_by_day" "Profit by day" Calls [Day] PROFIT, "profit";
    "quality_by_customer" "Quality by customer" Calls [Account] CALL_QUALITY, "asr";
    "quality_by_vendor" "Quality by vendor" Attempts [Vendor, RoutingGateway] QUALITY, "asr";
    "quality_by_destination" "Quality by destination" Calls [Area, Prefix] CALL_QUALITY, "asr";
    "quality_by_hour" "Quality by hour" Calls [Hour] CALL_QUALITY, "asr";
    "end_reasons" "End reasons" Calls [EndReason] &["calls", "share", "answered", "talk_s"], "calls";
    "concurrency" "Calls in progress" Load [Hour] &["most_calls"], "most_calls";
    "cps" "Calls a second" Load [Hour] &["most_cps"], "most_cps";
    "traffic_by_area" "Traffic by area" Calls [Area]
        &["calls", "answered", "asr", "acd_s", "minutes", "concurrency"], "minutes";
    "low_balances" "Low balances" Balances [Account] &["balance", "credit_limit", "available"], "available",
        |t| t.credit.is_some_and(|credit| t.balance.saturating_add(credit) <= LOW);
    "rate_deviation" "Sold below cost" Calls [Account, Vendor, Area, Prefix]
        &["calls", "loss_calls", "revenue", "cost", "loss", "price", "break_even"], "loss", |t| t.loss_calls > 0;
    "break_even" "Break-even prices" Calls [Area, Prefix]
        &["answered", "billed_s", "cost_s", "revenue", "cost", "price", "cost_price", "break_even", "margin"], "break_even",
        |t| t.answered > 0 || t.cost != 0;
}

/// Ten units of the currency.
const LOW: i128 = 1_000_000_000;

/// By its name.
pub fn report(name: &str) -> Option<&'static Report> {
    REPORTS.iter().find(|r| r.name == name)
}

/// What to group by: as asked, or as the report says; with the currency where there is money.
pub(super) fn group_of(report: &Report, asked: Option<&str>) -> Result<Vec<Dimension>, ChangeError> {
    let allowed = report.source.dimensions();
    let wrong = |words: String| ChangeError::Invalid(vec![Problem::new("group", words)]);
    let mut group = match asked {
        None => report.group.to_vec(),
        Some(names) => {
            let mut group = Vec::new();
            for name in names.split(',').map(str::trim).filter(|n| !n.is_empty()) {
                let dimension = Dimension::parse(name).filter(|d| allowed.contains(d)).ok_or_else(|| {
                    let names: Vec<&str> = allowed.iter().map(|d| d.name()).collect();
                    wrong(format!("{name:?} is not known here; expected some of {}", names.join(", ")))
                })?;
                if !group.contains(&dimension) {
                    group.push(dimension);
                }
            }
            group
        }
    };
    if group.iter().filter(|d| d.is_time()).count() > 1 {
        return Err(wrong("expected one division of time at most".into()));
    }
    if report.source == Source::Load && group.is_empty() {
        group.push(Hour);
    }
    if report.has_money() && !group.contains(&Currency) {
        group.push(Currency);
    }
    Ok(group)
}
