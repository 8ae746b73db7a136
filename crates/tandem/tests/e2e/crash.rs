//! `kill -9` under load: nothing that was answered is lost, nothing is charged twice.

use crate::harness::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn kill_9_during_200_calls() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let _vendor = vendor(&switch, 1);
    // When the last of them is answered, the first have already ended.
    let callers = caller(&switch, &["-m", "200", "-r", "100", "-l", "200", "-d", "1500"]).start();
    eventually("200 calls have been answered", || {
        (callers.call_ids("SIP/2.0 200", "INVITE").len() >= 200).then_some(())
    });
    let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    switch.crash_and_restart();
    let answered = callers.call_ids("SIP/2.0 200", "INVITE");

    // Every call that a caller saw answered has one record with a charge, up to the last sign of life: that is at
    // most a second before the end.
    let records = eventually("the calls are settled", || {
        let list = switch.json(&["cdr", "list", "--answered", "true", "--limit", "1000"]);
        let mut records: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for cdr in list["items"].as_array().unwrap() {
            records.entry(cdr["call_id_a"].as_str().unwrap().to_string()).or_default().push(cdr.clone());
        }
        let recorded: BTreeSet<_> = records.keys().cloned().collect();
        (recorded.is_superset(&answered) && switch.calls() == 0).then_some(records)
    });
    for id in &answered {
        let cdrs = &records[id];
        assert_eq!(cdrs.len(), 1, "{id}");
        let fee = cdrs[0]["fee"].as_str().unwrap();
        let answer = cdrs[0]["answer"].as_str().unwrap();
        assert!(fee > "0.00" || !before(answer, killed - Duration::from_millis(1500)), "{id}: {cdrs:?}");
    }
    let charged = answered.iter().filter(|id| records[*id][0]["fee"].as_str() > Some("0.00")).count();
    assert!(charged >= 100, "{charged} of {}", answered.len());
    switch.check();
    let restarted = switch.json(&["account", "show", "acme"]);
    assert_eq!(restarted["account"]["reserved"], "0.00");
}

/// Is this time of day (RFC 3339, UTC) earlier? Both are within minutes of each other.
fn before(time: &str, than: Duration) -> bool {
    let (_, clock) = time.trim_end_matches('Z').split_once('T').unwrap();
    let part = |n: usize| clock.split(':').nth(n).unwrap().parse::<f64>().unwrap();
    let day = 86_400.0;
    let apart = (part(0) * 3600.0 + part(1) * 60.0 + part(2) - than.as_secs_f64() % day).rem_euclid(day);
    apart > day / 2.0
}
