//! Versions of the configuration: what was changed, what lies between two, and taking one back.

use super::commands::{all, cell, items, with};
use super::table::table;
use super::{ClientArgs, Failure};
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(super) enum ChangesCommand {
    /// List the versions of the configuration, newest first
    List {
        /// Only changes of something of this name
        #[arg(long)]
        name: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show what a version made different
    Show {
        version: u64,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show what is different between two versions
    Compare {
        from: u64,
        /// The present when absent
        to: Option<u64>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take a version back: all that it changed is as it was before
    Undo {
        version: u64,
        /// Say whether it could be done, and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

pub(super) fn changes(command: ChangesCommand) -> Result<(), Failure> {
    match command {
        ChangesCommand::List { name, limit, client } => with(&client, |client, out| {
            let query: Vec<_> = name.into_iter().map(|name| ("name", name)).collect();
            out.answer(&all(client, "/changes", &query, limit)?, list)
        }),
        ChangesCommand::Show { version, client } => with(&client, |client, out| {
            out.answer(&client.get(&format!("/changes/{version}"), &[])?, differences)
        }),
        ChangesCommand::Compare { from, to, client } => with(&client, |client, out| {
            let mut query = vec![("from", from.to_string())];
            query.extend(to.map(|to| ("to", to.to_string())));
            out.answer(&client.get("/changes/compare", &query)?, differences)
        }),
        ChangesCommand::Undo { version, dry_run, client } => with(&client, |client, out| {
            let path = format!("/changes/{version}/undo");
            let answer = client.send("POST", &path, &json!({ "dry_run": dry_run }), None)?;
            out.answer(&answer, |answer| match dry_run {
                true => format!("Version {version} can be taken back."),
                false => format!("Taken back: this is version {} now.", cell(&answer["version"])),
            })
        }),
    }
}

fn list(list: &Value) -> String {
    let rows: Vec<Vec<String>> = items(list)
        .iter()
        .map(|change| {
            let touched = change["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let mut what: Vec<String> = touched
                .iter()
                .take(3)
                .map(|i| format!("{} {}", cell(&i["kind"]).replace('_', " "), cell(&i["name"])))
                .collect();
            if touched.len() > what.len() {
                what.push(format!("and {} more", touched.len() - what.len()));
            }
            if let Some(undone) = change["undoes"].as_str() {
                what.insert(0, format!("(takes back {undone})"));
            }
            vec![cell(&change["version"]), cell(&change["at"]), cell(&change["author"]), what.join(", ")]
        })
        .collect();
    table(&["VERSION", "AT", "BY", "CHANGED"], &rows)
}

/// Each thing with its fields that differ, before and after.
fn differences(answer: &Value) -> String {
    let mut text = String::new();
    for item in items(answer) {
        let (before, after) = (&item["before"], &item["after"]);
        let what = match (before.is_null(), after.is_null()) {
            (true, true) => "came by file",
            (true, false) => "created",
            (false, true) => "deleted",
            (false, false) => "changed",
        };
        text += &format!("{} {}: {what}\n", cell(&item["kind"]).replace('_', " "), cell(&item["name"]));
        match (before.as_object(), after.as_object()) {
            (Some(old), Some(new)) => {
                for (field, now) in new.iter().filter(|(field, now)| old.get(*field) != Some(now)) {
                    text += &format!(
                        "  {field}: {} -> {}\n",
                        cell(old.get(field).unwrap_or(&Value::Null)),
                        cell(now)
                    );
                }
            }
            _ if before.is_string() || after.is_string() => {
                text += &format!("  {} -> {}\n", cell(before), cell(after));
            }
            _ => {}
        }
    }
    if text.is_empty() { "Nothing is different.\n".to_string() } else { text }
}
