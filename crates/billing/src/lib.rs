//! Rates, pricing, ledger with reservations. Integers only.
