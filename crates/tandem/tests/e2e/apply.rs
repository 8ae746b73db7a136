//! Business files: applied whole or not at all.

use crate::harness::*;

#[test]
fn the_examples_apply_as_they_stand_and_twice_changes_nothing() {
    let (Some(first), Some(second)) = (shared("examples/first-call.toml"), shared("examples/failover.toml"))
    else {
        return;
    };
    let switch = Switch::start();
    let files = [first.to_str().unwrap(), second.to_str().unwrap()];
    let apply = |more: &[&str]| switch.json(&[&["apply"], &files[..], more].concat());
    let dry = apply(&["--dry-run"]);
    assert_eq!(
        (dry["applied"].as_bool(), switch.json(&["account", "list"])["items"][0].is_null()),
        (Some(false), true)
    );
    let done = apply(&[]);
    assert_eq!(done["changes"], dry["changes"]);
    assert!(done["changes"].as_array().unwrap().len() >= 9);
    assert_eq!(switch.balance("acme"), "10.00");
    assert_eq!(apply(&[])["changes"].as_array().unwrap().len(), 0);
    assert_eq!(switch.balance("acme"), "10.00");
    switch.check();

    // What is exported can be applied elsewhere, and then says the same.
    let exported = switch.file("export.toml");
    switch.ok(&["export", "--output", exported.to_str().unwrap()]);
    assert_eq!(switch.json(&["apply", exported.to_str().unwrap()])["changes"].as_array().unwrap().len(), 0);
    let other = Switch::start();
    other.ok(&["apply", exported.to_str().unwrap()]);
    assert_eq!(other.ok(&["export"]), switch.ok(&["export"]));
}

#[test]
fn bad_files_change_nothing_and_say_where_and_why() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let before = switch.ok(&["export"]);
    let path = switch.file("bad.toml");
    for (text, line, words) in [
        ("[[account]]\nname = 'x'\nkind = 'customer'\ncurrency = 'USD'\ncolour = 'red'\n", 5, "colour"),
        ("[[account]]\nname = 'x'\nkind = 'customer'\ncurrency = 'dollars'\n", 4, "currency"),
        (
            "[[account]]\nname = 'x'\nkind = 'customer'\ncurrency = 'USD'\nrate_group = 'nowhere'\n",
            5,
            "nowhere",
        ),
        (
            "[[account]]\nname = 'y'\nkind = 'customer'\ncurrency = 'USD'\nopening_balance = '1e400'\n",
            5,
            "amount",
        ),
        ("[[account]]\nname = 'y'\nkind = 'customer'\ncurrency = 'USD'\nopening_balance = 10.0\n", 5, ""),
        (
            "[[account]]\nname = 'z'\nkind = 'customer'\ncurrency = 'USD'\nopening_balance = '99999999999999999999999999'\n",
            5,
            "large",
        ),
        (
            "[[rate_group]]\nname = 'g'\ncurrency = 'USD'\nrates = [\n{ prefix = '88a', price_per_minute = '1' },\n]\n",
            5,
            "prefix",
        ),
        (
            "[[rate_group]]\nname = 'g'\ncurrency = 'USD'\nrates = [\n{ prefix = '88', price_per_minute = 'NaN' },\n]\n",
            5,
            "price",
        ),
        (
            "[[rate_group]]\nname = 'g'\ncurrency = 'USD'\nrates = [\n{ prefix = '88', price_per_minute = '1', cycle = 0 },\n]\n",
            5,
            "cycle",
        ),
        (
            "[[routing_gateway]]\nname = 'r'\naccount = 'vendor-a'\naddress = 'no address'\nprefixes = ['1']\n",
            4,
            "address",
        ),
        ("[parameters]\nSS_SIP_TIMEOUT_INVITE = '9999'\n", 2, "1–120"),
        ("[parameters]\nSS_NOTHING = '1'\n", 2, "SS_NOTHING"),
        ("[[account]\n", 1, ""),
        ("\u{feff}[[acc", 1, ""),
    ] {
        std::fs::write(&path, text).unwrap();
        let (code, said) = switch.refused(&["apply", path.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{text}");
        assert!(said.contains(&format!("bad.toml:{line}:")) && said.contains(words), "{text}\n{said}");
    }
    std::fs::write(&path, b"name = '\xff'").unwrap();
    assert!(switch.refused(&["apply", path.to_str().unwrap()]).1.contains("bad.toml:1: not UTF-8"));
    assert!(switch.refused(&["apply", "/nowhere.toml"]).1.contains("/nowhere.toml"));
    assert_eq!(switch.ok(&["export"]), before);
}
