//! Deadlines of all connections of a shard, to the second.
//!
//! Invariant: an entry comes out once, in the first second that begins at or after its moment;
//! earlier where that is further away than the wheel reaches, and under a later second after a
//! leap of the clock: whoever takes an entry out looks again at what is due. Entries are not removed; the connection remembers which one counts.

use hubbub_proto::Timestamp;

use crate::slab::At;
use crate::tidy::KEPT;

/// Buckets of one second each.
const SECONDS: usize = 64;

pub(crate) struct Wheel {
    buckets: [Vec<At>; SECONDS],
    /// All seconds up to this one have been taken out.
    done: u32,
}

/// The second at which something due at `at` is looked at.
fn second_of(at: Timestamp) -> u32 {
    u32::try_from(at.0.div_ceil(1000)).unwrap_or(u32::MAX)
}

impl Wheel {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            buckets: std::array::from_fn(|_| Vec::new()),
            done: u32::try_from(now.as_secs()).unwrap_or(u32::MAX),
        }
    }

    /// In which second an entry for `at` would come out.
    pub(crate) fn second_for(&self, at: Timestamp) -> u32 {
        let reach = self.done.saturating_add(SECONDS as u32 - 1);
        second_of(at).clamp(self.done.saturating_add(1), reach)
    }

    /// Files an entry under a second that [`second_for`](Self::second_for) answered.
    pub(crate) fn insert(&mut self, second: u32, at: At) {
        self.buckets[second as usize % SECONDS].push(at);
    }

    /// Takes out the next second that has begun, with its entries.
    pub(crate) fn next_due(&mut self, now: Timestamp) -> Option<(u32, Vec<At>)> {
        let current = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        if current <= self.done {
            return None;
        }
        // After a leap of the clock every bucket is looked at once and not once for each second.
        self.done = (self.done + 1).max(current.saturating_sub(SECONDS as u32 - 1));
        let bucket = &mut self.buckets[self.done as usize % SECONDS];
        Some((self.done, std::mem::take(bucket)))
    }

    /// Gives an emptied list back, to be filled again. A long one is not kept: entries of the next
    /// round stand in other seconds, and all buckets would keep the room of the longest list ever.
    pub(crate) fn recycle(&mut self, second: u32, mut list: Vec<At>) {
        let bucket = &mut self.buckets[second as usize % SECONDS];
        if bucket.capacity() == 0 && list.capacity() <= KEPT {
            list.clear();
            *bucket = list;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(slot: u32) -> At {
        At { slot, generation: 0 }
    }

    fn take(wheel: &mut Wheel, ms: u64) -> Vec<u32> {
        let mut slots = Vec::new();
        while let Some((second, list)) = wheel.next_due(Timestamp(ms)) {
            slots.extend(list.iter().map(|at| at.slot));
            wheel.recycle(second, list);
        }
        slots
    }

    #[test]
    fn entries_come_out_in_their_second() {
        let mut wheel = Wheel::new(Timestamp(5_500));
        for (slot, ms) in [(1, 5_600), (2, 6_000), (3, 6_001), (4, 1_000_000)] {
            let second = wheel.second_for(Timestamp(ms));
            wheel.insert(second, at(slot));
        }
        assert!(take(&mut wheel, 5_999).is_empty());
        assert_eq!(take(&mut wheel, 6_000), [1, 2]);
        assert!(take(&mut wheel, 6_999).is_empty());
        assert_eq!(take(&mut wheel, 7_000), [3]);
        assert!(take(&mut wheel, 67_999).is_empty());
        assert_eq!(take(&mut wheel, 68_000), [4], "further than the wheel reaches: early");
    }

    #[test]
    fn an_empty_wheel_keeps_little() {
        let mut wheel = Wheel::new(Timestamp(0));
        for slot in 0..20_000 {
            let second = wheel.second_for(Timestamp(u64::from(slot)));
            wheel.insert(second, at(slot));
        }
        assert_eq!(take(&mut wheel, 100_000).len(), 20_000);
        assert!(wheel.buckets.iter().all(|bucket| bucket.capacity() <= KEPT));
    }

    #[test]
    fn a_leap_of_the_clock_loses_nothing() {
        let mut wheel = Wheel::new(Timestamp(0));
        for slot in 0..60 {
            let second = wheel.second_for(Timestamp(u64::from(slot) * 1000));
            wheel.insert(second, at(slot));
        }
        let mut slots = take(&mut wheel, 10_000_000);
        slots.sort_unstable();
        assert_eq!(slots, (0..60).collect::<Vec<_>>());
        assert!(take(&mut wheel, 5).is_empty(), "a clock that goes back does nothing");
    }
}
