//! The figures that rules look at, from what brain, monitor and records say.

use crate::operator::Operator;
use std::collections::BTreeMap;
use std::time::Duration;
use store::config::AccountKind;
use store::{CdrFilter, Config, Store, StoreError};
use switch::interface::{Load, VendorState};
use switch::vendors::{OnlineState, OutboundState};
use switch::{ControlReply, ControlRequest};
use tokio::time::timeout;
use vocab::{AccountId, MappingGatewayId, Money, RoutingGatewayId, Tick, Utc};
use watch::window::{SPAN, Windows, percent};
use watch::{Kind, Reading};

/// How long the brain may take.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Calls, or answers, from which on a share of them says something.
const ENOUGH: u64 = 50;
/// Packets from which on their loss says something.
const ENOUGH_PACKETS: u64 = 1000;
/// Between two looks at the media of the calls that have ended, and how many of them are read.
const MEDIA_STEP: Duration = Duration::from_secs(30);
const MEDIA_CALLS: usize = 300;
/// A hundredth of a currency unit.
const HUNDREDTH: i128 = 1_000_000;

#[derive(Default)]
pub struct Figures {
    gateways: Windows<3>,
    totals: Windows<2>,
    /// Steps of the calendar against the monotonic clock, as a counter of milliseconds.
    clock: Option<(Tick, Utc)>,
    jumped_ms: u64,
    media: Vec<Reading>,
    media_at: Option<Tick>,
}

fn put(readings: &mut Vec<Reading>, kind: Kind, subject: &str, value: Option<i64>) {
    readings.extend(value.map(|value| Reading { kind, subject: subject.to_owned(), value }));
}

fn capped(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Figures {
    /// Gateways, accounts, keep-alive. False: the brain gave no answer.
    pub async fn of_brain(&mut self, operator: &Operator, now: Tick, readings: &mut Vec<Reading>) -> bool {
        let ask = |request| async { timeout(ANSWER_TIME, operator.request(request)).await.ok()?.ok() };
        let Some(ControlReply::GatewayLoad { mapping, routing, vendors, .. }) =
            ask(ControlRequest::GatewayLoad).await
        else {
            return false;
        };
        let Some(ControlReply::Balances(accounts)) = ask(ControlRequest::Balances(Vec::new())).await else {
            return false;
        };
        let Some(ControlReply::Registrations { keep_alive, .. }) = ask(ControlRequest::Registrations).await
        else {
            return false;
        };
        let config = operator.store.config();
        limits_of_mapping(&config, &mapping, readings);
        self.of_gateways(&config, &routing, &vendors, now, readings);
        for state in accounts {
            let Some(account) = account(&config, state.account) else { continue };
            let (kind, money) = match account.kind {
                // What a vendor is owed is above zero, what it was paid ahead below. Only where somebody says that it
                // is to be paid ahead.
                AccountKind::Vendor if account.low_balance.is_some() => {
                    (Kind::VendorBalanceLow, state.balance.0.checked_neg().map(Money))
                }
                AccountKind::Vendor => continue,
                AccountKind::Customer | AccountKind::Agent => (Kind::CustomerBalanceLow, state.available),
            };
            put(readings, kind, &account.name, money.map(hundredths));
        }
        put(readings, Kind::KeepAliveShort, "", Some(i64::from(keep_alive.shortfall)));
        true
    }

    fn of_gateways(
        &mut self,
        config: &Config,
        loads: &[(RoutingGatewayId, Load)],
        vendors: &[(RoutingGatewayId, VendorState)],
        now: Tick,
        readings: &mut Vec<Reading>,
    ) {
        let loads: BTreeMap<RoutingGatewayId, &Load> = loads.iter().map(|(id, load)| (*id, load)).collect();
        let states: BTreeMap<RoutingGatewayId, &VendorState> =
            vendors.iter().map(|(id, state)| (*id, state)).collect();
        for stored in config.routing_gateways.iter().filter(|s| s.document.enabled) {
            let (id, gateway) = (RoutingGatewayId(stored.id), &stored.document);
            if let Some(state) = states.get(&id) {
                let offline = i64::from(state.online == OnlineState::Offline);
                let failed = i64::from(state.registration == OutboundState::Failed);
                put(readings, Kind::GatewayOffline, &gateway.name, Some(offline));
                put(readings, Kind::RegistrationFailed, &gateway.name, Some(failed));
            }
            let Some(load) = loads.get(&id) else { continue };
            limits(&gateway.name, load, gateway.max_concurrency, gateway.max_cps, readings);
            let counters = [load.attempts, load.answered, load.talk_ms];
            let [attempts, answered, talk_ms] = self.gateways.rise(now, &gateway.name, counters);
            if attempts >= ENOUGH {
                put(readings, Kind::AsrLow, &gateway.name, percent(answered, attempts));
            }
            if answered >= ENOUGH {
                let acd_s = (talk_ms / 1000).checked_div(answered).map(capped);
                put(readings, Kind::AcdLow, &gateway.name, acd_s);
            }
        }
        self.gateways.keep(|name| config.routing_gateways.iter().any(|s| s.document.name == name));
    }

    /// What the monitor last saw, and the clock.
    pub fn of_machine(&mut self, operator: &Operator, now: Tick, utc: Utc, readings: &mut Vec<Reading>) {
        let sample = api::Seeing::sample(&*operator.observer).unwrap_or_default();
        let value = |key: &str| sample.values.get(key).copied();
        let count = |key: &str| value(key).and_then(|n| u64::try_from(n).ok());
        let share = |part: Option<u64>, whole: Option<u64>| percent(part?, whole?);
        let used = |free: &str, all: &str| Some(count(all)?.saturating_sub(count(free)?));
        put(readings, Kind::DiskLow, "", share(count("disk_free"), count("disk")));
        put(readings, Kind::CpuHigh, "", value("machine_cpu").map(|n| n / 10));
        let memory = used("machine_memory_free", "machine_memory");
        put(readings, Kind::MemoryHigh, "", share(memory, count("machine_memory")));
        let ports = operator.addresses.media_ports;
        // RTP and RTCP have a port each.
        let all = u64::from(ports.last.saturating_sub(ports.first)) + 1;
        put(readings, Kind::PortsHigh, "", share(count("media_ports_used"), Some(all)));
        put(readings, Kind::JournalStopped, "", value("journal_stopped"));
        put(readings, Kind::DatabaseBehind, "", value("journal_lag"));
        if let (Some(suspensions), Some(dropped)) = (count("guard_suspensions"), count("udp_dropped")) {
            let [suspensions, dropped] = self.totals.rise(now, "", [suspensions, dropped]);
            put(readings, Kind::SignInFailures, "", Some(capped(suspensions)));
            put(readings, Kind::PacketsDropped, "", Some(capped(dropped)));
        }
        if let Some((then, calendar)) = self.clock.replace((now, utc)) {
            let passed = i64::try_from(now.since(then).as_micros()).unwrap_or(i64::MAX);
            let step = utc.0.saturating_sub(calendar.0).saturating_sub(passed).unsigned_abs() / 1000;
            self.jumped_ms = self.jumped_ms.saturating_add(step);
        }
        let [jumped, _] = self.totals.rise(now, "clock", [self.jumped_ms, 0]);
        put(readings, Kind::ClockJumped, "", Some(capped(jumped)));
    }

    /// Loss and jitter of what gateways sent, in the calls that ended lately. Records are read now and then only.
    pub fn of_media(
        &mut self,
        store: &Store,
        now: Tick,
        utc: Utc,
        readings: &mut Vec<Reading>,
    ) -> Result<(), StoreError> {
        if self.media_at.is_none_or(|at| now.since(at) >= MEDIA_STEP) {
            self.media_at = Some(now);
            let span = i64::try_from(SPAN.as_micros()).unwrap_or(0);
            let from = Some(Utc(utc.0.saturating_sub(span)));
            let filter = CdrFilter { from, answered: Some(true), ..CdrFilter::default() };
            let page = store.cdrs(&filter, None, MEDIA_CALLS)?;
            self.media = media(page.items.iter().filter_map(|cdr| {
                let gateway = cdr.routing_gateway.as_ref()?;
                Some((&*gateway.name, cdr.b.media.packets_in, cdr.b.media.lost, cdr.b.media.jitter_us))
            }));
        }
        readings.extend(self.media.iter().cloned());
        Ok(())
    }
}

/// By gateway: packets that came, packets that did not, jitter.
fn media<'a>(calls: impl Iterator<Item = (&'a str, u64, u64, u32)>) -> Vec<Reading> {
    let mut sums: BTreeMap<&str, (u64, u64, u64, u64)> = BTreeMap::new();
    for (gateway, came, lost, jitter_us) in calls.filter(|(_, came, ..)| *came > 0) {
        let sum = sums.entry(gateway).or_default();
        sum.0 = sum.0.saturating_add(came);
        sum.1 = sum.1.saturating_add(lost);
        sum.2 = sum.2.saturating_add(jitter_us.into());
        sum.3 += 1;
    }
    let mut readings = Vec::new();
    for (gateway, (came, lost, jitter_us, calls)) in sums {
        let sent = came.saturating_add(lost);
        if sent >= ENOUGH_PACKETS {
            put(&mut readings, Kind::LossHigh, gateway, percent(lost, sent));
            let jitter_ms = (jitter_us / 1000).checked_div(calls).map(capped);
            put(&mut readings, Kind::JitterHigh, gateway, jitter_ms);
        }
    }
    readings
}

fn limits_of_mapping(config: &Config, loads: &[(MappingGatewayId, Load)], readings: &mut Vec<Reading>) {
    let loads: BTreeMap<MappingGatewayId, &Load> = loads.iter().map(|(id, load)| (*id, load)).collect();
    for stored in config.mapping_gateways.iter().filter(|s| s.document.enabled) {
        if let Some(load) = loads.get(&MappingGatewayId(stored.id)) {
            let gateway = &stored.document;
            limits(&gateway.name, load, gateway.max_concurrency, gateway.max_cps, readings);
        }
    }
}

/// Nothing can be near a limit that is not there.
fn limits(name: &str, load: &Load, calls: Option<u32>, cps: Option<u32>, readings: &mut Vec<Reading>) {
    let share = |part: u32, limit: Option<u32>| percent(part.into(), limit?.into());
    put(readings, Kind::ConcurrencyNear, name, share(load.calls, calls));
    put(readings, Kind::CpsNear, name, share(load.cps, cps));
}

fn account(config: &Config, id: AccountId) -> Option<&store::config::Account> {
    config.accounts.iter().find(|s| s.id == id.0).map(|s| &s.document)
}

fn hundredths(money: Money) -> i64 {
    let whole = money.0.div_euclid(HUNDREDTH);
    i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_rounded_down() {
        let of = |text: &str| hundredths(Money::parse(text).unwrap());
        assert_eq!((of("5.00"), of("4.999"), of("-0.001")), (500, 499, -1));
    }

    #[test]
    fn media_by_gateway() {
        let calls = [("a", 900, 100, 60_000), ("a", 900, 100, 20_000), ("b", 10, 90, 0), ("c", 0, 5000, 0)];
        let readings = media(calls.into_iter());
        let of = |kind| {
            let found: Vec<_> = readings.iter().filter(|r| r.kind == kind).collect();
            found.into_iter().map(|r| (r.subject.as_str(), r.value)).collect::<Vec<_>>()
        };
        assert_eq!((of(Kind::LossHigh), of(Kind::JitterHigh)), (vec![("a", 10)], vec![("a", 40)]));
    }

    #[test]
    fn a_limit_that_is_not_there_is_never_near() {
        let mut readings = Vec::new();
        let load = Load { calls: 9, cps: 3, ..Load::default() };
        limits("g", &load, Some(10), None, &mut readings);
        assert_eq!(readings, [Reading { kind: Kind::ConcurrencyNear, subject: "g".into(), value: 90 }]);
    }
}
