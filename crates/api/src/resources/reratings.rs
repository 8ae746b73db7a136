//! Past calls priced again (`BIL-11`): tried, applied as correction entries, undone.

use super::ledger::moved;
use crate::body::Body;
use crate::clock::Timestamp;
use crate::documents;
use crate::problem::Problem;
use crate::server::{Answer, Api};
use crate::sign_in::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use billing::PostingKind;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use store::reratings::{CallCorrection, Rerating, ReratingState};
use store::{Author, CdrFilter, Deed, Store, StoreError, config};
use switch::{ControlRequest, Snapshot};
use utoipa::ToSchema;
use vocab::{AccountId, Money, RateGroupId};

/// Calls priced again in one run. More are refused, so that a slip does not price a year.
const MOST_CALLS: u64 = 1_000_000;
/// Differences that are told one by one.
const TOLD: usize = 1000;
const PAGE: usize = 1000;

/// Which calls, by which rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReratingInput {
    /// Calls that began at this time or later.
    pub from: Timestamp,
    /// Calls that began before this time.
    pub to: Timestamp,
    /// Only what this account (a customer, an agent, a vendor) pays or is owed, by name or id.
    #[serde(default)]
    pub account: Option<String>,
    /// By the rates of this group; by the present ones of each account when absent. Needs `account`.
    #[serde(default)]
    pub rate_group: Option<String>,
    /// Names the run, and applies it; the same name again changes nothing more. Absent: it is only worked out.
    #[serde(default)]
    pub name: Option<String>,
}

/// One account's price of one call, before and after.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReratedCall {
    pub call_id: String,
    pub account: String,
    #[schema(value_type = String)]
    pub before: Money,
    #[schema(value_type = String)]
    pub after: Money,
    #[schema(value_type = String)]
    pub difference: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReratedAccount {
    pub account: String,
    pub calls: u64,
    /// Sum over the calls whose price changes.
    #[schema(value_type = String)]
    pub before: Money,
    #[schema(value_type = String)]
    pub after: Money,
    #[schema(value_type = String)]
    pub difference: Money,
}

/// What was worked out, or applied.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReratingResult {
    /// `null`: nothing was changed.
    pub name: Option<String>,
    /// `tried`, `posting`, `applied`, `undoing` or `undone`.
    pub state: String,
    pub made_by: Option<String>,
    pub made_at: Option<Timestamp>,
    /// Calls looked at.
    pub calls: u64,
    /// Prices that could not be worked out again, by the reason.
    pub unpriced: BTreeMap<String, u64>,
    pub accounts: Vec<ReratedAccount>,
    /// The first thousand prices that change.
    pub differences: Vec<ReratedCall>,
}

/// Runs that were applied.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReratingSummary {
    pub name: String,
    pub state: String,
    pub made_by: String,
    pub made_at: Timestamp,
    /// What was asked for.
    pub request: ReratingInput,
}

/// Prices past calls again: without a name as a trial, with one as correction entries in the ledger. Records of calls stay as they were; the corrections stand beside them.
#[utoipa::path(post, path = "/reratings", tag = "accounts", request_body = ReratingInput, responses((status = 200, body = ReratingResult)))]
pub(crate) async fn rerate(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<ReratingInput>,
) -> Answer<ReratingResult> {
    let request = serde_json::to_string(&input).map_err(Problem::internal)?;
    if let Some(name) = &input.name {
        check_name(name)?;
        let wanted = name.clone();
        if let Some(known) = api.store(move |store| store.rerating(&wanted)).await? {
            return again(&api, known, &request).await;
        }
    }
    let plan = plan(&api, input.clone()).await?;
    let Some(name) = input.name else {
        let told = told(&api, None, plan.calls, plan.unpriced, &plan.corrections);
        return Ok(Json(told));
    };
    let run =
        Rerating { name, state: ReratingState::Posting, request, at: api.now(), by: caller.user.clone() };
    let corrections: Vec<_> = plan
        .corrections
        .into_iter()
        .map(|one| CallCorrection { rerating: run.name.clone(), ..one })
        .collect();
    let (author, seen) = (Author::from(&caller), plan.seen);
    let (begun, corrections) = api
        .store(move |store| {
            let begun = store.begin_rerating(&run, &corrections, seen)?;
            let deed = Deed {
                action: "rerate",
                kind: "rerating",
                object: &run.name,
                before: None,
                after: Some(&run.request),
            };
            store.note(&author, &deed)?;
            Ok::<_, store::ChangeError>((begun, corrections))
        })
        .await?;
    let applied = post(&api, begun).await?;
    Ok(Json(told(&api, Some(&applied), plan.calls, plan.unpriced, &corrections)))
}

/// Lists the runs that were applied, the newest first.
#[utoipa::path(get, path = "/reratings", tag = "accounts", responses((status = 200, body = Vec<ReratingSummary>)))]
pub(crate) async fn list_reratings(State(api): State<Api>, _: Caller) -> Answer<Vec<ReratingSummary>> {
    let all = api.store(|store| store.reratings()).await?;
    let summary = |run: Rerating| {
        Ok(ReratingSummary {
            request: serde_json::from_str(&run.request).map_err(Problem::internal)?,
            state: run.state.key().into(),
            made_at: run.at.into(),
            name: run.name,
            made_by: run.by,
        })
    };
    all.into_iter().map(summary).collect::<Result<Vec<_>, Problem>>().map(Json)
}

/// Reads a run with what it changed.
#[utoipa::path(get, path = "/reratings/{name}", tag = "accounts", params(("name" = String, Path)), responses((status = 200, body = ReratingResult)))]
pub(crate) async fn get_rerating(
    State(api): State<Api>,
    _: Caller,
    Path(name): Path<String>,
) -> Answer<ReratingResult> {
    let run = known(&api, &name).await?;
    shown(&api, run).await
}

/// Takes a run back by entries of the opposite sign.
#[utoipa::path(post, path = "/reratings/{name}/undo", tag = "accounts", params(("name" = String, Path)), responses((status = 200, body = ReratingResult)))]
pub(crate) async fn undo_rerating(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<ReratingResult> {
    let run = known(&api, &name).await?;
    if run.state == ReratingState::Posting {
        post(&api, run.clone()).await?;
    }
    if run.state != ReratingState::Undone {
        let author = Author::from(&caller);
        let of = name.clone();
        api.store(move |store| {
            store.set_rerating_state(&of, ReratingState::Undoing)?;
            let deed = Deed { action: "undo", kind: "rerating", object: &of, before: None, after: None };
            store.note(&author, &deed)
        })
        .await?;
        post(&api, Rerating { state: ReratingState::Undoing, ..run }).await?;
    }
    let run = known(&api, &name).await?;
    shown(&api, run).await
}

async fn known(api: &Api, name: &str) -> Result<Rerating, Problem> {
    let wanted = name.to_string();
    let found = api.store(move |store| store.rerating(&wanted)).await?;
    found.ok_or_else(|| Problem::not_found("rerating", name))
}

/// A run that is there already: what a break left over is posted now.
async fn again(api: &Api, known: Rerating, request: &str) -> Answer<ReratingResult> {
    if known.request != request {
        let problem = Problem::field("name", "was used for another rerating");
        return Err(problem.with_status(StatusCode::CONFLICT));
    }
    let run = if known.state == ReratingState::Posting { post(api, known).await? } else { known };
    shown(api, run).await
}

async fn shown(api: &Api, run: Rerating) -> Answer<ReratingResult> {
    let name = run.name.clone();
    let corrections = api.store(move |store| store.rerating_calls(&name, usize::MAX >> 1)).await?;
    let calls = corrections.iter().map(|one| one.call).collect::<std::collections::BTreeSet<_>>().len();
    Ok(Json(told(api, Some(&run), calls as u64, BTreeMap::new(), &corrections)))
}

/// Posts what is to be posted for a run: each account's sum, once for its key, however often this is tried.
async fn post(api: &Api, run: Rerating) -> Result<Rerating, Problem> {
    let name = run.name.clone();
    let totals = api.store(move |store| store.rerating_totals(&name)).await?;
    let back = run.state == ReratingState::Undoing;
    for (account, amount) in totals.into_iter().filter(|(_, amount)| *amount != Money::ZERO) {
        let what = if back { ":undo" } else { "" };
        let key = Some(format!("rerating:{}:{account}{what}", run.name));
        let note = format!("rerating {}{}", run.name, if back { ", undone" } else { "" });
        let request = ControlRequest::Pay {
            account,
            kind: PostingKind::Correction,
            amount: if back { Money(amount.0.saturating_neg()) } else { amount },
            by: run.by.clone(),
            note: note.clone(),
            key: key.clone(),
        };
        moved(api, request, key, &note).await?;
    }
    let (name, state) = (run.name.clone(), if back { ReratingState::Undone } else { ReratingState::Applied });
    api.store(move |store| store.set_rerating_state(&name, state)).await?;
    Ok(Rerating { state, ..run })
}

fn check_name(name: &str) -> Result<(), Problem> {
    let fits = (1..=30).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let words = "expected 1–30 letters, digits, dots, dashes";
    if fits { Ok(()) } else { Err(Problem::field("name", words)) }
}

/// What a run would change.
struct Plan {
    calls: u64,
    unpriced: BTreeMap<String, u64>,
    corrections: Vec<CallCorrection>,
    /// The runs that were there.
    seen: u64,
}

async fn plan(api: &Api, input: ReratingInput) -> Result<Plan, Problem> {
    if input.from >= input.to {
        return Err(Problem::field("to", "expected a time after `from`"));
    }
    let account = input.account.as_ref().map(|key| {
        documents::find::<config::Account>(api, key)
            .map_err(|problem| Problem::field("account", problem.detail))
    });
    let account = account.transpose()?;
    let group = input.rate_group.as_ref().map(|key| {
        documents::find::<config::RateGroup>(api, key)
            .map_err(|problem| Problem::field("rate_group", problem.detail))
    });
    let group = group.transpose()?;
    if group.is_some() && account.is_none() {
        return Err(Problem::field("account", "is needed with a rate group"));
    }
    let mut filter = CdrFilter {
        from: Some(input.from.0),
        to: Some(input.to.0),
        answered: Some(true),
        ..CdrFilter::default()
    };
    if let Some(account) = &account {
        match account.document.kind {
            config::AccountKind::Vendor => filter.vendor = Some(AccountId(account.id)),
            _ => filter.within = api.store.config().below(account.id).into_iter().map(AccountId).collect(),
        }
    }
    let only = account.map(|account| AccountId(account.id));
    let given = group.map(|group| RateGroupId(group.id));
    api.store(move |store| work_out(store, &filter, only, given)).await?
}

fn work_out(
    store: &Store,
    filter: &CdrFilter,
    only: Option<AccountId>,
    given: Option<RateGroupId>,
) -> Result<Result<Plan, Problem>, StoreError> {
    let snapshot: std::sync::Arc<Snapshot> = store.snapshot(&HashMap::new())?;
    let seen = store.reratings_version()?;
    let mut plan = Plan { calls: 0, unpriced: BTreeMap::new(), corrections: Vec::new(), seen };
    let mut cursor: Option<String> = None;
    loop {
        let page = store.cdrs(filter, cursor.as_deref(), PAGE)?;
        let (Some(newest), Some(oldest)) = (page.items.first(), page.items.last()) else { break };
        let corrected = store.corrected(oldest.call.min(newest.call), newest.call.max(oldest.call))?;
        for record in &page.items {
            plan.calls += 1;
            for one in switch::rerate::reprice(&snapshot, record, only, given) {
                let key = (record.call, one.account, one.vendor);
                let before = Money(one.before.0.saturating_add(corrected.get(&key).map_or(0, |m| m.0)));
                match one.after {
                    Ok(new) if new.amount != before => plan.corrections.push(CallCorrection {
                        call: record.call,
                        account: one.account,
                        vendor: one.vendor,
                        rerating: String::new(),
                        before,
                        after: new.amount,
                    }),
                    Ok(_) => {}
                    Err(reason) => *plan.unpriced.entry(reason.words().to_string()).or_default() += 1,
                }
            }
        }
        if plan.calls > MOST_CALLS {
            let words =
                format!("there are more than {MOST_CALLS} calls; expected a shorter period or one account");
            return Ok(Err(Problem::field("to", words)));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(Ok(plan))
}

fn told(
    api: &Api,
    run: Option<&Rerating>,
    calls: u64,
    unpriced: BTreeMap<String, u64>,
    corrections: &[CallCorrection],
) -> ReratingResult {
    let config = api.store.config();
    let name = |id: AccountId| {
        config.accounts.get(id.0).map_or_else(|| id.to_string(), |account| account.document.name.clone())
    };
    let mut accounts: BTreeMap<AccountId, ReratedAccount> = BTreeMap::new();
    for one in corrections {
        let sum = accounts.entry(one.account).or_insert_with(|| ReratedAccount {
            account: name(one.account),
            calls: 0,
            before: Money::ZERO,
            after: Money::ZERO,
            difference: Money::ZERO,
        });
        sum.calls += 1;
        sum.before = Money(sum.before.0.saturating_add(one.before.0));
        sum.after = Money(sum.after.0.saturating_add(one.after.0));
        sum.difference = Money(sum.after.0.saturating_sub(sum.before.0));
    }
    let differences = corrections.iter().take(TOLD).map(|one| ReratedCall {
        call_id: one.call.to_string(),
        account: name(one.account),
        before: one.before,
        after: one.after,
        difference: Money(one.after.0.saturating_sub(one.before.0)),
    });
    ReratingResult {
        name: run.map(|run| run.name.clone()),
        state: run.map_or("tried", |run| run.state.key()).into(),
        made_by: run.map(|run| run.by.clone()),
        made_at: run.map(|run| run.at.into()),
        calls,
        unpriced,
        accounts: accounts.into_values().collect(),
        differences: differences.collect(),
    }
}
