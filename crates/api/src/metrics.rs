//! The table of metrics (`DBG-10`): what the monitor keeps, what Prometheus is told, and in which unit. One line is one
//! metric; the monitor's history, `/metrics` and the dashboard's test are made from it.

use crate::problem::Problem;
use crate::server::Api;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::fmt::Write;
use switch::interface::Load;
use switch::{ControlReply, ControlRequest};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Gauge,
    /// Only grows, while the process runs.
    Counter,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// In the history of the monitor.
    pub key: &'static str,
    /// For Prometheus.
    pub name: &'static str,
    /// `reason="…"` where several lines are one metric.
    pub label: &'static str,
    pub kind: MetricKind,
    /// Whole units of the value in one unit of the metric.
    pub per_unit: u32,
    pub help: &'static str,
}

macro_rules! metrics {
    ($($kind:ident $key:literal $name:literal $label:literal $per_unit:literal $help:literal;)*) => {
        pub const METRICS: &[Metric] = &[$(Metric {
            key: $key, name: $name, label: $label, kind: MetricKind::$kind, per_unit: $per_unit, help: $help,
        },)*];
    };
}

metrics! {
    Gauge "calls" "tandem_calls" "" 1 "Calls in progress.";
    Gauge "calls_talking" "tandem_calls_talking" "" 1 "Calls that are answered.";
    Gauge "cps" "tandem_calls_per_second" "" 1 "Calls that arrived in the last second.";
    Counter "attempts" "tandem_call_attempts_total" "" 1 "Calls that arrived.";
    Counter "answered" "tandem_calls_answered_total" "" 1 "Calls that were answered.";
    Counter "talk_ms" "tandem_talk_seconds_total" "" 1000 "Length of all conversations that have ended.";
    Gauge "media_ports_used" "tandem_media_ports_used" "" 1 "Media ports on lease.";
    Counter "sip_received" "tandem_sip_messages_received_total" "" 1 "SIP messages that were read.";
    Counter "sip_sent" "tandem_sip_messages_sent_total" "" 1 "SIP messages that were sent.";
    Counter "sip_again_in" "tandem_sip_retransmissions_received_total" "" 1 "Copies of messages that came again.";
    Counter "sip_again_out" "tandem_sip_retransmissions_sent_total" "" 1 "Messages that were sent again.";
    Counter "sip_malformed" "tandem_sip_malformed_total" "" 1 "Messages that could not be read.";
    Gauge "sip_transactions" "tandem_sip_transactions" "" 1 "SIP transactions.";
    Gauge "sip_dialogs" "tandem_sip_dialogs" "" 1 "SIP dialogs.";
    Counter "guard_unwanted" "tandem_guard_dropped_total" "reason=\"unwanted\"" 1 "Messages of unknown sources that nobody read.";
    Counter "guard_source" "tandem_guard_dropped_total" "reason=\"source_limit\"" 1 "Messages of unknown sources that nobody read.";
    Counter "guard_total" "tandem_guard_dropped_total" "reason=\"total_limit\"" 1 "Messages of unknown sources that nobody read.";
    Counter "guard_scanners" "tandem_guard_dropped_total" "reason=\"scanner\"" 1 "Messages of unknown sources that nobody read.";
    Counter "guard_suspended" "tandem_guard_dropped_total" "reason=\"suspended\"" 1 "Messages of unknown sources that nobody read.";
    Counter "guard_suspensions" "tandem_guard_suspensions_total" "" 1 "Times that a source was suspended.";
    Gauge "journal_lag" "tandem_journal_unapplied_records" "" 1 "Records on disk that are not in the database yet.";
    Gauge "journal_stopped" "tandem_journal_stopped" "" 1 "1 while the disk takes no records and new calls are refused.";
    Gauge "queue_signalling" "tandem_queue_entries" "queue=\"signalling\"" 1 "Entries that wait for a thread.";
    Gauge "queue_journal" "tandem_queue_entries" "queue=\"journal\"" 1 "Entries that wait for a thread.";
    Gauge "queue_capture" "tandem_queue_entries" "queue=\"capture\"" 1 "Entries that wait for a thread.";
    Gauge "database_us" "tandem_database_read_seconds" "" 1000000 "How long a small question to the database took.";
    Gauge "captures" "tandem_captures" "" 1 "Conversations whose messages are held.";
    Gauge "capture_bytes" "tandem_capture_bytes" "" 1 "Memory that they take.";
    Counter "capture_dropped" "tandem_capture_dropped_total" "" 1 "Messages that the capture had no room for.";
    Counter "trace_dropped" "tandem_trace_dropped_total" "" 1 "Pieces of traces that were not written.";
    Counter "hep_sent" "tandem_hep_sent_total" "" 1 "Messages sent as HEP.";
    Counter "hep_failed" "tandem_hep_failed_total" "" 1 "Messages that could not be sent as HEP.";
    Counter "cpu_us" "tandem_process_cpu_seconds_total" "" 1000000 "Processor time of the switch.";
    Gauge "memory" "tandem_process_resident_memory_bytes" "" 1 "Memory of the switch.";
    Gauge "open_files" "tandem_process_open_fds" "" 1 "Open files and sockets of the switch.";
    Gauge "machine_cpu" "tandem_machine_cpu_busy_ratio" "" 1000 "Share of the machine's processors in use, 0 to 1.";
    Gauge "machine_memory" "tandem_machine_memory_bytes" "" 1 "Memory of the machine.";
    Gauge "machine_memory_free" "tandem_machine_memory_available_bytes" "" 1 "Memory of the machine that is available.";
    Gauge "disk" "tandem_disk_bytes" "" 1 "Size of the disk with the data folder.";
    Gauge "disk_free" "tandem_disk_available_bytes" "" 1 "Room on the disk with the data folder.";
    Counter "net_in" "tandem_machine_network_receive_bytes_total" "" 1 "Bytes that the machine received.";
    Counter "net_out" "tandem_machine_network_transmit_bytes_total" "" 1 "Bytes that the machine sent.";
    Counter "net_dropped" "tandem_machine_network_receive_dropped_total" "" 1 "Packets that network cards dropped.";
    Counter "udp_dropped" "tandem_machine_udp_receive_dropped_total" "" 1 "Datagrams that the kernel dropped because their reader was late.";
}

/// Metrics of each gateway, with labels `gateway` and `side`.
const OF_GATEWAYS: [(&str, &str, &str); 4] = [
    ("tandem_gateway_calls", "gauge", "Calls in progress through a gateway."),
    ("tandem_gateway_attempts_total", "counter", "Calls that came from or were sent to a gateway."),
    ("tandem_gateway_answered_total", "counter", "Calls through a gateway that were answered."),
    ("tandem_gateway_talk_seconds_total", "counter", "Length of ended conversations through a gateway."),
];

/// Everything, in the text format of Prometheus (0.0.4).
pub(crate) async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let sample = api.brain.seeing().and_then(|seeing| seeing.sample()).unwrap_or_default();
    let mut text = String::new();
    let mut last = "";
    for metric in METRICS {
        let Some(value) = sample.values.get(metric.key) else { continue };
        if metric.name != last {
            let kind = if metric.kind == MetricKind::Gauge { "gauge" } else { "counter" };
            head(&mut text, metric.name, kind, metric.help);
            last = metric.name;
        }
        let labels = if metric.label.is_empty() { String::new() } else { format!("{{{}}}", metric.label) };
        let _ = writeln!(text, "{}{labels} {}", metric.name, in_units(*value, metric.per_unit));
    }
    head(&mut text, "tandem_build_info", "gauge", "The version, as a label.");
    let status = api.brain.status();
    let _ = writeln!(text, "tandem_build_info{{version=\"{}\"}} 1", escaped(&status.version));
    head(
        &mut text,
        "tandem_start_time_seconds",
        "gauge",
        "When the switch was started, in seconds since 1970.",
    );
    let _ = writeln!(text, "tandem_start_time_seconds {}", status.started_at.0 / 1_000_000);
    gateways(&api, &mut text).await?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

async fn gateways(api: &Api, text: &mut String) -> Result<(), Problem> {
    let ControlReply::GatewayLoad { mapping, routing, .. } = api.control(ControlRequest::GatewayLoad).await?
    else {
        return Ok(());
    };
    let config = api.store.config();
    let of_mapping = mapping.into_iter().filter_map(|(id, load)| {
        Some((config.mapping_gateways.get(id.0)?.document.name.clone(), "mapping", load))
    });
    let of_routing = routing.into_iter().filter_map(|(id, load)| {
        Some((config.routing_gateways.get(id.0)?.document.name.clone(), "routing", load))
    });
    let all: Vec<(String, &str, Load)> = of_mapping.chain(of_routing).collect();
    for (n, (name, kind, help)) in OF_GATEWAYS.into_iter().enumerate() {
        head(text, name, kind, help);
        for (gateway, side, load) in &all {
            let value = match n {
                0 => load.calls.to_string(),
                1 => load.attempts.to_string(),
                2 => load.answered.to_string(),
                _ => in_units(i64::try_from(load.talk_ms).unwrap_or(i64::MAX), 1000),
            };
            let _ = writeln!(text, "{name}{{gateway=\"{}\",side=\"{side}\"}} {value}", escaped(gateway));
        }
    }
    Ok(())
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A value in units of the metric, without loss.
fn in_units(value: i64, per_unit: u32) -> String {
    if per_unit == 1 {
        return value.to_string();
    }
    let digits = per_unit.ilog10() as usize;
    let per_unit = i64::from(per_unit);
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}.{:0digits$}", (value / per_unit).abs(), (value % per_unit).abs())
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Names of all metrics.
pub fn metric_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = METRICS.iter().map(|m| m.name).collect();
    names.extend(OF_GATEWAYS.map(|(name, ..)| name));
    names.extend(["tandem_build_info", "tandem_start_time_seconds"]);
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut keys = std::collections::BTreeSet::new();
        for metric in METRICS {
            assert!(keys.insert(metric.key), "{}", metric.key);
            let plain = metric.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(plain && metric.name.starts_with("tandem_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == MetricKind::Counter,
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
        // Lines of one metric stand together: the format wants them in one block.
        let mut blocks: Vec<&str> = METRICS.iter().map(|m| m.name).collect();
        blocks.dedup();
        let different: std::collections::BTreeSet<&str> = blocks.iter().copied().collect();
        assert_eq!(blocks.len(), different.len());
    }

    #[test]
    fn values_have_units() {
        assert_eq!(in_units(1_234_567, 1_000_000), "1.234567");
        assert_eq!(in_units(5, 1000), "0.005");
        assert_eq!(in_units(-1500, 1000), "-1.500");
        assert_eq!(in_units(7, 1), "7");
        assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\n");
    }

    /// The dashboard that comes with the program asks for nothing that is not there.
    #[test]
    fn every_metric_of_the_dashboard_exists() {
        let dashboard = include_str!("../../../docs/grafana-dashboard.json");
        let document: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        let panels = document["panels"].as_array().unwrap();
        let names = metric_names();
        let mut asked = 0;
        for panel in panels {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap();
                let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                for word in words.filter(|w| w.starts_with("tandem_")) {
                    assert!(names.contains(&word), "{word} in {expression}");
                    asked += 1;
                }
            }
        }
        assert!(panels.len() >= 8 && asked >= 15);
    }
}
