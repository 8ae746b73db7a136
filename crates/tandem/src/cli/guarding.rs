//! `tandem alarms …` and `tandem firewall …`.

use super::client::{Client, segment};
use super::commands::{columns, items, with};
use super::table::table;
use super::{ClientArgs, Failure, Out};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Between two looks of `firewall apply --follow`.
const FOLLOW: Duration = Duration::from_secs(2);

#[derive(Debug, Subcommand)]
pub(super) enum AlarmsCommand {
    /// List alarms that are open, newest first
    List {
        /// Those that have ended too
        #[arg(long)]
        all: bool,
        #[arg(long, default_value_t = 100)]
        limit: u32,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Say that you see to an alarm
    Acknowledge {
        id: String,
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// All rules, and who is told
    Rules {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Change a rule
    Set {
        #[command(flatten)]
        rule: RuleArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Replace the receivers; without any, nobody is told
    Deliver {
        #[command(flatten)]
        receivers: ReceiversArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// A rule of an alarm; what is not given stays.
#[derive(Debug, Args)]
pub(super) struct RuleArgs {
    /// As `tandem alarms rules` names it
    kind: String,
    #[arg(long, allow_negative_numbers = true)]
    threshold: Option<i64>,
    /// The figure must be back here before the alarm ends
    #[arg(long, allow_negative_numbers = true)]
    clear: Option<i64>,
    /// Seconds beyond the threshold before it begins
    #[arg(long)]
    hold: Option<u32>,
    /// warning or critical
    #[arg(long)]
    severity: Option<String>,
    #[arg(long, conflicts_with = "off")]
    on: bool,
    #[arg(long)]
    off: bool,
    /// Begin with the rule as it comes with the program
    #[arg(long)]
    default: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReceiversArgs {
    /// Address (http://…) that each begin and end is posted to
    #[arg(long)]
    webhook: Vec<String>,
    /// Mail relay, host:port
    #[arg(long, requires = "mail_from", requires = "mail_to")]
    mail_server: Option<String>,
    #[arg(long, requires = "mail_server")]
    mail_from: Option<String>,
    #[arg(long, requires = "mail_server")]
    mail_to: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum FirewallCommand {
    /// Print the script that `apply` gives to nft
    Show {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Have the kernel filter, by a table of our own; no other is touched
    Apply {
        /// Go on, and apply every change of gateways and denied networks
        #[arg(long)]
        follow: bool,
        /// The program that takes the script
        #[arg(long, default_value = "nft")]
        nft: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take our table out of the kernel
    Remove {
        /// The program that takes the script
        #[arg(long, default_value = "nft")]
        nft: String,
    },
    /// Add networks that nothing is taken from
    Deny {
        #[arg(required = true)]
        networks: Vec<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take networks off that list
    Allow {
        #[arg(required = true)]
        networks: Vec<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum FraudCommand {
    /// All rules
    Rules {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Say what rules would have found among past calls; changes nothing
    Try {
        /// As `tandem fraud rules` names it; all when absent
        kind: Option<String>,
        #[command(flatten)]
        rule: FraudArgs,
        /// Calls that began at or after (2026-11-22T00:00:00Z)
        #[arg(long)]
        from: Option<String>,
        /// Calls that began before
        #[arg(long)]
        to: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Switch a rule on, off, or change it
    Set {
        kind: String,
        #[command(flatten)]
        rule: FraudArgs,
        /// alarm or lock_account
        #[arg(long)]
        action: Option<String>,
        #[arg(long, conflicts_with = "off")]
        on: bool,
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// What is not given stays; in a trial: is as it comes with the program.
#[derive(Debug, Args)]
pub(super) struct FraudArgs {
    #[arg(long)]
    threshold: Option<i64>,
    /// Below so many calls (a rise of spend: hundredths of the currency) nothing is said
    #[arg(long)]
    least: Option<i64>,
    /// Seconds
    #[arg(long)]
    window: Option<u32>,
    /// Called numbers that begin so
    #[arg(long = "prefix")]
    prefixes: Vec<String>,
    /// First hour and the hour after the last, UTC, like 22-5
    #[arg(long)]
    hours: Option<String>,
}

impl FraudArgs {
    fn put_into(&self, rule: &mut Value) -> Result<(), Failure> {
        let hours = match self.hours.as_deref().map(|h| h.split_once('-')) {
            None => None,
            Some(pair) => {
                let read = pair.and_then(|(a, b)| Some((a.parse::<u8>().ok()?, b.parse::<u8>().ok()?)));
                Some(read.ok_or_else(|| Failure::new("--hours: expected two hours like 22-5"))?)
            }
        };
        for (key, value) in [
            ("threshold", self.threshold.map(Value::from)),
            ("least", self.least.map(Value::from)),
            ("window_s", self.window.map(Value::from)),
            ("prefixes", (!self.prefixes.is_empty()).then(|| self.prefixes.clone().into())),
            ("hours", hours.map(|(from, to)| json!([from, to]))),
        ] {
            if let Some(value) = value {
                rule[key] = value;
            }
        }
        Ok(())
    }
}

pub fn fraud(command: FraudCommand) -> Result<(), Failure> {
    match command {
        FraudCommand::Rules { client } => with(&client, |c, out| {
            let rules = c.get("/fraud-rules", &[])?;
            out.answer(&rules, fraud_rules_text)
        }),
        FraudCommand::Try { kind, rule, from, to, client } => with(&client, |c, out| {
            let mut given = json!({});
            rule.put_into(&mut given)?;
            let rules = match &kind {
                Some(kind) => json!({ kind.as_str(): given }),
                None if given == json!({}) => given,
                None => return Err(Failure::new("name the rule that these settings are for")),
            };
            let body = json!({ "rules": rules, "from": from, "to": to });
            let trial = c.send("POST", "/fraud/try", &body, None)?;
            out.answer(&trial, trial_text)
        }),
        FraudCommand::Set { kind, rule, action, on, off, client } => with(&client, |c, out| {
            let all = c.get("/fraud-rules", &[])?;
            let mut rules: Map<String, Value> =
                items(&all).iter().map(|r| (text(&r["kind"]), r["rule"].clone())).collect();
            let Some(mine) = rules.get_mut(&kind) else {
                let words = format!("there is no rule {kind:?}; `tandem fraud rules` lists them");
                return Err(Failure::new(words));
            };
            rule.put_into(mine)?;
            if let Some(action) = action {
                mine["action"] = action.into();
            }
            if on || off {
                mine["enabled"] = on.into();
            }
            let answer = c.send("PUT", "/fraud-rules", &json!({ "rules": rules }), None)?;
            out.answer(&answer, |_| format!("The rule {kind} is set."))
        }),
    }
}

fn fraud_rules_text(rules: &Value) -> String {
    let row = |r: &Value| {
        let rule = &r["rule"];
        let number = |key: &str| rule[key].as_i64().unwrap_or(0).to_string();
        vec![
            text(&r["kind"]),
            if rule["enabled"] == true { "on" } else { "off" }.to_owned(),
            text(&rule["action"]),
            number("threshold"),
            number("least"),
            number("window_s"),
            text(&r["words"]),
        ]
    };
    let heading = ["RULE", "STATE", "ACTION", "THRESHOLD", "LEAST", "SECONDS", "MEANING"];
    table(&heading, &items(rules).iter().map(row).collect::<Vec<_>>())
}

fn trial_text(trial: &Value) -> String {
    let findings = trial["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut said = match findings {
        [] => "Nothing would have been found.".to_owned(),
        rows => columns(
            rows,
            &[
                ("RULE", "kind"),
                ("SUBJECT", "subject"),
                ("AT", "at"),
                ("VALUE", "value"),
                ("THRESHOLD", "threshold"),
                ("AFTER S", "after_s"),
                ("SPENT / 100", "spent"),
                ("CALLS", "evidence"),
            ],
        ),
    };
    said += &format!("\n{} calls were read", trial["calls"]);
    said += if trial["complete"] == true { "." } else { "; there were more: ask for a shorter time." };
    said
}

pub fn alarms(command: AlarmsCommand) -> Result<(), Failure> {
    match command {
        AlarmsCommand::List { all, limit, client } => with(&client, |c, out| {
            let state = if all { "all" } else { "open" };
            let query = [("state", state.to_owned()), ("limit", limit.to_string())];
            let list = c.get("/alarms", &query)?;
            out.answer(&list, |l| match items(l) {
                [] if all => "There were no alarms.".into(),
                [] => "No alarms are open.".into(),
                rows => columns(
                    rows,
                    &[
                        ("ID", "id"),
                        ("SEVERITY", "severity"),
                        ("KIND", "kind"),
                        ("SUBJECT", "subject"),
                        ("VALUE", "value"),
                        ("THRESHOLD", "threshold"),
                        ("BEGAN", "began_at"),
                        ("ENDED", "ended_at"),
                        ("SEEN BY", "acknowledged_by"),
                        ("NOTE", "note"),
                    ],
                ),
            })
        }),
        AlarmsCommand::Acknowledge { id, note, client } => with(&client, |c, out| {
            let path = format!("/alarms/{}/acknowledge", segment(&id));
            let alarm = c.send("POST", &path, &json!({ "note": note }), None)?;
            out.answer(&alarm, |_| format!("Alarm {id} is acknowledged."))
        }),
        AlarmsCommand::Rules { client } => with(&client, |c, out| {
            let rules = c.get("/alarm-rules", &[])?;
            out.answer(&rules, rules_text)
        }),
        AlarmsCommand::Set { rule, client } => with(&client, |c, out| set_rule(&rule, c, out)),
        AlarmsCommand::Deliver { receivers, client } => {
            with(&client, |c, out| set_receivers(&receivers, c, out))
        }
    }
}

fn rules_text(rules: &Value) -> String {
    let list = rules["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |r: &Value| {
        let rule = &r["rule"];
        let number = |key: &str| rule[key].as_i64().unwrap_or(0).to_string();
        let side = if r["high"] == true { ">=" } else { "<=" };
        vec![
            text(&r["kind"]),
            if rule["enabled"] == true { "on" } else { "off" }.to_owned(),
            format!("{side} {}", number("threshold")),
            number("clear"),
            number("hold_s"),
            text(&rule["severity"]),
            text(&r["unit"]),
            text(&r["words"]),
        ]
    };
    let heading = ["KIND", "STATE", "THRESHOLD", "CLEAR", "SECONDS", "SEVERITY", "UNIT", "MEANING"];
    let mut said = table(&heading, &list.iter().map(row).collect::<Vec<_>>());
    for address in rules["webhooks"].as_array().into_iter().flatten() {
        said += &format!("\nwebhook: {}", text(address));
    }
    if let Some(mail) = rules["mail"].as_object() {
        let to: Vec<String> = mail["to"].as_array().into_iter().flatten().map(text).collect();
        said += &format!("\nmail: {} through {}", to.join(", "), text(&mail["server"]));
    }
    said
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").chars().filter(|c| !c.is_control()).collect()
}

/// The settings as they are, in the form in which they are sent: only rules that differ from their defaults.
fn settings(c: &Client) -> Result<Value, Failure> {
    let mut now = c.get("/alarm-rules", &[])?;
    let all = now["rules"].as_array().cloned().unwrap_or_default();
    let different = all.iter().filter(|r| r["rule"] != r["default"]);
    let rules: Map<String, Value> = different.map(|r| (text(&r["kind"]), r["rule"].clone())).collect();
    now["rules"] = rules.into();
    Ok(now)
}

fn set_rule(args: &RuleArgs, c: &Client, out: &mut Out) -> Result<(), Failure> {
    let all = c.get("/alarm-rules", &[])?;
    let list = all["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(known) = list.iter().find(|r| r["kind"] == args.kind.as_str()) else {
        let words = format!("there is no alarm {:?}; `tandem alarms rules` lists them", args.kind);
        return Err(Failure::new(words));
    };
    let mut rule = if args.default { known["default"].clone() } else { known["rule"].clone() };
    for (key, value) in [
        ("threshold", args.threshold.map(Value::from)),
        ("clear", args.clear.map(Value::from)),
        ("hold_s", args.hold.map(Value::from)),
        ("severity", args.severity.clone().map(Value::from)),
        ("enabled", (args.on || args.off).then_some(Value::from(args.on))),
    ] {
        if let Some(value) = value {
            rule[key] = value;
        }
    }
    let mut body = settings(c)?;
    body["rules"][&args.kind] = rule;
    let answer = c.send("PUT", "/alarm-rules", &body, None)?;
    out.answer(&answer, |_| format!("The rule of {} is set.", args.kind))
}

fn set_receivers(args: &ReceiversArgs, c: &Client, out: &mut Out) -> Result<(), Failure> {
    let mut body = settings(c)?;
    body["webhooks"] = args.webhook.clone().into();
    body["mail"] = match (&args.mail_server, &args.mail_from) {
        (Some(server), Some(from)) => json!({ "server": server, "from": from, "to": args.mail_to }),
        _ => Value::Null,
    };
    let answer = c.send("PUT", "/alarm-rules", &body, None)?;
    out.answer(&answer, |_| {
        let count = args.webhook.len() + args.mail_to.len();
        format!("{count} receivers are told of alarms.")
    })
}

pub fn firewall(command: FirewallCommand) -> Result<(), Failure> {
    match command {
        FirewallCommand::Show { client } => with(&client, |c, out| {
            let firewall = c.get("/firewall", &[])?;
            warn_of_names(&firewall)?;
            out.answer(&firewall, |f| f["script"].as_str().unwrap_or("").to_owned())
        }),
        FirewallCommand::Apply { follow, nft, client } => with(&client, |c, out| {
            let firewall = c.get("/firewall", &[])?;
            warn_of_names(&firewall)?;
            run_nft(&nft, &firewall["script"])?;
            out.answer(&firewall, |f| {
                let count = |key: &str| f[key].as_array().map_or(0, Vec::len);
                format!(
                    "The kernel filters: {} networks pass, {} are dropped.",
                    count("allow"),
                    count("deny")
                )
            })?;
            if follow { keep_in_step(c, &nft, firewall["script"].clone()) } else { Ok(()) }
        }),
        // Needs no running switch: whoever stops it for good wants the filter gone too.
        FirewallCommand::Remove { nft } => {
            run_nft(&nft, &watch::firewall::removal().into())?;
            Out::default().text("The kernel filters no more.")
        }
        FirewallCommand::Deny { networks, client } => {
            with(&client, |c, out| change_denied(c, out, |deny| deny.extend(networks.iter().cloned())))
        }
        FirewallCommand::Allow { networks, client } => with(&client, |c, out| {
            change_denied(c, out, |deny| {
                let same = |a: &str, b: &str| {
                    a == b || a.strip_suffix("/32").or(a.strip_suffix("/128")).is_some_and(|a| a == b)
                };
                deny.retain(|d| !networks.iter().any(|n| same(d, n)));
            })
        }),
    }
}

/// A switch that is gone for a moment (a restart) leaves the filter as it is.
fn keep_in_step(c: &Client, nft: &str, mut applied: Value) -> Result<(), Failure> {
    loop {
        std::thread::sleep(FOLLOW);
        let Ok(firewall) = c.get("/firewall", &[]) else { continue };
        if firewall["script"] != applied {
            run_nft(nft, &firewall["script"])?;
            applied = firewall["script"].clone();
        }
    }
}

fn change_denied(c: &Client, out: &mut Out, change: impl FnOnce(&mut Vec<String>)) -> Result<(), Failure> {
    let now = c.get("/firewall", &[])?;
    let mut deny: Vec<String> = now["deny"].as_array().into_iter().flatten().map(text).collect();
    change(&mut deny);
    let firewall = c.send("PUT", "/firewall", &json!({ "deny": deny }), None)?;
    out.answer(&firewall, |f| {
        let count = f["deny"].as_array().map_or(0, Vec::len);
        format!("{count} networks are denied once `tandem firewall apply` has told the kernel.")
    })
}

fn warn_of_names(firewall: &Value) -> Result<(), Failure> {
    let names: Vec<String> = firewall["left_out"].as_array().into_iter().flatten().map(text).collect();
    if !names.is_empty() {
        let list = names.join(", ");
        writeln!(
            std::io::stderr(),
            "tandem: gateways whose address is a name are limited like strangers: {list}"
        )?;
    }
    Ok(())
}

/// Gives the script to `nft`, which takes all of it or nothing.
fn run_nft(nft: &str, script: &Value) -> Result<(), Failure> {
    let script = script.as_str().unwrap_or("");
    let mut child = Command::new(nft)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| Failure::new(format!("{nft}: {e}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).map_err(|e| Failure::new(format!("{nft}: {e}")))?;
    }
    let done = child.wait_with_output().map_err(|e| Failure::new(format!("{nft}: {e}")))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("{nft}: {}", String::from_utf8_lossy(&done.stderr).trim()))),
    }
}
