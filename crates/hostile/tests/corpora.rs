//! The corpora of `fuzz/corpus`, through the same functions that the fuzzer runs, with debug assertions and overflow
//! checks. A file is a seed or a finding; its name says of what.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is a failure")]

use std::fs;
use std::path::{Path, PathBuf};
use vocab::Random;

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

/// Bytes changed, cut, doubled, spliced with another file.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let below = |random: &mut Random, n: usize| {
        usize::try_from(random.below(u64::try_from(n.max(1)).unwrap())).unwrap()
    };
    for _ in 0..=random.below(4) {
        let at = below(random, bytes.len());
        let end = (at + 1 + below(random, 40)).min(bytes.len());
        let telling = b"\r\n\0 \t:;,<>\"\\@/=%[]-0129Z\xff\xc3";
        let byte = telling[below(random, telling.len())];
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = byte,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.insert(at, byte),
            4 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let from = below(random, other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from.min(other.len())..]);
            }
        }
    }
}

/// What a fuzzer does, without looking: `TANDEM_MUTATIONS=1000` of each file instead of a few. What fails is written to
/// `fuzz/artifacts`.
#[test]
fn mutations_of_the_corpora_hold() {
    let only = std::env::var("TANDEM_TARGET").unwrap_or_default();
    let count: u64 = std::env::var("TANDEM_MUTATIONS").map_or(5, |n| n.parse().unwrap());
    let seed = std::env::var("TANDEM_SEED").map_or(1, |n| n.parse().unwrap());
    let mut failed = Vec::new();
    for (name, run) in hostile::TARGETS.iter().filter(|(name, _)| name.contains(&only)) {
        let files: Vec<Vec<u8>> = corpus(name).iter().map(|f| fs::read(f).unwrap()).collect();
        let mut random = Random::from_number(seed);
        for (n, file) in files.iter().enumerate() {
            for turn in 0..count {
                let mut bytes = file.clone();
                mutate(&mut bytes, &files[(n + usize::try_from(turn).unwrap()) % files.len()], &mut random);
                let start = std::time::Instant::now();
                if std::panic::catch_unwind(|| run(&bytes)).is_err() {
                    let folder =
                        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/artifacts").join(name);
                    fs::create_dir_all(&folder).unwrap();
                    let path = folder.join(format!("mutation-{seed}-{n}-{turn}"));
                    fs::write(&path, &bytes).unwrap();
                    failed.push(path);
                }
                let took = start.elapsed();
                if took > std::time::Duration::from_secs(2) {
                    println!("{name}: {took:?} for {} bytes, file {n} turn {turn}", bytes.len());
                }
            }
        }
        println!("{name}: {} files, {count} mutations of each", files.len());
    }
    assert!(failed.is_empty(), "{} inputs fail: {failed:#?}", failed.len());
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
