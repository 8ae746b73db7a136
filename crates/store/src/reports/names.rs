//! Names of what sums know by number, also of what is deleted since; and numbers of what filters name.

use crate::config::{Account, Config, MappingGateway, RoutingGateway};
use crate::sql::Connection;
use crate::{ChangeError, Document, Problem, StoreError};
use std::collections::HashMap;

/// Names by kind and number, looked up once each.
pub(super) struct Names<'a> {
    db: &'a Connection,
    config: &'a Config,
    known: HashMap<(&'static str, u32), String>,
}

impl<'a> Names<'a> {
    pub fn new(db: &'a Connection, config: &'a Config) -> Names<'a> {
        Names { db, config, known: HashMap::new() }
    }

    pub fn account(&mut self, id: u32) -> Result<String, StoreError> {
        self.of::<Account>(id)
    }

    pub fn mapping_gateway(&mut self, id: u32) -> Result<String, StoreError> {
        self.of::<MappingGateway>(id)
    }

    pub fn routing_gateway(&mut self, id: u32) -> Result<String, StoreError> {
        self.of::<RoutingGateway>(id)
    }

    fn of<T: Document>(&mut self, id: u32) -> Result<String, StoreError> {
        if id == 0 {
            return Ok(String::new());
        }
        if let Some(name) = self.known.get(&(T::KIND, id)) {
            return Ok(name.clone());
        }
        let name = match T::table(self.config).get(id) {
            Some(stored) => stored.document.name().to_string(),
            None => format!("#{id} {}", self.late(T::KIND, id)?).trim_end().to_string(),
        };
        self.known.insert((T::KIND, id), name.clone());
        Ok(name)
    }

    /// The last name of a document that is gone.
    fn late(&self, kind: &str, id: u32) -> Result<String, StoreError> {
        let sql = "SELECT body FROM document_history WHERE kind = ?1 AND id = ?2 AND body IS NOT NULL
                   ORDER BY version DESC LIMIT 1";
        let body = self.db.first(sql, &[kind.into(), id.into()], |row| Ok(row.text(0)?.to_string()))?;
        let body: Option<serde_json::Value> = body.and_then(|text| serde_json::from_str(&text).ok());
        Ok(body.and_then(|b| b["name"].as_str().map(str::to_string)).unwrap_or_default())
    }
}

/// The number of the document that a filter names.
pub(super) fn number_of<T: Document>(config: &Config, field: &str, key: &str) -> Result<u32, ChangeError> {
    T::table(config).find(key).map(|stored| stored.id).ok_or_else(|| {
        ChangeError::Invalid(vec![Problem::new(field, format!("there is no {} {key:?}", T::TITLE))])
    })
}
