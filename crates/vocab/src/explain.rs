//! The explanation that a routing decision carries: made by the code that decides, kept with the CDR.

use crate::id::{AccountId, RoutingGatewayId};
use crate::money::Price;
use crate::number::DialString;
use crate::prefix::Matched;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Every rule that was looked at, in order, and every gateway with its verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteExplanation {
    pub steps: Vec<Step>,
    pub candidates: Vec<CandidateNote>,
}

impl RouteExplanation {
    pub fn step(&mut self, step: &'static str, passed: bool, detail: impl Into<Detail>) {
        self.steps.push(Step { step: step.into(), passed, detail: detail.into() });
    }
}

/// One rule: its name, whether the call passed it, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub step: Cow<'static, str>,
    pub passed: bool,
    pub detail: Detail,
}

/// What was seen at a step. Kept as values, because it is written at each call and read at few; a reader of text
/// formats (the database, the API) gets the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Detail {
    Words(Cow<'static, str>),
    Name(Arc<str>),
    Numbers {
        caller: String,
        called: DialString,
    },
    /// A counter and its limit.
    Use {
        used: u32,
        limit: u32,
    },
    Account {
        name: Arc<str>,
        state: Cow<'static, str>,
    },
    Rate {
        group: Arc<str>,
        prefix: Matched,
        per_minute: Price,
        locked: bool,
    },
    /// How many of the gateways that matched were kept.
    Gateways {
        kept: u32,
        matched: u32,
    },
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Detail::Words(words) => f.write_str(words),
            Detail::Name(name) => f.write_str(name),
            Detail::Numbers { caller, called } => write!(f, "{caller} calls {called}"),
            Detail::Use { used, limit } => write!(f, "{used} of {limit}"),
            Detail::Account { name, state } => write!(f, "{name} is {state}"),
            Detail::Rate { group, prefix, per_minute, locked } => {
                let end = if *locked { ": the destination is locked" } else { "" };
                write!(f, "{group} prefix {prefix} at {per_minute} per minute{end}")
            }
            Detail::Gateways { kept, matched } => write!(f, "{kept} of {matched} can take the call"),
        }
    }
}

impl From<&'static str> for Detail {
    fn from(words: &'static str) -> Detail {
        Detail::Words(words.into())
    }
}

impl From<String> for Detail {
    fn from(words: String) -> Detail {
        Detail::Words(words.into())
    }
}

impl From<Arc<str>> for Detail {
    fn from(name: Arc<str>) -> Detail {
        Detail::Name(name)
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            Detail::serialize(self, serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Detail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Detail, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer).map(Detail::from);
        }
        Detail::deserialize(deserializer)
    }
}

/// One routing gateway that matched, in the order in which it will be tried, then those left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateNote {
    pub gateway: RoutingGatewayId,
    pub name: Arc<str>,
    pub account: AccountId,
    pub prefix: Matched,
    pub priority: u32,
    pub cost_per_minute: Option<Price>,
    pub margin_per_minute: Option<Price>,
    pub verdict: Verdict,
}

/// Why a gateway was kept or left out. Tagged from outside: the journal's format cannot read tags inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Kept,
    Disabled,
    Unreachable,
    ConcurrencyFull {
        calls: u32,
        limit: u32,
    },
    CpsFull {
        cps: u32,
        limit: u32,
    },
    NoClearingRate,
    MarginTooLow {
        margin: Price,
        lowest: Price,
    },
    PriceTooHigh {
        price: Price,
        highest: Price,
    },
    /// Cost and price stand in different currencies, so a margin guard cannot be kept.
    CurrencyDiffers,
    AccountUnusable,
    GroupFull {
        group: Arc<str>,
        calls: u32,
        limit: u32,
    },
    GroupCpsFull {
        group: Arc<str>,
        cps: u32,
        limit: u32,
    },
    /// So few lines of the group are free that they are kept for its other gateways.
    LinesReserved {
        group: Arc<str>,
        free: u32,
        reserved: u32,
    },
    /// The mapping gateway may not use it, or it does not take calls of the mapping gateway.
    NotForCaller,
    LevelTooLow,
    NumberRefused {
        whose: Whose,
        fault: NumberFault,
    },
    /// A black list has the number, or no white list.
    Listed {
        whose: Whose,
        list: Arc<str>,
    },
    OutOfHours {
        calendar: Arc<str>,
    },
    /// Another gateway, by a longer prefix, ends the search.
    Terminated,
    /// It has asked to be left alone (Retry-After).
    Resting {
        seconds: u32,
    },
}

/// One of the two numbers of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    Caller,
    Called,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Whose::Caller => "the caller's number",
            Whose::Called => "the called number",
        })
    }
}

/// What speaks against a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFault {
    TooShort,
    TooLong,
    /// It begins with none of the allowed prefixes.
    NotAllowed,
    /// It begins with a denied prefix.
    Denied,
}

impl fmt::Display for NumberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NumberFault::TooShort => "is too short",
            NumberFault::TooLong => "is too long",
            NumberFault::NotAllowed => "begins with no allowed prefix",
            NumberFault::Denied => "begins with a denied prefix",
        })
    }
}
