//! Changes of the configuration: every one is written to the database and to a draft of [`Config`] in step, within
//! the transaction that [`crate::Store`] holds open.

use crate::config::{
    Account, Config, Document, MappingGateway, Rate, RateGroup, RoutingGateway, Secrets, Sheet, Stored,
    check_parameters, check_rate, refers_to,
};
use crate::sql::{Connection, Row, Value, crc, like_literal};
use crate::{ChangeError, Problem, StoreError};
use std::collections::HashSet;
use std::sync::Arc;

pub(crate) struct Edit<'a> {
    db: &'a Connection,
    pub config: &'a mut Config,
    secrets: &'a Secrets,
    by: &'a str,
    at: i64,
    changed: bool,
}

impl<'a> Edit<'a> {
    pub fn new(
        db: &'a Connection,
        config: &'a mut Config,
        secrets: &'a Secrets,
        by: &'a str,
        at: i64,
    ) -> Edit<'a> {
        Edit { db, config, secrets, by, at, changed: false }
    }

    /// The whole configuration as it is stored.
    pub fn load(db: &Connection, realm: Arc<str>) -> Result<Config, StoreError> {
        let mut config = Config { realm, ..Config::default() };
        load_table::<Account>(db, &mut config)?;
        load_table::<RateGroup>(db, &mut config)?;
        load_table::<MappingGateway>(db, &mut config)?;
        load_table::<RoutingGateway>(db, &mut config)?;
        db.each("SELECT name, body, crc FROM parameter ORDER BY name", &[], |row| {
            row.verify(2)?;
            config.parameters.insert(row.text(0)?.to_string(), row.text(1)?.to_string());
            Ok(())
        })?;
        let params = check_parameters(&config.parameters);
        config.params = Arc::new(params.map_err(|problems| {
            StoreError::corrupt(problems.first().map_or_else(String::new, Problem::to_string))
        })?);
        db.each("SELECT group_id, version, amount FROM rate_sheet", &[], |row| {
            config.sheets.insert(row.id(0)?, Sheet { version: row.unsigned(1)?, count: row.unsigned(2)? });
            Ok(())
        })?;
        let version =
            db.first("SELECT amount FROM counter WHERE name = 'version'", &[], |row| row.unsigned(0))?;
        config.version = version.unwrap_or(0);
        Ok(config)
    }

    /// Ends the change; a new version number if anything was changed.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        if self.changed {
            self.config.version = self.count_up("version")?;
        }
        Ok(())
    }

    fn count_up(&self, counter: &str) -> Result<u64, StoreError> {
        let sql = "INSERT INTO counter (name, amount) VALUES (?1, 1)
                   ON CONFLICT (name) DO UPDATE SET amount = counter.amount + 1";
        self.db.run(sql, &[counter.into()])?;
        let sql = "SELECT amount FROM counter WHERE name = ?1";
        self.db
            .first(sql, &[counter.into()], |row| row.unsigned(0))?
            .ok_or_else(|| StoreError::corrupt("no counter"))
    }

    pub fn put<T: Document>(
        &mut self,
        id: Option<u32>,
        expected_version: Option<u64>,
        document: T,
    ) -> Result<Arc<Stored<T>>, ChangeError> {
        let before = match id {
            Some(id) => Some(self.existing::<T>(id, expected_version)?),
            None => None,
        };
        let after = self.stage(before.as_ref(), document)?;
        let problems = after.document.validate(after.id, self.config);
        if !problems.is_empty() {
            return Err(problems.into());
        }
        self.write(before.as_ref(), &after)?;
        Ok(after)
    }

    fn existing<T: Document>(
        &self,
        id: u32,
        expected_version: Option<u64>,
    ) -> Result<Arc<Stored<T>>, ChangeError> {
        let stored = T::table(self.config).get(id).cloned().ok_or(ChangeError::NotFound)?;
        match expected_version {
            Some(version) if version != stored.version => {
                Err(ChangeError::Conflict { current_version: stored.version })
            }
            _ => Ok(stored),
        }
    }

    /// Puts a document into the draft, so that others can be checked against it. Nothing is written yet, and a
    /// document that is the same as before stays what it is.
    pub fn stage<T: Document>(
        &mut self,
        before: Option<&Arc<Stored<T>>>,
        mut document: T,
    ) -> Result<Arc<Stored<T>>, ChangeError> {
        let mut problems = document.prepare(before.map(|b| &b.document), self.secrets);
        let taken =
            T::table(self.config).named(document.name()).is_some_and(|s| Some(s.id) != before.map(|b| b.id));
        if taken {
            problems
                .push(Problem::new("name", format!("there is a {} {:?} already", T::TITLE, document.name())));
        }
        if let Some(before) = before {
            self.check_currency(before, &document, &mut problems)?;
        }
        if !problems.is_empty() {
            return Err(problems.into());
        }
        let stored = match before {
            Some(before) if before.document == document => return Ok(before.clone()),
            Some(before) => Stored { id: before.id, version: before.version + 1, document },
            None => {
                let id = self.count_up(T::KIND)?;
                let id = u32::try_from(id).map_err(|_| StoreError::corrupt("no ids are left"))?;
                Stored { id, version: 1, document }
            }
        };
        let stored = Arc::new(stored);
        T::table_mut(self.config).put(stored.clone());
        Ok(stored)
    }

    /// Money in a book has one currency for good.
    fn check_currency<T: Document>(
        &self,
        before: &Stored<T>,
        after: &T,
        problems: &mut Vec<Problem>,
    ) -> Result<(), StoreError> {
        let (Some(old), Some(new)) = (before.document.currency(), after.currency()) else { return Ok(()) };
        if old != new && self.has_money(before.id)? {
            let words = format!("cannot change from {old} to {new}: the account has postings");
            problems.push(Problem::new("currency", words));
        }
        Ok(())
    }

    fn has_money(&self, account: u32) -> Result<bool, StoreError> {
        let book = format!("account:{account}");
        let entries =
            self.db.first("SELECT 1 FROM ledger_entry WHERE book = ?1", &[book.into()], |_| Ok(()))?;
        let sql = "SELECT 1 FROM pending_payment WHERE account_id = ?1";
        let pending = self.db.first(sql, &[account.into()], |_| Ok(()))?;
        Ok(entries.is_some() || pending.is_some())
    }

    /// Writes a staged document, and follows its change of name in those that refer to it.
    pub fn write<T: Document>(
        &mut self,
        before: Option<&Arc<Stored<T>>>,
        after: &Arc<Stored<T>>,
    ) -> Result<(), StoreError> {
        if before.is_some_and(|b| b.version == after.version) {
            return Ok(());
        }
        self.write_row(T::KIND, after.id, after.version, after.document.name(), &after.document)?;
        if before.is_none()
            && let Some(amount) = after.document.opening_balance()
        {
            self.order_opening(after.id, after.document.name(), amount)?;
        }
        if let Some(before) = before.filter(|b| b.document.name() != after.document.name()) {
            let (old, new) = (before.document.name(), after.document.name());
            self.rename_in::<Account>(T::KIND, old, new)?;
            self.rename_in::<MappingGateway>(T::KIND, old, new)?;
            self.rename_in::<RoutingGateway>(T::KIND, old, new)?;
        }
        Ok(())
    }

    fn write_row(
        &mut self,
        kind: &str,
        id: u32,
        version: u64,
        name: &str,
        document: &impl serde::Serialize,
    ) -> Result<(), StoreError> {
        let body = serde_json::to_string(document)?;
        let mut row = vec![kind.into(), id.into(), version.into(), Value::from(&body), name.into()];
        row.push(crc(&row));
        self.db.run(
            "INSERT INTO document (kind, id, version, body, name, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, body = excluded.body,
               name = excluded.name, crc = excluded.crc",
            &row,
        )?;
        self.write_history(kind, id, version, Some(&body))
    }

    fn write_history(
        &mut self,
        kind: &str,
        id: u32,
        version: u64,
        body: Option<&String>,
    ) -> Result<(), StoreError> {
        self.changed = true;
        let row = [kind.into(), id.into(), version.into(), body.into(), self.at.into(), self.by.into()];
        let sql = "INSERT INTO document_history (kind, id, version, body, changed_at, changed_by)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.db.run(sql, &row).map(|_| ())
    }

    fn rename_in<T: Document>(&mut self, kind: &str, old: &str, new: &str) -> Result<(), StoreError> {
        let users: Vec<_> =
            T::table(self.config).iter().filter(|s| refers_to(&s.document, kind, old)).cloned().collect();
        for user in users {
            let mut changed = (*user).clone();
            changed.version += 1;
            for reference in changed.document.references() {
                if reference.kind == kind && reference.name == old {
                    *reference.name = new.to_string();
                }
            }
            let name = changed.document.name().to_string();
            self.write_row(T::KIND, changed.id, changed.version, &name, &changed.document)?;
            T::table_mut(self.config).put(Arc::new(changed));
        }
        Ok(())
    }

    /// Notes the opening balance as a payment to be made by the brain. It is crossed out when the posting arrives,
    /// so that a crash in between neither loses nor repeats it.
    fn order_opening(&self, account: u32, name: &str, amount: vocab::Money) -> Result<(), StoreError> {
        let mut key = format!("opening:{name}");
        let used = "SELECT 1 FROM posting WHERE posting_key = ?1
                    UNION ALL SELECT 1 FROM pending_payment WHERE posting_key = ?1";
        // An older account had this name and was renamed.
        if self.db.first(used, &[Value::from(&key)], |_| Ok(()))?.is_some() {
            key = format!("{key}#{account}");
        }
        let mut row = vec![key.into(), account.into(), amount.to_string().into(), self.by.into()];
        row.extend([crc(&row), self.at.into()]);
        let sql = "INSERT INTO pending_payment (posting_key, account_id, amount, ordered_by, crc, ordered_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.db.run(sql, &row).map(|_| ())
    }

    pub fn delete<T: Document>(&mut self, id: u32, expected_version: Option<u64>) -> Result<(), ChangeError> {
        let stored = self.existing::<T>(id, expected_version)?;
        let mut by = self.config.references_to(T::KIND, stored.document.name());
        if T::KIND == Account::KIND && self.has_money(id)? {
            by.push("its ledger".to_string());
        }
        if !by.is_empty() {
            return Err(ChangeError::Referenced { by });
        }
        if T::KIND == RateGroup::KIND {
            self.db.run("DELETE FROM rate WHERE group_id = ?1", &[id.into()])?;
            self.db.run("DELETE FROM rate_sheet WHERE group_id = ?1", &[id.into()])?;
            self.config.sheets.remove(&id);
        }
        self.db.run("DELETE FROM document WHERE kind = ?1 AND id = ?2", &[T::KIND.into(), id.into()])?;
        self.write_history(T::KIND, id, stored.version + 1, None)?;
        T::table_mut(self.config).remove(id);
        Ok(())
    }

    pub fn put_rate(&mut self, group: u32, rate: &Rate) -> Result<(), ChangeError> {
        self.existing::<RateGroup>(group, None)?;
        if let Some(problem) = check_rate(rate) {
            return Err(vec![problem].into());
        }
        let before = self::rate(self.db, group, &rate.prefix)?;
        if before.as_ref() == Some(rate) {
            return Ok(());
        }
        self.write_rate(group, rate)?;
        Ok(self.count_rates(group, if before.is_none() { 1 } else { 0 })?)
    }

    pub fn delete_rate(&mut self, group: u32, prefix: &str) -> Result<(), ChangeError> {
        self.existing::<RateGroup>(group, None)?;
        if self.remove_rate(group, prefix)? == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(self.count_rates(group, -1)?)
    }

    fn remove_rate(&self, group: u32, prefix: &str) -> Result<usize, StoreError> {
        self.db.run("DELETE FROM rate WHERE group_id = ?1 AND prefix = ?2", &[group.into(), prefix.into()])
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
        rates.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        let changes = differences(self.db, group, rates)?;
        let mut count = 0;
        for change in &changes {
            match change {
                RateChange { after: Some(rate), before } => {
                    self.write_rate(group, rate)?;
                    count += i64::from(before.is_none());
                }
                RateChange { after: None, before: Some(rate) } => {
                    self.remove_rate(group, &rate.prefix)?;
                    count -= 1;
                }
                RateChange { after: None, before: None } => {}
            }
        }
        if !changes.is_empty() {
            self.count_rates(group, count)?;
        }
        Ok(changes)
    }

    fn write_rate(&self, group: u32, rate: &Rate) -> Result<(), StoreError> {
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
        ];
        row.push(crc(&row));
        let sql = "INSERT INTO rate (group_id, prefix, area, price_per_minute, first_period, cycle, first_period_price,
                                     connection_fee, minimum_charge, free_seconds, locked, crc)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                   ON CONFLICT (group_id, prefix) DO UPDATE SET area = excluded.area,
                     price_per_minute = excluded.price_per_minute, first_period = excluded.first_period,
                     cycle = excluded.cycle, first_period_price = excluded.first_period_price,
                     connection_fee = excluded.connection_fee, minimum_charge = excluded.minimum_charge,
                     free_seconds = excluded.free_seconds, locked = excluded.locked,
                     crc = excluded.crc";
        self.db.run(sql, &row).map(|_| ())
    }

    /// A new version of the group's rates, with so many more.
    fn count_rates(&mut self, group: u32, more: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO rate_sheet (group_id, version, amount) VALUES (?1, 1, ?2)
                   ON CONFLICT (group_id) DO UPDATE SET version = rate_sheet.version + 1, amount = rate_sheet.amount + ?2";
        self.db.run(sql, &[group.into(), more.into()])?;
        let sql = "SELECT version, amount FROM rate_sheet WHERE group_id = ?1";
        let sheet = self.db.first(sql, &[group.into()], |row| {
            Ok(Sheet { version: row.unsigned(0)?, count: row.unsigned(1)? })
        })?;
        self.config.sheets.insert(group, sheet.unwrap_or_default());
        self.changed = true;
        Ok(())
    }

    pub fn set_parameter(&mut self, name: &str, value: &str) -> Result<(), ChangeError> {
        let known = params::find(name).map_or(name, |spec| spec.name).to_string();
        let mut values = self.config.parameters.clone();
        values.insert(known.clone(), value.trim().to_string());
        let params = check_parameters(&values)?;
        // Stored as the table writes it, so that "on" and "On" are the same.
        let text = params.get(&known).unwrap_or_default();
        let default = params::find(&known).map(|spec| spec.default_text());
        let wanted = (default.as_ref() != Some(&text)).then_some(text);
        if self.config.parameters.get(&known) == wanted.as_ref() {
            return Ok(());
        }
        match wanted {
            Some(text) => {
                let mut row = vec![Value::from(&known), Value::from(&text)];
                row.extend([crc(&row), self.at.into(), self.by.into()]);
                let sql = "INSERT INTO parameter (name, body, crc, changed_at, changed_by) VALUES (?1, ?2, ?3, ?4, ?5)
                           ON CONFLICT (name) DO UPDATE SET body = excluded.body, crc = excluded.crc,
                             changed_at = excluded.changed_at,
                             changed_by = excluded.changed_by";
                self.db.run(sql, &row)?;
                self.config.parameters.insert(known, text);
            }
            None => {
                self.db.run("DELETE FROM parameter WHERE name = ?1", &[Value::from(&known)])?;
                self.config.parameters.remove(&known);
            }
        }
        self.config.params = Arc::new(params);
        self.changed = true;
        Ok(())
    }
}

fn load_table<T: Document>(db: &Connection, config: &mut Config) -> Result<(), StoreError> {
    let table = T::table_mut(config);
    let sql = "SELECT kind, id, version, body, name, crc FROM document WHERE kind = ?1 ORDER BY id";
    db.each(sql, &[T::KIND.into()], |row| {
        row.verify(5)?;
        let id = row.id(1)?;
        let document = serde_json::from_str(row.text(3)?)
            .map_err(|e| StoreError::corrupt(format!("{} {id}: {e}", T::TITLE)))?;
        table.put(Arc::new(Stored { id, version: row.unsigned(2)?, document }));
        Ok(())
    })
}

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
    let found = rates.iter().enumerate().filter_map(|(i, rate)| {
        let mut problem = check_rate(rate).or_else(|| {
            let twice = format!("{:?} stands here twice", rate.prefix);
            (!seen.insert(rate.prefix.as_str())).then(|| Problem::new("prefix", twice))
        })?;
        problem.field = format!("rates[{i}].{}", problem.field);
        Some(problem)
    });
    found.take(MAX_PROBLEMS).collect()
}

/// Goes through stored and new rates side by side, both in order of their prefixes.
fn differences(db: &Connection, group: u32, sorted: Vec<Rate>) -> Result<Vec<RateChange>, StoreError> {
    let mut changes = Vec::new();
    let mut wanted = sorted.into_iter().peekable();
    let sql = format!("SELECT {RATE_COLUMNS} FROM rate WHERE group_id = ?1 ORDER BY prefix");
    db.each(&sql, &[group.into()], |row| {
        let old = read_rate(row)?;
        while let Some(new) = wanted.next_if(|r| r.prefix < old.prefix) {
            changes.push(RateChange { before: None, after: Some(new) });
        }
        match wanted.next_if(|r| r.prefix == old.prefix) {
            Some(new) if new == old => {}
            after => changes.push(RateChange { before: Some(old), after }),
        }
        Ok(())
    })?;
    changes.extend(wanted.map(|new| RateChange { before: None, after: Some(new) }));
    Ok(changes)
}

const RATE_COLUMNS: &str =
    "group_id, prefix, area, price_per_minute, first_period, cycle, first_period_price, connection_fee,
    minimum_charge, free_seconds, locked, crc";

fn read_rate(row: &Row<'_>) -> Result<Rate, StoreError> {
    row.verify(11)?;
    Ok(Rate {
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
    })
}

pub(crate) fn rate(db: &Connection, group: u32, prefix: &str) -> Result<Option<Rate>, StoreError> {
    let sql = format!("SELECT {RATE_COLUMNS} FROM rate WHERE group_id = ?1 AND prefix = ?2");
    db.first(&sql, &[group.into(), prefix.into()], read_rate)
}

pub(crate) fn rates(
    db: &Connection,
    group: u32,
    prefix_starts: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Rate>, StoreError> {
    let sql = format!(
        "SELECT {RATE_COLUMNS} FROM rate
         WHERE group_id = ?1 AND prefix >= ?2 AND prefix LIKE ?3 ESCAPE '!' AND (?4 IS NULL OR prefix > ?4)
         ORDER BY prefix LIMIT ?5"
    );
    let pattern = format!("{}%", like_literal(prefix_starts));
    let from = after.filter(|a| *a > prefix_starts).unwrap_or(prefix_starts);
    let values = [group.into(), from.into(), pattern.into(), after.into(), Value::from(limit as u64)];
    db.rows(&sql, &values, read_rate)
}

/// Calls `each` for all rates of a group in order of their prefixes, without holding them.
pub(crate) fn each_rate(
    db: &Connection,
    group: u32,
    mut each: impl FnMut(Rate) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT {RATE_COLUMNS} FROM rate WHERE group_id = ?1 ORDER BY prefix");
    db.each(&sql, &[group.into()], |row| each(read_rate(row)?))
}

/// Version of a group's rates in the view of this connection.
pub(crate) fn sheet_version(db: &Connection, group: u32) -> Result<u64, StoreError> {
    let found =
        db.first("SELECT version FROM rate_sheet WHERE group_id = ?1", &[group.into()], |r| r.unsigned(0))?;
    Ok(found.unwrap_or(0))
}
