//! Digest authentication (RFC 7616, RFC 8760), both sides.
//!
//! A nonce is its time and a MAC over time and source address under a secret of this run, so that strangers cannot
//! fill a table with challenges. Only accepted answers are remembered, for the life of their nonce.

use crate::header;
use crate::message::{Builder, HeaderName, Message};
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq;
use vocab::leg::{Credentials, CredentialsVerdict, PlainCredentials, StoredSecret};
use vocab::{Random, Tick};

/// A caller has this long to use a nonce before it is challenged again with `stale=true`.
const NONCE_LIFE_S: u64 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn from_name(name: &str) -> Option<(Algorithm, bool)> {
        Some(match name {
            n if n.eq_ignore_ascii_case("MD5") => (Algorithm::Md5, false),
            n if n.eq_ignore_ascii_case("MD5-sess") => (Algorithm::Md5, true),
            n if n.eq_ignore_ascii_case("SHA-256") => (Algorithm::Sha256, false),
            n if n.eq_ignore_ascii_case("SHA-256-sess") => (Algorithm::Sha256, true),
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    /// Hex of the hash over parts joined by colons.
    fn hash(self, parts: &[&str]) -> String {
        fn run<D: Digest>(parts: &[&str]) -> String {
            let mut digest = D::new();
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    digest.update(b":");
                }
                digest.update(part.as_bytes());
            }
            hex(&digest.finalize())
        }
        match self {
            Algorithm::Md5 => run::<Md5>(parts),
            Algorithm::Sha256 => run::<Sha256>(parts),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
    digits.map(char::from).collect()
}

/// What is stored instead of a password.
pub fn stored_secret(username: &str, realm: &str, password: &str) -> StoredSecret {
    let parts = [username, realm, password];
    StoredSecret { ha1_md5: Algorithm::Md5.hash(&parts), ha1_sha256: Algorithm::Sha256.hash(&parts) }
}

/// Makes and recognises nonces. A nonce is good for one source address, and each count of it for one request, so
/// that a request that was listened to cannot be sent again (RFC 7616 §5.12).
#[derive(Clone)]
pub(crate) struct NonceMaker {
    mac: Hmac<Sha256>,
    uses: Arc<Mutex<Uses>>,
}

/// Accepted nonces with their counts, of this and of the last nonce life. Only who knows a password adds to it.
#[derive(Debug, Default)]
struct Uses {
    since: u64,
    now: HashSet<String>,
    before: HashSet<String>,
}

impl Uses {
    /// Is this the first request with this nonce and count?
    fn first(&mut self, nonce: &str, count: &str, seconds: u64) -> bool {
        if seconds.saturating_sub(self.since) > NONCE_LIFE_S {
            self.since = seconds;
            self.before = std::mem::take(&mut self.now);
        }
        let key = format!("{nonce} {count}");
        !self.before.contains(&key) && self.now.insert(key)
    }
}

impl std::fmt::Debug for NonceMaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NonceMaker")
    }
}

impl NonceMaker {
    pub fn new(random: &mut Random) -> NonceMaker {
        let mut key = [0u8; 64];
        for part in key.chunks_mut(8).take(4) {
            part.copy_from_slice(&random.next_u64().to_be_bytes());
        }
        NonceMaker { mac: <Hmac<Sha256> as Mac>::new(&key.into()), uses: Arc::default() }
    }

    fn at(&self, seconds: u64, salt: u32, source: IpAddr) -> String {
        let mut mac = self.mac.clone();
        mac.update(&seconds.to_be_bytes());
        mac.update(&salt.to_be_bytes());
        mac.update(source.to_canonical().to_string().as_bytes());
        let tag = mac.finalize().into_bytes();
        format!("{seconds:08x}{salt:08x}{}", hex(tag.get(..12).unwrap_or_default()))
    }

    /// The salt differs from challenge to challenge: a trunk that places several calls in one second counts each of its
    /// answers as the first one.
    pub fn make(&self, now: Tick, salt: u64, source: IpAddr) -> String {
        let salt = u32::try_from(salt >> 32).unwrap_or(0);
        self.at(now.0 / 1_000_000, salt, source)
    }

    /// Is it ours, made for this source, and young enough?
    fn is_fresh(&self, nonce: &str, now: Tick, source: IpAddr) -> bool {
        let digits = |range| nonce.get(range).and_then(|d| u64::from_str_radix(d, 16).ok());
        let (Some(made), Some(salt)) = (digits(0..8), digits(8..16)) else { return false };
        let age = (now.0 / 1_000_000).checked_sub(made);
        let ours: bool =
            self.at(made, u32::try_from(salt).unwrap_or(0), source).as_bytes().ct_eq(nonce.as_bytes()).into();
        ours && age.is_some_and(|a| a <= NONCE_LIFE_S)
    }
}

/// The parameters of one Digest header.
#[derive(Clone, Debug, Default)]
struct Params {
    username: String,
    realm: String,
    nonce: String,
    uri: String,
    response: String,
    algorithm: Option<String>,
    qop: Option<String>,
    nc: String,
    cnonce: String,
    opaque: Option<String>,
    stale: bool,
}

impl Params {
    fn parse(value: &str) -> Option<Params> {
        let (scheme, rest) = value.trim().split_once(|c: char| c.is_ascii_whitespace())?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut found = Params::default();
        for item in header::split_list(rest) {
            let Some((name, value)) = item.split_once('=') else { continue };
            found.take(name.trim_end(), header::unquote(value.trim_start()));
        }
        Some(found)
    }

    fn take(&mut self, name: &str, value: Cow<'_, str>) {
        let is = |n: &str| name.eq_ignore_ascii_case(n);
        let target = match () {
            () if is("username") => &mut self.username,
            () if is("realm") => &mut self.realm,
            () if is("nonce") => &mut self.nonce,
            () if is("uri") => &mut self.uri,
            () if is("response") => &mut self.response,
            () if is("nc") => &mut self.nc,
            () if is("cnonce") => &mut self.cnonce,
            () if is("algorithm") => self.algorithm.get_or_insert_default(),
            () if is("qop") => self.qop.get_or_insert_default(),
            () if is("opaque") => self.opaque.get_or_insert_default(),
            () if is("stale") => {
                self.stale = value.eq_ignore_ascii_case("true");
                return;
            }
            () => return,
        };
        *target = value.into_owned();
    }

    /// MD5 when nothing is said (RFC 7616 §3.3).
    fn algorithm(&self) -> Option<(Algorithm, bool)> {
        self.algorithm.as_deref().map_or(Some((Algorithm::Md5, false)), Algorithm::from_name)
    }

    /// RFC 7616 §3.4.1: the response for a method, from the hash of name, realm and password.
    fn expected(&self, algorithm: Algorithm, session: bool, ha1: &str, method: &str) -> String {
        let session_ha1 = session.then(|| algorithm.hash(&[ha1, &self.nonce, &self.cnonce]));
        let ha1 = session_ha1.as_deref().unwrap_or(ha1);
        let ha2 = algorithm.hash(&[method, &self.uri]);
        match &self.qop {
            Some(qop) => algorithm.hash(&[ha1, &self.nonce, &self.nc, &self.cnonce, qop, &ha2]),
            None => algorithm.hash(&[ha1, &self.nonce, &ha2]),
        }
    }
}

/// What a caller presented.
#[derive(Debug)]
pub(crate) struct DigestCredentials {
    params: Params,
    method: String,
    fresh: bool,
    uses: Arc<Mutex<Uses>>,
    seconds: u64,
}

impl DigestCredentials {
    /// The first Digest credentials of a request that use an algorithm we know.
    pub fn of(
        request: &Message,
        nonces: &NonceMaker,
        now: Tick,
        source: IpAddr,
    ) -> Option<DigestCredentials> {
        let values =
            request.all(HeaderName::ProxyAuthorization).chain(request.all(HeaderName::Authorization));
        let params = values.filter_map(Params::parse).find(|p| p.algorithm().is_some())?;
        let fresh = nonces.is_fresh(&params.nonce, now, source);
        let (method, uses) = (request.method_name().to_owned(), nonces.uses.clone());
        Some(DigestCredentials { params, method, fresh, uses, seconds: now.0 / 1_000_000 })
    }
}

impl Credentials for DigestCredentials {
    fn username(&self) -> &str {
        &self.params.username
    }

    fn verify(&self, secret: &StoredSecret) -> CredentialsVerdict {
        let Some((algorithm, session)) = self.params.algorithm() else { return CredentialsVerdict::Wrong };
        if self.params.qop.as_deref().is_some_and(|q| !q.eq_ignore_ascii_case("auth")) {
            return CredentialsVerdict::Wrong;
        }
        let ha1 = match algorithm {
            Algorithm::Md5 => &secret.ha1_md5,
            Algorithm::Sha256 => &secret.ha1_sha256,
        };
        let expected = self.params.expected(algorithm, session, ha1, &self.method);
        let given = self.params.response.to_ascii_lowercase();
        let right: bool = expected.as_bytes().ct_eq(given.as_bytes()).into();
        match (right, self.fresh) {
            (false, _) => CredentialsVerdict::Wrong,
            // Also a nonce of before a restart: the secret is right, so a new challenge will settle it.
            (true, false) => CredentialsVerdict::Stale,
            (true, true) if self.is_first_use() => CredentialsVerdict::Accepted,
            (true, true) => CredentialsVerdict::Stale,
        }
    }
}

impl DigestCredentials {
    /// Made for the nonce of a challenge that went to this source.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    fn is_first_use(&self) -> bool {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.first(&self.params.nonce, &self.params.nc, self.seconds)
    }
}

/// Writes the challenges of a 401 or 407. RFC 8760 §2.3 wants the strongest first, but trunks in the field read
/// only the first and know only MD5; a client that reads them all still finds SHA-256.
pub(crate) fn write_challenges(b: &mut Builder, status: u16, realm: &str, nonce: &str, stale: bool) {
    write_some_challenges(b, &[Algorithm::Md5, Algorithm::Sha256], (status, realm, nonce), stale);
}

/// User agents that give up at a challenge which also offers SHA-256, instead of passing it over (RFC 8760 §2.4).
const MD5_ONLY: [&str; 2] = ["baresip v0.", "baresip v1."];

/// What this sender is offered.
pub(crate) fn algorithms_for(request: &Message) -> &'static [Algorithm] {
    let agent = request.get(HeaderName::UserAgent).unwrap_or_default();
    if MD5_ONLY.iter().any(|known| agent.starts_with(known)) {
        &[Algorithm::Md5]
    } else {
        &[Algorithm::Md5, Algorithm::Sha256]
    }
}

/// The challenges of these algorithms, for a status, realm and nonce.
pub(crate) fn write_some_challenges(
    b: &mut Builder,
    algorithms: &[Algorithm],
    (status, realm, nonce): (u16, &str, &str),
    stale: bool,
) {
    let name = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
    for algorithm in algorithms {
        b.raw(name).raw(": Digest realm=").quoted(realm).raw(", nonce=").quoted(nonce);
        b.raw(", algorithm=").raw(algorithm.name()).raw(", qop=\"auth\"");
        b.raw(if stale { ", stale=true\r\n" } else { "\r\n" });
    }
}

/// The answer to a challenge, kept for the requests that follow in the dialog.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// `Authorization` or `Proxy-Authorization`.
    header: &'static str,
    challenge: Params,
    algorithm: Algorithm,
    session: bool,
    with_qop: bool,
    count: u32,
}

impl Answer {
    /// Picks the strongest challenge of a 401 or 407 that we can answer, of this realm if one is given.
    pub fn to(response: &Message, realm: Option<&str>) -> Option<Answer> {
        let (name, header) = match response.status()? {
            401 => (HeaderName::WwwAuthenticate, "Authorization"),
            407 => (HeaderName::ProxyAuthenticate, "Proxy-Authorization"),
            _ => return None,
        };
        let known = response.all(name).filter_map(Params::parse).filter_map(|p| {
            let (algorithm, session) = p.algorithm()?;
            let qop = p.qop.clone();
            let with_qop = qop.is_some();
            let offered = qop.is_none_or(|q| header::split_list(&q).any(|o| o.eq_ignore_ascii_case("auth")));
            let wanted = offered && realm.is_none_or(|r| r == p.realm);
            wanted.then_some(Answer { header, challenge: p, algorithm, session, with_qop, count: 0 })
        });
        // RFC 3261 §22.3 knows one challenge per realm; the last of equals is as good as the first.
        known.max_by_key(|a| a.algorithm == Algorithm::Sha256)
    }

    pub fn realm(&self) -> &str {
        &self.challenge.realm
    }

    /// One header line for a request.
    pub fn write(&mut self, b: &mut Builder, who: &PlainCredentials, method: &str, uri: &str, cnonce: u64) {
        self.count += 1;
        let mut p = self.challenge.clone();
        p.uri = uri.to_owned();
        if self.with_qop || self.session {
            p.cnonce = format!("{cnonce:016x}");
        }
        if self.with_qop {
            p.qop = Some("auth".to_owned());
            p.nc = format!("{:08x}", self.count);
        }
        let ha1 = self.algorithm.hash(&[&who.username, &p.realm, &who.password]);
        let response = p.expected(self.algorithm, self.session, &ha1, method);
        b.raw(self.header).raw(": Digest username=").quoted(&who.username);
        b.raw(", realm=").quoted(&p.realm).raw(", nonce=").quoted(&p.nonce).raw(", uri=").quoted(uri);
        b.raw(", response=\"").raw(&response).raw("\"");
        if p.algorithm.is_some() {
            b.raw(", algorithm=").raw(self.algorithm.name()).raw(if self.session { "-sess" } else { "" });
        }
        if self.with_qop {
            b.raw(", qop=auth, nc=").raw(&p.nc);
        }
        if !p.cnonce.is_empty() {
            b.raw(", cnonce=\"").raw(&p.cnonce).raw("\"");
        }
        if let Some(opaque) = &p.opaque {
            b.raw(", opaque=").quoted(opaque);
        }
        b.raw("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1.
    #[test]
    fn example_of_the_rfc() {
        for (algorithm, want) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let p = Params {
                nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".into(),
                uri: "/dir/index.html".into(),
                qop: Some("auth".into()),
                nc: "00000001".into(),
                cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".into(),
                ..Params::default()
            };
            let ha1 = algorithm.hash(&["Mufasa", "http-auth@example.org", "Circle of Life"]);
            assert_eq!(p.expected(algorithm, false, &ha1, "GET"), want);
        }
        // RFC 2617 §3.5 gives the same hash of the secret in another realm.
        let secret = stored_secret("Mufasa", "testrealm@host.com", "Circle Of Life");
        assert_eq!(secret.ha1_md5, "939e7578ed9e3c518a452acee763bce9");
    }

    fn source(ip: &str) -> IpAddr {
        ip.parse().unwrap()
    }

    #[test]
    fn nonces() {
        let nonces = NonceMaker::new(&mut Random::from_number(1));
        let others = NonceMaker::new(&mut Random::from_number(2));
        let t = |s: u64| Tick(s * 1_000_000);
        let (home, away) = (source("192.0.2.1"), source("192.0.2.2"));
        let nonce = nonces.make(t(100), 5 << 32, home);
        assert_ne!(nonce, nonces.make(t(100), 6 << 32, home), "each challenge has its own");
        assert!(!nonces.is_fresh(&nonce, t(100), away), "a nonce is good for its source only");
        for (nonce, now, want) in [
            (nonce.clone(), 100, true),
            (nonce.clone(), 400, true),
            (nonce.clone(), 401, false),
            (nonce.clone(), 99, false),
            (others.make(t(100), 5 << 32, home), 100, false),
            (nonce.replace('0', "1"), 100, false),
            (String::new(), 100, false),
            ("é".repeat(40), 100, false),
        ] {
            assert_eq!(nonces.is_fresh(&nonce, t(now), home), want, "{nonce} at {now}");
        }
    }

    fn round_trip(challenge: &str, password: &str, now: u64) -> CredentialsVerdict {
        let nonces = NonceMaker::new(&mut Random::from_number(1));
        let home = source("192.0.2.1");
        let nonce = nonces.make(Tick(0), 0, home);
        let mut response = Builder::response(407, "x");
        response.header("CSeq", "1 INVITE").header("Proxy-Authenticate", &challenge.replace("NONCE", &nonce));
        let response = response.finish();
        let response = Message::parse(&response).unwrap();
        let mut request = Builder::request("INVITE", "sip:1@h");
        let who = PlainCredentials { username: "u\"1".into(), password: password.into() };
        Answer::to(&response, None).unwrap().write(&mut request, &who, "INVITE", "sip:1@h", 7);
        let request = request.finish();
        let request = Message::parse(&request).unwrap();
        let credentials = DigestCredentials::of(&request, &nonces, Tick(now * 1_000_000), home).unwrap();
        assert_eq!(credentials.username(), "u\"1");
        let verdict = credentials.verify(&stored_secret("u\"1", "r, s", "right"));
        let again = credentials.verify(&stored_secret("u\"1", "r, s", "right"));
        assert_ne!(again, CredentialsVerdict::Accepted, "one answer opens one call");
        verdict
    }

    #[test]
    fn both_sides_agree() {
        for (challenge, password, now, want) in [
            (r#"Digest realm="r, s", nonce="NONCE""#, "right", 0, CredentialsVerdict::Accepted),
            (
                r#"Digest realm="r, s",nonce="NONCE",algorithm=MD5,qop="auth,auth-int""#,
                "right",
                0,
                CredentialsVerdict::Accepted,
            ),
            (
                r#"Digest realm="r, s", nonce="NONCE", algorithm=SHA-256, qop="auth", opaque="x""#,
                "right",
                0,
                CredentialsVerdict::Accepted,
            ),
            (
                r#"digest REALM="r, s", nonce="NONCE", algorithm=MD5-sess, qop=auth"#,
                "right",
                0,
                CredentialsVerdict::Accepted,
            ),
            (
                r#"Digest realm="r, s", nonce="NONCE", algorithm=SHA-256, qop="auth""#,
                "wrong",
                0,
                CredentialsVerdict::Wrong,
            ),
            (r#"Digest realm="r, s", nonce="NONCE""#, "wrong", 0, CredentialsVerdict::Wrong),
            (r#"Digest realm="r, s", nonce="NONCE""#, "right", 1000, CredentialsVerdict::Stale),
            (r#"Digest realm="r, s", nonce="foreign", qop="auth""#, "right", 0, CredentialsVerdict::Stale),
        ] {
            assert_eq!(round_trip(challenge, password, now), want, "{challenge} {password} {now}");
        }
    }

    #[test]
    fn a_realm_is_kept_to() {
        let mut b = Builder::response(407, "x");
        for realm in ["other", "carrier"] {
            b.header("Proxy-Authenticate", &format!("Digest realm=\"{realm}\", nonce=\"y\""));
        }
        let response = b.finish();
        let response = Message::parse(&response).unwrap();
        let answered = |realm| Answer::to(&response, Some(realm)).map(|a| a.realm().to_owned());
        assert_eq!((answered("carrier").as_deref(), answered("Carrier")), (Some("carrier"), None));
    }

    #[test]
    fn unknown_challenges_are_not_answered() {
        for value in [
            "Basic realm=x",
            "Digest realm=\"x\", nonce=\"y\", algorithm=AKAv1-MD5",
            "Digest qop=\"auth-int\"",
        ] {
            let mut b = Builder::response(401, "x");
            b.header("WWW-Authenticate", value);
            assert!(Answer::to(&Message::parse(&b.finish()).unwrap(), None).is_none(), "{value}");
        }
    }
}
