//! The one place that reads the time.

use std::time::{SystemTime, UNIX_EPOCH};

use hubbub_proto::Timestamp;

/// Now; the epoch itself on a machine whose clock stands before it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The clock of the chat services.
pub(crate) struct SystemClock;

impl hubbub_chat::ports::Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }
}
