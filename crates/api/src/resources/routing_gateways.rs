//! Routing gateways: trunks on the vendors' side.

use super::mapping_gateways::{ReplyAddress, RequestAddress};
use super::{same_variants, unexpected};
use crate::body::Asked;
use crate::body::Body;
use crate::body::unique_keys;
use crate::clock::Timestamp;
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
use switch::interface::{Load, VendorState};
use switch::vendors::{OnlineState, OutboundState};
use switch::{ControlReply, ControlRequest};
use utoipa::ToSchema;
use vocab::Price;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

/// What stands in a header that names the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimMode {
    #[default]
    None,
    Passthrough,
    Caller,
}

/// What stands in `Privacy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrivacyMode {
    #[default]
    None,
    Passthrough,
    Id,
}

/// How the numbers of a pool take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolOrder {
    #[default]
    Random,
    RoundRobin,
}

/// What an operator decides about a routing gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoutingGatewayInput {
    pub name: String,
    /// The vendor's clearing account.
    pub account: String,
    #[serde(default = "super::yes")]
    pub enabled: bool,
    /// `host:port`; the port may be left out. Empty for one that registers with us.
    #[schema(examples("192.0.2.10:5060"))]
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub transport: Transport,
    #[serde(default)]
    pub username: Option<String>,
    /// Write only. Absent or `null`: stays as it is.
    #[serde(default, skip_serializing)]
    pub password: Option<String>,
    /// It registers with us by `username` and `password`, and is called where it has registered.
    #[serde(default)]
    pub dynamic: bool,
    /// We register with it by `username` and `password`, at `address`.
    #[serde(default)]
    pub register: bool,
    /// Domain of that registration and of calls; `address` when absent.
    #[serde(default)]
    pub register_domain: Option<String>,
    /// The name in the digest, when it is not `username`.
    #[serde(default)]
    pub authentication_user: Option<String>,
    /// Seconds asked for, instead of `SS_SIP_USER_AGENT_EXPIRE`.
    #[serde(default)]
    pub register_expires: Option<u32>,
    /// Seconds between two OPTIONS that ask whether it is there; `null`: none are sent.
    #[serde(default)]
    pub check_interval: Option<u32>,
    /// Called prefixes that it takes; the empty prefix takes everything.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Lower is tried first.
    #[serde(default = "super::one")]
    pub priority: u32,
    #[serde(default)]
    pub max_cps: Option<u32>,
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    /// Statuses after which the next gateway is tried; `null`: by the table of end reasons.
    #[serde(default)]
    pub failover_codes: Option<Vec<u16>>,
    #[serde(default)]
    pub follow_redirects: bool,
    /// The caller's price less the cost may not be below this.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub lowest_profit_per_minute: Option<Price>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub max_price_per_minute: Option<Price>,
    /// Leave the gateway out when its account has no rate for the number.
    #[serde(default)]
    pub check_rate: bool,
    /// The vendor's rates for this trunk, which stand before those of its account.
    #[serde(default)]
    pub rate_group: Option<String>,
    /// Rules that change the caller's number, like `00:` or `025E11:8625`.
    #[serde(default)]
    pub caller_rewrite: Vec<String>,
    /// Rules that change the called number.
    #[serde(default)]
    pub called_rewrite: Vec<String>,
    /// The vendor charges for the number that it is sent, not for the one before these rules.
    #[serde(default)]
    pub rate_rewritten: bool,
    /// What stands in P-Asserted-Identity.
    #[serde(default)]
    pub asserted_identity: ClaimMode,
    /// What stands in P-Preferred-Identity.
    #[serde(default)]
    pub preferred_identity: ClaimMode,
    /// What stands in Remote-Party-ID.
    #[serde(default)]
    pub remote_party_id: ClaimMode,
    /// What stands in Privacy; with `id` the caller is anonymous in From.
    #[serde(default)]
    pub privacy: PrivacyMode,
    /// Rules that change the caller's number in P-Asserted-Identity.
    #[serde(default)]
    pub asserted_rewrite: Vec<String>,
    /// `SS_LOCAL_IP_DOMAIN` stands in From instead of our address.
    #[serde(default)]
    pub local_domain: bool,
    /// Headers of the caller's INVITE that are passed on; `*` is all.
    #[serde(default)]
    pub extra_headers: Vec<String>,
    /// Numbers of which one stands for the caller.
    #[serde(default)]
    pub caller_pool: Vec<String>,
    #[serde(default)]
    pub caller_pool_order: PoolOrder,
    /// Calls that may use one number of the pool at once; `null`: any number of calls.
    #[serde(default)]
    pub caller_pool_multiplexes: Option<u32>,
    /// What it takes, from whom and when, and how it stands among others.
    #[serde(default)]
    pub routing: config::GatewayRouting,
    #[serde(default)]
    pub reply_address: ReplyAddress,
    #[serde(default)]
    pub request_address: RequestAddress,
    /// System parameters with a value of this gateway's own.
    #[serde(default, deserialize_with = "unique_keys")]
    pub parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub notes: String,
}

/// A trunk on the vendor's side, with its load of this moment.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RoutingGateway {
    pub id: String,
    pub name: String,
    pub account: String,
    pub enabled: bool,
    pub address: String,
    pub transport: Transport,
    pub username: Option<String>,
    pub has_password: bool,
    pub dynamic: bool,
    pub register: bool,
    pub register_domain: Option<String>,
    pub authentication_user: Option<String>,
    pub register_expires: Option<u32>,
    pub check_interval: Option<u32>,
    pub prefixes: Vec<String>,
    pub priority: u32,
    pub max_cps: Option<u32>,
    pub max_concurrency: Option<u32>,
    pub failover_codes: Option<Vec<u16>>,
    pub follow_redirects: bool,
    #[schema(value_type = Option<String>)]
    pub lowest_profit_per_minute: Option<Price>,
    #[schema(value_type = Option<String>)]
    pub max_price_per_minute: Option<Price>,
    pub check_rate: bool,
    pub rate_group: Option<String>,
    pub caller_rewrite: Vec<String>,
    pub called_rewrite: Vec<String>,
    pub rate_rewritten: bool,
    pub asserted_identity: ClaimMode,
    pub preferred_identity: ClaimMode,
    pub remote_party_id: ClaimMode,
    pub privacy: PrivacyMode,
    pub asserted_rewrite: Vec<String>,
    pub local_domain: bool,
    pub extra_headers: Vec<String>,
    pub caller_pool: Vec<String>,
    pub caller_pool_order: PoolOrder,
    pub caller_pool_multiplexes: Option<u32>,
    pub routing: config::GatewayRouting,
    pub reply_address: ReplyAddress,
    pub request_address: RequestAddress,
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
    /// What OPTIONS say: `unchecked`, `unknown`, `online` or `offline`; an offline one gets no calls.
    pub online: String,
    pub last_answer_at: Option<Timestamp>,
    /// Our registration with it: `none`, `trying`, `registered` or `failed`.
    pub registration: String,
    /// Status and words of the last answer to it.
    pub registration_answer: Option<String>,
    pub registration_expires_in_s: Option<u32>,
    pub registration_retry_in_s: Option<u32>,
    /// Seconds for which it has asked to be left alone (Retry-After); 0: none.
    pub resting_s: u32,
}

list_query! {
    pub struct RoutingGatewaysQuery {
        pub account: Option<String>,
        pub enabled: Option<bool>,
        pub transport: Option<Transport>,
    }
}

/// Lists routing gateways.
#[utoipa::path(get, path = "/routing-gateways", tag = "routing_gateways", params(RoutingGatewaysQuery), responses((status = 200, body = Page<RoutingGateway>)))]
pub(crate) async fn list_routing_gateways(
    State(api): State<Api>,
    Asked(query): Asked<RoutingGatewaysQuery>,
) -> Answer<Page<RoutingGateway>> {
    let load = load(&api).await?;
    let config = api.store.config();
    let all = config.routing_gateways.iter().map(|stored| view(stored, &load));
    let asked = query
        .list()
        .with("account", query.account.as_ref())
        .with("enabled", query.enabled)
        .with("transport", query.transport.map(Transport::key));
    listing::page(&GRID, all, |gateway| gateway, &asked).map(Json)
}

/// Creates a routing gateway.
#[utoipa::path(post, path = "/routing-gateways", tag = "routing_gateways", request_body = RoutingGatewayInput, responses((status = 201, body = RoutingGateway, headers(("ETag" = String)))))]
pub(crate) async fn create_routing_gateway(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<RoutingGatewayInput>,
) -> Result<Response, Problem> {
    let stored = documents::create::<config::RoutingGateway>(&api, caller, input.into()).await?;
    Ok(versioned(StatusCode::CREATED, stored.version, view(&stored, &load(&api).await.unwrap_or_default())))
}

/// Reads a routing gateway, by id or name.
#[utoipa::path(get, path = "/routing-gateways/{id}", tag = "routing_gateways", params(("id" = String, Path, description = "Id or name")), responses((status = 200, body = RoutingGateway, headers(("ETag" = String)))))]
pub(crate) async fn get_routing_gateway(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = documents::find::<config::RoutingGateway>(&api, &id)?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &load(&api).await?)))
}

/// Replaces a routing gateway.
#[utoipa::path(put, path = "/routing-gateways/{id}", tag = "routing_gateways", params(("id" = String, Path, description = "Id or name"), ("If-Match" = String, Header, description = "The version that was read, in quotes")), request_body = RoutingGatewayInput, responses((status = 200, body = RoutingGateway, headers(("ETag" = String)))))]
pub(crate) async fn update_routing_gateway(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<RoutingGatewayInput>,
) -> Result<Response, Problem> {
    let stored =
        documents::replace::<config::RoutingGateway>(&api, caller, &id, &headers, input.into()).await?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &load(&api).await.unwrap_or_default())))
}

/// Deletes a routing gateway that nothing refers to.
#[utoipa::path(delete, path = "/routing-gateways/{id}", tag = "routing_gateways", params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "The version that was read, in quotes")), responses((status = 204)))]
pub(crate) async fn delete_routing_gateway(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    documents::delete::<config::RoutingGateway>(&api, caller, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

static GRID: Grid<RoutingGateway> = Grid {
    columns: &[
        Column::text("name", |g| Cell::text(&g.name)),
        Column::plain("id", |g| Cell::maybe_number(g.id.parse::<u32>().ok())),
        Column::text("account", |g| Cell::text(&g.account)),
        Column::plain("enabled", |g| Cell::switch(g.enabled)),
        Column::text("address", |g| Cell::text(&g.address)),
        Column::plain("transport", |g| Cell::text(g.transport.key())),
        Column::text("prefixes", |g| Cell::Text(g.prefixes.join(", ").into())),
        Column::plain("priority", |g| Cell::number(g.priority)),
        Column::plain("max_cps", |g| Cell::maybe_number(g.max_cps)),
        Column::plain("max_concurrency", |g| Cell::maybe_number(g.max_concurrency)),
        Column::plain("calls", |g| Cell::number(g.calls)),
        Column::plain("cps", |g| Cell::number(g.cps)),
        Column::plain("asr", |g| {
            Cell::maybe_number(g.asr.as_ref().and_then(|a| a.replace('.', "").parse::<u32>().ok()))
        }),
        Column::plain("online", |g| Cell::text(&g.online)),
        Column::plain("registration", |g| Cell::text(&g.registration)),
        Column::plain("acd_s", |g| Cell::maybe_number(g.acd_s)),
        Column::text("notes", |g| Cell::text(&g.notes)),
    ],
    key: |g| g.id.parse().unwrap_or_default(),
    default_sort: &[("priority", Direction::Asc), ("name", Direction::Asc)],
};

/// Load of all gateways of this side, by id.
async fn load(api: &Inner) -> Result<States, Problem> {
    match api.control(ControlRequest::GatewayLoad).await? {
        ControlReply::GatewayLoad { routing, vendors, .. } => {
            let mut all = States::default();
            routing.into_iter().for_each(|(id, load)| all.entry(id.0).or_default().0 = load);
            vendors.into_iter().for_each(|(id, state)| all.entry(id.0).or_default().1 = state);
            Ok(all)
        }
        other => Err(unexpected(&other)),
    }
}

impl Transport {
    fn key(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        }
    }
}

/// Load of each gateway, and what is known of it beside its calls.
type States = BTreeMap<u32, (Load, VendorState)>;

fn online_key(state: OnlineState) -> &'static str {
    match state {
        OnlineState::Unchecked => "unchecked",
        OnlineState::Unknown => "unknown",
        OnlineState::Online => "online",
        OnlineState::Offline => "offline",
    }
}

fn registration_key(state: OutboundState) -> &'static str {
    match state {
        OutboundState::NotWanted => "none",
        OutboundState::Trying => "trying",
        OutboundState::Registered => "registered",
        OutboundState::Failed => "failed",
    }
}

/// `403 Forbidden`, or only words when no answer came.
fn answer_of(state: &VendorState) -> Option<String> {
    let text = match state.status {
        0 => state.words.clone(),
        status => format!("{status} {}", state.words),
    };
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

fn view(stored: &Stored<config::RoutingGateway>, states: &States) -> RoutingGateway {
    let (load, state) = states.get(&stored.id).cloned().unwrap_or_default();
    let document = stored.document.clone();
    RoutingGateway {
        id: stored.id.to_string(),
        name: document.name,
        account: document.account,
        enabled: document.enabled,
        address: document.address,
        transport: document.transport.into(),
        username: document.username,
        has_password: document.sealed_password.is_some(),
        dynamic: document.dynamic,
        register: document.register,
        register_domain: document.register_domain,
        authentication_user: document.authentication_user,
        register_expires: document.register_expires,
        check_interval: document.check_interval,
        prefixes: document.prefixes,
        priority: document.priority,
        max_cps: document.max_cps,
        max_concurrency: document.max_concurrency,
        failover_codes: document.failover_codes,
        follow_redirects: document.follow_redirects,
        lowest_profit_per_minute: document.lowest_profit_per_minute,
        max_price_per_minute: document.max_price_per_minute,
        check_rate: document.check_rate,
        rate_group: document.rate_group.clone(),
        caller_rewrite: document.caller_rewrite,
        called_rewrite: document.called_rewrite,
        rate_rewritten: document.rate_rewritten,
        asserted_identity: document.asserted_identity.into(),
        preferred_identity: document.preferred_identity.into(),
        remote_party_id: document.remote_party_id.into(),
        privacy: document.privacy.into(),
        asserted_rewrite: document.asserted_rewrite,
        local_domain: document.local_domain,
        extra_headers: document.extra_headers,
        caller_pool: document.caller_pool,
        caller_pool_order: document.caller_pool_order.into(),
        caller_pool_multiplexes: document.caller_pool_multiplexes,
        routing: document.routing,
        reply_address: document.reply_address.into(),
        request_address: document.request_address.into(),
        parameters: document.parameters,
        notes: document.notes,
        version: stored.version.to_string(),
        calls: load.calls,
        cps: load.cps,
        asr: asr(load.attempts, load.answered),
        acd_s: acd_s(load.answered, load.talk_ms),
        online: online_key(state.online).to_owned(),
        last_answer_at: state.last_answer.map(Timestamp::from),
        registration: registration_key(state.registration).to_owned(),
        registration_answer: answer_of(&state),
        registration_expires_in_s: state.expires_in_s,
        registration_retry_in_s: state.retry_in_s,
        resting_s: load.resting_s,
    }
}

impl From<RoutingGatewayInput> for config::RoutingGateway {
    fn from(input: RoutingGatewayInput) -> config::RoutingGateway {
        config::RoutingGateway {
            name: input.name,
            account: input.account,
            enabled: input.enabled,
            address: input.address,
            transport: input.transport.into(),
            username: input.username,
            password: input.password.map(config::Password::new),
            sealed_password: None,
            dynamic: input.dynamic,
            secret: None,
            register: input.register,
            register_domain: input.register_domain.filter(|d| !d.is_empty()),
            authentication_user: input.authentication_user.filter(|u| !u.is_empty()),
            register_expires: input.register_expires,
            check_interval: input.check_interval.filter(|s| *s != 0),
            prefixes: input.prefixes,
            priority: input.priority,
            max_cps: input.max_cps,
            max_concurrency: input.max_concurrency,
            failover_codes: input.failover_codes,
            follow_redirects: input.follow_redirects,
            lowest_profit_per_minute: input.lowest_profit_per_minute,
            max_price_per_minute: input.max_price_per_minute,
            check_rate: input.check_rate,
            rate_group: input.rate_group,
            caller_rewrite: input.caller_rewrite,
            called_rewrite: input.called_rewrite,
            rate_rewritten: input.rate_rewritten,
            asserted_identity: input.asserted_identity.into(),
            preferred_identity: input.preferred_identity.into(),
            remote_party_id: input.remote_party_id.into(),
            privacy: input.privacy.into(),
            asserted_rewrite: input.asserted_rewrite,
            local_domain: input.local_domain,
            extra_headers: input.extra_headers,
            caller_pool: input.caller_pool,
            caller_pool_order: input.caller_pool_order.into(),
            caller_pool_multiplexes: input.caller_pool_multiplexes,
            routing: input.routing,
            reply_address: input.reply_address.into(),
            request_address: input.request_address.into(),
            parameters: input.parameters,
            notes: input.notes,
        }
    }
}

same_variants!(ClaimMode, vocab::identity::ClaimMode { None, Passthrough, Caller });
same_variants!(PrivacyMode, vocab::identity::PrivacyMode { None, Passthrough, Id });
same_variants!(PoolOrder, vocab::identity::PoolOrder { Random, RoundRobin });
same_variants!(Transport, vocab::Transport { Udp, Tcp, Tls, Ws, Wss });
