//! Long run (reliability R-60): many calls at a high rate stand for a day at an ordinary one. Does anything grow?
//!
//! `make soak` places the calls of a day at 20 a second (1.73 million) at 400 a second in 72 minutes; `make nightly`
//! takes ten minutes of it. While they run the program is looked at from outside once a second.

use crate::Outcome;
use crate::ground::Ground;
use crate::process::{self, Running, free_ports};
use crate::report::{figure, grouped};
use crate::sipp::{self, Load};
use crate::tandem::{Media, Tandem};
use crate::trend::{Trend, theil_sen};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const RATE: u32 = 400;
const HOLD: Duration = Duration::from_secs(2);
const MINUTES: u32 = 72;

/// Growth that is allowed, in bytes for 100,000 calls.
const MOST_GROWTH: f64 = 1_048_576.0;
/// The answer of the last tenth may take this much longer than that of the second tenth.
const MOST_SLOWER: f64 = 1.2;
/// SIPp's clock ticks once a millisecond: less than two ticks is no difference.
const TICKS_MS: f64 = 2.0;

/// The program as it was at one moment.
struct Sample {
    calls: f64,
    resident: f64,
    handles: usize,
    threads: usize,
}

/// Places calls for so many minutes; says what grew. True when nothing did that should not.
pub fn run(ground: &Ground, minutes: Option<u32>) -> Outcome<bool> {
    let minutes = minutes.unwrap_or(MINUTES).max(1);
    let load = Load { calls: RATE * minutes * 60, calls_per_second: RATE, hold: HOLD };
    println!("soak: {} calls at {RATE} a second, {minutes} minutes", grouped(load.calls.into()));
    let folder = ground.folder("soak")?;
    let [next, from] = free_ports()?;
    let tandem = Tandem::start(ground, &folder, Media::Default, next)?;
    let pid = tandem.running.id();
    let _called = sipp::called(ground, &folder, next)?;
    std::thread::sleep(Duration::from_millis(500));
    let mut callers = sipp::callers(ground, &folder, "soak", from, tandem.port, load)?;
    let samples = watch(pid, callers.running(), minutes)?;
    let counts = callers.finish()?;
    process::settle(pid, Duration::from_secs(30))?;

    let mut sound = judge(&samples)?;
    sound &= judge_answers(&folder.join("soak"))?;
    let mut demand = |holds: bool, words: String| {
        println!("{} {words}", if holds { "ok  " } else { "FAIL" });
        sound &= holds;
    };
    let (answered, failed) = (counts.answered, counts.failed);
    demand(failed == 0, format!("calls: {} answered, {} failed", grouped(answered), grouped(failed)));
    let up = tandem.calls_in_progress()?;
    demand(up == 0, format!("calls still up after the last one ended: {up}"));
    let checked = tandem.check();
    demand(
        checked.is_ok(),
        format!("tandem check: {}", checked.err().unwrap_or_else(|| "nothing wrong".into())),
    );
    tandem.stop()?;
    Ok(sound)
}

/// Looks once a second until the callers are done.
fn watch(pid: u32, callers: &mut Running, minutes: u32) -> Outcome<Vec<Sample>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while callers.exited()?.is_none() {
        let seconds = start.elapsed().as_secs_f64();
        samples.push(Sample {
            calls: seconds * f64::from(RATE),
            resident: process::resident(pid)? as f64,
            handles: entries(pid, "fd")?,
            threads: entries(pid, "task")?,
        });
        if samples.len().is_multiple_of(60) {
            let resident = samples.last().map_or(0.0, |s| s.resident) / MOST_GROWTH;
            eprintln!("soak: minute {} of {minutes}, {resident:.0} MiB resident", samples.len() / 60);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(samples)
}

fn entries(pid: u32, folder: &str) -> Outcome<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/{folder}"))?.count())
}

/// Memory, handles and threads over time.
fn judge(samples: &[Sample]) -> Outcome<bool> {
    let tenth = samples.len() / 10;
    let (Some(settled), Some(second), Some(last)) =
        (samples.get(tenth..), samples.get(tenth..2 * tenth), samples.get(9 * tenth..))
    else {
        return Err("the run was too short to say anything".into());
    };
    let points: Vec<(f64, f64)> = settled.iter().map(|s| (s.calls / 100_000.0, s.resident)).collect();
    let Trend { slope, low, high } = theil_sen(&points).ok_or("the run was too short for a slope")?;
    let steady = low <= MOST_GROWTH;
    let mib = |bytes: f64| figure(bytes / MOST_GROWTH);
    println!(
        "{} resident memory: {} MiB for each 100 000 calls (95 % between {} and {}; at most 1), {} MiB at the end",
        if steady { "ok  " } else { "FAIL" },
        mib(slope),
        mib(low),
        mib(high),
        mib(settled.last().map_or(0.0, |s| s.resident)),
    );
    let mut sound = steady;
    let most = |of: &[Sample], what: fn(&Sample) -> usize| of.iter().map(what).max().unwrap_or(0);
    let handles = (most(second, |s| s.handles), most(last, |s| s.handles));
    let threads = (most(second, |s| s.threads), most(last, |s| s.threads));
    for (name, (before, after)) in [("handles", handles), ("threads", threads)] {
        // Calls come unevenly, and media ports are opened in blocks: the highest number differs a little.
        let flat = after <= before + before / 4;
        println!(
            "{} {name}: {before} in the second tenth, {after} in the last",
            if flat { "ok  " } else { "FAIL" }
        );
        sound &= flat;
    }
    Ok(sound)
}

/// INVITE to 200, 99 of 100 calls, in the second and the last tenth.
fn judge_answers(folder: &Path) -> Outcome<bool> {
    let mut times = sipp::answer_times(folder)?;
    let tenth = times.len() / 10;
    let mut worst = |from: usize| -> Option<f64> {
        let part = times.get_mut(from..from + tenth)?;
        part.sort_by(f64::total_cmp);
        part.get(tenth * 99 / 100).copied()
    };
    let (Some(second), Some(last)) = (worst(tenth), worst(9 * tenth)) else {
        return Err("SIPp wrote too few answer times".into());
    };
    let sound = last <= (second * MOST_SLOWER).max(second + TICKS_MS);
    println!(
        "{} answer, 99 of 100 calls: {} ms in the second tenth, {} ms in the last",
        if sound { "ok  " } else { "FAIL" },
        figure(second),
        figure(last)
    );
    Ok(sound)
}
