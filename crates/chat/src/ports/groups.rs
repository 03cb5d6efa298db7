//! Who may enter a group, and who may only read in it.
//!
//! **Atomicity** and **ordering** are those of [`super::Writer`]: what is written here belongs to the
//! transaction that is open. Nothing here is part of a conversation's log; the rules write the entry
//! that tells members of it in the same transaction.

use hubbub_proto::{Timestamp, UserId};

use super::Result;
use crate::model::{Ban, ConversationKey, JoinRequest, Link, Rev, Until, User, UserKey};

/// Bans and requests to join, read.
pub trait Groups {
    /// The ban of `user`, also one that has ended.
    fn ban(&mut self, conversation: ConversationKey, user: UserKey) -> Result<Option<Ban>>;
    /// Bans that hold at `now`, in the order of the users' ids, after `after`, at most `limit`.
    fn bans(
        &mut self,
        conversation: ConversationKey,
        now: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, Ban)>>;
    /// How many hold at `now`.
    fn ban_count(&mut self, conversation: ConversationKey, now: Timestamp) -> Result<u64>;
    /// The request of `user` that waits.
    fn join_request(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
    ) -> Result<Option<JoinRequest>>;
    /// Requests that wait, in the order of the users' ids, after `after`, at most `limit`.
    fn join_requests(
        &mut self,
        conversation: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, JoinRequest)>>;
    /// How many wait.
    fn join_request_count(&mut self, conversation: ConversationKey) -> Result<u64>;
    /// How many of `user` wait, in all groups.
    fn own_join_request_count(&mut self, user: UserKey) -> Result<u64>;
    /// The links into a group, also those that have ended and are not forgotten yet; the oldest
    /// first.
    fn links(&mut self, conversation: ConversationKey) -> Result<Vec<Link>>;
    /// Owners, and then admins, at most `limit`; within a role those first whom the store has known
    /// longest.
    fn managers(&mut self, conversation: ConversationKey, limit: u32) -> Result<Vec<UserId>>;
}

/// Bans and requests to join, written.
pub trait WriteGroups {
    /// Keeps `user` out, instead of an earlier ban of theirs; those of the conversation that have
    /// ended at `at` are forgotten.
    fn put_ban(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        by: UserKey,
        at: Timestamp,
        until: Until,
    ) -> Result<()>;
    /// Forgets the ban of `user`, if there is one.
    fn remove_ban(&mut self, conversation: ConversationKey, user: UserKey) -> Result<()>;
    /// `user` asks to be let in, instead of an earlier request of theirs.
    fn put_join_request(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        request: &JoinRequest,
    ) -> Result<()>;
    /// Forgets the request of `user`, if there is one.
    fn remove_join_request(&mut self, conversation: ConversationKey, user: UserKey) -> Result<()>;
    /// A new link of `by`; those of the conversation that have ended by the time it was made are
    /// forgotten.
    fn put_link(&mut self, conversation: ConversationKey, by: UserKey, link: &Link) -> Result<()>;
    /// Somebody entered by the link of this digest: one use less is left, where they are counted.
    fn use_link(&mut self, conversation: ConversationKey, digest: &[u8; 32]) -> Result<()>;
    /// Forgets a link, if there is one.
    fn remove_link(&mut self, conversation: ConversationKey, digest: &[u8; 32]) -> Result<()>;
    /// Forgets all that is only of use while users may enter: bans, requests and links.
    fn close_doors(&mut self, conversation: ConversationKey) -> Result<()>;
    /// A member may only read, or may write again. Kept when they leave and come back.
    fn silence(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        until: Option<Until>,
        rev: Rev,
    ) -> Result<()>;
    /// The same for all but owner and admins.
    fn silence_all(&mut self, conversation: ConversationKey, until: Option<Until>) -> Result<()>;
}
