//! The console's files are built into the program; this makes sure that their folder is there, so that the crate
//! compiles before the console has been built, and is compiled again afterwards.

#![allow(clippy::print_stdout, reason = "this is how build scripts speak to cargo")]

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console/dist");
    if folder.parent().is_some_and(Path::exists) {
        std::fs::create_dir_all(&folder)?;
    }
    println!("cargo::rerun-if-changed={}", folder.display());
    Ok(())
}
