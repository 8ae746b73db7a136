//! Payments into accounts, and the ledger: every change of a balance (`BIL-3`).

use super::{same_variants, unexpected};
use crate::body::Asked;
use crate::body::Body;
use crate::clock::Timestamp;
use crate::listing::Page;
use crate::listing::list_query;
use crate::problem::FieldProblem;
use crate::problem::Problem;
use crate::resources::accounts;
use crate::server::Answer;
use crate::server::Api;
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use billing::{Book, Posting, PostingKind};
use serde::Deserialize;
use serde::Serialize;
use store::{Deed, LedgerLine};
use switch::{ControlReply, ControlRequest};
use utoipa::ToSchema;
use vocab::Money;
use vocab::{AccountId, Seq};

/// Why an operator moves money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentKind {
    Payment,
    Refund,
    Correction,
    /// Money given without a payment: goodwill, a bonus.
    Credit,
    /// Money to a vendor for its traffic, also ahead of it.
    Payout,
}

#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentInput {
    /// Above zero; a correction may have either sign.
    #[schema(value_type = String, examples("12.50"))]
    pub amount: Money,
    pub kind: PaymentKind,
    #[serde(default)]
    pub note: String,
}

/// The payment as it stands in the ledger, and the balance after it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PaymentResult {
    pub entry: LedgerEntry,
    #[schema(value_type = String)]
    pub balance: Money,
}

/// Money from one account to another.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferInput {
    /// The account that gets it, by name or id.
    pub to: String,
    /// Above zero.
    #[schema(value_type = String, examples("12.50"))]
    pub amount: Money,
    #[serde(default)]
    pub note: String,
}

/// A transfer as it stands in the ledger of both accounts.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TransferResult {
    pub from: LedgerEntry,
    pub to: LedgerEntry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LedgerKind {
    Opening,
    Payment,
    Refund,
    Correction,
    /// A customer's call.
    CallCharge,
    /// What a vendor is owed for a call.
    CallCost,
    /// What an agent pays for a call of an account below it.
    AgentCharge,
    /// Money given without a payment.
    Credit,
    /// Money to a vendor for its traffic.
    Payout,
    /// From one account to another.
    Transfer,
}

/// One change of a balance. Entries are never changed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LedgerEntry {
    pub seq: String,
    pub at: Timestamp,
    pub kind: LedgerKind,
    #[schema(value_type = String)]
    pub amount: Money,
    #[schema(value_type = String)]
    pub balance_before: Money,
    #[schema(value_type = String)]
    pub balance_after: Money,
    pub call_id: Option<String>,
    pub by: String,
    pub note: String,
    /// The Idempotency-Key it was sent with.
    pub key: Option<String>,
}

list_query! {
    pub struct LedgerQuery {}
}

/// Pays into an account, or corrects its balance. The same Idempotency-Key with the same body is carried out once, and answered alike each time.
#[utoipa::path(post, path = "/accounts/{id}/payments", tag = "accounts", params(("id" = String, Path, description = "Id or name"), ("Idempotency-Key" = Option<String>, Header, description = "Chosen by the client, up to 64 characters")), request_body = PaymentInput, responses((status = 200, body = PaymentResult)))]
pub(crate) async fn pay(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<PaymentInput>,
) -> Answer<PaymentResult> {
    let stored = accounts::seen(&api, &caller, &id)?;
    let (account, name) = (AccountId(stored.id), stored.document.name.clone());
    let key = idempotency_key(&headers)?;
    check(&input)?;
    if input.kind == PaymentKind::Payout && stored.document.kind != store::config::AccountKind::Vendor {
        return Err(Problem::field("kind", "only vendors are paid out; expected a refund"));
    }
    let (kind, note) = (input.kind.into(), input.note);
    let request = ControlRequest::Pay {
        account,
        kind,
        amount: input.amount,
        by: caller.user.clone(),
        note: note.clone(),
        key: key.clone(),
    };
    let (seq, posting, repeated) = moved(&api, request, key, &note).await?;
    if !repeated {
        noted(&api, &caller, &name, "pay", &input.amount, &posting).await;
    }
    let entry = entry_of(account, seq, &posting)?;
    Ok(Json(PaymentResult { balance: entry.balance_after, entry }))
}

/// Moves money from one account to another, both or neither. The same Idempotency-Key with the same body is carried out once.
#[utoipa::path(post, path = "/accounts/{id}/transfers", tag = "accounts", params(("id" = String, Path, description = "The account that gives it, by id or name"), ("Idempotency-Key" = Option<String>, Header, description = "Chosen by the client, up to 64 characters")), request_body = TransferInput, responses((status = 200, body = TransferResult)))]
pub(crate) async fn transfer(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(input): Body<TransferInput>,
) -> Answer<TransferResult> {
    let from = accounts::seen(&api, &caller, &id)?;
    let to =
        accounts::seen(&api, &caller, &input.to).map_err(|problem| Problem::field("to", problem.detail))?;
    let key = idempotency_key(&headers)?;
    if input.amount <= Money::ZERO {
        return Err(Problem::field("amount", "expected an amount above zero"));
    }
    check_note(&input.note)?;
    let request = ControlRequest::Transfer {
        from: AccountId(from.id),
        to: AccountId(to.id),
        amount: input.amount,
        by: caller.user.clone(),
        note: input.note.clone(),
        key: key.clone(),
    };
    let (seq, posting, repeated) = moved(&api, request, key, &input.note).await?;
    if !repeated {
        let objects = format!("{} to {}", from.document.name, to.document.name);
        noted(&api, &caller, &objects, "transfer", &input.amount, &posting).await;
    }
    Ok(Json(TransferResult {
        from: entry_of(AccountId(from.id), seq, &posting)?,
        to: entry_of(AccountId(to.id), seq, &posting)?,
    }))
}

/// Has the brain move money; true: it had done so before, by the same key.
pub(crate) async fn moved(
    api: &Api,
    request: ControlRequest,
    key: Option<String>,
    note: &str,
) -> Result<(Seq, Posting, bool), Problem> {
    match api.control(request).await? {
        ControlReply::Paid { posting, repeated: true, .. } if posting.note != note => Err(key_used()),
        ControlReply::Paid { seq, posting, repeated } => Ok((seq, posting, repeated)),
        ControlReply::Refused(words) => Err(refused(api, key, words).await),
        other => Err(unexpected(&other)),
    }
}

/// Lists the changes of an account's balance, the newest first.
#[utoipa::path(get, path = "/accounts/{id}/ledger", tag = "accounts", params(("id" = String, Path, description = "Id or name"), LedgerQuery), responses((status = 200, body = Page<LedgerEntry>)))]
pub(crate) async fn list_ledger(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Asked(query): Asked<LedgerQuery>,
) -> Answer<Page<LedgerEntry>> {
    let account = AccountId(accounts::seen(&api, &caller, &id)?.id);
    let asked = query.list();
    asked.only_sort("-seq")?;
    let limit = asked.limit()?;
    if asked.q.is_some() {
        return Err(Problem::field("q", "the ledger cannot be searched"));
    }
    let page = api.store(move |store| store.ledger(account, asked.cursor.as_deref(), limit)).await?;
    let items = page.items.into_iter().map(LedgerEntry::from).collect();
    Ok(Json(Page { items, next_cursor: page.next, total: None }))
}

const LONGEST_KEY: usize = 64;
const LONGEST_NOTE: usize = 500;
/// Opening balances and reratings have keys of their own; a client must not take one of theirs.
const OWN_KEYS: [&str; 2] = ["opening:", "rerating:"];

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let fits = (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    match fits {
        true if !OWN_KEYS.iter().any(|own| text.starts_with(own)) => Ok(Some(text.to_string())),
        _ => Err(Problem::field(
            "Idempotency-Key",
            format!(
                "expected 1–{LONGEST_KEY} printable characters, not beginning with {}",
                OWN_KEYS.join(" or ")
            ),
        )),
    }
}

fn check(input: &PaymentInput) -> Result<(), Problem> {
    let wrong = match input.kind {
        PaymentKind::Correction if input.amount == Money::ZERO => {
            Some("a correction of nothing changes nothing")
        }
        PaymentKind::Correction => None,
        PaymentKind::Payment | PaymentKind::Refund | PaymentKind::Credit | PaymentKind::Payout => {
            (input.amount <= Money::ZERO).then_some("expected an amount above zero")
        }
    };
    if let Some(words) = wrong {
        return Err(Problem::field("amount", words));
    }
    check_note(&input.note)
}

fn check_note(note: &str) -> Result<(), Problem> {
    match note.chars().count() {
        0..=LONGEST_NOTE => Ok(()),
        _ => Err(Problem::field("note", format!("longer than {LONGEST_NOTE} characters"))),
    }
}

/// The ledger has the payment itself; the log has from where it was ordered.
async fn noted(
    api: &Api,
    caller: &Caller,
    account: &str,
    action: &'static str,
    amount: &Money,
    posting: &Posting,
) {
    let after =
        serde_json::json!({ "amount": amount, "kind": LedgerKind::from(posting.kind), "note": posting.note });
    let (author, account, after) = (caller.into(), account.to_string(), after.to_string());
    let noted = api
        .store(move |store| {
            let deed = Deed { action, kind: "account", object: &account, before: None, after: Some(&after) };
            store.note(&author, &deed)
        })
        .await;
    if let Err(problem) = noted {
        tracing::error!(detail = %problem.detail, "a payment could not be noted in the audit log");
    }
}

fn key_used() -> Problem {
    Problem::fields(vec![FieldProblem::new("Idempotency-Key", "was used for another payment")])
        .with_status(StatusCode::CONFLICT)
}

/// The brain refuses in words; whether the key is to blame, the store knows.
async fn refused(api: &Api, key: Option<String>, words: String) -> Problem {
    let known = api.store(move |store| key.map(|k| store.posting_by_key(&k)).transpose()).await;
    match known {
        Ok(Some(Some(_))) => key_used(),
        _ if words.contains("idempotency key") => key_used(),
        _ => Problem::field("amount", words),
    }
}

fn entry_of(account: AccountId, seq: Seq, posting: &Posting) -> Result<LedgerEntry, Problem> {
    let own = posting.entries.iter().find(|e| e.book == Book::Account(account));
    let own = own.ok_or_else(|| Problem::internal("a payment without an entry of its account"))?;
    Ok(LedgerEntry {
        seq: seq.to_string(),
        at: posting.at.into(),
        kind: posting.kind.into(),
        amount: own.amount,
        balance_before: before(own.amount, own.balance_after),
        balance_after: own.balance_after,
        call_id: None,
        by: posting.by.clone(),
        note: posting.note.clone(),
        key: posting.key.clone(),
    })
}

fn before(amount: Money, after: Money) -> Money {
    Money(after.0.saturating_sub(amount.0))
}

impl From<LedgerLine> for LedgerEntry {
    fn from(line: LedgerLine) -> LedgerEntry {
        LedgerEntry {
            seq: line.seq.to_string(),
            at: line.at.into(),
            kind: line.kind.into(),
            amount: line.amount,
            balance_before: before(line.amount, line.balance_after),
            balance_after: line.balance_after,
            call_id: line.call.map(|c| c.to_string()),
            by: line.by,
            note: line.note,
            key: line.key,
        }
    }
}

impl From<PaymentKind> for PostingKind {
    fn from(kind: PaymentKind) -> PostingKind {
        match kind {
            PaymentKind::Payment => PostingKind::Payment,
            PaymentKind::Refund => PostingKind::Refund,
            PaymentKind::Correction => PostingKind::Correction,
            PaymentKind::Credit => PostingKind::Credit,
            PaymentKind::Payout => PostingKind::Payout,
        }
    }
}

same_variants!(
    LedgerKind,
    PostingKind {
        Opening,
        Payment,
        Refund,
        Correction,
        CallCharge,
        CallCost,
        AgentCharge,
        Credit,
        Payout,
        Transfer
    }
);
