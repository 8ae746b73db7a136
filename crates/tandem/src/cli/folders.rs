//! The commands that work on a data folder itself, whether a switch runs on it or not.

use super::{Failure, JournalCommand, Out};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;
use store::Finding;

pub fn backup(data: Option<PathBuf>, to: &Path, out: &mut Out) -> Result<(), Failure> {
    let data = data.unwrap_or_else(super::client::default_folder);
    let made = store::backup(&data, to)?;
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let words = format!(
        "{}: database {} MiB with all records up to {}, journal {} MiB up to record {}\n\
         The key file {} is not in it: keep a copy of it elsewhere.",
        to.display(),
        mib(made.database_bytes),
        made.applied,
        mib(made.journal_bytes),
        made.last,
        data.join("secret.key").display(),
    );
    let facts = json!({
        "database_bytes": made.database_bytes, "journal_bytes": made.journal_bytes,
        "applied": made.applied.0, "last": made.last.0,
    });
    out.either(&facts, words)
}

pub fn restore(from: &Path, data: Option<PathBuf>, key: Option<&Path>, out: &mut Out) -> Result<(), Failure> {
    let data = data.unwrap_or_else(super::client::default_folder);
    let start = Instant::now();
    let restored = store::restore(from, &data, key)?;
    let ok = restored.findings.iter().all(|f| f.ok);
    let mut words = format!(
        "{}: restored in {:.1} s, {} records replayed, {} calls were up\n",
        data.display(),
        start.elapsed().as_secs_f64(),
        restored.replayed,
        restored.open_calls,
    );
    for Finding { check, ok, detail } in &restored.findings {
        words += &format!("{} {check}: {detail}\n", if *ok { "ok  " } else { "FAIL" });
    }
    let findings: Vec<_> = restored
        .findings
        .iter()
        .map(|f| json!({ "check": f.check, "ok": f.ok, "detail": f.detail }))
        .collect();
    let facts = json!({
        "ok": ok, "replayed": restored.replayed, "open_calls": restored.open_calls, "findings": findings,
    });
    out.either(&facts, words)?;
    if ok { Ok(()) } else { Err(Failure::new("the restored data is not sound")) }
}

pub fn journal(command: JournalCommand) -> Result<(), Failure> {
    let JournalCommand::Repair { write, data, json } = command;
    let data = data.unwrap_or_else(super::client::default_folder);
    let dir = data.join("journal");
    if !dir.is_dir() {
        return Err(Failure::new(format!("{} has no journal", data.display())));
    }
    let applied = store::applied(&data)?;
    let found = store::journal::repair(&dir, write)?;
    let mut words =
        format!("{} records in {} files, the last is {}\n", found.records, found.files, found.last);
    for loss in &found.losses {
        let kept = match loss.is_harmless(applied) {
            true => "nothing is lost: the database has them".to_string(),
            false => {
                format!("calls and money in them are lost as far as they are newer than record {applied}")
            }
        };
        words += &format!("{loss}\n  {kept}\n");
    }
    for path in &found.kept {
        words += &format!("the damaged file is kept as {}\n", path.display());
    }
    words += match (found.losses.is_empty(), write) {
        (true, _) => "nothing to repair",
        (false, true) => "repaired",
        (false, false) => "nothing was changed; with --write it is repaired, and the damaged file is kept",
    };
    let losses: Vec<_> = found
        .losses
        .iter()
        .map(|l| {
            json!({
                "file": l.file, "offset": l.offset, "bytes": l.bytes, "after": l.after.0,
                "before": l.before.map(|s| s.0), "harmless": l.is_harmless(applied),
            })
        })
        .collect();
    let facts = json!({
        "records": found.records, "last": found.last.0, "applied": applied.0, "losses": losses, "kept": found.kept,
    });
    Out { json }.either(&facts, words)
}
