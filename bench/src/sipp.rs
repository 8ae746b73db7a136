//! SIPp as callers and as the vendor.

use crate::Outcome;
use crate::ground::Ground;
use crate::process::{Running, find};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A load: how many calls, how fast, how long each is up.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub calls: u32,
    pub calls_per_second: u32,
    pub hold: Duration,
}

/// What the callers saw.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub answered: u64,
    pub failed: u64,
    pub retransmissions: u64,
    /// INVITE to 200, on average.
    pub answer_ms: f64,
    /// What was unexpected, where anything was.
    pub complaint: Option<String>,
}

fn sipp() -> Outcome<Command> {
    let mut command = Command::new(find("sipp").ok_or("SIPp is not installed (apt install sip-tester)")?);
    // It draws a screen even where there is none.
    command.args(["-nostdin", "-i", "127.0.0.1"]).env("TERM", "xterm");
    Ok(command)
}

/// Where SIPp says what it did not expect.
const ERRORS: &str = "errors.log";

/// The vendor: rings, answers, takes the BYE.
pub fn called(ground: &Ground, folder: &Path, port: u16) -> Outcome<Running> {
    let scenario = ground.fill("uas.xml", folder, &[])?;
    let mut command = sipp()?;
    command.arg("-sf").arg(scenario).args(["-p", &port.to_string()]).current_dir(folder);
    Running::start("sipp-called", &mut command, folder)
}

/// The callers; `name` tells several apart.
pub fn callers(
    ground: &Ground,
    folder: &Path,
    name: &str,
    from: u16,
    to: u16,
    load: Load,
) -> Outcome<Callers> {
    let folder = folder.join(name);
    fs::create_dir_all(&folder)?;
    let hold = load.hold.as_millis().to_string();
    let scenario = ground.fill("uac.xml", &folder, &[("HOLD_MS", hold)])?;
    let statistics = folder.join("statistics.csv");
    let mut command = sipp()?;
    command
        .arg("-sf")
        .arg(scenario)
        .args(["-p", &from.to_string(), "-r", &load.calls_per_second.to_string()])
        .args(["-m", &load.calls.to_string(), "-l", &load.calls.to_string(), "-recv_timeout", "8000"])
        .args(["-trace_err", "-error_file"])
        .arg(folder.join(ERRORS))
        .args(["-trace_rtt", "-rtt_freq", "1000"])
        .args(["-trace_stat", "-fd", "1", "-stf"])
        .arg(&statistics)
        .arg(format!("127.0.0.1:{to}"))
        .current_dir(&folder);
    Ok(Callers { running: Running::start(name, &mut command, &folder)?, statistics, load })
}

pub struct Callers {
    running: Running,
    statistics: PathBuf,
    load: Load,
}

impl Callers {
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Waits until all calls are over.
    pub fn finish(mut self) -> Outcome<Counts> {
        let longest =
            Duration::from_secs(u64::from(self.load.calls / self.load.calls_per_second.max(1)) + 20);
        // Its status only says that some calls failed; the counts say how many.
        self.running.wait(longest + self.load.hold)?;
        let text = fs::read_to_string(&self.statistics)?;
        let complaint = fs::read_to_string(self.statistics.with_file_name(ERRORS)).ok();
        let complaint =
            complaint.and_then(|c| Some(c.lines().find(|l| l.contains(": "))?.chars().take(200).collect()));
        let counts = counts(&text).ok_or("SIPp wrote no statistics")?;
        Ok(Counts { complaint, ..counts })
    }
}

/// INVITE to 200 of each answered call in milliseconds, in the order of the answers.
pub fn answer_times(folder: &Path) -> Outcome<Vec<f64>> {
    let files = fs::read_dir(folder)?.flatten().map(|f| f.path());
    let file = files.into_iter().find(|f| f.to_string_lossy().ends_with("_rtt.csv"));
    let text = fs::read_to_string(file.ok_or("SIPp wrote no answer times")?)?;
    Ok(text.lines().skip(1).filter_map(|l| l.split(';').nth(1)?.trim().parse().ok()).collect())
}

/// The last line of SIPp's statistics; columns that end in (C) are sums.
fn counts(text: &str) -> Option<Counts> {
    let names: Vec<&str> = text.lines().next()?.split(';').collect();
    let last: Vec<&str> = text.lines().next_back()?.split(';').collect();
    let value = |name: &str| last.get(names.iter().position(|n| *n == name)?).copied();
    let number = |name: &str| value(name)?.trim().parse::<u64>().ok();
    Some(Counts {
        answered: number("SuccessfulCall(C)")?,
        failed: number("FailedCall(C)")?,
        retransmissions: number("Retransmissions(C)")?,
        answer_ms: value("ResponseTime1(C)").and_then(milliseconds)?,
        complaint: None,
    })
}

/// `00:00:00:001234`: hours, minutes, seconds, microseconds.
fn milliseconds(text: &str) -> Option<f64> {
    let parts = text.trim().split(':').map(|p| p.parse::<f64>().ok()).collect::<Option<Vec<_>>>()?;
    let [hours, minutes, seconds, micros] = parts.as_slice() else { return None };
    Some((hours * 3600.0 + minutes * 60.0 + seconds) * 1000.0 + micros / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read() {
        let text = "StartTime;SuccessfulCall(P);SuccessfulCall(C);FailedCall(C);Retransmissions(C);ResponseTime1(C);\n\
                    x;1;2;0;0;00:00:00:000500;\nx;1;30;4;5;00:00:01:002500;\n";
        let c = counts(text).unwrap();
        assert_eq!((c.answered, c.failed, c.retransmissions), (30, 4, 5));
        assert!((c.answer_ms - 1002.5).abs() < 1e-9);
        assert!(counts("").is_none());
        assert!(counts("a;b\n1;2\n").is_none());
    }
}
