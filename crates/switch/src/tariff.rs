//! Which rate a call is charged by, and which one the vendor charges (`BIL-5`).

use crate::call::{Applied, Call};
use crate::snapshot::{Account, MappingGateway, RoutingGateway, Seller, Snapshot};
use billing::rate::{Rate, RateGroup};
use params::RateChoice;
use std::borrow::Cow;
use std::sync::Arc;
use vocab::prefix::{Matched, Packed};
use vocab::{DialString, RateGroupId, Utc};

/// A rate, still in its table.
pub(crate) struct Found<'a> {
    pub group: &'a Arc<RateGroup>,
    pub prefix: Matched,
    pub number: Packed,
    pub rate: Cow<'a, Rate>,
}

impl Found<'_> {
    pub fn applied(self) -> Applied {
        let Found { group, prefix, number, rate } = self;
        Applied { group: group.clone(), prefix, number, rate: rate.into_owned() }
    }
}

/// The customer's rate. The tables are asked from the nearest to the farthest: the gateway's, the account's own, the
/// account's rate group. The first that has a rate decides whether the destination is locked; of those that are open
/// the cheapest is charged, or the first.
pub(crate) fn sale(
    snapshot: &Snapshot,
    gateway: &MappingGateway,
    account: &Account,
    number: Packed,
    at: Utc,
) -> Option<Applied> {
    chosen(snapshot, [gateway.rate_group, account.private_rates, account.rate_group], number, at)
}

/// What an agent pays for a call of an account below it (`BIL-9`).
pub(crate) fn agent_price(snapshot: &Snapshot, agent: &Account, number: Packed, at: Utc) -> Option<Applied> {
    chosen(snapshot, [None, agent.private_rates, agent.rate_group], number, at)
}

pub(crate) fn chosen(
    snapshot: &Snapshot,
    tables: [Option<RateGroupId>; 3],
    number: Packed,
    at: Utc,
) -> Option<Applied> {
    let mut rates = tables.into_iter().filter_map(|group| find(snapshot, group, number, at));
    let mut best = rates.next()?;
    if best.rate.locked || snapshot.params.billing_rate_choice == RateChoice::MostSpecific {
        return Some(best.applied());
    }
    for other in rates.take_while(|other| !other.rate.locked) {
        let price = |found: &Found<'_>| (found.rate.first_minute(), found.rate.price_per_minute);
        if price(&other) < price(&best) {
            best = other;
        }
    }
    Some(best.applied())
}

/// The nearest of these tables that has a rate, as vendors bill.
pub(crate) fn nearest(
    snapshot: &Snapshot,
    tables: [Option<RateGroupId>; 3],
    number: Packed,
    at: Utc,
) -> Option<Applied> {
    tables.into_iter().find_map(|group| find(snapshot, group, number, at)).map(Found::applied)
}

/// What the vendor charges for a number: the nearest of its tables that has a rate, because a vendor does not bill
/// the cheapest. `None` also where that rate is locked.
pub(crate) fn cost<'a>(seller: &'a Seller, number: Packed, at: Utc) -> Option<Found<'a>> {
    let found = seller.tables.iter().find_map(|group| found(group, number, at));
    found.filter(|found| !found.rate.locked)
}

/// The number that the vendor's rate is looked up by: with `SERVER_BILLING_GATEWAY_ROUTE_PREFIX` without the prefix
/// that led to the gateway.
pub(crate) fn billed_number(
    snapshot: &Snapshot,
    gateway: &RoutingGateway,
    called: &DialString,
    packed: Packed,
) -> Packed {
    if !snapshot.params.billing_gateway_route_prefix {
        return packed;
    }
    let digits = called.digits();
    let stripped = gateway.route.all_prefixes().filter_map(|prefix| digits.strip_prefix(prefix.as_str()));
    stripped.min_by_key(|rest| rest.len()).map_or(packed, Packed::of)
}

/// The vendor's rate for a number that is sent to the gateway.
pub(crate) fn cost_of(
    snapshot: &Snapshot,
    gateway: &RoutingGateway,
    called: &DialString,
    at: Utc,
) -> Option<Applied> {
    let number = billed_number(snapshot, gateway, called, Packed::of(called.digits()));
    cost(snapshot.seller(gateway.route.id)?, number, at).map(Found::applied)
}

fn find(snapshot: &Snapshot, group: Option<RateGroupId>, number: Packed, at: Utc) -> Option<Found<'_>> {
    found(snapshot.rate_groups.get(&group?)?, number, at)
}

fn found(group: &Arc<RateGroup>, number: Packed, at: Utc) -> Option<Found<'_>> {
    let (prefix, rate) = group.at(number, at)?;
    Some(Found { group, prefix, number, rate })
}

/// From the answer on it is known when each rate changes (`BIL-8`).
pub(crate) fn through_call(call: &mut Call, answered: Utc) {
    let cost = call.current.as_mut().and_then(|current| current.cost.as_mut());
    for applied in call.payers.iter_mut().map(|payer| &mut payer.sale).chain(cost) {
        applied.rate = applied.group.through(applied.number, &applied.rate, answered);
    }
}
