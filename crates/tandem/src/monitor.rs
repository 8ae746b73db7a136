//! The server monitor (`DBG-10`): once in a step the figures of process, machine and queues are put together, kept for
//! the API, and written to the history.

use crate::journal::{ApplierQueue, JournalQueue};
use crate::log;
use crate::signalling::Inbox;
use crate::trace::Observer;
use api::Seeing;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store::{MONITOR_STEPS, Sample, Store};
use switch::live::Totals;

/// Between two looks; the fine step of the history is a multiple.
const LOOK: Duration = Duration::from_secs(2);
/// The kernel counts processor time in hundredths of a second (`USER_HZ`, fixed on Linux).
const TICK_US: i64 = 10_000;

pub struct Monitor {
    pub store: Store,
    pub observer: Arc<Observer>,
    pub inbox: Arc<Inbox>,
    pub journal: Arc<JournalQueue>,
    pub applied: Arc<ApplierQueue>,
    pub data: PathBuf,
    pub stop: Arc<AtomicBool>,
}

/// What grows towards one sample of a step.
#[derive(Default)]
struct Sum {
    count: i64,
    gauges: BTreeMap<String, i64>,
    latest: BTreeMap<String, i64>,
}

impl Sum {
    fn add(&mut self, values: &BTreeMap<String, i64>) {
        self.count += 1;
        for (key, value) in values {
            let sum = self.gauges.entry(key.clone()).or_default();
            *sum = sum.saturating_add(*value);
        }
        self.latest.clone_from(values);
    }

    /// Means of gauges, the last value of counters.
    fn take(&mut self) -> BTreeMap<String, i64> {
        let Sum { count, gauges, mut latest } = std::mem::take(self);
        for metric in api::METRICS.iter().filter(|m| m.kind == api::MetricKind::Gauge) {
            if let (Some(sum), Some(value)) = (gauges.get(metric.key), latest.get_mut(metric.key)) {
                *value = sum / count.max(1);
            }
        }
        latest
    }
}

impl Monitor {
    pub fn run(self) {
        let mut sums: [Sum; 3] = Default::default();
        let mut due = MONITOR_STEPS.map(|(step, _)| Instant::now() + Duration::from_secs(step.into()));
        let mut cpu = Cpu::default();
        while !self.stop.load(Ordering::Relaxed) {
            let values = self.look(&mut cpu);
            let at = crate::clock::utc();
            self.observer.keep_sample(Sample { at, values: values.clone() });
            let mut finished = Vec::new();
            for ((sum, due), (step, _)) in sums.iter_mut().zip(&mut due).zip(MONITOR_STEPS) {
                sum.add(&values);
                if *due <= Instant::now() {
                    *due += Duration::from_secs(step.into());
                    finished.push((step, Sample { at, values: sum.take() }));
                }
            }
            if !finished.is_empty()
                && let Err(error) = self.store.add_samples(&finished)
            {
                tracing::warn!(%error, "the monitor's history cannot be written");
            }
            self.pause();
        }
    }

    /// In small steps, so that the end of the switch does not wait for it.
    fn pause(&self) {
        let until = Instant::now() + LOOK;
        while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn look(&self, cpu: &mut Cpu) -> BTreeMap<String, i64> {
        let mut values = BTreeMap::new();
        let mut put = |key: &str, value: i64| {
            values.insert(key.to_owned(), value);
        };
        of_brain(&self.observer.totals(), &mut put);
        let seeing = self.observer.figures();
        put("captures", count(seeing.captures));
        put("capture_bytes", count(seeing.capture_bytes));
        put("capture_dropped", whole(seeing.mailbox_dropped));
        put("trace_dropped", whole(seeing.trace_dropped.saturating_add(log::dropped())));
        put("hep_sent", whole(seeing.hep_sent));
        put("hep_failed", whole(seeing.hep_failed));
        put("queue_capture", count(seeing.mailbox_depth));
        put("queue_signalling", count(self.inbox.depth()));
        put("queue_journal", count(self.journal.depth()));
        put("journal_lag", whole(self.inbox.last_journaled().0.saturating_sub(self.applied.applied().0)));
        let asked = Instant::now();
        if self.store.applied().is_ok() {
            put("database_us", i64::try_from(asked.elapsed().as_micros()).unwrap_or(i64::MAX));
        }
        of_process(&mut put);
        of_machine(cpu, &mut put);
        of_disk(&self.data, &mut put);
        of_network(&mut put);
        values
    }
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn of_brain(totals: &Totals, put: &mut dyn FnMut(&str, i64)) {
    let sip = &totals.sip;
    let guard = &totals.guard;
    for (key, value) in [
        ("calls", u64::from(totals.calls)),
        ("calls_talking", u64::from(totals.talking)),
        ("cps", u64::from(totals.cps)),
        ("attempts", totals.attempts),
        ("answered", totals.answered),
        ("talk_ms", totals.talk_ms),
        ("media_ports_used", u64::from(totals.media_ports_used)),
        ("journal_stopped", u64::from(totals.journal_stopped)),
        ("sip_received", sip.received),
        ("sip_sent", sip.sent),
        ("sip_again_in", sip.retransmissions_in),
        ("sip_again_out", sip.retransmissions_out),
        ("sip_malformed", sip.malformed),
        ("guard_unwanted", guard.unwanted),
        ("guard_source", guard.over_source_limit),
        ("guard_total", guard.over_total_limit),
        ("guard_scanners", guard.scanners),
        ("guard_suspended", guard.suspended),
        ("guard_suspensions", guard.suspensions),
    ] {
        put(key, whole(value));
    }
    put("sip_transactions", count(sip.transactions));
    put("sip_dialogs", count(sip.dialogs));
}

fn of_process(put: &mut dyn FnMut(&str, i64)) {
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat")
        && let Some((_, rest)) = stat.rsplit_once(')')
    {
        // After the name in brackets, the 12th and 13th: user and system time.
        let ticks: i64 = rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<i64>().ok()).sum();
        put("cpu_us", ticks.saturating_mul(TICK_US));
    }
    if let Some(kb) = line_of("/proc/self/status", "VmRSS:") {
        put("memory", kb.saturating_mul(1024));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        put("open_files", count(files.count()));
    }
}

/// The first number of the line that begins so.
fn line_of(path: &str, name: &str) -> Option<i64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|l| l.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Ticks of the machine's processors, busy and in all, at the last look.
#[derive(Default)]
struct Cpu {
    busy: i64,
    all: i64,
}

fn of_machine(before: &mut Cpu, put: &mut dyn FnMut(&str, i64)) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<i64> = text
        .lines()
        .next()
        .map(|l| l.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect())
        .unwrap_or_default();
    let all: i64 = ticks.iter().sum();
    // The fourth and fifth: idle, and waiting for disks.
    let busy = all - ticks.iter().skip(3).take(2).sum::<i64>();
    let (passed, worked) = (all - before.all, busy - before.busy);
    if before.all > 0 && passed > 0 {
        put("machine_cpu", worked.saturating_mul(1000) / passed);
    }
    *before = Cpu { busy, all };
    for (key, name) in [("machine_memory", "MemTotal:"), ("machine_memory_free", "MemAvailable:")] {
        if let Some(kb) = line_of("/proc/meminfo", name) {
            put(key, kb.saturating_mul(1024));
        }
    }
}

fn of_disk(data: &Path, put: &mut dyn FnMut(&str, i64)) {
    if let Ok(disk) = rustix::fs::statvfs(data) {
        put("disk", whole(disk.f_blocks.saturating_mul(disk.f_frsize)));
        put("disk_free", whole(disk.f_bavail.saturating_mul(disk.f_frsize)));
    }
}

fn of_network(put: &mut dyn FnMut(&str, i64)) {
    let (mut received, mut sent, mut dropped) = (0i64, 0i64, 0i64);
    let text = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    for (name, figures) in text.lines().filter_map(|l| l.split_once(':')) {
        let figures: Vec<i64> = figures.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        if name.trim() != "lo"
            && let (Some(bytes_in), Some(drop), Some(bytes_out)) =
                (figures.first(), figures.get(3), figures.get(8))
        {
            received = received.saturating_add(*bytes_in);
            dropped = dropped.saturating_add(*drop);
            sent = sent.saturating_add(*bytes_out);
        }
    }
    put("net_in", received);
    put("net_out", sent);
    put("net_dropped", dropped);
    put(
        "udp_dropped",
        udp_dropped()
            .unwrap_or(0)
            .saturating_add(line_of("/proc/self/net/snmp6", "Udp6RcvbufErrors").unwrap_or(0)),
    );
}

/// `Udp:` twice in `/proc/net/snmp`: the names, then the figures.
fn udp_dropped() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/net/snmp").ok()?;
    let mut lines = text.lines().filter_map(|l| l.strip_prefix("Udp: "));
    let place = lines.next()?.split(' ').position(|name| name == "RcvbufErrors")?;
    lines.next()?.split(' ').nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_machine_is_filled() {
        let mut values = BTreeMap::new();
        let mut put = |key: &str, value: i64| {
            values.insert(key.to_owned(), value);
        };
        let mut cpu = Cpu { busy: 1, all: 2 };
        of_brain(&Totals::default(), &mut put);
        of_process(&mut put);
        of_machine(&mut cpu, &mut put);
        of_disk(Path::new("/"), &mut put);
        of_network(&mut put);
        assert!(
            values["memory"] > 1 << 20 && values["disk"] > 0 && values["machine_memory"] > values["memory"]
        );
        let elsewhere = [
            "captures",
            "capture_bytes",
            "capture_dropped",
            "trace_dropped",
            "hep_sent",
            "hep_failed",
            "queue_capture",
            "queue_signalling",
            "queue_journal",
            "journal_lag",
            "database_us",
        ];
        for metric in api::METRICS {
            let filled = values.contains_key(metric.key) || elsewhere.contains(&metric.key);
            assert!(filled, "nobody fills {}", metric.key);
        }
    }

    #[test]
    fn a_step_is_the_mean_of_gauges_and_the_last_of_counters() {
        let mut sum = Sum::default();
        for n in [1, 3, 8] {
            sum.add(&[("calls".to_owned(), n), ("attempts".to_owned(), n)].into());
        }
        assert_eq!(sum.take(), [("calls".to_owned(), 4), ("attempts".to_owned(), 8)].into());
        assert!(sum.take().is_empty());
    }
}
