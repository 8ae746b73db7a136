//! Bodies that are not as they should be: refused with the field named, and nothing changed.

use crate::support::World;
use serde_json::json;

/// Method, path, body, status, field.
const TABLE: &[(&str, &str, &str, u16, &str)] = &[
    ("POST", "/accounts", "", 400, ""),
    ("POST", "/accounts", "{", 400, ""),
    ("POST", "/accounts", "[]", 422, ""),
    ("POST", "/accounts", "null", 422, ""),
    ("POST", "/accounts", "{} {}", 422, "name"),
    ("POST", "/accounts", r#"{"name":"x","kind":"customer","currency":"USD"} x"#, 400, ""),
    ("POST", "/accounts", r#"{"name":"x","kind":"customer"}"#, 422, "currency"),
    ("POST", "/accounts", r#"{"name":"x","kind":"friend","currency":"USD"}"#, 422, "kind"),
    ("POST", "/accounts", r#"{"name":7,"kind":"customer","currency":"USD"}"#, 422, "name"),
    ("POST", "/accounts", r#"{"name":"","kind":"customer","currency":"USD"}"#, 422, "name"),
    ("POST", "/accounts", r#"{"name":"acme","kind":"customer","currency":"USD"}"#, 422, "name"),
    ("POST", "/accounts", r#"{"name":"x","kind":"customer","currency":"usd"}"#, 422, "currency"),
    ("POST", "/accounts", r#"{"name":"x","kind":"customer","currency":"USD","colour":"red"}"#, 422, "colour"),
    ("POST", "/accounts", r#"{"name":"x","kind":"customer","currency":"USD","balance":"5"}"#, 422, "balance"),
    ("POST", "/accounts", r#"{"name":"x","name":"y","kind":"customer","currency":"USD"}"#, 422, "name"),
    (
        "POST",
        "/accounts",
        r#"{"name":"x","kind":"customer","currency":"USD","rate_group":"none"}"#,
        422,
        "rate_group",
    ),
    (
        "POST",
        "/accounts",
        r#"{"name":"x","kind":"customer","currency":"USD","credit_limit":"-1"}"#,
        422,
        "credit_limit",
    ),
    (
        "POST",
        "/accounts",
        r#"{"name":"x","kind":"customer","currency":"USD","credit_limit":1}"#,
        422,
        "credit_limit",
    ),
    (
        "POST",
        "/accounts",
        r#"{"name":"x","kind":"customer","currency":"USD","opening_balance":"999999999999999999999999"}"#,
        422,
        "opening_balance",
    ),
    ("POST", "/accounts", r#"{"name":"x","kind":"customer","currency":"USD","max_cps":-1}"#, 422, "max_cps"),
    (
        "POST",
        "/accounts",
        r#"{"name":"x","kind":"customer","currency":"USD","max_cps":4294967296}"#,
        422,
        "max_cps",
    ),
    ("POST", "/accounts", r#"{"name":"x","kind":"customer","currency":"USD","max_cps":1.5}"#, 422, "max_cps"),
    ("POST", "/accounts", r#"{"name":"x","kind":"customer","currency":"USD","max_cps":1e400}"#, 400, ""),
    (
        "POST",
        "/accounts",
        r#"{"name":"x","kind":"customer","currency":"USD","valid_until":"soon"}"#,
        422,
        "valid_until",
    ),
    (
        "POST",
        "/mapping-gateways",
        r#"{"name":"x","account":"none","addresses":["127.0.0.9"]}"#,
        422,
        "account",
    ),
    (
        "POST",
        "/mapping-gateways",
        r#"{"name":"x","account":"acme","addresses":["300.1.1.1"]}"#,
        422,
        "addresses[0]",
    ),
    (
        "POST",
        "/mapping-gateways",
        r#"{"name":"x","account":"acme","addresses":["127.0.0.9",4]}"#,
        422,
        "addresses[1]",
    ),
    (
        "POST",
        "/mapping-gateways",
        r#"{"name":"x","account":"acme","addresses":["127.0.0.9"],"parameters":{"SS_NO":"1"}}"#,
        422,
        "parameters.SS_NO",
    ),
    (
        "POST",
        "/mapping-gateways",
        r#"{"name":"x","account":"acme","addresses":["127.0.0.9"],"parameters":{"A":"1","A":"2"}}"#,
        422,
        "parameters.A",
    ),
    (
        "POST",
        "/routing-gateways",
        r#"{"name":"x","account":"vendor-a","address":"a b","prefixes":[]}"#,
        422,
        "address",
    ),
    (
        "POST",
        "/routing-gateways",
        r#"{"name":"x","account":"vendor-a","address":"192.0.2.1","prefixes":["8x"]}"#,
        422,
        "prefixes[0]",
    ),
    (
        "POST",
        "/routing-gateways",
        r#"{"name":"x","account":"vendor-a","address":"192.0.2.1","prefixes":[],"failover_codes":[70000]}"#,
        422,
        "failover_codes[0]",
    ),
    ("POST", "/rate-groups", r#"{"name":"x"}"#, 422, "currency"),
    (
        "PUT",
        "/rate-groups/retail/rates/1",
        r#"{"prefix":"1","price_per_minute":0.1}"#,
        422,
        "price_per_minute",
    ),
    (
        "PUT",
        "/rate-groups/retail/rates/1",
        r#"{"prefix":"1","price_per_minute":"-1"}"#,
        422,
        "price_per_minute",
    ),
    (
        "PUT",
        "/rate-groups/retail/rates/1",
        r#"{"prefix":"1","price_per_minute":"9999999999"}"#,
        422,
        "price_per_minute",
    ),
    (
        "PUT",
        "/rate-groups/retail/rates/1",
        r#"{"prefix":"1","price_per_minute":"1","cycle":0}"#,
        422,
        "cycle",
    ),
    ("PUT", "/rate-groups/retail/rates/x", r#"{"prefix":"x","price_per_minute":"1"}"#, 422, "prefix"),
    ("PUT", "/rate-groups/none/rates/1", r#"{"prefix":"1","price_per_minute":"1"}"#, 404, ""),
    ("POST", "/route/simulate", r#"{"gateway":"none","caller":"1","called":"2"}"#, 422, "gateway"),
    ("POST", "/route/simulate", r#"{"gateway":"acme-pbx","caller":"1"}"#, 422, "called"),
    ("POST", "/route/rewrite", r#"{"number":"1"}"#, 422, "rules"),
    ("POST", "/calls/77/disconnect", r#"{"reason":"x"}"#, 404, ""),
    ("POST", "/calls/77/disconnect", r#"{}"#, 422, "reason"),
    ("POST", "/calls/x/disconnect", r#"{"reason":"x"}"#, 404, ""),
    ("POST", "/apply", r#"{"files":"x"}"#, 422, "files"),
    ("POST", "/apply", r#"{"files":[{"name":"a"}]}"#, 422, "files[0].text"),
    ("GET", "/cdrs/x", "", 404, ""),
    ("GET", "/cdrs/18446744073709551616", "", 404, ""),
    ("GET", "/calls/1", "", 404, ""),
    ("GET", "/accounts?limit=0", "", 422, "limit"),
    ("GET", "/accounts?limit=501", "", 422, "limit"),
    ("GET", "/accounts?limit=x", "", 422, "limit"),
    ("GET", "/accounts?acount=x", "", 422, "acount"),
    ("GET", "/accounts?kind=friend", "", 422, "kind"),
    ("GET", "/accounts?sort=colour", "", 422, "sort"),
    ("GET", "/accounts?cursor=zz", "", 400, "cursor"),
    ("GET", "/accounts?cursor=7b7d", "", 400, "cursor"),
    ("GET", "/rate-groups/retail/rates?cursor=44", "", 400, "cursor"),
    ("GET", "/cdrs?sort=start", "", 422, "sort"),
    ("GET", "/cdrs?from=yesterday", "", 422, "from"),
    ("GET", "/cdrs?account=none", "", 422, "account"),
    ("GET", "/cdrs?end_reason=bored", "", 422, "end_reason"),
    ("GET", "/cdrs?answered=maybe", "", 422, "answered"),
    ("PATCH", "/accounts", "{}", 405, ""),
    ("GET", "/no/such/thing", "", 404, ""),
];

#[tokio::test]
async fn bad_requests_name_the_field_and_change_nothing() {
    let world = World::with_business();
    let before = (world.store.config().version, world.get("/export").await.bytes);
    for (method, path, body, status, field) in TABLE {
        let ask = world.ask(method, path);
        let ask = if *method == "GET" { ask } else { ask.text(body) };
        let told = ask.send().await;
        assert_eq!(told.status.as_u16(), *status, "{method} {path} {body}: {}", told.json);
        let told = told.refused(*status, "");
        let named = told.json["errors"][0]["field"].as_str().unwrap_or_default();
        assert_eq!(named, *field, "{method} {path} {body}: {}", told.json);
    }
    assert_eq!((world.store.config().version, world.get("/export").await.bytes), before);
}

#[tokio::test]
async fn bodies_have_a_size_a_type_and_a_depth() {
    let world = World::with_business();
    let big = format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20));
    world.ask("POST", "/accounts").text(&big).send().await.refused(413, "");
    // Files may be larger; this one is read and refused for what it says.
    let file = json!({"files": [{"name": "a.toml", "text": format!("# {}\nx = 1\n", "x".repeat(2 << 20))}]});
    world.ask("POST", "/apply").json(&file).send().await.refused(422, "x");
    world.ask("POST", "/accounts").text(&"[".repeat(100_000)).send().await.refused(422, "");
    let deep = format!(r#"{{"name":"x","notes":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let told = world.ask("POST", "/accounts").text(&deep).send().await;
    assert!(told.status.is_client_error(), "{}", told.status);
    let plain = world.ask("POST", "/accounts").header("content-type", "text/plain").send().await;
    plain.refused(415, "");
}
