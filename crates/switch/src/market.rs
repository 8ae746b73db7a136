//! What routing asks of the brain: prices of a call, and how gateways stand at the moment.

use crate::brain::Switch;
use crate::call::Applied;
use crate::rewriting;
use crate::settle;
use crate::snapshot::{RoutingGateway, Snapshot};
use crate::tariff;
use billing::pricing::{billed_seconds, charge};
use billing::rate::{Rate, RateTable};
use routing::{Gateway, Load, Market, Offer, Quality, Standing};
use std::sync::Arc;
use std::time::Duration;
use vocab::explain::Verdict;
use vocab::prefix::{Matched, Packed};
use vocab::{CalendarId, Currency, DialString, Now, Price, Utc};

/// Prices of one call.
pub(crate) struct LiveMarket<'a> {
    pub snapshot: &'a Snapshot,
    pub sale: &'a Applied,
    pub currency: Currency,
    pub called: &'a DialString,
    /// The same, packed once.
    pub number: Packed,
    pub at: Utc,
    pub pick: u64,
}

impl Market for LiveMarket<'_> {
    fn prepare(&self, gateways: &mut dyn Iterator<Item = &Gateway>) {
        let sellers = gateways.filter_map(|gateway| self.snapshot.seller(gateway.id));
        let tables = sellers.filter_map(|seller| seller.tables.first()).map(|group| group.table.as_ref());
        RateTable::warm(tables, self.number);
    }

    fn offer(&self, gateway: &Gateway) -> Offer {
        let Some(seller) = self.snapshot.seller(gateway.id) else { return Offer::NoRate };
        let gateway = &seller.gateway;
        let number = self.billed_number(gateway);
        let Some(found) = tariff::cost(seller, number, self.at) else { return Offer::NoRate };
        let length_s = gateway.params.gateway_fee_rate_call_length_s;
        let cost = self.per_minute(&found.rate, length_s);
        if found.group.currency != self.currency {
            return Offer::OtherCurrency { cost };
        }
        let sale = self.per_minute(&self.sale.rate, length_s);
        Offer::PerMinute { cost, margin: Price(sale.0.saturating_sub(cost.0)) }
    }
}

impl LiveMarket<'_> {
    /// The number that the vendor charges for.
    fn billed_number(&self, gateway: &RoutingGateway) -> Packed {
        if gateway.rate_rewritten
            && let Ok(sent) =
                rewriting::outgoing_called(self.snapshot, gateway, self.called, (self.pick, self.at), |_| ())
        {
            return tariff::billed_number(self.snapshot, gateway, &sent, Packed::of(sent.digits()));
        }
        tariff::billed_number(self.snapshot, gateway, self.called, self.number)
    }

    /// The price of a minute: as it stands in the rate, or what a call of this length really costs, brought to a
    /// minute (`BEY-7`). A charge beyond what money holds is dearer than any.
    fn per_minute(&self, rate: &Rate, length_s: u32) -> Price {
        if length_s == 0 {
            return rate.price_per_minute;
        }
        let rounding = settle::rounding(&self.snapshot.params);
        let seconds = billed_seconds(Duration::from_secs(length_s.into()), &rounding);
        let Ok(charged) = charge(rate, seconds, &rounding) else { return Price(i64::MAX) };
        // Money has 8 decimals, prices have 10.
        let minute = charged.amount.0.saturating_mul(100 * 60) / i128::from(length_s);
        Price(i64::try_from(minute).unwrap_or(i64::MAX))
    }
}

/// The brain's counters as routing sees them.
pub(crate) struct LiveLoad<'a> {
    pub switch: &'a Switch,
    pub snapshot: &'a Snapshot,
    pub now: Now,
    /// The prefix of the customer's rate.
    pub destination: Option<Matched>,
    /// Digits of both numbers.
    pub caller: &'a str,
    pub called: &'a str,
}

impl Load for LiveLoad<'_> {
    fn standing(&self, gateway: &Gateway) -> Standing {
        let meter = self.switch.meters.routing(gateway.id);
        let seller = self.snapshot.seller(gateway.id);
        Standing {
            calls: meter.calls,
            cps: meter.in_second(self.now.tick),
            reachable: seller.is_some_and(|s| self.switch.is_reachable(self.now, &s.gateway)),
            account_usable: seller.is_some_and(|s| !s.account.locked && !s.account.expired(self.now.utc)),
            last_turn: meter.last_turn,
            resting_s: meter.resting_s(self.now.tick),
        }
    }

    fn quality(&self, gateway: &Gateway) -> Quality {
        let params = &self.snapshot.params;
        let known = self.switch.qualities.of(self.now.tick, params, gateway.id, self.destination);
        known.unwrap_or_default()
    }

    fn closed(&self, calendar: CalendarId) -> Option<Arc<str>> {
        let calendar = self.snapshot.calendars.get(&calendar)?;
        (!calendar.is_open(self.now.utc)).then(|| calendar.name.clone())
    }

    fn objection(&self, gateway: &Gateway) -> Option<Verdict> {
        if let Some(verdict) = self.group_objection(gateway) {
            return Some(verdict);
        }
        let lists = &self.snapshot.seller(gateway.id)?.gateway.lists;
        let (whose, list) = self.snapshot.listed(lists, &[self.caller], &[self.called])?;
        Some(Verdict::Listed { whose, list })
    }
}

impl LiveLoad<'_> {
    /// Is there room in the groups of the gateway?
    fn group_objection(&self, gateway: &Gateway) -> Option<Verdict> {
        gateway.terms.groups.iter().find_map(|id| {
            let group = self.snapshot.groups.get(id)?;
            let meter = self.switch.meters.group(*id);
            let name = || group.name.clone();
            if let Some(limit) = group.max_concurrency {
                let (calls, reserved) = (meter.calls, gateway.terms.reserved_lines);
                let free = limit.saturating_sub(calls);
                if free == 0 {
                    return Some(Verdict::GroupFull { group: name(), calls, limit });
                }
                if free < reserved {
                    return Some(Verdict::LinesReserved { group: name(), free, reserved });
                }
            }
            let (cps, limit) = (meter.in_second(self.now.tick), group.max_cps?);
            (cps >= limit).then(|| Verdict::GroupCpsFull { group: name(), cps, limit })
        })
    }
}

impl Switch {
    /// Is there still room on a gateway that was kept when the call was routed?
    pub(crate) fn has_room(&self, now: Now, gateway: &Gateway) -> Verdict {
        let load = LiveLoad {
            switch: self,
            snapshot: &self.snapshot,
            now,
            destination: None,
            caller: "",
            called: "",
        };
        match routing::judge_load(gateway, &load.standing(gateway)) {
            Verdict::Kept => load.group_objection(gateway).unwrap_or(Verdict::Kept),
            verdict => verdict,
        }
    }
}
