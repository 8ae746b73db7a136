//! One program for all targets: `TANDEM_TARGET` names the one to run. See `make fuzz`.

#![no_main]

use std::sync::LazyLock;

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TANDEM_TARGET").unwrap_or_default();
    let names: Vec<&str> = hostile::TARGETS.iter().map(|(name, _)| *name).collect();
    hostile::target(&name).unwrap_or_else(|| panic!("TANDEM_TARGET is one of {}", names.join(", ")))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| RUN(bytes));
