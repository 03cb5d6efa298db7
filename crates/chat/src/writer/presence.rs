//! `presence_set`: what the user chose is written; and when users were last there.

use hubbub_proto::command::{Chosen, PresenceSet};
use hubbub_proto::{Ack, UserId};

use super::transaction::{Caller, Transaction};
use crate::ports::Result;
use crate::stop::Outcome;

impl Transaction<'_> {
    /// Writes only what differs: clients say `online` whenever somebody is back.
    pub(super) fn presence_set(&mut self, caller: Caller<'_>, set: &PresenceSet) -> Outcome<Ack> {
        let user = &caller.identity.user;
        if set.status != Chosen::Away && self.cache.chosen(self.store, user)? != set.status {
            let key = self.named_caller_key(caller.identity)?;
            let now = self.now;
            self.writing()?.choose(key, set.status, now)?;
            self.cache.chose(user, set.status);
        }
        Ok(Ack::Done)
    }

    /// Writes when the `count` longest waiting users were last there.
    pub(super) fn note_last_seen(&mut self, count: usize) -> Result<()> {
        let oldest: Vec<(UserId, _)> =
            self.last_seen.oldest(count).map(|(user, at)| (user.clone(), at)).collect();
        for (user, at) in oldest {
            let key = self.user_key(&user)?;
            self.writing()?.saw(key, at)?;
        }
        Ok(())
    }
}
