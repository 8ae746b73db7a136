//! Documents and fields about routes: gateway groups, calendars, number lists, and what both kinds of gateways say about
//! who may call whom, when and by which way.
//!
//! The fields stand in the API as they stand here, so each has its schema.

use super::{Config, Document, MappingGateway, Reference, RoutingGateway, Table, route_checks};
use crate::Problem;
use billing::{Day, Hours};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vocab::{CallLevel, Utc};

/// Routing gateways with lines in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GatewayGroupInput)]
pub struct GatewayGroup {
    pub name: String,
    /// Calls in progress on all gateways of the group.
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    #[serde(default)]
    pub max_cps: Option<u32>,
    #[serde(default)]
    pub notes: String,
}

/// When something holds: hours of the week in a time zone, with holidays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CalendarInput)]
pub struct Calendar {
    pub name: String,
    /// As in the tz database.
    #[serde(default = "utc")]
    #[schema(examples("Europe/Berlin"))]
    pub time_zone: String,
    /// Hours of ordinary days, like `Mon-Fri 08:00-18:00, Sat 22:00-06:00`; empty: always.
    #[serde(default)]
    #[schema(value_type = String)]
    pub hours: Hours,
    /// Days on which nothing holds: `2026-12-25`, or `12-25` for every year.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub holidays: Vec<Day>,
    /// Days with hours of their own, which stand before the others.
    #[serde(default)]
    pub special_days: Vec<SpecialDay>,
    #[serde(default)]
    pub notes: String,
}

/// A day with hours of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpecialDay {
    #[schema(value_type = String)]
    pub day: Day,
    /// Like `08:00-12:00`; empty: the whole day.
    #[serde(default)]
    #[schema(value_type = String)]
    pub hours: Hours,
}

/// A black or white list. Its numbers are kept apart: there may be millions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NumberListInput)]
pub struct NumberList {
    pub name: String,
    /// How every call is held against it; others name it in their own `lists`.
    #[serde(default)]
    pub system: SystemUse,
    #[serde(default)]
    pub notes: String,
}

/// What a list is to all calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SystemUse {
    #[default]
    None,
    CallerBlack,
    CalledBlack,
    CallerWhite,
    CalledWhite,
}

/// Names of number lists. Numbers in a black list are refused, and numbers in no white list where there are some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListRules {
    #[serde(default)]
    pub caller_black: Vec<String>,
    #[serde(default)]
    pub called_black: Vec<String>,
    #[serde(default)]
    pub caller_white: Vec<String>,
    #[serde(default)]
    pub called_white: Vec<String>,
}

/// Allowed and denied beginnings, and lengths, of both numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberRules {
    #[serde(default)]
    pub caller: NumberRule,
    #[serde(default)]
    pub called: NumberRule,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberRule {
    /// Empty: all.
    #[serde(default)]
    pub allowed_prefixes: Vec<String>,
    #[serde(default)]
    pub denied_prefixes: Vec<String>,
    #[serde(default)]
    pub min_length: Option<u32>,
    #[serde(default)]
    pub max_length: Option<u32>,
}

/// What gateways of one prefix length and priority are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoutePolicy {
    Fixed,
    Weight,
    Cost,
    Quality,
    RoundRobin,
    LeastLoaded,
}

/// Whether shorter prefixes are tried after the gateways of the longest have failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrefixMode {
    #[default]
    Continue,
    Terminate,
}

/// How the calls of a mapping gateway are routed and held in bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallerRouting {
    /// What routing gateways are sorted by; `null`: as the switch does.
    #[serde(default)]
    pub first_policy: Option<RoutePolicy>,
    #[serde(default)]
    pub second_policy: Option<RoutePolicy>,
    /// Routing gateways, by themselves or by their groups; empty: all are allowed, none is forbidden.
    #[serde(default)]
    pub allowed_gateways: Vec<String>,
    #[serde(default)]
    pub forbidden_gateways: Vec<String>,
    #[serde(default)]
    pub allowed_groups: Vec<String>,
    #[serde(default)]
    pub forbidden_groups: Vec<String>,
    /// When it may call.
    #[serde(default)]
    pub calendar: Option<String>,
    /// Numbers that it may call from and to, as received.
    #[serde(default)]
    pub numbers: NumberRules,
    #[serde(default)]
    pub lists: ListRules,
    #[serde(default)]
    pub number_limits: NumberLimits,
    /// Prefixes put before called numbers, each for its share of the calls.
    #[serde(default)]
    pub proportional_prefixes: Vec<ProportionalPrefix>,
    /// Rules for numbers that stand in the place of the ordinary ones at times.
    #[serde(default)]
    pub scheduled_rewrites: Vec<ScheduledRewrite>,
    /// The dynamic black list watches its numbers (in the mode Standalone).
    #[serde(default)]
    pub dynamic_black_list: bool,
}

/// Bounds for each single number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberLimits {
    #[serde(default)]
    pub caller_max_concurrency: Option<u32>,
    #[serde(default)]
    pub caller_max_cps: Option<u32>,
    #[serde(default)]
    pub called_max_concurrency: Option<u32>,
    #[serde(default)]
    pub called_max_cps: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProportionalPrefix {
    /// Empty: the number as it is.
    pub prefix: String,
    #[serde(default = "one")]
    pub share: u32,
}

/// Rules for numbers that hold while a calendar is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduledRewrite {
    pub calendar: String,
    #[serde(default)]
    pub caller_rewrite: Vec<String>,
    #[serde(default)]
    pub called_rewrite: Vec<String>,
}

/// What a routing gateway takes, from whom and when, and how it stands among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayRouting {
    #[serde(default)]
    pub mode: PrefixMode,
    /// Prefixes with settings of their own, besides the plain ones.
    #[serde(default)]
    pub prefixes: Vec<PrefixRule>,
    #[serde(default)]
    pub groups: Vec<String>,
    /// So many free lines of a group are left for its other gateways.
    #[serde(default)]
    pub reserved_lines: u32,
    /// Its share of the traffic among others of its rank, with the policy `weight`.
    #[serde(default = "one")]
    pub weight: u32,
    /// The farthest destinations that it is used for.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub call_level: Option<CallLevel>,
    /// Numbers that it takes, after the rules of the way in.
    #[serde(default)]
    pub numbers: NumberRules,
    #[serde(default)]
    pub lists: ListRules,
    /// Mapping gateways whose calls it takes; empty: all.
    #[serde(default)]
    pub allowed_mapping_gateways: Vec<String>,
    #[serde(default)]
    pub forbidden_mapping_gateways: Vec<String>,
    /// A reserve, used when the others are exhausted and `SS_TRY_PROTECT_ROUTE_DELAY` has passed.
    #[serde(default)]
    pub protected: bool,
    /// When it is used.
    #[serde(default)]
    pub calendar: Option<String>,
    /// Rules for numbers that stand in the place of the ordinary ones at times.
    #[serde(default)]
    pub scheduled_rewrites: Vec<ScheduledRewrite>,
}

impl Default for GatewayRouting {
    fn default() -> GatewayRouting {
        GatewayRouting {
            mode: PrefixMode::Continue,
            prefixes: Vec::new(),
            groups: Vec::new(),
            reserved_lines: 0,
            weight: 1,
            call_level: None,
            numbers: NumberRules::default(),
            lists: ListRules::default(),
            allowed_mapping_gateways: Vec::new(),
            forbidden_mapping_gateways: Vec::new(),
            protected: false,
            calendar: None,
            scheduled_rewrites: Vec::new(),
        }
    }
}

/// A prefix with settings of its own; `null`: those of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixRule {
    pub prefix: String,
    #[serde(default)]
    pub priority: Option<u32>,
    #[serde(default)]
    pub mode: Option<PrefixMode>,
    /// When it is used; outside of it shorter prefixes of the gateway hold.
    #[serde(default)]
    pub calendar: Option<String>,
}

impl Calendar {
    /// Is this one of its times? Not where its zone is unknown.
    pub fn is_open(&self, at: Utc) -> bool {
        crate::routes::calendar(self).is_ok_and(|calendar| calendar.is_open(at))
    }
}

fn utc() -> String {
    "UTC".into()
}

fn one() -> u32 {
    1
}

fn named<'a>(kind: &'static str, names: impl IntoIterator<Item = &'a mut String>) -> Vec<Reference<'a>> {
    names.into_iter().map(|name| Reference { kind, name }).collect()
}

impl ListRules {
    pub(super) fn references(&mut self) -> Vec<Reference<'_>> {
        let lists =
            [&mut self.caller_black, &mut self.called_black, &mut self.caller_white, &mut self.called_white];
        named(NumberList::KIND, lists.into_iter().flatten())
    }
}

fn calendars(rewrites: &mut [ScheduledRewrite]) -> impl Iterator<Item = &mut String> {
    rewrites.iter_mut().map(|r| &mut r.calendar)
}

impl CallerRouting {
    pub(super) fn references(&mut self) -> Vec<Reference<'_>> {
        let gateways = self.allowed_gateways.iter_mut().chain(&mut self.forbidden_gateways);
        let mut all = named(RoutingGateway::KIND, gateways);
        let groups = self.allowed_groups.iter_mut().chain(&mut self.forbidden_groups);
        all.extend(named(GatewayGroup::KIND, groups));
        let calendars = self.calendar.iter_mut().chain(calendars(&mut self.scheduled_rewrites));
        all.extend(named(Calendar::KIND, calendars));
        all.extend(self.lists.references());
        all
    }
}

impl GatewayRouting {
    pub(super) fn references(&mut self) -> Vec<Reference<'_>> {
        let callers = self.allowed_mapping_gateways.iter_mut().chain(&mut self.forbidden_mapping_gateways);
        let mut all = named(MappingGateway::KIND, callers);
        all.extend(named(GatewayGroup::KIND, &mut self.groups));
        let prefixes = self.prefixes.iter_mut().filter_map(|p| p.calendar.as_mut());
        let own = self.calendar.iter_mut().chain(prefixes).chain(calendars(&mut self.scheduled_rewrites));
        all.extend(named(Calendar::KIND, own));
        all.extend(self.lists.references());
        all
    }
}

impl Document for GatewayGroup {
    const KIND: &'static str = "gateway_group";
    const TITLE: &'static str = "gateway group";
    const REQUIRED: &'static [&'static str] = &["name"];

    fn example() -> GatewayGroup {
        GatewayGroup { name: "x".into(), max_concurrency: None, max_cps: None, notes: String::new() }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn references(&mut self) -> Vec<Reference<'_>> {
        Vec::new()
    }

    fn table(config: &Config) -> &Table<GatewayGroup> {
        &config.gateway_groups
    }

    fn table_mut(config: &mut Config) -> &mut Table<GatewayGroup> {
        &mut config.gateway_groups
    }

    fn validate(&self, _: u32, _: &Config) -> Vec<Problem> {
        route_checks::named(&self.name, &self.notes)
    }
}

impl Document for Calendar {
    const KIND: &'static str = "calendar";
    const TITLE: &'static str = "calendar";
    const REQUIRED: &'static [&'static str] = &["name"];

    fn example() -> Calendar {
        Calendar {
            name: "x".into(),
            time_zone: utc(),
            hours: Hours::default(),
            holidays: Vec::new(),
            special_days: Vec::new(),
            notes: String::new(),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn references(&mut self) -> Vec<Reference<'_>> {
        Vec::new()
    }

    fn table(config: &Config) -> &Table<Calendar> {
        &config.calendars
    }

    fn table_mut(config: &mut Config) -> &mut Table<Calendar> {
        &mut config.calendars
    }

    fn validate(&self, _: u32, _: &Config) -> Vec<Problem> {
        route_checks::calendar(self)
    }
}

impl Document for NumberList {
    const KIND: &'static str = "number_list";
    const TITLE: &'static str = "number list";
    const REQUIRED: &'static [&'static str] = &["name"];

    fn example() -> NumberList {
        NumberList { name: "x".into(), system: SystemUse::None, notes: String::new() }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn references(&mut self) -> Vec<Reference<'_>> {
        Vec::new()
    }

    fn table(config: &Config) -> &Table<NumberList> {
        &config.number_lists
    }

    fn table_mut(config: &mut Config) -> &mut Table<NumberList> {
        &mut config.number_lists
    }

    fn validate(&self, _: u32, _: &Config) -> Vec<Problem> {
        route_checks::named(&self.name, &self.notes)
    }
}
