//! What users keep about their conversations, and who got and read a message.

use serde::Serialize;

use crate::{ClientId, ConversationId, Timestamp, UserId};

/// What a user keeps about a conversation, the same on all their devices.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Settings {
    /// Shown before others.
    pub pinned: bool,
    /// Nothing is to make a noise until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    /// Not shown.
    pub hidden: bool,
    /// Shown as unread, whatever was read.
    pub marked_unread: bool,
    /// A message that is being written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<Box<str>>,
}

/// `conversation_updated`: another device of the user has changed what they keep about it.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationUpdated {
    /// Which log.
    pub conversation: ConversationId,
    /// All of it, as it is now.
    #[serde(flatten)]
    pub settings: Settings,
    /// In the order of all changes.
    pub rev: u64,
}

/// How far somebody is with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// Some device of theirs has it.
    Received,
    /// They have read it.
    Read,
}

/// `message_receipt`: somebody got or read a message whose sender asked to be told.
#[derive(Clone, Debug, Serialize)]
pub struct MessageReceipt {
    /// Which log.
    pub conversation: ConversationId,
    /// Which message.
    pub seq: u64,
    /// The sender's own name for it.
    pub client_id: ClientId,
    /// Who.
    pub user: UserId,
    /// How far.
    pub status: ReceiptStatus,
    /// When the server learnt of it.
    pub at: Timestamp,
}

/// `receipts`: who got and read an entry.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptPage {
    /// How many have it on some device.
    pub received: u64,
    /// How many have read it.
    pub read: u64,
    /// How far each of them is; absent where they are many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<MemberCursors>>,
    /// How many it could be: members, but its sender, who have been there since.
    pub total: u64,
}

/// How far a member is.
#[derive(Clone, Debug, Serialize)]
pub struct MemberCursors {
    /// Who.
    pub user: UserId,
    /// Some device of theirs has everything up to here.
    pub received_seq: u64,
    /// They have read up to here.
    pub read_seq: u64,
}
