//! Who gets into a group, who is kept out of it, and who may only read.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::group::{group, text};
use crate::id::{InvalidName, Text};
use crate::{ClientId, GroupId, Timestamp, UserId};

/// Longest note of one who asks to be let in, in characters.
pub const JOIN_NOTE_CHARS_MAX: usize = 200;

/// `group_join {group, link?, note?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupJoin {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// What lets one in where the group itself does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// What its owner and admins are to read, where they decide.
    #[serde(default, deserialize_with = "note", skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_requests`, `group_bans {group, after?, limit?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupPage {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Only users after this id, in the order of ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<UserId>,
    /// How many at most; 100 by default, at most 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `group_ban {group, user, until?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupBan {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Whom, a member or not.
    pub user: UserId,
    /// When it ends by itself; never where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_mute {group, user?, muted, until?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupMute {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Whom; all but owner and admins where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Begun or ended.
    pub muted: bool,
    /// When it ends by itself; never where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

fn note<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    let note = text::<JOIN_NOTE_CHARS_MAX, D>(d)?;
    Ok(Some(note).filter(|note| !note.is_empty()))
}

/// `group_link_create {group, expires_in_ms?, uses_max?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupLinkCreate {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// For how long it works; until it is revoked where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// How many may enter by it; any number where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_max: Option<u32>,
}

/// `group_links {group}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupLinks {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
}

/// `group_link_revoke {group, link}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupLinkRevoke {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// The link, or what `group_links` calls it.
    pub link: Link,
}

/// A link into a group: who has it may enter. Whoever made it has it, the server only its digest.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Link(#[serde(deserialize_with = "link")] Box<str>);

impl Link {
    /// Keeps `link`.
    #[must_use]
    pub fn new(link: &str) -> Self {
        Self(link.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// It opens a group, so it is not shown.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(…)")
    }
}

fn link<'de, D: Deserializer<'de>>(d: D) -> Result<Box<str>, D::Error> {
    d.deserialize_str(Text {
        expecting: "a link",
        parse: |s| {
            let valid = (1..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
            let rule = "1 to 64 letters and digits";
            valid.then(|| s.into()).ok_or(InvalidName { what: "link", rule })
        },
    })
}
