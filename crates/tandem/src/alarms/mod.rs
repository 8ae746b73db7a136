//! Alarms (`DBG-9`): every few seconds the figures of the switch are held against the rules; what begins and ends is
//! stored and told. No call waits for any of it.

mod deliver;
mod figures;
mod fraud;

use crate::clock;
use crate::operator::Operator;
use deliver::Delivery;
use figures::Figures;
use fraud::Fraud;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store::StoreError;
use store::alarms::{AlarmDetails, AlarmSettings};
use vocab::{Tick, Utc};
use watch::{Alarms, Change, Kind};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks for whether the switch stops.
const STEP: Duration = Duration::from_millis(100);
/// Alarms of one page when those that are open are read at the start.
const PAGE: usize = 500;

pub struct Watcher {
    pub operator: Operator,
    pub stop: Arc<AtomicBool>,
}

/// Where readings come from.
#[derive(Default)]
struct Sources {
    figures: Figures,
    fraud: Fraud,
}

/// What a receiver is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub id: u64,
    pub began: bool,
    pub kind: Kind,
    pub subject: String,
    pub severity: watch::Severity,
    pub value: Option<i64>,
    pub threshold: i64,
    pub at: Utc,
}

impl Watcher {
    /// Until the switch stops. What cannot be read or written now is tried again at the next look.
    pub fn run(self) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| format!("the runtime of the alarms: {e}"))?;
        let delivery = Delivery::start(self.stop.clone()).map_err(|e| format!("starting deliveries: {e}"))?;
        let started = Instant::now();
        let (mut alarms, mut sources) = (None, Sources::default());
        while !self.stop.load(Ordering::Relaxed) {
            let now = Tick(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
            if let Err(error) = self.look(&runtime, &mut alarms, &mut sources, &delivery, now) {
                // The set of open alarms is read again: it may differ from what was stored.
                alarms = None;
                tracing::warn!(%error, "alarms cannot be kept");
            }
            self.pause();
        }
        delivery.join();
        Ok(())
    }

    fn look(
        &self,
        runtime: &tokio::runtime::Runtime,
        alarms: &mut Option<Alarms>,
        sources: &mut Sources,
        delivery: &Delivery,
        now: Tick,
    ) -> Result<(), StoreError> {
        let settings = self.operator.store.alarm_settings()?;
        delivery.configure(&settings);
        let Sources { figures, fraud } = sources;
        let mut readings = Vec::new();
        // While the brain answers nothing, nothing is known of its gateways, and no alarm begins or ends.
        if !runtime.block_on(figures.of_brain(&self.operator, now, &mut readings)) {
            return Ok(());
        }
        figures.of_machine(&self.operator, now, clock::utc(), &mut readings);
        figures.of_media(&self.operator.store, now, clock::utc(), &mut readings)?;
        fraud.look(&self.operator, clock::utc(), &mut readings)?;
        readings.extend(delivery.readings());
        let alarms = match alarms {
            Some(alarms) => alarms,
            None => alarms.insert(open(&self.operator)?),
        };
        let at = clock::utc();
        for change in alarms.look(at, |kind| settings.rule(kind), &readings) {
            for notice in self.keep(change, at, &settings, fraud)? {
                tracing::warn!(
                    began = notice.began,
                    kind = notice.kind.key(),
                    subject = %notice.subject,
                    value = notice.value,
                    "alarm"
                );
                delivery.tell(notice);
            }
        }
        self.operator.observer.note_alarms(u32::try_from(alarms.open()).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Stores a change; gives what is to be told of it.
    fn keep(
        &self,
        change: Change,
        at: Utc,
        settings: &AlarmSettings,
        fraud: &Fraud,
    ) -> Result<Vec<Notice>, StoreError> {
        match change {
            Change::Began { kind, subject, value, rule } => {
                let details = AlarmDetails {
                    severity: rule.severity,
                    value,
                    threshold: rule.threshold,
                    end_value: None,
                    acknowledged_at: None,
                    acknowledged_by: None,
                    note: String::new(),
                    evidence: fraud.evidence(&subject),
                };
                let id = self.operator.store.begin_alarm(kind.key(), &subject, at, &details)?;
                let (severity, threshold) = (rule.severity, rule.threshold);
                let value = Some(value);
                Ok(vec![Notice { id, began: true, kind, subject, severity, value, threshold, at }])
            }
            Change::Ended { kind, subject, value } => {
                let ended = self.operator.store.end_alarm(kind.key(), &subject, at, value)?;
                let threshold = settings.rule(kind).threshold;
                let notice = |alarm: store::alarms::Alarm| Notice {
                    id: alarm.id,
                    began: false,
                    kind,
                    subject: alarm.subject,
                    severity: alarm.details.severity,
                    value,
                    threshold,
                    at,
                };
                Ok(ended.into_iter().map(notice).collect())
            }
        }
    }

    fn pause(&self) {
        let until = Instant::now() + LOOK;
        while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(STEP);
        }
    }
}

/// Those that are open in the store. One of a kind that this program does not know any more is ended.
fn open(operator: &Operator) -> Result<Alarms, StoreError> {
    let (mut open, mut cursor) = (BTreeSet::new(), None::<String>);
    loop {
        let page = operator.store.alarms(true, cursor.as_deref(), PAGE)?;
        for alarm in page.items {
            match Kind::from_key(&alarm.kind) {
                Some(kind) => {
                    open.insert((kind, alarm.subject));
                }
                None => {
                    operator.store.end_alarm(&alarm.kind, &alarm.subject, clock::utc(), None)?;
                }
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Alarms::with_open(open));
        }
    }
}
