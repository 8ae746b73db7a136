//! Every scenario of `scenarios/*.ladder`. `TANDEM_LADDER=words` runs those whose name contains the words.

mod identity;

use std::path::Path;

#[test]
fn all_scenarios_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let only = std::env::var("TANDEM_LADDER").unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let (mut count, mut failed) = (0, Vec::new());
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "ladder")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).unwrap();
        let scenarios = sim::ladder::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        for scenario in scenarios.iter().filter(|s| s.name.contains(&only)) {
            count += 1;
            if let Err(error) = sim::ladder::run(scenario) {
                failed.push(format!("{name}: {error}"));
            }
        }
    }
    assert!(count > 0, "no scenario in {}", folder.display());
    assert!(failed.is_empty(), "{} of {count} scenarios failed\n\n{}", failed.len(), failed.join("\n"));
}
