//! The board: calls in progress and figures, kept from what the brain tells.
//!
//! The shell writes from the brain's thread, so writing is short: one entry is replaced under a lock. Readers take a
//! copy of the table of pointers, and sort and filter outside of the lock.

use crate::live::day::{Day, Series, acd_s, asr, profit};
use crate::resources::overview::{Overview, SeriesPoint, Totals};
use cdr::{Cdr, MediaFigures};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use switch::live::{GuardCounters, LiveCall, LiveUpdate};
use vocab::{CallId, Currency, EndReason, Utc};

/// CDRs that the tail keeps.
const TAIL: usize = 200;
/// Calls whose end is remembered for held views.
const ENDINGS: usize = 5_000;
const TOP: usize = 10;

/// A call in progress with its latest media figures.
#[derive(Clone, Debug)]
pub(crate) struct LiveEntry {
    pub call: LiveCall,
    pub a: MediaFigures,
    pub b: MediaFigures,
}

/// Calls in progress, totals, the last fifteen minutes and the latest CDRs.
#[derive(Default)]
pub struct LiveBoard {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: BTreeMap<CallId, Arc<LiveEntry>>,
    /// The latest CDRs, oldest first.
    tail: VecDeque<Arc<Cdr>>,
    endings: BTreeMap<CallId, EndReason>,
    endings_in_order: VecDeque<CallId>,
    totals: switch::live::Totals,
    day: Day,
    series: Series,
}

impl LiveBoard {
    pub fn new() -> LiveBoard {
        LiveBoard::default()
    }

    /// Takes news of the brain.
    pub fn update(&self, update: LiveUpdate) {
        let mut state = self.lock();
        match update {
            LiveUpdate::Call(call) => state.put(*call),
            LiveUpdate::Media { call, a, b } => state.put_media(call, a, b),
            LiveUpdate::Ended(call) => {
                state.calls.remove(&call);
            }
            LiveUpdate::Totals(totals) => {
                state.day.turn(totals.at);
                state.series.add_totals(&totals);
                state.totals = totals;
            }
        }
    }

    /// Takes a CDR that is on disk. Each is counted once, however often it comes among the latest. At the start, give
    /// it those of today, oldest first.
    pub fn record(&self, cdr: Arc<Cdr>) {
        self.lock().record(cdr);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of messages of unknown sources.
    pub(crate) fn guard(&self) -> GuardCounters {
        self.lock().totals.guard
    }

    /// Calls in progress, the oldest first.
    pub(crate) fn calls(&self) -> Vec<Arc<LiveEntry>> {
        self.lock().calls.values().cloned().collect()
    }

    pub(crate) fn call(&self, id: CallId) -> Option<Arc<LiveEntry>> {
        self.lock().calls.get(&id).cloned()
    }

    /// The latest CDRs.
    pub(crate) fn tail(&self) -> Vec<Arc<Cdr>> {
        self.lock().tail.iter().cloned().collect()
    }

    /// Why a call ended, if it did so lately.
    pub(crate) fn ending(&self, call: CallId) -> Option<EndReason> {
        self.lock().endings.get(&call).copied()
    }

    pub(crate) fn totals(&self, now: Utc, currency: Currency) -> Totals {
        self.lock().totals(now, currency)
    }

    /// The step of the series that was finished last.
    pub(crate) fn last_point(&self, now: Utc, currency: Currency) -> Option<SeriesPoint> {
        self.lock().series.points(now, currency).pop()
    }

    pub(crate) fn overview(&self, now: Utc, currency: Currency) -> Overview {
        let mut state = self.lock();
        Overview {
            totals: state.totals(now, currency),
            series: state.series.points(now, currency),
            top_customers: state.day.top_customers(currency, TOP),
            gateways: state.day.gateways(TOP),
            currency: currency.to_string(),
        }
    }
}

impl State {
    fn put(&mut self, call: LiveCall) {
        let id = call.call;
        let (a, b) = self.calls.get(&id).map(|e| (e.a.clone(), e.b.clone())).unwrap_or_default();
        self.calls.insert(id, Arc::new(LiveEntry { call, a, b }));
    }

    fn put_media(&mut self, call: CallId, a: MediaFigures, b: MediaFigures) {
        if let Some(entry) = self.calls.get_mut(&call) {
            let entry = Arc::make_mut(entry);
            (entry.a, entry.b) = (a, b);
        }
    }

    fn record(&mut self, cdr: Arc<Cdr>) {
        if self.endings.insert(cdr.call, cdr.end_reason).is_some() {
            return;
        }
        self.endings_in_order.push_back(cdr.call);
        if self.endings_in_order.len() > ENDINGS
            && let Some(oldest) = self.endings_in_order.pop_front()
        {
            self.endings.remove(&oldest);
        }
        self.day.add(&cdr);
        self.series.add_cdr(&cdr);
        self.tail.push_back(cdr);
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
    }

    fn totals(&mut self, now: Utc, currency: Currency) -> Totals {
        self.day.turn(now);
        let (revenue, cost) = self.day.takings.get(&currency).copied().unwrap_or_default();
        Totals {
            t: now.into(),
            calls: self.totals.calls,
            cps: self.totals.cps,
            attempts: self.day.attempts,
            answered: self.day.answered,
            asr: asr(self.day.attempts, self.day.answered),
            acd_s: acd_s(self.day.answered, self.day.talk_ms),
            revenue,
            cost,
            profit: profit(revenue, cost),
            alarms: 0,
        }
    }
}
