//! The client of the API: where the running switch is, and one request at a time.

use super::{ClientArgs, Failure};
use crate::folder;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    pub fn new(args: &ClientArgs) -> Result<Client, Failure> {
        let data = args.data.clone().unwrap_or_else(default_folder);
        let base = match &args.api {
            Some(api) => api.clone(),
            None => folder::running(&data).map_err(Failure::new)?.api,
        };
        let token = args.token.clone().or_else(|| folder::read_token(&data).ok());
        Ok(Client::at(&base, token))
    }

    /// Of the switch that runs on this folder.
    pub fn local(data: &Path) -> Result<Client, Failure> {
        let token = folder::read_token(data).ok();
        Ok(Client::at(&folder::running(data).map_err(Failure::new)?.api, token))
    }

    fn at(base: &str, token: Option<String>) -> Client {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(120)))
            .proxy(None)
            .build();
        Client { agent: agent.into(), base: with_scheme(base), token }
    }

    pub fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        json(&self.get_text(path, query)?)
    }

    pub fn get_text(&self, path: &str, query: &[(&str, String)]) -> Result<String, Failure> {
        let request = self.agent.get(self.url(path)).query_pairs(query.iter().map(|(k, v)| (*k, v.as_str())));
        self.finish(self.authorised(request).call())
    }

    /// A file.
    pub fn get_bytes(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<u8>, Failure> {
        let request = self.agent.get(self.url(path)).query_pairs(query.iter().map(|(k, v)| (*k, v.as_str())));
        self.finish_bytes(self.authorised(request).call())
    }

    /// POST or PUT.
    pub fn send(&self, method: &str, path: &str, body: &Value, key: Option<&str>) -> Result<Value, Failure> {
        let url = self.url(path);
        let request = if method == "PUT" { self.agent.put(url) } else { self.agent.post(url) };
        let mut request = self.authorised(request).header("X-Tandem", "1");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        json(&self.finish(request.send_json(body))?)
    }

    pub fn delete(&self, path: &str) -> Result<(), Failure> {
        let request = self.authorised(self.agent.delete(self.url(path))).header("X-Tandem", "1");
        self.finish(request.call()).map(|_| ())
    }

    /// POSTs a file as it is.
    pub fn send_file(&self, path: &str, query: &[(&str, String)], file: &[u8]) -> Result<Value, Failure> {
        let request =
            self.agent.post(self.url(path)).query_pairs(query.iter().map(|(k, v)| (*k, v.as_str())));
        let request = self.authorised(request).header("X-Tandem", "1");
        json(&self.finish(request.header("Content-Type", "application/octet-stream").send(file))?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn finish(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, Failure> {
        let bytes = self.finish_bytes(response)?;
        String::from_utf8(bytes).map_err(|_| Failure::new("the answer of the switch is no text"))
    }

    fn finish_bytes(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, Failure> {
        let unreachable =
            |e: ureq::Error| Failure::new(format!("no answer from the switch at {}: {e}", self.base));
        let mut response = response.map_err(unreachable)?;
        let status = response.status().as_u16();
        let limited = response.body_mut().with_config().limit(1 << 30).read_to_vec();
        let bytes = limited.map_err(unreachable)?;
        if (200..300).contains(&status) {
            Ok(bytes)
        } else {
            Err(refusal(status, &String::from_utf8_lossy(&bytes), self.token.is_some()))
        }
    }
}

/// A path segment in which no character has a meaning (RFC 3986 §2.3).
pub fn segment(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn json(text: &str) -> Result<Value, Failure> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|e| Failure::new(format!("the answer of the switch is no JSON: {e}")))
}

fn with_scheme(address: &str) -> String {
    let address = address.trim_end_matches('/');
    if address.contains("://") { address.to_string() } else { format!("http://{address}") }
}

/// The folder of the settings file, else the default.
pub fn default_folder() -> PathBuf {
    let settings = crate::settings::Settings::load(None, crate::settings::Overrides::default());
    settings.map_or_else(|_| PathBuf::from("data"), |s| s.data)
}

/// A refusal in words: one line for each field at fault, as `file:line: field: message`.
fn refusal(status: u16, body: &str, with_token: bool) -> Failure {
    if status == 401 {
        let why = if with_token {
            "the token is not accepted"
        } else {
            "a token is needed (--token or TANDEM_TOKEN)"
        };
        return Failure::new(format!("the switch refuses: {why}"));
    }
    let Ok(problem) = serde_json::from_str::<Value>(body) else {
        return Failure::new(format!("the switch refuses with status {status}"));
    };
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if errors.is_empty() {
        return Failure::new(problem["detail"].as_str().unwrap_or("the switch refuses").to_string());
    }
    Failure(errors.iter().map(error_line).collect())
}

fn error_line(error: &Value) -> String {
    let mut line = String::new();
    if let Some(file) = error["file"].as_str() {
        line += file;
        line += &error["line"].as_u64().map(|n| format!(":{n}")).unwrap_or_default();
        line += ": ";
    } else if let Some(number) = error["line"].as_u64() {
        line += &format!("line {number}: ");
    }
    if let Some(field) = error["field"].as_str().filter(|f| !f.is_empty()) {
        line = line + field + ": ";
    }
    line + error["message"].as_str().unwrap_or("not allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_in_words() {
        for (status, body, want) in [
            (401, "", vec!["the switch refuses: the token is not accepted"]),
            (502, "<html>", vec!["the switch refuses with status 502"]),
            (
                404,
                r#"{"detail":"There is no account \"x\".","errors":[]}"#,
                vec!["There is no account \"x\"."],
            ),
            (
                422,
                r#"{"detail":"d","errors":[{"field":"account.currency","file":"a.toml","line":3,"message":"needed"},
                   {"field":"","message":"no"},{"field":"amount","message":"not an amount"}]}"#,
                vec!["a.toml:3: account.currency: needed", "no", "amount: not an amount"],
            ),
        ] {
            assert_eq!(refusal(status, body, true).0, want);
        }
    }

    #[test]
    fn names_in_paths_have_no_meaning() {
        assert_eq!(segment("a b/../ü?"), "a%20b%2F..%2F%C3%BC%3F");
    }

    #[test]
    fn addresses_get_a_scheme() {
        assert_eq!(with_scheme("127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(with_scheme("https://switch.example/"), "https://switch.example");
    }
}
