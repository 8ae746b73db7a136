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
/// All calls up by the end of this many; the calls of the second step come on top.
const STEPS: [u32; 2] = [2_000, 5_000];
/// Longer than both steps take, shorter than the time after which silence ends a call.
const HOLD: Duration = Duration::from_secs(27);

/// Bytes resident at no calls and after each step.
type Measured = [u64; 3];

pub fn run(ground: &Ground) -> Outcome<Section> {
    let mut section = Section::new(
        "Resident memory of the running program, answered calls up, no audio, divided by the calls; sockets and their \
         buffers in the kernel are not in it. Kamailio keeps a record of each call here (dialog), otherwise a proxy keeps \
         nothing of a call that is up; of its processes the proportional share (PSS) is summed.",
    );
    let [small, large] = STEPS.map(|s| grouped(s.into()));
    let columns = [
        "",
        "idle MiB",
        &format!("KiB a call at {small}"),
        &format!("KiB a call at {large}"),
        &format!("MiB at {large}"),
    ];
    let mut table = Table::new(&columns);
    let mut figures = Vec::new();
    let mut add = |table: &mut Table, name: &str, m: Measured| {
        let [a, b] = [1, 2].map(|i| m[i].saturating_sub(m[0]) as f64 / 1024.0 / f64::from(STEPS[i - 1]));
        let mib = |bytes: u64| figure(bytes as f64 / f64::from(1 << 20));
        table.row([name.to_owned(), mib(m[0]), figure(a), format!("**{}**", figure(b)), mib(m[2])]);
        figures.push(json!({ "name": name, "bytes": m, "calls": [0, STEPS[0], STEPS[1]] }));
    };
    match measure_kamailio(ground)? {
        Some(m) => add(&mut table, "Kamailio, proxy with dialogs", m),
        None => table.absent("Kamailio, proxy with dialogs", "not installed"),
    }
    for (name, media) in
        [("Tandem, media direct", Media::Direct), ("Tandem, media ports leased", Media::Default)]
    {
        match measure_tandem(ground, media) {
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
    fill(ground, &folder, port, next, || Ok(process::resident_of_family(id))).map(|(m, _)| Some(m))
}

fn measure_tandem(ground: &Ground, media: Media) -> Outcome<Measured> {
    let folder = ground.folder("memory-tandem")?;
    let [next] = process::free_ports()?;
    let tandem = Tandem::start(ground, &folder, media, next)?;
    let id = tandem.running.id();
    let (measured, _peers) = fill(ground, &folder, tandem.port, next, || process::resident(id))?;
    let up = tandem.calls_in_progress()?;
    if up < u64::from(STEPS[1]) {
        return Err(format!("{up} calls of {} were up", STEPS[1]).into());
    }
    Ok(measured)
}

/// Brings the calls up step by step. They stay up as long as the peers are kept.
fn fill(
    ground: &Ground,
    folder: &Path,
    port: u16,
    next: u16,
    look: impl Fn() -> Outcome<u64>,
) -> Outcome<(Measured, (Running, Vec<Callers>))> {
    let called = sipp::called(ground, folder, next)?;
    std::thread::sleep(Duration::from_millis(500));
    let mut measured = [look()?, 0, 0];
    let mut callers = Vec::new();
    let mut up = 0;
    for (i, step) in STEPS.into_iter().enumerate() {
        let calls = step - up;
        let [from] = process::free_ports()?;
        let load = Load { calls, calls_per_second: RATE, hold: HOLD };
        callers.push(sipp::callers(ground, folder, &format!("callers-{step}"), from, port, load)?);
        // The last calls need a moment to be answered, and their transactions to be forgotten (T4, RFC 3261 §17).
        std::thread::sleep(Duration::from_millis(u64::from(calls) * 1000 / u64::from(RATE) + 2500));
        measured[i + 1] = look()?;
        up = step;
    }
    Ok((measured, (called, callers)))
}
