//! Who gets what in one shard: users' connections, and the subscribers of conversations and
//! channels.
//!
//! Invariants: a connection stands at most once under its user and under each topic; a row without
//! subscribers goes away. The reverse direction is kept as well: what each place is subscribed to
//! and where it stands there, in ascending order of rows, because there may be a thousand of them.
//! So a subscription ends without a search through the topic's subscribers, however many they are.
//! Deliberately absent: who may subscribe to what.

use hubbub_proto::{ConversationId, Topic, UserId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::tidy::{KEPT, is_wide, slim};

/// The number of a topic's row in one shard.
pub(crate) type Row = u32;
/// The places of connections.
pub(crate) type Slots = SmallVec<[u32; 4]>;

/// Set in the number of a channel's row, so that they stand behind those of conversations.
const CHANNEL: Row = 1 << 31;
/// Places whose subscriptions are kept together.
const CHUNK: usize = 256;
/// Room to spare for subscribers, as a part of theirs, above which a tidy row has none.
const SPARE_PART: usize = 8;
/// Set where a user has several connections: the rest is the number of their list.
const SEVERAL: u32 = 1 << 31;
/// Room for subscribers below which none is given back.
const KEPT_ROOM: usize = 64;

/// One subscription of one place.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    row: Row,
    /// The place's index among the row's subscribers.
    index: u32,
}

/// The subscriptions of one place, by row; without room to spare, because there is one of these for
/// each place.
#[derive(Debug)]
enum Holding {
    One(Held),
    /// Or none.
    Many(Box<[Held]>),
}

impl Default for Holding {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl Holding {
    fn as_slice(&self) -> &[Held] {
        match self {
            Self::One(held) => std::slice::from_ref(held),
            Self::Many(many) => many,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Held] {
        match self {
            Self::One(held) => std::slice::from_mut(held),
            Self::Many(many) => many,
        }
    }

    fn into_vec(self) -> Vec<Held> {
        match self {
            Self::One(held) => vec![held],
            Self::Many(many) => many.into_vec(),
        }
    }

    fn from_vec(list: Vec<Held>) -> Self {
        match list[..] {
            [held] => Self::One(held),
            _ => Self::Many(list.into_boxed_slice()),
        }
    }

    fn insert(&mut self, place: usize, held: Held) {
        let mut list = std::mem::take(self).into_vec();
        list.reserve_exact(1);
        list.insert(place, held);
        *self = Self::from_vec(list);
    }

    fn remove(&mut self, place: usize) -> Held {
        let mut list = std::mem::take(self).into_vec();
        let held = list.remove(place);
        *self = Self::from_vec(list);
        held
    }
}

/// The subscriptions of places that lie together.
type Places = [Holding; CHUNK];

enum Name {
    Conversation(ConversationId),
    /// The number of the channel's record.
    Channel(u32),
    /// The number of the pattern.
    Pattern(u32),
}

struct Subscribers {
    name: Name,
    slots: Slots,
}

/// Rows of one kind.
#[derive(Default)]
struct Rows {
    rows: Vec<Option<Subscribers>>,
    free: Vec<Row>,
}

impl Rows {
    fn insert(&mut self, name: Name) -> Row {
        let subscribers = Some(Subscribers { name, slots: Slots::new() });
        match self.free.pop() {
            Some(row) => {
                self.rows[row as usize] = subscribers;
                row
            }
            None => {
                self.rows.push(subscribers);
                (self.rows.len() - 1) as Row
            }
        }
    }

    /// Gives back the rows behind the last one, and room that subscribers left.
    fn tidy(&mut self) {
        while self.rows.pop_if(|row| row.is_none()).is_some() {}
        let len = self.rows.len();
        self.free.retain(|row| (*row as usize) < len);
        slim(&mut self.free);
        slim(&mut self.rows);
        for subscribers in self.rows.iter_mut().flatten() {
            let slots = &mut subscribers.slots;
            if slots.spilled() && slots.capacity() - slots.len() > slots.len() / SPARE_PART {
                slots.shrink_to_fit();
            }
        }
    }
}

#[derive(Default)]
pub(crate) struct Topics {
    /// A user's place, or [`SEVERAL`].
    users: FxHashMap<UserId, u32>,
    several: Vec<Vec<u32>>,
    several_free: Vec<u32>,
    rows_by_name: FxHashMap<ConversationId, Row>,
    conversations: Rows,
    channels: Rows,
    held: Vec<Option<Box<Places>>>,
    /// Records of channels whose last subscriber here has gone, until somebody takes note.
    pub(crate) emptied: Vec<u32>,
    /// The same for patterns.
    pub(crate) emptied_patterns: Vec<u32>,
}

impl Topics {
    pub(crate) fn sign_in(&mut self, user: &UserId, slot: u32) {
        let Some(places) = self.users.get_mut(user) else {
            self.users.insert(user.clone(), slot);
            return;
        };
        if *places & SEVERAL != 0 {
            let list = &mut self.several[(*places & !SEVERAL) as usize];
            if !list.contains(&slot) {
                list.push(slot);
            }
        } else if *places != slot {
            let list = vec![*places, slot];
            let number = match self.several_free.pop() {
                Some(number) => {
                    self.several[number as usize] = list;
                    number
                }
                None => {
                    self.several.push(list);
                    (self.several.len() - 1) as u32
                }
            };
            *places = SEVERAL | number;
        }
    }

    pub(crate) fn sign_out(&mut self, user: &UserId, slot: u32) {
        let Some(places) = self.users.get_mut(user) else { return };
        if *places & SEVERAL == 0 {
            if *places == slot {
                self.users.remove(user);
            }
            return;
        }
        let number = *places & !SEVERAL;
        let list = &mut self.several[number as usize];
        list.retain(|held| *held != slot);
        if let [last] = list[..] {
            *places = last;
            *list = Vec::new();
            self.several_free.push(number);
        }
    }

    /// The connections of a user.
    pub(crate) fn connections(&self, user: &UserId) -> &[u32] {
        match self.users.get(user) {
            None => &[],
            Some(places) if *places & SEVERAL == 0 => std::slice::from_ref(places),
            Some(places) => &self.several[(*places & !SEVERAL) as usize],
        }
    }

    /// Gives back what a crowd left.
    pub(crate) fn tidy(&mut self) {
        if is_wide(self.users.len(), self.users.capacity()) {
            self.users.shrink_to(KEPT.max(2 * self.users.len()));
        }
        if is_wide(self.rows_by_name.len(), self.rows_by_name.capacity()) {
            self.rows_by_name.shrink_to(KEPT.max(2 * self.rows_by_name.len()));
        }
        while self.several.pop_if(|list| list.is_empty()).is_some() {}
        let len = self.several.len();
        self.several_free.retain(|number| (*number as usize) < len);
        slim(&mut self.several_free);
        slim(&mut self.several);
        self.conversations.tidy();
        self.channels.tidy();
        for chunk in &mut self.held {
            let is_empty = |chunk: &Places| chunk.iter().all(|held| held.as_slice().is_empty());
            if chunk.as_deref().is_some_and(is_empty) {
                *chunk = None;
            }
        }
        slim(&mut self.emptied);
        slim(&mut self.emptied_patterns);
    }

    /// The row of a conversation, made if need be; the caller subscribes somebody to it.
    pub(crate) fn row(&mut self, conversation: &ConversationId) -> Row {
        if let Some(row) = self.rows_by_name.get(conversation) {
            return *row;
        }
        let row = self.conversations.insert(Name::Conversation(conversation.clone()));
        self.rows_by_name.insert(conversation.clone(), row);
        row
    }

    /// A new row for the channel with this record; the caller subscribes somebody to it.
    pub(crate) fn channel_row(&mut self, record: u32) -> Row {
        self.channels.insert(Name::Channel(record)) | CHANNEL
    }

    /// A new row for the pattern with this number; the caller subscribes somebody to it.
    pub(crate) fn pattern_row(&mut self, pattern: u32) -> Row {
        self.channels.insert(Name::Pattern(pattern)) | CHANNEL
    }

    /// The records of the channels that this place is subscribed to.
    pub(crate) fn channel_records(&self, slot: u32) -> impl Iterator<Item = u32> {
        let rows = self.holding(slot).iter().filter(|held| held.row & CHANNEL != 0);
        rows.filter_map(|held| {
            let row = self.channels.rows.get((held.row & !CHANNEL) as usize)?.as_ref()?;
            match row.name {
                Name::Channel(record) => Some(record),
                Name::Conversation(_) | Name::Pattern(_) => None,
            }
        })
    }

    /// The row of a conversation that somebody is subscribed to.
    pub(crate) fn find(&self, conversation: &ConversationId) -> Option<Row> {
        self.rows_by_name.get(conversation).copied()
    }

    /// The subscribers of a row.
    pub(crate) fn subscribers(&self, row: Row) -> &[u32] {
        let rows = if row & CHANNEL == 0 { &self.conversations } else { &self.channels };
        let subscribers = rows.rows.get((row & !CHANNEL) as usize).and_then(Option::as_ref);
        subscribers.map_or(&[], |subscribers| &subscribers.slots)
    }

    fn rows_of(&mut self, row: Row) -> &mut Rows {
        if row & CHANNEL == 0 { &mut self.conversations } else { &mut self.channels }
    }

    fn slots(&mut self, row: Row) -> Option<&mut Slots> {
        let subscribers = self.rows_of(row).rows.get_mut((row & !CHANNEL) as usize)?.as_mut();
        subscribers.map(|subscribers| &mut subscribers.slots)
    }

    fn holding(&self, slot: u32) -> &[Held] {
        let chunk = self.held.get(slot as usize / CHUNK).and_then(Option::as_ref);
        chunk.map_or(&[], |chunk| chunk[slot as usize % CHUNK].as_slice())
    }

    fn holding_mut(&mut self, slot: u32) -> &mut Holding {
        let chunk = slot as usize / CHUNK;
        if self.held.len() <= chunk {
            self.held.resize_with(chunk + 1, || None);
        }
        let places = self.held[chunk]
            .get_or_insert_with(|| Box::new(std::array::from_fn(|_| Holding::default())));
        &mut places[slot as usize % CHUNK]
    }

    pub(crate) fn is_subscribed(&self, row: Row, slot: u32) -> bool {
        self.holding(slot).binary_search_by_key(&row, |held| held.row).is_ok()
    }

    /// How many channels this place is subscribed to.
    pub(crate) fn channels(&self, slot: u32) -> usize {
        let holding = self.holding(slot);
        holding.len() - holding.partition_point(|held| held.row & CHANNEL == 0)
    }

    pub(crate) fn subscribe(&mut self, row: Row, slot: u32) {
        if let Err(place) = self.holding(slot).binary_search_by_key(&row, |held| held.row)
            && let Some(slots) = self.slots(row)
        {
            slots.push(slot);
            let index = (slots.len() - 1) as u32;
            self.holding_mut(slot).insert(place, Held { row, index });
        }
    }

    /// Subscribes one connection to these conversations and to no others.
    pub(crate) fn subscribe_exactly<'c>(
        &mut self,
        conversations: impl Iterator<Item = &'c ConversationId>,
        slot: u32,
    ) {
        let mut wanted: Vec<Row> =
            conversations.map(|conversation| self.row(conversation)).collect();
        for row in &wanted {
            self.subscribe(*row, slot);
        }
        wanted.sort_unstable();
        let others =
            self.holding(slot).iter().map(|held| held.row).filter(|row| row & CHANNEL == 0);
        let others: Vec<Row> = others.filter(|row| wanted.binary_search(row).is_err()).collect();
        for row in others {
            self.unsubscribe(row, slot);
        }
    }

    /// Ends a subscription; false when there was none.
    pub(crate) fn unsubscribe(&mut self, row: Row, slot: u32) -> bool {
        let Ok(place) = self.holding(slot).binary_search_by_key(&row, |held| held.row) else {
            return false;
        };
        let held = self.holding_mut(slot).remove(place);
        self.remove(held);
        true
    }

    /// Ends all subscriptions of one connection.
    pub(crate) fn unsubscribe_all(&mut self, slot: u32) {
        if !self.holding(slot).is_empty() {
            for held in std::mem::take(self.holding_mut(slot)).into_vec() {
                self.remove(held);
            }
        }
    }

    /// Drops the row of a conversation and all its subscriptions.
    pub(crate) fn end(&mut self, conversation: &ConversationId) {
        let Some(row) = self.find(conversation) else { return };
        for slot in self.subscribers(row).to_vec() {
            self.unsubscribe(row, slot);
        }
    }

    /// Takes one place out of a row: the last one moves to where it stood.
    fn remove(&mut self, held: Held) {
        let Some(slots) = self.slots(held.row) else { return };
        slots.swap_remove(held.index as usize);
        if slots.capacity() > KEPT_ROOM && slots.len() < slots.capacity() / 4 {
            slots.shrink_to_fit();
        }
        let moved = slots.get(held.index as usize).copied();
        let empty = slots.is_empty();
        if let Some(moved) = moved {
            let holding = self.holding_mut(moved).as_mut_slice();
            if let Ok(place) = holding.binary_search_by_key(&held.row, |other| other.row) {
                holding[place].index = held.index;
            }
        }
        if empty {
            let row = held.row & !CHANNEL;
            let rows = self.rows_of(held.row);
            let gone = rows.rows.get_mut(row as usize).and_then(Option::take);
            rows.free.push(row);
            match gone.map(|subscribers| subscribers.name) {
                Some(Name::Conversation(conversation)) => {
                    self.rows_by_name.remove(&conversation);
                }
                Some(Name::Channel(record)) => self.emptied.push(record),
                Some(Name::Pattern(number)) => self.emptied_patterns.push(number),
                None => {}
            }
        }
    }

    /// Writes the slots that get what goes to `topics` into `targets`, each once, except those of
    /// roles and of everyone: nothing is kept for these, see [`crate::audience`].
    pub(crate) fn targets(&self, topics: &[Topic], targets: &mut Vec<u32>) {
        targets.clear();
        for topic in topics {
            match topic {
                Topic::User(user) => targets.extend_from_slice(self.connections(user)),
                Topic::Conversation(conversation) => {
                    if let Some(row) = self.find(conversation) {
                        targets.extend_from_slice(self.subscribers(row));
                    }
                }
                Topic::Role(_) | Topic::All => {}
            }
        }
        if topics.len() > 1 {
            targets.sort_unstable();
            targets.dedup();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn conversation(n: u8) -> ConversationId {
        ConversationId::new(&format!("group:g{n}")).unwrap()
    }

    #[test]
    fn a_subscription_is_small() {
        assert!(size_of::<Holding>() <= 16, "{}", size_of::<Holding>());
        // The first one: the place's entry, and one among the topic's subscribers.
        assert!(size_of::<Holding>() + size_of::<u32>() <= 24);
        // One entry here and one there, each in a list that may be half empty.
        assert!(2 * (size_of::<Held>() + size_of::<u32>()) <= 24);
    }

    #[test]
    fn a_user_is_found_by_one_small_entry() {
        assert_eq!(size_of::<(UserId, u32)>(), 24);
    }

    #[test]
    fn what_a_crowd_took_is_given_back() {
        let mut topics = Topics::default();
        let user = |n: u32| UserId::new(&format!("u{n}")).unwrap();
        for slot in 0..10_000 {
            topics.sign_in(&user(slot / 2), slot);
            let row = topics.row(&ConversationId::new(&format!("group:g{slot}")).unwrap());
            topics.subscribe(row, slot);
            let row = topics.channel_row(slot);
            topics.subscribe(row, slot);
        }
        for slot in 0..9_998 {
            topics.sign_out(&user(slot / 2), slot);
            topics.unsubscribe_all(slot);
        }
        topics.emptied.clear();
        topics.tidy();
        assert!(topics.users.capacity() < 200 && topics.rows_by_name.capacity() < 200);
        assert_eq!(topics.held.iter().flatten().count(), 1);
        assert!(topics.several_free.capacity() < 20_000 && topics.emptied.capacity() < 200);
        assert_eq!(topics.connections(&user(4_999)), [9_998, 9_999]);
        assert_eq!(topics.channels(9_999), 1);

        for slot in [9_998, 9_999] {
            topics.sign_out(&user(4_999), slot);
            topics.unsubscribe_all(slot);
        }
        topics.tidy();
        assert!(topics.users.is_empty() && topics.held.iter().flatten().count() == 0);
        for rows in [&topics.conversations, &topics.channels] {
            assert_eq!(rows.rows.len() + rows.free.len(), 0);
            assert!(rows.rows.capacity() < 200 && rows.free.capacity() < 200);
        }
        assert!(topics.several.is_empty() && topics.several.capacity() < 200);
    }

    proptest! {
        #[test]
        fn users_are_found_by_all_their_connections(
            steps in proptest::collection::vec((0_u8..8, 0_u32..6, 0_u8..3), 0..100),
        ) {
            let mut topics = Topics::default();
            let mut model: BTreeSet<(u8, u32)> = BTreeSet::new();
            for (step, slot, n) in steps {
                let user = UserId::new(&format!("u{n}")).unwrap();
                match step {
                    0..4 => {
                        topics.sign_in(&user, slot);
                        model.insert((n, slot));
                    }
                    4..7 => {
                        topics.sign_out(&user, slot);
                        model.remove(&(n, slot));
                    }
                    _ => topics.tidy(),
                }
                for n in 0..3 {
                    let user = UserId::new(&format!("u{n}")).unwrap();
                    let mut found = topics.connections(&user).to_vec();
                    found.sort_unstable();
                    let of = model.iter().filter(|(m, _)| *m == n).map(|(_, slot)| *slot);
                    prop_assert_eq!(found, of.collect::<Vec<_>>());
                }
            }
        }

        #[test]
        fn targets_are_the_subscribers_each_once(
            steps in proptest::collection::vec((0_u8..9, 0_u32..6, 0_u8..5), 0..200),
        ) {
            let mut topics = Topics::default();
            let mut channel_rows: BTreeMap<u8, Row> = BTreeMap::new();
            let mut model: BTreeSet<(u8, u32)> = BTreeSet::new();
            let mut channels: BTreeSet<(u8, u32)> = BTreeSet::new();
            for (step, slot, n) in steps {
                match step {
                    0 | 1 => {
                        let row = topics.row(&conversation(n));
                        topics.subscribe(row, slot);
                        model.insert((n, slot));
                    }
                    2 => {
                        if let Some(row) = topics.find(&conversation(n)) {
                            prop_assert_eq!(topics.unsubscribe(row, slot), model.contains(&(n, slot)));
                        }
                        model.remove(&(n, slot));
                    }
                    3 => {
                        let wanted = [conversation(n), conversation((n + 2) % 5), conversation(n)];
                        topics.subscribe_exactly(wanted.iter(), slot);
                        model.retain(|(_, other)| *other != slot);
                        model.extend([(n, slot), ((n + 2) % 5, slot)]);
                    }
                    4 => {
                        topics.end(&conversation(n));
                        model.retain(|(m, _)| *m != n);
                    }
                    5 => {
                        let row = *channel_rows
                            .entry(n)
                            .or_insert_with(|| topics.channel_row(n.into()));
                        topics.subscribe(row, slot);
                        channels.insert((n, slot));
                    }
                    6 => {
                        if let Some(row) = channel_rows.get(&n) {
                            topics.unsubscribe(*row, slot);
                        }
                        channels.remove(&(n, slot));
                    }
                    7 => topics.tidy(),
                    _ => {
                        topics.unsubscribe_all(slot);
                        model.retain(|(_, other)| *other != slot);
                        channels.retain(|(_, other)| *other != slot);
                    }
                }
                for record in std::mem::take(&mut topics.emptied) {
                    prop_assert!(channel_rows.remove(&(record as u8)).is_some(), "told once");
                }
                for slot in 0..6 {
                    let holding = topics.holding(slot);
                    prop_assert!(holding.is_sorted_by_key(|held| held.row));
                    for held in holding {
                        prop_assert_eq!(topics.subscribers(held.row)[held.index as usize], slot);
                    }
                    let of = |model: &BTreeSet<(u8, u32)>| {
                        model.iter().filter(|(_, other)| *other == slot).count()
                    };
                    prop_assert_eq!(holding.len(), of(&model) + of(&channels));
                    prop_assert_eq!(topics.channels(slot), of(&channels));
                }
                let mut targets = Vec::new();
                let mut all = Vec::new();
                for n in 0..5 {
                    let topic = Topic::Conversation(conversation(n));
                    topics.targets(std::slice::from_ref(&topic), &mut targets);
                    all.push(topic);
                    targets.sort_unstable();
                    let of = |model: &BTreeSet<(u8, u32)>| -> Vec<u32> {
                        model.iter().filter(|(m, _)| *m == n).map(|(_, slot)| *slot).collect()
                    };
                    prop_assert_eq!(&targets, &of(&model));
                    prop_assert_eq!(topics.find(&conversation(n)).is_some(), !targets.is_empty());
                    let row = channel_rows.get(&n);
                    let mut on_channel = row.map_or(Vec::new(), |row| topics.subscribers(*row).to_vec());
                    on_channel.sort_unstable();
                    prop_assert_eq!(on_channel, of(&channels));
                }
                topics.targets(&all, &mut targets);
                let expected: BTreeSet<u32> = model.iter().map(|(_, slot)| *slot).collect();
                prop_assert_eq!(targets, expected.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
