//! Mapping gateways: trunks on the customers' side.

use super::{same_variants, unexpected};
use crate::body::Asked;
use crate::body::Body;
use crate::body::unique_keys;
use crate::documents;
use crate::grid::{Cell, Column, Direction, Grid};
use crate::listing;
use crate::listing::Page;
use crate::listing::list_query;
use crate::live::day::{acd_s, asr};
use crate::problem::Problem;
use crate::server::Answer;
use crate::server::Api;
use crate::server::{Inner, versioned};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use store::{Stored, config};
use switch::interface::Load;
use switch::{ControlReply, ControlRequest};
use utoipa::ToSchema;
use vocab::CallLevel;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    #[default]
    Ip,
    IpPort,
    Password,
}

/// Where the caller's number is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallerSource {
    #[default]
    From,
    Display,
    Asserted,
    RemoteParty,
    Preferred,
}

/// Where the called number is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CalledSource {
    #[default]
    RequestUri,
    To,
    Diversion,
}

/// Where responses go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplyAddress {
    #[default]
    Socket,
    ViaPort,
    Via,
}

/// Where our requests within a call go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestAddress {
    #[default]
    Socket,
    ContactPort,
    Contact,
}

/// What an operator decides about a mapping gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingGatewayInput {
    pub name: String,
    /// Who is billed for its calls.
    pub account: String,
    #[serde(default = "super::yes")]
    pub enabled: bool,
    #[serde(default)]
    pub authentication: Authentication,
    /// Addresses or CIDR blocks; `address:port` with ip-port.
    #[serde(default)]
    pub addresses: Vec<String>,
    #[serde(default)]
    pub username: Option<String>,
    /// Write only. Absent or `null`: stays as it is.
    #[serde(default, skip_serializing)]
    pub password: Option<String>,
    /// Takes calls to these prefixes only, where several gateways share an address.
    #[serde(default)]
    pub called_prefixes: Vec<String>,
    #[serde(default)]
    pub caller_source: CallerSource,
    #[serde(default)]
    pub called_source: CalledSource,
    /// What the caller wishes of privacy is kept for the way out.
    #[serde(default)]
    pub support_privacy: bool,
    /// Rules that change the caller's number, like `00:` or `025E11:8625`.
    #[serde(default)]
    pub caller_rewrite: Vec<String>,
    /// Rules that change the called number.
    #[serde(default)]
    pub called_rewrite: Vec<String>,
    #[serde(default)]
    pub reply_address: ReplyAddress,
    #[serde(default)]
    pub request_address: RequestAddress,
    #[serde(default)]
    pub max_cps: Option<u32>,
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    /// Rates of this trunk, which stand before those of the account.
    #[serde(default)]
    pub rate_group: Option<String>,
    /// The farthest destinations that it may call: `net`, `local`, `domestic` or `international`; `null`: any.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub call_level: Option<CallLevel>,
    /// Who may be called, when, and by which routing gateways.
    #[serde(default)]
    pub routing: config::CallerRouting,
    /// System parameters with a value of this gateway's own.
    #[serde(default, deserialize_with = "unique_keys")]
    pub parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub notes: String,
}

/// A trunk on the customer's side, with its load of this moment.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MappingGateway {
    pub id: String,
    pub name: String,
    pub account: String,
    pub enabled: bool,
    pub authentication: Authentication,
    pub addresses: Vec<String>,
    pub username: Option<String>,
    pub has_password: bool,
    pub called_prefixes: Vec<String>,
    pub caller_source: CallerSource,
    pub called_source: CalledSource,
    pub support_privacy: bool,
    pub caller_rewrite: Vec<String>,
    pub called_rewrite: Vec<String>,
    pub reply_address: ReplyAddress,
    pub request_address: RequestAddress,
    pub max_cps: Option<u32>,
    pub max_concurrency: Option<u32>,
    pub rate_group: Option<String>,
    #[schema(value_type = Option<String>)]
    pub call_level: Option<CallLevel>,
    pub routing: config::CallerRouting,
    pub parameters: BTreeMap<String, String>,
    pub notes: String,
    pub version: String,
    /// Calls in progress.
    pub calls: u32,
    pub cps: u32,
    /// Answered of a hundred attempts since the start of the switch, with one decimal.
    pub asr: Option<String>,
    /// Average length of an answered call since the start of the switch, in seconds.
    pub acd_s: Option<u64>,
}

list_query! {
    pub struct MappingGatewaysQuery {
        pub account: Option<String>,
        pub enabled: Option<bool>,
    }
}

/// Lists mapping gateways.
#[utoipa::path(get, path = "/mapping-gateways", tag = "mapping_gateways", params(MappingGatewaysQuery), responses((status = 200, body = Page<MappingGateway>)))]
pub(crate) async fn list_mapping_gateways(
    State(api): State<Api>,
    Asked(query): Asked<MappingGatewaysQuery>,
) -> Answer<Page<MappingGateway>> {
    let load = load(&api).await?;
    let config = api.store.config();
    let all = config.mapping_gateways.iter().map(|stored| view(stored, &load));
    let asked = query.list().with("account", query.account.as_ref()).with("enabled", query.enabled);
    listing::page(&GRID, all, |gateway| gateway, &asked).map(Json)
}

/// Creates a mapping gateway.
#[utoipa::path(post, path = "/mapping-gateways", tag = "mapping_gateways", request_body = MappingGatewayInput, responses((status = 201, body = MappingGateway, headers(("ETag" = String)))))]
pub(crate) async fn create_mapping_gateway(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<MappingGatewayInput>,
) -> Result<Response, Problem> {
    let stored = documents::create::<config::MappingGateway>(&api, caller, input.into()).await?;
    Ok(versioned(StatusCode::CREATED, stored.version, view(&stored, &load(&api).await.unwrap_or_default())))
}

/// Reads a mapping gateway, by id or name.
#[utoipa::path(get, path = "/mapping-gateways/{id}", tag = "mapping_gateways", params(("id" = String, Path, description = "Id or name")), responses((status = 200, body = MappingGateway, headers(("ETag" = String)))))]
pub(crate) async fn get_mapping_gateway(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = documents::find::<config::MappingGateway>(&api, &id)?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &load(&api).await?)))
}

/// Replaces a mapping gateway.
#[utoipa::path(put, path = "/mapping-gateways/{id}", tag = "mapping_gateways", params(("id" = String, Path, description = "Id or name"), ("If-Match" = String, Header, description = "The version that was read, in quotes")), request_body = MappingGatewayInput, responses((status = 200, body = MappingGateway, headers(("ETag" = String)))))]
pub(crate) async fn update_mapping_gateway(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<MappingGatewayInput>,
) -> Result<Response, Problem> {
    let stored =
        documents::replace::<config::MappingGateway>(&api, caller, &id, &headers, input.into()).await?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &load(&api).await.unwrap_or_default())))
}

/// Deletes a mapping gateway that nothing refers to.
#[utoipa::path(delete, path = "/mapping-gateways/{id}", tag = "mapping_gateways", params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "The version that was read, in quotes")), responses((status = 204)))]
pub(crate) async fn delete_mapping_gateway(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    documents::delete::<config::MappingGateway>(&api, caller, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

static GRID: Grid<MappingGateway> = Grid {
    columns: &[
        Column::text("name", |g| Cell::text(&g.name)),
        Column::plain("id", |g| Cell::maybe_number(g.id.parse::<u32>().ok())),
        Column::text("account", |g| Cell::text(&g.account)),
        Column::plain("enabled", |g| Cell::switch(g.enabled)),
        Column::plain("authentication", |g| Cell::text(g.authentication.key())),
        Column::text("addresses", |g| Cell::Text(g.addresses.join(", ").into())),
        Column::text("username", |g| Cell::maybe(g.username.as_deref())),
        Column::plain("max_cps", |g| Cell::maybe_number(g.max_cps)),
        Column::plain("max_concurrency", |g| Cell::maybe_number(g.max_concurrency)),
        Column::plain("calls", |g| Cell::number(g.calls)),
        Column::plain("cps", |g| Cell::number(g.cps)),
        Column::plain("asr", |g| {
            Cell::maybe_number(g.asr.as_ref().and_then(|a| a.replace('.', "").parse::<u32>().ok()))
        }),
        Column::plain("acd_s", |g| Cell::maybe_number(g.acd_s)),
        Column::text("notes", |g| Cell::text(&g.notes)),
    ],
    key: |g| g.id.parse().unwrap_or_default(),
    default_sort: &[("name", Direction::Asc)],
};

/// Load of all gateways of this side, by id.
async fn load(api: &Inner) -> Result<BTreeMap<u32, Load>, Problem> {
    match api.control(ControlRequest::GatewayLoad).await? {
        ControlReply::GatewayLoad { mapping, .. } => {
            Ok(mapping.into_iter().map(|(id, load)| (id.0, load)).collect())
        }
        other => Err(unexpected(&other)),
    }
}

impl Authentication {
    fn key(self) -> &'static str {
        match self {
            Authentication::Ip => "ip",
            Authentication::IpPort => "ip-port",
            Authentication::Password => "password",
        }
    }
}

fn view(stored: &Stored<config::MappingGateway>, load: &BTreeMap<u32, Load>) -> MappingGateway {
    let load = load.get(&stored.id).copied().unwrap_or_default();
    let document = stored.document.clone();
    MappingGateway {
        id: stored.id.to_string(),
        name: document.name,
        account: document.account,
        enabled: document.enabled,
        authentication: document.authentication.into(),
        addresses: document.addresses,
        username: document.username,
        has_password: document.secret.is_some(),
        called_prefixes: document.called_prefixes,
        caller_source: document.caller_source.into(),
        called_source: document.called_source.into(),
        support_privacy: document.support_privacy,
        caller_rewrite: document.caller_rewrite,
        called_rewrite: document.called_rewrite,
        reply_address: document.reply_address.into(),
        request_address: document.request_address.into(),
        max_cps: document.max_cps,
        max_concurrency: document.max_concurrency,
        rate_group: document.rate_group.clone(),
        call_level: document.call_level,
        routing: document.routing,
        parameters: document.parameters,
        notes: document.notes,
        version: stored.version.to_string(),
        calls: load.calls,
        cps: load.cps,
        asr: asr(load.attempts, load.answered),
        acd_s: acd_s(load.answered, load.talk_ms),
    }
}

impl From<MappingGatewayInput> for config::MappingGateway {
    fn from(input: MappingGatewayInput) -> config::MappingGateway {
        config::MappingGateway {
            name: input.name,
            account: input.account,
            enabled: input.enabled,
            authentication: input.authentication.into(),
            addresses: input.addresses,
            username: input.username,
            password: input.password.map(config::Password::new),
            secret: None,
            called_prefixes: input.called_prefixes,
            caller_source: input.caller_source.into(),
            called_source: input.called_source.into(),
            support_privacy: input.support_privacy,
            caller_rewrite: input.caller_rewrite,
            called_rewrite: input.called_rewrite,
            reply_address: input.reply_address.into(),
            request_address: input.request_address.into(),
            max_cps: input.max_cps,
            max_concurrency: input.max_concurrency,
            rate_group: input.rate_group,
            call_level: input.call_level,
            routing: input.routing,
            parameters: input.parameters,
            notes: input.notes,
        }
    }
}

same_variants!(Authentication, config::Authentication { Ip, IpPort, Password });
same_variants!(CallerSource, config::CallerSource { From, Display, Asserted, RemoteParty, Preferred });
same_variants!(CalledSource, config::CalledSource { RequestUri, To, Diversion });
same_variants!(ReplyAddress, vocab::leg::ReplyAddress { Socket, ViaPort, Via });
same_variants!(RequestAddress, vocab::leg::RequestAddress { Socket, ContactPort, Contact });
