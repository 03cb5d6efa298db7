//! What SQLite and the file system say, in the words of the port.
//!
//! Invariant: only a broken constraint becomes [`StoreError::Row`]; whatever leaves doubt about the
//! disk becomes [`StoreError::Io`], after which the rules ack nothing.

use std::io;
use std::path::Path;

use hubbub_chat::ports::StoreError;
use rusqlite::{Error, ErrorCode, types};

/// Translates an answer of SQLite.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` passes")]
pub(super) fn failed(error: Error) -> StoreError {
    let text = error.to_string();
    match error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => StoreError::Full,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
                StoreError::ReadOnly(text)
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(text),
            ErrorCode::ConstraintViolation => StoreError::Row(text),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::InUse(text),
            _ => StoreError::Io(text),
        },
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::QueryReturnedNoRows => StoreError::Corrupt(text),
        _ => StoreError::Io(text),
    }
}

/// A value that a row cannot hold; becomes [`StoreError::Corrupt`] on its way out.
pub(super) fn damaged(column: usize, why: impl Into<String>) -> Error {
    Error::FromSqlConversionFailure(column, types::Type::Null, why.into().into())
}

/// Translates a failure of the file system at `path`.
pub(super) fn refused(path: &Path, error: &io::Error) -> StoreError {
    let text = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly(text)
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Io(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn check(code: i32, expect: &str) {
        let error = failed(Error::SqliteFailure(ffi::Error::new(code), None));
        let name = format!("{error:?}");
        assert!(name.starts_with(expect), "{code} became {name}, not {expect}");
    }

    #[test]
    fn every_code_has_its_name() {
        check(ffi::SQLITE_IOERR, "Io");
        check(ffi::SQLITE_IOERR_FSYNC, "Io");
        check(ffi::SQLITE_IOERR_WRITE, "Io");
        check(ffi::SQLITE_NOMEM, "Io");
        check(ffi::SQLITE_FULL, "Full");
        check(ffi::SQLITE_READONLY, "ReadOnly");
        check(ffi::SQLITE_READONLY_DIRECTORY, "ReadOnly");
        check(ffi::SQLITE_CANTOPEN, "ReadOnly");
        check(ffi::SQLITE_CORRUPT, "Corrupt");
        check(ffi::SQLITE_CORRUPT_INDEX, "Corrupt");
        check(ffi::SQLITE_NOTADB, "Corrupt");
        check(ffi::SQLITE_CONSTRAINT, "Row");
        check(ffi::SQLITE_CONSTRAINT_UNIQUE, "Row");
        check(ffi::SQLITE_BUSY, "InUse");
        check(ffi::SQLITE_BUSY_SNAPSHOT, "InUse");
        check(ffi::SQLITE_LOCKED, "InUse");
    }

    #[test]
    fn a_failure_of_the_file_system_names_the_path() {
        let error = refused(Path::new("/data/x"), &io::ErrorKind::PermissionDenied.into());
        assert!(matches!(&error, StoreError::ReadOnly(text) if text.starts_with("/data/x: ")));
        let error = refused(Path::new("/data/x"), &io::ErrorKind::StorageFull.into());
        assert!(matches!(error, StoreError::Full));
        let error = refused(Path::new("/data/x"), &io::ErrorKind::NotADirectory.into());
        assert!(matches!(error, StoreError::Io(_)));
    }
}
