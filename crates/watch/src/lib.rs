//! Watches over the switch.
//!
//! | module | what |
//! | --- | --- |
//! | [`alarm`] | rules with thresholds; when an alarm begins and ends (`DBG-9`) |
//! | [`fraud`] | rules over calls, tried on past ones (`SEC-7`) |
//! | [`outbox`] | notices on their way to receivers that may be dead |
//! | [`mail`] | a notice as an Internet message, and the dialogue that hands it over |
//! | [`window`] | shares and rises over the last minutes, from counters |
//! | [`firewall`] | the kernel's filter as a script (`SEC-5`) |
//!
//! Everything is a function of figures and times that are given.

pub mod alarm;
pub mod firewall;
pub mod fraud;
pub mod mail;
pub mod outbox;
pub mod window;

pub use alarm::{Alarms, Change, Kind, Reading, Rule, Severity};
pub use outbox::Outbox;
