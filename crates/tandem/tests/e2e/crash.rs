//! `kill -9` under load: nothing that was answered is lost, nothing is charged twice.

use crate::harness::*;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn kill_9_during_200_calls() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let _vendor = vendor(&switch, 1);
    let args = ["-m", "300", "-r", "100", "-l", "300", "-d", "2500", "-timeout", "15s"];
    let mut callers = caller(&switch, &args).start();
    eventually("200 calls have been answered", || {
        (callers.call_ids("SIP/2.0 200", "INVITE").len() >= 200).then_some(())
    });
    switch.crash_and_restart();
    callers.succeeded();
    let answered = callers.call_ids("SIP/2.0 200", "INVITE");

    // Every call that a caller saw answered has one record with a charge.
    let records = eventually("the calls are settled", || {
        let list = switch.json(&["cdr", "list", "--answered", "true", "--limit", "1000"]);
        let mut records: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for cdr in list["items"].as_array().unwrap() {
            let fee = cdr["fee"].as_str().unwrap_or_default().to_string();
            records.entry(cdr["call_id_a"].as_str().unwrap().to_string()).or_default().push(fee);
        }
        let recorded: BTreeSet<_> = records.keys().cloned().collect();
        (recorded.is_superset(&answered) && switch.calls() == 0).then_some(records)
    });
    for id in &answered {
        let fees = &records[id];
        assert_eq!(fees.len(), 1, "{id}");
        assert!(fees[0].as_str() > "0.00", "{id}: {fees:?}");
    }
    switch.check();
    let restarted = switch.json(&["account", "show", "acme"]);
    assert_eq!(restarted["account"]["reserved"], "0.00");
}
