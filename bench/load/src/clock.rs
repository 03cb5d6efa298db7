//! Monotonic time in nanoseconds since the process first asked.

use std::sync::LazyLock;
use std::time::Instant;

pub(crate) const SECOND: u64 = 1_000_000_000;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds on a clock that never goes backwards.
#[inline]
pub(crate) fn now_ns() -> u64 {
    START.elapsed().as_nanos() as u64
}
