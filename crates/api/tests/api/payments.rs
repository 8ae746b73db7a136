//! Money in, once for each key.

use crate::support::World;
use serde_json::{Value, json};
use vocab::Money;

#[tokio::test]
async fn a_key_pays_once() {
    let world = World::with_business();
    let pay = |key: &str, body: Value| {
        let ask = world.ask("POST", "/accounts/acme/payments").json(&body);
        if key.is_empty() { ask } else { ask.header("idempotency-key", key) }.send()
    };
    let ten = json!({"amount": "10.5", "kind": "payment", "note": "wire"});
    let first = pay("k1", ten.clone()).await.expect(200).json;
    assert_eq!((&first["balance"], &first["entry"]["amount"]), (&json!("10.50"), &json!("10.50")));
    assert_eq!((&first["entry"]["by"], &first["entry"]["key"]), (&json!("admin"), &json!("k1")));
    assert_eq!(pay("k1", ten.clone()).await.expect(200).json, first, "the same again");
    for other in [
        json!({"amount": "10.51", "kind": "payment", "note": "wire"}),
        json!({"amount": "10.5", "kind": "correction", "note": "wire"}),
        json!({"amount": "10.5", "kind": "payment", "note": "cash"}),
    ] {
        pay("k1", other).await.refused(409, "Idempotency-Key");
    }
    let other_account =
        world.ask("POST", "/accounts/vendor-a/payments").json(&ten).header("idempotency-key", "k1");
    other_account.send().await.refused(409, "Idempotency-Key");
    assert_eq!(world.brain.balance(1), Money::parse("10.5").unwrap());

    pay("", ten.clone()).await.expect(200);
    pay("k2", json!({"amount": "1", "kind": "refund"})).await.expect(200);
    let told =
        pay("k3", json!({"amount": "-20", "kind": "correction", "note": "typed twice"})).await.expect(200);
    assert_eq!(told.json["balance"], "0.00");
    assert_eq!(world.get("/accounts/acme").await.json["state"], "no_money");

    let ledger = world.get("/accounts/acme/ledger?limit=3").await.expect(200).json;
    let amounts: Vec<&Value> = ledger["items"].as_array().unwrap().iter().map(|l| &l["amount"]).collect();
    assert_eq!(amounts, [&json!("-20.00"), &json!("-1.00"), &json!("10.50")]);
    let path = format!("/accounts/acme/ledger?cursor={}", ledger["next_cursor"].as_str().unwrap());
    let rest = world.get(&path).await.expect(200).json;
    assert_eq!(rest["items"][0]["kind"], "payment");
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
}

#[tokio::test]
async fn what_is_no_payment() {
    let world = World::with_business();
    let table = [
        (json!({"amount": "0", "kind": "payment"}), "amount"),
        (json!({"amount": "-1", "kind": "payment"}), "amount"),
        (json!({"amount": "-1", "kind": "refund"}), "amount"),
        (json!({"amount": "0.00", "kind": "correction"}), "amount"),
        (json!({"amount": 10, "kind": "payment"}), "amount"),
        (json!({"amount": 10.5, "kind": "payment"}), "amount"),
        (json!({"amount": "1e3", "kind": "payment"}), "amount"),
        (json!({"amount": "0.000000001", "kind": "payment"}), "amount"),
        (json!({"amount": "99999999999999999999999999", "kind": "payment"}), "amount"),
        (json!({"kind": "payment"}), "amount"),
        (json!({"amount": "1"}), "kind"),
        (json!({"amount": "1", "kind": "opening"}), "kind"),
        (json!({"amount": "1", "kind": "payment", "note": "x".repeat(501)}), "note"),
        (json!({"amount": "1", "kind": "payment", "nota": "x"}), "nota"),
    ];
    for (body, field) in table {
        world.post("/accounts/acme/payments", body).await.refused(422, field);
    }
    world.post("/accounts/nobody/payments", json!({"amount": "1", "kind": "payment"})).await.refused(404, "");
    for key in ["", "opening:acme", "with blank", &"k".repeat(65), "é"] {
        let ask =
            world.ask("POST", "/accounts/acme/payments").json(&json!({"amount": "1", "kind": "payment"}));
        ask.header("idempotency-key", key).send().await.refused(422, "Idempotency-Key");
    }
    assert_eq!(world.brain.balance(1), Money::ZERO);
    assert_eq!(world.get("/accounts/acme/ledger").await.json["items"], json!([]));
}

#[tokio::test]
async fn without_the_brain_nothing_is_promised() {
    let world = World::with_business();
    world.brain.stop();
    world.post("/accounts/acme/payments", json!({"amount": "1", "kind": "payment"})).await.refused(503, "");
    world.get("/accounts").await.refused(503, "");
    world
        .post("/route/simulate", json!({"gateway": "acme-pbx", "caller": "1", "called": "880"}))
        .await
        .refused(503, "");
    // The configuration can be changed all the same.
    let new = json!({"name": "kite", "kind": "customer", "currency": "USD"});
    world.post("/accounts", new).await.expect(201);
}

#[tokio::test]
async fn transfers_move_money_between_two_accounts_or_none() {
    let world = World::with_business();
    for (name, currency) in [("kite", "USD"), ("euro", "EUR")] {
        let account = json!({"name": name, "kind": "customer", "currency": currency});
        world.post("/accounts", account).await.expect(201);
    }
    world.post("/accounts/acme/payments", json!({"amount": "10", "kind": "payment"})).await.expect(200);
    let send = |from: &str, key: &str, body: Value| {
        world
            .ask("POST", &format!("/accounts/{from}/transfers"))
            .json(&body)
            .header("idempotency-key", key)
            .send()
    };
    let four = json!({"to": "kite", "amount": "4", "note": "rent"});
    let told = send("acme", "t1", four.clone()).await.expect(200).json;
    let balances = |side: &Value| {
        (side["amount"].clone(), side["balance_before"].clone(), side["balance_after"].clone())
    };
    assert_eq!(balances(&told["from"]), (json!("-4.00"), json!("10.00"), json!("6.00")));
    assert_eq!(balances(&told["to"]), (json!("4.00"), json!("0.00"), json!("4.00")));
    assert_eq!((&told["from"]["kind"], &told["to"]["by"]), (&json!("transfer"), &json!("admin")));
    assert_eq!(send("acme", "t1", four).await.expect(200).json, told, "the same again");
    for other in [json!({"to": "kite", "amount": "5", "note": "rent"}), json!({"to": "kite", "amount": "4"})]
    {
        send("acme", "t1", other).await.refused(409, "Idempotency-Key");
    }
    for (from, body, field) in [
        ("acme", json!({"to": "acme", "amount": "1"}), "amount"),
        ("acme", json!({"to": "nobody", "amount": "1"}), "to"),
        ("acme", json!({"to": "euro", "amount": "1"}), "amount"),
        ("acme", json!({"to": "kite", "amount": "6.01"}), "amount"),
        ("acme", json!({"to": "kite", "amount": "0"}), "amount"),
        ("acme", json!({"to": "kite", "amount": "-1"}), "amount"),
        ("acme", json!({"to": "kite", "amount": 1}), "amount"),
        ("acme", json!({"to": "kite", "amount": "1", "note": "x".repeat(501)}), "note"),
    ] {
        send(from, "t2", body).await.refused(422, field);
    }
    send("nobody", "t2", json!({"to": "kite", "amount": "1"})).await.refused(404, "");
    assert_eq!(world.get("/accounts/acme").await.json["balance"], "6.00");
    assert_eq!(world.get("/accounts/kite").await.json["balance"], "4.00");
    let log = world.get("/audit?action=transfer").await.expect(200).json;
    assert_eq!(log["items"][0]["object"], "acme to kite", "{log}");
}

#[tokio::test]
async fn what_vendors_are_owed_and_what_is_prepaid_with_them() {
    let world = World::with_business();
    let pay = |account: &str, amount: &str, kind: &str| {
        let body = json!({"amount": amount, "kind": kind});
        world.ask("POST", &format!("/accounts/{account}/payments")).json(&body).send()
    };
    pay("acme", "1", "payout").await.refused(422, "kind");
    pay("acme", "1", "credit").await.expect(200);
    let low = json!({"name": "vendor-a", "kind": "vendor", "currency": "USD", "rate_group": "vendor-a", "low_balance": "5"});
    world.ask("PUT", "/accounts/vendor-a").json(&low).header("if-match", "*").send().await.expect(200);
    for (amount, kind, owed, prepaid, is_low) in [
        ("8", "correction", "8.00", "0.00", true),
        ("18", "payout", "0.00", "10.00", false),
        ("6", "correction", "0.00", "4.00", true),
    ] {
        pay("vendor-a", amount, kind).await.expect(200);
        let told = world.get("/accounts/vendor-a").await.json;
        assert_eq!((&told["owed"], &told["prepaid_left"]), (&json!(owed), &json!(prepaid)));
        assert_eq!((&told["low"], &told["state"]), (&json!(is_low), &json!("normal")));
    }
    let names = |told: crate::support::Told| -> Vec<String> {
        told.json["items"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap().into()).collect()
    };
    assert_eq!(names(world.get("/accounts?low=true").await.expect(200)), ["vendor-a"]);
    assert_eq!(names(world.get("/accounts?low=false").await.expect(200)), ["acme"]);
    pay("acme", "-1", "correction").await.expect(200);
    let told = world.get("/accounts/acme").await.json;
    assert_eq!((&told["state"], &told["low"]), (&json!("no_money"), &json!(true)));
    pay("acme", "1", "payment").await.expect(200);
    assert_eq!(world.get("/accounts/acme").await.json["state"], "normal");
}
