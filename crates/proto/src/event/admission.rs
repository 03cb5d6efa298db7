//! Who gets into a group, who is kept out of it, and who may only read.

use serde::Serialize;

use crate::command::Link;
use crate::{GroupId, Timestamp, UserId};

/// A member may only read: until then, or as long as nobody changes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Muted {
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What became of a request to join.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinRequestState {
    /// It waits for owner or an admin.
    Pending,
    /// They let the user in.
    Approved,
    /// They did not.
    Rejected,
    /// The user asks no more.
    Withdrawn,
}

/// `group_request`: somebody asks to be let into a group, or was answered.
#[derive(Clone, Debug, Serialize)]
pub struct JoinRequestEvent {
    /// Which group.
    pub group: GroupId,
    /// Who asks.
    pub user: UserId,
    /// Their display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// What they wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
    /// When they asked.
    pub at: Timestamp,
    /// What became of it.
    pub state: JoinRequestState,
}

/// To `group_join`, where owner and admins decide.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Requested {
    /// Always true.
    pub requested: bool,
}

/// `group_requests`: a page in the order of user ids.
#[derive(Clone, Debug, Serialize)]
pub struct JoinRequestPage {
    /// The page.
    pub requests: Vec<JoinRequestItem>,
    /// There are more: continue after the last one's user.
    pub more: bool,
}

/// Somebody who asks to be let in.
#[derive(Clone, Debug, Serialize)]
pub struct JoinRequestItem {
    /// Who.
    pub user: UserId,
    /// Their display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// What they wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
    /// When.
    pub at: Timestamp,
}

/// `group_bans`: a page in the order of user ids.
#[derive(Clone, Debug, Serialize)]
pub struct BanPage {
    /// The page.
    pub bans: Vec<BanItem>,
    /// There are more: continue after the last one's user.
    pub more: bool,
}

/// Somebody who is kept out.
#[derive(Clone, Debug, Serialize)]
pub struct BanItem {
    /// Who.
    pub user: UserId,
    /// Their display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Who banned them.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// To `group_link_create`.
#[derive(Clone, Debug, Serialize)]
pub struct LinkMade {
    /// What lets one in; told this once.
    pub link: Link,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How many may enter by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses_max: Option<u32>,
}

/// `group_links`: those that still let one in.
#[derive(Clone, Debug, Serialize)]
pub struct LinkList {
    /// All of them.
    pub links: Vec<LinkItem>,
}

/// A link as it is listed.
#[derive(Clone, Debug, Serialize)]
pub struct LinkItem {
    /// A name for it, which lets nobody in.
    pub link: Box<str>,
    /// Who made it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How many may still enter by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u32>,
}
