//! Presence as others see it.

use serde::Serialize;

use crate::{Timestamp, UserId};

/// How a user appears.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not there, or not for the one who asks.
    #[default]
    Offline,
    /// Shown to the user's own connections alone.
    Invisible,
    /// There, but at none of their devices.
    Away,
    /// There.
    Online,
    /// There, and not to be disturbed.
    Busy,
}

/// One user's presence, as one who asks may know it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Presence {
    /// Who.
    pub user: UserId,
    /// Over all their devices.
    pub status: Status,
    /// When they were last there; only of one who is not, and where they let it be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// The kinds of their devices, each once; only of one who is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Box<str>>,
}

/// The ack of `presence_get`, and `online_status`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Presences {
    /// Each user once.
    pub presences: Vec<Presence>,
}
