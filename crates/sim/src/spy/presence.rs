//! Presence, passed on.

use hubbub_chat::model::{KeptPresence, UserKey};
use hubbub_chat::ports::{Presences, Result, WritePresences, Writer};
use hubbub_proto::command::Chosen;
use hubbub_proto::{Timestamp, UserId};

use super::Spy;

impl<T: Presences + ?Sized> Presences for Spy<T> {
    fn presence(&mut self, user: &UserId) -> Result<KeptPresence> {
        self.inner.presence(user)
    }
}

impl WritePresences for Spy<dyn Writer> {
    fn choose(&mut self, user: UserKey, chosen: Chosen, at: Timestamp) -> Result<()> {
        self.inner.choose(user, chosen, at)
    }

    fn saw(&mut self, user: UserKey, at: Timestamp) -> Result<()> {
        self.inner.saw(user, at)
    }
}
