//! What the services count. Plain counters; whoever exports them reads them as often as they like.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hubbub_measure::{Distribution, Histogram, micros};
use hubbub_proto::Reason;

use crate::ports::StoreTimes;

/// Counters since the start, shared by the writer, the readers and whoever looks.
#[derive(Debug)]
pub struct Stats {
    commits: AtomicU64,
    rollbacks: AtomicU64,
    commands: AtomicU64,
    busy_us: AtomicU64,
    read_times: Histogram,
    typing_dropped: AtomicU64,
    presence_events: AtomicU64,
    retired: AtomicU64,
    forgotten: AtomicU64,
    panics: AtomicU64,
    batch_sizes: Histogram,
    refusals: Box<[AtomicU64]>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            commits: AtomicU64::new(0),
            rollbacks: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            read_times: Histogram::default(),
            typing_dropped: AtomicU64::new(0),
            presence_events: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            batch_sizes: Histogram::default(),
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
    /// Microseconds that the writer worked on batches.
    pub busy_us: u64,
    /// Microseconds that it took the readers to answer a request.
    pub read_times_us: Distribution,
    /// Microseconds that requests waited for the writer.
    pub command_waits_us: Distribution,
    /// Microseconds that requests waited for a reader, behind the writer.
    pub read_waits_us: Distribution,
    /// `typing` dropped because the queue was over half full.
    pub typing_dropped: u64,
    /// Events of presence that went out.
    pub presence_events: u64,
    /// Entries that were wiped for being too old.
    pub retired: u64,
    /// Entries of these whose rows were deleted.
    pub forgotten: u64,
    /// Panics while answering a read; the request was refused with `internal`.
    pub panics: u64,
    /// Requests of each batch that had any.
    pub batch_sizes: Distribution,
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
        self.batch_sizes.note(size as u64);
    }

    pub(crate) fn commit(&self) {
        self.commits.fetch_add(1, Relaxed);
    }

    pub(crate) fn rollback(&self) {
        self.rollbacks.fetch_add(1, Relaxed);
    }

    pub(crate) fn busy(&self, took: Duration) {
        self.busy_us.fetch_add(micros(took), Relaxed);
    }

    pub(crate) fn read(&self, took: Duration) {
        self.read_times.note_shared(micros(took));
    }

    pub(crate) fn typing_dropped(&self, count: usize) {
        self.typing_dropped.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn retired(&self, count: usize) {
        self.retired.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn forgotten(&self, count: usize) {
        self.forgotten.fetch_add(count as u64, Relaxed);
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

    /// Reads all of them; those of the queue and the store are filled in by who knows these.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let refusals = Reason::ALL.iter().zip(&self.refusals);
        Snapshot {
            commits: self.commits.load(Relaxed),
            rollbacks: self.rollbacks.load(Relaxed),
            commands: self.commands.load(Relaxed),
            busy_us: self.busy_us.load(Relaxed),
            read_times_us: self.read_times.read(),
            command_waits_us: Distribution::default(),
            read_waits_us: Distribution::default(),
            typing_dropped: self.typing_dropped.load(Relaxed),
            presence_events: self.presence_events.load(Relaxed),
            retired: self.retired.load(Relaxed),
            forgotten: self.forgotten.load(Relaxed),
            panics: self.panics.load(Relaxed),
            batch_sizes: self.batch_sizes.read(),
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
    fn batches_and_refusals_are_counted_where_they_belong() {
        let stats = Stats::default();
        for size in [0, 1, 2, 4, 5, 4_096] {
            stats.batch(size);
        }
        stats.refusal(Reason::Conflict);
        stats.refusal(Reason::Conflict);
        let snapshot = stats.snapshot();
        let sizes = snapshot.batch_sizes;
        assert_eq!((sizes.count(), sizes.sum(), sizes.up_to(4)), (5, 4_108, 3));
        assert_eq!(snapshot.refusals, [(Reason::Conflict, 2)]);
    }
}
