//! The API from outside: a real store, a stand-in for the brain, requests straight into the router.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that finds nothing there shall fail")]

mod bad_input;
mod console;
mod documents;
mod figures;
mod imports;
mod lists;
mod live;
mod openapi;
mod payments;
mod people;
mod rates;
mod reratings;
mod routes;
mod sign_in;
mod support;
mod wire;
