//! What a routing gateway is told about the caller: From, identity headers, privacy, passed headers, numbers of a pool.

use crate::call::Call;
use crate::rewriting::Parties;
use crate::snapshot::{CallerPool, OutgoingIdentity, PassedHeaders, RoutingGateway};
use params::DisplayFrom;
use std::collections::HashMap;
use std::sync::Arc;
use vocab::identity::{Claim, ClaimMode, PoolOrder, PrivacyMode, SentIdentity, hides_caller};
use vocab::leg::Setup;
use vocab::{Random, RoutingGatewayId};

/// RFC 3323 §4.1.1.3: how a caller is called that is not to be known.
const NOBODY: &str = "anonymous@anonymous.invalid";
/// Passed headers of one call, and their bytes: what a caller writes is carried to others, but not without bound.
const MAX_PASSED: usize = 64;
const MAX_PASSED_BYTES: usize = 8192;

/// The parts of an INVITE that say who calls.
pub(crate) struct Told {
    pub caller: String,
    pub display: Option<String>,
    pub from_host: Option<String>,
    pub to: Option<String>,
    pub identity: SentIdentity,
    pub extra_headers: Vec<(String, String)>,
}

/// In the order of `SIG-16`: privacy, display mode, domain.
pub(crate) fn told(call: &Call, gateway: &RoutingGateway, numbers: &Parties) -> Told {
    let rules = &gateway.identity;
    let caller = numbers.caller.as_str();
    let privacy = privacy(call, rules.privacy);
    let hidden = privacy.as_deref().is_some_and(hides_caller);
    let received = &call.setup.numbers.from_display;
    let display = match gateway.params.sip_e164_display_from {
        _ if hidden => Some("Anonymous".to_owned()),
        DisplayFrom::Ignore => received.clone(),
        DisplayFrom::Number => Some(caller.to_owned()),
        DisplayFrom::E164 => Some(format!("+{}", caller.trim_start_matches('+'))),
    };
    let domain = &call.snapshot.params.local_ip_domain;
    let original = call.received.as_ref().map(|r| r.called.as_str().to_owned());
    Told {
        caller: if hidden { NOBODY.to_owned() } else { caller.to_owned() },
        display,
        from_host: (rules.local_domain && !domain.is_empty()).then(|| domain.to_string()),
        to: original.filter(|_| gateway.params.sip_routing_gateway_invite_use_contact),
        identity: identity(call, rules, gateway.route.id, caller, privacy),
        extra_headers: passed(&rules.passed_headers, &call.setup),
    }
}

fn privacy(call: &Call, mode: PrivacyMode) -> Option<String> {
    match mode {
        PrivacyMode::None => None,
        PrivacyMode::Id => Some("id".to_owned()),
        PrivacyMode::Passthrough => {
            let supported = call.gateway.as_ref().is_some_and(|g| g.support_privacy);
            call.setup.numbers.privacy.clone().filter(|_| supported)
        }
    }
}

fn identity(
    call: &Call,
    rules: &OutgoingIdentity,
    gateway: RoutingGatewayId,
    caller: &str,
    privacy: Option<String>,
) -> SentIdentity {
    let received = &call.setup.identity;
    let claim = |mode, received: &Vec<String>, number: &dyn Fn() -> String| match mode {
        ClaimMode::None => Claim::Nothing,
        ClaimMode::Passthrough if received.is_empty() => Claim::Nothing,
        ClaimMode::Passthrough => Claim::AsReceived(received.clone()),
        // A caller that told nobody who it is cannot be vouched for.
        ClaimMode::Caller if caller.is_empty() || caller.eq_ignore_ascii_case("anonymous") => Claim::Nothing,
        ClaimMode::Caller => Claim::Number(number()),
    };
    let plain = || caller.to_owned();
    let planned = || {
        let mut draw = Random::from_number(call.pick ^ u64::from(gateway.0));
        rules.asserted_rewrite.apply(caller, &mut draw).map_or_else(plain, |made| made.number)
    };
    SentIdentity {
        asserted: claim(rules.asserted, &received.asserted, &planned),
        preferred: claim(rules.preferred, &received.preferred, &plain),
        remote_party: claim(rules.remote_party, &received.remote_party, &plain),
        privacy,
    }
}

fn passed(rule: &PassedHeaders, setup: &Setup) -> Vec<(String, String)> {
    let wanted = |name: &str| match rule {
        PassedHeaders::None => false,
        PassedHeaders::All => true,
        PassedHeaders::Named(list) => list.iter().any(|n| n.eq_ignore_ascii_case(name)),
    };
    let mut bytes = 0;
    let headers = setup.extra_headers.iter().filter(|(name, _)| wanted(name)).take(MAX_PASSED);
    let short = headers.take_while(|(name, value)| {
        bytes += name.len() + value.len();
        bytes <= MAX_PASSED_BYTES
    });
    short.cloned().collect()
}

/// The use of the numbers of all pools.
#[derive(Debug, Default)]
pub(crate) struct PoolUse {
    calls: HashMap<(RoutingGatewayId, Arc<str>), u32>,
    /// Where the next round begins.
    turns: HashMap<RoutingGatewayId, usize>,
}

impl PoolUse {
    /// A number that is free, in the order of the pool; `None` when all are in use.
    pub fn take(&mut self, gateway: RoutingGatewayId, pool: &CallerPool, pick: u64) -> Option<Arc<str>> {
        let count = pool.numbers.len();
        let start = match pool.order {
            PoolOrder::RoundRobin => self.turns.get(&gateway).copied().unwrap_or(0),
            PoolOrder::Random => {
                let below = u64::try_from(count).unwrap_or(1).max(1);
                usize::try_from(Random::from_number(pick ^ u64::from(gateway.0)).below(below)).unwrap_or(0)
            }
        };
        let places = (0..count).map(|i| (start + i) % count);
        for place in places {
            let Some(number) = pool.numbers.get(place) else { continue };
            let used = self.calls.entry((gateway, number.clone())).or_default();
            if pool.multiplexes.is_none_or(|most| *used < most) {
                *used += 1;
                self.turns.insert(gateway, place + 1);
                return Some(number.clone());
            }
        }
        None
    }

    /// A call of the process before uses it.
    pub fn take_again(
        &mut self,
        gateway: RoutingGatewayId,
        pool: &CallerPool,
        number: &str,
    ) -> Option<Arc<str>> {
        let number = pool.numbers.iter().find(|n| ***n == *number)?;
        *self.calls.entry((gateway, number.clone())).or_default() += 1;
        Some(number.clone())
    }

    pub fn give_back(&mut self, gateway: RoutingGatewayId, number: Arc<str>) {
        let key = (gateway, number);
        match self.calls.get_mut(&key) {
            Some(used) if *used > 1 => *used -= 1,
            Some(_) => {
                self.calls.remove(&key);
            }
            None => {}
        }
    }

    /// Numbers in use.
    pub fn used(&self) -> usize {
        self.calls.len()
    }
}
