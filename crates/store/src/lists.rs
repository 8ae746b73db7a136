//! Numbers of black and white lists (`RTE-10`), in the database and on their way from files.

use crate::audit::Deed;
use crate::changes::{Item, NUMBERS};
use crate::config::{NumberList, Sheet};
use crate::edit::Edit;
use crate::sql::{Connection, Value, like_literal};
use crate::{Author, ChangeError, Problem, Store, StoreError};
use routing::ListEntry;

/// Bad lines of a file that are told at once.
const MAX_PROBLEMS: usize = 1000;

/// What reading a file into a list has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListImport {
    pub added: u64,
    /// Numbers that were in the list already, or stand in the file twice.
    pub known: u64,
    pub removed: u64,
    /// Lines that were left out, because the operator asked for the good ones only.
    pub left_out: Vec<Problem>,
}

/// How a file is read into a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListImportMode {
    /// Numbers that are not in the file leave the list.
    pub replace: bool,
    /// Bad lines are left out; otherwise nothing is taken when one is bad.
    pub good_lines_only: bool,
}

impl Store {
    /// Reads a file of numbers, one a line: `8801712345678`, or `88017*` for all that begin so; what stands behind a
    /// comma, semicolon or tab, and lines that begin with `#`, are passed over.
    pub fn import_numbers(
        &self,
        list: u32,
        text: &str,
        mode: ListImportMode,
        by: impl Into<Author>,
    ) -> Result<ListImport, ChangeError> {
        let (entries, problems) = read_lines(text);
        if !problems.is_empty() && !mode.good_lines_only {
            return Err(problems.into());
        }
        self.change(by, |edit| edit.import_numbers(list, &entries, mode, problems))
    }

    /// Takes one entry out of a list.
    pub fn remove_number(&self, list: u32, entry: &str, by: impl Into<Author>) -> Result<(), ChangeError> {
        let entry = ListEntry::parse(entry)
            .map_err(|e| ChangeError::from(vec![Problem::new("number", e.to_string())]))?;
        self.change(by, |edit| edit.remove_number(list, entry))
    }

    /// Entries of a list in order, those that begin so, after one, at most so many.
    pub fn numbers(
        &self,
        list: u32,
        begin: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let pattern = format!("{}%", like_literal(begin));
        let (after, after_prefix) = match after {
            None => (String::new(), -1i64),
            Some(text) => match text.strip_suffix('*') {
                Some(digits) => (digits.to_owned(), 1),
                None => (text.to_owned(), 0),
            },
        };
        self.read(|db| {
            let sql = "SELECT digits, is_prefix FROM list_number
                       WHERE list_id = ?1 AND digits LIKE ?2 ESCAPE '!' AND (digits, is_prefix) > (?3, ?4)
                       ORDER BY digits, is_prefix LIMIT ?5";
            let values =
                [list.into(), Value::from(&pattern), Value::from(&after), after_prefix.into(), limit.into()];
            let mut found = Vec::new();
            db.each(sql, &values, |row| {
                let star = if row.unsigned(1)? == 1 { "*" } else { "" };
                found.push(format!("{}{star}", row.text(0)?));
                Ok(())
            })?;
            Ok(found)
        })
    }
}

/// The entries of a file, and its bad lines.
fn read_lines(text: &str) -> (Vec<ListEntry<'_>>, Vec<Problem>) {
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in (1u32..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let cell = line.split([',', ';', '\t']).next().unwrap_or_default().trim();
        if cell.is_empty() || cell.starts_with('#') {
            continue;
        }
        let parsed = ListEntry::parse(cell).map_err(|e| format!("{cell:?}: {e}"));
        let parsed = parsed.and_then(|entry| match entry.digits.is_empty() {
            true => Err(format!("{cell:?} would be every number")),
            false => Ok(entry),
        });
        match parsed {
            Ok(entry) => entries.push(entry),
            Err(words) if problems.len() < MAX_PROBLEMS => {
                problems.push(Problem { line: Some(number), ..Problem::new("number", words) });
            }
            Err(_) => {}
        }
    }
    (entries, problems)
}

impl Edit<'_> {
    fn import_numbers(
        &mut self,
        list: u32,
        entries: &[ListEntry<'_>],
        mode: ListImportMode,
        left_out: Vec<Problem>,
    ) -> Result<ListImport, ChangeError> {
        let stored = self.existing::<NumberList>(list, None)?;
        let mut done = ListImport { left_out, ..ListImport::default() };
        let before = self.config.list_sheets.get(&list).map_or(0, |sheet| sheet.count);
        if mode.replace {
            self.db.run("DELETE FROM list_number WHERE list_id = ?1", &[list.into()])?;
            done.removed = before;
        }
        let sql = "INSERT INTO list_number (list_id, digits, is_prefix) VALUES (?1, ?2, ?3)
                   ON CONFLICT (list_id, digits, is_prefix) DO NOTHING";
        for entry in entries {
            let row = [list.into(), entry.digits.into(), i64::from(entry.prefix).into()];
            match self.db.run(sql, &row)? {
                0 => done.known += 1,
                _ => done.added += 1,
            }
        }
        let count = before - done.removed + done.added;
        let words = serde_json::json!({ "numbers": count, "added": done.added, "removed": done.removed });
        self.new_sheet(list, &stored.document.name, count, &words.to_string())?;
        Ok(done)
    }

    fn remove_number(&mut self, list: u32, entry: ListEntry<'_>) -> Result<(), ChangeError> {
        let stored = self.existing::<NumberList>(list, None)?;
        let sql = "DELETE FROM list_number WHERE list_id = ?1 AND digits = ?2 AND is_prefix = ?3";
        let row = [list.into(), entry.digits.into(), i64::from(entry.prefix).into()];
        if self.db.run(sql, &row)? == 0 {
            return Err(ChangeError::NotFound);
        }
        let count = self.config.list_sheets.get(&list).map_or(0, |sheet| sheet.count.saturating_sub(1));
        let star = if entry.prefix { "*" } else { "" };
        let words = serde_json::json!({ "removed": format!("{}{star}", entry.digits) });
        self.new_sheet(list, &stored.document.name, count, &words.to_string())?;
        Ok(())
    }

    /// A new version of the list's numbers.
    fn new_sheet(&mut self, list: u32, name: &str, count: u64, words: &str) -> Result<(), StoreError> {
        let version = self.config.list_sheets.get(&list).map_or(0, |sheet| sheet.version) + 1;
        let sql = "INSERT INTO number_list_sheet (list_id, version, amount) VALUES (?1, ?2, ?3)
                   ON CONFLICT (list_id) DO UPDATE SET version = excluded.version, amount = excluded.amount";
        self.db.run(sql, &[list.into(), version.into(), count.into()])?;
        self.config.list_sheets.insert(list, Sheet { version, count });
        self.audit(&Deed {
            action: "update",
            kind: "number_list_numbers",
            object: name,
            before: None,
            after: Some(words),
        })?;
        self.note_numbers(list, name);
        self.changed();
        Ok(())
    }

    /// Among the items of the change: that numbers are others, not which.
    fn note_numbers(&mut self, list: u32, name: &str) {
        let (kind, name) = (NUMBERS.to_owned(), name.to_owned());
        self.differs(Item { kind, id: list, name, before: None, after: None });
    }

    /// A list that is deleted takes its numbers along.
    pub(crate) fn forget_list(&mut self, list: u32, name: &str) -> Result<(), StoreError> {
        if self.config.list_sheets.get(&list).is_some_and(|sheet| sheet.count > 0) {
            self.note_numbers(list, name);
        }
        self.db.run("DELETE FROM list_number WHERE list_id = ?1", &[list.into()])?;
        self.db.run("DELETE FROM number_list_sheet WHERE list_id = ?1", &[list.into()])?;
        self.config.list_sheets.remove(&list);
        Ok(())
    }
}

/// All numbers of a list, ready to be searched.
pub(crate) fn numbers_of(db: &Connection, list: u32) -> Result<routing::NumberList, StoreError> {
    let mut numbers = routing::NumberList::default();
    let sql = "SELECT digits, is_prefix FROM list_number WHERE list_id = ?1";
    db.each(sql, &[list.into()], |row| {
        let entry = ListEntry { digits: row.text(0)?, prefix: row.unsigned(1)? == 1 };
        numbers
            .add(entry)
            .map_err(|e| StoreError::corrupt(format!("number {:?} of list {list}: {e}", entry.digits)))
    })?;
    numbers.finish();
    Ok(numbers)
}
