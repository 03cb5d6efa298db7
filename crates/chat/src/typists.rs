//! Who was told lately that somebody types.
//!
//! Invariant: of a user in a conversation the others are told that they began at most once in
//! [`INTERVAL_MS`], and that they ended only where they think that the user types. Bounded: above
//! [`TYPISTS_MAX`] users at once nothing is told of one more; each is forgotten after [`EXPIRES_MS`].
//! What a transaction would have told is taken back with it.

use std::collections::VecDeque;

use hubbub_proto::Timestamp;
use rustc_hash::FxHashMap;

use crate::model::{ConversationKey, UserKey};

/// Between two beginnings that are told.
const INTERVAL_MS: u64 = 2_000;
/// When those who were told end it by themselves.
pub(crate) const EXPIRES_MS: u32 = 6_000;
/// Most users who type at once, counted for each conversation.
const TYPISTS_MAX: usize = 65_536;

type Key = (ConversationKey, UserKey);

#[derive(Clone, Copy, Debug)]
struct Told {
    /// When they last were told of as beginning.
    at: Timestamp,
    active: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Typists {
    told: FxHashMap<Key, Told>,
    /// When each was told of; one for each beginning.
    order: VecDeque<(Timestamp, Key)>,
    /// What the transaction that runs would tell, and what was told before.
    pending: Vec<(Key, Option<Told>)>,
}

impl Typists {
    /// Whether the others are to be told, which is noted.
    pub(crate) fn is_news(&mut self, key: Key, active: bool, now: Timestamp) -> bool {
        self.forget(now);
        let is_full = self.told.len() >= TYPISTS_MAX;
        let before = self.told.get(&key).copied();
        let told = match before {
            Some(told) if !active && told.active => Told { active, ..told },
            Some(_) if !active => return false,
            Some(told) if now.since(told.at) < INTERVAL_MS => return false,
            None if !active || is_full => return false,
            _ => Told { at: now, active },
        };
        self.told.insert(key, told);
        if active {
            self.order.push_back((now, key));
        }
        self.pending.push((key, before));
        true
    }

    /// The transaction was committed.
    pub(crate) fn keep(&mut self) {
        self.pending.clear();
    }

    /// The transaction was rolled back: nobody was told.
    pub(crate) fn take_back(&mut self) {
        for (key, before) in std::mem::take(&mut self.pending).into_iter().rev() {
            let undone = match before {
                Some(told) => self.told.insert(key, told),
                None => self.told.remove(&key),
            };
            if undone.is_some_and(|undone| undone.active) {
                self.order.pop_back();
            }
        }
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.order.front().copied()
            && now.since(at) >= u64::from(EXPIRES_MS)
        {
            self.order.pop_front();
            if self.told.get(&key).is_some_and(|told| told.at == at) {
                self.told.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: i64) -> Key {
        (ConversationKey(n), UserKey(1))
    }

    #[test]
    fn beginnings_are_rare_and_ends_follow_them() {
        let mut typists = Typists::default();
        let mut check = |now, active, expect| {
            let news = typists.is_news(key(1), active, Timestamp(now));
            assert_eq!(news, expect, "{active} at {now}");
        };
        check(0, false, false);
        check(0, true, true);
        check(1_999, true, false);
        check(2_000, true, true);
        check(2_100, false, true);
        check(2_200, false, false);
        check(2_300, true, false);
        check(4_000, true, true);
        check(9_999, false, true);
        check(10_000, true, true);
        check(16_000, false, false);
        assert_eq!((typists.told.len(), typists.order.len()), (0, 0), "all is forgotten");
    }

    #[test]
    fn what_is_taken_back_was_not_told() {
        let mut typists = Typists::default();
        assert!(typists.is_news(key(1), true, Timestamp(0)));
        typists.keep();
        for _ in 0..2 {
            assert!(typists.is_news(key(1), false, Timestamp(2_500)));
            assert!(typists.is_news(key(1), true, Timestamp(2_500)));
            assert!(typists.is_news(key(2), true, Timestamp(2_500)));
            assert!(typists.is_news(key(2), false, Timestamp(2_500)));
            typists.take_back();
            assert_eq!((typists.told.len(), typists.order.len()), (1, 1));
        }
        typists.take_back();
        assert!(!typists.is_news(key(1), true, Timestamp(1_999)), "what was kept stays");
    }

    #[test]
    fn a_crowd_does_not_fill_the_memory() {
        let mut typists = Typists::default();
        for n in 0..2 * TYPISTS_MAX as i64 {
            let news = typists.is_news(key(n), true, Timestamp(n as u64 / 100));
            assert_eq!(news, n < TYPISTS_MAX as i64, "{n}");
        }
        assert_eq!(typists.told.len(), TYPISTS_MAX);
        assert!(typists.is_news(key(-1), true, Timestamp(7_000)), "the first are forgotten");
    }
}
