//! The fraud watch at work: calls that have ended go through the rules that are on; what they find is an alarm with
//! its evidence, and where the rule says so the account is locked.

use crate::operator::Operator;
use std::collections::{BTreeMap, VecDeque};
use store::config::{Account, AccountStatus};
use store::fraud::{FraudAction, FraudRules};
use store::{ChangeError, StoreError};
use vocab::{CallId, Utc};
use watch::fraud::{Call, Engine, Finding, KINDS};
use watch::{Kind, Reading};

/// Calls that wait for their record to be in the database, and looks that one may take.
const WAITING: usize = 20_000;
const LOOKS: u8 = 5;

#[derive(Default)]
pub struct Fraud {
    rules: Option<FraudRules>,
    engine: Option<Engine>,
    waiting: VecDeque<(CallId, u8)>,
    /// By subject of the alarm: until when it is told, and what was found.
    found: BTreeMap<String, (Utc, Finding)>,
}

impl Fraud {
    /// Takes the calls that have ended since the last look.
    pub fn look(
        &mut self,
        operator: &Operator,
        at: Utc,
        readings: &mut Vec<Reading>,
    ) -> Result<(), StoreError> {
        let rules = operator.store.fraud_rules()?;
        if self.rules.as_ref() != Some(&rules) {
            let on = KINDS.iter().map(|f| (f.kind, rules.rule(f.kind))).filter(|(_, r)| r.enabled);
            let on: Vec<_> = on.map(|(kind, r)| (kind, r.rule)).collect();
            self.engine = (!on.is_empty()).then(|| Engine::new(on));
            self.rules = Some(rules.clone());
        }
        let ended = operator.observer.take_ended();
        let Some(engine) = &mut self.engine else {
            self.waiting.clear();
            self.found.clear();
            return Ok(());
        };
        self.waiting.extend(ended.into_iter().map(|call| (call, 0)));
        let excess = self.waiting.len().saturating_sub(WAITING);
        self.waiting.drain(..excess);
        for (call, looks) in std::mem::take(&mut self.waiting) {
            let Some(cdr) = operator.store.cdr(call)? else {
                // It is on disk and not yet in the database; one that leaves no record never comes.
                if looks < LOOKS {
                    self.waiting.push_back((call, looks + 1));
                }
                continue;
            };
            for finding in engine.take(&Call::from(&cdr)) {
                let rule = rules.rule(finding.kind);
                if rule.action == FraudAction::LockAccount {
                    lock(operator, &finding);
                }
                let until = Utc(at.0.saturating_add(i64::from(rule.rule.window_s) * 1_000_000));
                let subject = format!("{} {}", finding.kind.key(), finding.subject);
                self.found.insert(subject, (until, finding));
            }
        }
        self.found.retain(|_, (until, _)| *until > at);
        let reading = |subject: &String| Reading { kind: Kind::Fraud, subject: subject.clone(), value: 1 };
        readings.extend(self.found.keys().map(reading));
        Ok(())
    }

    /// The calls that an alarm is about.
    pub fn evidence(&self, subject: &str) -> Vec<String> {
        let found = self.found.get(subject);
        found.map(|(_, f)| f.evidence.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }
}

fn lock(operator: &Operator, finding: &Finding) {
    let config = operator.store.config();
    let Some(account) = config.accounts.iter().find(|s| s.document.name == finding.subject) else { return };
    if account.document.status == AccountStatus::Locked {
        return;
    }
    let document = Account { status: AccountStatus::Locked, ..account.document.clone() };
    let by = format!("fraud watch: {}", finding.kind.key());
    let done = operator.store.put(Some(account.id), Some(account.version), document, &by);
    match done {
        Ok(_) => tracing::warn!(account = %finding.subject, rule = finding.kind.key(), "account locked"),
        // Somebody changes it at this moment; the next finding comes after the window.
        Err(ChangeError::Storage(error)) => tracing::warn!(%error, "an account cannot be locked"),
        Err(_) => {
            tracing::warn!(account = %finding.subject, "an account was changed while it was to be locked")
        }
    }
}
