//! Numbers are changed by rules (`RTE-2`): on the way in by the mapping gateway's and the switch's own, on the way out
//! by the routing gateway's.

use crate::snapshot::{MappingGateway, RoutingGateway, Snapshot};
use routing::Rules;
use vocab::explain::RouteExplanation;
use vocab::number::NumberError;
use vocab::{DialString, Random, RoutingGatewayId, Utc};

/// Both numbers of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parties {
    pub caller: String,
    pub called: DialString,
}

/// Applies the rules of the way in. An error: what is left of the called number is none.
pub(crate) fn incoming(
    snapshot: &Snapshot,
    gateway: &MappingGateway,
    mut parties: Parties,
    (pick, at): (u64, Utc),
    why: &mut RouteExplanation,
) -> Result<Parties, NumberError> {
    let mut draw = Random::from_number(pick);
    let own = snapshot.rules_at(&gateway.rewriting, &gateway.calling.scheduled, at);
    for (whose, rewriting) in [("the mapping gateway", own), ("the switch", snapshot.rewriting.as_ref())] {
        if let Some(number) = applied(&rewriting.caller, &parties.caller, &mut draw, |words| {
            why.step("caller rewritten", true, format!("by {whose}: {words}"));
        }) {
            parties.caller = number;
        }
        if let Some(number) = applied(&rewriting.called, parties.called.as_str(), &mut draw, |words| {
            why.step("called rewritten", true, format!("by {whose}: {words}"));
        }) {
            parties.called = DialString::parse(&number)?;
        }
    }
    Ok(parties)
}

/// The numbers as a routing gateway gets them. What is drawn depends on the call and the gateway alone, so that a
/// number is priced and sent alike.
pub(crate) fn outgoing(
    snapshot: &Snapshot,
    gateway: &RoutingGateway,
    parties: &Parties,
    (pick, at): (u64, Utc),
    mut tell: impl FnMut(&'static str, String),
) -> Result<Parties, NumberError> {
    let rewriting = snapshot.rules_at(&gateway.rewriting, &gateway.scheduled, at);
    let mut draw = draw_of(pick, gateway.route.id, 0);
    let caller = applied(&rewriting.caller, &parties.caller, &mut draw, |w| tell("caller rewritten", w));
    let called =
        outgoing_called(snapshot, gateway, &parties.called, (pick, at), |w| tell("called rewritten", w))?;
    Ok(Parties { caller: caller.unwrap_or_else(|| parties.caller.clone()), called })
}

/// The called number as a routing gateway gets it.
pub(crate) fn outgoing_called(
    snapshot: &Snapshot,
    gateway: &RoutingGateway,
    called: &DialString,
    (pick, at): (u64, Utc),
    tell: impl FnMut(String),
) -> Result<DialString, NumberError> {
    let rewriting = snapshot.rules_at(&gateway.rewriting, &gateway.scheduled, at);
    let mut draw = draw_of(pick, gateway.route.id, 1);
    match applied(&rewriting.called, called.as_str(), &mut draw, tell) {
        Some(number) => DialString::parse(&number),
        None => Ok(called.clone()),
    }
}

fn draw_of(pick: u64, gateway: RoutingGatewayId, side: u64) -> Random {
    Random::from_number(pick ^ (u64::from(gateway.0) << 1 | side).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn applied(rules: &Rules, number: &str, draw: &mut Random, mut tell: impl FnMut(String)) -> Option<String> {
    let made = rules.apply(number, draw)?;
    let rule = rules.texts().get(made.rule).map(String::as_str).unwrap_or_default();
    tell(format!("{number} becomes {} ({rule})", made.number));
    Some(made.number)
}
