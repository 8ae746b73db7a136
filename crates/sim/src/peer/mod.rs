//! Simulated user agents, written on [`crate::wire`] and not on the switch's own engine, so that both cannot be wrong
//! in the same way.

pub mod agent;
pub mod dialog;

pub use agent::{Act, Agent, AnswerPlan, CallPlan, Response, Truth};
pub use dialog::{Dialog, Identity, Offer};
