//! The configuration as the brain sees it: one immutable value, built aside by `store` and swapped whole.
//! Unchanged parts (a rate group of a million prefixes) are shared between versions.

use crate::registrar::Registrant;
use billing::WorkCalendar;
use billing::ledger::AccountTerms;
use billing::rate::RateGroup;
use billing::{Percent, Zone};
use params::{Params, RoutePolicy};
use routing::{Access, NumberList, NumberRules, Plan, Policy, Rewriting, Rules};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use vocab::explain::Whose;
use vocab::identity::{ClaimMode, PoolOrder, PrivacyMode};
use vocab::leg::{PlainCredentials, ReplyAddress, RequestAddress, StoredSecret};
use vocab::net::Cidr;
use vocab::{
    AccountId, CalendarId, CallLevel, GatewayGroupId, IdMap, MappingGatewayId, Money, NumberListId,
    RateGroupId, RoutingGatewayId, Transport, Utc,
};

/// Who is billed (`BIL-1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: Arc<str>,
    pub terms: AccountTerms,
    /// The agent that it is a customer of; agents have agents above them in turn (`BIL-9`).
    pub agent: Option<AccountId>,
    pub rate_group: Option<RateGroupId>,
    /// Stands before the other (`BIL-5`).
    pub private_rates: Option<RateGroupId>,
    pub locked: bool,
    pub valid_until: Option<Utc>,
    /// Money is reserved and calls are cut (or refused) when it ends (`BIL-13`). Off: the balance may go below.
    pub anti_overdraft: bool,
    pub max_concurrency: Option<u32>,
    pub max_cps: Option<u32>,
    /// The longest conversation.
    pub max_call_duration_s: Option<u32>,
    pub quotas: Quotas,
    /// Where its days begin.
    pub zone: Arc<Zone>,
    pub tax_rate: Percent,
    pub lists: Lists,
}

/// Most minutes and most money in a local day and in a local month (`RTE-5`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    pub minutes: [Option<u32>; 2],
    pub money: [Option<Money>; 2],
}

/// Black and white lists of a gateway, an account or the switch (`RTE-10`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Numbers in any of these are refused.
    pub caller_black: Vec<NumberListId>,
    pub called_black: Vec<NumberListId>,
    /// Numbers that are in none of these are refused, where there are some.
    pub caller_white: Vec<NumberListId>,
    pub called_white: Vec<NumberListId>,
}

impl Lists {
    pub fn is_empty(&self) -> bool {
        [&self.caller_black, &self.called_black, &self.caller_white, &self.called_white]
            .iter()
            .all(|list| list.is_empty())
    }
}

/// A black or white list with its name.
#[derive(Clone, Debug)]
pub struct NamedList {
    pub name: Arc<str>,
    pub numbers: Arc<NumberList>,
}

/// Routing gateways with lines in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayGroup {
    pub name: Arc<str>,
    pub max_concurrency: Option<u32>,
    pub max_cps: Option<u32>,
}

/// How the calls of a mapping gateway are routed and held in bounds. The default restricts nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calling {
    /// When it may call; `None`: always.
    pub calendar: Option<CalendarId>,
    /// Numbers that it may call from and to, as received.
    pub numbers: NumberRules,
    pub lists: Lists,
    pub number_limits: NumberLimits,
    pub access: Access,
    /// What gateways are sorted by; empty: as the switch does.
    pub policies: Vec<Policy>,
    /// Prefixes that are put before called numbers, and their shares of the calls.
    pub proportional: Vec<(String, u32)>,
    /// Rules for the numbers that stand in the place of the ordinary ones while their calendar is open.
    pub scheduled: Vec<(CalendarId, Rewriting)>,
    /// The dynamic black list watches its numbers also in the mode Standalone.
    pub dynamic_black_list: bool,
}

/// Bounds for one number, whatever gateways its calls come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberLimits {
    pub caller_calls: Option<u32>,
    pub caller_cps: Option<u32>,
    pub called_calls: Option<u32>,
    pub called_cps: Option<u32>,
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
    Preferred,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CalledSource {
    #[default]
    RequestUri,
    To,
    /// Who the call was diverted from; the Request-URI when it was not.
    Diversion,
}

/// Headers of the caller's INVITE that are passed on (`SIG-18`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassedHeaders {
    #[default]
    None,
    All,
    Named(Vec<String>),
}

/// Numbers of which one stands for the caller (`SIG-19`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerPool {
    pub numbers: Vec<Arc<str>>,
    pub order: PoolOrder,
    /// Calls that may use one number at once; `None`: any number of calls.
    pub multiplexes: Option<u32>,
}

/// What a routing gateway is told about the caller (`SIG-15` to `SIG-19`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutgoingIdentity {
    pub asserted: ClaimMode,
    pub preferred: ClaimMode,
    pub remote_party: ClaimMode,
    pub privacy: PrivacyMode,
    /// Changes the number in P-Asserted-Identity.
    pub asserted_rewrite: Rules,
    /// The local domain stands in From.
    pub local_domain: bool,
    pub passed_headers: PassedHeaders,
    pub pool: CallerPool,
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
    /// What the caller wishes of privacy is kept for the way out.
    pub support_privacy: bool,
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
    pub calling: Calling,
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
    /// Rules that stand in the place of those while their calendar is open.
    pub scheduled: Vec<(CalendarId, Rewriting)>,
    pub lists: Lists,
    /// The vendor charges for the number after these rules, not for the one before.
    pub rate_rewritten: bool,
    pub identity: OutgoingIdentity,
    pub reply_address: ReplyAddress,
    pub request_address: RequestAddress,
    pub params: Arc<Params>,
    /// It registers with us, and is where it has registered (`SIG-8`).
    pub login: Option<(String, StoredSecret)>,
    /// We register with it.
    pub registration: Option<OutboundRegistration>,
    /// Seconds between two OPTIONS (`SIG-11`); 0: none are sent.
    pub check_interval_s: u32,
    /// It is the line to the phone of this id.
    pub phone: Option<u32>,
}

impl RoutingGateway {
    /// Host part of what is sent there.
    pub(crate) fn request_host(&self) -> Option<String> {
        self.registration.as_ref().map(|r| r.domain.clone()).or_else(|| self.host.clone())
    }
}

/// Our registration with a vendor (`SIG-8`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundRegistration {
    pub user: String,
    pub credentials: PlainCredentials,
    pub domain: String,
    pub expires_s: Option<u32>,
}

/// A phone (`SIG-9`): one user's trunk, both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Phone {
    pub id: u32,
    pub number: Arc<str>,
    /// Shown to those whom it calls.
    pub display: Arc<str>,
    pub enabled: bool,
    pub username: String,
    pub secret: StoredSecret,
    /// Prefixes that it may call; empty: all.
    pub allowed_destinations: Vec<String>,
    pub forwards: Forwards,
    pub do_not_disturb: bool,
    pub max_contacts: usize,
    /// Calls from and to it at once.
    pub max_calls: Option<u32>,
    /// What it is as a caller, and as a called party. Their ids are [`phone_of`] its own.
    pub trunk: Arc<MappingGateway>,
    pub line: Arc<RoutingGateway>,
}

impl Phone {
    pub fn may_call(&self, digits: &str) -> bool {
        let list = &self.allowed_destinations;
        list.is_empty() || list.iter().any(|prefix| digits.starts_with(prefix.as_str()))
    }
}

/// Where a phone sends its calls on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwards {
    pub always: Option<String>,
    pub busy: Option<String>,
    pub no_answer: Option<String>,
    pub not_reachable: Option<String>,
}

/// The id of a phone among those of gateways.
pub const fn phone_of(id: u32) -> u32 {
    id | 1 << 31
}

/// What a phone is called where gateways have their names.
pub fn phone_name(number: &str) -> Arc<str> {
    format!("phone {number}").into()
}

/// A phone as what calls are sent to.
pub fn line_of_phone(
    id: u32,
    number: &str,
    account: AccountId,
    enabled: bool,
    params: Arc<Params>,
) -> RoutingGateway {
    let route = routing::Gateway {
        id: RoutingGatewayId(phone_of(id)),
        name: phone_name(number),
        account,
        enabled,
        prefixes: Vec::new(),
        priority: 1,
        max_concurrency: None,
        max_cps: None,
        guards: routing::Guards::default(),
        terms: routing::Terms::default(),
    };
    RoutingGateway {
        route: Arc::new(route),
        target: None,
        host: None,
        transport: Transport::Udp,
        rate_group: None,
        credentials: None,
        failover_codes: None,
        follow_redirects: false,
        rewriting: Rewriting::default(),
        scheduled: Vec::new(),
        lists: Lists::default(),
        rate_rewritten: false,
        identity: OutgoingIdentity::default(),
        reply_address: ReplyAddress::Socket,
        request_address: RequestAddress::Socket,
        params,
        login: None,
        registration: None,
        check_interval_s: 0,
        phone: Some(id),
    }
}

/// Somebody who may register.
pub(crate) struct Login<'a> {
    pub who: Registrant,
    pub secret: &'a StoredSecret,
    /// What may be registered with it.
    pub names: Vec<&'a str>,
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
    /// Of `routing_gateways` those that are vendors' trunks, not lines to phones.
    pub(crate) vendor_gateways: BTreeMap<RoutingGatewayId, Arc<RoutingGateway>>,
    phones: HashMap<u32, Arc<Phone>>,
    phones_by_number: HashMap<Arc<str>, u32>,
    pub groups: BTreeMap<GatewayGroupId, Arc<GatewayGroup>>,
    pub calendars: BTreeMap<CalendarId, Arc<WorkCalendar>>,
    pub number_lists: BTreeMap<NumberListId, NamedList>,
    /// Lists that every call is held against.
    pub lists: Lists,
    mapping_gateways: Vec<Arc<MappingGateway>>,
    sources: Sources,
    /// Somewhere single numbers have bounds.
    counts_numbers: bool,
    sellers: IdMap<RoutingGatewayId, Seller>,
}

/// A routing gateway with all that pricing and judging it needs, found at once.
#[derive(Clone, Debug)]
pub struct Seller {
    pub gateway: Arc<RoutingGateway>,
    pub account: Arc<Account>,
    /// The vendor's rates from the nearest to the farthest.
    pub tables: Vec<Arc<RateGroup>>,
}

/// Mapping and routing gateways by where their messages come from.
#[derive(Clone, Debug, Default)]
struct Sources {
    /// Gateways with exactly this address in their list (authentication by ip or ip-port).
    by_ip: HashMap<IpAddr, Vec<usize>>,
    /// Gateways with wider blocks.
    blocks: Vec<(Cidr, usize)>,
    by_username: HashMap<String, usize>,
    phones_by_username: HashMap<String, u32>,
    /// Routing gateways that register with us.
    vendors_by_username: HashMap<String, RoutingGatewayId>,
    vendors: HashMap<IpAddr, Vec<RoutingGatewayId>>,
}

impl Snapshot {
    /// Puts the mapping gateways in place and indexes all gateways. Call after all else is set.
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
            if let Some((username, _)) = &gateway.login {
                sources.vendors_by_username.insert(username.clone(), *id);
            }
            if let Some(target) = gateway.target {
                sources.vendors.entry(target.ip().to_canonical()).or_default().push(*id);
            }
        }
        self.counts_numbers = self.params.black_list_concurrent_limit != 0
            || gateways.iter().any(|g| g.calling.number_limits != NumberLimits::default());
        self.sellers =
            self.routing_gateways.iter().filter_map(|(id, g)| Some((*id, self.seller_of(g)?))).collect();
        self.mapping_gateways = gateways;
        self.sources = sources;
        self.vendor_gateways = self.routing_gateways.clone();
        self
    }

    /// Puts the phones in place. Call last.
    pub fn with_phones(mut self, phones: Vec<Arc<Phone>>) -> Snapshot {
        for phone in phones {
            self.routing_gateways.insert(phone.line.route.id, phone.line.clone());
            self.sellers.extend(self.seller_of(&phone.line).map(|seller| (phone.line.route.id, seller)));
            self.phones_by_number.insert(phone.number.clone(), phone.id);
            self.sources.phones_by_username.insert(phone.username.clone(), phone.id);
            self.phones.insert(phone.id, phone);
        }
        self
    }

    pub fn phone(&self, id: u32) -> Option<&Arc<Phone>> {
        self.phones.get(&id)
    }

    pub fn phone_by_number(&self, digits: &str) -> Option<&Arc<Phone>> {
        self.phones.get(self.phones_by_number.get(digits)?)
    }

    pub fn phone_of_trunk(&self, trunk: MappingGatewayId) -> Option<&Arc<Phone>> {
        (trunk.0 >> 31 == 1).then(|| self.phones.get(&(trunk.0 & !(1 << 31))))?
    }

    /// Whom a username belongs to.
    pub(crate) fn login(&self, username: &str) -> Option<Login<'_>> {
        let sources = &self.sources;
        if let Some(phone) = sources.phones_by_username.get(username).and_then(|id| self.phones.get(id)) {
            let names = vec![phone.username.as_str(), &*phone.number];
            let login = Login { who: Registrant::Phone(phone.id), secret: &phone.secret, names };
            return phone.enabled.then_some(login);
        }
        if let Some(id) = sources.vendors_by_username.get(username) {
            let gateway = self.routing_gateways.get(id).filter(|g| g.route.enabled)?;
            let (username, secret) = gateway.login.as_ref()?;
            return Some(Login { who: Registrant::RoutingGateway(id.0), secret, names: vec![username] });
        }
        let gateway = self.mapping_gateways.get(*sources.by_username.get(username)?).filter(|g| g.enabled)?;
        match &gateway.authentication {
            Authentication::Password { username, secret } => {
                Some(Login { who: Registrant::MappingGateway(gateway.id.0), secret, names: vec![username] })
            }
            Authentication::Ip(_) | Authentication::IpPort(_) => None,
        }
    }

    /// What a registrant is called; `None`: it may not be registered any more.
    pub(crate) fn registrant_name(&self, who: Registrant) -> Option<Arc<str>> {
        match who {
            Registrant::Phone(id) => self.phones.get(&id).filter(|p| p.enabled).map(|p| p.number.clone()),
            Registrant::MappingGateway(id) => {
                let gateway = self.mapping_gateway(MappingGatewayId(id)).filter(|g| g.enabled)?;
                matches!(gateway.authentication, Authentication::Password { .. })
                    .then(|| gateway.name.clone())
            }
            Registrant::RoutingGateway(id) => {
                let gateway = self.routing_gateways.get(&RoutingGatewayId(id))?;
                gateway.login.as_ref().map(|_| gateway.route.name.clone())
            }
        }
    }

    /// The agents above an account, from the nearest to the topmost. An agent that is not there ends the row with its id.
    pub fn agents_of(&self, account: &Account) -> impl Iterator<Item = (AccountId, Option<&Arc<Account>>)> {
        let mut above = account.agent;
        // More in a row than there are accounts would be a circle, which the configuration does not let in.
        std::iter::from_fn(move || {
            let id = above?;
            let agent = self.accounts.get(&id);
            above = agent.and_then(|agent| agent.agent);
            Some((id, agent))
        })
        .take(self.accounts.len())
    }

    fn seller_of(&self, gateway: &Arc<RoutingGateway>) -> Option<Seller> {
        let account = self.accounts.get(&gateway.route.account)?.clone();
        let groups = [gateway.rate_group, account.private_rates, account.rate_group];
        let tables = groups.into_iter().flatten().filter_map(|group| self.rate_groups.get(&group).cloned());
        Some(Seller { gateway: gateway.clone(), tables: tables.collect(), account })
    }

    /// `None` where the gateway or its account is gone.
    pub fn seller(&self, gateway: RoutingGatewayId) -> Option<&Seller> {
        self.sellers.get(&gateway)
    }

    /// Are calls counted by their numbers? Not where nothing asks for it.
    pub fn counts_numbers(&self) -> bool {
        self.counts_numbers
    }

    /// Is this a time of the calendar? One that is gone restricts nothing.
    pub fn is_open(&self, calendar: CalendarId, at: Utc) -> bool {
        self.calendars.get(&calendar).is_none_or(|calendar| calendar.is_open(at))
    }

    /// Of ordinary rules and those bound to calendars, the ones that hold now.
    pub fn rules_at<'a>(
        &self,
        ordinary: &'a Rewriting,
        scheduled: &'a [(CalendarId, Rewriting)],
        at: Utc,
    ) -> &'a Rewriting {
        let open = scheduled.iter().find(|(calendar, _)| self.is_open(*calendar, at));
        open.map_or(ordinary, |(_, rules)| rules)
    }

    /// The list that speaks against a call with these numbers. A number is given in all its forms, as received and
    /// after rules: a black list holds against any of them, a white list is satisfied by any.
    pub fn listed(&self, lists: &Lists, caller: &[&str], called: &[&str]) -> Option<(Whose, Arc<str>)> {
        if lists.is_empty() {
            return None;
        }
        let has = |id: &NumberListId, forms: &[&str]| {
            let list = self.number_lists.get(id)?;
            forms.iter().any(|number| list.numbers.contains(number)).then(|| list.name.clone())
        };
        let sides = [
            (Whose::Caller, caller, &lists.caller_black, &lists.caller_white),
            (Whose::Called, called, &lists.called_black, &lists.called_white),
        ];
        sides.into_iter().find_map(|(whose, forms, black, white)| {
            if let Some(name) = black.iter().find_map(|id| has(id, forms)) {
                return Some((whose, name));
            }
            let first = white.first().and_then(|id| self.number_lists.get(id))?;
            let passed = white.iter().any(|id| has(id, forms).is_some());
            (!passed).then(|| (whose, first.name.clone()))
        })
    }

    /// What the gateways for a call of this mapping gateway are sorted by.
    pub fn policies(&self, gateway: &MappingGateway) -> Vec<Policy> {
        if !gateway.calling.policies.is_empty() {
            return gateway.calling.policies.clone();
        }
        let params = &self.params;
        let (cost, quality) =
            (params.gateway_fee_rate_route_sort_config, params.gateway_asr_route_sort_config);
        let cost_first = params.gateway_fee_rate_route_before_asr;
        let mut sorts = [(cost, !cost_first, Policy::Cost), (quality, cost_first, Policy::Quality)];
        sorts.sort_by_key(|(place, later, _)| (*place, *later));
        let placed = sorts.into_iter().filter(|(place, ..)| *place > 0).map(|(.., policy)| policy);
        placed.chain(policy_of(params.gateway_route_policy)).collect()
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
        if let Some(phone) = self.sources.phones_by_username.get(name).and_then(|id| self.phones.get(id)) {
            return Some(&phone.trunk).filter(|_| phone.enabled);
        }
        let index = *self.sources.by_username.get(name)?;
        self.mapping_gateways.get(index).filter(|g| g.enabled)
    }

    pub fn has_password_gateways(&self) -> bool {
        let sources = &self.sources;
        !(sources.by_username.is_empty()
            && sources.phones_by_username.is_empty()
            && sources.vendors_by_username.is_empty())
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
        if let Some(phone) = self.phone_of_trunk(id) {
            return Some(&phone.trunk);
        }
        self.mapping_gateways.iter().find(|g| g.id == id)
    }
}

fn policy_of(policy: RoutePolicy) -> Option<Policy> {
    Some(match policy {
        RoutePolicy::Fixed => Policy::Fixed,
        RoutePolicy::Weight => Policy::Weight,
        RoutePolicy::Cost => Policy::Cost,
        RoutePolicy::Quality => Policy::Quality,
        RoutePolicy::RoundRobin => Policy::RoundRobin,
        RoutePolicy::LeastLoaded => Policy::LeastLoaded,
        RoutePolicy::FreeCapacity => return None,
    })
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
