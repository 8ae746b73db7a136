//! Versions of the configuration: listed, compared, taken back.

use super::{business, example, store};
use crate::config::{Account, MappingGateway, Rate, RateGroup, RoutingGateway};
use crate::{ChangeError, ChangeFilter, Document, SourceFile, Store};
use serde_json::json;

fn named<T: Document>(store: &Store, name: &str) -> crate::Stored<T> {
    (**T::table(&store.config()).named(name).unwrap()).clone()
}

fn refusal(result: Result<u64, ChangeError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn an_undo_puts_everything_back_and_can_be_undone() {
    let (dir, store) = store();
    business(&store);
    let before = store.export().unwrap();
    let applied = store.config().version;
    let file = SourceFile {
        name: "change.toml".into(),
        text: r#"
            [parameters]
            SS_MAX_CPS = 40
            [[rate_group]]
            name = "gold"
            rates = [{ prefix = "1", price_per_minute = "0.01" }]
            [[account]]
            name = "acme"
            kind = "customer"
            currency = "USD"
            rate_group = "gold"
        "#
        .into(),
    };
    store.apply(&[file], false, "bob").unwrap();
    let changed = store.export().unwrap();
    let version = store.config().version;
    assert_eq!(version, applied + 1);

    assert_eq!(store.undo(version, true, "eve").unwrap(), version);
    assert_eq!(store.export().unwrap(), changed, "a dry run changes nothing");
    assert_eq!(store.undo(version, false, "eve").unwrap(), version + 1);
    assert_eq!(store.export().unwrap(), before);
    assert!(store.config().rate_groups.named("gold").is_none());
    let undone = store.one_change(version + 1).unwrap().unwrap();
    assert_eq!((undone.undoes, undone.author.as_str()), (Some(version), "eve"));

    store.undo(version + 1, false, "eve").unwrap();
    assert_eq!(store.export().unwrap(), changed, "the group comes back with its rates");
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.export().unwrap(), changed);
    assert!(store.check().unwrap().iter().all(|f| f.ok));
}

#[test]
fn an_undo_loses_nothing_that_was_done_since() {
    let (_dir, store) = store();
    business(&store);
    let acme = named::<MappingGateway>(&store, "acme-pbx");
    let with = |notes: &str| MappingGateway { notes: notes.into(), ..acme.document.clone() };
    store.put(Some(acme.id), None, with("one"), "bob").unwrap();
    let first = store.config().version;
    store.put(Some(acme.id), None, with("two"), "bob").unwrap();
    let second = store.config().version;
    let words = refusal(store.undo(first, false, "bob"));
    assert!(words.contains("acme-pbx") && words.contains("changed since"), "{words}");
    store.undo(second, false, "bob").unwrap();
    assert_eq!(named::<MappingGateway>(&store, "acme-pbx").document.notes, "one");
    // The undo has put the state of the first change back, so that one can be taken back too.
    store.undo(first, false, "bob").unwrap();
    assert_eq!(named::<MappingGateway>(&store, "acme-pbx").document, acme.document);

    store.set_parameter("SS_MAX_CPS", "7", "bob").unwrap();
    let seven = store.config().version;
    store.set_parameter("SS_MAX_CPS", "8", "bob").unwrap();
    let words = refusal(store.undo(seven, false, "bob"));
    assert!(words.contains("SS_MAX_CPS"), "{words}");
    assert!(matches!(store.undo(999, false, "bob"), Err(ChangeError::NotFound)));
}

#[test]
fn what_others_need_is_not_undone() {
    let (_dir, store) = store();
    business(&store);
    // The accounts have been paid their opening balances, and gateways use them.
    match store.undo(store.config().version, false, "bob") {
        Err(ChangeError::Referenced { by }) => assert_eq!(by, ["its ledger"]),
        other => panic!("{other:?}"),
    }
    let group = crate::config::from_json(json!({"name": "gold"})).unwrap();
    store.put::<RateGroup>(None, None, group, "bob").unwrap();
    let made = store.config().version;
    let acme = named::<Account>(&store, "acme");
    let moved = Account { rate_group: Some("gold".into()), ..acme.document };
    store.put(Some(acme.id), None, moved, "bob").unwrap();
    match store.undo(made, false, "bob") {
        Err(ChangeError::Referenced { by }) => assert_eq!(by, ["account \"acme\""]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn deleted_and_renamed_things_come_back_with_their_secrets() {
    let (_dir, store) = store();
    business(&store);
    let gateway = json!({"name": "v9", "account": "vendor-a", "address": "10.0.0.9", "prefixes": ["9"],
        "username": "u", "password": "hidden words"});
    let made = store.put::<RoutingGateway>(None, None, crate::config::from_json(gateway).unwrap(), "bob");
    let made = made.unwrap();
    store.delete::<RoutingGateway>(made.id, None, "bob").unwrap();
    let gone = store.config().version;
    store.undo(gone, false, "bob").unwrap();
    let back = named::<RoutingGateway>(&store, "v9");
    assert_eq!((back.id, &back.document), (made.id, &made.document));
    assert!(back.version > made.version, "a client with the old version is told");

    let retail = named::<RateGroup>(&store, "retail");
    let renamed = RateGroup { name: "retail 2027".into(), ..retail.document.clone() };
    store.put(Some(retail.id), None, renamed, "bob").unwrap();
    let renamed = store.config().version;
    assert_eq!(named::<Account>(&store, "acme").document.rate_group.as_deref(), Some("retail 2027"));
    store.undo(renamed, false, "bob").unwrap();
    assert_eq!(named::<Account>(&store, "acme").document.rate_group.as_deref(), Some("retail"));

    let page = store.changes(&ChangeFilter::default(), None, 100).unwrap();
    let text = format!("{page:?}");
    assert!(text.contains("v9") && !text.contains("hidden words"));
    let sealed = made.document.sealed_password.as_ref().unwrap();
    assert!(!text.contains(&serde_json::to_string(sealed).unwrap()));
}

#[test]
fn rates_are_taken_back_one_by_one() {
    let (_dir, store) = store();
    business(&store);
    let group = named::<RateGroup>(&store, "retail").id;
    let rate = |prefix: &str, price: &str| {
        Rate::from_json(json!({"prefix": prefix, "price_per_minute": price})).unwrap()
    };
    store.put_rate(group, rate("77", "0.5"), "bob").unwrap();
    store.put_rate(group, rate("77", "0.6"), "bob").unwrap();
    let dearer = store.config().version;
    store.put_rate(group, rate("78", "0.1"), "bob").unwrap();
    store.undo(dearer, false, "bob").unwrap();
    let price = |prefix: &str| store.rate(group, prefix, "").unwrap().map(|r| r.price_per_minute.to_string());
    assert_eq!(price("77").as_deref(), Some("0.5000"));
    let words = refusal(store.undo(dearer, false, "bob"));
    assert!(words.contains("\"77\""), "{words}");
    let count = store.config().sheets[&group].count;
    store.delete_rate(group, "78", "", "bob").unwrap();
    store.undo(store.config().version, false, "bob").unwrap();
    assert_eq!(price("78").as_deref(), Some("0.1000"));
    assert_eq!(store.config().sheets[&group].count, count);
}

#[test]
fn two_versions_are_compared() {
    let (_dir, store) = store();
    store.apply(&[example("first-call.toml")], false, "bob").unwrap();
    let from = store.config().version;
    let group = named::<RateGroup>(&store, "retail").id;
    store.set_parameter("SS_MAX_CPS", "5", "bob").unwrap();
    store.set_parameter("SS_MAX_CPS", "6", "bob").unwrap();
    let rate = |price: &str| Rate::from_json(json!({"prefix": "77", "price_per_minute": price})).unwrap();
    store.put_rate(group, rate("0.5"), "bob").unwrap();
    store.put_rate(group, rate("0.6"), "bob").unwrap();
    let acme = named::<Account>(&store, "acme");
    store.put(Some(acme.id), None, Account { notes: "x".into(), ..acme.document.clone() }, "bob").unwrap();
    store.put(Some(acme.id), None, acme.document, "bob").unwrap();
    let items = store.compare_versions(from, store.config().version).unwrap();
    let short: Vec<_> =
        items.iter().map(|i| (i.kind.as_str(), i.name.as_str(), i.before.is_some())).collect();
    assert_eq!(short, [("parameter", "SS_MAX_CPS", false), ("rates", "retail 77", false)]);
    assert_eq!(items[0].after.as_deref(), Some("6"));
    assert!(items[1].after.as_ref().unwrap().contains("0.6"));

    let all = store.changes(&ChangeFilter::default(), None, 4).unwrap();
    assert_eq!((all.items.len(), all.items[0].version), (4, from + 6));
    let rest = store.changes(&ChangeFilter::default(), all.next.as_deref(), 100).unwrap();
    assert_eq!(rest.items.first().map(|v| v.version), Some(from + 2));
    let filter = ChangeFilter { name: Some("SS_MAX_CPS".into()), ..ChangeFilter::default() };
    assert_eq!(store.changes(&filter, None, 100).unwrap().items.len(), 2);
}
