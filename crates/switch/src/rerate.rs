//! The price of a call that is over by the rates of today, or by those of a given group (`BIL-11`).

use crate::settle;
use crate::snapshot::Snapshot;
use crate::tariff;
use billing::pricing;
use billing::rate::RateGroup;
use cdr::{Cdr, Priced};
use std::sync::Arc;
use vocab::prefix::Packed;
use vocab::{AccountId, DialString, Money, RateGroupId};

/// What one account paid for a call (of a vendor: was owed), and what it would be by the other rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repriced {
    pub account: AccountId,
    pub vendor: bool,
    /// As the CDR has it.
    pub before: Money,
    pub after: Result<NewPrice, Unpriced>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPrice {
    pub rate_group: Arc<str>,
    pub prefix: String,
    pub amount: Money,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpriced {
    /// The account is not configured any more.
    NoAccount,
    /// The number that was priced does not stand in the CDR: rules had changed it.
    NoNumber,
    NoRate,
    /// Beyond what money can hold, or in another currency.
    NotBookable,
}

impl Unpriced {
    pub fn words(self) -> &'static str {
        match self {
            Unpriced::NoAccount => "the account is not there any more",
            Unpriced::NoNumber => {
                "rules had changed the number, and the record does not have it as it was priced"
            }
            Unpriced::NoRate => "there is no rate for the number",
            Unpriced::NotBookable => "the rate is in another currency, or the price is too large",
        }
    }
}

/// Prices the customer's, the agents' and the vendor's side of an answered call again; of `only` one account, when it
/// is given. The talk that counts stays as it was billed.
pub fn reprice(
    snapshot: &Snapshot,
    cdr: &Cdr,
    only: Option<AccountId>,
    given: Option<RateGroupId>,
) -> Vec<Repriced> {
    let customer = cdr.account.iter().zip(&cdr.sale).map(|(account, price)| (account.id, price, false));
    let agents = cdr.agents.iter().map(|agent| (agent.account.id, &agent.price, false));
    let vendor = cdr.vendor.iter().zip(&cdr.cost).map(|(account, price)| (account.id, price, true));
    let all = customer.chain(agents).chain(vendor).filter(|(id, ..)| only.is_none_or(|only| only == *id));
    all.map(|(account, price, vendor)| Repriced {
        account,
        vendor,
        before: price.amount,
        after: price_again(snapshot, cdr, account, price, vendor, given),
    })
    .collect()
}

fn price_again(
    snapshot: &Snapshot,
    cdr: &Cdr,
    account: AccountId,
    price: &Priced,
    vendor: bool,
    given: Option<RateGroupId>,
) -> Result<NewPrice, Unpriced> {
    let number = Packed::of(&number_of(cdr, price).ok_or(Unpriced::NoNumber)?);
    let account = snapshot.accounts.get(&account).ok_or(Unpriced::NoAccount)?;
    let is_customer = cdr.account.as_ref().is_some_and(|own| own.id == account.id) && !vendor;
    let gateway = match (vendor, is_customer) {
        (true, _) => {
            let gateway = cdr.routing_gateway.as_ref().and_then(|g| snapshot.routing_gateways.get(&g.id));
            gateway.and_then(|gateway| gateway.rate_group)
        }
        (false, true) => {
            let gateway = cdr.mapping_gateway.as_ref().and_then(|g| snapshot.mapping_gateway(g.id));
            gateway.and_then(|gateway| gateway.rate_group)
        }
        (false, false) => None,
    };
    let tables = match given {
        Some(group) => [Some(group), None, None],
        None => [gateway, account.private_rates, account.rate_group],
    };
    let applied = match vendor {
        true => tariff::nearest(snapshot, tables, number, cdr.start),
        false => tariff::chosen(snapshot, tables, number, cdr.start),
    };
    let applied = applied.ok_or(Unpriced::NoRate)?;
    if applied.group.currency != price.currency {
        return Err(Unpriced::NotBookable);
    }
    let group: &RateGroup = &applied.group;
    let rate = group.through(number, &applied.rate, cdr.answer.unwrap_or(cdr.start));
    let gateway = cdr.mapping_gateway.as_ref().and_then(|g| snapshot.mapping_gateway(g.id));
    let rounding = settle::rounding(gateway.map_or(&snapshot.params, |gateway| &gateway.params));
    let charge = pricing::charge(&rate, price.billed_s, &rounding).map_err(|_| Unpriced::NotBookable)?;
    let (rate_group, prefix) = (group.name.clone(), applied.prefix.to_string());
    Ok(NewPrice { rate_group, prefix, amount: charge.amount })
}

/// The number that the price was found by: the one of the call that begins with the price's prefix.
fn number_of(cdr: &Cdr, price: &Priced) -> Option<String> {
    let numbers = [Some(cdr.called.received.as_str()), cdr.called.sent.as_deref()];
    let digits =
        numbers.into_iter().flatten().filter_map(|n| Some(DialString::parse(n).ok()?.digits().to_owned()));
    let prefix: &str = if price.prefix.bytes().all(|b| b.is_ascii_digit()) { &price.prefix } else { "" };
    digits.into_iter().find(|number| number.starts_with(prefix))
}
