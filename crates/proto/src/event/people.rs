//! Users as they see themselves and as others see them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::command::Circle;
use crate::{DeviceId, Timestamp, UserId};

/// What a user shows to everybody signed in.
#[derive(Clone, Debug, Serialize)]
pub struct UserProfile {
    /// The id.
    pub id: UserId,
    /// The display name, where a token has told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// A picture that the user chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Box<str>>,
    /// A sentence about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Box<str>>,
    /// What the application put there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

/// Whom a user lets do what.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Privacy {
    /// Who sees whether the user is there.
    pub presence: Circle,
    /// Who sees when they were last there.
    pub last_seen: Circle,
    /// Who may write to them.
    pub messages: Circle,
    /// Who may bring them into groups.
    pub invites: Circle,
    /// Whether others learn how far they have received and read.
    pub receipts: bool,
}

/// `me` and `user_updated`: a user as they see themselves.
#[derive(Clone, Debug, Serialize)]
pub struct Me {
    /// What others see.
    pub user: UserProfile,
    /// Whom they let do what.
    pub privacy: Privacy,
    /// What they may do, by the token or by a back end.
    pub roles: Vec<Box<str>>,
    /// When this last changed.
    pub rev: u64,
}

/// `users`: those of the users asked for that the server has seen, in the order asked.
#[derive(Clone, Debug, Serialize)]
pub struct UserPage {
    /// Their profiles.
    pub users: Vec<UserProfile>,
    /// The answer was too long: ask again for those after the last one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// How far a user and another have come to be friends, as the user sees it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationState {
    /// Not at all, or not any more.
    #[default]
    None,
    /// The user has asked.
    Requested,
    /// The other has asked.
    Received,
    /// They are friends.
    Friend,
}

/// `relation`: what is between a user and another, as the user sees it. Being blocked is not seen.
#[derive(Clone, Debug, Serialize)]
pub struct Relation {
    /// The other.
    pub user: UserId,
    /// Their display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// How far.
    pub state: RelationState,
    /// The user keeps the other away.
    pub blocked: bool,
    /// What came with the request, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
    /// When it changed.
    pub at: Timestamp,
    /// Its place in the order of changes.
    pub rev: u64,
}

/// The answer to a friend command: what is between the two now.
#[derive(Clone, Debug, Serialize)]
pub struct Related {
    /// As the caller sees it.
    pub relation: Relation,
}

/// `friends`: relations in the order in which they changed.
#[derive(Clone, Debug, Serialize)]
pub struct RelationPage {
    /// `none` and not blocked means that there is nothing any more.
    pub relations: Vec<Relation>,
    /// `since` of the next time.
    pub rev: u64,
    /// There are more.
    pub more: bool,
    /// Drop what is known: the list is told from its beginning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// `devices`: those that were there lately first.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceList {
    /// Only devices that have an id of their own.
    pub devices: Vec<DeviceItem>,
}

/// A device of a user.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceItem {
    /// Its id.
    pub id: DeviceId,
    /// What sort of device it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Box<str>>,
    /// What its user calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// When it last came or went.
    pub last_seen: Timestamp,
    /// It is the one that asks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub current: bool,
    /// It was signed out and has not come back with a newer token.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub signed_out: bool,
}
