//! What the services count. Plain counters; whoever exports them reads them as often as they like.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hubbub_proto::Reason;

use crate::ports::StoreTimes;

/// Bounds of [`Snapshot::batch_sizes`]: a batch is counted in the first one that is not smaller.
pub const BATCH_BOUNDS: [usize; 7] = [1, 4, 16, 64, 256, 1_024, 4_096];

/// Upper bounds of [`Times::counts`] in microseconds; what took longer is counted behind the last.
pub const TIME_BOUNDS_US: [u64; 9] = [125, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 64_000];

/// How often something took how long.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Times {
    /// Counted in the first of [`TIME_BOUNDS_US`] that is not smaller, or behind all of them.
    pub counts: [u64; TIME_BOUNDS_US.len() + 1],
    /// Microseconds of all of them together.
    pub total_us: u64,
}

/// [`Times`] that several threads move and read.
#[derive(Debug, Default)]
pub struct Timer {
    counts: [AtomicU64; TIME_BOUNDS_US.len() + 1],
    total_us: AtomicU64,
}

impl Timer {
    /// Something took this long.
    pub fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = TIME_BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.total_us.fetch_add(us, Relaxed);
    }

    /// What was noted so far.
    #[must_use]
    pub fn read(&self) -> Times {
        Times {
            counts: std::array::from_fn(|i| self.counts[i].load(Relaxed)),
            total_us: self.total_us.load(Relaxed),
        }
    }
}

/// Counters since the start, shared by the writer, the readers and whoever looks.
#[derive(Debug)]
pub struct Stats {
    commits: AtomicU64,
    rollbacks: AtomicU64,
    commands: AtomicU64,
    reads: AtomicU64,
    typing_dropped: AtomicU64,
    presence_events: AtomicU64,
    panics: AtomicU64,
    batch_sizes: [AtomicU64; BATCH_BOUNDS.len()],
    refusals: Box<[AtomicU64]>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            commits: AtomicU64::new(0),
            rollbacks: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            typing_dropped: AtomicU64::new(0),
            presence_events: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            batch_sizes: Default::default(),
            refusals: Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// Transactions that were made durable.
    pub commits: u64,
    /// Transactions that were given up because the store refused something.
    pub rollbacks: u64,
    /// Requests that the writer saw.
    pub commands: u64,
    /// Requests that the readers answered.
    pub reads: u64,
    /// `typing` dropped because the queue was over half full.
    pub typing_dropped: u64,
    /// Events of presence that went out.
    pub presence_events: u64,
    /// Panics while answering a read; the request was refused with `internal`.
    pub panics: u64,
    /// Batches by size, see [`BATCH_BOUNDS`].
    pub batch_sizes: [u64; BATCH_BOUNDS.len()],
    /// Refusals that happened, by reason.
    pub refusals: Vec<(Reason, u64)>,
    /// What the store's disk took.
    pub store: StoreTimes,
    /// Requests that wait for the writer or a reader.
    pub queued: usize,
    /// Their bytes.
    pub queued_bytes: usize,
}

impl Stats {
    pub(crate) fn batch(&self, size: usize) {
        if size == 0 {
            return;
        }
        self.commands.fetch_add(size as u64, Relaxed);
        let bucket = BATCH_BOUNDS.iter().position(|bound| size <= *bound);
        self.batch_sizes[bucket.unwrap_or(BATCH_BOUNDS.len() - 1)].fetch_add(1, Relaxed);
    }

    pub(crate) fn commit(&self) {
        self.commits.fetch_add(1, Relaxed);
    }

    pub(crate) fn rollback(&self) {
        self.rollbacks.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Relaxed);
    }

    pub(crate) fn typing_dropped(&self, count: usize) {
        self.typing_dropped.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn presence_events(&self, count: u64) {
        self.presence_events.fetch_add(count, Relaxed);
    }

    pub(crate) fn panic(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(crate) fn refusal(&self, reason: Reason) {
        if let Some(index) = Reason::ALL.iter().position(|known| *known == reason) {
            self.refusals[index].fetch_add(1, Relaxed);
        }
    }

    /// Reads all of them; `queued` and `store` are filled in by who knows the queue and the store.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let refusals = Reason::ALL.iter().zip(&self.refusals);
        Snapshot {
            commits: self.commits.load(Relaxed),
            rollbacks: self.rollbacks.load(Relaxed),
            commands: self.commands.load(Relaxed),
            reads: self.reads.load(Relaxed),
            typing_dropped: self.typing_dropped.load(Relaxed),
            presence_events: self.presence_events.load(Relaxed),
            panics: self.panics.load(Relaxed),
            batch_sizes: std::array::from_fn(|i| self.batch_sizes[i].load(Relaxed)),
            refusals: refusals
                .map(|(reason, count)| (*reason, count.load(Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            store: StoreTimes::default(),
            queued: 0,
            queued_bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_up_to_their_bounds() {
        let timer = Timer::default();
        for us in [0, 125, 126, 64_000, 64_001, 1_000_000] {
            timer.note(Duration::from_micros(us));
        }
        let times = timer.read();
        assert_eq!(times.counts, [2, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(times.total_us, 1_128_252);
    }

    #[test]
    fn batches_and_refusals_are_counted_where_they_belong() {
        let stats = Stats::default();
        for size in [0, 1, 2, 4, 5, 4_096, 9_999] {
            stats.batch(size);
        }
        stats.refusal(Reason::Conflict);
        stats.refusal(Reason::Conflict);
        let snapshot = stats.snapshot();
        assert_eq!(snapshot.batch_sizes, [1, 2, 1, 0, 0, 0, 2]);
        assert_eq!(snapshot.refusals, [(Reason::Conflict, 2)]);
    }
}
