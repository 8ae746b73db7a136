//! Checks of the source tree: layers, purity, SQL only in `store`, long functions, stray marks.
//!
//! `cargo run -p xtask` prints what is wrong and fails; `cargo test -p xtask` does the same among the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates that do no I/O: what must not be named in them, outside of their tests.
const PURE: &[&str] = &[
    "vocab",
    "sip",
    "codec",
    "media",
    "routing",
    "billing",
    "cdr",
    "diagnosis",
    "params",
    "switch",
    "sim",
    "watch",
];
const IMPURE_WORDS: &[&str] = &[
    "std::net::UdpSocket",
    "std::net::Tcp",
    "std::fs",
    "std::thread",
    "std::process",
    "tokio",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "thread_rng",
];
const SQL_WORDS: &[&str] = &["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE ", "CREATE TABLE"];
/// Files that only one crate may hold unsafe code in are listed by folder.
const UNSAFE_ALLOWED: &[&str] = &["crates/tandem/src", "crates/store/src/journal"];
const LONGEST_FUNCTION: usize = 100;

fn main() -> std::process::ExitCode {
    let findings = findings(&root());
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn findings(root: &Path) -> Vec<String> {
    let mut all = layer_findings(root);
    for (krate, file) in sources(root) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let code = without_tests(&text);
        all.extend(word_findings(&krate, &name, &code));
        all.extend(long_functions(&name, &code));
    }
    all
}

/// Every `*.rs` below `crates/*/src`, with its crate.
fn sources(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for krate in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let name = krate.file_name().to_string_lossy().into_owned();
        walk(&krate.path().join("src"), &mut |file| found.push((name.clone(), file)));
    }
    found.retain(|(krate, _)| krate != "xtask");
    found.sort();
    found
}

fn walk(folder: &Path, visit: &mut dyn FnMut(PathBuf)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, visit);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            visit(path);
        }
    }
}

/// The text up to its test module, with comments blanked.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let code = text[..end].lines().map(|l| if l.trim_start().starts_with("//") { "" } else { l });
    code.collect::<Vec<_>>().join("\n")
}

fn layer_findings(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("crates/xtask/layers.txt")).unwrap_or_default();
    let rows = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once(':'));
    let allowed: BTreeMap<&str, Vec<&str>> = rows.map(|(k, v)| (k, v.split_whitespace().collect())).collect();
    let mut found = Vec::new();
    for krate in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let name = krate.file_name().to_string_lossy().into_owned();
        let manifest = fs::read_to_string(krate.path().join("Cargo.toml")).unwrap_or_default();
        let Some(may) = allowed.get(name.as_str()) else {
            found.push(format!("layers.txt has no line for crate {name}"));
            continue;
        };
        let section = manifest.split("[dependencies]").nth(1).unwrap_or("").split("\n[").next().unwrap_or("");
        let imports = section.lines().filter_map(|l| l.split(['.', ' ', '=']).next());
        for import in imports.filter(|i| allowed.contains_key(i) && !may.contains(i)) {
            found.push(format!("crates/{name}/Cargo.toml: {name} may not import {import} (layers.txt)"));
        }
    }
    found
}

fn word_findings(krate: &str, file: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(code.lines()) {
        let mut say = |what: &str| found.push(format!("{file}:{number}: {what}: {}", line.trim()));
        if PURE.contains(&krate) && IMPURE_WORDS.iter().any(|w| line.contains(w)) {
            say("a pure crate names I/O, a clock, a thread or randomness");
        }
        if krate != "store" && SQL_WORDS.iter().any(|w| line.contains(w)) {
            say("SQL outside of store");
        }
        if line.contains("unsafe ") && !UNSAFE_ALLOWED.iter().any(|folder| file.starts_with(folder)) {
            say("unsafe outside of its folders");
        }
        if ["TODO", "FIXME", "XXX"].iter().any(|w| line.contains(w)) {
            say("a mark of unfinished work");
        }
    }
    found
}

/// Functions that no longer fit on a page or two.
fn long_functions(file: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(usize, usize, &str)> = None;
    for (number, line) in (1..).zip(code.lines()) {
        let indent = line.len() - line.trim_start().len();
        let is_fn =
            line.trim_start().split(' ').take(4).any(|w| w == "fn") && !line.trim_end().ends_with(';');
        match open {
            None if is_fn => open = Some((number, indent, line)),
            Some((start, at, head)) if indent == at && line.trim_start().starts_with('}') => {
                if number - start > LONGEST_FUNCTION {
                    found.push(format!("{file}:{start}: {} lines: {}", number - start, head.trim()));
                }
                open = None;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let findings = findings(&root());
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }

    #[test]
    fn the_checks_can_fail() {
        assert!(!word_findings("sip", "f", "let s = std::net::UdpSocket::bind(a);").is_empty());
        assert!(!word_findings("api", "f", "db.query(\"SELECT 1\")").is_empty());
        assert!(!word_findings("sip", "f", "unsafe { x() }").is_empty());
        let long = format!("fn f() {{\n{}}}\n", "    x();\n".repeat(200));
        assert!(!long_functions("f", &long).is_empty());
    }
}
