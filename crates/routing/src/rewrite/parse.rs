//! From text to rules, with errors that name the rule.

use super::{Element, Length, MAX_RULES, MAX_SCANNED, Original, Piece, Rule, Rules, Target};
use regex::bytes::RegexBuilder;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::fmt;
use vocab::prefix::{MAX_PREFIX, pack_prefix};
use vocab::{DialString, PrefixTable};

const LONGEST_EXPRESSION: usize = 200;
/// Bytes that a compiled expression may take.
const EXPRESSION_SIZE: usize = 1 << 16;
const MAX_TARGETS: usize = 1_000;

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Place in the list, from 0.
    pub rule: usize,
    pub text: String,
    pub message: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.text, self.message)
    }
}

pub(super) fn rules<T: AsRef<str>>(texts: &[T]) -> Result<Rules, Vec<RuleError>> {
    let mut errors = Vec::new();
    let mut fail = |rule: usize, text: &str, message: String| {
        errors.push(RuleError { rule, text: text.chars().take(80).collect(), message });
    };
    let mut list = Rules::default();
    let mut literal: HashMap<String, SmallVec<[u32; 2]>> = HashMap::new();
    let mut seen: HashMap<Original, usize> = HashMap::new();
    for (i, text) in texts.iter().map(AsRef::as_ref).enumerate().take(MAX_RULES) {
        let index = u32::try_from(i).unwrap_or(u32::MAX);
        let rule = match rule(text) {
            Ok(rule) => rule,
            Err(message) => {
                fail(i, text, message);
                continue;
            }
        };
        match &rule {
            Rule::Expression { .. } => list.expressions.push(index),
            Rule::Original { original, .. } => {
                if let Some(first) = seen.insert(original.clone(), i) {
                    fail(
                        i,
                        text,
                        format!("rule {} has the same original, so this one would never be used", first + 1),
                    );
                }
                if original.is_literal() && !original.elements.is_empty() {
                    literal.entry(characters(original)).or_default().push(index);
                } else {
                    list.patterns.push(index);
                }
            }
        }
        list.texts.push(text.trim().to_owned());
        list.rules.push(rule);
    }
    if texts.len() > MAX_RULES {
        fail(MAX_RULES, "", format!("{} rules; at most {MAX_RULES} are allowed", texts.len()));
    } else if list.expressions.len() + list.patterns.len() > MAX_SCANNED {
        let message = format!("more than {MAX_SCANNED} rules with wildcards or regular expressions");
        fail(texts.len().saturating_sub(1), "", message);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let rank = |index: &u32| match list.rules.get(*index as usize) {
        Some(Rule::Original { original, .. }) => Some(original.rank()),
        _ => None,
    };
    list.patterns.sort_by_key(rank);
    literal.values_mut().for_each(|list| list.sort_by_key(rank));
    let packed = literal.into_iter().filter_map(|(text, list)| Some((pack_prefix(&text).ok()?, list)));
    list.literal = PrefixTable::build(packed);
    Ok(list)
}

fn characters(original: &Original) -> String {
    let character = |e: &Element| match e {
        Element::Character(c) => Some(char::from(*c)),
        Element::Digit | Element::Any => None,
    };
    original.elements.iter().filter_map(character).collect()
}

fn rule(text: &str) -> Result<Rule, String> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('/') {
        return expression(rest);
    }
    let split = text.split_once("->").or_else(|| text.split_once(':'));
    let Some((original, target)) = split else {
        return Err("expected ORIGINAL:TARGET, like \"00:\" or \"025E11:8625\", or /PATTERN/TARGET/".into());
    };
    let original = self::original(original.trim())?;
    let alternatives: Vec<&str> = target.split(';').map(str::trim).collect();
    if alternatives.len() > MAX_TARGETS {
        return Err(format!("{} targets; at most {MAX_TARGETS} are allowed", alternatives.len()));
    }
    if alternatives.len() > 1 && alternatives.iter().any(|t| t.is_empty()) {
        return Err("one of the targets is empty; expected a number on both sides of each \";\"".into());
    }
    let targets: Result<Vec<Target>, String> =
        alternatives.into_iter().map(|text| self::target(text, &original)).collect();
    Ok(Rule::Original { original, targets: targets? })
}

fn original(text: &str) -> Result<Original, String> {
    let text_of = |c: &str| format!("original {c:?}");
    let (head, conditions) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let plus = head.starts_with('+');
    let mut elements = Vec::new();
    for (i, c) in head.char_indices() {
        elements.push(match c {
            '0'..='9' | '#' => Element::Character(u8::try_from(c).unwrap_or(b'0')),
            '+' if i == 0 => Element::Character(b'+'),
            '?' => Element::Digit,
            '*' if elements.last() == Some(&Element::Any) => {
                return Err(format!("{}: one \"*\" is enough", text_of(text)));
            }
            '*' => Element::Any,
            other => {
                return Err(format!(
                    "{}: {other:?} cannot stand there; digits, #, * (any digits), ? (one digit), a leading + and then \
                     L, E, G or F with a length can",
                    text_of(text)
                ));
            }
        });
    }
    if elements.is_empty() {
        return Err("the original is empty; \"*\" takes every number".into());
    }
    if elements.len() > MAX_PREFIX {
        return Err(format!("{}: longer than {MAX_PREFIX} characters", text_of(text)));
    }
    let original = Original { plus, elements, lengths: lengths(conditions)? };
    let least = original.fixed() - usize::from(plus);
    let possible = (least..=DialString::MAX).any(|length| original.allows(length));
    if !possible {
        return Err(format!("{}: no number can have this length", text_of(text)));
    }
    Ok(original)
}

/// `E11`, `G7L12`: all must hold.
fn lengths(text: &str) -> Result<Vec<(Length, usize)>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let relation = match letter.to_ascii_uppercase() {
            'L' => Length::Less,
            'E' => Length::Equal,
            'G' => Length::Greater,
            'F' => Length::Not,
            other => {
                return Err(format!(
                    "{other:?} is no condition; expected L (shorter than), E (equal), G (longer than) or F (not) with a \
                     length, like E11"
                ));
            }
        };
        let number = &rest[letter.len_utf8()..];
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let (digits, after) = number.split_at(end);
        let length = digits.parse().ok().filter(|n| (1..=DialString::MAX + 1).contains(n));
        let Some(length) = length else {
            return Err(format!("{letter}{digits}: expected a length of 1–{}", DialString::MAX + 1));
        };
        all.push((relation, length));
        rest = after;
    }
    Ok(all)
}

fn target(text: &str, original: &Original) -> Result<Target, String> {
    if let Some((low, high)) = text.split_once('-') {
        return range(text, low.trim(), high.trim());
    }
    if text.is_empty() && original.elements.last() == Some(&Element::Any) {
        return Err("takes every digit away, so the number would be empty".into());
    }
    let certain = original.fixed();
    let mut pieces = Vec::new();
    for (i, c) in text.chars().enumerate() {
        pieces.push(match c {
            '0'..='9' | '#' => Piece::Character(u8::try_from(c).unwrap_or(b'0')),
            '+' if i == 0 => Piece::Character(b'+'),
            '?' => Piece::Random,
            '$' if i >= certain && !original.elements.contains(&Element::Any) => {
                return Err(format!(
                    "target {text:?}: \"$\" at place {} keeps a digit beyond the original, which is kept anyway",
                    i + 1
                ));
            }
            '$' => Piece::Place(i),
            '*' => {
                return Err(format!(
                    "target {text:?}: \"*\" cannot stand there; digits after the original are kept by themselves"
                ));
            }
            other => {
                return Err(format!(
                    "target {text:?}: {other:?} cannot stand there; digits, #, ? (a random digit), $ (the digit at that \
                     place), a leading + and a range like 100-199 can"
                ));
            }
        });
    }
    if pieces.len() > DialString::MAX {
        return Err(format!("target {text:?}: longer than {} characters", DialString::MAX));
    }
    Ok(Target::Pieces(pieces))
}

fn range(text: &str, low: &str, high: &str) -> Result<Target, String> {
    let number = |text: &str| {
        let digits = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (Some(from), Some(to)) = (number(low), number(high)) else {
        return Err(format!(
            "target {text:?}: expected a range of numbers of 1–18 digits, like 8008100-8008121"
        ));
    };
    if low.len() != high.len() || from > to {
        return Err(format!("target {text:?}: expected two numbers of the same length, the lower one first"));
    }
    Ok(Target::Range { low: from, high: to, width: low.len() })
}

/// After the first `/`.
fn expression(rest: &str) -> Result<Rule, String> {
    let parts = rest.strip_suffix('/').and_then(|r| r.rsplit_once('/'));
    let Some((pattern, target)) = parts else {
        return Err("expected /PATTERN/TARGET/, like /^00(\\d+)$/$1/".into());
    };
    if pattern.is_empty() || pattern.len() > LONGEST_EXPRESSION {
        return Err(format!("expected a pattern of 1–{LONGEST_EXPRESSION} characters"));
    }
    let regex = RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(EXPRESSION_SIZE)
        .build()
        .map_err(|e| format!("pattern {pattern:?}: {}", last_line(&e.to_string())))?;
    let mut pieces = Vec::new();
    let mut characters = target.chars();
    while let Some(c) = characters.next() {
        pieces.push(match c {
            '0'..='9' | '#' | '+' | '*' => Piece::Character(u8::try_from(c).unwrap_or(b'0')),
            '?' => Piece::Random,
            '$' => {
                let group = characters.next().and_then(|c| c.to_digit(10));
                let group = group.and_then(|n| usize::try_from(n).ok()).filter(|n| *n < regex.captures_len());
                Piece::Group(group.ok_or_else(|| {
                    format!(
                        "target {target:?}: after \"$\" expected a group of the pattern, 0–{}",
                        regex.captures_len() - 1
                    )
                })?)
            }
            other => return Err(format!("target {target:?}: {other:?} cannot stand there")),
        });
    }
    Ok(Rule::Expression { regex, target: pieces })
}

/// Errors of the expression parser draw a picture above their message.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ")
}

/// Takes a text apart into rules, each with its line from 1: one or more a line, with commas between; a piece without
/// `:` is one more target of the rule before it. Rules of the older system are stored in this form.
pub fn split_text(text: &str) -> Vec<(usize, String)> {
    let mut rules: Vec<(usize, String)> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.starts_with('/') {
            rules.push((number, line.to_owned()));
            continue;
        }
        let first = rules.len();
        for piece in line.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            match rules.get_mut(first..).and_then(|r| r.last_mut()) {
                Some((_, rule)) if !piece.contains(':') && !piece.contains("->") => {
                    rule.push(';');
                    rule.push_str(piece);
                }
                _ => rules.push((number, piece.to_owned())),
            }
        }
    }
    rules
}
