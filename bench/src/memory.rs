//! What does a call that is up cost in memory? Resident memory of the running program at no calls and at many.

use crate::Outcome;
use crate::ground::Ground;
use crate::kamailio::{self, Role};
use crate::process::{self, Running};
use crate::report::{Section, Table, figure, grouped};
use crate::sipp::{self, Callers, Load};
use crate::tandem::{Media, Tandem};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

const RATE: u32 = 500;
/// Longer than both steps take, shorter than the time after which silence ends a call.
const HOLD: Duration = Duration::from_secs(27);
/// Sockets of a relayed call: RTP and RTCP on both sides.
const SOCKETS: u64 = 4;

/// All calls up by the end of each step; the calls of the second one come on top.
type Steps = [u32; 2];
const STEPS: Steps = [2_000, 5_000];

/// As many as the open files of a process allow; ports are opened ahead of need.
fn relayed_steps() -> Steps {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = u32::try_from(files.saturating_sub(1000) / SOCKETS).unwrap_or(u32::MAX);
    [STEPS[0].min(most / 2), STEPS[1].min(most)]
}

/// Calls up, and bytes resident then: at no calls and after each step.
type Measured = [(u32, u64); 3];

pub fn run(ground: &Ground) -> Outcome<Section> {
    let mut section = Section::new(
        "Resident memory of the running program, answered calls up, no audio, divided by the calls that came on; \
         sockets and their buffers in the kernel are not in it. Kamailio keeps a record of each call here (dialog), \
         otherwise a proxy keeps nothing of a call that is up; of its processes the proportional share (PSS) is summed.",
    );
    let mut table = Table::new(&[
        "",
        "idle MiB",
        "calls",
        "MiB",
        "KiB a call",
        "more calls",
        "MiB",
        "KiB for each one more",
    ]);
    let mut figures = Vec::new();
    let mut add = |table: &mut Table, name: &str, m: Measured| {
        let mib = |bytes: u64| figure(bytes as f64 / f64::from(1 << 20));
        let each = |i: usize| {
            let ((few, little), (many, much)) = (m[i - 1], m[i]);
            figure(much.saturating_sub(little) as f64 / 1024.0 / f64::from(many - few))
        };
        let calls = |i: usize| grouped(m[i].0.into());
        let more = format!("**{}**", each(2));
        table.row([
            name.to_owned(),
            mib(m[0].1),
            calls(1),
            mib(m[1].1),
            each(1),
            calls(2),
            mib(m[2].1),
            more,
        ]);
        figures.push(json!({ "name": name, "calls_and_bytes": m }));
    };
    match measure_kamailio(ground)? {
        Some(m) => add(&mut table, "Kamailio, proxy with dialogs", m),
        None => table.absent("Kamailio, proxy with dialogs", "not installed"),
    }
    let modes = [
        ("Tandem, media direct", Media::Direct, STEPS),
        ("Tandem, media ports leased", Media::Default, relayed_steps()),
    ];
    for (name, media, steps) in modes {
        match measure_tandem(ground, media, steps) {
            Ok(m) => add(&mut table, name, m),
            Err(error) => {
                table.absent(name, "not measured");
                section.invalid(&format!("{name}: {error}"));
            }
        }
    }
    section.tables.push(table);
    section.figures = json!({ "results": figures });
    Ok(section)
}

fn measure_kamailio(ground: &Ground) -> Outcome<Option<Measured>> {
    let folder = ground.folder("memory-kamailio")?;
    let [port, next] = process::free_ports()?;
    let started = kamailio::start(ground, &folder, Role::ProxyWithDialogs, port, next)?;
    let Some(kamailio) = started else { return Ok(None) };
    let id = kamailio.id();
    fill(ground, &folder, port, next, STEPS, || Ok(process::resident_of_family(id))).map(|(m, _)| Some(m))
}

fn measure_tandem(ground: &Ground, media: Media, steps: Steps) -> Outcome<Measured> {
    let folder = ground.folder("memory-tandem")?;
    let [next] = process::free_ports()?;
    let tandem = Tandem::start(ground, &folder, media, next)?;
    let id = tandem.running.id();
    let (measured, _peers) = fill(ground, &folder, tandem.port, next, steps, || process::resident(id))?;
    let up = tandem.calls_in_progress()?;
    if up < u64::from(steps[1]) {
        return Err(format!("{up} calls of {} were up", steps[1]).into());
    }
    Ok(measured)
}

/// Brings the calls up step by step. They stay up as long as the peers are kept.
fn fill(
    ground: &Ground,
    folder: &Path,
    port: u16,
    next: u16,
    steps: Steps,
    look: impl Fn() -> Outcome<u64>,
) -> Outcome<(Measured, (Running, Vec<Callers>))> {
    let called = sipp::called(ground, folder, next)?;
    std::thread::sleep(Duration::from_millis(500));
    let mut measured = [(0, look()?); 3];
    let mut callers = Vec::new();
    let mut up = 0;
    for (i, step) in steps.into_iter().enumerate() {
        let calls = step - up;
        let [from] = process::free_ports()?;
        let load = Load { calls, calls_per_second: RATE, hold: HOLD };
        callers.push(sipp::callers(ground, folder, &format!("callers-{step}"), from, port, load)?);
        // The last calls need a moment to be answered, and their transactions to be forgotten (T4, RFC 3261 §17).
        std::thread::sleep(Duration::from_millis(u64::from(calls) * 1000 / u64::from(RATE) + 2500));
        measured[i + 1] = (step, look()?);
        up = step;
    }
    Ok((measured, (called, callers)))
}
