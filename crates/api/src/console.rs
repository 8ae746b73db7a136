//! The console's files, built into the program.
//!
//! Only the packed form of each file is kept. Names of assets carry a hash of their contents, so they may be kept for
//! ever by browsers; the page that names them is asked for anew each time.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::io::Read;

#[derive(RustEmbed)]
#[folder = "../../console/dist"]
#[include = "*.gz"]
#[allow_missing = true]
struct Files;

const INDEX: &str = "index.html";
/// Shown when the program was built without the console.
const NOTICE: &str = include_str!("notice.html");

/// Largest unpacked file; ours are far smaller.
const LARGEST: u64 = 32 << 20;

pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { INDEX } else { path };
    match Files::get(&format!("{path}.gz")) {
        Some(file) => respond(path, &file, &headers),
        // A page of the console: the browser's part of it knows which. A name with a dot is a file, and missing.
        None if !path.contains('.') || path == INDEX => index(&headers),
        None => (StatusCode::NOT_FOUND, "There is no such file.").into_response(),
    }
}

fn index(headers: &HeaderMap) -> Response {
    match Files::get(&format!("{INDEX}.gz")) {
        Some(file) => respond(INDEX, &file, headers),
        None => {
            let no_cache = (header::CACHE_CONTROL, "no-cache");
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), no_cache], NOTICE).into_response()
        }
    }
}

fn respond(path: &str, file: &EmbeddedFile, asked: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", crate::token::hex(&file.metadata.sha256_hash()));
    let known = asked.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let mut response =
        if known.is_some_and(|k| k.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            body(file, asked)
        };
    let forever = path.starts_with("assets/");
    let cache = if forever { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn body(file: &EmbeddedFile, asked: &HeaderMap) -> Response {
    let encodings = asked.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if encodings.split(',').any(|e| e.trim().split(';').next() == Some("gzip")) {
        return ([(header::CONTENT_ENCODING, "gzip")], file.data.to_vec()).into_response();
    }
    let mut plain = Vec::new();
    match GzDecoder::new(file.data.as_ref()).take(LARGEST).read_to_end(&mut plain) {
        Ok(_) => plain.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}
