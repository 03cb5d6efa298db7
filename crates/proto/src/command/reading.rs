//! Cursors, and what only reads: history, gaps, sync, lists.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ConversationId;

/// `received` and `read {conversation, seq}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cursor {
    /// Which log.
    pub conversation: ConversationId,
    /// Everything up to here, inclusive.
    pub seq: u64,
}

/// `typing {conversation, active}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Typing {
    /// Where.
    pub conversation: ConversationId,
    /// Begun (expires by itself after 6 s), or ended.
    pub active: bool,
}

/// `history {conversation, before? | after? | around?, limit?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct History {
    /// Which log.
    pub conversation: ConversationId,
    /// Only entries before this seq, the nearest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Only entries after this seq, the nearest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only entries before and after this seq, and the one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<u64>,
    /// How many at most; 50 by default, at most 200.
    #[serde(default = "history_limit", deserialize_with = "limit_or_default")]
    pub limit: u32,
}

impl History {
    /// How many directions it names; more than one make no sense.
    #[must_use]
    pub fn directions(&self) -> usize {
        [self.before, self.after, self.around].iter().flatten().count()
    }
}

/// Entries of a history page where the client names no number.
pub const HISTORY_LIMIT_DEFAULT: u32 = 50;
/// Most entries of a history page.
pub const HISTORY_LIMIT_MAX: u32 = 200;

const fn history_limit() -> u32 {
    HISTORY_LIMIT_DEFAULT
}

fn limit_or_default<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    Option::deserialize(d).map(|limit| limit.unwrap_or(HISTORY_LIMIT_DEFAULT))
}

/// `pull {conversation, from, to}`: raw entries, both ends inclusive.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Pull {
    /// Which log.
    pub conversation: ConversationId,
    /// First seq wanted.
    pub from: u64,
    /// Last seq wanted; the answer may end before it and then says `more`.
    pub to: u64,
}

/// `sync {epoch?, cursors?, rev?}`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Sync {
    /// The store's epoch that the cursors belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Box<str>>,
    /// Per conversation, the last seq this device has.
    #[serde(
        default,
        deserialize_with = "cursors",
        serialize_with = "cursor_map",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cursors: Vec<Cursor>,
    /// The `rev` of the last sync answer: conversations unchanged since are left out unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u64>,
}

/// Most cursors that one `sync` may name.
pub const SYNC_CURSORS_MAX: usize = 1_000;

fn cursors<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Cursor>, D::Error> {
    struct Map;
    impl<'de> Visitor<'de> for Map {
        type Value = Vec<Cursor>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map from conversation id to seq")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Cursor>, A::Error> {
            let mut cursors = Vec::new();
            while let Some((conversation, seq)) = map.next_entry()? {
                if cursors.len() == SYNC_CURSORS_MAX {
                    return Err(A::Error::custom("at most 1000 cursors in one sync"));
                }
                cursors.push(Cursor { conversation, seq });
            }
            Ok(cursors)
        }
    }
    d.deserialize_map(Map)
}

fn cursor_map<S: Serializer>(cursors: &[Cursor], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(cursors.iter().map(|cursor| (&cursor.conversation, cursor.seq)))
}

/// `conversations {before_rev?, limit?}`: most recently changed first.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Conversations {
    /// Only those that changed before this `rev`: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_rev: Option<u64>,
    /// How many at most; 50 by default, at most 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
