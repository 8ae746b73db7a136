//! What somebody sees who is held to one account: that account's calls and records, and of them only that side. A
//! customer never learns which vendor carried a call and what that cost, a vendor never who paid how much for it. An
//! agent sees the calls of all accounts below it, with the prices up to its own, and not those of agents above it.

use super::calls::{Call, CallLeg};
use super::cdrs::{Cdr, CdrDetail, MediaFigures};
use crate::problem::Problem;
use crate::server::Inner;
use crate::sign_in::Caller;
use std::collections::BTreeSet;
use store::config::AccountKind;
use switch::live::LiveCall;
use vocab::AccountId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Customer,
    Vendor,
}

pub(crate) struct Held {
    pub account: AccountId,
    /// Its name, and those of the accounts below it.
    names: BTreeSet<String>,
    /// The same by id.
    accounts: BTreeSet<AccountId>,
    side: Side,
}

/// The account that the caller is held to. One that is gone shows nothing.
pub(crate) fn held(api: &Inner, caller: &Caller) -> Option<Held> {
    let account = caller.account?;
    let config = api.store.config();
    let stored = config.accounts.get(account.0);
    let side = match stored.map(|s| s.document.kind) {
        Some(AccountKind::Vendor) => Side::Vendor,
        _ => Side::Customer,
    };
    let accounts = config.below(account.0);
    let names = accounts.iter().filter_map(|id| Some(config.accounts.get(*id)?.document.name.clone()));
    let names = names.collect();
    Some(Held { account, names, accounts: accounts.into_iter().map(AccountId).collect(), side })
}

impl Held {
    /// Narrows a query of records to those of the account.
    pub fn narrow(&self, filter: &mut store::CdrFilter) {
        match self.side {
            Side::Customer => filter.within = self.accounts.iter().copied().collect(),
            Side::Vendor => filter.vendor = Some(self.account),
        }
    }

    /// What is not shown must not be found out by filtering, searching or sorting either.
    pub fn refuse_probing(&self, asked: &[(&str, bool)], sort: Option<&str>) -> Result<(), Problem> {
        let hidden: &[&str] = match self.side {
            Side::Customer => &["vendor", "routing_gateway", "currency", "call_id", "q", "below_cost"],
            Side::Vendor => &[
                "account",
                "mapping_gateway",
                "prefix",
                "area",
                "currency",
                "min_fee",
                "max_fee",
                "call_id",
                "q",
                "below_cost",
            ],
        };
        let filtered = asked.iter().find(|(field, given)| *given && hidden.contains(field));
        if let Some((field, _)) = filtered {
            return Err(Problem::field(*field, "is not open to users who are held to one account"));
        }
        match sort {
            None | Some("" | "start" | "-start") => Ok(()),
            Some(_) => {
                Err(Problem::field("sort", "users who are held to one account can sort by start only"))
            }
        }
    }

    /// As the media doctor calls the side.
    fn side_name(&self) -> &'static str {
        match self.side {
            Side::Customer => "caller",
            Side::Vendor => "gateway",
        }
    }

    /// Customers see what they pay, vendors what they are owed.
    pub fn sees_fees_and_costs(&self) -> (bool, bool) {
        (self.side == Side::Customer, self.side == Side::Vendor)
    }

    pub fn owns_record(&self, record: &cdr::Cdr) -> bool {
        let own = match self.side {
            Side::Customer => record.account.as_ref().map(|a| a.id),
            Side::Vendor => record.vendor.as_ref().map(|v| v.id),
        };
        own.is_some_and(|own| self.owns(own))
    }

    pub fn owns(&self, account: AccountId) -> bool {
        self.accounts.contains(&account)
    }

    pub fn owns_call(&self, call: &LiveCall) -> bool {
        let own = match self.side {
            Side::Customer => call.account.as_deref(),
            Side::Vendor => call.vendor.as_deref(),
        };
        own.is_some_and(|own| self.names.contains(own))
    }

    pub fn mask_record(&self, record: &mut Cdr) {
        record.profit = None;
        record.below_cost = false;
        record.end_text = None;
        match self.side {
            Side::Customer => {
                // The agents above this one are none of its business.
                let own = record.agents.iter().position(|agent| agent.id == self.account.to_string());
                record.agents.truncate(own.map_or(0, |own| own + 1));
                record.vendor = None;
                record.routing_gateway = None;
                record.cost = None;
                record.cost_rate = None;
                record.caller_sent = None;
                record.callee_sent = None;
                record.media_b = MediaFigures::default();
                record.call_id_b.clear();
                record.remote_b = None;
                record.user_agent_b = None;
                record.codec_b = None;
            }
            Side::Vendor => {
                record.account = None;
                record.mapping_gateway = None;
                record.fee = None;
                record.tax = None;
                record.agents.clear();
                record.rate = None;
                record.billed_s = 0;
                record.media_a = MediaFigures::default();
                record.call_id_a.clear();
                record.remote_a = None;
                record.user_agent_a = None;
                record.codec_a = None;
            }
        }
    }

    /// Attempts and the explanation name vendors, margins and other accounts: nothing of them is shown.
    pub fn mask_detail(&self, detail: &mut CdrDetail) {
        self.mask_record(&mut detail.cdr);
        detail.attempts.clear();
        detail.silent.retain(|s| s.side == self.side_name());
        detail.corrections.retain(|one| self.names.contains(&one.account));
        detail.route.steps.clear();
        detail.route.candidates.clear();
    }

    pub fn mask_call(&self, call: &mut Call) {
        call.silent.retain(|s| s.side == self.side_name());
        match self.side {
            Side::Customer => {
                call.vendor = None;
                call.routing_gateway = None;
                call.cost_rate = None;
                call.b = CallLeg::default();
            }
            Side::Vendor => {
                call.account = None;
                call.mapping_gateway = None;
                call.rate = None;
                call.charged_so_far = None;
                call.reserved = vocab::Money::ZERO;
                call.a = CallLeg::default();
            }
        }
    }
}
