//! Rates, pricing, ledger with reservations. Integers only.
//!
//! The crate knows nothing of calls, only talk time and amounts: [`rate`] finds the price of a number at a moment
//! ([`calendar`], [`inherit`]), [`running`] what it becomes while the call runs, [`pricing`] turns talk time into a charge, [`credit`] says how much talk time may be reserved ahead, and
//! [`ledger`] is the one place where balances change.

pub mod calendar;
pub mod credit;
pub mod inherit;
pub mod ledger;
pub mod pricing;
pub mod rate;
pub mod running;
pub mod work;

pub use calendar::{Hours, Zone};
pub use credit::Credit;
pub use inherit::{Inherited, Making, Percent};
pub use ledger::{AccountTerms, Book, Ledger, LedgerError, PaymentMode, Posting, PostingKind, ReservationId};
pub use pricing::{Charge, Rounding, billed_seconds, charge, longest_affordable};
pub use rate::{PriceChange, Rate, RateGroup, RateTable, Validity};
pub use work::{Day, DayError, WorkCalendar};
