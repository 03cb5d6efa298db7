//! Ways to break a promise on purpose, so that the tests show that the oracle notices.
//!
//! Deliberately absent: any way to reach these from a running server. They live in this crate only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One broken promise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sabotage {
    /// The node acks what it has not committed, and then crashes.
    AckBeforeCommit,
    /// The store forgets which client ids were used.
    ForgetClientIds,
    /// The client tries again under another client id.
    RenameRetries,
    /// The node takes two commands of a connection in the wrong order.
    SwapCommands,
    /// The store writes a head that is one too high, as a restart reveals.
    SkipSeq,
    /// The router sends a message back to the connection that sent it.
    EchoToSender,
    /// The router loses events of a topic and tells nobody.
    LosePublications,
    /// The router does not subscribe a new member's connections.
    IgnoreJoin,
    /// The client confirms an entry that it did not handle.
    ConfirmUnseen,
    /// The store loses cursors of those who read.
    LoseRead,
    /// The store counts one's own messages as unread.
    CountOwnMessages,
    /// The router goes on sending to those who left.
    IgnoreLeave,
    /// The store shows all of a conversation to whoever was ever in it.
    ForgetStays,
    /// The store still has the content of what was taken back.
    ForgetRemovals,
    /// The store counts what was taken back as unread.
    CountRemovedMessages,
    /// The store does not find the edits of a message.
    LoseEdits,
    /// The store keeps no reactions.
    LoseReactions,
    /// The router gives what was done to a message to those who may not see the message.
    IgnoreVeils,
    /// The store forgets who may only read.
    ForgetMutes,
    /// The store forgets who is kept out.
    ForgetBans,
    /// The store forgets who blocks whom.
    ForgetBlocks,
    /// The store forgets what users hide from themselves.
    ForgetHidden,
    /// The store forgets what users clear away.
    ForgetCleared,
    /// The router does not tell devices what another one has hidden.
    LoseHidden,
    /// The store goes on showing what has expired.
    ShowExpired,
    /// The store does not wipe what has expired.
    KeepExpired,
    /// The store keeps no pins.
    LosePins,
    /// The store forgets whom users let near.
    ForgetPrivacy,
    /// The store counts no mentions.
    LoseMentions,
    /// The store forgets whom a message mentions and where it came from.
    LoseHeads,
    /// The store takes everybody for an owner.
    ForgetRoles,
    /// The application on a device does not take in what was done to messages.
    IgnoreUpdates,
}

impl Sabotage {
    /// Every one.
    pub const ALL: [Self; 32] = [
        Self::AckBeforeCommit,
        Self::ForgetClientIds,
        Self::RenameRetries,
        Self::SwapCommands,
        Self::SkipSeq,
        Self::EchoToSender,
        Self::LosePublications,
        Self::IgnoreJoin,
        Self::ConfirmUnseen,
        Self::LoseRead,
        Self::CountOwnMessages,
        Self::IgnoreLeave,
        Self::ForgetStays,
        Self::ForgetRemovals,
        Self::CountRemovedMessages,
        Self::LoseEdits,
        Self::LoseReactions,
        Self::IgnoreVeils,
        Self::ForgetMutes,
        Self::ForgetBans,
        Self::ForgetBlocks,
        Self::ForgetHidden,
        Self::ForgetCleared,
        Self::LoseHidden,
        Self::ShowExpired,
        Self::KeepExpired,
        Self::LosePins,
        Self::ForgetPrivacy,
        Self::LoseMentions,
        Self::LoseHeads,
        Self::ForgetRoles,
        Self::IgnoreUpdates,
    ];
}

/// Set while the node executes a batch whose commit is to be lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct PowerLoss(Arc<AtomicBool>);

impl PowerLoss {
    pub(crate) fn set(&self, lost: bool) {
        self.0.store(lost, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
