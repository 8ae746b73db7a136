//! What would happen to a call (`RTE-14`), and explanations of routes.

use super::cdrs::CdrRate;
use super::cdrs::rate;
use super::unexpected;
use crate::body::Body;
use crate::documents;
use crate::problem::Problem;
use crate::server::Answer;
use crate::server::Api;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde::Serialize;
use store::config;
use switch::{ControlReply, ControlRequest};
use utoipa::ToSchema;
use vocab::MappingGatewayId;
use vocab::Price;
use vocab::explain::{self, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Failed,
}

/// One rule: its name, whether the call passed it, and what was seen.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RouteStep {
    pub step: String,
    pub outcome: Outcome,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CandidateVerdict {
    Kept,
    Disabled,
    Unreachable,
    ConcurrencyFull,
    CpsFull,
    NoClearingRate,
    MarginTooLow,
    PriceTooHigh,
    CurrencyDiffers,
    AccountUnusable,
    GroupFull,
    GroupCpsFull,
    LinesReserved,
    NotForCaller,
    LevelTooLow,
    NumberRefused,
    Listed,
    OutOfHours,
    Terminated,
    Resting,
}

/// One routing gateway that matched, in the order of trying, then those left out.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Candidate {
    pub gateway: String,
    pub verdict: CandidateVerdict,
    /// Why it was left out, in words with the figures.
    pub reason: Option<String>,
    pub priority: u32,
    pub prefix: String,
    #[schema(value_type = Option<String>)]
    pub cost_per_minute: Option<Price>,
    #[schema(value_type = Option<String>)]
    pub margin_per_minute: Option<Price>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct RouteExplanation {
    pub steps: Vec<RouteStep>,
    pub candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulateInput {
    /// Name or id of the mapping gateway.
    pub gateway: String,
    pub caller: String,
    pub called: String,
}

/// What would happen to a call now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Simulation {
    /// "routed" or the key of an end reason.
    pub outcome: String,
    pub steps: Vec<RouteStep>,
    pub candidates: Vec<Candidate>,
    /// What the customer would pay.
    pub rate: Option<CdrRate>,
    /// Gateways in the order in which they would be tried.
    pub plan: Vec<String>,
}

/// Says what would happen to a call, by the code that decides about calls. Nothing is changed.
#[utoipa::path(post, path = "/route/simulate", tag = "route", request_body = SimulateInput, responses((status = 200, body = Simulation)))]
pub(crate) async fn simulate_route(
    State(api): State<Api>,
    Body(input): Body<SimulateInput>,
) -> Answer<Simulation> {
    let gateway = documents::find::<config::MappingGateway>(&api, &input.gateway);
    let gateway = gateway.map_err(|problem| Problem::field("gateway", problem.detail))?;
    for (field, number) in [("caller", &input.caller), ("called", &input.called)] {
        if number.len() > LONGEST_NUMBER {
            return Err(Problem::field(field, format!("longer than {LONGEST_NUMBER} characters")));
        }
    }
    let gateway = MappingGatewayId(gateway.id);
    let request = ControlRequest::Simulate { gateway, caller: input.caller, called: input.called };
    let found = match api.control(request).await? {
        ControlReply::Simulated(found) => *found,
        ControlReply::Refused(words) => return Err(Problem::field("called", words)),
        other => return Err(unexpected(&other)),
    };
    let RouteExplanation { steps, candidates } = explanation(&found.explanation);
    Ok(Json(Simulation {
        outcome: found.failure.map_or("routed", |reason| reason.key()).to_string(),
        steps,
        candidates,
        rate: found.rate.as_ref().map(rate),
        plan: found.plan.iter().map(|name| name.to_string()).collect(),
    }))
}

const LONGEST_NUMBER: usize = 200;

pub(crate) fn explanation(route: &explain::RouteExplanation) -> RouteExplanation {
    let step = |step: &explain::Step| RouteStep {
        step: step.step.to_string(),
        outcome: if step.passed { Outcome::Passed } else { Outcome::Failed },
        detail: step.detail.to_string(),
    };
    let candidate = |note: &explain::CandidateNote| {
        let (verdict, reason) = in_words(&note.verdict);
        Candidate {
            gateway: note.name.to_string(),
            verdict,
            reason,
            priority: note.priority,
            prefix: note.prefix.to_string(),
            cost_per_minute: note.cost_per_minute,
            margin_per_minute: note.margin_per_minute,
        }
    };
    RouteExplanation {
        steps: route.steps.iter().map(step).collect(),
        candidates: route.candidates.iter().map(candidate).collect(),
    }
}

fn in_words(verdict: &Verdict) -> (CandidateVerdict, Option<String>) {
    match verdict {
        Verdict::Kept => (CandidateVerdict::Kept, None),
        Verdict::Disabled => (CandidateVerdict::Disabled, Some("is switched off".into())),
        Verdict::Unreachable => (CandidateVerdict::Unreachable, Some("cannot be reached".into())),
        Verdict::ConcurrencyFull { calls, limit } => {
            (CandidateVerdict::ConcurrencyFull, Some(format!("{calls} of {limit} calls")))
        }
        Verdict::CpsFull { cps, limit } => {
            (CandidateVerdict::CpsFull, Some(format!("{cps} of {limit} calls in this second")))
        }
        Verdict::NoClearingRate => {
            (CandidateVerdict::NoClearingRate, Some("its account has no rate for the number".into()))
        }
        Verdict::MarginTooLow { margin, lowest } => (
            CandidateVerdict::MarginTooLow,
            Some(format!("leaves {margin} a minute; at least {lowest} is wanted")),
        ),
        Verdict::PriceTooHigh { price, highest } => (
            CandidateVerdict::PriceTooHigh,
            Some(format!("costs {price} a minute; at most {highest} is allowed")),
        ),
        Verdict::CurrencyDiffers => {
            (CandidateVerdict::CurrencyDiffers, Some("cost and price are in different currencies".into()))
        }
        Verdict::AccountUnusable => {
            (CandidateVerdict::AccountUnusable, Some("its account is locked or expired".into()))
        }
        other => by_rule(other),
    }
}

/// Rules about groups, callers, numbers and times.
fn by_rule(verdict: &Verdict) -> (CandidateVerdict, Option<String>) {
    use CandidateVerdict as V;
    let (verdict, words) = match verdict {
        Verdict::GroupFull { group, calls, limit } => {
            (V::GroupFull, format!("{calls} of {limit} calls of group {group}"))
        }
        Verdict::GroupCpsFull { group, cps, limit } => {
            (V::GroupCpsFull, format!("{cps} of {limit} calls of group {group} in this second"))
        }
        Verdict::LinesReserved { group, free, reserved } => (
            V::LinesReserved,
            format!("{free} lines of group {group} are free; it leaves {reserved} to others"),
        ),
        Verdict::NotForCaller => (V::NotForCaller, "is not for calls of this mapping gateway".to_owned()),
        Verdict::LevelTooLow => (V::LevelTooLow, "the destination is beyond its call level".to_owned()),
        Verdict::NumberRefused { whose, fault } => (V::NumberRefused, format!("{whose} {fault}")),
        Verdict::Listed { whose, list } => (V::Listed, format!("{whose} by list {list}")),
        Verdict::OutOfHours { calendar } => (V::OutOfHours, format!("{calendar} is closed")),
        Verdict::Terminated => (V::Terminated, "a gateway of a longer prefix ends the search".to_owned()),
        Verdict::Resting { seconds } => (V::Resting, format!("wants no calls for {seconds} s")),
        other => return in_words(other),
    };
    (verdict, Some(words))
}
