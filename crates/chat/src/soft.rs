//! `received` cursors on their way to the store: kept in memory and written in groups, within a
//! second (P1 calls them soft; a crash costs a redelivery).
//!
//! Invariant: a cursor leaves this table only after the commit that wrote it, and what a transaction
//! moved is taken back when it is rolled back. Bounded: at
//! [`PENDING_MAX`] the oldest are due at once, and at twice that, when the store takes nothing, new
//! ones are dropped.

use std::collections::VecDeque;

use hubbub_proto::{ConversationId, Timestamp};
use rustc_hash::FxHashMap;

use crate::model::{ConversationKey, UserKey};

/// How long a cursor waits at least, and how much further ahead a write looks so that cursors go
/// in groups; together below a second.
const WAIT_MS: u64 = 700;
const AHEAD_MS: u64 = 200;
/// Cursors of one group, at most: every message that waits for the same commit waits for them too.
/// Where more than [`GROUP_PART`] times as many wait, that part of them goes.
const GROUP_MAX: usize = 128;
const GROUP_PART: usize = 8;
/// Most cursors that wait.
pub(crate) const PENDING_MAX: usize = 65_536;

pub(crate) type Key = (ConversationKey, UserKey);

#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) conversation: ConversationId,
    pub(crate) received: u64,
    /// Whether the other side of a direct conversation may learn of it.
    pub(crate) shows: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct SoftCursors {
    pending: FxHashMap<Key, Pending>,
    /// In the order of the first move; one for each pending cursor.
    order: VecDeque<(Timestamp, Key)>,
    /// What the transaction that runs moved, and where it was before; `None` where nothing waited.
    moved: Vec<(Key, Option<u64>)>,
}

impl SoftCursors {
    /// How far `key` is, if that is not in the store yet.
    pub(crate) fn received(&self, key: Key) -> u64 {
        self.pending.get(&key).map_or(0, |pending| pending.received)
    }

    /// `key` moved forward, if the transaction that runs is committed.
    pub(crate) fn advance(
        &mut self,
        key: Key,
        conversation: &ConversationId,
        received: u64,
        shows: bool,
        now: Timestamp,
    ) {
        if let Some(pending) = self.pending.get_mut(&key) {
            self.moved.push((key, Some(pending.received)));
            pending.received = pending.received.max(received);
            pending.shows = shows;
            return;
        }
        if self.pending.len() >= 2 * PENDING_MAX {
            return;
        }
        self.moved.push((key, None));
        self.order.push_back((now.plus_ms(WAIT_MS), key));
        self.pending.insert(key, Pending { conversation: conversation.clone(), received, shows });
    }

    /// The transaction was committed.
    pub(crate) fn keep(&mut self) {
        self.moved.clear();
    }

    /// The transaction was rolled back: everything is as it was when it began.
    pub(crate) fn take_back(&mut self) {
        while let Some((key, before)) = self.moved.pop() {
            match before {
                Some(received) => {
                    if let Some(pending) = self.pending.get_mut(&key) {
                        pending.received = received;
                    }
                }
                None => {
                    self.pending.remove(&key);
                    self.order.pop_back();
                }
            }
        }
    }

    /// When something is to be written.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.order.front().map(|(due, _)| *due)
    }

    /// How many of the oldest are to be written now: none, or a group of them.
    pub(crate) fn due(&self, now: Timestamp, all: bool) -> usize {
        if all {
            return self.order.len();
        }
        let surplus = self.order.len().saturating_sub(PENDING_MAX / 2);
        if surplus > PENDING_MAX / 2 {
            return surplus;
        }
        if self.next_due().is_none_or(|due| due > now) {
            return 0;
        }
        let horizon = now.plus_ms(AHEAD_MS);
        let due = self.order.partition_point(|(due, _)| *due <= horizon);
        due.min(GROUP_MAX.max(self.order.len() / GROUP_PART))
    }

    /// The oldest `count`.
    pub(crate) fn oldest(&self, count: usize) -> impl Iterator<Item = (Key, &Pending)> {
        let keys = self.order.iter().take(count).map(|(_, key)| *key);
        keys.filter_map(|key| self.pending.get(&key).map(|pending| (key, pending)))
    }

    /// The oldest `count` are in the store, or never will be.
    pub(crate) fn settle(&mut self, count: usize) {
        for (_, key) in self.order.drain(..count.min(self.order.len())) {
            self.pending.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: i64) -> Key {
        (ConversationKey(n), UserKey(1))
    }

    fn conversation() -> ConversationId {
        ConversationId::new("group:g").unwrap()
    }

    #[test]
    fn a_cursor_waits_goes_in_a_group_and_moves_forward_only() {
        let mut soft = SoftCursors::default();
        for (n, seq, now) in [(1, 5, 0), (2, 1, 150), (1, 4, 160), (3, 1, 400), (1, 9, 410)] {
            soft.advance(key(n), &conversation(), seq, true, Timestamp(now));
        }
        let due: Vec<usize> =
            [0, 699, 700, 900, 2_000].map(|now| soft.due(Timestamp(now), false)).to_vec();
        assert_eq!(due, [0, 0, 2, 3, 3]);
        let oldest: Vec<_> = soft.oldest(2).map(|(key, p)| (key.0.0, p.received)).collect();
        assert_eq!(oldest, [(1, 9), (2, 1)]);
        soft.settle(2);
        assert_eq!((soft.received(key(1)), soft.received(key(3))), (0, 1));
        assert_eq!(soft.next_due(), Some(Timestamp(1_100)));
        assert_eq!(soft.due(Timestamp(0), true), 1);
    }

    #[test]
    fn a_rollback_takes_back_what_moved() {
        let mut soft = SoftCursors::default();
        soft.advance(key(1), &conversation(), 5, true, Timestamp(0));
        soft.keep();
        for (n, seq) in [(2, 1), (1, 7), (2, 3), (1, 9)] {
            soft.advance(key(n), &conversation(), seq, true, Timestamp(1));
        }
        soft.take_back();
        assert_eq!((soft.received(key(1)), soft.received(key(2))), (5, 0));
        assert_eq!(soft.due(Timestamp(0), true), 1);
    }

    #[test]
    fn many_go_in_groups() {
        let mut soft = SoftCursors::default();
        for n in 0..3 * GROUP_MAX as i64 {
            soft.advance(key(n), &conversation(), 1, true, Timestamp(0));
        }
        let mut groups = Vec::new();
        while soft.next_due().is_some() {
            groups.push(soft.due(Timestamp(WAIT_MS), false));
            soft.settle(groups[groups.len() - 1]);
        }
        assert_eq!(groups, [GROUP_MAX; 3]);
        let many = (GROUP_PART + 2) * GROUP_MAX;
        for n in 0..many as i64 {
            soft.advance(key(n), &conversation(), 1, true, Timestamp(0));
        }
        assert_eq!(soft.due(Timestamp(WAIT_MS), false), many / GROUP_PART);
        assert_eq!(soft.due(Timestamp(WAIT_MS), true), many);
    }

    #[test]
    fn too_many_are_due_at_once() {
        let mut soft = SoftCursors::default();
        let (mut n, mut written) = (0, 0);
        while written == 0 && n < 2 * PENDING_MAX as i64 {
            soft.advance(key(n), &conversation(), 1, true, Timestamp(0));
            written = soft.due(Timestamp(0), false);
            n += 1;
        }
        assert_eq!(n as usize, PENDING_MAX + 1);
        for n in 0..3 * PENDING_MAX as i64 {
            soft.advance(key(n), &conversation(), 1, true, Timestamp(0));
        }
        assert_eq!(soft.due(Timestamp(0), true), 2 * PENDING_MAX);
        soft.settle(written);
        assert_eq!(soft.due(Timestamp(0), true), 2 * PENDING_MAX - written);
    }
}
