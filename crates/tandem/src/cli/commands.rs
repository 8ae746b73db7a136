//! The commands that talk to a running switch. Each asks the API and prints its answer: as it came with `--json`,
//! else in words.

use super::client::{Client, segment};
use super::seeing;
use super::table::{fields, table};
use super::{
    AccountCommand, CallsCommand, CdrCommand, CdrFilter, ClientArgs, Command, Failure, Out, ParamCommand,
    RerateCommand, RewriteCommand, RouteCommand,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Rows asked for at a time.
const PAGE: usize = 200;

pub fn remote(command: Command) -> Result<(), Failure> {
    match command {
        Command::Apply { files, dry_run, client } => with(&client, |c, out| apply(c, out, &files, dry_run)),
        Command::Export { output, client } => with(&client, |c, out| export(c, out, output.as_ref())),
        Command::Calls { command } => calls(command),
        Command::Cdr { command } => cdr(command),
        Command::Account { command } => account(command),
        Command::Rerate { command } => rerate(command),
        Command::Route { command: RouteCommand::Simulate { from, caller, called, client } } => {
            with(&client, |c, out| simulate(c, out, &from, &caller, &called))
        }
        Command::Alarms { command } => super::guarding::alarms(command),
        Command::Fraud { command } => super::guarding::fraud(command),
        Command::Firewall { command } => super::guarding::firewall(command),
        Command::Monitor { command } => seeing::monitor(command),
        Command::Selftest { client } => with(&client, seeing::self_test),
        Command::Log { command } => seeing::log(command),
        Command::Trace { command } => seeing::trace(command),
        Command::Report(args) => super::reports::report(args),
        Command::Rates { command } => super::rates::rates(command),
        Command::List { command } => super::lists::lists(&command),
        Command::Rewrite { command } => rewrite(&command),
        Command::Phones { command } => super::phones::phones(command),
        Command::Registrations { command } => super::phones::registrations(command),
        Command::Check { client } => with(&client, check),
        Command::Status { client } => with(&client, status),
        Command::Param { command } => param(command),
        Command::Changes { command } => super::changes::changes(command),
        Command::Serve(_)
        | Command::Demo(_)
        | Command::Openapi
        | Command::Version { .. }
        | Command::Backup { .. }
        | Command::Restore { .. }
        | Command::Journal { .. } => Ok(()),
    }
}

fn status(client: &Client, out: &mut Out) -> Result<(), Failure> {
    let answer = client.get("/status", &[])?;
    out.answer(&answer, |status| {
        let rows = status.as_object().into_iter().flatten().flat_map(|(name, value)| match value {
            Value::Object(inner) => inner.iter().map(|(n, v)| (format!("{name} {n}"), cell(v))).collect(),
            Value::Array(list) => list
                .iter()
                .map(|l| (name.clone(), format!("{} {}", cell(&l["transport"]), cell(&l["address"]))))
                .collect(),
            other => vec![(name.clone(), cell(other))],
        });
        rows.map(|(name, value)| format!("{:<34} {value}", name.replace('_', " ")))
            .collect::<Vec<_>>()
            .join("\n")
    })
}

pub fn version(json: bool, out: &mut Out) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    out.text(&if json { json!({ "version": version }).to_string() } else { format!("tandem {version}") })
}

pub(super) fn with(
    args: &ClientArgs,
    f: impl FnOnce(&Client, &mut Out) -> Result<(), Failure>,
) -> Result<(), Failure> {
    f(&Client::new(args)?, &mut Out { json: args.json })
}

impl Out {
    /// The facts with `--json`, else the words.
    pub fn either(&mut self, facts: &Value, words: String) -> Result<(), Failure> {
        self.answer(facts, |_| words)
    }

    /// The API's answer with `--json`, else what `words` makes of it.
    pub(super) fn answer(
        &mut self,
        answer: &Value,
        words: impl FnOnce(&Value) -> String,
    ) -> Result<(), Failure> {
        let text = if self.json { serde_json::to_string_pretty(answer)? } else { words(answer) };
        self.text(&text)
    }
}

/// Every page of a list, or the first `limit` rows.
pub(super) fn all(
    client: &Client,
    path: &str,
    query: &[(&str, String)],
    limit: usize,
) -> Result<Value, Failure> {
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    let mut total = Value::Null;
    loop {
        let mut query = query.to_vec();
        query.push(("limit", PAGE.min(limit - items.len()).to_string()));
        let asked = cursor.take();
        query.extend(asked.clone().map(|c| ("cursor", c)));
        let mut page = client.get(path, &query)?;
        total = if items.is_empty() { page["total"].take() } else { total };
        let rows = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        items.extend(rows);
        // A page may be empty and have another behind it: where much is looked through for little.
        let next = page["next_cursor"].as_str().map(str::to_string);
        let stuck = next.is_some() && next == asked;
        cursor = next;
        if cursor.is_none() || stuck || items.len() >= limit {
            return Ok(json!({ "items": items, "next_cursor": cursor, "total": total }));
        }
    }
}

pub(super) fn items(list: &Value) -> &[Value] {
    list["items"].as_array().or(list.as_array()).map(Vec::as_slice).unwrap_or_default()
}

/// A value as it stands in a cell.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(s) if s.is_empty() => "-".into(),
        Value::Array(list) if list.is_empty() => "-".into(),
        Value::String(s) => s.chars().filter(|c| !c.is_control()).collect(),
        Value::Bool(b) => if *b { "yes" } else { "no" }.into(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A table of some fields of each row.
pub(super) fn columns(list: &[Value], columns: &[(&str, &str)]) -> String {
    let heading: Vec<&str> = columns.iter().map(|(h, _)| *h).collect();
    let row = |v: &Value| columns.iter().map(|(_, path)| cell(at(v, path))).collect();
    table(&heading, &list.iter().map(row).collect::<Vec<_>>())
}

/// `a.b` of a document.
fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(value, |v, name| &v[name])
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn apply(client: &Client, out: &mut Out, files: &[PathBuf], dry_run: bool) -> Result<(), Failure> {
    let mut sources = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| Failure::new(format!("{name}: {e}")))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let before = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            Failure::new(format!("{name}:{line}: not UTF-8 text"))
        })?;
        sources.push(json!({ "name": name, "text": text }));
    }
    let answer = client.send("POST", "/apply", &json!({ "files": sources, "dry_run": dry_run }), None)?;
    if !dry_run {
        // Balances come from the brain, which answers once it has the new configuration: when this command returns,
        // calls are treated by it.
        client.get("/accounts", &[("limit", "1".into())])?;
    }
    out.answer(&answer, |answer| changes(answer, dry_run))
}

fn changes(answer: &Value, dry_run: bool) -> String {
    let changes = answer["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    for change in changes {
        let (action, kind, name) = (cell(&change["action"]), cell(&change["kind"]), cell(&change["name"]));
        text += &format!("{action:6}  {} {name}\n", kind.replace('_', " "));
        for field in change["fields"].as_array().into_iter().flatten() {
            let (before, after) = (cell(&field["before"]), cell(&field["after"]));
            text += &format!("        {}: {before} → {after}\n", cell(&field["field"]));
        }
    }
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        text += &format!("warning: {}\n", cell(warning));
    }
    let count = counted(changes.len(), "change", "changes");
    text += &match (changes.is_empty(), dry_run) {
        (true, _) => "Nothing to change.\n".to_string(),
        (false, true) => format!("{count}; nothing was changed (dry run).\n"),
        (false, false) => format!("{count} applied.\n"),
    };
    text
}

fn export(client: &Client, out: &mut Out, output: Option<&PathBuf>) -> Result<(), Failure> {
    let text = client.get_text("/export", &[])?;
    match output {
        Some(path) => {
            std::fs::write(path, text).map_err(|e| Failure::new(format!("{}: {e}", path.display())))
        }
        None if out.json => out.answer(&json!({ "text": text }), |_| String::new()),
        None => out.text(&text),
    }
}

fn calls(command: CallsCommand) -> Result<(), Failure> {
    match command {
        CallsCommand::List { search, client } => with(&client, |c, out| {
            let query: Vec<_> = search.into_iter().map(|q| ("q", q)).collect();
            let list = all(c, "/calls", &query, usize::MAX)?;
            out.answer(&list, |list| {
                let shown = columns(
                    items(list),
                    &[
                        ("ID", "id"),
                        ("STATE", "state"),
                        ("SECONDS", "duration_s"),
                        ("CALLER", "caller"),
                        ("CALLED", "callee"),
                        ("ACCOUNT", "account"),
                        ("FROM", "mapping_gateway"),
                        ("TO", "routing_gateway"),
                        ("CODEC", "codec"),
                        ("CHARGED", "charged_so_far"),
                    ],
                );
                if items(list).is_empty() { "No calls in progress.".into() } else { shown }
            })
        }),
        CallsCommand::Analyse { id, client } => with(&client, |c, out| seeing::analyse(&id, c, out)),
        CallsCommand::Pcap { id, output, client } => with(&client, |c, out| {
            seeing::save(&format!("/calls/{}/pcap", segment(&id)), &[], &output, c, out)
        }),
        CallsCommand::Text { id, client } => {
            with(&client, |c, out| out.text(&c.get_text(&format!("/calls/{}/text", segment(&id)), &[])?))
        }
        CallsCommand::Evidence { id, output, client } => with(&client, |c, out| {
            seeing::save(&format!("/calls/{}/evidence", segment(&id)), &[], &output, c, out)
        }),
        CallsCommand::Kill { ids, all: every, reason, client } => with(&client, |c, out| {
            let ids = if every {
                items(&all(c, "/calls", &[], usize::MAX)?).iter().map(|call| cell(&call["id"])).collect()
            } else {
                ids
            };
            for id in &ids {
                let gone = c.send(
                    "POST",
                    &format!("/calls/{}/disconnect", segment(id)),
                    &json!({ "reason": reason }),
                    None,
                );
                // With --all a call may have ended by itself in between.
                if !every {
                    gone?;
                }
            }
            out.answer(&json!({ "disconnected": ids }), |_| {
                format!("{} disconnected.", counted(ids.len(), "call", "calls"))
            })
        }),
    }
}

fn cdr(command: CdrCommand) -> Result<(), Failure> {
    match command {
        CdrCommand::Export { file, filter, client } => {
            with(&client, |c, _| super::reports::export(c, &file, &cdr_query(filter)))
        }
        CdrCommand::Stream { after, client } => with(&client, |c, out| {
            let answer = match after {
                Some(after) => c.send("PUT", "/cdr-stream", &json!({ "after": after }), None)?,
                None => c.get("/cdr-stream", &[])?,
            };
            out.answer(&answer, plain_fields)
        }),
        CdrCommand::List { filter, client } => with(&client, |c, out| {
            let limit = filter.limit;
            let list = all(c, "/cdrs", &cdr_query(filter), limit)?;
            out.answer(&list, |list| {
                columns(
                    items(list),
                    &[
                        ("ID", "id"),
                        ("START", "start"),
                        ("CALLER", "caller"),
                        ("CALLED", "callee"),
                        ("ACCOUNT", "account"),
                        ("TO", "routing_gateway"),
                        ("BILLED S", "billed_s"),
                        ("FEE", "fee"),
                        ("COST", "cost"),
                        ("PROFIT", "profit"),
                        ("END REASON", "end_reason"),
                        ("BY", "ended_by"),
                        ("SIP", "sip_code"),
                    ],
                )
            })
        }),
        CdrCommand::Show { id, client } => with(&client, |c, out| {
            let cdr = c.get(&format!("/cdrs/{}", segment(&id)), &[])?;
            out.answer(&cdr, show_cdr)
        }),
    }
}

fn cdr_query(f: CdrFilter) -> Vec<(&'static str, String)> {
    [
        ("from", f.from),
        ("to", f.to),
        ("account", f.account),
        ("mapping_gateway", f.mapping_gateway),
        ("routing_gateway", f.routing_gateway),
        ("caller", f.caller),
        ("callee", f.callee),
        ("number", f.number),
        ("end_reason", f.end_reason),
        ("ended_by", f.ended_by),
        ("answered", f.answered.map(|a| a.to_string())),
        ("min_duration_s", f.min_duration_s.map(|s| s.to_string())),
        ("below_cost", f.below_cost.map(|b| b.to_string())),
        ("max_duration_s", f.max_duration_s.map(|s| s.to_string())),
        ("vendor", f.vendor),
        ("prefix", f.prefix),
        ("area", f.area),
        ("call_id", f.call_id),
        ("sip_code", f.sip_code.map(|c| c.to_string())),
        ("min_fee", f.min_fee),
        ("max_fee", f.max_fee),
        ("q", f.search),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|v| (name, v)))
    .collect()
}

/// The fields of a document that are neither lists nor documents, one a line.
fn plain_fields(document: &Value) -> String {
    let object = document.as_object();
    let plain = object.into_iter().flatten().filter(|(_, v)| !v.is_object() && !v.is_array() || is_list(v));
    let shown: Vec<(&str, String)> = plain.map(|(name, v)| (name.as_str(), cell(v))).collect();
    fields(&shown)
}

fn is_list(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(|v| v.is_string() || v.is_number()))
}

fn show_cdr(cdr: &Value) -> String {
    let mut text = plain_fields(&without(cdr, &["attempts", "route"]));
    for (name, title) in [
        ("rate", "Rate"),
        ("cost_rate", "Cost rate"),
        ("media_a", "Media, caller"),
        ("media_b", "Media, called"),
    ] {
        if cdr[name].is_object() {
            text += &format!("\n{title}\n{}", plain_fields(&cdr[name]));
        }
    }
    text += "\nAttempts\n";
    text += &columns(
        items(&cdr["attempts"]),
        &[
            ("GATEWAY", "gateway"),
            ("ACCOUNT", "account"),
            ("CALLED", "called"),
            ("START", "start"),
            ("RESULT", "result"),
            ("SIP", "sip_code"),
            ("Q.850", "q850"),
            ("TEXT", "text"),
        ],
    );
    text + "\n" + &show_route(&cdr["route"])
}

fn without(document: &Value, names: &[&str]) -> Value {
    let mut document = document.clone();
    if let Some(object) = document.as_object_mut() {
        object.retain(|name, _| !names.contains(&name.as_str()));
    }
    document
}

fn show_route(route: &Value) -> String {
    let steps =
        columns(items(&route["steps"]), &[("STEP", "step"), ("OUTCOME", "outcome"), ("DETAIL", "detail")]);
    let candidates = columns(
        items(&route["candidates"]),
        &[
            ("GATEWAY", "gateway"),
            ("VERDICT", "verdict"),
            ("REASON", "reason"),
            ("PRIORITY", "priority"),
            ("PREFIX", "prefix"),
            ("COST/MIN", "cost_per_minute"),
            ("MARGIN/MIN", "margin_per_minute"),
        ],
    );
    format!("Route\n{steps}\nGateways\n{candidates}")
}

const ACCOUNT_COLUMNS: &[(&str, &str)] = &[
    ("NAME", "name"),
    ("KIND", "kind"),
    ("PAYMENT", "payment"),
    ("BALANCE", "balance"),
    ("RESERVED", "reserved"),
    ("AVAILABLE", "available"),
    ("CURRENCY", "currency"),
    ("CALLS", "calls"),
    ("STATE", "state"),
    ("RATE GROUP", "rate_group"),
];

const LOW_COLUMNS: &[(&str, &str)] = &[
    ("NAME", "name"),
    ("KIND", "kind"),
    ("BALANCE", "balance"),
    ("AVAILABLE", "available"),
    ("PREPAID LEFT", "prepaid_left"),
    ("WARN BELOW", "low_balance"),
    ("CURRENCY", "currency"),
    ("STATE", "state"),
    ("CONTACTS", "contacts"),
];

const OWED_COLUMNS: &[(&str, &str)] = &[
    ("VENDOR", "name"),
    ("OWED", "owed"),
    ("PREPAID LEFT", "prepaid_left"),
    ("WARN BELOW", "low_balance"),
    ("CURRENCY", "currency"),
    ("LOW", "low"),
];

fn account(command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Low { client } => with(&client, |c, out| {
            let list = all(c, "/accounts", &[("low", "true".into())], usize::MAX)?;
            out.answer(&list, |list| columns(items(list), LOW_COLUMNS))
        }),
        AccountCommand::Owed { client } => with(&client, |c, out| {
            let list = all(c, "/accounts", &[("kind", "vendor".into())], usize::MAX)?;
            out.answer(&list, |list| columns(items(list), OWED_COLUMNS))
        }),
        AccountCommand::Transfer { from, to, amount, note, key, client } => with(&client, |c, out| {
            let key = match key {
                Some(key) => key,
                None => random_key()?,
            };
            let body = json!({ "to": to, "amount": amount, "note": note });
            let moved =
                c.send("POST", &format!("/accounts/{}/transfers", segment(&from)), &body, Some(&key))?;
            out.answer(&moved, |moved| {
                let balance = |side: &str| cell(&moved[side]["balance_after"]);
                format!("{amount} moved; balance of {from} {}, of {to} {}.", balance("from"), balance("to"))
            })
        }),
        AccountCommand::List { client } => with(&client, |c, out| {
            let list = all(c, "/accounts", &[], usize::MAX)?;
            out.answer(&list, |list| columns(items(list), ACCOUNT_COLUMNS))
        }),
        AccountCommand::Show { name, client } => with(&client, |c, out| {
            let path = format!("/accounts/{}", segment(&name));
            let account = c.get(&path, &[])?;
            let ledger = all(c, &format!("{path}/ledger"), &[], 20)?;
            out.answer(&json!({ "account": account, "ledger": ledger }), |shown| {
                let entries = columns(
                    items(&shown["ledger"]),
                    &[
                        ("AT", "at"),
                        ("KIND", "kind"),
                        ("AMOUNT", "amount"),
                        ("BALANCE", "balance_after"),
                        ("BY", "by"),
                        ("CALL", "call_id"),
                        ("NOTE", "note"),
                    ],
                );
                format!("{}\nLatest entries\n{entries}", plain_fields(&shown["account"]))
            })
        }),
        AccountCommand::Pay { name, amount, kind, note, key, client } => with(&client, |c, out| {
            // Without a key of the caller's, one that is used once: a repeated command is a second payment.
            let key = match key {
                Some(key) => key,
                None => random_key()?,
            };
            let body = json!({ "amount": amount, "kind": kind, "note": note });
            let path = format!("/accounts/{}/payments", segment(&name));
            let paid = c.send("POST", &path, &body, Some(&key))?;
            out.answer(&paid, |paid| {
                format!(
                    "{} {} on {name}; balance {}.",
                    cell(&paid["entry"]["amount"]),
                    kind,
                    cell(&paid["balance"])
                )
            })
        }),
    }
}

fn rerate(command: RerateCommand) -> Result<(), Failure> {
    let shown = |result: &Value| {
        let sums = columns(
            items(&result["accounts"]),
            &[
                ("ACCOUNT", "account"),
                ("CALLS", "calls"),
                ("BEFORE", "before"),
                ("AFTER", "after"),
                ("DIFFERENCE", "difference"),
            ],
        );
        let unpriced = result["unpriced"].as_object().into_iter().flatten();
        let unpriced: String = unpriced.map(|(why, n)| format!("{n} prices left alone: {why}.\n")).collect();
        format!("{} calls looked at; {}.\n{unpriced}{sums}", cell(&result["calls"]), cell(&result["state"]))
    };
    match command {
        RerateCommand::Run { from, to, account, rate_group, name, client } => with(&client, |c, out| {
            let body =
                json!({ "from": from, "to": to, "account": account, "rate_group": rate_group, "name": name });
            let result = c.send("POST", "/reratings", &body, None)?;
            out.answer(&result, shown)
        }),
        RerateCommand::List { client } => with(&client, |c, out| {
            let list = c.get("/reratings", &[])?;
            let heads = &[
                ("NAME", "name"),
                ("STATE", "state"),
                ("AT", "made_at"),
                ("BY", "made_by"),
                ("FROM", "request.from"),
                ("TO", "request.to"),
            ];
            out.answer(&list, |list| columns(items(list), heads))
        }),
        RerateCommand::Undo { name, client } => with(&client, |c, out| {
            let result = c.send("POST", &format!("/reratings/{}/undo", segment(&name)), &json!({}), None)?;
            out.answer(&result, shown)
        }),
    }
}

fn random_key() -> Result<String, Failure> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| Failure::new(format!("no random numbers: {e}")))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

fn simulate(client: &Client, out: &mut Out, from: &str, caller: &str, called: &str) -> Result<(), Failure> {
    let body = json!({ "gateway": from, "caller": caller, "called": called });
    let answer = client.send("POST", "/route/simulate", &body, None)?;
    out.answer(&answer, |answer| {
        let plan = match cell(&answer["plan"]) {
            plan if plan.is_empty() => "no gateway".to_string(),
            plan => plan,
        };
        format!("{}: {plan}\n\n{}", cell(&answer["outcome"]), show_route(answer))
    })
}

fn rewrite(command: &RewriteCommand) -> Result<(), Failure> {
    let read = |file: &PathBuf| {
        std::fs::read_to_string(file).map_err(|e| Failure::new(format!("{}: {e}", file.display())))
    };
    match command {
        RewriteCommand::Test { number, rules, file, mapping_gateway, routing_gateway, caller, client } => {
            with(client, |c, out| {
                let gateway = mapping_gateway.as_ref().map(|name| ("mapping-gateways", name));
                let gateway = gateway.or(routing_gateway.as_ref().map(|name| ("routing-gateways", name)));
                let rules = match (rules, file, gateway) {
                    (Some(rules), _, _) => rules.clone(),
                    (_, Some(file), _) => read(file)?,
                    (_, _, Some((kind, name))) => {
                        let gateway = c.get(&format!("/{kind}/{}", segment(name)), &[])?;
                        let field = if *caller { "caller_rewrite" } else { "called_rewrite" };
                        let list = gateway[field].as_array().into_iter().flatten();
                        list.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
                    }
                    (None, None, None) => String::new(),
                };
                let answer =
                    c.send("POST", "/route/rewrite", &json!({ "rules": rules, "number": number }), None)?;
                out.answer(&answer, show_rewrites)?;
                refuse_wrong_rules(&answer)
            })
        }
        RewriteCommand::Read { file, good_only, client } => with(client, |c, out| {
            let answer = c.send("POST", "/route/rewrite", &json!({ "rules": read(file)? }), None)?;
            out.answer(&answer, |answer| {
                let good = answer["rules"].as_array().into_iter().flatten().filter(|r| r["error"].is_null());
                let lines = good.map(|r| format!("  {},\n", r["rule"]));
                format!("called_rewrite = [\n{}]", lines.collect::<String>())
            })?;
            if *good_only { Ok(()) } else { refuse_wrong_rules(&answer) }
        }),
    }
}

fn show_rewrites(answer: &Value) -> String {
    let results = answer["results"].as_array().into_iter().flatten();
    let lines = results.map(|r| match r["rule"].as_str() {
        Some(rule) if r["percent"] == 100 => format!("{}  by {rule}\n", cell(&r["number"])),
        Some(rule) => format!("{}  by {rule}, {} %\n", cell(&r["number"]), cell(&r["percent"])),
        None => format!("{}  no rule matches\n", cell(&r["number"])),
    });
    lines.collect::<String>().trim_end().to_string()
}

fn refuse_wrong_rules(answer: &Value) -> Result<(), Failure> {
    let rules = answer["rules"].as_array().into_iter().flatten().filter(|r| !r["error"].is_null());
    let wrong: Vec<String> =
        rules.map(|r| format!("line {}, {:?}: {}", r["line"], cell(&r["rule"]), cell(&r["error"]))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(Failure::new(wrong.join("\n"))) }
}

fn check(client: &Client, out: &mut Out) -> Result<(), Failure> {
    let answer = client.send("POST", "/check", &json!({}), None)?;
    out.answer(&answer, |answer| {
        let findings = answer["findings"].as_array().into_iter().flatten();
        findings
            .map(|f| {
                let mark = if f["ok"] == true { "ok  " } else { "BAD " };
                format!("{mark} {}: {}\n", cell(&f["check"]), cell(&f["detail"]))
            })
            .collect()
    })?;
    if answer["ok"] == true {
        Ok(())
    } else {
        Err(Failure::new("the stored data does not agree with itself"))
    }
}

fn param(command: ParamCommand) -> Result<(), Failure> {
    match command {
        ParamCommand::List { search, changed, client } => with(&client, |c, out| {
            let mut list = c.get("/parameters", &[])?;
            let wanted = search.unwrap_or_default().to_lowercase();
            let occurs = |p: &Value, field: &str| cell(&p[field]).to_lowercase().contains(&wanted);
            if let Some(list) = list.as_array_mut() {
                list.retain(|p| {
                    ["name", "aliases", "help"].iter().any(|f| occurs(p, f))
                        && (!changed || p["changed"] == true)
                });
            }
            out.answer(&list, |list| {
                columns(
                    items(list),
                    &[
                        ("NAME", "name"),
                        ("VALUE", "value"),
                        ("DEFAULT", "default"),
                        ("RANGE", "range"),
                        ("HELP", "help"),
                    ],
                )
            })
        }),
        ParamCommand::Set { name, value, client } => with(&client, |c, out| {
            let answer =
                c.send("PUT", &format!("/parameters/{}", segment(&name)), &json!({ "value": value }), None)?;
            out.answer(&answer, |_| format!("{name} = {value}"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_in_words() {
        let answer = json!({"changes": [
            {"action": "create", "kind": "rate_group", "name": "retail", "fields": []},
            {"action": "update", "kind": "account", "name": "acme", "fields": [{"field": "credit_limit", "before": "0", "after": null}]},
        ]});
        let want = "create  rate group retail\nupdate  account acme\n        credit_limit: 0 → -\n2 changes applied.\n";
        assert_eq!(changes(&answer, false), want);
        assert_eq!(changes(&json!({"changes": []}), true), "Nothing to change.\n");
    }

    #[test]
    fn cells_carry_no_control_characters() {
        for (value, want) in [
            (json!(null), "-"),
            (json!(""), "-"),
            (json!([]), "-"),
            (json!("a\u{1b}[31mb\n"), "a[31mb"),
            (json!(true), "yes"),
            (json!(["a", 1]), "a, 1"),
            (json!(12), "12"),
        ] {
            assert_eq!(cell(&value), want);
        }
    }
}
