//! The kernel's filter (`SEC-5`) as a script. The switch itself has no right to change the machine's filter: whoever
//! has it gives the script to `nft`, which `tandem firewall apply` does.

use crate::body::Body;
use crate::problem::{FieldProblem, Problem};
use crate::server::{Answer, Api};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use store::Config;
use utoipa::ToSchema;
use vocab::Transport;
use watch::firewall::{self, Filter, Network};

/// Packets a second of one unknown source, and how many at once (`SEC-4`).
const STRANGER: (u32, u32) = (20, 50);
const MOST_DENIED: usize = 10_000;

/// What the kernel is to filter.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Firewall {
    /// Networks of gateways: not limited.
    pub allow: Vec<String>,
    /// Networks that nothing is taken from.
    pub deny: Vec<String>,
    /// Gateways whose address is a name: they are treated as strangers.
    pub left_out: Vec<String>,
    /// For `nft -f`: puts our table in place of the one before, and touches no other.
    pub script: String,
    /// For `nft -f`: takes our table away.
    pub removal: String,
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirewallInput {
    /// Addresses or CIDR blocks.
    pub deny: Vec<String>,
}

/// Reads the filter as it follows from gateways and the list of denied networks.
#[utoipa::path(get, path = "/firewall", tag = "firewall", responses((status = 200, body = Firewall)))]
pub(crate) async fn get_firewall(State(api): State<Api>) -> Answer<Firewall> {
    let deny = api.store(|store| store.denied_networks()).await?;
    Ok(Json(show(&api, &deny)))
}

/// Replaces the list of denied networks. The kernel has it when the script is applied next.
#[utoipa::path(put, path = "/firewall", tag = "firewall", request_body = FirewallInput, responses((status = 200, body = Firewall)))]
pub(crate) async fn set_firewall(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<FirewallInput>,
) -> Answer<Firewall> {
    if input.deny.len() > MOST_DENIED {
        return Err(Problem::field("deny", format!("expected at most {MOST_DENIED}")));
    }
    let bad = |(n, text): (usize, &String)| match Network::parse(text) {
        Some(_) => None,
        None => Some(FieldProblem::new(format!("deny.{n}"), "expected an address or a CIDR block")),
    };
    let faults: Vec<FieldProblem> = input.deny.iter().enumerate().filter_map(bad).collect();
    if !faults.is_empty() {
        return Err(Problem::fields(faults));
    }
    let deny = input.deny.clone();
    api.store(move |store| store.set_denied_networks(&deny, &caller)).await?;
    Ok(Json(show(&api, &input.deny)))
}

fn show(api: &Api, deny: &[String]) -> Firewall {
    let (allow, left_out) = gateways(&api.store.config());
    let ports = |of: fn(Transport) -> bool| {
        let status = api.brain.status();
        status.listeners.iter().filter(|l| of(l.transport)).map(|l| l.address.port()).collect()
    };
    let filter = Filter {
        udp_ports: ports(|t| t == Transport::Udp),
        tcp_ports: ports(|t| t != Transport::Udp),
        allow,
        deny: deny.iter().filter_map(|text| Network::parse(text)).collect(),
        rate: STRANGER.0,
        burst: STRANGER.1,
    };
    let texts = |networks: &BTreeSet<Network>| networks.iter().map(ToString::to_string).collect();
    Firewall {
        allow: texts(&filter.allow),
        deny: texts(&filter.deny),
        left_out,
        script: firewall::script(&filter),
        removal: firewall::removal(),
    }
}

/// Networks of the gateways that are on, and the names of those whose address cannot stand in a set.
fn gateways(config: &Config) -> (BTreeSet<Network>, Vec<String>) {
    let (mut networks, mut left_out) = (BTreeSet::new(), Vec::new());
    for gateway in config.mapping_gateways.iter().map(|s| &s.document).filter(|g| g.enabled) {
        networks.extend(gateway.addresses.iter().filter_map(|a| network(a)));
    }
    for gateway in config.routing_gateways.iter().map(|s| &s.document).filter(|g| g.enabled) {
        match network(&gateway.address) {
            Some(network) => {
                networks.insert(network);
            }
            None if gateway.address.is_empty() => {}
            None => left_out.push(gateway.name.clone()),
        }
    }
    (networks, left_out)
}

/// An address, a network, or an address with its port.
fn network(text: &str) -> Option<Network> {
    let alone = || text.parse::<SocketAddr>().ok().and_then(|a| Network::parse(&a.ip().to_string()));
    Network::parse(text).or_else(alone)
}
