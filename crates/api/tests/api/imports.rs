//! Decks through the API: read, looked at, applied, undone.

use crate::support::{Told, World};
use serde_json::{Value, json};

async fn read(world: &World, path: &str, file: &str) -> Value {
    let ask = world.ask("POST", path).text(file).header("content-type", "application/octet-stream");
    finished(world, ask.send().await.expect(202)).await
}

async fn finished(world: &World, begun: Told) -> Value {
    let path = format!("/rate-groups/retail/imports/{}", begun.json["id"].as_str().unwrap());
    loop {
        let import = world.get(&path).await.expect(200).json;
        if import["state"] != "reading" {
            return import;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_deck_is_read_applied_and_undone() {
    let world = World::with_business();
    let before = world.get("/rate-groups/retail/rates").await.json["items"].clone();
    let file =
        "Notes of the carrier\nDestination;Code;Rate;Billing\nUK;44;0,0110;60/6\nFrance;33;0,0090;1/1\n";
    let ready = read(&world, "/rate-groups/retail/imports?name=deck.csv&replace=true", file).await;
    assert_eq!(
        (&ready["state"], &ready["good_rows"], &ready["new"]),
        (&json!("ready"), &json!(2), &json!(1)),
        "{ready}"
    );
    assert_eq!(
        ready["columns"],
        json!({"codes": "Code", "area": "Destination", "price": "Rate", "increments": "Billing"})
    );
    assert_eq!(world.get("/rate-groups/retail/rates").await.json["items"], before);
    let one = format!("/rate-groups/retail/imports/{}", ready["id"].as_str().unwrap());
    world.post(&format!("{one}/apply"), json!({"skip": true})).await.refused(422, "skip");
    assert_eq!(world.post(&format!("{one}/apply"), json!({})).await.expect(200).json["state"], "applied");
    let after = world.get("/rate-groups/retail/rates").await.json["items"].clone();
    let prices: Vec<&Value> = after.as_array().unwrap().iter().map(|r| &r["price_per_minute"]).collect();
    assert_eq!(prices, [&json!("0.0090"), &json!("0.0110")]);
    world.post(&format!("{one}/apply"), json!({})).await.refused(422, "state");
    assert_eq!(world.post(&format!("{one}/undo"), json!({})).await.expect(200).json["state"], "undone");
    assert_eq!(world.get("/rate-groups/retail/rates").await.json["items"], before);
    assert_eq!(world.get("/rate-groups/retail/imports").await.json["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_is_told_and_nothing_changes() {
    let world = World::with_business();
    let failed = read(&world, "/rate-groups/retail/imports", "nothing,of,use\n").await;
    assert_eq!(failed["state"], "failed");
    assert!(failed["failure"]["reason"].as_str().unwrap().contains("say which columns"), "{failed}");
    let ready = read(&world, "/rate-groups/retail/imports", "code,rate\n44,0\n33,0.5\n").await;
    assert_eq!(
        ready["faults"],
        json!([{"line": 2, "column": "B", "reason": "the price is 0; if free calls are meant, say so"}])
    );
    let one = format!("/rate-groups/retail/imports/{}", ready["id"].as_str().unwrap());
    world.post(&format!("{one}/apply"), json!({})).await.refused(422, "skip_bad_rows");
    let rate = json!({"prefix": "49", "price_per_minute": "0.02"});
    world.ask("PUT", "/rate-groups/retail/rates/49").json(&rate).send().await.expect(200);
    world.post(&format!("{one}/apply"), json!({"skip_bad_rows": true})).await.refused(412, "");
    for (query, field) in [
        ("decimal_mark=dot", "decimal_mark"),
        ("increments=0/0", "increments"),
        ("effective=tomorrow", "effective"),
        ("columns={", "columns"),
        ("frobnicate=1", "frobnicate"),
    ] {
        let path = format!("/rate-groups/retail/imports?{}", query.replace('{', "%7B"));
        let ask = world.ask("POST", &path).text("x");
        ask.send().await.refused(422, field);
    }
    world.get("/rate-groups/retail/imports/999").await.refused(404, "");
    world
        .post("/rate-groups/nobody/made-rates", json!({"from": "retail", "margin": "5"}))
        .await
        .refused(404, "");
}

#[tokio::test]
async fn customers_rates_are_made() {
    let world = World::with_business();
    for (body, field) in [
        (json!({"from": "retail", "margin": "25"}), "from"),
        (json!({"from": "vendor-a"}), "margin"),
        (json!({"from": "vendor-a", "margin": "25", "mark_up": "1"}), "margin"),
        (json!({"from": "vendor-a", "margin": "100"}), "making"),
        (json!({"from": "nobody", "margin": "1"}), "from"),
    ] {
        world.post("/rate-groups/retail/made-rates", body).await.refused(422, field);
    }
    let begun = world
        .post("/rate-groups/retail/made-rates", json!({"from": "vendor-a", "margin": "25", "decimals": 5}))
        .await;
    let made = finished(&world, begun.expect(202)).await;
    assert_eq!((&made["state"], &made["bad_rows"]), (&json!("ready"), &json!(0)), "{made}");
    let one = format!("/rate-groups/retail/imports/{}", made["id"].as_str().unwrap());
    world.post(&format!("{one}/apply"), json!({})).await.expect(200);
    let price = world.get("/rate-groups/retail/rates?prefix=880").await.json["items"][0].clone();
    // A margin of 25 % on 0.02.
    assert_eq!((&price["prefix"], &price["price_per_minute"]), (&json!("880"), &json!("0.02667")), "{price}");
}
