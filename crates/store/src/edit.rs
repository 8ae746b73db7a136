//! Changes of the configuration: every one is written to the database and to a draft of [`Config`] in step, within
//! the transaction that [`crate::Store`] holds open.

use crate::audit::{self, Author, Deed};
use crate::changes;
use crate::changes::Item;
use crate::config::{
    Account, Config, Document, NumberList, RateGroup, Secrets, Sheet, Stored, check_parameters, each_kind,
    refers_to,
};
use crate::sql::{Connection, Value, crc};
use crate::{ChangeError, Problem, StoreError};
use std::sync::Arc;

pub(crate) struct Edit<'a> {
    pub(crate) db: &'a Connection,
    pub config: &'a mut Config,
    secrets: &'a Secrets,
    by: &'a Author,
    at: i64,
    changed: bool,
    /// What is different, for the list of changes.
    items: Vec<Item>,
    /// The change that this one takes back.
    undoes: Option<u64>,
}

impl<'a> Edit<'a> {
    pub fn new(
        db: &'a Connection,
        config: &'a mut Config,
        secrets: &'a Secrets,
        by: &'a Author,
        at: i64,
    ) -> Edit<'a> {
        Edit { db, config, secrets, by, at, changed: false, items: Vec::new(), undoes: None }
    }

    /// The whole configuration as it is stored.
    pub fn load(db: &Connection, realm: Arc<str>) -> Result<Config, StoreError> {
        let mut config = Config { realm, ..Config::default() };
        each_kind!(T => load_table::<T>(db, &mut config)?);
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
        db.each("SELECT list_id, version, amount FROM number_list_sheet", &[], |row| {
            let sheet = Sheet { version: row.unsigned(1)?, count: row.unsigned(2)? };
            config.list_sheets.insert(row.id(0)?, sheet);
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
            changes::write(self.db, self.config.version, self.by, self.at, self.undoes, &self.items)?;
        }
        Ok(())
    }

    /// Says which change this one takes back.
    pub(crate) fn undoing(&mut self, change: u64) {
        self.undoes = Some(change);
    }

    /// Notes a difference for the list of changes.
    pub(crate) fn differs(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Something was changed besides documents.
    pub(crate) fn changed(&mut self) {
        self.changed = true;
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

    pub(crate) fn existing<T: Document>(
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

    pub(crate) fn has_money(&self, account: u32) -> Result<bool, StoreError> {
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
            each_kind!(U => self.rename_in::<U>(T::KIND, old, new)?);
        }
        Ok(())
    }

    pub(crate) fn write_row(
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
        self.write_history(kind, id, version, name, Some(&body))
    }

    fn write_history(
        &mut self,
        kind: &str,
        id: u32,
        version: u64,
        name: &str,
        body: Option<&String>,
    ) -> Result<(), StoreError> {
        self.changed = true;
        let sql =
            "SELECT body FROM document_history WHERE kind = ?1 AND id = ?2 ORDER BY version DESC LIMIT 1";
        let before = self
            .db
            .first(sql, &[kind.into(), id.into()], |row| Ok(row.optional_text(0)?.map(str::to_string)))?;
        let action = match (&before, body) {
            (_, None) => "delete",
            (None, Some(_)) => "create",
            (Some(_), Some(_)) => "update",
        };
        let before = before.flatten();
        let after = body.map(String::as_str);
        self.audit(&Deed { action, kind, object: name, before: before.as_deref(), after })?;
        self.differs(Item {
            kind: kind.to_string(),
            id,
            name: name.to_string(),
            before,
            after: after.map(str::to_string),
        });
        let by = Value::from(&self.by.name);
        let row = [kind.into(), id.into(), version.into(), body.into(), self.at.into(), by];
        let sql = "INSERT INTO document_history (kind, id, version, body, changed_at, changed_by)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.db.run(sql, &row).map(|_| ())
    }

    pub(crate) fn audit(&self, deed: &Deed<'_>) -> Result<(), StoreError> {
        audit::write(self.db, self.by, self.at, deed)
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
        let mut row = vec![key.into(), account.into(), amount.to_string().into(), Value::from(&self.by.name)];
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
        if T::KIND == NumberList::KIND {
            self.forget_list(id, stored.document.name())?;
        }
        if T::KIND == RateGroup::KIND {
            self.empty_group(id, stored.document.name())?;
        }
        self.remove_row(T::KIND, id, stored.version + 1, stored.document.name())?;
        T::table_mut(self.config).remove(id);
        Ok(())
    }

    pub(crate) fn remove_row(
        &mut self,
        kind: &str,
        id: u32,
        version: u64,
        name: &str,
    ) -> Result<(), StoreError> {
        self.db.run("DELETE FROM document WHERE kind = ?1 AND id = ?2", &[kind.into(), id.into()])?;
        self.write_history(kind, id, version, name, None)
    }

    /// The last version of a document, gone or not.
    pub(crate) fn last_version(&self, kind: &str, id: u32) -> Result<u64, StoreError> {
        let sql = "SELECT MAX(version) FROM document_history WHERE kind = ?1 AND id = ?2";
        let found = self.db.first(sql, &[kind.into(), id.into()], |row| row.optional_unsigned(0))?;
        Ok(found.flatten().unwrap_or(0))
    }

    /// A new version of the group's rates, with so many more.
    pub(crate) fn count_rates(&mut self, group: u32, more: i64) -> Result<(), StoreError> {
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
        let json = |value: Option<&String>| value.map(|v| serde_json::Value::from(v.as_str()).to_string());
        let (before, after) = (json(self.config.parameters.get(&known)), json(wanted.as_ref()));
        let (before, after) = (before.as_deref(), after.as_deref());
        self.audit(&Deed { action: "update", kind: changes::PARAMETER, object: &known, before, after })?;
        self.differs(Item {
            kind: changes::PARAMETER.to_string(),
            id: 0,
            name: known.clone(),
            before: self.config.parameters.get(&known).cloned(),
            after: wanted.clone(),
        });
        match wanted {
            Some(text) => {
                let mut row = vec![Value::from(&known), Value::from(&text)];
                row.extend([crc(&row), self.at.into(), Value::from(&self.by.name)]);
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
