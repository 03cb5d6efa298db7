//! Keeps memory small, and gives it back after a crowd has come or gone or a burst is over.
//!
//! Two things would keep it large. Where the system hands memory out in pieces of 2 MB, every list
//! that grows and moves on leaves such pieces behind, which return to the system only whole: 19,000
//! connections took about twice as much with them as without (`bench/README.md`). And the
//! allocator gives each thread pages of its own, and returns those that became free to the system
//! only while that thread goes on allocating. A thread that falls silent after the last of ten
//! thousand handshakes holds megabytes that nobody uses; so each thread is told on its own: a shard
//! by the hub, those of the control plane and of the chat services here, when they run out of work.
//!
//! `unsafe` is sound here: `mi_collect` takes a plain value, may be called from any thread at any
//! time, and only frees what is free already; declaring it is the one unsafe step, and its signature
//! is that of `mimalloc.h`. So is `prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)`: it takes plain numbers and
//! changes only how the kernel backs memory. Every test that runs the binary calls both.
#![expect(unsafe_code, reason = "there is no safe form of mi_collect and prctl among what is used")]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hubbub_access::{AcceptStats, Permits};
use hubbub_chat::Chat;
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

/// Has the system back the memory of this process with small pages only, from here on. To be called
/// first of all; a system that cannot do it is left as it is.
pub(crate) fn use_small_pages() {
    #[cfg(target_os = "linux")]
    // SAFETY: see the module. The unused arguments have to be zero.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1_u64, 0_u64, 0_u64, 0_u64);
    }
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

/// Asks the threads of the control plane and of the chat services to give memory back whenever
/// connections came or went, or something was asked for, and no more is. One of the control plane that
/// sleeps does so when it wakes up.
pub(crate) async fn give_back(stats: Arc<AcceptStats>, permits: Permits, chat: Arc<Chat>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    let (mut last, mut given_back_at, mut waited) = ((0, 0, 0, 0), (0, 0, 0, 0), 0);
    loop {
        ticks.tick().await;
        let asked = chat.stats();
        let adopted = stats.adopted.load(Ordering::Relaxed);
        let now = (adopted, permits.used(), asked.commands, asked.read_times_us.count());
        waited = if now == given_back_at { 0 } else { waited + 1 };
        if now != given_back_at && (now == last || waited >= INTERVALS_MAX) {
            ASKED.fetch_add(1, Ordering::Relaxed);
            chat.tidy();
            given_back_at = now;
        }
        last = now;
    }
}
