//! R-03, R-05, R-06, R-07: disks that fail, fill up, are slow or hang, and a process that dies between two writes.
//!
//! The faults are strace's: it lets one system call of one thread fail, wait or kill. Where tracing is not permitted
//! these tests say so and pass.

use crate::harness::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vocab::Random;

/// A strace at work; ends, and lets the threads go, when dropped.
struct Fault(Child);

impl Fault {
    /// Puts a fault on the threads of this name, on all when it is empty. `None` where tracing is not permitted.
    fn inject(switch: &Switch, thread: &str, calls: &str, how: &str) -> Option<Fault> {
        let pid = switch.run["pid"].as_u64().unwrap();
        let tasks: Vec<u64> = std::fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap()
            .filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok())
            .filter(|tid| thread.is_empty() || name_of(pid, *tid) == thread)
            .collect();
        assert!(!tasks.is_empty(), "no thread {thread:?}");
        let mut command = Command::new("strace");
        command.args(["-o", "/dev/null", "-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:{how}")]);
        if thread.is_empty() {
            command.args(["-f", "-p", &pid.to_string()]);
        } else {
            command.args(tasks.iter().flat_map(|tid| ["-p".to_string(), tid.to_string()]));
        }
        let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(mut child) = output else {
            eprintln!("SKIPPED: strace is not there");
            return None;
        };
        let attached =
            eventually_within(Duration::from_secs(60), "strace is attached or has given up", || {
                let traced = tasks.iter().all(|tid| status_of(pid, *tid, "TracerPid:") != "0");
                // A fault that kills may have struck already.
                let alive = !matches!(status_of(pid, pid, "State:").get(..1), None | Some("Z"));
                let ended = child.try_wait().unwrap().is_some();
                (traced || ended).then_some(!ended || !alive)
            });
        if !attached {
            eprintln!("SKIPPED: tracing is not permitted here");
        }
        attached.then_some(Fault(child))
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

fn name_of(pid: u64, tid: u64) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    name.trim().to_string()
}

fn status_of(pid: u64, tid: u64, line: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
    text.lines().find_map(|l| l.strip_prefix(line)).map(|v| v.trim().to_string()).unwrap_or_default()
}

/// How many runs: a few as a rule, all that the reliability table asks for with this in the environment.
fn runs(few: u64, all: u64) -> u64 {
    if std::env::var_os("TANDEM_ALL_FAULTS").is_some() { all } else { few }
}

/// Each of these calls has exactly one record, and nothing else is wrong.
fn assert_recorded(switch: &Switch, answered: &std::collections::BTreeSet<String>) {
    // Calls that were up are picked up; those whose peers are gone end after 20 s of silence.
    eventually_within(Duration::from_secs(60), "every answered call has a record", || {
        let list = switch.json(&["cdr", "list", "--answered", "true", "--limit", "5000"]);
        let mut records: BTreeMap<String, usize> = BTreeMap::new();
        for cdr in list["items"].as_array().unwrap() {
            *records.entry(cdr["call_id_a"].as_str().unwrap().to_string()).or_default() += 1;
        }
        assert!(records.values().all(|n| *n == 1), "{records:?}");
        (answered.iter().all(|id| records.contains_key(id)) && switch.calls() == 0).then_some(())
    });
    switch.check();
}

#[test]
fn a_failed_write_ends_the_process_and_nothing_is_acknowledged_after_it() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let _vendor = vendor(&switch, 1);
    let mut random = Random::from_number(7);
    let count = runs(3, 50);
    for run in 0..count {
        // Every second time the database's disk instead of the journal's. It commits about twice a second.
        let (thread, calls, word, most) = match run % 2 {
            0 => ("journal", "pwrite64", "journal: writing", 12),
            _ => ("applier", "fsync,fdatasync", "database:", 4),
        };
        let k = random.below(most) + 1;
        let how = format!("error=EIO:when={k}");
        let Some(fault) = Fault::inject(&switch, thread, calls, &how) else { return };
        let lines = switch.log().lines().count();
        let callers = caller(&switch, &["-m", "400", "-r", "100", "-d", "200", "-timeout", "20s"]).start();
        assert_eq!(switch.wait(), Some(1), "{thread} {k}: {}", switch.log());
        drop(fault);
        let answered = callers.call_ids("SIP/2.0 200", "INVITE");
        drop(callers);
        let said: Vec<String> = switch.log().lines().skip(lines).map(str::to_string).collect();
        let fatal: Vec<&String> = said.iter().filter(|l| l.starts_with("tandem: ")).collect();
        assert!(fatal.len() == 1 && fatal[0].contains(word), "{thread} {k}: {said:?}");
        switch.restart();
        assert_recorded(&switch, &answered);
        println!(
            "R-07: EIO at {calls} {k} of the {thread} thread: {} calls had been answered, none lost",
            answered.len()
        );
    }
}

#[test]
fn a_full_disk_refuses_calls_and_takes_them_again() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let _vendor = vendor(&switch, 1);
    let mut random = Random::from_number(5);
    let mut answered = std::collections::BTreeSet::new();
    for _ in 0..runs(2, 100) {
        let n = random.below(runs(20, 300)) + 1;
        let how = format!("error=ENOSPC:when={n}+");
        let Some(fault) = Fault::inject(&switch, "journal", "pwrite64", &how) else { return };
        let args = ["-m", "400", "-r", "60", "-d", "100", "-timeout", "40s"];
        let mut callers = caller(&switch, &args).start();
        // Calls come until the journal cannot be written any more: from then on they are refused.
        let count = |start: &str| callers.call_ids(start, "INVITE").len();
        eventually("new calls are refused", || (count("SIP/2.0 503") > 0).then_some(()));
        let before = count("SIP/2.0 200");
        drop(fault);
        let space = Instant::now();
        eventually("calls are answered again", || (count("SIP/2.0 200") > before).then_some(()));
        println!("R-05: no space from write {n} on; answers again {:?} after there was", space.elapsed());
        callers.succeeded();
        answered.extend(callers.call_ids("SIP/2.0 200", "INVITE"));
    }
    assert_recorded(&switch, &answered);
}

#[test]
fn a_slow_or_hanging_disk_delays_answers_and_nothing_else() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let vendor = vendor(&switch, 1);
    let args = ["-m", "200", "-r", "100", "-d", "100", "-timeout", "60s"];
    let figures = |sipp: &Sipp| {
        let waits = sipp.waits_ms("SIP/2.0 100");
        assert_eq!(waits.len(), 200);
        let p99 = waits[197];
        let answers = sipp.waits_ms("SIP/2.0 200");
        (p99, answers[answers.len() / 2])
    };
    let mut calm = caller(&switch, &args).start();
    calm.assert_succeeded();
    let (calm_p99, calm_answer) = figures(&calm);
    println!("R-06: calm: 100 p99 {calm_p99:.1} ms, answer p50 {calm_answer:.1} ms");
    for delay_ms in [300, 2000] {
        let how = format!("delay_enter={}", delay_ms * 1000);
        let Some(fault) = Fault::inject(&switch, "journal", "pwrite64", &how) else { return };
        let mut slow = caller(&switch, &args).start();
        slow.assert_succeeded();
        drop(fault);
        let (p99, answer) = figures(&slow);
        println!("R-06: {delay_ms} ms a write: 100 p99 {p99:.1} ms, answer p50 {answer:.1} ms");
        // A busy machine delays everything: the calm run tells by how much.
        assert!(p99 <= f64::max(50.0, 4.0 * calm_p99), "{p99} {calm_p99}");
        assert!(answer >= calm_answer + f64::from(delay_ms) / 4.0, "the answer waits for the disk: {answer}");
    }
    // A disk that hangs: no call is answered, whatever the vendor says, until the record is on disk.
    let before = resident_kb(&switch);
    let Some(fault) = Fault::inject(&switch, "journal", "pwrite64", "delay_enter=60000000") else { return };
    let mut waiting = caller(&switch, &args).start();
    eventually("all calls are tried", || (waiting.waits_ms("SIP/2.0 100").len() == 200).then_some(()));
    eventually("the vendor has answered", || {
        (vendor.call_ids("SIP/2.0 200", "INVITE").len() >= 800).then_some(())
    });
    assert_eq!(waiting.call_ids("SIP/2.0 200", "INVITE").len(), 0, "answered before it was on disk");
    let grown = resident_kb(&switch).saturating_sub(before);
    println!(
        "R-06: hanging: no answer; 100 p99 {:.1} ms, memory + {grown} kB",
        waiting.waits_ms("SIP/2.0 100")[197]
    );
    assert!(grown <= 64 << 10, "{grown}");
    drop(fault);
    waiting.assert_succeeded();
    assert_recorded(&switch, &waiting.call_ids("SIP/2.0 200", "INVITE"));
}

fn resident_kb(switch: &Switch) -> u64 {
    let pid = switch.run["pid"].as_u64().unwrap();
    status_of(pid, pid, "VmRSS:").trim_end_matches(" kB").trim().parse().unwrap()
}

/// The retail rates at this price: enough of them that a transaction takes many writes.
fn prices(price: &str) -> String {
    let rates: Vec<String> = (0..1500)
        .map(|n| {
            format!("  {{ prefix = \"88{n:04}\", area = \"Area {n}\", price_per_minute = \"{price}\" }},")
        })
        .collect();
    format!("[[rate_group]]\nname = \"retail\"\nrates = [\n{}\n]\n", rates.join("\n"))
}

#[test]
fn a_kill_in_the_middle_of_an_import_or_a_payment_leaves_the_old_or_the_new_state() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "100.00"));
    let (file, mut old) = (switch.file("prices.toml"), "0.0300".to_string());
    std::fs::write(&file, prices(&old)).unwrap();
    switch.ok(&["apply", file.to_str().unwrap()]);
    let mut random = Random::from_number(3);
    let mut outcomes = [0; 2];
    let mut paid = 0;
    for run in 0..runs(6, 200) {
        let new = format!("0.{:04}", 310 + run);
        std::fs::write(&file, prices(&new)).unwrap();
        let key = format!("pay-{run}");
        let call = ["pwrite64", "fsync,fdatasync"][usize::try_from(random.below(2)).unwrap()];
        let n = random.below(if call == "pwrite64" { 40 } else { 3 }) + 1;
        let Some(fault) = Fault::inject(&switch, "", call, &format!("signal=KILL:when={n}")) else { return };
        // Either may be what is killed, or neither.
        let _ = switch.tandem(&["apply", file.to_str().unwrap()]);
        let _ = switch.tandem(&["account", "pay", "acme", "1.00", "--key", &key]);
        drop(fault);
        switch.crash_and_restart();
        switch.check();
        let all = switch.ok(&["export"]);
        let at = |price: &str| all.matches(&format!("price_per_minute = \"{}\"", price)).count();
        let (of_old, of_new) = (at(&old), at(&new));
        assert!(
            (of_old, of_new) == (1500, 0) || (of_old, of_new) == (0, 1500),
            "run {run}: {of_old} {of_new}"
        );
        outcomes[usize::from(of_new > 0)] += 1;
        if of_new > 0 {
            old = new;
        }
        // The same key again: whatever happened before, the money has moved once.
        switch.ok(&["account", "pay", "acme", "1.00", "--key", &key]);
        switch.ok(&["account", "pay", "acme", "1.00", "--key", &key]);
        paid += 1;
        assert_eq!(switch.balance("acme"), format!("{}.00", 100 + paid), "run {run}");
    }
    println!(
        "R-03: killed in {paid} places: {} times the old prices, {} times the new",
        outcomes[0], outcomes[1]
    );
}

#[test]
fn a_backup_under_load_is_whole_when_it_is_restored() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let _vendor = vendor(&switch, 1);
    let mut callers = caller(&switch, &["-m", "300", "-r", "100", "-d", "400", "-timeout", "40s"]).start();
    eventually("calls have ended", || (callers.call_ids("SIP/2.0 200", "BYE").len() > 50).then_some(()));
    let (copy, new) = (switch.file("copy"), switch.file("new"));
    let data = switch.data().to_str().unwrap().to_string();
    let seen = callers.call_ids("SIP/2.0 200", "INVITE");
    switch.ok(&["backup", copy.to_str().unwrap(), "--data", &data]);
    let (code, said) = switch.refused(&["backup", copy.to_str().unwrap(), "--data", &data]);
    assert!(code == Some(1) && said.contains("copy"), "never over what is there: {said}");
    callers.assert_succeeded();
    let key = switch.data().join("secret.key");
    let text = switch.ok(&[
        "restore",
        copy.to_str().unwrap(),
        "--data",
        new.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--json",
    ]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    // Every call that had been answered when the backup began is in it.
    let restored = Switch::start_in(tempfile::tempdir().unwrap(), new, &[]);
    assert_recorded(&restored, &seen);
    println!("R-13: {} answered calls in the backup, {} records replayed", seen.len(), report["replayed"]);
}

#[test]
fn a_damaged_journal_is_refused_in_one_line_and_repaired() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let _vendor = vendor(&switch, 1);
    caller(&switch, &["-m", "20", "-r", "20", "-d", "100"]).start().assert_succeeded();
    let log = switch.data().join("journal/00000001.log");
    eventually("all calls are in the database", || (switch.cdrs(20).len() == 20).then_some(()));
    switch.kill();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[2000] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let data = switch.data().to_str().unwrap().to_string();
    let (code, said) =
        switch.refused(&["serve", "--data", &data, "--api", "127.0.0.1:0", "--listen", "udp:127.0.0.1:0"]);
    let lines: Vec<&str> = said.lines().filter(|l| l.starts_with("tandem: ")).collect();
    assert!(code == Some(1) && lines.len() == 1, "{said}");
    assert!(
        lines[0].contains("00000001.log is damaged at offset") && lines[0].contains("journal repair"),
        "{said}"
    );
    let dry = switch.ok(&["journal", "repair", "--data", &data]);
    assert!(dry.contains("lost") && dry.contains("nothing was changed"), "{dry}");
    assert_eq!(std::fs::read(&log).unwrap(), bytes);
    let done = switch.ok(&["journal", "repair", "--data", &data, "--write"]);
    assert!(done.contains("00000001.damaged"), "{done}");
    switch.restart();
    assert_eq!(switch.cdrs(20).len(), 20);
    switch.check();
}
