//! What is between users, and what they show of themselves.
//!
//! **Atomicity.** As everywhere, what a command writes belongs to the writer's transaction: both
//! sides of a relation change in one commit, or neither does. **Ordering.** The relations of a user
//! are told apart by their revs; two changes of one command have the same rev but different users.

use std::sync::Arc;

use hubbub_proto::{DeviceId, Timestamp, UserId};

use super::Result;
use crate::model::{Counted, Device, Pair, PrivacyChoice, Relation, Rev, Showing, User, UserKey};

/// Reads.
pub trait People {
    /// Both sides of what is between two users, seen from `user`; nothing where nothing is stored.
    fn pair(&mut self, user: UserKey, other: UserKey) -> Result<Pair>;
    /// The side of `user`, also where nothing is left of it but a tombstone.
    fn relation(&mut self, user: UserKey, other: UserKey) -> Result<Option<Relation>>;
    /// What changed for `user` after `since`, oldest change first, at most `limit`; `tombstones`:
    /// also where nothing is left.
    fn relations(
        &mut self,
        user: UserKey,
        since: Rev,
        tombstones: bool,
        limit: u32,
    ) -> Result<Vec<(User, Relation)>>;
    /// When a relation of `user` last changed, and up to where tombstones were forgotten.
    fn relations_rev(&mut self, user: UserKey) -> Result<(Rev, Rev)>;
    /// How many relations of `user` are of this sort.
    fn relation_count(&mut self, user: UserKey, counted: Counted) -> Result<u64>;
    /// Friends of `user` where neither blocks the other, in no order, at most `limit`.
    fn friends_of(&mut self, user: UserKey, limit: u32) -> Result<Vec<User>>;
    /// What a user shows beyond their name.
    fn showing(&mut self, user: UserKey) -> Result<Showing>;
    /// What a back end gave `user`, besides the roles of their tokens.
    fn roles(&mut self, user: UserKey) -> Result<Arc<[Box<str>]>>;
    /// Devices of `user`, those that were there lately first.
    fn devices(&mut self, user: UserKey) -> Result<Vec<Device>>;
    /// Devices that were signed out after `since`, of all users, at most `limit`.
    fn signed_out(
        &mut self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(UserId, DeviceId, Timestamp)>>;
}

/// Writes.
pub trait WritePeople {
    /// Replaces the side of `user`.
    fn put_relation(&mut self, user: UserKey, other: UserKey, relation: &Relation) -> Result<()>;
    /// Where `user` has more than `keep` tombstones, forgets the oldest until half of that is left,
    /// and keeps note of the newest one forgotten.
    fn forget_relations(&mut self, user: UserKey, keep: u32) -> Result<()>;
    /// Replaces what a user has chosen.
    fn put_privacy(&mut self, user: UserKey, privacy: PrivacyChoice, rev: Rev) -> Result<()>;
    /// Replaces what a back end gave a user. No role has control characters.
    fn put_roles(&mut self, user: UserKey, roles: &[Box<str>], rev: Rev) -> Result<()>;
    /// Replaces what a user shows.
    fn put_showing(&mut self, user: UserKey, showing: &Showing) -> Result<()>;
    /// Replaces a device. Where the user then has more than `keep` that are not signed out, the one of
    /// them that was away for longest is forgotten.
    fn put_device(&mut self, user: UserKey, device: &Device, keep: u32) -> Result<()>;
}
