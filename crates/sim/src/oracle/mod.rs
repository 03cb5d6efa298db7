//! Who watches: compares what the node says and the devices hear with the journal of commits.
//!
//! - `ledger`: commands and their replies (P1, P2, and the order of P3).
//! - `entry`: one entry as it is shown, or not (P1, P7, and what became of it).
//! - `glass`: what the node shows to a user (P4 to P7).
//! - `views`: what the applications on the devices have heard (P3, P4).
//!
//! Invariant: nothing here changes what happens; a run with and without an oracle is the same.

mod entry;
mod glass;
mod ledger;
mod views;

use std::collections::BTreeMap;

use hubbub_proto::{ConnId, ConversationId, UserId};

pub(crate) use ledger::Sent;

/// Everything it knows besides the journal.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    ledger: ledger::Ledger,
    views: views::Views,
    /// The newest cursors that each connection was told of.
    receipts: BTreeMap<(u32, ConversationId, UserId), (u64, u64)>,
}

/// A connection, for maps.
const fn key(conn: ConnId) -> u32 {
    conn.slot
}
