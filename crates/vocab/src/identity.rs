//! Who is said to call: what a gateway is told in which header (`SIG-15`), and by which number.

use serde::{Deserialize, Serialize};

/// What stands in a header that names the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimMode {
    /// The header is not sent.
    #[default]
    None,
    /// What the caller sent.
    Passthrough,
    /// The caller's number as it is sent.
    Caller,
}

impl ClaimMode {
    pub const ALL: [ClaimMode; 3] = [ClaimMode::None, ClaimMode::Passthrough, ClaimMode::Caller];
}

/// What stands in `Privacy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrivacyMode {
    #[default]
    None,
    /// What the caller asked for, if its gateway may.
    Passthrough,
    /// `id`, and the caller is nobody in From.
    Id,
}

/// How the numbers of a pool take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolOrder {
    #[default]
    Random,
    RoundRobin,
}

/// Identity headers (RFC 3325) of a request, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedIdentity {
    pub asserted: Vec<String>,
    pub preferred: Vec<String>,
    pub remote_party: Vec<String>,
}

/// One header that names the caller, as it is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    #[default]
    Nothing,
    Number(String),
    AsReceived(Vec<String>),
}

/// Who is said to call, besides From.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentIdentity {
    pub asserted: Claim,
    pub preferred: Claim,
    pub remote_party: Claim,
    pub privacy: Option<String>,
}

/// RFC 3323 §4.2: does a Privacy header ask that nobody beyond learns who calls?
pub fn hides_caller(privacy: &str) -> bool {
    privacy.split([';', ',']).any(|wish| {
        let wish = wish.trim();
        ["id", "user", "full"].iter().any(|hiding| wish.eq_ignore_ascii_case(hiding))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_for_privacy() {
        for (text, want) in [
            ("id", true),
            ("none", false),
            ("header;ID", true),
            ("critical; user", true),
            ("", false),
            ("idx", false),
        ] {
            assert_eq!(hides_caller(text), want, "{text}");
        }
    }
}
