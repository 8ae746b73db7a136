//! The fields of each kind of document. Names and forms are those of the API and of the files.

use super::routes::{CallerRouting, GatewayRouting, ListRules};
use super::{Config, Document, GatewaySecret, Password, Reference, Secrets, Table, validate};
use crate::Problem;
use billing::{Hours, PaymentMode, Percent, PriceChange};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use vocab::identity::{ClaimMode, PoolOrder, PrivacyMode};
use vocab::leg::{ReplyAddress, RequestAddress};
use vocab::{CallLevel, Currency, Money, Price, RateSection, Transport, Utc};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    Customer,
    Vendor,
    Agent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    #[default]
    Normal,
    Locked,
}

/// Who is billed (`BIL-1`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    pub name: String,
    pub kind: AccountKind,
    /// The customer number of the operator's books.
    #[serde(default)]
    pub number: String,
    /// The agent that it is a customer of (`BIL-9`).
    #[serde(default)]
    pub agent: Option<String>,
    #[serde(default)]
    pub payment: PaymentMode,
    pub currency: Currency,
    /// How far below zero. Not set: nothing for prepaid, no bound for post-paid.
    #[serde(default)]
    pub credit_limit: Option<Money>,
    #[serde(default)]
    pub rate_group: Option<String>,
    /// A rate group of its own, which stands before the other (`BIL-5`).
    #[serde(default)]
    pub private_rates: Option<String>,
    #[serde(default)]
    pub status: AccountStatus,
    #[serde(default, with = "moment")]
    pub valid_until: Option<Utc>,
    #[serde(default = "yes")]
    pub anti_overdraft: bool,
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    #[serde(default)]
    pub max_cps: Option<u32>,
    /// The longest conversation, in seconds (`SIG-24`).
    #[serde(default)]
    pub max_call_duration: Option<u32>,
    /// Most minutes and most money in a day and in a month of the account's time zone (`RTE-5`).
    #[serde(default)]
    pub max_minutes_per_day: Option<u32>,
    #[serde(default)]
    pub max_minutes_per_month: Option<u32>,
    #[serde(default)]
    pub max_money_per_day: Option<Money>,
    #[serde(default)]
    pub max_money_per_month: Option<Money>,
    /// Where its days begin, as in the tz database.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// On its calls, in per cent; written down with each, not taken from the balance.
    #[serde(default)]
    pub tax_rate: Percent,
    /// Below this balance the account stands in the list of low balances.
    #[serde(default)]
    pub low_balance: Option<Money>,
    /// Whom to call or write to, one in each line.
    #[serde(default)]
    pub contacts: String,
    /// Black and white lists of its customers' calls.
    #[serde(default)]
    pub lists: ListRules,
    /// Paid in once, when the account is created.
    #[serde(default)]
    pub opening_balance: Option<Money>,
    #[serde(default)]
    pub notes: String,
}

/// A named table of rates. Its rates are kept apart: there may be millions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateGroup {
    pub name: String,
    #[serde(default = "usd")]
    pub currency: Currency,
    /// Where the hours of its rates are, as in the tz database.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Does a change of the rate count for calls that are up?
    #[serde(default)]
    pub price_change: PriceChange,
    /// The rate group whose rates hold where this one has none.
    #[serde(default)]
    pub inherits: Option<String>,
    /// What is added to inherited prices, in per cent.
    #[serde(default)]
    pub mark_up: Percent,
    /// Decimals to which inherited prices are rounded up.
    #[serde(default = "six")]
    pub mark_up_decimals: u32,
    #[serde(default)]
    pub notes: String,
}

/// What a destination costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub prefix: String,
    #[serde(default)]
    pub area: String,
    pub price_per_minute: Price,
    /// Seconds that are charged whole from the first one on.
    #[serde(default = "one")]
    pub first_period: u32,
    /// Seconds that are charged whole after the first period.
    #[serde(default = "one")]
    pub cycle: u32,
    #[serde(default)]
    pub first_period_price: Option<Price>,
    #[serde(default)]
    pub connection_fee: Money,
    #[serde(default)]
    pub minimum_charge: Money,
    #[serde(default)]
    pub free_seconds: u32,
    #[serde(default)]
    pub locked: bool,
    /// How far the destination is.
    #[serde(default)]
    pub level: Option<CallLevel>,
    #[serde(default, with = "moment")]
    pub valid_from: Option<Utc>,
    #[serde(default, with = "moment")]
    pub valid_until: Option<Utc>,
    /// Times of the week; empty: always.
    #[serde(default)]
    pub hours: Hours,
    #[serde(default)]
    pub sections: Vec<RateSection>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    Ip,
    IpPort,
    Password,
}

/// Where the caller's number is read (`SIG-14`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerSource {
    #[default]
    From,
    Display,
    Asserted,
    RemoteParty,
    Preferred,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalledSource {
    #[default]
    RequestUri,
    To,
    Diversion,
}

/// A trunk on the customer's side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingGateway {
    pub name: String,
    pub account: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub authentication: Authentication,
    /// Addresses or CIDR blocks; `address:port` with `ip-port`.
    #[serde(default)]
    pub addresses: Vec<String>,
    #[serde(default)]
    pub username: Option<String>,
    /// Entered in clear, kept as [`GatewaySecret`].
    #[serde(default, skip_serializing)]
    pub password: Option<Password>,
    #[serde(default)]
    pub secret: Option<GatewaySecret>,
    #[serde(default)]
    pub called_prefixes: Vec<String>,
    #[serde(default)]
    pub caller_source: CallerSource,
    #[serde(default)]
    pub called_source: CalledSource,
    /// What the caller wishes of privacy is kept for the way out.
    #[serde(default)]
    pub support_privacy: bool,
    /// Rules that change the caller's number (`RTE-2`).
    #[serde(default)]
    pub caller_rewrite: Vec<String>,
    /// Rules that change the called number.
    #[serde(default)]
    pub called_rewrite: Vec<String>,
    #[serde(default)]
    pub reply_address: ReplyAddress,
    #[serde(default)]
    pub request_address: RequestAddress,
    #[serde(default)]
    pub max_cps: Option<u32>,
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    /// Rates of this trunk, which stand before those of the account.
    #[serde(default)]
    pub rate_group: Option<String>,
    /// The farthest destinations that it may call.
    #[serde(default)]
    pub call_level: Option<CallLevel>,
    /// Who may be called, when, and by which routing gateways.
    #[serde(default)]
    pub routing: CallerRouting,
    #[serde(default, deserialize_with = "texts")]
    pub parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub notes: String,
}

/// A trunk on the vendor's side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingGateway {
    pub name: String,
    pub account: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// `host:port`; the port is that of the transport, 5060 or 5061, when absent. Empty for one that registers with us.
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub transport: Transport,
    #[serde(default)]
    pub username: Option<String>,
    /// Entered in clear, kept sealed.
    #[serde(default, skip_serializing)]
    pub password: Option<Password>,
    /// The password, sealed with the key file of the data folder.
    #[serde(default)]
    pub sealed_password: Option<String>,
    /// It registers with us by `username` and `password`, and is called where it has registered (`SIG-8`).
    #[serde(default)]
    pub dynamic: bool,
    /// What it must prove when it registers.
    #[serde(default)]
    pub secret: Option<GatewaySecret>,
    /// We register with it by `username` and `password`, at `address`.
    #[serde(default)]
    pub register: bool,
    /// Domain of that registration and of calls; `address` when absent.
    #[serde(default)]
    pub register_domain: Option<String>,
    /// The name in the digest, when it is not `username`.
    #[serde(default)]
    pub authentication_user: Option<String>,
    /// Seconds asked for, instead of `SS_SIP_USER_AGENT_EXPIRE`.
    #[serde(default)]
    pub register_expires: Option<u32>,
    /// Seconds between two OPTIONS that ask whether it is there (`SIG-11`); not set: none are sent.
    #[serde(default)]
    pub check_interval: Option<u32>,
    #[serde(default)]
    pub prefixes: Vec<String>,
    #[serde(default = "one")]
    pub priority: u32,
    #[serde(default)]
    pub max_cps: Option<u32>,
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    #[serde(default)]
    pub failover_codes: Option<Vec<u16>>,
    #[serde(default)]
    pub follow_redirects: bool,
    #[serde(default)]
    pub lowest_profit_per_minute: Option<Price>,
    #[serde(default)]
    pub max_price_per_minute: Option<Price>,
    #[serde(default)]
    pub check_rate: bool,
    /// The vendor's rates for this trunk, which stand before those of its account.
    #[serde(default)]
    pub rate_group: Option<String>,
    /// Rules that change the caller's number as this gateway gets it (`RTE-2`).
    #[serde(default)]
    pub caller_rewrite: Vec<String>,
    /// Rules that change the called number as this gateway gets it.
    #[serde(default)]
    pub called_rewrite: Vec<String>,
    /// The vendor charges for the number that it is sent, not for the one before these rules.
    #[serde(default)]
    pub rate_rewritten: bool,
    /// What stands in P-Asserted-Identity (`SIG-15`).
    #[serde(default)]
    pub asserted_identity: ClaimMode,
    #[serde(default)]
    pub preferred_identity: ClaimMode,
    #[serde(default)]
    pub remote_party_id: ClaimMode,
    #[serde(default)]
    pub privacy: PrivacyMode,
    /// Rules that change the number in P-Asserted-Identity.
    #[serde(default)]
    pub asserted_rewrite: Vec<String>,
    /// `SS_LOCAL_IP_DOMAIN` stands in From instead of our address.
    #[serde(default)]
    pub local_domain: bool,
    /// Headers of the caller's INVITE that are passed on; `*` is all.
    #[serde(default)]
    pub extra_headers: Vec<String>,
    /// Numbers of which one stands for the caller (`SIG-19`).
    #[serde(default)]
    pub caller_pool: Vec<String>,
    #[serde(default)]
    pub caller_pool_order: PoolOrder,
    /// Calls that may use one number of the pool at once.
    #[serde(default)]
    pub caller_pool_multiplexes: Option<u32>,
    /// What it takes, from whom and when, and how it stands among others.
    #[serde(default)]
    pub routing: GatewayRouting,
    #[serde(default)]
    pub reply_address: ReplyAddress,
    #[serde(default)]
    pub request_address: RequestAddress,
    #[serde(default, deserialize_with = "texts")]
    pub parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub notes: String,
}

/// Where a routing gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Address(SocketAddr),
    Name { host: String, port: u16 },
}

impl RoutingGateway {
    /// What a gateway that registers with us must prove; made of the password that it has in any case.
    fn prepare_login(
        &mut self,
        before: Option<&RoutingGateway>,
        given: Option<&Password>,
        secrets: &Secrets,
    ) {
        let username = self.username.clone().filter(|u| self.dynamic && !u.is_empty());
        let Some(username) = username else {
            self.secret = None;
            return;
        };
        let stored = before.filter(|b| b.username.as_ref() == Some(&username));
        if let Some(password) = given {
            self.secret = Some(secrets.digest(&username, password));
        } else if self.secret.is_none() {
            let sealed = before.and_then(|b| b.sealed_password.as_ref()).and_then(|s| secrets.open(s));
            let known = stored.and_then(|b| b.secret.clone());
            self.secret = known.or_else(|| Some(secrets.digest(&username, &Password::new(sealed?))));
        }
    }

    /// `None` when the address makes no sense.
    pub fn target(&self) -> Option<Target> {
        let text = self.address.trim();
        if let Ok(address) = text.parse::<SocketAddr>() {
            return (address.port() != 0).then_some(Target::Address(address));
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse() {
            return Some(Target::Address(SocketAddr::new(ip, self.transport.default_port())));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|p| *p != 0)?),
            None => (text, self.transport.default_port()),
        };
        is_host_name(host).then(|| Target::Name { host: host.to_ascii_lowercase(), port })
    }
}

/// RFC 1123 §2.1. All digits and dots would be a mistyped address.
fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let labels = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && labels.split('.').all(label) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

impl Document for Account {
    const KIND: &'static str = "account";
    const TITLE: &'static str = "account";
    const REQUIRED: &'static [&'static str] = &["name", "kind", "currency"];

    fn example() -> Account {
        Account {
            name: "x".into(),
            kind: AccountKind::Customer,
            number: String::new(),
            agent: None,
            payment: PaymentMode::Prepaid,
            currency: Currency::USD,
            credit_limit: None,
            rate_group: None,
            private_rates: None,
            status: AccountStatus::Normal,
            valid_until: None,
            anti_overdraft: true,
            max_concurrency: None,
            max_cps: None,
            max_call_duration: None,
            max_minutes_per_day: None,
            max_minutes_per_month: None,
            max_money_per_day: None,
            max_money_per_month: None,
            time_zone: utc(),
            tax_rate: Percent::ZERO,
            low_balance: None,
            contacts: String::new(),
            lists: ListRules::default(),
            opening_balance: None,
            notes: String::new(),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn references(&mut self) -> Vec<Reference<'_>> {
        let mut all = rate_groups([&mut self.rate_group, &mut self.private_rates]);
        all.extend(self.agent.as_mut().map(|name| Reference { kind: Account::KIND, name }));
        all.extend(self.lists.references());
        all
    }

    fn table(config: &Config) -> &Table<Account> {
        &config.accounts
    }

    fn table_mut(config: &mut Config) -> &mut Table<Account> {
        &mut config.accounts
    }

    /// The opening balance belongs to the creation: it may be left out later, but not be changed.
    fn prepare(&mut self, before: Option<&Account>, _: &Secrets) -> Vec<Problem> {
        let Some(before) = before else { return Vec::new() };
        let given = std::mem::replace(&mut self.opening_balance, before.opening_balance);
        match given {
            Some(amount) if given != before.opening_balance => vec![Problem::new(
                "opening_balance",
                format!("{amount} cannot be paid in once more: the account exists; make a payment instead"),
            )],
            _ => Vec::new(),
        }
    }

    fn currency(&self) -> Option<Currency> {
        Some(self.currency)
    }

    fn opening_balance(&self) -> Option<Money> {
        self.opening_balance.filter(|amount| *amount != Money::ZERO)
    }

    fn validate(&self, _: u32, config: &Config) -> Vec<Problem> {
        validate::account(self, config)
    }
}

impl Document for RateGroup {
    const KIND: &'static str = "rate_group";
    const TITLE: &'static str = "rate group";
    const REQUIRED: &'static [&'static str] = &["name"];

    fn example() -> RateGroup {
        RateGroup {
            name: "x".into(),
            currency: Currency::USD,
            time_zone: utc(),
            price_change: PriceChange::NextCall,
            inherits: None,
            mark_up: Percent::ZERO,
            mark_up_decimals: six(),
            notes: String::new(),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn references(&mut self) -> Vec<Reference<'_>> {
        rate_groups([&mut self.inherits])
    }

    fn table(config: &Config) -> &Table<RateGroup> {
        &config.rate_groups
    }

    fn table_mut(config: &mut Config) -> &mut Table<RateGroup> {
        &mut config.rate_groups
    }

    fn validate(&self, _: u32, config: &Config) -> Vec<Problem> {
        validate::rate_group(self, config)
    }
}

impl Document for MappingGateway {
    const KIND: &'static str = "mapping_gateway";
    const TITLE: &'static str = "mapping gateway";
    const REQUIRED: &'static [&'static str] = &["name", "account", "authentication"];
    const INPUT_ONLY: &'static [&'static str] = &["password"];

    fn example() -> MappingGateway {
        MappingGateway {
            name: "x".into(),
            account: "x".into(),
            enabled: true,
            authentication: Authentication::Ip,
            addresses: Vec::new(),
            username: None,
            password: None,
            secret: None,
            called_prefixes: Vec::new(),
            caller_source: CallerSource::From,
            called_source: CalledSource::RequestUri,
            support_privacy: false,
            caller_rewrite: Vec::new(),
            called_rewrite: Vec::new(),
            reply_address: ReplyAddress::Socket,
            request_address: RequestAddress::Socket,
            max_cps: None,
            max_concurrency: None,
            rate_group: None,
            call_level: None,
            routing: CallerRouting::default(),
            parameters: BTreeMap::new(),
            notes: String::new(),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn references(&mut self) -> Vec<Reference<'_>> {
        let mut all = rate_groups([&mut self.rate_group]);
        all.push(Reference { kind: Account::KIND, name: &mut self.account });
        all.extend(self.routing.references());
        all
    }

    fn table(config: &Config) -> &Table<MappingGateway> {
        &config.mapping_gateways
    }

    fn table_mut(config: &mut Config) -> &mut Table<MappingGateway> {
        &mut config.mapping_gateways
    }

    /// HA1 is over the name as well (RFC 7616 §3.4.2), so another name needs the password again.
    fn prepare(&mut self, before: Option<&MappingGateway>, secrets: &Secrets) -> Vec<Problem> {
        own_names(&mut self.parameters);
        let given = self.password.take();
        let Some(username) = self.username.clone().filter(|u| !u.is_empty()) else {
            self.secret = None;
            let lonely = given.map(|_| Problem::new("username", "a password needs a username"));
            return lonely.into_iter().collect();
        };
        if let Some(password) = given {
            self.secret = Some(secrets.digest(&username, &password));
        }
        let Some(before) = before.filter(|_| self.secret.is_none()) else { return Vec::new() };
        if before.secret.is_some() && before.username.as_ref() != Some(&username) {
            return vec![Problem::new("password", "another username needs the password again")];
        }
        self.secret.clone_from(&before.secret);
        Vec::new()
    }

    fn validate(&self, id: u32, config: &Config) -> Vec<Problem> {
        validate::mapping_gateway(self, id, config)
    }
}

impl Document for RoutingGateway {
    const KIND: &'static str = "routing_gateway";
    const TITLE: &'static str = "routing gateway";
    const REQUIRED: &'static [&'static str] = &["name", "account"];
    const INPUT_ONLY: &'static [&'static str] = &["password"];

    fn example() -> RoutingGateway {
        RoutingGateway {
            name: "x".into(),
            account: "x".into(),
            enabled: true,
            address: "192.0.2.1:5060".into(),
            transport: Transport::Udp,
            username: None,
            password: None,
            sealed_password: None,
            dynamic: false,
            secret: None,
            register: false,
            register_domain: None,
            authentication_user: None,
            register_expires: None,
            check_interval: None,
            prefixes: Vec::new(),
            priority: 1,
            max_cps: None,
            max_concurrency: None,
            failover_codes: None,
            follow_redirects: false,
            lowest_profit_per_minute: None,
            max_price_per_minute: None,
            check_rate: false,
            rate_group: None,
            caller_rewrite: Vec::new(),
            called_rewrite: Vec::new(),
            rate_rewritten: false,
            asserted_identity: ClaimMode::None,
            preferred_identity: ClaimMode::None,
            remote_party_id: ClaimMode::None,
            privacy: PrivacyMode::None,
            asserted_rewrite: Vec::new(),
            local_domain: false,
            extra_headers: Vec::new(),
            caller_pool: Vec::new(),
            caller_pool_order: PoolOrder::Random,
            caller_pool_multiplexes: None,
            routing: GatewayRouting::default(),
            reply_address: ReplyAddress::Socket,
            request_address: RequestAddress::Socket,
            parameters: BTreeMap::new(),
            notes: String::new(),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn references(&mut self) -> Vec<Reference<'_>> {
        let mut all = rate_groups([&mut self.rate_group]);
        all.push(Reference { kind: Account::KIND, name: &mut self.account });
        all.extend(self.routing.references());
        all
    }

    fn table(config: &Config) -> &Table<RoutingGateway> {
        &config.routing_gateways
    }

    fn table_mut(config: &mut Config) -> &mut Table<RoutingGateway> {
        &mut config.routing_gateways
    }

    fn prepare(&mut self, before: Option<&RoutingGateway>, secrets: &Secrets) -> Vec<Problem> {
        own_names(&mut self.parameters);
        let given = self.password.take();
        self.prepare_login(before, given.as_ref(), secrets);
        if self.username.as_ref().is_none_or(String::is_empty) {
            self.sealed_password = None;
            let lonely = given.map(|_| Problem::new("username", "a password needs a username"));
            return lonely.into_iter().collect();
        }
        let stored = before.and_then(|b| b.sealed_password.as_ref());
        if let Some(password) = given {
            // The same password stays sealed as it is, so that applying a file twice changes nothing.
            let same = stored.filter(|s| secrets.open(s).as_deref() == Some(password.text()));
            self.sealed_password = same.cloned().or_else(|| secrets.seal(&password));
        } else if let Some(sealed) = &self.sealed_password {
            if secrets.open(sealed).is_none() {
                return vec![Problem::new(
                    "sealed_password",
                    "sealed with the key file of another data folder; give the password instead",
                )];
            }
        } else {
            self.sealed_password = stored.cloned();
        }
        Vec::new()
    }

    fn validate(&self, id: u32, config: &Config) -> Vec<Problem> {
        validate::routing_gateway(self, id, config)
    }
}

/// Aliases and other spellings of parameters become their own names. Unknown ones stay, for `validate` to refuse.
pub(super) fn own_names(parameters: &mut BTreeMap<String, String>) {
    let renamed: Vec<(String, &'static str)> = parameters
        .keys()
        .filter_map(|key| {
            params::find(key).filter(|spec| spec.name != key).map(|spec| (key.clone(), spec.name))
        })
        .collect();
    for (key, name) in renamed {
        // With both given, the alias stays and is refused as a repetition.
        if !parameters.contains_key(name)
            && let Some(value) = parameters.remove(&key)
        {
            parameters.insert(name.to_string(), value);
        }
    }
}

impl Rate {
    /// In the form that prices calls.
    pub(crate) fn to_billing(&self) -> billing::Rate {
        billing::Rate {
            area: self.area.as_str().into(),
            price_per_minute: self.price_per_minute,
            first_period_s: self.first_period,
            first_period_price: self.first_period_price,
            cycle_s: self.cycle,
            connection_fee: self.connection_fee,
            minimum_charge: self.minimum_charge,
            free_seconds: self.free_seconds,
            locked: self.locked,
            level: self.level,
            sections: self.sections.as_slice().into(),
        }
    }

    pub(crate) fn validity(&self) -> billing::Validity {
        billing::Validity { from: self.valid_from, until: self.valid_until, hours: self.hours.clone() }
    }

    /// What tells rates of one prefix apart: when they begin to hold, and at which hours.
    pub fn variant(&self) -> String {
        Rate::variant_of(self.valid_from, &self.hours)
    }

    /// The variant of a rate that holds from this moment at these hours.
    pub fn variant_of(from: Option<Utc>, hours: &Hours) -> String {
        let from = from.map(|at| at.millis().to_string()).unwrap_or_default();
        let hours = hours.to_string();
        if from.is_empty() && hours.is_empty() { String::new() } else { format!("{from:0>13}/{hours}") }
    }

    pub(crate) fn example() -> Rate {
        Rate {
            prefix: String::new(),
            area: String::new(),
            price_per_minute: Price::ZERO,
            first_period: 1,
            cycle: 1,
            first_period_price: None,
            connection_fee: Money::ZERO,
            minimum_charge: Money::ZERO,
            free_seconds: 0,
            locked: false,
            level: None,
            valid_from: None,
            valid_until: None,
            hours: Hours::default(),
            sections: Vec::new(),
        }
    }

    pub(crate) const REQUIRED: &'static [&'static str] = &["prefix", "price_per_minute"];
}

pub(super) fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn utc() -> String {
    "UTC".into()
}

fn six() -> u32 {
    6
}

/// References to rate groups, those that are there.
pub(super) fn rate_groups<const N: usize>(fields: [&mut Option<String>; N]) -> Vec<Reference<'_>> {
    let names = fields.into_iter().filter_map(Option::as_mut);
    names.map(|name| Reference { kind: RateGroup::KIND, name }).collect()
}

fn usd() -> Currency {
    Currency::USD
}

/// Values of parameters may be written as text, whole numbers or true and false.
pub(super) fn texts<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text, a whole number, true or false")]
    enum Loose {
        Text(String),
        Whole(i64),
        Truth(bool),
    }
    let loose = BTreeMap::<String, Loose>::deserialize(d)?;
    let text = |value| match value {
        Loose::Text(text) => text,
        Loose::Whole(n) => n.to_string(),
        Loose::Truth(yes) => if yes { "On" } else { "Off" }.to_string(),
    };
    Ok(loose.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// A time as it is written in documents.
pub(crate) fn moment_text(utc: Utc) -> String {
    moment::text(utc).unwrap_or_default()
}

/// Times as RFC 3339 text.
mod moment {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    use vocab::Utc;

    pub fn serialize<S: Serializer>(value: &Option<Utc>, s: S) -> Result<S::Ok, S::Error> {
        value.and_then(text).serialize(s)
    }

    pub fn text(utc: Utc) -> Option<String> {
        let nanos = i128::from(utc.millis()) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?.format(&Rfc3339).ok()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Utc>, D::Error> {
        let Some(text) = Option::<String>::deserialize(d)? else { return Ok(None) };
        let expected = || {
            D::Error::custom(format!("{text:?} is not a time; expected one like \"2027-01-31T00:00:00Z\""))
        };
        let parsed = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| expected())?;
        let ms =
            i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| expected())?;
        Ok(Some(Utc::from_millis(ms)))
    }
}
