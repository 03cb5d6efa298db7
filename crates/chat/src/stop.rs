//! Why a command was not carried out: the rules, or the store.

use hubbub_proto::{Reason, Refusal};

use crate::ports::StoreError;

/// What ends a command early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The rules say no; nothing was written.
    Refused(Refusal),
    /// The store failed; what was begun is to be given up.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason.into())
    }
}

/// What a command comes to.
pub(crate) type Outcome<T> = Result<T, Stop>;
