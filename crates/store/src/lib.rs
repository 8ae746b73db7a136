//! The only SQL: configuration, ledger, CDR partitions; journal files; snapshots.
