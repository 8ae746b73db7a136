//! What a user may do (`SEC-8`): rights by area and action, and which right each request needs.
//!
//! A request that no line of [`needed`] knows needs every right, so a new route is open to administrators only until
//! somebody gives it a line; a test goes through the OpenAPI document and asks for one.

use axum::http::Method;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Part of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Calls in progress, and the overview.
    Calls,
    /// Call detail records and reports.
    Records,
    Accounts,
    /// Ledger and payments.
    Money,
    Rates,
    /// Gateways, number plans, lists, and trying a route.
    Routing,
    /// Parameters, business files, checks.
    System,
    /// Users, roles, keys, access, the audit log.
    Security,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    View,
    Edit,
    /// Taking whole lists away as files.
    Export,
}

const AREAS: [Area; 8] = [
    Area::Calls,
    Area::Records,
    Area::Accounts,
    Area::Money,
    Area::Rates,
    Area::Routing,
    Area::System,
    Area::Security,
];
const ACTIONS: [Action; 3] = [Action::View, Action::Edit, Action::Export];

/// One right, written like `accounts.edit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right(pub Area, pub Action);

impl Right {
    pub fn all() -> impl Iterator<Item = Right> {
        AREAS.into_iter().flat_map(|area| ACTIONS.into_iter().map(move |action| Right(area, action)))
    }

    pub fn parse(text: &str) -> Option<Right> {
        Right::all().find(|right| right.to_string() == text)
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let area = match self.0 {
            Area::Calls => "calls",
            Area::Records => "records",
            Area::Accounts => "accounts",
            Area::Money => "money",
            Area::Rates => "rates",
            Area::Routing => "routing",
            Area::System => "system",
            Area::Security => "security",
        };
        let action = match self.1 {
            Action::View => "view",
            Action::Edit => "edit",
            Action::Export => "export",
        };
        write!(f, "{area}.{action}")
    }
}

pub type Rights = BTreeSet<Right>;

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nobody need be signed in.
    Nothing,
    /// Anybody who is signed in, whatever the role.
    SignedIn,
    One(Right),
    /// Every right there is.
    All,
}

/// Which right a request below `/api/v1` needs.
pub(crate) fn needed(method: &Method, path: &str) -> Need {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let action = if method.is_safe() { Action::View } else { Action::Edit };
    let area = match parts.as_slice() {
        ["openapi.json"] => return Need::Nothing,
        ["session"] if method == Method::POST => return Need::Nothing,
        ["session", ..] | ["end-reasons"] => return Need::SignedIn,
        // Trying something out changes nothing.
        ["route", "simulate" | "rewrite"] => return Need::One(Right(Area::Routing, Action::View)),
        ["check"] => return Need::One(Right(Area::System, Action::View)),
        ["export"] => return Need::One(Right(Area::System, Action::Export)),
        // The messages of many calls leave the house as a file.
        ["captures", "pcap" | "text"] => return Need::One(Right(Area::Calls, Action::Export)),
        ["captures" | "metrics", ..] => Area::Calls,
        ["alarms" | "alarm-rules", ..] => Area::System,
        // Trying rules out reads records and changes nothing.
        ["fraud", "try"] => return Need::One(Right(Area::Records, Action::View)),
        ["firewall"] | ["fraud-rules"] => Area::Security,
        ["traces" | "monitor" | "log" | "selftest", ..] => Area::System,
        ["cdr-exports", ..] => return Need::One(Right(Area::Records, Action::Export)),
        ["overview" | "status" | "live" | "calls", ..] => Area::Calls,
        ["cdrs" | "cdr-totals" | "reports", ..] => Area::Records,
        ["accounts", _, "ledger" | "payments" | "transfers", ..] => Area::Money,
        ["reratings", ..] => Area::Money,
        ["accounts", ..] => Area::Accounts,
        ["rate-groups", ..] => Area::Rates,
        [
            "mapping-gateways" | "routing-gateways" | "gateway-groups" | "calendars" | "number-lists"
            | "dynamic-black-list",
            ..,
        ] => Area::Routing,
        ["phones" | "registrations" | "keep-alive", ..] => Area::Routing,
        ["parameters" | "apply" | "changes", ..] => Area::System,
        ["users" | "roles" | "keys" | "access" | "audit" | "cdr-stream", ..] => Area::Security,
        _ => return Need::All,
    };
    Need::One(Right(area, action))
}

/// What a user who is held to one account may ask for at all; each of these shows only that account's part.
pub(crate) fn open_to_held(method: &Method, path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["session", ..] => true,
        ["accounts"]
        | ["accounts", _]
        | ["accounts", _, "ledger"]
        | ["calls"]
        | ["calls", _]
        | ["cdrs"]
        | ["cdrs", _]
        | ["cdr-totals"]
        | ["end-reasons"] => method.is_safe(),
        _ => false,
    }
}

/// Rights of a role that comes with the program.
pub(crate) fn built_in(role: &str) -> Option<Rights> {
    let viewing = |areas: &[Area]| areas.iter().map(|a| Right(*a, Action::View)).collect::<Rights>();
    let all_but_security = || Right::all().filter(|r| r.0 != Area::Security);
    match role {
        ADMINISTRATOR => Some(Right::all().collect()),
        "operator" => Some(all_but_security().filter(|r| *r != Right(Area::Money, Action::Edit)).collect()),
        "finance" => {
            let mut rights = viewing(&[Area::Calls, Area::Records, Area::Accounts, Area::Money, Area::Rates]);
            rights.extend([Right(Area::Money, Action::Edit), Right(Area::Records, Action::Export)]);
            Some(rights)
        }
        "viewer" => Some(all_but_security().filter(|r| r.1 == Action::View).collect()),
        _ => None,
    }
}

pub(crate) const ADMINISTRATOR: &str = "administrator";
pub(crate) const BUILT_IN: [&str; 4] = [ADMINISTRATOR, "operator", "finance", "viewer"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_written_and_read() {
        for right in Right::all() {
            assert_eq!(Right::parse(&right.to_string()), Some(right));
        }
        for bad in ["", "accounts", "accounts.", "accounts.delete", "Accounts.view"] {
            assert_eq!(Right::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_requests_need() {
        let right = |area, action| Need::One(Right(area, action));
        for (method, path, want) in [
            (Method::GET, "/accounts", right(Area::Accounts, Action::View)),
            (Method::DELETE, "/accounts/acme", right(Area::Accounts, Action::Edit)),
            (Method::GET, "/accounts/acme/ledger", right(Area::Money, Action::View)),
            (Method::POST, "/accounts/acme/payments", right(Area::Money, Action::Edit)),
            (Method::POST, "/accounts/acme/transfers", right(Area::Money, Action::Edit)),
            (Method::POST, "/route/simulate", right(Area::Routing, Action::View)),
            (Method::POST, "/session", Need::Nothing),
            (Method::DELETE, "/session", Need::SignedIn),
            (Method::GET, "/something/new", Need::All),
            (Method::GET, "/", Need::All),
        ] {
            assert_eq!(needed(&method, path), want, "{method} {path}");
        }
    }

    /// A new route must say what it needs.
    #[test]
    fn every_operation_of_the_document_has_its_right() {
        let (_, document) = crate::openapi::router_and_document();
        for (path, item) in &document.paths.paths {
            let path = path.strip_prefix(crate::openapi::PREFIX).unwrap();
            let methods = [
                (Method::GET, item.get.is_some()),
                (Method::POST, item.post.is_some()),
                (Method::PUT, item.put.is_some()),
                (Method::DELETE, item.delete.is_some()),
            ];
            for (method, _) in methods.into_iter().filter(|(_, there)| *there) {
                assert_ne!(needed(&method, path), Need::All, "{method} {path}: add it to `needed`");
            }
        }
    }

    #[test]
    fn only_administrators_see_to_security_and_operators_pay_nobody() {
        for role in ["operator", "finance", "viewer"] {
            let rights = built_in(role).unwrap();
            assert!(rights.iter().all(|r| r.0 != Area::Security), "{role}");
        }
        assert!(!built_in("operator").unwrap().contains(&Right(Area::Money, Action::Edit)));
        assert_eq!(built_in("administrator").unwrap().len(), Right::all().count());
        assert_eq!(built_in("nobody"), None);
    }
}
