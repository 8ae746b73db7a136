//! From both numbers, the plan and the live load to a ranked list of gateways with its explanation.
//!
//! [`decide`] is a pure function; live calls, the simulator of routes and the console use the same one (`RTE-14`).
//! It knows nothing of SIP and nothing of rates: prices come through [`Market`], load through [`Load`].

mod decide;
mod numbers;
mod order;
mod plan;
pub mod rewrite;

pub use decide::{Access, Candidate, Decision, Load, Market, Offer, Request, Standing, decide, judge_load};
pub use numbers::{ListEntry, NumberList, NumberRule, NumberRules};
pub use order::{Policy, Quality};
pub use plan::{Gateway, Guards, Plan, PrefixMode, PrefixTerms, Terms};
pub use rewrite::{Rewriting, Rules};
