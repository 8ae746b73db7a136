//! Reading requests strictly: unknown fields, duplicate keys and wrong types are refused with the field's name.

use crate::problem::{FieldProblem, Problem};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::time::Duration;

/// Largest body of most requests.
pub(crate) const SMALL: usize = 1 << 20;
/// Largest body of requests that carry whole files or rate sheets.
pub(crate) const LARGE: usize = 64 << 20;
/// A body that takes longer to arrive is given up (`R-75`).
const ARRIVAL: Duration = Duration::from_secs(60);

/// A JSON body of at most `MAX` bytes.
pub(crate) struct Body<T, const MAX: usize = SMALL>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for Body<T, MAX> {
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &S) -> Result<Body<T, MAX>, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON: send Content-Type: application/json.",
            ));
        }
        DefaultBodyLimit::max(MAX).apply(&mut request);
        let arriving = tokio::time::timeout(ARRIVAL, Bytes::from_request(request, state)).await;
        let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The body took too long to arrive.");
        let bytes = arriving.map_err(slow)?.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("The body is larger than {MAX} bytes."))
            }
            _ => Problem::new(StatusCode::BAD_REQUEST, "The body did not arrive whole."),
        })?;
        parse(&bytes).map(Body)
    }
}

/// A file as text, of at most [`LARGE`] bytes, whatever its content type.
pub(crate) struct TextFile(pub String);

impl<S: Send + Sync> FromRequest<S> for TextFile {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<TextFile, Problem> {
        let arriving = tokio::time::timeout(ARRIVAL, axum::body::to_bytes(request.into_body(), LARGE)).await;
        let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The file took too long to arrive.");
        let bytes = arriving.map_err(slow)?.map_err(|_| {
            let words = format!("The file did not arrive whole, or is larger than {LARGE} bytes.");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, words)
        })?;
        let text = String::from_utf8(bytes.into()).map_err(|e| {
            let before = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            let problem = FieldProblem::new("", "not UTF-8 text");
            Problem::fields(vec![FieldProblem { line: u32::try_from(line).ok(), ..problem }])
        })?;
        Ok(TextFile(text))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Text that is no JSON is 400; JSON that does not fit is 422 with the field.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => refused(&path, &inner.to_string()),
            _ => Problem::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {inner}.")),
        }
    })?;
    json.end().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {e}.")))?;
    Ok(value)
}

/// Says which field is meant. For unknown, missing and duplicate fields serde names it only in its message.
fn refused(path: &str, message: &str) -> Problem {
    let message = message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split_once('`'))
        .map(|(name, _)| name);
    let path = if path == "." { "" } else { path };
    let field = match named {
        Some(name) if path.is_empty() || path == name => name.to_string(),
        Some(name) if path.ends_with(&format!(".{name}")) => path.to_string(),
        Some(name) => format!("{path}.{name}"),
        None => path.to_string(),
    };
    let message: String = message.chars().take(400).collect();
    Problem::fields(vec![FieldProblem::new(field.chars().take(200).collect::<String>(), message)])
}

/// The query of the address.
pub(crate) struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked<T>, Problem> {
        Query::<T>::try_from_uri(&parts.uri).map(|Query(asked)| Asked(asked)).map_err(|rejection| {
            let text = rejection.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            let (path, message) = match text.split_once(": ") {
                Some((path, message)) if !path.contains(' ') => (path, message),
                _ => ("", text),
            };
            refused(path, message)
        })
    }
}

/// A map in which a key may stand once only; serde's own maps let the last one win.
pub(crate) fn unique_keys<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Unique;
    impl<'de> Visitor<'de> for Unique {
        type Value = BTreeMap<String, String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of names and texts")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut out = BTreeMap::new();
            while let Some(key) = map.next_key::<String>()? {
                if out.contains_key(&key) {
                    return Err(serde::de::Error::custom(format!("duplicate field `{key}`")));
                }
                out.insert(key, map.next_value()?);
            }
            Ok(out)
        }
    }
    d.deserialize_map(Unique)
}
