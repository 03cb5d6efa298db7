//! Users in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hubbub_chat::model::{ConversationKey, KeptPresence, PrivacyChoice, User, UserKey};
use hubbub_chat::ports::{Result, Users};
use hubbub_proto::{ClientId, UserId};

use super::people::Own;
use super::{Handle, Seat, State};

/// A user and what is looked up by user.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) user: User,
    /// Conversations they are or were in.
    pub(super) conversations: BTreeSet<ConversationKey>,
    /// Where their entries went.
    pub(super) sent: BTreeMap<ClientId, (ConversationKey, u64)>,
    pub(super) presence: KeptPresence,
    /// What they show and whom they know.
    pub(super) own: Own,
}

impl<S: Seat> Users for Handle<S> {
    fn user(&mut self, id: &UserId) -> Result<Option<User>> {
        let state = self.seat.state();
        let person = state.people_by_id.get(id).and_then(|key| state.people.get(key));
        Ok(person.map(|person| person.user.clone()))
    }
}

pub(super) fn put(state: &mut State, id: &UserId, name: Option<&str>) -> User {
    let key = state.people_by_id.get(id).copied();
    let key = key.unwrap_or_else(|| create(state, id));
    let known = state.people.get(&key).and_then(|person| person.user.name.as_deref());
    if name.is_some()
        && name != known
        && let Some(person) = person(state, key)
    {
        person.user.name = name.map(Into::into);
    }
    let privacy = PrivacyChoice::default();
    state.people.get(&key).map_or_else(
        || User { key, id: id.clone(), name: name.map(Into::into), privacy },
        |person| person.user.clone(),
    )
}

fn create(state: &mut State, id: &UserId) -> UserKey {
    let key = UserKey(state.people.last_key_value().map_or(1, |(key, _)| key.0 + 1));
    let user = User { key, id: id.clone(), name: None, privacy: PrivacyChoice::default() };
    let person = Person {
        user,
        conversations: BTreeSet::new(),
        sent: BTreeMap::new(),
        presence: KeptPresence::default(),
        own: Own::default(),
    };
    Arc::make_mut(&mut state.people_by_id).insert(id.clone(), key);
    Arc::make_mut(&mut state.people).insert(key, Arc::new(person));
    key
}

pub(super) fn person(state: &mut State, key: UserKey) -> Option<&mut Person> {
    Arc::make_mut(&mut state.people).get_mut(&key).map(Arc::make_mut)
}
