//! Configurations in a few words, for ladders and campaigns:
//!
//! ```text
//! customer acme prepaid 10.00 retail 880=0.0300/60/6 44=0.012/1/1/fee:0.01
//! caller alice of acme max_cps 5
//! vendor v1 prio 1 880=0.02/1/1 max_calls 2 SS_SIP_TIMEOUT_RINGING=30
//! param SS_MEDIAPROXYMODE=On
//! ```
//!
//! One element ends at a line's end or a semicolon. The language is read by [`Business::change`]; elements of a name
//! that is there already replace it, so that a configuration can change while calls run.

use crate::digest;
use crate::route_words::{Keys, RouteWords, Shared};
use crate::world::EPOCH;
use billing::ledger::{AccountTerms, PaymentMode};
use billing::rate::{PriceChange, Rate, RateGroup, RateTable, RateTableBuilder, Validity};
use billing::{Hours, Percent, Zone};
use params::Params;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::{FromStr, SplitWhitespace};
use std::sync::Arc;
use std::time::Duration;
use switch::snapshot::{
    Account, Authentication, CalledSource, CallerSource, MappingGateway, OutgoingIdentity, PassedHeaders,
    Quotas, RoutingGateway, Snapshot,
};
use vocab::identity::{ClaimMode, PoolOrder, PrivacyMode};
use vocab::leg::{PlainCredentials, ReplyAddress, RequestAddress};
use vocab::net::Cidr;
use vocab::{
    AccountId, CallLevel, Currency, MappingGatewayId, Money, Price, RateGroupId, RateSection,
    RoutingGatewayId, Transport, Utc,
};

pub const REALM: &str = "tandem";

/// Where a simulated peer lives and how it proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    pub address: SocketAddr,
    pub transport: Transport,
    pub role: Role,
    pub credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Caller,
    Vendor,
    Stranger,
}

/// A whole configuration, with the peers that belong to it.
#[derive(Clone, Debug, Default)]
pub struct Business {
    pub parties: BTreeMap<String, Party>,
    accounts: BTreeMap<String, AccountWords>,
    callers: BTreeMap<String, CallerWords>,
    vendors: BTreeMap<String, VendorWords>,
    system: Vec<(String, String)>,
    /// Gateway groups, calendars and number lists.
    shared: Shared,
    version: u64,
    next_id: u32,
}

#[derive(Clone, Debug)]
struct AccountWords {
    id: u32,
    customer: bool,
    payment: PaymentMode,
    currency: Currency,
    opening: Money,
    credit: Option<Money>,
    locked: bool,
    expired: bool,
    anti_overdraft: bool,
    max_calls: Option<u32>,
    max_cps: Option<u32>,
    max_duration: Option<u32>,
    /// The agent above it.
    under: Option<String>,
    quotas: Quotas,
    tax_rate: Percent,
    group: String,
    rates: Vec<Row>,
    /// Its own table, which stands before the other.
    private: Vec<Row>,
    price_change: PriceChange,
}

/// A prefix, when its rate holds, and the rate.
type Row = (String, Validity, Rate);

/// Groups of private rates are numbered like their owners, from here on.
const PRIVATE: u32 = 1 << 20;

#[derive(Clone, Debug)]
struct CallerWords {
    id: u32,
    account: String,
    by_port: bool,
    disabled: bool,
    max_calls: Option<u32>,
    max_cps: Option<u32>,
    prefixes: Vec<String>,
    rewrites: Rewrites,
    params: Vec<(String, String)>,
    /// Rates of this trunk alone.
    own: Vec<Row>,
    level: Option<CallLevel>,
    caller_source: CallerSource,
    called_source: CalledSource,
    support_privacy: bool,
    /// `routing` of the caller's trunk, as a document says it.
    calling: RouteWords,
}

/// Rules that change numbers.
#[derive(Clone, Debug, Default)]
struct Rewrites {
    caller: Vec<String>,
    called: Vec<String>,
}

fn rules(words: &mut SplitWhitespace<'_>) -> Result<Vec<String>, String> {
    let text: String = value(words)?;
    Ok(routing::rewrite::split_text(&text).into_iter().map(|(_, rule)| rule).collect())
}

fn checked(list: &[String]) -> Result<routing::Rules, String> {
    routing::Rules::parse(list).map_err(|e| format!("{e:?}"))
}

fn rewriting(rewrites: &Rewrites) -> Result<routing::Rewriting, String> {
    Ok(routing::Rewriting { caller: checked(&rewrites.caller)?, called: checked(&rewrites.called)? })
}

fn claim(words: &mut SplitWhitespace<'_>) -> Result<ClaimMode, String> {
    match value::<String>(words)?.as_str() {
        "none" => Ok(ClaimMode::None),
        "passthrough" => Ok(ClaimMode::Passthrough),
        "caller" => Ok(ClaimMode::Caller),
        other => Err(format!("{other:?} is none of none, passthrough, caller")),
    }
}

fn privacy(word: &str) -> Result<PrivacyMode, String> {
    match word {
        "none" => Ok(PrivacyMode::None),
        "passthrough" => Ok(PrivacyMode::Passthrough),
        "id" => Ok(PrivacyMode::Id),
        other => Err(format!("{other:?} is none of none, passthrough, id")),
    }
}

fn passed(names: Vec<String>) -> PassedHeaders {
    if names == ["*"] { PassedHeaders::All } else { PassedHeaders::Named(names) }
}

fn caller_source(word: &str) -> Result<CallerSource, String> {
    Ok(match word {
        "from" => CallerSource::From,
        "display" => CallerSource::Display,
        "asserted" => CallerSource::Asserted,
        "remote_party" => CallerSource::RemoteParty,
        "preferred" => CallerSource::Preferred,
        other => return Err(format!("{other:?} is no place for a caller's number")),
    })
}

fn called_source(word: &str) -> Result<CalledSource, String> {
    Ok(match word {
        "request_uri" => CalledSource::RequestUri,
        "to" => CalledSource::To,
        "diversion" => CalledSource::Diversion,
        other => return Err(format!("{other:?} is no place for a called number")),
    })
}

#[derive(Clone, Debug)]
struct VendorWords {
    id: u32,
    priority: u32,
    prefixes: Option<Vec<String>>,
    disabled: bool,
    max_calls: Option<u32>,
    max_cps: Option<u32>,
    codes: Option<Vec<u16>>,
    redirects: bool,
    rewrites: Rewrites,
    rate_rewritten: bool,
    identity: OutgoingIdentity,
    guards: routing::Guards,
    params: Vec<(String, String)>,
    terms: RouteWords,
}

impl Business {
    pub fn parse(text: &str) -> Result<Business, String> {
        let mut business = Business::default();
        business.change(text)?;
        Ok(business)
    }

    /// Adds or replaces elements.
    pub fn change(&mut self, text: &str) -> Result<(), String> {
        self.version += 1;
        for element in text.split([';', '\n']).map(str::trim).filter(|e| !e.is_empty()) {
            self.element(element).map_err(|e| format!("{element:?}: {e}"))?;
        }
        Ok(())
    }

    fn element(&mut self, element: &str) -> Result<(), String> {
        let mut words = element.split_whitespace();
        let kind = words.next().unwrap_or("");
        if kind == "param" {
            self.system.extend(words.map(setting).collect::<Result<Vec<_>, _>>()?);
            return Ok(());
        }
        let name = words.next().ok_or("a name is missing")?.to_string();
        match kind {
            "customer" => self.customer(name, words),
            "agent" => self.agent(name, words),
            "caller" => self.caller(name, words),
            "vendor" => self.vendor(name, words),
            "group" | "calendar" | "list" => {
                let number = self.named(&name);
                self.shared.read(kind, &name, number, words)
            }
            "stranger" => {
                self.party(&name, Role::Stranger);
                words.next().map_or(Ok(()), |word| Err(format!("{word:?} is not known here")))
            }
            other => Err(format!(
                "{other:?} is none of customer, agent, caller, vendor, stranger, param, group, calendar, list"
            )),
        }
    }

    /// The key of a group, calendar or list; the same when it is changed.
    fn named(&mut self, name: &str) -> u32 {
        self.shared.key(name).unwrap_or_else(|| self.id())
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn party(&mut self, name: &str, role: Role) -> &mut Party {
        let net = match role {
            Role::Caller => 1,
            Role::Vendor => 2,
            Role::Stranger => 9,
        };
        let others = self.parties.values().filter(|p| p.role == role).count();
        let host = u8::try_from(others + 1).unwrap_or(u8::MAX);
        let address = SocketAddr::from(([10, net, 0, host], 5060));
        let party = Party { address, transport: Transport::Udp, role, credentials: None };
        self.parties.entry(name.to_string()).or_insert(party)
    }

    fn customer(&mut self, name: String, words: SplitWhitespace<'_>) -> Result<(), String> {
        let id = self.accounts.get(&name).map(|a| a.id);
        let id = id.unwrap_or_else(|| self.id());
        let account = AccountWords::read(id, true, &name, words)?;
        let first = self.accounts.values().all(|a| !a.customer);
        self.accounts.insert(name.clone(), account);
        // The first customer has a trunk without further words.
        if first { self.caller("alice".into(), format!("of {name}").split_whitespace()) } else { Ok(()) }
    }

    fn agent(&mut self, name: String, words: SplitWhitespace<'_>) -> Result<(), String> {
        let id = self.accounts.get(&name).map(|a| a.id);
        let id = id.unwrap_or_else(|| self.id());
        let account = AccountWords::read(id, false, &name, words)?;
        self.accounts.insert(name, account);
        Ok(())
    }

    fn caller(&mut self, name: String, mut words: SplitWhitespace<'_>) -> Result<(), String> {
        let id = self.callers.get(&name).map(|c| c.id);
        let id = id.unwrap_or_else(|| self.id());
        let (prefixes, params) = (Vec::new(), Vec::new());
        let account = String::new();
        let (max_calls, max_cps) = (None, None);
        let mut caller = CallerWords {
            id,
            account,
            by_port: false,
            disabled: false,
            max_calls,
            max_cps,
            prefixes,
            rewrites: Rewrites::default(),
            params,
            own: Vec::new(),
            level: None,
            caller_source: CallerSource::From,
            called_source: CalledSource::RequestUri,
            support_privacy: false,
            calling: RouteWords::default(),
        };
        self.party(&name, Role::Caller);
        while let Some(word) = words.next() {
            match word {
                "of" => caller.account = value(&mut words)?,
                "ip-port" => caller.by_port = true,
                "disabled" => caller.disabled = true,
                "max_calls" => caller.max_calls = Some(value(&mut words)?),
                "max_cps" => caller.max_cps = Some(value(&mut words)?),
                "takes" => caller.prefixes = list(&mut words)?,
                "own" => caller.own.push(rate(&value::<String>(&mut words)?)?),
                "level" => caller.level = Some(level(&value::<String>(&mut words)?)?),
                "caller_from" => caller.caller_source = caller_source(&value::<String>(&mut words)?)?,
                "called_from" => caller.called_source = called_source(&value::<String>(&mut words)?)?,
                "support_privacy" => caller.support_privacy = true,
                "caller_rewrite" => caller.rewrites.caller = rules(&mut words)?,
                "called_rewrite" => caller.rewrites.called = rules(&mut words)?,
                other if other.contains('=') => caller.params.push(setting(other)?),
                other if caller.calling.word(other, &mut words)? => {}
                other => self.party_word(&name, Role::Caller, other, &mut words)?,
            }
        }
        self.accounts.get(&caller.account).ok_or("of which customer?")?;
        self.callers.insert(name, caller);
        Ok(())
    }

    fn vendor(&mut self, name: String, words: SplitWhitespace<'_>) -> Result<(), String> {
        let id = self.vendors.get(&name).map(|v| v.id);
        let id = id.unwrap_or_else(|| self.id());
        let account_id = self.accounts.get(&name).map(|a| a.id);
        let account_id = account_id.unwrap_or_else(|| self.id());
        self.party(&name, Role::Vendor);
        let mut vendor = VendorWords {
            id,
            priority: 1,
            prefixes: None,
            disabled: false,
            max_calls: None,
            max_cps: None,
            codes: None,
            redirects: false,
            rewrites: Rewrites::default(),
            rate_rewritten: false,
            identity: OutgoingIdentity::default(),
            guards: routing::Guards::default(),
            params: Vec::new(),
            terms: RouteWords::default(),
        };
        let mut account_words = Vec::new();
        let mut words = words;
        while let Some(word) = words.next() {
            match word {
                "prio" => vendor.priority = value(&mut words)?,
                "takes" => vendor.prefixes = Some(list(&mut words)?),
                "disabled" => vendor.disabled = true,
                "max_calls" => vendor.max_calls = Some(value(&mut words)?),
                "max_cps" => vendor.max_cps = Some(value(&mut words)?),
                "codes" => vendor.codes = Some(list(&mut words)?),
                "redirects" => vendor.redirects = true,
                "caller_rewrite" => vendor.rewrites.caller = rules(&mut words)?,
                "called_rewrite" => vendor.rewrites.called = rules(&mut words)?,
                "rate_rewritten" => vendor.rate_rewritten = true,
                "pai" => vendor.identity.asserted = claim(&mut words)?,
                "ppi" => vendor.identity.preferred = claim(&mut words)?,
                "rpid" => vendor.identity.remote_party = claim(&mut words)?,
                "privacy" => vendor.identity.privacy = privacy(&value::<String>(&mut words)?)?,
                "pai_rewrite" => vendor.identity.asserted_rewrite = checked(&rules(&mut words)?)?,
                "local_domain" => vendor.identity.local_domain = true,
                "passes" => vendor.identity.passed_headers = passed(list(&mut words)?),
                "pool" => {
                    vendor.identity.pool.numbers =
                        list::<String>(&mut words)?.iter().map(|n| n.as_str().into()).collect()
                }
                "in_turn" => vendor.identity.pool.order = PoolOrder::RoundRobin,
                "multiplexes" => vendor.identity.pool.multiplexes = Some(value(&mut words)?),
                "lowest_profit" => vendor.guards.lowest_profit_per_minute = Some(value(&mut words)?),
                "max_price" => vendor.guards.max_price_per_minute = Some(value(&mut words)?),
                "check_rate" => vendor.guards.check_rate = true,
                "locked" | "expired" => account_words.push(word),
                "currency" => account_words.extend([word, words.next().unwrap_or("")]),
                other if other.starts_with("SS_") => vendor.params.push(setting(other)?),
                other if other.contains('=') => account_words.push(other),
                other if vendor.terms.word(other, &mut words)? => {}
                other => self.party_word(&name, Role::Vendor, other, &mut words)?,
            }
        }
        let account_words = format!("postpaid {}", account_words.join(" "));
        let account = AccountWords::read(account_id, false, &name, account_words.split_whitespace())?;
        self.accounts.insert(name.clone(), account);
        self.vendors.insert(name, vendor);
        Ok(())
    }

    fn party_word(
        &mut self,
        name: &str,
        role: Role,
        word: &str,
        words: &mut SplitWhitespace<'_>,
    ) -> Result<(), String> {
        let party = self.party(name, role);
        match word {
            "tcp" => party.transport = Transport::Tcp,
            "at" => party.address = value(words)?,
            "password" => {
                let text: String = value(words)?;
                let (user, password) = text.split_once(':').ok_or("expected user:password")?;
                party.credentials = Some((user.into(), password.into()));
            }
            other => return Err(format!("{other:?} is not known here")),
        }
        Ok(())
    }

    /// Opening balances that are to be paid in, with account names.
    pub fn openings(&self) -> Vec<(AccountId, Money)> {
        let all = self.accounts.values().filter(|a| a.opening != Money::ZERO);
        all.map(|a| (AccountId(a.id), a.opening)).collect()
    }

    pub fn account(&self, name: &str) -> Option<AccountId> {
        self.accounts.get(name).map(|a| AccountId(a.id))
    }

    pub fn account_names(&self) -> impl Iterator<Item = (&str, AccountId)> {
        self.accounts.iter().map(|(name, a)| (name.as_str(), AccountId(a.id)))
    }

    pub fn mapping_gateway(&self, caller: &str) -> Option<MappingGatewayId> {
        self.callers.get(caller).map(|c| MappingGatewayId(c.id))
    }

    pub fn parameters(&self) -> Result<Params, String> {
        overridden(&Params::default(), &self.system, false)
    }

    /// The configuration as the brain takes it.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, String> {
        let params = Arc::new(self.parameters()?);
        let mut snapshot = Snapshot::default();
        (snapshot.version, snapshot.params, snapshot.realm) = (self.version, params.clone(), REALM.into());
        let words =
            |rules: &str| routing::rewrite::split_text(rules).into_iter().map(|(_, rule)| rule).collect();
        let system =
            Rewrites { caller: words(&params.rewrite_caller), called: words(&params.rewrite_called) };
        snapshot.rewriting = Arc::new(rewriting(&system)?);
        for (name, words) in &self.accounts {
            let agent = words.under.as_ref().map(|agent| self.account(agent).ok_or("under whom?"));
            let account = Account { agent: agent.transpose()?, ..words.account(name) };
            snapshot.accounts.insert(account.id, Arc::new(account));
            for group in [
                words.rate_group(words.id, &words.rates)?,
                words.rate_group(words.id + PRIVATE, &words.private)?,
            ] {
                snapshot.rate_groups.insert(group.id, Arc::new(group));
            }
        }
        for (name, words) in &self.vendors {
            let gateway = self.routing_gateway(name, words, &params)?;
            snapshot.routing_gateways.insert(RoutingGatewayId(words.id), Arc::new(gateway));
        }
        let routes = snapshot.routing_gateways.values().map(|g| g.route.clone()).collect();
        let plan = routing::Plan::build(routes).map_err(|(name, e)| format!("{name}: {e:?}"))?;
        snapshot.plan = Arc::new(plan);
        self.shared.fill(&mut snapshot);
        for words in self.callers.values() {
            let table = Arc::new(table(&words.own)?);
            let group = RateGroup::new(RateGroupId(words.id + PRIVATE), "own", Currency::USD, table);
            snapshot.rate_groups.insert(group.id, Arc::new(group));
        }
        let callers =
            self.callers.iter().map(|(name, words)| self.mapping(name, words, &params).map(Arc::new));
        let callers = callers.collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(snapshot.with_mapping_gateways(callers)))
    }

    /// Keys of all that routes may name.
    fn keys(&self) -> Keys<'_> {
        Keys {
            shared: &self.shared,
            callers: self.callers.iter().map(|(name, c)| (name.as_str(), c.id)).collect(),
            vendors: self.vendors.iter().map(|(name, v)| (name.as_str(), v.id)).collect(),
        }
    }

    fn mapping(&self, name: &str, words: &CallerWords, params: &Params) -> Result<MappingGateway, String> {
        let party = self.parties.get(name).ok_or("a caller without an address")?;
        let authentication = match &party.credentials {
            Some((username, password)) => Authentication::Password {
                username: username.clone(),
                secret: digest::secret(username, REALM, password),
            },
            None if words.by_port => Authentication::IpPort(vec![party.address]),
            None => {
                let length = if party.address.is_ipv4() { 32 } else { 128 };
                Authentication::Ip(vec![Cidr { address: party.address.ip(), length }])
            }
        };
        Ok(MappingGateway {
            id: MappingGatewayId(words.id),
            name: name.into(),
            account: self.account(&words.account).ok_or("a caller without its customer")?,
            enabled: !words.disabled,
            authentication,
            called_prefixes: words.prefixes.clone(),
            caller_source: words.caller_source,
            called_source: words.called_source,
            support_privacy: words.support_privacy,
            rewriting: rewriting(&words.rewrites)?,
            reply_address: ReplyAddress::Socket,
            request_address: RequestAddress::Socket,
            max_concurrency: words.max_calls,
            max_cps: words.max_cps,
            rate_group: (!words.own.is_empty()).then_some(RateGroupId(words.id + PRIVATE)),
            call_level: words.level,
            calling: words.calling.calling(&self.keys())?,
            params: Arc::new(overridden(params, &words.params, true)?),
        })
    }

    fn routing_gateway(
        &self,
        name: &str,
        words: &VendorWords,
        params: &Params,
    ) -> Result<RoutingGateway, String> {
        let party = self.parties.get(name).ok_or("a vendor without an address")?;
        let account = self.accounts.get(name).ok_or("a vendor without an account")?;
        let rated = || account.rates.iter().map(|(prefix, ..)| prefix.clone()).collect();
        let credentials = party.credentials.clone();
        Ok(RoutingGateway {
            route: Arc::new(routing::Gateway {
                id: RoutingGatewayId(words.id),
                name: name.into(),
                account: AccountId(account.id),
                enabled: !words.disabled,
                prefixes: words.prefixes.clone().unwrap_or_else(rated),
                priority: words.priority,
                max_concurrency: words.max_calls,
                max_cps: words.max_cps,
                guards: words.guards,
                terms: words.terms.terms(&self.keys())?,
            }),
            target: Some(party.address),
            host: None,
            transport: party.transport,
            rate_group: None,
            credentials: credentials.map(|(username, password)| PlainCredentials { username, password }),
            failover_codes: words.codes.clone(),
            follow_redirects: words.redirects,
            rewriting: rewriting(&words.rewrites)?,
            scheduled: words.terms.scheduled_at(&self.keys())?,
            lists: words.terms.lists(&self.keys())?,
            rate_rewritten: words.rate_rewritten,
            identity: words.identity.clone(),
            reply_address: ReplyAddress::Socket,
            request_address: RequestAddress::Socket,
            params: Arc::new(overridden(params, &words.params, true)?),
            login: None,
            registration: None,
            check_interval_s: 0,
            phone: None,
        })
    }
}

impl AccountWords {
    fn read(
        id: u32,
        customer: bool,
        name: &str,
        mut words: SplitWhitespace<'_>,
    ) -> Result<AccountWords, String> {
        let mut account = AccountWords {
            id,
            customer,
            payment: PaymentMode::Prepaid,
            currency: Currency::USD,
            opening: Money::ZERO,
            credit: None,
            locked: false,
            expired: false,
            anti_overdraft: true,
            max_calls: None,
            max_cps: None,
            max_duration: None,
            under: None,
            quotas: Quotas::default(),
            tax_rate: Percent::ZERO,
            group: name.to_string(),
            rates: Vec::new(),
            private: Vec::new(),
            price_change: PriceChange::NextCall,
        };
        let mut private = false;
        while let Some(word) = words.next() {
            match word {
                "prepaid" => account.opening = value(&mut words)?,
                "postpaid" => account.payment = PaymentMode::Postpaid,
                "credit" => account.credit = Some(value(&mut words)?),
                "currency" => {
                    let text: String = value(&mut words)?;
                    account.currency = Currency::parse(&text).ok_or("not a currency")?;
                }
                "locked" => account.locked = true,
                "expired" => account.expired = true,
                "overdraft" => account.anti_overdraft = false,
                "max_calls" => account.max_calls = Some(value(&mut words)?),
                "max_cps" => account.max_cps = Some(value(&mut words)?),
                "max_duration" => account.max_duration = Some(value(&mut words)?),
                "under" => account.under = Some(value(&mut words)?),
                "day_minutes" => account.quotas.minutes[0] = Some(value(&mut words)?),
                "month_minutes" => account.quotas.minutes[1] = Some(value(&mut words)?),
                "day_money" => account.quotas.money[0] = Some(value(&mut words)?),
                "month_money" => account.quotas.money[1] = Some(value(&mut words)?),
                "tax" => {
                    account.tax_rate = Percent::parse(&value::<String>(&mut words)?).ok_or("no percentage")?
                }
                "by_cycle" => account.price_change = PriceChange::NextCycle,
                "private" => private = true,
                rated if rated.contains('=') && private => account.private.push(rate(rated)?),
                rated if rated.contains('=') => account.rates.push(rate(rated)?),
                group if words.clone().next().is_some_and(|next| next.contains('=')) => {
                    account.group = group.to_string();
                }
                other => return Err(format!("{other:?} is not known here")),
            }
        }
        Ok(account)
    }

    fn account(&self, name: &str) -> Account {
        Account {
            id: AccountId(self.id),
            name: name.into(),
            terms: AccountTerms { currency: self.currency, payment: self.payment, credit_limit: self.credit },
            agent: None,
            rate_group: Some(RateGroupId(self.id)),
            private_rates: (!self.private.is_empty()).then_some(RateGroupId(self.id + PRIVATE)),
            locked: self.locked,
            valid_until: self.expired.then_some(Utc(0)),
            anti_overdraft: self.anti_overdraft,
            max_concurrency: self.max_calls,
            max_cps: self.max_cps,
            max_call_duration_s: self.max_duration,
            quotas: self.quotas,
            zone: Arc::new(Zone::utc()),
            tax_rate: self.tax_rate,
            lists: switch::snapshot::Lists::default(),
        }
    }

    fn rate_group(&self, id: u32, rows: &[Row]) -> Result<RateGroup, String> {
        let table = Arc::new(table(rows)?);
        let group = RateGroup::new(RateGroupId(id), &self.group, self.currency, table);
        Ok(RateGroup { price_change: self.price_change, ..group })
    }
}

fn table(rows: &[Row]) -> Result<RateTable, String> {
    let mut builder = RateTableBuilder::default();
    for (prefix, when, rate) in rows {
        builder.add(prefix, when.clone(), rate.clone()).map_err(|e| e.to_string())?;
    }
    Ok(builder.build())
}

pub(crate) fn level(word: &str) -> Result<CallLevel, String> {
    let known = CallLevel::ALL.into_iter().find(|level| level.key() == word);
    known.ok_or_else(|| format!("{word:?} is no call level"))
}

pub(crate) fn value<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Result<T, String> {
    let word = words.next().ok_or("a value is missing")?;
    word.parse().map_err(|_| format!("{word:?} cannot be read"))
}

pub(crate) fn list<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Result<Vec<T>, String> {
    let text: String = value(words)?;
    text.split(',').map(|item| item.parse().map_err(|_| format!("{item:?} cannot be read"))).collect()
}

fn setting(word: &str) -> Result<(String, String), String> {
    let (name, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is no setting"))?;
    Ok((name.into(), value.into()))
}

fn overridden(base: &Params, settings: &[(String, String)], gateway: bool) -> Result<Params, String> {
    let settings = settings.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    base.with_overrides(settings, gateway).map_err(|e| e.to_string())
}

/// `880=0.03/60/6/fee:0.01/min:0.02/free:3/first:0.05/locked`: price a minute, first period, cycle, then the rest.
fn rate(word: &str) -> Result<Row, String> {
    let bad = || format!("{word:?} is no rate; expected prefix=price/first/cycle");
    let (prefix, terms) = word.split_once('=').ok_or_else(bad)?;
    let mut terms = terms.split('/');
    let mut next = || terms.next().ok_or_else(bad);
    let price = |text: &str| Price::parse(text).map_err(|e| format!("{text:?}: {e}"));
    let money = |text: &str| Money::parse(text).map_err(|e| format!("{text:?}: {e}"));
    let mut rate = Rate {
        area: format!("area {prefix}").into(),
        price_per_minute: price(next()?)?,
        first_period_s: next()?.parse().map_err(|_| bad())?,
        first_period_price: None,
        cycle_s: next()?.parse().map_err(|_| bad())?,
        connection_fee: Money::ZERO,
        minimum_charge: Money::ZERO,
        free_seconds: 0,
        locked: false,
        level: None,
        sections: [].into(),
    };
    let mut when = Validity::default();
    for term in terms {
        match term.split_once(':').unwrap_or((term, "")) {
            ("fee", text) => rate.connection_fee = money(text)?,
            ("min", text) => rate.minimum_charge = money(text)?,
            ("first", text) => rate.first_period_price = Some(price(text)?),
            ("free", text) => rate.free_seconds = text.parse().map_err(|_| bad())?,
            ("locked", "") => rate.locked = true,
            ("level", text) => rate.level = Some(level(text)?),
            ("at", text) => {
                let [from, price_text, cycle] = text.split(':').collect::<Vec<_>>()[..] else {
                    return Err(bad());
                };
                let (from, cycle) = (from.parse().map_err(|_| bad())?, cycle.parse().map_err(|_| bad())?);
                let section = RateSection { from, price_per_minute: price(price_text)?, cycle };
                rate.sections = rate.sections.iter().copied().chain([section]).collect();
            }
            ("from", text) => when.from = Some(EPOCH + Duration::from_secs(text.parse().map_err(|_| bad())?)),
            ("until", text) => {
                when.until = Some(EPOCH + Duration::from_secs(text.parse().map_err(|_| bad())?))
            }
            ("hours", text) => {
                when.hours = Hours::parse(&text.replace('_', " ")).map_err(|e| e.to_string())?
            }
            _ => return Err(bad()),
        }
    }
    Ok((prefix.to_string(), when, rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_business() {
        let mut b = Business::parse(
            "customer acme prepaid 10.00 retail 880=0.0300/60/6 44=0.012/1/1/fee:0.01/free:3; \
             vendor v1 prio 2 880=0.02/1/1 max_calls 3 SS_SIP_TIMEOUT_RINGING=30 codes 503,486\n\
             vendor v2 prio 1 880=0.025/1/1 takes 880,44 tcp; stranger mallory; param SS_MEDIAPROXYMODE=MustOn",
        )
        .unwrap();
        let s = b.snapshot().unwrap();
        assert_eq!((s.accounts.len(), s.routing_gateways.len(), s.mapping_gateways().len()), (3, 2, 1));
        let v1 = s.routing_by_source("10.2.0.1:5060".parse().unwrap()).unwrap();
        assert_eq!((v1.params.sip_timeout_ringing_s, v1.route.max_concurrency), (30, Some(3)));
        assert_eq!(v1.failover_codes, Some(vec![503, 486]));
        assert!(s.mapping_by_source("10.1.0.1:9".parse().unwrap()).next().is_some());
        assert_eq!(b.openings(), [(b.account("acme").unwrap(), Money::parse("10").unwrap())]);
        let before = b.account("v1");
        b.change("vendor v1 disabled 880=0.02/1/1").unwrap();
        assert_eq!(b.account("v1"), before);
        assert!(b.snapshot().unwrap().version > s.version);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "customer",
            "customer acme prepaid",
            "customer acme prepaid x",
            "customer acme prepayed 10",
            "customer acme prepaid 1 880=0.1/1",
            "customer acme prepaid 1 880=0.1/1/1/free",
            "caller bob of nobody",
            "vendor v1 colour red",
            "stranger m loud",
            "gateway g",
        ] {
            assert!(Business::parse(text).is_err(), "{text}");
        }
        let wrong = Business::parse("customer a prepaid 1 88x=0.1/1/1").unwrap();
        assert!(wrong.snapshot().is_err());
        assert!(Business::parse("param SS_NOTHING=1").unwrap().snapshot().is_err());
    }
}
