//! What does a complete call cost the switch? INVITE 100 180 200 ACK BYE 200 on two legs, at a rate that all hold.
//!
//! SIPp calls through the program under test to SIPp. Of the program the CPU time of all its threads and processes is
//! read from /proc before and after, so the callers cost nothing here.

use crate::Outcome;
use crate::ground::Ground;
use crate::kamailio::{self, Role};
use crate::process::{self, Cpu};
use crate::report::{Section, Table, figure, grouped, times};
use crate::sipp::{self, Counts, Load};
use crate::tandem::{Media, Tandem};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Calls a second.
const RATE: u32 = 400;
const HOLD: Duration = Duration::from_secs(1);
/// What a program may still have to do after the last call.
const REST: Duration = Duration::from_secs(6);

/// One program's result.
struct Measured {
    counts: Counts,
    cpu: Cpu,
    threads: Vec<(String, Cpu)>,
}

impl Measured {
    fn us_per_call(&self, seconds: f64) -> f64 {
        seconds * 1e6 / (self.counts.answered.max(1) as f64)
    }
}

fn loads(ground: &Ground) -> [Load; 2] {
    let load = |seconds: u32| Load { calls: RATE * seconds, calls_per_second: RATE, hold: HOLD };
    if ground.quick { [load(2), load(5)] } else { [load(5), load(30)] }
}

pub fn run(ground: &Ground) -> Outcome<Section> {
    let [_, load] = loads(ground);
    let mut section = Section::new(&format!(
        "CPU of the program under test alone, user and system, of all its threads or processes, divided by the calls \
         that were answered: {} calls at {RATE} a second, up for {} s each, after a warm-up; SIPp to SIPp, which rings for 0.1 s, over UDP on \
         loopback, no audio. Tandem: a B2BUA with two legs, three candidate routes, a prepaid balance reserved and \
         charged, a CDR on disk. Kamailio: a stateful proxy (tm, rr; two UDP workers, f_malloc), no dialogs, no records.",
        load.calls,
        HOLD.as_secs(),
    ));
    let mut table = Table::new(&[
        "",
        "calls",
        "failed",
        "resent",
        "user µs",
        "system µs",
        "CPU µs a call",
        "to Kamailio",
        "answer after ms",
    ]);
    let mut figures = Vec::new();
    let kamailio = measure_kamailio(ground)?;
    let beside = kamailio.as_ref().map(|k| k.us_per_call(k.cpu.total_s()));
    match &kamailio {
        Some(measured) => {
            add(&mut table, &mut section, &mut figures, "Kamailio, stateful proxy", measured, beside)
        }
        None => table.absent("Kamailio, stateful proxy", "not installed"),
    }
    let modes = [("Tandem, media direct", Media::Direct), ("Tandem, media ports leased", Media::Default)];
    for (name, media) in modes {
        match measure_tandem(ground, &mut section, name, media) {
            Ok(measured) => add(&mut table, &mut section, &mut figures, name, &measured, beside),
            Err(error) => {
                table.absent(name, "not measured");
                section.invalid(&format!("{name}: {error}"));
            }
        }
    }
    section.tables.push(table);
    section.figures = json!({ "calls_per_second": RATE, "results": figures });
    Ok(section)
}

fn add(
    table: &mut Table,
    section: &mut Section,
    figures: &mut Vec<Value>,
    name: &str,
    m: &Measured,
    beside: Option<f64>,
) {
    let us = m.us_per_call(m.cpu.total_s());
    table.row([
        name.to_owned(),
        grouped(m.counts.answered),
        grouped(m.counts.failed),
        grouped(m.counts.retransmissions),
        figure(m.us_per_call(m.cpu.user_s)),
        figure(m.us_per_call(m.cpu.system_s)),
        format!("**{}**", figure(us)),
        beside.map_or("–".to_owned(), |b| times(us, b)),
        // SIPp's clock ticks once a millisecond.
        if m.counts.answer_ms < 1.0 { "< 1".to_owned() } else { figure(m.counts.answer_ms) },
    ]);
    let threads: Vec<(String, f64)> = m
        .threads
        .iter()
        .map(|(n, c)| (n.clone(), m.us_per_call(c.total_s())))
        .filter(|(_, us)| *us >= 0.5)
        .collect();
    if !threads.is_empty() {
        let words: Vec<String> = threads.iter().map(|(n, us)| format!("{n} {}", figure(*us))).collect();
        section.note(format!("{name}, by thread in µs a call: {}.", words.join(", ")));
    }
    if m.counts.failed > 0 {
        let why = m.counts.complaint.as_deref().unwrap_or("SIPp does not say why");
        section.invalid(&format!("{name}: {} calls failed: {why}", m.counts.failed));
    }
    figures.push(json!({
        "name": name, "calls": m.counts.answered, "failed": m.counts.failed,
        "retransmissions": m.counts.retransmissions, "cpu_us_per_call": us,
        "user_us_per_call": m.us_per_call(m.cpu.user_s), "system_us_per_call": m.us_per_call(m.cpu.system_s),
        "answer_ms": m.counts.answer_ms, "threads_us_per_call": threads.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    }));
}

fn measure_kamailio(ground: &Ground) -> Outcome<Option<Measured>> {
    let folder = ground.folder("calls-kamailio")?;
    let [port, next] = process::free_ports()?;
    let Some(kamailio) = kamailio::start(ground, &folder, Role::Proxy, port, next)? else { return Ok(None) };
    drive(ground, &folder, kamailio.id(), port, next).map(Some)
}

fn measure_tandem(ground: &Ground, section: &mut Section, name: &str, media: Media) -> Outcome<Measured> {
    let folder = ground.folder("calls-tandem")?;
    let [next] = process::free_ports()?;
    let tandem = Tandem::start(ground, &folder, media, next)?;
    let measured = drive(ground, &folder, tandem.running.id(), tandem.port, next)?;
    let [warm_up, load] = loads(ground);
    let expected = u64::from(warm_up.calls + load.calls);
    let records = tandem.records(expected + 1000)?;
    if records != expected {
        section.invalid(&format!("{name}: {records} CDRs of {expected} answered calls"));
    }
    match tandem.check() {
        Ok(()) => section.note(format!(
            "{name}: {} CDRs for {} calls, ledger checked.",
            grouped(records),
            grouped(expected)
        )),
        Err(words) => section.invalid(&format!("{name}: {words}")),
    }
    tandem.stop()?;
    Ok(measured)
}

/// The load on a program that listens at `port` and calls on at `next`.
fn drive(ground: &Ground, folder: &Path, pid: u32, port: u16, next: u16) -> Outcome<Measured> {
    let mut called = sipp::called(ground, folder, next)?;
    std::thread::sleep(Duration::from_millis(500));
    let [warm_up, load] = loads(ground);
    let [from_a, from_b] = process::free_ports()?;
    let warm = sipp::callers(ground, folder, "warm-up", from_a, port, warm_up)?.finish()?;
    if warm.answered == 0 {
        return Err("no call was answered in the warm-up".into());
    }
    process::settle(pid, REST)?;
    let (before, threads_before) = (process::cpu(pid)?, process::cpu_of_threads(pid));
    let counts = sipp::callers(ground, folder, "callers", from_b, port, load)?.finish()?;
    if let Some(status) = called.exited()? {
        return Err(format!("the called SIPp ended in between ({status})").into());
    }
    process::settle(pid, REST)?;
    let cpu = process::cpu(pid)?.since(before);
    let mut threads = process::cpu_of_threads(pid);
    for (name, cpu) in &mut threads {
        let earlier = threads_before.iter().find(|(n, _)| n == name).map_or(Cpu::default(), |(_, c)| *c);
        *cpu = cpu.since(earlier);
    }
    Ok(Measured { counts, cpu, threads })
}
