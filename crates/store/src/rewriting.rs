//! Rules of number rewriting: from documents to the brain, and for trying them out.

use crate::StoreError;
use routing::rewrite::{RuleError, split_text};
use routing::{Rewriting, Rules};
use vocab::Random;

/// The rules of a text, one or more a line.
pub(crate) fn from_text(text: &str) -> Result<Rules, Vec<RuleError>> {
    let texts: Vec<String> = split_text(text).into_iter().map(|(_, rule)| rule).collect();
    Rules::parse(&texts)
}

/// Checked rules of a document.
pub(crate) fn rewriting(
    title: &str,
    name: &str,
    caller: &[String],
    called: &[String],
) -> Result<Rewriting, StoreError> {
    let rules = |list: &[String]| {
        let words = |e: Vec<RuleError>| e.first().map(ToString::to_string).unwrap_or_default();
        Rules::parse(list).map_err(|e| StoreError::corrupt(format!("{title} {name:?}: {}", words(e))))
    };
    Ok(Rewriting { caller: rules(caller)?, called: rules(called)? })
}

/// A rule of a text that was read, or what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRule {
    /// From 1.
    pub line: usize,
    pub rule: String,
    pub error: Option<String>,
}

/// Reads rules as they stand in a file, all of them, good and bad.
pub fn read_rules(text: &str) -> Vec<ReadRule> {
    let split = split_text(text);
    let texts: Vec<&String> = split.iter().map(|(_, rule)| rule).collect();
    let errors = Rules::parse(&texts).err().unwrap_or_default();
    let rule = |(i, (line, rule)): (usize, &(usize, String))| ReadRule {
        line: *line,
        rule: rule.clone(),
        error: errors.iter().find(|e| e.rule == i).map(|e| e.message.clone()),
    };
    split.iter().enumerate().map(rule).collect()
}

/// What rules make of a number, tried out a few times, because targets may be drawn: the place of the rule that was
/// applied, and the results.
pub fn try_rules(
    rules: &[String],
    number: &str,
    seed: u64,
    times: usize,
) -> Result<Vec<Option<(usize, String)>>, Vec<RuleError>> {
    let rules = Rules::parse(rules)?;
    let mut draw = Random::from_number(seed);
    let once = |_| rules.apply(number, &mut draw).map(|made| (made.rule, made.number));
    Ok((0..times).map(once).collect())
}
