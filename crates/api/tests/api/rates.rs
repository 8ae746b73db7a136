//! Rates that hold at certain times, inherited and private rates.

use crate::support::World;
use serde_json::json;

#[tokio::test]
async fn a_prefix_has_a_rate_for_each_time() {
    let world = World::with_business();
    let put = |body: serde_json::Value| world.ask("PUT", "/rate-groups/retail/rates/49").json(&body).send();
    let plain = json!({"prefix": "49", "price_per_minute": "0.02"});
    let night =
        json!({"prefix": "49", "price_per_minute": "0.01", "hours": "22:00-06:00", "level": "international"});
    let summer = json!({"prefix": "49", "price_per_minute": "0.03", "valid_from": "2026-07-01T00:00:00Z",
        "valid_until": "2026-08-01T00:00:00Z", "sections": [{"from": 600, "price_per_minute": "0.025", "cycle": 6}]});
    for body in [&plain, &night, &summer, &summer] {
        put(body.clone()).await.expect(200);
    }
    let list = world.get("/rate-groups/retail/rates?prefix=49").await.expect(200).json;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 3, "{list}");
    assert!(items.iter().any(|i| i["hours"] == "Mon-Sun 00:00-06:00, Mon-Sun 22:00-24:00"), "{list}");
    assert!(items.iter().any(|i| i["sections"][0]["price_per_minute"] == "0.0250"), "{list}");
    let mut seen = Vec::new();
    let mut path = "/rate-groups/retail/rates?prefix=49&limit=1".to_string();
    loop {
        let page = world.get(&path).await.expect(200).json;
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        let cursor: String = cursor.bytes().map(|b| format!("%{b:02x}")).collect();
        path = format!("/rate-groups/retail/rates?prefix=49&limit=1&cursor={cursor}");
    }
    assert_eq!(&seen, items);

    for (change, field) in [
        (json!({"hours": "at night"}), "hours"),
        (json!({"level": "galactic"}), "level"),
        (json!({"valid_from": "2026-02-30T00:00:00Z"}), "valid_from"),
        (json!({"valid_from": "2026-03-01T00:00:00Z", "valid_until": "2026-03-01T00:00:00Z"}), "valid_until"),
        (json!({"sections": [{"from": 0, "price_per_minute": "1", "cycle": 1}]}), "sections"),
        (json!({"sections": [{"from": 1, "price_per_minute": "1", "cycle": 0}]}), "sections"),
    ] {
        let mut body = plain.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        put(body).await.refused(422, field);
    }
    let delete = |query: &str| world.ask("DELETE", &format!("/rate-groups/retail/rates/49{query}")).send();
    delete("?hours=Mon").await.refused(404, "");
    delete("?hours=22:00-06:00").await.expect(204);
    delete("?valid_from=2026-07-01T00:00:00Z").await.expect(204);
    delete("").await.expect(204);
    assert_eq!(world.get("/rate-groups/retail/rates?prefix=49").await.json["items"], json!([]));
}

#[tokio::test]
async fn groups_inherit_and_stand_before_others() {
    let world = World::with_business();
    let group = json!({"name": "own", "time_zone": "Asia/Dhaka", "price_change": "next_cycle", "inherits": "retail",
        "mark_up": "-5", "mark_up_decimals": 5});
    let mut body = group.clone();
    body["currency"] = json!("USD");
    let told = world.post("/rate-groups", body.clone()).await.expect(201).json;
    for (field, value) in group.as_object().unwrap() {
        assert_eq!(&told[field], value, "{field}");
    }
    for (field, value) in [
        ("time_zone", json!("Asia/Atlantis")),
        ("mark_up", json!("-100.5")),
        ("mark_up", json!("5 %")),
        ("inherits", json!("nothing")),
        ("inherits", json!("own")),
        ("price_change", json!("never")),
    ] {
        let mut wrong = body.clone();
        wrong[field] = value;
        world
            .ask("PUT", "/rate-groups/own")
            .json(&wrong)
            .header("if-match", "*")
            .send()
            .await
            .refused(422, field);
    }
    let account = json!({"name": "kite", "kind": "customer", "currency": "USD", "private_rates": "own"});
    assert_eq!(world.post("/accounts", account).await.expect(201).json["private_rates"], "own");
    let gateway = json!({"name": "kite-1", "account": "kite", "authentication": "ip", "addresses": ["192.0.2.77"],
        "rate_group": "own", "call_level": "domestic"});
    let told = world.post("/mapping-gateways", gateway).await.expect(201).json;
    assert_eq!((&told["rate_group"], &told["call_level"]), (&json!("own"), &json!("domestic")));
    world.ask("DELETE", "/rate-groups/own").send().await.refused(409, "");
}
