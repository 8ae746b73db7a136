//! Strangers stay outside, and nobody else's page can act for those inside.

use crate::support::World;
use serde_json::{Value, json};

pub(crate) fn cookie_of(told: &crate::support::Told) -> String {
    told.header("set-cookie").split(';').next().unwrap().to_string()
}

#[tokio::test]
async fn in_and_out() {
    let world = World::new();
    assert_eq!(world.server.bootstrap().unwrap(), None, "the password is told once");
    let body = json!({"username": "admin", "password": world.password});
    let told = world.ask("POST", "/session").anonymous().json(&body).send().await.expect(200);
    assert_eq!(
        told.json["user"],
        json!({"name": "admin", "role": "administrator", "account": null,
        "rights": told.json["user"]["rights"]})
    );
    assert!(told.json["user"]["rights"].as_array().unwrap().contains(&json!("security.edit")));
    let set = told.header("set-cookie").to_string();
    for part in ["tandem_session=", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    let (cookie, token) = (cookie_of(&told), told.json["token"].as_str().unwrap().to_string());
    let by_cookie = || world.ask("GET", "/session").anonymous().header("cookie", &cookie);
    assert_eq!(by_cookie().send().await.expect(200).json["user"]["name"], "admin");
    let bearer = format!("bearer {token}");
    world.ask("GET", "/session").anonymous().header("authorization", &bearer).send().await.expect(200);
    let stored = world.store.tokens("admin").unwrap();
    assert!(stored.iter().all(|t| t.hash != token), "the token itself is not stored");

    let out = world.ask("DELETE", "/session").anonymous().header("cookie", &cookie).header("x-tandem", "1");
    assert!(out.send().await.expect(204).header("set-cookie").contains("Max-Age=0"));
    by_cookie().send().await.refused(401, "");
}

#[tokio::test]
async fn sessions_end_and_wrong_words_do_not_open() {
    let world = World::new();
    let body = json!({"username": "admin", "password": world.password});
    let told = world.ask("POST", "/session").anonymous().json(&body).send().await.expect(200);
    let cookie = cookie_of(&told);
    world.pass(12 * 3600 - 1);
    world.ask("GET", "/session").anonymous().header("cookie", &cookie).send().await.expect(200);
    world.pass(1);
    world.ask("GET", "/session").anonymous().header("cookie", &cookie).send().await.refused(401, "");
    for headers in [
        ("authorization", "Bearer 00"),
        ("authorization", "Basic YWRtaW46YWRtaW4="),
        ("authorization", "Bearer"),
        ("cookie", "tandem_session="),
        ("cookie", "other=1; x"),
    ] {
        world.ask("GET", "/session").anonymous().header(headers.0, headers.1).send().await.refused(401, "");
    }
}

#[tokio::test]
async fn a_new_local_token_replaces_the_old() {
    let world = World::new();
    let second = world.server.create_local_token().unwrap();
    world.get("/session").await.refused(401, "");
    let bearer = format!("Bearer {second}");
    world.ask("GET", "/session").anonymous().header("authorization", &bearer).send().await.expect(200);
}

/// Every operation of the document, with its path filled in.
pub(crate) fn operations() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&api::openapi_json()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap().replace("{id}", "1").replace("{prefix}", "44");
        let path = path.replace("{user}", "nobody").replace("{role}", "none").replace("{key}", "00");
        for method in item.as_object().unwrap().keys() {
            all.push((method.to_uppercase(), path.replace("{name}", "SS_MAX_CPS")));
        }
    }
    all
}

#[tokio::test]
async fn every_operation_is_closed_to_strangers() {
    let world = World::with_business();
    let operations = operations();
    assert!(operations.len() > 40, "{}", operations.len());
    for (method, path) in operations {
        let told = world.ask(&method, &path).anonymous().json(&json!({})).send().await;
        match (method.as_str(), path.as_str()) {
            ("POST", "/session") => told.refused(422, "username"),
            _ => told.refused(401, ""),
        };
    }
    world.ask("GET", "/no/such/thing").anonymous().send().await.refused(401, "");
    world.ask("GET", "/openapi.json").anonymous().send().await.expect(200);
}

#[tokio::test]
async fn who_is_no_administrator_changes_nothing() {
    let world = World::with_business();
    let mut user = world.store.user("admin").unwrap().unwrap();
    (user.name, user.role) = ("eve".to_string(), "viewer".to_string());
    world.store.set_user(&user, "test").unwrap();
    let body = json!({"username": "eve", "password": world.password});
    let told = world.ask("POST", "/session").anonymous().json(&body).send().await.expect(200);
    let mut bearer = format!("Bearer {}", told.json["token"].as_str().unwrap());
    for (method, path) in operations() {
        let told = world
            .ask(&method, &path)
            .anonymous()
            .header("authorization", &bearer)
            .json(&json!({}))
            .send()
            .await;
        let closed = [
            "/users",
            "/roles",
            "/keys",
            "/access",
            "/audit",
            "/export",
            "/captures/pcap",
            "/captures/text",
            "/cdr-exports",
            "/cdr-stream",
            "/firewall",
            "/fraud-rules",
        ];
        let open = ["/session", "/route/simulate", "/route/rewrite", "/check", "/fraud/try"];
        let allowed = open.iter().any(|p| path.starts_with(p))
            || method == "GET" && !closed.iter().any(|p| path.starts_with(p));
        assert_eq!(told.status.as_u16() != 403, allowed, "{method} {path}: {}", told.status);
        if (method.as_str(), path.as_str()) == ("DELETE", "/session") {
            let told = world.ask("POST", "/session").anonymous().json(&body).send().await.expect(200);
            bearer = format!("Bearer {}", told.json["token"].as_str().unwrap());
        }
    }
}

#[tokio::test]
async fn other_sites_cannot_write_with_the_cookie() {
    let world = World::with_business();
    let body = json!({"username": "admin", "password": world.password});
    let told = world.ask("POST", "/session").anonymous().json(&body).send().await.expect(200);
    let cookie = cookie_of(&told);
    let table: &[(&[(&str, &str)], u16)] = &[
        (&[], 403),
        (&[("x-tandem", "0")], 403),
        (&[("x-tandem", "1")], 200),
        (&[("x-tandem", "1"), ("origin", "http://switch.test")], 200),
        (&[("x-tandem", "1"), ("origin", "https://switch.test")], 200),
        (&[("x-tandem", "1"), ("origin", "http://switch.test:8080")], 403),
        (&[("x-tandem", "1"), ("origin", "http://evil.test")], 403),
        (&[("x-tandem", "1"), ("origin", "null")], 403),
    ];
    for (headers, status) in table {
        let ask = world.ask("PUT", "/parameters/SS_MAX_CPS").anonymous().header("cookie", &cookie);
        let ask = headers.iter().fold(ask.json(&json!({"value": "7"})), |ask, (n, v)| ask.header(n, v));
        let told = ask.send().await;
        assert_eq!(told.status.as_u16(), *status, "{headers:?}");
    }
    // Signing a visitor in as somebody else is an attack, too.
    let ask = world.ask("POST", "/session").anonymous().json(&body).header("origin", "http://evil.test");
    ask.send().await.refused(403, "");
    // A program with a token is no browser that could be led astray.
    world.ask("PUT", "/parameters/SS_MAX_CPS").json(&json!({"value": "8"})).send().await.expect(200);
}

#[tokio::test]
async fn guessing_is_slow() {
    let world = World::new();
    let guess = |name: &str, password: &str, ip: &str| {
        let body = json!({"username": name, "password": password});
        world.ask("POST", "/session").anonymous().json(&body).from(ip).send()
    };
    let mut answers = Vec::new();
    for name in ["admin", "nobody"] {
        for _ in 0..10 {
            answers.push(guess(name, "wrong", "198.51.100.7").await.refused(401, "").json["detail"].clone());
        }
        let told = guess(name, &world.password, "198.51.100.7").await.refused(429, "");
        assert_eq!(told.header("retry-after"), "60");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "known and unknown names are told the same: {answers:?}");
    guess("admin", &world.password, "198.51.100.8").await.expect(200);
    // Many names from one address.
    for i in 0..10 {
        guess(&format!("n{i}"), "wrong", "198.51.100.7").await.refused(401, "");
    }
    guess("n10", "wrong", "198.51.100.7").await.refused(429, "");
    world.pass(60);
    guess("admin", &world.password, "198.51.100.7").await.expect(200);
    guess("admin", &"x".repeat(100_000), "198.51.100.9").await.refused(401, "");
}
