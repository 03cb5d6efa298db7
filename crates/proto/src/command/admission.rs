//! Who gets into a group, who is kept out of it, and who may only read.

use serde::{Deserialize, Deserializer, Serialize};

use super::group::{group, text};
use crate::{ClientId, GroupId, Timestamp, UserId};

/// Longest note of one who asks to be let in, in characters.
pub const JOIN_NOTE_CHARS_MAX: usize = 200;

/// `group_join {group, note?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupJoin {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
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
