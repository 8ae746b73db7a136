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

/// Every file of a folder and of those in it.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// secrets that were given once are in no file, no log, no export, no backup and no answer of the API.
#[test]
fn planted_secrets_are_nowhere() {
    const SECRETS: [&str; 2] = ["planted-of-customer", "planted-of-vendor"];
    let switch = Switch::start();
    let ours = format!("{}\nusername = \"tandem\"\npassword = \"{}\"\n", with_password(&switch), SECRETS[1]);
    let text = ours.replace("s3cret", SECRETS[0]);
    let path = switch.dir.path().join("planted.toml");
    std::fs::write(&path, &text).unwrap();
    switch.ok(&["apply", path.to_str().unwrap()]);
    // A file that is refused is told of, but not with what it says.
    std::fs::write(&path, text.replace("max_cps = 5000", "max_cps = \"many\"")).unwrap();
    let (_, refusal) = switch.refused(&["apply", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    let _vendor = vendor(&switch, 1);
    place(&switch, SECRETS[0]).assert_succeeded();
    assert!(!place(&switch, "guess").succeeded());
    switch.cdrs(1);
    let backup = switch.dir.path().join("backup");
    switch.ok(&["backup", backup.to_str().unwrap()]);

    let mut places: Vec<(String, Vec<u8>)> = vec![
        ("the refusal".into(), refusal.into_bytes()),
        ("the export".into(), switch.ok(&["export"]).into_bytes()),
        ("the calls".into(), switch.ok(&["cdr", "list", "--json"]).into_bytes()),
        ("the log".into(), switch.log().into_bytes()),
    ];
    for folder in [switch.data(), &backup] {
        let read =
            |path: std::path::PathBuf| (path.display().to_string(), std::fs::read(&path).unwrap_or_default());
        places.extend(files(folder).into_iter().map(read));
    }
    assert!(places.len() > 6, "{} places were looked at", places.len());
    for (name, bytes) in &places {
        for secret in SECRETS {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{secret} stands in {name}");
        }
    }
    // What holds keys and tokens is its owner's alone, and so is everything in the folder.
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(switch.data()) & 0o077, 0, "the data folder");
    for name in ["secret.key", "local.token", "tandem.db"] {
        assert_eq!(mode(&switch.data().join(name)) & 0o077, 0, "{name}");
    }
}
