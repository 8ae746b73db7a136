//! What is said of registrations.

#![allow(clippy::unwrap_used, reason = "a panic is a failure")]

use diagnosis::capture::{CaptureStore, Filter, Kind, Message};
use diagnosis::registration::registration;
use vocab::{Transport, Utc};

/// Requests (`R`, `R+` with credentials) and responses of one dialog.
fn dialog(lines: &[&str]) -> CaptureStore {
    let mut store = CaptureStore::default();
    for (n, line) in (1..).zip(lines) {
        let incoming = line.starts_with('R');
        let start =
            if incoming { "REGISTER sip:switch SIP/2.0".to_owned() } else { format!("SIP/2.0 {line} Words") };
        let secret = if *line == "R+" { "Authorization: Digest username=\"bob\"\r\n" } else { "" };
        let granted = if *line == "200" { "Expires: 600\r\n" } else { "" };
        let text = format!(
            "{start}\r\nFrom: <sip:bob@x>\r\nTo: <sip:bob@x>\r\nCall-ID: r\r\nCSeq: {n} REGISTER\r\nContact: <sip:bob@10.0.0.5>\r\n{secret}{granted}\r\n"
        );
        store.message(Message {
            at: Utc(n),
            leg: 0,
            incoming,
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "203.0.113.9:5060".parse().unwrap(),
            connection: 0,
            bytes: text.as_bytes().into(),
        });
    }
    store
}

#[test]
fn registrations_are_explained() {
    let cases: [(&[&str], Option<&str>); 9] = [
        (&["R", "401", "R+", "200"], None),
        (&["R", "401"], None),
        (&["R", "200"], None),
        (&["R", "401", "R+", "401", "R+", "401"], Some("register_wrong_password")),
        (&["R", "401", "R", "401", "R", "401"], Some("register_no_credentials")),
        (&["R", "R", "R"], Some("register_no_answer")),
        (&["R", "401", "R+", "403"], Some("register_refused")),
        (&["R", "423"], Some("register_interval_too_brief")),
        (&["R", "503"], Some("register_failed")),
    ];
    for (lines, want) in cases {
        let store = dialog(lines);
        let found =
            store.find(Kind::Register, &Filter { number: Some("bob".into()), ..Filter::default() }, 9);
        let seen = registration(found[0].1).unwrap();
        let keys: Vec<&str> = seen.findings.iter().map(|f| f.key).collect();
        assert_eq!(keys, want.into_iter().collect::<Vec<_>>(), "{lines:?}");
        assert_eq!((seen.user.as_str(), seen.behind_nat, seen.incoming), ("bob", true, true));
    }
    let store = dialog(&["R", "401", "R+", "200"]);
    let seen = registration(store.find(Kind::Register, &Filter::default(), 1)[0].1).unwrap();
    assert_eq!((seen.status, seen.expires_s, seen.requests), (Some(200), Some(600), 2));
}
