//! Past calls priced again: tried, applied once, undone.

use crate::support::{World, record};
use serde_json::{Value, json};

/// Two calls of 61 s at 0.0300 a minute, 60/6: 0.033 each; 0.022 to the vendor.
async fn world_with_calls() -> (World, String) {
    let world = World::with_business();
    for number in [7, 8] {
        world.brain.ended(&record(number));
    }
    let call = record(7).call.to_string();
    (world, call)
}

fn period() -> Value {
    json!({"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"})
}

fn with(more: Value) -> Value {
    let mut body = period();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn calls_are_priced_again_once_and_back() {
    let (world, call) = world_with_calls().await;
    world.post("/accounts/acme/payments", json!({"amount": "1", "kind": "payment"})).await.expect(200);
    let rerate = |more: Value| {
        let body = with(more);
        world.ask("POST", "/reratings").json(&body).send()
    };
    // The mobile prefix was not there when the calls were made: 61 s at 0.0360, by the second, are 0.0366.
    let told = rerate(json!({"account": "acme"})).await.expect(200).json;
    assert_eq!((&told["state"], &told["calls"]), (&json!("tried"), &json!(2)));
    assert_eq!(
        told["accounts"],
        json!([{"account": "acme", "calls": 2, "before": "0.066", "after": "0.0732", "difference": "0.0072"}])
    );
    assert_eq!(told["differences"][0]["difference"], "0.0036");
    assert_eq!(world.get("/reratings").await.expect(200).json, json!([]));
    assert_eq!(world.get("/accounts/acme").await.json["balance"], "1.00");

    let named = json!({"account": "acme", "name": "november"});
    let first = rerate(named.clone()).await.expect(200).json;
    assert_eq!((&first["state"], &first["accounts"]), (&json!("applied"), &told["accounts"]));
    assert_eq!(world.get("/accounts/acme").await.json["balance"], "0.9928");
    let again = rerate(named).await.expect(200).json;
    assert_eq!((&again["state"], &again["accounts"]), (&json!("applied"), &told["accounts"]));
    assert_eq!(world.get("/accounts/acme").await.json["balance"], "0.9928", "the same run posts once");
    rerate(json!({"name": "november"})).await.refused(409, "name");

    // Another run finds nothing more to do; records keep what was charged and tell what was put right.
    let more = rerate(json!({"account": "acme", "name": "once-more"})).await.expect(200).json;
    assert_eq!((&more["accounts"], &more["state"]), (&json!([]), &json!("applied")));
    let cdr = world.get(&format!("/cdrs/{call}")).await.expect(200).json;
    assert_eq!(cdr["fee"], "0.033");
    assert_eq!(
        cdr["corrections"],
        json!([{"rerating": "november", "account": "acme", "before": "0.033", "after": "0.0366"}])
    );
    let ledger = world.get("/accounts/acme/ledger?limit=1").await.expect(200).json;
    let entry = &ledger["items"][0];
    assert_eq!(
        (&entry["kind"], &entry["amount"], &entry["note"]),
        (&json!("correction"), &json!("-0.0072"), &json!("rerating november"))
    );

    for _ in 0..2 {
        let undone = world.post("/reratings/november/undo", json!({})).await.expect(200).json;
        assert_eq!(undone["state"], "undone");
        assert_eq!(world.get("/accounts/acme").await.json["balance"], "1.00");
    }
    assert_eq!(world.get(&format!("/cdrs/{call}")).await.expect(200).json["corrections"], json!([]));
    let list = world.get("/reratings").await.expect(200).json;
    assert_eq!(list.as_array().unwrap().len(), 2);
    let log = world.get("/audit?kind=rerating").await.expect(200).json;
    assert!(log["items"].as_array().unwrap().iter().any(|entry| entry["action"] == "rerate"), "{log}");
}

#[tokio::test]
async fn by_a_given_group_and_for_vendors() {
    let (world, _) = world_with_calls().await;
    world.post("/rate-groups", json!({"name": "free", "currency": "USD"})).await.expect(201);
    let sheet = json!({"rates": [{"prefix": "880", "price_per_minute": "0"}]});
    world.ask("PUT", "/rate-groups/free/rates").json(&sheet).send().await.expect(200);
    let ask = |body: Value| world.post("/reratings", body);
    let told = ask(with(json!({"account": "acme", "rate_group": "free"}))).await.expect(200).json;
    assert_eq!(told["accounts"][0]["after"], "0.00");
    // The vendor: 61 s at 0.0200, by the second, are 0.0204 and were 0.022.
    let told = ask(with(json!({"account": "vendor-a", "name": "vendor"}))).await.expect(200).json;
    assert_eq!(
        (&told["accounts"][0]["before"], &told["accounts"][0]["after"]),
        (&json!("0.044"), &json!("0.0408"))
    );
    assert_eq!(world.get("/accounts/vendor-a").await.json["balance"], "-0.0032");
    // All sides at once, what was put right already being so.
    let told = ask(period()).await.expect(200).json;
    assert_eq!(told["accounts"].as_array().unwrap().len(), 1, "{told}");
    // A number without a rate is told, not priced.
    let sheet = json!({"rates": [{"prefix": "44", "price_per_minute": "1"}]});
    world.ask("PUT", "/rate-groups/retail/rates").json(&sheet).send().await.expect(200);
    let told = ask(with(json!({"account": "acme"}))).await.expect(200).json;
    assert_eq!(
        (&told["accounts"], &told["unpriced"]),
        (&json!([]), &json!({"there is no rate for the number": 2}))
    );
}

#[tokio::test]
async fn what_is_no_rerating() {
    let (world, _) = world_with_calls().await;
    for (body, field) in [
        (with(json!({"to": "2026-11-01T00:00:00Z"})), "to"),
        (with(json!({"account": "nobody"})), "account"),
        (with(json!({"account": "acme", "rate_group": "nothing"})), "rate_group"),
        (with(json!({"rate_group": "retail"})), "account"),
        (with(json!({"name": "a b"})), "name"),
        (with(json!({"name": ""})), "name"),
        (with(json!({"colour": "red"})), "colour"),
        (json!({"to": "2026-11-01T00:00:00Z"}), "from"),
    ] {
        world.post("/reratings", body).await.refused(422, field);
    }
    world.get("/reratings/nothing").await.refused(404, "");
    world.post("/reratings/nothing/undo", json!({})).await.refused(404, "");
}
