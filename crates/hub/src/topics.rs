//! Who gets what in one shard: users' connections, and the subscribers of conversations.
//!
//! Invariants: a connection stands at most once under its user and under each topic; a row without
//! subscribers goes away. The reverse direction (the topics of one connection) is kept in the
//! connection, as row numbers in ascending order, because there may be a thousand of them.
//! Deliberately absent: who may subscribe to what.

use hubbub_proto::{ConversationId, Topic, UserId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The number of a conversation's row in one shard.
pub(crate) type Row = u32;
/// The rows that one connection is subscribed to, ascending.
pub(crate) type Rows = SmallVec<[Row; 4]>;
/// The places of connections.
pub(crate) type Slots = SmallVec<[u32; 4]>;

struct Subscribers {
    conversation: ConversationId,
    slots: Slots,
}

#[derive(Default)]
pub(crate) struct Topics {
    users: FxHashMap<UserId, Slots>,
    rows_by_name: FxHashMap<ConversationId, Row>,
    rows: Vec<Option<Subscribers>>,
    free: Vec<Row>,
}

impl Topics {
    pub(crate) fn sign_in(&mut self, user: &UserId, slot: u32) {
        let slots = self.users.entry(user.clone()).or_default();
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }

    pub(crate) fn sign_out(&mut self, user: &UserId, slot: u32) {
        if let Some(slots) = self.users.get_mut(user) {
            slots.retain(|held| *held != slot);
            if slots.is_empty() {
                self.users.remove(user);
            }
        }
    }

    /// The connections of a user.
    pub(crate) fn connections(&self, user: &UserId) -> &[u32] {
        self.users.get(user).map_or(&[], |slots| slots)
    }

    /// The row of a conversation, made if need be; the caller subscribes somebody to it.
    pub(crate) fn row(&mut self, conversation: &ConversationId) -> Row {
        if let Some(row) = self.rows_by_name.get(conversation) {
            return *row;
        }
        let subscribers = Subscribers { conversation: conversation.clone(), slots: Slots::new() };
        let row = match self.free.pop() {
            Some(row) => {
                self.rows[row as usize] = Some(subscribers);
                row
            }
            None => {
                self.rows.push(Some(subscribers));
                (self.rows.len() - 1) as Row
            }
        };
        self.rows_by_name.insert(conversation.clone(), row);
        row
    }

    /// The row of a conversation that somebody is subscribed to.
    pub(crate) fn find(&self, conversation: &ConversationId) -> Option<Row> {
        self.rows_by_name.get(conversation).copied()
    }

    pub(crate) fn subscribe(&mut self, row: Row, slot: u32, held: &mut Rows) {
        if let Err(place) = held.binary_search(&row) {
            held.insert(place, row);
            self.add(row, slot);
        }
    }

    /// Subscribes one connection to these conversations and ends all its other subscriptions.
    pub(crate) fn subscribe_exactly<'c>(
        &mut self,
        conversations: impl Iterator<Item = &'c ConversationId>,
        slot: u32,
        held: &mut Rows,
    ) {
        let mut wanted: Rows = conversations.map(|conversation| self.row(conversation)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        for row in &wanted {
            if held.binary_search(row).is_err() {
                self.add(*row, slot);
            }
        }
        for row in std::mem::replace(held, wanted) {
            if held.binary_search(&row).is_err() {
                self.remove(row, slot);
            }
        }
    }

    pub(crate) fn unsubscribe(&mut self, row: Row, slot: u32, held: &mut Rows) {
        if forget(row, held) {
            self.remove(row, slot);
        }
    }

    /// Drops the row of a conversation. Answers its number and its subscribers, each of whom must
    /// [`forget`] it before the number is used again.
    pub(crate) fn end(&mut self, conversation: &ConversationId) -> Option<(Row, Slots)> {
        let row = self.rows_by_name.remove(conversation)?;
        let subscribers = self.rows.get_mut(row as usize)?.take()?;
        self.free.push(row);
        Some((row, subscribers.slots))
    }

    /// Ends all subscriptions of one connection.
    pub(crate) fn unsubscribe_all(&mut self, slot: u32, held: &mut Rows) {
        for row in std::mem::take(held) {
            self.remove(row, slot);
        }
    }

    fn add(&mut self, row: Row, slot: u32) {
        if let Some(Some(subscribers)) = self.rows.get_mut(row as usize) {
            subscribers.slots.push(slot);
        }
    }

    fn remove(&mut self, row: Row, slot: u32) {
        let Some(entry) = self.rows.get_mut(row as usize) else { return };
        let Some(subscribers) = entry else { return };
        if let Some(place) = subscribers.slots.iter().position(|other| *other == slot) {
            subscribers.slots.swap_remove(place);
        }
        if subscribers.slots.is_empty() {
            self.rows_by_name.remove(&subscribers.conversation);
            *entry = None;
            self.free.push(row);
        }
    }

    /// Writes the slots that get what goes to `topics` into `targets`, each once.
    pub(crate) fn targets(&self, topics: &[Topic], targets: &mut Vec<u32>) {
        targets.clear();
        for topic in topics {
            match topic {
                Topic::User(user) => targets.extend_from_slice(self.connections(user)),
                Topic::Conversation(conversation) => {
                    if let Some(row) = self.find(conversation)
                        && let Some(Some(subscribers)) = self.rows.get(row as usize)
                    {
                        targets.extend_from_slice(&subscribers.slots);
                    }
                }
            }
        }
        if topics.len() > 1 {
            targets.sort_unstable();
            targets.dedup();
        }
    }
}

/// Takes a row off a connection's list; false when it is not there.
pub(crate) fn forget(row: Row, held: &mut Rows) -> bool {
    let place = held.binary_search(&row);
    if let Ok(place) = place {
        held.remove(place);
    }
    place.is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn conversation(n: u8) -> ConversationId {
        ConversationId::new(&format!("group:g{n}")).unwrap()
    }

    proptest! {
        #[test]
        fn targets_are_the_subscribers_each_once(
            steps in proptest::collection::vec((0_u8..6, 0_u32..6, 0_u8..5), 0..200),
        ) {
            let mut topics = Topics::default();
            let mut held: BTreeMap<u32, Rows> = BTreeMap::new();
            let mut model: BTreeSet<(u8, u32)> = BTreeSet::new();
            for (step, slot, n) in steps {
                let rows = held.entry(slot).or_default();
                match step {
                    0 | 1 => {
                        let row = topics.row(&conversation(n));
                        topics.subscribe(row, slot, rows);
                        model.insert((n, slot));
                    }
                    2 => {
                        if let Some(row) = topics.find(&conversation(n)) {
                            topics.unsubscribe(row, slot, rows);
                        }
                        model.remove(&(n, slot));
                    }
                    3 => {
                        let wanted = [conversation(n), conversation((n + 2) % 5), conversation(n)];
                        topics.subscribe_exactly(wanted.iter(), slot, rows);
                        model.retain(|(_, other)| *other != slot);
                        model.extend([(n, slot), ((n + 2) % 5, slot)]);
                    }
                    4 => {
                        if let Some((row, slots)) = topics.end(&conversation(n)) {
                            for slot in slots {
                                prop_assert!(forget(row, held.entry(slot).or_default()));
                            }
                        }
                        model.retain(|(m, _)| *m != n);
                    }
                    _ => {
                        topics.unsubscribe_all(slot, rows);
                        model.retain(|(_, other)| *other != slot);
                    }
                }
                for (slot, rows) in &held {
                    prop_assert!(rows.is_sorted());
                    let subscribed = model.iter().filter(|(_, other)| other == slot).count();
                    prop_assert_eq!(rows.len(), subscribed);
                }
                let mut targets = Vec::new();
                let mut all = Vec::new();
                for n in 0..5 {
                    let topic = Topic::Conversation(conversation(n));
                    topics.targets(std::slice::from_ref(&topic), &mut targets);
                    all.push(topic);
                    targets.sort_unstable();
                    let expected: Vec<u32> =
                        model.iter().filter(|(m, _)| *m == n).map(|(_, slot)| *slot).collect();
                    prop_assert_eq!(&targets, &expected);
                    prop_assert_eq!(topics.find(&conversation(n)).is_some(), !expected.is_empty());
                }
                topics.targets(&all, &mut targets);
                let expected: BTreeSet<u32> = model.iter().map(|(_, slot)| *slot).collect();
                prop_assert_eq!(targets, expected.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
