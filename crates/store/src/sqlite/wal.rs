//! When the write-ahead log is copied back into the database.
//!
//! A commit is durable once it is in the log; copying it back (a checkpoint) costs syncs of its own,
//! so it is made before a transaction begins, when the acks of the last one are on their way, and
//! not inside a commit. Invariant: the log grows beyond [`PATIENCE`] times the usual size only as
//! long as one reader stays in one snapshot: from there on the writer waits a moment for readers to
//! leave, and those who come later read the database alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hubbub_chat::ports::{Result, StoreError};
use rusqlite::Connection;

use super::errors::failed;
use super::schema::int;

/// After so many times the usual size the writer waits for readers to leave the log.
const PATIENCE: u32 = 4;

/// Knows how long the log is, and when to do something about it.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// Pages in the log after the last commit, written by SQLite's hook.
    pages: Arc<AtomicU32>,
    usual_pages: u32,
    seen_pages: u32,
    next_pages: u32,
}

impl Checkpointer {
    /// Watches the commits of `connection`; `usual_bytes` is how long the log gets before it is
    /// copied back.
    pub(super) fn watch(connection: &mut Connection, usual_bytes: u32) -> Result<Self> {
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
        Ok(Self { pages, usual_pages, seen_pages: 0, next_pages: usual_pages })
    }

    /// Copies the log back if it is long enough. Nobody writes meanwhile.
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
        self.next_pages = pages.saturating_add(self.usual_pages);
        let wait = pages >= self.usual_pages.saturating_mul(PATIENCE);
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
