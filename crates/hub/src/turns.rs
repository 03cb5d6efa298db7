//! What a shard measures of its own turns: how busy it is, and how long what it hands on was under
//! way.
//!
//! The clock is read when a turn begins and when it ends, and once more where posts were taken. So a
//! command counts from the turn in which it was read, and what came from above to the moment when all
//! posts of its turn are in their outboxes. Invariants: nothing is read, kept or added up for a single
//! delivery; what came with the same step from above is one run.

use std::time::Instant;

use hubbub_measure::micros;
use hubbub_proto::route::Stamp;

use crate::stats::ShardStats;
use crate::tidy::slim;

/// How many had the same beginning, for each beginning.
#[derive(Debug)]
struct Runs<T>(Vec<(T, u64)>);

impl<T: Copy + PartialEq> Runs<T> {
    fn add(&mut self, beginning: T, times: u64) {
        match self.0.last_mut() {
            Some((last, count)) if *last == beginning => *count += times,
            _ => self.0.push((beginning, times)),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Turns {
    /// The zero of this shard's stamps.
    base: Instant,
    began: Instant,
    stamp: Stamp,
    acks: Runs<Stamp>,
    deliveries: Runs<Instant>,
}

impl Turns {
    pub(crate) fn new(base: Instant) -> Self {
        let stamp = Stamp::default();
        Self { base, began: base, stamp, acks: Runs(Vec::new()), deliveries: Runs(Vec::new()) }
    }

    /// A turn begins now.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.began = now;
        self.stamp = self.stamp_of(now);
    }

    /// The stamp of what is read in this turn.
    pub(crate) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// A reply went out to a command that was read then.
    pub(crate) fn replied(&mut self, read_at: Stamp) {
        self.acks.add(read_at, 1);
    }

    /// So many connections got something that left the writer then.
    pub(crate) fn delivered(&mut self, posted: Instant, connections: u64) {
        if connections > 0 {
            self.deliveries.add(posted, connections);
        }
    }

    /// Everything that was taken is in the outboxes; `clock` is read if there was anything.
    pub(crate) fn settle(&mut self, clock: impl Fn() -> Instant, stats: &ShardStats) {
        if self.acks.0.is_empty() && self.deliveries.0.is_empty() {
            return;
        }
        let now = clock();
        let stamp = self.stamp_of(now);
        for (read_at, times) in self.acks.0.drain(..) {
            // Stamps begin anew every 71 minutes.
            stats.ack_us.note_many(stamp.0.wrapping_sub(read_at.0).into(), times);
        }
        for (posted, times) in self.deliveries.0.drain(..) {
            let took = now.saturating_duration_since(posted);
            stats.delivery_us.note_many(micros(took), times);
        }
    }

    /// The turn is over.
    pub(crate) fn end(&mut self, now: Instant, stats: &ShardStats) {
        stats.turns.add(1);
        stats.busy_us.add(micros(now.saturating_duration_since(self.began)));
    }

    /// Gives back what a burst took.
    pub(crate) fn tidy(&mut self) {
        slim(&mut self.acks.0);
        slim(&mut self.deliveries.0);
    }

    fn stamp_of(&self, now: Instant) -> Stamp {
        // Only differences count, so that what does not fit may be cut off.
        Stamp(micros(now.saturating_duration_since(self.base)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_handed_on_counts_from_its_beginning_to_the_end_of_the_posts() {
        let base = Instant::now();
        let at = |us: u64| base + Duration::from_micros(us);
        let stats = ShardStats::default();
        let mut turns = Turns::new(base);
        turns.begin(at(100));
        let first = turns.stamp();
        turns.settle(|| unreachable!("there is nothing to measure"), &stats);
        turns.end(at(150), &stats);
        turns.begin(at(1_000));
        turns.replied(first);
        turns.replied(first);
        turns.replied(turns.stamp());
        turns.delivered(at(700), 3);
        turns.delivered(at(700), 2);
        turns.delivered(at(700), 0);
        turns.settle(|| at(1_100), &stats);
        turns.settle(|| unreachable!("it is measured once"), &stats);
        turns.end(at(1_300), &stats);
        let (acks, deliveries) = (stats.ack_us.read(), stats.delivery_us.read());
        assert_eq!((acks.count(), acks.sum()), (3, 2 * 1_000 + 100));
        assert_eq!((deliveries.count(), deliveries.sum()), (5, 5 * 400));
        assert_eq!((stats.turns.get(), stats.busy_us.get()), (2, 50 + 300));
    }

    #[test]
    fn stamps_may_begin_anew_in_between() {
        let base = Instant::now();
        let wraps = Duration::from_micros(1 << 32);
        let stats = ShardStats::default();
        let mut turns = Turns::new(base);
        turns.begin(base + wraps - Duration::from_micros(40));
        turns.replied(turns.stamp());
        turns.settle(|| base + wraps + Duration::from_micros(60), &stats);
        assert_eq!(stats.ack_us.read().sum(), 100);
    }
}
