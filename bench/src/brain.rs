//! What does a complete call cost the brain alone? The whole switch as a state machine, messages in memory, no
//! sockets, no disk: what is left of a call's cost when the system calls are taken away.
//!
//! Calls go through in steps, so that the peers' part, which is not measured, stands between them.

use crate::Outcome;
use crate::business::{
    CUSTOMER, CUSTOMER_AT, Code, VENDOR_AT, account, deck, gateway, rate_group, routing_gateway, trunk,
};
use crate::clock::nanoseconds_once;
use crate::ground::Ground;
use crate::invite;
use crate::report::{Section, Table, figure, times};
use billing::ledger::Book;
use params::Params;
use routing::Plan;
use serde_json::json;
use sip::ListenerConfig;
use sip::message::Message;
use std::sync::Arc;
use std::time::Duration;
use switch::interface::MediaAddressing;
use switch::{Input, Output, Restore, Snapshot, Switch, SwitchConfig};
use vocab::net::LocalAddresses;
use vocab::{AccountId, Flow, ListenerId, Money, Now, RoutingGatewayId, Seq, Tick, Transport, Utc};

/// Calls in one step.
const CALLS: usize = 1_000;

pub fn run(ground: &Ground) -> Outcome<Section> {
    let rounds = if ground.quick { 3 } else { 15 };
    let mut section = Section::new(&format!(
        "One thread, {CALLS} calls at a time, no sockets, no disk, media direct: the state machine takes the messages of \
         both peers and gives out messages and journal records; {rounds} rounds, the middle one of each step. Floor: the \
         same messages in, parsed; the same messages out, copied.",
    ));
    let mut all: Vec<Vec<Step>> = Vec::new();
    for round in 0..rounds {
        all.push(World::new(round)?.calls()?);
    }
    let first = all.first().ok_or("no round")?;
    let middle = |step: usize, of: fn(&Step) -> f64| {
        let mut found: Vec<f64> = all.iter().filter_map(|r| r.get(step).map(of)).collect();
        found.sort_by(f64::total_cmp);
        found.get(found.len() / 2).copied().unwrap_or(0.0) / 1000.0
    };
    let mut table = Table::new(&[
        "step",
        "messages in",
        "out",
        "records",
        "news",
        "µs a call",
        "floor µs",
        "to the floor",
    ]);
    let mut figures = Vec::new();
    let (mut counted, mut sum) = ([0; 4], (0.0, 0.0));
    for (i, step) in first.iter().enumerate() {
        let (us, floor) = (middle(i, |s| s.ns), middle(i, |s| s.floor_ns));
        let counts = [step.came, step.sent, step.records, step.news].map(|n| n / CALLS);
        let counts_text = counts.map(|n| n.to_string());
        let [came, sent, records, news] = counts_text;
        table.row([
            step.name.to_owned(),
            came,
            sent,
            records,
            news,
            figure(us),
            figure(floor),
            times(us, floor),
        ]);
        figures.push(json!({ "step": step.name, "us": us, "floor_us": floor }));
        counted.iter_mut().zip(counts).for_each(|(all, n)| *all += n);
        sum = (sum.0 + us, sum.1 + floor);
    }
    let [came, sent, records, news] = counted.map(|n| n.to_string());
    table.row([
        "**complete call**".to_owned(),
        came,
        sent,
        records,
        news,
        format!("**{}**", figure(sum.0)),
        figure(sum.1),
        times(sum.0, sum.1),
    ]);
    section.tables.push(table);
    section.figures = json!({ "us": sum.0, "floor_us": sum.1, "steps": figures });
    Ok(section)
}

/// What a step took and gave, for all calls.
struct Step {
    name: &'static str,
    came: usize,
    sent: usize,
    records: usize,
    /// Calls and totals that the overview was told of, after the step.
    news: usize,
    /// Nanoseconds for one call.
    ns: f64,
    floor_ns: f64,
}

struct World {
    switch: Switch,
    now: Now,
    steps: Vec<Step>,
    from_switch: Vec<(bool, Vec<u8>)>,
}

impl World {
    fn new(round: u8) -> Outcome<World> {
        let local = LocalAddresses { default_v4: Some("203.0.113.5".parse()?), ..LocalAddresses::default() };
        let listener = ListenerConfig {
            id: ListenerId(0),
            transport: Transport::Udp,
            port: 5060,
            advertised: None,
            local: local.clone(),
        };
        let media = MediaAddressing { local, ..MediaAddressing::default() };
        let config = SwitchConfig {
            listeners: vec![listener],
            media,
            media_families: [false, false],
            media_threads: 1,
            boot: 1,
            seed: [round; 16],
            seal: [1; 32],
        };
        let restore = Restore {
            balances: vec![(Book::Account(CUSTOMER), Money(10i128.pow(14)))],
            ..Restore::default()
        };
        let now = Now { tick: Tick(1_000_000), utc: Utc(1_900_000_000_000_000) };
        let mut switch = Switch::new(now, config, restore, Arc::new(snapshot()?));
        switch.handle_timeout(now);
        while switch.poll_output().is_some() {}
        Ok(World { switch, now, steps: Vec::new(), from_switch: Vec::new() })
    }

    /// All calls from INVITE to the last record.
    fn calls(mut self) -> Outcome<Vec<Step>> {
        let invites: Vec<Vec<u8>> = (0..CALLS).map(|n| caller(&invite::text(), n)).collect();
        self.step("INVITE: routed, reserved, sent on", invites, false);
        let offered = self.taken(true, "INVITE")?;
        let answer = |m: &Vec<u8>, status: &str, body: bool| reply(m, status, body);
        self.step("180 of the vendor", replies(&offered, |m| answer(m, "180 Ringing", false))?, true);
        self.step(
            "200 of the vendor, record, 200 to the caller",
            replies(&offered, |m| answer(m, "200 OK", true))?,
            true,
        );
        let answered = self.taken(false, "SIP/2.0 200")?;
        self.step("ACK", replies(&answered, |m| request(m, "ACK", "102"))?, false);
        self.pass(Duration::from_secs(10));
        self.step(
            "BYE of the caller, 200, BYE to the vendor",
            replies(&answered, |m| request(m, "BYE", "103"))?,
            false,
        );
        let hung_up = self.taken(true, "BYE")?;
        self.step(
            "200 of the vendor, price, record",
            replies(&hung_up, |m| answer(m, "200 OK", false))?,
            true,
        );
        self.pass(Duration::from_secs(60));
        if self.switch.calls() != 0 {
            return Err(format!("{} calls are still there", self.switch.calls()).into());
        }
        Ok(self.steps)
    }

    /// Hands messages in and takes what comes out; every record is on disk at once.
    fn step(&mut self, name: &'static str, messages: Vec<Vec<u8>>, vendor: bool) {
        let remote = if vendor { VENDOR_AT } else { CUSTOMER_AT };
        let flow = Flow { listener: ListenerId(0), transport: Transport::Udp, remote, connection: 0 };
        self.from_switch.clear();
        let (switch, now, sent) = (&mut self.switch, self.now, &mut self.from_switch);
        let (mut records, mut news) = (0, Vec::new());
        let ns = nanoseconds_once(|| {
            for bytes in &messages {
                switch.handle_input(now, Input::Message { flow, bytes });
                records += drain(switch, now, sent);
            }
            switch.take_news(&mut news);
        });
        let out: Vec<&Vec<u8>> = self.from_switch.iter().map(|(_, m)| m).collect();
        let floor = nanoseconds_once(|| {
            let parsed = messages.iter().filter(|m| Message::parse(m).is_ok()).count();
            (parsed, out.iter().map(|m| m.to_vec()).collect::<Vec<_>>())
        });
        let (came, sent) = (messages.len(), out.len());
        let calls = CALLS as f64;
        let (ns, floor_ns) = (ns / calls, floor / calls);
        self.steps.push(Step { name, came, sent, records, news: news.len(), ns, floor_ns });
    }

    /// Time goes by; what the timers do belongs to the calls.
    fn pass(&mut self, time: Duration) {
        let end = self.now.tick + time;
        let (switch, sent) = (&mut self.switch, &mut self.from_switch);
        let (mut now, start) = (self.now, self.now);
        sent.clear();
        let (mut records, mut news) = (0, Vec::new());
        let ns = nanoseconds_once(|| {
            while let Some(at) = switch.poll_timeout().filter(|at| *at <= end) {
                now = Now { tick: at.max(now.tick), utc: start.utc + at.since(start.tick) };
                switch.handle_timeout(now);
                records += drain(switch, now, sent);
            }
            switch.take_news(&mut news);
        });
        self.now = Now { tick: end, utc: start.utc + time };
        let ns = ns / CALLS as f64;
        let (sent, news) = (sent.len(), news.len());
        self.steps.push(Step { name: "timers", came: 0, sent, records, news, ns, floor_ns: 0.0 });
    }

    /// What the last step sent to one side that begins so, one for each call.
    fn taken(&self, vendor: bool, start: &str) -> Outcome<Vec<Vec<u8>>> {
        let wanted = |(to, m): &&(bool, Vec<u8>)| *to == vendor && m.starts_with(start.as_bytes());
        let found: Vec<Vec<u8>> = self.from_switch.iter().filter(wanted).map(|(_, m)| m.clone()).collect();
        if found.len() == CALLS {
            Ok(found)
        } else {
            Err(format!("{} of {CALLS} calls sent {start}", found.len()).into())
        }
    }
}

fn drain(switch: &mut Switch, now: Now, sent: &mut Vec<(bool, Vec<u8>)>) -> usize {
    let (mut records, mut last) = (0, None);
    loop {
        while let Some(output) = switch.poll_output() {
            match output {
                Output::Send { flow, bytes } => sent.push((flow.remote == VENDOR_AT, bytes)),
                Output::Journal { seq, .. } => (records, last) = (records + 1, Some(seq)),
                Output::Media(_) | Output::Reply { .. } | Output::Told { .. } => {}
            }
        }
        let Some(seq): Option<Seq> = last.take() else { return records };
        switch.handle_input(now, Input::Journaled(seq));
    }
}

fn snapshot() -> Outcome<Snapshot> {
    let mut all = Snapshot::default();
    let params =
        Params::default().with_overrides([("SS_MEDIAPROXYMODE", "Off")], false).map_err(|e| e.to_string())?;
    all.params = Arc::new(params);
    let mut routes = Vec::new();
    for id in 1..=3 {
        let (group_id, group) = rate_group(id, Arc::new(deck([Code::of("880")], u64::from(id))?));
        all.rate_groups.insert(group_id, group);
        all.accounts.insert(AccountId(id), account(AccountId(id), format!("vendor-{id}"), group_id));
        let route = Arc::new(gateway(id, vec!["880".to_owned()]));
        let mut gateway = (*routing_gateway(route.clone())).clone();
        gateway.params = all.params.clone();
        all.routing_gateways.insert(RoutingGatewayId(id), Arc::new(gateway));
        routes.push(route);
    }
    let (group_id, group) =
        rate_group(CUSTOMER.0, Arc::new(deck(["880", "88017", "44"].map(Code::of), 100)?));
    all.rate_groups.insert(group_id, group);
    all.accounts.insert(CUSTOMER, account(CUSTOMER, "customer".to_owned(), group_id));
    all.plan = Arc::new(Plan::build(routes).map_err(|(name, e)| format!("{name}: {e}"))?);
    let mut trunk = (*trunk()).clone();
    trunk.params = all.params.clone();
    Ok(all.with_mapping_gateways(vec![Arc::new(trunk)]))
}

// ------------------------------------------------------------------------------------------------------ the peers

/// The INVITE of one call.
fn caller(text: &str, n: usize) -> Vec<u8> {
    text.replace("z9hG4bK776asdhds1f3a9c2", &format!("z9hG4bK776asdhds{n:07}"))
        .replace("as1928301774", &format!("as19{n:08}"))
        .replace("a84b4c76e66710f25e1c0c2d4a19e0f1", &format!("a84b4c76e66710f25e1c0c2d{n:08}"))
        .into_bytes()
}

fn replies(messages: &[Vec<u8>], f: impl Fn(&Vec<u8>) -> Outcome<Vec<u8>>) -> Outcome<Vec<Vec<u8>>> {
    messages.iter().map(f).collect()
}

fn read(bytes: &[u8]) -> Outcome<Message<'_>> {
    Message::parse(bytes).map_err(|e| format!("the switch sent {e:?}").into())
}

/// A response of the vendor to a request of the switch.
fn reply(bytes: &[u8], status: &str, body: bool) -> Outcome<Vec<u8>> {
    let request = read(bytes)?;
    let value = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let to = value("To");
    let tag = if to.contains("tag=") { "" } else { ";tag=gK0a1b2c3d" };
    let mut text = format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:8801712345678@192.0.2.1:5060>\r\n\
         Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nServer: Vendor\r\n",
        value("Via"),
        value("From"),
        value("Call-ID"),
        value("CSeq"),
    );
    let body = if body { invite::body() } else { String::new() };
    if !body.is_empty() {
        text += "Content-Type: application/sdp\r\n";
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    Ok(text.into_bytes())
}

/// A request of the caller in the dialog that a 200 of the switch has opened.
fn request(bytes: &[u8], method: &str, cseq: &str) -> Outcome<Vec<u8>> {
    let answer = read(bytes)?;
    let value = |name: &str| answer.header(name).unwrap_or_default().to_owned();
    let contact = value("Contact");
    let target = contact.trim_start_matches('<').split('>').next().unwrap_or_default().to_owned();
    let call = value("Call-ID");
    let branch: String = call.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let text = format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK{branch}{method};rport\r\nMax-Forwards: 70\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\nUser-Agent: Asterisk PBX 18.20.2\r\nContent-Length: 0\r\n\r\n",
        value("From"),
        value("To"),
    );
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_go_through() {
        let steps = World::new(1).unwrap().calls().unwrap();
        let sum = |of: fn(&Step) -> usize| steps.iter().map(of).sum::<usize>() / CALLS;
        // INVITE 180 200 ACK BYE 200 in; 100 INVITE, 180, ACK 200 or 200 ACK, 200 BYE out; sent on, answered, acknowledged, ended in the journal.
        assert_eq!((sum(|s| s.came), sum(|s| s.records)), (6, 4));
        assert!(sum(|s| s.sent) >= 7);
        // The 200 brings the call through two states; between two looks it is told of once.
        let answered = steps.iter().find(|s| s.name.starts_with("200 of the vendor, record")).unwrap();
        assert_eq!(answered.news, CALLS);
    }
}
