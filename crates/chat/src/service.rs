//! The threads: one writer, some readers, and one for presence around one bounded queue.
//!
//! Invariant: the writer posts the effects of a batch itself, after its commit and before it hands
//! the batch's reads on, so that no connection sees an answer older than its own writes. A panic in
//! the writer aborts the process (P10), which P1 makes safe; one in a reader costs its request.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hubbub_proto::route::Work;
use hubbub_proto::{Ack, Command, Effect, Identity, Reason, Request, Timestamp};

use crate::ChatConfig;
use crate::config::InvalidConfig;
use crate::devices::SignedOutView;
use crate::ports::{Clock, Names, Reader, Router, Store, StoreError};
use crate::presence::desk::Desk;
use crate::queue::{Bounds, Fetched, Queue, Tidied};
use crate::reading::{answer, reply};
use crate::stats::{Snapshot, Stats};
use crate::writer::{Executed, Scribe};

/// Most rows of one transaction, roughly; a command writes one, but for those that bring many users
/// into a group.
const BATCH_MAX: usize = 4_096;
/// A batch of at least this many requests is a sign of load: the next one then begins no earlier than
/// [`SPACING`] after it began, so that it gathers more. A commit costs as much as thirty messages,
/// and the pages that messages share are copied once for each commit, so many small ones would take
/// the core from the shards; alone or in small company, nobody waits.
const SPACED_FROM: usize = 16;
const SPACING: Duration = Duration::from_millis(2);
/// The writer does not wake up more often than this for deadlines alone.
const WAIT_MIN: Duration = Duration::from_millis(20);

/// How long the thread of presence lets sessions gather that come and go.
const CROWD: Duration = Duration::from_millis(5);
/// How long it leaves a store alone that cannot be read.
const UNREADABLE: Duration = Duration::from_secs(1);

/// Why the services did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A number that cannot work.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The store gave no handle.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(#[from] io::Error),
}

/// Whether messages can be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Health {
    /// All is well.
    Ok,
    /// The store failed for this reason; nothing is acked until a restart.
    Failed(Box<str>),
}

/// What the threads share.
struct Shared {
    queue: Queue,
    router: Arc<dyn Router>,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    config: ChatConfig,
    signed_out: SignedOutView,
    stats: Arc<Stats>,
    /// Gives back what the calling thread's allocator keeps without use.
    give_back: fn(),
    health: Mutex<Health>,
    /// When the writer began the batch that it works on; 0 while it waits for one.
    busy_since: AtomicU64,
    running: Mutex<usize>,
    ended: Condvar,
}

/// The chat services.
pub struct Chat {
    shared: Arc<Shared>,
}

impl Chat {
    /// Takes the store's writer and readers and starts the threads. Each of these calls `give_back`
    /// when it was asked to by [`Chat::tidy`]: to have its allocator return what is free.
    ///
    /// # Errors
    /// When the configuration cannot work, the store gives no handle, or a thread does not start.
    pub fn start(
        store: Arc<dyn Store>,
        router: Arc<dyn Router>,
        clock: Arc<dyn Clock>,
        names: Box<dyn Names>,
        config: ChatConfig,
        give_back: fn(),
    ) -> Result<Self, StartError> {
        config.check()?;
        let scribe = Scribe::new(store.writer()?, config.clone(), names)?;
        let presence_reader = store.reader()?;
        let readers: Vec<_> =
            (0..config.readers).map(|_| store.reader()).collect::<Result<_, _>>()?;
        let bounds = Bounds {
            requests: config.queue_commands_max as usize,
            bytes: config.queue_bytes_max as usize,
        };
        let shared = Arc::new(Shared {
            queue: Queue::new(bounds),
            router,
            clock,
            store,
            config,
            signed_out: scribe.signed_out(),
            stats: scribe.stats(),
            give_back,
            health: Mutex::new(Health::Ok),
            busy_since: AtomicU64::new(0),
            running: Mutex::new(0),
            ended: Condvar::new(),
        });
        let chat = Self { shared };
        // The writer first: it is the one that ends the readers.
        chat.spawn("chat-write".to_owned(), |shared| write(shared, scribe))?;
        chat.spawn("chat-presence".to_owned(), |shared| attend(shared, presence_reader))
            // The writer would wait for it at its end.
            .inspect_err(|_| chat.shared.queue.end_presence())?;
        for (index, reader) in readers.into_iter().enumerate() {
            chat.spawn(format!("chat-read-{index}"), |shared| read(shared, reader))?;
        }
        Ok(chat)
    }

    fn spawn(
        &self,
        name: String,
        run: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<(), StartError> {
        let shared = Arc::clone(&self.shared);
        *lock(&shared.running) += 1;
        let body = move || {
            // Both threads catch what may panic; whatever still gets here must not go unnoticed.
            if catch_unwind(AssertUnwindSafe(|| run(&shared))).is_err() {
                tracing::error!("a chat thread panicked; aborting");
                std::process::abort();
            }
            *lock(&shared.running) -= 1;
            shared.ended.notify_all();
        };
        match thread::Builder::new().name(name).spawn(body) {
            Ok(_) => Ok(()),
            Err(error) => {
                *lock(&self.shared.running) -= 1;
                Err(error.into())
            }
        }
    }

    /// Takes requests from the front while the queue has room; the rest stays, and
    /// [`Router::resume`] tells when there is room again. Once drained, every command is refused.
    pub fn submit(&self, batch: &mut VecDeque<Request>) {
        if self.shared.queue.submit(batch) {
            return;
        }
        let refuse = |request| reply(&request, Err(Reason::ShuttingDown.into()));
        let effects: Vec<Effect> = batch.drain(..).flat_map(refuse).collect();
        if !effects.is_empty() {
            self.shared.router.post(effects);
        }
    }

    /// Takes nothing in any more, finishes and posts what waits, writes the soft cursors, and waits
    /// for the threads to end. False if the deadline came first; the threads then go on.
    pub fn drain(&self, deadline: Instant) -> bool {
        self.shared.queue.close();
        let mut running = lock(&self.shared.running);
        while *running > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.ended.wait_timeout(running, left);
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Has each thread give back what a crowd or a burst took, when it has done what waits for it.
    pub fn tidy(&self) {
        self.shared.queue.ask_to_tidy();
    }

    /// Whether messages can be written.
    #[must_use]
    pub fn health(&self) -> Health {
        lock(&self.shared.health).clone()
    }

    /// How long the writer has been working on one batch; zero while it waits for one.
    #[must_use]
    pub fn busy_for(&self) -> Duration {
        match self.shared.busy_since.load(Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(self.shared.clock.now().since(Timestamp(since))),
        }
    }

    /// Whether the device was signed out after its token was made, so that nothing is done for it.
    #[must_use]
    pub fn is_signed_out(&self, identity: &Identity) -> bool {
        self.shared.signed_out.refuses(identity, self.shared.clock.now())
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Snapshot {
        let (queued, queued_bytes) = self.shared.queue.waiting();
        Snapshot {
            queued,
            queued_bytes,
            command_waits_us: self.shared.queue.command_waits.read(),
            read_waits_us: self.shared.queue.read_waits.read(),
            store: self.shared.store.times(),
            ..self.shared.stats.snapshot()
        }
    }
}

impl Drop for Chat {
    /// Without [`Chat::drain`] the threads finish what waits on their own.
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writer's thread.
fn write(shared: &Shared, mut scribe: Scribe) {
    let mut tidied = Tidied::default();
    loop {
        let wait = scribe.next_deadline().map(|deadline| {
            Duration::from_millis(deadline.since(shared.clock.now())).max(WAIT_MIN)
        });
        let mut taken = shared.queue.take(BATCH_MAX, wait, &mut tidied);
        if taken.ended {
            break;
        }
        // Before the commit, so that the next batch gathers while this one is on its way to disk.
        if taken.resume {
            shared.router.resume();
        }
        if taken.crowded {
            shed(shared, &mut taken.batch);
        }
        let (began, size) = (Instant::now(), taken.batch.len());
        let now = shared.clock.now();
        scribe.saw(taken.left, now);
        shared.busy_since.store(now.0, Relaxed);
        let Executed { effects, reads, presence } = scribe.execute(taken.batch, now);
        if !effects.is_empty() {
            shared.router.post(effects);
        }
        shared.busy_since.store(0, Relaxed);
        shared.queue.hand_on(reads, presence);
        note_failure(shared, &scribe);
        if taken.tidy {
            scribe.tidy(now);
            (shared.give_back)();
        }
        let took = began.elapsed();
        shared.stats.busy(took);
        if size >= SPACED_FROM {
            thread::sleep(SPACING.saturating_sub(took));
        }
    }
    shared.queue.close_reads();
    // Everybody leaves.
    while let Some(left) = shared.queue.take_left() {
        scribe.saw(left, shared.clock.now());
        post(shared, scribe.tick(shared.clock.now()));
    }
    post(shared, scribe.finish(shared.clock.now()));
    note_failure(shared, &scribe);
}

fn post(shared: &Shared, effects: Vec<Effect>) {
    if !effects.is_empty() {
        shared.router.post(effects);
    }
}

/// The thread of presence.
fn attend(shared: &Shared, mut reader: Box<dyn Reader>) {
    let mut desk = Desk::new(&shared.config);
    let mut tidied = Tidied::default();
    loop {
        let now = shared.clock.now();
        let wait = desk.next_due(now).map(|due| Duration::from_millis(due.since(now)));
        let handed = shared.queue.take_presence(wait, &mut tidied);
        if handed.ended {
            break;
        }
        if handed.resume {
            shared.router.resume();
        }
        let now = shared.clock.now();
        let is_calm = handed.batch.is_empty();
        let mut effects: Vec<Effect> =
            handed.batch.into_iter().flat_map(|request| desk.take(request, now)).collect();
        match desk.work(&mut *reader, now) {
            Ok(told) => effects.extend(told),
            Err(error) => {
                tracing::error!(%error, "presence cannot be read");
                effects.extend(desk.refuse(Reason::StoreFailed));
                thread::sleep(UNREADABLE);
            }
        }
        count_refusals(shared, &effects);
        shared.stats.presence_events(std::mem::take(&mut desk.told));
        post(shared, effects);
        shared.queue.hand_back(desk.take_left());
        if handed.tidy {
            desk.tidy();
            (shared.give_back)();
        }
        if !is_calm && desk.next_due(now).is_none_or(|due| due > now) {
            // Sessions come in crowds: the next ones are taken together.
            thread::sleep(CROWD);
        }
    }
    post(shared, desk.refuse(Reason::ShuttingDown));
    shared.queue.hand_back(desk.finish(shared.clock.now()));
    shared.queue.end_presence();
}

fn note_failure(shared: &Shared, scribe: &Scribe) {
    if let Some(reason) = scribe.failure() {
        let mut health = lock(&shared.health);
        if *health == Health::Ok {
            *health = Health::Failed(reason.into());
        }
    }
}

/// Drops `typing` from a batch: it is the first to go under load. It is answered all the same.
fn shed(shared: &Shared, batch: &mut Vec<Request>) {
    let mut replies = Vec::new();
    batch.retain(|request| {
        let typing = matches!(&request.work, Work::Command { command: Command::Typing(_), .. });
        if typing {
            replies.extend(reply(request, Ok(Ack::Done)));
        }
        !typing
    });
    if !replies.is_empty() {
        shared.stats.typing_dropped(replies.len());
        shared.router.post(replies);
    }
}

/// A reader's thread.
fn read(shared: &Shared, mut reader: Box<dyn Reader>) {
    let mut tidied = Tidied::default();
    while let Some(Fetched { request, resume }) = shared.queue.take_read(&mut tidied) {
        let Some(request) = request else {
            (shared.give_back)();
            continue;
        };
        let (began, now) = (Instant::now(), shared.clock.now());
        let run = || answer(&mut *reader, &shared.config, shared.store.epoch(), &request, now);
        let effects = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(effects) => effects,
            Err(_) => {
                shared.stats.panic();
                // The handle may be in the middle of a snapshot, so it is not used again.
                match shared.store.reader() {
                    Ok(fresh) => reader = fresh,
                    Err(error) => tracing::error!(%error, "no new reader after a panic"),
                }
                reply(&request, Err(Reason::Internal.into()))
            }
        };
        shared.stats.read(began.elapsed());
        count_refusals(shared, &effects);
        if !effects.is_empty() {
            shared.router.post(effects);
        }
        if resume {
            shared.router.resume();
        }
    }
}

fn count_refusals(shared: &Shared, effects: &[Effect]) {
    for effect in effects {
        if let Effect::Reply { outcome: Err(refusal), .. } = effect {
            shared.stats.refusal(refusal.reason);
        }
    }
}
