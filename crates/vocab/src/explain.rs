//! The explanation that a routing decision carries: made by the code that decides, kept with the CDR.

use crate::id::{AccountId, RoutingGatewayId};
use crate::money::Price;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Every rule that was looked at, in order, and every gateway with its verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteExplanation {
    pub steps: Vec<Step>,
    pub candidates: Vec<CandidateNote>,
}

impl RouteExplanation {
    pub fn step(&mut self, step: &'static str, passed: bool, detail: impl Into<String>) {
        self.steps.push(Step { step: step.into(), passed, detail: detail.into() });
    }
}

/// One rule: its name, whether the call passed it, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub step: std::borrow::Cow<'static, str>,
    pub passed: bool,
    pub detail: String,
}

/// One routing gateway that matched, in the order in which it will be tried, then those left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateNote {
    pub gateway: RoutingGatewayId,
    pub name: Arc<str>,
    pub account: AccountId,
    pub prefix: String,
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
}
