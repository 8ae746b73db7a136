//! The benchmarks. `make bench` runs them all and writes `bench/RESULTS.md` and `bench/results.json`.
//!
//! Each part is a process of its own (`bench part NAME`), so that none inherits another's memory or dies with it. All
//! numbers of a part come from one run on one machine, and each stands beside something: another program on the same
//! load, or a floor that does the least that could be called the same work.
//!
//! `bench/run.sh [PART…]` builds what is needed, gives this program a scratch folder, and ends whatever it leaves.

#![allow(clippy::print_stdout, reason = "a program that prints")]

mod brain;
mod business;
mod calls;
mod clock;
mod disk;
mod ground;
mod heap;
mod invite;
mod kamailio;
mod machine;
mod memory;
mod message;
mod process;
mod relay;
mod report;
mod reports;
mod routes;
mod sipp;
mod soak;
mod tandem;
mod trend;

use ground::Ground;
use machine::Machine;
use report::{Report, Section};
use std::error::Error;
use std::process::{Command, ExitCode, Stdio};

/// As in the program under test, so that its crates cost here what they cost there.
#[global_allocator]
static ALLOCATOR: heap::Counted = heap::Counted;

type Outcome<T> = Result<T, Box<dyn Error>>;
type Part = (&'static str, &'static str, fn(&Ground) -> Outcome<Section>);

/// In the order of the report.
const PARTS: &[Part] = &[
    ("calls", "CPU of a complete call", calls::run),
    ("brain", "CPU of a complete call in the brain alone", brain::run),
    ("relay", "CPU of a relayed RTP packet", relay::run),
    ("routes", "Routing decision and rate look-up", routes::run),
    ("message", "Parse and write of an INVITE", message::run),
    ("disk", "CDRs a second to disk", disk::run),
    ("memory", "Memory for a call", memory::run),
    ("reports", "Finding calls, and reports", reports::run),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.first().map(String::as_str) {
        Some("part") => part(words.get(1).map_or("", String::as_str)),
        Some("soak") => soak(words.get(1).map(String::as_str)),
        _ => all(&words),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One part; its section goes to standard output.
fn part(name: &str) -> Outcome<bool> {
    let (_, title, run) =
        PARTS.iter().find(|(n, ..)| *n == name).ok_or_else(|| format!("no part {name:?}"))?;
    let mut section = run(&Ground::from_environment()?)?;
    section.title = (*title).to_owned();
    println!("{}", serde_json::to_string(&section)?);
    Ok(true)
}

/// The long run, for so many minutes.
fn soak(minutes: Option<&str>) -> Outcome<bool> {
    let minutes =
        minutes.map(|m| m.parse().map_err(|_| format!("minutes: {m:?} is no number"))).transpose()?;
    soak::run(&Ground::from_environment()?, minutes)
}

/// All parts, or those that are named. False when one of them is not valid.
fn all(only: &[String]) -> Outcome<bool> {
    if let Some(unknown) = only.iter().find(|o| PARTS.iter().all(|(n, ..)| n != o)) {
        let known: Vec<&str> = PARTS.iter().map(|(n, ..)| *n).collect();
        return Err(format!("no part {unknown:?}; there are {}", known.join(", ")).into());
    }
    let ground = Ground::from_environment()?;
    let mut report = Report::of(Machine::look(&ground.scratch)?);
    for (name, title, _) in PARTS {
        if !only.is_empty() && !only.iter().any(|o| o == name) {
            continue;
        }
        eprintln!("bench: {title} …");
        let foreign = machine::foreign_load()?;
        let mut section = run_part(name).unwrap_or_else(|error| Section::failed(title, &error.to_string()));
        section.foreign_load = foreign;
        eprintln!("{}", section.text());
        report.sections.push(section);
    }
    report.write(&ground, only.is_empty())?;
    Ok(report.sections.iter().all(|s| s.valid))
}

fn run_part(name: &str) -> Outcome<Section> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["part", name]).stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        return Err(if complaint.is_empty() { output.status.to_string() } else { complaint }.into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(text.lines().last().unwrap_or_default())?)
}
