//! What the brain writes to the journal: the one ordered stream of facts.

use billing::ledger::Posting;
use cdr::Cdr;
use serde::{Deserialize, Serialize};
use vocab::Utc;

/// One journal record. The shell assigns nothing: sequence numbers come from the brain with the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A call is about to be connected: its CDR as far as it is known. The 200 to the caller waits until this is on
    /// disk (`BIL-15`). After a crash such a record without its `Ended` is a call to be closed or picked up.
    Answered(Box<Cdr>),
    /// A call is over. For a call that was answered, the postings that charge it stand in the same record, so that
    /// CDR and money can never part.
    Ended { cdr: Box<Cdr>, postings: Vec<Posting> },
    /// Money moved outside of calls: a payment, a correction, an opening balance.
    Posted(Posting),
    /// Sign of life, once a second while answered calls are up: bounds what a crash can cost.
    Alive { at: Utc },
}
