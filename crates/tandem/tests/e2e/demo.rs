//! The demo shows calls within seconds, stops cleanly and leaves nothing behind.

use crate::harness::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn the_demo_runs_and_stops_cleanly() {
    // The usual ports are not free: it takes others.
    let taken = std::net::TcpListener::bind("127.0.0.1:8080");
    let mut demo = tandem(&["demo"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut said =
        |start: &str| lines.find_map(|l| Some(l.trim().strip_prefix(start)?.trim().to_string())).unwrap();
    let console = said("console");
    assert!(console.starts_with("http://127.0.0.1:") && !console.ends_with(":8080"), "{console}");
    assert!(said("sign in").contains("user admin, password "));
    assert!(said("SIP").contains("UDP and TCP"));
    let data = said("data").split(' ').next().unwrap().to_string();
    let json = |args: &[&str]| -> serde_json::Value {
        let output = tandem(args).args(["--json", "--data", &data]).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let talking = eventually("a call talks, with media both ways", || {
        let calls = json(&["calls", "list"])["items"].as_array().unwrap().clone();
        let both_ways =
            |c: &serde_json::Value| ["a", "b"].iter().all(|side| c[side]["packets_in"].as_u64() > Some(50));
        calls.into_iter().find(|c| c["state"] == "talking" && both_ways(c))
    });
    assert_eq!(talking["media"], "relayed");
    eventually_within(Duration::from_secs(60), "a charged record", || {
        let cdrs = json(&["cdr", "list", "--answered", "true"]);
        cdrs["items"].as_array().unwrap().iter().find(|c| c["fee"].as_str() > Some("0.00")).map(drop)
    });
    json(&["check"]);
    assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap().success());
    let status = eventually("the demo ends", || demo.try_wait().unwrap());
    let mut complaints = String::new();
    std::io::Read::read_to_string(&mut demo.stderr.take().unwrap(), &mut complaints).unwrap();
    assert!(status.success(), "{status}: {complaints}");
    assert!(!complaints.contains("ERROR") && !complaints.contains("panicked"), "{complaints}");
    assert!(!std::path::Path::new(&data).exists());
    drop(taken);
}
