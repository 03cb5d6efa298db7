//! How often something had which size: log-linear buckets, eight for each power of two.
//!
//! Invariant: a value is counted in the first bucket whose bound is not smaller, and a bound is at
//! most an eighth above the one before it, so that what is told of a distribution is at most 12.5 %
//! off, and exact up to 16. Bounds are inclusive, as Prometheus' `le` is. Values above the last
//! bound are counted with it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets of a power of two, as a power of two.
const FINE: u32 = 3;
const PER_OCTAVE: usize = 1 << FINE;
/// The last bound is two to the power of this: 71 minutes, in microseconds.
const LAST: u32 = 32;
const BUCKETS: usize = (LAST - FINE + 1) as usize * PER_OCTAVE;

/// The bucket of a value. Those of 0 and 1 are one.
fn bucket(value: u64) -> usize {
    let below = value.saturating_sub(1);
    let Some(octave) = below.checked_ilog2().and_then(|bits| bits.checked_sub(FINE)) else {
        return below as usize;
    };
    let place = (below >> octave) as usize % PER_OCTAVE;
    ((octave as usize + 1) * PER_OCTAVE + place).min(BUCKETS - 1)
}

/// The largest value of a bucket.
const fn bound(bucket: usize) -> u64 {
    let (octave, place) = (bucket / PER_OCTAVE, (bucket % PER_OCTAVE + 1) as u64);
    match octave.checked_sub(1) {
        None => place,
        Some(octave) => (PER_OCTAVE as u64 + place) << octave,
    }
}

/// Sizes as they are noted: 2 KB, whatever is noted.
#[derive(Debug)]
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Notes one value. Only where a single thread notes: a load and a store, twice.
    pub fn note(&self, value: u64) {
        self.note_many(value, 1);
    }

    /// Notes a value so many times. Only where a single thread notes.
    pub fn note_many(&self, value: u64, times: u64) {
        let add = |number: &AtomicU64, n: u64| {
            number.store(number.load(Relaxed).wrapping_add(n), Relaxed);
        };
        add(&self.counts[bucket(value)], times);
        add(&self.sum, value.wrapping_mul(times));
    }

    /// Notes one value where several threads do.
    pub fn note_shared(&self, value: u64) {
        self.counts[bucket(value)].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// What was noted so far.
    #[must_use]
    pub fn read(&self) -> Distribution {
        Distribution {
            counts: self.counts.iter().map(|count| count.load(Relaxed)).collect(),
            sum: self.sum.load(Relaxed),
        }
    }
}

/// Sizes as they were noted up to some moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Distribution {
    /// Empty for none at all.
    counts: Vec<u64>,
    sum: u64,
}

impl Distribution {
    /// Both together.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum = self.sum.wrapping_add(other.sum);
        self
    }

    /// What was noted since `earlier`, which is an earlier reading of the same.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        Self {
            counts: self.counts.iter().zip(before).map(|(n, was)| n.saturating_sub(was)).collect(),
            sum: self.sum.wrapping_sub(earlier.sum),
        }
    }

    /// How many values were noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All values together.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// How many values were at most this: exact where it is a power of two up to 2³².
    #[must_use]
    pub fn up_to(&self, value: u64) -> u64 {
        let within = self.counts.iter().enumerate().take_while(|(i, _)| bound(*i) <= value);
        within.map(|(_, count)| count).sum()
    }

    /// The mean, exact; 0 for none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match self.count() {
            0 => 0.0,
            count => self.sum as f64 / count as f64,
        }
    }

    /// The smallest value that the first bucket with something in it could hold; 0 for none.
    #[must_use]
    pub fn min(&self) -> u64 {
        let first = self.counts.iter().position(|count| *count > 0);
        first.map_or(0, |first| first.checked_sub(1).map_or(1, |before| bound(before) + 1))
    }

    /// The largest value that the last bucket with something in it could hold; 0 for none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.counts.iter().rposition(|count| *count > 0).map_or(0, bound)
    }

    /// The bound of the bucket below which this part of the values lies; 0 for none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = ((self.count() as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(0, bound)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_follow_each_other_and_every_power_of_two_is_one() {
        let bounds: Vec<u64> = (0..BUCKETS).map(bound).collect();
        assert_eq!(
            bounds[..20],
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24]
        );
        assert!(bounds.windows(2).all(|pair| pair[0] < pair[1] && pair[1] <= pair[0] * 9 / 8 + 1));
        assert!((0..=LAST).all(|power| bounds.contains(&(1 << power))));
        assert_eq!(bounds.last(), Some(&(1 << LAST)));
    }

    proptest! {
        #[test]
        fn a_value_is_in_the_first_bucket_that_holds_it(value in prop_oneof![0_u64..5_000, 0..=1_u64 << LAST]) {
            let at = bucket(value);
            prop_assert!(bound(at) >= value);
            prop_assert!(at == 0 || bound(at - 1) < value);
        }

        #[test]
        fn what_is_told_is_near_what_was_noted(mut values in prop::collection::vec(1_u64..1_000_000, 1..200)) {
            let histogram = Histogram::default();
            values.iter().for_each(|value| histogram.note(*value));
            let seen = histogram.read();
            values.sort_unstable();
            let sum: u64 = values.iter().sum();
            prop_assert_eq!((seen.count(), seen.sum()), (values.len() as u64, sum));
            for (told, value) in [
                (seen.min(), values[0]),
                (seen.max(), values[values.len() - 1]),
                (seen.quantile(0.5), values[values.len().div_ceil(2) - 1]),
                (seen.quantile(1.0), values[values.len() - 1]),
            ] {
                prop_assert!(told.abs_diff(value) * 8 <= value, "{} for {}", told, value);
            }
            for power in 0..20 {
                let exact = values.iter().filter(|value| **value <= 1 << power).count() as u64;
                prop_assert_eq!(seen.up_to(1 << power), exact);
            }
        }
    }

    #[test]
    fn what_came_since_and_what_came_in_all() {
        let (one, other) = (Histogram::default(), Histogram::default());
        one.note_many(5, 3);
        let before = one.read();
        one.note_shared(100);
        other.note(7);
        let since = one.read().since(&before);
        assert_eq!((since.count(), since.sum(), since.min(), since.max()), (1, 100, 97, 104));
        let all = Distribution::default().merged(&one.read()).merged(&other.read());
        assert_eq!((all.count(), all.sum(), all.up_to(8)), (5, 122, 4));
        assert_eq!(all.since(&all).max(), 0);
        let none = Distribution::default();
        assert_eq!((none.count(), none.min(), none.max(), none.quantile(0.99)), (0, 0, 0, 0));
        assert!(none.mean() == 0.0 && (all.mean() - 24.4).abs() < 1e-9);
        assert_eq!(all.since(&none), all);
    }

    #[test]
    fn what_is_beyond_the_last_bound_counts_with_it() {
        let histogram = Histogram::default();
        histogram.note(u64::MAX);
        assert_eq!(histogram.read().max(), 1 << LAST);
    }
}
