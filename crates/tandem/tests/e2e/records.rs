//! Records on their way out: reports, exports, files by interval, and the stream to a receiver, over crashes.

use crate::harness::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a receiver has taken: deliveries by their number, each with the ids of its records.
#[derive(Default)]
struct Taken {
    deliveries: Mutex<BTreeMap<String, Vec<String>>>,
    /// Of what came, how many times again.
    repeated: Mutex<u64>,
    unsigned: Mutex<Vec<String>>,
    refuse: AtomicBool,
}

impl Taken {
    fn ids(&self) -> Vec<String> {
        self.deliveries.lock().unwrap().values().flatten().cloned().collect()
    }
}

/// A receiver of records: takes each delivery once, by its number; now and then it takes one and says nothing.
fn receiver() -> (String, Arc<Taken>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/cdrs", listener.local_addr().unwrap());
    let taken = Arc::new(Taken::default());
    let shared = taken.clone();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut delivery, mut signed) = (0, String::new(), false);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                let (name, value) = line.trim().split_once(": ").unwrap_or_default();
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "x-tandem-delivery" => delivery = value.to_string(),
                    "x-tandem-signature" => signed = value.len() == 64,
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() || length == 0 {
                continue;
            }
            if shared.refuse.load(Ordering::Relaxed) {
                let _ =
                    stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                continue;
            }
            let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let ids: Vec<String> = told["cdrs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|cdr| cdr["id"].as_str().unwrap().to_string())
                .collect();
            if !signed {
                shared.unsigned.lock().unwrap().push(delivery.clone());
            }
            let known = shared.deliveries.lock().unwrap().insert(delivery, ids.clone());
            if let Some(known) = known {
                assert_eq!(known, ids, "the same number, other records");
                *shared.repeated.lock().unwrap() += 1;
            }
            // Taken, but the sender never hears of it.
            if n % 4 != 3 {
                let _ = stream.write_all(b"HTTP/1.1 204 OK\r\nConnection: close\r\n\r\n");
            }
        }
    });
    (url, taken)
}

/// Ids in the files of records, by file.
fn in_files(switch: &Switch) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(switch.data().join("cdr")) else { return Vec::new() };
    let files = folder.map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "csv"));
    let mut ids = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("id,start,") && text.ends_with("\r\n"), "{}", file.display());
        ids.extend(text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_string()));
    }
    ids
}

#[test]
fn no_record_is_lost_or_doubled_on_its_way_out() {
    let mut switch = Switch::start();
    switch.apply(&business(switch.net, "1000.00"));
    let (url, taken) = receiver();
    for (name, value) in [
        ("SS_CDR_RECORD_TO_FILE", "On"),
        ("SS_CDR_RECORD_NONCONNECT", "On"),
        ("SERVER_CDR_FILE_WRITE_INTERVAL", "1"),
        ("SERVER_CDR_REAL_TIME_REPORT_SERVER", url.as_str()),
        ("EXTERNAL_SEND_CDR", "On"),
    ] {
        switch.ok(&["param", "set", name, value]);
    }
    // Both begin with the calls that come after they were switched on.
    std::thread::sleep(Duration::from_millis(2500));
    let _vendor = vendor(&switch, 1);
    for round in 0..4 {
        taken.refuse.store(round == 1, Ordering::Relaxed);
        caller(&switch, &["-m", "15", "-r", "30", "-d", "300"]).start().assert_succeeded();
        std::thread::sleep(Duration::from_millis(300 + round * 350));
        switch.crash_and_restart();
    }
    taken.refuse.store(false, Ordering::Relaxed);
    let all: BTreeSet<String> =
        switch.cdrs(60).iter().map(|cdr| cdr["id"].as_str().unwrap().to_string()).collect();
    eventually_within(Duration::from_secs(60), "all are in files", || {
        (in_files(&switch).len() >= all.len()).then_some(())
    });
    eventually_within(Duration::from_secs(90), "all are taken", || {
        (taken.ids().len() >= all.len()).then_some(())
    });
    let files = in_files(&switch);
    assert_eq!((files.len(), files.into_iter().collect::<BTreeSet<_>>()), (all.len(), all.clone()));
    let ids = taken.ids();
    assert_eq!((ids.len(), ids.into_iter().collect::<BTreeSet<_>>()), (all.len(), all.clone()));
    assert!(*taken.repeated.lock().unwrap() > 0, "what was not heard of is sent again");
    assert!(taken.unsigned.lock().unwrap().is_empty());
    switch.check();

    // Reports, and the records as a file.
    let bill = switch.json(&["report", "gateway_bill", "--from", "2020-01-01", "--tz", "Asia/Dhaka"]);
    let column = |name: &str| {
        let measures = bill["measures"].as_array().unwrap();
        let place = bill["group"].as_array().unwrap().len()
            + measures.iter().position(|m| m["name"] == name).unwrap();
        bill["totals"][0]["cells"][place].as_str().unwrap().to_string()
    };
    assert_eq!(column("calls"), "60");
    let spent = 1000.0 - switch.balance("acme").parse::<f64>().unwrap();
    assert!((column("revenue").parse::<f64>().unwrap() - spent).abs() < 1e-9);
    let rebuilt = switch.ok(&["report", "rebuild"]);
    assert!(rebuilt.contains("from 60 records"), "{rebuilt}");
    let file = switch.dir.path().join("records.csv");
    switch.ok(&["cdr", "export", file.to_str().unwrap(), "--answered", "true"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 61);
    let file = switch.dir.path().join("records.xlsx");
    switch.ok(&["cdr", "export", file.to_str().unwrap()]);
    assert_eq!(&std::fs::read(&file).unwrap()[..2], b"PK");
}
