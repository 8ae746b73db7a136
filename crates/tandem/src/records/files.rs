//! Files of records, one for each interval: `cdr/2026112915.csv` for an hour, `cdr/20260101T153000.csv` for others, by
//! the begin of the interval in UTC.
//!
//! A record is in exactly one file. A file is written beside its place and synced; then the database notes which one
//! and up to which record; then it is renamed; then the database notes that it is done. Whoever takes files away takes
//! whole ones, and after a crash at any point it is known whether the last one had been put in its place.

use api::records;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use store::Store;
use vocab::{Seq, Utc};

const READER: &str = "cdr_files";
const PART: &str = ".part";
/// Records in memory at a time.
const BATCH: usize = 500;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Everything up to here is in files.
    after: Seq,
    /// Begin of the interval that is under way, in seconds.
    begun: i64,
    /// The file that is being put in its place, and its last record.
    placing: Option<(String, Seq)>,
}

/// Writes the file of the interval that has ended, if one has.
pub fn tick(store: &Store, folder: &Path, now: Utc) -> Result<(), String> {
    let params = store.config().params.clone();
    let interval = i64::from(params.cdr_file_write_interval_s);
    let words = |e: store::StoreError| e.to_string();
    let mut state: Option<State> = store.place_of(READER).map_err(words)?;
    if let Some(state) = &mut state {
        finish(store, folder, state)?;
    }
    if !params.cdr_record_to_file || interval == 0 {
        // Switched on again, it begins with the calls of then.
        return if state.is_some() { store.set_place::<State>(READER, None).map_err(words) } else { Ok(()) };
    }
    let second = now.0.div_euclid(1_000_000);
    let begin = second.div_euclid(interval) * interval;
    let Some(mut state) = state else {
        let state = State { after: store.applied().map_err(words)?, begun: begin, placing: None };
        return store.set_place(READER, Some(&state)).map_err(words);
    };
    // A clock that was set back begins anew rather than wait for its old time.
    if begin == state.begun {
        return Ok(());
    }
    let last = write(store, folder, &mut state, params.cdr_record_nonconnect, interval)?;
    state.after = last;
    state.begun = begin;
    state.placing = None;
    store.set_place(READER, Some(&state)).map_err(words)?;
    prune(folder, params.cdr_file_write_max as usize).map_err(|e| format!("{}: {e}", folder.display()))
}

/// Everything up to the last record of now goes into one file; that record.
fn write(
    store: &Store,
    folder: &Path,
    state: &mut State,
    with_failed: bool,
    interval: i64,
) -> Result<Seq, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let words = |e: store::StoreError| e.to_string();
    fs::create_dir_all(folder).map_err(failed)?;
    let until = store.applied().map_err(words)?;
    let part = folder.join(PART);
    let mut out = BufWriter::new(File::create(&part).map_err(failed)?);
    records::csv_heading(&mut out).map_err(failed)?;
    let (mut at, mut lines) = (state.after, 0u64);
    loop {
        let batch = store.cdrs_after(at, BATCH).map_err(words)?;
        let full = batch.len() == BATCH;
        for (seq, cdr) in batch.iter().take_while(|(seq, _)| *seq <= until) {
            if with_failed || cdr.answer.is_some() {
                records::csv_record(&mut out, cdr).map_err(failed)?;
                lines += 1;
            }
            at = *seq;
        }
        if !full || batch.last().is_some_and(|(seq, _)| *seq > until) {
            break;
        }
    }
    if lines == 0 {
        fs::remove_file(&part).map_err(failed)?;
        return Ok(at);
    }
    out.flush().map_err(failed)?;
    out.get_ref().sync_all().map_err(failed)?;
    state.placing = Some((free_name(folder, state.begun, interval), at));
    store.set_place(READER, Some(state)).map_err(words)?;
    place(folder, &state.placing)?;
    Ok(at)
}

/// After a crash: puts the last file in its place, unless it is there.
fn finish(store: &Store, folder: &Path, state: &mut State) -> Result<(), String> {
    let Some((_, last)) = state.placing else { return Ok(()) };
    place(folder, &state.placing)?;
    state.after = last;
    state.placing = None;
    store.set_place(READER, Some(state)).map_err(|e| e.to_string())
}

fn place(folder: &Path, placing: &Option<(String, Seq)>) -> Result<(), String> {
    let Some((name, _)) = placing else { return Ok(()) };
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let part = folder.join(PART);
    // Gone: it was renamed before the crash.
    if part.exists() {
        fs::rename(&part, folder.join(name)).map_err(failed)?;
        File::open(folder).and_then(|dir| dir.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Of an interval; where there is one already, because a clock was set back, with a number.
fn free_name(folder: &Path, begun: i64, interval: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(begun).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let day = format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day());
    let stem = match interval {
        3600 => format!("{day}{:02}", at.hour()),
        _ => format!("{day}T{:02}{:02}{:02}", at.hour(), at.minute(), at.second()),
    };
    let names = std::iter::once(format!("{stem}.csv")).chain((2..1000).map(|n| format!("{stem}-{n}.csv")));
    let mut free = names.filter(|name| !folder.join(name).exists());
    free.next().unwrap_or(format!("{stem}-{begun}.csv"))
}

/// Deletes the oldest files beyond the number that is kept; 0 keeps all.
fn prune(folder: &Path, kept: usize) -> std::io::Result<()> {
    if kept == 0 || !folder.is_dir() {
        return Ok(());
    }
    let mut names: Vec<String> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".csv") && name.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    names.sort();
    let surplus = names.len().saturating_sub(kept);
    names.iter().take(surplus).try_for_each(|name| fs::remove_file(folder.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_interval_and_are_never_taken_twice() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(free_name(dir.path(), 1_795_363_200, 3600), "2026112216.csv");
        assert_eq!(free_name(dir.path(), 1_795_363_230, 30), "20261122T160030.csv");
        for name in ["2026112216.csv", "2026112217.csv", "2026112218.csv", "notes.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(free_name(dir.path(), 1_795_363_200, 3600), "2026112216-2.csv");
        prune(dir.path(), 2).unwrap();
        assert!(!dir.path().join("2026112216.csv").exists() && dir.path().join("2026112217.csv").exists());
        assert!(dir.path().join("notes.txt").exists());
    }

    /// The process dies before the rename, or after it: the file is there once, and its records are not written again.
    #[test]
    fn a_file_is_put_in_its_place_once_wherever_it_stops() {
        for renamed in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&dir.path().join("data")).unwrap();
            let folder = dir.path().join("cdr");
            fs::create_dir_all(&folder).unwrap();
            let placing = Some(("2026112216.csv".to_string(), Seq(7)));
            let state = State { after: Seq(3), begun: 0, placing };
            store.set_place(READER, Some(&state)).unwrap();
            fs::write(folder.join(if renamed { "2026112216.csv" } else { PART }), "whole").unwrap();
            let mut found: State = store.place_of(READER).unwrap().unwrap();
            finish(&store, &folder, &mut found).unwrap();
            assert_eq!(fs::read_to_string(folder.join("2026112216.csv")).unwrap(), "whole");
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
            assert_eq!(store.place_of::<State>(READER).unwrap().unwrap().after, Seq(7));
        }
    }
}
