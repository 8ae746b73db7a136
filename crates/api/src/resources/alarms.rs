//! Alarms (`DBG-9`): open and past, seen to, and the rules by which they begin, end and are told.

use crate::body::{Asked, Body};
use crate::clock::Timestamp;
use crate::listing::{Page, list_query};
use crate::problem::{FieldProblem, Problem};
use crate::resources::same_variants;
use crate::server::{Answer, Api};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::alarms::{Alarm as Stored, AlarmSettings, Mail};
use utoipa::ToSchema;
use watch::alarm::KINDS;
use watch::{Kind, Rule};

const MOST_RECEIVERS: usize = 16;
const LONGEST_NOTE: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmSeverity {
    Warning,
    Critical,
}

same_variants!(AlarmSeverity, watch::Severity { Warning, Critical });

/// An alarm.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Alarm {
    pub id: String,
    pub kind: String,
    /// Gateway, account or receiver; empty: the whole switch.
    pub subject: String,
    pub words: String,
    pub unit: String,
    pub severity: AlarmSeverity,
    /// The figure when it began, and the threshold of that moment.
    pub value: i64,
    pub threshold: i64,
    pub began_at: Timestamp,
    /// `null`: it is open.
    pub ended_at: Option<Timestamp>,
    /// The figure when it ended; `null` too when nothing could be said of it any more.
    pub end_value: Option<i64>,
    pub acknowledged_at: Option<Timestamp>,
    pub acknowledged_by: Option<String>,
    pub note: String,
    /// Ids of the calls that it is about.
    pub evidence: Vec<String>,
}

list_query! {
    pub struct AlarmQuery {
        /// `open` (when absent) or `all`.
        pub state: Option<String>,
    }
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeInput {
    #[serde(default)]
    pub note: String,
}

/// When alarms of one kind begin and end.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AlarmRule {
    pub kind: String,
    pub words: String,
    pub unit: String,
    /// The alarm is for figures at or above the threshold; else for those at or below.
    pub high: bool,
    /// As it comes with the program.
    pub default: RuleInput,
    /// As it is.
    pub rule: RuleInput,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleInput {
    pub enabled: bool,
    pub threshold: i64,
    /// The figure must be back here before the alarm ends.
    pub clear: i64,
    /// So many seconds beyond the threshold before it begins.
    pub hold_s: u32,
    pub severity: AlarmSeverity,
}

/// Delivery by e-mail, through a relay that takes mail without sign-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmMail {
    /// `host:port`.
    pub server: String,
    pub from: String,
    pub to: Vec<String>,
}

/// All rules, and who is told.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AlarmRules {
    pub rules: Vec<AlarmRule>,
    pub webhooks: Vec<String>,
    pub mail: Option<AlarmMail>,
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmRulesInput {
    /// By kind; those that are not named are as they come with the program.
    #[serde(default)]
    pub rules: BTreeMap<String, RuleInput>,
    /// Addresses (`http://…`) to which each begin and end is posted as JSON.
    #[serde(default)]
    pub webhooks: Vec<String>,
    #[serde(default)]
    pub mail: Option<AlarmMail>,
}

/// Lists alarms, the newest first.
#[utoipa::path(get, path = "/alarms", tag = "alarms", params(AlarmQuery), responses((status = 200, body = Page<Alarm>)))]
pub(crate) async fn list_alarms(
    State(api): State<Api>,
    Asked(query): Asked<AlarmQuery>,
) -> Answer<Page<Alarm>> {
    let asked = query.list();
    asked.only_sort("-id")?;
    let limit = asked.limit()?;
    if asked.q.is_some() {
        return Err(Problem::field("q", "alarms cannot be searched; filter by state"));
    }
    let only_open = match query.state.as_deref() {
        None | Some("open") => true,
        Some("all") => false,
        Some(_) => return Err(Problem::field("state", "expected open or all")),
    };
    let page = api.store(move |store| store.alarms(only_open, asked.cursor.as_deref(), limit)).await?;
    let items = page.items.into_iter().map(view).collect();
    Ok(Json(Page { items, next_cursor: page.next, total: None }))
}

/// Says that somebody sees to an alarm.
#[utoipa::path(post, path = "/alarms/{alarm}/acknowledge", tag = "alarms", params(("alarm" = String, Path)), request_body = AcknowledgeInput, responses((status = 200, body = Alarm)))]
pub(crate) async fn acknowledge_alarm(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(input): Body<AcknowledgeInput>,
) -> Answer<Alarm> {
    let number: u64 = id.parse().map_err(|_| Problem::not_found("alarm", &id))?;
    if input.note.chars().count() > LONGEST_NOTE {
        return Err(Problem::field("note", format!("expected at most {LONGEST_NOTE} characters")));
    }
    let work = move |store: &store::Store| store.acknowledge_alarm(number, &input.note, &caller);
    let found = api.store(work).await?;
    Ok(Json(view(found.ok_or_else(|| Problem::not_found("alarm", &id))?)))
}

/// Reads all rules, and who is told.
#[utoipa::path(get, path = "/alarm-rules", tag = "alarms", responses((status = 200, body = AlarmRules)))]
pub(crate) async fn get_alarm_rules(State(api): State<Api>) -> Answer<AlarmRules> {
    let settings = api.store(|store| store.alarm_settings()).await?;
    Ok(Json(show(settings)))
}

/// Replaces rules and receivers.
#[utoipa::path(put, path = "/alarm-rules", tag = "alarms", request_body = AlarmRulesInput, responses((status = 200, body = AlarmRules)))]
pub(crate) async fn set_alarm_rules(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<AlarmRulesInput>,
) -> Answer<AlarmRules> {
    let settings = checked(input)?;
    let stored = settings.clone();
    api.store(move |store| store.set_alarm_settings(&stored, &caller)).await?;
    Ok(Json(show(settings)))
}

fn checked(input: AlarmRulesInput) -> Result<AlarmSettings, Problem> {
    let mut faults = Vec::new();
    let mut rules = BTreeMap::new();
    for (key, rule) in input.rules {
        let field = format!("rules.{}", key.chars().take(40).collect::<String>());
        let Some(kind) = Kind::from_key(&key) else {
            faults.push(FieldProblem::new(field, "there is no such kind of alarm"));
            continue;
        };
        let rule = Rule::from(rule);
        if let Some((part, words)) = rule.fault(kind) {
            faults.push(FieldProblem::new(format!("{field}.{part}"), words));
        }
        rules.insert(key, rule);
    }
    if input.webhooks.len() > MOST_RECEIVERS {
        faults.push(FieldProblem::new("webhooks", format!("expected at most {MOST_RECEIVERS}")));
    }
    for (n, address) in input.webhooks.iter().enumerate() {
        if !is_web_address(address) {
            let words = "expected an address like http://192.0.2.1:8080/alarms";
            faults.push(FieldProblem::new(format!("webhooks.{n}"), words));
        }
    }
    if let Some(mail) = &input.mail {
        mail_faults(mail, &mut faults);
    }
    if !faults.is_empty() {
        return Err(Problem::fields(faults));
    }
    let mail = input.mail.map(|m| Mail { server: m.server, from: m.from, to: m.to });
    Ok(AlarmSettings { rules, webhooks: input.webhooks, mail })
}

fn mail_faults(mail: &AlarmMail, faults: &mut Vec<FieldProblem>) {
    let port = mail.server.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let is_server = port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|p| p > 0));
    if !is_server || !mail.server.chars().all(|c| c.is_ascii_graphic()) {
        faults.push(FieldProblem::new("mail.server", "expected host:port"));
    }
    if !watch::mail::is_address(&mail.from) {
        faults.push(FieldProblem::new("mail.from", "expected an address like switch@example.net"));
    }
    if mail.to.is_empty() || mail.to.len() > MOST_RECEIVERS {
        faults.push(FieldProblem::new("mail.to", format!("expected 1–{MOST_RECEIVERS} addresses")));
    }
    for (n, to) in mail.to.iter().enumerate().filter(|(_, to)| !watch::mail::is_address(to)) {
        let words = format!("{:?} is no address", to.chars().take(80).collect::<String>());
        faults.push(FieldProblem::new(format!("mail.to.{n}"), words));
    }
}

fn is_web_address(text: &str) -> bool {
    let uri = text.parse::<axum::http::Uri>();
    text.len() <= 500
        && uri.is_ok_and(|u| u.scheme_str() == Some("http") && u.host().is_some_and(|h| !h.is_empty()))
}

impl From<RuleInput> for Rule {
    fn from(r: RuleInput) -> Rule {
        Rule {
            enabled: r.enabled,
            threshold: r.threshold,
            clear: r.clear,
            hold_s: r.hold_s,
            severity: r.severity.into(),
        }
    }
}

impl From<Rule> for RuleInput {
    fn from(r: Rule) -> RuleInput {
        RuleInput {
            enabled: r.enabled,
            threshold: r.threshold,
            clear: r.clear,
            hold_s: r.hold_s,
            severity: r.severity.into(),
        }
    }
}

fn show(settings: AlarmSettings) -> AlarmRules {
    let rule = |facts: &watch::alarm::Facts| AlarmRule {
        kind: facts.key.to_owned(),
        words: facts.words.to_owned(),
        unit: facts.unit.to_owned(),
        high: facts.high,
        default: facts.default.into(),
        rule: settings.rule(facts.kind).into(),
    };
    let rules = KINDS.iter().map(rule).collect();
    let mail = settings.mail.map(|m| AlarmMail { server: m.server, from: m.from, to: m.to });
    AlarmRules { rules, webhooks: settings.webhooks, mail }
}

fn view(alarm: Stored) -> Alarm {
    let facts = Kind::from_key(&alarm.kind).map(Kind::facts);
    let text = |pick: fn(&watch::alarm::Facts) -> &'static str| facts.map_or("", pick).to_owned();
    Alarm {
        id: alarm.id.to_string(),
        words: text(|f| f.words),
        unit: text(|f| f.unit),
        kind: alarm.kind,
        subject: alarm.subject,
        severity: alarm.details.severity.into(),
        value: alarm.details.value,
        threshold: alarm.details.threshold,
        began_at: alarm.began_at.into(),
        ended_at: alarm.ended_at.map(Into::into),
        end_value: alarm.details.end_value,
        acknowledged_at: alarm.details.acknowledged_at.map(Into::into),
        acknowledged_by: alarm.details.acknowledged_by,
        note: alarm.details.note,
        evidence: alarm.details.evidence,
    }
}
