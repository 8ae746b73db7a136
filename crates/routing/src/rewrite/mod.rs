//! Number rewriting, also called dial plan (`RTE-2`): of a list of rules the best one changes a number, once.
//!
//! A rule is written in the older system's notation, `ORIGINAL:TARGET` (or `ORIGINAL -> TARGET`), or as a regular
//! expression, `/PATTERN/TARGET/`. Regular expressions are tried first, in their order; then the longest original
//! wins. `docs/reference/rewriting.md` tells the notation with examples; `tests.rs` holds all of them.

mod parse;
#[cfg(test)]
mod tests;

pub use parse::{RuleError, split_text};

use regex::bytes::Regex;
use smallvec::SmallVec;
use std::cmp::Reverse;
use vocab::{PrefixTable, Random};

/// Rules with wildcards and regular expressions are tried one after another, so there may not be many in one list.
pub const MAX_SCANNED: usize = 200;
pub const MAX_RULES: usize = 10_000;
/// Longer texts are no numbers and are left alone.
const LONGEST: usize = 100;

/// A list of rules, ready for use. Numbers that no rule matches stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// As entered.
    texts: Vec<String>,
    rules: Vec<Rule>,
    /// Regular expressions in their order.
    expressions: Vec<u32>,
    /// Originals of digits only.
    literal: PrefixTable<SmallVec<[u32; 2]>>,
    /// Originals with wildcards or a `+`, the longest first.
    patterns: Vec<u32>,
}

impl PartialEq for Rules {
    fn eq(&self, other: &Rules) -> bool {
        self.texts == other.texts
    }
}

impl Eq for Rules {}

#[derive(Clone, Debug)]
enum Rule {
    Expression { regex: Regex, target: Vec<Piece> },
    Original { original: Original, targets: Vec<Target> },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Original {
    /// Begins with `+`: meant for numbers that are written with it.
    plus: bool,
    elements: Vec<Element>,
    lengths: Vec<(Length, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Element {
    Character(u8),
    /// `?`
    Digit,
    /// `*`
    Any,
}

/// Conditions on the length of the whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Length {
    Less,
    Equal,
    Greater,
    Not,
}

#[derive(Clone, Debug)]
enum Target {
    Pieces(Vec<Piece>),
    /// Any number of the range, written with so many digits.
    Range {
        low: u64,
        high: u64,
        width: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Character(u8),
    /// `?`: any digit.
    Random,
    /// `$`: what stands at this place of the number.
    Place(usize),
    /// `$1`: what a part of the regular expression matched.
    Group(usize),
}

/// Rules for both numbers of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewriting {
    pub caller: Rules,
    pub called: Rules,
}

/// What a rule made of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// Place of the rule in the list, from 0.
    pub rule: usize,
    /// May be empty, when the rule took everything away.
    pub number: String,
}

impl Original {
    /// Characters that must be there at least.
    fn fixed(&self) -> usize {
        self.elements.iter().filter(|e| **e != Element::Any).count()
    }

    fn is_literal(&self) -> bool {
        !self.plus && self.elements.iter().all(|e| matches!(e, Element::Character(_)))
    }

    /// Longer originals first, then those with fewer wildcards, then those with conditions.
    fn rank(&self) -> impl Ord + use<> {
        let exact = self.elements.iter().filter(|e| matches!(e, Element::Character(_))).count();
        Reverse((self.fixed(), exact, self.lengths.len()))
    }

    /// How many characters of the number it takes; all that it can. All states are kept in one word, one bit for each
    /// place that may have been reached, so that no pattern takes more than one pass.
    fn taken(&self, number: &[u8]) -> Option<usize> {
        let end = number.len().min(LONGEST);
        let whole: u128 = (1 << (end + 1)) - 1;
        let mut reached: u128 = 1;
        for element in &self.elements {
            reached = match element {
                Element::Any => (!0 << reached.trailing_zeros()) & whole,
                Element::Character(_) | Element::Digit => {
                    let fits = |c: u8| match element {
                        Element::Character(wanted) => c == *wanted,
                        Element::Digit | Element::Any => c.is_ascii_digit(),
                    };
                    let places = number.iter().take(end).enumerate().filter(|(_, c)| fits(**c));
                    let mask = places.fold(0u128, |mask, (i, _)| mask | 1 << i);
                    (reached & mask) << 1
                }
            };
            if reached == 0 {
                return None;
            }
        }
        usize::try_from(127 - reached.leading_zeros()).ok()
    }

    fn allows(&self, length: usize) -> bool {
        self.lengths.iter().all(|(relation, n)| match relation {
            Length::Less => length < *n,
            Length::Equal => length == *n,
            Length::Greater => length > *n,
            Length::Not => length != *n,
        })
    }
}

impl Rules {
    /// Reads a list of rules, or says what is wrong with which of them.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Rules, Vec<RuleError>> {
        parse::rules(texts)
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules as they were entered.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Applies the best rule; `None` when no rule matches. A leading `+` is not looked at, and falls when a rule is
    /// applied, unless the original begins with one. Regular expressions see the number as it is written.
    pub fn apply(&self, number: &str, draw: &mut Random) -> Option<Rewritten> {
        if self.is_empty() || number.len() > LONGEST {
            return None;
        }
        for index in &self.expressions {
            if let Some(Rule::Expression { regex, target }) = self.rules.get(*index as usize)
                && let Some(number) = substitute(regex, target, number, draw)
            {
                return Some(Rewritten { rule: *index as usize, number });
            }
        }
        let digits = number.strip_prefix('+').unwrap_or(number);
        let literal = self.literal.matches(digits).find_map(|(_, list)| self.first(list, number));
        let pattern = self.first(&self.patterns, number);
        let (index, original, targets, taken) = match (literal, pattern) {
            (Some(a), Some(b)) => {
                if b.1.rank() < a.1.rank() {
                    b
                } else {
                    a
                }
            }
            (a, b) => a.or(b)?,
        };
        let text = if original.plus { number } else { digits };
        let pick = draw.below(targets.len() as u64);
        let target = targets.get(usize::try_from(pick).unwrap_or(0))?;
        let mut made = target.make(text, draw);
        // What the original did not take is kept. `taken` counts whole bytes of digits, so the cut is never inside a
        // character.
        made.push_str(text.get(taken..).unwrap_or_default());
        Some(Rewritten { rule: index, number: made })
    }

    /// The first of these rules that matches.
    fn first(&self, list: &[u32], number: &str) -> Option<(usize, &Original, &[Target], usize)> {
        let digits = number.strip_prefix('+').unwrap_or(number);
        list.iter().find_map(|index| {
            let Some(Rule::Original { original, targets }) = self.rules.get(*index as usize) else {
                return None;
            };
            if original.plus && digits.len() == number.len() {
                return None;
            }
            let text = if original.plus { number } else { digits };
            let taken = original.taken(text.as_bytes()).filter(|_| original.allows(digits.len()))?;
            text.is_char_boundary(taken).then_some((*index as usize, original, targets.as_slice(), taken))
        })
    }
}

impl Target {
    fn make(&self, number: &str, draw: &mut Random) -> String {
        match self {
            Target::Range { low, high, width } => {
                let n = low.saturating_add(draw.below(high.saturating_sub(*low).saturating_add(1)));
                format!("{n:0width$}")
            }
            Target::Pieces(pieces) => {
                let place = |i: usize| number.as_bytes().get(i).copied().filter(u8::is_ascii);
                pieces.iter().filter_map(|piece| piece.character(draw, place)).map(char::from).collect()
            }
        }
    }
}

impl Piece {
    fn character(self, draw: &mut Random, place: impl Fn(usize) -> Option<u8>) -> Option<u8> {
        match self {
            Piece::Character(c) => Some(c),
            Piece::Random => Some(b'0' + u8::try_from(draw.below(10)).unwrap_or(0)),
            Piece::Place(i) => place(i),
            Piece::Group(_) => None,
        }
    }
}

/// Puts the target where the expression first matches.
fn substitute(regex: &Regex, target: &[Piece], number: &str, draw: &mut Random) -> Option<String> {
    let found = regex.captures(number.as_bytes())?;
    let whole = found.get(0)?;
    let mut made = number.as_bytes()[..whole.start()].to_vec();
    for piece in target {
        match piece {
            Piece::Group(n) => made.extend_from_slice(found.get(*n).map_or(&[][..], |g| g.as_bytes())),
            other => made.extend(other.character(draw, |_| None)),
        }
    }
    made.extend_from_slice(&number.as_bytes()[whole.end()..]);
    String::from_utf8(made).ok()
}
