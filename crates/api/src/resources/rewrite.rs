//! Rules for numbers, read and tried out (`RTE-2`). Nothing is changed.

use crate::body::Body;
use crate::problem::Problem;
use crate::server::{Answer, Api};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A target may be drawn, so each number is tried this often.
const TIMES: usize = 200;
/// Different results that are told.
const MOST_RESULTS: usize = 20;
const LONGEST_TEXT: usize = 1 << 20;

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RewriteInput {
    /// Rules as they stand in a file: one or more a line, with commas between.
    #[schema(examples("00:\n025E11:8625"))]
    pub rules: String,
    /// A number to try them on.
    #[serde(default)]
    pub number: Option<String>,
    /// Leave out the rules that are wrong; otherwise nothing is tried when one is.
    #[serde(default)]
    pub good_only: bool,
}

/// A rule that was read.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReadRule {
    /// From 1.
    pub line: usize,
    pub rule: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// What becomes of the number.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RewriteResult {
    /// The number afterwards; as it was when no rule matches.
    pub number: String,
    /// The rule that was applied.
    pub rule: Option<String>,
    /// How often of a hundred it came out so, where the target is drawn.
    pub percent: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rewrite {
    pub rules: Vec<ReadRule>,
    pub results: Vec<RewriteResult>,
}

/// Reads rules for numbers, says which are wrong and why, and tries them on a number. Nothing is changed.
#[utoipa::path(post, path = "/route/rewrite", tag = "route", request_body = RewriteInput, responses((status = 200, body = Rewrite)))]
pub(crate) async fn try_rewrite(State(api): State<Api>, Body(input): Body<RewriteInput>) -> Answer<Rewrite> {
    if input.rules.len() > LONGEST_TEXT {
        return Err(Problem::field("rules", format!("longer than {LONGEST_TEXT} characters")));
    }
    let read = store::read_rules(&input.rules);
    let good: Vec<String> = read.iter().filter(|r| r.error.is_none()).map(|r| r.rule.clone()).collect();
    let usable = input.good_only || good.len() == read.len();
    let seed = u64::try_from(api.now().0).unwrap_or_default();
    let results = match &input.number {
        Some(number) if usable => tried(&good, number, seed)?,
        Some(_) | None => Vec::new(),
    };
    let rules = read.into_iter().map(|r| ReadRule { line: r.line, rule: r.rule, error: r.error }).collect();
    Ok(Json(Rewrite { rules, results }))
}

fn tried(rules: &[String], number: &str, seed: u64) -> Result<Vec<RewriteResult>, Problem> {
    let wrong = |e: Vec<_>| Problem::field("rules", e.first().map(ToString::to_string).unwrap_or_default());
    let all = store::try_rules(rules, number, seed, TIMES).map_err(wrong)?;
    let mut counts: BTreeMap<Option<(usize, String)>, usize> = BTreeMap::new();
    for result in all {
        *counts.entry(result).or_default() += 1;
    }
    let result = |(made, count): (Option<(usize, String)>, usize)| RewriteResult {
        rule: made.as_ref().and_then(|(rule, _)| rules.get(*rule).cloned()),
        number: made.map_or_else(|| number.to_owned(), |(_, number)| number),
        percent: count * 100 / TIMES,
    };
    Ok(counts.into_iter().take(MOST_RESULTS).map(result).collect())
}
