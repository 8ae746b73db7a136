//! Seeing what happens (`DBG-1`, `DBG-2`, `DBG-5`): the signalling thread puts each message and event into a
//! [`Mailbox`], which costs it one copy; the capture thread masks, keeps, and passes on; the thread of the trace files
//! writes. None of them is ever waited for: what has no room is dropped and counted.

mod files;
mod mailbox;
mod observer;

pub use files::TwoFiles;
pub use mailbox::Mailbox;
pub use observer::{Observer, Observing};
