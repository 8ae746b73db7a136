//! Checks of what gateways say about routes.

use super::routes::{
    Calendar, CallerRouting, GatewayGroup, GatewayRouting, ListRules, NumberList, NumberRule, NumberRules,
    ScheduledRewrite,
};
use super::validate::{MAX_NOTES, bounded, name, prefixes, rules, text, unknown};
use super::{Config, Document, MappingGateway, RoutingGateway};
use crate::Problem;
use std::collections::HashSet;
use vocab::prefix::pack_prefix;

type Problems = Vec<Problem>;

/// Longest number that a rule about lengths may name.
const MAX_LENGTH: u32 = 64;
const MAX_WEIGHT: u32 = 1_000_000;
/// Rules bound to calendars, and proportional prefixes, of one gateway.
const MAX_RULES: usize = 100;

pub(super) fn named(own: &str, notes: &str) -> Problems {
    let mut problems = Vec::new();
    name(own, &mut problems);
    text("notes", notes, MAX_NOTES, &mut problems);
    problems
}

pub(super) fn calendar(calendar: &Calendar) -> Problems {
    let mut problems = named(&calendar.name, &calendar.notes);
    if crate::zones::zone(&calendar.time_zone).is_none() {
        let words = format!(
            "{:?} is not in the tz database; expected one like \"Europe/Berlin\"",
            calendar.time_zone
        );
        problems.push(Problem::new("time_zone", words));
    }
    bounded("holidays", calendar.holidays.len(), &mut problems);
    bounded("special_days", calendar.special_days.len(), &mut problems);
    let mut seen = HashSet::new();
    for (i, special) in calendar.special_days.iter().enumerate() {
        if !seen.insert(special.day) {
            let words = format!("{} stands here twice", special.day);
            problems.push(Problem::new(format!("special_days[{i}].day"), words));
        }
    }
    problems
}

/// Each of these names must be that of a document.
fn known<T: Document>(field: &str, names: &[String], config: &Config, problems: &mut Problems) {
    bounded(field, names.len(), problems);
    let mut seen = HashSet::new();
    for (i, name) in names.iter().enumerate() {
        let field = format!("{field}[{i}]");
        if T::table(config).named(name).is_none() {
            problems.push(unknown(&field, T::TITLE, name));
        } else if !seen.insert(name) {
            problems.push(Problem::new(field, format!("{name:?} stands here twice")));
        }
    }
}

fn known_calendar(field: &str, name: Option<&String>, config: &Config, problems: &mut Problems) {
    if let Some(name) = name.filter(|name| config.calendars.named(name).is_none()) {
        problems.push(unknown(field, Calendar::TITLE, name));
    }
}

pub(super) fn lists(field: &str, lists: &ListRules, config: &Config) -> Problems {
    let mut problems = Vec::new();
    for (side, names) in [
        ("caller_black", &lists.caller_black),
        ("called_black", &lists.called_black),
        ("caller_white", &lists.caller_white),
        ("called_white", &lists.called_white),
    ] {
        known::<NumberList>(&format!("{field}.{side}"), names, config, &mut problems);
    }
    problems
}

fn numbers(field: &str, numbers: &NumberRules, problems: &mut Problems) {
    for (side, rule) in [("caller", &numbers.caller), ("called", &numbers.called)] {
        number(&format!("{field}.{side}"), rule, problems);
    }
}

fn number(field: &str, rule: &NumberRule, problems: &mut Problems) {
    prefixes(&format!("{field}.allowed_prefixes"), &rule.allowed_prefixes, problems);
    prefixes(&format!("{field}.denied_prefixes"), &rule.denied_prefixes, problems);
    for (name, length) in [("min_length", rule.min_length), ("max_length", rule.max_length)] {
        if length.is_some_and(|n| n == 0 || n > MAX_LENGTH) {
            problems.push(Problem::new(format!("{field}.{name}"), format!("expected 1–{MAX_LENGTH}")));
        }
    }
    if rule.min_length.zip(rule.max_length).is_some_and(|(min, max)| max < min) {
        problems
            .push(Problem::new(format!("{field}.max_length"), "is below min_length: no number could pass"));
    }
    let all = |denied: &&String| denied.is_empty();
    if rule.denied_prefixes.iter().find(all).is_some() {
        let words = "the empty prefix denies every number; disable the gateway instead";
        problems.push(Problem::new(format!("{field}.denied_prefixes"), words));
    }
}

fn scheduled(rewrites: &[ScheduledRewrite], config: &Config, problems: &mut Problems) {
    few("routing.scheduled_rewrites", rewrites.len(), problems);
    for (i, rewrite) in rewrites.iter().enumerate() {
        let field = format!("routing.scheduled_rewrites[{i}]");
        known_calendar(&format!("{field}.calendar"), Some(&rewrite.calendar), config, problems);
        rules(&format!("{field}.caller_rewrite"), &rewrite.caller_rewrite, problems);
        rules(&format!("{field}.called_rewrite"), &rewrite.called_rewrite, problems);
    }
}

fn few(field: &str, length: usize, problems: &mut Problems) {
    if length > MAX_RULES {
        problems.push(Problem::new(field, format!("{length} entries; at most {MAX_RULES} are allowed")));
    }
}

pub(super) fn caller(routing: &CallerRouting, config: &Config) -> Problems {
    let mut problems = Vec::new();
    let gateways = [
        ("routing.allowed_gateways", &routing.allowed_gateways),
        ("routing.forbidden_gateways", &routing.forbidden_gateways),
    ];
    for (field, names) in gateways {
        known::<RoutingGateway>(field, names, config, &mut problems);
    }
    let groups = [
        ("routing.allowed_groups", &routing.allowed_groups),
        ("routing.forbidden_groups", &routing.forbidden_groups),
    ];
    for (field, names) in groups {
        known::<GatewayGroup>(field, names, config, &mut problems);
    }
    if routing.second_policy.is_some() && routing.first_policy.is_none() {
        problems.push(Problem::new("routing.second_policy", "needs a first policy before it"));
    }
    if routing.second_policy.is_some() && routing.second_policy == routing.first_policy {
        problems.push(Problem::new("routing.second_policy", "is the first policy once more"));
    }
    known_calendar("routing.calendar", routing.calendar.as_ref(), config, &mut problems);
    numbers("routing.numbers", &routing.numbers, &mut problems);
    problems.extend(lists("routing.lists", &routing.lists, config));
    let shares = &routing.proportional_prefixes;
    few("routing.proportional_prefixes", shares.len(), &mut problems);
    for (i, one) in shares.iter().enumerate() {
        let field = format!("routing.proportional_prefixes[{i}]");
        if let Err(e) = pack_prefix(&one.prefix) {
            problems.push(Problem::new(format!("{field}.prefix"), format!("{:?}: {e}", one.prefix)));
        }
        if one.share == 0 || one.share > MAX_WEIGHT {
            problems.push(Problem::new(format!("{field}.share"), format!("expected 1–{MAX_WEIGHT}")));
        }
    }
    scheduled(&routing.scheduled_rewrites, config, &mut problems);
    problems
}

pub(super) fn gateway(routing: &GatewayRouting, plain: &[String], config: &Config) -> Problems {
    let mut problems = Vec::new();
    bounded("routing.prefixes", routing.prefixes.len(), &mut problems);
    let mut seen: HashSet<&String> = plain.iter().collect();
    for (i, rule) in routing.prefixes.iter().enumerate() {
        let field = format!("routing.prefixes[{i}]");
        if let Err(e) = pack_prefix(&rule.prefix) {
            problems.push(Problem::new(format!("{field}.prefix"), format!("{:?}: {e}", rule.prefix)));
        } else if !seen.insert(&rule.prefix) {
            let words = format!("{:?} is among the gateway's prefixes already", rule.prefix);
            problems.push(Problem::new(format!("{field}.prefix"), words));
        }
        known_calendar(&format!("{field}.calendar"), rule.calendar.as_ref(), config, &mut problems);
    }
    known::<GatewayGroup>("routing.groups", &routing.groups, config, &mut problems);
    if routing.reserved_lines > 0 && routing.groups.is_empty() {
        problems.push(Problem::new("routing.reserved_lines", "are lines of a group; the gateway is in none"));
    }
    if routing.weight == 0 || routing.weight > MAX_WEIGHT {
        problems.push(Problem::new("routing.weight", format!("expected 1–{MAX_WEIGHT}")));
    }
    numbers("routing.numbers", &routing.numbers, &mut problems);
    problems.extend(lists("routing.lists", &routing.lists, config));
    let callers = [
        ("routing.allowed_mapping_gateways", &routing.allowed_mapping_gateways),
        ("routing.forbidden_mapping_gateways", &routing.forbidden_mapping_gateways),
    ];
    for (field, names) in callers {
        known::<MappingGateway>(field, names, config, &mut problems);
    }
    known_calendar("routing.calendar", routing.calendar.as_ref(), config, &mut problems);
    scheduled(&routing.scheduled_rewrites, config, &mut problems);
    problems
}
