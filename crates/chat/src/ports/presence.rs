//! What is kept of users' presence.
//!
//! **Atomicity.** Each write is one row of the writer's transaction. **Idempotency.** Both writes may
//! be repeated: a choice replaces one, and `last_seen` never moves back. Deliberately absent: who is
//! there, which no store knows.

use hubbub_proto::command::Chosen;
use hubbub_proto::{Timestamp, UserId};

use super::Result;
use crate::model::{KeptPresence, UserKey};

/// Reads.
pub trait Presences {
    /// What is kept of a user; the default of one of whom nothing is.
    fn presence(&mut self, user: &UserId) -> Result<KeptPresence>;
}

/// Writes.
pub trait WritePresences {
    /// What the user chose at `at`. One who becomes invisible was last seen then.
    fn choose(&mut self, user: UserKey, chosen: Chosen, at: Timestamp) -> Result<()>;
    /// The user was there until `at`; of one who is invisible nothing is written.
    fn saw(&mut self, user: UserKey, at: Timestamp) -> Result<()>;
}
