//! Gateways with a password.

use crate::harness::*;

fn with_password(switch: &Switch) -> String {
    let ip = format!("authentication = \"ip\"\naddresses = [\"{}\"]", switch.net.customer());
    let password = "authentication = \"password\"\nusername = \"acme\"\npassword = \"s3cret\"";
    let text = business(switch.net, "10.00");
    assert!(text.contains(&ip));
    text.replace(&ip, password)
}

fn place(switch: &Switch, password: &str) -> Sipp {
    let target = switch.sip("udp").to_string();
    let from = (switch.net.customer(), 5090).into();
    let args =
        ["-s", "8801712345678", "-m", "1", "-d", "200", "-au", "acme", "-ap", password, "-timeout", "5s"];
    sipp("uac-digest.xml", from).with(&args).with(&["-timeout_error", &target]).start()
}

#[test]
fn the_right_password_calls_and_a_wrong_one_does_not() {
    let switch = Switch::start();
    switch.apply(&with_password(&switch));
    let _vendor = vendor(&switch, 1);
    let mut right = place(&switch, "s3cret");
    right.assert_succeeded();
    assert_eq!(switch.cdrs(1)[0]["end_reason"], "normal_release");
    // Both algorithms are offered.
    let challenge = right.messages().into_iter().find(|m| m.starts_with("SIP/2.0 407")).unwrap();
    assert!(challenge.contains("algorithm=SHA-256") && challenge.contains("algorithm=MD5"), "{challenge}");

    assert!(!place(&switch, "guess").succeeded());
    let answered = switch.json(&["cdr", "list", "--answered", "true"]);
    assert_eq!(answered["items"].as_array().unwrap().len(), 1);
    // The password is nowhere in what is stored or logged.
    for file in ["tandem.db", "tandem.db-wal"] {
        let bytes = std::fs::read(switch.data().join(file)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|w| w == b"s3cret"), "{file}");
    }
    assert!(!switch.log().contains("s3cret"));
}
