//! The built program from outside: SIPp places and takes the calls, the command line looks at what came of them.
//!
//! Every test has a switch of its own, on ports of the system's choice, and loopback addresses of its own, so that
//! all can run at once. Without SIPp (`apt-get install sip-tester`) these tests fail: they would prove nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the whole crate is tests: a panic is a failure")]

mod abuse;
mod apply;
mod balance;
mod calls;
mod codecs;
mod commands;
mod crash;
mod demo;
mod device;
mod digest;
mod disk;
mod dtmf;
mod failover;
mod faults;
mod flood;
mod guarding;
mod harness;
mod identity;
mod lossy;
mod media;
mod money;
mod phones;
mod records;
mod routes;
mod secure;
mod seeing;
mod srtp;
mod stop;
mod torture;
mod vendors;
