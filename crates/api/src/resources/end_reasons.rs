//! The table of end reasons.

use super::cdrs::EndedBy;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use vocab::Next;
use vocab::cause::END_REASONS;

/// One row of the table of end reasons.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct EndReason {
    /// As it stands in CDRs.
    pub key: &'static str,
    pub words: &'static str,
    /// Who ends a call for this reason.
    pub by: EndedBy,
    /// Status to the caller when the call was not answered; 0: none, or as received.
    pub sip: u16,
    /// Q.850 cause; 0: as received.
    pub q850: u8,
    pub failover: Failover,
}

/// May routing go on to the next gateway after this?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Failover {
    Yes,
    No,
    /// Yes, unless a stop rule says no.
    StopRules,
}

/// Lists the end reasons.
#[utoipa::path(get, path = "/end-reasons", tag = "cdrs", responses((status = 200, body = Vec<EndReason>)))]
pub(crate) async fn list_end_reasons() -> Json<Vec<EndReason>> {
    let row = |row: &vocab::cause::EndReasonRow| EndReason {
        key: row.key,
        words: row.words,
        by: row.by.into(),
        sip: row.sip,
        q850: row.q850,
        failover: match row.next {
            Next::Yes => Failover::Yes,
            Next::No => Failover::No,
            Next::StopRules => Failover::StopRules,
        },
    };
    Json(END_REASONS.iter().map(row).collect())
}
