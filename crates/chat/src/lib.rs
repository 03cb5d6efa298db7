//! Rules and services of messaging: a log for each conversation, and cursors over it.
//!
//! - [`model`]: conversations, members, stays and entries as the rules see them.
//! - [`ports`]: what the rules need from the world; implemented elsewhere.
//! - [`visibility`]: what of a log a member may see.
//! - [`plan`]: decides, command by command, what is to happen or why not. Pure.
//! - [`writer`]: the one place that does it, a transaction for each batch.
//! - [`reading`]: assembles history, pulls, syncs and lists out of one snapshot.
//! - `presence`: who is there, told to those who watch.
//! - [`service`]: the threads around both, behind one bounded queue.
//!
//! Invariant: no sockets, no SQL, no clock and no randomness of its own. Acks and events leave
//! [`writer::Scribe::execute`] only after the commit that they tell of.

mod cache;
pub mod config;
pub mod content;
mod devices;
mod digest;
pub mod model;
mod people;
pub mod plan;
pub mod ports;
mod presence;
mod queue;
mod quota;
mod rate;
pub mod reading;
mod receipts;
mod seen;
pub mod service;
mod soft;
pub mod stats;
mod stop;
mod stored_head;
mod sweep;
mod typists;
pub mod visibility;
mod waits;
pub mod writer;

pub use config::{ChatConfig, ContentBytes, PushRules, UserRates};
pub use presence::{Heard, Shift};
pub use reading::answer;
pub use service::{Chat, Health, StartError};
pub use stored_head::StoredHead;
pub use writer::{Executed, Scribe};
