//! Gateway groups.

use super::unexpected;
use crate::body::{Asked, Body};
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
use serde::Serialize;
use std::collections::BTreeMap;
use store::{Stored, config};
use switch::interface::Load;
use switch::{ControlReply, ControlRequest};
use utoipa::ToSchema;

/// A gateway group as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct GatewayGroup {
    pub id: String,
    #[serde(flatten)]
    pub document: config::GatewayGroup,
    pub version: String,
    /// Calls in progress on its gateways.
    pub calls: u32,
    pub cps: u32,
}

list_query! {
    pub struct GatewayGroupsQuery {}
}

/// Lists gateway groups.
#[utoipa::path(get, path = "/gateway-groups", tag = "gateway_groups", params(GatewayGroupsQuery), responses((status = 200, body = Page<GatewayGroup>)))]
pub(crate) async fn list_gateway_groups(
    State(api): State<Api>,
    Asked(query): Asked<GatewayGroupsQuery>,
) -> Answer<Page<GatewayGroup>> {
    let known = known(&api).await?;
    let config = api.store.config();
    let all = config.gateway_groups.iter().map(|stored| view(stored, &known));
    listing::page(&GRID, all, |row| row, &query.list()).map(Json)
}

/// Creates a gateway group.
#[utoipa::path(post, path = "/gateway-groups", tag = "gateway_groups", request_body = config::GatewayGroup, responses((status = 201, body = GatewayGroup, headers(("ETag" = String)))))]
pub(crate) async fn create_gateway_group(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<config::GatewayGroup>,
) -> Result<Response, Problem> {
    let stored = documents::create(&api, caller, input).await?;
    let known = known(&api).await.unwrap_or_default();
    Ok(versioned(StatusCode::CREATED, stored.version, view(&stored, &known)))
}

/// Reads a gateway group, by id or name.
#[utoipa::path(get, path = "/gateway-groups/{id}", tag = "gateway_groups", params(("id" = String, Path, description = "Id or name")), responses((status = 200, body = GatewayGroup, headers(("ETag" = String)))))]
pub(crate) async fn get_gateway_group(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = documents::find::<config::GatewayGroup>(&api, &id)?;
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &known(&api).await?)))
}

/// Replaces a gateway group.
#[utoipa::path(put, path = "/gateway-groups/{id}", tag = "gateway_groups", params(("id" = String, Path, description = "Id or name"), ("If-Match" = String, Header, description = "The version that was read, in quotes")), request_body = config::GatewayGroup, responses((status = 200, body = GatewayGroup, headers(("ETag" = String)))))]
pub(crate) async fn update_gateway_group(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<config::GatewayGroup>,
) -> Result<Response, Problem> {
    let stored = documents::replace(&api, caller, &id, &headers, input).await?;
    let known = known(&api).await.unwrap_or_default();
    Ok(versioned(StatusCode::OK, stored.version, view(&stored, &known)))
}

/// Deletes a gateway group that nothing refers to.
#[utoipa::path(delete, path = "/gateway-groups/{id}", tag = "gateway_groups", params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "The version that was read, in quotes")), responses((status = 204)))]
pub(crate) async fn delete_gateway_group(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    documents::delete::<config::GatewayGroup>(&api, caller, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

static GRID: Grid<GatewayGroup> = Grid {
    columns: &[
        Column::text("name", |row| Cell::text(&row.document.name)),
        Column::plain("id", |row| Cell::maybe_number(row.id.parse::<u32>().ok())),
        Column::plain("max_concurrency", |row| Cell::maybe_number(row.document.max_concurrency)),
        Column::plain("max_cps", |row| Cell::maybe_number(row.document.max_cps)),
        Column::plain("calls", |row| Cell::number(row.calls)),
        Column::plain("cps", |row| Cell::number(row.cps)),
        Column::text("notes", |row| Cell::text(&row.document.notes)),
    ],
    key: |row| row.id.parse().unwrap_or_default(),
    default_sort: &[("name", Direction::Asc)],
};

type Known = BTreeMap<u32, Load>;

/// Load of the groups, by id.
async fn known(api: &Inner) -> Result<Known, Problem> {
    match api.control(ControlRequest::GatewayLoad).await? {
        ControlReply::GatewayLoad { groups, .. } => {
            Ok(groups.into_iter().map(|(id, load)| (id.0, load)).collect())
        }
        other => Err(unexpected(&other)),
    }
}

fn view(stored: &Stored<config::GatewayGroup>, known: &Known) -> GatewayGroup {
    let load = known.get(&stored.id).copied().unwrap_or_default();
    GatewayGroup {
        id: stored.id.to_string(),
        document: stored.document.clone(),
        version: stored.version.to_string(),
        calls: load.calls,
        cps: load.cps,
    }
}
