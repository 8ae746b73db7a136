//! `tandem rates`: decks in, customers' rates made from them.

use super::client::{Client, segment};
use super::commands::with;
use super::table::{fields, table};
use super::{Failure, Out, RatesCommand, Then};
use serde_json::{Map, Value, json};
use std::time::Duration;

pub fn rates(command: RatesCommand) -> Result<(), Failure> {
    match command {
        RatesCommand::Import {
            group,
            file,
            replace,
            effective,
            decimal_mark,
            date_order,
            free_is_meant,
            increments,
            columns,
            then,
            client,
        } => {
            let bytes = std::fs::read(&file).map_err(|e| Failure::new(format!("{}: {e}", file.display())))?;
            let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let mut query = vec![("name", name), ("replace", replace.to_string())];
            query.push(("free_is_meant", free_is_meant.to_string()));
            let said = [
                ("effective", effective),
                ("decimal_mark", decimal_mark),
                ("date_order", date_order),
                ("increments", increments),
                ("columns", headings(&columns)?),
            ];
            query.extend(said.into_iter().filter_map(|(name, value)| Some((name, value?))));
            with(&client, |c, out| {
                let begun = c.send_file(&path(&group, "imports"), &query, &bytes)?;
                follow(c, out, &group, &begun, then)
            })
        }
        RatesCommand::Make {
            group,
            from,
            margin,
            mark_up,
            amount,
            decimals,
            floor,
            prefixes,
            replace,
            then,
            client,
        } => {
            let body = json!({"from": from, "margin": margin, "mark_up": mark_up, "amount": amount, "decimals": decimals,
                "floor": floor, "prefixes": prefixes, "replace": replace});
            with(&client, |c, out| {
                let begun = c.send("POST", &path(&group, "made-rates"), &body, None)?;
                follow(c, out, &group, &begun, then)
            })
        }
        RatesCommand::Imports { group, client } => with(&client, |c, out| {
            let answer = c.get(&path(&group, "imports"), &[])?;
            out.answer(&answer, list)
        }),
        RatesCommand::Apply { group, import, skip_bad_rows, client } => with(&client, |c, out| {
            let path = path(&group, &format!("imports/{import}/apply"));
            let answer = c.send("POST", &path, &json!({ "skip_bad_rows": skip_bad_rows }), None)?;
            out.answer(&answer, words)
        }),
        RatesCommand::Undo { group, import, client } => with(&client, |c, out| {
            let answer =
                c.send("POST", &path(&group, &format!("imports/{import}/undo")), &json!({}), None)?;
            out.answer(&answer, words)
        }),
    }
}

fn path(group: &str, rest: &str) -> String {
    format!("/rate-groups/{}/{rest}", segment(group))
}

/// `codes=Nummer` and so on, as the API takes them.
fn headings(columns: &[String]) -> Result<Option<String>, Failure> {
    let mut map = Map::new();
    for column in columns {
        let wrong = || Failure::new(format!("{column:?} is no column; expected one like codes=Nummer"));
        let (field, heading) = column.split_once('=').ok_or_else(wrong)?;
        map.insert(field.to_string(), heading.into());
    }
    Ok((!map.is_empty()).then(|| Value::Object(map).to_string()))
}

/// Waits until the rates are read, and applies them if that is wanted.
fn follow(client: &Client, out: &mut Out, group: &str, begun: &Value, then: Then) -> Result<(), Failure> {
    let id = begun["id"].as_str().unwrap_or_default();
    let one = path(group, &format!("imports/{}", segment(id)));
    let mut import = client.get(&one, &[])?;
    while import["state"] == "reading" {
        std::thread::sleep(Duration::from_millis(200));
        import = client.get(&one, &[])?;
    }
    if then.apply && import["state"] == "ready" {
        let body = json!({ "skip_bad_rows": then.skip_bad_rows });
        match client.send("POST", &format!("{one}/apply"), &body, None) {
            Ok(applied) => import = applied,
            Err(refused) => {
                out.answer(&import, words)?;
                return Err(refused);
            }
        }
    }
    out.answer(&import, words)?;
    match import["state"].as_str() {
        Some("failed") => Err(Failure::new("the rates cannot be read; nothing has changed")),
        _ => Ok(()),
    }
}

/// Faults and differences that are printed.
const SHOWN: usize = 20;

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| if value.is_null() { "-".to_string() } else { value.to_string() }, str::to_string)
}

fn words(import: &Value) -> String {
    let names = [
        "state",
        "name",
        "good_rows",
        "bad_rows",
        "notes",
        "codes",
        "new",
        "gone",
        "dearer",
        "cheaper",
        "changed",
        "same",
        "below_cost_count",
    ];
    let shown: Vec<(&str, String)> = names.iter().map(|name| (*name, text(&import[name]))).collect();
    let mut all = fields(&[("id", text(&import["id"]))]) + &fields(&shown);
    let faults = import["failure"].as_object().map(|_| &import["failure"]).into_iter();
    let faults = faults.chain(import["faults"].as_array().into_iter().flatten());
    for fault in faults.take(SHOWN) {
        all += &format!(
            "line {}, column {}: {}\n",
            fault["line"],
            text(&fault["column"]),
            text(&fault["reason"])
        );
    }
    let differences = import["differences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<String>> = differences
        .iter()
        .take(SHOWN)
        .map(|d| ["prefix", "area", "before", "after"].iter().map(|name| text(&d[name])).collect())
        .collect();
    if !rows.is_empty() {
        all += &table(&["prefix", "area", "before", "after"], &rows);
    }
    all.lines().map(|l| l.trim_end().to_string() + "\n").collect()
}

fn list(answer: &Value) -> String {
    let names = ["id", "name", "state", "started_at", "started_by", "good_rows", "bad_rows"];
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<String>> =
        items.iter().map(|i| names.iter().map(|name| text(&i[name])).collect()).collect();
    if rows.is_empty() { "No imports".to_string() } else { table(&names, &rows) }
}
