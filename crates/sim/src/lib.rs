//! The whole switch on virtual time: peers, network, media threads and disk are simulated, and every run is decided by
//! a seed.
//!
//! - [`world`]: one [`switch::Switch`] with everything around it, crashes included.
//! - [`peer`]: user agents at the level of messages, and agents that live by themselves.
//! - [`ladder`]: call flows as tests, in text files (`scenarios/`).
//! - [`campaign`]: random runs with faults, judged by the oracle of `R-63`.
//! - [`demo`]: the business, the customers and the vendors of `tandem demo`.

pub mod business;
pub mod campaign;
pub mod demo;
pub mod digest;
mod disk;
pub mod facts;
pub mod ladder;
mod media;
pub mod net;
pub mod peer;
mod queue;
mod route_words;
pub mod wire;
pub mod world;
