//! Rules and services of messaging: a log for each conversation, and cursors over it.
//!
//! - [`model`]: conversations, members, stays and entries as the rules see them.
//! - [`ports`]: what the rules need from the world; implemented elsewhere.
//!
//! Invariant: no sockets, no SQL, no clock and no randomness of its own.

pub mod model;
pub mod ports;
