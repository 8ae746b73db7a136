//! Operators' requests.

use crate::brain::{Switch, Waiting};
use crate::interface::{AccountState, ControlId, ControlReply, ControlRequest, Output};
use crate::load::listed;
use crate::record::Record;
use crate::settle;
use billing::ledger::{Book, Payment, Posting, PostingKind, Transfer};
use vocab::{AccountId, CallId, EndReason, EndedBy, Money, Now, Seq};

impl Switch {
    pub(crate) fn on_control(&mut self, now: Now, id: ControlId, request: ControlRequest) {
        let reply = match request {
            ControlRequest::Pay { account, kind, amount, by, note, key } => {
                let payment = Payment { account, kind, amount, at: now.utc, by, note, key };
                return self.pay(id, Movement::Payment(payment));
            }
            ControlRequest::Transfer { from, to, amount, by, note, key } => {
                let transfer = Transfer { from, to, amount, at: now.utc, by, note, key };
                return self.pay(id, Movement::Transfer(transfer));
            }
            ControlRequest::Disconnect { call, by, reason } => self.disconnect(now, call, &by, &reason),
            ControlRequest::Simulate { gateway, caller, called } => {
                match self.simulate(now, gateway, &caller, &called) {
                    Ok(simulation) => ControlReply::Simulated(Box::new(simulation)),
                    Err(words) => ControlReply::Refused(words),
                }
            }
            ControlRequest::Balances(accounts) => ControlReply::Balances(self.account_states(accounts)),
            ControlRequest::GatewayLoad => ControlReply::GatewayLoad {
                mapping: listed(&mut self.meters.mapping, now.tick),
                routing: listed(&mut self.meters.routing, now.tick),
                vendors: self.vendors.states(now),
                groups: listed(&mut self.meters.groups, now.tick),
            },
            ControlRequest::BlackList => ControlReply::BlackList(self.watch.bars(now.tick)),
            ControlRequest::Unbar { whose, number } => match self.watch.unbar(now.tick, whose, &number) {
                true => ControlReply::Done,
                false => ControlReply::NotBarred,
            },
            ControlRequest::Registrations => ControlReply::Registrations {
                list: self.registrations(now),
                keep_alive: self.keep_alive.counters,
            },
            ControlRequest::Unregister(who) => match self.unregister(id, who) {
                Some(reply) => reply,
                None => return,
            },
            ControlRequest::UnregisterEverywhere => {
                self.unregister_everywhere(now);
                ControlReply::Done
            }
            ControlRequest::ResendLive => {
                let mut ids: Vec<CallId> = self.calls.keys().copied().collect();
                ids.sort_unstable();
                ids.into_iter().for_each(|id| self.with_call(now, id, |switch, call| switch.show(call)));
                ControlReply::Done
            }
            ControlRequest::Describe(call) => match self.calls.get(&call) {
                Some(call) => ControlReply::Described(Box::new(settle::draft(now, call))),
                None => ControlReply::NoSuchCall,
            },
            ControlRequest::Drain => return self.drain(id),
            ControlRequest::HangUpAll => {
                self.hang_up_all(now);
                return self.drain(id);
            }
        };
        self.emit(Output::Reply { id, reply });
    }

    /// Posts what a person did; the reply waits for the disk. A key seen before gives the same posting again (`BIL-3`).
    fn pay(&mut self, id: ControlId, movement: Movement) {
        if let Some((seq, posting)) = movement.key().and_then(|key| self.keys.get(key)).cloned() {
            let reply = match movement.made(&posting) {
                true => ControlReply::Paid { seq, posting, repeated: true },
                false => ControlReply::Refused("the idempotency key was used for another payment".to_owned()),
            };
            return match seq > self.journaled && matches!(reply, ControlReply::Paid { .. }) {
                // The first request is still on its way to the disk; its record carries both replies.
                true => self.also_waiting(seq, id, reply),
                false => self.emit(Output::Reply { id, reply }),
            };
        }
        if self.journal_stopped {
            let words = "records cannot be written to disk".to_owned();
            return self.emit(Output::Reply { id, reply: ControlReply::Refused(words) });
        }
        let posting = match movement {
            Movement::Payment(payment) => self.ledger.pay(payment),
            Movement::Transfer(transfer) => self.ledger.transfer(transfer),
        };
        let posting = match posting {
            Ok(posting) => posting,
            Err(error) => {
                return self.emit(Output::Reply { id, reply: ControlReply::Refused(error.to_string()) });
            }
        };
        let seq = Seq(self.seq.0 + 1);
        if let Some(key) = posting.key.clone() {
            self.keys.insert(key, (seq, posting.clone()));
        }
        let reply = ControlReply::Paid { seq, posting: posting.clone(), repeated: false };
        self.journal(Record::Posted(posting), Some(Waiting::Reply(id, reply)));
    }

    fn disconnect(&mut self, now: Now, call: CallId, by: &str, reason: &str) -> ControlReply {
        if self.calls.get(&call).is_none_or(|c| c.ended()) {
            return ControlReply::NoSuchCall;
        }
        let text = if reason.is_empty() { by.to_owned() } else { format!("{by}: {reason}") };
        self.with_call(now, call, |switch, call| {
            let mut end = switch.ending(now, EndReason::KilledByOperator, EndedBy::Switch);
            end.sip_code = 480;
            end.text = Some(text);
            switch.end_call(now, call, end);
        });
        ControlReply::Disconnecting
    }

    fn account_states(&self, wanted: Vec<AccountId>) -> Vec<AccountState> {
        let all = || self.snapshot.accounts.keys().copied().collect();
        let ids = if wanted.is_empty() { all() } else { wanted };
        let income = |agent| {
            let currency = self.snapshot.accounts.get(&agent).map(|account| account.terms.currency);
            currency.map_or(Money::ZERO, |currency| self.ledger.balance(Book::Income { agent, currency }))
        };
        let state = |account| AccountState {
            account,
            balance: self.ledger.balance(Book::Account(account)),
            reserved: self.ledger.reserved(account),
            available: self.ledger.available(account),
            income: income(account),
            calls: self.meters.account(account).calls,
        };
        ids.into_iter().map(state).collect()
    }

    fn drain(&mut self, id: ControlId) {
        self.draining = true;
        self.drain_waiters.push(id);
        if self.calls.is_empty() {
            self.reply_drained();
        }
    }

    pub(crate) fn reply_drained(&mut self) {
        for id in std::mem::take(&mut self.drain_waiters) {
            self.emit(Output::Reply { id, reply: ControlReply::Done });
        }
    }

    fn hang_up_all(&mut self, now: Now) {
        let mut ids: Vec<CallId> = self.calls.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.with_call(now, id, |switch, call| {
                let end = switch.ending(now, EndReason::ShuttingDown, EndedBy::Switch);
                switch.end_call(now, call, end);
            });
        }
    }
}

/// What a person moves.
enum Movement {
    Payment(Payment),
    Transfer(Transfer),
}

impl Movement {
    fn key(&self) -> Option<&String> {
        match self {
            Movement::Payment(payment) => payment.key.as_ref(),
            Movement::Transfer(transfer) => transfer.key.as_ref(),
        }
    }

    /// Is this the request that made the posting?
    fn made(&self, posting: &Posting) -> bool {
        let (kind, account, signed, other) = match self {
            Movement::Payment(payment) => {
                let out = matches!(payment.kind, PostingKind::Refund | PostingKind::Payout);
                let signed = if out { Money(-payment.amount.0) } else { payment.amount };
                (payment.kind, payment.account, signed, None)
            }
            Movement::Transfer(t) => (PostingKind::Transfer, t.from, Money(-t.amount.0), Some(t.to)),
        };
        let entry = |i: usize| posting.entries.get(i);
        let own = entry(0).is_some_and(|e| e.book == Book::Account(account) && e.amount == signed);
        let to = other.is_none_or(|to| entry(1).is_some_and(|e| e.book == Book::Account(to)));
        posting.kind == kind && own && to
    }
}
