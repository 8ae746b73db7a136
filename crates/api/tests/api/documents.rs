//! Accounts, rate groups, gateways, rates, parameters: create, read, change, delete.

use crate::support::World;
use serde_json::json;

#[tokio::test]
async fn an_account_through_its_life() {
    let world = World::new();
    let input =
        json!({"name": "kite", "kind": "customer", "currency": "EUR", "credit_limit": "5", "notes": "new"});
    let told = world.post("/accounts", input.clone()).await.expect(201);
    assert_eq!(told.header("etag"), "\"1\"");
    let id = told.json["id"].as_str().unwrap().to_string();
    assert_eq!(told.json["credit_limit"], "5.00");
    assert_eq!(told.json["payment"], "prepaid");
    assert_eq!(told.json["anti_overdraft"], true);
    assert_eq!((&told.json["balance"], &told.json["version"]), (&json!("0.00"), &json!("1")));
    assert_eq!(told.json["valid_until"], json!(null));

    for key in [id.as_str(), "kite"] {
        assert_eq!(world.get(&format!("/accounts/{key}")).await.expect(200).json["name"], "kite");
    }
    let mut changed = input.clone();
    changed["valid_until"] = json!("2026-11-22T16:04:33Z");
    let put = |body: &serde_json::Value, etag: &str| {
        world.ask("PUT", "/accounts/kite").json(body).header("if-match", etag).send()
    };
    world.ask("PUT", "/accounts/kite").json(&changed).send().await.refused(428, "");
    put(&changed, "1").await.refused(400, "If-Match");
    put(&changed, "\"2\"").await.refused(412, "");
    let told = put(&changed, "\"1\"").await.expect(200);
    assert_eq!(told.header("etag"), "\"2\"");
    assert_eq!(told.json["state"], "expired");
    put(&input, "\"1\"").await.refused(412, "");
    changed["status"] = json!("locked");
    assert_eq!(put(&changed, "*").await.expect(200).json["state"], "locked");

    world.ask("DELETE", "/accounts/kite").header("if-match", "\"1\"").send().await.refused(412, "");
    world.ask("DELETE", "/accounts/kite").send().await.expect(204);
    world.get("/accounts/kite").await.refused(404, "");
    world.ask("DELETE", "/accounts/kite").send().await.refused(404, "");
}

#[tokio::test]
async fn what_is_used_stays() {
    let world = World::with_business();
    let told = world.ask("DELETE", "/accounts/acme").send().await.refused(409, "");
    assert!(told.json["detail"].as_str().unwrap().contains("acme-pbx"), "{}", told.json);
    world.ask("DELETE", "/rate-groups/retail").send().await.refused(409, "");
    world.ask("DELETE", "/mapping-gateways/acme-pbx").send().await.expect(204);
    world.ask("DELETE", "/accounts/acme").send().await.expect(204);
    world.ask("DELETE", "/rate-groups/retail").send().await.expect(204);
}

#[tokio::test]
async fn passwords_go_in_and_never_come_out() {
    let world = World::with_business();
    let mapping = json!({"name": "road", "account": "acme", "authentication": "password",
        "username": "road", "password": "s3cret-word"});
    let told = world.post("/mapping-gateways", mapping.clone()).await.expect(201);
    assert_eq!(told.json["has_password"], true);
    let mut kept = mapping.clone();
    kept.as_object_mut().unwrap().remove("password");
    kept["max_cps"] = json!(5);
    let told = world
        .ask("PUT", "/mapping-gateways/road")
        .json(&kept)
        .header("if-match", "*")
        .send()
        .await
        .expect(200);
    assert_eq!((&told.json["has_password"], &told.json["max_cps"]), (&json!(true), &json!(5)));
    let routing = json!({"name": "out", "account": "vendor-a", "address": "192.0.2.9", "prefixes": [""],
        "username": "me", "password": "s3cret-word", "parameters": {"SS_SIP_TIMEOUT_RINGING": "30"}});
    let told = world.post("/routing-gateways", routing).await.expect(201);
    assert_eq!((&told.json["has_password"], &told.json["priority"]), (&json!(true), &json!(1)));
    for path in ["/mapping-gateways", "/routing-gateways", "/routing-gateways/out", "/export"] {
        let told = world.get(path).await.expect(200);
        assert!(!String::from_utf8(told.bytes).unwrap().contains("s3cret"), "{path}");
    }
}

#[tokio::test]
async fn gateways_show_their_load() {
    let world = World::with_business();
    for path in ["/mapping-gateways/1", "/routing-gateways/vendor-a-1"] {
        let told = world.get(path).await.expect(200);
        assert_eq!((&told.json["calls"], &told.json["cps"]), (&json!(3), &json!(2)), "{path}");
        assert_eq!((&told.json["asr"], &told.json["acd_s"]), (&json!("62.5"), &json!(10)), "{path}");
    }
    let told = world.get("/routing-gateways?enabled=false").await.expect(200);
    assert_eq!(told.json["total"], 0);
}

#[tokio::test]
async fn rates_one_by_one_and_all_at_once() {
    let world = World::with_business();
    let prefixes = |told: crate::support::Told| -> Vec<String> {
        let items = told.expect(200).json["items"].as_array().unwrap().clone();
        items.iter().map(|r| r["prefix"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(prefixes(world.get("/rate-groups/retail/rates").await), ["44", "880", "88017"]);
    assert_eq!(prefixes(world.get("/rate-groups/retail/rates?prefix=880").await), ["880", "88017"]);
    let first = world.get("/rate-groups/retail/rates?limit=2").await;
    let cursor = first.json["next_cursor"].as_str().unwrap().to_string();
    assert_eq!(first.json["total"], 3);
    assert_eq!(prefixes(first), ["44", "880"]);
    assert_eq!(prefixes(world.get(&format!("/rate-groups/retail/rates?cursor={cursor}")).await), ["88017"]);

    let rate = json!({"prefix": "*21#", "price_per_minute": "0.1"});
    let path = "/rate-groups/retail/rates/*21%23";
    let told = world.ask("PUT", path).json(&rate).send().await.expect(200);
    assert_eq!((&told.json["price_per_minute"], &told.json["cycle"]), (&json!("0.1000"), &json!(1)));
    let everything = json!({"prefix": "", "price_per_minute": "1"});
    world.ask("PUT", "/rate-groups/retail/rates/default").json(&everything).send().await.expect(200);
    assert_eq!(world.get("/rate-groups/retail").await.json["rates_count"], 5);
    world.ask("PUT", "/rate-groups/retail/rates/45").json(&rate).send().await.refused(422, "prefix");
    world.ask("DELETE", path).send().await.expect(204);
    world.ask("DELETE", path).send().await.refused(404, "");

    let sheet = json!({"rates": [{"prefix": "1", "price_per_minute": "0.01"}, {"prefix": "7", "price_per_minute": "0.02"}]});
    let told = world.ask("PUT", "/rate-groups/retail/rates").json(&sheet).send().await.expect(200);
    assert_eq!(told.json["rates_count"], 2);
    let twice = json!({"rates": [{"prefix": "1", "price_per_minute": "1"}, {"prefix": "1", "price_per_minute": "2"}]});
    world.ask("PUT", "/rate-groups/retail/rates").json(&twice).send().await.refused(422, "rates[1].prefix");
    assert_eq!(prefixes(world.get("/rate-groups/retail/rates").await), ["1", "7"]);
}

#[tokio::test]
async fn parameters() {
    let world = World::new();
    let all = world.get("/parameters").await.expect(200).json;
    assert_eq!(all.as_array().unwrap().len(), params::SPECS.len());
    let told = world
        .ask("PUT", "/parameters/ss_mediaproxymode")
        .json(&json!({"value": "2"}))
        .send()
        .await
        .expect(200);
    assert_eq!((&told.json["value"], &told.json["type"]), (&json!("Auto"), &json!("choice")));
    assert_eq!(told.json["choices"], json!(["Off", "On", "Auto", "Must On"]));
    let told =
        world.ask("PUT", "/parameters/SS_SIP_TIMEOUT_RINGING").json(&json!({"value": "45"})).send().await;
    assert_eq!(told.expect(200).json["changed"], true);
    let put = |value: &str| {
        world.ask("PUT", "/parameters/SS_SIP_TIMEOUT_RINGING").json(&json!({"value": value})).send()
    };
    for value in ["-1", "", "1e3", "99999999999999999999"] {
        put(value).await.refused(422, "value");
    }
    world.ask("PUT", "/parameters/NOTHING").json(&json!({"value": "1"})).send().await.refused(404, "");
    assert_eq!(world.store.config().params.sip_timeout_ringing_s, 45);
}

#[tokio::test]
async fn files_are_applied_and_written_back() {
    let world = World::new();
    let file = json!([{"name": "b.toml", "text": crate::support::BUSINESS}]);
    let told = world.post("/apply", json!({"files": file, "dry_run": true})).await.expect(200);
    assert_eq!(told.json["applied"], false);
    let creates = told.json["changes"].as_array().unwrap().iter().filter(|c| c["action"] == "create").count();
    assert_eq!(creates, 6, "{}", told.json);
    assert_eq!(world.store.config().accounts.len(), 0);
    assert_eq!(world.post("/apply", json!({"files": file})).await.expect(200).json["applied"], true);
    let again = world.post("/apply", json!({"files": file})).await.expect(200);
    assert_eq!(again.json["changes"], json!([]));

    let bad = json!([{"name": "bad.toml", "text": "[[account]]\nname = \"x\"\nkind = \"customer\"\ncurrency = \"usd\"\n"}]);
    let told = world.post("/apply", json!({"files": bad})).await.refused(422, "currency");
    let error = &told.json["errors"][0];
    assert_eq!((&error["file"], &error["line"]), (&json!("bad.toml"), &json!(4)), "{error}");

    let told = world.get("/export").await.expect(200);
    assert_eq!(told.header("content-type"), "text/plain; charset=utf-8");
    let text = String::from_utf8(told.bytes).unwrap();
    let same =
        world.post("/apply", json!({"files": [{"name": "export.toml", "text": text}]})).await.expect(200);
    assert_eq!(same.json["changes"], json!([]));
}

#[tokio::test]
async fn a_change_is_listed_and_taken_back() {
    let world = World::with_business();
    let set = |value: &str| json!({ "value": value });
    world.ask("PUT", "/parameters/SS_MAX_CPS").json(&set("40")).send().await.expect(200);
    let told = world.get("/changes?limit=1").await.expect(200);
    let change = &told.json["items"][0];
    let want = json!([{"kind": "parameter", "name": "SS_MAX_CPS", "before": null, "after": "40"}]);
    assert_eq!((&change["items"], &change["undoes"]), (&want, &json!(null)));
    let version: u64 = change["version"].as_str().unwrap().parse().unwrap();
    let undo = format!("/changes/{version}/undo");
    let told = world.post(&undo, json!({"dry_run": true})).await.expect(200);
    assert_eq!(told.json, json!({"applied": false, "version": version.to_string()}));
    world.post(&undo, json!({})).await.expect(200);
    assert_eq!(world.get("/changes").await.json["items"][0]["undoes"], json!(version.to_string()));
    world.post(&undo, json!({})).await.expect(422);
    let told = world.get(&format!("/changes/compare?from={}&to={version}", version - 1)).await.expect(200);
    assert_eq!(told.json["items"], want);
    let told = world.get(&format!("/changes/compare?from={}", version - 1)).await.expect(200);
    assert_eq!(told.json["items"], json!([]));
    world.get(&format!("/changes/compare?from=9&to={}", 1)).await.refused(422, "from");
    world.get("/changes/x").await.expect(404);
    world.post("/changes/99999/undo", json!({})).await.expect(404);
}

#[tokio::test]
async fn agents_stand_in_a_row_and_never_in_a_circle() {
    let world = World::with_business();
    let account = |name: &str, kind: &str, currency: &str, agent: Option<&str>| json!({"name": name, "kind": kind, "currency": currency, "agent": agent});
    let put = |name: &str, body: serde_json::Value| {
        world.ask("PUT", &format!("/accounts/{name}")).json(&body).header("if-match", "*").send()
    };
    for (name, agent) in [("top", None), ("middle", Some("top")), ("near", Some("middle"))] {
        world.post("/accounts", account(name, "agent", "USD", agent)).await.expect(201);
    }
    world.post("/accounts", account("kite", "customer", "USD", Some("near"))).await.expect(201);
    for (name, body, field, words) in [
        ("top", account("top", "agent", "USD", Some("top")), "agent", "circle: top below top"),
        (
            "top",
            account("top", "agent", "USD", Some("near")),
            "agent",
            "top below near below middle below top",
        ),
        ("kite", account("kite", "customer", "USD", Some("nobody")), "agent", "there is no account"),
        ("kite", account("kite", "customer", "USD", Some("acme")), "agent", "is no agent"),
        ("kite", account("kite", "customer", "EUR", Some("near")), "agent", "is in USD"),
        ("near", account("near", "customer", "USD", None), "kind", "kite"),
        ("near", account("near", "agent", "EUR", None), "currency", "kite"),
        ("vendor-a", account("vendor-a", "vendor", "USD", Some("near")), "agent", "a vendor has no agent"),
    ] {
        let told = put(name, body).await.refused(422, field);
        let message = told.json["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(words), "{name}: {message}");
    }
    let used = world.ask("DELETE", "/accounts/near").send().await.refused(409, "");
    assert!(used.json["detail"].as_str().unwrap().contains("kite"), "{}", used.json);
    // A new name is followed.
    put("near", account("nearest", "agent", "USD", Some("middle"))).await.expect(200);
    assert_eq!(world.get("/accounts/kite").await.json["agent"], "nearest");
    let told = world.get("/accounts?agent=nearest").await.expect(200).json;
    assert_eq!((&told["total"], &told["items"][0]["name"]), (&json!(1), &json!("kite")));
}

#[tokio::test]
async fn what_is_wrong_with_an_account_is_told_by_field() {
    let world = World::new();
    for (field, value) in [
        ("time_zone", json!("Mars/Olympus")),
        ("tax_rate", json!("101")),
        ("tax_rate", json!("-1")),
        ("tax_rate", json!("a")),
        ("max_money_per_day", json!("-1")),
        ("max_money_per_month", json!("x")),
        ("max_minutes_per_day", json!(-1)),
        ("low_balance", json!(5)),
        ("number", json!("x".repeat(65))),
        ("contacts", json!("a\u{0}b")),
    ] {
        let mut account = json!({"name": "kite", "kind": "customer", "currency": "USD"});
        account[field] = value;
        world.post("/accounts", account).await.refused(422, field);
    }
    let full = json!({"name": "kite", "kind": "customer", "currency": "USD", "number": "C-17", "tax_rate": "19.5",
        "time_zone": "Asia/Dhaka", "max_minutes_per_day": 10, "max_minutes_per_month": 100,
        "max_money_per_day": "1.50", "max_money_per_month": "20.00", "low_balance": "2.50", "contacts": "Ann, +49 30 1"});
    let told = world.post("/accounts", full.clone()).await.expect(201).json;
    for (field, value) in full.as_object().unwrap() {
        assert_eq!(&told[field], value, "{field}");
    }
}

/// of many that have read the same version one may write, and the others are told.
#[tokio::test]
async fn fifty_clients_change_one_account_and_one_group_and_one_of_them_wins() {
    let world = World::with_business();
    for (path, body) in [
        (
            "/accounts/acme",
            json!({"name": "acme", "kind": "customer", "currency": "USD", "rate_group": "retail"}),
        ),
        ("/rate-groups/retail", json!({"name": "retail", "currency": "USD"})),
    ] {
        let etag = world.get(path).await.expect(200).header("etag").to_string();
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..50 {
            let mut body = body.clone();
            body["notes"] = json!(format!("by {client}"));
            clients.spawn(world.ask("PUT", path).json(&body).header("if-match", &etag).send());
        }
        let told = clients.join_all().await;
        let of = |status: u16| told.iter().filter(|t| t.status.as_u16() == status).count();
        assert_eq!((of(200), of(412)), (1, 49), "{path}");
        let winner = told.iter().find(|t| t.status.as_u16() == 200).unwrap();
        let now = world.get(path).await.expect(200);
        assert_eq!((&now.json["notes"], now.header("etag")), (&winner.json["notes"], winner.header("etag")));
    }
}
