//! A copy of the store as of one commit, made while a server may be writing to it.
//!
//! Invariant: the copy is whole or not there under its name. Nobody waits for it; only the
//! write-ahead log is not begun anew until it is done. Deliberately absent: putting a copy back, for
//! which the files are moved and a new epoch is begun (`SqliteStore::begin_epoch`).

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use hubbub_chat::ports::{Result, StoreError};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::errors::{failed, refused};
use super::lock::{DATABASE_FILE, OWNER_ONLY_DIR, open_file, sync_dir};
use super::schema;

/// The pages of a copy go by once.
const CACHE_BYTES: u32 = 1 << 20;

/// Copies the store in the directory `from` to the new directory `to` (0700), with `beside`: files
/// that belong to it, by their own names. Another process may have the store open.
///
/// # Errors
/// [`StoreError::Io`] where `to` exists already; [`StoreError::ReadOnly`], [`StoreError::Full`],
/// [`StoreError::Io`] and [`StoreError::Corrupt`] as for [`super::SqliteStore::open`]. What was begun
/// is removed.
pub fn back_up(from: &Path, to: &Path, beside: &[PathBuf]) -> Result<()> {
    if to.exists() {
        return Err(refused(to, &io::ErrorKind::AlreadyExists.into()));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let made = DirBuilder::new().mode(OWNER_ONLY_DIR).create(&partial);
    made.map_err(|error| refused(&partial, &error))?;
    let finished = fill(from, &partial, beside).and_then(|()| {
        fs::rename(&partial, to).map_err(|error| refused(to, &error))?;
        sync_dir(match to.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        })
    });
    if finished.is_err() {
        // It tells of the first failure, which is why this could not be done either.
        let _ = fs::remove_dir_all(&partial);
    }
    finished
}

fn fill(from: &Path, to: &Path, beside: &[PathBuf]) -> Result<()> {
    let database = to.join(DATABASE_FILE);
    copy_database(&from.join(DATABASE_FILE), &database)?;
    open_file(&database)?.sync_all().map_err(|error| refused(&database, &error))?;
    for file in beside {
        let Some(name) = file.file_name() else { continue };
        let copy = to.join(name);
        let copied = fs::copy(file, &copy).and_then(|_| fs::File::open(&copy)?.sync_all());
        copied.map_err(|error| refused(file, &error))?;
    }
    sync_dir(to)
}

fn copy_database(from: &Path, to: &Path) -> Result<()> {
    // SQLite makes files that anybody may read; this one has to be there before.
    drop(open_file(to)?);
    let source = schema::open_reading(from, CACHE_BYTES)?;
    let mut copy = Connection::open(to).map_err(failed)?;
    let backup = Backup::new(&source, &mut copy).map_err(failed)?;
    // All pages in one step are of one commit.
    match backup.step(-1).map_err(failed)? {
        StepResult::Done => Ok(()),
        _ => Err(StoreError::InUse(from.display().to_string())),
    }
}
