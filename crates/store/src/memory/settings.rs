//! What users keep about conversations, in memory.

use hubbub_chat::model::{ConversationKey, Rev, Settings, UserKey};
use hubbub_chat::ports::{Result, WriteSettings};

use super::{Handle, Writing, conversations};

impl WriteSettings for Handle<Writing> {
    fn set_settings(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        settings: &Settings,
        rev: Rev,
    ) -> Result<()> {
        let place = conversations::place(self.seat.working()?, conversation, user)?;
        let kept = Some(settings).filter(|settings| **settings != Settings::default());
        place.settings = kept.cloned().map(Box::new);
        place.rev = rev;
        Ok(())
    }
}
