//! Users: what they show of themselves, whom they let near, and who their friends are.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::or_default;
use crate::id::{InvalidName, Text};
use crate::{DeviceId, UserId};

/// Longest note of a friend request and longest `about`, in characters.
pub const NOTE_CHARS_MAX: usize = 256;
/// Longest address of an avatar, in bytes.
pub const AVATAR_BYTES_MAX: usize = 2_048;
/// Most roles of a user: those of a token, and as many that a back end gave them.
pub const ROLES_MAX: usize = 64;
/// Longest role, in bytes.
pub const ROLE_BYTES_MAX: usize = 128;
/// Most users that one `users` names.
pub const USERS_MAX: usize = 100;

/// `profile_update {avatar?, about?, data?}`: what is absent stays, what is `null` is cleared.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ProfileUpdate {
    /// A picture.
    #[serde(default, deserialize_with = "avatar", skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Option<Box<str>>>,
    /// A sentence about oneself.
    #[serde(default, deserialize_with = "about", skip_serializing_if = "Option::is_none")]
    pub about: Option<Option<Box<str>>>,
    /// Any JSON that the application wants others to see, passed on as it came.
    #[serde(default, deserialize_with = "data", skip_serializing_if = "Option::is_none")]
    pub data: Option<Option<Box<RawValue>>>,
}

/// `users {users}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct UserList {
    /// Whose profiles.
    #[serde(deserialize_with = "users")]
    pub users: Vec<UserId>,
}

/// Whom a user lets do or see something.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Circle {
    /// Everybody signed in, except those whom the user blocks.
    #[default]
    Everyone,
    /// Friends, both having agreed.
    Friends,
    /// Nobody.
    Nobody,
}

/// `privacy_update {presence?, last_seen?, messages?, invites?, receipts?}`: what is absent stays.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct PrivacyUpdate {
    /// Who sees whether the user is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Circle>,
    /// Who sees when they were last there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Circle>,
    /// Who may write to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Circle>,
    /// Who may bring them into groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invites: Option<Circle>,
    /// Whether others learn how far they have received and read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<bool>,
}

/// `friend_request {user, note?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FriendRequest {
    /// Whom.
    pub user: UserId,
    /// Shown to them with the request; at most 256 characters.
    #[serde(default, deserialize_with = "note", skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
}

/// `friend_accept`, `friend_reject`, `friend_cancel`, `friend_remove`, `friend_block`,
/// `friend_unblock {user}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct UserTarget {
    /// Whom.
    pub user: UserId,
}

/// `friends {since?, full?, limit?}`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Friends {
    /// The `rev` of the page before, or of the last page there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// `since` is of a page of a list that is read from its beginning.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// How many at most; 100 by default, at most 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `device_sign_out {device? | others?}`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct DeviceSignOut {
    /// Which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// All but the one that asks.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
}

/// `user_roles {user, roles}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct UserRoles {
    /// Whose.
    pub user: UserId,
    /// All that the user has from here on, besides those of their tokens; each once.
    #[serde(deserialize_with = "roles")]
    pub roles: Vec<Box<str>>,
}

/// Whether this can be a role: not empty, not too long, and without control characters.
#[must_use]
pub fn is_role(role: &str) -> bool {
    !role.is_empty() && role.len() <= ROLE_BYTES_MAX && !role.chars().any(char::is_control)
}

/// Words of a user: not empty, and nothing in them but text and line ends.
fn words(s: &str) -> bool {
    // The byte length bounds the count before it is made.
    !s.is_empty()
        && s.len() <= 4 * NOTE_CHARS_MAX
        && s.chars().count() <= NOTE_CHARS_MAX
        && !s.chars().any(|c| c.is_control() && c != '\n')
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Words(#[serde(deserialize_with = "parse_words")] Box<str>);

fn parse_words<'de, D: Deserializer<'de>>(d: D) -> Result<Box<str>, D::Error> {
    const RULE: &str = "1 to 256 characters, none of them a control character";
    d.deserialize_str(Text {
        expecting: "text of 1 to 256 characters",
        parse: |s| words(s).then(|| s.into()).ok_or(InvalidName { what: "the text", rule: RULE }),
    })
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Address(#[serde(deserialize_with = "parse_address")] Box<str>);

/// Only addresses that a page may put into an image without running anything.
fn parse_address<'de, D: Deserializer<'de>>(d: D) -> Result<Box<str>, D::Error> {
    const RULE: &str = "at most 2048 bytes that begin with https://, http:// or /";
    d.deserialize_str(Text {
        expecting: "an address of at most 2048 bytes",
        parse: |s| {
            is_picture(s).then(|| s.into()).ok_or(InvalidName { what: "the avatar", rule: RULE })
        },
    })
}

/// Whether this is an address that a page may put into an image without running anything.
#[must_use]
pub fn is_picture(address: &str) -> bool {
    let known = ["https://", "http://", "/"].iter().any(|start| address.starts_with(start));
    known
        && address.len() <= AVATAR_BYTES_MAX
        && !address.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn note<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    Ok(Option::<Words>::deserialize(d)?.map(|words| words.0))
}

fn about<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<Box<str>>>, D::Error> {
    note(d).map(Some)
}

fn avatar<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<Box<str>>>, D::Error> {
    Ok(Some(Option::<Address>::deserialize(d)?.map(|address| address.0)))
}

fn data<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<Box<RawValue>>>, D::Error> {
    let data = Box::<RawValue>::deserialize(d)?;
    Ok(Some(Some(data).filter(|data| data.get() != "null")))
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Role(#[serde(deserialize_with = "parse_role")] Box<str>);

fn parse_role<'de, D: Deserializer<'de>>(d: D) -> Result<Box<str>, D::Error> {
    const RULE: &str = "1 to 128 bytes, none of them a control character";
    d.deserialize_str(Text {
        expecting: "a role of 1 to 128 bytes",
        parse: |s| is_role(s).then(|| s.into()).ok_or(InvalidName { what: "the role", rule: RULE }),
    })
}

fn roles<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Box<str>>, D::Error> {
    struct Roles;
    impl<'de> Visitor<'de> for Roles {
        type Value = Vec<Box<str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of at most 64 roles")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Self::Value, A::Error> {
            let mut roles: Vec<Box<str>> = Vec::new();
            while let Some(Role(role)) = names.next_element()? {
                if roles.contains(&role) {
                    continue;
                }
                if roles.len() == ROLES_MAX {
                    return Err(A::Error::custom("at most 64 roles"));
                }
                roles.push(role);
            }
            Ok(roles)
        }
    }
    d.deserialize_seq(Roles)
}

fn users<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<UserId>, D::Error> {
    struct Ids;
    impl<'de> Visitor<'de> for Ids {
        type Value = Vec<UserId>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of at most 100 user ids")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut ids: A) -> Result<Self::Value, A::Error> {
            let mut users = Vec::new();
            while let Some(user) = ids.next_element()? {
                if users.len() == USERS_MAX {
                    return Err(A::Error::custom("at most 100 users in one command"));
                }
                users.push(user);
            }
            Ok(users)
        }
    }
    d.deserialize_seq(Ids)
}
