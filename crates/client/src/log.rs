//! One conversation as one device sees it: a cursor, and what arrived ahead of it.
//!
//! Invariant: what leaves [`Log::accept`] is dense and ascending, each seq once. Ahead of a hole at
//! most [`HELD_MAX`] items are kept; what goes beyond is dropped and pulled again.

use std::collections::BTreeMap;

use serde_json::Value;

/// Most items kept ahead of a hole.
pub const HELD_MAX: usize = 1_000;

/// What stands at one or several seqs.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An entry, as the wire has it.
    Entry(Value),
    /// Nothing for this member, up to and including `through`.
    Void {
        /// Last seq of the stretch.
        through: u64,
    },
}

/// A cursor and what arrived ahead of it.
#[derive(Clone, Debug, Default)]
pub struct Log {
    cursor: u64,
    held: BTreeMap<u64, Item>,
    /// The newest seq heard of.
    head: u64,
    /// The newest seq heard of since the pull that is under way was asked for, which its answer may
    /// be too old to know.
    head_since_pull: u64,
    /// The cursor that the server was told.
    confirmed: u64,
    /// Since when there has been a hole, in milliseconds.
    hole_since: Option<u64>,
    /// A pull is under way.
    pulling: bool,
}

impl Item {
    /// The last seq it covers, where it stands at `seq`.
    const fn through(&self, seq: u64) -> u64 {
        match self {
            Self::Entry(_) => seq,
            Self::Void { through } => *through,
        }
    }
}

impl Log {
    /// Everything up to here was handed to the application.
    #[must_use]
    pub const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether something before the newest seq heard of is missing.
    #[must_use]
    pub const fn has_hole(&self) -> bool {
        self.head > self.cursor
    }

    /// Takes what arrived at `seq` and returns what may be handed on, in order.
    pub fn accept(&mut self, seq: u64, item: Item, now: u64) -> Vec<(u64, Item)> {
        let through = item.through(seq);
        self.know(through);
        if through > self.cursor && (self.held.len() < HELD_MAX || seq <= self.cursor + 1) {
            self.held.insert(seq, item);
        }
        self.release(now)
    }

    fn release(&mut self, now: u64) -> Vec<(u64, Item)> {
        let mut ready = Vec::new();
        while let Some((&seq, _)) = self.held.first_key_value() {
            if seq > self.cursor + 1 {
                break;
            }
            let Some((seq, item)) = self.held.pop_first() else { break };
            let through = item.through(seq);
            if through > self.cursor {
                // A void may begin within what was handed on.
                ready.push((seq.max(self.cursor + 1), item));
                self.cursor = through;
            }
        }
        self.hole_since =
            if self.head > self.cursor { self.hole_since.or(Some(now)) } else { None };
        if !ready.is_empty() && self.hole_since.is_some() {
            self.hole_since = Some(now);
        }
        ready
    }

    fn know(&mut self, head: u64) {
        self.head = self.head.max(head);
        self.head_since_pull = self.head_since_pull.max(head);
    }

    /// The end of what is held, 0 where nothing is.
    fn held_through(&self) -> u64 {
        self.held.iter().map(|(&seq, item)| item.through(seq)).max().unwrap_or(0)
    }

    /// The server said that `head` exists.
    pub fn heard_of(&mut self, head: u64, now: u64) {
        self.know(head);
        if self.head > self.cursor {
            self.hole_since = self.hole_since.or(Some(now));
        }
    }

    /// What to pull, where a hole has been open for `patience` milliseconds.
    #[must_use]
    pub fn wanted(&self, now: u64, patience: u64) -> Option<(u64, u64)> {
        let since = self.hole_since?;
        if self.pulling || now.saturating_sub(since) < patience {
            return None;
        }
        let to = self.held.first_key_value().map_or(self.head, |(&seq, _)| seq - 1);
        Some((self.cursor + 1, to.max(self.cursor + 1)))
    }

    /// Continues at `from`: the server has told this device to drop what it has. What was heard of
    /// the head counts no more, except for what is held beyond.
    pub fn reset(&mut self, from: u64) {
        self.cursor = from.saturating_sub(1);
        self.confirmed = self.confirmed.min(self.cursor);
        self.held = self.held.split_off(&from);
        self.head = self.cursor.max(self.held_through());
        self.hole_since = None;
        self.pulling = false;
    }

    /// The cursor, if the server has not been told of it.
    pub fn unconfirmed(&mut self) -> Option<u64> {
        (self.cursor > self.confirmed).then(|| {
            self.confirmed = self.cursor;
            self.cursor
        })
    }

    /// The server asks again for what it was told.
    pub fn forget_confirmation(&mut self) {
        self.confirmed = 0;
    }

    /// A pull is asked for.
    pub fn pull(&mut self) {
        self.pulling = true;
        self.head_since_pull = 0;
    }

    /// A pull was answered, and `more` of it is to be had at once.
    pub fn pulled(&mut self, more: bool, now: u64) {
        self.pulling = false;
        if self.hole_since.is_some() {
            self.hole_since = Some(if more { 0 } else { now });
        }
    }

    /// A pull was answered to its end by a server whose newest seq is `head`: whatever was said of a
    /// later one before the pull was asked for is not so.
    pub fn pulled_to_the_end(&mut self, head: u64, now: u64) {
        self.head = self.cursor.max(head).max(self.held_through()).max(self.head_since_pull);
        if self.head <= self.cursor {
            self.hole_since = None;
        }
        self.pulled(false, now);
    }

    /// A pull was refused: what is missing is not for this device.
    pub fn give_up(&mut self) {
        self.pulling = false;
        self.held.clear();
        self.head = self.cursor;
        self.hole_since = None;
    }

    /// The connection is gone, and with it every pull.
    pub fn disconnected(&mut self) {
        self.pulling = false;
        self.confirmed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(n: u64) -> Item {
        Item::Entry(json!({ "seq": n }))
    }

    fn seqs(ready: &[(u64, Item)]) -> Vec<u64> {
        ready.iter().map(|(seq, _)| *seq).collect()
    }

    #[test]
    fn holds_back_what_is_ahead_of_a_hole() {
        let mut log = Log::default();
        assert_eq!(seqs(&log.accept(1, entry(1), 0)), [1]);
        assert_eq!(seqs(&log.accept(3, entry(3), 10)), [] as [u64; 0]);
        assert_eq!(log.wanted(500, 1000), None);
        assert_eq!(log.wanted(1010, 1000), Some((2, 2)));
        assert_eq!(seqs(&log.accept(2, entry(2), 1100)), [2, 3]);
        assert_eq!(log.wanted(9999, 1000), None);
    }

    #[test]
    fn drops_what_it_has() {
        let mut log = Log::default();
        log.accept(1, entry(1), 0);
        assert!(log.accept(1, entry(1), 0).is_empty());
        assert_eq!(log.unconfirmed(), Some(1));
        assert_eq!(log.unconfirmed(), None);
    }

    #[test]
    fn a_void_closes_a_hole() {
        let mut log = Log::default();
        assert!(log.accept(8, entry(8), 0).is_empty());
        assert_eq!(seqs(&log.accept(1, Item::Void { through: 7 }, 0)), [1, 8]);
        assert_eq!(log.cursor(), 8);
    }

    #[test]
    fn a_void_that_overlaps_is_told_from_the_cursor_on() {
        let mut log = Log::default();
        log.accept(1, entry(1), 0);
        assert_eq!(seqs(&log.accept(1, Item::Void { through: 4 }, 0)), [2]);
        assert_eq!(log.cursor(), 4);
    }

    #[test]
    fn a_reset_keeps_what_lies_beyond() {
        let mut log = Log::default();
        log.accept(1, entry(1), 0);
        log.accept(90, entry(90), 0);
        log.reset(88);
        assert_eq!(seqs(&log.accept(88, entry(88), 0)), [88]);
        assert_eq!(seqs(&log.accept(89, entry(89), 0)), [89, 90]);
    }

    #[test]
    fn a_reset_forgets_a_head_that_is_no_more() {
        let mut log = Log::default();
        log.accept(1, entry(1), 0);
        log.heard_of(500, 0);
        log.reset(4);
        log.heard_of(5, 10);
        log.accept(4, entry(4), 10);
        log.accept(5, entry(5), 10);
        assert_eq!(log.wanted(u64::MAX, 1000), None);
    }

    #[test]
    fn a_reset_remembers_the_end_of_what_it_keeps() {
        let mut log = Log::default();
        log.accept(7, Item::Void { through: 9 }, 0);
        log.heard_of(500, 0);
        log.reset(5);
        assert_eq!(seqs(&log.accept(5, entry(5), 10)), [5]);
        assert_eq!(log.wanted(1010, 1000), Some((6, 6)));
        assert_eq!(seqs(&log.accept(6, entry(6), 20)), [6, 7]);
        assert_eq!(log.wanted(u64::MAX, 1000), None);
    }

    #[test]
    fn a_pull_beyond_the_head_is_not_repeated() {
        let check = |held: Option<u64>, heard_meanwhile: u64, head: u64, expected| {
            let mut log = Log::default();
            log.heard_of(500, 0);
            log.pull();
            if let Some(seq) = held {
                log.accept(seq, entry(seq), 0);
            }
            log.heard_of(heard_meanwhile, 0);
            log.accept(1, entry(1), 5);
            log.pulled_to_the_end(head, 5);
            assert_eq!(log.wanted(1005, 1000), expected, "{held:?} {heard_meanwhile} {head}");
        };
        check(None, 0, 1, None);
        check(None, 0, 0, None);
        check(None, 0, 3, Some((2, 3)));
        // What came while the pull was under way may be newer than its answer.
        check(Some(8), 0, 1, Some((2, 7)));
        check(None, 9, 1, Some((2, 9)));
    }

    #[test]
    fn the_loss_of_the_last_message_is_noticed() {
        let mut log = Log::default();
        log.accept(1, entry(1), 0);
        log.heard_of(2, 50);
        assert_eq!(log.wanted(1050, 1000), Some((2, 2)));
    }
}
