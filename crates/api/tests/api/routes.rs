//! Gateway groups, calendars, number lists, the dynamic black list, and what gateways say about routes.

use crate::support::World;
use serde_json::{Value, json};

async fn put(world: &World, path: &str, body: &Value) -> crate::support::Told {
    world.ask("PUT", path).json(body).header("if-match", "*").send().await
}

#[tokio::test]
async fn groups_and_calendars_are_used_by_name() {
    let world = World::with_business();
    let told =
        world.post("/gateway-groups", json!({"name": "premium", "max_concurrency": 30})).await.expect(201);
    assert_eq!((&told.json["name"], &told.json["max_cps"]), (&json!("premium"), &json!(null)));
    let calendar = json!({"name": "office", "time_zone": "Europe/Berlin", "hours": "Mon-Fri 08:00-18:00",
        "holidays": ["12-25", "2026-11-22"], "special_days": [{"day": "12-24", "hours": "08:00-12:00"}]});
    let told = world.post("/calendars", calendar.clone()).await.expect(201);
    assert_eq!((&told.json["open"], &told.json["holidays"][0]), (&json!(false), &json!("12-25")));
    let mut impossible = calendar.clone();
    impossible["name"] = json!("moon");
    impossible["holidays"] = json!(["2026-02-29"]);
    let told = world.post("/calendars", impossible.clone()).await.refused(422, "holidays[0]");
    assert!(told.json["detail"].as_str().unwrap().contains("28 days"), "{}", told.json);
    impossible["holidays"] = json!([]);
    impossible["time_zone"] = json!("Moon/Sea");
    world.post("/calendars", impossible).await.refused(422, "time_zone");

    let mut gateway = json!({"name": "vendor-a-1", "account": "vendor-a", "address": "127.0.0.1:5080",
        "prefixes": ["880"], "routing": {"mode": "terminate", "groups": ["premium"], "reserved_lines": 2,
        "calendar": "office", "prefixes": [{"prefix": "88017", "priority": 3, "calendar": "office"}]}});
    let told = put(&world, "/routing-gateways/vendor-a-1", &gateway).await.expect(200);
    assert_eq!(told.json["routing"]["prefixes"][0]["priority"], 3);
    assert_eq!(told.json["routing"]["weight"], 1);
    world.ask("DELETE", "/gateway-groups/premium").send().await.refused(409, "");
    put(&world, "/gateway-groups/premium", &json!({"name": "best", "max_concurrency": 5})).await.expect(200);
    let told = world.get("/routing-gateways/vendor-a-1").await.expect(200);
    assert_eq!(told.json["routing"]["groups"], json!(["best"]), "a new name is followed");
    gateway["routing"]["groups"] = json!(["best"]);
    for (field, value) in [
        ("groups", json!(["none"])),
        ("calendar", json!("never")),
        ("weight", json!(0)),
        ("prefixes", json!([{"prefix": "88x"}])),
        ("numbers", json!({"called": {"min_length": 9, "max_length": 3}})),
        ("lists", json!({"caller_black": ["nobody"]})),
        ("colour", json!("red")),
    ] {
        let before = gateway["routing"][field].clone();
        gateway["routing"][field] = value;
        let told = put(&world, "/routing-gateways/vendor-a-1", &gateway).await;
        assert_eq!(told.status.as_u16(), 422, "{field}: {}", told.json);
        let named = told.json["errors"][0]["field"].as_str().unwrap().to_owned();
        assert!(named.starts_with("routing") && named.contains(field), "{field} in {named}");
        gateway["routing"][field] = before;
        if gateway["routing"][field].is_null() {
            gateway["routing"].as_object_mut().unwrap().remove(field);
        }
    }
    let mapping = json!({"name": "acme-pbx", "account": "acme", "authentication": "ip",
        "addresses": ["127.0.0.1"], "routing": {"second_policy": "cost"}});
    put(&world, "/mapping-gateways/acme-pbx", &mapping).await.refused(422, "routing.second_policy");
}

#[tokio::test]
async fn numbers_are_read_from_a_file() {
    let world = World::with_business();
    world.post("/number-lists", json!({"name": "bad", "system": "called_black"})).await.expect(201);
    let send = |query: &str, text: &str| {
        let ask = world.ask("POST", &format!("/number-lists/bad/numbers{query}")).text(text);
        ask.header("content-type", "text/plain").send()
    };
    let file = "# from the regulator\n8801712345678\n88018*,fraud\n\n+4420\n8801712345678\n";
    let told = send("", file).await.expect(200);
    assert_eq!(told.json, json!({"added": 3, "known": 1, "removed": 0, "left_out": []}));
    let faulty = "4930\n49x0\n*\n";
    let told = send("", faulty).await.refused(422, "number");
    let lines: Vec<_> = told.json["errors"].as_array().unwrap().iter().map(|e| e["line"].clone()).collect();
    assert_eq!(lines, [json!(2), json!(3)], "{}", told.json);
    assert_eq!(
        world.get("/number-lists/bad").await.expect(200).json["numbers_count"],
        3,
        "nothing was taken"
    );
    let told = send("?good_lines_only=true", faulty).await.expect(200);
    assert_eq!((&told.json["added"], told.json["left_out"].as_array().unwrap().len()), (&json!(1), 2));
    let told = world.get("/number-lists/bad/numbers?begin=880&limit=1").await.expect(200);
    assert_eq!(told.json, json!({"items": ["8801712345678"], "next": "8801712345678"}));
    let told = world.get("/number-lists/bad/numbers?begin=880&after=8801712345678").await.expect(200);
    assert_eq!(told.json, json!({"items": ["88018*"], "next": null}));
    world.ask("DELETE", "/number-lists/bad/numbers/88018%2A").send().await.expect(204);
    world.ask("DELETE", "/number-lists/bad/numbers/88018%2A").send().await.refused(404, "");
    let told = send("?replace=true", "33*\n").await.expect(200);
    assert_eq!((&told.json["added"], &told.json["removed"]), (&json!(1), &json!(3)));
    let snapshot = world.store.snapshot(&Default::default()).unwrap();
    assert!(snapshot.listed(&snapshot.lists, &[], &["33123"]).is_some());
    assert!(snapshot.listed(&snapshot.lists, &[], &["8801712345678"]).is_none());
    world.ask("DELETE", "/number-lists/bad").send().await.expect(204);
}

#[tokio::test]
async fn barred_numbers_are_shown_and_freed() {
    let world = World::with_business();
    let told = world.get("/dynamic-black-list").await.expect(200);
    let bar = &told.json["items"][0];
    assert_eq!(
        (&bar["whose"], &bar["pattern"], &bar["count"]),
        (&json!("caller"), &json!("caller_calls"), &json!(11))
    );
    assert!(bar["words"].as_str().unwrap().contains("11 calls in 600 s"), "{bar}");
    world.ask("DELETE", "/dynamic-black-list/caller/442070000001").send().await.expect(204);
    world.ask("DELETE", "/dynamic-black-list/called/442070000001").send().await.refused(404, "");
}

#[tokio::test]
async fn a_change_that_takes_routes_away_is_warned_of() {
    let world = World::with_business();
    let apply = async |text: &str, dry_run: bool| {
        let files = json!([{"name": "x.toml", "text": text}]);
        world.post("/apply", json!({"files": files, "dry_run": dry_run})).await.expect(200).json
    };
    let gateway =
        "[[routing_gateway]]\nname = \"vendor-a-1\"\naccount = \"vendor-a\"\naddress = \"127.0.0.1:5080\"\n";
    let told = apply(&format!("{gateway}prefixes = [\"880\"]\nenabled = false\n"), true).await;
    assert_eq!(told["warnings"], json!(["mapping gateway \"acme-pbx\" is left without any routing gateway"]));
    let told = apply(&format!("{gateway}prefixes = [\"88017\"]\n"), true).await;
    assert_eq!(told["warnings"], json!(["mapping gateway \"acme-pbx\" has no route to 880 any more"]));
    let told = apply(&format!("{gateway}prefixes = [\"88\"]\n"), false).await;
    assert_eq!(told["warnings"], json!([]), "a shorter prefix takes all that a longer one took");
}
