//! Checks of what was entered that a type alone cannot make.

use super::route_checks;
use super::{
    Account, AccountKind, Authentication, Config, Document, MappingGateway, Phone, Rate, RateGroup,
    RoutingGateway,
};
use crate::Problem;
use billing::Percent;
use billing::rate::RateError;
use params::{ParamError, Params};
use routing::Rules;
use routing::rewrite::RuleError;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use vocab::net::Cidr;
use vocab::prefix::pack_prefix;
use vocab::{Currency, Money, Price};

/// Longest name of a document, username or area, in characters.
const MAX_NAME: usize = 64;
pub(super) const MAX_NOTES: usize = 4000;
/// Addresses, prefixes or codes of one gateway.
const MAX_LIST: usize = 10_000;

/// A day, as of the parameter of this name.
const LONGEST_CALL_S: u32 = 86_400;

type Problems = Vec<Problem>;

pub(super) fn account(account: &Account, config: &Config) -> Problems {
    let mut problems = Vec::new();
    name(&account.name, &mut problems);
    text("notes", &account.notes, MAX_NOTES, &mut problems);
    text("number", &account.number, MAX_NAME, &mut problems);
    text("contacts", &account.contacts, MAX_NOTES, &mut problems);
    for (field, amount) in [
        ("credit_limit", account.credit_limit),
        ("max_money_per_day", account.max_money_per_day),
        ("max_money_per_month", account.max_money_per_month),
    ] {
        if let Some(amount) = amount.filter(|m| *m < Money::ZERO) {
            problems.push(Problem::new(field, format!("{amount} is negative; expected 0 or more")));
        }
    }
    if account.max_call_duration.is_some_and(|s| !(1..=LONGEST_CALL_S).contains(&s)) {
        problems.push(Problem::new("max_call_duration", format!("expected 1–{LONGEST_CALL_S} s")));
    }
    if !(Percent::ZERO..=Percent::HUNDRED).contains(&account.tax_rate) {
        problems.push(Problem::new("tax_rate", format!("{} %; expected 0 to 100", account.tax_rate)));
    }
    known_zone(&account.time_zone, &mut problems);
    problems.extend(agents(account, config));
    let (name, currency) = (&account.name, account.currency);
    problems.extend(route_checks::lists("lists", &account.lists, config));
    for (field, group) in [("rate_group", &account.rate_group), ("private_rates", &account.private_rates)] {
        usable_group(field, group.as_ref(), (name, currency), config, &mut problems);
    }
    let mapping = config.mapping_gateways.iter().map(|g| (&g.document.rate_group, &g.document.account));
    let routing = config.routing_gateways.iter().map(|g| (&g.document.rate_group, &g.document.account));
    let phones = config.phones.iter().map(|p| (&p.document.rate_group, &p.document.account));
    for (group, _) in mapping.chain(routing).chain(phones).filter(|(_, owner)| **owner == account.name) {
        usable_group("currency", group.as_ref(), (name, currency), config, &mut problems);
    }
    problems
}

fn known_zone(zone: &str, problems: &mut Problems) {
    if crate::zones::zone(zone).is_none() {
        let words = format!("{zone:?} is not in the tz database; expected one like \"Europe/Berlin\"");
        problems.push(Problem::new("time_zone", words));
    }
}

/// Agents that stand above each other in a row.
const MOST_AGENTS: usize = 16;

/// The row of agents above an account: they are there, are agents, count in its currency, and do not come back to it.
fn agents(account: &Account, config: &Config) -> Option<Problem> {
    let wrong = |words: String| Some(Problem::new("agent", words));
    if account.agent.is_some() && account.kind == AccountKind::Vendor {
        return wrong("a vendor has no agent".to_string());
    }
    let below = config.accounts.iter().map(|a| &a.document);
    let below = below.filter(|a| a.agent.as_ref() == Some(&account.name)).collect::<Vec<_>>();
    if let Some(other) = below.first().filter(|_| account.kind != AccountKind::Agent) {
        return Some(Problem::new("kind", format!("account {:?} has it as its agent", other.name)));
    }
    if let Some(other) = below.iter().find(|other| other.currency != account.currency) {
        let words = format!("account {:?} below it is in {}", other.name, other.currency);
        return Some(Problem::new("currency", words));
    }
    let mut row = vec![account.name.as_str()];
    let mut above = &account.agent;
    while let Some(name) = above {
        if row.contains(&name.as_str()) {
            row.push(name);
            return wrong(format!("agents stand above each other in a circle: {}", row.join(" below ")));
        }
        row.push(name);
        let Some(agent) = config.accounts.named(name).map(|stored| &stored.document) else {
            return Some(unknown("agent", Account::TITLE, name));
        };
        if agent.kind != AccountKind::Agent {
            return wrong(format!("account {name:?} is no agent; expected one of kind \"agent\""));
        }
        if agent.currency != account.currency {
            return wrong(format!(
                "agent {name:?} is in {}, this account in {}",
                agent.currency, account.currency
            ));
        }
        if row.len() > MOST_AGENTS + 1 {
            return wrong(format!("more than {MOST_AGENTS} agents in a row"));
        }
        above = &agent.agent;
    }
    None
}

/// A rate group that is there, and counts in the currency of the account that is charged by it.
fn usable_group(
    field: &str,
    group: Option<&String>,
    (account, currency): (&str, Currency),
    config: &Config,
    problems: &mut Problems,
) {
    let Some(group) = group else { return };
    match config.rate_groups.named(group) {
        None => problems.push(unknown(field, RateGroup::TITLE, group)),
        Some(found) if found.document.currency != currency => problems.push(Problem::new(
            field,
            format!(
                "rate group {group:?} is in {}, account {account:?} in {currency}; expected the same currency",
                found.document.currency
            ),
        )),
        Some(_) => {}
    }
}

/// The rate group of a gateway, which charges its account.
fn group_of_gateway(group: Option<&String>, account: &str, config: &Config, problems: &mut Problems) {
    if let Some(account) = config.accounts.named(account) {
        let document = &account.document;
        usable_group("rate_group", group, (&document.name, document.currency), config, problems);
    }
}

pub(super) fn rate_group(group: &RateGroup, config: &Config) -> Problems {
    let mut problems = Vec::new();
    name(&group.name, &mut problems);
    text("notes", &group.notes, MAX_NOTES, &mut problems);
    let mut charged = charged_by(&group.name, config);
    if let Some(other) = charged.find(|a| a.currency != group.currency) {
        problems.push(Problem::new(
            "currency",
            format!(
                "{} is not the currency of account {:?}, which uses the group: {}",
                group.currency, other.name, other.currency
            ),
        ));
    }
    known_zone(&group.time_zone, &mut problems);
    if !billing::Making::MarkUp(group.mark_up).is_sound() {
        problems.push(Problem::new("mark_up", "below -100 % there would be prices below 0"));
    }
    if group.mark_up_decimals > Price::DECIMALS {
        problems.push(Problem::new("mark_up_decimals", format!("expected 0–{}", Price::DECIMALS)));
    }
    problems.extend(inheritance(group, config));
    let heirs =
        config.rate_groups.iter().map(|g| &g.document).filter(|g| g.inherits.as_ref() == Some(&group.name));
    if let Some(heir) = heirs.into_iter().find(|g| g.currency != group.currency) {
        let words = format!(
            "{} is not the currency of rate group {:?}, which inherits this one",
            group.currency, heir.name
        );
        problems.push(Problem::new("currency", words));
    }
    problems
}

/// Accounts that are charged by a rate group, by their own choice or that of a gateway.
fn charged_by<'a>(group: &'a String, config: &'a Config) -> impl Iterator<Item = &'a Account> {
    let own = config.accounts.iter().map(|a| &a.document);
    let own = own.filter(move |a| [&a.rate_group, &a.private_rates].contains(&&Some(group.clone())));
    let mapping = config.mapping_gateways.iter().map(|g| (&g.document.rate_group, &g.document.account));
    let routing = config.routing_gateways.iter().map(|g| (&g.document.rate_group, &g.document.account));
    let phones = config.phones.iter().map(|p| (&p.document.rate_group, &p.document.account));
    let gateways = mapping.chain(routing).chain(phones).filter(move |(used, _)| used.as_ref() == Some(group));
    own.chain(gateways.filter_map(|(_, account)| Some(&config.accounts.named(account)?.document)))
}

/// Groups that inherit from each other in a row.
const MOST_GENERATIONS: usize = 8;

fn inheritance(group: &RateGroup, config: &Config) -> Option<Problem> {
    let mut heir = group;
    let mut row = vec![group.name.as_str()];
    while let Some(name) = &heir.inherits {
        if row.contains(&name.as_str()) {
            row.push(name);
            return Some(Problem::new(
                "inherits",
                format!("rate groups inherit in a circle: {}", row.join(" from ")),
            ));
        }
        row.push(name);
        let Some(found) = config.rate_groups.named(name) else {
            return Some(unknown("inherits", RateGroup::TITLE, name));
        };
        if found.document.currency != group.currency {
            let words = format!(
                "rate group {name:?} is in {}, this one in {}",
                found.document.currency, group.currency
            );
            return Some(Problem::new("inherits", words));
        }
        if row.len() > MOST_GENERATIONS {
            return Some(Problem::new("inherits", format!("more than {MOST_GENERATIONS} groups in a row")));
        }
        heir = &found.document;
    }
    None
}

pub(super) fn mapping_gateway(gateway: &MappingGateway, id: u32, config: &Config) -> Problems {
    let mut problems = Vec::new();
    name(&gateway.name, &mut problems);
    text("notes", &gateway.notes, MAX_NOTES, &mut problems);
    known_account(&gateway.account, config, &mut problems);
    addresses(gateway, &mut problems);
    if gateway.authentication == Authentication::Password {
        credentials(gateway, id, config, &mut problems);
    }
    if let Some(secret) = &gateway.secret {
        stored_secret(secret, &config.realm, &mut problems);
    }
    group_of_gateway(gateway.rate_group.as_ref(), &gateway.account, config, &mut problems);
    problems.extend(route_checks::caller(&gateway.routing, config));
    prefixes("called_prefixes", &gateway.called_prefixes, &mut problems);
    rules("caller_rewrite", &gateway.caller_rewrite, &mut problems);
    rules("called_rewrite", &gateway.called_rewrite, &mut problems);
    gateway_parameters(&gateway.parameters, &config.params, &mut problems);
    problems
}

fn addresses(gateway: &MappingGateway, problems: &mut Problems) {
    let list = &gateway.addresses;
    if gateway.authentication != Authentication::Password && list.is_empty() {
        problems.push(Problem::new("addresses", "at least one address is needed with this authentication"));
    }
    bounded("addresses", list.len(), problems);
    let mut seen = HashSet::new();
    for (i, address) in list.iter().enumerate() {
        let field = format!("addresses[{i}]");
        let wrong = match gateway.authentication {
            Authentication::IpPort if !is_socket_address(address) => Some(
                "is not an address with a port; expected one like \"192.0.2.1:5060\" or \"[2001:db8::1]:5060\"",
            ),
            Authentication::Ip | Authentication::Password if Cidr::parse(address).is_none() => {
                Some("is neither an address nor a block; expected one like \"192.0.2.1\" or \"192.0.2.0/24\"")
            }
            _ => None,
        };
        if let Some(words) = wrong {
            problems.push(Problem::new(field, format!("{address:?} {words}")));
        } else if !seen.insert(address) {
            problems.push(Problem::new(field, format!("{address:?} stands here twice")));
        }
    }
}

fn is_socket_address(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok_and(|a| a.port() != 0)
}

fn credentials(gateway: &MappingGateway, id: u32, config: &Config, problems: &mut Problems) {
    let Some(username) = gateway.username.as_ref().filter(|u| !u.is_empty()) else {
        problems.push(Problem::new("username", "is needed with authentication by password"));
        return;
    };
    text("username", username, MAX_NAME, problems);
    if gateway.secret.is_none() {
        problems.push(Problem::new("password", "is needed with authentication by password"));
    }
    if let Some(owner) = owner_of(username, MappingGateway::KIND, id, config) {
        let words = format!("{username:?} is used by {owner} already");
        problems.push(Problem::new("username", words));
    }
}

fn stored_secret(secret: &super::GatewaySecret, realm: &str, problems: &mut Problems) {
    let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    if secret.realm != realm {
        let words =
            format!("made for realm {:?}, here it is {realm:?}; give the password instead", secret.realm);
        problems.push(Problem::new("secret", words));
    } else if !is_hex(&secret.ha1_md5, 32) || !is_hex(&secret.ha1_sha256, 64) {
        problems.push(Problem::new("secret", "expected ha1_md5 of 32 and ha1_sha256 of 64 hex digits"));
    }
}

pub(super) fn routing_gateway(gateway: &RoutingGateway, id: u32, config: &Config) -> Problems {
    let mut problems = Vec::new();
    name(&gateway.name, &mut problems);
    text("notes", &gateway.notes, MAX_NOTES, &mut problems);
    known_account(&gateway.account, config, &mut problems);
    registration(gateway, id, config, &mut problems);
    if gateway.target().is_none() && !(gateway.dynamic && gateway.address.is_empty()) {
        let words =
            format!("{:?} is no address; expected \"host:port\" like \"192.0.2.1:5060\"", gateway.address);
        problems.push(Problem::new("address", words));
    }
    if gateway.transport.is_websocket() {
        problems
            .push(Problem::new("transport", "nobody can be called over WebSocket; expected udp, tcp or tls"));
    }
    if let Some(username) = &gateway.username {
        text("username", username, MAX_NAME, &mut problems);
    }
    problems.extend(route_checks::gateway(&gateway.routing, &gateway.prefixes, config));
    if gateway.prefixes.is_empty() && gateway.routing.prefixes.is_empty() {
        problems.push(Problem::new("prefixes", "at least one is needed; \"\" takes every number"));
    }
    group_of_gateway(gateway.rate_group.as_ref(), &gateway.account, config, &mut problems);
    prefixes("prefixes", &gateway.prefixes, &mut problems);
    rules("caller_rewrite", &gateway.caller_rewrite, &mut problems);
    rules("called_rewrite", &gateway.called_rewrite, &mut problems);
    rules("asserted_rewrite", &gateway.asserted_rewrite, &mut problems);
    passed_headers(&gateway.extra_headers, &mut problems);
    caller_pool(gateway, &mut problems);
    let codes = gateway.failover_codes.as_deref().unwrap_or_default();
    bounded("failover_codes", codes.len(), &mut problems);
    for (i, code) in codes.iter().enumerate().filter(|(_, code)| !(300..=699).contains(*code)) {
        problems.push(Problem::new(
            format!("failover_codes[{i}]"),
            format!("{code} is no final refusal; expected 300–699"),
        ));
    }
    if let Some(price) = gateway.max_price_per_minute.filter(|p| *p < Price::ZERO) {
        problems
            .push(Problem::new("max_price_per_minute", format!("{price} is negative; expected 0 or more")));
    }
    gateway_parameters(&gateway.parameters, &config.params, &mut problems);
    problems
}

/// Contacts of a phone; as many as one REGISTER may bring.
const MAX_CONTACTS: u32 = 10;
/// Longest time that a phone rings.
const MAX_RING_S: u32 = 600;

pub(super) fn phone(phone: &Phone, id: u32, config: &Config) -> Problems {
    let mut problems = Vec::new();
    let is_number = |n: &str| (1..=32).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit());
    if !is_number(&phone.number) {
        problems
            .push(Problem::new("number", format!("{:?} is no number; expected 1–32 digits", phone.number)));
    }
    text("notes", &phone.notes, MAX_NOTES, &mut problems);
    text("username", phone.username(), MAX_NAME, &mut problems);
    known_account(&phone.account, config, &mut problems);
    match &phone.secret {
        None => problems.push(Problem::new("password", "is needed")),
        Some(secret) => stored_secret(secret, &config.realm, &mut problems),
    }
    if let Some(owner) = owner_of(phone.username(), Phone::KIND, id, config) {
        let words = format!("{:?} is used by {owner} already", phone.username());
        problems.push(Problem::new("username", words));
    }
    if let Some(display) = phone.display_number.as_ref().filter(|d| !is_number(d.trim_start_matches('+'))) {
        problems.push(Problem::new("display_number", format!("{display:?} is no number")));
    }
    let forwards = [
        ("forward_always", &phone.forward_always),
        ("forward_busy", &phone.forward_busy),
        ("forward_no_answer", &phone.forward_no_answer),
        ("forward_not_reachable", &phone.forward_not_reachable),
    ];
    for (field, target) in forwards.into_iter().filter_map(|(f, t)| Some((f, t.as_ref()?))) {
        if let Err(e) = vocab::DialString::parse(target) {
            problems.push(Problem::new(field, format!("{target:?}: {e}")));
        } else if *target == phone.number {
            problems.push(Problem::new(field, "is the phone itself"));
        }
    }
    if !(1..=MAX_CONTACTS).contains(&phone.max_contacts) {
        problems.push(Problem::new("max_contacts", format!("expected 1–{MAX_CONTACTS}")));
    }
    if phone.ring_seconds.is_some_and(|s| !(1..=MAX_RING_S).contains(&s)) {
        problems.push(Problem::new("ring_seconds", format!("expected 1–{MAX_RING_S}")));
    }
    group_of_gateway(phone.rate_group.as_ref(), &phone.account, config, &mut problems);
    prefixes("allowed_destinations", &phone.allowed_destinations, &mut problems);
    gateway_parameters(&phone.parameters, &config.params, &mut problems);
    problems
}

/// Who else signs in by this name.
fn owner_of(username: &str, kind: &str, id: u32, config: &Config) -> Option<String> {
    let other = |of: &str, other: u32| of != kind || other != id;
    let phones =
        config.phones.iter().filter(|p| other(Phone::KIND, p.id) && p.document.username() == username);
    let mapping = config.mapping_gateways.iter().filter(|g| {
        let by_password = g.document.authentication == Authentication::Password;
        other(MappingGateway::KIND, g.id) && by_password && g.document.username.as_deref() == Some(username)
    });
    let routing = config.routing_gateways.iter().filter(|g| {
        let signs_in = g.document.dynamic && g.document.username.as_deref() == Some(username);
        other(RoutingGateway::KIND, g.id) && signs_in
    });
    let phones = phones.map(|p| format!("phone {:?}", p.document.number));
    let mapping = mapping.map(|g| format!("mapping gateway {:?}", g.document.name));
    let routing = routing.map(|g| format!("routing gateway {:?}", g.document.name));
    phones.chain(mapping).chain(routing).next()
}

fn registration(gateway: &RoutingGateway, id: u32, config: &Config, problems: &mut Problems) {
    let username = gateway.username.as_deref().filter(|u| !u.is_empty());
    if gateway.dynamic && gateway.register {
        problems.push(Problem::new("register", "either it registers with us (dynamic) or we with it"));
    }
    if (gateway.dynamic || gateway.register) && username.is_none() {
        problems.push(Problem::new("username", "is needed to register"));
    }
    if gateway.dynamic {
        match &gateway.secret {
            None => problems.push(Problem::new("password", "is needed to register")),
            Some(secret) => stored_secret(secret, &config.realm, problems),
        }
        if let Some(owner) = username.and_then(|u| owner_of(u, RoutingGateway::KIND, id, config)) {
            let words = format!("{:?} is used by {owner} already", username.unwrap_or_default());
            problems.push(Problem::new("username", words));
        }
    }
    if gateway.register_expires.is_some_and(|s| !(20..=7200).contains(&s)) {
        problems.push(Problem::new("register_expires", "expected 20–7200 s"));
    }
    if gateway.check_interval.is_some_and(|s| !(5..=3600).contains(&s)) {
        problems.push(Problem::new("check_interval", "expected 5–3600 s"));
    }
    let domain = gateway.register_domain.as_deref().unwrap_or("x");
    let domain_ok = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if domain.is_empty() || domain.len() > 253 || !domain.bytes().all(domain_ok) {
        problems.push(Problem::new("register_domain", format!("{domain:?} is no domain")));
    }
    if let Some(user) = &gateway.authentication_user {
        text("authentication_user", user, MAX_NAME, problems);
    }
}

/// `*` for all, or names of headers that are not the switch's own.
fn passed_headers(list: &[String], problems: &mut Problems) {
    bounded("extra_headers", list.len(), problems);
    for (i, name) in list.iter().enumerate() {
        let field = format!("extra_headers[{i}]");
        if name == "*" && list.len() > 1 {
            problems.push(Problem::new(field, "\"*\" is all headers and stands alone"));
        } else if name != "*" && !switch::is_passable(name) {
            let words = format!(
                "{name:?} is no header that can be passed on; expected one that the switch does not write itself, like \"X-Trace\", or \"*\""
            );
            problems.push(Problem::new(field, words));
        }
    }
}

fn caller_pool(gateway: &RoutingGateway, problems: &mut Problems) {
    bounded("caller_pool", gateway.caller_pool.len(), problems);
    let mut seen = HashSet::new();
    for (i, number) in gateway.caller_pool.iter().enumerate() {
        let field = format!("caller_pool[{i}]");
        if let Err(e) = vocab::DialString::parse(number) {
            problems.push(Problem::new(field, format!("{number:?}: {e}")));
        } else if !seen.insert(number) {
            problems.push(Problem::new(field, format!("{number:?} stands here twice")));
        }
    }
    if gateway.caller_pool_multiplexes == Some(0) {
        problems.push(Problem::new(
            "caller_pool_multiplexes",
            "0 calls could never be placed; expected 1 or more",
        ));
    }
}

fn known_account(account: &str, config: &Config, problems: &mut Problems) {
    if config.accounts.named(account).is_none() {
        problems.push(unknown("account", Account::TITLE, account));
    }
}

pub(super) fn unknown(field: &str, title: &str, name: &str) -> Problem {
    Problem::new(field, format!("there is no {title} {name:?}"))
}

pub(super) fn name(name: &str, problems: &mut Problems) {
    if name.trim().is_empty() {
        problems.push(Problem::new("name", "is empty"));
    } else if name.trim() != name {
        problems.push(Problem::new("name", "begins or ends with a blank"));
    }
    text("name", name, MAX_NAME, problems);
    if name.contains(['/', '\\']) {
        problems.push(Problem::new("name", "a slash cannot stand in a name"));
    }
}

pub(super) fn text(field: &str, text: &str, longest: usize, problems: &mut Problems) {
    if text.chars().count() > longest {
        problems.push(Problem::new(field, format!("is longer than {longest} characters")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        problems.push(Problem::new(field, "control characters cannot stand here"));
    }
}

pub(super) fn bounded(field: &str, length: usize, problems: &mut Problems) {
    if length > MAX_LIST {
        problems.push(Problem::new(field, format!("{length} entries; at most {MAX_LIST} are allowed")));
    }
}

pub(super) fn prefixes(field: &str, list: &[String], problems: &mut Problems) {
    bounded(field, list.len(), problems);
    let mut seen = HashSet::new();
    for (i, prefix) in list.iter().enumerate() {
        if let Err(e) = pack_prefix(prefix) {
            problems.push(Problem::new(format!("{field}[{i}]"), format!("{prefix:?}: {e}")));
        } else if !seen.insert(prefix) {
            problems.push(Problem::new(format!("{field}[{i}]"), format!("{prefix:?} stands here twice")));
        }
    }
}

pub(super) fn rules(field: &str, list: &[String], problems: &mut Problems) {
    if let Err(errors) = Rules::parse(list) {
        let problem = |e: RuleError| Problem::new(format!("{field}[{}]", e.rule), e.to_string());
        problems.extend(errors.into_iter().map(problem));
    }
}

/// What is wrong with these values of system parameters.
pub(crate) fn check_parameters(values: &BTreeMap<String, String>) -> Result<Params, Problems> {
    let params = overridden(&Params::default(), values, false, "")?;
    let mut problems = Vec::new();
    for (name, text) in
        [("SS_REWRITE_CALLER", &params.rewrite_caller), ("SS_REWRITE_CALLED", &params.rewrite_called)]
    {
        let wrong = crate::rewriting::from_text(text).err().unwrap_or_default();
        problems.extend(wrong.into_iter().map(|e| Problem::new(name, e.to_string())));
    }
    if problems.is_empty() { Ok(params) } else { Err(problems) }
}

fn gateway_parameters(values: &BTreeMap<String, String>, base: &Params, problems: &mut Problems) {
    if let Err(found) = overridden(base, values, true, "parameters.") {
        problems.extend(found);
    }
}

fn overridden(
    base: &Params,
    values: &BTreeMap<String, String>,
    gateway: bool,
    path: &str,
) -> Result<Params, Problems> {
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    for (name, value) in values {
        // One by one, to name them all; what they do to each other is checked afterwards.
        let spec = params::find(name);
        let alone = match spec {
            Some(spec) if gateway && !spec.gateway => Err(ParamError::NotPerGateway { name: spec.name }),
            _ => base.clone().set(name, value),
        };
        if let Err(e) = alone {
            problems.push(Problem::new(format!("{path}{name}"), e.to_string()));
        } else if spec.is_some_and(|s| !seen.insert(s.name)) {
            problems.push(Problem::new(format!("{path}{name}"), "is set twice, under two names"));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let pairs = values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    base.with_overrides(pairs, gateway).map_err(|e| {
        let name = match &e {
            ParamError::Conflict { name, .. } => *name,
            _ => "",
        };
        vec![Problem::new(format!("{path}{name}"), e.to_string())]
    })
}

/// What is wrong with a rate.
pub(crate) fn check_rate(rate: &Rate) -> Option<Problem> {
    if let Err(e) = pack_prefix(&rate.prefix) {
        return Some(Problem::new("prefix", format!("{:?}: {e}", rate.prefix)));
    }
    if rate.area.chars().count() > MAX_NAME || rate.area.chars().any(char::is_control) {
        return Some(Problem::new("area", format!("expected at most {MAX_NAME} printable characters")));
    }
    if rate.valid_from.zip(rate.valid_until).is_some_and(|(from, until)| until <= from) {
        return Some(Problem::new("valid_until", RateError::EndsFirst.to_string()));
    }
    let error = rate.to_billing().validate().err()?;
    if matches!(error, RateError::SectionOrder | RateError::TooManySections) {
        return Some(Problem::new("sections", error.to_string()));
    }
    let (RateError::ZeroInterval(words)
    | RateError::TooLong(words)
    | RateError::Negative(words)
    | RateError::TooDear(words)) = &error
    else {
        return Some(Problem::new("prefix", error.to_string()));
    };
    Some(Problem::new(field_in_words(words), error.to_string()))
}

/// The field that `billing` calls by these words.
fn field_in_words(words: &str) -> &'static str {
    match words {
        "the first period" => "first_period",
        "the cycle" => "cycle",
        "the free time" => "free_seconds",
        "the price per minute" => "price_per_minute",
        "the price of the first period" => "first_period_price",
        "the connection fee" => "connection_fee",
        "the minimum charge" => "minimum_charge",
        "the cycle of a section" | "the price of a section" | "the beginning of a section" => "sections",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_at_fault_name_their_field() {
        type Change = fn(&mut Rate);
        let cases: &[(&str, Change)] = &[
            ("prefix", |r| r.prefix = "88x".into()),
            ("prefix", |r| r.prefix = "8".repeat(32)),
            ("area", |r| r.area = "a\n".into()),
            ("first_period", |r| r.first_period = 0),
            ("cycle", |r| r.cycle = 0),
            ("cycle", |r| r.cycle = 100_000),
            ("free_seconds", |r| r.free_seconds = 100_000),
            ("price_per_minute", |r| r.price_per_minute = Price(-1)),
            ("first_period_price", |r| r.first_period_price = Some(Price(-1))),
            ("connection_fee", |r| r.connection_fee = Money(-1)),
            ("minimum_charge", |r| r.minimum_charge = Money::LIMIT),
        ];
        for (field, change) in cases {
            let mut rate = Rate::example();
            change(&mut rate);
            assert_eq!(check_rate(&rate).map(|p| p.field), Some(field.to_string()), "{rate:?}");
        }
        assert_eq!(check_rate(&Rate::example()), None);
    }
}
