//! What is kept no longer: the content of entries first, their rows when no retry of their commands
//! is to be recognised any more.
//!
//! **Atomicity.** Each call is one change within the writer's transaction. **Order.** A log loses its
//! entries from the lowest up, so that what is left of it is whole. **Identity.** A retired entry
//! keeps its place, sender, client id, time and digest (P2); of each log the newest entry is never
//! taken away, so that what follows goes on from it, but its client id is forgotten as any other.

use hubbub_proto::{ConversationId, Timestamp};

use super::Result;
use crate::model::{Aged, ConversationKey, EntryKey, Rev};

/// Reads what is to be done.
pub trait Retention {
    /// Entries of all logs behind the one written as `after`, in the order of commits, at most
    /// `limit`. The cost is that of the answer.
    fn committed_after(&mut self, after: Rev, limit: u32) -> Result<Vec<Aged>>;
    /// When the entry was written that was committed last; `None` where there is none.
    fn newest_at(&mut self) -> Result<Option<Timestamp>>;
    /// Up to which entry the logs were swept, all of them together.
    fn swept(&mut self) -> Result<Rev>;
    /// Groups that are to be looked at by `now`, those first that wait for longest, at most `limit`.
    fn overdue(&mut self, now: Timestamp, limit: u32) -> Result<Vec<ConversationId>>;
    /// When the next group is to be looked at.
    fn next_overdue(&mut self) -> Result<Option<Timestamp>>;
    /// Entries that were retired and are not forgotten, in the order of their times and then of
    /// commits, which both are that of each log, at most `limit`.
    fn retired(&mut self, limit: u32) -> Result<Vec<Aged>>;
}

/// Does it.
pub trait RetentionWrites {
    /// The logs were swept up to this entry.
    fn set_swept(&mut self, rev: Rev) -> Result<()>;
    /// When the group is to be looked at; `None` for never.
    fn set_overdue(&mut self, conversation: ConversationKey, at: Option<Timestamp>) -> Result<()>;
    /// Nobody sees what stands up to `seq`; a lower one than before changes nothing.
    fn raise_floor(&mut self, conversation: ConversationKey, seq: u64) -> Result<()>;
    /// Wipes an entry with all that was done to it: edits, reactions, its pin, that users hid it,
    /// that its sender asks for receipts. Nothing where that has happened.
    fn retire(&mut self, entry: EntryKey) -> Result<()>;
    /// Takes away a retired entry, the lowest of its log, and with it what it is recognised by. The
    /// log's newest is left, and is not among those retired any more; it goes together with the next
    /// one.
    fn forget(&mut self, entry: EntryKey) -> Result<()>;
}
