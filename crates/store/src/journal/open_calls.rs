//! Which calls are up or being set up, as far as the journal knows: carried from file to file.

use super::segment::{CARRIED, PLAIN};
use std::collections::{BTreeMap, HashMap};
use switch::record::CallRecord;
use switch::{Moment, OpenCall, Record};
use vocab::{CallId, Seq};

/// Records of calls without an end, as bytes, and the last `Alive`.
#[derive(Debug, Default)]
pub(super) struct OpenCalls {
    /// Bodies of the payloads, without their format byte, in the order of the journal.
    records: BTreeMap<Seq, Box<[u8]>>,
    /// By kind of record, the last one.
    by_call: HashMap<CallId, [Option<Seq>; CallRecord::End as usize]>,
    alive: Option<(Seq, Moment, Box<[u8]>)>,
}

impl OpenCalls {
    /// Takes note of a record and of its payload.
    pub fn note(&mut self, seq: Seq, record: &Record, payload: &[u8]) {
        let body = payload.strip_prefix(&[PLAIN]).or(payload.strip_prefix(&[CARRIED])).unwrap_or(payload);
        if let Record::Alive { at } = record {
            self.alive = Some((seq, *at, body.into()));
        }
        match record.of_call() {
            None => {}
            Some((call, CallRecord::End)) => {
                for seq in self.by_call.remove(&call).into_iter().flatten().flatten() {
                    self.records.remove(&seq);
                }
            }
            Some((call, kind)) => {
                let places = self.by_call.entry(call).or_default();
                if let Some(older) = places.get_mut(kind as usize).and_then(|place| place.replace(seq)) {
                    self.records.remove(&older);
                }
                self.records.insert(seq, body.into());
            }
        }
    }

    /// What a new segment begins with, in the order of the journal.
    pub fn carried(&self) -> Vec<(Seq, &[u8])> {
        let alive = self.alive.iter().map(|(seq, _, body)| (*seq, &**body));
        let mut all: Vec<_> = self.records.iter().map(|(seq, body)| (*seq, &**body)).chain(alive).collect();
        all.sort_unstable_by_key(|(seq, _)| *seq);
        all
    }

    /// The calls, in the order of their ids.
    pub fn calls(&self) -> Vec<OpenCall> {
        let mut calls: BTreeMap<CallId, OpenCall> = BTreeMap::new();
        for body in self.records.values() {
            let Ok(record) = postcard::from_bytes::<Record>(body) else { continue };
            if let Some((id, _)) = record.of_call() {
                calls.entry(id).or_default().note(record);
            }
        }
        calls.into_values().collect()
    }

    pub fn last_alive(&self) -> Option<Moment> {
        self.alive.as_ref().map(|(_, at, _)| *at)
    }

    pub fn len(&self) -> usize {
        self.by_call.len()
    }
}
