//! Users, roles, keys, the allow list, the audit log; and what somebody sees who is held to one account (`R-71`).

use crate::sign_in::operations;
use crate::support::{Ask, Told, World, live_call, record};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use switch::live::{CallState, LiveUpdate};
use vocab::AccountId;

const PASSWORD: &str = "correct horse battery";

async fn sign_in(world: &World, name: &str, more: Value) -> Told {
    let mut body = json!({"username": name, "password": PASSWORD});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.ask("POST", "/session").anonymous().json(&body).send().await
}

/// A new user's token.
async fn user(world: &World, name: &str, more: Value) -> String {
    let mut body = json!({"name": name, "password": PASSWORD});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.post("/users", body).await.expect(201);
    sign_in(world, name, json!({})).await.expect(200).json["token"].as_str().unwrap().to_string()
}

fn by(world: &World, token: &str, method: &str, path: &str) -> Ask {
    world.ask(method, path).anonymous().header("authorization", &format!("Bearer {token}"))
}

/// What an authenticator app shows (RFC 6238).
fn code_of(secret: &str, now_s: i64) -> String {
    let value = |c: u8| if c.is_ascii_digit() { c - b'2' + 26 } else { c - b'A' };
    let bits: String = secret.bytes().map(|c| format!("{:05b}", value(c))).collect();
    let key: Vec<u8> =
        (0..bits.len() / 8).map(|i| u8::from_str_radix(&bits[i * 8..i * 8 + 8], 2).unwrap()).collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).unwrap();
    mac.update(&(now_s / 30).to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

#[tokio::test]
async fn users_come_change_and_go() {
    let world = World::with_business();
    for (body, field) in [
        (json!({"name": "a b", "password": PASSWORD, "role": "viewer"}), "name"),
        (json!({"name": "admin", "password": PASSWORD, "role": "viewer"}), "name"),
        (json!({"name": "bob", "password": "short", "role": "viewer"}), "password"),
        (json!({"name": "bob", "password": "aaaaaaaaaaaaaa", "role": "viewer"}), "password"),
        (json!({"name": "bob", "password": "I am BOB, hello", "role": "viewer"}), "password"),
        (json!({"name": "bob", "password": PASSWORD, "role": "king"}), "role"),
        (json!({"name": "bob", "password": PASSWORD, "role": "viewer", "account": "nobody"}), "account"),
    ] {
        world.post("/users", body).await.refused(422, field);
    }
    let bob = user(&world, "bob", json!({"role": "finance", "note": "books"})).await;
    by(&world, &bob, "GET", "/accounts").send().await.expect(200);
    by(&world, &bob, "DELETE", "/accounts/acme").send().await.refused(403, "");
    let pay = json!({"amount": "5.00", "kind": "payment"});
    by(&world, &bob, "POST", "/accounts/acme/payments").json(&pay).send().await.expect(200);

    // Another role acts at once, and ends the sessions that were made for the old one.
    let change = json!({"role": "viewer", "note": "reads"});
    let told = world.ask("PUT", "/users/bob").json(&change).send().await.expect(200);
    assert_eq!(told.json["role"], "viewer");
    by(&world, &bob, "GET", "/accounts").send().await.refused(401, "");
    let bob = sign_in(&world, "bob", json!({})).await.expect(200).json["token"].as_str().unwrap().to_string();
    by(&world, &bob, "POST", "/accounts/acme/payments").json(&pay).send().await.refused(403, "");

    let new = "another long password";
    let change = |old: &str| json!({"old": old, "new": new});
    by(&world, &bob, "PUT", "/session/password").json(&change("wrong")).send().await.refused(422, "old");
    by(&world, &bob, "PUT", "/session/password").json(&change(PASSWORD)).send().await.expect(204);
    sign_in(&world, "bob", json!({})).await.refused(401, "");
    sign_in(&world, "bob", json!({"password": new})).await.expect(200);

    let change = json!({"role": "viewer", "disabled": true});
    world.ask("PUT", "/users/bob").json(&change).send().await.expect(200);
    sign_in(&world, "bob", json!({"password": new})).await.refused(401, "");
    by(&world, &bob, "GET", "/session").send().await.refused(401, "");
    world.ask("DELETE", "/users/bob").send().await.expect(204);
    world.get("/users/bob").await.refused(404, "");
}

#[tokio::test]
async fn somebody_must_remain_who_can_let_others_in() {
    let world = World::new();
    let demote = json!({"role": "viewer"});
    world.ask("PUT", "/users/admin").json(&demote).send().await.refused(409, "");
    world.ask("DELETE", "/users/admin").send().await.refused(409, "");
    let second = user(&world, "second", json!({"role": "administrator"})).await;
    by(&world, &second, "DELETE", "/users/second").send().await.refused(409, "");
    by(&world, &second, "PUT", "/users/admin").json(&demote).send().await.expect(200);
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let world = World::new();
    let rights = json!(["security.view", "security.edit", "accounts.view"]);
    world.ask("PUT", "/roles/guard").json(&json!({"rights": rights})).send().await.expect(200);
    let bad = json!({"rights": ["accounts.view", "accounts.fly"]});
    world.ask("PUT", "/roles/x").json(&bad).send().await.refused(422, "rights[1]");
    world.ask("PUT", "/roles/viewer").json(&json!({"rights": []})).send().await.refused(409, "");
    let guard = user(&world, "guard-1", json!({"role": "guard"})).await;
    let as_guard = |method: &str, path: &str| by(&world, &guard, method, path);
    let new = |role: &str| json!({"name": "eve", "password": PASSWORD, "role": role});
    as_guard("POST", "/users").json(&new("administrator")).send().await.refused(403, "");
    as_guard("POST", "/users").json(&new("operator")).send().await.refused(403, "");
    let take_over = json!({"role": "administrator", "password": "mine, all of it!"});
    as_guard("PUT", "/users/admin").json(&take_over).send().await.refused(403, "");
    as_guard("DELETE", "/users/admin").send().await.refused(403, "");
    let wider = json!({"rights": ["money.edit"]});
    as_guard("PUT", "/roles/guard").json(&wider).send().await.refused(403, "");
    as_guard("POST", "/keys").json(&json!({"name": "k", "user": "admin"})).send().await.refused(403, "");
    world.ask("PUT", "/roles/cashier").json(&json!({"rights": ["money.edit"]})).send().await.expect(200);
    as_guard("PUT", "/roles/cashier").json(&json!({"rights": []})).send().await.refused(403, "");
    as_guard("DELETE", "/roles/cashier").send().await.refused(403, "");
    let id = world.post("/keys", json!({"name": "k"})).await.expect(201).json["id"].clone();
    as_guard("DELETE", &format!("/keys/{}", id.as_str().unwrap())).send().await.refused(403, "");
    as_guard("POST", "/users").json(&new("guard")).send().await.expect(201);
    world.ask("DELETE", "/roles/guard").send().await.refused(409, "");
}

#[tokio::test]
async fn keys_open_only_what_they_are_for() {
    let world = World::with_business();
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "k", "rights": ["nothing"]}), "rights[0]"),
        (json!({"name": "k", "networks": ["192.0.2.0/33"]}), "networks[0]"),
        (json!({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"name": "k", "user": "nobody"}), "user"),
    ] {
        world.post("/keys", body).await.refused(422, field);
    }
    let body = json!({"name": "billing", "rights": ["records.view"], "networks": ["192.0.2.0/24"],
                      "expires_at": "2026-11-23T00:00:00Z"});
    let made = world.post("/keys", body).await.expect(201).json;
    let key = made["token"].as_str().unwrap().to_string();
    let listed = world.get("/keys").await.expect(200).json;
    assert_eq!(listed[0]["name"], "billing");
    assert!(!listed.to_string().contains(&key), "a key is shown once");
    by(&world, &key, "GET", "/cdrs").send().await.expect(200);
    by(&world, &key, "GET", "/accounts").send().await.refused(403, "");
    by(&world, &key, "GET", "/cdrs").from("198.51.100.1").send().await.refused(401, "");
    world.pass(86_400);
    by(&world, &key, "GET", "/cdrs").send().await.refused(401, "");

    let made = world.post("/keys", json!({"name": "second"})).await.expect(201).json;
    let key = made["token"].as_str().unwrap().to_string();
    by(&world, &key, "GET", "/accounts").send().await.expect(200);
    // A key that leaked must not lock its user out or take the user over.
    by(&world, &key, "POST", "/session/second-factor").send().await.refused(403, "");
    by(&world, &key, "DELETE", "/session/second-factor").send().await.refused(403, "");
    let change = json!({"old": world.password, "new": "another long password"});
    by(&world, &key, "PUT", "/session/password").json(&change).send().await.refused(403, "");
    world.ask("DELETE", &format!("/keys/{}", made["id"].as_str().unwrap())).send().await.expect(204);
    by(&world, &key, "GET", "/accounts").send().await.refused(401, "");
    world.ask("DELETE", "/keys/0000").send().await.refused(404, "");
}

#[tokio::test]
async fn the_allow_list_warns_before_it_locks_out() {
    let world = World::new();
    let put = |body: Value| world.ask("PUT", "/access").json(&body).send();
    put(json!({"networks": ["nonsense"]})).await.refused(422, "networks[0]");
    put(json!({"networks": ["198.51.100.0/24"]})).await.refused(409, "networks");
    assert_eq!(world.get("/access").await.expect(200).json["networks"], json!([]));
    put(json!({"networks": ["192.0.2.1"]})).await.expect(200);
    world.get("/session").await.expect(200);
    world.ask("GET", "/session").from("192.0.2.2").send().await.refused(403, "");
    let page = world.ask("GET", "").at("/").anonymous().from("192.0.2.2").send().await;
    assert_eq!(page.status.as_u16(), 403, "the console is closed as well");
    let body = json!({"username": "admin", "password": world.password});
    world.ask("POST", "/session").anonymous().json(&body).from("192.0.2.2").send().await.refused(403, "");
    // The command line on the machine is the way back in; its token is of no use elsewhere.
    world.ask("GET", "/access").from("127.0.0.1").send().await.expect(200);
    put(json!({"networks": ["198.51.100.7"], "confirm": true})).await.expect(200);
    world.get("/access").await.refused(403, "");
    let open = world.ask("PUT", "/access").json(&json!({"networks": []})).from("127.0.0.1");
    open.send().await.expect(200);
    world.get("/access").await.expect(200);
}

#[tokio::test]
async fn the_log_tells_who_did_what_from_where() {
    let world = World::with_business();
    sign_in(&world, "admin", json!({"password": "wrong password"})).await.refused(401, "");
    sign_in(&world, "admin", json!({"password": world.password})).await.expect(200);
    world.ask("PUT", "/parameters/SS_MAX_CPS").json(&json!({"value": "7"})).send().await.expect(200);
    let rate = json!({"prefix": "44", "price_per_minute": "0.0500"});
    let told = world.ask("PUT", "/rate-groups/retail/rates/44").json(&rate).send().await;
    assert!(told.status.is_success(), "{}", told.json);
    let pay = json!({"amount": "5.00", "kind": "payment", "note": "wire"});
    world.post("/accounts/acme/payments", pay).await.expect(200);
    let vendor = json!({"name": "vendor-a-1", "account": "vendor-a", "address": "127.0.0.1:5080",
                        "prefixes": ["880"], "username": "u", "password": "very secret"});
    let get = world.get("/routing-gateways/vendor-a-1").await;
    let put = world.ask("PUT", "/routing-gateways/vendor-a-1").header("if-match", get.header("etag"));
    put.json(&vendor).send().await.expect(200);

    let log = world.get("/audit?limit=50").await.expect(200).json;
    let items = log["items"].as_array().unwrap();
    let find = |action: &str, kind: &str| {
        let is_meant = |e: &&Value| e["action"] == action && e["kind"] == kind && e["author"] == "admin";
        items.iter().find(is_meant).unwrap_or_else(|| panic!("no {action} {kind}: {log}"))
    };
    assert_eq!(find("sign_in", "session")["source"], "192.0.2.1");
    find("sign_in_refused", "session");
    let parameter = find("update", "parameter");
    assert_eq!((&parameter["object"], &parameter["after"]), (&json!("SS_MAX_CPS"), &json!("7")));
    let rates = find("update", "rates");
    assert_eq!(rates["before"][0]["price_per_minute"], "0.0120");
    assert_eq!(rates["after"][0]["price_per_minute"], "0.0500");
    assert_eq!(find("pay", "account")["after"]["note"], "wire");
    let gateway = find("update", "routing_gateway");
    assert_eq!(gateway["after"]["sealed_password"], "***");
    assert!(!log.to_string().contains("very secret"));

    let narrow = world.get("/audit?kind=parameter&author=admin").await.expect(200).json;
    assert_eq!(narrow["items"].as_array().unwrap().len(), 1);
    let first = world.get("/audit?limit=1").await.expect(200).json;
    let next = format!("/audit?limit=500&cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = world.get(&next).await.expect(200).json;
    assert_eq!(rest["items"].as_array().unwrap().len() + 1, items.len());
    world.ask("DELETE", "/audit").send().await.refused(405, "");
}

#[tokio::test]
async fn a_second_factor_opens_once() {
    let world = World::new();
    let token = user(&world, "carol", json!({"role": "viewer"})).await;
    let proposed = by(&world, &token, "POST", "/session/second-factor").send().await.expect(200).json;
    let secret = proposed["secret"].as_str().unwrap().to_string();
    assert!(proposed["uri"].as_str().unwrap().contains(&secret));
    let put = |code: &str| {
        by(&world, &token, "PUT", "/session/second-factor")
            .json(&json!({"secret": secret, "code": code}))
            .send()
    };
    put("000000").await.refused(422, "code");
    put(&code_of(&secret, world.now_s())).await.expect(204);
    assert_eq!(world.get("/users/carol").await.json["second_factor"], true);

    sign_in(&world, "carol", json!({})).await.refused(401, "code");
    sign_in(&world, "carol", json!({"code": "123"})).await.refused(401, "code");
    let code = code_of(&secret, world.now_s());
    sign_in(&world, "carol", json!({"code": code})).await.refused(401, "code");
    world.pass(30);
    let code = code_of(&secret, world.now_s());
    sign_in(&world, "carol", json!({"code": code, "password": "wrong password"})).await.refused(401, "");
    sign_in(&world, "carol", json!({"code": code})).await.expect(200);
    sign_in(&world, "carol", json!({"code": code})).await.refused(401, "code");
    let reset = json!({"role": "viewer", "reset_second_factor": true});
    world.ask("PUT", "/users/carol").json(&reset).send().await.expect(200);
    world.pass(60);
    sign_in(&world, "carol", json!({})).await.expect(200);
}

/// Everything that a held user can ask for, with the ids of what belongs to others.
#[tokio::test]
async fn who_is_held_to_one_account_sees_nothing_of_others() {
    let world = World::with_business();
    let other = json!({"name": "other", "kind": "customer", "currency": "USD", "rate_group": "retail"});
    world.post("/accounts", other).await.expect(201);
    let (own, mut foreign) = (record(7), record(8));
    let account = world.store.config().accounts.find("other").unwrap().id;
    foreign.account.iter_mut().for_each(|a| (a.id, a.name) = (AccountId(account), "other".into()));
    world.brain.ended(&own);
    world.brain.ended(&foreign);
    let mut theirs = live_call(18, "447", CallState::Talking);
    theirs.account = Some("other".into());
    for call in [live_call(17, "442", CallState::Talking), theirs] {
        world.board.update(LiveUpdate::Call(Box::new(call)));
    }
    let token = user(&world, "acme-clerk", json!({"role": "viewer", "account": "acme"})).await;
    let get = |path: &str| by(&world, &token, "GET", path).send();

    let names = |told: &Told| {
        let items = told.json["items"].as_array().unwrap();
        items
            .iter()
            .map(|i| i["name"].as_str().or(i["account"].as_str()).unwrap().to_string())
            .collect::<Vec<_>>()
    };
    for (probe, field) in [
        ("/cdrs?vendor=vendor-a", "vendor"),
        ("/cdrs?routing_gateway=vendor-a-1", "routing_gateway"),
        ("/cdrs?q=vendor-a", "q"),
        ("/calls?vendor=vendor-a", "vendor"),
        ("/calls?q=vendor-a", "q"),
        ("/calls?sort=cost_rate", "sort"),
    ] {
        get(probe).await.refused(422, field);
    }
    for list in ["/accounts", "/calls", "/cdrs", "/cdrs?account=other", "/calls?account=other"] {
        let told = get(list).await.expect(200);
        assert!(names(&told).iter().all(|n| n == "acme"), "{list}: {}", told.json);
        for secret in ["vendor-a", "other", "0.02"] {
            assert!(!told.json.to_string().contains(secret), "{list} shows {secret}: {}", told.json);
        }
    }
    assert_eq!(names(&get("/cdrs").await), ["acme"]);
    assert_eq!(names(&get("/calls").await), ["acme"]);
    let (own, foreign) = (format!("/cdrs/{}", own.call), format!("/cdrs/{}", foreign.call));
    get(&own).await.expect(200);
    get("/calls/17").await.expect(200);
    get("/accounts/acme/ledger").await.expect(200);
    for foreign in
        [foreign.as_str(), "/calls/18", "/accounts/other", "/accounts/other/ledger", "/accounts/vendor-a"]
    {
        get(foreign).await.refused(404, "");
    }
    let detail = get(&own).await.expect(200).json;
    assert_eq!(
        (&detail["vendor"], &detail["cost"], &detail["profit"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!((&detail["attempts"], &detail["route"]["candidates"]), (&json!([]), &json!([])));

    // Whatever else there is, with ids of others or none, is closed.
    for (method, path) in operations() {
        let told = by(&world, &token, &method, &path).json(&json!({})).send().await;
        let open = ["/session", "/accounts", "/calls", "/cdrs", "/cdr-totals", "/end-reasons"];
        if told.status.is_success() {
            assert!(
                open.iter().any(|o| path.starts_with(o)) && method == "GET" || path.starts_with("/session"),
                "{method} {path}"
            );
        }
        if (method.as_str(), path.as_str()) == ("DELETE", "/session") {
            break;
        }
    }
}

#[tokio::test]
async fn an_agent_sees_the_accounts_below_it_and_no_price_above_its_own() {
    let world = World::with_business();
    for (name, kind, agent) in [
        ("top", "agent", None),
        ("near", "agent", Some("top")),
        ("kite", "customer", Some("near")),
        ("other", "customer", Some("top")),
    ] {
        let account = json!({"name": name, "kind": kind, "currency": "USD", "agent": agent});
        world.post("/accounts", account).await.expect(201);
    }
    let id = |name: &str| AccountId(world.store.config().accounts.named(name).unwrap().id);
    let (mut theirs, mut others) = (record(7), record(8));
    let named = |name: &str| cdr::Named { id: id(name), name: name.into() };
    let share = |name: &str, fee: i128, commission: i128| cdr::AgentShare {
        account: named(name),
        price: cdr::Priced { amount: vocab::Money(fee), ..record(7).sale.unwrap() },
        commission: vocab::Money(commission),
    };
    theirs.account = Some(named("kite"));
    theirs.agents = vec![share("near", 2_700_000, 600_000), share("top", 2_500_000, 200_000)];
    others.account = Some(named("other"));
    others.agents = vec![share("top", 2_500_000, 800_000)];
    world.brain.ended(&theirs);
    world.brain.ended(&others);
    let token = user(&world, "near-clerk", json!({"role": "viewer", "account": "near"})).await;
    let get = |path: &str| by(&world, &token, "GET", path).send();

    let names = |told: Told, field: &str| -> Vec<String> {
        told.expect(200).json["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i[field].as_str().unwrap().into())
            .collect()
    };
    assert_eq!(names(get("/accounts?sort=name").await, "name"), ["kite", "near"]);
    assert_eq!(names(get("/cdrs").await, "account"), ["kite"]);
    assert_eq!(names(get("/cdrs?account=kite").await, "account"), ["kite"]);
    for closed in ["other", "top", "acme", "nobody"] {
        assert!(names(get(&format!("/cdrs?account={closed}")).await, "account").is_empty(), "{closed}");
        get(&format!("/accounts/{closed}")).await.refused(404, "");
    }
    get("/accounts/kite/ledger").await.expect(200);
    get(&format!("/cdrs/{}", others.call)).await.refused(404, "");
    let told = get(&format!("/cdrs/{}", theirs.call)).await.expect(200);
    let agents = told.json["agents"].as_array().unwrap();
    assert_eq!(
        (agents.len(), &agents[0]["account"], &agents[0]["commission"]),
        (1, &json!("near"), &json!("0.006"))
    );
    assert_eq!((&told.json["fee"], &told.json["cost"]), (&json!("0.033"), &Value::Null));
    assert!(!told.json.to_string().contains("top"), "{}", told.json);
    assert!(!get("/accounts/near").await.expect(200).json.to_string().contains("top"));

    // The customer learns nothing of agents.
    let token = user(&world, "kite-clerk", json!({"role": "viewer", "account": "kite"})).await;
    for path in ["/accounts".to_string(), "/cdrs".to_string(), format!("/cdrs/{}", theirs.call)] {
        let told = by(&world, &token, "GET", &path).send().await.expect(200).json.to_string();
        assert!(!told.contains("near") && !told.contains("top"), "{path}: {told}");
    }
}
