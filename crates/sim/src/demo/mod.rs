//! The example of `tandem demo`: a business, and the customers and vendors that keep it busy.
//!
//! [`DemoAgent`] plays all peers at once on [`sip::Endpoint`], the switch's own engine (here reuse is right: the demo
//! shows, it does not judge). It is sans-IO like everything else: the program gives it sockets by their numbers.

mod agent;
mod business;
mod traffic;
mod voice;

pub use agent::{Counters, DemoAgent, DemoConfig, DemoInput, DemoOutput};
pub use business::{CUSTOMERS, Places, VENDORS, business};
