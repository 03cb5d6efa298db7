//! Presence: what a user shows of themself, and whom they want to see.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::or_default;
use crate::UserId;

/// Most users that one `presence_get` names, and that one connection watches by name.
pub const PRESENCE_USERS_MAX: usize = 200;

/// `presence_set {status}`
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct PresenceSet {
    /// From here on.
    pub status: Chosen,
}

/// What a user can choose to show.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// They are there. Ends all others.
    #[default]
    Online,
    /// Nobody is at this device; of the connection alone, and over with it.
    Away,
    /// They are there, and do not want to be disturbed.
    Busy,
    /// They are there, and it looks as if they were not.
    Invisible,
}

/// `presence_get {users?, friends?, watch?}`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PresenceGet {
    /// Of these users.
    #[serde(default, deserialize_with = "users", skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserId>,
    /// Of all friends who are there.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub friends: bool,
    /// Tell this connection when it changes, in place of what an earlier command asked for.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub watch: bool,
}

fn users<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<UserId>, D::Error> {
    struct Users;
    impl<'de> Visitor<'de> for Users {
        type Value = Vec<UserId>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of at most 200 user ids")
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut ids: A) -> Result<Self::Value, A::Error> {
            let mut users = Vec::new();
            while let Some(user) = ids.next_element()? {
                if users.len() == PRESENCE_USERS_MAX {
                    return Err(A::Error::custom("at most 200 users in one command"));
                }
                users.push(user);
            }
            Ok(users)
        }
    }
    d.deserialize_any(Users)
}
