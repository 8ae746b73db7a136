//! R-05: a full disk. New calls are refused, calls that are up are not cut, nothing is lost.

use crate::harness::*;
use std::path::Path;
use std::process::Command;

/// A small file system of its own, gone with this value.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, with a word, where mounting is not permitted.
    fn mount(size: &str) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path());
        if !run(&mut mount) {
            eprintln!("SKIPPED: a small file system cannot be mounted here (needs root)");
            return None;
        }
        Some(SmallDisk { dir })
    }

    fn fill(&self) {
        let path = self.dir.path().join("filler");
        let mut file = std::fs::File::create(path).unwrap();
        let block = vec![0; 64 << 10];
        // Down to the last page.
        for size in [64 << 10, 4 << 10] {
            while std::io::Write::write_all(&mut file, &block[..size]).is_ok() {}
        }
    }

    fn clear(&self) {
        std::fs::remove_file(self.dir.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.dir.path()));
    }
}

fn run(command: &mut Command) -> bool {
    command.stderr(std::process::Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Settings with small journal files, so that a few calls fill one.
fn small_journal(dir: &Path) -> String {
    let path = dir.join("small.toml");
    std::fs::write(&path, "[journal]\nsegment_mb = 1\n").unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn new_calls_are_refused_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = small_journal(dir.path());
    let mut switch = Switch::start_in(dir, disk.dir.path().join("data"), &["--config", &config]);
    switch.apply(&business(switch.net, "1000.00"));
    let _vendor = vendor(&switch, 1);
    let place = |count: &str, rate: &str, talk: &str| {
        let args = ["-m", count, "-r", rate, "-l", "500", "-d", talk, "-timeout", "60s"];
        caller(&switch, &args).start()
    };
    // These are up while the disk is full, and end meanwhile.
    let mut long = place("20", "100", "4000");
    eventually("20 calls are up", || (long.call_ids("SIP/2.0 200", "INVITE").len() == 20).then_some(()));
    disk.fill();
    long.assert_succeeded();
    // More calls until the room set aside is used up: from then on new ones are refused with 503.
    let refused = eventually("new calls are refused", || {
        let mut more = place("100", "200", "1");
        more.succeeded();
        let refused = more.call_ids("SIP/2.0 503", "INVITE").len();
        (refused > 0).then_some(refused)
    });
    assert!(refused <= 100);
    disk.clear();
    eventually("calls are taken again", || place("1", "1", "100").succeeded().then_some(()));

    // Everything that was answered is recorded and charged, also after a crash right now.
    switch.crash_and_restart();
    switch.check();
    let answered = switch.json(&["cdr", "list", "--answered", "true", "--limit", "5000"]);
    let answered = answered["items"].as_array().unwrap();
    assert!(answered.len() >= 21);
    assert_eq!(
        answered.iter().filter(|c| c["talk_ms"].as_u64().or(c["duration_ms"].as_u64()) >= Some(3900)).count(),
        20
    );
    assert_eq!(switch.calls(), 0);
}
