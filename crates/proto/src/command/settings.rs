//! What users keep about their conversations, and who got and read a message.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{ConversationId, Timestamp};

/// `conversation_update {conversation, pinned?, muted_until?, hidden?, marked_unread?, draft?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ConversationUpdate {
    /// Which log.
    pub conversation: ConversationId,
    /// To be shown before others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Nothing is to make a noise until then; `null` ends it, and is 0 here.
    #[serde(default, deserialize_with = "or_zero", skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    /// Not to be shown until a message follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
    /// To be shown as unread, whatever was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marked_unread: Option<bool>,
    /// A message that is being written; `null` or an empty one takes it away, and is empty here.
    #[serde(default, deserialize_with = "or_empty", skip_serializing_if = "Option::is_none")]
    pub draft: Option<Box<str>>,
}

/// `receipts {conversation, seq}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Receipts {
    /// Which log.
    pub conversation: ConversationId,
    /// Which entry.
    pub seq: u64,
}

fn or_zero<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    Option::deserialize(d).map(|at: Option<Timestamp>| Some(at.unwrap_or_default()))
}

fn or_empty<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    Option::deserialize(d).map(|text: Option<Box<str>>| Some(text.unwrap_or_default()))
}
