//! Stopping in good order, and what happens when it cannot be.

use crate::harness::*;

#[test]
fn calls_end_with_their_records_when_the_switch_is_told_to_stop() {
    let mut switch = Switch::start_with(&["--stop-wait", "1"]);
    switch.apply(&business(switch.net, "10.00"));
    let vendor = vendor(&switch, 1);
    // The switch hangs up, so the callers' own BYE is not needed: their scenario fails, and that is right.
    let args = ["-m", "5", "-r", "50", "-d", "60000", "-timeout", "30s"];
    let callers = caller(&switch, &args).start();
    eventually("five calls are up", || (callers.call_ids("SIP/2.0 200", "INVITE").len() == 5).then_some(()));
    switch.signal("-TERM");
    assert_eq!(switch.wait(), Some(0), "{}", switch.log());
    assert_eq!(vendor.call_ids("BYE", "BYE").len(), 5);
    assert_eq!(callers.call_ids("BYE", "BYE").len(), 5);
    assert!(!switch.data().join("run.json").exists());

    switch.restart();
    let cdrs = switch.cdrs(5);
    assert!(cdrs.iter().all(|c| c["ended_by"] == "switch" && c["fee"].as_str() > Some("0.00")), "{cdrs:?}");
    assert_eq!(switch.calls(), 0);
    switch.check();
    switch.signal("-INT");
    assert_eq!(switch.wait(), Some(0));
}

#[test]
fn a_call_can_be_ended_by_command() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let _vendor = vendor(&switch, 1);
    let args = ["-m", "1", "-d", "60000", "-timeout", "30s"];
    let callers = caller(&switch, &args).start();
    let id = eventually("the call is up", || {
        let list = switch.json(&["calls", "list"]);
        let call = &list["items"][0];
        (call["state"] == "talking").then(|| call["id"].as_str().unwrap().to_string())
    });
    switch.ok(&["calls", "kill", &id, "--reason", "fraud"]);
    eventually("the caller is told", || (callers.call_ids("BYE", "BYE").len() == 1).then_some(()));
    let cdr = &switch.cdrs(1)[0];
    assert_eq!((&cdr["id"], &cdr["end_reason"]), (&id.as_str().into(), &"killed_by_operator".into()));
    assert_eq!(switch.refused(&["calls", "kill", &id]).0, Some(1));
}

#[test]
fn one_folder_has_one_switch() {
    let switch = Switch::start();
    let data = switch.data().to_str().unwrap();
    let output =
        tandem(&["serve", "--data", data, "--api", "127.0.0.1:0", "--listen", "udp:127.0.0.1:0"]).output();
    let output = output.unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(words.contains("in use by process") && words.contains(&switch.run["pid"].to_string()), "{words}");
}
