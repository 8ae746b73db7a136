//! Rows of reports about calls and attempts.

use super::names::{Names, number_of};
use super::window::cover;
use super::{Asked, Dimension, Found, Source, Totals};
use crate::config::{Account, MappingGateway, RoutingGateway};
use crate::rollup::{ATTEMPT, CALL, KEY_COLUMNS, Key, Sums};
use crate::sql::Connection;
use crate::{ChangeError, Problem, Store, StoreError};
use std::collections::HashMap;
use std::sync::LazyLock;
use vocab::EndReason;

/// What a filter asks of a key.
enum Wanted {
    Account(u32),
    Vendor(u32),
    MappingGateway(u32),
    RoutingGateway(u32),
    Prefix(String),
    Area(String),
    EndReason(String),
    Currency(String),
}

impl Wanted {
    fn read(store: &Store, dimension: Dimension, value: &str) -> Result<Wanted, ChangeError> {
        let config = store.config();
        let field = dimension.name();
        Ok(match dimension {
            Dimension::Account => Wanted::Account(number_of::<Account>(&config, field, value)?),
            Dimension::Vendor => Wanted::Vendor(number_of::<Account>(&config, field, value)?),
            Dimension::MappingGateway => {
                Wanted::MappingGateway(number_of::<MappingGateway>(&config, field, value)?)
            }
            Dimension::RoutingGateway => {
                Wanted::RoutingGateway(number_of::<RoutingGateway>(&config, field, value)?)
            }
            Dimension::Prefix => Wanted::Prefix(value.into()),
            Dimension::Area => Wanted::Area(value.into()),
            Dimension::EndReason if EndReason::from_key(value).is_some() => Wanted::EndReason(value.into()),
            Dimension::Currency => Wanted::Currency(value.into()),
            _ => {
                let words = format!("{value:?} is not in the table of end reasons");
                return Err(ChangeError::Invalid(vec![Problem::new(field, words)]));
            }
        })
    }

    fn holds(&self, key: &Key) -> bool {
        match self {
            Wanted::Account(id) => key.account == *id,
            Wanted::Vendor(id) => key.vendor == *id,
            Wanted::MappingGateway(id) => key.mapping_gateway == *id,
            Wanted::RoutingGateway(id) => key.routing_gateway == *id,
            Wanted::Prefix(prefix) => key.prefix == *prefix,
            Wanted::Area(area) => key.area == *area,
            Wanted::EndReason(reason) => key.end_reason == *reason,
            Wanted::Currency(currency) => key.currency == *currency || key.cost_currency == *currency,
        }
    }
}

/// Where the sums of a key go: revenue and all counts to the first row, cost to the second.
#[derive(Clone, Copy)]
struct Places {
    sale: u32,
    cost: u32,
}

/// Texts of dimensions, each combination numbered.
#[derive(Default)]
struct Labels {
    all: Vec<Vec<String>>,
    numbers: HashMap<Vec<String>, u32>,
}

impl Labels {
    fn number(&mut self, labels: Vec<String>) -> u32 {
        if let Some(number) = self.numbers.get(&labels) {
            return *number;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(labels.clone());
        self.numbers.insert(labels, number);
        number
    }
}

pub(super) fn find(store: &Store, asked: &Asked<'_>) -> Result<Vec<Found>, ChangeError> {
    let wanted = asked.filters.iter().map(|(dimension, value)| Wanted::read(store, *dimension, value));
    let wanted: Vec<Wanted> = wanted.collect::<Result<_, _>>()?;
    let config = store.config();
    Ok(store.read(|db| {
        let mut names = Names::new(db, &config);
        let (places, labels) = places(db, &mut names, asked, &wanted)?;
        let mut sums: HashMap<(usize, u32), Totals> = HashMap::new();
        for (bucket, time) in asked.buckets.iter().enumerate() {
            for (level, from, to) in cover(time.from, time.to) {
                db.each(&SELECT, &[level.into(), from.into(), to.into()], |row| {
                    if let Some((places, one)) = places.get(&row.int(0)?) {
                        let one_currency = *one;
                        add(&mut sums, bucket, *places, &Sums::read(row, 1)?, one_currency);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(rows(asked, &labels, sums))
    })?)
}

static SELECT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT key_id, {} FROM rollup WHERE level = ?1 AND slot >= ?2 AND slot < ?3",
        Sums::COLUMNS.join(", ")
    )
});

fn add(
    sums: &mut HashMap<(usize, u32), Totals>,
    bucket: usize,
    places: Places,
    row: &Sums,
    comparable: bool,
) {
    let totals = sums.entry((bucket, places.sale)).or_default();
    totals.add_calls(row);
    if comparable {
        totals.profit = totals.profit.saturating_add(row.revenue()).saturating_sub(row.cost());
    }
    sums.entry((bucket, places.cost)).or_default().add_cost(row);
}

/// By key: where its sums go, and whether its revenue and its cost stand in one currency.
type PlacesByKey = HashMap<i64, (Places, bool)>;

fn places(
    db: &Connection,
    names: &mut Names<'_>,
    asked: &Asked<'_>,
    wanted: &[Wanted],
) -> Result<(PlacesByKey, Labels), StoreError> {
    let source = if asked.report.source == Source::Calls { CALL } else { ATTEMPT };
    let (mut places, mut labels) = (PlacesByKey::new(), Labels::default());
    let by_currency = asked.group.contains(&Dimension::Currency);
    let sql = format!("SELECT id, {KEY_COLUMNS} FROM rollup_key WHERE source = ?1");
    db.each(&sql, &[source.into()], |row| {
        let key = Key::read(row, 1)?;
        if wanted.iter().any(|w| !w.holds(&key)) {
            return Ok(());
        }
        let one =
            key.currency.is_empty() || key.cost_currency.is_empty() || key.currency == key.cost_currency;
        let main = if key.currency.is_empty() { &key.cost_currency } else { &key.currency };
        let sale = labels.number(texts(names, &asked.group, &key, main)?);
        let cost = match one || !by_currency {
            true => sale,
            false => labels.number(texts(names, &asked.group, &key, &key.cost_currency)?),
        };
        places.insert(row.int(0)?, (Places { sale, cost }, one));
        Ok(())
    })?;
    Ok((places, labels))
}

fn texts(
    names: &mut Names<'_>,
    group: &[Dimension],
    key: &Key,
    currency: &str,
) -> Result<Vec<String>, StoreError> {
    let text = |dimension: &Dimension| {
        Ok(match dimension {
            Dimension::Account => names.account(key.account)?,
            Dimension::Vendor => names.account(key.vendor)?,
            Dimension::MappingGateway => names.mapping_gateway(key.mapping_gateway)?,
            Dimension::RoutingGateway => names.routing_gateway(key.routing_gateway)?,
            Dimension::Prefix => key.prefix.clone(),
            Dimension::Area => key.area.clone(),
            Dimension::CostPrefix => key.cost_prefix.clone(),
            Dimension::EndReason => key.end_reason.clone(),
            Dimension::Currency => currency.to_string(),
            // Times are filled in by bucket.
            _ => String::new(),
        })
    };
    group.iter().map(text).collect()
}

/// One row for each combination of labels; hours of the day fall together.
fn rows(asked: &Asked<'_>, labels: &Labels, sums: HashMap<(usize, u32), Totals>) -> Vec<Found> {
    let time = asked.group.iter().position(|d| d.is_time());
    let mut merged: HashMap<Vec<String>, Found> = HashMap::new();
    for ((bucket, number), mut totals) in sums {
        let Some(part) = asked.buckets.get(bucket) else { continue };
        let mut labels = labels.all.get(number as usize).cloned().unwrap_or_default();
        if let Some(label) = time.and_then(|place| labels.get_mut(place)) {
            label.clone_from(&part.label);
        }
        totals.length_s = i128::from(part.to - part.from);
        match merged.get_mut(&labels) {
            Some(found) => {
                found.bucket = found.bucket.min(bucket);
                found.totals.length_s += totals.length_s;
                found.totals.merge(&totals);
            }
            None => {
                merged.insert(labels.clone(), Found { bucket, labels, totals });
            }
        }
    }
    merged.into_values().collect()
}
