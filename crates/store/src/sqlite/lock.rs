//! The data directory, and the lock that keeps a second server out of it.
//!
//! Invariant: the database is not touched before the lock is held, and the lock is held until the
//! last connection is closed. The lock is the kernel's (`flock`), so that it ends with the process
//! however that ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hubbub_chat::ports::{Result, StoreError};

use super::errors::refused;

const LOCK_FILE: &str = "lock";
pub(super) const DATABASE_FILE: &str = "hubbub.db";
pub(super) const OWNER_ONLY_DIR: u32 = 0o700;
const OWNER_ONLY_FILE: u32 = 0o600;

/// A data directory that this process holds.
#[derive(Debug)]
pub(super) struct DataDir {
    database: PathBuf,
    /// Only to sync it. It stays open as long as the directory is held, because closing any file
    /// takes the locks of SQLite's connections to it away (fcntl(2), advisory record locking).
    database_file: File,
    _lock: File,
}

impl DataDir {
    /// Makes the directory (0700) and the database file (0600) where they are missing, and locks.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another process, or another store of this one, holds it;
    /// [`StoreError::ReadOnly`], [`StoreError::Full`] or [`StoreError::Io`] from the file system.
    pub(super) fn hold(dir: &Path) -> Result<Self> {
        create_dir(dir)?;
        let lock = open_file(&dir.join(LOCK_FILE))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse(dir.display().to_string()));
            }
            Err(TryLockError::Error(error)) => return Err(refused(dir, &error)),
        }
        let database = dir.join(DATABASE_FILE);
        let database_file = open_file(&database)?;
        sync_dir(dir)?;
        Ok(Self { database, database_file, _lock: lock })
    }

    /// The database file.
    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    /// Syncs what was written to the database file.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`].
    pub(super) fn sync_database(&self) -> Result<()> {
        self.database_file.sync_data().map_err(|error| refused(&self.database, &error))
    }

    /// Bytes in the database file.
    pub(super) fn database_bytes(&self) -> u64 {
        fs::metadata(&self.database).map_or(0, |metadata| metadata.len())
    }

    /// Bytes in the write-ahead log; more than 0 before opening means that nobody closed it.
    pub(super) fn wal_bytes(&self) -> u64 {
        let mut wal = self.database.clone().into_os_string();
        wal.push("-wal");
        fs::metadata(wal).map_or(0, |metadata| metadata.len())
    }
}

fn create_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(OWNER_ONLY_DIR);
    builder.create(dir).map_err(|error| refused(dir, &error))?;
    // Without this a power cut could take the new directory away with everything in it.
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}

pub(super) fn sync_dir(dir: &Path) -> Result<()> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| refused(dir, &error))
}

pub(super) fn open_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY_FILE);
    options.open(path).map_err(|error| refused(path, &error))
}
