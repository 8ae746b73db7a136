//! The rates of a group in the database: rows of a sheet, each told from the others by its prefix and its variant.

use crate::audit::Deed;
use crate::changes::{self, Item};
use crate::config::{Rate, RateGroup, check_rate};
use crate::edit::Edit;
use crate::sql::{Connection, Row, Value, crc, like_literal};
use crate::{ChangeError, Problem, StoreError};
use billing::rate::{MOST_TIMES, RateError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use vocab::{CallLevel, RateSection, Utc};

impl Edit<'_> {
    pub fn put_rate(&mut self, group: u32, rate: &Rate) -> Result<(), ChangeError> {
        self.existing::<RateGroup>(group, None)?;
        if let Some(problem) = check_rate(rate) {
            return Err(vec![problem].into());
        }
        let before = self::rate(self.db, group, &rate.prefix, &rate.variant())?;
        if before.as_ref() == Some(rate) {
            return Ok(());
        }
        if before.is_none() && times_of(self.db, group, &rate.prefix)? >= MOST_TIMES as u64 {
            return Err(vec![Problem::new("prefix", RateError::TooManyTimes.to_string())].into());
        }
        self.write_rate(group, rate)?;
        let more = if before.is_none() { 1 } else { 0 };
        self.audit_rates(
            group,
            &self.group_name(group),
            &[RateChange { before, after: Some(rate.clone()) }],
        )?;
        Ok(self.count_rates(group, more)?)
    }

    pub fn delete_rate(&mut self, group: u32, prefix: &str, variant: &str) -> Result<(), ChangeError> {
        self.existing::<RateGroup>(group, None)?;
        let Some(before) = self::rate(self.db, group, prefix, variant)? else {
            return Err(ChangeError::NotFound);
        };
        self.remove_rate(group, prefix, variant)?;
        self.audit_rates(
            group,
            &self.group_name(group),
            &[RateChange { before: Some(before), after: None }],
        )?;
        Ok(self.count_rates(group, -1)?)
    }

    fn remove_rate(&self, group: u32, prefix: &str, variant: &str) -> Result<usize, StoreError> {
        let sql = "DELETE FROM rate WHERE group_id = ?1 AND prefix = ?2 AND variant = ?3";
        self.db.run(sql, &[group.into(), prefix.into(), variant.into()])
    }

    /// Makes these the rates of the group; what was different before and after.
    pub fn replace_rates(
        &mut self,
        group: u32,
        mut rates: Vec<Rate>,
    ) -> Result<Vec<RateChange>, ChangeError> {
        self.existing::<RateGroup>(group, None)?;
        let problems = rate_problems(&rates);
        if !problems.is_empty() {
            return Err(problems.into());
        }
        rates.sort_by_cached_key(key);
        let changes = differences(self.db, group, rates)?;
        self.write_changes(group, &self.group_name(group), &changes)?;
        Ok(changes)
    }

    /// Removes all rates of a group that is to go, and may be gone from the draft already.
    pub(crate) fn empty_group(&mut self, group: u32, name: &str) -> Result<(), StoreError> {
        if self.config.sheets.get(&group).is_some_and(|sheet| sheet.count <= MOST_RATES_KEPT as u64) {
            let changes = differences(self.db, group, Vec::new())?;
            self.write_changes(group, name, &changes)?;
        } else {
            self.db.run("DELETE FROM rate WHERE group_id = ?1", &[group.into()])?;
        }
        self.db.run("DELETE FROM rate_sheet WHERE group_id = ?1", &[group.into()])?;
        self.config.sheets.remove(&group);
        Ok(())
    }

    fn group_name(&self, group: u32) -> String {
        self.config.rate_groups.get(group).map(|g| g.document.name.clone()).unwrap_or_default()
    }

    fn write_changes(&mut self, group: u32, name: &str, changes: &[RateChange]) -> Result<(), StoreError> {
        let mut count = 0;
        for change in changes {
            match change {
                RateChange { after: Some(rate), before } => {
                    self.write_rate(group, rate)?;
                    count += i64::from(before.is_none());
                }
                RateChange { after: None, before: Some(rate) } => {
                    self.remove_rate(group, &rate.prefix, &rate.variant())?;
                    count -= 1;
                }
                RateChange { after: None, before: None } => {}
            }
        }
        if !changes.is_empty() {
            self.audit_rates(group, name, changes)?;
            self.count_rates(group, count)?;
        }
        Ok(())
    }

    /// Rates have no documents: their changes are noted one by one when there are few, else counted.
    fn audit_rates(&mut self, group: u32, name: &str, changes: &[RateChange]) -> Result<(), StoreError> {
        const SHOWN: usize = 50;
        self.differs_in_rates(group, name, changes)?;
        let all = |of: fn(&RateChange) -> Option<&Rate>| changes.iter().filter_map(of).collect::<Vec<_>>();
        let (before, after) = (all(|c| c.before.as_ref()), all(|c| c.after.as_ref()));
        let text = |rates: &[&Rate]| match changes.len() {
            0..=SHOWN => serde_json::to_string(rates),
            _ => serde_json::to_string(&serde_json::json!({ "rates": rates.len() })),
        };
        let (before, after) = (text(&before)?, text(&after)?);
        let deed = Deed {
            action: "update",
            kind: "rates",
            object: name,
            before: Some(&before),
            after: Some(&after),
        };
        self.audit(&deed)
    }

    /// For undo: every rate before and after, unless there are too many to keep twice.
    fn differs_in_rates(&mut self, group: u32, name: &str, changes: &[RateChange]) -> Result<(), StoreError> {
        let kept = changes.len() <= MOST_RATES_KEPT;
        let text = |of: fn(&RateChange) -> Option<&Rate>| match kept {
            true => serde_json::to_string(&changes.iter().filter_map(of).collect::<Vec<_>>()).map(Some),
            false => Ok(None),
        };
        let (before, after) = (text(|c| c.before.as_ref())?, text(|c| c.after.as_ref())?);
        let (kind, name) = (changes::RATES.to_string(), name.to_string());
        self.differs(Item { kind, id: group, name, before, after });
        Ok(())
    }

    /// Puts single rates back as they were: those of `undone` go, those of `restored` come.
    pub(crate) fn restore_rates(
        &mut self,
        group: u32,
        undone: &[Rate],
        restored: Vec<Rate>,
    ) -> Result<(), ChangeError> {
        let mut changes: BTreeMap<(String, String), RateChange> = BTreeMap::new();
        for rate in undone {
            let now = self::rate(self.db, group, &rate.prefix, &rate.variant())?;
            if now.as_ref() != Some(rate) {
                let words =
                    format!("the rate of {:?} was changed since; undo the later change first", rate.prefix);
                return Err(vec![Problem::new("rates", words)].into());
            }
            changes.insert(key(rate), RateChange { before: now, after: None });
        }
        for rate in restored {
            let entry = changes.entry(key(&rate)).or_insert(RateChange { before: None, after: None });
            if entry.before.is_none() && self::rate(self.db, group, &rate.prefix, &rate.variant())?.is_some()
            {
                let words =
                    format!("there is a rate of {:?} again; undo the later change first", rate.prefix);
                return Err(vec![Problem::new("rates", words)].into());
            }
            entry.after = Some(rate);
        }
        let changes: Vec<RateChange> = changes.into_values().collect();
        Ok(self.write_changes(group, &self.group_name(group), &changes)?)
    }

    fn write_rate(&self, group: u32, rate: &Rate) -> Result<(), StoreError> {
        let sql = "INSERT INTO rate (group_id, prefix, area, price_per_minute, first_period, cycle, first_period_price,
                                     connection_fee, minimum_charge, free_seconds, locked, variant, terms, crc)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
                   ON CONFLICT (group_id, prefix, variant) DO UPDATE SET area = excluded.area,
                     price_per_minute = excluded.price_per_minute, first_period = excluded.first_period,
                     cycle = excluded.cycle, first_period_price = excluded.first_period_price,
                     connection_fee = excluded.connection_fee, minimum_charge = excluded.minimum_charge,
                     free_seconds = excluded.free_seconds, locked = excluded.locked, terms = excluded.terms,
                     crc = excluded.crc";
        with_row(group, rate, |row| self.db.run(sql, row).map(|_| ()))?
    }
}

/// A rate as the columns of its row, the checksum last.
pub(crate) fn with_row<T>(
    group: u32,
    rate: &Rate,
    use_row: impl FnOnce(&[Value<'_>]) -> T,
) -> Result<T, StoreError> {
    let (variant, terms) = (rate.variant(), Terms::of(rate).text()?);
    let mut row = vec![
        group.into(),
        Value::from(&rate.prefix),
        Value::from(&rate.area),
        rate.price_per_minute.to_string().into(),
        rate.first_period.into(),
        rate.cycle.into(),
        rate.first_period_price.map(|p| p.to_string()).into(),
        rate.connection_fee.to_string().into(),
        rate.minimum_charge.to_string().into(),
        rate.free_seconds.into(),
        rate.locked.into(),
        Value::from(&variant),
        Value::from(&terms),
    ];
    let checked = if terms.is_empty() { PLAIN_COLUMNS } else { row.len() };
    row.push(crc(row.iter().take(checked)));
    Ok(use_row(&row))
}

/// What is more to a rate than most have: JSON in the column `terms`.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Terms {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level: Option<CallLevel>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hours: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sections: Vec<RateSection>,
}

impl Terms {
    fn of(rate: &Rate) -> Terms {
        Terms {
            level: rate.level,
            from: rate.valid_from.map(Utc::millis),
            until: rate.valid_until.map(Utc::millis),
            hours: rate.hours.to_string(),
            sections: rate.sections.clone(),
        }
    }

    fn text(&self) -> Result<String, StoreError> {
        if *self == Terms::default() { Ok(String::new()) } else { Ok(serde_json::to_string(self)?) }
    }

    fn read(text: &str) -> Result<Terms, StoreError> {
        if text.is_empty() {
            return Ok(Terms::default());
        }
        serde_json::from_str(text).map_err(|e| StoreError::corrupt(format!("terms of a rate: {e}")))
    }
}

/// So many rates of one change are kept for undo; larger ones come by file, and an import has an undo of its own.
const MOST_RATES_KEPT: usize = 20_000;

/// One rate, different before and after.
pub(crate) struct RateChange {
    pub before: Option<Rate>,
    pub after: Option<Rate>,
}

/// At most so many problems of one sheet are told.
const MAX_PROBLEMS: usize = 1000;

/// What is wrong with these rates, by their position.
pub(crate) fn rate_problems(rates: &[Rate]) -> Vec<Problem> {
    let mut seen = HashSet::with_capacity(rates.len());
    let mut times: HashMap<&str, usize> = HashMap::new();
    let found = rates.iter().enumerate().filter_map(|(i, rate)| {
        let variant = rate.variant();
        let timed = !variant.is_empty();
        let mut problem = check_rate(rate).or_else(|| {
            let at = if timed { " for the same time" } else { "" };
            let twice = format!("{:?} stands here twice{at}", rate.prefix);
            (!seen.insert((rate.prefix.as_str(), variant))).then(|| Problem::new("prefix", twice))
        });
        if timed && problem.is_none() {
            let count = times.entry(&rate.prefix).or_default();
            *count += 1;
            // One may hold at all times.
            let many = *count >= MOST_TIMES;
            problem = many.then(|| Problem::new("prefix", RateError::TooManyTimes.to_string()));
        }
        let mut problem = problem?;
        problem.field = format!("rates[{i}].{}", problem.field);
        Some(problem)
    });
    found.take(MAX_PROBLEMS).collect()
}

/// The order of a sheet.
fn key(rate: &Rate) -> (String, String) {
    (rate.prefix.clone(), rate.variant())
}

/// Goes through stored and new rates side by side, both in order of their prefixes.
fn differences(db: &Connection, group: u32, sorted: Vec<Rate>) -> Result<Vec<RateChange>, StoreError> {
    let mut changes = Vec::new();
    let mut wanted = sorted.into_iter().peekable();
    let sql = format!("SELECT {RATE_COLUMNS} FROM rate WHERE group_id = ?1 ORDER BY prefix, variant");
    db.each(&sql, &[group.into()], |row| {
        let old = read_rate(row)?;
        let here = key(&old);
        while let Some(new) = wanted.next_if(|r| key(r) < here) {
            changes.push(RateChange { before: None, after: Some(new) });
        }
        match wanted.next_if(|r| key(r) == here) {
            Some(new) if new == old => {}
            after => changes.push(RateChange { before: Some(old), after }),
        }
        Ok(())
    })?;
    changes.extend(wanted.map(|new| RateChange { before: None, after: Some(new) }));
    Ok(changes)
}

pub(crate) const RATE_COLUMNS: &str =
    "group_id, prefix, area, price_per_minute, first_period, cycle, first_period_price, connection_fee,
    minimum_charge, free_seconds, locked, variant, terms, crc";
/// Columns that every rate has; the checksum of one without terms covers only these.
const PLAIN_COLUMNS: usize = 11;

pub(crate) fn read_rate(row: &Row<'_>) -> Result<Rate, StoreError> {
    let (variant, terms) = (row.text(11)?, row.text(12)?);
    row.verify_first(if terms.is_empty() { PLAIN_COLUMNS } else { 13 }, 13)?;
    let terms = Terms::read(terms)?;
    let rate = Rate {
        prefix: row.text(1)?.to_string(),
        area: row.text(2)?.to_string(),
        price_per_minute: row.parsed(3)?,
        first_period: row.id(4)?,
        cycle: row.id(5)?,
        first_period_price: row.optional_text(6)?.map(|_| row.parsed(6)).transpose()?,
        connection_fee: row.parsed(7)?,
        minimum_charge: row.parsed(8)?,
        free_seconds: row.id(9)?,
        locked: row.truth(10)?,
        level: terms.level,
        valid_from: terms.from.map(Utc::from_millis),
        valid_until: terms.until.map(Utc::from_millis),
        hours: billing::Hours::parse(&terms.hours).map_err(|e| StoreError::corrupt(e.to_string()))?,
        sections: terms.sections,
    };
    if rate.variant() != variant {
        return Err(StoreError::corrupt(format!("rate {:?}: its variant {variant:?}", rate.prefix)));
    }
    Ok(rate)
}

pub(crate) fn rate(
    db: &Connection,
    group: u32,
    prefix: &str,
    variant: &str,
) -> Result<Option<Rate>, StoreError> {
    let sql = format!("SELECT {RATE_COLUMNS} FROM rate WHERE group_id = ?1 AND prefix = ?2 AND variant = ?3");
    db.first(&sql, &[group.into(), prefix.into(), variant.into()], read_rate)
}

/// How many rates a prefix has.
fn times_of(db: &Connection, group: u32, prefix: &str) -> Result<u64, StoreError> {
    let sql = "SELECT COUNT(*) FROM rate WHERE group_id = ?1 AND prefix = ?2";
    Ok(db.first(sql, &[group.into(), prefix.into()], |row| row.unsigned(0))?.unwrap_or(0))
}

/// Rates of a group in the order of the sheet: those that begin with `prefix_starts`, after the one of this prefix and
/// variant.
pub(crate) fn rates(
    db: &Connection,
    group: u32,
    prefix_starts: &str,
    after: Option<(&str, &str)>,
    limit: usize,
) -> Result<Vec<Rate>, StoreError> {
    let sql = format!(
        "SELECT {RATE_COLUMNS} FROM rate
         WHERE group_id = ?1 AND prefix >= ?2 AND prefix LIKE ?3 ESCAPE '!'
           AND (?4 IS NULL OR (prefix, variant) > (?4, ?5))
         ORDER BY prefix, variant LIMIT ?6"
    );
    let pattern = format!("{}%", like_literal(prefix_starts));
    let (after, variant) = after.unzip();
    let from = after.filter(|a| *a > prefix_starts).unwrap_or(prefix_starts);
    let values =
        [group.into(), from.into(), pattern.into(), after.into(), variant.into(), Value::from(limit as u64)];
    db.rows(&sql, &values, read_rate)
}

/// Calls `each` for all rates of a group in order of their prefixes, without holding them.
pub(crate) fn each_rate(
    db: &Connection,
    group: u32,
    mut each: impl FnMut(Rate) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT {RATE_COLUMNS} FROM rate WHERE group_id = ?1 ORDER BY prefix, variant");
    db.each(&sql, &[group.into()], |row| each(read_rate(row)?))
}

/// Version of a group's rates in the view of this connection.
pub(crate) fn sheet_version(db: &Connection, group: u32) -> Result<u64, StoreError> {
    let found =
        db.first("SELECT version FROM rate_sheet WHERE group_id = ?1", &[group.into()], |r| r.unsigned(0))?;
    Ok(found.unwrap_or(0))
}
