//! `sync`, first half: live delivery is turned on at this place in the order of commits, so that
//! together with what a reader finds after this commit nothing is missed. The answer itself is
//! assembled in [`crate::reading`].

use hubbub_proto::{Effect, Topic};

use super::transaction::{Caller, Transaction};
use crate::ports::Result;

impl Transaction<'_> {
    pub(super) fn attach(&mut self, caller: Caller<'_>) -> Result<()> {
        let user = self.named_caller_key(caller.identity)?;
        self.keep_audiences(user, caller.identity)?;
        let groups = self.store.open_groups(user)?;
        let topics = groups.into_iter().map(Topic::Conversation).collect();
        self.effects.push(Effect::Attach { conn: caller.conn, topics });
        Ok(())
    }
}
