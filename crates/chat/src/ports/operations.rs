//! What was done to messages: edits, removals, reactions.
//!
//! **Atomicity.** All of it is of the transaction in which it is written, together with the entry
//! that says so. **Identity.** A removed entry keeps its place, sender, client id, time and digest,
//! so that its command is still known when it comes again (P2).

use hubbub_proto::command::Emoji;
use hubbub_proto::event::{Reaction, ReactionCount, Removed};
use hubbub_proto::{Timestamp, UserId};

use super::Result;
use crate::model::{ConversationKey, Edit, EntryKey, Pin, Rev, UserKey};

/// Reads what was done.
pub trait Operations {
    /// The edit of a message that was written as `rev`; `None` where the entry is none.
    fn edit(&mut self, conversation: ConversationKey, rev: Rev) -> Result<Option<Edit>>;
    /// Whether `user` reacts with `emoji`.
    fn has_reaction(&mut self, target: EntryKey, emoji: &Emoji, user: UserKey) -> Result<bool>;
    /// What an entry is reacted to with, in the order of its bytes.
    fn emojis(&mut self, target: EntryKey) -> Result<Vec<Emoji>>;
    /// The reactions that were written up to the seq `through`, by emoji in the order of its
    /// bytes: each counted to at most 1,000, with the first five users in the order of their keys,
    /// and whether `reader` is among them all.
    fn reaction_counts(
        &mut self,
        target: EntryKey,
        reader: UserKey,
        through: u64,
    ) -> Result<Vec<ReactionCount>>;
    /// The reactions that were written up to the seq `through`, with `emoji` where one is named,
    /// behind `after`, in the order of emoji and user key, at most `limit`.
    fn reactions(
        &mut self,
        target: EntryKey,
        emoji: Option<&Emoji>,
        after: Option<(&Emoji, UserKey)>,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Reaction>>;
    /// What is pinned, in the order in which it was.
    fn pins(&mut self, conversation: ConversationKey) -> Result<Vec<Pin>>;
    /// Which seqs of `from..=to` a user hid, ascending, at most `limit`.
    fn hidden(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        range: (u64, u64),
        limit: u32,
    ) -> Result<Vec<u64>>;
    /// Entries whose time was over at `now`, which are not removed yet, at most `limit`.
    fn expired(&mut self, now: Timestamp, limit: u32) -> Result<Vec<EntryKey>>;
    /// When the next entry expires.
    fn next_expiry(&mut self) -> Result<Option<Timestamp>>;
    /// The users whose open stay begins after `seq`, with where it begins, in that order.
    fn joined_after(
        &mut self,
        conversation: ConversationKey,
        seq: u64,
    ) -> Result<Vec<(u64, UserId)>>;
}

/// Writes what is done.
pub trait OperationWrites {
    /// `edit`, written before in this transaction, is the newest edit of `target` from here on; its
    /// number is the next one.
    fn chain_edit(&mut self, target: EntryKey, edit: EntryKey) -> Result<()>;
    /// The content of an entry and of all its edits, and what was sent along with it, is gone, and
    /// so are the reactions to it and its pin.
    fn remove(&mut self, target: EntryKey, removed: Removed) -> Result<()>;
    /// `user` reacts with `emoji` from the entry `seq` on; nothing where they do so already.
    fn put_reaction(
        &mut self,
        target: EntryKey,
        emoji: &Emoji,
        user: UserKey,
        seq: u64,
        at: Timestamp,
    ) -> Result<()>;
    /// A message is pinned; nothing where it is.
    fn put_pin(&mut self, target: EntryKey, by_seq: u64, by: UserKey, at: Timestamp) -> Result<()>;
    /// It is no more.
    fn drop_pin(&mut self, target: EntryKey) -> Result<()>;
    /// `user` sees an entry no more; a change of their membership.
    fn hide(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        rev: Rev,
    ) -> Result<()>;
    /// `user` sees nothing up to `seq` any more, nor needs to know what they hid there; a change of
    /// their membership.
    fn clear(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        rev: Rev,
    ) -> Result<()>;
    /// They do no more.
    fn drop_reaction(&mut self, target: EntryKey, emoji: &Emoji, user: UserKey) -> Result<()>;
}
