//! When users were last there, on the way to the store: kept in memory and written in groups, within a
//! second. A crash costs what was not written: then they seem to have left earlier.
//!
//! Invariant: a moment leaves this list only after the commit that wrote it. Bounded: at
//! [`WAITING_MAX`] the oldest are due at once, and at twice that, when the store takes nothing, new
//! ones are dropped.

use std::collections::VecDeque;

use hubbub_proto::{Timestamp, UserId};

/// How long a moment waits for others.
const WAIT_MS: u64 = 700;
/// Moments of one group, at most; where more than [`GROUP_PART`] times as many wait, that part.
const GROUP_MAX: usize = 128;
const GROUP_PART: usize = 8;
/// Most that wait.
const WAITING_MAX: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LastSeen {
    waiting: VecDeque<(Timestamp, UserId, Timestamp)>,
}

impl LastSeen {
    pub(crate) fn add(&mut self, seen: Vec<(UserId, Timestamp)>, now: Timestamp) {
        let room = (2 * WAITING_MAX).saturating_sub(self.waiting.len());
        let due = now.plus_ms(WAIT_MS);
        self.waiting.extend(seen.into_iter().take(room).map(|(user, at)| (due, user, at)));
    }

    /// When something is to be written.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.front().map(|(due, ..)| *due)
    }

    /// How many of the oldest are to be written now.
    pub(crate) fn due(&self, now: Timestamp, all: bool) -> usize {
        let count = self.waiting.len();
        if all || count > WAITING_MAX {
            return count;
        }
        match self.next_due() {
            Some(due) if due <= now => count.min(GROUP_MAX.max(count / GROUP_PART)),
            _ => 0,
        }
    }

    /// The oldest `count`.
    pub(crate) fn oldest(&self, count: usize) -> impl Iterator<Item = (&UserId, Timestamp)> {
        self.waiting.iter().take(count).map(|(_, user, at)| (user, *at))
    }

    /// The oldest `count` are in the store, or never will be.
    pub(crate) fn settle(&mut self, count: usize) {
        self.waiting.drain(..count.min(self.waiting.len()));
        if self.waiting.is_empty() && self.waiting.capacity() > 4 * GROUP_MAX {
            self.waiting = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(count: usize) -> Vec<(UserId, Timestamp)> {
        (0..count).map(|n| (UserId::new(&format!("u{n}")).unwrap(), Timestamp(7))).collect()
    }

    #[test]
    fn they_wait_go_in_groups_and_all_at_the_end() {
        let mut last = LastSeen::default();
        last.add(seen(GROUP_MAX + 1), Timestamp(0));
        assert_eq!(last.next_due(), Some(Timestamp(WAIT_MS)));
        assert_eq!(last.due(Timestamp(WAIT_MS - 1), false), 0);
        assert_eq!(last.due(Timestamp(WAIT_MS), false), GROUP_MAX);
        assert_eq!(last.oldest(1).next().map(|(user, _)| user.as_str()), Some("u0"));
        last.settle(GROUP_MAX);
        assert_eq!(last.due(Timestamp(0), true), 1);
        last.settle(1);
        assert_eq!(last.next_due(), None);
    }

    #[test]
    fn a_store_that_takes_nothing_does_not_fill_the_memory() {
        let mut last = LastSeen::default();
        last.add(seen(WAITING_MAX + 1), Timestamp(0));
        assert_eq!(last.due(Timestamp(0), false), WAITING_MAX + 1, "at once");
        last.add(seen(2 * WAITING_MAX), Timestamp(0));
        assert_eq!(last.due(Timestamp(0), true), 2 * WAITING_MAX);
    }
}
