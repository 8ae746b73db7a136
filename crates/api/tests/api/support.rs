//! A world for each test: data folder, brain, server, clock.

use api::{ApiServer, Brain, LiveBoard, Reply, Settings, ShellStatus};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use billing::ledger::{AccountTerms, Book, Ledger, Payment, Transfer};
use billing::{PaymentMode, Posting};
use cdr::{AttemptResult, Cdr, LegRecord, Named, Numbers, Priced};
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::Store;
use switch::interface::{AccountState, Load, Simulation};
use switch::live::{CallState, LiveCall, LiveLeg};
use switch::{ControlReply, ControlRequest, Record};
use tower::ServiceExt;
use vocab::explain::{CandidateNote, RouteExplanation, Verdict, Whose};
use vocab::{
    AccountId, CallId, Currency, EndReason, EndedBy, GatewayGroupId, MappingGatewayId, Money, Price,
    RateGroupId, RoutingGatewayId, Seq, Utc,
};

/// 2026-11-22T16:04:33Z, a Sunday afternoon.
pub const NOW: i64 = 1_795_363_473_000_000;

pub struct World {
    pub store: Store,
    pub brain: Arc<StandIn>,
    pub board: Arc<LiveBoard>,
    pub server: ApiServer,
    pub router: Router,
    pub password: String,
    pub token: String,
    clock: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

/// A business of one customer and one vendor, as `tandem apply` would bring it.
pub const BUSINESS: &str = r#"
[[account]]
name = "acme"
kind = "customer"
currency = "USD"
rate_group = "retail"

[[account]]
name = "vendor-a"
kind = "vendor"
currency = "USD"
rate_group = "vendor-a"

[[rate_group]]
name = "retail"
rates = [
  { prefix = "880", area = "Bangladesh", price_per_minute = "0.0300", first_period = 60, cycle = 6 },
  { prefix = "88017", area = "Bangladesh mobile", price_per_minute = "0.0360" },
  { prefix = "44", area = "United Kingdom", price_per_minute = "0.0120" },
]

[[rate_group]]
name = "vendor-a"
rates = [{ prefix = "880", price_per_minute = "0.0200" }]

[[mapping_gateway]]
name = "acme-pbx"
account = "acme"
authentication = "ip"
addresses = ["127.0.0.1"]

[[routing_gateway]]
name = "vendor-a-1"
account = "vendor-a"
address = "127.0.0.1:5080"
prefixes = ["880"]
"#;

impl World {
    /// An empty switch with its administrator.
    pub fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let brain = Arc::new(StandIn::new(store.clone()));
        let board = Arc::new(LiveBoard::new());
        let clock = Arc::new(AtomicI64::new(NOW));
        let hand = clock.clone();
        let settings = Settings {
            clock: Arc::new(move || Utc(hand.load(Ordering::SeqCst))),
            live_interval: Duration::from_millis(20),
            header_time: Duration::from_millis(500),
            ..Settings::default()
        };
        let server = ApiServer::new(store.clone(), brain.clone(), board.clone(), settings);
        let password = server.bootstrap().unwrap().unwrap();
        let token = server.create_local_token().unwrap();
        let router = server.router();
        World { store, brain, board, server, router, password, token, clock, _folder: folder }
    }

    /// With the example business.
    pub fn with_business() -> World {
        let world = World::new();
        let file = store::SourceFile { name: "business.toml".into(), text: BUSINESS.into() };
        world.store.apply(&[file], false, "test").unwrap();
        world
    }

    pub fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    pub fn now_s(&self) -> i64 {
        self.clock.load(Ordering::SeqCst) / 1_000_000
    }

    pub fn ask(&self, method: &str, path: &str) -> Ask {
        Ask {
            router: self.router.clone(),
            method: method.to_string(),
            path: format!("/api/v1{path}"),
            headers: vec![(header::AUTHORIZATION.to_string(), format!("Bearer {}", self.token))],
            body: None,
            source: "192.0.2.1:40000".parse().unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Told {
        self.ask("GET", path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Told {
        self.ask("POST", path).json(&body).send().await
    }
}

/// A request in the making.
pub struct Ask {
    router: Router,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    source: SocketAddr,
}

impl Ask {
    pub fn json(self, body: &Value) -> Ask {
        self.text(&body.to_string())
    }

    pub fn text(mut self, body: &str) -> Ask {
        self.body = Some(body.to_string());
        self.header("content-type", "application/json")
    }

    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// Without the token.
    pub fn anonymous(mut self) -> Ask {
        self.headers.retain(|(name, _)| name != "authorization");
        self
    }

    /// Below no prefix, for the console.
    pub fn at(mut self, path: &str) -> Ask {
        self.path = path.to_string();
        self
    }

    pub fn from(mut self, ip: &str) -> Ask {
        self.source = format!("{ip}:40000").parse().unwrap();
        self
    }

    pub async fn send(self) -> Told {
        let mut request =
            Request::builder().method(self.method.as_str()).uri(&self.path).header("host", "switch.test");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(self.body.map_or_else(Body::empty, Body::from)).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.source));
        let response = self.router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Told { status: parts.status, headers: parts.headers, bytes: bytes.to_vec(), json }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Told {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    pub json: Value,
}

impl Told {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Told {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    /// A problem in its form, with this field first.
    #[track_caller]
    pub fn refused(self, status: u16, field: &str) -> Told {
        let told = self.expect(status);
        assert_eq!(told.header("content-type"), "application/problem+json");
        assert_eq!(told.json["status"], status);
        assert_eq!(told.json["request_id"], told.header("x-request-id"));
        assert!(!told.json["detail"].as_str().unwrap().is_empty());
        if !field.is_empty() {
            assert_eq!(told.json["errors"][0]["field"], field, "{}", told.json);
        }
        told
    }
}

/// Plays the brain: a real ledger, loads and calls as the test wants them. What it posts goes into the store.
pub struct StandIn {
    store: Store,
    state: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    ledger: Ledger,
    keys: HashMap<String, (Seq, Posting)>,
    seq: u64,
    calls: Vec<CallId>,
    gone: bool,
    disconnected: Vec<(CallId, String, String)>,
}

impl StandIn {
    fn new(store: Store) -> StandIn {
        StandIn { store, state: Mutex::default() }
    }

    pub fn has_call(&self, call: CallId) {
        self.state.lock().unwrap().calls.push(call);
    }

    pub fn disconnected(&self) -> Vec<(CallId, String, String)> {
        self.state.lock().unwrap().disconnected.clone()
    }

    /// The brain takes no requests any more.
    pub fn stop(&self) {
        self.state.lock().unwrap().gone = true;
    }

    pub fn balance(&self, account: u32) -> Money {
        self.state.lock().unwrap().ledger.balance(Book::Account(AccountId(account)))
    }

    /// A call ended: its record goes through the journal.
    pub fn ended(&self, cdr: &Cdr) {
        let mut state = self.state.lock().unwrap();
        state.seq += 1;
        let record = Record::Ended { cdr: Box::new(cdr.clone()), postings: Vec::new() };
        self.store.applier().apply(&[(Seq(state.seq), record)]).unwrap();
    }

    fn reply(&self, request: ControlRequest) -> ControlReply {
        let mut state = self.state.lock().unwrap();
        match request {
            ControlRequest::Describe(_) => ControlReply::NoSuchCall,
            ControlRequest::Transfer { from, to, amount, by, note, key } => {
                if let Some((seq, posting)) = key.as_ref().and_then(|k| state.keys.get(k)).cloned() {
                    let own = (posting.entries[0].book, posting.entries[1].book, posting.entries[1].amount);
                    return match own == (Book::Account(from), Book::Account(to), amount) {
                        true => ControlReply::Paid { seq, posting, repeated: true },
                        false => {
                            ControlReply::Refused("the idempotency key was used for another payment".into())
                        }
                    };
                }
                for account in [from, to] {
                    let currency = self.store.config().accounts.get(account.0).unwrap().document.currency;
                    let terms = AccountTerms { currency, payment: PaymentMode::Prepaid, credit_limit: None };
                    let _ = state.ledger.set_account(account, terms);
                }
                let transfer = Transfer { from, to, amount, at: Utc(NOW), by, note, key: key.clone() };
                let posting = match state.ledger.transfer(transfer) {
                    Ok(posting) => posting,
                    Err(error) => return ControlReply::Refused(error.to_string()),
                };
                state.seq += 1;
                let seq = Seq(state.seq);
                self.store.applier().apply(&[(seq, Record::Posted(posting.clone()))]).unwrap();
                key.map(|key| state.keys.insert(key, (seq, posting.clone())));
                ControlReply::Paid { seq, posting, repeated: false }
            }
            ControlRequest::Pay { account, kind, amount, by, note, key } => {
                if let Some((seq, posting)) = key.as_ref().and_then(|k| state.keys.get(k)).cloned() {
                    let same = posting.entries[0].book == Book::Account(account)
                        && posting.entries[0].amount == amount;
                    return match same && posting.kind == kind {
                        true => ControlReply::Paid { seq, posting, repeated: true },
                        false => {
                            ControlReply::Refused("the idempotency key was used for another payment".into())
                        }
                    };
                }
                let terms = AccountTerms {
                    currency: Currency::USD,
                    payment: PaymentMode::Prepaid,
                    credit_limit: None,
                };
                let _ = state.ledger.set_account(account, terms);
                let payment = Payment { account, kind, amount, at: Utc(NOW), by, note, key: key.clone() };
                let posting = match state.ledger.pay(payment) {
                    Ok(posting) => posting,
                    Err(error) => return ControlReply::Refused(error.to_string()),
                };
                state.seq += 1;
                let seq = Seq(state.seq);
                self.store.applier().apply(&[(seq, Record::Posted(posting.clone()))]).unwrap();
                if let Some(key) = key {
                    state.keys.insert(key, (seq, posting.clone()));
                }
                ControlReply::Paid { seq, posting, repeated: false }
            }
            ControlRequest::Disconnect { call, by, reason } => match state.calls.contains(&call) {
                true => {
                    state.disconnected.push((call, by, reason));
                    ControlReply::Disconnecting
                }
                false => ControlReply::NoSuchCall,
            },
            ControlRequest::Simulate { called, .. } => match called.starts_with("880") {
                true => ControlReply::Simulated(Box::new(simulation())),
                false => ControlReply::Simulated(Box::new(Simulation {
                    failure: Some(EndReason::NoMatchingRate),
                    explanation: RouteExplanation::default(),
                    rate: None,
                    plan: Vec::new(),
                })),
            },
            ControlRequest::Balances(ids) => {
                let config = self.store.config();
                let all = config.accounts.iter().map(|a| AccountId(a.id));
                let ids: Vec<AccountId> = if ids.is_empty() { all.collect() } else { ids };
                let state = |account| AccountState {
                    account,
                    balance: state.ledger.balance(Book::Account(account)),
                    reserved: state.ledger.reserved(account),
                    available: state.ledger.available(account),
                    income: Money::ZERO,
                    calls: 0,
                };
                ControlReply::Balances(ids.into_iter().map(state).collect())
            }
            ControlRequest::GatewayLoad => {
                let load =
                    Load { calls: 3, cps: 2, attempts: 40, answered: 25, talk_ms: 250_600, resting_s: 0 };
                ControlReply::GatewayLoad {
                    mapping: vec![(MappingGatewayId(1), load)],
                    routing: vec![(RoutingGatewayId(1), load)],
                    vendors: vec![(
                        RoutingGatewayId(1),
                        switch::interface::VendorState {
                            status: 200,
                            words: "OK".into(),
                            ..Default::default()
                        },
                    )],
                    groups: vec![(GatewayGroupId(1), load)],
                }
            }
            ControlRequest::BlackList => ControlReply::BlackList(vec![bar()]),
            ControlRequest::Unbar { whose, number } => {
                let found = (whose, number) == (bar().whose, bar().number);
                if found { ControlReply::Done } else { ControlReply::NotBarred }
            }
            ControlRequest::Registrations => {
                ControlReply::Registrations { list: Vec::new(), keep_alive: Default::default() }
            }
            ControlRequest::ResendLive
            | ControlRequest::Drain
            | ControlRequest::HangUpAll
            | ControlRequest::Unregister(_)
            | ControlRequest::UnregisterEverywhere => ControlReply::Done,
        }
    }
}

fn bar() -> switch::Bar {
    switch::Bar {
        whose: Whose::Caller,
        number: "442070000001".into(),
        pattern: switch::Pattern::CallerCalls,
        since: Utc(NOW),
        left_s: 3600,
        count: 11,
        limit: 10,
        interval_s: 600,
    }
}

impl Brain for StandIn {
    fn control(&self, request: ControlRequest) -> Reply {
        let gone = self.state.lock().unwrap().gone;
        let reply = if gone { Err(api::BrainGone) } else { Ok(self.reply(request)) };
        Box::pin(std::future::ready(reply))
    }

    fn status(&self) -> ShellStatus {
        ShellStatus {
            version: "0.1.0".into(),
            started_at: Utc(NOW - 60_000_000),
            listeners: vec![api::Listener {
                transport: vocab::Transport::Udp,
                address: "0.0.0.0:5060".parse().unwrap(),
                advertised: Some("203.0.113.5".into()),
            }],
            media_ports: (10_000, 49_999),
            media_ports_used: 8,
            last_seq: Seq(1 << 60),
            applied_seq: Seq(7),
            journal_stopped: false,
            demo: true,
        }
    }
}

fn simulation() -> Simulation {
    let mut explanation = RouteExplanation::default();
    explanation.step("rate", true, "880 at 0.0300");
    let note = |name: &str, verdict| CandidateNote {
        gateway: RoutingGatewayId(1),
        name: name.into(),
        account: AccountId(2),
        prefix: "880".parse().unwrap(),
        priority: 1,
        cost_per_minute: Some(Price(200_000_000)),
        margin_per_minute: Some(Price(100_000_000)),
        verdict,
    };
    explanation.candidates = vec![
        note("vendor-a-1", Verdict::Kept),
        note("vendor-b-1", Verdict::ConcurrencyFull { calls: 200, limit: 200 }),
    ];
    Simulation {
        failure: None,
        explanation,
        rate: Some(priced(Money::ZERO)),
        plan: vec!["vendor-a-1".into()],
    }
}

pub fn priced(amount: Money) -> Priced {
    Priced {
        rate_group: Named { id: RateGroupId(1), name: "retail".into() },
        prefix: "880".into(),
        area: "Bangladesh".into(),
        price_per_minute: Price(300_000_000),
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

/// A call of acme that began at NOW less `seconds_ago`; the lower the number, the earlier.
pub fn live_call(number: u64, caller: &str, state: CallState) -> LiveCall {
    let start = Utc(NOW - 100_000_000 + i64::try_from(number).unwrap() * 1_000_000);
    LiveCall {
        call: CallId(number),
        state,
        start,
        answer: (state == CallState::Talking).then(|| Utc(start.0 + 5_000_000)),
        caller: caller.into(),
        called: "8801712345678".into(),
        account: Some("acme".into()),
        mapping_gateway: Some("acme-pbx".into()),
        routing_gateway: Some("vendor-a-1".into()),
        vendor: Some("vendor-a".into()),
        attempt: 1,
        pdd_ms: Some(1200),
        a: LiveLeg {
            call_id: format!("{number}-a").into(),
            remote: "127.0.0.1:5070".parse().ok(),
            codec: Some("PCMA".into()),
        },
        b: LiveLeg { call_id: format!("{number}-b").into(), remote: None, codec: None },
        price: Some(priced(Money::ZERO)),
        cost_per_minute: Some(Price(200_000_000)),
        reserved: Money(3_000_000),
        paid_until_s: Some(60),
        media_relayed: true,
        silent: Vec::new(),
    }
}

/// A record of a call of acme that began `number` ms after NOW and was answered for 61 s.
pub fn record(number: u64) -> Cdr {
    let at = |ms: u64| Utc(NOW + i64::try_from(number + ms).unwrap() * 1000);
    // Ids carry the time since 2020 in µs.
    let since_2020 = u64::try_from(at(0).0).unwrap() - 18_262 * 86_400_000_000;
    let leg = |side: &str| LegRecord { call_id: format!("{number}-{side}"), ..LegRecord::default() };
    Cdr {
        version: cdr::CDR_VERSION,
        call: CallId(since_2020 << 10),
        start: at(0),
        ringing: Some(at(1000)),
        answer: Some(at(4000)),
        end: at(65_000),
        pdd_ms: Some(1000),
        talk_ms: 61_000,
        caller: Numbers { received: "+442070000000".into(), sent: None },
        called: Numbers { received: "8801712345678".into(), sent: None },
        account: Some(Named { id: AccountId(1), name: "acme".into() }),
        mapping_gateway: Some(Named { id: MappingGatewayId(1), name: "acme-pbx".into() }),
        vendor: Some(Named { id: AccountId(2), name: "vendor-a".into() }),
        routing_gateway: Some(Named { id: RoutingGatewayId(1), name: "vendor-a-1".into() }),
        sale: Some(priced(Money(3_300_000))),
        agents: Vec::new(),
        tax: None,
        cost: Some(priced(Money(2_200_000))),
        profit: Some(Money(1_100_000)),
        end_reason: EndReason::NormalRelease,
        ended_by: EndedBy::Caller,
        sip_code: 200,
        q850: 16,
        end_text: None,
        a: leg("a"),
        b: leg("b"),
        media_relayed: true,
        silent: Vec::new(),
        attempts: vec![cdr::Attempt {
            gateway: Named { id: RoutingGatewayId(1), name: "vendor-a-1".into() },
            account: Named { id: AccountId(2), name: "vendor-a".into() },
            called: "8801712345678".into(),
            caller: "442070000000".into(),
            call_id: format!("{number}-b"),
            remote: "127.0.0.1:5080".parse().ok(),
            start: at(5),
            ringing: Some(at(900)),
            end: at(4000),
            result: AttemptResult::Answered,
            sip_code: 200,
            q850: 0,
            text: None,
        }],
        route: simulation().explanation,
    }
}
