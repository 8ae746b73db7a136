//! Everything that is kept: configuration, money and CDRs in the database, the journal in files.
//!
//! The journal ([`journal`]) is the truth about calls and money; the database is a reader of it ([`Applier`]) that
//! may lag, and the truth about the configuration. Nothing outside of this crate knows SQL; inside, only
//! [`sql`] knows which database it is.
//!
//! | module | holds |
//! | --- | --- |
//! | `config` | the documents, read and validated |
//! | `store` | the handle that others use: changes, snapshots, queries |
//! | `apply`, `export` | business files in and out |
//! | `imports` | vendors' rates, and rates made from them: staged, looked at, applied, undone |
//! | `snapshot` | the configuration as the brain wants it |
//! | `routes` | what gateways say about routes, for the brain |
//! | `lists` | numbers of black and white lists, and files of them |
//! | `reach` | routes that a change takes away, for warnings |
//! | `rewriting` | rules for numbers, for the brain and for trying out |
//! | `applier` | journal records into ledger, balances and CDR partitions |
//! | `rollup` | sums over CDRs and ledger, kept by the applier |
//! | `reports` | the table of reports, made from the sums |
//! | `cdrs`, `ledger` | queries |
//! | `denied` | networks that the kernel filter drops |
//! | `changes` | versions of the configuration, compared and taken back |
//! | `outbox` | CDRs in the order of the journal, for those who take them away |
//! | `people`, `audit` | users, roles, tokens; who changed what |
//! | `alarms` | alarms, their rules and receivers |
//! | `fraud` | rules of the fraud watch that are on |
//! | `backup` | copies of a data folder, and putting them back |
//! | `check`, `restore` | is it all consistent; what the brain must know at the start |

pub mod alarms;
mod applier;
mod apply;
mod audit;
mod backup;
mod cdrs;
mod changes;
mod check;
pub mod config;
mod denied;
mod edit;
mod error;
mod export;
pub mod fraud;
pub mod imports;
pub mod journal;
mod ledger;
mod lists;
mod monitor;
mod outbox;
mod people;
mod rates;
mod reach;
mod registrations;
mod reports;
pub mod reratings;
mod restore;
mod rewriting;
mod rollup;
mod routes;
#[cfg(test)]
mod samples;
mod snapshot;
mod sql;
mod store;
#[cfg(test)]
mod tests;
mod usage;
mod zones;

pub use applier::Applier;
pub use apply::{Change, ChangeAction, FieldChange, Plan, SourceFile};
pub use audit::{AuditEntry, AuditFilter, Author, Deed};
pub use backup::{Backup, Restored, backup, restore};
pub use cdrs::{CdrFilter, CdrTotals, Page};
pub use changes::{ChangeFilter, Item, Version};
pub use check::Finding;
pub use config::{Config, Document, Stored};
pub use error::{ChangeError, Problem, StoreError};
pub use journal::{Journal, JournalError, JournalOptions};
pub use ledger::{LedgerLine, PendingPayment};
pub use lists::{ListImport, ListImportMode};
pub use monitor::{STEPS as MONITOR_STEPS, Sample};
pub use people::{Role, Token, TokenDetails, TokenKind, User, UserDetails};
pub use reports::{
    Cell, Dimension, Measure, Query as ReportQuery, REPORTS, Report, Row as ReportRow, Table, Unit, report,
};
pub use restore::RestoreError;
pub use rewriting::{ReadRule, read_rules, try_rules};
pub use store::{Store, applied};
