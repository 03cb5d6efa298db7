//! The one place that reads the time.
//!
//! Invariant: time never goes back, and never stands still. It is the monotonic clock plus the
//! largest distance to the wall clock seen so far: a step of the wall clock forward is followed, a
//! step back is not, so that heartbeats, expiries and the order of entries go on.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hubbub_proto::Timestamp;

/// Milliseconds from the epoch to the zero of a monotonic clock.
struct Distance(AtomicU64);

impl Distance {
    /// The time, given what both clocks say, in milliseconds.
    fn now(&self, wall: u64, monotonic: u64) -> u64 {
        let seen = wall.saturating_sub(monotonic);
        let distance = self.0.fetch_max(seen, Ordering::Relaxed).max(seen);
        distance.saturating_add(monotonic)
    }
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static DISTANCE: Distance = Distance(AtomicU64::new(0));

/// Now.
pub(crate) fn now() -> Timestamp {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(DISTANCE.now(ms(wall), ms(START.elapsed())))
}

/// The clock of the chat services.
pub(crate) struct SystemClock;

impl hubbub_chat::ports::Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_forward_are_followed_and_steps_back_are_not() {
        let distance = Distance(AtomicU64::new(0));
        for (wall, monotonic, expect) in [
            (1_000_000, 0, 1_000_000),
            (1_000_010, 10, 1_000_010),
            (1_500_000, 20, 1_500_000),
            (1_000_030, 30, 1_500_010),
            (0, 40, 1_500_020),
            (1_500_050, 50, 1_500_050),
        ] {
            assert_eq!(distance.now(wall, monotonic), expect, "{wall} {monotonic}");
        }
    }
}
