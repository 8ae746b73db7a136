//! The corpora of `fuzz/corpus`, through the same functions that the fuzzer runs, with debug assertions and overflow
//! checks. A file is a seed or a finding; its name says of what.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is a failure")]

use std::fs;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).into_iter().flatten().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_corpus_holds() {
    let only = std::env::var("TANDEM_TARGET").unwrap_or_default();
    let mut failed = Vec::new();
    for (name, run) in hostile::TARGETS.iter().filter(|(name, _)| name.contains(&only)) {
        let files = corpus(name);
        assert!(!files.is_empty(), "target {name} has no corpus");
        for file in &files {
            let bytes = fs::read(file).unwrap();
            if std::panic::catch_unwind(|| run(&bytes)).is_err() {
                failed.push(file.clone());
            }
        }
        println!("{name}: {} files", files.len());
    }
    assert!(failed.is_empty(), "{} files fail: {failed:#?}", failed.len());
}

/// Every folder is the corpus of a target, and all of them together stay small.
#[test]
fn corpora_are_tidy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut total = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(hostile::target(&name).is_some(), "no target {name}");
        total += corpus(&name).iter().map(|f| fs::metadata(f).unwrap().len()).sum::<u64>();
    }
    assert!(total < 2 << 20, "{total} bytes");
}
