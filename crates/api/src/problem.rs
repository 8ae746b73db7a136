//! The one form of every refusal: `application/problem+json` (RFC 9457) with the fields at fault.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was refused, and which fields are to be changed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Problem {
    /// Always "about:blank": the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Stands in the log of the switch beside what happened; quote it when you ask for help.
    pub request_id: String,
    pub errors: Vec<FieldProblem>,
}

/// What is wrong with one field, or with one place in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Path of the field, like `account` or `parameters.SS_MAX_CPS`; empty when the whole is meant.
    pub field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    pub message: String,
}

impl FieldProblem {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> FieldProblem {
        FieldProblem { field: field.into(), message: message.into(), ..FieldProblem::default() }
    }
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Refused").to_string(),
            status: status.as_u16(),
            detail: detail.into(),
            request_id: String::new(),
            errors: Vec::new(),
        }
    }

    /// One field is wrong: 422, and the detail is a whole sentence by itself.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem::fields(vec![FieldProblem::new(field, message)])
    }

    pub fn fields(errors: Vec<FieldProblem>) -> Problem {
        let detail = match errors.first() {
            Some(first) if first.field.is_empty() => first.message.clone(),
            Some(first) => format!("{}: {}", first.field, first.message),
            None => "The request cannot be carried out.".to_string(),
        };
        Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    pub fn with_status(self, status: StatusCode) -> Problem {
        Problem {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Refused").to_string(),
            ..self
        }
    }

    pub fn not_found(what: &str, name: &str) -> Problem {
        let name: String = name.chars().take(80).collect();
        Problem::new(StatusCode::NOT_FOUND, format!("There is no {what} {name:?}."))
    }

    /// Our own fault: the log says what, the answer only its number.
    pub fn internal(cause: impl std::fmt::Display) -> Problem {
        tracing::error!(%cause, "request failed");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The switch failed to carry this out; its log says why.",
        )
    }
}

/// The body is written by `server::finish`, which knows the request's number.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The answer with its body, once the request's number is known.
pub(crate) fn write(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, axum::Json(problem)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
