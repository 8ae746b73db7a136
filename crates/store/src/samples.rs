//! Records for tests: complete, so that every part of them has to survive.

use billing::ledger::{Book, Entry, Posting, PostingKind};
use cdr::{Attempt, AttemptResult, Cdr, LegRecord, MediaFigures, Named, Numbers, Priced};
use switch::Record;
use vocab::explain::{CandidateNote, RouteExplanation, Verdict};
use vocab::{
    AccountId, CallId, Currency, EndReason, EndedBy, MappingGatewayId, Money, Price, RateGroupId,
    RoutingGatewayId, Seq, Transport, Utc,
};

/// 2026-11-22T00:00:00Z in days.
pub(crate) const DAY: i64 = 20_779;

fn named<I>(id: I, name: &str) -> Named<I> {
    Named { id, name: name.into() }
}

fn priced(amount: Money, group: &str) -> Priced {
    Priced {
        rate_group: named(RateGroupId(1), group),
        prefix: "880".into(),
        area: "Bangladesh".into(),
        price_per_minute: Price::parse("0.03").unwrap_or_default(),
        first_period_s: 60,
        first_period_price: None,
        cycle_s: 6,
        connection_fee: Money::ZERO,
        minimum_charge: Money::ZERO,
        free_seconds: 0,
        level: None,
        sections: Vec::new(),
        currency: Currency::USD,
        billed_s: 61,
        charged_s: 66,
        amount,
    }
}

fn leg(call: u64, side: &str) -> LegRecord {
    LegRecord {
        call_id: format!("{call:x}@{side}.example"),
        remote: "127.0.0.1:5070".parse().ok(),
        transport: Some(Transport::Udp),
        user_agent: Some("sample 1.0".into()),
        codec: Some("PCMA".into()),
        media: MediaFigures {
            packets_in: 3050,
            bytes_in: 524_600,
            jitter_us: 120,
            ..MediaFigures::default()
        },
    }
}

/// An answered call of a minute and a second, with its attempts and its explanation.
pub(crate) fn cdr(call: u64) -> Cdr {
    let at =
        |ms: i64| Utc::from_millis(DAY * 86_400_000 + 36_000_000 + i64::try_from(call).unwrap_or(0) + ms);
    let attempt = |name: &str, result, sip_code| Attempt {
        gateway: named(RoutingGatewayId(1), name),
        account: named(AccountId(2), "vendor-a"),
        called: "8801712345678".into(),
        caller: "442070000000".into(),
        call_id: format!("{call:x}-{name}"),
        remote: "127.0.0.1:5080".parse().ok(),
        start: at(5),
        ringing: Some(at(900)),
        end: at(2000),
        result,
        sip_code,
        q850: 41,
        text: Some("Service Unavailable".into()),
    };
    let mut route = RouteExplanation::default();
    route.step("account", true, "acme is usable");
    route.step("rate", true, "880 at 0.0300");
    for verdict in [Verdict::Kept, Verdict::ConcurrencyFull { calls: 5, limit: 5 }] {
        route.candidates.push(CandidateNote {
            gateway: RoutingGatewayId(1),
            name: "vendor-a-1".into(),
            account: AccountId(2),
            prefix: "880".parse().unwrap(),
            priority: 1,
            cost_per_minute: Some(Price(200_000_000)),
            margin_per_minute: Some(Price(100_000_000)),
            verdict,
        });
    }
    Cdr {
        version: cdr::CDR_VERSION,
        call: CallId(call),
        start: at(0),
        ringing: Some(at(1000)),
        answer: Some(at(4000)),
        end: at(65_000),
        pdd_ms: Some(1000),
        talk_ms: 61_000,
        caller: Numbers { received: "+442070000000".into(), sent: Some("442070000000".into()) },
        called: Numbers { received: "8801712345678".into(), sent: Some("8801712345678".into()) },
        account: Some(named(AccountId(1), "acme")),
        mapping_gateway: Some(named(MappingGatewayId(1), "acme-pbx")),
        vendor: Some(named(AccountId(2), "vendor-a")),
        routing_gateway: Some(named(RoutingGatewayId(1), "vendor-a-1")),
        sale: Some(priced(Money(3_300_000), "retail")),
        agents: Vec::new(),
        tax: None,
        cost: Some(priced(Money(2_200_000), "vendor-a")),
        profit: Some(Money(1_100_000)),
        end_reason: EndReason::NormalRelease,
        ended_by: EndedBy::Caller,
        sip_code: 200,
        q850: 16,
        end_text: None,
        a: leg(call, "a"),
        b: leg(call, "b"),
        media_relayed: true,
        silent: Vec::new(),
        attempts: vec![
            attempt("vendor-b-1", AttemptResult::Failed(EndReason::GatewayFailure), 503),
            attempt("vendor-a-1", AttemptResult::Answered, 200),
        ],
        route,
    }
}

/// A call that nobody answered: no money.
pub(crate) fn unanswered(call: u64) -> Cdr {
    Cdr {
        answer: None,
        talk_ms: 0,
        sale: None,
        cost: None,
        profit: None,
        end_reason: EndReason::CalleeBusy,
        ended_by: EndedBy::Callee,
        sip_code: 486,
        ..cdr(call)
    }
}

/// A call on its way to a gateway.
pub(crate) fn placed(cdr: Cdr) -> Record {
    let (a, b) = (dialog("10.1.0.1:5060"), dialog("10.2.0.1:5060"));
    Record::Placed(Box::new(switch::record::Placed { cdr, a, b }))
}

fn dialog(target: &str) -> sip::LegState {
    let local = vocab::net::LocalAddresses { default_v4: "10.0.0.1".parse().ok(), ..Default::default() };
    let id = vocab::ListenerId(0);
    let listener = sip::ListenerConfig { id, transport: Transport::Udp, port: 5060, advertised: None, local };
    let intervals: std::sync::Arc<[u32]> = [500].into();
    let config = sip::Config {
        user_agent: String::new(),
        challenge: None,
        listeners: vec![listener],
        resend_intervals_ms: intervals.clone(),
    };
    let mut endpoint = sip::Endpoint::new(config, vocab::Random::from_number(1));
    let placement = vocab::leg::Placement {
        target: target.parse().expect("an address"),
        transport: Transport::Udp,
        listener: id,
        host: None,
        uri: None,
        routes: Vec::new(),
        called: "8801712345678".into(),
        to: None,
        caller: "4930123456".into(),
        caller_display: None,
        from_host: None,
        identity: Default::default(),
        session: None,
        max_forwards: 70,
        credentials: None,
        authentication_retries: 0,
        resend_intervals_ms: intervals,
        request_address: Default::default(),
        extra_headers: Vec::new(),
        session_terms: vocab::leg::SessionTerms::default(),
        cancel_timeout_ms: 1000,
    };
    let leg = endpoint.place(vocab::Now::default(), placement);
    endpoint.leg_state(leg).expect("a leg")
}

/// A ledger of the simplest kind, to make the postings that go with records.
#[derive(Default)]
pub(crate) struct Books(std::collections::BTreeMap<Book, Money>);

impl Books {
    fn entry(&mut self, book: Book, amount: Money) -> Entry {
        let balance = self.0.entry(book).or_default();
        balance.0 += amount.0;
        Entry { book, amount, balance_after: *balance }
    }

    fn posting(&mut self, kind: PostingKind, account: u32, counter: Book, amount: i128) -> Posting {
        let entries = vec![
            self.entry(Book::Account(AccountId(account)), Money(amount)),
            self.entry(counter, Money(-amount)),
        ];
        let currency = match counter {
            Book::Cash(currency) | Book::Revenue(currency) | Book::Cost(currency) => currency,
            _ => Currency::USD,
        };
        Posting {
            kind,
            currency,
            entries,
            call: None,
            at: Utc(1),
            by: "switch".into(),
            note: String::new(),
            key: None,
        }
    }

    /// With a time, in a currency.
    pub fn pay_at(&mut self, account: u32, amount: i128, currency: Currency, at: Utc) -> Record {
        let posting = self.posting(PostingKind::Payment, account, Book::Cash(currency), amount);
        Record::Posted(Posting { at, ..posting })
    }

    /// A call with any accounts and currencies.
    pub fn settle(&mut self, cdr: Cdr) -> Record {
        let mut postings = Vec::new();
        let charged = |p: &Option<Priced>| p.clone().filter(|p| p.amount != Money::ZERO);
        if let (Some(account), Some(sale)) = (&cdr.account, charged(&cdr.sale)) {
            let book = Book::Revenue(sale.currency);
            postings.push(self.posting(PostingKind::CallCharge, account.id.0, book, -sale.amount.0));
        }
        if let (Some(vendor), Some(cost)) = (&cdr.vendor, charged(&cdr.cost)) {
            let book = Book::Cost(cost.currency);
            postings.push(self.posting(PostingKind::CallCost, vendor.id.0, book, cost.amount.0));
        }
        for posting in &mut postings {
            (posting.call, posting.at) = (Some(cdr.call), cdr.end);
        }
        Record::Ended { cdr: Box::new(cdr), postings }
    }

    pub fn pay(&mut self, account: u32, amount: Money, key: &str) -> Record {
        let mut posting = self.posting(PostingKind::Payment, account, Book::Cash(Currency::USD), amount.0);
        posting.key = Some(key.into());
        posting.by = "admin".into();
        Record::Posted(posting)
    }

    pub fn end(&mut self, cdr: Cdr) -> Record {
        let mut postings = Vec::new();
        if let Some(sale) = &cdr.sale {
            postings.push(self.posting(
                PostingKind::CallCharge,
                1,
                Book::Revenue(Currency::USD),
                -sale.amount.0,
            ));
        }
        if let Some(cost) = &cdr.cost {
            postings.push(self.posting(PostingKind::CallCost, 2, Book::Cost(Currency::USD), cost.amount.0));
        }
        postings.iter_mut().for_each(|p| p.call = Some(cdr.call));
        Record::Ended { cdr: Box::new(cdr), postings }
    }

    /// Payments and ended calls, numbered from `first`.
    pub fn traffic(&mut self, first: u64, calls: u64) -> Vec<(Seq, Record)> {
        (first..first + calls)
            .map(|n| {
                let record = match n % 10 {
                    0 => self.pay(1, Money(1_000_000_000), &format!("key-{n}")),
                    1 => self.end(unanswered(n)),
                    _ => self.end(cdr(n)),
                };
                (Seq(n), record)
            })
            .collect()
    }
}
