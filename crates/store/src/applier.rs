//! The reader of the journal that fills the database: CDR partitions, ledger, balances.

use crate::cdrs::Partition;
use crate::ledger::{Lines, balances, set_watermark, watermark, write_balance};
use crate::rollup::{KeyIds, Pending, is_of_call};
use crate::sql::Connection;
use crate::usage::Usage;
use crate::{Store, StoreError, cdrs, registrations};
use billing::ledger::{Book, Posting};
use cdr::Cdr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use switch::Record;
use vocab::{Currency, Money, Seq, Utc};

/// Applies journal records in order, each exactly once however often it is handed in.
pub struct Applier {
    store: Store,
    /// As of the last commit; `None` after a failure, to be read anew.
    state: Option<State>,
}

#[derive(Clone, Default)]
struct State {
    applied: Seq,
    balances: BTreeMap<Book, (Currency, Money)>,
    partitions: HashMap<i64, Partition>,
    keys: KeyIds,
}

impl Store {
    /// There should be one; two would wait for each other, but do no harm.
    pub fn applier(&self) -> Applier {
        Applier { store: self.clone(), state: None }
    }
}

impl Applier {
    /// Applies these records in one transaction and returns how far the journal is applied. Records that were
    /// applied before are passed over. On an error nothing has changed and the call may be repeated.
    pub fn apply(&mut self, records: &[(Seq, Record)]) -> Result<Seq, StoreError> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.store.read(State::load)?,
        };
        let before = state.applied;
        if records.last().is_some_and(|(seq, _)| *seq > before) {
            self.store.write(|db| {
                // Somebody may have applied more since the state was read.
                let stored = watermark(db)?;
                if stored != state.applied {
                    state = State::load(db)?;
                }
                let batch = Batch {
                    db,
                    state: &mut state,
                    touched: BTreeSet::new(),
                    lines: Lines::default(),
                    usage: Usage::default(),
                    sums: Pending::default(),
                };
                batch.apply(records)
            })?;
        }
        let applied = state.applied;
        self.state = Some(state);
        Ok(applied)
    }
}

impl State {
    fn load(db: &Connection) -> Result<State, StoreError> {
        Ok(State {
            applied: watermark(db)?,
            balances: balances(db)?,
            partitions: HashMap::new(),
            keys: KeyIds::new(),
        })
    }
}

struct Batch<'a> {
    db: &'a Connection,
    state: &'a mut State,
    touched: BTreeSet<Book>,
    lines: Lines<'a>,
    usage: Usage,
    sums: Pending,
}

impl<'a> Batch<'a> {
    fn apply(mut self, records: &'a [(Seq, Record)]) -> Result<(), StoreError> {
        for (seq, record) in records {
            if *seq <= self.state.applied {
                continue;
            }
            match record {
                Record::Ended { cdr, postings } => self.ended(*seq, cdr, postings)?,
                Record::Posted(posting) => self.post(*seq, posting.at, std::slice::from_ref(posting))?,
                Record::Answered(_) | Record::Alive { .. } | Record::Placed(_) => {}
                Record::Registered(registered) => registrations::write(self.db, registered)?,
                Record::Confirmed(_) | Record::Figures { .. } | Record::Dropped(_) => {}
            }
            self.state.applied = *seq;
        }
        self.lines.flush(self.db)?;
        self.usage.write(self.db)?;
        self.sums.flush(self.db, &mut self.state.keys)?;
        for book in &self.touched {
            if let Some((currency, amount)) = self.state.balances.get(book) {
                write_balance(self.db, *book, *currency, *amount)?;
            }
        }
        set_watermark(self.db, self.state.applied)
    }

    fn ended(&mut self, seq: Seq, cdr: &Cdr, postings: &'a [Posting]) -> Result<(), StoreError> {
        let day = cdr.start.day();
        let partition = match self.state.partitions.get(&day) {
            Some(partition) => partition,
            None => {
                let partition = cdrs::make_partition(self.db, day)?;
                self.state.partitions.entry(day).or_insert(partition)
            }
        };
        if cdrs::write(self.db, partition, seq, cdr)? {
            self.sums.add_cdr(cdr);
        }
        self.usage.add(cdr);
        self.post(seq, cdr.start, postings)
    }

    /// `start` is that of the call whose record holds the postings, if they are a call's.
    fn post(&mut self, seq: Seq, start: Utc, postings: &'a [Posting]) -> Result<(), StoreError> {
        let mut line = 0;
        for posting in postings {
            let currency = posting.currency;
            line = self.lines.add(self.db, seq, line, posting)?;
            self.sums.add_posting(if is_of_call(posting.kind) { start } else { posting.at }, posting)?;
            for entry in &posting.entries {
                let (_, balance) = self.state.balances.entry(entry.book).or_insert((currency, Money::ZERO));
                *balance =
                    balance.checked_add(entry.amount).map_err(|e| StoreError::corrupt(e.to_string()))?;
                self.touched.insert(entry.book);
            }
        }
        Ok(())
    }
}
