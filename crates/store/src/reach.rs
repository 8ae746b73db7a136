//! What a change takes away from customers: mapping gateways and prefixes to which no gateway leads any more (`RTE-18`).

use crate::config::{Config, MappingGateway, RoutingGateway};
use std::collections::BTreeSet;

/// Warnings that are given at once.
const MAX_WARNINGS: usize = 200;

/// Routes that were there before the change and are not after it, in words.
pub(crate) fn lost(before: &Config, after: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for stored in before.mapping_gateways.iter().filter(|g| g.document.enabled) {
        // One that is gone, or off, was meant to have no calls.
        let Some(now) = after.mapping_gateways.get(stored.id).filter(|g| g.document.enabled) else {
            continue;
        };
        let (had, has) = (prefixes(&stored.document, before), prefixes(&now.document, after));
        let name = &now.document.name;
        if had.is_empty() || had == has {
            continue;
        }
        if has.is_empty() {
            warnings.push(format!("mapping gateway {name:?} is left without any routing gateway"));
        } else {
            let covered =
                |prefix: &str| (0..=prefix.len()).any(|n| prefix.get(..n).is_some_and(|p| has.contains(p)));
            let gone: Vec<&str> = had.iter().map(String::as_str).filter(|p| !covered(p)).collect();
            if !gone.is_empty() {
                let more = gone.len().saturating_sub(10);
                let shown: Vec<&str> = gone.into_iter().take(10).collect();
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let shown = shown.join(", ");
                warnings.push(format!("mapping gateway {name:?} has no route to {shown}{more} any more"));
            }
        }
        if warnings.len() >= MAX_WARNINGS {
            break;
        }
    }
    warnings
}

/// Prefixes of all gateways that calls of this one may use.
fn prefixes(from: &MappingGateway, config: &Config) -> BTreeSet<String> {
    let usable =
        config.routing_gateways.iter().map(|g| &g.document).filter(|g| g.enabled && permits(from, g));
    usable
        .flat_map(|g| g.prefixes.iter().chain(g.routing.prefixes.iter().map(|p| &p.prefix)))
        .cloned()
        .collect()
}

/// By names what [`routing::Access::permits`] says by ids.
fn permits(from: &MappingGateway, gateway: &RoutingGateway) -> bool {
    let (caller, taker) = (&from.routing, &gateway.routing);
    let grouped = |groups: &[String]| taker.groups.iter().any(|g| groups.contains(g));
    let unrestricted = caller.allowed_gateways.is_empty() && caller.allowed_groups.is_empty();
    (unrestricted || grouped(&caller.allowed_groups) || caller.allowed_gateways.contains(&gateway.name))
        && !grouped(&caller.forbidden_groups)
        && !caller.forbidden_gateways.contains(&gateway.name)
        && (taker.allowed_mapping_gateways.is_empty() || taker.allowed_mapping_gateways.contains(&from.name))
        && !taker.forbidden_mapping_gateways.contains(&from.name)
}
