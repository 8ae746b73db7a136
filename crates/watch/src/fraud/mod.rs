//! The fraud watch (`SEC-7`, `BEY-10`): rules over calls as they end, each with its threshold and its evidence. The
//! same engine is tried on past calls before a rule is switched on.

mod engine;

pub use engine::Engine;

use serde::{Deserialize, Serialize};
use vocab::{CallId, EndedBy, Utc};

/// A hundredth of a currency unit.
const HUNDREDTH: i128 = 1_000_000;

/// What a rule looks at of a call that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub call: CallId,
    pub start: Utc,
    pub end: Utc,
    pub account: String,
    /// The last one tried.
    pub gateway: String,
    /// Digits only.
    pub called: String,
    /// Area of the rate; empty when the call had none.
    pub area: String,
    /// Arrival to answer; `None`: not answered.
    pub answer_ms: Option<u64>,
    pub talk_ms: u64,
    /// What the customer paid, in hundredths of the currency.
    pub spent: i64,
    pub hung_up_by_caller: bool,
}

impl From<&cdr::Cdr> for Call {
    fn from(cdr: &cdr::Cdr) -> Call {
        let answer_us = cdr.answer.map(|at| at.0.saturating_sub(cdr.start.0));
        let spent = cdr.sale.as_ref().map_or(0, |sale| sale.amount.0 / HUNDREDTH);
        Call {
            call: cdr.call,
            start: cdr.start,
            end: cdr.end,
            account: cdr.account.as_ref().map(|a| a.name.to_string()).unwrap_or_default(),
            gateway: cdr.routing_gateway.as_ref().map(|g| g.name.to_string()).unwrap_or_default(),
            called: cdr.called.received.chars().filter(char::is_ascii_digit).take(32).collect(),
            area: cdr.sale.as_ref().map(|sale| sale.area.to_string()).unwrap_or_default(),
            answer_ms: answer_us.map(|us| u64::try_from(us / 1000).unwrap_or(0)),
            talk_ms: cdr.talk_ms,
            spent: i64::try_from(spent).unwrap_or(i64::MAX),
            hung_up_by_caller: cdr.ended_by == EndedBy::Caller,
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub threshold: i64,
    /// Below so many calls (for a rise of spend: hundredths of the currency) nothing is said.
    pub least: i64,
    pub window_s: u32,
    /// Called numbers that begin so, for rules that go by a list.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// First hour and the hour after the last (UTC), for rules that go by the time of day.
    #[serde(default)]
    pub hours: Option<(u8, u8)>,
}

/// How calls become a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Calls that are suspect.
    Count,
    /// Suspect calls of a hundred.
    Share,
    /// Suspect calls to the number that has most of them.
    SameNumber,
    /// Calls in a row of which each goes a little above the number of the one before.
    Row,
    /// Spend of the window, in percent of the mean of the windows before.
    Rise,
}

/// What is fixed about a kind of rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub kind: Kind,
    pub key: &'static str,
    pub words: &'static str,
    pub measure: Measure,
    threshold: i64,
    least: i64,
    window_s: u32,
}

macro_rules! kinds {
    ($($kind:ident $key:literal $measure:ident $threshold:literal $least:literal $window:literal $words:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($kind,)* }

        /// Every kind of rule.
        pub const KINDS: &[Facts] = &[$(Facts {
            kind: Kind::$kind,
            key: $key,
            words: $words,
            measure: Measure::$measure,
            threshold: $threshold,
            least: $least,
            window_s: $window,
        },)*];
    };
}

// Name, key, measure, threshold, least, seconds, words.
kinds! {
    SpendRise "spend_rise" Rise 400 1000 3600 "Spend rose far above what is usual";
    Velocity "velocity" Count 600 0 60 "Very many calls";
    CostlyDestinations "costly_destinations" Count 5 0 3600 "Calls to numbers of the list (international revenue share)";
    FewNumbers "few_numbers" SameNumber 20 0 600 "Many short calls to one number (Wangiri call-back)";
    NewDestination "new_destination" Count 5 20 3600 "Calls to a destination that the account never called";
    Sequential "sequential" Row 20 0 600 "Numbers are called one after the other";
    ShortCalls "short_calls" Share 60 50 3600 "Most answered calls are very short";
    OutOfHours "out_of_hours" Count 20 0 3600 "Calls at hours without business";
    FalseAnswers "false_answers" Share 50 30 3600 "The gateway answers at once, and callers hang up (false answers)";
    Failures "failures" Share 90 100 600 "Nearly all calls fail";
}

/// Numbering for satellites, global networks and premium rate (ITU-T E.164): dear everywhere, and seldom called.
const COSTLY: [&str; 5] = ["870", "881", "882", "883", "979"];

impl Kind {
    pub fn facts(self) -> &'static Facts {
        // The table is made from the same list, in the same order.
        &KINDS[self as usize]
    }

    pub fn key(self) -> &'static str {
        self.facts().key
    }

    pub fn from_key(key: &str) -> Option<Kind> {
        KINDS.iter().find(|f| f.key == key).map(|f| f.kind)
    }

    /// As it comes with the program.
    pub fn default_rule(self) -> Rule {
        let facts = self.facts();
        let prefixes = if self == Kind::CostlyDestinations { &COSTLY[..] } else { &[] };
        Rule {
            threshold: facts.threshold,
            least: facts.least,
            window_s: facts.window_s,
            prefixes: prefixes.iter().map(|p| (*p).to_owned()).collect(),
            hours: (self == Kind::OutOfHours).then_some((0, 5)),
        }
    }
}

impl Rule {
    /// What is wrong with it: the field, and what was expected.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_prefix = |p: &String| (1..=15).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
        match self {
            Rule { threshold: ..=0, .. } => Some(("threshold", "expected 1 or more")),
            Rule { least: ..=-1, .. } => Some(("least", "expected 0 or more")),
            Rule { window_s: 0 | 86_401.., .. } => Some(("window_s", "expected 1–86400")),
            Rule { prefixes, .. } if prefixes.len() > 1000 => Some(("prefixes", "expected at most 1000")),
            Rule { prefixes, .. } if !prefixes.iter().all(is_prefix) => {
                Some(("prefixes", "expected 1–15 digits each"))
            }
            Rule { hours: Some((from, to)), .. } if *from > 23 || *to > 24 => {
                Some(("hours", "expected hours from 0 to 24"))
            }
            _ => None,
        }
    }
}

/// A rule was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    /// Account, or gateway for rules on vendors.
    pub subject: String,
    /// End of the call that was one too many.
    pub at: Utc,
    pub value: i64,
    pub threshold: i64,
    /// From the first suspect call to this moment.
    pub after_s: u64,
    /// Spent on the suspect calls until then, in hundredths of the currency.
    pub spent: i64,
    /// The suspect calls, the latest ones.
    pub evidence: Vec<CallId>,
}
