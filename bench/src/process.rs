//! Programs under test: started, measured from outside, ended whatever happens.

use crate::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// `USER_HZ`, in which /proc counts; 100 on every Linux that there is.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// A program that runs; ended with the value.
pub struct Running {
    pub name: String,
    child: Child,
}

impl Running {
    /// What it says goes to a file in `folder`.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Outcome<Running> {
        let log = File::create(folder.join(format!("{name}.log")))?;
        let errors = log.try_clone()?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let child = child.map_err(|e| format!("{name}: {e}"))?;
        Ok(Running { name: name.to_owned(), child })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn exited(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its own end.
    pub fn wait(&mut self, longest: Duration) -> Outcome<ExitStatus> {
        let until = Instant::now() + longest;
        while Instant::now() < until {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{} did not end within {} s", self.name, longest.as_secs()).into())
    }

    /// Asks it to end, and waits.
    pub fn stop(&mut self, signal: Signal, longest: Duration) -> Outcome<ExitStatus> {
        if let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, signal)?;
        }
        self.wait(longest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let children = descendants(self.id());
        // Asked first, because a program that is killed leaves its own children to nobody.
        let _ = self.stop(Signal::TERM, Duration::from_secs(2));
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in children.into_iter().filter_map(|p| Pid::from_raw(i32::try_from(p).ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The words of /proc/PID/stat after the name, which may hold blanks: state, parent, …
fn stat(path: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.rsplit_once(')')?.1;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Children and their children.
pub fn descendants(of: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let words = stat(&format!("/proc/{pid}/stat"));
        if let Some(parent) = words.and_then(|w| w.get(1)?.parse::<u32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// CPU time of a program with all its threads and processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub user_s: f64,
    pub system_s: f64,
}

impl Cpu {
    pub fn total_s(self) -> f64 {
        self.user_s + self.system_s
    }

    pub fn since(self, before: Cpu) -> Cpu {
        Cpu { user_s: self.user_s - before.user_s, system_s: self.system_s - before.system_s }
    }
}

/// utime and stime, fields 14 and 15 of proc(5).
fn cpu_of(path: &str) -> Option<Cpu> {
    let words = stat(path)?;
    let field = |i: usize| words.get(i)?.parse::<f64>().ok();
    Some(Cpu { user_s: field(11)? / TICKS_PER_SECOND, system_s: field(12)? / TICKS_PER_SECOND })
}

/// Of a process and its children as long as they live.
pub fn cpu(pid: u32) -> Outcome<Cpu> {
    let own = cpu_of(&format!("/proc/{pid}/stat")).ok_or_else(|| format!("process {pid} is gone"))?;
    let all = descendants(pid).into_iter().filter_map(|p| cpu_of(&format!("/proc/{p}/stat")));
    Ok(all.fold(own, |sum, c| Cpu { user_s: sum.user_s + c.user_s, system_s: sum.system_s + c.system_s }))
}

/// CPU time by the name of the thread.
pub fn cpu_of_threads(pid: u32) -> Vec<(String, Cpu)> {
    let mut all: Vec<(String, Cpu)> = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let path = task.path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default().trim().to_owned();
        let Some(cpu) = cpu_of(&path.join("stat").display().to_string()) else { continue };
        match all.iter_mut().find(|(n, _)| *n == name) {
            Some((_, sum)) => {
                *sum = Cpu { user_s: sum.user_s + cpu.user_s, system_s: sum.system_s + cpu.system_s };
            }
            None => all.push((name, cpu)),
        }
    }
    all
}

/// Waits until a program has finished what it still had to do (records, timers), at most `longest`.
pub fn settle(pid: u32, longest: Duration) -> Outcome<()> {
    const LOOK: Duration = Duration::from_millis(300);
    let until = Instant::now() + longest;
    let mut before = cpu(pid)?.total_s();
    while Instant::now() < until {
        std::thread::sleep(LOOK);
        let now = cpu(pid)?.total_s();
        if now - before < 0.015 {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

/// Resident memory of a process in bytes.
pub fn resident(pid: u32) -> Outcome<u64> {
    kibibytes(&format!("/proc/{pid}/status"), "VmRSS:").ok_or_else(|| format!("process {pid} is gone").into())
}

/// A line like `VmRSS:  1234 kB` of a file in /proc, in bytes.
fn kibibytes(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// Memory of a process and its children in bytes, what they share counted once.
pub fn resident_of_family(pid: u32) -> u64 {
    let pss = |p: u32| kibibytes(&format!("/proc/{p}/smaps_rollup"), "Pss:");
    descendants(pid).into_iter().chain([pid]).filter_map(pss).sum()
}

/// Ports of loopback that are free for UDP and TCP now.
pub fn free_ports<const N: usize>() -> Outcome<[u16; N]> {
    let mut held = Vec::new();
    let mut found = [0; N];
    for port in &mut found {
        loop {
            let udp = UdpSocket::bind("127.0.0.1:0")?;
            *port = udp.local_addr()?.port();
            if let Ok(tcp) = TcpListener::bind(("127.0.0.1", *port)) {
                held.push((udp, tcp));
                break;
            }
        }
    }
    Ok(found)
}

/// Where a program is. Daemons from apt stand where an ordinary user's PATH does not look.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut files = std::env::split_paths(&path).chain(more).map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}

/// Waits until a program has opened its UDP port of loopback.
pub fn wait_for_port(running: &mut Running, port: u16, folder: &Path) -> Outcome<()> {
    let until = Instant::now() + Duration::from_secs(15);
    while Instant::now() < until {
        if let Some(status) = running.exited()? {
            let log = fs::read_to_string(folder.join(format!("{}.log", running.name))).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(3).collect();
            return Err(format!("{} ended at once ({status}): {}", running.name, last.join(" / ")).into());
        }
        if UdpSocket::bind(("127.0.0.1", port)).is_err() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    Err(format!("{} did not open its port", running.name).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_measured_and_ended() {
        let folder = std::env::temp_dir();
        let mut running =
            Running::start("bench-test-sleep", Command::new("sleep").arg("60"), &folder).unwrap();
        let pid = running.id();
        assert!(running.exited().unwrap().is_none());
        assert!(cpu(pid).unwrap().total_s() < 1.0);
        assert!(descendants(std::process::id()).contains(&pid));
        assert!(running.wait(Duration::ZERO).is_err());
        drop(running);
        assert!(cpu(pid).is_err());
        fs::remove_file(folder.join("bench-test-sleep.log")).unwrap();
    }

    #[test]
    fn ports_are_free_and_different() {
        let [a, b] = free_ports::<2>().unwrap();
        assert_ne!(a, b);
        UdpSocket::bind(("127.0.0.1", a)).unwrap();
    }
}
