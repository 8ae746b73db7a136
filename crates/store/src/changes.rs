//! The versions of the configuration: what each change made different, what lies between two of them, and taking one
//! back (`BEY-11`).
//!
//! A change is one transaction of [`Edit`] and makes one version. Its items keep the documents as they are stored,
//! sealed secrets included, so that nothing has to be entered again after an undo; whoever shows items hides them
//! ([`Item::shown`]). An undo is a change like any other and can be taken back itself.

use crate::audit::{Author, without_secrets};
use crate::cdrs::Page;
use crate::config::{Document, NumberList, Rate, RateGroup, Stored, each_kind};
use crate::edit::Edit;
use crate::sql::{Connection, Row, Value, crc};
use crate::{ChangeError, Problem, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use vocab::Utc;

/// Kinds of items that are no documents.
pub(crate) const PARAMETER: &str = "parameter";
pub(crate) const RATES: &str = "rates";
/// Numbers of a list: too many to keep.
pub(crate) const NUMBERS: &str = "number_list_numbers";

/// One thing that is different: a document, a parameter, or rates of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub kind: String,
    /// Of the document; of the rate group for rates; 0 for a parameter.
    pub id: u32,
    pub name: String,
    /// As it was: JSON of the document, a list of rates, or the text of a parameter. `None`: it was not there. Rates
    /// with neither side were too many to keep.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// A version of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub version: u64,
    pub at: Utc,
    pub author: String,
    /// Address that the request came from; empty: from within.
    pub source: String,
    /// The change that this one takes back.
    pub undoes: Option<u64>,
    pub items: Vec<Item>,
}

impl Item {
    /// The same without secrets.
    fn shown(self) -> Item {
        let hide = |json: Option<String>| json.map(|json| without_secrets(&json));
        match self.kind.as_str() {
            PARAMETER => self,
            _ => Item { before: hide(self.before), after: hide(self.after), ..self },
        }
    }
}

/// Which changes; an empty filter takes all.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    pub author: Option<String>,
    /// That touched something of this kind …
    pub kind: Option<String>,
    /// … and of this name.
    pub name: Option<String>,
}

impl Store {
    /// Versions, the newest first, with what each made different.
    pub fn changes(
        &self,
        filter: &ChangeFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Version>, StoreError> {
        let before = cursor.and_then(|c| c.parse().ok()).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {COLUMNS} FROM config_change c WHERE version < ?1 AND (?2 IS NULL OR author = ?2)
               AND ((?3 IS NULL AND ?4 IS NULL) OR EXISTS (SELECT 1 FROM config_item i WHERE i.version = c.version
                 AND (?3 IS NULL OR i.kind = ?3) AND (?4 IS NULL OR i.name = ?4)))
             ORDER BY version DESC LIMIT ?5"
        );
        let text = |text: &Option<String>| text.clone().into();
        let values = [
            before.into(),
            text(&filter.author),
            text(&filter.kind),
            text(&filter.name),
            Value::from(limit.saturating_add(1) as u64),
        ];
        self.read(|db| {
            let mut found = db.rows(&sql, &values, read)?;
            let more = found.len() > limit;
            found.truncate(limit);
            for change in &mut found {
                change.items = items(db, change.version)?.into_iter().map(Item::shown).collect();
            }
            let next = found.last().filter(|_| more).map(|last| last.version.to_string());
            Ok(Page { items: found, next })
        })
    }

    /// One version.
    pub fn one_change(&self, version: u64) -> Result<Option<Version>, StoreError> {
        self.read(|db| {
            let Some(mut change) = find(db, version)? else { return Ok(None) };
            change.items = items(db, version)?.into_iter().map(Item::shown).collect();
            Ok(Some(change))
        })
    }

    /// What is different between two versions: of each thing the first state after `from` and the last up to `to`.
    pub fn compare_versions(&self, from: u64, to: u64) -> Result<Vec<Item>, StoreError> {
        let sql = "SELECT kind, id, name, before, after, crc FROM config_item
                   WHERE version > ?1 AND version <= ?2 ORDER BY version, item";
        let all = self.read(|db| db.rows(sql, &[from.into(), to.into()], read_item))?;
        let mut met: BTreeMap<(String, u32, String), Item> = BTreeMap::new();
        for item in all {
            match item.kind.as_str() {
                RATES => fold_rates(&mut met, item)?,
                // A document is known by its id, a parameter by its name.
                kind => {
                    let name = if kind == PARAMETER { item.name.clone() } else { String::new() };
                    let entry = met.entry((item.kind.clone(), item.id, name)).or_insert_with(|| item.clone());
                    (entry.after, entry.name) = (item.after, item.name);
                }
            }
        }
        let differ = |item: &Item| item.before != item.after || (item.kind == RATES && item.before.is_none());
        Ok(met.into_values().filter(differ).map(Item::shown).collect())
    }

    /// Takes a version back: everything that it changed is as it was before, in one new version. Refused when something
    /// of it was changed since, or when others need what it made. With `dry_run`, only says so.
    pub fn undo(&self, version: u64, dry_run: bool, by: impl Into<Author>) -> Result<u64, ChangeError> {
        self.try_change(by, dry_run, |edit| {
            if find(edit.db, version)?.is_none() {
                return Err(ChangeError::NotFound);
            }
            let items = items(edit.db, version)?;
            edit.undoing(version);
            take_back(edit, &items)
        })?;
        Ok(self.config().version)
    }
}

/// Everything of a change at once: documents first in the draft, checked together, then written.
fn take_back(edit: &mut Edit<'_>, items: &[Item]) -> Result<(), ChangeError> {
    let mut problems = Vec::new();
    let mut restored = Restored::default();
    // What was created goes last, what was deleted comes first, as they were made.
    for item in items.iter().rev() {
        match item.kind.as_str() {
            PARAMETER => take_back_parameter(edit, item, &mut problems)?,
            RATES => {}
            NUMBERS => {
                let words = "numbers came or went by file; import the file from before instead";
                let document = format!("numbers of {:?}", item.name);
                problems.push(Problem { document, ..Problem::new("", words) });
            }
            kind => each_kind!(T => if T::KIND == kind {
                restored.stage::<T>(edit, item, &mut problems)?;
            }),
        }
    }
    if problems.is_empty() {
        each_kind!(T => restored.check::<T>(edit, &mut problems)?);
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    each_kind!(T => restored.write::<T>(edit)?);
    for item in items.iter().rev().filter(|item| item.kind == RATES) {
        take_back_rates(edit, item)?;
    }
    Ok(())
}

/// Documents that an undo touches, by kind and id, with the name they have before it.
#[derive(Default)]
struct Restored(Vec<(&'static str, u32, String)>);

impl Restored {
    fn stage<T: Document>(
        &mut self,
        edit: &mut Edit<'_>,
        item: &Item,
        problems: &mut Vec<Problem>,
    ) -> Result<(), ChangeError> {
        let wrong = |words: &str| {
            let document = format!("{} {:?}", T::TITLE, item.name);
            Problem { document, ..Problem::new("", words) }
        };
        let parse = |json: &Option<String>| match json {
            Some(json) => Ok(Some(read_document::<T>(json)?)),
            None => Ok::<Option<T>, StoreError>(None),
        };
        let now = T::table(edit.config).get(item.id).cloned();
        // One change may have touched it twice; the later step has been taken back already.
        let mine = self.0.iter().any(|(kind, id, _)| *kind == T::KIND && *id == item.id);
        if !mine && now.as_ref().map(|stored| &stored.document) != parse(&item.after)?.as_ref() {
            problems.push(wrong("was changed since; undo the later change first"));
            return Ok(());
        }
        match parse(&item.before)? {
            Some(document) => {
                let taken = T::table(edit.config).named(document.name()).is_some_and(|s| s.id != item.id);
                if taken {
                    problems.push(wrong("another one has its name now"));
                    return Ok(());
                }
                let version = match &now {
                    Some(stored) => stored.version + 1,
                    None => edit.last_version(T::KIND, item.id)? + 1,
                };
                T::table_mut(edit.config).put(Arc::new(Stored { id: item.id, version, document }));
            }
            None => T::table_mut(edit.config).remove(item.id),
        }
        if !mine {
            self.0.push((T::KIND, item.id, item.name.clone()));
        }
        Ok(())
    }

    fn touched<T: Document>(&self) -> impl Iterator<Item = (u32, &str)> {
        self.0.iter().filter(|(kind, ..)| *kind == T::KIND).map(|(_, id, name)| (*id, name.as_str()))
    }

    fn check<T: Document>(&self, edit: &Edit<'_>, problems: &mut Vec<Problem>) -> Result<(), ChangeError> {
        for (id, name) in self.touched::<T>() {
            let Some(stored) = T::table(edit.config).get(id) else {
                let mut by = edit.config.references_to(T::KIND, name);
                if T::KIND == crate::config::Account::KIND && edit.has_money(id)? {
                    by.push("its ledger".to_string());
                }
                if !by.is_empty() {
                    return Err(ChangeError::Referenced { by });
                }
                continue;
            };
            let document = format!("{} {:?}", T::TITLE, stored.document.name());
            let found = stored.document.validate(id, edit.config);
            problems.extend(found.into_iter().map(|p| Problem { document: document.clone(), ..p }));
        }
        Ok(())
    }

    fn write<T: Document>(&self, edit: &mut Edit<'_>) -> Result<(), ChangeError> {
        for (id, name) in self.touched::<T>() {
            match T::table(edit.config).get(id).cloned() {
                Some(stored) => {
                    let (version, document) = (stored.version, &stored.document);
                    edit.write_row(T::KIND, id, version, document.name(), document)?;
                }
                None => {
                    if T::KIND == RateGroup::KIND {
                        edit.empty_group(id, name)?;
                    }
                    if T::KIND == NumberList::KIND {
                        edit.forget_list(id, name)?;
                    }
                    let version = edit.last_version(T::KIND, id)? + 1;
                    edit.remove_row(T::KIND, id, version, name)?;
                }
            }
        }
        Ok(())
    }
}

fn read_document<T: Document>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|e| StoreError::corrupt(format!("a version of a {}: {e}", T::TITLE)))
}

fn take_back_parameter(
    edit: &mut Edit<'_>,
    item: &Item,
    problems: &mut Vec<Problem>,
) -> Result<(), ChangeError> {
    if edit.config.parameters.get(&item.name) != item.after.as_ref() {
        let words = "was changed since; undo the later change first";
        problems.push(Problem { document: item.name.clone(), ..Problem::new("", words) });
        return Ok(());
    }
    let default = params::find(&item.name).map(|spec| spec.default_text()).unwrap_or_default();
    edit.set_parameter(&item.name, item.before.as_ref().unwrap_or(&default))
}

fn take_back_rates(edit: &mut Edit<'_>, item: &Item) -> Result<(), ChangeError> {
    let (Some(before), Some(after)) = (&item.before, &item.after) else {
        let words = format!("the rates of {:?} came by file; undo the import instead", item.name);
        return Err(vec![Problem::new(RATES, words)].into());
    };
    // The group itself was made by the change and is gone with all that was in it.
    if edit.config.rate_groups.get(item.id).is_none() {
        return Ok(());
    }
    edit.restore_rates(item.id, &read_rates(after)?, read_rates(before)?)
}

fn read_rates(json: &str) -> Result<Vec<Rate>, StoreError> {
    serde_json::from_str(json).map_err(|e| StoreError::corrupt(format!("rates of a version: {e}")))
}

/// Rates are compared one by one: each is a row of its own in the comparison of its group.
fn fold_rates(met: &mut BTreeMap<(String, u32, String), Item>, item: Item) -> Result<(), StoreError> {
    let key = |rate: &Rate| (RATES.to_string(), item.id, format!("{}/{}", rate.prefix, rate.variant()));
    let (Some(before), Some(after)) = (&item.before, &item.after) else {
        met.entry((RATES.to_string(), item.id, String::new())).or_insert(item);
        return Ok(());
    };
    let one = |rate: &Rate| serde_json::to_string(&[rate]).map(Some);
    let blank = |rate: &Rate| Item {
        name: format!("{} {}", item.name, rate.prefix),
        before: None,
        after: None,
        ..item.clone()
    };
    for rate in read_rates(before)? {
        let text = one(&rate)?;
        let entry = met.entry(key(&rate)).or_insert_with(|| Item { before: text, ..blank(&rate) });
        entry.after = None;
    }
    for rate in read_rates(after)? {
        let text = one(&rate)?;
        met.entry(key(&rate)).or_insert_with(|| blank(&rate)).after = text;
    }
    Ok(())
}

pub(crate) fn write(
    db: &Connection,
    version: u64,
    author: &Author,
    at: i64,
    undoes: Option<u64>,
    items: &[Item],
) -> Result<(), StoreError> {
    let source = author.source.map(|s| s.to_string()).unwrap_or_default();
    let row = [version.into(), at.into(), Value::from(&author.name), source.into(), undoes.into()];
    let sql =
        "INSERT INTO config_change (version, changed_at, author, source, undoes) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.run(sql, &row)?;
    for (number, item) in (0_u64..).zip(items) {
        let mut row = vec![
            Value::from(&item.kind),
            item.id.into(),
            Value::from(&item.name),
            item.before.as_ref().into(),
            item.after.as_ref().into(),
        ];
        row.extend([crc(&row), version.into(), number.into()]);
        let sql = "INSERT INTO config_item (kind, id, name, before, after, crc, version, item)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        db.run(sql, &row)?;
    }
    Ok(())
}

const COLUMNS: &str = "version, changed_at, author, source, undoes";

fn read(row: &Row<'_>) -> Result<Version, StoreError> {
    Ok(Version {
        version: row.unsigned(0)?,
        at: Utc::from_millis(row.int(1)?),
        author: row.text(2)?.to_string(),
        source: row.text(3)?.to_string(),
        undoes: row.optional_unsigned(4)?,
        items: Vec::new(),
    })
}

fn find(db: &Connection, version: u64) -> Result<Option<Version>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM config_change WHERE version = ?1");
    db.first(&sql, &[version.into()], read)
}

fn items(db: &Connection, version: u64) -> Result<Vec<Item>, StoreError> {
    let sql = "SELECT kind, id, name, before, after, crc FROM config_item WHERE version = ?1 ORDER BY item";
    db.rows(sql, &[version.into()], read_item)
}

fn read_item(row: &Row<'_>) -> Result<Item, StoreError> {
    row.verify(5)?;
    let optional = |column| Ok::<_, StoreError>(row.optional_text(column)?.map(str::to_string));
    Ok(Item {
        kind: row.text(0)?.to_string(),
        id: row.id(1)?,
        name: row.text(2)?.to_string(),
        before: optional(3)?,
        after: optional(4)?,
    })
}
