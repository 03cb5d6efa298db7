//! Gives memory back after a crowd has come or gone, or a burst is over.
//!
//! The allocator gives each thread pages of its own, and returns those that became free to the
//! system only while that thread goes on allocating. A thread that falls silent after the last of
//! ten thousand handshakes holds megabytes that nobody uses; so each thread is told on its own: a
//! shard by the hub, those of the control plane here, when they run out of work.
//!
//! `unsafe` is sound here: `mi_collect` takes a plain value, may be called from any thread at any
//! time, and only frees what is free already; declaring it is the one unsafe step, and its signature
//! is that of `mimalloc.h`. Every test that runs the binary calls it.
#![expect(unsafe_code, reason = "the allocator's crate offers no safe form of mi_collect")]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hubbub_access::{AcceptStats, Permits};
// Links the allocator into programs that use this library under another one.
use mimalloc as _;

/// How long after the last one came or went memory is given back, at most twice this.
const INTERVAL: Duration = Duration::from_secs(1);
/// Intervals after which it is given back although somebody always comes or goes.
const INTERVALS_MAX: u32 = 60;

/// How often the threads of the control plane were asked to give memory back.
static ASKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// How often this one was when it last did.
    static DONE: Cell<u64> = const { Cell::new(0) };
}

unsafe extern "C" {
    /// Frees what this thread's heap holds without use, and returns free pages to the system.
    safe fn mi_collect(force: bool);
}

/// Has the calling thread's allocator give back what is free.
pub(crate) fn collect() {
    mi_collect(true);
}

/// The same if the control plane was asked to since the last time. For a thread that goes to sleep.
pub(crate) fn collect_if_asked() {
    let asked = ASKED.load(Ordering::Relaxed);
    if DONE.replace(asked) != asked {
        collect();
    }
}

/// Asks the threads of the control plane to give memory back whenever connections came or went and
/// none does any more. One that sleeps does so when it wakes up.
pub(crate) async fn give_back(stats: Arc<AcceptStats>, permits: Permits) {
    let mut ticks = tokio::time::interval(INTERVAL);
    let (mut last, mut given_back_at, mut waited) = ((0, 0), (0, 0), 0);
    loop {
        ticks.tick().await;
        let now = (stats.adopted.load(Ordering::Relaxed), permits.used());
        waited = if now == given_back_at { 0 } else { waited + 1 };
        if now != given_back_at && (now == last || waited >= INTERVALS_MAX) {
            ASKED.fetch_add(1, Ordering::Relaxed);
            given_back_at = now;
        }
        last = now;
    }
}
