//! What entries carry besides their content, and the answers about what was done to them.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::Entry;
use crate::command::{Content, Emoji};
use crate::{ConversationId, Timestamp, UserId};

/// What an entry says besides its content; most have none of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Extra {
    /// As it was sent.
    pub head: Head,
    /// What has become of it.
    pub current: Current,
}

/// What was sent along with the content.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Head {
    /// The entry that this one is about: of an update its target (`target_seq`), of a message the
    /// one it answers (`reply_to`).
    pub about: Option<u64>,
    /// Who is to take notice in particular.
    pub mentions: Vec<UserId>,
    /// Everybody is.
    pub mention_all: bool,
    /// Where it came from.
    pub forwarded: Option<Forwarded>,
    /// From then on nobody sees it.
    pub expires_at: Option<Timestamp>,
    /// The sender wants to be told who has got and read it.
    pub receipt: bool,
}

/// The origin of a message that was forwarded.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Forwarded {
    /// Who wrote it first.
    pub from: UserId,
    /// When.
    pub at: Timestamp,
}

/// What has become of a message: filled in where it is shown as it is now, except for `removed`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Current {
    /// When it got the content that it has.
    pub edited_at: Option<Timestamp>,
    /// Its content was taken away.
    pub removed: Option<Removed>,
    /// Who reacted, by emoji.
    pub reactions: Vec<ReactionCount>,
    /// It is pinned.
    pub pinned: bool,
}

/// What `clear` came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Cleared {
    /// The user sees nothing up to here: at most the head, and never less than before.
    pub through: u64,
}

/// Why the content of a message is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Removed {
    /// Its sender took it back.
    Recalled,
    /// An admin deleted it.
    Deleted,
    /// Its time was over; nobody is shown even its place.
    Expired,
}

/// The reactions to a message with one emoji.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ReactionCount {
    /// What with.
    pub emoji: Emoji,
    /// How many, 1,000 standing for that and more.
    pub count: u32,
    /// Some of them, at most five, in the order of their ids.
    pub users: Vec<UserId>,
    /// Whether the reader is among them all.
    pub mine: bool,
}

impl Extra {
    /// Roughly what it occupies, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        /// A name in a list, beside the text that it shares.
        const NAME: usize = 32;
        let users = self.current.reactions.iter().map(|reaction| 2 + reaction.users.len());
        let users = users.sum::<usize>() + self.head.mentions.len();
        size_of::<Self>() + users * NAME
    }

    /// Writes the fields that are there; `is_update` says what `about` is called.
    pub(super) fn fields<M: SerializeMap>(
        &self,
        is_update: bool,
        map: &mut M,
    ) -> Result<(), M::Error> {
        let Head { about, mentions, mention_all, forwarded, expires_at, receipt } = &self.head;
        let Current { edited_at, removed, reactions, pinned } = &self.current;
        if let Some(seq) = about {
            map.serialize_entry(if is_update { "target_seq" } else { "reply_to" }, seq)?;
        }
        if !mentions.is_empty() {
            map.serialize_entry("mentions", mentions)?;
        }
        if *mention_all {
            map.serialize_entry("mention_all", mention_all)?;
        }
        if let Some(forwarded) = forwarded {
            map.serialize_entry("forwarded", forwarded)?;
        }
        if let Some(at) = expires_at {
            map.serialize_entry("expires_at", at)?;
        }
        if *receipt {
            map.serialize_entry("receipt", receipt)?;
        }
        if let Some(at) = edited_at {
            map.serialize_entry("edited_at", at)?;
        }
        if let Some(removed) = removed {
            map.serialize_entry("removed", removed)?;
        }
        if !reactions.is_empty() {
            map.serialize_entry("reactions", reactions)?;
        }
        if *pinned {
            map.serialize_entry("pinned", pinned)?;
        }
        Ok(())
    }
}

/// `edits`: what a message said, the oldest first, and what it says now at the end.
#[derive(Clone, Debug, Serialize)]
pub struct EditsPage {
    /// Each with the moment from which on it was so.
    pub versions: Vec<Version>,
}

/// One state of a message's content.
#[derive(Clone, Debug)]
pub struct Version {
    /// As it came.
    pub content: Content,
    /// Since when.
    pub at: Timestamp,
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(2))?;
        map.serialize_entry("content", &*self.content)?;
        map.serialize_entry("at", &self.at)?;
        map.end()
    }
}

/// `pins`: what is pinned, the newest pin last.
#[derive(Clone, Debug, Serialize)]
pub struct PinsPage {
    /// All of them that the user may know of.
    pub pins: Vec<PinItem>,
}

/// A pinned message.
#[derive(Clone, Debug, Serialize)]
pub struct PinItem {
    /// Which message.
    pub seq: u64,
    /// Who pinned it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// The message as it is now.
    pub entry: Entry,
}

/// `message_hidden`: messages are gone for this user, on all their devices.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MessageHidden {
    /// Which log.
    pub conversation: ConversationId,
    /// These.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seqs: Vec<u64>,
    /// Everything up to here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<u64>,
}

/// `reactions`: a page in the order of emoji and user.
#[derive(Clone, Debug, Serialize)]
pub struct ReactionsPage {
    /// The page.
    pub reactions: Vec<Reaction>,
    /// There are more.
    pub more: bool,
}

/// One reaction of one user.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Reaction {
    /// What with.
    pub emoji: Emoji,
    /// Whose.
    pub user: UserId,
    /// When.
    pub at: Timestamp,
}
