//! Groups: who is in them and what they may.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::or_default;
use crate::id::{InvalidName, Text};
use crate::{ClientId, GroupId, UserId};

/// Who may enter a group without being invited.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinPolicy {
    /// Nobody: owner and admins invite.
    #[default]
    Invite,
    /// Whom owner or an admin lets in who has asked.
    Approval,
    /// Everybody signed in.
    Open,
}

/// What a member may do in a group.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Send and read.
    #[default]
    Member,
    /// Also invite, kick members and change the profile.
    Admin,
    /// Also give roles and dissolve.
    Owner,
}

/// `group_create {name, members?, join?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupCreate {
    /// Shown to members; 1 to 128 characters.
    #[serde(deserialize_with = "group_name")]
    pub name: Box<str>,
    /// Invited at once, besides the creator.
    #[serde(default, deserialize_with = "members")]
    pub members: Vec<UserId>,
    /// Who may join.
    #[serde(default, deserialize_with = "or_default")]
    pub join: JoinPolicy,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_update {group, name?, join?, announcement?, retention_ms?, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupUpdate {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// A new name.
    #[serde(
        default,
        deserialize_with = "optional_group_name",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<Box<str>>,
    /// A new policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<JoinPolicy>,
    /// What all members are to read; `null` or an empty one takes it away, and is empty here.
    #[serde(default, deserialize_with = "announcement", skip_serializing_if = "Option::is_none")]
    pub announcement: Option<Box<str>>,
    /// How long its entries are kept, in milliseconds; `null` is 0: as long as the server keeps them.
    #[serde(default, deserialize_with = "retention", skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_invite {group, members, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupInvite {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Who enters; at least one.
    #[serde(deserialize_with = "members")]
    pub members: Vec<UserId>,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_leave`, `group_dissolve {group, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupTarget {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_kick`, `group_unban`, `group_approve`, `group_reject {group, user, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupMember {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Whom.
    pub user: UserId,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_role {group, user, role, client_id?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupRole {
    /// Which group.
    #[serde(deserialize_with = "group")]
    pub group: GroupId,
    /// Whose.
    pub user: UserId,
    /// The new role; `owner` hands over, and the giver becomes an admin.
    pub role: Role,
    /// For a safe retry (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// `group_members {group, after?, limit?}`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GroupMembers {
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

/// Takes `ID` and `group:ID`.
pub(super) fn group<'de, D: Deserializer<'de>>(d: D) -> Result<GroupId, D::Error> {
    d.deserialize_any(Text {
        expecting: "a group id",
        parse: |s| GroupId::new(s.strip_prefix("group:").unwrap_or(s)),
    })
}

/// Longest name of a group, in characters.
pub const GROUP_NAME_CHARS_MAX: usize = 128;

fn group_name<'de, D: Deserializer<'de>>(d: D) -> Result<Box<str>, D::Error> {
    const RULE: &str = "1 to 128 characters, none of them a control character";
    d.deserialize_str(Text {
        expecting: "text of 1 to 128 characters",
        parse: |s| {
            // The byte length bounds the count before it is made.
            let valid = !s.is_empty()
                && s.len() <= 4 * GROUP_NAME_CHARS_MAX
                && s.chars().count() <= GROUP_NAME_CHARS_MAX
                && !s.chars().any(char::is_control);
            valid.then(|| s.into()).ok_or(InvalidName { what: "group name", rule: RULE })
        },
    })
}

fn optional_group_name<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    struct Optional;
    impl<'de> Visitor<'de> for Optional {
        type Value = Option<Box<str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text of 1 to 128 characters")
        }

        fn visit_none<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
            group_name(d).map(Some)
        }
    }
    d.deserialize_option(Optional)
}

/// Longest announcement of a group, in characters.
pub const ANNOUNCEMENT_CHARS_MAX: usize = 500;

fn retention<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(d).map(|ms: Option<u64>| Some(ms.unwrap_or(0)))
}

fn announcement<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    text::<ANNOUNCEMENT_CHARS_MAX, D>(d).map(Some)
}

/// Text of several lines and at most `CHARS` characters; empty for `null`.
pub(super) fn text<'de, const CHARS: usize, D: Deserializer<'de>>(
    d: D,
) -> Result<Box<str>, D::Error> {
    struct Lines<const CHARS: usize>;
    impl<const CHARS: usize> Visitor<'_> for Lines<CHARS> {
        type Value = Box<str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "text of at most {CHARS} characters")
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok("".into())
        }

        fn visit_str<E: serde::de::Error>(self, s: &str) -> Result<Self::Value, E> {
            // The byte length bounds the count before it is made.
            let valid = s.len() <= 4 * CHARS
                && s.chars().count() <= CHARS
                && !s.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
            let rule = "characters, none of them a control character but newline and tab";
            valid.then(|| s.into()).ok_or_else(|| E::custom(format_args!("at most {CHARS} {rule}")))
        }
    }
    d.deserialize_any(Lines::<CHARS>)
}

/// Most users that one command may name.
pub const MEMBERS_MAX: usize = 1_000;

fn members<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<UserId>, D::Error> {
    struct Users;
    impl<'de> Visitor<'de> for Users {
        type Value = Vec<UserId>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of at most 1000 user ids")
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut users: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(user) = users.next_element()? {
                if members.len() == MEMBERS_MAX {
                    return Err(A::Error::custom("at most 1000 users in one command"));
                }
                members.push(user);
            }
            Ok(members)
        }
    }
    d.deserialize_any(Users)
}
