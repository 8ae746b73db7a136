//! The fraud watch (`SEC-7`, `BEY-10`): its rules, and a trial of rules on calls of the past.

use crate::body::Body;
use crate::clock::Timestamp;
use crate::problem::{FieldProblem, Problem};
use crate::resources::same_variants;
use crate::server::{Answer, Api};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::fraud::{FraudRule as Stored, FraudRules as StoredRules};
use store::{CdrFilter, Store, StoreError};
use utoipa::ToSchema;
use watch::fraud::{Call, Engine, Finding, KINDS, Kind, Rule};

/// Calls that one trial reads, and findings that it tells.
const MOST_CALLS: usize = 100_000;
const MOST_FINDINGS: usize = 1_000;
const PAGE: usize = 1_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FraudAction {
    #[default]
    Alarm,
    /// Lock the account beside the alarm.
    LockAccount,
}

same_variants!(FraudAction, store::fraud::FraudAction { Alarm, LockAccount });

/// Thresholds of a rule; what is absent is as it comes with the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FraudRuleInput {
    /// For a trial without meaning.
    #[serde(default)]
    pub enabled: bool,
    #[serde(default)]
    pub action: FraudAction,
    #[serde(default)]
    pub threshold: Option<i64>,
    /// Below so many calls (for a rise of spend: hundredths of the currency) nothing is said.
    #[serde(default)]
    pub least: Option<i64>,
    #[serde(default)]
    pub window_s: Option<u32>,
    /// Called numbers that begin so, for rules that go by a list.
    #[serde(default)]
    pub prefixes: Option<Vec<String>>,
    /// First hour and the hour after the last (UTC), for rules that go by the time of day.
    #[serde(default)]
    pub hours: Option<[u8; 2]>,
}

/// A rule of the fraud watch.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FraudRule {
    pub kind: String,
    pub words: String,
    pub rule: FraudRuleInput,
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FraudRulesInput {
    /// By kind; those that are not named are off.
    pub rules: BTreeMap<String, FraudRuleInput>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FraudTrialInput {
    /// Rules to try, by kind; all, as they come with the program, when empty.
    #[serde(default)]
    pub rules: BTreeMap<String, FraudRuleInput>,
    /// Calls that began at or after.
    pub from: Option<Timestamp>,
    /// Calls that began before.
    pub to: Option<Timestamp>,
}

/// A rule was broken.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FraudFinding {
    pub kind: String,
    /// Account, or gateway for rules on vendors.
    pub subject: String,
    pub at: Timestamp,
    pub value: i64,
    pub threshold: i64,
    /// From the first suspect call to the finding.
    pub after_s: u64,
    /// Spent on the suspect calls until then, in hundredths of the currency.
    pub spent: i64,
    /// The suspect calls, the latest ones.
    pub evidence: Vec<String>,
}

/// What rules would have found.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FraudTrial {
    /// Calls that were read.
    pub calls: u64,
    /// False: there were more calls or findings than one trial takes; ask for a shorter time.
    pub complete: bool,
    pub findings: Vec<FraudFinding>,
}

/// Reads all rules.
#[utoipa::path(get, path = "/fraud-rules", tag = "fraud", responses((status = 200, body = Vec<FraudRule>)))]
pub(crate) async fn get_fraud_rules(State(api): State<Api>) -> Answer<Vec<FraudRule>> {
    let rules = api.store(|store| store.fraud_rules()).await?;
    Ok(Json(show(&rules)))
}

/// Replaces the rules.
#[utoipa::path(put, path = "/fraud-rules", tag = "fraud", request_body = FraudRulesInput, responses((status = 200, body = Vec<FraudRule>)))]
pub(crate) async fn set_fraud_rules(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<FraudRulesInput>,
) -> Answer<Vec<FraudRule>> {
    let mut rules = StoredRules::default();
    for (kind, rule, given) in checked(input.rules)? {
        let action = given.action.into();
        if action == store::fraud::FraudAction::LockAccount && kind == Kind::FalseAnswers {
            let words = "this rule is about gateways: expected alarm";
            return Err(Problem::field(format!("rules.{}.action", kind.key()), words));
        }
        rules.0.insert(kind.key().into(), Stored { enabled: given.enabled, action, rule });
    }
    let stored = rules.clone();
    api.store(move |store| store.set_fraud_rules(&stored, &caller)).await?;
    Ok(Json(show(&rules)))
}

/// Says what rules would have found among past calls. It changes nothing.
#[utoipa::path(post, path = "/fraud/try", tag = "fraud", request_body = FraudTrialInput, responses((status = 200, body = FraudTrial)))]
pub(crate) async fn try_fraud_rules(
    State(api): State<Api>,
    Body(input): Body<FraudTrialInput>,
) -> Answer<FraudTrial> {
    let mut rules: Vec<(Kind, Rule)> =
        checked(input.rules)?.into_iter().map(|(kind, rule, _)| (kind, rule)).collect();
    if rules.is_empty() {
        rules = KINDS.iter().map(|f| (f.kind, f.kind.default_rule())).collect();
    }
    let filter =
        CdrFilter { from: input.from.map(|t| t.0), to: input.to.map(|t| t.0), ..CdrFilter::default() };
    Ok(Json(api.store(move |store| trial(store, rules, &filter)).await?))
}

fn trial(store: &Store, rules: Vec<(Kind, Rule)>, filter: &CdrFilter) -> Result<FraudTrial, StoreError> {
    let (mut calls, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = store.cdrs(filter, cursor.as_deref(), PAGE)?;
        calls.extend(page.items.iter().map(Call::from));
        cursor = page.next;
        if cursor.is_none() || calls.len() >= MOST_CALLS {
            break;
        }
    }
    calls.sort_by_key(|call| (call.end, call.call));
    let mut engine = Engine::new(rules);
    let mut findings: Vec<Finding> = calls.iter().flat_map(|call| engine.take(call)).collect();
    let complete = cursor.is_none() && findings.len() <= MOST_FINDINGS;
    findings.truncate(MOST_FINDINGS);
    let calls = u64::try_from(calls.len()).unwrap_or(u64::MAX);
    Ok(FraudTrial { calls, complete, findings: findings.into_iter().map(finding).collect() })
}

fn finding(f: Finding) -> FraudFinding {
    FraudFinding {
        kind: f.kind.key().into(),
        subject: f.subject,
        at: f.at.into(),
        value: f.value,
        threshold: f.threshold,
        after_s: f.after_s,
        spent: f.spent,
        evidence: f.evidence.iter().map(ToString::to_string).collect(),
    }
}

type Checked = (Kind, Rule, FraudRuleInput);

fn checked(rules: BTreeMap<String, FraudRuleInput>) -> Result<Vec<Checked>, Problem> {
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for (key, given) in rules {
        let field = format!("rules.{}", key.chars().take(40).collect::<String>());
        let Some(kind) = Kind::from_key(&key) else {
            faults.push(FieldProblem::new(field, "there is no such kind of rule"));
            continue;
        };
        let default = kind.default_rule();
        let rule = Rule {
            threshold: given.threshold.unwrap_or(default.threshold),
            least: given.least.unwrap_or(default.least),
            window_s: given.window_s.unwrap_or(default.window_s),
            prefixes: given.prefixes.clone().unwrap_or(default.prefixes),
            hours: given.hours.map(|[from, to]| (from, to)).or(default.hours),
        };
        match rule.fault() {
            Some((part, words)) => faults.push(FieldProblem::new(format!("{field}.{part}"), words)),
            None => good.push((kind, rule, given)),
        }
    }
    if faults.is_empty() { Ok(good) } else { Err(Problem::fields(faults)) }
}

fn show(rules: &StoredRules) -> Vec<FraudRule> {
    let one = |facts: &watch::fraud::Facts| {
        let Stored { enabled, action, rule } = rules.rule(facts.kind);
        let rule = FraudRuleInput {
            enabled,
            action: action.into(),
            threshold: Some(rule.threshold),
            least: Some(rule.least),
            window_s: Some(rule.window_s),
            prefixes: Some(rule.prefixes),
            hours: rule.hours.map(|(from, to)| [from, to]),
        };
        FraudRule { kind: facts.key.into(), words: facts.words.into(), rule }
    };
    KINDS.iter().map(one).collect()
}
