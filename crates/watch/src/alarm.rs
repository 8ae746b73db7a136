//! Alarms (`DBG-9`): one table of rules. An alarm begins when a figure has been beyond its threshold for long enough,
//! and ends when it is back behind a second line, so that a figure that trembles on the threshold is one alarm.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use vocab::Utc;

/// Alarms that are open at once; what comes beyond is not taken up before others end.
const MOST_OPEN: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Warning,
    Critical,
}

/// When an alarm of a kind begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub enabled: bool,
    pub threshold: i64,
    /// The figure must be back here before the alarm ends.
    pub clear: i64,
    /// So many seconds beyond the threshold before it begins.
    pub hold_s: u32,
    pub severity: Severity,
}

/// What is fixed about a kind of alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub kind: Kind,
    /// Stable name.
    pub key: &'static str,
    /// What it means, in words.
    pub words: &'static str,
    pub unit: &'static str,
    /// The alarm is for figures at or above the threshold; else for those at or below.
    pub high: bool,
    pub default: Rule,
}

macro_rules! kinds {
    ($($kind:ident $key:literal $side:ident $threshold:literal $clear:literal $hold:literal $severity:ident $unit:literal $words:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($kind,)* }

        /// Every kind of alarm.
        pub const KINDS: &[Facts] = &[$(Facts {
            kind: Kind::$kind,
            key: $key,
            words: $words,
            unit: $unit,
            high: kinds!(@ $side),
            default: Rule {
                enabled: true,
                threshold: $threshold,
                clear: $clear,
                hold_s: $hold,
                severity: Severity::$severity,
            },
        },)*];
    };
    (@ high) => { true };
    (@ low) => { false };
}

// Name, key, side, threshold, clear, seconds, severity, unit, words.
kinds! {
    GatewayOffline "gateway_offline" high 1 0 10 Critical "" "The gateway does not answer the online check";
    RegistrationFailed "registration_failed" high 1 0 30 Critical "" "Our registration with the vendor fails";
    SignInFailures "sign_in_failures" high 3 0 0 Warning "suspensions in 5 min" "Sources were suspended after failed registrations";
    AsrLow "asr_low" low 10 20 120 Warning "%" "Few calls are answered (last 5 minutes, from 50 calls on)";
    AcdLow "acd_low" low 10 20 120 Warning "s" "Answered calls are very short (last 5 minutes, from 50 answers on)";
    ConcurrencyNear "concurrency_near" high 90 80 10 Warning "% of the limit" "Calls at once near the limit";
    CpsNear "cps_near" high 90 80 10 Warning "% of the limit" "Calls per second near the limit";
    CustomerBalanceLow "customer_balance_low" low 500 600 0 Warning "hundredths of the currency" "The customer can spend little more";
    VendorBalanceLow "vendor_balance_low" low 500 600 0 Warning "hundredths of the currency" "Our balance with the vendor is low";
    LossHigh "loss_high" high 5 3 60 Warning "% of packets" "Media from the gateway is lost (last 5 minutes)";
    JitterHigh "jitter_high" high 50 30 60 Warning "ms" "Media from the gateway comes irregularly (last 5 minutes)";
    DiskLow "disk_low" low 10 15 0 Critical "% free" "The disk of the data folder is nearly full";
    CpuHigh "cpu_high" high 90 75 60 Warning "%" "The machine's processors are busy";
    MemoryHigh "memory_high" high 90 85 30 Critical "%" "The machine's memory is nearly used up";
    PortsHigh "ports_high" high 90 80 0 Critical "% of the range" "Media ports are nearly used up";
    ClockJumped "clock_jumped" high 1000 500 0 Warning "ms in 5 min" "The clock was set or drifts";
    KeepAliveShort "keep_alive_short" high 1 0 0 Warning "devices" "Keep-alive does not reach every device in its period";
    JournalStopped "journal_stopped" high 1 0 0 Critical "" "The disk takes no records: new calls are refused";
    DatabaseBehind "database_behind" high 50000 10000 60 Warning "records" "The database lags behind the journal";
    PacketsDropped "packets_dropped" high 1000 100 0 Warning "packets in 5 min" "The kernel had no room for UDP packets";
    Fraud "fraud" high 1 0 0 Critical "" "A rule of the fraud watch was broken";
    DeliveryFailing "delivery_failing" high 5 0 0 Warning "tries" "A receiver of alarms takes none";
}

impl Kind {
    pub fn facts(self) -> &'static Facts {
        // The table is made from the same list, in the same order.
        &KINDS[self as usize]
    }

    pub fn key(self) -> &'static str {
        self.facts().key
    }

    pub fn from_key(key: &str) -> Option<Kind> {
        KINDS.iter().find(|f| f.key == key).map(|f| f.kind)
    }
}

impl Rule {
    /// What is wrong with it, as the field and what was expected.
    pub fn fault(&self, kind: Kind) -> Option<(&'static str, &'static str)> {
        let wrong_side =
            if kind.facts().high { self.clear > self.threshold } else { self.clear < self.threshold };
        if wrong_side && kind.facts().high {
            return Some(("clear", "expected at most the threshold"));
        }
        if wrong_side {
            return Some(("clear", "expected at least the threshold"));
        }
        (self.hold_s > 86_400).then_some(("hold_s", "expected 0–86400"))
    }

    fn is_beyond(&self, kind: Kind, value: i64) -> bool {
        if kind.facts().high { value >= self.threshold } else { value <= self.threshold }
    }

    /// Back behind the second line. A line that is the threshold itself is crossed like it.
    fn is_clear(&self, kind: Kind, value: i64) -> bool {
        let back = if kind.facts().high { value <= self.clear } else { value >= self.clear };
        back && !self.is_beyond(kind, value)
    }
}

/// A figure at a moment. Where nothing can be said of a subject there is no reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub kind: Kind,
    /// Gateway, account, …; empty: the whole switch.
    pub subject: String,
    pub value: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Began {
        kind: Kind,
        subject: String,
        value: i64,
        rule: Rule,
    },
    Ended {
        kind: Kind,
        subject: String,
        /// `None`: nothing can be said of it any more.
        value: Option<i64>,
    },
}

type Key = (Kind, String);

/// Which alarms are open, and which figures are on their way to one.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    open: BTreeSet<Key>,
    /// Beyond the threshold since then.
    pending: BTreeMap<Key, Utc>,
}

impl Alarms {
    /// With those that were open when the process before this one ended.
    pub fn with_open(open: impl IntoIterator<Item = (Kind, String)>) -> Alarms {
        Alarms { open: open.into_iter().collect(), pending: BTreeMap::new() }
    }

    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Looks at all figures of a moment. What had an alarm and has no figure any more is over.
    pub fn look(&mut self, at: Utc, rule: impl Fn(Kind) -> Rule, readings: &[Reading]) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut seen = BTreeSet::new();
        for reading in readings {
            let (kind, key) = (reading.kind, (reading.kind, reading.subject.clone()));
            let rule = rule(kind);
            if !rule.enabled || !seen.insert(key.clone()) {
                continue;
            }
            if self.open.contains(&key) {
                if rule.is_clear(kind, reading.value) {
                    self.open.remove(&key);
                    changes.push(Change::Ended { kind, subject: key.1, value: Some(reading.value) });
                }
            } else if !rule.is_beyond(kind, reading.value) {
                self.pending.remove(&key);
            } else if self.is_due(at, &key, rule) {
                self.pending.remove(&key);
                self.open.insert(key.clone());
                changes.push(Change::Began { kind, subject: key.1, value: reading.value, rule });
            }
        }
        self.pending.retain(|key, _| seen.contains(key));
        let gone: Vec<Key> = self.open.iter().filter(|key| !seen.contains(*key)).cloned().collect();
        for key in gone {
            self.open.remove(&key);
            changes.push(Change::Ended { kind: key.0, subject: key.1, value: None });
        }
        changes
    }

    fn is_due(&mut self, at: Utc, key: &Key, rule: Rule) -> bool {
        if self.open.len() >= MOST_OPEN || self.pending.len() > 4 * MOST_OPEN {
            return false;
        }
        let since = *self.pending.entry(key.clone()).or_insert(at);
        // A clock that was set back begins the wait anew.
        if since > at {
            self.pending.insert(key.clone(), at);
        }
        at >= since + Duration::from_secs(rule.hold_s.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(kind: Kind, subject: &str, value: i64) -> Reading {
        Reading { kind, subject: subject.into(), value }
    }

    fn at(s: i64) -> Utc {
        Utc(s * 1_000_000)
    }

    #[test]
    fn the_table_is_sound() {
        for (place, facts) in KINDS.iter().enumerate() {
            assert_eq!(facts.kind as usize, place);
            assert_eq!(facts.default.fault(facts.kind), None, "{}", facts.key);
            assert_eq!(Kind::from_key(facts.key), Some(facts.kind));
        }
        let bad = Rule { clear: 95, ..Kind::CpuHigh.facts().default };
        assert_eq!(bad.fault(Kind::CpuHigh).map(|f| f.0), Some("clear"));
        let bad = Rule { clear: 5, ..Kind::AsrLow.facts().default };
        assert_eq!(bad.fault(Kind::AsrLow).map(|f| f.0), Some("clear"));
    }

    #[test]
    fn a_figure_must_stay_beyond_and_come_well_back() {
        let default = |kind: Kind| kind.facts().default;
        let mut alarms = Alarms::default();
        let mut look = |s, value| alarms.look(at(s), default, &[reading(Kind::CpuHigh, "", value)]);
        assert!(look(0, 95).is_empty());
        assert!(look(50, 89).is_empty(), "it was below in between");
        assert!(look(51, 95).is_empty());
        assert!(look(110, 95).is_empty());
        assert!(matches!(look(111, 97)[..], [Change::Began { value: 97, .. }]));
        assert!(look(112, 99).is_empty(), "one alarm, not many");
        assert!(look(113, 80).is_empty(), "not far enough back");
        assert!(look(114, 91).is_empty());
        assert!(matches!(look(115, 75)[..], [Change::Ended { value: Some(75), .. }]));
        assert!(look(116, 91).is_empty());
    }

    #[test]
    fn low_figures_each_subject_for_itself() {
        let rule = |kind: Kind| Rule { hold_s: 0, ..kind.facts().default };
        let mut alarms = Alarms::default();
        let both =
            |a, b| [reading(Kind::CustomerBalanceLow, "a", a), reading(Kind::CustomerBalanceLow, "b", b)];
        let began = alarms.look(at(0), rule, &both(500, 501));
        assert!(matches!(&began[..], [Change::Began { subject, .. }] if subject == "a"));
        assert!(alarms.look(at(1), rule, &both(599, 600)).is_empty());
        let ended = alarms.look(at(2), rule, &both(600, 600));
        assert!(matches!(&ended[..], [Change::Ended { subject, .. }] if subject == "a"));
    }

    #[test]
    fn what_is_gone_or_switched_off_is_over() {
        let rule = |kind: Kind| Rule { hold_s: 0, ..kind.facts().default };
        let mut alarms = Alarms::with_open([(Kind::GatewayOffline, "x".to_owned())]);
        assert!(alarms.look(at(0), rule, &[reading(Kind::GatewayOffline, "x", 1)]).is_empty());
        let off = |kind| Rule { enabled: false, ..rule(kind) };
        let ended = alarms.look(at(1), off, &[reading(Kind::GatewayOffline, "x", 1)]);
        assert!(matches!(ended[..], [Change::Ended { value: None, .. }]));
        assert_eq!(alarms.look(at(2), rule, &[reading(Kind::GatewayOffline, "x", 1)]).len(), 1);
        assert!(matches!(alarms.look(at(3), rule, &[])[..], [Change::Ended { value: None, .. }]));
    }

    #[test]
    fn the_number_of_open_alarms_is_bounded() {
        let rule = |kind: Kind| Rule { hold_s: 0, ..kind.facts().default };
        let many: Vec<Reading> =
            (0..5000).map(|n| reading(Kind::GatewayOffline, &n.to_string(), 1)).collect();
        let mut alarms = Alarms::default();
        assert_eq!(alarms.look(at(0), rule, &many).len(), MOST_OPEN);
        assert_eq!(alarms.open(), MOST_OPEN);
    }
}
