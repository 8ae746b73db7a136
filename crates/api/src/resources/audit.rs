//! The audit log: who changed what, from where (`SEC-9`). It can be read, not changed.

use crate::body::Asked;
use crate::clock::Timestamp;
use crate::listing::{Page, list_query};
use crate::problem::Problem;
use crate::server::{Answer, Api};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use store::AuditFilter;
use utoipa::ToSchema;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AuditEntry {
    pub seq: String,
    pub at: Timestamp,
    pub author: String,
    /// Address that the request came from; empty: the switch itself.
    pub source: String,
    /// `create`, `update`, `delete`, `pay`, `disconnect`, `sign_in`, `sign_in_refused`.
    pub action: String,
    /// `account`, `mapping_gateway`, `rates`, `parameter`, `user`, …
    pub kind: String,
    pub object: String,
    /// As it was, with secrets hidden.
    pub before: Option<Value>,
    /// As it became.
    pub after: Option<Value>,
}

list_query! {
    pub struct AuditQuery {
        pub author: Option<String>,
        pub kind: Option<String>,
        pub object: Option<String>,
        pub action: Option<String>,
        /// At or after.
        pub from: Option<Timestamp>,
        /// Before.
        pub to: Option<Timestamp>,
    }
}

/// Lists what was done, the newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = Page<AuditEntry>)))]
pub(crate) async fn list_audit(
    State(api): State<Api>,
    Asked(query): Asked<AuditQuery>,
) -> Answer<Page<AuditEntry>> {
    let asked = query.list();
    asked.only_sort("-seq")?;
    let limit = asked.limit()?;
    if asked.q.is_some() {
        return Err(Problem::field(
            "q",
            "the log cannot be searched; filter by author, kind, object or action",
        ));
    }
    let filter = AuditFilter {
        author: query.author,
        kind: query.kind,
        object: query.object,
        action: query.action,
        from: query.from.map(|t| t.0),
        to: query.to.map(|t| t.0),
    };
    let page = api.store(move |store| store.audit(&filter, asked.cursor.as_deref(), limit)).await?;
    let items = page.items.into_iter().map(view).collect();
    Ok(Json(Page { items, next_cursor: page.next, total: None }))
}

fn view(entry: store::AuditEntry) -> AuditEntry {
    let json = |text: Option<String>| text.map(|t| serde_json::from_str(&t).unwrap_or(Value::String(t)));
    AuditEntry {
        seq: entry.seq.to_string(),
        at: entry.at.into(),
        author: entry.author,
        source: entry.source,
        action: entry.action,
        kind: entry.kind,
        object: entry.object,
        before: json(entry.before),
        after: json(entry.after),
    }
}
