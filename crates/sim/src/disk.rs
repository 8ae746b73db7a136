//! The journal's disk: records become durable after a while, and a crash loses what was not.

use billing::ledger::{Book, Posting};
use std::collections::BTreeMap;
use std::time::Duration;
use switch::interface::Used;
use switch::record::CallRecord;
use switch::{OpenCall, Record, Restore};
use vocab::{CallId, Money, Random, Seq, Tick};

#[derive(Debug)]
pub struct Disk {
    /// What survives a crash.
    durable: Vec<(Seq, Record)>,
    pending: Vec<(Seq, Record)>,
    /// The group commit under way: how many of the pending records it covers, and when it will be done.
    commit: Option<(usize, Tick)>,
    pub delay_min: Duration,
    pub delay_max: Duration,
    full: bool,
    random: Random,
}

impl Disk {
    pub fn new(random: Random) -> Disk {
        Disk {
            durable: Vec::new(),
            pending: Vec::new(),
            commit: None,
            delay_min: Duration::from_millis(2),
            delay_max: Duration::from_millis(2),
            full: false,
            random,
        }
    }

    /// Appends one record; numbers run without a gap.
    pub fn append(&mut self, now: Tick, seq: Seq, record: Record) {
        let last = self.pending.last().or(self.durable.last()).map_or(0, |(seq, _)| seq.0);
        assert_eq!(seq.0, last + 1, "the journal's numbers have a gap");
        self.pending.push((seq, record));
        self.start_commit(now);
    }

    /// A full disk finishes no commit until there is room again.
    pub fn set_full(&mut self, now: Tick, full: bool) {
        self.full = full;
        self.commit = None;
        self.start_commit(now);
    }

    fn start_commit(&mut self, now: Tick) {
        if self.commit.is_none() && !self.pending.is_empty() && !self.full {
            let spread = u64::try_from((self.delay_max - self.delay_min).as_micros()).unwrap_or(0);
            let delay = self.delay_min + Duration::from_micros(self.random.below(spread + 1));
            self.commit = Some((self.pending.len(), now + delay));
        }
    }

    pub fn poll_timeout(&self) -> Option<Tick> {
        self.commit.map(|(_, at)| at)
    }

    /// The last record that has now become durable.
    pub fn handle_timeout(&mut self, now: Tick) -> Option<Seq> {
        let (count, _) = self.commit.filter(|(_, at)| *at <= now)?;
        self.commit = None;
        self.durable.extend(self.pending.drain(..count));
        self.start_commit(now);
        self.durable.last().map(|(seq, _)| *seq)
    }

    /// The process dies: what was written but not yet synced may or may not be there, in order.
    pub fn crash(&mut self) {
        let most = u64::try_from(self.pending.len()).unwrap_or(0);
        let kept = usize::try_from(self.random.below(most + 1)).unwrap_or(0);
        self.durable.extend(self.pending.drain(..kept));
        self.pending.clear();
        self.commit = None;
    }

    pub fn records(&self) -> &[(Seq, Record)] {
        &self.durable
    }

    /// Durable records and those that are not yet: what the switch has said.
    pub fn written(&self) -> impl Iterator<Item = &(Seq, Record)> {
        self.durable.iter().chain(&self.pending)
    }

    /// Nothing waits to be written.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}

/// A reader of the journal, independent of the switch and of the store: what a start must know.
pub fn restore<'a>(records: impl IntoIterator<Item = &'a (Seq, Record)>) -> Restore {
    let mut balances: BTreeMap<Book, Money> = BTreeMap::new();
    let mut open: BTreeMap<CallId, OpenCall> = BTreeMap::new();
    let mut restore = Restore::default();
    for (seq, record) in records {
        restore.last_seq = *seq;
        if let Record::Registered(registered) = record {
            restore.registrations.retain(|r| r.who != registered.who);
            restore.registrations.push((**registered).clone());
        }
        if let Record::Alive { at } = record {
            restore.last_alive = Some(*at);
        }
        if let Record::Ended { cdr, .. } = record {
            let used =
                cdr.used().map(|(account, seconds, amount)| Used { account, at: cdr.end, seconds, amount });
            restore.used.extend(used);
        }
        match record.of_call() {
            Some((call, CallRecord::End)) => {
                open.remove(&call);
            }
            Some((call, _)) => {
                open.entry(call).or_default().note(record.clone());
            }
            None => {}
        }
        for posting in postings(record) {
            for entry in &posting.entries {
                let balance = balances.entry(entry.book).or_default();
                *balance = Money(balance.0.saturating_add(entry.amount.0));
            }
            if let Some(key) = &posting.key {
                restore.keys.push((key.clone(), *seq, posting.clone()));
            }
        }
    }
    restore.balances = balances.into_iter().collect();
    restore.open_calls = open.into_values().collect();
    restore
}

pub fn postings(record: &Record) -> &[Posting] {
    match record {
        Record::Ended { postings, .. } => postings,
        Record::Posted(posting) => std::slice::from_ref(posting),
        Record::Answered(_) | Record::Alive { .. } | Record::Placed(_) => &[],
        Record::Confirmed(_) | Record::Figures { .. } | Record::Dropped(_) | Record::Registered(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::Utc;

    fn alive(utc: Utc) -> Record {
        Record::Alive { at: switch::Moment { utc, ..Default::default() } }
    }

    #[test]
    fn commits_in_groups_and_loses_only_what_was_not_acknowledged() {
        for seed in 0..50 {
            let mut disk = Disk::new(Random::from_number(seed));
            let at = |ms: u64| Tick(ms * 1000);
            disk.append(at(0), Seq(1), alive(Utc(1)));
            disk.append(at(1), Seq(2), alive(Utc(2)));
            assert_eq!(disk.poll_timeout(), Some(at(2)));
            assert_eq!(disk.handle_timeout(at(1)), None);
            assert_eq!(disk.handle_timeout(at(2)), Some(Seq(1)), "the second came after the commit began");
            disk.set_full(at(2), true);
            assert_eq!(disk.poll_timeout(), None);
            disk.append(at(3), Seq(3), alive(Utc(3)));
            disk.set_full(at(9), false);
            assert_eq!(disk.handle_timeout(at(11)), Some(Seq(3)));
            disk.append(at(12), Seq(4), alive(Utc(4)));
            disk.crash();
            assert!((3..=4).contains(&disk.records().len()) && disk.is_idle());
            assert_eq!(restore(disk.records()).last_seq.0, u64::try_from(disk.records().len()).unwrap());
        }
    }
}
