//! Presence in memory.

use hubbub_chat::model::{KeptPresence, UserKey};
use hubbub_chat::ports::{Presences, Result, WritePresences};
use hubbub_proto::command::Chosen;
use hubbub_proto::{Timestamp, UserId};

use super::{Handle, Seat, Writing, users};

impl<S: Seat> Presences for Handle<S> {
    fn presence(&mut self, user: &UserId) -> Result<KeptPresence> {
        let state = self.seat.state();
        let person = state.people_by_id.get(user).and_then(|key| state.people.get(key));
        Ok(person.map(|person| person.presence).unwrap_or_default())
    }
}

impl WritePresences for Handle<Writing> {
    fn choose(&mut self, user: UserKey, chosen: Chosen, at: Timestamp) -> Result<()> {
        if let Some(person) = users::person(self.seat.working()?, user) {
            let chosen = if chosen == Chosen::Away { Chosen::Online } else { chosen };
            person.presence = person.presence.choosing(chosen, at);
        }
        Ok(())
    }

    fn saw(&mut self, user: UserKey, at: Timestamp) -> Result<()> {
        if let Some(person) = users::person(self.seat.working()?, user) {
            person.presence = person.presence.seen(at);
        }
        Ok(())
    }
}
