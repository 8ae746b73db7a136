//! Which calls are up, as far as the journal knows: carried from file to file.

use super::segment::{CARRIED, PLAIN};
use std::collections::{BTreeMap, HashMap};
use switch::Record;
use vocab::{CallId, Seq, Utc};

/// `Answered` records without an `Ended`, as bytes, and the last `Alive`.
#[derive(Debug, Default)]
pub(super) struct OpenCalls {
    /// Bodies of the payloads, without their format byte, in the order of the journal.
    answered: BTreeMap<Seq, Box<[u8]>>,
    by_call: HashMap<CallId, Seq>,
    alive: Option<(Seq, Utc, Box<[u8]>)>,
}

impl OpenCalls {
    /// Takes note of a record and of its payload.
    pub fn note(&mut self, seq: Seq, record: &Record, payload: &[u8]) {
        let body = payload.strip_prefix(&[PLAIN]).or(payload.strip_prefix(&[CARRIED])).unwrap_or(payload);
        match record {
            Record::Answered(cdr) => {
                if let Some(older) = self.by_call.insert(cdr.call, seq) {
                    self.answered.remove(&older);
                }
                self.answered.insert(seq, body.into());
            }
            Record::Ended { cdr, .. } => {
                if let Some(seq) = self.by_call.remove(&cdr.call) {
                    self.answered.remove(&seq);
                }
            }
            Record::Alive { at } => self.alive = Some((seq, *at, body.into())),
            Record::Posted(_) => {}
        }
    }

    /// What a new segment begins with, in the order of the journal.
    pub fn carried(&self) -> Vec<(Seq, &[u8])> {
        let alive = self.alive.iter().map(|(seq, _, body)| (*seq, &**body));
        let mut all: Vec<_> = self.answered.iter().map(|(seq, body)| (*seq, &**body)).chain(alive).collect();
        all.sort_unstable_by_key(|(seq, _)| *seq);
        all
    }

    pub fn answered(&self) -> Vec<(Seq, Box<cdr::Cdr>)> {
        let records = self.answered.iter().filter_map(|(seq, body)| match postcard::from_bytes(body) {
            Ok(Record::Answered(cdr)) => Some((*seq, cdr)),
            _ => None,
        });
        records.collect()
    }

    pub fn last_alive(&self) -> Option<Utc> {
        self.alive.as_ref().map(|(_, at, _)| *at)
    }

    pub fn len(&self) -> usize {
        self.answered.len()
    }
}
