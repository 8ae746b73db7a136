//! Overview, status, simulation, end reasons, check.

use crate::support::{NOW, World, record};
use serde_json::{Value, json};
use std::sync::Arc;
use switch::live::{LiveUpdate, Totals};
use vocab::{Money, Utc};

#[tokio::test]
async fn overview_of_today() {
    let world = World::with_business();
    for i in 0..4 {
        let mut cdr = record(i);
        cdr.end = Utc(NOW - 10_000_000);
        if i == 3 {
            (cdr.answer, cdr.talk_ms, cdr.sale, cdr.cost, cdr.profit) = (None, 0, None, None, None);
            cdr.attempts[0].result = cdr::AttemptResult::Failed(vocab::EndReason::CalleeBusy);
        }
        let cdr = Arc::new(cdr);
        world.board.record(cdr.clone());
        world.board.record(cdr);
    }
    for second in 0..20u32 {
        let at = Utc(NOW - 20_000_000 + i64::from(second) * 1_000_000);
        let attempts = u64::from(second) * 2;
        let totals =
            Totals { at, calls: second, cps: 2, attempts, answered: attempts / 2, ..Totals::default() };
        world.board.update(LiveUpdate::Totals(totals));
    }
    let told = world.get("/overview").await.expect(200).json;
    let totals = &told["totals"];
    assert_eq!(
        (&totals["calls"], &totals["attempts"], &totals["answered"]),
        (&json!(19), &json!(4), &json!(3))
    );
    assert_eq!((&totals["asr"], &totals["acd_s"]), (&json!("75.0"), &json!(61)));
    assert_eq!(
        (&totals["revenue"], &totals["cost"], &totals["profit"]),
        (&json!("0.099"), &json!("0.066"), &json!("0.033"))
    );
    assert_eq!(told["currency"], "USD");
    assert_eq!(
        told["top_customers"][0],
        json!({"account": "acme", "calls": 4, "minutes_s": 183, "revenue": "0.099"})
    );
    assert_eq!(
        told["gateways"][0],
        json!({"gateway": "vendor-a-1", "attempts": 4, "answered": 3, "asr": "75.0", "acd_s": 61})
    );
    // 16:04:33 is 3 s into its step: the whole steps are those of :15, :20 and :25, and the part of :10 that was seen.
    let points = told["series"].as_array().unwrap();
    let seen: Vec<(&Value, &Value, &Value)> =
        points.iter().map(|p| (&p["t"], &p["calls"], &p["attempts"])).collect();
    assert_eq!(
        seen,
        [
            (&json!("2026-11-22T16:04:10.000Z"), &json!(1), &json!(2)),
            (&json!("2026-11-22T16:04:15.000Z"), &json!(6), &json!(10)),
            (&json!("2026-11-22T16:04:20.000Z"), &json!(11), &json!(10)),
            (&json!("2026-11-22T16:04:25.000Z"), &json!(16), &json!(10)),
        ]
    );
    assert_eq!(points[2]["profit"], "0.033");
    world.pass(8 * 3600);
    let tomorrow = world.get("/overview").await.json;
    assert_eq!((&tomorrow["totals"]["attempts"], &tomorrow["series"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn status_and_tables() {
    let world = World::new();
    let status = world.get("/status").await.expect(200).json;
    assert_eq!(
        status["listeners"][0],
        json!({"transport": "udp", "address": "0.0.0.0:5060", "advertised": "203.0.113.5"})
    );
    assert_eq!(
        status["journal"],
        json!({"last_seq": "1152921504606846976", "applied_seq": "7", "state": "writing"})
    );
    assert_eq!((&status["now"], &status["demo"]), (&json!("2026-11-22T16:04:33.000Z"), &json!(true)));
    assert_eq!(status["protection"]["over_source_limit"], 0, "{status}");
    let reasons = world.get("/end-reasons").await.expect(200).json;
    assert_eq!(reasons.as_array().unwrap().len(), vocab::cause::END_REASONS.len());
    assert_eq!(reasons[5]["key"], "callee_busy");
    let check = world.ask("POST", "/check").send().await.expect(200).json;
    assert_eq!(check["ok"], true, "{check}");
    assert!(!check["findings"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn simulation() {
    let world = World::with_business();
    let ask = |called: &str| {
        world.post("/route/simulate", json!({"gateway": "acme-pbx", "caller": "44", "called": called}))
    };
    let told = ask("8801712345678").await.expect(200).json;
    assert_eq!((&told["outcome"], &told["plan"]), (&json!("routed"), &json!(["vendor-a-1"])));
    assert_eq!(told["steps"][0], json!({"step": "rate", "outcome": "passed", "detail": "880 at 0.0300"}));
    assert_eq!(told["candidates"][0]["margin_per_minute"], "0.0100");
    let told = ask("999").await.expect(200).json;
    assert_eq!((&told["outcome"], &told["rate"]), (&json!("no_matching_rate"), &Value::Null));
}

#[tokio::test]
async fn rules_are_tried() {
    let world = World::with_business();
    let ask = |body: Value| world.post("/route/rewrite", body);
    let told = ask(json!({"rules": "00:\n025E11:8625", "number": "0044207"})).await.expect(200).json;
    assert_eq!(told["results"], json!([{"number": "44207", "rule": "00:", "percent": 100}]));
    let told = ask(json!({"rules": "0:1\n88x:1,9:2", "number": "05"})).await.expect(200).json;
    assert_eq!(told["results"], json!([]), "one of the rules is wrong");
    assert_eq!((&told["rules"][1]["line"], &told["rules"][1]["rule"]), (&json!(2), &json!("88x:1")));
    assert!(told["rules"][1]["error"].as_str().unwrap().contains("'X'"), "{told}");
    let told = ask(json!({"rules": "0:1\n88x:1", "number": "05", "good_only": true})).await.expect(200).json;
    assert_eq!(told["results"][0]["number"], "15");
    let told = ask(json!({"rules": "*:7;8", "number": "05"})).await.expect(200).json;
    assert_eq!(told["results"].as_array().unwrap().len(), 2, "{told}");
    let told = ask(json!({"rules": "9:1", "number": "05"})).await.expect(200).json;
    assert_eq!(told["results"], json!([{"number": "05", "rule": null, "percent": 100}]));

    // Stored with a gateway, and refused with the place of the rule.
    let read = world.get("/mapping-gateways/acme-pbx").await.expect(200);
    assert_eq!(read.json["called_rewrite"], json!([]));
    let gateway = |rules: Value| {
        json!({"name": "new", "account": "acme", "authentication": "ip", "addresses": ["192.0.2.77"],
            "called_rewrite": rules})
    };
    let told = world.post("/mapping-gateways", gateway(json!(["0:1", "*:"]))).await.expect(422).json;
    assert!(told.to_string().contains("called_rewrite[1]"), "{told}");
    let told = world.post("/mapping-gateways", gateway(json!(["0:1"]))).await.expect(201).json;
    assert_eq!(told["called_rewrite"], json!(["0:1"]));
    let told =
        world.ask("PUT", "/parameters/SS_REWRITE_CALLED").json(&json!({"value": "0:1,5"})).send().await;
    assert_eq!(told.status.as_u16(), 200, "a piece without a colon is one more target");
    let told = world.ask("PUT", "/parameters/SS_REWRITE_CALLED").json(&json!({"value": "0:a"})).send().await;
    assert!(told.expect(422).json.to_string().contains("'a' cannot stand there"));
}

/// Reports over the API: what they say, as JSON, CSV and spreadsheet; what is refused.
#[tokio::test]
async fn reports_are_made_in_every_form() {
    let world = World::with_business();
    for n in 1..=4u64 {
        let mut record = record(n);
        record.sale.as_mut().unwrap().amount = Money(i128::from(n) * 1_000_000);
        record.sale.as_mut().unwrap().area = "=HYPERLINK(\"http://x\")".into();
        world.brain.ended(&record);
    }
    let list = world.get("/reports").await.expect(200).json;
    assert!(list.as_array().unwrap().len() >= 20);
    for report in list.as_array().unwrap() {
        let name = report["name"].as_str().unwrap();
        let made = world
            .get(&format!("/reports/{name}?from=2026-11-01&to=2026-12-01&tz=Asia/Dhaka"))
            .await
            .expect(200)
            .json;
        let columns = made["group"].as_array().unwrap().len() + made["measures"].as_array().unwrap().len();
        for row in made["rows"].as_array().unwrap() {
            assert_eq!(row["cells"].as_array().unwrap().len(), columns, "{name}");
        }
    }
    let query = "from=2026-11-01&to=2026-12-01";
    let bill = world.get(&format!("/reports/gateway_bill?{query}")).await.expect(200).json;
    let place = 2 + bill["measures"].as_array().unwrap().iter().position(|m| m["name"] == "revenue").unwrap();
    assert_eq!(bill["totals"][0]["cells"][place], "0.10");
    let link = bill["rows"][0]["cdrs"].as_str().unwrap();
    assert_eq!(
        world.get(&format!("/cdrs?{link}")).await.expect(200).json["items"].as_array().unwrap().len(),
        4
    );
    let totals = world.get(&format!("/cdr-totals?{link}")).await.expect(200).json;
    assert_eq!((&totals["calls"], &totals["money"][0]["fee"]), (&4.into(), &"0.10".into()));
    let csv = world.get(&format!("/reports/revenue_detail?{query}&format=csv")).await.expect(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let text = String::from_utf8(csv.bytes).unwrap();
    assert!(text.contains("'=HYPERLINK") && !text.contains(",=") && text.contains(",0.10,"), "{text}");
    let xlsx = world.get(&format!("/reports/revenue_detail?{query}&format=xlsx")).await.expect(200);
    assert_eq!(&xlsx.bytes[..2], b"PK");
    for (asked, field) in [
        ("gateway_bill?from=x", "from"),
        ("gateway_bill?tz=Nowhere", "tz"),
        ("gateway_bill?group=mood", "group"),
        ("gateway_bill?account=nobody", "account"),
        ("concurrency?account=acme", "account"),
        ("gateway_bill?format=pdf", ""),
    ] {
        world.get(&format!("/reports/{asked}")).await.refused(422, field);
    }
    world.get("/reports/nothing").await.refused(404, "");
    assert_eq!(world.post("/reports/rebuild", serde_json::json!({})).await.expect(200).json["cdrs"], 4);
}

/// Queries of records are bounded by parameters.
#[tokio::test]
async fn queries_of_records_have_their_bounds() {
    let world = World::with_business();
    world.store.set_parameter("SERVER_QUERY_CDR_MAX_DAY_INTERVAL", "7", "test").unwrap();
    world.get("/cdrs").await.refused(422, "from");
    world.get("/cdrs?from=2026-11-01T00:00:00Z&to=2026-11-09T00:00:00Z").await.refused(422, "from");
    world.get("/cdrs?from=2026-11-16T00:00:00Z").await.expect(200);
    world.store.set_parameter("SERVER_QUERY_CDR_DENY_TIME", "8, 16-17", "test").unwrap();
    world.get("/cdrs?from=2026-11-16T00:00:00Z").await.refused(403, "");
    world.get("/cdr-totals?from=2026-11-16T00:00:00Z").await.refused(403, "");
    world.store.set_parameter("SERVER_QUERY_CDR_DENY_TIME", "8,9", "test").unwrap();
    world.get("/cdrs?from=2026-11-16T00:00:00Z").await.expect(200);
    for bad in ["24", "9-8", "x", "-1"] {
        assert!(world.store.set_parameter("SERVER_QUERY_CDR_DENY_TIME", bad, "test").is_err(), "{bad}");
    }
}
