//! Tells receivers of alarms: webhooks and a mail relay. One thread; each receiver waits for its own failures only,
//! and one that hangs holds the others up for a few seconds at most.

use super::Notice;
use serde_json::json;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::alarms::{AlarmSettings, Mail};
use vocab::Tick;
use watch::{Kind, Outbox, Reading, mail};

const TRY_TIME: Duration = Duration::from_secs(3);
const PERIOD: Duration = Duration::from_millis(100);
/// The longest line of a mail relay (RFC 5321 §4.5.3.1.5 allows 512), and lines of one answer.
const LONGEST_LINE: usize = 1024;
const MOST_LINES: usize = 64;
const MAIL: &str = "mail";

#[derive(Default)]
struct State {
    outbox: Outbox<Notice>,
    mail: Option<Mail>,
}

pub struct Delivery {
    state: Arc<Mutex<State>>,
    thread: JoinHandle<()>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // What is under this lock is whole between any two statements.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Delivery {
    pub fn start(stop: Arc<AtomicBool>) -> io::Result<Delivery> {
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        let thread =
            std::thread::Builder::new().name("deliveries".into()).spawn(move || run(&shared, &stop))?;
        Ok(Delivery { state, thread })
    }

    pub fn configure(&self, settings: &AlarmSettings) {
        let mut receivers = settings.webhooks.clone();
        receivers.extend(settings.mail.is_some().then(|| MAIL.to_owned()));
        let mut state = lock(&self.state);
        state.outbox.receivers(&receivers);
        state.mail.clone_from(&settings.mail);
    }

    pub fn tell(&self, notice: Notice) {
        lock(&self.state).outbox.push(&notice);
    }

    /// Tries that failed in a row, of each receiver.
    pub fn readings(&self) -> Vec<Reading> {
        let state = lock(&self.state);
        let reading = |(name, failures): (&str, u32)| Reading {
            kind: Kind::DeliveryFailing,
            subject: name.to_owned(),
            value: failures.into(),
        };
        state.outbox.failures().map(reading).collect()
    }

    pub fn join(self) {
        let _ = self.thread.join();
    }
}

fn run(state: &Mutex<State>, stop: &AtomicBool) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TRY_TIME))
        .max_redirects(0)
        .proxy(None)
        .build()
        .into();
    let started = Instant::now();
    let now = || Tick(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
    while !stop.load(Ordering::Relaxed) {
        let (due, relay) = {
            let state = lock(state);
            (state.outbox.due(now()), state.mail.clone())
        };
        for (receiver, notice) in due {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let outcome = match (receiver.as_str(), &relay) {
                (MAIL, Some(relay)) => send_mail(relay, &notice),
                (MAIL, None) => continue,
                (address, _) => post(&agent, address, &notice),
            };
            let mut state = lock(state);
            match outcome {
                Ok(()) => state.outbox.taken(&receiver),
                Err(error) => {
                    tracing::debug!(%receiver, %error, "an alarm was not taken");
                    state.outbox.failed(now(), &receiver);
                }
            }
        }
        std::thread::sleep(PERIOD);
    }
}

fn post(agent: &ureq::Agent, address: &str, notice: &Notice) -> Result<(), String> {
    let body = json!({
        "id": notice.id.to_string(),
        "event": if notice.began { "began" } else { "ended" },
        "kind": notice.kind.key(),
        "subject": notice.subject,
        "words": notice.kind.facts().words,
        "severity": notice.severity,
        "value": notice.value,
        "unit": notice.kind.facts().unit,
        "threshold": notice.threshold,
        "at": api::Timestamp(notice.at),
    });
    agent.post(address).send_json(&body).map(|_| ()).map_err(|e| e.to_string())
}

/// One message to all addresses; the relay must have taken it.
fn send_mail(relay: &Mail, notice: &Notice) -> Result<(), String> {
    let addresses = relay.server.to_socket_addrs().map_err(|e| e.to_string())?;
    let mut error = "the name has no address".to_owned();
    for address in addresses.take(2) {
        match TcpStream::connect_timeout(&address, TRY_TIME) {
            Ok(stream) => return hand_over(&stream, relay, notice),
            Err(e) => error = e.to_string(),
        }
    }
    Err(error)
}

fn hand_over(stream: &TcpStream, relay: &Mail, notice: &Notice) -> Result<(), String> {
    let until = Instant::now() + 2 * TRY_TIME;
    stream.set_read_timeout(Some(TRY_TIME)).map_err(|e| e.to_string())?;
    stream.set_write_timeout(Some(TRY_TIME)).map_err(|e| e.to_string())?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    expect(&mut reader, 2, until)?;
    let (subject, body) = texts(notice);
    let host = relay.from.rsplit('@').next().unwrap_or("tandem");
    let id = format!(
        "alarm-{}-{}-{}@{host}",
        notice.id,
        if notice.began { "began" } else { "ended" },
        notice.at.0
    );
    let message = mail::message(&relay.from, &relay.to, &id, &subject, &body);
    let lines = mail::dialogue(&relay.from, &relay.to, &message);
    let last = lines.len().saturating_sub(1);
    for (n, line) in lines.iter().enumerate() {
        writer.write_all(line.text.as_bytes()).map_err(|e| e.to_string())?;
        match expect(&mut reader, line.expected, until) {
            // The relay has the message: that it takes no leave is its own affair.
            Err(_) if n == last => {}
            other => other?,
        }
    }
    Ok(())
}

fn expect(reader: &mut impl BufRead, class: u8, until: Instant) -> Result<(), String> {
    for _ in 0..MOST_LINES {
        if Instant::now() > until {
            return Err("the relay is too slow".into());
        }
        let mut line = Vec::new();
        let mut limited = io::Read::take(&mut *reader, LONGEST_LINE as u64);
        limited.read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&line);
        match mail::class(&text) {
            Some(None) => {}
            Some(Some(found)) if found == class => return Ok(()),
            _ => return Err(format!("the relay said {:?}", text.trim_end())),
        }
    }
    Err("the relay's answer has no end".into())
}

fn texts(notice: &Notice) -> (String, String) {
    let facts = notice.kind.facts();
    let state = if notice.began { "ALARM" } else { "over" };
    let subject = format!("[tandem] {state}: {} {}", facts.words, notice.subject);
    let value = notice.value.map_or_else(|| "unknown".to_owned(), |v| format!("{v} {}", facts.unit));
    let body = format!(
        "{}: {}\n\nWhat: {}\nWhere: {}\nFigure: {}\nThreshold: {} {}\nAt: {}\nNumber: {}\n",
        state,
        facts.words,
        facts.key,
        if notice.subject.is_empty() { "the switch" } else { &notice.subject },
        value.trim_end(),
        notice.threshold,
        facts.unit,
        api::Timestamp(notice.at),
        notice.id,
    );
    (subject, body)
}
