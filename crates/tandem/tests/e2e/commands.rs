//! The command line: what it prints, what it says when it cannot, how it ends.

use crate::harness::*;

#[test]
fn every_command_has_words_and_json() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let _vendor = vendor(&switch, 1);
    caller(&switch, &["-m", "1", "-d", "100"]).start().assert_succeeded();
    let id = switch.cdrs(1)[0]["id"].as_str().unwrap().to_string();
    let simulate = ["route", "simulate", "--from", "acme-pbx", "--caller", "1", "--called", "8801712345678"];
    for (args, word) in [
        (&["account", "list"][..], "acme"),
        (&["account", "show", "acme"], "balance"),
        (&["account", "pay", "acme", "2.50", "--note", "cash"], "2.50"),
        (&["calls", "list"], "No calls"),
        (&["cdr", "list"], "vendor-a-1"),
        (&["cdr", "show", &id], "Attempts"),
        (&simulate, "vendor-a-1"),
        (&["rewrite", "test", "0044207", "--rules", "00:,0:44"], "44207  by 00:"),
        (&["rewrite", "test", "0044207", "--mapping-gateway", "acme-pbx"], "no rule matches"),
        (&["param", "list", "ringing"], "SS_SIP_TIMEOUT_RINGING"),
        (&["param", "set", "SS_SIP_TIMEOUT_RINGING", "60"], "60"),
        (&["param", "list", "--changed"], "SS_SIP_TIMEOUT_RINGING"),
        (&["changes", "list"], "parameter SS_SIP_TIMEOUT_RINGING"),
        (&["changes", "show", "2"], "- -> 60"),
        (&["changes", "compare", "0"], "account acme: created"),
        (&["changes", "undo", "2", "--dry-run"], "can be taken back"),
        (&["check"], "ok"),
        (&["export"], "acme"),
        (&["version"], env!("CARGO_PKG_VERSION")),
    ] {
        // The overview hears of an ended call a moment after its record is there.
        let words = match args {
            ["calls", "list"] => {
                eventually("no calls", || Some(switch.ok(args)).filter(|w| w.contains(word)))
            }
            _ => switch.ok(args),
        };
        assert!(words.contains(word), "{args:?}: {words}");
        assert!(words.lines().all(|l| l == l.trim_end()), "{args:?}: {words:?}");
        switch.json(args);
    }
    assert!(switch.ok(&["changes", "undo", "2"]).contains("version 3"));
    assert!(!switch.ok(&["param", "list", "--changed"]).contains("RINGING"));
    let openapi: serde_json::Value = serde_json::from_str(&switch.ok(&["openapi"])).unwrap();
    assert!(openapi["paths"]["/api/v1/accounts"].is_object());
}

#[test]
fn the_same_key_pays_once() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let pay = |amount: &str| ["account", "pay", "acme", amount, "--key", "wire-77"].map(str::to_string);
    let five = pay("5");
    let five: Vec<&str> = five.iter().map(String::as_str).collect();
    switch.ok(&five);
    switch.ok(&five);
    assert_eq!(switch.balance("acme"), "15.00");
    let six = pay("6");
    assert!(!switch.tandem(&six.iter().map(String::as_str).collect::<Vec<_>>()).status.success());
    assert_eq!(switch.balance("acme"), "15.00");
    switch.ok(&["account", "pay", "acme", "-1.50", "--kind", "correction"]);
    assert_eq!(switch.balance("acme"), "13.50");
    switch.check();
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    for (args, words) in [
        (&["account", "show", "nobody"][..], "nobody"),
        (&["account", "pay", "acme", "1,5"], "not an amount"),
        (&["account", "pay", "acme", "0.000000001"], "decimals"),
        (&["account", "pay", "acme", "100000000000000000000000"], "large"),
        (&["account", "pay", "../acme", "1"], "acme"),
        (&["cdr", "show", "999"], "999"),
        (&["calls", "kill", "999"], "999"),
        (&["cdr", "list", "--from", "yesterday"], "from"),
        (&["param", "set", "SS_NOTHING", "1"], "SS_NOTHING"),
        (&["route", "simulate", "--from", "nowhere", "--caller", "1", "--called", "2"], "nowhere"),
        (&["account", "list", "--token", "wrong"], "token"),
        (&["account", "list", "--api", "127.0.0.1:1"], "no answer"),
        (&["account", "list", "--data", "/nowhere"], "no switch runs"),
    ] {
        let (code, said) = switch.refused(args);
        assert_eq!(code, Some(1), "{args:?}");
        assert!(said.starts_with("tandem: ") && said.contains(words), "{args:?}: {said}");
    }
    for args in [
        &["account"][..],
        &["calls", "kill"],
        &["nothing"],
        &["account", "pay", "acme", "1", "--kind", "gift"],
    ] {
        assert_eq!(switch.refused(args).0, Some(2), "{args:?}");
    }
}

#[test]
fn wrong_settings_are_refused_with_their_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tandem.toml");
    std::fs::write(&file, "data = 'd'\n[media]\nport = 5\n").unwrap();
    let output = tandem(&["serve"]).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("tandem.toml:3: unknown field `port`, expected one of `ports`"), "{said}");
    std::fs::write(&file, format!("data = '{}'\nlog = 'x=y=z'", dir.path().display())).unwrap();
    assert_eq!(tandem(&["serve"]).current_dir(dir.path()).status().unwrap().code(), Some(1));
}

#[test]
fn secrets_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let switch = Switch::start();
    for name in ["local.token", "run.json", "tandem.db", "secret.key"] {
        let mode = std::fs::metadata(switch.data().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn a_deck_comes_in_and_goes_again() {
    let switch = Switch::start();
    switch.apply(&business(switch.net, "10.00"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("carrier.csv");
    let file_name = file.to_str().unwrap();
    std::fs::write(
        &file,
        "Dear partner;;\nDial code;Destination;Rate\n880;Bangladesh;0,0410\n33;France;0,0090\n",
    )
    .unwrap();
    let looked = switch.ok(&["rates", "import", "retail", file_name]);
    assert!(looked.contains("ready") && looked.contains("0.0410"), "{looked}");
    assert!(!switch.ok(&["export"]).contains("0.0410"));
    let id = switch.json(&["rates", "imports", "retail"])["items"][0]["id"].as_str().unwrap().to_string();
    assert!(switch.ok(&["rates", "apply", "retail", &id]).contains("applied"));
    assert!(switch.ok(&["export"]).contains("0.0410"));
    let simulate = ["route", "simulate", "--from", "acme-pbx", "--caller", "1", "--called", "8809912345678"];
    assert!(switch.ok(&simulate).contains("0.0410"), "calls are rated by it at once");
    assert!(switch.ok(&["rates", "undo", "retail", &id]).contains("undone"));
    assert!(!switch.ok(&["export"]).contains("0.0410"));
    let made =
        ["rates", "make", "retail", "--from", "vendor-a", "--margin", "25", "--prefix", "880", "--apply"];
    assert!(switch.ok(&made).contains("applied"));

    std::fs::write(&file, "Dial code,Rate\n880,0\n44,0.02\n").unwrap();
    let refused = switch.tandem(&["rates", "import", "retail", file_name, "--apply"]);
    assert!(!refused.status.success());
    assert!(
        String::from_utf8_lossy(&refused.stdout).contains("line 2, column B: the price is 0"),
        "{refused:?}"
    );
    switch.ok(&["rates", "import", "retail", file_name, "--apply", "--skip-bad-rows"]);
    std::fs::write(&file, "nothing of use\n").unwrap();
    assert!(!switch.tandem(&["rates", "import", "retail", file_name]).status.success());
    switch.check();
}
