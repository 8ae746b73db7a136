//! Floods of strangers beside calls of customers (R-22, R-23): the calls go on, and nobody is hit through the switch.
//!
//! The short run is part of `make test`. `make flood` sets `TANDEM_FLOOD_SECONDS` and runs every kind, from one address
//! and from a thousand, at the rates of the specification.

use crate::harness::*;
use netlab::flood::{Flood, Kind, Report};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What the calls of one phase were like.
struct Phase {
    calls: usize,
    failed: usize,
    p99_ms: f64,
    cpu_cores: f64,
    rss_kb: u64,
}

struct Lab {
    switch: Switch,
    _vendor: Sipp,
}

impl Lab {
    fn new() -> Lab {
        let switch = Switch::start();
        // Strangers may try to sign in: otherwise most of the flood would be dropped at its first word.
        let by_password = "\n[[mapping_gateway]]\nname = \"acme-phone\"\naccount = \"acme\"\n\
                           authentication = \"password\"\nusername = \"acme\"\npassword = \"s3cret\"\n";
        switch.apply(&(business(switch.net, "100.00") + by_password));
        let vendor = vendor(&switch, 1);
        Lab { switch, _vendor: vendor }
    }

    /// Calls at ten a second for so long.
    fn phase(&self, seconds: u64) -> Phase {
        let calls = usize::try_from(seconds * 10).unwrap();
        let (cpu, start) = (self.switch.cpu(), std::time::Instant::now());
        let args = ["-m", &calls.to_string(), "-r", "10", "-d", "300", "-trace_rtt", "-rtt_freq", "1"];
        let mut sipp = caller(&self.switch, &args).start();
        sipp.wait(Duration::from_secs(seconds + 60));
        let mut times = sipp.response_times_ms();
        times.sort_by(f64::total_cmp);
        let p99 = times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(f64::NAN);
        Phase {
            calls,
            failed: calls - times.len().min(calls),
            p99_ms: p99,
            cpu_cores: (self.switch.cpu() - cpu).as_secs_f64() / start.elapsed().as_secs_f64(),
            rss_kb: self.switch.rss_kb(),
        }
    }

    /// Calls under a flood.
    fn flooded(&self, kind: Kind, rate: u32, sources: u16, seconds: u64) -> (Phase, Report) {
        let sources = (0..sources).map(|n| self.source(n)).collect();
        let flood = Flood { kind, target: self.switch.sip("udp"), sources, rate, seed: 1 };
        std::thread::scope(|scope| {
            let flood = scope.spawn(move || flood.run(Duration::from_secs(seconds)).unwrap());
            let phase = self.phase(seconds.saturating_sub(1).max(1));
            (phase, flood.join().unwrap())
        })
    }

    /// Addresses of nobody.
    fn source(&self, n: u16) -> Ipv4Addr {
        let [_, a, ..] = self.switch.net.switch().octets();
        let (c, d) = (100 + n / 250, 1 + n % 250);
        Ipv4Addr::new(127, a, u8::try_from(c).unwrap(), u8::try_from(d).unwrap())
    }

    /// The three phases with their verdict.
    fn run(&self, kind: Kind, rate: u32, sources: u16, calm_s: u64, flood_s: u64) -> (Phase, Phase) {
        let before = self.phase(calm_s);
        let lines = self.switch.log().lines().count();
        let (during, report) = self.flooded(kind, rate, sources, flood_s);
        let lines = self.switch.log().lines().count() - lines;
        let after = self.phase(calm_s);
        eprintln!(
            "{kind:?} {rate}/s from {sources}: sent {} ({} too late), answers {:.2} %, bytes out/in {:.3}, log lines {lines}",
            report.sent,
            report.late,
            100.0 * report.answers as f64 / report.sent as f64,
            report.bytes_answered as f64 / report.bytes_sent as f64,
        );
        for (name, phase) in [("calm", &before), ("flood", &during), ("calm", &after)] {
            eprintln!(
                "  {name}: {} calls, {} failed, p99 {:.0} ms, CPU {:.2} cores, RSS {} kB",
                phase.calls, phase.failed, phase.p99_ms, phase.cpu_cores, phase.rss_kb
            );
        }
        assert_eq!((before.failed, during.failed, after.failed), (0, 0, 0), "calls of customers failed");
        // Two budgets of SS_FLOOD_TOTAL_RATE with half a second's worth at once: 5 % of 20,000 a second.
        assert!(report.answers <= 1_000 * (flood_s + 1), "too many answers: {report:?}");
        assert!(report.bytes_answered <= report.bytes_sent, "a reflector: {report:?}");
        assert!(during.rss_kb <= before.rss_kb + 64 * 1024, "memory grew too much");
        assert!(during.cpu_cores <= 1.0, "{} cores", during.cpu_cores);
        assert!(u64::try_from(lines).unwrap() <= 10 * flood_s, "{lines} lines of log");
        assert!(report.sent > u64::from(rate) * flood_s / 4, "that was no flood: {report:?}");
        (before, during)
    }
}

#[test]
fn calls_go_on_under_a_flood() {
    netlab::allow_many_sockets();
    let lab = Lab::new();
    lab.run(Kind::Mixed, 4_000, 1_000, 2, 5);
    let protection = &lab.switch.json(&["status"])["protection"];
    let count = |name: &str| protection[name].as_u64().unwrap();
    assert!(count("unwanted") > 0 && count("over_total_limit") > 0, "{protection}");
    assert!(count("bytes_out") <= count("bytes_in"), "{protection}");
    // Somebody new signs in as if nothing had been, while it goes on.
    let sources = (0..1_000).map(|n| lab.source(n)).collect();
    let flood =
        Flood { kind: Kind::WrongPassword, target: lab.switch.sip("udp"), sources, rate: 4_000, seed: 2 };
    std::thread::scope(|scope| {
        scope.spawn(move || flood.run(Duration::from_secs(4)).unwrap());
        std::thread::sleep(Duration::from_secs(1));
        let target = lab.switch.sip("udp").to_string();
        let from = SocketAddr::from((lab.switch.net.stranger(), 5090));
        let args = [
            "-s",
            "8801712345678",
            "-m",
            "10",
            "-r",
            "5",
            "-d",
            "100",
            "-au",
            "acme",
            "-ap",
            "s3cret",
            &target,
        ];
        sipp("uac-digest.xml", from).with(&args).start().assert_succeeded();
    });
    let protection = &lab.switch.json(&["status"])["protection"];
    assert!(protection["suspensions"].as_u64().unwrap() > 0, "{protection}");
    lab.switch.check();
}

/// `make flood`.
#[test]
fn floods_of_every_kind() {
    let Some(seconds) = std::env::var("TANDEM_FLOOD_SECONDS").ok().and_then(|s| s.parse().ok()) else {
        eprintln!("SKIPPED: the long run is `make flood`");
        return;
    };
    netlab::allow_many_sockets();
    let lab = Lab::new();
    for (kind, rate) in [
        (Kind::Register, 10_000),
        (Kind::WrongPassword, 10_000),
        (Kind::Options, 20_000),
        (Kind::Invite, 20_000),
        (Kind::Message, 20_000),
        (Kind::Subscribe, 20_000),
        (Kind::Bye, 20_000),
        (Kind::Random, 20_000),
    ] {
        for sources in [1, 1_000] {
            let (calm, flood) = lab.run(kind, rate, sources, 5, seconds);
            let bound = (2.0 * calm.p99_ms).max(20.0);
            let verdict = if flood.p99_ms <= bound && flood.p99_ms <= 150.0 { "within" } else { "BEYOND" };
            eprintln!("  p99 {verdict} the bound of {:.0} ms", bound.min(150.0));
        }
    }
    lab.switch.check();
}
