//! The server: what all requests share.

use crate::brain::{Brain, BrainGone};
use crate::clock::{Clock, system_clock};
use crate::live::board::LiveBoard;
use crate::live::pulse::Pulse;
use crate::live::view::Orders;
use crate::problem::{self, FieldProblem, Problem};
use crate::resources::exports::Exports;
use crate::sign_in::{self, SetUpError, SignIn};
use crate::{console, http, openapi};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use billing::ledger::PostingKind;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::{ChangeError, Store, StoreError};
use switch::{ControlReply, ControlRequest};
use vocab::{AccountId, Utc};

/// How the server behaves; the defaults suit the program.
#[derive(Clone)]
pub struct Settings {
    pub clock: Clock,
    /// Between two frames of a live view.
    pub live_interval: Duration,
    /// The console is reached by TLS only: cookies are never sent in clear.
    pub secure_cookies: bool,
    /// How long a browser stays signed in.
    pub session_length: Duration,
    /// For the headers of a request, and between two requests on a connection.
    pub header_time: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            clock: system_clock(),
            live_interval: Duration::from_secs(1),
            secure_cookies: false,
            session_length: Duration::from_secs(12 * 3600),
            header_time: Duration::from_secs(30),
        }
    }
}

/// The API and the console.
#[derive(Clone)]
pub struct ApiServer(Api);

/// What handlers see of the server.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

pub(crate) struct Inner {
    pub store: Store,
    pub brain: Arc<dyn Brain>,
    pub board: Arc<LiveBoard>,
    pub settings: Settings,
    pub sign_in: SignIn,
    pub pulse: Pulse,
    pub orders: Orders,
    pub exports: Exports,
    requests: AtomicU64,
    /// Tells the requests of one run from those of another in the log.
    run: String,
}

impl Deref for Api {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

pub(crate) type Answer<T> = Result<Json<T>, Problem>;

impl ApiServer {
    pub fn new(store: Store, brain: Arc<dyn Brain>, board: Arc<LiveBoard>, settings: Settings) -> ApiServer {
        Exports::clear(&store);
        let run = crate::token::random().unwrap_or_default().chars().take(8).collect();
        let pulse = Pulse::new(settings.live_interval);
        let sign_in = SignIn::default();
        let (orders, requests) = (Orders::default(), AtomicU64::new(0));
        ApiServer(Api(Arc::new(Inner {
            store,
            brain,
            board,
            settings,
            sign_in,
            pulse,
            orders,
            exports: Exports::default(),
            requests,
            run,
        })))
    }

    /// Makes the administrator when there are no users at all, and gives the password, which is nowhere else.
    pub fn bootstrap(&self) -> Result<Option<String>, SetUpError> {
        sign_in::bootstrap(&self.0)
    }

    /// A token for the command line on this machine. The one before it is worth nothing any more.
    pub fn create_local_token(&self) -> Result<String, SetUpError> {
        sign_in::create_local_token(&self.0)
    }

    /// Everything: API and console. Serve it with connect info (the peer's address), by which sign-ins are counted.
    pub fn router(&self) -> Router {
        let (api, document) = openapi::router_and_document();
        let document = openapi::text(&document);
        let document_path = format!("{}/openapi.json", openapi::PREFIX);
        let any_below = format!("{}/{{*rest}}", openapi::PREFIX);
        let json = [(header::CONTENT_TYPE, "application/json")];
        api.route(&document_path, axum::routing::get(move || async move { (json, document) }))
            .route("/metrics", axum::routing::get(crate::metrics::metrics))
            .route(&any_below, axum::routing::any(nothing_here))
            .layer(middleware::from_fn_with_state(self.0.clone(), sign_in::guard))
            .fallback(console::serve)
            .layer(middleware::from_fn_with_state(self.0.clone(), finish))
            .with_state(self.0.clone())
    }

    /// Serves until `stop` is done.
    pub async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) {
        http::serve(listener, self.router(), self.0.settings.header_time, stop).await;
    }
}

async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "There is nothing at this address.")
}

impl Inner {
    pub fn now(&self) -> Utc {
        (self.settings.clock)()
    }

    pub async fn control(&self, request: ControlRequest) -> Result<ControlReply, Problem> {
        self.brain.control(request).await.map_err(|BrainGone| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The switch takes no requests at the moment; try again.",
            )
        })
    }

    /// Runs something that waits for the disk, where it holds up nobody else.
    pub async fn store<T, E>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(Problem::internal)?.map_err(Into::into)
    }

    async fn take_effect(&self) -> Result<(), Problem> {
        // The brain answers a request when it has the configuration that was stored before it.
        self.control(ControlRequest::Balances(vec![AccountId::default()])).await?;
        for opening in self.store(|store| store.pending_payments()).await? {
            let request = ControlRequest::Pay {
                account: opening.account,
                kind: PostingKind::Opening,
                amount: opening.amount,
                by: opening.by,
                note: String::new(),
                key: Some(opening.key),
            };
            self.control(request).await?;
        }
        Ok(())
    }

    /// Changes the configuration. When it returns, calls are handled by the new one and opening balances are paid in.
    pub async fn change<T, E>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let done = self.store(work).await?;
        // The change is stored: a brain that is gone takes it up at its next start, and pays what is pending.
        let _ = self.take_effect().await;
        Ok(done)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        Problem::internal(error)
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Problem {
        match error {
            ChangeError::NotFound => Problem::new(StatusCode::NOT_FOUND, "It does not exist (any more)."),
            ChangeError::Conflict { current_version } => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                format!(
                    "Somebody else has changed it: it is at version {current_version} now. Read it again."
                ),
            ),
            ChangeError::Referenced { by } => {
                Problem::new(StatusCode::CONFLICT, format!("It is still used by {}.", by.join(", ")))
            }
            ChangeError::Invalid(problems) => Problem::from(problems),
            ChangeError::Storage(error) => Problem::internal(error),
        }
    }
}

impl From<Vec<store::Problem>> for Problem {
    fn from(problems: Vec<store::Problem>) -> Problem {
        Problem::fields(problems.into_iter().map(FieldProblem::from).collect())
    }
}

impl From<store::Problem> for FieldProblem {
    fn from(problem: store::Problem) -> FieldProblem {
        let message = match problem.document.is_empty() {
            true => problem.message,
            false => format!("{}: {}", problem.document, problem.message),
        };
        FieldProblem { field: problem.field, file: problem.file, line: problem.line, message }
    }
}

/// The version in `If-Match`. It must be there: a change without it could undo another's unseen.
pub(crate) fn expected_version(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    match optional_version(headers)? {
        Some(version) => Ok(version),
        None => Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "Say which version you have read: send its ETag as If-Match.",
        )),
    }
}

/// `None` without the header; `Some(None)` for `*`, which takes any version.
pub(crate) fn optional_version(headers: &HeaderMap) -> Result<Option<Option<u64>>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(Some(None));
    }
    let version = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).and_then(|t| t.parse().ok());
    match version {
        Some(version) => Ok(Some(Some(version))),
        None => Err(Problem::field("If-Match", "expected a version in quotes, like \"3\"")
            .with_status(StatusCode::BAD_REQUEST)),
    }
}

/// A document with its version as ETag.
pub(crate) fn versioned(status: StatusCode, version: u64, body: impl serde::Serialize) -> Response {
    let etag = HeaderValue::from_str(&format!("\"{version}\"")).ok();
    let mut response = (status, Json(body)).into_response();
    if let Some(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'self'; form-action 'self'";

/// The outermost layer: numbers requests, writes problems, sets the headers that all answers have.
async fn finish(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id = format!("{}-{}", api.run, api.requests.fetch_add(1, Ordering::Relaxed));
    let method = request.method().clone();
    let path = request.uri().path().to_string();
    let source = sign_in::address_of(request.extensions());
    let mut response = match sign_in::may_reach(&api, source, request.headers()).await {
        Ok(true) => next.run(request).await,
        Ok(false) => {
            Problem::new(StatusCode::FORBIDDEN, "This address may not reach the console.").into_response()
        }
        Err(problem) => problem.into_response(),
    };
    let is_api = path.starts_with(openapi::PREFIX);
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| unexplained(&response, is_api));
    if let Some(mut problem) = problem {
        problem.request_id.clone_from(&id);
        tracing::debug!(%id, %method, %path, status = problem.status, detail = %problem.detail, "refused");
        let kept = std::mem::take(response.headers_mut());
        response = problem::write(problem);
        for name in [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE] {
            if let Some(value) = kept.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    set_headers(response.headers_mut(), &id, is_api);
    response
}

/// Refusals of the framework (unknown method, bad path) get the same form as ours.
fn unexplained(response: &Response, is_api: bool) -> Option<Problem> {
    let refused = response.status().is_client_error() || response.status().is_server_error();
    let words = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => "This address does not take this method.",
        StatusCode::NOT_FOUND => "There is nothing at this address.",
        _ => "The request is not as it should be.",
    };
    (refused && is_api).then(|| Problem::new(response.status(), words))
}

fn set_headers(headers: &mut HeaderMap, id: &str, is_api: bool) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
