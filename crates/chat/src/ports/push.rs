//! Memberships in the logs of what is pushed to everyone and to roles.
//!
//! **Atomicity.** Each call is one change within the writer's transaction: the membership and its
//! stay go together.

use hubbub_proto::ConversationId;

use super::Result;
use crate::model::{ConversationKey, Rev, UserKey};

/// Reads them.
pub trait Audiences {
    /// The system conversations, not that of the user alone, in which `user` has an open stay, in
    /// the order of their keys. Costs as much as there are of these, however many conversations the
    /// user has.
    fn audiences_of(&mut self, user: UserKey) -> Result<Vec<(ConversationKey, ConversationId)>>;
}

/// Changes them.
pub trait AudienceWriter {
    /// Opens a stay behind `head_seq`; the user must have none open. One that ended there goes on.
    /// Of earlier stays the newest are kept, `stays_max` with this one.
    fn enter_audience(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        head_seq: u64,
        stays_max: u32,
        rev: Rev,
    ) -> Result<()>;
    /// Closes the open stay at `head_seq`; one that showed nothing is gone.
    fn leave_audience(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        head_seq: u64,
        rev: Rev,
    ) -> Result<()>;
}
