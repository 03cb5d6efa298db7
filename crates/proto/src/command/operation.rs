//! What is done to messages that stand in a log. Each of these that changes something writes an
//! entry of its own, whose `target_seq` names the message.

use serde::{Deserialize, Deserializer, Serialize};

use super::message::{Content, content};
use super::or_default;
use crate::id::{InvalidName, Text};
use crate::{ClientId, ConversationId, UserId};

/// `edit {conversation, seq, content, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Edit {
    /// Which log.
    pub conversation: ConversationId,
    /// The message.
    pub seq: u64,
    /// What it says from now on; of the kind that the message has.
    #[serde(deserialize_with = "content")]
    pub content: Content,
    /// The sender's own name for this command (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `recall {conversation, seq, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MessageTarget {
    /// Which log.
    pub conversation: ConversationId,
    /// The message.
    pub seq: u64,
    /// The sender's own name for this command (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `edits {conversation, seq}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MessageRef {
    /// Which log.
    pub conversation: ConversationId,
    /// The message.
    pub seq: u64,
}

/// `delete {conversation, seq, for?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Delete {
    /// Which log.
    pub conversation: ConversationId,
    /// The message.
    pub seq: u64,
    /// For whom it is gone; the caller by default.
    #[serde(default, rename = "for", deserialize_with = "or_default")]
    pub whose: DeletedFor,
    /// The sender's own name for this command (P2); means something only for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// For whom a message is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletedFor {
    /// The caller, on all their devices.
    #[default]
    Me,
    /// Everybody.
    All,
}

/// `pin {conversation, seq, active?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Pin {
    /// Which log.
    pub conversation: ConversationId,
    /// The message.
    pub seq: u64,
    /// Begins, or ends; begins by default.
    #[serde(default = "yes", deserialize_with = "yes_or")]
    pub active: bool,
    /// The sender's own name for this command (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `pins {conversation}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ConversationRef {
    /// Which log.
    pub conversation: ConversationId,
}

/// `react {conversation, seq, emoji, active?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct React {
    /// Which log.
    pub conversation: ConversationId,
    /// The message.
    pub seq: u64,
    /// What with.
    pub emoji: Emoji,
    /// Comes, or goes; comes by default.
    #[serde(default = "yes", deserialize_with = "yes_or")]
    pub active: bool,
    /// The sender's own name for this command (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

const fn yes() -> bool {
    true
}

/// Takes `null` for a field that is not there.
fn yes_or<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Option::deserialize(d).map(|given| given.unwrap_or(true))
}

/// `reactions {conversation, seq, emoji?, after?, limit?}`: in the order of emoji and user.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Reactions {
    /// Which log.
    pub conversation: ConversationId,
    /// The message.
    pub seq: u64,
    /// Only those with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<Emoji>,
    /// Only those behind this one.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub after: Option<ReactionRef>,
    /// How many at most; 100 by default, at most 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One reaction to a message: of a user there is at most one with each emoji.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ReactionRef {
    /// What with.
    pub emoji: Emoji,
    /// Whose.
    pub user: UserId,
}

/// What one reacts with: an emoji, or a short word that the application makes a picture of.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Emoji(Box<str>);

impl Emoji {
    /// Longest, in bytes of UTF-8; the longest emoji of Unicode 16 has 41.
    pub const BYTES_MAX: usize = 64;

    /// Checks it.
    ///
    /// # Errors
    /// When it is empty, too long, or has white space or control characters in it.
    pub fn new(s: &str) -> Result<Self, InvalidName> {
        let valid = (1..=Self::BYTES_MAX).contains(&s.len())
            && !s.chars().any(|c| c.is_whitespace() || c.is_control());
        match valid {
            true => Ok(Self(s.into())),
            false => Err(InvalidName {
                what: "emoji",
                rule: "1 to 64 bytes without spaces and control characters",
            }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Emoji {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Text { expecting: "an emoji", parse: Self::new })
    }
}
