//! `tandem list`: black and white lists.

use super::client::segment;
use super::commands::{cell, with};
use super::table::table;
use super::{Failure, ListCommand};
use serde_json::{Value, json};

/// Numbers shown at a time.
const SHOWN: &str = "1000";

pub fn lists(command: &ListCommand) -> Result<(), Failure> {
    match command {
        ListCommand::Import { list, file, replace, good_only, client } => {
            let bytes = std::fs::read(file).map_err(|e| Failure::new(format!("{}: {e}", file.display())))?;
            let query = [("replace", replace.to_string()), ("good_lines_only", good_only.to_string())];
            with(client, |c, out| {
                let answer =
                    c.send_file(&format!("/number-lists/{}/numbers", segment(list)), &query, &bytes)?;
                out.answer(&answer, imported)
            })
        }
        ListCommand::Show { list, begin, client } => with(client, |c, out| {
            let mut query = vec![("limit", SHOWN.to_owned())];
            query.extend(begin.clone().map(|begin| ("begin", begin)));
            let answer = c.get(&format!("/number-lists/{}/numbers", segment(list)), &query)?;
            out.answer(&answer, |answer| {
                let numbers = answer["items"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let mut text: String = numbers.map(|number| format!("{number}\n")).collect();
                if !answer["next"].is_null() {
                    text += "and more\n";
                }
                text
            })
        }),
        ListCommand::Remove { list, number, client } => with(client, |c, out| {
            c.delete(&format!("/number-lists/{}/numbers/{}", segment(list), segment(number)))?;
            out.answer(&json!({ "removed": number }), |_| format!("{number} is out of {list}.\n"))
        }),
        ListCommand::Barred { client } => with(client, |c, out| {
            let answer = c.get("/dynamic-black-list", &[])?;
            out.answer(&answer, |answer| {
                let fields = ["whose", "number", "since", "words"];
                let row = |bar: &Value| fields.map(|field| cell(&bar[field])).to_vec();
                let rows: Vec<_> = answer["items"].as_array().into_iter().flatten().map(row).collect();
                table(&["WHOSE", "NUMBER", "SINCE", "WHY"], &rows)
            })
        }),
        ListCommand::Unbar { whose, number, client } => with(client, |c, out| {
            c.delete(&format!("/dynamic-black-list/{}/{}", segment(whose), segment(number)))?;
            out.answer(&json!({ "unbarred": number }), |_| format!("{number} may call again.\n"))
        }),
    }
}

fn imported(answer: &Value) -> String {
    let count = |field: &str| answer[field].as_u64().unwrap_or(0);
    let mut text: String = answer["left_out"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| format!("line {}: {}\n", p["line"], p["message"].as_str().unwrap_or_default()))
        .collect();
    text += &format!("{} added, {} known, {} removed.\n", count("added"), count("known"), count("removed"));
    text
}
