//! The words of ladders about routes: groups, calendars and lists, and what callers and vendors say about each other.

use crate::business::{level, list, value};
use billing::{Day, Hours, WorkCalendar, Zone};
use routing::{
    Access, ListEntry, NumberList, NumberRules, Policy, PrefixMode, PrefixTerms, Rewriting, Rules, Terms,
};
use std::collections::BTreeMap;
use std::str::SplitWhitespace;
use std::sync::Arc;
use switch::snapshot::{Calling, GatewayGroup, Lists, NamedList, NumberLimits, Snapshot};
use vocab::{CalendarId, CallLevel, GatewayGroupId, MappingGatewayId, NumberListId, RoutingGatewayId};

/// Gateway groups, calendars and number lists, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    groups: BTreeMap<String, (u32, Arc<GatewayGroup>)>,
    calendars: BTreeMap<String, (u32, Arc<WorkCalendar>)>,
    lists: BTreeMap<String, (u32, NamedList)>,
    system: Lists,
}

impl Shared {
    pub fn key(&self, name: &str) -> Option<u32> {
        let group = self.groups.get(name).map(|(key, _)| *key);
        let calendar = || self.calendars.get(name).map(|(key, _)| *key);
        group.or_else(calendar).or_else(|| self.lists.get(name).map(|(key, _)| *key))
    }

    pub fn read(
        &mut self,
        kind: &str,
        name: &str,
        key: u32,
        words: SplitWhitespace<'_>,
    ) -> Result<(), String> {
        match kind {
            "group" => self.group(name, key, words),
            "calendar" => self.calendar(name, key, words),
            _ => self.list(name, key, words),
        }
    }

    /// `group NAME [max_calls N] [max_cps N]`
    fn group(&mut self, name: &str, key: u32, mut words: SplitWhitespace<'_>) -> Result<(), String> {
        let mut group = GatewayGroup { name: name.into(), max_concurrency: None, max_cps: None };
        while let Some(word) = words.next() {
            match word {
                "max_calls" => group.max_concurrency = Some(value(&mut words)?),
                "max_cps" => group.max_cps = Some(value(&mut words)?),
                other => return Err(format!("{other:?} is not known here")),
            }
        }
        self.groups.insert(name.to_owned(), (key, Arc::new(group)));
        Ok(())
    }

    /// `calendar NAME [Sun_08:00-18:00,…] [holidays 2026-03-01,…]`, UTC.
    fn calendar(&mut self, name: &str, key: u32, mut words: SplitWhitespace<'_>) -> Result<(), String> {
        let (mut hours, mut holidays) = (Hours::default(), Vec::new());
        while let Some(word) = words.next() {
            match word {
                "holidays" => {
                    let days: Vec<String> = list(&mut words)?;
                    let days = days.iter().map(|day| Day::parse(day).map_err(|e| e.to_string()));
                    holidays = days.collect::<Result<_, _>>()?;
                }
                text => hours = Hours::parse(&text.replace('_', " ")).map_err(|e| e.to_string())?,
            }
        }
        let zone = Arc::new(Zone::utc());
        let calendar = WorkCalendar { name: name.into(), zone, hours, holidays, special_days: Vec::new() };
        self.calendars.insert(name.to_owned(), (key, Arc::new(calendar)));
        Ok(())
    }

    /// `list NAME [caller_black|called_black|caller_white|called_white] NUMBER…`
    fn list(&mut self, name: &str, key: u32, words: SplitWhitespace<'_>) -> Result<(), String> {
        let mut entries = Vec::new();
        let id = NumberListId(key);
        for word in words {
            match word {
                "caller_black" => self.system.caller_black.push(id),
                "called_black" => self.system.called_black.push(id),
                "caller_white" => self.system.caller_white.push(id),
                "called_white" => self.system.called_white.push(id),
                number => entries.push(ListEntry::parse(number).map_err(|e| e.to_string())?),
            }
        }
        let numbers = Arc::new(NumberList::build(entries).map_err(|e| e.to_string())?);
        self.lists.insert(name.to_owned(), (key, NamedList { name: name.into(), numbers }));
        Ok(())
    }

    pub fn fill(&self, snapshot: &mut Snapshot) {
        snapshot.groups =
            self.groups.values().map(|(key, group)| (GatewayGroupId(*key), group.clone())).collect();
        snapshot.calendars =
            self.calendars.values().map(|(key, calendar)| (CalendarId(*key), calendar.clone())).collect();
        snapshot.number_lists =
            self.lists.values().map(|(key, list)| (NumberListId(*key), list.clone())).collect();
        snapshot.lists = self.system.clone();
    }
}

/// Keys by name of all that routes may name.
pub(crate) struct Keys<'a> {
    pub shared: &'a Shared,
    pub callers: BTreeMap<&'a str, u32>,
    pub vendors: BTreeMap<&'a str, u32>,
}

fn keyed<I>(
    names: &[String],
    known: impl Fn(&str) -> Option<u32>,
    key: fn(u32) -> I,
) -> Result<Vec<I>, String> {
    names.iter().map(|name| known(name).map(key).ok_or_else(|| format!("there is no {name:?}"))).collect()
}

impl Keys<'_> {
    fn groups(&self, names: &[String]) -> Result<Vec<GatewayGroupId>, String> {
        keyed(names, |n| self.shared.groups.get(n).map(|(key, _)| *key), GatewayGroupId)
    }

    fn calendar(&self, name: &str) -> Result<CalendarId, String> {
        let found = self.shared.calendars.get(name).map(|(key, _)| CalendarId(*key));
        found.ok_or_else(|| format!("there is no calendar {name:?}"))
    }

    fn lists(&self, names: &[String]) -> Result<Vec<NumberListId>, String> {
        keyed(names, |n| self.shared.lists.get(n).map(|(key, _)| *key), NumberListId)
    }
}

/// A prefix, its priority, its mode and its calendar.
type PrefixWords = (String, Option<u32>, Option<PrefixMode>, Option<String>);

/// What a caller or a vendor says about routes, names unresolved.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteWords {
    mode: PrefixMode,
    prefixes: Vec<PrefixWords>,
    groups: Vec<String>,
    reserved_lines: u32,
    weight: u32,
    reach: Option<CallLevel>,
    numbers: NumberRules,
    allowed: Vec<String>,
    forbidden: Vec<String>,
    allowed_groups: Vec<String>,
    forbidden_groups: Vec<String>,
    protected: bool,
    calendar: Option<String>,
    /// Calendar, rules for the caller's number, rules for the called one.
    scheduled: Vec<(String, String, String)>,
    lists: [Vec<String>; 4],
    policies: Vec<Policy>,
    limits: NumberLimits,
    proportional: Vec<(String, u32)>,
    dynamic_black_list: bool,
}

fn policy(word: &str) -> Result<Policy, String> {
    Ok(match word {
        "fixed" => Policy::Fixed,
        "weight" => Policy::Weight,
        "cost" => Policy::Cost,
        "quality" => Policy::Quality,
        "round_robin" => Policy::RoundRobin,
        "least_loaded" => Policy::LeastLoaded,
        other => return Err(format!("{other:?} is no policy")),
    })
}

impl RouteWords {
    /// Reads a word with its values; false: it is none of these.
    pub fn word(&mut self, word: &str, words: &mut SplitWhitespace<'_>) -> Result<bool, String> {
        match word {
            "terminate" => self.mode = PrefixMode::Terminate,
            "prefix" => self.prefix(&value::<String>(words)?)?,
            "groups" => self.groups = list(words)?,
            "reserved" => self.reserved_lines = value(words)?,
            "weight" => self.weight = value(words)?,
            "reach" => self.reach = Some(level(&value::<String>(words)?)?),
            "caller_allowed" => self.numbers.caller.allowed = list(words)?,
            "caller_denied" => self.numbers.caller.denied = list(words)?,
            "called_allowed" => self.numbers.called.allowed = list(words)?,
            "called_denied" => self.numbers.called.denied = list(words)?,
            "called_min" => self.numbers.called.min_length = Some(value(words)?),
            "called_max" => self.numbers.called.max_length = Some(value(words)?),
            "allowed" => self.allowed = list(words)?,
            "forbidden" => self.forbidden = list(words)?,
            "allowed_groups" => self.allowed_groups = list(words)?,
            "forbidden_groups" => self.forbidden_groups = list(words)?,
            "protected" => self.protected = true,
            "in" => self.calendar = Some(value(words)?),
            "scheduled" => self.scheduled(words)?,
            "caller_black" => self.lists[0] = list(words)?,
            "called_black" => self.lists[1] = list(words)?,
            "caller_white" => self.lists[2] = list(words)?,
            "called_white" => self.lists[3] = list(words)?,
            "policy" => {
                let names: Vec<String> = list(words)?;
                self.policies = names.iter().map(|name| policy(name)).collect::<Result<_, _>>()?;
            }
            "caller_calls" => self.limits.caller_calls = Some(value(words)?),
            "caller_cps" => self.limits.caller_cps = Some(value(words)?),
            "called_calls" => self.limits.called_calls = Some(value(words)?),
            "called_cps" => self.limits.called_cps = Some(value(words)?),
            "proportional" => {
                let (prefix, share): (String, u32) = (value(words)?, value(words)?);
                self.proportional.push((prefix, share));
            }
            "watched" => self.dynamic_black_list = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `88017:prio=1:terminate:in=office`
    fn prefix(&mut self, text: &str) -> Result<(), String> {
        let mut parts = text.split(':');
        let (mut prio, mut mode, mut calendar) = (None, None, None);
        let prefix = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            match part.split_once('=').unwrap_or((part, "")) {
                ("prio", n) => prio = Some(n.parse().map_err(|_| format!("{n:?} is no priority"))?),
                ("terminate", "") => mode = Some(PrefixMode::Terminate),
                ("continue", "") => mode = Some(PrefixMode::Continue),
                ("in", name) => calendar = Some(name.to_owned()),
                _ => return Err(format!("{part:?} is not known here")),
            }
        }
        self.prefixes.push((prefix, prio, mode, calendar));
        Ok(())
    }

    /// `scheduled CALENDAR called RULES`
    fn scheduled(&mut self, words: &mut SplitWhitespace<'_>) -> Result<(), String> {
        let (calendar, whose, rules): (String, String, String) =
            (value(words)?, value(words)?, value(words)?);
        let (caller, called) = match whose.as_str() {
            "caller" => (rules, String::new()),
            "called" => (String::new(), rules),
            other => return Err(format!("{other:?} is neither caller nor called")),
        };
        self.scheduled.push((calendar, caller, called));
        Ok(())
    }

    pub fn lists(&self, keys: &Keys<'_>) -> Result<Lists, String> {
        Ok(Lists {
            caller_black: keys.lists(&self.lists[0])?,
            called_black: keys.lists(&self.lists[1])?,
            caller_white: keys.lists(&self.lists[2])?,
            called_white: keys.lists(&self.lists[3])?,
        })
    }

    fn scheduled_rules(text: &str) -> Result<Rules, String> {
        let rules: Vec<String> =
            routing::rewrite::split_text(text).into_iter().map(|(_, rule)| rule).collect();
        Rules::parse(&rules).map_err(|e| format!("{e:?}"))
    }

    pub fn scheduled_at(&self, keys: &Keys<'_>) -> Result<Vec<(CalendarId, Rewriting)>, String> {
        let one = |(calendar, caller, called): &(String, String, String)| {
            let caller = RouteWords::scheduled_rules(caller)?;
            let called = RouteWords::scheduled_rules(called)?;
            Ok((keys.calendar(calendar)?, Rewriting { caller, called }))
        };
        self.scheduled.iter().map(one).collect()
    }

    fn when(&self, keys: &Keys<'_>) -> Result<Option<CalendarId>, String> {
        self.calendar.as_ref().map(|name| keys.calendar(name)).transpose()
    }

    /// Of a vendor.
    pub fn terms(&self, keys: &Keys<'_>) -> Result<Terms, String> {
        let prefix = |(prefix, priority, mode, calendar): &PrefixWords| {
            let calendar = calendar.as_ref().map(|name| keys.calendar(name)).transpose()?;
            Ok(PrefixTerms { prefix: prefix.clone(), priority: *priority, mode: *mode, calendar })
        };
        let mut prefixes = self.prefixes.iter().map(prefix).collect::<Result<Vec<_>, String>>()?;
        prefixes.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        let callers = |names: &[String]| keyed(names, |n| keys.callers.get(n).copied(), MappingGatewayId);
        Ok(Terms {
            mode: self.mode,
            prefixes,
            groups: keys.groups(&self.groups)?,
            reserved_lines: self.reserved_lines,
            weight: self.weight,
            call_level: self.reach,
            numbers: self.numbers.clone(),
            callers_allowed: callers(&self.allowed)?,
            callers_forbidden: callers(&self.forbidden)?,
            protected: self.protected,
            calendar: self.when(keys)?,
        })
    }

    /// Of a caller's trunk.
    pub fn calling(&self, keys: &Keys<'_>) -> Result<Calling, String> {
        let vendors = |names: &[String]| keyed(names, |n| keys.vendors.get(n).copied(), RoutingGatewayId);
        Ok(Calling {
            calendar: self.when(keys)?,
            numbers: self.numbers.clone(),
            lists: self.lists(keys)?,
            number_limits: self.limits,
            access: Access {
                groups_allowed: keys.groups(&self.allowed_groups)?,
                groups_forbidden: keys.groups(&self.forbidden_groups)?,
                gateways_allowed: vendors(&self.allowed)?,
                gateways_forbidden: vendors(&self.forbidden)?,
            },
            policies: self.policies.clone(),
            proportional: self.proportional.clone(),
            scheduled: self.scheduled_at(keys)?,
            dynamic_black_list: self.dynamic_black_list,
        })
    }
}
