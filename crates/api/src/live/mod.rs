//! What is going on now: the board that the shell feeds, and the views that clients see of it.

pub(crate) mod board;
pub(crate) mod day;
pub(crate) mod pulse;
pub(crate) mod socket;
pub(crate) mod view;
