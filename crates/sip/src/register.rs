//! REGISTER from outside (RFC 3261 §10.3): read and answered here, decided by the registrar.

use crate::core::{Core, Way};
use crate::digest::{self, Algorithm, DigestCredentials};
use crate::header::{self, NameAddr, number};
use crate::message::{HeaderName, Message};
use crate::slab::Key;
use crate::transaction::RequestKey;
use crate::uri::{Scheme, Uri};
use std::net::IpAddr;
use std::sync::Arc;
use vocab::Flow;
use vocab::leg::Credentials;

/// Contacts in one request; an address of record has no more either.
pub const MAX_CONTACTS: usize = 10;
/// Longest Contact or Path that is kept.
const MAX_URI: usize = 512;
/// Proxies between a device and us.
const MAX_PATH: usize = 8;
/// RFC 3261 §20.19: what a malformed value counts as.
const DEFAULT_EXPIRES_S: u32 = 3600;

/// A REGISTER to be answered with [`crate::Endpoint::answer_registration`].
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    pub id: RegistrationId,
    pub flow: Flow,
    /// Who is to be registered: the user part of To.
    pub name: String,
    pub credentials: Option<Arc<dyn Credentials>>,
    pub call_id: String,
    pub cseq: u32,
    pub contacts: Contacts,
    /// RFC 3327.
    pub path: Vec<String>,
    pub supports_path: bool,
    pub user_agent: Option<String>,
    /// What the sender believes its address to be, from the top Via.
    pub sent_by: Option<IpAddr>,
}

/// The transaction, and what its sender may be challenged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationId(Key, &'static [Algorithm]);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts {
    /// What is registered?
    Query,
    /// `*` with `Expires: 0`.
    RemoveAll,
    Update(Vec<ContactUpdate>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactUpdate {
    pub uri: String,
    /// In thousandths.
    pub q: u16,
    /// `None`: the registrar chooses.
    pub expires_s: Option<u32>,
}

/// What the registrar says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationAnswer {
    Challenge {
        realm: Arc<str>,
        stale: bool,
    },
    /// All contacts that are registered now.
    Accepted {
        contacts: Vec<ContactUpdate>,
        path: Vec<String>,
    },
    /// 423 with the shortest time that is granted.
    TooBrief {
        min_expires_s: u32,
    },
    Refused {
        status: u16,
        phrase: Option<&'static str>,
    },
    /// Nothing at all (`SEC-3`).
    Silence,
}

/// A status and the words that go with it.
type Fault = (u16, &'static str);

impl Registration {
    /// Opens the transaction. `None`: it was answered at once.
    pub(crate) fn arrive(
        core: &mut Core,
        request: &Message,
        way: Way,
        key: RequestKey,
    ) -> Option<Registration> {
        let tag = core.random.next_u64();
        let server = core.start_server(request, key, way, tag);
        match Registration::read(core, request, way, server) {
            Ok(registration) => Some(registration),
            Err((status, phrase)) => {
                answer_plainly(core, server, status, Some(phrase));
                None
            }
        }
    }

    fn read(core: &Core, request: &Message, way: Way, server: Key) -> Result<Registration, Fault> {
        let to = request.to().and_then(|to| Uri::parse(to.uri)).ok_or((400, "Bad To"))?;
        if !matches!(to.scheme(), Scheme::Sip | Scheme::Sips) {
            return Err((404, "Not a SIP address"));
        }
        let path: Vec<String> =
            request.headers("Path").iter().flat_map(|v| header::split_list(v)).map(str::to_owned).collect();
        let readable = |p: &String| p.len() <= MAX_URI && NameAddr::parse(p).is_some();
        if path.len() > MAX_PATH || !path.iter().all(readable) {
            return Err((400, "Bad Path"));
        }
        let source = way.source.remote.ip();
        let credentials = DigestCredentials::of(request, &core.nonces, core.now.tick, source);
        Ok(Registration {
            id: RegistrationId(server, digest::algorithms_for(request)),
            flow: way.source,
            name: to.user_unescaped(),
            credentials: credentials.map(|c| Arc::new(c) as Arc<dyn Credentials>),
            call_id: request.call_id().unwrap_or_default().to_owned(),
            cseq: request.cseq().map_or(0, |c| c.number),
            contacts: contacts(request)?,
            path,
            supports_path: request.lists_token(HeaderName::Supported, "path"),
            user_agent: request.get(HeaderName::UserAgent).map(|a| a.chars().take(128).collect()),
            sent_by: request.top_via().and_then(|via| via.host.parse().ok()),
        })
    }
}

fn contacts(request: &Message) -> Result<Contacts, Fault> {
    let general = request.get(HeaderName::Expires).map(expires);
    let values: Vec<&str> = request.list(HeaderName::Contact).map(str::trim).collect();
    match values.as_slice() {
        [] => return Ok(Contacts::Query),
        // RFC 3261 §10.3 step 6: alone, and only to remove.
        all if all.contains(&"*") => {
            let alone = all.len() == 1 && general == Some(0);
            return if alone { Ok(Contacts::RemoveAll) } else { Err((400, "Bad use of Contact *")) };
        }
        all if all.len() > MAX_CONTACTS => return Err((403, "Too many contacts")),
        _ => {}
    }
    let read = |text: &&str| {
        let contact = NameAddr::parse(text).ok_or((400, "Bad Contact"))?;
        let uri = Uri::parse(contact.uri).ok_or((400, "Bad Contact"))?;
        if !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) {
            return Err((400, "Contact is no SIP URI"));
        }
        if contact.uri.len() > MAX_URI {
            return Err((400, "Contact too long"));
        }
        Ok(ContactUpdate {
            uri: contact.uri.to_owned(),
            q: u16::try_from(header::quality(header::param(contact.params, "q"))).unwrap_or(1000),
            expires_s: header::param(contact.params, "expires").map(expires).or(general),
        })
    };
    values.iter().map(read).collect::<Result<_, _>>().map(Contacts::Update)
}

/// Too large is as long as can be.
fn expires(text: &str) -> u32 {
    let digits = text.trim();
    match number(digits) {
        Some(n) => u32::try_from(n).unwrap_or(u32::MAX),
        None if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => u32::MAX,
        None => DEFAULT_EXPIRES_S,
    }
}

pub(crate) fn answer(core: &mut Core, id: RegistrationId, answer: &RegistrationAnswer) {
    match answer {
        RegistrationAnswer::Challenge { realm, stale } => challenge(core, id, realm, *stale),
        RegistrationAnswer::Accepted { contacts, path } => accept(core, id.0, contacts, path),
        RegistrationAnswer::TooBrief { min_expires_s } => {
            core.respond(id.0, 423, &[("Min-Expires", &min_expires_s.to_string())]);
        }
        RegistrationAnswer::Silence => core.remove_server(id.0),
        RegistrationAnswer::Refused { status, phrase } => answer_plainly(core, id.0, *status, *phrase),
    }
}

fn answer_plainly(core: &mut Core, server: Key, status: u16, phrase: Option<&str>) {
    if let Some(b) = core.begin_response(server, status, phrase) {
        core.send_response(server, status, b.finish());
    }
}

/// RFC 3261 §22.2: a registrar is a server that the user agent talks to itself, so it is 401.
fn challenge(core: &mut Core, id: RegistrationId, realm: &str, stale: bool) {
    let RegistrationId(server, algorithms) = id;
    let Some(flow) = core.server_flow(server) else { return };
    let salt = core.random.next_u64();
    let nonce = core.nonces.make(core.now.tick, salt, flow.remote.ip());
    let Some(mut b) = core.begin_response(server, 401, None) else { return };
    digest::write_some_challenges(&mut b, algorithms, (401, realm, &nonce), stale);
    core.send_response(server, 401, b.finish());
}

fn accept(core: &mut Core, server: Key, contacts: &[ContactUpdate], path: &[String]) {
    let Some(mut b) = core.begin_response(server, 200, None) else { return };
    for contact in contacts {
        b.raw("Contact: <").text(&contact.uri).raw(">;expires=");
        b.number(u64::from(contact.expires_s.unwrap_or(0)));
        if contact.q < 1000 {
            b.raw(&format!(";q=0.{:03}", contact.q));
        }
        b.raw("\r\n");
    }
    for hop in path {
        b.header("Path", hop);
    }
    core.send_response(server, 200, b.finish());
}
