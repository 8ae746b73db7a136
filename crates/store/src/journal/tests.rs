//! The journal on real files: torn and damaged ends, rotation, a full disk.

use super::*;
use crate::samples;
use crate::tests::scratch;
use cdr::Cdr;
use std::os::unix::fs::MetadataExt;
use switch::Record;
use vocab::{CallId, Random, Utc};

const SMALL: JournalOptions = JournalOptions { segment_bytes: 16 << 10 };

fn alive(n: u64) -> (Seq, Record) {
    (Seq(n), Record::Alive { at: Moment { utc: Utc(i64::try_from(n).unwrap()), ..Moment::default() } })
}

fn placed(n: u64, call: u64) -> (Seq, Record) {
    (Seq(n), samples::placed(samples::cdr(call)))
}

fn ended(n: u64, call: u64) -> (Seq, Record) {
    (Seq(n), Record::Ended { cdr: Box::new(samples::cdr(call)), postings: Vec::new() })
}

fn open(dir: &Path) -> (Journal, Recovered) {
    Journal::open(dir, SMALL).unwrap()
}

fn read_all(journal: &Journal, after: u64) -> Vec<(Seq, Record)> {
    journal.records_after(Seq(after)).collect::<Result<_, _>>().unwrap()
}

fn logs(dir: &Path) -> Vec<PathBuf> {
    segment_files(dir).unwrap().into_iter().map(|(_, path)| path).collect()
}

#[test]
fn what_was_synced_comes_back_in_order() {
    let dir = scratch();
    let (mut journal, recovered) = open(dir.path());
    assert_eq!(recovered, Recovered::default());
    let records: Vec<_> = vec![placed(1, 7), alive(2), placed(3, 8), ended(4, 7), alive(9)];
    journal.append(&records[..2]).unwrap();
    assert_eq!(journal.synced(), Seq(0));
    assert_eq!(journal.sync().unwrap(), Seq(2));
    journal.append(&records[2..]).unwrap();
    assert_eq!(journal.sync().unwrap(), Seq(9));
    assert_eq!(journal.sync().unwrap(), Seq(9));
    assert_eq!(read_all(&journal, 0), records);
    assert_eq!(read_all(&journal, 3), records[3..]);
    assert!(matches!(journal.append(&[alive(9)]), Err(JournalError::Refused { .. })));
    drop(journal);
    let (journal, recovered) = open(dir.path());
    assert_eq!(recovered.last_seq, Seq(9));
    assert_eq!(recovered.last_alive.map(|at| at.utc), Some(Utc(9)));
    let open_cdrs: Vec<_> = recovered.open.iter().map(|o| o.placed.clone().unwrap().cdr).collect();
    assert_eq!(open_cdrs, [samples::cdr(8)]);
    assert_eq!(recovered.cut, None);
    assert_eq!(read_all(&journal, 0), records);
}

#[test]
fn two_processes_cannot_share_a_folder() {
    let dir = scratch();
    let first = open(dir.path());
    assert!(matches!(Journal::open(dir.path(), SMALL), Err(JournalError::InUse { .. })));
    drop(first);
    open(dir.path());
}

#[test]
fn unsynced_records_are_lost_and_their_numbers_free() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    journal.append(&[alive(1)]).unwrap();
    journal.sync().unwrap();
    journal.append(&[alive(2)]).unwrap();
    drop(journal);
    let (mut journal, recovered) = open(dir.path());
    assert_eq!(recovered.last_seq, Seq(1));
    journal.append(&[alive(2)]).unwrap();
    journal.sync().unwrap();
    assert_eq!(read_all(&journal, 0).len(), 2);
}

#[test]
fn new_segments_begin_with_open_calls_and_old_ones_may_go() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    let mut all = vec![placed(1, 1), placed(2, 2), alive(3)];
    all.extend((4..200).flat_map(|n| [placed(2 * n, n + 10), ended(2 * n + 1, n + 10)]));
    for batch in all.chunks(10) {
        journal.append(batch).unwrap();
        journal.sync().unwrap();
    }
    assert!(logs(dir.path()).len() > 3, "{:?}", logs(dir.path()));
    assert_eq!(journal.open_calls(), 2);
    assert_eq!(read_all(&journal, 0), all);
    journal.forget(Seq(2)).unwrap();
    assert_eq!(read_all(&journal, 0), all, "needed records are kept");
    journal.forget(journal.last()).unwrap();
    assert_eq!(logs(dir.path()).len(), 1);
    drop(journal);
    let (mut journal, recovered) = open(dir.path());
    assert_eq!(recovered.last_alive.map(|at| at.utc), Some(Utc(3)));
    let open_calls: Vec<CallId> = recovered.open.iter().filter_map(OpenCall::id).collect();
    assert_eq!(open_calls, [CallId(1), CallId(2)]);
    assert_eq!(recovered.last_seq, Seq(399));
    // They are carried again from a file that only carries them.
    for n in 400..500 {
        journal.append(&[placed(n * 2, n), ended(n * 2 + 1, n)]).unwrap();
        journal.sync().unwrap();
    }
    journal.forget(journal.last()).unwrap();
    drop(journal);
    assert_eq!(open(dir.path()).1.open.len(), 2);
}

/// Cuts or spoils the last bytes of the journal in a thousand ways: whatever stood wholly before them is there
/// afterwards, or the journal says clearly that it is damaged (`R-04`).
#[test]
fn torn_and_spoilt_ends() {
    let seeds: u64 = std::env::var("TANDEM_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1000);
    let mut refused = 0;
    for seed in 0..seeds {
        refused += u64::from(torn_end(seed));
    }
    assert!(refused < seeds, "every seed was refused");
}

/// True if the journal was refused.
fn torn_end(seed: u64) -> bool {
    let mut random = Random::from_number(seed);
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    // Where each synced batch ends: file, length, last number.
    let mut batches: Vec<(PathBuf, u64, Seq)> = Vec::new();
    let mut next = 1;
    for _ in 0..random.below(12) + 1 {
        let batch: Vec<_> = (0..random.below(6) + 1)
            .map(|_| {
                next += 1;
                if random.below(3) == 0 { alive(next) } else { placed(next, next) }
            })
            .collect();
        journal.append(&batch).unwrap();
        journal.sync().unwrap();
        batches.push((journal.path.clone(), journal.file.end(), journal.last));
    }
    let (path, end) = (journal.path.clone(), journal.file.end());
    drop(journal);
    let spoilt_from = end - (random.below(4096) + 1).min(end);
    spoil(&path, spoilt_from, end, &mut random);
    let before =
        batches.iter().filter(|(p, e, _)| *p != path || *e <= spoilt_from).map(|(_, _, seq)| *seq).max();
    match Journal::open(dir.path(), SMALL) {
        Ok((mut journal, recovered)) => {
            assert!(
                recovered.last_seq >= before.unwrap_or_default(),
                "seed {seed}: {recovered:?} {before:?}"
            );
            let last = recovered.last_seq;
            let read = read_all(&journal, 0);
            assert_eq!(read.last().map(|(seq, _)| *seq).unwrap_or_default(), last, "seed {seed}");
            // It goes on from there, and nothing spoilt comes back.
            journal.append(&[alive(last.0 + 1)]).unwrap();
            journal.sync().unwrap();
            drop(journal);
            let (journal, again) = open(dir.path());
            assert_eq!((again.last_seq, again.cut), (Seq(last.0 + 1), None), "seed {seed}");
            assert_eq!(read_all(&journal, 0).len(), read.len() + 1, "seed {seed}");
            let length = fs::metadata(&journal.path).unwrap().len();
            assert!(length >= u64::from(SMALL.segment_bytes), "seed {seed}: {length} are reserved");
            false
        }
        Err(
            e @ (JournalError::Damaged { .. } | JournalError::Gap { .. } | JournalError::Unreadable { .. }),
        ) => {
            let line = e.to_string();
            assert!(line.contains(".log") && !line.contains('\n'), "seed {seed}: {line}");
            true
        }
        Err(e) => panic!("seed {seed}: {e}"),
    }
}

/// One of the ways in which the end of a file suffers.
fn spoil(path: &Path, from: u64, end: u64, random: &mut Random) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let length = usize::try_from(end - from).unwrap();
    match random.below(5) {
        0 => file.set_len(from).unwrap(),
        1 => file.write_all_at(&vec![0; length], from).unwrap(),
        2 => {
            let noise: Vec<u8> = (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
            file.write_all_at(&noise, from).unwrap();
        }
        3 => {
            let at = from + random.below(length as u64);
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            byte[0] ^= 1 << random.below(8);
            file.write_all_at(&byte, at).unwrap();
        }
        // Pages written in any order: a hole of zeros in front of what was written.
        _ => {
            let hole = usize::try_from(random.below(length as u64) + 1).unwrap();
            file.write_all_at(&vec![0; hole], from).unwrap();
        }
    }
}

#[test]
fn damage_before_later_records_is_refused() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    for n in 1..=20 {
        journal.append(&[alive(n)]).unwrap();
        journal.sync().unwrap();
    }
    let path = journal.path.clone();
    drop(journal);
    let good = fs::read(&path).unwrap();
    for at in [HEADER + 3, HEADER + 10, HEADER + RECORD_HEADER + 2, HEADER + 200] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        let error = Journal::open(dir.path(), SMALL).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{at}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bad, "nothing is changed");
    }
    // The header of a file with records in it.
    let mut bad = good.clone();
    bad[9] ^= 1;
    fs::write(&path, &bad).unwrap();
    assert!(matches!(Journal::open(dir.path(), SMALL), Err(JournalError::Damaged { offset: 0, .. })));
    fs::write(&path, &good).unwrap();
    open(dir.path());
}

#[test]
fn missing_files_and_newer_formats_are_refused() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    for n in 1..200 {
        journal.append(&[placed(n, n)]).unwrap();
        journal.sync().unwrap();
    }
    drop(journal);
    let files = logs(dir.path());
    let kept = fs::read(&files[1]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    let error = Journal::open(dir.path(), SMALL).unwrap_err();
    assert!(matches!(error, JournalError::Gap { .. }), "{error}");
    // A complete file that lost its end.
    fs::write(&files[1], &kept[..kept.len() - 100]).unwrap();
    let error = Journal::open(dir.path(), SMALL).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    // A file of a later format, as far as its first record.
    let mut newer = kept.clone();
    let (seq, end) = {
        let mut reader = Reader::open(&files[1]).unwrap();
        let entry = reader.entry(HEADER as u64).unwrap().unwrap();
        (entry.seq, usize::try_from(entry.end).unwrap())
    };
    newer[HEADER + RECORD_HEADER] = 0x7f;
    seal(&mut newer[HEADER..end], seq, 0);
    fs::write(&files[1], &newer).unwrap();
    let error = Journal::open(dir.path(), SMALL).unwrap_err().to_string();
    assert!(error.contains("format 127 is not known"), "{error}");
    fs::write(&files[1], &kept).unwrap();
    open(dir.path());
}

#[test]
fn a_file_that_was_never_born_is_taken_away() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    journal.append(&[alive(1)]).unwrap();
    journal.sync().unwrap();
    drop(journal);
    fs::write(segment_path(dir.path(), 2), vec![0; 5000]).unwrap();
    let (journal, recovered) = open(dir.path());
    assert_eq!((recovered.last_seq, logs(dir.path()).len()), (Seq(1), 1));
    assert!(recovered.cut.is_some());
    drop(journal);
    // The very first file, torn at its birth.
    fs::write(segment_path(dir.path(), 1), b"TN").unwrap();
    assert_eq!(open(dir.path()).1.last_seq, Seq(0));
}

#[test]
fn space_is_reserved_and_a_lost_spare_is_told() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    assert!(journal.room(), "reserved; filled when it is needed, or by a thread");
    let spare = journal.spare();
    std::thread::scope(|scope| {
        scope.spawn(|| spare.keep_made());
        while !spare.is_ready() {
            std::thread::yield_now();
        }
        spare.close();
    });
    assert!(journal.room());
    let spare = fs::metadata(spare_path(dir.path())).unwrap();
    assert_eq!(spare.len(), u64::from(SMALL.segment_bytes));
    assert!(spare.blocks() * 512 >= u64::from(SMALL.segment_bytes), "not only a hole");
    // No room for another spare: its name is taken by a folder.
    fs::remove_file(spare_path(dir.path())).unwrap();
    fs::create_dir(spare_path(dir.path())).unwrap();
    journal.spare().lose();
    // Calls in progress are recorded all the same, beyond the end of the segment.
    for n in 1..100 {
        journal.append(&[placed(n, n)]).unwrap();
        journal.sync().unwrap();
    }
    assert_eq!(logs(dir.path()).len(), 1);
    assert!(journal.file.end() > u64::from(SMALL.segment_bytes));
    fs::remove_dir(spare_path(dir.path())).unwrap();
    assert!(!journal.room());
    journal.append(&[alive(100)]).unwrap();
    journal.sync().unwrap();
    assert_eq!(logs(dir.path()).len(), 2);
    assert_eq!(read_all(&journal, 0).len(), 100);
    drop(journal);
    assert_eq!(open(dir.path()).1.open.len(), 99);
}

#[test]
fn a_failed_write_stops_the_journal_for_good() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    journal.append(&[alive(1)]).unwrap();
    journal.sync().unwrap();
    // A file that cannot be written stands for a disk that fails.
    journal.file.replace_handle(File::open(&journal.path).unwrap());
    journal.append(&[alive(2)]).unwrap();
    assert!(matches!(journal.sync(), Err(JournalError::Io { doing: "writing", .. })));
    assert!(matches!(journal.sync(), Err(JournalError::Stopped)));
    assert!(matches!(journal.append(&[alive(3)]), Err(JournalError::Stopped)));
    assert_eq!(journal.synced(), Seq(1));
    drop(journal);
    assert_eq!(open(dir.path()).1.last_seq, Seq(1));
}

#[test]
fn a_full_disk_keeps_the_records_for_later() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    // Writing here always says that there is no space.
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let good = journal.file.replace_handle(full);
    journal.append(&[alive(1)]).unwrap();
    for _ in 0..3 {
        assert!(matches!(journal.sync(), Err(JournalError::Full { .. })));
    }
    journal.append(&[alive(2)]).unwrap();
    journal.file.replace_handle(good);
    assert_eq!(journal.sync().unwrap(), Seq(2));
    assert_eq!(read_all(&journal, 0), [alive(1), alive(2)]);
}

#[test]
fn a_record_too_long_is_refused_alone() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    let mut long: Cdr = samples::cdr(1);
    long.end_text = Some("x".repeat(segment::MAX_PAYLOAD));
    let refused = journal.append(&[(Seq(1), samples::placed(long))]);
    assert!(matches!(refused, Err(JournalError::Refused { .. })));
    journal.append(&[alive(1)]).unwrap();
    journal.sync().unwrap();
    assert_eq!(read_all(&journal, 0), [alive(1)]);
}

/// Not a check: prints what a batch costs, for a look with `--nocapture`.
#[test]
fn speed_of_appending() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), JournalOptions::default()).unwrap();
    let records: Vec<_> = (1..=20_000).map(|n| ended(n, n)).collect();
    let start = std::time::Instant::now();
    journal.append(&records).unwrap();
    let appended = start.elapsed();
    journal.sync().unwrap();
    println!(
        "20,000 records: append {appended:?}, with sync {:?}, {} bytes",
        start.elapsed(),
        journal.file.end()
    );
}

/// Damage inside, of each kind, is named and mended: what can be read stays, the damaged file is kept beside.
#[test]
fn a_damaged_journal_is_repaired_on_demand() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    for n in 1..200 {
        journal.append(&[placed(n, n)]).unwrap();
        journal.sync().unwrap();
    }
    drop(journal);
    let sound = repair(dir.path(), true).unwrap();
    assert_eq!(
        (sound.records, sound.last, &sound.losses[..], &sound.kept[..]),
        (199, Seq(199), &[][..], &[][..])
    );
    let files = logs(dir.path());
    let good: Vec<Vec<u8>> = files.iter().map(|f| fs::read(f).unwrap()).collect();
    let first_end = {
        let mut reader = Reader::open(&files[1]).unwrap();
        let mut at = HEADER as u64;
        while reader.entry(at).unwrap().unwrap().payload[0] == CARRIED {
            at = reader.entry(at).unwrap().unwrap().end;
        }
        usize::try_from(at).unwrap()
    };
    let flip = |bytes: &[u8], at: usize| {
        let mut bad = bytes.to_vec();
        bad[at] ^= 0x20;
        bad
    };
    type Damage<'a> = &'a dyn Fn();
    let cases: [(&str, Damage<'_>, u64); 4] = [
        ("a record", &|| fs::write(&files[1], flip(&good[1], first_end + 30)).unwrap(), 1),
        ("a header", &|| fs::write(&files[1], flip(&good[1], 9)).unwrap(), 0),
        ("the end of an older file", &|| fs::write(&files[1], &good[1][..good[1].len() - 5000]).unwrap(), 0),
        ("a whole file", &|| fs::remove_file(&files[1]).unwrap(), 0),
    ];
    for (name, damage, lost) in cases {
        damage();
        let before: Vec<_> = logs(dir.path()).iter().map(|f| fs::read(f).unwrap()).collect();
        let refused = Journal::open(dir.path(), SMALL).unwrap_err().to_string();
        assert!(refused.contains(".log") && !refused.contains('\n'), "{name}: {refused}");
        let dry = repair(dir.path(), false).unwrap();
        assert!(!dry.losses.is_empty() && dry.kept.is_empty(), "{name}: {dry:?}");
        assert_eq!(
            before,
            logs(dir.path()).iter().map(|f| fs::read(f).unwrap()).collect::<Vec<_>>(),
            "{name}"
        );
        let done = repair(dir.path(), true).unwrap();
        assert_eq!((&done.losses, done.records), (&dry.losses, dry.records), "{name}");
        assert!(done.kept.iter().all(|kept| before.contains(&fs::read(kept).unwrap())), "{name}");
        let told: u64 = done.losses.iter().filter_map(Loss::records).sum();
        if lost > 0 {
            assert_eq!((told, 199 - done.records), (lost, lost), "{name}: {done:?}");
            assert!(done.losses[0].to_string().contains("is lost"), "{}", done.losses[0]);
        }
        assert!(told >= 199 - done.records, "{name}: {done:?}");
        let (mut journal, recovered) = open(dir.path());
        assert_eq!(recovered.last_seq, Seq(199), "{name}");
        assert_eq!(read_all(&journal, 0).len() as u64, done.records, "{name}");
        journal.append(&[alive(200)]).unwrap();
        journal.sync().unwrap();
        drop(journal);
        for (path, content) in files.iter().zip(&good) {
            fs::write(path, content).unwrap();
        }
    }
}
