//! What accounts have used of their day and month (`RTE-5`).

use crate::brain::Switch;
use crate::interface::Used;
use crate::snapshot::Account;
use billing::Zone;
use cdr::Cdr;
use vocab::{EndReason, Money, Utc};

/// Minutes and money of finished calls in the local day and the local month of the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The local day, and the local month.
    period: [i64; 2],
    seconds: [u64; 2],
    money: [Money; 2],
}

impl Usage {
    /// Begins the periods of this moment, unless they have begun.
    fn turn(&mut self, zone: &Zone, at: Utc) {
        for (i, period) in [zone.day(at), zone.month(at)].into_iter().enumerate() {
            // A clock that was set back does not open a day anew.
            if let Some(own) = self.period.get_mut(i).filter(|own| period > **own) {
                *own = period;
                self.seconds[i] = 0;
                self.money[i] = Money::ZERO;
            }
        }
    }

    fn add(&mut self, zone: &Zone, at: Utc, seconds: u64, amount: Money) {
        self.turn(zone, at);
        for (i, period) in [zone.day(at), zone.month(at)].into_iter().enumerate() {
            if self.period[i] == period {
                self.seconds[i] = self.seconds[i].saturating_add(seconds);
                self.money[i] = Money(self.money[i].0.saturating_add(amount.0));
            }
        }
    }
}

impl Switch {
    fn usage(&self, account: &Account, at: Utc) -> Usage {
        let mut usage = self.usage.get(&account.id).copied().unwrap_or_default();
        usage.turn(&account.zone, at);
        usage
    }

    /// Counts a finished call for the customer and its agents.
    pub(crate) fn count_usage(&mut self, cdr: &Cdr) {
        let used: Vec<_> = cdr.used().collect();
        for (account, seconds, amount) in used {
            self.add_usage(Used { account, at: cdr.end, seconds, amount });
        }
    }

    pub(crate) fn add_usage(&mut self, used: Used) {
        let Some(account) = self.snapshot.accounts.get(&used.account) else { return };
        let usage = self.usage.entry(used.account).or_default();
        usage.add(&account.zone, used.at, used.seconds, used.amount);
    }

    /// Seconds of talk that its minutes still allow; `None`: no limit.
    pub(crate) fn seconds_left(&self, account: &Account, at: Utc) -> Option<u64> {
        if account.quotas.minutes == [None; 2] {
            return None;
        }
        let usage = self.usage(account, at);
        let left = account.quotas.minutes.iter().zip(usage.seconds);
        left.filter_map(|(limit, used)| Some((u64::from((*limit)?) * 60).saturating_sub(used))).min()
    }

    /// Money that the account may still hold in its day and month, less what its calls hold; `None`: no limit.
    fn quota_left(&self, account: &Account, at: Utc) -> Option<Money> {
        if account.quotas.money == [None; 2] {
            return None;
        }
        let usage = self.usage(account, at);
        let left = account.quotas.money.iter().zip(usage.money);
        let left = left.filter_map(|(limit, used)| Some((*limit)?.0.saturating_sub(used.0))).min()?;
        Some(Money(left.saturating_sub(self.ledger.reserved(account.id).0)))
    }

    /// What the account may still hold, by its balance and by the money of its day and month.
    pub(crate) fn spendable(&self, account: &Account, at: Utc) -> Option<Money> {
        let both = [self.ledger.available(account.id), self.quota_left(account, at)];
        both.into_iter().flatten().min()
    }

    /// Why an account that cannot hold this much cannot.
    pub(crate) fn short_of(&self, account: &Account, at: Utc) -> EndReason {
        match (self.quota_left(account, at), self.ledger.available(account.id)) {
            (Some(left), available) if available.is_none_or(|available| left < available) => {
                EndReason::AccountMoneyUsed
            }
            _ => EndReason::InsufficientBalance,
        }
    }
}
