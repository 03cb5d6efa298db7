//! What entries carry besides their content, and the answers about what was done to them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::command::{Content, Emoji};
use crate::{Timestamp, UserId};

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
}

/// Why the content of a message is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Removed {
    /// Its sender took it back.
    Recalled,
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
        size_of::<Self>() + users.sum::<usize>() * NAME
    }

    /// Writes the fields that are there; `is_update` says what `about` is called.
    pub(super) fn fields<M: SerializeMap>(
        &self,
        is_update: bool,
        map: &mut M,
    ) -> Result<(), M::Error> {
        let Head { about } = &self.head;
        let Current { edited_at, removed, reactions } = &self.current;
        if let Some(seq) = about {
            map.serialize_entry(if is_update { "target_seq" } else { "reply_to" }, seq)?;
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
