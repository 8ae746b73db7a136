//! What is wrong with a call (`DBG-4`): one function for each symptom, each over the capture and the record. A call in
//! good health has no findings.

mod codecs;
mod media;
mod session;
mod setup;

use crate::Side;
use crate::capture::Capture;
use crate::ladder::{self, Seen};
use cdr::Cdr;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It broke the call, or made it useless.
    Fault,
    /// It may, or will another time.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable key.
    pub key: &'static str,
    pub severity: Severity,
    /// Whose doing it is, where one can tell.
    #[serde(serialize_with = "side_name")]
    pub side: Option<Side>,
    /// What was seen.
    pub text: String,
    /// What to do about it.
    pub advice: &'static str,
}

fn side_name<S: serde::Serializer>(side: &Option<Side>, s: S) -> Result<S::Ok, S::Error> {
    side.map(|side| if side == Side::A { "caller" } else { "gateway" }).serialize(s)
}

impl Finding {
    fn fault(key: &'static str, side: Option<Side>, text: String, advice: &'static str) -> Finding {
        Finding { key, severity: Severity::Fault, side, text, advice }
    }

    fn warning(key: &'static str, side: Option<Side>, text: String, advice: &'static str) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::fault(key, side, text, advice) }
    }
}

/// What the findings are made from.
pub struct Case<'a> {
    pub cdr: &'a Cdr,
    /// In order of time; empty when nothing was kept.
    pub seen: Vec<Seen<'a>>,
    pub capture: Option<&'a Capture>,
    /// The call is still up.
    pub live: bool,
}

impl<'a> Case<'a> {
    pub fn new(cdr: &'a Cdr, capture: Option<&'a Capture>, live: bool) -> Case<'a> {
        let seen = capture.map(ladder::read).unwrap_or_default();
        Case { cdr, seen, capture, live }
    }

    /// Messages of one side in one direction.
    fn of(&self, side: Side, incoming: bool) -> impl DoubleEndedIterator<Item = &Seen<'a>> {
        self.seen.iter().filter(move |s| s.side == side && s.message.incoming == incoming)
    }

    fn answered(&self) -> bool {
        self.cdr.answer.is_some()
    }

    /// Name of a side in sentences.
    fn who(&self, side: Side) -> String {
        match (side, &self.cdr.routing_gateway) {
            (Side::A, _) => "the caller".to_owned(),
            (Side::B, Some(gateway)) => format!("gateway {}", gateway.name),
            (Side::B, None) => "the gateway".to_owned(),
        }
    }
}

pub(crate) const BOTH: [Side; 2] = [Side::A, Side::B];

/// Everything that is wrong, the worst first.
pub fn findings(case: &Case<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    setup::findings(case, &mut found);
    codecs::findings(case, &mut found);
    media::findings(case, &mut found);
    session::findings(case, &mut found);
    found.sort_by_key(|f| f.severity == Severity::Warning);
    found.dedup_by(|a, b| a.key == b.key && a.side == b.side);
    found
}
