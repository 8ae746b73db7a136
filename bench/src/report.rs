//! What a part found, as text for people and as JSON for machines.

use crate::Outcome;
use crate::ground::Ground;
use crate::machine::{Machine, NOISY_LOAD, NOISY_SHARE};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[&str]) -> Table {
        Table { columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// A row that says why it has no figures.
    pub fn absent(&mut self, name: &str, why: &str) {
        let empty = self.columns.len().saturating_sub(2);
        let cells = [name.to_owned(), why.to_owned()].into_iter();
        self.rows.push(cells.chain(std::iter::repeat_n("–".to_owned(), empty)).collect());
    }

    fn text(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<String> =
            (0..self.columns.len()).map(|i| if i == 0 { "---" } else { "---:" }.to_owned()).collect();
        let rows: String = self.rows.iter().map(|r| line(r)).collect();
        line(&self.columns) + &line(&rule) + &rows
    }
}

/// One part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Section {
    pub title: String,
    /// Were all checks passed that make the figures mean anything?
    pub valid: bool,
    /// How it was measured.
    pub about: String,
    pub tables: Vec<Table>,
    /// Checks, remarks, and what was wrong.
    pub notes: Vec<String>,
    pub figures: Value,
    /// Share of one core that others used just before.
    pub foreign_load: f64,
}

impl Section {
    pub fn new(about: &str) -> Section {
        Section {
            valid: true,
            about: about.split_whitespace().collect::<Vec<_>>().join(" "),
            ..Section::default()
        }
    }

    pub fn failed(title: &str, why: &str) -> Section {
        let notes = vec![format!("**Not measured:** {}", why.lines().collect::<Vec<_>>().join(" / "))];
        Section { title: title.to_owned(), notes, ..Section::default() }
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Something that makes the part worthless.
    pub fn invalid(&mut self, why: &str) {
        self.valid = false;
        self.notes.push(format!("**INVALID:** {why}"));
    }

    pub fn text(&self) -> String {
        let mut text = format!("## {}{}\n", self.title, if self.valid { "" } else { " – INVALID" });
        if !self.about.is_empty() {
            text += &format!("{}\n\n", self.about);
        }
        for table in &self.tables {
            text += &format!("{}\n", table.text());
        }
        self.notes.iter().for_each(|note| text += &format!("- {note}\n"));
        if self.foreign_load > NOISY_SHARE {
            text += &format!(
                "- **Noisy:** others used {:.0} % of one core just before.\n",
                self.foreign_load * 100.0
            );
        }
        text
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub sections: Vec<Section>,
}

impl Report {
    pub fn of(machine: Machine) -> Report {
        Report { machine, sections: Vec::new() }
    }

    fn noisy(&self) -> bool {
        self.machine.load > NOISY_LOAD || self.sections.iter().any(|s| s.foreign_load > NOISY_SHARE)
    }

    fn text(&self, quick: bool) -> Outcome<String> {
        let m = &self.machine;
        let mut text = String::from(
            "# Results of the benchmarks\n\nWritten by `make bench`; not by hand. All figures of a part come from one run on this machine.\n\n",
        );
        if self.noisy() {
            text += "> **NOISY:** other programs were busy on this machine; the figures are too high and jump.\n\n";
        }
        if quick {
            text += "> **QUICK:** a short run, to see that all works.\n\n";
        }
        let peers: Vec<String> = m.peers.iter().map(|(name, version)| format!("{name}: {version}")).collect();
        for (name, value) in [
            ("Time", &m.when),
            ("Commit", &m.commit),
            ("Processor", &format!("{}, {} cores", m.processor, m.cores)),
            ("Memory", &format!("{} GiB", m.memory_gib)),
            ("System", &format!("{}, {}", m.system, m.kernel)),
            ("Disk", &m.disk),
            ("User", &m.user),
            ("Load at the start", &format!("{:.2}", m.load)),
            ("Beside", &peers.join("; ")),
        ] {
            writeln!(text, "- {name}: {value}")?;
        }
        for section in &self.sections {
            write!(text, "\n{}", section.text())?;
        }
        Ok(text)
    }

    /// A run of all parts is the result; one of some parts goes beside it.
    pub fn write(&self, ground: &Ground, complete: bool) -> Outcome<()> {
        let folder =
            if complete && !ground.quick { ground.root.join("bench") } else { ground.target.clone() };
        let (text, json) = match complete && !ground.quick {
            true => (folder.join("RESULTS.md"), folder.join("results.json")),
            false => (folder.join("bench-partial.md"), folder.join("bench-partial.json")),
        };
        std::fs::write(&text, self.text(ground.quick)?)?;
        std::fs::write(&json, serde_json::to_string_pretty(self)? + "\n")?;
        eprintln!("bench: written to {} and {}", text.display(), json.display());
        Ok(())
    }
}

/// With a blank between thousands.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// A figure with as many decimals as it deserves.
pub fn figure(n: f64) -> String {
    match n.abs() {
        m if m >= 1000.0 => {
            let whole = format!("{n:.0}");
            whole.parse().map_or(whole.clone(), grouped)
        }
        m if m >= 100.0 => format!("{n:.0}"),
        m if m >= 10.0 => format!("{n:.1}"),
        _ => format!("{n:.2}"),
    }
}

/// How many times the other.
pub fn times(n: f64, of: f64) -> String {
    if of > 0.0 { format!("{:.2}", n / of) } else { "–".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        for (n, want) in
            [(0.5, "0.50"), (12.34, "12.3"), (245.4, "245"), (12_345.6, "12 346"), (1_000_000.0, "1 000 000")]
        {
            assert_eq!(figure(n), want);
        }
        assert_eq!(times(3.0, 2.0), "1.50");
        assert_eq!(times(3.0, 0.0), "–");
    }

    #[test]
    fn tables_and_what_is_absent() {
        let mut table = Table::new(&["who", "µs", "ratio"]);
        table.row(["a".into(), "1".into(), "2".into()]);
        table.absent("b", "not installed");
        assert_eq!(
            table.text(),
            "| who | µs | ratio |\n| --- | ---: | ---: |\n| a | 1 | 2 |\n| b | not installed | – |\n"
        );
    }
}
