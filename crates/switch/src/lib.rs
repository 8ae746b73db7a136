//! The brain: every call, reservation and capacity counter, as a pure state machine.
