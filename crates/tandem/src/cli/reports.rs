//! `tandem report`: reports on the terminal and in files.

use super::client::{Client, segment};
use super::commands::with;
use super::table::table;
use super::{Failure, Out, ReportArgs};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

pub fn report(args: ReportArgs) -> Result<(), Failure> {
    let client = args.client.clone();
    with(&client, |c, out| match args.name.as_str() {
        "list" => out.answer(&c.get("/reports", &[])?, list),
        "rebuild" => {
            let answer = c.send("POST", "/reports/rebuild", &json!({}), None)?;
            out.answer(&answer, |a| format!("The sums were made anew from {} records.", a["cdrs"]))
        }
        name => make(c, out, &format!("/reports/{}", segment(name)), &args),
    })
}

fn make(client: &Client, out: &mut Out, path: &str, args: &ReportArgs) -> Result<(), Failure> {
    let mut query = vec![("tz", args.tz.clone())];
    let given = [("from", &args.from), ("to", &args.to), ("group", &args.group)];
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    let mut filters = Vec::new();
    for filter in &args.filters {
        let wrong = || Failure::new(format!("{filter:?} is no filter; expected one like account=acme"));
        filters.push(filter.split_once('=').ok_or_else(wrong)?);
    }
    query.extend(filters.iter().map(|(name, value)| (*name, value.to_string())));
    if let Some(file) = &args.xlsx {
        query.push(("format", "xlsx".into()));
        let bytes = client.get_bytes(path, &query)?;
        return std::fs::write(file, bytes).map_err(|e| Failure::new(format!("{}: {e}", file.display())));
    }
    if args.csv {
        query.push(("format", "csv".into()));
        let text = client.get_text(path, &query)?;
        return out.text(&text);
    }
    out.answer(&client.get(path, &query)?, words)
}

/// Records to a file: the switch makes it, this waits and takes it.
pub fn export(client: &Client, file: &Path, query: &[(&str, String)]) -> Result<(), Failure> {
    let xlsx = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("xlsx"));
    let path = if xlsx { "/cdr-exports/xlsx" } else { "/cdr-exports/csv" };
    let begun = client.send_file(path, query, &[])?;
    let path = format!("/cdr-exports/{}", begun["id"].as_str().unwrap_or_default());
    loop {
        let now = client.get(&path, &[])?;
        match now["state"].as_str() {
            Some("running") => std::thread::sleep(Duration::from_millis(200)),
            Some("done") => break,
            _ => return Err(Failure::new(format!("the export was not made: {}", now["error"]))),
        }
    }
    let bytes = client.get_bytes(&format!("{path}/file"), &[])?;
    std::fs::write(file, bytes).map_err(|e| Failure::new(format!("{}: {e}", file.display())))?;
    client.delete(&path)
}

fn list(reports: &Value) -> String {
    let names = |v: &Value| {
        let list = v.as_array().into_iter().flatten().filter_map(Value::as_str);
        list.collect::<Vec<_>>().join(",")
    };
    let rows = reports.as_array().into_iter().flatten().map(|report| {
        let text = |name: &str| report[name].as_str().unwrap_or_default().to_string();
        vec![text("name"), text("title"), names(&report["group"])]
    });
    table(&["NAME", "TITLE", "BY"], &rows.collect::<Vec<_>>())
}

fn words(report: &Value) -> String {
    let group = report["group"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let measures = report["measures"].as_array().into_iter().flatten().filter_map(|m| m["name"].as_str());
    let heading: Vec<String> =
        group.chain(measures).map(|name| name.replace('_', " ").to_uppercase()).collect();
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let cells = |row: &Value| {
        let cells = row["cells"].as_array().into_iter().flatten();
        cells.map(|c| c.as_str().unwrap_or("-").to_string()).collect::<Vec<_>>()
    };
    let all = |name: &str| report[name].as_array().into_iter().flatten().map(cells).collect::<Vec<_>>();
    let rows = all("rows");
    let text = |name: &str| report[name].as_str().unwrap_or_default();
    let when = format!("{}, {} to {}, {}\n", text("title"), text("from"), text("to"), text("time_zone"));
    if rows.is_empty() {
        return when + "Nothing.";
    }
    let mut totals = all("totals");
    for total in &mut totals {
        if let Some(first) = total.first_mut().filter(|c| *c == "-") {
            *first = "total".into();
        }
    }
    when + &table(&heading, &[rows, totals].concat())
}
