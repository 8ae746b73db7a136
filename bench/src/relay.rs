//! What does a relayed RTP packet cost? The measuring program stands beside the media engine; it is called here.

use crate::Outcome;
use crate::ground::Ground;
use crate::report::{Section, Table, figure, grouped, times};
use serde_json::Value;
use std::process::Command;

pub fn run(ground: &Ground) -> Outcome<Section> {
    let program = ground.target.join("examples/bench_relay");
    let seconds = if ground.quick { "1" } else { "5" };
    let mut command = Command::new(&program);
    let output = command.args(["--streams", "200", "--seconds", seconds]).output();
    let output = output.map_err(|e| format!("{}: {e}", program.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let found: Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    let results = found["results"].as_array().ok_or("bench_relay: no results")?;
    let mut section = Section::new(
        "CPU nanoseconds for a packet that comes in and goes out, all threads of the relay, read from /proc: 200 calls, \
         50 packets a second each way, 172 bytes, one arriving every 50 µs; relay and generator on a core each. The \
         floor receives and sends in batches (recvmmsg, sendmmsg) and does nothing else; “floor 1 ms” looks once a \
         millisecond, as the engine does under load.",
    );
    let mut table =
        Table::new(&["", "sent", "relayed", "CPU ns a packet", "to floor", "to floor 1 ms", "delay p99 µs"]);
    let cost = |name: &str| {
        let found = results.iter().find(|r| r["name"] == name);
        found.and_then(|r| r["cpu_ns_per_packet"].as_f64()).unwrap_or(0.0)
    };
    let (floor, rounds) = (cost("floor"), cost("floor 1 ms"));
    for r in results {
        let (sent, relayed) = (r["sent"].as_u64().unwrap_or(0), r["relayed"].as_u64().unwrap_or(0));
        let ns = r["cpu_ns_per_packet"].as_f64().unwrap_or(0.0);
        let name = r["name"].as_str().unwrap_or_default();
        let bold = format!("**{}**", figure(ns));
        let delay = figure(r["delay_p99_us"].as_f64().unwrap_or(0.0));
        table.row([
            name.to_owned(),
            grouped(sent),
            grouped(relayed),
            bold,
            times(ns, floor),
            times(ns, rounds),
            delay,
        ]);
        if relayed * 100 < sent * 99 {
            section.invalid(&format!("{name} relayed {relayed} of {sent} packets"));
        }
    }
    if results.iter().all(|r| r["name"] != "rtpengine") {
        let why = text.lines().find_map(|l| l.strip_prefix("rtpengine is not measured: "));
        let missing = crate::process::find("rtpengine").is_none();
        table.absent("rtpengine", if missing { "not installed" } else { why.unwrap_or("not measured") });
    }
    section.tables.push(table);
    section.figures = found;
    Ok(section)
}
