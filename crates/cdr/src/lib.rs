//! The call detail record and the figures made from it.
