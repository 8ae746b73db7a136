//! The machine of a run, and whether it was quiet.

use crate::Outcome;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A run that starts above this load average is marked as noisy.
pub const NOISY_LOAD: f64 = 1.5;
/// So is one where others use more than this share of one core just before a part.
pub const NOISY_SHARE: f64 = 0.15;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    pub when: String,
    pub commit: String,
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
    pub system: String,
    pub disk: String,
    pub user: String,
    pub load: f64,
    /// Names and versions of programs that results stand beside.
    pub peers: Vec<(String, String)>,
}

impl Machine {
    pub fn look(scratch: &Path) -> Outcome<Machine> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let kib: u64 = value_of(&meminfo, "MemTotal:").trim_end_matches(" kB").trim().parse().unwrap_or(0);
        let folder = scratch.display().to_string();
        Ok(Machine {
            when: time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339)?,
            commit: commit(),
            processor: value_of(&cpuinfo, "model name").trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib >> 20,
            kernel: first_line("uname", &["-sr"]),
            system: value_of(&os, "PRETTY_NAME=").trim_matches('"').to_owned(),
            disk: first_line("findmnt", &["-n", "-o", "FSTYPE,SOURCE", "-T", &folder]),
            user: first_line("id", &["-un"]),
            load: load_average()?,
            peers: peers(),
        })
    }
}

fn commit() -> String {
    let hash = first_line("git", &["rev-parse", "--short", "HEAD"]);
    let changed =
        !first_line("git", &["status", "--porcelain", "--untracked-files=no", "--", "crates", "Cargo.lock"])
            .is_empty();
    match (hash.is_empty(), changed) {
        (true, _) => "unknown".to_owned(),
        (_, true) => format!("{hash} with changes"),
        (_, false) => hash,
    }
}

/// Programs from apt that parts are measured beside; they say so themselves when one is missing.
fn peers() -> Vec<(String, String)> {
    [("kamailio", "-v"), ("sipp", "-v"), ("rtpengine", "--version")]
        .into_iter()
        .map(|(name, flag)| {
            let version = match Command::new(name).arg(flag).output() {
                Ok(output) => {
                    let text = [output.stdout, output.stderr].concat();
                    let text = String::from_utf8_lossy(&text).into_owned();
                    let line = text.lines().map(str::trim).find(|l| l.chars().any(|c| c.is_ascii_digit()));
                    line.unwrap_or("installed").trim_end_matches('.').to_owned()
                }
                Err(_) => "not installed".to_owned(),
            };
            (name.to_owned(), version)
        })
        .collect()
}

/// The rest of the first line that starts with this.
fn value_of<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find_map(|l| l.strip_prefix(start)).unwrap_or_default().trim()
}

/// The first line that a command prints; empty when it cannot run.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

pub fn load_average() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// How much of one core others use while this program does nothing.
pub fn foreign_load() -> Outcome<f64> {
    const LOOK: Duration = Duration::from_millis(700);
    let before = busy_seconds()?;
    std::thread::sleep(LOOK);
    Ok((busy_seconds()? - before).max(0.0) / LOOK.as_secs_f64())
}

/// CPU seconds of all processes on all cores, interrupts included, since the start of the machine.
fn busy_seconds() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let words = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let fields = words.map(str::parse::<f64>).collect::<Result<Vec<_>, _>>()?;
    // user nice system (idle iowait) irq softirq; guest time is part of user.
    let busy: f64 = [0, 1, 2, 5, 6].iter().filter_map(|i| fields.get(*i)).sum();
    Ok(busy / crate::process::TICKS_PER_SECOND)
}
