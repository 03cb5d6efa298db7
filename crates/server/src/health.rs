//! Whether the server can do its work: what `/readyz` answers, and what the log says when that
//! changes.
//!
//! Not ready is: the store failed, the writer does not come back from it, too little room is left on
//! the disk, the server is stopping. Invariant: asking costs no more than two looks at the system, so
//! that probes may come often.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hubbub_chat::{Chat, Health};

use crate::metrics::disk_free;

/// How often the answer is looked at for the log.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long the writer may work on one batch. It is a disk that hangs, not one that is slow.
const BATCH_TIME_MAX: Duration = Duration::from_secs(15);

/// What the answer depends on.
#[derive(Clone)]
pub(crate) struct Readiness {
    pub(crate) chat: Arc<Chat>,
    pub(crate) stopping: Arc<AtomicBool>,
    pub(crate) data_dir: PathBuf,
    pub(crate) disk_free_min_bytes: u64,
}

impl Readiness {
    /// Whether it is ready, or why not, in words for the log.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err("the server is stopping".into());
        }
        if let Health::Failed(reason) = self.chat.health() {
            return Err(format!(
                "the store failed: nothing is acknowledged until a restart: {reason}"
            ));
        }
        if self.chat.busy_for() > BATCH_TIME_MAX {
            return Err("the writer does not come back from the store".into());
        }
        let min = self.disk_free_min_bytes;
        match disk_free(&self.data_dir).filter(|_| min > 0) {
            Some(free) if free < min => Err(format!(
                "{free} bytes are free where the store is, and store.disk_free_min_bytes is {min}"
            )),
            _ => Ok(()),
        }
    }
}

/// Logs when the server stops being ready, why, and when it is ready again.
pub(crate) async fn watch(readiness: Readiness) {
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut was_ready = true;
    loop {
        ticks.tick().await;
        let now = readiness.check();
        if readiness.stopping.load(Ordering::Relaxed) {
            // That is said elsewhere.
            return;
        }
        match &now {
            Err(reason) if was_ready => tracing::error!(%reason, "not ready"),
            Ok(()) if !was_ready => tracing::info!("ready again"),
            _ => {}
        }
        was_ready = now.is_ok();
    }
}
