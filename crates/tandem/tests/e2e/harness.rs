//! A switch, its peers, and waiting for things with a bound.

use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for something that should happen soon.
const SOON: Duration = Duration::from_secs(20);

/// Waits until `f` gives something.
pub fn eventually<T>(what: &str, f: impl FnMut() -> Option<T>) -> T {
    eventually_within(SOON, what, f)
}

pub fn eventually_within<T>(limit: Duration, what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(value) = f() {
            return value;
        }
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Loopback addresses that no other test uses, nor another run of these tests at the same time.
#[derive(Clone, Copy)]
pub struct Net {
    a: u8,
    b: u8,
}

impl Net {
    fn new() -> Net {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let a = u8::try_from(20 + std::process::id() % 200).unwrap();
        Net { a, b: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub fn ip(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.a, self.b, host)
    }

    pub fn switch(self) -> Ipv4Addr {
        self.ip(1)
    }

    pub fn customer(self) -> Ipv4Addr {
        self.ip(11)
    }

    pub fn stranger(self) -> Ipv4Addr {
        self.ip(99)
    }

    /// Where vendor `n` takes calls.
    pub fn vendor(self, n: u8) -> SocketAddr {
        (self.ip(20 + n), 5080).into()
    }
}

/// The business of `first-call.toml`, with this test's addresses and money.
pub fn business(net: Net, balance: &str) -> String {
    include_str!("scenarios/business.toml")
        .replace("CUSTOMER", &net.customer().to_string())
        .replace("VENDOR-A", &net.vendor(1).to_string())
        .replace("BALANCE", balance)
}

pub struct Switch {
    pub net: Net,
    pub dir: tempfile::TempDir,
    data: PathBuf,
    child: Child,
    pub run: Value,
    extra: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Switch {
    /// With these variables in its environment.
    pub fn start_in_environment(environment: &[(&str, String)]) -> Switch {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Switch::begin(dir, data, &[], environment)
    }

    pub fn start() -> Switch {
        Switch::start_with(&[])
    }

    pub fn start_with(extra: &[&str]) -> Switch {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Switch::start_in(dir, data, extra)
    }

    pub fn start_in(dir: tempfile::TempDir, data: PathBuf, extra: &[&str]) -> Switch {
        Switch::begin(dir, data, extra, &[])
    }

    fn begin(
        dir: tempfile::TempDir,
        data: PathBuf,
        extra: &[&str],
        environment: &[(&str, String)],
    ) -> Switch {
        let net = Net::new();
        let listen = format!("udp:{0}:0,tcp:{0}:0", net.switch());
        // Media on an address of its own too, so that no other switch has its ports.
        let v6 = if extra.iter().any(|word| word.contains("[::1]")) { ", \"::1\"" } else { "" };
        let settings = format!("[media]\naddresses = [\"{}\"{v6}]\n", net.switch());
        std::fs::write(log_path(&data).with_file_name("tandem.toml"), settings).unwrap();
        let extra: Vec<String> = extra.iter().map(|s| s.to_string()).collect();
        let environment: Vec<_> = environment.iter().map(|(n, v)| (n.to_string(), v.clone())).collect();
        let child = serve(&data, &listen, "127.0.0.1:0", &extra, &environment);
        let mut switch = Switch { net, dir, data, child, run: Value::Null, extra, environment };
        switch.run = switch.wait_until_up();
        switch
    }

    fn wait_until_up(&mut self) -> Value {
        let (data, child) = (&self.data, &mut self.child);
        eventually("the switch is up", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the switch ended with {ended:?}: {}", log(data));
            let run: Value =
                serde_json::from_str(&std::fs::read_to_string(data.join("run.json")).ok()?).ok()?;
            (run["pid"] == child.id()).then_some(run)
        })
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where it takes SIP over `udp` or `tcp`.
    pub fn sip(&self, transport: &str) -> SocketAddr {
        let listeners = self.run["listeners"].as_array().unwrap();
        let words = listeners.iter().filter_map(|l| l.as_str()?.split_once(' '));
        let found = words.into_iter().find(|(t, _)| *t == transport);
        found.map(|(_, address)| address.parse().unwrap()).expect("a listener")
    }

    /// Runs a command against it.
    pub fn tandem(&self, args: &[&str]) -> Output {
        tandem(args).env("TANDEM_DATA", &self.data).output().unwrap()
    }

    /// What a command prints; it must succeed.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.tandem(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command prints with `--json`.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
    }

    /// What a command that must fail says, and its exit code.
    pub fn refused(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.tandem(args);
        assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    pub fn apply(&self, text: &str) {
        let path = self.file("business.toml");
        std::fs::write(&path, text).unwrap();
        self.ok(&["apply", path.to_str().unwrap()]);
    }

    /// The CDRs, oldest first, once there are `count`.
    pub fn cdrs(&self, count: usize) -> Vec<Value> {
        let until = Instant::now() + SOON;
        loop {
            let list = self.json(&["cdr", "list", "--limit", "5000"]);
            let mut items = list["items"].as_array().unwrap().clone();
            items.reverse();
            if items.len() == count {
                return items;
            }
            let late = Instant::now() > until;
            assert!(
                items.len() < count && !late,
                "{} of {count}: {items:#?}\n{}",
                items.len(),
                self.ok(&["calls", "list"])
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn balance(&self, account: &str) -> String {
        self.json(&["account", "show", account])["account"]["balance"].as_str().unwrap().to_string()
    }

    /// All stored data agrees with itself.
    pub fn check(&self) {
        self.ok(&["check"]);
    }

    pub fn calls(&self) -> usize {
        self.json(&["calls", "list"])["items"].as_array().unwrap().len()
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name in brackets, the 12th and 13th: user and system time in hundredths of a second.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Memory in use.
    pub fn rss_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> Option<i32> {
        let child = &mut self.child;
        eventually("the switch ends", || child.try_wait().unwrap()).code()
    }

    /// `kill -9` and a new start on the same folder and ports; how long it took to be there again.
    pub fn crash_and_restart(&mut self) -> Duration {
        self.kill();
        let started = Instant::now();
        self.restart();
        started.elapsed()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        let listen = format!("udp:{},tcp:{}", self.sip("udp"), self.sip("tcp"));
        self.child = serve(&self.data, &listen, "127.0.0.1:0", &self.extra, &self.environment);
        self.run = self.wait_until_up();
    }

    pub fn log(&self) -> String {
        log(&self.data)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the switch\n{}", self.log());
        }
        assert!(std::thread::panicking() || !self.log().contains("panicked"), "{}", self.log());
    }
}

/// The program, with nothing of this process's own settings.
pub fn tandem(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TANDEM_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn log_path(data: &Path) -> PathBuf {
    data.with_extension("log")
}

fn log(data: &Path) -> String {
    std::fs::read_to_string(log_path(data)).unwrap_or_default()
}

fn serve(data: &Path, listen: &str, api: &str, extra: &[String], environment: &[(String, String)]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(log_path(data)).unwrap();
    let mut command = tandem(&["serve", "--api", api, "--listen", listen, "--media-ports", "20000-39999"]);
    command.arg("--data").arg(data).args(extra).envs(environment.iter().cloned());
    // Away from a tandem.toml that may lie around.
    command.current_dir(log_path(data).parent().unwrap());
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// A SIPp process.
pub struct Sipp {
    child: Child,
    folder: tempfile::TempDir,
}

/// How to start one.
pub struct SippOptions {
    command: Command,
    folder: tempfile::TempDir,
    local: SocketAddr,
    rtp_port: u16,
    formats: &'static str,
}

/// SIPp with a scenario of the folder `scenarios`, from this address.
pub fn sipp(scenario: &str, local: SocketAddr) -> SippOptions {
    sipp_saying(scenario, local, |text| text)
}

/// The same with a change to the scenario.
pub fn sipp_saying(scenario: &str, local: SocketAddr, change: impl FnOnce(String) -> String) -> SippOptions {
    let folder = tempfile::tempdir().unwrap();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/scenarios").join(scenario);
    let file = folder.path().join("scenario.xml");
    std::fs::write(&file, change(std::fs::read_to_string(original).unwrap())).unwrap();
    let mut command = Command::new("sipp");
    command.args(["-sf", "scenario.xml"]).args([
        "-nostdin",
        "-trace_msg",
        "-message_file",
        "messages",
        "-trace_err",
    ]);
    command.args(["-error_file", "errors", "-i", &local.ip().to_string(), "-p", &local.port().to_string()]);
    SippOptions { command, folder, local, rtp_port: 6000, formats: "8 101" }
}

impl SippOptions {
    pub fn with(mut self, args: &[&str]) -> SippOptions {
        self.command.args(args);
        self
    }

    /// What its session description says; SIPp itself sends no media.
    pub fn media(mut self, rtp_port: u16) -> SippOptions {
        self.rtp_port = rtp_port;
        self
    }

    /// The payload types of its session descriptions.
    pub fn formats(mut self, formats: &'static str) -> SippOptions {
        self.formats = formats;
        self
    }

    pub fn start(mut self) -> Sipp {
        self.command.args(["-key", "rtp_port", &self.rtp_port.to_string(), "-key", "formats", self.formats]);
        let output = std::fs::File::create(self.folder.path().join("screen")).unwrap();
        self.command.current_dir(self.folder.path()).stdin(Stdio::null());
        self.command.stdout(output.try_clone().unwrap()).stderr(output);
        let child = self.command.spawn().expect("sipp is needed (apt-get install sip-tester)");
        Sipp { child, folder: self.folder }
    }

    /// Starts one that takes calls, and waits until it does.
    pub fn listen(self) -> Sipp {
        let (local, over_tcp) = (self.local, self.command.get_args().any(|a| a == "t1"));
        let sipp = self.start();
        eventually("sipp listens", || is_bound(local, over_tcp).then_some(()));
        sipp
    }
}

/// Does a socket stand at this IPv4 address? Looked up, not tried: a try could take it from the one that is to have it.
pub fn is_bound(address: SocketAddr, tcp: bool) -> bool {
    let IpAddr::V4(ip) = address.ip() else { return false };
    let wanted = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = std::fs::read_to_string(if tcp { "/proc/net/tcp" } else { "/proc/net/udp" }).unwrap();
    table.lines().any(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, _, state) = (columns.next(), columns.next(), columns.next());
        local == Some(&wanted) && (!tcp || state == Some("0A"))
    })
}

impl Sipp {
    /// Waits for its end: true when every call went as the scenario says.
    pub fn succeeded(&mut self) -> bool {
        let child = &mut self.child;
        let status = eventually_within(Duration::from_secs(60), "sipp ends", || child.try_wait().unwrap());
        status.success()
    }

    /// Waits for its end, however it went.
    pub fn wait(&mut self, limit: Duration) {
        let child = &mut self.child;
        eventually_within(limit, "sipp ends", || child.try_wait().unwrap());
    }

    /// What it wrote by itself into a file whose name ends like this.
    fn written(&self, end: &str) -> String {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|f| f.unwrap().path());
        let mut found = files.filter(|f| f.to_string_lossy().ends_with(end));
        found.next().map(|f| std::fs::read_to_string(f).unwrap()).unwrap_or_default()
    }

    /// From INVITE to 200 of each call that got so far (`-trace_rtt`).
    pub fn response_times_ms(&self) -> Vec<f64> {
        let text = self.written("_rtt.csv");
        text.lines().skip(1).filter_map(|l| l.split(';').nth(1)?.trim().parse().ok()).collect()
    }

    pub fn assert_succeeded(&mut self) {
        let succeeded = self.succeeded();
        assert!(succeeded, "sipp: {}\n{}", self.read("errors"), self.read("screen"));
    }

    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// The messages sent and received so far, each from its start line on.
    pub fn messages(&self) -> Vec<String> {
        let text = self.read("messages");
        let parts = text.split("-----------------------------------------------");
        parts
            .filter_map(|p| p.split_once("\n\n").map(|(_, message)| message.trim_start().to_string()))
            .collect()
    }

    /// The messages with their times: seconds since midnight.
    pub fn timed_messages(&self) -> Vec<(f64, String)> {
        let text = self.read("messages");
        let parts = text.split("-----------------------------------------------");
        let time = |head: &str| -> Option<f64> {
            let clock = head.split_whitespace().find(|word| word.contains(':') && word.contains('.'))?;
            let mut seconds = 0.0;
            for part in clock.split(':') {
                seconds = seconds * 60.0 + part.parse::<f64>().ok()?;
            }
            Some(seconds)
        };
        parts
            .filter_map(|p| {
                let (head, message) = p.split_once("\n\n")?;
                Some((time(head)?, message.trim_start().to_string()))
            })
            .collect()
    }

    /// Milliseconds from each INVITE to the first message that begins with `start`, in order of size.
    pub fn waits_ms(&self, start: &str) -> Vec<f64> {
        let (mut sent, mut waits) = (std::collections::BTreeMap::new(), Vec::new());
        for (time, message) in self.timed_messages().into_iter().filter(|(_, m)| cseq_is(m, "INVITE")) {
            let Some(call) = header(&message, "Call-ID").map(str::to_string) else { continue };
            if message.starts_with("INVITE") {
                sent.entry(call).or_insert(time);
            } else if message.starts_with(start)
                && let Some(begun) = sent.remove(&call)
            {
                waits.push((time - begun) * 1000.0);
            }
        }
        waits.sort_by(f64::total_cmp);
        waits
    }

    /// Call-IDs of the messages that begin with `start` and whose CSeq names `method`.
    pub fn call_ids(&self, start: &str, method: &str) -> std::collections::BTreeSet<String> {
        let messages = self.messages();
        let wanted = messages.iter().filter(|m| m.starts_with(start) && cseq_is(m, method));
        wanted.filter_map(|m| header(m, "Call-ID").map(str::to_string)).collect()
    }

    /// Where the session description of the first message that begins with `start` wants media.
    pub fn media_address(&self, start: &str) -> SocketAddr {
        eventually("the session description came", || {
            let message =
                self.messages().into_iter().find(|m| m.starts_with(start) && m.contains("m=audio"))?;
            let line = |key: &str| message.lines().find_map(|l| l.strip_prefix(key)).map(str::to_string);
            let ip: IpAddr = line("c=IN IP4 ")?.trim().parse().ok()?;
            let port = line("m=audio ")?.split(' ').next()?.parse().ok()?;
            Some(SocketAddr::new(ip, port))
        })
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn header<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn cseq_is(message: &str, method: &str) -> bool {
    header(message, "CSeq").is_some_and(|c| c.ends_with(method))
}

/// The SIPp that takes calls for vendor `n`: answers at once, waits for the BYE.
pub fn vendor(switch: &Switch, n: u8) -> Sipp {
    sipp("uas.xml", switch.net.vendor(n)).listen()
}

/// The SIPp that places calls to Bangladesh mobile, with more arguments.
pub fn caller(switch: &Switch, args: &[&str]) -> SippOptions {
    let target = switch.sip("udp").to_string();
    let from = SocketAddr::from((switch.net.customer(), 5090));
    sipp("uac.xml", from).with(&["-s", "8801712345678"]).with(args).with(&[&target])
}

/// Test data that is no part of the project, or `None` with a word that what needs it is skipped.
pub fn shared(path: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("TANDEM_SHARED").map_or(default, PathBuf::from);
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("SKIPPED: {} is not there", found.display());
    None
}
