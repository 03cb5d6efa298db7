//! Implementations of the chat ports: where conversations, members and entries are kept.
//!
//! - [`sqlite`]: the embedded default; one directory, durable when a commit returns.
//! - [`memory`]: for tests and the simulation; nothing survives the process.
//! - [`conformance`]: one suite that every implementation passes.
//!
//! Invariant: every implementation answers alike, so the rules cannot tell them apart. Deliberately
//! absent: rules (who may do what is decided in `chat`), and caches of rows (the writer has its own).

pub mod conformance;
pub mod memory;
pub mod sqlite;

pub use memory::MemoryStore;
pub use sqlite::{SqliteOptions, SqliteStore};

/// How many of the newest entries of a range are looked at to count unread messages (P6).
const UNREAD_SCANNED_MAX: u32 = 1000;
/// Where counting the reactions to an entry with one emoji stops.
const REACTIONS_COUNTED_MAX: u32 = 1_000;
/// How many of those who react are named with the count.
const REACTION_USERS_MAX: u32 = 5;
/// Where counting stops; 100 stands for "99+" (P6).
const UNREAD_COUNTED_MAX: u32 = 100;
