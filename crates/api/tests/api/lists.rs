//! Pages, orders, filters.

use crate::support::{World, live_call, record};
use serde_json::{Value, json};
use switch::live::{CallState, LiveUpdate};

fn names(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap().to_string()).collect()
}

async fn with_accounts(count: usize) -> World {
    let world = World::new();
    for i in 0..count {
        let kind = if i % 2 == 0 { "customer" } else { "vendor" };
        let account = json!({"name": format!("a{i:02}"), "kind": kind, "currency": "USD"});
        world.post("/accounts", account).await.expect(201);
    }
    world
}

#[tokio::test]
async fn pages_follow_each_other_whatever_comes_in_between() {
    let world = with_accounts(7).await;
    for (sort, want) in [
        ("", "a00 a01 a02 a03 a04 a05 a06 a035"),
        ("name", "a00 a01 a02 a03 a04 a05 a06 a035"),
        ("-name", "a06 a05 a04 a035 a03 a02 a01 a00"),
        ("kind,-name", "a06 a04 a02 a00 a05 a03 a01 a035"),
    ] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page =
                world.get(&format!("/accounts?limit=3&sort={sort}&cursor={cursor}")).await.expect(200).json;
            seen.extend(names(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_string(),
                None => break,
            }
            if seen.len() == 3 {
                // One that belongs before, and one that belongs after what has been read.
                let new = json!({"name": "a035", "kind": "customer", "currency": "USD"});
                world.post("/accounts", new).await;
            }
        }
        let mut want: Vec<&str> = want.split(' ').collect();
        match sort {
            // Came too late to be seen before its place was passed, or in time.
            "" => want = vec!["a00", "a01", "a02", "a03", "a035", "a04", "a05", "a06"],
            "name" => want = vec!["a00", "a01", "a02", "a03", "a035", "a04", "a05", "a06"],
            "kind,-name" => want = vec!["a06", "a04", "a035", "a02", "a00", "a05", "a03", "a01"],
            _ => {}
        }
        assert_eq!(seen, want, "{sort}");
    }
    let cursor = world.get("/accounts?limit=3").await.json["next_cursor"].as_str().unwrap().to_string();
    world.get(&format!("/accounts?sort=-name&cursor={cursor}")).await.refused(400, "cursor");
}

#[tokio::test]
async fn filters_and_search() {
    let world = with_accounts(6).await;
    for (query, want) in [
        ("kind=vendor", "a01 a03 a05"),
        ("kind=vendor&q=A0", "a01 a03 a05"),
        ("q=3", "a03"),
        ("q=nothing", ""),
        ("state=no_money&sort=-name", "a04 a02 a00"),
        ("state=normal&limit=1", "a01"),
    ] {
        let page = world.get(&format!("/accounts?{query}")).await.expect(200).json;
        assert_eq!(names(&page).join(" "), want, "{query}");
    }
    assert_eq!(world.get("/accounts?kind=vendor&limit=1").await.json["total"], 3);
}

#[tokio::test]
async fn calls_in_progress() {
    let world = World::with_business();
    for i in 1..=5 {
        let state = if i % 2 == 0 { CallState::Talking } else { CallState::Ringing };
        world.board.update(LiveUpdate::Call(Box::new(live_call(i, &format!("+4420{i}"), state))));
    }
    let ids = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_string()).collect()
    };
    for (query, want) in [
        ("", "1 2 3 4 5"),
        ("sort=-start", "5 4 3 2 1"),
        ("state=talking", "2 4"),
        ("state=talking&sort=duration_s", "4 2"),
        ("caller=44203", "3"),
        ("callee=880&q=44201", "1"),
        ("account=other", ""),
    ] {
        let list = world.get(&format!("/calls?{query}")).await.expect(200).json;
        assert_eq!(ids(&list).join(" "), want, "{query}");
    }
    let call = world.get("/calls/2").await.expect(200).json;
    // Began 98 s ago, answered 93 s ago: the first minute, and six cycles of six seconds, at 0.03 a minute.
    assert_eq!((&call["duration_s"], &call["charged_so_far"]), (&json!(93), &json!("0.048")));
    assert_eq!(
        (&call["state"], &call["codec"], &call["media"]),
        (&json!("talking"), &json!("PCMA"), &json!("relayed"))
    );
    assert_eq!(call["a"]["loss_percent"], Value::Null);

    world.brain.has_call(vocab::CallId(2));
    let reason = json!({"reason": "complaint"});
    world.post("/calls/2/disconnect", reason.clone()).await.expect(204);
    assert_eq!(
        world.brain.disconnected(),
        [(vocab::CallId(2), "admin".to_string(), "complaint".to_string())]
    );
    world.board.update(LiveUpdate::Ended(vocab::CallId(2)));
    world.get("/calls/2").await.refused(404, "");
}

#[tokio::test]
async fn call_detail_records() {
    let world = World::with_business();
    for i in 0..5 {
        let mut cdr = record(i);
        if i == 2 {
            (cdr.answer, cdr.talk_ms, cdr.end_reason) = (None, 0, vocab::EndReason::CalleeBusy);
        }
        world.brain.ended(&cdr);
    }
    let count = async |query: &str| {
        world.get(&format!("/cdrs?{query}")).await.expect(200).json["items"].as_array().unwrap().len()
    };
    for (query, want) in [
        ("", 5),
        ("answered=true", 4),
        ("end_reason=callee_busy", 1),
        ("account=acme&routing_gateway=vendor-a-1&mapping_gateway=1&vendor=vendor-a", 5),
        ("account=vendor-a", 0),
        ("caller=4420", 5),
        ("number=1712", 5),
        ("callee=44", 0),
        ("min_duration_s=61", 4),
        ("min_duration_s=62", 0),
        ("from=2026-11-22T16:04:33.002Z&to=2026-11-22T16:04:33.004Z", 2),
        ("ended_by=callee", 0),
        ("q=3-a", 1),
    ] {
        assert_eq!(count(query).await, want, "{query}");
    }
    let first = world.get("/cdrs?limit=3").await.expect(200).json;
    assert_eq!(first["items"][0]["start"], "2026-11-22T16:04:33.004Z");
    let path = format!("/cdrs?limit=3&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = world.get(&path).await.expect(200).json;
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next_cursor"]), (2, &Value::Null));

    let id = first["items"][0]["id"].as_str().unwrap();
    let cdr = world.get(&format!("/cdrs/{id}")).await.expect(200).json;
    assert_eq!(
        (&cdr["fee"], &cdr["cost"], &cdr["profit"]),
        (&json!("0.033"), &json!("0.022"), &json!("0.011"))
    );
    assert_eq!((&cdr["billed_s"], &cdr["duration_ms"]), (&json!(66), &json!(61_000)));
    assert_eq!(cdr["rate"]["price_per_minute"], "0.0300");
    assert_eq!((&cdr["attempts"][0]["result"], &cdr["attempts_count"]), (&json!("answered"), &json!(1)));
    assert_eq!(cdr["route"]["candidates"][1]["verdict"], "concurrency_full");
    assert_eq!(cdr["route"]["candidates"][1]["reason"], "200 of 200 calls");
}
