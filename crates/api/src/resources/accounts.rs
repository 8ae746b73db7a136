//! Accounts: who is billed (`BIL-1`), with their money of this moment.

use super::{same_variants, unexpected};
use crate::body::Asked;
use crate::body::Body;
use crate::clock::Timestamp;
use crate::documents;
use crate::grid::{Cell, Column, Direction, Grid};
use crate::listing;
use crate::listing::Page;
use crate::listing::list_query;
use crate::problem::Problem;
use crate::server::Answer;
use crate::server::Api;
use crate::server::{Inner, versioned};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::Response;
use billing::{PaymentMode, Percent};
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Stored;
use store::config;
use switch::{ControlReply, ControlRequest};
use utoipa::ToSchema;
use vocab::{AccountId, Utc};
use vocab::{Currency, Money};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    Customer,
    Vendor,
    Agent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentTerms {
    #[default]
    Prepaid,
    Postpaid,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    #[default]
    Normal,
    Locked,
}

/// May the account call now, and if not, why?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    Normal,
    Locked,
    Expired,
    NoMoney,
}

/// What an operator decides about an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountInput {
    pub name: String,
    pub kind: AccountKind,
    /// The customer number of the operator's books.
    #[serde(default)]
    pub number: String,
    /// The agent that it is a customer of.
    #[serde(default)]
    pub agent: Option<String>,
    #[serde(default)]
    pub payment: PaymentTerms,
    /// Three letters, ISO 4217.
    #[schema(value_type = String, examples("USD"))]
    pub currency: Currency,
    /// How far the balance may go below zero; `null`: no credit for prepaid accounts, no bound for post-paid ones.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("0.00"))]
    pub credit_limit: Option<Money>,
    /// What the account pays, or for a vendor, is paid.
    #[serde(default)]
    pub rate_group: Option<String>,
    /// A rate group of its own, which stands before the other.
    #[serde(default)]
    pub private_rates: Option<String>,
    #[serde(default)]
    pub status: AccountStatus,
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
    /// Money is reserved and calls end when it ends. Off: the balance may go below.
    #[serde(default = "super::yes")]
    pub anti_overdraft: bool,
    #[serde(default)]
    pub max_concurrency: Option<u32>,
    #[serde(default)]
    pub max_cps: Option<u32>,
    /// The longest conversation, in seconds.
    #[serde(default)]
    pub max_call_duration: Option<u32>,
    /// Most minutes of talk in a day of its time zone.
    #[serde(default)]
    pub max_minutes_per_day: Option<u32>,
    #[serde(default)]
    pub max_minutes_per_month: Option<u32>,
    /// Most money for calls in a day of its time zone.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub max_money_per_day: Option<Money>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub max_money_per_month: Option<Money>,
    /// Where its days begin, as in the tz database.
    #[serde(default = "super::utc_zone")]
    pub time_zone: String,
    /// On its calls, in per cent; written down with each, not taken from the balance.
    #[serde(default)]
    #[schema(value_type = String, examples("19"))]
    pub tax_rate: Percent,
    /// Below this balance (of a vendor: of what is prepaid) the account is told as low.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub low_balance: Option<Money>,
    /// Whom to call or write to, one in each line.
    #[serde(default)]
    pub contacts: String,
    /// Black and white lists of its customers' calls.
    #[serde(default)]
    pub lists: config::ListRules,
    #[serde(default)]
    pub notes: String,
    /// Paid in once, when the account is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, examples("10.00"))]
    pub opening_balance: Option<Money>,
}

/// An account with its money of this moment.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Account {
    pub id: String,
    pub name: String,
    pub kind: AccountKind,
    pub number: String,
    pub agent: Option<String>,
    pub payment: PaymentTerms,
    pub currency: String,
    #[schema(value_type = Option<String>)]
    pub credit_limit: Option<Money>,
    pub rate_group: Option<String>,
    pub private_rates: Option<String>,
    pub status: AccountStatus,
    pub valid_until: Option<Timestamp>,
    pub anti_overdraft: bool,
    pub max_concurrency: Option<u32>,
    pub max_cps: Option<u32>,
    pub max_call_duration: Option<u32>,
    pub max_minutes_per_day: Option<u32>,
    pub max_minutes_per_month: Option<u32>,
    #[schema(value_type = Option<String>)]
    pub max_money_per_day: Option<Money>,
    #[schema(value_type = Option<String>)]
    pub max_money_per_month: Option<Money>,
    pub time_zone: String,
    #[schema(value_type = String)]
    pub tax_rate: Percent,
    #[schema(value_type = Option<String>)]
    pub low_balance: Option<Money>,
    pub contacts: String,
    pub lists: config::ListRules,
    pub notes: String,
    pub version: String,
    #[schema(value_type = String)]
    pub balance: Money,
    /// Held for calls in progress.
    #[schema(value_type = String)]
    pub reserved: Money,
    /// What may still be spent; `null`: no bound.
    #[schema(value_type = Option<String>)]
    pub available: Option<Money>,
    /// Calls in progress.
    pub calls: u32,
    pub state: AccountState,
    /// The balance alarm: the balance (of a vendor: what is prepaid) is below `low_balance`, or a money limit is reached.
    pub low: bool,
    /// What a vendor is owed for its calls; of other accounts nothing.
    #[schema(value_type = String)]
    pub owed: Money,
    /// What a vendor has been paid ahead of its calls; of other accounts nothing.
    #[schema(value_type = String)]
    pub prepaid_left: Money,
    /// What the accounts directly below an agent were charged for their calls; of other accounts nothing.
    #[schema(value_type = String)]
    pub income: Money,
}

list_query! {
    pub struct AccountsQuery {
        pub kind: Option<AccountKind>,
        pub state: Option<AccountState>,
        pub currency: Option<String>,
        pub rate_group: Option<String>,
        /// The agent directly above.
        pub agent: Option<String>,
        /// Accounts whose balance is low, or others.
        pub low: Option<bool>,
    }
}

/// Lists accounts.
#[utoipa::path(get, path = "/accounts", tag = "accounts", params(AccountsQuery), responses((status = 200, body = Page<Account>)))]
pub(crate) async fn list_accounts(
    State(api): State<Api>,
    caller: Caller,
    Asked(query): Asked<AccountsQuery>,
) -> Answer<Page<Account>> {
    let money = money(&api, Vec::new()).await?;
    let config = api.store.config();
    let now = api.now();
    let sight = caller.sight(&config);
    let seen = config.accounts.iter().filter(|stored| sight.sees(AccountId(stored.id)));
    let all = seen.map(|stored| hide(&caller, view(stored, money.get(&stored.id), now)));
    let asked = query
        .list()
        .with("kind", query.kind.map(AccountKind::key))
        .with("state", query.state.map(AccountState::key))
        .with("currency", query.currency.as_ref())
        .with("rate_group", query.rate_group.as_ref())
        .with("agent", query.agent.as_ref())
        .with("low", query.low.map(|low| if low { "true" } else { "false" }));
    listing::page(&GRID, all, |account| account, &asked).map(Json)
}

/// Creates an account.
#[utoipa::path(post, path = "/accounts", tag = "accounts", request_body = AccountInput, responses((status = 201, body = Account, headers(("ETag" = String)))))]
pub(crate) async fn create_account(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<AccountInput>,
) -> Result<Response, Problem> {
    let stored = documents::create::<config::Account>(&api, caller, input.into()).await?;
    let version = stored.version;
    Ok(versioned(StatusCode::CREATED, version, written(&api, &stored).await))
}

/// Reads an account, by id or name.
#[utoipa::path(get, path = "/accounts/{id}", tag = "accounts", params(("id" = String, Path, description = "Id or name")), responses((status = 200, body = Account, headers(("ETag" = String)))))]
pub(crate) async fn get_account(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = seen(&api, &caller, &id)?;
    let account = hide(&caller, read(&api, &stored).await?);
    Ok(versioned(StatusCode::OK, stored.version, account))
}

/// Notes are the operator's own, and who is held to an account does not learn of the agents above it.
fn hide(caller: &Caller, mut account: Account) -> Account {
    if let Some(own) = caller.account {
        account.notes.clear();
        if account.id == own.to_string() {
            account.agent = None;
        }
    }
    account
}

/// Replaces an account.
#[utoipa::path(put, path = "/accounts/{id}", tag = "accounts", params(("id" = String, Path, description = "Id or name"), ("If-Match" = String, Header, description = "The version that was read, in quotes")), request_body = AccountInput, responses((status = 200, body = Account, headers(("ETag" = String)))))]
pub(crate) async fn update_account(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<AccountInput>,
) -> Result<Response, Problem> {
    let stored = documents::replace::<config::Account>(&api, caller, &id, &headers, input.into()).await?;
    let version = stored.version;
    Ok(versioned(StatusCode::OK, version, written(&api, &stored).await))
}

/// Deletes an account that nothing refers to.
#[utoipa::path(delete, path = "/accounts/{id}", tag = "accounts", params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "The version that was read, in quotes")), responses((status = 204)))]
pub(crate) async fn delete_account(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    documents::delete::<config::Account>(&api, caller, &id, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl AccountKind {
    fn key(self) -> &'static str {
        match self {
            AccountKind::Customer => "customer",
            AccountKind::Vendor => "vendor",
            AccountKind::Agent => "agent",
        }
    }
}

impl AccountState {
    fn key(self) -> &'static str {
        match self {
            AccountState::Normal => "normal",
            AccountState::Locked => "locked",
            AccountState::Expired => "expired",
            AccountState::NoMoney => "no_money",
        }
    }
}

static GRID: Grid<Account> = Grid {
    columns: &[
        Column::text("name", |a| Cell::text(&a.name)),
        Column::plain("id", |a| Cell::maybe_number(a.id.parse::<u32>().ok())),
        Column::plain("kind", |a| Cell::text(a.kind.key())),
        Column::plain("state", |a| Cell::text(a.state.key())),
        Column::plain("currency", |a| Cell::text(&a.currency)),
        Column::text("number", |a| Cell::text(&a.number)),
        Column::text("agent", |a| Cell::maybe(a.agent.as_deref())),
        Column::plain("low", |a| Cell::switch(a.low)),
        Column::plain("owed", |a| Cell::number(a.owed.0)),
        Column::plain("prepaid_left", |a| Cell::number(a.prepaid_left.0)),
        Column::text("rate_group", |a| Cell::maybe(a.rate_group.as_deref())),
        Column::plain("balance", |a| Cell::number(a.balance.0)),
        Column::plain("reserved", |a| Cell::number(a.reserved.0)),
        Column::plain("available", |a| Cell::maybe_number(a.available.map(|m| m.0))),
        Column::plain("credit_limit", |a| Cell::maybe_number(a.credit_limit.map(|m| m.0))),
        Column::plain("calls", |a| Cell::number(a.calls)),
        Column::plain("valid_until", |a| Cell::maybe_number(a.valid_until.map(|t| t.0.0))),
        Column::text("notes", |a| Cell::text(&a.notes)),
    ],
    key: |a| a.id.parse().unwrap_or_default(),
    default_sort: &[("name", Direction::Asc)],
};

/// The account, if there is one that the caller may see.
pub(crate) fn seen(api: &Inner, caller: &Caller, key: &str) -> Result<Arc<Stored<config::Account>>, Problem> {
    let found = documents::find::<config::Account>(api, key)?;
    match caller.sight(&api.store.config()).sees(AccountId(found.id)) {
        true => Ok(found),
        false => Err(Problem::not_found(<config::Account as store::Document>::TITLE, key)),
    }
}

/// Money and load of accounts, as the brain has them: of all when the list is empty.
async fn money(
    api: &Inner,
    ids: Vec<AccountId>,
) -> Result<BTreeMap<u32, switch::interface::AccountState>, Problem> {
    match api.control(ControlRequest::Balances(ids)).await? {
        ControlReply::Balances(states) => Ok(states.into_iter().map(|s| (s.account.0, s)).collect()),
        other => Err(unexpected(&other)),
    }
}

async fn read(api: &Inner, stored: &Stored<config::Account>) -> Result<Account, Problem> {
    let money = money(api, vec![AccountId(stored.id)]).await?;
    Ok(view(stored, money.get(&stored.id), api.now()))
}

/// After a change that stands already: without the brain the money is left at zero rather than the change denied.
async fn written(api: &Inner, stored: &Stored<config::Account>) -> Account {
    let money = money(api, vec![AccountId(stored.id)]).await.unwrap_or_default();
    view(stored, money.get(&stored.id), api.now())
}

fn view(
    stored: &Stored<config::Account>,
    money: Option<&switch::interface::AccountState>,
    now: Utc,
) -> Account {
    let money = money.copied().unwrap_or_default();
    let document = &stored.document;
    let owes = document.kind == config::AccountKind::Vendor;
    let (owed, prepaid_left) = match owes {
        true => (money.balance.max(Money::ZERO), Money(money.balance.0.saturating_neg()).max(Money::ZERO)),
        false => (Money::ZERO, Money::ZERO),
    };
    let remaining = if owes { prepaid_left } else { money.balance };
    let state = state(document, &money, now);
    let low = document.low_balance.is_some_and(|least| remaining < least) || state == AccountState::NoMoney;
    Account {
        id: stored.id.to_string(),
        name: document.name.clone(),
        kind: document.kind.into(),
        number: document.number.clone(),
        agent: document.agent.clone(),
        payment: document.payment.into(),
        currency: document.currency.to_string(),
        credit_limit: document.credit_limit,
        rate_group: document.rate_group.clone(),
        private_rates: document.private_rates.clone(),
        status: document.status.into(),
        valid_until: document.valid_until.map(Timestamp),
        anti_overdraft: document.anti_overdraft,
        max_concurrency: document.max_concurrency,
        max_cps: document.max_cps,
        max_call_duration: document.max_call_duration,
        max_minutes_per_day: document.max_minutes_per_day,
        max_minutes_per_month: document.max_minutes_per_month,
        max_money_per_day: document.max_money_per_day,
        max_money_per_month: document.max_money_per_month,
        time_zone: document.time_zone.clone(),
        tax_rate: document.tax_rate,
        low_balance: document.low_balance,
        contacts: document.contacts.clone(),
        lists: document.lists.clone(),
        notes: document.notes.clone(),
        version: stored.version.to_string(),
        balance: money.balance,
        reserved: money.reserved,
        available: money.available,
        calls: money.calls,
        state,
        low,
        owed,
        prepaid_left,
        income: money.income,
    }
}

fn state(document: &config::Account, money: &switch::interface::AccountState, now: Utc) -> AccountState {
    let spent = money.available.is_some_and(|available| available <= Money::ZERO);
    if document.status == config::AccountStatus::Locked {
        AccountState::Locked
    } else if document.valid_until.is_some_and(|until| until <= now) {
        AccountState::Expired
    } else if spent && document.kind != config::AccountKind::Vendor {
        AccountState::NoMoney
    } else {
        AccountState::Normal
    }
}

impl From<AccountInput> for config::Account {
    fn from(input: AccountInput) -> config::Account {
        config::Account {
            name: input.name,
            kind: input.kind.into(),
            number: input.number,
            agent: input.agent,
            payment: input.payment.into(),
            currency: input.currency,
            credit_limit: input.credit_limit,
            rate_group: input.rate_group,
            private_rates: input.private_rates,
            status: input.status.into(),
            valid_until: input.valid_until.map(|t| t.0),
            anti_overdraft: input.anti_overdraft,
            max_concurrency: input.max_concurrency,
            max_cps: input.max_cps,
            max_call_duration: input.max_call_duration,
            max_minutes_per_day: input.max_minutes_per_day,
            max_minutes_per_month: input.max_minutes_per_month,
            max_money_per_day: input.max_money_per_day,
            max_money_per_month: input.max_money_per_month,
            time_zone: input.time_zone,
            tax_rate: input.tax_rate,
            low_balance: input.low_balance,
            contacts: input.contacts,
            lists: input.lists,
            opening_balance: input.opening_balance,
            notes: input.notes,
        }
    }
}

same_variants!(AccountKind, config::AccountKind { Customer, Vendor, Agent });
same_variants!(AccountStatus, config::AccountStatus { Normal, Locked });
same_variants!(PaymentTerms, PaymentMode { Prepaid, Postpaid });
