//! The committed document is that of the code.

use crate::support::World;
use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");

#[test]
fn openapi_json_is_current() {
    let made = api::openapi_json();
    if std::env::var_os("TANDEM_WRITE_OPENAPI").is_some() {
        std::fs::write(FILE, &made).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(kept == made, "openapi.json is stale; run TANDEM_WRITE_OPENAPI=1 cargo test -p api openapi");
}

#[test]
fn numbers_that_browsers_would_round_are_texts() {
    let document: Value = serde_json::from_str(&api::openapi_json()).unwrap();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, form) in schema["properties"].as_object().into_iter().flatten() {
            let exact = ["id", "version", "amount", "balance", "price_per_minute", "fee", "cost", "profit"];
            if exact.contains(&field.as_str()) && !name.starts_with("Live") {
                assert!(form["type"] == "string" || form["type"][0] == "string", "{name}.{field}: {form}");
            }
        }
    }
    let ids = document["paths"].as_object().unwrap().values().flat_map(|p| p.as_object().unwrap().values());
    let mut ids: Vec<&str> = ids.map(|o| o["operationId"].as_str().unwrap()).collect();
    let total = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), total, "operation ids are unique");
}

#[tokio::test]
async fn the_document_is_served() {
    let world = World::new();
    let told = world.ask("GET", "/openapi.json").anonymous().send().await.expect(200);
    assert_eq!(told.header("content-type"), "application/json");
    assert_eq!(String::from_utf8(told.bytes).unwrap(), api::openapi_json());
}
