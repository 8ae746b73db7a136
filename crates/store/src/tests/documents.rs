//! Single documents: created, changed, renamed, deleted; snapshots of them; users and tokens.

use super::{business, store};
use crate::config::{Account, MappingGateway, Rate, RateGroup, RoutingGateway, from_json};
use crate::samples::Books;
use crate::{ChangeError, Document, Store, Token, User};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use vocab::leg::PlainCredentials;
use vocab::prefix::Packed;
use vocab::{AccountId, Money, RateGroupId, RoutingGatewayId, Seq, Utc};

fn create<T: Document>(store: &Store, value: Value) -> Result<crate::Stored<T>, ChangeError> {
    store.put(None, None, from_json::<T>(value)?, "test")
}

fn fields(result: Result<impl Sized, ChangeError>) -> Vec<String> {
    match result {
        Err(ChangeError::Invalid(problems)) => problems.into_iter().map(|p| p.field).collect(),
        Err(e) => panic!("{e}"),
        Ok(_) => Vec::new(),
    }
}

#[test]
fn versions_conflicts_and_history() {
    let (dir, store) = store();
    let versions = store.watch();
    let made: crate::Stored<Account> =
        create(&store, json!({"name": "acme", "kind": "customer", "currency": "USD"})).unwrap();
    assert_eq!((made.id, made.version), (1, 1));
    let mut changed = made.document.clone();
    changed.notes = "a note".into();
    let second = store.put(Some(1), Some(1), changed.clone(), "bob").unwrap();
    assert_eq!(second.version, 2);
    let stale = store.put(Some(1), Some(1), made.document.clone(), "eve");
    assert!(matches!(stale, Err(ChangeError::Conflict { current_version: 2 })));
    assert!(matches!(store.put(Some(9), None, changed.clone(), "eve"), Err(ChangeError::NotFound)));
    assert!(matches!(store.delete::<Account>(1, Some(1), "eve"), Err(ChangeError::Conflict { .. })));
    // Writing the same again is no change.
    assert_eq!(store.put(Some(1), Some(2), changed, "bob").unwrap().version, 2);
    assert_eq!(versions.try_iter().collect::<Vec<_>>(), [1, 2]);
    store.delete::<Account>(1, Some(2), "bob").unwrap();
    // Ids are never used again.
    let next: crate::Stored<Account> =
        create(&store, json!({"name": "acme", "kind": "customer", "currency": "USD"})).unwrap();
    assert_eq!(next.id, 2);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.config().version, 4);
    let history = store.read(|db| {
        let sql = "SELECT version, changed_by, body FROM document_history WHERE id = 1 ORDER BY version";
        db.rows(sql, &[], |row| Ok((row.int(0)?, row.text(1)?.to_string(), row.optional_text(2)?.is_some())))
    });
    let want = [(1, "test", true), (2, "bob", true), (3, "bob", false)];
    assert_eq!(history.unwrap(), want.map(|(v, by, body)| (v, by.to_string(), body)));
}

#[test]
fn references_hold_in_both_directions() {
    let (_dir, store) = store();
    business(&store);
    let config = store.config();
    let acme = config.accounts.named("acme").unwrap();
    match store.delete::<Account>(acme.id, None, "test") {
        Err(ChangeError::Referenced { by }) => assert_eq!(by, ["mapping gateway \"acme-pbx\"", "its ledger"]),
        other => panic!("{other:?}"),
    }
    let retail = config.rate_groups.named("retail").unwrap();
    assert!(matches!(
        store.delete::<RateGroup>(retail.id, None, "test"),
        Err(ChangeError::Referenced { .. })
    ));
    // A new name is followed by those that use it.
    let renamed = RateGroup { name: "retail 2027".into(), ..retail.document.clone() };
    store.put(Some(retail.id), None, renamed, "test").unwrap();
    let renamed = Account {
        name: "acme ltd".into(),
        ..store.config().accounts.named("acme").unwrap().document.clone()
    };
    store.put(Some(acme.id), None, renamed, "test").unwrap();
    let config = store.config();
    let account = config.accounts.named("acme ltd").unwrap();
    assert_eq!((account.document.rate_group.as_deref(), account.version), (Some("retail 2027"), 3));
    assert_eq!(config.mapping_gateways.named("acme-pbx").unwrap().document.account, "acme ltd");
    assert!(config.accounts.named("acme").is_none());
    assert!(store.check().unwrap().iter().all(|f| f.ok));
    // An account that takes the old name gets its own opening balance.
    let second = json!({"name": "acme", "kind": "customer", "currency": "USD", "opening_balance": "1.00"});
    let second: crate::Stored<Account> = create(&store, second).unwrap();
    let keys: Vec<String> = store.pending_payments().unwrap().into_iter().map(|p| p.key).collect();
    assert_eq!(keys, ["opening:acme".to_string(), format!("opening:acme#{}", second.id)]);
}

#[test]
fn what_cannot_be_is_refused_with_its_field() {
    let (_dir, store) = store();
    business(&store);
    let account = |more: Value| merged(json!({"name": "x", "kind": "customer", "currency": "USD"}), more);
    let mapping = |more: Value| {
        let base = json!({"name": "x", "account": "acme", "authentication": "ip", "addresses": ["10.0.0.1"]});
        merged(base, more)
    };
    let routing = |more: Value| {
        merged(json!({"name": "x", "account": "vendor-a", "address": "10.0.0.1", "prefixes": [""]}), more)
    };
    for (change, want) in [
        (json!({}), vec![]),
        (json!({"name": ""}), vec!["name"]),
        (json!({"name": " x"}), vec!["name"]),
        (json!({"name": "a/b"}), vec!["name"]),
        (json!({"name": "acme"}), vec!["name"]),
        (json!({"credit_limit": "-1"}), vec!["credit_limit"]),
        (json!({"credit_limit": 5}), vec!["credit_limit"]),
        (json!({"credit_limit": null}), vec![]),
        (json!({"rate_group": "nope"}), vec!["rate_group"]),
        (json!({"currency": "EUR", "rate_group": "retail"}), vec!["rate_group"]),
        (json!({"currency": "euro"}), vec!["currency"]),
        (json!({"opening_balance": "1e9"}), vec!["opening_balance"]),
        (json!({"valid_until": "2027-02-30T00:00:00Z"}), vec!["valid_until"]),
        (json!({"valid_until": "2027-02-28T00:00:00+06:00"}), vec![]),
        (json!({"notes": "\u{0}"}), vec!["notes"]),
        (json!({"kind": "friend", "colour": "red"}), vec!["colour", "kind"]),
    ] {
        let mut found = fields(create::<Account>(&store, account(change.clone())));
        found.sort();
        assert_eq!(found, want, "{change}");
        forget::<Account>(&store, "x");
    }
    for (change, want) in [
        (json!({}), vec![]),
        (json!({"account": "nobody"}), vec!["account"]),
        (json!({"addresses": []}), vec!["addresses"]),
        (json!({"addresses": ["10.0.0.1", "10.0.0.0/33"]}), vec!["addresses[1]"]),
        (json!({"addresses": ["10.0.0.1", "10.0.0.1"]}), vec!["addresses[1]"]),
        (json!({"authentication": "ip-port"}), vec!["addresses[0]"]),
        (json!({"authentication": "ip-port", "addresses": ["10.0.0.1:5060", "[::1]:5060"]}), vec![]),
        (json!({"authentication": "password"}), vec!["username"]),
        (json!({"authentication": "password", "username": "u"}), vec!["password"]),
        (json!({"authentication": "password", "username": "u", "password": "p"}), vec![]),
        (json!({"password": "p"}), vec!["username"]),
        (json!({"called_prefixes": ["880", "88o"]}), vec!["called_prefixes[1]"]),
        (json!({"parameters": {"SS_MAX_CPS": "1"}}), vec!["parameters.SS_MAX_CPS"]),
        (json!({"parameters": {"SS_SIP_TIMEOUT_RINGING": "x"}}), vec!["parameters.SS_SIP_TIMEOUT_RINGING"]),
        (json!({"parameters": {"ss_sip_timeout_ringing": 30}}), vec![]),
        (json!({"max_cps": "5"}), vec!["max_cps"]),
    ] {
        let found = fields(create::<MappingGateway>(&store, mapping(change.clone())));
        assert_eq!(found, want, "{change}");
        forget::<MappingGateway>(&store, "x");
    }
    for (change, want) in [
        (json!({}), vec![]),
        (json!({"address": "carrier.example:5070"}), vec![]),
        (json!({"address": "carrier.example:0"}), vec!["address"]),
        (json!({"address": "10.0.0.300"}), vec!["address"]),
        (json!({"address": "[::1]:5060"}), vec![]),
        (json!({"address": "-bad-.example"}), vec!["address"]),
        (json!({"prefixes": []}), vec!["prefixes"]),
        (json!({"prefixes": ["44", "44"]}), vec!["prefixes[1]"]),
        (json!({"failover_codes": [503, 200]}), vec!["failover_codes[1]"]),
        (json!({"max_price_per_minute": "-0.1"}), vec!["max_price_per_minute"]),
        (json!({"lowest_profit_per_minute": "-0.1"}), vec![]),
        (json!({"password": "p"}), vec!["username"]),
        (json!({"username": "u", "sealed_password": "00ff"}), vec!["sealed_password"]),
        (json!({"transport": "sctp"}), vec!["transport"]),
        (json!({"transport": "wss"}), vec!["transport"]),
        (json!({"transport": "tls"}), vec![]),
    ] {
        let found = fields(create::<RoutingGateway>(&store, routing(change.clone())));
        assert_eq!(found, want, "{change}");
        forget::<RoutingGateway>(&store, "x");
    }
}

fn merged(mut base: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

fn forget<T: Document>(store: &Store, name: &str) {
    if let Some(stored) = T::table(&store.config()).named(name) {
        store.delete::<T>(stored.id, None, "test").unwrap();
    }
}

#[test]
fn an_account_with_money_keeps_its_currency() {
    let (_dir, store) = store();
    let made: crate::Stored<Account> =
        create(&store, json!({"name": "acme", "kind": "customer", "currency": "USD"})).unwrap();
    let euro = Account { currency: vocab::Currency::parse("EUR").unwrap(), ..made.document.clone() };
    store.put(Some(made.id), None, euro.clone(), "test").unwrap();
    store.put(Some(made.id), None, made.document, "test").unwrap();
    store.applier().apply(&[(Seq(1), Books::default().pay(made.id, Money(1), "k"))]).unwrap();
    assert_eq!(fields(store.put(Some(made.id), None, euro, "test")), ["currency"]);
}

#[test]
fn passwords_are_kept_as_hashes_and_sealed() {
    let (dir, store) = store();
    business(&store);
    let gateway: crate::Stored<MappingGateway> = create(
        &store,
        json!({"name": "m", "account": "acme", "authentication": "password", "username": "alice", "password": "geheim1"}),
    )
    .unwrap();
    let vendor: crate::Stored<RoutingGateway> = create(
        &store,
        json!({"name": "r", "account": "vendor-a", "address": "10.0.0.1", "prefixes": ["1"], "username": "us",
               "password": "geheim2"}),
    )
    .unwrap();
    let credentials = |store: &Store| {
        let snapshot = store.snapshot(&HashMap::new()).unwrap();
        snapshot.routing_gateways[&RoutingGatewayId(vendor.id)].credentials.clone()
    };
    let want = PlainCredentials { username: "us".into(), password: "geheim2".into() };
    assert_eq!(credentials(&store), Some(want.clone()));
    // Not given again, they stay; another user name needs the password again.
    let kept = MappingGateway { notes: "n".into(), secret: None, ..gateway.document.clone() };
    let kept = store.put(Some(gateway.id), None, kept, "test").unwrap();
    assert_eq!(kept.document.secret, gateway.document.secret);
    let renamed = MappingGateway { username: Some("bob".into()), secret: None, ..kept.document.clone() };
    assert_eq!(fields(store.put(Some(gateway.id), None, renamed, "test")), ["password"]);
    let kept = RoutingGateway { sealed_password: None, ..vendor.document.clone() };
    assert_eq!(store.put(Some(vendor.id), None, kept, "test").unwrap().version, 1);
    let twin = json!({"name": "m2", "account": "acme", "authentication": "password", "username": "alice", "password": "x"});
    assert_eq!(fields(create::<MappingGateway>(&store, twin)), ["username"]);
    drop(store);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(6).any(|w| w == b"geheim"));
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(credentials(&store), Some(want));
    std::fs::write(dir.path().join("secret.key"), "00".repeat(32)).unwrap();
    drop(store);
    let error = Store::open(dir.path()).unwrap().snapshot(&HashMap::new()).unwrap_err();
    assert!(error.to_string().starts_with("key file: "), "{error}");
}

#[test]
fn parameters_are_set_and_unset() {
    let (dir, store) = store();
    store.set_parameter("ss_max_cps", " 100 ", "test").unwrap();
    store.set_parameter("SS_RTP_TIMEOUT", "60", "test").unwrap();
    assert_eq!(store.config().params.max_cps, 100);
    let version = store.config().version;
    store.set_parameter("SS_MAX_CPS", "100", "test").unwrap();
    assert_eq!(store.config().version, version);
    for (name, value) in [("SS_MAX_CPS", "-1"), ("SS_NOTHING", "1"), ("SS_MEDIAPROXYPORT_END", "9000")] {
        assert_eq!(fields(store.set_parameter(name, value, "test")), [name]);
    }
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let set: Vec<&String> =
        store.config().parameters.keys().cloned().collect::<Vec<_>>().leak().iter().collect();
    assert_eq!(set, ["SS_MAX_CPS", "SS_MEDIA_CHECK_TIMEOUT"]);
    store.set_parameter("SS_MAX_CPS", "0", "test").unwrap();
    assert_eq!((store.config().parameters.len(), store.config().params.max_cps), (1, 0));
}

#[test]
fn rates_are_listed_changed_and_shared() {
    let (_dir, store) = store();
    business(&store);
    let config = store.config();
    let (retail, other) =
        (config.rate_groups.named("retail").unwrap().id, config.rate_groups.named("vendor-a").unwrap().id);
    let prefixes = |starts: &str, after: Option<&str>, limit| {
        let rates = store.rates(retail, starts, after.map(|a| (a, "")), limit).unwrap();
        rates.into_iter().map(|r| r.prefix).collect::<Vec<_>>()
    };
    assert_eq!(prefixes("", None, 10), ["44", "880", "88017"]);
    assert_eq!(prefixes("88", None, 10), ["880", "88017"]);
    assert_eq!(prefixes("88", Some("880"), 10), ["88017"]);
    assert_eq!(prefixes("", None, 1), ["44"]);
    assert_eq!(prefixes("%", None, 10), [""; 0]);
    let before = store.snapshot(&HashMap::new()).unwrap();
    let mut rate = store.rate(retail, "44", "").unwrap().unwrap();
    rate.locked = true;
    store.put_rate(retail, rate.clone(), "test").unwrap();
    store.put_rate(retail, Rate { prefix: "1".into(), ..rate.clone() }, "test").unwrap();
    assert_eq!(store.config().sheets[&retail].count, 4);
    let version = store.config().version;
    store.put_rate(retail, rate.clone(), "test").unwrap();
    assert_eq!(store.config().version, version);
    store.delete_rate(retail, "1", "", "test").unwrap();
    assert!(matches!(store.delete_rate(retail, "1", "", "test"), Err(ChangeError::NotFound)));
    assert!(matches!(store.put_rate(99, rate.clone(), "test"), Err(ChangeError::NotFound)));
    assert_eq!(fields(store.put_rate(retail, Rate { cycle: 0, ..rate }, "test")), ["cycle"]);
    let after = store.snapshot(&HashMap::new()).unwrap();
    let table = |s: &switch::Snapshot, id| s.rate_groups[&RateGroupId(id)].table.clone();
    assert!(table(&after, retail).at(Packed::of("44"), Utc(0), &billing::Zone::utc()).unwrap().1.locked);
    assert!(!table(&before, retail).at(Packed::of("44"), Utc(0), &billing::Zone::utc()).unwrap().1.locked);
    assert!(!Arc::ptr_eq(&table(&before, retail), &table(&after, retail)));
    assert!(Arc::ptr_eq(&table(&before, other), &table(&after, other)));
}

#[test]
fn snapshots_hold_what_was_configured() {
    let (_dir, store) = store();
    business(&store);
    create::<RoutingGateway>(
        &store,
        json!({"name": "named", "account": "vendor-a", "address": "Carrier.Example:5070", "prefixes": ["1"],
               "parameters": {"SS_SIP_TIMEOUT_RINGING": "30"}, "failover_codes": [503]}),
    )
    .unwrap();
    assert_eq!(store.host_names(), ["carrier.example"]);
    let snapshot = store.snapshot(&HashMap::new()).unwrap();
    let named = snapshot.routing_gateways.values().find(|g| &*g.route.name == "named").unwrap();
    assert_eq!((named.target, named.host.as_deref()), (None, Some("carrier.example")));
    assert_eq!((named.params.sip_timeout_ringing_s, snapshot.params.sip_timeout_ringing_s), (30, 120));
    let resolved = HashMap::from([("carrier.example".to_string(), "192.0.2.7".parse().unwrap())]);
    let snapshot = store.snapshot(&resolved).unwrap();
    let named = snapshot.routing_gateways.values().find(|g| &*g.route.name == "named").unwrap();
    assert_eq!(named.target, "192.0.2.7:5070".parse().ok());
    let source = "127.0.0.1:40000".parse().unwrap();
    let gateway = snapshot.mapping_by_source(source).next().unwrap();
    let account = &snapshot.accounts[&gateway.account];
    assert_eq!((&*gateway.name, &*account.name, gateway.max_cps), ("acme-pbx", "acme", Some(50)));
    let group = &snapshot.rate_groups[&account.rate_group.unwrap()];
    let (prefix, rate) = group.at(Packed::of("8801712345678"), Utc(0)).unwrap();
    assert_eq!(
        (prefix.to_string().as_str(), rate.price_per_minute.to_string().as_str()),
        ("88017", "0.0360")
    );
    assert_eq!(account.terms.credit_limit, Some(Money::ZERO));
    assert_eq!((snapshot.version, &*snapshot.realm), (store.config().version, "tandem"));
}

#[test]
fn opening_balances_are_due_until_they_are_posted() {
    let (_dir, store) = store();
    let plan = business(&store);
    assert_eq!(plan.payments.len(), 1);
    let due = &plan.payments[0];
    assert_eq!((due.amount, due.key.as_str()), (Money(1_000_000_000), "opening:acme"));
    assert_eq!(store.pending_payments().unwrap(), plan.payments);
    let paid = Books::default().pay(due.account.0, due.amount, &due.key);
    store.applier().apply(&[(Seq(1), paid)]).unwrap();
    assert_eq!(store.pending_payments().unwrap(), []);
    assert_eq!(business(&store).payments, []);
    assert_eq!(store.balances().unwrap()[&billing::Book::Account(AccountId(due.account.0))], due.amount);
}

#[test]
fn users_and_tokens() {
    let (_dir, store) = store();
    let user = |name: &str, role: &str| User {
        name: name.into(),
        role: role.into(),
        password_hash: "$argon2id$…".into(),
        created_at: Utc::from_millis(5),
        details: Default::default(),
    };
    store.set_user(&user("bob", "viewer"), "test").unwrap();
    store.set_user(&user("admin", "admin"), "test").unwrap();
    store.set_user(&user("bob", "admin"), "test").unwrap();
    assert_eq!(store.users().unwrap(), [user("admin", "admin"), user("bob", "admin")]);
    assert_eq!(store.user("eve").unwrap(), None);
    let token = |hash: &str, expires: Option<i64>| Token {
        hash: hash.into(),
        user: "bob".into(),
        note: String::new(),
        created_at: Utc::from_millis(5),
        expires_at: expires.map(Utc::from_millis),
        details: Default::default(),
    };
    for (hash, expires) in [("a", Some(10)), ("b", Some(20)), ("c", None)] {
        store.add_token(&token(hash, expires), "test").unwrap();
    }
    assert_eq!(store.delete_expired_tokens(Utc::from_millis(10)).unwrap(), 1);
    assert_eq!((store.token("a").unwrap(), store.token("b").unwrap()), (None, Some(token("b", Some(20)))));
    assert!(store.delete_token("b", "test").unwrap() && !store.delete_token("b", "test").unwrap());
    assert!(store.delete_user("bob", "test").unwrap());
    assert_eq!(store.tokens("bob").unwrap(), []);

    let log = store.audit(&crate::AuditFilter::default(), None, 2).unwrap();
    let done = |e: &crate::AuditEntry| format!("{} {} {} {}", e.author, e.action, e.kind, e.object);
    let newest: Vec<String> = log.items.iter().map(done).collect();
    assert_eq!(newest, ["test delete user bob", "test update user bob"]);
    let rest = store.audit(&crate::AuditFilter::default(), log.next.as_deref(), 10).unwrap();
    let rest: Vec<String> = rest.items.iter().map(done).collect();
    assert_eq!(rest, ["test create user admin", "test create user bob"]);
}
