//! The crate as its users see it, on real files.

mod calls;
mod changes;
mod checks;
mod documents;
mod files;
mod imports;
mod rates;
mod reports;

use crate::{Plan, SourceFile, Store};
use std::path::PathBuf;

/// A folder for files whose durability is not the matter, in memory where the machine has such a place: hundreds of
/// runs would else wait for the disk.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

pub(crate) fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.into(), text: text.into() }
}

/// The shared example as it stands, or, where the shared folder is absent, the copy in this crate.
pub(crate) fn example(name: &str) -> SourceFile {
    let shared = std::env::var_os("TANDEM_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let copy = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let text = std::fs::read_to_string(shared.join("examples").join(name)).or_else(|_| {
        println!("{name}: the shared folder is absent, using the copy");
        std::fs::read_to_string(copy)
    });
    SourceFile { name: name.into(), text: text.unwrap() }
}

pub(crate) fn business(store: &Store) -> Plan {
    store.apply(&[example("first-call.toml"), example("failover.toml")], false, "test").unwrap()
}
