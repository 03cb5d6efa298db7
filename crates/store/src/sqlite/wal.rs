//! When the write-ahead log is copied back into the database.
//!
//! A commit is durable once it is in the log. Copying the log back (a checkpoint) costs reading,
//! writing and syncing of its own, so a thread beside the writer does nearly all of it: it copies
//! what the log holds and syncs the database, while the writer goes on. What was committed meanwhile
//! is little; the writer copies that itself before it begins a transaction, and because the log is
//! then copied to its end, it begins the log anew. Invariant: the log grows beyond [`PATIENCE`]
//! times the usual size only as long as one reader stays in one snapshot: from there on the writer
//! waits a moment for readers to leave, and those who come later read the database alone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use hubbub_chat::ports::{Result, StoreError, StoreTimes};
use hubbub_measure::{Histogram, micros};
use rusqlite::Connection;

use super::errors::failed;
use super::lock::DataDir;
use super::schema::{self, int};

/// After so many times the usual size the writer waits for readers to leave the log.
const PATIENCE: u32 = 4;
/// The copying thread keeps no pages: it reads each page of the log once.
const COPIER_CACHE_BYTES: u32 = 64 << 10;

/// How long commits and checkpoints took, in microseconds. Each is moved by one thread.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pub(super) commits: Histogram,
    checkpoints: Histogram,
    checkpoint_ends: Histogram,
}

impl Timers {
    pub(super) fn read(&self) -> StoreTimes {
        StoreTimes {
            commits: self.commits.read(),
            checkpoints: self.checkpoints.read(),
            checkpoint_ends: self.checkpoint_ends.read(),
        }
    }
}

/// Knows how long the log is, and when to do something about it.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// Pages in the log after the last commit, written by SQLite's hook.
    pages: Arc<AtomicU32>,
    usual_pages: u32,
    seen_pages: u32,
    next_pages: u32,
    copier: Copier,
    timers: Arc<Timers>,
}

impl Checkpointer {
    /// Watches the commits of `connection`; `usual_bytes` is how long the log gets before it is
    /// copied back.
    pub(super) fn watch(
        connection: &mut Connection,
        usual_bytes: u32,
        dir: &Arc<DataDir>,
        timers: &Arc<Timers>,
    ) -> Result<Self> {
        let page_bytes: u32 =
            connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(failed)?;
        let usual_pages = (usual_bytes / page_bytes.max(1)).max(1);
        let pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&pages);
        connection
            .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
                seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
                Ok(())
            }))
            .map_err(failed)?;
        // A log kept at its largest is overwritten in place, which is cheaper than growing it again.
        let kept = u64::from(usual_bytes) * u64::from(PATIENCE);
        connection.pragma_update(None, "journal_size_limit", int(kept)).map_err(failed)?;
        let copier = Copier::start(dir, timers)?;
        let timers = Arc::clone(timers);
        Ok(Self { pages, usual_pages, seen_pages: 0, next_pages: usual_pages, copier, timers })
    }

    /// Has the log copied back if it is long enough. To be called while no transaction is open.
    ///
    /// # Errors
    /// When the disk fails. A full disk is no error: the log still holds everything, and the next
    /// commit tells.
    pub(super) fn relieve(&mut self, connection: &Connection) -> Result<()> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.seen_pages {
            // The log was begun anew.
            self.next_pages = self.usual_pages;
        }
        self.seen_pages = pages;
        if pages < self.next_pages {
            return Ok(());
        }
        let wait = pages >= self.usual_pages.saturating_mul(PATIENCE);
        match self.copier.poll() {
            Progress::Idle => {
                self.copier.order();
                return Ok(());
            }
            Progress::Copying if !wait => return Ok(()),
            Progress::Copying => self.copier.wait(),
            Progress::Copied => {}
        }
        self.copier.collect()?;
        self.next_pages = pages.saturating_add(self.usual_pages);
        let began = Instant::now();
        let ended = self.end(connection, pages, wait);
        self.timers.checkpoint_ends.note(micros(began.elapsed()));
        ended
    }

    /// Copies what was committed while the other thread copied.
    fn end(&self, connection: &Connection, pages: u32, wait: bool) -> Result<()> {
        match checkpoint(connection, if wait { Mode::Restart } else { Mode::Passive }) {
            Ok(true) => Ok(()),
            Ok(false) | Err(StoreError::InUse(_)) => {
                if wait {
                    tracing::warn!(pages, "a reader keeps the write-ahead log from being reused");
                }
                Ok(())
            }
            Err(StoreError::Full) => {
                tracing::warn!(pages, "the disk is too full to shorten the write-ahead log");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// How far the copying thread is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    Idle,
    Copying,
    Copied,
}

#[derive(Debug)]
struct Job {
    progress: Progress,
    failure: Option<StoreError>,
    stopped: bool,
}

#[derive(Debug)]
struct Desk {
    job: Mutex<Job>,
    moved: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Job> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&Job) -> bool) -> MutexGuard<'_, Job> {
        let waited = self.moved.wait_while(self.lock(), |job| condition(job));
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that copies beside the writer. Dropping it waits for its end.
#[derive(Debug)]
struct Copier {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    fn start(dir: &Arc<DataDir>, timers: &Arc<Timers>) -> Result<Self> {
        let connection = schema::open_writing(dir.database(), COPIER_CACHE_BYTES)?;
        let job = Job { progress: Progress::Idle, failure: None, stopped: false };
        let desk = Arc::new(Desk { job: Mutex::new(job), moved: Condvar::new() });
        let (dir, timers, shared) = (Arc::clone(dir), Arc::clone(timers), Arc::clone(&desk));
        let run = move || {
            loop {
                let job =
                    shared.wait_while(|job| !job.stopped && job.progress != Progress::Copying);
                if job.stopped {
                    // The connection goes before the directory's lock.
                    drop(connection);
                    drop(dir);
                    return;
                }
                drop(job);
                let began = Instant::now();
                let copied = copy(&connection, &dir);
                timers.checkpoints.note(micros(began.elapsed()));
                let mut job = shared.lock();
                job.failure = copied.err();
                job.progress = Progress::Copied;
                drop(job);
                shared.moved.notify_all();
            }
        };
        let spawned = thread::Builder::new().name("checkpoint".to_owned()).spawn(run);
        let thread = spawned.map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self { desk, thread: Some(thread) })
    }

    fn poll(&self) -> Progress {
        self.desk.lock().progress
    }

    fn order(&self) {
        self.desk.lock().progress = Progress::Copying;
        self.desk.moved.notify_all();
    }

    fn wait(&self) {
        drop(self.desk.wait_while(|job| job.progress == Progress::Copying));
    }

    /// Takes note that it is done.
    fn collect(&self) -> Result<()> {
        let mut job = self.desk.lock();
        job.progress = Progress::Idle;
        match job.failure.take() {
            // The writer's own part meets these again, and knows what to do.
            None | Some(StoreError::Full | StoreError::InUse(_)) => Ok(()),
            Some(error) => Err(error),
        }
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.desk.lock().stopped = true;
        self.desk.moved.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

/// Copies what the log holds now. SQLite syncs the database only when it has copied the log to its
/// end, which it seldom reaches while the writer goes on, so that is done here.
fn copy(connection: &Connection, dir: &DataDir) -> Result<()> {
    checkpoint(connection, Mode::Passive)?;
    dir.sync_database()
}

/// How thorough a checkpoint is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    /// As far as readers allow.
    Passive,
    /// Waits for readers, so that the next commit begins the log anew.
    Restart,
    /// Also cuts the file to nothing.
    Truncate,
}

/// Copies the log back; false where readers or the writer were in the way for part of it.
pub(super) fn checkpoint(connection: &Connection, mode: Mode) -> Result<bool> {
    let sql = match mode {
        Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Mode::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Mode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let answer = connection.prepare_cached(sql).map_err(failed)?.query_row([], |row| {
        let blocked: bool = row.get(0)?;
        let (in_log, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(!blocked && in_log == copied)
    });
    answer.map_err(failed)
}
