//! What the writer remembers of the store, so that a message to a known conversation reads nothing.
//!
//! Invariant: equal to the store as of the open transaction, or else empty: there is one writer, it
//! changes the store and this together, and [`Cache::clear`] follows every rollback. Bounded in
//! users, conversations, and memberships with their stays; [`Cache::sweep`] between
//! transactions keeps what was used since the last sweep.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hubbub_proto::command::Chosen;
use hubbub_proto::{ConversationId, Timestamp, UserId};
use rustc_hash::FxHashMap;

use crate::model::{Conversation, ConversationKey, Membership, Pair, User, UserKey};
use crate::ports::{Order, Range, Result, Writer};

/// Most users remembered.
const USERS_MAX: usize = 131_072;
/// Most conversations remembered.
const SLOTS_MAX: usize = 131_072;
/// Most memberships and stays remembered, taken together.
const PLACES_MAX: usize = 262_144;
/// Most messages of which it is remembered who joined after them.
const LATECOMERS_MAX: usize = 16;
/// So few are asked for again: the store finds them in an index.
const LATECOMERS_MIN: usize = 32;
/// Most pairs of users of whom it is remembered what is between them.
const PAIRS_MAX: usize = 262_144;
/// Bytes of a draft that count as one of them.
const DRAFT_PART: usize = 64;

/// Something remembered, and whether it was asked for since the last sweep.
#[derive(Debug)]
struct Known<T> {
    value: T,
    used: bool,
}

impl<T> Known<T> {
    const fn new(value: T) -> Self {
        Self { value, used: true }
    }

    const fn touch(&mut self) -> &mut T {
        self.used = true;
        &mut self.value
    }
}

/// A conversation.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The row; head and rev run ahead of the store until the end of the transaction.
    pub(crate) row: Conversation,
    /// When the newest entry was written.
    pub(crate) last_at: Timestamp,
    /// Whether head and rev are to be written back.
    pub(crate) dirty: bool,
    member_count: Option<u64>,
    owner_count: Option<u64>,
    receipts_wanted: Option<u64>,
}

impl Slot {
    fn new(row: Conversation, last_at: Timestamp) -> Self {
        Self {
            row,
            last_at,
            dirty: false,
            member_count: None,
            owner_count: None,
            receipts_wanted: None,
        }
    }

    /// How many members it has.
    pub(crate) fn member_count(&mut self, store: &mut dyn Writer) -> Result<u64> {
        match self.member_count {
            Some(count) => Ok(count),
            None => Ok(*self.member_count.insert(store.member_count(self.row.key)?)),
        }
    }

    /// How many of them are owners.
    pub(crate) fn owner_count(&mut self, store: &mut dyn Writer) -> Result<u64> {
        match self.owner_count {
            Some(count) => Ok(count),
            None => Ok(*self.owner_count.insert(store.owner_count(self.row.key)?)),
        }
    }

    /// The newest message whose sender asks for receipts; 0 where there is none.
    pub(crate) fn receipts_wanted(&mut self, store: &mut dyn Writer) -> Result<u64> {
        match self.receipts_wanted {
            Some(newest) => Ok(newest),
            None => {
                let newest = store.newest_receipt_wanted(self.row.key)?;
                Ok(*self.receipts_wanted.insert(newest))
            }
        }
    }

    /// The sender of the newest message asks for receipts.
    pub(crate) const fn want_receipts(&mut self) {
        self.receipts_wanted = Some(self.row.head_seq);
    }
}

/// Who joined after a message, of those messages that many joined after.
#[derive(Debug)]
struct Latecomers {
    conversation: ConversationKey,
    /// The message's.
    seq: u64,
    users: Arc<[UserId]>,
}

type Place = (ConversationKey, UserKey);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Keyed by what clients choose, so hashed with a secret: nobody can make names collide.
    users: HashMap<UserId, Known<User>>,
    slots: HashMap<ConversationId, Known<Slot>>,
    /// What users chose to show.
    chosen: HashMap<UserId, Known<Chosen>>,
    /// What a back end gave users.
    roles: FxHashMap<UserKey, Known<Arc<[Box<str>]>>>,
    /// `None` where the user never was.
    places: FxHashMap<Place, Known<Option<Membership>>>,
    /// One for each place, and one for each stay.
    places_weight: usize,
    /// Of the messages that were last asked for.
    latecomers: VecDeque<Latecomers>,
    /// What is between two users, as the one with the lower key sees it.
    pairs: FxHashMap<(UserKey, UserKey), Known<Pair>>,
}

impl Cache {
    /// The user of that name, if the store has seen them.
    pub(crate) fn user(&mut self, store: &mut dyn Writer, id: &UserId) -> Result<Option<&User>> {
        if !self.users.contains_key(id) {
            match store.user(id)? {
                Some(user) => self.remember(user),
                None => return Ok(None),
            }
        }
        Ok(self.users.get_mut(id).map(|known| &*known.touch()))
    }

    /// The short name of a user, if the store has seen them.
    pub(crate) fn key(&mut self, store: &mut dyn Writer, id: &UserId) -> Result<Option<UserKey>> {
        Ok(self.user(store, id)?.map(|user| user.key))
    }

    /// The store has this of a user now.
    pub(crate) fn remember(&mut self, user: User) {
        self.users.insert(user.id.clone(), Known::new(user));
    }

    /// What a back end gave a user, besides the roles of their tokens.
    pub(crate) fn roles(
        &mut self,
        store: &mut dyn Writer,
        user: UserKey,
    ) -> Result<Arc<[Box<str>]>> {
        if let Some(known) = self.roles.get_mut(&user) {
            return Ok(Arc::clone(known.touch()));
        }
        let roles = store.roles(user)?;
        self.roles.insert(user, Known::new(Arc::clone(&roles)));
        Ok(roles)
    }

    /// The store has these now.
    pub(crate) fn set_roles(&mut self, user: UserKey, roles: Arc<[Box<str>]>) {
        self.roles.insert(user, Known::new(roles));
    }

    /// What the user chose to show.
    pub(crate) fn chosen(&mut self, store: &mut dyn Writer, id: &UserId) -> Result<Chosen> {
        if let Some(known) = self.chosen.get_mut(id) {
            return Ok(*known.touch());
        }
        let chosen = store.presence(id)?.chosen;
        self.chosen.insert(id.clone(), Known::new(chosen));
        Ok(chosen)
    }

    /// The store has this choice now.
    pub(crate) fn chose(&mut self, id: &UserId, chosen: Chosen) {
        self.chosen.insert(id.clone(), Known::new(chosen));
    }

    /// The conversation of that name, if it exists.
    pub(crate) fn slot(
        &mut self,
        store: &mut dyn Writer,
        id: &ConversationId,
    ) -> Result<Option<&mut Slot>> {
        if !self.slots.contains_key(id) {
            let Some(row) = store.conversation(id)? else { return Ok(None) };
            let last_at = newest_at(store, &row)?;
            self.slots.insert(id.clone(), Known::new(Slot::new(row, last_at)));
        }
        Ok(self.slots.get_mut(id).map(Known::touch))
    }

    /// The store has this new, empty conversation now.
    pub(crate) fn made(&mut self, row: Conversation) {
        self.slots.insert(row.id.clone(), Known::new(Slot::new(row, Timestamp(0))));
    }

    /// The place of `user` in a conversation; `None` where they never were.
    pub(crate) fn membership(
        &mut self,
        store: &mut dyn Writer,
        conversation: ConversationKey,
        user: UserKey,
    ) -> Result<Option<&mut Membership>> {
        let place = (conversation, user);
        if !self.places.contains_key(&place) {
            let membership = store.membership(conversation, user)?;
            self.places_weight += weight(membership.as_ref());
            self.places.insert(place, Known::new(membership));
        }
        Ok(self.places.get_mut(&place).and_then(|known| known.touch().as_mut()))
    }

    /// A conversation and the place of `user` in it.
    pub(crate) fn place(
        &mut self,
        store: &mut dyn Writer,
        id: &ConversationId,
        user: Option<UserKey>,
    ) -> Result<Option<(&Slot, Option<&Membership>)>> {
        let Some(slot) = self.slot(store, id)? else { return Ok(None) };
        let conversation = slot.row.key;
        if let Some(user) = user {
            self.membership(store, conversation, user)?;
        }
        let slot = self.slots.get(id).map(|known| &known.value);
        let place = user.and_then(|user| self.places.get(&(conversation, user)));
        Ok(slot.map(|slot| (slot, place.and_then(|known| known.value.as_ref()))))
    }

    /// The present members whose stay began after `seq`. The store's answer costs what it has in
    /// it: nothing for what is done to a new message. Old messages to which much is done are
    /// remembered.
    pub(crate) fn joined_after(
        &mut self,
        store: &mut dyn Writer,
        conversation: ConversationKey,
        seq: u64,
    ) -> Result<Arc<[UserId]>> {
        let known = |known: &&Latecomers| (known.conversation, known.seq) == (conversation, seq);
        if let Some(known) = self.latecomers.iter().find(known) {
            return Ok(Arc::clone(&known.users));
        }
        let joined = store.joined_after(conversation, seq)?;
        let users: Arc<[UserId]> = joined.into_iter().map(|(_, user)| user).collect();
        if users.len() >= LATECOMERS_MIN {
            self.latecomers.truncate(LATECOMERS_MAX - 1);
            self.latecomers.push_front(Latecomers { conversation, seq, users: Arc::clone(&users) });
        }
        Ok(users)
    }

    /// Somebody came, went or got another role.
    pub(crate) fn recount(&mut self, id: &ConversationId) {
        let Some(slot) = self.slots.get_mut(id).map(|known| &mut known.value) else { return };
        slot.member_count = None;
        slot.owner_count = None;
        let conversation = slot.row.key;
        self.latecomers.retain(|known| known.conversation != conversation);
    }

    /// The place of `user` where it is remembered, to be changed along with the store.
    pub(crate) fn known(&mut self, place: Place) -> Option<&mut Membership> {
        self.places.get_mut(&place).and_then(|known| known.value.as_mut())
    }

    /// What is between two users, seen from `user`.
    pub(crate) fn pair(
        &mut self,
        store: &mut dyn Writer,
        user: UserKey,
        other: UserKey,
    ) -> Result<Pair> {
        let (low, high) = (user.min(other), user.max(other));
        let pair = match self.pairs.get_mut(&(low, high)) {
            Some(known) => *known.touch(),
            None => {
                let pair = store.pair(low, high)?;
                self.pairs.insert((low, high), Known::new(pair));
                pair
            }
        };
        Ok(if user == low { pair } else { pair.turned() })
    }

    /// The store has this between two users now, seen from `user`.
    pub(crate) fn set_pair(&mut self, user: UserKey, other: UserKey, pair: Pair) {
        let (low, high) = (user.min(other), user.max(other));
        let pair = if user == low { pair } else { pair.turned() };
        self.pairs.insert((low, high), Known::new(pair));
    }

    /// The store has another place of `user` now.
    pub(crate) fn forget(&mut self, place: Place) {
        if let Some(gone) = self.places.remove(&place) {
            self.places_weight -= weight(gone.value.as_ref());
        }
    }

    /// The transaction was rolled back.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets what was not used lately where there is too much. Only between transactions.
    pub(crate) fn sweep(&mut self) {
        shrink(&mut self.users, USERS_MAX);
        shrink(&mut self.slots, SLOTS_MAX);
        shrink(&mut self.chosen, USERS_MAX);
        shrink(&mut self.roles, USERS_MAX);
        shrink(&mut self.pairs, PAIRS_MAX);
        if self.places_weight > PLACES_MAX {
            let count_max = self.places.len().saturating_sub(1);
            shrink(&mut self.places, count_max);
            let weights = self.places.values().map(|known| weight(known.value.as_ref()));
            self.places_weight = weights.sum();
            if self.places_weight > PLACES_MAX / 2 {
                self.places.clear();
                self.places_weight = 0;
            }
        }
    }
}

fn weight(membership: Option<&Membership>) -> usize {
    let draft = |membership: &Membership| {
        let draft = membership.settings.as_ref().and_then(|settings| settings.draft.as_deref());
        draft.map_or(0, |draft| 1 + draft.len() / DRAFT_PART)
    };
    1 + membership.map_or(0, |membership| membership.stays.len() + draft(membership))
}

/// Above `max`, keeps what was used since the last time, and nothing where that is most of it.
fn shrink<K: Eq + Hash, T, S: BuildHasher>(map: &mut HashMap<K, Known<T>, S>, max: usize) {
    if map.len() > max {
        map.retain(|_, known| std::mem::take(&mut known.used));
        if map.len() > max / 2 {
            map.clear();
        }
    }
}

/// When the newest entry of a conversation was written.
fn newest_at(store: &mut dyn Writer, row: &Conversation) -> Result<Timestamp> {
    if row.head_seq == 0 {
        return Ok(Timestamp(0));
    }
    let newest = Range {
        from: row.head_seq,
        to: row.head_seq,
        order: Order::Descending,
        limit: 1,
        bytes: usize::MAX,
    };
    Ok(store.entries(row.key, newest)?.first().map_or(Timestamp(0), |entry| entry.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_the_limit_what_was_used_stays_unless_it_is_most() {
        let check = |used: u32, expect: u32| {
            let mut map: FxHashMap<u32, Known<()>> =
                (0..11).map(|n| (n, Known { value: (), used: n < used })).collect();
            shrink(&mut map, 11);
            assert_eq!(map.len(), 11, "at the limit");
            shrink(&mut map, 10);
            assert_eq!(map.len(), expect as usize, "{used} used");
        };
        check(0, 0);
        check(5, 5);
        check(6, 0);
    }
}
