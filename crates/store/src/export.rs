//! The whole configuration as a business file that [`Store::apply`] reads back without a change.
//!
//! Secrets are written in their stored form. `secret` of a mapping gateway is a digest hash: it works in every data
//! folder with the same realm, and whoever has it can act as that customer. `sealed_password` of a routing gateway
//! opens with the key file of this data folder only; elsewhere `apply` asks for the password.

use crate::config::{
    Account, Calendar, Document, GatewayGroup, MappingGateway, NumberList, Phone, Rate, RoutingGateway,
};
use crate::rates::each_rate;
use crate::{Config, Store, StoreError};
use serde::Serialize;
use serde_json::{Map, Value};

const TOP: &str = "\
# The configuration of this switch, to be read by `tandem apply`. Applying it where it came from changes nothing.
# \"secret\" is a digest hash: keep this file as you would keep passwords.
# \"sealed_password\" opens with the secret.key of this data folder only; elsewhere, write password = \"…\" instead.
";

impl Store {
    /// As TOML text.
    pub fn export(&self) -> Result<String, StoreError> {
        let config = self.config();
        let mut out = TOP.to_string();
        if !config.parameters.is_empty() {
            out.push_str("\n[parameters]\n");
            config
                .parameters
                .iter()
                .for_each(|(name, value)| line(&mut out, name, &Value::from(value.as_str())));
        }
        documents::<Calendar>(&mut out, &config)?;
        documents::<NumberList>(&mut out, &config)?;
        documents::<GatewayGroup>(&mut out, &config)?;
        documents::<Account>(&mut out, &config)?;
        for group in config.rate_groups.iter() {
            document(&mut out, &group.document)?;
            self.read(|db| {
                out.push_str("rates = [\n");
                each_rate(db, group.id, |rate| write_rate(&mut out, &rate))?;
                out.push_str("]\n");
                Ok(())
            })?;
        }
        documents::<MappingGateway>(&mut out, &config)?;
        documents::<RoutingGateway>(&mut out, &config)?;
        documents::<Phone>(&mut out, &config)?;
        Ok(out)
    }
}

fn documents<T: Document>(out: &mut String, config: &Config) -> Result<(), StoreError> {
    T::table(config).iter().try_for_each(|stored| document(out, &stored.document))
}

fn document<T: Document>(out: &mut String, document: &T) -> Result<(), StoreError> {
    out.push_str(&format!("\n[[{}]]\n", T::KIND));
    let default = fields(&T::example())?;
    // What is nested says a lot by default; it goes without saying.
    let said = |(name, value): &(&String, &Value)| !value.is_object() || default.get(*name) != Some(value);
    fields(document)?.iter().filter(said).for_each(|(name, value)| line(out, name, value));
    Ok(())
}

fn write_rate(out: &mut String, rate: &Rate) -> Result<(), StoreError> {
    let default = fields(&Rate::example())?;
    let mut all = fields(rate)?;
    // A sheet of a million lines is easier to read, and to send, without what goes without saying.
    all.retain(|name, value| Rate::REQUIRED.contains(&name.as_str()) || default.get(name) != Some(value));
    out.push_str(&format!("  {},\n", toml_value(&Value::Object(all))));
    Ok(())
}

/// The fields that say something: no value, no text and no entries are also what is read when they are absent.
fn fields(document: &impl Serialize) -> Result<Map<String, Value>, StoreError> {
    let Value::Object(mut fields) = serde_json::to_value(document)? else { return Ok(Map::new()) };
    prune(&mut fields);
    Ok(fields)
}

fn prune(fields: &mut Map<String, Value>) {
    fields.retain(|name, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty() || name == "prefix",
        Value::Array(list) => {
            list.iter_mut().filter_map(Value::as_object_mut).for_each(prune);
            !list.is_empty()
        }
        Value::Object(map) => {
            prune(map);
            !map.is_empty()
        }
        Value::Bool(_) | Value::Number(_) => true,
    });
}

fn line(out: &mut String, name: &str, value: &Value) {
    out.push_str(&format!("{name} = {}\n", toml_value(value)));
}

fn toml_value(value: &Value) -> String {
    match value {
        // The same escapes as JSON, of which TOML has all but the slash, which serde_json does not escape.
        Value::String(text) => Value::from(text.as_str()).to_string().replace('\u{7f}', "\\u007f"),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<String> =
                map.iter().map(|(k, v)| format!("{} = {}", key(k), toml_value(v))).collect();
            format!("{{ {} }}", items.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Names of parameters and fields are bare keys; anything else is quoted.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_string() } else { Value::from(name).to_string() }
}
