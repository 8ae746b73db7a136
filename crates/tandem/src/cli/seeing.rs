//! `tandem calls analyse …`, `tandem trace …`: what was seen of calls and registrations.

use super::client::{Client, segment};
use super::commands::with;
use super::table::{fields, table};
use super::{CaptureFilter, Failure, LogCommand, MonitorCommand, Out, TraceCommand, TraceWhat};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Ladder and findings of a call, in progress or ended.
pub fn analyse(id: &str, c: &Client, out: &mut Out) -> Result<(), Failure> {
    let analysis = c.get(&format!("/calls/{}/analysis", segment(id)), &[])?;
    out.answer(&analysis, |a| {
        let mut text = String::new();
        for finding in list(&a["findings"]) {
            text += &format!(
                "{}: {}\n  {}\n",
                word(finding, "severity"),
                word(finding, "text"),
                word(finding, "advice")
            );
        }
        if text.is_empty() {
            text = "No findings.\n".into();
        }
        if a["captured"] == false {
            text += "Its messages are not held any more: only the record speaks.\n";
        }
        for row in list(&a["ladder"]) {
            let lane = |key: &str| {
                let place = row[key].as_u64().and_then(|n| usize::try_from(n).ok());
                place.and_then(|n| a["lanes"][n].as_str()).unwrap_or("").to_owned()
            };
            let seconds = row["after_ms"].as_u64().unwrap_or(0);
            let (from, to) = (lane("from"), lane("to"));
            let arrow = if from == to { String::new() } else { format!("{from} -> {to}: ") };
            text += &format!("{:>6}.{:03}  {arrow}{}\n", seconds / 1000, seconds % 1000, word(row, "label"));
        }
        text
    })
}

/// Saves what the API gives as a file.
pub fn save(
    path: &str,
    query: &[(&str, String)],
    output: &PathBuf,
    c: &Client,
    out: &mut Out,
) -> Result<(), Failure> {
    let bytes = c.get_bytes(path, query)?;
    std::fs::write(output, &bytes).map_err(|e| Failure::new(format!("{}: {e}", output.display())))?;
    let said = json!({ "file": output.display().to_string(), "bytes": bytes.len() });
    out.answer(&said, |_| format!("{} bytes in {}", bytes.len(), output.display()))
}

pub fn query(filter: &CaptureFilter) -> Vec<(&'static str, String)> {
    let parts = [
        ("account", &filter.account),
        ("gateway", &filter.gateway),
        ("number", &filter.number),
        ("address", &filter.address),
    ];
    parts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
}

pub fn trace(command: TraceCommand) -> Result<(), Failure> {
    match command {
        TraceCommand::On { what, minutes, filter, client } => with(&client, |c, out| {
            let mut body: Map<String, Value> =
                query(&filter).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            if let Some(minutes) = minutes {
                body.insert("minutes".into(), minutes.into());
            }
            let answer = c.send("PUT", &format!("/traces/{}", name(what)), &body.into(), None)?;
            out.answer(&answer, |_| format!("The trace of {} is on.", name(what)))
        }),
        TraceCommand::Off { what, client } => with(&client, |c, out| {
            c.delete(&format!("/traces/{}", name(what)))?;
            out.answer(&Value::Null, |_| format!("The trace of {} is off.", name(what)))
        }),
        TraceCommand::Status { client } => with(&client, |c, out| {
            let traces = c.get("/traces", &[])?;
            out.answer(&traces, |t| list(t).iter().map(state).collect::<Vec<_>>().join("\n"))
        }),
        TraceCommand::Show { what, client } => with(&client, |c, out| {
            let text = c.get_text(&format!("/traces/{}/text", name(what)), &[])?;
            out.text(&text)
        }),
        TraceCommand::Pcap { output, filter, client } => {
            with(&client, |c, out| save("/captures/pcap", &query(&filter), &output, c, out))
        }
        TraceCommand::Registrations { filter, client } => with(&client, |c, out| {
            let found = c.get("/captures/registrations", &query(&filter))?;
            out.answer(&found, registrations)
        }),
    }
}

/// `tandem selftest`: fails when a step does.
pub fn self_test(c: &Client, out: &mut Out) -> Result<(), Failure> {
    let test = c.send("POST", "/selftest", &json!({}), None)?;
    out.answer(&test, |t| {
        let row = |s: &Value| {
            let outcome = if s["passed"] == true { "passed" } else { "FAILED" };
            vec![word(s, "step").to_owned(), outcome.to_owned(), word(s, "text").to_owned()]
        };
        table(&["STEP", "OUTCOME", "SEEN"], &list(&t["steps"]).iter().map(row).collect::<Vec<_>>())
    })?;
    if test["passed"] == true { Ok(()) } else { Err(Failure::new("the self-test failed")) }
}

/// `tandem monitor`.
pub fn monitor(command: MonitorCommand) -> Result<(), Failure> {
    match command {
        MonitorCommand::Now { client } => with(&client, |c, out| {
            let monitor = c.get("/monitor", &[])?;
            out.answer(&monitor, |m| {
                let row = |metric: &Value| {
                    let value = m["now"]["values"][word(metric, "key")].as_i64()?;
                    let per_unit = metric["per_unit"].as_i64().unwrap_or(1).max(1);
                    let rest = if per_unit == 1 { String::new() } else { format!(" / {per_unit}") };
                    let name = format!("{} {}", word(metric, "name"), word(metric, "label"));
                    Some(vec![name, format!("{value}{rest}"), word(metric, "help").to_owned()])
                };
                table(
                    &["METRIC", "VALUE", "MEANING"],
                    &list(&m["metrics"]).iter().filter_map(row).collect::<Vec<_>>(),
                )
            })
        }),
        MonitorCommand::History { step, client } => with(&client, |c, out| {
            let history = c.get("/monitor/history", &[("step", step.to_string())])?;
            out.answer(&history, |h| {
                let row = |sample: &Value| {
                    let value = |key: &str| sample["values"][key].as_i64().unwrap_or(0).to_string();
                    vec![
                        word(sample, "at").to_owned(),
                        value("calls"),
                        value("cps"),
                        value("machine_cpu"),
                        value("memory"),
                    ]
                };
                let rows: Vec<Vec<String>> = list(h).iter().map(row).collect();
                table(&["AT", "CALLS", "CPS", "MACHINE CPU / 1000", "MEMORY"], &rows)
            })
        }),
    }
}

/// `tandem log`.
pub fn log(command: LogCommand) -> Result<(), Failure> {
    match command {
        LogCommand::Show { client } => with(&client, |c, out| out.text(&c.get_text("/log/text", &[])?)),
        LogCommand::Levels { client } => with(&client, |c, out| {
            let levels = c.get("/log", &[])?;
            out.answer(&levels, levels_text)
        }),
        LogCommand::Set { level, module, client } => with(&client, |c, out| {
            let mut body = c.get("/log", &[])?;
            match (module, level.as_str()) {
                (None, "default") => body["level"] = Value::Null,
                (None, level) => body["level"] = level.into(),
                (Some(module), "default") => {
                    body["modules"].as_object_mut().map(|m| m.remove(&module));
                }
                (Some(module), level) => body["modules"][module] = level.into(),
            }
            let answer =
                c.send("PUT", "/log", &json!({ "level": body["level"], "modules": body["modules"] }), None)?;
            out.answer(&answer, levels_text)
        }),
    }
}

fn levels_text(levels: &Value) -> String {
    let mut text = format!(
        "everything: {}",
        levels["level"].as_str().unwrap_or("as set at the start and in SS_TRACE_MASK")
    );
    for (module, level) in levels["modules"].as_object().into_iter().flatten() {
        text += &format!("\n{module}: {}", level.as_str().unwrap_or(""));
    }
    text
}

fn name(what: TraceWhat) -> &'static str {
    match what {
        TraceWhat::Calls => "calls",
        TraceWhat::Registers => "registers",
    }
}

fn state(trace: &Value) -> String {
    let shown = |key: &str| trace[key].as_str().unwrap_or("").to_owned();
    let count = |key: &str| trace[key].as_u64().unwrap_or(0).to_string();
    fields(&[
        ("Trace", shown("kind")),
        ("State", if trace["on"] == true { "on" } else { "off" }.to_owned()),
        ("Until", shown("until")),
        ("Account", shown("account")),
        ("Gateway", shown("gateway")),
        ("Number", shown("number")),
        ("Address", shown("address")),
        ("Bytes in files", count("file_bytes")),
        ("Written", count("written")),
        ("Dropped", count("dropped")),
    ])
}

fn registrations(found: &Value) -> String {
    let row = |r: &Value| {
        let findings: Vec<&str> = list(&r["findings"]).iter().filter_map(|f| f["text"].as_str()).collect();
        vec![
            word(r, "user").to_owned(),
            word(r, "source").to_owned(),
            r["status"].as_u64().map_or_else(|| "none".into(), |s| s.to_string()),
            if r["behind_nat"] == true { "behind NAT" } else { "" }.to_owned(),
            findings.join("; "),
        ]
    };
    let rows: Vec<Vec<String>> = list(found).iter().map(row).collect();
    if rows.is_empty() {
        return "No registrations are held.".into();
    }
    table(&["USER", "SOURCE", "STATUS", "NAT", "FINDINGS"], &rows)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}
