//! Files: business documents and journal segments.

use crate::endpoint::split;
use std::cell::OnceCell;
use std::path::Path;
use store::config::{Account, MappingGateway, Rate, RateGroup, RoutingGateway, from_json};
use store::{ChangeError, Journal, JournalOptions, SourceFile, Store};
use switch::Record;
use vocab::Seq;

/// A folder in memory when there is one: the fuzzer makes many.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

struct Bench {
    store: Store,
    _folder: tempfile::TempDir,
}

thread_local! {
    static STORE: OnceCell<Bench> = const { OnceCell::new() };
}

/// Business files, parted by lines of three equal signs, applied as a dry run: each problem has its place.
pub fn business(bytes: &[u8]) {
    let parts = split(bytes, b"===\n");
    let named = |(n, part): (usize, &&[u8])| SourceFile {
        name: format!("{n}.toml"),
        text: String::from_utf8_lossy(part).into_owned(),
    };
    let files: Vec<SourceFile> = parts.iter().take(4).enumerate().map(named).collect();
    STORE.with(|cell| {
        let bench = cell.get_or_init(|| {
            let folder = scratch();
            Bench { store: Store::open(folder.path()).unwrap(), _folder: folder }
        });
        let before = bench.store.config().version;
        match bench.store.apply(&files, true, "fuzz") {
            Ok(plan) => assert!(!plan.applied),
            Err(ChangeError::Invalid(problems)) => {
                assert!(!problems.is_empty());
                for problem in problems {
                    let lines = files.iter().map(|f| f.text.lines().count()).max().unwrap_or(0);
                    let line = problem.line.expect("a problem has its line");
                    assert!(usize::try_from(line).unwrap() <= lines + 1, "line {line} of {lines}");
                }
            }
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(bench.store.config().version, before);
    });
}

/// One JSON document, read as each kind. What is accepted is written and read back the same.
pub fn document(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let _ = from_json::<Account>(value.clone());
    let _ = from_json::<MappingGateway>(value.clone());
    let _ = from_json::<RoutingGateway>(value.clone());
    if let Ok(group) = from_json::<RateGroup>(value.clone()) {
        let written = serde_json::to_value(&group).unwrap();
        assert_eq!(from_json::<RateGroup>(written).ok(), Some(group));
    }
    if let Ok(rate) = Rate::from_json(value) {
        let written = serde_json::to_value(&rate).unwrap();
        assert_eq!(Rate::from_json(written).ok(), Some(rate));
    }
}

const HEADER: usize = 32;
const RECORD_HEADER: usize = 20;

/// A journal segment. The first byte says whether its checksums are made right: bit 0 that of the header, bit 1 those
/// of the records. Whatever is found, opening twice finds the same.
pub fn journal(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let _ = postcard::from_bytes::<Record>(bytes);
    let mut segment = bytes.to_vec();
    if mode & 1 != 0 {
        seal_header(&mut segment);
    }
    if mode & 2 != 0 {
        seal_records(&mut segment);
    }
    let folder = scratch();
    std::fs::write(folder.path().join("00000001.log"), &segment).unwrap();
    let options = JournalOptions { segment_bytes: 64 << 10 };
    let Ok((journal, found)) = Journal::open(folder.path(), options) else {
        let kept = std::fs::read(folder.path().join("00000001.log")).unwrap();
        assert_eq!(kept, segment, "a refused journal is not touched");
        return;
    };
    let records = journal.records_after(Seq(0)).filter(Result::is_ok).count();
    drop(journal);
    let (journal, again) = Journal::open(folder.path(), options).expect("it opened before");
    assert_eq!(
        (again.last_seq, again.last_alive, again.open.len()),
        (found.last_seq, found.last_alive, found.open.len())
    );
    assert_eq!(again.cut, None, "cut once");
    assert_eq!(journal.records_after(Seq(0)).filter(Result::is_ok).count(), records);
}

fn seal_header(segment: &mut Vec<u8>) {
    segment.resize(segment.len().max(HEADER), 0);
    segment[..4].copy_from_slice(b"TNDJ");
    segment[8..12].copy_from_slice(&1u32.to_le_bytes());
    segment[12..16].copy_from_slice(&1u32.to_le_bytes());
    let crc = crc32fast::hash(&segment[8..HEADER]);
    segment[4..8].copy_from_slice(&crc.to_le_bytes());
}

fn seal_records(segment: &mut [u8]) {
    let mut at = HEADER;
    while let Some(head) = segment.get(at..at + RECORD_HEADER) {
        let length = usize::try_from(u32::from_le_bytes(head[..4].try_into().unwrap())).unwrap();
        let Some(end) = (at + RECORD_HEADER).checked_add(length).filter(|e| *e <= segment.len()) else {
            return;
        };
        let mut crc = crc32fast::Hasher::new();
        crc.update(&segment[at..at + 4]);
        crc.update(&segment[at + 8..end]);
        let crc = crc.finalize();
        segment[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        if length == 0 {
            return;
        }
        at = end;
    }
}
