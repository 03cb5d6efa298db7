//! What is counted on hot paths: plain counters, and histograms of a fixed size.
//!
//! Invariants: noting something costs an addition or two, takes no lock and allocates nothing;
//! anybody may read at any time, and what is read only grows. Deliberately absent: names, labels and
//! formats, which belong to whoever exports; and clocks: callers measure.

mod counter;
mod histogram;

pub use counter::Counter;
pub use histogram::{Distribution, Histogram};

/// A duration in whole microseconds, the unit in which durations are noted.
#[must_use]
pub fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
