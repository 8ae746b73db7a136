//! The registry of system parameters: one table, everything else made from it.
