//! The ledger by examples: what each kind of posting moves, and what is refused.

use super::*;

const ACME: AccountId = AccountId(1);
const VENDOR: AccountId = AccountId(2);
const USD: Currency = Currency::USD;

fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn terms(payment: PaymentMode, limit: Option<&str>) -> AccountTerms {
    AccountTerms { currency: USD, payment, credit_limit: limit.map(money) }
}

fn by_hand(kind: PostingKind, amount: &str) -> Payment {
    let (by, note) = ("ann".to_string(), "by bank".to_string());
    Payment { account: ACME, kind, amount: money(amount), at: Utc(1), by, note, key: None }
}

fn ledger(balance: &str) -> Ledger {
    let mut l = Ledger::default();
    l.set_account(ACME, terms(PaymentMode::Prepaid, None)).unwrap();
    l.set_account(VENDOR, terms(PaymentMode::Postpaid, None)).unwrap();
    if money(balance) != Money::ZERO {
        l.pay(by_hand(PostingKind::Opening, balance)).unwrap();
    }
    l
}

fn call(reservation: Option<ReservationId>, charge: &str, cost: &str) -> Settlement {
    Settlement {
        call: CallId(7),
        at: Utc(2),
        reservations: reservation.into_iter().collect(),
        charges: vec![(ACME, money(charge))],
        cost: Some((VENDOR, money(cost))),
    }
}

#[test]
fn what_is_available_follows_the_terms() {
    use PaymentMode::{Postpaid, Prepaid};
    for (payment, limit, balance, want) in [
        (Prepaid, None, "10", Some("10")),
        (Prepaid, None, "-1", Some("-1")),
        (Prepaid, Some("0"), "10", Some("10")),
        (Prepaid, Some("5"), "10", Some("15")),
        (Prepaid, Some("5"), "-5", Some("0")),
        (Postpaid, None, "-1000", None),
        (Postpaid, Some("0"), "0", Some("0")),
        (Postpaid, Some("100"), "-30", Some("70")),
    ] {
        let mut l = ledger(balance);
        l.set_account(ACME, terms(payment, limit)).unwrap();
        assert_eq!(l.available(ACME), want.map(money), "{payment:?} {limit:?} {balance}");
    }
    assert_eq!(ledger("0").available(AccountId(99)), Some(Money::ZERO));
}

#[test]
fn a_call_from_reservation_to_settlement() {
    let mut l = ledger("10");
    let r = l.reserve(ACME, money("1")).unwrap();
    l.extend(r, money("4")).unwrap();
    assert_eq!((l.reserved(ACME), l.reservations(ACME), l.held_by(r)), (money("4"), 1, money("4")));
    assert_eq!(l.extend(r, money("10.01")), Err(LedgerError::NotEnough { available: money("6") }));
    assert_eq!(l.reserve(ACME, money("6.00000001")), Err(LedgerError::NotEnough { available: money("6") }));

    let postings = l.settle(&call(Some(r), "3.5", "2")).unwrap();
    let entry = |book, amount, after| Entry { book, amount: money(amount), balance_after: money(after) };
    assert_eq!(postings.len(), 2);
    assert_eq!(postings[0].kind, PostingKind::CallCharge);
    assert_eq!(
        postings[0].entries,
        [entry(Book::Account(ACME), "-3.5", "6.5"), entry(Book::Revenue(USD), "3.5", "3.5")]
    );
    assert_eq!(
        postings[1].entries,
        [entry(Book::Account(VENDOR), "2", "2"), entry(Book::Cost(USD), "-2", "-2")]
    );
    assert!(postings.iter().all(|p| p.is_balanced() && p.currency == USD));
    assert_eq!((l.available(ACME), l.open_reservations()), (Some(money("6.5")), 0));
    assert!(l.sum_is_zero());
    assert_eq!((l.release(r), l.held_by(r)), (Err(LedgerError::UnknownReservation), Money::ZERO));
    assert_eq!(l.settle(&call(Some(r), "1", "1")), Err(LedgerError::UnknownReservation));
    assert_eq!(l.balance(Book::Account(ACME)), money("6.5"));
}

#[test]
fn free_calls_leave_no_posting() {
    let mut l = ledger("0");
    let r = l.reserve(ACME, Money::ZERO).unwrap();
    assert_eq!(l.settle(&call(Some(r), "0", "0")), Ok(vec![]));
    assert_eq!(l.open_reservations(), 0);
}

#[test]
fn a_charge_is_posted_though_the_money_has_gone() {
    let mut l = ledger("1");
    let r = l.reserve(ACME, money("1")).unwrap();
    assert_eq!(l.settle(&call(Some(r), "3", "1")).map(|p| p.len()), Ok(2));
    assert_eq!(l.available(ACME), Some(money("-2")));
    assert_eq!(
        l.reserve(ACME, Money::ZERO),
        Err(LedgerError::NotEnough { available: money("-2") }),
        "over its limit: locked by balance"
    );
    l.pay(by_hand(PostingKind::Payment, "2")).unwrap();
    assert!(l.reserve(ACME, Money::ZERO).is_ok(), "a payment opens it again");
}

#[test]
fn payments() {
    use LedgerError::{NotByHand, NotEnough, NotPositive, TooLarge, Zero};
    use PostingKind::{CallCharge, CallCost, Correction, Credit, Opening, Payment, Payout, Refund};
    let not_enough = NotEnough { available: money("6") };
    for (kind, amount, want) in [
        (Opening, "5", Ok(("15", Book::Cash(USD)))),
        (Opening, "-5", Ok(("5", Book::Cash(USD)))),
        (Opening, "0", Err(Zero)),
        (Payment, "2.5", Ok(("12.5", Book::Cash(USD)))),
        (Payment, "0", Err(NotPositive)),
        (Payment, "-1", Err(NotPositive)),
        (Payment, "99999999999999999980", Ok(("99999999999999999990", Book::Cash(USD)))),
        (Refund, "6", Ok(("4", Book::Cash(USD)))),
        (Refund, "6.01", Err(not_enough)),
        (Refund, "-1", Err(NotPositive)),
        (Credit, "2", Ok(("12", Book::Revenue(USD)))),
        (Credit, "-2", Err(NotPositive)),
        (Payout, "30", Ok(("-20", Book::Cash(USD)))),
        (Payout, "0", Err(NotPositive)),
        (Correction, "1", Ok(("11", Book::Revenue(USD)))),
        (Correction, "-20", Ok(("-10", Book::Revenue(USD)))),
        (Correction, "0", Err(Zero)),
        (CallCharge, "1", Err(NotByHand(CallCharge))),
        (CallCost, "1", Err(NotByHand(CallCost))),
    ] {
        let mut l = ledger("10");
        l.reserve(ACME, money("4")).unwrap();
        let posting = l.pay(by_hand(kind, amount));
        match want {
            Ok((balance, counterpart)) => {
                let posting = posting.unwrap();
                assert!(posting.is_balanced(), "{kind:?} {amount}");
                assert_eq!(posting.entries[0].balance_after, l.balance(Book::Account(ACME)));
                assert_eq!(posting.entries[1].book, counterpart, "{kind:?} {amount}");
                assert_eq!(l.balance(Book::Account(ACME)), money(balance), "{kind:?} {amount}");
            }
            Err(e) => {
                assert_eq!(posting, Err(e), "{kind:?} {amount}");
                assert_eq!(l.balance(Book::Account(ACME)), money("10"));
            }
        }
        assert!(l.sum_is_zero());
    }
    let too_large = super::Payment { amount: Money(i128::MIN), ..by_hand(Correction, "1") };
    assert_eq!(ledger("0").pay(too_large), Err(TooLarge));
    let unknown = super::Payment { account: AccountId(99), ..by_hand(Payment, "1") };
    assert_eq!(ledger("0").pay(unknown), Err(LedgerError::UnknownAccount(AccountId(99))));
}

#[test]
fn settling_is_all_or_nothing() {
    let mut l = ledger("10");
    let r = l.reserve(ACME, money("1")).unwrap();
    let before = l.clone();
    let unknown = AccountId(99);
    let good = call(Some(r), "1", "1");
    for (bad, want) in [
        (
            Settlement { cost: Some((unknown, money("1"))), ..good.clone() },
            LedgerError::UnknownAccount(unknown),
        ),
        (Settlement { cost: Some((VENDOR, Money(i128::MAX))), ..good.clone() }, LedgerError::TooLarge),
        (Settlement { cost: Some((VENDOR, money("-1"))), ..good.clone() }, LedgerError::NotPositive),
        (Settlement { charges: vec![(VENDOR, money("1"))], ..good.clone() }, LedgerError::WrongAccount),
        (
            Settlement { charges: vec![(ACME, money("1")), (unknown, money("1"))], ..good.clone() },
            LedgerError::UnknownAccount(unknown),
        ),
        (Settlement { reservations: vec![r, r], ..good.clone() }, LedgerError::WrongAccount),
    ] {
        assert_eq!(l.settle(&bad), Err(want));
        assert!(l.balances().eq(before.balances()), "{want:?}");
        assert_eq!(l.reserved(ACME), money("1"));
    }
    assert!(l.settle(&good).is_ok());
}

#[test]
fn each_level_pays_the_next_one_above() {
    let (near, top) = (AccountId(3), AccountId(4));
    let mut l = ledger("10");
    for (agent, payment) in [(near, PaymentMode::Prepaid), (top, PaymentMode::Postpaid)] {
        l.set_account(agent, terms(payment, None)).unwrap();
    }
    l.pay(Payment { account: near, ..by_hand(PostingKind::Payment, "5") }).unwrap();
    let held = [l.reserve(ACME, money("3")).unwrap(), l.reserve(near, money("2")).unwrap()];
    let settlement = Settlement {
        reservations: held.to_vec(),
        charges: vec![(ACME, money("3")), (near, money("2")), (top, money("1.5"))],
        ..call(None, "0", "1")
    };
    let postings = l.settle(&settlement).unwrap();
    use PostingKind::{AgentCharge, CallCharge, CallCost};
    let kinds: Vec<_> = postings.iter().map(|p| p.kind).collect();
    assert_eq!(kinds, [CallCharge, AgentCharge, AgentCharge, CallCost]);
    let income = |agent| Book::Income { agent, currency: USD };
    for (book, balance) in [
        (Book::Account(ACME), "7"),
        (income(near), "3"),
        (Book::Account(near), "3"),
        (income(top), "2"),
        (Book::Account(top), "-1.5"),
        (Book::Revenue(USD), "1.5"),
    ] {
        assert_eq!(l.balance(book), money(balance), "{book:?}");
    }
    assert!(l.sum_is_zero() && l.open_reservations() == 0);
}

#[test]
fn transfers() {
    let transfer = |from, to, amount: &str| Transfer {
        from,
        to,
        amount: money(amount),
        at: Utc(1),
        by: "ann".into(),
        note: String::new(),
        key: None,
    };
    let mut l = ledger("10");
    l.reserve(ACME, money("4")).unwrap();
    let eur = AccountTerms { currency: Currency::parse("EUR").unwrap(), ..terms(PaymentMode::Prepaid, None) };
    l.set_account(AccountId(5), eur).unwrap();
    for (bad, want) in [
        (transfer(ACME, ACME, "1"), LedgerError::SameAccount),
        (transfer(ACME, VENDOR, "0"), LedgerError::NotPositive),
        (transfer(ACME, VENDOR, "-1"), LedgerError::NotPositive),
        (transfer(ACME, VENDOR, "6.01"), LedgerError::NotEnough { available: money("6") }),
        (transfer(ACME, AccountId(9), "1"), LedgerError::UnknownAccount(AccountId(9))),
        (transfer(AccountId(9), ACME, "1"), LedgerError::UnknownAccount(AccountId(9))),
        (transfer(ACME, AccountId(5), "1"), LedgerError::OtherCurrency(USD, eur.currency)),
    ] {
        assert_eq!(l.transfer(bad), Err(want));
    }
    let posting = l.transfer(transfer(ACME, VENDOR, "6")).unwrap();
    assert_eq!((posting.entries.len(), posting.is_balanced(), posting.currency), (2, true, USD));
    assert_eq!((l.balance(Book::Account(ACME)), l.balance(Book::Account(VENDOR))), (money("4"), money("6")));
    assert!(l.sum_is_zero());
}

#[test]
fn balances_at_the_edge_do_not_wrap() {
    let mut l = ledger("0");
    l.open_balance(Book::Account(ACME), Money(i128::MAX));
    l.open_balance(Book::Cash(USD), Money(-i128::MAX));
    assert_eq!(l.pay(by_hand(PostingKind::Payment, "1")), Err(LedgerError::TooLarge));
    assert!(l.sum_is_zero());
    l.set_account(ACME, terms(PaymentMode::Prepaid, Some("10"))).unwrap();
    assert_eq!(l.available(ACME), Some(Money(i128::MAX)));
}

#[test]
fn currency_changes_only_when_unused() {
    let eur = AccountTerms { currency: Currency::parse("EUR").unwrap(), ..terms(PaymentMode::Prepaid, None) };
    let mut l = ledger("1");
    assert_eq!(l.set_account(ACME, eur), Err(LedgerError::CurrencyInUse(USD)));
    l.pay(by_hand(PostingKind::Refund, "1")).unwrap();
    let r = l.reserve(ACME, Money::ZERO).unwrap();
    assert_eq!(l.set_account(ACME, eur), Err(LedgerError::CurrencyInUse(USD)));
    l.release(r).unwrap();
    assert_eq!(l.set_account(ACME, eur), Ok(()));
    l.pay(by_hand(PostingKind::Payment, "3")).unwrap();
    assert!(l.sum_is_zero());
    assert_eq!(l.balance(Book::Cash(eur.currency)), money("-3"));
}

#[test]
fn loaded_balances_are_checked() {
    let mut l = ledger("0");
    l.open_balance(Book::Account(ACME), money("5"));
    assert!(!l.sum_is_zero());
    l.open_balance(Book::Cash(USD), money("-5"));
    assert!(l.sum_is_zero());
    l.open_balance(Book::Account(AccountId(99)), money("1"));
    assert_eq!(l.sums().get(&None), Some(&money("1")));
    assert!(!l.sum_is_zero());
}

#[test]
fn postings_round_trip_through_journal_and_json() {
    let mut l = ledger("10");
    let mut postings = l.settle(&call(None, "3.5", "2")).unwrap();
    let keyed = Payment { key: Some("k1".to_string()), ..by_hand(PostingKind::Correction, "-0.00000001") };
    postings.push(l.pay(keyed).unwrap());
    let bytes = postcard::to_stdvec(&postings).unwrap();
    assert_eq!(postcard::from_bytes::<Vec<Posting>>(&bytes).unwrap(), postings);
    let json = serde_json::to_string(&postings).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Posting>>(&json).unwrap(), postings);
    assert!(json.contains(r#"{"book":{"account":1},"amount":"-3.50","balance_after":"6.50"}"#), "{json}");
}
