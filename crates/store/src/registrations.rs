//! Registrations as the database keeps them: what the journal said last of each registrant, for the next start.

use crate::StoreError;
use crate::sql::Connection;
use switch::{Binding, Registered, Registrant};

fn key(who: Registrant) -> (&'static str, u32) {
    match who {
        Registrant::Phone(id) => ("phone", id),
        Registrant::MappingGateway(id) => ("mapping_gateway", id),
        Registrant::RoutingGateway(id) => ("routing_gateway", id),
    }
}

pub(crate) fn write(db: &Connection, registered: &Registered) -> Result<(), StoreError> {
    let (kind, id) = key(registered.who);
    if registered.bindings.is_empty() {
        let sql = "DELETE FROM registration WHERE kind = ?1 AND id = ?2";
        return db.run(sql, &[kind.into(), id.into()]).map(|_| ());
    }
    let body = serde_json::to_string(&registered.bindings)?;
    let sql = "INSERT INTO registration (kind, id, body) VALUES (?1, ?2, ?3)
               ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body";
    db.run(sql, &[kind.into(), id.into(), (&body).into()]).map(|_| ())
}

/// All of them. One that cannot be read is passed over: the device registers again, and nothing else hangs on it.
pub(crate) fn all(db: &Connection) -> Result<Vec<Registered>, StoreError> {
    let mut all = Vec::new();
    db.each("SELECT kind, id, body FROM registration ORDER BY kind, id", &[], |row| {
        let id = row.id(1)?;
        let who = match row.text(0)? {
            "phone" => Registrant::Phone(id),
            "mapping_gateway" => Registrant::MappingGateway(id),
            _ => Registrant::RoutingGateway(id),
        };
        match serde_json::from_str::<Vec<Binding>>(row.text(2)?) {
            Ok(bindings) => all.push(Registered { who, bindings }),
            Err(error) => tracing::warn!(?who, %error, "a registration cannot be read"),
        }
        Ok(())
    })?;
    Ok(all)
}
