//! What a row of sums holds.

use super::whole;
use cdr::Cdr;
use vocab::Money;

/// Sums of money stand in two whole numbers: SQLite's have 64 bits, and beyond them it would go on in floating point.
const BASE: i128 = 1_000_000_000;

fn split(amount: i128) -> (i64, i64) {
    let high = i64::try_from(amount.div_euclid(BASE)).unwrap_or(i64::MAX);
    (high, i64::try_from(amount.rem_euclid(BASE)).unwrap_or(0))
}

/// The amount that stands in two columns.
pub(crate) fn wide(high: i64, low: i64) -> i128 {
    i128::from(high) * BASE + i128::from(low)
}

macro_rules! sums {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// Sums over the calls of a row.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Sums { $($(#[$doc])* pub $field: i64,)* }

        impl Sums {
            pub const COLUMNS: &[&str] = &[$(stringify!($field),)*];

            pub fn add(&mut self, other: &Sums) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            }

            /// In the order of the columns.
            pub fn values(&self) -> impl Iterator<Item = i64> {
                [$(self.$field,)*].into_iter()
            }

            /// From the columns, the first of which is this one.
            pub fn read(row: &crate::sql::Row<'_>, first: usize) -> Result<Sums, crate::StoreError> {
                let mut column = first..;
                let mut next = || row.int(column.next().unwrap_or(first));
                Ok(Sums { $($field: next()?,)* })
            }
        }
    };
}

sums! {
    calls,
    answered,
    /// The network did its part.
    effective,
    talk_ms,
    /// Seconds charged to the customer, and by the vendor.
    billed_s,
    cost_s,
    /// Of the calls that rang.
    pdd_ms,
    pdd_calls,
    revenue_hi,
    revenue_lo,
    cost_hi,
    cost_lo,
    /// Sold for less than they cost, and by how much.
    loss_calls,
    loss_hi,
    loss_lo,
}

impl Sums {
    /// Of one call.
    pub fn of(cdr: &Cdr) -> Sums {
        let amount = |p: &Option<cdr::Priced>| p.as_ref().map_or(0, |p| p.amount.0);
        let charged = |p: &Option<cdr::Priced>| p.as_ref().map_or(0, |p| whole(p.charged_s));
        let (revenue_hi, revenue_lo) = split(amount(&cdr.sale));
        let (cost_hi, cost_lo) = split(amount(&cdr.cost));
        let loss = loss(cdr).unwrap_or_default().0;
        let (loss_hi, loss_lo) = split(loss);
        let answered = cdr.answer.is_some();
        Sums {
            calls: 1,
            answered: i64::from(answered),
            effective: i64::from(super::is_effective(answered, cdr.ringing.is_some(), cdr.end_reason)),
            talk_ms: whole(cdr.talk_ms),
            billed_s: charged(&cdr.sale),
            cost_s: charged(&cdr.cost),
            pdd_ms: cdr.pdd_ms.map_or(0, whole),
            pdd_calls: i64::from(cdr.pdd_ms.is_some()),
            revenue_hi,
            revenue_lo,
            cost_hi,
            cost_lo,
            loss_calls: i64::from(loss > 0),
            loss_hi,
            loss_lo,
        }
    }

    pub fn revenue(&self) -> i128 {
        wide(self.revenue_hi, self.revenue_lo)
    }

    pub fn cost(&self) -> i128 {
        wide(self.cost_hi, self.cost_lo)
    }

    pub fn loss(&self) -> i128 {
        wide(self.loss_hi, self.loss_lo)
    }
}

/// By how much a call cost more than it was sold for; `None` where the two cannot be compared.
fn loss(cdr: &Cdr) -> Option<Money> {
    let (sale, cost) = (cdr.sale.as_ref()?, cdr.cost.as_ref()?);
    let loss = cost.amount.checked_sub(sale.amount).ok()?;
    (sale.currency == cost.currency && loss > Money::ZERO).then_some(loss)
}

/// Entries of a book and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LedgerSum {
    pub entries: i64,
    pub hi: i64,
    pub lo: i64,
}

impl LedgerSum {
    pub fn add(&mut self, amount: i128) {
        let (high, low) = split(amount);
        self.entries = self.entries.saturating_add(1);
        self.hi = self.hi.saturating_add(high);
        self.lo = self.lo.saturating_add(low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_any_size_and_sign_survive_being_split() {
        for amount in
            [0, 1, -1, 999_999_999, 1_000_000_000, -1_000_000_001, 10i128.pow(27), -(10i128.pow(27)) - 7]
        {
            let (high, low) = split(amount);
            assert_eq!(wide(high, low), amount);
        }
        let mut sum = LedgerSum::default();
        [5, -7, 3_000_000_000, -1].into_iter().for_each(|n| sum.add(n));
        assert_eq!((wide(sum.hi, sum.lo), sum.entries), (2_999_999_997, 4));
    }
}
