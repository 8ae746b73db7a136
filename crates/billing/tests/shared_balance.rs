//! Many calls on one balance: nobody spends what is not there, and all end together.

// The lint exempts test functions only, not the functions that they share.
#![allow(clippy::unwrap_used)]

use billing::credit::{self, Credit};
use billing::ledger::{Payment, Settlement};
use billing::{
    AccountTerms, Book, Ledger, LedgerError, PaymentMode, PostingKind, Rate, ReservationId, Rounding,
    billed_seconds, charge,
};
use std::collections::BTreeMap;
use std::time::Duration;
use vocab::{AccountId, CallId, Currency, Money, Price, Random, Utc};

const ACME: AccountId = AccountId(1);
const VENDOR: AccountId = AccountId(2);

fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn rate(per_minute: &str, first_period_s: u32, cycle_s: u32) -> Rate {
    Rate {
        area: "".into(),
        price_per_minute: Price::parse(per_minute).unwrap(),
        first_period_s,
        first_period_price: None,
        cycle_s,
        connection_fee: Money::ZERO,
        minimum_charge: Money::ZERO,
        free_seconds: 0,
        locked: false,
        level: None,
        sections: [].into(),
    }
}

fn payment(account: AccountId, kind: PostingKind, amount: Money) -> Payment {
    Payment { account, kind, amount, at: Utc(0), by: String::new(), note: String::new(), key: None }
}

fn ledger(balance: Money) -> Ledger {
    let mut l = Ledger::default();
    let terms = AccountTerms { currency: Currency::USD, payment: PaymentMode::Prepaid, credit_limit: None };
    l.set_account(ACME, terms).unwrap();
    l.set_account(VENDOR, AccountTerms { payment: PaymentMode::Postpaid, ..terms }).unwrap();
    l.pay(payment(ACME, PostingKind::Payment, balance)).unwrap();
    l
}

#[test]
fn a_balance_for_ten_first_units_carries_ten_calls() {
    for (first_period_s, cycle_s, balance) in
        [(60, 60, "0.30"), (60, 6, "0.30"), (1, 1, "0.005"), (60, 60, "0.3299")]
    {
        let rate = rate("0.03", first_period_s, cycle_s);
        let mut l = ledger(money(balance));
        let placed = (0..1000)
            .filter(|_| match credit::first(&rate, &Rounding::default(), 0, l.available(ACME)) {
                Credit::Until { amount, .. } => l.reserve(ACME, amount).is_ok(),
                Credit::Exhausted => false,
                Credit::Unlimited => panic!("prepaid"),
            })
            .count();
        assert_eq!((placed, l.reservations(ACME)), (10, 10), "{first_period_s}/{cycle_s} {balance}");
    }
}

/// Reservations that do not ask the policy first are refused by the ledger itself.
#[test]
fn a_race_cannot_overdraw() {
    let mut l = ledger(money("10"));
    let granted: Vec<_> = (0..1000).filter_map(|_| l.reserve(ACME, money("1")).ok()).collect();
    assert_eq!(granted.len(), 10);
    assert_eq!(l.available(ACME), Some(Money::ZERO));
}

/// One call of the simulation.
struct Running {
    rate: usize,
    reservation: ReservationId,
    start_us: u64,
    reserved_s: u64,
    /// When the other side hangs up, if it does.
    hangup_us: Option<u64>,
}

struct Outcome {
    /// Moments at which calls were cut.
    cuts_us: Vec<u64>,
    charged: Money,
    left: Money,
}

/// Time passes in events: a call starts, its reserved time runs out, or it is hung up.
fn simulate(seed: u64, rates: &[Rate], rounding: &Rounding, balance: Money, hangups: bool) -> Outcome {
    const CALLS: u64 = 200;
    let mut r = Random::from_number(seed);
    let mut l = ledger(balance);
    let mut events: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut running: BTreeMap<u64, Running> = BTreeMap::new();
    let mut order = 0;
    let mut schedule = |events: &mut BTreeMap<(u64, u64), u64>, at: u64, call: u64| {
        order += 1;
        events.insert((at, order), call);
    };
    for call in 0..CALLS {
        schedule(&mut events, r.below(5_000_000), call);
    }
    let mut outcome = Outcome { cuts_us: Vec::new(), charged: Money::ZERO, left: Money::ZERO };
    while let Some(((now, _), call)) = events.pop_first() {
        let available = l.available(ACME);
        assert!(available.is_some_and(|a| !a.is_negative()), "over the limit at {now}");
        let Some(c) = running.get_mut(&call) else {
            let rate = usize::try_from(r.below(rates.len() as u64)).unwrap();
            let Credit::Until { talk_s, amount } = credit::first(&rates[rate], rounding, 0, available) else {
                panic!("the balance pays for all to start");
            };
            let reservation = l.reserve(ACME, amount).unwrap();
            let hangup_us = (hangups && r.below(3) == 0).then(|| now + r.below(60_000_000));
            let end = now + talk_s * 1_000_000;
            running.insert(call, Running { rate, reservation, start_us: now, reserved_s: talk_s, hangup_us });
            schedule(&mut events, hangup_us.map_or(end, |h| h.min(end)), call);
            continue;
        };
        let rate = &rates[c.rate];
        let mut cut = false;
        if c.hangup_us != Some(now) {
            match credit::more(rate, rounding, c.reserved_s, available, l.reservations(ACME)) {
                Credit::Until { talk_s, amount } => {
                    assert!(talk_s > c.reserved_s);
                    l.extend(c.reservation, amount).unwrap();
                    c.reserved_s = talk_s;
                    let end = c.start_us + talk_s * 1_000_000;
                    schedule(&mut events, c.hangup_us.map_or(end, |h| h.min(end)), call);
                    continue;
                }
                Credit::Exhausted => cut = true,
                Credit::Unlimited => panic!("prepaid"),
            }
        }
        let seconds = billed_seconds(Duration::from_micros(now - c.start_us), rounding);
        let fee = charge(rate, seconds, rounding).unwrap().amount;
        let settlement = Settlement {
            call: CallId(call),
            at: Utc(i64::try_from(now).unwrap()),
            reservations: vec![c.reservation],
            charges: vec![(ACME, fee)],
            cost: None,
        };
        l.settle(&settlement).unwrap();
        outcome.charged = outcome.charged.checked_add(fee).unwrap();
        running.remove(&call);
        if cut {
            outcome.cuts_us.push(now);
        }
    }
    assert_eq!((l.open_reservations(), l.reserved(ACME)), (0, Money::ZERO));
    assert!(l.sum_is_zero());
    outcome.left = l.balance(Book::Account(ACME));
    assert_eq!(outcome.charged.checked_add(outcome.left), Ok(balance));
    outcome
}

/// name, rates (price, first period, cycle), balance, fee precision, hang-ups, most seconds between first and
/// last cut, most that may be left.
type Scenario =
    (&'static str, &'static [(&'static str, u32, u32)], &'static str, u32, bool, u64, &'static str);

const SCENARIOS: &[Scenario] = &[
    // A second of one call costs 0.001: 200 calls for a minute cost 12.
    ("1/1", &[("0.06", 1, 1)], "12", 4, false, 1, "0.0009"),
    ("1/1 with hang-ups", &[("0.06", 1, 1)], "12", 4, true, 1, "0.0009"),
    ("1/1 with fractions", &[("0.0517", 1, 1)], "9.99", 8, false, 1, "0.0009"),
    ("1/1 coarse fees", &[("0.06", 1, 1)], "12", 2, false, 11, "0.0099"),
    // Shares are of money, so a call at a fifth of the price may run a little longer on its last one.
    ("cheap and dear", &[("0.06", 1, 1), ("0.3", 1, 1)], "36", 4, false, 4, "0.0009"),
    ("cheap and dear with hang-ups", &[("0.06", 1, 1), ("0.3", 1, 1)], "36", 4, true, 4, "0.0009"),
    ("6/6", &[("0.06", 6, 6)], "12.3457", 4, false, 6, "0.0059"),
    ("60/6", &[("0.06", 60, 6)], "23.4567", 4, false, 6, "0.0059"),
    ("60/60", &[("0.06", 60, 60)], "31.4159", 4, false, 60, "0.0599"),
];

#[test]
fn calls_on_one_balance_end_together() {
    for (name, rates, balance, fee_precision, hangups, spread_s, most_left) in SCENARIOS {
        let rates: Vec<Rate> = rates.iter().map(|(p, first, cycle)| rate(p, *first, *cycle)).collect();
        let rounding = Rounding { fee_precision: *fee_precision, ..Rounding::default() };
        for seed in 0..20 {
            let outcome = simulate(seed, &rates, &rounding, money(balance), *hangups);
            let first = outcome.cuts_us.iter().min().unwrap();
            let last = outcome.cuts_us.iter().max().unwrap();
            let spread_us = last - first;
            println!(
                "{name} {seed}: {} cut within {spread_us} us, {} left",
                outcome.cuts_us.len(),
                outcome.left
            );
            assert!(spread_us <= spread_s * 1_000_000, "{name} {seed}: cut within {spread_us} µs");
            assert!(outcome.left <= money(most_left), "{name} {seed}: {} left", outcome.left);
        }
    }
}

/// A plain model of what the ledger promises, beside the ledger, over random operations.
#[test]
fn random_operations_keep_the_books() {
    for seed in 0..200 {
        let mut r = Random::from_number(seed);
        let limit = [None, Some(money("0")), Some(money("5"))][usize::try_from(seed % 3).unwrap()];
        let mut l = ledger(money("20"));
        let terms =
            AccountTerms { currency: Currency::USD, payment: PaymentMode::Prepaid, credit_limit: limit };
        l.set_account(ACME, terms).unwrap();
        let credit = limit.unwrap_or_default();
        let mut balance = money("20");
        let mut open: Vec<(ReservationId, Money)> = Vec::new();
        for step in 0..500 {
            let amount = Money(i128::from(r.below(400_000_000)));
            let spent: i128 = open.iter().map(|(_, held)| held.0).sum();
            let free = balance.0 + credit.0 - spent;
            let at = usize::try_from(r.below(open.len().max(1) as u64)).unwrap();
            match r.below(7) {
                0 => {
                    let kind = PostingKind::Payment;
                    if l.pay(payment(ACME, kind, amount)).is_ok() {
                        balance.0 += amount.0;
                    } else {
                        assert_eq!(amount, Money::ZERO);
                    }
                }
                1 => {
                    let refunded = l.pay(payment(ACME, PostingKind::Refund, amount)).is_ok();
                    assert_eq!(refunded, amount > Money::ZERO && amount.0 <= free, "{seed}/{step}");
                    balance.0 -= if refunded { amount.0 } else { 0 };
                }
                2 | 3 => {
                    let reserved = l.reserve(ACME, amount);
                    assert_eq!(reserved.is_ok(), amount.0 <= free, "{seed}/{step}");
                    open.extend(reserved.ok().map(|id| (id, amount)));
                }
                4 => {
                    let Some((id, held)) = open.get_mut(at) else { continue };
                    let extended = l.extend(*id, amount);
                    assert_eq!(extended.is_ok(), amount.0 - held.0 <= free, "{seed}/{step}");
                    *held = if extended.is_ok() { amount } else { *held };
                }
                5 if !open.is_empty() => {
                    let (id, held) = open.swap_remove(at);
                    assert_eq!(l.release(id), Ok(held));
                    assert_eq!(l.release(id), Err(LedgerError::UnknownReservation));
                }
                6 if !open.is_empty() => {
                    let (id, held) = open.swap_remove(at);
                    let fee = amount.min(held);
                    let postings = l
                        .settle(&Settlement {
                            call: CallId(step),
                            at: Utc(0),
                            reservations: vec![id],
                            charges: vec![(ACME, fee)],
                            cost: Some((VENDOR, amount)),
                        })
                        .unwrap();
                    assert!(postings.iter().all(billing::Posting::is_balanced));
                    balance.0 -= fee.0;
                }
                _ => (),
            }
            let held = open.iter().map(|(_, held)| held.0).sum();
            assert_eq!(l.balance(Book::Account(ACME)), balance, "{seed}/{step}");
            assert_eq!((l.reserved(ACME), l.open_reservations()), (Money(held), open.len()), "{seed}/{step}");
            assert!(l.available(ACME).is_some_and(|a| !a.is_negative()), "{seed}/{step}");
            assert!(l.sum_is_zero(), "{seed}/{step}");
        }
    }
}
