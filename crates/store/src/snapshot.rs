//! The configuration as the brain wants it: resolved, indexed, immutable. Rate tables that have not changed are
//! shared with the snapshot before.

use crate::config::{self, Authentication, CalledSource, CallerSource, Config, Document, Target};
use crate::rates::{each_rate, sheet_version};
use crate::rewriting::{self, rewriting};
use crate::routes;
use crate::sql::Connection;
use crate::store::lock;
use crate::{Store, StoreError};
use billing::rate::RateTableBuilder;
use billing::{AccountTerms, Inherited, RateGroup, RateTable};
use routing::{Gateway, Guards, Plan, Rewriting};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use switch::snapshot as brain;
use switch::{Account, MappingGateway, RoutingGateway, Snapshot};
use vocab::leg::{PlainCredentials, StoredSecret};
use vocab::net::{Cidr, canonical};
use vocab::{
    AccountId, CalendarId, GatewayGroupId, MappingGatewayId, NumberListId, RateGroupId, RoutingGatewayId,
};

impl Store {
    /// Builds the snapshot of the current configuration. `resolved` holds the addresses of host names
    /// ([`Store::host_names`]); a gateway whose name is missing is unreachable until a later snapshot.
    pub fn snapshot(&self, resolved: &HashMap<String, IpAddr>) -> Result<Arc<Snapshot>, StoreError> {
        let config = self.config();
        let routing_gateways = self.routing_gateways(&config, resolved)?;
        let plan = Plan::build(routing_gateways.values().map(|g| g.route.clone()).collect());
        let plan =
            plan.map_err(|(gateway, e)| StoreError::corrupt(format!("routing gateway {gateway:?}: {e}")))?;
        let mapping_gateways: Result<Vec<_>, StoreError> =
            config.mapping_gateways.iter().map(|g| mapping_gateway(&config, g).map(Arc::new)).collect();
        let mut snapshot = Snapshot::default();
        snapshot.version = config.version;
        snapshot.params = config.params.clone();
        snapshot.realm = config.realm.clone();
        let (caller, called) = (&config.params.rewrite_caller, &config.params.rewrite_called);
        let rules = |text: &str| rewriting::from_text(text).unwrap_or_default();
        snapshot.rewriting = Arc::new(Rewriting { caller: rules(caller), called: rules(called) });
        snapshot.accounts = config.accounts.iter().map(|a| account(&config, a)).collect::<Result<_, _>>()?;
        snapshot.rate_groups = self.rate_groups(&config)?;
        snapshot.routing_gateways = routing_gateways;
        snapshot.plan = Arc::new(plan);
        let groups = config.gateway_groups.iter();
        snapshot.groups =
            groups.map(|g| (GatewayGroupId(g.id), Arc::new(routes::group(&g.document)))).collect();
        for stored in config.calendars.iter() {
            let calendar = Arc::new(routes::calendar(&stored.document)?);
            snapshot.calendars.insert(CalendarId(stored.id), calendar);
        }
        snapshot.number_lists = self.number_lists(&config)?;
        snapshot.lists = routes::system_lists(&config);
        let phones: Result<Vec<_>, StoreError> =
            config.phones.iter().map(|p| phone(&config, p).map(Arc::new)).collect();
        Ok(Arc::new(snapshot.with_mapping_gateways(mapping_gateways?).with_phones(phones?)))
    }

    /// Lists are built anew only if their numbers have changed.
    fn number_lists(&self, config: &Config) -> Result<BTreeMap<NumberListId, brain::NamedList>, StoreError> {
        let known = lock(&self.inner().number_lists).clone();
        let mut all = BTreeMap::new();
        for stored in config.number_lists.iter() {
            let version = config.list_sheets.get(&stored.id).map_or(0, |sheet| sheet.version);
            let numbers = match known.get(&stored.id).filter(|(v, _)| *v == version) {
                Some((_, numbers)) => numbers.clone(),
                None => Arc::new(self.read(|db| crate::lists::numbers_of(db, stored.id))?),
            };
            all.insert(stored.id, (version, numbers));
        }
        let named = config.number_lists.iter().filter_map(|stored| {
            let (_, numbers) = all.get(&stored.id)?;
            let name = stored.document.name.as_str().into();
            Some((NumberListId(stored.id), brain::NamedList { name, numbers: numbers.clone() }))
        });
        let named = named.collect();
        *lock(&self.inner().number_lists) = all;
        Ok(named)
    }

    fn rate_groups(&self, config: &Config) -> Result<BTreeMap<RateGroupId, Arc<RateGroup>>, StoreError> {
        let known = lock(&self.inner().sheets).clone();
        let mut tables = BTreeMap::new();
        for stored in config.rate_groups.iter() {
            tables.insert(stored.id, self.read(|db| rate_table(db, stored.id, known.get(&stored.id)))?);
        }
        let mut groups = BTreeMap::new();
        for stored in config.rate_groups.iter() {
            rate_group(config, stored, &tables, &mut groups, 0)?;
        }
        *lock(&self.inner().sheets) = tables;
        Ok(groups)
    }

    fn routing_gateways(
        &self,
        config: &Config,
        resolved: &HashMap<String, IpAddr>,
    ) -> Result<BTreeMap<RoutingGatewayId, Arc<RoutingGateway>>, StoreError> {
        config
            .routing_gateways
            .iter()
            .map(|stored| {
                let document = &stored.document;
                let credentials = self.credentials(document)?;
                let gateway = routing_gateway(config, stored.id, document, credentials, resolved)?;
                Ok((RoutingGatewayId(stored.id), Arc::new(gateway)))
            })
            .collect()
    }

    /// What we present to a vendor, unsealed.
    fn credentials(&self, gateway: &config::RoutingGateway) -> Result<Option<PlainCredentials>, StoreError> {
        let Some(username) = gateway.username.clone().filter(|u| !u.is_empty()) else { return Ok(None) };
        let Some(sealed) = &gateway.sealed_password else {
            return Ok(Some(PlainCredentials { username, password: String::new() }));
        };
        let password = self.secrets().open(sealed).ok_or_else(|| {
            StoreError::Key(format!("it does not open the password of routing gateway {:?}", gateway.name))
        })?;
        Ok(Some(PlainCredentials { username, password }))
    }
}

/// Tables of rates by group, with the version they were built from.
type Tables = BTreeMap<u32, (u64, Arc<RateTable>)>;

/// Puts a group among the groups, after the one that it inherits from.
fn rate_group(
    config: &Config,
    stored: &config::Stored<config::RateGroup>,
    tables: &Tables,
    groups: &mut BTreeMap<RateGroupId, Arc<RateGroup>>,
    heirs: usize,
) -> Result<Arc<RateGroup>, StoreError> {
    let (id, document) = (RateGroupId(stored.id), &stored.document);
    if let Some(known) = groups.get(&id) {
        return Ok(known.clone());
    }
    let wrong = |what: &str| StoreError::corrupt(format!("rate group {:?}: {what}", document.name));
    if heirs > config.rate_groups.len() {
        return Err(wrong("it inherits from itself"));
    }
    let inherited = match &document.inherits {
        None => None,
        Some(name) => {
            let parent = config.rate_groups.named(name).ok_or_else(|| wrong("what it inherits from"))?;
            let group = rate_group(config, parent, tables, groups, heirs + 1)?;
            Some(Inherited { group, mark_up: document.mark_up, decimals: document.mark_up_decimals })
        }
    };
    let (_, table) = tables.get(&stored.id).ok_or_else(|| wrong("its rates"))?;
    let zone = crate::zones::zone(&document.time_zone).ok_or_else(|| wrong("its time zone"))?;
    let group = Arc::new(RateGroup {
        zone: Arc::new(zone),
        price_change: document.price_change,
        inherited,
        ..RateGroup::new(id, &document.name, document.currency, table.clone())
    });
    groups.insert(id, group.clone());
    Ok(group)
}

/// The group's table, built anew only if its rates have changed.
fn rate_table(
    db: &Connection,
    group: u32,
    known: Option<&(u64, Arc<RateTable>)>,
) -> Result<(u64, Arc<RateTable>), StoreError> {
    let version = sheet_version(db, group)?;
    if let Some((_, table)) = known.filter(|(v, _)| *v == version) {
        return Ok((version, table.clone()));
    }
    let mut builder = RateTableBuilder::default();
    each_rate(db, group, |rate| {
        let added = builder.add(&rate.prefix, rate.validity(), rate.to_billing());
        added.map_err(|e| StoreError::corrupt(format!("rate {:?} of group {group}: {e}", rate.prefix)))
    })?;
    Ok((version, Arc::new(builder.build())))
}

fn account(
    config: &Config,
    stored: &config::Stored<config::Account>,
) -> Result<(AccountId, Arc<Account>), StoreError> {
    let document = &stored.document;
    let id = AccountId(stored.id);
    let agent = document.agent.as_ref();
    let agent = agent.map(|name| account_id(config, config::Account::TITLE, &document.name, name));
    let zone = crate::zones::zone(&document.time_zone);
    let zone =
        zone.ok_or_else(|| StoreError::corrupt(format!("account {:?}: its time zone", document.name)))?;
    let account = Account {
        id,
        name: document.name.as_str().into(),
        terms: AccountTerms {
            currency: document.currency,
            payment: document.payment,
            credit_limit: document.credit_limit,
        },
        agent: agent.transpose()?,
        rate_group: group_id(config, document.rate_group.as_ref()),
        private_rates: group_id(config, document.private_rates.as_ref()),
        locked: document.status == config::AccountStatus::Locked,
        valid_until: document.valid_until,
        anti_overdraft: document.anti_overdraft,
        max_concurrency: document.max_concurrency,
        max_cps: document.max_cps,
        max_call_duration_s: document.max_call_duration,
        quotas: brain::Quotas {
            minutes: [document.max_minutes_per_day, document.max_minutes_per_month],
            money: [document.max_money_per_day, document.max_money_per_month],
        },
        zone: Arc::new(zone),
        tax_rate: document.tax_rate,
        lists: routes::lists(config, &document.lists),
    };
    Ok((id, Arc::new(account)))
}

fn group_id(config: &Config, name: Option<&String>) -> Option<RateGroupId> {
    config.rate_groups.named(name?).map(|g| RateGroupId(g.id))
}

fn account_id(config: &Config, title: &str, gateway: &str, name: &str) -> Result<AccountId, StoreError> {
    let found = config.accounts.named(name).map(|a| AccountId(a.id));
    found.ok_or_else(|| StoreError::corrupt(format!("{title} {gateway:?}: there is no account {name:?}")))
}

/// System parameters with a gateway's own values; the common case shares them.
fn params_of(
    config: &Config,
    title: &str,
    gateway: &str,
    own: &BTreeMap<String, String>,
) -> Result<Arc<params::Params>, StoreError> {
    if own.is_empty() {
        return Ok(config.params.clone());
    }
    let pairs = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let params = config.params.with_overrides(pairs, true);
    params.map(Arc::new).map_err(|e| StoreError::corrupt(format!("{title} {gateway:?}: {e}")))
}

fn mapping_gateway(
    config: &Config,
    stored: &config::Stored<config::MappingGateway>,
) -> Result<MappingGateway, StoreError> {
    let document = &stored.document;
    let title = config::MappingGateway::TITLE;
    Ok(MappingGateway {
        id: MappingGatewayId(stored.id),
        name: document.name.as_str().into(),
        account: account_id(config, title, &document.name, &document.account)?,
        enabled: document.enabled,
        authentication: authentication(document)
            .ok_or_else(|| StoreError::corrupt(format!("{title} {:?}: its authentication", document.name)))?,
        called_prefixes: document.called_prefixes.clone(),
        caller_source: match document.caller_source {
            CallerSource::From => brain::CallerSource::From,
            CallerSource::Display => brain::CallerSource::Display,
            CallerSource::Asserted => brain::CallerSource::Asserted,
            CallerSource::RemoteParty => brain::CallerSource::RemoteParty,
            CallerSource::Preferred => brain::CallerSource::Preferred,
        },
        called_source: match document.called_source {
            CalledSource::RequestUri => brain::CalledSource::RequestUri,
            CalledSource::To => brain::CalledSource::To,
            CalledSource::Diversion => brain::CalledSource::Diversion,
        },
        support_privacy: document.support_privacy,
        rewriting: rewriting(title, &document.name, &document.caller_rewrite, &document.called_rewrite)?,
        reply_address: document.reply_address,
        request_address: document.request_address,
        max_concurrency: document.max_concurrency,
        max_cps: document.max_cps,
        rate_group: group_id(config, document.rate_group.as_ref()),
        call_level: document.call_level,
        calling: routes::calling(config, &document.name, &document.routing)?,
        params: params_of(config, title, &document.name, &document.parameters)?,
    })
}

fn authentication(gateway: &config::MappingGateway) -> Option<brain::Authentication> {
    Some(match gateway.authentication {
        Authentication::Ip => {
            let blocks: Option<Vec<Cidr>> = gateway.addresses.iter().map(|a| Cidr::parse(a)).collect();
            brain::Authentication::Ip(blocks?)
        }
        Authentication::IpPort => {
            let list: Result<Vec<SocketAddr>, _> = gateway.addresses.iter().map(|a| a.parse()).collect();
            brain::Authentication::IpPort(list.ok()?.into_iter().map(canonical).collect())
        }
        Authentication::Password => {
            let secret = gateway.secret.as_ref()?;
            let secret =
                StoredSecret { ha1_md5: secret.ha1_md5.clone(), ha1_sha256: secret.ha1_sha256.clone() };
            brain::Authentication::Password { username: gateway.username.clone()?, secret }
        }
    })
}

fn routing_gateway(
    config: &Config,
    id: u32,
    document: &config::RoutingGateway,
    credentials: Option<PlainCredentials>,
    resolved: &HashMap<String, IpAddr>,
) -> Result<RoutingGateway, StoreError> {
    let title = config::RoutingGateway::TITLE;
    let registration = credentials.clone().filter(|_| document.register).map(|credentials| {
        let address_host = || document.address.trim().trim_end_matches(":5060").to_owned();
        brain::OutboundRegistration {
            user: credentials.username.clone(),
            domain: document.register_domain.clone().unwrap_or_else(address_host),
            expires_s: document.register_expires,
            credentials: with_user(credentials, document.authentication_user.as_ref()),
        }
    });
    let credentials = credentials.map(|c| with_user(c, document.authentication_user.as_ref()));
    let login = document.secret.as_ref().filter(|_| document.dynamic).zip(document.username.clone());
    let login = login.map(|(secret, username)| (username, stored(secret)));
    let (target, host) = match document.target() {
        _ if login.is_some() => (None, None),
        Some(Target::Address(address)) => (Some(canonical(address)), None),
        Some(Target::Name { host, port }) => {
            (resolved.get(&host).map(|ip| SocketAddr::new(ip.to_canonical(), port)), Some(host))
        }
        None => return Err(StoreError::corrupt(format!("{title} {:?}: its address", document.name))),
    };
    let route = Gateway {
        id: RoutingGatewayId(id),
        name: document.name.as_str().into(),
        account: account_id(config, title, &document.name, &document.account)?,
        enabled: document.enabled,
        prefixes: document.prefixes.clone(),
        priority: document.priority,
        max_concurrency: document.max_concurrency,
        max_cps: document.max_cps,
        guards: Guards {
            lowest_profit_per_minute: document.lowest_profit_per_minute,
            max_price_per_minute: document.max_price_per_minute,
            check_rate: document.check_rate,
        },
        terms: routes::terms(config, &document.routing),
    };
    Ok(RoutingGateway {
        route: Arc::new(route),
        target,
        host,
        transport: document.transport,
        rate_group: group_id(config, document.rate_group.as_ref()),
        credentials,
        failover_codes: document.failover_codes.clone(),
        follow_redirects: document.follow_redirects,
        rewriting: rewriting(title, &document.name, &document.caller_rewrite, &document.called_rewrite)?,
        scheduled: routes::scheduled(config, title, &document.name, &document.routing.scheduled_rewrites)?,
        lists: routes::lists(config, &document.routing.lists),
        rate_rewritten: document.rate_rewritten,
        identity: outgoing_identity(document)?,
        reply_address: document.reply_address,
        request_address: document.request_address,
        params: params_of(config, title, &document.name, &document.parameters)?,
        login,
        registration,
        check_interval_s: document.check_interval.unwrap_or(0),
        phone: None,
    })
}

fn with_user(credentials: PlainCredentials, user: Option<&String>) -> PlainCredentials {
    match user.filter(|u| !u.is_empty()) {
        Some(user) => PlainCredentials { username: user.clone(), ..credentials },
        None => credentials,
    }
}

fn stored(secret: &config::GatewaySecret) -> StoredSecret {
    StoredSecret { ha1_md5: secret.ha1_md5.clone(), ha1_sha256: secret.ha1_sha256.clone() }
}

/// A phone is both: a trunk that calls come from, and a line that calls go to.
fn phone(config: &Config, phone: &config::Stored<config::Phone>) -> Result<brain::Phone, StoreError> {
    let (id, document) = (phone.id, &phone.document);
    let title = config::Phone::TITLE;
    let secret = document.secret.as_ref().map(stored);
    let secret =
        secret.ok_or_else(|| StoreError::corrupt(format!("{title} {:?}: its password", document.number)))?;
    let account = account_id(config, title, &document.number, &document.account)?;
    let mut params = params_of(config, title, &document.number, &document.parameters)?;
    if let Some(seconds) = document.ring_seconds {
        Arc::make_mut(&mut params).sip_timeout_ringing_s = seconds;
    }
    let username = document.username().to_owned();
    let trunk = MappingGateway {
        id: MappingGatewayId(brain::phone_of(id)),
        name: brain::phone_name(&document.number),
        account,
        enabled: document.enabled,
        authentication: brain::Authentication::Password {
            username: username.clone(),
            secret: secret.clone(),
        },
        called_prefixes: Vec::new(),
        caller_source: brain::CallerSource::From,
        called_source: brain::CalledSource::RequestUri,
        support_privacy: true,
        rewriting: Rewriting::default(),
        reply_address: Default::default(),
        request_address: Default::default(),
        max_concurrency: None,
        max_cps: None,
        rate_group: group_id(config, document.rate_group.as_ref()),
        call_level: document.call_level,
        calling: Default::default(),
        params: params.clone(),
    };
    Ok(brain::Phone {
        id,
        number: document.number.as_str().into(),
        display: document.display_number.as_deref().unwrap_or(&document.number).into(),
        enabled: document.enabled,
        username,
        secret,
        allowed_destinations: document.allowed_destinations.clone(),
        forwards: brain::Forwards {
            always: document.forward_always.clone(),
            busy: document.forward_busy.clone(),
            no_answer: document.forward_no_answer.clone(),
            not_reachable: document.forward_not_reachable.clone(),
        },
        do_not_disturb: document.do_not_disturb,
        max_contacts: usize::try_from(document.max_contacts).unwrap_or(1),
        max_calls: document.max_concurrency,
        trunk: Arc::new(trunk),
        line: Arc::new(brain::line_of_phone(id, &document.number, account, document.enabled, params)),
    })
}

/// What the gateway is told about callers.
fn outgoing_identity(document: &config::RoutingGateway) -> Result<brain::OutgoingIdentity, StoreError> {
    let title = config::RoutingGateway::TITLE;
    let passed_headers = match document.extra_headers.as_slice() {
        [] => brain::PassedHeaders::None,
        [all] if all == "*" => brain::PassedHeaders::All,
        names => brain::PassedHeaders::Named(names.to_vec()),
    };
    Ok(brain::OutgoingIdentity {
        asserted: document.asserted_identity,
        preferred: document.preferred_identity,
        remote_party: document.remote_party_id,
        privacy: document.privacy,
        asserted_rewrite: rewriting(title, &document.name, &document.asserted_rewrite, &[])?.caller,
        local_domain: document.local_domain,
        passed_headers,
        pool: brain::CallerPool {
            numbers: document.caller_pool.iter().map(|n| n.as_str().into()).collect(),
            order: document.caller_pool_order,
            multiplexes: document.caller_pool_multiplexes,
        },
    })
}
