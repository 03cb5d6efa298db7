//! Who belongs to the audiences of pushes: a user is in the logs of everyone and of each of their
//! roles from when they were first seen with it to when they were seen without.
//!
//! Invariant: nothing is written for a user who is seen again with the same roles, so a storm of
//! logins costs a look at a small index for each. Where nobody may push, nothing is kept at all.

use hubbub_proto::{ConversationId, Identity};

use super::transaction::Transaction;
use crate::model::{ConversationKey, UserKey};
use crate::plan::push::audiences;
use crate::ports::Result;

impl Transaction<'_> {
    /// A session was opened, or goes on under a newer token.
    pub(super) fn seen(&mut self, identity: &Identity) -> Result<()> {
        if !self.config.push.is_used() {
            return Ok(());
        }
        let user = self.named_caller_key(identity)?;
        self.keep_audiences(user, identity)
    }

    /// The user is there, with the roles of this session.
    pub(super) fn keep_audiences(&mut self, user: UserKey, identity: &Identity) -> Result<()> {
        if !self.config.push.is_used() {
            return Ok(());
        }
        let roles = self.standing(identity)?.all_roles();
        let wanted = audiences(&roles, self.config.push_roles_max as usize);
        let held = self.store.audiences_of(user)?;
        for conversation in &wanted {
            if !held.iter().any(|(_, id)| id == conversation) {
                self.enter(conversation, user)?;
            }
        }
        for (key, conversation) in &held {
            if !wanted.contains(conversation) {
                self.leave(*key, user, conversation)?;
            }
        }
        Ok(())
    }

    pub(super) fn leave(
        &mut self,
        key: ConversationKey,
        user: UserKey,
        conversation: &ConversationId,
    ) -> Result<()> {
        let head_seq = self.head_of(conversation)?;
        let rev = self.next_rev();
        self.writing()?.leave_audience(key, user, head_seq, rev)?;
        self.cache.forget((key, user));
        Ok(())
    }

    pub(super) fn enter(&mut self, conversation: &ConversationId, user: UserKey) -> Result<()> {
        let known = self.cache.slot(self.store, conversation)?.map(|slot| slot.row.key);
        let key: ConversationKey = match known {
            Some(key) => key,
            None => self.make_system(conversation)?,
        };
        let head_seq = self.head_of(conversation)?;
        let stays_max = self.config.stays_max;
        let rev = self.next_rev();
        self.writing()?.enter_audience(key, user, head_seq, stays_max, rev)?;
        self.cache.forget((key, user));
        Ok(())
    }

    fn head_of(&mut self, conversation: &ConversationId) -> Result<u64> {
        Ok(self.cache.slot(self.store, conversation)?.map_or(0, |slot| slot.row.head_seq))
    }
}
