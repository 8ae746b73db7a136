//! Why calls end: one table, from which SIP codes, Q.850 causes, words and failover rules are taken.

use serde::{Deserialize, Serialize};

/// Who ended the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    Caller,
    Callee,
    Switch,
}

/// May routing go on to the next gateway after this?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Yes,
    No,
    /// Yes, unless a stop rule of `RTE-9` says no.
    StopRules,
}

/// One row of the table of end reasons.
#[derive(Clone, Copy, Debug)]
pub struct EndReasonRow {
    pub reason: EndReason,
    /// Stable key, as in CDRs and the API.
    pub key: &'static str,
    /// Who ends a call for this reason, unless the call machine knows better.
    pub by: EndedBy,
    /// SIP status sent back to the caller when the call was not answered; 0: none, or as received.
    pub sip: u16,
    /// Q.850 cause; 0: as received.
    pub q850: u8,
    pub next: Next,
    pub words: &'static str,
}

macro_rules! end_reasons {
    ($($variant:ident $key:literal $by:ident $sip:literal $q850:literal $next:ident $words:literal;)*) => {
        /// Why a call ended. The closed list of `end-reasons.md`; codes and words are in [`EndReason::row`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EndReason { $(#[serde(rename = $key)] $variant,)* }

        /// The whole table, in the order of the documentation.
        pub const END_REASONS: &[EndReasonRow] = &[$(EndReasonRow {
            reason: EndReason::$variant, key: $key, by: EndedBy::$by, sip: $sip, q850: $q850,
            next: Next::$next, words: $words,
        },)*];
    };
}

end_reasons! {
    NormalRelease "normal_release" Caller 0 16 No "Normal release";
    CallerCancelled "caller_cancelled" Caller 487 16 No "Cancelled by the caller before the answer";
    NoAnswer "no_answer" Switch 408 19 StopRules "Rang without an answer";
    ResponseTimeout "response_timeout" Switch 408 102 StopRules "The gateway took the call and then fell silent";
    InviteTimeout "invite_timeout" Switch 408 102 Yes "The gateway did not respond at all";
    CalleeBusy "callee_busy" Callee 486 17 StopRules "Called party busy";
    CalleeRejected "callee_rejected" Callee 603 21 StopRules "Called party rejected the call";
    CalleeUnavailable "callee_unavailable" Callee 480 20 Yes "Called party unavailable";
    NumberUnknown "number_unknown" Callee 404 1 Yes "Number unknown at the gateway";
    GatewayFailure "gateway_failure" Callee 0 0 Yes "The gateway failed the call";
    SessionTimeout "session_timeout" Switch 0 102 No "Session not refreshed";
    NoMediaTimeout "no_media_timeout" Switch 0 127 No "No media";
    MaxDuration "max_duration" Switch 0 16 No "Longest call length reached";
    BalanceExhausted "balance_exhausted" Switch 0 16 No "The money ended during the call";
    KilledByOperator "killed_by_operator" Switch 0 31 No "Disconnected by an operator";
    AccountLocked "account_locked" Switch 403 21 No "Account locked";
    AccountExpired "account_expired" Switch 403 21 No "Account expired";
    InsufficientBalance "insufficient_balance" Switch 403 21 No "Insufficient balance";
    NoMatchingRate "no_matching_rate" Switch 403 21 No "No matching rate";
    CallLevelTooLow "call_level_too_low" Switch 403 21 No "Call level too low";
    CallerBarred "caller_barred" Switch 403 21 No "Caller barred";
    CalleeBarred "callee_barred" Switch 403 21 No "Called number barred";
    UnknownSource "unknown_source" Switch 403 21 No "Unknown source";
    AuthenticationFailed "authentication_failed" Switch 403 21 No "Authentication failed";
    Suspended "suspended" Switch 0 21 No "Suspended after too many failures";
    GatewayCpsLimit "gateway_cps_limit" Switch 503 42 No "Calls-per-second limit of the gateway";
    GatewayConcurrencyLimit "gateway_concurrency_limit" Switch 503 42 No "Concurrency limit of the gateway";
    AccountLimit "account_limit" Switch 503 42 No "Limit of the account";
    AccountMinutesUsed "account_minutes_used" Switch 403 21 No "Minutes of the day or month used up";
    AccountMoneyUsed "account_money_used" Switch 403 21 No "Money of the day or month used up";
    PhoneLimit "phone_limit" Switch 503 42 No "Limit of the phone";
    NumberLimit "number_limit" Switch 503 42 No "Limit of the number";
    SystemLimit "system_limit" Switch 503 42 No "Limit of the switch";
    NoAvailableRouter "no_available_router" Switch 404 3 No "No routing gateway matches (NoAvailableRouter)";
    AllGatewaysBusy "all_gateways_busy" Switch 503 34 No "All matching gateways are at their limits (AllGatewayBusy)";
    AllGatewaysOffline "all_gateways_offline" Switch 503 38 No "All matching gateways are off or unreachable";
    AllGatewaysRefusedByMargin "all_gateways_refused_by_margin" Switch 503 38 No "No gateway within the margin guards";
    AllGatewaysFailed "all_gateways_failed" Switch 0 0 No "Every gateway was tried and failed";
    NoNumberLeft "no_number_left" Switch 404 3 No "The rules of the gateways leave no number to send";
    CalleeNotOnline "callee_not_online" Switch 480 20 No "Called phone not registered";
    CodecMismatch "codec_mismatch" Switch 488 65 Yes "No codec in common";
    NoMediaPorts "no_media_ports" Switch 503 47 No "No media ports left";
    ForwardLoop "forward_loop" Switch 482 25 No "The call came back to itself";
    TooManyForwards "too_many_forwards" Switch 482 25 No "Forwarded too often";
    ProtocolError "protocol_error" Switch 500 111 Yes "The peer broke the protocol";
    ShuttingDown "shutting_down" Switch 503 41 No "The switch is shutting down";
    InternalError "internal_error" Switch 500 41 No "Internal error";
}

impl EndReason {
    pub fn row(self) -> &'static EndReasonRow {
        // The table is built from the same macro as the enum, in the same order.
        &END_REASONS[self as usize]
    }

    pub fn key(self) -> &'static str {
        self.row().key
    }

    pub fn from_key(key: &str) -> Option<EndReason> {
        END_REASONS.iter().find(|r| r.key == key).map(|r| r.reason)
    }

    /// The end reason of a final refusal by a gateway.
    pub fn from_sip(status: u16) -> EndReason {
        match status {
            486 | 600 => EndReason::CalleeBusy,
            403 | 603 => EndReason::CalleeRejected,
            480 | 410 => EndReason::CalleeUnavailable,
            404 | 604 | 484 => EndReason::NumberUnknown,
            408 => EndReason::ResponseTimeout,
            488 | 606 => EndReason::CodecMismatch,
            // Final: in a ring of switches every further gateway would double the calls at every hop (`R-36`).
            482 => EndReason::ForwardLoop,
            483 => EndReason::TooManyForwards,
            _ => EndReason::GatewayFailure,
        }
    }
}

/// Q.850 cause for a SIP status, after RFC 3398 §8.2.6.1; for statuses that carry no Reason header.
pub fn q850_from_sip(status: u16) -> u8 {
    match status {
        401 | 402 | 403 | 407 | 603 => 21,
        404 | 485 | 604 => 1,
        405 => 63,
        406 | 415 | 488 | 606 => 65,
        408 | 504 => 102,
        410 => 22,
        413 | 414 | 416 | 420 | 421 | 423 | 505 | 513 => 127,
        480 => 20,
        481 | 500 | 503 => 41,
        482 | 483 => 25,
        484 => 28,
        486 | 600 => 17,
        487 => 16,
        501 => 79,
        502 => 38,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_round_trip() {
        for (i, row) in END_REASONS.iter().enumerate() {
            assert_eq!(row.reason as usize, i);
            assert_eq!(EndReason::from_key(row.key), Some(row.reason));
        }
    }
}
