//! How many descriptors the process may open.
//!
//! `unsafe` is sound here: both calls get a pointer to a live, initialized `rlimit` of this stack
//! frame, keep nothing of it, and touch no other memory. The test below calls both.
#![expect(unsafe_code, reason = "getrlimit and setrlimit have no safe form in libc")]

use std::io;

/// Descriptors kept for everything that is no connection: the store, the log, the shards' own, and
/// the connections that are told that the server is full.
pub const DESCRIPTORS_KEPT: usize = 256;

/// Raises the soft limit to the hard one and returns what holds then.
///
/// # Errors
/// When the limit cannot be read; that it cannot be raised is no error.
pub fn raise_limit() -> io::Result<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writes for the length of the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: `raised` is valid for reads for the length of the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
        limit = raised;
    }
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// The most connections under a limit of `descriptors`: the configured number, and never more than
/// leaves [`DESCRIPTORS_KEPT`] for the rest. 0 means as many as there can be.
#[must_use]
pub fn connections_max(configured: usize, descriptors: usize) -> usize {
    let possible = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(1);
    if configured == 0 { possible } else { configured.min(possible) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let first = raise_limit().unwrap();
        assert!(first > 0);
        assert_eq!(raise_limit().unwrap(), first);
    }

    #[test]
    fn numbers() {
        for (configured, descriptors, expected) in [
            (0, 20_000, 19_744),
            (100, 20_000, 100),
            (50_000, 20_000, 19_744),
            (0, 100, 1),
            (0, usize::MAX, usize::MAX - 256),
        ] {
            assert_eq!(connections_max(configured, descriptors), expected);
        }
    }
}
