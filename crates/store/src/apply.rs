//! Business files: TOML, any number at once, all or nothing. What is written in a file is the whole document, and
//! under `rates` the whole sheet; documents that no file names stay as they are.
//!
//! Errors name file, line and field: each file is read with the position of every value, each value is read as a
//! field of its document, and a problem of a field is looked up again in the file.

use crate::config::{
    Account, Calendar, Document, GatewayGroup, MappingGateway, NumberList, Phone, Rate, RateGroup,
    RoutingGateway, Stored, did_you_mean, from_json, known_fields,
};
use crate::edit::Edit;
use crate::rates::RateChange;
use crate::{ChangeError, PendingPayment, Problem, Store, StoreError};
use serde_json::{Map, Value};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file as it was read from disk, or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    Create,
    Update,
    /// An opening balance will be paid in.
    Pay,
}

impl ChangeAction {
    pub fn key(self) -> &'static str {
        match self {
            ChangeAction::Create => "create",
            ChangeAction::Update => "update",
            ChangeAction::Pay => "pay",
        }
    }
}

/// One field, before and after; `None` where there was or is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub action: ChangeAction,
    /// Kind of the document, like `mapping_gateway`; `parameter` for a system parameter.
    pub kind: &'static str,
    pub name: String,
    pub fields: Vec<FieldChange>,
}

/// What applying files changes, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// False for a dry run.
    pub applied: bool,
    pub changes: Vec<Change>,
    /// What the change takes away from customers, in words: routes that there are no more (`RTE-18`).
    pub warnings: Vec<String>,
    /// Payments that the program is now to make through the brain ([`Store::pending_payments`]); none in a dry run.
    pub payments: Vec<PendingPayment>,
}

/// Problems that are told at once.
const MAX_PROBLEMS: usize = 1000;
/// Rates of one group whose difference is shown one by one.
const MAX_RATES_SHOWN: usize = 1000;
/// What a file may hold at its top.
const SECTIONS: [&str; 9] = [
    Account::KIND,
    RateGroup::KIND,
    MappingGateway::KIND,
    RoutingGateway::KIND,
    Phone::KIND,
    GatewayGroup::KIND,
    Calendar::KIND,
    NumberList::KIND,
    "parameters",
];
const RATES: &str = "rates";

impl Store {
    /// Applies files. They may refer to each other and to what is there already.
    pub fn apply(
        &self,
        files: &[SourceFile],
        dry_run: bool,
        by: impl Into<crate::Author>,
    ) -> Result<Plan, ChangeError> {
        let parsed = parse(files)?;
        let before = self.config();
        let (changes, warnings) = self.try_change(by, dry_run, |edit| {
            let changes = carry_out(edit, files, &parsed)?;
            Ok((changes, crate::reach::lost(&before, edit.config)))
        })?;
        let payments = if dry_run { Vec::new() } else { self.pending_payments()? };
        Ok(Plan { applied: !dry_run, changes, warnings, payments })
    }
}

/// A document in a file.
struct Item<'a> {
    file: usize,
    kind: &'static str,
    name: String,
    table: &'a Spanned<DeValue<'a>>,
    fields: Map<String, Value>,
    /// Taken out of the fields of a rate group.
    rates: Option<Vec<Value>>,
}

/// All files, read but not yet understood.
struct Parsed<'a> {
    roots: Vec<Spanned<DeTable<'a>>>,
}

fn parse(files: &[SourceFile]) -> Result<Parsed<'_>, ChangeError> {
    let mut roots = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        let (root, errors) = DeTable::parse_recoverable(&file.text);
        for error in errors {
            let mut problem = Problem::new("", error.message());
            place(&mut problem, file, error.span().map_or(0, |s| s.start));
            problems.push(problem);
        }
        roots.push(root);
    }
    if problems.is_empty() { Ok(Parsed { roots }) } else { Err(problems.into()) }
}

/// Writes file, line and column into a problem.
fn place(problem: &mut Problem, file: &SourceFile, offset: usize) {
    let before = file.text.get(..offset).unwrap_or(&file.text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let lines = before.bytes().filter(|b| *b == b'\n').count();
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    problem.file = Some(file.name.clone());
    problem.line = u32::try_from(lines + 1).ok();
    problem.column = u32::try_from(column + 1).ok();
}

/// Everything within the transaction: read, staged together, checked against each other, written.
fn carry_out(
    edit: &mut Edit<'_>,
    files: &[SourceFile],
    parsed: &Parsed<'_>,
) -> Result<Vec<Change>, ChangeError> {
    let mut run = Run { edit, files, problems: Vec::new(), changes: Vec::new() };
    let items = run.items(parsed);
    run.parameters(parsed)?;
    // In the order of their references, so that changes read well; validity does not depend on it.
    let calendars = run.stage::<Calendar>(&items)?;
    let lists = run.stage::<NumberList>(&items)?;
    let groups = run.stage::<GatewayGroup>(&items)?;
    let rate_groups = run.stage::<RateGroup>(&items)?;
    let accounts = run.stage::<Account>(&items)?;
    let mapping_gateways = run.stage::<MappingGateway>(&items)?;
    let routing_gateways = run.stage::<RoutingGateway>(&items)?;
    let phones = run.stage::<Phone>(&items)?;
    run.check(&calendars);
    run.check(&lists);
    run.check(&groups);
    run.check(&rate_groups);
    run.check(&accounts);
    run.check(&mapping_gateways);
    run.check(&routing_gateways);
    run.check(&phones);
    if !run.problems.is_empty() {
        return Err(run.problems.into());
    }
    run.write(calendars)?;
    run.write(lists)?;
    run.write(groups)?;
    run.write_rate_groups(rate_groups)?;
    run.write(accounts)?;
    run.write(mapping_gateways)?;
    run.write(routing_gateways)?;
    run.write(phones)?;
    if run.problems.is_empty() { Ok(run.changes) } else { Err(run.problems.into()) }
}

/// A document that is in the draft configuration, with where it came from.
struct Staged<'a, T> {
    item: &'a Item<'a>,
    before: Option<Arc<Stored<T>>>,
    after: Arc<Stored<T>>,
}

struct Run<'a, 'e> {
    edit: &'a mut Edit<'e>,
    files: &'a [SourceFile],
    problems: Vec<Problem>,
    changes: Vec<Change>,
}

impl Run<'_, '_> {
    /// A problem of a document, placed at the field in its file.
    fn problem(&mut self, item: &Item<'_>, mut problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            problem.document = format!("{} {:?}", item.kind, item.name);
            if let Some(file) = self.files.get(item.file) {
                let offset = offset_of(item.table, &problem.field);
                place(&mut problem, file, offset);
            }
            self.problems.push(problem);
        }
    }

    fn problem_at(&mut self, file: usize, offset: usize, mut problem: Problem) {
        if let Some(file) = self.files.get(file).filter(|_| self.problems.len() < MAX_PROBLEMS) {
            place(&mut problem, file, offset);
            self.problems.push(problem);
        }
    }

    /// All documents of all files, in their order; what stands at the top and is none is a problem.
    fn items<'a>(&mut self, parsed: &'a Parsed<'a>) -> Vec<Item<'a>> {
        let mut items: Vec<Item<'a>> = Vec::new();
        for (file, root) in parsed.roots.iter().enumerate() {
            for (key, value) in root.get_ref() {
                let name = key.get_ref().as_ref();
                let Some(section) = SECTIONS.iter().find(|s| **s == name) else {
                    let words = format!("{name:?} is unknown here{}", did_you_mean(name, &SECTIONS));
                    self.problem_at(file, key.span().start, Problem::new(name, words));
                    continue;
                };
                match value.get_ref() {
                    _ if *section == "parameters" => {}
                    DeValue::Array(tables) => {
                        items.extend(tables.iter().filter_map(|table| self.item(file, section, table)));
                    }
                    _ => {
                        let words = format!("is written as [[{section}]], once for each");
                        self.problem_at(file, key.span().start, Problem::new(name, words));
                    }
                }
            }
        }
        self.repeated(&items);
        items
    }

    fn item<'a>(
        &mut self,
        file: usize,
        kind: &'static str,
        table: &'a Spanned<DeValue<'a>>,
    ) -> Option<Item<'a>> {
        let Value::Object(mut fields) = json(table.get_ref()) else {
            self.problem_at(
                file,
                table.span().start,
                Problem::new(kind, format!("is written as [[{kind}]]")),
            );
            return None;
        };
        let rates = if kind == RateGroup::KIND { fields.remove(RATES) } else { None };
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
        let mut item = Item { file, kind, name, table, fields, rates: None };
        match rates {
            Some(Value::Array(rates)) => item.rates = Some(rates),
            Some(_) => self.problem(&item, Problem::new(RATES, "expected a list of tables")),
            None => {}
        }
        Some(item)
    }

    fn repeated(&mut self, items: &[Item<'_>]) {
        let mut seen = std::collections::HashMap::new();
        for item in items.iter().filter(|i| !i.name.is_empty()) {
            if let Some(first) = seen.insert((item.kind, &item.name), item) {
                let file = self.files.get(first.file).map_or("", |f| f.name.as_str());
                let mut at = Problem::default();
                if let Some(source) = self.files.get(first.file) {
                    place(&mut at, source, offset_of(first.table, "name"));
                }
                let line = at.line.unwrap_or_default();
                self.problem(
                    item,
                    Problem::new("name", format!("stands twice; first in {file}, line {line}")),
                );
            }
        }
    }

    fn parameters(&mut self, parsed: &Parsed<'_>) -> Result<(), ChangeError> {
        for (file, root) in parsed.roots.iter().enumerate() {
            let Some((key, section)) = root.get_ref().get_key_value("parameters") else { continue };
            let DeValue::Table(table) = section.get_ref() else {
                self.problem_at(
                    file,
                    key.span().start,
                    Problem::new("parameters", "is written as [parameters]"),
                );
                continue;
            };
            for (name, value) in table {
                let text = match json(value.get_ref()) {
                    Value::String(text) => text,
                    Value::Bool(yes) => if yes { "On" } else { "Off" }.to_string(),
                    other => other.to_string(),
                };
                self.parameter(file, value.span().start, name.get_ref(), &text)?;
            }
        }
        Ok(())
    }

    fn parameter(&mut self, file: usize, offset: usize, name: &str, text: &str) -> Result<(), ChangeError> {
        let own = params::find(name).map_or(name, |spec| spec.name);
        let before = self.edit.config.params.get(own);
        match self.edit.set_parameter(name, text) {
            Ok(()) => {}
            Err(ChangeError::Invalid(problems)) => {
                for problem in problems {
                    self.problem_at(file, offset, Problem { document: "parameters".into(), ..problem });
                }
                return Ok(());
            }
            Err(e) => return Err(e),
        }
        let after = self.edit.config.params.get(own);
        if before != after {
            let fields = vec![FieldChange { field: "value".into(), before, after }];
            let name = own.to_string();
            self.changes.push(Change { action: ChangeAction::Update, kind: "parameter", name, fields });
        }
        Ok(())
    }

    /// Reads the documents of one kind and puts them into the draft.
    fn stage<'a, T: Document>(&mut self, items: &'a [Item<'a>]) -> Result<Vec<Staged<'a, T>>, ChangeError> {
        let mut staged = Vec::new();
        for item in items.iter().filter(|i| i.kind == T::KIND) {
            let document: T = match from_json(Value::Object(item.fields.clone())) {
                Ok(document) => document,
                Err(problems) => {
                    problems.into_iter().for_each(|p| self.problem(item, p));
                    continue;
                }
            };
            let before = T::table(self.edit.config).named(&item.name).cloned();
            match self.edit.stage(before.as_ref(), document) {
                Ok(after) => staged.push(Staged { item, before, after }),
                Err(ChangeError::Invalid(problems)) => {
                    problems.into_iter().for_each(|p| self.problem(item, p))
                }
                Err(e) => return Err(e),
            }
        }
        Ok(staged)
    }

    fn check<T: Document>(&mut self, staged: &[Staged<'_, T>]) {
        for one in staged {
            let problems = one.after.document.validate(one.after.id, self.edit.config);
            problems.into_iter().for_each(|p| self.problem(one.item, p));
        }
    }

    fn write<T: Document>(&mut self, staged: Vec<Staged<'_, T>>) -> Result<(), StoreError> {
        for one in staged {
            self.edit.write(one.before.as_ref(), &one.after)?;
            let fields = differences(one.before.as_ref().map(|b| &b.document), &one.after.document);
            self.changed::<T>(&one, fields);
            let opening = one.after.document.opening_balance().filter(|_| one.before.is_none());
            if let Some(amount) = opening {
                let after = Some(amount.to_string());
                let fields = vec![FieldChange { field: "opening_balance".into(), before: None, after }];
                let name = one.after.document.name().to_string();
                self.changes.push(Change { action: ChangeAction::Pay, kind: T::KIND, name, fields });
            }
        }
        Ok(())
    }

    fn changed<T: Document>(&mut self, one: &Staged<'_, T>, fields: Vec<FieldChange>) {
        let action = match one.before {
            None => ChangeAction::Create,
            Some(_) if fields.is_empty() => return,
            Some(_) => ChangeAction::Update,
        };
        let name = one.after.document.name().to_string();
        self.changes.push(Change { action, kind: T::KIND, name, fields });
    }

    fn write_rate_groups(&mut self, staged: Vec<Staged<'_, RateGroup>>) -> Result<(), ChangeError> {
        for one in staged {
            self.edit.write(one.before.as_ref(), &one.after)?;
            let mut fields = differences(one.before.as_ref().map(|b| &b.document), &one.after.document);
            if let Some(rates) = &one.item.rates
                && let Some(rates) = self.read_rates(one.item, rates)
            {
                match self.edit.replace_rates(one.after.id, rates) {
                    Ok(changes) => fields.extend(shown(&changes)),
                    Err(ChangeError::Invalid(problems)) => {
                        problems.into_iter().for_each(|p| self.problem(one.item, p));
                    }
                    Err(e) => return Err(e),
                }
            }
            self.changed::<RateGroup>(&one, fields);
        }
        Ok(())
    }

    /// `None` when some of them cannot be read.
    fn read_rates(&mut self, item: &Item<'_>, rates: &[Value]) -> Option<Vec<Rate>> {
        let mut read = Vec::with_capacity(rates.len());
        let mut all = true;
        for (i, value) in rates.iter().enumerate() {
            match Rate::from_json(value.clone()) {
                Ok(rate) => read.push(rate),
                Err(problems) => {
                    all = false;
                    for problem in problems {
                        let field = format!("{RATES}[{i}].{}", problem.field);
                        self.problem(item, Problem { field, ..problem });
                    }
                }
            }
        }
        all.then_some(read)
    }
}

/// Differences of rates, the first ones each by itself.
fn shown(changes: &[RateChange]) -> Vec<FieldChange> {
    let mut fields: Vec<FieldChange> = Vec::new();
    for change in changes.iter().take(MAX_RATES_SHOWN) {
        let prefix = change.after.as_ref().or(change.before.as_ref()).map_or_else(String::new, named);
        let before = change.before.as_ref().map(in_short);
        let after = change.after.as_ref().map(in_short);
        fields.push(FieldChange { field: format!("{RATES}.{prefix}"), before, after });
    }
    if let Some(more) = changes.len().checked_sub(MAX_RATES_SHOWN).filter(|n| *n > 0) {
        fields.push(FieldChange { field: RATES.into(), before: None, after: Some(format!("{more} more")) });
    }
    fields
}

/// Its prefix, with the time when it holds.
fn named(rate: &Rate) -> String {
    let from =
        rate.valid_from.map(|at| format!(" from {}", crate::config::moment_text(at))).unwrap_or_default();
    let hours = if rate.hours.is_always() { String::new() } else { format!(" at {}", rate.hours) };
    format!("{}{from}{hours}", rate.prefix)
}

/// A rate in one line, in the notation of the trade where there is one.
fn in_short(rate: &Rate) -> String {
    let mut text = format!("{} {}/{}", rate.price_per_minute, rate.first_period, rate.cycle);
    let mut add = |words: String| {
        text.push_str(", ");
        text.push_str(&words);
    };
    if let Some(price) = rate.first_period_price {
        add(format!("first period {price}"));
    }
    if rate.connection_fee != vocab::Money::ZERO {
        add(format!("connection {}", rate.connection_fee));
    }
    if rate.minimum_charge != vocab::Money::ZERO {
        add(format!("at least {}", rate.minimum_charge));
    }
    if rate.free_seconds > 0 {
        add(format!("{} s free", rate.free_seconds));
    }
    if rate.locked {
        add("locked".to_string());
    }
    if let Some(level) = rate.level {
        add(level.key().to_string());
    }
    if let Some(until) = rate.valid_until {
        add(format!("until {}", crate::config::moment_text(until)));
    }
    for section in &rate.sections {
        add(format!("from {} s {} by {} s", section.from, section.price_per_minute, section.cycle));
    }
    if rate.area.is_empty() { text } else { format!("{text} ({})", rate.area) }
}

/// Secrets are told to have changed, not what they are.
const HIDDEN: [&str; 2] = ["secret", "sealed_password"];

/// Fields that differ; of a new document, those that are not empty.
fn differences<T: Document>(before: Option<&T>, after: &T) -> Vec<FieldChange> {
    let object = |document: &T| match serde_json::to_value(document) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    // Of a new document what is nested is told where it differs from what goes without saying.
    let nested = || object(&T::example()).into_iter().filter(|(_, value)| value.is_object()).collect();
    let (old, new) = (before.map_or_else(nested, object), object(after));
    let show = |value: Option<&Value>, hidden: bool| match value? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Object(map) if map.is_empty() => None,
        _ if hidden => Some("(set)".to_string()),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let fields = known_fields::<T>().into_iter().filter(|f| old.get(f) != new.get(f));
    let changes = fields.map(|field| {
        let hidden = HIDDEN.contains(&field.as_str());
        let old = old.get(&field).filter(|_| before.is_some());
        FieldChange { before: show(old, hidden), after: show(new.get(&field), hidden), field }
    });
    changes.filter(|c| c.before.is_some() || c.after.is_some()).collect()
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(n) => whole(n),
        // Only kept to be refused by its type: no field is a float. Text that is no JSON number becomes text.
        DeValue::Float(n) => {
            n.as_str().parse::<serde_json::Number>().map_or_else(|_| n.as_str().into(), Value::Number)
        }
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(list) => list.iter().map(|v| json(v.get_ref())).collect(),
        DeValue::Table(table) => {
            Value::Object(table.iter().map(|(k, v)| (k.get_ref().to_string(), json(v.get_ref()))).collect())
        }
    }
}

fn whole(n: &toml::de::DeInteger<'_>) -> Value {
    match i64::from_str_radix(n.as_str(), n.radix()) {
        Ok(n) => n.into(),
        Err(_) => Value::String(n.to_string()),
    }
}

/// Where a field like `rates[2].prefix` stands, or, if it is missing, what should hold it.
fn offset_of(table: &Spanned<DeValue<'_>>, path: &str) -> usize {
    let mut at = table;
    for part in path.split(['.', '[']).map(|p| p.trim_end_matches(']')).filter(|p| !p.is_empty()) {
        let next = match at.get_ref() {
            DeValue::Table(fields) => fields.get(part),
            DeValue::Array(list) => part.parse::<usize>().ok().and_then(|i| list.get(i)),
            _ => None,
        };
        match next {
            Some(value) => at = value,
            None => break,
        }
    }
    at.span().start
}
