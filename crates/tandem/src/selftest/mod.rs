//! The self-test (`DBG-11`): a call through the running switch, placed and taken by peers of its own, from the INVITE to
//! the charge.
//!
//! Customer and vendor are two accounts that nobody else uses; a ledger never forgets, so they stay, locked and with a
//! balance of zero. Gateways and rates are there for the length of the test only. The customer calls from a loopback
//! address of its own, and its number has a prefix that no other gateway serves.

mod peers;

use crate::operator::Operator;
use api::{SelfTest, SelfTestStep};
use billing::ledger::PostingKind;
use cdr::Cdr;
use peers::{Heard, Peers};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};
use store::{Author, CdrFilter, SourceFile, config};
use switch::{ControlReply, ControlRequest};
use vocab::{AccountId, EndReason, Money, Transport};

const CUSTOMER: &str = "selftest-customer";
const VENDOR: &str = "selftest-vendor";
/// Who did it, in the audit log.
const AUTHOR: &str = "selftest";
/// Price and cost of a minute; a second is a sixtieth.
const PRICE: &str = "0.60";
const COST: &str = "0.30";
const PER_SECOND: i128 = 60;
const RECORD_TIME: Duration = Duration::from_secs(10);

/// Runs the test; every step says what was seen. Takes a few seconds and blocks.
/// `None` while another one is under way.
pub fn run(operator: Operator, runtime: tokio::runtime::Handle) -> Option<SelfTest> {
    static UNDER_WAY: Mutex<()> = Mutex::new(());
    let _only = match UNDER_WAY.try_lock() {
        Ok(only) => only,
        Err(TryLockError::Poisoned(only)) => only.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    let mut steps = Steps(Vec::new());
    let outcome = Test { operator, runtime }.run(&mut steps);
    if let Err(words) = outcome {
        steps.add("test", false, words);
    }
    Some(SelfTest { passed: steps.0.iter().all(|s| s.passed), steps: steps.0 })
}

struct Steps(Vec<SelfTestStep>);

impl Steps {
    fn add(&mut self, step: &str, passed: bool, text: impl Into<String>) {
        self.0.push(SelfTestStep { step: step.to_owned(), passed, text: text.into() });
    }
}

struct Test {
    operator: Operator,
    runtime: tokio::runtime::Handle,
}

impl Test {
    fn run(&self, steps: &mut Steps) -> Result<(), String> {
        let switch = self.listener().ok_or("the switch has no listener of UDP over IPv4 to call")?;
        let number = number()?;
        let peers = Peers::bind(switch).map_err(|e| format!("sockets for the two peers: {e}"))?;
        // What a test left behind that was cut off.
        self.clean()?;
        let placed = self.set_up(&peers, &number);
        match &placed {
            Ok(()) => {
                steps.add("set-up", true, "own customer, vendor, gateways and rates are in force");
                let heard = peers.call(&number);
                signalling(steps, &heard);
                if heard.answered {
                    self.record(steps, &number);
                }
            }
            Err(words) => steps.add("set-up", false, words.clone()),
        }
        let cleaned = self.clean();
        steps.add(
            "clean-up",
            cleaned.is_ok(),
            cleaned.err().unwrap_or_else(|| {
                "gateways and rates are gone, both accounts are locked at zero".to_owned()
            }),
        );
        Ok(())
    }

    fn listener(&self) -> Option<SocketAddr> {
        let fits = |l: &&api::Listener| l.transport == Transport::Udp && l.address.is_ipv4();
        let found = self.operator.addresses.listeners.iter().find(fits)?;
        Some(crate::program::reachable(found.address))
    }

    fn set_up(&self, peers: &Peers, number: &str) -> Result<(), String> {
        let prefix = &number[..number.len() - 2];
        let account = |name: &str, kind: &str, group: &str| {
            format!(
                "[[account]]\nname = \"{name}\"\nkind = \"{kind}\"\npayment = \"postpaid\"\ncurrency = \"USD\"\ncredit_limit = \"1000\"\nstatus = \"normal\"\nrate_group = \"{group}\"\nnotes = \"of the self-test; nobody else uses it\"\n\n"
            )
        };
        let group = |name: &str, price: &str| {
            format!(
                "[[rate_group]]\nname = \"{name}\"\nrates = [{{ prefix = \"{prefix}\", area = \"Self-test\", price_per_minute = \"{price}\", first_period = 1, cycle = 1 }}]\n\n"
            )
        };
        let text = account(CUSTOMER, "customer", CUSTOMER)
            + &account(VENDOR, "vendor", VENDOR)
            + &group(CUSTOMER, PRICE)
            + &group(VENDOR, COST)
            + &format!(
                "[[mapping_gateway]]\nname = \"{CUSTOMER}\"\naccount = \"{CUSTOMER}\"\nauthentication = \"ip\"\naddresses = [\"{}\"]\nparameters = {{ SS_MEDIAPROXYMODE = \"On\" }}\n\n",
                peers.customer()
            )
            + &format!(
                "[[routing_gateway]]\nname = \"{VENDOR}\"\naccount = \"{VENDOR}\"\naddress = \"{}\"\nprefixes = [\"{prefix}\"]\npriority = 1\n",
                peers.vendor()
            );
        let file = SourceFile { name: "selftest.toml".to_owned(), text };
        self.operator.store.apply(&[file], false, author()).map_err(|e| e.to_string())?;
        // Answered when the brain has the configuration.
        self.ask(ControlRequest::Balances(vec![AccountId::default()])).map(|_| ())
    }

    fn ask(&self, request: ControlRequest) -> Result<ControlReply, String> {
        let answer = self.runtime.block_on(self.operator.request(request));
        answer.map_err(|_| "the switch takes no requests".to_owned())
    }

    /// Takes away what a test has made, this one or one that was cut off.
    fn clean(&self) -> Result<(), String> {
        let store = &self.operator.store;
        let config = store.config();
        let mut failed = Vec::new();
        let mut note =
            |outcome: Result<(), store::ChangeError>| failed.extend(outcome.err().map(|e| e.to_string()));
        if let Some(gateway) = config.mapping_gateways.named(CUSTOMER) {
            note(store.delete::<config::MappingGateway>(gateway.id, None, author()));
        }
        if let Some(gateway) = config.routing_gateways.named(VENDOR) {
            note(store.delete::<config::RoutingGateway>(gateway.id, None, author()));
        }
        for name in [CUSTOMER, VENDOR] {
            if let Some(account) = config.accounts.named(name) {
                self.settle(AccountId(account.id))?;
                let mut document = account.document.clone();
                document.rate_group = None;
                document.status = config::AccountStatus::Locked;
                note(store.put(Some(account.id), None, document, author()).map(|_| ()));
            }
            if let Some(group) = config.rate_groups.named(name) {
                note(store.delete::<config::RateGroup>(group.id, None, author()));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Brings a balance back to zero.
    fn settle(&self, account: AccountId) -> Result<(), String> {
        let ControlReply::Balances(states) = self.ask(ControlRequest::Balances(vec![account]))? else {
            return Ok(());
        };
        let Some(balance) = states.first().map(|s| s.balance).filter(|b| *b != Money::ZERO) else {
            return Ok(());
        };
        let correction = ControlRequest::Pay {
            account,
            kind: PostingKind::Correction,
            amount: Money(-balance.0),
            by: AUTHOR.to_owned(),
            note: "the self-test charges nobody".to_owned(),
            key: None,
        };
        match self.ask(correction)? {
            ControlReply::Paid { .. } => Ok(()),
            other => Err(format!("the balance of the self-test could not be corrected: {other:?}")),
        }
    }

    /// The call detail record and its charge.
    fn record(&self, steps: &mut Steps, number: &str) {
        let Some(cdr) = self.wait_for_record(number) else {
            return steps.add("record", false, "no call detail record was written within ten seconds");
        };
        let well = cdr.end_reason == EndReason::NormalRelease && cdr.answer.is_some();
        steps.add(
            "record",
            well,
            format!(
                "call {} is recorded: {}, {} ms of talk",
                cdr.call,
                cdr.end_reason.row().words,
                cdr.talk_ms
            ),
        );
        let expected = |per_minute: &str, seconds: u64| {
            let minute = Money::parse(per_minute).map_or(0, |m| m.0);
            Money(minute * i128::from(seconds) / PER_SECOND)
        };
        let told = [(&cdr.sale, PRICE), (&cdr.cost, COST)].map(|(priced, per_minute)| {
            priced.as_ref().map(|p| (p.amount, expected(per_minute, p.charged_s), p.charged_s))
        });
        let right = told
            .iter()
            .all(|t| t.is_some_and(|(amount, expected, seconds)| amount == expected && seconds > 0));
        let shown = |t: &Option<(Money, Money, u64)>| {
            t.map_or_else(|| "nothing".to_owned(), |(amount, ..)| amount.to_string())
        };
        steps.add(
            "charge",
            right,
            format!("the customer was charged {}, the vendor is owed {}", shown(&told[0]), shown(&told[1])),
        );
    }

    fn wait_for_record(&self, number: &str) -> Option<Cdr> {
        let filter = CdrFilter { callee: Some(number.to_owned()), ..CdrFilter::default() };
        let until = Instant::now() + RECORD_TIME;
        while Instant::now() < until {
            let page = self.operator.store.cdrs(&filter, None, 1).ok()?;
            if let Some(cdr) = page.items.into_iter().next() {
                return Some(cdr);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }
}

fn author() -> Author {
    Author { name: AUTHOR.to_owned(), source: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) }
}

/// A number that no country has, another one each time.
fn number() -> Result<String, String> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|e| format!("the system gives no random numbers: {e}"))?;
    Ok(format!("99978{:07}42", u32::from_le_bytes(random) % 10_000_000))
}

fn signalling(steps: &mut Steps, heard: &Heard) {
    steps.add("signalling", heard.answered, heard.signalling.clone());
    if !heard.answered {
        return;
    }
    let all = |n: u32| n * 10 >= peers::PACKETS * 9;
    let audio = |n: u32| format!("{n} of {} packets were heard as they were sent", peers::PACKETS);
    steps.add("audio to the vendor", all(heard.at_vendor), audio(heard.at_vendor));
    steps.add("audio to the customer", all(heard.at_customer), audio(heard.at_customer));
    let digits = heard.digit == Some(peers::DIGIT);
    let words = if digits { "a digit passed as a telephone event" } else { "the digit did not arrive" };
    steps.add("digits", digits, words);
    let words = if heard.released {
        "BYE reached the vendor, and both sides were answered"
    } else {
        "the BYE was lost or not answered"
    };
    steps.add("release", heard.released, words);
}
