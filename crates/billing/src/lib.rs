//! Rates, pricing, ledger with reservations. Integers only.
//!
//! The crate knows nothing of calls, only talk time and amounts: [`rate`] finds the price of a number,
//! [`pricing`] turns talk time into a charge, [`credit`] says how much talk time may be reserved ahead, and
//! [`ledger`] is the one place where balances change.

pub mod credit;
pub mod ledger;
pub mod pricing;
pub mod rate;

pub use credit::Credit;
pub use ledger::{AccountTerms, Book, Ledger, LedgerError, PaymentMode, Posting, PostingKind, ReservationId};
pub use pricing::{Charge, Rounding, billed_seconds, charge, longest_affordable};
pub use rate::{Rate, RateGroup, RateTable};
