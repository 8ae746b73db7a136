//! Figures of today and of the last fifteen minutes.

use crate::clock::Timestamp;
use crate::resources::overview::{GatewayFigures, SeriesPoint, TopCustomer};
use cdr::{AttemptResult, Cdr};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use vocab::{Currency, Money, Utc};

/// Revenue and cost by currency.
pub(crate) type Takings = BTreeMap<Currency, (Money, Money)>;

/// Sums since midnight UTC, over call detail records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Day {
    day: i64,
    pub attempts: u64,
    pub answered: u64,
    pub talk_ms: u64,
    pub takings: Takings,
    customers: HashMap<Arc<str>, Customer>,
    gateways: HashMap<Arc<str>, Gateway>,
}

#[derive(Clone, Debug, Default)]
struct Customer {
    calls: u64,
    talk_ms: u64,
    revenue: BTreeMap<Currency, Money>,
}

#[derive(Clone, Debug, Default)]
struct Gateway {
    attempts: u64,
    answered: u64,
    talk_ms: u64,
}

impl Day {
    /// Begins anew when this is another day than that of the sums.
    pub fn turn(&mut self, now: Utc) {
        if now.day() > self.day {
            *self = Day { day: now.day(), ..Day::default() };
        }
    }

    pub fn add(&mut self, cdr: &Cdr) {
        self.turn(cdr.end);
        if cdr.end.day() != self.day {
            return;
        }
        let answered = u64::from(cdr.answer.is_some());
        self.attempts += 1;
        self.answered += answered;
        self.talk_ms = self.talk_ms.saturating_add(cdr.talk_ms);
        take(&mut self.takings, cdr);
        if let Some(account) = &cdr.account {
            let customer = self.customers.entry(account.name.clone()).or_default();
            customer.calls += 1;
            customer.talk_ms = customer.talk_ms.saturating_add(cdr.talk_ms);
            if let Some(sale) = cdr.revenue() {
                add(customer.revenue.entry(sale.currency).or_default(), sale.amount);
            }
        }
        for attempt in &cdr.attempts {
            let gateway = self.gateways.entry(attempt.gateway.name.clone()).or_default();
            gateway.attempts += 1;
            if attempt.result == AttemptResult::Answered {
                gateway.answered += 1;
                gateway.talk_ms = gateway.talk_ms.saturating_add(cdr.talk_ms);
            }
        }
    }

    /// Customers by revenue, then by talk time.
    pub fn top_customers(&self, currency: Currency, most: usize) -> Vec<TopCustomer> {
        let mut all: Vec<TopCustomer> = self
            .customers
            .iter()
            .map(|(name, c)| TopCustomer {
                account: name.to_string(),
                calls: c.calls,
                minutes_s: c.talk_ms / 1000,
                revenue: c.revenue.get(&currency).copied().unwrap_or_default(),
            })
            .collect();
        all.sort_by(|a, b| {
            b.revenue
                .cmp(&a.revenue)
                .then(b.minutes_s.cmp(&a.minutes_s))
                .then_with(|| a.account.cmp(&b.account))
        });
        all.truncate(most);
        all
    }

    /// Routing gateways by attempts.
    pub fn gateways(&self, most: usize) -> Vec<GatewayFigures> {
        let mut all: Vec<GatewayFigures> = self
            .gateways
            .iter()
            .map(|(name, g)| GatewayFigures {
                gateway: name.to_string(),
                attempts: g.attempts,
                answered: g.answered,
                asr: asr(g.attempts, g.answered),
                acd_s: acd_s(g.answered, g.talk_ms),
            })
            .collect();
        all.sort_by(|a, b| b.attempts.cmp(&a.attempts).then_with(|| a.gateway.cmp(&b.gateway)));
        all.truncate(most);
        all
    }
}

fn take(takings: &mut Takings, cdr: &Cdr) {
    if let Some(sale) = cdr.revenue() {
        add(&mut takings.entry(sale.currency).or_default().0, sale.amount);
    }
    if let Some(cost) = &cdr.cost {
        add(&mut takings.entry(cost.currency).or_default().1, cost.amount);
    }
}

/// A sum for the screen stays where it is rather than be wrong.
fn add(sum: &mut Money, amount: Money) {
    *sum = sum.checked_add(amount).unwrap_or(*sum);
}

pub(crate) fn profit(revenue: Money, cost: Money) -> Money {
    revenue.checked_sub(cost).unwrap_or_default()
}

/// Answered of a hundred, rounded to one decimal.
pub(crate) fn asr(attempts: u64, answered: u64) -> Option<String> {
    let permille =
        answered.checked_mul(2000)?.checked_add(attempts)?.checked_div(attempts.checked_mul(2)?)?;
    Some(format!("{}.{}", permille / 10, permille % 10))
}

pub(crate) fn acd_s(answered: u64, talk_ms: u64) -> Option<u64> {
    talk_ms.checked_div(answered).map(|ms| ms.saturating_add(500) / 1000)
}

const STEP_S: i64 = 5;
const STEPS: usize = 15 * 60 / 5;

/// The last fifteen minutes in steps of five seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    steps: VecDeque<Step>,
    /// Counters of the brain when they were last seen.
    before: Option<(u64, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Step {
    begin: Utc,
    calls: u32,
    cps: u32,
    attempts: u64,
    answered: u64,
    takings: Takings,
}

impl Series {
    pub fn add_totals(&mut self, totals: &switch::live::Totals) {
        let (attempts, answered) =
            self.before.replace((totals.attempts, totals.answered)).unwrap_or_default();
        let Some(step) = self.step_at(totals.at) else { return };
        step.calls = step.calls.max(totals.calls);
        step.cps = step.cps.max(totals.cps);
        step.attempts = step.attempts.saturating_add(totals.attempts.saturating_sub(attempts));
        step.answered = step.answered.saturating_add(totals.answered.saturating_sub(answered));
    }

    pub fn add_cdr(&mut self, cdr: &Cdr) {
        if let Some(step) = self.step_at(cdr.end) {
            take(&mut step.takings, cdr);
        }
    }

    /// The step of this time: the last one, a new one, or an older one. `None` when it is too old.
    fn step_at(&mut self, at: Utc) -> Option<&mut Step> {
        let length = STEP_S * 1_000_000;
        let begin = Utc(at.0.div_euclid(length) * length);
        let place = self.steps.partition_point(|s| s.begin < begin);
        if self.steps.get(place).is_none_or(|s| s.begin != begin) {
            if place == 0 && self.steps.len() >= STEPS {
                return None;
            }
            self.steps.insert(place, Step { begin, ..Step::default() });
            if self.steps.len() > STEPS {
                self.steps.pop_front();
                return self.steps.get_mut(place.checked_sub(1)?);
            }
        }
        self.steps.get_mut(place)
    }

    /// The steps that began in the fifteen minutes before `now`; that of `now` is still growing and left out.
    pub fn points(&self, now: Utc, currency: Currency) -> Vec<SeriesPoint> {
        let oldest = Utc(now.0.saturating_sub(15 * 60 * 1_000_000));
        let done = |s: &&Step| s.begin > oldest && s.begin.0.saturating_add(STEP_S * 1_000_000) <= now.0;
        self.steps.iter().filter(done).map(|s| s.point(currency)).collect()
    }
}

impl Step {
    fn point(&self, currency: Currency) -> SeriesPoint {
        let (revenue, cost) = self.takings.get(&currency).copied().unwrap_or_default();
        SeriesPoint {
            t: Timestamp(self.begin),
            calls: self.calls,
            cps: self.cps,
            attempts: self.attempts,
            answered: self.answered,
            revenue,
            cost,
            profit: profit(revenue, cost),
        }
    }
}
