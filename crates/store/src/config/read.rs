//! From loose values to documents, with every field at fault named.

use super::{Document, Rate};
use crate::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads a document from JSON: all unknown, missing and mistyped fields at once.
pub fn from_json<T: Document>(value: Value) -> Result<T, Vec<Problem>> {
    read(value, &T::example(), T::REQUIRED, T::INPUT_ONLY)
}

impl Rate {
    /// Reads a rate from JSON, like [`from_json`].
    pub fn from_json(value: Value) -> Result<Rate, Vec<Problem>> {
        read(value, &Rate::example(), Rate::REQUIRED, &[])
    }
}

fn read<T: Serialize + DeserializeOwned>(
    value: Value,
    example: &T,
    required: &[&str],
    input_only: &[&str],
) -> Result<T, Vec<Problem>> {
    // The common case first: a million good rates need no second look.
    let Value::Object(fields) = value else {
        return Err(vec![Problem::new("", "expected a table of fields")]);
    };
    match T::deserialize(&fields) {
        Ok(document) => Ok(document),
        Err(e) => {
            let found = diagnose(&fields, example, required, input_only);
            // Fields that are good one by one cannot fail together, but a problem must never be lost.
            Err(if found.is_empty() { vec![Problem::new("", e.to_string())] } else { found })
        }
    }
}

/// Reads each field alone, within an otherwise good document.
fn diagnose<T: Serialize + DeserializeOwned>(
    fields: &Map<String, Value>,
    example: &T,
    required: &[&str],
    input_only: &[&str],
) -> Vec<Problem> {
    let Ok(Value::Object(good)) = serde_json::to_value(example) else { return Vec::new() };
    let mut problems = Vec::new();
    for (name, value) in fields {
        if !good.contains_key(name) && !input_only.contains(&name.as_str()) {
            let known: Vec<&str> =
                good.keys().map(String::as_str).chain(input_only.iter().copied()).collect();
            problems.push(Problem::new(name.clone(), format!("unknown field{}", did_you_mean(name, &known))));
            continue;
        }
        let mut trial = good.clone();
        trial.insert(name.clone(), value.clone());
        if let Err(e) = T::deserialize(&trial) {
            problems.push(Problem::new(name.clone(), in_plain_words(&e.to_string())));
        }
    }
    for name in required.iter().filter(|name| !fields.contains_key(**name)) {
        problems.push(Problem::new(*name, "is missing"));
    }
    problems
}

/// Fields of a document, in the order in which they are written.
pub(crate) fn known_fields<T: Document>() -> Vec<String> {
    match serde_json::to_value(T::example()) {
        Ok(Value::Object(fields)) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Money is text, never a number: say so where a number was written.
fn in_plain_words(message: &str) -> String {
    let number =
        message.starts_with("invalid type: integer") || message.starts_with("invalid type: floating point");
    if number && message.ends_with("expected a string") {
        format!("{message}; write it in quotes, like \"12.50\"")
    } else {
        message.to_string()
    }
}

/// "; did you mean …" when one name is near, else the list of what there is.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    let lower: String = name.chars().take(64).collect::<String>().to_lowercase();
    let nearest = known.iter().map(|k| (distance(&lower, k), *k)).min();
    match nearest {
        Some((d, k)) if d <= 1 + lower.len() / 4 => format!("; did you mean {k:?}?"),
        _ => format!("; expected one of {}", known.join(", ")),
    }
}

/// Insertions, deletions and replacements that turn one text into the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let (mut diagonal, mut left) = (i, i + 1);
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Account, MappingGateway, RoutingGateway};
    use super::*;
    use serde_json::json;

    fn faults<T: Document>(value: Value) -> Vec<(String, String)> {
        from_json::<T>(value)
            .map(|_| Vec::new())
            .unwrap_or_else(|p| p.into_iter().map(|p| (p.field, p.message)).collect())
    }

    #[test]
    fn every_field_at_fault_is_named() {
        let found = faults::<Account>(json!({
            "name": "acme", "kind": "custommer", "curency": "USD", "credit_limit": 10.5, "valid_until": "tomorrow",
            "max_cps": -1, "frobnicate": 1
        }));
        for (field, words) in [
            ("kind", "unknown variant `custommer`, expected one of `customer`, `vendor`, `agent`"),
            ("curency", "unknown field; did you mean \"currency\"?"),
            ("credit_limit", "invalid type: floating point `10.5`, expected a string; write it in quotes"),
            ("valid_until", "\"tomorrow\" is not a time"),
            ("max_cps", "invalid value: integer `-1`, expected u32"),
            ("frobnicate", "unknown field; expected one of "),
            ("currency", "is missing"),
        ] {
            assert!(found.iter().any(|(f, m)| f == field && m.starts_with(words)), "{field} in {found:#?}");
        }
        assert_eq!(found.len(), 7);
        assert_eq!(faults::<Account>(json!([])), [(String::new(), "expected a table of fields".to_string())]);
        assert_eq!(faults::<Account>(json!({"name": "a", "kind": "agent", "currency": "EUR"})), []);
        assert!(Rate::from_json(json!({"prefix": "44"})).is_err_and(|p| p[0].field == "price_per_minute"));
    }

    #[test]
    fn passwords_are_read_but_never_written() {
        let gateway: MappingGateway = from_json(json!({
            "name": "g", "account": "a", "authentication": "password", "username": "u", "password": "geheim",
            "parameters": {"SS_MAX_CPS": 5, "SS_REPLY_UNAUTHORIZED": true, "SS_SIP_USER_AGENT": "x"}
        }))
        .unwrap();
        let written = serde_json::to_string(&gateway).unwrap() + &format!("{gateway:?}");
        assert!(!written.contains("geheim"), "{written}");
        assert_eq!(gateway.parameters["SS_MAX_CPS"], "5");
        assert_eq!(gateway.parameters["SS_REPLY_UNAUTHORIZED"], "On");
        assert_eq!(known_fields::<RoutingGateway>().iter().filter(|f| *f == "password").count(), 0);
    }
}
