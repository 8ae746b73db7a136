//! The program as a library, so that tests, benchmarks and the thin `main` share it.
//!
//! | module | holds |
//! | --- | --- |
//! | `cli` | the command line; everything but `serve` and `demo` is a client of the API |
//! | `serve`, `demo` | the two ways to run a switch |
//! | `program` | the switch put together, and taken apart in the right order |
//! | `settings`, `folder` | which sockets and threads; the data folder |
//! | `signalling` | the thread that owns the brain; UDP; the inbox of everybody else |
//! | `tcp` | SIP over TCP, TLS and WebSocket |
//! | `media_io` | the media threads |
//! | `journal` | records to disk and into the database |
//! | `records` | files of records, their stream to a receiver, samples of the load |
//! | `configuration`, `operator`, `live` | between brain and API: configuration, requests, live updates |
//! | `clock`, `interfaces` | the outside facts: time, our addresses |
//! | `priority` | which threads go before others |

mod alarms;
pub mod cli;
mod clock;
mod configuration;
pub mod demo;
mod folder;
mod interfaces;
mod journal;
mod live;
mod log;
pub mod media_io;
mod monitor;
mod operator;
mod priority;
pub mod program;
mod records;
mod selftest;
mod serve;
pub mod settings;
mod signalling;
mod tcp;
mod trace;
mod watching;
