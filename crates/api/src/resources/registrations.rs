//! Who is registered with us at this moment: phones, and gateways that register.

use super::unexpected;
use crate::body::Asked;
use crate::clock::Timestamp;
use crate::grid::{Cell, Column, Direction, Grid};
use crate::listing::{self, Page, list_query};
use crate::problem::Problem;
use crate::server::{Answer, Api, Inner};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use switch::interface::RegistrationState;
use switch::{Binding, ControlReply, ControlRequest, Registrant};
use utoipa::ToSchema;

/// A registrant with its contacts.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Registration {
    /// Like `phone:7`.
    pub id: String,
    /// `phone`, `mapping_gateway` or `routing_gateway`.
    pub kind: String,
    /// The phone's number, or the gateway's name.
    pub name: String,
    /// Calls in progress.
    pub calls: u32,
    /// The best first.
    pub contacts: Vec<Contact>,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Contact {
    /// As the device wrote it.
    pub uri: String,
    /// Preference among several, 0 to 1.
    pub q: String,
    /// Where its REGISTER came from.
    pub source: String,
    pub transport: String,
    pub behind_nat: bool,
    pub user_agent: Option<String>,
    pub path: Vec<String>,
    pub registered_at: Timestamp,
    pub renewed_at: Timestamp,
    pub expires_at: Timestamp,
}

list_query! {
    pub struct RegistrationsQuery {
        pub kind: Option<String>,
    }
}

/// Lists registrations.
#[utoipa::path(get, path = "/registrations", tag = "phones", params(RegistrationsQuery), responses((status = 200, body = Page<Registration>)))]
pub(crate) async fn list_registrations(
    State(api): State<Api>,
    Asked(query): Asked<RegistrationsQuery>,
) -> Answer<Page<Registration>> {
    let all = states(&api).await?;
    let shown = all.iter().filter(|r| !r.bindings.is_empty()).map(registration_of);
    let asked = query.list().with("kind", query.kind.as_ref());
    listing::page(&GRID, shown, |registration| registration, &asked).map(Json)
}

/// Reads a registration, by id or by the phone's number or the gateway's name.
#[utoipa::path(get, path = "/registrations/{id}", tag = "phones", params(("id" = String, Path, description = "Id, number or name")), responses((status = 200, body = Registration)))]
pub(crate) async fn get_registration(State(api): State<Api>, Path(id): Path<String>) -> Answer<Registration> {
    Ok(Json(registration_of(&find(&api, &id).await?)))
}

/// Takes a registration away. The device may register again.
#[utoipa::path(delete, path = "/registrations/{id}", tag = "phones", params(("id" = String, Path, description = "Id, number or name")), responses((status = 204)))]
pub(crate) async fn delete_registration(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let found = find(&api, &id).await?;
    match api.control(ControlRequest::Unregister(found.who)).await? {
        ControlReply::Done => Ok(StatusCode::NO_CONTENT),
        _ => Err(Problem::not_found("registration", &id)),
    }
}

async fn find(api: &Inner, key: &str) -> Result<RegistrationState, Problem> {
    let all = states(api).await?;
    let found = all.into_iter().find(|r| !r.bindings.is_empty() && (id_of(r.who) == key || *r.name == *key));
    found.ok_or_else(|| Problem::not_found("registration", key))
}

async fn states(api: &Inner) -> Result<Vec<RegistrationState>, Problem> {
    match api.control(ControlRequest::Registrations).await? {
        ControlReply::Registrations { list, .. } => Ok(list),
        other => Err(unexpected(&other)),
    }
}

/// How the ways to devices behind NAT are kept open.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct KeepAlive {
    /// Devices of the last round that began.
    pub devices: u32,
    /// Since the start of the process.
    pub sent: u64,
    pub rounds: u64,
    /// Rounds that could not reach every device in their period.
    pub short_rounds: u64,
    /// Devices that the last round did not reach. An alarm while it is not 0: more in one batch, or a longer period.
    pub shortfall: u32,
    pub alarm: bool,
}

/// Reads how keeping devices behind NAT reachable goes.
#[utoipa::path(get, path = "/keep-alive", tag = "phones", responses((status = 200, body = KeepAlive)))]
pub(crate) async fn get_keep_alive(State(api): State<Api>) -> Answer<KeepAlive> {
    match api.control(ControlRequest::Registrations).await? {
        ControlReply::Registrations { keep_alive: c, .. } => Ok(Json(KeepAlive {
            devices: c.devices,
            sent: c.sent,
            rounds: c.rounds,
            short_rounds: c.short_rounds,
            shortfall: c.shortfall,
            alarm: c.shortfall != 0,
        })),
        other => Err(unexpected(&other)),
    }
}

static GRID: Grid<Registration> = Grid {
    columns: &[
        Column::text("name", |r| Cell::text(&r.name)),
        Column::plain("kind", |r| Cell::text(&r.kind)),
        Column::plain("calls", |r| Cell::number(r.calls)),
        Column::text("id", |r| Cell::text(&r.id)),
        Column::text("contacts", |r| {
            let all: Vec<&str> = r.contacts.iter().map(|c| c.uri.as_str()).collect();
            Cell::Text(all.join(", ").into())
        }),
        Column::text("source", |r| {
            let all: Vec<&str> = r.contacts.iter().map(|c| c.source.as_str()).collect();
            Cell::Text(all.join(", ").into())
        }),
    ],
    key: |r| {
        let number = |id: &str| id.rsplit(':').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let kind = match r.kind.as_str() {
            "phone" => 0,
            "mapping_gateway" => 1,
            _ => 2,
        };
        kind << 40 | number(&r.id)
    },
    default_sort: &[("name", Direction::Asc)],
};

fn parts(who: Registrant) -> (&'static str, u32) {
    match who {
        Registrant::Phone(id) => ("phone", id),
        Registrant::MappingGateway(id) => ("mapping_gateway", id),
        Registrant::RoutingGateway(id) => ("routing_gateway", id),
    }
}

fn id_of(who: Registrant) -> String {
    let (kind, id) = parts(who);
    format!("{kind}:{id}")
}

pub(crate) fn registration_of(state: &RegistrationState) -> Registration {
    let mut contacts: Vec<&Binding> = state.bindings.iter().collect();
    contacts.sort_by_key(|b| std::cmp::Reverse(b.q));
    Registration {
        id: id_of(state.who),
        kind: parts(state.who).0.to_owned(),
        name: state.name.to_string(),
        calls: state.calls,
        contacts: contacts.into_iter().map(contact_of).collect(),
    }
}

fn contact_of(binding: &Binding) -> Contact {
    Contact {
        uri: binding.uri.clone(),
        q: format!("{}.{:03}", binding.q / 1000, binding.q % 1000),
        source: binding.flow.remote.to_string(),
        transport: binding.flow.transport.to_string(),
        behind_nat: binding.behind_nat,
        user_agent: binding.user_agent.clone(),
        path: binding.path.clone(),
        registered_at: binding.since.into(),
        renewed_at: binding.renewed.into(),
        expires_at: binding.expires.into(),
    }
}
