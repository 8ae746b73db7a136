//! Rates on their way into a group (`BIL-6`, `BIL-7`, `BEY-5`): read from a vendor's file, or made from another group
//! with a margin; staged in the database piece by piece, so that neither memory nor other writers are held; compared
//! with what is there; applied in one transaction; undone as long as nobody has changed the group since.

use crate::audit::{Author, Deed};
use crate::changes::{self, Item};
use crate::config::{AccountKind, Rate, RateGroup, check_rate};
use crate::edit::Edit;
use crate::rates::{RATE_COLUMNS, each_rate, rate, read_rate, sheet_version, with_row};
use crate::sql::{Connection, Row, Value};
use crate::store::now_ms;
use crate::{ChangeError, Problem, Store, StoreError};
use billing::rate::{MOST_TIMES, RateTableBuilder};
use billing::{Making, RateTable, Validity, Zone};
use deck::{Fault, Field, Line, Outcome, State, Summary};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use vocab::prefix::Packed;
use vocab::{Price, Utc};

/// What an import is to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOrder {
    /// How the file is to be read.
    pub file: deck::Options,
    /// The file is the whole deck: what it does not name is gone.
    pub replace: bool,
    /// From when rows hold that do not say so, milliseconds since the epoch; `None`: at once.
    pub effective_ms: Option<i64>,
    /// Instead of a file: rates made from those of another group.
    pub making: Option<MakingOrder>,
}

/// Customers' rates made from a vendor's (`BIL-7`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MakingOrder {
    pub from_group: u32,
    /// Only prefixes that begin with one of these; none: all.
    pub prefixes: Vec<String>,
    pub making: Making,
    /// Prices are rounded up to so many decimals.
    pub decimals: u32,
    /// The lowest price.
    pub floor: Option<Price>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    Reading,
    /// Staged and compared; may be applied.
    Ready,
    /// Could not be read.
    Failed,
    Applied,
    Undone,
}

impl ImportState {
    pub const ALL: [ImportState; 5] = [
        ImportState::Reading,
        ImportState::Ready,
        ImportState::Failed,
        ImportState::Applied,
        ImportState::Undone,
    ];

    pub fn key(self) -> &'static str {
        match self {
            ImportState::Reading => "reading",
            ImportState::Ready => "ready",
            ImportState::Failed => "failed",
            ImportState::Applied => "applied",
            ImportState::Undone => "undone",
        }
    }
}

/// How the staged rates differ from those of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub new: u64,
    pub gone: u64,
    pub dearer: u64,
    pub cheaper: u64,
    /// The same price with other terms.
    pub changed: u64,
    pub same: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub prefix: String,
    pub area: String,
    pub before: Option<Price>,
    pub after: Option<Price>,
}

/// A customer's price below what the vendor would charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BelowCost {
    pub rate_group: String,
    pub prefix: String,
    pub price: Price,
    pub cost: Price,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Body {
    pub order: ImportOrder,
    pub rows_read: u64,
    pub summary: Summary,
    /// Why the file as a whole cannot be read.
    pub failure: Option<Fault>,
    pub counts: Counts,
    /// The first of them.
    pub differences: Vec<Difference>,
    pub below_cost_count: u64,
    /// The first of them.
    pub below_cost: Vec<BelowCost>,
    /// Version of the group's rates that it was compared with, and then that it made.
    pub sheet_version: u64,
    pub applied_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeckImport {
    pub id: u32,
    pub group: u32,
    /// Name of the file, or words.
    pub name: String,
    pub state: ImportState,
    pub started_at: Utc,
    pub started_by: String,
    pub body: Body,
}

/// Imports of a group that are kept, with what is needed to undo them.
const KEPT: u64 = 10;
/// Rates written in one transaction while staging.
const PIECE: usize = 10_000;
/// Differences and prices below cost that are shown one by one.
const SHOWN: usize = 1000;
/// Columns of a rate after its group.
const OWN: &str =
    "prefix, variant, area, price_per_minute, first_period, cycle, first_period_price, connection_fee,
    minimum_charge, free_seconds, locked, terms, crc";

impl Store {
    /// Notes an import that [`Store::run_import`] is then to carry out.
    pub fn begin_import(
        &self,
        group: u32,
        name: &str,
        order: ImportOrder,
        by: &str,
    ) -> Result<DeckImport, ChangeError> {
        let config = self.config();
        if config.rate_groups.get(group).is_none() {
            return Err(ChangeError::NotFound);
        }
        check_order(&config, group, &order)?;
        let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
        let body = Body { order, ..Body::default() };
        let id = self.write(|db| {
            let last = db.first("SELECT COALESCE(MAX(id), 0) FROM deck_import", &[], |row| row.id(0))?;
            let id = last.unwrap_or(0) + 1;
            forget_old(db, group)?;
            let text = serde_json::to_string(&body)?;
            let state = ImportState::Reading.key();
            let row = [
                id.into(),
                group.into(),
                Value::from(&name),
                state.into(),
                now_ms().into(),
                by.into(),
                Value::from(&text),
            ];
            let sql = "INSERT INTO deck_import (id, group_id, name, state, started_at, started_by, body)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            db.run(sql, &row)?;
            Ok(id)
        })?;
        self.deck_import(group, id)
    }

    pub fn deck_import(&self, group: u32, id: u32) -> Result<DeckImport, ChangeError> {
        let sql = format!("SELECT {IMPORT_COLUMNS} FROM deck_import WHERE id = ?1 AND group_id = ?2");
        let found = self.read(|db| db.first(&sql, &[id.into(), group.into()], read_import))?;
        found.ok_or(ChangeError::NotFound)
    }

    /// The imports of a group, the newest first.
    pub fn deck_imports(&self, group: u32) -> Result<Vec<DeckImport>, StoreError> {
        let sql = format!("SELECT {IMPORT_COLUMNS} FROM deck_import WHERE group_id = ?1 ORDER BY id DESC");
        self.read(|db| db.rows(&sql, &[group.into()], read_import))
    }

    /// Reads the file, or makes the rates, and compares them with the group. Takes its time; the outcome is in the
    /// import, which others may look at meanwhile.
    pub fn run_import(&self, group: u32, id: u32, file: &[u8]) -> Result<DeckImport, ChangeError> {
        let mut import = self.deck_import(group, id)?;
        let config = self.config();
        let stored = config.rate_groups.get(group).ok_or(ChangeError::NotFound)?;
        let zone = crate::zones::zone(&stored.document.time_zone).unwrap_or_else(Zone::utc);
        let mut stager = Stager::new(self, &import, zone);
        let order = import.body.order.clone();
        let read = match &order.making {
            Some(making) => stager.make(making).map(Ok)?,
            None => stager.read(file, &order),
        };
        stager.flush();
        if let Some(error) = stager.error.take() {
            return Err(error.into());
        }
        match read {
            Ok(summary) => {
                import.body.rows_read = summary.rows;
                import.body.summary = summary;
                self.compare(&mut import)?;
                import.state = ImportState::Ready;
            }
            Err(fault) => {
                import.body.failure = Some(fault);
                import.state = ImportState::Failed;
            }
        }
        self.write(|db| write_import(db, &import))?;
        Ok(import)
    }

    /// An import that cannot go on is over.
    pub fn fail_import(&self, id: u32) {
        let failed = ImportState::Failed.key().into();
        let done =
            self.write(|db| db.run("UPDATE deck_import SET state = ?2 WHERE id = ?1", &[id.into(), failed]));
        if let Err(error) = done {
            tracing::error!(import = id, %error, "an import that failed could not be noted so");
        }
    }

    /// Fills in what is different from the group as it is now.
    fn compare(&self, import: &mut DeckImport) -> Result<(), StoreError> {
        let now = now_ms();
        self.read(|db| {
            import.body.sheet_version = sheet_version(db, import.group)?;
            differences(db, import)?;
            if import.body.order.replace {
                let sql = format!("SELECT COUNT(*) FROM rate r WHERE {}", gone_words());
                let values = [import.group.into(), import.id.into(), moment_text(now).into()];
                import.body.counts.gone += db.first(&sql, &values, |row| row.unsigned(0))?.unwrap_or(0);
            }
            Ok(())
        })?;
        self.below_cost(import)
    }

    /// Customers' prices that would lie below this group's.
    fn below_cost(&self, import: &mut DeckImport) -> Result<(), StoreError> {
        let config = self.config();
        let Some(own) = config.rate_groups.get(import.group) else { return Ok(()) };
        let customers = config.accounts.iter().map(|a| &a.document);
        let customers =
            customers.filter(|a| a.kind == AccountKind::Customer && a.currency == own.document.currency);
        let sold: BTreeSet<&String> =
            customers.flat_map(|a| [&a.rate_group, &a.private_rates]).filter_map(Option::as_ref).collect();
        let sold: Vec<_> = sold.into_iter().filter_map(|name| config.rate_groups.named(name)).collect();
        if sold.iter().all(|g| g.id == import.group) {
            return Ok(());
        }
        self.read(|db| {
            let costs = costs(db, import)?;
            for group in sold.iter().filter(|g| g.id != import.group) {
                each_rate(db, group.id, |rate| {
                    let cost = costs.at(Packed::of(&rate.prefix), Utc(0), &Zone::utc()).map(|(_, c)| c);
                    let Some(cost) = cost.filter(|c| !c.locked && c.price_per_minute > rate.price_per_minute)
                    else {
                        return Ok(());
                    };
                    import.body.below_cost_count += 1;
                    if !rate.locked && import.body.below_cost.len() < SHOWN {
                        import.body.below_cost.push(BelowCost {
                            rate_group: group.document.name.clone(),
                            prefix: rate.prefix,
                            price: rate.price_per_minute,
                            cost: cost.price_per_minute,
                        });
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })
    }

    /// Makes the staged rates those of the group: all, or with `skip_bad_rows` the good ones.
    pub fn apply_import(
        &self,
        group: u32,
        id: u32,
        skip_bad_rows: bool,
        by: impl Into<Author>,
    ) -> Result<DeckImport, ChangeError> {
        let author = by.into();
        let name = author.name.clone();
        self.change(author, |edit| {
            let mut import = staged(edit, group, id, ImportState::Ready)?;
            let bad = import.body.summary.bad_rows;
            if bad > 0 && !skip_bad_rows {
                let words = format!("{bad} rows have faults; mend them, or ask for the good ones only");
                return Err(vec![Problem::new("skip_bad_rows", words)].into());
            }
            let before = count(edit.db, group)?;
            replace(edit.db, &import)?;
            let sql =
                "SELECT prefix FROM rate WHERE group_id = ?1 GROUP BY prefix HAVING COUNT(*) > ?2 LIMIT 1";
            let most = Value::from(MOST_TIMES as u64);
            if let Some(prefix) =
                edit.db.first(sql, &[group.into(), most], |row| Ok(row.text(0)?.to_string()))?
            {
                let words = format!("{prefix:?} would have more than {MOST_TIMES} rates at different times");
                return Err(vec![Problem::new("prefix", words)].into());
            }
            finish(edit, &mut import, before, ImportState::Applied, &name)?;
            Ok(import)
        })
    }

    /// Puts the rates back as they were before the import.
    pub fn undo_import(&self, group: u32, id: u32, by: impl Into<Author>) -> Result<DeckImport, ChangeError> {
        let author = by.into();
        let name = author.name.clone();
        self.change(author, |edit| {
            let mut import = staged(edit, group, id, ImportState::Applied)?;
            let before = count(edit.db, group)?;
            let keys = [group.into(), id.into()];
            edit.db.run(
                "DELETE FROM rate WHERE group_id = ?1 AND EXISTS (SELECT 1 FROM deck_row d
                   WHERE d.import_id = ?2 AND d.prefix = rate.prefix AND d.variant = rate.variant
                     AND d.crc = rate.crc AND d.gone = 0)
                   AND NOT EXISTS (SELECT 1 FROM deck_kept k WHERE k.import_id = ?2 AND k.prefix = rate.prefix
                     AND k.variant = rate.variant)",
                &keys,
            )?;
            let sql = format!(
                "INSERT INTO rate (group_id, {OWN}) SELECT ?1, {OWN} FROM deck_undo WHERE import_id = ?2
                 ON CONFLICT (group_id, prefix, variant) DO NOTHING"
            );
            edit.db.run(&sql, &keys)?;
            finish(edit, &mut import, before, ImportState::Undone, &name)?;
            Ok(import)
        })
    }
}

fn check_order(config: &crate::Config, group: u32, order: &ImportOrder) -> Result<(), ChangeError> {
    let mut problems = Vec::new();
    if let Some(making) = &order.making {
        let to = config.rate_groups.get(group).map(|g| g.document.currency);
        match config.rate_groups.get(making.from_group) {
            None => problems.push(Problem::new("from", "there is no such rate group")),
            Some(_) if making.from_group == group => {
                problems.push(Problem::new("from", "is the group itself; expected another one"));
            }
            Some(from) if Some(from.document.currency) != to => {
                let words = format!("is in {}; expected the currency of the group", from.document.currency);
                problems.push(Problem::new("from", words));
            }
            Some(_) => {}
        }
        if !making.making.is_sound() {
            problems.push(Problem::new("making", "a margin must be below 100 %, a mark-up not below -100 %"));
        }
        if making.decimals > Price::DECIMALS {
            problems.push(Problem::new("decimals", format!("expected 0–{}", Price::DECIMALS)));
        }
        if making.floor.is_some_and(|floor| floor < Price::ZERO) {
            problems.push(Problem::new("floor", "is negative"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

/// An import in this state, of a group whose rates are as it left or saw them.
fn staged(edit: &mut Edit<'_>, group: u32, id: u32, state: ImportState) -> Result<DeckImport, ChangeError> {
    edit.existing::<RateGroup>(group, None)?;
    let sql = format!("SELECT {IMPORT_COLUMNS} FROM deck_import WHERE id = ?1 AND group_id = ?2");
    let import =
        edit.db.first(&sql, &[id.into(), group.into()], read_import)?.ok_or(ChangeError::NotFound)?;
    if import.state != state {
        let words = format!("the import is {}; expected one that is {}", import.state.key(), state.key());
        return Err(vec![Problem::new("state", words)].into());
    }
    let version = sheet_version(edit.db, group)?;
    if version != import.body.sheet_version {
        // Nothing that somebody did meanwhile may be lost.
        return Err(ChangeError::Conflict { current_version: version });
    }
    Ok(import)
}

fn count(db: &Connection, group: u32) -> Result<i64, StoreError> {
    let found =
        db.first("SELECT COUNT(*) FROM rate WHERE group_id = ?1", &[group.into()], |row| row.int(0))?;
    Ok(found.unwrap_or(0))
}

/// Rates of a whole deck's group that it does not name: of prefixes that it does not know, and of those it knows the
/// ones at hours, or that would begin later. ?1 group, ?2 import, ?3 now.
fn gone_words() -> &'static str {
    "r.group_id = ?1
       AND NOT EXISTS (SELECT 1 FROM deck_row d
             WHERE d.import_id = ?2 AND d.prefix = r.prefix AND d.variant = r.variant)
       AND (NOT EXISTS (SELECT 1 FROM deck_row d WHERE d.import_id = ?2 AND d.prefix = r.prefix)
         OR EXISTS (SELECT 1 FROM deck_row d WHERE d.import_id = ?2 AND d.prefix = r.prefix AND d.variant = '')
         OR (r.variant <> '' AND (SUBSTR(r.variant, 1, 13) > ?3 OR SUBSTR(r.variant, 15) <> '')))"
}

/// As [`Rate::variant_of`] writes moments, so that they can be compared as text.
fn moment_text(ms: i64) -> String {
    format!("{ms:0>13}")
}

/// The whole change, in the database: what goes is kept for an undo, then the staged rates come.
fn replace(db: &Connection, import: &DeckImport) -> Result<(), StoreError> {
    let (group, id) = (import.group, import.id);
    let keys = [group.into(), id.into()];
    let keep = format!("INSERT INTO deck_undo (import_id, {OWN}) SELECT ?2, {OWN} FROM rate r");
    let changed = "WHERE r.group_id = ?1 AND EXISTS (SELECT 1 FROM deck_row d WHERE d.import_id = ?2
                     AND d.prefix = r.prefix AND d.variant = r.variant AND (d.crc <> r.crc OR d.gone = 1))";
    db.run(&format!("{keep} {changed}"), &keys)?;
    if import.body.order.replace {
        let values = [group.into(), id.into(), moment_text(now_ms()).into()];
        db.run(&format!("{keep} WHERE {}", gone_words()), &values)?;
    }
    db.run(
        "DELETE FROM rate WHERE group_id = ?1 AND EXISTS (SELECT 1 FROM deck_undo u
           WHERE u.import_id = ?2 AND u.prefix = rate.prefix AND u.variant = rate.variant)",
        &keys,
    )?;
    // What stays as it is must survive an undo.
    db.run(
        "INSERT INTO deck_kept (import_id, prefix, variant) SELECT ?2, r.prefix, r.variant FROM rate r
         WHERE r.group_id = ?1 AND EXISTS (SELECT 1 FROM deck_row d WHERE d.import_id = ?2
           AND d.prefix = r.prefix AND d.variant = r.variant)",
        &keys,
    )?;
    let sql = format!(
        "INSERT INTO rate (group_id, {OWN}) SELECT ?1, {OWN} FROM deck_row WHERE import_id = ?2 AND gone = 0
         ON CONFLICT (group_id, prefix, variant) DO NOTHING"
    );
    db.run(&sql, &keys).map(|_| ())
}

/// Counts the rates anew and notes what became of the import.
fn finish(
    edit: &mut Edit<'_>,
    import: &mut DeckImport,
    before: i64,
    state: ImportState,
    by: &str,
) -> Result<(), StoreError> {
    let more = count(edit.db, import.group)?.saturating_sub(before);
    edit.count_rates(import.group, more)?;
    import.body.sheet_version = sheet_version(edit.db, import.group)?;
    import.state = state;
    import.body.applied_by = Some(by.to_string());
    write_import(edit.db, import)?;
    let group =
        edit.config.rate_groups.get(import.group).map(|g| g.document.name.clone()).unwrap_or_default();
    // Too many to keep twice: the import itself can be undone.
    let (name, id) = (group.clone(), import.group);
    edit.differs(Item { kind: changes::RATES.to_string(), id, name, before: None, after: None });
    let told = serde_json::json!({ "import": import.id, "file": import.name, "state": state, "counts": import.body.counts });
    let (action, kind, after) = ("update", "rates", told.to_string());
    edit.audit(&Deed { action, kind, object: &group, before: None, after: Some(&after) })
}

const IMPORT_COLUMNS: &str = "id, group_id, name, state, started_at, started_by, body";

fn read_import(row: &Row<'_>) -> Result<DeckImport, StoreError> {
    let text = row.text(3)?;
    let state = ImportState::ALL.into_iter().find(|s| s.key() == text);
    Ok(DeckImport {
        id: row.id(0)?,
        group: row.id(1)?,
        name: row.text(2)?.to_string(),
        state: state.ok_or_else(|| StoreError::corrupt(format!("state of an import: {text:?}")))?,
        started_at: Utc::from_millis(row.int(4)?),
        started_by: row.text(5)?.to_string(),
        body: serde_json::from_str(row.text(6)?)
            .map_err(|e| StoreError::corrupt(format!("an import: {e}")))?,
    })
}

fn write_import(db: &Connection, import: &DeckImport) -> Result<(), StoreError> {
    let body = serde_json::to_string(&import.body)?;
    let sql = "UPDATE deck_import SET state = ?2, body = ?3 WHERE id = ?1";
    db.run(sql, &[import.id.into(), import.state.key().into(), Value::from(&body)]).map(|_| ())
}

/// Imports that a stop of the program has interrupted.
pub(crate) fn end_interrupted(db: &Connection) -> Result<(), StoreError> {
    let states = [ImportState::Failed.key().into(), ImportState::Reading.key().into()];
    db.run("UPDATE deck_import SET state = ?1 WHERE state = ?2", &states).map(|_| ())
}

/// Deletes what is older than the imports that are kept.
fn forget_old(db: &Connection, group: u32) -> Result<(), StoreError> {
    let sql = "SELECT id FROM deck_import WHERE group_id = ?1 ORDER BY id DESC";
    let ids = db.rows(sql, &[group.into()], |row| row.id(0))?;
    for id in ids.into_iter().skip(usize::try_from(KEPT).unwrap_or(usize::MAX).saturating_sub(1)) {
        for table in ["deck_row", "deck_undo", "deck_kept"] {
            db.run(&format!("DELETE FROM {table} WHERE import_id = ?1"), &[id.into()])?;
        }
        db.run("DELETE FROM deck_import WHERE id = ?1", &[id.into()])?;
    }
    Ok(())
}

fn differences(db: &Connection, import: &mut DeckImport) -> Result<(), StoreError> {
    let sql = "SELECT d.prefix, d.area, d.price_per_minute, d.gone, d.crc, r.crc,
                 COALESCE(r.price_per_minute, p.price_per_minute)
               FROM deck_row d
               LEFT JOIN rate r ON r.group_id = ?1 AND r.prefix = d.prefix AND r.variant = d.variant
               LEFT JOIN rate p ON p.group_id = ?1 AND p.prefix = d.prefix AND p.variant = ''
               WHERE d.import_id = ?2 ORDER BY d.prefix, d.variant";
    let (counts, shown) = (&mut import.body.counts, &mut import.body.differences);
    db.each(sql, &[import.group.into(), import.id.into()], |row| {
        let gone = row.truth(3)?;
        let after: Option<Price> = if gone { None } else { Some(row.parsed(2)?) };
        let before: Option<Price> = row.optional_text(6)?.map(|_| row.parsed(6)).transpose()?;
        let same = row.optional_int(5)? == Some(row.int(4)?);
        let counter = match (before, after) {
            (None, None) => return Ok(()),
            (Some(_), None) => &mut counts.gone,
            (None, Some(_)) => &mut counts.new,
            (Some(_), Some(_)) if same => {
                counts.same += 1;
                return Ok(());
            }
            (Some(old), Some(new)) if new > old => &mut counts.dearer,
            (Some(old), Some(new)) if new < old => &mut counts.cheaper,
            (Some(_), Some(_)) => &mut counts.changed,
        };
        *counter += 1;
        if shown.len() < SHOWN {
            let (prefix, area) = (row.text(0)?.to_string(), row.text(1)?.to_string());
            shown.push(Difference { prefix, area, before, after });
        }
        Ok(())
    })
}

/// The group's prices as they would be.
fn costs(db: &Connection, import: &DeckImport) -> Result<RateTable, StoreError> {
    let mut builder = RateTableBuilder::default();
    let mut add = |rate: Rate| {
        let added = builder.add(&rate.prefix, Validity::default(), rate.to_billing());
        added.map_err(|e| StoreError::corrupt(e.to_string()))
    };
    if !import.body.order.replace {
        each_rate(db, import.group, &mut add)?;
    }
    // In the form of a rate's row, with its group.
    let sql = format!(
        "SELECT {} FROM deck_row WHERE import_id = ?1 AND gone = 0 ORDER BY prefix, variant",
        RATE_COLUMNS.replace("group_id", "?2")
    );
    db.each(&sql, &[import.id.into(), import.group.into()], |row| add(read_rate(row)?))?;
    Ok(builder.build())
}

/// Takes rates row by row and writes them piece by piece.
struct Stager<'a> {
    store: &'a Store,
    import: u32,
    group: u32,
    zone: Zone,
    now_ms: i64,
    effective: Option<Utc>,
    piece: Vec<(Rate, bool)>,
    /// By a hash of prefix and variant: the line, and a hash of the terms.
    seen: HashMap<u64, (u32, u32)>,
    read: u64,
    error: Option<StoreError>,
}

impl Stager<'_> {
    fn new<'a>(store: &'a Store, import: &DeckImport, zone: Zone) -> Stager<'a> {
        Stager {
            store,
            import: import.id,
            group: import.group,
            zone,
            now_ms: now_ms(),
            effective: import.body.order.effective_ms.map(Utc::from_millis),
            piece: Vec::new(),
            seen: HashMap::new(),
            read: 0,
            error: None,
        }
    }

    /// With the columns that were learned from the last file of this group, where those are there; else as they are found.
    fn read(&mut self, file: &[u8], order: &ImportOrder) -> Result<Summary, Fault> {
        if order.file.mapping.is_none()
            && let Some(mapping) = self.learned()
        {
            let learned = deck::Options { mapping: Some(mapping), ..order.file.clone() };
            if deck::fits(file, &learned) {
                return deck::read(file, &learned, |line| self.take(&line));
            }
        }
        deck::read(file, &order.file, |line| self.take(&line))
    }

    fn learned(&self) -> Option<deck::Mapping> {
        let imports = self.store.deck_imports(self.group).ok()?;
        let last =
            imports.into_iter().find(|i| i.state == ImportState::Applied && i.body.order.making.is_none())?;
        Some(last.body.summary.mapping).filter(|m| !m.0.is_empty())
    }

    fn take(&mut self, line: &Line) -> Outcome {
        self.read += 1;
        let from = line.from.map(|local| local.in_zone(&self.zone)).or(self.effective);
        let from = from.filter(|at| at.millis() > self.now_ms);
        let until = line.until.map(|local| local.in_zone(&self.zone));
        if until.is_some_and(|until| until.millis() <= self.now_ms) {
            return Outcome::Refused(Field::Until, "the rate has ended already".to_string());
        }
        let mut rates = Vec::with_capacity(line.codes.len());
        for code in &line.codes {
            let mut rate = Rate {
                prefix: code.clone(),
                area: line.area.clone(),
                price_per_minute: line.price.unwrap_or_default(),
                first_period: line.first_period,
                cycle: line.cycle,
                connection_fee: line.connection_fee,
                valid_from: from,
                valid_until: until,
                locked: line.state == State::Blocked,
                ..Rate::example()
            };
            let mut gone = line.state == State::Deleted;
            if line.price.is_none() || (gone && from.is_some()) {
                match self.standing(code) {
                    // A later end of what is there.
                    Some(there) if gone && from.is_some() => {
                        rate = Rate { valid_until: from, ..there };
                        gone = false;
                    }
                    Some(there) => rate.price_per_minute = there.price_per_minute,
                    // Nothing is sold there, so there is nothing to block.
                    None => continue,
                }
            }
            if let Some(problem) = check_rate(&rate) {
                return Outcome::Refused(field_of(&problem.field), problem.message);
            }
            if let Some(first) = self.contradicted(&rate, gone, line.line) {
                let words = format!("{code} stands in line {first} with other terms");
                return Outcome::Refused(Field::Codes, words);
            }
            rates.push((rate, gone));
        }
        for (rate, gone) in rates {
            self.stage(line.line, rate, gone);
        }
        if self.error.is_some() { Outcome::Stop } else { Outcome::Taken }
    }

    /// The rate of exactly this prefix, or else the price of the longest one above it.
    fn standing(&mut self, code: &str) -> Option<Rate> {
        let group = self.group;
        let found = self.store.read(|db| {
            for length in (0..=code.len()).rev() {
                let prefix = code.get(..length).unwrap_or_default();
                if let Some(found) = rate(db, group, prefix, "")? {
                    return Ok(Some(Rate { prefix: code.to_string(), ..found }));
                }
            }
            Ok(None)
        });
        found.unwrap_or_else(|e| {
            self.error = Some(e);
            None
        })
    }

    /// The line that says something else about the same prefix at the same time.
    fn contradicted(&self, rate: &Rate, gone: bool, line: u32) -> Option<u32> {
        let (key, terms) = hashes(rate, gone);
        self.seen
            .get(&key)
            .filter(|(first, known)| *known != terms && *first != line)
            .map(|(first, _)| *first)
    }

    fn stage(&mut self, line: u32, rate: Rate, gone: bool) {
        let (key, terms) = hashes(&rate, gone);
        if self.seen.insert(key, (line, terms)).is_some() {
            return;
        }
        self.piece.push((rate, gone));
        if self.piece.len() >= PIECE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        let (group, import, read) = (self.group, self.import, self.read);
        let sql = "INSERT INTO deck_row (import_id, prefix, area, price_per_minute, first_period, cycle, first_period_price,
                     connection_fee, minimum_charge, free_seconds, locked, variant, terms, crc, gone)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                   ON CONFLICT (import_id, prefix, variant) DO NOTHING";
        let written = self.store.write(|db| {
            for (rate, gone) in &piece {
                with_row(group, rate, |row| {
                    let mut row = row.to_vec();
                    if let Some(first) = row.first_mut() {
                        *first = import.into();
                    }
                    row.push((*gone).into());
                    db.run(sql, &row)
                })??;
            }
            let sql = format!("SELECT {IMPORT_COLUMNS} FROM deck_import WHERE id = ?1");
            if let Some(mut so_far) = db.first(&sql, &[import.into()], read_import)? {
                so_far.body.rows_read = read;
                write_import(db, &so_far)?;
            }
            Ok(())
        });
        if let Err(e) = written {
            self.error = Some(e);
        }
    }

    /// Rates made from those of another group. One that cannot be made is a fault, never another price.
    fn make(&mut self, order: &MakingOrder) -> Result<Summary, StoreError> {
        let mut summary = Summary::default();
        let mut after: Option<(String, String)> = None;
        loop {
            // Page by page: a reader must not stay open while pieces are written.
            let from = after.as_ref().map(|(prefix, variant)| (prefix.as_str(), variant.as_str()));
            let page = self.store.rates(order.from_group, "", from, PIECE)?;
            let Some(last) = page.last() else { break };
            after = Some((last.prefix.clone(), last.variant()));
            for rate in page {
                let asked = order.prefixes.is_empty()
                    || order.prefixes.iter().any(|p| rate.prefix.starts_with(p.as_str()));
                if asked {
                    self.make_one(order, rate, &mut summary);
                }
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
        }
        Ok(summary)
    }

    fn make_one(&mut self, order: &MakingOrder, from: Rate, summary: &mut Summary) {
        (summary.rows, self.read) = (summary.rows + 1, self.read + 1);
        let made = |price: Price| {
            let price = order.making.price(price, order.decimals)?;
            Some(price.max(order.floor.unwrap_or_default()))
        };
        let sections: Option<Vec<_>> = from
            .sections
            .iter()
            .map(|s| Some(vocab::RateSection { price_per_minute: made(s.price_per_minute)?, ..*s }))
            .collect();
        let first = from.first_period_price.map(made);
        let made = made(from.price_per_minute).zip(sections).filter(|_| first != Some(None));
        let Some((price, sections)) = made else {
            summary.bad_rows += 1;
            let reason = format!("{}: no price can be made of {}", from.prefix, from.price_per_minute);
            return summary.fault(Fault { line: 0, column: String::new(), reason });
        };
        let first_period_price = first.flatten();
        let valid_from = from.valid_from.or(self.effective).filter(|at| at.millis() > self.now_ms);
        let line = u32::try_from(summary.rows).unwrap_or(u32::MAX);
        let rate = Rate { price_per_minute: price, sections, first_period_price, valid_from, ..from };
        if let Some(problem) = check_rate(&rate) {
            summary.bad_rows += 1;
            let reason = format!("{}: {problem}", rate.prefix);
            return summary.fault(Fault { line: 0, column: String::new(), reason });
        }
        (summary.good_rows, summary.codes) = (summary.good_rows + 1, summary.codes + 1);
        self.stage(line, rate, false);
    }
}

/// Of what tells a rate from others, and of what it says.
fn hashes(rate: &Rate, gone: bool) -> (u64, u32) {
    let hash = |words: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        words(&mut hasher);
        hasher.finish()
    };
    let key = hash(&|h| (&rate.prefix, rate.valid_from, &rate.hours).hash(h));
    let terms = hash(&|h| {
        (rate.price_per_minute, rate.first_period, rate.cycle, rate.connection_fee).hash(h);
        (rate.valid_until, rate.locked, gone).hash(h);
    });
    (key, u32::try_from(terms >> 32).unwrap_or(0))
}

/// The column that a field of a rate came from.
fn field_of(field: &str) -> Field {
    match field {
        "area" => Field::Area,
        "first_period" => Field::FirstPeriod,
        "cycle" => Field::Cycle,
        "connection_fee" => Field::ConnectionFee,
        "valid_until" => Field::Until,
        "price_per_minute" => Field::Price,
        _ => Field::Codes,
    }
}
