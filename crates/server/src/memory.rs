//! Gives memory back after a crowd of handshakes.
//!
//! The allocator returns freed pages to the system only while its threads go on allocating, and the
//! threads that speak HTTP fall silent after the last of ten thousand handshakes, holding tens of
//! megabytes that nobody uses.
//!
//! `unsafe` is sound here: `mi_collect` takes a plain value, may be called from any thread at any
//! time, and only frees what is free already; declaring it is the one unsafe step, and its signature
//! is that of `mimalloc.h`. Every test that runs the binary calls it.
#![expect(unsafe_code, reason = "the allocator's crate offers no safe form of mi_collect")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use hubbub_access::AcceptStats;
// Links the allocator into programs that use this library under another one.
use mimalloc as _;

/// How long after the last hand-over memory is given back, at most twice this.
const INTERVAL: Duration = Duration::from_secs(1);

unsafe extern "C" {
    /// Frees what this thread's heap holds without use, and returns free pages to the system.
    safe fn mi_collect(force: bool);
}

/// Gives memory back whenever connections were handed over and none came since.
pub(crate) async fn give_back(stats: std::sync::Arc<AcceptStats>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    let (mut last, mut given_back_at) = (0, 0);
    loop {
        ticks.tick().await;
        let adopted = stats.adopted.load(Ordering::Relaxed);
        if adopted == last && adopted != given_back_at {
            mi_collect(true);
            given_back_at = adopted;
        }
        last = adopted;
    }
}
