//! The hub as others see it: made, started, fed with sockets and effects, drained.

use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hubbub_proto::limits::Limits;
use hubbub_proto::{Effect, Timestamp};
use mio::{Poll, Waker};

use crate::bus::{Bus, Local};
use crate::channels::Keeping;
use crate::compression::{Compression, CompressionConfig};
use crate::desk::Settings;
use crate::history::Portion;
use crate::inbox::{Inbox, Post};
use crate::opening::{Adoption, Opening};
use crate::rules::{LiveConfig, Rules};
use crate::shard::{Seed, Shard, WAKER};
use crate::stats::{HubStats, ShardStats};
use crate::transport::Socket;
use crate::upstream::Upstream;

/// How long [`Hub::stop_parsing`] waits for the shards.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Which part of an outbox an answer may fill that says what was missed.
const RECOVERY_PART: usize = 4;

/// Most threads of a hub.
const SHARDS_MAX: u16 = 256;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a hub needs to know.
pub struct HubConfig {
    /// Threads; at least 1, at most 256.
    pub shards: u16,
    /// The limits of every connection.
    pub limits: Limits,
    /// Bytes waiting for a shard above which events are dropped; where entries were among them, the
    /// shard's sessions are told that they lag.
    pub inbox_bytes_max: usize,
    /// Tells the time. Should not follow leaps of the system's clock: deadlines stand still while
    /// it is behind where it was.
    pub clock: Clock,
    /// What `connected` says besides the limits.
    pub announce: Announce,
    /// Channels and signals.
    pub live: LiveConfig,
    /// permessage-deflate.
    pub compression: CompressionConfig,
    /// Called on a shard's own thread after it has given up memory that it does not need any more,
    /// so that the thread's allocator can return it to the system. Once in a while.
    pub on_calm: fn(),
}

/// What `connected` says besides the limits.
#[derive(Clone, Debug)]
pub struct Announce {
    /// The store's epoch.
    pub epoch: Box<str>,
    /// Name and version of the server.
    pub server: &'static str,
    /// How long a client id is remembered, in milliseconds.
    pub dedupe_window_ms: u64,
}

/// Why a hub could not be made or started.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The system gave no epoll instance or no wake-up.
    #[error("no event queue for a shard: {0}")]
    Poll(io::Error),
    /// The system gave no thread.
    #[error("no thread for a shard: {0}")]
    Thread(io::Error),
    /// It was started before.
    #[error("the hub is running already")]
    Running,
}

/// The data plane.
pub struct Hub {
    pub(crate) settings: Arc<Settings>,
    router: Router,
    stats: Vec<Arc<ShardStats>>,
    loads: Vec<Arc<AtomicUsize>>,
    /// Until the threads are started.
    seeds: Mutex<Vec<Seed>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Hub {
    /// Makes the shards' inboxes; no thread runs yet.
    ///
    /// # Errors
    /// [`HubError::Poll`].
    pub fn new(config: HubConfig) -> Result<Self, HubError> {
        let mut inboxes = Vec::new();
        let mut seeds = Vec::new();
        for shard in 0..config.shards.clamp(1, SHARDS_MAX) {
            let poll = Poll::new().map_err(HubError::Poll)?;
            let waker = Waker::new(poll.registry(), WAKER).map_err(HubError::Poll)?;
            inboxes.push(Inbox::new(waker, config.inbox_bytes_max));
            seeds.push(Seed { shard, poll, stats: Arc::default(), load: Arc::default() });
        }
        let settings = Arc::new(Settings {
            limits: config.limits,
            announce: config.announce,
            clock: config.clock,
            inboxes: inboxes.into(),
            opened: AtomicU64::new(0),
            rules: Rules::new(&config.live),
            compression: Compression::new(config.compression),
            keeping: Keeping {
                channels_max: config.live.channels_max as usize,
                idle_ms: config.live.channel_idle_ms.into(),
                history_bytes_max: config.live.history_bytes_max as usize,
                members_max: config.live.members_max as usize,
                patterns_max: config.live.patterns_max as usize,
                portion: Portion {
                    size: config.live.recovery_size_max as usize,
                    bytes: config.limits.outbox_bytes_max as usize / RECOVERY_PART,
                },
            },
            on_calm: config.on_calm,
        });
        let bus = Bus::Local(Local::new(settings.inboxes.clone()));
        Ok(Self {
            router: Router { bus: Arc::new(bus) },
            settings,
            stats: seeds.iter().map(|seed| seed.stats.clone()).collect(),
            loads: seeds.iter().map(|seed| seed.load.clone()).collect(),
            seeds: Mutex::new(seeds),
            threads: Mutex::new(Vec::new()),
        })
    }

    /// The way for effects to the connections.
    #[must_use]
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// What answers clients that offer compression.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.settings.compression.clone()
    }

    /// Starts the shards' threads.
    ///
    /// # Errors
    /// [`HubError::Running`] on the second call, [`HubError::Thread`].
    #[expect(clippy::needless_pass_by_value, reason = "the hub keeps it for as long as it runs")]
    pub fn run(&self, upstream: Arc<dyn Upstream>) -> Result<(), HubError> {
        let seeds = std::mem::take(&mut *lock(&self.seeds));
        if seeds.is_empty() {
            return Err(HubError::Running);
        }
        for seed in seeds {
            let name = format!("shard-{}", seed.shard);
            let (settings, upstream) = (self.settings.clone(), upstream.clone());
            let thread = std::thread::Builder::new()
                .name(name)
                .spawn(move || Shard::new(seed, settings, upstream).run())
                .map_err(HubError::Thread)?;
            lock(&self.threads).push(thread);
        }
        Ok(())
    }

    /// Hands over a socket whose upgrade was answered, or is answered by `opening.answer`, with the
    /// bytes that were read beyond the request. It goes to the shard with the fewest connections and stays there. Once the shards
    /// have ended, it is closed with 1001 at once.
    pub fn adopt(&self, socket: Socket, already_read: Bytes, opening: Opening) {
        let shards = self.loads.iter().zip(&*self.settings.inboxes);
        if let Some((load, inbox)) = shards.min_by_key(|(load, _)| load.load(Relaxed)) {
            load.fetch_add(1, Relaxed);
            inbox.post(Post::Adopt(Box::new(Adoption { socket, already_read, opening })));
        }
    }

    /// First step of the shutdown: when this returns, no shard submits another command. Replies
    /// and events still go out. Connections adopted from here on are closed with 1001.
    pub fn stop_parsing(&self) {
        if lock(&self.threads).is_empty() {
            return;
        }
        let (done, all_done) = mpsc::channel();
        for inbox in &*self.settings.inboxes {
            inbox.post(Post::StopParsing(done.clone()));
        }
        drop(done);
        let deadline = Instant::now() + STOP_TIMEOUT;
        for _ in &*self.settings.inboxes {
            let left = deadline.saturating_duration_since(Instant::now());
            if all_done.recv_timeout(left).is_err() {
                tracing::warn!("a shard did not stop parsing in time");
                return;
            }
        }
    }

    /// Last step: everybody gets `bye` and 1001, paced, and time to read it; then the threads end,
    /// at `deadline` at the latest. Blocks. When to come back is spread evenly over
    /// `retry_after_ms`.
    pub fn drain(&self, retry_after_ms: RangeInclusive<u64>, deadline: Instant) {
        for inbox in &*self.settings.inboxes {
            inbox.post(Post::Drain { retry_after_ms: retry_after_ms.clone(), deadline });
        }
        for thread in lock(&self.threads).drain(..) {
            // A shard that panics aborts the process, so there is no other outcome.
            let _ = thread.join();
        }
    }

    /// The counters of each shard.
    #[must_use]
    pub fn shard_stats(&self) -> Vec<HubStats> {
        let shards = self.stats.iter().zip(&*self.settings.inboxes);
        shards
            .map(|(shard, inbox)| HubStats::sum(std::iter::once(shard.as_ref())).with([inbox]))
            .collect()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let compression = &self.settings.compression;
        HubStats {
            takeover_bytes: compression.takeover_bytes() as u64,
            takeover_refused: compression.takeover_refused(),
            ..HubStats::sum(self.stats.iter().map(Arc::as_ref)).with(&*self.settings.inboxes)
        }
    }
}

/// The way for effects to the connections. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    bus: Arc<Bus>,
}

impl Router {
    /// Hands over effects. They happen in the order given, and those of an earlier call before
    /// those of a later one by the same thread. Never blocks.
    pub fn post(&self, effects: Vec<Effect>) {
        self.bus.post(effects);
    }

    /// The upstream has room again: connections parked for it go on.
    pub fn resume(&self) {
        self.bus.resume();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
