//! One view: a window on a topic, drawn for one client at each beat.

use crate::grid::{Asking, Plan};
use crate::live::board::LiveEntry;
use crate::live::pulse::Beat;
use crate::resources::calls::{CallState, GRID as CALLS, show};
use crate::resources::cdrs::{GRID as CDRS, summary};
use crate::resources::live::{LiveFrame, LiveRow, LiveTopic, LiveView};
use crate::server::Inner;
use cdr::Cdr;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use vocab::CallId;

/// Most rows of a window.
pub(crate) const MAX_ROWS: u32 = 200;

/// Orders made in one beat, for all who ask the same.
#[derive(Default)]
pub(crate) struct Orders {
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    beat: Beat,
    calls: HashMap<Asking, Arc<Vec<Arc<LiveEntry>>>>,
    cdrs: HashMap<Asking, Arc<Vec<Arc<Cdr>>>>,
}

impl Orders {
    fn calls(
        &self,
        api: &Inner,
        beat: Beat,
        asking: &Asking,
        plan: &Plan<LiveEntry>,
    ) -> Arc<Vec<Arc<LiveEntry>>> {
        let make = || Arc::new(plan.select(api.board.calls(), |e| e.as_ref()));
        self.made(beat, |made| made.calls.entry(asking.clone()).or_insert_with(make).clone())
    }

    fn cdrs(&self, api: &Inner, beat: Beat, asking: &Asking, plan: &Plan<Cdr>) -> Arc<Vec<Arc<Cdr>>> {
        let make = || Arc::new(plan.select(api.board.tail(), |c| c.as_ref()));
        self.made(beat, |made| made.cdrs.entry(asking.clone()).or_insert_with(make).clone())
    }

    fn made<T>(&self, beat: Beat, take: impl FnOnce(&mut Made) -> T) -> T {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.beat != beat {
            *made = Made { beat, ..Made::default() };
        }
        take(&mut made)
    }
}

/// What a client sees through one view.
pub(crate) struct View {
    asked: LiveView,
    asking: Asking,
    seq: u64,
    rows: Rows,
}

enum Rows {
    Calls { plan: Plan<LiveEntry>, held: Option<Arc<Vec<Arc<LiveEntry>>>> },
    Cdrs { plan: Plan<Cdr>, held: Option<Arc<Vec<Arc<Cdr>>>> },
}

impl View {
    /// Understands what was asked; `Ok(None)` for the totals, which every client gets anyway.
    pub fn new(asked: LiveView, before: Option<View>) -> Result<Option<View>, String> {
        if !(1..=MAX_ROWS).contains(&asked.n) {
            return Err(format!("n is {}; expected 1–{MAX_ROWS}", asked.n));
        }
        let asking = Asking { filter: asked.filter.clone(), sort: asked.sort.clone() };
        let in_words = |(field, words): (String, String)| format!("{field}: {words}");
        let seq = before.as_ref().map_or(0, |b| b.seq);
        // The same question keeps what it holds; another one begins anew.
        let same = before.filter(|b| asked.hold && b.asked.hold && b.asking == asking);
        let rows = match (asked.topic, same.map(|b| b.rows)) {
            (LiveTopic::Totals, _) => return Ok(None),
            (LiveTopic::Calls, Some(rows @ Rows::Calls { .. })) => rows,
            (LiveTopic::CdrTail, Some(rows @ Rows::Cdrs { .. })) => rows,
            (LiveTopic::Calls, _) => Rows::Calls { plan: CALLS.plan(&asking).map_err(in_words)?, held: None },
            (LiveTopic::CdrTail, _) => Rows::Cdrs { plan: CDRS.plan(&asking).map_err(in_words)?, held: None },
        };
        Ok(Some(View { asked, asking, seq, rows }))
    }

    pub fn draw(&mut self, api: &Inner, beat: Beat, orders: &Orders) -> LiveFrame {
        self.seq += 1;
        let now = api.now();
        let mut frame = LiveFrame {
            id: self.asked.id,
            seq: self.seq,
            t: now.into(),
            total: 0,
            off: self.asked.off,
            rows: Vec::new(),
            gone: Vec::new(),
            fresh: 0,
        };
        let window = (self.asked.off, self.asked.n, self.asked.hold);
        match &mut self.rows {
            Rows::Calls { plan, held } => {
                let current = orders.calls(api, beat, &self.asking, plan);
                let rows = held_window(&mut frame, window, held, current, |e| e.call.call);
                let params = api.store.config().params.clone();
                for entry in rows {
                    let row = match api.board.call(entry.call.call) {
                        Some(latest) => show(&latest, now, &params),
                        None => {
                            frame.gone.push(entry.call.call.to_string());
                            let mut over = show(&entry, now, &params);
                            over.state = CallState::Ended;
                            over.end_reason = api.board.ending(entry.call.call).map(|r| r.key().to_string());
                            over
                        }
                    };
                    frame.rows.push(LiveRow::Call(Box::new(row)));
                }
            }
            Rows::Cdrs { plan, held } => {
                let current = orders.cdrs(api, beat, &self.asking, plan);
                let rows = held_window(&mut frame, window, held, current, |c| c.call);
                frame.rows.extend(rows.iter().map(|c| LiveRow::Cdr(Box::new(summary(c)))));
            }
        }
        frame
    }
}

/// The rows of the window. While a view is held they come from the order at the moment it was taken hold of, and
/// `fresh` counts what has come since.
fn held_window<R>(
    frame: &mut LiveFrame,
    (off, n, hold): (u32, u32, bool),
    held: &mut Option<Arc<Vec<Arc<R>>>>,
    current: Arc<Vec<Arc<R>>>,
    id: impl Fn(&R) -> CallId,
) -> Vec<Arc<R>> {
    let shown = match hold {
        true => held.get_or_insert_with(|| current.clone()).clone(),
        false => {
            *held = None;
            current.clone()
        }
    };
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    if !Arc::ptr_eq(&shown, &current) {
        let known: HashSet<CallId> = shown.iter().map(|row| id(row)).collect();
        frame.fresh = size(current.iter().filter(|row| !known.contains(&id(row))).count());
    }
    frame.total = size(shown.len());
    let index = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    shown.iter().skip(index(off)).take(index(n)).cloned().collect()
}
