//! All numbers at one moment.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hubbub_access::{AcceptStats, ApiStats, Gate, Permits, TlsStats};
use hubbub_chat::Chat;
use hubbub_chat::stats::Snapshot;
use hubbub_hub::{Hub, HubStats};

use super::process::Process;

/// Where the numbers come from.
pub(crate) struct Sources {
    pub(crate) hub: Arc<Hub>,
    pub(crate) chat: Arc<Chat>,
    pub(crate) accept: Arc<AcceptStats>,
    pub(crate) tls: Arc<TlsStats>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) api: Arc<ApiStats>,
    pub(crate) permits: Permits,
    pub(crate) data_dir: PathBuf,
    pub(crate) started: Instant,
}

/// See the module.
pub(crate) struct Picture {
    pub(super) hub: HubStats,
    pub(super) shards: Vec<HubStats>,
    pub(super) chat: Snapshot,
    pub(super) accept: Arc<AcceptStats>,
    pub(super) tls: Arc<TlsStats>,
    pub(super) gate: Arc<Gate>,
    pub(super) api: Arc<ApiStats>,
    pub(super) places_used: usize,
    pub(super) places: usize,
    /// Bytes that may still be written where the store is.
    pub(super) disk_free: Option<u64>,
    pub(super) process: Process,
    pub(super) uptime: Duration,
}

impl Sources {
    pub(crate) fn picture(&self) -> Picture {
        Picture {
            hub: self.hub.stats(),
            shards: self.hub.shard_stats(),
            chat: self.chat.stats(),
            accept: self.accept.clone(),
            tls: self.tls.clone(),
            gate: self.gate.clone(),
            api: self.api.clone(),
            places_used: self.permits.used(),
            places: self.permits.max(),
            disk_free: super::process::disk_free(&self.data_dir),
            process: Process::read(),
            uptime: self.started.elapsed(),
        }
    }
}

pub(super) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}
