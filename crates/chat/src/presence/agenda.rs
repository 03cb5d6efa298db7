//! Things to do, each at its moment.
//!
//! Invariant: what comes out is due, the earliest first. Deliberately absent: taking something back;
//! whoever gets it looks whether it still matters.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hubbub_proto::Timestamp;

/// See the module.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    heap: BinaryHeap<Reverse<(Timestamp, T)>>,
}

impl<T: Ord> Default for Agenda<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<T: Ord> Agenda<T> {
    pub(super) fn file(&mut self, at: Timestamp, what: T) {
        self.heap.push(Reverse((at, what)));
    }

    /// The next thing that is due, and since when.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(Timestamp, T)> {
        let is_due = self.next().is_some_and(|at| at <= now);
        let due = if is_due { self.heap.pop() } else { None };
        if self.heap.is_empty() && self.heap.capacity() > 1_024 {
            self.heap = BinaryHeap::new();
        }
        due.map(|Reverse(due)| due)
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_nothing_before_its_moment() {
        let mut agenda = Agenda::default();
        for (at, what) in [(30, 'c'), (10, 'a'), (20, 'b')] {
            agenda.file(Timestamp(at), what);
        }
        let mut take = |now| agenda.take(Timestamp(now)).map(|(at, what)| (at.0, what));
        assert_eq!(take(9), None);
        assert_eq!(take(25), Some((10, 'a')));
        assert_eq!(take(25), Some((20, 'b')));
        assert_eq!(take(25), None);
        assert_eq!(agenda.next(), Some(Timestamp(30)));
    }
}
