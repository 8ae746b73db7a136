//! Phones: numbers of users of ours, with their registrations of this moment.

use super::registrations::{Registration, registration_of};
use super::unexpected;
use crate::body::{Asked, Body, unique_keys};
use crate::documents;
use crate::grid::{Cell, Column, Direction, Grid};
use crate::listing::{self, Page, list_query};
use crate::problem::Problem;
use crate::server::{Answer, Api, Inner, versioned};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{Stored, config};
use switch::interface::RegistrationState;
use switch::{ControlReply, ControlRequest, Registrant};
use utoipa::ToSchema;
use vocab::CallLevel;

/// What an operator decides about a phone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PhoneInput {
    /// Digits. What is called, and what the phone registers.
    pub number: String,
    /// Who pays for its calls, and for those that it forwards.
    pub account: String,
    #[serde(default = "super::yes")]
    pub enabled: bool,
    /// The name in the digest; the number when absent.
    #[serde(default)]
    pub username: Option<String>,
    /// Write only. Absent or `null`: stays as it is.
    #[serde(default, skip_serializing)]
    pub password: Option<String>,
    /// Shown to those whom it calls; the number when absent.
    #[serde(default)]
    pub display_number: Option<String>,
    /// Calls from and to it at once.
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    /// Devices that may be registered at once.
    #[serde(default = "five")]
    pub max_contacts: u32,
    /// Prefixes that it may call; empty: all.
    #[serde(default)]
    pub allowed_destinations: Vec<String>,
    #[serde(default)]
    pub forward_always: Option<String>,
    #[serde(default)]
    pub forward_busy: Option<String>,
    #[serde(default)]
    pub forward_no_answer: Option<String>,
    #[serde(default)]
    pub forward_not_reachable: Option<String>,
    /// Seconds that it rings.
    #[serde(default)]
    pub ring_seconds: Option<u32>,
    /// Callers hear busy, or what `forward_busy` says.
    #[serde(default)]
    pub do_not_disturb: bool,
    /// Rates of this phone, which stand before those of the account.
    #[serde(default)]
    pub rate_group: Option<String>,
    /// The farthest destinations that it may call: `net`, `local`, `domestic` or `international`; `null`: any.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub call_level: Option<CallLevel>,
    /// System parameters with a value of this phone's own.
    #[serde(default, deserialize_with = "unique_keys")]
    pub parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub notes: String,
}

fn five() -> u32 {
    5
}

/// A phone, with what is registered and how many calls it is in.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Phone {
    pub id: String,
    pub number: String,
    pub account: String,
    pub enabled: bool,
    pub username: Option<String>,
    pub has_password: bool,
    pub display_number: Option<String>,
    pub max_concurrency: Option<u32>,
    pub max_contacts: u32,
    pub allowed_destinations: Vec<String>,
    pub forward_always: Option<String>,
    pub forward_busy: Option<String>,
    pub forward_no_answer: Option<String>,
    pub forward_not_reachable: Option<String>,
    pub ring_seconds: Option<u32>,
    pub do_not_disturb: bool,
    pub rate_group: Option<String>,
    #[schema(value_type = Option<String>)]
    pub call_level: Option<CallLevel>,
    pub parameters: BTreeMap<String, String>,
    pub notes: String,
    pub version: String,
    /// At least one device is registered.
    pub online: bool,
    /// Calls in progress, while it is registered.
    pub calls: u32,
    pub registration: Option<Registration>,
}

list_query! {
    pub struct PhonesQuery {
        pub account: Option<String>,
        pub enabled: Option<bool>,
        pub online: Option<bool>,
    }
}

/// Lists phones.
#[utoipa::path(get, path = "/phones", tag = "phones", params(PhonesQuery), responses((status = 200, body = Page<Phone>)))]
pub(crate) async fn list_phones(
    State(api): State<Api>,
    Asked(query): Asked<PhonesQuery>,
) -> Answer<Page<Phone>> {
    let states = states(&api).await?;
    let config = api.store.config();
    let all = config.phones.iter().map(|stored| view(stored, &states));
    let asked = query
        .list()
        .with("account", query.account.as_ref())
        .with("enabled", query.enabled)
        .with("online", query.online);
    listing::page(&GRID, all, |phone| phone, &asked).map(Json)
}

/// Creates a phone.
#[utoipa::path(post, path = "/phones", tag = "phones", request_body = PhoneInput, responses((status = 201, body = Phone, headers(("ETag" = String)))))]
pub(crate) async fn create_phone(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<PhoneInput>,
) -> Result<Response, Problem> {
    let stored = documents::create::<config::Phone>(&api, caller, input.into()).await?;
    Ok(versioned(StatusCode::CREATED, stored.version, view(&stored, &states(&api).await.unwrap_or_default())))
}

/// Reads a phone, by number or id.
#[utoipa::path(get, path = "/phones/{id}", tag = "phones", params(("id" = String, Path, description = "Number or id")), responses((status = 200, body = Phone, headers(("ETag" = String)))))]
pub(crate) async fn get_phone(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let stored = documents::find::<config::Phone>(&api, &id)?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &states(&api).await?)))
}

/// Replaces a phone.
#[utoipa::path(put, path = "/phones/{id}", tag = "phones", params(("id" = String, Path, description = "Number or id"), ("If-Match" = String, Header, description = "The version that was read, in quotes")), request_body = PhoneInput, responses((status = 200, body = Phone, headers(("ETag" = String)))))]
pub(crate) async fn update_phone(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<PhoneInput>,
) -> Result<Response, Problem> {
    let stored = documents::replace::<config::Phone>(&api, caller, &id, &headers, input.into()).await?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &states(&api).await.unwrap_or_default())))
}

/// Deletes a phone.
#[utoipa::path(delete, path = "/phones/{id}", tag = "phones", params(("id" = String, Path, description = "Number or id"), ("If-Match" = Option<String>, Header, description = "The version that was read, in quotes")), responses((status = 204)))]
pub(crate) async fn delete_phone(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    documents::delete::<config::Phone>(&api, caller, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

static GRID: Grid<Phone> = Grid {
    columns: &[
        Column::text("number", |p| Cell::text(&p.number)),
        Column::plain("id", |p| Cell::maybe_number(p.id.parse::<u32>().ok())),
        Column::text("account", |p| Cell::text(&p.account)),
        Column::plain("enabled", |p| Cell::switch(p.enabled)),
        Column::plain("online", |p| Cell::switch(p.online)),
        Column::text("username", |p| Cell::maybe(p.username.as_deref())),
        Column::text("display_number", |p| Cell::maybe(p.display_number.as_deref())),
        Column::plain("max_concurrency", |p| Cell::maybe_number(p.max_concurrency)),
        Column::plain("calls", |p| Cell::number(p.calls)),
        Column::plain("do_not_disturb", |p| Cell::switch(p.do_not_disturb)),
        Column::text("notes", |p| Cell::text(&p.notes)),
    ],
    key: |p| p.id.parse().unwrap_or_default(),
    default_sort: &[("number", Direction::Asc)],
};

type States = BTreeMap<Registrant, RegistrationState>;

async fn states(api: &Inner) -> Result<States, Problem> {
    match api.control(ControlRequest::Registrations).await? {
        ControlReply::Registrations { list, .. } => Ok(list.into_iter().map(|r| (r.who, r)).collect()),
        other => Err(unexpected(&other)),
    }
}

fn view(stored: &Stored<config::Phone>, states: &States) -> Phone {
    let state = states.get(&Registrant::Phone(stored.id));
    let document = stored.document.clone();
    Phone {
        id: stored.id.to_string(),
        number: document.number,
        account: document.account,
        enabled: document.enabled,
        username: document.username,
        has_password: document.secret.is_some(),
        display_number: document.display_number,
        max_concurrency: document.max_concurrency,
        max_contacts: document.max_contacts,
        allowed_destinations: document.allowed_destinations,
        forward_always: document.forward_always,
        forward_busy: document.forward_busy,
        forward_no_answer: document.forward_no_answer,
        forward_not_reachable: document.forward_not_reachable,
        ring_seconds: document.ring_seconds,
        do_not_disturb: document.do_not_disturb,
        rate_group: document.rate_group,
        call_level: document.call_level,
        parameters: document.parameters,
        notes: document.notes,
        version: stored.version.to_string(),
        online: state.is_some_and(|s| !s.bindings.is_empty()),
        calls: state.map_or(0, |s| s.calls),
        registration: state.map(registration_of),
    }
}

impl From<PhoneInput> for config::Phone {
    fn from(input: PhoneInput) -> config::Phone {
        let given = |text: Option<String>| text.filter(|t| !t.is_empty());
        config::Phone {
            number: input.number,
            account: input.account,
            enabled: input.enabled,
            username: given(input.username),
            password: input.password.map(config::Password::new),
            secret: None,
            display_number: given(input.display_number),
            max_concurrency: input.max_concurrency,
            max_contacts: input.max_contacts,
            allowed_destinations: input.allowed_destinations,
            forward_always: given(input.forward_always),
            forward_busy: given(input.forward_busy),
            forward_no_answer: given(input.forward_no_answer),
            forward_not_reachable: given(input.forward_not_reachable),
            ring_seconds: input.ring_seconds,
            do_not_disturb: input.do_not_disturb,
            rate_group: input.rate_group,
            call_level: input.call_level,
            parameters: input.parameters,
            notes: input.notes,
        }
    }
}
