//! What users keep about conversations, written; it is read with the membership.

use super::Result;
use crate::model::{ConversationKey, Rev, Settings, UserKey};

/// Settings, written in the transaction that is open.
pub trait WriteSettings {
    /// Keeps these instead of the earlier ones, also for one who left.
    ///
    /// # Errors
    /// [`super::StoreError::Row`] where the user was never in the conversation.
    fn set_settings(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        settings: &Settings,
        rev: Rev,
    ) -> Result<()>;
}
