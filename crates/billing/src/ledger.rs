//! The one in-memory ledger: balances, and holds on them.
//!
//! Double entry: every posting has entries that sum to zero in its currency, so the sum over all books is zero
//! at any time. A balance above zero means that the counterparty has credit with us: a customer's prepaid
//! money, or what we owe a vendor.
//!
//! A reservation holds money for a call in progress. New reservations are granted only out of what balance and
//! credit leave after all others, so any number of calls cannot reserve more than there is (`BIL-12`). Settling
//! records what has happened and is never refused for want of money.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use vocab::{AccountId, CallId, Currency, Money, MoneyError, Utc};

/// Where money is. Every book but an account's belongs to one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Book {
    /// A customer or vendor, in the currency of its terms.
    Account(AccountId),
    /// Money received (below zero) and paid out.
    Cash(Currency),
    /// What customers were charged (above zero).
    Revenue(Currency),
    /// What vendors charge us (below zero).
    Cost(Currency),
    /// What the accounts directly below an agent were charged for their calls: the agent's income (`BIL-9`).
    Income { agent: AccountId, currency: Currency },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMode {
    /// May spend what has been paid in, and its credit.
    #[default]
    Prepaid,
    /// May spend without bound unless it has a credit limit.
    Postpaid,
}

/// What the ledger must know of an account (`BIL-1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccountTerms {
    pub currency: Currency,
    pub payment: PaymentMode,
    /// How far the balance may go below zero. Not set: no bound for post-paid, nothing for prepaid.
    pub credit_limit: Option<Money>,
}

impl AccountTerms {
    /// How far below zero; `None` is no bound.
    fn credit(&self) -> Option<Money> {
        match self.payment {
            PaymentMode::Prepaid => Some(self.credit_limit.unwrap_or(Money::ZERO)),
            PaymentMode::Postpaid => self.credit_limit,
        }
    }
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostingKind {
    /// The balance that an account starts with.
    Opening,
    /// Money from the counterparty to us.
    Payment,
    /// Money from us back to a customer, as far as it is there.
    Refund,
    /// Puts right an earlier posting; either sign.
    Correction,
    /// A customer's call.
    CallCharge,
    /// The same call at the vendor's price.
    CallCost,
    /// The same call at the price of an agent above the customer.
    AgentCharge,
    /// Money given without a payment: goodwill, a bonus.
    Credit,
    /// Money from us to a vendor for its traffic, also ahead of it.
    Payout,
    /// Money from one account to another.
    Transfer,
}

/// One line of a posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub book: Book,
    pub amount: Money,
    pub balance_after: Money,
}

/// One movement of money: what is written to the journal and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    pub kind: PostingKind,
    /// Of all entries.
    pub currency: Currency,
    /// The account's entry first, then its counterpart.
    pub entries: Vec<Entry>,
    pub call: Option<CallId>,
    pub at: Utc,
    /// Who did it.
    pub by: String,
    pub note: String,
    /// Idempotency key of the request (`BIL-3`).
    pub key: Option<String>,
}

impl Posting {
    /// Do the entries sum to zero?
    pub fn is_balanced(&self) -> bool {
        let sum = self.entries.iter().try_fold(Money::ZERO, |sum, e| sum.checked_add(e.amount));
        sum == Ok(Money::ZERO)
    }
}

/// A hold on an account's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(u64);

/// Why the ledger refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerError {
    UnknownAccount(AccountId),
    /// Settled or released before.
    UnknownReservation,
    /// This much could be had.
    NotEnough {
        available: Money,
    },
    /// Amounts of this kind are above zero.
    NotPositive,
    /// Would post nothing.
    Zero,
    /// Posted by calls only.
    NotByHand(PostingKind),
    /// The account still has a balance or calls in its old currency.
    CurrencyInUse(Currency),
    /// A transfer between these.
    OtherCurrency(Currency, Currency),
    /// A transfer from an account to itself.
    SameAccount,
    /// The reservation holds another account's money.
    WrongAccount,
    TooLarge,
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerError::UnknownAccount(id) => write!(f, "there is no account {id}"),
            LedgerError::UnknownReservation => write!(f, "the reservation is settled or released already"),
            LedgerError::NotEnough { available } => write!(f, "not enough money: {available} available"),
            LedgerError::NotPositive => write!(f, "the amount must be above zero"),
            LedgerError::Zero => write!(f, "the amount is zero"),
            LedgerError::NotByHand(kind) => write!(f, "{kind:?} is posted by calls only"),
            LedgerError::CurrencyInUse(c) => {
                write!(f, "the currency cannot change while there is a balance or a call in {c}")
            }
            LedgerError::OtherCurrency(from, to) => {
                write!(f, "one account counts in {from}, the other in {to}; expected the same currency")
            }
            LedgerError::SameAccount => write!(f, "both accounts are the same"),
            LedgerError::WrongAccount => write!(f, "the reservation belongs to another account"),
            LedgerError::TooLarge => write!(f, "the amount is too large"),
        }
    }
}

impl std::error::Error for LedgerError {}

impl From<MoneyError> for LedgerError {
    fn from(_: MoneyError) -> LedgerError {
        LedgerError::TooLarge
    }
}

/// Money moved by a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub account: AccountId,
    pub kind: PostingKind,
    /// Above zero for payments, refunds, credits and payouts; the kind tells the direction. Signed for openings and corrections.
    pub amount: Money,
    pub at: Utc,
    pub by: String,
    pub note: String,
    pub key: Option<String>,
}

/// Money moved by a person from one account to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub from: AccountId,
    pub to: AccountId,
    /// Above zero.
    pub amount: Money,
    pub at: Utc,
    pub by: String,
    pub note: String,
    pub key: Option<String>,
}

/// The end of a call, in money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub call: CallId,
    pub at: Utc,
    pub reservations: Vec<ReservationId>,
    /// The customer and its charge, then the agents above it with theirs, from the nearest to the topmost.
    pub charges: Vec<(AccountId, Money)>,
    /// The vendor and its cost.
    pub cost: Option<(AccountId, Money)>,
}

/// Name under which the switch itself posts.
const BY_SWITCH: &str = "switch";

#[derive(Clone, Debug)]
struct Account {
    terms: AccountTerms,
    reserved: Money,
    reservations: u32,
}

#[derive(Clone, Copy, Debug)]
struct Reservation {
    account: AccountId,
    amount: Money,
}

/// All balances and reservations. Owned by the brain; everything is an ordinary function call.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    balances: BTreeMap<Book, Money>,
    accounts: BTreeMap<AccountId, Account>,
    reservations: BTreeMap<ReservationId, Reservation>,
    last_reservation: u64,
}

impl Ledger {
    /// Makes an account known or changes its terms. Its reservations stay.
    pub fn set_account(&mut self, id: AccountId, terms: AccountTerms) -> Result<(), LedgerError> {
        let balance = self.balance(Book::Account(id));
        let Some(account) = self.accounts.get_mut(&id) else {
            self.accounts.insert(id, Account { terms, reserved: Money::ZERO, reservations: 0 });
            return Ok(());
        };
        let in_use = balance != Money::ZERO || account.reservations > 0;
        if in_use && account.terms.currency != terms.currency {
            return Err(LedgerError::CurrencyInUse(account.terms.currency));
        }
        account.terms = terms;
        Ok(())
    }

    /// Sets a balance as it was stored, at the start.
    pub fn open_balance(&mut self, book: Book, balance: Money) {
        self.balances.insert(book, balance);
    }

    pub fn balance(&self, book: Book) -> Money {
        self.balances.get(&book).copied().unwrap_or_default()
    }

    /// All balances in order of their books.
    pub fn balances(&self) -> impl Iterator<Item = (Book, Money)> {
        self.balances.iter().map(|(book, balance)| (*book, *balance))
    }

    /// Held by calls in progress.
    pub fn reserved(&self, id: AccountId) -> Money {
        self.accounts.get(&id).map_or(Money::ZERO, |a| a.reserved)
    }

    /// Number of open reservations of an account.
    pub fn reservations(&self, id: AccountId) -> u32 {
        self.accounts.get(&id).map_or(0, |a| a.reservations)
    }

    /// Number of open reservations of all accounts.
    pub fn open_reservations(&self) -> usize {
        self.reservations.len()
    }

    /// What one reservation holds; nothing once it is settled or released.
    pub fn held_by(&self, reservation: ReservationId) -> Money {
        self.reservations.get(&reservation).map_or(Money::ZERO, |r| r.amount)
    }

    /// What may still be reserved; `None` is no bound. An unknown account has nothing.
    pub fn available(&self, id: AccountId) -> Option<Money> {
        let Some(account) = self.accounts.get(&id) else { return Some(Money::ZERO) };
        let credit = account.terms.credit()?;
        let balance = self.balance(Book::Account(id));
        Some(Money(balance.0.saturating_add(credit.0).saturating_sub(account.reserved.0)))
    }

    /// Holds money for a call. Zero can be held too, but not by an account that is over its limit.
    pub fn reserve(&mut self, id: AccountId, amount: Money) -> Result<ReservationId, LedgerError> {
        if amount.is_negative() {
            return Err(LedgerError::NotPositive);
        }
        self.check_available(id, amount)?;
        let account = self.accounts.get_mut(&id).ok_or(LedgerError::UnknownAccount(id))?;
        account.reserved = account.reserved.checked_add(amount)?;
        account.reservations += 1;
        self.last_reservation += 1;
        let reservation = ReservationId(self.last_reservation);
        self.reservations.insert(reservation, Reservation { account: id, amount });
        Ok(reservation)
    }

    /// Changes what a reservation holds in total. More is granted only out of what is available.
    pub fn extend(&mut self, reservation: ReservationId, to_amount: Money) -> Result<(), LedgerError> {
        if to_amount.is_negative() {
            return Err(LedgerError::NotPositive);
        }
        let held = self.held(reservation)?;
        let more = to_amount.checked_sub(held.amount)?;
        if more > Money::ZERO {
            self.check_available(held.account, more)?;
        }
        let account =
            self.accounts.get_mut(&held.account).ok_or(LedgerError::UnknownAccount(held.account))?;
        account.reserved = account.reserved.checked_add(more)?;
        self.reservations.insert(reservation, Reservation { amount: to_amount, ..held });
        Ok(())
    }

    /// Gives a reservation back unused; what it held.
    pub fn release(&mut self, reservation: ReservationId) -> Result<Money, LedgerError> {
        let held = self.held(reservation)?;
        self.reservations.remove(&reservation);
        if let Some(account) = self.accounts.get_mut(&held.account) {
            account.reserved = account.reserved.checked_sub(held.amount)?;
            account.reservations -= 1;
        }
        Ok(held.amount)
    }

    /// Charges a call on every level, books its cost, and gives back what was reserved for it. Amounts of zero leave no
    /// posting. What one level pays is the income of the next one above, and of the topmost our revenue. On error
    /// nothing has changed and the reservations are still open.
    pub fn settle(&mut self, call: &Settlement) -> Result<Vec<Posting>, LedgerError> {
        for (i, reservation) in call.reservations.iter().enumerate() {
            let held = self.held(*reservation)?;
            let charged = call.charges.iter().any(|(account, _)| *account == held.account);
            if !charged || call.reservations.iter().take(i).any(|before| before == reservation) {
                return Err(LedgerError::WrongAccount);
            }
        }
        let mut draft = Draft::new(self);
        let mut postings = Vec::new();
        let mut post = |kind, account, amount: Money, sign: i128, counterpart: Option<AccountId>| {
            if amount.is_negative() {
                return Err(LedgerError::NotPositive);
            }
            if amount == Money::ZERO {
                return Ok(());
            }
            let currency = draft.currency(account)?;
            let book = match (kind, counterpart) {
                (PostingKind::CallCost, _) => Book::Cost(currency),
                (_, Some(agent)) => Book::Income { agent, currency },
                (_, None) => Book::Revenue(currency),
            };
            let entries = draft.entries(account, Money(amount.0.saturating_mul(sign)), book)?;
            let (by, note) = (BY_SWITCH.to_string(), String::new());
            let (call, at) = (Some(call.call), call.at);
            postings.push(Posting { kind, currency, entries, call, at, by, note, key: None });
            Ok(())
        };
        for (level, (account, amount)) in call.charges.iter().enumerate() {
            let kind = if level == 0 { PostingKind::CallCharge } else { PostingKind::AgentCharge };
            let above = call.charges.get(level + 1).map(|(agent, _)| *agent);
            post(kind, *account, *amount, -1, above)?;
        }
        if let Some((vendor, amount)) = call.cost.filter(|(_, amount)| *amount != Money::ZERO) {
            post(PostingKind::CallCost, vendor, amount, 1, None)?;
        }
        let balances = draft.balances;
        self.balances.extend(balances);
        for reservation in &call.reservations {
            self.release(*reservation)?;
        }
        Ok(postings)
    }

    /// Posts what a person did: opening, payment, refund, credit or correction. A refund needs the money to be there
    /// and not held by calls; a correction states a fact and may take the account below its limit.
    pub fn pay(&mut self, payment: Payment) -> Result<Posting, LedgerError> {
        let Payment { account, kind, amount, at, by, note, key } = payment;
        use PostingKind::{
            AgentCharge, CallCharge, CallCost, Correction, Credit, Opening, Payout, Refund, Transfer,
        };
        match kind {
            Opening | Correction if amount == Money::ZERO => return Err(LedgerError::Zero),
            PostingKind::Payment | Refund | Credit | Payout if amount <= Money::ZERO => {
                return Err(LedgerError::NotPositive);
            }
            CallCharge | CallCost | AgentCharge | Transfer => return Err(LedgerError::NotByHand(kind)),
            Refund => self.check_available(account, amount)?,
            Opening | PostingKind::Payment | Correction | Credit | Payout => (),
        }
        let mut draft = Draft::new(self);
        let currency = draft.currency(account)?;
        let (amount, counterpart) = match kind {
            Refund | Payout => (amount.checked_neg()?, Book::Cash(currency)),
            Correction | Credit => (amount, Book::Revenue(currency)),
            _ => (amount, Book::Cash(currency)),
        };
        let entries = draft.entries(account, amount, counterpart)?;
        let balances = draft.balances;
        self.balances.extend(balances);
        Ok(Posting { kind, currency, entries, call: None, at, by, note, key })
    }

    /// Moves money from one account to another, which counts in the same currency. The money must be there, and not be
    /// held by calls.
    pub fn transfer(&mut self, transfer: Transfer) -> Result<Posting, LedgerError> {
        let Transfer { from, to, amount, at, by, note, key } = transfer;
        if from == to {
            return Err(LedgerError::SameAccount);
        }
        if amount <= Money::ZERO {
            return Err(LedgerError::NotPositive);
        }
        let mut draft = Draft::new(self);
        let (currency, other) = (draft.currency(from)?, draft.currency(to)?);
        if currency != other {
            return Err(LedgerError::OtherCurrency(currency, other));
        }
        self.check_available(from, amount)?;
        let entries = draft.entries(from, amount.checked_neg()?, Book::Account(to))?;
        let balances = draft.balances;
        self.balances.extend(balances);
        Ok(Posting { kind: PostingKind::Transfer, currency, entries, call: None, at, by, note, key })
    }

    /// Sum of all books by currency; `None` holds accounts whose terms are not known.
    pub fn sums(&self) -> BTreeMap<Option<Currency>, Money> {
        let mut sums = BTreeMap::new();
        for (book, balance) in &self.balances {
            let currency = match book {
                Book::Account(id) => self.accounts.get(id).map(|a| a.terms.currency),
                Book::Cash(c) | Book::Revenue(c) | Book::Cost(c) | Book::Income { currency: c, .. } => {
                    Some(*c)
                }
            };
            let sum: &mut Money = sums.entry(currency).or_default();
            sum.0 = sum.0.saturating_add(balance.0);
        }
        sums
    }

    /// Double entry holds: every currency sums to zero.
    pub fn sum_is_zero(&self) -> bool {
        self.sums().values().all(|sum| *sum == Money::ZERO)
    }

    fn held(&self, reservation: ReservationId) -> Result<Reservation, LedgerError> {
        self.reservations.get(&reservation).copied().ok_or(LedgerError::UnknownReservation)
    }

    fn check_available(&self, id: AccountId, amount: Money) -> Result<(), LedgerError> {
        if !self.accounts.contains_key(&id) {
            return Err(LedgerError::UnknownAccount(id));
        }
        match self.available(id) {
            Some(available) if amount > available => Err(LedgerError::NotEnough { available }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Balances as they will be, so that postings of one call succeed or fail together.
struct Draft<'a> {
    ledger: &'a Ledger,
    balances: BTreeMap<Book, Money>,
}

impl Draft<'_> {
    fn new(ledger: &Ledger) -> Draft<'_> {
        Draft { ledger, balances: BTreeMap::new() }
    }

    fn currency(&self, id: AccountId) -> Result<Currency, LedgerError> {
        let account = self.ledger.accounts.get(&id).ok_or(LedgerError::UnknownAccount(id))?;
        Ok(account.terms.currency)
    }

    /// The account's entry and its counterpart.
    fn entries(
        &mut self,
        id: AccountId,
        amount: Money,
        counterpart: Book,
    ) -> Result<Vec<Entry>, LedgerError> {
        if amount.0.unsigned_abs() > Money::LIMIT.0.unsigned_abs() {
            return Err(LedgerError::TooLarge);
        }
        Ok(vec![self.entry(Book::Account(id), amount)?, self.entry(counterpart, amount.checked_neg()?)?])
    }

    fn entry(&mut self, book: Book, amount: Money) -> Result<Entry, LedgerError> {
        let before = self.balances.get(&book).copied().unwrap_or_else(|| self.ledger.balance(book));
        let balance_after = before.checked_add(amount)?;
        self.balances.insert(book, balance_after);
        Ok(Entry { book, amount, balance_after })
    }
}

#[cfg(test)]
mod tests;
