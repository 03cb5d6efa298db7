//! Presence, passed on.

use hubbub_chat::model::{KeptPresence, UserKey};
use hubbub_chat::ports::{Presences, Result, WritePresences};
use hubbub_proto::command::Chosen;
use hubbub_proto::{Timestamp, UserId};

use super::Faulty;

impl Presences for Faulty {
    fn presence(&mut self, user: &UserId) -> Result<KeptPresence> {
        self.note("presence");
        self.inner.presence(user)
    }
}

impl WritePresences for Faulty {
    fn choose(&mut self, user: UserKey, chosen: Chosen, at: Timestamp) -> Result<()> {
        self.note("choose");
        self.inner.choose(user, chosen, at)
    }

    fn saw(&mut self, user: UserKey, at: Timestamp) -> Result<()> {
        self.note("saw");
        self.inner.saw(user, at)
    }
}
