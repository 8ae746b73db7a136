//! Who is asking: passwords, tokens, and what keeps strangers out (`SEC-8`, `R-70`, `R-72`).
//!
//! Everything below `/api/v1` goes through [`guard`], which lets nothing pass that is not signed in and has not the
//! right that [`rights::needed`] asks for: a new route is closed until somebody opens it.

use crate::openapi::PREFIX;
use crate::problem::{FieldProblem, Problem};
use crate::rights::{self, ADMINISTRATOR, Need, Right, Rights};
use crate::server::{Api, Inner};
use crate::token;
use crate::totp;
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Author, Deed, Store, StoreError, Token, TokenDetails, TokenKind, User};
use tokio::sync::Semaphore;
use vocab::net::Cidr;
use vocab::{AccountId, Utc};

pub(crate) const COOKIE: &str = "tandem_session";
/// A header that a form or an image of another site cannot send.
const WRITE_HEADER: &str = "x-tandem";
const LOCAL_NOTE: &str = "command line";
const SESSION_NOTE: &str = "console";

/// Tries with one name from one address within a minute.
const TRIES_PER_NAME: usize = 10;
/// Tries from one address within a minute, whatever the names: each costs the processor a good part of a second.
const TRIES_PER_SOURCE: usize = 30;
const WINDOW: Duration = Duration::from_secs(60);
/// Names and addresses that are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 10_000;
/// Longest wait for a turn at the hash function.
const TURN: Duration = Duration::from_secs(10);
const LONGEST_PASSWORD: usize = 256;

/// Who sent the request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub user: String,
    pub role: String,
    pub rights: Rights,
    /// Sees nothing but this account's part.
    pub account: Option<AccountId>,
    pub source: IpAddr,
    /// Hash of the token in use.
    pub token: String,
    pub kind: TokenKind,
}

impl Caller {
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Nobody who is held to one account learns that there are others; an agent sees those below it.
    pub fn sight(&self, config: &store::Config) -> Sight {
        Sight(self.account.map(|own| config.below(own.0).into_iter().map(AccountId).collect()))
    }
}

/// The accounts that a caller sees; `None`: all.
pub(crate) struct Sight(Option<std::collections::BTreeSet<AccountId>>);

impl Sight {
    pub fn sees(&self, account: AccountId) -> bool {
        self.0.as_ref().is_none_or(|own| own.contains(&account))
    }
}

impl From<&Caller> for Author {
    fn from(caller: &Caller) -> Author {
        Author { name: caller.user.clone(), source: Some(caller.source) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(not_signed_in)
    }
}

/// Where a request came from; an address that is not known counts as one.
pub(crate) struct Source(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Source, Self::Rejection> {
        Ok(Source(source_of(parts)))
    }
}

fn source_of(parts: &Parts) -> IpAddr {
    address_of(&parts.extensions)
}

/// Where a request came from.
pub(crate) fn address_of(extensions: &axum::http::Extensions) -> IpAddr {
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |c| c.0.ip().to_canonical())
}

/// State of signing in.
pub(crate) struct SignIn {
    /// One password at a time is hashed, so that calls keep their processors.
    turn: Semaphore,
    tries: Mutex<Tries>,
}

impl SignIn {
    /// Waits for a turn at the hash function.
    pub async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
        match tokio::time::timeout(TURN, self.turn.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many are signing in; try again.")),
        }
    }
}

impl Default for SignIn {
    fn default() -> SignIn {
        SignIn { turn: Semaphore::new(1), tries: Mutex::default() }
    }
}

/// Times of the latest tries, by name and address, and by address alone.
#[derive(Default)]
struct Tries {
    by_name: HashMap<(String, IpAddr), Vec<Utc>>,
    by_source: HashMap<IpAddr, Vec<Utc>>,
}

impl Tries {
    /// Counts a try. `Err`: too many; seconds until the next one is heard.
    fn count(&mut self, name: &str, source: IpAddr, now: Utc) -> Result<(), u64> {
        self.forget(now);
        let by_source = self.by_source.entry(source).or_default();
        let by_name = self.by_name.entry((name.chars().take(64).collect(), source)).or_default();
        by_source.retain(|at| *at + WINDOW > now);
        by_name.retain(|at| *at + WINDOW > now);
        for (tries, most) in [(&*by_name, TRIES_PER_NAME), (&*by_source, TRIES_PER_SOURCE)] {
            if let Some(first) = tries.len().checked_sub(most).and_then(|i| tries.get(i)) {
                let wait = (*first + WINDOW).0.saturating_sub(now.0).max(1);
                return Err(u64::try_from(wait).unwrap_or(0).div_ceil(1_000_000));
            }
        }
        by_name.push(now);
        by_source.push(now);
        Ok(())
    }

    fn forget(&mut self, now: Utc) {
        let recent = |tries: &mut Vec<Utc>| {
            tries.retain(|at| *at + WINDOW > now);
            !tries.is_empty()
        };
        // Looking at all is dear; a full table is looked at each time, which slows down only who fills it.
        if self.by_name.len() >= REMEMBERED || self.by_source.len() >= REMEMBERED {
            self.by_name.retain(|_, tries| recent(tries));
            self.by_source.retain(|_, tries| recent(tries));
        }
        if self.by_name.len() >= REMEMBERED || self.by_source.len() >= REMEMBERED {
            self.by_name.clear();
            self.by_source.clear();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_signed_in() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "Sign in first.")
}

/// Checks name and password and makes a session: the user and the token.
pub(crate) async fn sign_in(
    api: &Inner,
    name: &str,
    password: String,
    code: Option<String>,
    source: IpAddr,
) -> Result<(User, String), Response> {
    let now = api.now();
    let counted = lock(&api.sign_in.tries).count(name, source, now);
    if let Err(seconds) = counted {
        let mut refusal =
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many tries; wait a little.").into_response();
        refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return Err(refusal);
    }
    let wrong = || Problem::new(StatusCode::UNAUTHORIZED, "Wrong name or password.").into_response();
    if password.len() > LONGEST_PASSWORD {
        return Err(wrong());
    }
    let _turn = api.sign_in.turn().await.map_err(IntoResponse::into_response)?;
    let tried = name.to_string();
    let known = api
        .store(move |store| known_user(store, &tried, &password))
        .await
        .map_err(IntoResponse::into_response)?;
    let Some(user) = known else {
        note(api, name, source, "sign_in_refused").await;
        return Err(wrong());
    };
    if !second_factor(api, &user, code.as_deref(), now).await.map_err(IntoResponse::into_response)? {
        note(api, name, source, "sign_in_refused").await;
        let words = "Enter the present code of your second factor.";
        let code = FieldProblem::new("code", words);
        return Err(Problem { detail: words.into(), ..Problem::fields(vec![code]) }
            .with_status(StatusCode::UNAUTHORIZED)
            .into_response());
    }
    note(api, name, source, "sign_in").await;
    let token = new_token(api, &user.name).await.map_err(IntoResponse::into_response)?;
    Ok((user, token))
}

/// A log that cannot be written keeps nobody out.
async fn note(api: &Inner, name: &str, source: IpAddr, action: &'static str) {
    let author = Author { name: name.chars().take(64).collect(), source: Some(source) };
    let object = author.name.clone();
    let noted = api
        .store(move |store| {
            store.note(&author, &Deed { action, kind: "session", object: &object, ..Deed::default() })
        })
        .await;
    if let Err(problem) = noted {
        tracing::error!(detail = %problem.detail, "a sign-in could not be noted");
    }
}

/// Is the code right, where one is needed? Each opens once (RFC 6238 §5.2).
async fn second_factor(api: &Inner, user: &User, code: Option<&str>, now: Utc) -> Result<bool, Problem> {
    let Some(sealed) = user.details.totp.as_deref() else { return Ok(true) };
    let secret =
        api.store.unseal(sealed).ok_or_else(|| Problem::internal("a sealed secret does not open"))?;
    let Some(step) = code.and_then(|code| totp::step_of(&secret, code.trim(), now)) else { return Ok(false) };
    let name = user.name.clone();
    api.store(move |store| store.take_totp_step(&name, step)).await
}

/// The user, if the password is right. An unknown name takes the same time as a wrong password.
fn known_user(store: &Store, name: &str, password: &str) -> Result<Option<User>, StoreError> {
    let user = store.user(name)?;
    let hash = user.as_ref().map_or(NOBODY, |u| &u.password_hash);
    let right = PasswordHash::new(hash)
        .is_ok_and(|h| Argon2::default().verify_password(password.as_bytes(), &h).is_ok());
    Ok(user.filter(|u| right && !u.details.disabled))
}

/// Counts a try of somebody who is signed in; false when there were too many.
pub(crate) fn may_try(api: &Inner, caller: &Caller) -> bool {
    lock(&api.sign_in.tries).count(&caller.user, caller.source, api.now()).is_ok()
}

/// Is this the password of the user? Takes a turn at the hash function.
pub(crate) async fn is_password(api: &Inner, name: &str, password: String) -> Result<bool, Problem> {
    let _turn = api.sign_in.turn().await?;
    let name = name.to_string();
    Ok(api.store(move |store| known_user(store, &name, &password)).await?.is_some())
}

const SHORTEST_PASSWORD: usize = 10;

/// What is wrong with a new password, in words.
pub(crate) fn weakness(name: &str, password: &str) -> Option<String> {
    let different: std::collections::BTreeSet<char> = password.chars().collect();
    if password.chars().count() < SHORTEST_PASSWORD {
        Some(format!("expected at least {SHORTEST_PASSWORD} characters"))
    } else if password.len() > LONGEST_PASSWORD {
        Some(format!("longer than {LONGEST_PASSWORD} bytes"))
    } else if different.len() < 5 {
        Some("expected at least five different characters".into())
    } else if password.to_lowercase().contains(&name.to_lowercase()) {
        Some("contains the user's name".into())
    } else {
        None
    }
}

/// Hash of a random password that nobody has, with the parameters of all others.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$QyqKZtBTgJqN0iGhOg7vNnYhAFbgk35gXAnWyPCS7lc";

async fn new_token(api: &Inner, user: &str) -> Result<String, Problem> {
    let text = token::random().ok_or_else(no_randomness)?;
    let now = api.now();
    let expires_at = Some(now + api.settings.session_length);
    let hash = token::hash(&text);
    let record = Token {
        hash,
        user: user.to_string(),
        note: SESSION_NOTE.to_string(),
        created_at: now,
        expires_at,
        details: TokenDetails::default(),
    };
    api.store(move |store| {
        store.delete_expired_tokens(now)?;
        store.add_token(&record, &record.user)
    })
    .await?;
    Ok(text)
}

fn no_randomness() -> Problem {
    Problem::internal("the system gives no random numbers")
}

/// Does the token that a connection began with still hold, and may its user still do this?
pub(crate) async fn still_valid(api: &Inner, caller: &Caller, right: Right) -> bool {
    let found = caller_of(api, caller.token.clone(), caller.source).await;
    matches!(found, Ok(Some(c)) if c.may(right) && c.account.is_none())
}

async fn caller_of(api: &Inner, hash: String, source: IpAddr) -> Result<Option<Caller>, Problem> {
    let now = api.now();
    api.store(move |store| {
        let Some(token) = store.token(&hash)?.filter(|t| t.expires_at.is_none_or(|until| now < until)) else {
            return Ok(None);
        };
        let networks = &token.details.networks;
        if !networks.is_empty() && !within(networks, source) {
            return Ok(None);
        }
        let Some(user) = store.user(&token.user)?.filter(|u| !u.details.disabled) else { return Ok(None) };
        let mut rights = rights_of(store, &user.role)?;
        if let Some(only) = &token.details.rights {
            rights.retain(|right| only.contains(&right.to_string()));
        }
        Ok::<_, StoreError>(Some(Caller {
            user: user.name,
            role: user.role,
            rights,
            account: user.details.account.map(AccountId),
            source,
            token: hash,
            kind: token.details.kind,
        }))
    })
    .await
}

/// Rights of a role; one that does not exist any more gives none.
pub(crate) fn rights_of(store: &Store, role: &str) -> Result<Rights, StoreError> {
    if let Some(rights) = rights::built_in(role) {
        return Ok(rights);
    }
    let role = store.role(role)?.unwrap_or_default();
    Ok(role.rights.iter().filter_map(|text| Right::parse(text)).collect())
}

/// Nobody can give away, or act for, more than they may do themselves.
pub(crate) fn within_own<'a>(
    caller: &Caller,
    rights: impl IntoIterator<Item = &'a Right>,
) -> Result<(), Problem> {
    match rights.into_iter().find(|right| !caller.may(**right)) {
        None => Ok(()),
        Some(right) => Err(forbidden(&format!("You lack the right {right} yourself."))),
    }
}

/// Who changes a user's password can act as that user; who changes a role, as all who have it.
pub(crate) async fn outranks(api: &Inner, caller: &Caller, role: &str) -> Result<(), Problem> {
    let role = role.to_string();
    let rights = api.store(move |store| rights_of(store, &role)).await?;
    within_own(caller, &rights)
}

/// Passwords and second factors are people's: a key for a program changes neither.
pub(crate) fn in_person(caller: &Caller) -> Result<(), Problem> {
    match caller.kind {
        TokenKind::Key => {
            Err(forbidden("A key cannot change the password or the second factor of its user."))
        }
        TokenKind::Session | TokenKind::Local => Ok(()),
    }
}

/// Is the address in one of the networks?
pub(crate) fn within(networks: &[String], source: IpAddr) -> bool {
    networks.iter().filter_map(|n| Cidr::parse(n)).any(|network| network.contains(source))
}

/// May this address reach console and API at all? The command line on this machine always may: it is the way back in.
pub(crate) async fn may_reach(api: &Inner, source: IpAddr, headers: &HeaderMap) -> Result<bool, Problem> {
    let networks = api.store(|store| store.access()).await?;
    if networks.is_empty() || within(&networks, source) {
        return Ok(true);
    }
    let Some(token) = bearer(headers).filter(|_| source.is_loopback()) else { return Ok(false) };
    let hash = token::hash(&token);
    let token = api.store(move |store| store.token(&hash)).await?;
    Ok(token.is_some_and(|t| t.details.kind == TokenKind::Local))
}

pub(crate) async fn sign_out(api: &Inner, caller: Caller) -> Result<(), Problem> {
    api.store(move |store| store.delete_token(&caller.token, &caller)).await.map(|_| ())
}

/// The cookie of a new session, or with an empty token and no time left, of one that is over.
pub(crate) fn cookie(api: &Inner, token: &str, length: Duration) -> String {
    let secure = if api.settings.secure_cookies { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", length.as_secs())
}

/// The door of everything below `/api/v1`.
pub(crate) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&api, &parts).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

const METRICS: &str = "/metrics";

/// Who sent the request; nobody is needed for what is public.
async fn admit(api: &Inner, request: &Parts) -> Result<Option<Caller>, Problem> {
    let (method, headers) = (&request.method, &request.headers);
    // `/metrics` stands where scrapers look for it, outside of the API's paths.
    let path = request.uri.path();
    let path = if path == METRICS { path } else { path.strip_prefix(PREFIX).unwrap_or_default() };
    let need = rights::needed(method, path);
    if need == Need::Nothing {
        // Signing somebody in from another site would be an attack as well.
        return if method.is_safe() { Ok(None) } else { same_origin(headers).map(|()| None) };
    }
    let (token, by_cookie) = match (bearer(headers), cookie_token(headers)) {
        (Some(token), _) => (token, false),
        (None, Some(token)) => (token, true),
        (None, None) => return Err(not_signed_in()),
    };
    let source = source_of(request);
    let caller = caller_of(api, token::hash(&token), source).await?.ok_or_else(not_signed_in)?;
    let opens_socket = headers.contains_key(header::UPGRADE);
    if by_cookie && (!method.is_safe() || opens_socket) {
        same_origin(headers)?;
    }
    if by_cookie && !method.is_safe() && headers.get(WRITE_HEADER).is_none_or(|v| v != "1") {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "A change with the cookie needs the header X-Tandem: 1.",
        ));
    }
    permit(&caller, need)?;
    if caller.account.is_some() && !rights::open_to_held(method, path) {
        return Err(forbidden("This is not open to users who are held to one account."));
    }
    Ok(Some(caller))
}

fn permit(caller: &Caller, need: Need) -> Result<(), Problem> {
    match need {
        Need::Nothing | Need::SignedIn => Ok(()),
        Need::One(right) if caller.may(right) => Ok(()),
        Need::One(right) => Err(forbidden(&format!("Your role lacks the right {right}."))),
        Need::All if Right::all().all(|right| caller.may(right)) => Ok(()),
        Need::All => Err(forbidden("Only administrators may do this.")),
    }
}

fn forbidden(words: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, words)
}

/// Browsers name the site that a request comes from. Programs that are no browsers need not.
fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let site = origin.to_str().unwrap_or_default();
    let site = site.strip_prefix("http://").or_else(|| site.strip_prefix("https://"));
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    match (site, host) {
        (Some(site), Some(host)) if site.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Problem::new(StatusCode::FORBIDDEN, "The request comes from another site.")),
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_string())
}

fn cookie_token(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(name, _)| *name == COOKIE).map(|(_, token)| token.to_string())
}

/// Why users or tokens could not be set up.
#[derive(Debug)]
pub enum SetUpError {
    Store(StoreError),
    /// The system gives no random numbers.
    Randomness,
    Hash(argon2::password_hash::Error),
    /// A local token acts for an administrator, and there is none.
    NoAdministrator,
}

impl From<StoreError> for SetUpError {
    fn from(error: StoreError) -> SetUpError {
        SetUpError::Store(error)
    }
}

impl fmt::Display for SetUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetUpError::Store(error) => error.fmt(f),
            SetUpError::Randomness => f.write_str("the system gives no random numbers"),
            SetUpError::Hash(error) => write!(f, "a password could not be hashed: {error}"),
            SetUpError::NoAdministrator => {
                f.write_str("there is no administrator whom a local token could act for")
            }
        }
    }
}

impl std::error::Error for SetUpError {}

pub(crate) fn bootstrap(api: &Inner) -> Result<Option<String>, SetUpError> {
    if !api.store.users()?.is_empty() {
        return Ok(None);
    }
    // 96 bits: nobody guesses it, and it can still be typed.
    let password: String = token::random().ok_or(SetUpError::Randomness)?.chars().take(24).collect();
    let password_hash = hash_password(&password)?;
    let user = User {
        name: "admin".into(),
        role: ADMINISTRATOR.into(),
        password_hash,
        created_at: api.now(),
        details: store::UserDetails::default(),
    };
    api.store.set_user(&user, "first start")?;
    Ok(Some(password))
}

pub(crate) fn create_local_token(api: &Inner) -> Result<String, SetUpError> {
    let users = api.store.users()?;
    let may = |u: &&User| u.role == ADMINISTRATOR && !u.details.disabled;
    let owner = users.iter().find(may).ok_or(SetUpError::NoAdministrator)?;
    for old in api.store.all_tokens()?.iter().filter(|t| t.details.kind == TokenKind::Local) {
        api.store.delete_token(&old.hash, "start")?;
    }
    let text = token::random().ok_or(SetUpError::Randomness)?;
    let hash = token::hash(&text);
    let user = owner.name.clone();
    let details = TokenDetails { kind: TokenKind::Local, ..TokenDetails::default() };
    let (note, created_at) = (LOCAL_NOTE.into(), api.now());
    api.store.add_token(&Token { hash, user, note, created_at, expires_at: None, details }, "start")?;
    Ok(text)
}

pub(crate) fn hash_password(password: &str) -> Result<String, SetUpError> {
    let mut salt = [0u8; 16];
    getrandom::fill(&mut salt).map_err(|_| SetUpError::Randomness)?;
    let salt = SaltString::encode_b64(&salt).map_err(SetUpError::Hash)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(SetUpError::Hash)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise an unknown name would be answered faster than a known one.
    #[test]
    fn nobodys_hash_costs_as_much_as_any_other() {
        let of = |text: &str| {
            let hash = PasswordHash::new(text).unwrap();
            (hash.algorithm.to_string(), hash.version, hash.params.to_string(), hash.hash.unwrap().len())
        };
        assert_eq!(of(NOBODY), of(&hash_password("x").unwrap()));
    }
}
