//! The one door: REST resources, sign-in, OpenAPI document, live views, and the console's files.
//!
//! The program gives a [`Store`](store::Store), a [`Brain`] and a [`LiveBoard`] that it feeds; [`ApiServer`] makes the
//! router. Console, command line and importers come in through it alike. Each resource is one file in `resources`:
//! its documents, their conversion from and to the inner types, and its handlers.
//!
//! | module | holds |
//! | --- | --- |
//! | `server` | what all requests share: state, layers, versions |
//! | `sign_in` | users, tokens, the guard in front of everything |
//! | `body`, `problem` | strict reading, and the one form of refusals |
//! | `listing`, `grid` | pages, filters, orders |
//! | `records` | records as lines of files and as signed deliveries |
//! | `sheet` | CSV and XLSX |
//! | `documents` | what accounts, gateways and rate groups have in common |
//! | `live` | the board, the views and the WebSocket |
//! | `console` | the console's files |
//! | `openapi` | the document, written from the code |

mod body;
mod brain;
mod clock;
mod console;
mod documents;
mod grid;
mod http;
mod listing;
mod live;
mod metrics;
mod openapi;
mod problem;
pub mod records;
mod resources;
mod rights;
mod seeing;
mod server;
mod sheet;
mod sign_in;
mod token;
mod totp;
mod zip;

pub use brain::{Brain, BrainGone, Listener, Reply, SelfTest, SelfTestStep, ShellStatus};
pub use clock::{Clock, Timestamp, system_clock};
pub use live::board::LiveBoard;
pub use metrics::{METRICS, Metric, MetricKind, metric_names};
pub use openapi::openapi_json;
pub use seeing::{LogLevels, Seeing, SeeingFigures, TraceKind, TraceOrder, TraceState};
pub use server::{ApiServer, Settings};
pub use sign_in::SetUpError;
