//! Rules about routes, from files and the command line to calls on the wire.

use crate::harness::*;

/// Did one of so many calls end so? SIPp takes a refusal for an end like any other.
fn ended(switch: &Switch, cdrs: usize, reason: &str) -> bool {
    switch.cdrs(cdrs).iter().any(|cdr| cdr["end_reason"] == reason)
}

#[test]
fn a_file_of_numbers_bars_calls() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.apply("[[number_list]]\nname = \"fraud\"\nsystem = \"called_black\"\n");
    let _vendor = vendor(&switch, 1);
    caller(&switch, &["-m", "1", "-d", "100"]).start().assert_succeeded();
    let file = switch.file("numbers.txt");
    std::fs::write(&file, "# all of them\n880*, reported\n4420x\n").unwrap();
    let path = file.to_str().unwrap();
    let (_, words) = switch.refused(&["list", "import", "fraud", path]);
    assert!(words.contains("line 3"), "{words}");
    assert!(switch.ok(&["list", "import", "fraud", path, "--good-only"]).contains("1 added"));
    assert!(switch.ok(&["list", "show", "fraud"]).contains("880*"));
    caller(&switch, &["-m", "1", "-d", "100"]).start().succeeded();
    assert!(ended(&switch, 2, "callee_barred"));
    let simulate = ["route", "simulate", "--from", "acme-pbx", "--caller", "1", "--called", "8801712345678"];
    assert!(switch.ok(&simulate).contains("callee_barred"));
    switch.ok(&["list", "remove", "fraud", "880*"]);
    assert!(switch.ok(&simulate).contains("vendor-a-1"));
}

#[test]
fn a_caller_that_calls_too_often_is_barred_and_let_off() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    switch.ok(&["param", "set", "SS_BLACK_LIST_DYNAMIC_RUN_MODE", "Global"]);
    switch.ok(&["param", "set", "SS_BLACK_LIST_CALLER_MALICIOUS_CALL_LIMIT", "1"]);
    let _vendor = vendor(&switch, 1);
    caller(&switch, &["-m", "1", "-d", "100"]).start().assert_succeeded();
    caller(&switch, &["-m", "1", "-d", "100"]).start().succeeded();
    assert!(ended(&switch, 2, "caller_barred"));
    let barred = switch.json(&["list", "barred"]);
    let number = barred["items"][0]["number"].as_str().unwrap().to_owned();
    assert_eq!(barred["items"][0]["count"], 2);
    switch.ok(&["list", "unbar", "caller", &number]);
    assert_eq!(switch.json(&["list", "barred"])["items"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_change_that_takes_a_route_away_is_warned_of() {
    let switch = Switch::start();
    let text = business(switch.net, "10.00");
    switch.apply(&text);
    let file = switch.file("less.toml");
    std::fs::write(&file, text.replace("prefixes = [\"880\", \"44\"]", "prefixes = [\"44\"]")).unwrap();
    let words = switch.ok(&["apply", "--dry-run", file.to_str().unwrap()]);
    assert!(words.contains("warning: mapping gateway \"acme-pbx\" has no route to 880 any more"), "{words}");
}
