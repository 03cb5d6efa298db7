//! Receipts on their way out: at most one for a member of a conversation in each interval.
//!
//! Invariant: the first move is told at once, later ones within the interval as one at its end,
//! always with the newest cursors. Bounded: above [`HELD_MAX`] members at once, a receipt is dropped
//! (it is volatile; the cursors themselves are not).

use std::collections::VecDeque;

use hubbub_proto::event::Receipt;
use hubbub_proto::route::{DeliveryClass, Publication, Topic};
use hubbub_proto::{ConversationId, Effect, Event, Timestamp, UserId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::model::{ConversationKey, UserKey};
use crate::plan::cursor::Cursors;

/// Most members whose interval runs at once.
const HELD_MAX: usize = 65_536;

/// Receipts told at once when intervals end together, at most: each is a frame for two users, and
/// what is acked meanwhile waits behind them. Where more than [`GROUP_PART`] times as many are held,
/// that part of them goes.
const GROUP_MAX: usize = 64;
const GROUP_PART: usize = 16;

/// A cursor moved, and who is to know.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) place: Key,
    pub(crate) conversation: ConversationId,
    pub(crate) user: UserId,
    pub(crate) cursors: Cursors,
    pub(crate) audience: SmallVec<[Topic; 2]>,
}

impl Moved {
    fn effect(self) -> Effect {
        Effect::Publish(Publication {
            topics: self.audience,
            event: Event::Receipt(Receipt {
                conversation: self.conversation,
                user: self.user,
                received_seq: self.cursors.received,
                read_seq: self.cursors.read,
            }),
            except: None,
            class: DeliveryClass::Volatile,
        })
    }
}

pub(crate) type Key = (ConversationKey, UserKey);

/// A member whose interval runs.
#[derive(Debug)]
struct Held {
    /// What was told at its beginning; nothing behind it is told later (P5).
    told: Cursors,
    next: Option<Moved>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Receipts {
    interval_ms: u64,
    /// Whose interval runs, and what is to be told at its end.
    held: FxHashMap<Key, Held>,
    /// When the intervals end; ascending, because they are all of one length.
    ends: VecDeque<(Timestamp, Key)>,
}

impl Receipts {
    pub(crate) fn new(interval_ms: u64) -> Self {
        Self { interval_ms, held: FxHashMap::default(), ends: VecDeque::new() }
    }

    /// Takes note of a move; the effect is what to tell at once.
    pub(crate) fn note(&mut self, moved: Moved, now: Timestamp) -> Option<Effect> {
        let key = moved.place;
        if let Some(held) = self.held.get_mut(&key) {
            let known = held.next.as_ref().map_or(held.told, |next| next.cursors);
            let cursors = moved.cursors.furthest(known);
            if cursors != held.told {
                held.next = Some(Moved { cursors, ..moved });
            }
            return None;
        }
        if self.held.len() >= HELD_MAX {
            return None;
        }
        self.begin(key, moved.cursors, now);
        Some(moved.effect())
    }

    fn begin(&mut self, key: Key, told: Cursors, now: Timestamp) {
        self.ends.push_back((now.plus_ms(self.interval_ms), key));
        self.held.insert(key, Held { told, next: None });
    }

    /// Appends what is to be told now; of very many, a group.
    pub(crate) fn take_due(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let full = effects.len() + GROUP_MAX.max(self.held.len() / GROUP_PART);
        while effects.len() < full && self.ends.front().is_some_and(|(end, _)| *end <= now) {
            let Some((_, key)) = self.ends.pop_front() else { return };
            if let Some(moved) = self.held.remove(&key).and_then(|held| held.next) {
                self.begin(key, moved.cursors, now);
                effects.push(moved.effect());
            }
        }
    }

    /// When [`Receipts::take_due`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.ends.front().map(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(user: &str, seq: u64) -> Moved {
        let number = user.bytes().fold(0, |number, byte| number * 131 + i64::from(byte));
        Moved {
            place: (ConversationKey(1), UserKey(number)),
            conversation: ConversationId::new("direct:alice:bob").unwrap(),
            user: UserId::new(user).unwrap(),
            cursors: Cursors { received: seq, read: 0 },
            audience: SmallVec::new(),
        }
    }

    fn told(effects: impl IntoIterator<Item = Effect>) -> Vec<(String, u64)> {
        let receipt = |effect| match effect {
            Effect::Publish(Publication { event: Event::Receipt(receipt), .. }) => {
                (receipt.user.to_string(), receipt.received_seq)
            }
            other => panic!("not a receipt: {other:?}"),
        };
        effects.into_iter().map(receipt).collect()
    }

    #[test]
    fn the_first_at_once_the_newest_at_the_end_and_then_silence() {
        let mut receipts = Receipts::new(1_000);
        let mut note = |seq, now| told(receipts.note(moved("bob", seq), Timestamp(now)));
        assert_eq!(note(1, 0), [("bob".into(), 1)]);
        assert_eq!(note(2, 10), []);
        assert_eq!(note(5, 999), []);
        let mut due = |now| {
            let mut effects = Vec::new();
            receipts.take_due(Timestamp(now), &mut effects);
            (told(effects), receipts.next_due())
        };
        assert_eq!(due(999), (vec![], Some(Timestamp(1_000))));
        assert_eq!(due(1_000), (vec![("bob".into(), 5)], Some(Timestamp(2_000))));
        assert_eq!(due(2_000), (vec![], None));
        assert!(receipts.held.is_empty());
    }

    #[test]
    fn a_move_that_comes_late_takes_nothing_back() {
        let with =
            |received, read| Moved { cursors: Cursors { received, read }, ..moved("bob", 0) };
        let mut receipts = Receipts::new(1_000);
        assert!(receipts.note(with(5, 5), Timestamp(0)).is_some());
        assert!(receipts.note(with(5, 0), Timestamp(0)).is_none());
        let mut effects = Vec::new();
        receipts.take_due(Timestamp(1_000), &mut effects);
        assert!(effects.is_empty());
        assert!(receipts.note(with(6, 5), Timestamp(1_000)).is_some());
        assert!(receipts.note(with(5, 6), Timestamp(1_001)).is_none());
        receipts.take_due(Timestamp(2_000), &mut effects);
        let Some(Effect::Publish(Publication { event: Event::Receipt(receipt), .. })) =
            effects.first()
        else {
            panic!("no receipt: {effects:?}");
        };
        assert_eq!((receipt.received_seq, receipt.read_seq), (6, 6));
    }

    #[test]
    fn intervals_that_end_together_are_told_in_groups() {
        let mut receipts = Receipts::new(1_000);
        let all = 2 * GROUP_MAX + 1;
        for seq in [1, 2] {
            for n in 0..all {
                receipts.note(moved(&format!("u{n}"), seq), Timestamp(0));
            }
        }
        let mut groups = Vec::new();
        while receipts.next_due() == Some(Timestamp(1_000)) {
            let mut effects = Vec::new();
            receipts.take_due(Timestamp(1_000), &mut effects);
            groups.push(effects.len());
        }
        assert_eq!(groups, [GROUP_MAX, GROUP_MAX, 1]);
    }

    #[test]
    fn members_do_not_share_an_interval() {
        let mut receipts = Receipts::new(1_000);
        assert_eq!(told(receipts.note(moved("bob", 1), Timestamp(0))), [("bob".into(), 1)]);
        assert_eq!(told(receipts.note(moved("alice", 1), Timestamp(1))), [("alice".into(), 1)]);
    }

    #[test]
    fn many_moves_give_at_most_one_receipt_an_interval() {
        let mut receipts = Receipts::new(1_000);
        let mut effects = Vec::new();
        for now in 0..10_000 {
            receipts.take_due(Timestamp(now), &mut effects);
            effects.extend(receipts.note(moved("bob", now + 1), Timestamp(now)));
        }
        receipts.take_due(Timestamp(10_000), &mut effects);
        let told = told(effects);
        assert_eq!(told.len(), 11);
        assert_eq!(told.last(), Some(&("bob".into(), 10_000)));
    }
}
