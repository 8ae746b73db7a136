//! Where things are: the programs under test, the templates, and a folder on a real disk for this run.

use crate::Outcome;
use std::path::{Path, PathBuf};

pub struct Ground {
    /// The repository.
    pub root: PathBuf,
    /// Built programs.
    pub target: PathBuf,
    /// Emptied by `run.sh`; on the disk of the repository, because a folder in memory would flatter the journal.
    pub scratch: PathBuf,
    /// A short run to see that all works; its figures are worth little.
    pub quick: bool,
}

impl Ground {
    pub fn from_environment() -> Outcome<Ground> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?.to_path_buf();
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let target = folder("BENCH_TARGET").unwrap_or_else(|| root.join("target/release"));
        let scratch = folder("BENCH_SCRATCH").ok_or("start it with bench/run.sh")?;
        Ok(Ground { root, target, scratch, quick: std::env::var_os("BENCH_QUICK").is_some() })
    }

    /// A new, empty folder.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.scratch.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Writes a template with its `{{NAME}}`s filled in, and returns where it is.
    pub fn fill(&self, template: &str, folder: &Path, values: &[(&str, String)]) -> Outcome<PathBuf> {
        let source = self.root.join("bench/templates").join(template);
        let mut text = std::fs::read_to_string(&source).map_err(|e| format!("{}: {e}", source.display()))?;
        for (name, value) in values {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        if let Some(at) = text.find("{{") {
            let rest: String = text.chars().skip(at).take(30).collect();
            return Err(format!("{template}: {rest} was not filled in").into());
        }
        let path = folder.join(template);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}
