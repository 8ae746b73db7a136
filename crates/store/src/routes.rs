//! What gateways say about routes, from documents to the brain: names become keys.

use crate::StoreError;
use crate::config::{
    self, CallerRouting, Config, Document, GatewayRouting, ListRules, NumberRule, ScheduledRewrite, SystemUse,
};
use crate::rewriting::rewriting;
use billing::WorkCalendar;
use routing::{Access, Policy, PrefixMode, PrefixTerms, Rewriting, Terms};
use std::sync::Arc;
use switch::snapshot as brain;
use vocab::{CalendarId, GatewayGroupId, MappingGatewayId, NumberListId, RoutingGatewayId};

/// Keys of documents; names that are unknown were refused when they were entered.
fn keys<T: Document, I>(config: &Config, names: &[String], key: fn(u32) -> I) -> Vec<I> {
    names.iter().filter_map(|name| T::table(config).named(name)).map(|stored| key(stored.id)).collect()
}

fn calendar_key(config: &Config, name: Option<&String>) -> Option<CalendarId> {
    config.calendars.named(name?).map(|stored| CalendarId(stored.id))
}

pub(crate) fn lists(config: &Config, rules: &ListRules) -> brain::Lists {
    let keys = |names: &[String]| keys::<config::NumberList, _>(config, names, NumberListId);
    brain::Lists {
        caller_black: keys(&rules.caller_black),
        called_black: keys(&rules.called_black),
        caller_white: keys(&rules.caller_white),
        called_white: keys(&rules.called_white),
    }
}

/// Lists that every call is held against.
pub(crate) fn system_lists(config: &Config) -> brain::Lists {
    let mut lists = brain::Lists::default();
    for stored in config.number_lists.iter() {
        let of = match stored.document.system {
            SystemUse::None => continue,
            SystemUse::CallerBlack => &mut lists.caller_black,
            SystemUse::CalledBlack => &mut lists.called_black,
            SystemUse::CallerWhite => &mut lists.caller_white,
            SystemUse::CalledWhite => &mut lists.called_white,
        };
        of.push(NumberListId(stored.id));
    }
    lists
}

fn numbers(rules: &config::NumberRules) -> routing::NumberRules {
    let rule = |rule: &NumberRule| routing::NumberRule {
        allowed: rule.allowed_prefixes.clone(),
        denied: rule.denied_prefixes.clone(),
        min_length: rule.min_length,
        max_length: rule.max_length,
    };
    routing::NumberRules { caller: rule(&rules.caller), called: rule(&rules.called) }
}

pub(crate) fn scheduled(
    config: &Config,
    title: &str,
    name: &str,
    rewrites: &[ScheduledRewrite],
) -> Result<Vec<(CalendarId, Rewriting)>, StoreError> {
    let mut all = Vec::new();
    for rewrite in rewrites {
        let rules = rewriting(title, name, &rewrite.caller_rewrite, &rewrite.called_rewrite)?;
        all.extend(calendar_key(config, Some(&rewrite.calendar)).map(|calendar| (calendar, rules)));
    }
    Ok(all)
}

fn policy(policy: config::RoutePolicy) -> Policy {
    match policy {
        config::RoutePolicy::Fixed => Policy::Fixed,
        config::RoutePolicy::Weight => Policy::Weight,
        config::RoutePolicy::Cost => Policy::Cost,
        config::RoutePolicy::Quality => Policy::Quality,
        config::RoutePolicy::RoundRobin => Policy::RoundRobin,
        config::RoutePolicy::LeastLoaded => Policy::LeastLoaded,
    }
}

fn mode(mode: config::PrefixMode) -> PrefixMode {
    match mode {
        config::PrefixMode::Continue => PrefixMode::Continue,
        config::PrefixMode::Terminate => PrefixMode::Terminate,
    }
}

pub(crate) fn calling(
    config: &Config,
    name: &str,
    rules: &CallerRouting,
) -> Result<brain::Calling, StoreError> {
    let groups = |names: &[String]| keys::<config::GatewayGroup, _>(config, names, GatewayGroupId);
    let gateways = |names: &[String]| keys::<config::RoutingGateway, _>(config, names, RoutingGatewayId);
    let limits = rules.number_limits;
    let policies = [rules.first_policy, rules.second_policy];
    let title = config::MappingGateway::TITLE;
    Ok(brain::Calling {
        calendar: calendar_key(config, rules.calendar.as_ref()),
        numbers: numbers(&rules.numbers),
        lists: lists(config, &rules.lists),
        number_limits: brain::NumberLimits {
            caller_calls: limits.caller_max_concurrency,
            caller_cps: limits.caller_max_cps,
            called_calls: limits.called_max_concurrency,
            called_cps: limits.called_max_cps,
        },
        access: Access {
            groups_allowed: groups(&rules.allowed_groups),
            groups_forbidden: groups(&rules.forbidden_groups),
            gateways_allowed: gateways(&rules.allowed_gateways),
            gateways_forbidden: gateways(&rules.forbidden_gateways),
        },
        policies: policies.into_iter().flatten().map(policy).collect(),
        proportional: rules.proportional_prefixes.iter().map(|p| (p.prefix.clone(), p.share)).collect(),
        scheduled: scheduled(config, title, name, &rules.scheduled_rewrites)?,
        dynamic_black_list: rules.dynamic_black_list,
    })
}

pub(crate) fn terms(config: &Config, rules: &GatewayRouting) -> Terms {
    let callers = |names: &[String]| keys::<config::MappingGateway, _>(config, names, MappingGatewayId);
    let prefix = |rule: &config::PrefixRule| PrefixTerms {
        prefix: rule.prefix.clone(),
        priority: rule.priority,
        mode: rule.mode.map(mode),
        calendar: calendar_key(config, rule.calendar.as_ref()),
    };
    let mut prefixes: Vec<PrefixTerms> = rules.prefixes.iter().map(prefix).collect();
    prefixes.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    Terms {
        mode: mode(rules.mode),
        prefixes,
        groups: keys::<config::GatewayGroup, _>(config, &rules.groups, GatewayGroupId),
        reserved_lines: rules.reserved_lines,
        weight: rules.weight,
        call_level: rules.call_level,
        numbers: numbers(&rules.numbers),
        callers_allowed: callers(&rules.allowed_mapping_gateways),
        callers_forbidden: callers(&rules.forbidden_mapping_gateways),
        protected: rules.protected,
        calendar: calendar_key(config, rules.calendar.as_ref()),
    }
}

pub(crate) fn group(document: &config::GatewayGroup) -> brain::GatewayGroup {
    brain::GatewayGroup {
        name: document.name.as_str().into(),
        max_concurrency: document.max_concurrency,
        max_cps: document.max_cps,
    }
}

pub(crate) fn calendar(document: &config::Calendar) -> Result<WorkCalendar, StoreError> {
    let zone = crate::zones::zone(&document.time_zone)
        .ok_or_else(|| StoreError::corrupt(format!("calendar {:?}: its time zone", document.name)))?;
    Ok(WorkCalendar {
        name: document.name.as_str().into(),
        zone: Arc::new(zone),
        hours: document.hours.clone(),
        holidays: document.holidays.clone(),
        special_days: document.special_days.iter().map(|s| (s.day, s.hours.clone())).collect(),
    })
}
