//! Business files in and out.

use super::{business, example, file, store};
use crate::{Change, ChangeAction, ChangeError, Problem, Store};
use std::collections::HashMap;

fn problems(store: &Store, text: &str) -> Vec<Problem> {
    match store.apply(&[file("x.toml", text)], false, "test") {
        Err(ChangeError::Invalid(problems)) => problems,
        Err(e) => panic!("{e}"),
        Ok(_) => Vec::new(),
    }
}

fn in_short(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|c| format!("{} {} {}", c.action.key(), c.kind, c.name)).collect()
}

#[test]
fn the_examples_are_applied_as_they_stand() {
    let (dir, store) = store();
    let plan = business(&store);
    let want = [
        "create rate_group retail",
        "create rate_group vendor-a",
        "create rate_group vendor-b",
        "create account acme",
        "pay account acme",
        "create account vendor-a",
        "create account vendor-b",
        "create mapping_gateway acme-pbx",
        "create routing_gateway vendor-a-1",
        "create routing_gateway vendor-b-1",
    ];
    assert_eq!(in_short(&plan.changes), want);
    assert!(plan.applied);
    let version = store.config().version;
    for files in
        [vec![example("first-call.toml"), example("failover.toml")], vec![example("first-call.toml")]]
    {
        assert_eq!(store.apply(&files, false, "test").unwrap().changes, []);
    }
    assert_eq!(store.config().version, version);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.apply(&[example("first-call.toml")], false, "test").unwrap().changes, []);
    // The order of files does not matter.
    let (_dir, other) = super::store();
    other.apply(&[example("failover.toml"), example("first-call.toml")], false, "test").unwrap();
    assert_eq!(other.config().routing_gateways.len(), 2);
}

#[test]
fn a_dry_run_shows_differences_and_changes_nothing() {
    let (_dir, store) = store();
    let files = [example("first-call.toml")];
    let plan = store.apply(&files, true, "test").unwrap();
    assert_eq!((plan.changes.len(), plan.applied, plan.payments.len()), (7, false, 0));
    assert_eq!((store.config().accounts.len(), store.config().version), (0, 0));
    store.apply(&files, false, "test").unwrap();
    let text = files[0].text.replace("max_cps = 50", "max_cps = 60").replace("0.0360", "0.0370").replace(
        "  { prefix = \"44\",    area = \"United Kingdom\",    price_per_minute = \"0.0120\", first_period = 1,  cycle = 1 },\n",
        "  { prefix = \"1\", price_per_minute = \"0.01\", connection_fee = \"0.05\" },\n",
    );
    let plan = store.apply(&[file("new.toml", &text)], true, "test").unwrap();
    assert_eq!(in_short(&plan.changes), ["update rate_group retail", "update mapping_gateway acme-pbx"]);
    let shown: Vec<_> = plan.changes.iter().flat_map(|c| &c.fields).collect();
    let shown: Vec<String> = shown
        .iter()
        .map(|f| {
            format!(
                "{}: {} -> {}",
                f.field,
                f.before.as_deref().unwrap_or("-"),
                f.after.as_deref().unwrap_or("-")
            )
        })
        .collect();
    let want = [
        "rates.1: - -> 0.0100 1/1, connection 0.05",
        "rates.44: 0.0120 1/1 (United Kingdom) -> -",
        "rates.88017: 0.0360 1/1 (Bangladesh mobile) -> 0.0370 1/1 (Bangladesh mobile)",
        "max_cps: 50 -> 60",
    ];
    assert_eq!(shown, want);
    assert_eq!(store.apply(&files, true, "test").unwrap().changes, []);
}

/// What stands in the file, line, document, field, and how the message begins.
const FAULTS: &[(&str, u32, &str, &str, &str)] = &[
    (
        "[[account]]\nname = \"a\"\nkind = \"customer\"\ncurrency = 5\n",
        4,
        "account \"a\"",
        "currency",
        "invalid type: integer `5`",
    ),
    ("[[account]]\nname = \"a\"\nkind = \"customer\"\n", 1, "account \"a\"", "currency", "is missing"),
    (
        "\n[[acount]]\nname = \"a\"\n",
        2,
        "",
        "acount",
        "\"acount\" is unknown here; did you mean \"account\"?",
    ),
    ("[account]\nname = \"a\"\n", 1, "", "account", "is written as [[account]]"),
    ("[[account]]\nname = \"a\"\nname = \"b\"\n", 3, "", "", "duplicate key"),
    ("[[account]\n", 1, "", "", "unclosed array table"),
    (
        "[[account]]\nname = \"a\"\nkind = \"vendor\"\ncurrency = \"USD\"\ncredit_limt = \"5\"\n",
        5,
        "account \"a\"",
        "credit_limt",
        "unknown field; did you mean \"credit_limit\"?",
    ),
    (
        "[[account]]\nname = \"a\"\nkind = \"vendor\"\ncurrency = \"USD\"\ncredit_limit = 10.5\n",
        5,
        "account \"a\"",
        "credit_limit",
        "invalid type: floating point `10.5`, expected a string; write it in quotes",
    ),
    (
        "[[account]]\nname = \"a\"\nkind = \"vendor\"\ncurrency = \"USD\"\nopening_balance = \"0.000000001\"\n",
        5,
        "account \"a\"",
        "opening_balance",
        "\"0.000000001\": more than 8 decimals",
    ),
    (
        "[[account]]\nname = \"a\"\nkind = \"vendor\"\ncurrency = \"USD\"\nopening_balance = \"999999999999999999999999\"\n",
        5,
        "account \"a\"",
        "opening_balance",
        "\"999999999999999999999999\": the amount is too large",
    ),
    (
        "[[account]]\nname = \"a\"\nkind = \"vendor\"\ncurrency = \"USD\"\n[[account]]\n  name = \"a\"\nkind = \"vendor\"\ncurrency = \"USD\"\n",
        6,
        "account \"a\"",
        "name",
        "stands twice; first in x.toml, line 2",
    ),
    (
        "[[mapping_gateway]]\nname = \"g\"\naccount = \"nobody\"\nauthentication = \"ip\"\naddresses = [\"10.0.0.1\"]\n",
        3,
        "mapping_gateway \"g\"",
        "account",
        "there is no account \"nobody\"",
    ),
    (
        "[[rate_group]]\nname = \"r\"\nrates = [\n  { prefix = \"1\", price_per_minute = \"1\" },\n  { prefix = \"1\", price_per_minute = \"2\" },\n]\n",
        5,
        "rate_group \"r\"",
        "rates[1].prefix",
        "\"1\" stands here twice",
    ),
    (
        "[[rate_group]]\nname = \"r\"\nrates = [\n  { prefix = \"1\", price_per_minute = \"1\" },\n  { prefix = \"2\", price_per_minut = \"2\" },\n]\n",
        5,
        "rate_group \"r\"",
        "rates[1].price_per_minut",
        "unknown field; did you mean \"price_per_minute\"?",
    ),
    (
        "[[rate_group]]\nname = \"r\"\n[[rate_group.rates]]\nprefix = \"1\"\nprice_per_minute = \"1\"\ncycle = 0\n",
        6,
        "rate_group \"r\"",
        "rates[0].cycle",
        "the cycle is 0; expected 1–86400 s",
    ),
    (
        "[parameters]\nSS_MAX_CPS = 5\nSS_MAX_CONCURENCY = 5\n",
        3,
        "parameters",
        "SS_MAX_CONCURENCY",
        "there is no parameter",
    ),
    ("[parameters]\nSS_MAX_CPS = -5\n", 2, "parameters", "SS_MAX_CPS", "SS_MAX_CPS: \"-5\" is not allowed"),
    ("name = \"a\"\n", 1, "", "name", "\"name\" is unknown here"),
    ("[[account]]\n", 1, "account \"\"", "name", "is missing"),
    (
        "\u{feff}[[account]]\nname = 5\nkind = \"vendor\"\ncurrency = \"USD\"\n",
        2,
        "account \"\"",
        "name",
        "invalid type: integer",
    ),
];

#[test]
fn faults_are_told_with_line_and_field() {
    for (text, line, document, field, message) in FAULTS {
        let (_dir, store) = store();
        let found = problems(&store, text);
        let at = found.iter().find(|p| p.field == *field && p.message.starts_with(message));
        let at = at.unwrap_or_else(|| panic!("{text}\n{found:#?}"));
        let place = (at.file.as_deref(), at.line, at.document.as_str());
        assert_eq!(place, (Some("x.toml"), Some(*line), *document), "{text}\n{at}");
        let config = store.config();
        assert_eq!((config.version, config.accounts.len()), (0, 0), "nothing is changed: {text}");
        assert_eq!(store.pending_payments().unwrap(), []);
    }
}

#[test]
fn all_or_nothing_over_several_files() {
    let (_dir, store) = store();
    let bad = example("failover.toml").text.replace("127.0.0.1:5082", "127.0.0.1:99999");
    let error =
        store.apply(&[example("first-call.toml"), file("bad.toml", &bad)], false, "test").unwrap_err();
    let line = bad.lines().position(|l| l.contains("99999")).unwrap() + 1;
    assert!(
        error.to_string().starts_with(&format!("bad.toml:{line}: routing_gateway \"vendor-b-1\": address: ")),
        "{error}"
    );
    let config = store.config();
    assert_eq!((config.version, config.rate_groups.len(), config.sheets.len()), (0, 0, 0));
    assert!(store.snapshot(&HashMap::new()).unwrap().accounts.is_empty());
    // Files that depend on each other need each other.
    let alone = file(
        "g.toml",
        "[[mapping_gateway]]\nname = \"g\"\naccount = \"acme\"\nauthentication = \"ip\"\naddresses = [\"::1\"]\n",
    );
    assert!(store.apply(std::slice::from_ref(&alone), false, "test").is_err());
    store.apply(&[alone, example("first-call.toml")], false, "test").unwrap();
}

#[test]
fn an_opening_balance_is_not_paid_in_again() {
    let (_dir, store) = store();
    business(&store);
    let text = example("first-call.toml").text;
    let without = text.replace("opening_balance = \"10.00\"", "");
    assert_eq!(problems(&store, &without), []);
    let more = text.replace("opening_balance = \"10.00\"", "opening_balance = \"20.00\"");
    assert_eq!(problems(&store, &more)[0].field, "opening_balance");
    assert_eq!(store.pending_payments().unwrap().len(), 1);
}

const ODDITIES: &str = r#"
[parameters]
SS_MAX_CPS = 100
SS_RTP_TIMEOUT = "60"
SS_REPLY_UNAUTHORIZED = true

[[account]]
name = "Ωmega \"quoted\" #1"
kind = "customer"
payment = "postpaid"
currency = "EUR"
valid_until = 2027-01-31T00:00:00+06:00
anti_overdraft = false
status = "locked"
max_cps = 0x10
notes = """
two
lines	with a tab"""

[[account]]
name = "v"
kind = "vendor"
currency = "EUR"

[[rate_group]]
name = "empty"
rates = []

[[rate_group]]
name = "full"
currency = "EUR"
rates = [{ prefix = "", price_per_minute = "0.1234567891", first_period = 30, cycle = 6, first_period_price = "0.5",
  connection_fee = "0.01", minimum_charge = "0.02", free_seconds = 3, locked = true, area = "every\\where" },
  { prefix = "*21#", price_per_minute = "0" }]

[[mapping_gateway]]
name = "m"
account = "v"
authentication = "password"
username = "alice"
password = "geheim"
called_prefixes = ["00", "*"]
caller_source = "remote_party"
parameters = { SS_RTP_TIMOUT_ = "1" }

[[routing_gateway]]
name = "r"
account = "v"
address = "sip.example.org:5070"
transport = "tcp"
username = "us"
password = "geheim2"
prefixes = [""]
failover_codes = [503, 500]
lowest_profit_per_minute = "-0.01"
check_rate = true
request_address = "contact"
enabled = false
"#;

#[test]
fn an_export_is_read_back_without_a_change() {
    let text = ODDITIES
        .replace("parameters = { SS_RTP_TIMOUT_ = \"1\" }", "parameters = { ss_sip_timeout_ringing = 30 }");
    let (_dir, store) = store();
    assert_eq!(problems(&store, ODDITIES)[0].field, "parameters.SS_RTP_TIMOUT_");
    let files = [file("odd.toml", &text), example("first-call.toml"), example("failover.toml")];
    store.apply(&files, false, "test").unwrap();
    assert_eq!(store.apply(&files, false, "test").unwrap().changes, [], "secrets included");
    let exported = store.export().unwrap();
    assert!(!exported.contains("geheim"), "{exported}");
    let plan = store.apply(&[file("export.toml", &exported)], false, "test").unwrap();
    assert_eq!(plan.changes, [], "{exported}");
    // In another folder only what was sealed with the key of this one is missing.
    let (_dir, other) = super::store();
    let found = problems(&other, &exported);
    assert_eq!(found.iter().map(|p| p.field.as_str()).collect::<Vec<_>>(), ["sealed_password"], "{found:?}");
    let sealed = exported.lines().find(|l| l.starts_with("sealed_password")).unwrap();
    let elsewhere = exported.replace(sealed, "password = \"geheim2\"");
    assert_eq!(problems(&other, &elsewhere), []);
    let mut again = other.export().unwrap();
    let new_seal = again.lines().find(|l| l.starts_with("sealed_password")).unwrap().to_string();
    again = again.replace(&new_seal, sealed);
    assert_eq!(again, exported);
}

#[test]
fn hostile_files_are_refused_in_words() {
    let (_dir, store) = store();
    let deep = format!("[[account]]\nname = {}1{}\n", "[".repeat(5000), "]".repeat(5000));
    let long =
        format!("[[account]]\nname = \"{}\"\nkind = \"vendor\"\ncurrency = \"USD\"\n", "x".repeat(1 << 20));
    for text in [
        deep.as_str(),
        long.as_str(),
        "\0",
        "= = =",
        "[[account]]\nname = 1979-05-27",
        "[[account]]\nx = nan",
    ] {
        assert!(!problems(&store, text).is_empty());
    }
    assert_eq!(problems(&store, ""), []);
    assert_eq!(store.apply(&[], false, "test").unwrap().changes.len(), 0);
}

/// Not a check: prints what a large sheet costs, for a look with `--nocapture`; a million with `TANDEM_RATES=1000000`.
#[test]
fn speed_of_large_sheets() {
    use crate::config::Rate;
    let count: u32 = std::env::var("TANDEM_RATES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let (dir, store) = store();
    store.apply(&[file("g.toml", "[[rate_group]]\nname = \"g\"\n")], false, "test").unwrap();
    let rate = |n: u32| Rate {
        prefix: format!("{}", 10_000_000 + n),
        area: format!("Area {}", n % 500),
        price_per_minute: vocab::Price(i64::from(n % 977) * 1_000_000),
        first_period: 60,
        cycle: 6,
        ..Rate::example()
    };
    let time = |what: &str, work: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        work();
        println!("{count} rates: {what} in {:?}", start.elapsed());
    };
    time("replace", &mut || store.replace_rates(1, (0..count).map(rate).collect(), "test").unwrap());
    time("replace by the same", &mut || {
        store.replace_rates(1, (0..count).map(rate).collect(), "test").unwrap()
    });
    time("snapshot", &mut || drop(store.snapshot(&HashMap::new()).unwrap()));
    time("snapshot again", &mut || drop(store.snapshot(&HashMap::new()).unwrap()));
    assert_eq!(store.config().sheets[&1].count, u64::from(count));
    let exported = store.export().unwrap();
    time("apply an export", &mut || {
        assert_eq!(store.apply(&[file("e.toml", &exported)], false, "test").unwrap().changes, []);
    });
    drop(store);
    time("open and snapshot", &mut || {
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.snapshot(&HashMap::new()).unwrap().rate_groups.len(), 1);
    });
    assert_eq!(ChangeAction::Pay.key(), "pay");
}
