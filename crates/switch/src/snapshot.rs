//! The configuration as the brain sees it: one immutable value, built aside by `store` and swapped whole.
//! Unchanged parts (a rate group of a million prefixes) are shared between versions.

use billing::ledger::AccountTerms;
use billing::rate::RateGroup;
use params::Params;
use routing::{Plan, Rewriting};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use vocab::leg::{PlainCredentials, ReplyAddress, RequestAddress, StoredSecret};
use vocab::net::Cidr;
use vocab::{AccountId, CallLevel, MappingGatewayId, RateGroupId, RoutingGatewayId, Transport, Utc};

/// Who is billed (`BIL-1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: Arc<str>,
    pub terms: AccountTerms,
    pub rate_group: Option<RateGroupId>,
    /// Stands before the other (`BIL-5`).
    pub private_rates: Option<RateGroupId>,
    pub locked: bool,
    pub valid_until: Option<Utc>,
    /// Money is reserved and calls are cut (or refused) when it ends (`BIL-13`). Off: the balance may go below.
    pub anti_overdraft: bool,
    pub max_concurrency: Option<u32>,
    pub max_cps: Option<u32>,
}

impl Account {
    pub fn expired(&self, now: Utc) -> bool {
        self.valid_until.is_some_and(|until| now >= until)
    }
}

/// How a mapping gateway proves itself (`SIG-7`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    Ip(Vec<Cidr>),
    IpPort(Vec<SocketAddr>),
    Password { username: String, secret: StoredSecret },
}

/// Where the caller's number is read (`SIG-14`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallerSource {
    #[default]
    From,
    Display,
    Asserted,
    RemoteParty,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CalledSource {
    #[default]
    RequestUri,
    To,
}

/// A trunk on the customer's side.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingGateway {
    pub id: MappingGatewayId,
    pub name: Arc<str>,
    pub account: AccountId,
    pub enabled: bool,
    pub authentication: Authentication,
    /// Where several gateways share an address, the one with the longest of these prefixes takes the call.
    /// Empty: takes any number.
    pub called_prefixes: Vec<String>,
    pub caller_source: CallerSource,
    pub called_source: CalledSource,
    /// Changes both numbers before anything else looks at them.
    pub rewriting: Rewriting,
    pub reply_address: ReplyAddress,
    pub request_address: RequestAddress,
    pub max_concurrency: Option<u32>,
    pub max_cps: Option<u32>,
    /// Stands before the rates of the account.
    pub rate_group: Option<RateGroupId>,
    /// The farthest destinations that it may call.
    pub call_level: Option<CallLevel>,
    /// System parameters with this gateway's overrides.
    pub params: Arc<Params>,
}

/// A trunk on the vendor's side.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingGateway {
    /// What routing looks at.
    pub route: Arc<routing::Gateway>,
    /// `None` while a host name has not been resolved: unreachable.
    pub target: Option<SocketAddr>,
    /// The host name, when the gateway is given by name.
    pub host: Option<String>,
    pub transport: Transport,
    /// Stands before the rates of the vendor's account.
    pub rate_group: Option<RateGroupId>,
    pub credentials: Option<PlainCredentials>,
    /// Statuses after which the next gateway is tried; `None`: by the table of end reasons.
    pub failover_codes: Option<Vec<u16>>,
    pub follow_redirects: bool,
    /// Changes both numbers as they are sent to this gateway.
    pub rewriting: Rewriting,
    /// The vendor charges for the number after these rules, not for the one before.
    pub rate_rewritten: bool,
    pub reply_address: ReplyAddress,
    pub request_address: RequestAddress,
    pub params: Arc<Params>,
}

/// Everything that decides about calls, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Version of the configuration; grows with each change.
    pub version: u64,
    pub params: Arc<Params>,
    /// Digest realm.
    pub realm: Arc<str>,
    /// Rules for the numbers of every call, after those of its mapping gateway.
    pub rewriting: Arc<Rewriting>,
    pub accounts: BTreeMap<AccountId, Arc<Account>>,
    pub rate_groups: BTreeMap<RateGroupId, Arc<RateGroup>>,
    pub routing_gateways: BTreeMap<RoutingGatewayId, Arc<RoutingGateway>>,
    pub plan: Arc<Plan>,
    mapping_gateways: Vec<Arc<MappingGateway>>,
    sources: Sources,
}

/// Mapping and routing gateways by where their messages come from.
#[derive(Clone, Debug, Default)]
struct Sources {
    /// Gateways with exactly this address in their list (authentication by ip or ip-port).
    by_ip: HashMap<IpAddr, Vec<usize>>,
    /// Gateways with wider blocks.
    blocks: Vec<(Cidr, usize)>,
    by_username: HashMap<String, usize>,
    vendors: HashMap<IpAddr, Vec<RoutingGatewayId>>,
}

impl Snapshot {
    /// Puts the mapping gateways in place and indexes all gateways by source. Call after `routing_gateways` is set.
    pub fn with_mapping_gateways(mut self, gateways: Vec<Arc<MappingGateway>>) -> Snapshot {
        let mut sources = Sources::default();
        for (index, gateway) in gateways.iter().enumerate() {
            match &gateway.authentication {
                Authentication::Ip(list) => list.iter().for_each(|cidr| sources.add(*cidr, index)),
                Authentication::IpPort(list) => list.iter().for_each(|address| {
                    sources.by_ip.entry(address.ip().to_canonical()).or_default().push(index);
                }),
                Authentication::Password { username, .. } => {
                    sources.by_username.insert(username.clone(), index);
                }
            }
        }
        for (id, gateway) in &self.routing_gateways {
            if let Some(target) = gateway.target {
                sources.vendors.entry(target.ip().to_canonical()).or_default().push(*id);
            }
        }
        self.mapping_gateways = gateways;
        self.sources = sources;
        self
    }

    pub fn mapping_gateways(&self) -> &[Arc<MappingGateway>] {
        &self.mapping_gateways
    }

    /// Enabled gateways that trust this source by address, in the order of the configuration.
    pub fn mapping_by_source(&self, source: SocketAddr) -> impl Iterator<Item = &Arc<MappingGateway>> {
        let ip = source.ip().to_canonical();
        let exact = self.sources.by_ip.get(&ip).into_iter().flatten().copied();
        let wide = self.sources.blocks.iter().filter(move |(cidr, _)| cidr.contains(ip)).map(|(_, i)| *i);
        exact.chain(wide).filter_map(|i| self.mapping_gateways.get(i)).filter(move |g| {
            g.enabled
                && match &g.authentication {
                    Authentication::IpPort(list) => {
                        list.iter().any(|a| a.ip().to_canonical() == ip && a.port() == source.port())
                    }
                    Authentication::Ip(_) => true,
                    Authentication::Password { .. } => false,
                }
        })
    }

    pub fn mapping_by_username(&self, name: &str) -> Option<&Arc<MappingGateway>> {
        let index = *self.sources.by_username.get(name)?;
        self.mapping_gateways.get(index).filter(|g| g.enabled)
    }

    pub fn has_password_gateways(&self) -> bool {
        !self.sources.by_username.is_empty()
    }

    /// A routing gateway at this address, for its requests to us.
    pub fn routing_by_source(&self, source: SocketAddr) -> Option<&Arc<RoutingGateway>> {
        let ids = self.sources.vendors.get(&source.ip().to_canonical())?;
        let by_port = ids.iter().find(|id| {
            self.routing_gateways.get(id).and_then(|g| g.target).is_some_and(|t| t.port() == source.port())
        });
        self.routing_gateways.get(by_port.or(ids.first())?)
    }

    /// Is this the address of a gateway?
    pub fn knows(&self, source: SocketAddr) -> bool {
        self.mapping_by_source(source).next().is_some() || self.routing_by_source(source).is_some()
    }

    pub fn mapping_gateway(&self, id: MappingGatewayId) -> Option<&Arc<MappingGateway>> {
        self.mapping_gateways.iter().find(|g| g.id == id)
    }
}

impl Sources {
    fn add(&mut self, cidr: Cidr, index: usize) {
        let full = if cidr.address.is_ipv4() { 32 } else { 128 };
        if cidr.length == full {
            self.by_ip.entry(cidr.address).or_default().push(index);
        } else {
            self.blocks.push((cidr, index));
        }
    }
}
