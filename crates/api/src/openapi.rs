//! The OpenAPI document, generated from the code.

use crate::problem::Problem;
use crate::resources;
use crate::resources::live::{LiveCommand, LiveError, LiveFrame, LiveTotals};
use crate::server::Api;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

pub(crate) const PREFIX: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(
    info(title = "Tandem", description = "Ids, 64-bit numbers, money and prices are texts. Times are RFC 3339, UTC."),
    components(schemas(Problem, LiveCommand, LiveFrame, LiveTotals, LiveError)),
    security(("token" = []), ("cookie" = [])),
    modifiers(&Common)
)]
struct Document;

/// What all operations share: the problem as every other answer, and the ways to sign in.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("tandem_session"));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

/// The routes below `/api/v1`, and the document about them.
pub(crate) fn router_and_document() -> (axum::Router<Api>, utoipa::openapi::OpenApi) {
    let (router, mut document) =
        OpenApiRouter::with_openapi(Document::openapi()).nest(PREFIX, resources::routes()).split_for_parts();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let problem = ResponseBuilder::new()
                .description("Refused")
                .content(
                    "application/problem+json",
                    Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem")))),
                )
                .build();
            operation.responses.responses.insert("default".to_string(), RefOr::T(problem));
        }
    }
    (router, document)
}

/// The document as it is kept in `openapi.json`.
pub fn openapi_json() -> String {
    text(&router_and_document().1)
}

pub(crate) fn text(document: &utoipa::openapi::OpenApi) -> String {
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
